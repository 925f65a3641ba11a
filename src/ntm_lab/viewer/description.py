"""What the page has to know of a model: plain values, and tensors as `ntm_lab.viewer.numbers` writes them.

``web/machine.js`` builds the machine from it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ntm_lab.nn import LSTM, DNCAccess, MANNAccess, MemoryNetwork, NTMAccess
from ntm_lab.nn.encoders import Words
from ntm_lab.types import Access, Field, Kind, Layer, SequenceModel
from ntm_lab.viewer.numbers import Node, tensor

ACCESSES: tuple[type[Access], ...] = (NTMAccess, DNCAccess, MANNAccess)
"""The memories whose steps are written in JavaScript, by the names of their classes."""


@torch.no_grad()
def describe(model: SequenceModel) -> Node:
    """The settings and the weights of a model.

    Raises ValueError for a model that the page cannot run: another access than those of `ACCESSES`, a controller that
    does not give its weights as layers, or an encoder that is not `Words`.
    """
    if type(model) is LSTM:
        return {
            "controller": _controller(_lstm_layers(model), (model.hidden, model.cell)),
            "output": _linear(model.output),
            "encoder": _encoder(model),
        }
    if not isinstance(model, MemoryNetwork) or type(model.access) not in ACCESSES:
        own = type(model.access) if isinstance(model, MemoryNetwork) else type(model)
        known = ", ".join(access.__name__.removesuffix("Access") for access in ACCESSES)
        raise ValueError(f"show: the page runs {known} and LSTM, but no {own.__name__}")
    layers = model.controller.weights()
    if layers is None:
        raise ValueError(f"show: the page needs {type(model.controller).__name__}.weights, which gives no layers")
    access = model.access
    return {
        "controller": _controller(layers, tuple(part[0] for part in model.controller.initial_state(1))),
        "output": _linear(model.output),
        "encoder": _encoder(model),
        "heads": _linear(model.heads),
        "layout": [
            {"heads": group.heads, "fields": [_field(field) for field in group.fields]}
            for group in access.layout.groups
        ],
        "access": {
            "name": type(access).__name__,
            **{name: value for name, value in vars(access).items() if isinstance(value, bool | int | float | str)},
        },
        "initial": {"reads": tensor(model.reads), **_initial(access)},
    }


def _field(field: Field) -> Node:
    single = field.kind in (Kind.GATE, Kind.SCALAR)
    return {"name": field.name, "size": field.size, "bound": field.bound, "single": single}


def _controller(layers: Sequence[Layer], state: Sequence[Tensor]) -> Node:
    """The layers, and the state (layers, size) before the first step; of a feedforward controller there is none."""
    size = layers[0].own.shape[1] if layers[0].own is not None else layers[0].bias.shape[0]
    return {
        "size": size,
        "gated": layers[0].bias.shape[0] == 4 * size,
        "layers": [
            {name: tensor(part) for name, part in layer._asdict().items() if part is not None} for layer in layers
        ],
        **{name: tensor(part) for name, part in zip(("hidden", "cell"), state, strict=False)},
    }


def _encoder(model: MemoryNetwork | LSTM) -> Node | None:
    """The embedding (size, words), and with several places their masks (P, size)."""
    if model.encoder is None:
        return None
    if type(model.encoder) is not Words:
        raise ValueError(f"show: the page runs the encoder Words, but no {type(model.encoder).__name__}")
    masks = model.encoder.masks
    return {"embedding": tensor(model.encoder.embedding.weight), "masks": None if masks is None else tensor(masks)}


def _lstm_layers(model: LSTM) -> list[Layer]:
    return [
        Layer(below, own, of_inputs + of_hidden)
        for below, own, of_inputs, of_hidden in (
            model.lstm.all_weights[layer] for layer in range(model.lstm.num_layers)
        )
    ]


def _initial(access: Access) -> Node:
    """How the memory begins. With ``resizable`` any number of slots is possible: the memory is then one row, which all
    slots share, the weighting a name, and "N" stands for the slots in the shapes of what begins at 0."""
    state = access.initial_state(1)
    memory, weighting = state.memory[0], getattr(state, "weighting", None)
    alike = bool((memory == memory[:1]).all())
    named = None if weighting is None else _name(weighting[0])
    try:
        other = access.initial_state(1, access.slots + 1)
    except ValueError:
        other = state
    if not alike or (weighting is not None and named is None):
        other = state  # a page could not tell how more slots begin
    return {
        "resizable": other is not state,
        "memory": tensor(memory[:1] if alike else memory),
        "weighting": None if weighting is None else named or tensor(weighting[0]),
        "zeros": {
            name: ["N" if size != larger else size for size, larger in zip(part.shape[1:], more.shape[1:], strict=True)]
            for name, part, more in zip(state._fields, state, other, strict=True)
            if name not in ("memory", "weighting")
        },
    }


def _name(weighting: Tensor) -> str | None:
    """``first`` or ``uniform``, if all heads (K, N) begin so."""
    if bool((weighting == weighting[:, :1]).all()):
        return "uniform"
    return "first" if bool((weighting[:, 0] == 1).all()) else None


def _linear(layer: nn.Linear) -> Node:
    return {"weight": tensor(layer.weight), "bias": tensor(layer.bias)}
