"""Plain functions over a trained model."""

from ntm_lab.evaluation.fresh import evaluate
from ntm_lab.evaluation.summary import summary

__all__ = ["evaluate", "summary"]
