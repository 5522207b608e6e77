"""Putting pretrained weights into a model: the right ones, completely, or an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from neurenix.dtypes import is_floating
from neurenix.io import WeightsFileError, read_weights
from neurenix.models.hub import find_or_download
from neurenix.models.preprocessing import METADATA_KEY, preprocessing_from_json
from neurenix.models.weights import Weights
from neurenix.nn import Module
from neurenix.tensor import Tensor

Pretrained: TypeAlias = bool | str | PathLike[str]

# A count that PyTorch's BatchNorm keeps for one option of its momentum; files may lack it.
_COUNTER = "num_batches_tracked"


def load_pretrained(
    model: Module, weights: Weights, pretrained: Pretrained, *, head: str, load_head: bool = True
) -> Weights:
    """Load pretrained weights into a model.

    Args:
        model: The model, whose parameters and buffers are overwritten.
        weights: What the architecture's pretrained weights are.
        pretrained: ``True`` for those, from this machine or the hub; or the path of a
            safetensors or ``.pth`` file.
        head: The name of the model's classifier.
        load_head: If False, the file's classifier is left out, and the model's stays as it is.

    Returns:
        The weights as loaded: with the file's path, and its preprocessing if its metadata has
        one.

    Raises:
        PretrainedWeightsError: The weights are neither here nor to be had from the hub.
        WeightsFileError: The file cannot be read, or is not for this model.
        FileNotFoundError: There is no file at the path.
    """
    if pretrained is True:
        path = find_or_download(
            weights, lambda file: _matching(model, file, head=head, load_head=False)
        )
    elif isinstance(pretrained, str | PathLike):
        path = Path(pretrained).expanduser()
    else:
        raise TypeError(f"pretrained must be True, False or a path, got {pretrained!r}")
    state, metadata = _matching(model, path, head=head, load_head=load_head)
    preprocessing = weights.preprocessing
    if METADATA_KEY in metadata:
        try:
            preprocessing = preprocessing_from_json(metadata[METADATA_KEY])
        except ValueError as error:
            raise WeightsFileError(
                path, f"its metadata has no sound preprocessing: {error}"
            ) from error
    model.load_state_dict(state, strict=False)  # checked above, with what may be absent left out
    return replace(weights, path=path, preprocessing=preprocessing)


def _matching(
    model: Module, path: Path, *, head: str, load_head: bool
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a file, and return the tensors that go into the model, once they all match."""
    found, metadata = read_weights(path)
    expected = model.state_dict()
    if not load_head:
        found, expected = _without(found, head), _without(expected, head)
    else:
        _check_classes(path, found, expected, head)
    return match_state(path, found, expected), metadata


def match_state(
    path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the tensors of a file that go into a model, cast to the dtypes it has.

    Args:
        path: The file, for errors.
        found: Its tensors, under the model's names.
        expected: The model's state dict.

    Raises:
        WeightsFileError: A tensor is missing, unexpected, or of another shape or kind.
    """
    names = [name for name in expected if name in found]
    missing = [name for name in expected if name not in found and not name.endswith(_COUNTER)]
    unexpected = [name for name in found if name not in expected and not name.endswith(_COUNTER)]
    misshapen = [
        f"{name} ({list(found[name].shape)}, expected {list(expected[name].shape)})"
        for name in names
        if tuple(found[name].shape) != tuple(expected[name].shape)
    ]
    if missing or unexpected or misshapen:
        raise WeightsFileError(
            path,
            "its weights are of another model"
            + _listed("missing", missing)
            + _listed("unexpected", unexpected)
            + _listed("of another shape", misshapen),
        )
    return {name: _cast(path, name, found[name], expected[name]) for name in names}


def _check_classes(
    path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], head: str
) -> None:
    name = f"{head}.weight"
    if name not in found or name not in expected:
        return
    classes, wanted = found[name].shape[0], expected[name].shape[0]
    if classes != wanted and found[name].shape[1:] == expected[name].shape[1:]:
        raise WeightsFileError(
            path,
            f"its classifier {head!r} has {classes} classes, the model has num_classes={wanted}; "
            f"build the model with num_classes={classes}, or pass load_head=False to start with "
            "a new classifier",
        )


def _without(state: Mapping[str, Tensor], head: str) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(f"{head}.")}


def _cast(path: Path, name: str, tensor: Tensor, expected: Tensor) -> Tensor:
    if tensor.dtype == expected.dtype:
        return tensor
    if is_floating(tensor.dtype) != is_floating(expected.dtype):
        raise WeightsFileError(
            path, f"{name!r} has the dtype {tensor.dtype}, expected {expected.dtype}"
        )
    return tensor.astype(expected.dtype)


def _listed(title: str, names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return ""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"; {title}: {', '.join(names[:5])}{more}"
