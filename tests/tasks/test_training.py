"""The main job from Python: a run folder that is complete, and stops that lose nothing."""

from __future__ import annotations

import json
import shutil
import signal

import pytest
import torch

import netwright as nw
from netwright.core import events as e
from netwright.core.errors import (
    CheckpointError,
    DataError,
    DivergedError,
    ExhaustedError,
    InterruptedRunError,
    RunBusyError,
    SettingError,
)
from netwright.core.keyed import key
from netwright.core.languages import say
from netwright.data.opening import open_dataset, read_options
from netwright.data.statistics import channel_statistics
from netwright.models import build
from netwright.records.run import Run
from netwright.tasks import training
from netwright.tasks.settings import resolve
from netwright.train.weights import read_weights


def digits(**settings):
    base = {"model": "mlp", "epochs": 2, "model__hidden": [16]}
    return resolve(data="digits", settings=base | settings, environ={})


def lines(folder):
    """The metrics without what depends on the clock."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in each.items() if not k.startswith("time/")} for each in found]


def test_a_run_folder_has_everything_the_design_lists(run):
    for name in (
        "run.json", "config.yaml", "model.json", "metrics.jsonl", "best.safetensors", "env.txt",
        "report.html", "samples/first-batch.npz", "evidence/val.npz", "evidence/test.npz",
    ):  # fmt: skip
        assert (run / name).is_file(), name
    info = Run(run).info
    assert info["status"] == "done"
    assert info["epochs"] == 2
    assert info["steps"] == 40
    assert info["best"]["metric"] == "val/acc1"
    assert info["peak_memory_bytes"] > 0


def test_the_loop_computes_what_a_bare_loop_computes(tmp_path):
    """Twelve steps of SGD with weight decay, written out by hand with the keyed order."""
    nw.train(
        "digits", model="mlp", model__hidden=[16], steps=12, seed=4, run_dir=tmp_path / "run",
        optim="sgd", optim__lr=0.1, optim__momentum=0.9, optim__wd=0.01, sched="constant",
        run__select="last",
    )  # fmt: skip
    ours = read_weights(tmp_path / "run" / "best.safetensors")

    from netwright.core.keyed import permutation

    dataset = open_dataset(read_options({"name": "digits"}), seed=4)
    train = dataset.splits["train"]
    mean, std = channel_statistics(train)
    pixels = torch.stack([train.read(i) for i in range(len(train))]).float() / 255
    pixels = (pixels - mean[0]) / std[0]
    with torch.random.fork_rng():
        torch.manual_seed(key(4, "weights"))
        model = build(
            "mlp", num_classes=10, in_channels=1, input_size=(8, 8), options={"hidden": [16]}
        )
    momentum = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    order = permutation(len(train), 4, 0)
    for step in range(12):
        rows = order[step * 64 : step * 64 + 64]
        loss = torch.nn.functional.cross_entropy(
            model(pixels[rows]), torch.from_numpy(train.labels[rows])
        )
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, p in model.named_parameters():
                gradient = p.grad + (0.01 * p if p.ndim > 1 else 0)
                momentum[name] = 0.9 * momentum[name] + gradient
                p -= 0.1 * momentum[name]
    for name, expected in model.state_dict().items():
        torch.testing.assert_close(ours[name], expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optim": "sgd", "optim__momentum": 0.9, "run__ema": 0.9, "aug__shift": 1},
        {"model": "resnet20", "model__hidden": None, "model__dropout": 0.2, "epochs": 1},
        {
            "model": "resnet20",
            "model__hidden": None,
            "epochs": 1,
            "optim": "sgd",
            "run__channels_last": True,
            "run__precision": "bf16",
        },
        {"batch": 16, "optim__accumulate": 4, "run__channels_last": True},
    ],
    ids=["adamw", "momentum-ema-shift", "batch-norm-dropout", "channels-last-bf16", "accumulated"],
)
def test_a_run_stopped_by_a_signal_goes_on_to_the_same_bits(tmp_path, settings):
    settings = {name: value for name, value in ({"model__hidden": [16]} | settings).items()
                if value is not None}  # fmt: skip
    base = {"model": "mlp", "epochs": 2} | settings
    resolved = resolve(data="digits", settings=base, environ={})
    whole = training.train(resolved, run_dir=tmp_path / "whole")

    def stop_at_seven(event):
        if isinstance(event, e.StepEnded) and event.step == 7:
            signal.raise_signal(signal.SIGTERM)

    parted = tmp_path / "parted"
    with pytest.raises(InterruptedRunError, match="--resume") as caught:
        training.train(resolved, run_dir=parted, listeners=[stop_at_seven])
    assert caught.value.exit_code == 143
    assert Run(parted).status == "interrupted"
    seen = []
    training.train(None, resume=str(parted), listeners=[seen.append])
    (started,) = [each for each in seen if isinstance(each, e.RunStarted)]
    assert (started.step, started.resumed) == (7, "exact")
    assert lines(parted) == lines(tmp_path / "whole")
    left = read_weights(parted / "best.safetensors")
    right = read_weights(whole.run.path / "best.safetensors")
    assert all(torch.equal(left[name], right[name]) for name in right)


@pytest.mark.parametrize(
    "settings",
    [
        {"optim": "sgd", "optim__clip": 1.0},
        {"loss__class_weights": "balanced", "loss__smoothing": 0.1},
        {"loss": "focal", "loss__class_weights": "balanced"},
        {"model": "resnet20", "model__norm": "group", "steps": 4, "optim": "sgd"},
        {"optim": "lbfgs", "steps": 3},
    ],
    ids=["sgd-clip", "weighted", "focal", "group-norm", "closure"],
)
def test_passes_that_are_accumulated_equal_the_large_batch(tmp_path, settings):
    found = []
    for batch, passes in ((64, 1), (16, 4)):
        made = training.train(
            resolve(
                data="digits",
                settings={
                    "model": "mlp", "steps": 20, "sched": "constant", "batch": batch,
                    "optim__accumulate": passes,
                } | settings,
                environ={},
            ),
            run_dir=tmp_path / str(batch),
        )  # fmt: skip
        found.append((lines(made.run.path)[0], read_weights(made.run.path / "best.safetensors")))
    (one, left), (other, right) = found
    for name in ("train/loss", "train/acc1", "val/loss", "grad/norm"):
        assert one[name] == pytest.approx(other[name], rel=1e-4, abs=1e-6), name
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"batch": 500, "optim__accumulate": 4}, r"steps of 2000 images.*only 1294"),
        ({"optim__accumulate": 0}, r"optim\.accumulate: 0 is not allowed"),
        ({"loss": "dice", "optim__accumulate": 2}, r"dice is a loss of the batch as a whole"),
    ],
)
def test_an_accumulation_that_cannot_be_is_refused(tmp_path, settings, words):
    with pytest.raises(SettingError, match=words):
        training.train(
            resolve(data="digits", settings={"model": "mlp"} | settings, environ={}),
            run_dir=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_trained_again_but_can_be_made_longer(tmp_path):
    folder = tmp_path / "run"
    training.train(digits(epochs=1), run_dir=folder)
    before = (folder / "run.json").read_bytes()
    assert training.train(None, resume=str(folder)).epochs == 1
    assert (folder / "run.json").read_bytes() == before
    longer = training.train(None, resume=str(folder), asked={"epochs": 2})
    assert longer.epochs == 2
    assert len(lines(folder)) == 2


@pytest.mark.parametrize("content", [b"", b'{"format": 1, "sta', b"[]", b"\xff\x00" * 40])
def test_a_run_goes_on_without_its_run_json(run, tmp_path, content):
    folder = shutil.copytree(run, tmp_path / "run")
    undisturbed = shutil.copytree(run, tmp_path / "undisturbed")
    (folder / "run.json").write_bytes(content)
    seen = []
    training.train(None, resume=str(folder), asked={"epochs": 3}, listeners=[seen.append])
    training.train(None, resume=str(undisturbed), asked={"epochs": 3})
    assert lines(folder) == lines(undisturbed)
    assert Run(folder).status == "done"
    assert (folder / "run.json.damaged").read_bytes() == content
    assert [each.word for each in seen if "damaged" in getattr(each, "template", "")] == ["WARN"]


def test_more_than_a_damaged_run_json_is_refused(run, tmp_path):
    folder = shutil.copytree(run, tmp_path / "run")
    (folder / "run.json").write_text("{")
    (folder / "config.yaml").write_text("{")
    with pytest.raises(DataError, match=r"run\.json is damaged"):
        training.train(None, resume=str(folder), asked={"epochs": 3})
    assert (folder / "run.json").read_text() == "{"
    assert not (folder / "run.json.damaged").exists()


def test_only_some_settings_may_change_at_resume(run):
    with pytest.raises(SettingError, match=r"optim.lr: 0.001 -> 0.5"):
        training.train(None, resume=str(run), asked={"optim.lr": 0.5, "epochs": 9})


def test_a_folder_that_holds_a_run_is_not_touched(run):
    before = sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir())
    with pytest.raises(SettingError, match="already holds a run"):
        training.train(digits(), run_dir=run)
    after = sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir())
    assert [each for each in after if each[0] != ".lock"] == [
        each for each in before if each[0] != ".lock"
    ]


def test_two_owners_of_one_folder_are_refused(tmp_path):
    folder = tmp_path / "run"

    def intrude(event):
        if isinstance(event, e.StepEnded) and event.step == 3:
            with pytest.raises(RunBusyError, match="in use"):
                training.train(None, resume=str(folder))

    training.train(digits(epochs=1), run_dir=folder, listeners=[intrude])


def test_auto_starts_a_run_and_then_goes_on_with_it(tmp_path):
    folder = tmp_path / "run"
    first = training.train(digits(epochs=1), run_dir=folder, resume="auto")
    again = training.train(digits(epochs=1), run_dir=folder, resume="auto")
    assert first.to_json() == again.to_json()


def test_a_run_killed_before_its_settings_were_written_starts_anew(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text('{"format": 1, "status": "running"}')
    made = training.train(digits(epochs=1), run_dir=folder, resume="auto")
    assert made.status == "done"


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(tmp_path):
    folder = tmp_path / "run"
    stopped = _stopped_at(folder, step=9, every=4)
    broken = stopped / "weights.safetensors"
    data = bytearray(broken.read_bytes())
    data[-1] ^= 1
    broken.write_bytes(data)
    seen = []
    training.train(None, resume=str(folder), listeners=[seen.append])
    said = [each.template.format(**each.values) for each in seen if isinstance(each, e.Noted)]
    assert any("step-000000009 is damaged" in each for each in said)
    assert (folder / "ckpt" / "damaged" / "step-000000009").is_dir()
    assert Run(folder).status == "done"


def test_no_good_checkpoint_at_all_is_an_error_that_keeps_the_damaged_ones(tmp_path):
    folder = tmp_path / "run"
    _stopped_at(folder, step=9, every=4)
    for each in (folder / "ckpt").glob("step-*/manifest.json"):
        each.write_text("{}")
    with pytest.raises(CheckpointError, match="No checkpoint"):
        training.train(None, resume=str(folder))
    assert len(list((folder / "ckpt" / "damaged").iterdir())) >= 2
    with pytest.raises(CheckpointError, match="No checkpoint"):
        training.train(None, resume=str(folder))


def test_a_run_whose_checkpoints_are_gone_is_not_begun_again(tmp_path):
    folder = tmp_path / "run"
    training.train(digits(epochs=1), run_dir=folder)
    shutil.rmtree(folder / "ckpt")
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    with pytest.raises(CheckpointError, match="No checkpoint"):
        training.train(None, resume=str(folder), asked={"epochs": 3})
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert after == before


def test_a_run_can_be_made_longer_not_shorter(tmp_path):
    folder = tmp_path / "run"
    training.train(digits(epochs=2), run_dir=folder)
    with pytest.raises(SettingError, match="already taken 40 steps"):
        training.train(None, resume=str(folder), asked={"epochs": 1})
    seen = []
    training.train(None, resume=str(folder), asked={"epochs": 3}, listeners=[seen.append])
    (started,) = [each for each in seen if isinstance(each, e.RunStarted)]
    assert str(started.resumed) == "approximate because the run is longer: 2 -> 3"


def test_a_default_batch_is_made_to_fit_a_small_set_and_an_asked_one_is_not(tmp_path):
    data = tmp_path / "data.py"
    data.write_text(DATA.format(count=80) + "# others")  # of another size: Python goes by that
    seen = []
    small = resolve(data=f"{data}:make", model="mlp", settings={"epochs": 1}, environ={})
    training.train(small, run_dir=tmp_path / "a", listeners=[seen.append])
    assert "batch: 8 " in (tmp_path / "a" / "config.yaml").read_text()
    assert any("batch=64 is made 8" in each.template.format(**each.values)
               for each in seen if isinstance(each, e.Noted))  # fmt: skip
    asked = resolve(data=f"{data}:make", model="mlp", settings={"batch": 100}, environ={})
    with pytest.raises(SettingError, match="80"):
        training.train(asked, run_dir=tmp_path / "b")


def _stopped_at(folder, *, step, every):
    def stop(event):
        if isinstance(event, e.StepEnded) and event.step == step:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        training.train(digits(run__checkpoint_every=every), run_dir=folder, listeners=[stop])
    return folder / "ckpt" / f"step-{step:09d}"


def test_training_that_diverges_keeps_a_good_checkpoint_and_names_the_batch(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(DivergedError, match=r"smaller optim\.lr"):
        training.train(digits(optim="sgd", optim__lr=1e30, epochs=3), run_dir=folder)
    assert Run(folder).status == "diverged"
    (bundle,) = (folder / "evidence").glob("nonfinite-step-*.json")
    facts = json.loads(bundle.read_text())
    assert len(facts["batch"]["index"]) == 64
    for each in (folder / "ckpt").glob("step-*/weights.safetensors"):
        assert all(torch.isfinite(value).all() for value in read_weights(each).values())


def test_memory_that_runs_out_is_said_with_what_to_do(tmp_path, monkeypatch):
    def no_memory(self, batch, step):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9e12 bytes")

    monkeypatch.setattr("netwright.tasks.classification.Classification.step", no_memory)
    with pytest.raises(ExhaustedError, match="Make the batch smaller") as caught:
        training.train(digits(), run_dir=tmp_path / "run")
    assert caught.value.exit_code == 6
    assert Run(tmp_path / "run").status == "failed"


def test_early_stopping_goes_back_to_the_best_weights(tmp_path):
    folder = tmp_path / "run"
    resolved = digits(epochs=40, optim="sgd", optim__lr=0.5, run__early_stop=2, sched="constant")
    heard = []
    made = training.train(resolved, run_dir=folder, listeners=[heard.append])
    assert made.epochs < 40
    assert made.epochs == made.best["epoch"] + 2
    said = [say(n.template, **n.values) for n in heard if isinstance(n, e.Noted)]
    left = 40 * made.steps // made.epochs - made.steps
    assert (
        f"Ended early, {left:,} steps before the last. Epochs without a better val/acc1: 2 "
        "(run.early_stop)."
    ) in said
    assert "no better val/acc1 in 2" in Run(folder).info["why"]
    judged = nw.load(folder).evaluate(split="val")
    assert judged.metrics["acc1"] == pytest.approx(made.best["value"])


def test_a_rehearsal_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = training.train(digits(), dry_run=True)
    assert (made.status, made.steps) == ("dry-run", 2)
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_the_callers_random_state_and_switches_alone(tmp_path):
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    switched = torch.are_deterministic_algorithms_enabled()
    training.train(digits(epochs=1), run_dir=tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.are_deterministic_algorithms_enabled() == switched


def test_a_batch_larger_than_the_data_is_refused_before_a_folder_is_made(tmp_path):
    with pytest.raises(SettingError, match="1294"):
        training.train(digits(batch=5000), run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_data_at_resume_are_refused(tmp_path):
    data = tmp_path / "data.py"
    data.write_text(DATA.format(count=96))
    resolved = resolve(
        data=f"{data}:make", settings={"model": "mlp", "epochs": 2, "batch": 8}, environ={}
    )

    def stop(event):
        if isinstance(event, e.StepEnded) and event.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        training.train(resolved, run_dir=tmp_path / "run", listeners=[stop])
    data.write_text(DATA.format(count=80) + "# others")  # of another size: Python goes by that
    with pytest.raises(SettingError, match="not known to be yours and unchanged"):
        training.train(None, resume=str(tmp_path / "run"))
    with pytest.raises((CheckpointError, DataError), match=r"not the ones|belongs to another"):
        training.train(None, resume=str(tmp_path / "run"), trust_code=True)


DATA = """
import torch

def make():
    labels = torch.arange({count}) % 2
    images = labels[:, None, None, None].float() + torch.zeros({count}, 1, 6, 6)
    return (images, labels), (images[:16], labels[:16])
"""


def test_auxiliary_heads_take_part_in_the_loss_and_get_gradients(tmp_path):
    """A network with `aux_logits` and `aux_weight`, as GoogLeNet has them, trains its heads."""
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n\n"
        "class Net(nn.Module):\n"
        "    aux_weight = 0.3\n"
        "    aux_logits = ()\n\n"
        "    def __init__(self, num_classes):\n"
        "        super().__init__()\n"
        "        self.body, self.head = nn.Linear(64, 8), nn.Linear(8, num_classes)\n"
        "        self.side = nn.Linear(8, num_classes)\n\n"
        "    def forward(self, images):\n"
        "        half = self.body(images.flatten(1)).relu()\n"
        "        self.aux_logits = (self.side(half),) if self.training else ()\n"
        "        return self.head(half)\n"
    )
    settings = {"steps": 1, "optim": "sgd", "sched": "constant", "run__select": "last"}
    resolved = resolve(data="digits", model=f"{tmp_path}/net.py:Net", settings=settings, environ={})
    training.train(resolved, run_dir=tmp_path / "run")
    before = read_weights(next((tmp_path / "run" / "ckpt").glob("*0000")) / "weights.safetensors")
    after = read_weights(tmp_path / "run" / "best.safetensors")
    assert not torch.equal(before["side.weight"], after["side.weight"])
