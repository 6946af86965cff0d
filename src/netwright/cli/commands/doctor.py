"""`netwright doctor SCRIPT.py [args ...]`: run a script as it is, and say what its training
suffers from; of a run that holds a record, say it again."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, NoReturn

from cyclopts import Parameter

from netwright.cli.aside import spoken_aside
from netwright.cli.columns import screen_width
from netwright.cli.commands import COMMANDS
from netwright.cli.findings import finding_lines, left_out_lines
from netwright.cli.replayed import replay_lines
from netwright.cli.screen import Call, print_document
from netwright.cli.words import is_script
from netwright.core.cells import pad
from netwright.core.errors import NetwrightError, SettingError
from netwright.core.escaping import terminal
from netwright.core.languages import Phrase, say
from netwright.records.findings import Finding, percent
from netwright.records.severity import FailOn

if TYPE_CHECKING:
    from netwright.tasks.doctored import Doctored
    from netwright.tasks.doctoring import Wish
    from netwright.tasks.launching import Target
    from netwright.tasks.repair.account import Attempt, Repaired


@COMMANDS.register(
    "doctor",
    group="Train",
    usage="[OPTIONS] SCRIPT.py|-m MODULE|RUN [args ...]",
    about="The script runs as it always does: nobody edits it, its output, files, numbers and exit "
    "status stay what they were, and whatever stands behind its name belongs to it. Models and "
    "optimizers are found as it makes them. What is found is told on standard error and kept in "
    "a folder under runs/. The exit status is 4 if a finding stands at or above --fail-on.",
    examples=(
        "netwright doctor train.py --epochs 3",
        "netwright doctor --steps 300 --fail-on warn train.py",
        "netwright doctor --json -m package.train | jq .findings[0].name",
        "netwright doctor latest",
        "netwright doctor latest --replay",
    ),
)
def doctor(
    script: Annotated[
        str | None, Parameter(help="a Python file, or a run that holds a record")
    ] = None,
    /,
    *,
    module: Annotated[
        str | None,
        Parameter(name="-m", metavar="MODULE", help="run a module, as python -m does"),
    ] = None,
    steps: Annotated[
        int | None, Parameter(metavar="N", help="end it after so many steps of an optimizer")
    ] = None,
    minutes: Annotated[
        float | None, Parameter(metavar="M", help="end it after so many minutes")
    ] = None,
    fail_on: Annotated[
        FailOn, Parameter(help="the mildest finding that gives status 4: stop, warn, note, never")
    ] = "stop",
    budget: Annotated[
        float, Parameter(metavar="SHARE", help="share of the training's time that may be taken")
    ] = 0.02,
    no_checkup: Annotated[bool, Parameter(help="no probes before the first step")] = False,
    checkup: Annotated[
        float | None, Parameter(metavar="SECONDS", help="what those probes may take; default: 10")
    ] = None,
    run_dir: Annotated[
        str | None, Parameter(metavar="DIR", help="the run folder itself; default: new in runs/")
    ] = None,
    repair: Annotated[
        bool,
        Parameter(
            help="try what may mend it in copies of the script, and write what helps as a patch"
        ),
    ] = False,
    seeds: Annotated[
        int | None, Parameter(metavar="N", help="seeds that a patch must stand; default: 3")
    ] = None,
    budget_steps: Annotated[
        int | None,
        Parameter(metavar="N", help="steps that all trials may take; default: 6000"),
    ] = None,
    tensorboard: Annotated[
        bool,
        Parameter(help="also write what TensorBoard shows, to RUN/tensorboard (extra [track])"),
    ] = False,
    replay: Annotated[
        bool,
        Parameter(help="of a run: take the step again whose loss or gradient was not finite"),
    ] = False,
    trust_code: Annotated[
        bool, Parameter(help="--replay: run the copy of a model file that the run carries")
    ] = False,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Watch a training script, and name what is wrong with it."""
    if (script is None) == (module is None):
        raise SettingError(
            "netwright doctor needs a script, -m MODULE, or a run.",
            hint="Try: netwright doctor train.py",
        )
    if no_checkup and checkup is not None:
        raise SettingError(
            "--checkup says how long the probes may take that --no-checkup leaves out.",
            hint="Give one of the two.",
        )
    if replay:
        others = {
            "--steps": steps, "--minutes": minutes, "--no-checkup": no_checkup,
            "--checkup": checkup, "--run-dir": run_dir, "--repair": repair, "--seeds": seeds,
            "--budget-steps": budget_steps, "--tensorboard": tensorboard,
        }  # fmt: skip
        return replay_lines(call, script, fail_on, trust_code=trust_code, others=others)
    if trust_code:
        raise SettingError("--trust-code is for --replay.")
    from netwright.tasks.doctored_again import doctor_run, refuse_absent_board
    from netwright.tasks.doctoring import Wish, doctor_script
    from netwright.tasks.launching import Target

    if tensorboard:
        refuse_absent_board()

    if not repair and (seeds is not None or budget_steps is not None):
        raise SettingError(
            "--seeds and --budget-steps are for --repair.",
            hint="Try: netwright doctor --repair train.py",
        )
    if script is not None and not is_script(script):
        if repair:
            _refuse_repair(script)
        again = doctor_run(script, tensorboard=tensorboard)
        call.result(again.to_json(call.line), _lines(again))
        return again.exit_code(fail_on)
    wish = Wish(
        budget=budget,
        checkup=not no_checkup if checkup is None else checkup,
        steps=steps,
        minutes=minutes,
        run_dir=Path(run_dir) if run_dir is not None else None,
        tensorboard=tensorboard,
        command=call.line,
    )
    target = Target(name=script or module or "", args=call.behind, module=module is not None)
    screen = _Screen(call, sys.stderr)
    if repair:
        return _repaired(call, screen, target, wish, fail_on, seeds, budget_steps)
    with _streams(call) as true:
        done = doctor_script(
            target, wish, tell=screen.tell, show=screen.show, leave=call.ends_process
        )
        if done.ending.forked or done.alone:
            return done.ending.status
        status = done.exit_code(fail_on)
        screen.end(done, status)
        if true is not None:
            with contextlib.redirect_stdout(true):
                print_document({**done.to_json(call.line), "exit": status})
    return status


def _refuse_repair(name: str) -> NoReturn:
    """Say what stands where `--repair` needs a script."""
    from netwright.records.run import find_run

    hint = "Try: netwright doctor --repair train.py"
    place = Path(name)
    if place.exists() and not (place / "run.json").is_file():
        raise SettingError("{path} is neither a script nor a run.", hint=hint, path=name)
    if not place.exists():
        try:
            find_run(name)
        except NetwrightError:
            raise SettingError("There is no script {path}.", hint=hint, path=name) from None
    raise SettingError("--repair needs a script: a run cannot be trained again.", hint=hint)


def _repaired(
    call: Call,
    screen: _Screen,
    target: Target,
    wish: Wish,
    fail_on: FailOn,
    seeds: int | None,
    budget_steps: int | None,
) -> int:
    """Watch, try, run the patched script to its end, and tell what came of it."""
    from netwright.tasks.repairing import RepairWish, repair_script

    given = {"seeds": seeds, "steps": budget_steps}
    asked = RepairWish(**{name: each for name, each in given.items() if each is not None})
    with _streams(call) as true:
        came = repair_script(
            target, wish, asked, tell=screen.tell, show=screen.show, table=screen.table,
            watched=screen.watched,
            aside=call.json, leave=call.ends_process,
        )  # fmt: skip
        done = came.done
        if done.ending.forked or done.alone:
            return done.ending.status
        status = came.exit_code(fail_on)
        if not came.table:
            screen.end(done, status)
        screen.repaired(came, status)
        if true is not None:
            with contextlib.redirect_stdout(true):
                repair = came.to_json()
                print_document({**done.to_json(call.line), "exit": status, "repair": repair})
    return status


@contextlib.contextmanager
def _streams(call: Call) -> Iterator[IO[str] | None]:
    """The script's own streams, as they were before this command; under --json the true standard
    output, which the script does not get."""
    for stream, errors in zip((sys.stdout, sys.stderr), call.errors, strict=False):
        if errors is not None and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    if not call.json:
        yield None
        return
    with spoken_aside(leave=call.ends_process) as true:
        yield true


class _Screen:
    """What is told while the script runs, and at its end."""

    def __init__(self, call: Call, stream: IO[str]) -> None:
        self._quiet = call.quiet
        self._stream = stream
        self._told: set[tuple[str, tuple[str, ...]]] = set()

    def tell(self, word: str, what: Phrase) -> None:
        if not self._quiet:
            self._write([f"{pad(say(word), 9)}{what.escaped(terminal).localized()}"])

    def show(self, finding: Finding, where: str) -> None:
        self._told.add((finding.name, finding.layers))
        self._write(finding_lines(finding, where))

    def table(self, attempt: Attempt) -> None:
        """How the patches of one race came out."""
        if not self._quiet:
            width = max(40, screen_width() - 9)
            self._write(f"{'':9}{terminal(each)}" for each in attempt.lines(cells=width))

    def repaired(self, came: Repaired, status: int) -> None:
        """What a repair came to."""
        if came.table and came.reason is not None:
            self._write([f"{pad(say('repair'), 9)}{came.reason.localized()}"])
            if came.score is not None:
                told = say(
                    "{judge} {score:.3f} when it was ended, as it is {best}"
                    if came.cut
                    else "{judge} {score:.3f} at its end, as it is {best}",
                    judge=came.judge,
                    score=came.score,
                    best=f"{came.best:.3f}" if came.best is not None else "-",
                )
                where = say("on validation data") if came.validation else say("on training data")
                self._write([f"{'':9}{say('{what} ({where})', what=told, where=where)}"])
            if came.cost is not None:
                told = say("{cost:.2f} runs of this length in all, trials included", cost=came.cost)
                self._write([f"{'':9}{told}"])
        for _, each in came.last.findings if came.last is not None else ():
            if each.severity != "note":
                what = terminal(each.what.localized())
                self._write([f"{pad(say('left'), 9)}{each.name}: {what}"])
        if came.patch is not None:
            from netwright.tasks.doctoring import typed

            self._write(
                [
                    say(
                        "patch    {path}  ({count} lines).  Apply: {command}"
                        if came.changed != 1
                        else "patch    {path}  ({count} line).  Apply: {command}",
                        path=terminal(typed(came.patch)),
                        count=came.changed,
                        command=terminal(came.command),
                    )
                ]
            )
        if came.table:
            self._write([say("exit     {status}", status=status)])

    def watched(self, done: Doctored) -> None:
        """The summary of a script that is to be repaired."""
        self._write(_lines(done, self._told if not self._quiet else frozenset()))

    def end(self, done: Doctored, status: int) -> None:
        """The summary: what stands, what watching cost, where all of it is."""
        if done.ending.why == "enough" and not self._quiet:
            self._write([say("NOTE     The script was ended by --steps or --minutes.")])
        if done.run is None:
            if not self._quiet and not done.fault:
                self._write(
                    [
                        say(
                            "NOTE     No training was seen: no optimizer of a model. (Processes "
                            "that a script starts are not watched.)"
                        )
                    ]
                )
            return
        self._write(_lines(done, self._told if not self._quiet else frozenset(), status))

    def _write(self, lines: Iterable[str]) -> None:
        # The script may have closed it, or whoever read it has gone.
        with contextlib.suppress(OSError, ValueError):
            for line in lines:
                self._stream.write(f"{terminal_safe(line, self._stream)}\n")
            self._stream.flush()


def terminal_safe(line: str, stream: IO[str]) -> str:
    """`line` with an escape for each letter that the stream cannot write."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def _lines(
    done: Doctored,
    told: set[tuple[str, tuple[str, ...]]] | frozenset[Any] = frozenset(),
    status: int | None = None,
) -> Iterator[str]:
    """The findings (those that were told already by their name), the cost, the place."""
    for number, finding in done.findings:
        where = say("patient {number}", number=number) if done.patients > 1 else ""
        if (finding.name, finding.layers) in told:
            what = terminal(finding.what.localized())
            yield f"{finding.severity.upper():<9}{finding.name}: {what}"
        else:
            yield from finding_lines(finding, where)
    counts = {
        each: sum(finding.severity == each for _, finding in done.findings)
        for each in ("stop", "warn", "note")
    }
    yield say(
        "doctor   {stop} stop, {warn} warn, {note} note, after {steps} steps",
        steps=f"{done.steps:,}",
        **counts,
    )
    for number, cost in enumerate(done.costs, 1):
        line = say(
            "cost     {share} of the training's own time (budget {budget}), and a check-up of "
            "{checkup:.1f} s",
            share=percent(cost["share"]),
            budget=percent(cost["budget"]),
            checkup=cost["checkup"],
        )
        where = say("patient {number}", number=number) if len(done.costs) > 1 else ""
        yield f"{line}  {where}".rstrip()
    for number, each in done.left_out:
        where = say("patient {number}", number=number) if done.patients > 1 else ""
        yield from left_out_lines(each, where)
    if done.run is not None:
        from netwright.tasks.doctoring import typed

        yield say("run      {path}", path=terminal(typed(done.run)))
    if status is not None and status != done.ending.status:
        yield say("exit     {status}   (--fail-on never keeps the script's own)", status=status)
