"""What a network is, exactly, before it is trained: `nw.inspect`, and the `Inspection` it gives.

The call is one pass without computing; whatever costs more (a traced training step, measured
times, the state at initialisation) is a method or property that does it when it is asked for.
"""

from __future__ import annotations

import functools
import inspect as signatures
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from netwright.core.errors import SettingError, UnknownNameError, nearest
from netwright.core.languages import Phrase
from netwright.inspection.tracing import trace
from netwright.records.inspection import InspectedLayer, InspectionRecord, Shape
from netwright.report import layer_html, layer_table
from netwright.report.network_comparison import Comparison, compare
from netwright.report.torch_summary import DEFAULT, torch_summary
from netwright.tasks.inspectable import Inspectable, find_inspectable
from netwright.tasks.inspected import Layer

if TYPE_CHECKING:
    from netwright.report.drawing import Drawing


class Inspection:
    """What `nw.inspect` found: totals, the layers and their receptive fields.

        info = nw.inspect("resnet18")
        info.params, info.macs, info.outputs          # (11689512, 1814073344, ((1, 1000),))
        info["layer3"].receptive_field.size           # (211, 211)
        print(info)                                   # the table

    `record` holds all facts, `rows` the calls of layers. A notebook shows it by itself.
    """

    def __init__(
        self,
        record: InspectionRecord,
        *,
        network: Callable[[], nn.Module],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        counted: int | None = None,
        remarks: Sequence[Phrase] = (),
    ) -> None:
        """`network` gives the module with its weights, for what must compute."""
        self.record = record
        self.remarks = tuple(remarks)
        """What is to be said of how the network was made."""
        self.counted = counted
        """`sum(p.numel() for p in model.parameters())`, counted beside the pass."""
        self._network = network
        self._args = args
        self._kwargs = dict(kwargs)

    @property
    def params(self) -> int:
        """Parameters, each distinct tensor once: `sum(p.numel() for p in model.parameters())`."""
        return self.record.params

    @property
    def macs(self) -> int:
        """Multiply-adds of contractions, for the whole batch that was given."""
        return self.record.macs

    @property
    def flops(self) -> int:
        """Twice the multiply-adds."""
        return self.record.flops

    @property
    def outputs(self) -> tuple[Shape, ...]:
        """The shapes of the tensors it returns, in order, however they are nested."""
        return self.record.outputs

    @property
    def rows(self) -> tuple[InspectedLayer, ...]:
        """The calls of layers, in the order they began; a container stands before its parts."""
        return self.record.layers

    def __getitem__(self, name: str) -> Layer:
        """The first call of the layer with that path; `UnknownNameError` if it did not run."""
        for row in self.record.layers:
            if row.name == name:
                return Layer(row, self.record)
        known = [row.name for row in self.record.layers if row.name]
        raise UnknownNameError("layer", name, known)

    def __contains__(self, name: object) -> bool:
        return any(row.name == name for row in self.record.layers)

    def __len__(self) -> int:
        return len(self.record.layers)

    def table(self, depth: int | None = None, *, cells: int = 80) -> str:
        """The layers to `depth` as text, at most `cells` wide; None chooses what fits a screen."""
        head = [layer_table.heading(self.record)]
        rows = layer_table.layer_table(self.record, depth, cells=cells)
        return "\n".join([*head, *rows])

    def summary(self, *, depth: int = 3, col_names: Sequence[str] = DEFAULT) -> str:
        """The same facts in the layout that torchinfo's `summary` made familiar.

        `col_names` are of `input_size`, `output_size`, `num_params`, `params_percent`,
        `mult_adds`, `receptive_field` and `trainable`.
        """
        return torch_summary(self.record, depth=depth, col_names=tuple(col_names))

    def versus(
        self, other: Inspection | nn.Module | str, *, depth: int | None = None
    ) -> Comparison:
        """This network beside another, layer by layer: those of one path, else in their order.

        A module or a name is inspected with the inputs of this inspection.
        """
        if not isinstance(other, Inspection):
            other = inspect(other, *self._args, **self._kwargs)
        return compare(self.record, other.record, depth=depth)

    def picture(
        self,
        path: str | Path | None = None,
        *,
        layer: str | None = None,
        unit: tuple[int, int] | None = None,
        image: Any = None,
    ) -> Drawing:
        """The graph of the network as SVG, and what a unit of `layer` sees on `image`.

        `image` is a file or an array (H, W), (H, W, 3) or (3, H, W); without one a grid stands
        for it. `unit` is (row, column), the middle of the map by default. `path` ending in
        `.svg` writes the picture, in `.html` a page on which the unit can be moved. Raises
        `SettingError` for another ending or a layer that sees no window, `ExhaustedError` where
        the place cannot be written.
        """
        from netwright.tasks.inspection_pictures import draw

        return draw(self.record, path, layer=layer, unit=unit, image=image)

    def to_json(self) -> dict[str, Any]:
        """All facts and totals as what JSON can hold."""
        return self.record.to_json()

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        name = self.record.model or self.record.kind
        return (
            f"Inspection({name}: {self.params:,} params, {self.macs:,} MACs, "
            f"{len(self.record.layers)} layers)"
        )

    def _repr_html_(self) -> str:
        return layer_html.layer_html(self.record)


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
    _check_call(model, args, kwargs)
    record = trace(model, tuple(args), dict(kwargs), name=name)
    counted = sum(each.numel() for each in model.parameters()) if _counts(model) else None
    return Inspection(
        record,
        network=network or (lambda: model),
        args=tuple(args),
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
    network = functools.cache(found.make)
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
    found = find_inspectable(name, options=options, sample=_sample(inputs))
    return inspect_found(found, inputs, kwargs)


def _sample(inputs: Sequence[Any]) -> Shape | None:
    """The shape of one sample of the first input, where that is an image."""
    if not inputs:
        return None
    first = inputs[0]
    if isinstance(first, torch.Tensor):
        return tuple(first.shape[1:])
    if isinstance(first, tuple | list) and all(isinstance(each, int) for each in first):
        return tuple(first)
    return None


def _check_call(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Whether `forward` can be called so at all: what is missing is said before anything runs."""
    try:
        signature = signatures.signature(model.forward)
    except (TypeError, ValueError):  # a scripted or wrapped forward that does not tell
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        near = [nearest(name, signature.parameters) for name in kwargs]
        raise SettingError(
            "{kind}.forward{signature} cannot be called with {count} inputs{named}: {reason}.",
            hint="Give an input for each argument: a tuple of ints is the shape of one sample "
            "(--input on the command line), anything else is passed on."
            if not any(near)
            else "Nearest: {near}.",
            kind=type(model).__name__,
            signature=_brief(signature),
            count=len(args),
            named="".join(f", {name}" for name in kwargs),
            reason=str(error),
            near=", ".join(each[0] for each in near if each),
        ) from error


def _brief(signature: signatures.Signature) -> str:
    """The names it takes, without their types."""
    plain = [
        each.replace(annotation=signatures.Parameter.empty)
        for each in signature.parameters.values()
    ]
    return str(signatures.Signature(plain))


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
