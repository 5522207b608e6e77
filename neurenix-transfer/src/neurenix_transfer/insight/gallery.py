"""What a model was most wrong about, with where it looked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurenix_transfer.insight.evaluation import Evaluation
from neurenix_transfer.insight.markup import Markup, data_uri, element

Pixels = npt.NDArray[np.uint8]
Pictures = Callable[[int], tuple[Pixels, Pixels | None]]
"""From the number of a sample to its picture and, if there is one, that of where it was looked."""

SHOWN = 12


@dataclass(frozen=True)
class GalleryItem:
    """A sample with its prediction.

    Attributes:
        name: What it is called: the name of its file.
        truth: Its class.
        predicted: What it was taken for.
        probability: The probability of that.
        picture: What the model saw; None of a text.
        overlay: The same under the heat map of the predicted class.
        text: The text that it is, of a text.
    """

    name: str
    truth: str
    predicted: str
    probability: float
    picture: Pixels | None = None
    overlay: Pixels | None = None
    text: str = ""


def worst(evaluation: Evaluation, count: int = SHOWN) -> tuple[str, list[int]]:
    """Return the samples that say most of what a model gets wrong, with a title for them.

    Those it is most wrong about; where it is wrong about none, those it is the least sure of.
    """
    found = evaluation.most_wrong(count)
    wrong = evaluation.total - evaluation.correct
    if not found:
        certainty = evaluation.probabilities.max(axis=1)
        order = certainty.argsort(kind="stable")[:count]
        return "Nothing is wrong; the least certain", [int(index) for index in order]
    if wrong == 1:
        return "The only mistake", found
    if wrong == len(found):
        return f"All {wrong} mistakes, the worst first", found
    return f"The {len(found)} worst of {wrong} mistakes", found


def gallery_items(
    evaluation: Evaluation,
    numbers: Sequence[int],
    pictures: Pictures | None = None,
    texts: Sequence[str] = (),
) -> list[GalleryItem]:
    """Gather what is shown of some samples."""
    items = []
    for number in numbers:
        predicted = int(evaluation.predicted[number])
        picture, overlay = pictures(number) if pictures is not None else (None, None)
        items.append(
            GalleryItem(
                evaluation.paths[number].name if evaluation.paths else f"sample {number}",
                evaluation.classes[int(evaluation.labels[number])],
                evaluation.classes[predicted],
                float(evaluation.probabilities[number, predicted]),
                picture,
                overlay,
                texts[number] if texts else "",
            )
        )
    return items


def figure_of(item: GalleryItem) -> Markup:
    """Lay out a sample: its picture, what it was taken for, and what it is."""
    wrong = item.truth != item.predicted
    if item.picture is None:
        shown = element("blockquote", item.text or item.name)
    else:
        photo = element("img", src=data_uri(square(item.picture)), alt=f"photo {item.name}")
        looked = None
        if item.overlay is not None:
            looked = element(
                "img",
                src=data_uri(square(item.overlay)),
                alt=f"where the model looked for {item.predicted}",
                class_="map",
            )
        shown = element(
            "div", photo, looked, class_="stack", tabindex=0 if looked is not None else None
        )
    caption = element(
        "figcaption",
        element("strong", f"{item.predicted} {100 * item.probability:.0f} %"),
        element("span", f"truth: {item.truth}"),
        element("span", item.name, class_="name", title=item.name),
    )
    return element("figure", shown, caption, class_="is-wrong" if wrong else "is-right")


def square(pixels: Pixels) -> Pixels:
    """Cut the largest square out of the middle of a picture."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]
