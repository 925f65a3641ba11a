"""Train a model: `python train.py`, `python train.py model=lstm task=sort`, `python train.py --help`."""

import sys
from pathlib import Path

from ntm_lab.cli.train import main

if __name__ == "__main__":
    main(sys.argv[1:], Path(__file__).with_name("conf"))
