"""Random settings, right and wrong: each is trained a step with or refused in our own words.

The settings are drawn from the published schema, so a new one is drawn as well: values in its
range, on its borders, outside, of another type, and names with a letter too many.
"""

from __future__ import annotations

import functools
import random
from typing import Any

import pytest

from netwright.core import events as e
from netwright.core.errors import NetwrightError
from netwright.tasks.assembling import settings_schema
from netwright.tasks.computing import reproducible
from netwright.tasks.preparing import prepare
from netwright.tasks.settings import resolve
from netwright.train.task import NonFiniteError

JUNK = [
    "", " ", "nan", "inf", "-inf", "-1", "0", "1", "1e400", "1e-400", "99999999999999999999",
    "[]", "{}", "[1", "null", "~", "true", "no", "0x10", "1_000", "1,5", "é", "\x00", "\u202e",
    "a" * 500,
    "{a: 1}", "[1, 2]", "*a", "!!python/name:os.system", "- 1", "'", '"', "../..",
    "2024-01-01", ".5",
]  # fmt: skip
SMALL = ["mlp", "lenet5", "lenet5-1998", "resnet20"]
"""Networks that take milliseconds to make. The others have the same settings."""
SLOW = {
    # Minutes of compiling, or passes without end: asked for on purpose they are the user's wish.
    "run.compile", "optim.iterations", "optim.history", "init.iterations", "data.name", "data",
    "model.name", "model", "data.images",
}  # fmt: skip


@functools.cache
def _properties() -> dict[str, dict[str, Any]]:
    """Every setting by its dotted name, and its schema."""
    found: dict[str, dict[str, Any]] = {}

    def walk(prefix: str, schema: dict[str, Any]) -> None:
        for part in (schema, *schema.get("anyOf", ())):
            for name, inner in part.get("properties", {}).items():
                if any("properties" in each for each in (inner, *inner.get("anyOf", ()))):
                    walk(f"{prefix}{name}.", inner)
                else:
                    found[f"{prefix}{name}"] = inner

    walk("", settings_schema())
    found["data.size"] |= {"maximum": 32}  # 1,294 digits of 4096 x 4096 would be 20 GB
    return {name: schema for name, schema in found.items() if name not in SLOW}


def _value(schema: dict[str, Any], draw: random.Random) -> str:
    kind = draw.random()
    choices = schema.get("enum") or [
        each for part in schema.get("anyOf", ()) for each in part.get("enum", ())
    ]
    if kind < 0.06:
        return draw.choice(JUNK)
    if choices:
        return str(draw.choice(choices)) if kind < 0.95 else f"{draw.choice(choices)}x"
    if isinstance(schema.get("default"), bool):
        return draw.choice(["true", "false", "True", "1", "maybe"])
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return draw.choice([*JUNK, str(schema.get("default", ""))])
    low, high = low or 0, high if high is not None else (low or 0) + draw.choice([1, 10, 1000])
    if kind < 0.3:
        return str(draw.choice([low, high, low - 1, high + 1]))
    number = draw.uniform(low, high)
    whole = isinstance(schema.get("default"), int) or draw.random() < 0.3
    return str(round(number)) if whole else f"{number:.4g}"


@functools.cache
def _common() -> list[str]:
    """The settings that every recipe has; the others belong to one leaf of a family."""
    found = []
    for name, schema in _properties().items():
        try:
            resolve(data="digits", model="mlp", settings={name: schema.get("default")}, environ={})
            found.append(name)
        except NetwrightError:
            continue
    return sorted(found)


def _settings(draw: random.Random) -> list[str]:
    pool = _common() if draw.random() < 0.7 else sorted(_properties())
    names = draw.sample(pool, draw.randint(1, 5))
    tokens = []
    for name in names:
        value = _value(_properties()[name], draw)
        if draw.random() < 0.03:
            place = draw.randrange(len(name))
            name = name[:place] + draw.choice("aeß._") + name[place:]
        tokens.append(f"{name}={value}")
    return tokens


def _try(tokens: list[str], model: str) -> str:
    """`trained`, `diverged` or `refused`; whatever else is raised is a fault."""
    try:
        resolved = resolve(data="digits", model=model, settings=tokens, environ={})
        with reproducible():
            task = prepare(resolved, e.Events()).task
            for step, batch in enumerate(task.feed(0)):
                task.step(batch, step)
                break
            task.evaluate(1)
    except NetwrightError as error:
        return "refused" if 2 <= error.exit_code <= 7 and str(error).strip() else "unclear"
    except NonFiniteError:
        return "diverged"
    return "trained"


def _fuzz(seed: int, count: int) -> dict[str, int]:
    draw = random.Random(seed)
    met = {"trained": 0, "diverged": 0, "refused": 0, "unclear": 0}
    for _ in range(count):
        tokens, model = _settings(draw), draw.choice(SMALL)
        try:
            met[_try(tokens, model)] += 1
        except Exception as error:
            raise AssertionError(f"netwright train digits {model} {' '.join(tokens)}") from error
    print(f"seed {seed}: {met}")
    assert not met["unclear"]
    return met


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("NETWRIGHT_OFFLINE", "1")


def test_two_hundred_configurations_are_trained_with_or_refused():
    met = _fuzz(0, 200)
    assert met["trained"] > 15
    assert met["refused"] > 15


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 11))
def test_ten_thousand_configurations_are_trained_with_or_refused(seed):
    assert sum(_fuzz(seed, 1000).values()) == 1000
