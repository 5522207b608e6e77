"""How a base and new layers meet: what of the base is used, and in which shape.

The width that the new layers take, the ``in_features`` of their first Linear, decides:

* the base's number of features: its pooled features are used, and its classifier is skipped;
* its number of classes: its classifier is kept, and the new layers see logits;
* anything else is an error that names both numbers.

A base says what its classifier is by ``head``, the classifier's name, and ``num_features``; one
that has none says ``head = None``. Where a base says nothing, the last Linear among its modules is
taken for the classifier, and the first forward verifies that the base does end in it. A feature
map (N, C, H, W) that meets a Linear is averaged over its positions where the Linear takes C
values, and flattened where it takes C*H*W.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from enum import Enum
from typing import Any

from neurenix import Tensor, nn
from neurenix.errors import NeurenixError
from neurenix.nn import Module

_SPATIAL = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class JoinError(NeurenixError, ValueError):
    """New layers that take another width than the base gives."""


class Use(Enum):
    """What of a base the new layers see."""

    FEATURES = "pooled features"
    MAP = "feature map"
    LOGITS = "logits"
    OUTPUT = "output"


@dataclass
class Join:
    """How a base and new layers are joined.

    Attributes:
        use: What of the base is used.
        classifier: The name of the base's classifier; None where it has none.
        width: How many values a sample the new layers take; None where they do not say, or take
            feature maps.
        verified: Whether the base is known to end in that classifier.
    """

    use: Use
    classifier: str | None
    width: int | None
    verified: bool

    @property
    def skipped(self) -> str | None:
        """The name of the base's classifier, where it is skipped."""
        return self.classifier if self.use in (Use.FEATURES, Use.MAP) else None

    def describe(self, base: Module) -> str:
        """Say in words what is used."""
        name = type(base).__name__
        width = "" if self.width is None else f" ({self.width} a sample)"
        text = f"the new layers take the {self.use.value} of {name}{width}"
        if self.skipped is not None:
            text += f"; its classifier {self.skipped!r} is skipped"
        return text if self.verified else text + ", to be verified at the first forward"


def plan_join(base: Module, new_layers: Module) -> Join:
    """Decide how a base and new layers are joined.

    Raises:
        JoinError: The base says what it gives, and the new layers take something else.
    """
    takes_map, width = _entry(new_layers)
    declared, classifier, num_features, num_classes = _exit(base)
    fitted = None if takes_map else width
    if classifier is None:
        return Join(Use.OUTPUT, None, fitted, verified=True)
    if not declared:
        return _plan_undeclared(base, classifier, fitted, num_features, num_classes)
    if takes_map:
        return Join(Use.MAP, classifier, None, verified=True)
    if width is None or width == num_features:
        return Join(Use.FEATURES, classifier, width, verified=True)
    if width == num_classes:
        return Join(Use.LOGITS, classifier, width, verified=True)
    if width % num_features == 0 and _flattens_first(new_layers):
        return Join(Use.MAP, classifier, None, verified=True)
    raise JoinError(
        f"the new layers take {width} values a sample, and {type(base).__name__} gives "
        f"{num_features} (pooled features) or {num_classes} (logits of its classifier "
        f"{classifier!r}). Build their first Linear with {num_features} inputs"
    )


def base_output(base: Module, join: Join, x: Any) -> Any:
    """Run as much of the base as is used, and bring its output to the shape that is taken.

    Raises:
        JoinError: The output does not fit the new layers.
    """
    if not join.verified:
        return _verify(base, join, x)
    if join.use in (Use.LOGITS, Use.OUTPUT):
        out = base(x)
    elif (forward_features := getattr(base, "forward_features", None)) is not None:
        out = forward_features(x)
        forward_head: Any = getattr(base, "forward_head", None)
        if join.use is Use.FEATURES and _can_stop_before_logits(forward_head):
            out = forward_head(out, pre_logits=True)
    else:
        out = _input_of(base, str(join.classifier), x)
    return fit(out, join.width, base)


def fit(out: Any, width: int | None, base: Module) -> Any:
    """Bring a base's output to ``width`` values a sample; see the top of this file.

    Raises:
        JoinError: There is no such way.
    """
    if width is None:
        return out
    if not isinstance(out, Tensor):
        raise JoinError(
            f"{type(base).__name__} gives a {type(out).__name__}, where the new layers take a "
            "tensor; wrap it in a Module whose forward returns the tensor to go on with"
        )
    if out.ndim == 4 and out.shape[1] == width:
        return out.mean(axis=(2, 3))
    if out.ndim != 4 and out.ndim >= 2 and out.shape[-1] == width:
        return out
    if out.ndim > 2 and out.size == out.shape[0] * width:
        return out.reshape((out.shape[0], width))
    raise JoinError(
        f"the new layers take {width} values a sample, and {type(base).__name__} gives the shape "
        f"{out.shape[1:]} a sample. Build their first Linear with "
        f"{out.shape[1] if out.ndim == 4 else out.shape[-1]} inputs"
    )


def _plan_undeclared(
    base: Module, classifier: str, width: int | None, num_features: int, num_classes: int | None
) -> Join:
    if width != num_features:
        return Join(Use.OUTPUT, classifier, width, verified=True)
    if num_features == num_classes:
        warnings.warn(
            f"the last Linear of {type(base).__name__}, {classifier!r}, takes as many values as it "
            f"gives ({num_classes}). It is taken for a classifier and skipped; to keep it, set "
            "head = None on the base.",
            stacklevel=4,
        )
    return Join(Use.FEATURES, classifier, width, verified=False)


def _entry(new_layers: Module) -> tuple[bool, int | None]:
    """Return whether new layers take feature maps, and the width of their first Linear."""
    for module in new_layers.modules():
        if isinstance(module, _SPATIAL):
            return True, None
        width = getattr(module, "in_features", None)
        if isinstance(width, int):
            return False, width
    return False, None


def _flattens_first(new_layers: Module) -> bool:
    leaves = (each for each in new_layers.modules() if next(each.children(), None) is None)
    return isinstance(next(leaves, None), nn.Flatten)


def _exit(base: Module) -> tuple[bool, str | None, int, int | None]:
    """Return whether a base names its classifier, its name, its input and its output width."""
    head = getattr(base, "head", False)
    if head is None or getattr(base, "is_headless", False):
        return True, None, 0, None
    if isinstance(head, Module):  # the classifier itself is called so
        head = "head"
    if isinstance(head, str):
        linears = [m for m in base.get_submodule(head).modules() if isinstance(m, nn.Linear)]
        num_features = getattr(base, "num_features", None)
        if num_features is None and linears:
            num_features = linears[0].in_features
        if num_features is None:
            raise JoinError(
                f"{type(base).__name__} names its classifier {head!r} but neither says its "
                "num_features nor has a Linear there; set num_features on the base"
            )
        # A classifier that was taken out leaves the features themselves.
        num_classes = linears[-1].out_features if linears else num_features
        return True, head, num_features, num_classes
    last = [(name, each) for name, each in base.named_modules() if isinstance(each, nn.Linear)][-1:]
    for name, linear in last:
        if name:
            return False, name, linear.in_features, linear.out_features
    return False, None, 0, None


def _can_stop_before_logits(forward_head: Any) -> bool:
    return callable(forward_head) and "pre_logits" in inspect.signature(forward_head).parameters


class _Reached(BaseException):
    """Leaves a base's forward before its classifier. No handler of the base's may catch it."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _input_of(base: Module, classifier: str, x: Any) -> Any:
    """Run a base up to its classifier, and return what that would take."""

    def leave(module: Module, args: tuple[Any, ...]) -> None:
        raise _Reached(args[0])

    with base.get_submodule(classifier).register_forward_pre_hook(leave):
        try:
            base(x)
        except _Reached as reached:
            return reached.value
    raise JoinError(
        f"the classifier {classifier!r} of {type(base).__name__} did not run in its forward; set "
        "head on the base to the name of the layer that does, or to None"
    )


def _verify(base: Module, join: Join, x: Any) -> Any:
    """Run a base once as a whole, and see whether it ends in the supposed classifier."""
    taken: list[Any] = []
    given: list[Any] = []
    activations = [m for m in base.modules() if isinstance(m, TERMINAL_ACTIVATIONS)]

    def classify(module: Module, args: tuple[Any, ...], out: Any) -> None:
        taken.append(args[0])
        given.append(out)

    def activate(module: Module, args: tuple[Any, ...], out: Any) -> None:
        if given and args[0] is given[-1]:
            given[-1] = out

    handles = [base.get_submodule(str(join.classifier)).register_forward_hook(classify)]
    handles += [each.register_forward_hook(activate) for each in activations]
    try:
        out = base(x)
    finally:
        for handle in handles:
            handle.remove()
    if len(taken) == 1 and out is given[0]:
        join.verified = True
        return fit(taken[0], join.width, base)
    fitted = fit(out, join.width, base)  # raises where the whole output does not fit either
    warnings.warn(
        f"{type(base).__name__} does not end in its last Linear, {join.classifier!r}: the new "
        "layers take its whole output instead.",
        stacklevel=5,
    )
    join.use, join.verified = Use.OUTPUT, True
    return fitted


TERMINAL_ACTIVATIONS = (nn.Softmax, nn.LogSoftmax, nn.Sigmoid)
"""Activations that turn a classifier's output into probabilities."""
