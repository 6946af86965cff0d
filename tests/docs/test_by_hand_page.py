"""The page of the mathematics by hand has every function, its derivation and its lines."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from netwright.core.registry import Entry
from netwright.nn.by_hand import BY_HAND
from netwright.optim.by_hand import RULES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "by-hand.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", [*BY_HAND, *RULES], ids=lambda entry: entry.name)
def test_every_function_has_a_section_with_derivation_and_code(entry: Entry) -> None:
    (section,) = re.findall(rf"^#### {entry.name}\n(.*?)(?=^###|\Z)", PAGE, flags=re.M | re.S)
    assert entry.doc in section
    assert re.search(r"^\*\*(Backward|Derivation)", section, flags=re.MULTILINE)
    assert f"**Source:** {entry.facts['paper']}." in section
    assert f"```python\ndef {entry.name}(" in section
    assert '"""' not in section
    assert f"(#{entry.name})" in PAGE


def test_the_page_is_the_one_that_the_code_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    assert importlib.import_module("by_hand_page").page() == PAGE


def test_no_two_sections_share_an_address() -> None:
    headings = [each.lower() for each in re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)]
    assert len(headings) == len(set(headings))
