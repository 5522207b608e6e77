"""Predicting with a fine-tuned model of texts: texts in, classes and probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt

from neurenix.data.text import TextDataset, Texts
from neurenix_transfer.checking import DataError
from neurenix_transfer.prediction import (
    ClassPredictor,
    LabelledSamples,
    Prediction,
    check_confidence,
)
from neurenix_transfer.runs.run_folder import model_file_in
from neurenix_transfer.texts.layout import texts_to_evaluate
from neurenix_transfer.texts.model_file import (
    TextClassifier,
    load_text_classifier,
    save_text_classifier,
)

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


class TextPredictor(ClassPredictor):
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
        temperature: What logits are divided by before softmax; see `calibrate`.
    """

    def __init__(self, classifier: TextClassifier, device: DeviceLike | None = None) -> None:
        super().__init__(classifier.model, classifier.classes, classifier.temperature, device)
        self._classifier = classifier
        self.tokenizer = classifier.tokenizer()

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

    def logits(self, samples: Iterable[str]) -> Iterator[npt.NDArray[np.float64]]:
        """Give the logits of texts, ``(C,)`` each."""
        for text in samples:
            yield self._run(self.tokenizer(text).unsqueeze(0))[0]

    def labelled(self, data: Any, labels: Any = None) -> LabelledSamples:
        """Bring texts whose classes are known into one form.

        Args:
            data: Texts; without labels a csv, tsv or jsonl file of both, what `read_texts` made
                of one, or a `TextDataset`.
            labels: The class of each text, by number or by name.

        Raises:
            DataError: The data and the labels do not fit together, or there are none.
            TextFileError: The file cannot be read, or has a class that is not known.
        """
        if labels is None:
            return LabelledSamples(*self._with_their_labels(data))
        texts = [data] if isinstance(data, str) else list(data)
        if not texts:
            raise DataError("there is no text to look at")
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"data[{position}] is a {type(text).__name__}; expected a text")
        if len(texts) != len(labels):
            raise DataError(f"there are {len(texts)} texts and {len(labels)} labels")
        return LabelledSamples(texts, labels)

    def _with_their_labels(self, data: Any) -> tuple[list[str], list[Any]]:
        if isinstance(data, str | PathLike):
            data = texts_to_evaluate(Path(data), self.classes)
        if not isinstance(data, Texts | TextDataset) or data.labels is None:
            raise DataError(
                "labels are missing: give the class of each text, or a csv, tsv or jsonl file of "
                "texts and labels"
            )
        if isinstance(data, TextDataset) and data.classes:  # its order of classes is its own
            return data.texts, [data.classes[int(label)] for label in data.labels]
        return data.texts, list(data.labels)

    def seen(self, sample: Any) -> NoReturn:
        """Refuse: there are no pixels in a text.

        Raises:
            TypeError: Always.
        """
        raise TypeError("this model classifies texts; where a model looked is shown of photos only")

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model with its temperature, to a folder of a run or to a file.

        Args:
            path: A folder, whose ``model.safetensors`` is replaced, or the file itself.
        """
        save_text_classifier(
            model_file_in(path), replace(self._classifier, temperature=self.temperature)
        )


def load_text_predictor(
    path: str | PathLike[str], device: DeviceLike | None = None
) -> TextPredictor:
    """Load a fine-tuned model of texts.

    Raises:
        NoModelError: There is no such folder, or it holds no model of texts.
        WeightsFileError: The model's file is damaged.
    """
    return TextPredictor(load_text_classifier(path), device)
