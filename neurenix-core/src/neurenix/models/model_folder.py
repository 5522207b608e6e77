"""Folders in the layout of Hugging Face: ``config.json``, weights, ``tokenizer.json``.

A folder is given by its path, or by the name of its repository on the hub. A repository is looked
for in ``$NEURENIX_HOME/models/<owner>--<name>``, whoever put it there, and otherwise downloaded
to that place: into a temporary folder beside, all of one commit, verified, and only then given
its name.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from neurenix.errors import NeurenixError, require
from neurenix.io import home_folder
from neurenix.models.bert_config import BertConfigError
from neurenix.models.hub import (
    PretrainedWeightsError,
    VerificationError,
    flush,
    reason_of,
    tell,
    verify,
)

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
# The first that is there is read.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What says how texts are cut and how tokens are pooled; not every repository has them.
EXTRAS = (
    TOKENIZER,
    "tokenizer_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_GIT_HASH = re.compile(r"[0-9a-f]{40}")


class ModelFolderError(NeurenixError, FileNotFoundError):
    """A folder that is absent, or that lacks a file which a model needs."""


@dataclass(frozen=True)
class ModelFolder:
    """A model in the layout of Hugging Face, on this machine.

    Attributes:
        path: The folder.
        name: What it was called: a path, or a repository.
        weights: The file that holds the weights.
    """

    path: Path
    name: str
    weights: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.path / CONFIG


def find_model_folder(
    source: str | PathLike[str],
    check_config: Callable[[Path, str], object],
    check: Callable[[ModelFolder], object],
) -> ModelFolder:
    """Return the folder of a model, downloading it first if it is not here.

    Args:
        source: The path of a folder, or of a weights file in one; or a repository on the hub.
        check_config: Called with the configuration of a repository and its name for errors, before
            the weights are downloaded; raises if the model is of another kind.
        check: Called with a folder that was downloaded before it is kept; raises if it is not
            usable.

    Raises:
        ModelFolderError: There is no such folder, or a file is missing in it.
        PretrainedWeightsError: The repository is not here and could not be downloaded.
        BertConfigError: What ``check_config`` raises.
    """
    name = fspath(source)
    path = Path(name).expanduser()
    if path.is_dir():
        return open_folder(path, name)
    if path.is_file():
        return open_folder(path.parent, name, path)
    if not isinstance(source, str) or not _HUB_NAME.fullmatch(name):
        raise ModelFolderError(
            f"there is no folder {name!r}; expected one with {CONFIG}, {WEIGHTS[0]} and "
            f"{TOKENIZER}, or the name of a repository on the Hugging Face hub"
        )
    local = local_folder(name)
    if not local.is_dir():
        try:
            _download(name, local, check_config, check)
        except BertConfigError:  # it was found, but is no such model
            raise
        except Exception as error:
            raise PretrainedWeightsError(_explanation(name, local, error)) from error
    return open_folder(local, name)


def open_folder(path: Path, name: str, weights: Path | None = None) -> ModelFolder:
    """Return a folder, if it has what a model needs.

    Raises:
        ModelFolderError: It has not; the error names what is missing.
    """
    found = weights or next((path / file for file in WEIGHTS if (path / file).is_file()), None)
    missing = [] if (path / CONFIG).is_file() else [CONFIG]
    if found is None:
        split = any(path.glob("*.index.json"))
        missing.append(f"{WEIGHTS[0]} (in one file, not in shards)" if split else WEIGHTS[0])
    if found is None or missing:
        raise ModelFolderError(
            f"{path} is no folder of a model in the layout of Hugging Face: there is no "
            f"{' and no '.join(missing)} in it"
        )
    return ModelFolder(path, name, found)


def local_folder(name: str) -> Path:
    """Return where a repository of the hub is kept."""
    return home_folder() / "models" / name.replace("/", "--")


def _download(
    name: str,
    target: Path,
    check_config: Callable[[Path, str], object],
    check: Callable[[ModelFolder], object],
) -> None:
    hub = require(
        "huggingface_hub",
        install="pip install huggingface_hub",
        purpose="downloading pretrained weights",
    )
    info = hub.model_info(name)
    available = {file.rfilename for file in info.siblings}
    weights = [file for file in WEIGHTS if file in available][:1]
    if CONFIG not in available or not weights:
        raise VerificationError(
            f"the repository has no {CONFIG} or no {WEIGHTS[0]}; it has "
            f"{', '.join(sorted(available)[:10]) or 'no files'}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    tell(f"Downloading {name} to {target}")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as place:
        # The hub's library leaves notes of its own in the folder that it is given.
        raw, clean = Path(place, "download"), Path(place, "model")
        for file in (CONFIG, *weights, *EXTRAS):
            if file in available:
                downloaded = _fetch(hub, name, file, info.sha, raw)
                (clean / file).parent.mkdir(parents=True, exist_ok=True)
                os.replace(downloaded, clean / file)
            if file == CONFIG:
                check_config(clean / file, f"{CONFIG} of {name}")
        check(open_folder(clean, name))
        try:
            os.replace(clean, target)
        except OSError:
            if not target.is_dir():  # another process was faster otherwise
                raise


def _fetch(hub: Any, name: str, file: str, commit: str, folder: Path) -> Path:
    """Download one file of a commit, and verify it."""
    remote = hub.get_hf_file_metadata(hub.hf_hub_url(name, file, revision=commit))
    path = Path(hub.hf_hub_download(name, file, revision=commit, local_dir=str(folder)))
    if remote.etag is not None and _GIT_HASH.fullmatch(remote.etag):
        content = path.read_bytes()  # only small files are tagged by their git hash
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        if digest.hexdigest() != remote.etag:
            raise VerificationError(
                f"{file} has the git hash {digest.hexdigest()}, the hub announced {remote.etag}"
            )
    else:
        verify(path, remote)
    flush(path)
    return path


def _explanation(name: str, local: Path, error: Exception) -> str:
    return (
        f"the model {name!r} was not found. Looked in:"
        f"\n  - {name}: no such folder"
        f"\n  - {local}: no such folder"
        f"\n  - the Hugging Face hub, {name}: {reason_of(error)}"
        f"\nGive a folder with {CONFIG}, {WEIGHTS[0]} and {TOKENIZER} by its path, or put it at "
        f"{local}"
    )
