"""How a model learns: the one LightningModule."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ntm_lab.checks import at_least, number
from ntm_lab.fast import updates
from ntm_lab.tasks.answers import accuracy, by_group
from ntm_lab.tasks.difficulties import label
from ntm_lab.training.data import Data
from ntm_lab.training.metrics import SequenceMeans
from ntm_lab.training.nonfinite import NonFiniteError, stop_nonfinite
from ntm_lab.training.optim import Schedule
from ntm_lab.types import Batch, Kind, SequenceModel

PATIENCE = 2  # validations in a row below `stop_at_cost` that end a run


class Penalty(Protocol):
    """A loss term: the signals of the model that it needs, when it acts, and its value."""

    once_learned: bool  # only when the task is learned, and then in proportion to the descent of the schedule

    def wanted(self, signals: Mapping[str, Kind]) -> Sequence[str]:
        """The names of the signals it needs, among those of a model; ValueError if one is missing."""
        ...

    def __call__(self, signals: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The term, from the signals it needs -> ()."""
        ...


class Learner(pl.LightningModule):
    """Minimises the task's cost, summed over a sequence and averaged over the batch, plus the penalties.

    The run ends when the validation cost stays below ``stop_at_cost`` (None: never) and the schedule has finished. It
    logs averages over the steps since the last logging, against the number of sequences seen; the columns ``step`` and
    ``seconds`` (of training alone) give the other two axes. Callbacks can monitor the values that a validation logs,
    such as ``val/cost``.

    Several processes compute parts of every batch; costs, measures and gradients are those of the whole batch.

    Args:
        model: a SequenceModel.
        data: the source of batches, which is told their costs.
        optimizer: of the model's parameters.
        schedule: of the optimizer's learning rate.
        clip: bounds the gradients and returns their norm before that.
        penalties: further loss terms.
        stop_at_cost: in the unit of the task's answer, bits for most.
        slots: of the memory in training, where what is learned depends on how short it is; None, or more than it has:
            all, as in validations.
        log_every: steps between two points of the training curve.
    """

    model: SequenceModel

    def __init__(
        self,
        model: SequenceModel,
        data: Data,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        clip: Callable[[Iterable[nn.Parameter]], Tensor],
        penalties: Iterable[Penalty] = (),
        stop_at_cost: float | None = None,
        slots: int | None = None,
        log_every: int = 10,
    ) -> None:
        super().__init__()
        if stop_at_cost is not None:
            number("stop_at_cost", stop_at_cost, lambda cost: cost > 0, "above 0, or null for never")
        self.model = model
        self.data = data
        self.answer = data.task.answer
        self.costs: list[Tensor] = []  # of the last batch, of each part that this process computed
        self.batch = data.validation[0]  # the last part of a batch, once there is one
        self.optimizer = optimizer
        self.schedule = schedule
        self.clip = clip
        self.penalties = list(penalties)
        self._check_signals()
        self.stop_at_cost = stop_at_cost
        self.slots = self._checked(slots)
        self.log_every = at_least("log_every", log_every, 1)
        self.metrics = nn.ModuleList(SequenceMeans(self.answer) for _ in data.rungs)
        self.groups: dict[str, Tensor] = {}  # of the validation under way: right and scored answers, (2,) each
        # No buffers, which would take the precision of the weights, and of another process.
        self.sums = torch.zeros(len(self._logged()) + 1, dtype=torch.float64)  # since the last logging; and the steps
        self.largest_gradient_norm = torch.zeros(())  # of the whole run, before clipping
        self.passes = 0  # validations in a row below stop_at_cost
        self.seconds = 0.0  # of training alone, up to the last validation
        self.solved_since: tuple[int, float] | None = None  # sequences and seconds; solved at all validations since
        self.round_started: float | None = None
        self.optimum = [self._mean_optimum(batch) for batch in data.validation]
        worst = [self.answer.worst(batch.targets, batch.mask).double().mean() for batch in data.validation]
        self.worst_of_rungs = [float(mean) for mean in worst]  # the denominator of the error rate, per sequence
        self.worst = float(sum(worst)) / len(worst)
        self.latest: dict[str, float] = {}  # the newest value of everything logged

    def __setattr__(self, name: str, value: Any) -> None:
        """As of any module, but at once for the name of the hook under way, which Lightning sets fifty times a step."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def sequences(self) -> int:
        """Sequences seen in training."""
        return int(self.trainer.global_step) * self.data.batch_size

    @property
    def solved(self) -> bool:
        """Whether the run may end: the validation cost stays below the mark and the schedule has finished."""
        return self.passes >= PATIENCE and self.stop_at_cost is not None and self.schedule.finished

    @property
    def monitored(self) -> list[str]:
        """The values of a validation that callbacks can monitor."""
        names = [*(measure.logged for measure in self.answer.measures), self.answer.error_rate, "optimum"]
        return [f"val/{name}" for name in names]

    def configure_optimizers(self) -> Any:
        return {"optimizer": self.optimizer, "lr_scheduler": {"scheduler": self.schedule, "interval": "step"}}

    # Training

    def setup(self, stage: str) -> None:
        """Before a checkpoint is loaded, so that it is loaded in the precision that it was saved in."""
        self.trainer.precision_plugin.convert_module(self)

    def on_fit_start(self) -> None:
        self.sums = self.sums.to(self.device)
        self.largest_gradient_norm = self.largest_gradient_norm.to(self.device)
        self._warm_up()

    def _warm_up(self) -> None:
        """Run a batch of the easiest sequences forward and backward, and discard it.

        Backends compile or load their kernels for the types and sizes that they meet. This happens before the clock
        starts, as it is not training.
        """
        easiest, size = self.data.validation[0], self.data.part_size
        batch = self.as_trained(Batch(*(part[torch.arange(size) % len(easiest.inputs)] for part in easiest)))
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            signals = self.model.trace(
                batch.inputs, self._start(batch), uneven_lengths(batch), self._wanted(self.penalties)
            )
        weights = [part for part in self.model.parameters() if part.requires_grad]
        torch.autograd.grad(signals["logits"].sum(), weights, allow_unused=True)
        updates.warm_up(weights)

    def as_trained(self, batch: Batch) -> Batch:
        """A batch on the device and in the precision of training."""
        converted: Batch = self.trainer.precision_plugin.convert_input(batch)
        return self.trainer.strategy.batch_to_device(converted)

    def on_train_start(self) -> None:
        self._end_if_solved()  # a finished run that is resumed does not train on

    def _end_if_solved(self) -> None:
        """Others may have requested the end already; this never revokes it."""
        if self.solved:
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        self.round_started = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        shares = {term: self.schedule.descent if term.once_learned else 1.0 for term in self.penalties}
        acting = {term: share for term, share in shares.items() if share}
        signals = self.model.trace(batch.inputs, self._start(batch), uneven_lengths(batch), self._wanted(acting))
        signals = {name: widened(signal) for name, signal in signals.items()}
        costs = self.answer.cost(signals["logits"], batch.targets, batch.mask)
        penalty = sum(
            (share * term(self._wanted_of(term, signals), batch) for term, share in acting.items()), costs.new_zeros(())
        )
        cost = costs.mean()
        loss = cost + penalty
        if self.data.processes == 1 and not math.isfinite(loss.item()):  # other processes learn of it by the gradient
            self._stop_nonfinite(f"loss is {loss.item()}", batch)
        if not batch_idx % self.data.accumulated:
            self.costs.clear()
        self.costs.append(costs.detach())
        with torch.no_grad():
            counts = self.answer.counts(signals["logits"], batch.targets, batch.mask)
        means = (cost.detach().double(), *(count.double().mean() for count in counts.values()))
        self.sums[:-2].add_(torch.stack((*means, penalty.detach().double())) / self.data.accumulated)
        self.batch = batch
        return loss

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        norm = self.clip(parameter for group in self.optimizer.param_groups for parameter in group["params"])
        if not math.isfinite(norm):
            if getattr(self.trainer.precision_plugin, "scaler", None) is not None:
                return  # float16: this step is skipped, and the next one scaled down
            self._stop_nonfinite(f"gradient norm is {norm.item()}", self.batch)
        self.sums[-2].add_(norm)
        self.largest_gradient_norm = torch.maximum(self.largest_gradient_norm, norm)
        self.sums[-1].add_(1)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if (batch_idx + 1) % self.data.accumulated:
            return  # the batch has more parts
        costs_after = self._costs_now() if self.data.curriculum.measures_gain else None
        self.data.observe(self._of_all(self.costs), None if costs_after is None else self._of_all(costs_after))
        if (batch_idx + 1) // self.data.accumulated % self.log_every == 0:
            self._log_training()

    def _start(self, batch: Batch) -> Any:
        """The state before the first step of training; None for the model's own."""
        return None if self.slots is None else self.model.initial_state(len(batch.inputs), self.slots)

    @torch.no_grad()
    def _costs_now(self) -> list[Tensor]:
        """The cost of the last batch after the update."""
        costs = []
        for part in map(self.as_trained, self.data.parts):
            logits, _ = self.model(part.inputs, self._start(part), uneven_lengths(part))
            costs.append(self.answer.cost(widened(logits), part.targets, part.mask))
        return costs

    def _of_all(self, costs: list[Tensor]) -> Tensor:
        """The costs (B,) of a batch of which each process has computed parts."""
        own = torch.cat(costs)
        return own if self.data.processes == 1 else self.data.in_order(_gather(own))

    def _log_training(self) -> None:
        *sums, steps = self.trainer.strategy.reduce(self.sums, reduce_op="mean").tolist()
        if not steps:
            return
        values = {f"train/{name}": total / steps for name, total in zip(self._logged(), sums, strict=True)}
        values["train/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        for axis in self.data.task.ranges:
            values[f"curriculum/{axis}"] = sum(point[axis] for point in self.data.drawn) / len(self.data.drawn)
        self.sums.zero_()
        self.log_now(values)

    def log_now(self, values: Mapping[str, float]) -> None:
        """Write values to every logger, at the number of sequences seen; the time it takes does not count as
        training."""
        begun = time.perf_counter()
        running = 0.0 if self.round_started is None else begun - self.round_started
        self.latest.update(values)
        progress = {"step": float(self.trainer.global_step), "seconds": self.seconds + running}
        for logger in self.loggers:
            logger.log_metrics({**progress, **values}, step=self.sequences)
        if self.round_started is not None:
            self.round_started += time.perf_counter() - begun

    # Validation

    def on_validation_start(self) -> None:
        if self.trainer.sanity_checking:
            return
        if self.round_started is not None:
            self.seconds += time.perf_counter() - self.round_started
            self.round_started = None
        self._log_training()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits, _ = self.model(batch.inputs, lengths=uneven_lengths(batch))
        logits = widened(logits)
        cast(SequenceMeans, self.metrics[batch_idx]).update(logits, batch.targets, batch.mask)
        for name, counts in by_group(self.data.task, logits, batch).items():
            self.groups[name] = self.groups.get(name, 0) + counts.sum(0)

    def on_validation_epoch_end(self) -> None:
        results = {}
        for rung, metrics in zip(self.data.rungs, cast(Iterable[SequenceMeans], self.metrics), strict=True):
            if metrics.sequences:  # not all are, in a trial of a few batches
                results[label(rung)] = {name: float(value) for name, value in metrics.compute().items()}
            metrics.reset()
        groups = {name: self.trainer.strategy.reduce(counts, reduce_op="sum") for name, counts in self.groups.items()}
        self.groups.clear()
        if self.trainer.sanity_checking:
            return
        overall = {name: _mean([result[name] for result in results.values()]) for name in next(iter(results.values()))}
        error_rate = overall[self.answer.errors.logged] / self.worst
        overall[self.answer.error_rate] = error_rate
        overall["optimum"] = _mean(self.optimum)
        values = {f"val/{name}": value for name, value in overall.items()}
        self.log_dict(values, logger=False, sync_dist=True)  # for callbacks
        for name, result in results.items():
            values.update({f"val_{measure}/{name}": value for measure, value in result.items()})
        values.update({f"val_accuracy/{name}": value for name, value in accuracy(groups).items()})
        self.log_now(values)
        if not math.isfinite(overall["cost"]) or not all(part.isfinite().all() for part in self.model.parameters()):
            self._stop_nonfinite(f"validation cost is {overall['cost']}", self.batch)
        if self._in_turn:
            self._hear(results, overall, error_rate)

    @property
    def _in_turn(self) -> bool:
        """Whether a validation ends a round. A sudden end has one too, which is ignored: a resumed run goes on as if
        there had been no end."""
        step = self.trainer.global_step
        return not (self.trainer.should_stop and step % self.data.round_steps and step < self.data.total_steps)

    def _hear(
        self, results: Mapping[str, Mapping[str, float]], overall: Mapping[str, float], error_rate: float
    ) -> None:
        self.schedule.observe({**overall, "error_rate": error_rate})
        rates = [
            (rung, results[label(rung)][self.answer.errors.logged] / worst)
            for rung, worst in zip(self.data.rungs, self.worst_of_rungs, strict=True)
            if label(rung) in results
        ]
        self.data.curriculum.validated(rates)
        if error_rate >= self.answer.solved:
            self.solved_since = None
        elif self.solved_since is None:
            self.solved_since = (self.sequences, self.seconds)
        below = self.stop_at_cost is not None and overall["cost"] < self.stop_at_cost
        self.passes = self.passes + 1 if below else 0
        self._end_if_solved()

    # Penalties and the log

    def _wanted(self, penalties: Iterable[Penalty]) -> list[str]:
        """The signals that some penalty needs, each once."""
        return list({name: None for penalty in penalties for name in penalty.wanted(self.model.signals)})

    def _wanted_of(self, penalty: Penalty, signals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: signals[name] for name in self._wanted([penalty])}

    def _logged(self) -> list[str]:
        """The values of `sums` except the number of steps."""
        return [*(measure.logged for measure in self.answer.measures), "penalty", "gradient_norm"]

    def _mean_optimum(self, batch: Batch) -> float:
        """The cost of the perfect answer to a sequence."""
        return float(self.answer.solution_cost(self.data.task.solve(batch), batch.targets, batch.mask).mean())

    # Checkpoints and failures

    def _checked(self, slots: int | None) -> int | None:
        """The slots of training; None for all."""
        has = self.model.slots
        if slots is None or (has is not None and at_least("training_slots", slots, 1) >= has):
            return None
        try:
            self.model.initial_state(1, slots)
        except ValueError as error:
            raise ValueError(f"training_slots={slots}: {error}") from error
        return slots

    def _check_signals(self) -> None:
        try:
            with torch.no_grad():
                self.model.trace(self.data.validation[0].inputs[:1], signals=self._wanted(self.penalties))
        except ValueError as error:
            raise ValueError(f"penalty: {error}") from error

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["learner"] = {
            "sequences": self.sequences,
            "seconds": self.seconds,
            "solved_since": self.solved_since,
            "largest_gradient_norm": float(self.largest_gradient_norm),
            "passes": self.passes,
            "torch_generator": torch.get_rng_state(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["learner"]
        self.seconds, self.passes = state["seconds"], state["passes"]
        self.solved_since = state["solved_since"]
        self.largest_gradient_norm.fill_(state["largest_gradient_norm"])
        torch.set_rng_state(state["torch_generator"].cpu())

    def _stop_nonfinite(self, what: str, batch: Batch) -> None:
        step = self.trainer.global_step + self.training  # while training, the step under way
        if self.data.processes > 1:  # all come here
            batch = Batch(*(_gather(part).flatten(0, 1) for part in batch))
        if not self.trainer.is_global_zero:
            raise NonFiniteError(what)
        stop_nonfinite(f"{what} at step {step}", self.model, batch, self.trainer.default_root_dir)


def widened(values: Tensor) -> Tensor:
    """Values of half precision in float32, for the sums of costs."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _gather(part: Tensor) -> Tensor:
    """A tensor of the same shape from each of P processes -> (P, …)."""
    parts = [torch.empty_like(part) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, part)
    return torch.stack(parts)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def uneven_lengths(batch: Batch) -> Tensor | None:
    """The lengths, if some sequence of the batch is padded, else None: models are faster without them."""
    return None if int(batch.lengths.min()) == batch.inputs.shape[1] else batch.lengths
