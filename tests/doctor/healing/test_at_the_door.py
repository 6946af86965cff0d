"""What `nw.heal` says of things it cannot train with, before a step is taken."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

import netwright as nw
from netwright.core.errors import DataError, SettingError

CROSS_ENTROPY = nn.CrossEntropyLoss()


@pytest.fixture
def heal(network, problem):
    """Healing of the usual training with something else in one place."""

    def run(loss=CROSS_ENTROPY, train=None, val=None, model=None, **settings):
        model = model or network()
        return nw.heal(model, SGD(model.parameters(), lr=0.1, momentum=0.9), loss,
                       train or problem(), val or problem(64, 1), 3, **settings)  # fmt: skip

    return run


@pytest.mark.parametrize("given", ["cosine", StepLR, 3])
def test_what_is_no_scheduler_is_told(heal, given):
    with pytest.raises(SettingError, match="takes a scheduler that was made for the optimizer"):
        heal(scheduler=given)


@pytest.mark.parametrize("given", [0, -1.0, "1", True, float("nan")])
def test_a_clip_is_a_number_above_0(heal, given):
    with pytest.raises(SettingError, match="clip is the greatest norm of the gradient"):
        heal(clip=given)


@pytest.mark.parametrize(
    "loss", [lambda output, target, weight: output.sum(), lambda output: output.sum()]
)
def test_a_loss_of_other_arguments_is_told_so(heal, loss):
    with pytest.raises(SettingError, match=r"called as loss_fn\(output, target\), and cannot be"):
        heal(loss=loss)


class Accuracy:
    def __call__(self, output, target):
        return (output.argmax(1) == target).double().mean()


@pytest.mark.parametrize("given", ["accuracy", Accuracy])
def test_what_is_no_metric_is_told(heal, given):
    with pytest.raises(SettingError, match="metric that is a function of outputs and targets"):
        heal(metric=given)


@pytest.mark.parametrize("gives", [lambda o, t: o, lambda o, t: None, lambda o, t: 1 / 0])
def test_a_metric_without_a_number_is_told(heal, gives):
    with pytest.raises(SettingError, match="The metric gives no number"):
        heal(metric=gives)


def test_a_metric_may_give_a_tensor(heal):
    assert 0 <= heal(metric=Accuracy()).score <= 1


def test_a_metric_that_refuses_one_class_alone_gets_all_samples(heal, problem):
    def metric(output, target):
        if len(target.unique()) < 2:
            raise ValueError("one class alone")
        return float((output.argmax(1) == target).double().mean())

    x, y = problem(64, 1)
    order = y.argsort()
    batches = [(x[some], y[some]) for some in order.split(8)]
    assert 0 <= heal(metric=metric, val=batches).score <= 1


@pytest.mark.parametrize("fault", ["width", "labels"])
def test_validation_data_that_do_not_fit_are_named_as_the_reason(heal, problem, fault):
    x, y = problem(64, 1)
    val = (torch.randn(64, 5), y) if fault == "width" else (x, y + 5)
    with pytest.raises(DataError, match="the validation data cannot be judged by"):
        heal(val=val)


@pytest.mark.parametrize("kind", ["mapping", "tuple"])
def test_of_several_outputs_the_one_that_the_loss_takes_is_judged(heal, network, problem, kind):
    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            found = self.inner(x)
            return {"seen": -found, "logits": found} if kind == "mapping" else (-found, found)

    key = "logits" if kind == "mapping" else 1
    healed = heal(loss=lambda output, target: CROSS_ENTROPY(output[key], target), model=Several(),
                  train=problem(1024))  # fmt: skip
    x, y = problem(64, 1)
    right = float((healed.model(x)[key].argmax(1) == y).double().mean())
    assert healed.score == right > 0.6
