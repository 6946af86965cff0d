"""Conditions on how layers follow each other: each with a network that has it and one without."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from netwright.doctor.conditions._graph import Window
from netwright.models import build


def values(finding):
    return [each.value for each in finding.evidence]


# --- missing-nonlinearity ------------------------------------------------------------------------


def test_two_linear_layers_in_a_row_are_one(diagnosed):
    model = nn.Sequential(nn.Linear(20, 64), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    (found,) = diagnosed(model, (1, 20), of="missing-nonlinearity")
    assert found.severity == "warn"
    assert found.layers == ("0", "1")
    # 20 x 64 + 64 x 64 weights where 20 x 64 do the same.
    assert (found.evidence[1].value, found.evidence[1].baseline) == (5376, 1280)


def test_dropout_and_batchnorm_are_no_activation(diagnosed):
    model = nn.Sequential(
        nn.Linear(20, 64), nn.BatchNorm1d(64), nn.Dropout(), nn.Linear(64, 64), nn.ReLU()
    )
    assert len(diagnosed(model, (1, 20), of="missing-nonlinearity")) == 1


def test_a_network_without_any_activation_is_one_finding(diagnosed):
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip
    (found,) = diagnosed(model, (1, 3, 16, 16), of="missing-nonlinearity")
    assert found.severity == "warn"
    assert "one linear map" in str(found.what)
    assert values(found) == [0, 3]


def test_two_3x3_in_a_row_lose_depth_and_no_weights_so_it_is_a_note(diagnosed):
    model = nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    (found,) = diagnosed(model, (1, 8, 16, 16), of="missing-nonlinearity")
    assert (found.severity, found.layers) == ("note", ("0", "1"))


def test_a_1x1_behind_a_3x3_is_wasted_whole(diagnosed):
    model = nn.Sequential(nn.Conv2d(8, 16, 3), nn.Conv2d(16, 8, 1), nn.ReLU())
    (found,) = diagnosed(model, (1, 8, 16, 16), of="missing-nonlinearity")
    assert found.severity == "warn"
    assert (found.evidence[1].value, found.evidence[1].baseline) == (9 * 128 + 128, 9 * 64)


class Joined(nn.Module):
    """EDSR: what a block gives is added to the stream, and the next convolution reads it."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))

    def forward(self, x):
        return self.c(x + self.b(F.relu(self.a(x))))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1), nn.ReLU()),  # low rank
        nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1), nn.ReLU()),  # separable
        nn.Sequential(nn.Conv2d(8, 8, (1, 3)), nn.Conv2d(8, 8, (3, 1)), nn.ReLU()),  # factored
        nn.Sequential(nn.Conv2d(8, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3)),
        nn.Sequential(nn.Conv2d(8, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)),
        Joined(),
        nn.Sequential(nn.Conv2d(8, 5, 1), nn.ConvTranspose2d(5, 5, 4, 2, 1), nn.ReLU()),  # FCN
        nn.Sequential(nn.Conv2d(8, 5, 12)),  # one layer is no row of two
    ],
    ids=["low-rank", "separable", "1xk-kx1", "group-norm", "max-pool", "sum", "fcn", "single"],
)
def test_factors_sums_and_what_is_not_linear_are_left_alone(diagnosed, model):
    assert diagnosed(model, (1, 8, 12, 12), of="missing-nonlinearity") == []


def test_a_squared_value_is_no_linear_map(diagnosed):
    class Squared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            x = self.a(x)
            return self.b(x * x)

    assert diagnosed(Squared(), (1, 8), of="missing-nonlinearity") == []


# --- tiny-feature-map ----------------------------------------------------------------------------


def test_a_resnet_for_photographs_on_32x32_is_warned_of(diagnosed):
    model = build("resnet18", num_classes=10, in_channels=3, input_size=(32, 32),
                  options={"stem": "standard"})  # fmt: skip
    found = diagnosed(model, (1, 3, 32, 32))
    tiny = found[0]
    assert (tiny.name, tiny.severity) == ("tiny-feature-map", "warn")
    # Three 3x3 kernels over 1x1 meet a pixel with their middle alone, 1 tap of 9.
    assert tiny.evidence[0].value == pytest.approx(1 / 9)
    # layer4: a strided 3x3 from 2x2 to 1x1 uses 4 of its 9 places, three others 1 of 9.
    idle = 256 * 512 * 5 + 3 * 512 * 512 * 8
    assert tiny.evidence[2].value == pytest.approx(idle / 11_181_642)
    assert "32x32 to 1x1" in str(tiny.cause)


def test_the_small_stem_heals_it(diagnosed):
    model = build("resnet18", num_classes=10, in_channels=3, input_size=(32, 32))
    assert diagnosed(model, (1, 3, 32, 32), of="tiny-feature-map") == []


def test_a_kernel_that_just_covers_the_map_is_fine(diagnosed):
    model = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.Conv2d(8, 8, 4))
    assert diagnosed(model, (1, 3, 8, 8), of="tiny-feature-map") == []


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "before", "dilation"),
    [(2, 3, 1, 1, 1), (1, 3, 1, 1, 1), (5, 3, 1, 6, 6), (4, 5, 2, 2, 1), (3, 3, 2, 2, 2),
     (7, 3, 3, 0, 1), (9, 4, 2, 3, 2)],
)  # fmt: skip
def test_taps_are_those_that_a_convolution_of_ones_counts(side, kernel, stride, before, dilation):
    weight = torch.ones(1, 1, kernel, requires_grad=True)
    ones = torch.ones(1, 1, side)
    counted = F.conv1d(ones, weight, None, stride, before, dilation)
    counted.sum().backward()
    window = Window(
        side=side, out=counted.numel(), kernel=kernel, stride=stride, dilation=dilation,
        before=before,
    )  # fmt: skip
    assert window.real == pytest.approx(counted.mean().item() / kernel)
    assert weight.grad is not None
    used = (weight.grad != 0).float().mean().item()  # what is used has a gradient
    assert window.used == pytest.approx(used)


# --- receptive field -----------------------------------------------------------------------------


def stack(depth, *head):
    layers = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, *head)


POOLED = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def test_local_features_that_are_averaged_see_too_little(diagnosed):
    (found,) = diagnosed(stack(4, *POOLED), (1, 3, 32, 32), of="receptive-field-too-small")
    assert values(found) == [9 / 32]
    assert found.severity == "note"


@pytest.mark.parametrize(
    "model",
    [
        stack(4, nn.Flatten(), nn.Linear(8 * 32 * 32, 10)),  # put together by a linear layer
        stack(4),  # from image to image
        stack(8, *POOLED),  # 17 of 32
    ],
    ids=["linear", "dense", "enough"],
)
def test_local_features_that_are_put_together_are_fine(diagnosed, model):
    assert diagnosed(model, (1, 3, 32, 32), of="receptive-field-too-small") == []


def test_a_field_far_larger_than_the_image_is_a_note_that_says_where_it_is_passed(diagnosed):
    model = build("resnet18", num_classes=10, in_channels=3, input_size=(224, 224))
    (found,) = diagnosed(model, (1, 3, 224, 224), of="receptive-field-too-large")
    assert found.severity == "note"
    assert "435x435 px" in str(found.what)
    assert found.evidence[1].layer.startswith("layer4.0")  # 243 of 224, after 211 in layer3


# --- parameters, costs, lanes --------------------------------------------------------------------


def test_vgg_keeps_most_parameters_in_its_first_linear_layer(diagnosed):
    with torch.device("meta"):
        model = build("vgg16", num_classes=1000, in_channels=3, input_size=(224, 224))
    (found,) = diagnosed(model, (1, 3, 224, 224), of="parameters-in-one-layer")
    assert found.severity == "note"
    assert found.layers == ("classifier.0",)
    assert found.evidence[1].value == 138_357_544
    assert found.evidence[1].baseline == 138_357_544 - 512 * 48 * 4096


def test_a_perceptron_has_no_map_to_average(diagnosed):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 1000), nn.ReLU(), nn.Linear(1000, 10))
    assert diagnosed(model, (1, 1, 28, 28), of="parameters-in-one-layer") == []


def test_one_dense_convolution_that_costs_half_is_named_with_its_alternatives(diagnosed):
    model = nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 5, padding=2), nn.ReLU()
    )
    (found,) = diagnosed(model, (1, 3, 64, 64), of="cheaper-convolution")
    places = 64 * 64
    assert found.layers == ("2",)
    assert found.evidence[0].value == pytest.approx(102_400 / (102_400 + 1_728))
    assert values(found)[1:] == [
        places * (25 * 64 + 64 * 64),  # depthwise, pointwise
        places * 25 * 64 * 64 // 4,  # four groups
        places * (64 * 16 + 25 * 16 * 64),  # through 16 channels
        places * 2 * 9 * 64 * 64,  # two of 3x3
    ]


@pytest.mark.parametrize("groups", [64, 4])
def test_a_grouped_convolution_is_left_alone(diagnosed, groups):
    model = nn.Sequential(nn.Conv2d(64, 64, 5, padding=2, groups=groups), nn.ReLU())
    assert diagnosed(model, (1, 64, 64, 64), of="cheaper-convolution") == []


def test_channels_just_above_a_multiple_of_eight_waste_lanes(diagnosed):
    def network(width):
        return nn.Sequential(
            nn.Conv2d(3, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU(),
            nn.Conv2d(width, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(width, 10),
        )  # fmt: skip

    (found,) = diagnosed(network(33), (1, 3, 64, 64), of="unaligned-channels")
    layers = [(62, 27, 33, 27, 40), (60, 9 * 33, 33, 9 * 40, 40), (58, 9 * 33, 33, 9 * 40, 40)]
    lost = sum(side**2 * (r * c - i * o) for side, i, o, r, c in layers) + 70
    total = sum(side**2 * i * o for side, i, o, _, _ in layers) + 330
    assert found.evidence[0].value == pytest.approx(lost / total)
    assert diagnosed(network(32), (1, 3, 64, 64), of="unaligned-channels") == []


# --- gridding, checkerboard ----------------------------------------------------------------------


def dilated(*rates):
    layers = []
    for rate in rates:
        layers += [nn.Conv2d(4, 4, 3, padding=rate, dilation=rate), nn.ReLU()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("rates", "read"), [((2, 2, 2), 49 / 169), ((2, 2), 25 / 81)])
def test_equal_rates_read_a_part_of_the_pixels(diagnosed, rates, read):
    (found,) = diagnosed(dilated(*rates), (1, 4, 32, 32), of="gridding")
    assert found.severity == "warn"
    assert values(found) == [2, pytest.approx(read)]


@pytest.mark.parametrize("rates", [(1, 2, 5), (1, 2, 4, 8), (2, 2, 1), (1, 2, 2), (2, 3), (2,)])
def test_rates_that_fill_the_field_are_fine(diagnosed, rates):
    assert diagnosed(dilated(*rates), (1, 4, 64, 64), of="gridding") == []


@pytest.mark.parametrize(("kernel", "stride", "most", "fewest"), [(3, 2, 4, 1), (5, 2, 9, 4)])
def test_a_kernel_that_is_no_multiple_of_the_stride_writes_unevenly(
    diagnosed, kernel, stride, most, fewest
):
    model = nn.Sequential(nn.ConvTranspose2d(4, 4, kernel, stride))
    (found,) = diagnosed(model, (1, 4, 8, 8), of="checkerboard")
    assert (found.severity, found.evidence[0].value, found.evidence[0].baseline) == (
        "note", most, fewest,
    )  # fmt: skip


def test_terms_agree_with_a_transposed_convolution_of_ones(diagnosed):
    for kernel, stride, dilation in [(3, 2, 1), (5, 3, 1), (4, 3, 2), (5, 2, 3)]:
        model = nn.Sequential(nn.ConvTranspose2d(1, 1, kernel, stride, dilation=dilation))
        (found,) = diagnosed(model, (1, 1, 24, 24), of="checkerboard")
        ones = torch.ones(1, 1, kernel, kernel)
        terms = F.conv_transpose2d(torch.ones(1, 1, 24, 24), ones, None, stride, dilation=dilation)
        inner = terms[..., 20:-20, 20:-20]
        assert (found.evidence[0].value, found.evidence[0].baseline) == (
            inner.max().item(), inner.min().item(),
        )  # fmt: skip


def test_a_kernel_smaller_than_the_stride_leaves_pixels_empty(diagnosed):
    (found,) = diagnosed(nn.Sequential(nn.ConvTranspose2d(4, 4, 2, 3)), (1, 4, 8, 8))
    assert (found.name, found.severity) == ("checkerboard", "warn")
    assert found.evidence[1].value == pytest.approx(1 - 4 / 9)


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 2), (3, 1), (16, 8)])
def test_a_multiple_of_the_stride_is_fine(diagnosed, kernel, stride):
    assert diagnosed(nn.Sequential(nn.ConvTranspose2d(4, 4, kernel, stride)), (1, 4, 8, 8)) == []


# --- bottleneck ----------------------------------------------------------------------------------


def test_three_units_before_a_hundred_classes_are_few(diagnosed):
    model = nn.Sequential(nn.Linear(64, 3), nn.ReLU(), nn.Linear(3, 100))
    (found,) = diagnosed(model, (1, 64), of="bottleneck")
    assert (found.severity, found.layers, found.evidence[0].threshold) == ("note", ("0",), 6.64)


class Gated(nn.Module):
    """Squeeze-and-excitation: the narrow way is beside the wide one."""

    def __init__(self):
        super().__init__()
        self.body, self.down, self.up = nn.Linear(64, 64), nn.Linear(64, 2), nn.Linear(2, 64)
        self.head = nn.Linear(64, 100)

    def forward(self, x):
        x = F.relu(self.body(x))
        return self.head(x * torch.sigmoid(self.up(F.relu(self.down(x)))))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Linear(64, 2), nn.ReLU(), nn.Linear(2, 64)),  # autoencoder
        nn.Sequential(nn.Linear(64, 7), nn.ReLU(), nn.Linear(7, 100)),
        Gated(),
    ],
    ids=["autoencoder", "enough", "gate"],
)
def test_codes_gates_and_wide_layers_are_fine(diagnosed, model):
    assert diagnosed(model, (1, 64), of="bottleneck") == []
