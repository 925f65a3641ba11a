"""Formal languages of the Chomsky hierarchy (Delétang et al. 2022, arXiv 2207.02098), in the order of the paper."""

from ntm_lab.tasks.languages.base import Language
from ntm_lab.tasks.languages.context_free import ModularArithmeticBrackets, Reverse, SolveEquation, StackManipulation
from ntm_lab.tasks.languages.context_sensitive import (
    BinaryAddition,
    BinaryMultiplication,
    BucketSort,
    Duplicate,
    MissingDuplicate,
    OddsFirst,
    SquareRoot,
)
from ntm_lab.tasks.languages.regular import CycleNavigation, EvenPairs, ModularArithmetic, Parity

__all__ = [
    "BinaryAddition",
    "BinaryMultiplication",
    "BucketSort",
    "CycleNavigation",
    "Duplicate",
    "EvenPairs",
    "Language",
    "MissingDuplicate",
    "ModularArithmetic",
    "ModularArithmeticBrackets",
    "OddsFirst",
    "Parity",
    "Reverse",
    "SolveEquation",
    "SquareRoot",
    "StackManipulation",
]
