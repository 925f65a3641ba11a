"""The moments of a run's training that `callbacks=moments` kept."""

import copy
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from ntm_lab.runs.resume import differing
from ntm_lab.training.callbacks.moments import FOLDER
from ntm_lab.types import SequenceModel
from ntm_lab.zoo.find import Trained, find


def moments(source: Trained | str | Path, most: int = 8) -> Iterator[tuple[int, SequenceModel]]:
    """The number of sequences and the model after them, the earliest first; at most ``most``, evenly chosen.

    Args:
        source: a trained model, or where `find` finds one, such as a run's ``folder``.

    Raises ValueError for a file that is damaged or of another model, and as `find` does.
    """
    trained = source if isinstance(source, Trained) else find(source)
    paths = sorted((trained.folder / FOLDER).glob("*.safetensors"))
    last, count = len(paths) - 1, min(most, len(paths))
    for path in [paths[round(place * last / max(1, count - 1))] for place in range(count)]:
        try:
            weights = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: is damaged ({error})") from error
        unlike = differing(trained.model.state_dict(), weights)
        if unlike:
            raise ValueError(f"{path}: is of another model than the run: {unlike} differ")
        model = copy.deepcopy(trained.model)
        model.load_state_dict(weights)
        yield int(path.stem), model
