"""ResNet-18 beside torchvision's: the same weights, the same photos, the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import models, nn, optim
from neurenix.io import load_pth, load_safetensors, load_weights, save_safetensors

torch = pytest.importorskip("torch", reason="PyTorch is not installed (tox -e parity has it)")
peer_models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

pytestmark = pytest.mark.parity

LABELS = {
    "dog_samoyed_pytorch_hub.jpg": {258},
    "coral_cat_720p.jpg": {281, 282, 283, 284, 285},
    "coral_hot_dog.jpg": {934},
}


@pytest.fixture(scope="module")
def weights(assets: Path) -> Path:
    return assets / "weights" / "resnet18.safetensors"


@pytest.fixture
def ours(weights: Path) -> models.ResNet:
    return models.resnet18(pretrained=weights)


@pytest.fixture
def theirs(weights: Path) -> Any:
    model = peer_models.resnet18()
    state = {name: torch.from_numpy(np.array(t)) for name, t in load_safetensors(weights).items()}
    model.load_state_dict(state)
    return model


def batch(paths: list[Path], model: models.ResNet) -> np.ndarray:
    """The photos as the model's own preprocessing gives them."""
    assert model.weights is not None
    transform = model.weights.transforms()
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(transform(image.convert("RGB")).numpy())
    return np.stack(images)


def photos(assets: Path) -> list[Path]:
    """Four photos of ants and four of bees."""
    folder = assets / "hymenoptera_data" / "val"
    return [p for name in ("ants", "bees") for p in sorted((folder / name).glob("*.jpg"))[:4]]


def relative_error(ours: Any, theirs: Any) -> float:
    """The largest difference, relative to the largest value."""
    peer = theirs.detach().numpy()
    return float(np.abs(ours.detach().numpy() - peer).max() / np.abs(peer).max())


def test_logits_agree_on_photos(assets: Path, ours: models.ResNet, theirs: Any) -> None:
    paths = photos(assets) + [assets / "photos" / name for name in LABELS]
    x = batch(paths, ours)
    ours.eval()
    theirs.eval()
    with neurenix.no_grad(), torch.no_grad():
        logits, expected = ours(neurenix.from_numpy(x)), theirs(torch.from_numpy(x))
    assert relative_error(logits, expected) < 1e-4
    np.testing.assert_allclose(logits.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)
    labels = logits.numpy()[-len(LABELS) :].argmax(axis=1)
    assert all(label in LABELS[name] for name, label in zip(LABELS, labels, strict=True))


class TakenSide(torch.nn.Module):
    """PyTorch's ReLU, but at a kink it takes the side that our ReLU took.

    Of the five million values before a ReLU in one step, a few lie within rounding of zero. There
    either gradient is right, and each changes those of all layers below by a percent.
    """

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        self.sides: list[np.ndarray] = []
        ours.register_forward_hook(lambda _, __, out: self.sides.append(out.detach().numpy() > 0))

    def forward(self, x: Any) -> Any:
        side = torch.from_numpy(self.sides.pop(0))
        other = (x > 0) != side
        assert other.sum() <= 1e-4 * x.numel()
        assert (x[other].abs() < 1e-5).all(), "our ReLU took the wrong side"
        return torch.where(side, x, torch.zeros_like(x))


class TakenMaximum(torch.nn.Module):
    """PyTorch's max-pooling, but of two values within rounding it takes the one that ours took."""

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        self.inputs: list[np.ndarray] = []
        ours.register_forward_hook(
            lambda _, args, __: self.inputs.append(np.array(args[0].detach()))
        )

    def forward(self, x: Any) -> Any:
        pooled, places = torch.nn.functional.max_pool2d(
            torch.from_numpy(self.inputs.pop(0)), 3, stride=2, padding=1, return_indices=True
        )
        taken = x.flatten(2).gather(2, places.flatten(2)).view_as(pooled)
        assert torch.allclose(taken, torch.nn.functional.max_pool2d(x, 3, 2, 1), atol=1e-5)
        return taken


def take_our_sides(ours: nn.Module, theirs: Any) -> None:
    modules = dict(theirs.named_modules())
    for name, module in ours.named_modules():
        if isinstance(module, nn.ReLU | nn.MaxPool2d):
            parent, _, child = name.rpartition(".")
            stand_in = TakenSide if isinstance(module, nn.ReLU) else TakenMaximum
            setattr(modules[parent], child, stand_in(module))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-10)])
def test_a_training_step_agrees_in_every_parameter(
    assets: Path, ours: models.ResNet, theirs: Any, dtype: str, tolerance: float
) -> None:
    x = batch(photos(assets), ours).astype(dtype)
    y = np.array([310] * 4 + [309] * 4)
    ours.to(getattr(neurenix, dtype)).train()
    theirs.to(getattr(torch, dtype)).train()
    if dtype == "float32":
        take_our_sides(ours, theirs)
    loss = nn.functional.cross_entropy(ours(neurenix.from_numpy(x)), neurenix.from_numpy(y))
    loss.backward()
    expected_loss = torch.nn.functional.cross_entropy(
        theirs(torch.from_numpy(x)), torch.from_numpy(y)
    )
    expected_loss.backward()
    assert loss.item() == pytest.approx(expected_loss.item(), rel=min(tolerance, 1e-4))

    peers = dict(theirs.named_parameters())
    assert [name for name, _ in ours.named_parameters()] == list(peers)
    errors = {
        name: relative_error(parameter.grad, peers[name].grad)
        for name, parameter in ours.named_parameters()
    }
    assert max(errors.values()) < tolerance, max(errors.items(), key=lambda item: item[1])

    optim.SGD(ours.parameters(), lr=0.01, momentum=0.9).step()
    torch.optim.SGD(theirs.parameters(), lr=0.01, momentum=0.9).step()
    state = ours.state_dict()
    for name, expected in theirs.state_dict().items():
        assert relative_error(state[name], expected) < tolerance, name


@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_the_deeper_ones_agree_with_random_weights(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    theirs = getattr(peer_models, name)(num_classes=7).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = models.create(name, pretrained=tmp_path / "weights.pth", num_classes=7).eval()
    x = np.random.default_rng(0).normal(size=(2, 3, 96, 96)).astype(np.float32)
    with neurenix.no_grad(), torch.no_grad():
        logits, expected = ours(neurenix.from_numpy(x)), theirs(torch.from_numpy(x))
    assert relative_error(logits, expected) < 1e-4


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_state_dicts_have_the_same_names_and_shapes(name: str) -> None:
    with nn.init.skip(), torch.device("meta"):
        ours, theirs = models.create(name), getattr(peer_models, name)()
    expected = {key: tuple(tensor.shape) for key, tensor in theirs.state_dict().items()}
    assert {key: tuple(t.shape) for key, t in ours.state_dict().items()} == expected
    assert list(ours.state_dict()) == list(expected)


@pytest.mark.parametrize("protocol", [2, 5])
def test_files_that_torch_writes_are_read(tmp_path: Path, protocol: int) -> None:
    grid = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {
        "float32": grid,
        "float64": grid.double(),
        "float16": grid.half(),
        "bfloat16": grid.bfloat16(),
        "int64": grid.long() * 2**40,
        "bool": grid > 3,
        "transposed": grid.t(),
        "block": grid[1:3, 2:5],
        "expanded": grid[:1].expand(5, 6),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(grid.clone()),
        "scalar": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
    }
    model = torch.nn.DataParallel(torch.nn.BatchNorm1d(3))
    torch.save(
        {"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "a", pickle_protocol=protocol
    )
    assert set(load_weights(tmp_path / "a")) == set(model.module.state_dict())
    torch.save(state, tmp_path / "b", pickle_protocol=protocol)
    for name, tensor in load_pth(tmp_path / "b").items():
        expected = state[name].detach()
        assert str(expected.dtype) == f"torch.{tensor.dtype}", name
        np.testing.assert_array_equal(
            tensor.numpy().astype(np.float64), expected.double().numpy(), err_msg=name
        )


def test_torch_reads_what_we_save(tmp_path: Path) -> None:
    safetensors_torch = pytest.importorskip("safetensors.torch")
    tensors = {
        "bfloat16": neurenix.Tensor([1.5, -2.25], dtype=neurenix.bfloat16),
        "int64": neurenix.Tensor([[2**40]], dtype=neurenix.int64),
        "strided": neurenix.permute(neurenix.randn((2, 3)), (1, 0)),
    }
    save_safetensors(tmp_path / "a", tensors)
    for name, tensor in safetensors_torch.load_file(tmp_path / "a").items():
        assert str(tensor.dtype) == f"torch.{tensors[name].dtype}"
        assert tensor.tolist() == tensors[name].tolist()
