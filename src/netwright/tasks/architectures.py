"""From the name of a model to a module: registered ones, and factories of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netwright import models
from netwright.core.errors import DataError, SettingError
from netwright.core.factories import (
    Factory,
    call_factory,
    find_factory,
    find_recorded_factory,
    is_factory,
)
from netwright.data.preprocessing import Preprocessing
from netwright.models import MODELS
from netwright.records.run import Run
from netwright.tasks.libraries import (
    build_library_model,
    check_library_model,
    is_library_model,
    library_facts,
)

CODE_FOLDER = "code"
LARGEST_SIDE = 4096  # as data.size allows


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """How to build a network again: kept in `model.json`.

    `factory` is None for a registered name and for a model of a library, `torchvision:resnet18`.
    """

    name: str
    options: Mapping[str, Any]
    factory: Factory | None = None

    @property
    def registered(self) -> bool:
        """Whether it is a network of this package, and no code of others."""
        return self.factory is None and not is_library_model(self.name)

    def build(
        self, *, num_classes: int, in_channels: int, input_size: tuple[int, int]
    ) -> nn.Module:
        """The module, freshly initialised from torch's generator, its output checked.

        Raises `SettingError` for options it lacks, an input it cannot take, or an output that
        is not (N, num_classes).
        """
        offered = {
            "num_classes": num_classes, "in_channels": in_channels, "input_size": input_size,
        }  # fmt: skip
        if is_library_model(self.name):
            module = build_library_model(
                self.name, num_classes=num_classes, in_channels=in_channels, options=self.options
            )
        elif self.factory is None:
            module = models.build(
                self.name,
                num_classes=num_classes,
                in_channels=in_channels,
                input_size=input_size,
                options=self.options,
            )
        else:
            module = call_factory(self.factory, offered, wanted=self.options)
            if not isinstance(module, nn.Module):
                raise SettingError(
                    "{name} returned {kind}; expected a torch.nn.Module.",
                    name=self.name,
                    kind=type(module).__name__,
                )
        _check_output(module, self.name, num_classes, (in_channels, *input_size))
        return module

    def to_json(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"name": self.name, "options": dict(self.options)}
        if is_library_model(self.name):
            facts |= library_facts(self.name)
        if self.factory is not None and self.factory.path is not None:
            facts |= {
                "factory": self.factory.spec,
                "origin": str(self.factory.path),
                "sha256": self.factory.sha256,
                "file": f"{CODE_FOLDER}/{self.factory.path.name}",
            }
        return facts


def find_architecture(name: str, options: Mapping[str, Any]) -> Architecture:
    """The architecture a recipe names."""
    if name in MODELS:
        return Architecture(name=MODELS.get(name).name, options=options)
    if is_library_model(name):
        check_library_model(name)
        return Architecture(name=name, options=options)
    if is_factory(name):
        return Architecture(name=name, options=options, factory=find_factory(name))
    return Architecture(name=MODELS.get(name).name, options=options)  # raises, with near names


def recorded_architecture(run: Run, *, trust_code: bool) -> Architecture:
    """The architecture a run folder records; foreign code runs only with `trust_code`.

    Raises `DataError` when `model.json` does not describe one.
    """
    facts = run.model.get("architecture")
    options = facts.get("options", {}) if isinstance(facts, Mapping) else None
    if not isinstance(facts, Mapping) or not isinstance(facts.get("name"), str):
        raise damaged_model(run, "architecture")
    if not isinstance(options, Mapping) or not all(isinstance(each, str) for each in options):
        raise damaged_model(run, "architecture.options")
    name = str(facts["name"])
    if is_library_model(name):
        check_library_model(name)
        return Architecture(name=name, options=dict(options))
    if "factory" not in facts:
        return Architecture(name=MODELS.get(name).name, options=dict(options))
    kept = Path(str(facts.get("file") or "")).name
    factory = find_recorded_factory(
        str(facts["factory"]),
        origin=str(facts.get("origin") or ""),
        sha256=str(facts.get("sha256") or ""),
        copy=run.path / CODE_FOLDER / kept if kept else None,
        trust_code=trust_code,
    )
    return Architecture(name=name, options=dict(options), factory=factory)


def recorded_preprocessing(run: Run) -> Preprocessing:
    """The preprocessing a run folder records, its image size within what any run may have."""
    facts = run.model.get("input")
    if not isinstance(facts, Mapping):
        raise damaged_model(run, "input")
    preprocessing = Preprocessing.from_json(facts)
    if max(preprocessing.size) > LARGEST_SIDE:
        raise damaged_model(run, "input.size")
    return preprocessing


def recorded_classes(run: Run) -> tuple[str, ...]:
    """The class names a run folder records, in the order of the network's outputs."""
    classes = run.model.get("classes")
    if not isinstance(classes, list) or len(classes) < 1:
        raise damaged_model(run, "classes")
    return tuple(str(each) for each in classes)


def damaged_model(run: Run, name: str) -> DataError:
    """The error for a `model.json` in which `name` is missing or is not what it should be."""
    return DataError(
        "{path} holds no description of a network: {reason} is missing or damaged.",
        hint="Expected a run folder as netwright train writes it.",
        path=str(run.path / "model.json"),
        reason=name,
    )


def refuse_foreign_data_code(run: Run, data: str, *, trust_code: bool) -> None:
    """Data from `file.py:factory`, named by a run folder, is code too: the same rule holds."""
    if is_factory(data) and not trust_code:
        facts = run.model.get("data")
        code = facts.get("code") if isinstance(facts, Mapping) else None
        recorded = code if isinstance(code, Mapping) else {}
        find_recorded_factory(
            data,
            origin=str(recorded.get("origin") or ""),
            sha256=str(recorded.get("sha256") or ""),
            copy=None,
            trust_code=False,
        )


def _check_output(
    module: nn.Module, name: str, num_classes: int, shape: tuple[int, int, int]
) -> None:
    """One batch of two through the untrained module, which is left as it was."""
    buffers = {key: value.clone() for key, value in module.named_buffers()}
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(torch.zeros(2, *shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise SettingError(
            "{name} cannot take images of {channels}x{height}x{width}: {reason}",
            name=name,
            channels=shape[0],
            height=shape[1],
            width=shape[2],
            reason=str(error).strip().splitlines()[0] if str(error).strip() else repr(error),
        ) from error
    finally:
        module.train(was_training)
        for key, value in module.named_buffers():
            value.copy_(buffers[key])
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != (2, num_classes):
        given = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise SettingError(
            "{name} gives {given} for 2 images; expected logits of shape (2, {num_classes}), "
            "one for each class.",
            name=name,
            given=given,
            num_classes=num_classes,
        )
