"""Schedules that are longer than the run are told of, for nothing else would show it."""

import pytest

from netwright.core import events as e
from netwright.tasks import training
from netwright.tasks.settings import resolve


def warnings(tmp_path, *, dry_run=False, **settings):
    heard = []
    base = {"model": "mlp", "model__hidden": [8], "steps": 5}
    training.train(
        resolve(data="digits", settings=base | settings, environ={}),
        run_dir=None if dry_run else tmp_path / "run",
        dry_run=dry_run,
        listeners=[lambda event: heard.append(event) if isinstance(event, e.Noted) else None],
    )
    return [each.template.format(**each.values) for each in heard if each.word == "WARN"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_warm_up_longer_than_the_run_is_told(tmp_path, seeds):
    told = warnings(
        tmp_path, sched="cosine", sched__warmup=1, seeds=seeds, run__stack="never", batch=64
    )
    assert told == [
        "the warm-up of 20 steps (sched.warmup) is longer than the run of 5: the rate never "
        "reaches optim.lr"
    ]


@pytest.mark.parametrize("name", ["cyclic", "cosine-restarts"])
def test_more_cycles_than_steps_are_told(tmp_path, name):
    told = warnings(tmp_path, sched=name, sched__cycles=20)
    assert len(told) == 1
    assert told[0].startswith("20 cycles (sched.cycles) are too many for a run of 5 steps") or (
        told[0].startswith("20.0 cycles")
    )


def test_what_fits_and_a_rehearsal_are_not_warned_of(tmp_path):
    assert warnings(tmp_path, sched="cosine", sched__warmup=0.1) == []
    assert warnings(tmp_path, sched="cosine", sched__warmup=1, dry_run=True) == []
