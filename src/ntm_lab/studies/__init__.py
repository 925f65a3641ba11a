"""Studies: sweeps of runs, their statistics, and what follows from them."""

from ntm_lab.studies.study import Study, Verdict

__all__ = ["Study", "Verdict"]
