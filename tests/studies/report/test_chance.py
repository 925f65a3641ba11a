"""What guessing costs and gets wrong, by hand and by a model that guesses."""

import pytest
import torch

from ntm_lab.studies.report.chance import scored_bits, wrong_by_guessing
from ntm_lab.tasks import AssociativeRecall, Copy, RepeatCopy
from ntm_lab.training.metrics import cost_bits, wrong_bits
from ntm_lab.types import Difficulty, Task

LENGTHS = [{"length": length} for length in (2, 4, 9)]


def test_the_mean_over_difficulties() -> None:
    assert scored_bits(Copy(bits=6), LENGTHS) == 6 * 5
    assert wrong_by_guessing(Copy(bits=6, start_code=True), LENGTHS) == 15


@pytest.mark.parametrize(
    ("task", "difficulty"),
    [(Copy(), {"length": 7}), (RepeatCopy(), {"length": 3, "repeats": 4}), (AssociativeRecall(), {"items": 5})],
    ids=["copy", "repeat-copy", "recall"],
)
def test_it_is_what_guessing_gets(task: Task, difficulty: Difficulty) -> None:
    """Logits of 0 say 0.5 always; of their signs drawn at random half are wrong."""
    generator = torch.Generator().manual_seed(0)
    batch = task.sample(500, difficulty, generator)
    silent = torch.zeros_like(batch.targets)
    assert cost_bits(silent, batch.targets, batch.mask).tolist() == pytest.approx(
        [scored_bits(task, [difficulty])] * 500
    )
    drawn = torch.randn(batch.targets.shape, generator=generator)
    wrong = wrong_bits(drawn, batch.targets, batch.mask).float().mean()
    assert float(wrong) == pytest.approx(wrong_by_guessing(task, [difficulty]), rel=0.03)
