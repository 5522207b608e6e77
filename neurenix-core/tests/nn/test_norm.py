"""BatchNorm, LayerNorm and GroupNorm against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.errors import ShapeError

RNG = np.random.default_rng(5)


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32) * 2 + 1


def fill(module: nn.Module) -> None:
    with neurenix.no_grad():
        for param in module.parameters():
            param.copy_(Tensor(draw(*param.shape)))


def affine(normal: np.ndarray, module: nn.Module, shape: tuple[int, ...]) -> np.ndarray:
    if module.weight is None:
        return normal
    out = normal * module.weight.detach().numpy().reshape(shape)
    return out if module.bias is None else out + module.bias.detach().numpy().reshape(shape)


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.BatchNorm1d(3), draw(8, 3)),
        (nn.BatchNorm1d(3, momentum=0.3, eps=1e-2), draw(4, 3, 5)),
        (nn.BatchNorm2d(3, affine=False), draw(4, 3, 2, 5)),
    ],
)
def test_batch_norm(layer: nn.Module, x: np.ndarray) -> None:
    fill(layer)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    shape = (1, 3) + (1,) * (x.ndim - 2)
    count = x.size // 3
    mean, var = x.mean(axes, dtype=np.float64), x.var(axes, dtype=np.float64)
    expected = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + layer.eps)
    out = layer(Tensor(x)).detach().numpy()
    np.testing.assert_allclose(out, affine(expected, layer, shape), rtol=1e-4, atol=1e-4)
    momentum = layer.momentum
    running_mean = momentum * mean
    running_var = 1 - momentum + momentum * var * count / (count - 1)
    np.testing.assert_allclose(layer.running_mean.numpy(), running_mean, rtol=1e-4)
    np.testing.assert_allclose(layer.running_var.numpy(), running_var, rtol=1e-4)
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    expected = (x - running_mean.reshape(shape)) / np.sqrt(running_var.reshape(shape) + layer.eps)
    out = layer(Tensor(x)).detach().numpy()
    np.testing.assert_allclose(out, affine(expected, layer, shape), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.running_mean.numpy(), running_mean, rtol=1e-4)
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert layer.running_mean.tolist() == [0.0] * 3
    assert layer.running_var.tolist() == [1.0] * 3
    assert layer.num_batches_tracked.item() == 0


def test_without_momentum_all_batches_count_alike() -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [draw(6, 2) for _ in range(4)]
    for batch in batches:
        layer(Tensor(batch))
    np.testing.assert_allclose(
        layer.running_mean.numpy(), np.mean([b.mean(0) for b in batches], axis=0), rtol=1e-4
    )
    np.testing.assert_allclose(
        layer.running_var.numpy(), np.mean([b.var(0, ddof=1) for b in batches], axis=0), rtol=1e-4
    )


def test_without_running_statistics_the_batch_counts_in_eval_mode_too() -> None:
    layer = nn.BatchNorm1d(2, track_running_stats=False)
    assert layer.running_mean is None
    assert list(layer.state_dict()) == ["weight", "bias"]
    x = Tensor(draw(6, 2))
    trained = layer(x).detach().numpy()
    np.testing.assert_array_equal(layer.eval()(x).detach().numpy(), trained)


def test_batch_norm_checks_its_input() -> None:
    with pytest.raises(ShapeError, match=r"BatchNorm2d\(3\) takes a 4-D input with 3 channels"):
        nn.BatchNorm2d(3)(Tensor(draw(4, 3)))
    with pytest.raises(ShapeError, match=r"BatchNorm1d\(3\) takes a 2-D or 3-D input.*\(4, 2\)"):
        nn.BatchNorm1d(3)(Tensor(draw(4, 2)))
    with pytest.raises(ShapeError, match=r"more than one value a channel.*\(1, 3\)"):
        nn.BatchNorm1d(3)(Tensor(draw(1, 3)))
    assert nn.BatchNorm1d(3).eval()(Tensor(draw(1, 3))).shape == (1, 3)
    with pytest.raises(ShapeError, match="num_features is a whole number"):
        nn.BatchNorm1d(0)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.LayerNorm(5), (5,)),
        (nn.LayerNorm((4, 5), eps=1e-2), (4, 5)),
        (nn.LayerNorm([4, 5], bias=False), (4, 5)),
        (nn.LayerNorm(5, elementwise_affine=False), (5,)),
    ],
)
def test_layer_norm(layer: nn.Module, shape: tuple[int, ...]) -> None:
    fill(layer)
    x = draw(3, 4, 5)
    axes = tuple(range(-len(shape), 0))
    mean = x.mean(axes, keepdims=True, dtype=np.float64)
    var = x.var(axes, keepdims=True, dtype=np.float64)
    expected = affine((x - mean) / np.sqrt(var + layer.eps), layer, shape)
    out = layer(Tensor(x)).detach().numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", [nn.GroupNorm(2, 6), nn.GroupNorm(3, 6, eps=0.1, affine=False)])
@pytest.mark.parametrize("positions", [(), (5,), (3, 4)])
def test_group_norm(layer: nn.GroupNorm, positions: tuple[int, ...]) -> None:
    fill(layer)
    x = draw(2, 6, *positions)
    grouped = x.reshape(2, layer.num_groups, -1).astype(np.float64)
    mean, var = grouped.mean(-1, keepdims=True), grouped.var(-1, keepdims=True)
    normal = ((grouped - mean) / np.sqrt(var + layer.eps)).reshape(x.shape)
    expected = affine(normal, layer, (6,) + (1,) * len(positions))
    out = layer(Tensor(x)).detach().numpy()
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


def test_group_norm_checks_its_arguments() -> None:
    with pytest.raises(ShapeError, match="num_channels must be divisible by num_groups: 6 by 4"):
        nn.GroupNorm(4, 6)


def test_descriptions() -> None:
    assert repr(nn.BatchNorm2d(3)) == (
        "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    )
    assert repr(nn.LayerNorm(4)) == "LayerNorm((4,), eps=1e-05, elementwise_affine=True)"
    assert repr(nn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True)"
