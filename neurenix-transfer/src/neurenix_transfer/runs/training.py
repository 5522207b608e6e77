"""The training of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurenix.errors import NeurenixError
from neurenix_transfer.fine_tune import fine_tune
from neurenix_transfer.history import History
from neurenix_transfer.recipes import adapt
from neurenix_transfer.recipes.layers import EVERY_LAYER
from neurenix_transfer.recipes.probe import PHASE as PROBE
from neurenix_transfer.runs.console import Console
from neurenix_transfer.runs.learned import Learned, WeightsBefore
from neurenix_transfer.runs.optimizer import make_optimizer, make_schedule
from neurenix_transfer.runs.options import HEAD_LR, RunOptions
from neurenix_transfer.transfer_model import TransferModel


@dataclass(frozen=True)
class Training:
    """A training that has ended.

    Attributes:
        history: What each epoch measured.
        interrupted: Whether Ctrl-C ended it.
        learned: What of the model it changed, in the weights that are kept.
    """

    history: History
    interrupted: bool
    learned: Learned


class DivergedError(NeurenixError, ArithmeticError):
    """A training whose loss ceased to be a number."""


def train_run(
    model: TransferModel, options: RunOptions, train: Any, val: Any, console: Console
) -> Training:
    """Train as the options say, and keep the weights of the lowest validation loss.

    Args:
        model: The model; what of its base is trained without a recipe is unfrozen already.
        options: How to train.
        train: A Dataset to train on.
        val: A Dataset to validate on.
        console: Where lines go.

    Raises:
        DivergedError: No epoch had a validation loss that is a number.
        KeyboardInterrupt: Ctrl-C before the first epoch had ended.
    """
    interrupted = False
    before = WeightsBefore(model)
    try:
        history = _train(model, options, train, val, 0 if console.quiet else 1)
    except KeyboardInterrupt as interrupt:
        history = getattr(interrupt, "history", None) or History()
        interrupted = True
        if not history.epochs:
            raise KeyboardInterrupt(
                "No epoch had ended, so that nothing was written."
            ) from interrupt
        console.line(f"Stopped by Ctrl-C after {history.epochs} of {options.epochs} epochs")
    if history.best_epoch is None:
        raise DivergedError(
            "the validation loss was never a number, so that no weights are worth keeping: lower "
            f"--lr ({options.lr:g})" + (" and --base-lr" if options.unfreeze else "")
        )
    return Training(history, interrupted, before.learned())


def unfreeze_for(model: TransferModel, options: RunOptions) -> None:
    """Unfreeze the layers of the base that the options name."""
    if options.unfreeze:
        everything = EVERY_LAYER in options.unfreeze
        model.unfreeze_layers(None if everything else list(options.unfreeze))


def kept_line(history: History) -> str | None:
    """Say which epoch's weights a run keeps, and why; None where there are none."""
    best = history.best_epoch
    if best is None:
        return None
    # A probe stands in the history as one, but is no epoch: the others are counted without it.
    probes = history.phases.count(PROBE)
    phase = history.phases[best] if history.phases else ""
    which = "the probe"
    if phase != PROBE:
        which = f"epoch {best + 1 - probes} of {history.epochs - probes}"
        which += f" ({phase})" if phase else ""
    return f"Kept {which}, of the lowest validation loss ({history['val_loss'][best]:.4f})"


def _train(
    model: TransferModel, options: RunOptions, train: Any, val: Any, verbose: int
) -> History:
    if options.recipe is not None:
        return adapt(
            model,
            train,
            val_data=val,
            recipe=options.recipe,
            epochs=options.epochs,
            batch_size=options.batch_size,
            lr=None if options.lr == HEAD_LR else options.lr,
            base_lr=options.base_lr,
            seed=options.seed,
            restore_best=True,
            verbose=verbose,
            **_kept(options),
        )
    return fine_tune(
        model,
        make_optimizer(model, options),
        train,
        val_data=val,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.seed,
        restore_best=True,
        scheduler=make_schedule(options),
        verbose=verbose,
        **_kept(options),
    )


def _kept(options: RunOptions) -> dict[str, Any]:
    """Return what is kept of a training, and where."""
    return {
        "cache": options.cache,
        "precision": options.precision,
        "checkpoint_dir": options.checkpoints,
        "resume_from_checkpoint": options.resume,
    }
