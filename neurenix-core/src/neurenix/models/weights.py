"""What is known of a set of pretrained weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurenix.data.transforms import Compose
from neurenix.models.preprocessing import IMAGENET_PREPROCESSING, preprocessing_transforms


@dataclass(frozen=True)
class Weights:
    """A set of pretrained weights: where it comes from, and what its photos must go through.

    A model built with ``pretrained`` carries one as ``model.weights``.

    Args:
        name: The architecture, and the name of its file in ``$NEURENIX_HOME/models``.
        hub_id: The repository on the Hugging Face hub that has it.
        filename: The file in that repository.
        preprocessing: As described in ``neurenix.models.preprocessing``.
        path: The file that it was read from; ``None`` before it was.
    """

    name: str
    hub_id: str
    filename: str = "model.safetensors"
    preprocessing: Mapping[str, Any] = field(default_factory=lambda: dict(IMAGENET_PREPROCESSING))
    path: Path | None = None

    def transforms(self) -> Compose:
        """Return the transform from a photo to the tensor that the model expects."""
        return preprocessing_transforms(self.preprocessing)
