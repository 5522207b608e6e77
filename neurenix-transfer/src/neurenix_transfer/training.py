"""The training loop, in small pieces: a run, an epoch, a batch, an evaluation."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix_transfer.cache import FeatureCache
from neurenix_transfer.cache.batches import Staged
from neurenix_transfer.callbacks import CallbackList
from neurenix_transfer.checkpoints import CheckpointError, Checkpoints
from neurenix_transfer.history import History
from neurenix_transfer.losses import Loss
from neurenix_transfer.options import Extras
from neurenix_transfer.progress import Progress
from neurenix_transfer.schedules import Schedule
from neurenix_transfer.sources import Source
from neurenix_transfer.steps import Steps
from neurenix_transfer.streams import drawing_for
from neurenix_transfer.totals import Totals
from neurenix_transfer.training_step import Parameters, Score, Stepped, TrainingStep, mean_loss


@dataclass
class Trainer:
    """Trains a model; `neurenix.transfer.fine_tune` checks the arguments and builds it.

    Attributes:
        model: The model.
        optimizer: Its optimizer.
        loss: The loss.
        score: Sums the metric over a batch; None where there is no metric.
        train: The training data.
        val: The validation data, if any.
        features: Gives the batches of both, past the frozen part of the model.
        callbacks: What is told of each moment.
        schedule: The schedule of the learning rate.
        progress: What prints.
        history: Where what is measured goes.
        seed: What random numbers depend on, beside the step.
        extras: What is done beside forward, backward and step.
        checkpoints: What saves and resumes the run, if anything.
        steps: What runs training steps.
        step: The number of steps taken.
        cut_short: Whether an epoch ended before its last batch.
    """

    model: Module
    optimizer: Optimizer
    loss: Loss
    score: Score | None
    train: Source
    val: Source | None
    features: FeatureCache
    callbacks: CallbackList
    schedule: Schedule
    progress: Progress
    history: History
    seed: int
    extras: Extras = field(default_factory=Extras)
    checkpoints: Checkpoints | None = None
    steps: Steps = field(default_factory=Steps)
    step: int = 0
    cut_short: bool = False

    def __post_init__(self) -> None:
        """Put the training step together."""
        extras = self.extras
        regularizer = extras.regularizer
        self._training_step = TrainingStep(
            self.optimizer,
            self.loss,
            extras.limit,
            self.score,
            None if regularizer is None else partial(regularizer.penalty, self.model),
            Parameters(),
        )

    def run(self, epochs: int) -> History:
        """Train for so many epochs, those of a resumed run counted, or until a callback ends it.

        However it ends, the callbacks are told, and the model is left in eval mode. A
        KeyboardInterrupt passes through, with the history so far as its attribute ``history``.
        """
        self._set_stop_training(False)
        if self.checkpoints is not None:
            self.checkpoints.begin(self)
        self.callbacks.attach(self.model, self.optimizer, epochs)
        try:
            self.callbacks.tell("on_train_begin", self.history)
            if self.checkpoints is not None:
                self.checkpoints.resume(self)
            for epoch in range(self.history.epochs, epochs):
                if self.stopping:
                    break
                self._run_epoch(epoch)
        except (KeyboardInterrupt, CheckpointError) as interrupt:
            interrupt.history = self.history  # type: ignore[union-attr]
            raise
        finally:
            self.history.stopped_early = self.cut_short or self.history.epochs < epochs
            self.model.eval()
            if self.extras.average is not None:
                self.extras.average.put()
            self.callbacks.tell("on_train_end", self.history)
            self.features.conclude()
            self._conclude(epochs)
            if self.checkpoints is not None:
                self.checkpoints.close()
        return self.history

    def evaluate(self) -> dict[str, float]:
        """Return the mean loss and the metrics over the validation data, in eval mode."""
        self.model.eval()
        self.features.begin("val")
        step = self._training_step
        totals = Totals(self.extras.metrics)
        with no_grad():
            for batch in self.features.batches("val", 0):
                outputs, labels = step.fitted(batch.outputs(), batch.labels)
                loss = mean_loss(self.loss.evaluation, outputs, labels)
                self._add(totals, Stepped(loss, outputs, labels, step.scored(outputs, labels)))
        return totals.values("val", self.history)

    def _conclude(self, epochs: int) -> None:
        """Say what is out of the ordinary about the end."""
        history = self.history
        parts = []
        if history.stopped_early:
            parts.append(f"Ended after {history.epochs} of {epochs} epochs")
        if history.restored and history.best_epoch is not None:
            parts.append(f"The weights of epoch {history.best_epoch + 1}, the best, are kept")
        if parts:
            self.progress.say(". ".join(parts))

    def _run_epoch(self, epoch: int) -> None:
        self.callbacks.tell("on_epoch_begin", epoch, self.history)
        if self.stopping:
            return
        started = time.perf_counter()
        values = self._train_epoch(epoch)
        average = self.extras.average
        # The callbacks too: the weights that they keep or save are those that were validated.
        with nullcontext() if average is None else average.in_place():
            if self.val is not None:
                values |= self.evaluate()
            values["epoch_time"] = time.perf_counter() - started
            self.history.record(values)
            self.schedule.after_epoch(self.history)
            self.progress.epoch_end(epoch, self.history)
            self.callbacks.tell("on_epoch_end", epoch, self.history)
        if self.checkpoints is not None:
            self.checkpoints.save(self)

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        self.model.train()
        if self.extras.average is not None:
            self.extras.average.begin_epoch()
        self.features.begin("train")  # the cut, again: callbacks may freeze and unfreeze
        self._training_step.parameters.find(self.model)
        self._device = next(self.model.parameters()).device
        self.steps.begin(self.features.state("train"))
        join_single = keeps_statistics(self.model)
        steps = self.train.steps(join_single=join_single)
        totals = Totals(self.extras.metrics)
        lr = 0.0
        self.progress.epoch_begin()
        batches = self.features.batches("train", epoch, join_single=join_single)
        for number, batch in enumerate(batches, 1):
            if self.stopping:
                self.cut_short = True
                break
            lr = float(self.optimizer.param_groups[0]["lr"])
            self._train_batch(number - 1, batch, totals)
            self.progress.batch(epoch, number, steps)
        return {**totals.values("train", self.history), "lr": lr}

    def _train_batch(self, number: int, batch: Staged, totals: Totals) -> None:
        if self.callbacks.watches_batches:
            self.callbacks.tell("on_train_batch_begin", number, {"size": batch.size})
        with drawing_for(self.seed, self.step):
            stepped = self._take_step(batch)
        if self.extras.average is not None:
            self.extras.average.after_step()
        self.schedule.after_batch()
        self.step += 1
        if self.loss.is_sum:
            stepped = replace(stepped, loss=stepped.loss / batch.size)
        with no_grad():
            self._add(totals, stepped)
        if self.callbacks.watches_batches:
            logs = {"loss": float(stepped.loss.item()), "size": batch.size}
            self.callbacks.tell("on_train_batch_end", number, logs)

    def _take_step(self, batch: Staged) -> Stepped:
        """Change the parameters by a batch, mixed if asked for."""
        step = self._training_step
        if self.extras.mixup is None:
            rest = batch.rest()
            labels = batch.labels.to(self._device)
            return Stepped(*self.steps(step, rest, labels))
        mixed = self.extras.mixup(batch.whole(), self.seed, self.step)
        staged = self.features.stage("train", mixed.batch)
        outputs, labels = step.fitted(staged.outputs(), staged.labels)
        partners = step.fitted_labels(mixed.partners, outputs)

        def loss_of(target: Tensor) -> Tensor:
            return mean_loss(self.loss.function, outputs, target)

        loss = mixed.loss(loss_of, labels, partners)
        step.follow(loss)
        return Stepped(loss.detach(), outputs.detach(), labels, step.scored(outputs, labels))

    def _add(self, totals: Totals, stepped: Stepped) -> None:
        totals.losses.append((stepped.loss, stepped.labels.shape[0]))
        if stepped.score is not None:
            totals.scores.append(stepped.score)
        totals.measure(stepped.outputs, stepped.labels)

    def stop(self) -> None:
        """End the training before the next batch."""
        self._set_stop_training(True)

    @property
    def stopping(self) -> bool:
        """Whether something has asked for the end of the training."""
        return self.callbacks.stop_requested or bool(getattr(self.model, "stop_training", False))

    def _set_stop_training(self, value: bool) -> None:
        self.model.stop_training = value


def keeps_statistics(model: Module) -> bool:
    """Whether a BatchNorm trains, which cannot do with a batch of one sample."""
    return any(module.keeps_batch_statistics and module.training for module in model.modules())
