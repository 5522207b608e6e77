"""What all transforms share: forms of images, descriptions, determinism, and their joining."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import neurenix as nx
from neurenix.data.draws import drawing_from
from neurenix.data.transforms import (
    CenterCrop,
    ColorJitter,
    Compose,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    Resize,
    ToTensor,
    Transform,
    is_deterministic,
)

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

GEOMETRIC = [
    Resize(6),
    Resize((5, 7), "bicubic"),
    Resize(9, "nearest"),
    CenterCrop(4),
    RandomCrop(6, padding=2),
    RandomResizedCrop(5),
    RandomHorizontalFlip(),
    RandomRotation(30),
    RandomRotation((10, 20), "bilinear", fill=3),
]
RANDOM = [
    RandomCrop(6, padding=2),
    RandomResizedCrop(5),
    RandomHorizontalFlip(),
    RandomRotation(30),
    ColorJitter(0.4, 0.4, 0.4, 0.1),
]
EVERY = [*GEOMETRIC, ColorJitter(0.4, (0.5, 1.5), 0.4, 0.1), ToTensor(), Normalize(0.5, [0.2])]


def pixels(height: int = 8, width: int = 10, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)


def seeded(transform: Any, image: Any, seed: int = 0) -> Any:
    with drawing_from(nx.Generator(seed)):
        return transform(image)


@pytest.mark.parametrize("transform", GEOMETRIC, ids=repr)
def test_the_form_of_the_image_is_kept(transform: Transform) -> None:
    array = pixels()
    image = seeded(transform, Image.fromarray(array))
    assert image.mode == "RGB"
    out = seeded(transform, array)
    assert out.dtype == np.uint8
    np.testing.assert_array_equal(out, np.asarray(image))
    gray = seeded(transform, Image.fromarray(array[:, :, 0]))
    assert gray.mode == "L"
    np.testing.assert_array_equal(seeded(transform, array[:, :, 0]), np.asarray(gray))
    one_channel = seeded(transform, array[:, :, :1])
    np.testing.assert_array_equal(one_channel[:, :, 0], np.asarray(gray))
    planes = np.ascontiguousarray(array.transpose(2, 0, 1)).astype(np.float32)
    chw = seeded(transform, planes)
    assert chw.dtype == np.float32
    assert chw.shape == (3, *out.shape[:2])
    tensor = seeded(transform, nx.Tensor(planes))
    assert isinstance(tensor, nx.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), chw)
    batch = seeded(transform, np.stack([planes, planes]))
    np.testing.assert_array_equal(batch, np.stack([chw, chw]))


@pytest.mark.parametrize("transform", GEOMETRIC, ids=repr)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "uint8"])
def test_dtypes_of_tensors_are_kept(transform: Transform, dtype: str) -> None:
    tensor = nx.Tensor(pixels().transpose(2, 0, 1), dtype=getattr(nx, dtype))
    out = seeded(transform, tensor)
    assert out.dtype == tensor.dtype
    exact = seeded(transform, tensor.numpy().astype(np.float64))
    assert np.abs(out.numpy().astype(np.float64) - exact).max() <= {
        "float64": 0,
        "float16": 0.13,
        "bfloat16": 1.0,
        "uint8": 40 if "bicubic" in repr(transform) else 0.51,  # bicubic leaves 0 to 255
    }.get(dtype, 0)


@pytest.mark.parametrize("transform", [t for t in EVERY if t != ToTensor()], ids=repr)
def test_the_input_is_left_alone(transform: Transform) -> None:
    planes = np.random.default_rng(0).random((3, 8, 10), dtype=np.float32)
    before = planes.copy()
    out = seeded(transform, planes)
    np.testing.assert_array_equal(planes, before)
    assert not np.shares_memory(out, planes)


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_random_transforms_follow_the_generator(transform: Transform) -> None:
    assert transform.deterministic is False
    array = pixels()
    runs = [seeded(transform, array, seed) for seed in range(12)]
    again = [seeded(transform, array, seed) for seed in range(12)]
    for run, other in zip(runs, again, strict=True):
        np.testing.assert_array_equal(run, other)
    assert any(not np.array_equal(run, runs[0]) for run in runs[1:])


@pytest.mark.parametrize("transform", [Resize(6), CenterCrop(4), ToTensor(), Normalize(0.5, 0.5)])
def test_deterministic_transforms_draw_nothing(transform: Transform) -> None:
    assert transform.deterministic is True
    image = np.random.default_rng(0).random((3, 8, 10), dtype=np.float32)
    with drawing_from(nx.Generator(0)) as generator:
        state = generator.get_state()
        transform(image)
        assert generator.get_state() == state


def test_outside_of_a_loader_manual_seed_decides() -> None:
    flip = Compose([RandomHorizontalFlip(), RandomRotation(90)])
    try:
        nx.manual_seed(3)
        first, second = flip(pixels()), flip(pixels())
        nx.manual_seed(3)
        np.testing.assert_array_equal(flip(pixels()), first)
        assert not np.array_equal(first, second)
    finally:
        nx.manual_seed(0)


@pytest.mark.parametrize("transform", EVERY, ids=repr)
def test_descriptions_are_json_and_come_back(transform: Transform) -> None:
    text = json.dumps(transform.to_dict())
    again = Transform.from_dict(json.loads(text))
    assert again == transform
    assert hash(again) == hash(transform)
    assert repr(again) == repr(transform)
    assert again.to_dict() == transform.to_dict()


def test_a_pipeline_is_described_with_all_its_steps() -> None:
    pipeline = Compose([Resize(256), Compose([CenterCrop(224)]), ToTensor()])
    description = json.loads(json.dumps(pipeline.to_dict()))
    assert description == {
        "type": "Compose",
        "transforms": [
            {"type": "Resize", "size": 256, "interpolation": "bilinear"},
            {"type": "Compose", "transforms": [{"type": "CenterCrop", "size": [224, 224]}]},
            {"type": "ToTensor"},
        ],
    }
    assert Transform.from_dict(description) == pipeline


def test_wrong_descriptions() -> None:
    with pytest.raises(ValueError, match=r"one of the types \[.*'Resize'.*got 'Rezise'"):
        Transform.from_dict({"type": "Rezise"})
    with pytest.raises(ValueError, match="got None"):
        Transform.from_dict({"size": 3})
    with pytest.raises(ValueError, match="do not fit Resize"):
        Transform.from_dict({"type": "Resize", "sizes": 3})
    with pytest.raises(ValueError, match="size as a whole number above 0"):
        Transform.from_dict({"type": "Resize", "size": -3})
    with pytest.raises(ValueError, match="cannot be described"):
        Compose([Resize(3), np.asarray]).to_dict()


def test_a_transform_of_ones_own() -> None:
    @dataclass(frozen=True)
    class Invert(Transform):
        top: int = 255
        deterministic = True

        def __call__(self, image: Any) -> Any:
            return self.top - image

    @dataclass(frozen=True)
    class Resize(Transform):  # of the name of ours
        def __call__(self, image: Any) -> Any:
            return image

    description = json.loads(json.dumps(Invert(9).to_dict()))
    assert Transform.from_dict(description) == Invert(9)
    assert Transform.from_dict({"type": "Resize", "size": 3}) != Resize()
    assert Resize().deterministic is None
    assert Compose([Invert(), ToTensor()]).deterministic is True


def test_determinism_is_derived() -> None:
    def custom(image: Any) -> Any:
        return image

    assert is_deterministic(None) is True
    assert is_deterministic(custom) is None
    assert is_deterministic(Resize(3)) is True
    assert is_deterministic(Compose([])) is True
    assert Compose([Resize(3), ToTensor()]).deterministic is True
    assert Compose([Resize(3), custom]).deterministic is None
    assert Compose([RandomCrop(3), custom]).deterministic is False
    assert Compose([Resize(3), Compose([RandomHorizontalFlip()])]).deterministic is False
    custom.deterministic = True  # type: ignore[attr-defined]
    assert Compose([Resize(3), custom]).deterministic is True


def test_repr_can_be_read() -> None:
    assert repr(Resize(256)) == "Resize(size=256, interpolation='bilinear')"
    assert repr(RandomRotation(10)).startswith("RandomRotation(degrees=(-10.0, 10.0)")
    assert repr(Compose([])) == "Compose([])"
    assert repr(Compose([ToTensor(), Compose([CenterCrop(2)])])) == (
        "Compose([\n    ToTensor(),\n    Compose([\n        CenterCrop(size=(2, 2)),\n    ]),\n])"
    )


def test_the_error_of_a_step_says_which_one() -> None:
    with pytest.raises(ValueError, match="at least 99 x 99") as caught:
        Compose([Resize(6), RandomCrop(99)])(pixels())
    assert caught.value.__notes__[0].startswith("raised by transform 2 of 2: RandomCrop(")


def test_compose_takes_a_list_of_callables() -> None:
    with pytest.raises(TypeError, match=r"Compose\(\[\.\.\.\]\)"):
        Compose(ToTensor())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="got 3"):
        Compose([3])  # type: ignore[list-item]


def test_what_is_no_image() -> None:
    for image, error, message in [
        ("photo.jpg", TypeError, "got str"),
        (np.zeros((3, 4, 4), np.int64), TypeError, "got int64"),
        (np.zeros((4, 4), np.float32), ValueError, r"got shape \(4, 4\)"),
        (pixels(3, 4, 3).transpose(2, 0, 1)[:, :, :2], ValueError, r"ToTensor\(\) gives"),
        (nx.Tensor([1, 2]), TypeError, "got int64"),
    ]:
        with pytest.raises(error, match=message):
            CenterCrop(2)(image)


def test_other_modes_of_pillow_become_rgb() -> None:
    palette = Image.fromarray(pixels()).convert("P")
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(np.asarray(CenterCrop((8, 10))(palette)), expected)
    sixteen = Image.fromarray(np.array([[0, 65535]], dtype=np.uint16))
    assert np.asarray(CenterCrop((1, 2))(sixteen)).tolist() == [[[0] * 3, [255] * 3]]
