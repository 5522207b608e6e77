"""The error of a weights file that cannot be read."""

from __future__ import annotations

from os import PathLike, fspath

from neurenix.errors import NeurenixError


class WeightsFileError(NeurenixError, ValueError):
    """A weights file that is broken, unsafe, or of another kind than expected.

    Args:
        path: The file.
        problem: What is wrong with it and, where something can be done, what.
    """

    def __init__(self, path: str | PathLike[str], problem: str) -> None:
        self.path = fspath(path)
        self.problem = problem
        super().__init__(f"{self.path}: {problem}")

    def __reduce__(self) -> tuple[type[WeightsFileError], tuple[str, str]]:
        return type(self), (self.path, self.problem)
