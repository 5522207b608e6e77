"""Joining samples into batches."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import neurenix as nx
from neurenix.data import default_collate
from neurenix.tensor import Tensor


def test_tensors_and_arrays_are_stacked() -> None:
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    for samples in ([Tensor(row) for row in rows], list(rows)):
        batch = default_collate(samples)
        assert isinstance(batch, Tensor)
        assert batch.dtype == nx.float32
        np.testing.assert_array_equal(batch.numpy(), rows)


@pytest.mark.parametrize(
    ("samples", "dtype"),
    [
        ([1, 2, 3], nx.int64),
        ([1.0, 2, 3.0], nx.float32),
        ([1, 2, 3.5], nx.float32),
        ([True, False, True], nx.bool),
        ([True, 2, 3], nx.int64),
        (list(np.array([1, 2, 3], dtype=np.uint8)), nx.uint8),
        (list(np.array([1.0, 2.0, 3.0], dtype=np.float64)), nx.float64),
    ],
)
def test_numbers_become_a_vector(samples: list[Any], dtype: Any) -> None:
    batch = default_collate(samples)
    assert batch.shape == (3,)
    assert batch.dtype == dtype
    assert batch.tolist() == samples


@pytest.mark.parametrize("label", [Tensor([4]), np.array([4]), [4], 4, Tensor(4), np.int64(4)])
def test_labels_of_shape_one_become_a_vector(label: Any) -> None:
    inputs, labels = default_collate([(np.zeros(2, np.float32), label)] * 3)
    assert inputs.shape == (3, 2)
    assert labels.shape == (3,)
    assert labels.tolist() == [4, 4, 4]


def test_inputs_of_shape_one_stay_a_column() -> None:
    inputs, labels = default_collate([(np.ones(1, np.float32), np.ones(2, np.float32))] * 3)
    assert inputs.shape == (3, 1)
    assert labels.shape == (3, 2)
    assert default_collate([np.ones(1)] * 3).shape == (3, 1)
    # Which of three fields is the label, nobody knows.
    assert default_collate([(1, Tensor([1]), 1)] * 3)[1].shape == (3, 1)


def test_lists_of_numbers_are_rows() -> None:
    batch = default_collate([[1.0, 2.0], [3.0, 4]])
    assert batch.dtype == nx.float32
    assert batch.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    inputs, labels = default_collate([([1.0, 2.0, 3.0], 0), ([4.0, 5.0, 6.0], 1)])
    assert inputs.shape == (2, 3)
    assert labels.tolist() == [0, 1]


def test_structures_keep_their_form() -> None:
    class Sample(NamedTuple):
        image: Any
        label: Any

    batch = default_collate([Sample(np.zeros((2, 2)), np.array([1]))] * 2)
    assert isinstance(batch, Sample)
    assert batch.label.shape == (2,)
    batch = default_collate([{"x": 1, "name": "a", "pair": (1, "b")}] * 2)
    assert batch["x"].tolist() == [1, 1]
    assert batch["name"] == ["a", "a"]
    assert batch["pair"][0].tolist() == [1, 1]
    assert batch["pair"][1] == ["b", "b"]
    batch = default_collate([[np.zeros(2), 3]] * 2)
    assert isinstance(batch, list)
    assert batch[1].tolist() == [3, 3]


def test_text_paths_and_none_stay_lists() -> None:
    assert default_collate(["a", None]) == ["a", None]
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]


def test_batches_are_not_taped() -> None:
    batch = default_collate([Tensor([1.0]), Tensor([2.0])])
    assert not batch.requires_grad


def test_what_does_not_fit_is_located() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) at position 0 .* \(3,\) at position 1"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(TypeError, match=r"float32 at position 0 .* int32 at position 1"):
        default_collate([np.zeros(2, np.float32), np.zeros(2, np.int32)])
    with pytest.raises(TypeError, match=r"got str at position 0 .* and int at position 2"):
        default_collate(["a", "b", 1])
    with pytest.raises(ValueError, match="2 at position 0 of the batch and 1 at position 1"):
        default_collate([(1, 2), (1,)])
    with pytest.raises(ValueError, match=r"keys \['a'\], got \['b'\] at position 1"):
        default_collate([{"a": 1}, {"b": 1}])
    with pytest.raises(ValueError, match="at least one sample"):
        default_collate([])


def test_pillow_images_ask_for_to_tensor() -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with pytest.raises(TypeError, match=r"ToTensor\(\)"):
        default_collate([(image.new("RGB", (2, 2)), 0)] * 2)
