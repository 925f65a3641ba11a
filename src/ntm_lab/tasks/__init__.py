"""The tasks, one file each: those of the NTM paper (Graves et al. 2014, arXiv 1410.5401), one-shot learning, bAbI,
and the formal languages in `languages`.

Every task lays its sequences out in a pure function of their content (`layout`) and draws that content in `draw`.
"""

from ntm_lab.tasks.answers import Bits, Reals, Symbols
from ntm_lab.tasks.associative_recall import AssociativeRecall
from ntm_lab.tasks.babi import Babi
from ntm_lab.tasks.copy import Copy
from ntm_lab.tasks.ngrams import NGrams
from ntm_lab.tasks.one_shot import OneShot
from ntm_lab.tasks.repeat_copy import RepeatCopy
from ntm_lab.tasks.sort import Sort

__all__ = ["AssociativeRecall", "Babi", "Bits", "Copy", "NGrams", "OneShot", "Reals", "RepeatCopy", "Sort", "Symbols"]
