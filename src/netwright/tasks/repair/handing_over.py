"""The patch of a repair: a file in the run folder, and the command that applies it."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from netwright.core.atomic import write_bytes
from netwright.core.languages import Phrase
from netwright.tasks.doctoring import typed
from netwright.tasks.launching import Target
from netwright.tasks.repair.account import Repaired
from netwright.tasks.repair.difference import changed_lines, difference
from netwright.tasks.source.script import Script


def handed_over(repaired: Repaired, target: Target, before: Script, after: Script) -> Repaired:
    """Write the change of the script of `target`. The command may go by the link to the latest
    run, which is short; what is kept may not, for the link moves."""
    path = Path(target.name)
    place = _place(repaired, target, "doctor")
    patch = difference(path.name, before.data, after.data)
    write_bytes(place, patch)
    near, latest = place, place.parent.parent / "latest" / place.name
    if latest.exists() and latest.samefile(place):
        near = latest
    folder = path.absolute().parent
    told = (
        ["git", "apply", typed(near)]
        if folder == Path.cwd()
        else ["git", "-C", str(folder), "apply", str(near)]
    )
    return dataclasses.replace(
        repaired, patch=place, changed=changed_lines(patch), command=shlex.join(told)
    )


def unproven(repaired: Repaired, target: Target, before: Script, after: Script) -> Repaired:
    """The account of a repair that comes to no end. What won its races is written as a patch that
    nothing is claimed of."""
    reason = Phrase("The repair was interrupted, so nothing is claimed")
    repaired = dataclasses.replace(repaired, status="interrupted", reason=reason)
    if after.data == before.data:
        return repaired
    place = _place(repaired, target, "unproven")
    patch = difference(Path(target.name).name, before.data, after.data)
    write_bytes(place, patch)
    return dataclasses.replace(repaired, patch=place, changed=changed_lines(patch))


def forget_unproven(repaired: Repaired, target: Target) -> None:
    """The end has decided on what was unproven."""
    _place(repaired, target, "unproven").unlink(missing_ok=True)


def _place(repaired: Repaired, target: Target, kind: str) -> Path:
    assert repaired.done.run is not None
    return repaired.done.run / f"{Path(target.name).stem}.{kind}.diff"
