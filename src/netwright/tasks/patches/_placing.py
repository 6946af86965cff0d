"""Lines for the model once it is complete: before the optimizer is made of it."""

from __future__ import annotations

import re

from netwright.tasks.source.script import CannotPatchError, Edit, Script
from netwright.tasks.source.training import Training


def when_complete(training: Training, *lines: str) -> Edit:
    """`lines` before the optimizer's; in them `MODEL` is the model, `LAYER` a free name."""
    script = training.script
    place = training.optimizer_statement
    layer = free(script, "layer", "module", "each")
    told = [each.replace("MODEL", training.model).replace("LAYER", layer) for each in lines]
    return script.before(place, *told)


def free(script: Script, *names: str) -> str:
    """The first of the names that the script does not use."""
    for each in names:
        if not re.search(rf"\b{each}\b", script.text):
            return each
    raise CannotPatchError("all names are taken")
