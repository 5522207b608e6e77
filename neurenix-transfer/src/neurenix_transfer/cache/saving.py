"""What a feature cache saved, by what was measured."""

from __future__ import annotations

from dataclasses import dataclass

_WORTH_SAYING_SECONDS = 0.05


@dataclass
class Saving:
    """The uses of features, and their cost.

    Attributes:
        hits: How many times features of a sample came from the cache.
        misses: How many times they were computed.
        hit_seconds: What computing those that came from the cache had cost when it was done.
        lookup_seconds: What it cost to look them up instead.
        miss_seconds: What computing the others cost, reading the samples included.
    """

    hits: int = 0
    misses: int = 0
    hit_seconds: float = 0.0
    lookup_seconds: float = 0.0
    miss_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """The seconds saved."""
        return max(self.hit_seconds - self.lookup_seconds, 0.0)

    def line(self) -> str | None:
        """Say what was saved, in one line; None where it is too little to speak of."""
        uses = self.hits + self.misses
        if self.seconds < _WORTH_SAYING_SECONDS:
            return None
        each = 1000 * self.hit_seconds / self.hits
        return (
            f"Feature cache: {self.hits:,} of {uses:,} uses of a sample's features came from the "
            f"cache, which saved {shown_seconds(self.seconds)} ({each:.1f} ms each)"
        )


def shown_seconds(seconds: float) -> str:
    """Return a time as people write it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
