"""``neurenix cache``."""

from __future__ import annotations

from typing import Annotated

import typer


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove cached features, those of NAMES or all.")
    ] = False,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAMES]", help="Names of sets of features.", show_default=False),
    ] = None,
) -> None:
    """Show, or clear, the cached features of frozen networks.

    They lie in $NEURENIX_HOME/features, and are used again by later runs on the same weights and
    samples. NEURENIX_CACHE_BYTES limits what they take; the oldest are removed first.
    """
    from neurenix_transfer.cache.disk import (
        clear_features,
        disk_limit_bytes,
        features_folder,
        shown_bytes,
    )
    from neurenix_transfer.cache.inventory import summarize_features, summary_lines

    root = features_folder()
    if names and not clear:
        raise typer.BadParameter("names go with --clear; without, all are shown")
    if clear:
        known = {summary.name for summary in summarize_features(root)}
        unknown = sorted(set(names or ()) - known)
        if unknown:
            raise typer.BadParameter(f"{root} holds no features named {', '.join(unknown)}")
        freed = clear_features(root, names or None)
        typer.echo(f"Freed {shown_bytes(freed)} in {root}")
        return
    for line in summary_lines(summarize_features(root), root, disk_limit_bytes()):
        typer.echo(line)
