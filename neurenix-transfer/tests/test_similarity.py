"""How alike the features of two models are."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.transfer.utils import compare_model_features
from neurenix_transfer.similarity import debiased_linear_cka


def hsic_by_definition(k, m):
    """The unbiased HSIC as the mean over quadruples of distinct samples that defines it."""
    n = len(k)
    total = 0.0
    for i, j, q, r in itertools.permutations(range(n), 4):
        total += k[i, j] * (m[i, j] + m[q, r] - 2.0 * m[i, q])
    return total / (n * (n - 1) * (n - 2) * (n - 3))


def cka_by_definition(x, y):
    k, m = x @ x.T, y @ y.T
    return hsic_by_definition(k, m) / np.sqrt(hsic_by_definition(k, k) * hsic_by_definition(m, m))


@pytest.mark.parametrize("n", [4, 5, 7])
def test_debiased_cka_equals_its_definition(n):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 3))
    y = x @ rng.normal(size=(3, 2)) + 0.3 * rng.normal(size=(n, 2))
    expected = cka_by_definition(x, y)
    assert 0 < expected < 1
    assert debiased_linear_cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_it_does_not_change_under_rotation_scaling_and_shift():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)), rng.normal(size=(20, 6))
    y[:, :4] += x
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    expected = debiased_linear_cka(x, y)
    assert debiased_linear_cka(7.0 * x @ rotation + 100.0, y) == pytest.approx(expected, rel=1e-9)
    assert debiased_linear_cka(x, x @ rotation * 3.0 - 5.0) == pytest.approx(1.0)


def test_independent_features_are_near_0_where_biased_cka_is_near_1():
    rng = np.random.default_rng(0)
    debiased, biased = [], []
    for _ in range(200):
        x, y = rng.normal(size=(4, 512)), rng.normal(size=(4, 512))
        debiased.append(debiased_linear_cka(x, y))
        k, m = (z - z.mean(axis=0) for z in (x, y))
        k, m = k @ k.T, m @ m.T
        biased.append((k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum()))
    assert np.mean(biased) > 0.98
    assert np.median(debiased) < 0.5
    assert min(debiased) == 0.0  # clamped


def test_constant_features_are_like_nothing():
    x = np.random.default_rng(0).normal(size=(6, 3))
    assert debiased_linear_cka(x, np.ones((6, 2))) == 0.0


def test_keys_are_the_pairs_and_values_floats_in_0_1(convnet, photos):
    neurenix.manual_seed(9)
    other = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 4))
    pairs = [("conv1", "0"), ("fc", "3"), ("conv1", "3")]
    scores = compare_model_features(convnet, other, Tensor(photos), pairs)
    assert list(scores) == pairs
    assert all(type(value) is float and 0.0 <= value <= 1.0 for value in scores.values())


def test_a_model_is_like_itself(convnet, photos):
    scores = compare_model_features(
        convnet, convnet, Tensor(photos), [("layer1", "layer1"), ("fc", "fc")]
    )
    assert list(scores.values()) == pytest.approx([1.0, 1.0])


def test_each_model_runs_once_for_all_pairs(convnet, photos):
    calls = []
    with convnet.conv1.register_forward_hook(lambda m, args, out: calls.append(1)):
        compare_model_features(
            convnet, convnet, Tensor(photos), [("conv1", "bn1"), ("conv1", "layer1")]
        )
    assert len(calls) == 2


def test_under_4_samples_positions_count_as_samples_without_a_warning(convnet, photos):
    outputs = Tensor(photos[:1])
    other = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU())
    scores = compare_model_features(convnet, other, outputs, [("conv1", "0")])
    with neurenix.no_grad():
        maps = [
            neurenix.adaptive_avg_pool2d(layer(outputs), (2, 2)).numpy().astype(np.float64)
            for layer in (convnet.conv1, other[0])
        ]
    rows = [each[0].reshape(each.shape[1], 4).T for each in maps]
    assert scores["conv1", "0"] == pytest.approx(debiased_linear_cka(*rows))


def test_else_the_cosine_with_a_warning(mlp, blobs):
    x = Tensor(blobs.train[:2])
    with pytest.warns(UserWarning, match="2 samples are too few for CKA"):
        scores = compare_model_features(mlp, mlp, x, [("0", "0")])
    assert scores["0", "0"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="8 and 5 features"):
        compare_model_features(mlp, mlp, x, [("0", "2")])


def test_metric_chooses_the_measure(mlp, blobs):
    x = Tensor(blobs.train)
    outputs = mlp[0](x).detach().numpy().astype(np.float64)
    relu = np.maximum(outputs, 0)
    expected = (outputs * relu).sum(1) / (
        np.linalg.norm(outputs, axis=1) * np.linalg.norm(relu, axis=1)
    )
    scores = compare_model_features(mlp, mlp, x, [("0", "1")], metric="cosine")
    assert scores["0", "1"] == pytest.approx(expected.mean(), rel=1e-5)
    with pytest.raises(ValueError, match="needs at least 4 samples"):
        compare_model_features(mlp, mlp, Tensor(blobs.train[:3]), [("0", "1")], metric="cka")
    with pytest.raises(ValueError, match="metric is"):
        compare_model_features(mlp, mlp, x, [("0", "1")], metric="euclid")
