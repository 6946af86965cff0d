"""A recipe as one plain loop: a Python script that reads straight down and gives the same numbers.

The script is written from the mathematics of the recipe, in torch; of Netwright it takes what a
reader does not come for (data, keyed order, networks). Only what the recipe needs is in it. A
setting that no line of the script carries out is refused, never dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from netwright.tasks.scripts import data, ending, loop, losses, optimizers, schedules, weights
from netwright.tasks.scripts.material import Material
from netwright.tasks.settings import Resolved
from netwright.tasks.speed import is_open

_AUTO = [
    "(A run of more than a minute may compute its steps in a way that it measures to be",
    "faster: run.channels_last, run.precision and run.compile are auto. Not so this loop.)",
]


def plain_loop(resolved: Resolved, *, title: str, spec: str, stem: str) -> str:
    """The script of a recipe. `title` says what it is a copy of, `spec` names that on a command
    line, `stem` is the name of the script without its suffix.

    Raises `SettingError` that lists every setting which cannot be written so.
    """
    material = Material(resolved, spec=spec, stem=stem)
    sections = [
        data.constants(material),
        data.opening(material),
        weights.network(material),
        optimizers.optimizer(material),
        schedules.schedule(material),
        losses.preparation(material),
        ending.evaluation(material),
        loop.loop(material),
        ending.ending(material),
    ]
    material.refuse_the_rest()
    whole = f"DATA --config {spec}" if material.left_open else f"--config {spec}"
    head = [
        f'"""{title}',
        "",
        "One plain loop with the numbers of",
        f"    netwright train {whole}",
        "printed after each epoch. It makes no run folder, report or checkpoint.",
        *(_AUTO if is_open(resolved.recipe.run) else []),
        '"""',
        "",
        *material.import_lines(),
    ]
    return "\n".join(_spaced([head, *sections])) + "\n"


def _spaced(sections: list[list[str]]) -> Iterator[str]:
    """The lines of all sections: one blank line between two, two around a function."""
    after_function = False
    for number, section in enumerate(each for each in sections if each):
        is_function = section[0].startswith(("def ", "@"))
        if number:
            yield from [""] * (2 if is_function or after_function else 1)
        yield from section
        after_function = is_function
