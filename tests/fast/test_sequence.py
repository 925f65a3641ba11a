"""The recurrence as one operation: its gradients, and that it refuses what does not fit together."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ntm_lab.fast.contract import Plan, State, leaves
from ntm_lab.fast.numba import backend as numba_backend
from ntm_lab.fast.sequence import MACHINES, Affine, Network, run
from ntm_lab.nn import DNCAccess, MANNAccess, MemoryNetwork, NetworkState, NTMAccess
from ntm_lab.types import Access, Layer

Build = Callable[..., MemoryNetwork]


def plan(access: Access | None = None, **others: Any) -> Plan:
    access = NTMAccess(9, 2) if access is None else access
    plain = {"inputs": 2, "layers": 1, "size": 2, "gated": True, "recurrent": True, "every": 2} | others
    own = {"reads": access.read_heads * access.width, "parameters": access.layout.size}
    return Plan(**plain, **own, access=MACHINES[str(access.machine)].plan_of(access))


PLAIN = plan()
PLANS = {
    "lstm": PLAIN,
    "lstm of 2 layers": plan(layers=2, size=1),
    "recurrent of 2 layers": plan(gated=False, layers=2),
    "feedforward": plan(gated=False, recurrent=False),
    "feedforward of 2 layers": plan(NTMAccess(9, 1), gated=False, recurrent=False, layers=2, inputs=1),
    "2 reads and 3 writes": plan(NTMAccess(9, 2, read_heads=2, write_heads=3), gated=False),
    "unbounded, 1 shift": plan(NTMAccess(9, 2, bounded=False, shift_range=1)),
    "dnc": plan(DNCAccess(9, 2, read_heads=2)),
    "dnc without links": plan(DNCAccess(9, 2, links="none"), gated=False),
    "dnc with all repairs": plan(
        DNCAccess(9, 2, read_heads=2, masking=True, deallocation=True, link_sharpness=True, bounded=False), gated=False
    ),
    "mann": plan(MANNAccess(9, 2, heads=2)),
    "mann of the paper": plan(
        MANNAccess(
            9, 2, heads=2, late_write=False, key_strength=False, separate_add=False, own_slots=False, read_first=False
        ),
        gated=False,
    ),
    "mann, back to the written slot": plan(MANNAccess(9, 2, gate_to="written", read_first=False), gated=False),
}
BATCH, STEPS, SLOTS = 2, 3, 4


def drawn(plan: Plan) -> dict[str, Tensor]:
    """All that goes in, by name, in float64."""
    state, _, _ = MACHINES[plan.access.machine].shapes(plan.access, BATCH, SLOTS)
    shapes = {
        "inputs": (BATCH, STEPS, plan.inputs),
        "heads": (plan.parameters, plan.size),
        "bias": (plan.parameters,),
        "output": (3, plan.size + plan.reads),
        "output bias": (3,),
        "hidden": (BATCH, plan.layers, plan.size),
        "cell": (BATCH, plan.layers, plan.size),
        "reads": (BATCH, plan.reads),
    } | state._asdict()
    rows = plan.size * (4 if plan.gated else 1)
    for number, (below, _) in enumerate(plan.columns):
        shapes |= {f"below {number}": (rows, below), f"layer bias {number}": (rows,)}
        shapes |= {f"own {number}": (rows, plan.size)} if plan.recurrent else {}
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    shares = {name: tensors[name].sigmoid() for name in ("usage", "precedence", "link") if name in tensors}
    return tensors | shares | {name: part.softmax(-1) for name, part in tensors.items() if name.endswith("weighting")}


MASK = torch.linspace(0, 2, STEPS * BATCH * 9, dtype=torch.float64).view(STEPS, BATCH, 9)  # of the logits' features


def apply(plan: Plan, tensors: dict[str, Tensor], lengths: Tensor | None = None) -> tuple[Tensor, ...]:
    """Everything that comes out."""
    machine, features = MACHINES[plan.access.machine], plan.size + plan.reads
    own, _, _ = machine.shapes(plan.access, BATCH, SLOTS)
    state = State(*(tensors[name] for name in ("hidden", "cell", "reads")), own._make(map(tensors.get, own._fields)))
    layers = tuple(
        Layer(tensors[f"below {number}"], tensors.get(f"own {number}"), tensors[f"layer bias {number}"])
        for number in range(plan.layers)
    )
    network = Network(
        Affine(tensors["heads"], tensors["bias"]), Affine(tensors["output"], tensors["output bias"]), layers
    )
    result = run(numba_backend, machine, plan, tensors["inputs"], network, state, lengths, MASK[..., :features], True)
    assert result.signals is not None
    return result.logits, *leaves(result.signals), *leaves(result.state)


@pytest.mark.parametrize("lengths", [None, (1, 3), (2, 1)], ids=["whole", "padded", "padded to more than the longest"])
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_gradients(plan: Plan, lengths: tuple[int, ...] | None) -> None:
    """Of all that comes out, with respect to all that goes in."""
    tensors = {name: tensor.requires_grad_() for name, tensor in drawn(plan).items()}
    ends = None if lengths is None else torch.tensor(lengths)

    def outcome(*values: Tensor) -> tuple[Tensor, ...]:
        return apply(plan, dict(zip(tensors, values, strict=True)), ends)

    assert torch.autograd.gradcheck(outcome, tuple(tensors.values()))


@pytest.mark.parametrize("alone", drawn(PLAIN))
def test_a_gradient_does_not_depend_on_which_others_are_wanted(alone: str) -> None:
    tensors = {name: tensor.requires_grad_() for name, tensor in drawn(PLAIN).items()}
    outcome = sum(part.square().sum() for part in apply(PLAIN, tensors))
    (expected,) = torch.autograd.grad(outcome, tensors[alone])
    only = {name: tensor.detach().requires_grad_(name == alone) for name, tensor in tensors.items()}
    (found,) = torch.autograd.grad(sum(part.square().sum() for part in apply(PLAIN, only)), only[alone])
    assert expected.any() and torch.equal(found, expected)


@pytest.mark.parametrize("lengths", [None, (1, 3)], ids=["whole", "padded"])
def test_logits_are_an_affine_map_of_the_masked_features(lengths: tuple[int, ...] | None) -> None:
    tensors = drawn(PLAIN)
    logits, outputs, *_ = apply(PLAIN, tensors, None if lengths is None else torch.tensor(lengths))
    features = outputs * MASK[..., : outputs.shape[2]].transpose(0, 1)
    torch.testing.assert_close(logits, features @ tensors["output"].T + tensors["output bias"])


@pytest.mark.parametrize("lengths", [None, (1, 3)], ids=["whole", "padded"])
def test_values_are_the_same_without_gradients(lengths: tuple[int, ...] | None) -> None:
    tensors = {name: tensor.requires_grad_() for name, tensor in drawn(PLAIN).items()}
    ends = None if lengths is None else torch.tensor(lengths)
    expected = apply(PLAIN, tensors, ends)
    with torch.no_grad():
        found = apply(PLAIN, tensors, ends)
    assert all(part.grad_fn is not None for part in expected) and all(map(torch.equal, found, expected))


def test_a_sequence_of_length_0_keeps_its_state() -> None:
    tensors = {name: tensor.requires_grad_() for name, tensor in drawn(PLAIN).items()}
    _, *series, hidden, cell, reads, memory, weighting = apply(PLAIN, tensors, torch.tensor([0, 2]))
    for part, name in ((memory, "memory"), (weighting, "weighting"), (reads, "reads")):
        assert torch.equal(part[0], tensors[name][0]) and not torch.equal(part[1], tensors[name][1])
    assert torch.equal(hidden[0], tensors["hidden"][0]) and torch.equal(cell[0], tensors["cell"][0])
    assert not any(part[0].any() for part in series)
    (gradient,) = torch.autograd.grad(memory[0].sum(), tensors["memory"])
    assert (gradient[0] == 1).all() and not gradient[1].any()


LOSSES: dict[str, Callable[[Tensor, NetworkState], Tensor]] = {
    "squares of the logits": lambda logits, state: logits.square().sum(),
    "sum of the logits": lambda logits, state: logits.sum(),
    "sum of the memory": lambda logits, state: state.memory.sum(),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_second_derivatives_are_refused_where_the_reference_has_them(
    build: Build, loss: Callable[[Tensor, NetworkState], Tensor]
) -> None:
    """They are not left out in silence: the loss with a penalty on its own gradient."""
    inputs = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    gradients = []
    for penalised in (False, True):
        model = build(backend="reference").double()
        gradients.append(gradient_of_penalised(model, loss, inputs, penalised))
    assert gradients[0].any() and not torch.allclose(*gradients)
    with pytest.raises(RuntimeError):
        gradient_of_penalised(build(backend="numba").double(), loss, inputs, True)


def gradient_of_penalised(
    model: MemoryNetwork, loss: Callable[[Tensor, NetworkState], Tensor], inputs: Tensor, penalised: bool
) -> Tensor:
    total = loss(*model(inputs))
    (of_inputs,) = torch.autograd.grad(total, inputs, create_graph=True)
    (total + penalised * of_inputs.square().sum()).backward()
    gradient = model.heads.weight.grad
    assert gradient is not None
    return gradient


# Compiled code would read and write past the ends of what does not fit


def changed_sizes() -> list[Any]:
    """Each tensor's each dimension, one more and one less."""
    return [
        pytest.param(name, dimension, change, id=f"{name}-{dimension}-{'longer' if change > 0 else 'shorter'}")
        for name, tensor in drawn(PLAIN).items()
        for dimension in range(tensor.dim())
        for change in (1, -1)
        if (name, dimension) != ("inputs", 1)  # any number of steps will do
    ]


@pytest.mark.parametrize(("name", "dimension", "change"), changed_sizes())
def test_a_size_that_does_not_fit_is_refused(name: str, dimension: int, change: int) -> None:
    tensors = drawn(PLAIN)
    shape = list(tensors[name].shape)
    shape[dimension] += change
    with pytest.raises(ValueError, match=r"is .*, not "):
        apply(PLAIN, tensors | {name: torch.zeros(shape, dtype=torch.float64)})


@pytest.mark.parametrize("name", drawn(PLAIN))
def test_a_type_that_does_not_fit_is_refused(name: str) -> None:
    tensors = drawn(PLAIN)
    with pytest.raises(TypeError, match=r"torch\.float32 .*torch\.float64|torch\.float64 .*torch\.float32"):
        apply(PLAIN, tensors | {name: tensors[name].float()})


@pytest.mark.parametrize("lengths", [torch.tensor([3]), torch.tensor([3, 2, 1]), torch.tensor([[3, 2]])], ids=str)
def test_lengths_that_do_not_fit_are_refused(lengths: Tensor) -> None:
    with pytest.raises(ValueError, match=r"^lengths: "):
        apply(PLAIN, drawn(PLAIN), lengths)


@pytest.mark.parametrize("slots", [1, 2])
def test_a_shift_beyond_all_slots_is_refused(slots: int) -> None:
    """The reference raises, too: a head cannot be shifted by three where there are two slots or less."""
    wide = plan(NTMAccess(9, 2, shift_range=7))
    tensors = drawn(wide)
    memory, weighting = tensors["memory"][:, :slots], tensors["weighting"][..., :slots]
    with pytest.raises(ValueError, match="shift"):
        apply(wide, tensors | {"memory": memory, "weighting": weighting})


MISFITS: dict[str, Callable[[MemoryNetwork, Tensor], Any]] = {
    "inputs too wide": lambda model, inputs: model(torch.cat((inputs, inputs), 2)),
    "inputs too narrow": lambda model, inputs: model(inputs[..., 1:]),
    "inputs in float64": lambda model, inputs: model(inputs.double()),
    "inputs of integers": lambda model, inputs: model(inputs.long()),
    "state of fewer sequences": lambda model, inputs: model(inputs, model.initial_state(2)),
    "state of more sequences": lambda model, inputs: model(inputs, model.initial_state(4)),
    "state of one sequence": lambda model, inputs: model(inputs, model.initial_state(1)),
    "state of another memory's width": lambda model, inputs: model(
        inputs, model.initial_state(3).with_memory(torch.zeros(3, 7, 4))
    ),
    "state in float64": lambda model, inputs: model(
        inputs, model.initial_state(3).with_memory(torch.zeros(3, 7, 3, dtype=torch.float64))
    ),
    "state without the controller's": lambda model, inputs: model(
        inputs, model.initial_state(3)._replace(controller=())
    ),
    "fewer lengths": lambda model, inputs: model(inputs, lengths=torch.tensor([1, 2])),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_a_model_refuses_what_does_not_fit(build: Build, misfit: str) -> None:
    with pytest.raises((ValueError, TypeError, RuntimeError)):
        MISFITS[misfit](build(), torch.randn(3, 4, 5))


def test_no_sequences_give_no_outputs(build: Build) -> None:
    """As the reference does, where a batch happens to be empty."""
    for backend in ("reference", "numba"):
        logits, state = build(backend=backend)(torch.zeros(0, 4, 5))
        assert logits.shape[:2] == (0, 4) and len(state.memory) == 0


def test_lengths_may_be_of_any_whole_type(build: Build) -> None:
    inputs, lengths = torch.randn(3, 4, 5), torch.tensor([4, 2, 1])
    model = build(backend="numba")
    assert torch.equal(model(inputs, lengths=lengths)[0], model(inputs, lengths=lengths.int())[0])
