"""Steps per second of `netwright train` against a bare PyTorch loop and against Lightning.

    python benchmarks/train.py            # about half an hour on two quiet cores
    python benchmarks/train.py --quick    # a few minutes; prints, keeps nothing

All three train the same module (netwright's own lenet5 and resnet20) with the same optimizer on
the same data, once out of one tensor in memory, once through torch's DataLoader. In a round each
contender is a fresh process; the three train in turns, a few seconds each, while the others stand
still, so that whatever disturbs the machine falls on all alike. A ratio compares two contenders
of one round. See `loops.py` for the loops, `feeds.py` for the data. Lightning lives in an
environment of its own, made on first use in `$NETWRIGHT_HOME` or `~/.cache/netwright`, under
`benchmarks/`.

One line a round goes into `train.jsonl`; started again, the benchmark goes on after the last.
The table is written to `train.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import feeds
from cells import Cells, machine
from loops import CONTENDERS, FEEDS

HERE = Path(__file__).resolve().parent
LIGHTNING = "2.6.6"
NAMES = {"bare": "bare loop", "lightning": "Lightning", "netwright": "Netwright"}
FED = {"memory": "one tensor in memory", "loader": "torch's DataLoader"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="the folder with mnist/ and cifar10.zip")
    parser.add_argument("--quick", action="store_true", help="few steps, two rounds, kept nowhere")
    parser.add_argument("--rounds", type=int, help="rounds of each row (5; 2 with --quick)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    parser.add_argument("--only", default="", help="only rows with this word in their name")
    given = parser.parse_args()
    if given.data is not None:
        os.environ["NETWRIGHT_SHARED_DATA"] = str(given.data.resolve())
    if not (feeds.data_folder() / "cifar10.zip").is_file():
        raise SystemExit(f"No cifar10.zip in {feeds.data_folder()}; say where with --data.")
    rounds = given.rounds or (2 if given.quick else 5)
    pythons = interpreters()
    setup = {
        **machine(),
        **versions(pythons),
        "threads": given.threads,
        "workers": given.workers,
        "steps": ", ".join(
            f"{each.name}: {burst * bursts} after {first}"
            for each in feeds.SETUPS.values()
            for first, burst, bursts in [extent(each, given.quick)]
        ),
    }
    print(json.dumps(setup), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else HERE
        cells = Cells(kept / "train.jsonl", setup, fresh=given.fresh)
        for number in range(rounds):
            for each in feeds.SETUPS.values():
                for feed in FEEDS:
                    cell = f"{each.name}, {feed}, round {number}"
                    if cell in cells or given.only.lower() not in cell.lower():
                        continue
                    cells.add(cell, one_round(each, feed, number, given, pythons))
                    print(summary(cell, cells.found[cell]), flush=True)
        table = table_of(cells.found, setup)
        (kept / "train.md").write_text(table)
        print(table)


def one_round(
    setup: feeds.Setup,
    feed: str,
    number: int,
    given: argparse.Namespace,
    pythons: Mapping[str, Path],
) -> dict[str, Any]:
    """All contenders once, in turns; who begins changes from burst to burst."""
    first, burst, bursts = extent(setup, given.quick)
    with contextlib.ExitStack() as stack:
        runners = []
        for name in CONTENDERS:
            words = [
                str(pythons[name]), str(HERE / "loops.py"), name, setup.name, feed,
                f"--first={first}", f"--burst={burst}", f"--bursts={bursts}",
                f"--seed={number}", f"--threads={given.threads}", f"--workers={given.workers}",
            ]  # fmt: skip
            runners.append(stack.enter_context(Runner(words, given.threads)))
        for each in runners:
            each.turn()  # until it is warm; the others have ended or not begun
        for turn in range(bursts):
            at = (turn + number) % len(runners)
            for each in runners[at:] + runners[:at]:
                each.bursts.append(each.turn())
        results = {
            name: each.finish(burst * bursts)
            for name, each in zip(CONTENDERS, runners, strict=True)
        }
    return {"seed": number, **results}


class Runner(contextlib.AbstractContextManager["Runner"]):
    """One contender in a process of its own, which runs only while it has its turn."""

    def __init__(self, words: Sequence[str], threads: int) -> None:
        self.words = words
        self.bursts: list[dict[str, float]] = []
        self.seconds = 0.0
        self._folder = tempfile.TemporaryDirectory()
        self._threads = threads
        self._process: subprocess.Popen[str] | None = None

    def turn(self) -> dict[str, Any]:
        """Let it train until it stops again; what it says it took."""
        started = time.perf_counter()
        if self._process is None:
            self._start()
        else:
            self._go()
        line = self._ear.readline()
        self.seconds += time.perf_counter() - started
        if not line:
            raise SystemExit(f"{' '.join(self.words)} failed:\n{self._said()}")
        return json.loads(line)

    def finish(self, steps: int) -> dict[str, Any]:
        """Let it come to its end; its rates and what it used."""
        last = self.turn()
        started = time.perf_counter()
        assert self._process is not None
        if self._process.wait():
            raise SystemExit(f"{' '.join(self.words)} failed:\n{self._said()}")
        self.seconds += time.perf_counter() - started
        seconds = [each["seconds"] for each in self.bursts]
        return {
            "steps_per_second": steps / sum(seconds),
            "processor_ms_per_step": 1e3 * sum(each["processor"] for each in self.bursts) / steps,
            "process_seconds": self.seconds,
            "burst_seconds": [round(each, 4) for each in seconds],
            **last,
        }

    def _start(self) -> None:
        ear, mouth = os.pipe()
        folder = Path(self._folder.name)
        environment = os.environ | {
            "OMP_NUM_THREADS": str(self._threads),
            "MKL_NUM_THREADS": str(self._threads),
            "PYTHONPATH": str(HERE.parent / "src"),
            "NETWRIGHT_RUNS": str(folder / "runs"),
        }
        with (folder / "said.txt").open("w") as said:
            self._process = subprocess.Popen(
                [*self.words, f"--say={mouth}"],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                pass_fds=(mouth,),
                env=environment,
                cwd=folder,
                text=True,
            )
        os.close(mouth)
        self._ear = os.fdopen(ear)

    def _go(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has failed: the empty answer tells
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def _said(self) -> str:
        return (Path(self._folder.name) / "said.txt").read_text()

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._ear.close()
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._folder.cleanup()


def extent(setup: feeds.Setup, quick: bool) -> tuple[int, int, int]:
    """Steps to warm up, steps of a burst, bursts."""
    if quick:
        return setup.first // 10, setup.burst // 5, 3
    return setup.first, setup.burst, setup.bursts


def interpreters() -> dict[str, Path]:
    """The Python of each contender; Lightning's environment is made when it is not there."""
    ours = Path(sys.executable)
    cache = Path(os.environ.get("NETWRIGHT_HOME", Path.home() / ".cache" / "netwright"))
    folder = cache / "benchmarks" / f"lightning-{LIGHTNING}"
    theirs = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        print(f"Making an environment for Lightning in {folder} ...", flush=True)
        subprocess.run([ours, "-m", "venv", "--clear", folder], check=True)
        # What Netwright's models need, in the versions that stand here; lightning brings the rest.
        same = [f"{name}=={_version(name)}" for name in ("torch", "numpy", "pydantic", "pillow")]
        wanted = [f"lightning=={LIGHTNING}", "pyyaml", "safetensors", *same]
        subprocess.run([theirs, "-m", "pip", "install", "--quiet", *wanted], check=True)
        finished.touch()
    return {"bare": ours, "lightning": theirs, "netwright": ours}


def versions(pythons: Mapping[str, Path]) -> dict[str, str]:
    """torch, Lightning and Netwright; refuses to compare two versions of torch."""
    asked = "import torch, lightning; print(torch.__version__, lightning.__version__)"
    theirs = subprocess.run(
        [pythons["lightning"], "-c", asked], check=True, capture_output=True, text=True
    ).stdout.split()
    import torch

    if theirs[0] != torch.__version__:
        raise SystemExit(f"torch {torch.__version__} here, {theirs[0]} beside Lightning.")
    return {"torch": theirs[0], "lightning": theirs[1], "netwright": _version("netwright")}


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package).partition("+")[0]


def summary(cell: str, line: Mapping[str, Any]) -> str:
    rates = "  ".join(
        f"{name} {line[name]['steps_per_second']:.1f}/s ({line[name]['process_seconds']:.0f} s)"
        for name in CONTENDERS
    )
    return f"{cell}: {rates}"


def table_of(found: Mapping[str, Mapping[str, Any]], setup: Mapping[str, Any]) -> str:
    """Medians over the rounds, with the least and the greatest ratio."""
    lines = [
        "# Steps per second of `netwright train`",
        "",
        f"{setup['processor']}, {setup['cores']} cores, {setup['threads']} threads, "
        f"{setup['workers']} workers of the DataLoader; Python {setup['python']}, "
        f"torch {setup['torch']}, Lightning {setup['lightning']}, "
        f"Netwright {setup['netwright']}. Written by `benchmarks/train.py`.",
        "",
        "| network, data | fed by | bare loop, steps/s | Netwright : bare loop "
        "| Netwright : Lightning | Lightning : bare loop | rounds |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    processes = [
        "| network, data | fed by | bare loop | Lightning | Netwright "
        "| peak memory of the three, MB | validation accuracy of the three, % |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for each in feeds.SETUPS.values():
        for feed in FEEDS:
            rows = [
                line for cell, line in found.items() if cell.startswith(f"{each.name}, {feed},")
            ]
            if not rows:
                continue
            bare = statistics.median(row["bare"]["steps_per_second"] for row in rows)
            ratios = " | ".join(
                spread([_rate(row, one) / _rate(row, other) for row in rows])
                for one, other in (
                    ("netwright", "bare"),
                    ("netwright", "lightning"),
                    ("lightning", "bare"),
                )
            )
            lines.append(
                f"| {each.name}, batch {each.batch} | {FED[feed]} | {bare:.1f} "
                f"| {ratios} | {len(rows)} |"
            )
            middle = {
                name: {
                    key: statistics.median(row[name][key] for row in rows)
                    for key in ("process_seconds", "peak_mb", "val_acc1")
                }
                for name in CONTENDERS
            }
            order = ("bare", "lightning", "netwright")
            seconds = " | ".join(f"{middle[name]['process_seconds']:.1f}" for name in order)
            memory = ", ".join(f"{middle[name]['peak_mb']:.0f}" for name in order)
            accuracy = ", ".join(f"{100 * middle[name]['val_acc1']:.1f}" for name in order)
            processes.append(f"| {each.name} | {FED[feed]} | {seconds} | {memory} | {accuracy} |")
    return "\n".join([*lines, "", _NOTES.format(**setup), "", *processes, ""])


def _rate(row: Mapping[str, Any], name: str) -> float:
    return float(row[name]["steps_per_second"])


def spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


_NOTES = """\
A ratio is a median over rounds, with the least and the greatest; above 1 the first is faster. In
a round each contender is a fresh process, and the three train in turns, some seconds each, while
the others stand still; the seed is the number of the round. The clock sees loading, logging and the
evaluation of 1,000 images at the end of each epoch, not imports (steps timed in a round: {steps}).

All three train Netwright's own module with SGD (momentum 0.9, `fused=True`), float32, on the same
normalised tensors. The bare loop logs the loss every 50 steps to a CSV file; Lightning does so with
its CSVLogger, without progress bar, model summary and checkpoints. Netwright is the command itself,
with its metrics, gradient norms, checks for finite values and checkpoints.

Seconds of the whole process, from start to end; Netwright's includes its evidence and report:"""


if __name__ == "__main__":
    main()
