"""What a network is, exactly, before it is trained: `nw.inspect`, and the `Inspection` it gives.

The call is one pass without computing; whatever costs more (a traced training step, measured
times, the state at initialisation) is a method or property that does it when it is asked for.
"""

from __future__ import annotations

import functools
import inspect as signatures
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from netwright.arithmetic.fields import TensorField
from netwright.core.errors import SettingError, UnknownNameError
from netwright.core.languages import Phrase
from netwright.doctor.diagnosing import diagnose
from netwright.inspection.effective_field import effective_field, noise
from netwright.inspection.initial_state import initial_state
from netwright.inspection.initial_states import initial_states
from netwright.inspection.inputs import with_samples
from netwright.inspection.step_optimizer import OptimizerChoice
from netwright.inspection.timing import measure as timed
from netwright.inspection.timing import timing
from netwright.inspection.tracing import sight_of_call, sights_of_calls, trace
from netwright.inspection.training_step import training_memory
from netwright.records.effective_field import EffectiveField
from netwright.records.findings import Finding
from netwright.records.initial_state import InitialState
from netwright.records.inspection import InspectedLayer, InspectionRecord, Shape
from netwright.records.memory import TrainingMemory
from netwright.records.timing import Timing
from netwright.report import layer_html, layer_table
from netwright.report.network_comparison import Comparison, compare
from netwright.report.torch_summary import DEFAULT, torch_summary
from netwright.tasks.inspectable import Inspectable, drawn, find_inspectable
from netwright.tasks.inspected import Layer

if TYPE_CHECKING:
    from netwright.report.drawing import Drawing


_ZEROS = 2**22  # elements of an input given as a shape that are made, 16 MiB
_BATCH = 16  # samples of noise where a network is to compute and no batch is given


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
        outline: nn.Module,
        network: Callable[[], nn.Module],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        drawn: tuple[bool, ...] = (),
        counted: int | None = None,
        remarks: Sequence[Phrase] = (),
    ) -> None:
        """`outline` is the module that was traced, perhaps without weights; `network` gives it
        with them, for what must compute. `args` are whole batches; those that are `drawn` were
        given as shapes."""
        self.record = record
        self.remarks = tuple(remarks)
        """What is to be said of how the network was made."""
        self.counted = counted
        """`sum(p.numel() for p in model.parameters())`, counted beside the pass."""
        self._outline = outline
        self._network = network
        self._args = args
        self._drawn = drawn or (False,) * len(args)
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
        for number, row in enumerate(self.record.layers):
            if row.name == name:
                return Layer(row, self.record, functools.partial(self._sight, number))
        known = [row.name for row in self.record.layers if row.name]
        raise UnknownNameError("layer", name, known)

    def _sight(self, number: int) -> TensorField | None:
        return sight_of_call(self._outline, self._args, self._kwargs, number)

    def __contains__(self, name: object) -> bool:
        return any(row.name == name for row in self.record.layers)

    def __len__(self) -> int:
        return len(self.record.layers)

    @functools.cached_property
    def memory(self) -> TrainingMemory:
        """The memory and the products of a whole training step (SGD) on this input, traced when
        it is first asked for."""
        return self.training_memory()

    def training_memory(
        self, *, optimizer: OptimizerChoice = "sgd", loss: Callable[[Any], Tensor] | None = None
    ) -> TrainingMemory:
        """The same for another optimizer (`"momentum"`, `"adam"`, `"adamw"`, a class of
        `torch.optim`, None) or loss, a function of the output that gives a scalar."""
        return training_memory(
            self._outline, self._args, self._kwargs, optimizer=optimizer, loss=loss
        )

    @functools.cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What the conditions find in the record, the worst first."""
        return diagnose(self.record)

    def initial_state(
        self,
        batch: Any = None,
        target: Tensor | None = None,
        *,
        loss: Callable[..., Tensor] | None = None,
    ) -> InitialState:
        """The signal and the gradient through the network with the weights it has, stage by
        stage, with a verdict. `batch` is what it reads, normalised; without one, noise of unit
        variance in the shape of this inspection's input. Nothing of the network changes."""
        given = self._noise() if batch is None else batch
        return initial_state(
            self._network(), given, target, loss, name=self.record.model or self.record.kind
        )

    def initial_states(
        self,
        batch: Any = None,
        target: Tensor | None = None,
        *,
        initialisers: Sequence[str] = (),
        activations: Sequence[str] = (),
        loss: Callable[..., Tensor] | None = None,
    ) -> tuple[InitialState, ...]:
        """The same for each activation and initialiser, on copies with fresh weights."""
        return initial_states(
            self._network(),
            self._noise() if batch is None else batch,
            initialisers=initialisers,
            activations=activations,
            target=target,
            loss=loss,
            name=self.record.model or self.record.kind,
        )

    def initial_picture(
        self,
        path: str | Path | None = None,
        states: InitialState | Sequence[InitialState] | None = None,
    ) -> Drawing:
        """The picture of `states`, what `initial_state` or `initial_states` gave, one under the
        other; by default of `initial_state()`. `path` ending in `.svg` writes it. Raises
        `SettingError` for another ending, `ExhaustedError` where the place cannot be written."""
        from netwright.tasks.inspection_pictures import draw_starts

        given = self.initial_state() if states is None else states
        return draw_starts((given,) if isinstance(given, InitialState) else given, path)

    def effective_field(
        self, layer: str, images: Tensor | None = None, *, unit: tuple[int, int] | None = None
    ) -> EffectiveField:
        """Which pixels move a unit of `layer`, and how much: the gradient measured with the
        weights there are (Luo et al. 2016). `images` are (N, C, H, W), normalised; without them
        noise in the shape of this inspection's input. The middle unit by default."""
        if images is None:
            images = noise(self.record.inputs[0][1:])
        others = tuple(_materialised(each, images.device) for each in self._args[1:])
        return effective_field(
            self._network(), layer, images, unit=unit, others=others, named=self._kwargs
        )

    def effective_picture(self, path: str | Path | None, field: EffectiveField) -> Drawing:
        """The picture of what `effective_field` gave. `path` ending in `.svg` writes it. Raises as
        `initial_picture` does."""
        from netwright.tasks.inspection_pictures import draw_effective

        return draw_effective(field, path)

    def _noise(self) -> Any:
        """Inputs as they were given, shapes and empty tensors filled with noise, in a batch that
        statistics can be taken of where all are; arguments by name if some were given so."""
        generator = torch.Generator().manual_seed(0)
        beside = [each for each, drawn in zip(self._args, self._drawn, strict=True) if not drawn]
        alone = not any(
            isinstance(each, Tensor) and not each.is_meta
            for each in (*beside, *self._kwargs.values())
        )

        def filled(value: Any, drawn: bool) -> Any:
            if not isinstance(value, Tensor) or not (drawn or value.is_meta):
                return value
            shape = (
                (max(_BATCH if alone else 1, value.shape[0]), *value.shape[1:])
                if value.ndim
                else ()
            )
            if not value.is_floating_point():
                return torch.zeros(shape, dtype=value.dtype)
            return torch.randn(shape, generator=generator, dtype=value.dtype)

        args = tuple(filled(*each) for each in zip(self._args, self._drawn, strict=True))
        if not self._kwargs:
            return args
        named = {name: filled(each, False) for name, each in self._kwargs.items()}
        bound = signatures.signature(self._network().forward).bind_partial(*args)
        return {**bound.arguments, **named}

    def timing(self, *, measure: bool = False) -> Timing:
        """Where the time of a forward pass goes on this machine, layer by layer: the roofline
        estimate, with `measure` beside what it really took. The machine is measured once, in a
        few seconds, and remembered under NETWRIGHT_HOME."""
        model = self._network() if measure else self._outline
        device = next((each.device for each in model.parameters()), torch.device("cpu"))
        if device.type == "meta":
            if measure:
                raise SettingError(
                    "{kind} has no weights with values: nothing can be run.",
                    hint="Give a module that is not on the meta device.",
                    kind=type(model).__name__,
                )
            device = torch.device("cpu")
        estimated = timing(self.record, device=device)
        if not measure:
            return estimated
        args = tuple(_materialised(each, device) for each in self._args)
        return timed(model, args, self._kwargs, estimated=estimated)

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

        sights = functools.partial(sights_of_calls, self._outline, self._args, self._kwargs)
        return draw(self.record, path, layer=layer, unit=unit, image=image, sights=sights)

    def to_json(self) -> dict[str, Any]:
        """All facts, totals and findings as what JSON can hold."""
        return {
            **self.record.to_json(),
            "findings": [each.to_json() for each in self.findings],
        }

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
    given = _filled(args)
    drawn = tuple(_is_shape(each) for each in args)
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
    found = find_inspectable(name, options=options, sample=_sample(inputs))
    return inspect_found(found, inputs, kwargs)


def _materialised(value: Any, device: torch.device) -> Any:
    """A tensor on `device`, zeros in place of one without values."""
    if not isinstance(value, Tensor):
        return value
    if value.is_meta:
        return torch.zeros(value.shape, dtype=value.dtype, device=device)
    return value.to(device)


def _filled(args: Sequence[Any]) -> tuple[Any, ...]:
    """`args` with a batch of one in place of each shape: zeros, for a network may branch on
    values, but no more of them than cost nothing; a larger input has none."""

    def filled(value: Any) -> Any:
        if not _is_shape(value) or math.prod(value) > _ZEROS:
            return value
        return torch.zeros((1, *value))

    return with_samples(tuple(filled(each) if _positive(each) else each for each in args))


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(type(each) is int for each in value)


def _positive(value: Any) -> bool:
    return _is_shape(value) and min(value) > 0  # else `with_samples` says what is wrong


def _sample(inputs: Sequence[Any]) -> Shape | None:
    """The shape of one sample of the first input, where that is an image."""
    if not inputs:
        return None
    first = inputs[0]
    if isinstance(first, torch.Tensor):
        return tuple(first.shape[1:])
    return tuple(first) if _is_shape(first) else None


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
