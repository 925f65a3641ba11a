"""An NTM as public repositories write it: what `speed.py` compares with. It imports nothing of ntm_lab.

One module a head, one linear layer a parameter, `nn.LSTMCell`, and a Python loop over the steps. Equations are those of
Graves, Wayne, Danihelka 2014 (arXiv 1410.5401). It knows no lengths: padding is computed like any other step.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-16  # keeps a norm, and a sum of weights, from being 0


class Head(nn.Module):
    """Where a head looks, from the controller's output (B, size), memory (B, N, W) and last weighting (B, N)."""

    def __init__(self, size: int, width: int, shift_range: int) -> None:
        super().__init__()
        self.reach = shift_range // 2
        self.key = nn.Linear(size, width)
        self.strength = nn.Linear(size, 1)
        self.gate = nn.Linear(size, 1)
        self.shift = nn.Linear(size, shift_range)
        self.sharpness = nn.Linear(size, 1)

    def address(self, hidden: Tensor, memory: Tensor, previous: Tensor) -> Tensor:
        key = torch.tanh(self.key(hidden))
        strength = F.softplus(self.strength(hidden))
        gate = torch.sigmoid(self.gate(hidden))
        shift = F.softmax(self.shift(hidden), dim=1)
        sharpness = 1 + F.softplus(self.sharpness(hidden))

        similarity = F.cosine_similarity(memory + EPSILON, key.unsqueeze(1) + EPSILON, dim=-1)
        content = F.softmax(strength * similarity, dim=1)
        gated = gate * content + (1 - gate) * previous
        offsets = range(-self.reach, self.reach + 1)
        rolled = torch.stack([torch.roll(gated, offset, dims=1) for offset in offsets], dim=1)  # (B, S, N)
        shifted = (shift.unsqueeze(-1) * rolled).sum(1)
        sharp = shifted**sharpness
        return sharp / (sharp.sum(1, keepdim=True) + EPSILON)


class ReadHead(Head):
    def forward(self, hidden: Tensor, memory: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """What was read (B, W), and the weighting."""
        weighting = self.address(hidden, memory, previous)
        return torch.bmm(weighting.unsqueeze(1), memory).squeeze(1), weighting


class WriteHead(Head):
    def __init__(self, size: int, width: int, shift_range: int) -> None:
        super().__init__(size, width, shift_range)
        self.erase = nn.Linear(size, width)
        self.add = nn.Linear(size, width)

    def forward(self, hidden: Tensor, memory: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """The memory after writing (B, N, W), and the weighting."""
        weighting = self.address(hidden, memory, previous)
        erase = torch.sigmoid(self.erase(hidden))
        add = torch.tanh(self.add(hidden))
        kept = memory * (1 - weighting.unsqueeze(-1) * erase.unsqueeze(1))
        return kept + weighting.unsqueeze(-1) * add.unsqueeze(1), weighting


class PlainNTM(nn.Module):
    """One read and one write head; logits (B, T, O) of inputs (B, T, I). Both heads begin at the first slot."""

    def __init__(
        self,
        input_size: int = 9,
        output_size: int = 8,
        size: int = 100,
        slots: int = 128,
        width: int = 20,
        shift_range: int = 3,
    ) -> None:
        super().__init__()
        self.slots, self.width = slots, width
        self.controller = nn.LSTMCell(input_size + width, size)
        self.hidden = nn.Parameter(torch.zeros(size))
        self.cell = nn.Parameter(torch.zeros(size))
        self.read = nn.Parameter(torch.zeros(width))
        self.read_head = ReadHead(size, width, shift_range)
        self.write_head = WriteHead(size, width, shift_range)
        self.output = nn.Linear(size + width, output_size)

    def forward(self, inputs: Tensor) -> Tensor:
        batch_size, steps, _ = inputs.shape
        hidden, cell, read = (state.expand(batch_size, -1) for state in (self.hidden, self.cell, self.read))
        memory = inputs.new_full((batch_size, self.slots, self.width), 1e-6)
        reading = writing = F.one_hot(inputs.new_zeros(batch_size, dtype=torch.long), self.slots).to(inputs.dtype)
        logits = []
        for step in range(steps):
            hidden, cell = self.controller(torch.cat([inputs[:, step], read], dim=1), (hidden, cell))
            read, reading = self.read_head(hidden, memory, reading)
            memory, writing = self.write_head(hidden, memory, writing)
            logits.append(self.output(torch.cat([hidden, read], dim=1)))
        return torch.stack(logits, dim=1)
