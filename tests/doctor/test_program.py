"""A program that hands nothing over is watched all the same: its models are found."""

from __future__ import annotations

import gc
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.watching import program as watching
from netwright.doctor.watching.program import Case, Program
from netwright.records.facts.setup import Setup
from netwright.records.facts.steps import Steps
from netwright.records.record import Record


@pytest.fixture(autouse=True)
def _nothing_listens_afterwards():
    """However a loop ended: torch's functions are nobody's business any more."""
    yield
    assert torch._C._len_torch_function_stack() == 0


def train(model, optimizer, steps=3, x=None):
    x = torch.randn(16, 4) if x is None else x
    y = torch.arange(len(x)) % 2
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def steps_of(case: Case) -> int:
    return case.record().get(Steps).total


def test_the_model_of_an_optimizer_is_found():
    begun = []
    with Program(on_begin=lambda case: begun.append(case.number)) as program:
        model = net()
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))
        (case,) = program.cases
        assert case.doctor.patient.model is model
    assert begun == [1]
    assert steps_of(case) == 3


def test_every_step_is_seen_also_the_first():
    losses = []
    with Program() as program:
        model = net()
        losses.append(train(model, torch.optim.SGD(model.parameters(), lr=0.1), steps=1))
        record = program.cases[0].record()
    assert record.get(Steps).loss.tolist() == pytest.approx(losses)


def test_a_watched_program_computes_the_same_bits():
    def script():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))
        optimizer = torch.optim.Adam(model.parameters())
        loss = train(model, optimizer, steps=12)
        return [loss, *(each.clone() for each in model.state_dict().values()), torch.rand(3)]

    alone = script()
    with Program() as program:
        watched = script()
        assert steps_of(program.cases[0]) == 12
    assert alone[0] == watched[0]
    assert all(torch.equal(a, b) for a, b in zip(alone[1:], watched[1:], strict=True))


def test_two_models_are_two_patients():
    with Program() as program:
        first, second = net(), net()
        one = torch.optim.SGD(first.parameters(), lr=0.1)
        two = torch.optim.Adam(second.parameters())
        train(first, one)
        train(second, two, steps=5)
        found = {case.doctor.patient.setup.optimizers[0].kind: case for case in program.cases}
    assert {kind: steps_of(case) for kind, case in found.items()} == {"SGD": 3, "Adam": 5}


def test_optimizers_of_one_model_belong_to_one_patient():
    with Program() as program:
        model = net()
        optimizers = [torch.optim.SGD(model[i].parameters(), lr=0.1) for i in (0, 2)]
        for each in optimizers:
            train(model, each, steps=2)
        (case,) = program.cases
        assert len(case.doctor.patient.optimizers) == 2
        assert steps_of(case) == 4


def test_an_optimizer_made_later_joins_its_patient():
    with Program() as program:
        model = net()
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))
        train(model, torch.optim.Adam(model.parameters()))
        (case,) = program.cases
        assert [each.kind for each in case.record().get(Setup).optimizers] == ["SGD", "Adam"]
        assert steps_of(case) == 6


def test_a_model_that_is_wrapped_later_is_seen_through_its_wrapper():
    class Wrapper(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return 2 * self.inner(x)

    with Program() as program:
        inner = net()
        optimizer = torch.optim.SGD(inner.parameters(), lr=0.1)
        wrapped = Wrapper(inner)
        train(wrapped, optimizer)
        (case,) = program.cases
        assert case.doctor.patient.model is inner
        assert case.doctor.watcher.roots.doors == (inner,)
        assert steps_of(case) == 3


@pytest.fixture
def _compiler():
    """Compiled graphs of other tests, and the warnings of torch's own compiler, stay out."""
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch._dynamo.reset()


@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize("how", ["around", "in place", "a function"])
def test_a_compiled_model_runs_as_one_graph_and_computes_the_same(how):
    from torch._dynamo.testing import CompileCounter

    def script():
        torch.manual_seed(0)
        count, model = CompileCounter(), net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        called = model
        if how == "around":
            called = torch.compile(model, backend=count)
        elif how == "in place":
            model.compile(backend=count)
        else:
            called = torch.compile(lambda x: model(x), backend=count)
        loss = train(called, optimizer, steps=30)
        return loss, count.frame_count

    alone = script()
    torch._dynamo.reset()
    with Program() as program:
        # (torch 2.13 does not trace a module of its own that is compiled in place.)
        assert script() == alone == (alone[0], 0 if how == "in place" else 1)
        (case,) = program.cases
        assert steps_of(case) == 30
        assert not case.doctor.watcher.fault
        if how != "a function":
            assert np.isfinite(case.record().get(Steps).loss).all()


def test_modules_side_by_side_become_one_model():
    with Program() as program:
        encoder, decoder = nn.Linear(4, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2))
        held = [*encoder.parameters(), *decoder.parameters()]
        train(lambda x: decoder(encoder(x)), torch.optim.SGD(held, lr=0.1))
        (case,) = program.cases
        names = [name for name, _ in case.doctor.patient.model.named_parameters()]
        assert sorted(names) == ["linear.bias", "linear.weight",
                                 "sequential.1.bias", "sequential.1.weight"]  # fmt: skip
        assert case.doctor.patient.model.training
        encoder.eval()
        decoder.eval()
        assert not case.doctor.patient.model.training
        assert steps_of(case) == 3


def test_a_model_that_has_grown_is_a_patient_of_its_own():
    with Program() as program:
        body = nn.Linear(4, 2)
        train(body, torch.optim.SGD(body.parameters(), lr=0.1))
        grown = nn.Sequential(body, nn.Linear(2, 2))
        train(grown, torch.optim.SGD(grown.parameters(), lr=0.1), steps=2)
        assert [steps_of(case) for case in program.cases] == [3, 2]
        assert program.cases[0].doctor is None


def test_tensors_of_no_module_are_told_and_nothing_breaks():
    told = []
    with Program(on_strays=lambda optimizer, count: told.append(count)) as program:
        weight = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
        assert program.cases == []
    assert told == [1]


def test_of_many_models_only_some_are_kept(monkeypatch):
    monkeypatch.setattr(watching, "MOST", 2)
    with Program(checkup=False) as program:
        for _ in range(5):
            model = net()
            train(model, torch.optim.SGD(model.parameters(), lr=0.1), steps=2)
        assert [case.doctor is None for case in program.cases] == [True, True, True, False, False]
        assert [steps_of(case) for case in program.cases] == [2] * 5


def test_an_end_that_is_asked_for_reaches_the_loop():
    class End(SystemExit):
        pass

    def stop(step):
        if step == 4:
            raise End

    with Program(on_step=stop) as program:
        model = net()
        with pytest.raises(End):
            train(model, torch.optim.SGD(model.parameters(), lr=0.1), steps=100)
        assert steps_of(program.cases[0]) == 4


def test_a_fault_of_ours_ends_the_watch_and_not_the_program(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(watching, "owners", broken)
    faults = []
    with Program(on_fault=faults.append) as program:
        model = net()
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert faults == ["ZeroDivisionError: ours"]
    assert program.cases == []


def test_a_closed_program_leaves_nothing_behind():
    before = (torch.autograd.backward, torch.optim.Optimizer.__init__)
    with Program():
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train(model, optimizer)
    assert (torch.autograd.backward, torch.optim.Optimizer.__init__) == before
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
    assert not optimizer._optimizer_step_post_hooks
    assert not nn.modules.module._global_forward_pre_hooks
    gc.collect()


def test_a_model_that_takes_no_step_is_a_patient_too():
    with Program() as program:
        model = net()
        torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        F.cross_entropy(model(torch.randn(8, 4)), torch.zeros(8).long()).backward()
        (case,) = program.cases
        assert case.doctor.stirred
        assert isinstance(case.record(), Record)
        assert optimizer.param_groups


def test_a_game_of_two_players_is_watched_without_an_alarm():
    torch.manual_seed(0)
    with Program() as program:
        generator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
        judge = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
        g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
        d = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.999))
        one, zero = torch.ones(32, 1), torch.zeros(32, 1)
        for _ in range(40):
            real, fake = torch.randn(32, 2) + 2, generator(torch.randn(32, 2))
            d.zero_grad()
            loss = F.binary_cross_entropy_with_logits(judge(real), one)
            loss = loss + F.binary_cross_entropy_with_logits(judge(fake.detach()), zero)
            loss.backward()
            d.step()
            g.zero_grad()
            F.binary_cross_entropy_with_logits(judge(fake), one).backward()
            g.step()
        assert len(program.cases) == 2
        for case in program.cases:
            assert not [e for e in case.doctor.findings if e.severity == "stop"]
            assert not case.doctor.watcher.fault


def test_a_model_built_anew_after_its_optimizer_is_the_patient():
    begun = []
    gc.collect()  # models of other tests
    with Program(on_begin=lambda case: begun.append(case.number)) as program:
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model = net()
        train(model, optimizer, steps=8)
        (case,) = program.cases
        assert case.doctor.patient.model is model
        found = case.doctor.diagnosis().findings
    assert begun == [1]
    assert "stale-optimizer" in [each.name for each in found]


def test_whose_gradients_come_late_stays_the_patient():
    with Program() as program:
        model, teacher = net(), net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        F.cross_entropy(teacher(torch.randn(4, 4)), torch.arange(4) % 2).backward()
        optimizer.step()  # nothing to do yet
        train(model, optimizer)
        (case,) = program.cases
        assert case.doctor.patient.model is model
