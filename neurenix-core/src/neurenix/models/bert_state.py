"""From the tensors of a weights file to those of a `Bert`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from neurenix.io import WeightsFileError, read_weights
from neurenix.models.bert_encoder import Bert
from neurenix.models.pretrained import match_state
from neurenix.tensor import Tensor

# Every BERT has it, and no other tensor's name ends so: what stands before is the prefix.
_LANDMARK = "embeddings.word_embeddings.weight"
_PARTS = ("embeddings.", "encoder.", "pooler.")
# Counters that older files keep beside the weights.
_INDEX_BUFFERS = frozenset({"embeddings.position_ids", "embeddings.token_type_ids"})
# How files from before 2019 call the weight and the bias of a layer norm.
_OLD_NAMES = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))


def load_bert_state(model: Bert, path: Path) -> None:
    """Load a weights file into a model.

    A prefix before all names (``bert.``) is taken off. Heads beside the encoder, which a task or
    the pretraining had, are left out, and so is the pooler where the model has none.

    Raises:
        WeightsFileError: The file cannot be read, or its weights are of another model.
    """
    found = bert_state(path, read_weights(path).tensors)
    if model.pooler is None:
        found = {name: x for name, x in found.items() if not name.startswith("pooler.")}
    elif not any(name.startswith("pooler.") for name in found):
        raise WeightsFileError(
            path, 'it has no pooler; choose pooling="mean" or pooling="cls" instead of "pooler"'
        )
    model.load_state_dict(match_state(path, found, model.state_dict()))


def bert_state(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the encoder under the names that `Bert` has for them.

    Raises:
        WeightsFileError: There is no BERT encoder in the file, or there are several.
    """
    prefixes = [name.removesuffix(_LANDMARK) for name in tensors if name.endswith(_LANDMARK)]
    if len(prefixes) != 1:
        what = "several BERT encoders" if prefixes else "no BERT encoder"
        raise WeightsFileError(
            path,
            f"it holds {what}: expected one tensor named {_LANDMARK!r}, perhaps behind a prefix, "
            f"found {len(prefixes)}",
        )
    state = {}
    for name, tensor in tensors.items():
        own = name.removeprefix(prefixes[0]) if name.startswith(prefixes[0]) else ""
        if own.startswith(_PARTS) and own not in _INDEX_BUFFERS:
            for old, new in _OLD_NAMES:
                own = own.replace(old, new)
            state[own] = tensor
    return state
