"""Memory is used again, but never while something that was computed still needs it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.fast import workspace
from ntm_lab.fast.contract import leaves
from ntm_lab.fast.workspace import Cut, Workspace
from ntm_lab.nn import MemoryNetwork

Build = Callable[..., MemoryNetwork]
LIKE = torch.zeros(0)


@pytest.fixture(autouse=True)
def nothing_free(monkeypatch: pytest.MonkeyPatch) -> dict[int, Cut]:
    """What is free, at first nothing."""
    free: dict[int, Cut] = {}
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


def test_shapes_that_come_again_are_not_cut_again() -> None:
    spaces = [Workspace(LIKE, [(3, 5), (size,)]) for size in (2, 4)]
    tensors, arrays = spaces[1].tensors, spaces[1].arrays
    del spaces
    again = Workspace(LIKE, [(3, 5), (4,)])
    assert again.tensors is tensors and again.arrays is arrays
    again.tensors[1].fill_(7)
    assert arrays[1].tolist() == [7] * 4


def test_a_lease_keeps_memory_from_being_used_again() -> None:
    space = Workspace(LIKE, [(100,)])
    lease, (before,) = space.lease, places(space)
    del space
    assert places(Workspace(LIKE, [(100,)])) != [before]
    del lease
    assert before in {places(space)[0] for space in [Workspace(LIKE, [(100,)]) for _ in range(2)]}


def test_the_smallest_memory_that_will_do_is_taken(nothing_free: dict[int, Cut]) -> None:
    spaces = [Workspace(LIKE, [(size,)]) for size in (400, 100, 200)]
    wanted = places(spaces[2])
    del spaces
    space = Workspace(LIKE, [(150,)])
    assert places(space) == wanted
    assert sorted(len(cut.memory) for cut in nothing_free.values()) == [100, 400]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_memory_of_another_type_is_not_taken(dtype: torch.dtype) -> None:
    Workspace(LIKE, [(100,)])
    (tensor,) = Workspace(LIKE.to(dtype), [(10,)]).tensors
    assert tensor.dtype == dtype


def test_only_so_many_buffers_are_kept_and_none_too_large(
    nothing_free: dict[int, Cut], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workspace, "LARGEST", 1000)
    spaces = [Workspace(LIKE, [(100,)]) for _ in range(2 * workspace.SPARE)]
    del spaces
    large = Workspace(LIKE, [(1001,)])
    assert large.lease is None
    del large
    assert [len(cut.memory) for cut in nothing_free.values()] == [100] * workspace.SPARE


# A model's sequences


@pytest.fixture(params=["kept", "too large to be kept"])
def model(request: pytest.FixtureRequest, build: Build, monkeypatch: pytest.MonkeyPatch) -> MemoryNetwork:
    if request.param != "kept":
        monkeypatch.setattr(workspace, "LARGEST", 0)
    return build(heads=(2, 2)).double()


@pytest.fixture
def batches() -> list[Tensor]:
    """Of one shape, so that one would take the memory of another."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(4, 9, 5, generator=generator, dtype=torch.float64) for _ in range(3)]


def loss(model: MemoryNetwork, inputs: Tensor) -> Tensor:
    logits, state = model(inputs)
    return logits.square().sum() + state.memory.sum()


def gradients(model: MemoryNetwork, total: Tensor, **settings: bool) -> tuple[Tensor, ...]:
    return torch.autograd.grad(total, list(model.parameters()), **settings)


def same(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> bool:
    assert any(part.any() for part in expected)
    return all(map(torch.equal, found, expected))


@pytest.fixture
def expected(
    model: MemoryNetwork, batches: list[Tensor], nothing_free: dict[int, Cut]
) -> Iterator[list[tuple[Tensor, ...]]]:
    """The gradients of each batch by itself, in memory of its own."""
    results = []
    for inputs in batches:
        nothing_free.clear()
        results.append(gradients(model, loss(model, inputs)))
    nothing_free.clear()
    return results


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=["first first", "last first", "mixed"])
def test_sequences_that_wait_for_their_backward_keep_their_memory(
    model: MemoryNetwork, batches: list[Tensor], expected: list[tuple[Tensor, ...]], order: tuple[int, ...]
) -> None:
    losses = [loss(model, inputs) for inputs in batches]
    assert all(same(gradients(model, losses[number]), expected[number]) for number in order)


def test_a_graph_that_is_retained_keeps_its_memory(
    model: MemoryNetwork, batches: list[Tensor], expected: list[tuple[Tensor, ...]]
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
    model: MemoryNetwork, batches: list[Tensor], expected: list[tuple[Tensor, ...]], mode: Callable[[], torch.no_grad]
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


def test_what_came_out_stays_as_it_was(model: MemoryNetwork, batches: list[Tensor]) -> None:
    """Outputs and signals do not lie in memory that is used again."""
    first = model.trace(batches[0], signals=("gate", "reads", "write_weighting"))
    _, state = model(batches[0])
    kept = [part.clone() for part in (*first.values(), *leaves(state))]
    for inputs in batches:
        gradients(model, loss(model, inputs))
    assert all(map(torch.equal, (*first.values(), *leaves(state)), kept))


@pytest.fixture
def fresh_is_nan() -> Iterator[None]:
    """Fresh tensors hold NaN."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.utils.deterministic.fill_uninitialized_memory = before[1]


def everything(model: MemoryNetwork, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, ...]:
    """Signals, final state and gradients."""
    signals = model.trace(inputs, lengths=lengths, signals=[name for name in model.signals if name != "memory"])
    logits, state = model(inputs, lengths=lengths)
    total = logits.square().sum() + sum(part.sum() for part in signals.values()) + state.reads.sum()
    with torch.no_grad():
        alone, end = model(inputs, lengths=lengths)
    return *signals.values(), logits, *leaves(state), alone, *leaves(end), *gradients(model, total)


@pytest.mark.parametrize("lengths", [None, torch.tensor([4, 1, 9, 6])], ids=["whole", "padded"])
@pytest.mark.parametrize("controller", ["LSTM", "Feedforward", "Recurrent"])
@pytest.mark.parametrize(("machine", "heads"), [("NTM", (2, 2)), ("MANN", 2)], ids=["NTM", "MANN"])
def test_nothing_is_read_that_was_not_written(
    build: Build,
    machine: str,
    heads: Any,
    controller: str,
    lengths: Tensor | None,
    batches: list[Tensor],
    request: pytest.FixtureRequest,
) -> None:
    """Whatever lies in the memory that is taken, fresh or not."""
    model = build(controller, machine, layers=2, heads=heads).double()
    free: dict[int, Cut] = request.getfixturevalue("nothing_free")
    outcomes = []
    for rubbish in (0.0, 1e30, float("nan")):
        filled = [Cut(torch.full((100_000,), rubbish).double(), [(100_000,)]) for _ in range(workspace.SPARE)]
        free.update((id(cut), cut) for cut in filled)
        outcomes.append(everything(model, batches[0], lengths))
        free.clear()
    request.getfixturevalue("fresh_is_nan")
    outcomes.append(everything(model, batches[0], lengths))
    assert all(same(outcome, outcomes[0]) for outcome in outcomes[1:])


def test_threads_do_not_take_each_others_memory(build: Build) -> None:
    """Six at once, the interpreter going from one to the next as often as it can."""
    model = build()
    batches = [torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(seed)) for seed in range(6)]

    def hundred(inputs: Tensor) -> list[tuple[Tensor, ...]]:
        return [gradients(model, loss(model, inputs)) for _ in range(100)]

    expected = [gradients(model, loss(model, inputs)) for inputs in batches]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as pool:
            found = list(pool.map(hundred, batches))
    finally:
        sys.setswitchinterval(before)
    assert all(same(each, wanted) for those, wanted in zip(found, expected, strict=True) for each in those)


def test_a_workspace_may_end_while_another_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the garbage collector does it, in the middle of any line."""
    monkeypatch.setattr(workspace, "SPARE", 100)
    ends = [Workspace(LIKE, [(size,)]) for size in range(1, 50)]
    kept = [Workspace(LIKE, [(10_000,)]) for _ in range(3)]

    def end_one(frame: Any, event: str, argument: Any) -> Any:
        if ends and frame.f_code is workspace._take.__code__:
            ends.pop()
        frame.f_trace_opcodes = True
        return end_one

    tracing = sys.gettrace()
    sys.settrace(end_one)
    try:
        taken = [Workspace(LIKE, [(20,)]) for _ in range(20)]
    finally:
        sys.settrace(tracing)
    assert not ends
    assert len({place for space in (*taken, *kept) for place in places(space)}) == 23


COMPILED = """
import gc, sys, warnings, torch
from ntm_lab.nn import NTM
torch.manual_seed(0)
model = NTM(5, 4, size=5, slots=7, width=3, backend=sys.argv[1])
inputs = torch.randn(2, 3, 5)
expected = model(inputs)[0]
with warnings.catch_warnings(record=True) as caught:
    compiled = torch.compile(model, backend="eager")
    for _ in range(3):
        logits = compiled(inputs)[0]
        logits.sum().backward()
    assert torch.equal(logits, expected)
    gc.collect()
print([str(warning.message) for warning in caught if "ntm_lab" in str(warning.message) + warning.filename])
"""


def test_torch_compile_is_quiet() -> None:
    """And computes the same; nothing is said about a workspace that ends."""
    command = [sys.executable, "-c", COMPILED, "numba"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line for line in ended.stderr.splitlines() if not line.startswith("compiling the numba backend")]
    assert (ended.stdout.strip(), said) == ("[]", [])
