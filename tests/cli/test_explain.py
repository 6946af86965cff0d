"""`netwright explain`: every name has a page that fits the screen."""

import itertools
import json

import pytest

from netwright.cli.columns import width
from netwright.cli.commands.explain import RECIPES, _names
from netwright.cli.commands.ls import FAMILIES
from netwright.doctor.conditions import CONDITIONS

EVERY = [(family, name) for family in (*FAMILIES, RECIPES) for name in _names(family)]


@pytest.mark.parametrize("family", [*FAMILIES, RECIPES])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_name_has_a_page(netwright, family, language):
    for name in _names(family):
        answer = netwright("explain", f"{family}/{name}", "--lang", language)
        assert (answer.status, answer.err) == (0, "")
        lines = answer.out.splitlines()
        assert lines[0].startswith(f"{name}   ")
        last = "Look for it" if family == "conditions" else "Choose it"
        # What no rule looks for yet has no command to look for it with.
        ruled = family != "conditions" or CONDITIONS.get(name).facts["reads"] != ()
        assert (last in lines) == (language == "en" and ruled)
        assert "" not in [a + b for a, b in itertools.pairwise(lines)]
        code = (">>>", "...", " ")
        long = [line for line in lines if width(line) > 80 and not line.startswith(code)]
        assert [line for line in long if " " in line.strip()] == []


def test_the_page_of_an_optimizer(netwright):
    lines = netwright("explain", "adamw").out.splitlines()
    assert lines[0] == "adamw   optimizers   netwright.optim.optimizers.adamw"
    (rate,) = [" ".join(line.split()) for line in lines if line.startswith("  optim.lr ")]
    assert rate == "optim.lr 0.001 learning rate; a number above 0"
    assert "  netwright train DATA optim=adamw" in lines


def test_the_first_line_and_the_labels_are_chinese(netwright):
    answer = netwright("explain", "adamw", "--lang", "zh")
    assert "设置" in answer.out
    assert not answer.out.splitlines()[2].isascii()


@pytest.mark.parametrize("words", [["optimizers/sgd"], ["sgd", "--family", "optimizer"], ["SGD"]])
def test_a_family_may_be_said_in_front_or_behind(netwright, words):
    assert netwright("explain", *words).out == netwright("explain", "sgd").out


def test_a_name_of_two_families_is_asked_back(netwright):
    answer = netwright("explain", "constant")
    assert answer.status == 2
    assert "Write one of initialisers/constant, schedules/constant." in answer.err
    assert netwright("explain", "schedules/constant").status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["resnt18"], "Nearest: resnet18 (models)"),
        (["adam-w"], "Nearest: adamw (optimizers)"),
        (["losses/focall"], 'No loss called "focall".'),
        (["sgd", "--family", "optimizr"], "Nearest: optimizers."),
        (["qqqqqq"], "List the names: netwright ls models|adapters|data"),
        ([], "netwright explain needs NAME."),
    ],
)
def test_an_unknown_name_is_exit_2_with_the_nearest_of_all_families(netwright, words, message):
    answer = netwright("explain", *words)
    assert answer.status == 2
    assert message in answer.err


def test_the_document_has_facts_and_settings(netwright):
    document = json.loads(netwright("explain", "resnet18", "--json").out)
    assert document["family"] == "models"
    assert document["facts"]["params"] == 11_689_512
    assert "model.width" in [each["name"] for each in document["settings"]]
    recipe = json.loads(netwright("explain", "recipes/digits", "--json").out)
    assert recipe["settings"]["optim.lr"] == 0.1


def test_in_chinese_headings_are_chinese_and_the_page_says_that_its_text_is_english(netwright):
    page = netwright("explain", "dead-branch", "--lang", "zh").out
    assert "以下正文为英文。" in page
    assert "为什么有害：its products" in page
    assert "Why it hurts" not in page
    english = netwright("explain", "dead-branch", "--lang", "en").out
    assert "Why it hurts: its products" in english
    assert "in English" not in english
