"""Texts of different lengths: padded by their own length, never by their batch's."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, TextDataset
from neurenix.data.text import Tokenizer
from neurenix.transfer import TransferModel
from neurenix_transfer.sources import FromLoader, placed

pytest.importorskip("tokenizers")

WORDS = ("free", "prize", "win", "call", "now", "see", "you", "at", "home", "good", "bad")


@pytest.fixture
def texts(text_encoder):
    rng = np.random.default_rng(0)
    drawn = [" ".join(rng.choice(WORDS, size=rng.integers(1, 16))) for _ in range(33)]
    labels = [int("free" in text) for text in drawn]
    tokenizer = Tokenizer.from_folder(text_encoder, bucket=4)
    return TextDataset(drawn[:23], labels[:23], tokenizer), TextDataset(
        drawn[23:], labels[23:], tokenizer
    )


def build(folder, layers=None):
    neurenix.manual_seed(1)
    head = nn.Sequential(nn.Dropout(0.1), nn.Linear(32, 2))
    return TransferModel(neurenix.models.bert(folder), head, fine_tune_layers=layers)


LAYERS = {
    "the whole encoder": None,
    "in front of the last layer": ["encoder.layer.1"],
    "inside the last layer": ["encoder.layer.1.output"],
}


@pytest.mark.parametrize("batch_size", [1, 7, 32])
@pytest.mark.parametrize("cut", LAYERS)
def test_cache_on_and_off_are_bitwise_the_same_for_texts(
    train, text_encoder, texts, cut, batch_size
):
    runs = [
        train(build(text_encoder, LAYERS[cut]), *texts, cache, epochs=2, batch_size=batch_size)
        for cache in ("memory", "off")
    ]
    runs[0].assert_same(runs[1])


def test_a_second_run_on_texts_computes_nothing(train, text_encoder, texts, computed, home):
    first = train(build(text_encoder, ["encoder.layer.1"]), *texts, "disk")
    assert computed.samples == 33
    second = train(build(text_encoder, ["encoder.layer.1"]), *texts, "disk")
    assert computed.samples == 33
    first.assert_same(second)


@pytest.mark.parametrize("cut", LAYERS)
def test_the_halves_agree_with_the_model_on_a_padded_batch(text_encoder, texts, cut):
    from neurenix_transfer.cache.split import Split

    model = build(text_encoder, LAYERS[cut]).eval()
    source = FromLoader("train_data", DataLoader(texts[0], 23))
    singles = [placed(model, batch.inputs) for batch in source.one_by_one()]
    assert len({single.shape for single in singles}) > 2
    split = Split(model, singles[0], [])
    with neurenix.no_grad():
        halves = split.run_rest(split.run_frozen(singles))
        whole = model(next(source.batches(0)).inputs)
    np.testing.assert_allclose(halves.numpy(), whole.numpy(), atol=1e-5)
