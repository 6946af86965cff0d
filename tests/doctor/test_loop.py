"""Faults of the loop, each in a real loop, and the healthy loops that look like them."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.conditions.data_starvation import data_starvation
from netwright.doctor.conditions.mixed_precision_trouble import mixed_precision_trouble
from netwright.doctor.diagnosis import diagnosed
from netwright.doctor.watch import watch
from netwright.records.facts.loop import Loop
from netwright.records.facts.objective import Objective
from netwright.records.facts.steps import Steps
from netwright.records.record import Record
from netwright.testing.loops import batches, found, mlp, train


def sgd(model, lr=0.1, **how):
    return torch.optim.SGD(model.parameters(), lr=lr, **how)


def names(doctor):
    return {each.name for each in found(doctor) if each.severity != "note"}


# --- gradients-never-cleared ---------------------------------------------------------------------


def test_a_loop_that_never_clears_is_found_with_the_share_of_old_gradient():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        loss.backward()
        optimizer.step()

    doctor = train(model, optimizer, step=step, steps=30)
    (finding,) = found(doctor, "gradients-never-cleared")
    assert finding.severity in ("stop", "warn")
    assert finding.evidence[0].value > 0.95  # all but the first step
    assert finding.evidence[1].witness == "harm"
    assert finding.treatments[0].grade == "safe"


def test_the_excess_is_what_was_left_over_against_the_fresh_gradient():
    weight = nn.Linear(1, 1, bias=False)
    optimizer = sgd(weight, lr=0.0)
    x = torch.ones(4, 1)
    with watch(weight, optimizer, checkup=False, every=1) as doctor:
        for _ in range(4):
            weight(x).sum().backward()  # a gradient of 4 each time
            optimizer.step()
    # 12 are left over before the last backward, which adds 4.
    assert doctor.record().get(Loop).stale_excess == pytest.approx(3.0)


@pytest.mark.parametrize("none", [True, False])
def test_clearing_in_either_way_is_silent(none):
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        optimizer.zero_grad(set_to_none=none)
        loss.backward()
        optimizer.step()

    assert not found(train(model, optimizer, step=step), "gradients-never-cleared")


def test_accumulation_is_silent():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        (loss / 4).backward()
        if i % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()

    assert not names(train(model, optimizer, step=step, steps=80))


def gan(optimizers_of, steps=20):
    torch.manual_seed(0)
    maker, judge = nn.Linear(4, 8), nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1))
    both = nn.ModuleDict({"maker": maker, "judge": judge})
    first, second = optimizers_of(judge), optimizers_of(maker)
    ones, zeros = torch.ones(16, 1), torch.zeros(16, 1)
    bce = F.binary_cross_entropy_with_logits
    with watch(both, [first, second], checkup=False) as doctor:
        for _ in range(steps):
            real, fake = torch.randn(16, 8) + 2, maker(torch.randn(16, 4))
            first.zero_grad()
            (bce(judge(real), ones) + bce(judge(fake.detach()), zeros)).backward()
            first.step()
            second.zero_grad()
            bce(judge(fake), ones).backward()  # the judge gets a gradient too, and clears it
            second.step()
    return doctor


def test_two_players_that_clear_in_their_turn_are_silent():
    assert not names(gan(lambda model: torch.optim.Adam(model.parameters(), lr=1e-3)))


# --- optimizer-never-steps, weights-do-not-change ------------------------------------------------


def test_an_optimizer_that_never_steps_is_found():
    model = mlp()
    doctor = train(model, sgd(model), step=lambda i, loss: loss.backward(), steps=120)
    (finding,) = found(doctor, "optimizer-never-steps")
    assert (finding.severity, finding.evidence[0].value) == ("stop", 120)


def test_weights_that_the_loop_moves_by_hand_are_silent():
    model = mlp()

    def step(i, loss):
        model.zero_grad()
        loss.backward()
        for each in model.parameters():
            each.data -= 0.1 * each.grad

    assert not found(train(model, sgd(model), step=step, steps=120))


def test_long_accumulation_before_the_first_step_is_silent():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        (loss / 64).backward()
        if i % 64 == 63:
            optimizer.step()
            optimizer.zero_grad()

    assert not found(train(model, optimizer, step=step, steps=130), "optimizer-never-steps")


def test_clearing_between_backward_and_step_is_found():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()

    (finding,) = found(train(model, optimizer, step=step), "weights-do-not-change")
    assert finding.severity == "stop"
    assert "between the backward pass and the step" in str(finding.cause)


def test_a_rate_of_zero_is_found():
    model = mlp()
    (finding,) = found(train(model, sgd(model, lr=0.0), steps=60), "weights-do-not-change")
    assert str(finding.cause) == "The learning rate is 0."


def test_a_warm_up_from_zero_is_silent():
    model = mlp()
    optimizer = sgd(model)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 10))

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        warm.step()

    assert not found(train(model, optimizer, step=step), "weights-do-not-change")


# --- stale-optimizer, unused, unregistered -------------------------------------------------------


def test_a_head_that_was_exchanged_after_the_optimizer_was_made():
    model = mlp()
    optimizer = sgd(model)
    model[2] = nn.Linear(16, 4)
    (finding,) = found(train(model, optimizer, steps=40), "stale-optimizer")
    assert (finding.severity, finding.layers) == ("stop", ("2",))
    assert [each.value for each in finding.evidence] == [2, 2, 0]


def test_a_model_built_anew_after_the_optimizer_was_made():
    optimizer = sgd(mlp())
    (finding,) = found(train(mlp(), optimizer, steps=40), "stale-optimizer")
    assert finding.layers == ("0", "2")


def test_a_head_on_a_network_that_is_left_as_it_is_is_silent():
    model = mlp()
    doctor = train(model, torch.optim.SGD(model[2].parameters(), lr=0.1), steps=40)
    assert not found(doctor, "stale-optimizer")


def test_a_second_optimizer_that_the_watch_does_not_know_is_silent():
    model = mlp()
    first, second = sgd(model[0]), sgd(model[2])

    def step(i, loss):
        model.zero_grad()
        loss.backward()
        first.step()
        second.step()

    assert not found(train(model, first, step=step, steps=40), "stale-optimizer")


def test_weights_of_the_loss_in_the_optimizer_are_silent():
    model = mlp()
    scale = nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.1)

    def loss(output, target):
        return F.cross_entropy(output, target) * torch.exp(-scale) + scale

    doctor = train(model, optimizer, loss=loss, steps=40)
    assert not found(doctor, "stale-optimizer")
    assert not found(doctor, "unregistered-parameters")


def test_groups_with_rates_far_apart_are_a_note():
    model = mlp()
    groups = [{"params": model[0].parameters(), "lr": 1e-7}, {"params": model[2].parameters()}]
    (finding,) = found(train(model, torch.optim.SGD(groups, lr=0.1)), "stale-optimizer")
    assert (finding.severity, finding.layers) == ("note", ("0",))


class WithSpare(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x):
        return self.used(x)


def test_a_layer_that_never_gets_a_gradient_is_a_note():
    model = WithSpare()
    (finding,) = found(train(model, sgd(model), steps=40), "unused-parameters")
    assert (finding.severity, finding.layers) == ("note", ("spare",))


class PlainList(nn.Module):
    def __init__(self, held=nn.ModuleList):
        super().__init__()
        torch.manual_seed(0)
        self.blocks = held([nn.Linear(8, 8) for _ in range(2)])
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        for each in self.blocks:
            x = torch.relu(each(x))
        return self.head(x)


def test_layers_in_a_plain_list_are_named():
    model = PlainList(list)
    (finding,) = found(train(model, sgd(model)), "unregistered-parameters")
    assert finding.layers == ("blocks[0]", "blocks[1]")
    assert finding.severity == "stop"  # 144 of 180 weights
    assert finding.evidence[1].value == 144


def test_layers_in_a_module_list_are_silent():
    model = PlainList()
    assert not found(train(model, sgd(model)), "unregistered-parameters")


class MadeAnew(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head(x * nn.Parameter(torch.ones(8)))


def test_parameters_made_in_the_forward_pass_are_found():
    model = MadeAnew()
    (finding,) = found(train(model, sgd(model)), "unregistered-parameters")
    assert "anew" in str(finding.what)


def test_another_model_and_an_input_with_a_gradient_are_silent():
    encoder, decoder = nn.Linear(8, 8), mlp()
    optimizer = torch.optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
    with watch(decoder, optimizer, checkup=False) as doctor:
        for x, y in batches(12):
            optimizer.zero_grad()
            F.cross_entropy(decoder(encoder(x.requires_grad_())), y).backward()
            optimizer.step()
    assert not found(doctor, "unregistered-parameters")


# --- wrong-mode ----------------------------------------------------------------------------------


def moody():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4)
    )


def epochs(model, *, train_mode=True, eval_mode=True, back=True, count=4, size=15):
    """Training and evaluation, with the modes set or forgotten."""
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        model.train(train_mode)
        for _ in range(count):
            for x, y in batches(size):
                optimizer.zero_grad()
                F.cross_entropy(model(x), y).backward()
                optimizer.step()
            if eval_mode:
                model.eval()
            with torch.no_grad():
                for x, _ in batches(4):
                    model(x + 3).argmax(1)
            if back:
                model.train(train_mode)
    return doctor


def test_an_evaluation_that_leaves_the_network_in_evaluation_mode():
    (finding,) = found(epochs(moody(), back=False), "wrong-mode")
    assert (finding.severity, finding.step) == ("warn", 16)
    assert finding.evidence[0].value == 45


def test_an_evaluation_in_training_mode():
    (finding,) = found(epochs(moody(), eval_mode=False), "wrong-mode")
    assert finding.severity == "warn"
    assert "training mode" in str(finding.what)


def test_training_in_evaluation_mode_with_the_statistics_of_a_new_network():
    model = moody()
    with torch.no_grad():
        model[0].weight *= 10
    (finding,) = found(epochs(model, train_mode=False), "wrong-mode")
    assert finding.severity == "warn"


def test_modes_set_as_they_should_be_are_silent():
    assert not found(epochs(moody()), "wrong-mode")


def test_dropout_at_evaluation_is_a_note_at_most():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 4))
    assert not names(epochs(model, eval_mode=False))


def test_a_network_without_dropout_or_norms_has_no_mode():
    assert not found(epochs(mlp(), eval_mode=False, back=False), "wrong-mode")


def test_forwards_without_gradients_between_steps_are_silent():
    model = moody()
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(30):
            with torch.no_grad():
                model(x), model(x)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    assert not found(doctor, "wrong-mode")


# --- double-backward-or-step ---------------------------------------------------------------------


def test_two_steps_to_a_batch_are_found():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        optimizer.step()

    (finding,) = found(train(model, optimizer, step=step), "double-backward-or-step")
    assert finding.evidence[0].value == pytest.approx(0.5, abs=0.02)  # nothing before the first


def test_two_backwards_on_one_loss_are_found():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        loss.backward()
        optimizer.step()

    (finding,) = found(train(model, optimizer, step=step), "double-backward-or-step")
    assert finding.evidence[0].value == 0.5


def test_a_loss_that_dies_with_its_step_is_not_taken_for_the_next_one():
    model = mlp()
    optimizer = sgd(model)

    def one(x, y):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(30):
            one(x, y)
    assert doctor.record().get(Loop).double_backwards == 0


def test_two_optimizers_after_one_backward_are_silent():
    model = mlp()
    optimizers = [sgd(model[0]), sgd(model[2])]
    with watch(model, optimizers, checkup=False) as doctor:
        for x, y in batches(20):
            model.zero_grad()
            F.cross_entropy(model(x), y).backward()
            for each in optimizers:
                each.step()
    assert not found(doctor, "double-backward-or-step")


def test_gradients_that_the_loop_sets_itself_are_silent():
    model = mlp()
    optimizer = sgd(model)

    def step(i, loss):
        grads = torch.autograd.grad(loss, list(model.parameters()))
        for parameter, gradient in zip(model.parameters(), grads, strict=True):
            parameter.grad = gradient
        optimizer.step()

    assert not found(train(model, optimizer, step=step))


def test_a_closure_that_is_called_several_times_is_silent():
    model = mlp()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=4)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(10):

            def closure(x=x, y=y):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                return loss

            optimizer.step(closure)
    assert not names(doctor)


# --- metric-misread, nondeterministic-restart, memory-growth, ... -------------------------------


@pytest.mark.parametrize(("axis", "count"), [(0, 1), (1, 0)])
def test_an_argmax_over_the_batch_is_found(axis, count):
    model = mlp()

    def loss(output, target):
        value = F.cross_entropy(output, target)
        (output.argmax(axis)[:4] == target[:4]).float().mean()
        if axis == 0:
            output.detach().argmax(dim=0) == target  # noqa: B015
        return value

    doctor = train(model, sgd(model), loss=loss, data=batches(20, size=4))
    assert len(found(doctor, "metric-misread")) == count


def test_weights_of_the_beginning_loaded_in_the_middle():
    model = mlp()
    optimizer = sgd(model, lr=0.5)
    first = copy.deepcopy(model.state_dict())
    state = copy.deepcopy(optimizer.state_dict())

    def before(i):
        if i == 60:
            model.load_state_dict(first)
            optimizer.load_state_dict(state)

    doctor = train(model, optimizer, steps=100, before=before)
    (finding,) = found(doctor, "nondeterministic-restart")
    assert (finding.severity, finding.step) == ("warn", 60)


def test_averaged_weights_put_in_and_taken_out_again_are_silent():
    model = mlp()

    def before(i):
        if i and i % 20 == 0:
            mine = copy.deepcopy(model.state_dict())
            model.load_state_dict({name: 0 * each for name, each in mine.items()})
            model.load_state_dict(mine)

    doctor = train(model, sgd(model, lr=0.5), steps=100, before=before)
    assert not found(doctor, "nondeterministic-restart")


def test_losses_kept_with_their_graphs_are_found():
    model = mlp()
    optimizer = sgd(model)
    total = [torch.zeros(())]

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total[0] = total[0] + loss

    (finding,) = found(train(model, optimizer, step=step, steps=150), "memory-growth")
    assert finding.evidence[0].value == 1.0


def test_losses_kept_as_numbers_are_silent():
    model = mlp()
    optimizer = sgd(model)
    losses = []

    def step(i, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())

    assert not found(train(model, optimizer, step=step, steps=150), "memory-growth")


def waiting(share, seconds=0.01):
    count = 100
    return Record(
        [
            Steps(
                seconds=torch.full((count,), seconds).double().numpy(),
                wait=torch.full((count,), share * seconds).double().numpy(),
                total=count,
            )
        ]
    )


@pytest.mark.parametrize(
    ("share", "seconds", "severity"),
    [(0.8, 0.01, "warn"), (0.3, 0.01, "note"), (0.1, 0.01, None), (0.8, 0.0005, None)],
)
def test_waiting_for_data_by_its_share_of_a_step(share, seconds, severity):
    findings = list(data_starvation(waiting(share, seconds)))
    assert [each.severity for each in findings] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("halvings", "skips", "steps", "severity"),
    [(60, 60, 0, "stop"), (20, 20, 30, "warn"), (12, 12, 5000, None), (3, 3, 4, None)],
)
def test_a_scaler_that_does_not_find_its_scale(halvings, skips, steps, severity):
    loop = Loop(scaler_halvings=halvings, scaler_skips=skips, steps=steps)
    findings = list(mixed_precision_trouble(Record([loop])))
    assert [each.severity for each in findings] == ([severity] if severity else [])


def test_a_loop_that_never_clears_is_told_where_its_fresh_gradients_have_died() -> None:
    """Double softmax saturates at once: what is left over is all there is."""
    record = Record(
        [
            Loop(steps=300, backwards=300, stale_starts=299, stale_checked=300),
            Objective(kind="cross_entropy", losses=(1.4,), constant=1.37),
            Steps(loss=np.full(300, 1.5), step=np.arange(1.0, 301.0), total=300),
        ]
    )
    found = diagnosed(record).named("gradients-never-cleared")
    assert found is not None
    assert found.severity == "stop"
    healthy = Record([Loop(steps=300, backwards=300, stale_starts=299, stale_checked=300)])
    assert diagnosed(healthy).named("gradients-never-cleared") is None
