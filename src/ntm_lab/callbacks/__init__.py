"""What is shown and logged while training; nothing here decides anything."""

from ntm_lab.callbacks.addressing import AddressingStatistics
from ntm_lab.callbacks.far import FarDifficulties
from ntm_lab.callbacks.pictures import Pictures
from ntm_lab.callbacks.progress import ProgressBar

__all__ = ["AddressingStatistics", "FarDifficulties", "Pictures", "ProgressBar"]
