"""Networks, gradients, losses and batches of any kind: the loop goes on as if nobody watched, and
a check-up gives an answer."""

from __future__ import annotations

import copy
from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netwright as nw
from netwright.core.errors import DataError
from netwright.records.facts.left_out import LeftOut


def sgd(model, rate=0.05):
    return torch.optim.SGD(model.parameters(), rate, momentum=0.9)


class Bare(nn.Module):
    """Nothing of it is a parameter."""

    def forward(self, x):
        return x.sum(1, keepdim=True) * torch.tensor([[1.0, -1.0]])


class Tokens(nn.Module):
    def __init__(self, sparse):
        super().__init__()
        self.table, self.head = nn.Embedding(50, 8, sparse=sparse), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.table(x).mean(1))


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 8, dtype=torch.complex64))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head((x.to(torch.complex64) @ self.weight).abs())


class Recurrent(nn.Module):
    def __init__(self, kind, batch_first):
        super().__init__()
        self.batch_first = batch_first
        self.core, self.head = kind(4, 8, batch_first=batch_first), nn.Linear(8, 2)

    def forward(self, x):
        out, _ = self.core(x if self.batch_first else x.transpose(0, 1))
        return self.head(out[:, -1] if self.batch_first else out[-1])


class Shared(nn.Module):
    """One layer runs three times, and a weight has two names."""

    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Linear(4, 4), nn.Linear(4, 4)
        self.again.weight = self.first.weight
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        for _ in range(3):
            x = self.first(x).relu()
        return self.head(self.again(x))


class Named(nn.Module):
    """It is given a dict, and gives one with its own loss."""

    def __init__(self):
        super().__init__()
        self.map = nn.Linear(4, 2)

    def forward(self, batch):
        out = self.map(batch["x"])
        return {"logits": out, "loss": F.cross_entropy(out, batch["y"])}


Batch = namedtuple("Batch", ["inputs", "label"])


@dataclass
class Holder:
    parts: list
    label: torch.Tensor


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(4, 2)

    def forward(self, given):
        if isinstance(given, Holder):
            given = given.parts[0]
        while not isinstance(given, torch.Tensor):
            given = next(iter(given.values())) if isinstance(given, dict) else given[0]
        return self.map(given)


def xy(count=16):
    x = torch.randn(count, 4)
    return x, (x[:, 0] > 0).long()


def classify(model, make=xy):
    x, y = make()
    return F.cross_entropy(model(x).float(), y)


def words(count=16):
    x = torch.randint(0, 50, (count, 6))
    return x, (x[:, 0] > 25).long()


def series(count=16):
    x = torch.randn(count, 5, 4)
    return x, (x[:, 0, 0] > 0).long()


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))


def frozen_part():
    model = net()
    model[0].requires_grad_(False)
    return model


def dictionary(model):
    x, y = xy()
    out = model(x)
    parts = {"main": F.cross_entropy(out, y), "size": 1e-3 * out.square().mean()}
    return sum(parts.values())


def from_dict(model):
    x, y = xy()
    return model({"x": x, "y": y})["loss"]


def nested(wrap):
    def loss(model):
        x, y = xy()
        return F.cross_entropy(model(wrap(x, y)), y)

    return loss


def bf16():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).to(torch.bfloat16)


LOOPS = {
    "sparse gradients": (lambda: Tokens(True), lambda m: classify(m, words),
                         lambda m: torch.optim.SGD(m.parameters(), 0.1)),
    "sparse gradients by Adam": (lambda: Tokens(True), lambda m: classify(m, words),
                                 lambda m: [torch.optim.SparseAdam(list(m.table.parameters())),
                                            torch.optim.Adam(m.head.parameters())]),
    "complex gradients": (Complex, classify, lambda m: torch.optim.Adam(m.parameters(), 1e-2)),
    "bf16 gradients": (bf16, lambda m: classify(m, lambda: (xy()[0].bfloat16(), xy()[1])), sgd),
    "double precision": (lambda: net().double(),
                         lambda m: classify(m, lambda: (xy()[0].double(), xy()[1])), sgd),
    "an LSTM": (lambda: Recurrent(nn.LSTM, True), lambda m: classify(m, series), sgd),
    "a GRU with time first": (lambda: Recurrent(nn.GRU, False), lambda m: classify(m, series), sgd),
    "shared modules": (Shared, classify, sgd),
    "a frozen part": (frozen_part, classify,
                      lambda m: torch.optim.SGD([p for p in m.parameters() if p.requires_grad],
                                                0.1)),
    "a sum over a dictionary": (net, dictionary, sgd),
    "a loss in a dictionary": (Named, from_dict, sgd),
    "a batch in dicts and lists": (Nested, nested(lambda x, y: {"a": [{"b": (x, y)}]}), sgd),
    "a batch in a named tuple": (Nested, nested(lambda x, y: Batch([x], y)), sgd),
    "a batch in an object": (Nested, nested(lambda x, y: Holder([x], y)), sgd),
    "a batch of one": (lambda: nn.Linear(4, 2), lambda m: classify(m, lambda: xy(1)), sgd),
}  # fmt: skip


def trained(name, watched):
    build, loss_of, make = LOOPS[name]
    torch.manual_seed(0)
    model = build()
    made = make(model)
    optimizers = made if isinstance(made, list) else [made]
    doctor = nw.watch(model, optimizers, every=2) if watched else None
    if doctor is not None:
        doctor.__enter__()
    losses = []
    for _ in range(8):
        for each in optimizers:
            each.zero_grad()
        loss = loss_of(model)
        loss.backward()
        losses.append(loss.item())
        for each in optimizers:
            each.step()
    if doctor is not None:
        doctor.__exit__(None, None, None)
    return losses, model.state_dict(), doctor


@pytest.mark.parametrize("name", LOOPS)
def test_it_is_trained_bit_for_bit_as_without_a_watch(name):
    losses, weights, _ = trained(name, watched=False)
    again, others, doctor = trained(name, watched=True)
    assert losses == again
    assert all(torch.equal(each, others[key]) for key, each in weights.items())
    assert doctor.watcher.fault == ""
    assert doctor.watcher.steps >= 8
    left = doctor.record().get(LeftOut)
    assert left is None or left.failed == (), left
    diagnosis = doctor.diagnosis()
    assert [e.name for e in diagnosis.findings if e.severity == "stop"] == []


def test_a_network_without_parameters_under_a_borrowed_optimizer():
    scale = nn.Parameter(torch.ones(1))
    model, optimizer = Bare(), torch.optim.SGD([scale], 0.1)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(4):
            x, y = xy()
            optimizer.zero_grad()
            F.cross_entropy(scale * model(x), y).backward()
            optimizer.step()
    assert doctor.watcher.fault == ""
    doctor.diagnosis()


def test_a_network_that_is_frozen_whole_keeps_the_error_of_its_loop():
    model = net().requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with nw.watch(model, optimizer) as doctor:
        x, y = xy()
        with pytest.raises(RuntimeError, match="does not require grad"):
            F.cross_entropy(model(x), y).backward()
    assert doctor.watcher.fault == ""
    doctor.diagnosis()


@pytest.mark.parametrize("kind", ["forward", "pre", "backward", "tensor"])
def test_a_hook_that_raises_raises_to_its_owner_once_and_the_loop_goes_on(kind):
    torch.manual_seed(0)
    model, calls = net(), []

    def bad(*given):
        calls.append(1)
        if len(calls) == 3:
            raise ValueError("mine")

    if kind == "forward":
        model[0].register_forward_hook(bad)
    elif kind == "pre":
        model[0].register_forward_pre_hook(bad)
    elif kind == "backward":
        model[3].register_full_backward_hook(bad)
    else:
        model[0].weight.register_hook(bad)
    optimizer, errors = sgd(model), []
    with nw.watch(model, optimizer, every=1) as doctor:
        for _ in range(6):
            optimizer.zero_grad()
            try:
                classify(model).backward()
            except ValueError as error:
                errors.append(str(error))
                continue
            optimizer.step()
        assert doctor.watcher.fault == ""
        doctor.diagnosis()
    assert errors == ["mine"]
    assert len(calls) == 6


def test_a_loop_that_never_steps_is_watched_in_bounded_memory():
    model = net()
    optimizer = sgd(model)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(100):
            optimizer.zero_grad()
            classify(model).backward()
        assert doctor.watcher.fault == ""
        assert len(doctor.watcher.notes.losses) <= 64
        assert doctor.diagnosis().named("optimizer-never-steps") is not None


# The check-up


CHECKED = {
    "sparse gradients": (lambda: Tokens(True), words),
    "complex gradients": (Complex, xy),
    "bf16 gradients": (bf16, lambda n: (xy(n)[0].bfloat16(), xy(n)[1])),
    "an LSTM": (lambda: Recurrent(nn.LSTM, True), series),
    "a GRU with time first": (lambda: Recurrent(nn.GRU, False), series),
    "shared modules": (Shared, xy),
    "a frozen part": (frozen_part, xy),
    "no parameters": (Bare, xy),
    "frozen whole": (lambda: net().requires_grad_(False), xy),
    "a batch of one": (lambda: nn.Linear(4, 2), lambda n: xy(1)),
}


@pytest.mark.parametrize("name", CHECKED)
@pytest.mark.parametrize("optimized", [True, False], ids=["optimizer", "alone"])
def test_a_check_up_gives_an_answer_and_leaves_no_trace(name, optimized):
    build, make = CHECKED[name]
    torch.manual_seed(0)
    model = build()
    held = list(model.parameters()) or [nn.Parameter(torch.ones(1))]
    optimizer = torch.optim.SGD(held, 0.1) if optimized else None
    before = copy.deepcopy(model.state_dict())
    found = nw.checkup(model, lambda out, y: F.cross_entropy(out.float(), y), make(48), optimizer,
                       val_data=make(32))  # fmt: skip
    assert all(torch.equal(each, before[key]) for key, each in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert found.left_out is None or found.left_out.failed == (), found.left_out
    str(found)


def test_a_hook_that_raises_does_not_reach_a_check_up():
    model = net()

    def bad(*given):
        raise ValueError("mine")

    model[0].register_forward_hook(bad)
    nw.checkup(model, nn.CrossEntropyLoss(), xy(64), sgd(model))


def test_a_loss_that_is_a_dictionary_is_refused_with_what_is_wanted():
    with pytest.raises(nw.NetwrightError, match="one number"):
        nw.checkup(net(), lambda out, y: {"loss": F.cross_entropy(out, y)}, xy(64))


def test_a_loss_for_each_sample_is_refused_with_what_is_wanted():
    with pytest.raises(nw.NetwrightError, match="one number"):
        nw.checkup(net(), nn.CrossEntropyLoss(reduction="none"), xy(64))


def test_nested_batches_are_looked_at_by_their_tensors():
    x, y = xy(64)
    batches = [({"a": [part]}, other) for part, other in zip(x.split(16), y.split(16), strict=True)]
    found = nw.checkup(net(), nn.CrossEntropyLoss(), batches)
    assert found.left_out is None or found.left_out.failed == ()


def test_batches_without_a_tensor_are_refused():
    with pytest.raises(DataError, match="no batch with a tensor"):
        nw.checkup(net(), nn.CrossEntropyLoss(), [("a", "b")])
