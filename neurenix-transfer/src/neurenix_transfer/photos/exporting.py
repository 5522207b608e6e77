"""What ``neurenix export`` does with a model of photos."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from neurenix_transfer.exporters import find_exporter
from neurenix_transfer.photos.model_file import load_classifier
from neurenix_transfer.prediction import check_confidence
from neurenix_transfer.runs.console import Console


def export_photos(
    folder: Path,
    target: str,
    out: Path | None = None,
    *,
    title: str | None = None,
    min_confidence: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model of photos for use elsewhere.

    Args:
        folder: The folder of a run.
        target: What to write; see `neurenix_transfer.exporters`.
        out: Where; by default beside the run, with the target's name behind its own.
        title: What the result is headed with; by default the exporter makes one.
        min_confidence: The probability below which answers are "unsure".
        overwrite: Replace an export that stands there.

    Returns:
        The folder that was written.

    Raises:
        NoModelError: The folder holds no model.
        MissingDependencyError: The distribution that exports to the target is not installed.
        UnknownTargetError: Nothing exports to it.
    """
    if min_confidence is not None:
        check_confidence(min_confidence)
    exporter = find_exporter(target)
    classifier = load_classifier(folder)
    run = Path(os.path.abspath(folder))
    run = run.parent if run.is_file() else run
    out = run.with_name(f"{run.name}-{target}") if out is None else out
    exporter(
        classifier.model,
        out,
        classes=classifier.classes,
        preprocessing=classifier.preprocessing,
        base=classifier.base,
        temperature=classifier.temperature,
        licence=classifier.licence,
        min_confidence=min_confidence,
        title=title,
        overwrite=overwrite,
    )
    size_bytes = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    Console(stream=sys.stderr).line(f"Wrote {out} ({size_bytes / 1e6:.1f} MB)")
    return out
