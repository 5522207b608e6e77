"""What the page of a run says of options, times, model and versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neurenix_transfer.history import History
from neurenix_transfer.runs.console import duration


def run_facts(record: Mapping[str, Any], history: History) -> dict[str, dict[str, str]]:
    """Gather them, under their titles.

    Args:
        record: What ``run.json`` holds.
        history: What each epoch measured.
    """
    return {
        "Options": _options(record["options"]),
        "Time": _times(record, history),
        "Model": _model(record),
        "Versions": dict(record["versions"]),
    }


def _options(options: Mapping[str, Any]) -> dict[str, str]:
    return {
        name.replace("_", " "): _shown(value)
        for name, value in options.items()
        if value not in (None, [], "")
    }


def _times(record: Mapping[str, Any], history: History) -> dict[str, str]:
    shown = {
        name: duration(seconds) for name, seconds in record.get("timings", {}).items() if seconds
    }
    epochs = list(history.get("epoch_time") or [])
    if epochs:
        shown["first epoch"] = f"{epochs[0]:.3g} s"
    if len(epochs) > 1:
        later = float(np.median(epochs[1:]))
        shown["later epochs"] = f"{later:.3g} s each, {epochs[0] / later:.0f} times as fast"
    line = history.saving.line() if history.saving is not None else None
    if line:
        shown["feature cache"] = line.partition(": ")[2]
    return shown


def _model(record: Mapping[str, Any]) -> dict[str, str]:
    model, weights = record["model"], record["weights"]
    return {
        "parameters": f"{model['total_parameters']:,}, of which {model['trained_parameters']:,} "
        "were trained",
        "device": str(record["device"]),
        "weights of the base": f"{weights['path']} (sha256 {weights['sha256'][:12]})",
        "their licence": weights.get("licence") or "not named in their file",
        "model.safetensors": f"sha256 {model['sha256']}",
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
