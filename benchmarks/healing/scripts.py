"""Repairs of scripts on seeded faults of the loop and of the code, which `heal` cannot be given.

    python benchmarks/healing/scripts.py                 # all cells; started again it goes on
    python benchmarks/healing/scripts.py --quick         # a fixed sample, kept nowhere
    python benchmarks/healing/scripts.py --only softmax  # cells with this word in their name
    python benchmarks/healing/scripts.py --again         # measure what was measured before, too

Four scripts in plain PyTorch stand in `plain_scripts/`; `script_faults.py` writes some places of
them otherwise. Each cell runs the script with the fault, the script as it is (its twin), and
`netwright doctor --repair` as it is typed; the patch is applied by `git apply`, and the patched
script runs once more. All scores are what the scripts print of test data at their end, read by
nobody before. The score of a fault in the code of the last evaluation counts too: it is what the
script would tell its author. Each line tells which state of the code it was measured on; of
several lines of a cell the last counts.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import io
import json
import math
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "doctor"), str(HERE.parent)]

import torch  # noqa: E402
from children import answers  # noqa: E402
from run_source import source  # noqa: E402
from script_faults import FAULTS, scripts, text_of  # noqa: E402
from scripts_table import page  # noqa: E402

import data  # noqa: E402
from cells import Cells, machine  # noqa: E402

LIMIT = 600.0
"""Seconds that a cell may take."""

QUICK = 5

NAME = "scripts"


def cell(script: str, fault: str) -> dict[str, Any]:
    """One fault in a script: untreated, its twin, and repaired."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        folder = Path(scratch)
        _digits(folder)
        twin, _ = run(folder, text_of(script))
        broken = text_of(script, FAULTS[fault].edits) if fault else text_of(script)
        control, seconds = run(folder, broken) if fault else (twin, math.nan)
        (folder / "train.py").write_text(broken, encoding="utf-8")
        began = time.perf_counter()
        told = repair(folder)
        took = time.perf_counter() - began
        repaired = told.get("repair", {})
        healed = None
        if repaired.get("patch"):
            subprocess.run(["git", "apply", "runs/latest/train.doctor.diff"], check=True)
            healed, _ = run(folder, (folder / "train.py").read_text(encoding="utf-8"))
        table = repaired.get("table", [])
        rows = [row for each in table for row in each["rows"] if row["names"]]
        kept = [row["names"] for row in rows if row["kept"]]
        kept += [each["rows"][1]["names"] for each in table if each["carried"]]
        return {
            "twin": twin,
            "control": control,
            "healed": healed if repaired.get("patch") else control,
            "repaired": bool(repaired.get("repaired")),
            "cost": repaired.get("cost"),
            "times": round(took / seconds, 2) if fault else None,
            "found": [e["name"] for e in told["findings"] if e["severity"] != "note"],
            "tried": sorted({name for row in rows for name in row["names"]}),
            "kept": kept if repaired.get("repaired") else [],
            "left": [each["name"] for each in repaired.get("left", [])],
            "reason": repaired.get("reason"),
            "exit": told.get("exit"),
            "seconds": round(took, 1),
            "source": _source(),
        }


def run(folder: Path, text: str) -> tuple[float | None, float]:
    """What a script prints of test data at its end, None where it breaks; and its seconds."""
    path = folder / "plain.py"
    path.write_text(text, encoding="utf-8")
    torch.manual_seed(0)
    printed = io.StringIO()
    began = time.perf_counter()
    with contextlib.suppress(Exception), contextlib.redirect_stdout(printed):
        runpy.run_path(str(path), run_name="__main__")
    seconds = time.perf_counter() - began
    found = re.findall(r"^test (\S+)$", printed.getvalue(), re.MULTILINE)
    score = float(found[-1]) if found else math.nan
    return round(score, 4) if math.isfinite(score) else None, seconds


def repair(folder: Path) -> dict[str, Any]:
    """`netwright doctor --repair train.py`, and what it tells."""
    done = subprocess.run(
        [sys.executable, "-m", "netwright", "doctor", "--repair", "--json", "train.py"],
        cwd=folder, env={**os.environ, "NETWRIGHT_LANG": "en", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=LIMIT,
    )  # fmt: skip
    if not done.stdout.strip():
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _digits(folder: Path) -> None:
    images, labels = data._digits()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    pixels = (images[order].reshape(-1, 8, 8) * 255).round().to(torch.uint8)
    torch.save({"images": pixels, "labels": labels[order]}, folder / "digits.pt")


@functools.cache
def _source() -> str:
    """A digest of what finds, of what patches, and of what is put to it."""
    digest = hashlib.sha256(source().encode())
    tasks = HERE.parent.parent / "src" / "netwright" / "tasks"
    paths = [*tasks.glob("repair*.py"), *HERE.glob("plain_scripts/*.py"), HERE / "script_faults.py"]
    for name in ("repair", "patches", "source"):
        paths += (tasks / name).rglob("*.py")
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


Task = tuple[str, Callable[[], Mapping[str, Any]], dict[str, Any]]


def tasks() -> list[Task]:
    """Every fault, and the scripts as they are, in an order without meaning."""
    wanted: list[Task] = []
    for name, each in FAULTS.items():
        facts = {"what": "fault", "name": name, "setup": each.script, "advice": each.advice}
        title = f"{name} in {each.script}"
        wanted.append((title, functools.partial(cell, each.script, name), facts))
    for script in scripts():
        facts = {"what": "healthy", "name": "", "setup": script}
        wanted.append((f"healthy {script}", functools.partial(cell, script, ""), facts))
    return sorted(wanted, key=lambda each: hashlib.sha256(each[0].encode()).hexdigest())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a fixed sample, kept nowhere")
    parser.add_argument("--only", default="", help="only cells with this word in their name")
    parser.add_argument("--again", action="store_true", help="also cells measured before")
    parser.add_argument("--stale", action="store_true", help="also cells of other code")
    parser.add_argument("--jobs", type=int, default=1, help="cells at a time")
    parser.add_argument("--minutes", type=float, help="begin no cell after that")
    parser.add_argument("--out", type=Path, default=HERE, help="where lines and table go")
    given = parser.parse_args()
    torch.set_num_threads(1)
    setup = {**machine(), "threads": 1, "torch": version("torch"), "part": "scripts"}
    wanted = [each for each in tasks() if given.only in each[0]]
    if given.quick:
        wanted = [wanted[place * len(wanted) // QUICK] for place in range(min(QUICK, len(wanted)))]
    stop = time.monotonic() + 60 * given.minutes if given.minutes else math.inf
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else given.out
        cells = Cells(kept / f"{NAME}.jsonl", setup)
        besides = {title: facts for title, _, facts in wanted}

        def done(title: str) -> bool:
            if given.again or title not in cells:
                return False
            return not given.stale or cells.found[title].get("source") == _source()

        def left() -> Iterator[tuple[str, Callable[[], Mapping[str, Any]]]]:
            for title, work, _ in wanted:
                if not done(title) and time.monotonic() < stop:
                    yield title, work

        for title, answer in answers(left(), jobs=given.jobs, seconds=LIMIT):
            line = {**besides[title], **answer}
            cells.add(title, line)
            print(told(title, line), flush=True)
        text = page(cells.found, setup)
        (kept / f"{NAME}.md").write_text(text, encoding="utf-8")
        print(text)


def told(title: str, line: Mapping[str, Any]) -> str:
    """A line for the screen."""
    if "failed" in line:
        return f"{title}: FAILED {line['failed']}"
    kept = "; ".join(" + ".join(each) for each in line["kept"])
    return (
        f"{title}: untreated {line['control']}, twin {line['twin']}, patched {line['healed']} "
        f"({line['cost']} runs, {line['seconds']} s) {kept or '-'} "
        f"| found {', '.join(line['found'][:4]) or '-'} | {line['reason']}"
    )


if __name__ == "__main__":
    main()
