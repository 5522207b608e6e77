from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

import neurenix
from neurenix.io import (
    WeightsFileError,
    load_safetensors,
    safetensors_metadata,
    save_safetensors,
)

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
F32_TEXT = json.dumps(F32).encode()


def write_raw(path: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def test_round_trip_of_every_dtype(tmp_path: Path, every_dtype: np.dtype) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(every_dtype)
    save_safetensors(tmp_path / "a", {"x": neurenix.Tensor(values, dtype=every_dtype)})
    loaded = load_safetensors(tmp_path / "a")["x"]
    assert loaded.dtype == every_dtype
    assert loaded.shape == (2, 3)
    assert loaded.numpy().tobytes() == values.tobytes()


def test_round_trip_of_0d_empty_and_strided_tensors(tmp_path: Path) -> None:
    base = neurenix.from_numpy(np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    tensors = {
        "scalar": neurenix.Tensor(3.5),
        "empty": neurenix.zeros((0, 5)),
        "permuted": neurenix.permute(base, (2, 0, 1)),
        "sliced": base[:, 1:, ::2],
        "naïve.名": neurenix.Tensor([1, 2], dtype=neurenix.int64),
    }
    save_safetensors(tmp_path / "a", tensors)
    loaded = load_safetensors(tmp_path / "a")
    assert set(loaded) == set(tensors)
    for name, tensor in tensors.items():
        assert loaded[name].shape == tensor.shape
        np.testing.assert_array_equal(loaded[name].numpy(), tensor.numpy())


def test_special_values_keep_their_bits(tmp_path: Path) -> None:
    bits = np.array([0x7FC0, 0xFFC1, 0x7F80, 0x8000, 0x0001], np.uint16)
    values = bits.view(ml_dtypes.bfloat16)
    save_safetensors(tmp_path / "a", {"x": neurenix.from_numpy(values)})
    loaded = load_safetensors(tmp_path / "a")["x"].numpy()
    np.testing.assert_array_equal(loaded.view(np.uint16), bits)


def test_the_reference_library_reads_what_we_write(tmp_path: Path) -> None:
    tensors = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "h": np.array([1.5, -2], np.float16),
        "n": np.array(7, np.int64),
        "b": np.array([True, False, True]),
        "e": np.zeros((0, 3), np.int32),
    }
    save_safetensors(
        tmp_path / "a", {k: neurenix.from_numpy(v) for k, v in tensors.items()}, {"format": "pt"}
    )
    loaded = safetensors.numpy.load_file(tmp_path / "a")
    assert set(loaded) == set(tensors)
    for name, array in tensors.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)
    with safetensors.safe_open(tmp_path / "a", "numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_we_read_what_the_reference_library_writes(tmp_path: Path) -> None:
    tensors = {"w": np.arange(6, dtype=np.float64).reshape(2, 3), "u": np.array([9], np.uint8)}
    safetensors.numpy.save_file(tensors, tmp_path / "a", metadata={"k": "v"})
    loaded = load_safetensors(tmp_path / "a")
    for name, array in tensors.items():
        np.testing.assert_array_equal(loaded[name].numpy(), array)
    assert safetensors_metadata(tmp_path / "a") == {"k": "v"}


def test_the_reference_library_reads_our_bfloat16(tmp_path: Path) -> None:
    values = np.array([1.5, -2.25], ml_dtypes.bfloat16)
    save_safetensors(tmp_path / "a", {"x": neurenix.from_numpy(values)})
    # Its NumPy half refuses bfloat16; this is what its halves for other frameworks build on.
    ((name, entry),) = safetensors.deserialize((tmp_path / "a").read_bytes())
    assert (name, entry["dtype"], entry["shape"]) == ("x", "BF16", [2])
    assert bytes(entry["data"]) == values.tobytes()


def test_reading_copies_nothing(tmp_path: Path) -> None:
    tensors = {f"{i}": neurenix.full((4 + i,), float(i)) for i in range(3)}
    save_safetensors(tmp_path / "a", tensors)
    loaded = load_safetensors(tmp_path / "a")
    addresses = [loaded[name].numpy().ctypes.data for name in sorted(loaded)]
    assert addresses == [addresses[0], addresses[0] + 16, addresses[0] + 36]


def test_writing_to_a_tensor_never_reaches_the_file(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "a", {"x": neurenix.ones((3,))})
    before = (tmp_path / "a").read_bytes()
    loaded = load_safetensors(tmp_path / "a")["x"]
    loaded.fill_(7.0)
    assert loaded.tolist() == [7.0, 7.0, 7.0]
    assert (tmp_path / "a").read_bytes() == before
    assert load_safetensors(tmp_path / "a")["x"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not replace a mapped file")
def test_tensors_outlive_the_file_they_were_read_from(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "a", {"x": neurenix.ones((3,))})
    loaded = load_safetensors(tmp_path / "a")["x"]
    save_safetensors(tmp_path / "a", {"x": loaded * 2.0})
    assert loaded.tolist() == [1.0, 1.0, 1.0]
    (tmp_path / "a").unlink()
    assert loaded.tolist() == [1.0, 1.0, 1.0]


def test_unaligned_tensors_are_realigned(tmp_path: Path) -> None:
    header = {
        "u": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "f": {"dtype": "F32", "shape": [2], "data_offsets": [1, 9]},
    }
    data = b"\x05" + np.array([1.5, 2.5], np.float32).tobytes()
    loaded = load_safetensors(write_raw(tmp_path / "a", header, data))
    assert loaded["f"].numpy().flags.aligned
    assert loaded["f"].tolist() == [1.5, 2.5]
    assert loaded["u"].tolist() == [5]


def test_equal_content_gives_equal_files(tmp_path: Path) -> None:
    tensors = {"b": neurenix.ones((2,)), "a": neurenix.zeros((3,))}
    metadata = {f"key {i}": f"value {i}" for i in range(16)}
    save_safetensors(tmp_path / "1", tensors, metadata)
    save_safetensors(
        tmp_path / "2", dict(reversed(tensors.items())), dict(reversed(metadata.items()))
    )
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_of_a_saved_file_follow_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        save_safetensors(tmp_path / "a", {"x": neurenix.ones((1,))})
    finally:
        os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_file_without_tensors(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "a", {}, {"only": "metadata"})
    assert load_safetensors(tmp_path / "a") == {}
    assert safetensors_metadata(tmp_path / "a") == {"only": "metadata"}


def test_truncation_at_every_length_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "whole", {"x": neurenix.ones((3, 2)), "y": neurenix.ones((1,))})
    whole = (tmp_path / "whole").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "part").write_bytes(whole[:length])
        with pytest.raises(WeightsFileError, match=r"part: .*truncated.*download it again"):
            load_safetensors(tmp_path / "part")


# The faults that the safetensors library finds are told in its words.
BROKEN = {
    "header of absurd length": (F32, b"", 1 << 62, "header too large"),
    "header beyond the end": ({}, b"", 3, "invalid header length"),
    "not an object": (b"[1, 2]", b"", None, "invalid type: sequence"),
    "bad JSON": (b'{"x": ', b"", None, "invalid JSON in header: EOF while parsing"),
    "nested too deep": (b'{"x":' + b"[" * 100_000, b"", None, "recursion limit exceeded"),
    "absurd integer": (b'{"x": ' + b"9" * 10_000 + b"}", b"", None, "number out of range"),
    "not UTF-8": (b'{"\xff": 1}', b"", None, "invalid UTF-8 in header"),
    "duplicate": (b'{"x": %b, "x": %b}' % (F32_TEXT, F32_TEXT), bytes(8), None, "'x' occurs twice"),
    "duplicate field": (
        b'{"x": {"dtype": "F32", "shape": [2], "shape": [2], "data_offsets": [0, 8]}}',
        bytes(8),
        None,
        "duplicate field `shape`",
    ),
    "duplicate metadata": (
        b'{"__metadata__": {"a": "b", "c": "d", "c": "e"}}',
        b"",
        None,
        "'c' occurs twice",
    ),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, b"", None, "`1`, expected a string"),
    "metadata no dict": ({"__metadata__": []}, b"", None, "sequence, expected a map"),
    "entry no dict": ({"x": 3}, b"", None, "`3`, expected struct TensorInfo"),
    "entry an array": ({"x": list(F32.values())}, bytes(8), None, "'x' must have exactly the"),
    "extra field": ({"x": {**F32, "y": 1}}, bytes(8), None, "'x' must have exactly the fields"),
    "deep extra field": (
        b'{"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "y": %b}}'
        % (b"[" * 100 + b"]" * 100),
        bytes(8),
        None,
        "'x' must have exactly the fields",
    ),
    "missing field": (
        {"x": {"dtype": "F32", "data_offsets": [0, 8]}},
        bytes(8),
        None,
        "missing field `shape`",
    ),
    "dtype no name": ({"x": {**F32, "dtype": 3}}, bytes(8), None, "expected string or map"),
    "dtype a map": ({"x": {**F32, "dtype": {"F32": None}}}, bytes(8), None, "the dtype a string"),
    "unknown dtype": ({"x": {**F32, "dtype": "Q7"}}, bytes(8), None, "unknown variant `Q7`"),
    "dtype that Neurenix has not": (
        {"x": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}},
        bytes(8),
        None,
        "'x' has the dtype F8_E4M3, which Neurenix does not have; convert it",
    ),
    "negative size": ({"x": {**F32, "shape": [-2]}}, bytes(8), None, "`-2`, expected usize"),
    "boolean size": ({"x": {**F32, "shape": [True, 2]}}, bytes(8), None, "boolean `true`"),
    "float size": ({"x": {**F32, "shape": [2.0]}}, bytes(8), None, "floating point `2.0`"),
    "offsets swapped": (
        {"x": {**F32, "data_offsets": [8, 0]}},
        bytes(8),
        None,
        "invalid offset for tensor `x`",
    ),
    "one offset": ({"x": {**F32, "data_offsets": [8]}}, bytes(8), None, "expected a tuple"),
    "wrong byte count": ({"x": {**F32, "shape": [3]}}, bytes(8), None, "invalid shape, data type"),
    "out of range": (
        {"x": {**F32, "data_offsets": [8, 16]}},
        bytes(8),
        None,
        "invalid offset for tensor `x`",
    ),
    "beyond the end": ({"x": F32}, bytes(7), None, "file not fully covered"),
    "overlap": (
        {"x": F32, "y": {**F32, "data_offsets": [4, 12]}},
        bytes(12),
        None,
        "invalid offset for tensor `y`",
    ),
    "hole": (
        {"x": F32, "y": {**F32, "data_offsets": [12, 20]}},
        bytes(20),
        None,
        "invalid offset for tensor `y`",
    ),
    "trailing bytes": ({"x": F32}, bytes(9), None, "file not fully covered"),
    "bad bool": (
        {"x": {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}},
        b"\x01\x02",
        None,
        "other than 0 and 1",
    ),
    "too many axes": ({"x": {**F32, "shape": [2] + [1] * 99}}, bytes(8), None, "which cannot be"),
    "absurd empty": (
        {"x": {"dtype": "U8", "shape": [0, 1 << 63], "data_offsets": [0, 0]}},
        b"",
        None,
        "which cannot be",
    ),
    "more absurd empty": (
        {"x": {"dtype": "U8", "shape": [0, 1 << 70], "data_offsets": [0, 0]}},
        b"",
        None,
        "expected usize",
    ),
    "absurd and not empty": ({"x": {**F32, "shape": [1 << 62, 4]}}, bytes(8), None, "overflow"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused_with_their_fault(tmp_path: Path, case: str) -> None:
    header, data, length, message = BROKEN[case]
    path = write_raw(tmp_path / "broken.safetensors", header, data, length)
    with pytest.raises(WeightsFileError, match=r"broken\.safetensors") as caught:
        load_safetensors(path)
    assert message in str(caught.value)


def test_metadata_is_read_only_from_a_valid_file(tmp_path: Path) -> None:
    header = {"__metadata__": {"k": "v"}, "x": F32}
    assert safetensors_metadata(write_raw(tmp_path / "a", header, bytes(8))) == {"k": "v"}
    with pytest.raises(WeightsFileError, match="not fully covered"):
        safetensors_metadata(write_raw(tmp_path / "a", header, bytes(7)))


def test_a_mutated_file_is_read_or_refused_and_nothing_else(tmp_path: Path) -> None:
    tensors = {"x": neurenix.ones((2, 3)), "b": neurenix.Tensor([True, False])}
    save_safetensors(tmp_path / "whole", tensors, {"k": "v"})
    whole = (tmp_path / "whole").read_bytes()
    header_end = 8 + struct.unpack("<Q", whole[:8])[0]
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            data[random.integers(header_end)] = random.choice(list(b'0129"{}[],:xFIU8 \\\x00\xff'))
        (tmp_path / "mutant").write_bytes(data)
        try:
            load_safetensors(tmp_path / "mutant")
        except WeightsFileError:
            refused += 1
    assert 150 < refused < 300


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_safetensors(tmp_path / "absent")
    with pytest.raises(OSError, match=re.escape(str(tmp_path))) as caught:
        load_safetensors(tmp_path)
    assert not isinstance(caught.value, FileNotFoundError)


def test_a_header_that_no_reader_accepts_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neurenix.io.safetensors_header.MAX_HEADER_BYTES", 1000)
    with pytest.raises(ValueError, match="at most 1000, so keep large metadata in a file"):
        save_safetensors(tmp_path / "a", {}, {"large": "x" * 1000})
    assert os.listdir(tmp_path) == []


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    save_safetensors(tmp_path / "a", {"x": neurenix.ones((1,))})
    with pytest.raises(TypeError, match="'y' is a ndarray"):
        save_safetensors(tmp_path / "a", {"x": neurenix.ones((2,)), "y": np.ones(2)})  # type: ignore[dict-item]
    assert load_safetensors(tmp_path / "a")["x"].shape == (1,)
    assert os.listdir(tmp_path) == ["a"]


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"got 'epoch': 3; encode other values"):
        save_safetensors(tmp_path / "a", {}, {"epoch": 3})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="reserved"):
        save_safetensors(tmp_path / "a", {"__metadata__": neurenix.ones((1,))})
    with pytest.raises(TypeError, match="named by strings, got 3"):
        save_safetensors(tmp_path / "a", {3: neurenix.ones((1,))})  # type: ignore[dict-item]
    assert os.listdir(tmp_path) == []


def test_parameters_are_saved_without_their_tape(tmp_path: Path) -> None:
    weight = neurenix.Tensor([1.0, 2.0], requires_grad=True)
    save_safetensors(tmp_path / "a", {"w": weight, "y": weight * 3.0})
    loaded = load_safetensors(tmp_path / "a")
    assert loaded["y"].tolist() == [3.0, 6.0]
    assert not loaded["w"].requires_grad
