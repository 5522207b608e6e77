"""The card of a model, ``README.md``: what it is, what it can do, and how it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from neurenix_transfer.insight.evaluation import Evaluation, wilson_interval
from neurenix_transfer.recipes.layers import EVERY_LAYER

_TASKS = {"photo": "image-classification", "text": "text-classification"}
_ESCAPED = "\\`*_{}[]<>|#"


def model_card(record: Mapping[str, Any], evaluation: Evaluation | None) -> str:
    """Write the card of a classifier of photos or of texts in Markdown.

    Args:
        record: What ``run.json`` holds.
        evaluation: The validation samples beside their predictions; None where Ctrl-C prevented it.
    """
    noun = "text" if "texts" in record else "photo"
    samples = record[f"{noun}s"]
    names, base = samples["classes"], _base(record)
    parts = [
        _front_matter(_TASKS[noun], base, record["weights"].get("licence")),
        f"# {_text(base)} fine-tuned on {len(names)} classes of {noun}s",
        f"A classifier of {noun}s: {_listing(names)}. It was made with Neurenix from "
        f"{_text(base)}, {_trained(record)}, on {sum(samples['train'].values())} {noun}s.",
        "## Use",
        _use(noun),
        "## Classes",
        _class_table(names, samples, evaluation),
        "## How good it is",
        _quality(record, evaluation, noun),
        "## Limits",
        _limits(names, evaluation, noun),
        "## Where it comes from",
        _table(("", ""), _origin(record)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _base(record: Mapping[str, Any]) -> str:
    """Return what the base is called; the option may be a path on the machine of the run."""
    return str(record["weights"].get("name") or record["options"]["base"])


def _front_matter(task: str, base: str, licence: str | None) -> str:
    name = json.dumps(base, ensure_ascii=False)  # a string of JSON is one of YAML
    lines = ["library_name: neurenix", f"pipeline_tag: {task}", f"base_model: {name}"]
    if licence:
        quoted = licence.replace("\\", "\\\\").replace('"', '\\"')
        lines += ["license: other", f'license_name: "{quoted}"']
    return "\n".join(["---", *lines, "---"])


def _use(noun: str) -> str:
    item, shown = "photo.jpg", "path"
    if noun == "text":
        item, shown = "a new message", "text"
    argument = f'"{item}"' if noun == "text" else item
    return (
        "```python\n"
        "import neurenix\n\n"
        'predictor = neurenix.load(".")  # this folder\n'
        f'for answer in predictor.predict("{item}", min_confidence=0.8):\n'
        f"    print(answer.{shown}, answer.label, answer.probability, answer.is_unsure)\n"
        "```\n\n"
        f"```console\n$ neurenix predict . {argument} --min-confidence 0.8\n```"
    )


def _class_table(
    names: Sequence[str], samples: Mapping[str, Any], evaluation: Evaluation | None
) -> str:
    heads = ["class", "trained on", "validated on"]
    if evaluation is None:
        return _table(heads, [(n, samples["train"][n], samples["val"][n]) for n in names])
    rows = []
    for index, name in enumerate(names):
        right, count = int(evaluation.confusion[index, index]), evaluation.support[name]
        low, high = wilson_interval(right, count)
        recall = f"{right / count:.3f} ({low:.3f} to {high:.3f})" if count else "-"
        precision, f1 = (
            "-" if share is None else f"{share:.3f}"
            for share in (evaluation.precision[name], evaluation.f1[name])
        )
        rows.append((name, samples["train"][name], count, recall, precision, f1))
    return _table([*heads, "recall (95 % interval)", "precision", "F1"], rows)


def _quality(record: Mapping[str, Any], evaluation: Evaluation | None, noun: str) -> str:
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
    return _table((f"on the {noun}s validated on", ""), rows)


def _limits(names: Sequence[str], evaluation: Evaluation | None, noun: str) -> str:
    lines = [
        f"- It knows {len(names)} classes and answers with one of them, whatever it is shown. "
        "`min_confidence` makes it say that it is unsure; a "
        + ("text about" if noun == "text" else "photo of")
        + " something else can still get a high probability.",
        "- The epoch was chosen, and the temperature fitted, on the "
        f"{noun}s that it was measured on, which flatters the figures a little. They hold for "
        f"{noun}s like those.",
    ]
    if evaluation is not None:
        few = [name for name, count in evaluation.support.items() if count < 30]
        if few:
            lines.append(
                f"- Fewer than 30 {noun}s were validated on of {_listing(few)}: their figures are "
                "rough."
            )
    return "\n".join(lines)


def _origin(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    options, weights = record["options"], record["weights"]
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return [
        ("base", _base(record)),
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


def _trained(record: Mapping[str, Any]) -> str:
    """Say what of the base learned in the weights that were kept."""
    layers, result = record["model"]["trained_layers"], record["result"]
    recipe, phase = result.get("recipe"), str(result.get("phase"))
    by = "" if recipe is None else f" (recipe {recipe}, phase {_text(phase)})"
    if not layers:
        return f"whose layers stayed as they are, with a new head{by}"
    which = "all layers" if layers == [EVERY_LAYER] else _listing(layers)
    return f"in which {which} learned too, with a new head{by}"


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
