"""A DNC as one writes it in eager PyTorch: what `speed.py` compares with. It imports nothing of ntm_lab.

A loop over the steps with one linear layer for all parameters of the heads; autograd does the rest. Equations are those
of Graves et al. 2016 (Nature 538), with nothing left out but the clipping of controller outputs. It knows no lengths.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-6


def content(memory: Tensor, keys: Tensor, strengths: Tensor) -> Tensor:
    """Weightings (B, R, N) of memory (B, N, W) by keys (B, R, W) and strengths (B, R)."""
    norms = keys.norm(dim=2, keepdim=True) * memory.norm(dim=2).unsqueeze(1)
    return (strengths.unsqueeze(2) * (keys @ memory.mT) / (norms + EPSILON)).softmax(2)


def allocation(usage: Tensor) -> Tensor:
    """The free slots, the least used first (B, N)."""
    usage, order = (EPSILON + (1 - EPSILON) * usage).sort(1)
    fuller = F.pad(usage[:, :-1], (1, 0), value=1.0).cumprod(1)  # (B, N), the product of all that are less used
    return torch.zeros_like(usage).scatter(1, order, (1 - usage) * fuller)


class PlainDNC(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, size: int = 100, slots: int = 128, width: int = 20, read_heads: int = 1,
        links: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.slots, self.width, self.read_heads, self.links = slots, width, read_heads, links
        self.controller = nn.LSTMCell(inputs + read_heads * width, size)
        modes = 3 if links else 1
        self.sizes = [width, width, width, 1, 1, 1, read_heads, read_heads * width, read_heads, read_heads * modes]
        self.heads = nn.Linear(size, sum(self.sizes))
        self.output = nn.Linear(size + read_heads * width, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (B, T, O) of inputs (B, T, I)."""
        batch, reading = len(inputs), self.read_heads
        zeros = inputs.new_zeros
        hidden = cell = zeros(batch, self.controller.hidden_size)
        memory, link = zeros(batch, self.slots, self.width), zeros(batch, self.slots, self.slots)
        usage = write = precedence = zeros(batch, self.slots)
        read, reads = zeros(batch, reading, self.slots), zeros(batch, reading * self.width)
        others = 1 - torch.eye(self.slots).to(inputs)
        outputs = []
        for present in inputs.unbind(1):
            hidden, cell = self.controller(torch.cat((present, reads), 1), (hidden, cell))
            parts = self.heads(hidden).split(self.sizes, 1)
            key, erase, add, strength, allocate, gate, free, keys, strengths, modes = parts
            retention = (1 - free.sigmoid().unsqueeze(2) * read).prod(1)
            usage = (usage + write - usage * write) * retention
            found = content(memory, key.unsqueeze(1), 1 + F.softplus(strength)).squeeze(1)
            write = gate.sigmoid() * torch.lerp(found, allocation(usage), allocate.sigmoid())
            column = write.unsqueeze(2)
            memory = memory * (1 - column * erase.sigmoid().unsqueeze(1)) + column * add.unsqueeze(1)
            found = content(memory, keys.unflatten(1, (reading, -1)), 1 + F.softplus(strengths))
            if self.links:
                link = ((1 - column - write.unsqueeze(1)) * link + column * precedence.unsqueeze(1)) * others
                precedence = (1 - write.sum(1, keepdim=True)) * precedence + write
                back, by_content, onward = modes.unflatten(1, (reading, 3)).softmax(2).unsqueeze(2).unbind(3)
                read = back * (read @ link) + by_content * found + onward * (read @ link.mT)
            else:
                read = found
            reads = (read @ memory).flatten(1)
            outputs.append(torch.cat((hidden, reads), 1))
        return self.output(torch.stack(outputs, 1))
