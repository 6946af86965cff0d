"""`netwright check DATA [MODEL] [key=value ...]`: what is wrong before the first step is taken."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.findings import finding_lines, left_out_lines
from netwright.cli.progress import Progress
from netwright.cli.screen import Call
from netwright.cli.things import check_things
from netwright.core.errors import SettingError
from netwright.core.languages import say
from netwright.records.severity import FailOn, reaches


@COMMANDS.register(
    "check",
    group="Train",
    usage="DATA|RECIPE [MODEL] [key=value ...]",
    settings="any setting of the run, such as optim.lr=0.1 init=zeros",
    about="Data, model and settings mean what they mean to train; RECIPE is a YAML or JSON file, "
    "or the name of a recipe. Data and network are looked at as they stand before the first step: "
    "what the loss gets, whether one batch can be fitted, whether training and validation are "
    "alike. Nothing is kept. The exit status is 4 if a finding stands at or above --fail-on.",
    examples=(
        "netwright check digits",
        "netwright check flowers/ resnet20 optim.lr=0.5",
        "netwright check digits --json | jq .findings",
    ),
)
def check(
    data: Annotated[str | None, Parameter(help="what would be learned from, or a recipe")] = None,
    model: Annotated[str | None, Parameter(help="which network; the recipe names one")] = None,
    /,
    *,
    config: Annotated[
        str | None, Parameter(metavar="FILE", help="a recipe: a YAML or JSON file, or a name")
    ] = None,
    fail_on: Annotated[
        FailOn, Parameter(help="the mildest finding that gives status 4: stop, warn, note, never")
    ] = "stop",
    seconds: Annotated[float, Parameter(metavar="S", help="what it may take, at most")] = 10.0,
    seed: Annotated[int | None, Parameter(metavar="N", help="short for seed=N")] = None,
    device: Annotated[
        str | None, Parameter(metavar="NAME", help="short for device=NAME: auto, cpu, cuda")
    ] = None,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Look for faults before anything is trained."""
    if data is None and config is None:
        raise SettingError(
            "netwright check needs DATA, a recipe or --config.", hint="Try: netwright check digits"
        )
    if data is not None and config is None and _is_recipe(data):
        data, config = None, data
    check_things(data, model, call.settings)
    from netwright.tasks.checking import check_recipe
    from netwright.tasks.settings import resolve

    shorthands = {
        name: value for name, value in (("seed", seed), ("device", device)) if value is not None
    }
    resolved = resolve(
        data=data, model=model, config=config, settings=call.settings, shorthands=shorthands
    )
    progress = Progress(call)
    try:
        found = check_recipe(resolved, listeners=[progress], seconds=seconds)
    finally:
        progress.close()
    status = 4 if reaches(found.findings, fail_on) else 0
    lines = [line for each in found.findings for line in finding_lines(each)]
    document = {
        "command": call.line,
        "status": 0,
        "findings": [each.to_json() for each in found.findings],
        "run": None,
        "cost": [],
        "left_out": found.left_out.to_json() if found.left_out is not None else None,
        "exit": status,
    }
    lines = lines or [say("OK       Nothing was found.")]
    if found.left_out is not None:
        lines += left_out_lines(found.left_out)
    call.result(document, lines)
    return status


def _is_recipe(name: str) -> bool:
    """Whether a file of settings is meant, or a recipe that is not called as its data are."""
    if name.endswith((".yaml", ".yml", ".json")):
        return True
    from netwright.data.sources import SOURCES
    from netwright.tasks.settings import recipe_names

    return name in recipe_names() and name not in SOURCES
