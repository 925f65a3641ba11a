"""From results to matplotlib figures. Names are imported when they are first used: a process that only draws `panels`
does without PyTorch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ntm_lab.figures.animation import animate_episode
    from ntm_lab.figures.episode import draw_episode, draw_trace, episode_panels
    from ntm_lab.figures.generalisation import draw_generalisation

__all__ = ["animate_episode", "draw_episode", "draw_generalisation", "draw_trace", "episode_panels"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = {"draw_generalisation": "generalisation", "animate_episode": "animation"}.get(name, "episode")
    return getattr(import_module(f"{__name__}.{home}"), name)
