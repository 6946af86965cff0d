import math
import typing
from typing import Any

import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError, UnknownNameError
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import fans, gain, initialise, last_layer
from netwright.nn.initialisers import INITIALISERS, Fans
from netwright.nn.initialisers.lsuv import LSUVOptions, unit_variance

ACTIVATIONS = typing.get_args(ActivationName)
KEEPING = [entry.name for entry in INITIALISERS if not entry.facts.get("teaching")]
BOUNDED = ("tanh", "sigmoid")  # by 1: no gain makes their mean square 1
PAIRS = [
    (name, act)
    for name in KEEPING
    for act in ACTIVATIONS
    # The gain of lecun is 1: for activations that keep the spread themselves.
    if name != "lecun" or act == "selu"
]


def _options(name: str, **chosen: Any) -> Any:
    kind: Any = INITIALISERS.get(name).options
    return kind(**chosen)


def test_weights_have_the_spread_of_he_and_biases_are_zero() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(16, 256, kernel_size=3)
    initialise(nn.Sequential(layer), "relu")
    assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / (16 * 9)), rel=0.02)
    assert layer.bias is not None
    assert layer.bias.abs().sum() == 0


def test_the_head_has_no_gain() -> None:
    torch.manual_seed(0)
    head = nn.Linear(400, 300)
    initialise(nn.Sequential(head), "relu", head=head)
    assert head.weight.std().item() == pytest.approx(1 / 20, rel=0.02)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Linear(5, 7), Fans(5, 7)),
        (nn.Conv2d(3, 8, kernel_size=5), Fans(75, 200)),
        (nn.Conv2d(4, 6, kernel_size=(1, 3)), Fans(12, 18)),
        (nn.Conv2d(8, 12, kernel_size=3, groups=4), Fans(18, 27)),
        (nn.Conv2d(16, 16, kernel_size=3, groups=16), Fans(9, 9)),  # depth-wise
    ],
)
def test_fans_are_counted_by_hand(layer: Any, expected: Fans) -> None:
    assert fans(layer) == expected


# sd of a layer of 200 inputs and 600 outputs before ReLU, gain sqrt(2)
SPREADS = [
    ("he", {}, math.sqrt(2 / 200)),
    ("he", {"law": "uniform"}, math.sqrt(2 / 200)),
    ("he", {"mode": "fan_out"}, math.sqrt(2 / 600)),
    ("he", {"gain": 3.0}, 3 / math.sqrt(200)),
    ("xavier", {}, math.sqrt(2) * math.sqrt(2 / 800)),
    ("xavier", {"gain": 1.0}, math.sqrt(2 / 800)),
    ("xavier", {"law": "normal", "gain": 1.0}, math.sqrt(2 / 800)),
    ("lecun", {}, 1 / math.sqrt(200)),
    ("lecun", {"law": "uniform"}, 1 / math.sqrt(200)),
    ("orthogonal", {}, math.sqrt(2) / math.sqrt(600)),  # 200 columns of length sqrt(2)
]


@pytest.mark.parametrize(("name", "chosen", "spread"), SPREADS)
def test_the_spread_is_the_one_of_the_formula(
    name: str, chosen: dict[str, Any], spread: float
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(200, 600)
    initialise(nn.Sequential(layer), "relu", name=name, options=_options(name, **chosen))
    weight = layer.weight.detach()
    assert weight.std().item() == pytest.approx(spread, rel=0.02)
    assert abs(weight.mean().item()) < 0.02 * spread
    if chosen.get("law") == "uniform" or (name == "xavier" and "law" not in chosen):
        assert weight.abs().max().item() == pytest.approx(math.sqrt(3) * spread, rel=0.02)


def test_orthogonal_rows_are_of_equal_length_and_at_right_angles() -> None:
    layer = nn.Conv2d(4, 8, kernel_size=3, bias=False)
    initialise(nn.Sequential(layer), "relu", name="orthogonal")
    rows = layer.weight.detach().flatten(1)
    torch.testing.assert_close(rows @ rows.T, 2 * torch.eye(8), atol=1e-5, rtol=0)


@pytest.mark.parametrize("act", [each for each in ACTIVATIONS if each not in BOUNDED])
def test_every_activation_has_a_gain_that_keeps_the_mean_square(act: ActivationName) -> None:
    z = torch.linspace(-8, 8, 2001, dtype=torch.float64)
    weight = torch.exp(-(z**2) / 2)
    with torch.no_grad():
        square = activation(act).double()(gain(act) * z) ** 2
    kept = float((weight * square).sum() / weight.sum())
    # ReLU6 cuts off what is above 6, four standard deviations.
    assert kept == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(("name", "act"), PAIRS)
def test_the_signal_is_there_after_20_layers(name: str, act: ActivationName) -> None:
    torch.manual_seed(0)
    width = 128
    layers: list[nn.Module] = []
    for _ in range(20):
        layers += [nn.Linear(width, width), activation(act)]
    model = nn.Sequential(*layers)
    x = torch.randn(256, width)
    initialise(model, act, name=name, images=x)
    spreads = []
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            if isinstance(layer, nn.Linear):
                spreads.append(x.std().item())
    # SiLU and its kin hold it on a knife's edge: a little more grows, a little less fades.
    assert 0.2 < spreads[-1] / spreads[0] < 5


def test_with_relu_and_gain_1_next_to_nothing_is_left_after_20_layers() -> None:
    torch.manual_seed(0)
    layers = [each for _ in range(20) for each in (nn.Linear(128, 128), nn.ReLU())]
    model = nn.Sequential(*layers)
    initialise(model, "relu", name="xavier", options=_options("xavier", gain=1.0))
    with torch.no_grad():
        assert model(torch.randn(64, 128)).std().item() < 2e-3  # 2 ** -10, about


@pytest.mark.parametrize("name", ["zeros", "constant"])
def test_units_that_begin_alike_stay_alike(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    initialise(model, "tanh", name=name)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    x, y = torch.randn(30, 4), torch.arange(30) % 3
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    rows = model[0].weight.detach()
    assert float((rows - rows[0]).abs().max()) < 1e-6
    if name == "zeros":
        assert bool((rows == 0).all())


def test_lsuv_gives_every_layer_variance_1_through_pooling_and_branches() -> None:
    class Branched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(1, 8, 3, padding=1)
            self.left, self.right = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
            self.pool = nn.MaxPool2d(2)
            self.head = nn.Linear(8 * 16, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.pool(torch.relu(self.stem(x)))
            x = torch.relu(self.left(x)) + self.right(x)
            return self.head(x.flatten(1))

    torch.manual_seed(0)
    model = Branched()
    images = 3 * torch.randn(32, 1, 8, 8) + 1
    initialise(model, "relu", name="lsuv", images=images)
    found: dict[str, float] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(
                lambda _, __, output, name=name: found.update({name: output.var().item()})
            )
    with torch.no_grad():
        model(images)
    assert sorted(found) == ["head", "left", "right", "stem"]
    assert all(abs(each - 1) <= 0.011 for each in found.values())
    assert model.training


def test_lsuv_leaves_no_hook_behind_and_refuses_images_that_are_all_zero() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(SettingError, match=r"lsuv: the outputs of layer 1 have the variance 0"):
        initialise(model, "relu", name="lsuv", images=torch.zeros(3, 1, 2, 2))
    assert not model[1]._forward_hooks
    assert model.training


def test_lsuv_scales_a_layer_that_is_used_twice_once() -> None:
    torch.manual_seed(0)
    shared = nn.Linear(6, 6, bias=False)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    images = torch.randn(64, 6)
    unit_variance(model, images, LSUVOptions())
    with torch.no_grad():
        assert shared(images).var().item() == pytest.approx(1, abs=0.011)


def test_an_initialiser_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="xavier"):
        initialise(nn.Sequential(nn.Linear(1, 1)), "relu", name="xaver")


def test_the_last_layer_is_the_one_registered_last() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Linear(2, 3), nn.ReLU())
    assert last_layer(model) is model[1]
    assert last_layer(nn.ReLU()) is None
