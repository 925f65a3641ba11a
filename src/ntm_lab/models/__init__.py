"""Sequence models: built as ``Model(input_size, output_size)``, with explicit state in and out."""

from ntm_lab.models.lstm import LSTM, LSTMState
from ntm_lab.models.ntm import NTM, NTMState

__all__ = ["LSTM", "NTM", "LSTMState", "NTMState"]
