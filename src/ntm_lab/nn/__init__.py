"""Sequence models: built as ``Model(input_size, output_size)``, with explicit state in and out."""

import torch

from ntm_lab.nn.access import DNCAccess, MANNAccess, NTMAccess, StackAccess, TapeAccess
from ntm_lab.nn.lstm import LSTM, LSTMState
from ntm_lab.nn.machines import DNC, MANN, NTM, StackRNN, TapeRNN
from ntm_lab.nn.network import MemoryNetwork, NetworkState

__all__ = [
    "DNC",
    "LSTM",
    "MANN",
    "NTM",
    "DNCAccess",
    "LSTMState",
    "MANNAccess",
    "MemoryNetwork",
    "NTMAccess",
    "NetworkState",
    "StackAccess",
    "StackRNN",
    "TapeAccess",
    "TapeRNN",
]

torch.serialization.add_safe_globals([NetworkState, LSTMState])  # a saved state loads with weights_only=True
