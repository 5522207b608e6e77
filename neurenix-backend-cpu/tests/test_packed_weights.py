"""Convolutions called one by one keep the packed weights of parameters, and notice every write."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix_backend_cpu import _native


@pytest.fixture
def layer() -> nn.Conv2d:
    return nn.Conv2d(24, 40, 3, padding=1)


def images(size: int = 9) -> nx.Tensor:
    return nx.randn((2, 24, size, size))


def once(layer: nn.Conv2d, x: nx.Tensor) -> np.ndarray:
    """Return the result with weights that have been used once: nothing is kept of them."""
    twin = nn.Conv2d(24, 40, 3, padding=1)
    twin.load_state_dict(layer.state_dict())
    with nx.no_grad():
        return twin(x).numpy()


def test_weights_are_kept_from_the_second_call_on_and_go_with_the_layer() -> None:
    gc.collect()
    layer = nn.Conv2d(24, 40, 3, padding=1)
    x, before = images(), _native.packed_weights_bytes()
    with nx.no_grad():
        first = layer(x).numpy()
        assert _native.packed_weights_bytes() == before, "what is used once is not kept"
        second = layer(x).numpy()
        kept = _native.packed_weights_bytes()
        third = layer(x).numpy()
    assert kept > before
    assert _native.packed_weights_bytes() == kept
    assert first.tobytes() == second.tobytes() == third.tobytes()
    del layer
    gc.collect()
    assert _native.packed_weights_bytes() == before


def test_a_write_is_noticed(layer: nn.Conv2d) -> None:
    x = images()
    with nx.no_grad():
        for _ in range(3):
            layer(x)
        layer.weight.copy_(nx.randn(layer.weight.shape))
        assert layer.bias is not None
        layer.bias.fill_(3.0)
        for _ in range(3):
            assert layer(x).numpy().tobytes() == once(layer, x).tobytes()


def test_a_step_of_an_optimizer_is_noticed(layer: nn.Conv2d) -> None:
    x = images()
    optimizer = nx.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(3):
        before = layer(x)
        before.sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        with nx.no_grad():
            after = layer(x).numpy()
        assert after.tobytes() == once(layer, x).tobytes()
        assert after.tobytes() != before.detach().numpy().tobytes()


def test_what_others_may_write_unseen_is_not_kept(layer: nn.Conv2d) -> None:
    x, array = images(), np.ones((40, 24, 3, 3), np.float32)
    layer.weight = nn.Parameter(nx.from_numpy(array))
    with nx.no_grad():
        for value in (1.0, 2.0, 3.0):
            array[...] = value
            for _ in range(3):
                assert layer(x).numpy().tobytes() == once(layer, x).tobytes()


def test_images_of_two_sizes_take_turns(layer: nn.Conv2d) -> None:
    small, large = images(5), images(19)
    with nx.no_grad():
        for _ in range(3):
            for x in (small, small, large, large):
                assert layer(x).numpy().tobytes() == once(layer, x).tobytes()


def test_instruction_sets_take_turns(layer: nn.Conv2d) -> None:
    x, native = images(), _native.instruction_set()
    with nx.no_grad():
        wanted = layer(x).numpy()
        try:
            for name in ("portable", native, "portable"):
                _native.set_instruction_set(name)
                for _ in range(3):
                    assert np.allclose(layer(x).numpy(), wanted, atol=1e-4)
        finally:
            _native.set_instruction_set(native)


def test_threads_share_a_layer(layer: nn.Conv2d) -> None:
    x, failed = images(), []
    wanted = once(layer, x).tobytes()

    def work() -> None:
        with nx.no_grad():
            failed.extend(layer(x).numpy().tobytes() != wanted for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == [False] * 80
