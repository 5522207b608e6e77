"""Which texts are trained on, which are validated on, and what their classes are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurenix.data.text import TextDataset, TextFileError, Texts, group_alike, read_texts
from neurenix_transfer.runs.splitting import (
    DEFAULT_VAL_FRACTION,
    SplitError,
    check_fraction,
    listing,
)

_NAMED = 3  # texts or labels shown in a message
_SHOWN = 60  # characters of each


@dataclass
class TextLayout:
    """The texts of a run.

    Attributes:
        source: The file as it was read.
        train: The texts to train on.
        val: The texts to validate on, with the same classes.
        val_fraction: The share that was set aside.
        notes: What was decided, to be printed.
        warnings: What may be wrong, to be printed.
    """

    source: Texts
    train: TextDataset
    val: TextDataset
    val_fraction: float
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; a label is an index into them."""
        return tuple(self.train.classes)


def find_layout(
    path: Path,
    text_column: str | None = None,
    label_column: str | None = None,
    val_fraction: float | None = None,
    seed: int = 0,
) -> TextLayout:
    """Read a file of texts, and divide it.

    Raises:
        TextFileError: The file cannot be read, or has fewer than two classes.
        SplitError: ``val_fraction`` is not between 0 and 1, or no text can be set aside.
    """
    check_fraction(val_fraction)
    source, said = _read_labelled(path, text_column, label_column)
    dataset = source.dataset()
    if len(dataset.classes) < 2:
        raise TextFileError(
            f"{path} holds only the class {dataset.classes[0]!r} in its column "
            f"{source.label_column!r}; expected at least two"
        )
    fraction = val_fraction or DEFAULT_VAL_FRACTION
    train, val = dataset.split(fraction, seed)
    if not len(val):
        raise SplitError(
            f"{path} has no class with two different texts, so that none can be held out to "
            "validate on; add texts"
        )
    groups = group_alike(dataset.texts)
    copies = len(groups) - len(set(groups))
    notes = [
        f"{len(source)} rows of {path}: {_columns(source)}",
        f"{fraction:g} of each class is validated on, seed {seed}"
        + (f"; {copies} texts are copies of others, and stay on their side" if copies else ""),
    ]
    layout = TextLayout(source, train, val, fraction, notes, said)
    layout.warnings += _contradictions(dataset, groups)
    missing = [name for name, count in val.class_counts.items() if not count]
    if missing:
        none = listing(missing, _NAMED)
        layout.warnings.append(f"too few texts to hold one out: val has none of {none}")
    return layout


def texts_to_evaluate(
    path: Path,
    classes: Sequence[str],
    text_column: str | None = None,
    label_column: str | None = None,
) -> Texts:
    """Read the texts to evaluate a model on; what is not clear is warned of.

    Raises:
        TextFileError: The file cannot be read, or has a class that the model does not know.
    """
    source = _read(path, text_column, label_column)
    unknown = sorted({*(source.labels or [])} - {*classes})
    if unknown:
        raise TextFileError(
            f"{path} has labels that the model does not know: {', '.join(unknown[:_NAMED])}; it "
            f"knows {', '.join(classes)}"
        )
    return source


def _read_labelled(
    path: Path, text_column: str | None, label_column: str | None
) -> tuple[Texts, list[str]]:
    """Read a file of texts and labels, and return what the reader warned of beside it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = _read(path, text_column, label_column)
    return source, [str(each.message) for each in caught]


def _read(path: Path, text_column: str | None, label_column: str | None) -> Texts:
    if not path.exists():
        raise TextFileError(f"there is no file {path}; expected a csv, tsv or jsonl file of texts")
    return read_texts(path, text_column=text_column, label_column=label_column, labelled=True)


def _columns(source: Texts) -> str:
    """Name the columns; those of a file without a header are called by their positions."""
    text, label = source.text_column, str(source.label_column)
    if text.isdecimal() and label.isdecimal():
        return f"texts in column {text}, labels in column {label} (counted from 0; no header)"
    return f"texts in the column {text!r}, labels in {label!r}"


def _contradictions(dataset: TextDataset, groups: list[int]) -> list[str]:
    """Warn of texts that are alike and have different labels."""
    labels = dataset.labels or []
    first: dict[int, int] = {}
    found = []
    for position, group in enumerate(groups):
        other = first.setdefault(group, position)
        if labels[other] != labels[position]:
            found.append(dataset.texts[position][:_SHOWN])
    if not found:
        return []
    shown = listing([repr(text) for text in found], _NAMED)
    return [f"texts that are alike have different labels, and are trained on: {shown}"]
