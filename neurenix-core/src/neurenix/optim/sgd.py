"""Stochastic gradient descent."""

from __future__ import annotations

from neurenix import ops
from neurenix.optim.optimizer import Optimizer, ParamGroup, Params, check_at_least, untraced
from neurenix.tensor import Tensor


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    With gradient g, ``g = g + weight_decay * p``; with momentum ``b = momentum * b +
    (1 - dampening) * g`` (at first ``b = g``) and ``g = b``, or ``g = g + momentum * b`` for
    Nesterov's; then ``p = p - lr * g``.

    Args:
        params: Tensors or groups of them; see `Optimizer`.
        lr: The learning rate. It may be left out where every group gives one.
        momentum: How much of the last step is kept.
        dampening: How much of the gradient is withheld from the momentum.
        weight_decay: The factor of an L2 penalty.
        nesterov: Whether the gradient is taken ahead of the momentum.

    Raises:
        TypeError: What came is neither tensors nor groups.
        ValueError: There are no parameters, one comes twice, or an option is out of its range.

    Reference:
        Sutskever et al., "On the importance of initialization and momentum in deep learning",
        2013.
    """

    def __init__(
        self,
        params: Params,
        lr: float | None = None,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
            },
        )

    def _check(self, group: ParamGroup) -> None:
        check_at_least("SGD", group, "momentum", 0.0)
        check_at_least("SGD", group, "weight_decay", 0.0)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov=True needs a momentum above 0 and no dampening; got "
                f"momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def _update(self, group: ParamGroup, params: list[Tensor]) -> None:
        for param in params:
            grad = param.grad
            assert grad is not None
            buffer, first = None, False
            if group["momentum"] != 0:
                state = self._state_of(param)
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    with untraced():
                        buffer = state["momentum_buffer"] = ops.zeros_like(param)
                    # Starting from zeros gives b = g by itself, unless the gradient is dampened.
                    first = group["dampening"] != 0
            ops.sgd_step(
                param,
                grad,
                buffer,
                self._lr(group, param),
                momentum=group["momentum"],
                dampening=group["dampening"],
                nesterov=group["nesterov"],
                weight_decay=group["weight_decay"],
                first_step=first,
            )
