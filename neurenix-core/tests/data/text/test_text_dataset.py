from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neurenix.data import (
    DataLoader,
    TextDataset,
    Tokenizer,
    group_alike,
    random_split,
    read_texts,
    texts_digest,
)

TEXTS = ["free prize", "see you", "win now!", "at home", "call now", "the good"]
LABELS = ["spam", "ham", "spam", "ham", "spam", "ham"]


def test_sorted_names_are_the_classes() -> None:
    dataset = TextDataset(TEXTS, LABELS)
    assert dataset.classes == ["ham", "spam"]
    assert dataset.labels == [1, 0, 1, 0, 1, 0]
    assert dataset.class_counts == {"ham": 3, "spam": 3}
    assert dataset[0] == ("free prize", 1)


def test_numbers_as_names_are_sorted_by_value() -> None:
    assert TextDataset(["a", "b", "c", "d"], ["10", "9", "1", "x"]).classes == ["1", "9", "10", "x"]


def test_numbers_stay_labels() -> None:
    dataset = TextDataset(["a", "b"], [3, 0])
    assert (dataset.labels, dataset.classes) == ([3, 0], [])
    with pytest.raises(ValueError, match="labels from 0 to 1"):
        TextDataset(["a", "b"], [3, 0], classes=["x", "y"])


def test_known_classes_keep_their_numbers() -> None:
    dataset = TextDataset(["a"], ["spam"], classes=["spam"])
    assert dataset.labels == [0]
    with pytest.raises(ValueError, match="labels 'eggs' are not among the classes 'spam', 'ham'"):
        TextDataset(["a", "b"], ["eggs", "spam"], classes=["spam", "ham"])
    with pytest.warns(UserWarning, match="no text of the class 'ham'"):
        TextDataset(["a"], ["spam"], classes=["spam", "ham"])


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(TypeError, match="got float at position 1: nan"):
        TextDataset(["a", float("nan")])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="got 1 labels for 2 samples"):
        TextDataset(["a", "b"], ["x"])


def test_texts_that_differ_in_case_or_space_only_are_alike() -> None:
    assert group_alike(["Hi  you", "bye", "hi you ", "Hi", "BYE"]) == [0, 1, 0, 2, 1]


def test_a_split_is_stratified_and_seeded_and_keeps_copies_on_one_side() -> None:
    texts = [f"text {number // 2}" for number in range(200)]
    dataset = TextDataset(texts, ["a" if number < 80 else "b" for number in range(200)])
    train, val = dataset.split(0.25, seed=3)
    assert not set(train.texts) & set(val.texts)
    assert val.class_counts == {"a": 20, "b": 30}
    assert train.classes == val.classes == ["a", "b"]
    assert dataset.split(0.25, seed=3)[1].texts == val.texts
    assert dataset.split(0.25, seed=4)[1].texts != val.texts


def test_no_message_of_the_spam_collection_is_on_both_sides(assets: Path) -> None:
    dataset = read_texts(assets / "sms_spam.tsv").dataset()
    train, val = dataset.split(0.2)
    assert len(train) + len(val) == 5574
    assert not set(group_alike([*train.texts])) & set(
        group_alike([*train.texts, *val.texts])[len(train) :]
    )
    assert val.class_counts["ham"] == pytest.approx(4827 / 5, abs=2)
    assert val.class_counts["spam"] == pytest.approx(747 / 5, abs=2)


def test_a_digest_depends_on_texts_and_labels_but_not_on_their_order() -> None:
    digest = texts_digest(TEXTS, LABELS)
    assert texts_digest(TEXTS[::-1], LABELS[::-1]) == digest
    assert texts_digest(TEXTS, LABELS[1:] + LABELS[:1]) != digest
    assert texts_digest(["x" + TEXTS[0], *TEXTS[1:]], LABELS) != digest


def test_a_loader_joins_texts_of_different_lengths(text_encoder: Path) -> None:
    pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    tokenizer = Tokenizer.from_folder(text_encoder, bucket=4)
    dataset = TextDataset(TEXTS, LABELS, transform=tokenizer)
    ids, label = dataset[0]
    assert (ids.shape, label) == ((4,), 1)
    for data in (dataset, random_split(dataset, [6, 0])[0], dataset.select(range(6))):
        loader = DataLoader(data, batch_size=3, shuffle=True, seed=1, num_workers=2)
        count = 0
        for samples, (batch, labels) in zip(loader.batch_indices(0), loader, strict=True):
            singles = [data[sample] for sample in samples]
            assert batch.shape == (3, max(len(ids) for ids, _ in singles))
            assert labels.tolist() == [label for _, label in singles]
            for row, (single, _) in zip(batch.numpy(), singles, strict=True):
                np.testing.assert_array_equal(row[: len(single)], single.numpy())
                assert not row[len(single) :].any()
            count += 1
        assert count == 2


def test_without_a_tokenizer_batches_are_lists_of_texts() -> None:
    texts, labels = next(iter(DataLoader(TextDataset(TEXTS, LABELS), batch_size=2)))
    assert (texts, labels.tolist()) == (TEXTS[:2], [1, 0])
