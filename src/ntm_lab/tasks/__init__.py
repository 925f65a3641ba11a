"""The tasks, one file each: those of the NTM paper (Graves et al. 2014, arXiv 1410.5401), one-shot learning, bAbI, what
the field asks of sequence models, and the formal languages in `languages`.

Every task lays its sequences out in a pure function of their content (`layout`) and draws that content.
"""

from ntm_lab.tasks.answers import Bits, Reals, Symbols
from ntm_lab.tasks.associative_recall import AssociativeRecall
from ntm_lab.tasks.babi import Babi
from ntm_lab.tasks.copy import Copy
from ntm_lab.tasks.delays import Adding, DelayLine, StoreWaitRecall
from ntm_lab.tasks.dyck import Dyck
from ntm_lab.tasks.lookup import NGramLookup
from ntm_lab.tasks.mqar import MQAR
from ntm_lab.tasks.ngrams import NGrams
from ntm_lab.tasks.one_shot import OneShot
from ntm_lab.tasks.repeat_copy import RepeatCopy
from ntm_lab.tasks.selective_copy import SelectiveCopy
from ntm_lab.tasks.sort import Sort
from ntm_lab.tasks.stack import Stack
from ntm_lab.tasks.state_tracking import StateTracking

__all__ = [
    "MQAR",
    "Adding",
    "AssociativeRecall",
    "Babi",
    "Bits",
    "Copy",
    "DelayLine",
    "Dyck",
    "NGramLookup",
    "NGrams",
    "OneShot",
    "Reals",
    "RepeatCopy",
    "SelectiveCopy",
    "Sort",
    "Stack",
    "StateTracking",
    "StoreWaitRecall",
    "Symbols",
]
