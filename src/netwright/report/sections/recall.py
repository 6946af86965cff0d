"""How well each class is found: recall as bars, the hardest class first."""

from __future__ import annotations

import numpy as np

from netwright.core.languages import say
from netwright.report.bars import bar
from netwright.report.material import Material
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.tables import fold, note, table
from netwright.report.words import NONE, named, percent

_SHOWN = 16


@SECTIONS.register("recall", order=50, wide=False)
def recall(material: Material, allowance: Allowance) -> Part | None:
    """One row a class: recall, precision, how many images."""
    evidence = next((each for each in material.evidence if each.count), None)
    if evidence is None or evidence.confusion is None:
        return None
    counts = evidence.confusion
    true, said, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    # A class without images has no recall; it stands at the end.
    order = sorted(
        range(len(counts)), key=lambda i: (not true[i], right[i] / true[i] if true[i] else 0, i)
    )
    rows = []
    for i in order[: allowance.rows]:
        share = int(right[i]) / int(true[i]) if true[i] else None
        found = int(right[i]) / int(said[i]) if said[i] else None
        rows.append(
            [
                named(material.class_name(i), 22),
                bar(share, "right") if share is not None else "",
                percent(share) if share is not None else NONE,
                percent(found) if found is not None else NONE,
                f"{int(true[i]):,}",
            ]
        )
    head = [say("class"), "", say("recall"), say("precision"), say("images")]
    body = table(head, rows[:_SHOWN], kinds="tbnnn")
    if len(rows) > _SHOWN:
        title = say("The other {count} classes", count=f"{len(rows) - _SHOWN:,}")
        body += fold(title, table(head, rows[_SHOWN:], kinds="tbnnn"))
    if len(order) > allowance.rows:
        body += note(
            say("Only the {count} hardest classes are listed.", count=f"{allowance.rows:,}")
        )
    return Part(
        title=say("Class by class"),
        lead=say(
            "Recall: of the images of a class, the share that was found. "
            "Precision: of those given that name, the share that was right."
        ),
        body=body,
    )
