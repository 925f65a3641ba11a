"""The equations of memory access, in plain PyTorch: the readable reference that every faster path is held to."""

from ntm_lab.ops.access import read, write
from ntm_lab.ops.addressing import address, content_weighting, interpolate, sharpen, shift_weighting

__all__ = ["address", "content_weighting", "interpolate", "read", "sharpen", "shift_weighting", "write"]
