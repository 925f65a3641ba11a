"""Evaluating needs no training: what is imported for it."""

import subprocess
import sys

CODE = """
import sys, torch, ntm_lab.evaluation as evaluation
from ntm_lab.nn import LSTM
from ntm_lab.tasks import Copy
rows = evaluation.evaluate(LSTM(9, 8, size=4, layers=1), Copy(), [{"length": 2}], 5, details=True)
print(evaluation.table(rows).splitlines()[1].split()[:3])
print([name for name in sys.modules if name.split(".")[0] in ("hydra", "omegaconf", "lightning", "pytorch_lightning")])
"""


def test_neither_hydra_nor_lightning_is_imported() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["['length', '2', '5']", "[]"]
