"""Memory accesses: how a memory is addressed, read and written. `ntm_lab.nn.MemoryNetwork` runs any of them."""

from ntm_lab.nn.access.dnc import DNCAccess
from ntm_lab.nn.access.mann import MANNAccess
from ntm_lab.nn.access.ntm import NTMAccess
from ntm_lab.nn.access.stack import StackAccess
from ntm_lab.nn.access.tape import TapeAccess

__all__ = ["DNCAccess", "MANNAccess", "NTMAccess", "StackAccess", "TapeAccess"]
