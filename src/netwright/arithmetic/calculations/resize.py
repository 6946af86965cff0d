"""Interpolation: its output size, by a factor or to a size."""

from __future__ import annotations

from netwright.arithmetic.calculations import CALCULATIONS
from netwright.arithmetic.calculations._values import Extent, given, letters, per_axis, sample
from netwright.arithmetic.sizes import resize_size
from netwright.arithmetic.working import Fact, Line, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc resize input=14 scale=2"


@config
class ResizeOptions:
    input: Extent | None = setting(
        None, help="the map: 14x14, or with its channels 64x14x14; one number is a square"
    )
    scale: float | None = setting(None, gt=0, le=1000, help="the factor")
    output_size: Extent | None = setting(None, help="the size it shall have, instead of a factor")
    align_corners: bool = setting(False, help="whether the outermost pixels meet; torch: false")
    dims: int = setting(2, ge=1, le=3, help="axes of the map")


@CALCULATIONS.register("resize", options=ResizeOptions, example=EXAMPLE, required=("input",))
def resize(options: ResizeOptions) -> Worked:
    """Output size of interpolation (nearest, bilinear, ...), and how far apart its samples lie."""
    _, sizes = sample(options.input, options.dims, None)
    sizes = given(sizes, "input", EXAMPLE)
    if (options.scale is None) == (options.output_size is None):
        raise SettingError(
            "Give scale= or size=, one of them.", hint="For example: {example}", example=EXAMPLE
        )
    names = letters(len(sizes), same=len(set(sizes)) == 1)
    working: list[Line] = []
    if options.output_size is None:
        scale = given(options.scale, "scale", EXAMPLE)
        outputs = tuple(resize_size(i, scale) for i in sizes)
        working += [
            line(f"o{name}", "floor(i * scale)", topic="size", i=i, scale=scale)
            for name, i in zip(names, sizes, strict=False)
        ]
    else:
        outputs = per_axis(options.output_size, options.dims, "size")
        names = letters(len(sizes), same=len({*zip(sizes, outputs, strict=True)}) == 1)
    for name, i, o in zip(names, sizes, outputs, strict=False):
        if options.align_corners and o > 1:
            formula = "(i - 1) / (o - 1)"
        else:
            formula = "i / o"
        working.append(line(f"step{name}", formula, topic="size", i=i, o=o))
    return Worked(
        facts=(Fact(name="output", label=Phrase("output size"), value=outputs, topic="size"),),
        working=tuple(working),
        notes=(
            Phrase(
                "align_corners moves the samples and leaves the size as it is. Where a factor was "
                "given, torch takes 1/scale for the step."
                if options.scale is not None
                else "align_corners moves the samples and leaves the size as it is."
            ),
            Phrase(
                "No parameters. Bilinear blurs edges and must not be used on maps of labels: "
                "nearest there."
            ),
        ),
    )
