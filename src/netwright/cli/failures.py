"""Telling a failure: words on standard error, a document under `--json`, and the exit status."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

from netwright.cli.columns import screen_width, wrap
from netwright.cli.screen import Call, print_document
from netwright.core.errors import ExhaustedError, NetwrightError
from netwright.core.escaping import terminal
from netwright.core.languages import say
from netwright.core.memory_words import says_memory_ran_out


def told(error: BaseException, call: Call) -> int:
    """Tell the user of `error` and return the exit status it ends the command with.

    Only a fault of ours (status 1) leaves a traceback: in the `log.txt` of the run, or in a
    temporary file that the message names.
    """
    if getattr(error, "of_other_rank", False):  # the first of several processes tells
        return getattr(error, "exit_code", 1)
    if isinstance(error, KeyboardInterrupt) or (
        not isinstance(error, NetwrightError) and _hides_interrupt(error)
    ):
        if "NETWRIGHT_LAUNCHER" in os.environ:  # it tells for all that it has started
            return 130
        text, status = say("Interrupted."), 130
    elif isinstance(error, NetwrightError):
        text, status = error.localized(escape=terminal), error.exit_code
    elif exhausted := _memory(error):
        text, status = exhausted.localized(escape=terminal), exhausted.exit_code
    else:
        text, status = _confession(error, call), 1
    if status == 130 and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        sys.stderr.write("\r\x1b[K")  # the ^C that the terminal itself has written
    for line in text.split("\n"):
        shown = wrap(line, screen_width()) if sys.stderr.isatty() else [line]
        print("\n".join(shown), file=sys.stderr)
    if call.json and not _is_further_rank():
        kind = type(error).__name__
        print_document({**call.found, "error": text, "kind": kind, "exit": status})
    return status


def _is_further_rank() -> bool:
    """Whether this is one of several processes, and not the first: that one's is the document."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0"


def _hides_interrupt(error: BaseException) -> bool:
    """Whether Ctrl-C came while another library ran that makes an error of its own of it, as
    pydantic does when a class is made, or a half-imported package does later on."""
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None or isinstance(seen, KeyboardInterrupt):
            break
        seen = seen.__cause__ or seen.__context__
    said = any(line.strip().startswith("KeyboardInterrupt") for line in str(error).splitlines())
    return said or isinstance(seen, KeyboardInterrupt)


def _memory(error: BaseException) -> NetwrightError | None:
    """Out of memory, as Python, the CPU allocator or an accelerator say it. torch is not
    imported to ask: who can raise its errors has imported it."""
    reason = str(error).partition("\n")[0]
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and says_memory_ran_out(str(error)))
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    ):
        return ExhaustedError(
            "Memory ran out: {reason}",
            hint="Take a smaller batch=, a smaller data.size= or a smaller model; "
            "the last checkpoint is kept.",
            reason=reason or "MemoryError",
        )
    return None


def _confession(error: BaseException, call: Call) -> str:
    import traceback  # only a fault of ours pays for it

    trace = "".join(traceback.format_exception(error))
    place = _written(trace, call.run_folder)
    return say(
        "A fault in Netwright itself: {error}. The traceback is in {place}",
        error=terminal(f"{type(error).__name__}: {error}".partition("\n")[0]),
        place=terminal(place),
    )


def _written(trace: str, run_folder: Path | None) -> str:
    if run_folder is not None:
        try:
            with open(run_folder / "log.txt", "a", encoding="utf-8") as log:
                log.write(trace)
            return log.name
        except OSError:
            pass  # the run folder went away or is full: the temporary folder may not be
    import tempfile

    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="netwright-", suffix=".txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(trace)
        return file.name
    except OSError:
        return "-"
