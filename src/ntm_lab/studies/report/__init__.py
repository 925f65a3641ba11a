"""The studies of the report "Implementing a Neural Turing Machine", one module each, then those beyond it."""

TITLE = "The report, reproduced"
NAMES = (
    *("figure1", "figure2", "figure4", "figure5", "length20"),
    *("batch", "init", "collapse", "curriculum", "baseline"),
    *("collier2018", "graves2014"),
)
OTHER_NAMES = {"figure3": "figure2"}  # one study of both
