"""What is known of a set of pretrained weights of a text encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurenix.data.text import Tokenizer, TokenizerError
from neurenix.data.transforms import Transform
from neurenix.errors import NeurenixError


class TokenizerMissingError(NeurenixError, FileNotFoundError):
    """Weights of a text encoder that came without their tokenizer."""


@dataclass(frozen=True)
class TextWeights:
    """A set of pretrained weights: where it comes from, and what its texts must go through.

    A text encoder built with ``pretrained`` carries one as ``model.weights``.

    Args:
        name: The folder, or the repository on the Hugging Face hub.
        path: The file that was read.
        pad_token_id: The id that the model takes for the absence of a token.
        preprocessing: The tokenizer in plain data, as `Tokenizer.to_dict` gives it: complete, so
            that it can be saved beside the weights. Empty where the folder has none.
    """

    name: str
    path: Path
    pad_token_id: int
    preprocessing: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def transforms(self) -> Tokenizer:
        """Return the transform from a text to the ids that the model expects.

        Raises:
            TokenizerMissingError: The weights came without a tokenizer.
            TokenizerError: The tokenizer fills texts up with another id than the model expects.
            MissingDependencyError: The package ``tokenizers`` is not installed.
        """
        if not self.preprocessing:
            raise TokenizerMissingError(
                f"there is no tokenizer.json beside {self.path}; copy it there from where the "
                "weights are from: ids of another vocabulary mean other words"
            )
        tokenizer = Transform.from_dict(self.preprocessing)
        assert isinstance(tokenizer, Tokenizer)
        if tokenizer.pad_id != self.pad_token_id:
            raise TokenizerError(
                f"the tokenizer of {self.name} fills texts up with {tokenizer.pad_token!r}, "
                f"{tokenizer.pad_id}, but its config.json has the pad_token_id {self.pad_token_id}"
            )
        return tokenizer
