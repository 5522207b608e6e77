"""Building HTML and SVG from elements; what was not built here is escaped."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from neurenix.errors import require

_VOID = {"meta", "img", "input", "br", "line", "rect", "circle", "path", "polyline"}
_QUALITY = 84  # of embedded JPEG


class Markup(str):
    """Text that is markup already. Any other text is escaped where it is put into an element."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | float | None"


def element(name: str, /, *children: Child, **attributes: Any) -> Markup:
    """Build an element.

    Args:
        name: Its name.
        children: What it holds, in order: markup as it is, other text escaped; None is left out.
        attributes: By name, ``class_`` for ``class`` and ``_`` for ``-``; True gives the name
            alone, None and False leave it out.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{escape(_text(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{written}>" if name in _HTML_VOID else f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


_HTML_VOID = {"meta", "img", "input", "br"}


def joined(*children: Child) -> Markup:
    """Put children one after another."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else escape(_text(child))
            for child in children
            if child is not None
        )
    )


def data_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """Return a picture as an address that holds it, so that a page needs no other file.

    Shape:
        (H, W, 3).

    Raises:
        MissingDependencyError: Pillow is not installed.
    """
    pil_image = require("PIL.Image", install="pip install pillow", purpose="writing pictures")
    buffer = io.BytesIO()
    pil_image.fromarray(np.ascontiguousarray(pixels)).save(
        buffer, format="JPEG", quality=_QUALITY, optimize=True
    )
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
