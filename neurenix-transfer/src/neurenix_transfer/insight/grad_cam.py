"""Grad-CAM: which places of a photo speak for a class, by the gradients at a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

import neurenix
from neurenix import Tensor
from neurenix.errors import NeurenixError
from neurenix.nn import Module
from neurenix.nn.mode import evaluating
from neurenix_transfer.insight.heat_map import Floats, HeatMap, Pixels, enlarged
from neurenix_transfer.layer_names import find_layer
from neurenix_transfer.prediction import ClassPredictor
from neurenix_transfer.sources import placed


class GradCamError(NeurenixError, ValueError):
    """A model, a layer or a class that Grad-CAM cannot explain."""


def grad_cam(
    model: Module | ClassPredictor,
    photo: Any,
    class_: int | str | None = None,
    layer: str | int | None = None,
) -> HeatMap:
    r"""Show which places of a photo speak for a class.

    The channels of a layer's activations :math:`A` are weighed by the mean gradient of the
    class's logit :math:`y`, and what speaks for the class is kept:

    .. math::
        \alpha_k = \frac{1}{hw} \sum_{i,j} \frac{\partial y}{\partial A_{kij}}, \qquad
        L_{ij} = \max\Bigl(0, \sum_k \alpha_k A_{kij}\Bigr),

    scaled so that its largest value is 1. The gradients are those of activations: frozen
    parameters are no obstacle, and no parameter gets a ``grad``. The model runs in eval mode; its
    modes are put back.

    Args:
        model: A predictor of photos, or any model of images with feature maps inside.
        photo: For a predictor the path of a photo or its pixels, RGB bytes; for a model the
            tensor that it takes.
        class_: The class to explain, by its number (for a predictor also by its name); None
            explains the most probable one. Of a model with a single output, 1 and 0 are the
            classes for and against.
        layer: The layer whose activations are weighed; None takes the last one that gives
            feature maps, before they are pooled.

    Returns:
        The heat map, at the size of what the model saw.

    Shape:
        A tensor: (C, H, W) or (1, C, H, W). Pixels: (H, W, 3).

    Raises:
        GradCamError: There are no feature maps, no gradient reaches them, or no such class.
        UnknownLayerError: ``layer`` matches no layer.

    Reference:
        Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
        Localization", 2017.

    Examples:
        >>> from neurenix import nn
        >>> from neurenix.transfer import grad_cam
        >>> top = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)]
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *top)
        >>> heat_map = grad_cam(model, neurenix.ones((3, 16, 16)), class_=1)
        >>> heat_map.values.shape, heat_map.layer
        ((16, 16), '1')
    """
    if isinstance(model, ClassPredictor):
        pixels, batch = model.seen(photo)
        return explain(model.model, batch, pixels, class_, layer, model.classes)
    if not isinstance(model, Module):
        raise TypeError(f"model is a Module or a Predictor, not {model!r}")
    values = photo if isinstance(photo, Tensor) else Tensor(np.asarray(photo))
    batch = values.unsqueeze(0) if values.ndim == 3 else values
    if batch.ndim != 4 or batch.shape[0] != 1:
        raise GradCamError(
            f"expected one photo as a tensor (C, H, W) or (1, C, H, W), got {values.shape}"
        )
    return explain(model, batch, _shown(batch), class_, layer)


def explain(
    model: Module,
    batch: Tensor,
    pixels: Pixels,
    class_: int | str | None = None,
    layer: str | int | None = None,
    classes: tuple[str, ...] = (),
) -> HeatMap:
    """Do what `grad_cam` does, for a tensor and the pixels that it was made of.

    Shape:
        batch (1, C, H, W), pixels (H, W, 3).
    """
    with evaluating(model), neurenix.enable_grad():
        return _explain(model, batch, pixels, class_, layer, classes)


def _explain(
    model: Module,
    batch: Tensor,
    pixels: Pixels,
    class_: int | str | None,
    layer: str | int | None,
    classes: tuple[str, ...],
) -> HeatMap:
    inputs = placed(model, batch).detach()
    name, module = _find_maps(model, inputs) if layer is None else find_layer(model, layer)
    given: list[Any] = []
    # A gradient is asked for of the input, so that the tape runs through frozen layers too.
    inputs.requires_grad = True
    with module.register_forward_hook(lambda _module, _args, out: given.append(out)):
        out = model(inputs)
    maps = given[-1] if given else None
    if not isinstance(maps, Tensor) or maps.ndim != 4:
        what = f"the shape {maps.shape}" if isinstance(maps, Tensor) else "no tensor"
        raise GradCamError(
            f"the layer {name!r} gives {what}, where feature maps (N, C, H, W) are needed; name a "
            "layer before pooling and flattening"
        )
    index, score = _score(out, class_, classes)
    grad = _gradient(score, maps, name)
    coarse = _weighed(maps, grad)
    label = classes[index] if classes else str(index)
    return HeatMap(
        enlarged(coarse, pixels.shape[:2]), coarse, index, label, float(score.item()), name, pixels
    )


def _find_maps(model: Module, inputs: Tensor) -> tuple[str, Module]:
    """Return the last module to give feature maps of more than one place."""
    names = {id(module): name for name, module in model.named_modules()}
    last: list[Module] = []

    def remember(module: Module, args: tuple[Any, ...], out: Any) -> None:
        if isinstance(out, Tensor) and out.ndim == 4 and out.shape[2] * out.shape[3] > 1:
            last[:] = [module]

    handles = [module.register_forward_hook(remember) for module in model.modules()]
    try:
        with neurenix.no_grad():
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not last:
        raise GradCamError(
            f"no layer of this {type(model).__name__} gives feature maps (N, C, H, W) of more than "
            "one place, so that there is nothing to show where it looked"
        )
    return names[id(last[0])], last[0]


def _score(out: Any, class_: int | str | None, classes: tuple[str, ...]) -> tuple[int, Tensor]:
    """Return the number of the class that is explained, and its logit on the tape."""
    if not isinstance(out, Tensor) or out.size == 0 or out.size != out.shape[-1]:
        shape = out.shape if isinstance(out, Tensor) else type(out).__name__
        raise GradCamError(f"expected a model that gives one row of logits, got {shape}")
    logits = out.reshape((out.size,))
    if isinstance(class_, str):
        if class_ not in classes:
            known = f"there are {', '.join(classes)}" if classes else "give its number"
            raise GradCamError(f"there is no class {class_!r}; {known}")
        class_ = classes.index(class_)
    if logits.size == 1:
        index = int(logits.item() > 0) if class_ is None else class_
        _check_class(index, 2)
        return index, logits[0] if index else -logits[0]
    index = int(logits.detach().numpy().argmax()) if class_ is None else class_
    _check_class(index, logits.size)
    return index, logits[index]


def _check_class(index: int, count: int) -> None:
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise TypeError(f"a class is given by its number or by its name, not {index!r}")
    if not 0 <= index < count:
        raise GradCamError(f"there is no class {index}; classes are 0 to {count - 1}")


def _gradient(score: Tensor, maps: Tensor, name: str) -> Tensor:
    if maps.requires_grad and score.requires_grad:
        (grad,) = neurenix.grad(score, [maps], allow_unused=True)
        if grad is not None:
            return grad
    raise GradCamError(
        f"no gradient reaches the layer {name!r}: it lies beside the way to the output, or the "
        "model's forward leaves the tape. Name another layer"
    )


def _weighed(maps: Tensor, grad: Tensor) -> Floats:
    values = maps.detach().numpy()[0].astype(np.float32)
    weights = grad.detach().numpy()[0].astype(np.float32).mean(axis=(1, 2))
    evidence = np.maximum(np.tensordot(weights, values, axes=1), 0.0)
    highest = float(evidence.max())
    return (evidence / highest if highest > 0.0 else evidence).astype(np.float32)


def _shown(batch: Tensor) -> Pixels:
    """Return a tensor as pixels: its values spread from black to white."""
    values = batch.detach().numpy()[0].astype(np.float32)
    channels = values if len(values) == 3 else np.repeat(values.mean(axis=0)[None], 3, axis=0)
    low, high = float(channels.min()), float(channels.max())
    spread = (channels - low) / (high - low if high > low else 1.0)
    return np.rint(255 * spread).astype(np.uint8).transpose(1, 2, 0)
