"""The source of a script, changed by replacing exact spans: what is not meant stays byte for byte.

Nothing is ever written from the tree again: comments, quotes, line ends, encoding and indentation
are the user's. The tree only tells where things stand.
"""

from __future__ import annotations

import ast
import codecs
import functools
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)

Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef


class CannotPatchError(Exception):
    """The script has a form in which a change cannot be written; what the finding advises stands
    as text."""


@dataclass(frozen=True)
class Edit:
    """`text` in the place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Script:
    r"""`text` with its own line ends. It is read from bytes and gives them again.

    >>> script = Script.read(b"x = 1\r\ny = 2")
    >>> script.newline, script.edited([script.replaced(script.tree.body[1].value, "3")]).data
    ('\r\n', b'x = 1\r\ny = 3')
    """

    text: str
    encoding: str = "utf-8"
    bom: bool = False

    @classmethod
    def read(cls, data: bytes) -> Script:
        """Raises `CannotPatchError` for what is no Python source, or has line ends of old Macs."""
        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
            bom = data.startswith(codecs.BOM_UTF8)
            text = data[len(codecs.BOM_UTF8) if bom else 0 :].decode(encoding.removesuffix("-sig"))
        except (SyntaxError, UnicodeDecodeError, LookupError) as error:
            raise CannotPatchError(str(error)) from error
        if re.search(r"\r(?!\n)|\0", text):
            raise CannotPatchError("line ends of old Macs, or null bytes")
        script = cls(text, encoding.removesuffix("-sig"), bom)
        _ = script.tree
        return script

    @functools.cached_property
    def data(self) -> bytes:
        body = self.text.encode(self.encoding)
        return codecs.BOM_UTF8 + body if self.bom else body

    @functools.cached_property
    def tree(self) -> ast.Module:
        try:
            return ast.parse(self.text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise CannotPatchError(str(error)) from error

    @functools.cached_property
    def newline(self) -> str:
        return "\r\n" if "\r\n" in self.text else "\n"

    @functools.cached_property
    def unit(self) -> str:
        """One step of indentation, as the script has it."""
        for node in ast.walk(self.tree):
            for body in bodies(node):
                outer = "" if isinstance(node, ast.Module) else self.indent(node)
                inner = self.indent(body[0])
                if outer is not None and inner is not None and inner != outer:
                    return inner.removeprefix(outer)
        return "    "

    # Where things stand

    @functools.cached_property
    def _starts(self) -> list[int]:
        return [0, *(each.end() for each in re.finditer("\n", self.text))]

    def offset(self, line: int, column: int) -> int:
        """The place in the text of a column in bytes of UTF-8, as a tree counts them."""
        start = self._starts[line - 1]
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return start + len(self.text[start:end].encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.arg)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self.offset(node.lineno, node.col_offset),
            self.offset(node.end_lineno, node.end_col_offset),
        )

    def of(self, node: ast.AST) -> str:
        """The source of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def indent(self, node: ast.AST) -> str | None:
        """The white space before a statement that begins its line; None of one that does not."""
        assert isinstance(node, ast.expr | ast.stmt)
        before = self.text[self._starts[node.lineno - 1] : self.span(node)[0]]
        return before if not before.strip() else None

    @functools.cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, the innermost first."""
        while (around := self.parents.get(node)) is not None:
            yield around
            node = around

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that a node stands in, or is: where lines may be put beside it.

        `CannotPatchError` for what a lambda or a comprehension holds, which runs at another time
        and another number of times than its statement does.
        """
        for each in (node, *self.above(node)):
            if isinstance(each, APART):
                raise CannotPatchError("within a lambda or a comprehension")
            if isinstance(each, ast.stmt):
                break
        return self.enclosing(node)

    def enclosing(self, node: ast.AST) -> ast.stmt:
        """The statement around a node, also of what a lambda or a comprehension holds."""
        for each in (node, *self.above(node)):
            if isinstance(each, ast.stmt):
                return each
        raise CannotPatchError("not in a statement")

    def scope(self, node: ast.AST) -> Scope:
        """The function that a node stands in, else the module."""
        for each in self.above(node):
            if isinstance(each, Scope):
                return each
        return self.tree

    def block(self, node: ast.stmt) -> list[ast.stmt]:
        """The statements among which a statement stands."""
        around = self.parents[node]
        for body in bodies(around):
            if any(each is node for each in body):
                return body
        raise CannotPatchError("in no block")

    def all(self, kind: type[Node], within: ast.AST | None = None) -> list[Node]:
        """Nodes of a kind in the order of the source."""
        found = [e for e in ast.walk(within or self.tree) if isinstance(e, kind)]
        return sorted(found, key=lambda e: (getattr(e, "lineno", 0), getattr(e, "col_offset", 0)))

    # Changes

    def edited(self, edits: Iterable[Edit]) -> Script:
        """The script with all of these; `CannotPatchError` where it would not parse or cannot be
        written in its encoding."""
        text, before = self.text, len(self.text) + 1
        for each in sorted(edits, key=lambda e: (e.start, e.end), reverse=True):
            if each.end > before:
                raise CannotPatchError("two changes of one place")
            text = text[: each.start] + each.text + text[each.end :]
            before = each.start
        changed = replace(self, text=text)
        try:
            _ = changed.tree, changed.data
        except UnicodeEncodeError as error:
            raise CannotPatchError(str(error)) from error
        return changed

    def replaced(self, node: ast.AST, text: str) -> Edit:
        return Edit(*self.span(node), text)

    def before(self, place: ast.stmt, *lines: str) -> Edit:
        """New lines before a statement, a tab for each step of indentation they add."""
        start = self.span(place)[0]
        indent = self.indent(place)
        if indent is None:
            return Edit(start, start, "".join(f"{each}; " for each in self._plain(place, lines)))
        place_in_line = start - len(indent)
        return Edit(place_in_line, place_in_line, self._lines(indent, lines))

    def after(self, place: ast.stmt, *lines: str) -> Edit:
        """New lines behind a statement."""
        end = self.span(place)[1]
        line = self.text.find("\n", end)
        rest = self.text[end : line if line >= 0 else len(self.text)].strip()
        indent = self.indent(place)
        if indent is None or (rest and not rest.startswith("#")):
            return Edit(end, end, "".join(f"; {each}" for each in self._plain(place, lines)))
        if line < 0:
            text = self.newline + self._lines(indent, lines).removesuffix(self.newline)
            return Edit(len(self.text), len(self.text), text)
        return Edit(line + 1, line + 1, self._lines(indent, lines))

    def without(self, place: ast.stmt) -> Edit:
        """A statement taken away, with its line where it has one to itself; `pass` where it was
        the only one of its block."""
        start, end = self.span(place)
        if len(self.block(place)) == 1:
            return Edit(start, end, "pass")
        line = self.text.find("\n", end)
        line = len(self.text) if line < 0 else line + 1
        rest = self.text[end:line]
        indent = self.indent(place)
        if indent is not None and (not rest.strip() or rest.strip().startswith("#")):
            return Edit(start - len(indent), line, "")
        if behind := re.match(r"[ \t]*;[ \t]*", rest):
            return Edit(start, end + behind.end(), "")
        before = re.search(r"[ \t]*;[ \t]*\Z", self.text[:start])
        if before is None:
            raise CannotPatchError("a statement that cannot be taken out of its line")
        return Edit(before.start(), end, "")

    def taken(self, place: ast.stmt) -> str:
        """The source of a statement that has its lines to itself, without its indentation."""
        if "\n" in self.of(place) and self.indent(place):
            raise CannotPatchError("a statement of several lines")
        return self.of(place)

    def without_item(self, call: ast.Call, item: ast.expr | ast.keyword) -> Edit:
        """An argument of a call taken away, with its comma, and with its line if it is alone on
        it."""
        start, end = self.span(item)
        close = self.span(call)[1] - 1
        comma = re.match(r"\s*,", self.text[end:close])
        if comma is not None:
            end += comma.end()
            line = self.text.rfind("\n", 0, start) + 1
            stop = self.text.find("\n", end)
            alone = stop >= 0 and not self.text[line:start].strip()
            tail = self.text[end:stop].strip() if alone else ""
            if alone and (not tail or tail.startswith("#")):
                return Edit(line, stop + 1, "")
            blank = re.match(r"[ \t]*", self.text[end:close])
            later = [e for e in (*call.args, *call.keywords) if self.span(e)[0] > start]
            if not later:
                start = len(self.text[:start].rstrip(" \t"))
            return Edit(start, end + (blank.end() if blank and later else 0), "")
        before = re.search(r",\s*\Z", self.text[:start])
        return Edit(before.start() if before is not None else start, end, "")

    def with_argument(self, call: ast.Call, name: str, text: str) -> Edit:
        """A keyword argument set: the one that is there replaced, else added as the last."""
        for each in call.keywords:
            if each.arg == name:
                return self.replaced(each.value, text)
        given = [*call.args, *call.keywords]
        if not given:
            start = self.span(call)[1] - 1
            return Edit(start, start, f"{name}={text}")
        if any(each.arg is None for each in call.keywords):
            raise CannotPatchError("arguments that are unpacked")
        last = max(self.span(each)[1] for each in given)
        if len(given) == 1 and isinstance(given[0], ast.GeneratorExp):
            raise CannotPatchError("a generator as the only argument")
        return Edit(last, last, f", {name}={text}")

    def _lines(self, indent: str, lines: Iterable[str]) -> str:
        found = []
        for each in lines:
            bare = each.lstrip("\t")
            inner = indent + self.unit * (len(each) - len(bare))
            found.append(f"{inner}{bare}{self.newline}" if bare else self.newline)
        return "".join(found)

    def _plain(self, place: ast.stmt, lines: Iterable[str]) -> list[str]:
        """Lines that may stand between semicolons."""
        found = [each for each in lines if not each.startswith("#")]
        simple = all(not each.startswith("\t") and not each.endswith(":") for each in found)
        if not simple or not isinstance(place, SIMPLE):
            raise CannotPatchError("there is no line of its own for it")
        return found


APART = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
"""Expressions whose parts do not run just when their statement does."""

SIMPLE = (
    ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Pass, ast.Delete, ast.Assert, ast.Raise,
    ast.Return, ast.Break, ast.Continue, ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal,
)  # fmt: skip
"""Statements that may share a line."""


def bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The blocks of statements right within a node."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        found = getattr(node, name, None)
        if isinstance(found, list) and found and isinstance(found[0], ast.stmt):
            yield found
