"""Silence: what is known to work gets no alarm, and no remark but those listed here."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.models import MODELS, build

TRUE_NOTES = {"receptive-field-too-large", "parameters-in-one-layer", "bias-before-batchnorm"}
"""What is so in published networks, and does no harm there."""


@pytest.mark.parametrize("name", MODELS.names())
def test_no_registered_architecture_is_alarmed_at_its_published_input(diagnosed, name):
    facts = MODELS.get(name).facts
    channels, *size = facts["input"]
    with torch.device("meta"):
        model = build(name, num_classes=facts["classes"], in_channels=channels, input_size=size)
    found = diagnosed(model, (1, *facts["input"]))
    assert [each.name for each in found if each.severity != "note"] == []
    allowed = TRUE_NOTES | ({"cheaper-convolution"} if name == "alexnet" else set())
    assert {each.name for each in found} <= allowed


@pytest.mark.parametrize("name", MODELS.names())
def test_no_registered_architecture_is_alarmed_on_32x32(diagnosed, name):
    """With the stem that `auto` takes; what has none for small images is a true note."""
    channels = MODELS.get(name).facts["input"][0]
    if MODELS.get(name).facts.get("smallest", 1) > 32:
        pytest.skip("takes larger images only")
    with torch.device("meta"):
        model = build(name, num_classes=10, in_channels=channels, input_size=(32, 32))
    found = diagnosed(model, (1, channels, 32, 32))
    assert [each.name for each in found if each.severity != "note"] == []


class Dense(nn.Module):
    """DenseNet: norm, activation, convolution; what came before is kept beside it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(16 + 8 * i) for i in range(4))
        self.convs = nn.ModuleList(
            nn.Conv2d(16 + 8 * i, 8, 3, padding=1, bias=False) for i in range(4)
        )
        self.head = nn.Linear(48, 10)

    def forward(self, x):
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(F.relu(norm(x)))], 1)
        return self.head(F.relu(x).mean((2, 3)))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, 2)
        self.join, self.head = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

    def forward(self, x):
        first = F.relu(self.down1(x))
        x = F.relu(self.down2(F.max_pool2d(first, 2)))
        return self.head(F.relu(self.join(torch.cat([self.up(x), first], 1))))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 16, batch_first=True), nn.Linear(16, 5)

    def forward(self, x):
        return self.head(self.lstm(x.flatten(2).transpose(1, 2))[0][:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.places = nn.Parameter(torch.zeros(1, 16, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        return self.head(self.body(x).mean(1))


class Adapted(nn.Module):
    """LoRA: a frozen layer, and beside it a low-rank one that is trained."""

    def __init__(self):
        super().__init__()
        self.base = nn.Linear(3072, 64).requires_grad_(False)
        self.down, self.up = nn.Linear(3072, 4, bias=False), nn.Linear(4, 64, bias=False)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = x.flatten(1)
        return self.head(F.relu(self.base(x) + self.up(self.down(x))))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.again = nn.Linear(3072, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.first(x.flatten(1)))
        for _ in range(3):
            x = F.relu(self.again(x))
        return self.head(x)


class Pyramid(nn.Module):
    """ASPP: branches of several rates beside each other."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.branches = nn.ModuleList(
            nn.Conv2d(16, 8, 3, padding=rate, dilation=rate) for rate in (2, 4, 6)
        )
        self.head = nn.Conv2d(24, 2, 1)

    def forward(self, x):
        x = F.relu(self.stem(x))
        return self.head(F.relu(torch.cat([each(x) for each in self.branches], 1)))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(32, 8, 1), nn.Conv2d(8, 32, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


def excited():
    """Squeeze-and-excitation: the mean over the map is a gate, and the map goes on."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), Gate(), nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU(), Gate(),
        nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(64, 10),
    )  # fmt: skip


class FeaturePyramid(nn.Module):
    """The lateral 1x1 and the smoothing 3x3 have nothing between them but a sum."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 16, 3, 2, 1), nn.Conv2d(16, 32, 3, 2, 1)
        self.lateral1, self.lateral2 = nn.Conv2d(16, 16, 1), nn.Conv2d(32, 16, 1)
        self.smooth1, self.smooth2 = (nn.Conv2d(16, 16, 3, padding=1) for _ in range(2))

    def forward(self, x):
        one = F.relu(self.one(x))
        high = self.lateral2(F.relu(self.two(one)))
        low = self.lateral1(one) + F.interpolate(high, scale_factor=2)
        return self.smooth1(low), self.smooth2(high)


class SuperResolution(nn.Module):
    """EDSR: blocks without an activation behind their sum, then a shuffle of pixels."""

    def __init__(self):
        super().__init__()
        self.first, self.a, self.b = (nn.Conv2d(c, 8, 3, padding=1) for c in (3, 8, 8))
        self.up, self.last = nn.Conv2d(8, 32, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x):
        x = self.first(x)
        x = x + self.b(F.relu(self.a(x)))
        return self.last(F.pixel_shuffle(self.up(x), 2))


def generator():
    return nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8), nn.ReLU(), nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip


def regression():
    """Softmax regression: one linear layer is what was wanted."""
    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))


def autoencoder():
    return nn.Sequential(
        nn.Flatten(), nn.Linear(3072, 64), nn.ReLU(), nn.Linear(64, 2), nn.Linear(2, 64),
        nn.ReLU(), nn.Linear(64, 3072),
    )  # fmt: skip


def transferred():
    model = build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32)).requires_grad_(
        False
    )
    model.linear.requires_grad_(True)
    return model


ODD = [
    Dense, UNet, Recurrent, Transformer, Adapted, Shared, Pyramid, excited, FeaturePyramid,
    SuperResolution, generator, regression, autoencoder, transferred,
]  # fmt: skip


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
def test_healthy_networks_that_look_odd_get_no_remark(diagnosed, make):
    found = diagnosed(make(), (1, 3, 32, 32))
    assert {each.name for each in found} <= {"receptive-field-too-large"}


def test_a_generator_that_begins_with_one_pixel_gets_no_remark(diagnosed):
    model = nn.Sequential(
        nn.ConvTranspose2d(100, 32, 4, 1, 0, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    assert diagnosed(model, (1, 100, 1, 1)) == []


def test_wide_rates_over_a_small_map_are_on_purpose_while_every_tap_reads_somewhere(diagnosed):
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=18, dilation=18), nn.ReLU())
    assert diagnosed(model, (1, 8, 33, 33), of="tiny-feature-map") == []
    (found,) = diagnosed(model, (1, 8, 16, 16), of="tiny-feature-map")
    assert found.evidence[2].value == 8 * 8 * 8 / 584  # 1x1 in all but name
