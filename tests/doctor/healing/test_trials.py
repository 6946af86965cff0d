"""A trial gives the same numbers however it is cut up, and leaves no trace behind."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from netwright.doctor.trials.course import NoCourseError
from netwright.doctor.trials.judge import Judge
from netwright.doctor.trials.trial import Trial


def test_the_same_course_and_seed_give_the_same_bits_in_pieces_too(course, network, weights, same):
    begun = course(network(dropout=0.3))
    straight, cut = Trial(begun, 1), Trial(begun, 1)
    straight.go_on(17)
    for steps in (1, 4, 0, 7, 5):
        torch.randn(3)  # somebody draws in between
        cut.go_on(steps)
        cut.judged()
    assert straight.losses == cut.losses
    assert same(weights(straight.course.model), weights(cut.course.model))


def test_another_seed_gives_other_numbers(course):
    begun = course()
    one, other = Trial(begun, 0), Trial(begun, 1)
    one.go_on(3)
    other.go_on(3)
    assert one.losses != other.losses


def test_models_that_draw_by_python_and_numpy_repeat_themselves(course, network):
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) * (1 + 0.1 * random.random() + 0.1 * float(np.random.rand()))

    begun, losses = course(Noisy()), []
    for _ in range(2):
        random.random()
        np.random.rand()
        trial = Trial(begun, 0)
        trial.go_on(4)
        losses.append(trial.losses)
    assert losses[0] == losses[1]


def test_control_and_candidate_see_the_same_batches(course):
    seen: list[list[float]] = []
    for rate in (0.3, 0.001):
        batches: list[float] = []
        changed = course(rate=rate)
        changed.train = changed.train.changed(
            lambda x, y, batches=batches: (batches.append(float(x.sum())), (x, y))[1]
        )
        Trial(changed, 2).go_on(9)
        seen.append(batches)
    assert seen[0] == seen[1]
    assert len(set(seen[0])) == 9


@pytest.mark.parametrize("every", ["epoch", "step"])
def test_a_schedule_is_stepped_where_it_was_meant_to_be(every: Any, course, network):
    model = network()
    optimizer = SGD(model.parameters(), lr=1.0)
    begun = course(model, optimizer=optimizer, scheduler=StepLR(optimizer, 1, 0.5),
                   scheduler_every=every)  # fmt: skip
    trial = Trial(begun)
    trial.go_on(begun.train.steps)
    turned = 1 if every == "epoch" else begun.train.steps
    assert trial.course.rate == pytest.approx(0.5**turned)


def test_a_plateau_schedule_is_told_the_loss_of_the_epoch(course, network):
    model = network()
    optimizer = SGD(model.parameters(), lr=0.0)
    plateau = ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    begun = course(model, optimizer=optimizer, scheduler=plateau)
    trial = Trial(begun)
    trial.go_on(4 * begun.train.steps)
    assert trial.course.scheduler.num_bad_epochs + trial.course.scheduler.last_epoch > 3


def test_a_trial_ends_where_its_plan_does(course):
    begun = course(epochs=2)
    trial = Trial(begun)
    trial.go_on(1000)
    assert (trial.step, trial.ended) == (begun.steps, True)


def test_a_trial_from_the_middle_goes_on_as_the_whole_run_would(course, weights, same):
    begun = course(epochs=4)
    whole = Trial(begun)
    whole.go_on(7)
    there = whole.here
    assert there.done == 7
    later = Trial(there)
    assert (later.start, later.step) == (7, 7)
    whole.go_on(3)
    later.go_on(3)
    assert whole.losses[7:] == later.losses  # no dropout: the random numbers are of no account
    assert same(weights(whole.course.model), weights(later.course.model))


def test_what_the_model_raises_ends_the_trial_and_not_the_caller(course, network):
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.calls = network(), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 3:
                raise RuntimeError("out of luck")
            return self.inner(x)

    trial = Trial(course(Fails()))
    trial.go_on(9)
    assert trial.error == "RuntimeError: out of luck"
    assert trial.judged().value == float("-inf")


def test_judging_changes_nothing_of_the_training(course, weights, same):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    trial = Trial(course(model))
    trial.go_on(2)
    before, modes = weights(trial.course.model), [m.training for m in trial.course.model.modules()]
    trial.judged()
    assert same(before, weights(trial.course.model))
    assert modes == [m.training for m in trial.course.model.modules()]


class Counting(nn.Module):
    """A loss that weighs what comes later more."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return nn.functional.cross_entropy(output, target) * (1 + 0.1 * self.calls)


def test_a_loss_with_a_state_keeps_it_for_itself(course):
    loss = Counting()
    begun = course(loss=loss)
    one, two = Trial(begun), Trial(begun)
    one.go_on(6)
    for _ in range(6):
        two.go_on(1)
        two.judged()
    assert loss.calls == 0
    assert one.losses == two.losses
    assert one.course.loss.calls == two.course.loss.calls == 6


def test_shared_tensors_are_shared_in_the_copy_too(course):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.weight = self.first.weight
            self.head = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.second(self.first(x).relu()))

    model = Tied()
    optimizer = Adam(model.parameters())
    copied = course(model, optimizer=optimizer).copy()
    assert copied.model.first.weight is copied.model.second.weight
    held = [each for group in copied.optimizer.param_groups for each in group["params"]]
    assert {id(each) for each in held} == {id(each) for each in copied.model.parameters()}
    assert not {id(each) for each in held} & {id(each) for each in model.parameters()}


def test_buffers_attributes_and_moments_are_copied(course, network, problem):
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()
            self.register_buffer("seen", torch.zeros((), dtype=torch.long), persistent=False)
            self.plain = torch.ones(2)

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            self.plain = self.plain * 0.5
            return self.inner(x) + self.plain.sum()

    model = Odd()
    optimizer = Adam(model.parameters())
    model(problem()[0]).sum().backward()
    optimizer.step()
    plain = model.plain.clone()
    begun = course(model, optimizer=optimizer)
    Trial(begun).go_on(5)
    assert int(model.seen) == int(begun.model.seen) == 1
    assert torch.equal(model.plain, plain)
    state = begun.optimizer.state[next(begun.model.parameters())]
    assert int(state["step"]) == 1


def test_a_schedule_of_the_copy_turns_the_optimizer_of_the_copy(course, network):
    model = network()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    begun = course(model, optimizer=optimizer, scheduler=OneCycleLR(optimizer, 0.3, 100),
                   scheduler_every="step")  # fmt: skip
    rates = [group["lr"] for group in optimizer.param_groups]
    trial = Trial(begun)
    trial.go_on(10)
    assert trial.course.scheduler.optimizer is trial.course.optimizer
    assert [group["lr"] for group in optimizer.param_groups] == rates
    assert trial.course.rate != rates[0]


def test_a_model_that_cannot_be_copied_says_why(course, network):
    class Locked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

        def __deepcopy__(self, memo: Any) -> Any:
            raise RuntimeError("one of a kind")

    with pytest.raises(NoCourseError, match="RuntimeError: one of a kind"):
        course(Locked())


def test_data_of_a_generator_are_read_once_and_fed_again_and_again(course, problem):
    x, y = problem()
    pulled = []

    def batches() -> Any:
        for each in range(0, 192, 32):
            pulled.append(each)
            yield x[each : each + 32], y[each : each + 32]

    begun = course(train=batches())
    trial = Trial(begun)
    trial.go_on(2 * begun.train.steps)
    assert pulled == list(range(0, 192, 32))
    assert begun.train.steps == 6
    assert len(trial.losses) == 12


def test_guessing_is_worth_what_the_best_single_answer_scores():
    three = torch.tensor([0, 0, 0, 1])
    assert Judge(kind="accuracy").guessing([three]) == 0.75
    assert Judge(kind="balanced accuracy").guessing([three]) == 0.5
    assert Judge(kind="accuracy").guessing([torch.eye(4)]) == 0.25
    assert Judge(kind="R2").guessing([three.float()]) == 0.0
    assert Judge(kind="metric", metric=lambda *_: 1.0).guessing([three]) == -math.inf
