"""An interpreter of the pickles that describe weights, and of nothing more.

Python's own unpickler can call anything it can import, which is why loading a pickle from a
stranger runs the stranger's code. This one is no subclass of it: it interprets the few opcodes
that dicts, lists, tuples, strings, numbers and tensors are made of, calls only the functions
that it is given, and refuses every other opcode and every other name.

Reference: the opcode descriptions of Python's ``pickletools``, which also splits the stream.
"""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neurenix.io.errors import WeightsFileError


class PickleRefusedError(ValueError):
    """A pickle that is broken, or holds something that is not plain data."""


@dataclass(frozen=True, slots=True)
class Name:
    """A qualified name in a pickle, standing for the function it is allowed to call."""

    qualified: str
    function: Callable[..., Any] | None


# Opcodes whose argument is the value itself.
_VALUES = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset({"PROTO", "FRAME"})


def read_pickle(
    data: bytes,
    functions: Mapping[str, Callable[..., Any] | None],
    load_persistent: Callable[[Any], Any],
) -> Any:
    """Interpret a pickle.

    Args:
        data: The pickle.
        functions: What each allowed qualified name stands for: a function that the pickle may
            call, or ``None`` for a name that it may only mention.
        load_persistent: Gives the object that a persistent id stands for.

    Returns:
        The object that the pickle describes.

    Raises:
        PickleRefusedError: The pickle is broken, or names something not in ``functions``.
    """
    reader = _Reader(functions, load_persistent)
    position: int | None = 0
    try:
        for opcode, argument, position in pickletools.genops(data):  # noqa: B007 (for the error)
            if opcode.name == "STOP":
                return reader.result()
            reader.step(opcode.name, argument)
    except (PickleRefusedError, WeightsFileError):
        raise
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        reason = str(error) or type(error).__name__
        raise PickleRefusedError(f"invalid pickle near byte {position}: {reason}") from error
    raise PickleRefusedError("invalid pickle: it has no end")


class _Reader:
    """The pickle machine: a stack, the stacks below each mark, and a memo."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any] | None],
        load_persistent: Callable[[Any], Any],
    ) -> None:
        self._functions = functions
        self._load_persistent = load_persistent
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self._stack) != 1 or self._below:
            raise PickleRefusedError("invalid pickle: it does not end with one value")
        return self._stack[0]

    def step(self, name: str, argument: Any) -> None:
        if name in _VALUES:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _TUPLE_SIZES:
            size = _TUPLE_SIZES[name]
            values = [self._stack.pop() for _ in range(size)]
            self._stack.append(tuple(reversed(values)))
        elif name not in _IGNORED:
            method = _STEPS.get(name)
            if method is None:
                raise PickleRefusedError(
                    f"it uses the pickle opcode {name}, which plain data does not need"
                )
            method(self, argument)

    def _mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _pop_to_mark(self) -> list[Any]:
        values = self._stack
        self._stack = self._below.pop()
        return values

    def _tuple(self, _: Any) -> None:
        values = self._pop_to_mark()
        self._stack.append(tuple(values))

    def _empty_list(self, _: Any) -> None:
        self._stack.append([])

    def _list(self, _: Any) -> None:
        values = self._pop_to_mark()
        self._stack.append(values)

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._pop_to_mark())

    def _extend(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise TypeError(f"cannot append to a {type(target).__name__}")
        target.extend(values)

    def _empty_dict(self, _: Any) -> None:
        self._stack.append({})

    def _dict(self, _: Any) -> None:
        values = self._pop_to_mark()
        self._stack.append({})
        self._update(values)

    def _setitem(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._pop_to_mark())

    def _update(self, values: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, dict):
            raise TypeError(f"cannot set an item of a {type(target).__name__}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Nothing nested: hashing a tuple of shared tuples can take for ever.
            if not isinstance(key, str | int | float | None):
                raise TypeError(f"a dict key is a {type(key).__name__}, not a string or number")
            target[key] = value

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _global(self, argument: str) -> None:
        self._stack.append(self._resolve(argument.replace(" ", ".", 1)))

    def _stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name is not made of strings")
        self._stack.append(self._resolve(f"{module}.{name}"))

    def _resolve(self, qualified: str) -> Name:
        if qualified not in self._functions:
            raise PickleRefusedError(
                f"it refers to {qualified}, which is not among the tensors and plain values "
                "that are read; refused, since it could run code"
            )
        return Name(qualified, self._functions[qualified])

    def _inst(self, argument: str) -> None:
        name = self._resolve(argument.replace(" ", ".", 1))
        raise PickleRefusedError(f"it creates an instance of {name.qualified}; refused")

    def _reduce(self, _: Any) -> None:
        arguments, name = self._stack.pop(), self._stack.pop()
        if not isinstance(name, Name) or name.function is None or not isinstance(arguments, tuple):
            called = name.qualified if isinstance(name, Name) else f"a {type(name).__name__}"
            raise PickleRefusedError(f"it calls {called}; refused")
        self._stack.append(name.function(*arguments))

    def _build(self, _: Any) -> None:
        # PyTorch hangs a module's version numbers on a state dict: of no use here.
        self._stack.pop()
        target = self._stack[-1]
        if not isinstance(target, OrderedDict):
            raise PickleRefusedError(f"it sets attributes of a {type(target).__name__}; refused")

    def _persistent(self, _: Any) -> None:
        self._stack.append(self._load_persistent(self._stack.pop()))


_STEPS: dict[str, Callable[[_Reader, Any], None]] = {
    "MARK": _Reader._mark,
    "TUPLE": _Reader._tuple,
    "EMPTY_LIST": _Reader._empty_list,
    "LIST": _Reader._list,
    "APPEND": _Reader._append,
    "APPENDS": _Reader._appends,
    "EMPTY_DICT": _Reader._empty_dict,
    "DICT": _Reader._dict,
    "SETITEM": _Reader._setitem,
    "SETITEMS": _Reader._setitems,
    "PUT": _Reader._put,
    "BINPUT": _Reader._put,
    "LONG_BINPUT": _Reader._put,
    "MEMOIZE": _Reader._memoize,
    "GET": _Reader._get,
    "BINGET": _Reader._get,
    "LONG_BINGET": _Reader._get,
    "GLOBAL": _Reader._global,
    "STACK_GLOBAL": _Reader._stack_global,
    "INST": _Reader._inst,
    "REDUCE": _Reader._reduce,
    "BUILD": _Reader._build,
    "BINPERSID": _Reader._persistent,
}
