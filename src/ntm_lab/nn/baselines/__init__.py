"""Today's sequence models, to compare with: each with explicit state, as `ntm_lab.types.SequenceModel` wants it."""

import torch

from ntm_lab.nn.baselines.linear_memory import LinearMemory, Matrix
from ntm_lab.nn.baselines.mamba2 import Mamba2
from ntm_lab.nn.baselines.recurrent import GRU, RNN, HiddenState
from ntm_lab.nn.baselines.residual import ResidualState
from ntm_lab.nn.baselines.transformer import Past, Transformer
from ntm_lab.nn.baselines.xlstm import XLSTM, MatrixCell, ScalarCell

__all__ = ["GRU", "RNN", "XLSTM", "LinearMemory", "Mamba2", "Transformer"]

# a saved state loads safely
torch.serialization.add_safe_globals([HiddenState, Matrix, MatrixCell, Past, ResidualState, ScalarCell])
