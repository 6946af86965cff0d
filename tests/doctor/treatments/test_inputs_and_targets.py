"""Treatments of data and targets, by the numbers before and after."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.doctor.treatments._guards import GuardedLoss
from netwright.doctor.treatments._losses import GeneralisedCrossEntropy
from netwright.doctor.treatments._meanings import meanings
from netwright.doctor.treatments._rows import sample

INPUT = ("standardise-input", "unscaled-input")
TARGET = ("standardise-target", "unscaled-target")
TRANSFORM = ("one-transform", "inconsistent-preprocessing")
IMBALANCE = ("class-weights", "class-imbalance")
MISSING = ("impute", "nonfinite-input")


def value(loss: Tensor) -> float:
    return float(loss.detach())


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def groups():
    """Four classes of points that lie well apart, (96, 6), in an order of chance."""
    y = torch.arange(96) % 4
    middles = torch.randn(4, 6)
    x = middles[y] * 3 + 0.3 * torch.randn(96, 6)
    order = torch.randperm(96)
    return x[order], y[order]


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(6, 4))


# Inputs


def test_the_model_takes_raw_columns_and_answers_as_of_standardised_ones(begun, treated):
    x = torch.randn(32, 6) * torch.tensor([1e-3, 1.0, 1e3, 5.0, 1.0, 1.0]) + 40
    net = nn.Sequential(nn.Linear(6, 1))
    after = treated(begun(net, nn.MSELoss(), x, x[:, :1]), *INPUT)
    scaled = (x - x.mean(0)) / x.std(0, correction=0)
    assert torch.allclose(after.model(x), net(scaled), atol=1e-2)


def test_images_have_one_scale_a_channel(begun, treated):
    x = 255 * torch.rand(32, 3, 4, 4) * torch.tensor([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(32, 1))
    after = treated(begun(net, nn.MSELoss(), x, torch.randn(32, 1)), *INPUT)
    made = after.model[0](x)
    assert made.mean((0, 2, 3)) == pytest.approx([0, 0, 0], abs=1e-5)
    assert made.std((0, 2, 3)) == pytest.approx([1, 1, 1], abs=1e-2)


def test_what_never_varies_stays_at_0(begun, treated):
    x = torch.cat([torch.randn(32, 5), torch.full((32, 1), 7.0)], 1)
    after = treated(begun(nn.Sequential(nn.Linear(6, 1)), nn.MSELoss(), x, x[:, :1]), *INPUT)
    assert bool((after.model[0](x)[:, 5] == 0).all())


def test_class_numbers_and_words_are_not_standardised(begun, plans):
    words = torch.randint(0, 9, (32, 5))
    net = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 3))
    course = begun(net, nn.CrossEntropyLoss(), words, torch.randint(0, 3, (32,)))
    assert plans(course, *INPUT) == []


def test_missing_numbers_get_the_median_and_infinities_the_ends(begun, treated):
    x = torch.arange(30.0).reshape(10, 3)
    x[0, 0], x[1, 1], x[2, 1] = math.nan, math.inf, -math.inf
    after = treated(begun(nn.Sequential(nn.Linear(3, 1)), nn.MSELoss(), x, x[:, 2:]), *MISSING)
    filled = after.model[0](x)
    assert [float(each) for each in (filled[0, 0], filled[1, 1], filled[2, 1])] == [15, 28, 1]
    assert torch.equal(filled[3:], x[3:])


def test_samples_whose_target_is_missing_are_left_out(begun, treated):
    x, y = torch.randn(32, 3), torch.randn(32, 1)
    y[5] = math.nan
    after = treated(begun(nn.Sequential(nn.Linear(3, 1)), nn.MSELoss(), x, y), *MISSING)
    assert len(sample(after.train)[1]) == 31


def test_a_feature_that_never_varied_has_no_part_in_the_answer(begun, treated):
    x = torch.randn(32, 3)
    x[:, 1] = 2
    course = begun(nn.Sequential(nn.Linear(3, 1)), nn.MSELoss(), x, x[:, :1])
    after = treated(course, "drop-feature", "dead-feature")
    awake = x.clone()
    awake[:, 1] = torch.randn(32)
    assert torch.equal(after.model(awake), after.model(x))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 255 * x,
        lambda x: 1 - x,
        lambda x: 0.5 * x + 0.2,
        lambda x: x.transpose(2, 3),
        lambda x: x.flip(2),
        lambda x: x**3,
    ],
)
def test_training_images_become_as_those_of_validation(begun, treated, change):
    shape = torch.rand(1, 1, 8, 8)
    train, val = (0.5 * shape + 0.5 * torch.rand(200, 1, 8, 8) for _ in range(2))
    y = torch.randint(0, 2, (200,))
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    course = begun(net, nn.CrossEntropyLoss(), train, y, (change(val).contiguous(), y))
    after = treated(course, *TRANSFORM)
    apart = (sample(after.train)[0].mean(0) - change(val).mean(0)).abs().mean()
    assert float(apart) < 0.2 * float((train.mean(0) - change(val).mean(0)).abs().mean())
    assert torch.equal(sample(after.val)[0], change(val))


def test_training_columns_take_the_order_that_was_found(begun, treated):
    x = torch.randn(32, 4) + torch.arange(4)
    order = [2, 0, 3, 1]  # val_x[:, order] stands as training does
    val = torch.empty_like(x)
    val[:, order] = x
    net = nn.Sequential(nn.Linear(4, 1))
    course = begun(net, nn.MSELoss(), x, x[:, :1], (val, x[:, :1]))
    after = treated(course, *TRANSFORM, code=f"val_x = val_x[:, {order}]")
    assert sample(after.train)[0].mean(0) == pytest.approx(val.mean(0))


# Targets


def test_the_model_answers_in_the_units_of_the_targets(begun, treated):
    x = torch.randn(32, 3)
    y = 5000 + 2000 * x[:, :2]
    net = nn.Sequential(nn.Linear(3, 2))
    after = treated(begun(net, nn.MSELoss(), x, y), *TARGET)
    mean, spread = y.mean(0), y.std(0)
    assert torch.allclose(after.model(x), net(x) * spread + mean, rtol=1e-5)
    wanted = F.mse_loss(net(x), (y - mean) / spread)
    assert value(after.loss(after.model(x), y)) == pytest.approx(value(wanted), rel=1e-3)


def test_the_numbers_of_an_image_have_one_scale_at_first(begun, treated):
    x = 255 * torch.rand(32, 40)
    after = treated(begun(nn.Sequential(nn.Linear(40, 40)), nn.MSELoss(), x, x), *TARGET)
    assert after.model[1].spread.numel() == 1


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (lambda y: y.float(), torch.int64),
        (lambda y: F.one_hot(y, 4), torch.int64),
        (lambda y: y.to(torch.int16), torch.int64),
        (lambda y: y[:, None], torch.int64),
    ],
)
def test_labels_get_the_type_that_cross_entropy_takes(begun, treated, groups, net, given, dtype):
    x, y = groups
    after = treated(begun(net, nn.CrossEntropyLoss(), x, given(y)), "cast-target", "label-dtype")
    for feed in (after.train, after.val):
        target = torch.cat([each for _, each in feed.batches()])
        assert target.dtype == dtype
        assert torch.equal(target.sort().values, y.sort().values)


@pytest.mark.parametrize("by", [1, -1, 5])
def test_labels_are_counted_from_0(begun, treated, groups, net, by):
    x, y = groups
    course = begun(net, nn.CrossEntropyLoss(), x, y + by)
    after = treated(course, "shift-labels", "labels-shifted")
    assert torch.equal(sample(after.train)[1], y)
    assert torch.equal(sample(after.val)[1], y)


def test_labels_that_are_in_range_are_not_shifted(begun, plans, groups, net):
    x, y = groups
    course = begun(net, nn.CrossEntropyLoss(), x[y > 0], y[y > 0])
    course.train = course.train.changed(Marked())
    assert plans(course, "shift-labels", "labels-out-of-range") == []


class Marked:
    """The first label of a batch is -1."""

    def __call__(self, inputs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        target = target.clone()
        target[0] = -1
        return inputs, target


def test_samples_whose_label_has_no_output_are_left_out_of_training(begun, treated, groups, net):
    x, y = groups
    marked = torch.where(torch.arange(96) % 5 == 0, -1, y)
    course = begun(net, nn.CrossEntropyLoss(), x, marked, (x, y))
    after = treated(course, "map-labels", "labels-out-of-range")
    assert int(sample(after.train)[1].min()) == 0
    assert len(sample(after.train)[1]) == 96 - 20
    assert len(sample(after.val)[1]) == 96


def test_nothing_is_left_out_of_what_judges(begun, plans, groups, net):
    """Labels from -1 on: without class -1 the rest is learned well, and called by wrong names."""
    x, y = groups
    course = begun(net, nn.CrossEntropyLoss(), x, y - 1)
    assert plans(course, "map-labels", "labels-out-of-range") == []


def test_a_class_without_an_output_gets_one(begun, treated, groups):
    x, y = groups
    head = nn.Linear(6, 3)
    course = begun(nn.Sequential(head), nn.CrossEntropyLoss(), x, y)
    after = treated(course, "map-labels", "labels-out-of-range")
    assert torch.allclose(after.model(x)[:, :3], head(x), atol=1e-5)
    assert after.model(x).shape == (96, 4)


def test_training_labels_take_the_numbering_of_validation(begun, treated, groups, net):
    x, y = groups
    course = begun(net, nn.CrossEntropyLoss(), x[:60], (y[:60] + 1) % 4, (x[60:], y[60:]))
    after = treated(course, "map-labels", "labels-inconsistent")
    assert torch.equal(sample(after.train)[1], y[:60])
    assert torch.equal(sample(after.val)[1], y[60:])


@pytest.mark.parametrize("by", [1, -2])
def test_labels_that_lie_some_rows_off_are_put_back(begun, treated, groups, net, by):
    x, y = groups
    course = begun(net, nn.CrossEntropyLoss(), x[:60], y[:60].roll(by), (x[60:], y[60:]))
    after = treated(course, "align-labels", "labels-inconsistent")
    assert torch.equal(sample(after.train)[1], y[:60])


def test_labels_in_any_order_have_no_plan(begun, plans, groups, net):
    x, y = groups
    course = begun(net, nn.CrossEntropyLoss(), x[:60], y[:60][torch.randperm(60)],
                   (x[60:], y[60:]))  # fmt: skip
    assert plans(course, "align-labels", "labels-inconsistent") == []


def test_samples_that_their_neighbours_contradict_are_left_out(begun, plans, treated, groups, net):
    x, y = groups
    wrong = torch.arange(96) % 8 == 0
    course = begun(net, nn.CrossEntropyLoss(), x, torch.where(wrong, (y + 1) % 4, y), (x, y))
    (plan,) = plans(course, "clean-labels", "label-noise")
    assert "training samples with suspect labels left out: 0, 8, 16," in str(plan.says)
    after = treated(course, "clean-labels", "label-noise")
    assert not any(each % 8 == 0 for each in after.train.rows)
    assert len(after.train.rows) > 60


def test_suspects_are_not_sought_among_numbers(begun):
    x = torch.randn(40, 3)
    assert meanings(begun(nn.Sequential(nn.Linear(3, 1)), nn.MSELoss(), x, x[:, :1])) is None


# Shares of classes


@pytest.fixture
def uneven(groups):
    """The fourth class is rare: 3 of 75."""
    x, y = groups
    kept = (y < 3) | ((y == 3).cumsum(0) <= 3)
    return x[kept], y[kept]


def test_rare_classes_weigh_as_much_as_common_ones(begun, treated, uneven, net):
    x, y = uneven
    after = treated(begun(net, nn.CrossEntropyLoss(), x, y), *IMBALANCE, place=1)
    wanted = F.cross_entropy(net(x), y, weight=1 / y.bincount().float())
    assert value(after.loss(net(x), y)) == pytest.approx(value(wanted), rel=1e-5)


def test_log_shares_are_added_to_the_logits_within_the_loss(begun, treated, uneven, net):
    x, y = uneven
    after = treated(begun(net, nn.CrossEntropyLoss(), x, y), *IMBALANCE)
    wanted = F.cross_entropy(net(x) + (y.bincount() / len(y)).log(), y)
    assert value(after.loss(net(x), y)) == pytest.approx(value(wanted), rel=1e-5)


def test_classes_are_drawn_as_often_as_one_another(begun, treated, uneven, net):
    after = treated(begun(net, nn.CrossEntropyLoss(), *uneven), *IMBALANCE, place=2)
    drawn = torch.cat([t for epoch in range(20) for _, t in after.train.batches(0, epoch)])
    assert (drawn.bincount() / len(drawn)).tolist() == pytest.approx([0.25] * 4, abs=0.05)


def test_positives_of_a_binary_loss_weigh_as_much_as_negatives(begun, treated):
    x = torch.randn(80, 6)
    y = (torch.arange(80) % 8 == 0).float()[:, None]
    net = nn.Sequential(nn.Linear(6, 1))
    after = treated(begun(net, nn.BCEWithLogitsLoss(), x, y), *IMBALANCE, place=1)
    wanted = F.binary_cross_entropy_with_logits(net(x), y, pos_weight=torch.tensor([7.0]))
    assert value(after.loss(net(x), y)) == pytest.approx(value(wanted), rel=1e-5)


def test_a_loss_by_hand_cannot_be_weighed(begun, plans, uneven, net):
    loss = lambda o, t: (o.logsumexp(1) - o.gather(1, t[:, None])[:, 0]).mean()  # noqa: E731
    said = [str(each.says) for each in plans(begun(net, loss, *uneven), *IMBALANCE)]
    assert [each.split()[0] for each in said] == ["logits", "samples"]


def test_the_first_answer_is_that_of_guessing(begun, treated, uneven, net):
    x, y = uneven
    after = treated(begun(net, nn.CrossEntropyLoss(), x, y), "bias-at-prior", "initial-loss-off")
    shares = after.model[0].bias.detach().softmax(0)
    assert shares == pytest.approx(y.bincount() / len(y))


def test_a_head_that_is_far_too_large_is_made_smaller_too(begun, treated, groups, net):
    with torch.no_grad():
        net[0].weight.mul_(100)
    course = begun(net, nn.CrossEntropyLoss(), *groups)
    after = treated(course, "bias-at-prior", "initial-loss-off", place=1)
    assert float(after.model(groups[0]).detach().std(0).mean()) == pytest.approx(1, rel=0.3)


# Losses and functions


def test_a_forgiving_loss_lies_between_cross_entropy_and_the_absolute_error():
    z, y = torch.randn(8, 3), torch.randint(0, 3, (8,))
    p = z.softmax(1).gather(1, y[:, None])
    assert value(GeneralisedCrossEntropy(1e-4)(z, y)) == pytest.approx(
        value(F.cross_entropy(z, y)), rel=1e-3
    )
    assert value(GeneralisedCrossEntropy(1.0)(z, y)) == pytest.approx(value((1 - p).mean()))


def test_a_forgiving_loss_of_one_logit():
    z, y = torch.tensor([[2.0], [-1.0]]), torch.tensor([[1.0], [0.0]])
    p = torch.tensor([2.0, 1.0]).sigmoid()
    assert value(GeneralisedCrossEntropy(0.5)(z, y)) == pytest.approx(
        value(((1 - p**0.5) / 0.5).mean())
    )


@pytest.mark.parametrize(
    ("guard", "function", "at"),
    [
        ("logarithm", lambda z: z.log().mean(), 0.0),
        ("quotient", lambda z: (1 / z).mean(), 0.0),
        ("quotient", lambda z: (z / z).mean(), 0.0),
        ("quotient", lambda z: z.sqrt().mean(), 0.0),
        ("exponent", lambda z: z.exp().mean(), 200.0),
    ],
)
def test_a_guarded_function_and_its_slope_are_finite_everywhere(guard, function, at):
    z = torch.full((3,), at, requires_grad=True)
    loss = GuardedLoss(lambda output, target: function(output), guard)(z, z)
    loss.backward()
    assert math.isfinite(value(loss))
    assert bool(z.grad.isfinite().all())


# Order


def test_batches_that_came_ready_made_are_taken_apart_to_be_shuffled(treated, plans):
    from netwright.doctor.trials.course_of import course_of

    model = nn.Sequential(nn.Linear(1, 2))
    batches = [(torch.full((4, 1), float(k)), torch.full((4,), k % 2)) for k in range(6)]
    course = course_of(model, torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(),
                       batches, batches, 1, None)  # fmt: skip
    after = treated(course, "shuffle", "unshuffled-data")
    x = next(iter(after.train.batches()))[0]
    assert len(x) == 4
    assert len(x.unique()) > 1
    assert sample(after.train)[0].sort(0).values.equal(sample(course.train)[0].sort(0).values)


def test_a_last_batch_of_one_is_left_out(begun, treated):
    x = torch.randn(33, 3)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    course = begun(net, nn.MSELoss(), x, x[:, :1])
    after = treated(course, "drop-last", "batchnorm-small-batch")
    assert [len(y) for _, y in after.train.batches()] == [16, 16]
