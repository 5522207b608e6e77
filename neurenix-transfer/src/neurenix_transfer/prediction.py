"""What a fine-tuned model says of a sample, and what all such models can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import neurenix
from neurenix import Tensor
from neurenix.backends import DeviceLike
from neurenix.errors import NeurenixError
from neurenix.nn import Module
from neurenix_transfer.insight.temperature import softmax


class ConfidenceError(NeurenixError, ValueError):
    """A least confidence that is no probability."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one photo.

    Attributes:
        classes: The names of the classes.
        probabilities: The probability of each, summing to 1.
        path: The photo; None where its pixels were given.
        min_confidence: The probability below which the answer is "unsure".
    """

    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    path: Path | None = None
    min_confidence: float = 0.0

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[self.index]

    @property
    def probability(self) -> float:
        """The probability of the most probable class."""
        return float(self.probabilities.max())

    @property
    def index(self) -> int:
        """The number of the most probable class."""
        return int(self.probabilities.argmax())

    @property
    def is_unsure(self) -> bool:
        """Whether the most probable class is less probable than was asked for."""
        return self.probability < self.min_confidence

    def top(self, count: int) -> list[tuple[str, float]]:
        """Return the most probable classes with their probabilities, the first first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[index], float(self.probabilities[index])) for index in order]

    def __repr__(self) -> str:
        where = f", path={str(self.path)!r}" if self.path is not None else ""
        unsure = ", unsure" if self.is_unsure else ""
        return f"Prediction({self.label!r}, probability={self.probability:.4f}{unsure}{where})"


@dataclass(frozen=True)
class LabelledSamples:
    """Samples whose classes are known, as a predictor takes them.

    Attributes:
        inputs: What `ClassPredictor.logits` takes.
        labels: The class of each, by number or by name.
        paths: The files of the samples; empty where they have none.
    """

    inputs: Iterable[Any]
    labels: Any
    paths: tuple[Path, ...] = ()


class ClassPredictor(ABC):
    """A fine-tuned model that classifies samples of one kind.

    Args:
        model: The model; it is moved to the device, and put into eval mode.
        classes: The names of the classes, in the order of the model's outputs.
        temperature: What logits are divided by before softmax.
        device: Where to compute; by default the default device.

    Attributes:
        model: The model, in eval mode.
        classes: The names of the classes, in the order of the model's outputs.
        temperature: What logits are divided by before softmax; see `calibrate`.
        device: Where the model is.
    """

    def __init__(
        self,
        model: Module,
        classes: tuple[str, ...],
        temperature: float,
        device: DeviceLike | None = None,
    ) -> None:
        self.model = model
        self.classes = classes
        self.temperature = temperature
        self.device = neurenix.Device(device) if device is not None else neurenix.default_device()
        self.model.to(self.device)
        self.model.eval()

    @abstractmethod
    def logits(self, samples: Iterable[Any]) -> Iterator[npt.NDArray[np.float64]]:
        """Give the logits of samples, ``(C,)`` each."""

    def probabilities(self, samples: Iterable[Any]) -> Iterator[npt.NDArray[np.float64]]:
        """Give the probabilities of what `logits` takes, ``(C,)`` each."""
        for row in self.logits(samples):
            yield softmax(row, self.temperature)

    @abstractmethod
    def labelled(self, data: Any, labels: Any = None) -> LabelledSamples:
        """Bring labelled samples, in any form that `evaluate` takes, into one.

        Raises:
            DataError: The data and the labels do not fit together, or there are none.
        """

    @abstractmethod
    def seen(self, sample: Any) -> tuple[npt.NDArray[np.uint8], Tensor]:
        """Return the pixels that the model sees of a photo, and the batch made of them.

        Shape:
            (H, W, 3), and (1, C, H, W).

        Raises:
            TypeError: The model does not see photos.
        """

    @abstractmethod
    def save(self, path: str | PathLike[str]) -> None:
        """Write the model with its temperature, to a folder of a run or to a file.

        Args:
            path: A folder, whose ``model.safetensors`` is replaced, or the file itself.
        """

    def _run(self, batch: Tensor) -> npt.NDArray[np.float64]:
        """Return the logits of a batch."""
        with neurenix.inference_mode():
            outputs = self.model(batch.to(self.device)).numpy()
        # In float64 and on the host, so that rounding cannot make two classes equal.
        logits: npt.NDArray[np.float64] = outputs.astype(np.float64)
        return logits

    def __repr__(self) -> str:
        name, device = type(self).__name__, str(self.device)
        return f"{name}(classes={list(self.classes)}, device={device!r})"


def check_confidence(value: float) -> None:
    """Check that a least confidence is a probability.

    Raises:
        ConfidenceError: It is not.
    """
    if not 0.0 <= value <= 1.0:
        raise ConfidenceError(f"a least confidence lies between 0 and 1, not {value}")
