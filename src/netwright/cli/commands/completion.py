"""`netwright completion SHELL`: a script that completes commands and flags."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.parsing import grammar
from netwright.cli.screen import Call


@COMMANDS.register(
    "completion",
    group="Look up",
    usage="bash|zsh|fish",
    about="The script is printed, nothing is installed: put the line below into the start-up "
    "file of your shell.",
    examples=('eval "$(netwright completion bash)"',),
)
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="bash, zsh or fish")],
    /,
    *,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Print a script for the completion of commands and flags."""
    app = App(name="netwright", help_flags=["--help", "-h"], version_flags=["--version"])
    for command in COMMANDS:
        app.command(grammar(command), name=command.name)
    script = app.generate_completion(prog_name="netwright", shell=shell)
    call.result({"shell": shell, "script": script}, [script])
    return 0
