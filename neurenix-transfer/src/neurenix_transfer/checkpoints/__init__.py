"""Checkpoints of a training run, from which it goes on as if it had never stopped.

| File | Holds |
|---|---|
| `folder` | a folder of checkpoints: each is there whole or not at all |
| `packing` | nested values as JSON and tensors |
| `identity` | what a resumed run must have in common with its first part |
| `state` | what a run is made of: taken, and put back |
| `saving` | when a run saves, and where it resumes from |
"""

from neurenix_transfer.checkpoints.errors import (
    CheckpointDamagedError,
    CheckpointError,
    CheckpointMismatchError,
)
from neurenix_transfer.checkpoints.saving import Checkpoints

__all__ = [
    "CheckpointDamagedError",
    "CheckpointError",
    "CheckpointMismatchError",
    "Checkpoints",
]
