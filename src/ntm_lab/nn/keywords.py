"""The signature of a class whose constructor hands its other keywords on."""

import inspect
from collections.abc import Callable
from typing import Any

UNNAMED = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


def show_keywords(kind: type, *makers: Callable[..., Any]) -> None:
    """Add to the signature of a class the parameters of the makers that get its constructor's other keywords.

    A signature is the schema of the settings: so these keywords are checked and listed like the class's own. Of two
    parameters of the same name the first counts.
    """
    own = inspect.signature(kind.__init__)  # type: ignore[misc]
    shown = [one for name, one in own.parameters.items() if name != "self" and one.kind not in UNNAMED]
    for maker in makers:
        names = {one.name for one in shown} | {"self"}
        of_maker = (one for name, one in inspect.signature(maker).parameters.items() if name not in names)
        shown += [one.replace(kind=one.KEYWORD_ONLY) for one in of_maker if one.kind not in UNNAMED]
    kind.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
