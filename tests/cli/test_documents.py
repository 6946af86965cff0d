"""The one JSON document of a command: strict JSON, whatever is in it."""

import json
from pathlib import Path

import numpy as np
import pytest

from netwright.cli.screen import Call, print_document


@pytest.fixture
def document(capfd):
    def of(value):
        print_document({"value": value})
        return json.loads(capfd.readouterr().out)["value"]

    return of


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
def test_a_number_that_is_none_becomes_null(document, value):
    assert document(value) is None


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float64(0.5), 0.5),
        (np.int64(3), 3),
        ((1, (2, None)), [1, [2, None]]),
        ({1: {"a": Path("x")}}, {"1": {"a": "x"}}),
        ("模型", "模型"),
        (True, True),
    ],
    ids=str,
)
def test_what_is_no_json_becomes_what_comes_nearest(document, value, plain):
    assert document(value) == plain


def test_a_name_that_is_not_utf8_comes_back_as_it_was(document):
    assert document("caf\udce9") == "caf\udce9"


def test_it_says_its_format(capfd):
    print_document({})
    assert json.loads(capfd.readouterr().out) == {"format": 1}


def test_lines_and_document_never_appear_together(capfd):
    Call(json=True).result({"a": 1}, ["line"])
    assert "line" not in capfd.readouterr().out
    Call().result({"a": 1}, ["line"])
    assert capfd.readouterr().out == "line\n"


def test_a_note_goes_to_standard_error_and_quiet_drops_it(capfd):
    Call().note("NOTE", "Something {x}.", x="a\x1b")
    assert capfd.readouterr() == ("", "NOTE  Something a\\x1b.\n")
    Call(quiet=True).note("NOTE", "Something.")
    assert capfd.readouterr() == ("", "")
