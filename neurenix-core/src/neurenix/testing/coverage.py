"""What a run of the conformance kit found out about a device."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurenix._version import __version__
from neurenix.backends import Device
from neurenix.backends.registry import record_of
from neurenix.dtypes import ALL, FLOATS
from neurenix.plugins.spec import API_VERSION
from neurenix.testing.speed import Speed

WAYS = ("native", "decomposed", "fallback")


@dataclass
class Coverage:
    """The outcome of a run, op by op and level by level.

    Attributes:
        levels: Level to outcome ("passed", "failed", "skipped", "xfailed") to how often.
        ways: Op to dtype to how it is carried out: "native", "decomposed" or "fallback".
        failures: The ids of what failed.
        expected: The ids of what was expected to fail, and did.
        speeds: How quick the device is beside NumPy, if it was measured.
    """

    levels: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    ways: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    speeds: list[Speed] = field(default_factory=list)

    def note(self, op: str, dtype: str, way: str) -> None:
        """Note how a call was carried out; of several ways for a dtype, the worst counts."""
        dtypes = self.ways.setdefault(op, {})
        dtypes[dtype] = max(dtypes.get(dtype, way), way, key=WAYS.index)

    def lines(self) -> Iterator[str]:
        """Yield the lines of a table: levels, then ops by dtype, then speeds."""
        for level, outcomes in sorted(self.levels.items()):
            counts = ", ".join(f"{count} {what}" for what, count in sorted(outcomes.items()))
            yield f"{level}: {counts}"
        yield from self._table()
        if self.speeds:
            yield "time on the device and in NumPy, their ratio (below 1: quicker), its quartiles"
            for speed in self.speeds:
                yield speed.line()

    def _table(self) -> Iterator[str]:
        if not self.ways:
            return
        dtypes = [str(dtype) for dtype in ALL]
        width = max(map(len, self.ways)) + 1
        yield "N native, d decomposed, . needs the host"
        yield " " * width + " ".join(f"{dtype:>8}" for dtype in dtypes)
        signs = {"native": "N", "decomposed": "d", "fallback": ".", "": ""}
        for op, ways in sorted(self.ways.items()):
            cells = (signs[ways.get(dtype, "")] for dtype in dtypes)
            yield f"{op:<{width}}" + " ".join(f"{cell:>8}" for cell in cells).rstrip()
        floats = Counter(ways.get(str(FLOATS[0]), "none") for ways in self.ways.values())
        yield f"in {FLOATS[0]}: " + ", ".join(f"{floats[way]} {way}" for way in WAYS)

    def as_dict(self, device: Device) -> dict[str, Any]:
        """Return everything, for other programs."""
        record = record_of(device)
        info = record.devices[device.index]
        return {
            "device": str(device),
            "description": info.description,
            "backend": record.spec.name,
            "distribution": record.distribution,
            "version": record.version,
            "api": ".".join(map(str, record.spec.api)),
            "core": {"version": __version__, "api": ".".join(map(str, API_VERSION))},
            "levels": {level: dict(counts) for level, counts in sorted(self.levels.items())},
            "ops": {op: dict(sorted(ways.items())) for op, ways in sorted(self.ways.items())},
            "failures": self.failures,
            "expected_failures": self.expected,
            "speed": [speed.as_dict() for speed in self.speeds],
        }

    def save(self, path: Path, device: Device) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(device), indent=2) + "\n", encoding="utf-8")
