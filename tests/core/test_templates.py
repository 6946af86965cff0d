"""Every message of the package has its Chinese, with the same places to fill.

The templates are literals in the code, so the code itself is read: first arguments of `say`,
`Phrase` and the errors, `hint=`, `template=`, and the texts of the help pages.
"""

import ast
import functools
import importlib
import json
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import netwright.core
from netwright.cli.commands.ls import FAMILIES
from netwright.core import errors

SOURCE = Path(netwright.core.__file__).parent.parent
PAGES = sorted((SOURCE / "core" / "zh").glob("*.json"))
PACKAGES = sorted(path.name for path in SOURCE.iterdir() if (path / "__init__.py").exists())

SPEAKERS = {"say", "Phrase"} | {
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.NetwrightError)
} - {"UnknownNameError"}  # its first argument is the kind, as that of a registry
SECOND = {"note", "_note"}  # note(word, template)
KEYWORDS = {"hint", "template", "between"}
HELP = {"help", "about", "group", "settings"}
ASSIGNED = {"hint", "template"}


def literals(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)
    elif isinstance(node, ast.Tuple):
        for each in node.elts:
            yield from literals(each)


def name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


@functools.cache
def nodes_of(file: Path) -> list[ast.AST]:
    """All of one file; each is read once for all tests."""
    return list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def templates_in(file: Path) -> Iterator[str]:
    in_cli = "cli" in file.relative_to(SOURCE).parts
    for node in nodes_of(file):
        if isinstance(node, ast.Call):
            name = name_of(node.func)
            if name in SPEAKERS | {"Registry"} and node.args:
                yield from literals(node.args[0])
            if name in SECOND and len(node.args) > 1:
                yield from literals(node.args[1])
            for keyword in node.keywords:
                of_help = in_cli and name in {"Parameter", "register"} and keyword.arg in HELP
                if keyword.arg in KEYWORDS or of_help:
                    yield from literals(keyword.value)
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if names & ASSIGNED or (in_cli and "GROUPS" in names):
                yield from literals(node.value)
        elif isinstance(node, ast.FunctionDef) and in_cli:
            marks = [name_of(d.func) for d in node.decorator_list if isinstance(d, ast.Call)]
            if "register" in marks:
                yield (ast.get_docstring(node) or "").partition("\n")[0]


def spoken(template: str) -> bool:
    """Whether there is a word in it to translate, besides its places."""
    words = "".join(text for text, *_ in string.Formatter().parse(template))
    return any(char.isalpha() for char in words)


def templates_of(package: str) -> dict[str, str]:
    return {
        template: f"{file.relative_to(SOURCE)}"
        for file in sorted((SOURCE / package).rglob("*.py"))
        for template in templates_in(file)
        if spoken(template)
    }


@functools.cache
def leaf_lines() -> tuple[str, ...]:
    """The line of every leaf that `netwright ls` shows; some are made, not written."""
    registries = [getattr(importlib.import_module(m), name) for m, name in FAMILIES.values()]
    return tuple(entry.doc for registry in registries for entry in registry)


@functools.cache
def said() -> frozenset[str]:
    """Every text in the code, the first line of each, and the lines of leaves."""
    texts = {
        node.value
        for file in SOURCE.rglob("*.py")
        for node in nodes_of(file)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return frozenset(texts | {text.strip().partition("\n")[0] for text in texts} | {*leaf_lines()})


@functools.cache
def catalogue() -> dict[str, str]:
    return {
        english: chinese
        for page in PAGES
        for english, chinese in json.loads(page.read_text(encoding="utf-8")).items()
    }


def places(template: str) -> set[str]:
    return {name for _, name, *_ in string.Formatter().parse(template) if name is not None}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_message_has_its_chinese(package):
    known = catalogue()
    missing = {t: file for t, file in templates_of(package).items() if t not in known}
    assert missing == {}


def test_every_leaf_has_a_line_in_both_languages():
    known = catalogue()
    assert [line for line in leaf_lines() if line not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_english_and_chinese_have_the_same_places(page):
    words = json.loads(page.read_text(encoding="utf-8"))
    assert {e: c for e, c in words.items() if places(e) != places(c)} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_chinese_message_is_still_said_somewhere(page):
    words = json.loads(page.read_text(encoding="utf-8"))
    assert [english for english in words if english not in said()] == []


def test_no_two_pages_translate_a_message_differently():
    seen: dict[str, str] = {}
    for page in PAGES:
        for english, chinese in json.loads(page.read_text(encoding="utf-8")).items():
            assert seen.setdefault(english, chinese) == chinese, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_translation_is_chinese_and_not_empty(page):
    words = json.loads(page.read_text(encoding="utf-8"))
    # Wide punctuation is Chinese too: all of it stands behind the CJK radicals.
    odd = [e for e, c in words.items() if spoken(e) and not any(char > "\u2e80" for char in c)]
    assert odd == []
