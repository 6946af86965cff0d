"""One layer of an inspection, and what its units see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netwright.arithmetic.fields import TensorField
from netwright.core.errors import SettingError
from netwright.records.inspection import AxisField, InspectedLayer, InspectionRecord, Shape
from netwright.report.field_reasons import reason

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
    units: tuple[int, ...]
    """Units of the layer, in the order of its output's dimensions `dims`: (H, W) of a map, which
    is the other way round than the axes where a network swaps them; (L,) of tokens."""
    layer: str
    every: Callable[[], TensorField | None] | None = field(default=None, compare=False, repr=False)
    """What every single unit sees, worked out by another pass: asked for where it varies."""
    dims: tuple[int, ...] = ()
    """The dimensions of the first output along which units are counted."""
    along: tuple[tuple[int, ...], ...] = ()
    """Of each axis those of `dims` along which what is seen of it moves."""
    output: Shape = ()

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
        """The first and last pixel that `unit` sees along each axis of the input, as on an image
        without end: rows below 0 or beyond the last are padding. None where it sees nothing.

        A unit is named in the order of the output, by its place along each of `dims`: (row,
        column) in a map, (token,) among tokens; a number stands for the same place along all. The
        answer is in the order of the input's axes, whatever the network does with them.

        Where the field varies with the position the pass is repeated for it, once for the whole
        inspection. Raises `SettingError` for a unit the layer does not have, and where the field
        is not known.
        """
        places = (unit,) * len(self.dims) if isinstance(unit, int) else tuple(unit)
        if self.dims:
            self._check(places)
        return tuple(self._rows(axis, places) for axis in range(len(self.axes)))

    def _check(self, places: tuple[int, ...]) -> None:
        if len(places) != len(self.dims):
            one = len(self.dims) == 1
            raise SettingError(
                "{layer}: {unit} names a place along {given} dimensions; a unit of its output "
                "{output} is named along one, number {dims}: at(({example},))."
                if one
                else "{layer}: {unit} names a place along {given} dimensions; a unit of its output "
                "{output} is named along {count}, numbers {dims}: at(({example})).",
                layer=self.layer,
                unit=str(places),
                given=len(places),
                output="x".join(map(str, self.output)),
                count=len(self.dims),
                dims=", ".join(map(str, self.dims)),
                example=", ".join(str(length // 2) for length in self.units),
            )
        for number, (place, units) in enumerate(zip(places, self.units, strict=True)):
            if not 0 <= place < units:
                raise SettingError(
                    "{layer} has {units} units along axis {axis}: 0 to {last}. There is no unit "
                    "{place}.",
                    layer=self.layer,
                    units=units,
                    axis=number,
                    last=units - 1,
                    place=place,
                )

    def _rows(self, axis: int, places: tuple[int, ...]) -> Rows | None:
        found, along = self.axes[axis], self.along[axis]
        if found.sight == "nothing":
            return None
        if found.sight == "all":
            return (0, self.lengths[axis] - 1)
        # Tokens number several axes in a row, windows count one axis along several dimensions.
        plain = not along or (len(along) == 1 and sum(along[0] in each for each in self.along) == 1)
        if (found.sight == "varies" or not plain) and self.every is not None:
            every = self.every()
            if every is not None:
                # What one axis shows may depend on the places along the others too.
                others = [dim for dim in range(len(every.shape)) if dim not in self.dims]
                return every.reduced(others).span(axis, *places)
        if found.sight != "window" or not plain:
            raise SettingError(
                "{layer}: what a unit sees varies with its position: {why}"
                if found.sight in ("varies", "window")
                else "{layer}: what a unit sees is not known: {why}",
                layer=self.layer,
                why=reason(found.why or "-"),
            )
        assert found.size is not None
        assert found.stride is not None
        assert found.padding is not None
        place = places[self.dims.index(along[0])] if along else 0
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
        row = self.row
        shape = row.outputs[0] if row.outputs else ()
        dims = self._dims(shape)
        along = row.along or ((),) * len(row.fields)
        return ReceptiveField(
            axes=row.fields,
            lengths=tuple(self.record.inputs[number][dim] for number, dim in self.record.spatial),
            units=tuple(shape[dim] for dim in dims),
            layer=row.name or row.kind,
            every=self.every,
            dims=dims,
            along=tuple(tuple(dim for dim in each if dim in dims) for each in along),
            output=shape,
        )

    def _dims(self, shape: Shape) -> tuple[int, ...]:
        """Along which dimensions of the output its units are counted: of a map those of the image
        it came from, of anything else those along which what is seen moves."""
        moving = [each for each in self.row.along if each]
        for number, image in enumerate(self.record.inputs):
            dims = tuple(dim for each, dim in self.record.spatial if each == number)
            if dims and len(image) == len(shape) and all(set(each) & set(dims) for each in moving):
                return dims
        return tuple(sorted({dim for each in moving for dim in each}))

    def __repr__(self) -> str:
        sizes = "x".join(map(str, self.row.outputs[0])) if self.row.outputs else "-"
        return (
            f"Layer({self.row.name or '(network)'}: {self.row.kind}, output {sizes}, "
            f"{self.row.params:,} params, {self.row.macs:,} MACs)"
        )
