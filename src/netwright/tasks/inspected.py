"""One layer of an inspection, and what its units see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netwright.arithmetic.fields import TensorField
from netwright.core.errors import SettingError
from netwright.records.inspection import AxisField, InspectedLayer, InspectionRecord, Shape

Rows = tuple[int, int]


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of a layer see of the input, one entry of each for every spatial axis.

    `size` pixels, moving on by `stride` from unit to unit, the centre of the first unit's field
    `start` pixels from the centre of the first pixel (Araujo, Norris & Sim 2019). An entry is
    None where it has no number: `sight` then says `all`, `nothing` or `unknown`.
    """

    axes: tuple[AxisField, ...]
    lengths: tuple[int, ...]
    """Pixels of the input along each axis."""
    units: tuple[int | None, ...]
    """Units of the layer along each axis, where that is known."""
    layer: str
    every: Callable[[], TensorField | None] | None = field(default=None, compare=False, repr=False)
    """What every single unit sees, worked out by another pass: asked for where it varies."""
    spatial: tuple[tuple[int, int], ...] = ()
    """Of each axis the number of the input and the dimension, as the record has them."""

    @property
    def size(self) -> tuple[int | None, ...]:
        return tuple(each.size for each in self.axes)

    @property
    def stride(self) -> tuple[float | None, ...]:
        return tuple(each.stride for each in self.axes)

    @property
    def start(self) -> tuple[float | None, ...]:
        return tuple(each.start for each in self.axes)

    @property
    def padding(self) -> tuple[int | None, ...]:
        return tuple(each.padding for each in self.axes)

    @property
    def sight(self) -> tuple[str, ...]:
        return tuple(each.sight for each in self.axes)

    def at(self, unit: int | tuple[int, ...]) -> tuple[Rows | None, ...]:
        """The first and last pixel that `unit` sees along each axis, as on an image without end:
        rows below 0 or beyond the last are padding. None where it sees nothing. A number stands
        for the same place on all axes.

        Where the field varies with the position the pass is repeated for it. Raises
        `SettingError` for a unit the layer does not have, and where the field is not known.
        """
        places = (unit,) * len(self.axes) if isinstance(unit, int) else tuple(unit)
        if len(places) != len(self.axes):
            raise SettingError(
                "{layer}: {unit} names a place on {given} axes; the field has {axes}.",
                layer=self.layer,
                unit=str(unit),
                given=len(places),
                axes=len(self.axes),
            )
        return tuple(self._rows(k, places) for k in range(len(places)))

    def _rows(self, axis: int, places: tuple[int, ...]) -> Rows | None:
        place = places[axis]
        found, units = self.axes[axis], self.units[axis]
        if units is not None and not 0 <= place < units:
            raise SettingError(
                "{layer} has {units} units along axis {axis}: 0 to {last}. There is no unit "
                "{place}.",
                layer=self.layer,
                units=units,
                axis=axis,
                last=units - 1,
                place=place,
            )
        if found.sight == "nothing":
            return None
        if found.sight == "all":
            return (0, self.lengths[axis] - 1)
        if found.sight == "varies" and units is not None and self.every is not None:
            every = self.every()
            if every is not None:
                # What one axis shows may depend on the places along the others of its image too.
                mine = {dim: k for k, (number, dim) in enumerate(self.spatial)
                        if number == self.spatial[axis][0]}  # fmt: skip
                others = [dim for dim in range(len(every.shape)) if dim not in mine]
                at = (places[mine[dim]] for dim in sorted(mine))
                return every.reduced(others).span(axis, *at)
        if found.sight != "window":
            raise SettingError(
                "{layer}: what a unit sees varies with its position: {why}"
                if found.sight == "varies"
                else "{layer}: what a unit sees is not known: {why}",
                layer=self.layer,
                why=found.why or "-",
            )
        assert found.size is not None
        assert found.stride is not None
        assert found.padding is not None
        first = round(place * found.stride) - found.padding
        return (first, first + found.size - 1)


@dataclass(frozen=True)
class Layer:
    """One call of a layer: its facts, as attributes, and its receptive field."""

    row: InspectedLayer
    record: InspectionRecord
    every: Callable[[], TensorField | None] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def kind(self) -> str:
        return self.row.kind

    @property
    def params(self) -> int:
        return self.row.params

    @property
    def macs(self) -> int:
        return self.row.macs

    @property
    def flops(self) -> int:
        return self.row.flops

    @property
    def inputs(self) -> tuple[Shape, ...]:
        return self.row.inputs

    @property
    def outputs(self) -> tuple[Shape, ...]:
        return self.row.outputs

    @property
    def activation_bytes(self) -> int:
        return self.row.activation_bytes

    @property
    def receptive_field(self) -> ReceptiveField:
        """Of its first output tensor, for the spatial axes of the input image."""
        return ReceptiveField(
            axes=self.row.fields,
            lengths=tuple(self.record.inputs[number][dim] for number, dim in self.record.spatial),
            units=self._units(),
            layer=self.row.name or self.row.kind,
            every=self.every,
            spatial=self.record.spatial,
        )

    def _units(self) -> tuple[int | None, ...]:
        """The length of its map along each axis; only a map with all axes of an image has one."""
        found: list[int | None] = []
        shape = self.row.outputs[0] if self.row.outputs else ()
        for number, dim in self.record.spatial:
            same = len(shape) == len(self.record.inputs[number])
            found.append(shape[dim] if same else None)
        return tuple(found)

    def __repr__(self) -> str:
        sizes = "x".join(map(str, self.row.outputs[0])) if self.row.outputs else "-"
        return (
            f"Layer({self.row.name or '(network)'}: {self.row.kind}, output {sizes}, "
            f"{self.row.params:,} params, {self.row.macs:,} MACs)"
        )
