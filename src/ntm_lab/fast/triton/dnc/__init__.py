"""The Differentiable Neural Computer's own part.

``plan`` is `ntm_lab.fast.dnc.Plan`. R read heads and one write head, N slots of width W.
"""

from ntm_lab.fast.triton.dnc.backward import backward_work, step_backward
from ntm_lab.fast.triton.dnc.forward import forward_work, step
from ntm_lab.fast.triton.dnc.parameters import largest_field
from ntm_lab.fast.triton.dnc.writing import replay
from ntm_lab.fast.triton.sequence import Hooks

HOOKS = Hooks(largest_field, forward_work, backward_work, step, replay, step_backward)
