"""``neurenix devices``."""

from __future__ import annotations

from typing import Annotated

import typer


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
) -> None:
    """List the devices that can run a model, the preferred first, and why others cannot."""
    from neurenix.backends.registry import available_devices, backend_records
    from neurenix.plugins import BackendState, plugin_manager

    devices = available_devices()
    rows = [
        {
            "device": str(device),
            "description": info.description,
            "memory_bytes": info.memory_bytes,
            **{str(key): str(value) for key, value in info.details.items()},
        }
        for device, info in devices
    ]
    unusable = [
        {
            "backend": record.spec.name,
            "state": record.state.value,
            "cause": record.cause,
            "install": record.spec.install_hint,
        }
        for record in backend_records()
        if record.state not in (BackendState.OPEN, BackendState.DECLARED)
    ]
    unusable += [
        {"backend": name, "state": "failed", "cause": trace.strip().splitlines()[-1], "install": ""}
        for name, trace in plugin_manager().broken.items()
    ]
    if as_json:
        import json

        typer.echo(json.dumps({"devices": rows, "unusable": unusable}, indent=2))
        return
    for device, info in devices:
        size = "" if info.memory_bytes is None else f"{info.memory_bytes / 2**30:.1f} GiB"
        typer.echo(f"{device!s:<10} {info.description:<40} {size}".rstrip())
        for name, value in info.details.items():
            typer.echo(f"{'':<10} {name}: {value}")
    for problem in unusable:
        typer.echo(f"\n{problem['backend']}: {problem['state']}: {problem['cause']}")
        if problem["install"]:
            typer.echo(f"  to install: {problem['install']}")
