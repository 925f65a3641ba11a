"""What guessing costs and gets wrong, by hand and by what it comes to."""

import pytest
import torch

from ntm_lab.studies.report.chance import chance
from ntm_lab.tasks import AssociativeRecall, Copy, RepeatCopy
from ntm_lab.types import Difficulty, Task


def test_the_mean_over_difficulties() -> None:
    lengths = [{"length": length} for length in (2, 4, 9)]
    assert chance(Copy(bits=6, start_code=True), lengths) == {"cost_bits": 6 * 5, "wrong_bits": 15}


@pytest.mark.parametrize(
    ("task", "difficulty"),
    [(Copy(), {"length": 7}), (RepeatCopy(), {"length": 3, "repeats": 4}), (AssociativeRecall(), {"items": 5})],
    ids=["copy", "repeat-copy", "recall"],
)
def test_it_is_what_guessing_gets(task: Task, difficulty: Difficulty) -> None:
    """Logits of 0 say 0.5 always; of their signs drawn at random half are wrong."""
    generator = torch.Generator().manual_seed(0)
    batch = task.sample(500, difficulty, generator)
    guessed = chance(task, [difficulty])
    silent = torch.zeros_like(batch.targets)
    costs = task.answer.cost(silent, batch.targets, batch.mask)
    assert costs.tolist() == pytest.approx([guessed["cost_bits"]] * 500)
    drawn = task.answer.measure(torch.randn(silent.shape, generator=generator), batch.targets, batch.mask)
    assert float(drawn["wrong_bits"].float().mean()) == pytest.approx(guessed["wrong_bits"], rel=0.03)
