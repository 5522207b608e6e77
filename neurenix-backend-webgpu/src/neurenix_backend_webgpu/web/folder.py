"""The folder of an exported model: the page, the model's plan and its weights."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurenix.errors import NeurenixError
from neurenix.io import atomic_write, save_safetensors
from neurenix.models.preprocessing import check_preprocessing
from neurenix_backend_webgpu.web.program import WebExportError, WebProgram, build_program, web_graph

if TYPE_CHECKING:
    from neurenix.graph.trace import TracedModule

FORMAT = "neurenix-web-1"
PLAN_FILE = "plan.json"
WEIGHTS_FILE = "weights.safetensors"
DISTRIBUTION = "neurenix-backend-webgpu"
SITE = Path(__file__).with_name("site")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")  # of `site/resample.js`


class ExportExistsError(NeurenixError, FileExistsError):
    """The folder to write holds something already."""


@dataclass(frozen=True)
class WebModel:
    """A classifier of photos, and what the page has to know of it.

    Attributes:
        model: The model, in eval mode; from (1, 3, crop, crop) to (1, classes) logits.
        classes: The names of the classes, in the order of the model's outputs.
        preprocessing: What each photo goes through, as `neurenix.models.preprocessing` has it.
        base: What the model is called.
        temperature: What logits are divided by before softmax.
        min_confidence: The probability below which the page says "unsure"; None: never.
        title: The page's heading; None makes one of the classes.
        licence: Of the weights; empty if nobody says.
    """

    model: TracedModule
    classes: Sequence[str]
    preprocessing: Mapping[str, Any]
    base: str = "model"
    temperature: float = 1.0
    min_confidence: float | None = None
    title: str | None = None
    licence: str = ""


def export_web(web_model: WebModel, folder: Path, *, overwrite: bool = False) -> None:
    """Write a folder that any web server can serve: a page that classifies photos.

    Args:
        web_model: The model.
        folder: Where; folders above it are made.
        overwrite: Replace an export that stands there. Other files in it stay.

    Raises:
        WebExportError: The page could not run the model, or not prepare its photos.
        ExportExistsError: The folder holds files already, and ``overwrite`` is false; or they are
            of no export.
    """
    _check_folder(folder, overwrite)
    preprocessing = _checked_preprocessing(web_model.preprocessing)
    crop = preprocessing["crop"]
    graph = web_graph(web_model.model, (1, 3, crop, crop))
    program = build_program(graph)
    outputs = graph.outputs[0].shape
    if outputs != (1, len(web_model.classes)):
        raise WebExportError(
            f"the model gives {outputs} for a photo, where {len(web_model.classes)} classes need "
            f"(1, {len(web_model.classes)})"
        )
    folder = Path(os.path.abspath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.parent / f".{folder.name}.{secrets.token_hex(4)}.partial"
    try:
        shutil.copytree(SITE, stage)
        weights = _write_weights(stage, program, web_model)
        plan = _plan(web_model, preprocessing, weights) | {"program": program.steps}
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


def _plan(
    web_model: WebModel, preprocessing: dict[str, Any], weights: dict[str, Any]
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_with": f"Neurenix ({DISTRIBUTION} {_own_version()})",
        "title": web_model.title or title_of(web_model.classes),
        "base": web_model.base,
        "classes": list(web_model.classes),
        "preprocessing": preprocessing,
        "temperature": float(web_model.temperature),
        "min_confidence": web_model.min_confidence,
        "licence": web_model.licence,
        "weights": weights,
    }


def _own_version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from the sources
        return "unreleased"


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


def _write_weights(stage: Path, program: WebProgram, web_model: WebModel) -> dict[str, Any]:
    """Write the constants, and return what the plan says of their file."""
    path = stage / WEIGHTS_FILE
    metadata = {"format": FORMAT}
    if web_model.licence:
        metadata["licence"] = web_model.licence  # it holds for what is made of the weights too
    save_safetensors(path, program.constants, metadata)
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return {"file": WEIGHTS_FILE, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


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
    files = [path.relative_to(stage) for path in stage.rglob("*") if path.is_file()]
    for name in sorted(files, key=lambda name: name == Path(PLAN_FILE)):
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(stage / name, folder / name)
