"""`netwright evaluate RUN [DATA]`: how good a run is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.progress import Progress
from netwright.cli.screen import Call
from netwright.core.escaping import terminal
from netwright.core.languages import say

if TYPE_CHECKING:  # at run time it brings torch, which --help must not
    from netwright.tasks.using import Evaluation


@COMMANDS.register(
    "evaluate",
    group="Use a run",
    usage="RUN [DATA] [--split NAME]",
    about="Without DATA the run is measured on its own data: on the test split where there is "
    "one, else on validation. It needs nothing but the run.",
    examples=("netwright evaluate latest", "netwright evaluate latest --split val --json"),
)
def evaluate(
    run: Annotated[str, Parameter(help="a path, latest, or a name under runs/")],
    data: Annotated[str | None, Parameter(help="other data with the same classes")] = None,
    /,
    *,
    split: Annotated[
        Literal["train", "val", "test"] | None,
        Parameter(metavar="NAME", help="train, val or test"),
    ] = None,
    device: Annotated[str, Parameter(metavar="NAME", help="auto, cpu or cuda")] = "auto",
    trust_code: Annotated[
        bool, Parameter(help="run the copy of a model file that a run carries")
    ] = False,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Measure how good a run is."""
    from netwright.tasks.using import evaluate as measure

    progress = Progress(call)
    try:
        found = measure(
            run,
            data=data,
            split=split,
            device=device,
            trust_code=trust_code,
            listeners=[progress],
        )
    finally:
        progress.close()
    call.result(found.to_json(), _lines(found))
    return 0


def _lines(found: Evaluation) -> Iterator[str]:
    """One line; of a run over several seeds one for each, and before them the medians."""
    metrics = "   ".join(f"{name} {value:.4f}" for name, value in found.metrics.items())
    if found.seeds:
        metrics = "   ".join(
            say(
                "{name} {median:.4f} [{low:.4f} to {high:.4f}]",
                name=name,
                median=met.median,
                low=met.low,
                high=met.high,
            )
            for name, met in found.spread.items()
        )
    yield say(
        "{data} {split}   {count} images   {metrics}",
        data=terminal(found.data),
        split=found.split,
        count=found.count,
        metrics=metrics,
    )
    for seed, each in found.seeds.items():
        shown = "   ".join(f"{name} {value:.4f}" for name, value in each.metrics.items())
        yield say("seed {seed}   {metrics}", seed=seed, metrics=shown)
