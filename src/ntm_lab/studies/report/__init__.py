"""The studies, one module each: those of the report "Implementing a Neural Turing Machine", then those beyond it."""

from importlib import import_module

from ntm_lab.studies.study import Study

NAMES = (
    *("figure1", "figure2", "figure4", "figure5", "length20"),
    *("batch", "init", "collapse", "curriculum", "baseline"),
    *("collier2018", "graves2014"),
)
OTHER_NAMES = {"figure3": "figure2"}  # one study of both


def find_study(name: str) -> Study:
    """The ``STUDY`` of the module of that name.

    Raises ValueError if there is none.
    """
    module = OTHER_NAMES.get(name, name)
    if module not in NAMES:
        raise ValueError(f"{name}: must be one of {', '.join(NAMES)}, or all")
    study: Study = import_module(f"{__name__}.{module}").STUDY
    return study
