"""The page as a whole, in a real browser and from a file: what one does there, and what is answered."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import ntm_lab
from ntm_lab.cli import main
from ntm_lab.evaluation import ABLATIONS, Ablated
from ntm_lab.evaluation.ablations import Ablation
from ntm_lab.nn.encoders import Words
from ntm_lab.runs.run import Run
from ntm_lab.tasks.difficulties import seeded
from ntm_lab.tasks.images.base import Images
from ntm_lab.tasks.stories import WORDS
from ntm_lab.viewer import Page, show
from ntm_lab.viewer.description import describe
from ntm_lab.viewer.page import with_rounded_weights
from ntm_lab.zoo import shipped
from ntm_lab.zoo.card import reading_files
from ntm_lab.zoo.find import Trained, find
from ntm_lab.zoo.moments import moments

SCENE = """(() => {
  const [{ laid, recording }] = lab.scenes();
  const plain = (rows) => rows.map((row) => [...row]);
  return { inputs: laid.inputs, targets: laid.targets, logits: plain(recording.logits), change: recording.change };
})()"""
SCORE = "document.querySelector('.score').textContent"
CAPTION = "document.querySelector('#caption').textContent"
HASH = "location.hash"


@pytest.fixture(scope="module")
def copying() -> Trained:
    return find("copy-ntm-lstm")


@pytest.fixture(scope="module")
def file(copying: Trained, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a page on disk."""
    page = show(copying.model, copying.task, names=("copy-ntm-lstm",), length=6)
    return page.save(tmp_path_factory.mktemp("page") / "page.html").as_uri()


def wait_for(browser: Any, condition: str) -> None:
    browser(f"new Promise((done) => {{ const look = () => {condition} ? done() : setTimeout(look, 20); look(); }})")


def check_logits(copying: Trained, scene: dict[str, Any]) -> None:
    with torch.no_grad():
        expected, _ = copying.model(torch.tensor(scene["inputs"], dtype=torch.float32))
    torch.testing.assert_close(torch.tensor(scene["logits"]), expected, rtol=0, atol=1e-3)  # logits of some 20


def test_it_plays_and_steps(file: str, browser: Any) -> None:
    browser.open(file)
    assert browser(SCORE).startswith("0 of 48 bits wrong") and browser(CAPTION).startswith("Step 8 of 13: answers.")
    browser.press("Home")
    browser.press("ArrowRight")
    assert browser(CAPTION).startswith("Step 2 of 13: listens. Writes to slot")
    for _ in range(4):
        browser.press("ArrowUp")
    browser.press(" ")
    wait_for(browser, "document.querySelector('#step').value === '12'")
    assert browser(CAPTION).startswith("Step 13 of 13: answers.")
    assert browser.complaints() == []


def test_painted_bits_are_answered_as_torch_answers(copying: Trained, file: str, browser: Any) -> None:
    browser.open(file)
    before = browser(SCENE)
    check_logits(copying, before)
    box = browser("(({ x, y, width }) => [x, y, width])(document.querySelector('.over').getBoundingClientRect())")
    browser.click(box[0] + box[2] / 3, box[1] + 40)  # somewhere in the input
    row, column = map(int, re.findall(r"painted=(\d+)\.(\d+)", browser(HASH))[0])
    browser.press("Home")
    for key in ("Enter", "ArrowDown", "ArrowDown", "Enter"):
        browser.press(key)
    after = browser(SCENE)
    expected = torch.tensor(before["inputs"])
    for step, channel in ((row, column), (0, 2)):
        expected[step, channel] = 1 - expected[step, channel]
    assert after["inputs"] == expected.tolist()
    assert after["targets"][7:] == expected[:6, :8].tolist()
    check_logits(copying, after)


@pytest.mark.parametrize("name", [name for name in ABLATIONS if name != "links cut"])
def test_an_ablation_changes_the_answers_as_in_evaluation(name: str, copying: Trained, file: str, browser: Any) -> None:
    browser.open(f"{file}#broken={name}")
    scene = browser(SCENE)
    order = scene["change"]["order"]  # drawn by the page

    def shuffled(model: Any, inputs: torch.Tensor, stored: Any, _: Any, **others: torch.Tensor) -> Any:
        moved = stored.access._replace(memory=stored.memory[:, order], **others)
        return model(inputs, stored._replace(access=moved))

    def renumbered(model: Any, inputs: torch.Tensor, stored: Any, _: Any) -> Any:
        return shuffled(model, inputs, stored, _, weighting=stored.access.weighting[..., order])

    mine: dict[str, Ablation] = {"slots shuffled": shuffled, "slots renumbered": renumbered}
    ablation = mine.get(name, ABLATIONS[name])
    inputs = torch.tensor([scene["inputs"]], dtype=torch.float32)
    with torch.no_grad():
        logits, _ = Ablated(copying.model, ablation, storing=7)(inputs)
    torch.testing.assert_close(torch.tensor([scene["logits"]]), logits, rtol=0, atol=1e-3)
    wrong = int(copying.task.answer.wrong(logits, torch.tensor([scene["targets"]]))[:, 7:].sum())
    assert browser(SCORE).startswith(f"{wrong} of 48 bits wrong")
    assert (wrong > 5) == (name in ("reads zeroed", "slots shuffled", "memory cleared", "slots renumbered"))


def test_a_page_offers_the_ablations_of_its_machine(file: str, browser: Any, tmp_path: Path) -> None:
    offered = "[...document.querySelectorAll('#ablations button')].map(({ value }) => value)"
    browser.open(file)
    assert browser(offered) == [name for name in ABLATIONS if name != "links cut"]
    browser.press("6")  # links cut, of a DNC
    assert browser("lab.state().broken") == "intact"
    browser.open(PAGES["DNC"]().save(tmp_path / "page.html").as_uri())
    assert browser(offered) == [*ABLATIONS]
    browser.press("6")
    assert browser("document.querySelector('#ablations [aria-pressed=true]').value") == "links cut"
    assert browser("lab.scenes()[0].recording.at(31).signals.link.flatMap((row) => [...row]).every((link) => !link)")
    assert browser.complaints() == []


def test_the_address_restores_what_is_seen(file: str, browser: Any) -> None:
    browser.open(file)
    for key in ("n", "]", "3", "h", "Home", "ArrowRight", "ArrowRight"):
        browser.press(key)
    browser("document.querySelector('#silence [value=write0]').click()")
    seen = browser(SCENE), browser(SCORE), browser(CAPTION)
    assert browser(CAPTION).startswith("Step 3 of 15")  # one vector longer
    address = f"{file}{browser(HASH)}"
    browser.open(file)
    assert (browser(SCENE), browser(SCORE), browser(CAPTION)) != seen
    browser.open(address)
    assert (browser(SCENE), browser(SCORE), browser(CAPTION)) == seen
    assert browser("document.querySelector('#heads [aria-selected=true]').value") == "write0"


def test_a_bad_address_is_no_error(file: str, browser: Any) -> None:
    browser.open(
        f"{file}#length=100000&seed=x&broken=what&head=read9&step=-7&edits=1~2&painted=9999.1&moment=8&slots=-1"
    )
    assert browser.complaints() == []
    assert browser("lab.state().length") == 120


SHIPPED = [name for name, card in shipped.cards().items() if not reading_files(card["config"]["task"])]
PAGES: dict[str, Callable[[], Page]] = {
    **{name: lambda name=name: _of(find(name)) for name in SHIPPED},
    "DNC": lambda: show(
        ntm_lab.DNC(8, 6, slots=16, width=6, size=8, read_heads=2), ntm_lab.tasks.AssociativeRecall(), seed=3
    ),
    "MANN": lambda: show(ntm_lab.MANN(69, 5, slots=32, size=8, heads=2), ntm_lab.tasks.OneShot(), shots=3),
    "LSTM": lambda: show(ntm_lab.LSTM(10, 8, size=6, layers=1), ntm_lab.tasks.Sort()),
    "side by side": lambda: show(
        ntm_lab.NTM(9, 8, slots=16, size=8), ntm_lab.tasks.Copy(), ntm_lab.LSTM(9, 8, size=6, layers=1), length=4
    ),
}


def _of(found: Trained) -> Page:
    return show(found.model, found.task, names=(found.folder.name,))


@pytest.mark.parametrize("name", PAGES)
def test_no_request_leaves_a_page_and_nothing_goes_wrong(name: str, browser: Any, tmp_path: Path) -> None:
    """On a phone, and on a screen with many keys."""
    address = PAGES[name]().save(tmp_path / "page.html").as_uri()
    for width, height, keys in ((390, 844, "n"), (1600, 900, "ha23cn]d,p??r")):
        browser.open(address, width, height, touch=width < 500)
        assert browser("document.documentElement.scrollWidth <= innerWidth"), f"{width} pixels are too few"
        for key in keys:
            browser.press(key)
        assert browser.complaints() == []
        assert browser.requests() == [address]


@pytest.mark.parametrize("steps", ["words", "sentences"])
def test_words_are_read_and_exchanged(steps: str, babi: Path, browser: Any, tmp_path: Path) -> None:
    """A word is chosen by its menu, and the model answers as in torch; on a phone nothing is too wide."""
    task = ntm_lab.tasks.Babi(babi, tasks=(1,), steps=steps, partial=True)
    words = partial(Words, words=len(WORDS), size=6)
    model = ntm_lab.DNC(task.input_size, len(WORDS), slots=32, width=4, size=8, encoder=words)
    model.backend = "reference"  # compiles nothing
    address = show(model, task).save(tmp_path / "page.html").as_uri()
    browser.open(address, 390, 844, touch=True)
    assert browser("document.documentElement.scrollWidth <= innerWidth")
    browser.open(address)
    story = browser("document.querySelector('.story').textContent")
    assert re.match(r"\w+ went to the \w+ \.", story)
    browser.press("End")
    assert re.search(r"Says “\w+” \(\d+ %\)\.", browser(CAPTION))
    before = browser(SCENE)["inputs"]
    browser.press("Home")
    menu = "document.querySelector('.story select')"
    other = browser(f"[...{menu}.options].find(({{ text, selected }}) => text === 'wolf' && !selected).value")
    browser(f"{menu}.value = {other}; {menu}.dispatchEvent(new Event('change', {{ bubbles: true }}))")
    after = browser(SCENE)
    expected = torch.tensor(before).float()
    expected[0, : len(WORDS)] = 0
    expected[0, WORDS.index("wolf")] = 1
    assert torch.equal(torch.tensor(after["inputs"]).float(), expected)
    with torch.no_grad():
        logits, _ = model(expected)
    torch.testing.assert_close(torch.tensor(after["logits"]), logits, rtol=0, atol=1e-5)
    assert browser("document.querySelector('.story select').selectedOptions[0].text") == "wolf"
    assert "does not know the answer" in browser(SCORE)
    assert browser.complaints() == []


class Noise(Images):
    """As many pixels as Omniglot's images have."""

    pixels, classes, per_class = 400, 10, 20

    def split(self, part: str) -> "Noise":
        return self

    def draw(self, batch_size: int, ways: int, shots: int, generator: torch.Generator) -> torch.Tensor:
        return (torch.rand(batch_size, ways, shots, self.pixels, generator=generator) < 0.2).float()


def test_a_large_model_fits_with_rounded_weights(browser: Any, tmp_path: Path) -> None:
    """The size of Santoro et al. 2016's; what the page computes is what the rounded model does."""
    torch.manual_seed(0)
    model = ntm_lab.MANN(405, 5, slots=64, width=40, size=200)
    model.backend = "reference"
    page = show(model, ntm_lab.tasks.OneShot(images=Noise()), shots=2)
    file = page.save(tmp_path / "page.html")
    assert 1_000_000 < file.stat().st_size <= 1_500_000
    browser.open(file.as_uri())
    assert "weights rounded" in browser("document.querySelector('.kind').textContent")
    scene = browser(SCENE)
    short = with_rounded_weights(model)
    with torch.no_grad():
        logits, _ = short(torch.tensor(scene["inputs"]).float())
        exact, _ = model(torch.tensor(scene["inputs"]).float())
    torch.testing.assert_close(torch.tensor(scene["logits"]), logits, rtol=0, atol=1e-5)
    assert 1e-5 < (logits - exact).abs().max() < 1e-2


def test_a_page_shows_itself_in_a_notebook(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "cell.html").write_text(f"<meta charset=utf-8>{PAGES['DNC']()._repr_html_()}")
    browser.open((tmp_path / "cell.html").as_uri())
    inside = "document.querySelector('iframe').contentDocument"
    wait_for(browser, f"{inside}?.querySelector('#caption')?.textContent")
    assert "bits wrong" in browser(f"{inside}.querySelector('.score').textContent")
    assert browser.complaints() == []


SOURCES = """
const machine = new Machine(decode(description));
const recording = new Recording(machine, inputs, machine.slots, { ...NO_CHANGE, ...change });
return { found: inputs.map((_, t) => sources(recording, t)), logits: recording.logits };
"""


def test_an_answer_comes_from_the_step_that_wrote_it(copying: Trained, engine: Any) -> None:
    """A trained copying NTM reads at each answer what it heard; emptying a slot costs the answer that is read there."""
    batch = copying.task.sample(1, {"length": 8}, seeded(0, "sources"))
    given = {"description": describe(copying.model), "inputs": batch.inputs[0].tolist()}
    modules = "machine.js recording.js"
    found = engine(modules, SOURCES, **given, change={})["found"]
    first = [steps[0] for steps in found[9:]]
    assert [source["step"] for source in first] == [*range(8)]
    assert all(source["share"] > 0.8 for source in first)
    edits = [{"after": 8, "slot": first[3]["slot"], "column": column, "value": 0} for column in range(20)]
    logits = torch.tensor([engine(modules, SOURCES, **given, change={"edits": edits})["logits"]])
    wrong = copying.task.answer.wrong(logits, batch.targets)[0, 9:].sum(1)
    assert wrong[3] > 0 and wrong.sum() == wrong[3]


def test_an_answer_from_a_broken_memory_comes_from_where_its_slot_was(engine: Any) -> None:
    """A trained copying DNC follows its links to the renumbered slots; what was cleared comes from nowhere."""
    copying = find("copy-dnc-lstm")
    batch = copying.task.sample(1, {"length": 8}, seeded(0, "sources"))
    given = {"description": describe(copying.model), "inputs": batch.inputs[0].tolist()}
    order = torch.randperm(128, generator=seeded(0, "order")).tolist()
    moved = engine("machine.js recording.js", SOURCES, **given, change={"from": 9, "moved": "slots", "order": order})
    first = [steps[0] for steps in moved["found"][9:]]
    assert [source["step"] for source in first] == [*range(8)]
    assert [source["written"] for source in first] == [order[source["slot"]] for source in first]
    cleared = engine("machine.js recording.js", SOURCES, **given, change={"from": 9, "cleared": True})
    assert all(source["step"] >= 9 for steps in cleared["found"][9:] for source in steps)


# Without a browser


@pytest.mark.parametrize("name", SHIPPED)
def test_the_page_of_a_shipped_model_is_small_and_whole(name: str) -> None:
    text = _of(find(name)).html()
    assert len(text.encode()) <= 1_500_000
    assert not re.search(r"https?://|\bfetch\(|@import|\bimport\b.*from|src=\"(?!data)|\{\{\w+\}\}", text)


def test_what_cannot_be_shown_is_one_line(copying: Trained) -> None:
    with pytest.raises(ValueError, match=r"show: the model has \(9, 8\) inputs and outputs, Sort needs \(10, 8\)"):
        show(copying.model, ntm_lab.tasks.Sort())
    with pytest.raises(ValueError, match="size=3: must be an axis of the task, length"):
        show(copying.model, copying.task, size=3)


def test_moments_of_a_training(started: Callable[..., Run], tiny_ntm: list[str]) -> None:
    """Validations at 4, 8, …, 24 sequences: the first four and the sixth are kept, and the beginning."""
    run = started(*tiny_ntm, "data.validate_every=4", "callbacks=moments")
    run.fit()
    found = find(run.folder)
    kept = [*moments(found)]
    assert [sequences for sequences, _ in kept] == [0, 4, 8, 12, 16, 24]
    assert [sequences for sequences, _ in moments(run.folder, most=3)] == [0, 8, 24]
    (before, after), trained = (kept[0][1], kept[-1][1]), found.model
    assert torch.equal(after.heads.weight, trained.heads.weight)
    assert not torch.equal(before.heads.weight, trained.heads.weight)


def test_the_command_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "page.html"
    words = ["show", "copy-ntm-feedforward", "copy-ntm-lstm", "--difficulty", "length=5", "--seed", "4"]
    assert main([*words, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"page in {out}\n"
    assert "<title>copy-ntm-feedforward and copy-ntm-lstm</title>" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["copi"], "copi: there is no such folder"),
        (["copy-ntm", "--difficulty", "length=3,4"], "--difficulty length=3,4: must be one, not 2"),
        (["copy-ntm", "--seed", "-1"], "seed=-1: must be a whole number of at least 0"),
        (["copy-ntm", "sort-ntm"], "show: the model has (10, 8) inputs and outputs, Copy needs (9, 8)"),
        (["copy-ntm", "--out", "/proc/page.html"], "/proc/page.html: cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_that_fails_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ntm-lab show: ") and message in line
