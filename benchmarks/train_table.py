"""The table of the speed benchmark, made from the lines of its cells."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from contenders import CONTENDERS, Contender
from speed_runner import spread
from speed_setups import SETUPS

Rows = Mapping[str, Mapping[str, Any]]

_FED = {"memory": "one array in memory", "loader": "torch's DataLoader"}


def table_of(found: Mapping[str, Mapping[str, Any]], setup: Mapping[str, Any]) -> str:
    """Medians over the rounds, with the least and the greatest."""
    packages = ", ".join(
        f"{name} {setup[name]}"
        for name in ("torch", "lightning", "keras", "tensorflow-cpu", "jax", "optax", "netwright")
        if name in setup
    )
    loads = [load for line in found.values() for load in line["load"]]
    lines = [
        "# Steps of `netwright train`, a bare loop, Lightning, Keras and JAX",
        "",
        f"{setup['processor']}, {setup['cores']} cores, {setup['threads']} threads; "
        f"Python {setup['python']}, {packages}. Written by `benchmarks/train.py`; between "
        f"{min(loads, default=0):.1f} and {max(loads, default=0):.1f} processes wanted the machine "
        "before and after a round (the benchmark itself is one to two).",
        "",
        _NOTES,
    ]
    for part in sorted({cell.partition(", round ")[0] for cell in found}, key=_place):
        rounds = [
            line["rows"] for cell, line in found.items() if cell.partition(", round ")[0] == part
        ]
        lines += goal_lines(part, rounds) if part.startswith("goal:") else rate_lines(part, rounds)
    return "\n".join([*lines, "", "Rows, as `contenders.py` gives them:", "", *_words(), ""])


def rate_lines(part: str, rounds: Sequence[Rows]) -> list[str]:
    key, _, feed = part.partition(":")
    setup = SETUPS[key]
    lines = [
        "",
        f"## {setup.name}, batch {setup.batch}, {_FED[feed or 'memory']}",
        "",
        f"{setup.params:,} parameters, SGD with rate {setup.lr:g} and momentum {setup.momentum:g}, "
        f"{setup.burst * setup.bursts} steps timed after {setup.first}, {len(rounds)} rounds.",
        "",
        "| | ms a step | steps a second | time of a step : best peer in float32 "
        "| : bare loop in float32 | processor ms a step | whole process, s | peak memory, MB "
        "| training loss |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in _present(rounds):
        here = [rows for rows in rounds if each.name in rows]
        mine = [rows[each.name] for rows in here]
        peers = [best_peer(rows, setdown=each) for rows in here]
        ratios = [row["ms_per_step"] / best for row, best in zip(mine, peers, strict=True) if best]
        eager = [
            row["ms_per_step"] / rows["bare loop"]["ms_per_step"]
            for row, rows in zip(mine, here, strict=True)
            if "bare loop" in rows
        ]
        milliseconds = [row["ms_per_step"] for row in mine]
        name = f"**{each.name}**" if each.ours else each.name
        lines.append(
            f"| {name} | {spread(milliseconds, '.2f')} "
            f"| {1e3 / statistics.median(milliseconds):.1f} "
            f"| {spread(ratios, '.2f') if ratios else '-'} "
            f"| {spread(eager, '.2f') if eager else '-'} "
            f"| {_middle(mine, 'processor_ms_per_step'):.2f} "
            f"| {spread([row['process_seconds'] for row in mine], '.1f')} "
            f"| {_middle(mine, 'peak_mb'):.0f} | {_middle(mine, 'loss'):.3f} |"
        )
    best = {best_name(rows) for rows in rounds} - {""}
    return [*lines, "", f"Best peer in float32 of each round: {', '.join(sorted(best)) or '-'}."]


def best_name(rows: Rows, *, besides: str = "") -> str:
    """The fastest row in float32 that is not Netwright's; "" where there is none."""
    peers = [
        each.name
        for each in CONTENDERS
        if each.name in rows and each.name != besides and not each.ours and not each.bf16
    ]
    return min(peers, key=lambda name: rows[name]["ms_per_step"], default="")


def best_peer(rows: Rows, *, setdown: Contender) -> float | None:
    """Milliseconds of the best peer; a peer itself is compared with the best of the others."""
    name = best_name(rows, besides=setdown.name)
    return float(rows[name]["ms_per_step"]) if name else None


def goal_lines(part: str, rounds: Sequence[Rows]) -> list[str]:
    setup = SETUPS[part.removeprefix("goal:")]
    assert setup.goal is not None
    seen = "the 10,000 test images" if setup.key == "lenet5" else "1,000 images held out"
    lines = [
        "",
        f"## {setup.name}: time to {100 * setup.goal:g} % on {seen}",
        "",
        f"Batch {setup.batch}, rate {setup.goal_lr:g} falling to zero along half a cosine over "
        f"{setup.longest} epochs, evaluated after every {setup.goal_epoch} "
        f"steps, {len(rounds)} rounds; each alone, the seed is the number of the round. Seconds of "
        "the clock.",
        "",
        "| | from the start of the process | from the first step | epochs "
        "| seconds an epoch, evaluation included | reached |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for each in _present(rounds):
        mine = [rows[each.name] for rows in rounds if each.name in rows]
        reached = [row for row in mine if row["goal"] is not None]
        if not reached:
            lines.append(f"| {each.name} | - | - | - | - | 0 of {len(mine)} |")
            continue
        epochs = [len(row["accuracies"]) for row in reached]
        pace = [row["from_first_step"] / len(row["accuracies"]) for row in reached]
        name = f"**{each.name}**" if each.ours else each.name
        lines.append(
            f"| {name} | {spread([row['goal'] for row in reached], '.1f')} "
            f"| {spread([row['from_first_step'] for row in reached], '.1f')} "
            f"| {spread(epochs, 'g')} | {spread(pace, '.1f')} | {len(reached)} of {len(mine)} |"
        )
    return lines


def _present(rounds: Sequence[Rows]) -> list[Contender]:
    return [each for each in CONTENDERS if any(each.name in rows for rows in rounds)]


def _middle(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.median(float(row[name]) for row in rows)


def _words() -> list[str]:
    return [
        f"- {each.name}: `{' '.join((each.loop, *each.words))}`"
        + "".join(f", {name}={value}" for name, value in each.environ.items())
        for each in CONTENDERS
    ]


def _place(part: str) -> tuple[bool, int, str]:
    key = part.removeprefix("goal:").partition(":")[0]
    return part.startswith("goal:"), list(SETUPS).index(key), part


_NOTES = """\
A number is a median over rounds, with the least and the greatest; a ratio compares two contenders
of one round, below 1 the row is faster than what it is compared with. A peer is compared with the
best of the other peers, a row in bf16 with the best in float32. In a round each contender is a
fresh process, and all train in turns, some seconds each, while the others stand still; the seed is
the number of the round. The clock sees loading, logging and the evaluation after each epoch, not
imports and not what a framework compiles before its first steps; the whole process does. What
`torch.compile` compiled in the first round it finds again in the others.

All train the same layers (the number of parameters is checked) from the same distribution of first
weights, on the same normalised float32 arrays, shuffled anew each epoch. The bare loop logs the
loss every 50 steps to a CSV file, Lightning and Keras by their CSV loggers, without progress bar
and checkpoints. Keras runs `fit` with the metric accuracy on a tf.data pipeline that gathers from
tensors; JAX is a compiled step with the data on the device. Both have their images channels last;
Keras pads as its own `same` does. Netwright is the command itself, with its metrics, gradient
norms, checks for finite values and checkpoints. The training loss is that of the last step, of the
last epoch (Keras) or of the last line of metrics (Netwright)."""
