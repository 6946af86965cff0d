"""Runs that look odd and are as they should be: nothing is said of them. What was once a false
alarm is a test here, and beside it the fault that it looked like, which is still found."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import netwright as nw
from netwright.doctor.conditions._harm import floored, unfit
from netwright.doctor.diagnosis import diagnosed
from netwright.records.facts.epochs import EpochFact, Epochs
from netwright.records.facts.fit import Fit, FitTrial
from netwright.records.facts.objective import Objective
from netwright.records.facts.steps import Steps
from netwright.records.record import Record


def warned(diagnosis):
    return [each.name for each in diagnosis.at_least("warn")]


# --- rows that are parts of one thing ------------------------------------------------------------


class Convolved(nn.Module):
    """Features are averaged over neighbours; who is whose comes from outside or from x itself."""

    def __init__(self, near=None):
        super().__init__()
        self.first, self.second = nn.Linear(6, 16), nn.Linear(16, 3)
        self.near = near

    def forward(self, x, near=None):
        if near is None:
            near = self.near() if self.near is not None else (x @ x.T).softmax(1)
        return self.second((near @ self.first(x)).relu())


def neighbours():
    return ((torch.rand(30, 30) < 0.1).float() + torch.eye(30)).clamp(max=1) / 4


def watched_steps(model, *inputs, target):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(model(*inputs), target).backward()
            optimizer.step()
    return warned(doctor.diagnosis())


def test_a_graph_that_is_handed_to_the_model_is_no_mixing_of_samples():
    x, y, near = torch.randn(30, 6), torch.randint(0, 3, (30,)), neighbours()
    assert "batch-mixing" not in watched_steps(Convolved(), x, near, target=y)
    assert "batch-mixing" not in watched_steps(Convolved(lambda: near), x, target=y)


def test_attention_over_the_batch_is_mixing():
    x, y = torch.randn(30, 6), torch.randint(0, 3, (30,))
    assert "batch-mixing" in watched_steps(Convolved(), x, target=y)


# --- losses of which nobody knows the least ------------------------------------------------------


def tried(*ends, constant=None):
    trials = tuple(FitTrial(factor=f, steps=60, start=2.0, end=e) for f, e in ends)
    return Record([Fit(trials=trials, batch=32, constant=constant)])


def test_a_likelihood_that_fell_to_a_floor_of_its_own_is_fitted():
    assert unfit(tried((1.0, 1.3), (0.1, 1.5), (10.0, 1.25))) is None


def test_a_loss_that_hardly_moved_is_not_fitted_and_half_of_a_known_one_is_asked():
    assert unfit(tried((1.0, 1.98), (0.1, 2.0), (10.0, 1.9))) is not None
    assert unfit(tried((1.0, 1.6), (0.1, 1.9), (10.0, 1.7), constant=2.0)) is not None


def test_a_run_that_fits_its_data_says_more_than_a_few_steps_on_a_copy_did():
    """What lies far back in a row is learned in hundreds of steps, and not in sixty."""
    (fit,) = tried((1.0, 1.98), (0.1, 2.0), (10.0, 1.9), constant=2.0)
    guess = Objective(kind="cross_entropy", constant=2.0, factor=1.0)
    for last, harm in ((1.4, True), (0.2, False)):
        losses = np.linspace(2.0, last, 400)
        steps = Steps(step=np.arange(1.0, 401), loss=losses, total=400)
        assert (unfit(Record([fit, guess, steps])) is not None) is harm


# --- a validation loss that has come to nothing --------------------------------------------------


def after_epochs(*val, train=lambda at: 1.0 / (at + 1)):
    epochs = tuple(
        EpochFact(epoch=at + 1, step=20 * at + 20, train_loss=train(at), val_loss=each)
        for at, each in enumerate(val)
    )
    return warned(diagnosed(Record([Epochs(epochs=epochs)])))


def test_a_hundredth_of_what_was_gained_is_no_overfitting():
    assert after_epochs(1.4, 0.4, 0.02, 0.018, 0.019, 0.021, 0.022, 0.023) == []


def test_a_tenth_of_what_was_gained_is():
    assert "overfitting" in after_epochs(1.4, 0.7, 0.4, 0.42, 0.45, 0.49, 0.52, 0.55)


def test_a_training_loss_at_rest_learns_nothing_by_heart():
    rises = (1.4, 0.7, 0.4, 0.42, 0.45, 0.49, 0.52, 0.55)
    assert after_epochs(*rises, train=lambda at: 0.3 - 0.001 * at) == []


def test_a_score_that_stands_while_the_loss_rises_is_a_note_and_one_that_falls_is_none():
    """The network is too sure of itself, and decides as well as ever."""
    rises = (1.4, 0.7, 0.4, 0.42, 0.45, 0.49, 0.52, 0.55)

    def scored(end):
        return tuple(
            EpochFact(epoch=at + 1, step=20 * at + 20, train_loss=1.0 / (at + 1), val_loss=loss,
                      val_score=0.9 if at < 4 else end, val_samples=300)
            for at, loss in enumerate(rises)
        )  # fmt: skip

    assert "overfitting" not in warned(diagnosed(Record([Epochs(epochs=scored(0.89))])))
    assert "overfitting" in warned(diagnosed(Record([Epochs(epochs=scored(0.84))])))


def test_two_evaluations_above_the_least_are_chance_and_three_are_none():
    fallen = (1.4, 1.1, 0.8, 0.6, 0.4)
    assert after_epochs(*fallen, 0.8, 0.9) == []
    assert "overfitting" in after_epochs(*fallen, 0.7, 0.8, 0.9)


# --- torch.func ----------------------------------------------------------------------------------


def test_a_model_that_runs_inside_a_transform_does_not_end_the_watching():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    weights = dict(model.named_parameters())
    optimizer = torch.optim.Adam(weights.values(), lr=0.01)

    def loss(weights, x, y):
        return F.cross_entropy(torch.func.functional_call(model, weights, (x,)), y)

    with nw.watch(model, optimizer) as doctor:
        for _ in range(5):
            x, y = torch.randn(16, 4), torch.randint(0, 2, (16,))
            for name, slope in torch.func.grad(loss)(weights, x, y).items():
                weights[name].grad = slope.detach()
            optimizer.step()
    assert doctor.watcher.fault == ""
    assert doctor.watcher.steps == 5
    assert warned(doctor.diagnosis()) == []


# --- losses that are not of one kind -------------------------------------------------------------


class TwoTasks(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
        self.heads = nn.ModuleList([nn.Linear(32, 4), nn.Linear(32, 1)])

    def forward(self, x, task):
        return self.heads[task](self.body(x))


def test_a_task_each_step_is_not_stuck_at_what_guessing_costs_in_the_first():
    torch.manual_seed(0)
    model = TwoTasks()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    with nw.watch(model, optimizer) as doctor:
        for step in range(120):
            x = torch.randn(32, 8)
            if step % 2:
                loss = F.cross_entropy(model(x, 0), x[:, :4].argmax(1))
            else:
                loss = F.mse_loss(model(x, 1), 0.03 * x[:, :1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert warned(doctor.diagnosis()) == []


# --- what changes on purpose ---------------------------------------------------------------------


def climbing(rho):
    """A loss that doubles, and what each look says of the step."""
    loss = np.linspace(1.0, 3.0, 240)
    told = np.full(240, np.nan)
    told[20::20] = rho
    steps = Steps(
        step=np.arange(1.0, 241), loss=loss, promised=np.ones(240), fallen=told, total=240
    )
    return warned(diagnosed(Record([steps])))


def test_a_loss_that_is_raised_from_outside_has_not_diverged():
    assert "divergence" not in climbing(0.9)


def test_a_loss_that_climbs_with_nobody_known_to_raise_it_has():
    assert "divergence" in climbing(np.nan)


def falling_to(end, *, floor):
    loss = np.concatenate([np.linspace(2.0, end, 100), np.full(100, end)])
    steps = Steps(step=np.arange(1.0, 201), loss=loss, total=200)
    objective = Objective(kind="cross_entropy", constant=2.3, floor=floor, least=0.0, factor=1.0)
    return floored(Record([steps, objective]))


def test_a_floor_that_the_run_fell_below_is_none():
    assert falling_to(0.4, floor=1.46) is None
    assert falling_to(1.5, floor=1.46) is not None


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16, momentum=0.5), nn.ReLU(), nn.Linear(16, 3)
        )

    def forward(self, x):
        return self.layers(x)


def passes_in_training_mode(look):
    torch.manual_seed(0)
    model, x = Normed(), 2 + torch.randn(200, 6)
    y = x[:, :3].argmax(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(4):
            for a, b in zip(x.split(5), y.split(5), strict=True):
                optimizer.zero_grad()
                F.cross_entropy(model(a), b).backward()
                optimizer.step()
            with torch.no_grad():
                for a, b in zip(x.split(50), y.split(50), strict=True):
                    look(model(a), b)
    return warned(doctor.diagnosis())


def test_a_pass_that_gathers_running_statistics_is_no_evaluation():
    assert "wrong-mode" not in passes_in_training_mode(lambda output, y: None)


def test_a_validation_in_training_mode_is_one():
    assert "wrong-mode" in passes_in_training_mode(F.cross_entropy)


def test_targets_that_the_network_makes_grow_and_are_not_held_against_the_first():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    states = torch.eye(10)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(300):
            here = torch.randint(10, (32,))
            with torch.no_grad():
                after = model(states[(here + 1).clamp(max=9)]) * (here < 9).float()[:, None]
            optimizer.zero_grad()
            F.mse_loss(model(states[here]), 1.0 + 0.9 * after).backward()
            optimizer.step()
    assert warned(doctor.diagnosis()) == []


def known_by_heart(*val, samples):
    epochs = tuple(
        EpochFact(
            epoch=at + 1, step=20 * at + 20, train_score=1.0, val_score=each, val_samples=samples
        )
        for at, each in enumerate(val)
    )
    return warned(diagnosed(Record([Epochs(epochs=epochs)])))


def test_one_sample_that_was_right_by_luck_is_no_score_that_was_lost():
    assert known_by_heart(0.0, 1 / 66, 0.0, 0.0, 0.0, samples=66) == []
    assert "memorised-noise" in known_by_heart(0.6, 0.7, 0.6, 0.5, 0.5, samples=300)


# --- gradients that are kept on purpose ----------------------------------------------------------


def without_clearing(between):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(60):
            x = torch.randn(32, 8)
            F.cross_entropy(model(x), x[:, :4].argmax(1)).backward()
            optimizer.step()
            for each in model.parameters():
                between(each)
    return warned(doctor.diagnosis())


def test_gradients_that_are_halved_are_a_momentum():
    assert without_clearing(lambda each: each.grad.mul_(0.5)) == []
    assert without_clearing(lambda each: setattr(each, "grad", 0.5 * each.grad)) == []


def test_gradients_that_nobody_touches_are_never_cleared():
    assert "gradients-never-cleared" in without_clearing(lambda each: None)
