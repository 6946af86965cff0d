"""Interventions: where the run went back, what was changed, what was tried, what came of it."""

from __future__ import annotations

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.interventions import Intervention, Tried
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.words import digits, spoken


@SECTIONS.register("interventions", order=18)
def interventions(material: Material, allowance: Allowance) -> Part | None:
    """One item for each; nothing for a run that was left alone."""
    done = material.interventions
    if not done:
        return None
    body = "".join(_item(each) for each in done[: allowance.rows])
    return Part(
        title=say("Repairs"),
        lead=say(
            "The run failed, went back to an earlier step, was treated and went on. What it had "
            "done between is not in the curves."
        ),
        body=f'<ul class="found">{body}</ul>',
    )


def _item(done: Intervention) -> str:
    where = say(
        "heard at step {seen}, back to step {back}", seen=f"{done.seen:,}", back=f"{done.back_to:,}"
    )
    what = spoken(done.known.get("message") or done.known.get("what"))
    tried = "".join(f"<li>{html_text(_tried(each))}</li>" for each in done.tried)
    numbers = f'<ul class="numbers">{tried}</ul>' if tried else ""
    return (
        f'<li><b class="word">R{done.number}</b><div>'
        f"<h3><code>{html_text(done.finding)}</code> <small>{html_text(where)}</small></h3>"
        f'<p class="what">{html_text(what)}</p>'
        f'<p class="cure"><b>{html_text(_outcome(done))}</b> '
        f"{html_text(done.changes.localized())}</p>{numbers}</div></li>"
    )


def _outcome(done: Intervention) -> str:
    if done.outcome == "held":
        return say("it held:")
    return say("it did not hold:") if done.outcome == "came-back" else say("not judged yet:")


def _tried(tried: Tried) -> str:
    change = Intervention(
        number=0, finding="", step=0, seen=0, back_to=0, rate=tried.rate, clip=tried.clip
    ).changes.localized()
    if tried.loss is None:
        return say("tried for {steps} steps: {change}: it broke", steps=tried.steps, change=change)
    return say(
        "tried for {steps} steps: {change}: loss {loss}",
        steps=tried.steps,
        change=change,
        loss=digits(tried.loss),
    )
