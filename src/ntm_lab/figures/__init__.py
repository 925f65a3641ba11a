"""From results to matplotlib figures."""

from ntm_lab.figures.episode import draw_episode

__all__ = ["draw_episode"]
