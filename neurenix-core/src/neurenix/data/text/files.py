"""Reading labelled texts from csv, tsv and JSON-lines files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurenix.data.text.columns import Column, ColumnError, find_columns, has_header
from neurenix.data.text.delimited import (
    DelimitedError,
    Row,
    find_delimiter,
    split_rows,
)
from neurenix.errors import NeurenixError

if TYPE_CHECKING:
    from neurenix.data.text.dataset import TextDataset

_DELIMITER_OF = {".tsv": "\t", ".tab": "\t", ".csv": ","}
_JSON_LINES = frozenset({".jsonl", ".ndjson", ".json"})
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # Excel's "Unicode text"
_SHOWN_LINES = 5


class TextFileError(NeurenixError, ValueError):
    """A file of texts that cannot be read, or not in one way only."""


@dataclass(frozen=True)
class Texts:
    """The texts of a file.

    Attributes:
        path: The file.
        texts: The texts, as they stand in the file.
        labels: The label of each text, as it stands there; None where there are none.
        lines: The line of the file that each text is on, from 1.
        text_column: What the column of texts is called.
        label_column: What that of the labels is called.
        skipped: The lines that have no text or no label, and so were left out.
    """

    path: Path
    texts: list[str] = field(repr=False)
    labels: list[str] | None = field(repr=False)
    lines: list[int] = field(repr=False)
    text_column: str
    label_column: str | None
    skipped: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def dataset(
        self,
        transform: Callable[[Any], Any] | None = None,
        classes: Sequence[str] | None = None,
    ) -> TextDataset:
        """Return the texts as a dataset; the arguments are those of `TextDataset`."""
        from neurenix.data.text.dataset import TextDataset

        return TextDataset(self.texts, self.labels, transform, classes)


def read_texts(
    path: str | PathLike[str],
    text_column: Column | None = None,
    label_column: Column | None = None,
    *,
    labelled: bool | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
) -> Texts:
    """Read texts, and their labels where there are some, from a file.

    A ``.tsv`` or ``.csv`` file is read whichever way it was written: with quotes around fields
    (RFC 4180), or without, quotes being ordinary characters. JSON lines (``.jsonl``) hold an
    object a line, ``.json`` also a list of objects. What is not given is found out:

    * the delimiter: a tab for ``.tsv``, else what most lines have as many of as the first;
    * the header: a first row with names that such columns usually have;
    * the columns: by their names (``text``, ``label``, …), else the longer one of two.

    Args:
        path: The file.
        text_column: The name of the column of texts, or its position from 0.
        label_column: The same of the labels.
        labelled: True if there must be labels, False to look for none.
        delimiter: What stands between the fields of a row.
        header: Whether the first row names the columns.
        encoding: How the file is encoded.

    Returns:
        The texts. Rows without a text or a label are left out, with a warning.

    Raises:
        TextFileError: The file cannot be read in one way only; the error says what to name.
        FileNotFoundError: There is no such file.

    Example:
        >>> from neurenix.data import read_texts
        >>> read_texts("messages.csv", text_column="message").labels  # doctest: +SKIP
        ['ham', 'spam', 'ham']
    """
    path = Path(path)
    content = _decoded(path, encoding)
    asked = (text_column, label_column)
    try:
        if path.suffix.lower() in _JSON_LINES or content.lstrip()[:1] in ("{", "["):
            names, rows = _json_rows(path, content)
        else:
            names, rows = _delimited_rows(path, content, delimiter, header, asked)
        columns = find_columns(names, [row.fields for row in rows], *asked, labelled)
    except (DelimitedError, ColumnError) as error:
        raise TextFileError(f"{path}: {error}") from error
    kept: list[Row] = []
    skipped: list[Row] = []
    for row in rows:
        whole = row.fields[columns.text].strip() and (
            columns.label is None or row.fields[columns.label].strip()
        )
        (kept if whole else skipped).append(row)
    if not kept:
        raise TextFileError(
            f"{path}: there is no row with a text"
            + ("" if columns.label is None else " and a label")
        )
    labels = None
    if columns.label is not None:
        labels = [row.fields[columns.label].strip() for row in kept]
    result = Texts(
        path,
        [row.fields[columns.text] for row in kept],
        labels,
        [row.line for row in kept],
        names[columns.text],
        None if columns.label is None else names[columns.label],
        [row.line for row in skipped],
    )
    _warn_of_skipped(result)
    return result


def _decoded(path: Path, encoding: str) -> str:
    if path.is_dir():
        raise TextFileError(f"{path} is a folder; expected a csv, tsv or jsonl file of texts")
    data = path.read_bytes()
    if data.startswith(_UTF_16):
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TextFileError(
            f"{path}: line {line} is not {encoding} (byte 0x{data[error.start]:02x}); say how the "
            'file is encoded, e.g. encoding="cp1252" for files from Windows'
        ) from error
    if not text.strip():
        raise TextFileError(f"{path} is empty")
    return text.removeprefix("\ufeff")


def _delimited_rows(
    path: Path,
    content: str,
    delimiter: str | None,
    header: bool | None,
    asked: tuple[Column | None, Column | None],
) -> tuple[list[str], list[Row]]:
    if delimiter is None:
        delimiter = find_delimiter(content, _DELIMITER_OF.get(path.suffix.lower()))
    # A file without any delimiter has one column: a text a line.
    rows = split_rows(content, delimiter or "\t")
    if header is None:
        header = has_header([row.fields for row in rows], asked)
    if header:
        return [name.strip() for name in rows[0].fields], rows[1:]
    return [str(position) for position in range(len(rows[0].fields))], rows


def _json_rows(path: Path, content: str) -> tuple[list[str], list[Row]]:
    records = list(_json_records(path, content))
    names = list(dict.fromkeys(name for _, record in records for name in record))
    rows = [
        Row(line, tuple(_json_field(path, line, name, record.get(name)) for name in names))
        for line, record in records
    ]
    return names, rows


def _json_records(path: Path, content: str) -> list[tuple[int, dict[str, Any]]]:
    records = []
    if content.lstrip().startswith("["):
        try:
            values = list(enumerate(json.loads(content), start=1))
        except ValueError as error:
            raise TextFileError(f"{path} is no JSON list: {error}") from error
    else:
        values = []
        for number, line in enumerate(content.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                values.append((number, json.loads(line)))
            except ValueError as error:
                raise TextFileError(f"{path}: line {number} is not JSON: {error}") from error
    for number, value in values:
        if not isinstance(value, dict):
            raise TextFileError(
                f"{path}: line {number} holds a {type(value).__name__}; expected an object with "
                'named fields, such as {"text": "…", "label": "…"}'
            )
        records.append((number, value))
    return records


def _json_field(path: Path, line: int, name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    # Written as JSON writes it: true, 3, 0.5. Nested fields are of no use, but may be there.
    return json.dumps(value)


def _warn_of_skipped(texts: Texts) -> None:
    if not texts.skipped:
        return
    lines = ", ".join(map(str, texts.skipped[:_SHOWN_LINES]))
    more = ", …" if len(texts.skipped) > _SHOWN_LINES else ""
    missing = "text" if texts.labels is None else "text or no label"
    warnings.warn(
        f"{texts.path}: {len(texts.skipped)} rows have no {missing} and are left out "
        f"(lines {lines}{more})",
        stacklevel=3,
    )
