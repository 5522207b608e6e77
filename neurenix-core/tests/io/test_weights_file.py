from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix.io import WeightsFileError, load_weights, read_weights, save_safetensors


@pytest.fixture
def ones() -> np.ndarray:
    return np.ones(2, np.float32)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w"])
def test_the_content_decides_and_not_the_extension(
    tmp_path: Path, torch_zip: Any, ones: np.ndarray, name: str
) -> None:
    save_safetensors(tmp_path / name, {"w": neurenix.from_numpy(ones)}, {"k": "v"})
    assert load_weights(tmp_path / name)["w"].tolist() == [1.0, 1.0]
    assert read_weights(tmp_path / name).metadata == {"k": "v"}
    torch_zip.save(tmp_path / name, {"w": torch_zip.tensor(ones)})
    assert load_weights(str(tmp_path / name))["w"].tolist() == [1.0, 1.0]
    assert read_weights(tmp_path / name).metadata == {}


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_checkpoints_are_unwrapped(
    tmp_path: Path, torch_zip: Any, ones: np.ndarray, key: str
) -> None:
    value = {"epoch": 3, key: {"w": torch_zip.tensor(ones)}, "optimizer": {"lr": 0.1}}
    assert list(load_weights(torch_zip.save(tmp_path / "a.pth", value))) == ["w"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_prefixes_of_wrappers_are_taken_off(
    tmp_path: Path, torch_zip: Any, ones: np.ndarray, prefix: str
) -> None:
    value = {f"{prefix}a.w": torch_zip.tensor(ones), f"{prefix}b": torch_zip.tensor(ones)}
    assert list(load_weights(torch_zip.save(tmp_path / "a.pth", value))) == ["a.w", "b"]


def test_a_prefix_of_some_keys_only_stays(tmp_path: Path, torch_zip: Any, ones: np.ndarray) -> None:
    value = {"module.w": torch_zip.tensor(ones), "b": torch_zip.tensor(ones)}
    assert list(load_weights(torch_zip.save(tmp_path / "a.pth", value))) == ["module.w", "b"]


def test_what_is_no_state_dict(tmp_path: Path, torch_zip: Any, ones: np.ndarray) -> None:
    path = tmp_path / "a.pth"
    with pytest.raises(WeightsFileError, match="holds a Tensor, not a state dict"):
        load_weights(torch_zip.save(path, torch_zip.tensor(ones)))
    with pytest.raises(WeightsFileError, match="empty dict"):
        load_weights(torch_zip.save(path, {}))
    with pytest.raises(WeightsFileError, match=r"'epoch' is a int.*save that part alone"):
        load_weights(torch_zip.save(path, {"w": torch_zip.tensor(ones), "epoch": 3}))


WRONG = {
    "empty": (b"", "empty"),
    "page": (b"<!DOCTYPE html><html>", "HTML or XML page"),
    "page after blanks": (b"\n\n  <html>", "HTML or XML page"),
    "LFS pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(56), "HDF5"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "GGUF"),
    "npy": (b"\x93NUMPY\x01\x00", ".npy"),
    "gzip": (b"\x1f\x8b\x08\x00", "gzip"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "PNG"),
    "JPEG": (b"\xff\xd8\xff\xe0", "JPEG"),
    "JSON": (b'{"a": 1}', "JSON"),
    "pickle": (pickle.dumps({"a": 1}), "bare Python pickle"),
    "text": (b"hello", "text file"),
    "noise": (b"\x07\xee\xff\x00\x01\x02\x03\x04\x05", "unknown kind (it begins with 07 ee"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_say_what_they_seem_to_be(tmp_path: Path, case: str) -> None:
    content, kind = WRONG[case]
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsFileError) as caught:
        load_weights(path)
    message = str(caught.value)
    assert "weights.safetensors: it seems to be" in message
    assert kind in message
    assert "expected a safetensors file or a PyTorch .pth file" in message


def test_the_legacy_format_says_how_to_resave(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2))
    with pytest.raises(WeightsFileError, match=r"legacy format.*resave"):
        load_weights(tmp_path / "a.pth")


def test_another_zip_says_what_it_holds(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photo.jpg", b"")
    with pytest.raises(WeightsFileError, match=r"holds .*photo\.jpg"):
        load_weights(tmp_path / "a.zip")


def test_folders_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pth: there is no such file"):
        load_weights(tmp_path / "absent.pth")
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(WeightsFileError, match=r"is a folder.*has model\.safetensors"):
        load_weights(tmp_path)
