"""Findings: what the doctor saw going wrong, each with its numbers and what can be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netwright.core.escaping import html_text
from netwright.core.languages import Phrase, current, say
from netwright.records.facts.left_out import LeftOut
from netwright.records.layer_words import kinds_of, layer_words
from netwright.report.found import Found
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import fold


@SECTIONS.register("findings", order=15)
def findings(material: Material, allowance: Allowance) -> Part | None:
    """The findings, the worst first; nothing for a run that no doctor watched."""
    if not material.patients:
        return None
    found = material.findings
    if not found:
        return Part(
            title=say("Findings"),
            lead=say("The doctor watched this training and found nothing."),
            body=_left_out(material),
        )
    counts = {each: sum(one.severity == each for one in found) for each in ("stop", "warn", "note")}
    lead = say("{stop} stop, {warn} warn, {note} note", **counts)
    several = len(material.patients) > 1
    kinds = {number: kinds_of(record) for number, record in enumerate(material.patients, 1)}
    body = "".join(
        _item(each, kinds.get(each.patient, {}), several=several)
        for each in found[: allowance.rows]
    )
    return Part(
        title=say("Findings"), lead=lead, body=f'<ul class="found">{body}</ul>{_left_out(material)}'
    )


def _left_out(material: Material) -> str:
    """What the check-ups did not look at, behind a line that opens it."""
    told = []
    for number, record in enumerate(material.patients, 1):
        found = record.get(LeftOut)
        place = say("patient {number}", number=number) if len(material.patients) > 1 else ""
        for each in found.lines() if found is not None else ():
            told.append(f"<p>{html_text(' · '.join(filter(None, (place, each.localized()))))}</p>")
    return fold(say("What the check-up left out"), "".join(told)) if told else ""


def _item(found: Found, kinds: Mapping[str, str], *, several: bool) -> str:
    word = found.severity.upper()
    places = [say("step {step}", step=f"{found.step:,}")] if found.step is not None else []
    places += [_layers(found.layers, kinds)] * bool(found.layers)
    places += [say("patient {number}", number=found.patient)] * several
    where = f"<small>{html_text(' · '.join(each for each in places if each))}</small>"
    numbers = "".join(f"<li>{html_text(each)}</li>" for each in found.evidence)
    cause = f"<p>{html_text(found.cause)}</p>" if found.cause else ""
    tried = "".join(f"<p>{html_text(each)}</p>" for each in (found.tried, found.outcome) if each)
    done = "".join(_treatment(*each) for each in found.treatments)
    return (
        f'<li><b class="word {found.severity}">{word}</b><div>'
        f"<h3><code>{html_text(found.name)}</code> {where}</h3>"
        f'<p class="what">{html_text(found.what)}</p>'
        f'<ul class="numbers">{numbers}</ul>{cause}{tried}{done}{_doubts(found)}</div></li>'
    )


def _layers(paths: Sequence[str], kinds: Mapping[str, str]) -> str:
    """Where it is: the first few layers."""
    known = {**dict.fromkeys(paths, ""), **kinds}
    told = layer_words(", ".join(each or say("the network") for each in paths[:4]), known)
    return told.localized() if isinstance(told, Phrase) else told


def _treatment(grade: str, why: str, code: str) -> str:
    shown = f'<pre class="wrap"><code>{html_text(code)}</code></pre>' if code else ""
    return f'<p class="cure"><b>{html_text(grade)}</b> {html_text(why)}</p>{shown}'


def _doubts(found: Found) -> str:
    """What would prove it wrong, behind a line that opens it."""
    colon, stop = ("：", "。") if current() == "zh" else (": ", ".")
    rows = [
        (say("It would be wrong if"), found.wrong_if),
        (say("Not to be confused with"), found.other),
        (say("Formula"), found.formula),
    ]
    told = "".join(
        f"<p>{html_text(name + colon + text.rstrip('.。') + stop)}</p>"
        for name, text in rows
        if text
    )
    return fold(say("What would prove it wrong"), told) if told else ""
