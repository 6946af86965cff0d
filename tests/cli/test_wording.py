"""What a user reads who typed something wrong: what, the nearest known name, how to mend it."""

import pytest

from netwright.core.errors import DataError
from netwright.records import run as records

MISTAKES = [
    (["trian", "digits"], 'No command called "trian".\nNearest: train.'),
    (["--seed", "3", "train"], 'The command comes first, "--seed" stands before it.'),
    (["train", "digits", "--sed", "3"], 'netwright train has no option "--sed".\nNearest: --seed.'),
    (["train", "digits", "--dry-rn"], "Nearest: --dry-run."),
    (["train", "digits", "--jsn"], "Nearest: --json."),
    (["train", "--optim.lr=3"], "Settings are written without dashes: optim.lr=3"),
    (["train", "--seed", "x"], '"x" is not allowed for --seed: expected a whole number.'),
    (["train", "--seed", "1", "--seed", "2"], "--seed is given twice."),
    (["train", "digits", "--resume"], "--resume needs a value."),
    (["train", "--dry-run=maybe"], "--dry-run takes no value."),
    (["train"], "netwright train needs DATA, --config or --resume."),
    (["train", "a", "b", "c"], 'netwright train does not take "c".'),
    (["evaluate"], "netwright evaluate needs RUN.\nUsage: netwright evaluate RUN"),
    (["evaluate", "r", "--split", "vall"], "expected one of train, val, test.\nDid you mean val?"),
    (["predict", "latest"], "netwright predict needs IMAGES."),
    (["predict", "r", "a=b.jpg"], "takes no settings: a=b.jpg"),
    (["predict", "r", "a.jpg", "--top", "0"], "expected a whole number above 0."),
    (["ls"], "netwright ls needs FAMILY."),
    (["ls", "modles"], 'No family called "modles".\nNearest: models.'),
    (["config", "shw"], "expected one of show, check, diff, schema.\nDid you mean show?"),
    (["config", "diff", "a"], "netwright config diff takes 2, not 1."),
    (["config", "check", "a.yaml", "b=1"], "go with netwright config show only."),
    (["report", "--lang", "fr"], '"fr" is not allowed for --lang'),
    (["report", "nowhere"], 'No run called "nowhere"'),
    (["config", "diff", "digits", "nosuch"], 'Nothing is called "nosuch": no recipe, no file and'),
    (["config", "diff", "digits", "latset"], "Nearest: latest"),
    (["config", "diff", "digits", "x" * 5000], "no recipe, no file and no run."),
    (["train", "digits", "epochs"], "a setting without its value.\nDid you mean epochs=...?"),
    (["train", "digits", "optim.lr"], "Did you mean optim.lr=...?"),
    (["train", "mlp"], '"mlp" is a model, and stands where DATA is expected.\nWrite DATA first'),
    (["train", "--resume", "latest", "mlp"], '"mlp" is a model'),
    (["train", "digits", "mlp", "model=resnet20"], "mlp and model=resnet20 differ"),
    (["train", "digits", "mlp", "model.name=resnet20"], "mlp and model.name=resnet20 differ"),
    (["config", "show", "digits", "data=shapes"], "digits and data=shapes differ"),
]


@pytest.mark.parametrize(
    ("argv", "words"), MISTAKES, ids=[" ".join(argv)[:40] for argv, _ in MISTAKES]
)
def test_a_mistake_is_exit_2_and_says_what_was_expected(netwright, argv, words):
    answer = netwright(*argv)
    assert answer.status == 2
    assert answer.out == ""
    assert words in answer.err


@pytest.mark.parametrize(
    ("argv", "words"), MISTAKES, ids=[" ".join(argv)[:40] for argv, _ in MISTAKES]
)
def test_the_same_mistake_is_told_in_chinese(netwright, argv, words):
    answer = netwright(*argv) if "--lang" in argv else netwright(*argv, "--lang", "zh")
    assert answer.status == 2
    if "--lang" not in argv:
        assert any("一" <= char <= "鿿" for char in answer.err)


def test_the_language_of_one_call_does_not_stay(netwright):
    assert "没有" in netwright("trian", "--lang", "zh").err
    assert "No command" in netwright("trian").err


def test_a_dash_before_a_thing_can_be_told_from_an_option(netwright):
    assert 'has no option "-a.jpg"' in netwright("predict", "r", "-a.jpg").err
    assert 'No run called "r"' in netwright("predict", "r", "--", "-a.jpg").err


HOSTILE = "a\x1b[2J\x1b]0;owned\x07\u202eb\rc\x00"


@pytest.mark.parametrize(
    "argv",
    [
        [HOSTILE],
        ["train", "--" + HOSTILE],
        ["train", "a", "b", HOSTILE],
        ["train", "--seed", HOSTILE],
        ["ls", HOSTILE],
        ["report", HOSTILE],
    ],
    ids=["command", "option", "thing", "value", "family", "run"],
)
def test_control_characters_never_reach_the_terminal(netwright, argv):
    answer = netwright(*argv)
    assert answer.status == 2
    assert "a\\x1b[2J" in answer.err
    assert all(char.isprintable() for char in answer.err.replace("\n", ""))


def test_a_line_break_in_a_name_cannot_forge_a_line(netwright, monkeypatch):
    def find_run(*_):
        raise DataError("No image in {path}.", path="a\nSTOP your disk is broken")

    monkeypatch.setattr(records, "find_run", find_run)
    assert netwright("report").err == "No image in a\\x0aSTOP your disk is broken.\n"


def test_a_name_that_is_not_utf8_is_shown_by_its_bytes(netwright):
    assert 'No run called "caf\\xe9"' in netwright("report", "caf\udce9").err
