"""The equations of the papers, one function each, in plain PyTorch: the reference every faster path is held to."""

from ntm_lab.equations.content import content_weighting
from ntm_lab.equations.location import interpolate, sharpen, shift_weighting
from ntm_lab.equations.writing import read, write

__all__ = ["content_weighting", "interpolate", "read", "sharpen", "shift_weighting", "write"]
