"""Adam and AdamW."""

from __future__ import annotations

from typing import ClassVar

from neurenix import ops
from neurenix.dtypes import float32
from neurenix.optim.optimizer import Optimizer, ParamGroup, Params, check_at_least, untraced
from neurenix.tensor import Tensor


class Adam(Optimizer):
    """Adam: steps scaled by running means of the gradient and of its square.

    With gradient g at step t: ``g = g + weight_decay * p``,
    ``m = beta1 m + (1 - beta1) g``, ``v = beta2 v + (1 - beta2) g^2``,
    ``p = p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)``.

    Args:
        params: Tensors or groups of them; see `Optimizer`.
        lr: The learning rate.
        betas: The decay of the two means.
        eps: Added to the denominator.
        weight_decay: The factor of an L2 penalty.

    Raises:
        TypeError: What came is neither tensors nor groups.
        ValueError: There are no parameters, one comes twice, or an option is out of its range.

    Reference:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """

    _decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Params,
        lr: float | None = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def _check(self, group: ParamGroup) -> None:
        name = type(self).__name__
        check_at_least(name, group, "eps", 0.0)
        check_at_least(name, group, "weight_decay", 0.0)
        betas = tuple(group["betas"])
        if len(betas) != 2 or not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"{name}: betas are two numbers from 0 to below 1; got {betas}")

    def _update(self, group: ParamGroup, params: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        for param in params:
            grad = param.grad
            assert grad is not None
            state = self._state_of(param)
            if not state:
                with untraced():
                    state["step"] = ops.zeros((), dtype=float32, device=param.device)
                    state["exp_avg"] = ops.zeros_like(param)
                    state["exp_avg_sq"] = ops.zeros_like(param)
            step = state["step"]
            step.copy_(step + 1.0)
            ops.adam_step(
                param,
                grad,
                state["exp_avg"],
                state["exp_avg_sq"],
                self._lr(group, param),
                step,
                beta1=beta1,
                beta2=beta2,
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                decoupled=self._decoupled,
            )


class AdamW(Adam):
    """Adam with weight decay apart from the gradient: ``p = p - lr * weight_decay * p`` first.

    Args:
        params: Tensors or groups of them; see `Optimizer`.
        lr: The learning rate.
        betas: The decay of the two means.
        eps: Added to the denominator.
        weight_decay: How fast the parameters decay.

    Raises:
        TypeError: What came is neither tensors nor groups.
        ValueError: There are no parameters, one comes twice, or an option is out of its range.

    Reference:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    """

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float | None = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
