"""Rows of fields from the text of a csv or tsv file, whichever way it was written.

Two ways are common. In the one, a field with a quote, a delimiter or a line break in it stands in
quotes, and a quote inside is doubled (RFC 4180). In the other, nothing is quoted: a line is a row,
and quotes are ordinary characters; most tsv files are so. A file tells which it is: if each
quote in it is where the first way has one, it is of the first way.

Reference: Shafranovich, RFC 4180, "Common Format and MIME Type for CSV Files", 2005.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

DELIMITERS = ("\t", ",", ";", "|")
_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}
_SNIFFED_LINES = 200


@dataclass(frozen=True)
class Row:
    """The fields of one row, and the line of the file that it begins at, from 1."""

    line: int
    fields: tuple[str, ...]


class DelimitedError(ValueError):
    """Text that cannot be taken apart into rows of one width."""


def name_of(delimiter: str) -> str:
    """Return what a delimiter is called in errors."""
    return _NAMES.get(delimiter, repr(delimiter))


def find_delimiter(text: str, preferred: str | None) -> str | None:
    """Return the delimiter that a file seems to have, or None where no line has any.

    Args:
        text: The text of the file.
        preferred: What its extension says; it is taken if the first line has it.
    """
    lines = [line for line in _lines(text)[:_SNIFFED_LINES] if line.strip()]
    if not lines:
        return preferred
    if preferred is not None and preferred in lines[0]:
        return preferred
    # A delimiter is in the first line, and most lines have as many of it.
    scores = {}
    for delimiter in DELIMITERS:
        counts = Counter(_outside_quotes(line).count(delimiter) for line in lines)
        first = _outside_quotes(lines[0]).count(delimiter)
        if first:
            scores[delimiter] = counts[first] / len(lines)
    return max(scores, key=lambda each: scores[each]) if scores else None


def split_rows(text: str, delimiter: str) -> list[Row]:
    """Take a file apart into rows of one width.

    Blank lines are passed over. Line ends are LF, CR LF, or CR alone.

    Args:
        text: The text of the file.
        delimiter: What stands between the fields.

    Raises:
        DelimitedError: The rows have different widths.
    """
    unquoted = _split_lines(text, delimiter)
    if '"' not in text:
        return _of_one_width(unquoted, delimiter)
    quoted = _split_quoted(text, delimiter)
    if quoted is None:
        return _of_one_width(unquoted, delimiter)
    # Two stray quotes, lines apart, can look like one long field; where a line is a row in
    # every line of a tsv, it is no chance.
    if delimiter == "\t" and len(quoted) < len(unquoted) and _is_even(unquoted):
        return unquoted
    return _of_one_width(quoted, delimiter)


def _of_one_width(rows: list[Row], delimiter: str) -> list[Row]:
    if _is_even(rows):
        return rows
    width = Counter(len(row.fields) for row in rows).most_common(1)[0][0]
    odd = next(row for row in rows if len(row.fields) != width)
    hint = "put fields that contain the delimiter or a line break in quotes, or write a tsv"
    if delimiter == "\t":
        hint = "a tab or a line break inside of a text must be replaced by a space"
    raise DelimitedError(
        f"line {odd.line} has {len(odd.fields)} fields, others have {width} (separated by "
        f"{name_of(delimiter)}); {hint}"
    )


def _is_even(rows: list[Row]) -> bool:
    return len({len(row.fields) for row in rows}) <= 1


def _lines(text: str) -> list[str]:
    # str.splitlines would also split at characters that texts contain, such as U+0085.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _split_lines(text: str, delimiter: str) -> list[Row]:
    return [
        Row(number, tuple(line.split(delimiter)))
        for number, line in enumerate(_lines(text), start=1)
        if line.strip()
    ]


def _split_quoted(text: str, delimiter: str) -> list[Row] | None:
    """Split a file whose quotes are all those of RFC 4180, or return None."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    mark = re.escape(delimiter)
    field = re.compile(rf'(?: *"([^"]*(?:""[^"]*)*)" *|([^"{mark}\n]*))({mark}|\n|\Z)')
    rows: list[Row] = []
    fields: list[str] = []
    position, line, begun = 0, 1, 1
    while position < len(text) or fields:
        match = field.match(text, position)
        if match is None:
            return None
        inner = match[1]
        fields.append(match[2] if inner is None else inner.replace('""', '"'))
        line += match[0].count("\n")
        position = match.end()
        if match[3] != delimiter:
            if len(fields) > 1 or fields[0].strip():
                rows.append(Row(begun, tuple(fields)))
            fields, begun = [], line
    return rows


def _outside_quotes(line: str) -> str:
    return re.sub(r'"(?:[^"]|"")*"', "", line)
