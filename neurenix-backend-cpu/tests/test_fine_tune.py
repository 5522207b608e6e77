"""Transfer learning on the engine: by its plans, the same as step by step to rounding."""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.graph import compiled_function

pytest.importorskip("neurenix_transfer")

from neurenix.transfer import TransferModel, fine_tune

# Of three epochs on a small network; a step alone differs by a few units in the last place.
TOLERANCE = 1e-4


def trained(
    layers: list[str] | None, *, plans: bool, cache: Literal["memory", "off"] = "memory"
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Return the history and the state after a training."""
    nx.manual_seed(0)
    base = nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(20, 40, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    model = TransferModel(base, nn.Linear(40, 2), fine_tune_layers=layers)
    rng = np.random.default_rng(5)
    images = rng.normal(size=(19, 3, 16, 16)).astype(np.float32)
    # Not Adam, which makes whole steps of gradients that are all rounding.
    optimizer = nx.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    history = fine_tune(
        model, optimizer, images, np.arange(19) % 2,
        epochs=3, batch_size=4, verbose=0, compile=plans, cache=cache,
    )  # fmt: skip
    figures = {key: list(history[key]) for key in history if key != "epoch_time"}
    return figures, {k: v.numpy().copy() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("layers", [None, ["4"]], ids=["frozen base", "last convolution"])
def test_training_by_native_plans_is_training(
    layers: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = compiled_function.make_executable

    def noting(*given: Any) -> Any:
        executable = make(*given)
        made.append(type(executable).__module__)
        return executable

    monkeypatch.setattr(compiled_function, "make_executable", noting)
    ours, state = trained(layers, plans=True)
    assert made
    assert set(made) == {"neurenix_backend_cpu.executable"}
    count = len(made)
    theirs, other = trained(layers, plans=False)
    assert len(made) == count
    for key in theirs:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=TOLERANCE, err_msg=key)
    for name, values in other.items():
        np.testing.assert_allclose(
            state[name], values, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name
        )


@pytest.mark.parametrize("layers", [None, ["4"]], ids=["frozen base", "last convolution"])
def test_the_cache_changes_no_bit(layers: list[str] | None) -> None:
    with_cache, state = trained(copy.copy(layers), plans=True)
    without, other = trained(layers, plans=True, cache="off")
    assert with_cache == without
    for name, values in other.items():
        assert state[name].tobytes() == values.tobytes(), name
