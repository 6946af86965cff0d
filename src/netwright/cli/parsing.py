"""From words to a bound call: cyclopts reads the tokens, the wording of every fault is ours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args, get_origin

import cyclopts
from cyclopts import App, Parameter
from cyclopts import exceptions as faults

from netwright.cli.words import EVERYWHERE
from netwright.core.errors import SettingError, nearest
from netwright.core.registry import Entry

Command = Entry[Callable[..., Any]]


def bind(
    command: Command, tokens: Sequence[str], settings: Sequence[str] = ()
) -> inspect.BoundArguments:
    """The arguments of `command` in `tokens`; `SettingError` if they do not fit, or if the
    command takes no settings and there are some."""
    if settings and not command.facts.get("settings"):
        raise SettingError(
            "netwright {command} takes no settings: {settings}",
            hint="A file that is called so is written ./{first}",
            command=command.name,
            settings=" ".join(settings),
            first=settings[0],
        )
    if command.facts.get("dash") and "-" in tokens and "--" not in tokens:
        # A lone - is standard output; the library takes it for an option without a name.
        tokens = [*(each for each in tokens if each != "-"), "--", "-"]
    try:
        _, bound, _ = grammar(command).parse_args(
            _with_negatives(tokens), print_error=False, exit_on_error=False, verbose=False
        )
    except faults.CycloptsError as fault:
        raise _worded(fault, command, tokens) from None
    return bound


def _with_negatives(tokens: Sequence[str]) -> list[str]:
    """`--input -1x28x28` as `--input=-1x28x28`: what begins with a minus and a digit is a value,
    which the command itself can refuse, and no option.

    >>> _with_negatives(["lenet5", "--input", "-1x28x28", "--training"])
    ['lenet5', '--input=-1x28x28', '--training']
    """
    found: list[str] = []
    for token in tokens:
        option = found[-1] if found else ""
        if re.match(r"-\d", token) and option[:2] == "--" and option[2:] and "=" not in option:
            found[-1] = f"{option}={token}"
        else:
            found.append(token)
    return found


def grammar(command: Command) -> App:
    """The cyclopts app of one command."""
    app = App(
        name=command.name,
        help_flags=[],
        version_flags=[],
        default_parameter=Parameter(negative=()),
        result_action="return_value",
    )
    app.default(command.target)
    return app


def arguments(command: Command) -> list[cyclopts.Argument]:
    """What `command` takes, things first, as the help page and the completion show it."""
    return [each for each in grammar(command).assemble_argument_collection() if each.parse]


def usage(command: Command) -> str:
    """`netwright train [DATA] [MODEL] [key=value ...]`."""
    return " ".join(["netwright", command.name, command.facts["usage"]]).strip()


def _worded(fault: faults.CycloptsError, command: Command, tokens: Sequence[str]) -> SettingError:
    known = [name for each in arguments(command) for name in each.names if name.startswith("-")]
    if isinstance(fault, faults.UnknownOptionError):
        return _unknown_option(fault.token.keyword or fault.token.value, command, known)
    if isinstance(fault, faults.MissingArgumentError) and fault.argument is not None:
        name = fault.argument.names[0]
        if name.startswith("-"):
            return SettingError(
                "{name} needs a value.", hint=_USAGE, name=name, usage=usage(command)
            )
        return SettingError(
            "netwright {command} needs {name}.",
            hint=_USAGE,
            command=command.name,
            name=name,
            usage=usage(command),
        )
    if isinstance(fault, faults.CoercionError) and fault.token is not None:
        return _bad_value(fault)
    if isinstance(fault, faults.RepeatArgumentError):
        name = fault.token.keyword or fault.token.value
        return SettingError("{name} is given twice.", hint="Give it once.", name=name)
    if isinstance(fault, faults.UnusedCliTokensError):
        return SettingError(
            'netwright {command} does not take "{token}".',
            hint=_USAGE,
            command=command.name,
            token=(fault.unused_tokens or tokens)[0],
            usage=usage(command),
        )
    return SettingError("{reason}", hint=_USAGE, reason=str(fault), usage=usage(command))


_USAGE = "Usage: {usage}"


def _unknown_option(token: str, command: Command, known: Sequence[str]) -> SettingError:
    option, _, value = token.partition("=")
    near = nearest(option, [*known, *EVERYWHERE])
    if near:
        hint = "Nearest: {near}.\nList them: netwright {command} --help"
    elif command.facts.get("settings"):
        hint = (
            "Settings are written without dashes: {setting}\n"
            "List the options: netwright {command} --help"
        )
    else:
        hint = "List them: netwright {command} --help"
    return SettingError(
        'netwright {command} has no option "{option}".',
        hint=hint,
        command=command.name,
        option=option,
        near=", ".join(near),
        setting=f"{option.lstrip('-')}={value or '...'}",
    )


def _bad_value(fault: faults.CoercionError) -> SettingError:
    assert fault.token is not None
    name = fault.token.keyword or (fault.argument.names[0] if fault.argument else "")
    choices = _choices(fault.target_type)
    near = nearest(fault.token.value, choices)
    if choices:
        return SettingError(
            '"{value}" is not allowed for {name}: expected one of {choices}.',
            hint="Did you mean {near}?" if near else "",
            value=fault.token.value,
            name=name,
            choices=", ".join(choices),
            near=" or ".join(near),
        )
    if fault.target_type is bool:
        return SettingError("{name} takes no value.", hint="Write {name} alone.", name=name)
    if fault.target_type is float:
        return SettingError(
            '"{value}" is not allowed for {name}: expected a number.',
            value=fault.token.value,
            name=name,
        )
    return SettingError(
        '"{value}" is not allowed for {name}: expected a whole number.',
        value=fault.token.value,
        name=name,
    )


def _choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    return []
