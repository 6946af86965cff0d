"""`netwright calc NAME [key=value ...]`: what a layer makes, costs and sees, with the working."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.errors import SettingError


def _page(tokens: Sequence[str]) -> list[str] | None:
    """The page of one calculation, for `netwright calc NAME --help`."""
    from netwright.cli.calculation_pages import calculation_page

    return calculation_page(tokens[0])


@COMMANDS.register(
    "calc",
    group="Look up",
    usage="[NAME] [key=value ...]",
    settings="what is given, such as input=224 kernel=7 stride=2; netwright calc NAME --help lists "
    "them",
    about="NAME is one of activation, adaptive-pool, attention, bottleneck, checkerboard, conv, "
    "embedding, flops, gridding, gru, linear, lstm, memory, norm, params, pool, receptive-field, "
    "resize, rnn, separable, signal, transposed, unfold, unpool. The answer comes with its formula "
    "and the numbers put in. want= asks backwards: which settings give this size. params and flops "
    "show that part of another one. --quiet shows the answer alone.",
    part_page=_page,
    examples=(
        "netwright calc conv input=3x224x224 kernel=7 stride=2 padding=3 out=64",
        "netwright calc conv input=32 kernel=3 want=32",
        'netwright calc receptive-field "conv 3 s2 p1, conv 3 d2, pool 2" input=224',
        "netwright calc params lstm in=128 hidden=256",
        "netwright calc conv --help",
    ),
)
def calc(
    name: Annotated[str | None, Parameter(help="what to calculate: see above")] = None,
    /,
    *things: Annotated[
        str, Parameter(help="what it is about, where that is no setting: layers, rates, a kind")
    ],
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Calculate sizes, parameters, multiply-adds and receptive fields by formula."""
    if name is None:
        from netwright.cli.calculation_pages import list_document, list_lines

        if call.settings:
            raise SettingError(
                "netwright calc needs the name of a calculation before {setting}.",
                hint="List them: netwright calc",
                setting=call.settings[0],
            )
        call.result(list_document(), list_lines())
        return 0
    from netwright.arithmetic.calculations import calculate
    from netwright.cli.worked_lines import worked_document, worked_lines

    worked = calculate(name, things, _settings(call.settings))
    call.result(worked_document(name, worked), worked_lines(worked, quiet=call.quiet))
    return 0


def _settings(tokens: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for token in tokens:
        name, _, value = token.partition("=")
        if name in found:
            raise SettingError("{name} is given twice.", hint="Give it once.", name=name)
        found[name] = value
    return found
