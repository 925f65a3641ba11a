"""The tasks of the NTM paper (Graves, Wayne, Danihelka 2014, arXiv 1410.5401), one file each.

Every task lays its sequences out in a pure function of their content (`layout`) and draws that content in `draw`.
"""

from ntm_lab.tasks.answers import Bits, Reals, Symbols
from ntm_lab.tasks.associative_recall import AssociativeRecall
from ntm_lab.tasks.copy import Copy
from ntm_lab.tasks.ngrams import NGrams
from ntm_lab.tasks.repeat_copy import RepeatCopy
from ntm_lab.tasks.sort import Sort

__all__ = ["AssociativeRecall", "Bits", "Copy", "NGrams", "Reals", "RepeatCopy", "Sort", "Symbols"]
