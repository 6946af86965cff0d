"""What each treatment of rate, plan, optimizer and generalisation changes, in numbers."""

from __future__ import annotations

import copy
import dataclasses
import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, OneCycleLR, StepLR

from netwright.core.languages import Phrase
from netwright.doctor.treatments import TREATMENTS
from netwright.doctor.treatments._augmenting import Shifts
from netwright.doctor.treatments._gradient_norms import usual_norm
from netwright.doctor.treatments._measured_rates import curved_rate, range_rate
from netwright.doctor.treatments._schedules import Cosine, simulated
from netwright.doctor.treatments.average_weights import Averaged
from netwright.doctor.trials.course import Course
from netwright.doctor.trials.course_of import course_of
from netwright.doctor.trials.trial import Trial
from netwright.records.findings import Finding
from netwright.testing.treatments import finding_of


def course(optimizer: Any = None, model: nn.Module | None = None, *, schedule: Any = None,
           every: Any = "epoch", epochs: int = 10, loss: Any = None, batch: int = 32,
           inputs: Tensor | None = None) -> Course:  # fmt: skip
    """160 samples of two classes: five steps an epoch, in batches of 32."""
    torch.manual_seed(0)
    if model is None:
        model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(224, 4, generator=draw) if inputs is None else inputs
    y = (x.flatten(1)[:, 0] * x.flatten(1)[:, 1] > 0).long()
    made = (optimizer or (lambda p: SGD(p, lr=0.1)))(model.parameters())
    train = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x[:160], y[:160]),
                                        batch_size=batch, shuffle=True)  # fmt: skip
    return course_of(model, made, loss or nn.CrossEntropyLoss(), train, (x[160:], y[160:]), epochs,
                     None, scheduler=schedule(made) if schedule else None,
                     scheduler_every=every)  # fmt: skip


def made(name: str, given: Course, finding: Finding | None = None) -> list[Course]:
    """What each plan of a treatment makes of the course."""
    entry = TREATMENTS.get(name)
    found = []
    for plan in entry.target(given, finding or finding_of(entry.facts["cures"][0], name, given)):
        found.append(given.copy())
        plan.apply(found[-1])
    return found


def under_way(given: Course, steps: int) -> Course:
    trial = Trial(given)
    trial.go_on(steps)
    return trial.here


def weights(model: nn.Module) -> list[Tensor]:
    return [each.detach().clone() for each in model.parameters()]


def rates(given: Course, steps: int) -> list[float]:
    """The rate at each of the next steps."""
    trial, found = Trial(given), []
    for _ in range(steps):
        found.append(trial.course.rate)
        trial.go_on(1)
    return found


class Bowl(nn.Module):
    """f(w) = sum c w^2 / 2: the curvatures are known."""

    def __init__(self, *curvatures: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(len(curvatures)))
        self.curvatures = curvatures

    def forward(self, x: Tensor) -> Tensor:
        bend = torch.tensor(self.curvatures)
        return (bend * self.weight.square() / 2).sum() + 0 * x


@pytest.mark.parametrize(("momentum", "expected"), [(0.0, 0.05), (0.9, 0.095)])
def test_the_curvature_allows_half_of_two_over_it(momentum, expected):
    model = Bowl(20.0, 1.0)
    data = (torch.zeros(64, 1), torch.zeros(64, 1))
    given = course_of(model, SGD(model.parameters(), lr=1.0, momentum=momentum),
                      lambda output, target: output.mean(), data, data, 2, None)  # fmt: skip
    assert curved_rate(given) == pytest.approx(expected, rel=1e-3)


def test_no_curvature_is_measured_for_adam():
    assert curved_rate(course(lambda p: Adam(p))) is None


def test_a_range_test_leaves_the_course_and_the_random_numbers_alone():
    given = course()
    before, state = copy.deepcopy(given.model.state_dict()), torch.get_rng_state()
    found = range_rate(given, highest=100.0)
    assert found is None or 1e-3 < found < 10
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[key], each) for key, each in given.model.state_dict().items())


@pytest.mark.parametrize("name", ["lower-rate", "higher-rate"])
def test_rates_of_groups_and_schedule_keep_their_proportions(name):
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    def two(_: Any) -> SGD:
        groups = [{"params": model[0].parameters(), "lr": 0.2}, {"params": model[2].parameters()}]
        return SGD(groups, lr=0.05)

    given = course(two, model, schedule=lambda o: StepLR(o, 3))
    plans = made(name, given)
    assert 3 <= len(plans) <= 4
    assert plans[0].rate == pytest.approx(0.02 if name == "lower-rate" else 2.0)
    for each in plans:
        one, other = (group["lr"] for group in each.optimizer.param_groups)
        assert one == pytest.approx(4 * other)
        assert each.scheduler.base_lrs == pytest.approx([one, other])
    assert all(each.rate < 0.2 if name == "lower-rate" else each.rate > 0.2 for each in plans)


def test_a_cosine_goes_from_one_to_nothing():
    shape = Cosine(100, warm=3)
    assert [shape(k) for k in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert shape(100) == pytest.approx(0)
    assert shape(1000) == pytest.approx(0)


def test_a_schedule_stepped_too_often_is_stepped_once_an_epoch_or_lasts_to_the_end():
    given = course(schedule=lambda o: StepLR(o, 2, 0.5), every="step")
    by_epoch, cosine, constant, lower = made("step-once-an-epoch", given)
    assert by_epoch.scheduler_every == "epoch"
    assert rates(by_epoch, 11)[-1] == pytest.approx(0.05)
    assert rates(constant, 11) == [0.1] * 11
    assert max(rates(cosine, 50)) == pytest.approx(0.1)
    assert rates(cosine, 50)[-1] < 0.001
    assert max(rates(lower, 50)) == pytest.approx(0.01)


def test_one_that_ends_too_soon_by_epochs_as_well_is_not_stepped_by_them():
    given = course(schedule=lambda o: StepLR(o, 1, 0.1), every="step")
    assert [each.scheduler_every for each in made("step-once-an-epoch", given)] == ["step"] * 3


def test_under_way_the_new_schedule_begins_at_the_rate_that_was_meant():
    given = under_way(course(schedule=lambda o: StepLR(o, 1, 0.1), every="step"), 30)
    assert given.rate < 1e-20
    cosine, *_ = made("step-once-an-epoch", given)
    assert cosine.rate == pytest.approx(0.1)
    assert rates(cosine, 20)[-1] < 0.002  # 20 steps are left


def test_a_one_cycle_stepped_by_epochs_is_stepped_with_every_batch():
    given = course(schedule=lambda o: OneCycleLR(o, 0.5, total_steps=50))
    assert max(rates(given, 50)) < 0.4
    by_step, cosine, *_ = made("step-with-every-batch", given)
    assert by_step.scheduler_every == "step"
    assert max(rates(by_step, 50)) == pytest.approx(0.5, rel=0.02)
    assert max(rates(cosine, 50)) == pytest.approx(0.5, rel=0.02)


def test_a_rate_that_comes_up_again_stays_at_its_foot():
    given = course(schedule=lambda o: CosineAnnealingLR(o, 25), every="step")
    assert rates(given, 50)[-1] == pytest.approx(0.1, rel=0.02)
    held, falling, _ = made("end-at-the-foot", given)
    assert rates(held, 50)[26:] == pytest.approx([0.0] * 24, abs=1e-9)
    assert rates(held, 25) == pytest.approx(rates(given, 25))
    assert rates(falling, 50) == sorted(rates(falling, 50), reverse=True)


def test_a_schedule_of_rates_is_made_one_of_factors():
    given = course(schedule=lambda o: LambdaLR(o, lambda step: 0.1 * 0.9**step))
    assert given.rate == pytest.approx(0.01)
    factor, *_ = made("factor-and-not-rate", given)
    assert factor.rate == pytest.approx(0.1)
    assert rates(factor, 6)[5] == pytest.approx(0.09)


def test_a_plateau_gets_a_tenth_of_the_rate_or_a_cosine():
    tenth, cosine = made("lower-at-plateau", under_way(course(), 25))
    assert tenth.rate == pytest.approx(0.01)
    assert rates(cosine, 25)[-1] < 0.001


def test_a_warm_up_rises_and_then_is_the_schedule_that_was_there():
    given = course(schedule=lambda o: StepLR(o, 5, 0.1))
    warm, clipped = made("warm-up", given)
    plain, risen = rates(given, 50), rates(warm, 50)
    assert risen[0] == pytest.approx(0.1 / 6)
    assert risen[:5] == sorted(risen[:5])
    assert risen[5:] == pytest.approx(plain[5:])
    assert warm.clip is None
    assert clipped.clip == pytest.approx(usual_norm(given))


def test_gradients_are_clipped_at_their_usual_length():
    given = course()
    usual, tenth = made("clip", given, finding_of("learning-rate-too-high", "clip", given))
    assert usual.clip == pytest.approx(usual_norm(given))
    assert tenth.clip == pytest.approx(usual.clip / 10)
    trial = Trial(tenth)
    before = weights(trial.course.model)
    trial.go_on(1)
    pairs = zip(weights(trial.course.model), before, strict=True)
    moved = math.hypot(*(float((a - b).norm()) for a, b in pairs))
    assert moved <= 0.1 * tenth.clip * 1.001


def test_a_limit_far_too_low_is_raised_or_taken_away():
    given = course()
    given.clip = 1e-6
    usual, none = made("raise-limit", given)
    assert usual.clip == pytest.approx(usual_norm(given))
    assert none.clip is None
    assert made("raise-limit", course()) == []


def test_after_a_divergence_the_rate_is_lower_or_the_gradient_clipped():
    tenth, clipped, both, falling = made("roll-back", under_way(course(), 10))
    assert tenth.rate == pytest.approx(0.01)
    assert clipped.rate == 0.1
    assert (both.rate, both.clip) == (pytest.approx(0.1 / 3), clipped.clip)
    assert falling.rate == pytest.approx(0.03)


def test_a_schedule_that_drives_the_rate_up_is_not_gone_on_with():
    given = course(schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 1.1), every="step")
    for each in made("roll-back", under_way(given, 10)):
        assert max(rates(each, 40)) <= 0.1


def test_adam_takes_the_place_of_a_weak_optimizer_and_keeps_the_decay():
    slow, fast, momentum = made("adam", course(lambda p: SGD(p, lr=0.1, weight_decay=0.01)))
    assert (type(slow.optimizer), slow.rate, fast.rate) == (Adam, 1e-3, 1e-2)
    assert slow.optimizer.param_groups[0]["weight_decay"] == 0.01
    assert momentum.optimizer.param_groups[0]["momentum"] == 0.9
    assert made("adam", course(lambda p: Adam(p))) == []


def test_adam_follows_a_one_cycle_schedule_to_its_own_peak():
    given = course(schedule=lambda o: OneCycleLR(o, 0.5, total_steps=50), every="step")
    slow, *_ = made("adam", given)
    assert max(rates(slow, 50)) == pytest.approx(1e-3, rel=0.02)


def test_the_usual_betas_and_eps():
    given = course(lambda p: Adam(p, lr=3e-3, betas=(0.999, 0.1), eps=10.0))
    same, third = made("usual-betas", under_way(given, 3))
    assert same.optimizer.param_groups[0]["betas"] == (0.9, 0.999)
    assert third.rate == pytest.approx(1e-3)
    assert not same.optimizer.state
    plain, *others = made("usual-eps", given)
    assert (plain.optimizer.param_groups[0]["eps"], plain.rate) == (1e-8, 3e-3)
    assert all(each.rate != 3e-3 for each in others)
    small = made("larger-eps", course(lambda p: Adam(p)))
    assert [each.optimizer.param_groups[0]["eps"] for each in small] == [1e-4, 1e-2]
    assert made("usual-betas", course()) == made("usual-eps", course()) == []


def test_larger_batches_are_fewer_steps_with_the_schedule_drawn_together():
    given = course(batch=4, epochs=2, schedule=lambda o: CosineAnnealingLR(o, 80), every="step")
    same, faster, slower = made("larger-batch", given)
    assert (same.train.batch, same.steps, given.steps) == (32, 10, 80)
    assert rates(same, 10)[-1] < 0.1 * rates(same, 1)[0]
    assert faster.rate == pytest.approx(0.1 * math.sqrt(8))
    assert (slower.train.batch, slower.rate) == (4, pytest.approx(0.01))
    assert all(each.train.batch == 4 for each in made("larger-batch", under_way(given, 5)))


def test_smaller_batches_are_a_quarter():
    plain, slower = made("smaller-batch", course(batch=160))
    assert (plain.train.batch, plain.rate) == (40, 0.1)
    assert slower.rate == pytest.approx(0.05)


def test_more_epochs_are_said_and_bounded():
    given = course()
    longer, falling = made("more-epochs", given)
    assert (longer.epochs, longer.asked, longer.steps) == (20, 10, 100)
    assert rates(falling, 100)[-1] < 1e-3
    again, _ = made("more-epochs", longer)
    assert again.epochs == 40
    assert made("more-epochs", again) == []  # four times what was asked for, and no more
    entry = TREATMENTS.get("more-epochs")
    plan = next(iter(entry.target(given, finding_of("stopped-early", "more-epochs", given))))
    assert str(plan.says) == "20 epochs in the place of 10"


def test_longer_or_faster_tries_the_rate_another_optimizer_and_more_epochs():
    plans = made("longer-or-faster", course(lambda p: SGD(p, lr=1e-5)))
    assert plans[0].rate == pytest.approx(1e-4)
    assert any(type(each.optimizer) is Adam for each in plans)
    assert plans[-1].epochs == 20


def test_an_early_stop_ends_where_the_run_is():
    assert made("early-stop", course()) == []
    (stopped,) = made("early-stop", under_way(course(), 12))
    trial = Trial(stopped)
    trial.go_on(100)
    assert (trial.step, trial.ended) == (12, True)


def test_images_are_shifted_alike_each_time_and_nobodys_generator_is_touched():
    x = torch.rand(6, 3, 8, 8)
    state = torch.get_rng_state()
    shifts = Shifts(2, flips=True)
    one, target = shifts(x, torch.arange(6))
    assert torch.equal(one, shifts(x, torch.arange(6))[0])
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(target, torch.arange(6))
    assert one.shape == x.shape
    assert not torch.equal(one, x)
    wide = nn.functional.pad(x, (2, 2, 2, 2))
    for moved, whole in zip(one, wide, strict=True):
        windows = whole.unfold(1, 8, 1).unfold(2, 8, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
        sides = torch.cat([windows, windows.flip(-1)])
        assert any(torch.equal(moved, each) for each in sides)


def test_overfitting_gets_decay_and_dropout_or_images_that_move():
    decayed, dropped = made("regularise", course(lambda p: Adam(p)))
    assert type(decayed.optimizer) is AdamW
    assert decayed.optimizer.param_groups[0]["weight_decay"] == 0.1
    assert [type(each) for each in dropped.model[2]] == [nn.Dropout, nn.Linear]
    images = torch.randn(224, 1, 8, 8)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 2))
    moved, *_ = made("regularise", course(model=network, inputs=images))
    assert moved.train.changes == (Shifts(1),)
    assert moved.val.changes == ()


def test_too_much_regularisation_is_weakened():
    network = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.9), nn.ReLU(), nn.Dropout(0.3),
                            nn.Linear(16, 2))  # fmt: skip
    given = course(lambda p: SGD(p, lr=0.1, weight_decay=1.0), network,
                   loss=nn.CrossEntropyLoss(label_smoothing=0.9))  # fmt: skip
    weaker, none = made("weaken", given)
    assert [weaker.model[1].p, weaker.model[3].p] == [0.2, 0.3]
    assert weaker.optimizer.param_groups[0]["weight_decay"] == pytest.approx(0.01)
    assert weaker.loss.label_smoothing == 0.1
    assert [none.model[1].p, none.loss.label_smoothing] == [0.0, 0.0]
    assert given.loss.label_smoothing == 0.9
    assert made("weaken", course()) == []


def heavy(output: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output, target) + 50 * output.square().mean()


def test_a_penalty_weighs_ten_times_less():
    given = course(loss=heavy)
    finding = dataclasses.replace(
        finding_of("over-regularised", "smaller-penalty", given),
        what=Phrase("What is added to {loss} holds it up", loss="cross_entropy"),
    )
    tenth, _, alone = made("smaller-penalty", given, finding)
    x, y = next(iter(given.train.batches()))
    output = given.model(x).detach()
    data = nn.functional.cross_entropy(output, y)
    added = heavy(output, y) - data
    assert float(tenth.loss(output, y)) == pytest.approx(float(data + 0.1 * added), rel=1e-5)
    assert float(alone.loss(output, y)) == pytest.approx(float(data), rel=1e-6)
    assert made("smaller-penalty", given) == []  # the finding names no loss


def test_half_precision_becomes_single_and_the_raw_input_is_taken_still():
    x = torch.randn(64, 4).half()
    y = x[:, :1].clone()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)).half()
    given = course_of(model, SGD(model.parameters(), lr=0.1), nn.MSELoss(), (x, y), (x, y), 3,
                      None)  # fmt: skip
    (single,) = made("single-precision", given)
    assert {each.dtype for each in single.model.parameters()} == {torch.float32}
    with torch.no_grad():
        assert torch.allclose(single.model(x), model.float()(x.float()))
    trial = Trial(single)
    trial.go_on(5)
    assert not trial.error
    assert made("single-precision", course()) == []


def test_the_mean_of_the_weights_answers_and_the_weights_train():
    averaged, _ = made("average-weights", course())
    trial, seen = Trial(averaged), []
    for _ in range(4):
        seen.append(trial.course.model.network[0].weight.detach().clone())
        trial.go_on(1)
    model = trial.course.model
    assert isinstance(model, Averaged)
    assert torch.allclose(model.mean[0].weight, torch.stack(seen).mean(0), atol=1e-6)
    x = torch.randn(3, 4)
    assert torch.equal(model.eval()(x), model.mean(x))
    assert not torch.equal(model.train()(x), model.mean(x))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert isinstance(torch.load(file, weights_only=False), Averaged)


def test_rates_of_groups_are_brought_together():
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    def apart(_: Any) -> SGD:
        groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[2].parameters()}]
        return SGD(groups, lr=0.1)

    (equal,) = made("same-rates", course(apart, model, schedule=lambda o: StepLR(o, 3)))
    assert [each["lr"] for each in equal.optimizer.param_groups] == [0.1, 0.1]
    assert equal.scheduler.base_lrs == pytest.approx([0.1, 0.1])


def test_a_simulated_schedule_is_that_of_the_run():
    for every in ("epoch", "step"):
        given = course(schedule=lambda o: CosineAnnealingLR(o, 10), every=every)
        there = under_way(given, 7)
        assert simulated(there) == pytest.approx(tuple(rates(given, 50)[7:]))
