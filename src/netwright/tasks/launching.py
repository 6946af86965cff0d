"""Running somebody's script in this process as Python itself would: it is `__main__`, has its own
arguments and paths, and ends as it would have ended.

Nothing heavy is imported here or before: what a script sets before it imports torch (threads,
visible devices) must still count. `when_imported` tells when a library has come.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.core.errors import SettingError
from netwright.tasks.shadowing import taken_out

OURS = str(Path(__file__).resolve().parent.parent) + os.sep


class Enough(SystemExit):
    """Raised inside a script when it has run for long enough."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is to be run: a file as it was typed, or with `module` what `python -m` runs."""

    name: str
    args: tuple[str, ...] = ()
    module: bool = False

    @property
    def label(self) -> str:
        return self.name if self.module else Path(self.name).name


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a script ended: its exit `status`, and `why`: done, exit, error, interrupted, enough.
    `forked` in a child process of the script that came to the end of it too."""

    status: int
    why: str
    error: BaseException | None = None
    forked: bool = False


@dataclass(frozen=True, kw_only=True)
class Script:
    """A script that was found and compiled, not yet run."""

    code: types.CodeType | None
    path: str
    folder: str
    argv: tuple[str, ...]
    spec: importlib.machinery.ModuleSpec | None = None
    fault: SyntaxError | None = None
    """What Python has against it; told when it is run, as Python does."""

    @property
    def package(self) -> str | None:
        return self.spec.parent if self.spec is not None else None


def find(target: Target) -> Script:
    """The script of `target`; `SettingError` where there is none."""
    return _module(target) if target.module else _file(target)


def launch(script: Script, *, leave: bool) -> Ending:
    """Run `script` to its end. With `leave` the process stays as the script has left it, for what
    it has put off to the end of the process; else modules, arguments and paths come back."""
    process = os.getpid()
    before = sys.modules.get("__main__"), list(sys.argv), list(sys.path)
    main = _main_module(script)
    sys.modules["__main__"] = main
    sys.argv[:] = script.argv
    hidden: dict[str, types.ModuleType] = {}
    if not getattr(sys.flags, "safe_path", False) and sys.path:
        hidden = taken_out(script.folder)
        sys.path[0] = script.folder
    try:
        ending = _run(script, vars(main))
        if os.getpid() != process:
            return Ending(status=ending.status, why=ending.why, forked=True)
        for thread in threading.enumerate():  # Python waits for them before it ends
            if not thread.daemon and thread is not threading.main_thread():
                thread.join()
        return ending
    finally:
        if not leave:
            if before[0] is not None:
                sys.modules["__main__"] = before[0]
            sys.argv[:], sys.path[:] = before[1], before[2]
            sys.modules.update(hidden)


def _run(script: Script, names: dict[str, Any]) -> Ending:
    try:
        if script.fault is not None:
            raise script.fault
        assert script.code is not None
        exec(script.code, names)
    except Enough:
        return Ending(status=0, why="enough")
    except SystemExit as left:
        return Ending(status=_status(left.code), why="exit")
    except KeyboardInterrupt as error:
        _tell(error)
        return Ending(status=130, why="interrupted", error=error)
    except BaseException as error:
        _tell(error)
        return Ending(status=1, why="error", error=error)
    return Ending(status=0, why="done")


def _file(target: Target) -> Script:
    path = Path(target.name)
    if not path.is_file():
        raise SettingError(
            "There is no script {path}.",
            hint="Usage: netwright doctor [OPTIONS] SCRIPT.py [args ...]",
            path=target.name,
        )
    place = os.path.abspath(target.name)
    with io.open_code(place) as file:
        source = file.read()
    code: types.CodeType | None = None
    fault: SyntaxError | None = None
    try:
        code = compile(source, place, "exec", dont_inherit=True)
    except SyntaxError as error:
        fault = error
    except ValueError as error:  # null bytes
        raise SettingError(
            "{path} is no Python source: {reason}.", path=target.name, reason=str(error)
        ) from error
    return Script(
        code=code,
        path=place,
        folder=os.path.dirname(os.path.realpath(target.name)),
        argv=(target.name, *target.args),
        fault=fault,
    )


def _module(target: Target) -> Script:
    folder = os.getcwd()
    before = sys.path[:1]
    if sys.path:
        sys.path[0] = folder  # the parents of a module are imported to find it
    try:
        spec = importlib.util.find_spec(target.name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{target.name}.__main__")
    except (ImportError, ValueError):
        spec = None
    finally:
        sys.path[:1] = before
    code = spec.loader.get_code(spec.name) if isinstance(spec and spec.loader, _Loader) else None  # type: ignore[union-attr]
    if spec is None or code is None or spec.origin is None:
        raise SettingError(
            "There is no module {name} that can be run, as by python -m {name}.",
            name=target.name,
        )
    return Script(
        code=code,
        path=spec.origin,
        folder=folder,
        argv=(spec.origin, *target.args),
        spec=spec,
    )


_Loader = importlib.abc.InspectLoader


def _main_module(script: Script) -> types.ModuleType:
    main = types.ModuleType("__main__")
    spec = script.spec
    loader: Any = spec.loader if spec is not None else None
    if loader is None:
        loader = importlib.machinery.SourceFileLoader("__main__", script.path)
    vars(main).update(
        __file__=script.path,
        __loader__=loader,
        __package__=script.package,
        __spec__=spec,
        __cached__=spec.cached if spec is not None else None,
        __annotations__={},
        __builtins__=builtins,
    )
    return main


def _status(code: object) -> int:
    """The exit status of `sys.exit(code)`; what is no number is a message."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _tell(error: BaseException) -> None:
    """The traceback of the script, as Python would show it: without frames of ours."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = own_frames(each.__traceback__)
        waiting += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]
    sys.excepthook(type(error), error, error.__traceback__)


def own_frames(trace: types.TracebackType | None) -> types.TracebackType | None:
    """The same traceback without the frames of this package."""
    kept: list[types.TracebackType] = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(OURS):
            kept.append(trace)
        trace = trace.tb_next
    found: types.TracebackType | None = None
    for each in reversed(kept):
        found = types.TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found


class _Arrival(importlib.abc.MetaPathFinder):
    """Finds nothing itself: it lets others find the library, and hears when it has been read."""

    def __init__(self, name: str, arrived: Callable[[], None]) -> None:
        self.name, self.arrived = name, arrived

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        self.end()
        spec = importlib.util.find_spec(fullname)
        loader: Any = spec.loader if spec is not None else None
        if loader is None:
            return spec
        read = loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            del loader.exec_module
            read(module)
            self.arrived()

        loader.exec_module = exec_module
        return spec

    def end(self) -> None:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(self)


@contextlib.contextmanager
def when_imported(name: str, arrived: Callable[[], None]) -> Iterator[None]:
    """Call `arrived` once the library `name` has been imported, at once if it is there."""
    if name in sys.modules:
        arrived()
        yield
        return
    finder = _Arrival(name, arrived)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.end()
