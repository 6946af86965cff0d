"""The settings that networks share: norm, activation, dropout, stem and width."""

import copy
import dataclasses
import typing

import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError
from netwright.inspection.outline import outline
from netwright.models import MODELS, build
from netwright.nn.activations import ActivationName, activation
from netwright.nn.normalisation import NormName

NORMS = {
    "batch": nn.BatchNorm2d,
    "layer": nn.GroupNorm,
    "instance": nn.InstanceNorm2d,
    "group": nn.GroupNorm,
}
MLP_NORMS = ("mlp",)  # norms of vectors, tested where it stands


def having(field: str) -> list[str]:
    return [
        entry.name
        for entry in MODELS
        if entry.options is not None
        and field in {each.name for each in dataclasses.fields(entry.options)}
        and entry.name not in MLP_NORMS
    ]


def on_meta(name: str, **options: object) -> nn.Module:
    # narrow: only what the settings put between the layers is looked at
    channels, *size = MODELS.get(name).facts["input"]
    narrow = {"width": 0.125} if name in having("width") else {}
    with torch.device("meta"):
        return build(
            name,
            num_classes=3,
            in_channels=channels,
            input_size=(size[0], size[1]),
            options={**narrow, **options},
        )


def kinds(model: nn.Module) -> set[type[nn.Module]]:
    return {type(each) for each in model.modules()}


@pytest.mark.parametrize("name", having("norm"))
def test_every_network_with_norms_takes_each_of_them(name: str) -> None:
    every = set(NORMS.values())
    for norm, kind in NORMS.items():
        assert kinds(on_meta(name, norm=norm)) & every == {kind}
    for none in ("none", None):
        assert kinds(on_meta(name, norm=none)) & every == set()


@pytest.mark.parametrize("name", having("act"))
def test_every_network_with_activations_takes_another_in_each_place(name: str) -> None:
    usual = kinds(on_meta(name)) - kinds(on_meta(name, act="silu"))
    assert len(usual) == 1  # ReLU or ReLU6, and none is left
    assert nn.SiLU in kinds(on_meta(name, act="silu"))


@pytest.mark.parametrize("act", typing.get_args(ActivationName))
def test_every_activation_trains_a_network_with_finite_gradients(act: ActivationName) -> None:
    torch.manual_seed(0)
    options = {"act": act, "norm": "group", "width": 0.125}
    model = build("resnet18", num_classes=3, in_channels=1, input_size=(8, 8), options=options)
    assert type(activation(act)) in kinds(model)
    model(torch.randn(2, 1, 8, 8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", having("dropout"))
def test_every_network_with_dropout_takes_its_rate(name: str) -> None:
    rates = [each.p for each in on_meta(name, dropout=0.25).modules() if type(each) is nn.Dropout]
    assert rates
    assert set(rates) == {0.25}


@pytest.mark.parametrize("name", having("stem"))
def test_small_images_get_the_small_stem_and_keep_more_places(name: str) -> None:
    def last_map(stem: str, side: int) -> int:
        options = {"stem": stem, "width": 0.125}
        with torch.device("meta"):
            model = build(
                name, num_classes=3, in_channels=3, input_size=(side, side), options=options
            )
        maps = [row.output for row in outline(model, (3, side, side)) if "Conv2d" in row.kind]
        return max(each[1] for each in maps)

    assert last_map("auto", 63) == last_map("small", 63) == 63
    assert last_map("auto", 64) == last_map("standard", 64) <= 32


@pytest.mark.parametrize("name", having("width"))
def test_half_the_width_is_about_a_quarter_of_the_parameters(name: str) -> None:
    def count(width: float) -> int:
        with torch.device("meta"):
            model = MODELS.get(name).target(num_classes=10, width=width)
        return sum(each.numel() for each in model.parameters())

    # the 1280 last maps of MobileNetV2 are not narrowed
    assert 0.24 < count(0.5) / count(1.0) < 0.32


def test_a_small_image_under_the_standard_stem_is_refused_with_the_small_one_advised() -> None:
    with pytest.raises(
        SettingError,
        match=r"resnet50 with its standard stem needs images of at least 32x32 pixels; these are "
        r"28x28\.\nSet model\.stem=small, made for small images, or enlarge",
    ):
        build(
            "resnet50",
            num_classes=3,
            in_channels=1,
            input_size=(28, 28),
            options={"stem": "standard"},
        )


def test_instance_norm_over_maps_of_one_pixel_is_refused() -> None:
    with pytest.raises(
        SettingError,
        match=r"model\.norm: instance needs maps of more than one pixel, and resnet18 has smaller "
        r"ones for images of 8x8\.\nEnlarge them with data\.size, or set model\.norm=group",
    ):
        build(
            "resnet18",
            num_classes=3,
            in_channels=1,
            input_size=(8, 8),
            options={"norm": "instance", "width": 0.125},
        )


@pytest.mark.parametrize("norm", ["layer", "group", "instance"])
def test_norms_of_one_sample_do_not_see_the_others(norm: NormName) -> None:
    torch.manual_seed(0)
    options = {"norm": norm, "width": 0.125, "stem": "small"}
    model = build("resnet18", num_classes=3, in_channels=1, input_size=(16, 16), options=options)
    images = torch.randn(3, 1, 16, 16)
    torch.testing.assert_close(model(images)[:1], model(images[:1]), rtol=1e-4, atol=1e-5)


def test_a_network_in_training_can_be_copied() -> None:
    options = {"aux": True, "width": 0.125}
    model = build("googlenet", num_classes=3, in_channels=1, input_size=(16, 16), options=options)
    model(torch.randn(2, 1, 16, 16))
    assert copy.deepcopy(model).get_parameter("fc.weight").shape == (3, 128)
