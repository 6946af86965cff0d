"""The networks that torchvision has too take its state dicts: same names, same shapes.

The lists in `layouts/` were written from torchvision's constructors by `layouts/write_layouts.py`;
their totals are the parameters and multiply-adds that torchvision's documentation publishes.
"""

from math import prod
from pathlib import Path

import pytest
import torch

from netwright.models import MODELS

LAYOUTS = Path(__file__).parent / "layouts"
NAMES = [entry.name for entry in MODELS if "torchvision" in entry.facts]

# "num_params" and "GFLOPS" (multiply-adds, in fact) on torchvision's page of each network; for
# GoogLeNet the page gives 6,624,904, without the 6,379,984 of the two auxiliary heads.
PUBLISHED = {
    "alexnet": (61_100_840, 0.714),
    "googlenet": (13_004_888, 1.498),
    "mobilenet_v2": (3_504_872, 0.301),
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
    "squeezenet1_0": (1_248_424, 0.819),
    "squeezenet1_1": (1_235_496, 0.349),
    "vgg11": (132_863_336, 7.609),
    "vgg11_bn": (132_868_840, 7.609),
    "vgg13": (133_047_848, 11.308),
    "vgg13_bn": (133_053_736, 11.308),
    "vgg16": (138_357_544, 15.470),
    "vgg16_bn": (138_365_992, 15.470),
    "vgg19": (143_667_240, 19.632),
    "vgg19_bn": (143_678_248, 19.632),
}


def layers(name: str) -> list[tuple[str, str, tuple[int, ...], int]]:
    """Name, kind, shape of the weight and side of the output of each layer in a list."""
    found = []
    for line in (LAYOUTS / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            layer, kind, shape, *side = line.split()
            sides = tuple(int(each) for each in shape.split("x"))
            found.append((layer, kind, sides, int(side[0]) if side else 1))
    return found


def state_dict_of(name: str) -> dict[str, tuple[int, ...]]:
    expected: dict[str, tuple[int, ...]] = {}
    for layer, kind, shape, _ in layers(name):
        expected[f"{layer}.weight"] = shape
        if kind != "conv":
            expected[f"{layer}.bias"] = shape[:1]
        if kind == "norm":
            expected[f"{layer}.running_mean"] = expected[f"{layer}.running_var"] = shape
            expected[f"{layer}.num_batches_tracked"] = ()
    return expected


def learnt(name: str) -> int:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return sum(prod(s) for n, s in state_dict_of(name).items() if not n.endswith(buffers))


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_those_of_torchvision(name: str) -> None:
    aux = {"aux": True} if name == "googlenet" else {}
    with torch.device("meta"):
        model = MODELS.get(name).target(**aux)
    actual = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    assert actual == state_dict_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_each_list_adds_up_to_the_published_figures(name: str) -> None:
    macs = sum(
        prod(shape) * side**2
        for layer, kind, shape, side in layers(name)
        if kind != "norm" and not layer.startswith("aux")  # they rest when an image is classified
    )
    assert (learnt(name), round(macs / 1e9, 3)) == PUBLISHED[name]
    assert macs == MODELS.get(name).facts["macs"]


def test_the_lists_are_those_of_the_networks_that_name_torchvision() -> None:
    assert sorted(path.stem for path in LAYOUTS.glob("*.txt")) == sorted(NAMES)
    assert sorted(PUBLISHED) == sorted(NAMES)
