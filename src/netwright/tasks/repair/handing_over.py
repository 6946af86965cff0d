"""The patch of a repair that held: a file in the run folder, and the command that applies it."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from netwright.core.atomic import write_bytes
from netwright.tasks.doctoring import typed
from netwright.tasks.launching import Target
from netwright.tasks.repair.account import Repaired
from netwright.tasks.repair.difference import changed_lines, difference
from netwright.tasks.source.script import Script


def handed_over(repaired: Repaired, target: Target, before: Script, after: Script) -> Repaired:
    """Write the change of the script of `target`."""
    path = Path(target.name)
    patch = difference(path.name, before.data, after.data)
    assert repaired.done.run is not None
    place = repaired.done.run / f"{path.stem}.doctor.diff"
    write_bytes(place, patch)
    latest = place.parent.parent / "latest" / place.name
    if latest.exists() and latest.samefile(place):
        place = latest
    folder = path.absolute().parent
    told = (
        ["git", "apply", typed(place)]
        if folder == Path.cwd()
        else ["git", "-C", str(folder), "apply", str(place)]
    )
    return dataclasses.replace(
        repaired, patch=place, changed=changed_lines(patch), command=shlex.join(told)
    )
