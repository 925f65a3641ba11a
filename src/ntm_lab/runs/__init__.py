"""Runs and sweeps: the only package that imports Hydra."""

from ntm_lab.runs import jobs, search  # resolvers and sources without which no config can be composed

__all__ = ["jobs", "search"]
