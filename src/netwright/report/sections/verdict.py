"""The verdict: what was trained, how good it is in one number and a few sentences, at what cost."""

from __future__ import annotations

from netwright.core.escaping import html_text
from netwright.core.languages import current, say
from netwright.report.evidence import Evidence
from netwright.report.judgement import interval, judge
from netwright.report.material import Material, mapping
from netwright.report.pictures import Allowance
from netwright.report.sections import SECTIONS, Part
from netwright.report.step_line import step_line
from netwright.report.tables import facts
from netwright.report.words import (
    count,
    digits,
    duration,
    magnitude,
    named,
    number,
    percent,
    share,
    size,
    together,
    whole,
)


@SECTIONS.register("verdict", order=10)
def verdict(material: Material, allowance: Allowance) -> Part:
    """The head of the page."""
    sentences = judge(material)
    lead = f'<p class="lead">{html_text(sentences[0])}</p>' if sentences else ""
    rest = f"<p>{html_text(together(sentences[1:]))}</p>" if len(sentences) > 1 else ""
    body = (
        f'<header class="mast"><div><p class="over">{html_text(say("Training report"))} '
        f"<span>{named(material.run.name, 80)}</span></p>"
        f"<h1>{named(material.data_name, 40)} <span>·</span> {named(material.model_name, 48)}</h1>"
        f"{_state(material)}{lead}{rest}</div>{_score(material)}</header>{facts(_costs(material))}{_step(material)}"
    )
    return Part(title=say("Verdict"), body=body)


def _state(material: Material) -> str:
    """What a reader must know first when the run did not simply end."""
    status = material.status
    if status == "done":
        return ""
    if material.model.get("task") == "watched":
        told = _WATCHED[status]() if status in _WATCHED else say("The script is still running.")
        return f'<p class="state warn"><b>NOTE</b> {html_text(told)}</p>'
    word, told = _STATES.get(status, _STATES["unknown"])()
    done, planned = material.epochs_done, material.epochs_planned
    where = (
        say("Epochs measured: {done} of {planned}.", done=done, planned=planned)
        if planned
        else say("Epochs measured: {done}.", done=done)
    )
    tone = "stop" if status in ("failed", "diverged") else "warn"
    reason = _reason(material.why)
    # "Training diverged: the loss is nan at step 7." needs no "Training diverged." before it.
    opening = [] if any(each.startswith(told.rstrip(".。")) for each in reason) else [told]
    sentence = together([*opening, *reason, where])
    return f'<p class="state {tone}"><b>{word}</b> {html_text(sentence)}</p>'


def _reason(why: str) -> list[str]:
    """Why the run ended, as a sentence."""
    stop = "。" if current() == "zh" else "."
    return [why[0].upper() + why[1:].rstrip(".。") + stop] if why else []


# Of a script that the doctor watched: what is said of its own end.
_WATCHED = {
    "failed": lambda: say("The script ended with an error of its own."),
    "interrupted": lambda: say("The script was interrupted."),
}

_STATES = {
    "running": lambda: ("NOTE", say("The run was still going when this page was written.")),
    "interrupted": lambda: ("WARN", say("The run was interrupted and can be resumed.")),
    "failed": lambda: ("STOP", say("The run failed.")),
    "diverged": lambda: ("STOP", say("Training diverged.")),
    "unknown": lambda: ("WARN", say("The run folder does not say how the run ended.")),
}


def _score(material: Material) -> str:
    """The number everything was for, large."""
    shown = [each for each in material.evidence if each.accuracy is not None]
    if not shown:
        best = material.best_value
        if best is None:
            return ""
        value = percent(best, 2) if "acc" in material.goal else digits(best)
        return (
            f'<div class="score"><p class="big">{html_text(value)}</p>'
            f"<p>{named(material.goal)}</p></div>"
        )
    first = shown[0]
    under = [_range(first)] if first.count else []
    under += [
        f"{html_text(_metric(each))} <b>{percent(each.accuracy, 2)}</b>" for each in shown[1:]
    ]
    lines = "".join(f'<p class="under">{line}</p>' for line in under)
    return (
        f'<div class="score"><p class="big">{percent(first.accuracy, 2)}</p>'
        f"<p>{html_text(_metric(first))}</p>{lines}</div>"
    )


def _metric(evidence: Evidence) -> str:
    return say("test accuracy") if evidence.split == "test" else say("validation accuracy")


def _range(evidence: Evidence) -> str:
    low, high = interval(evidence.correct, evidence.count)
    return html_text(say("95 % interval {low} to {high}", low=percent(low), high=percent(high)))


def _step(material: Material) -> str:
    """What a step took, and what of this machine it used."""
    line = step_line(material.info)
    return f"<p>{html_text(say('A step: {line}.', line=line))}</p>" if line else ""


def _costs(material: Material) -> list[tuple[str, str]]:
    """What the run took, for the strip under the verdict."""
    info = material.info
    done, planned = material.epochs_done, material.epochs_planned
    epochs = f"{done} / {planned}" if planned and planned != done else str(done)
    rows = [(say("steps"), count(whole(info.get("steps"))))]
    if done or planned:
        rows.insert(0, (say("epochs"), epochs))
    seconds = number(info.get("seconds"))
    if seconds is not None:
        rows.append((say("time"), duration(seconds)))
    waiting = share(info.get("data_wait_share"))
    if waiting is not None:
        rows.append((say("waiting for data"), percent(waiting, 0 if waiting >= 0.1 else 1)))
    peak = number(info.get("peak_memory_bytes"))
    if peak is not None:
        rows.append((say("peak memory"), size(peak)))
    device = info.get("device")
    if isinstance(device, dict):
        device = mapping(device).get("name") or mapping(device).get("kind")
    if device:  # "CPU, 2 threads": the first part will do here
        rows.append((say("device"), named(str(device).partition(",")[0], 28)))
    params = number(material.model.get("params"))
    if params is not None:
        rows.append((say("parameters"), magnitude(params)))
    return rows
