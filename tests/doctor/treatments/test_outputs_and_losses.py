"""Treatments of the last layer and of the loss, by the numbers before and after."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netwright.doctor.treatments._answers import answers
from netwright.doctor.treatments._right import right_losses

DOUBLED = ("remove-softmax", "softmax-before-cross-entropy")
TWICE = ("remove-sigmoid", "sigmoid-before-bce-with-logits")
BOUNDED = ("change-last-activation", "output-activation-mismatch")
SPREAD = ("same-shape", "silent-broadcast")


class Ends(nn.Module):
    """A linear layer, and a function at the end that is no module."""

    def __init__(self, outputs: int, function: object) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(4, outputs), function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.linear(x))


def value(loss: Tensor) -> float:
    return float(loss.detach())


@pytest.fixture
def classes():
    torch.manual_seed(0)
    return torch.randn(32, 4), torch.randint(0, 3, (32,))


@pytest.fixture
def signs():
    torch.manual_seed(0)
    x = torch.randn(32, 4)
    return x, (x[:, :1] > 0).float()


# One softmax, one sigmoid


def test_a_softmax_module_at_the_end_is_left_out(begun, treated, classes):
    x, y = classes
    model = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    after = treated(begun(model, nn.CrossEntropyLoss(), x, y), *DOUBLED)
    assert torch.equal(after.model(x), model[0](x))


def test_a_softmax_written_out_in_a_module_of_ones_own_is_left_out_too(begun, treated, classes):
    x, y = classes

    class Shares(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return z.exp() / z.exp().sum(1, keepdim=True)

    model = nn.Sequential(nn.Linear(4, 3), Shares())
    after = treated(begun(model, nn.CrossEntropyLoss(), x, y), *DOUBLED)
    assert torch.equal(after.model(x), model[0](x))


def test_of_a_softmax_in_forward_the_loss_takes_the_logarithm(begun, treated, classes):
    x, y = classes
    model = Ends(3, lambda z: z.softmax(1))
    after = treated(begun(model, nn.CrossEntropyLoss(label_smoothing=0.1), x, y), *DOUBLED)
    wanted = F.cross_entropy(model.linear(x), y, label_smoothing=0.1)
    assert value(after.loss(after.model(x), y)) == pytest.approx(value(wanted), abs=1e-5)


def test_a_softmax_in_the_loss_is_taken_once(begun, treated, classes):
    x, y = classes
    model = nn.Sequential(nn.Linear(4, 3))
    loss = lambda output, y: F.cross_entropy(output.softmax(-1), y)  # noqa: E731
    after = treated(begun(model, loss, x, y), *DOUBLED)
    assert value(after.loss(model(x), y)) == pytest.approx(value(F.cross_entropy(model(x), y)))


def test_a_softmax_that_is_sure_leaves_a_finite_loss(begun, treated, classes):
    x, y = classes
    after = treated(begun(Ends(3, lambda z: (1e4 * z).softmax(1)), nn.CrossEntropyLoss(), x, y),
                    *DOUBLED)  # fmt: skip
    assert math.isfinite(value(after.loss(after.model(x), y)))


def test_a_sigmoid_module_at_the_end_is_left_out_and_answers_are_read_at_0(begun, treated, signs):
    x, y = signs
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    before = begun(model, nn.BCEWithLogitsLoss(), x, y)
    after = treated(before, *TWICE)
    assert torch.equal(after.model(x), model[0](x))
    assert (before.judge.threshold, after.judge.threshold) == (0.5, 0.0)


def test_of_a_sigmoid_in_forward_the_loss_takes_the_log_odds(begun, treated, signs):
    x, y = signs
    model = Ends(1, torch.sigmoid)
    after = treated(begun(model, nn.BCEWithLogitsLoss(), x, y), *TWICE)
    wanted = F.binary_cross_entropy_with_logits(model.linear(x), y)
    assert value(after.loss(after.model(x), y)) == pytest.approx(value(wanted), abs=1e-5)
    assert after.judge.threshold == 0.5


def test_a_sigmoid_in_the_loss_is_taken_once(begun, treated, signs):
    x, y = signs
    model = nn.Sequential(nn.Linear(4, 1))
    loss = lambda output, y: F.binary_cross_entropy_with_logits(output.sigmoid(), y)  # noqa: E731
    after = treated(begun(model, loss, x, y), *TWICE)
    wanted = F.binary_cross_entropy_with_logits(model(x), y)
    assert value(after.loss(model(x), y)) == pytest.approx(value(wanted), abs=1e-5)


# The last activation


def test_a_relu_on_a_regression_is_left_out(begun, treated, classes):
    x, _ = classes
    model = nn.Sequential(nn.Linear(4, 1), nn.ReLU())
    after = treated(begun(model, nn.MSELoss(), x, x[:, :1]), *BOUNDED)
    assert torch.equal(after.model(x), model[0](x))


def test_a_relu_in_forward_is_left_out_by_a_layer_around_the_model(begun, treated, classes):
    x, _ = classes
    model = Ends(1, torch.relu)
    after = treated(begun(model, nn.MSELoss(), x, x[:, :1]), *BOUNDED)
    assert torch.equal(after.model(x), model.linear(x))


def test_a_softmax_of_one_unit_before_a_loss_of_probabilities_becomes_a_sigmoid(
    begun, treated, signs
):
    x, y = signs
    model = nn.Sequential(nn.Linear(4, 1), nn.Softmax(1))
    after = treated(begun(model, nn.BCELoss(), x, y), *BOUNDED)
    assert torch.allclose(after.model(x), model[0](x).sigmoid())


def test_a_tanh_can_be_stretched_over_the_targets(begun, plans, treated, classes):
    x, _ = classes
    y = 20 + 5 * x[:, :1]
    course = begun(nn.Sequential(nn.Linear(4, 1), nn.Tanh()), nn.MSELoss(), x, y)
    after = treated(course, *BOUNDED, place=len(plans(course, *BOUNDED)) - 1)
    ends = after.model[-1](torch.tensor([-1.0, 1.0])).detach()
    first = y[:16]
    assert float(ends.min()) < float(first.min())
    assert float(ends.max()) > float(first.max())


def test_bounded_scores_get_a_temperature_that_is_learned(begun, plans, treated, classes):
    x, y = classes
    course = begun(Ends(3, lambda z: F.normalize(z, dim=1)), nn.CrossEntropyLoss(), x, y)
    after = treated(course, *BOUNDED, place=len(plans(course, *BOUNDED)) - 1)
    assert torch.allclose(after.model(x), 10 * course.model(x))
    assert any(each is after.model[-1].scale for each in after.optimizer.param_groups[0]["params"])


# The loss that belongs to the targets


@pytest.mark.parametrize(
    ("output", "target", "loss"),
    [
        (torch.randn(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]), "CrossEntropy"),
        (torch.randn(8, 3), torch.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]], "CrossEntropy"),
        (torch.randn(4, 3, 5, 5), torch.randint(0, 3, (4, 5, 5)), "CrossEntropy"),
        (torch.randn(8, 1), torch.tensor([[0.0], [1.0]] * 4), "BinaryCrossEntropy"),
        (torch.randn(8), torch.tensor([0, 1] * 4), "BinaryCrossEntropy"),
        (torch.randn(8, 1), torch.tensor([[-1.0], [1.0]] * 4), "BinaryCrossEntropy"),
        (torch.randn(8, 2), torch.randn(8, 2), "Squares"),
    ],
)
def test_shapes_and_values_tell_the_loss(output, target, loss):
    assert type(right_losses(output, target)[0][1]).__name__ == loss


def test_the_right_loss_can_be_computed_and_is_that_of_torch(begun, treated, classes):
    x, y = classes
    model = nn.Sequential(nn.Linear(4, 3))
    after = treated(begun(model, F.nll_loss, x, y), "right-loss", "loss-mismatch")
    assert value(after.loss(model(x), y)) == pytest.approx(value(F.cross_entropy(model(x), y)))


def test_two_values_of_any_kind_become_0_and_1(begun, treated, signs):
    x, y = signs
    model = nn.Sequential(nn.Linear(4, 1))
    after = treated(begun(model, nn.BCEWithLogitsLoss(), x, 255 * y), "right-loss", "loss-mismatch")
    assert torch.equal(torch.cat([target for _, target in after.train.batches()]), y)
    assert torch.equal(torch.cat([target for _, target in after.val.batches()]), y)
    assert (after.judge.kind, after.judge.yes) == ("accuracy of labels", 0.5)


# One shape


@pytest.mark.parametrize(
    "loss",
    [
        lambda o, t: F.mse_loss(o, t.squeeze(1)),
        lambda o, t: ((o.squeeze(1) - t) ** 2).mean(),
        lambda o, t: (o - t.T).square().mean(),
        lambda o, t: ((o - t[:, 0]) ** 2).mean(),
    ],
)
@pytest.mark.filterwarnings("ignore:Using a target size", "ignore:The use of `x.T`")
def test_each_output_meets_its_own_target(begun, treated, signs, loss):
    x, _ = signs
    y = x[:, :1] + 2
    model = nn.Sequential(nn.Linear(4, 1))
    after = treated(begun(model, loss, x, y), *SPREAD)
    wanted = F.mse_loss(model(x), y)
    assert value(after.loss(model(x), y)) == pytest.approx(value(wanted))


def test_an_axis_too_many_is_taken_away(begun, treated, signs):
    x, _ = signs
    model = Ends(3, lambda z: z.unsqueeze(1))
    course = begun(model, lambda o, t: (o - t).square().mean(), x, x[:, :3])
    after = treated(course, *SPREAD)
    wanted = F.mse_loss(model.linear(x), x[:, :3])
    assert value(after.loss(model(x), x[:, :3])) == pytest.approx(value(wanted))


def test_a_loss_whose_shapes_fit_is_left_alone(begun, plans, signs):
    x, y = signs
    course = begun(nn.Sequential(nn.Linear(4, 1)), nn.BCEWithLogitsLoss(), x, y)
    assert plans(course, *SPREAD) == []


# The sign


def test_the_sign_of_the_loss_is_turned(begun, treated, classes):
    x, y = classes
    model = nn.Sequential(nn.Linear(4, 3))
    loss = lambda o, t: -F.cross_entropy(o, t)  # noqa: E731
    after = treated(begun(model, loss, x, y), "flip-sign", "loss-sign")
    assert value(after.loss(model(x), y)) == pytest.approx(value(F.cross_entropy(model(x), y)))


def test_an_optimizer_that_maximises_is_told_to_minimise(begun, treated, classes):
    course = begun(nn.Sequential(nn.Linear(4, 3)), nn.CrossEntropyLoss(), *classes)
    course.set_in_groups(maximize=True)
    after = treated(course, "flip-sign", "loss-sign")
    assert not after.optimizer.param_groups[0]["maximize"]
    assert after.loss(torch.zeros(1, 3), torch.tensor([0])) > 0


def test_a_layer_that_turns_the_gradient_is_taken_away(begun, treated, classes):
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.view_as(x)

        @staticmethod
        def backward(context, *given):
            return -given[0]

    class Layer(nn.Module):
        def forward(self, x):
            return Reverse.apply(x)

    model = nn.Sequential(nn.Linear(4, 3), Layer())
    after = treated(begun(model, nn.CrossEntropyLoss(), *classes), "flip-sign", "loss-sign")
    assert isinstance(after.model[1], nn.Identity)


# What they go by


def test_the_last_module_is_found_behind_a_layer_that_passes_on(begun, classes):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Identity())
    found = answers(begun(model, nn.CrossEntropyLoss(), *classes))
    assert found is not None
    assert found.last is not None
    assert found.last.path == "1"


def test_a_model_that_answers_no_tensor_has_no_plan(begun, plans, classes):
    x, y = classes
    course = begun(nn.Sequential(nn.Linear(4, 3)), nn.CrossEntropyLoss(), x, y)
    course.model = Ends(3, lambda z: {"logits": z})
    assert plans(course, *DOUBLED) == []
