"""`netwright doctor SCRIPT.py --repair`: what is found is mended in the source, and what measurably
helps is kept.

The script runs as it is until the diagnosis stands. Then patched copies race against it, group by
group in the order of the catalogue, each in a process of its own. At last the patched script runs
to its own end, which must still beat the best that the untreated run had reached. The script
itself is never touched: the change lies in the run folder as a patch.
"""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netwright.core import languages
from netwright.core.atomic import write_bytes
from netwright.core.errors import SettingError
from netwright.core.languages import Phrase
from netwright.records.findings import GROUPS, Finding
from netwright.tasks.doctored import Doctored
from netwright.tasks.doctoring import Show, Tell, Wish, doctor_script, typed
from netwright.tasks.launching import Ending, Target, find
from netwright.tasks.patches import Patch, patches_for
from netwright.tasks.repair.account import Attempt, Repaired
from netwright.tasks.repair.difference import changed_lines, difference
from netwright.tasks.repair.jobs import Job, Mark, Shown, Told
from netwright.tasks.repair.process import GRACE, Process, Server
from netwright.tasks.repair.racing import Candidate, Purse, Raced, race
from netwright.tasks.repair.writing import write_account
from netwright.tasks.source.script import CannotPatchError, Script

ROUNDS = 6
"""How often something is treated and looked at anew, at most."""

CANDIDATES = 6
"""How many patched scripts race at a time, at most."""

MARKS = (50, 100, 200)
"""Steps after which runs are compared."""

LEAST = 300.0
"""Seconds that trials may take, however fast the script is; else `TIMES` what it took so far."""

TIMES = 40.0

SPARING = 0.005
"""The share of its time that a trial is watched: only what judges is wanted of it."""

DIVERGED = ("nonfinite", "divergence")

Chosen = list[tuple[str, Patch]]


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
    repairing = Repairing(
        script, target, wish, repair, tell=tell, show=show, table=table, watched=watched
    )
    return repairing.run(aside=aside)


class Repairing:
    """The repair of one script."""

    def __init__(
        self,
        script: Script,
        target: Target,
        wish: Wish,
        repair: RepairWish,
        *,
        tell: Tell,
        show: Show,
        table: Callable[[Attempt], None],
        watched: Callable[[Doctored], None],
    ) -> None:
        self._script, self._target, self._wish, self._repair = script, target, wish, repair
        self._tell, self._show = tell, show
        self._shown_table, self._watched = table, watched
        self._server: Server | None = None
        self._table: list[Attempt] = []
        self._tried: set[tuple[str, tuple[str, ...]]] = set()
        self._purse = Purse(steps=repair.steps, seconds=LEAST, slow=LEAST)
        most = wish.steps if wish.steps is not None else MARKS[-1]
        self._marks = tuple(e for e in MARKS if e < most) + ((most,) if most < MARKS[-1] else ())
        if most >= MARKS[-1]:
            self._marks = MARKS

    def run(self, *, aside: bool) -> Repaired:
        first = self._job(self._wish, marks=self._marks, seed=0)
        with Process(first, shown=True, aside=aside, heard=self._heard) as run:
            try:
                marks = self._until_diagnosed(run)
            except KeyboardInterrupt:  # the script was told too, and writes what it has
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
        findings = self._alarms(marks[-1].findings)
        if not findings:
            return base
        if unfit is not None:
            self._tell("NOTE", Phrase("Nothing will be repaired: {why}. Advice stands.", why=unfit))
            return dataclasses.replace(base, reason=unfit)
        self._purse.seconds = max(LEAST, TIMES * run.seconds)
        self._purse.slow = max(60.0, 5 * run.seconds)
        with Server() as self._server:
            return self._account(self._treated(base, marks, aside=aside))

    def _until_diagnosed(self, run: Process) -> list[Mark]:
        """Let the script run as it is; at the last mark it ends if there is something to treat."""
        while (mark := run.until_mark(math.inf)) is not None:
            if mark.last:
                run.wait(math.inf)
                break
            if mark.step >= self._marks[-1] and self._treatable(mark):
                run.stop()
                break
            run.go_on()
        return run.marks

    def _treatable(self, mark: Mark) -> bool:
        if mark.unfit is not None or (mark.score is None and not mark.error):
            return False
        return bool(self._next(self._alarms(mark.findings), self._script))

    # From findings to candidates

    @staticmethod
    def _alarms(findings: Sequence[Finding]) -> list[Finding]:
        """The causes among what was found: no notes, no symptoms."""
        alarms = [each for each in findings if each.severity != "note" and not each.points]
        names = {each.name for each in alarms}
        return [each for each in alarms if names.isdisjoint(each.yields_to)] or alarms

    def _next(self, alarms: Sequence[Finding], script: Script) -> list[Finding]:
        """The causes of the first group that has any with a patch, less what has been tried."""
        for group in GROUPS:
            found = [
                each
                for each in alarms
                if each.group == group
                and (each.name, each.layers) not in self._tried
                and patches_for(script, each)
            ]
            if found:
                return list({each.name: each for each in reversed(found)}.values())[::-1]
        return []

    def _candidates(
        self, script: Script, findings: Sequence[Finding], others: Sequence[Finding]
    ) -> Iterator[Candidate]:
        """What is surely right for all that was found; all first patches of this group together,
        then each other patch in the place of the first of its kind, then each cause alone."""
        counts = [len(patches_for(script, each)) for each in findings]
        first: list[int | None] = [0] * len(findings)
        choices = [first]
        for place, count in enumerate(counts):
            for other in range(1, count):
                choices.append([*first[:place], other, *first[place + 1 :]])
        if len(findings) > 1:
            for place in range(len(findings)):
                alone: list[int | None] = [None] * len(findings)
                alone[place] = 0
                choices.append(alone)
        known: set[str] = set()
        if (whole := self._whole(script, findings, others)) is not None:
            known.add(whole.script.text)
            yield whole
        for choice in choices[: CANDIDATES - len(known)]:
            chosen = _composed(script, findings, choice)
            if chosen and chosen[-1][1].script.text not in known:
                known.add(chosen[-1][1].script.text)
                says = _joined([patch.says for _, patch in chosen])
                yield Candidate.of(chosen, says)

    def _whole(
        self, script: Script, findings: Sequence[Finding], others: Sequence[Finding]
    ) -> Candidate | None:
        """The first patches of this group with those of later groups that are always right: what
        is mended here may only show when a fault behind it is mended too."""
        behind = [
            each
            for each in others
            if GROUPS.index(each.group) > GROUPS.index(findings[0].group)
            and (found := patches_for(script, each))
            and found[0][1].grade == "safe"
        ]
        if not behind:
            return None
        together = sorted([*findings, *behind], key=lambda each: GROUPS.index(each.group))
        chosen = _composed(script, together, [0] * len(together))
        if len(chosen) <= len(findings):
            return None
        return Candidate.of(chosen, _joined([patch.says for _, patch in chosen]), whole=True)

    # Treating

    def _treated(self, base: Repaired, marks: list[Mark], *, aside: bool) -> Repaired:
        # The last one that was judged: data may be known of only from the first validation on.
        judged = next((each for each in reversed(marks) if each.score is not None), None)
        same = [each.value for each in marks if judged and each.measure == judged.measure]
        best = max(same, default=-math.inf)
        script, control, findings = self._script, marks, self._alarms(marks[-1].findings)
        diverged = any(each.name in DIVERGED for each in findings)
        base = dataclasses.replace(
            base,
            best=best if math.isfinite(best) else None,
            judge=judged.kind if judged is not None else "",
            source=judged.source if judged is not None else "",
            diverged=diverged,
        )
        for number in range(ROUNDS):
            group = self._next(findings, script)
            if not group or self._purse.empty:
                break
            if not number:
                self._watched(base.done)
            changed = self._raced(script, control, group, findings)
            if changed is not None:
                script = changed
                control, findings = self._looked_at(script)
        if not self._table:
            reason = Phrase("What was found has no patch that can be tried; see its advice")
            self._tell(
                "NOTE", Phrase("Nothing will be repaired: {why}. Advice stands.", why=reason)
            )
            return dataclasses.replace(base, reason=reason)
        base = dataclasses.replace(base, table=tuple(self._table))
        if not any(each.kept for each in self._table):
            return dataclasses.replace(
                base,
                reason=Phrase("No patch was better than the script as it is by more than luck"),
            )
        return self._to_its_end(base, script, aside=aside)

    def _raced(
        self,
        script: Script,
        control: Sequence[Mark],
        findings: Sequence[Finding],
        others: Sequence[Finding],
    ) -> Script | None:
        """The script to go on with; None where nothing helped."""
        candidates = list(self._candidates(script, findings, others))
        self._tried |= {(each.name, each.layers) for each in findings}
        if not candidates:
            return None
        told = {*findings, *(each for each in others if candidates[0].whole)}
        named = {name for each in candidates for name in each.names}
        names = tuple(
            dict.fromkeys(
                each.name
                for each in others
                if each in told and any(name in named for name, _ in patches_for(script, each))
            )
        )
        self._tell(
            "repair",
            Phrase(
                "racing {count} patches for {findings}, {first} to {last} steps each"
                if len(candidates) > 1
                else "trying a patch for {findings}, {first} to {last} steps",
                count=len(candidates),
                findings=", ".join(names),
                first=self._marks[0],
                last=self._marks[-1],
            ),
        )
        raced = race(
            control, script, candidates, self._trial, self._purse,
            marks=self._marks, seeds=self._repair.seeds,
        )  # fmt: skip
        carried = raced.winner is None and candidates[0].safe and _harmless(raced)
        attempt = Attempt(findings=names, group=findings[0].group, rows=raced.rows, carried=carried)
        self._table.append(attempt)
        self._shown_table(attempt)
        if raced.winner is not None:
            # What helped may have to be done once more: a tenth of the rate can be too much still.
            self._tried -= {(each.name, each.layers) for each in findings}
            return raced.winner.script
        return candidates[0].script if carried else None

    def _looked_at(self, script: Script) -> tuple[list[Mark], list[Finding]]:
        """How a patched script runs under the watch, and what is still found."""
        job = self._job(self._quiet(), script, marks=self._marks, seed=0)
        with Process(job, server=self._server) as run:
            while (mark := run.until_mark(self._purse.slow)) is not None and not mark.last:
                if mark.step >= self._marks[-1]:
                    break
                run.go_on()
        return run.marks, self._alarms(run.marks[-1].findings) if run.marks else []

    def _to_its_end(self, base: Repaired, script: Script, *, aside: bool) -> Repaired:
        """The patched script runs once to its own end, which decides."""
        self._tell("repair", Phrase("the patched script runs to its end"))
        wish = dataclasses.replace(self._wish, keep=False)
        job = self._job(wish, script, seed=0)
        with Process(job, shown=True, aside=aside) as run:
            mark = run.until_mark(math.inf)
            run.wait(math.inf)
        score = mark.score if mark is not None and not mark.error else None
        if score is not None and base.best is not None:
            assert mark is not None
            if mark.measure != (base.judge, base.source):
                return dataclasses.replace(
                    base,
                    last=run.done,
                    reason=Phrase(
                        "The end could not be judged on the data that judged the script as it is, "
                        "so nothing is claimed"
                    ),
                )
        better = score is not None and score > (base.best if base.best is not None else -math.inf)
        base = dataclasses.replace(base, last=run.done, score=score)
        if not better:
            return dataclasses.replace(
                base, reason=Phrase("What won its race did not stay better to the end")
            )
        reason = Phrase("Repaired: the patched script ended above the script as it is")
        base = dataclasses.replace(base, repaired=True, reason=reason)
        return self._patched(base, script)

    def _patched(self, base: Repaired, script: Script) -> Repaired:
        path = Path(self._target.name)
        patch = difference(path.name, self._script.data, script.data)
        assert base.done.run is not None
        place = base.done.run / f"{path.stem}.doctor.diff"
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
        command = shlex.join(told)
        return dataclasses.replace(base, patch=place, changed=changed_lines(patch), command=command)

    def _account(self, repaired: Repaired) -> Repaired:
        if repaired.done.run is not None:
            findings = write_account(repaired)
            repaired = dataclasses.replace(
                repaired, done=dataclasses.replace(repaired.done, findings=findings)
            )
        return repaired

    # Processes

    def _heard(self, message: Told | Shown) -> None:
        if isinstance(message, Told):
            self._tell(message.word, message.what)
        else:
            self._show(message.finding, message.where)

    def _trial(self, script: Script, seed: int) -> Process:
        wish = dataclasses.replace(self._quiet(), checkup=False, budget=SPARING)
        job = self._job(wish, script, marks=self._marks, seed=seed, trial=True)
        return Process(job, server=self._server)

    def _quiet(self) -> Wish:
        return dataclasses.replace(
            self._wish, keep=False, run_dir=None, tensorboard=False, steps=None, minutes=None
        )

    def _job(
        self,
        wish: Wish,
        script: Script | None = None,
        *,
        seed: int,
        marks: tuple[int, ...] = (),
        trial: bool = False,
    ) -> Job:
        return Job(
            target=self._target,
            wish=wish,
            parent=os.getpid(),
            source=script.data if script is not None else None,
            seed=seed,
            marks=marks,
            trial=trial,
            language=languages.current(),
        )


def _composed(script: Script, findings: Sequence[Finding], choice: Sequence[int | None]) -> Chosen:
    """The patches of several findings, each applied to what the one before made; empty where one
    of them does not fit behind the others."""
    chosen: Chosen = []
    for finding, number in zip(findings, choice, strict=True):
        if number is None:
            continue
        found = patches_for(script, finding)
        if number < len(found):
            chosen.append(found[number])
            script = found[number][1].script
    return chosen


def _harmless(raced: Raced) -> bool:
    """Whether the first change is no worse than the script as it is by more than luck."""
    control, row = raced.rows[:2]
    if row.error or not math.isfinite(row.score):
        return False
    if not math.isfinite(control.score):
        return True
    luck = 2 * math.hypot(row.doubt, control.doubt)
    return row.score >= control.score - max(row.spread, control.spread, luck)


def _joined(parts: Sequence[Phrase]) -> Phrase:
    found = parts[0]
    for each in parts[1:]:
        found = Phrase("{first}; {second}", first=found, second=each)
    return found
