"""How the layer that sets the heads begins."""

from torch import Tensor, nn

from ntm_lab.types import Layout

GAIN = 1.4  # PyTorch's default is half as large, and from it copy is learned later and not by every seed


def begin_heads(
    layout: Layout, weight: Tensor, bias: Tensor, gain: float = GAIN
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Xavier weights for every group of heads and biases of 0, in place; call it without gradients.

    Returns views of both by field, for what an access sets besides: weight (P, size) as (heads, field size, size) and
    bias (P,) as (heads, field size).
    """
    for rows in weight.split([group.size for group in layout.groups]):
        nn.init.xavier_uniform_(rows, gain=gain)
    bias.zero_()
    return {name: rows.movedim(0, -1) for name, rows in layout.split(weight.T).items()}, layout.split(bias)
