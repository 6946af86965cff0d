"""`netwright env`: what this computer has, and whether Netwright works on it."""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from netwright.cli.columns import wrap
from netwright.cli.commands import COMMANDS
from netwright.cli.screen import Call
from netwright.core.errors import CheckFailedError
from netwright.core.languages import say

CORE = ("numpy", "pillow", "safetensors", "pyyaml", "pydantic", "cyclopts")


@COMMANDS.register(
    "env",
    group="Look up",
    usage="[--selftest]",
    about="--selftest trains a few steps on the built-in digits in a temporary folder.",
    examples=("netwright env", "netwright env --selftest"),
)
def env(
    *,
    selftest: Annotated[bool, Parameter(help="also train a few steps")] = False,
    call: Annotated[Call, Parameter(parse=False)],
) -> int:
    """Show versions, devices and extras of this computer."""
    device = _device()
    found: dict[str, Any] = {
        "netwright": version("netwright"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **device,
        "core": {name: _version(name) for name in CORE},
        "extras": dict(_extras()),
        "torchvision": _torchvision(device["torch"]),
    }
    trained = _selftest() if selftest else None
    if trained is not None:
        found["selftest"] = trained
    call.result(found, _lines(found))
    return 0


def _lines(found: dict[str, Any]) -> Iterator[str]:
    gpu = found["gpu"] or say("no GPU")
    count = found["threads"]
    threads = say("1 CPU thread") if count == 1 else say("{count} CPU threads", count=count)
    yield (
        f"netwright {found['netwright']}   Python {found['python']}   "
        f"torch {found['torch']}   {threads}, {gpu}"
    )
    versions = wrap("  ".join(f"{name}\u00a0{v}" for name, v in found["core"].items()), 56)
    for row, text in enumerate(versions):  # the no-break space keeps a name with its version
        yield _line("" if row else "OK", "" if row else "core", text.replace("\u00a0", " "))
    for name, missing in found["extras"].items():
        if missing:
            text = f'pip install "netwright[{name}]"'
            yield _line(say("absent"), f"[{name}]", f"{text}   ({', '.join(missing)})")
        else:
            yield _line("OK", f"[{name}]", "")
    broken = found["torchvision"]
    if broken:
        yield _line(
            "WARN",
            "torchvision",
            say("{has} is installed but was built for torch {wanted}.", **broken),
        )
        for line in say(
            "Netwright does not need it, but packages that do cannot be imported here.\n"
            "Fix: pip uninstall torchvision"
        ).split("\n"):
            yield " " * 24 + line
    if "selftest" in found:
        yield _line("OK", "selftest", say("{steps} steps in {seconds} s", **found["selftest"]))


def _line(word: str, name: str, text: str) -> str:
    return f"{word:<8}{name:<16}{text}".rstrip()


def _device() -> dict[str, Any]:
    """What torch sees. It is asked through the packages that may import it."""
    from netwright.tasks.computing import find_device
    from netwright.train.environment import environment_line

    device = find_device("auto")
    line = environment_line(device=device)
    return {
        "torch": line["torch"],
        "threads": line["threads"],
        "gpu": line["device"] if device.type == "cuda" else None,
        "environment": line,
    }


def _extras() -> Iterator[tuple[str, list[str]]]:
    """Each extra of the package and which of its packages are absent here."""
    names = distribution("netwright").metadata.get_all("Provides-Extra") or []
    for extra in names:
        wanted = [
            re.split(r"[^\w.-]", line, maxsplit=1)[0]
            for line in requires("netwright") or []
            if re.search(rf"extra\s*==\s*['\"]{re.escape(extra)}['\"]", line)
        ]
        yield extra, [name for name in wanted if not _version(name)]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _torchvision(torch: str) -> dict[str, str] | None:
    """A torchvision that was built for another torch breaks every package that imports it.
    Its own metadata says which one it wants, so nothing is imported to find out."""
    has = _version("torchvision")
    if not has:
        return None
    wanted = [m[1] for line in requires("torchvision") or [] if (m := _PINNED.match(line))]
    if not wanted or torch.partition("+")[0] == wanted[0]:
        return None
    return {"has": has, "wanted": wanted[0]}


_PINNED = re.compile(r"torch\s*\(?==\s*([\d.]+)")


def _selftest() -> dict[str, Any]:
    import time

    from netwright.tasks.settings import resolve
    from netwright.tasks.training import train

    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="netwright-") as place:
        resolved = resolve(data="digits", settings=["steps=20", "batch=32"])
        trained = train(resolved, run_dir=Path(place) / "run", resume=None)
        done = trained.to_json()
    if done["status"] != "done":
        raise CheckFailedError(
            "The self-test ended as {status}, not as done.", status=done["status"]
        )
    return {"steps": done["steps"], "seconds": round(time.perf_counter() - begun, 1)}
