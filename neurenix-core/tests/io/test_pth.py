from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import neurenix
from neurenix.io import WeightsFileError, load_pth


class Command:
    """Pickles as a call of ``os.system``."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


class WholeModel:
    """What ``torch.save(model)`` pickles, instead of its state dict."""

    def __init__(self) -> None:
        self.training = True


@pytest.mark.parametrize("root", ["archive", "resnet18-f37072fd"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_a_state_dict(tmp_path: Path, torch_zip: Any, root: str, protocol: int) -> None:
    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    state = OrderedDict(
        weight=torch_zip.tensor(weight, parameter=True),
        tracked=torch_zip.tensor(np.array(2**40, np.int64)),
        empty=torch_zip.tensor(np.zeros((0, 4), np.float32)),
    )
    state._metadata = OrderedDict([("", {"version": 1})])  # type: ignore[attr-defined]
    path = torch_zip.save(tmp_path / "a.pth", state, root=root, protocol=protocol)
    loaded = load_pth(path)
    assert list(loaded) == ["weight", "tracked", "empty"]
    assert all(isinstance(value, neurenix.Tensor) for value in loaded.values())
    np.testing.assert_array_equal(loaded["weight"].numpy(), weight)
    assert loaded["tracked"].item() == 2**40
    assert loaded["empty"].shape == (0, 4)
    assert not loaded["weight"].requires_grad


def test_every_dtype(tmp_path: Path, torch_zip: Any, every_dtype: np.dtype) -> None:
    values = np.array([0, 1, 1, 0]).astype(every_dtype)
    loaded = load_pth(torch_zip.save(tmp_path / "a.pth", torch_zip.tensor(values)))
    assert loaded.dtype == every_dtype
    assert loaded.numpy().tobytes() == values.tobytes()


def test_bfloat16_keeps_its_bits(tmp_path: Path, torch_zip: Any) -> None:
    bits = np.array([0x7FC0, 0xFFC1, 0x7F80, 0x8000, 0x0001], np.uint16)
    tensor = torch_zip.tensor(bits.view(ml_dtypes.bfloat16))
    loaded = load_pth(torch_zip.save(tmp_path / "a.pth", tensor)).numpy()
    np.testing.assert_array_equal(loaded.view(np.uint16), bits)


def test_strided_tensors(tmp_path: Path, torch_zip: Any) -> None:
    from_storage = torch_zip.storage(np.arange(24, dtype=np.int32))
    cls = type(torch_zip.tensor(np.zeros(1, np.float32)))
    grid = np.arange(24, dtype=np.int32).reshape(4, 6)
    value = {
        "whole": cls(from_storage, (4, 6), (6, 1)),
        "transposed": cls(from_storage, (6, 4), (1, 6)),
        "block": cls(from_storage, (2, 3), (6, 1), offset=8),
        "every other": cls(from_storage, (4, 3), (6, 2)),
        "expanded": cls(from_storage, (3, 6), (0, 1), offset=6),
        "windows": cls(from_storage, (22, 3), (1, 1)),
        "scalar": cls(from_storage, (), (), offset=23),
        "empty at the end": cls(from_storage, (0,), (1,), offset=24),
    }
    loaded = load_pth(torch_zip.save(tmp_path / "a.pth", value))
    expected = {
        "whole": grid,
        "transposed": grid.T,
        "block": grid[1:3, 2:5],
        "every other": grid[:, ::2],
        "expanded": np.broadcast_to(grid[1], (3, 6)),
        "windows": np.lib.stride_tricks.sliding_window_view(grid.reshape(-1), 3),
        "scalar": np.array(23),
        "empty at the end": np.zeros(0),
    }
    for name, array in expected.items():
        assert loaded[name].shape == array.shape, name
        np.testing.assert_array_equal(loaded[name].numpy(), array, err_msg=name)


def test_tensors_that_share_storage_share_it_here(tmp_path: Path, torch_zip: Any) -> None:
    embedding = torch_zip.tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    cls = type(embedding)
    value = {
        "embedding": embedding,
        "decoder": cls(embedding.storage, (2, 3), (3, 1)),
        "row": cls(embedding.storage, (3,), (1,), offset=3),
        "transposed": cls(embedding.storage, (3, 2), (1, 3)),
    }
    loaded = load_pth(torch_zip.save(tmp_path / "a.pth", value))
    loaded["embedding"].fill_(9.0)
    for name in ("decoder", "row", "transposed"):
        assert (loaded[name].numpy() == 9.0).all(), name


def test_plain_values_around_tensors(tmp_path: Path, torch_zip: Any) -> None:
    value = {
        "epoch": 12,
        "best": 0.93,
        "name": "resnet",
        "lr": [0.1, (0.01, None)],
        "state_dict": {"w": torch_zip.tensor(np.ones(2, np.float32))},
    }
    loaded = load_pth(torch_zip.save(tmp_path / "a.pth", value))
    assert loaded.pop("state_dict")["w"].tolist() == [1.0, 1.0]
    assert loaded == {"epoch": 12, "best": 0.93, "name": "resnet", "lr": [0.1, (0.01, None)]}


@pytest.mark.parametrize("byteorder", ["big", "little", None])
def test_byte_order(tmp_path: Path, torch_zip: Any, byteorder: str | None) -> None:
    tensor = torch_zip.tensor(np.array([1.5, -2.0], np.float32))
    path = torch_zip.save(tmp_path / "a.pth", tensor, byteorder=byteorder)
    assert load_pth(path).tolist() == [1.5, -2.0]


def test_a_malicious_file_is_refused_by_name_and_not_executed(
    tmp_path: Path, torch_zip: Any
) -> None:
    witness = tmp_path / "executed"
    command = Command(f"echo > {witness}")
    # The witness appears if the pickle is loaded as Python does.
    pickle.loads(pickle.dumps(command))
    assert witness.exists()
    witness.unlink()

    value = {"w": torch_zip.tensor(np.ones(2, np.float32)), "x": command}
    path = torch_zip.save(tmp_path / "evil.pth", value)
    with pytest.raises(
        WeightsFileError, match=rf"evil\.pth: it refers to {os.name}\.system, .*could run code"
    ):
        load_pth(path)
    assert not witness.exists()


def test_a_whole_model_is_refused_by_name_with_advice(tmp_path: Path, torch_zip: Any) -> None:
    path = torch_zip.save(tmp_path / "a.pth", WholeModel())
    with pytest.raises(WeightsFileError, match=r"WholeModel.*Save the state dict alone"):
        load_pth(path)


def test_other_torch_functions_are_refused_by_name(tmp_path: Path, torch_zip: Any) -> None:
    tensor = torch_zip.tensor(np.ones(2, np.float32), function="_rebuild_qtensor")
    path = torch_zip.save(tmp_path / "a.pth", tensor)
    with pytest.raises(WeightsFileError, match=r"torch\._utils\._rebuild_qtensor"):
        load_pth(path)


def test_a_lazily_negated_tensor_is_refused_and_not_read_with_the_wrong_sign(
    tmp_path: Path, torch_zip: Any
) -> None:
    tensor = torch_zip.tensor(np.ones(2, np.float32), metadata={"neg": True})
    path = torch_zip.save(tmp_path / "a.pth", tensor)
    with pytest.raises(WeightsFileError, match=r"the metadata \{'neg': True\}, which"):
        load_pth(path)


def test_the_legacy_format_says_how_to_resave(tmp_path: Path) -> None:
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    (tmp_path / "old.pth").write_bytes(magic + pickle.dumps(1001, 2))
    with pytest.raises(WeightsFileError, match=r"legacy format .*torch\.save\(torch\.load"):
        load_pth(tmp_path / "old.pth")


def test_torchscript_says_how_to_save_its_weights(tmp_path: Path, torch_zip: Any) -> None:
    path = torch_zip.save(tmp_path / "a.pt", {}, records={"constants.pkl": b""})
    with pytest.raises(WeightsFileError, match=r"TorchScript.*torch\.jit\.load"):
        load_pth(path)


def test_a_file_that_is_no_zip(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(b"not a zip")
    with pytest.raises(WeightsFileError, match="no zip archive"):
        load_pth(tmp_path / "a.pth")


def test_another_zip_is_told_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", weight=np.ones(2))
    with pytest.raises(WeightsFileError, match=r"no data\.pkl.*weight\.npy"):
        load_pth(tmp_path / "a.npz")


def test_truncation_at_any_length_is_an_error(tmp_path: Path, torch_zip: Any) -> None:
    tensor = torch_zip.tensor(np.arange(64, dtype=np.float32))
    whole = torch_zip.save(tmp_path / "whole", {"w": tensor}).read_bytes()
    for length in range(2, len(whole), 7):
        (tmp_path / "part.pth").write_bytes(whole[:length])
        with pytest.raises(WeightsFileError, match=r"part\.pth: damaged"):
            load_pth(tmp_path / "part.pth")


def test_a_flipped_bit_in_the_data_is_found(tmp_path: Path, torch_zip: Any) -> None:
    tensor = torch_zip.tensor(np.full(64, 3.0, np.float32))
    path = torch_zip.save(tmp_path / "a.pth", {"w": tensor})
    content = bytearray(path.read_bytes())
    content[content.index(np.full(8, 3.0, np.float32).tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsFileError, match="CRC"):
        load_pth(path)


def test_tensors_outside_their_storage_are_refused(tmp_path: Path, torch_zip: Any) -> None:
    cls = type(torch_zip.tensor(np.zeros(1, np.float32)))
    for number, (size, stride, offset) in enumerate(
        [((7,), (1,), 0), ((6,), (1,), 1), ((2,), (6,), 0), ((1,), (1,), 6), ((2, 2), (1,), 0)]
    ):
        tensor = cls(torch_zip.storage(np.zeros(6, np.float32)), size, stride, offset)
        path = torch_zip.save(tmp_path / f"{number}.pth", tensor)
        with pytest.raises(WeightsFileError, match="outside its storage of 6 elements"):
            load_pth(path)


@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [((-1,), (1,), 0), ((2,), (-1,), 1), ((2,), (1,), -1), ((2.0,), (1,), 0), ("ab", (1, 1), 0)],
)
def test_sizes_that_are_no_sizes(
    tmp_path: Path, torch_zip: Any, size: Any, stride: Any, offset: Any
) -> None:
    cls = type(torch_zip.tensor(np.zeros(1, np.float32)))
    tensor = cls(torch_zip.storage(np.zeros(6, np.float32)), size, stride, offset)
    with pytest.raises(WeightsFileError, match="sizes are no integers"):
        load_pth(torch_zip.save(tmp_path / "a.pth", tensor))


def test_a_storage_of_another_length_than_described(tmp_path: Path, torch_zip: Any) -> None:
    tensor = torch_zip.tensor(np.zeros(6, np.float32))
    tensor.storage.count = 7
    with pytest.raises(WeightsFileError, match=r"should have 7 elements .* has 24 bytes"):
        load_pth(torch_zip.save(tmp_path / "a.pth", tensor))


def test_a_missing_storage(tmp_path: Path, torch_zip: Any) -> None:
    tensor = torch_zip.tensor(np.zeros(6, np.float32))
    tensor.storage.key = "elsewhere"
    data = torch_zip.pickle(tensor)
    tensor.storage.key = "0"
    path = torch_zip.save(tmp_path / "a.pth", None, data=data)
    with pytest.raises(WeightsFileError, match="lacks its record 'data/elsewhere'"):
        load_pth(path)


def test_compressed_archives_are_refused(tmp_path: Path, torch_zip: Any) -> None:
    tensor = torch_zip.tensor(np.zeros(100_000, np.float32))
    path = torch_zip.save(tmp_path / "a.pth", tensor, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsFileError, match="compressed or encrypted"):
        load_pth(path)


def test_a_storage_described_twice_differently(tmp_path: Path, torch_zip: Any) -> None:
    one = torch_zip.tensor(np.zeros(4, np.float32))
    two = torch_zip.tensor(np.zeros(4, np.int32))
    two.storage.key = one.storage.key
    data = torch_zip.pickle([one, two])
    two.storage.key = "1"
    path = torch_zip.save(tmp_path / "a.pth", None, data=data)
    with pytest.raises(WeightsFileError, match="described twice"):
        load_pth(path)
