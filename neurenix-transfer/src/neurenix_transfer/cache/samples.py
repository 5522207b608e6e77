"""What is known of data: whether reading a sample twice gives the same, and what names its content.

Caching is safe where a sample is a function of data that are held still and of transforms that
draw nothing. That is known of tensors, arrays, and our own datasets with our own transforms; of
other code nobody knows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.data import DataLoader, Dataset, ImageFolder, Subset, default_collate
from neurenix.data.transforms import Compose, Transform, is_deterministic
from neurenix_transfer.sources import FromLoader, InMemory, Source

ContentKey: TypeAlias = Callable[[int], str]
"""From the number of a sample to the digest of what it is made from; reads no more than needed."""


@dataclass(frozen=True)
class Knowledge:
    """What is known of a source of data.

    Attributes:
        doubt: Why its samples may differ from reading to reading; None where they do not.
        random: Whether they are known to differ: random augmentation.
        numbered: Whether its samples have numbers to be found again by.
        content: Names the content of a sample, unread; None where only its values can tell.
    """

    doubt: str | None
    random: bool = False
    numbered: bool = True
    content: ContentKey | None = None


def know(source: Source) -> Knowledge:
    """Say what is known of a source of data."""
    name = source.name
    if isinstance(source, InMemory):
        return Knowledge(None, content=_data_key(source.data, ""))
    if not isinstance(source, FromLoader):
        return Knowledge(f"{name} gives batches whose samples have no numbers", numbered=False)
    loader = source.loader
    if not joins_singly(loader):
        return Knowledge(f"{name} has a collate_fn of its own", numbered=False)
    return _know_dataset(loader.dataset, name)


def joins_singly(loader: DataLoader) -> bool:
    """Whether what joins samples is known to leave each as it is."""
    own = getattr(loader.dataset, "collate_fn", None)
    return loader.collate_fn is default_collate or (
        own is not None and loader.collate_fn == own and type(loader.dataset) in _known_types()
    )


def _know_dataset(dataset: Any, name: str) -> Knowledge:
    kind = type(dataset)
    if kind is Subset:
        inner = _know_dataset(dataset.dataset, name)
        content = inner.content
        if content is None:
            return inner
        key, indices = content, dataset.indices
        return Knowledge(inner.doubt, inner.random, True, lambda sample: key(indices[sample]))
    if kind not in _known_types():
        return Knowledge(
            f"{name} is of the class {kind.__name__}, which may give something else at each reading"
        )
    transform = dataset.transform
    known = is_deterministic(transform)
    if known is False:
        content = _content_key(dataset, describe_transform(transform))
        return Knowledge(f"{name} has random augmentation", random=True, content=content)
    if known is None:
        step = _named(transform)
        return Knowledge(f"{name} has a transform that may give something else each time: {step}")
    if kind is not ImageFolder and not _holds_still(dataset.data):
        what = type(dataset.data).__name__
        return Knowledge(f"{name} is a Dataset over a {what}, which may change")
    return Knowledge(None, content=_content_key(dataset, describe_transform(transform)))


def describe_transform(transform: Any) -> str | None:
    """Return what names a transform for ever; None where its code is not ours, and may change."""
    if transform is None:
        return ""
    steps = transform.transforms if type(transform) is Compose else (transform,)
    for step in steps:
        if type(step) is Compose:
            if describe_transform(step) is None:
                return None
        elif not (isinstance(step, Transform) and type(step).__module__.startswith("neurenix.")):
            return None
    described: str = json.dumps(transform.to_dict(), sort_keys=True, default=str)
    return described


def content_of(value: Any) -> str:
    """Return the digest of a sample: of numbers, text, or tuples, lists and dicts of them.

    Raises:
        TypeError: It is something else.
    """
    digest = hashlib.blake2b(digest_size=16)
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, str):
        digest.update(b"text" + value.encode("utf-8", "surrogatepass") + b"\0")
    elif isinstance(value, dict):
        digest.update(f"dict{len(value)}".encode())
        for key, item in value.items():
            _feed(digest, str(key))
            _feed(digest, item)
    elif isinstance(value, tuple | list) and not _is_numbers(value):
        digest.update(f"list{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    else:
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.hasobject or array.dtype.kind in "SU":
            raise TypeError(f"a {type(value).__name__} is no sample of numbers or text")
        digest.update(f"{array.dtype}{array.shape}".encode())
        if array.size:  # bytes by a view: the buffer protocol does not know every dtype
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _is_numbers(value: Any) -> bool:
    return all(isinstance(item, bool | int | float) for item in value)


def _known_types() -> tuple[type, ...]:
    texts = getattr(neurenix.data, "TextDataset", None)
    return (Dataset, ImageFolder) if texts is None else (Dataset, ImageFolder, texts)


def _holds_still(data: Any) -> bool:
    """Whether items of data are the same at each reading, as far as their kind tells."""
    if isinstance(data, Tensor | np.ndarray):
        return True
    if isinstance(data, list | tuple):
        plain = (Tensor, np.ndarray, str, int, float, list, tuple)
        return all(isinstance(item, plain) for item in data)
    return getattr(data, "deterministic", None) is True


def _content_key(dataset: Any, described: str | None) -> ContentKey | None:
    if type(dataset) is ImageFolder:
        return _file_key(dataset.paths, described)
    return _data_key(dataset.data, described) if _holds_still(dataset.data) else None


def _data_key(data: Any, described: str | None) -> ContentKey | None:
    if described is None:
        return None
    name = content_of(described)  # once: a tokenizer's description takes a megabyte
    return lambda sample: content_of((name, data[sample]))


def _file_key(paths: Any, described: str | None) -> ContentKey | None:
    if described is None:
        return None

    name = content_of(described)

    def key(sample: int) -> str:
        with open(paths[sample], "rb") as file:
            return content_of((name, hashlib.file_digest(file, "sha256").hexdigest()))

    return key


def _named(transform: Any) -> str:
    steps = transform.transforms if type(transform) is Compose else (transform,)
    unknown = (step for step in steps if is_deterministic(step) is None)
    step = next(unknown, transform)
    return str(getattr(step, "__name__", None) or type(step).__name__)
