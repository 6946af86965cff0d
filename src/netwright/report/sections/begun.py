"""How it began: the weights that were loaded, and which stage was trained from which step on."""

from __future__ import annotations

from typing import Any

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.material import Material, mapping, sequence
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.sections.notes import remark_list
from netwright.report.tables import fold, note, table
from netwright.report.words import NONE, count, digits, named, number, spoken, whole

_UNFOLDED = 12


@SECTIONS.register("begun", order=88)
def begun(material: Material, allowance: Allowance) -> Part | None:
    """What was said of the weights at the start, then the stages from the input to the head."""
    said = [mapping(each) for each in sequence(material.model.get("begun"))]
    rows = [(str(each.get("word") or "NOTE").upper(), spoken(each)) for each in said]
    body = remark_list([row for row in rows if row[1]][: allowance.rows])
    body += _stages(mapping(material.model.get("transfer")), allowance.rows)
    return Part(title=say("The weights it began with"), body=body) if body else None


def _stages(transfer: Any, most: int) -> str:
    """A row a stage: what it holds, its rate, and when it was trained."""
    stages = [mapping(each) for each in sequence(transfer.get("stages"))]
    if not stages:
        return ""
    rows = [
        [
            f"<code>{named(stage.get('name', ''), 40)}</code>",
            count(whole(stage.get("parameters"))),
            html_text(_times(number(stage.get("rate")))),
            html_text(_from(transfer, stages, place)),
        ]
        for place, stage in enumerate(stages[:most])
    ]
    head = [say("stage"), say("tensors"), say("rate"), say("trained from step")]
    body = table(head, rows, kinds="tnnn")
    if len(stages) > most:
        body += note(say("{more} more are listed in model.json.", more=len(stages) - most))
    return fold(
        say("Stages below the head: {count}", count=len(stages)),
        body,
        opened=len(stages) <= _UNFOLDED,
    )


def _times(factor: float | None) -> str:
    return NONE if factor is None else f"× {digits(factor)}"


def _from(transfer: Any, stages: list[Any], place: int) -> str:
    """The first step in which a stage is trained, counted from 0 as the curves count."""
    if "freeze_steps" not in transfer:
        return NONE
    steps = whole(transfer.get("freeze_steps"))
    if steps is None:
        return say("never")
    return f"{steps * (len(stages) - place if transfer.get('gradual') is True else 1):,}"
