"""The page of the mathematics by hand: derivations from the docstrings, and the code under them.

A chapter is a file of `netwright.nn.by_hand` or `netwright.optim.by_hand`, headed by its first
line; a section is a function of it, with its docstring, its lines and its source.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from netwright.core.registry import Registry
from netwright.nn import by_hand as layers
from netwright.nn.by_hand import BY_HAND
from netwright.optim import by_hand as rules
from netwright.optim.by_hand import RULES

HEADS = re.compile(r"(Backward[^:\n]*|Derivation[^:\n]*|What goes wrong|Source):")


def page() -> str:
    """The whole page."""
    lines = [
        "# By hand",
        "",
        "What torch computes and `autograd` derives, written out: each function with its formula,",
        "its derivation, its traps and its few lines of NumPy. Tests compare every one with torch,",
        "forward and backward, over many settings, and with numeric derivatives; every update rule",
        "with its optimizer, step by step. [All families](families.md)",
    ]
    for title, package, registry in (("Layers", layers, BY_HAND), ("Update rules", rules, RULES)):
        chapters = list(_files(package))
        names = [
            " · ".join(f"[{name}](#{name.lower()})" for name, _ in _functions(each))
            for each in chapters
        ]
        lines += ["", f"## {title}", "", *_paragraphs(package), ""]
        lines += ["| chapter | functions |", "|---|---|"]
        lines += [f"| {_title(c)} | {n} |" for c, n in zip(chapters, names, strict=True) if n]
        for chapter in chapters:
            lines += ["", f"### {_title(chapter)}"]
            for paragraph in list(_paragraphs(chapter))[1:]:
                lines += ["", paragraph]
            for name, function in _functions(chapter):
                lines += ["", f"#### {name}"]
                for block in _section(name, function, registry):
                    lines += ["", block]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def _files(package: ModuleType) -> Iterator[ModuleType]:
    """The files of a package in the order of their names, what several share at the end."""
    names = [leaf.name for leaf in pkgutil.iter_modules(package.__path__)]
    for name in sorted(names, key=lambda each: (each.startswith("_"), each)):
        module = importlib.import_module(f"{package.__name__}.{name}")
        if any(inspect.getdoc(function) for _, function in _functions(module)):
            yield module


def _functions(module: ModuleType) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions a file defines, from top to bottom, but those that only help it."""
    for name, function in vars(module).items():
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            doc = inspect.getdoc(function) or ""
            if not name.startswith("_") and (">>>" in doc or HEADS.search(doc)):
                yield name, function


def _section(name: str, function: Callable[..., Any], registry: Registry[Any]) -> Iterator[str]:
    yield from _paragraphs(function)
    if name in registry:
        yield f"**Source:** {registry.get(name).facts['paper']}."
    yield f"```python\n{_code(function)}\n```"


def _paragraphs(thing: Any) -> Iterator[str]:
    """The paragraphs of a docstring: heads in bold, examples fenced, formulas kept indented."""
    for paragraph in re.split(r"\n\n", inspect.getdoc(thing) or ""):
        if paragraph.startswith(">>>"):
            paragraph = f"```pycon\n{paragraph}\n```"
        yield HEADS.sub(r"**\1:**", paragraph, count=1) if HEADS.match(paragraph) else paragraph
        yield ""


def _title(module: ModuleType) -> str:
    return (inspect.getdoc(module) or "").partition("\n")[0].removesuffix(".")


def _code(function: Callable[..., Any]) -> str:
    """The function as it stands in its file, without its docstring and its registration."""
    source = textwrap.dedent(inspect.getsource(function))
    (tree,) = ast.parse(source).body
    assert isinstance(tree, ast.FunctionDef)
    docstring = tree.body[0]
    assert docstring.end_lineno is not None
    lines = source.splitlines()
    head, body = lines[tree.lineno - 1 : docstring.lineno - 1], lines[docstring.end_lineno :]
    return "\n".join([*head, *body]).strip("\n")
