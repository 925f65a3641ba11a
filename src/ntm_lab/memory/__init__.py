"""What a memory holds, and where its heads look, before the first step."""

from ntm_lab.memory.contents import Constant, Random
from ntm_lab.memory.initial import Memory
from ntm_lab.memory.weightings import FirstSlot, Learned, Uniform

__all__ = ["Constant", "FirstSlot", "Learned", "Memory", "Random", "Uniform"]
