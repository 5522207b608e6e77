"""The folder of an exported model: the page, the model's plan and its weights."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurenix.errors import NeurenixError
from neurenix.io import atomic_write, save_safetensors
from neurenix.models.preprocessing import check_preprocessing
from neurenix_backend_webgpu._version import __version__
from neurenix_backend_webgpu.web.constants import merge_constants
from neurenix_backend_webgpu.web.errors import ExportExistsError, WebExportError
from neurenix_backend_webgpu.web.program import build_program, web_graph

if TYPE_CHECKING:
    from neurenix import Tensor
    from neurenix.graph import Graph
    from neurenix.graph.trace import TracedModule
    from neurenix_backend_webgpu.web.recording import Recording

FORMAT = "neurenix-web-1"
PLAN_FILE = "plan.json"
WEIGHTS_FILE = "weights.safetensors"
SHADER_FOLDER = "wgsl"
DISTRIBUTION = "neurenix-backend-webgpu"
SITE = Path(__file__).with_name("site")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")  # of `site/resample.js`


def export_web(
    model: TracedModule,
    folder: Path,
    *,
    classes: Sequence[str],
    preprocessing: Mapping[str, Any],
    base: str = "model",
    temperature: float = 1.0,
    min_confidence: float | None = None,
    title: str | None = None,
    licence: str = "",
    overwrite: bool = False,
) -> None:
    """Write a folder that any web server can serve: a page that classifies photos.

    Args:
        model: The model, in eval mode; from (1, 3, crop, crop) to (1, classes) logits.
        folder: Where; folders above it are made.
        classes: The names of the classes, in the order of the model's outputs.
        preprocessing: What each photo goes through, as `neurenix.models.preprocessing` has it.
        base: What the model is called.
        temperature: What logits are divided by before softmax.
        min_confidence: The probability below which the page says "unsure"; None: never.
        title: The page's heading; None makes one of the classes.
        licence: Of the weights; empty if nobody says.
        overwrite: Replace an export that stands there. Other files in it stay.

    Raises:
        WebExportError: The page could not run the model, or not prepare its photos.
        ExportExistsError: The folder holds files already, and ``overwrite`` is false; or they are
            of no export.
    """
    folder = Path(os.path.abspath(folder))
    _check_folder(folder, overwrite)
    prepared = _checked_preprocessing(preprocessing)
    graph = web_graph(model, (1, 3, prepared["crop"], prepared["crop"]))
    program = build_program(graph)
    if graph.outputs[0].shape != (1, len(classes)):
        raise WebExportError(
            f"the model gives {graph.outputs[0].shape} for a photo, where {len(classes)} classes "
            f"need (1, {len(classes)})"
        )
    recording = _recorded(graph)
    plan: dict[str, Any] = {
        "format": FORMAT,
        "made_with": f"Neurenix ({DISTRIBUTION} {__version__})",
        "title": title or title_of(classes),
        "base": base,
        "classes": list(classes),
        "preprocessing": prepared,
        "temperature": float(temperature),
        "min_confidence": min_confidence,
        "licence": licence,
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.partial"
    try:
        shutil.copytree(SITE, stage)
        constants = dict(program.constants)
        plan["program"] = program.steps
        plan["webgpu"] = None
        if recording is not None:
            names = merge_constants(constants, recording.constants)
            plan["webgpu"] = recording.work_with(names)
            (stage / SHADER_FOLDER).mkdir()
            for name, text in recording.shaders.items():
                atomic_write(stage / SHADER_FOLDER / name, text)
        plan["weights"] = _write_weights(stage / WEIGHTS_FILE, constants, licence)
        text = json.dumps(plan, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        atomic_write(stage / PLAN_FILE, text)
        _publish(stage, folder, overwrite)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def title_of(classes: Sequence[str]) -> str:
    """Return a heading for a page: the classes as a question, if they are few."""
    if not 2 <= len(classes) <= 3 or sum(map(len, classes)) > 40:
        return "What is in the photo?"
    text = f"{', '.join(classes[:-1])} or {classes[-1]}?"
    return text[0].upper() + text[1:]


def _recorded(graph: Graph) -> Recording | None:
    """Return the model's work on WebGPU; None, with a warning, where there is none."""
    if find_spec("neurenix_backend_webgpu._native") is None:
        _warn("the native module of neurenix-backend-webgpu is not built")
        return None
    from neurenix_backend_webgpu.web.recording import record

    try:
        return record(graph)
    except (NeurenixError, RuntimeError, ValueError) as error:
        _warn(str(error))
        return None


def _warn(reason: str) -> None:
    message = f"the page will compute in plain JavaScript only, without WebGPU: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=4)


def _checked_preprocessing(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        preprocessing = check_preprocessing(given)
    except ValueError as error:
        raise WebExportError(str(error)) from error
    if preprocessing["interpolation"] not in _INTERPOLATIONS:
        raise WebExportError(
            f"the page cannot resize photos by {preprocessing['interpolation']!r}; it knows "
            f"{', '.join(_INTERPOLATIONS)}"
        )
    if len(preprocessing["mean"]) not in (1, 3):
        raise WebExportError(
            f"the page normalises RGB, 3 channels or all alike, not {len(preprocessing['mean'])}"
        )
    return preprocessing


def _write_weights(path: Path, constants: Mapping[str, Tensor], licence: str) -> dict[str, Any]:
    """Write the constants, and return what the plan says of their file."""
    metadata = {"format": FORMAT}
    if licence:
        metadata["licence"] = licence  # it holds for what is made of the weights too
    save_safetensors(path, constants, metadata)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _check_folder(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportExistsError(f"{folder} is a file, not a folder; give another --out")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / PLAN_FILE).is_file():
        raise ExportExistsError(
            f"{folder} holds files, and they are of no exported model; give another --out"
        )
    if not overwrite:
        raise ExportExistsError(
            f"{folder} holds an exported model already. Give another --out, or --overwrite to "
            "replace it"
        )


def _publish(stage: Path, folder: Path, overwrite: bool) -> None:
    """Move what is in the stage to its place; the plan last, so that one that is there is whole."""
    _check_folder(folder, overwrite)  # another export may have ended meanwhile
    if not folder.exists():
        os.rename(stage, folder)
        return
    (folder / PLAN_FILE).unlink(missing_ok=True)
    if (folder / SHADER_FOLDER).is_dir():
        shutil.rmtree(folder / SHADER_FOLDER)  # those of another model would stay for nothing
    files = [path.relative_to(stage) for path in stage.rglob("*") if path.is_file()]
    for name in sorted(files, key=lambda name: name == Path(PLAN_FILE)):
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(stage / name, folder / name)
