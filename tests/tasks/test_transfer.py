"""`transfer.`: stages that are held still, rates that fall toward the input, norms that stay."""

from __future__ import annotations

import json
import signal

import pytest
import torch

import netwright as nw
from netwright.cli import main
from netwright.core import events as e
from netwright.core.errors import InterruptedRunError, SettingError
from netwright.core.languages import say
from netwright.nn.stages import has_statistics
from netwright.records.run import Run
from netwright.tasks import training
from netwright.tasks.preparing import prepare
from netwright.tasks.recipe_range import range_of_recipe
from netwright.tasks.settings import resolve
from netwright.tasks.stacked import why_not
from netwright.train.weights import read_weights

SMALL = {"model": "resnet20", "batch": 32}
HEAD = ["linear.weight", "linear.bias"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A small trained ResNet-20 of the digits, with statistics of its own."""
    folder = tmp_path_factory.mktemp("source") / "first"
    nw.train("digits", **SMALL, steps=30, run_dir=folder)
    return folder


def recipe(source, **settings):
    given = SMALL | {"data": "digits", "model__weights": str(source), "steps": 8} | settings
    return resolve(settings=given, environ={})


def trained(resolved, folder, **more):
    said = []
    training.train(resolved, run_dir=folder, listeners=[said.append], **more)
    return [say(n.template, **n.values) for n in said if isinstance(n, e.Noted)]


def moved(folder, source):
    """The tensors of a run that are no longer those it started from."""
    before, after = (read_weights(each / "best.safetensors") for each in (source, folder))
    return {name for name in before if not torch.equal(before[name], after[name])}


def task_of(source, **settings):
    return prepare(recipe(source, **settings), e.Events()).task


def trainable(task):
    return [name for name, each in task.model.named_parameters() if each.requires_grad]


def in_training(task):
    return sum(each.training for each in task.model.modules() if has_statistics(each))


def test_features_alone_leave_every_tensor_below_the_head_as_it_was(tmp_path, source):
    said = trained(recipe(source, transfer__freeze="all"), tmp_path / "run")
    assert moved(tmp_path / "run", source) == set(HEAD)
    assert any(
        line.startswith("frozen for the whole run: all below the head (stages: 10;")
        for line in said
    )
    facts = Run(tmp_path / "run").model["transfer"]
    assert (facts["head"], facts["freeze_steps"]) == (HEAD, None)
    assert [each["name"] for each in facts["stages"]][:2] == ["conv1", "layer1.0"]


def told_by(capsys, *words):
    assert main(["train", "digits", "resnet20", "batch=32", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_result_tells_what_was_loaded_and_what_is_trained_when(tmp_path, source, capsys, seeds):
    told = told_by(
        capsys, f"model.weights={source}", "transfer.freeze=0.05", "transfer.unfreeze=gradual",
        "steps=3", f"seeds={seeds}", "--run-dir", str(tmp_path / "run"),
    )  # fmt: skip
    assert (told["start"]["tensors"], told["start"]["fresh"]) == (116, [])
    assert told["start"]["weights"] == str(source / "best.safetensors")
    plan = told["transfer"]
    every = plan["freeze_steps"]
    assert [each["trained_from"] for each in plan["stages"]] == [
        every * opened for opened in range(10, 0, -1)
    ]


def test_a_rehearsal_tells_what_would_be_loaded(source, capsys):
    told = told_by(capsys, f"model.weights={source}", "transfer.freeze=all", "--dry-run")
    assert told["run"] is None
    assert told["start"]["run"] == str(source)
    assert {each["trained_from"] for each in told["transfer"]["stages"]} == {None}


@pytest.mark.parametrize("unfreeze", ["at-once", "gradual"])
def test_a_range_of_rates_is_tested_with_the_stages_frozen_as_a_run_begins(source, unfreeze):
    said = []
    thawed, held = (
        range_of_recipe(recipe(source, **settings), first=1e-4, last=1e-1, steps=20,
                        listeners=[said.append])
        for settings in ({"transfer__freeze": 0.1, "transfer__unfreeze": unfreeze},
                         {"transfer__freeze": "all"})
    )  # fmt: skip
    assert thawed.losses == held.losses
    (line,) = [each for each in said if isinstance(each, e.Noted) and "as the run" in each.template]
    assert line.template.endswith("test with transfer.freeze=0")


def test_a_run_that_began_at_random_tells_of_neither(capsys):
    told = told_by(capsys, "--dry-run")
    assert (told["start"], told["transfer"]) == (None, None)


def test_a_run_without_such_settings_has_no_plan(source):
    assert task_of(source).transfer is None


def test_frozen_at_first_then_all_at_once(source):
    task = task_of(source, steps=None, epochs=4, transfer__freeze=2)
    per_epoch = task.rhythm.steps_per_epoch
    feed = task.feed(0)
    for step, (names, norms) in {
        0: (HEAD, 0),
        2 * per_epoch - 1: (HEAD, 0),
        2 * per_epoch: ([name for name, _ in task.model.named_parameters()], 19),
    }.items():
        task.step(next(feed), step)
        assert (trainable(task), in_training(task)) == (names, norms)
    task.evaluate(2 * per_epoch)
    assert in_training(task) == 19
    task.feed(3)  # and back, as a repair goes
    assert (trainable(task), in_training(task)) == (HEAD, 0)
    task.evaluate(3)
    assert in_training(task) == 0


def test_gradually_one_stage_more_from_the_head_down(source):
    task = task_of(source, steps=None, epochs=3, transfer__freeze=0.1, transfer__unfreeze="gradual")
    every = task.transfer.freeze_steps
    assert every == round(0.1 * task.rhythm.steps_per_epoch)
    stages = [each.name for each in task.transfer.stages]
    for opened in range(len(stages) + 1):
        task.to_training(opened * every)
        expected = {n for s in task.transfer.stages[len(stages) - opened :] for n in s.parameters}
        assert set(trainable(task)) == expected | set(HEAD)
    assert task.transfer.opened_at == every * len(stages)


def test_a_run_too_short_to_open_every_stage_says_so(tmp_path, source):
    settings = {"transfer__freeze": 0.03, "transfer__unfreeze": "gradual"}
    said = trained(recipe(source, **settings, steps=4), tmp_path / "run")
    assert "the run ends at step 4, before all is trained; stages frozen" in "\n".join(said)
    assert "from the input on: 7 (transfer.unfreeze=gradual)" in "\n".join(said)
    assert "conv1.weight" not in moved(tmp_path / "run", source)
    assert "layer3.2.conv1.weight" in moved(tmp_path / "run", source)


def test_a_run_that_ends_before_anything_is_unfrozen_says_so(tmp_path, source):
    said = trained(recipe(source, transfer__freeze=1.0, steps=2), tmp_path / "run")
    assert any(
        line.startswith("the head alone is trained: the run ends at step 2") for line in said
    )
    assert moved(tmp_path / "run", source) <= set(HEAD)
    facts = json.loads((tmp_path / "run" / "model.json").read_text())
    templates = [each["template"] for each in facts["begun"]]
    assert templates[0] == "tensors loaded: {count}, from {path}"
    assert templates[-1].startswith("the head alone is trained")


def test_a_share_of_a_step_is_one_step(source):
    assert repr(task_of(source, transfer__freeze=1e-9).transfer.freeze_steps) == "1"


def test_a_rehearsal_warns_of_no_end_before_the_stages_are_trained(source, tmp_path):
    for settings in ({"transfer__freeze": 1}, {"transfer__freeze": 0.05,
                                               "transfer__unfreeze": "gradual"}):  # fmt: skip
        said = trained(recipe(source, **settings, steps=None, epochs=3), None, dry_run=True)
        assert any(line.startswith("frozen up to step") for line in said)
        assert not any("ends at step" in line for line in said)


def test_rates_that_change_nothing_say_so(source, tmp_path):
    settings = {"transfer__freeze": "all", "transfer__rate_of_layers": 0.5, "steps": 1}
    said = trained(recipe(source, **settings), tmp_path / "run")
    assert any(line.startswith("transfer.rate_of_layers=0.5 changes nothing") for line in said)


def test_rates_fall_toward_the_input_stage_by_stage(tmp_path, source):
    resolved = recipe(source, transfer__rate_of_layers=0.5, optim="sgd", optim__lr=0.1)
    task = prepare(resolved, e.Events()).task
    rates = {
        id(each): group["lr"] for group in task.optimizer.param_groups for each in group["params"]
    }
    named = {name: rates[id(each)] for name, each in task.model.named_parameters()}
    assert named["linear.weight"] == named["linear.bias"] == 0.1
    assert named["layer3.2.conv2.weight"] == named["layer3.2.bn1.bias"] == pytest.approx(0.05)
    assert named["layer3.1.conv1.weight"] == pytest.approx(0.025)
    assert named["conv1.weight"] == pytest.approx(0.1 * 0.5**10)
    assert task.base_rates[0] == 0.1
    decays = {g["weight_decay"] for g in task.optimizer.param_groups for p in g["params"]
              if p.ndim < 2}  # fmt: skip
    assert decays <= {0.0}
    said = trained(resolved, tmp_path / "run")
    assert (
        "the rate falls by 0.5 a stage toward the input: 0.1 in the head, 9.77e-05 in conv1" in said
    )
    (line,) = Run(tmp_path / "run").metrics
    assert line["lr/g0"] <= 0.1


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize(
    ("settings", "kept"),
    [({}, False), ({"transfer__norm": "frozen"}, True),
     ({"transfer__norm": "frozen", "transfer__freeze": "all"}, True)],
    ids=["train", "frozen", "frozen-all"],
)  # fmt: skip
def test_statistics_of_norms_are_kept_or_move(tmp_path, source, settings, kept):
    trained(recipe(source, **settings), tmp_path / "run")
    changed = [name for name in moved(tmp_path / "run", source) if name.endswith(STATISTICS)]
    assert (changed == []) == kept


def test_recomputed_statistics_are_those_of_the_training_images(source):
    kept, anew = (task_of(source, transfer__norm=norm, transfer__freeze="all")
                  for norm in ("train", "recompute"))  # fmt: skip
    own = kept.model.bn1.running_mean
    images = kept.dataset.splits["train"]
    count = min(len(images), 1024)
    chosen = torch.stack([images.read(i * len(images) // count) for i in range(count)])
    with torch.no_grad():
        maps = [kept.model.conv1(kept.preprocessing(part)) for part in chosen.split(64)]
    expected = torch.stack([each.mean((0, 2, 3)) for each in maps if len(each) > 1]).mean(0)
    torch.testing.assert_close(anew.model.bn1.running_mean, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(own, expected, rtol=1e-3)
    assert in_training(anew) == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"transfer__freeze": 0.12},
        {
            "transfer__freeze": 0.05,
            "transfer__unfreeze": "gradual",
            "transfer__rate_of_layers": 0.7,
        },
        {"transfer__freeze": "all", "transfer__norm": "recompute"},
        {"transfer__freeze": 0.12, "run__ema": 0.9, "optim": "sgd", "optim__momentum": 0.9},
        {
            "transfer__freeze": 0.05,
            "transfer__unfreeze": "gradual",
            "optim": "sgd",
            "optim__wd": 0.1,
        },
    ],
    ids=["at-once", "gradual-rates", "features", "momentum-ema", "gradual-momentum"],
)
@pytest.mark.parametrize("stop", [3, 6])
def test_a_run_that_is_stopped_goes_on_to_the_same_bits(tmp_path, source, settings, stop):
    resolved = recipe(source, **settings)
    trained(resolved, tmp_path / "whole")

    def stops(event):
        if isinstance(event, e.StepEnded) and event.step == stop:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        training.train(resolved, run_dir=tmp_path / "parted", listeners=[stops])
    seen = []
    training.train(None, resume=str(tmp_path / "parted"), listeners=[seen.append])
    (started,) = [each for each in seen if isinstance(each, e.RunStarted)]
    assert (started.step, started.resumed) == (stop, "exact")
    left, right = (
        read_weights(tmp_path / each / "best.safetensors") for each in ("parted", "whole")
    )
    assert all(torch.equal(left[name], right[name]) for name in right)


def test_the_head_that_began_anew_is_known_when_a_run_goes_on(tmp_path, source):
    """With other classes the head is what began anew, not what stands last."""
    settings = {"data": "shapes", "data__size": 8, "data__channels": 1, "transfer__freeze": "all"}
    first = prepare(recipe(source, **settings), e.Events())
    trained(recipe(source, **settings), tmp_path / "run")
    again = prepare(recipe(source, **settings), e.Events(), recorded=Run(tmp_path / "run"))
    assert again.start is None
    assert again.task.transfer.head == first.task.transfer.head == HEAD


@pytest.mark.parametrize("freeze", ["all", 0.1])
def test_the_doctor_says_nothing_of_what_is_frozen(tmp_path, source, freeze):
    settings = {"transfer__freeze": freeze, "doctor__mode": "watch", "steps": 24}
    trained(recipe(source, **settings), tmp_path / "run")
    found = (tmp_path / "run" / "findings.jsonl").read_text().splitlines()
    names = {json.loads(line)["name"] for line in found}
    assert names.isdisjoint({"frozen-parameters", "wrong-mode", "weights-do-not-change",
                             "stale-optimizer", "unused-parameters"})  # fmt: skip


def test_the_check_up_says_nothing_of_what_is_frozen(tmp_path, source, capsys):
    main(["check", "digits", "resnet20", f"model.weights={source}",
          "transfer.freeze=all", "--json"])  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    names = {each["name"] for each in said["findings"]}
    assert names.isdisjoint({"frozen-parameters", "wrong-mode", "stale-optimizer",
                             "unused-parameters"})  # fmt: skip


def test_what_the_author_of_a_network_froze_stays_frozen(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def net(num_classes):\n"
        "    fixed = nn.Linear(64, 16)\n"
        "    fixed.requires_grad_(False)\n"
        "    return nn.Sequential(nn.Flatten(), fixed, nn.ReLU(), nn.Linear(16, 16), nn.ReLU(),\n"
        "                         nn.Linear(16, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    resolved = resolve(data="digits", model="mine.py:net", environ={},
                       settings={"transfer__freeze": 1, "epochs": 2})  # fmt: skip
    task = prepare(resolved, e.Events()).task
    task.to_training(task.rhythm.steps - 1)
    assert trainable(task) == ["3.weight", "3.bias", "5.weight", "5.bias"]


def test_several_seeds_of_it_are_not_stacked(source):
    assert "stages" in str(why_not(task_of(source, transfer__freeze=1), 3))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"transfer__freeze": -1}, r"transfer\.freeze: -1 is not allowed"),
        (
            {"transfer__freeze": "some"},
            r"some is not allowed: expected a number at least 0 or all\.",
        ),
        ({"transfer__freeze": "al"}, r"al is not allowed: .*Did you mean all\?"),
        ({"transfer__unfreeze": "gradual"}, r"gradual needs a number of epochs: .* is 0"),
        ({"transfer__rate_of_layers": 0}, r"transfer\.rate_of_layers: 0 is not allowed"),
        ({"transfer__freeze": 1, "model__weights": None}, "transfer.freeze keeps what a network"),
        ({"transfer__norm": "frozen", "model__weights": None}, "transfer.norm keeps what a netw"),
        ({"transfer__freeze": 1, "optim": "lbfgs"}, "optim=lbfgs moves all that is trained"),
        ({"transfer": "frozen"}, '"transfer" is a group of settings'),
        ({"transfer__thaw": 1}, r"transfer\.thaw: no such setting"),
    ],
)
def test_what_cannot_be_is_refused(source, settings, words):
    with pytest.raises(SettingError, match=words):
        prepare(recipe(source, **settings), e.Events())


def test_norms_that_are_not_there_cannot_be_kept(tmp_path, source):
    nw.train("digits", model="mlp", steps=1, run_dir=tmp_path / "mlp")
    settings = {"model": "mlp", "model__weights": str(tmp_path / "mlp"), "transfer__norm": "frozen"}
    with pytest.raises(SettingError, match=r"transfer\.norm: the network has no norms"):
        prepare(resolve(data="digits", settings=settings, environ={}), e.Events())
