"""Finding pretrained weights on this machine, and downloading them if they are not there.

``$NEURENIX_HOME/models/<name>.safetensors`` (``NEURENIX_HOME`` is ``~/.cache/neurenix`` by
default), or the same with ``.pth``, is used whoever put it there. Otherwise the file is
downloaded from the Hugging Face hub into a temporary folder beside, verified, and only then
given its name: an interrupted download leaves nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neurenix.errors import NeurenixError, require
from neurenix.io import WeightsFileError, home_folder
from neurenix.models.weights import Weights

_SUFFIXES = (".safetensors", ".pth")

# The hub's entity tag of a large file is its SHA-256; of a small one, its git hash (40 digits).
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PretrainedWeightsError(NeurenixError, RuntimeError):
    """Pretrained weights that are neither on this machine nor to be had from the hub."""


class VerificationError(Exception):
    """A download that is not what the hub announced."""


def local_paths(weights: Weights) -> list[Path]:
    """Return the places where a weights file is looked for, in order."""
    return [home_folder() / "models" / f"{weights.name}{suffix}" for suffix in _SUFFIXES]


def find_or_download(weights: Weights, check: Callable[[Path], object]) -> Path:
    """Return the path of a weights file, downloading it first if it is not here.

    Args:
        weights: Which weights.
        check: Called with a downloaded file before it is kept; raises if it is not usable.

    Raises:
        PretrainedWeightsError: It is not here, and could not be downloaded; the error says where
            it was looked for, what failed, and how to give a file by its path.
    """
    for path in local_paths(weights):
        if path.is_file():
            return path
    target = local_paths(weights)[0]
    try:
        _download(weights, target, check)
    except Exception as error:
        raise PretrainedWeightsError(_explanation(weights, error)) from error
    return target


def _download(weights: Weights, target: Path, check: Callable[[Path], object]) -> None:
    hub = require(
        "huggingface_hub",
        install="pip install huggingface_hub",
        purpose="downloading pretrained weights",
    )
    remote = hub.get_hf_file_metadata(hub.hf_hub_url(weights.hub_id, weights.filename))
    target.parent.mkdir(parents=True, exist_ok=True)
    size = f" ({remote.size / 1e6:.1f} MB)" if remote.size else ""
    tell(f"Downloading {weights.hub_id}/{weights.filename}{size} to {target}")
    with tempfile.TemporaryDirectory(prefix=f".{weights.name}-", dir=target.parent) as folder:
        # The commit is pinned, so that the file is the one whose hash was just read.
        downloaded = hub.hf_hub_download(
            weights.hub_id, weights.filename, revision=remote.commit_hash, local_dir=folder
        )
        file = Path(downloaded)
        verify(file, remote)
        check(file)
        flush(file)
        os.replace(file, target)


def verify(file: Path, remote: Any) -> None:
    """Check a download against the size and the hash that the hub announced.

    Raises:
        VerificationError: It is another file, or half of one.
    """
    size = file.stat().st_size
    if remote.size is not None and size != remote.size:
        raise VerificationError(f"the download has {size} bytes, the hub announced {remote.size}")
    if remote.etag is None or not _SHA256.fullmatch(remote.etag):
        tell("The hub gave no SHA-256 for it: its size and its content are checked instead.")
        return
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != remote.etag:
        raise VerificationError(
            f"the download has the SHA-256 {digest}, the hub announced {remote.etag}"
        )


def flush(file: Path) -> None:
    """Wait until a file is on the disk."""
    with open(file, "rb+") as stream:
        os.fsync(stream.fileno())


def tell(message: str) -> None:
    """Print a line to standard error."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def reason_of(error: Exception) -> str:
    """Say why a download failed."""
    if isinstance(error, WeightsFileError):  # whose file is gone
        return f"what it gave cannot be used: {error.problem}"
    if isinstance(error, NeurenixError | VerificationError):
        return str(error)
    return f"{type(error).__name__}: {str(error).strip() or 'no reason given'}"


def _explanation(weights: Weights, error: Exception) -> str:
    reason = reason_of(error)
    places = "".join(f"\n  - {path}: no such file" for path in local_paths(weights))
    first = local_paths(weights)[0]
    return (
        f"the pretrained weights of {weights.name} were not found. Looked in:{places}"
        f"\n  - the Hugging Face hub, {weights.hub_id}/{weights.filename}: "
        f"{reason}"
        f"\nGive a safetensors or .pth file by its path: "
        f'{weights.name}(pretrained="path/to/{weights.name}.safetensors"); or put it at {first}; '
        f"or build the model without weights: {weights.name}(pretrained=False)"
    )
