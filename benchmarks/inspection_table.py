"""The table of `inspection.py`, made of its lines alone."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from inspectors import TOOLS
from networks import NETWORKS, Network

Lines = Mapping[str, Mapping[str, Any]]
CLOCKS = ("processor", "clock")
NEAR = 1.1  # times the truth: biases, norms and activations counted with the rest
CONTRACTIONS = re.compile("conv|mm|matmul|einsum|linear|attention|lstm|gru|rnn|dot", re.I)


def page(found: Lines, setup: Mapping[str, Any]) -> str:
    versions = ", ".join(
        f"{name} {version}"
        for name, version in setup.items()
        if name not in ("processor", "cores", "threads")
    )
    tools = tuple(
        tool for tool in TOOLS if any(cell.startswith(f"answers, {tool}, ") for cell in found)
    )
    parts = [
        "# Inspection: right or wrong, and how fast",
        f"{setup['processor']}, {setup['cores']} cores, one thread; {versions}. Written by "
        "`benchmarks/inspection.py`.",
        "## Goals",
        "Of Netwright's times on meta and on real tensors the longer one counts, of the peers' the "
        "shorter one. Times under a load well above 1 (it stands below) are not to be cited.",
        goals(found),
        "## Answers",
        ABOUT_ANSWERS,
        totals(found, tools),
        matrix(found, tools),
        "## What looking left behind",
        left_behind(found, tools),
        "## Seconds",
        ABOUT_TIMES,
        times(found),
        processes(found),
        "## Memory",
        memory(found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


ABOUT_ANSWERS = f"""\
Each network in 14 modes: real and meta tensors, each with gradients, under `no_grad` and under
`inference_mode`, in evaluation and in training mode; fake tensors with gradients. *Right*: the
multiply-adds worked out by hand, exactly. *Above*: more, by {100 * (NEAR - 1):.0f} % at most, as
where biases, norms and activations are counted with the rest; no fault where a tool says that it
does. *Wrong*: anything else. *Zero*: 0 where there are some, without a word; *named*: wrong, and
the operation that was left out is in a list. *Refused*: an exception. Where a network raises by
itself, or branches on values that meta and fake tensors have not, a refusal is right.

The numbers worked out by hand agree with the published ones of the registered networks, and with
FlopCounterMode on meta tensors but where its column says otherwise. A tool that cannot take the
inputs (dicts, keywords) gets the network in a wrapper. FlopCounterMode counts no parameters, and in
training mode it moves the statistics of norms, as the forward does that it is given. Each answer
comes from a process of its own: what some tools leave behind would falsify the next."""

ABOUT_TIMES = """\
Medians, milliseconds of one call on a network that is new each time (evaluation mode, no
gradients, imports and the making of the network excluded), the tools in turns within each round.
They are of the thread on the processor, which under load still mean something; with one thread on
a quiet machine the clock says the same. Each tool on meta and on real tensors; `refused` where it
raises. *forward* is the network's own forward pass."""


def judged(outcome: Mapping[str, Any], network: Network, mode: str) -> str:
    """right, above, wrong, zero, named or refused."""
    refused = "error" in outcome
    if network.raises or (network.needs_values and not mode.startswith("real")):
        return "right" if refused else "wrong"
    if refused:
        return "refused"
    macs = outcome["macs"]
    if macs == network.macs:
        return "right"
    if network.macs < macs <= NEAR * network.macs:
        return "above"
    if any(CONTRACTIONS.search(name) for name in outcome["told"]):
        return "named"
    return "zero" if macs == 0 else "wrong"


def cells(found: Lines, tool: str, name: str) -> Iterable[tuple[str, Mapping[str, Any], str]]:
    """(mode, outcome, verdict) of one tool on one network."""
    for outcome in found.get(f"answers, {tool}, {name}", {"outcomes": []})["outcomes"]:
        for mode in outcome["modes"]:
            yield mode, outcome, judged(outcome, NETWORKS[name], mode)


def wrong_params(outcome: Mapping[str, Any]) -> bool:
    told = outcome.get("params")
    return told is not None and told != outcome["params_true"]


def clean(outcome: Mapping[str, Any], verdict: str) -> bool:
    return verdict == "right" and not outcome["left"] and not wrong_params(outcome)


def totals(found: Lines, tools: tuple[str, ...]) -> str:
    kinds = ("right", "above", "wrong", "zero", "named", "refused")
    rows = [
        "| tool | networks right in all modes | and nothing left behind | cells | "
        + " | ".join(kinds)
        + " | parameters wrong | something left behind |",
        "|---|---:|---:|---:|" + "---:|" * (len(kinds) + 2),
    ]
    for tool in tools:
        names = [name for name in NETWORKS if f"answers, {tool}, {name}" in found]
        per_network = {name: list(cells(found, tool, name)) for name in names}
        every = [each for row in per_network.values() for each in row]
        count = Counter(verdict for _, _, verdict in every)
        right = sum(
            all(verdict == "right" and not wrong_params(outcome) for _, outcome, verdict in row)
            for row in per_network.values()
        )
        whole = sum(
            all(clean(outcome, verdict) for _, outcome, verdict in row)
            for row in per_network.values()
        )
        rows.append(
            f"| {tool} | {right} of {len(names)} | {whole} | {len(every)} | "
            + " | ".join(str(count[kind]) for kind in kinds)
            + f" | {sum(wrong_params(outcome) for _, outcome, _ in every)}"
            f" | {sum(bool(outcome['left']) for _, outcome, _ in every)} |"
        )
    return "\n".join(rows)


def matrix(found: Lines, tools: tuple[str, ...]) -> str:
    rows = [
        "What each says, times the truth; in brackets in how many modes, where not in all. `p` "
        "marks wrong parameters, `*` something left behind. What the networks are stands in "
        "`networks/`.",
        "",
        "| network | multiply-adds | " + " | ".join(tools) + " |",
        "|---|---:|" + "---|" * len(tools),
    ]
    for name, network in NETWORKS.items():
        if not any(f"answers, {tool}, {name}" in found for tool in tools):
            continue
        texts = [_cell(list(cells(found, tool, name)), network) for tool in tools]
        rows.append(f"| {name} | {network.macs:,} | " + " | ".join(texts) + " |")
    return "\n".join(rows)


def _cell(row: list[tuple[str, Mapping[str, Any], str]], network: Network) -> str:
    said: Counter[str] = Counter()
    for _, outcome, verdict in row:
        if verdict in ("right", "refused", "zero"):
            text = verdict
        elif network.macs == 0 or "error" in outcome:
            text = "not refused"
        else:
            text = _factor(outcome["macs"] / network.macs) + " named" * (verdict == "named")
        marks = "p" * wrong_params(outcome) + "*" * bool(outcome["left"])
        said[f"{text} {marks}".strip()] += 1
    if len(said) == 1:
        return next(iter(said))
    return ", ".join(f"{text} ({count})" for text, count in said.most_common())


def _factor(times: float) -> str:
    return f"x{times:.4f}" if abs(times - 1) < 0.02 else f"x{times:.3g}"


def left_behind(found: Lines, tools: tuple[str, ...]) -> str:
    rows = ["| tool | what, and in how many cells | after an exception |", "|---|---|---|"]
    for tool in tools:
        after, plain = Counter[str](), Counter[str]()
        for name in NETWORKS:
            for _, outcome, _ in cells(found, tool, name):
                (after if "error" in outcome else plain).update(outcome["left"])
        rows.append(f"| {tool} | {_listed(plain)} | {_listed(after)} |")
    return "\n".join(rows)


def _listed(count: Counter[str]) -> str:
    return ", ".join(f"{what} {number}" for what, number in count.most_common()) or "nothing"


def times(found: Lines) -> str:
    timed = {cell.partition(", ")[2]: row for cell, row in found.items() if cell[:5] == "times"}
    if not timed:
        return ""
    tools = list(dict.fromkeys(key.rpartition(", ")[0] for row in timed.values()
                               for key in row["processor"]))  # fmt: skip
    loads = ", ".join(str(row["load"]) for row in timed.values())
    rows = [
        f"Load of the machine: {loads} (a quiet one's is about 1).",
        "",
        "| tool | " + " | ".join(f"{name}: meta | real" for name in timed) + " |",
        "|---|" + "---:|---:|" * len(timed),
    ]
    for tool in tools:
        texts = [
            _milliseconds(row["processor"].get(f"{tool}, {kind}"))
            for row in timed.values()
            for kind in ("meta", "real")
        ]
        rows.append(f"| {tool} | " + " | ".join(texts) + " |")
    return "\n".join(rows)


def _milliseconds(seconds: list[float] | None) -> str:
    return f"{1000 * statistics.median(seconds):.3g}" if seconds else "refused"


def processes(found: Lines) -> str:
    rows = []
    for cell, row in found.items():
        if cell.startswith("processes, "):
            texts = [
                f"{key.removesuffix(', meta').replace(', real', ' (real)')} "
                f"{statistics.median(seconds):.2f}"
                for key, seconds in row["seconds"].items()
            ]
            rows.append(f"{cell.partition(', ')[2]}: {', '.join(texts)} (load {row['load']}).")
    if not rows:
        return ""
    return "\n\n".join(
        [
            "Seconds of a whole process, import included: import, make the network on the meta "
            "device (*real* where the tool refuses that), one call, end. *forward* imports torch "
            "alone.",
            *rows,
        ]
    )


def memory(found: Lines) -> str:
    rows = [
        "Peak of the resident size, MB, ResNet-18: what the call adds to a process that has "
        "imported the tool and made the network, for an image of this side.",
        "",
        "| tool | tensors | 224 | 4096 |",
        "|---|---|---:|---:|",
    ]
    for cell, row in found.items():
        if cell.startswith("memory, "):
            _, tool, kind = cell.split(", ")
            texts = [
                f"{each['after'] - each['before']:.0f}" if (each := row.get(side)) else "refused"
                for side in ("224", "4096")
            ]
            rows.append(f"| {tool} | {kind} | " + " | ".join(texts) + " |")
    return "\n".join(rows) if len(rows) > 4 else ""


def goals(found: Lines) -> str:
    """What was to be reached, and what was measured; of Netwright's two kinds the slower one."""
    rows = ["| goal | measured | |", "|---|---|---|"]
    names = [name for name in NETWORKS if f"answers, netwright, {name}" in found]
    if names:
        good = sum(
            all(clean(outcome, verdict) for _, outcome, verdict in cells(found, "netwright", name))
            for name in names
        )
        rows.append(
            f"| right on all networks in every mode | {good} of {len(names)} | "
            f"{_met(good == len(names))} |"
        )
    if "times, LeNet-5" in found:
        both = [1000 * _slower(found, "LeNet-5", by) for by in CLOCKS]
        rows.append(_row("LeNet-5 under 3 ms", "{:.2f} ms", both, both[0] < 3))
    if "times, MobileNetV2" in found:
        both = [
            _slower(found, "MobileNetV2", by) / _medians(found, "MobileNetV2", by)["forward, real"]
            for by in CLOCKS
        ]
        rows.append(_row("MobileNetV2 under 0.6 of a real forward", "{:.2f}", both, both[0] < 0.6))
    if "times, ResNet-152" in found:
        fastest = [_fastest_peer(found, "ResNet-152", by) for by in CLOCKS]
        both = [
            seconds / _slower(found, "ResNet-152", by)
            for (_, seconds), by in zip(fastest, CLOCKS, strict=True)
        ]
        goal = f"ResNet-152 at least 6 x faster than the fastest peer ({fastest[0][0]})"
        rows.append(_row(goal, "{:.1f} x", both, both[0] >= 6))
    grown = [
        row["4096"]["after"] - row["224"]["after"]
        for cell, row in found.items()
        if cell.startswith("memory, netwright") and row.get("4096") and row.get("224")
    ]
    if grown:
        rows.append(
            f"| memory flat in the input size | {max(grown):+.0f} MB from 224 to 4096 | "
            f"{_met(max(grown) < 20)} |"
        )
    return "\n".join(rows) if len(rows) > 2 else ""


def _met(yes: bool) -> str:
    return "reached" if yes else "**not reached**"


def _row(goal: str, form: str, both: list[float], reached: bool) -> str:
    processor, clock = (form.format(each) for each in both)
    return f"| {goal} | {processor} (by the clock {clock}) | {_met(reached)} |"


def _medians(found: Lines, name: str, by: str) -> dict[str, float]:
    return {key: statistics.median(row) for key, row in found[f"times, {name}"][by].items()}


def _slower(found: Lines, name: str, by: str) -> float:
    """Netwright's seconds on meta or on real tensors, whichever are more."""
    medians = _medians(found, name, by)
    return max(value for key, value in medians.items() if key.startswith("netwright"))


def _fastest_peer(found: Lines, name: str, by: str) -> tuple[str, float]:
    medians = _medians(found, name, by)
    peers = [key for key in medians if key.split(", ")[0] not in ("netwright", "forward")]
    fastest = min(peers, key=lambda key: medians[key])
    return fastest, medians[fastest]
