"""Encoders by hand, and a model that drops a share of its outputs in training alone."""

import pytest
import torch
from torch import tensor
from torch.testing import assert_close

from ntm_lab.nn import LSTM, NTM
from ntm_lab.nn.encoders import Words


def test_a_word_is_a_row_of_the_embedding() -> None:
    encoder = Words(3, words=3, size=2)
    assert encoder.masks is None
    assert_close(encoder(torch.eye(3)), encoder.embedding.weight.T)


def test_the_words_of_a_sentence_are_summed_under_masks() -> None:
    encoder = Words(2 * 3, words=3, size=2)
    assert encoder.masks is not None and encoder.masks.shape == (2, 2)
    first, second = tensor([0.0, 0, 1]), tensor([1.0, 0, 0])
    word = encoder.embedding.weight.T
    expected = encoder.masks[0] * word[2] + encoder.masks[1] * word[0]
    assert_close(encoder(torch.cat((first, second))), expected)
    assert not torch.allclose(encoder(torch.cat((second, first))), expected)
    assert not encoder(torch.zeros(6)).any()


def test_masks_begin_about_one() -> None:
    torch.manual_seed(0)
    masks = Words(1000 * 2, words=2, size=8, noise=0.5).requires_grad_(False).masks
    assert masks is not None
    assert float(masks.mean()) == pytest.approx(1, abs=0.03) and float(masks.std()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"words": 4}, r"model\.encoder\.words=4: must divide the inputs of the task, 6"),
        ({"words": 0}, r"model\.encoder\.words=0: must be a whole number"),
        ({"words": 3, "size": 0}, r"model\.encoder\.size=0: must be a whole number"),
        ({"words": 3, "noise": -1}, r"model\.encoder\.noise=-1: must be at least 0"),
        ({"words": 3, "dropout": 2}, r"model\.encoder\.dropout=2: must be between 0 and 1"),
    ],
    ids=["words", "none", "size", "noise", "dropout"],
)
def test_bad_settings(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Words(6, **settings)


def test_vectors_are_dropped_in_training_alone() -> None:
    torch.manual_seed(0)
    encoder, inputs = Words(3, words=3, size=1000, dropout=0.25), torch.eye(3)
    whole, thinned = encoder.eval()(inputs), encoder.train()(inputs)
    assert_close(thinned[thinned != 0], whole[thinned != 0] / 0.75)
    assert float((thinned == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("build", [NTM, LSTM])
def test_dropout_acts_in_training_alone(build: type[NTM | LSTM]) -> None:
    """Half of 20 numbers dropped: outputs differ from call to call, and from those of the same model at rest."""
    torch.manual_seed(0)
    model, inputs = build(3, 2, size=20, dropout=0.5), torch.rand(2, 4, 3)
    assert not torch.equal(model(inputs)[0], model(inputs)[0])
    at_rest = model.eval()(inputs)[0]
    model.dropout = 0.0
    assert torch.equal(at_rest, model(inputs)[0])
    with pytest.raises(ValueError, match=r"^model\.dropout=2: must be between 0 and 1"):
        build(3, 2, dropout=2)
