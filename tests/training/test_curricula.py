"""What curricula draw, when they grow, what Exp3.S learns, and that all of them survive a checkpoint."""

import io
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ntm_lab.training.curricula import Fixed, Growing, LookBack, LookBackAndForward, PredictionGain, Uniform, Validated
from ntm_lab.types import Batch, Curriculum, Difficulty, Ranges


class Grid:
    """A task of difficulty (length, repeats) of which only the number of steps, their product, is real."""

    input_size = output_size = 1
    mixable = True

    def __init__(self, length: tuple[int, int] = (1, 4), repeats: tuple[int, int] = (2, 3)) -> None:
        self.ranges: Ranges = {"length": length, "repeats": repeats}

    def sample(self, batch_size: int, difficulty: Any, generator: torch.Generator) -> Batch:
        steps = difficulty["length"] * difficulty["repeats"]
        zeros = torch.zeros(batch_size, steps, 1)
        return Batch(zeros, zeros, zeros[..., 0] == 0, torch.full((batch_size,), steps))

    def solve(self, batch: Batch) -> torch.Tensor:
        return batch.targets

    def harder(self, difficulty: Difficulty) -> Difficulty:
        return {axis: min(difficulty[axis] + 1, high) for axis, (_, high) in self.ranges.items()}

    def split(self, part: str) -> "Grid":
        return self

    def overlap(self, difficulty: Difficulty, drawn: int) -> float | None:
        return None


POINTS = [(length, repeats) for length in range(1, 5) for repeats in (2, 3)]
ALL: list[Any] = [Uniform, Fixed, Growing, LookBack, LookBackAndForward, Validated, PredictionGain]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def frequencies(curriculum: Curriculum, draws: int = 8000) -> dict[tuple[int, ...], float]:
    generator = seeded()
    counts = Counter(tuple(curriculum.draw(generator).values()) for _ in range(draws))
    return {point: count / draws for point, count in counts.items()}


def grow(curriculum: Growing, times: int) -> None:
    """Master the current point so many times."""
    for _ in range(times * (curriculum.costs.maxlen or 0)):
        curriculum.observe(curriculum.point, 0.0)


def test_uniform_draws_every_point_equally_often() -> None:
    drawn = frequencies(Uniform(Grid()))
    assert drawn == pytest.approx(dict.fromkeys(POINTS, 1 / 8), abs=0.015)


def test_fixed_draws_the_hardest_point_or_the_given_one() -> None:
    assert Fixed(Grid()).draw(seeded()) == {"length": 4, "repeats": 3}
    assert Fixed(Grid(), {"repeats": 1, "length": 120}).draw(seeded()) == {"length": 120, "repeats": 1}


@pytest.mark.parametrize(
    "difficulty",
    [
        {"length": 1},
        {"length": 1, "repeats": 1, "items": 1},
        {"length": 0, "repeats": 1},
        {"length": 1.5, "repeats": 1},
    ],
    ids=["missing axis", "unknown axis", "zero", "fraction"],
)
def test_fixed_refuses_what_is_no_point(difficulty: Difficulty) -> None:
    with pytest.raises(ValueError, match=r"^curriculum\.difficulty=\{'length'.*\}: "):
        Fixed(Grid(), difficulty)


def test_growing_steps_when_the_mean_of_the_window_is_below_the_threshold() -> None:
    """Costs 6, 2, 1, 2, 0 in windows of three: means 3, 5/3 and 1, the last the first below 5/3."""
    curriculum = Growing(Grid(), threshold=5 / 3, window=3)
    for cost in (6.0, 2.0, 1.0, 2.0):
        curriculum.observe(curriculum.point, cost)
        assert curriculum.draw(seeded()) == {"length": 1, "repeats": 2}
    curriculum.observe({"length": 1, "repeats": 2}, 0.0)
    assert curriculum.draw(seeded()) == {"length": 2, "repeats": 3}


def test_growing_starts_every_point_with_an_empty_window() -> None:
    curriculum = Growing(Grid(), window=3)
    grow(curriculum, 1)
    for _ in range(2):
        curriculum.observe(curriculum.point, 0.0)
    assert curriculum.point["length"] == 2
    curriculum.observe(curriculum.point, 0.0)
    assert curriculum.point["length"] == 3


def test_growing_is_deaf_to_other_points() -> None:
    curriculum = Growing(Grid(), window=2)
    for _ in range(10):
        curriculum.observe({"length": 2, "repeats": 2}, 0.0)
    assert curriculum.point == {"length": 1, "repeats": 2}


def test_growing_ends_at_the_hardest_point() -> None:
    curriculum = Growing(Grid(), window=1)
    grow(curriculum, 20)
    assert curriculum.point == {"length": 4, "repeats": 3}


def test_look_back_mixes_in_all_points_up_to_the_current() -> None:
    curriculum = LookBack(Grid(length=(1, 9), repeats=(2, 3)), mix=0.4)
    grow(curriculum, 1)  # now at (2, 3): four points so far, of which 0.4 each a quarter
    expected = {(2, 3): 0.7, (1, 2): 0.1, (1, 3): 0.1, (2, 2): 0.1}
    assert frequencies(curriculum) == pytest.approx(expected, abs=0.015)


def test_look_back_and_forward_mixes_in_all_points() -> None:
    expected = dict.fromkeys(POINTS, 0.2 / 8) | {(1, 2): 0.8 + 0.2 / 8}
    assert frequencies(LookBackAndForward(Grid())) == pytest.approx(expected, abs=0.015)


def rungs(*rates: float) -> list[tuple[Difficulty, float]]:
    """Error rates at lengths 1, 2, 4 and the three repeats."""
    return [({"length": length, "repeats": 3}, rate) for length, rate in zip((1, 2, 4), rates, strict=True)]


def test_validated_steps_when_the_rung_of_its_point_is_mastered() -> None:
    """At length 3, which is no rung, the next harder one decides."""
    curriculum = Validated(Grid(), threshold=0.2, patience=None, mix=0.0)
    for length, rates in ((1, (0.2, 0.0, 0.0)), (2, (0.19, 1.0, 1.0)), (2, (0.0, 0.2, 0.0)), (3, (1.0, 0.1, 1.0)),
                          (3, (0.0, 0.0, 0.2)), (4, (1.0, 1.0, 0.1))):  # fmt: skip
        curriculum.validated(rungs(*rates))
        assert curriculum.draw(seeded())["length"] == length


def test_validated_goes_on_when_its_patience_ends() -> None:
    curriculum, lengths = Validated(Grid(), patience=2, mix=0.0), []
    for rate in (1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        curriculum.validated(rungs(rate, rate, rate))
        curriculum.observe(curriculum.point, 0.0)  # costs of training change nothing
        lengths.append(curriculum.point["length"])
    assert lengths == [1, 2, 2, 3, 3, 4, 4, 4, 4]


def test_validated_mixes_in_all_points() -> None:
    expected = dict.fromkeys(POINTS, 0.2 / 8) | {(1, 2): 0.8 + 0.2 / 8}
    assert frequencies(Validated(Grid())) == pytest.approx(expected, abs=0.015)


def test_prediction_gain_follows_exp3s_in_numpy() -> None:
    """The equations once more, without logarithms, shifts or shared code, over 60 observations."""
    eta, beta, epsilon = 0.02, 0.1, 0.1
    curriculum = PredictionGain(Grid(), eta=eta, beta=beta, epsilon=epsilon)
    random, weights, rates = np.random.default_rng(0), np.ones(8), []
    for t in range(2, 62):
        arm = int(random.integers(8))
        length, repeats = POINTS[arm]
        before, after = random.normal(size=2)
        curriculum.observe({"length": length, "repeats": repeats}, before, after)

        probabilities = (1 - epsilon) * weights / weights.sum() + epsilon / 8
        rates.append((before - after) / (length * repeats))
        low, high = np.quantile(rates, [0.2, 0.8])
        reward = np.clip(2 * (rates[-1] - low) / (high - low) - 1, -1, 1) if t > 2 else 0.0
        grown = weights * np.exp(eta * (reward * (np.arange(8) == arm) + beta) / probabilities)
        weights = np.array([(1 - 1 / t) * grown[i] + 1 / t * np.delete(grown, i).mean() for i in range(8)])

        expected = (1 - epsilon) * weights / weights.sum() + epsilon / 8
        np.testing.assert_allclose(curriculum.probabilities().numpy(), expected, rtol=1e-10)
    assert expected.max() / expected.min() > 1.02  # it has learned something at all


def test_prediction_gain_finds_the_point_that_teaches() -> None:
    """Only length 3 at repeats 2 brings gain; when nothing does there any more but at (1, 2), it moves on."""
    curriculum, generator = PredictionGain(Grid(), eta=0.05), seeded()
    for favourite in ({"length": 3, "repeats": 2}, {"length": 1, "repeats": 2}):
        for _ in range(1500):
            point = curriculum.draw(generator)
            noise = 0.1 * float(torch.rand((), generator=generator))
            curriculum.observe(point, 5.0, 5.0 - noise - 2 * (point == favourite))
        drawn = frequencies(curriculum)
        assert max(drawn, key=lambda point: drawn[point]) == tuple(favourite.values())
        assert drawn[tuple(favourite.values())] > 0.5


def test_prediction_gain_is_measured_per_step() -> None:
    """The same gain on a longer sequence is worth less, so the shortest win."""
    curriculum, generator = PredictionGain(Grid(length=(1, 4), repeats=(2, 2)), eta=0.05), seeded()
    for _ in range(500):
        curriculum.observe(curriculum.draw(generator), 1.0, 0.0)
    assert curriculum.probabilities()[0] > 0.8


def test_prediction_gain_explores_and_stays_finite_at_extreme_settings() -> None:
    curriculum, generator = PredictionGain(Grid(), eta=100.0), seeded()
    for step in range(2000):
        point = curriculum.draw(generator)
        curriculum.observe(point, 10.0**step if step < 300 else 1.0, float(point["length"]))
    assert curriculum.log_weights.isfinite().all()
    assert (curriculum.probabilities() >= 0.05 / 8).all()
    assert curriculum.probabilities().sum().item() == pytest.approx(1)


def test_prediction_gain_with_one_point_draws_it() -> None:
    curriculum = PredictionGain(Grid(length=(2, 2), repeats=(3, 3)))
    for cost in (1.0, 2.0, 3.0):
        curriculum.observe(curriculum.draw(seeded()), cost, 0.0)
    assert curriculum.draw(seeded()) == {"length": 2, "repeats": 3}
    assert curriculum.probabilities().tolist() == [1]


@pytest.mark.parametrize("cost_after", [math.nan, math.inf, -math.inf], ids=str)
def test_prediction_gain_passes_over_what_is_not_finite(cost_after: float) -> None:
    curriculum = PredictionGain(Grid())
    curriculum.observe({"length": 1, "repeats": 2}, 1.0, cost_after)
    assert curriculum.probabilities().tolist() == pytest.approx([1 / 8] * 8)
    assert curriculum.observed == 0


def test_prediction_gain_remembers_a_thinned_sample_of_the_whole_past() -> None:
    """Of rates 0 … 999 in a history of 20 every 64th is left, so the quantiles still span the whole past."""
    curriculum = PredictionGain(Grid(length=(1, 1), repeats=(1, 1)), history=20)
    for rate in range(1000):
        curriculum.observe({"length": 1, "repeats": 1}, float(rate), 0.0)
    assert curriculum.rates == list(range(0, 1000, 64))


def test_prediction_gain_asks_for_the_cost_after() -> None:
    with pytest.raises(ValueError, match=r"^curriculum=PredictionGain: needs the cost of a batch after the update"):
        PredictionGain(Grid()).observe({"length": 1, "repeats": 2}, 1.0)


def test_only_prediction_gain_measures_gain() -> None:
    assert [curriculum for curriculum in ALL if curriculum.measures_gain] == [PredictionGain]


def live(curriculum: Curriculum, generator: torch.Generator, costs: list[float]) -> list[Difficulty]:
    """Draw two points, hear of both, and again, as with mixed batches; what was drawn."""
    drawn = []
    for pair in zip(costs[::2], costs[1::2], strict=True):
        points = [curriculum.draw(generator) for _ in pair]
        for point, cost in zip(points, pair, strict=True):
            curriculum.observe(point, cost, 0.9 * cost / point["length"])
        curriculum.validated([({"length": 30, "repeats": 3}, pair[0])])
        drawn += points
    return drawn


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: Uniform(Grid()), id="Uniform"),
        pytest.param(lambda: Fixed(Grid()), id="Fixed"),
        pytest.param(lambda: Growing(Grid(length=(1, 30)), window=7), id="Growing"),
        pytest.param(lambda: LookBack(Grid(length=(1, 30)), window=7), id="LookBack"),
        pytest.param(lambda: LookBackAndForward(Grid(length=(1, 30)), window=7, mix=0.5), id="LookBackAndForward"),
        pytest.param(lambda: Validated(Grid(length=(1, 30)), threshold=0.05), id="Validated"),
        pytest.param(lambda: PredictionGain(Grid(), eta=0.05, history=30), id="PredictionGain"),
    ],
)
def test_a_loaded_curriculum_continues_as_if_never_interrupted(build: Callable[[], Curriculum]) -> None:
    costs = (1.6 * torch.rand(400, generator=seeded(1))).tolist()
    interrupted, generator = build(), seeded()
    live(interrupted, generator, costs[:200])
    file = io.BytesIO()
    torch.save({"curriculum": interrupted.state_dict(), "generator": generator.get_state()}, file)
    expected = live(interrupted, generator, costs[200:])  # a state that shares memory would change here

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed = build()
    resumed.load_state_dict(saved["curriculum"])
    generator.set_state(saved["generator"])
    assert live(resumed, generator, costs[200:]) == expected
    final, again = resumed.state_dict(), interrupted.state_dict()
    assert all(torch.equal(torch.as_tensor(final[key]), torch.as_tensor(again[key])) for key in final if key != "point")
    assert final.get("point") == again.get("point")


def test_a_state_is_a_snapshot() -> None:
    for build in (Growing, PredictionGain):
        curriculum = build(Grid())
        state = curriculum.state_dict()
        before = repr(state)
        live(curriculum, seeded(), [0.5] * 40)
        assert repr(state) == before != repr(curriculum.state_dict())


def test_prediction_gain_refuses_the_state_of_other_ranges() -> None:
    with pytest.raises(ValueError, match="span 4 points, the saved curriculum 8"):
        PredictionGain(Grid(length=(1, 2))).load_state_dict(PredictionGain(Grid()).state_dict())


@pytest.mark.parametrize(
    ("curriculum", "key", "value"),
    [
        (Growing, "threshold", 0),
        (Growing, "threshold", math.nan),
        (Growing, "window", 0),
        (Growing, "window", 2.5),
        (LookBack, "mix", 1.5),
        (LookBackAndForward, "mix", "0.5"),
        (Validated, "threshold", 0.0),
        (Validated, "patience", 0),
        (PredictionGain, "eta", 0.0),
        (PredictionGain, "beta", -1.0),
        (PredictionGain, "epsilon", 0.0),
        (PredictionGain, "history", 1),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_bad_setting_is_named(curriculum: Callable[..., Curriculum], key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^curriculum.{key}={value}: must be "):
        curriculum(Grid(), **{key: value})
