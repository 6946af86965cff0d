"""Filters and feature maps of a loaded network: numbers, pictures, words; and their evidence."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import netwright as nw
from netwright.core.errors import DataError, SettingError, UnknownNameError
from netwright.data.dataset import MemoryImages
from netwright.data.preprocessing import Preprocessing
from netwright.models import build
from netwright.records.run import Run
from netwright.report.page import render
from netwright.tasks.feature_evidence import write_features, write_first_filters
from netwright.tasks.layer_pictures import picture_feature_maps, picture_filters


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures") / "run"
    nw.train("digits", model="lenet5", data__size=12, steps=20, run_dir=folder)
    return folder


@pytest.fixture(scope="module")
def net(trained):
    return nw.load(trained)


def test_a_run_leaves_filters_of_both_ends_and_maps_of_two_classes(trained):
    found = Run(trained).evidence("features")
    assert found["filters"].shape == found["filters_start"].shape == (6, 5, 5, 3)
    assert (found["filters"] != found["filters_start"]).any()
    assert str(found["filter_layer"]) == "c1"
    assert found["image_target"][0] != found["image_target"][1]
    assert found["maps_0"].shape[:2] == (2, 6)
    assert found["map_shape"].shape == (len(found["map_layer"]), 3)
    assert 'id="features"' in render(Run(trained))


def test_the_evidence_says_what_the_network_says(trained, net):
    found = Run(trained).evidence("features")
    image = torch.from_numpy(found["images"][0][:, :, 0].copy())[None]  # 12x12: not shrunk
    chances = net(image[None]).double().softmax(1)[0]
    assert int(chances.argmax()) == found["image_pred"][0]
    assert float(chances.max()) == pytest.approx(found["image_probability"][0])
    layer, channel = str(found["map_layer"][0]), int(found["channels_0"][0])
    maps = net.feature_maps(image, layer).values.numpy()
    brightest = np.unravel_index(np.abs(maps[channel]).argmax(), maps[channel].shape)
    shown = np.abs(found["maps_0"][0, 0].astype(int) - 128)
    assert shown[brightest] == shown.max()


def test_filters_come_as_weights_and_as_a_picture(net, tmp_path):
    found = net.filters("c1")
    assert torch.equal(found.values, net.module.c1.weight)
    assert found.note == "6 of 6 filters"
    path = found.save(tmp_path / "filters.png")
    with Image.open(path) as picture:
        assert picture.size == (found.pixels.shape[1], found.pixels.shape[0])
    assert found.to_json()["shape"] == [6, 1, 5, 5]
    assert "data:image/png" in found._repr_html_()


def test_feature_maps_of_a_file_are_those_of_its_pixels(net, tmp_path):
    pixels = np.arange(144, dtype=np.uint8).reshape(12, 12)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    of_file = net.feature_maps(tmp_path / "a.png", "c3")
    of_array = net.feature_maps(pixels[None], "c3")
    assert torch.equal(of_file.values, of_array.values)
    with torch.no_grad():
        seen = net.preprocessing(torch.from_numpy(pixels)[None, None])
        module = net.module
        whole = []
        handle = module.c3.register_forward_hook(lambda *call: whole.append(call[2].clone()))
        module(seen)
        handle.remove()
    assert torch.equal(of_file.values, whole[0][0])
    assert len(of_file.channels) == len(set(of_file.channels)) == 16


def test_what_is_no_map_is_drawn_as_what_it_is(net):
    image = np.zeros((1, 12, 12), np.uint8)
    assert net.feature_maps(image, "output").note.startswith("10 of 10 values as bars")
    rows = nn.Sequential(nn.Flatten(2), nn.ReLU())
    found = picture_feature_maps(rows, torch.rand(1, 5, 2, 2), "1")
    assert found.note == "5 rows of 4 values"
    assert found.values.shape == (5, 4)


def test_a_layer_that_runs_often_is_shown_once_and_the_others_are_offered():
    act = nn.ReLU()
    twice = nn.Sequential(act, nn.Flatten(), act)
    image = torch.rand(1, 2, 3, 3)
    first, second = (picture_feature_maps(twice, image, "0", call=i) for i in (0, 1))
    assert first.note.endswith("the layer runs 2 times, this is call=0")
    assert (first.values.ndim, second.values.ndim) == (3, 1)
    with pytest.raises(SettingError, match="runs 2 times for an image; call=2 is not one"):
        picture_feature_maps(twice, image, "0", call=2)


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((70, 3, 7, 7), "64 of 70 filters"),
        ((5, 20, 3, 3), "5 of 5 filters, one row each; a tile is one of 20 input"),
        ((300, 8, 1, 1), "256 of 300 filters of 1x1, one row each; a column is one of 8"),
    ],
)
def test_filters_of_any_shape_have_a_picture(shape, note):
    conv = nn.Conv2d(shape[1], shape[0], shape[2])
    found = picture_filters(nn.Sequential(conv), "0")
    assert found.note.startswith(note)
    assert Image.open(io.BytesIO(found.png)).size[0] > 20


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda net: net.filters("f66"), UnknownNameError, 'No layer called "f66".\nNearest: f6'),
        (lambda net: net.filters("output"), SettingError, r"output \(Linear\) has no filters"),
        (lambda net: net.feature_maps("none.png", "c1"), DataError, "Cannot read none.png"),
        (lambda net: net.feature_maps(".", "c1"), SettingError, "is a folder: name one image"),
        (
            lambda net: net.feature_maps(np.zeros((3, 9, 9)), "c1"),
            SettingError,
            "The image is 3x9x9; the network takes 1x12x12",
        ),
        (lambda net: net.filters("c1").save("a.jpg"), SettingError, "a.jpg: pictures of layers"),
    ],
)
def test_wrong_questions_are_answered_in_words(net, ask, error, words):
    with pytest.raises(error, match=words):
        ask(net)


IMAGES = MemoryImages(torch.randint(0, 255, (4, 3, 32, 32), dtype=torch.uint8), np.arange(4) % 2)
RAW = Preprocessing(channels=3, size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.mark.parametrize("name", ["resnet20", "googlenet", "mobilenet_v2", "alexnet"])
def test_the_evidence_of_a_network_is_small(name, tmp_path):
    side = 64 if name == "alexnet" else 32
    images = IMAGES.replaced(IMAGES.pool.repeat(1, 1, side // 32, side // 32))
    net = build(name, num_classes=2, in_channels=3, input_size=(side, side)).eval()
    write_first_filters(tmp_path, net)
    raw = Preprocessing(channels=3, size=(side, side), mean=RAW.mean, std=RAW.std)
    assert write_features(tmp_path, net, images, raw) == ""
    path = tmp_path / "evidence" / "features.npz"
    assert path.stat().st_size < 150_000
    with np.load(path) as found:
        assert len(found["filters"]) > 0
        assert 0 < len(found["map_layer"]) <= 4
        assert np.array_equal(found["filters"], found["filters_start"])


def test_a_network_without_convolutions_leaves_that_it_has_none(tmp_path):
    net = build("mlp", num_classes=2, in_channels=3, input_size=(32, 32)).eval()
    write_first_filters(tmp_path, net)
    assert not (tmp_path / "samples").exists()
    assert write_features(tmp_path, net, IMAGES, RAW) == ""
    with np.load(tmp_path / "evidence" / "features.npz") as found:
        assert found.files == ["filters"]
        assert len(found["filters"]) == 0


class Shy(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)

    def forward(self, x):
        raise ValueError("not today")


def test_a_network_that_cannot_be_looked_at_leaves_its_filters_and_the_reason(tmp_path):
    assert write_features(tmp_path, Shy(), IMAGES, RAW) == "not today"
    with np.load(tmp_path / "evidence" / "features.npz") as found:
        assert len(found["filters"]) == 2
        assert "images" not in found.files


def test_filters_of_the_start_that_are_damaged_are_left_out(tmp_path):
    net = Shy()
    write_first_filters(tmp_path, net)
    (tmp_path / "samples" / "first-filters.npz").write_bytes(b"torn")
    write_features(tmp_path, net, IMAGES, RAW)
    with np.load(tmp_path / "evidence" / "features.npz") as found:
        assert "filters_start" not in found.files
