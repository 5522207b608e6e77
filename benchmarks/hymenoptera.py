"""The photos of ants and bees, and weights of ResNet-18, where this machine has them.

They are not part of the repository: NEURENIX_TEST_ASSETS names their folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# Where photos of each folder belong among the thousand classes of ImageNet.
IMAGENET_CLASSES = {"ants": 310, "bees": 309}


def assets() -> Path | None:
    """Return the folder of photos and weights, or None where there is none."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("NEURENIX_TEST_ASSETS", root.parent / "shared" / "assets"))
    return folder if (folder / "hymenoptera_data").is_dir() else None


def weights() -> Path | None:
    """Return the file of the weights, or None where there is none."""
    folder = assets()
    file = None if folder is None else folder / "weights" / "resnet18.safetensors"
    return file if file is not None and file.is_file() else None


def photos(part: str, limit: int | None = None) -> tuple[Array, Array, list[str]]:
    """Return decoded photos as the network takes them, their labels, and the classes' names.

    Args:
        part: ``"train"`` or ``"val"``.
        limit: How many at most, spread over the whole part.

    Shape:
        Photos: (N, 3, 224, 224), float32. Labels: (N,), int64.
    """
    from neurenix.data import ImageFolder
    from neurenix.models import resnet18

    folder, file = assets(), weights()
    if folder is None or file is None:
        raise FileNotFoundError("no photos or weights; NEURENIX_TEST_ASSETS names their folder")
    transforms = resnet18(pretrained=file).weights.transforms()
    found = ImageFolder(folder / "hymenoptera_data" / part, transforms)
    chosen = range(0, len(found), max(1, len(found) // limit) if limit else 1)
    samples = [found[index] for index in chosen][:limit]
    labels = np.array([int(label) for _, label in samples])
    return np.stack([x.numpy() for x, _ in samples]), labels, list(found.classes)
