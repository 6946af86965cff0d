"""What is exported computes what predict does, and what cannot be exported says why."""

import pytest
import torch
from torch import nn

from netwright.core.errors import SettingError
from netwright.export.graph import SelfContained, quiet, recorded, self_contained


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_preprocessing_inside_is_that_of_the_run_to_the_bit(make, channels, dtype):
    given = make(nn.Identity(), channels=channels, dtype=dtype)
    images = torch.arange(256).repeat(channels * 30)[: 4 * channels * 30].view(4, channels, 6, 5)
    images = images.to(dtype) if dtype == torch.uint8 else images / 255 - 0.3
    inside = SelfContained(nn.Identity(), given.preprocessing, dtype)(images)[0]
    assert torch.equal(inside, given.preprocessing(images))


def test_logits_are_those_of_the_network_and_probabilities_their_softmax(given, images, in_torch):
    with torch.no_grad():
        logits, probabilities = self_contained(given)(images)
    wanted, expected = in_torch(images)
    assert torch.equal(logits, wanted)
    assert torch.equal(probabilities, expected)


def test_the_graph_takes_any_number_of_images_and_no_other_size(given, images, in_torch):
    program = recorded(given)
    run = program.module()
    for count in (1, 2, 7, 17):
        assert torch.equal(run(images[:count])[0], in_torch(images[:count])[0])
    with pytest.raises((AssertionError, RuntimeError), match=r"shape|Guard"):
        run(images[:, :, :5])


class Branches(nn.Module):
    def forward(self, x):
        x = x.flatten(1)[:, :2]
        if x.sum() > 0:
            x = x * 2
        return x


class FixedBatch(nn.Module):
    def forward(self, x):
        return x.reshape(2, -1)[:, :2]


class Raises(nn.Module):
    def forward(self, x):
        raise LookupError("no such layer\nand more")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Branches(), r"data-dependent expression.*test_graph.py:\d+"),
        (FixedBatch(), r"torch.export says: .*"),
        (Raises(), r"LookupError: no such layer \(.*test_graph.py:\d+\)"),
    ],
    ids=["branch", "fixed batch", "raises"],
)
def test_what_cannot_be_recorded_says_why_and_where_in_one_line(make, capfd, network, reason):
    with pytest.raises(SettingError, match=reason) as found:
        recorded(make(network))
    assert str(found.value).count("\n") == 1  # the reason, and the way out
    assert capfd.readouterr() == ("", "")


def test_what_torch_says_by_the_way_stays_off_the_screen(capfd):
    import logging
    import warnings

    levels = logging.getLogger("torch").level
    with quiet():
        warnings.warn("of no interest", stacklevel=1)
        logging.getLogger("torch.onnx").warning("torchvision is not installed")
        print("[torch.onnx] done")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch").level == levels


def test_a_part_that_rests_in_evaluation_is_not_in_the_file(make, images):
    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head, self.aux = nn.BatchNorm2d(3), nn.Linear(90, 2), nn.Linear(90, 2)

        def forward(self, x):
            x = self.norm(x).flatten(1)
            return self.head(x) + self.aux(x) if self.training else self.head(x)

    given = make(Auxiliary())
    program = recorded(given)
    assert not [name for name in program.state_dict if "aux" in name or "tracked" in name]
    with torch.no_grad():
        wanted = self_contained(given)(images)[0]
    assert torch.equal(program.module()(images)[0], wanted)
