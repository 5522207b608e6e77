"""Files: weights in and out, and files that are never half-written."""

from __future__ import annotations

from neurenix.io.atomic import atomic_file, atomic_write, atomic_write_json
from neurenix.io.errors import WeightsFileError
from neurenix.io.home import home_folder
from neurenix.io.pth import load_pth
from neurenix.io.safetensors import load_safetensors, safetensors_metadata, save_safetensors
from neurenix.io.weights import WeightsFile, load_weights, read_weights

__all__ = [
    "WeightsFile",
    "WeightsFileError",
    "atomic_file",
    "atomic_write",
    "atomic_write_json",
    "home_folder",
    "load_pth",
    "load_safetensors",
    "load_weights",
    "read_weights",
    "safetensors_metadata",
    "save_safetensors",
]
