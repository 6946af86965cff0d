"""The repair of a script: every patch that was tried, how it came out, and what was kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.material import Material, mapping, sequence
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import note, table
from netwright.report.words import NONE, number, short, spoken, whole


@SECTIONS.register("repair", order=16)
def repair(material: Material, allowance: Allowance) -> Part | None:
    """The races of `repair.json`; nothing for a run that was not repaired."""
    account = material.repair
    attempts = [mapping(each) for each in sequence(account.get("table"))]
    if not attempts:
        return None
    judge = short(account.get("judge") or "")
    best, score = number(account.get("untreated")), number(account.get("score"))
    lead = spoken(account.get("reason_message"))
    body = "".join(_race(each, allowance) for each in attempts[:20])
    if score is not None:
        data = say("on validation data") if account.get("validation") else say("on training data")
        told = say(
            "{judge} {score:.3f} when it was ended, as it is {best}"
            if account.get("cut")
            else "{judge} {score:.3f} at its end, as it is {best}",
            judge=judge,
            score=score,
            best=NONE if best is None else f"{best:.3f}",
        )
        body += note(say("{what} ({where})", what=told, where=data))
    if account.get("patch"):
        body += note(say("The change of the script: {path}", path=short(account["patch"], 200)))
    return Part(title=say("Repair"), lead=lead, body=body)


def _race(attempt: Mapping[str, Any], allowance: Allowance) -> str:
    names = ", ".join(short(each) for each in sequence(attempt.get("findings"))[:10])
    rows = [mapping(each) for each in sequence(attempt.get("rows"))[: min(20, allowance.rows)]]
    head = [
        say("what was changed"),
        say("steps"),
        say("score"),
        say("spread"),
        "",
    ]
    cells = [_cells(row, carried=bool(attempt.get("carried")) and place == 1)
             for place, row in enumerate(rows)]  # fmt: skip
    return f"<p><b><code>{html_text(names)}</code></b></p>" + table(head, cells, kinds="tnnnt")


def _cells(row: Mapping[str, Any], *, carried: bool) -> list[str]:
    score, spread = number(row.get("score")), number(row.get("spread"))
    several = len(sequence(row.get("scores"))) > 1
    said = say("kept") if row.get("kept") else short(row.get("error") or "", 80)
    if carried and not row.get("kept"):
        said = say("kept for what comes after")
    return [
        html_text(spoken(row.get("message"))),
        html_text(f"{whole(row.get('steps')) or 0:,}"),
        html_text(NONE if score is None else f"{score:.3f}"),
        html_text(f"{spread:.3f}" if several and spread is not None else ""),
        html_text(said),
    ]
