"""A loss that leads to no parameter, or not to all of them, and the line that cuts it off."""

import copy
import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.watch import watch
from netwright.records.facts.loop import Loop

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(1))
Y = torch.arange(16) % 4


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))


class Cut(nn.Module):
    """A first part whose output is cut off from its weights by `cut`."""

    def __init__(self, cut):
        super().__init__()
        self.first, self.last, self.cut = nn.Linear(6, 8), nn.Linear(8, 4), cut

    def forward(self, x):
        return self.last(self.cut(self.first, x))


def under_no_grad(layer, x):
    with torch.no_grad():
        return layer(x)


def above_notes(diagnosis):
    return [each.name for each in diagnosis.findings if each.severity != "note"]


@pytest.mark.parametrize(
    ("loss", "operation"),
    [
        (lambda z, y: F.cross_entropy(z.detach(), y), "detach"),
        (lambda z, y: F.cross_entropy(z, y).detach(), "detach"),
        (lambda z, y: F.cross_entropy(z.data, y), "data"),
        (lambda z, y: (z.argmax(1) - y).float().square().mean(), "argmax"),
        (lambda z, y: torch.tensor(F.cross_entropy(z, y).item()), "item"),
        (lambda z, y: torch.tensor(F.cross_entropy(z, y).item(), requires_grad=True), "item"),
        (lambda z, y: torch.tensor(z.detach().numpy()).square().mean(), "detach"),
    ],
)
def test_what_cuts_the_whole_loss_off_is_named_with_its_line(looked, loss, operation):
    found = looked(net(), loss, X, Y).named("detached-graph")
    assert (found.severity, found.what.values["operation"]) == ("stop", operation)
    file, line = str(found.what.values["place"]).split(":")
    assert file == "test_reach.py"
    assert abs(int(line) - inspect.getsourcelines(loss)[1]) <= 1


@pytest.mark.parametrize(
    ("cut", "operation"),
    [
        (lambda layer, x: layer(x).detach().relu(), "detach"),
        (lambda layer, x: layer(x).data.relu(), "data"),
        (under_no_grad, "no_grad"),
        (lambda layer, x: (layer(x) > 0).float(), "gt"),
    ],
)
def test_a_part_that_is_cut_off_is_a_note_and_a_warning_once_it_was_never_graded(
    looked, judge, cut, operation
):
    diagnosis = looked(Cut(cut), F.cross_entropy, X, Y)
    found = diagnosis.named("detached-graph")
    assert (found.severity, found.layers) == ("note", ("first",))
    assert found.what.values["operation"] == operation
    silent = Loop(steps=9, looked=3, never_graded=("first.weight", "first.bias"))
    assert judge(*diagnosis.record, silent).named("detached-graph").severity == "warn"
    trained = Loop(steps=9, looked=3)
    assert judge(*diagnosis.record, trained).named("detached-graph").severity == "note"


def test_a_loss_without_the_model_is_a_stop(looked):
    loss = lambda z, y: F.cross_entropy(torch.zeros(16, 4, requires_grad=True), y)  # noqa: E731
    diagnosis = looked(net(), loss, X, Y)
    assert diagnosis.named("detached-graph") is None


def test_a_loss_that_starts_anew_is_a_stop(looked):
    found = looked(net(), lambda z, y: torch.zeros((), requires_grad=True), X, Y)
    assert found.named("loss-ignores-parameters").severity == "stop"


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 4)
        self.body.requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            x = self.body(x)
        return self.head(x)


class Student(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net()
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            taught = self.teacher(x)
        return self.net(x), taught


class Straight(nn.Module):
    """A rounding whose gradient is passed on (straight-through)."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.a(x)
        return self.b(x + (x.round() - x).detach())


def with_metrics(z, y):
    accuracy = (z.argmax(1) == y).float().mean().item()
    shown = z.detach().softmax(1).numpy().max()
    return F.cross_entropy(z, y) + 0 * accuracy + 0 * float(shown)


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        (net(), F.cross_entropy),
        (net(), with_metrics),
        (Frozen(), F.cross_entropy),
        (Student(), lambda out, _: F.mse_loss(out[0], out[1])),
        (Straight(), F.cross_entropy),
        (net(), lambda q, a: F.mse_loss(q.gather(1, a[:, None])[:, 0], q.detach().max(1).values)),
        (net(), lambda z, y: F.cross_entropy(z, y) / z.detach().abs().max()),
    ],
)
def test_what_is_cut_on_purpose_is_fine(looked, model, loss):
    found = looked(model, loss, X, Y)
    assert [each for each in found.findings if each.group == "wiring"] == []


def run(doctor, model, optimizer, loss_fn, steps=4):
    with doctor:
        for _ in range(steps):
            optimizer.zero_grad()
            loss_fn(model(X), Y).backward()
            optimizer.step()


@pytest.mark.parametrize(
    "loss",
    [
        lambda z, y: F.cross_entropy(z.detach(), y),
        lambda z, y: torch.tensor(F.cross_entropy(z, y).item()),
    ],
)
def test_a_watched_loop_whose_backward_raises_is_told_why(loss):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = watch(model, optimizer)
    with pytest.raises(RuntimeError, match="does not require grad"):
        run(doctor, model, optimizer, loss)
    assert doctor.diagnosis().named("detached-graph").severity == "stop"


def test_a_watched_loop_that_trains_nothing_in_silence_is_told_why():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = watch(model, optimizer)
    anew = lambda z, y: torch.tensor(F.cross_entropy(z, y).item(), requires_grad=True)  # noqa: E731
    run(doctor, model, optimizer, anew)
    assert doctor.diagnosis().named("detached-graph").severity == "stop"


def test_a_watched_loop_under_no_grad_is_told_why():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    doctor = watch(model, optimizer)
    with pytest.raises(RuntimeError, match="does not require grad"), torch.no_grad():
        run(doctor, model, optimizer, F.cross_entropy)
    found = doctor.diagnosis().named("detached-graph")
    assert (found.severity, found.what.values["operation"]) == ("stop", "no_grad")


def test_a_watched_loop_with_a_cut_part_is_warned_and_a_whole_one_not():
    for model, names in ((Cut(under_no_grad), ["detached-graph"]), (net(), [])):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        doctor = watch(model, optimizer, every=1)
        run(doctor, model, optimizer, F.cross_entropy, steps=6)
        wiring = [e for e in doctor.findings if e.group == "wiring" and e.severity != "note"]
        assert [each.name for each in wiring] == names


def test_a_discriminators_step_leads_to_no_generator_and_that_is_fine():
    torch.manual_seed(0)
    g, d = nn.Linear(2, 6), nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    og, od = (torch.optim.Adam(each.parameters(), lr=1e-3) for each in (g, d))
    doctors = watch(g, og, every=1), watch(d, od, every=1), watch(nn.ModuleList([g, d]), [og, od])
    bce, one, zero = F.binary_cross_entropy_with_logits, torch.ones(16, 1), torch.zeros(16, 1)
    with doctors[0], doctors[1], doctors[2]:
        for _ in range(6):
            fake = g(torch.randn(16, 2))
            od.zero_grad()
            (bce(d(X), one) + bce(d(fake.detach()), zero)).backward()
            od.step()
            og.zero_grad()
            bce(d(fake), one).backward()
            og.step()
    assert torch._C._len_torch_function_stack() == 0
    for each in doctors:
        assert above_notes(each.diagnosis()) == []
