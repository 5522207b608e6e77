"""Linear probes: the optimum, the choice of the strength, and the head that comes of it."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import Tensor
from neurenix.transfer import DataError, LabelError, TransferModel, fit_linear_probe
from neurenix_transfer.folds import make_folds
from neurenix_transfer.standard_basis import StandardBasis


def draw(count, width, classes, seed=0, noise=2.0):
    """Features of very different scales, one of them constant, and classes they tell about."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, width)) * 10.0 ** rng.uniform(-2, 2, width) + 3.0
    standard = (features - features.mean(0)) / features.std(0)
    truth = np.random.default_rng(9).normal(size=(width, classes))
    labels = (standard @ truth + noise * rng.normal(size=(count, classes))).argmax(axis=1)
    features[:, 0] = 7.1
    return features.astype(np.float32), labels


def standardised(features):
    features = features.astype(np.float64)[:, 1:]
    return (features - features.mean(0)) / features.std(0)


SHAPES = pytest.mark.parametrize("shape", [(40, 60), (120, 10)], ids=["wide", "tall"])


@SHAPES
@pytest.mark.parametrize("strength", [1.0, 0.03, 1e-3])
def test_binary_gradient_is_0_at_the_optimum(shape, strength):
    features, labels = draw(*shape, 2)
    probe = fit_linear_probe(features, labels, strengths=[strength])
    assert probe.weight.shape == (2, shape[1])
    assert (probe.weight[:, 0] == 0).all()  # the constant feature
    np.testing.assert_array_equal(probe.weight[0], -probe.weight[1])
    x = standardised(features)
    weight = (probe.weight[1] - probe.weight[0])[1:] * features[:, 1:].astype(np.float64).std(0)
    outputs = probe.outputs(features)
    error = 1 / (1 + np.exp(outputs[:, 0] - outputs[:, 1])) - labels
    np.testing.assert_allclose(error.mean(), 0.0, atol=1e-8)
    np.testing.assert_allclose(x.T @ error / len(x) + strength * weight, 0.0, atol=1e-7)


@SHAPES
@pytest.mark.parametrize("strength", [1.0, 0.03, 1e-3])
def test_multinomial_gradient_is_0_at_the_optimum(shape, strength):
    features, labels = draw(*shape, 3)
    probe = fit_linear_probe(features, labels, strengths=[strength])
    x = standardised(features)
    weight = probe.weight[:, 1:] * features[:, 1:].astype(np.float64).std(0)
    outputs = probe.outputs(features)
    probs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    error = probs - np.eye(3)[labels]
    np.testing.assert_allclose(error.mean(axis=0), 0.0, atol=1e-8)
    np.testing.assert_allclose(error.T @ x / len(x) + strength * weight, 0.0, atol=1e-7)


@SHAPES
def test_ridge_solves_its_normal_equations(shape):
    features, _ = draw(*shape, 2)
    x = standardised(features)
    values = x[:, :2] * 3.0 + 5.0 + np.random.default_rng(1).normal(size=(shape[0], 2))
    probe = fit_linear_probe(features, values, strengths=[0.1])
    gram = x.T @ x / len(x) + 0.1 * np.eye(x.shape[1])
    expected = np.linalg.solve(gram, x.T @ (values - values.mean(0)) / len(x))
    np.testing.assert_allclose(probe.outputs(features), x @ expected + values.mean(0), atol=1e-6)
    assert not probe.is_classifier
    assert probe.predict(features).shape == values.shape


@pytest.mark.parametrize("classes", [2, 4])
def test_scikit_learn_finds_the_same_optimum(classes):
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = draw(80, 30, classes)
    for strength in (0.3, 0.01):
        probe = fit_linear_probe(features, labels, strengths=[strength])
        peer = linear_model.LogisticRegression(
            C=1 / (strength * len(labels)), tol=1e-10, max_iter=10_000
        ).fit(standardised(features), labels)
        scale = features[:, 1:].astype(np.float64).std(0)
        mine = probe.weight[:, 1:] * scale
        mine = mine[1:] - mine[:1] if classes == 2 else mine
        np.testing.assert_allclose(mine, peer.coef_, atol=1e-5)


def test_the_choice_is_the_lowest_held_out_loss():
    features, labels = draw(60, 80, 2)
    probe = fit_linear_probe(features, labels)
    assert [each.strength for each in probe.scores] == sorted(
        (each.strength for each in probe.scores), reverse=True
    )
    assert probe.loss == min(each.loss for each in probe.scores)
    assert probe.scores[0].strength > probe.strength > probe.scores[-1].strength
    assert 0.5 < probe.score < 0.95
    alone = fit_linear_probe(features, labels, strengths=[probe.strength])
    np.testing.assert_allclose(alone.weight, probe.weight, atol=1e-6 * np.abs(probe.weight).max())


def test_scores_are_those_of_probes_on_the_other_folds():
    features, labels = draw(50, 20, 3)
    probe = fit_linear_probe(features, labels, strengths=[0.1], folds=4, seed=3)
    right, loss = 0, 0.0
    for part in make_folds(50, 4, 3, labels):
        rest = np.setdiff1d(np.arange(50), part)
        other = fit_linear_probe(features[rest], labels[rest], strengths=[0.1], num_classes=3)
        outputs = other.outputs(features[part])
        right += (outputs.argmax(axis=1) == labels[part]).sum()
        total = np.log(np.exp(outputs).sum(axis=1))
        loss += (total - outputs[np.arange(len(part)), labels[part]]).sum()
    assert probe.score == pytest.approx(right / 50)
    assert probe.loss == pytest.approx(loss / 50, rel=1e-4)


def test_held_out_data_choose_where_they_are_given():
    features, labels = draw(60, 80, 2)
    val, val_labels = draw(200, 80, 2, seed=1)
    probe = fit_linear_probe(features, labels, val=(val, val_labels))
    assert probe.score == pytest.approx((probe.predict(val) == val_labels).mean())
    assert probe.loss == min(each.loss for each in probe.scores)
    other = fit_linear_probe(features, labels, val=(val, 1 - val_labels))
    assert other.strength == max(each.strength for each in probe.scores)


def test_r2_is_the_score_of_values():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 5))
    values = features @ rng.normal(size=5) + 0.1 * rng.normal(size=100)
    assert fit_linear_probe(features, values).score > 0.98
    assert abs(fit_linear_probe(features, rng.normal(size=100)).score) < 0.2


def test_the_same_data_and_seed_give_the_same_bits_and_tensors_are_taken():
    features, labels = draw(60, 30, 3)
    first = fit_linear_probe(features, labels, seed=4)
    second = fit_linear_probe(Tensor(features), Tensor(labels), seed=4)
    assert first.weight.tobytes() == second.weight.tobytes()
    assert first.scores == second.scores
    assert fit_linear_probe(features, labels, seed=5).scores != first.scores


def test_it_becomes_a_head(convnet, photos):
    features, labels = draw(60, 6, 3)
    probe = fit_linear_probe(features, labels)
    head = probe.to_linear()
    np.testing.assert_allclose(
        head(Tensor(features)).detach().numpy(), probe.outputs(features), rtol=1e-3, atol=1e-3
    )
    model = TransferModel(convnet, head).eval()
    assert model(Tensor(photos)).shape == (8, 3)


def test_what_does_not_fit_is_an_error():
    features, labels = draw(20, 4, 2)
    spoiled = features.copy()
    spoiled[3, 1] = np.nan
    for data, given, options, error, message in [
        (features, labels[:-1], {}, DataError, "20 rows and labels 19 labels"),
        (features[:, 0], labels, {}, DataError, r"expected \(N, C\)"),
        (spoiled, labels, {}, DataError, r"features\[3\]"),
        (features, labels * 0, {}, LabelError, "are all 0"),
        (features, labels - 1, {}, LabelError, r"labels\[\d+\] is -1"),
        (features, labels + 1, {"num_classes": 2}, LabelError, "classes are 0 to 1"),
        (features, np.stack([labels, labels], 1), {}, LabelError, "pass them as floats"),
        (features, labels * np.nan, {}, LabelError, r"labels\[0\] is nan"),
        (features, labels * 0.5, {"num_classes": 2}, LabelError, "num_classes"),
        (features, labels, {"strengths": [0.0]}, ValueError, "greater than 0"),
        (features, labels, {"folds": 1}, ValueError, "at least 2 folds"),
        (features, labels, {"val": (features[:, :2], labels)}, DataError, "2 columns"),
        (features, labels, {"val": (features, labels * 0.5)}, LabelError, "val labels"),
    ]:
        with pytest.raises(error, match=message):
            fit_linear_probe(data, given, **options)


def test_folds_are_stratified_and_hold_each_sample_out_once():
    labels = np.array([0] * 21 + [1] * 9 + [2] * 3)
    parts = make_folds(33, 5, 0, labels)
    assert sorted(np.concatenate(parts)) == list(range(33))
    assert {len(part) for part in parts} <= {6, 7}
    for part in parts:
        counts = np.bincount(labels[part], minlength=3)
        assert 4 <= counts[0] <= 5
        assert 1 <= counts[1] <= 2
        assert counts[2] <= 1
    again = make_folds(33, 5, 0, labels)
    assert all((one == other).all() for one, other in zip(parts, again, strict=True))
    other = make_folds(33, 5, 1, labels)
    assert [part.tolist() for part in parts] != [part.tolist() for part in other]


def test_a_class_of_one_sample_is_never_held_out():
    parts = make_folds(7, 3, 0, np.array([0, 0, 0, 1, 1, 1, 2]))
    assert sorted(np.concatenate(parts)) == [0, 1, 2, 3, 4, 5]
    assert len(make_folds(2, 5, 0)) == 2
    with pytest.raises(ValueError, match="cannot be cross-validated"):
        make_folds(2, 5, 0, np.array([0, 1]))


@SHAPES
def test_the_basis_keeps_distances_and_has_no_more_columns_than_needed(shape):
    features = draw(*shape, 2)[0].astype(np.float64)
    features[:, 2] = features[:, 1]  # no direction of its own
    basis = StandardBasis(features)
    x = standardised(features)
    np.testing.assert_allclose(basis.coordinates @ basis.coordinates.T, x @ x.T, atol=1e-8)
    np.testing.assert_allclose(basis.transform(features), basis.coordinates, atol=1e-8)
    np.testing.assert_allclose((basis.coordinates**2).mean(axis=0), basis.variances)
    assert basis.coordinates.shape[1] == min(shape[0] - 1, shape[1] - 2)


def test_neurenixs_generator_is_not_touched():
    features, labels = draw(30, 4, 2)
    state = neurenix.random.default_generator().get_state()
    fit_linear_probe(features, labels)
    assert neurenix.random.default_generator().get_state() == state


def test_folds_hold_groups_out_as_a_whole():
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 40, 120)
    labels = groups % 3
    parts = make_folds(120, 4, 0, labels, groups.tolist())
    assert sorted(np.concatenate(parts)) == list(range(120))
    for part in parts:
        assert not set(groups[part]) & set(np.delete(groups, part))
        for label in range(3):
            share = (labels == label).sum() / 4
            assert abs((labels[part] == label).sum() - share) <= np.bincount(groups).max()


def test_what_would_leave_nothing_of_a_class_is_held_out_nowhere():
    labels = np.array([0] * 6 + [1] * 3 + [2] * 4)
    groups = [0, 0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7, 3]  # class 1 is one group; group 3 is of two
    parts = make_folds(13, 3, 0, labels, groups)
    assert sorted(np.concatenate(parts)) == [0, 1, 2, 3, 4, 9, 10, 11]
    with pytest.raises(ValueError, match="two different ones of a class"):
        make_folds(4, 3, 0, np.array([0, 0, 1, 1]), [0, 0, 1, 1])


def test_groups_of_one_sample_change_no_fold():
    labels = np.arange(33) ** 2 % 3
    for classes in (labels, None):
        alone = make_folds(33, 5, 0, classes)
        grouped = make_folds(33, 5, 0, classes, range(33))
        assert [part.tolist() for part in alone] == [part.tolist() for part in grouped]


def test_copies_do_not_flatter_a_probe():
    rng = np.random.default_rng(0)
    noise = np.repeat(rng.normal(size=(30, 40)), 4, axis=0)
    labels = np.repeat(rng.integers(0, 2, 30), 4)  # nothing to learn: only copies tell the label
    copies = np.repeat(np.arange(30), 4).tolist()
    assert fit_linear_probe(noise, labels).score > 0.95
    assert fit_linear_probe(noise, labels, groups=copies).score < 0.75
