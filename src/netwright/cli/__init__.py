"""The `netwright` command: parse, call, print. Everything it does lives in a package below.

    main(["train", "digits", "epochs=3", "--json"]) -> 0

Exit status: 0 done; 1 a fault in Netwright; 2 wrong command or setting; 3 data; 4 a check
failed; 5 training diverged; 6 disk or memory exhausted; 7 run folder in use; 8 one of several
processes was lost; 130 and 143 interrupted. For 2 to 143 there is never a traceback of ours on
the screen. Under `--json` a failure too is one document:
`{"format": 1, "error": ..., "kind": ..., "exit": N}`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Sequence

from netwright.cli.failures import told
from netwright.cli.screen import Call
from netwright.cli.words import Words, cut, wants_json
from netwright.core.errors import NetwrightError, SettingError
from netwright.core.languages import speaking

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return its exit status."""
    ends_process = argv is None
    argv = sys.argv[1:] if argv is None else list(argv)
    errors = tuple(getattr(stream, "errors", None) for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name must not crash a terminal that lacks a letter
            stream.reconfigure(errors="backslashreplace")
    try:
        words = cut(argv)
    except NetwrightError as error:
        return told(error, Call(json=wants_json(argv)))
    call = Call(
        settings=words.settings,
        json=words.json,
        quiet=words.quiet,
        verbose=words.verbose,
        behind=words.behind,
        errors=errors,
        ends_process=ends_process,
        line=shlex.join(["netwright", *argv]),
    )
    with speaking(words.language):
        try:
            status = _obey(words, call)
            sys.stdout.flush()
        except BrokenPipeError:
            _close_quietly()
            return 0
        except (Exception, KeyboardInterrupt) as error:  # the door: nothing may pass it untold
            with contextlib.suppress(OSError):  # a reader, or the terminal itself, has gone
                return told(error, call)
            _close_quietly()
            return getattr(error, "exit_code", 1)
    return status


def _obey(words: Words, call: Call) -> int:
    if words.version:
        from importlib.metadata import version

        number = version("netwright")
        call.result({"netwright": number}, [f"netwright {number}"])
        return 0
    from netwright.cli.commands import COMMANDS

    if not words.rest:
        from netwright.cli.pages import overview

        lines = overview()
        call.result({"help": "\n".join(lines)}, lines)
        return 0
    verb, *tokens = words.rest
    if verb.startswith("-"):
        raise SettingError(
            'The command comes first, "{option}" stands before it.',
            hint="Usage: netwright VERB THING [MORE] [key=value ...] [--flag]",
            option=verb,
        )
    command = COMMANDS.get(verb)
    if words.help:
        from netwright.cli.pages import page

        lines = page(command, tokens)
        call.result({"help": "\n".join(lines)}, lines)
        return 0
    from netwright.cli.parsing import bind

    bound = bind(command, tokens, words.settings)
    return command.target(*bound.args, **bound.kwargs, call=call) or 0


def _close_quietly() -> None:
    """Whoever read our output has seen enough; the interpreter must not flush into it again."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
