"""``neurenix doctor``."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from neurenix.cli.diagnosis import Diagnosis, Finding

_COLOURS = {
    "open": "green",
    "declared": "yellow",
    "disabled": "yellow",
    "unavailable": "yellow",
    "incompatible": "red",
    "failed": "red",
}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")] = False,
    tracebacks: Annotated[
        bool, typer.Option("--traceback", help="Show where each plugin failed.")
    ] = False,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0.0, help="Seconds to wait for slow probes.")
    ] = 0.5,
) -> None:
    """Try every plugin and backend; say what works, what does not, and what to do about it.

    Exit code 0: nothing is wrong; a backend may still lack its hardware, or be switched off.
    Exit code 1: something needs attention: a plugin that failed, is incompatible, has the name of
    another, is slow or lacks kernels, or a device that was asked for and is not there.
    """
    from neurenix.cli.diagnosis import diagnose

    diagnosis = diagnose(wait_s)
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(diagnosis), indent=2))
    else:
        _print(diagnosis, tracebacks)
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _print(diagnosis: Diagnosis, tracebacks: bool) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=False)
    console.print("  ".join(f"{name} {version}" for name, version in diagnosis.core.items()))
    for name, value in diagnosis.settings.items():
        console.print(f"{name}={value}")
    console.print(_table(diagnosis.findings))
    for finding in diagnosis.findings:
        _explain(console, finding, tracebacks)
    for problem in diagnosis.problems:
        console.print(problem, style="red")
    if diagnosis.default_device:
        console.print(f"Tensors that name no device go to {diagnosis.default_device}.")
    verdict = "Nothing is wrong" if diagnosis.healthy else "Something needs attention"
    console.print(f"{verdict}; looked at in {diagnosis.seconds:.2f} s.", style="bold")


def _table(findings: list[Finding]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("backend", "version", "API", "state", "device"):
        table.add_column(heading, overflow="fold")
    for heading in ("native", "composed", "host"):
        table.add_column(heading, justify="right")
    for finding in findings:
        count = len(finding.devices)
        cells = [
            finding.backend or f"({finding.plugin})",
            finding.version,
            finding.api,
            finding.state,
            f"{finding.device_type} x {count}" if count > 1 else finding.device_type,
            *(str(len(names)) for names in finding.kernels.values()),
        ]
        styles = ["", "", "", _COLOURS[finding.state]]
        table.add_row(*(Text(c, style=s) for c, s in zip_longest(cells, styles, fillvalue="")))
    return table


def _explain(console: Console, finding: Finding, tracebacks: bool) -> None:
    from rich.padding import Padding

    lines = [finding.cause and f"{finding.state}: {finding.cause}", *finding.problems]
    for number, device in enumerate(finding.devices):
        lines.append(f"{device['name']}: {_described(device)}")
        # What holds for a backend as a whole is said of each of its devices; once will do.
        if number == 0 or device["details"] != finding.devices[number - 1]["details"]:
            lines += [f"  {name}: {value}" for name, value in device["details"].items()]
    lines += finding.notes
    if finding.kernels.get("decomposed"):
        lines.append(f"composed of other ops: {', '.join(finding.kernels['decomposed'])}")
    if finding.added:
        added = ", ".join(f"{op} by {plugin}" for op, plugin in sorted(finding.added.items()))
        lines.append(f"kernels added by plugins: {added}")
    if not finding.backend and finding.hooks:
        lines.append(f"implements {', '.join(finding.hooks)}")
    if finding.advice:
        lines.append(f"to do: {finding.advice}")
    origin = f"{finding.distribution} {finding.version}".rstrip()
    console.print(f"{finding.backend or finding.plugin} ({origin})", style="bold")
    for line in filter(None, lines):
        console.print(Padding(line, (0, 0, 0, 2)))
    if tracebacks and finding.traceback:
        console.print(Padding(finding.traceback.rstrip(), (0, 0, 0, 2)), style="dim")


def _described(device: dict[str, object]) -> str:
    memory = device["memory_bytes"]
    size = f", {memory / 2**30:.1f} GiB" if isinstance(memory, int) else ""
    software = ", emulated in software" if device["software"] else ""
    return f"{device['description']}{size}{software}"
