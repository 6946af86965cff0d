"""A result with its working: the formula, the same with the numbers put in, and the value.

The value of a line is computed from the text of its formula, so what is shown is what was
calculated. (The functions beside this file compute the same directly; tests compare the two.)
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from netwright.core.languages import Phrase

Number = int | float | Fraction


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of working: `name` = `formula` = `numbers` = `value`. `topic` groups the lines."""

    name: str
    formula: str
    numbers: str
    value: Number
    topic: str = ""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that was asked: its name for programs, its label for people, its value.

    A tuple is a shape, a `Fraction` a share; `topic` is that of the lines it follows from.
    """

    name: str
    label: Phrase
    value: Any
    topic: str = ""
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table that belongs to an answer: a heading for each column, then the rows."""

    name: str
    head: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    topic: str = ""


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What a calculation gives back: the facts, how they were found, and what to know of them."""

    facts: tuple[Fact, ...]
    working: tuple[Line, ...] = ()
    tables: tuple[Rows, ...] = ()
    notes: tuple[Phrase, ...] = field(default=())

    def __getitem__(self, name: str) -> Any:
        """The value of one fact."""
        return next(each.value for each in self.facts if each.name == name)

    def __contains__(self, name: object) -> bool:
        return any(each.name == name for each in self.facts)

    def only(self, topics: Sequence[str]) -> Worked:
        """The same with the facts, lines and tables of these topics alone; the notes stay."""
        return Worked(
            facts=tuple(each for each in self.facts if each.topic in topics),
            working=tuple(each for each in self.working if each.topic in topics),
            tables=tuple(each for each in self.tables if each.topic in topics),
            notes=self.notes,
        )


def line(name: str, formula: str, *, topic: str = "", **numbers: Number) -> Line:
    """The line of working for `formula`, whose letters stand for `numbers`.

    >>> line("o", "floor((i + 2*p - k) / s) + 1", i=224, p=3, k=7, s=2)
    ... # doctest: +NORMALIZE_WHITESPACE
    Line(name='o', formula='floor((i + 2*p - k) / s) + 1',
         numbers='floor((224 + 2*3 - 7) / 2) + 1', value=112, topic='')
    """
    value = _value(ast.parse(formula, mode="eval").body, numbers)
    shown = re.sub(r"[A-Za-z_]\w*", lambda found: _shown(numbers.get(found[0], found[0])), formula)
    return Line(name=name, formula=formula, numbers=shown, value=value, topic=topic)


def plain(value: Number) -> int | float:
    """A number as JSON holds it."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    return value


def _shown(value: Number | str) -> str:
    if isinstance(value, str):
        return value
    text = f"{plain(value):.6g}" if isinstance(plain(value), float) else str(plain(value))
    return f"({text})" if value < 0 else text


def _divided(a: Number, b: Number) -> Number:
    if isinstance(a, float) or isinstance(b, float):
        return a / b
    return _whole(Fraction(a) / b)


def _whole(value: Fraction) -> Number:
    return value.numerator if value.denominator == 1 else value


_OPERATIONS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divided,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "max": max,
    "min": min,
}


def _value(node: ast.expr, numbers: Mapping[str, Number]) -> Any:
    """The value of the little language our formulas are written in."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return numbers[node.id]
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, numbers), _value(node.right, numbers)
        found = _OPERATIONS[type(node.op)](left, right)
        return _whole(found) if isinstance(found, Fraction) else found
    assert isinstance(node, ast.Call), ast.dump(node)
    assert isinstance(node.func, ast.Name), ast.dump(node)
    return _FUNCTIONS[node.func.id](*(_value(each, numbers) for each in node.args))
