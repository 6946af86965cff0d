"""Languages: who decides, and how messages inside messages are spoken."""

import pytest

from netwright.core import languages
from netwright.core.languages import Phrase, Series, current, say, speaking


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("NETWRIGHT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "NETWRIGHT_LANG": "en"}, "en"),
        ({"NETWRIGHT_LANG": "ZH"}, "zh"),
    ],
    ids=str,
)
def test_the_environment_decides_ours_before_the_locale(monkeypatch, environment, language):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert current() == language


def test_what_was_chosen_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("NETWRIGHT_LANG", "en")
    with speaking("zh"):
        assert current() == "zh"
        with speaking(None):
            assert current() == "zh"
    assert current() == "en"


def test_use_none_returns_to_the_environment():
    languages.use("zh")
    assert current() == "zh"
    languages.use(None)
    assert current() == "en"


def test_a_message_without_a_translation_is_english():
    with speaking("zh"):
        assert say("No such words {x}.", x=1) == "No such words 1."


def test_a_brace_in_text_without_values_is_a_brace():
    assert say("{{x}} and {y}") == "{x} and {y}"


def test_a_place_may_be_called_template():
    assert say("{template}", template=1) == "1"


def test_a_phrase_is_english_as_text_and_spoken_inside_a_message():
    phrase = Phrase("above {bound}", bound=0)
    with speaking("zh"):
        assert str(phrase) == f"{phrase}" == "above 0"
        assert say("{x}!", x=phrase) == "大于 0!"


def test_a_series_is_joined_by_a_word_that_is_spoken_too():
    either = Series([Phrase("a number"), Phrase("none")], between=" or ")
    assert str(either) == "a number or none"
    with speaking("zh"):
        assert say("{x}", x=either) == "数字 或 none（无）"
