"""What lies in the folder of features: for people to look at, and to clear."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurenix_transfer.cache.disk import folders_of, shards_in, shown_bytes
from neurenix_transfer.cache.shard import ShardError, read_header


@dataclass(frozen=True)
class SpaceSummary:
    """The features of one set of weights.

    Attributes:
        name: The name of their folder.
        model: The class of the model.
        frozen: Where its cut lies.
        samples: How many samples there are.
        nbytes: What the files take.
        used: When they were last used, in seconds since 1970.
        damaged: How many files are damaged.
    """

    name: str
    model: str
    frozen: str
    samples: int
    nbytes: int
    used: float
    damaged: int


def summarize_features(root: Path) -> list[SpaceSummary]:
    """Return what the folder of features holds, the last used first."""
    found = [_summary(folder) for folder in folders_of(root)]
    return sorted((each for each in found if each.nbytes), key=lambda each: -each.used)


def summary_lines(summaries: list[SpaceSummary], root: Path, limit_bytes: int) -> list[str]:
    """Return the lines that ``neurenix cache`` prints."""
    total = sum(each.nbytes for each in summaries)
    lines = [f"{root}: {shown_bytes(total)} of at most {shown_bytes(limit_bytes)}"]
    for each in summaries:
        ago = _ago(time.time() - each.used)
        damaged = f", {each.damaged} damaged files" if each.damaged else ""
        lines.append(
            f"{each.name}  {each.model}, {each.frozen}: {each.samples} samples, "
            f"{shown_bytes(each.nbytes)}, used {ago}{damaged}"
        )
    return lines


def _summary(folder: Path) -> SpaceSummary:
    about: dict[str, Any] = {}
    keys: set[tuple[str, str]] = set()
    nbytes, used, damaged = 0, 0.0, 0
    for path in shards_in(folder):
        try:
            status = path.stat()
            nbytes += status.st_size
            used = max(used, status.st_mtime)
            with open(path, "rb") as file:
                header, _ = read_header(file, path)
        except ShardError:
            damaged += 1
            continue
        except OSError:  # another process has just removed it
            continue
        about = header["about"] or about
        keys.update((entry["key"], entry["graph"]) for entry in header["entries"])
    model, frozen = str(about.get("model", "?")), str(about.get("frozen", "?"))
    return SpaceSummary(folder.name, model, frozen, len(keys), nbytes, used, damaged)


def _ago(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit} ago"
    return "just now"
