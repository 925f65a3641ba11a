"""The layers of Mamba-2 and the xLSTM beside those of their libraries, with the same weights.

`pip install 'ntm_lab[baselines]'` brings both. Where they are not installed, `test_baselines` still compares the layers
with plain programs of their equations.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from ntm_lab.nn.baselines.mamba2 import StateSpace
from ntm_lab.nn.baselines.residual import Mixer
from ntm_lab.nn.baselines.xlstm import MatrixLSTM, ScalarLSTM

SIZE, HEADS, STEPS = 32, 4, 37  # more steps than a chunk has
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, at import


def drawn(layer: Mixer) -> Any:
    """Every weight moved away from where it begins."""
    torch.manual_seed(0)
    with torch.no_grad():
        for part in layer.parameters():
            part.add_(0.3 * torch.randn_like(part))
    return layer


def assert_same(layer: Mixer, theirs: nn.Module) -> None:
    """Outputs and their gradient with respect to the inputs."""
    inputs = torch.randn(3, STEPS, SIZE, generator=torch.Generator().manual_seed(1))
    inputs = inputs.to(next(layer.parameters()).dtype).requires_grad_()
    outputs = [layer(inputs, layer.initial_state(3), torch.zeros(0), None)[0], theirs(inputs)]
    gradients = [torch.autograd.grad(each.sin().sum(), inputs)[0] for each in outputs]
    assert outputs[0].std() > 0.01
    assert_close(*outputs, rtol=1e-4, atol=1e-5)
    assert_close(*gradients, rtol=1e-3, atol=1e-4)


def test_mamba2_is_that_of_transformers() -> None:
    pytest.importorskip("transformers")
    from transformers.models.mamba2.modeling_mamba2 import Mamba2Config, Mamba2Mixer

    layer = drawn(StateSpace(SIZE, HEADS, state=8))
    theirs = Mamba2Mixer(
        Mamba2Config(
            hidden_size=SIZE, num_heads=HEADS, head_dim=2 * SIZE // HEADS, state_size=8, n_groups=1, num_hidden_layers=1
        ),
        layer_idx=0,
    )
    names = {"in_proj": "seen", "conv1d": "convolution", "norm": "norm", "out_proj": "output"}
    own = dict(layer.named_parameters())
    weights = {f"{name}.{part}": own[f"{mine}.{part}"] for name, mine in names.items() for part in ("weight", "bias")
               if f"{mine}.{part}" in own}  # fmt: skip
    theirs.load_state_dict(weights | {"dt_bias": layer.step_bias, "A_log": layer.log_decay, "D": layer.skip})
    assert_same(layer, theirs)


def by_blocks(weight: Tensor, width: int) -> Tensor:
    """The weights of a convolution over one step as blocks (count, width, width)."""
    return weight.detach().view(-1, width, width)


def test_the_mlstm_is_that_of_xlstm() -> None:
    pytest.importorskip("xlstm")
    from xlstm import mLSTMLayer, mLSTMLayerConfig

    layer = drawn(MatrixLSTM(SIZE, HEADS))
    theirs = mLSTMLayer(mLSTMLayerConfig(embedding_dim=SIZE, num_heads=HEADS, context_length=STEPS))
    weights = {
        "learnable_skip": layer.skip,
        "proj_up.weight": layer.up.weight,
        "proj_down.weight": layer.down.weight,
        "mlstm_cell.outnorm.weight": layer.scale - 1,
        **{f"{part[0]}_proj.weight": by_blocks(getattr(layer, part).weight, 4) for part in ("query", "key", "value")},
        **{f"conv1d.conv.{part}": getattr(layer.convolution, part) for part in ("weight", "bias")},
        **{f"mlstm_cell.{gate}gate.{part}": getattr(layer.gates, part).chunk(2)[number]
           for number, gate in enumerate("if") for part in ("weight", "bias")},
    }  # fmt: skip
    theirs.load_state_dict(weights)
    assert_same(layer.double(), theirs.double())


def test_the_slstm_is_that_of_xlstm() -> None:
    pytest.importorskip("xlstm")
    from xlstm import sLSTMLayer, sLSTMLayerConfig

    layer, width = drawn(ScalarLSTM(SIZE, HEADS)), SIZE // HEADS
    settings = dict.fromkeys(("dtype", "dtype_r", "dtype_w", "dtype_g", "dtype_s", "dtype_a", "dtype_b"), "float32")
    theirs = sLSTMLayer(sLSTMLayerConfig(embedding_dim=SIZE, num_heads=HEADS, backend="vanilla", **settings))
    maps = [*layer.gates.weight.chunk(2), *layer.cells.weight.chunk(2)]
    weights = {
        "group_norm.weight": layer.scale - 1,
        # their fgate drives the input gate, and their igate the forget gate
        **{f"{name}gate.weight": by_blocks(part, width) for name, part in zip("fizo", maps, strict=True)},
        **{f"conv1d.conv.{part}": getattr(layer.convolution, part) for part in ("weight", "bias")},
        "slstm_cell._recurrent_kernel_": layer.recurrent.transpose(1, 2),
        "slstm_cell._bias_": layer.bias.flatten(),
    }
    theirs.load_state_dict(weights)
    assert_same(layer, theirs)
