"""The page of a run and the card of a model: whole, closed in itself, and safe from any name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from neurenix_transfer.insight.charts import curves, reliability_chart
from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.gallery import gallery_items, worst
from neurenix_transfer.insight.markup import Markup, element
from neurenix_transfer.insight.model_card import model_card
from neurenix_transfer.insight.page import Page, render_page
from neurenix_transfer.insight.temperature import Calibration

EVIL = "<script>alert('x')</script>\" onload=\"x & | ` [a](b)"
VOID = {"meta", "img", "input", "br"}


class Reader(HTMLParser):
    """Reads a page, and checks that every element is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def count(self, tag: str, **attributes: str) -> int:
        return sum(
            name == tag and all(found.get(key) == value for key, value in attributes.items())
            for name, found in self.elements
        )


def make_evaluation(classes: tuple[str, ...], samples: int = 40, wrong: int = 5) -> Evaluation:
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % len(classes)
    probabilities = rng.random((samples, len(classes))) * 0.2
    probabilities[np.arange(samples), labels] += 1.0
    for index in range(wrong):
        probabilities[index, (labels[index] + 1) % len(classes)] += 2.0
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    paths = tuple(Path(f"{EVIL.replace('/', '')}-{index}.png") for index in range(samples))
    return Evaluation(classes, labels, probabilities, paths)


def make_page(classes: tuple[str, ...] = ("ants", EVIL), **options: object) -> Page:
    evaluation = make_evaluation(classes, **options)  # type: ignore[arg-type]
    title, numbers = worst(evaluation)
    pixels = np.random.default_rng(1).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    return Page(
        title=f"a base fine-tuned on {EVIL}",
        lead="some photos",
        history={
            "train_loss": [0.9, 0.5, 0.3],
            "val_loss": [1.0, 0.6, float("nan")],
            "train_accuracy": [0.6, 0.8, 0.9],
            "val_accuracy": [0.5, 0.7, 0.8],
        },
        best_epoch=1,
        evaluation=evaluation,
        before=evaluation,
        calibration=Calibration(1.25, 40, 0.5, 0.4, 0.1, 0.05),
        gallery_title=title,
        gallery=gallery_items(evaluation, numbers, lambda number: (pixels, 255 - pixels)),
        trained=dict.fromkeys(classes, 20),
        facts={"Options": {"lr": "0.003", "photos": EVIL}, "Empty": {}},
    )


@pytest.mark.parametrize(
    ("classes", "wrong"), [(2, 5), (2, 0), (2, 1), (3, 20), (30, 8), (30, 0), (24, 6)]
)
def test_is_a_whole_page_whatever_came_out(classes: int, wrong: int) -> None:
    names = tuple(f"class {number}" for number in range(classes))
    reader = Reader(render_page(make_page(names, wrong=wrong)))
    assert reader.count("svg") == 3
    assert reader.count("figure") == min(wrong, 12) or wrong == 0
    assert reader.count("h1") == 1
    text = "".join(reader.text)
    assert "Nothing is wrong" in text if wrong == 0 else "mistake" in text


def test_names_are_shown_and_never_run() -> None:
    page = render_page(make_page())
    reader = Reader(page)
    assert not reader.count("script")
    assert not any(key.startswith("on") for _, found in reader.elements for key in found)
    assert EVIL in "".join(reader.text)
    assert page.count("<script") == 0


def test_fetches_nothing() -> None:
    page = render_page(make_page())
    reader = Reader(page)
    assert any("default-src 'none'" in str(found.get("content")) for _, found in reader.elements)
    assert not reader.count("link")
    for _, found in reader.elements:
        for key in ("src", "href"):
            if key in found:
                assert str(found[key]).startswith("data:image/jpeg;base64,")
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?://", page)


def test_can_be_used_without_a_mouse_or_without_seeing() -> None:
    reader = Reader(render_page(make_page()))
    assert reader.count("html", lang="en") == 1
    assert all(found.get("alt") for tag, found in reader.elements if tag == "img")
    assert all(found.get("aria-label") for tag, found in reader.elements if tag == "svg")
    (box,) = (found for tag, found in reader.elements if tag == "input")
    assert reader.count("label", **{"for": str(box["id"])}) == 1
    # What scrolls, and what shows more on hover, can be reached by keyboard.
    for tag, found in reader.elements:
        if tag == "div" and found.get("class") in ("scroll", "stack"):
            assert found["tabindex"] == "0"
    identifiers = [found["id"] for _, found in reader.elements if "id" in found]
    assert len(identifiers) == len(set(identifiers))
    named = {
        str(found["aria-labelledby"]) for _, found in reader.elements if "aria-labelledby" in found
    }
    assert named <= set(identifiers)


def test_has_a_dark_and_a_printed_form() -> None:
    page = render_page(make_page())
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media print" in page


def test_a_text_is_shown_in_place_of_a_photo() -> None:
    evaluation = make_evaluation(("ham", "spam"))
    texts = [f"message {number} {EVIL}" for number in range(40)]
    items = gallery_items(evaluation, [0], texts=texts)
    page = make_page()
    reader = Reader(render_page(Page("t", "l", {}, None, evaluation, gallery=items)))
    assert texts[0] in reader.text
    assert reader.count("img") == reader.count("input") == 0
    assert page.unit == "photo"


def test_curves_of_nothing_of_one_epoch_and_of_many() -> None:
    def shown(value: float) -> str:
        return f"{value:.2f}"

    assert "no values" in curves("Loss", [("train", []), ("val", [])], None, shown)
    for values in ([0.5], [0.0, 0.0], [float("nan"), 0.2], [1 / (1 + n) for n in range(500)]):
        for top in (None, 1.0):
            Reader(curves("Loss", [("train", values), ("val", values)], 0, shown, top))


def test_reliability_puts_a_point_where_confidence_and_accuracy_meet() -> None:
    probabilities = np.array([[0.75, 0.25]] * 4)
    found = Evaluation(("a", "b"), np.array([0, 0, 0, 1]), probabilities)
    chart = reliability_chart(found)
    assert "4 predictions, 75.0 % sure, 75.0 % right" in chart


def test_elements_escape_what_is_not_markup() -> None:
    built = element("p", "<b>", Markup("<b>x</b>"), None, 0.5, class_='"', hidden=True, id=None)
    assert built == '<p class="&quot;" hidden>&lt;b&gt;<b>x</b>0.5</p>'


class TestCard:
    def record(self, classes: tuple[str, ...], licence: str | None) -> dict:
        return {
            "written": "2026-01-02T03:04:05+00:00",
            "options": {"base": "resnet18", "unfreeze": [], "seed": 0},
            "versions": {"python": "3.12", "neurenix-core": "3.0.0"},
            "weights": {"sha256": "ab" * 32, "licence": licence},
            "photos": {
                "classes": list(classes),
                "train": dict.fromkeys(classes, 20),
                "val": dict.fromkeys(classes, 20),
            },
            "model": {
                "sha256": "cd" * 32,
                "trained_parameters": 10,
                "trained_layers": [],
                "total_parameters": 1000,
            },
            "result": {"epochs": 3, "calibration": {"temperature": 1.5}},
        }

    def test_says_what_it_is_how_good_and_how_to_use_it(self) -> None:
        classes = ("ants", "bees")
        card = model_card(self.record(classes, "CC BY-NC 4.0"), make_evaluation(classes))
        assert card.startswith("---\nlibrary_name: neurenix\n")
        assert 'license_name: "CC BY-NC 4.0"' in card
        assert "| accuracy | 0.8750 (35 of 40) |" in card
        assert "| 95 % Wilson interval | 0.7389 to 0.9454 |" in card
        assert "| temperature of its probabilities | 1.5000 |" in card
        assert "Fewer than 30 photos were validated on of ants, bees" in card
        code = re.search(r"```python\n(.*?)```", card, re.DOTALL)
        assert code is not None
        compile(code.group(1), "card", "exec")

    def test_names_cannot_change_its_form(self) -> None:
        classes = ("ants", EVIL + "\n# heading")
        card = model_card(self.record(classes, None), make_evaluation(classes))
        assert "<script" not in card.replace("\\<", "")
        assert "\n# heading" not in card
        assert "license" not in card
        table = [line for line in card.splitlines() if line.startswith("| ants")]
        assert len(re.split(r"(?<!\\)\|", table[0])) == 8

    def test_without_a_measurement(self) -> None:
        card = model_card(self.record(("ants", "bees"), None), None)
        assert "It was not measured" in card
