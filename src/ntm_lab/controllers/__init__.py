"""Controllers: built as ``Controller(input_size)``, called as ``controller(inputs, state) -> (output, state)``."""

from ntm_lab.controllers.feedforward import Feedforward
from ntm_lab.controllers.lstm import LSTM
from ntm_lab.controllers.recurrent import Recurrent

__all__ = ["LSTM", "Feedforward", "Recurrent"]
