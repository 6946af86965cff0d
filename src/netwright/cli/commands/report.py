"""`netwright report RUN`: write the page of a run anew."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.escaping import terminal
from netwright.core.languages import say


@COMMANDS.register(
    "report",
    group="Use a run",
    usage="[RUN] [--open]",
    about="One self-contained file, report.html in the run folder, that opens without a network: "
    "verdict, curves, confusions, worst mistakes, the model, and how to reproduce it.",
    examples=("netwright report", "netwright report latest --open"),
)
def report(
    run: Annotated[str, Parameter(help="a path, latest, or a name under runs/")] = "latest",
    /,
    *,
    open: Annotated[bool, Parameter(help="show it in a browser")] = False,  # noqa: A002
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Write the page that tells how a run went."""
    from netwright.records.run import find_run
    from netwright.report.page import write_report

    found = find_run(run)
    page = write_report(found)
    size = page.stat().st_size
    call.result(
        {"run": str(found.path), "report": str(page), "bytes": size},
        [
            say(
                "wrote {page}  ({size} kB, self-contained)",
                page=terminal(page),
                size=round(size / 1000),
            )
        ],
    )
    if open:
        show(page)
    return 0


def show(page: Path) -> None:
    """Open a file of this computer in the user's browser."""
    webbrowser.open(page.resolve().as_uri())
