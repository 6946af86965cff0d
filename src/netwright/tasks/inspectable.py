"""From what a user names to a module that can be inspected, and the input it is made for.

A registered name, `file.py:factory`, `package.module:factory`, `timm:NAME`, `torchvision:NAME`, a
run, or a `.safetensors` file with its recipe beside it. Unlike a training, an inspection asks
nothing of the output: a network for segmentation or one with five heads is as welcome.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netwright import models
from netwright.core.errors import SettingError, UnknownNameError
from netwright.core.factories import Factory, call_factory, find_factory, is_factory
from netwright.core.languages import Phrase
from netwright.models import MODELS
from netwright.models.weights.fitting import fit_module
from netwright.models.weights.reading import read_weights_file
from netwright.nn.stem import SMALL_BELOW
from netwright.optim.untouched import untouched
from netwright.records.run import Run, find_run, is_run, runs_root
from netwright.records.seeds import answering
from netwright.tasks.architectures import (
    recorded_architecture,
    recorded_classes,
    recorded_preprocessing,
)
from netwright.tasks.libraries import (
    build_library_model,
    check_library_model,
    is_library_model,
)
from netwright.tasks.settings import read_config
from netwright.train.weights import read_weights

Shape = tuple[int, ...]

IMAGE = (3, 224, 224)
"""One sample of what the models of the two libraries are made for, where they do not say."""


@dataclass(frozen=True, kw_only=True)
class Inspectable:
    """A network that was named: `make` builds it with weights, `outline` on the meta device where
    that is known to work, `sample` is the shape of one sample that it is made for, if known."""

    name: str
    make: Callable[[], nn.Module]
    sample: Shape | None = None
    outline: Callable[[], nn.Module] | None = None
    notes: tuple[Phrase, ...] = ()


def drawn(make: Callable[[], nn.Module]) -> nn.Module:
    """The network with weights drawn from seed 0; the random states of the caller stay."""
    with untouched():
        torch.manual_seed(0)
        return make()


def find_inspectable(
    spec: str,
    *,
    options: Mapping[str, Any],
    sample: Shape | None = None,
    trust_code: bool = False,
) -> Inspectable:
    """What `spec` names, built for `sample` where it depends on it.

    `options` are what stands under `model.`; `num_classes` and `in_channels` may be among them.
    Raises `SettingError` for what is no network, `DataError` for a damaged run.
    """
    if spec in MODELS:
        return _registered(MODELS.get(spec).name, dict(options), sample)
    if is_library_model(spec):
        return _of_library(spec, dict(options), sample)
    run = _run(spec)
    if run is not None:
        return _of_run(run, options, sample, trust_code=trust_code)
    path = Path(spec).expanduser()
    if path.suffix == ".safetensors" and _is_file(path):
        return _of_weights(path, options, sample)
    if is_factory(spec):
        return _of_factory(find_factory(spec), spec, options, sample)
    if path.suffix == ".py":
        raise _no_name(path)
    if path.suffix == ".safetensors" or "/" in spec or _exists(path):
        raise SettingError(
            "{path} is no network: expected a run folder, a .safetensors file, or file.py:NAME."
            if _exists(path)
            else "There is no {path}.",
            hint="A registered network is named alone: netwright ls models",
            path=spec,
        )
    raise UnknownNameError("model", spec, MODELS.names(), listing="netwright ls models")


def _registered(name: str, options: dict[str, Any], sample: Shape | None) -> Inspectable:
    """The network as it was published, for its own images or for those of `sample`."""
    facts = MODELS.get(name).facts
    shape = _image(sample, name) or tuple(facts["input"])
    num_classes = _whole(options, "num_classes", int(facts.get("classes", 10)))
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

    def make() -> nn.Module:
        size = (shape[1], shape[2])
        return models.build(
            name, num_classes=num_classes, in_channels=channels, input_size=size, options=options
        )

    return Inspectable(name=name, make=make, outline=_on_meta(make), sample=shape, notes=notes)


def _of_library(spec: str, options: dict[str, Any], sample: Shape | None) -> Inspectable:
    check_library_model(spec)
    num_classes = _whole(options, "num_classes", 1000)
    channels = _whole(options, "in_channels", sample[0] if sample and len(sample) == 3 else 3)

    def make() -> nn.Module:
        return build_library_model(
            spec, num_classes=num_classes, in_channels=channels, options=options
        )

    return Inspectable(name=spec, make=make, sample=sample or (channels, *IMAGE[1:]))


def _of_run(
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
            return _called(architecture.factory, offered, architecture.options)
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
        outline=_on_meta(build) if architecture.registered else None,
        sample=sample or (seen.channels, *seen.size),
    )


def _of_weights(path: Path, options: Mapping[str, Any], sample: Shape | None) -> Inspectable:
    """The network of a weights file: from its own metadata, or the recipe beside it."""
    file = read_weights_file(path)
    tensors = file.tensors
    beside = path.with_suffix(".yaml")
    if "architecture" in file.metadata:
        try:
            told = json.loads(file.metadata["architecture"])
            name, given = str(told["name"]), dict(told.get("options") or {})
            seen = json.loads(file.metadata.get("input", "{}"))
            size = tuple(int(each) for each in seen.get("size", ()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SettingError(
                "The metadata of {path} describe no network.", path=str(path)
            ) from error
    elif beside.is_file():
        recipe = read_config(str(beside)).recipe
        name, given = recipe.model.name, dict(recipe.model.options)
        size = (recipe.data.size, recipe.data.size) if recipe.data.size else ()
    else:
        raise SettingError(
            "{path} does not say of which network its weights are.",
            hint="Put the recipe beside it under the same name ({recipe}), or name the network.",
            path=str(path),
            recipe=beside.name,
        )
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
    sides = tuple(size) if len(size) == 2 else tuple(facts["input"][1:])
    found = _registered(name, {**given, **options}, sample or (channels, *sides))
    if "num_classes" not in options:
        with untouched(), torch.device("meta"):
            fitted = fit_module(found.make(), tensors, num_classes=int(facts.get("classes", 10)))
        if fitted.given_classes:
            return _weighted(
                _registered(
                    name,
                    {**given, **options, "num_classes": fitted.given_classes},
                    sample or (channels, *sides),
                ),
                tensors,
                path,
            )
    return _weighted(found, tensors, path)


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


def _of_factory(
    factory: Factory, spec: str, options: Mapping[str, Any], sample: Shape | None
) -> Inspectable:
    """The module a factory of the user's returns; what it can be told of the input, it is."""
    if isinstance(factory.call, nn.Module):  # a network that the file made itself
        if options:
            raise SettingError(
                "{spec} is a network that was made already: leave {settings} out.",
                spec=spec,
                settings=" ".join(f"model.{each}" for each in options),
            )
        network = factory.call
        return Inspectable(
            name=_brief(spec), make=lambda: network, sample=sample or _preferred(network)
        )
    offered: dict[str, Any] = {}
    if sample is not None and len(sample) == 3:
        offered = {"in_channels": sample[0], "input_size": sample[1:]}
    needed = _required(factory.call)
    if "num_classes" in needed:
        offered["num_classes"] = 10
    if "in_channels" in needed:
        offered.setdefault("in_channels", 3)
    if "input_size" in needed and "input_size" not in offered:
        raise SettingError(
            "{spec} is built for a size of image: say which.",
            hint="Give --input, as in --input 3x224x224.",
            spec=spec,
        )
    made = drawn(lambda: _called(factory, offered, options))
    return Inspectable(name=_brief(spec), make=lambda: made, sample=sample or _preferred(made))


def _called(factory: Factory, offered: Mapping[str, Any], options: Mapping[str, Any]) -> nn.Module:
    with contextlib.redirect_stdout(sys.stderr):  # code of the user's may print
        module = call_factory(factory, offered, wanted=options)
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise SettingError(
            "{name} returned the class {kind}; expected an instance of it.",
            hint="Return {kind}(...).",
            name=factory.spec,
            kind=module.__name__,
        )
    if not isinstance(module, nn.Module):
        raise SettingError(
            "{name} returned {kind}; expected a torch.nn.Module.",
            name=factory.spec,
            kind=type(module).__name__,
        )
    return module


def _on_meta(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """The same network without numbers in it: nothing is drawn and nothing is allocated."""

    def outline() -> nn.Module:
        with untouched(), torch.device("meta"):
            return make()

    return outline


def _preferred(module: nn.Module) -> Shape | None:
    """The input a module says that it takes, as those of timm do."""
    facts = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    size = facts.get("input_size") if isinstance(facts, Mapping) else None
    if isinstance(size, tuple | list) and all(isinstance(each, int) for each in size):
        return tuple(size)
    return None


def _required(call: Callable[..., Any]) -> set[str]:
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # a built-in that does not tell
        return set()
    return {each.name for each in parameters if each.default is each.empty}


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


def _refuse_options(options: Mapping[str, Any], place: str) -> None:
    if options:
        raise SettingError(
            "{place} is built as it was trained: leave {settings} out.",
            place=place,
            settings=" ".join(f"model.{each}" for each in options),
        )


def _run(spec: str) -> Run | None:
    """The run that a path, `latest` or a name under `runs/` is, or that a weights file is of."""
    path = Path(spec).expanduser()
    if path.name == "best.safetensors" and _is_file(path):  # others are weights by themselves
        path = path.parent
    with contextlib.suppress(OSError, ValueError):  # no system would take it as a path
        if is_run(path):
            return answering(Run(path))
        if spec == "latest" or is_run(runs_root() / spec):
            return answering(find_run(spec))
    return None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero byte in it
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _no_name(path: Path) -> SettingError:
    """A Python file without the name in it that makes the network: say which there are."""
    if not _is_file(path):
        return SettingError("There is no {path}.", path=str(path))
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, OSError):
        body = []
    names = [
        each.name
        for each in body
        if isinstance(each, ast.ClassDef | ast.FunctionDef) and not each.name.startswith("_")
    ]
    return SettingError(
        "{path} is a file: say which function or class in it makes the network.",
        hint="Write {path}:{first}. It has: {names}." if names else "Write {path}:NAME.",
        path=str(path),
        first=names[-1] if names else "",
        names=", ".join(names),
    )


def _brief(spec: str) -> str:
    """`net.py:Net` of a path however long."""
    place, _, name = spec.rpartition(":")
    return f"{Path(place).name}:{name}" if place.endswith(".py") else spec
