"""The schedule of a script: the function `factor`, or the object that watches evaluations."""

from __future__ import annotations

from typing import Any

from netwright.core.config import build
from netwright.optim.schedules import factor
from netwright.tasks.scripts.material import Material
from netwright.tasks.scripts.text import Call, Code, statement, written


def schedule(material: Material) -> list[str]:
    """What the rate is multiplied by; nothing for a rate that stays."""
    material.value("sched.name")
    warmup = material.value("sched.warmup")
    changed = material.options("sched")
    _refuse_what_a_run_refuses(material, warmup)
    if "watcher" in material.schedule.facts:
        kind = material.schedule.facts["watcher"]
        material.take(kind.__module__, kind.__name__)
        options = material.take_options(material.schedule, changed)
        lines = statement("watcher = ", Call(kind.__name__, [options]))
        return [*lines, "", "", *_function(material, warmup, [])] if warmup else lines
    if material.schedule.name == "constant":
        return _function(material, warmup, []) if warmup else []
    names = ("done", "total") if warmup else ("step", "steps")
    return _function(material, warmup, _curve(material, *names, changed))


def rate_lines(material: Material) -> list[str]:
    """The lines of a step that set the rate."""
    watches = "watcher" in material.schedule.facts
    curved = not watches and material.schedule.name != "constant"
    if curved or material.value("sched.warmup"):
        rate = "LR * (factor(step) * watcher.factor)" if watches else "LR * factor(step)"
    elif watches:
        rate = "LR * watcher.factor"
    else:
        return []
    return ["for group in optimizer.param_groups:", f'    group["lr"] = {rate}']


def watching_lines(material: Material) -> list[str]:
    """The lines after an evaluation."""
    if "watcher" not in material.schedule.facts:
        return []
    return [f"watcher.observe(measured[{written(material.value('sched.watch'))}])"]


def _function(material: Material, warmup: float, curve: list[str]) -> list[str]:
    lines = [
        "def factor(step):",
        '    """What the learning rate is multiplied by in a step, counted from 0."""',
    ]
    if warmup:
        lines += [
            f"    warmup = round({written(warmup)} * per_epoch)",
            "    if step < warmup:",
            "        return (step + 1) / warmup",
        ]
        lines += ["    done, total = step - warmup, steps - warmup"] if curve else []
    return lines + [f"    {line}" for line in curve or ["return 1.0"]]


def _curve(material: Material, step: str, steps: str, changed: dict[str, Any]) -> list[str]:
    """The last lines of `factor`, by the mathematics of each schedule."""
    options = {n: written(v) for n, v in material.recipe.sched.options.items()}
    name, final = material.schedule.name, options.get("final")
    if name == "cosine":
        return [
            f"fall = (1 + math.cos(math.pi * {step} / {steps})) / 2",
            f"return {final} + (1 - {final}) * fall" if float(final or 0) else "return fall",
        ]
    if name == "one-cycle":
        return [
            f"peak = {options['rise']} * {steps}",
            f"if {step} < peak:",
            f"    first, last, share = {options['start']}, 1.0, {step} / peak",
            "else:",
            f"    first, last = 1.0, {final}",
            f"    share = ({step} - peak) / ({steps} - peak)",
            "return last + (first - last) * (1 + math.cos(math.pi * share)) / 2",
        ]
    if name == "polynomial":
        return [
            f"left = 1 - {step} / {steps}",
            f"return {final} + (1 - {final}) * left**{options['power']}",
        ]
    if name == "step":
        falls = f"int(({step} + 1e-6) / ({options['every']} * {steps}))"
        if material.recipe.sched.options["every"] is None:
            places = options["milestones"]
            falls = f"sum({step} + 1e-6 >= place * {steps} for place in {places})"
        return [f"falls = {falls}", f"return {options['gamma']}**falls"]
    function, made = material.take_leaf(material.schedule, changed)
    call = Call(function, [Code(step), Code(steps), made])
    return [line[4:] for line in statement("return ", call, indent=4)]


def _refuse_what_a_run_refuses(material: Material, warmup: float) -> None:
    entry = material.schedule
    if entry.options is not None:
        options: Any = build(entry.options, material.recipe.sched.options, prefix="sched.")
        factor(entry, options, 0, 1, 1 if warmup else 0)
