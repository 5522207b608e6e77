"""Predicting with a fine-tuned model: photos in, classes and their probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

import neurenix
from neurenix import Tensor
from neurenix.data.photo_files import scan_photos
from neurenix.data.photos import PhotoError, read_photo
from neurenix.errors import NeurenixError
from neurenix_transfer.insight.temperature import softmax
from neurenix_transfer.photos.model_file import PhotoClassifier, load_classifier, save_classifier
from neurenix_transfer.photos.preprocessing import split_preprocessing
from neurenix_transfer.runs.run_folder import MODEL_FILE

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike
    from neurenix_transfer.texts.predictor import TextPredictor

PhotoLike: TypeAlias = "str | PathLike[str] | npt.NDArray[np.uint8]"

_TILE = 32  # samples a forward pass, where the backend's results do not depend on it


class PhotoInputError(NeurenixError, TypeError, ValueError):
    """Something that is neither the path of a photo nor its pixels."""


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


class Predictor:
    """A fine-tuned model that classifies photos.

    A photo's probabilities do not depend on the photos beside it: where the backend's bits
    depend on the size of a batch, photos are computed one by one.

    Args:
        classifier: The model, its classes and its preprocessing.
        device: Where to compute; by default the default device.

    Attributes:
        model: The model, in eval mode.
        classes: The names of the classes, in the order of the model's outputs.
        preprocessing: What each photo goes through.
        temperature: What logits are divided by before softmax; see `calibrate`.
    """

    def __init__(self, classifier: PhotoClassifier, device: DeviceLike | None = None) -> None:
        self.temperature = classifier.temperature
        self._classifier = classifier
        self.model = classifier.model
        self.classes = classifier.classes
        self.preprocessing = classifier.preprocessing
        self.device = neurenix.Device(device) if device is not None else neurenix.default_device()
        self.resize, self.to_tensor = split_preprocessing(classifier.preprocessing)
        self.model.to(self.device)
        self.model.eval()

    def predict(
        self, photos: PhotoLike | Sequence[PhotoLike], *, min_confidence: float = 0.0
    ) -> list[Prediction]:
        """Classify photos.

        Args:
            photos: A path, a folder (all photos in it and in the folders below), an array of
                RGB bytes, or several of these in a list or, for arrays, along a first axis.
            min_confidence: The probability below which a prediction ``is_unsure``.

        Returns:
            One prediction a photo, in order.

        Shape:
            An array: (H, W, 3) or (N, H, W, 3).

        Raises:
            PhotoError: A photo cannot be read.
            PhotoFolderError: There is no such file or folder.
            PhotoInputError: An array is not made of RGB bytes.
        """
        check_confidence(min_confidence)
        items = list(flat_photos(photos))
        rows = self.probabilities(self.resized(item) for item in items)
        return [
            Prediction(self.classes, row, item if isinstance(item, Path) else None, min_confidence)
            for item, row in zip(items, rows, strict=True)
        ]

    def predict_readable(
        self, paths: Sequence[Path], broken: list[PhotoError], min_confidence: float = 0.0
    ) -> Iterator[Prediction]:
        """Classify photos one by one; those that cannot be read are added to ``broken``."""
        for path in paths:
            try:
                pixels = self.resized(path)
            except PhotoError as error:
                broken.append(error)
                continue
            row = next(self.probabilities([pixels]))
            yield Prediction(self.classes, row, path, min_confidence)

    def probabilities(
        self, resized: Iterable[npt.NDArray[np.uint8]]
    ) -> Iterator[npt.NDArray[np.float64]]:
        """Give the probabilities of photos that have the model's size already.

        Shape:
            Input: (H, W, 3) each. Output: (C,) each.
        """
        for row in self.logits(resized):
            yield softmax(row, self.temperature)

    def logits(self, resized: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.float64]]:
        """Give the logits of photos that have the model's size already.

        Shape:
            Input: (H, W, 3) each. Output: (C,) each.
        """
        backend = self.device.backend
        size = _TILE if backend is not None and backend.batch_invariant else 1
        tile: list[Any] = []
        for pixels in resized:
            tile.append(self.to_tensor(pixels))
            if len(tile) == size:
                yield from self._forward(tile)
                tile = []
        if tile:
            yield from self._forward(tile)

    def resized(self, photo: Path | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return what the model sees of a photo: the pixels of its part, at its size."""
        pixels = read_photo(photo) if isinstance(photo, Path) else photo
        resized: npt.NDArray[np.uint8] = np.ascontiguousarray(self.resize(pixels))
        return resized

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model with its temperature, to a folder of a run or to a file.

        Args:
            path: A folder, whose ``model.safetensors`` is replaced, or the file itself.
        """
        file = Path(path) / MODEL_FILE if Path(path).is_dir() else Path(path)
        save_classifier(file, replace(self._classifier, temperature=self.temperature))

    def _forward(self, tile: list[Any]) -> npt.NDArray[np.float64]:
        with neurenix.inference_mode():
            batch: Tensor = neurenix.stack(tile).to(self.device)
            # In float64 and on the host, so that rounding cannot make two classes equal.
            logits: npt.NDArray[np.float64] = self.model(batch).numpy().astype(np.float64)
        return logits

    def __repr__(self) -> str:
        return f"Predictor(classes={list(self.classes)}, device={str(self.device)!r})"


def load(path: str | PathLike[str], device: DeviceLike | None = None) -> Predictor | TextPredictor:
    """Load a fine-tuned model, of photos or of texts.

    Args:
        path: The folder that ``neurenix fine-tune`` wrote, or its ``model.safetensors``.
        device: Where to compute; by default the default device.

    Raises:
        NoModelError: There is no such folder, or it holds no model.
        WeightsFileError: The model's file is damaged.

    Examples:
        >>> predictor = neurenix.load("ants-or-bees")  # doctest: +SKIP
        >>> predictor.predict("garden.jpg")  # doctest: +SKIP
        [Prediction('bees', probability=0.9731, path='garden.jpg')]
    """
    from neurenix_transfer.texts.model_file import is_text_model
    from neurenix_transfer.texts.predictor import load_text_predictor

    if is_text_model(path):
        return load_text_predictor(path, device)
    return load_photo_predictor(path, device)


def load_photo_predictor(path: str | PathLike[str], device: DeviceLike | None = None) -> Predictor:
    """Load a fine-tuned model of photos.

    Raises:
        NoModelError: There is no such folder, or it holds no model of photos.
        WeightsFileError: The model's file is damaged.
    """
    return Predictor(load_classifier(path), device)


def check_confidence(value: float) -> None:
    """Check that a least confidence is a probability.

    Raises:
        ConfidenceError: It is not.
    """
    if not 0.0 <= value <= 1.0:
        raise ConfidenceError(f"a least confidence lies between 0 and 1, not {value}")


def flat_photos(photos: Any) -> Iterator[Path | npt.NDArray[np.uint8]]:
    """Yield the photos in paths, folders, arrays and lists of them.

    Raises:
        PhotoInputError: There is something else among them.
    """
    if isinstance(photos, np.ndarray):
        if photos.dtype != np.uint8 or photos.ndim not in (3, 4) or photos.shape[-1] != 3:
            raise PhotoInputError(
                f"expected RGB bytes of shape (H, W, 3) or (N, H, W, 3), got {photos.dtype} of "
                f"shape {photos.shape}"
            )
        yield from (photos if photos.ndim == 4 else [photos])
    elif isinstance(photos, str | PathLike):
        path = Path(photos)
        yield from ([path] if path.is_file() else scan_photos(path).photos)
    elif isinstance(photos, Iterable):
        for photo in photos:
            yield from flat_photos(photo)
    else:
        raise PhotoInputError(
            f"expected the path of a photo or of a folder, or an array of RGB bytes, got {photos!r}"
        )
