"""The network of a run, as it was trained, as an inspectable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from netwright import models
from netwright.core.errors import SettingError
from netwright.records.inspection import Shape
from netwright.records.run import Run
from netwright.tasks.architectures import (
    recorded_architecture,
    recorded_classes,
    recorded_preprocessing,
)
from netwright.tasks.inspectable_code import called
from netwright.tasks.inspectable_network import Inspectable, on_meta
from netwright.tasks.libraries import build_library_model
from netwright.train.weights import read_weights


def of_run(
    run: Run, options: Mapping[str, Any], sample: Shape | None, *, trust_code: bool
) -> Inspectable:
    """The network of a run, with its best weights where it has some."""
    _refuse_options(options, str(run.path))
    architecture = recorded_architecture(run, trust_code=trust_code)
    classes, seen = recorded_classes(run), recorded_preprocessing(run)
    offered = {
        "num_classes": len(classes), "in_channels": seen.channels, "input_size": seen.size,
    }  # fmt: skip
    weights = run.path / "best.safetensors"

    def build() -> nn.Module:
        if architecture.factory is not None:
            return called(architecture.factory, offered, architecture.options)
        if not architecture.registered:
            return build_library_model(
                architecture.name,
                num_classes=len(classes),
                in_channels=seen.channels,
                options=architecture.options,
            )
        return models.build(
            architecture.name,
            num_classes=len(classes),
            in_channels=seen.channels,
            input_size=seen.size,
            options=architecture.options,
        )

    def make() -> nn.Module:
        module = build()
        if weights.is_file():
            module.load_state_dict(read_weights(weights))
        return module

    return Inspectable(
        name=run.name,
        make=make,
        outline=on_meta(build) if architecture.registered else None,
        sample=sample or (seen.channels, *seen.size),
    )


def _refuse_options(options: Mapping[str, Any], place: str) -> None:
    if options:
        raise SettingError(
            "{place} is built as it was trained: leave {settings} out.",
            place=place,
            settings=" ".join(f"model.{each}" for each in options),
        )
