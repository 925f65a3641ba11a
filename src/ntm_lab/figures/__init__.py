"""From results to matplotlib figures."""

from ntm_lab.figures.episode import draw_episode, draw_trace
from ntm_lab.figures.generalisation import draw_generalisation

__all__ = ["draw_episode", "draw_generalisation", "draw_trace"]
