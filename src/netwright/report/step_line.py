"""What a step of a run took, in one line: for the end of a training and for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netwright.core.languages import say
from netwright.report.layer_times import duration
from netwright.report.words import number, share


def step_line(info: Mapping[str, Any]) -> str:
    """The line, from what `run.json` says; "" where it says nothing of steps.

    >>> step_line({"step_times": {"seconds": 0.0123, "data_wait_share": 0.03, "others_share": 0.0,
    ...     "roofline_share": 0.61, "waits_for": "memory", "machine_measured": True}})
    '12.3 ms (data wait 369 us, 3 %), 61 % of the roofline of this machine (waits for memory)'
    """
    facts = info.get("step_times")
    if not isinstance(facts, Mapping):
        return ""
    seconds, waited = number(facts.get("seconds")), share(facts.get("data_wait_share"))
    if not seconds or waited is None:
        return ""
    line = say(
        "{time} (data wait {wait}, {share})",
        time=duration(seconds),
        wait=duration(waited * seconds),
        share=_percent(waited),
    )
    line = say("{step}, {roofline}", step=line, roofline=_roofline(facts))
    others = share(facts.get("others_share"))
    if others:
        line = say(
            "{step}; other processes took {share} of the processors meanwhile, so these times say "
            "little",
            step=line,
            share=_percent(others),
        )
    return line


def _roofline(facts: Mapping[str, Any]) -> str:
    part = number(facts.get("roofline_share"))
    if part is None:
        if facts.get("machine_measured"):
            return say("share of the roofline not known")
        return say(
            "share of the roofline not known: this machine is not measured yet (netwright inspect "
            "MODEL --time)"
        )
    waits = {
        "compute": say("waits for arithmetic"),
        "memory": say("waits for memory"),
        "overhead": say("waits for calls"),
    }.get(str(facts.get("waits_for")), "")
    return say(
        "{share} of the roofline of this machine ({waits})", share=_percent(part), waits=waits
    )


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"  # a plain space: this line is for a terminal too
