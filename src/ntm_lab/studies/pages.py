"""The pages that studies stand on, and how a study is found by its name.

A page is a package here: its ``TITLE``, the ``NAMES`` of its studies in their order, each the module of that name with
a ``STUDY``, and ``OTHER_NAMES`` by which they are found too; where it has a ``NOTE``, that stands above the studies.
Its sweeps are in the folder of its name in ``conf/experiment``.
"""

from collections.abc import Sequence
from importlib import import_module

from ntm_lab.studies import field, machines, report
from ntm_lab.studies.study import Study

PAGES = {"report": report, "machines": machines, "field": field}
ALL = {"all": "report"} | {page: page for page in PAGES}  # names of pages: all of their studies


def find_studies(asked: Sequence[str]) -> list[Study]:
    """The studies of these names, each once; the name of a page means all that stand on it, ``all`` the report's.

    Raises ValueError for a name that there is not, and for studies of two pages.
    """
    found = [study for name in asked for study in (studies_of(ALL[name]) if name in ALL else [find_study(name)])]
    studies = list({study.name: study for study in found}.values())
    if len(pages := dict.fromkeys(study.page for study in studies)) > 1:
        raise ValueError(f"STUDY: studies of one page at a time, not of {' and '.join(pages)}")
    return studies


def studies_of(page: str) -> list[Study]:
    """All studies of a page, in their order."""
    return [find_study(name) for name in PAGES[page].NAMES]


def find_study(name: str) -> Study:
    """The study of a name.

    Raises ValueError if there is none.
    """
    for page in PAGES.values():
        module = page.OTHER_NAMES.get(name, name)
        if module in page.NAMES:
            study: Study = import_module(f"{page.__name__}.{module}").STUDY
            return study
    known = (name for page in PAGES.values() for name in page.NAMES)
    raise ValueError(f"{name}: must be one of {', '.join([*known, *ALL])}")
