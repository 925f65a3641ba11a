"""The figure of `init`, and the lines below it."""

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import draw_dots, legend_above
from ntm_lab.studies.report.init_table import LEARNED, MEMORIES, SETTINGS, WEIGHTINGS, compare, conditions
from ntm_lab.studies.statistics import p_value, spread_of_times, success_rate


def draw(table: pd.DataFrame) -> Figure:
    """When every run learned: settings down, weightings across, a row of dots for every memory."""
    figure = Figure((11, 5.4), dpi=110, layout="constrained")
    panels = figure.subplots(len(SETTINGS), len(WEIGHTINGS), sharey=True, sharex="row")
    for row, settings in zip(panels, SETTINGS, strict=True):
        for axis, weighting in zip(row, WEIGHTINGS, strict=True):
            here = table[(table["settings"] == settings) & (table["weighting"] == weighting)]
            draw_dots(axis, {name: here[here["memory"] == memory] for memory, name in MEMORIES.items()},
                      learned="learned", ended="ended")  # fmt: skip
            axis.set_title(
                f"heads {WEIGHTINGS[weighting]}" if settings == next(iter(SETTINGS)) else "", fontsize="medium"
            )
            axis.set_xlabel("sequences until it learned" if settings == list(SETTINGS)[-1] else "")
        row[0].set_ylabel(SETTINGS[settings])
    legend_above(figure)
    return figure


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """A line for every arm: the runs that learned, after how many sequences, those that lost it again, those solved in
    the end; and the logrank test against the constant memories."""
    found = compare(table)
    rows = []
    for settings, weighting, here in conditions(table):
        for memory, name in MEMORIES.items():
            runs = here[here["memory"] == memory]
            if runs.empty:
                continue
            learned = runs["learned"].notna()
            rows.append(
                {
                    "settings": SETTINGS[settings],
                    "heads look": WEIGHTINGS[weighting],
                    "memory": name,
                    "learned": str(success_rate(learned)),
                    "after sequences": spread_of_times(runs["learned"], runs["ended"], 0),
                    "lost again": f"{int(runs.loc[learned, 'lost'].sum())} of {int(learned.sum())}",
                    "solved": int(runs["solved"].sum()),
                    "against constant": p_value(found[settings, weighting].p) if memory in LEARNED else "",
                }
            )
    return pd.DataFrame(rows)
