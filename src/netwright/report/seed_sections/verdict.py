"""The verdict over seeds: the median and the range in numbers, and what they say."""

from __future__ import annotations

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.seeds import Spread
from netwright.report.judgement import interval
from netwright.report.material import mapping
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial
from netwright.report.tables import facts
from netwright.report.words import (
    count,
    digits,
    duration,
    magnitude,
    named,
    number,
    percent,
    together,
    whole,
)


@SEED_SECTIONS.register("verdict", order=10)
def verdict(material: SeedsMaterial, allowance: Allowance) -> Part:
    """The head of the page."""
    sentences = judge_seeds(material)
    lead = f'<p class="lead">{html_text(sentences[0])}</p>' if sentences else ""
    rest = f"<p>{html_text(together(sentences[1:]))}</p>" if len(sentences) > 1 else ""
    over = say("Report over {count} seeds", count=material.count)
    body = (
        f'<header class="mast"><div><p class="over">{html_text(over)} '
        f"<span>{named(material.run.name, 80)}</span></p>"
        f"<h1>{named(material.data_name, 40)} <span>·</span> {named(material.model_name, 48)}</h1>"
        f"{_state(material)}{lead}{rest}</div>{_score(material)}</header>{facts(_costs(material))}"
    )
    return Part(title=say("Verdict"), body=body)


def judge_seeds(material: SeedsMaterial) -> list[str]:
    """What the numbers say, most important sentence first."""
    met = material.spread(material.split)
    if met is None:
        return [say("No seed has come to its end yet: there is nothing to compare.")]
    told = [_median(material, met)]
    if met.count > 1:
        told.append(_range(material, met))
    return told


def _median(material: SeedsMaterial, met: Spread) -> str:
    shown = {
        "count": met.count,
        "median": percent(met.median, 2),
        "low": percent(met.low, 2),
        "high": percent(met.high, 2),
    }
    if material.split == "test":
        return say(
            "The median of {count} seeds names {median} of the test images correctly; the seeds "
            "lie between {low} and {high}.",
            **shown,
        )
    return say(
        "The median of {count} seeds names {median} of the validation images correctly; the seeds "
        "lie between {low} and {high}.",
        **shown,
    )


def _range(material: SeedsMaterial, met: Spread) -> str:
    """How far chance alone moves the number, beside what the count of images leaves open."""
    width = digits(100 * met.width, 2)
    evidence = next(iter(material.evidence(material.split).values()))
    if not evidence.count:
        return say("From the lowest to the highest are {width} points.", width=width)
    low, high = interval(round(met.median * evidence.count), evidence.count)
    return say(
        "From the lowest to the highest are {width} points: a change to the recipe that moves one "
        "run by less may be chance. {images} images alone leave the median uncertain from {low} "
        "to {high} (95 % interval).",
        width=width,
        images=f"{evidence.count:,}",
        low=percent(low),
        high=percent(high),
    )


def _state(material: SeedsMaterial) -> str:
    """What a reader must know first when not all seeds simply ended."""
    lost = material.diverged
    told = ""
    if lost:
        sentence = say(
            "{lost} of {count} seeds diverged ({seeds}); they are not counted below.",
            lost=len(lost),
            count=material.count,
            seeds=", ".join(map(str, lost[:20])),
        )
        told = f'<p class="state stop"><b>STOP</b> {html_text(sentence)}</p>'
    missing = material.count - len(material.done) - len(lost)
    if missing:
        sentence = say(
            "{done} of {count} seeds are done; the run goes on with --resume.",
            done=len(material.done),
            count=material.count,
        )
        word = "NOTE" if material.own.status == "running" else "WARN"
        told += f'<p class="state warn"><b>{word}</b> {html_text(sentence)}</p>'
    return told


def _score(material: SeedsMaterial) -> str:
    """The median everything was for, large; the range and the other split under it."""
    first = material.spread(material.split)
    if first is None:
        return ""
    names = {"test": say("test accuracy, median"), "val": say("validation accuracy, median")}
    lines = [_between(first)]
    other = material.spread("val") if material.split == "test" else None
    if other is not None:
        lines.append(
            f"{html_text(names['val'])} <b>{percent(other.median, 2)}</b><br>{_between(other)}"
        )
    under = "".join(f'<p class="under">{line}</p>' for line in lines)
    return (
        f'<div class="score"><p class="big">{percent(first.median, 2)}</p>'
        f"<p>{html_text(names[material.split])}</p>{under}</div>"
    )


def _between(met: Spread) -> str:
    low, high = percent(met.low, 2), percent(met.high, 2)
    return html_text(say("seeds from {low} to {high}", low=low, high=high))


def _costs(material: SeedsMaterial) -> list[tuple[str, str]]:
    """What all seeds together took, for the strip under the verdict."""
    info = material.own.info
    rows = [(say("seeds"), str(len(material.done)))]
    if len(material.done) != material.count:
        rows = [(say("seeds"), f"{len(material.done)} / {material.count}")]
    steps = [whole(each.info.get("steps")) or 0 for each in material.seeds.values()]
    rows.append((say("steps of all"), count(sum(steps))))
    seconds = number(info.get("seconds"))
    if seconds is not None:
        rows.append((say("time of all"), duration(seconds)))
    stacked = mapping(info.get("stack")).get("stacked")
    if isinstance(stacked, bool):
        kind = say("as one stack") if stacked else say("one by one")
        rows.append((say("trained"), html_text(kind)))
    device = info.get("device")
    if isinstance(device, str) and device:
        rows.append((say("device"), named(device.partition(",")[0], 28)))
    params = number((material.typical or material.own).model.get("params"))
    if params is not None:
        rows.append((say("parameters"), magnitude(params)))
    return rows
