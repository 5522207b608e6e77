"""Plans of modules: they give what the modules give, and follow their weights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix import nn
from neurenix.graph import executable as executable_module
from neurenix.graph import make_executable, trace
from neurenix.models import Bert, BertConfig, resnet18
from neurenix_backend_cpu import program


class Branches(nn.Module):
    """Convolutions of odd widths whose results meet, are pooled, scaled and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(5, 20, 3, padding=1)
        self.left = nn.Conv2d(20, 33, 1, bias=False)
        self.norm = nn.BatchNorm2d(33)
        self.right = nn.Conv2d(20, 33, 3, padding=1, groups=1)
        self.deep = nn.Conv2d(33, 33, 3, padding=1, stride=2)

    def forward(self, x: nx.Tensor) -> tuple[nx.Tensor, ...]:
        x = nx.relu(self.first(x))
        left, right = self.norm(self.left(x)), self.right(x)
        joined = nx.relu(left + right)
        pooled = nx.max_pool2d(joined, 3, 2, 1)
        small = self.deep(joined)
        mixed = (small - pooled) * 0.5 + 1.0
        return joined, mixed, nx.sigmoid(mixed).mean((2, 3))


class PreActivation(nn.Module):
    """A batch norm with fixed statistics that no convolution can take in."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(19)
        self.conv = nn.Conv2d(19, 24, 3, padding=1, groups=1)
        self.second = nn.BatchNorm2d(24)

    def forward(self, x: nx.Tensor) -> nx.Tensor:
        x = self.conv(nx.relu(self.norm(x)))
        return nx.relu(self.second(nx.maximum(x, 0.1)))


def bert() -> nn.Module:
    return Bert(
        BertConfig(
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            vocab_size=50,
        )
    )


def tokens() -> nx.Tensor:
    ids = np.random.default_rng(0).integers(1, 50, (2, 7))
    ids[1, 5:] = 0
    return nx.from_numpy(ids)


NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[], nx.Tensor]]] = {
    "perceptron": (
        lambda: nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.LayerNorm(16), nn.Linear(16, 5)),
        lambda: nx.randn((3, 12)),
    ),
    "branches": (Branches, lambda: nx.randn((2, 5, 9, 11))),
    "pre-activation": (PreActivation, lambda: nx.randn((2, 19, 6, 5))),
    "resnet18": (lambda: resnet18(num_classes=7), lambda: nx.randn((2, 3, 64, 64))),
    "bert": (bert, tokens),
}


def made(name: str) -> tuple[Any, nx.Tensor]:
    nx.manual_seed(3)
    make, example = NETWORKS[name]
    module, x = make(), example()
    for key, buffer in module.named_buffers():
        if key.endswith("running_mean"):
            buffer.copy_(nx.randn(buffer.shape) * 0.1)
        elif key.endswith("running_var"):
            buffer.copy_(nx.rand(buffer.shape) + 0.5)
    return module.eval(), x


def results(value: Any) -> list[np.ndarray[Any, Any]]:
    tensors = value if isinstance(value, tuple | list) else (value,)
    return [np.array(tensor.detach().numpy()) for tensor in tensors]


def assert_close(found: Any, expected: Any, tolerance: float = 2e-5) -> None:
    for ours, theirs in zip(results(found), results(expected), strict=True):
        assert ours.shape == theirs.shape
        scale = float(np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_native_plan_gives_what_the_module_gives(name: str) -> None:
    module, x = made(name)
    executable = make_executable(trace(module, x))
    assert type(executable).__name__ == "Executable", "core's own plan runs it"
    with nx.no_grad():
        expected = results(module(x))
        for _ in range(2):
            assert_close(executable.run([x]), module(x))
        other = x * 2 if name != "bert" else x
        first = executable.run([x])
        executable.run([other])
    for ours, theirs in zip(results(first), expected, strict=True):
        scale = float(np.abs(theirs).max())
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5 * scale)


@pytest.mark.parametrize("name", ["perceptron", "branches", "resnet18", "bert"])
def test_changed_weights_show_in_the_next_run(name: str) -> None:
    module, x = made(name)
    executable = make_executable(trace(module, x))
    with nx.no_grad():
        before = results(executable.run([x]))
        for parameter in module.parameters():
            parameter.copy_(parameter * 0.75)
        assert_close(executable.run([x]), module(x))
        assert not np.array_equal(results(executable.run([x]))[0], before[0])
        module.load_state_dict({k: v * 1.25 for k, v in module.state_dict().items()})
        assert_close(executable.run([x]), module(x))


def test_memory_that_was_lent_is_read_anew() -> None:
    """A NumPy array over a weight may be written without Neurenix noticing."""
    module, x = made("perceptron")
    executable = make_executable(trace(module, x))
    with nx.no_grad():
        weight = np.from_dlpack(next(iter(module.parameters())).detach())
        executable.run([x])
        weight *= 0.5
        assert_close(executable.run([x]), module(x))


def test_a_sample_gives_the_same_bits_in_any_batch() -> None:
    module, _ = made("resnet18")
    x = nx.randn((3, 3, 64, 64))
    whole = results(make_executable(trace(module, x)).run([x]))[0]
    alone = make_executable(trace(module, x[:1]))
    for sample in range(3):
        found = results(alone.run([x[sample : sample + 1]]))[0]
        np.testing.assert_array_equal(found[0], whole[sample])


def test_a_plan_runs_in_several_threads_at_once() -> None:
    module, _ = made("branches")
    xs = [nx.randn((2, 5, 9, 11)) for _ in range(4)]
    executable = make_executable(trace(module, xs[0]))
    expected = [results(executable.run([x])) for x in xs]
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(20):
            found = results(executable.run([xs[number]]))
            if not all(map(np.array_equal, found, expected[number])):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_strided_inputs_and_views_as_results() -> None:
    class Views(nn.Module):
        def forward(self, x: nx.Tensor) -> tuple[nx.Tensor, nx.Tensor]:
            y = (x + 1.0) * 2.0
            return y.transpose(0, 1), y[1:, :2]

    base = nx.randn((5, 4))
    x = base.transpose(0, 1)
    executable = make_executable(trace(Views(), nx.randn((4, 5))))
    for found, expected in zip(executable.run([x]), Views()(x), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_an_index_that_is_not_there_names_the_node() -> None:
    table = nn.Embedding(5, 3)
    executable = make_executable(trace(table, nx.from_numpy(np.zeros((2,), np.int64))))
    with pytest.raises(IndexError, match=r"take\(.*float32\[5, 3\]"):
        executable.run([nx.from_numpy(np.array([1, 7]))])
    found = executable.run([nx.from_numpy(np.array([1, 4]))])[0]
    np.testing.assert_array_equal(found.numpy(), table.weight.detach().numpy()[[1, 4]])


def test_a_plan_tells_its_steps_layouts_and_bytes() -> None:
    module, x = made("resnet18")
    executable: Any = make_executable(trace(module, x))
    text = executable.describe()
    assert text.count("conv2d") >= 20
    assert "conv2d+add+relu" in text
    assert "to blocks" not in text, "activations stay in blocks from end to end"
    assert "from blocks" in text  # the pool at the end
    assert executable.nbytes > 0
    assert "native plan of ResNet" in repr(executable)


def test_what_the_engine_has_no_code_for_is_left_to_core(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executable_module, "_told", set())
    monkeypatch.setattr(program._native, "has_operation", lambda op, attrs: op != "tanh")
    x = nx.randn((4, 5))
    executables = [make_executable(trace(nn.Tanh(), x)) for _ in range(2)]
    with nx.no_grad():
        assert_close(executables[0].run([x]), x.tanh(), 1e-6)
    reason = "'tanh' of (float32) has no native operation"
    assert caplog.text.count(reason) == 1, "said once"
    assert reason in repr(executables[1])
    assert reason in executables[1].describe()
