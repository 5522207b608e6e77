"""Runs the benchmarks one after the other, and writes what they found into the documentation.

The tables stand between two markers in docs/performance.md; the rest of the page is left as it is.
Figures are kept as JSON in benchmarks/results, so that some can be measured anew by `--only`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import peer

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN = "<!-- measured: begin; written by benchmarks/report.py -->"
END = "<!-- measured: end -->"

SCRIPTS = (
    "resnet18_inference",
    "resnet18_training",
    "tutorial",
    "precision",
    "matmul",
    "mlp_step",
    "bert_encoding",
    "linear_probe",
    "startup",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=SCRIPTS, help="what to run; none: write only")
    parser.add_argument("--threads", type=int, help="threads of each library; default: all cores")
    parser.add_argument("--seeds", type=int, help="how often tutorial and precision train")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="a folder for JSON")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write into")
    options = parser.parse_args()

    failed = []
    for script in SCRIPTS if options.only is None else options.only:
        arguments = ["--json", str(options.results / f"{script}.json")]
        if options.threads:
            arguments += ["--threads", str(options.threads)]
        if options.seeds and script in ("tutorial", "precision"):
            arguments += ["--seeds", str(options.seeds)]
        print(f"\n=== {script}", flush=True)
        program = [sys.executable, str(HERE / f"{script}.py"), *arguments]
        if subprocess.run(program, check=False).returncode:
            failed.append(script)
    files = [options.results / f"{script}.json" for script in SCRIPTS]
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.is_file()]
    if found:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(placed(page, render(found)), encoding="utf-8")
        print(f"\nwritten: {options.page}")
    if failed:
        sys.exit(f"failed, their older figures are kept if there are any: {', '.join(failed)}")


def placed(page: str, text: str) -> str:
    """Return a page with the text between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN!r} and {END!r}, one after the other")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def render(found: list[dict[str, Any]]) -> str:
    """Return the tables of all scripts, as Markdown."""
    lines = []
    for conditions in dict.fromkeys(map(conditions_of, found)):
        scripts = [each["script"] for each in found if conditions_of(each) == conditions]
        lines += [f"Measured by {', '.join(f'`{name}`' for name in scripts)}: {conditions}", ""]
    goals = [
        (comparison["title"], verdict)
        for each in found
        for comparison in each["comparisons"]
        for verdict in comparison["verdicts"]
    ]
    if goals:
        lines += ["### Goals", ""]
        lines += table(
            ["measurement", "Neurenix", "peer", "times as good", "quartiles", "wanted", ""],
            [
                [
                    title,
                    verdict["ours"].removeprefix("neurenix").strip() or "default",
                    verdict["peer"],
                    f"{verdict['ratio']:.2f}",
                    f"{verdict['low']:.2f} to {verdict['high']:.2f}",
                    f"{verdict['factor']:g}",
                    "reached" if verdict["ratio"] >= verdict["factor"] else "short",
                ]
                for title, verdict in goals
            ],
        )
    for each in found:
        for comparison in each["comparisons"]:
            lines += [f"### {comparison['title']}", "", *figures(comparison)]
        if each["remarks"]:
            lines += [f'??? note "What `{each["script"]}` compared"', ""]
            lines += [f"    - {remark}" for remark in each["remarks"]] + [""]
    return "\n".join(lines)


def conditions_of(each: dict[str, Any]) -> str:
    """Say when, where and against which versions a script measured."""
    peak = each["peak_gflops"]
    known = (
        "the float32 peak is not known without the CPU engine"
        if peak is None
        else f"measured float32 peak {peak[0]:.0f} GFLOP/s one core, {peak[1]:.0f} all"
    )
    peers = ", ".join(f"{name} {version}" for name, version in each["peers"].items())
    return (
        f"{each['date']}, {each['machine']}, {each['threads']} threads each; device `cpu` is "
        f"served by {each['backend']}; {known}. Peers: {peers}."
    )


def figures(comparison: dict[str, Any]) -> list[str]:
    """Return one comparison as a table."""
    rows = comparison["rows"]
    peers = [row["median"] for row in rows if not row["name"].startswith(peer.OURS)]
    head = ["", f"{comparison['unit']}, median", "quartiles"]
    if peers:
        head.append("times as good as the best peer")
    if rows[0]["gflops"] is not None:
        head.append("GFLOP/s (of peak)")
    body = []
    for row in rows:
        name = f"**{row['name']}**" if row["name"].startswith(peer.OURS) else row["name"]
        cells = [name, digits(row["median"]), f"{digits(row['low'])} to {digits(row['high'])}"]
        if peers:
            cells.append(f"{min(peers) / row['median']:.2f}")
        if row["gflops"] is not None:
            share = "" if row["of_peak"] is None else f" ({row['of_peak']:.0%})"
            cells.append(f"{row['gflops']:.0f}{share}")
        body.append(cells)
    return table(head, body)


def digits(value: float) -> str:
    """Return three significant digits, never in powers of ten."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(head: list[str], body: list[list[str]]) -> list[str]:
    """Return a table's lines, and an empty one after them."""
    rule = ["---", *["---:" if len(cell) else "---" for cell in head[1:]]]
    rows = [head, rule, *body]
    return [*(f"| {' | '.join(row)} |" for row in rows), ""]


if __name__ == "__main__":
    peer.start_fairly()
    main()
