"""Roots come before what they bring about, and what only looks like a fault of the run is none."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.neighbourhood import Neighbourhood
from netwright.records.facts.objective import Objective, TermFact
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.record import Record

CLASSES = Objective(
    kind="cross_entropy", input_shape=(64, 10), target_shape=(64,), classes=10,
    losses=(2.3, 2.3, 2.3), constant=2.2, factor=1.0,
)  # fmt: skip


def losses(values, **columns):
    count = len(values)
    given = {"lr": np.full(count, 0.1), **columns}
    return Steps(step=np.arange(1.0, count + 1), loss=np.asarray(values), total=count, **given)


# What climbs, leaps and forgets


def test_an_optimizer_that_maximises_is_the_root_of_all_that_follows(small):
    said = small.run(small.mlp, small.sgd(0.05, maximize=True), steps=80)
    assert small.root(said) == "loss-sign"
    assert "maximise" in str(said.named("loss-sign").what)
    assert small.alarms(small.run(small.mlp, small.sgd(0.05, maximize=False), steps=80)) == []


def test_a_run_that_forgets_all_it_had_learned_diverges(small):
    falls, lost = np.geomspace(2.3, 0.2, 150), np.full(110, 2.31)
    said = small.judged(Record([losses(np.concatenate([falls, lost])), CLASSES]))
    assert small.root(said) == "divergence"
    assert "back at that of guessing" in str(said.named("divergence").what)


def test_a_task_that_changes_and_is_learned_in_its_turn_does_not_diverge(small):
    falls = np.geomspace(2.3, 0.2, 150)
    said = small.judged(Record([losses(np.concatenate([falls, falls])), CLASSES]))
    assert small.alarms(said) == []


def test_a_value_whose_targets_grow_has_forgotten_nothing(small):
    values = replace(CLASSES, kind="mse_loss", classes=None, constant=2.2)
    rises = np.concatenate([np.geomspace(2.3, 0.2, 150), np.full(110, 2.31)])
    said = small.judged(Record([losses(rises), values]))
    assert "divergence" not in small.alarms(said)


def test_harder_samples_that_come_in_are_no_spike(small):
    order = (small.inputs - small.inputs.mean(0)).norm(dim=1).argsort()
    easy, targets = order[:128], small.targets.clone()
    targets[easy] = 0
    torch.manual_seed(0)
    model = small.mlp()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    with watch(model, optimizer, every=4) as doctor:
        for step in range(240):
            pool = easy if step < 60 else order
            chosen = pool[torch.randint(0, len(pool), (32,))]
            optimizer.zero_grad()
            F.cross_entropy(model(small.inputs[chosen]), targets[chosen]).backward()
            optimizer.step()
        said = small.judged(doctor.record())
    assert small.alarms(said) == []
    assert said.named("loss-spike") is not None


def leaping(norms):
    """A batch that cannot be fitted, and gradients of these norms, whose high steps fail."""
    norms = np.asarray(norms, dtype=float)
    fails = np.where(norms > 10 * np.median(norms), -0.5, 0.8)
    steps = losses(
        np.full(len(norms), 2.3), raw_grad_norm=norms, grad_norm=norms,
        promised=np.ones(len(norms)), fallen=fails,
    )  # fmt: skip
    trials = tuple(
        FitTrial(factor=each, steps=60, start=2.3, end=2.3, falling=0.0) for each in (1.0, 0.1)
    )
    return Record([steps, CLASSES, Fit(trials=trials, batch=64, constant=2.2)])


def test_gradients_that_leap_again_and_again_explode(small):
    said = small.judged(leaping([1.0, 1.1, 0.9, 50.0, 1.0, 1.2, 1.0, 60.0] * 4))
    assert "exploding-gradients" in small.alarms(said)


@pytest.mark.parametrize(
    "norms",
    [[60.0, 80.0, 50.0, *[1.0] * 15], [*[1.0] * 12, 50.0, 40.0, *[1.0] * 3]],
    ids=["large at the start", "one odd batch"],
)
def test_gradients_that_settle_or_leap_once_do_not_explode(small, norms):
    said = small.judged(leaping(norms))
    assert "exploding-gradients" not in [each.name for each in said.findings]


# Start and output


def test_three_times_he_is_too_large_though_no_layer_alone_is(small):
    def model():
        def spread(weight):
            nn.init.kaiming_normal_(weight, nonlinearity="relu").data.mul_(3)

        return small.filled(small.mlp(*[40] * 6), spread, 0.0)

    said = small.run(model, small.adam(), steps=60)
    assert small.root(said) == "weights-too-large"


def test_he_itself_is_not_too_large(small):
    model = lambda: small.filled(small.mlp(*[40] * 6), nn.init.kaiming_normal_, 0.0)  # noqa: E731
    assert small.alarms(small.run(model, small.adam(), steps=80)) == []


def test_deep_sigmoids_fade_by_themselves_and_not_by_their_weights(small):
    said = small.run(lambda: small.mlp(*[32] * 7, act=nn.Sigmoid), small.sgd(0.05, 0.9))
    assert small.root(said) == "vanishing-gradients"
    assert said.named("weights-too-small") is None


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("share", torch.zeros(()))

    def forward(self, x):
        return self.share * x


def test_an_output_times_zero_is_constant_and_no_matter_of_the_last_activation(small):
    said = small.run(lambda: nn.Sequential(small.mlp(), Gate()), small.sgd(0.1), steps=60)
    assert small.root(said) == "constant-output"
    assert said.named("output-activation-mismatch") is None
    early = small.run(lambda: nn.Sequential(small.mlp(), Gate()), small.sgd(0.1), steps=2)
    assert small.root(early) == "constant-output"


def test_a_softmax_too_many_is_proved_on_a_batch_of_one_class(small):
    order = small.targets.argsort()
    torch.manual_seed(0)
    model = nn.Sequential(small.mlp(), nn.Softmax(1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer) as doctor:
        for chosen in order.split(32):
            optimizer.zero_grad()
            F.cross_entropy(model(small.inputs[chosen]), small.targets[chosen]).backward()
            optimizer.step()
        said = small.judged(doctor.record())
    assert said.named("softmax-before-cross-entropy").severity == "stop"


def test_squares_of_class_numbers_are_an_alarm_where_neighbours_do_far_better(small):
    term = TermFact(
        kind="mse_loss", input_shape=(64,), target_shape=(64,), target_distinct=10,
        target_whole=True, target_min=0.0, target_max=9.0, in_use=64, constant=8.0, factor=1.0,
    )  # fmt: skip
    squares = Objective(kind="mse_loss", target_shape=(64,), losses=(20.0,), constant=8.0,
                        parts=(term,))  # fmt: skip
    near = Neighbourhood(
        classes=10, samples=500, neighbours=5, agreement=0.97, chance=0.1, z=100.0, val_score=0.98
    )

    def said(last, score=0.98):
        run = losses(np.geomspace(20.0, last, 200))
        return small.judged(Record([run, squares, replace(near, val_score=score)]))

    assert said(4.0).named("loss-mismatch").severity == "warn"
    assert said(0.5).named("loss-mismatch").severity == "note"
    assert said(4.0, score=0.6).named("loss-mismatch").severity == "note"


def test_layers_filled_with_one_number_come_before_what_they_bring_about(small):
    said = small.run(
        lambda: small.filled(small.mlp(64, 48), lambda w: nn.init.constant_(w, 0.05), 0.0),
        small.sgd(0.05, 0.9), inputs=small.inputs.abs(), steps=200,
    )  # fmt: skip
    assert small.root(said) == "symmetric-initialisation"
    assert len(small.alarms(said)) > 1


# Wiring and rate


class Skips(nn.Module):
    """Hidden layers that forward does not call."""

    def __init__(self, body):
        super().__init__()
        self.body, self.head = body, nn.Linear(16, 1)

    def forward(self, x):
        return self.head(x)


def test_hidden_layers_that_are_never_called_are_named_where_the_rest_is_not_enough(small):
    curved = (small.inputs[:, :1] * small.inputs[:, 1:2]).clone()

    def model():
        return Skips(small.mlp(32, 32))

    said = small.run(
        model, small.adam(1e-2), targets=curved, loss=F.mse_loss, steps=160, batch=64
    )  # fmt: skip
    assert small.root(said) == "unused-parameters"
    enough = small.run(
        model, small.adam(1e-2), targets=small.numbers, loss=F.mse_loss, steps=320, batch=64
    )
    assert small.alarms(enough) == []
    assert enough.named("unused-parameters").severity == "note"


def of_one(values, small):
    """A run in batches of one sample, each of whose steps helps its own sample."""
    count = len(values)
    steps = losses(
        values, promised=np.ones(count), fallen=np.full(count, 0.95),
        update_ratio=np.full(count, 0.02),
    )  # fmt: skip
    alone = replace(CLASSES, input_shape=(1, 10), target_shape=(1,), constant=0.0)
    setup = Setup(model="Net", params=9, trainable=9, batch=1)
    return small.judged(Record([steps, alone, setup]))


def test_batches_of_one_that_undo_each_other_are_noise(small):
    chance = np.random.default_rng(0)
    said = of_one(np.linspace(2.3, 2.5, 400) + 0.2 * chance.standard_normal(400), small)
    assert said.named("noisy-gradients").severity == "warn"
    falls = of_one(np.geomspace(2.3, 0.3, 400) + 0.02 * chance.standard_normal(400), small)
    assert falls.findings == ()


def test_a_rate_that_leaves_a_run_at_guessing_is_too_low_where_ten_times_of_it_is_not(small):
    said = small.run(small.mlp, small.adam(2e-6), steps=200)
    assert small.root(said) == "learning-rate-too-low"


def test_a_long_warm_up_is_not_too_low(small):
    def rise(step, optimizer):
        optimizer.param_groups[0]["lr"] = 1e-7 * (step + 1)

    assert small.alarms(small.run(small.mlp, small.adam(1e-3), before=rise, steps=200)) == []
