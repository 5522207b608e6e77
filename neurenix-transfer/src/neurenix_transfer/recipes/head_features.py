"""What goes into a model's last Linear, for every sample, through the feature cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from neurenix import Tensor
from neurenix.autograd import no_grad
from neurenix.nn import Linear, Module
from neurenix.nn.mode import evaluating
from neurenix_transfer.cache import FeatureCache, StoredSamples
from neurenix_transfer.checking import CheckedData
from neurenix_transfer.recipes.heads import LinearHead, not_last
from neurenix_transfer.recipes.job import Job, RecipeError
from neurenix_transfer.sources import Array, Inputs, placed


def head_features(
    job: Job, head: LinearHead, data: Mapping[str, CheckedData]
) -> dict[str, tuple[Array, Array]]:
    """Return what goes into the last Linear, in eval mode, and the labels.

    Args:
        job: The job; its ``cache`` and ``cache_bytes`` say where features are kept.
        head: The last Linear of its model.
        data: The samples by part; they come back in their own order.

    Shape:
        (N, in_features), and (N,) or (N, ...), by part.

    Raises:
        RecipeError: The Linear is not what the model's output comes from.
    """
    model = job.model
    check_is_last(model, head, data["train"].first)
    with evaluating(model), no_grad(), _passing(head.linear):
        cache = FeatureCache(model, job.cache, job.say)
        cache.prepare({part: (each.source, each.first) for part, each in data.items()}, job.seed)
        found = {part: _read(cache, part) for part in data}
        cache.conclude()
    return found


def checked_data(job: Job, head: LinearHead) -> dict[str, CheckedData]:
    """Check the data of a job; samples whose features are on disk are not read for it.

    Raises:
        DataError: They do not fit together.
    """
    with _passing(head.linear):
        train, val = job.checked(StoredSamples(job.model, job.cache, job.seed))
    return {"train": train} if val is None else {"train": train, "val": val}


def check_is_last(model: Module, head: LinearHead, first: Inputs) -> None:
    """Check that a Linear takes one row a sample, and gives what the model gives.

    Raises:
        RecipeError: It does not; the message says what to do.
    """
    seen: list[tuple[Any, Any]] = []

    def note(module: Module, args: tuple[Any, ...], out: Any) -> None:
        seen.append((args[0], out))

    with evaluating(model), no_grad(), head.linear.register_forward_hook(note):
        out = model(placed(model, first))
    if len(seen) != 1 or seen[0][1] is not out:
        raise not_last(head, model)
    features = seen[0][0]
    if not isinstance(features, Tensor) or features.ndim != 2:
        shape = getattr(features, "shape", None)
        raise RecipeError(
            f"a linear probe takes one row of numbers a sample; the Linear {head.name!r} is given "
            f"the shape {shape}. Pool what the base gives to (N, {head.linear.in_features})"
        )


def _read(cache: FeatureCache, part: str) -> tuple[Array, Array]:
    cache.begin(part)
    rows, labels = [], []
    places: list[int] = []
    for batch in cache.batches(part, 0):
        rows.append(batch.outputs().numpy())
        labels.append(batch.labels.numpy())
        places += batch.samples or range(len(places), len(places) + batch.size)
    order = np.argsort(np.array(places), kind="stable")
    return np.concatenate(rows)[order], np.concatenate(labels)[order]


@contextmanager
def _passing(linear: Linear) -> Iterator[None]:
    """Let a Linear give what it takes, for a block: the model's output is then its features.

    It counts as frozen meanwhile, so that layers beside it, such as Dropout, rest.
    """
    flags = [(param, param.requires_grad) for param in linear.parameters()]
    linear.forward = lambda x: x  # type: ignore[method-assign]
    for param, _ in flags:
        param.requires_grad = False
    try:
        yield
    finally:
        del linear.forward
        for param, flag in flags:
            param.requires_grad = flag
