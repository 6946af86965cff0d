"""Networks by their published name, registered here or in torchvision or timm, as inspectables.

How many classes they part and how many channels they read is open, whatever their own options.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from netwright import models
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase
from netwright.models import MODELS
from netwright.nn.stem import SMALL_BELOW
from netwright.records.inspection import Shape
from netwright.tasks.inspectable_network import Inspectable, on_meta
from netwright.tasks.libraries import build_library_model, check_library_model

IMAGE = (3, 224, 224)
"""One sample of what the models of the two libraries are made for, where they do not say."""


def registered(name: str, options: dict[str, Any], sample: Shape | None) -> Inspectable:
    """The network as it was published, for its own images or for those of `sample`."""
    facts = MODELS.get(name).facts
    shape = _image(sample, name) or tuple(facts["input"])
    num_classes = _whole(options, "num_classes", int(facts.get("classes", 10)))
    asked = "in_channels" in options
    channels = _whole(options, "in_channels", shape[0])
    shape = (channels, *shape[1:])
    notes: tuple[Phrase, ...] = ()
    smallest = int(facts.get("standard_smallest", 1))
    stemmed = "stem" in getattr(MODELS.get(name).options, "__dataclass_fields__", {})
    if stemmed and "stem" not in options and min(shape[1:]) < SMALL_BELOW:
        if min(shape[1:]) >= smallest:
            options["stem"] = "standard"
            notes = (
                Phrase(
                    "this is {name} as published; for images below {side} pixels netwright train "
                    "builds it with a small stem (model.stem=small)",
                    name=name,
                    side=SMALL_BELOW,
                ),
            )
        else:
            options["stem"] = "small"
            notes = (
                Phrase(
                    "built with the small stem (model.stem=small): the published one needs images "
                    "of at least {smallest}x{smallest}",
                    smallest=smallest,
                ),
            )

    def made(for_images: Shape) -> nn.Module:
        return models.build(
            name,
            num_classes=num_classes,
            in_channels=for_images[0],
            input_size=(for_images[1], for_images[2]),
            options=options,
        )

    def make() -> nn.Module:
        return made(shape)

    published = (channels if asked else int(facts["input"][0]), *facts["input"][1:])
    if shape != published and options.get("stem") != "small":
        differs = _difference(on_meta(make)(), on_meta(lambda: made(published))())
        if differs is not None:
            notes = (
                Phrase(
                    "built for images of {given}, with {params} parameters: {name} as published "
                    "is for {published} and has {others}",
                    given="x".join(map(str, shape)),
                    params=f"{differs[0]:,}",
                    name=name,
                    published="x".join(map(str, published)),
                    others=f"{differs[1]:,}",
                ),
            )
    return Inspectable(name=name, make=make, outline=on_meta(make), sample=shape, notes=notes)


def _difference(one: nn.Module, two: nn.Module) -> tuple[int, int] | None:
    """The parameters of both, where they are not of the same shapes."""
    left, right = ([each.shape for each in net.parameters()] for net in (one, two))
    if left == right:
        return None
    return sum(each.numel() for each in left), sum(each.numel() for each in right)


def of_library(spec: str, options: dict[str, Any], sample: Shape | None) -> Inspectable:
    """The network `torchvision:NAME` or `timm:NAME`, on its own images where none are given."""
    check_library_model(spec)
    num_classes = _whole(options, "num_classes", 1000)
    channels = _whole(options, "in_channels", sample[0] if sample and len(sample) == 3 else 3)

    def make() -> nn.Module:
        return build_library_model(
            spec, num_classes=num_classes, in_channels=channels, options=options
        )

    return Inspectable(name=spec, make=make, sample=sample or (channels, *IMAGE[1:]))


def _whole(options: dict[str, Any], name: str, usual: int) -> int:
    """`model.num_classes` and `model.in_channels`, which no options class has."""
    value = options.pop(name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SettingError(
            "model.{name}: expected a whole number of at least 1, not {value}.",
            name=name,
            value=value,
        )
    return value


def _image(sample: Shape | None, name: str) -> Shape | None:
    if sample is not None and len(sample) != 3:
        raise SettingError(
            "{name} takes images; {sample} is none.",
            hint="Expected channels, height and width, such as 3x224x224.",
            name=name,
            sample="x".join(map(str, sample)) or "()",
        )
    return sample
