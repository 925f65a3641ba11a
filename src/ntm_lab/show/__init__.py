"""The page in which one watches a memory network at work."""

from ntm_lab.show.page import Page, show

__all__ = ["Page", "show"]
