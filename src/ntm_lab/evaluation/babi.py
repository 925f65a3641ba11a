"""The error on each task of bAbI beside the published ones, as all papers report it: in percent, failed above 5 %."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from ntm_lab.tasks.difficulties import in_words

FAILED = 5.0  # percent
GROUP = "babi_"  # before the task's number in `Babi.groups`

# Graves et al. 2016, extended data table 1: means of 20 seeds, all tasks by one model, one-hot words of en-10k, tasks 1
# to 20 in order. Their means, 27.3 and 16.7, are those of the paper's text.
PUBLISHED: Mapping[str, Sequence[float]] = {
    "LSTM 2016": (
        *(28.4, 56.0, 51.3, 0.8, 3.2, 15.2, 16.4, 17.7, 15.4, 28.7),
        *(12.2, 5.4, 7.2, 55.9, 47.0, 53.3, 34.8, 5.0, 90.9, 1.3),
    ),
    "DNC 2016": (
        *(9.0, 39.2, 39.6, 0.4, 1.5, 6.9, 9.8, 5.5, 7.7, 9.6),
        *(3.3, 5.0, 3.1, 11.0, 27.2, 53.6, 32.4, 4.2, 64.6, 0.0),
    ),
}


def errors_by_task(row: Mapping[str, Any]) -> list[list[str]]:
    """Lines of a table of a detailed row of `evaluate`: the share of questions answered wrongly, with its interval.

    Below are the mean, beside that of the published figures over the same tasks, and the number of failed tasks,
    which the published means do not give: a task with a mean above 5 % fails for some seeds. No lines without bAbI.
    """
    shares = {int(name.removeprefix(GROUP)): name for name in row.get("by_group", {}) if name.startswith(GROUP)}
    if not shares:
        return []
    errors = {number: 100 * (1 - row["by_group"][name]) for number, name in shares.items()}
    columns: list[list[float]] = [
        [*errors.values()],
        *([figures[number - 1] for number in errors] for figures in PUBLISHED.values()),
    ]
    lines = [[f"bAbI, {in_words(row['difficulty'])}: error", "%", "95 % interval", "", *PUBLISHED]]
    for place, (number, error) in enumerate(errors.items()):
        low, high = (100 * (1 - end) for end in reversed(row["by_group_interval"][shares[number]]))
        others = [f"{column[place]:.1f}" for column in columns[1:]]
        lines.append(
            [f"task {number}", f"{error:.1f}", f"{low:.1f} … {high:.1f}", "failed" * (error > FAILED), *others]
        )
    means = [f"{mean(column):.1f}" for column in columns]
    lines.append(["mean", means[0], "", "", *means[1:]])
    lines.append([f"failed (above {FAILED:g} %)", str(sum(error > FAILED for error in columns[0]))])
    return lines
