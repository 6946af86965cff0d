"""The effective receptive field, where it is known: stacks of equal convolutions."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from netwright.core.errors import SettingError, UnknownNameError
from netwright.inspection.effective_field import effective_field, noise
from netwright.models import build


def stack(depth: int, *, channels: int = 1, kernel: int = 3) -> nn.Sequential:
    layers = [
        nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False) for _ in range(depth)
    ]
    return nn.Sequential(*layers)


def equal(net: nn.Sequential) -> nn.Sequential:
    for layer in net:
        nn.init.constant_(layer.weight, 1 / 9)
    return net


def by_convolution(depth: int) -> np.ndarray:
    """The gradient of the middle of a stack of equal 3x3 kernels: the kernel with itself."""
    side = np.ones(1)
    for _ in range(depth):
        side = np.convolve(side, np.ones(3) / 3)
    return np.outer(side, side)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_equal_weights_give_the_kernel_convolved_with_itself(depth: int) -> None:
    side = 2 * depth + 1
    found = effective_field(equal(stack(depth)), str(depth - 1), noise((1, side, side), 2))
    gradient = by_convolution(depth)
    assert np.allclose(found.mass, gradient**2 / (gradient**2).sum(), rtol=1e-4)
    assert found.rows == found.columns == (0, side - 1)
    assert found.unit == (depth, depth)
    assert found.centre == pytest.approx((depth, depth), abs=1e-5)


def test_the_width_grows_like_the_root_of_the_depth_and_not_like_the_field() -> None:
    """For a nearly Gaussian gradient of variance n (k^2 - 1) / 12, its square has half of it."""
    for depth in (9, 16, 36):
        side = 2 * depth + 1
        found = effective_field(equal(stack(depth)), str(depth - 1), noise((1, side, side), 1))
        expected = math.sqrt(depth * (9 - 1) / 12 / 2)
        assert found.sigma == pytest.approx((expected, expected), rel=0.03)
        assert found.diameter == pytest.approx(4 * expected, rel=0.03)


def test_random_weights_have_the_variance_of_the_paper() -> None:
    """Luo et al. 2016, section 2.1: n (k^2 - 1) / 12; and the boxes that RF-7 measured."""
    torch.manual_seed(0)
    boxes = []
    for depth in (5, 20):
        side = 2 * depth + 1
        net = stack(depth, channels=8)
        found = effective_field(net, str(depth - 1), noise((8, side, side), 1))
        expected = math.sqrt(depth * 8 / 12)
        assert found.sigma == pytest.approx((expected, expected), rel=0.15)
        boxes.append(found.box(0.955) / side)
    assert boxes == pytest.approx([0.82, 0.46], abs=0.08)


def test_a_pool_spreads_its_mass_evenly() -> None:
    found = effective_field(nn.Sequential(nn.AvgPool2d(4)), "0", noise((1, 8, 8), 1))
    assert found.unit == (1, 1)
    assert found.rows == (4, 7)
    assert np.allclose(found.mass[4:, 4:], 1 / 16)
    assert found.pixels() == 16
    assert found.area_share == 1.0
    assert found.box() == 4


def test_a_given_unit_at_the_rim_and_its_field_in_the_padding() -> None:
    found = effective_field(equal(stack(2)), "1", noise((1, 9, 9), 1), unit=(0, 8))
    assert (found.rows, found.columns) == ((-2, 2), (6, 10))
    assert found.theoretical == (3, 3)
    assert found.mass[3:].sum() == found.mass[:, :6].sum() == 0


def test_a_global_layer_has_the_whole_image_as_its_field() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1))
    found = effective_field(net, "1", noise((1, 6, 7), 1))
    assert (found.rows, found.columns) == ((0, 5), (0, 6))


def test_images_are_looked_at_in_parts_and_averaged() -> None:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 3, padding=1))
    images = noise((1, 7, 7), 11)
    whole = effective_field(net, "2", images)
    assert whole.images == 11
    summed = np.zeros((7, 7))
    for image in images:
        given = image[None].clone().requires_grad_(True)
        net(given)[0, :, 3, 3].sum().backward()
        assert given.grad is not None
        summed += given.grad[0, 0].double().square().numpy()
    assert np.allclose(whole.mass, summed / summed.sum(), rtol=1e-4)


class Fussy(nn.Module):
    """Counts its runs, draws random numbers, keeps statistics, works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.norm = nn.BatchNorm2d(2)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x + torch.rand(1).item() * 1e-3
        return self.head(self.act(self.norm(self.conv(x))).mean((2, 3)))


def test_mode_weights_gradients_statistics_and_random_numbers_are_as_before() -> None:
    net = Fussy().train()
    net.head.eval()
    net.conv.weight.grad = torch.ones_like(net.conv.weight)
    before = copy.deepcopy(net.state_dict())
    random = torch.get_rng_state()
    with torch.no_grad():
        effective_field(net, "norm", noise((1, 6, 6), 2))
        with pytest.raises(SettingError):
            effective_field(net, "head", noise((1, 6, 6), 2))
    assert torch.equal(torch.get_rng_state(), random)
    assert [each.training for each in net.children()] == [True, True, True, False]
    assert torch.equal(net.conv.weight.grad, torch.ones_like(net.conv.weight))
    assert net.norm.weight.grad is None
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not net.norm._forward_hooks


def test_a_network_in_single_precision_takes_images_in_double() -> None:
    images = noise((1, 6, 6), 1).double()
    assert effective_field(stack(1), "0", images).mass.sum() == pytest.approx(1)


def test_the_field_of_a_real_network_is_narrower_than_the_theoretical_one() -> None:
    torch.manual_seed(0)
    net = build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32))
    layer = next(name for name, each in net.named_modules() if name.endswith("1.conv1"))
    found = effective_field(net, layer, noise((3, 32, 32), 4))
    assert found.area_share is not None
    assert found.area_share < 0.9
    assert found.facts()["layer"] == layer


def test_what_cannot_be_measured_is_refused_in_words() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 2))
    images = noise((1, 6, 6), 1)
    with pytest.raises(UnknownNameError, match="conv"):
        effective_field(net, "conv", images)
    with pytest.raises(SettingError, match=r"2 \(Linear\) puts out no maps"):
        effective_field(net, "2", images)
    with pytest.raises(SettingError, match=r"maps of 4x4; unit \(4, 0\) is outside"):
        effective_field(net, "0", images, unit=(4, 0))
    with pytest.raises(SettingError, match=r"on images \(N, C, H, W\); these are \(1, 6, 6\)"):
        effective_field(net, "0", images[0])
    nn.init.zeros_(net[0].weight)
    with pytest.raises(SettingError, match=r"No pixel moves unit \(2, 2\) of 0 \(Conv2d\)"):
        effective_field(net, "0", images)


def test_noise_is_the_same_each_time_and_leaves_the_generator_alone() -> None:
    random = torch.get_rng_state()
    assert torch.equal(noise((1, 2, 2), 3), noise((1, 2, 2), 3))
    assert torch.equal(torch.get_rng_state(), random)


def test_where_the_field_varies_the_theoretical_one_is_that_of_the_unit() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.Upsample(scale_factor=(2, 1.5), mode="bilinear")
    )
    nn.init.ones_(net[0].weight)
    for unit in [(4, 5), (5, 5), (6, 7), (0, 11)]:
        found = effective_field(net, "1", noise((1, 8, 8), 3), unit=unit)
        assert found.rows is not None
        assert found.columns is not None
        for (first, last), mass in (
            (found.rows, found.mass.sum(1)),
            (found.columns, found.mass.sum(0)),
        ):
            moving = np.flatnonzero(mass)
            assert (max(first, 0), min(last, 7)) == (moving[0], moving[-1]), unit
