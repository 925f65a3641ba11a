"""The Triton kernels against the reference equations: in Triton's interpreter, and on a GPU where there is one."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

import ntm_lab.fast.triton
from ntm_lab import nn
from ntm_lab.fast import backends
from ntm_lab.fast.contract import Gradients, Tape, Upstream, leaves
from ntm_lab.nn import MemoryNetwork, NetworkState, controllers
from ntm_lab.nn.contents import Random
from ntm_lab.nn.weightings import Learned

pytestmark = pytest.mark.slow

triton = pytest.importorskip("triton")
tl = import_module("triton.language")
InterpretedFunction = import_module("triton.runtime.interpreter").InterpretedFunction

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Case(NamedTuple):
    """A model and its sequences."""

    controller: str
    layers: int = 1
    size: int = 11
    inputs: int = 5
    heads: Any = (1, 1)
    shifts: int = 3
    slots: int = 7
    width: int = 3
    batch: int = 2
    steps: int = 4
    lengths: tuple[int, ...] | None = None
    scale: float = 1  # of all that sets the heads
    bounded: bool = True
    every: int = 3
    machine: str = "NTM"
    options: Mapping[str, Any] = MappingProxyType({})  # of another machine

    @property
    def access(self) -> dict[str, Any]:
        """The settings of its access, with nothing that makes heads begin one way or another."""
        if self.machine == "MANN":
            return {"heads": self.heads, "gate_bias": 0.0, "strength_bias": 0.0, "gain": 1.0, **self.options}
        if self.machine == "DNC":
            gates = {f"{gate}_gate_bias": 0.0 for gate in ("allocation", "write", "free")}
            return {"read_heads": self.heads, "bounded": self.bounded, **gates, **self.options}
        return {
            "weighting": partial(Learned, focus=2.0, std=0.5),
            "read_heads": self.heads[0],
            "write_heads": self.heads[1],
            "shift_range": self.shifts,
            "bounded": self.bounded,
            "write_gate_bias": 0.0,
            "write_shift_bias": 0.0,
        }


SANTORO = {
    "late_write": False,
    "key_strength": False,
    "separate_add": False,
    "own_slots": False,
    "read_first": False,
    "usage_decay": 0.99,
}
REPAIRED = {"masking": True, "deallocation": True, "link_sharpness": True}  # Csordás, Schmidhuber 2019
CASES = {
    "lstm": Case("LSTM"),
    "lstm-2_layers-2_reads-3_writes-5_shifts-mixed_lengths": Case(
        "LSTM", 2, heads=(2, 3), shifts=5, slots=13, width=6, batch=3, steps=5, lengths=(3, 5, 1)
    ),
    "lstm-sharp-every_step_kept": Case("LSTM", scale=10, every=1),
    "lstm-saturated": Case("LSTM", scale=1000),
    "lstm-small": Case("LSTM", scale=1e-4),
    "lstm-several_blocks_of_weights": Case("LSTM", size=70, inputs=60, width=20, slots=4, batch=1, steps=2),
    "lstm-one_slot-one_column-one_step": Case("LSTM", shifts=1, slots=1, width=1, batch=1, steps=1),
    "feedforward-unbounded-1_shift": Case("Feedforward", shifts=1, slots=8, width=4, bounded=False),
    "feedforward-2_layers-sharp-mixed_lengths": Case(
        "Feedforward", 2, heads=(2, 1), batch=3, steps=6, lengths=(6, 2, 4), scale=10
    ),
    "recurrent-2_writes-as_many_shifts_as_slots": Case("Recurrent", heads=(1, 2), shifts=5, slots=5),
    "recurrent-3_layers-unbounded-one_kept": Case("Recurrent", 3, slots=12, width=5, bounded=False, every=8),
    "mann": Case("LSTM", machine="MANN", heads=1),
    "mann-2_layers-3_heads-mixed_lengths": Case(
        "LSTM", 2, machine="MANN", heads=3, slots=13, width=6, batch=3, steps=5, lengths=(3, 5, 1)
    ),
    "mann-of_the_paper": Case("Feedforward", machine="MANN", heads=2, options=SANTORO),
    "mann-reads_first-the_key_is_written": Case(
        "Feedforward", machine="MANN", heads=2, options={"separate_add": False}
    ),
    "mann-back_to_the_written_slot-reads_last": Case(
        "Recurrent", machine="MANN", heads=2, scale=10, options={"gate_to": "written", "read_first": False}
    ),
    "dnc": Case("LSTM", machine="DNC", heads=1),
    "dnc-2_layers-3_heads-all_repairs-mixed_lengths": Case(
        "LSTM", 2, machine="DNC", heads=3, slots=13, width=6, batch=3, steps=5, lengths=(3, 5, 1), options=REPAIRED
    ),
    "dnc-no_links-deallocation-unbounded": Case(
        "Feedforward", machine="DNC", heads=2, bounded=False, options={"links": "none", "deallocation": True}
    ),
    "dnc-links_by_blocks-usage_gradient_cut": Case(
        "Feedforward", machine="DNC", heads=2, slots=67, batch=1, steps=3, options={"cut_usage_gradient": True}
    ),
}
WELL_CONDITIONED = ("lstm", "lstm-small", "feedforward-unbounded-1_shift", "mann", "dnc")
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_well_conditioned_case = pytest.mark.parametrize(
    "case", [CASES[name] for name in WELL_CONDITIONED], ids=WELL_CONDITIONED
)


def model_of(case: Case) -> MemoryNetwork:
    torch.manual_seed(0)
    model: MemoryNetwork = getattr(nn, case.machine)(
        case.inputs,
        4,
        partial(getattr(controllers, case.controller), size=case.size, layers=case.layers),
        slots=case.slots,
        width=case.width,
        init=partial(Random, std=1.0, trainable=True),
        recompute_every=case.every,
        **case.access,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for parameter in model.heads.parameters():
            parameter.mul_(case.scale)
    return model.double()


def inputs_of(case: Case) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(case.batch, case.steps, case.inputs, generator=generator, dtype=torch.float64)


def lengths_of(case: Case) -> Tensor | None:
    return None if case.lengths is None else torch.tensor(case.lengths)


class Outcome(NamedTuple):
    """All that comes out of a model, and the gradients of a random sum of it."""

    values: dict[str, Tensor]
    gradients: dict[str, Tensor]


def outcome(
    model: MemoryNetwork, inputs: Tensor, lengths: Tensor | None, backend: str, of: str | None = None
) -> Outcome:
    """``of`` is the one value whose gradients are asked for; default all."""
    model.backend = backend
    model.zero_grad()
    inputs = inputs.clone().requires_grad_()
    generator = torch.Generator().manual_seed(2)

    def drawn(like: Tensor) -> Tensor:
        """The same numbers in every type."""
        return torch.randn(like.shape, generator=generator).bfloat16().to(like)

    start = model.initial_state(len(inputs))
    parts = start.access._asdict() | {"reads": start.reads}
    parts |= {f"controller {number}": part for number, part in enumerate(start.controller)}
    parts = {name: drawn(part) for name, part in parts.items()}  # unlike that, not alike in all rows
    for name in start.access._fields:
        if name.endswith("weighting") or name in ("precedence", "link"):
            parts[name] = parts[name].float().softmax(-1).bfloat16().to(inputs)
        if name == "usage":
            parts[name] = parts[name].float().sigmoid().bfloat16().to(inputs)
    for part in parts.values():
        part.requires_grad_()
    start = NetworkState(
        controller=tuple(part for name, part in parts.items() if name.startswith("controller")),
        access=start.access._make(parts[name] for name in start.access._fields),
        reads=parts["reads"],
    )
    wanted = [name for name in model.signals if name not in ("memory", "link")]  # which are the reference's alone
    signals, end = model._unroll(inputs, start, lengths, wanted)  # the only way to both signals and final state
    values = signals | {f"final {name}": part for name, part in end.access._asdict().items()}
    values["final reads"] = end.reads
    values |= {f"final controller {number}": part for number, part in enumerate(end.controller)}

    sum((value * drawn(value)).sum() for name, value in values.items() if of in (None, name)).backward()
    leaves = dict(model.named_parameters()) | parts | {"inputs": inputs}
    gradients = {
        f"d {name}": torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in leaves.items()
    }
    return Outcome({name: value.detach() for name, value in values.items()}, gradients)


def errors(expected: dict[str, Tensor], found: dict[str, Tensor]) -> dict[str, float]:
    """The largest error in every tensor, relative to its largest value."""
    assert expected.keys() == found.keys()
    result = {}
    for name, wanted in expected.items():
        wanted, given = wanted.double(), found[name].double()
        if not wanted.numel():  # links that there are not
            assert given.shape == wanted.shape
            continue
        result[name] = ((wanted - given).abs().max() / wanted.abs().max().clamp_min(1e-300)).item()
    return result


def assert_equal(case: Case, dtype: torch.dtype, tolerance: float, device: str = "cpu") -> None:
    model = model_of(case).to(device, dtype)
    inputs, lengths = inputs_of(case).to(device, dtype), lengths_of(case)
    lengths = None if lengths is None else lengths.to(device)
    expected, found = (outcome(model, inputs, lengths, backend) for backend in ("reference", "triton"))
    for wanted, given in zip(expected, found, strict=True):
        worst = errors(wanted, given)
        assert {name: error for name, error in worst.items() if not error < tolerance} == {}


# Triton decides when it is imported whether it interprets, and torch may import it before any test. So its library and
# our kernels are made anew for the interpreter, only for the length of a test, and other tests see nothing of it.

LIBRARIES = (tl, tl.core, tl.standard, tl.math)


def anew(patch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the backend, made anew, and in place of the others for as long as the patch lasts."""
    package = ntm_lab.fast.triton
    folder = Path(package.__path__[0])
    parts = [path.stem for path in folder.glob("[!_]*")]
    parts_of_parts = [f"{path.parent.name}.{path.stem}" for path in folder.glob("[!_]*/[!_]*.py")]
    names = [f"{package.__name__}.{part}" for part in (*parts, *parts_of_parts)]
    for name in names:
        patch.setitem(sys.modules, name, package)  # so that what was there comes back
        del sys.modules[name]
    for part in parts:
        patch.setattr(package, part, None, raising=False)
        delattr(package, part)
    import_module(f"{package.__name__}.backend")
    return {name: sys.modules[name] for name in names}


@pytest.fixture(scope="module")
def ours() -> dict[str, ModuleType]:
    """The modules of the backend, interpreted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        return anew(patch)


@pytest.fixture
def interpreter(ours: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The backend that ``backend="triton"`` then is."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    for name, module in ours.items():
        monkeypatch.setitem(sys.modules, name, module)
    before = [dict(vars(library)) for library in LIBRARIES]  # the interpreter replaces parts and leaves some replaced
    for library in LIBRARIES:
        for name, member in list(vars(library).items()):
            if isinstance(member, triton.JITFunction):
                setattr(library, name, InterpretedFunction(member.fn))
    backends._load.cache_clear()
    yield ours["ntm_lab.fast.triton.backend"]
    backends._load.cache_clear()
    for library, names in zip(LIBRARIES, before, strict=True):
        for name, member in names.items():
            setattr(library, name, member)


@each_case
def test_float64_equals_the_reference(interpreter: ModuleType, case: Case) -> None:
    assert_equal(case, torch.float64, 1e-10)


@each_well_conditioned_case
def test_float32_equals_the_reference(interpreter: ModuleType, case: Case) -> None:
    assert_equal(case, torch.float32, 1e-5)


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("lstm", "logits"),
        ("lstm", "final memory"),
        ("lstm", "shift"),
        ("mann", "usage"),
        ("mann", "write_weighting"),
        ("dnc", "allocation"),
    ],
)
def test_gradients_of_one_value_equal_those_of_the_reference(interpreter: ModuleType, name: str, of: str) -> None:
    """There is one upstream gradient then."""
    case = CASES[name]
    model, inputs = model_of(case), inputs_of(case)
    expected, found = (outcome(model, inputs, None, backend, of).gradients for backend in ("reference", "triton"))
    assert max(errors(expected, found).values()) < 1e-10
    assert expected["d memory"].any()


def test_without_gradients(interpreter: ModuleType) -> None:
    """The tape has one step then."""
    case = CASES["lstm"]._replace(lengths=(2, 4))
    model, inputs, lengths = model_of(case), inputs_of(case), lengths_of(case)
    results = []
    for model.backend in ("reference", "triton"):
        with torch.no_grad():
            logits, state = model(inputs, lengths=lengths)
        results.append([logits, *leaves(state)])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["lstm", "feedforward-unbounded-1_shift"])
def test_bfloat16_is_as_exact_as_its_storage(interpreter: ModuleType, name: str) -> None:
    """All arithmetic is in float32. What comes out is then off by its own storage: on a GPU, which rounds, by 2⁻⁸, and
    in the interpreter, which cuts off, by 2⁻⁷ at most. Gradients pass through what every step has stored: measured were
    up to 0.024 of a tensor's largest, 0.041 with sharp heads, against 0.041 and 0.043 of the reference in bfloat16."""
    model, inputs = model_of(CASES[name]).bfloat16(), inputs_of(CASES[name]).bfloat16()
    expected = outcome(deepcopy(model).double(), inputs.double(), None, "reference")
    found = outcome(model, inputs, None, "triton")
    assert max(errors(expected.values, found.values).values()) < 2**-7
    assert max(errors(expected.gradients, found.gradients).values()) < 0.03


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of numpy, in the interpreter
@pytest.mark.parametrize("name", ["lstm", "dnc"])
def test_nan_comes_through_and_stays_in_its_sequence(interpreter: ModuleType, name: str) -> None:
    case = CASES[name]
    model, inputs = model_of(case), inputs_of(case)
    inputs[0, 2, 1] = torch.nan
    results = []
    for model.backend in ("reference", "triton"):
        results.append(model(inputs)[0].isnan())
    assert results[0].any() and not results[0].all()
    assert torch.equal(*results)


@pytest.mark.parametrize(("machine", "heads"), [("NTM", (1, 1)), ("MANN", 2), ("DNC", 2)], ids=["NTM", "MANN", "DNC"])
def test_past_its_end_nothing_of_a_sequence_is_touched(
    interpreter: ModuleType, machine: str, heads: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is NaN there when a kernel begins is NaN when it ends, and no result is."""
    case = Case("LSTM", 2, heads=heads, steps=4, lengths=(2, 4), machine=machine)

    def past(part: Tensor, lengths: Tensor) -> Tensor:
        """The view of (T, B, …) or (L, T, B, …) that is past the end."""
        steps, batch = case.steps, case.batch
        at = next(place for place in range(2) if part.shape[place : place + 2] == (steps, batch))
        ended = torch.arange(steps).unsqueeze(1) >= lengths
        return ended.view(*[1] * at, steps, batch, *[1] * (part.dim() - at - 2)).expand(part.shape)

    def arrays_of(argument: Any) -> list[Tensor]:
        """Those that have steps."""
        if isinstance(argument, Tape):
            every_step = {name: part for name, part in argument._asdict().items() if name != "snapshots"}
            saved = [part for name, part in argument.saved._asdict().items() if name != "links"]
            argument = [*(every_step | {"saved": tuple(saved)}).values()]
        elif isinstance(argument, Tensor):
            argument = [argument]
        elif not isinstance(argument, (Upstream, Gradients)):
            argument = []
        return [part for part in leaves(argument) if part.numel()]

    def guarded(
        kernel: Any, functions: Any, plan: Any, sizes: Any, lengths: Tensor, counts: Any, *arguments: Any
    ) -> None:
        parts = [part for argument in arguments for part in arrays_of(argument)]
        for part in parts:
            part[past(part, lengths)] = torch.nan
        launch(kernel, functions, plan, sizes, lengths, counts, *arguments)
        for part in parts:
            assert part.isnan().equal(past(part, lengths))
            part[past(part, lengths)] = 0
        launched.append(kernel)

    launch: Callable[..., None] = interpreter._launch
    launched: list[Any] = []
    monkeypatch.setattr(interpreter, "_launch", guarded)
    found = outcome(model_of(case), inputs_of(case), lengths_of(case), "triton")
    assert len(launched) == 2
    assert all(part.isfinite().all() for parts in found for part in parts.values())


def test_an_upstream_gradient_past_an_end_does_not_count(interpreter: ModuleType) -> None:
    tape = SimpleNamespace(parameters=torch.ones(3, 2, 4), gates=torch.ones(1, 3, 2, 8))
    nothing, lengths = torch.empty(0), torch.tensor([3, 1])
    upstream = Upstream(nothing, torch.ones(3, 2, 4), ())
    gradients = interpreter._gradients(lengths, tape, upstream, nothing)
    assert gradients.parameters[..., 0].tolist() == [[1, 1], [1, 0], [1, 0]]
    assert not gradients.layers.any()


# What the interpreter would not notice


class Access:
    """To places in memory, and what is wrong with it: a barrier is missing, or two programs meet."""

    def __init__(self) -> None:
        self.conflicts: Counter[str] = Counter()
        self.owners: dict[int, object] = {}  # which program stored somewhere
        self.readers: dict[int, object] = {}
        self.begin(None)

    def begin(self, program: object) -> None:
        self.program = program
        self.barrier()

    def barrier(self) -> None:
        self.loaded: set[int] = set()
        self.stored: set[int] = set()

    def load(self, places: set[int]) -> None:
        self.conflicts["read after it was written"] += len(places & self.stored)
        self.loaded |= places
        for place in places:
            self.conflicts["read from another program"] += self.owners.get(place, self.program) != self.program
            self.readers[place] = self.program

    def store(self, places: set[int]) -> None:
        self.conflicts["written after it was read"] += len(places & self.loaded)
        self.conflicts["written twice"] += len(places & self.stored)
        self.stored |= places
        for place in places:
            self.conflicts["written by two programs"] += self.owners.get(place, self.program) != self.program
            self.conflicts["written, read by another"] += self.readers.get(place, self.program) != self.program
            self.owners[place] = self.program


@pytest.mark.parametrize(
    "case",
    [
        Case("LSTM", size=70, heads=(2, 2), slots=5, width=4, steps=3, every=2),
        Case("Feedforward", 2, size=70, shifts=1, steps=2),
        Case("Recurrent", 2, heads=(1, 2), shifts=5, slots=5, steps=3, lengths=(3, 1)),
        Case("Feedforward", machine="DNC", heads=2, steps=3, lengths=(3, 1), options=REPAIRED),
    ],
    ids=["lstm", "feedforward", "recurrent", "dnc"],
)
def test_between_two_barriers_no_place_is_both_written_and_read(
    interpreter: ModuleType, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads run one after the other in the interpreter; on a GPU such a place would hold this or that."""
    builder = type(import_module("triton.runtime.interpreter").interpreter_builder)
    access = Access()
    launches: list[Counter[str]] = []

    def places(pointers: Any, mask: Any) -> set[int]:
        return set(np.atleast_1d(pointers.data)[np.atleast_1d(mask.data)].tolist())

    def watch(name: str, note: Callable[..., None]) -> None:
        plain = getattr(builder, name)

        def watched(self: Any, *arguments: Any) -> Any:
            note(*arguments)
            return plain(self, *arguments)

        monkeypatch.setattr(builder, name, watched)

    watch("create_masked_load", lambda pointers, mask, *_: access.load(places(pointers, mask)))
    watch("create_masked_store", lambda pointers, value, mask, *_: access.store(places(pointers, mask)))
    watch("create_barrier", lambda: access.barrier())
    watch("set_grid_idx", lambda *index: access.begin(index))

    def launch(kernel: Any, *arguments: Any) -> None:
        nonlocal access
        access = Access()
        plain_launch(kernel, *arguments)
        assert access.owners
        launches.append(+access.conflicts)

    plain_launch = interpreter._launch
    monkeypatch.setattr(interpreter, "_launch", launch)
    model, inputs, lengths = model_of(case), inputs_of(case), lengths_of(case)
    outcome(model, inputs, lengths, "triton")
    with torch.no_grad():
        model(inputs, lengths=lengths)
    assert launches == [Counter()] * 3


class NoDevice:
    """A driver for which Triton compiles, and which then runs nothing."""

    def __init__(self) -> None:
        self.utils = self
        self.compiled: list[Any] = []

    def get_current_target(self) -> Any:
        return import_module("triton.backends.compiler").GPUTarget("cuda", 80, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_device_properties(self, device: int) -> dict[str, int]:
        return {"max_shared_mem": 163 << 10}  # of a block on compute capability 8.0

    def load_binary(self, name: str, *arguments: Any) -> tuple[None, None, int, int, int]:
        self.compiled.append(name)
        return None, None, 0, 0, 1024

    def launcher_cls(self, source: Any, metadata: Any) -> Callable[..., None]:
        return lambda *arguments: None


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("lstm", torch.float32),
        ("feedforward-unbounded-1_shift", torch.bfloat16),
        ("mann-2_layers-3_heads-mixed_lengths", torch.float32),
        ("mann-of_the_paper", torch.bfloat16),
        ("dnc-2_layers-3_heads-all_repairs-mixed_lengths", torch.float32),
        ("dnc-no_links-deallocation-unbounded", torch.bfloat16),
    ],
    ids=["lstm-float32", "feedforward-bfloat16", "mann-float32", "mann-bfloat16", "dnc-float32", "dnc-bfloat16"],
)
def test_compiles_for_a_gpu(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Not all that the interpreter takes does."""
    device = NoDevice()
    monkeypatch.setattr(triton.runtime.driver, "_active", device)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    backend = anew(monkeypatch)["ntm_lab.fast.triton.backend"]
    monkeypatch.setattr(backends, "choose", lambda *arguments: backend)
    outcome(model_of(CASES[name]).to(dtype), inputs_of(CASES[name]).to(dtype), None, "triton")
    assert device.compiled == ["forward", "backward"]


# What it serves


def test_what_it_cannot_serve_it_names(interpreter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = torch.zeros(1)
    assert interpreter.unsuited(inputs) is None
    assert "float16" in interpreter.unsuited(inputs.half())
    assert "meta" in interpreter.unsuited(inputs.to("meta"))
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(ValueError, match=r"model\.backend=triton: on the CPU .*TRITON_INTERPRET=1"):
        backends.choose("triton", inputs, "ntm")


def test_auto_does_not_choose_it_on_the_cpu(interpreter: ModuleType) -> None:
    assert backends.choose("auto", torch.zeros(1), "ntm") is not interpreter


def test_a_memory_that_does_not_fit_on_the_chip_is_an_error(interpreter: ModuleType) -> None:
    case = Case("LSTM", slots=2049, width=9, batch=1, steps=1)
    model, inputs = model_of(case).float(), inputs_of(case).float()
    model.backend = "triton"
    with pytest.raises(ValueError, match=r"memory\.slots=2049: .* at most 2048 slots of memory\.width=9"):
        model(inputs)


# On a GPU


@on_a_gpu
@each_case
def test_float64_equals_the_reference_on_a_gpu(case: Case) -> None:
    assert_equal(case, torch.float64, 1e-10, "cuda")


@on_a_gpu
@each_well_conditioned_case
def test_float32_equals_the_reference_on_a_gpu(case: Case) -> None:
    assert_equal(case, torch.float32, 1e-5, "cuda")
