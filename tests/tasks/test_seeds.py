"""A recipe over several seeds: each is the plain run of its seed, and nothing loses the others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import netwright as nw
from netwright.cli import main
from netwright.core import events as e
from netwright.core.errors import (
    CheckpointError,
    DivergedError,
    InterruptedRunError,
    RunBusyError,
    SettingError,
)
from netwright.records.run import Run, find_run, list_runs
from netwright.records.seeds import over_seeds, seed_runs, typical
from netwright.tasks import training
from netwright.tasks.classification import Classification
from netwright.tasks.loading import load
from netwright.tasks.settings import resolve
from netwright.tasks.using import evaluate, predict
from netwright.train.task import NonFiniteError
from netwright.train.weights import read_weights


def digits(**settings):
    base = {"model": "mlp", "epochs": 2, "model__hidden": [16], "seed": 3, "seeds": 3,
            "run__stack": "never"}  # fmt: skip
    return resolve(data="digits", settings=base | settings, environ={})


def lines(folder):
    """The metrics without what depends on the clock."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in each.items() if not k.startswith("time/")} for each in found]


def assert_same_run(left: Path, right: Path) -> None:
    assert lines(left) == lines(right)
    ours, theirs = (read_weights(each / "best.safetensors") for each in (left, right))
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert Run(left).best == Run(right).best


def assert_same_seeds(left: Path, right: Path) -> None:
    for each in seed_runs(Run(left)):
        assert_same_run(each.run.path, right / each.run.path.name)
    for name in ("best", "metrics", "epochs", "steps"):
        assert Run(left).info[name] == Run(right).info[name], name


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Seeds 3, 4 and 5 of a small network, in one go."""
    folder = tmp_path_factory.mktemp("seeds") / "whole"
    training.train(digits(), run_dir=folder, command="netwright train digits seeds=3 --seed 3")
    return folder


def test_each_seed_is_the_plain_run_of_that_seed_bit_for_bit(whole, tmp_path):
    for seed in (3, 5):
        training.train(digits(seed=seed, seeds=1), run_dir=tmp_path / f"{seed}")
        assert_same_run(tmp_path / f"{seed}", whole / f"seed-{seed}")


def test_one_seed_is_an_ordinary_run(tmp_path):
    made = training.train(digits(seeds=1, epochs=1), run_dir=tmp_path / "run")
    assert "seeds" not in made.run.info
    assert "seeds" not in made.to_json()
    assert (tmp_path / "run" / "best.safetensors").is_file()


def test_the_folder_tells_median_and_range(whole):
    info = Run(whole).info
    values = sorted(row["best"]["value"] for row in info["seeds"])
    assert [row["seed"] for row in info["seeds"]] == [3, 4, 5]
    assert info["best"]["median"] == info["best"]["value"] == values[1]
    assert info["best"]["min"] == values[0]
    assert info["best"]["max"] == values[2]
    assert info["best"]["spread"] == pytest.approx(values[2] - values[0])
    assert info["status"] == "done"
    middle = typical(Run(whole))
    assert middle is not None
    assert middle.seed == info["best"]["seed"]
    assert middle.run.best["value"] == values[1]
    test = sorted(row["metrics"]["test/acc1"] for row in info["seeds"])
    assert over_seeds(seed_runs(Run(whole)))["test/acc1"].median == test[1]


def test_the_settings_of_a_seed_train_it_alone(whole, tmp_path):
    again = resolve(config=str(whole / "seed-4" / "config.yaml"), environ={})
    training.train(again, run_dir=tmp_path / "again")
    assert_same_run(tmp_path / "again", whole / "seed-4")
    assert Run(whole / "seed-4").info["command"] == "netwright train digits seed=4"


def test_evaluate_measures_every_seed(whole):
    found = evaluate(str(whole))
    alone = {seed: evaluate(str(whole / f"seed-{seed}")).metrics for seed in (3, 4, 5)}
    assert {seed: dict(each.metrics) for seed, each in found.seeds.items()} == alone
    values = sorted(each["acc1"] for each in alone.values())
    assert found.metrics["acc1"] == values[1]
    assert (found.spread["acc1"].low, found.spread["acc1"].high) == (values[0], values[2])
    document = found.to_json()
    assert [row["seed"] for row in document["seeds"]] == [3, 4, 5]


def test_the_seed_in_the_middle_predicts(whole, tmp_path):
    from PIL import Image

    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    middle = typical(Run(whole))
    assert load(whole).run.path == middle.run.path
    assert predict(str(whole), [str(tmp_path / "a.png")]).run.path == middle.run.path


def test_seeds_are_found_through_the_folder_and_are_no_runs_of_their_own(whole):
    assert [run.name for run in list_runs(whole.parent)] == ["whole"]
    assert find_run("whole/seed-4", root=whole.parent).info["seed"] == 4


def test_latest_leads_to_the_folder_of_all_seeds(tmp_path, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_RUNS", str(tmp_path / "runs"))
    made = training.train(digits(seeds=2, epochs=1))
    assert made.run.path.name.split("-")[-2] == "2seeds"
    assert find_run("latest").path.resolve() == made.run.path.resolve()
    assert not (made.run.path / "latest").exists()


def stopping(number, seed_steps):
    """A listener that raises a signal at a step counted over all seeds."""
    seen = []

    def listen(event):
        if isinstance(event, e.StepEnded):
            seen.append(event.step)
            if len(seen) == seed_steps:
                signal.raise_signal(number)

    return listen


def test_seeds_stopped_by_a_signal_go_on_to_the_same_numbers(whole, tmp_path):
    folder = tmp_path / "parted"
    with pytest.raises(InterruptedRunError, match="after step 7") as caught:
        training.train(
            digits(), run_dir=folder, listeners=[stopping(signal.SIGTERM, 47)], command="x"
        )
    assert caught.value.exit_code == 143
    assert f"--resume {folder}\n" in f"{caught.value}\n"
    assert Run(folder).status == "interrupted"
    assert [each.status for each in seed_runs(Run(folder))] == ["done", "interrupted", "waiting"]
    kept = (folder / "seed-3" / "run.json").read_bytes()
    with pytest.raises(InterruptedRunError):
        training.train(None, resume=str(folder), listeners=[stopping(signal.SIGTERM, 4)])
    training.train(None, resume=str(folder))
    assert (folder / "seed-3" / "run.json").read_bytes() == kept
    assert_same_seeds(folder, whole)


def test_a_signal_while_the_data_are_read_is_obeyed_at_the_next_step(tmp_path, monkeypatch):
    from netwright.tasks import seeds

    real = seeds.prepare

    def interrupted(resolved, *args, **kwargs):
        if resolved.recipe.general.seed == 4:
            signal.raise_signal(signal.SIGTERM)
        return real(resolved, *args, **kwargs)

    monkeypatch.setattr(seeds, "prepare", interrupted)
    with pytest.raises(InterruptedRunError, match="after step 1;"):
        training.train(digits(), run_dir=tmp_path / "run")


def test_seeds_killed_at_any_time_go_on_to_the_same_numbers(whole, tmp_path):
    folder = tmp_path / "killed"
    script = f"""
import os, signal
from pathlib import Path
from netwright.core import events as e
from netwright.tasks import training
from netwright.tasks.settings import resolve

steps = []

def listen(event):
    if isinstance(event, e.StepEnded):
        steps.append(event)
        if len(steps) == 55:  # in the middle of the second seed
            os.kill(os.getpid(), signal.SIGKILL)

settings = ["model=mlp", "epochs=2", "model.hidden=[16]", "seed=3", "seeds=3", "run.stack=never",
            "run.checkpoint_every=3"]
resolved = resolve(data="digits", settings=settings, environ={{}})
training.train(resolved, run_dir=Path({str(folder)!r}), listeners=[listen])
"""
    killed = subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert Run(folder).status == "running"
    assert [each.status for each in seed_runs(Run(folder))] == ["done", "running", "waiting"]
    training.train(None, resume=str(folder))
    assert_same_seeds(folder, whole)


def test_a_folder_killed_before_its_settings_starts_anew(tmp_path, whole):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text('{"format": 1, "status": "running"}')
    training.train(digits(), run_dir=folder, resume="auto")
    assert_same_seeds(folder, whole)


def test_a_finished_run_is_left_as_it_is_and_can_be_made_longer(tmp_path):
    folder = tmp_path / "run"
    training.train(digits(seeds=2, epochs=1), run_dir=folder)
    before = (folder / "run.json").read_bytes()
    training.train(None, resume=str(folder))
    assert (folder / "run.json").read_bytes() == before
    longer = training.train(None, resume=str(folder), asked={"epochs": 2})
    assert longer.epochs == 2
    assert [len(lines(folder / f"seed-{seed}")) for seed in (3, 4)] == [2, 2]
    with pytest.raises(SettingError, match=r"seeds: 2 -> 4"):
        training.train(None, resume=str(folder), asked={"seeds": 4})


@pytest.fixture
def diverging(monkeypatch):
    """Seed 4 loses the finite numbers in step 5."""
    real = Classification.step

    def step(self, batch, step):
        if self.seed == 4 and step == 5:
            raise NonFiniteError("loss", float("nan"))
        return real(self, batch, step)

    monkeypatch.setattr(Classification, "step", step)


def test_a_seed_that_diverges_does_not_lose_the_others(whole, tmp_path, diverging):
    folder, heard = tmp_path / "run", []
    with pytest.raises(DivergedError, match="1 of 3 seeds diverged: 4") as caught:
        training.train(digits(), run_dir=folder, listeners=[heard.append])
    assert caught.value.exit_code == 5
    warned = [each for each in heard if isinstance(each, e.Noted) and each.word == "WARN"]
    assert [each.values["seed"] for each in warned] == [4]
    info = Run(folder).info
    assert info["status"] == "diverged"
    assert [row["status"] for row in info["seeds"]] == ["done", "diverged", "done"]
    for seed in (3, 5):
        assert_same_run(folder / f"seed-{seed}", whole / f"seed-{seed}")
    kept = [info["seeds"][i]["best"]["value"] for i in (0, 2)]
    assert info["best"]["median"] == pytest.approx(sum(kept) / 2)
    assert "diverged" in (folder / "report.html").read_text(encoding="utf-8")
    with pytest.raises(DivergedError, match="1 of 3 seeds"):
        training.train(None, resume=str(folder))


@pytest.mark.parametrize("stack", ["never", "auto"])  # auto tries some steps before
def test_seeds_that_all_diverge_leave_no_weights(tmp_path, stack):
    folder = tmp_path / "run"
    settings = {"optim": "sgd", "optim__lr": 1e30, "sched": "constant", "run__stack": stack}
    with pytest.raises(DivergedError, match="2 of 2"):
        training.train(digits(seeds=2, **settings), run_dir=folder)
    assert Run(folder).best is None
    with pytest.raises(CheckpointError, match="None of the 2 seeds"):
        load(folder)


def test_two_owners_of_the_seeds_are_refused(tmp_path):
    folder, tried = tmp_path / "run", []

    def intrude(event):
        if isinstance(event, e.StepEnded) and event.step == 3 and not tried:
            tried.append(event)
            for spec in (folder, folder / "seed-3"):
                with pytest.raises(RunBusyError, match="in use"):
                    training.train(None, resume=str(spec))

    training.train(digits(seeds=2, steps=4), run_dir=folder, listeners=[intrude])


def test_wrong_settings_leave_no_folder(tmp_path):
    with pytest.raises(SettingError, match=r"seeds: 0 is not allowed: .* at least 1"):
        digits(seeds=0)
    with pytest.raises(SettingError, match=r"seed: .* too large for seeds=3"):
        digits(seed=2**63 - 2)
    with pytest.raises(SettingError, match="batch"):
        training.train(digits(batch=5000), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_rehearsal_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_RUNS", str(tmp_path / "runs"))
    made = training.train(digits(run__stack="auto"), dry_run=True)
    assert (made.status, len(made.seeds)) == ("dry-run", 3)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("stack", ["auto", "always", "never"])
def test_seeds_without_a_step_are_measured_as_they_begin(tmp_path, stack):
    made = training.train(digits(seeds=2, epochs=0, run__stack=stack), run_dir=tmp_path / "run")
    assert [row["status"] for row in made.seeds] == ["done", "done"]
    assert made.steps == 0


def test_the_command_prints_one_document(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NETWRIGHT_RUNS", str(tmp_path / "runs"))
    words = ["digits", "mlp", "model.hidden=[16]", "epochs=1", "seeds=2"]
    assert main(["train", *words, "--json", "--quiet"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"format", "run", "status", "epochs", "steps", "best", "seeds"} <= set(document)
    assert {"metric", "value", "epoch", "step"} <= set(document["best"])
    assert [os.path.basename(row["run"]) for row in document["seeds"]] == ["seed-0", "seed-1"]
    assert main(["evaluate", "latest", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["seeds"]) == 2
    assert main(["evaluate", "latest"]) == 0
    assert "acc1" in capsys.readouterr().out
    assert main(["ls", "runs"]) == 0
    assert "[" in capsys.readouterr().out
    assert main(["report", "latest"]) == 0
    assert main(["train", *words]) == 0
    assert "seeds    2 of 2 done" in capsys.readouterr().out


def test_a_command_whose_seed_diverges_ends_with_5_and_tells_of_the_others(
    tmp_path, monkeypatch, capsys, diverging
):
    monkeypatch.setenv("NETWRIGHT_RUNS", str(tmp_path / "runs"))
    words = ["digits", "mlp", "model.hidden=[16]", "epochs=1", "seed=3", "seeds=2"]
    assert main(["train", *words, "run.stack=never", "--json", "-q"]) == 5
    document = json.loads(capsys.readouterr().out)
    assert document["exit"] == 5
    assert [row["status"] for row in document["seeds"]] == ["done", "diverged"]


def test_python_takes_seeds_as_well(tmp_path):
    made = nw.train("digits", model="mlp", epochs=1, seeds=2, run_dir=tmp_path / "run")
    assert [row["seed"] for row in made.seeds] == [0, 1]


def test_nothing_is_written_behind_a_link_that_stands_for_a_seed(tmp_path):
    folder, other = tmp_path / "run", tmp_path / "other"
    training.train(digits(steps=2, seeds=2), run_dir=folder)
    shutil.rmtree(folder / "seed-4")
    other.mkdir()
    (folder / "seed-4").symlink_to(other)
    with pytest.raises(SettingError, match="is a link, and leads to no run"):
        training.train(None, resume=str(folder))
    assert list(other.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        {"best": [1], "seconds": "abc", "stack": [3], "metrics": 5, "epochs": {}},
        {"best": {"metric": "val/acc1", "value": 1}, "seconds": -1, "resumed": 3, "metrics": [1]},
    ],
)
@pytest.mark.parametrize("status", ["done", "running"])
def test_odd_values_in_the_list_of_seeds_cost_nothing(tmp_path, capsys, damage, status, whole):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for each in (folder, folder / "seed-4"):
        info = json.loads((each / "run.json").read_text()) | damage | {"status": status}
        (each / "run.json").write_text(json.dumps(info))
    assert main(["train", "--resume", str(folder)]) == 0
    assert "3 of 3 done" in capsys.readouterr().out
    assert_same_run(folder / "seed-3", whole / "seed-3")


def test_a_folder_stopped_before_its_first_step_says_how_to_begin_again(tmp_path, whole):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(whole / "config.yaml", folder)
    (folder / "run.json").write_text('{"format": 1, "status": "running"}')
    with pytest.raises(SettingError, match=r"nothing to go on with[\s\S]*--resume auto"):
        training.train(None, resume=str(folder))
    training.train(digits(), run_dir=folder, resume="auto")
    assert_same_seeds(whole, folder)
