"""Plain functions over a trained model."""

from ntm_lab.evaluation.ablations import ABLATIONS, Ablated, ablations_of, evaluate_ablations
from ntm_lab.evaluation.cache import evaluate_cached, is_shipped, open_cache
from ntm_lab.evaluation.difficulties import far_beyond, parse
from ntm_lab.evaluation.fresh import evaluate
from ntm_lab.evaluation.generalisation import Generalisation, generalise, grown
from ntm_lab.evaluation.scores import chance
from ntm_lab.evaluation.summary import summary
from ntm_lab.evaluation.table import table

__all__ = [
    "ABLATIONS",
    "Ablated",
    "Generalisation",
    "ablations_of",
    "chance",
    "evaluate",
    "evaluate_ablations",
    "evaluate_cached",
    "far_beyond",
    "generalise",
    "grown",
    "is_shipped",
    "open_cache",
    "parse",
    "summary",
    "table",
]
