"""ResNet-18 by Neurenix: eager, as a plan, and as plans of lower precision."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from forwards import Array, Forward
from peer import Unavailable

import neurenix
from neurenix.errors import NeurenixError

# What one picture of 224 x 224 takes, in units of 1e9: 1,814 million multiply-adds.
FORWARD_GFLOP = 3.628
# Forward, gradients of weights, gradients of inputs; no gradient of the pictures themselves.
STEP_GFLOP = 3 * FORWARD_GFLOP - 0.236


def model(weights: Any = None) -> Any:
    """Return the network in eval mode, with these weights or random ones."""
    neurenix.manual_seed(0)
    network = neurenix.models.resnet18(pretrained=weights or False)
    network.eval()
    return network


def state(network: Any) -> dict[str, Array]:
    """Return parameters and buffers as arrays, for a peer to load."""
    return {name: np.array(value.numpy()) for name, value in network.state_dict().items()}


def eager(network: Any) -> Forward:
    """Return the network run op by op."""

    def run(x: neurenix.Tensor) -> Array:
        with neurenix.inference_mode():
            return network(x).numpy()

    return Forward(neurenix.from_numpy, run)


def plan(
    network: Any, example: Array, precision: str = "float32", calibration: Array | None = None
) -> Forward:
    """Return the network as a plan.

    Args:
        network: The network.
        example: A batch of the shape that is measured; photos where there are any.
        precision: ``"float32"``, ``"bfloat16"`` or ``"int8"``.
        calibration: Photos to choose the scales of int8 by.

    Raises:
        Unavailable: `neurenix.compile` or the backend knows no such precision.
    """
    asked: dict[str, Any] = {}
    if precision != "float32":
        known = inspect.signature(neurenix.compile).parameters
        if "precision" not in known:
            raise Unavailable("neurenix.compile has no option `precision` in this version")
        asked["precision"] = precision
        if precision == "int8" and "calibration" in known and calibration is not None:
            asked["calibration"] = neurenix.from_numpy(calibration)
    try:
        compiled = neurenix.compile(
            network, neurenix.from_numpy(example), fallback="error", **asked
        )
    except (NeurenixError, NotImplementedError) as error:
        if precision == "float32":
            raise
        raise Unavailable(str(error)) from error

    def run(x: neurenix.Tensor) -> Array:
        with neurenix.inference_mode():
            return compiled(x).numpy()

    return Forward(neurenix.from_numpy, run)
