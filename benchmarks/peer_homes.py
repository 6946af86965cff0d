"""The environments that other people's frameworks live in, made on first use.

They stand in `$NETWRIGHT_HOME` or `~/.cache/netwright`, under `benchmarks/`, one folder for each,
so that nothing of theirs gets into the environment of the project.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

PINS = {
    "lightning": {"lightning": "2.6.6"},
    "keras": {"keras": "3.15.1", "tensorflow-cpu": "2.21.0"},
    "jax": {"jax": "0.10.2", "optax": "0.2.8", "keras": "3.15.1"},
}


def interpreters(homes: Iterable[str]) -> dict[str, Path]:
    """The Python of each home; "" is this one."""
    return {home: _made(home) if home else Path(sys.executable) for home in sorted(set(homes))}


def versions(homes: Iterable[str]) -> dict[str, str]:
    """What is pinned in these homes, and what the contenders here use."""
    found = {name: here(name) for name in ("torch", "netwright")}
    for home in sorted(set(homes)):
        found |= PINS.get(home, {})
    return found


def here(package: str) -> str:
    return version(package).partition("+")[0]


def _made(home: str) -> Path:
    cache = Path(os.environ.get("NETWRIGHT_HOME", Path.home() / ".cache" / "netwright"))
    first = next(iter(PINS[home].items()))
    folder = cache / "benchmarks" / "-".join(first)
    python, finished = folder / "bin" / "python", folder / "finished.txt"
    wanted = [f"{name}=={pinned}" for name, pinned in PINS[home].items()]
    if home == "lightning":
        # What Netwright's models need, in the versions that stand here: torch is the same.
        same = [f"{name}=={here(name)}" for name in ("torch", "numpy", "pydantic", "pillow")]
        wanted += ["pyyaml", "safetensors", *same]
    if not finished.exists() or finished.read_text().split() != wanted:
        print(f"Making an environment for {home} in {folder} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
        finished.write_text("\n".join(wanted) + "\n")
    return python
