"""When, by which versions and from which state of the code a run was made."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version


def now() -> str:
    """The time of day with its offset, as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def versions() -> dict[str, str]:
    """The versions a run depends on; a library that was not imported is left out."""
    return {
        "netwright": _installed("netwright") or "source",
        "python": platform.python_version(),
        **{
            name: str(sys.modules[name].__version__)
            for name in ("torch", "numpy")
            if name in sys.modules
        },
        "system": f"{platform.system()} {platform.machine()}",
    }


def git_state() -> str:
    """Commit of the folder the run was started in, with `+` for changes; "" outside git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
