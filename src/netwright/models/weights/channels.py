"""Weights for images of another number of channels: the first convolution is adapted.

    netwright train digits resnet18 model.weights=resnet18.pth    # RGB weights, grey images

A network that sees the same picture in all its channels must answer as the network of the
weights does: its kernels are added up, or shared out, so that their sum over the channels stays.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netwright.models.weights.fitting import Shape

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel."""


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """The tensors of a file with a first convolution for `own` channels, in the file `given`.

    `names` are those whose numbers are others than in the file.
    """

    tensors: Mapping[str, Tensor]
    names: tuple[str, ...]
    given: int
    own: int


@dataclass(frozen=True, kw_only=True)
class FirstLayer:
    """The first layer with parameters that an image comes to, and the batch norm right behind."""

    name: str
    module: nn.Module
    norm: str | None = None


def adapt(
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    *,
    shape: Shape,
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
) -> Adapted | None:
    """`tensors` with the first convolution of `model` brought to images of `shape` (C, H, W).

    With k_i the kernels of channel i of the file (O, I, kh, kw), the kernels of channel j are the
    sum over i of `shares(I, C)[j, i] * k_i`: added up for grey (as timm does), shared out among
    their copies for more. `mean` and `std` are those of the file's channels, if they are known.
    Where channels that are added up differ in them, k_i is divided by std_i first, and a grey
    image would look tinted to the file's network, by (mean_i - mean) / std_i: what it answers to
    that everywhere is taken off the bias, or put into the running mean of the batch norm right
    behind. Then the answers are those of the file's network to the picture in all of its channels,
    to rounding; but for the padded border, where there is no tint, and for a network that has
    neither bias nor batch norm there.

    None where there is nothing of the kind to do: the first layer is no convolution, or is
    grouped, or its kernels differ in more than the number of channels.
    """
    first = first_layer(model, shape)
    if first is None or not isinstance(first.module, nn.Conv2d) or first.module.groups != 1:
        return None
    weight = f"{first.name}.weight" if first.name else "weight"
    own, given = tuple(first.module.weight.shape), tensors.get(weight)
    if given is None or given.ndim != 4 or not given.is_floating_point():
        return None
    if own[1] != shape[0] or own[1] == given.shape[1] or not given.shape[1]:
        return None
    if (own[0], *own[2:]) != (given.shape[0], *given.shape[2:]):
        return None
    kernels, tint = _adapted(given.double(), own[1], mean, std)
    made = {**tensors, weight: _as_precise(kernels, given)}
    names = [weight]
    for name, sign in ((f"{weight[:-6]}bias", -1), (f"{first.norm}.running_mean", 1)):
        moved = tensors.get(name)
        if len(names) == 1 and bool(tint.any()) and moved is not None and moved.shape == tint.shape:
            made[name] = _as_precise(moved.double() + sign * tint, moved)
            names.append(name)
    return Adapted(tensors=made, names=tuple(names), given=int(given.shape[1]), own=own[1])


def shares(given: int, own: int) -> Tensor:
    """How much of each of `given` channels goes to each of `own`, (own, given); columns sum to 1.

    The channels are dealt out in turn: channel i of the fewer stands for all j = i modulo their
    number.

    >>> shares(3, 1).tolist(), shares(1, 2).tolist(), shares(3, 2).tolist()
    ([[1.0, 1.0, 1.0]], [[0.5], [0.5]], [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> shares(3, 4)[:, 0].tolist()
    [0.5, 0.0, 0.0, 0.5]
    """
    fewer = min(given, own)
    rows, columns = torch.arange(own) % fewer, torch.arange(given) % fewer
    met = (rows[:, None] == columns[None, :]).double()
    return met / met.sum(0)


def statistics_of(mean: Sequence[float], std: Sequence[float], channels: int) -> Statistics:
    """Mean and deviation for images of `channels`, from those of the channels of the weights.

    Those of channels that are added up are averaged: of RGB, grey has the mean of the means, so
    that a pixel as bright as the weights' own images are on average is still 0. Copies of a
    channel keep its own. What the averages leave out, `adapt` makes good (ResNet-32 of CIFAR-10 on
    2,000 grey test images: 99.4 % of its answers in three channels; 94.6 % with the kernels merely
    added up).

    >>> statistics_of((0.3, 0.4, 0.8), (0.2, 0.2, 0.2), 1)
    ((0.5,), (0.2,))
    >>> statistics_of((0.3, 0.4, 0.8), (0.1, 0.2, 0.3), 4)
    ((0.3, 0.4, 0.8, 0.3), (0.1, 0.2, 0.3, 0.1))
    """
    if channels >= len(mean):
        dealt = [i % len(mean) for i in range(channels)]
        return tuple(mean[i] for i in dealt), tuple(std[i] for i in dealt)
    groups = [range(j, len(mean), channels) for j in range(channels)]
    averaged = [
        tuple(float(statistics.mean(each[i] for i in group)) for group in groups)
        for each in (mean, std)
    ]
    return averaged[0], averaged[1]


def first_layer(model: nn.Module, shape: Shape) -> FirstLayer | None:
    """The layer of `model` that an image of `shape` (C, H, W) comes to first.

    A black image is sent in, in evaluation mode, and no further than to the layer behind it.
    None where there is none, or the network does not take such an image.

    >>> net = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 9, 1))
    >>> found = first_layer(net, (3, 8, 8))
    >>> found.name, found.norm
    ('1', '2')
    """
    names = {
        each: name
        for name, each in model.named_modules()
        if each._parameters and not any(True for _ in each.children())
    }
    met: list[nn.Module] = []
    after: list[Tensor] = []

    def enter(module: nn.Module, inputs: tuple[object, ...]) -> None:
        direct = not met or (bool(after) and bool(inputs) and inputs[0] is after[0])
        if direct:
            met.append(module)
        if len(met) == 2 or not direct:
            raise _SeenError

    def leave(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            after.append(output)

    hooks = [each.register_forward_pre_hook(enter) for each in names]
    hooks += [each.register_forward_hook(leave) for each in names]
    modes = {each: each.training for each in model.modules()}
    try:
        # What a network of the user's own does with such an image is said when it is trained.
        with torch.no_grad(), contextlib.suppress(Exception):
            model.eval()(torch.zeros(1, *shape))
    finally:
        for hook in hooks:
            hook.remove()
        for each, training in modes.items():
            each.training = training
    if not met:
        return None
    norm = names[met[1]] if len(met) > 1 and isinstance(met[1], nn.BatchNorm2d) else None
    return FirstLayer(name=names[met[0]], module=met[0], norm=norm)


def _adapted(
    kernels: Tensor, own: int, mean: Sequence[float], std: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """The kernels for `own` channels, and what they make of the tint, (O,)."""
    given = kernels.shape[1]
    dealt = shares(given, own)
    if len(mean) != given:
        return torch.einsum("oihw,ji->ojhw", kernels, dealt), torch.zeros(len(kernels)).double()
    means, stds = (torch.tensor(each, dtype=torch.float64) for each in (mean, std))
    own_means, own_stds = (
        torch.tensor(each, dtype=torch.float64) for each in statistics_of(mean, std, own)
    )
    factors = dealt * own_stds[:, None] / stds
    tinted = (dealt * (means - own_means[:, None]) / stds).sum(0)
    return (
        torch.einsum("oihw,ji->ojhw", kernels, factors),
        torch.einsum("oihw,i->o", kernels, tinted),
    )


def _as_precise(made: Tensor, given: Tensor) -> Tensor:
    """In the file's own type; half precision would lose what was added up."""
    return made.to(torch.promote_types(given.dtype, torch.float32))


class _SeenError(Exception):
    """The layers that were looked for have been met."""
