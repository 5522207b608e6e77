"""What goes wrong in an export."""

from __future__ import annotations

from neurenix.errors import NeurenixError


class WebExportError(NeurenixError, ValueError):
    """A model that the page could not run."""


class ExportExistsError(NeurenixError, FileExistsError):
    """The folder to write holds something already."""
