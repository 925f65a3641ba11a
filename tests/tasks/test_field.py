"""The tasks of the field: each beside a slow program that answers the same sequences, symbol by symbol."""

import functools
import itertools

import pytest
import torch

from ntm_lab.tasks import (
    MQAR,
    Adding,
    DelayLine,
    Dyck,
    NGramLookup,
    SelectiveCopy,
    Stack,
    StateTracking,
    StoreWaitRecall,
)
from ntm_lab.tasks.state_tracking import GROUPS

MIXED = torch.tensor([12, 40, 7, 12, 33])
# A task, difficulties within and beyond its ranges, and one that differs within a batch of five.
TASKS = {
    "mqar": (
        MQAR(fillers=3),
        [{"pairs": 1, "length": 3}, {"pairs": 16, "length": 64}, {"pairs": 60, "length": 400}],
        {"pairs": torch.tensor([1, 4, 2, 3, 9]), "length": torch.tensor([12, 40, 7, 12, 33])},
    ),
    "selective_copy": (
        SelectiveCopy(),
        [{"items": 1, "length": 1}, {"items": 16, "length": 64}, {"items": 30, "length": 300}],
        {"items": torch.tensor([1, 4, 2, 3, 9]), "length": MIXED},
    ),
    "ngram_lookup": (NGramLookup(), [{"length": 4}, {"length": 50}, {"length": 300}], {"length": MIXED}),
    "ngram_lookup_of_few_symbols": (
        NGramLookup(n=2, symbols=3),
        [{"length": 3}, {"length": 5}],
        {"length": MIXED // 7 + 3},
    ),
    "stack": (Stack(), [{"length": 2}, {"length": 40}, {"length": 500}], {"length": MIXED}),
    "state_tracking": (StateTracking(), [{"length": 1}, {"length": 40}, {"length": 1000}], {"length": MIXED}),
    "state_tracking_A5": (StateTracking(group="A5"), [{"length": 40}], {"length": MIXED}),
    "parity_of_all_steps": (StateTracking(group="Z2"), [{"length": 10_000}], {"length": MIXED}),
    "dyck": (Dyck(), [{"length": 2}, {"length": 40}, {"length": 301}], {"length": MIXED}),
    "dyck_recognition": (Dyck(asked="recognition", depth=3), [{"length": 2}, {"length": 40}], {"length": MIXED}),
    "store_wait_recall": (
        StoreWaitRecall(),
        [{"length": 1, "wait": 1}, {"length": 4, "wait": 10_000}],
        {"length": torch.tensor([1, 4, 2, 3, 9]), "wait": MIXED},
    ),
    "delay_line": (
        DelayLine(),
        [{"length": 40, "delay": 10}, {"length": 500, "delay": 100}],
        {"length": MIXED + 10, "delay": 10},
    ),
    "adding": (Adding(), [{"length": 2}, {"length": 50}, {"length": 1001}], {"length": MIXED}),
}


def show(one_hot: torch.Tensor) -> list[int]:
    assert (one_hot.sum(-1) == 1).all()
    return one_hot.argmax(-1).tolist()


def mqar(task, steps):
    symbols, pairs, answers = show(steps), {}, {}
    for step, symbol in enumerate(symbols):
        if symbol < task.keys and symbol in pairs:
            answers[step] = pairs[symbol]
        elif symbol < task.keys:
            pairs[symbol] = symbols[step + 1] - task.keys
            assert 0 <= pairs[symbol] < task.values
    return answers


def selective_copy(task, steps):
    symbols = show(steps)
    items = [symbol for symbol in symbols if symbol < task.symbols]
    asked = [step for step, symbol in enumerate(symbols) if symbol == task.symbols + 1]
    return dict(zip(asked, items, strict=True))


def lookup(task, steps):
    text = "".join(chr(97 + symbol) for symbol in show(steps))
    string, query = text.split(chr(97 + task.symbols))
    assert (
        len(query) == task.n
        and len({string[i:].find(query) + i for i in range(len(string)) if query in string[i:-1]}) == 1
    )
    return {len(text) - 1: ord(string[string.index(query) + task.n]) - 97}


def stack(task, steps):
    content, answers = [], {}
    for step, symbol in enumerate(show(steps)):
        if symbol == task.symbols:
            answers[step] = content.pop()
        else:
            content.append(symbol)
    return answers


def tracking(task, steps):
    answers, places = {}, tuple(range(len(GROUPS[task.group][0])))
    for step, element in enumerate(show(steps)):
        permutation = GROUPS[task.group][element]
        places = tuple(permutation[place] for place in places)
        answers[step] = GROUPS[task.group].index(places)
    return answers


def dyck(task, steps):
    """Pairs that stand together are taken out of the text, again and again: what is left is open or wrong."""
    names = [*(f"({kind}" for kind in range(task.kinds)), *(f"){kind}" for kind in range(task.kinds))]

    def left(text):
        shorter = None
        while shorter != text:
            shorter, text = text, functools.reduce(lambda text, kind: text.replace(f"({kind}){kind}", ""), "01", text)
        return text

    def possible(text):
        depths = itertools.accumulate({"(": 1, ")": -1}.get(sign, 0) for sign in text)
        return max(depths) <= task.depth and ")" not in left(text)

    answers, text = {}, ""
    for step, symbol in enumerate(show(steps)[:40]):
        text += names[symbol]
        whole = possible(text) and not left(text)
        following = [] if task.asked == "recognition" else [possible(text + name) for name in names]
        answers[step] = [*map(float, following), float(whole)]
    return answers


def waited(task, steps):
    asked = [step for step, row in enumerate(steps.tolist()) if row[-1]]
    return {step: steps[index, :-1].tolist() for index, step in enumerate(asked)}


def added(task, steps):
    numbers = [number for number, mark in steps.tolist() if mark]
    assert len(numbers) == 2
    return {len(steps) - 1: [pytest.approx(sum(numbers))]}


SLOW = {
    MQAR: mqar,
    SelectiveCopy: selective_copy,
    NGramLookup: lookup,
    Stack: stack,
    StateTracking: tracking,
    Dyck: dyck,
    StoreWaitRecall: waited,
    Adding: added,
}

each_task = pytest.mark.parametrize("name", TASKS)


@each_task
def test_sequences_are_answered_as_the_slow_program_does(name, generator):
    task, difficulties, mixed = TASKS[name]
    for difficulty in [*difficulties, mixed]:
        batch = task.sample(5, difficulty, generator)
        task.answer.check(batch.targets, batch.mask)
        solution = task.solve(batch._replace(targets=torch.full_like(batch.targets, -7)))
        assert solution.shape == (*batch.mask.shape, task.answer.size) and batch.mask.any(1).all()
        cost = task.answer.solution_cost(solution, batch.targets, batch.mask)
        assert cost.abs().max() < 1e-9
        assert not batch.inputs[~batch.exists].any() and not batch.mask[~batch.exists].any()
        for row in range(5):
            end = int(batch.lengths[row])
            targets, mask = batch.targets[row, :end], batch.mask[row, :end]
            if isinstance(task, DelayLine):
                delay = end - int(mask.sum())
                assert torch.equal(targets[delay:], batch.inputs[row, : end - delay])
                continue
            answers = SLOW[type(task)](task, batch.inputs[row, :end])
            scored = mask.nonzero().flatten().tolist()
            assert [*answers] == scored[: len(answers)] and (len(answers) == len(scored) or isinstance(task, Dyck))
            for step, answer in answers.items():
                said = targets[step].tolist()
                assert answer == (said if isinstance(answer, list) else said[0]), (step, answer)


@each_task
def test_the_generator_decides_everything(name):
    task, _, mixed = TASKS[name]
    first, again, other = (task.sample(5, mixed, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(*parts) for parts in zip(first, again, strict=True))
    assert not torch.equal(first.inputs, other.inputs)


def test_fillers_are_never_keys_and_queries_come_everywhere(generator):
    task = MQAR(pairs=(4, 4), length=(20, 20), fillers=2)
    batch = task.sample(2000, {"pairs": 4, "length": 20}, generator)
    after = batch.inputs[:, 8:]
    assert torch.equal(after[..., : task.keys].any(2), batch.mask[:, 8:])
    assert not after[..., task.keys : task.keys + task.values].any()
    assert (batch.mask[:, 8:].float().mean(0) - 4 / 12).abs().max() < 0.05
    assert (batch.inputs[:, :8:2, : task.keys].sum(1).max(1).values == 1).all()  # keys are distinct


@pytest.mark.parametrize("group, size", [("Z2", 2), ("S3", 6), ("A5", 60), ("S5", 120)])
def test_groups_are_groups(group, size):
    task = StateTracking(group=group)
    assert len(task.products) == size
    for element in range(size):  # a Latin square with the identity first
        assert sorted(task.products[element].tolist()) == sorted(task.products[:, element].tolist()) == [*range(size)]
    assert task.products[0].tolist() == [*range(size)]
    triples = itertools.islice(itertools.product(range(0, size, 7), repeat=3), 500)
    assert all(task.products[task.products[a, b], c] == task.products[a, task.products[b, c]] for a, b, c in triples)


def test_half_of_the_words_are_recognised(generator):
    task = Dyck(asked="recognition")
    batch = task.sample(2000, {"length": 20}, generator)
    assert abs(float(batch.targets[:, -1].mean()) - 0.5) < 0.05


def test_to_say_one_is_the_guess_of_the_adding_problem(generator):
    task = Adding()
    batch = task.sample(20_000, {"length": 50}, generator)
    assert abs(float(task.answer.chance(batch.targets, batch.mask)["squared_error"].mean()) - 1 / 6) < 0.01


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MQAR(pairs=(1, 65), length=(400, 400)), r"task\.pairs=65: must not exceed task\.keys=64"),
        (lambda: MQAR(pairs=(1, 30)), r"task\.length=64: must be at least 3 × pairs=30"),
        (lambda: SelectiveCopy(items=(1, 65)), r"task\.length=64: must be at least items=65"),
        (lambda: NGramLookup(lengths=(3, 50)), r"task\.lengths=.*: must be at least 4"),
        (lambda: StateTracking(group="S4"), r"task\.group=S4: must be one of Z2, S3, A5, S5"),
        (lambda: Dyck(asked="both"), r"task\.asked=both: must be one of prediction, recognition"),
        (lambda: DelayLine(delay=40), r"task\.delay=40: must be below length=40"),
        (lambda: Stack(symbols=1), r"task\.symbols=1: must be at least 2"),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
