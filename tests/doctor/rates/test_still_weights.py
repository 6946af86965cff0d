"""Weights that stand still as they were drawn are named where a batch needs them, not else."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from netwright.doctor.probes.still import as_drawn

generator = torch.Generator().manual_seed(3)
WAVES = torch.randn(512, 4, generator=generator)
HEIGHTS = (2 * WAVES).sin().prod(1, keepdim=True) + (3 * WAVES[:, :1]).sin()


def network():
    return nn.Sequential(
        nn.Linear(4, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1)
    )


def frozen(model, but=1):
    for each in [e for e in model if isinstance(e, nn.Linear)][:-but]:
        each.requires_grad_(False)
    return model


def waves(small, model, optimizer, **more):
    return small.run(
        model, optimizer, inputs=WAVES, targets=HEIGHTS, loss=F.mse_loss, steps=100, **more
    )


def test_a_network_frozen_but_for_its_head_is_named_with_what_training_it_gives(small):
    said = waves(small, lambda: frozen(network()), small.adam(5e-3))
    found = said.named("frozen-parameters")
    assert small.root(said) == "frozen-parameters"
    assert found.severity == "warn"
    assert found.layers == ("0", "2")
    held, moved = found.evidence[-1].value, found.evidence[-1].baseline
    assert held > 3 * moved


def test_a_backbone_that_was_trained_before_may_be_frozen(small):
    def made():
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(5):
            optimizer.zero_grad()
            F.mse_loss(model(WAVES), HEIGHTS).backward()
            optimizer.step()
        model[-1].reset_parameters()
        return frozen(model)

    assert small.alarms(waves(small, made, small.adam(5e-3))) == []


def test_random_features_that_do_well_are_left_alone(small):
    said = small.run(lambda: frozen(small.mlp(128, 128)), small.adam(1e-2), steps=120)
    assert small.alarms(said) == []


def test_one_frozen_layer_among_many_is_no_alarm(small):
    said = waves(small, lambda: frozen(network(), but=2), small.adam(5e-3))
    assert "frozen-parameters" not in small.alarms(said)


def test_a_group_of_rate_zero_is_named(small):
    def made(held):
        return torch.optim.Adam(
            [{"params": held[:-2], "lr": 0.0}, {"params": held[-2:], "lr": 5e-3}], lr=5e-3
        )

    said = waves(small, network, made)
    assert small.root(said) == "stale-optimizer"
    assert said.named("stale-optimizer").severity == "warn"


def test_an_optimizer_that_was_given_the_head_alone_is_named(small):
    said = waves(small, network, lambda held: torch.optim.Adam(held[-2:], 5e-3))
    assert small.root(said) == "stale-optimizer"


def test_groups_that_all_begin_at_zero_are_a_warm_up(small):
    def made(held):
        return torch.optim.Adam([{"params": held[:-2]}, {"params": held[-2:]}], lr=5e-3)

    def rise(step, optimizer):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * min(1.0, step / 20)

    assert "stale-optimizer" not in small.alarms(waves(small, network, made, before=rise))


@pytest.mark.parametrize(
    "drawn",
    [
        lambda layer: None,
        lambda layer: nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu"),
        lambda layer: nn.init.xavier_uniform_(layer.weight),
        lambda layer: (nn.init.kaiming_normal_(layer.weight), nn.init.zeros_(layer.bias)),
    ],
    ids=["torch's own", "kaiming", "xavier", "normal with biases of zero"],
)
@pytest.mark.parametrize("layer", [nn.Linear(40, 30), nn.Conv2d(6, 12, 3)], ids=["linear", "conv"])
def test_an_initialiser_leaves_a_mark_that_a_few_steps_take_away(layer, drawn):
    torch.manual_seed(0)
    layer.reset_parameters()
    drawn(layer)
    assert as_drawn(layer)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    inputs = torch.randn(64, 40) if isinstance(layer, nn.Linear) else torch.randn(64, 6, 8, 8)
    for _ in range(20):
        optimizer.zero_grad()
        output = layer(inputs)
        (output - output.detach().roll(1, 0) - 1).square().mean().backward()
        optimizer.step()
    assert not as_drawn(layer)


def bell(model):
    for each in [e for e in model if isinstance(e, nn.Linear)]:
        nn.init.normal_(each.weight, std=0.02)
    return model


def test_weights_drawn_from_a_bell_curve_and_frozen_are_named(small):
    said = waves(small, lambda: frozen(bell(network())), small.adam(5e-3))
    assert "frozen-parameters" in small.alarms(said)


def test_a_backbone_drawn_from_a_bell_curve_and_trained_may_be_frozen(small):
    def made():
        model = bell(network())
        optimizer = torch.optim.Adam(model.parameters(), 5e-3)
        for _ in range(200):
            optimizer.zero_grad()
            F.mse_loss(model(WAVES), HEIGHTS).backward()
            optimizer.step()
        model[-1].reset_parameters()
        return frozen(model)

    assert "frozen-parameters" not in small.alarms(waves(small, made, small.adam(5e-3)))


def test_weights_that_are_frozen_beside_biases_that_move_are_named(small):
    def made():
        model = network()
        for name, each in model.named_parameters():
            each.requires_grad_("bias" in name)
        return model

    said = waves(small, made, small.adam(5e-3))
    assert small.root(said) == "frozen-parameters"
    assert said.named("frozen-parameters").layers == ("0", "2", "4")
