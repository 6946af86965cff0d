"""The registry: a folder of leaves, read on first use."""

import sys

import pytest

from netwright.core.errors import UnknownNameError
from netwright.core.registry import Registry


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A package `shapes` with the leaves circle and square20, square3; `_private` is no leaf."""
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from netwright.core.registry import Registry\n"
        'SHAPES = Registry("shape", "shapes", listing="netwright ls shapes")\n'
    )
    (folder / "circle.py").write_text(
        "from shapes import SHAPES\n"
        '@SHAPES.register("circle", sides=0)\n'
        "def circle():\n"
        '    """Round.\n\n    All around."""\n'
    )
    (folder / "squares.py").write_text(
        "from shapes import SHAPES\n"
        'SHAPES.register("square20")(lambda: 20)\n'
        'SHAPES.register("square3")(lambda: 3)\n'
    )
    (folder / "_private.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import shapes

    yield shapes.SHAPES
    for name in [each for each in sys.modules if each.partition(".")[0] == "shapes"]:
        del sys.modules[name]


def test_the_folder_is_read_on_first_use_and_not_before(family):
    assert "shapes.circle" not in sys.modules
    assert "circle" in family
    assert "shapes.circle" in sys.modules


def test_names_are_in_natural_order(family):
    assert family.names() == ["circle", "square3", "square20"]


@pytest.mark.parametrize("spelling", ["circle", "Circle", " CIRCLE "])
def test_any_case_finds_the_leaf(family, spelling):
    assert family.get(spelling).name == "circle"


def test_dash_and_underscore_are_one():
    registry = Registry("loss", "nowhere")
    registry._read = True
    registry.register("cross_entropy")(len)
    assert registry.get("cross-entropy").target is len
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("Cross-Entropy")(max)


def test_registering_the_same_thing_again_is_no_clash():
    registry = Registry("loss", "nowhere")
    registry.register("mse")(len)
    assert registry.register("mse")(len) is len


def test_an_entry_has_its_facts_and_the_first_line_of_its_docs(family):
    entry = family.get("circle")
    assert (entry.doc, entry.facts["sides"], entry.options) == ("Round.", 0, None)


def test_an_unknown_name_is_answered_with_the_nearest(family):
    with pytest.raises(UnknownNameError, match=r"Nearest: square3, square20[^\n]*\n.*ls shapes"):
        family.get("square4")


def test_a_leaf_that_cannot_be_imported_fails_every_time(family, tmp_path):
    (tmp_path / "shapes" / "broken.py").write_text("raise OSError('no')\n")
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            family.names()


def test_what_is_no_text_is_no_name(family):
    assert 3 not in family
    assert len(family) == 3


def test_names_come_in_natural_order_whatever_the_order_of_import():
    registry = Registry("leaf", "netwright.augment")
    registry._read = True
    for name in ("b10", "zeta", "b9", "alpha", "b-10x"):
        registry.register(name)(lambda: None)
    assert registry.names() == ["alpha", "b9", "b10", "b-10x", "zeta"]
