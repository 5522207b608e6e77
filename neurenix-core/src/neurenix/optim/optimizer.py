"""What all optimizers share: parameter groups, state, and the learning rate as a tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

from neurenix import ops
from neurenix.autograd import enable_grad, no_grad
from neurenix.dtypes import DType, float32, float64, is_floating
from neurenix.ops.mode import mode
from neurenix.tensor import Tensor

if TYPE_CHECKING:
    from neurenix.backends import Device

ParamGroup: TypeAlias = dict[str, Any]
Params: TypeAlias = "Iterable[Tensor] | Iterable[Mapping[str, Any]]"


class Optimizer:
    """Changes parameters by their gradients.

    A subclass gives its options as ``defaults``, checks them in ``_check``, and changes the
    parameters of a group in ``_update``.

    Parameters that are frozen or have no gradient are skipped. State is created at a
    parameter's first update, and follows it to another device.

    Args:
        params: An iterable of tensors, or of groups: mappings with ``"params"`` and options of
            their own.
        defaults: The options of groups that do not give them. A learning rate of None must be
            given by every group.

    Attributes:
        param_groups: The groups: dicts with ``"params"``, ``"lr"`` and the other options, which
            may be changed between steps.
        state: The state of each parameter, by name.

    Raises:
        TypeError: What came is neither tensors nor groups.
        ValueError: There are no parameters, one comes twice, or an option is out of its range.
    """

    def __init__(self, params: Params, defaults: Mapping[str, Any]) -> None:
        self.defaults: dict[str, Any] = dict(defaults)
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[ParamGroup] = []
        self._lr_tensors: dict[tuple[int, Device, DType], tuple[float, Tensor]] = {}
        groups = _as_groups(params, type(self).__name__)
        for group in groups:
            self.add_param_group(group)

    def _check(self, group: ParamGroup) -> None:
        """Check the options of a group, and raise ValueError if one is out of its range."""

    def _update(self, group: ParamGroup, params: list[Tensor]) -> None:
        """Change the parameters of a group that have a gradient; runs without the tape."""
        raise NotImplementedError(f"{type(self).__name__} does not define _update()")

    def add_param_group(self, group: Any) -> None:
        """Add a group, such as layers that are unfrozen during training.

        Args:
            group: A mapping with ``"params"``, a tensor or an iterable of them, and options.

        Raises:
            TypeError: It is no such mapping.
            ValueError: A parameter is in a group already, or an option is out of its range.
        """
        name = type(self).__name__
        place = f"group {len(self.param_groups)}"
        if not isinstance(group, Mapping) or "params" not in group:
            raise TypeError(
                f"{name}: a parameter group is a mapping with 'params' and options; "
                f"{place} is {_described(group)}"
            )
        given = group["params"]
        params = _as_tensors([given] if isinstance(given, Tensor) else given, f"{name}: {place}")
        taken = {id(p): i for i, g in enumerate(self.param_groups) for p in g["params"]}
        for index, param in enumerate(params):
            if id(param) in taken:
                raise ValueError(
                    f"{name}: parameter {index} of {place}, of shape {param.shape}, is in "
                    f"group {taken[id(param)]} already; a parameter belongs to one group, once"
                )
            taken[id(param)] = len(self.param_groups)
        options = {key: value for key, value in group.items() if key != "params"}
        for key in options:
            close = get_close_matches(key, self.defaults, n=1)
            if key not in self.defaults and close:
                raise ValueError(
                    f"{name} has no option {key!r} ({place}); did you mean {close[0]!r}?"
                )
        merged: ParamGroup = {"params": params, **self.defaults, **options}
        if merged["lr"] is None:
            raise ValueError(
                f"{name} needs a learning rate: pass lr=..., or give every group one; "
                f"{place} has none"
            )
        check_at_least(name, merged, "lr", 0.0)
        self._check(merged)
        self.param_groups.append(merged)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that is trainable and has a gradient.

        Args:
            closure: Computes the loss and its gradients anew, before the step.

        Returns:
            What the closure returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                params = [p for p in group["params"] if p.requires_grad and p.grad is not None]
                if params:
                    self._update(group, params)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                else:
                    param.grad = param.grad.detach().zero_()

    def sync_lr(self) -> None:
        """Write each group's ``"lr"`` into the tensors that hold it on the devices.

        A step does so itself. A recorded step that is replayed reads those tensors alone, and
        is told of a changed learning rate by this.
        """
        for place in self._lr_tensors:
            self._lr_tensor(*place)

    def rate_tensors(self, index: int) -> list[Tensor]:
        """Return the tensors that hold the learning rate of a group, one a device and dtype."""
        return [held[1] for (group, _, _), held in self._lr_tensors.items() if group == index]

    def _lr(self, group: ParamGroup, param: Tensor) -> Tensor:
        """Return the group's learning rate as a 0-d tensor, the same one at every step."""
        index = next(i for i, each in enumerate(self.param_groups) if each is group)
        return self._lr_tensor(index, param.device, float64 if param.dtype == float64 else float32)

    def _lr_tensor(self, index: int, device: Device, dtype: DType) -> Tensor:
        value = float(self.param_groups[index]["lr"])
        held = self._lr_tensors.get((index, device, dtype))
        if held is not None and held[0] == value:
            return held[1]
        with untraced():
            if held is None:
                tensor = ops.full((), value, dtype=dtype, device=device)
            else:
                tensor = held[1].fill_(value)
        self._lr_tensors[index, device, dtype] = (value, tensor)
        return tensor

    def _state_of(self, param: Tensor) -> dict[str, Any]:
        """Return a parameter's state, moved to where the parameter is."""
        state = self.state.get(param)
        if state is None:
            state = self.state[param] = {}
        for key, value in state.items():
            if isinstance(value, Tensor) and value.device is not param.device:
                state[key] = value.to(param.device)
        return state

    def state_dict(self) -> dict[str, Any]:
        """Return the state by the parameters' numbers, and the groups with numbers as params.

        Numbers count the parameters in the order of the groups, as PyTorch's do.
        """
        numbers = self._numbers()
        groups = [
            {**group, "params": [numbers[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {
            numbers[id(param)]: dict(values)
            for param, values in self.state.items()
            if id(param) in numbers
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state and the options of a saved optimizer; tensors are copied.

        Args:
            state_dict: What `state_dict` returned, for the same groups of parameters.

        Raises:
            ValueError: The groups differ; nothing has changed then.
        """
        name = type(self).__name__
        groups = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        saved = [len(group["params"]) for group in groups]
        if sizes != saved:
            raise ValueError(
                f"the saved state is of another optimizer: {name} has groups of {sizes} "
                f"parameters, the state has groups of {saved}"
            )
        params = [param for group in self.param_groups for param in group["params"]]
        order = [number for group in groups for number in group["params"]]
        by_number = dict(zip(order, params, strict=True))
        loaded: dict[Tensor, dict[str, Any]] = {}
        for number, values in state_dict["state"].items():
            param = by_number.get(number)
            if param is None:
                raise ValueError(f"the saved state has no parameter {number} in its groups")
            loaded[param] = {key: _copied(key, value, param) for key, value in values.items()}
        self.state = loaded
        for group, other in zip(self.param_groups, groups, strict=True):
            group.update({key: value for key, value in other.items() if key != "params"})

    def _numbers(self) -> dict[int, int]:
        params = (param for group in self.param_groups for param in group["params"])
        return {id(param): number for number, param in enumerate(params)}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            lines.append(f"  group {index}: {len(group['params'])} parameters, {options}")
        return "\n".join([*lines, ")"])


@contextmanager
def untraced() -> Iterator[None]:
    """Run ops even while a trace is recorded, and off the tape.

    What an optimizer holds (its learning rate and its state) are tensors that a recorded step
    reads and writes; they exist before it.
    """
    grad, tracer = mode.grad, mode.tracer
    mode.set(grad=False, tracer=None)
    try:
        yield
    finally:
        mode.set(grad=grad, tracer=tracer)


def check_at_least(optimizer: str, group: ParamGroup, option: str, least: float) -> None:
    """Check that an option is a number of at least some value.

    Raises:
        ValueError: It is not.
    """
    value = group[option]
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        raise ValueError(f"{optimizer}: {option} is a number of at least {least:g}; got {value!r}")


def _as_groups(params: Any, name: str) -> list[Mapping[str, Any]]:
    if isinstance(params, Tensor | str | bytes | Mapping) or not isinstance(params, Iterable):
        hint = "; for a single tensor, pass [tensor]" if isinstance(params, Tensor) else ""
        raise TypeError(
            f"{name} takes an iterable of tensors or of parameter groups, such as "
            f"model.parameters(); got {_described(params)}{hint}"
        )
    items = list(params)
    if not items:
        raise ValueError(
            f"{name} got no parameters. An iterator such as model.parameters() is empty once it "
            "was used; ask for a new one"
        )
    grouped = [isinstance(item, Mapping) for item in items]
    if all(grouped):
        return items
    if any(grouped):
        raise TypeError(f"{name} takes tensors or groups; got both in one list")
    return [{"params": items}]


def _as_tensors(params: Any, place: str) -> list[Tensor]:
    if isinstance(params, str | bytes | Mapping) or not isinstance(params, Iterable):
        raise TypeError(f"{place}: 'params' is an iterable of tensors, not {_described(params)}")
    if isinstance(params, set | frozenset):
        raise TypeError(f"{place}: a set has no order, and state is saved by order; pass a list")
    tensors = list(params)
    for index, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            hint = ""
            if isinstance(tensor, tuple):
                hint = "; named_parameters() yields pairs, parameters() tensors"
            raise TypeError(
                f"{place}: parameter {index} is {_described(tensor)}, not a Tensor{hint}"
            )
        if not is_floating(tensor.dtype):
            raise TypeError(
                f"{place}: parameter {index} is of {tensor.dtype}; only floating ones are trained"
            )
        if not tensor.is_leaf:
            raise ValueError(
                f"{place}: parameter {index}, of shape {tensor.shape}, is the result of a "
                "computation; optimize the tensors that it was computed from"
            )
    return tensors


def _copied(key: str, value: Any, param: Tensor) -> Any:
    if not isinstance(value, Tensor):
        return value
    # A step count stays float32: a 16-bit parameter's dtype could not count far.
    dtype = param.dtype if is_floating(value.dtype) and key != "step" else value.dtype
    return value.detach().clone().to(param.device).astype(dtype)


def _described(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
