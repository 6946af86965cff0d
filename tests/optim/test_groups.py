from torch import nn

from netwright.models import build
from netwright.optim.groups import parameter_groups


def _model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def test_biases_and_norms_are_spared() -> None:
    decayed, spared = parameter_groups(_model(), 0.1)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert [each.ndim for each in decayed["params"]] == [4, 2]
    assert [each.ndim for each in spared["params"]] == [1, 1, 1, 1]


def test_told_not_to_spare_it_decays_everything_in_one_group() -> None:
    (group,) = parameter_groups(_model(), 0.1, spare=False)
    assert (len(group["params"]), group["weight_decay"]) == (6, 0.1)


def test_without_decay_there_is_nothing_to_spare() -> None:
    (group,) = parameter_groups(_model(), 0.0)
    assert len(group["params"]) == 6


def test_a_frozen_parameter_is_left_out_and_a_shared_one_is_listed_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model[0].bias.requires_grad_(False)
    decayed, spared = parameter_groups(model, 0.1)
    assert (len(decayed["params"]), len(spared["params"])) == (1, 1)


def test_every_parameter_of_a_network_is_in_exactly_one_group() -> None:
    model = build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32))
    listed = [id(each) for group in parameter_groups(model, 0.1) for each in group["params"]]
    assert sorted(listed) == sorted(id(each) for each in model.parameters())


def test_factors_make_groups_of_their_own_the_largest_rate_first() -> None:
    groups = parameter_groups(
        _model(), 0.1, lr=0.5, factors={"0.weight": 0.25, "0.bias": 0.25, "1.weight": 0.5}
    )
    shown = [(each["lr"], each["weight_decay"], len(each["params"])) for each in groups]
    assert shown == [(0.5, 0.1, 1), (0.5, 0.0, 2), (0.25, 0.0, 1), (0.125, 0.1, 1), (0.125, 0.0, 1)]
