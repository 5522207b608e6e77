"""Fine-tuning: the function that checks everything, then trains."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

from neurenix.errors import NeurenixError
from neurenix.graph import PrecisionName
from neurenix.nn import Module
from neurenix.optim import Optimizer
from neurenix_transfer.cache import CacheMode, CacheOptions, FeatureCache, StoredSamples
from neurenix_transfer.cache.precision import check_frozen_precision
from neurenix_transfer.callbacks import BestWeights, CallbackList, EarlyStopping
from neurenix_transfer.checking import DataError, check_data, check_same_shape
from neurenix_transfer.checkpoints import Checkpoints
from neurenix_transfer.class_weights import ClassWeight
from neurenix_transfer.freezing import resting_where_frozen
from neurenix_transfer.history import History
from neurenix_transfer.losses import LossFunction, find_loss
from neurenix_transfer.metrics import MetricLike
from neurenix_transfer.options import TrainingOptions
from neurenix_transfer.padding import padding_for
from neurenix_transfer.probing import probe
from neurenix_transfer.progress import Progress
from neurenix_transfer.regularizers import RegularizerLike
from neurenix_transfer.schedules import Schedule
from neurenix_transfer.sources import placed
from neurenix_transfer.steps import Steps
from neurenix_transfer.summary import describe_counts
from neurenix_transfer.tasks import check_labels, score
from neurenix_transfer.training import Trainer, keeps_statistics

if TYPE_CHECKING:
    from neurenix_transfer.recipes.adapt import Recipe

_NAMED = 5  # parameters named in a warning before it says how many there are


class OptimizerError(NeurenixError, ValueError):
    """An optimizer that does not train the model it was given with."""


def fine_tune(
    model: Module,
    optimizer: Optimizer | None,
    train_data: Any,
    train_labels: Any = None,
    val_data: Any = None,
    val_labels: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    loss_fn: LossFunction | None = None,
    callbacks: Iterable[Any] | None = None,
    early_stopping: bool = False,
    patience: int = 3,
    *,
    recipe: Recipe | None = None,
    seed: int = 0,
    shuffle: bool = True,
    restore_best: bool | None = None,
    scheduler: Any = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    class_weight: ClassWeight | None = None,
    label_smoothing: float = 0.0,
    mixup: float = 0.0,
    metrics: MetricLike | Iterable[MetricLike] = (),
    regularizer: RegularizerLike | None = None,
    ema: float | None = None,
    checkpoint_dir: str | PathLike[str] | None = None,
    resume_from_checkpoint: bool | str | PathLike[str] = False,
    save_total_limit: int | None = 2,
    cache: CacheMode = "auto",
    cache_bytes: int | None = None,
    views: int | None = None,
    precision: PrecisionName = "float32",
    compile: bool = True,  # noqa: A002  (the name that the field gives it)
    verbose: int = 1,
) -> History:
    """Train the unfrozen part of a model on new data.

    Everything is checked before the first step. With the same seed, device and thread count the
    result is bitwise the same. The model is left in eval mode.

    Args:
        model: A `TransferModel` or any other module.
        optimizer: Holds the parameters to train; frozen ones among them are left as they are. None
            with a recipe, which brings its own.
        train_data: The samples: a list of tensors or arrays, one tensor or array of all, a
            Dataset, a DataLoader, or anything that gives batches each time it is iterated over.
            Rows of token ids in a list may differ in length if the base has a ``pad_token_id``.
        train_labels: One label a sample; None where the data bring their own.
        val_data: Samples to validate with after each epoch, in any of these forms.
        val_labels: Their labels.
        epochs: How many times the training data are gone through.
        batch_size: Samples a step. A DataLoader has its own. Where BatchNorm trains, a last batch
            of a single sample joins the batch before it.
        loss_fn: ``(outputs, labels) -> loss``; None chooses by the labels, see
            `neurenix_transfer.losses`. Validation leaves out class weights and label smoothing.
        callbacks: Functions ``callback(epoch, history)``, called after each epoch, and objects
            with methods of `Callback`.
        early_stopping: Whether to stop after ``patience`` epochs without a lower validation loss
            (training loss, with a warning, without validation data).
        patience: See there.
        recipe: A whole way to fine-tune: ``"probe"``, ``"lp-ft"``, ``"progressive"`` or ``"auto"``;
            see `adapt`, which takes rates and layers too. None trains what is not frozen.
        seed: What the order of samples, random transforms and dropout depend on.
        shuffle: Whether each epoch has an order of its own; a DataLoader decides for itself.
        restore_best: Whether to put back the weights and buffers of the best epoch at the end, at
            Ctrl-C too. None does so with early stopping; without, the last ones remain.
        scheduler: A scheduler, stepped once an epoch (`OneCycleLR` once a batch), or a function
            ``(optimizer, total_steps) -> scheduler``, whose scheduler is stepped once a batch.
        clip_norm: The largest norm of all gradients together; a longer step is scaled down.
        clip_value: The largest absolute value of an element of a gradient.
        class_weight: How much classes count in the training loss: ``"balanced"`` for all alike
            however rare, or a mapping from class to weight (1 where none is given).
        label_smoothing: The share of every target that is spread evenly over the classes.
        mixup: The alpha of mixup, which trains on mixtures of two samples; 0 for none, 0.2 is
            usual. ``train_`` metrics are measured against the sample that weighs more.
        metrics: What is measured beside accuracy or MAE: ``"top3"`` (any k), ``"f1"``,
            ``"f1_macro"``, ``"f1_binary"``, ``"r2"``, objects of `Metric`, and functions
            ``(outputs, labels) -> number`` of all outputs and labels of an epoch. Each is a pair
            of lists in the history.
        regularizer: A penalty on the weights, such as `L2SP`, or a function
            ``(model) -> penalty``. It steers the gradients; the losses recorded are without it.
        ema: The decay of an exponential moving average of the weights, such as 0.99. The average
            is what validation and callbacks see, and what the model is left with.
        checkpoint_dir: A folder that the whole state of the run is saved to after each epoch.
        resume_from_checkpoint: Whether to go on from the newest checkpoint there, to the same
            result as without a break; or the path of a checkpoint, or of a folder of them. A
            folder without a checkpoint means to start afresh, which is said.
        save_total_limit: How many of the newest checkpoints are kept, beside that of the best
            epoch; None keeps all.
        cache: Where the frozen part's results are kept, so that it runs once a sample and not
            once an epoch. ``"auto"`` keeps them in memory, beyond the budget on disk, where data
            are known to be the same at each reading; ``"memory"`` and ``"disk"`` do so with other
            data too, after reading some samples twice; ``"off"`` computes them each time. No
            result depends on it, but ``epoch_time``.
        cache_bytes: What they may take: on disk for ``"disk"``, else in memory. None takes up to
            a quarter of the machine's memory, or 10 GiB of the disk.
        views: With random augmentation, the number of views of each sample, which come in turn
            and are cached; None draws new ones each epoch, which cannot be.
        precision: What the frozen part computes in: ``"float32"``, or ``"bfloat16"`` or ``"int8"``
            where the backend has such plans. They are faster, and a little off: features are not
            quite those that the saved model, whose weights are float32, computes when it predicts.
            ``"int8"`` is calibrated on up to 128 training samples. What is trained stays float32.
        compile: Whether forward, backward and update of a batch run together as one plan, as by
            `neurenix.compile`; batches of another size have a plan of their own. The result is
            the same to rounding. What a plan cannot stand for runs one op at a time, which is
            said, with the reason. ``False`` does so for all steps.
        verbose: 0 prints nothing; 1 prints a line an epoch, and draws a bar on a terminal; 2
            prints all that is measured.

    Returns:
        What each epoch measured.

    Raises:
        DataError: The data do not fit together; the message names the sample.
        LabelError: The labels fit no loss, or not the model's output.
        ValueError: An option is out of its range, or does not go with the labels.
        OptimizerError: Nothing is trainable, or the optimizer holds nothing that is.
        CheckpointError: A checkpoint cannot be written, or is not of this run.
        PrecisionError: The backend has no plans of this precision; the message says what to do.
        KeyboardInterrupt: Ctrl-C was pressed; its attribute ``history`` holds the history so far.
    """
    if recipe is not None:
        return _by_recipe(optimizer, given=locals())
    _check_numbers(epochs=epochs, batch_size=batch_size, patience=patience, seed=seed)
    if not isinstance(model, Module):
        raise TypeError(f"model is a Module, not {model!r}")
    if val_data is None and val_labels is not None:
        raise DataError("val_labels came without val_data; pass both or neither")
    check_optimizer(model, optimizer)
    check_frozen_precision(model, precision)
    assert optimizer is not None
    options = TrainingOptions(
        clip_norm, clip_value, class_weight, label_smoothing, mixup, metrics, regularizer, ema
    )
    keepers = _keepers(early_stopping, patience, restore_best)
    if callbacks is not None and not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks is a list of callbacks, not {callbacks!r}")
    cached = CacheOptions(cache, cache_bytes, views, mixup != 0, precision)
    told = CallbackList([*keepers, *(callbacks or ())])
    progress = Progress(verbose, epochs)

    shared = (seed, StoredSamples(model, cached, seed), padding_for(model))
    train = check_data(train_data, train_labels, "train", batch_size, shuffle, *shared)
    val = None
    if val_data is not None:
        val = check_data(val_data, val_labels, "val", batch_size, False, *shared)
        check_same_shape(train, val)
    found = probe(model, placed(model, train.first))
    task, loss = find_loss(train.labels, found.output_shape, found.terminal, loss_fn)
    if task is not None and val is not None:
        check_labels(task, val.labels, found.output_shape, "val_labels")
    given = loss_fn is not None
    loss = options.loss(loss, task, found.terminal, train.labels, found.output_shape, given)
    extras = options.extras(model, task, found.output_shape, found.terminal)
    further = [metric.name for metric in extras.metrics]

    checkpoints = Checkpoints(
        checkpoint_dir,
        resume_from_checkpoint,
        save_total_limit,
        settings={
            "batch_size": batch_size,
            "seed": seed,
            "shuffle": shuffle,
            # Left out for float32, so that checkpoints from before there was a choice go on.
            **({} if precision == "float32" else {"precision": precision}),
            **options.settings(),
            **extras.settings(),
        },
        labels=(train.labels, None if val is None else val.labels),
    )

    with resting_where_frozen(model):
        model.train()
        features = FeatureCache(model, cached, progress.say)
        steps = train.source.steps(join_single=keeps_statistics(model))
        trainer = Trainer(
            model=model,
            optimizer=optimizer,
            loss=loss,
            score=None if task is None else score(task, found.terminal),
            train=train.source,
            val=None if val is None else val.source,
            features=features,
            callbacks=told,
            schedule=Schedule(scheduler, optimizer, None if steps is None else steps * epochs),
            progress=progress,
            history=History(None if task is None else task.metric, val is not None, further),
            seed=seed,
            extras=extras,
            checkpoints=checkpoints,
            steps=Steps(compile, progress.say),
        )
        trainer.history.saving = features.saving
        progress.say(f"Training {describe_counts(model)} on {next(model.parameters()).device}")
        progress.say(f"Loss: {loss.name}, {'as given' if given else 'chosen by the labels'}")
        if extras.describe():
            progress.say(f"Options: {extras.describe()}")
        data = {"train": train} if val is None else {"train": train, "val": val}
        features.prepare({name: (each.source, each.first) for name, each in data.items()}, seed)
        if mixup:
            trainer.steps.give_up("since mixup mixes every batch by another share")
        if trainer.schedule.cycles_momentum:
            trainer.steps.give_up(
                "since the scheduler cycles the momentum, which is a fixed number in a plan; "
                "cycle_momentum=False leaves it"
            )
        return trainer.run(epochs)


def check_optimizer(model: Module, optimizer: Optimizer | None) -> None:
    """Check that an optimizer trains a model.

    Warns where it lacks some of the trainable parameters. Frozen parameters in it are no matter.

    Raises:
        OptimizerError: Nothing is trainable, or the optimizer holds nothing that is.
        TypeError: It is no optimizer.
    """
    if optimizer is None:
        raise TypeError("optimizer is None, which only a recipe can do with: pass recipe= too")
    if not (hasattr(optimizer, "param_groups") and hasattr(optimizer, "step")):
        raise TypeError(
            f"optimizer is an Optimizer such as Adam(model.parameters(), lr=1e-3), "
            f"not {optimizer!r}"
        )
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise OptimizerError(
            f"no parameter of this {type(model).__name__} is trainable: all are frozen. Unfreeze "
            "some with unfreeze_layers(model, [...])"
        )
    held = {id(param) for group in optimizer.param_groups for param in group["params"]}
    missing = [name for name, param in trainable.items() if id(param) not in held]
    if len(missing) == len(trainable):
        raise OptimizerError(
            f"the optimizer holds none of the {len(trainable)} trainable parameters of this "
            f"{type(model).__name__}. Build it from this model: Adam(model.parameters(), lr=...)"
        )
    if missing:
        names = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        warnings.warn(
            f"{len(missing)} of {len(trainable)} trainable parameters are not in the optimizer "
            f"and will stay as they are: {names}. Add them, or freeze them.",
            stacklevel=3,
        )


def _by_recipe(optimizer: Optimizer | None, given: dict[str, Any]) -> History:
    """Hand everything over to `adapt`.

    Args:
        optimizer: Must be None.
        given: Every argument of `fine_tune` by its name.
    """
    from neurenix_transfer.recipes.adapt import adapt

    if optimizer is not None:
        raise TypeError(
            f"recipe={given['recipe']!r} brings an optimizer of its own, with rates that suit it; "
            "pass None for optimizer, or leave recipe out"
        )
    return adapt(**{name: value for name, value in given.items() if name != "optimizer"})


def _keepers(early_stopping: bool, patience: int, restore_best: bool | None) -> list[BestWeights]:
    """Return the callbacks that the arguments ask for; they come before the user's."""
    if early_stopping:
        return [EarlyStopping(patience=patience, restore_best=restore_best is not False)]
    return [BestWeights()] if restore_best else []


def _check_numbers(**numbers: int) -> None:
    least = {"epochs": 0, "batch_size": 1, "patience": 0}
    for name, value in numbers.items():
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} is a whole number, not {value!r}")
        if name in least and value < least[name]:
            raise ValueError(f"{name} is at least {least[name]}, not {value}")
