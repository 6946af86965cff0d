"""How a docstring becomes a part of the manual."""

import importlib
from pathlib import Path
from types import MappingProxyType

import pytest

from netwright.core.config import config, setting
from netwright.core.registry import Entry

DOCS = Path(__file__).resolve().parents[2] / "docs"


@config
class RoundOptions:
    size: int = setting(3, ge=1, help="how large", unit="pixels")


def first() -> None:
    """Round, with |x| below 1.

    When to use it: always.

    What goes wrong: nothing.

    >>> 1 + 1
    2
    """


def second() -> None:
    """Square.

    When to use it: never.
    What goes wrong: nothing.
    """


def entry(name, target):
    facts = MappingProxyType({"paper": "Euler 1748", "sides": 1000, "make": print})
    return Entry(name=name, target=target, options=RoundOptions, facts=facts)


@pytest.fixture
def family_pages(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("family_pages")


@pytest.fixture
def page(family_pages):
    leaves = [entry("round", first), entry("square", second)]
    return family_pages.page(
        family_pages.Family(
            title="Figures",
            page="figures",
            chosen="figure=NAME",
            prefix="figure.",
            package="netwright.nn.losses",
            leaves=leaves,
            columns={"sides": lambda each: str(each.facts["sides"])},
        )
    )


def test_the_table_at_the_top_compares_every_leaf(page):
    assert "| [round](#round) | Round, with \\|x\\| below 1. | 1000 |" in page
    assert "Contents: [round](#round) · [square](#square)" in page


def test_named_paragraphs_become_sections_and_examples_are_fenced(page):
    assert "\n**When to use it:** always.\n" in page
    assert "\n```pycon\n>>> 1 + 1\n2\n```\n" in page


def test_a_section_and_settings_said_before_are_linked_and_not_repeated(page):
    assert page.count("nothing.") == 1
    assert "**What goes wrong:** as with [round](#round)." in page
    assert page.count("| `figure.size` | `3` | at least 1 | how large (pixels) |") == 1
    assert "**Settings:** those of [round](#round)." in page


def test_source_and_plain_facts_stand_at_the_end(page):
    assert "\n**Source:** Euler 1748.\n" in page
    assert page.endswith("\n**Facts:** sides: 1,000.\n")


def test_no_two_blank_lines_follow_each_other(page):
    assert "\n\n\n" not in page
