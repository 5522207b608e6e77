"""The shape of a BERT encoder, as its ``config.json`` gives it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Self

from neurenix.errors import NeurenixError

MODEL_TYPE = "bert"

# What the activations are called in configurations, and gelu's ``approximate`` where it is one.
# "gelu_new" and "gelu_fast" are two spellings of the same approximation by tanh.
GELUS = {
    "gelu": "none",
    "gelu_new": "tanh",
    "gelu_fast": "tanh",
    "gelu_pytorch_tanh": "tanh",
}
ACTIVATIONS = (*GELUS, "relu", "silu", "swish", "tanh")


class BertConfigError(NeurenixError, ValueError):
    """A configuration that is not that of a BERT encoder, or of one that is not supported."""


@dataclass(frozen=True)
class BertConfig:
    """The sizes and settings of a `Bert`, under the names that ``config.json`` gives them.

    The defaults are those of BERT-base, uncased.

    Args:
        vocab_size: Tokens in the vocabulary.
        hidden_size: Features of a token.
        num_hidden_layers: Layers.
        num_attention_heads: Heads of each layer's attention; they divide the features.
        intermediate_size: Features between the two linear maps of a layer.
        hidden_act: The activation there: ``"gelu"``, ``"gelu_new"`` (by tanh), ``"relu"``,
            ``"silu"`` or ``"tanh"``.
        hidden_dropout_prob: The dropout of embeddings and of what each layer adds.
        attention_probs_dropout_prob: The dropout of attention weights.
        max_position_embeddings: Tokens that a text may have.
        type_vocab_size: Token types; two tell the two texts of a pair apart.
        initializer_range: The standard deviation of freshly drawn weights.
        layer_norm_eps: What keeps the divisor of a layer norm from 0.
        pad_token_id: The token that fills a text up.

    Raises:
        BertConfigError: A value is out of range.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        for name in _SIZES:
            _check(type(getattr(self, name)) is int and getattr(self, name) >= 1, name, self)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            _check(_is_number(getattr(self, name)) and 0 <= getattr(self, name) <= 1, name, self)
        for name in ("initializer_range", "layer_norm_eps"):
            _check(_is_number(getattr(self, name)) and getattr(self, name) >= 0, name, self)
        pad = self.pad_token_id
        _check(type(pad) is int and 0 <= pad < self.vocab_size, "pad_token_id", self)
        if self.hidden_size % self.num_attention_heads:
            raise BertConfigError(
                f"hidden_size {self.hidden_size} cannot be divided among "
                f"{self.num_attention_heads} attention heads"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise BertConfigError(
                f"hidden_act {self.hidden_act!r} is not supported; supported are "
                f"{', '.join(ACTIVATIONS)}"
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "the configuration") -> Self:
        """Take the configuration from what ``config.json`` holds.

        Fields that do not concern the encoder are passed over.

        Args:
            values: The fields.
            source: What the configuration is called in errors.

        Raises:
            BertConfigError: It is of another kind of model, or asks for what is not supported.
        """
        _check_supported(values, source)
        names = {field.name for field in dataclasses.fields(cls)}
        # Some exporters write null for what is not set.
        known = {name: values[name] for name in names if values.get(name) is not None}
        try:
            return cls(**known)
        except BertConfigError as error:
            raise BertConfigError(f"{source}: {error}") from None

    @classmethod
    def from_file(cls, path: str | PathLike[str], source: str | None = None) -> Self:
        """Read the configuration from a ``config.json``.

        Args:
            path: The file.
            source: What it is called in errors; by default its path.

        Raises:
            BertConfigError: It is not JSON, or as for `from_dict`.
            OSError: The file cannot be read.
        """
        return cls.from_dict(read_json_object(path), source or str(path))

    def to_dict(self) -> dict[str, Any]:
        """Return what ``config.json`` would hold."""
        return {
            "model_type": MODEL_TYPE,
            "architectures": ["BertModel"],
            "position_embedding_type": "absolute",
            **dataclasses.asdict(self),
        }


_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)


def read_json_object(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        BertConfigError: It holds something else, or is not JSON.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BertConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise BertConfigError(f"{path} holds a {type(values).__name__}, expected a JSON object")
    return values


def _check_supported(values: Mapping[str, Any], source: str) -> None:
    kind = values.get("model_type")
    if kind != MODEL_TYPE:
        said = "names no model_type" if kind is None else f"is of model_type {kind!r}"
        raise BertConfigError(f"{source} {said}; supported is {MODEL_TYPE!r}, a BERT encoder")
    position = values.get("position_embedding_type") or "absolute"
    if position != "absolute":
        raise BertConfigError(
            f"{source} has the position_embedding_type {position!r} (relative positions); "
            "supported is 'absolute'"
        )
    if values.get("add_cross_attention"):
        raise BertConfigError(
            f"{source} has add_cross_attention; cross attention is not supported, only encoders "
            "that attend to their own text"
        )
    if values.get("is_decoder"):
        raise BertConfigError(
            f"{source} has is_decoder; supported are encoders, whose tokens see the whole text"
        )
    if values.get("quantization_config"):
        raise BertConfigError(
            f"{source} has a quantization_config; supported are weights of floating dtypes"
        )


def _check(holds: bool, name: str, config: BertConfig) -> None:
    if not holds:
        kind = "a number from 0 to 1" if name.endswith("_prob") else "a number of at least 0"
        if name in _SIZES:
            kind = "a whole number of at least 1"
        elif name == "pad_token_id":
            kind = f"a token from 0 to {config.vocab_size - 1}"
        raise BertConfigError(f"{name} is {kind}, not {getattr(config, name)!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
