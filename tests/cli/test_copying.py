"""`netwright cp`: what it writes can be trained, and nothing of the user's is overwritten."""

import json
import os
from pathlib import Path

import pytest

from netwright.core.config import settings_of
from netwright.tasks.assembling import GROUPS
from netwright.tasks.settings import difference, read_config, recipe_names, resolve
from netwright.train.weights import read_weights

SHORT = ["steps=3", "run.ema=none"]


@pytest.mark.parametrize("recipe", recipe_names())
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_yaml_copy_reads_back_as_the_same_recipe(netwright, recipe, language):
    assert netwright("cp", recipe, "mine.yaml", "--lang", language).status == 0
    settings = {"data": "digits"} if "digits" not in recipe else {}
    copy = resolve(config="mine.yaml", settings=settings, environ={})
    original = resolve(config=recipe, settings=settings, environ={})
    assert difference(copy, original) == []
    assert {name for name, origin in copy.origins.items() if origin == "default"} <= {
        name for name, origin in original.origins.items() if origin == "default"
    }
    assert copy.origins["batch"] == "file mine.yaml"


def test_a_yaml_copy_trains_to_the_same_numbers(netwright):
    assert netwright("cp", "digits").out == "wrote digits.yaml\n"
    assert netwright("train", "digits", *SHORT, "--run-dir", "one", "-q").status == 0
    assert (
        netwright("train", "--config", "digits.yaml", *SHORT, "--run-dir", "two", "-q").status == 0
    )
    one, two = (read_weights(Path(run) / "best.safetensors") for run in ("one", "two"))
    assert all(bool((one[name] == two[name]).all()) for name in one)


def test_every_setting_of_the_recipe_stands_there_with_its_meaning(netwright):
    text = netwright("cp", "digits", "-").out
    assert max(len(line) for line in text.splitlines()) <= 100
    for name in ("data", "model", "optim", "sched", "loss", "run"):
        assert f"\n{name}:\n" in text
        common = GROUPS[name].common
        for each in settings_of(common) if common is not None else []:
            assert each.name == "source" or f"\n  {each.name}: " in text.replace("#", "")
    assert "lr: 0.1 " in text
    assert "# learning rate; a number above 0" in text
    assert "  #clip: null" in text


def test_a_default_behind_its_mark_can_be_taken_into_use(netwright):
    netwright("cp", "digits")
    text = Path("digits.yaml").read_text()
    Path("digits.yaml").write_text(text.replace("  #clip: null", "  clip: 0.5"))
    recipe = read_config("digits.yaml").recipe
    assert recipe.optim.options["clip"] == 0.5


def test_a_batch_that_depends_on_the_data_goes_on_depending_on_them(netwright):
    Path("mine.yaml").write_text("data: digits\nmodel: mlp\n")
    netwright("cp", "mine.yaml", "copy.yaml")
    assert read_config("copy.yaml").origins["batch"] == "default"


def test_a_run_is_copied_under_its_own_name(netwright):
    assert netwright("train", "digits", *SHORT, "-q").status == 0
    answer = netwright("cp", "latest")
    (copy,) = Path().glob("*.yaml")
    assert answer.out == f"wrote {copy}\n"
    assert copy.stem in {path.name for path in Path("runs").iterdir()}
    assert read_config(str(copy)).recipe.general.steps == 3


def test_settings_on_the_line_have_their_value_in_the_copy(netwright):
    assert netwright("cp", "digits", "mine.yaml", "optim=adamw", "epochs=7").status == 0
    recipe = read_config("mine.yaml").recipe
    assert (recipe.optim.name, recipe.general.epochs) == ("adamw", 7)
    assert recipe.optim.options["lr"] == 1e-3  # that of sgd means nothing to it


def test_a_script_is_written_by_its_name_or_by_as(netwright):
    assert netwright("cp", "digits", "loop.py").err == "Next: python loop.py\n"
    assert "import torch\n" in Path("loop.py").read_text()
    assert "import torch\n" in netwright("cp", "digits", "-", "--as", "python").out
    Path("there").mkdir()
    assert netwright("cp", "digits", "there", "--as=python").out == "wrote there/digits.py\n"


def test_nothing_is_overwritten_without_yes(netwright):
    Path("digits.yaml").write_text("epochs: 1\n")
    answer = netwright("cp", "digits")
    assert answer.status == 2
    assert answer.err == (
        "digits.yaml is there already.\nChoose another name, or replace it with --yes.\n"
    )
    assert Path("digits.yaml").read_text() == "epochs: 1\n"
    assert netwright("cp", "digits", "--yes").status == 0
    assert "resnet20" in Path("digits.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digit"], "Nearest: digits."),
        (["digits", "a.txt"], "its name does not say what it is to be"),
        (["digits", "a.py", "--as", "yaml"], "a.py and --as yaml differ"),
        (["digits", "none/a.py"], "there is no folder none"),
        (["digits", "torch.py"], "would hide the module torch from itself"),
        (["digits", "a.py", "epochs=0"], "cannot be written as a plain script: epochs=0."),
        (["digits", "a.py", "epoch=1"], "epoch: no such setting"),
        (["digits", "--as", "json"], "expected one of yaml, python"),
        (["digits", "a.yaml", "b.yaml"], 'does not take "b.yaml"'),
    ],
)
def test_what_cannot_be_copied_is_exit_2_and_leaves_nothing(netwright, words, message):
    answer = netwright("cp", *words)
    assert answer.status == 2
    assert message in " ".join(answer.err.split())
    assert list(Path().iterdir()) == []


def test_under_json_there_is_one_document(netwright):
    answer = netwright("cp", "digits", "--json")
    assert json.loads(answer.out) == {
        "format": 1, "recipe": "digits", "form": "yaml", "file": "digits.yaml",
    }  # fmt: skip
    document = json.loads(netwright("cp", "digits", "-", "--json").out)
    assert document["file"] is None
    assert document["text"] == Path("digits.yaml").read_text()


def test_a_name_with_odd_characters_stays_a_name(netwright):
    Path('a"""\\b.yaml').write_text("data: digits\n")
    for form in ("python", "yaml"):
        answer = netwright("cp", 'a"""\\b.yaml', "-", "--as", form)
        assert answer.status == 0
        if form == "python":
            compile(answer.out, "copy", "exec")


@pytest.mark.parametrize("kind", ["pipe", "link into nothing"])
def test_a_copy_takes_no_pipe_or_link_away(netwright, kind):
    place = Path("mine.yaml")
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("nowhere")
    answer = netwright("cp", "digits", "mine.yaml", "--yes")
    assert (answer.status, "is no regular file" in answer.err) == (2, True)
    assert place.is_fifo() or place.is_symlink()


@pytest.mark.parametrize("words", [["digits", "x" * 300 + ".yaml"], ["x" * 300 + ".yaml"]])
def test_a_name_too_long_for_a_copy_is_refused(netwright, words):
    answer = netwright("cp", *words)
    assert (answer.status, "cannot be the name of a file" in answer.err) == (2, True)
