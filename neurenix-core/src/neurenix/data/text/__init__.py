"""Texts: files of labelled texts, datasets of them, and the way from a text to token ids."""

from __future__ import annotations

from neurenix.data.text.dataset import TextDataset, group_alike, texts_digest
from neurenix.data.text.files import TextFileError, Texts, read_texts
from neurenix.data.text.tokenizer import Tokenizer, TokenizerError

__all__ = [
    "TextDataset",
    "TextFileError",
    "Texts",
    "Tokenizer",
    "TokenizerError",
    "group_alike",
    "read_texts",
    "texts_digest",
]
