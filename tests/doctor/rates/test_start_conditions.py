"""A bad start is named before the first step, and the odd but healthy ones are left alone."""

import pytest
import torch
from torch import nn


def test_a_layer_filled_with_one_number_is_symmetric(small):
    said = small.run(
        lambda: small.filled(small.mlp(), lambda w: nn.init.constant_(w, 0.05), 0.0), small.sgd(0.1)
    )
    assert small.root(said) == "symmetric-initialisation"
    found = said.named("symmetric-initialisation")
    assert found.layers == ("0", "2")
    assert "32" in str(found.what)


def test_weights_of_zero_are_symmetric_and_that_stops_the_run(small):
    said = small.run(
        lambda: small.filled(small.mlp(), nn.init.zeros_, 0.0), small.sgd(0.1), steps=60
    )
    assert said.findings[0].name == "symmetric-initialisation"
    assert said.findings[0].severity == "stop"


def test_weights_of_a_thousandth_fade(small):
    model = lambda: small.filled(small.mlp(32, 32, 32), lambda w: nn.init.normal_(w, 0, 1e-3), 0.0)  # noqa: E731
    said = small.run(model, small.sgd(0.1, 0.9))
    assert small.root(said) == "weights-too-small"


def test_weights_of_one_grow(small):
    model = lambda: small.filled(small.mlp(*[64] * 5), lambda w: nn.init.normal_(w, 0, 1.0))  # noqa: E731
    said = small.run(model, small.adam(), steps=60)
    assert small.root(said) == "weights-too-large"


def test_tanh_beyond_its_bend_is_saturated(small):
    model = lambda: small.filled(  # noqa: E731
        small.mlp(32, 32, 32, act=nn.Tanh), lambda w: nn.init.normal_(w, 0, 3.0)
    )
    said = small.run(model, small.sgd(0.01), steps=60)
    assert "saturated-at-start" in small.alarms(said)


def test_biases_far_below_zero_kill_relus(small):
    said = small.run(
        lambda: small.filled(small.mlp(), nn.init.kaiming_normal_, -12.0), small.sgd(0.1), steps=60
    )
    assert small.root(said) == "dead-at-start"
    assert said.named("dead-at-start").severity == "stop"


def test_linear_layers_in_a_row_are_found_by_trying(small):
    model = lambda: nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 32), nn.Linear(32, 4))  # noqa: E731
    said = small.run(model, small.sgd(0.05), steps=20)
    found = said.named("missing-nonlinearity")
    assert found.severity == "warn"
    assert found.evidence[0].value < 1e-5


def zero_head(small):
    model = small.mlp()
    nn.init.zeros_(model[-1].weight)
    nn.init.zeros_(model[-1].bias)
    return model


def tiny_head(small):
    model = small.mlp()
    nn.init.normal_(model[-1].weight, 0, 1e-4)
    return model


class Residual(nn.Module):
    """Branches that end in zeros."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(16, 32), nn.Linear(32, 4)
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32)) for _ in range(3)
        )
        for each in self.branches:
            nn.init.zeros_(each[2].weight)

    def forward(self, x):
        x = self.stem(x)
        for each in self.branches:
            x = x + each(x)
        return self.head(torch.relu(x))


def frozen_oddities(small):
    """A backbone that nobody trains may be as symmetric as it likes."""
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    nn.init.normal_(model[0].weight, 0, 1.0)
    for each in model[0].parameters():
        each.requires_grad_(False)
    return model


@pytest.mark.parametrize(
    "model",
    [
        lambda small: small.filled(nn.Sequential(nn.Linear(16, 4)), nn.init.zeros_, 0.0),
        zero_head,
        tiny_head,
        lambda small: Residual(),
        frozen_oddities,
        lambda small: small.filled(
            small.mlp(*[32] * 8, act=nn.SELU),
            lambda w: nn.init.kaiming_normal_(w, nonlinearity="linear"),
            0.0,
        ),
        lambda small: small.filled(
            small.mlp(*[32] * 6, bn=True), lambda w: nn.init.normal_(w, 0, 1.0)
        ),
        lambda small: small.mlp(256, 256),
    ],
    ids=["softmax regression at zero", "last layer at zero", "tiny last layer",
         "residual branches at zero", "frozen", "self-normalising", "norms", "wide"],
)  # fmt: skip
def test_a_healthy_start_is_left_alone(small, model):
    said = small.run(lambda: model(small), small.sgd(0.02, 0.9), steps=100)
    assert small.alarms(said) == []
