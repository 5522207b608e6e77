"""What is printed of the frozen part and of its cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from neurenix.graph import PrecisionName
from neurenix.nn import Module
from neurenix_transfer.cache.disk import features_folder, shown_bytes
from neurenix_transfer.cache.module_split import ModuleSplit
from neurenix_transfer.cache.split import Split
from neurenix_transfer.transfer_model import TransferModel

if TYPE_CHECKING:
    from neurenix_transfer.cache.policy import Policy
    from neurenix_transfer.cache.store import FeatureStore


def describe_split(
    model: Module,
    split: Split | ModuleSplit | None,
    untraceable: str | None,
    precision: PrecisionName = "float32",
) -> list[str]:
    """Say what is frozen, where the cut lies, and in what numbers the frozen part runs.

    Args:
        model: The model.
        split: Its halves; None where it runs as a whole.
        untraceable: Why there is no graph of it, if so.
        precision: The precision asked for.
    """
    lines = []
    if untraceable is not None:
        lines.append(
            f"No graph of {type(model).__name__}, which runs by its own code: {untraceable}"
        )
    if isinstance(split, ModuleSplit):
        base = model.get_base_model() if isinstance(model, TransferModel) else model
        lines.insert(0, f"Frozen part: the whole base ({type(base).__name__})")
    elif split is None or split.cut is None:
        lines.insert(0, "Frozen part: none in front of what is trained")
    else:
        cut = split.cut
        names = ", ".join(cut.frozen[:4]) + (", ..." if len(cut.frozen) > 4 else "")
        count = len(cut.parts)
        shapes = ", ".join(str(part.shape[1:] or part.shape) for part in cut.parts[:4])
        tensors = f"a tensor of {shapes}" if count == 1 else f"{count} tensors of {shapes}"
        lines.insert(
            0,
            f"Frozen part: all up to {names}; the cut gives {tensors}, "
            f"{shown_bytes(cut.sample_bytes)} a sample",
        )
    if precision != "float32":
        lines.append(_precision_line(split, untraceable, precision))
    return lines


def _precision_line(
    split: Split | ModuleSplit | None, untraceable: str | None, precision: PrecisionName
) -> str:
    if isinstance(split, ModuleSplit) or untraceable is not None:
        return f"Precision: float32, as {precision} takes a graph of the frozen part"
    if split is None or split.cut is None:
        return f"Precision: float32, as {precision} is for what is frozen"
    line = f"Precision: {precision} for the frozen part"
    if precision == "int8":
        line += f", calibrated on {split.plans.samples} training samples"
    if split.distance is not None:
        line += f"; what it gives is {100 * split.distance:.2g} % off that of float32"
    return f"{line}. Float32 for the rest, and for predictions afterwards"


def describe_store(
    store: FeatureStore | None,
    split: Split | ModuleSplit,
    policies: Mapping[str, Policy],
    counts: Mapping[str, int | None],
) -> list[str]:
    """Say where features are cached, and of which data they are not, and why."""
    lines = []
    kept = {name for name, policy in policies.items() if policy.kept}
    if store is not None and kept:
        where = {
            "auto": f"in memory, up to {shown_bytes(store.memory_bytes)}, the rest in "
            f"{features_folder()}",
            "memory": f"in memory, up to {shown_bytes(store.memory_bytes)}",
            "disk": f"in {features_folder()}, up to {shown_bytes(store.disk_bytes)}",
        }[store.mode]
        total = sum((counts[name] or 0) * (policies[name].views or 1) for name in kept)
        needed = ""
        if isinstance(split, Split) and split.cut is not None:
            needed = f"{shown_bytes(split.cut.sample_bytes * total)} for {total} samples "
        lines.append(f"Feature cache: {needed}{where}")
    reasons: dict[str, list[str]] = {}
    for name, policy in policies.items():
        if not policy.kept:
            reasons.setdefault(str(policy.reason), []).append(name)
    for reason, names in reasons.items():
        of = "" if len(names) == len(policies) else f" for {names[0]}_data"
        lines.append(f"Feature cache: off{of}: {reason}")
    return lines
