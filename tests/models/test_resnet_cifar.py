import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from netwright.models import build
from netwright.models.resnet_cifar import PadShortcut, resnet20, resnet56


def test_the_depth_counts_the_layers_on_the_longest_path() -> None:
    layers = [each for each in resnet56().modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    assert len(layers) == 56


def test_option_a_takes_every_second_pixel_and_pads_half_the_maps_on_each_side() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3).expand(1, 2, 3, 3)
    out = PadShortcut(extra=2, stride=2)(x)
    assert out.shape == (1, 4, 2, 2)
    assert out[0, 1].tolist() == [[0.0, 2.0], [6.0, 8.0]]
    assert out[0, 0].abs().sum() == 0
    assert out[0, 3].abs().sum() == 0


def test_option_b_adds_two_projections() -> None:
    count = sum(each.numel() for each in resnet20(shortcut="projection").parameters())
    assert count == 269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


def test_an_image_of_any_size_is_taken() -> None:
    for size in [(1, 1), (8, 8), (7, 20)]:
        model = build("resnet20", num_classes=3, in_channels=1, input_size=size).eval()
        assert model(torch.zeros(2, 1, *size)).shape == (2, 3)


def test_group_norm_gives_a_sample_the_same_answer_in_training() -> None:
    model = resnet20(norm="group").train()
    images = torch.randn(3, 3, 16, 16)
    torch.testing.assert_close(model(images)[:1], model(images[:1]), rtol=1e-4, atol=1e-4)


@pytest.mark.shared_data("cifar10.zip", "weights/resnet20_cifar10.safetensors")
def test_published_weights_load_strictly_and_classify_cifar10(shared_data: Path) -> None:
    model = resnet20().eval()
    model.load_state_dict(load_file(shared_data / "weights" / "resnet20_cifar10.safetensors"))
    images, target = _test_images(shared_data / "cifar10.zip")
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    with torch.no_grad():
        parts = [model((part / 255 - mean) / std).argmax(1) for part in images.split(500)]
    # 91.73 % on all 10,000, as published
    assert (torch.cat(parts) == target).float().mean() >= 0.91


def _test_images(path: Path) -> tuple[Tensor, Tensor]:
    """A quarter of CIFAR-10's test set: the first of four mosaics of 50 x 50 images."""
    with zipfile.ZipFile(path) as archive:
        mosaic = next(name for name in archive.namelist() if name.endswith("test_00.webp"))
        labels = next(name for name in archive.namelist() if name.endswith("test_labels.npy"))
        pixels = np.asarray(Image.open(io.BytesIO(archive.read(mosaic))).convert("RGB"))
        target = np.load(io.BytesIO(archive.read(labels)), allow_pickle=False)
    tiles = pixels.reshape(50, 32, 50, 32, 3).swapaxes(1, 2).reshape(-1, 32, 32, 3)
    images = torch.from_numpy(tiles.copy()).permute(0, 3, 1, 2).float()
    return images, torch.from_numpy(target[: len(tiles)].astype(np.int64))
