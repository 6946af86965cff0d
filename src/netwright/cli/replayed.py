"""`netwright doctor RUN --replay`: a step that was not finite, taken again and told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from netwright.cli.columns import screen_width, wrap
from netwright.cli.progress import Progress
from netwright.cli.screen import Call
from netwright.cli.words import is_script
from netwright.core.errors import SettingError
from netwright.core.escaping import terminal
from netwright.core.languages import say
from netwright.records.severity import FailOn

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.tasks.replaying import Replayed

SHOWN = 8
"""Images that are named on the screen; the document names all."""


def replay_lines(
    call: Call,
    run: str | None,
    fail_on: FailOn,
    *,
    trust_code: bool,
    others: Mapping[str, object],
) -> int:
    """Replay, tell, and the exit status: 4 where the step is not finite again.

    `others` are options of the doctor that mean nothing here: those that are given are refused.
    """
    for name, value in others.items():
        if value not in (None, False):
            raise SettingError(
                "{option} is for a script: --replay takes a step of a run again.", option=name
            )
    if run is None or is_script(run):
        raise SettingError(
            "--replay needs a run: a script keeps no checkpoints.",
            hint="Try: netwright doctor latest --replay",
        )
    from netwright.tasks.replaying import replay

    progress = Progress(call)
    try:
        made = replay(run, listeners=(progress,), trust_code=trust_code)
    finally:
        progress.close()
    status = 4 if made.met is not None and fail_on != "never" else 0
    call.result({"command": call.line, **made.to_json(), "exit": status}, _lines(made))
    return status


def _lines(made: Replayed) -> Iterator[str]:
    how = say("exact") if made.how == "exact" else made.how
    yield from _paragraph(
        say("replay"),
        say(
            "step {step} of {run}, from the checkpoint of step {checkpoint}; {how}",
            step=made.step,
            run=made.run,
            checkpoint=made.checkpoint,
            how=how,
        ),
    )
    yield from _paragraph(
        say("batch"),
        say("epoch {epoch}, {count} images: ", epoch=made.epoch, count=len(made.names))
        + _named(made.names),
    )
    if made.step != made.recorded_step:
        yield from _paragraph(
            "WARN",
            say(
                "The run recorded step {recorded}; on the way there step {step} is not finite "
                "already.",
                recorded=made.recorded_step,
                step=made.step,
            ),
        )
    elif not made.same_batch:
        yield from _paragraph("WARN", say("These are not the images that the bundle names."))
    if made.weight:
        yield from _paragraph(
            "STOP", say("{name} was not finite before the step already.", name=made.weight)
        )
    if made.met is None:
        what, value = made.recorded
        yield from _paragraph(
            "OK", say("All is finite now; {what} was {value} then.", what=say(what), value=value)
        )
        yield from _paragraph("", _what_differs(made))
        return
    what, value = made.met
    yield from _paragraph("STOP", say("{what} is {value} again.", what=say(what), value=value))
    if made.origin is not None:
        yield from _paragraph("", made.origin.what.localized())
    if made.images:
        yield from _paragraph(
            say("pictures"),
            say("it began in {count} of them: ", count=len(made.images)) + _named(made.images),
        )
    elif made.origin is not None and made.origin.samples:
        yield from _paragraph(say("pictures"), say("it is in all of them alike"))


def _what_differs(made: Replayed) -> str:
    """Why a step may be finite now that was not."""
    if made.how == "exact":
        return say(
            "Settings, data and environment are those of then: what was not the same is not "
            "recorded, such as a file or the time that code of yours looks at."
        )
    return say("What was not the same: {how}", how=made.how)


def _named(names: tuple[str, ...]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f", ... (+{more})" if more > 0 else "")


def _paragraph(word: str, text: str) -> Iterator[str]:
    for number, line in enumerate(wrap(terminal(text), max(40, screen_width() - 9))):
        yield f"{word if number == 0 else '':<9}{line}".rstrip()
