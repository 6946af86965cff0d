"""An option that a model does not have, and the stem for small images, as a user meets them."""

from __future__ import annotations

import pytest

import netwright as nw
from netwright.cli import main
from netwright.core.config import settings_of
from netwright.core.errors import SettingError
from netwright.models import MODELS, build
from netwright.tasks.settings import resolve

NAMES = MODELS.names()


@pytest.mark.parametrize("name", NAMES)
def test_every_model_refuses_an_option_it_does_not_have_with_its_own(name):
    with pytest.raises(SettingError) as caught:
        resolve(data="digits", model=name, settings=["model.zzzz=1"], environ={})
    words = str(caught.value)
    assert words.startswith(f"model.zzzz: no such setting of {name}. Known: ")
    own = {each.name for each in settings_of(MODELS.get(name).options)}
    known = set(words.partition("Known: ")[2].rstrip(".").split(", "))
    assert known == own | {"name", "weights"}


@pytest.mark.parametrize("name", NAMES)
def test_every_model_knows_which_of_its_options_was_meant(name):
    own = max((each.name for each in settings_of(MODELS.get(name).options)), key=len)
    with pytest.raises(SettingError, match=rf"Did you mean .*model\.{own}"):
        resolve(data="digits", model=name, settings=[f"model.{own}x=1"], environ={})


@pytest.mark.parametrize("name", NAMES)
def test_the_functions_of_python_refuse_it_too(name):
    size = MODELS.get(name).facts["input"][1:]
    with pytest.raises(SettingError, match=r"model\.zzzz: no such setting\. Known: "):
        build(name, num_classes=2, in_channels=3, input_size=size, options={"zzzz": 1})


def test_the_command_and_the_door_say_the_same(capsys):
    assert main(["train", "digits", "lenet5", "model.stem=small"]) == 2
    words = "model.stem: no such setting of lenet5. Known: act, dropout, name, weights."
    assert " ".join(capsys.readouterr().err.split()) == words
    with pytest.raises(SettingError) as caught:
        nw.train("digits", model="lenet5", model__stem="small")
    assert str(caught.value) == words


def test_an_option_of_another_model_does_not_outlive_the_change_of_model():
    layers = {"model": "resnet18", "model.stem": "small"}
    assert resolve(data="digits", settings=layers, environ={}).recipe.model.options["stem"]
    environ = {"NETWRIGHT_SET_model": "resnet18", "NETWRIGHT_SET_model__stem": "small"}
    resolved = resolve(data="digits", model="lenet5", environ=environ)
    assert "stem" not in resolved.recipe.model.options
