"""What a network is, exactly, before it is trained: `nw.inspect`, one pass without computing."""

from __future__ import annotations

import functools
import inspect as signatures
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from netwright.core.errors import SettingError
from netwright.core.languages import Phrase
from netwright.inspection.inputs import is_shape
from netwright.inspection.tracing import trace
from netwright.tasks.inspectable import find_inspectable
from netwright.tasks.inspectable_network import Inspectable, drawn
from netwright.tasks.inspection import Inspection
from netwright.tasks.inspection_inputs import batches, sample_of


def inspect(model_or_name: nn.Module | str, *inputs: Any, **kwargs: Any) -> Inspection:
    """What a network is, exactly: shapes, parameters, multiply-adds, memory and receptive fields.

    `model_or_name` is a module, or what names one: `resnet18`, `file.py:factory`,
    `package.module:factory`, `timm:NAME`, `torchvision:NAME`, a run, a `.safetensors` file beside
    its recipe. Of `inputs`, a tuple of ints is the shape of one sample (batch 1 is added);
    all else goes to `forward` as it is, and so do `kwargs`. A registered network knows its own
    input; its settings are keywords such as `model__stem="small"`.

    One pass, without computing and without allocating activations, in evaluation mode; the
    module, its mode, gradients, buffers, hooks and the random state are left as they were.
    Raises `SettingError` for what is no network, and for an input that does not fit: it names the
    layer that refused it.

    >>> info = inspect(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), (3, 32, 32))
    >>> info.params, info.macs, info.outputs
    (224, 194400, ((1, 8, 30, 30),))
    >>> info["0"].receptive_field.at(5)
    ((5, 7), (5, 7))
    """
    if isinstance(model_or_name, str | Path):
        return _inspect_named(str(model_or_name), inputs, kwargs)
    if isinstance(model_or_name, type):
        raise _is_class(model_or_name)
    if not isinstance(model_or_name, nn.Module):
        raise SettingError(
            "nw.inspect takes a torch.nn.Module or a name, not {kind}.",
            kind=type(model_or_name).__name__,
        )
    return inspect_module(model_or_name, inputs, kwargs)


def inspect_module(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    name: str = "",
    network: Callable[[], nn.Module] | None = None,
    remarks: Sequence[Phrase] = (),
) -> Inspection:
    """The inspection of a module; `network` gives it with weights where `model` has none."""
    given = batches(args)
    drawn = tuple(is_shape(each) for each in args)
    record = trace(model, given, dict(kwargs), name=name)
    counted = sum(each.numel() for each in model.parameters()) if _counts(model) else None
    return Inspection(
        record,
        outline=model,
        network=network or (lambda: model),
        args=given,
        drawn=drawn,
        kwargs=kwargs,
        counted=counted,
        remarks=remarks,
    )


def inspect_found(
    found: Inspectable, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Inspection:
    """The inspection of a network that was named; without `args` on its own input."""
    if not args and not kwargs:
        if found.sample is None:
            raise SettingError(
                "{name} does not say what it takes: give the shape of one sample.",
                hint="On the command line --input 3x224x224, in Python nw.inspect(NAME, "
                "(3, 224, 224)).",
                name=found.name,
            )
        args = (found.sample,)
    network = functools.cache(lambda: drawn(found.make))
    model = found.outline() if found.outline is not None else network()
    return inspect_module(
        model, args, kwargs or {}, name=found.name, network=network, remarks=found.notes
    )


def _inspect_named(name: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Inspection:
    options = {
        key.removeprefix("model__"): kwargs.pop(key)
        for key in list(kwargs)
        if key.startswith("model__")
    }
    found = find_inspectable(name, options=options, sample=sample_of(inputs))
    return inspect_found(found, inputs, kwargs)


def _is_class(kind: type) -> SettingError:
    if not issubclass(kind, nn.Module):
        return SettingError(
            "nw.inspect takes a torch.nn.Module or a name, not {kind}.", kind=kind.__name__
        )
    return SettingError(
        "{kind} is a class; expected an instance of it.",
        hint="Make one: nw.inspect({kind}{signature}, ...)",
        kind=kind.__name__,
        signature=_constructor(kind),
    )


def _constructor(kind: type) -> str:
    try:
        parameters = signatures.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return "(...)"
    needed = [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    return f"({', '.join(needed)})"


def _counts(model: nn.Module) -> bool:
    """Whether its parameters have a number of elements; those of a lazy module have none yet."""
    return not any(
        isinstance(each, nn.parameter.UninitializedParameter) for each in model.parameters()
    )
