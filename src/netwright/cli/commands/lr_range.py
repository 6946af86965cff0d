"""`netwright lr-range DATA [MODEL] [key=value ...]`: which learning rate to train with."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from netwright.cli.columns import table, wrap
from netwright.cli.commands import COMMANDS
from netwright.cli.progress import Progress
from netwright.cli.screen import Call
from netwright.cli.things import check_things
from netwright.core.errors import SettingError
from netwright.core.escaping import terminal
from netwright.core.languages import say
from netwright.core.places import refuse_missing_folder, standing

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.tasks.rate_range import RateRange


@COMMANDS.register(
    "lr-range",
    group="Train",
    usage="[DATA] [MODEL] [key=value ...] [--save FILE.svg]",
    settings="any setting of the run, such as optim=adamw batch=32 aug.flip=true",
    about="A short training in which the rate rises from far too low to far too high; three rules "
    "read the curve of the loss. Where they disagree, or the curve speaks for no rate, none is "
    "suggested and the reason is told. Data, model and settings mean what they mean to train; "
    "nothing is kept.",
    examples=(
        "netwright lr-range digits",
        "netwright lr-range flowers/ resnet20 optim=adamw",
        "netwright lr-range digits lenet5 --save rates.svg",
        "netwright lr-range digits --json | jq .suggestion",
    ),
)
def lr_range(
    data: Annotated[str | None, Parameter(help="what to learn from, as for train")] = None,
    model: Annotated[str | None, Parameter(help="which network; the recipe names one")] = None,
    /,
    *,
    config: Annotated[
        str | None, Parameter(metavar="FILE", help="a recipe: a YAML or JSON file, or a name")
    ] = None,
    first: Annotated[float, Parameter(metavar="RATE", help="where the rate begins")] = 1e-6,
    last: Annotated[float, Parameter(metavar="RATE", help="where it ends")] = 10.0,
    steps: Annotated[int, Parameter(metavar="N", help="in so many steps, at most")] = 100,
    save: Annotated[
        str | None, Parameter(metavar="FILE", help="write the curve as a picture, FILE.svg")
    ] = None,
    seed: Annotated[int | None, Parameter(metavar="N", help="short for seed=N")] = None,
    device: Annotated[
        str | None, Parameter(metavar="NAME", help="short for device=NAME: auto, cpu, cuda")
    ] = None,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Find the learning rate to train with."""
    if data is None and config is None:
        raise SettingError(
            "netwright lr-range needs DATA or --config.", hint="Try: netwright lr-range digits"
        )
    check_things(data, model, call.settings)
    if save is not None:
        _refuse_place(Path(save))
    from netwright.tasks.recipe_range import range_of_recipe
    from netwright.tasks.settings import resolve

    shorthands = {
        name: value for name, value in (("seed", seed), ("device", device)) if value is not None
    }
    resolved = resolve(
        data=data, model=model, config=config, settings=call.settings, shorthands=shorthands
    )
    progress = Progress(call)
    try:
        found = range_of_recipe(resolved, first=first, last=last, steps=steps, listeners=[progress])
    finally:
        progress.close()
    if save is not None:
        found.plot().save(save)
    command = None
    if found.suggestion is not None:
        command = _next(data, model, config, call.settings, shorthands, found.suggestion)
    document = {**found.to_json(), "next": command, "picture": save}
    call.result(document, _lines(found, save))
    if command is not None and not call.json:
        call.note(say("Next:"), "{command}", command=command)
    return 0


def _refuse_place(out: Path) -> None:
    """Before the steps are taken: the picture could not be written there."""
    there = standing(out)
    if out.suffix.lower() != ".svg" or there == "folder":
        raise SettingError(
            "--save {path}: the picture is an SVG file.",
            hint="Expected the name of a file, such as {example}.",
            path=str(out),
            example=str(out / "rates.svg" if there == "folder" else f"{out}.svg"),
        )
    if there == "other":
        raise SettingError(
            "--save {path} is there and is no regular file: it is left alone.", path=str(out)
        )
    refuse_missing_folder(out, option="--save")


def _next(
    data: str | None,
    model: str | None,
    config: str | None,
    settings: tuple[str, ...],
    shorthands: Mapping[str, object],
    rate: float,
) -> str:
    """The training that the rate was found for, as it is typed."""
    words = ["netwright", "train", *(each for each in (data, model) if each is not None)]
    words += ["--config", config] if config is not None else []
    for name, value in shorthands.items():
        words += [f"--{name}", str(value)]
    words += [each for each in settings if not each.startswith("optim.lr=")]
    return shlex.join([*words, f"optim.lr={rate}"])


def _lines(found: RateRange, save: str | None) -> Iterator[str]:
    yield from table(_landmarks(found), head=[say("Learning rate"), say("Loss")])
    yield ""
    for name, rate in found.readings.items():
        yield say("{rule}: {rate:.2g}", rule=_rule(name), rate=rate)
    yield from wrap(found.reason.localized(), 80)
    if found.suggestion is None:
        yield say("suggested  none")
    else:
        shown = f"{found.suggestion:g}"
        yield say("suggested  optim.lr={rate}  for {optim}", rate=shown, optim=found.optimizer)
    if save is not None:
        yield say("wrote {path}", path=terminal(save))


def _rule(name: str) -> str:
    if name == "steepest":
        return say("the loss falls fastest")
    return say("half of the fall is done") if name == "middle" else say("a tenth of the blow-up")


def _landmarks(found: RateRange) -> list[tuple[str, str]]:
    """About one point of the curve for each factor of ten, and the last."""
    curve = found.smoothed or found.losses
    decades = [math.floor(math.log10(rate) + 1e-9) for rate in found.rates]
    begun = [k for k, decade in enumerate(decades) if k == 0 or decade > decades[k - 1]]
    shown = [(found.rates[k], curve[k]) for k in begun if k < len(curve)]
    shown.append((found.rates[-1], found.losses[-1]))
    return [(f"{rate:.1e}", f"{loss:.4g}") for rate, loss in shown]
