"""`doctor.mode=repair`: a run that is watched, and goes back to be treated when it fails.

A finding that can be treated, or a step whose numbers are not finite, leads back to the newest
checkpoint before the fault; there a lower rate or clipped gradients are set, by a short race or by
a ladder, and the run goes on. What was changed is a part of the state, so that a resume goes on
with it; `interventions.jsonl` tells it.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from netwright.core import events as e
from netwright.core.atomic import write_bytes
from netwright.core.errors import DivergedError, SettingError
from netwright.core.languages import Phrase, Series
from netwright.doctor.diagnosis import Diagnosis, diagnosed
from netwright.doctor.interventions.asking import Asking
from netwright.doctor.interventions.remedies import Remedy, remedies_for, rung
from netwright.doctor.interventions.treatable import treatable
from netwright.records.facts.nonfinite import NonFinite
from netwright.records.findings import Finding
from netwright.records.interventions import Intervention, Tried
from netwright.records.record import Record
from netwright.tasks.preparing import Prepared
from netwright.tasks.repair_state import RepairState
from netwright.tasks.repair_trials import raced
from netwright.tasks.watched_run import RunWatch
from netwright.train.run_folder import RunFolder

INTERVENTIONS = "interventions.jsonl"

ANCHORS = 20
"""Places of a run that it can go back to."""

SHORTEST = 20
"""Steps between two of them at the least."""


def anchor_steps(steps: int) -> int:
    """Steps between two checkpoints to go back to, in a run of `steps`.

    >>> anchor_steps(200), anchor_steps(10_000)
    (20, 500)
    """
    return max(SHORTEST, steps // ANCHORS)


class RunRepair:
    """Listens to one run, watches it, and asks it to go back when it fails."""

    def __init__(self, folder: RunFolder, prepared: Prepared, events: e.Events) -> None:
        """Raises `SettingError` where several processes train one network."""
        if int(os.environ.get("WORLD_SIZE") or 1) > 1:
            raise SettingError(
                "doctor.mode=repair treats a run of one process only, and WORLD_SIZE is {size}.",
                hint="Set doctor.mode=watch, or start it without torchrun.",
                size=os.environ["WORLD_SIZE"],
            )
        self._folder, self._task, self._events = folder, prepared.task, events
        self._most = prepared.recipe.doctor.repairs
        self._every = anchor_steps(prepared.task.rhythm.steps)
        self._task.repair = RepairState()
        self._watch = RunWatch(
            folder, prepared, events, on_round=self._heard, treated=self._treated
        )
        self._asking = Asking(every=self._every)
        self._told: set[str] = set()
        self._wanted: Finding | None = None

    @property
    def state(self) -> RepairState:
        """What was changed so far."""
        assert self._task.repair is not None
        return self._task.repair

    def __call__(self, event: e.Event) -> None:
        if isinstance(event, e.RunStarted):
            self._asking.gone_back(event.step)
            if event.step == 0:
                self.state.load_state_dict(RepairState().state_dict())
            self._write()  # as the checkpoint knows them
        self._watch(event)
        if isinstance(event, e.StepEnded):
            self._stepped(event.step)
        elif isinstance(event, e.StepFailed):
            self._failed(event)

    def close(self, *, ended: bool = True) -> None:
        """The run is over; if it came to its end, what did not come back has held."""
        self._watch.close(ended=ended)

    # Hearing

    def _stepped(self, step: int) -> None:
        """Ask between the rounds of the watch too, where the loss has risen, and at the end."""
        due = self._asking.due(step, risen=self.state.history.risen)
        if self._wanted is None and (due or step >= self._task.rhythm.steps):
            self._watch.ask()
        finding, self._wanted = self._wanted, None
        if finding is not None:
            self._ask_to_go_back(finding, seen=step)

    def _heard(self, diagnosis: Diagnosis, steps: int) -> None:
        """The conditions were asked, in the middle of a step: what stands is acted on after it."""
        self._wanted = treatable(diagnosis, steps=steps)

    def _failed(self, event: e.StepFailed) -> None:
        """A value that is not finite: what is behind it, as far as the watch knows."""
        images = getattr(event.batch, "images", None)
        bad = isinstance(images, torch.Tensor) and not bool(torch.isfinite(images).all())
        fact = NonFinite(
            step=event.step + 1,
            where="input" if bad else "unknown",
            value="nan" if math.isnan(event.value) else "inf",
            stepped=True,
        )
        record = Record([*self._watch.record(), fact])
        found = diagnosed(record)
        finding = None if bad else treatable(found, steps=event.step)
        finding = finding or found.named("nonfinite")
        assert finding is not None  # of that very fact
        self._ask_to_go_back(finding, seen=event.step + 1, skipped=event.step if bad else None)

    # Going back

    def _ask_to_go_back(self, finding: Finding, *, seen: int, skipped: int | None = None) -> None:
        state = self.state
        if len(state.interventions) >= self._most:
            self._events.request(e.Call(lambda _: self._give_up(finding, seen)))
            return
        sound = skipped if skipped is not None else state.history.sound_until
        earlier = [each for each in state.interventions if skipped is None and each.skipped is None]
        anchor = sound - sound % self._every
        if anchor == seen:
            anchor -= self._every
        if earlier and anchor >= earlier[-1].back_to:
            # It went on from there and failed again: from farther back, if that is not new ground.
            again = [each for each in earlier if each.back_to == anchor]
            anchor -= len(again) * self._every
        anchor = max(0, anchor)
        learned = state.history.learned
        remedies = remedies_for(finding.name, state.history.norms_until(sound))
        plan = _Plan(
            finding=finding,
            sound=sound,
            seen=seen,
            skipped=skipped,
            remedies=remedies,
            since=max(0, state.history.step - len(state.history.losses)),
            control=list(state.history.losses),
            learned=learned,
            changed=state.changed(),
        )
        self._events.request(e.Call(lambda _: self._watch.pause()))
        self._events.request(e.Rewind(anchor, then=lambda _, step: self._treat(plan, step)))
        self._events.request(e.Call(lambda _: self._watch.go_on()))

    def _treat(self, plan: _Plan, step: int) -> None:
        """The run is back at `step`: choose what is changed, and tell it."""
        state = self.state
        self._wanted = None
        state.take_over(plan.changed)  # the checkpoint is older than they are
        state.interventions = [
            dataclasses.replace(each, outcome="came-back") if each.outcome == "open" else each
            for each in state.interventions
        ]
        self._say_stop(plan)
        remedy, tried = Remedy(), list[Tried]()
        if plan.skipped is None:
            control = plan.control_from(step)
            chosen, tried = raced(self._task, step, plan.remedies, control)
            times = sum(each.skipped is None for each in state.interventions)
            remedy = chosen or rung(plan.remedies, number=times, learned=plan.learned)
        done = Intervention(
            number=len(state.interventions) + 1,
            finding=plan.finding.name,
            step=plan.sound,
            seen=plan.seen,
            back_to=step,
            rate=remedy.rate,
            clip=remedy.clip,
            skipped=plan.skipped,
            tried=tuple(tried),
            known=plan.finding.to_json(),
        )
        state.rate *= remedy.rate
        state.clip = remedy.clip if remedy.clip is not None else state.clip
        state.skipped += [plan.skipped] if plan.skipped is not None else []
        state.interventions.append(done)
        self._asking.gone_back(step)
        self._watch.go_back(step)
        self._write()
        self._events.emit(
            e.Noted(
                word="repair",
                template="back to step {step}, {changes} ({number} of at most {most})",
                values={
                    "step": step,
                    "changes": done.changes,
                    "number": done.number,
                    "most": self._most,
                },
            )
        )

    def _say_stop(self, plan: _Plan) -> None:
        self._events.emit(
            e.Noted(
                word="STOP",
                template="{name} at step {step}: {what}",
                values={
                    "name": plan.finding.name,
                    "step": plan.seen,
                    "what": plan.finding.what,
                },
            )
        )

    def _give_up(self, finding: Finding, seen: int) -> None:
        """All interventions are used up, and it has come back."""
        state = self.state
        state.interventions = [
            dataclasses.replace(each, outcome="came-back") if each.outcome == "open" else each
            for each in state.interventions
        ]
        self._write()
        self._watch.standing = (finding,)
        raise DivergedError(
            "Training could not be repaired: {name} at step {step}, after {count} interventions.",
            hint="Tried: {tried}. Allow more with doctor.repairs, or begin with a smaller "
            "optim.lr; {file} tells all of it.",
            name=finding.name,
            step=seen,
            count=len(state.interventions),
            tried=Series(
                [
                    Phrase("from step {step} {changes}", step=each.back_to, changes=each.changes)
                    for each in state.interventions
                ],
                between="; ",
            ),
            file=INTERVENTIONS,
        )

    # Telling

    def _treated(self, standing: Sequence[Finding], ended: bool) -> list[dict[str, Any]]:
        """The run is over, and `standing` was found in the end: what became of each treatment, as
        findings that stand no more."""
        state = self.state
        if not ended:
            return []
        alarms = {each.name for each in standing if each.severity != "note"}
        state.interventions = [
            each
            if each.outcome != "open"
            else dataclasses.replace(
                each, outcome="came-back" if each.finding in alarms else "held"
            )
            for each in state.interventions
        ]
        self._write()
        return [_as_finding(each) for each in state.interventions if each.outcome == "held"]

    def _write(self) -> None:
        done = self.state.interventions
        path = self._folder.path / INTERVENTIONS
        if not done and not path.exists():
            return
        lines = [json.dumps(each.to_json(), ensure_ascii=False) for each in done]
        text = "".join(f"{line}\n" for line in lines)
        write_bytes(path, text.encode("utf-8", "backslashreplace"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is known before the run goes back; `changed` are the changes of before."""

    finding: Finding
    sound: int
    seen: int
    skipped: int | None
    remedies: Sequence[Remedy]
    since: int
    control: Sequence[float]
    """The losses of the run after step `since`."""
    learned: bool
    changed: Mapping[str, Any]

    def control_from(self, step: int) -> list[float]:
        """The losses that the run had after `step`, those that are remembered."""
        return list(self.control)[max(0, step - self.since) :]


def _as_finding(done: Intervention) -> dict[str, Any]:
    """What was treated, as a line of `findings.jsonl`: no alarm any more, with what came of it."""
    outcome = Phrase(
        "treated: back to step {step}, {changes}; it did not come back",
        step=done.back_to,
        changes=done.changes,
    )
    messages = done.known.get("messages")
    return {
        **done.known,
        "severity": "note",
        "treated": done.number,
        "outcome": str(outcome),
        "messages": {
            **(messages if isinstance(messages, Mapping) else {}),
            "outcome": {"template": outcome.template, "values": _values(outcome)},
        },
    }


def _values(phrase: Phrase) -> dict[str, Any]:
    return {
        name: {"template": each.template, "values": _values(each)}
        if isinstance(each, Phrase)
        else each
        if isinstance(each, int | float)
        else str(each)
        for name, each in phrase.values.items()
    }
