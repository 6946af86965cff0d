"""Reading a run folder: what was trained, how it went, what came out.

    run = find_run("latest")
    run.status, run.best, run.metrics[-1]["val/loss"]

A `Run` only reads. Each file is read when it is first asked for, so listing a hundred runs
costs a hundred small files, and whatever is missing or torn is missing here as well.
"""

from __future__ import annotations

import datetime
import functools
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from netwright.core import yaml_files
from netwright.core.errors import DataError, SettingError, nearest
from netwright.core.languages import Phrase
from netwright.core.linux import is_held
from netwright.records.arrays import Array, read_arrays

# No file of a run folder that is read here comes near this; what does is not one of ours.
_LARGEST_TEXT = 64 * 2**20

# A whole number in JSON may have any number of digits; no float holds one above this.
_LARGEST_NUMBER = 1e300


class Run:
    """One run folder. `path` is the folder; everything else is read from it on first use."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        """The name of the folder, also when it was reached through `runs/latest`."""
        return self.path.resolve().name

    @functools.cached_property
    def info(self) -> dict[str, Any]:
        """`run.json`: status, why, command, versions, device, seed, times, best metric, ...

        Raises `DataError` when the file is damaged.
        """
        return _mapping(self.path / "run.json", _json)

    @functools.cached_property
    def model(self) -> dict[str, Any]:
        """`model.json`: architecture, classes, input, layers, data; empty before it is written.

        Raises `DataError` when the file is damaged.
        """
        return _mapping(self.path / "model.json", _json)

    @functools.cached_property
    def repair(self) -> dict[str, Any]:
        """`repair.json`: what was tried to mend a script, and how it came out; empty when nothing
        was.

        Raises `DataError` when the file is damaged.
        """
        return _mapping(self.path / "repair.json", _json)

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """`config.yaml` as nested plain values; empty when there is none.

        Raises `DataError` when the file is damaged.
        """
        return _mapping(self.path / "config.yaml", _yaml)

    @functools.cached_property
    def config_text(self) -> str:
        """`config.yaml` as it is written, with the origin of each value as a comment."""
        return _text(self.path / "config.yaml")

    @functools.cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, oldest first; a value that was not finite is None.

        A line that is not whole is left out: the last one is torn when the process was killed
        while it wrote.
        """
        return lines_of(self.path / "metrics.jsonl")

    @property
    def status(self) -> str:
        """`running`, `done`, `interrupted`, `failed` or `diverged`; `unknown` if not said."""
        return str(self.info.get("status") or "unknown")

    @property
    def standing(self) -> str:
        """`status`, but `interrupted` where the process that was running it is gone."""
        if self.status == "running" and is_held(self.path / ".lock") is False:
            return "interrupted"
        return self.status

    @property
    def best(self) -> dict[str, Any] | None:
        """`{metric, value, epoch, step}` of the best evaluation, None before the first."""
        best = self.info.get("best")
        if not isinstance(best, dict) or not isinstance(best.get("metric"), str):
            return None
        value = best.get("value")
        sane = isinstance(value, int | float) and abs(value) < _LARGEST_NUMBER
        if not sane or isinstance(value, bool):
            return None
        return {
            **best,
            "epoch": int(_number(best.get("epoch"))),
            "step": int(_number(best.get("step"))),
        }

    def number(self, name: str) -> float:
        """A number of `run.json` that is not below 0; 0 for whatever else stands there."""
        return _number(self.info.get(name))

    @property
    def classes(self) -> list[str]:
        """The class names in the order of the network's outputs."""
        classes = self.model.get("classes")
        return [str(each) for each in classes] if isinstance(classes, list) else []

    @property
    def started(self) -> float:
        """When the run began, in seconds since 1970; the age of the folder when it does not say."""
        try:
            return _seconds(self.info["started"])
        except (DataError, KeyError, TypeError, ValueError, OverflowError):
            try:
                return self.path.stat().st_mtime
            except OSError:
                return 0.0

    def evidence(self, split: str) -> dict[str, Array] | None:
        """The arrays behind the report for `split` ("val" or "test"), None if not measured.

        Raises `DataError` when the file is damaged.
        """
        return read_arrays(self.path / "evidence" / f"{split}.npz")

    def first_batch(self) -> dict[str, Array] | None:
        """The first batch as the network saw it (`images`, `target`, and of mixed images
        `second`), None if not kept.

        Raises `DataError` when the file is damaged.
        """
        return read_arrays(self.path / "samples" / "first-batch.npz")

    def augmentations(self) -> dict[str, Array] | None:
        """Pictures of what each augmentation does, None if there is none.

        Raises `DataError` when the file is damaged.
        """
        return read_arrays(self.path / "samples" / "augmentations.npz")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def runs_root() -> Path:
    """The folder that runs are kept in: `NETWRIGHT_RUNS`, else `runs` where the command started."""
    return Path(os.environ.get("NETWRIGHT_RUNS") or "runs")


def list_runs(root: Path | None = None) -> list[Run]:
    """The runs directly under `root` (default `runs_root()`), newest first."""
    folder = runs_root() if root is None else Path(root)
    try:
        places = list(folder.iterdir())
    except OSError:
        return []
    # `latest` is a link to one of the others.
    runs = [Run(each) for each in places if not each.is_symlink() and is_run(each)]
    return sorted(runs, key=lambda run: (run.started, run.name), reverse=True)


def find_run(spec: str | os.PathLike[str], root: Path | None = None) -> Run:
    """The run that `spec` means: a path, `latest`, a name under `root` or the start of one.

    Raises `SettingError` when there is no such run or the start fits several; it names the
    nearest ones and what a run folder is.
    """
    folder = runs_root() if root is None else Path(root)
    named = os.fspath(spec)
    if named == "latest":
        return _latest(folder)
    for place in (Path(named), folder / named):
        if named and is_run(place):
            return Run(place)
    runs = {run.name: run for run in list_runs(folder)}
    fitting = [name for name in runs if named and name.startswith(named)]
    if len(fitting) == 1:
        return runs[fitting[0]]
    if fitting:
        raise SettingError(
            'Several runs begin with "{name}": {fitting}.',
            hint="Give more of the name.",
            name=named,
            fitting=", ".join(fitting[:5]) + (", ..." if len(fitting) > 5 else ""),
        )
    if named and _exists(Path(named)):
        raise SettingError(
            "{path} is not a run folder: it holds no run.json.",
            hint="Expected a folder made by `netwright train`, such as {root}/latest.",
            path=named,
            root=str(folder),
        )
    near = nearest(named, [*runs, "latest"] if runs else [])
    raise SettingError(
        'No run called "{name}", neither as a path nor under {root}.',
        hint="Nearest: {near}." if near else "List them: netwright ls runs",
        name=named,
        root=str(folder),
        near=", ".join(near),
    )


def is_run(path: Path) -> bool:
    """Whether `path` is a run folder: one that holds a file `run.json`."""
    try:
        return (path / "run.json").is_file()
    except (OSError, ValueError):  # a name too long, or with a zero byte in it
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _latest(folder: Path) -> Run:
    link = folder / "latest"
    if is_run(link):
        # The target, not the link: another run may take the link over while this one is read.
        return Run(folder / os.readlink(link) if link.is_symlink() else link)
    runs = list_runs(folder)
    if not runs:
        raise SettingError(
            "There is no run under {root} yet.",
            hint="Make one with `netwright train digits`, or give the path of a run folder.",
            root=str(folder),
        )
    return runs[0]


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The mappings in a file of JSON lines; a line that is not whole is left out, and there are
    none where there is no file. Raises `DataError` for a file that cannot be read."""
    lines = []
    for line in _text(path).splitlines():
        try:
            values = _json(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(values, dict):
            lines.append(values)
    return lines


def _mapping(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    """The mapping in a file; empty if there is no file."""
    text = _text(path)
    if not text.strip() and not path.exists():
        return {}
    try:
        value = parse(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, _reason(error)) from error
    if not isinstance(value, dict):
        raise _damaged(path, Phrase("it does not hold names with values"))
    return value


def _text(path: Path) -> str:
    """The text of a file, empty if there is none; bytes that are not UTF-8 become U+FFFD."""
    try:
        if path.stat().st_size > _LARGEST_TEXT:
            raise _damaged(path, Phrase("it is larger than any file of a run"))
        if not path.is_file():  # a pipe of that name would be waited for without end
            raise _damaged(path, Phrase("it is not a file"))
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DataError(
            "Cannot read {path}: {reason}.",
            path=str(path),
            reason=os.strerror(error.errno or 0).lower(),
        ) from error


def _damaged(path: Path, reason: str | Phrase) -> DataError:
    return DataError(
        "{path} is damaged and cannot be read: {reason}.",
        hint="The rest of the run folder does not depend on it.",
        path=str(path),
        reason=reason,
    )


def _reason(error: Exception) -> str:
    """The first line of a parser's message, which says what and where."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"{getattr(error, 'problem', '')}, line {mark.line + 1}"
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__


def _json(text: str) -> Any:
    """JSON in which NaN and Infinity, which other programs write, are null."""
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


def _yaml(text: str) -> Any:
    """YAML without tags and aliases: nine lines of them can stand for gigabytes."""
    try:
        return yaml_files.parse(text, name="config.yaml")
    except SettingError as error:
        raise ValueError(str(error)) from error


def _finite(digits: str) -> float | None:
    value = float(digits)  # "1e999" is well-formed JSON
    return value if math.isfinite(value) else None


def _number(value: Any) -> float:
    sane = isinstance(value, int | float) and 0 <= value < _LARGEST_NUMBER
    return value if sane and not isinstance(value, bool) else 0


def _seconds(moment: Any) -> float:
    """Seconds since 1970 of a number, or of a date and time in ISO 8601."""
    if isinstance(moment, int | float):
        return float(moment)
    return datetime.datetime.fromisoformat(moment).timestamp()
