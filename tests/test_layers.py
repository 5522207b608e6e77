"""The layers of ARCHITECTURE.md, read off the sources: each imports only what lies below it.

Imports inside functions count as well. Those under `if TYPE_CHECKING:` do not: they name types,
and nothing of them is there when the program runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "neurenix-core" / "src"
TRANSFER = ROOT / "neurenix-transfer" / "src"

# From the bottom up. Modules of one layer may import each other.
LAYERS = [
    {"neurenix.errors", "neurenix.dtypes", "neurenix._version"},
    {"neurenix.plugins"},
    {"neurenix.backends"},
    {"neurenix.ops"},
    {"neurenix.tensor", "neurenix.autograd", "neurenix.random"},
    {"neurenix.graph"},
    {"neurenix.nn", "neurenix.optim", "neurenix.data", "neurenix.models", "neurenix.io"},
    {
        "neurenix",
        "neurenix.cli",
        "neurenix.testing",
        "neurenix_pytest",
        "neurenix.transfer",
        "neurenix_transfer",
    },
]
# The same inside transfer, by what stands behind `neurenix_transfer.`; what is not named here is
# the library, at the bottom. `photos` and `texts` stand side by side: neither imports the other.
TRANSFER_LAYERS = [
    {"insight", "prediction"},
    {"runs"},
    {"photos", "texts"},
    {"loading", "commands", "demo", ""},
]
APART = {"photos", "texts"}
# What may name a device type: those who declare devices, and the front door, which exports them.
MAY_NAME_DEVICES = {"neurenix.plugins", "neurenix.backends", "neurenix.testing"}
DEVICE_TYPES = {"cpu", "cuda", "rocm", "webgpu"}


def layer_of(module: str) -> tuple[str, int]:
    """Return the package of a module that has a place among the layers, and that place."""
    while True:
        for height, names in enumerate(LAYERS):
            if module in names:
                return module, height
        assert "." in module, f"{module} has no place among the layers"
        module = module.rpartition(".")[0]


def module_name(path: Path, source: Path) -> str:
    parts = path.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[tuple[str, Path]]:
    return [
        (module_name(path, source), path)
        for source in (CORE, TRANSFER)
        for path in sorted(source.rglob("*.py"))
    ]


def is_module(name: str) -> bool:
    for source in (CORE, TRANSFER):
        path = source.joinpath(*name.split("."))
        if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file():
            return True
    return False


def running_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk over what runs: all but the bodies of `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from running_nodes(other)
            continue
        yield node
        yield from running_nodes(node)


def imports(module: str, path: Path, tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each module that is imported, absolute, with its line."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in running_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [base])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield (inner if is_module(inner) else base), node.lineno


def docstrings(tree: ast.AST) -> set[int]:
    """Return the ids of the constants that are docstrings, of attributes too."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def device_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield what names a device type: `DeviceType.CUDA`, "cuda", "cuda:1", "cpu@neurenix-core"."""
    spoken = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("DeviceType"):
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0].partition("@")[0]
            if name in DEVICE_TYPES and id(node) not in spoken:
                yield repr(node.value), node.lineno


@pytest.mark.parametrize(("module", "path"), sources(), ids=str)
def test_imports_go_down(module: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    mine, height = layer_of(module)
    for imported, line in imports(module, path, tree):
        top = imported.partition(".")[0]
        assert not top.startswith("neurenix_backend"), f"{path}:{line} imports a backend"
        if top not in {"neurenix", "neurenix_transfer"}:
            continue
        theirs, other = layer_of(imported)
        assert other <= height, f"{path}:{line}: {mine} imports {theirs}, which lies above it"
        if top == "neurenix_transfer" and mine.startswith("neurenix."):
            assert mine == "neurenix.transfer", f"{path}:{line}: core imports {imported}"


def transfer_part(module: str) -> tuple[str, int] | None:
    """Return the part of transfer that a module is of, and its height; None outside of it."""
    top, _, rest = module.partition(".")
    if top != "neurenix_transfer":
        return None
    part = rest.partition(".")[0]
    heights = [height for height, parts in enumerate(TRANSFER_LAYERS, 1) if part in parts]
    return part, heights[0] if heights else 0


def misplaced_imports(module: str, path: Path, tree: ast.AST) -> Iterator[str]:
    """Yield the imports inside transfer that do not go down."""
    mine = transfer_part(module)
    for imported, line in imports(module, path, tree):
        theirs = transfer_part(imported)
        if mine is None or theirs is None or imported == "neurenix_transfer._version":
            continue
        if theirs[1] > mine[1]:
            yield f"{path}:{line}: {mine[0]} imports {imported}, which lies above it"
        elif {mine[0], theirs[0]} == APART:
            yield f"{path}:{line}: {mine[0]} imports {imported}, which stands beside it"


@pytest.mark.parametrize(("module", "path"), sources(), ids=str)
def test_transfer_is_layered_and_photos_and_texts_stand_apart(module: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not list(misplaced_imports(module, path, tree))


@pytest.mark.parametrize(
    ("module", "imported", "message"),
    [
        ("photos.job", "texts.layout", "beside"),
        ("texts.job", "photos.layout", "beside"),
        ("runs.job", "photos.layout", "above"),
        ("insight.page", "runs.console", "above"),
        ("fine_tune", "insight.page", "above"),
        ("texts.job", "commands.predict", "above"),
        ("texts.job", "runs.console", None),
        ("loading", "photos.predictor", None),
        ("runs.training", "fine_tune", None),
    ],
)
def test_the_check_of_transfer_finds_what_it_looks_for(
    module: str, imported: str, message: str | None
) -> None:
    tree = ast.parse(f"def late():\n    from neurenix_transfer.{imported} import anything\n")
    found = list(misplaced_imports(f"neurenix_transfer.{module}", Path("job.py"), tree))
    assert len(found) == (message is not None)
    assert message is None or message in found[0]
    assert is_module(f"neurenix_transfer.{module}")
    assert is_module(f"neurenix_transfer.{imported}")


@pytest.mark.parametrize(("module", "path"), sources(), ids=str)
def test_device_types_are_named_by_backends_only(module: str, path: Path) -> None:
    if layer_of(module)[0] in MAY_NAME_DEVICES:
        return
    named = list(device_names(ast.parse(path.read_text(encoding="utf-8"))))
    assert not named, f"{path} names device types: {named}"


def test_the_checks_find_what_they_look_for() -> None:
    tree = ast.parse(
        "'''cuda in a docstring'''\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from neurenix.nn import Module\n"
        "def f():\n    from neurenix.nn import Linear\n    from . import op\n"
        "    if x.device.type == DeviceType.CUDA or x.device == 'cuda:1':\n        pass\n"
    )
    found = set(imports("neurenix.ops.matmul", Path("matmul.py"), tree))
    assert ("neurenix.nn", 6) in found
    assert "neurenix.nn.Module" not in {name for name, _ in found}
    assert ("neurenix.nn", 4) not in found
    assert [name for name, _ in device_names(tree)] == ["DeviceType.CUDA", "'cuda:1'"]
    assert layer_of("neurenix.nn.linear")[1] > layer_of("neurenix.ops.matmul")[1]
    with pytest.raises(AssertionError, match="no place"):
        layer_of("elsewhere.module")
