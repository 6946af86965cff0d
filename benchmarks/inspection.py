"""Right or wrong, and how fast: `netwright inspect`'s pass beside the tools people use.

    python benchmarks/inspection.py --peers /path/to/peers/bin/python
    python benchmarks/inspection.py --peers ... --quick      # six networks, kept nowhere
    python benchmarks/inspection.py --peers ... --forget netwright   # measure Netwright again

The tools compared live in an environment of their own, made once, without what they ask for beside
torch (transformers, accelerate):

    python3.11 -m venv peers
    peers/bin/pip install torch==2.13.0 iopath numpy pillow pyyaml tabulate termcolor tqdm yacs
    peers/bin/pip install --no-deps torchinfo fvcore ptflops thop calflops

with the torch that Netwright has here. `networks/` holds the networks and their multiply-adds by
hand, `inspectors.py` the tools and the processes they run in, `footprints.py` what is looked at
before and after. One line for each finished cell goes into `inspection.jsonl`, and the table made
of them into `inspection.md`. Times mean something on a quiet machine only; all is on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from cells import Cells, machine
from inspection_table import page
from inspectors import GRADS
from networks import NETWORKS
from netwright.models import MODELS

HERE = Path(__file__).resolve().parent
PEERS = ("torchinfo", "fvcore", "ptflops", "ptflops (aten)", "thop", "calflops")
CONTENDERS = ("netwright", "FlopCounterMode", *PEERS)
MODES = [
    *itertools.product(("real", "meta"), GRADS, (False, True)),
    *itertools.product(("fake",), ("grad",), (False, True)),
]
"""Tensors, gradients, training."""
QUICK_MODES = [("real", "grad", True), ("meta", "no_grad", False), ("fake", "grad", False)]
TIMED = (
    "LeNet-5",
    "MobileNetV2",
    "ResNet-18",
    "ResNet-152",
    "U-Net",
    "ViT (nn.TransformerEncoder)",
)
QUICK = (
    "LeNet-5",
    "functions only",
    "GRU",
    "dict input",
    "branches on values",
    "a forward that raises",
)
ONCE = ("LeNet-5", "ResNet-152")
SIDES = (224, 4096)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, required=True, help="the Python that has the peers")
    parser.add_argument("--quick", action="store_true", help="few networks, kept nowhere")
    parser.add_argument("--rounds", type=int, help="calls timed of each tool (9; 3 with --quick)")
    parser.add_argument("--only", default="", help="only cells with this word in their name")
    parser.add_argument("--forget", metavar="WORD", help="measure cells with this word again")
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    setup = {**machine(), "threads": 1, **versions(given.peers)}
    print(json.dumps(setup), flush=True)
    check_published()
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else HERE
        lines = kept / "inspection.jsonl"
        if given.forget:
            forget(lines, given.forget)
        bench = Bench(Cells(lines, setup, fresh=given.fresh), given)
        bench.answers()
        bench.times()
        bench.processes()
        bench.memory()
        text = page(bench.cells.found, setup)
        (kept / "inspection.md").write_text(text, encoding="utf-8")
        print(text)


class Bench:
    """The four questions; a cell that has its line is not asked again."""

    def __init__(self, cells: Cells, given: argparse.Namespace) -> None:
        self.cells = cells
        self.quick = given.quick
        self.only = given.only.lower()
        self.peers = given.peers
        self.rounds = given.rounds or (3 if given.quick else 9)

    def answers(self) -> None:
        """What each tool says about each network in each mode, and what it leaves behind."""
        for tool in CONTENDERS:
            left = [
                (f"answers, {tool}, {name}", name)
                for name in (QUICK if self.quick else NETWORKS)
                if self._open(f"answers, {tool}, {name}")
            ]
            if not left:
                continue
            with Worker(self._words("cells", tool)) as worker:
                worker.hear()
                for cell, name in left:
                    self._keep(
                        cell,
                        {"outcomes": outcomes(worker, name, QUICK_MODES if self.quick else MODES)},
                    )

    def times(self) -> None:
        """Seconds of a call, the tools in turns, on networks that are new each time."""
        for name in QUICK[:1] if self.quick else TIMED:
            cell = f"times, {name}"
            if not self._open(cell):
                continue
            calls = [(tool, kind) for tool in (*CONTENDERS, "forward") for kind in ("meta", "real")]
            taken: dict[str, dict[str, list[float]]] = {"processor": {}, "clock": {}}
            with contextlib.ExitStack() as stack:
                workers = {
                    tool: stack.enter_context(Worker(self._words("times", tool, name)))
                    for tool in (*CONTENDERS, "forward")
                }
                for worker in workers.values():
                    worker.hear()
                for round_number in range(self.rounds + 1):  # the first warms up
                    at = round_number % len(calls)
                    for tool, kind in calls[at:] + calls[:at]:
                        told = workers[tool].ask(kind)
                        for by, rows in taken.items():
                            if round_number and by in told:
                                rows.setdefault(f"{tool}, {kind}", []).append(round(told[by], 6))
            self._keep(cell, {"load": round(os.getloadavg()[0], 1), **taken})

    def processes(self) -> None:
        """Seconds of a whole process: import, build, one call, end; on meta tensors if it can."""
        for name in QUICK[:1] if self.quick else ONCE:
            cell = f"processes, {name}"
            if not self._open(cell):
                continue
            seconds: dict[str, list[float]] = {}
            refused = set()
            tools = (*CONTENDERS, "forward")
            for _, tool in itertools.product(range(max(self.rounds // 2, 1)), tools):
                for kind in ("meta", "real"):
                    if (tool, kind) in refused:
                        continue
                    started = time.perf_counter()
                    if run(self._words("once", tool, name, kind)) is not None:
                        took = time.perf_counter() - started
                        seconds.setdefault(f"{tool}, {kind}", []).append(round(took, 3))
                        break
                    refused.add((tool, kind))
            self._keep(cell, {"load": round(os.getloadavg()[0], 1), "seconds": seconds})

    def memory(self) -> None:
        """Peak of the resident size for a small and a large image, ResNet-18."""
        for tool, kind in [("netwright", "real"), *((tool, "meta") for tool in CONTENDERS)]:
            cell = f"memory, {tool}, {kind}"
            if not self._open(cell):
                continue
            sides = SIDES[:1] if self.quick else SIDES
            found = {
                str(side): run(self._words("memory", tool, "ResNet-18", kind, str(side)))
                for side in sides
            }
            self._keep(
                cell, {side: json.loads(said) if said else None for side, said in found.items()}
            )

    def _open(self, cell: str) -> bool:
        return cell not in self.cells and self.only in cell.lower()

    def _keep(self, cell: str, values: Mapping[str, Any]) -> None:
        self.cells.add(cell, values)
        print(cell, flush=True)

    def _words(self, what: str, tool: str, *rest: str) -> list[str]:
        python = self.peers if tool in PEERS else Path(sys.executable)
        return [str(python), str(HERE / "inspectors.py"), what, tool, *rest]


def outcomes(
    worker: Worker, name: str, modes: Sequence[tuple[str, str, bool]]
) -> list[dict[str, Any]]:
    """What a tool says, with the modes in which it says so."""
    found: dict[str, dict[str, Any]] = {}
    for kind, grad, training in modes:
        asked = {"network": name, "kind": kind, "grad": grad, "training": training}
        said = worker.ask(json.dumps(asked))
        key = json.dumps(said, sort_keys=True)
        mode = f"{kind} {grad} {'train' if training else 'eval'}"
        found.setdefault(key, {"modes": [], **said})["modes"].append(mode)
    return list(found.values())


class Worker(contextlib.AbstractContextManager["Worker"]):
    """A process that answers a line with a line; what it prints besides goes nowhere."""

    def __init__(self, words: Sequence[str]) -> None:
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed below)
        with pipe() as (ear, mouth):
            self._process = subprocess.Popen(
                [*words, f"--say={mouth}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                pass_fds=(mouth,),
                env=environment(),
                text=True,
            )
            self._ear = os.fdopen(ear)
        self._words = words

    def ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        line = self._ear.readline()
        if not line:
            self._complaints.seek(0)
            complaints = self._complaints.read()[-3000:]
            raise SystemExit(f"This ended: {' '.join(self._words)}\n{complaints}")
        return json.loads(line)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._ear.close()
        self._complaints.close()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


@contextlib.contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Two ends; the writing one is closed here when the process that writes has it."""
    ear, mouth = os.pipe()
    try:
        yield ear, mouth
    finally:
        os.close(mouth)


def run(words: Sequence[str]) -> str | None:
    """What a process says on the way to its end; None where it failed."""
    with pipe() as (ear, mouth):
        done = subprocess.run(
            [*words, f"--say={mouth}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(mouth,),
            env=environment(),
            check=False,
        )
    with os.fdopen(ear) as said:
        text = said.read()
    return None if done.returncode else text


def environment() -> dict[str, str]:
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE.parent / "src"),
        "PYTHONWARNINGS": "ignore",
    }


def versions(peers: Path) -> dict[str, str]:
    """Of torch, the peers and Netwright; refuses to compare two versions of torch."""
    names = ["torch", *dict.fromkeys(name.partition(" ")[0] for name in PEERS)]
    asked = f"from importlib.metadata import version as v; print(*map(v, {names}))"
    said = subprocess.run([peers, "-c", asked], capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(f"{peers} lacks some of {', '.join(names)}:\n{said.stderr}")
    found = dict(zip(names, said.stdout.split(), strict=True))
    if found["torch"] != torch.__version__:
        raise SystemExit(f"torch {torch.__version__} here, {found['torch']} beside the peers.")
    return {**found, "netwright": version("netwright").partition("+")[0]}


def check_published() -> None:
    """The networks that Netwright has too: the same multiply-adds as stand there."""
    for each in NETWORKS.values():
        if each.registered:
            stated = MODELS.get(each.registered).facts["macs"]
            assert each.macs == stated, (each.name, each.macs, stated)


def forget(path: Path, word: str) -> None:
    """Take the cells with this word in their name out of the file."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if word.lower() not in json.loads(line).get("cell", "").lower()]
    path.write_text("".join(kept))


if __name__ == "__main__":
    main()
