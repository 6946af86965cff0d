"""`netwright lr-range`: its lines, its document, its picture, and what it refuses."""

import json
import os
import shlex
import xml.etree.ElementTree as ET

import pytest

TINY = ["lr-range", "digits", "mlp", "model.hidden=[16]"]
LOW = [*TINY, "--first", "1e-8", "--last", "1e-6", "--steps", "20"]


def test_it_ends_with_the_training_that_it_found_a_rate_for(netwright, tmp_path):
    answer = netwright(*TINY, "--save", "rates.svg", "optim.lr=9", "--seed", "3")
    assert answer.status == 0
    lines = answer.out.splitlines()
    assert lines[0].split() == ["Learning", "rate", "Loss"]
    assert any(line.startswith("Three rules agree on a rate between") for line in lines)
    assert lines[-1] == "wrote rates.svg"
    rate = float(lines[-2].split("optim.lr=")[1].split()[0])
    assert lines[-2] == f"suggested  optim.lr={rate:g}  for adamw"
    (following,) = [each for each in answer.err.splitlines() if each.startswith("Next:")]
    expected = f"netwright train digits mlp --seed 3 'model.hidden=[16]' optim.lr={rate}"
    assert following == f"Next: {expected}"
    assert ET.parse(tmp_path / "rates.svg").getroot().tag.endswith("svg")
    assert [each.name for each in tmp_path.iterdir()] == ["rates.svg"]  # and no run
    assert netwright(*shlex.split(expected)[1:], "epochs=1", "steps=2", "--dry-run").status == 0


def test_the_document_is_one_and_whole(netwright):
    document = json.loads(netwright(*TINY, "--json").out)
    assert document["format"] == 1
    assert document["next"].endswith(f"optim.lr={document['suggestion']}")
    assert sorted(document["readings"]) == ["blow-up", "middle", "steepest"]
    assert len(document["rates"]) == len(document["losses"])
    assert (document["optimizer"], document["picture"]) == ("adamw", None)


def test_a_refusal_is_an_answer(netwright):
    answer = netwright(*LOW)
    assert answer.status == 0
    assert answer.out.splitlines()[-1] == "suggested  none"
    assert "test higher rates" in answer.out
    assert "Next:" not in answer.err
    document = json.loads(netwright(*LOW, "--json").out)
    assert (document["suggestion"], document["next"]) == (None, None)
    assert "test higher rates" in document["why"]


def test_it_speaks_chinese(netwright):
    answer = netwright(*LOW, "--lang", "zh")
    assert "请测试更大的学习率" in answer.out
    assert "不保留任何结果" in "".join(answer.err.split())


def test_the_test_has_its_own_steps_whatever_the_training_is_to_take(netwright):
    document = json.loads(netwright(*LOW, "steps=3", "--json").out)
    assert len(document["losses"]) == 20


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lr-range"], "netwright lr-range needs DATA or --config."),
        (["lr-range", "digits", "mpl"], 'No model called "mpl".'),
        ([*TINY, "optim.lrr=1"], "lrr"),
        ([*TINY, "optim=lbfgs"], "optim=lbfgs computes the loss several times"),
        ([*TINY, "--first", "2", "--last", "1"], "A range from 2.0 to 1.0 is none"),
        ([*TINY, "--first", "low"], "--first: expected a number."),
        ([*TINY, "--first", "1e-300", "--last", "1e300"], "is too wide"),
        ([*TINY, "--steps", "100000000000"], "too many for a range test: at most 100000"),
        ([*TINY, "--steps", "5"], "5 steps are too few for a range test"),
        ([*TINY, "--save", "rates.png"], "Expected the name of a file, such as rates.png.svg."),
        ([*TINY, "--save", "x" * 300 + ".svg"], "cannot be the name of a file"),
        ([*TINY, "--save", "pipe.svg"], "no regular file"),
        ([*TINY, "--save", "nowhere/rates.svg"], "there is no folder nowhere"),
    ],
)
def test_a_wrong_line_ends_with_2_and_says_why(netwright, words, told):
    os.mkfifo("pipe.svg")
    answer = netwright(*words)
    assert answer.status == 2
    assert told in answer.err
    assert answer.out == ""
