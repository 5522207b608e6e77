"""What a benchmark found: figures side by side, printed, and kept for report.py."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import machine
from peer import OURS, Times


@dataclass(frozen=True)
class Goal:
    """How many times less one of ours shall need than a peer.

    Attributes:
        ours: The name of ours.
        factor: How many times less.
        peer: The name of the peer; None is the one that needs least.
    """

    ours: str
    factor: float
    peer: str | None = None


@dataclass(frozen=True)
class Row:
    """One contender's figure: the median and the quartiles of its rounds."""

    name: str
    median: float
    low: float
    high: float
    gflops: float | None = None
    of_peak: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What came of a goal.

    Attributes:
        ours: The name of ours.
        peer: The name of the peer that counts, or the limit.
        ratio: How many times less ours needs, the median of the rounds' ratios.
        low: The ratios' lower quartile.
        high: Their upper quartile.
        factor: What was wanted.
    """

    ours: str
    peer: str
    ratio: float
    low: float
    high: float
    factor: float


@dataclass(frozen=True)
class Comparison:
    """Contenders side by side; of each figure, less is better."""

    title: str
    unit: str
    rows: list[Row]
    verdicts: list[Verdict]


@dataclass
class Results:
    """All that a script found, printed as it is found, and written to a file if one is named.

    Attributes:
        script: The script's name.
        file: The file, or None.
        threads: Threads of each library.
    """

    script: str
    file: Path | None
    threads: int
    comparisons: list[Comparison] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = machine.describe()
        self.backend = machine.cpu_backend()
        self.peak = machine.peak_gflops()
        self.peers = machine.peers()
        print(f"{self.machine}; {self.threads} threads each")
        print(f"device cpu is served by {self.backend}; {machine.describe_peak(self.peak)}")

    def remark(self, text: str) -> None:
        """Print and keep a sentence: what was compared, what is left out and why."""
        print(text)
        self.remarks.append(text)

    def compare(
        self,
        title: str,
        unit: str,
        samples: Mapping[str, Sequence[float]],
        *,
        goals: Sequence[Goal] = (),
        limits: Mapping[str, float] | None = None,
        gflop: float | None = None,
    ) -> Comparison:
        """Print and keep figures side by side.

        Args:
            title: What was measured.
            unit: The unit of the samples.
            samples: A contender's name to its figure in each round.
            goals: What is wanted; one whose contenders are not there is passed over.
            limits: What ours may be at most, by name.
            gflop: The floating-point operations behind a sample, in units of 1e9, where the
                samples are milliseconds.
        """
        rows = [self._row(name, values, gflop) for name, values in samples.items()]
        peers = [row for row in rows if not row.name.startswith(OURS)]
        fastest = min(peers, key=lambda row: row.median).name if peers else None
        verdicts = []
        for goal in goals:
            against = goal.peer or fastest
            if goal.ours in samples and against in samples:
                ratios = _ratios(samples[goal.ours], samples[against])
                median, low, high = quartiles(ratios)
                verdicts.append(Verdict(goal.ours, against, median, low, high, goal.factor))
        for name, limit in (limits or {}).items():
            median, low, high = quartiles([limit / value for value in samples[name]])
            verdicts.append(Verdict(name, f"limit of {limit:.3g} {unit}", median, low, high, 1.0))
        comparison = Comparison(title, unit, rows, verdicts)
        self.comparisons.append(comparison)
        _print(comparison, fastest)
        if self.file is not None:
            self._write(self.file)
        return comparison

    def _row(self, name: str, values: Sequence[float], gflop: float | None) -> Row:
        median, low, high = quartiles(values)
        if gflop is None:
            return Row(name, median, low, high)
        gflops = gflop / (median / 1e3)
        of_peak = None if self.peak is None else gflops / self._peak_of_threads(self.peak)
        return Row(name, median, low, high, gflops, of_peak)

    def _peak_of_threads(self, peak: tuple[float, float]) -> float:
        return peak[1] if self.threads >= machine.cores() else peak[0] * self.threads

    def allowed_ms(self, gflop: float, share: float) -> float | None:
        """Return how long work may take that reaches this share of the peak, if that is known."""
        return (
            None if self.peak is None else gflop / (share * self._peak_of_threads(self.peak)) * 1e3
        )

    def _write(self, file: Path) -> None:
        found = {
            "script": self.script,
            "date": datetime.now(UTC).date().isoformat(),
            "machine": self.machine,
            "peers": self.peers,
            "backend": self.backend,
            "peak_gflops": self.peak,
            "threads": self.threads,
            "remarks": self.remarks,
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def in_ms(times: Mapping[str, Times], count: int = 1) -> dict[str, list[float]]:
    """Return times in milliseconds, divided by what each call handled."""
    return {name: [1e3 * t / count for t in each.seconds] for name, each in times.items()}


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the lower and the upper quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return median, low, high


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return how many times less ours are, round by round where they have rounds in common.

    So a machine that is busy for a while slows both sides of a ratio.
    """
    if len(ours) == len(theirs):
        return [peer / own for own, peer in zip(ours, theirs, strict=True)]
    return [statistics.median(theirs) / statistics.median(ours)]


def _print(comparison: Comparison, fastest: str | None) -> None:
    width = max(len(row.name) for row in comparison.rows)
    base = next((row.median for row in comparison.rows if row.name == fastest), None)
    print(f"\n{comparison.title}, {comparison.unit}: median, quartiles, beside the best peer")
    for row in comparison.rows:
        line = f"  {row.name:<{width}} {row.median:10.3f}  {row.low:10.3f} .. {row.high:<10.3f}"
        if base is not None:
            line += f" {base / row.median:6.2f} x as good"
        if row.gflops is not None:
            line += f" {row.gflops:7.0f} GFLOP/s"
        if row.of_peak is not None:
            line += f" {row.of_peak:4.0%} of peak"
        print(line)
    for verdict in comparison.verdicts:
        print(
            f"  -> {verdict.ours}: {verdict.ratio:.2f} x as good as {verdict.peer} "
            f"({verdict.low:.2f} .. {verdict.high:.2f}); wanted {verdict.factor:g} x"
        )
