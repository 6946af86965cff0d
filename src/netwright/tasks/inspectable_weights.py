"""The network of a weights file as an inspectable; the file or the recipe beside it names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netwright.core.errors import SettingError
from netwright.models import MODELS
from netwright.models.weights.fitting import fit_module
from netwright.models.weights.reading import read_weights_file
from netwright.optim.untouched import untouched
from netwright.records.inspection import Shape
from netwright.tasks.inspectable_network import Inspectable
from netwright.tasks.inspectable_published import registered
from netwright.tasks.settings import read_config


def of_weights(path: Path, options: Mapping[str, Any], sample: Shape | None) -> Inspectable:
    """The network of a weights file: from its own metadata, or the recipe beside it."""
    file = read_weights_file(path)
    tensors = file.tensors
    name, given, size = _told(path, file.metadata)
    if name not in MODELS:
        raise SettingError(
            "{path} holds weights of {name}, which is code and not in the file.",
            hint="Inspect that: netwright inspect FILE.py:NAME",
            path=str(path),
            name=name,
        )
    kernels = [each.shape for each in tensors.values() if each.ndim == 4]
    facts = MODELS.get(name).facts
    channels = int(kernels[0][1]) if kernels else int(facts["input"][0])
    sides = size if len(size) == 2 else tuple(facts["input"][1:])
    shape = sample or (channels, *sides)
    found = registered(name, {**given, **options}, shape)
    if "num_classes" not in options:
        with untouched(), torch.device("meta"):
            fitted = fit_module(found.make(), tensors, num_classes=int(facts.get("classes", 10)))
        if fitted.given_classes:
            told = {**given, **options, "num_classes": fitted.given_classes}
            found = registered(name, told, shape)
    return _weighted(found, tensors, path)


def _told(path: Path, metadata: Mapping[str, str]) -> tuple[str, dict[str, Any], Shape]:
    """The name of the network, its options, and height and width of its images where they are
    known."""
    beside = path.with_suffix(".yaml")
    if "architecture" in metadata:
        try:
            told = json.loads(metadata["architecture"])
            name, given = str(told["name"]), dict(told.get("options") or {})
            seen = json.loads(metadata.get("input", "{}"))
            return name, given, tuple(int(each) for each in seen.get("size", ()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SettingError(
                "The metadata of {path} describe no network.", path=str(path)
            ) from error
    if beside.is_file():
        recipe = read_config(str(beside)).recipe
        size = (recipe.data.size, recipe.data.size) if recipe.data.size else ()
        return recipe.model.name, dict(recipe.model.options), size
    raise SettingError(
        "{path} does not say of which network its weights are.",
        hint="Put the recipe beside it under the same name ({recipe}), or name the network.",
        path=str(path),
        recipe=beside.name,
    )


def _weighted(found: Inspectable, tensors: Mapping[str, Any], path: Path) -> Inspectable:
    def make() -> nn.Module:
        module = found.make()
        try:
            module.load_state_dict(dict(tensors), strict=False)
        except RuntimeError as error:
            raise SettingError(
                "The weights in {path} do not fit {name}: {reason}",
                path=str(path),
                name=found.name,
                reason=str(error).strip().splitlines()[-1].strip(),
            ) from error
        return module

    return Inspectable(
        name=path.name, make=make, outline=found.outline, sample=found.sample, notes=found.notes
    )
