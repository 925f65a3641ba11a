"""A special kind of error: a vector that is skipped or repeated shifts all that follow.

Graves et al. 2014 (section 4.1, Figure 4) see it in long copies: "a single vector is duplicated, pushing all subsequent
vectors one step back", which as a count of wrong bits looks like a total loss.
"""

import math

import torch
from torch import Tensor

from ntm_lab.evaluation.steps import each_step
from ntm_lab.tasks.answers import wrong_bits

FURTHEST = 8  # the largest shift searched for, in steps
MUCH_BETTER = 4  # times fewer wrong bits than in place
SURE = 7  # bits of evidence beyond what the search itself makes up: random outputs look shifted once in 2⁷ sequences


def find_shifts(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The number of steps by which each sequence's output is shifted, and the step from which it is.

    A shift by s from step k on means that the output of a step p ≥ k is the target of step p − s: s > 0 if something
    was repeated, s < 0 if something was skipped. A shift is reported if, over all steps that have such a target, the
    wrong bits are at most a quarter of those in place, and too few for chance. Of m random bits at most w are wrong
    with a probability below 2^−e, e = m (1 − H(w / m)) with the binary entropy H (Chernoff), so e must exceed log₂ of
    the number of pairs (s, k) that are tried by `SURE`. The pair that explains most wrong bits wins.

    Args:
        logits, targets: of the scored steps, (B, P, O).

    Returns the shift (0 for none) and k (P for none), (B,) int64 each.
    """
    batch, steps, width = targets.shape
    shift, start = torch.zeros(batch, dtype=torch.int64), torch.full((batch,), steps)
    most = torch.zeros(batch, dtype=torch.int64)
    in_place = each_step(wrong_bits, logits, targets)  # (B, P)
    furthest = min(FURTHEST, steps - 1)
    for by in [s for size in range(1, furthest + 1) for s in (size, -size)]:
        source = torch.arange(steps) - by
        valid = (source >= 0) & (source < steps)  # (P,)
        moved = each_step(wrong_bits, logits, targets.roll(by, dims=1))
        before, after = _from_here_on(in_place * valid), _from_here_on(moved * valid)  # (B, P)
        bits = width * _from_here_on(valid.long().expand(batch, -1))
        enough = _evidence(after, bits) >= SURE + math.log2(2 * furthest * steps)
        gain = (before - after) * (valid & enough & (MUCH_BETTER * after <= before))
        best = gain.argmax(1)  # the first of several
        explained = gain.gather(1, best[:, None]).squeeze(1)
        better = explained > most
        shift[better], start[better], most[better] = by, best[better], explained[better]
    return shift, start


def _from_here_on(values: Tensor) -> Tensor:
    """The sum from every step to the end, along the second dimension."""
    return values.flip(1).cumsum(1).flip(1)


def _evidence(wrong: Tensor, bits: Tensor) -> Tensor:
    """m (1 − H(w / m)), and 0 where half or more are wrong, or there are none."""
    share = (wrong / bits.clamp(min=1)).clamp(max=0.5)
    entropy = -(torch.xlogy(share, share) + torch.xlogy(1 - share, 1 - share)) / math.log(2)
    return bits * (1 - entropy)
