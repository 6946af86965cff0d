"""The first value that is not finite: which operation made it, where, of what."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.records.facts.nonfinite import NonFinite
from netwright.testing.loops import batches, found, mlp, train


class Net(nn.Module):
    """`middle` stands between two layers, with dropout behind it: the replay draws the same."""

    def __init__(self, middle):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.drop = nn.Linear(8, 16), nn.Linear(16, 4), nn.Dropout(0.2)
        self.middle = middle

    def forward(self, x):
        return self.last(self.drop(self.middle(self.first(x))))


def sgd(model, lr=0.1):
    return torch.optim.SGD(model.parameters(), lr=lr)


def seen(model, **how):
    doctor = train(model, how.pop("optimizer", None) or sgd(model), **how)
    return doctor, doctor.record().get(NonFinite)


def spoiled(step, row, value):
    for i, (x, y) in enumerate(batches(15)):
        if i == step:
            x[row, 2] = value
        yield x, y


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_sample_is_named_by_its_row(value):
    doctor, fact = seen(Net(torch.relu), data=spoiled(7, 5, value))
    assert (fact.where, fact.step, fact.row, fact.rows) == ("input", 8, 5, 1)
    (finding,) = found(doctor, "nonfinite")
    assert (finding.severity, finding.step) == ("stop", 8)
    assert "batch of step 8" in str(finding.what)


def test_a_bad_target_is_told_from_a_bad_input():
    def data():
        for i in range(10):
            yield torch.randn(32, 8), torch.full((32,), float("nan") if i == 4 else 0.0)

    _, fact = seen(Net(torch.relu), data=data(), loss=lambda o, y: F.mse_loss(o[:, 0], y.float()))
    assert (fact.where, fact.step, fact.rows) == ("target", 5, 32)


class Logarithm(nn.Module):
    def forward(self, x):
        return torch.log(torch.relu(x))


def test_a_logarithm_of_zero_is_named_with_its_module():
    doctor, fact = seen(Net(Logarithm()))
    assert (fact.where, fact.layer, fact.operation) == ("forward", "middle", "log")
    assert (fact.example, fact.before, fact.replayed) == ("log(0)", 0.0, True)
    (finding,) = found(doctor, "nonfinite")
    assert finding.layers == ("middle",)
    assert finding.treatments[0].name == "use-log-softmax"


def test_what_is_infinite_first_is_named_and_not_the_nan_that_it_becomes():
    _, fact = seen(Net(lambda x: torch.exp(x * 300) / torch.exp(x * 300)))
    assert fact.operation == "exp"
    assert fact.before > 88.7  # exp of more does not fit single precision


def test_a_quotient_shows_both_numbers():
    _, fact = seen(Net(lambda x: (x * 0) / (x * 0)))
    assert (fact.operation, fact.example) == ("div", "(0 / 0)") or fact.example == "(-0 / -0)"


def test_a_logarithm_in_the_loss_is_in_the_loss():
    def loss(output, target):
        return -torch.log(torch.softmax(output * 1000, 1)).gather(1, target[:, None]).mean()

    _, fact = seen(Net(torch.relu), loss=loss)
    assert (fact.where, fact.example) == ("loss", "log(0)")


def test_a_root_at_zero_is_found_in_the_backward_pass_before_the_step():
    model = Net(torch.relu)
    before = [each.clone() for each in model.parameters()]

    def loss(output, target):
        return torch.sqrt(((output - output) ** 2).sum()) + F.cross_entropy(output, target)

    doctor, fact = seen(model, loss=loss, data=list(batches(1)))
    assert (fact.where, fact.example, fact.step) == ("backward", "sqrt'(0)", 1)
    assert all(torch.isfinite(each).all() for each in before)
    (finding,) = found(doctor, "nonfinite")
    assert "the loss is finite" in str(finding.what)


def test_overflow_in_half_precision_is_named_with_its_bound():
    doctor, fact = seen(Net(lambda x: (x.half() * 6e4).float()))
    assert (fact.dtype, fact.operation, fact.value) == ("float16", "mul", "inf")
    (finding,) = found(doctor, "nonfinite")
    assert finding.treatments[0].name == "single-precision"
    assert finding.evidence[0].threshold == 65504


def test_an_optimizer_that_divides_by_zero_is_the_step():
    model = Net(lambda x: x * 0)
    adam = torch.optim.Adam(model.parameters(), eps=0.0)
    doctor, fact = seen(model, optimizer=adam)
    assert (fact.where, fact.operation, fact.layer) == ("step", "Adam", "first")
    assert len(found(doctor, "nonfinite")) == 1


def test_a_row_that_is_masked_whole_is_the_fault_of_the_softmax_and_not_of_the_mask():
    def attention(x):
        return torch.softmax(x.masked_fill(x > -100, float("-inf")), 1)

    _, fact = seen(Net(attention))
    assert (fact.operation, fact.value) == ("softmax", "nan")


def test_a_step_that_was_not_taped_is_run_again_from_the_call_of_the_model():
    model = Net(Logarithm())
    with torch.no_grad():
        model.first.bias += 100
    optimizer = sgd(model, lr=1e-6)
    with watch(model, optimizer, checkup=False) as doctor:
        for i, (x, y) in enumerate(batches(8)):
            doctor.watcher._thin = True  # as where hooks cost more than their budget
            loss = F.cross_entropy(model(x if i < 6 else x * 1e4), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    fact = doctor.record().get(NonFinite)
    assert (fact.step, fact.layer, fact.example) == (7, "middle", "log(0)")


def test_a_mask_of_minus_infinity_is_no_finding():
    def attention(x):
        return torch.softmax(x.masked_fill(x > 0.5, float("-inf")), 1)

    doctor, fact = seen(Net(attention))
    assert fact is None
    assert not found(doctor, "nonfinite")


def test_a_loop_that_leaves_bad_batches_out_is_left_alone():
    model = Net(torch.relu)
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in spoiled(7, 5, float("nan")):
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            if torch.isfinite(loss):
                optimizer.step()
    assert not found(doctor, "nonfinite")


def test_steps_that_a_loss_scaler_leaves_out_are_no_finding():
    model = mlp()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    with watch(model, optimizer, checkup=False) as doctor:
        for x, y in batches(20):
            optimizer.zero_grad()
            scaler.scale(F.cross_entropy(model(x), y) * 100).backward()
            scaler.step(optimizer)
            scaler.update()
    assert doctor.watcher.steps < 20  # some were left out
    assert not found(doctor, "nonfinite")


def test_a_run_with_a_replay_has_the_numbers_of_one_without():
    def run(watched):
        model = Net(torch.relu)
        optimizer = sgd(model)
        if watched:
            train(model, optimizer, data=spoiled(7, 5, float("nan")))
        else:
            for x, y in spoiled(7, 5, float("nan")):
                loss = F.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return torch.get_rng_state(), torch.randn(3)

    (plain, drawn), (watched, drawn_too) = run(False), run(True)
    assert torch.equal(plain, watched)
    assert torch.equal(drawn, drawn_too)
