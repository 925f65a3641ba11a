"""Callbacks that show and log during training; none influences it."""

from ntm_lab.training.callbacks.addressing import AddressingStatistics
from ntm_lab.training.callbacks.far import FarDifficulties
from ntm_lab.training.callbacks.moments import Moments
from ntm_lab.training.callbacks.pictures import Pictures
from ntm_lab.training.callbacks.progress import ProgressBar

__all__ = ["AddressingStatistics", "FarDifficulties", "Moments", "Pictures", "ProgressBar"]
