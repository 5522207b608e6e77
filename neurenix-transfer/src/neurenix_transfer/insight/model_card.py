"""The card of a model, ``README.md``: what it is, what it can do, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neurenix_transfer.insight.evaluation import Evaluation, wilson_interval

_ESCAPED = "\\`*_{}[]<>|#"


def model_card(record: Mapping[str, Any], evaluation: Evaluation | None) -> str:
    """Write the card of a photo classifier in Markdown.

    Args:
        record: What ``run.json`` holds.
        evaluation: The validation photos beside their predictions; None where Ctrl-C prevented it.
    """
    options, photos, base = record["options"], record["photos"], record["options"]["base"]
    names = photos["classes"]
    parts = [
        _front_matter(base, record["weights"].get("licence")),
        f"# {_text(base)} fine-tuned on {len(names)} classes of photos",
        f"A classifier of photos: {_listing(names)}. It was made with Neurenix from {_text(base)}, "
        f"{_trained(options)}, on {sum(photos['train'].values())} photos.",
        "## Use",
        _use(),
        "## Classes",
        _class_table(names, photos, evaluation),
        "## How good it is",
        _quality(record, evaluation),
        "## Limits",
        _limits(names, evaluation),
        "## Where it comes from",
        _table(("", ""), _origin(record)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(base: str, licence: str | None) -> str:
    lines = ["library_name: neurenix", "pipeline_tag: image-classification", f"base_model: {base}"]
    if licence:
        quoted = licence.replace("\\", "\\\\").replace('"', '\\"')
        lines += ["license: other", f'license_name: "{quoted}"']
    return "\n".join(["---", *lines, "---"])


def _use() -> str:
    return (
        "```python\n"
        "import neurenix\n\n"
        'predictor = neurenix.load(".")  # this folder\n'
        'for answer in predictor.predict("photo.jpg", min_confidence=0.8):\n'
        "    print(answer.path, answer.label, answer.probability, answer.is_unsure)\n"
        "```\n\n"
        "```console\n$ neurenix predict . photo.jpg --min-confidence 0.8\n```"
    )


def _class_table(
    names: Sequence[str], photos: Mapping[str, Any], evaluation: Evaluation | None
) -> str:
    heads = ["class", "trained on", "validated on"]
    if evaluation is None:
        return _table(heads, [(n, photos["train"][n], photos["val"][n]) for n in names])
    rows = []
    for index, name in enumerate(names):
        right, count = int(evaluation.confusion[index, index]), evaluation.support[name]
        low, high = wilson_interval(right, count)
        recall = f"{right / count:.3f} ({low:.3f} to {high:.3f})" if count else "-"
        precision, f1 = (
            "-" if share is None else f"{share:.3f}"
            for share in (evaluation.precision[name], evaluation.f1[name])
        )
        rows.append((name, photos["train"][name], count, recall, precision, f1))
    return _table([*heads, "recall (95 % interval)", "precision", "F1"], rows)


def _quality(record: Mapping[str, Any], evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "It was not measured: the run was stopped before."
    low, high = evaluation.interval
    rows = [
        ("accuracy", f"{evaluation.accuracy:.4f} ({evaluation.correct} of {evaluation.total})"),
        ("95 % Wilson interval", f"{low:.4f} to {high:.4f}"),
        ("balanced accuracy", f"{evaluation.balanced_accuracy:.4f}"),
        ("negative log-likelihood", f"{evaluation.loss:.4f}"),
        ("expected calibration error", f"{evaluation.calibration_error:.4f}"),
    ]
    calibration = record["result"].get("calibration")
    if calibration is not None:
        rows.append(("temperature of its probabilities", f"{calibration['temperature']:.4f}"))
    return _table(("on the photos validated on", ""), rows)


def _limits(names: Sequence[str], evaluation: Evaluation | None) -> str:
    lines = [
        f"- It knows {len(names)} classes and answers with one of them, whatever it is shown. "
        "`min_confidence` makes it say that it is unsure; a photo of something else can still get "
        "a high probability.",
        "- The epoch was chosen, and the temperature fitted, on the photos that it was measured "
        "on, which flatters the figures a little. They hold for photos like those.",
    ]
    if evaluation is not None:
        few = [name for name, count in evaluation.support.items() if count < 30]
        if few:
            lines.append(
                f"- Fewer than 30 photos were validated on of {_listing(few)}: their figures are "
                "rough."
            )
    return "\n".join(lines)


def _origin(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    options, weights = record["options"], record["weights"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return [
        ("base", options["base"]),
        ("weights of the base", f"sha256 {weights['sha256']}"),
        ("licence of these weights", weights.get("licence") or "not named in their file"),
        ("parameters", f"{record['model']['total_parameters']:,}"),
        ("of them trained", f"{record['model']['trained_parameters']:,}"),
        ("epochs", record["result"]["epochs"]),
        ("seed", options["seed"]),
        ("made", record["written"]),
        ("with", versions),
        ("model.safetensors", f"sha256 {record['model']['sha256']}"),
    ]


def _trained(options: Mapping[str, Any]) -> str:
    unfrozen = options["unfreeze"]
    if not unfrozen:
        return "whose layers stayed as they are, with a new head"
    return f"of which {_listing(unfrozen)} was trained too, with a new head"


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [[_text(str(cell)) for cell in row] for row in (heads, *rows)]
    lines.insert(1, ["---"] * len(heads))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _listing(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(_text(name) for name in names[:most]) + more


def _text(text: str) -> str:
    """Return text that Markdown shows as it is."""
    flat = " ".join(text.split())
    return "".join(f"\\{char}" if char in _ESCAPED else char for char in flat)
