"""The parts of the report: key figures, confusion, classes, calibration, gallery, facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from neurenix_transfer.insight.charts import reliability_chart
from neurenix_transfer.insight.evaluation import Evaluation, wilson_interval
from neurenix_transfer.insight.gallery import GalleryItem, figure_of
from neurenix_transfer.insight.markup import Markup, element, joined
from neurenix_transfer.insight.temperature import Calibration

_MOST_IN_MATRIX = 24  # classes; of more, the commonest confusions are listed
_MOST_CONFUSIONS = 20
_FEW = 5  # classes whose matrix has room for large cells
_DEEP = 0.55  # share from which a cell is so dark that its number must be light


def section(title: str, *parts: Markup | None, name: str) -> Markup:
    """Lay out a part of the page under a title."""
    heading = element("h2", title, id=name)
    return element("section", heading, *parts, aria_labelledby=name)


def key_figures(evaluation: Evaluation, calibration: Calibration | None) -> Markup:
    """Lay out what one reads first."""
    low, high = evaluation.interval
    figures = [
        (
            "Accuracy",
            percent(evaluation.accuracy),
            f"95 % interval {percent(low)} to {percent(high)}",
        ),
        (
            "Balanced accuracy",
            percent(evaluation.balanced_accuracy),
            f"the mean recall of {len(evaluation.classes)} classes",
        ),
        ("Right", f"{evaluation.correct} of {evaluation.total}", "of what was validated on"),
    ]
    if calibration is not None:
        said = "temperature 1: as trained"
        if not calibration.note:
            said = f"at temperature {calibration.temperature:.2f}"
        figures.append(("Calibration error", percent(calibration.error_after), said))
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value), element("dd", note))
            for name, value, note in figures
        ),
        class_="figures",
    )


def confusion(evaluation: Evaluation) -> Markup:
    """Lay the confusion matrix out as a table, or the commonest confusions of many classes."""
    if len(evaluation.classes) > _MOST_IN_MATRIX:
        return _common_confusions(evaluation)
    counts = evaluation.confusion
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = evaluation.classes
    head = element(
        "tr",
        element("td"),
        *(element("th", n, scope="col") for n in names),
    )
    rows = []
    for row, name in enumerate(names):
        cells = []
        for column in range(len(names)):
            count, share = int(counts[row, column]), float(shares[row, column])
            kinds = [] if not count else ["right" if row == column else "wrong"]
            if share > _DEEP:
                kinds = ["deep", *(kind for kind in kinds if kind == "right")]
            cells.append(
                element(
                    "td",
                    str(count) if count else "",
                    style=f"--share:{share:.3f}",
                    class_=" ".join(kinds) or None,
                    title=f"{name} taken for {names[column]}: {count}",
                )
            )
        rows.append(element("tr", element("th", name, scope="row"), *cells))
    size = "matrix few" if len(names) <= _FEW else "matrix"
    table = element("table", element("thead", head), element("tbody", *rows), class_=size)
    said = "A row is a true class, a column what it was taken for."
    return joined(scrolled(table, "Confusion matrix"), element("p", said, class_="note below"))


def _common_confusions(evaluation: Evaluation) -> Markup:
    counts = evaluation.confusion.copy()
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:_MOST_CONFUSIONS]
    pairs = [np.unravel_index(index, counts.shape) for index in order]
    rows = [
        element(
            "tr",
            element("th", evaluation.classes[row], scope="row"),
            element("th", evaluation.classes[column]),
            element("td", str(counts[row, column])),
        )
        for row, column in pairs
        if counts[row, column]
    ]
    if not rows:
        return element("p", "No class is taken for another.", class_="note")
    head = element("tr", *(element("th", n, scope="col") for n in ("true", "taken for", "times")))
    caption = element("caption", "The commonest confusions.")
    table = element(
        "table", caption, element("thead", head), element("tbody", *rows), class_="classes"
    )
    return scrolled(table, "The commonest confusions")


def classes(evaluation: Evaluation, trained: Mapping[str, int], unit: str) -> Markup:
    """Lay out the figures of each class; a line over the bar is the interval of its recall."""
    rows = []
    for index, (name, recall) in enumerate(evaluation.recall.items()):
        count = evaluation.support[name]
        bar = None
        if recall is not None:
            right = int(evaluation.confusion[index, index])
            low, high = wilson_interval(right, count)
            bar = element(
                "div",
                element("i", style=f"width:{100 * recall:.1f}%"),
                element("b", style=f"left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"),
                class_="bar",
                title=f"95 % interval {percent(low)} to {percent(high)}",
            )
        figures = (recall, evaluation.precision[name], evaluation.f1[name])
        rows.append(
            element(
                "tr",
                element("th", name, scope="row"),
                element("td", str(trained[name])) if name in trained else None,
                element("td", str(count)),
                element("td", bar, class_="wide"),
                *(element("td", "-" if each is None else percent(each)) for each in figures),
            )
        )
    heads = ["class", *(["trained on"] if trained else []), f"{unit}s", "", "recall", "precision"]
    head = element(
        "tr",
        *(element("th", n, scope="col", class_=None if n else "wide") for n in (*heads, "F1")),
    )
    table = element("table", element("thead", head), element("tbody", *rows), class_="classes")
    return scrolled(table, "Figures of each class")


def calibration_part(
    evaluation: Evaluation, before: Evaluation | None, calibration: Calibration | None
) -> Markup:
    """Lay out the reliability diagram and what calibration did."""
    if calibration is None:
        return reliability_chart(evaluation)
    if calibration.note:
        said = f"Probabilities are as trained, {calibration.note}."
        return joined(reliability_chart(evaluation), element("p", said, class_="note"))
    said = (
        f"Temperature {calibration.temperature:.3f}, fitted on the {calibration.samples} "
        f"validated here: negative log-likelihood {calibration.loss_before:.4f} before, "
        f"{calibration.loss_after:.4f} after; expected calibration error "
        f"{percent(calibration.error_before)} before, {percent(calibration.error_after)} after."
    )
    return joined(
        reliability_chart(evaluation, before),
        legend(("val", "calibrated, with 95 % intervals"), ("before", "before")),
        element("p", said, class_="note below"),
    )


def gallery(items: Sequence[GalleryItem]) -> Markup:
    """Lay out samples in a grid; a checkbox lays where the model looked over all of them."""
    figures = element("div", *(figure_of(item) for item in items), class_="gallery")
    if not any(item.overlay is not None for item in items):
        return figures
    box = element("input", type="checkbox", id="looked", class_="looked")
    label = element(
        "label", " Show where the model looked for what it answered (Grad-CAM)", for_="looked"
    )
    return element("div", box, label, figures, class_="looks")


def facts(values: Mapping[str, str]) -> Markup:
    """Lay out names and values."""
    pairs = (joined(element("dt", name), element("dd", value)) for name, value in values.items())
    return element("dl", *pairs, class_="facts")


def legend(*entries: tuple[str, str]) -> Markup:
    """Say what colours mean."""
    return element(
        "ul",
        *(
            element("li", element("i", class_=f"key-{key}", aria_hidden="true"), name)
            for key, name in entries
        ),
        class_="legend",
    )


def scrolled(table: Markup, name: str) -> Markup:
    """Let a table that is too wide be scrolled, by keyboard too."""
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=name)


def percent(share: float) -> str:
    """Write a share."""
    return f"{100 * share:.1f} %"
