"""How to do it again: all seeds, or one of them."""

from __future__ import annotations

import shlex

from netwright.core.languages import say
from netwright.report.pictures import Allowance
from netwright.report.sections import Part
from netwright.report.sections.reproduce import commands, environment, place_of, settings
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial
from netwright.report.words import short


@SEED_SECTIONS.register("reproduce", order=110)
def reproduce(material: SeedsMaterial, allowance: Allowance) -> Part:
    """Commands to copy, then the settings and the environment."""
    own = material.own
    place = shlex.quote(short(place_of(own), 300))
    command = own.info.get("command")
    again = [f"netwright train --config {place}/config.yaml"] if own.config_text else []
    body = commands(say("The command of this run"), [command] if isinstance(command, str) else [])
    body += commands(say("The same again, with every setting as it was resolved"), again)
    if len(material.done) + len(material.diverged) < material.count:
        body += commands(say("Go on with it"), [f"netwright train --resume {place}"])
    if material.middle is not None:
        seed = material.middle
        body += commands(
            say("One seed alone"),
            [f"netwright train --config {place}/seed-{seed}/config.yaml"],
        )
        body += commands(
            say("Use it"), [f"netwright evaluate {place}", f"netwright predict {place} image.png"]
        )
    body += settings(own.config_text, allowance.rows) + environment(own)
    return Part(title=say("Do it again"), body=body)
