"""Encoders: built as ``Encoder(input_size)``, they map the input of every step before the recurrence sees it."""

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least
from ntm_lab.types import Encoder

__all__ = ["Words"]

NOISE = 0.5  # of the masks at the beginning, about 1: places that differ from the start are told apart sooner


class Words(Encoder):
    """Embeds the words of a step: Σ_p m_p ∘ E x_p, with a learned vector E of every word and a mask m_p of every place.

    An input has a one-hot of the words for each of P places, (B, T, P · words), 0 where there is none. With one place
    there is no mask. Masks tell the order of the words of a sentence, as in memory networks (Sukhbaatar et al. 2015).

    Args:
        input_size: P · words.
        words: how many there are.
        size: of the vectors.
    """

    def __init__(self, input_size: int, words: int = 159, size: int = 64) -> None:
        super().__init__()
        at_least("model.encoder.words", words, 1)
        if input_size % words:
            raise ValueError(f"model.encoder.words={words}: must divide the inputs of the task, {input_size}")
        self.size = at_least("model.encoder.size", size, 1)
        self.embedding = nn.Linear(words, size, bias=False)
        nn.init.normal_(self.embedding.weight)
        places = input_size // words
        self.masks = nn.Parameter(1 + NOISE * torch.randn(places, size)) if places > 1 else None

    def forward(self, inputs: Tensor) -> Tensor:
        if self.masks is None:
            return self.embedding(inputs)
        words = self.embedding(inputs.unflatten(-1, (len(self.masks), -1)))  # (…, P, size)
        return (words * self.masks).sum(-2)
