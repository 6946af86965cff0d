"""`netwright doctor SCRIPT.py --repair`: what is found is mended in the source, and what measurably
helps is kept.

The script runs as it is until the diagnosis stands. Then patched copies race against it, group by
group in the order of the catalogue, each in a process of its own. What won runs on, under the
watch, to its own end, which must still beat the best that the untreated run had reached. The script
itself is never touched: the change lies in the run folder as a patch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwright.core.errors import SettingError
from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.doctored import Doctored
from netwright.tasks.doctoring import Show, Tell, Wish, doctor_script, typed
from netwright.tasks.launching import Ending, Target, find
from netwright.tasks.repair.account import Attempt, Repaired
from netwright.tasks.repair.choosing import candidates, causes, certain, names_of, next_group
from netwright.tasks.repair.handing_over import forget_unproven, handed_over, unproven
from netwright.tasks.repair.jobs import Mark, Shown, Told
from netwright.tasks.repair.process import GRACE, Process
from netwright.tasks.repair.racing import Control, Purse, harmless, race
from netwright.tasks.repair.runs import Runs
from netwright.tasks.repair.terminating import Terminating
from netwright.tasks.repair.writing import write_account, write_interrupted, write_so_far
from netwright.tasks.source.script import CannotPatchError, Script

ROUNDS = 6
"""How often something is treated and looked at anew, at most."""

MARKS = (50, 100, 200)
"""Steps after which runs are compared."""

LEAST = 300.0
"""Seconds that trials may take, however fast the script is; else `TIMES` what it took so far."""

TIMES = 40.0

DIVERGED = ("nonfinite", "divergence")


@dataclass(frozen=True, kw_only=True)
class RepairWish:
    """How a script is to be repaired: how many seeds a winner must stand, and how many steps all
    trials together may take."""

    seeds: int = 3
    steps: int = 6000

    def __post_init__(self) -> None:
        for name, value, least in (("--seeds", self.seeds, 1), ("--budget-steps", self.steps, 1)):
            if value < least:
                raise SettingError("{name} must be above 0, not {value}.", name=name, value=value)


def repair_script(
    target: Target,
    wish: Wish,
    repair: RepairWish,
    *,
    tell: Tell,
    show: Show,
    table: Callable[[Attempt], None],
    watched: Callable[[Doctored], None],
    aside: bool = False,
    leave: bool = False,
) -> Repaired:
    """Watch `target`, then try what may mend it; `tell`, `show` and `table` are called meanwhile,
    `watched` when the script as it is has run and something is tried.

    With `aside` what the script prints goes to standard error. A module, one of several ranks, or
    a source that cannot be read is watched as ever, and said so. Raises `SettingError` as
    `doctor_script` does.
    """
    found = find(target)
    reason, script = None, None
    if target.module:
        reason = Phrase("it is for a script in one file")
    elif int(os.environ.get("WORLD_SIZE", "1") or 1) > 1:
        reason = Phrase("it is for a training in one process")
    elif found.fault is None:
        try:
            script = Script.read(Path(found.path).read_bytes())
        except (CannotPatchError, OSError) as error:
            reason = Phrase("the source cannot be read ({why})", why=error)
    if script is None:
        if reason is not None:
            tell("NOTE", Phrase("Nothing will be repaired: {why}. Advice stands.", why=reason))
        return Repaired(
            done=doctor_script(target, wish, tell=tell, show=show, leave=leave), reason=reason
        )
    with Terminating() as ended, Runs(target, wish, _marks(wish.steps), aside=aside) as runs:
        repairing = Repairing(
            script, target, runs, repair, wish, tell=tell, show=show, table=table, watched=watched
        )
        with repairing:
            return repairing.run(ended)


def _marks(steps: int | None) -> tuple[int, ...]:
    """Where runs of so many steps rest."""
    if steps is None or steps >= MARKS[-1]:
        return MARKS
    return (*(each for each in MARKS if each < steps), steps)


class Repairing(contextlib.ExitStack):
    """The repair of one script. Used in a `with`, which ends whatever still rests."""

    def __init__(
        self,
        script: Script,
        target: Target,
        runs: Runs,
        repair: RepairWish,
        wish: Wish,
        *,
        tell: Tell,
        show: Show,
        table: Callable[[Attempt], None],
        watched: Callable[[Doctored], None],
    ) -> None:
        super().__init__()
        self._script, self._target, self._runs, self._repair = script, target, runs, repair
        self._tell, self._show = tell, show
        self._shown_table, self._watched = table, watched
        self._rests = wish.minutes is None  # the clock of --minutes does not stop with a run
        self._patched: Process | None = None
        self._table: list[Attempt] = []
        self._tried: set[tuple[str, tuple[str, ...]]] = set()
        self._purse = Purse(steps=repair.steps, seconds=LEAST, slow=LEAST)
        self._steps = 0
        self._so_far: Repaired | None = None

    # The script as it is

    def run(self, ended: Terminating) -> Repaired:
        with self._runs.first(self._heard) as run:
            try:
                marks = self._until_diagnosed(run)
            except KeyboardInterrupt:  # the script was told too, and writes what it has
                if ended.asked:
                    run.interrupt()
                run.wait(GRACE)
                if run.done is None:
                    raise
                return Repaired(done=run.done)
            done = run.done
            status = run.status if done is None else 0
        if done is None:  # it was killed, or it left by os._exit
            return Repaired(done=Doctored(ending=Ending(status=status, why="exit")))
        base = Repaired(done=done)
        if done.run is None or not marks or done.ending.why == "interrupted":
            return base
        unfit = next((each.unfit for each in marks if each.unfit is not None), None)
        if not causes(marks[-1].findings):
            return base
        if unfit is not None:
            self._tell("NOTE", Phrase("Nothing will be repaired: {why}. Advice stands.", why=unfit))
            return dataclasses.replace(base, reason=unfit)
        self._purse.seconds = max(LEAST, TIMES * run.seconds)
        self._purse.slow = max(60.0, 5 * run.seconds)
        self._steps = marks[-1].step
        self._so_far = unproven(base, self._target, self._script, self._script)
        try:
            return self._account(self._treated(base, marks))
        except KeyboardInterrupt:
            self._interrupted()
            raise

    def _until_diagnosed(self, run: Process) -> list[Mark]:
        """Let the script run as it is; it ends at a mark where it is clear what to treat, at the
        latest at the last one."""
        while (mark := run.until_mark(math.inf)) is not None:
            if mark.last:
                run.wait(math.inf)
                break
            if self._treatable(mark, sure=mark.step < self._runs.marks[-1]):
                run.stop()
                break
            run.go_on()
        return run.marks

    def _treatable(self, mark: Mark, *, sure: bool) -> bool:
        if mark.unfit is not None or (mark.score is None and not mark.error):
            return False
        group = next_group(causes(mark.findings), self._script, self._tried)
        return certain(group, self._script) if sure else bool(group)

    # Treating

    def _treated(self, base: Repaired, marks: list[Mark]) -> Repaired:
        # The last one that was judged: data may be known of only from the first validation on.
        judged = next((each for each in reversed(marks) if each.score is not None), None)
        same = [each.value for each in marks if judged and each.measure == judged.measure]
        best = max(same, default=-math.inf)
        script, findings = self._script, causes(marks[-1].findings)
        control = self.enter_context(Control(marks, lambda: self._runs.trial(self._script, 0)))
        base = dataclasses.replace(
            base,
            best=best if math.isfinite(best) else None,
            judge=judged.kind if judged is not None else "",
            source=judged.source if judged is not None else "",
            diverged=any(each.name in DIVERGED for each in findings),
        )
        for number in range(ROUNDS):
            group = next_group(findings, script, self._tried)
            if not group or self._purse.empty:
                break
            if not number:
                self._watched(base.done)
            changed = self._raced(script, control, group, findings)
            self._keep(base, changed or script)
            if changed is not None:
                script = changed
                found = self._looked_at(script)
                control = Control(found)
                findings = causes(found[-1].findings) if found else []
        self._steps += self._purse.spent
        base = dataclasses.replace(base, table=tuple(self._table), steps=self._steps)
        if not self._table:
            reason = Phrase("What was found has no patch that can be tried; see its advice")
            self._tell(
                "NOTE", Phrase("Nothing will be repaired: {why}. Advice stands.", why=reason)
            )
            return dataclasses.replace(base, reason=reason)
        if self._patched is None or not any(each.kept for each in self._table):
            return dataclasses.replace(base, reason=_nothing_kept(self._table))
        return self._to_its_end(base, script, judged)

    def _raced(
        self,
        script: Script,
        control: Control,
        findings: Sequence[Finding],
        others: Sequence[Finding],
    ) -> Script | None:
        """The script to go on with; None where nothing helped."""
        field = list(candidates(script, findings, others))
        self._tried |= {(each.name, each.layers) for each in findings}
        if not field:
            return None
        names = names_of(script, field, findings, others)
        self._tell(
            "repair",
            Phrase(
                "racing {count} patches for {findings}, {first} to {last} steps each"
                if len(field) > 1
                else "trying a patch for {findings}, {first} to {last} steps",
                count=len(field),
                findings=", ".join(names),
                first=self._runs.marks[0],
                last=self._runs.marks[-1],
            ),
        )
        raced = race(
            control, script, field, self._runs.trial, self._purse,
            marks=self._runs.marks, seeds=self._repair.seeds,
        )  # fmt: skip
        carried = raced.winner is None and field[0].safe and harmless(raced)
        attempt = Attempt(findings=names, group=findings[0].group, rows=raced.rows, carried=carried)
        self._table.append(attempt)
        self._shown_table(attempt)
        if raced.winner is not None:
            # What helped may have to be done once more: a tenth of the rate can be too much still.
            self._tried -= {(each.name, each.layers) for each in findings}
            return raced.winner.script
        return field[0].script if carried else None

    def _looked_at(self, script: Script) -> list[Mark]:
        """How a patched script runs under the watch. It rests at the last mark, and may go on from
        there to its own end if nothing more is treated."""
        self._forget_patched()
        self._tell("repair", Phrase("the patched script runs, to its end if nothing more is found"))
        run = self._patched = self.enter_context(self._runs.patched(script))
        while (mark := run.until_mark(self._purse.slow)) is not None and not mark.last:
            if mark.step >= self._runs.marks[-1]:
                break
            run.go_on()
        return list(run.marks)

    def _forget_patched(self) -> None:
        """A patched run that is patched once more."""
        if self._patched is not None:
            self._steps += self._patched.steps
            self._patched.kill()
            self._patched = None

    def _to_its_end(self, base: Repaired, script: Script, judged: Mark | None) -> Repaired:
        """The patched script goes on to its own end, which decides."""
        if not self._rests:  # it has lost time while it rested
            self._forget_patched()
            self._patched = self.enter_context(self._runs.patched(script))
        run = self._patched
        assert run is not None
        while not run.over and not (run.last is not None and run.last.last):
            if run.marks:
                run.go_on()
            if run.until_mark(math.inf) is None:
                break
        run.wait(math.inf)
        mark = run.last
        score = mark.score if mark is not None and mark.last and not mark.error else None
        steps = self._steps + run.steps
        base = dataclasses.replace(base, last=run.done, steps=steps, whole=run.steps)
        if score is not None and judged is not None:
            assert mark is not None
            if mark.measure != judged.measure:
                return dataclasses.replace(
                    base,
                    reason=Phrase(
                        "The end could not be judged on the data that judged the script as it is, "
                        "so nothing is claimed"
                    ),
                )
        better = score is not None and score > (base.best if base.best is not None else -math.inf)
        base = dataclasses.replace(base, score=score)
        if not better:
            return dataclasses.replace(
                base, reason=Phrase("What won its race did not stay better to the end")
            )
        reason = Phrase("Repaired: the patched script ended above the script as it is")
        if base.cut:
            reason = Phrase(
                "Repaired: the patched script stood above the script as it is when --steps or "
                "--minutes ended it"
            )
        base = dataclasses.replace(base, repaired=True, reason=reason)
        return handed_over(base, self._target, self._script, script)

    # What is told

    def _keep(self, base: Repaired, script: Script) -> None:
        """The account as it stands is written: who ends a repair shall know what it came to."""
        if self._table:
            base = dataclasses.replace(
                base, table=tuple(self._table), steps=self._steps + self._purse.spent
            )
            self._so_far = unproven(base, self._target, self._script, script)
            write_so_far(self._so_far)

    def _interrupted(self) -> None:
        assert self._so_far is not None
        write_interrupted(self._so_far)
        if self._so_far.patch is not None:
            path = typed(self._so_far.patch)
            self._tell("repair", Phrase("what won so far is kept, unproven: {path}", path=path))

    def _account(self, repaired: Repaired) -> Repaired:
        forget_unproven(repaired, self._target)
        if repaired.done.run is not None:
            findings = write_account(repaired)
            repaired = dataclasses.replace(
                repaired, done=dataclasses.replace(repaired.done, findings=findings)
            )
        return repaired

    def _heard(self, message: Told | Shown) -> None:
        if isinstance(message, Told):
            self._tell(message.word, message.what)
        else:
            self._show(message.finding, message.where)


def _nothing_kept(table: Sequence[Attempt]) -> Phrase:
    """Why no patch is proposed: none was better, or none could be held against the script."""
    rows = [row for each in table for row in each.rows if row.names]
    if any(row.judged for row in rows):
        return Phrase("No patch was better than the script as it is by more than luck")
    errors = [row.error for row in rows if row.error]
    return Phrase(
        "No patched script could be compared with the script as it is: {why}",
        why=errors[0] if errors else Phrase("their models could not be judged on the same data"),
    )
