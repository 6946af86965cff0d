"""`netwright inspect MODEL --initial`: any initialiser with any activation, and the picture."""

import json

import pytest

from netwright.nn.initialisers import INITIALISERS


def test_initialisers_and_activations_are_compared_and_drawn(netwright, tmp_path):
    place = tmp_path / "start.svg"
    line = ("inspect", "mlp", "--initial", "noise", "init=he,constant", "act=relu,tanh")
    answer = netwright(*line, "--initial-picture", str(place))
    assert answer.status == 0
    rows = [each.split()[:3] for each in answer.out.splitlines()]
    first = rows.index(["initialiser", "activation", "verdict"])
    assert rows[first + 1 : first + 5] == [
        ["he", "relu", "steady"],
        ["constant", "relu", "alike"],
        ["he", "tanh", "steady"],
        ["constant", "tanh", "shrinking"],
    ]
    assert "constant relu: Alike: all units of" in answer.out
    assert "init=" not in answer.err, "the lines offered next can be typed: they ask for no start"
    drawn = place.read_text()
    assert all(
        f"{init} · {act}" in drawn for init in ("he", "constant") for act in ("relu", "tanh")
    )
    heights = [float(each.split(")")[0]) for each in drawn.split("translate(0 ")[1:]]
    assert heights == sorted(set(heights)), "each stands under the one before"
    assert len(heights) == 4


def test_all_are_taken_when_none_or_all_are_named(netwright):
    document = json.loads(
        netwright("inspect", "mlp", "--initial", "noise", "init=all", "--json").out
    )
    assert [each["initialiser"] for each in document["initials"]] == INITIALISERS.names()
    assert {each["activation"] for each in document["initials"]} == {"relu"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["init=he"], "init= is about the start"),
        (["--initial-picture", "a.svg"], "--initial-picture is about the start"),
        (["--initial", "noise", "init=hee"], "hee"),
        (["--initial", "noise", "act=rellu"], "relu"),
        (["--initial", "noise", "--initial-picture", "a.png"], "a.svg"),
    ],
)
def test_what_is_refused(netwright, words, said):
    answer = netwright("inspect", "mlp", *words)
    assert answer.status == 2
    assert said in answer.err
