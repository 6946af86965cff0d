"""`netwright calc`: the answer with its working, without torch, and never a traceback."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwright.arithmetic.calculations import CALCULATIONS, SHORT, TOPICS, calculate
from netwright.cli.columns import width
from netwright.cli.commands import COMMANDS
from netwright.cli.worked_lines import worked_document, worked_lines
from netwright.core.config import settings_of
from netwright.core.errors import SettingError
from netwright.core.escaping import terminal
from netwright.core.languages import say, speaking

NAMES = CALCULATIONS.names()


def test_the_answer_stands_above_its_working(netwright):
    answer = netwright("calc", "conv", "input=3x224x224", "kernel=7", "stride=2", "padding=3")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.splitlines() == [
        "output size            112x112",
        "dropped at the end     1, 1",
        "of these in the image  0, 0",
        "",
        "  o = floor((i + 2*p - d*(k - 1) - 1) / s) + 1",
        "    = floor((224 + 2*3 - 1*(7 - 1) - 1) / 2) + 1 = 112",
        "  dropped = (i + 2*p - d*(k - 1) - 1) % s",
        "          = (224 + 2*3 - 1*(7 - 1) - 1) % 2 = 1",
        "",
        "NOTE  Common notes give (i - k + 2p)/s + 1 without the floor: that would be",
        "      112.5 here.",
    ]


def test_quiet_leaves_the_answer_alone(netwright):
    answer = netwright("calc", "linear", "in=512", "out=1000", "--quiet")
    assert answer.out.splitlines() == [
        "parameters            513,000",
        "weights in float32    2,052,000 (2.05 MB)",
        "multiply-adds         512,000",
        "FLOPs                 1,024,000 (1.024 M)",
        "bytes moved at least  2,058,048 (2.06 MB)",
        "FLOPs per byte        0.4976",
    ]


def test_the_document_has_numbers_working_and_notes(netwright):
    document = json.loads(
        netwright("calc", "separable", "in=64", "out=128", "input=56", "--json").out
    )
    assert document["calculation"] == "separable"
    assert (document["weights_full"], document["params"]) == (73_728, 8_768)
    assert document["share"] == pytest.approx(1 / 128 + 1 / 9)
    assert document["working"][2] == {
        "name": "share",
        "formula": "1 / N + 1 / (k**2)",
        "numbers": "1 / 128 + 1 / (3**2)",
        "value": document["share"],
    }
    assert any("1/k^2 alone" in note for note in document["notes"])


def test_a_table_is_a_list_of_rows_in_the_document(netwright):
    answer = netwright("calc", "receptive-field", "conv 3 s2, conv 3 d2", "input=64", "--json")
    document = json.loads(answer.out)
    assert (document["size"], document["jump"], document["start"]) == (11, 2, 5)
    assert document["layers"][1] == {
        "number": 2, "layer": "conv 3 d2", "size": 11, "jump": 2, "start": 5, "padding": 0,
        "output": 27,
    }  # fmt: skip


def test_which_padding_keeps_the_size(netwright):
    lines = netwright("calc", "conv", "input=32", "kernel=3", "want=32").out.splitlines()
    assert lines[:2] == ["output size  32x32", "padding      1"]
    lines = netwright("calc", "conv", "input=32", "kernel=4", "want=32").out.splitlines()
    assert lines[1] == "padding      1:2"


def test_which_unit_sees_which_rows(netwright):
    command = ["calc", "receptive-field", "conv 3 s2 p1", "input=32", "unit=5"]
    assert "first and last row it sees  9, 11" in netwright(*command).out
    answer = netwright(*command[:-1], "unit=16")
    assert answer.status == 2
    assert "There is no unit 16: the output has 16, counted from 0." in answer.err


@pytest.mark.parametrize("name", ["params", "flops"])
def test_a_part_of_another_calculation(netwright, name):
    answer = netwright("calc", name, "conv", "in=3", "out=64", "kernel=7", "input=32", "--json")
    document = json.loads(answer.out)
    assert document["calculation"] == name
    assert ("params" in document, "macs" in document) == (name == "params", name == "flops")
    assert "output" not in document


MISTAKES = [
    ("calc cnv input=3", 'No calculation called "cnv".\nNearest: conv'),
    ("calc conv kernal=3", "kernal: no such setting. Did you mean kernel"),
    ("calc conv kernel=3", "Not given: input=.\nFor example: netwright calc conv input="),
    ("calc conv input=32", "Not given: kernel=."),
    ("calc conv input=32 kernel=0", "kernel_size: 0 is not allowed: expected a whole number"),
    ("calc conv input=32 kernel=-3", "kernel_size: -3 is not allowed"),
    ("calc conv input=32 kernel=2.5", "kernel_size: 2.5 is not allowed"),
    ("calc conv input=99999999999 kernel=3", "input: 99999999999 is not allowed"),
    ("calc conv input=32 kernel=3 padding=-1", "padding: -1 is not allowed: expected a whole"),
    ("calc conv input=32 kernel=3 padding=sme", "padding: sme is not allowed"),
    ("calc conv input=32 kernel=3 in=8 out=8 groups=3", "cannot be split into groups=3."),
    ("calc conv input=2 kernel=7", "A window of 7 does not fit into 2 with 0 of padding."),
    ("calc conv input=3x8x8 kernel=3 in=4", "input=3x8x8 has 3 channels, but in_channels=4."),
    ("calc conv input=1x2x3x4 kernel=3", "input has 4 numbers, but there are 2 axes."),
    ("calc conv input=32 kernel=3 kernel_size=5", "kernel_size is given twice."),
    ("calc conv input=32 input=33 kernel=3", "input is given twice."),
    ("calc conv 3x3 input=32", 'netwright calc conv does not take "3x3".'),
    ("calc conv --kernel 3", "Settings are written without dashes: kernel="),
    ("calc conv input=32 kernel=3 stride=2 padding=same", "keeps the size at stride 1 only"),
    ("calc conv input=224 kernel=3 want=112", "without any it is 222 already"),
    ("calc conv input=32x16 want=16", "is for one axis: 32x16 has several"),
    ("calc pool input=8 kernel=3 padding=2", "takes at most half of its kernel as padding"),
    ("calc pool kernel=3", "Not given: input=."),
    ("calc pool input=8", "Not given: kernel=."),
    ("calc pool input=8 kernel=any", "Not given: want=."),
    ("calc pool input=8x9 want=4", "is for one axis: 8x9 has several"),
    ("calc activation rleu", "rleu is not allowed"),
    ("calc signal relu layers=1000", "num_layers: 1000 is not allowed"),
    ("calc transposed input=8 kernel=3 output_padding=1", "it must be below 1"),
    ("calc transposed input=2 kernel=1 padding=1", "padding 1 cuts 2 from an output of 2"),
    ("calc resize input=8", "Give scale= or size=, one of them."),
    ("calc resize input=8 scale=nan", "scale: nan is not allowed"),
    ("calc resize input=2 scale=0.1", "2 times 0.1 is below 1"),
    ("calc receptive-field", "needs layers, or want=."),
    ("calc receptive-field covn", 'No layer called "covn"'),
    ("calc receptive-field 3 want=5", "Give layers or want=, one of them."),
    ("calc gridding 1,0", 'rates: "0" is not allowed'),
    ("calc gridding 9999,9999,9999,9999,9999,9999", "only fields up to"),
    ("calc norm bacth input=3x4x4", "Did you mean batch?"),
    ("calc norm group input=60x8x8", "channels=60 cannot be split into groups=32."),
    ("calc attention dim=512 heads=7", "512 cannot be split among 7 heads."),
    ("calc gru in=3 hidden=4 proj_size=2", "proj_size is for the LSTM alone."),
    ("calc lstm in=3 hidden=4 proj_size=4", "proj_size 4 must be below hidden_size 4."),
    ("calc bottleneck in=8 out=8 width=2 share=0.5", "Give width= or share=, one of them."),
    ("calc bottleneck in=2 out=2 share=0.0001", "Not even one channel"),
    ("calc memory params=10 trainable=11", "trainable=11 is more than params=10."),
    ("calc memory params=10 dtype=int8", "Add optimizer=none."),
    ("calc params", "netwright calc params needs the name of a layer."),
    ("calc params unpool input=4 kernel=2", "There is nothing to count"),
    ("calc flops conv in=3 out=4 kernel=3", "channels or the input are missing."),
    ("calc input=3", "needs the name of a calculation before input=3."),
    ("calc conv --help x --lang fr", "is not allowed for --lang"),
    ("calc cnv --help", "Nearest: conv"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "words"), MISTAKES, ids=[each[:50] for each, _ in MISTAKES])
def test_a_mistake_is_exit_2_and_says_what_was_expected(netwright, command, words):
    answer = netwright(*shlex.split(command))
    assert (answer.status, answer.out) == (2, "")
    assert words in answer.err
    if "--lang" not in command:
        chinese = netwright(*shlex.split(command), "--lang", "zh")
        assert chinese.status == 2
        assert any("一" <= char <= "鿿" for char in chinese.err)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", NAMES)
def test_every_calculation_has_a_page_and_an_answer_that_fit_the_screen(netwright, name, language):
    entry = CALCULATIONS.get(name)
    page = netwright("calc", name, "--help", "--lang", language)
    assert (page.status, page.err) == (0, "")
    for field in settings_of(entry.options):
        assert field.name in page.out
    answer = netwright(*shlex.split(entry.facts["example"])[1:], "--lang", language)
    assert (answer.status, answer.err) == (0, "")
    long = [line for line in (page.out + answer.out).splitlines() if width(line) > 80]
    assert [line for line in long if "netwright calc" not in line] == []


@pytest.mark.parametrize("entry", list(CALCULATIONS), ids=lambda each: each.name)
def test_what_a_page_says_is_there_in_chinese(entry):
    words = [entry.doc, *(each.help for each in settings_of(entry.options))]
    with speaking("zh"):
        assert [each for each in words if say(each) == each] == []
    worked = example(entry)
    heads = [head for rows in worked.tables for head in rows.head if head]
    with speaking("zh"):
        assert [head for head in heads if say(head) == head] == []
        assert all(say(each.template) != each.template for each in worked.notes)


def example(entry):
    words = shlex.split(entry.facts["example"])[3:]
    typed = dict(word.split("=", 1) for word in words if "=" in word)
    return calculate(entry.name, [word for word in words if "=" not in word], typed)


def test_the_list_and_the_help_name_every_calculation(netwright):
    listed = [line.split()[0] for line in netwright("calc").out.splitlines() if line[:1].isalpha()]
    for name in (*NAMES, *TOPICS):
        assert name in listed
        assert name in COMMANDS.get("calc").facts["about"]
    document = json.loads(netwright("calc", "--json").out)
    assert [each["name"] for each in document["calculations"]] == NAMES


@pytest.mark.parametrize("entry", list(CALCULATIONS), ids=lambda each: each.name)
def test_no_setting_is_called_as_the_short_name_of_another(entry):
    fields = {each.name for each in settings_of(entry.options)}
    assert [s for s, long in SHORT.items() if s in fields and long in fields] == []


VALUES = st.one_of(
    st.integers(-3, 12).map(str),
    st.sampled_from(
        ["", "any", "same", "valid", "none", "1000000", "1e9", "3x4", "2x3x4", "1:2", "0.5", "nan",
         "inf", "true", "x", "²", "٣", "\x00", "conv 3", "2*up 2", "1,2,5", "batch"]
    ),
    st.text(max_size=5),
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_values_are_calculated_or_refused_in_our_words(name, data):
    entry = CALCULATIONS.get(name)
    fields = [each.name for each in settings_of(entry.options)]
    typed = data.draw(st.dictionaries(st.sampled_from(fields), VALUES, max_size=8))
    for needed in entry.facts.get("required", ()):
        typed.setdefault(needed, data.draw(VALUES))
    try:
        worked = calculate(name, [], typed)
    except SettingError as error:
        lines = error.localized(escape=terminal).split("\n")
        assert [terminal(line) for line in lines] == lines
    else:
        assert json.dumps(worked_document(name, worked), allow_nan=False)
        assert all(terminal(line) == line for line in worked_lines(worked))


def test_nothing_of_it_imports_torch(tmp_path):
    commands = [shlex.split(each.facts["example"])[1:] for each in CALCULATIONS]
    commands += [["calc"], ["calc", "conv", "--help"], ["calc", "cnv"], ["calc", "conv", "x=3"]]
    script = (
        "import sys, json\n"
        "from netwright.cli import main\n"
        "for argv in json.loads(sys.argv[1]):\n"
        "    main(argv)\n"
        "    for heavy in ('torch', 'numpy', 'safetensors'):\n"
        "        assert heavy not in sys.modules, (argv, heavy)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
