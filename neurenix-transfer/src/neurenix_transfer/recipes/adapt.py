"""`adapt`: fine-tuning by a recipe."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from neurenix.nn import Module
from neurenix_transfer.history import History
from neurenix_transfer.layer_names import LayerNames
from neurenix_transfer.recipes.choosing import choose
from neurenix_transfer.recipes.job import Job
from neurenix_transfer.recipes.lp_ft import run_lp_ft
from neurenix_transfer.recipes.probe import ProbeData, run_probe
from neurenix_transfer.recipes.progressive import run_progressive

Recipe: TypeAlias = Literal["probe", "lp-ft", "progressive", "auto"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)

# What a probe cannot heed: it follows no gradients.
_BY_STEPS = (
    "loss_fn",
    "callbacks",
    "scheduler",
    "clip_norm",
    "clip_value",
    "class_weight",
    "label_smoothing",
    "mixup",
    "regularizer",
    "ema",
)


def adapt(
    model: Module,
    train_data: Any,
    train_labels: Any = None,
    val_data: Any = None,
    val_labels: Any = None,
    *,
    recipe: Recipe = "auto",
    epochs: int = 10,
    batch_size: int = 32,
    unfreeze: LayerNames | None = None,
    lr: float | None = None,
    base_lr: float | None = None,
    seed: int = 0,
    restore_best: bool | None = None,
    verbose: int = 1,
    **options: Any,
) -> History:
    """Fine-tune a model by a recipe, which brings its own optimizer, rates and freezing.

    | recipe | what it does |
    |---|---|
    | ``"probe"`` | a linear probe on the frozen base: the best Linear head, by L-BFGS |
    | ``"lp-ft"`` | that, then head and last layers together at a small rate |
    | ``"progressive"`` | the head, then more and more of the base, deeper layers more slowly |
    | ``"auto"`` | the one of these that cross-validation on the training data finds best |

    ``"auto"`` prints its reasons. It takes the probe unless another recipe is better by more than
    chance explains, and does not try others where the training data are too few to tell, or where
    the probe leaves too little to gain.

    Args:
        model: A `TransferModel`, or another module. ``"probe"``, ``"lp-ft"`` and ``"auto"`` need a
            head that is one Linear; layers without weights may come before it.
        train_data: The samples, in any form that `fine_tune` takes.
        train_labels: Their labels.
        val_data: Samples to validate with. No recipe chooses anything by them but the epoch that
            ``restore_best`` keeps.
        val_labels: Their labels.
        recipe: Which recipe.
        epochs: How many epochs to train by gradients; a probe has none.
        batch_size: Samples a step.
        unfreeze: The layers of the base that may learn, named as for `freeze_layers`, or
            ``"all"``. None takes those that are trainable as the model comes; where the whole
            base is frozen, the last quarter of its blocks.
        lr: The highest learning rate of the head; by default 0.003 where it starts from nothing,
            and that of the base after a probe.
        base_lr: That of the last layer of the base, 0.0001 by default.
        seed: What the order of samples, folds and random transforms depend on.
        restore_best: Whether the weights of the best epoch, which may be the probe's, are put
            back.
        verbose: 0, 1 or 2, as for `fine_tune`.
        **options: What else `fine_tune` takes, such as ``callbacks`` or ``class_weight``.

    Returns:
        One history of all phases. Its ``phases`` say what was done in each epoch; a probe counts
        as one, whose ``lr`` is 0. Its ``recipe`` and ``reason`` say what ``"auto"`` chose.

    Raises:
        RecipeError: The model, or an option, does not go with the recipe.
        DataError: The data do not fit together.
        LabelError: The labels fit no loss, or not the model's output.
        PrecisionError: The backend has no plans of the ``precision`` asked for.

    Examples:
        >>> import numpy as np
        >>> from neurenix import nn
        >>> from neurenix.transfer import TransferModel, adapt
        >>> data = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
        >>> base = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> model = TransferModel(base, nn.Linear(8, 2))
        >>> labels = (data[:, 0] > 0).astype(int)
        >>> history = adapt(model, data, labels, recipe="probe", verbose=0)
        >>> history.phases
        ['probe']
    """
    if recipe not in RECIPES:
        names = ", ".join(f'"{name}"' for name in RECIPES)
        raise ValueError(f"recipe is one of {names}; not {recipe!r}")
    job = Job(
        model, train_data, train_labels, val_data, val_labels, epochs, batch_size, unfreeze, lr,
        base_lr, seed, restore_best, verbose, options,
    )  # fmt: skip
    data: ProbeData | None = None
    reason: str | None = None
    followed = recipe
    if recipe == "auto":
        choice, data = choose(job)
        followed, reason = choice.recipe, choice.reason
        job.say(f'Recipe "{followed}": {reason}')
    if followed == "probe":
        history = _probe(job, data, chosen=recipe == "auto")
    elif followed == "lp-ft":
        history = run_lp_ft(job, data)
    else:
        history = run_progressive(job)
    history.recipe, history.reason = followed, reason
    return history


def _probe(job: Job, data: ProbeData | None, *, chosen: bool) -> History:
    unheeded = [name for name in _BY_STEPS if job.options.get(name)]
    if unheeded and not chosen:
        raise ValueError(
            f'recipe="probe" follows no gradients, so that {", ".join(unheeded)} would have no '
            'effect; leave it out, or take recipe="lp-ft"'
        )
    if unheeded:
        job.say(f"Not used by a probe, which follows no gradients: {', '.join(unheeded)}")
    return run_probe(job, data)
