"""The Memory-Augmented Neural Network's own part.

``plan`` is `ntm_lab.fast.mann.Plan`. R heads, which all read and write, N slots of width W.
"""

from ntm_lab.fast.triton.mann.backward import backward_work, step_backward
from ntm_lab.fast.triton.mann.forward import forward_work, step
from ntm_lab.fast.triton.mann.parameters import largest_field
from ntm_lab.fast.triton.mann.writing import replay
from ntm_lab.fast.triton.sequence import Hooks

HOOKS = Hooks(largest_field, forward_work, backward_work, step, replay, step_backward)
