"""Encoders: built as ``Encoder(input_size)``, they map the input of every step before the recurrence sees it."""

import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least, not_negative, share
from ntm_lab.types import Encoder

__all__ = ["Words"]


class Words(Encoder):
    """Embeds the words of a step: Σ_p m_p ∘ E x_p, with a learned vector E of every word and a mask m_p of every place.

    An input has a one-hot of the words for each of P places, (B, T, P · words), 0 where there is none. With one place
    there is no mask. Masks tell the order of the words of a sentence, as in memory networks (Sukhbaatar et al. 2015).

    Args:
        input_size: P · words.
        words: how many there are.
        size: of the vectors.
        noise: standard deviation of the masks at the beginning, about 1: the more places differ from the start, the
            sooner they are told apart.
        dropout: the share of each step's vector that is dropped in training.
    """

    def __init__(
        self, input_size: int, words: int = 159, size: int = 64, noise: float = 1.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        at_least("model.encoder.words", words, 1)
        if input_size % words:
            raise ValueError(f"model.encoder.words={words}: must divide the inputs of the task, {input_size}")
        self.size = at_least("model.encoder.size", size, 1)
        self.embedding = nn.Linear(words, size, bias=False)
        nn.init.normal_(self.embedding.weight)
        self.dropout = share("model.encoder.dropout", dropout)
        places, noise = input_size // words, not_negative("model.encoder.noise", noise)
        self.masks = nn.Parameter(1 + noise * torch.randn(places, size)) if places > 1 else None

    def forward(self, inputs: Tensor) -> Tensor:
        if self.masks is None:
            vectors = self.embedding(inputs)
        else:
            words = self.embedding(inputs.unflatten(-1, (len(self.masks), -1)))  # (…, P, size)
            vectors = (words * self.masks).sum(-2)
        return nn.functional.dropout(vectors, self.dropout, self.training) if self.dropout else vectors
