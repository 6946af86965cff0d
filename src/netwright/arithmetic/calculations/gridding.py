"""Gridding: how much of its field a stack of dilated convolutions really reads."""

from __future__ import annotations

from fractions import Fraction

from netwright.arithmetic.calculations import CALCULATIONS, missing_settings
from netwright.arithmetic.gridding import (
    common_factor,
    coverage,
    field_of,
    follows_rule,
    largest_distance,
    positions_read,
)
from netwright.arithmetic.working import Fact, Worked, line
from netwright.core.config import config, setting
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase

EXAMPLE = "netwright calc gridding 2,2,2"


@config
class GriddingOptions:
    rates: str | None = setting(None, help="the dilation of each layer, such as 1,2,5")
    kernel_size: int = setting(3, ge=2, le=1000, help="the kernel of every layer")
    dims: int = setting(2, ge=1, le=3, help="axes of the image")


@CALCULATIONS.register(
    "gridding",
    options=GriddingOptions,
    thing="rates",
    example=EXAMPLE,
    required=("rates",),
    paper="Wang et al. 2018 (hybrid dilated convolution); Yu, Koltun & Funkhouser 2017",
)
def gridding(options: GriddingOptions) -> Worked:
    """Which share of its field a stack of dilated convolutions reads, and the rule that tells."""
    if options.rates is None:
        raise missing_settings(["rates"], EXAMPLE)
    rates, kernel, dims = _rates(options.rates), options.kernel_size, options.dims
    field = field_of(rates, kernel)
    if field > MOST_FIELD:
        raise SettingError(
            "The field would be {field}: only fields up to {most} are looked through.",
            field=field,
            most=MOST_FIELD,
        )
    read, whole = coverage(rates, kernel, dims=dims)
    rows = positions_read(rates, kernel)
    factor, distance = common_factor(rates), largest_distance(rates)
    facts = [
        Fact(name="field", label=Phrase("field"), value=(field,) * dims, topic="field"),
        Fact(name="read", label=Phrase("pixels read"), value=read, topic="field"),
        Fact(name="pixels", label=Phrase("pixels of the field"), value=whole, topic="field"),
        Fact(name="coverage", label=Phrase("share"), value=Fraction(read, whole), topic="field"),
        Fact(name="common_factor", label=Phrase("common factor"), value=factor, topic="rule"),
        Fact(name="distance", label=Phrase("distance M2"), value=distance, topic="rule"),
        Fact(
            name="follows_rule",
            label=Phrase("follows the rule"),
            value=follows_rule(rates, kernel),
            topic="rule",
        ),
    ]
    if field <= 72:
        present = set(rows)
        drawn = "".join("#" if place in present else "." for place in range(field))
        facts.append(Fact(name="row", label=Phrase("one row"), value=drawn, topic="field"))
    working = (
        line("field", "1 + (k - 1)*D", topic="field", k=kernel, D=sum(rates)),
        line("share", f"(n / r)**{dims}", topic="field", n=len(rows), r=field),
    )
    return Worked(
        facts=tuple(facts),
        working=working,
        notes=_notes(rates, kernel, factor, distance, read == whole),
    )


MOST_FIELD = 100_000


def _notes(
    rates: list[int], kernel: int, factor: int, distance: int, full: bool
) -> tuple[Phrase, ...]:
    notes = []
    if factor > 1:
        notes.append(
            Phrase(
                "All rates share the factor {factor}: one position in {factor} is read along each "
                "axis (gridding). Rates without one, such as 1,2,5, leave no holes.",
                factor=factor,
            )
        )
    if distance > kernel and len(rates) > 1:
        notes.append(
            Phrase(
                "The distance M2 = {distance} is more than the kernel of {kernel} bridges.",
                distance=distance,
                kernel=kernel,
            )
        )
    if full:
        notes.append(Phrase("Every pixel of the field is read."))
    elif factor == 1 and distance <= kernel:
        notes.append(Phrase("The rule is kept, but pixels at the rim of the field are not read."))
    return tuple(notes)


def _rates(text: str) -> list[int]:
    parts = [each.strip() for each in text.replace(";", ",").replace(" ", ",").split(",")]
    parts = [each for each in parts if each]
    good = [each.isascii() and each.isdigit() and 1 <= int(each[:9]) <= 10_000 for each in parts]
    if not parts or not all(good) or len(parts) > 1000:
        wrong = next((each for each, fine in zip(parts, good, strict=True) if not fine), text)
        raise SettingError(
            'rates: "{value}" is not allowed: expected whole numbers from 1 to 10000, such as '
            "1,2,5.",
            value=wrong,
        )
    return [int(each) for each in parts]
