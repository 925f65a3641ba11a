"""Memory is used again, but never while something that was computed still needs it."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from ntm_lab.fast import workspace
from ntm_lab.fast.sequence import leaves
from ntm_lab.fast.workspace import Workspace
from ntm_lab.nn import NTM

Build = Callable[..., NTM]
LIKE = torch.zeros(0)


@pytest.fixture(autouse=True)
def nothing_free(monkeypatch: pytest.MonkeyPatch) -> dict[int, Tensor]:
    """The buffers that are free, at first none."""
    free: dict[int, Tensor] = {}
    monkeypatch.setattr(workspace, "_free", free)
    return free


def places(space: Workspace) -> list[int]:
    return [tensor.data_ptr() for tensor in space.tensors]


def test_a_workspace_is_tensors_of_the_shapes_asked_for() -> None:
    space = Workspace(LIKE.double(), [(2, 3), (0, 5), (4,)])
    assert [tuple(tensor.shape) for tensor in space.tensors] == [(2, 3), (0, 5), (4,)]
    for number, tensor in enumerate(space.tensors):
        tensor.fill_(number)
    assert [tensor.unique().tolist() for tensor in space.tensors] == [[0.0], [], [2.0]]  # they do not overlap
    assert {tensor.dtype for tensor in space.tensors} == {torch.float64}


def test_every_tensor_begins_at_a_cache_line() -> None:
    places_in = [places(Workspace(like, [(3, 5), (1,), (0,), (17,), (2,)])) for like in (LIKE, LIKE.double())]
    assert {place % 64 for each in places_in for place in each} == {0}


def test_memory_is_used_again_when_its_workspace_is_gone() -> None:
    first = Workspace(LIKE, [(100,), (50,)])
    other = Workspace(LIKE, [(100,), (50,)])
    assert not set(places(first)) & set(places(other))
    before = places(first)
    del first
    assert places(Workspace(LIKE, [(100,), (50,)])) == before


def test_a_lease_keeps_memory_from_being_used_again() -> None:
    space = Workspace(LIKE, [(100,)])
    lease, (before,) = space.lease, places(space)
    del space
    assert places(Workspace(LIKE, [(100,)])) != [before]
    del lease
    assert before in {places(space)[0] for space in [Workspace(LIKE, [(100,)]) for _ in range(2)]}


def test_the_smallest_memory_that_will_do_is_taken(nothing_free: dict[int, Tensor]) -> None:
    spaces = [Workspace(LIKE, [(size,)]) for size in (400, 100, 200)]
    wanted = places(spaces[2])
    del spaces
    space = Workspace(LIKE, [(150,)])
    assert places(space) == wanted
    assert sorted(map(len, nothing_free.values())) == [100, 400]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_memory_of_another_type_is_not_taken(dtype: torch.dtype) -> None:
    Workspace(LIKE, [(100,)])
    (tensor,) = Workspace(LIKE.to(dtype), [(10,)]).tensors
    assert tensor.dtype == dtype


def test_only_so_many_buffers_are_kept_and_none_too_large(
    nothing_free: dict[int, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "LARGEST", 1000)
    spaces = [Workspace(LIKE, [(100,)]) for _ in range(2 * workspace.SPARE)]
    del spaces
    large = Workspace(LIKE, [(1001,)])
    assert large.lease is None
    del large
    assert list(map(len, nothing_free.values())) == [100] * workspace.SPARE


# A model's sequences


@pytest.fixture(params=["kept", "too large to be kept"])
def model(request: pytest.FixtureRequest, build: Build, monkeypatch: pytest.MonkeyPatch) -> NTM:
    if request.param != "kept":
        monkeypatch.setattr(workspace, "LARGEST", 0)
    return build(heads=(2, 2)).double()


@pytest.fixture
def batches() -> list[Tensor]:
    """Of one shape, so that one would take the memory of another."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 9, 5, generator=generator, dtype=torch.float64) for _ in range(3)]


def loss(model: NTM, inputs: Tensor) -> Tensor:
    logits, state = model(inputs)
    return logits.square().sum() + state.memory.sum()


def gradients(model: NTM, total: Tensor, **settings: bool) -> tuple[Tensor, ...]:
    return torch.autograd.grad(total, list(model.parameters()), **settings)


def same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    assert any(part.any() for part in expected)
    return all(map(torch.equal, found, expected))


@pytest.fixture
def expected(model: NTM, batches: list[Tensor], nothing_free: dict[int, Tensor]) -> Iterator[list[tuple[Tensor, ...]]]:
    """The gradients of each batch by itself, in memory of its own."""
    results = []
    for inputs in batches:
        nothing_free.clear()
        results.append(gradients(model, loss(model, inputs)))
    nothing_free.clear()
    return results


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=["first first", "last first", "mixed"])
def test_sequences_that_wait_for_their_backward_keep_their_memory(
    model: NTM, batches: list[Tensor], expected: list[tuple[Tensor, ...]], order: tuple[int, ...]
) -> None:
    losses = [loss(model, inputs) for inputs in batches]
    assert all(same(gradients(model, losses[number]), expected[number]) for number in order)


def test_a_graph_that_is_retained_keeps_its_memory(
    model: NTM, batches: list[Tensor], expected: list[tuple[Tensor, ...]]
) -> None:
    total = loss(model, batches[0])
    assert same(gradients(model, total, retain_graph=True), expected[0])
    assert same(gradients(model, loss(model, batches[1])), expected[1])
    assert same(gradients(model, total, retain_graph=True), expected[0])
    with torch.no_grad():
        loss(model, batches[2])
    assert same(gradients(model, total), expected[0])


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_evaluation_and_training_do_not_disturb_each_other(
    model: NTM, batches: list[Tensor], expected: list[tuple[Tensor, ...]], mode: Callable[[], torch.no_grad]
) -> None:
    """Without gradients before, between forward and backward, and after; what it gave stays as it was.

    There many sequences fill as much memory as few do with all their steps, so that training takes it.
    """
    many = batches[1].repeat(50, 1, 1)
    with mode():
        early = model(many)[0]
        kept = early.clone()
    for inputs, wanted in zip(batches, expected, strict=True):
        total = loss(model, inputs)
        with mode():
            model(many)
        assert same(gradients(model, total), wanted)
    with mode():
        assert torch.equal(early, kept) and torch.equal(model(many)[0], kept)


def test_what_came_out_stays_as_it_was(model: NTM, batches: list[Tensor]) -> None:
    """Outputs and signals do not lie in memory that is used again."""
    first = model.trace(batches[0], signals=("gate", "reads", "write_weighting"))
    _, state = model(batches[0])
    kept = [part.clone() for part in (*first.values(), *leaves(state))]
    for inputs in batches:
        gradients(model, loss(model, inputs))
    assert all(map(torch.equal, (*first.values(), *leaves(state)), kept))


@pytest.mark.parametrize("lengths", [None, torch.tensor([4, 1, 9, 6])], ids=["whole", "padded"])
def test_nothing_is_read_that_was_not_written(
    model: NTM, batches: list[Tensor], nothing_free: dict[int, Tensor], lengths: Tensor | None
) -> None:
    """Whatever lies in the memory that is taken."""
    outcomes = []
    for rubbish in (0.0, 1e30, float("nan")):
        filled = [torch.full((100_000,), rubbish, dtype=torch.float64) for _ in range(workspace.SPARE)]
        nothing_free.update((id(buffer), buffer) for buffer in filled)
        logits, state = model(batches[0], lengths=lengths)
        outcomes.append((logits, *gradients(model, logits.square().sum() + state.reads.sum())))
    assert same(outcomes[1], outcomes[0]) and same(outcomes[2], outcomes[0])
