"""The way a step is computed: chosen by measuring, said, kept, and exact to resume."""

import copy
import itertools
import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import netwright as nw
from netwright.core.events import Noted
from netwright.tasks import speed, speed_choice
from netwright.tasks.recipe import RunOptions
from netwright.tasks.speed import Speed, try_out


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 36, 4)
    )


def trial(options, model, **changes):
    images, target = torch.linspace(-1, 1, 4 * 3 * 64).view(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    return try_out(
        options,
        model,
        images,
        lambda logits: F.cross_entropy(logits, target),
        **{"steps": 1000, "device": torch.device("cpu"), "worth": 0.0, **changes},
    )


def measured(monkeypatch, **ratios):
    """Let the ways take these shares of the plain step's time; "" is the plain one."""

    def runner(model, way, images, loss, device):
        share = 1.0
        for name in ("channels_last", "bf16", "compile"):
            if getattr(way, name):
                share *= ratios[name]
        return lambda: share

    monkeypatch.setattr(speed, "_runner", runner)


def test_what_is_clearly_faster_is_taken(monkeypatch):
    measured(monkeypatch, channels_last=0.8, bf16=1.3)
    found = trial(RunOptions(), network())
    assert found.speed == Speed(channels_last=True)
    assert found.ratios == {"channels_last": 0.8, "bf16": pytest.approx(1.3)}
    assert found.speed.words() == "float32, channels_last"


def test_what_is_hardly_faster_is_left(monkeypatch):
    measured(monkeypatch, channels_last=0.97, bf16=0.96)
    assert trial(RunOptions(), network()).speed == Speed()


def test_an_explicit_setting_is_never_tried(monkeypatch):
    measured(monkeypatch, channels_last=0.1, bf16=0.1)
    found = trial(RunOptions(channels_last=False, precision="float32"), network())
    assert found.speed == Speed()
    assert found.ratios == {}


def test_compiling_is_tried_in_long_runs_only(monkeypatch):
    measured(monkeypatch, channels_last=1.0, bf16=1.0, compile=0.5)
    assert "compile" not in trial(RunOptions(), network(), steps=1000).ratios  # of 1 s each
    assert trial(RunOptions(), network(), steps=9000).speed == Speed(compile=True)


def test_a_short_run_is_not_worth_a_trial():
    assert trial(RunOptions(), network(), steps=999, worth=1e9).ratios == {}


def test_a_short_run_of_many_steps_is_worth_one_of_the_layout(monkeypatch):
    measured(monkeypatch, channels_last=0.8, bf16=0.1, compile=0.1)
    found = trial(RunOptions(), network(), steps=1000, worth=1e9)
    assert found.speed == Speed(channels_last=True)
    assert found.ratios == {"channels_last": 0.8}


def test_a_network_without_convolutions_has_no_layout():
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    assert trial(RunOptions(), flat, worth=1e9).ratios == {}


def test_a_way_that_fails_is_not_gone(monkeypatch):
    def refuse(model, way, images, loss, device):
        def step():
            if way.bf16:
                raise RuntimeError("not implemented for 'BFloat16'")
            return 1.0

        return step

    monkeypatch.setattr(speed, "_runner", refuse)
    found = trial(RunOptions(channels_last=False), network())
    assert found.speed == Speed()
    assert found.ratios == {"bf16": float("inf")}


def test_a_network_that_cannot_be_copied_stays_as_it_is():
    class Stubborn(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("cannot pickle '_thread.lock' object")

    assert trial(RunOptions(), nn.Sequential(nn.Flatten(), Stubborn(192, 4))).ratios == {}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("sizes differ")])
def test_what_the_plain_step_raises_is_left_to_the_training_to_tell(error):
    class Failing(nn.Flatten):
        def forward(self, images):
            raise error

    assert trial(RunOptions(), nn.Sequential(Failing(), nn.Linear(192, 4))).ratios == {}


def test_a_trial_leaves_the_network_and_torchs_generator_as_they_were():
    model = network()
    before, drawn = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    found = trial(RunOptions(compile=False), model)
    assert set(found.ratios) == {"channels_last", "bf16"}
    assert torch.equal(torch.get_rng_state(), drawn)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(each.grad is None for each in model.parameters())
    assert model[0].weight.is_contiguous()


def test_a_losing_way_is_given_up_after_two_pairs():
    taken = itertools.count()

    def slow():
        next(taken)
        return 2.0

    assert speed._compare(lambda: 1.0, slow, 5) == 2.0
    assert next(taken) == 4  # two to warm up, two to be measured


def test_what_was_measured_is_a_setting_of_the_run(monkeypatch, tmp_path):
    measured(monkeypatch, channels_last=0.5, bf16=1.2)
    monkeypatch.setattr(speed_choice, "FEWEST_STEPS", 1)
    monkeypatch.setattr(speed, "WORTH_A_TRIAL", 0.0)
    heard = []
    made = nw.train(
        "shapes", model="resnet20", steps=2, batch=8, data__images=60, data__size=16,
        run_dir=tmp_path / "run", listeners=[heard.append],
    )  # fmt: skip
    config = (made.run.path / "config.yaml").read_text()
    assert re.search(r"channels_last: true +# measured here", config)
    assert re.search(r'precision: "float32" +# measured here', config)
    notes = [str(each.values) for each in heard if isinstance(each, Noted)]
    assert any("channels_last 0.50" in each for each in notes)


def test_the_words_of_bad_values(tmp_path):
    with pytest.raises(nw.NetwrightError, match=r"run\.precision.*float32, bf16"):
        nw.train("digits", run__precision="fp8", run_dir=tmp_path / "run")
