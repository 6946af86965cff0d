"""Pickles of plain data and arrays of bytes, read without executing anything.

A pickle is a program for a small machine, and the usual reader lets it call any function. This
one is a machine of its own that knows only how to build dicts, lists, tuples, numbers and text,
and the one form in which NumPy writes an array. Everything else is refused by its name.
"""

from __future__ import annotations

import math
import pickletools
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from netwright.core.languages import Phrase

_RECONSTRUCT = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
}
_ARRAY, _DTYPE = ("numpy", "ndarray"), ("numpy", "dtype")
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_FRESH = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_LITERALS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "SHORT_BINSTRING", "BINSTRING", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_MARK = object()


class PickleError(Exception):
    """What is in the pickle that is not plain data, or how it is damaged."""

    def __init__(self, reason: Phrase | str) -> None:
        super().__init__(str(reason))
        self.reason = reason


def read_pickle(content: bytes) -> Any:
    """What the pickle `content` holds: dicts, lists, tuples, numbers, text, bytes and uint8 arrays.

    Text of Python 2 comes as text, byte for byte (Latin-1). Raises `PickleError` for anything
    else, before it is built.

    >>> import pickle
    >>> read_pickle(pickle.dumps({"labels": [3, 5]}, protocol=2))
    {'labels': [3, 5]}
    >>> read_pickle(pickle.dumps(print))
    Traceback (most recent call last):
    netwright.data.pickles.PickleError: it asks for builtins.print
    """
    machine = _Machine()
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes in a name
            for code, argument, _ in pickletools.genops(content):
                if code.name == "STOP":
                    break
                machine.step(code.name, argument)
        return _plain(machine.pop())
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # What a program that makes no sense runs into, in the library's reader or in ours.
        raise PickleError(Phrase("its content is damaged")) from error


@dataclass
class _Array:
    """An array on its way: NumPy makes it empty first and fills it afterwards."""

    made: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Dtype:
    code: str


@dataclass(frozen=True)
class _Global:
    """The name of something to call; only names are ever looked at."""

    module: str
    name: str

    @property
    def pair(self) -> tuple[str, str]:
        return self.module, self.name


class _Machine:
    """A stack and a memory, as the pickle machine has them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def pop(self) -> Any:
        return self.stack.pop()

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _VALUES:
            stack.append(_VALUES[name])
        elif name in _FRESH:
            stack.append(_FRESH[name]())
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memory[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memory[len(self.memory)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memory[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            stack.append(tuple(self._marked()))
        elif name in ("APPEND", "APPENDS"):
            items = [self.pop()] if name == "APPEND" else self._marked()
            _checked(stack[-1], list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [self.pop(), self.pop()][::-1] if name == "SETITEM" else self._marked()
            for key, value in zip(items[::2], items[1::2], strict=True):
                _checked(stack[-1], dict)[_checked(key, str | bytes | int)] = value
        elif name == "GLOBAL":
            stack.append(_known(*argument.split(" ")))
        elif name == "STACK_GLOBAL":
            last, first = self.pop(), self.pop()
            stack.append(_known(first, last))
        elif name == "REDUCE":
            arguments = self.pop()
            stack.append(_made(self.pop(), arguments))
        elif name == "BUILD":
            state = self.pop()
            _filled(stack[-1], state)
        elif name not in ("PROTO", "FRAME"):
            raise PickleError(Phrase("it asks for the operation {name}", name=name))

    def _marked(self) -> list[Any]:
        """What lies above the last mark, taken off with it."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise IndexError
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items


def _known(module: str, name: str) -> _Global:
    found = _Global(module, name)
    if found.pair not in _RECONSTRUCT | {_ARRAY, _DTYPE}:
        raise PickleError(Phrase("it asks for {name}", name=f"{module}.{name}"))
    return found


def _made(called: Any, arguments: Any) -> _Array | _Dtype:
    pair = _checked(called, _Global).pair
    if pair in _RECONSTRUCT and _checked(arguments[0], _Global).pair == _ARRAY:
        return _Array()
    if pair == _DTYPE:
        return _Dtype(_checked(arguments[0], str).lstrip("|=<>"))
    raise _refused_array()


def _filled(target: Any, state: Any) -> None:
    """NumPy's state of an array: version, shape, type, whether columns come first, bytes."""
    if isinstance(target, _Dtype):  # byte order and the like: a byte has none
        return
    _, shape, dtype, columns_first, raw = state
    content = raw.encode("latin-1") if isinstance(raw, str) else _checked(raw, bytes)
    sizes = [_checked(size, int) for size in shape]
    if _checked(dtype, _Dtype).code != "u1" or columns_first or min(sizes, default=0) < 0:
        raise _refused_array()
    if math.prod(sizes) != len(content):
        raise _refused_array()
    _checked(target, _Array).made = np.frombuffer(content, np.uint8).reshape(sizes)


def _checked(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError
    return value


def _refused_array() -> PickleError:
    return PickleError(Phrase("it holds an array that is not one of plain bytes"))


def _plain(value: Any) -> Any:
    """The outermost level with its arrays in place; nothing deeper is looked at."""
    if isinstance(value, _Array):
        return value.made
    if isinstance(value, dict):
        return {key: each.made if isinstance(each, _Array) else each for key, each in value.items()}
    return value
