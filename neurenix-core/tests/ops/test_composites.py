"""Composites of several outputs or without gradient rules, and the functions that apply them.

Every output of the kernel is compared with the decomposition's, the functions with their
formulas in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurenix
from neurenix import ops
from neurenix.errors import DTypeError, ShapeError
from neurenix.ops.op import OPS
from neurenix.tensor import Tensor

RNG = np.random.default_rng(17)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def positive(*shape: int) -> np.ndarray:
    return np.abs(normal(*shape)) + 0.5


_POOL = {"kernel_size": (3, 2), "stride": (2, 1), "padding": ((1, 0), (1, 1)), "dilation": (1, 2)}
_ADAM = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.1}
_SGD = {"momentum": 0.9, "dampening": 0.2, "nesterov": False, "weight_decay": 0.1}
_LR, _STEP = np.float32(0.25), np.float32(3)
_TIES = RNG.integers(0, 2, (2, 2, 6, 7)).astype(float)
_TARGET = np.array([0, 2, 1])
CASES: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    ("max_pool2d", "normal", [normal(2, 2, 6, 7)], _POOL),
    ("max_pool2d", "ties", [_TIES], _POOL),
    ("max_pool2d", "-inf", [np.where(_TIES == 0, -np.inf, _TIES)], _POOL),
    ("max_pool2d", "integers", [_TIES.astype(np.int32)], _POOL),
    ("batch_norm_train", "", [normal(3, 2, 4), normal(2), normal(2)], {"eps": 1e-3}),
    ("batch_norm_train", "float16", [normal(3, 2, 4).astype("f2"), None, None], {"eps": 1e-3}),
    (
        "batch_norm_backward",
        "",
        [normal(3, 2, 4), normal(3, 2, 4), normal(2), normal(2), positive(2)],
        {"eps": 1e-3},
    ),
    (
        "batch_norm_backward",
        "plain",
        [normal(3, 2), normal(3, 2), None, normal(2), positive(2)],
        {"eps": 1e-3},
    ),
    ("running_average", "", [normal(3), normal(3)], {"momentum": 0.1}),
    ("layer_norm", "", [normal(2, 3, 4), normal(3, 4), normal(3, 4)], {"axes": 2, "eps": 1e-3}),
    (
        "layer_norm_backward",
        "",
        [normal(2, 3, 4), normal(2, 3, 4), normal(4), normal(2, 3), positive(2, 3)],
        {"axes": 1, "eps": 1e-3},
    ),
    (
        "layer_norm_backward",
        "one row",
        [normal(4), normal(4), None, normal(), positive()],
        {"axes": 1, "eps": 1e-3},
    ),
    ("softmax_backward", "", [normal(2, 3), positive(2, 3)], {"axis": 0}),
    ("log_softmax_backward", "", [normal(2, 3), normal(2, 3)], {"axis": 1}),
    ("softmax_cross_entropy", "", [normal(3, 4), _TARGET], {}),
    (
        "softmax_cross_entropy_backward",
        "",
        [normal(3), normal(3, 4), normal(3, 4), _TARGET],
        {},
    ),
    ("sort", "", [RNG.integers(0, 3, (4, 6)).astype(float)], {"axis": 1, "descending": True}),
    ("sort", "nan", [np.array([2, np.nan, 1, np.nan])], {"axis": 0, "descending": False}),
    ("topk", "", [RNG.integers(0, 3, (6, 2)).astype(float)], {"k": 3, "axis": 0, "largest": True}),
    ("take_backward", "", [normal(3, 2), np.array([1, 4, 1])], {"rows": 5}),
    ("sgd_step", "", [normal(3), normal(3), _LR], {"weight_decay": 0.1}),
    (
        "sgd_momentum_step",
        "first",
        [normal(3), normal(3), normal(3), _LR],
        _SGD | {"first_step": True},
    ),
    (
        "sgd_momentum_step",
        "later",
        [normal(3), normal(3), normal(3), _LR],
        _SGD | {"first_step": False},
    ),
    (
        "sgd_momentum_step",
        "nesterov",
        [normal(3), normal(3), normal(3), _LR],
        _SGD | {"nesterov": True, "first_step": False},
    ),
    (
        "adam_step",
        "adam",
        [normal(3), normal(3), normal(3), positive(3), _LR, _STEP],
        _ADAM | {"decoupled": False},
    ),
    (
        "adam_step",
        "adamw",
        [normal(3), normal(3), normal(3), positive(3), _LR, _STEP],
        _ADAM | {"decoupled": True},
    ),
]


@pytest.mark.parametrize(
    ("name", "inputs", "attrs"),
    [(name, inputs, attrs) for name, _, inputs, attrs in CASES],
    ids=[f"{name}-{label}" for name, label, _, _ in CASES],
)
def test_all_outputs_of_kernel_and_decomposition(
    name: str, inputs: list[Any], attrs: dict[str, Any]
) -> None:
    op = OPS[name]
    assert neurenix.default_device().kernels.native[name]
    assert op.decomposition is not None

    def tensors() -> list[Tensor | None]:
        return [None if x is None else Tensor(np.array(x)) for x in inputs]

    with neurenix.no_grad():
        kernel = op.all(*tensors(), **attrs)
        decomposed = op.decomposition(*tensors(), **attrs)
    decomposed = decomposed if isinstance(decomposed, tuple) else (decomposed,)
    tolerance = 2e-3 if inputs[0].dtype == np.float16 else 1e-6 if name == "adam_step" else 1e-12
    assert len(kernel) == len(decomposed) == len(op.outputs)
    for output, a, b in zip(op.outputs, kernel, decomposed, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), output
        np.testing.assert_allclose(
            a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance, err_msg=output
        )


def test_optimizer_steps_write_in_place() -> None:
    param, grad, buffer = (Tensor(normal(3)) for _ in range(3))
    before = param.numpy().copy()
    ops.sgd_step(param, grad, buffer, Tensor(0.5), momentum=0.9, first_step=True)
    np.testing.assert_array_equal(buffer.numpy(), grad.numpy())
    np.testing.assert_allclose(param.numpy(), before - 0.5 * grad.numpy())


def test_batch_norm_moves_the_running_statistics() -> None:
    x = normal(5, 2, 3)
    mean, var = Tensor(np.zeros(2)), Tensor(np.ones(2))
    ops.batch_norm(Tensor(x), mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(mean.numpy(), 0.25 * x.mean((0, 2)))
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * x.var((0, 2), ddof=1))
    out = ops.batch_norm(Tensor(x), mean, var, eps=1e-3).numpy()
    column = np.s_[None, :, None]
    expected = (x - mean.numpy()[column]) / np.sqrt(var.numpy()[column] + 1e-3)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy(smoothing: float, weighted: bool, reduction: Any, soft: bool) -> None:
    logits, weight = normal(4, 3, 2), positive(3) if weighted else np.ones(3)
    classes = RNG.integers(0, 3, (4, 2))
    target = np.moveaxis(np.eye(3)[classes], -1, 1)
    if soft:
        target = positive(4, 3, 2)
        target /= target.sum(1, keepdims=True)
    smooth = target * (1 - smoothing) + smoothing / 3
    losses = -(smooth * weight[:, None] * log_softmax(logits)).sum(1)
    divisor = losses.size if soft else weight[classes].sum()
    expected = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / divisor}[reduction]
    got = ops.cross_entropy(
        Tensor(logits),
        Tensor(target if soft else classes),
        Tensor(weight) if weighted else None,
        reduction=reduction,
        label_smoothing=smoothing,
    )
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)
    if not soft and not smoothing:
        log_probs = Tensor(log_softmax(logits))
        again = ops.nll_loss(
            log_probs, Tensor(classes), Tensor(weight) if weighted else None, reduction=reduction
        )
        np.testing.assert_allclose(again.numpy(), expected, rtol=1e-12)


def test_losses_of_elements() -> None:
    x, y, weight, pos = normal(3, 4), RNG.random((3, 4)), positive(3, 4), positive(4)
    p = 1 / (1 + np.exp(-x))
    bce = -weight * (pos * y * np.log(p) + (1 - y) * np.log(1 - p))
    tensors = [Tensor(a) for a in (x, y, weight, pos)]
    got = ops.bce_with_logits(*tensors, reduction="none")
    np.testing.assert_allclose(got.numpy(), bce, rtol=1e-10)
    d = np.abs(x - y)
    expected: dict[Callable[..., Tensor], np.ndarray] = {
        ops.mse_loss: d**2,
        ops.l1_loss: d,
        ops.smooth_l1_loss: np.where(d < 1, d**2 / 2, d - 0.5),
    }
    for loss, values in expected.items():
        np.testing.assert_allclose(loss(*tensors[:2]).numpy(), values.mean(), rtol=1e-12)
        np.testing.assert_allclose(
            loss(*tensors[:2], reduction="sum").numpy(), values.sum(), rtol=1e-12
        )
    np.testing.assert_allclose(
        ops.smooth_l1_loss(*tensors[:2], beta=0.25).numpy(),
        np.where(d < 0.25, d**2 / 0.5, d - 0.125).mean(),
        rtol=1e-12,
    )


def test_bce_with_logits_does_not_overflow() -> None:
    x = Tensor(np.array([-1e4, 1e4, 0.0]))
    x.requires_grad = True
    loss = ops.bce_with_logits(x, Tensor(np.array([1.0, 1.0, 1.0])), reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [1e4, 0, np.log(2)])
    loss.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), [-1, 0, -0.5])


def test_a_loss_broadcasts_nothing() -> None:
    with pytest.raises(ShapeError, match=r"\(4, 1\).*\(4,\)"):
        ops.mse_loss(Tensor(normal(4, 1)), Tensor(normal(4)))


@pytest.mark.parametrize("mask", [None, "bool", "float"])
@pytest.mark.parametrize("is_causal", [False, True])
def test_attention(mask: str | None, is_causal: bool) -> None:
    q, k, v = normal(2, 3, 4, 5), normal(2, 1, 6, 5), normal(2, 3, 6, 2)
    allowed = np.ones((4, 6), bool)
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(5)
    given: np.ndarray | None = None
    if mask == "bool":
        given = RNG.random((4, 6)) < 0.7
        given[:, 0] = True
        given[2] = False  # a query that may attend to nothing gives 0
        allowed = given
    elif mask == "float":
        given = normal(4, 6)
        scores = scores + given
    if is_causal:
        allowed = allowed & np.tri(4, 6, dtype=bool)
    weights = np.exp(scores) * allowed
    total = weights.sum(-1, keepdims=True)
    expected = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0) @ v
    tensors = [Tensor(x) for x in (q, k, v)]
    for x in tensors:
        x.requires_grad = True
    got = ops.scaled_dot_product_attention(
        *tensors, mask=None if given is None else Tensor(given), is_causal=is_causal
    )
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    got.sum().backward()
    assert all(x.grad is not None and np.isfinite(x.grad.numpy()).all() for x in tensors)


def t(*shape: int) -> Tensor:
    return Tensor(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.conv2d(t(3, 8, 8), t(4, 3, 3, 3)), r"expects x of shape \(N, C, H, W\)"),
        (lambda: ops.conv2d(t(1, 2, 8, 8), t(4, 3, 3, 3)), "expects 3 channels.*has 2"),
        (lambda: ops.conv2d(t(1, 6, 8, 8), t(4, 2, 3, 3), groups=3), "divide the 4 kernels"),
        (lambda: ops.conv2d(t(1, 3, 8, 8), t(4, 3, 3, 3), t(3)), r"bias of shape \(4,\)"),
        (lambda: ops.conv2d(t(1, 3, 2, 8), t(4, 3, 3, 3)), "window of 3.*height of 2"),
        (lambda: ops.conv2d(t(1, 3, 8, 8), t(4, 3, 3, 3), stride=0), "stride.*at least 1"),
        (lambda: ops.conv2d(t(1, 3, 8, 8), t(4, 3, 3, 3), padding=(1, 2, 3)), "padding"),
        (lambda: ops.conv2d(t(1, 3, 8, 8), t(4, 3, 3, 3), padding="full"), "'full'"),
        (
            lambda: ops.conv2d(t(1, 3, 8, 8), t(4, 3, 3, 3), stride=2, padding="same"),
            "needs stride 1",
        ),
        (lambda: ops.max_pool2d(t(1, 3, 8, 8), 2, padding=2), "at most half"),
        (lambda: ops.avg_pool2d(t(8, 8), 2), r"\(N, C, H, W\)"),
        (lambda: ops.adaptive_avg_pool2d(t(2, 3, 4), 1), r"\(N, C, H, W\)"),
        (lambda: ops.batch_norm(t(2, 3), t(2), t(3)), r"running_mean of shape \(3,\)"),
        (lambda: ops.batch_norm(t(1, 3), None, None, training=True), "more than one value"),
        (lambda: ops.layer_norm(t(2, 3), 4), r"\(\.\.\., 4\).*\(2, 3\)"),
        (lambda: ops.group_norm(t(2, 3, 4), 2), "divisible by 2"),
        (lambda: ops.cross_entropy(t(2, 3), Tensor([[1], [0]])), r"indices of shape \(2,\)"),
        (lambda: ops.cross_entropy(t(2, 3), t(2)), "class indices are integers"),
        (lambda: ops.embedding(Tensor([0]), t(3)), r"\(V, D\)"),
        (lambda: ops.scaled_dot_product_attention(t(2, 3), t(4, 5), t(4, 5)), "key"),
        (lambda: ops.sgd_step(t(3), t(2), None, t()), r"\(3,\).*\(2,\)"),
    ],
)
def test_errors_name_what_came(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        call()


def test_integers_are_refused_where_they_make_no_sense() -> None:
    with pytest.raises(DTypeError, match="int64"):
        ops.conv2d(Tensor(np.ones((1, 1, 2, 2), int)), Tensor(np.ones((1, 1, 1, 1), int)))
    with pytest.raises(DTypeError, match="int64"):
        ops.layer_norm(Tensor([1, 2]), 2)


def test_same_padding_keeps_the_size() -> None:
    x, weight = t(1, 1, 5, 6), t(1, 1, 4, 3)
    assert ops.conv2d(x, weight, padding="same", dilation=(2, 1)).shape == (1, 1, 5, 6)
    assert ops.conv2d(x, weight, padding="valid").shape == (1, 1, 2, 4)
    assert ops.conv2d(x, weight, padding=(1, 2)).shape == (1, 1, 4, 8)
    assert ops.conv2d(x, weight, padding=((1, 0), (0, 2))).shape == (1, 1, 3, 6)
