"""Convolutions of all kinds: transposed, grouped, 1-D, 3-D, by unfolding, of a single image."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from networks.kit import Calls, add, conv, positional, transposed, weight

add(
    "transposed convolutions",
    lambda: nn.Sequential(
        nn.Linear(32, 64 * 16), nn.Unflatten(1, (64, 4, 4)),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
        nn.ConvTranspose2d(32, 32, 3, 2, 1, output_padding=1, groups=4), nn.ReLU(),
        nn.ConvTranspose2d(32, 3, 5, 3, 1),
    ),
    positional((1, 32)),
    32 * 64 * 16 + transposed(64, 32, 4, 4) + transposed(32, 32, 3, 8, groups=4)
    + transposed(32, 3, 5, 16),
    "a generator: strides 2 and 3, groups, output padding",
)  # fmt: skip

add(
    "grouped, depthwise, dilated",
    lambda: nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=2, dilation=2, groups=4), nn.ReLU(),
        nn.Conv2d(64, 128, 3, 2, 1, groups=64), nn.ReLU(), nn.Conv2d(128, 64, 1),
    ),
    positional((1, 3, 32, 32)),
    conv(3, 32, 3, 32) + conv(32, 64, 3, 32, groups=4) + conv(64, 128, 3, 16, groups=64)
    + conv(128, 64, 1, 16),
)  # fmt: skip

add(
    "1-D convolutions",
    lambda: nn.Sequential(
        nn.Conv1d(8, 32, 9, 2), nn.ReLU(), nn.Conv1d(32, 32, 5, padding="same"), nn.ReLU(),
        nn.AvgPool1d(4), nn.ConvTranspose1d(32, 8, 4, 4),
    ),
    positional((1, 8, 201)),
    conv(8, 32, (9,), (97,)) + conv(32, 32, (5,), (97,)) + transposed(32, 8, (4,), (24,)),
)  # fmt: skip

add(
    "3-D convolutions",
    lambda: nn.Sequential(
        nn.Conv3d(1, 16, (3, 5, 5), (1, 2, 2), (1, 2, 2)), nn.BatchNorm3d(16), nn.ReLU(),
        nn.MaxPool3d(2), nn.Conv3d(16, 32, 3, padding=1, padding_mode="replicate"),
    ),
    positional((1, 1, 8, 32, 32)),
    conv(1, 16, (3, 5, 5), (8, 16, 16)) + conv(16, 32, (3, 3, 3), (4, 8, 8)),
)  # fmt: skip

add(
    "no batch axis",
    lambda: nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(0),
        nn.Linear(256, 10),
    ),
    positional((3, 24, 24)),
    conv(3, 16, 3, 24) + 256 * 10,
    "an image (C, H, W)",
)  # fmt: skip


def unfolded(net: Calls, x: Tensor) -> Tensor:
    columns = F.unfold(x, 3, padding=1)  # (N, 27, 400)
    return (net.kernel @ columns).unflatten(-1, (20, 20))


add(
    "convolution by unfolding",
    lambda: Calls(unfolded, kernel=weight(16, 27)),
    positional((1, 3, 20, 20)),
    conv(3, 16, 3, 20),
    "F.unfold and a matrix product",
)

add(
    "weight norm",
    lambda: nn.Sequential(
        weight_norm(nn.Conv2d(3, 16, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 36, 10)
    ),
    positional((1, 3, 8, 8)),
    conv(3, 16, 3, 6) + 16 * 36 * 10,
    "a parametrised convolution",
)
