"""Pictures of one fixed sequence through training."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytorch_lightning as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from pytorch_lightning.utilities import rank_zero_only

from ntm_lab.checks import at_least
from ntm_lab.tasks.difficulties import in_words
from ntm_lab.training.learner import Learner
from ntm_lab.training.loggers import RunLog
from ntm_lab.types import Batch


class Pictures(pl.Callback):
    """Draws the first of the hardest validation sequences every ``every`` validations, and when training ends.

    Goes to the loggers that show pictures; the newest one is also ``episode.png`` in the run's folder.

    Args:
        draw: makes the figure from the model, the task, a batch of one sequence, and a ``title``.
        every: validations between two pictures.
    """

    def __init__(self, draw: Callable[..., Figure], every: int = 10) -> None:
        self.draw = draw
        self.drawn_at: int | None = None  # sequences
        self.every = at_least("callbacks.pictures.every", every, 1)

    def on_validation_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        rounds = trainer.global_step // learner.data.round_steps
        if rounds % self.every == 0:
            self._show(trainer, learner)

    def on_train_end(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        self._show(trainer, learner)

    @rank_zero_only
    def _show(self, trainer: pl.Trainer, learner: pl.LightningModule) -> None:
        assert isinstance(learner, Learner)
        if self.drawn_at == learner.sequences:
            return
        self.drawn_at = learner.sequences
        batch = learner.as_trained(Batch(*(part[:1] for part in learner.data.validation[-1])))
        title = f"{in_words(learner.data.rungs[-1])}, after {learner.sequences:,} sequences of training"
        canvas = FigureCanvasAgg(self.draw(learner.model, learner.data.task, batch, title=title))
        canvas.draw()  # once for all, as it is the layout that takes time
        image = np.asarray(canvas.buffer_rgba())
        plt.imsave(Path(trainer.default_root_dir) / "episode.png", image)
        for logger in learner.loggers:
            if isinstance(logger, RunLog):
                logger.show("episode", image[..., :3], learner.sequences)
