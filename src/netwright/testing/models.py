"""What a registered model owes."""

from __future__ import annotations

import dataclasses
import inspect

import torch
from torch import Tensor, nn

from netwright.core.config import settings_of
from netwright.core.errors import SettingError
from netwright.core.registry import Entry
from netwright.inspection.outline import outline
from netwright.models import Builder, build
from netwright.testing.options import check_options

_CLASSES = 3
_CHANNELS = 2
_NARROW = 0.125
_ROUNDED = 0.01
"""How far from the layout a figure of a paper may be and still be the same one, rounded."""


def check_model(entry: Entry[Builder]) -> None:
    """Hold a leaf of `netwright.models.MODELS` against its contract.

    - each setting is a keyword-only parameter of the builder, with the same default;
    - it has as many parameters, and as many multiply-adds for an image, as it says it was
      published with (counted on the meta device: no weight is made);
    - where the paper's figures (`paper_params`, `paper_macs`) are others, `differs` says why;
    - (N, C, H, W) of any channels, of its smallest size and not square, gives logits
      (N, classes), for a sample alone the same as in a batch;
    - one backward pass reaches every parameter with a finite gradient;
    - the same seed gives the same weights, and a state dict carries them over exactly;
    - its outline accounts for every parameter;
    - a smaller image is refused with a `SettingError`, and one too small for the standard stem
      with the advice to take the small one.

    A network with a setting `width` is computed with a narrow one.
    """
    if entry.options is not None:
        check_options(entry.options, prefix="model.")
        _check_parameters(entry)
    _check_published(entry)
    size = _size(entry)
    model = _build(entry, size)
    images = torch.randn(4, _CHANNELS, *size, generator=torch.Generator().manual_seed(1))
    _check_logits(entry, model, images)
    _check_gradients(entry, model, images)
    _check_reproducible(entry, model, size, images)
    rows = outline(model, (_CHANNELS, *size))
    assert sum(row.params for row in rows) == _count(model), (
        f"the outline of {entry.name} does not account for every parameter"
    )
    _check_smaller(entry)


def _check_parameters(entry: Entry[Builder]) -> None:
    taken = inspect.signature(entry.target).parameters
    for each in dataclasses.fields(entry.options):  # type: ignore[arg-type]
        name = each.name
        assert name in taken, f"{entry.name} does not take its setting {name} as a parameter"
        assert taken[name].kind is inspect.Parameter.KEYWORD_ONLY, (
            f"{entry.name} takes its setting {name} by place, not by name only"
        )
        default = getattr(entry.options(), name)  # type: ignore[misc]
        assert taken[name].default == default, (
            f"the default of {name} is {default} as a setting of {entry.name}, "
            f"{taken[name].default} as a parameter"
        )


def _check_published(entry: Entry[Builder]) -> None:
    if "params" not in entry.facts:
        return
    channels, *size = entry.facts["input"]
    with torch.device("meta"):
        model = entry.target(
            num_classes=entry.facts.get("classes", 10), in_channels=channels, input_size=tuple(size)
        )
    assert _count(model) == entry.facts["params"], (
        f"{entry.name} has {_count(model)} parameters and was published with "
        f"{entry.facts['params']}"
    )
    if "macs" in entry.facts:
        macs = sum(row.macs for row in outline(model, (channels, *size)))
        assert macs == entry.facts["macs"], (
            f"{entry.name} takes {macs} multiply-adds for an image and was published with "
            f"{entry.facts['macs']}"
        )
    for name, own in (("params", _count(model)), ("macs", entry.facts.get("macs", 0))):
        papers = entry.facts.get(f"paper_{name}", own)
        assert abs(papers - own) <= _ROUNDED * papers or entry.facts.get("differs"), (
            f"{entry.name} does not say why it has {own} {name} and in its paper {papers}"
        )


def _check_logits(entry: Entry[Builder], model: nn.Module, images: Tensor) -> None:
    model.eval()
    with torch.no_grad():
        logits = model(images)
        alone = model(images[:1])
    assert logits.shape == (len(images), _CLASSES), (
        f"{entry.name} gives {tuple(logits.shape)} for {len(images)} images of {_CLASSES} classes"
    )
    assert torch.allclose(logits[:1], alone, rtol=1e-4, atol=1e-5), (
        f"{entry.name} in evaluation mode gives an image another answer in another batch"
    )


def _check_gradients(entry: Entry[Builder], model: nn.Module, images: Tensor) -> None:
    model.train()
    target = torch.arange(len(images)) % _CLASSES
    nn.functional.cross_entropy(model(images), target).backward()
    for name, parameter in model.named_parameters():
        reached = parameter.grad is not None and bool(torch.isfinite(parameter.grad).all())
        assert reached, f"{entry.name}: {name} has no finite gradient after one backward pass"


def _check_reproducible(
    entry: Entry[Builder], model: nn.Module, size: tuple[int, int], images: Tensor
) -> None:
    first, second = _build(entry, size), _build(entry, size)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), (
            f"{entry.name}: {name} differs between two builds with one seed"
        )
    second.load_state_dict(model.state_dict())
    with torch.no_grad():
        same = torch.equal(model.eval()(images), second.eval()(images))
    assert same, f"{entry.name} answers differently after its state dict was loaded"


def _check_smaller(entry: Entry[Builder]) -> None:
    _check_too_small(entry, int(entry.facts.get("smallest", 1)) - 1, {}, "")
    standard = int(entry.facts.get("standard_smallest", 1)) - 1
    _check_too_small(entry, standard, {"stem": "standard"}, "model.stem=small")


def _check_too_small(
    entry: Entry[Builder], side: int, options: dict[str, str], advice: str
) -> None:
    if side == 0:
        return
    words = ""
    try:
        build(
            entry.name,
            num_classes=2,
            in_channels=1,
            input_size=(side, side + 9),
            options=options,
        )
    except SettingError as error:
        words = str(error)
    assert words, f"{entry.name} does not refuse an image of {side}x{side + 9}"
    assert str(side + 1) in words, f"the error does not say the smallest side: {words}"
    assert advice in words, f"the error does not advise {advice}: {words}"


def _size(entry: Entry[Builder]) -> tuple[int, int]:
    if "smallest" in entry.facts:
        side = int(entry.facts["smallest"])
        return side, side + 3
    return tuple(entry.facts["input"][1:])


def _build(entry: Entry[Builder], size: tuple[int, int]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return entry.target(
            num_classes=_CLASSES, in_channels=_CHANNELS, input_size=size, **_narrow(entry)
        )


def _narrow(entry: Entry[Builder]) -> dict[str, float]:
    settings = [] if entry.options is None else settings_of(entry.options)
    return {"width": _NARROW} if any(each.name == "width" for each in settings) else {}


def _count(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())
