"""Layers, losses, optimizers and schedules beside PyTorch's, with the same weights and inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import Tensor, nn, optim
from neurenix.nn import init

torch = pytest.importorskip("torch", reason="the comparison needs PyTorch")

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(0)
RTOL, ATOL = 1e-4, 1e-5


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def close(ours: Tensor, theirs: Any) -> None:
    """Compare values; what counts as zero goes by the largest of them."""
    assert ours.shape == tuple(theirs.shape)
    expected = theirs.detach().numpy()
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=RTOL, atol=ATOL * scale)


def twins(make: Callable[[Any], Any]) -> tuple[nn.Module, Any]:
    """Return a layer of ours and PyTorch's, of the same keys, shapes and random weights."""
    ours, theirs = make(nn), make(torch.nn)
    state = {}
    for key, value in theirs.state_dict().items():
        assert tuple(value.shape) == ours.state_dict()[key].shape
        floating = value.is_floating_point()
        state[key] = np.abs(draw(*value.shape)) if floating else value.numpy()
    theirs.load_state_dict({key: torch.from_numpy(value.copy()) for key, value in state.items()})
    ours.load_state_dict(state)
    return ours, theirs


def check_layer(make: Callable[[Any], Any], x: np.ndarray) -> None:
    """Compare outputs, gradients of inputs and parameters, and buffers, in both modes."""
    ours, theirs = twins(make)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        ours.zero_grad()
        theirs.zero_grad()
        our_x = Tensor(x, requires_grad=True)
        their_x = torch.from_numpy(x).requires_grad_()
        our_out, their_out = ours(our_x), theirs(their_x)
        close(our_out, their_out)
        grad = draw(*our_out.shape)
        our_out.backward(Tensor(grad))
        their_out.backward(torch.from_numpy(grad))
        close(our_x.grad, their_x.grad)
        for (name, our_param), (other, their_param) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            assert name == other
            close(our_param.grad, their_param.grad)
    for (name, our_buffer), (other, their_buffer) in zip(
        ours.named_buffers(), theirs.named_buffers(), strict=True
    ):
        assert name == other
        close(our_buffer, their_buffer)


LAYERS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "linear": (lambda n: n.Linear(5, 3), (4, 5)),
    "linear of sequences": (lambda n: n.Linear(5, 3, bias=False), (2, 4, 5)),
    "conv2d": (lambda n: n.Conv2d(4, 6, 3), (2, 4, 8, 9)),
    "conv2d with strides": (lambda n: n.Conv2d(4, 6, (3, 2), (2, 1), (1, 2)), (2, 4, 8, 9)),
    "conv2d, same": (lambda n: n.Conv2d(4, 6, (3, 4), padding="same", dilation=2), (2, 4, 9, 9)),
    "conv2d in groups": (lambda n: n.Conv2d(4, 8, 3, groups=4, bias=False), (2, 4, 6, 6)),
    "conv2d of one image": (lambda n: n.Conv2d(4, 2, 3, 2, 1), (4, 7, 7)),
    "batch_norm 1d": (lambda n: n.BatchNorm1d(3), (6, 3)),
    "batch_norm of sequences": (lambda n: n.BatchNorm1d(3, momentum=None), (6, 3, 4)),
    "batch_norm 2d": (lambda n: n.BatchNorm2d(3, eps=1e-3, momentum=0.3), (4, 3, 5, 2)),
    "batch_norm, not affine": (lambda n: n.BatchNorm2d(3, affine=False), (4, 3, 5, 2)),
    "batch_norm, untracked": (lambda n: n.BatchNorm2d(3, track_running_stats=False), (4, 3, 5, 2)),
    "layer_norm": (lambda n: n.LayerNorm(5), (3, 4, 5)),
    "layer_norm of two axes": (lambda n: n.LayerNorm((4, 5), eps=1e-2), (3, 4, 5)),
    "layer_norm without bias": (lambda n: n.LayerNorm(5, bias=False), (3, 4, 5)),
    "group_norm": (lambda n: n.GroupNorm(2, 6), (2, 6, 3, 4)),
    "max_pool2d": (lambda n: n.MaxPool2d(3, 2, 1), (2, 3, 8, 9)),
    "max_pool2d, dilated": (lambda n: n.MaxPool2d(2, 1, 0, 2), (2, 3, 8, 9)),
    "avg_pool2d": (lambda n: n.AvgPool2d(3, 2, 1), (2, 3, 8, 9)),
    "avg_pool2d without padding": (
        lambda n: n.AvgPool2d(3, 2, 1, count_include_pad=False),
        (2, 3, 8, 9),
    ),
    "adaptive_avg_pool2d": (lambda n: n.AdaptiveAvgPool2d((3, 4)), (2, 3, 8, 9)),
    "relu": (lambda n: n.ReLU(), (4, 5)),
    "leaky_relu": (lambda n: n.LeakyReLU(0.2), (4, 5)),
    "gelu": (lambda n: n.GELU(), (4, 5)),
    "gelu, tanh": (lambda n: n.GELU("tanh"), (4, 5)),
    "silu": (lambda n: n.SiLU(), (4, 5)),
    "sigmoid": (lambda n: n.Sigmoid(), (4, 5)),
    "tanh": (lambda n: n.Tanh(), (4, 5)),
    "softmax": (lambda n: n.Softmax(dim=1), (4, 5, 2)),
    "log_softmax": (lambda n: n.LogSoftmax(dim=-1), (4, 5)),
    "flatten": (lambda n: n.Flatten(), (2, 3, 4)),
    "sequential": (
        lambda n: n.Sequential(n.Conv2d(2, 4, 3), n.BatchNorm2d(4), n.ReLU(), n.Flatten()),
        (3, 2, 5, 5),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    make, shape = LAYERS[name]
    check_layer(make, draw(*shape))


def test_embedding() -> None:
    ours, theirs = twins(lambda n: n.Embedding(7, 3, padding_idx=2))
    indices = RNG.integers(0, 7, (4, 5))
    our_out, their_out = ours(Tensor(indices)), theirs(torch.from_numpy(indices))
    close(our_out, their_out)
    grad = draw(4, 5, 3)
    our_out.backward(Tensor(grad))
    their_out.backward(torch.from_numpy(grad))
    close(ours.weight.grad, theirs.weight.grad)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("masked", ["none", "bool", "float", "padding"])
def test_attention(batch_first: bool, need_weights: bool, masked: str) -> None:
    ours, theirs = twins(lambda n: n.MultiheadAttention(8, 2, batch_first=batch_first))
    batch, length, source = 3, 4, 5
    shapes = [(batch, length, 8), (batch, source, 8), (batch, source, 8)]
    arrays = [draw(*(s if batch_first else (s[1], s[0], s[2]))) for s in shapes]
    options: dict[str, np.ndarray] = {}
    if masked == "bool":
        options["attn_mask"] = np.triu(np.ones((length, source), dtype=bool), 2)
    elif masked == "float":
        options["attn_mask"] = draw(batch * 2, length, source)
    elif masked == "padding":
        options["key_padding_mask"] = np.arange(source) >= np.array([[5], [2], [3]])
    our_inputs = [Tensor(x, requires_grad=True) for x in arrays]
    their_inputs = [torch.from_numpy(x).requires_grad_() for x in arrays]
    our_out, our_weights = ours(
        *our_inputs,
        need_weights=need_weights,
        **{key: Tensor(value) for key, value in options.items()},
    )
    their_out, their_weights = theirs(
        *their_inputs,
        need_weights=need_weights,
        **{key: torch.from_numpy(value) for key, value in options.items()},
    )
    close(our_out, their_out)
    if need_weights:
        close(our_weights, their_weights)
    grad = draw(*our_out.shape)
    our_out.backward(Tensor(grad))
    their_out.backward(torch.from_numpy(grad))
    for our_x, their_x in zip(our_inputs, their_inputs, strict=True):
        close(our_x.grad, their_x.grad)
    for our_param, their_param in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(our_param.grad, their_param.grad)


LABELS = RNG.integers(0, 4, 6)
PROBS = RNG.dirichlet(np.ones(4), 6).astype(np.float32)
WEIGHT = np.array([0.5, 1.0, 2.0, 0.25], dtype=np.float32)

LOSSES: dict[str, tuple[Callable[[Any, Any, str], Any], tuple[int, ...], np.ndarray]] = {
    "cross_entropy": (lambda n, t, r: n.CrossEntropyLoss(reduction=r), (6, 4), LABELS),
    "cross_entropy, weighted and smoothed": (
        lambda n, t, r: n.CrossEntropyLoss(t(WEIGHT), reduction=r, label_smoothing=0.1),
        (6, 4),
        LABELS,
    ),
    "cross_entropy, ignoring": (
        lambda n, t, r: n.CrossEntropyLoss(t(WEIGHT), ignore_index=1, reduction=r),
        (6, 4),
        LABELS,
    ),
    "cross_entropy, ignoring and smoothed": (
        lambda n, t, r: n.CrossEntropyLoss(
            t(WEIGHT), ignore_index=1, reduction=r, label_smoothing=0.3
        ),
        (6, 4),
        LABELS,
    ),
    "cross_entropy, soft": (
        lambda n, t, r: n.CrossEntropyLoss(t(WEIGHT), reduction=r, label_smoothing=0.1),
        (6, 4),
        PROBS,
    ),
    "cross_entropy of images": (
        lambda n, t, r: n.CrossEntropyLoss(t(WEIGHT), reduction=r, label_smoothing=0.1),
        (2, 4, 3, 5),
        RNG.integers(0, 4, (2, 3, 5)),
    ),
    "nll_loss": (lambda n, t, r: n.NLLLoss(t(WEIGHT), reduction=r), (6, 4), LABELS),
    "bce_with_logits": (
        lambda n, t, r: n.BCEWithLogitsLoss(
            t(WEIGHT), reduction=r, pos_weight=t(WEIGHT[::-1].copy())
        ),
        (6, 4),
        PROBS,
    ),
    "mse_loss": (lambda n, t, r: n.MSELoss(reduction=r), (6, 4), draw(6, 4)),
    "l1_loss": (lambda n, t, r: n.L1Loss(reduction=r), (6, 4), draw(6, 4)),
    "smooth_l1_loss": (lambda n, t, r: n.SmoothL1Loss(reduction=r, beta=0.7), (6, 4), draw(6, 4)),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss(name: str, reduction: str) -> None:
    make, shape, target = LOSSES[name]
    x = draw(*shape) * 2
    our_x, their_x = Tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
    our_loss = make(nn, Tensor, reduction)(our_x, Tensor(target))
    their_loss = make(torch.nn, torch.from_numpy, reduction)(their_x, torch.from_numpy(target))
    close(our_loss, their_loss)
    our_loss.sum().backward()
    their_loss.sum().backward()
    close(our_x.grad, their_x.grad)


OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "sgd": lambda o, p: o.SGD(p, lr=0.1, weight_decay=0.01),
    "sgd, momentum": lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "sgd, dampening": lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    "sgd, nesterov": lambda o, p: o.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda o, p: o.Adam(p),
    "adam, weight decay": lambda o, p: o.Adam(p, lr=0.05, betas=(0.8, 0.9), weight_decay=0.1),
    "adamw": lambda o, p: o.AdamW(p, lr=0.05, weight_decay=0.1, eps=1e-4),
}

SCHEDULES: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "none": lambda pair: (None, None),
    "step": lambda pair: (
        optim.StepLR(pair[0], 3, 0.5),
        torch.optim.lr_scheduler.StepLR(pair[1], 3, 0.5),
    ),
    "cosine": lambda pair: (
        optim.CosineAnnealingLR(pair[0], 8, 0.001),
        torch.optim.lr_scheduler.CosineAnnealingLR(pair[1], 8, 0.001),
    ),
    "one cycle": lambda pair: (
        optim.OneCycleLR(pair[0], 0.2, total_steps=12),
        torch.optim.lr_scheduler.OneCycleLR(pair[1], 0.2, total_steps=12),
    ),
    "one cycle, linear, three phases": lambda pair: (
        optim.OneCycleLR(pair[0], 0.2, total_steps=12, anneal_strategy="linear", three_phase=True),
        torch.optim.lr_scheduler.OneCycleLR(
            pair[1], 0.2, total_steps=12, anneal_strategy="linear", three_phase=True
        ),
    ),
    "warm-up, then cosine": lambda pair: (
        optim.LinearWarmup(pair[0], 4, start_factor=0.25, then=optim.CosineAnnealingLR(pair[0], 6)),
        torch.optim.lr_scheduler.SequentialLR(
            pair[1],
            [
                torch.optim.lr_scheduler.LinearLR(pair[1], 0.25, total_iters=4),
                torch.optim.lr_scheduler.CosineAnnealingLR(pair[1], 6),
            ],
            [4],
        ),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_training(name: str, schedule: str) -> None:
    ours, theirs = twins(lambda n: n.Sequential(n.Linear(4, 8), n.Tanh(), n.Linear(8, 3)))
    make = OPTIMIZERS[name]
    pair = make(optim, ours.parameters()), make(torch.optim, theirs.parameters())
    our_schedule, their_schedule = SCHEDULES[schedule](pair)
    x, labels = draw(16, 4), RNG.integers(0, 3, 16)
    for _ in range(11):
        our_loss = nn.CrossEntropyLoss()(ours(Tensor(x)), Tensor(labels))
        their_loss = torch.nn.CrossEntropyLoss()(
            theirs(torch.from_numpy(x)), torch.from_numpy(labels)
        )
        close(our_loss, their_loss)
        for optimizer, loss in zip(pair, (our_loss, their_loss), strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if our_schedule is not None:
            our_schedule.step()
            their_schedule.step()
        our_group, their_group = (optimizer.param_groups[0] for optimizer in pair)
        for option in ("lr", "momentum", "betas"):
            if option in our_group:
                assert our_group[option] == pytest.approx(their_group[option], rel=1e-9, abs=1e-12)
    for our_param, their_param in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(our_param, their_param)
    our_state, their_state = (optimizer.state_dict()["state"] for optimizer in pair)
    for number, values in our_state.items():
        for key, value in values.items():
            close(value, their_state[number][key])


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_plateau(mode: str, threshold_mode: str) -> None:
    options = {
        "mode": mode,
        "threshold_mode": threshold_mode,
        "factor": 0.5,
        "patience": 2,
        "cooldown": 1,
        "threshold": 0.02,
        "min_lr": 0.01,
    }
    ours = optim.SGD([nn.Parameter([1.0])], lr=1.0)
    theirs = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    pair = (
        optim.ReduceLROnPlateau(ours, **options),  # type: ignore[arg-type]
        torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options),
    )
    for metric in np.random.default_rng(1).uniform(0.5, 1.0, 60):
        for scheduler in pair:
            scheduler.step(metric)
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
    assert ours.param_groups[0]["lr"] < 1


@pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100.0])
def test_clipping(norm_type: float, max_norm: float) -> None:
    ours, theirs = twins(lambda n: n.Linear(4, 3))
    for our_param, their_param in zip(ours.parameters(), theirs.parameters(), strict=True):
        grad = draw(*our_param.shape)
        our_param.grad, their_param.grad = Tensor(grad), torch.from_numpy(grad.copy())
    close(
        optim.clip_grad_norm_(ours.parameters(), max_norm, norm_type),
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), max_norm, norm_type),
    )
    for our_param, their_param in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(our_param.grad, their_param.grad)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("uniform_", (-1.0, 2.0)),
        ("normal_", (1.0, 0.3)),
        ("trunc_normal_", (0.0, 1.0, -1.0, 2.0)),
        ("xavier_uniform_", (1.5,)),
        ("xavier_normal_", (1.5,)),
        ("kaiming_uniform_", (0.3, "fan_out")),
        ("kaiming_normal_", (0.0, "fan_in", "relu")),
        ("orthogonal_", (2.0,)),
    ],
)
def test_initialisers_draw_from_the_same_distribution(
    name: str, arguments: tuple[Any, ...]
) -> None:
    # Two draws of this size differ at the outer quantiles by 0.024 of the scale (one sigma).
    neurenix.manual_seed(0)
    torch.manual_seed(0)
    shape = (120, 40, 2, 3)
    ours = getattr(init, name)(neurenix.empty(shape), *arguments).numpy()
    theirs = getattr(torch.nn.init, name)(torch.empty(shape), *arguments).numpy()
    scale = float(theirs.std())
    assert ours.mean() == pytest.approx(theirs.mean(), abs=0.03 * scale)
    np.testing.assert_allclose(
        np.quantile(ours, [0.02, 0.25, 0.5, 0.75, 0.98]),
        np.quantile(theirs, [0.02, 0.25, 0.5, 0.75, 0.98]),
        atol=0.05 * scale,
    )


def test_default_first_values_have_the_same_spread() -> None:
    for make in (
        lambda n: n.Linear(64, 256),
        lambda n: n.Conv2d(16, 64, 3, groups=2),
        lambda n: n.Embedding(100, 64),
        lambda n: n.MultiheadAttention(64, 4),
    ):
        ours, theirs = make(nn), make(torch.nn)
        for (name, our_param), (_, their_param) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            our_values, their_values = our_param.detach().numpy(), their_param.detach().numpy()
            assert our_values.std() == pytest.approx(their_values.std(), rel=0.15), name
            assert np.abs(our_values).max() == pytest.approx(np.abs(their_values).max(), rel=0.25)
