"""Texts of different lengths: padded by their own length, never by their batch's."""

from __future__ import annotations

import numpy as np
import pytest

import neurenix
from neurenix import nn
from neurenix.data import DataLoader, TextDataset
from neurenix.data.text import Tokenizer
from neurenix.transfer import DataError, TransferModel, adapt, evaluate, transferability
from neurenix_transfer.padding import padding_for
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


@pytest.fixture
def rows(texts):
    """The same texts as lists of plain rows of ids, of their own lengths."""
    encode = texts[0].transform.encode
    kinds = (neurenix.Tensor, np.array, list)  # in any form
    return [
        ([kinds[n % 3](encode(text)) for n, text in enumerate(part.texts)], part.labels)
        for part in texts
    ]


@pytest.mark.parametrize("layers", [None, ["encoder.layer.1"]])
@pytest.mark.parametrize("cache", ["memory", "off"])
def test_rows_of_ids_are_filled_up_as_texts_are(train, text_encoder, texts, rows, layers, cache):
    assert len({len(row) for row in rows[0][0]}) > 5
    for part in texts:
        part.transform = Tokenizer.from_folder(text_encoder)
    given = {"epochs": 2, "batch_size": 7}
    runs = [train(build(text_encoder, layers), *data, cache, **given) for data in (texts, rows)]
    runs[0].assert_same(runs[1])


def test_rows_of_ids_of_all_lengths_everywhere(text_encoder, rows):
    model = build(text_encoder).eval()
    (data, labels), _ = rows
    with neurenix.no_grad():
        singles = [model(neurenix.Tensor([np.asarray(row).tolist()])).numpy()[0] for row in data]
    found = evaluate(model, data, labels, batch_size=7)
    np.testing.assert_allclose(
        np.log(found.probabilities[:, 1] / found.probabilities[:, 0]),
        [row[1] - row[0] for row in singles],
        atol=1e-5,
    )
    scores = transferability(model, data, np.array(labels), ["encoder"], verbose=0)
    assert scores.samples == 23
    history = adapt(model, data, labels, recipe="probe", verbose=0)
    assert history["train_loss"][0] < np.log(2)


def test_rows_are_never_longer_than_the_base_takes(text_encoder):
    base = neurenix.models.bert(text_encoder)
    longest = base.config.max_position_embeddings
    padding = padding_for(TransferModel(base, nn.Linear(32, 2)))
    assert padding.pad_id == base.pad_token_id
    assert [len(row) for row in padding.filled([np.arange(3), np.arange(17)])] == [16, 32]
    assert len(padding.filled([np.arange(longest - 1)])[0]) <= longest


def test_a_base_without_padding_refuses_rows_of_different_lengths(train):
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(DataError, match=r"train_data\[1\] has the shape \(2,\)"):
        train(model, ([np.arange(3), np.arange(2)], [0, 1]))
