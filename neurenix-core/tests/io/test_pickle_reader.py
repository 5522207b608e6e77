from __future__ import annotations

import ast
import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

import neurenix
from neurenix.io.pickle_reader import PickleRefusedError, read_pickle

CALLS: list[Any] = []


class Evil:
    """Pickles as a call of ``record``, below."""

    def __reduce__(self) -> tuple[Any, ...]:
        return record, ("called",)


class Plain:
    """An ordinary class."""

    def __init__(self) -> None:
        self.x = 1


class Slotted(dict):
    """A dict with attributes."""


def record(*args: Any) -> None:
    CALLS.append(args)


def no_storage(key: Any) -> Any:
    raise AssertionError(key)


def read(data: bytes, **functions: Any) -> Any:
    names = {key.replace("__", "."): value for key, value in functions.items()}
    return read_pickle(data, {"collections.OrderedDict": OrderedDict, **names}, no_storage)


VALUES = [
    None,
    True,
    False,
    0,
    255,
    -1,
    65_536,
    2**31,
    -(2**63),
    2**100,
    2**3000,
    1.5,
    float("inf"),
    "",
    "naïve 名",
    "x" * 70_000,
    [],
    (),
    {},
    (1,),
    (1, 2),
    (1, 2, 3),
    (1, 2, 3, 4),
    [1, [2, [3, (4, {"five": 5})]]],
    {"a": 1, 2: "b", 3.5: None, True: []},
    list(range(3000)),
    {str(i): i for i in range(3000)},
    OrderedDict(a=1, b=[2]),
]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value!r:.20}")
def test_plain_values_read_as_pickle_reads_them(value: Any, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


def test_shared_and_recursive_lists_keep_their_identity() -> None:
    inner: list[Any] = [1]
    outer = read(pickle.dumps([inner, inner], 2))
    assert outer[0] is outer[1]
    recursive: list[Any] = []
    recursive.append(recursive)
    result = read(pickle.dumps(recursive, 2))
    assert result[0] is result


def test_attributes_of_an_ordered_dict_are_dropped() -> None:
    state = OrderedDict(a=1)
    state._metadata = OrderedDict(version=2)  # type: ignore[attr-defined]
    result = read(pickle.dumps(state, 2))
    assert result == {"a": 1}
    assert not hasattr(result, "_metadata")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_call_of_any_other_function_is_refused_by_name_and_not_made(protocol: int) -> None:
    with pytest.raises(
        PickleRefusedError, match=rf"refers to {re.escape(__name__)}\.record, .*run code"
    ):
        read(pickle.dumps([1, Evil()], protocol))
    assert CALLS == []


@pytest.mark.parametrize("value", [Plain(), Slotted(a=1), Plain, len, complex(1, 2)])
@pytest.mark.parametrize("protocol", [2, 4])
def test_other_classes_and_functions_are_refused_by_name(value: Any, protocol: int) -> None:
    name = getattr(value, "__qualname__", type(value).__qualname__)
    with pytest.raises(PickleRefusedError, match=rf"refers to [\w.-]*{name},"):
        read(pickle.dumps({"x": value}, protocol))


@pytest.mark.parametrize("value", [{1, 2}, frozenset({1}), b"bytes", bytearray(b"x")], ids=repr)
@pytest.mark.parametrize("protocol", [2, 5])
def test_other_builtin_kinds_are_refused(value: Any, protocol: int) -> None:
    with pytest.raises(PickleRefusedError, match=r"refers to|uses the pickle opcode"):
        read(pickle.dumps(value, protocol))


HOSTILE = {
    "INST": (b"(S'id'\nios\nsystem\n.", "opcode STRING"),
    "INST alone": (b"(ios\nsystem\n.", "refers to os.system"),
    "INST of an allowed name": (b"(icollections\nOrderedDict\n.", "creates an instance of"),
    "OBJ": (b"(ccollections\nOrderedDict\no.", "opcode OBJ"),
    "NEWOBJ": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
    "EXT1": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "PERSID": (b"Pos.system\n.", "opcode PERSID"),
    "BUILD on a function": (
        b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
        "sets attributes of a Name",
    ),
    "BUILD on a list": (b"\x80\x02]}b.", "sets attributes of a list"),
    "call of a string": (b"\x80\x02X\x02\x00\x00\x00os)R.", "calls a str"),
    "name by parts": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "refers to os.system"),
    "name of no strings": (b"\x80\x04K\x01K\x02\x93.", "not made of strings"),
    "dotted": (b"\x80\x02ccollections\nOrderedDict.__init__\n.", "OrderedDict.__init__"),
    "unhashable key": (b"\x80\x02}]K\x01s.", "a dict key is a list"),
    "tuple key": (b"\x80\x02})K\x01s.", "a dict key is a tuple"),
    "append to a tuple": (b"\x80\x02)K\x01a.", "cannot append to a tuple"),
    "odd items": (b"\x80\x02}(K\x01u.", "near byte"),
    "unknown memo": (b"\x80\x02h\x07.", "near byte"),
    "empty stack": (b"\x80\x02.", "does not end with one value"),
    "pop of nothing": (b"\x80\x02R.", "near byte"),
    "two values": (b"\x80\x02K\x01K\x02.", "does not end with one value"),
    "open mark": (b"\x80\x02(K\x01.", "does not end with one value"),
    "no end": (b"\x80\x02K\x01", "invalid pickle"),
    "empty": (b"", "invalid pickle"),
    "no pickle": (b"\xff\xfe", "invalid pickle"),
    "huge string": (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.", "invalid pickle"),
    "huge memo index": (b"\x80\x02K\x01r\xff\xff\xff\x7f0.", "opcode POP"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_and_broken_pickles_are_refused(case: str) -> None:
    data, message = HOSTILE[case]
    with pytest.raises(PickleRefusedError) as caught:
        read(data)
    assert message in str(caught.value)


def test_an_allowed_name_that_is_no_function_cannot_be_called() -> None:
    with pytest.raises(PickleRefusedError, match=r"calls torch\.FloatStorage"):
        read(b"\x80\x02ctorch\nFloatStorage\n)R.", torch__FloatStorage=None)


def test_wrong_arguments_of_an_allowed_function_are_an_invalid_pickle() -> None:
    with pytest.raises(PickleRefusedError, match="near byte"):
        read(b"\x80\x02cx\ny\nK\x01\x85R.", x__y=lambda: None)


def test_no_module_of_the_package_imports_an_unpickler() -> None:
    for path in Path(neurenix.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {"pickle", "marshal", "shelve", "dill", "joblib"} & set(names), path
