"""Which column of a table holds the texts, and which the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Column = str | int

# What such columns are usually called, in small letters, the more telling names first.
_TEXT_NAMES = (
    "text",
    "sentence",
    "message",
    "sms",
    "review",
    "content",
    "body",
    "comment",
    "tweet",
    "document",
    "question",
    "v2",  # as in the spam collection's csv that is passed around
)
_LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "category",
    "target",
    "sentiment",
    "intent",
    "topic",
    "v1",
)


class ColumnError(ValueError):
    """Columns that cannot be told apart, or that are not there."""


@dataclass(frozen=True)
class Columns:
    """Where the texts and labels of a table are.

    Attributes:
        text: The position of the column of texts.
        label: That of the labels; None without labels.
    """

    text: int
    label: int | None


def has_header(rows: Sequence[Sequence[str]], named: Sequence[Column | None]) -> bool:
    """Tell whether the first row names the columns.

    It does if it has a name that was asked for, or one that such columns usually have; or if
    below it stands a column of few different values, such as labels, of which it is none.

    Args:
        rows: All rows.
        named: The columns that were asked for.
    """
    first = [field.strip().casefold() for field in rows[0]]
    if any(isinstance(name, str) and name.strip().casefold() in first for name in named):
        return True
    if any(field in _TEXT_NAMES or field in _LABEL_NAMES for field in first):
        return True
    if len(rows) < 3:
        return False
    for position, field in enumerate(first):
        below = {row[position].strip().casefold() for row in rows[1:]}
        if field and 1 < len(below) <= len(rows) // 4 and field not in below:
            return True
    return False


def find_columns(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    text_column: Column | None,
    label_column: Column | None,
    labelled: bool | None,
) -> Columns:
    """Find the columns of texts and labels.

    Args:
        names: The columns' names.
        rows: The rows below them.
        text_column: The name or position of the column of texts, if it was given.
        label_column: That of the labels.
        labelled: Whether there must be labels (True), none are looked for (False), or they are
            taken if there are some (None).

    Raises:
        ColumnError: A column is not there, or it is not clear which one is meant.
    """
    filled = [
        i for i in range(len(names)) if names[i].strip() or any(row[i].strip() for row in rows)
    ]
    text = None if text_column is None else _position(names, text_column, "text")
    label = None if label_column is None else _position(names, label_column, "label")
    if text is not None and text == label:
        raise ColumnError(f"{_shown(names, text)} was named for the texts and for the labels")
    if label is None and labelled is not False:
        label = _named(names, _LABEL_NAMES, [i for i in filled if i != text])
    if text is None:
        text = _text_position(names, rows, [i for i in filled if i != label])
    if label is None and labelled is not False:
        rest = [i for i in filled if i != text]
        if len(rest) == 1:
            label = rest[0]
        elif (rest and labelled is None) or labelled:
            raise ColumnError(
                "it is not clear which column holds the labels; name it: label_column=…. "
                + _listed(names)
            )
    return Columns(text, label)


def _text_position(
    names: Sequence[str], rows: Sequence[Sequence[str]], candidates: list[int]
) -> int:
    found = _named(names, _TEXT_NAMES, candidates)
    if found is not None:
        return found
    if not candidates:
        raise ColumnError("there is no column left that could hold the texts. " + _listed(names))
    lengths = {i: sum(len(row[i]) for row in rows) / max(len(rows), 1) for i in candidates}
    ranked = sorted(candidates, key=lambda i: -lengths[i])
    if len(ranked) == 1 or lengths[ranked[0]] > 2 * lengths[ranked[1]]:
        return ranked[0]
    raise ColumnError(
        "it is not clear which column holds the texts; name it: text_column=…. " + _listed(names)
    )


def _named(names: Sequence[str], known: Sequence[str], candidates: list[int]) -> int | None:
    folded = {names[i].strip().casefold(): i for i in reversed(candidates)}
    return next((folded[name] for name in known if name in folded), None)


def _position(names: Sequence[str], column: Column, kind: str) -> int:
    if isinstance(column, str):
        for match in (str.strip, lambda name: name.strip().casefold()):
            found = [i for i, name in enumerate(names) if match(name) == match(column)]
            if len(found) == 1:
                return found[0]
            if found:
                raise ColumnError(
                    f"several columns are called {column!r}; name the {kind} column by its "
                    "position. " + _listed(names)
                )
        if not column.strip().isdecimal():
            raise ColumnError(f"there is no column {column!r}. " + _listed(names))
        column = int(column)
    if not 0 <= column < len(names):
        raise ColumnError(f"there is no column at position {column}. " + _listed(names))
    return column


def _listed(names: Sequence[str]) -> str:
    return "The columns are " + ", ".join(_shown(names, i) for i in range(len(names)))


def _shown(names: Sequence[str], position: int) -> str:
    return f"{position} ({names[position]!r})"
