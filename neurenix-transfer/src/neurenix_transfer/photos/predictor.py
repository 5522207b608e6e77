"""Predicting with a fine-tuned model of photos: photos in, classes and probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
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
from neurenix_transfer.checking import DataError
from neurenix_transfer.photos.layout import photos_to_evaluate
from neurenix_transfer.photos.model_file import PhotoClassifier, load_classifier, save_classifier
from neurenix_transfer.photos.preprocessing import split_preprocessing
from neurenix_transfer.prediction import (
    ClassPredictor,
    LabelledSamples,
    Prediction,
    check_confidence,
)
from neurenix_transfer.runs.run_folder import model_file_in

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike

PhotoLike: TypeAlias = "str | PathLike[str] | npt.NDArray[np.uint8]"

_TILE = 32  # samples a forward pass, where the backend's results do not depend on it


class PhotoInputError(NeurenixError, TypeError, ValueError):
    """Something that is neither the path of a photo nor its pixels."""


class Predictor(ClassPredictor):
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
        super().__init__(classifier.model, classifier.classes, classifier.temperature, device)
        self._classifier = classifier
        self.preprocessing = classifier.preprocessing
        self.resize, self.to_tensor = split_preprocessing(classifier.preprocessing)

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

    def logits(self, samples: Iterable[npt.NDArray[np.uint8]]) -> Iterator[npt.NDArray[np.float64]]:
        """Give the logits of photos that have the model's size already.

        Shape:
            Input: (H, W, 3) each. Output: (C,) each.
        """
        backend = self.device.backend
        size = _TILE if backend is not None and backend.batch_invariant else 1
        tile: list[Tensor] = []
        for pixels in samples:
            tile.append(self.to_tensor(pixels))
            if len(tile) == size:
                yield from self._run(neurenix.stack(tile))
                tile = []
        if tile:
            yield from self._run(neurenix.stack(tile))

    def resized(self, photo: Path | npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return what the model sees of a photo: the pixels of its part, at its size."""
        pixels = read_photo(photo) if isinstance(photo, Path) else photo
        resized: npt.NDArray[np.uint8] = np.ascontiguousarray(self.resize(pixels))
        return resized

    def labelled(self, data: Any, labels: Any = None) -> LabelledSamples:
        """Bring photos whose classes are known into one form.

        Args:
            data: Photos as for `predict`; without labels a folder with one folder a class.
            labels: The class of each photo, by number or by name.

        Raises:
            DataError: The data and the labels do not fit together, or there are none.
            PhotoFolderError: There is no such folder, or it has a class that is not known.
        """
        if labels is None:
            if not isinstance(data, str | PathLike):
                raise DataError(
                    "labels are missing: give the class of each photo, or a folder with one "
                    "folder a class"
                )
            found = photos_to_evaluate(Path(data), self.classes)
            items: list[Any] = list(found.paths)
            labels = found.labels
        else:
            items = list(flat_photos(data))
        if not items:
            raise DataError("there is no photo to look at")
        if len(items) != len(labels):
            raise DataError(f"there are {len(items)} photos and {len(labels)} labels")
        paths = tuple(item for item in items if isinstance(item, Path))
        inputs = (self.resized(item) for item in items)
        return LabelledSamples(inputs, labels, paths if len(paths) == len(items) else ())

    def seen(self, sample: PhotoLike) -> tuple[npt.NDArray[np.uint8], Tensor]:
        """Return the pixels that the model sees of a photo, and the batch made of them.

        Shape:
            (H, W, 3), and (1, C, H, W).

        Raises:
            PhotoInputError: It is not one photo.
        """
        items = list(flat_photos(sample))
        if len(items) != 1:
            raise PhotoInputError(f"expected one photo, got {len(items)}")
        pixels = self.resized(items[0])
        return pixels, self.to_tensor(pixels).unsqueeze(0)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model with its temperature, to a folder of a run or to a file.

        Args:
            path: A folder, whose ``model.safetensors`` is replaced, or the file itself.
        """
        save_classifier(
            model_file_in(path), replace(self._classifier, temperature=self.temperature)
        )


def load_photo_predictor(path: str | PathLike[str], device: DeviceLike | None = None) -> Predictor:
    """Load a fine-tuned model of photos.

    Raises:
        NoModelError: There is no such folder, or it holds no model of photos.
        WeightsFileError: The model's file is damaged.
    """
    return Predictor(load_classifier(path), device)


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
