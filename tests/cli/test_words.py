"""The grammar: what is a setting, what is a flag, what is a thing."""

import pytest

from netwright.cli.words import cut
from netwright.core.errors import SettingError


@pytest.mark.parametrize(
    "token",
    ["epochs=3", "optim.lr=1e-3", "model=mlp", "aug.random-crop=4", "a.b.c=", "data.name=x=y"],
)
def test_a_token_that_begins_with_name_equals_is_a_setting(token):
    assert cut(["train", token]).settings == (token,)


@pytest.mark.parametrize("token", ["./a=b", "a/b=c", "=3", "3=4", ".lr=3", "a..b=3", "flowers/"])
def test_anything_else_is_a_thing(token):
    assert cut(["train", token]).rest == ("train", token)


def test_settings_stand_anywhere_after_the_verb_and_keep_their_order():
    words = cut(["train", "a=1", "digits", "b=2", "--seed", "3", "mlp", "a=4"])
    assert words.rest == ("train", "digits", "--seed", "3", "mlp")
    assert words.settings == ("a=1", "b=2", "a=4")


def test_after_two_dashes_everything_is_a_thing():
    words = cut(["predict", "latest", "--", "a=b.jpg", "--json", "-q"])
    assert words.rest == ("predict", "latest", "--", "a=b.jpg", "--json", "-q")
    assert words.settings == ()
    assert not words.json


@pytest.mark.parametrize(
    "argv", [["--json", "ls", "runs"], ["ls", "--json", "runs"], ["ls", "runs", "--json"]]
)
def test_the_flags_of_every_command_stand_anywhere(argv):
    words = cut(argv)
    assert words.json
    assert words.rest == ("ls", "runs")


def test_short_and_long_flags_are_the_same():
    assert cut(["ls", "-q", "-v", "-h"]) == cut(["ls", "--quiet", "--verbose", "--help"])


@pytest.mark.parametrize("argv", [["--lang", "zh", "env"], ["env", "--lang=zh"]])
def test_the_language_is_a_word_of_its_own_or_behind_an_equals_sign(argv):
    assert cut(argv).language == "zh"


def test_a_language_that_is_not_spoken_is_refused():
    with pytest.raises(SettingError, match=r'"zj" is not allowed for --lang.*en, zh'):
        cut(["env", "--lang", "zj"])
