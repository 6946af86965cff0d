"""`netwright train DATA [MODEL] [key=value ...]`: train a network, leave a run with its report."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from netwright.cli.columns import screen_width, wrap
from netwright.cli.commands import COMMANDS
from netwright.cli.commands.report import show
from netwright.cli.progress import Progress
from netwright.cli.screen import Call
from netwright.cli.things import check_things
from netwright.core.errors import DivergedError, SettingError
from netwright.core.escaping import terminal
from netwright.core.languages import say

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.tasks.running import Trained
    from netwright.tasks.settings import Resolved


@COMMANDS.register(
    "train",
    group="Train",
    usage="[DATA] [MODEL] [key=value ...] [--resume RUN]",
    settings="any setting of the run, such as epochs=5 optim.lr=0.1 aug.flip=true",
    about="DATA is a name, a folder of class folders, a CSV or JSONL of paths and labels, idx "
    "files, or file.py:factory. MODEL is a name, a run, file.py:factory, or timm:NAME or "
    "torchvision:NAME where they are installed. Ctrl-C saves and says how to go on.",
    examples=(
        "netwright train digits",
        "netwright train flowers/ resnet20 epochs=20 optim.lr=0.05",
        "netwright train --resume latest",
        "netwright train digits --json | jq .best.metric",
    ),
)
def train(
    data: Annotated[str | None, Parameter(help="what to learn from: see above")] = None,
    model: Annotated[str | None, Parameter(help="which network; the recipe names one")] = None,
    /,
    *,
    config: Annotated[
        str | None, Parameter(metavar="FILE", help="a recipe: a YAML or JSON file, or a name")
    ] = None,
    resume: Annotated[
        str | None,
        Parameter(metavar="RUN", help="go on with this run; auto with --run-dir starts or goes on"),
    ] = None,
    run_dir: Annotated[
        str | None, Parameter(metavar="DIR", help="the run folder itself; default: new in runs/")
    ] = None,
    seed: Annotated[int | None, Parameter(metavar="N", help="short for seed=N")] = None,
    device: Annotated[
        str | None, Parameter(metavar="NAME", help="short for device=NAME: auto, cpu, cuda")
    ] = None,
    dry_run: Annotated[bool, Parameter(help="two steps of everything, nothing is kept")] = False,
    trust_code: Annotated[
        bool, Parameter(help="run the copy of a model file that a run carries")
    ] = False,
    open: Annotated[bool, Parameter(help="show the report in a browser at the end")] = False,  # noqa: A002
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Train a network on images."""
    if data is None and config is None and resume is None:
        raise SettingError(
            "netwright train needs DATA, --config or --resume.",
            hint="Try: netwright train digits",
        )
    check_things(data, model, call.settings, resume=resume)
    from netwright.tasks.training import train as run_training

    shorthands = {
        name: value for name, value in (("seed", seed), ("device", device)) if value is not None
    }
    folder = Path(run_dir) if run_dir is not None else None
    resolved, asked = _wanted(data, model, config, resume, folder, call.settings, shorthands)
    progress = Progress(call)
    try:
        trained = run_training(
            resolved,
            run_dir=folder,
            resume=resume,
            asked=asked,
            listeners=[progress],
            dry_run=dry_run,
            command=call.line,
            trust_code=trust_code,
        )
    except DivergedError:
        call.found = _kept(call.run_folder)
        raise
    finally:
        progress.close()
    if trained.spoken:
        return 0
    if dry_run:
        call.result(
            {**trained.to_json(), "run": None}, [say("OK    two steps of everything went well")]
        )
        return 0
    page = _report(trained)
    call.result({**trained.to_json(), "report": str(page)}, _lines(trained, page))
    if not call.json:
        run = _shortest_name(trained.run.path)
        command = f"netwright report {run} --open      netwright predict {run} IMAGES"
        call.note(say("Next:"), "{command}", command=command)
    if open:
        show(page)
    return 0


def _kept(folder: Path | None) -> dict[str, Any]:
    """Of several seeds of which some diverged: what the others came to."""
    from netwright.tasks.running import trained as outcome

    made = outcome(folder) if folder is not None else None
    return made.to_json() if made is not None and made.seeds else {}


def _wanted(
    data: str | None,
    model: str | None,
    config: str | None,
    resume: str | None,
    folder: Path | None,
    settings: tuple[str, ...],
    shorthands: dict[str, Any],
) -> tuple[Resolved | None, dict[str, Any]]:
    """The recipe, and the settings that were asked for by name: a run that goes on compares them
    with its own, and takes what nobody asked for from itself."""
    from netwright.records.run import find_run, is_run
    from netwright.tasks.settings import resolve, tokens
    from netwright.tasks.training import nothing_there

    asked = {**tokens(settings), **shorthands}
    old = None
    if resume == "auto":
        begun = folder is not None and is_run(folder) and not nothing_there(folder)
        old = folder if begun else None
    elif resume is not None:
        old = find_run(resume).path
    if old is None:
        resolved = resolve(
            data=data, model=model, config=config, settings=settings, shorthands=shorthands
        )
        return resolved, asked
    for name, value in (("data.name", data), ("model.name", model)):
        if value is not None:
            asked[name] = _as_recorded(value)
    if not asked and config is None:
        return None, {}
    resolved = resolve(
        data=asked.get("data.name"),
        model=asked.get("model.name"),
        config=config or str(old / "config.yaml"),
        settings=settings,
        shorthands=shorthands,
    )
    if config is not None:
        asked = {
            name: value
            for name, value in resolved.values.items()
            if resolved.origins[name] != "default"
        }
    return resolved, asked


def _as_recorded(name: str) -> str:
    """A run keeps paths absolute, so that it does not depend on where it was started."""
    path, colon, rest = name.partition(":")
    return f"{Path(path).resolve()}{colon}{rest}" if Path(path).exists() else name


def _report(trained: Trained) -> Path:
    """The page that training has left; written anew if someone took it away since."""
    from netwright.report.page import write_report

    page = trained.run.path / "report.html"
    return page if page.exists() else write_report(trained.run)


def _shortest_name(run: Path) -> str:
    """What the next commands may call the run: `latest` where that means it."""
    from netwright.records.run import find_run, runs_root

    if (runs_root() / "latest").exists() and find_run("latest").path.resolve() == run.resolve():
        return "latest"
    return shlex.quote(str(run))


_LABEL = 9  # columns of `weights  `


def _lines(trained: Trained, page: Path) -> Iterator[str]:
    from netwright.report.step_line import step_line

    kept = trained.best
    if trained.seeds:
        yield from _seed_lines(trained)
        yield say("report   {path}", path=terminal(page))
        return
    if kept:
        shown = {name: kept[name] for name in ("metric", "value", "epoch")}
        if (trained.run.config.get("run") or {}).get("select") == "last":
            yield say("last     {metric} {value:.4g} at epoch {epoch}  (run.select=last)", **shown)
        else:
            yield say("best     {metric} {value:.4g} at epoch {epoch}", **shown)
    if line := step_line(trained.run.info):
        first, *others = wrap(line, max(40, screen_width() - _LABEL))
        yield say("step     {line}", line=first)
        yield from (" " * _LABEL + each for each in others)
    yield say("weights  {path}", path=terminal(trained.run.path / "best.safetensors"))
    yield say("report   {path}", path=terminal(page))


def _seed_lines(trained: Trained) -> Iterator[str]:
    """What came of several seeds: the median and the range of what was measured."""
    from netwright.records.seeds import over_seeds, seed_runs

    done = sum(each.get("status") == "done" for each in trained.seeds)
    yield say("seeds    {done} of {count} done", done=done, count=len(trained.seeds))
    for name, met in over_seeds(seed_runs(trained.run)).items():
        if name.endswith("/acc1") or name == (trained.best or {}).get("metric"):
            yield say(
                "median   {metric} {median:.4f} [{low:.4f} to {high:.4f}]",
                metric=name,
                median=met.median,
                low=met.low,
                high=met.high,
            )
    if trained.best and isinstance(trained.best.get("seed"), int):
        place = trained.run.path / f"seed-{trained.best['seed']}" / "best.safetensors"
        yield say("weights  {path}", path=terminal(place))
