"""The page of a run, ``report.html``: one file that fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurenix.io import atomic_write
from neurenix_transfer.insight.charts import curves
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.gallery import GalleryItem
from neurenix_transfer.insight.markup import Markup, element, joined
from neurenix_transfer.insight.page_parts import (
    calibration_part,
    classes,
    confusion,
    facts,
    gallery,
    key_figures,
    legend,
    percent,
    section,
)
from neurenix_transfer.insight.page_style import STYLE
from neurenix_transfer.insight.temperature import Calibration


@dataclass(frozen=True)
class Page:
    """What the page shows.

    Attributes:
        title: What was trained on what.
        lead: A sentence below it.
        history: The lists of `fine_tune`.
        best_epoch: The epoch that was kept, counted from 0; None if unknown.
        evaluation: What was validated on beside the predictions.
        before: The same before calibration.
        calibration: The temperature and what it did.
        gallery_title: What the gallery shows.
        gallery: Its samples.
        trained: How many samples of each class were trained on.
        facts: Names and values under titles: options, data, times, versions.
        unit: What a sample is called.
    """

    title: str
    lead: str
    history: Mapping[str, Sequence[float]]
    best_epoch: int | None
    evaluation: Evaluation
    before: Evaluation | None = None
    calibration: Calibration | None = None
    gallery_title: str = ""
    gallery: Sequence[GalleryItem] = ()
    trained: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unit: str = "photo"


def save_page(path: Path, page: Page) -> None:
    """Write the page."""
    atomic_write(path, render_page(page))


def render_page(page: Page) -> str:
    """Return the page as HTML."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        # Nothing may be fetched, not even by mistake.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; img-src data:; style-src 'unsafe-inline'",
        ),
        element("meta", name="color-scheme", content="light dark"),
        element("title", page.title),
        element("style", Markup(STYLE)),
    )
    body = element("body", _main(page))
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _main(page: Page) -> Markup:
    evaluation = page.evaluation
    parts = [
        element("header", element("h1", page.title), element("p", page.lead, class_="lead")),
        key_figures(evaluation, page.calibration),
        _pair(_loss(page), _accuracy(page)),
        _pair(
            section("Confusion", confusion(evaluation), name="confusion"),
            section(
                "Does sure mean right?",
                calibration_part(evaluation, page.before, page.calibration),
                name="calibration",
            ),
        ),
        section("Classes", classes(evaluation, page.trained, page.unit), name="classes"),
    ]
    if page.gallery:
        parts.append(section(page.gallery_title, gallery(page.gallery), name="gallery"))
    sections = [
        section(title, facts(values), name=f"facts-{number}")
        for number, (title, values) in enumerate(page.facts.items())
        if values
    ]
    if sections:  # the longest beside the others
        parts.append(_pair(sections[0], element("div", *sections[1:], class_="column")))
    parts.append(
        element(
            "footer",
            f"The epoch was chosen and the temperature fitted on the same {page.unit}s that are "
            "measured here, which flatters the figures a little.",
        )
    )
    return element("main", joined(*parts))


def _loss(page: Page) -> Markup:
    chart = curves(
        "Loss",
        [(name, page.history.get(f"{key}_loss") or []) for key, name in _SERIES],
        page.best_epoch,
        lambda value: f"{value:.3g}",
    )
    kept = None
    if page.best_epoch is not None:
        said = f"The ring is epoch {page.best_epoch + 1}, which was kept."
        kept = element("p", said, class_="note below")
    return section("Loss", chart, _curve_legend(), kept, name="loss")


def _accuracy(page: Page) -> Markup:
    chart = curves(
        "Accuracy",
        [(name, page.history.get(f"{key}_accuracy") or []) for key, name in _SERIES],
        page.best_epoch,
        percent,
        top=1.0,
    )
    return section("Accuracy", chart, _curve_legend(), name="accuracy")


_SERIES = (("train", "training"), ("val", "validation"))


def _curve_legend() -> Markup:
    return legend(*_SERIES)


def _pair(*sections: Markup) -> Markup:
    return element("div", *sections, class_="pair")
