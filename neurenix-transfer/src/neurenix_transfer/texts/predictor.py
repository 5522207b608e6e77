"""Predicting with a fine-tuned model of texts: texts in, classes and probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import neurenix
from neurenix_transfer.insight.temperature import softmax
from neurenix_transfer.predictor import Prediction, check_confidence
from neurenix_transfer.texts.model_file import TextClassifier, load_text_classifier

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike


@dataclass(frozen=True, repr=False)
class TextPrediction(Prediction):
    """What a model says of one text.

    Attributes:
        text: The text.
    """

    text: str = ""

    def __repr__(self) -> str:
        unsure = ", unsure" if self.is_unsure else ""
        return f"TextPrediction({self.label!r}, probability={self.probability:.4f}{unsure})"


class TextPredictor:
    """A fine-tuned model that classifies texts.

    Each text is computed alone, filled up by its own length: its probabilities do not depend on
    the texts beside it.

    Args:
        classifier: The model, its classes and its tokenizer.
        device: Where to compute; by default the default device.

    Attributes:
        model: The model, in eval mode.
        classes: The names of the classes, in the order of the model's outputs.
        tokenizer: What makes token ids of a text.
        temperature: What logits are divided by before softmax.
    """

    def __init__(self, classifier: TextClassifier, device: DeviceLike | None = None) -> None:
        self.temperature = classifier.temperature
        self.model = classifier.model
        self.classes = classifier.classes
        self.tokenizer = classifier.tokenizer()
        self.device = neurenix.Device(device) if device is not None else neurenix.default_device()
        self.model.to(self.device)
        self.model.eval()

    def predict(
        self, texts: str | Sequence[str], *, min_confidence: float = 0.0
    ) -> list[TextPrediction]:
        """Classify texts.

        Args:
            texts: A text, or several.
            min_confidence: The probability below which a prediction ``is_unsure``.

        Returns:
            One prediction a text, in order.

        Raises:
            TypeError: One is no text.
        """
        check_confidence(min_confidence)
        items = [texts] if isinstance(texts, str) else list(texts)
        return [
            TextPrediction(self.classes, row, min_confidence=min_confidence, text=text)
            for text, row in zip(items, self.probabilities(items), strict=True)
        ]

    def probabilities(self, texts: Sequence[str]) -> Iterator[npt.NDArray[np.float64]]:
        """Give the probabilities of texts, ``(C,)`` each."""
        for row in self.logits(texts):
            yield softmax(row, self.temperature)

    def logits(self, texts: Sequence[str]) -> Iterator[npt.NDArray[np.float64]]:
        """Give the logits of texts, ``(C,)`` each."""
        for text in texts:
            with neurenix.inference_mode():
                ids = self.tokenizer(text).unsqueeze(0).to(self.device)
                # In float64 and on the host, so that rounding cannot make two classes equal.
                row: npt.NDArray[np.float64] = self.model(ids).numpy()[0].astype(np.float64)
            yield row

    def __repr__(self) -> str:
        return f"TextPredictor(classes={list(self.classes)}, device={str(self.device)!r})"


def load_text_predictor(
    path: str | PathLike[str], device: DeviceLike | None = None
) -> TextPredictor:
    """Load a fine-tuned model of texts.

    Raises:
        NoModelError: There is no such folder, or it holds no model of texts.
        WeightsFileError: The model's file is damaged.
    """
    return TextPredictor(load_text_classifier(path), device)
