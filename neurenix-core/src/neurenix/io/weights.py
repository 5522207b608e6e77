"""Reading weights from a file of whatever format, told by its content and not by its name."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from neurenix.io.errors import WeightsFileError
from neurenix.io.pth import LEGACY_MAGIC, load_pth
from neurenix.io.safetensors import load_safetensors, safetensors_metadata
from neurenix.io.safetensors_header import looks_like_safetensors
from neurenix.tensor import Tensor

# Where training scripts keep the state dict in a checkpoint, in the order of preference.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights")

# What wrappers of a model put before every key: DataParallel, torch.compile.
_PREFIXES = ("_orig_mod.", "module.", "_orig_mod.")  # either may be around the other

# How files begin that are often taken for weights.
_OTHER_KINDS = (
    (LEGACY_MAGIC, "a PyTorch file in the legacy format (before 1.6)"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras?); export its weights as safetensors"),
    (b"GGUF", "a GGUF file; export its weights as safetensors"),
    (b"\x93NUMPY", "a single NumPy array (.npy)"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x80", "a bare Python pickle, which is never loaded"),
    (b"<", "an HTML or XML page: the download gave a web page instead of the file"),
    (b"{", "a JSON file"),
)
_READABLE = "expected a safetensors file or a PyTorch .pth file (zip format)"


class WeightsFile(NamedTuple):
    """What a weights file holds: its tensors by name, and its metadata (of safetensors only)."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def load_weights(path: str | PathLike[str]) -> dict[str, Tensor]:
    """Read a state dict from a safetensors or a PyTorch file, whatever its extension.

    A checkpoint that wraps its state dict (``{"state_dict": ..., "epoch": ...}``) is unwrapped,
    and the prefix that DataParallel or ``torch.compile`` put before every key is taken off.

    Args:
        path: The file.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        WeightsFileError: The file holds no weights, says what it seems to be instead.
        FileNotFoundError: There is no such file.
    """
    return read_weights(path).tensors


def read_weights(path: str | PathLike[str]) -> WeightsFile:
    """Read what ``load_weights`` reads, and the file's metadata with it."""
    path = Path(path)
    if path.is_dir():
        raise WeightsFileError(path, f"it is a folder; {_READABLE}{_candidates(path)}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file; {_READABLE}")
    with open(path, "rb") as file:
        head = file.read(64)
    if head.startswith(b"PK"):
        state = _state_dict(path, load_pth(path))
        return WeightsFile(_without_prefix(state), {})
    if looks_like_safetensors(head):
        return WeightsFile(_without_prefix(load_safetensors(path)), safetensors_metadata(path))
    if head.startswith(LEGACY_MAGIC):
        load_pth(path)  # raises, and says how to resave it
    raise WeightsFileError(path, f"it seems to be {_kind(head)}; {_READABLE}")


def _kind(head: bytes) -> str:
    if not head:
        return "empty"
    for start, kind in _OTHER_KINDS:
        if head.lstrip().startswith(start):
            return kind
    if head.isascii() and head.decode().isprintable():
        return "a text file"
    return f"of an unknown kind (it begins with {head[:8].hex(' ')})"


def _candidates(folder: Path) -> str:
    found = sorted(
        file.name
        for file in folder.iterdir()
        if file.suffix in (".safetensors", ".pth", ".pt") and file.is_file()
    )
    return f"; the folder has {', '.join(found[:5])}" if found else ""


def _state_dict(path: Path, value: Any) -> dict[str, Tensor]:
    if isinstance(value, Mapping):
        for key in _WRAPPERS:
            if isinstance(value.get(key), Mapping):
                value = value[key]
                break
    if not isinstance(value, Mapping):
        raise WeightsFileError(
            path, f"it holds a {type(value).__name__}, not a state dict (tensors by name)"
        )
    if not value:
        raise WeightsFileError(path, "it holds an empty dict, and no tensor")
    for key, tensor in value.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise WeightsFileError(
                path,
                f"it is no state dict (tensors by name): {key!r} is a {type(tensor).__name__}. A "
                f"checkpoint's state dict is looked for under {', '.join(_WRAPPERS)}; save that "
                "part alone",
            )
    return dict(value)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state
