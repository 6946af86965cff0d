"""A recipe as a plain Python script: other code, the same numbers to the last bit."""

from __future__ import annotations

import inspect
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from netwright.augment import Augmentation
from netwright.core.errors import SettingError
from netwright.nn.initialisers import INITIALISERS
from netwright.nn.losses import LOSSES
from netwright.optim.optimizers import OPTIMIZERS
from netwright.optim.schedules import SCHEDULES
from netwright.tasks import training
from netwright.tasks.copying import python_copy
from netwright.tasks.scripts.material import Material
from netwright.tasks.settings import Resolved, changed, read_config, resolve, tokens
from netwright.train.weights import read_weights

SMALL = ("model=mlp", "model.hidden=[16]", "batch=256", "epochs=2")


def digits(*settings: str) -> Resolved:
    return changed(read_config("digits"), tokens((*SMALL, *settings)))


def script(resolved: Resolved) -> str:
    return python_copy(resolved, spec="digits", file="copy.py")


def assert_same(resolved: Resolved, place: Path, capsys: pytest.CaptureFixture[str]) -> list[dict]:
    """The run of a recipe and its script print the same numbers and keep the same weights."""
    (place / "copy.py").write_text(script(resolved))
    training.train(resolved, run_dir=place / "run")
    text = (place / "run" / "metrics.jsonl").read_text()
    lines = [json.loads(each) for each in text.splitlines()]
    capsys.readouterr()
    deterministic = torch.are_deterministic_algorithms_enabled()
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        patch.chdir(place)
        try:
            runpy.run_path("copy.py", run_name="__main__")
        finally:
            torch.use_deterministic_algorithms(deterministic)
    mine = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert len(mine) == len(lines) > 0
    for line, own in zip(lines, mine, strict=True):
        assert own.pop("train/acc1") == pytest.approx(line["train/acc1"], abs=1e-12)
        assert own == {name: line[name] for name in own}
        assert {name for name in line if name.startswith("val/")} <= set(own)
    weights, own = read_weights(place / "run" / "best.safetensors"), torch.load(place / "copy.pt")
    assert set(weights) == set(own)
    assert [name for name in weights if not torch.equal(weights[name], own[name])] == []
    return mine


def test_the_recipe_of_the_digits(tmp_path, capsys):
    resolved = changed(read_config("digits"), {"epochs": 2})
    assert len(assert_same(resolved, tmp_path, capsys)) == 2


def test_much_at_once(tmp_path, capsys):
    settings = (
        "optim=adamw", "sched=cosine", "sched.warmup=0.5", "run.ema=0.9", "optim.clip=0.5",
        "loss.smoothing=0.1", "loss.class_weights=balanced", "model.dropout=0.2",
    )  # fmt: skip
    assert_same(digits(*settings), tmp_path, capsys)


def test_synthetic_shapes_with_augmentation_and_batch_norm(tmp_path, capsys):
    settings = (
        "data=shapes", "data.images=200", "data.size=16", "model=lenet5", "epochs=2", "batch=32",
        "optim=sgd", "optim.wd=0.01", "sched=step", "aug.flip=true", "aug.crop=2",
        "run.select=best", "run.ema=none",
    )  # fmt: skip
    resolved = changed(read_config("digits"), tokens(settings))
    lines = assert_same(resolved, tmp_path, capsys)
    assert "val/acc5" not in lines[0]


def test_l1_with_oversampling_and_a_rate_that_falls_on_a_plateau(tmp_path, capsys):
    settings = (
        "epochs=4", "optim=sgd", "optim.lr=0.5", "optim.l1=0.01", "data.balance=oversample",
        "sched=plateau", "sched.patience=0", "sched.threshold=0.9", "sched.warmup=1",
        "run.ema=none", "loss.class_weights=[1,2,1,1,1,1,1,1,1,3]",
    )  # fmt: skip
    lines = assert_same(digits(*settings), tmp_path, capsys)
    assert lines[-1]["lr/g0"] < lines[1]["lr/g0"]


def test_early_stopping_ends_in_the_same_epoch_and_keeps_the_best(tmp_path, capsys):
    settings = ("epochs=9", "run.select=best", "run.early_stop=1", "run.ema=none", "optim.lr=1.5")
    lines = assert_same(digits(*settings), tmp_path, capsys)
    assert len(lines) < 9


def test_a_run_that_ends_within_an_epoch(tmp_path, capsys):
    assert [each["step"] for each in assert_same(digits("steps=7"), tmp_path, capsys)] == [5, 7]


@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer(name, tmp_path, capsys):
    assert_same(digits(f"optim={name}", "optim.wd=0.001", "run.ema=none"), tmp_path, capsys)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule(name, tmp_path, capsys):
    assert_same(digits(f"sched={name}"), tmp_path, capsys)


def test_schedules_with_settings_of_their_own(tmp_path, capsys):
    for number, settings in enumerate(
        (
            ("sched=step", "sched.every=0.3", "sched.gamma=0.5", "sched.warmup=0.4"),
            ("sched=cosine", "sched.final=0.1"),
            ("sched=polynomial", "sched.power=2.0", "sched.final=0.01", "sched.warmup=1"),
            ("sched=cyclic", "sched.cycles=2.0", "sched.shape=exp"),
            (
                "sched=plateau",
                "sched.watch=train/loss",
                "sched.patience=0",
                "epochs=4",
                "sched.threshold=0.5",
            ),
        )
    ):
        (tmp_path / str(number)).mkdir()
        assert_same(digits(*settings), tmp_path / str(number), capsys)


@pytest.mark.parametrize("name", sorted({*LOSSES.names()} - {"nll"}))  # nll wants log p
def test_every_loss(name, tmp_path, capsys):
    assert_same(digits(f"loss={name}", "epochs=1"), tmp_path, capsys)


@pytest.mark.parametrize("name", INITIALISERS.names())
def test_every_initialiser(name, tmp_path, capsys):
    assert_same(digits(f"init={name}", "epochs=1"), tmp_path, capsys)


def test_a_batch_nobody_chose_is_fitted_to_the_data(tmp_path, capsys):
    for name, expected in (("adamw", 128), ("lbfgs", 1294)):
        (tmp_path / name).mkdir()
        settings = {"model": "mlp", "model__hidden": [8], "epochs": 1, "optim": name}
        file = tmp_path / name / "mine.yaml"
        file.write_text("data: digits\nmodel: {name: mlp, hidden: [8]}\nepochs: 1\n")
        resolved = changed(read_config(str(file)), {"optim.name": name})
        assert resolved.origins["batch"] == "default", settings
        (line,) = assert_same(resolved, tmp_path / name, capsys)
        assert line["step"] == (1 if name == "lbfgs" else 1294 // min(64, expected))


def test_a_network_and_data_of_ones_own(tmp_path, capsys):
    (tmp_path / "own.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "def make():\n"
        "    y = torch.arange(120) % 3\n"
        "    noise = torch.rand(120, 1, 6, 6, generator=torch.Generator().manual_seed(0))\n"
        "    x = y.float()[:, None, None, None] + noise\n"
        "    return (x, y), (x[:30], y[:30])\n\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, num_classes, input_size, width=4):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(36, width), nn.Dropout(0.5),\n"
        "                         nn.Linear(width, num_classes))\n"
        "        self[1].bias.requires_grad_(False)\n"
        "        self.idle = nn.Parameter(torch.ones(3))\n"
    )
    resolved = resolve(
        data=f"{tmp_path}/own.py:make",
        model=f"{tmp_path}/own.py:Net",
        settings={
            "model__width": 5,
            "epochs": 2,
            "batch": 20,
            "optim": "sgd",
            "optim__wd": 0.1,
            "optim__clip": 0.1,
        },
        environ={},
    )
    assert_same(resolved, tmp_path, capsys)


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_passes_that_make_one_step(weights, tmp_path, capsys):
    settings = ("batch=50", "optim.accumulate=3", f"loss.class_weights={weights}", "optim.clip=1")
    assert_same(digits(*settings), tmp_path, capsys)


def test_a_step_computed_in_another_way_where_the_recipe_says_so(tmp_path, capsys):
    settings = ("model=lenet5", "data.size=16", "run.channels_last=true", "run.precision=bf16")
    resolved = changed(read_config("digits"), tokens((*settings, "batch=256", "epochs=1")))
    assert_same(resolved, tmp_path, capsys)


def test_augmentation_is_given_all_it_takes():
    assert list(inspect.signature(Augmentation).parameters) == ["values", "mean", "std"]


def test_only_what_the_recipe_needs_is_written():
    plain = script(digits("run.ema=none", "aug=none", "loss.smoothing=0", "sched=constant"))
    for word in ("average", "Augment", "smoothing", "factor", "copy.deepcopy", "norm >", "l1"):
        assert word not in plain
    assert len(plain.splitlines()) < 110
    assert "norm > 1.0" in script(digits("optim.clip=1.0"))


@pytest.mark.parametrize("recipe", ["digits", "mnist-lenet5", "cifar10-resnet20"])
@pytest.mark.parametrize("width", ["88", "100"])
def test_a_script_is_as_ruff_would_write_it(recipe, width, tmp_path):
    text = python_copy(read_config(recipe), spec=recipe, file="mine.py")
    (tmp_path / "copy.py").write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    for words in (
        [*ruff, "format", "--check", "--line-length", width],
        [*ruff, "check", "--select", "E,F,W,I,B,UP", "--line-length", "100"],
    ):
        done = subprocess.run([*words, "--isolated", "copy.py"], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stdout.decode()


def test_data_left_open_are_named_when_the_script_is_started():
    text = python_copy(read_config("mnist-lenet5"), spec="mnist-lenet5", file="mine.py")
    assert 'DATA = {"name": sys.argv[1]}' in text
    assert "train DATA --config mnist-lenet5" in text


def test_it_imports_nothing_private_and_from_where_names_are_defined():
    for name in ("focal", "nll"):
        text = script(digits(f"loss={name}", "init=lsuv", "sched=cyclic", "optim=lbfgs"))
        found = re.findall(r"^from (netwright\S*) import (.*)$", text, flags=re.MULTILINE)
        assert not any(part.startswith("_") for m, n in found for part in f"{m}.{n}".split("."))


def test_what_nobody_would_carry_out_is_refused_by_name(monkeypatch):
    with pytest.raises(SettingError, match=r"optim\.accumulate=2, loss=focal"):
        script(digits("optim.accumulate=2", "loss=focal"))
    with pytest.raises(SettingError, match=r"epochs=0.*\n.*netwright cp digits copy.yaml"):
        script(digits("epochs=0"))
    monkeypatch.setattr(Material, "value", _forgetting(Material.value, "run.ema"))
    with pytest.raises(SettingError, match=r"run\.ema=0\.99") as error:
        script(digits())
    assert error.value.exit_code == 2


def _forgetting(value, name):
    """A setting that another version knows and this script writer does not."""

    def forgetful(self, asked):
        found = value(self, asked)
        self._read -= {name}
        return found

    return forgetful
