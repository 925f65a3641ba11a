"""Plain functions over a trained model."""

from ntm_lab.evaluation.tests import evaluate

__all__ = ["evaluate"]
