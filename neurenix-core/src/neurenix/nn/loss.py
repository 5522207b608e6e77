"""Losses. None of them broadcasts: an output of (B, 1) beside labels of (B,) is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neurenix.nn import functional as F
from neurenix.nn.functional import Reduction
from neurenix.nn.module import Module

if TYPE_CHECKING:
    from neurenix.tensor import Tensor


class Loss(Module):
    """A module that compares an output with a target.

    Args:
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss an element.
    """

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
        self.reduction: Reduction = reduction

    def extra_repr(self) -> str:
        """Return the reduction, if it is not the default."""
        return "" if self.reduction == "mean" else f"reduction={self.reduction!r}"


class CrossEntropyLoss(Loss):
    """Cross-entropy between logits and classes.

    For class indices, ``-w[y] log softmax(x)[y]``; for class probabilities t,
    ``-sum_c w[c] t[c] log softmax(x)[c]``. The mean divides by the sum of the weights ``w[y]``,
    or by N for probabilities.

    Args:
        weight: A weight a class, shape (C,).
        ignore_index: Targets of this value count for nothing. By default every target counts,
            and one outside the classes is an error.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        label_smoothing: The share of every target that is spread evenly over the classes.

    Shape:
        Logits ``(N, C, *)``; indices ``(N, *)`` or probabilities ``(N, C, *)``.

    Raises:
        ShapeError: The shapes do not fit.
        DTypeError: The targets are no whole numbers.

    Reference:
        Szegedy et al., "Rethinking the Inception Architecture", 2016 (label smoothing).
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction=reduction)
        if not 0.0 <= label_smoothing <= 1.0:
            raise ValueError(f"label_smoothing lies between 0 and 1; got {label_smoothing}")
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(Loss):
    """Negative log-likelihood, ``-w[y] x[y]``, of log-probabilities x.

    The mean divides by the sum of the weights ``w[y]``.

    Args:
        weight: A weight a class, shape (C,).
        ignore_index: Targets of this value count for nothing.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape:
        Log-probabilities ``(N, C, *)``; indices ``(N, *)``.

    Raises:
        ShapeError: The shapes do not fit.
        DTypeError: The targets are no whole numbers.
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.nll_loss(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy between logits and labels or probabilities t.

    ``-w (p t log sigmoid(x) + (1 - t) log(1 - sigmoid(x)))``, computed without overflow.

    Args:
        weight: A weight w an element, broadcast to the input.
        pos_weight: The weight p of the positive side, broadcast to the input.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape:
        Logits and targets of one shape ``(*)``.

    Raises:
        ShapeError: The shapes differ.
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: Reduction = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(reduction=reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class MSELoss(Loss):
    """Mean squared error, ``(x - t)^2``.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape:
        Input and target of one shape ``(*)``.

    Raises:
        ShapeError: The shapes differ.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(Loss):
    """Mean absolute error, ``|x - t|``.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shape:
        Input and target of one shape ``(*)``.

    Raises:
        ShapeError: The shapes differ.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """An error that is squared near zero and absolute far from it.

    With ``d = |x - t|``: ``d^2 / (2 beta)`` if ``d < beta``, else ``d - beta / 2``.

    Args:
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        beta: Where one changes into the other; 0 gives the absolute error.

    Shape:
        Input and target of one shape ``(*)``.

    Raises:
        ShapeError: The shapes differ.

    Reference:
        Girshick, "Fast R-CNN", 2015.
    """

    def __init__(self, *, reduction: Reduction = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        if beta < 0:
            raise ValueError(f"beta is not negative; got {beta}")
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Return the loss."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)
