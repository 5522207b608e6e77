"""A model at a glance: its layers, their parameters, what of them is trained."""

from __future__ import annotations

from collections.abc import Iterator

from neurenix.nn import Module


def count_parameters(model: Module) -> tuple[int, int]:
    """Return how many numbers a model trains, and how many it has.

    Of a `TransferModel` the skipped classifier does not count.
    """
    sizes = [(param.size, param.requires_grad) for param in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def describe_counts(model: Module) -> str:
    """Say how many parameters are trained: ``"1,026 of 11,177,538 parameters (0.01 %)"``."""
    trained, total = count_parameters(model)
    share = 100.0 * trained / total if total else 0.0
    return f"{trained:,} of {total:,} parameters ({share:.2f} %)"


def summarize(model: Module, join: str | None = None) -> str:
    """Return a table of a model's layers, two levels deep.

    Args:
        model: The model.
        join: A line on how its parts are joined.
    """
    counted = {id(param) for param in model.parameters()}
    rows = [("layer", "type", "parameters", "state")]
    rows += [_row(path, module, counted) for path, module in _layers(model)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {size:>{widths[2]}}  {state}".rstrip()
        for name, kind, size, state in rows
    ]
    lines.insert(1, "-" * max(map(len, lines)))
    footer = [f"Trained: {describe_counts(model)}."]
    if join is not None:
        footer.append(f"Joined: {join}.")
    return "\n".join([type(model).__name__, *lines, lines[1], *footer])


def _layers(model: Module) -> Iterator[tuple[str, Module]]:
    for name, child in model.named_children():
        yield name, child
        for inner, grandchild in child.named_children():
            yield f"  {name}.{inner}", grandchild


def _row(path: str, module: Module, counted: set[int]) -> tuple[str, str, str, str]:
    params = list(module.parameters())
    used = [param for param in params if id(param) in counted]
    if params and not used:
        state = "skipped"
    elif not used:
        state = ""
    else:
        trained = sum(param.requires_grad for param in used)
        state = "trained" if trained == len(used) else "partly frozen" if trained else "frozen"
    size = sum(param.size for param in used)
    return path, type(module).__name__, f"{size:,}" if used else "-", state
