"""Settings come from five places, the later winning, and each value knows which."""

from __future__ import annotations

import json

import pytest

from netwright.core.errors import SettingError
from netwright.tasks.assembling import settings_schema
from netwright.tasks.settings import (
    changed,
    difference,
    read_config,
    recipe_names,
    resolve,
    tokens,
)


def plain(**given):
    return resolve(**({"data": "digits", "model": "mlp", "environ": {}} | given))


def test_a_later_source_wins_and_is_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("data: digits\nmodel: mlp\nepochs: 2\nbatch: 16\nseed: 5\n")
    resolved = resolve(
        config=str(file),
        environ={"NETWRIGHT_SET_batch": "32", "NETWRIGHT_SET_seed": "6", "HOME": "/"},
        settings=["seed=7"],
    )
    assert [resolved.values[name] for name in ("epochs", "batch", "seed", "steps")] == [
        2,
        32,
        7,
        None,
    ]
    assert [resolved.origins[name] for name in ("epochs", "batch", "seed", "steps")] == [
        "file mine.yaml",
        "NETWRIGHT_SET_batch",
        "command line",
        "default",
    ]


def test_the_recipe_made_for_the_data_is_taken_when_no_model_is_named():
    resolved = resolve(data="digits", environ={})
    assert resolved.origins["optim.lr"] == "recipe digits"
    assert resolve(data="digits", model="mlp", environ={}).origins["optim.lr"] == "default"


def test_python_and_the_command_line_spell_the_same_settings():
    typed = plain(settings=["optim=sgd", "optim.lr=1e-2", "aug.shift=1", "model.hidden=[8, 4]"])
    called = plain(
        settings={"optim": "sgd", "optim__lr": 0.01, "aug__shift": 1, "model__hidden": [8, 4]}
    )
    assert typed.values == called.values


def test_another_leaf_drops_what_was_said_about_the_old_one(tmp_path):
    file = tmp_path / "sgd.yaml"
    file.write_text("optim: {name: sgd, lr: 0.5, momentum: 0.8}\nsched: {name: step, warmup: 2}\n")
    resolved = plain(config=str(file), settings=["optim=adamw", "sched=cosine"])
    assert resolved.values["optim.lr"] == plain(settings=["optim=adamw"]).values["optim.lr"]
    assert "optim.momentum" not in resolved.values
    assert resolved.values["sched.warmup"] == 2, "a setting of every schedule stays"


def test_text_that_yaml_did_not_take_for_a_number_is_read_as_one_and_said(tmp_path):
    file = tmp_path / "trap.yaml"
    file.write_text("optim: {lr: 1e-3}\n")
    resolved = plain(config=str(file))
    assert resolved.recipe.optim.options["lr"] == 0.001
    (note,) = resolved.notes
    assert "optim.lr: the text '1e-3' in file trap.yaml was read as the number 0.001" in (
        note.template.format(**note.values)
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: *x", "aliases"),
        ("epochs: 1\nepochs: 2", "given twice"),
        ("- 1\n- 2", "holds no settings"),
        ("x: !!python/object/apply:os.system [ls]", r"tags .* are not allowed"),
        ("{" * 3000, "Cannot read"),
        ("model: {norm: no}", "put quotes around a word"),
        ("epochs: soon", "expected a whole number"),
        ("optim: {lr: {a: 1}}", "no such setting|is not allowed"),
    ],
)
def test_a_file_that_is_no_recipe_says_why_and_where(tmp_path, text, message):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(SettingError, match=message):
        resolve(data="digits", model="resnet20", config=str(file), environ={})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epohcs=3", "Did you mean epochs"),
        ("optim.lrr=3", "Did you mean optim.lr"),
        ("lr=3", r"Did you mean optim\.lr\?"),
        ("modle=mlp", "Did you mean model"),
        ("warmpu=3", r"Did you mean sched\.warmup"),
        ("optm.lr=3", "Did you mean optim"),
        ("optim=sdg", "Nearest: sgd"),
        ("optim.lr=0", "expected a number above 0"),
        ("optim.momentum=0.9", "no such setting of adamw"),
        ("aug.flop=true", "Nearest: flip"),
        ("model.hiden=[3]", "Did you mean model.hidden"),
        ("batch=none", "expected a whole number"),
        ("optim.lr=nan", "is not allowed"),
        ("run.checkpoint_every=0", "expected a number of steps above 0"),
        ("run.checkpoint_every=5parsecs", "30s, 5min, 1h"),
        ("run=3", "is a group of settings"),
        ("task=classify", "Nearest: classification"),
        ("sched=cosin", "Nearest: cosine"),
    ],
)
def test_a_wrong_setting_is_answered_with_what_would_be_right(setting, message):
    with pytest.raises(SettingError, match=message):
        plain(settings=[setting])


def test_all_faults_are_told_at_once():
    with pytest.raises(SettingError) as caught:
        plain(settings=["epohcs=3", "optim.lr=-1", "aug.flop=1"])
    for part in ("epohcs", "optim.lr", "flop"):
        assert part in str(caught.value)


def test_a_short_flag_must_agree_with_the_setting_it_stands_for():
    assert plain(shorthands={"seed": 3}).values["seed"] == 3
    assert plain(shorthands={"seed": 3}, settings=["seed=3"]).values["seed"] == 3
    with pytest.raises(SettingError, match="--seed 3 and seed=4 differ"):
        plain(shorthands={"seed": 3}, settings=["seed=4"])


def test_the_last_of_two_equal_names_counts():
    assert tokens(["epochs=1", "epochs=2"]) == {"epochs": 2}


def test_written_settings_read_back_the_same(tmp_path):
    resolved = plain(settings=["optim.lr=1e-5", "aug.shift=2", "run.early_stop=3"])
    file = tmp_path / "config.yaml"
    file.write_text(resolved.to_yaml())
    assert "# command line" in resolved.to_yaml()
    again = read_config(str(file))
    assert difference(resolved, again) == []


def test_difference_lists_what_is_not_the_same():
    left, right = plain(settings=["epochs=1"]), plain(settings=["epochs=2", "aug.shift=1"])
    assert difference(left, right) == [("epochs", 1, 2), ("aug.shift", None, 1)]


def test_a_change_keeps_everything_else_and_its_origin():
    resolved = plain(settings=["batch=8"])
    later = changed(resolved, {"epochs": 99})
    assert difference(resolved, later) == [("epochs", 10, 99)]
    assert later.origins["batch"] == "command line"
    assert changed(resolved, {}) is resolved


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_package_resolves(name):
    resolved = read_config(name)
    assert set(resolved.origins.values()) >= {f"recipe {name}"}


def test_the_schema_is_json_and_knows_every_top_level_setting():
    schema = json.loads(json.dumps(settings_schema()))
    assert {"epochs", "optim", "data", "aug", "run"} <= set(schema["properties"])


def test_variables_may_be_written_in_capitals():
    resolved = plain(environ={"NETWRIGHT_SET_OPTIM__LR": "0.2"})
    assert resolved.values["optim.lr"] == 0.2


@pytest.mark.parametrize(
    "text", ["a: !!bool x", "a: !!int ''", "a: !!float ''", "a: !!timestamp x"]
)
def test_a_tag_in_a_recipe_is_refused(tmp_path, text):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(SettingError, match=r"tags .* are not allowed"):
        plain(config=str(tmp_path / "t.yaml"))


def test_a_number_of_thousands_of_digits_is_a_wrong_setting():
    with pytest.raises(SettingError, match="is not allowed"):
        plain(settings=["optim.lr=" + "9" * 5000])
