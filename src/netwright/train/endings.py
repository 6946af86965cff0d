"""What ends a run before its time, as errors that a user understands.

A signal, numbers that are not finite, a checkpoint that does not fit: each says where the run
stands and how to go on.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from netwright.core.atomic import make_folder, write_json
from netwright.core.errors import CheckpointError, DivergedError, InterruptedRunError
from netwright.train.memory import is_out_of_memory
from netwright.train.task import NonFiniteError

_SIGNALS = {1: "SIGHUP", 2: "Ctrl-C", 10: "SIGUSR1", 15: "SIGTERM"}


def interrupted(number: int, *, step: int, run: Path) -> InterruptedRunError:
    """The end by signal `number` of a run that was saved after `step`."""
    return InterruptedRunError(
        "Stopped by {signal} after step {step}; the run is saved.",
        hint="Go on with:  netwright train --resume {run}",
        exit_code=130 if number == 2 else 143,
        signal=_SIGNALS.get(number, f"signal {number}"),
        step=step,
        run=shlex.quote(str(run)),
    )


def diverged(error: NonFiniteError, *, step: int, saved: int, run: Path) -> DivergedError:
    """The end of a run whose numbers are not finite in the step after `step`; `saved` is that of
    its last checkpoint."""
    return DivergedError(
        "Training diverged: {what} is {value} at step {step}.",
        hint="No update was made with it; the last checkpoint is of step {saved}. "
        "A smaller optim.lr, optim.clip=1 or a warm-up (sched.warmup=1) often cures it. "
        "Which layer and which images it began in:  netwright doctor {run} --replay",
        what=error.what,
        value=error.value,
        step=step,
        saved=saved,
        run=shlex.quote(str(run)),
    )


def keep_bundle(
    run: Path, error: NonFiniteError, *, step: int, saved: int, batch: Mapping[str, Any]
) -> None:
    """Write `evidence/nonfinite-step-N.json`: what is needed to take the step that went wrong
    again. `batch` says which images it had."""
    evidence = run / "evidence"
    make_folder(evidence)
    write_json(
        evidence / f"nonfinite-step-{step:09d}.json",
        {
            "format": 1,
            "step": step,
            "what": error.what,
            "value": str(error.value),
            "batch": dict(batch),
            "checkpoint": saved,
        },
    )


@contextlib.contextmanager
def of_another_network(name: str) -> Iterator[None]:
    """What torch says of weights and states in checkpoint `name` that do not fit."""
    try:
        yield
    except (RuntimeError, ValueError, LookupError) as error:
        if is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())
        raise CheckpointError(
            "The checkpoint {name} is of another network: {reason}",
            hint="Move it out of ckpt/ to go on from the one before it; or start a new run.",
            name=name,
            reason=reason[:200],
        ) from error
