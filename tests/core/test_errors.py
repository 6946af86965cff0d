"""The error tree: what it says, in which language, with which exit status."""

import pickle

import pytest

from netwright.core import errors as e
from netwright.core.escaping import terminal
from netwright.core.languages import Phrase, Series, speaking

STATUSES = {
    e.NetwrightError: 1, e.SettingError: 2, e.DataError: 3, e.CheckpointError: 3,
    e.CheckFailedError: 4, e.DivergedError: 5, e.ExhaustedError: 6, e.RunBusyError: 7,
    e.RankLostError: 8,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "status"), STATUSES.items(), ids=lambda each: str(each))
def test_each_kind_has_its_exit_status(kind, status):
    assert kind("x").exit_code == status


def test_an_interrupted_run_carries_the_status_of_its_signal():
    assert e.InterruptedRunError("x", exit_code=143).exit_code == 143


def test_the_hint_stands_below_the_message_and_both_are_filled():
    error = e.DataError("No image in {path}.", hint="Look into {path}.", path="a/")
    assert str(error) == "No image in a/.\nLook into a/."


def test_text_without_values_may_hold_a_brace():
    assert str(e.DataError("a {brace}")) == "a {brace}"


def test_a_value_may_be_called_like_a_parameter():
    assert str(e.DataError("{template} {kind}", template="x", kind="y")) == "x y"


def test_python_reads_english_and_the_screen_the_language_of_the_user():
    error = e.UnknownNameError("model", "resnet8", ["resnet20"], listing="netwright ls models")
    with speaking("zh"):
        assert str(error).startswith('No model called "resnet8".')
        assert error.localized() == (
            "没有名为“resnet8”的模型。\n最接近的：resnet20。\n查看全部：netwright ls models"
        )


def test_values_are_escaped_and_the_words_of_the_message_are_not():
    error = e.DataError("{faults}\nEnd.", faults=Series([Phrase("in {file}", file="a\nb")]))
    assert error.localized(escape=terminal) == "in a\\x0ab\nEnd."


def test_a_number_keeps_its_format_through_escaping():
    error = e.DataError("{share:.1%}", share=0.125)
    assert error.localized(escape=terminal) == "12.5%"


@pytest.mark.parametrize(
    "error",
    [
        e.DataError("No {x}.", hint="Try {x}.", x=3),
        e.UnknownNameError("model", "a", ["b"]),
        e.InterruptedRunError("Stopped.", exit_code=143),
        e.SettingError("{faults}", faults=Series([Phrase("{x}", x=1), "two"])),
    ],
    ids=lambda each: type(each).__name__,
)
def test_an_error_survives_the_way_out_of_a_worker_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.exit_code == error.exit_code
    assert copy.localized() == error.localized()


def test_the_nearest_names_are_the_most_like_first():
    names = ["resnet18", "resnet34", "resnet50", "lenet5", "mlp"]
    assert e.nearest("resnet8", names) == ["resnet18", "resnet34", "resnet50"]


def test_a_beginning_counts_as_near():
    assert e.nearest("res", ["resnet20", "resnet32", "lenet5"]) == ["resnet20", "resnet32"]


def test_case_and_the_two_dashes_do_not_count():
    assert e.nearest("Cross-Entropy", ["cross_entropy", "mse"]) == ["cross_entropy"]


def test_nothing_like_it_is_nothing():
    assert e.nearest("zzz", ["lenet5", "mlp"]) == []
    assert e.nearest("x", []) == []


def test_an_unknown_name_without_a_near_one_names_the_known():
    error = e.UnknownNameError("loss", "zzz", ["mse", "cross_entropy"])
    assert str(error) == 'No loss called "zzz".\nKnown: cross_entropy, mse.'


def test_a_long_list_of_known_names_is_cut():
    error = e.UnknownNameError("model", "?", [f"m{i:02}" for i in range(50)])
    assert str(error).endswith("m18, m19, ....")
