"""The figure of `init`, and the lines below it."""

import pandas as pd
from matplotlib.figure import Figure

from ntm_lab.studies.drawing import draw_survival, legend_above, progress_scale, styles
from ntm_lab.studies.report.init_table import LEARNED, MEMORIES, SETTINGS, WEIGHTINGS, compare, conditions
from ntm_lab.studies.statistics import p_value, spread_of_times, success_rate


def draw(table: pd.DataFrame) -> Figure:
    """The share of runs that have not learned yet: settings down, weightings across, a line for every memory."""
    figure = Figure((11, 6.2), dpi=110, layout="constrained")
    panels = figure.subplots(len(SETTINGS), len(WEIGHTINGS), sharey=True)
    style = styles(MEMORIES)
    for row, settings in zip(panels, SETTINGS, strict=True):
        for axis, weighting in zip(row, WEIGHTINGS, strict=True):
            here = table[(table["settings"] == settings) & (table["weighting"] == weighting)]
            for memory, name in MEMORIES.items():
                runs = here[here["memory"] == memory]
                if len(runs):
                    draw_survival(axis, runs["learned"], runs["ended"], style[memory], name)
            axis.set_title(f"heads {WEIGHTINGS[weighting]}" if settings == next(iter(SETTINGS)) else "")
            axis.set_ylabel("")
            progress_scale(axis, "sequences", table.loc[table["settings"] == settings, "ended"])
        row[0].set_ylabel(f"{SETTINGS[settings]}\nruns that have not learned yet")
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
