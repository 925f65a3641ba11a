"""Encoders of images against numbers by hand, and what they leave as it is."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import tensor
from torch.testing import assert_close

from ntm_lab.nn import MANN
from ntm_lab.nn.image_encoders import Convolutions, Dense
from ntm_lab.types import Encoder


def test_a_dense_layer_is_rectified_and_the_label_follows() -> None:
    encoder = Dense(4 + 2, side=2, size=3)
    with torch.no_grad():
        encoder.layer.weight.copy_(tensor([[1.0, 0, 0, 2], [0, 1, -1, 0], [0, 0, 0, -1]]))
    assert_close(encoder(tensor([0.5, 0, 1, 1, 0, 1])), tensor([2.5, 0, 0, 0, 1]))


def test_convolutions_see_each_image_alone() -> None:
    """An image moved by four pixels, two strides of two, moves in the map of the second convolution by one."""
    torch.manual_seed(0)
    encoder = Convolutions(64, side=8, channels=3, size=5)
    image = torch.zeros(8, 8)
    image[1:3, 1:3] = torch.rand(2, 2)
    moved = image.roll((4, 4), (0, 1))
    maps = encoder.layers[:5](torch.stack((image, moved)).view(2, 64))  # (2, channels, 2, 2)
    assert_close(maps[0, :, 0, 0], maps[1, :, 1, 1])
    assert maps[0].any()
    batch = torch.rand(2, 4, 64)
    assert_close(encoder(batch)[1, 2], encoder(batch[1, 2][None])[0])


@pytest.mark.parametrize("build", [partial(Dense, size=7), partial(Convolutions, size=7)], ids=["dense", "conv"])
@pytest.mark.parametrize("side", [1, 8, 9])
def test_0_stays_0_and_what_is_no_pixel_passes(build: Callable[..., Encoder], side: int) -> None:
    encoder = build(side**2 + 5, side=side)
    inputs = torch.rand(2, 3, side**2 + 5)
    outputs = encoder(inputs)
    assert outputs.shape == (2, 3, encoder.size) and encoder.size == 7 + 5
    assert torch.equal(outputs[..., 7:], inputs[..., side**2 :])
    assert not encoder(torch.zeros_like(inputs)).any()


@pytest.mark.parametrize("build", [Dense, Convolutions])
def test_a_machine_learns_its_encoder(build: Callable[..., Encoder]) -> None:
    model = MANN(64 + 5, 5, size=8, slots=6, width=4, encoder=partial(build, side=8))
    model(torch.rand(2, 6, 69))[0].square().sum().backward()
    assert model.encoder is not None
    assert all(weight.grad is not None and weight.grad.any() for weight in model.encoder.parameters())


@pytest.mark.parametrize(
    ("build", "settings", "message"),
    [
        (Dense, {"side": 5}, r"model\.encoder\.side=5: its square must be at most 20, the inputs of the task"),
        (Dense, {"side": 4, "size": 0}, r"model\.encoder\.size=0: must be a whole number"),
        (Convolutions, {"side": 0}, r"model\.encoder\.side=0: must be a whole number"),
        (Convolutions, {"side": 4, "channels": 0}, r"model\.encoder\.channels=0: must be a whole number"),
    ],
    ids=["side", "size", "none", "channels"],
)
def test_bad_settings(build: Callable[..., Encoder], settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build(20, **settings)
