"""From a text to the token ids that a model takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from neurenix.data.collate import default_collate
from neurenix.data.transforms import Transform
from neurenix.errors import NeurenixError, require
from neurenix.tensor import Tensor

_DEFAULT_LENGTH = 512  # what BERT takes
_PAD_TOKEN = "[PAD]"
_NO_LIMIT = 1 << 30  # tokenizers without a limit state an absurd one


class TokenizerError(NeurenixError, ValueError):
    """A tokenizer that cannot be read, or that does not fit its model."""


@dataclass(frozen=True, repr=False)
class Tokenizer(Transform):
    """Turns a text into token ids, cut to a longest length and filled up.

    It needs the package ``tokenizers``, at its first text.

    A text is filled up by its own length alone: to the next multiple of ``bucket`` tokens, and
    never to the length of the texts beside it. So what a model makes of a text does not depend
    on its batch, and the ids have few different lengths. `collate`, which a `TextDataset` has its
    loader use, joins texts of different lengths; it fills the shorter ones up further, and a
    model that takes no notice of ``pad_id`` gives the same for them but for rounding.

    Args:
        definition: The tokenizer in the format of ``tokenizer.json``.
        max_length: The most tokens of a text, special ones included; what is beyond is cut off.
        bucket: The lengths of texts are multiples of it, or ``max_length``.
        pad_token: The token that fills a text up. A model takes it for the absence of a token,
            so a text that itself spells it out has a gap there.

    Attributes:
        pad_id: The id of that token.

    Shape:
        A text to ``(T,)`` of int64.

    Raises:
        TokenizerError: The definition cannot be read, or has no such token. It is read at the
            first use.
        MissingDependencyError: The package ``tokenizers`` is not installed.

    Example:
        >>> from neurenix.data.text import Tokenizer
        >>> tokenizer = Tokenizer.from_folder("all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> tokenizer("Hello there").shape  # doctest: +SKIP
        (16,)
    """

    definition: str
    max_length: int = _DEFAULT_LENGTH
    bucket: int = 16
    pad_token: str = _PAD_TOKEN
    deterministic: ClassVar[bool | None] = True

    def __post_init__(self) -> None:
        if not isinstance(self.definition, str):
            raise TypeError(
                "expected definition as the text of a tokenizer.json, got "
                f"{type(self.definition).__name__}; Tokenizer.from_file(path) reads one"
            )
        for name in ("max_length", "bucket"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"expected {name} as a whole number of tokens, got {value!r}")

    @classmethod
    def from_file(cls, path: str | PathLike[str], **options: Any) -> Self:
        """Read a ``tokenizer.json``.

        Args:
            path: The file.
            **options: ``max_length``, ``bucket`` and ``pad_token``.

        Raises:
            TokenizerError: The file is not JSON.
            OSError: It cannot be read.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            padding = json.loads(text).get("padding") or {}
        except (ValueError, AttributeError) as error:
            raise TokenizerError(f"{path} is no tokenizer.json: {error}") from error
        options.setdefault("pad_token", padding.get("pad_token") or _PAD_TOKEN)
        return cls(text, **options)

    @classmethod
    def from_folder(cls, folder: str | PathLike[str], **options: Any) -> Self:
        """Read the tokenizer of a folder in the layout of Hugging Face.

        How long texts may be is what sentence-transformers wrote down
        (``sentence_bert_config.json``), or the tokenizer (``tokenizer_config.json``), and never
        more than the model has positions for (``config.json``).

        Args:
            folder: The folder; it has a ``tokenizer.json``.
            **options: ``max_length``, ``bucket`` and ``pad_token``, in place of the folder's.

        Raises:
            TokenizerError: A file is not JSON.
            OSError: There is no ``tokenizer.json``.
        """
        folder = Path(folder)
        tokenizer = _json(folder / "tokenizer_config.json")
        token = tokenizer.get("pad_token")
        if isinstance(token, dict):  # a token with its settings
            token = token.get("content")
        if isinstance(token, str):
            options.setdefault("pad_token", token)
        wanted = (
            _json(folder / "sentence_bert_config.json").get("max_seq_length"),
            tokenizer.get("model_max_length"),
            _DEFAULT_LENGTH,
        )
        longest = next(n for n in wanted if isinstance(n, int) and n < _NO_LIMIT)
        positions = _json(folder / "config.json").get("max_position_embeddings")
        if isinstance(positions, int):
            longest = min(longest, positions)
        options.setdefault("max_length", longest)
        return cls.from_file(folder / "tokenizer.json", **options)

    @cached_property
    def pad_id(self) -> int:
        """The id that fills a text up."""
        found: int | None = self._tokenizer.token_to_id(self.pad_token)
        if found is None:
            raise TokenizerError(
                f"the tokenizer has no token {self.pad_token!r} to fill texts up with; name one "
                "that it has: Tokenizer(..., pad_token=...)"
            )
        return found

    @property
    def vocab_size(self) -> int:
        """The number of tokens that there are."""
        size: int = self._tokenizer.get_vocab_size()
        return size

    def __call__(self, image: Any) -> Tensor:  # named as in Transform
        """Turn one text into ids."""
        ids = self.encode(image)
        return Tensor(self._filled(ids, self.padded_length(len(ids))))

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, special ones included, cut but not filled up.

        Raises:
            TypeError: It is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"expected a text (str), got {type(text).__name__}: {text!r}")
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def is_cut(self, text: str) -> bool:
        """Whether a text has more than ``max_length`` tokens, and so loses its end."""
        return bool(self._tokenizer.encode(text).overflowing)

    def decode(self, ids: Tensor | Iterable[int]) -> str:
        """Return the text of ids, without special tokens."""
        numbers = ids.tolist() if isinstance(ids, Tensor) else list(ids)
        text: str = self._tokenizer.decode(numbers)
        return text

    def padded_length(self, count: int) -> int:
        """Return how long a text of ``count`` tokens is when it is filled up."""
        buckets = max(1, -(-count // self.bucket))
        return min(buckets * self.bucket, self.max_length)

    def batch(self, texts: Sequence[str]) -> Tensor:
        """Turn several texts into one tensor, filled up to the longest.

        Shape:
            N texts to ``(N, T)``.
        """
        out = self.collate([self(text) for text in texts])
        assert isinstance(out, Tensor)
        return out

    def collate(self, samples: Sequence[Any]) -> Any:
        """Join samples into a batch, filled up to the longest of them.

        Args:
            samples: Ids ``(T,)``, or tuples that begin with them, such as (ids, label).

        Returns:
            What `default_collate` makes of them: ids ``(N, T)``, or a tuple with them.
        """
        if samples and isinstance(samples[0], tuple):
            ids = self._aligned([sample[0] for sample in samples])
            rest = (sample[1:] for sample in samples)
            return default_collate([(x, *others) for x, others in zip(ids, rest, strict=True)])
        return default_collate(self._aligned(samples))

    def _aligned(self, rows: Sequence[Tensor]) -> list[Tensor]:
        longest = max((row.shape[0] for row in rows), default=0)
        return [
            row if row.shape[0] == longest else Tensor(self._filled(row.numpy(), longest))
            for row in rows
        ]

    def _filled(self, ids: Any, length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        row = np.full(length, self.pad_id, dtype=np.int64)
        row[: len(ids)] = ids
        return row

    @cached_property
    def _tokenizer(self) -> Any:
        library = require("tokenizers", install="pip install tokenizers", purpose="reading texts")
        try:
            tokenizer = library.Tokenizer.from_str(self.definition)
        except Exception as error:  # the library raises no class of its own
            raise TokenizerError(f"the tokenizer's definition cannot be read: {error}") from error
        special = tokenizer.num_special_tokens_to_add(False)
        if self.max_length <= special:
            raise TokenizerError(
                f"max_length {self.max_length} leaves no room for a text beside the {special} "
                "special tokens"
            )
        # What the file says of cutting and filling up is of another use of it.
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)
        return tokenizer

    def __getstate__(self) -> dict[str, Any]:
        names = ("definition", "max_length", "bucket", "pad_token")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        return (
            f"Tokenizer(max_length={self.max_length}, bucket={self.bucket}, "
            f"pad_token={self.pad_token!r})"
        )


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file that may be absent."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TokenizerError(f"{path} is not JSON: {error}") from error
    return values if isinstance(values, dict) else {}
