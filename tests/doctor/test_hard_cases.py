"""What a loop may hold and a watch must bear: no crash, no other bit, no word lost."""

import importlib
import sys
import threading
import warnings
from contextlib import ExitStack, nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize
from torch.optim import SGD, Adam

import netwright as nw
from netwright.core.errors import SettingError
from netwright.doctor.quiet import as_written
from netwright.doctor.watching import ear
from netwright.records.facts.loop import Loop

X = torch.randn(96, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()


@pytest.fixture(autouse=True)
def same_numbers():
    torch.manual_seed(0)


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))


def train(model, optimizer, *, steps=25, given=lambda x: x):
    """The losses of some steps."""
    losses = []
    for _ in range(steps):
        rows = torch.randint(0, 96, (16,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(given(X[rows])), Y[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def watched(model, optimizer, **options):
    """The watch of a short training, over."""
    with nw.watch(model, optimizer) as doctor:
        train(model, optimizer, **options)
    return doctor


# Weights that are computed


class Jittered(nn.Module):
    """A weight that is computed with a random number and a count."""

    def __init__(self):
        super().__init__()
        self.register_buffer("asked", torch.zeros(()))

    def forward(self, weight):
        self.asked += 1
        return weight + 1e-3 * torch.randn(()) + 1e-4 * self.asked


def jittered(layer):
    parametrize.register_parametrization(layer, "weight", Jittered())
    return layer


@pytest.mark.parametrize("wrap", [parametrizations.spectral_norm, jittered])
def test_a_weight_that_is_computed_anew_is_the_same_bit_for_bit(wrap):
    def ended(watch):
        torch.manual_seed(0)
        model = nn.Sequential(wrap(nn.Linear(6, 16)), nn.ReLU(), wrap(nn.Linear(16, 3)))
        optimizer = SGD(model.parameters(), lr=0.1)
        with watch(model, optimizer) as doctor:
            losses = train(model, optimizer, steps=300)
            if doctor is not None:
                doctor.diagnosis()
        return (
            losses,
            {k: v.tolist() for k, v in model.state_dict().items()},
            torch.rand(2).tolist(),
        )

    assert ended(nw.watch) == ended(lambda *_: nullcontext())


# What comes in


def test_a_fault_of_our_ear_in_the_middle_of_a_pass_is_not_the_loops(monkeypatch):
    def broken(tensor):
        raise RuntimeError("of ours")

    monkeypatch.setattr(ear, "_strided", broken)
    model = net()
    doctor = watched(model, SGD(model.parameters(), lr=0.1))
    assert doctor.watcher.fault == "RuntimeError: of ours"


def test_nor_is_one_that_comes_with_the_gradient(monkeypatch):
    plain, seen = ear._strided, []

    def broken(tensor):
        seen.append(torch._C._current_graph_task_id() != -1)
        if seen[-1]:
            raise RuntimeError("of ours")
        return plain(tensor)

    monkeypatch.setattr(ear, "_strided", broken)
    model = net()
    doctor = watched(model, SGD(model.parameters(), lr=0.1))
    assert any(seen)
    assert doctor.watcher.fault == "RuntimeError: of ours"


class Product(nn.Module):
    """A layer for sparse rows."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 3))

    def forward(self, x):
        return torch.sparse.mm(x, self.weight)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize("sparse", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
def test_sparse_rows_are_watched(sparse):
    model = Product()
    doctor = watched(model, SGD(model.parameters(), lr=0.1), given=lambda x: sparse(x.relu()))
    assert doctor.watcher.fault == ""
    assert doctor.watcher.steps == 25


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_rows_train_as_ever():
    model = nn.Linear(6, 3)
    optimizer = SGD(model.parameters(), lr=0.1)
    with nw.watch(model, optimizer):
        for _ in range(12):
            rows = torch.nested.nested_tensor([torch.randn(4, 6), torch.randn(7, 6)])
            optimizer.zero_grad()
            torch.nested.to_padded_tensor(model(rows), 0.0).square().mean().backward()
            optimizer.step()
    assert model.weight.abs().sum() < 100


def test_empty_batches_are_watched():
    model = net()
    optimizer = SGD(model.parameters(), lr=0.1)
    with nw.watch(model, optimizer, every=1) as doctor:
        for size in (0, 1, 3, 0, 96, 2, 0):
            optimizer.zero_grad()
            F.cross_entropy(model(X[:size]), Y[:size], reduction="sum").backward()
            optimizer.step()
    assert doctor.watcher.fault == ""


def test_complex_weights_are_watched_where_every_warning_is_an_error():
    model = nn.Linear(6, 3, dtype=torch.cfloat)
    optimizer = Adam(model.parameters(), lr=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with nw.watch(model, optimizer, every=1) as doctor:
            for _ in range(20):
                optimizer.zero_grad()
                (model(X.to(torch.cfloat)) - 1j).abs().square().mean().backward()
                optimizer.step()
    assert doctor.watcher.fault == ""


# Models and optimizers of another make


def test_a_scripted_model_is_watched():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.jit.script(net())
    doctor = watched(model, SGD(model.parameters(), lr=0.1))
    assert (doctor.watcher.fault, doctor.watcher.steps) == ("", 25)


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_layers_are_watched_from_their_first_batch():
    model = nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.LazyLinear(3))
    doctor = watched(model, SGD(model.parameters(), lr=0.1))
    assert (doctor.watcher.fault, doctor.watcher.steps) == ("", 25)


class Bare(torch.optim.Optimizer):
    """It never asks torch's own to begin with."""

    def __init__(self, params):
        self.param_groups = [{"params": list(params)}]
        self.state, self.defaults = {}, {}

    @torch.no_grad()
    def step(self, closure=None):
        for each in self.param_groups[0]["params"]:
            each -= 0.1 * each.grad


def test_an_optimizer_that_takes_no_hooks_ends_the_watch_and_not_the_loop():
    model = net()
    optimizer = Bare(model.parameters())
    with nw.watch(model, optimizer) as doctor:
        for _ in range(10):
            model.zero_grad()
            F.cross_entropy(model(X), Y).backward()
            optimizer.step()
    assert "_optimizer_step_pre_hooks" in doctor.watcher.fault
    assert doctor.findings == ()
    assert F.cross_entropy(model(X), Y) < 1.2


class Relative(SGD):
    """It finds its rate itself, as Adafactor does: there is none in its groups."""

    def step(self, closure=None):
        self.param_groups[0]["lr"] = 0.1
        super().step()
        self.param_groups[0]["lr"] = None


@pytest.mark.parametrize("rate", [None, torch.tensor(0.1)])
def test_a_rate_may_be_nothing_or_a_tensor(rate):
    model = net()
    optimizer = Relative(model.parameters(), lr=0.1)
    optimizer.param_groups[0]["lr"] = rate
    doctor = watched(model, optimizer)
    assert (doctor.watcher.fault, doctor.watcher.steps) == ("", 25)


class Centred(SGD):
    """A class of somebody's that calls the step of its parent, and now and then fails."""

    asked = 0

    def step(self, closure=None):
        self.asked += 1
        if self.asked % 5 == 0:
            raise ValueError("not this time")
        return super().step(closure)


def test_a_step_that_calls_that_of_its_parent_is_one():
    SGD([torch.zeros(1)], lr=0.1)  # from here on torch tells of steps of its own class as well
    model = net()
    optimizer = Centred(model.parameters(), lr=0.1)
    with nw.watch(model, optimizer) as doctor:
        for _ in range(25):
            try:
                train(model, optimizer, steps=1)
            except ValueError:
                continue
    assert (doctor.watcher.fault, doctor.watcher.steps) == ("", 20)
    assert doctor.record().get(Loop).steps == 20


def test_a_watch_that_has_not_begun_has_found_nothing():
    model = net()
    assert nw.watch(model, SGD(model.parameters(), lr=0.1)).findings == ()


# Threads


def test_watches_in_threads_leave_the_output_and_the_warnings_to_the_program():
    # Loaded with the first optimizer, and by it sympy, which lays a filter of its own.
    importlib.import_module("torch._dynamo")

    def work():
        torch.manual_seed(0)
        model = net()
        with nw.watch(model, SGD(model.parameters(), lr=0.1), every=1) as doctor:
            train(model, doctor.patient.optimizers[0], steps=12)
        ended.append(doctor.watcher.fault)

    ended, output, filters = [], sys.stdout, list(warnings.filters)
    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert ended == ["", "", ""]
    assert sys.stdout is output
    assert warnings.filters == filters


def test_watches_that_take_turns_leave_the_compiler_as_it_was():
    eval_frame = importlib.import_module("torch._dynamo.eval_frame")
    first, second = ExitStack(), ExitStack()
    for stack in (first, second):
        stack.enter_context(as_written)
        assert eval_frame._stance.stance == "force_eager"
    first.close()
    assert eval_frame._stance.stance == "force_eager"
    second.close()
    assert eval_frame._stance.stance == "default"


# A check-up of what is none


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_a_check_up_refuses_what_it_cannot_look_at():
    batches, loss = [(X, Y)], nn.CrossEntropyLoss()
    with pytest.raises(SettingError, match="lazy layers that have no weights"):
        nw.checkup(nn.LazyLinear(3), loss, batches)
    with pytest.raises(SettingError, match=r"instance of torch\.optim\.Optimizer, not str"):
        nw.checkup(net(), loss, batches, "adam")
    with pytest.raises(SettingError, match="above 0, not -1"):
        nw.checkup(net(), loss, batches, seconds=-1)
