"""What a person does in a notebook or a script, with nothing but ``import ntm_lab``."""

import inspect
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ntm_lab
from ntm_lab.nn import LSTM, MemoryNetwork
from ntm_lab.nn import access as accesses
from ntm_lab.nn.controllers import Feedforward
from ntm_lab.tasks import AssociativeRecall, Copy, NGrams, RepeatCopy, Sort
from ntm_lab.tasks.base import BaseTask
from ntm_lab.training.curricula import LookBack, PredictionGain
from ntm_lab.types import Access

ROOT = Path(__file__).parents[1]

# The package


def test_the_package_says_what_it_has() -> None:
    assert set(dir(ntm_lab)) == set(ntm_lab.__all__)
    assert {"NTM", "DNC", "MANN", "LSTM", "tasks", "evaluate", "train", "load", "show", "__version__"} == set(
        ntm_lab.__all__
    )
    for name in ntm_lab.__all__:
        assert getattr(ntm_lab, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        ntm_lab.absent  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    assert ntm_lab.__version__ == version("ntm_lab")


def test_the_import_is_quick() -> None:
    """PyTorch, Hydra and Lightning are imported when something needs them."""
    code = (
        "import ntm_lab, sys; dir(ntm_lab); print(*{'torch', 'numpy', 'hydra', 'pytorch_lightning'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_models_come_without_hydra() -> None:
    code = "import ntm_lab, sys; ntm_lab.NTM(9, 8); print(*{'hydra', 'pytorch_lightning'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_types_are_declared() -> None:
    assert (Path(ntm_lab.__file__).parent / "py.typed").is_file()


# Tasks


def test_a_task_draws_by_keyword() -> None:
    torch.manual_seed(0)
    batch = Copy().sample(4, length=20)
    again = Copy().sample(4, length=20)
    torch.manual_seed(0)
    assert torch.equal(batch.inputs, Copy().sample(4, length=20).inputs)
    assert not torch.equal(batch.inputs, again.inputs)
    generator = torch.Generator().manual_seed(1)
    expected = Copy().sample(4, {"length": 20}, torch.Generator().manual_seed(1))
    assert torch.equal(Copy().sample(4, length=20, generator=generator).inputs, expected.inputs)
    assert torch.equal(Copy().sample(4, length=torch.tensor([1, 2, 3, 4])).lengths, torch.tensor([3, 5, 7, 9]))


@pytest.mark.parametrize("task", [AssociativeRecall(), Copy(), NGrams(), RepeatCopy(), Sort()], ids=str)
def test_an_axis_left_out_is_the_hardest(task: BaseTask) -> None:
    hardest = {axis: high for axis, (_, high) in task.ranges.items()}
    expected = task.sample(2, hardest, torch.Generator().manual_seed(0))
    for axis, value in hardest.items():
        batch = task.sample(2, generator=torch.Generator().manual_seed(0), **{axis: value})
        assert torch.equal(batch.inputs, expected.inputs)


def test_a_wrong_axis_is_named() -> None:
    with pytest.raises(ValueError, match="lenght=20: must be an axis of the task, length"):
        Copy().sample(4, lenght=20)
    with pytest.raises(ValueError, match="length: must not be given beside a difficulty"):
        Copy().sample(4, {"length": 20}, length=20)
    with pytest.raises(ValueError, match=r"difficulty has the axes \['length'\]: must be \['length', 'repeats'\]"):
        RepeatCopy().sample(4, {"length": 20})


@pytest.mark.parametrize(
    ("made", "shown"),
    [
        (Copy(bits=4), "Copy(lengths=(1, 20), bits=4, start_code=False, held_out=0.0)"),
        (Copy([2, 3], held_out=0.5).split("testing"), "Copy(lengths=(2, 3), bits=8, start_code=False, held_out=0.5)"),
        (NGrams(100), "NGrams(length=100, context=5)"),
        (
            LookBack(NGrams(), mix=0.5),
            "LookBack(task=NGrams(length=200, context=5), threshold=1.0, window=10, mix=0.5)",
        ),
    ],
    ids=["keyword", "split", "position", "curriculum"],
)
def test_tasks_and_curricula_say_their_settings(made: object, shown: str) -> None:
    assert repr(made) == shown


def test_a_shown_task_can_be_made_again() -> None:
    for task in (AssociativeRecall((2, 3)), Copy(bits=3), NGrams(), RepeatCopy(repeats=(2, 5)), Sort(5, 4)):
        assert repr(eval(repr(task))) == repr(task)
    assert "epsilon=0.05" in repr(PredictionGain(Copy((1, 2))))


def test_a_wrong_setting_is_told_by_the_constructor() -> None:
    with pytest.raises(TypeError, match=r"Copy\.__init__\(\) got an unexpected keyword argument 'bit'"):
        Copy(bit=8)  # type: ignore[call-arg]


def test_a_batch_says_its_shapes() -> None:
    assert repr(Copy().sample(4, length=20)) == (
        "Batch(inputs: (4, 41, 9), targets: (4, 41, 8), mask: (4, 41), lengths: (4,))"
    )


# Models


@pytest.fixture
def one_thread() -> Iterator[None]:
    """At these sizes a second thread only waits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_an_ntm_learns_copy_in_the_plain_loop_of_the_docs(one_thread: None) -> None:
    text = (ROOT / "docs/using.md").read_text()
    loop = next(part.partition("```")[0] for part in text.split("```python\n") if "ntm_lab.NTM(9, 8)" in part)
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(loop, names)
    (row,) = ntm_lab.evaluate(names["model"], names["task"], length=20, sequences=100)
    assert row["wrong_bits"] < 0.05 * 160


def test_the_four_lines_of_the_readme(one_thread: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They train a whole run, which is shorter here, so that nothing is learned; and leave a page."""
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"^```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(block.replace("seed=1", "seed=1, max_sequences=64, callbacks='none'"), names)
    assert names["run"].results["sequences"] == 64
    assert (tmp_path / "copy.html").stat().st_size > 100_000


class Regressor(nn.Module):
    """A person's own module, in which an LSTM of PyTorch's would do as well."""

    def __init__(self, recurrent: nn.Module, size: int) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 5)
        self.recurrent = recurrent
        self.head = nn.Linear(size, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden, _ = self.recurrent(self.embed(inputs))
        return self.head(hidden)[:, -1, 0]


@pytest.mark.parametrize("model", ["NTM", "DNC", "MANN", "LSTM"])
def test_a_model_stands_in_for_an_lstm(model: str, one_thread: None) -> None:
    """Real-valued inputs, a part of a larger module, trained by its outputs: the sum of a sequence is learned."""
    torch.manual_seed(0)
    size = 16
    settings: dict[str, Any] = {"size": 20} if model == "LSTM" else {"size": 20, "slots": 16, "width": 8}
    net = Regressor(getattr(ntm_lab, model)(5, size, **settings), size)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)

    def loss() -> Tensor:
        inputs = torch.randn(32, 4, 3)
        return (net(inputs) - inputs[:, :, 0].sum(1)).square().mean()

    for _ in range(100):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    with torch.no_grad():
        assert torch.stack([loss() for _ in range(10)]).mean() < 0.2  # of a variance of 4


# Saved states


def with_access(access: type[Access]) -> MemoryNetwork:
    return MemoryNetwork(3, 2, Feedforward, access)


MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "LSTM": lambda: LSTM(3, 2, size=4),
    **{name: lambda name=name: with_access(getattr(accesses, name)) for name in accesses.__all__},
}


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_state_loads_safely(name: str) -> None:
    model = MODELS[name]()
    inputs = torch.randn(2, 6, 3)
    with torch.no_grad():
        whole, _ = model(inputs)
        _, state = model(inputs[:, :4])
        file = io.BytesIO()
        torch.save(state, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=True)
        assert type(loaded) is type(state)
        rest, _ = model(inputs[:, 4:], loaded)
    assert torch.allclose(rest, whole[:, 4:], atol=1e-6)


def test_a_state_is_still_found_in_its_access() -> None:
    for name in accesses.__all__:
        access = getattr(accesses, name)
        assert getattr(inspect.getmodule(access), f"{name}State") is access.State


# Evaluation


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    return ntm_lab.load("copy-ntm")


def test_an_evaluation_is_rows_and_a_table(trained: Any) -> None:
    results = ntm_lab.evaluate(trained, Copy(), length=[3, 5], sequences=8)
    assert [row["difficulty"] for row in results] == [{"length": 3}, {"length": 5}]
    assert [row["n"] for row in results] == [8, 8]
    lines = [line.split() for line in repr(results).splitlines()]
    assert [line[:3] for line in lines] == [["fresh", "sequences", "n"], ["length", "3", "8"], ["length", "5", "8"]]
    page = results._repr_html_()
    assert page.count("<tr>") == 3 and "<th>wrong bits</th>" in page and "<td>5</td><td>8</td>" in page


def test_an_evaluation_is_that_of_the_command_line(trained: Any) -> None:
    from ntm_lab.evaluation import evaluate

    expected = evaluate(trained, Copy(), [{"length": 5}], 8, 2, details=True)
    assert ntm_lab.evaluate(trained, Copy(), length=5, sequences=8) == expected
    assert ntm_lab.evaluate(trained, Copy(), length=5, sequences=8, seed=3) != expected


def test_several_axes_are_a_grid(trained: Any) -> None:
    task = RepeatCopy((1, 3), (1, 2), bits=7)
    results = ntm_lab.evaluate(trained, task, length=range(1, 3), repeats=[1, 2], sequences=2)
    assert [tuple(row["difficulty"].values()) for row in results] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    (row,) = ntm_lab.evaluate(trained, task, sequences=2)
    assert row["difficulty"] == {"length": 3, "repeats": 2}


def test_an_evaluation_leaves_the_model_as_it_is(trained: Any) -> None:
    trained.train()
    trained.controller.eval()
    (row,) = ntm_lab.evaluate(trained, Copy(), length=3, sequences=2, slots=200)
    assert row["slots"] == 200 and trained.slots == 128
    assert trained.training and not trained.controller.training
    trained.eval()


def test_a_wrong_axis_of_an_evaluation_is_named(trained: Any) -> None:
    with pytest.raises(ValueError, match="size=3: must be an axis of the task, length or repeats"):
        ntm_lab.evaluate(trained, RepeatCopy(), size=3)
