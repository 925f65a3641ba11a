"""Pictures of one fixed sequence through training, drawn by a process of their own: no step waits for them."""

import logging
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from ntm_lab.checks import at_least
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.training.learner import Learner
from ntm_lab.training.loggers import RunLog
from ntm_lab.types import Batch

NAME = "episode.png"
CARD = (848, 848)  # pixels, of TensorBoard's card at full width
DRAW = """
import os, pickle, sys
getattr(os, "nice", int)(10)  # training goes first where there are too few cores for both
image, sys.stdout = sys.stdout.buffer, sys.stderr
pickle.load(sys.stdin.buffer).savefig(image)
"""

log = logging.getLogger(__name__)


class Picture(Protocol):
    """What can be pickled and drawn; it is imported anew to be drawn, best without PyTorch. A matplotlib figure is one
    too, at the cost of making it in the process that trains."""

    def savefig(self, file: BinaryIO) -> object:
        """Write a PNG."""
        ...


class Pictures(pl.Callback):
    """Draws the first of the hardest validation sequences every ``every`` validations, and when training ends.

    Goes to the loggers that show pictures, as large as TensorBoard shows it, at the first validation after it is drawn;
    the newest one is also ``episode.png`` in the run's folder. The last of them are there after `finish`.

    Args:
        draw: makes the picture from the model, the task, a batch of one sequence, and a ``title``.
        every: validations between two pictures.
    """

    def __init__(self, draw: Callable[..., Picture], every: int = 10) -> None:
        self.draw = draw
        self.drawn_at: int | None = None  # sequences
        self.every = at_least("callbacks.pictures.every", every, 1)
        self.pool = ThreadPoolExecutor(1)  # waits for one process after the other
        self.drawn: dict[int, Future[bytes]] = {}  # by sequences, until they are logged

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        rounds = trainer.global_step // learner.data.round_steps
        if rounds % self.every == 0:
            self._show(trainer, learner)
        self._log([sequences for sequences, picture in self.drawn.items() if picture.done()], trainer.loggers)

    def on_train_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._show(trainer, learner)

    def finish(self, trainer: pl.Trainer) -> None:
        """Wait for all pictures, and log them."""
        self._log([*self.drawn], trainer.loggers)

    @rank_zero_only
    def _show(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        if self.drawn_at == learner.sequences:
            return
        self.drawn_at = learner.sequences
        batch = learner.as_trained(Batch(*(part[:1] for part in learner.data.validation[-1])))
        title = f"{in_words(learner.data.rungs[-1])}, after {learner.sequences:,} sequences of training"
        picture = pickle.dumps(self.draw(learner.model, learner.data.task, batch, title=title))
        self.drawn[learner.sequences] = self.pool.submit(drawn, picture, Path(trainer.default_root_dir) / NAME)

    def _log(self, which: list[int], loggers: list[Logger]) -> None:
        for sequences in which:
            try:
                image = self.drawn.pop(sequences).result()
            except subprocess.CalledProcessError as error:
                reason = (error.stderr.decode(errors="replace").strip() or str(error)).splitlines()[-1]
                log.warning("no %s after %s sequences: %s", NAME, f"{sequences:,}", reason)
                continue
            pixels = np.asarray(as_shown(Image.open(BytesIO(image)).convert("RGB")))
            for logger in loggers:
                if isinstance(logger, RunLog):
                    logger.show("episode", pixels, sequences)


def as_shown(image: Image.Image) -> Image.Image:
    """A picture as large as TensorBoard shows it, which scales larger ones without smoothing, so that letters break."""
    shrunk = image.copy()
    shrunk.thumbnail(CARD, Image.Resampling.LANCZOS)
    return shrunk


def drawn(picture: bytes, path: Path) -> bytes:
    """The PNG of a pickled picture, drawn in another process, and written to a file, whole or not at all.

    Raises CalledProcessError, with what the process wrote to stderr, if it cannot be drawn.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with tempfile.TemporaryFile() as file:  # not a pipe: it would have to be filled while the other process begins
        file.write(picture)
        file.seek(0)
        image = subprocess.run(
            [sys.executable, "-c", DRAW],
            stdin=file,
            capture_output=True,
            check=True,
            env=environment,
            start_new_session=True,  # Ctrl-C ends the training, and what is drawn then is still of use
        ).stdout
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(image)
    partial.replace(path)
    return image
