"""Models of two libraries, `torchvision:NAME` and `timm:NAME`, where they can be imported.

Neither is a dependency: a torchvision that was built for another torch cannot be imported at all,
and takes timm with it. They are imported only when such a model is named, without weights, which
come from files by `model.weights`. What `model.` holds is passed on as keywords.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from netwright.core.errors import SettingError, UnknownNameError, nearest
from netwright.core.factories import Factory, call_factory

LIBRARIES = ("torchvision", "timm")

# Decided by the data, or by `model.weights`; or what would fetch weights from the network.
_OURS = {
    "num_classes": "data",
    "in_chans": "data",
    "weights": "model.weights",
    "weights_backbone": "model.weights",
    "pretrained": "model.weights",
    "pretrained_cfg": "model.weights",
    "checkpoint_path": "model.weights",
}


def is_library_model(name: str) -> bool:
    """Whether `name` is a model of a library.

    >>> is_library_model("timm:resnet10t"), is_library_model("timm.py:net")
    (True, False)
    """
    library, colon, _ = name.partition(":")
    return bool(colon) and library in LIBRARIES


def check_library_model(name: str) -> None:
    """Raise `SettingError` when the library is not there, and for a name it does not know."""
    library, _, model = name.partition(":")
    known = _names(library, name)
    plain = model.partition(".")[0] if library == "timm" else model  # timm: resnet50.a1_in1k
    if plain not in known:
        raise UnknownNameError(
            "model of this library", name, [f"{library}:{each}" for each in known]
        )


def build_library_model(
    name: str, *, num_classes: int, in_channels: int, options: Mapping[str, Any]
) -> nn.Module:
    """The library's network, freshly initialised by the library.

    Raises `SettingError` for options it does not take, and images it cannot.
    """
    check_library_model(name)
    library, _, model = name.partition(":")
    for option in options:
        if option in _OURS:
            raise SettingError(
                "model.{option} is not for {name}: it follows from {owner}.",
                hint="Weights come from a file: model.weights=FILE."
                if _OURS[option] == "model.weights"
                else "",
                option=option,
                name=name,
                owner=_OURS[option],
            )
    if library == "torchvision":
        if in_channels != 3:
            raise SettingError(
                "{name} takes images of 3 channels; these have {channels}.",
                hint="Set data.channels=3: grey images then have three equal channels.",
                name=name,
                channels=in_channels,
            )
        offered = {"name": model, "weights": None, "num_classes": num_classes}
        make = _module("torchvision.models", name).get_model
    else:
        offered = {"model_name": model, "pretrained": False, "num_classes": num_classes}
        offered |= {"in_chans": in_channels}
        make = _module("timm", name).create_model
    try:
        module = call_factory(
            Factory(spec=name, call=lambda **given: make(**given), path=None, sha256=""),
            {},
            wanted={**offered, **options},
        )
    except SettingError as error:
        _refuse_option(error, name, options)
        raise
    if not isinstance(module, nn.Module):
        raise SettingError(
            "{name} returned {kind}; expected a torch.nn.Module.",
            name=name,
            kind=type(module).__name__,
        )
    if getattr(module, "aux_logits", False) is True:
        raise SettingError(
            "{name} gives several outputs in training.",
            hint="Set model.aux_logits=false; the registered googlenet trains with them.",
            name=name,
        )
    return module


def library_facts(name: str) -> dict[str, Any]:
    """The library and its version, as a run keeps them."""
    library = name.partition(":")[0]
    version = getattr(_module(library, name), "__version__", "")
    return {"library": library, "version": str(version)}


def _names(library: str, name: str) -> list[str]:
    if library == "torchvision":
        models = _module("torchvision.models", name)
        return [str(each) for each in models.list_models(module=models)]
    return [str(each) for each in _module("timm", name).list_models()]


def _module(place: str, name: str) -> Any:
    library = place.partition(".")[0]
    try:
        importlib.import_module(library)  # first, so that an absent one is told from a broken one
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise _broken(library, error) from error
        raise SettingError(
            "{name} needs {library}, which is not installed here.",
            hint="Install the build of torchvision that goes with torch {torch}: the selector on "
            "pytorch.org gives the command."
            if library == "torchvision"
            else "pip install timm, after the build of torchvision that goes with torch {torch}: "
            "timm imports it.",
            name=name,
            library=library,
            torch=torch.__version__,
        ) from error
    except (Exception, SystemExit) as error:  # the code of others can raise anything; it is told
        raise _broken(library, error) from error


def _broken(library: str, error: BaseException) -> SettingError:
    return SettingError(
        "{library} is installed, and cannot be imported: {reason}",
        hint="netwright env says what it was built for. Most networks are here without it: "
        "netwright ls models",
        library=library,
        reason=(str(error).strip().splitlines() or [type(error).__name__])[0],
    )


def _refuse_option(error: SettingError, name: str, options: Mapping[str, Any]) -> None:
    """The library says "unexpected keyword argument" deep inside; say which setting it was."""
    cause = error.__cause__
    if not isinstance(cause, TypeError) or "keyword argument" not in str(cause):
        return
    for option in options:
        if f"'{option}'" in str(cause):
            known = sorted(set(_keywords(name)) - set(_OURS))
            near = nearest(option, known)
            raise SettingError(
                "model.{option}: no such setting of {name}.",
                hint="Did you mean {near}?" if near else "It takes: {known}." if known else "",
                option=option,
                name=name,
                near=", ".join(f"model.{each}" for each in near),
                known=", ".join(known),
            ) from cause


def _keywords(name: str) -> Iterable[str]:
    """The keywords of a model that can be seen: those of its builder and of what it returns."""
    library, _, model = name.partition(":")
    try:
        if library == "torchvision":
            builder = _module("torchvision.models", name).get_model_builder(model)
        else:
            builder = _module("timm", name).model_entrypoint(model)
        signature = inspect.signature(builder, eval_str=True)
        made = signature.return_annotation
        calls = [signature, *([inspect.signature(made)] if inspect.isclass(made) else [])]
    except (SettingError, AttributeError, NameError, TypeError, ValueError, RuntimeError):
        return []
    return [
        each.name
        for call in calls
        for each in call.parameters.values()
        if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)
        and each.default is not each.empty
        and each.name != "progress"
    ]
