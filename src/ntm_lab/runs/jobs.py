"""The jobs of a sweep: their names, and how a stopped sweep goes on.

The same sweep may be started again with the same ``hydra.sweep.dir``, however it was stopped: jobs that have ended are
not run again (`claim`), the others go on from their last checkpoint (`start`), and each has to have the settings
that it was begun with.
"""

import hashlib
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ntm_lab.files import read_json, write_whole
from ntm_lab.runs.config import RunError, resolved, same_settings
from ntm_lab.runs.folder import RESULTS, check_resumable, discard_if_unused, hold, is_first, resumed_folder

FAILURE = "failure.txt"
LONGEST = 240  # bytes of a name; file systems take 255


@contextmanager
def claim(config: DictConfig, hydra: DictConfig) -> Iterator[dict[str, Any] | None]:
    """Lock the folder of a run for this process; yields the results of a sweep's job that ended earlier, else None.

    A second process is refused, except those that share the work of the first. Only jobs of a sweep wait: the workers
    of a killed sweep may outlive it, so that the same sweep, started again, may reach a job that is still running.

    A folder in which nothing was written is removed. Raises RunError if another process works there, and if the job
    that has ended there had other settings.
    """
    folder = Path(hydra.runtime.output_dir)
    if not is_first():
        with suppress(OSError):  # of a folder that is not empty
            folder.rmdir()  # which Hydra made
        yield None
        return
    if config.resume is not None:
        with suppress(OSError):  # of a folder that is not empty
            folder.rmdir()  # which Hydra made
        folder = resumed_folder(config)
        check_resumable(folder)
    job = hydra.mode == RunMode.MULTIRUN and config.resume is None
    with hold(folder, wait=job):
        try:
            yield _ended(folder, config, hydra) if job else None
        finally:
            discard_if_unused(folder)


def _ended(job: Path, config: DictConfig, hydra: DictConfig) -> dict[str, Any] | None:
    """The results of a sweep's job that has ended, or None."""
    (job / FAILURE).unlink(missing_ok=True)
    if not (job / RESULTS).exists():
        return None
    same_settings(job, resolved(config, hydra))
    try:
        results: dict[str, Any] = read_json(job / RESULTS)
        float(results["test"][0]["cost_bits"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunError(f"{job}: its {RESULTS} is damaged ({error}); without it the job is tested again") from error
    print(f"{job}: has ended before, and is not run again")
    return results


def sweep_jobs(conf: Path, *overrides: str) -> list[str]:
    """The names of all jobs of ``python train.py -m experiment=…``, in their order; see `job_name`."""
    with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        params = compose("config", [*overrides], return_hydra_config=True).hydra.sweeper.params
        swept = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in params.items()])
    return [job_name(",".join(sorted(job))) for job in product(*map(_choices, swept))]


def job_name(overrides: str) -> str:
    """A name for a job and its folder, from its overrides: ``batch=ntm,seed=0`` for
    ``experiment/report/batch=ntm,seed=0``. A name that a file system would refuse ends in a hash."""
    name = re.sub(r"(^|,)[^,=]*/(?=[^,=/]*=)", r"\1", overrides).replace("/", "-")
    if len(name.encode()) <= LONGEST:
        return name
    return f"{name.encode()[: LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _in_form(quick: Any, full: Any, *, _root_: DictConfig) -> Any:
    return {"quick": quick, "full": full}[_root_.form]


# ${job_name:…} for hydra.sweep.subdir, ${form:quick,full} for experiments. Workers have both, as they get NoteFailure
# from here.
OmegaConf.register_new_resolver("job_name", job_name, replace=True)
OmegaConf.register_new_resolver("form", _in_form, replace=True)


def _choices(override: Override) -> list[str]:
    """The single overrides in one override of a sweep."""
    swept = override.is_sweep_override()
    values = override.sweep_string_iterator() if swept else [override.get_value_element_as_str()]
    return [f"{override.get_key_element()}={value}" for value in values]


class NoteFailure(Callback):
    """Writes why a sweep's job failed into its folder, the reason in the first line, and lets the sweep go on."""

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if job_return.status != JobStatus.FAILED or config.hydra.mode != RunMode.MULTIRUN:
            return
        try:
            _ = job_return.return_value  # raises what the job raised
        except Exception as error:
            reason = " ".join(str(error).split()) if isinstance(error, RunError) else repr(error)
            text = "\n\n".join([reason, "".join(traceback.format_exception(error))])
        folder = Path(config.hydra.runtime.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / FAILURE, text)
        job_return.status, job_return.return_value = JobStatus.COMPLETED, float("nan")
