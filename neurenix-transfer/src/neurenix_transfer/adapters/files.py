"""Files of adapters: what was trained, and by which base one knows where it belongs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from os import PathLike

import numpy as np

from neurenix import Generator, Tensor
from neurenix.autograd import no_grad
from neurenix.io import (
    WeightsFileError,
    load_safetensors,
    safetensors_metadata,
    save_safetensors,
)
from neurenix.nn import Conv2d, Linear, Module
from neurenix_transfer.adapters.attaching import (
    AdapterError,
    adapted_layers,
    listing,
    put_on,
)
from neurenix_transfer.adapters.layers import (
    ADAPTER_PARAMETERS,
    AdapterSpec,
    adapter_shapes,
)
from neurenix_transfer.adapters.portable_names import (
    NamedTensor,
    full_name,
    portable_name,
    portable_tensors,
)
from neurenix_transfer.layer_names import LayerNames, select_layers

FORMAT = "neurenix-lora-1"


@dataclass(frozen=True)
class _Described:
    """The metadata of a file.

    Attributes:
        layers: How each adapter is built, by the portable name of its layer.
        base: The digest of each tensor that stayed as the base had it, by its portable name.
        included: The portable names of the tensors that are no adapter's.
    """

    layers: dict[str, AdapterSpec]
    base: dict[str, str]
    included: list[str]


def save_lora(
    model: Module, path: str | PathLike[str], *, include: LayerNames | None = None
) -> None:
    """Write the adapters of a model to a safetensors file, without the base that they are on.

    The file also says on which layers they go, how they are built, and what base they were
    trained on, by a digest of each of its frozen tensors. The names in it are those that the base
    has by itself, so that it can be loaded onto a base alone or in a `TransferModel`.

    Args:
        model: The model.
        path: The file; one that is there is replaced.
        include: Further layers whose weights and buffers go along, named as for `freeze_layers`:
            ``"new_layers"`` for the trained head of a `TransferModel`. By default nothing does.

    Raises:
        AdapterError: The model has no adapters.
        UnknownLayerError: A name of ``include`` matches nothing.
    """
    adapted = adapted_layers(model)
    if not adapted:
        raise AdapterError(
            f"{type(model).__name__} has no adapters to save; add_lora(model, layers) puts some on"
        )
    named = portable_tensors(model)
    included = _included(model, [] if include is None else include, named)
    adapters = {
        each.name: each.tensor
        for each in named.values()
        if each.name.rpartition(".")[2] in ADAPTER_PARAMETERS
    }
    specs = {portable_name(model, name): layer.adapter for name, layer in adapted.items()}
    base = {
        each.name: _digest(each.tensor)
        for each in named.values()
        if each.is_fixed and each.in_base and each.name not in {*adapters, *included}
    }
    metadata = {
        "format": FORMAT,
        "layers": json.dumps({name: asdict(spec) for name, spec in specs.items()}),
        "base": json.dumps(base),
        "included": json.dumps(included),
    }
    shared = {json.dumps([spec.rank, spec.alpha]) for spec in specs.values()}
    if len(shared) == 1:  # for people who look into the file
        spec = next(iter(specs.values()))
        metadata |= {"rank": str(spec.rank), "alpha": str(spec.alpha)}
    values = adapters | {name: named[name].tensor for name in included}
    save_safetensors(path, {name: tensor.detach() for name, tensor in values.items()}, metadata)


def load_lora(model: Module, path: str | PathLike[str]) -> list[str]:
    """Put adapters from a file that `save_lora` wrote onto the base that they were trained on.

    Everything is checked first: where it raises, the model is as before. The layers' own weights
    are frozen, as `add_lora` does. A model with the same adapters already takes the file's values.

    Args:
        model: The base, alone or in a `TransferModel`.
        path: The file.

    Returns:
        The names of the adapted layers in the model.

    Raises:
        AdapterError: The base is not the one that the adapters were trained on, has no such
            layers, or has other adapters.
        WeightsFileError: The file is damaged, or holds no adapters.
    """
    tensors = load_safetensors(path)
    described = _described(path)
    named = portable_tensors(model)
    _check_base(path, model, described.base, named)
    specs = {full_name(model, name): spec for name, spec in described.layers.items()}
    _check_layers(path, model, specs)
    _check_included(path, model, described.included, tensors, named)
    shapes = {
        f"{name}.{own}" if name else own: shape
        for name, spec in described.layers.items()
        for own, shape in _adapter_shapes(model, full_name(model, name), spec).items()
    }
    _check_adapters(path, tensors, shapes, described.included)

    if not adapted_layers(model):
        put_on(model, specs, Generator(0))  # what it draws is overwritten
        named = portable_tensors(model)
    with no_grad():
        for name, tensor in tensors.items():
            target = named[name].tensor
            target.copy_(tensor.to(target.device).astype(target.dtype))
    return list(specs)


def _included(model: Module, names: LayerNames, named: Mapping[str, NamedTensor]) -> list[str]:
    selection = select_layers(model, names)
    chosen = {portable_name(model, path) for path in selection.parameters}
    stems = {portable_name(model, path) + "." if path else "" for path in selection.modules}
    return [
        name
        for name in named
        if name.rpartition(".")[2] not in ADAPTER_PARAMETERS
        and (name in chosen or name.startswith(tuple(stems)))
    ]


def _digest(tensor: Tensor) -> str:
    values = tensor.detach().numpy()
    digest = blake2b(f"{values.dtype} {values.shape}".encode(), digest_size=8)
    digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _described(path: str | PathLike[str]) -> _Described:
    metadata = safetensors_metadata(path)
    if metadata.get("format") != FORMAT:
        raise WeightsFileError(
            path,
            f"it holds no adapters: expected the format {FORMAT!r} in its metadata, got "
            f"{metadata.get('format')!r}. Weights of a whole model are read with "
            "model.load_state_dict(neurenix.io.load_weights(path))",
        )
    try:
        layers = json.loads(metadata["layers"])
        return _Described(
            {name: AdapterSpec(**spec) for name, spec in layers.items()},
            dict(json.loads(metadata["base"])),
            list(json.loads(metadata["included"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WeightsFileError(path, f"its metadata is damaged: {error!r}") from error


def _check_base(
    path: str | PathLike[str],
    model: Module,
    base: Mapping[str, str],
    named: Mapping[str, NamedTensor],
) -> None:
    missing = [name for name in base if name not in named]
    differing = [
        name for name in base if name in named and _digest(named[name].tensor) != base[name]
    ]
    if not missing and not differing:
        return
    parts = []
    if missing:
        parts.append(f"{len(missing)} it does not have ({listing(missing)})")
    if differing:
        parts.append(f"{len(differing)} have other values ({listing(differing)})")
    raise AdapterError(
        f"{path} holds adapters that were trained on another base than this "
        f"{type(model).__name__}: of the {len(base)} tensors that the file knows its base by, "
        f"{' and '.join(parts)}. Load the weights that the adapters were trained on first. "
        "Nothing has been changed."
    )


def _check_layers(
    path: str | PathLike[str], model: Module, specs: Mapping[str, AdapterSpec]
) -> None:
    modules = dict(model.named_modules(remove_duplicate=False))
    strange = [name for name in specs if not isinstance(modules.get(name), Linear | Conv2d)]
    if strange:
        raise AdapterError(
            f"{path} has adapters for {listing(strange)}, where this {type(model).__name__} has "
            "no Linear or Conv2d. Nothing has been changed."
        )
    present = {name: layer.adapter for name, layer in adapted_layers(model).items()}
    if present and present != dict(specs):
        raise AdapterError(
            f"this {type(model).__name__} has other adapters ({listing(list(present))}) than "
            f"{path} ({listing(list(specs))}), or built otherwise; take them off with "
            "unload_lora(model) first. Nothing has been changed."
        )


def _check_included(
    path: str | PathLike[str],
    model: Module,
    included: Iterable[str],
    tensors: Mapping[str, Tensor],
    named: Mapping[str, NamedTensor],
) -> None:
    for name in included:
        if name not in tensors:
            raise WeightsFileError(path, f"{name!r} is missing; it may be damaged")
        if name not in named:
            raise AdapterError(
                f"{path} holds {name!r} beside the adapters, which this {type(model).__name__} "
                "does not have; build the model as it was when the file was written. "
                "Nothing has been changed."
            )
        has, came = named[name].tensor.shape, tensors[name].shape
        if has != came:
            raise AdapterError(
                f"{path} holds {name!r} of shape {came}, where this {type(model).__name__} has "
                f"{has}. Nothing has been changed."
            )


def _adapter_shapes(
    model: Module, layer_name: str, spec: AdapterSpec
) -> dict[str, tuple[int, ...]]:
    layer = model.get_submodule(layer_name)
    assert isinstance(layer, Linear | Conv2d)
    return adapter_shapes(layer, spec)


def _check_adapters(
    path: str | PathLike[str],
    tensors: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    included: Iterable[str],
) -> None:
    found = {name: tensor.shape for name, tensor in tensors.items() if name not in included}
    if found != dict(shapes):
        wrong = sorted(name for name in {**found, **shapes} if found.get(name) != shapes.get(name))
        raise WeightsFileError(
            path,
            f"its tensors do not fit what it says of its adapters ({listing(wrong)}); it may be "
            "damaged, or of a base whose layers had other sizes",
        )
