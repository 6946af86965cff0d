"""What the recipe of last resort changes, in numbers."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from netwright.doctor.treatments import TREATMENTS
from netwright.doctor.treatments._bending import acts_alone, bends
from netwright.doctor.treatments._beside import Beside
from netwright.doctor.trials.course_of import course_of
from netwright.doctor.trials.trial import Trial
from netwright.testing.treatments import finding_of


class Root(nn.Module):
    def forward(self, x):
        return x.sqrt()


def course(*, batch=32, numbers=False, model=None, epochs=10):
    """160 samples: five steps an epoch in batches of 32."""
    torch.manual_seed(0)
    model = model or nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    x = torch.randn(200, 4) * 100 + 3
    y = x[:, :2] if numbers else (x[:, 0] > 3).long()
    train = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x[:160], y[:160]),
                                        batch_size=batch, shuffle=True)  # fmt: skip
    loss = nn.MSELoss() if numbers else nn.CrossEntropyLoss()
    return course_of(model, SGD(model.parameters(), lr=5.0, momentum=0.99), loss, train,
                     (x[160:], y[160:]), epochs, None)  # fmt: skip


def recipes(given):
    """What each plan says, and the course it makes."""
    made = {}
    finding = finding_of("behind-a-plain-network", "sound-recipe", given)
    for plan in TREATMENTS.get("sound-recipe").target(given, finding):
        made[str(plan.says)] = given.copy()
        plan.apply(made[str(plan.says)])
    return made


def kinds(model):
    return [type(each) for each in model.modules()]


def test_the_whole_of_it_has_inputs_of_one_size_norms_and_no_tanh():
    made = recipes(course())["inputs standardised, ReLU, norms, weights drawn anew, AdamW"]
    first = made.model[0]
    inputs, _ = next(made.train.batches())
    assert float(first(inputs).abs().mean()) < 2
    assert nn.Tanh not in kinds(made.model)
    assert nn.BatchNorm1d in kinds(made.model)


def test_answers_that_are_numbers_get_no_norm():
    assert all(nn.BatchNorm1d not in kinds(made.model)
               for made in recipes(course(numbers=True)).values())  # fmt: skip


def test_the_optimizer_is_adamw_at_a_rate_that_falls_to_nothing():
    made = recipes(course())["AdamW with a rate that falls"]
    assert type(made.optimizer) is AdamW
    assert kinds(made.model) == kinds(course().model)
    trial = Trial(made)
    trial.go_on(6)
    assert trial.course.rate == pytest.approx(1e-3, rel=0.01)  # it has risen for five steps
    trial.go_on(44)
    assert trial.ended
    assert trial.course.rate < 1e-5


@pytest.mark.parametrize(("batch", "other"), [(1, 16), (32, 32), (64, 64), (160, 64)])
def test_batches_are_neither_tiny_nor_the_whole(batch, other):
    assert recipes(course(batch=batch))["AdamW with a rate that falls"].train.batch == other


def test_there_are_at_most_four_times_as_many_steps():
    x, y = torch.randn(2000, 4), torch.arange(2000) % 2
    model = nn.Linear(4, 2)
    given = course_of(model, SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss(),
                      torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), 2000),
                      (x, y), 10, None)  # fmt: skip
    assert recipes(given)["AdamW with a rate that falls"].steps == 40


def test_a_network_beside_it_adds_nothing_at_first():
    given = course()
    made = next(each for each in recipes(given).values() if Beside in kinds(each.model))
    inputs, _ = next(given.train.batches())
    beside = next(each for each in made.model.modules() if isinstance(each, Beside))
    assert torch.equal(beside(inputs), beside.inner(inputs))
    assert beside(inputs).shape == (32, 2)


def test_a_root_is_an_activation_though_it_is_no_number_below_0():
    assert acts_alone(Root())
    assert bends(Root())


def test_of_values_that_are_not_finite_only_an_activation_that_makes_them_is_replaced():
    given = course(model=nn.Sequential(nn.Linear(4, 8), Root(), nn.Linear(8, 8), nn.Tanh(),
                                       nn.Linear(8, 2)))  # fmt: skip
    plans = TREATMENTS.get("other-activation").target

    def of(*layers):

        finding = finding_of("nonfinite", "other-activation", given)
        return list(plans(given, dataclasses.replace(finding, layers=layers)))

    assert of("2") == []
    made = given.copy()
    of("1")[0].apply(made)
    assert Root not in kinds(made.model)
