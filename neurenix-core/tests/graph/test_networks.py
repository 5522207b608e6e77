"""Plans of many small networks give what the networks give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.graph import Plan, TensorMeta, trace
from neurenix.nn import functional as F


def randomised(module: nn.Module) -> nn.Module:
    """Return the module in eval mode, with running statistics that are not 0 and 1."""
    with neurenix.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(neurenix.randn(buffer.shape) * 0.3)
            elif name.endswith("running_var"):
                buffer.copy_(neurenix.rand(buffer.shape) + 0.5)
        for name, param in module.named_parameters():
            if param.ndim == 1:
                param.copy_(neurenix.randn(param.shape) * 0.2 + float("weight" in name))
    return module.eval()


class Residual(nn.Module):
    def __init__(self, channels: int, stride: int = 1, kernel: int = 3, groups: int = 1) -> None:
        super().__init__()
        pad = kernel // 2
        self.conv1 = nn.Conv2d(channels, channels, kernel, stride, pad, groups=groups)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=pad, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.short = nn.Conv2d(channels, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return F.relu(self.short(x) + y)


class Dense(nn.Module):
    """Concatenates, splits, and normalises before it convolves."""

    def __init__(self) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 2, 3, padding="same")

    def forward(self, x: Tensor) -> Tensor:
        grown = neurenix.concat([x, self.conv(self.bn(x).relu())], axis=1)
        left, right = grown.chunk(2, 1)
        return neurenix.stack([left, right * 2], axis=-1).mean((2, 3))


class Encoder(nn.Module):
    """A transformer block with a causal mask and learned positions."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(11, 8)
        self.positions = nn.Embedding(6, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        x = self.tokens(tokens) + self.positions(neurenix.arange(tokens.shape[1]))
        q = self.norm(x).reshape((*x.shape[:2], 2, 4)).transpose(1, 2)
        x = x + F.scaled_dot_product_attention(q, q, q, is_causal=True).transpose(1, 2).reshape(
            x.shape
        )
        return x + self.mlp(self.norm(x)), x.max(1)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(7, 16)

    def forward(self, x: Tensor) -> Tensor:
        hidden, cell = neurenix.zeros((x.shape[0], 4)), neurenix.zeros((x.shape[0], 4))
        for step in range(x.shape[1]):
            parts = self.gates(neurenix.concat([x[:, step], hidden], 1)).split(4, 1)
            i, f, o = (part.sigmoid() for part in parts[:3])
            cell = f * cell + i * parts[3].tanh()
            hidden = o * cell.tanh()
        return hidden


def _images(*shape: int) -> Callable[[], Tensor]:
    return lambda: neurenix.randn(shape)


NETWORKS: dict[str, tuple[Callable[[], Any], Callable[[], Tensor]]] = {
    "mlp": (
        lambda: nn.Sequential(
            nn.Linear(5, 7),
            nn.BatchNorm1d(7),
            nn.ReLU(),
            nn.Linear(7, 3, bias=False),
            nn.BatchNorm1d(3),
            nn.Softmax(1),
        ),
        _images(4, 5),
    ),
    "activations": (
        lambda: nn.Sequential(
            nn.Linear(5, 5),
            nn.GELU(),
            nn.SiLU(),
            nn.Sigmoid(),
            nn.Tanh(),
            nn.LeakyReLU(),
            nn.LogSoftmax(-1),
        ),
        _images(3, 5),
    ),
    "residual": (lambda: Residual(4), _images(2, 4, 7, 7)),
    "residual, strided": (lambda: Residual(4, stride=2), _images(3, 4, 9, 8)),
    "residual, grouped": (lambda: Residual(4, groups=2), _images(2, 4, 6, 5)),
    "residual, 1x1": (lambda: Residual(6, kernel=1), _images(2, 6, 4, 4)),
    "residual, empty": (lambda: Residual(4), _images(0, 4, 5, 5)),
    "dense": (Dense, _images(2, 4, 5, 5)),
    "pools": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 5, stride=2, padding=2, dilation=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, 1),
            nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d((2, 1)),
            nn.Flatten(),
            nn.Linear(8, 2),
        ),
        _images(2, 3, 32, 32),
    ),
    "norms": (
        lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.LayerNorm((2, 2))),
        _images(2, 4, 4, 4),
    ),
    "encoder": (Encoder, lambda: neurenix.randint(0, 11, (2, 6))),
    "recurrent": (Recurrent, _images(2, 5, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_gives_what_the_network_gives(name: str, compare: Callable[..., Plan]) -> None:
    neurenix.manual_seed(len(name))
    build, example = NETWORKS[name]
    compare(randomised(build()), example())


@pytest.mark.parametrize("dtype", [neurenix.float64, neurenix.float16, neurenix.bfloat16])
def test_other_dtypes(dtype: Any, compare: Callable[..., Plan]) -> None:
    module = randomised(Residual(4)).to(dtype=dtype)
    rtol = {2: 2e-2, 8: 1e-12}[dtype.itemsize]
    compare(module, neurenix.randn((2, 4, 6, 6)).astype(dtype), rtol=rtol)


def test_resnet18(compare: Callable[..., Plan]) -> None:
    neurenix.manual_seed(0)
    module = randomised(neurenix.models.resnet18(num_classes=10))
    plan = compare(module, neurenix.randn((2, 3, 64, 64)), rtol=1e-4)
    ops = [node.op.name for node in plan.graph.nodes]
    assert ops.count("conv2d_fused") == 17
    assert ops.count("conv2d") == 3  # the shortcuts
    assert not {"batch_norm_inference", "relu", "add", "max_pool2d"} & set(ops)
    assert plan.memory.nbytes < plan.memory.unplanned_bytes / 2


def test_resnet50_has_its_residuals_fused(compare: Callable[..., Plan]) -> None:
    neurenix.manual_seed(0)
    module = randomised(neurenix.models.resnet50(num_classes=10))
    plan = compare(module, neurenix.randn((1, 3, 32, 32)), rtol=1e-4)
    assert "add" not in [node.op.name for node in plan.graph.nodes]


def test_a_graph_of_a_large_network_takes_no_memory() -> None:
    graph = trace(
        neurenix.models.resnet18().eval(), TensorMeta((1 << 20, 3, 224, 224), neurenix.float32)
    )
    assert graph.outputs[0].shape == (1 << 20, 1000)
