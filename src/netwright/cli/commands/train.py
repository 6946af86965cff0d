"""`netwright train DATA [MODEL] [key=value ...]`: train a network, leave a run with its report."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.errors import SettingError


@COMMANDS.register(
    "train",
    group="Train",
    usage="[DATA] [MODEL] [key=value ...] [--resume RUN]",
    settings="any setting of the run, such as epochs=5 optim.lr=0.1 aug.flip=true",
    about="DATA is a name, a folder of class folders, a CSV or JSONL of paths and labels, idx "
    "files, or file.py:factory. MODEL is a name or file.py:factory. Ctrl-C saves and says how to "
    "go on.",
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
    return 0
