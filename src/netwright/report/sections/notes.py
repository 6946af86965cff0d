"""Notes: what Netwright guessed, set aside or warned about, in the run and in the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.report.material import Material, mapping, sequence
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import fold, note, table
from netwright.report.words import named, spoken

_MOST = 100
_WORDS = ("OK", "NOTE", "WARN", "STOP")


@SECTIONS.register("notes", order=20)
def notes(material: Material, allowance: Allowance) -> Part | None:
    """Remarks worst first, then the list of what could not be read."""
    return remarks([material], allowance)


def remarks(
    materials: Sequence[Material], allowance: Allowance, *, more: Sequence[tuple[str, str]] = ()
) -> Part | None:
    """The remarks of one folder, or of several that belong together, each said once.

    `more` are remarks of the caller: word (NOTE, WARN, ...) and text.
    """
    rows = list(more)
    for material in materials:
        rows += [("WARN", fault) for fault in material.faults]
        rows += [_note(each) for each in sequence(material.info.get("notes"))]
        rows += [_note(each) for each in sequence(material.data.get("notes"))]
        rows += [("NOTE", _resumed(each)) for each in sequence(material.info.get("resumed"))]
        watched = material.model.get("task") == "watched"  # a loop of the user's own
        if material.metrics and not material.evidence and not watched:
            missing = say("The run holds no predictions: what was confused is not shown.")
            rows.append(("NOTE", missing))
    known = [row for row in dict.fromkeys(rows) if row[1]]
    known.sort(key=lambda row: -_WORDS.index(row[0]))
    body = remark_list(known[: min(_MOST, allowance.rows)])
    body += "".join(_quarantine(each, min(_MOST, allowance.rows)) for each in materials)
    return Part(title=say("Notes"), body=body) if body else None


def remark_list(rows: Sequence[tuple[str, str]]) -> str:
    """Remarks, each a word (OK, NOTE, WARN, STOP) and its text, as HTML; "" if there are none."""
    known = [(word if word in _WORDS else "NOTE", text) for word, text in rows]
    body = "".join(
        f'<li><b class="word {word.lower()}">{word}</b><span>{html_text(text)}</span></li>'
        for word, text in known
    )
    return f'<ul class="notes">{body}</ul>' if body else ""


def _note(message: Any) -> tuple[str, str]:
    word = str(mapping(message).get("word") or "NOTE").upper()
    return (word if word in _WORDS else "NOTE", spoken(message))


def _resumed(entry: Any) -> str:
    step, how = mapping(entry).get("step"), mapping(entry).get("how")
    if not isinstance(step, int) or not how:
        return ""
    return say("Resumed at step {step}: {how}.", step=f"{step:,}", how=spoken(how).rstrip("."))


def _quarantine(material: Material, most: int) -> str:
    """Images that were set aside, by name and reason."""
    found = [
        (str(each[0]), spoken(each[1]))
        for each in sequence(material.data.get("quarantined"))
        if isinstance(each, list | tuple) and len(each) == 2
    ]
    if not found:
        return ""
    rows = [[named(name, 60), html_text(reason)] for name, reason in found[:most]]
    inner = table([say("file"), say("reason")], rows, kinds="tt")
    if len(found) > most:
        inner += note(say("{more} more are listed in model.json.", more=len(found) - most))
    title = say("Set aside because they could not be read: {count}", count=f"{len(found):,}")
    return fold(title, inner, opened=len(found) <= 5)
