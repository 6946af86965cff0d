"""A multi-layer perceptron: the image as one long vector, through layers that see all of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from netwright.core.config import config, setting, show
from netwright.core.errors import SettingError
from netwright.models import MODELS
from netwright.nn.activations import ActivationName, activation
from netwright.nn.initialisation import initialise


@config
class MLPOptions:
    """Width of each hidden layer, and what follows it."""

    hidden: tuple[int, ...] = setting((256, 128), help="units of each hidden layer")
    act: ActivationName = setting("relu", help="activation after each hidden layer")
    norm: Literal["none", "batch", "layer"] | None = setting(
        "none", help="normalisation before each activation"
    )
    dropout: float = setting(
        0.0, ge=0, lt=1, help="share of the hidden units left out in a step", search=(0.0, 0.6)
    )


@MODELS.register(
    "mlp",
    options=MLPOptions,
    input=(1, 28, 28),
    classes=10,
    params=235_146,
    macs=234_752,
    paper="Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors",
)
def mlp(
    *,
    num_classes: int = 10,
    in_channels: int = 1,
    input_size: tuple[int, int] = (28, 28),
    hidden: Sequence[int] = (256, 128),
    act: ActivationName = "relu",
    norm: Literal["none", "batch", "layer"] | None = "none",
    dropout: float = 0.0,
) -> nn.Module:
    """Fully connected layers over the flattened image.

    h = dropout(act(norm(W x + b))) for each hidden layer, then logits = W h + b. For images (N, C,
    H, W) the first weight is (hidden[0], C H W); the head gives logits (N, num_classes). For 1 x 28
    x 28:

        layer                 output    parameters
        flatten               784
        linear, act           256          200,960
        linear, act           128           32,896
        linear                10             1,290

    No hidden layer at all (`hidden=()`) is softmax regression. Raises `SettingError` for a width
    below 1.

    What was new: hidden layers whose features are learned, by back-propagation.

    When to use it: as the baseline that a convolutional network has to beat; for 8x8 digits and for
    features that are not images; for experiments on initialisation, activations and optimizers,
    where it is the plainest deep network. `hidden=()` is convex, and so the check of everything
    else.

    What goes wrong: it does not know that pixels have neighbours: an image moved by one pixel is
    another vector, and has to be learned anew. The first layer grows with the pixels (256 units on
    3 x 224 x 224 are 38.5 million weights). Deep stacks without `norm` need an initialiser that
    fits the activation (`init=he`), else the signal dies or explodes; `model.norm=batch`
    cannot be trained with one image a step.

    >>> sum(p.numel() for p in mlp(input_size=(2, 2), hidden=(3,), num_classes=2).parameters())
    23
    """
    if any(width < 1 for width in hidden):
        raise SettingError(
            "model.hidden: {widths} is not allowed: each layer needs at least one unit.",
            widths=show(hidden),
        )
    norms = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
    layers: list[nn.Module] = [nn.Flatten()]
    width = in_channels * input_size[0] * input_size[1]
    for next_width in hidden:
        layers.append(nn.Linear(width, next_width))
        if norm in norms:
            layers.append(norms[norm](next_width))
        layers.append(activation(act))
        if dropout:
            layers.append(nn.Dropout(dropout))
        width = next_width
    layers.append(nn.Linear(width, num_classes))
    model = nn.Sequential(*layers)
    initialise(model, act, head=model[-1])
    return model
