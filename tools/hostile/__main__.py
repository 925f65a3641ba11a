"""Try what nobody should do to a run, and count what comes of it:

python tools/hostile overrides [--count N]      settings that are wrong: each is refused in one line, or trains
python tools/hostile checkpoints [--count N]    damaged checkpoints: none is accepted with other values
python tools/hostile files                      files of hostile content: each is one line, none runs code
python tools/hostile kills [--count N]          kills in mid-training: resumed, each run ends the same to the bit

The tests run a few of each; --seed draws others. Exit status 1 if anything went wrong.
"""

import argparse
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import checkpoints
import files
import kills
import overrides

import ntm_lab

COUNTS = {"overrides": 300, "checkpoints": 600, "files": 0, "kills": 6}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=COUNTS)
    parser.add_argument("--count", type=int, help=f"how many, for kills in each of five runs (default: {COUNTS})")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    count = COUNTS[arguments.what] if arguments.count is None else arguments.count
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ["TQDM_DISABLE"] = "1"
    with tempfile.TemporaryDirectory() as top:
        if arguments.what == "overrides":
            outcomes: list[overrides.Outcome] = overrides.run(count, arguments.seed)
            print(overrides.report(outcomes))
            return int(any(one.fault for one in outcomes))
        if arguments.what == "kills":
            killed = kills.run([*kills.CONFIGS], count, Path(top), arguments.seed)
            print(kills.report(killed))
            return int(any(one.fault for one in killed))
        run = ntm_lab.train("copy", None, *overrides.BASES["copy"], "callbacks=none", folder=Path(top) / "run")
        if arguments.what == "checkpoints":
            damaged = checkpoints.run(run.folder, count, arguments.seed)
            print(checkpoints.report(damaged))
            return int(any(one.fault for one in damaged))
        read = files.run(run.folder, count or None, arguments.seed)
        print(files.report(read))
        return int(any(one.fault for one in read))


if __name__ == "__main__":
    sys.exit(main())
