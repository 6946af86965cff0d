"""`nw.heal`: what it leaves alone, what it keeps, and what it says."""

from __future__ import annotations

import copy
import io
import json
import random
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import LBFGS, SGD, Adam
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import netwright as nw
from netwright.core.errors import DataError, SettingError
from netwright.core.languages import Phrase, speaking
from netwright.doctor.diagnosis import Diagnosis
from netwright.doctor.healed import Attempt
from netwright.doctor.healing import Healing
from netwright.doctor.probes import splits
from netwright.doctor.trials.feed import feed_of
from netwright.doctor.trials.race import Row
from netwright.doctor.trials.trial import Trial
from netwright.doctor.watch import Doctor
from netwright.records.record import Record
from netwright.testing.treatments import finding_of


def test_a_rate_far_too_low_is_raised_and_the_result_is_a_trained_model(network, problem):
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=1e-6), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=40)  # fmt: skip
    assert healed
    assert "higher-rate" in healed.kept[0].names
    assert healed.diagnosis.named("learning-rate-too-low") is not None
    x, y = problem(96, 1)
    assert float((healed.model(x).argmax(1) == y).double().mean()) == healed.score > 0.9
    assert healed.untreated < 0.7


def test_a_healthy_training_is_left_as_it_is(network, problem):
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    healed = nw.heal(model, optimizer, nn.CrossEntropyLoss(), problem(512), problem(96, 1),
                     epochs=20)  # fmt: skip
    assert not healed
    assert healed.table == ()
    assert healed.kept == ()
    assert healed.score > 0.9
    assert str(healed.reason) == "Nothing was found that does harm; the training ran as it is"


def everything(model: nn.Module, optimizer: Any, scheduler: Any) -> Any:
    return copy.deepcopy(
        (
            [each.detach() for each in (*model.parameters(), *model.buffers())],
            [each.grad for each in model.parameters()],
            [each.requires_grad for each in model.parameters()],
            [each.training for each in model.modules()],
            optimizer.state_dict(),
            scheduler.state_dict(),
            torch.get_rng_state(),
            random.getstate(),
        )
    )


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


@pytest.mark.parametrize("rate", [1e-6, 0.05])
def test_nothing_of_the_callers_is_changed(problem, rate):
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2),
                          nn.Linear(16, 2))  # fmt: skip
    model[3].eval()
    model[0].bias.requires_grad_(False)
    optimizer = Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    scheduler = StepLR(optimizer, 5)
    nn.functional.cross_entropy(model(problem()[0]), problem()[1]).backward()
    optimizer.step()
    loader = DataLoader(TensorDataset(*problem()), batch_size=16, shuffle=True)
    before = everything(model, optimizer, scheduler)
    nw.heal(model, optimizer, nn.CrossEntropyLoss(), loader, problem(96, 1), epochs=3,
            scheduler=scheduler)  # fmt: skip
    assert alike(before, everything(model, optimizer, scheduler))


def test_the_same_call_gives_the_same_model(network, problem, weights, same):
    found = []
    for _ in range(2):
        model = network()
        torch.randn(len(found) + 1)
        healed = nw.heal(model, SGD(model.parameters(), lr=1e-6), nn.CrossEntropyLoss(),
                         problem(), problem(96, 1), epochs=10)  # fmt: skip
        found.append((healed.to_json()["table"], weights(healed.model)))
    assert found[0][0] == found[1][0]
    assert same(found[0][1], found[1][1])


def test_a_penalty_that_reads_the_model_reads_the_copy(network, problem):
    model = network()

    def loss(output: Tensor, target: Tensor) -> Tensor:
        size = sum(each.square().sum() for each in model.parameters())
        return nn.functional.cross_entropy(output, target) + 1e-4 * size

    healed = nw.heal(model, SGD(model.parameters(), lr=0.3), loss, problem(), problem(96, 1),
                     epochs=12)  # fmt: skip
    assert all(each.grad is None for each in model.parameters())
    assert healed.score > 0.8


class OneOfAKind(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def __deepcopy__(self, memo: Any) -> Any:
        raise RuntimeError("one of a kind")


def test_what_cannot_be_copied_gets_its_diagnosis_and_advice(network, problem):
    model = OneOfAKind(nn.Sequential(network(), nn.Softmax(1)))
    healed = nw.heal(model, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=3)  # fmt: skip
    assert not healed.repaired
    assert healed.model is model
    assert (healed.table, healed.history, healed.cost) == ((), (), 0.0)
    assert "RuntimeError: one of a kind" in str(healed.reason)
    found = healed.diagnosis.named("softmax-before-cross-entropy")
    assert found is not None
    assert found.treatments
    assert json.dumps(healed.to_json())
    with speaking("zh"):
        assert "训练无法复制" in str(healed)


def test_a_generator_is_read_once_for_what_cannot_be_copied_too(network, problem):
    model, (x, y) = OneOfAKind(network()), problem()
    batches = ((x[k : k + 32], y[k : k + 32]) for k in range(0, 192, 32))
    healed = nw.heal(model, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), batches,
                     epochs=2)  # fmt: skip
    assert "one of a kind" in str(healed.reason)


def test_a_loss_that_keeps_the_weights_where_no_copy_reaches_them_is_not_tried(network, problem):
    model = network()

    class Hidden:
        __slots__ = ("held",)

        def __init__(self) -> None:
            self.held = list(model.parameters())

        def __call__(self, output: Tensor, target: Tensor) -> Tensor:
            size = sum(each.square().sum() for each in self.held)
            return nn.functional.cross_entropy(output, target) + size

        def __deepcopy__(self, memo: Any) -> Any:
            return self

    healed = nw.heal(model, SGD(model.parameters(), lr=0.1), Hidden(), problem(), problem(96, 1),
                     epochs=2)  # fmt: skip
    assert "the loss holds on to the weights themselves, 0.weight among them" in str(healed.reason)
    assert all(each.grad is None for each in model.parameters())


def test_a_repair_that_makes_things_worse_is_rolled_back(course, problem):
    healing = Healing(course(rate=0.1, epochs=20))
    healing._until_treated(Trial(healing._original), may=False)
    reached = healing._untreated
    kept = Row(names=("lower-rate",), says=Phrase("as it is"), steps=1, scores=(1.0,), kept=True)
    healing._table.append(Attempt(findings=("nonfinite",), group="rate", step=0, rows=(kept,)))
    ruined = Trial(course(rate=1e-9))
    ruined.go_on(5)
    healed = healing._ended(ruined, healing._first)
    assert not healed.repaired
    assert healed.score == reached > ruined.judged().value
    x, y = problem(96, 1)
    assert float((healed.model(x).argmax(1) == y).double().mean()) == reached
    assert "rolled back" in str(healed.reason)


def test_without_validation_data_a_part_is_held_back_and_said_so(network, problem):
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=0.3), nn.CrossEntropyLoss(), problem(),
                     epochs=5)  # fmt: skip
    assert healed.held_back
    assert healed.to_json()["held_back"] is True


def test_a_metric_of_the_callers_judges(network, problem):
    model = network()

    def minus_error(outputs: Tensor, targets: Tensor) -> float:
        return -float((outputs.argmax(1) != targets).double().mean())

    healed = nw.heal(model, SGD(model.parameters(), lr=0.3), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), 10, minus_error)  # fmt: skip
    assert healed.judge == "metric"
    assert -1 <= healed.score <= 0


def test_the_budget_bounds_the_steps_of_the_trials(network, problem):
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=1e-6), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=40, budget=0.2)  # fmt: skip
    steps = sum(row.steps * len(row.scores) for each in healed.table for row in each.rows)
    # One trial may overdraw it, and the first row is the run itself.
    assert 0 < steps <= 0.2 * 120 + 4 * 30


class Slow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.01)
        return x


def test_seconds_bound_the_trials(network, problem):
    """Each step takes a hundredth of a second at least, and trials have six tenths of one; without
    a bound they take some hundred steps."""
    model = nn.Sequential(Slow(), network())
    healed = nw.heal(model, SGD(model.parameters(), lr=1e-6), nn.CrossEntropyLoss(), problem(768),
                     problem(96, 1), epochs=40, seconds=1.0)  # fmt: skip
    steps = sum(row.steps * len(row.scores) for each in healed.table for row in each.rows)
    assert steps < 60 + 40  # the first 20 are those of the run itself


def test_the_cost_is_held_against_steps_that_nobody_watches(course, monkeypatch):
    monkeypatch.setattr(Doctor, "__enter__", slow_to_begin)
    begun = course(nn.Sequential(Slow(), nn.Linear(4, 2)), epochs=10)
    healed = Healing(begun).run()
    # 60 steps of a hundredth of a second, and a second for whoever watches.
    assert healed.cost > 1.8


def slow_to_begin(self: Doctor) -> Doctor:
    time.sleep(1.0)
    self._attach()
    return self


def test_what_the_data_tell_is_worked_out_once_for_all_check_ups(network, problem, monkeypatch):
    worked = []

    def compared(*given: Any, **how: Any) -> Any:
        if not how:  # what comes by in the loop is another one each time
            worked.append(given)
        return original(*given, **how)

    original = splits.compared
    monkeypatch.setattr(splits, "compared", compared)
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=1e-6), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=40)  # fmt: skip
    assert healed.kept
    assert len(worked) == 1


@pytest.mark.parametrize("name", ["budget", "seconds"])
@pytest.mark.parametrize("value", [0, -1, "much", True])
def test_a_budget_is_a_number_above_zero(network, problem, name, value):
    model = network()
    with pytest.raises(SettingError, match=f"{name} is a number above 0, not"):
        nw.heal(model, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), problem(),
                epochs=2, **{name: value})  # fmt: skip


def test_what_is_no_training_is_refused_with_an_example(network, problem):
    model = network()
    optimizer, loss = SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    with pytest.raises(SettingError, match=r"takes a model first.*not the class Linear"):
        nw.heal(nn.Linear, optimizer, loss, problem())
    with pytest.raises(SettingError, match="takes an optimizer second"):
        nw.heal(model, model, loss, problem())
    with pytest.raises(SettingError, match="takes a loss third"):
        nw.heal(model, optimizer, nn.CrossEntropyLoss, problem())
    with pytest.raises(SettingError, match="epochs is a whole number"):
        nw.heal(model, optimizer, loss, problem(), epochs=0)
    with pytest.raises(SettingError, match='scheduler_every is "epoch" or "step"'):
        nw.heal(model, optimizer, loss, problem(), scheduler_every="day")
    with pytest.raises(DataError, match="hold no batch"):
        nw.heal(model, optimizer, loss, [])
    with pytest.raises(SettingError, match="not int"):
        nw.heal(model, optimizer, loss, 5)


def test_several_faults_are_healed_one_group_after_another(course, monkeypatch):
    begun = course(rate=1e-5, epochs=60, loss=nn.CrossEntropyLoss(label_smoothing=0.98))
    smooth = finding_of("over-regularised", "weaken", begun)
    low = finding_of("learning-rate-too-low", "higher-rate", begun)
    found = (replace(low, group="rate"), replace(smooth, group="output"))

    def asked(self: Healing, doctor: Any, marks: Any) -> Diagnosis:
        self._first = Diagnosis(found, Record([]))
        return self._first

    monkeypatch.setattr(Healing, "_asked", asked)
    healed = Healing(begun, budget=9.0).run()
    # The first does no good alone, at such a rate, and no harm: it is kept for the second.
    assert [each.group for each in healed.table][:2] == ["output", "rate"]
    assert healed.table[0].carried is not None
    assert [each.names for each in healed.kept][:2] == [("weaken",), ("higher-rate",)]
    assert healed.repaired
    assert healed.score > 0.7 > 0.6 > healed.untreated
    assert begun.loss.label_smoothing == 0.98


def test_the_healed_model_can_be_saved_loaded_and_shown(network, problem):
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=1e-6), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=40)  # fmt: skip
    file = io.BytesIO()
    torch.save(healed.model, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    assert torch.equal(again(problem()[0]), healed.model(problem()[0]))
    assert "treating learning-rate-too-low:" in str(healed)
    shown = healed._repr_html_()
    assert "<caption>treating learning-rate-too-low:</caption>" in shown
    assert "learning rate 1e-06 -&gt; " in shown


def test_a_metric_that_gives_nothing_is_not_called_healthy(network, problem):
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=2,
                     metric=lambda outputs, targets: float("nan"))  # fmt: skip
    assert not healed
    assert "not finite" in str(healed.reason)


def test_a_training_that_breaks_off_is_not_said_to_have_run(network, problem):
    model = network().requires_grad_(False)
    healed = nw.heal(model, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=2)  # fmt: skip
    assert not healed
    assert "broke off at step 0" in str(healed.reason)


class NoLength(Dataset[Any]):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(2), torch.tensor(0)


class Stream(IterableDataset[Any]):
    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.pairs = list(zip(x, y, strict=True))

    def __iter__(self) -> Any:
        return iter(self.pairs)


def test_data_and_models_that_cannot_be_trained_are_refused_with_a_reason(network, problem):
    model, (x, y) = network(), problem()
    optimizer, loss = SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    with pytest.raises(DataError, match="different numbers of samples"):
        nw.heal(model, optimizer, loss, (x, y[:-1]), epochs=1)
    with pytest.raises(DataError, match="no length: NoLength"):
        nw.heal(model, optimizer, loss, NoLength(), epochs=1)
    lazy = nn.Sequential(nn.LazyLinear(3))
    with pytest.raises(SettingError, match="have not seen their input"):
        nw.heal(lazy, optimizer, loss, (x, y), epochs=1)
    with pytest.raises(SettingError, match="meta device"):
        nw.heal(network().to("meta"), optimizer, loss, (x, y), epochs=1)


def test_a_stream_of_samples_is_read_in_batches(problem):
    feed = feed_of(Stream(*problem()))
    assert feed.unit == 64


def test_lbfgs_steps_in_a_copy_as_it_does_by_hand(network, problem):
    model, (x, y), loss = network(), problem(), nn.CrossEntropyLoss()
    optimizer = LBFGS(model.parameters(), lr=0.5)
    before = [each.detach().clone() for each in model.parameters()]
    healed = nw.heal(model, optimizer, loss, [(x, y)], problem(96, 1), epochs=10)
    assert healed.score > 0.9, healed.reason
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not optimizer.state


def test_to_last_is_no_repair_where_nothing_can_be_learned(network, problem):
    """Every input is missing: what is filled in lets the training run, and teaches nothing."""
    (x, y), model = problem(), network()
    optimizer = SGD(model.parameters(), lr=0.3)
    healed = nw.heal(model, optimizer, nn.CrossEntropyLoss(), (x * float("nan"), y),
                  problem(96, seed=1), epochs=6)  # fmt: skip
    assert not healed.repaired


def test_healing_is_silent_while_it_works(network, problem, caplog):
    model = network()
    nn.init.constant_(model[0].bias, -100.0)
    healed = nw.heal(model, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(), problem(),
                     problem(96, 1), epochs=10)  # fmt: skip
    assert any(each.severity == "stop" for each in healed.diagnosis.findings)
    assert caplog.records == []


def test_samples_are_numbered_as_they_were_handed_over(network, problem):
    x, y = problem(128)
    x[3, 1] = torch.nan
    model = network()
    healed = nw.heal(model, SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), (x, y),
                     problem(96, 1), epochs=1)  # fmt: skip
    assert "samples 3 hold" in str(healed.diagnosis.named("nonfinite-input").what)


def test_what_no_batch_can_be_trained_on_is_an_error_of_the_data(problem):
    model = nn.Linear(700, 2)
    with pytest.raises(DataError, match="first batch cannot be trained on: RuntimeError: mat1"):
        nw.heal(model, SGD(model.parameters(), 0.1), nn.CrossEntropyLoss(), problem(),
                problem(96, 1), epochs=1)  # fmt: skip
