"""Normalisation of feature maps by name: over what each one takes its mean and its spread.

Every one computes y = (x - mean) / sqrt(var + eps) * weight + bias, with a weight and a bias for
each channel, on maps (N, C, H, W). They differ in the values that share a mean:

    batch     one channel, all samples of the batch     Ioffe & Szegedy 2015
    layer     one sample, all channels                  Ba, Kiros & Hinton 2016
    group     one sample, an eighth of the channels     Wu & He 2018, Group normalization
    instance  one sample, one channel                   Ulyanov, Vedaldi & Lempitsky 2016

The result has mean 0 and variance 1 before weight and bias, and the shape of distribution it had:
it is not made normal.

Choosing: `batch` for batches of 16 and more, `group` below; `instance` for style, not for classes;
`none` to see what a norm does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from torch import nn

from netwright.core.registry import Registry

NormName: TypeAlias = Literal["batch", "layer", "instance", "group", "none"]

NORMS: Registry[Callable[[int, float], nn.Module]] = Registry(
    "normalisation", "netwright.nn.normalisation", listing="netwright ls normalisations"
)
"""What makes each norm, under the name that `model.norm` takes: a function of channels and eps."""


def normalisation(name: NormName | None, channels: int, *, eps: float = 1e-5) -> nn.Module:
    """A fresh norm over maps of `channels` channels; `nn.Identity` for "none" (or None).

    `layer` is one group of all channels, as Wu & He (section 3.1) describe it: it needs no fixed
    height and width. `group` makes 8 groups, fewer where 8 does not divide the channels; maps of 8
    channels make it an instance norm.

    Not to be taken lightly: batch norm depends on the other samples of a batch and is poor below
    about 8 of them; instance norm needs maps of more than one pixel.

    >>> normalisation("group", 64).num_groups, normalisation("layer", 64).num_groups
    (8, 1)
    """
    return NORMS.get(name or "none").target(channels, eps)


def normalises(name: NormName | None) -> bool:
    """Whether a norm of this name shifts what it gets, so that a bias before it is idle.

    YAML may say none or null: both mean no norm.
    """
    return name not in (None, "none")


@NORMS.register("batch")
def batch(channels: int, eps: float) -> nn.Module:
    """Batch normalisation: each channel less its mean over the batch, divided by its spread.

        training    mean and var over (N, H, W) of this batch, var divided by N H W
        evaluation  running means of both, gathered in training (a tenth of each batch)

    Maps (N, C, H, W) to maps of the same shape; 2 C parameters, and 2 C running numbers that are no
    parameters. Weight and bias let it give back any scale; the bias of the convolution before it is
    idle and left out. The published reason, that the inputs of each layer keep their distribution,
    is disputed: noise put in behind it took nothing away (Santurkar et al. 2018, and in our
    measurement 2 epochs with and without the noise, 23 without the norm). What is certain: BN(a W
    x) = BN(W x), so the scale of weights does not matter.

    Source: Ioffe & Szegedy 2015, Batch normalization: accelerating deep network training by
    reducing internal covariate shift.

    When to use it: the default of convolutional networks with batches of 16 and more. It bears
    higher rates and poorer first weights: 11 of 15 pairs of rate and scale trained with it, 1 of 15
    without.

    What goes wrong: the noise of a sample's values grows as 1 / sqrt(batch): with few images *and*
    small maps it ruins training (a fully connected network at 2 images a step: 0.68 against 0.95
    with `layer`; at maps of many positions 2 images hardly hurt). A batch of one value for each
    channel is refused by torch. Forgotten `eval()` makes answers depend on the company of an image.
    Batches of sorted or special images give running means that fit no other. Dropout *before* it
    changes the variance between training and evaluation (to 0.32 of it): behind the last norm it is
    safe. It is no cure for over-fitting: 30 % wrong labels were learned by heart with it.

    >>> from torch import tensor
    >>> batch(1, 1e-5)(tensor([[[[1.0]]], [[[3.0]]]])).detach().flatten().round(decimals=3)
    tensor([-1.,  1.])
    """
    return nn.BatchNorm2d(channels, eps=eps)


@NORMS.register("layer")
def layer(channels: int, eps: float) -> nn.Module:
    """Layer normalisation: each image less its mean over all channels and places.

    Mean and variance over (C, H, W) of each sample; maps (N, C, H, W) to maps of the same shape; 2
    C parameters. Here one group of all channels, which needs no fixed height and width. Training
    and evaluation are alike, and so is any size of batch.

    Source: Ba, Kiros & Hinton 2016, Layer normalization; for maps Wu & He 2018, sec. 3.1.

    When to use it: batches of a few images; transformers and recurrent networks, where it is taken
    over the last axis.

    What goes wrong: all channels share a mean, so a channel that is always small stays small; in
    convolutional networks `group` usually serves better. The bias before it is not idle in theory
    (a shift of one channel remains), but is left out as with the others.

    >>> from torch import tensor
    >>> layer(2, 1e-5)(tensor([[[[1.0]], [[3.0]]]])).detach().flatten().round(decimals=3)
    tensor([-1.,  1.])
    """
    return nn.GroupNorm(1, channels, eps=eps)


@NORMS.register("group")
def group(channels: int, eps: float) -> nn.Module:
    """Group normalisation: each image less the mean of each eighth of its channels.

    Mean and variance over (C / 8, H, W) of each sample and group; maps (N, C, H, W) to maps of the
    same shape; 2 C parameters. The groups are fewer where 8 does not divide the channels. One group
    is `layer`, as many groups as channels are `instance`. Training and evaluation are alike.

    Source: Wu & He 2018, Group normalization.

    When to use it: batches below about 8 images, as in detection and segmentation; wherever an
    answer may not depend on the other images of the batch.

    What goes wrong: with large batches `batch` is usually a little better, and it cannot be folded
    into the convolution for use, as `batch` can. Maps of 8 channels make it an instance norm, which
    takes the contrast of each map away and fails on maps of one pixel.

    >>> group(64, 1e-5).num_groups, group(12, 1e-5).num_groups
    (8, 4)
    """
    return nn.GroupNorm(math.gcd(8, channels), channels, eps=eps)


@NORMS.register("instance")
def instance(channels: int, eps: float) -> nn.Module:
    """Instance normalisation: each map of each image less its own mean.

    Mean and variance over (H, W) of each sample and channel; maps (N, C, H, W) to maps of the same
    shape; 2 C parameters, no running means. Training and evaluation are alike.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, Instance normalization: the missing ingredient for
    fast stylization.

    When to use it: style transfer and image-to-image networks, where the contrast of an image is
    what should go.

    What goes wrong: how strongly a map answers is often what tells classes apart, and that is what
    it removes. The mean over each map behind it is the same for every image (its bias), so nothing
    is left to classify unless an activation stands between. Maps of one pixel have no spread, and
    are refused.

    >>> from torch import tensor
    >>> instance(1, 1e-5)(tensor([[[[1.0, 3.0]]]])).detach().flatten().round(decimals=3)
    tensor([-1.,  1.])
    """
    return nn.InstanceNorm2d(channels, eps=eps, affine=True)


@NORMS.register("none")
def none(channels: int, eps: float) -> nn.Module:
    """No normalisation: maps pass as they are.

    The convolution before it then has a bias. Nothing depends on the batch, nothing is to be stored
    besides the weights, and a step is faster.

    When to use it: shallow networks, the layouts of before 2015 (AlexNet, VGG, SqueezeNet), and to
    see what a norm does.

    What goes wrong: first weights have to keep the signal (`init=he` for ReLU, or `init=lsuv`), the
    rate has to be smaller and wants warm-up; in residual networks every block adds its variance to
    the sum. Ten ReLU layers with weights of spread 0.01 stay at 10 %, with He's they reach 98.6 %.

    >>> none(3, 1e-5)
    Identity()
    """
    return nn.Identity()
