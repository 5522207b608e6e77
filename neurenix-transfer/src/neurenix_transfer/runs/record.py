"""What a run leaves behind in JSON: ``history.json`` and ``run.json``."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from neurenix.io import atomic_write_json
from neurenix_transfer.history import History
from neurenix_transfer.runs.measuring import Measured
from neurenix_transfer.runs.plan import RunPlan
from neurenix_transfer.runs.training import Training

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


def run_record(
    plan: RunPlan,
    training: Training,
    measured: Measured | None,
    model_sha256: str,
    samples: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything that a run was made of and came to, for JSON.

    Args:
        plan: What was decided before.
        training: What the training came to.
        measured: How good the model is; None where Ctrl-C prevented it.
        model_sha256: The hash of the model's file.
        samples: What is said of the samples: their own entry, and ``preprocessing``.
    """
    return {
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": plan.options.in_force(),
        "versions": _installed_versions(),
        "device": str(plan.device),
        "platform": platform.platform(),
        "weights": {
            "name": plan.options.card_base,
            "path": str(plan.weights_path),
            "sha256": plan.weights_sha256,
            "licence": plan.classifier.licence or None,
        },
        **samples,
        "model": {
            "sha256": model_sha256,
            "trained_parameters": training.learned.parameters,
            "trained_layers": list(training.learned.layers),
            "total_parameters": plan.total_parameters,
        },
        "result": _result(training.history, measured),
    }


def write_json(path: Path, value: Any) -> None:
    """Write JSON that every reader takes: what is not finite becomes null."""
    atomic_write_json(path, _finite(value))


def _result(history: History, measured: Measured | None) -> dict[str, Any]:
    best = history.best_epoch
    return {
        "epochs": history.epochs,
        "best_epoch": best,
        "val_loss": None if best is None else history["val_loss"][best],
        "recipe": history.recipe,
        "phase": history.phases[best] if best is not None and history.phases else None,
        "reason": history.reason,
        "validation": None if measured is None else measured.evaluation.summary(),
        "calibration": None if measured is None else measured.calibration.record(),
    }


def _installed_versions() -> dict[str, str]:
    """Return the versions of what is installed of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # a source tree on the path, or a part that is not needed
    return versions


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
