"""Odd models and odd loops are watched without a fault, and raise what they raise by themselves."""

import threading
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watch import watch
from netwright.testing.loops import batches, found, mlp, sgd, train


@pytest.fixture(autouse=True)
def no_mode_stays_on_torchs_stack():
    before = torch._C._len_torch_function_stack()
    yield
    assert torch._C._len_torch_function_stack() == before


def test_models_without_parameters_and_frozen_ones():
    for model in (nn.Sequential(nn.ReLU()), mlp().requires_grad_(False)):
        shift = nn.Parameter(torch.zeros(8))
        optimizer = torch.optim.SGD([shift], lr=0.1)
        with watch(model, optimizer, checkup=False) as doctor:
            for x, _ in batches(12):
                optimizer.zero_grad()
                model(x + shift).square().mean().backward()
                optimizer.step()
        assert not [each for each in found(doctor) if each.severity != "note"]


def test_a_loop_that_never_steps_keeps_little():
    model = mlp()
    doctor = train(model, sgd(model), step=lambda i, loss: loss.backward(), steps=300)
    assert doctor.watcher.fault == ""
    assert len(doctor.watcher.notes.losses) <= 64


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.turn = nn.Parameter(torch.randn(8, dtype=torch.complex64))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        return self.head((x * self.turn).abs())


def shared():
    layer = nn.Linear(8, 8)
    return nn.Sequential(
        layer, nn.ReLU(inplace=True), layer, nn.ReLU(inplace=True), nn.Linear(8, 4)
    )


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = mlp()

    def forward(self, x):
        weights = dict(self.inner.named_parameters())
        with torch.no_grad():
            self.inner(x)
        return torch.func.functional_call(self.inner, weights, (x,))


@pytest.mark.parametrize(
    "make",
    [
        Complex,
        shared,
        Functional,
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 4)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4)),
        lambda: mlp().to(torch.bfloat16),
        lambda: mlp().double(),
    ],
)
def test_odd_models_are_watched_without_a_fault(make):
    torch.manual_seed(0)
    model = make()
    kind = next(each.dtype for each in model.parameters() if not each.is_complex())
    data = [(x.to(kind), y) for x, y in batches(15)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        doctor = train(model, sgd(model, lr=0.01), data=data, every=1)
        assert not [each for each in found(doctor) if each.severity != "note"]


def test_a_hook_of_the_users_that_raises_is_the_users():
    model = mlp()
    optimizer = sgd(model)

    def complain(*_):
        raise ValueError("mine")

    handle = model[0].register_forward_hook(complain)
    with watch(model, optimizer, checkup=False) as doctor:
        for i, (x, y) in enumerate(batches(12)):
            if i == 3:
                handle.remove()
            try:
                loss = F.cross_entropy(model(x), y)
            except ValueError:
                continue
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert (doctor.watcher.steps, doctor.watcher.fault) == (9, "")


class RunsOut(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.calls = mlp(), 0

    def forward(self, x):
        self.calls += 1
        hidden = self.inner[0](x)
        if self.calls % 4 == 0:
            raise torch.OutOfMemoryError("no memory")
        return self.inner[2](torch.relu(hidden))


def test_a_loop_that_catches_want_of_memory_and_goes_on():
    model = RunsOut()
    optimizer = sgd(model)
    with watch(model, optimizer, checkup=False, every=1) as doctor:
        for x, y in batches(20):
            try:
                loss = F.cross_entropy(model(x), y)
            except torch.OutOfMemoryError:
                continue
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert (doctor.watcher.steps, doctor.watcher.fault) == (15, "")
    assert not [each for each in found(doctor) if each.severity != "note"]


def test_another_thread_may_run_the_model_meanwhile():
    model, other = mlp(), mlp()
    optimizer = sgd(model)
    going = threading.Event()

    def serve():
        with torch.no_grad():
            while not going.is_set():
                other(torch.randn(4, 8))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        doctor = train(model, optimizer, steps=30)
    finally:
        going.set()
        thread.join()
    assert (doctor.watcher.steps, doctor.watcher.fault) == (30, "")
