"""The page in which one watches a memory network at work."""

from ntm_lab.viewer.page import Page, show

__all__ = ["Page", "show"]
