"""What is known of a network before it is trained: the `Inspection` that `nw.inspect` gives.

It holds what one pass without computing found; whatever costs more (a traced training step,
measured times, the state at initialisation) is a method or property that does it when it is asked
for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from netwright.arithmetic.fields import TensorField
from netwright.core.errors import SettingError, UnknownNameError
from netwright.core.languages import Phrase
from netwright.doctor.diagnosing import diagnose
from netwright.inspection.effective_field import effective_field, noise
from netwright.inspection.initial_state import initial_state
from netwright.inspection.initial_states import initial_states
from netwright.inspection.step_optimizer import OptimizerChoice
from netwright.inspection.tracing import sights_of_calls
from netwright.inspection.training_step import training_memory
from netwright.records.effective_field import EffectiveField
from netwright.records.findings import Finding
from netwright.records.initial_state import InitialState
from netwright.records.inspection import InspectedLayer, InspectionRecord, Shape
from netwright.records.memory import TrainingMemory
from netwright.records.timing import Timing
from netwright.report import layer_html, layer_table
from netwright.report.inspection_notes import uncounted
from netwright.report.network_comparison import Comparison, compare
from netwright.report.torch_summary import DEFAULT, torch_summary
from netwright.tasks.inspected import Layer
from netwright.tasks.inspection_inputs import with_noise, with_zeros
from netwright.tasks.inspection_timing import estimated_timing, measured_timing

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
    def unruled(self) -> tuple[tuple[str, int], ...]:
        """Operations without a rule, by name, and how often they ran. What they cost is not known
        and in no total: with any of them `macs` and `flops` are lower bounds."""
        return self.record.unruled

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
        return self._sights[number]

    @functools.cached_property
    def _sights(self) -> list[TensorField | None]:
        """What every unit of every call sees, by another pass: made once and kept, so that it
        stays true to this inspection whatever becomes of the network."""
        try:
            found = sights_of_calls(self._outline, self._args, self._kwargs)
        except SettingError as error:
            raise SettingError(
                "{network} was changed since it was inspected: {reason}",
                hint="Inspect it again.",
                network=self.record.model or self.record.kind,
                reason=error.phrase,
            ) from error
        same = len(found) == len(self.rows) and all(
            each is None or (each.shape == row.outputs[0] and each.axes() == row.fields)
            for each, row in zip(found, self.rows, strict=True)
        )
        if not same:
            raise SettingError(
                "{network} was changed since it was inspected: its layers see something else now.",
                hint="Inspect it again.",
                network=self.record.model or self.record.kind,
            )
        return found

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
        others = tuple(with_zeros(each, images.device) for each in self._args[1:])
        return effective_field(
            self._network(), layer, images, unit=unit, others=others, named=self._kwargs
        )

    def effective_picture(self, path: str | Path | None, field: EffectiveField) -> Drawing:
        """The picture of what `effective_field` gave. `path` ending in `.svg` writes it. Raises as
        `initial_picture` does."""
        from netwright.tasks.inspection_pictures import draw_effective

        return draw_effective(field, path)

    def _noise(self) -> Any:
        return with_noise(self._args, self._kwargs, drawn=self._drawn, network=self._network)

    def timing(self, *, measure: bool = False) -> Timing:
        """Where the time of a forward pass goes on this machine, layer by layer: the roofline
        estimate, with `measure` beside what it really took. The machine is measured once, in a
        few seconds, and remembered under NETWRIGHT_HOME."""
        if measure:
            return measured_timing(self.record, self._network(), self._args, self._kwargs)
        return estimated_timing(self.record, self._outline)

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
            from netwright.tasks.inspecting import inspect  # which itself makes inspections

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

        return draw(
            self.record, path, layer=layer, unit=unit, image=image, sights=lambda: self._sights
        )

    def to_json(self) -> dict[str, Any]:
        """All facts, totals and findings as what JSON can hold."""
        return {
            **self.record.to_json(),
            "findings": [each.to_json() for each in self.findings],
        }

    def __str__(self) -> str:
        """The table, and under it the operations that it could not count."""
        told = [f"{word}  {phrase.localized()}" for word, phrase in uncounted(self.record)]
        return "\n".join([self.table(), *told])

    def __repr__(self) -> str:
        name = self.record.model or self.record.kind
        return (
            f"Inspection({name}: {self.params:,} params, {self.macs:,} MACs, "
            f"{len(self.record.layers)} layers)"
        )

    def _repr_html_(self) -> str:
        return layer_html.layer_html(self.record)
