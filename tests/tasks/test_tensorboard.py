"""TensorBoard's files say what metrics.jsonl says, and the run does not notice them."""

from __future__ import annotations

import ast
import errno
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import nn

import netwright as nw
from netwright.cli import main
from netwright.core import atomic
from netwright.core import events as e
from netwright.tasks.tensorboard import _add_histogram, _plain
from netwright.train.event_files import EventFile, event_files
from netwright.train.weights import read_weights

STEPS = 60  # three evaluations, at 20, 40 and 60


def train(run, *, listeners=(), **settings):
    settings = {"steps": STEPS, "data__size": 12, "run__tensorboard": True, **settings}
    return nw.train("digits", model="lenet5", run_dir=run, listeners=listeners, **settings)


def read(run):
    kinds = ("scalars", "images", "histograms", "tensors")
    events = EventAccumulator(str(run / "tensorboard"), size_guidance=dict.fromkeys(kinds, 0))
    return events.Reload()


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_scalars_are_those_of_the_metrics(run):
    """Every number of every line, once, to the 32 bits that TensorBoard keeps."""
    events = read(run)
    for name in lines(run)[0]:
        if "/" in name:
            seen = [(each.step, each.value) for each in events.Scalars(name)]
            told = [(line["step"], line[name]) for line in lines(run)]
            assert seen == [(step, float(np.float32(value))) for step, value in told], name


@pytest.fixture(scope="module")
def noted():
    return []


@pytest.fixture(scope="module")
def run(tmp_path_factory, noted):
    folder = tmp_path_factory.mktemp("tensorboard") / "run"
    train(folder, listeners=[noted.append], run__select="last")
    return folder


@pytest.fixture(scope="module")
def events(run):
    return read(run)


def test_scalars_are_the_numbers_of_metrics_jsonl(run):
    assert_scalars_are_those_of_the_metrics(run)


def test_single_steps_have_their_own_curves(run, events):
    steps = events.Scalars("step/loss")
    assert [each.step for each in steps] == list(range(1, STEPS + 1))
    first_epoch = [each.value for each in steps[:20]]
    assert np.mean(first_epoch) == pytest.approx(lines(run)[0]["train/loss"], rel=1e-5)


def test_histograms_of_weights_are_those_of_the_checkpoint(run, events):
    weights = read_weights(run / "ckpt" / f"step-{STEPS:09d}" / "weights.safetensors")
    for name, weight in weights.items():
        if name.endswith(("weight", "bias")):
            found = events.Histograms(f"weights/{name}")
            assert [each.step for each in found] == [20, 40, 60]
            last = found[-1].histogram_value
            assert last.num == sum(last.bucket) == weight.numel()
            assert last.min == pytest.approx(float(weight.min()))
            assert last.sum == pytest.approx(float(weight.double().sum()), rel=1e-9, abs=1e-9)


def test_histograms_of_gradients_add_up_to_the_norm_of_their_step(run, events):
    names = [each for each in events.Tags()["histograms"] if each.startswith("gradients/")]
    assert len(names) == sum(1 for each in events.Tags()["histograms"] if each[:2] == "we")
    norms = {each.step: each.value for each in events.Scalars("step/grad/norm")}
    for place, step in enumerate((20, 40, 60)):
        squares = sum(events.Histograms(n)[place].histogram_value.sum_squares for n in names)
        assert squares**0.5 == pytest.approx(norms[step], rel=1e-4)


def test_there_are_pictures_of_batch_filters_and_mistakes(run, events):
    assert events.Tags()["images"] == ["first-batch", "filters/c1", "worst-mistakes"]
    assert [each.step for each in events.Images("filters/c1")] == [0, 20, 40, 60]
    assert events.Images("first-batch")[0].width > 300


def test_there_is_a_graph_and_the_texts(run, events):
    assert any("c1" in node.name for node in events.Graph().node)
    config = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "    steps: 60" in config
    verdict = events.Tensors("verdict/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "test images correctly" in verdict


def test_hyperparameters_come_with_the_metric_of_the_weights_that_are_kept(run, events):
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["optim.name"].string_value == "adamw"
    assert values["batch"].number_value == 64
    best = json.loads((run / "run.json").read_text())["best"]
    assert events.Scalars("final/best val/acc1")[0].value == pytest.approx(best["value"])
    measured = float(np.load(run / "evidence" / "test.npz")["acc1"])
    assert events.Scalars("final/test/acc1")[0].value == pytest.approx(measured)


def test_the_cost_is_said(noted):
    said = [each for each in noted if isinstance(each, e.Noted) and "took" in each.template]
    assert said[0].values["seconds"] > 0


def test_the_weights_are_the_same_to_a_bit_with_it_and_without(run, tmp_path):
    train(tmp_path / "run", run__tensorboard=False, run__select="last")
    assert not (tmp_path / "run" / "tensorboard").exists()
    without = read_weights(tmp_path / "run" / "best.safetensors")
    for name, weight in read_weights(run / "best.safetensors").items():
        assert torch.equal(weight, without[name]), name
    times = {"time/data_s", "time/step_s", "time/epoch_s"}
    for one, other in zip(lines(run), lines(tmp_path / "run"), strict=True):
        assert {k: v for k, v in one.items() if k not in times} == {
            k: v for k, v in other.items() if k not in times
        }


class CrashError(Exception):
    pass


def crash_at(step):
    def listen(event):
        if isinstance(event, e.StepEnded) and event.step == step:
            raise CrashError

    return listen


def test_a_run_that_goes_on_has_no_step_twice(tmp_path):
    with pytest.raises(CrashError):
        train(tmp_path / "run", listeners=[crash_at(47)], run__checkpoint_every=15)
    with pytest.raises(CrashError):
        _go_on(tmp_path / "run", crash_at(53))
    _go_on(tmp_path / "run")
    assert len(event_files(tmp_path / "run" / "tensorboard")) == 3
    assert_scalars_are_those_of_the_metrics(tmp_path / "run")
    events = read(tmp_path / "run")
    assert [each.step for each in events.Scalars("step/loss")] == list(range(1, STEPS + 1))
    assert [each.step for each in events.Images("filters/c1")] == [0, 20, 40, 60]
    assert [each.step for each in events.Histograms("weights/c1.weight")] == [20, 40, 60]
    # How each of the three ended stays, as history.
    assert [each.step for each in events.Tensors("verdict/text_summary")] == [47, 53, STEPS]


def _go_on(run, *listeners):
    from netwright.tasks.training import train as run_training

    run_training(None, resume=str(run), listeners=listeners)


def test_a_run_that_goes_back_to_a_checkpoint_has_no_step_twice(tmp_path):
    class Back:
        def __init__(self):
            self.done = False

        def __call__(self, event):
            if isinstance(event, e.StepEnded) and event.step == 33 and not self.done:
                self.done = True
                back.request(e.Rewind(30))

    from netwright.tasks import training
    from netwright.tasks.settings import resolve

    listener = Back()
    back = e.Events()

    class Events(e.Events):
        def take_requests(self):
            return [*super().take_requests(), *back.take_requests()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(e, "Events", Events)
        resolved = resolve(
            data="digits", model="lenet5",
            settings={"steps": 40, "data.size": 12, "run.tensorboard": True,
                      "run.checkpoint_every": 15},
        )  # fmt: skip
        training.train(resolved, run_dir=tmp_path / "run", listeners=[listener])
    assert listener.done
    steps = [each.step for each in read(tmp_path / "run").Scalars("step/loss")]
    assert steps == list(range(1, 41))


def test_switched_on_at_a_resume_it_has_the_curve_so_far(tmp_path, capsys):
    with pytest.raises(CrashError):
        train(tmp_path / "run", listeners=[crash_at(47)], run__tensorboard=False,
              run__checkpoint_every=15)  # fmt: skip
    assert main(["train", "--resume", str(tmp_path / "run"), "run.tensorboard=true"]) == 0
    assert_scalars_are_those_of_the_metrics(tmp_path / "run")
    assert "tensorboard --logdir" in " ".join(capsys.readouterr().err.split())


class _Refusing(atomic.Disk):
    """A disk on which event files find no more room after `limit` bytes."""

    def __init__(self, limit, number=errno.ENOSPC):
        self.limit = limit
        self.number = number

    def append(self, path, data):
        if "tfevents" in path.name:
            if len(data) > self.limit:
                super().append(path, data[: self.limit])
                raise OSError(self.number, "refused", str(path))
            self.limit -= len(data)
        super().append(path, data)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_is_told_once_and_the_run_goes_on(run, tmp_path, monkeypatch, number):
    size = event_files(run / "tensorboard")[0].stat().st_size
    monkeypatch.setattr(atomic, "disk", _Refusing(size * 6 // 10, number))
    heard = []
    made = train(tmp_path / "run", listeners=[heard.append], run__select="last")
    assert made.status == "done"
    told = [each for each in heard if isinstance(each, e.Noted) and each.word == "WARN"]
    assert len(told) == 1
    assert "goes on without it" in told[0].template
    assert "TensorBoard is given up" in (tmp_path / "run" / "log.txt").read_text()
    whole = read(tmp_path / "run").Scalars("step/loss")  # what was written before is not torn
    assert 0 < len(whole) < STEPS
    assert [each.step for each in whole] == list(range(1, len(whole) + 1))
    kept = read_weights(tmp_path / "run" / "best.safetensors")
    undisturbed = read_weights(run / "best.safetensors")
    assert all(torch.equal(kept[name], undisturbed[name]) for name in kept)


def test_a_sealed_folder_is_told_once_and_the_run_goes_on(tmp_path, monkeypatch):
    class Sealed(atomic.Disk):
        def make_folder(self, path):
            if path.name == "tensorboard":
                raise OSError(errno.EROFS, "read-only", str(path))
            super().make_folder(path)

    monkeypatch.setattr(atomic, "disk", Sealed())
    heard = []
    assert train(tmp_path / "run", listeners=[heard.append], steps=2).status == "done"
    assert [each.word for each in heard if isinstance(each, e.Noted)].count("WARN") == 1


def test_without_the_extra_it_is_exit_2_and_nothing_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    command = ["train", "digits", "run.tensorboard=true", "--run-dir", str(tmp_path / "run")]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert 'pip install "netwright[track]"' in told
    assert not (tmp_path / "run").exists()


def test_nothing_of_it_is_imported_when_it_is_off():
    package = Path(nw.__file__).parent
    importing = {"tensorboard", "torch.utils.tensorboard"}
    importing |= {"netwright.tasks.tensorboard", "netwright.train.event_files"}
    at_once = set()
    for path in package.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            if any(name == each or name.startswith(f"{each}.") for name in names
                   for each in importing):  # fmt: skip
                at_once.add(str(path.relative_to(package)))
    # The doctor's curves are imported by what writes them, when it is asked to.
    assert at_once == {"tasks/tensorboard.py", "train/event_files.py", "tasks/doctor_board.py"}


NETWORK = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(64, num_classes)

    def forward(self, x):
        if torch.jit.is_tracing():
            raise RuntimeError("not to be traced")
        return self.head(x.flatten(1))
"""


def test_a_network_that_cannot_be_traced_has_no_graph_and_a_note(tmp_path, capsys):
    (tmp_path / "net.py").write_text(NETWORK)
    heard = []
    nw.train("digits", model=f"{tmp_path / 'net.py'}:Net", steps=2, run__tensorboard=True,
             run_dir=tmp_path / "run", listeners=[heard.append])  # fmt: skip
    told = [each for each in heard if isinstance(each, e.Noted) and "traced" in each.template]
    assert told[0].values["reason"] == "not to be traced"
    assert capsys.readouterr().out == ""  # torch prints what it then raises
    assert "first-batch" in read(tmp_path / "run").Tags()["images"]


@pytest.mark.parametrize("optim", ["lbfgs", "gd"])
def test_gradients_are_caught_whatever_the_optimizer(tmp_path, optim):
    nw.train("digits", model="mlp", steps=1, batch=64, optim=optim, run__tensorboard=True,
             run_dir=tmp_path / "run")  # fmt: skip
    names = read(tmp_path / "run").Tags()["histograms"]
    assert any(name.startswith("gradients/") for name in names)


def test_a_histogram_of_odd_values_breaks_nothing(tmp_path):
    file = EventFile(tmp_path)
    for name, values in {
        "nan": torch.tensor([float("nan"), 1.0, float("inf")]),
        "none": torch.full((3,), float("nan")),
        "one": torch.ones(()),
        "large": torch.arange(200_000.0),
    }.items():
        _add_histogram(file, name, nn.Parameter(values), 1)
    file.flush()
    found = EventAccumulator(str(tmp_path)).Reload()
    assert found.Tags()["histograms"] == ["nan", "one", "large"]
    large = found.Histograms("large")[0].histogram_value
    assert large.num == 50_000  # every fourth
    assert found.Histograms("nan")[0].histogram_value.num == 1


def test_settings_become_what_hyperparameters_may_be():
    given = {"a": 1, "b": None, "c": [1, 2], "d": True, "e": "x"}
    assert _plain(given) == {"a": 1, "c": "[1, 2]", "d": True, "e": "x"}


def test_files_are_named_so_that_they_are_read_in_order(tmp_path):
    for _ in range(11):
        EventFile(tmp_path).flush()
    names = [each.name for each in event_files(tmp_path)]
    assert names[-1] == "events.out.tfevents.0000000011"
    assert names == sorted(names)
