"""`netwright check DATA [MODEL] [key=value ...]`: what is wrong before the first step is taken;
with `--gradients` whether backprop gives the derivative, with `--pipeline` how fast images come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from netwright.cli.columns import screen_width, wrap
from netwright.cli.commands import COMMANDS
from netwright.cli.findings import finding_lines, left_out_lines
from netwright.cli.progress import Progress
from netwright.cli.screen import Call
from netwright.cli.things import check_things
from netwright.core.errors import SettingError
from netwright.core.languages import say
from netwright.records.severity import FailOn, reaches

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.inspection.gradients.checking import GradientCheck
    from netwright.tasks.settings import Resolved


@COMMANDS.register(
    "check",
    group="Train",
    usage="DATA|RECIPE|MODEL [MODEL] [key=value ...]",
    settings="any setting of the run, such as optim.lr=0.1 init=zeros",
    about="Data, model and settings mean what they mean to train; RECIPE is a YAML or JSON file, "
    "or the name of a recipe. Data and network are looked at as they stand before the first step: "
    "what the loss gets, whether one batch can be fitted, whether training and validation are "
    "alike. Nothing is kept. The exit status is 4 if a finding stands at or above --fail-on. "
    "--gradients compares backprop with numeric derivatives instead, for each parameter of a MODEL "
    "on noise, or of the loss on the first images of DATA; status 4 if one is wrong. --pipeline "
    "measures instead how fast images come to the network, stage by stage, and names the slowest.",
    examples=(
        "netwright check digits",
        "netwright check flowers/ resnet20 optim.lr=0.5",
        "netwright check digits --json | jq .findings",
        "netwright check resnet20 --gradients",
        "netwright check digits mlp --gradients",
        "netwright check flowers/ --pipeline",
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
    seconds: Annotated[
        float | None, Parameter(metavar="S", help="what it may take, at most")
    ] = None,
    gradients: Annotated[
        bool, Parameter(help="compare backprop with numeric derivatives, on a copy in float64")
    ] = False,
    pipeline: Annotated[
        bool, Parameter(help="measure how fast images come: read, decode, resize, augment, ...")
    ] = False,
    input: Annotated[  # noqa: A002
        list[str] | None,
        Parameter(metavar="CxHxW", help="the shape of one sample, or 16:int64 for 16 tokens"),
    ] = None,
    batch: Annotated[
        int | None, Parameter(metavar="N", help="samples that gradients are checked on")
    ] = None,
    trust_code: Annotated[
        bool, Parameter(help="run the copy of a model file that a run carries")
    ] = False,
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
    if gradients and pipeline:
        raise SettingError("--gradients and --pipeline are two checks: ask for one of them.")
    _check_options(gradients, seconds=seconds, input=input, batch=batch, trust_code=trust_code)
    if data is not None and config is None and _is_recipe(data):
        data, config = None, data
    if gradients and data is not None and model is None and config is None:
        from netwright.tasks.gradients import check_network, names_data

        if not names_data(data):
            return _gradients_told(
                call,
                fail_on,
                check_network(
                    data,
                    input or (),
                    settings=call.settings,
                    batch=batch,
                    device=device,
                    seed=seed or 0,
                    trust_code=trust_code,
                ),
            )
    if input is not None or trust_code:
        raise SettingError(
            "{option} is for a MODEL alone: DATA have a shape of their own.",
            option="--input" if input is not None else "--trust-code",
        )
    check_things(data, model, call.settings)
    from netwright.tasks.checking import SECONDS, check_recipe
    from netwright.tasks.settings import resolve

    shorthands = {
        name: value for name, value in (("seed", seed), ("device", device)) if value is not None
    }
    resolved = resolve(
        data=data, model=model, config=config, settings=call.settings, shorthands=shorthands
    )
    if gradients:
        from netwright.tasks.gradients import check_recipe_gradients

        return _gradients_told(call, fail_on, check_recipe_gradients(resolved, batch=batch))
    if pipeline:
        return _pipeline_told(call, resolved, SECONDS if seconds is None else seconds)
    progress = Progress(call)
    try:
        found = check_recipe(
            resolved, listeners=[progress], seconds=SECONDS if seconds is None else seconds
        )
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


def _gradients_told(call: Call, fail_on: FailOn, found: GradientCheck) -> int:
    """The table, what is wrong, and the status: 4 if a gradient is."""
    from netwright.report.gradient_table import gradient_table, told

    status = 0 if found.ok or fail_on == "never" else 4
    document = {
        "command": call.line,
        "status": 0,
        "findings": [],
        "run": None,
        "cost": [],
        "gradients": found.to_json(),
        "exit": status,
    }
    width = screen_width()
    lines = gradient_table(found.record, cells=width)
    for word, text in told(found.record):
        first, *rest = wrap(text, max(40, width - 6))
        lines += [f"{word:<6}{first}", *(f"{'':6}{line}" for line in rest)]
    call.result(document, lines)
    return status


def _pipeline_told(call: Call, resolved: Resolved, seconds: float) -> int:
    """The table of stages, what holds the training up, and what to do."""
    from netwright.report.pipeline_table import pipeline_table, told
    from netwright.tasks.pipeline import measure_pipeline

    progress = Progress(call)
    try:
        found = measure_pipeline(resolved, listeners=[progress], seconds=seconds)
    finally:
        progress.close()
    sentences = [(word, say(each.template, **each.values)) for word, each in told(found)]
    document = {
        "command": call.line,
        "status": 0,
        "findings": [],
        "run": None,
        "cost": [],
        "pipeline": {**found.to_json(), "advice": [t for word, t in sentences if word == "DO"]},
        "exit": 0,
    }
    width = screen_width()
    lines = pipeline_table(found, cells=width)
    for word, text in sentences:
        first, *rest = wrap(text, max(40, width - 6))
        lines += [f"{word:<6}{first}", *(f"{'':6}{line}" for line in rest)]
    call.result(document, lines)
    return 0


def _check_options(
    gradients: bool,
    *,
    seconds: float | None,
    input: list[str] | None,  # noqa: A002
    batch: int | None,
    trust_code: bool,
) -> None:
    """Options that belong to the other kind of check, and a batch that is none."""
    given = {"--input": input is not None, "--batch": batch is not None, "--trust-code": trust_code}
    if not gradients and any(given.values()):
        raise SettingError(
            "{option} is for a check of gradients, which was not asked for.",
            hint="Add --gradients.",
            option=next(name for name, there in given.items() if there),
        )
    if gradients and seconds is not None:
        raise SettingError(
            "--seconds is for the check before a training; a check of gradients ends by itself."
        )
    if seconds is not None and not seconds > 0:  # NaN is refused too
        raise SettingError(
            "seconds says how long a check-up may take, above 0, not {value}.", value=repr(seconds)
        )
    if batch is not None and batch < 1:
        raise SettingError(
            "{name}: expected at least {least}, not {value}.", name="--batch", least=1, value=batch
        )


def _is_recipe(name: str) -> bool:
    """Whether a file of settings is meant, or a recipe that is not called as its data are."""
    if name.endswith((".yaml", ".yml", ".json")):
        return True
    from netwright.data.sources import SOURCES
    from netwright.tasks.settings import recipe_names

    return name in recipe_names() and name not in SOURCES
