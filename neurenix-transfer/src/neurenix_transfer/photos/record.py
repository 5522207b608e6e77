"""What a run leaves behind in JSON: ``history.json`` and ``run.json``."""

from __future__ import annotations

import math
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from neurenix.data.photo_files import photos_digest
from neurenix.io import atomic_write_json
from neurenix_transfer.history import History
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.photos.decoding import DecodedFolder
from neurenix_transfer.photos.plan import Plan, class_counts
from neurenix_transfer.runs.learned import Learned

# What the numbers of a run depend on.
_PACKAGES = ("neurenix", "neurenix-core", "neurenix-transfer", "numpy", "pillow", "tokenizers")


def history_record(history: History) -> dict[str, Any]:
    """Return the history for JSON; ``best_epoch`` counts from 0."""
    record: dict[str, Any] = {
        **history,
        "best_epoch": history.best_epoch,
        "stopped_early": history.stopped_early,
    }
    if history.phases:
        record["phases"] = history.phases
    return record


def result_record(history: History, evaluation: Evaluation | None) -> dict[str, Any]:
    """Return what a run came to, for JSON."""
    best = history.best_epoch
    return {
        "epochs": history.epochs,
        "best_epoch": best,
        "val_loss": None if best is None else history["val_loss"][best],
        "recipe": history.recipe,
        "phase": history.phases[best] if best is not None and history.phases else None,
        "reason": history.reason,
        "validation": None if evaluation is None else evaluation.summary(),
    }


def run_record(
    plan: Plan,
    history: History,
    learned: Learned,
    evaluation: Evaluation | None,
    train: DecodedFolder,
    val: DecodedFolder,
    model_sha256: str,
) -> dict[str, Any]:
    """Return everything that a run was made of and came to, for JSON."""
    layout = plan.layout
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": plan.options.in_force(),
        "versions": installed_versions(),
        "device": str(plan.device),
        "platform": platform.platform(),
        "weights": {"path": str(plan.weights_path), "sha256": plan.weights_sha256},
        "photos": {
            "classes": list(layout.classes),
            "train": class_counts(layout.train, train.labels),
            "val": class_counts(layout.val, val.labels),
            "val_fraction": layout.val_fraction,
            "broken": [error.path for error in train.broken + val.broken],
            "sha256": {
                "train": photos_digest(train.photos.paths, layout.root),
                "val": photos_digest(val.photos.paths, layout.root),
            },
            "val_files": [path.relative_to(layout.root).as_posix() for path in val.photos.paths],
        },
        "preprocessing": plan.classifier.preprocessing,
        "model": {
            "sha256": model_sha256,
            "trained_parameters": learned.parameters,
            "trained_layers": list(learned.layers),
            "total_parameters": plan.total_parameters,
        },
        "result": result_record(history, evaluation),
    }


def installed_versions() -> dict[str, str]:
    """Return the versions of what is installed of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # a source tree on the path, or a part that is not needed
    return versions


def write_json(path: Path, value: Any) -> None:
    """Write JSON that every reader takes: what is not finite becomes null."""
    atomic_write_json(path, _finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
