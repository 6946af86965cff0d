"""What an inspection says is in the language of the user, and in good grammar."""

import ast
from pathlib import Path

import netwright.inspection
from netwright.core.languages import speaking
from netwright.records.initial_state import InitialState, Judgement
from netwright.report.initial_words import told
from netwright.report.inspection_notes import _SAID, _spoken

SOURCES = Path(netwright.inspection.__file__).parent


def remarks():
    """Every text that a pass remarks, as it stands in the code."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in SOURCES.rglob("*.py")]
    constants = {
        target.id: node.value.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "remark":
                (said,) = node.args
                yield constants[said.id] if isinstance(said, ast.Name) else said.value


def test_every_remark_of_a_pass_is_said_in_chinese():
    texts = {*remarks()}
    assert len(texts) >= 3
    assert texts <= {*_SAID}
    with speaking("zh"):
        for text in (*texts, "The network asks for values (numpy): it was computed."):
            assert _spoken(text).localized() != text


def drifting(verdict, way, reach):
    found = Judgement(verdict=verdict, layers=("a",), value=0.07, direction=way, reach=reach)
    return InitialState(
        model="", kind="", samples=2, loss="", stages=(), judgements=(found,),
        forward_product=0.07, forward_gain=0.07, backward_product=0.07, backward_gain=0.07,
    )  # fmt: skip


def test_one_layer_is_no_layers():
    for verdict in ("shrinking", "growing"):
        for way in ("forward", "backward"):
            (text,) = told(drifting(verdict, way, 1))
            assert "over one layer" in text
            assert "1 layers" not in text
            assert "over 5 layers" in told(drifting(verdict, way, 5))[0]
