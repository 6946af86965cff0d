"""Weights of another number of channels: the first convolution answers as that of the file does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from netwright.data.preprocessing import Preprocessing
from netwright.models import build
from netwright.models.weights.channels import adapt, first_layer, shares, statistics_of

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ALIKE = ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
GREY = ((0.3,), (0.2,))


def trained(name, channels, side=16, **options):
    """A network whose weights, biases and statistics are all of their own."""
    torch.manual_seed(3)
    size = (side, side)
    model = build(name, num_classes=4, in_channels=channels, input_size=size, options=options)
    for each in [*model.parameters(), *model.buffers()]:
        if each.is_floating_point():
            each.data.add_(0.05 * torch.rand_like(each))
    return model.eval()


def answers(theirs, ours, statistics, *, given, own, side=16):
    """Of the file's network, and of ours after it was adapted, to the same picture in all of their
    channels, each behind its preprocessing; and what was adapted."""
    mean, std = statistics
    made = adapt(ours, theirs.state_dict(), shape=(own, side, side), mean=mean, std=std)
    ours.load_state_dict(made.tensors)
    grey = torch.randint(0, 256, (5, 1, side, side), dtype=torch.uint8)
    told = []
    for model, channels, (means, stds) in (
        (theirs, given, statistics), (ours, own, statistics_of(mean, std, own)),
    ):  # fmt: skip
        prepare = Preprocessing(channels=channels, size=(side, side), mean=means, std=stds)
        with torch.no_grad():
            told.append(model(prepare(grey.expand(-1, channels, -1, -1))))
    return (*told, made.names)


@pytest.mark.parametrize("name", ["resnet20", "lenet5"])
@pytest.mark.parametrize(
    ("given", "own", "statistics"),
    [(3, 1, ALIKE), (3, 2, ALIKE), (3, 4, IMAGENET), (3, 6, IMAGENET), (1, 3, GREY), (1, 2, GREY)],
)
def test_a_picture_in_all_channels_is_answered_as_by_the_network_of_the_file(
    name, given, own, statistics
):
    theirs, ours = trained(name, given), trained(name, own)
    theirs, ours, names = answers(theirs, ours, statistics, given=given, own=own)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert len(names) == 1


def unpadded(channels):
    net = nn.Sequential(nn.Conv2d(channels, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()).eval()
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.5, 2)
    return net


def with_a_bias(channels):
    return trained("squeezenet1_0", channels, 24, stem="standard")


@pytest.mark.parametrize(
    ("make", "moved"), [(with_a_bias, "features.0.bias"), (unpadded, "1.running_mean")]
)
def test_grey_has_no_tint_to_a_network_that_was_normalised_by_channel(make, moved):
    """With the statistics of ImageNet a grey image is bluish to the network of the file."""
    theirs, ours, names = answers(make(3), make(1), IMAGENET, given=3, own=1, side=24)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert names[1:] == (moved,)


def test_only_the_padded_border_knows_the_tint():
    """What is padded is 0 to the file's network and has no tint; there alone the two differ."""
    nets = [nn.Sequential(nn.Conv2d(n, 4, 3, padding=1)) for n in (3, 1)]
    theirs, ours, _ = answers(*nets, IMAGENET, given=3, own=1)
    apart = (ours - theirs).abs().amax((0, 1))
    assert apart[1:-1, 1:-1].max() < 1e-5
    assert apart[0].max() > 1e-3


def test_without_statistics_kernels_are_added_up_as_timm_does():
    theirs, ours = trained("resnet20", 3), trained("resnet20", 1)
    made = adapt(ours, theirs.state_dict(), shape=(1, 16, 16))
    torch.testing.assert_close(made.tensors["conv1.weight"], theirs.conv1.weight.sum(1, True))
    assert made.names == ("conv1.weight",)


def test_six_channels_have_every_kernel_twice_at_half_its_weight():
    theirs, ours = trained("resnet20", 3), trained("resnet20", 6)
    made = adapt(ours, theirs.state_dict(), shape=(6, 16, 16), mean=(0.1, 0.2, 0.3),
                 std=(1.0, 1.0, 1.0))  # fmt: skip
    torch.testing.assert_close(made.tensors["conv1.weight"],
                               theirs.conv1.weight.repeat(1, 2, 1, 1) / 2)  # fmt: skip


@pytest.mark.parametrize("given", range(1, 8))
@pytest.mark.parametrize("own", range(1, 8))
def test_nothing_of_a_channel_is_lost_or_added(given, own):
    dealt = shares(given, own)
    assert dealt.shape == (own, given)
    assert torch.allclose(dealt.sum(0), torch.ones(given).double())
    assert (dealt.sum(1) > 0).all()


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
        nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 6, 3)),
        nn.Sequential(nn.Conv2d(1, 6, 5)),
        nn.Sequential(nn.Conv2d(1, 8, 3)),
        nn.ReLU(),
    ],
    ids=["linear", "norm-before", "other-kernel", "other-maps", "no-layer"],
)
def test_nothing_but_the_channels_of_a_first_convolution_is_adapted(net):
    held = {f"{i}.weight": torch.ones(6, 3, 3, 3) for i in range(3)}
    assert adapt(net, held, shape=(1, 8, 8)) is None


def test_a_grouped_convolution_is_not_adapted():
    net = nn.Sequential(nn.Conv2d(2, 6, 3, groups=2))
    assert adapt(net, {"0.weight": torch.ones(6, 3, 3, 3)}, shape=(2, 8, 8)) is None


def test_half_precision_is_added_up_in_full():
    net = nn.Sequential(nn.Conv2d(1, 2, 1))
    held = {"0.weight": torch.tensor([[2048.0, 1, 1], [1, 1, 1]]).half()[:, :, None, None]}
    made = adapt(net, held, shape=(1, 4, 4))
    assert made.tensors["0.weight"].flatten().tolist() == [2050.0, 3.0]


class Odd(nn.Module):
    """Its layers are registered in another order than images come to them."""

    def __init__(self):
        super().__init__()
        self.late = nn.Conv2d(4, 5, 3)
        self.early = nn.Conv2d(3, 4, 3)
        self.drop = nn.Dropout()

    def forward(self, images):
        return self.late(self.drop(self.early(images)))


def test_the_first_layer_is_the_one_that_an_image_comes_to_first():
    net = Odd().train()
    net.late.eval()
    before = torch.get_rng_state()
    found = first_layer(net, (3, 8, 8))
    assert (found.name, found.norm) == ("early", None)
    assert (net.drop.training, net.late.training) == (True, False)
    assert torch.equal(before, torch.get_rng_state())
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in net.modules())


def test_a_norm_that_does_not_follow_at_once_is_none_of_its():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    assert first_layer(net, (3, 8, 8)).norm is None


def test_a_network_that_does_not_take_such_images_has_no_first_layer_that_is_adapted():
    net = nn.Sequential(nn.Unflatten(1, (7, 9)), nn.Conv2d(3, 4, 3))
    assert first_layer(net, (3, 8, 8)) is None
