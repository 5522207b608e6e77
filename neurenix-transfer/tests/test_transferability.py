"""Scores of layers: LogME, cross-validated probes, and the layers that are scored by default."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn
from neurenix.data import DataLoader, Dataset, ImageFolder
from neurenix.transfer import (
    DataError,
    LayerNotRunError,
    TransferModel,
    UnknownLayerError,
    fit_linear_probe,
    transferability,
)
from neurenix.transfer.utils import get_layer_outputs
from neurenix_transfer.blocks import meaningful_layers
from neurenix_transfer.logme import logme
from neurenix_transfer.pooling import pooled, tokens_kept


def log_evidence(features, target, alpha, beta):
    """Return log p(y | F, alpha, beta) as the normal density that it is."""
    covariance = np.eye(len(target)) / beta + features @ features.T / alpha
    sign, logdet = np.linalg.slogdet(covariance)
    assert sign > 0
    fit = target @ np.linalg.solve(covariance, target)
    return -0.5 * (len(target) * math.log(2 * math.pi) + logdet + fit) / len(target)


@pytest.mark.parametrize("shape", [(40, 6), (20, 50)], ids=["tall", "wide"])
def test_logme_is_the_maximum_of_the_evidence(shape):
    rng = np.random.default_rng(0)
    features = rng.normal(size=shape) * 3 + 1
    target = features[:, :3].sum(axis=1) * 0.5 + 2.0 * rng.normal(size=shape[0])
    found = logme(features, target)
    grid = np.exp(np.linspace(-6, 10, 60))
    best = max(log_evidence(features, target, a, b) for a in grid for b in grid)
    assert best <= found + 1e-9
    assert found == pytest.approx(best, abs=0.02)


def test_logme_of_classes_is_the_mean_over_their_columns():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(30, 4)), np.arange(30) % 3
    columns = [logme(features, (labels == label).astype(float)) for label in range(3)]
    assert logme(features, labels) == pytest.approx(np.mean(columns))
    assert logme(features, np.eye(3)[labels]) == pytest.approx(np.mean(columns))


def test_logme_prefers_features_that_tell_and_knows_constant_ones():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    noise = rng.normal(size=(60, 8))
    telling = noise.copy()
    telling[:, 0] += 2.0 * labels
    assert logme(telling, labels) > logme(noise, labels) + 0.05
    assert math.isfinite(logme(np.zeros((60, 8)), labels))
    assert logme(noise, labels) >= logme(np.zeros((60, 8)), labels) - 1e-6


class Net(nn.Module):
    """Two stages: the first tells the classes apart, the second forgets them."""

    head = "fc"
    num_features = 3

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 3, 1, bias=False), nn.ReLU())
        self.fc = nn.Linear(3, 5)
        self.runs = 0

    def forward(self, x):
        self.runs += 1
        maps = self.second(self.first(x) * neurenix.Tensor(0.0) + 1.0)
        return self.fc(maps.mean(axis=(2, 3)))


@pytest.fixture
def net():
    neurenix.manual_seed(0)
    return Net()


@pytest.fixture
def images():
    """Images whose brightness tells their class."""
    labels = np.arange(40) % 2
    pixels = np.random.default_rng(0).normal(size=(40, 2, 4, 4)) + labels[:, None, None, None]
    return pixels.astype(np.float32), labels


def test_the_layer_that_tells_the_classes_ranks_first(net, images, capsys):
    data, labels = images
    result = transferability(net, data, labels, batch_size=16)
    assert [each.layer for each in result.scores] == ["first", "second"]
    assert result.best == "first"
    assert [each.layer for each in result.ranking("logme")] == ["first", "second"]
    first, second = result.scores
    assert (first.width, second.width) == (4, 3)
    assert first.probe > 0.9
    assert second.probe < 0.7
    assert capsys.readouterr().out == "Scoring 2 layers of Net\n"


def test_scores_are_those_of_the_pooled_outputs_and_the_model_runs_once(net, images):
    data, labels = images
    net.train()
    result = transferability(net, data, labels, layers=["first.0"], batch_size=16, verbose=0)
    assert net.runs == 3  # the batches of 16, 16 and 8
    assert net.training
    features = get_layer_outputs(net, Tensor(data), "first.0")["first.0"].mean(axis=(2, 3))
    probe = fit_linear_probe(features, labels)
    score = result.scores[0]
    assert (score.probe, score.probe_loss) == pytest.approx((probe.score, probe.loss), rel=1e-4)
    assert score.logme == pytest.approx(logme(features.numpy(), labels), rel=1e-4)


def test_data_come_in_any_form_and_give_the_same(net, images):
    data, labels = images
    expected = transferability(net, data, labels, batch_size=16, verbose=0)
    pairs = [(Tensor(x), int(y)) for x, y in zip(data, labels, strict=True)]
    dataset = Dataset(data, labels)
    loader = DataLoader(dataset, batch_size=16)
    batches = [(Tensor(data[i : i + 16]), Tensor(labels[i : i + 16])) for i in (0, 16, 32)]
    for form in (pairs, dataset, loader, iter(batches)):
        assert transferability(net, form, batch_size=16, verbose=0) == expected


def test_values_are_scored_by_r2(net, images):
    data, _ = images
    values = data.mean(axis=(1, 2, 3)) * 2.0
    result = transferability(net, data, values, verbose=0)
    assert not result.is_classification
    assert result.scores[0].probe > 0.9
    assert "R²" in str(result)


def test_on_a_transfer_model_names_mean_layers_of_its_base(net, images):
    data, labels = images
    alone = transferability(net, data, labels, verbose=0)
    model = TransferModel(net, nn.Linear(3, 2))
    assert transferability(model, data, labels, verbose=0) == alone
    picked = transferability(model, data, labels, layers="re:first|second", verbose=0)
    assert picked == alone


def test_it_prints_as_a_ranked_table_and_plots(net, images, tmp_path):
    figures = pytest.importorskip("matplotlib.figure")
    data, labels = images
    result = transferability(net, data, labels, verbose=0)
    lines = str(result).splitlines()
    assert lines[0].split() == ["layer", "features", "accuracy", "loss", "LogME"]
    assert [line.split()[0] for line in lines[2:]] == ["first", "second"]
    file = tmp_path / "new" / "scores.png"
    figure = result.plot(save=file)
    assert isinstance(figure, figures.Figure)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert "first" in figure.axes[0].get_title()


def test_what_does_not_fit_is_an_error(net, images):
    data, labels = images
    for arguments, error, message in [
        ((data,), DataError, "without labels"),
        ((data, labels[:-1]), DataError, "40 samples and labels 39"),
        ((Dataset(data, labels), labels), DataError, "brings its own"),
        (([], []), DataError, "is empty"),
        ((3, labels), TypeError, "data is a int"),
        ((data, labels, ["third"]), UnknownLayerError, "third"),
        ((data, labels, ["fc.weight"]), UnknownLayerError, "has no layer to look at"),
    ]:
        with pytest.raises(error, match=message):
            transferability(net, *arguments, verbose=0)
    net.unused = nn.Linear(2, 2)
    with pytest.raises(LayerNotRunError, match="unused"):
        transferability(net, data, labels, layers="unused", verbose=0)
    with pytest.raises(ValueError, match="by is"):
        transferability(net, data, labels, verbose=0).ranking("loss")
    with pytest.raises(ValueError, match="are all 0") as raised:
        transferability(net, data, labels * 0, verbose=0)
    assert "'first'" in raised.value.__notes__[0]


def test_the_blocks_of_a_resnet():
    model = neurenix.models.resnet18()
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert meaningful_layers(model, neurenix.ones((1, 3, 32, 32))) == ["maxpool", *blocks]


def test_the_blocks_of_plain_stacks(convnet):
    mlp = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    assert meaningful_layers(mlp, neurenix.ones((1, 4))) == ["1", "3"]
    # Its one ReLU runs twice, so that it stands for neither place.
    expected = ["bn1", "layer1", "avgpool"]
    assert meaningful_layers(convnet, neurenix.ones((1, 3, 6, 6))) == expected


def test_lists_of_blocks_are_looked_into_and_flatten_is_no_end():
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(4)
            self.map = nn.Linear(4, 4)

        def forward(self, x):
            return x + self.map(self.norm(x))

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block(), Block()])

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    class Model(nn.Module):
        head = None

        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.encoder = Encoder()
            self.norm = nn.LayerNorm(4)
            self.flatten = nn.Flatten()

        def forward(self, ids):
            return self.flatten(self.norm(self.encoder(self.embed(ids))))

    names = meaningful_layers(Model(), neurenix.zeros((1, 3), dtype=neurenix.int64))
    assert names == ["embed", "encoder.blocks.0", "encoder.blocks.1", "norm"]


def test_tokens_that_fill_a_text_up_are_not_pooled():
    base = nn.Module()
    base.pad_token_id = 0
    ids = Tensor(np.array([[5, 6, 0], [7, 0, 0]]))
    tokens = neurenix.randn((2, 3, 4))
    expected = np.stack([tokens.numpy()[0, :2].mean(axis=0), tokens.numpy()[1, 0]])
    kept = tokens_kept(base, ids)
    np.testing.assert_allclose(pooled(tokens, kept).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(pooled(tokens).numpy(), tokens.numpy().mean(axis=1), rtol=1e-5)
    assert tokens_kept(base, neurenix.ones((2, 3))) is None
    assert pooled(neurenix.ones((2, 3, 1, 2, 2))).shape == (2, 12)
    with pytest.raises(TypeError, match="can be pooled"):
        pooled(neurenix.ones((2,)))


def kendall_tau_b(x, y):
    """The rank correlation of pairs, with its correction for ties."""
    pairs = list(itertools.combinations(range(len(x)), 2))
    a = np.sign([x[i] - x[j] for i, j in pairs])
    b = np.sign([y[i] - y[j] for i, j in pairs])
    return (a * b).sum() / math.sqrt((a != 0).sum() * (b != 0).sum())


@pytest.mark.slow
def test_on_real_photos_it_ranks_layers_as_probes_trained_on_each_do(assets):
    pytest.importorskip("PIL")
    base = neurenix.models.resnet18(pretrained=assets / "weights" / "resnet18.safetensors")
    parts = {
        part: ImageFolder(assets / "hymenoptera_data" / part, base.weights.transforms())
        for part in ("train", "val")
    }
    result = transferability(base, parts["train"])
    names = [each.layer for each in result.scores]
    assert len(names) >= 8
    features: dict[str, dict[str, np.ndarray]] = {}
    for part, photos in parts.items():
        rows = [
            {name: out.mean(axis=(2, 3)).numpy() for name, out in outputs.items()}
            for images, _ in DataLoader(photos, batch_size=32)
            for outputs in [get_layer_outputs(base, images, names)]
        ]
        features[part] = {name: np.concatenate([row[name] for row in rows]) for name in names}
    labels = {part: np.array(photos.labels) for part, photos in parts.items()}
    accuracy = [
        (
            fit_linear_probe(features["train"][name], labels["train"]).predict(
                features["val"][name]
            )
            == labels["val"]
        ).mean()
        for name in names
    ]
    by_probe = kendall_tau_b([each.probe for each in result.scores], accuracy)
    by_logme = kendall_tau_b([each.logme for each in result.scores], accuracy)
    figures = f"{result}\nKendall tau: {by_probe:.3f} by the probe, {by_logme:.3f} by LogME"
    print(figures)  # noqa: T201  (shown by pytest -s)
    assert by_probe >= 0.6
    assert by_logme >= 0.6
    assert max(accuracy) >= 0.93
    assert accuracy[names.index(result.best)] == max(accuracy)
