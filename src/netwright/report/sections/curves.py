"""Curves: loss, accuracy, learning rate and gradient norm over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.axes import Axis, linear, logarithmic, shares
from netwright.report.lines import Line, line_chart
from netwright.report.material import Material, mapping
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.words import digits, percent, together, whole

# Beyond this a value says that the run broke, and would flatten everything else.
_OUTSIDE = 1e9

# And below this it is nothing: so near to the smallest float that a scale has no digits left.
_NOTHING = 1e-30

# A curve that falls by this factor is read on a logarithmic axis.
_LOG_FROM = 20.0


@SECTIONS.register("curves", order=30)
def curves(material: Material, allowance: Allowance) -> Part | None:
    """Up to four charts, two beside each other."""
    train, val = say("train"), say("val")
    charts = [
        _chart(
            material,
            say("Loss"),
            [("train/loss", train, "train"), ("val/loss", val, "val")],
            loss_axis,
            digits,
        ),
        _chart(
            material,
            say("Accuracy"),
            [("train/acc1", train, "train"), ("val/acc1", val, "val")],
            shares,
            lambda value: percent(value),
        ),
        _chart(
            material,
            say("Learning rate"),
            [("lr/g0", "", "other")],
            lambda values: linear(values, zero=True),
            digits,
        ),
        _chart(material, say("Gradient norm"), [("grad/norm", "", "other")], loss_axis, digits),
    ]
    shown = "".join(each for each in charts if each)
    if not shown:
        return None
    return Part(
        title=say("Curves"), lead=_lead(material), body=f'<div class="charts">{shown}</div>'
    )


def _lead(material: Material) -> str:
    if material.best_epoch is None:
        return ""
    kept = (
        say("The dotted line marks the last epoch; its weights are kept, as run.select asks.")
        if material.keeps_last
        else say(
            "The dotted line marks the best epoch by {metric}; its weights are the ones kept.",
            metric=material.goal[:40],
        )
    )
    if material.interventions:
        marked = say("R1, R2, ... mark where the run went on after it had been treated.")
        kept = together([kept, marked])
    if _unfrozen(material):
        kept = together([kept, say("Stages below the head were frozen up to the line “unfrozen”.")])
    train, val = material.at_best("train/loss"), material.at_best("val/loss")
    if train is None or val is None or train <= val:
        return kept
    behind = say(
        "Training values are measured during the epoch, with augmentation, dropout and label "
        "smoothing where they are set, and so may lie behind those of validation."
    )
    return together([kept, behind])


def _chart(
    material: Material,
    title: str,
    wanted: Sequence[tuple[str, str, str]],
    make_axis: Callable[[Sequence[float]], Axis],
    show: Callable[[float], str],
) -> str:
    lines = []
    for metric, name, tone in wanted:
        points = [(x, inside(value)) for x, value in material.curve(metric)]
        if any(value is not None for _, value in points):
            lines.append(Line(name=name, tone=tone, points=points))
    values = [value for line in lines for _, value in line.points if value is not None]
    if not values:
        return ""
    axis = make_axis(values)
    best = material.best_epoch if material.axis == "epoch" else None
    drawn = line_chart(
        lines,
        axis,
        title=title,
        about=_about(lines, show),
        below=say("epoch") if material.axis == "epoch" else say("step"),
        show=show,
        pin=(best, _mark(material, best)) if best else None,
        marks=[*_unfrozen(material), *_repairs(material)],
    )
    return f"<figure><figcaption>{html_text(title)}{axis_note(axis)}</figcaption>{drawn}</figure>"


def _repairs(material: Material) -> list[tuple[float, str]]:
    """Where the run went on after it had been treated."""
    places = [(material.place_of(each.back_to), each.number) for each in material.interventions]
    return [(place, f"R{number}") for place, number in places if place is not None]


def _unfrozen(material: Material) -> list[tuple[float, str]]:
    """Where the first stage below the head was trained, when that was within the run."""
    first = whole(mapping(material.model.get("transfer")).get("freeze_steps"))
    place = material.place_of(first) if first else None
    last = max((x for x, _ in material.curve("train/loss")), default=0)
    return [(place, say("unfrozen"))] if place is not None and place <= last else []


def axis_note(axis: Axis) -> str:
    """What is unusual about an axis, as HTML behind the title of its chart."""
    kind = {"log": say("logarithmic"), "stretched": say("stretched towards 100 %")}.get(axis.note)
    return f" <small>{html_text(kind)}</small>" if kind else ""


def _mark(material: Material, epoch: int) -> str:
    if material.keeps_last:
        return say("kept: epoch {epoch}", epoch=epoch)
    return say("best: epoch {best}", best=epoch)


def _about(lines: Sequence[Line], show: Callable[[float], str]) -> str:
    """The chart in words, for who cannot see it: where each line begins and ends."""
    told = []
    for line in lines:
        known = [value for _, value in line.points if value is not None]
        if len(known) == 1:
            told.append(f"{line.name} {show(known[0])}".strip())
            continue
        told.append(
            say(
                "{name} from {first} to {last}",
                name=line.name,
                first=show(known[0]),
                last=show(known[-1]),
            ).strip()
        )
    return "; ".join(told)


def loss_axis(values: Sequence[float]) -> Axis:
    """From 0, or logarithmic where the values fall by a large factor."""
    low, high = min(values), max(values)
    return logarithmic(values) if low > 0 and high > _LOG_FROM * low else linear(values, zero=True)


def inside(value: float | None) -> float | None:
    """A value that can be drawn beside others, None for one that says that the run broke."""
    if value is None or abs(value) >= _OUTSIDE:
        return None
    return value if abs(value) > _NOTHING else 0.0
