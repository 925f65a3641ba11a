"""The Differentiable Neural Computer's own part.

A row of parameters (P,) holds the fields of all heads, at the offsets of the plan, see `ntm_lab.fast.dnc.Plan`. Head
k < R reads, head R writes. N slots of width W; a memory is (V, N).
"""

from ntm_lab.fast.numba.dnc.backward import backward_scratch, link_buffer, step_backward
from ntm_lab.fast.numba.dnc.forward import forward_scratch, step
from ntm_lab.fast.numba.dnc.writing import replay
from ntm_lab.fast.numba.sequence import compiled

KERNELS = compiled("dnc", forward_scratch, step, backward_scratch, replay, step_backward, buffer=link_buffer)
