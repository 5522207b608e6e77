"""`load`: a fine-tuned model, of photos or of texts, ready to predict."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

from neurenix_transfer.photos.predictor import Predictor, load_photo_predictor
from neurenix_transfer.texts.model_file import is_text_model
from neurenix_transfer.texts.predictor import TextPredictor, load_text_predictor

if TYPE_CHECKING:
    from neurenix.backends import DeviceLike


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
    if is_text_model(path):
        return load_text_predictor(path, device)
    return load_photo_predictor(path, device)
