"""Rates, schedules, clipping and decay that do not work are named, one story a run."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import lr_scheduler as schedules

from netwright.records.facts.steps import Steps
from netwright.records.record import Record


def test_a_rate_beyond_the_curvature_is_too_high_before_and_during_the_run(small):
    said = small.run(
        lambda: nn.Linear(16, 1), small.sgd(0.3), targets=small.numbers, loss=F.mse_loss, steps=80
    )
    found = said.findings[0]
    assert (found.name, found.severity) == ("learning-rate-too-high", "stop")
    bent = next(each for each in found.evidence if "curvature" in str(each.signal))
    assert bent.value > bent.threshold == 2.0
    assert "0.1 x the rate" in str(found.counterfactual)
    early = small.run(
        lambda: nn.Linear(16, 1), small.sgd(0.3), targets=small.numbers, loss=F.mse_loss, steps=2
    )
    assert small.root(early) == "learning-rate-too-high"


def test_a_rate_that_kills_the_network_is_too_high_though_its_steps_look_small_then(small):
    said = small.run(small.mlp, small.sgd(20.0), steps=320)
    assert said.findings[0].name == "learning-rate-too-high"
    assert small.root(said) == "learning-rate-too-high"


def test_a_rate_too_low_is_named_before_and_during_the_run(small):
    for steps in (1, 150):
        said = small.run(small.mlp, small.sgd(1e-6), steps=steps)
        assert [each.name for each in said.findings] == ["learning-rate-too-low"], steps
    assert said.findings[0].severity == "warn"


def test_a_vast_eps_is_named_as_what_makes_the_steps_short(small):
    said = small.run(small.mlp, small.adam(eps=10.0), steps=320)
    assert small.root(said) == "learning-rate-too-low"
    assert "eps" in str(said.findings[0].what)


def test_clipping_to_nothing_is_named_and_not_the_rate(small):
    said = small.run(small.mlp, small.sgd(0.1), clip=1e-4, steps=150)
    assert small.root(said) == "clipping-every-step"


def test_a_schedule_for_epochs_that_is_stepped_for_batches_is_named(small):
    said = small.run(
        small.mlp, small.sgd(0.03), schedule=lambda o: schedules.StepLR(o, 3, 0.1),
        steps=120, plan=120,
    )  # fmt: skip
    assert small.root(said) == "scheduler-misuse"
    assert said.findings[0].step == 10


def test_decay_that_leaves_nothing_is_named(small):
    said = small.run(small.mlp, small.adam(weight_decay=1.0), steps=100)
    assert small.root(said) == "over-regularised"
    assert "Without dropout and decay" in str(said.findings[0].counterfactual)
    assert "decay-on-norm-and-bias" in [each.name for each in said.findings]


def test_dropout_of_nearly_all_is_named(small):
    said = small.run(lambda: small.mlp(64, 64, drop=0.97), small.adam(3e-3), steps=60)
    assert small.root(said) == "over-regularised"


def test_one_unit_for_a_wave_is_too_little(small):
    x = torch.linspace(-3, 3, 512)[:, None]
    said = small.run(
        lambda: nn.Linear(1, 1), small.adam(1e-1), inputs=x, targets=torch.sin(3 * x),
        loss=F.mse_loss, steps=60,
    )  # fmt: skip
    assert small.root(said) == "too-little-capacity"


def test_a_rate_that_grows_without_end_makes_the_run_diverge(small):
    def grow(step, optimizer):
        optimizer.param_groups[0]["lr"] = 0.02 * 1.06**step

    said = small.run(
        lambda: nn.Linear(16, 1), small.sgd(0.02), targets=small.numbers, loss=F.mse_loss,
        before=grow, steps=200,
    )  # fmt: skip
    assert small.root(said) == "learning-rate-too-high"


def losses(values, **columns):
    """A run of which only the losses are known, and what is given besides."""
    count = len(values)
    given = {"lr": np.full(count, 0.1), **columns}
    return Steps(step=np.arange(1.0, count + 1), loss=np.asarray(values), total=count, **given)


def test_a_loss_that_climbs_slowly_diverges(small):
    said = small.judged(Record([losses(np.linspace(1.0, 3.0, 200))]))
    assert small.root(said) == "divergence"


def test_a_noisy_loss_that_goes_nowhere_does_not_diverge(small):
    chance = np.random.default_rng(0)
    for _ in range(20):
        said = small.judged(Record([losses(chance.chisquare(1, 300))]))
        assert small.alarms(said) == []


def test_a_loss_that_swings_while_its_steps_fail_oscillates(small):
    swings = 1.5 + 1.2 * np.sin(np.arange(240) / 10)
    bad = np.where(np.arange(240) % 4 == 0, -0.1, 0.5)
    fails = {"promised": np.full(240, 1.0), "fallen": bad, "update_ratio": np.full(240, 0.02)}
    said = small.judged(Record([losses(swings, **fails)]))
    assert [each.name for each in said.findings] == ["oscillating-loss"]
    helps = {**fails, "fallen": np.full(240, 0.6)}
    assert small.alarms(small.judged(Record([losses(swings, **helps)]))) == []


def test_a_spike_that_stays_is_a_warning_and_one_that_heals_a_note(small):
    def kick(rate):
        def set_rate(step, optimizer):
            optimizer.param_groups[0]["lr"] = rate if 100 <= step < 103 else 0.05

        return set_rate

    stays = small.run(small.mlp, small.sgd(0.05, 0.9), before=kick(8.0), steps=260)
    spike = stays.named("loss-spike")
    assert spike.severity == "warn"
    assert spike.step in range(98, 106)
    heals = small.run(small.mlp, small.sgd(0.05), before=kick(1.5), steps=400)
    assert small.alarms(heals) == []


def test_plain_descent_on_an_uneven_valley_is_weak(small):
    scales = torch.logspace(0, 1.5, 16)

    class Uneven(nn.Module):
        """A regression whose inputs it scales itself, one a thousand times the other."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(16, 1))

        def forward(self, x):
            return (x * scales) @ self.weight

    inputs = torch.randn(512, 16, generator=torch.Generator().manual_seed(1))
    targets = (inputs * scales) @ (0.05 * torch.ones(16, 1) * (scales[:, None] < 8))
    said = small.run(
        Uneven, small.sgd(2e-5), inputs=inputs, targets=targets, loss=F.mse_loss, steps=60
    )
    assert set(small.alarms(said)) <= {"weak-optimizer"}


def test_the_notes_are_notes(small):
    slow = small.run(small.mlp, small.sgd(1e-3), steps=60, plan=60)
    assert [each.name for each in slow.findings] == ["slow-convergence"]
    short = small.run(small.mlp, small.sgd(0.02), steps=120, plan=120)
    assert [each.name for each in short.findings] == ["stopped-early"]
    for each in (*slow.findings, *short.findings):
        assert each.severity == "note"
