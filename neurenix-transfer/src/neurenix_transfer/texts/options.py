"""The options of a run on texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix_transfer.runs.options import RunOptions

_NAMELESS = ("model", "encoder", "weights")
DEFAULT_BASE = "sentence-transformers/all-MiniLM-L6-v2"


@dataclass(frozen=True, kw_only=True)
class TextOptions(RunOptions):
    """What to train on which texts, and how.

    Attributes:
        texts: A csv, tsv or jsonl file of texts and labels.
        base: A folder in the layout of Hugging Face, or the name of a repository on its hub.
        text_column: The name of the column of texts, or its position from 0; None finds it.
        label_column: The same of the labels.
    """

    texts: Path
    base: str = DEFAULT_BASE
    text_column: str | None = None
    label_column: str | None = None

    @property
    def base_name(self) -> str:
        """What the base is called: the last part of its path or name."""
        folder = Path(self.base)
        if not folder.exists():
            return self.base.rsplit("/", 1)[-1]
        named = folder.resolve()
        # A folder inside of what is called by a name, as in packages of weights.
        return named.parent.name if named.name in _NAMELESS else named.name

    @property
    def card_base(self) -> str:
        """What others find the base by: the name of its repository, else that of its folder."""
        return self.base_name if Path(self.base).exists() else self.base

    @property
    def out_folder(self) -> Path:
        """The folder to write."""
        return self.out or Path(f"{self.texts.stem}-{self.base_name}")

    def in_force(self) -> dict[str, Any]:
        """Return every option as it acts, for JSON: defaults filled in."""
        return {**super().in_force(), "texts": str(self.texts.resolve())}
