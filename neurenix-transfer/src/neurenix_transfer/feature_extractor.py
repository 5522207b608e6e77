"""A model cut off behind one of its layers."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from neurenix.errors import NeurenixError
from neurenix.nn import Module
from neurenix_transfer.layer_names import find_layer
from neurenix_transfer.layer_outputs import LayerNotRunError, run_up_to
from neurenix_transfer.pooling import pooled, tokens_kept
from neurenix_transfer.transfer_model import TransferModel

Pool: TypeAlias = Literal["auto"] | None


class DroppedLayerError(NeurenixError, RuntimeError):
    """A forward ran a layer that had been cut off."""


class _Dropped:
    """Stands in for a layer that was cut off; no child of its module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise DroppedLayerError(f"the layer {self.name!r} was cut off")


@dataclass
class _Cut:
    """How an extractor is cut out of a model.

    Attributes:
        trunk: A copy of the model's structure, with the model's own weights, without what is
            registered behind the layer.
        path: The layer's path in it.
        dropped: The module whole, as long as no forward has shown that the trunk suffices.
    """

    trunk: Module
    path: str
    whole: Module | None


class FeatureExtractor(Module):
    """What `get_model_feature_extractor` returns.

    Its layers have the names and the weights that they have in the model it was cut out of; what
    lies behind the last one is gone.

    Shape:
        Input: what the model takes. Output: what the layer gives; with ``pool="auto"``
        ``(N, C)`` for a feature map ``(N, C, H, W)`` and ``(N, D)`` for tokens ``(N, T, D)``.
    """

    # As a base it is used whole, even if its last layer looks like a classifier.
    is_headless: ClassVar[bool] = True

    # All it has of its own is private: the public names belong to the model's layers.
    _cut: _Cut
    _pool: Pool

    def __init__(self, model: Module, path: str, pool: Pool) -> None:
        super().__init__()
        self._pool = pool
        self._bind(_Cut(_trunk_of(model, path), path, model))

    def _bind(self, cut: _Cut) -> None:
        """Take the trunk's parts for its own, under their names."""
        for name in [*self._child_names, *self._parameter_names, *self._buffer_names]:
            delattr(self, name)
        self._cut = cut
        trunk = cut.trunk
        for name, child in trunk.named_children():
            self.register_module(name, child)
        for name, param in trunk.named_parameters(recurse=False):
            self.register_parameter(name, param)
        for name, buffer in trunk.named_buffers(recurse=False):
            self.register_buffer(name, buffer, trunk._buffer_names[name])
        self.when_frozen = trunk.when_frozen

    def forward(self, x: Any) -> Any:
        """Return what the layer gives, pooled as ``pool`` says."""
        out = self._features(x)
        return pooled(out, tokens_kept(self._cut.trunk, x)) if self._pool == "auto" else out

    def _features(self, x: Any) -> Any:
        cut = self._cut
        cut.trunk.training = self._training
        if cut.whole is None:
            return _run(cut.trunk, cut.path, x)
        try:
            out = _run(cut.trunk, cut.path, x)
        except (DroppedLayerError, LayerNotRunError, AttributeError, LookupError):
            return self._features_of_whole(cut.whole, cut.path, x)
        cut.whole = None
        return out

    def _features_of_whole(self, whole: Module, path: str, x: Any) -> Any:
        """Find out what the forward needs, as it is not what is registered up to the layer."""
        needed = _modules_run_before(whole, path, x)
        cut = _Cut(_trunk_of(whole, path, needed), path, None)
        cut.trunk.training = self._training
        try:
            out = _run(cut.trunk, path, x)
        except (DroppedLayerError, AttributeError, LookupError):
            # It reads a layer that it does not run, such as one further on in a list.
            warnings.warn(
                f"the forward of {type(whole).__name__} reaches layers behind {path!r} before it; "
                "they are kept.",
                stacklevel=5,
            )
            cut = _Cut(_trunk_of(whole, path, {id(each) for each in whole.modules()}), path, None)
            cut.trunk.training = self._training
            out = _run(cut.trunk, path, x)
        self._bind(cut)
        return out

    def extra_repr(self) -> str:
        """Return the layer and the pooling."""
        return f"up to {self._cut.path!r}, pool={self._pool!r}"


def get_model_feature_extractor(
    model: Module, output_layer: str, pool: Pool = "auto"
) -> FeatureExtractor:
    """Cut a model off behind a layer.

    What is registered behind the layer is left out: it takes no memory once the model itself is
    gone, is not saved, and is never run. The layers that stay share their weights with the model
    and keep their names.

    Args:
        model: The model. On a `TransferModel` a bare name means a layer of the base, and the base
            is what is cut.
        output_layer: The name of the layer whose output is wanted.
        pool: ``"auto"``: feature maps ``(N, C, H, W)`` are averaged over their positions, tokens
            ``(N, T, D)`` over the tokens, anything else is left as it is. None: no pooling.

    Returns:
        The extractor, a module; it can be the base of a `TransferModel`.

    Raises:
        UnknownLayerError: The name matches no layer, or several.

    Examples:
        >>> import neurenix
        >>> from neurenix import nn
        >>> from neurenix.transfer.utils import get_model_feature_extractor
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2))
        >>> extractor = get_model_feature_extractor(model, "1")
        >>> extractor(neurenix.ones((1, 3, 8, 8))).shape
        (1, 8)
    """
    if pool not in ("auto", None):
        raise ValueError(f'pool is "auto" or None, not {pool!r}')
    path, _ = find_layer(model, output_layer)
    if isinstance(model, FeatureExtractor):
        model = model._cut.trunk
    while isinstance(model, TransferModel) and path.startswith("base_model."):
        model, path = model.get_base_model(), path.removeprefix("base_model.")
    return FeatureExtractor(model, path, pool)


def _run(trunk: Module, path: str, x: Any) -> Any:
    layer = trunk.get_submodule(path)
    outputs = run_up_to(trunk, [layer], x, copy=False)
    if id(layer) not in outputs:
        raise LayerNotRunError(
            f"the forward of this {type(trunk).__name__} does not run {path!r}; name another layer"
        )
    return outputs[id(layer)]


def _trunk_of(model: Module, path: str, needed: set[int] | None = None) -> Module:
    """Copy a model's structure up to a layer; weights and buffers are the model's own.

    Args:
        model: The model.
        path: The layer.
        needed: The ids of the modules to keep; None keeps what is registered up to the layer.
    """
    steps = path.split(".")
    return _copy_structure(model, steps, needed, {})


def _copy_structure(
    module: Module, steps: list[str], needed: set[int] | None, copies: dict[int, Module]
) -> Module:
    """Copy a module without what lies behind the way that ``steps`` lead; with none, whole."""
    if id(module) in copies:
        return copies[id(module)]
    twin = copies[id(module)] = copy.copy(module)
    behind = False
    for name in list(twin._child_names):
        child = vars(module)[name]
        if child is None:
            continue
        on_the_way = bool(steps) and name == steps[0]
        if steps and (behind if needed is None else id(child) not in needed) and not on_the_way:
            delattr(twin, name)
            # The forward may look the attribute up before it runs the layer that is wanted, as
            # `self.relu(self.conv(x))` does; it must only not call it.
            vars(twin)[name] = _Dropped(name)
            continue
        inner = steps[1:] if on_the_way else []
        setattr(twin, name, _copy_structure(child, inner, needed, copies))
        behind = behind or on_the_way
    return twin


def _modules_run_before(model: Module, path: str, x: Any) -> set[int]:
    """Return the ids of the modules that run until a layer has given its output, parents too."""
    ran: set[int] = set()

    def note(module: Module, args: tuple[Any, ...]) -> None:
        ran.add(id(module))

    handles = [module.register_forward_pre_hook(note) for module in model.modules()]
    try:
        _run(model, path, x)
    finally:
        for handle in handles:
            handle.remove()
    for module in model.modules():
        if any(id(inner) in ran for inner in module.modules()):
            ran.add(id(module))
    return ran
