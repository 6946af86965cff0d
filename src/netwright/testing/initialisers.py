"""What a registered initialiser owes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from netwright.core.registry import Entry
from netwright.nn.initialisation import initialise
from netwright.nn.initialisers import Initialiser
from netwright.testing.options import check_options

_DEPTH = 20
_WIDTH = 128


def check_initialiser(entry: Entry[Initialiser]) -> None:
    """Hold a leaf of `netwright.nn.initialisers.INITIALISERS` against its contract.

    - every weight of a convolution or linear layer is written and finite, every bias 0;
    - nothing else is touched: norm layers, the mode of the model, whether weights are trained;
    - the same seed gives the same bits;
    - one that looks at images has the function that does (`then`);
    - unless it is for teaching, the spread at the end of 20 linear layers is that at the
      beginning within a factor of two.
    """
    assert entry.options is not None, f"{entry.name} has no options class"
    check_options(entry.options, prefix="init.")
    if entry.facts.get("images"):
        assert callable(entry.facts.get("then")), f"{entry.name} has no function `then`"
    first, second = _small(entry), _small(entry)
    for name, tensor in first.state_dict().items():
        assert bool(torch.isfinite(tensor).all()), f"{entry.name} leaves {name} not finite"
        assert torch.equal(tensor, second.state_dict()[name]), (
            f"{entry.name}: {name} differs between two draws with one seed"
        )
    _check_untouched(entry, first)
    if not entry.facts.get("teaching"):
        _check_spread(entry)


def _small(entry: Entry[Initialiser]) -> nn.Sequential:
    model = nn.Sequential(
        nn.Conv2d(2, 4, kernel_size=3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2),
        nn.ReLU(), nn.Flatten(), nn.Linear(64, 3),
    )  # fmt: skip
    for layer in model:
        for parameter in layer.parameters(recurse=False):
            nn.init.constant_(parameter, torch.nan if not isinstance(layer, nn.BatchNorm2d) else 3)
    model[0].weight.requires_grad_(False)
    _drawn(entry, model, _images(2, 8, 8), head=model[-1])
    return model


def _check_untouched(entry: Entry[Initialiser], model: nn.Sequential) -> None:
    biases = [layer.bias for layer in model if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert not any(bool(each.any()) for each in biases if each is not None), (
        f"{entry.name} leaves a bias that is not 0"
    )
    norm: Any = model[1]
    seen = int(norm.num_batches_tracked)
    assert seen == 0, f"{entry.name} lets a norm layer take statistics"
    assert bool((norm.weight == 3).all()), f"{entry.name} touches a norm layer"
    assert all(each.training for each in model.modules()), f"{entry.name} leaves training mode"
    assert not model[0].weight.requires_grad, f"{entry.name} thaws a weight that was frozen"
    assert model[3].weight.requires_grad, f"{entry.name} freezes a weight"


def _check_spread(entry: Entry[Initialiser]) -> None:
    model = nn.Sequential(*[nn.Linear(_WIDTH, _WIDTH) for _ in range(_DEPTH)])
    x = _images(_WIDTH)
    # SELU's gain is 1, which is that of no activation at all.
    _drawn(entry, model, x, act="selu")
    with torch.no_grad():
        ratio = float(model(x).std() / model[0](x).std())
    assert 0.5 < ratio < 2, f"{entry.name}: after {_DEPTH} layers the spread is {ratio:.3g} times"


def _drawn(entry: Entry[Initialiser], model: nn.Module, images: Tensor, **how: Any) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        initialise(model, how.pop("act", "relu"), name=entry.name, images=images, **how)


def _images(*shape: int) -> Tensor:
    return torch.randn(64, *shape, generator=torch.Generator().manual_seed(1))
