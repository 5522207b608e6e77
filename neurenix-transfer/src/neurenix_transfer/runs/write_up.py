"""The picture, the page and the card of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from neurenix.io import atomic_write
from neurenix_transfer.history import History
from neurenix_transfer.insight.gallery import GalleryItem, worst
from neurenix_transfer.insight.model_card import model_card
from neurenix_transfer.insight.page import Page, save_page
from neurenix_transfer.runs.facts import run_facts
from neurenix_transfer.runs.measuring import Measured
from neurenix_transfer.runs.report import DrawSamples, Report, save_report
from neurenix_transfer.runs.run_folder import CARD_FILE, PAGE_FILE, REPORT_FILE

Gallery: TypeAlias = Callable[[Sequence[int]], list[GalleryItem]]
"""From the numbers of validation samples to what the page shows of them."""


def write_card(folder: Path, record: Mapping[str, Any], measured: Measured | None) -> None:
    """Write the model's card.

    Args:
        folder: The folder of the run.
        record: What ``run.json`` holds.
        measured: How good the model is; None where Ctrl-C prevented it.
    """
    evaluation = None if measured is None else measured.evaluation
    atomic_write(folder / CARD_FILE, model_card(record, evaluation))


def write_report(
    folder: Path,
    record: Mapping[str, Any],
    history: History,
    measured: Measured,
    noun: str,
    draw_samples: DrawSamples,
    gallery: Gallery,
) -> None:
    """Write the picture and the page of a run.

    Args:
        folder: The folder of the run.
        record: What ``run.json`` holds.
        history: What each epoch measured.
        measured: How good the model is.
        noun: What a sample is, such as ``"photo"``.
        draw_samples: Draws the most wrong samples into the picture.
        gallery: Shows samples on the page.
    """
    title = _title(record, noun)
    report = Report(title, history, history.best_epoch, measured.evaluation, noun)
    save_report(folder / REPORT_FILE, report, draw_samples)
    gallery_title, numbers = worst(measured.evaluation)
    counts = record[f"{noun}s"]
    page = Page(
        title=title,
        lead=f"{sum(counts['train'].values())} {noun}s trained on, "
        f"{sum(counts['val'].values())} validated on; made on {record['written'][:10]}.",
        history=history,
        best_epoch=history.best_epoch,
        evaluation=measured.evaluation,
        before=measured.before,
        calibration=measured.calibration,
        gallery_title=gallery_title,
        gallery=gallery(numbers),
        trained=counts["train"],
        facts=run_facts(record, history),
        unit=noun,
    )
    save_page(folder / PAGE_FILE, page)


def _title(record: Mapping[str, Any], noun: str) -> str:
    """Say what was trained on what."""
    names = record[f"{noun}s"]["classes"]
    listed = ", ".join(names) if len(names) <= 4 else f"{len(names)} classes"
    base = record["weights"]["name"].rpartition("/")[2]
    return f"{base} fine-tuned on {Path(record['options'][f'{noun}s']).name} ({listed})"
