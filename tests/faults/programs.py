"""Small programs whose every disk operation is made to fail, each run in a forked child.

Each takes (folder, at, fault), prepares the folder on a good disk, goes on with a disk whose
operation number `at` fails, and ends with 0 when it came through, with the exit code of the
error when there was one, and with 137 when it was killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from faults.faulty_disk import FaultyDisk, installed
from netwright.cli import main
from netwright.core import atomic
from netwright.core.errors import NetwrightError
from netwright.train.checkpoints import Checkpoints, read_checkpoint
from netwright.train.manifest import manifest_of
from netwright.train.run_folder import RunFolder, holds_run

RAN_THROUGH = 0
SWALLOWED = 99  # the fault came, and the program went on as if nothing had happened
KEEP = 2


def contents(step: int, version: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights and state that tell their step and version in every number."""
    value = float(step * 100 + version)
    weights = {"layer.weight": torch.full((40, 25), value), "layer.bias": torch.full((25,), value)}
    return weights, {"progress": {"step": step, "version": version}}


def _program(act: Callable[[Path], None]) -> Callable[[Sequence[str]], int]:
    def run(argv: Sequence[str]) -> int:
        folder, at, fault = Path(argv[0]), int(argv[1]), argv[2]
        _prepare(folder)
        disk: FaultyDisk = installed(at=at, fault=fault)
        status = RAN_THROUGH
        try:
            act(folder)
        except NetwrightError as error:
            print(error)
            status = error.exit_code
        return status if status or disk.ran_through else SWALLOWED

    return run


def _prepare(folder: Path) -> None:
    """Two checkpoints, 5 (the best) and 10, three lines of metrics, and run.json."""
    with RunFolder.create(folder, name_parts=[], root=folder) as run:
        saves = Checkpoints(folder / "ckpt", keep=KEEP)
        for step in (5, 10):
            saves.save(step, *contents(step), best=step == 5)
        saves.close()
        for step in (1, 2, 3):
            run.append_metrics({"step": step})
        run.write_info(seed=1)


def _save(folder: Path, step: int, version: int) -> None:
    saves = Checkpoints(folder / "ckpt", keep=KEEP)
    try:
        saves.save(step, *contents(step, version), best=True)
    finally:
        saves.close()


def _save_next(folder: Path) -> None:
    _save(folder, 15, 0)


def _save_again(folder: Path) -> None:
    _save(folder, 10, 1)


def _save_in_place(folder: Path) -> None:
    """The planted defect: the files of the checkpoint that stands are written over."""

    def in_place(target: Path, step: int, files: Any) -> None:
        for name, parts in files.items():
            atomic.disk.write(target / name, *parts)
        atomic.disk.write(target / "manifest.json", manifest_of(step, files))

    Checkpoints._put = lambda saves, target, step, files: in_place(target, step, files)
    _save(folder, 10, 1)


def _open_and_read(folder: Path) -> None:
    saves = Checkpoints(folder / "ckpt", keep=KEEP)
    try:
        saves.newest()
    finally:
        saves.close()


def mend(argv: Sequence[str]) -> int:
    folder = Path(argv[0])
    _prepare(folder)
    _save(folder, 15, 0)
    ckpt = folder / "ckpt"
    os.rename(ckpt / "step-000000015", ckpt / ".step-000000015.writing")
    (ckpt / ".step-000000005.removing").mkdir()
    (ckpt / ".step-000000005.removing" / "state.pt").write_bytes(b"half")
    (ckpt / ".step-000000020.writing").mkdir()
    (ckpt / "step-000000030").mkdir()
    (ckpt / "step-000000030" / "manifest.json").write_bytes(b"{}")
    disk = installed(at=int(argv[1]), fault=argv[2])
    try:
        _open_and_read(folder)
    except NetwrightError as error:
        print(error)
        return error.exit_code
    return RAN_THROUGH if disk.ran_through else SWALLOWED


def _log(folder: Path) -> None:
    with RunFolder.open(folder) as run:
        run.append_metrics({"step": 4})
        run.metrics_length()
        run.write_info(status="done", best={"value": 1.0})


def _cut(folder: Path) -> None:
    with RunFolder.open(folder) as run:
        run.cut_metrics(len('{"step": 1}\n') * 2)


def create(argv: Sequence[str]) -> int:
    """Start a run in a folder that is not there yet."""
    folder = Path(argv[0]) / "new"
    disk = installed(at=int(argv[1]), fault=argv[2])
    try:
        with RunFolder.create(folder, name_parts=[], root=folder) as run:
            run.write_config("seed: 1\n")
    except NetwrightError as error:
        print(error)
        return error.exit_code
    return RAN_THROUGH if disk.ran_through else SWALLOWED


def start_again(argv: Sequence[str]) -> int:
    """What `--run-dir D --resume auto` does: open the run, or create it."""
    folder = Path(argv[0]) / "new"
    with contextlib.closing(
        RunFolder.open(folder)
        if holds_run(folder)
        else RunFolder.create(folder, name_parts=[], root=folder)
    ):
        return 0


save_next = _program(_save_next)
save_again = _program(_save_again)
save_in_place = _program(_save_in_place)
log = _program(_log)
cut = _program(_cut)


# --- real disks: a small one and a sealed one ------------------------------------------------

NOT_PERMITTED = 77
_CLONE_NEWNS, _MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 0x20000, 1, 32, 0x4000, 1 << 18


def _mount(folder: Path, options: str, flags: int = 0) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if not flags & _MS_REMOUNT and (
        libc.unshare(_CLONE_NEWNS) or libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    ):
        os._exit(NOT_PERMITTED)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode()):
        os._exit(NOT_PERMITTED)


class _HidingDisk(atomic.Disk):
    """Says that there is room until there is none, as a quota does."""

    def free(self, path: Path) -> int:
        return 2**60


def fill(argv: Sequence[str]) -> int:
    """Save on a small disk of its own until it is full, then tell what is left."""
    folder = Path(argv[0])
    _mount(folder, "size=400k")
    if argv[1] == "hidden":
        atomic.disk = _HidingDisk()
    saves = Checkpoints(folder / "ckpt", keep=100)
    step, error, code = 0, "", 0
    while not error:
        step += 1
        weights = {"w": torch.full((5000,), float(step))}
        try:
            saves.save(step, weights, {"progress": {"step": step}}, best=True)
            saves.wait()
        except NetwrightError as caught:
            error, code = str(caught), caught.exit_code
    left = [entry for entry in os.listdir(folder / "ckpt") if entry.startswith(".")]
    newest = Checkpoints(folder / "ckpt").newest()
    assert newest is not None
    assert newest.weights["w"].eq(newest.step).all()
    told = {"failed": step, "error": error, "code": code, "newest": newest.step, "left": left}
    print(json.dumps(told | {"best": newest.best, "damaged": saves.damaged}))
    return 0


def train_until_full(argv: Sequence[str]) -> int:
    """Train on a small disk of its own until it is full, make room, and go on to the end.

    The run is copied out at the end, for the disk goes with this process.
    """
    folder, kept = Path(argv[0]), Path(argv[1])
    _mount(folder, "size=4m")
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(_room(folder) - 1_500_000))
    full = main(argv[2:])
    left = sorted(os.listdir(folder / "run" / "ckpt"))
    ballast.unlink()
    done = main(argv[2:])
    shutil.copytree(folder / "run", kept)
    print(json.dumps({"full": full, "left": left, "done": done}))
    return 0


def _room(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def seal(argv: Sequence[str]) -> int:
    """Make the disk read-only under a run, and tell what each writer says to it."""
    folder = Path(argv[0])
    _mount(folder, "size=4m")
    run = RunFolder.create(folder / "run", name_parts=[], root=folder)
    saves = Checkpoints(folder / "run" / "ckpt")
    saves.save(1, *contents(1), best=True)
    saves.wait()
    # Nothing may be open for writing when a disk is sealed, the lock included.
    run.close()
    _mount(folder, "", _MS_REMOUNT | _MS_RDONLY)
    said = {}
    writers: dict[str, Callable[[], Any]] = {
        "create": lambda: RunFolder.create(folder / "new", name_parts=[], root=folder),
        "open": lambda: RunFolder.open(folder / "run"),
        "metrics": lambda: run.append_metrics({"step": 1}),
        "info": lambda: run.write_info(status="done"),
        "save": lambda: (saves.save(2, *contents(2)), saves.wait()),
    }
    for name, write in writers.items():
        try:
            write()
        except NetwrightError as error:
            said[name] = [error.exit_code, str(error)]
    run.log("lost, and nobody minds")
    said["kept"] = [read_checkpoint(folder / "run/ckpt/step-000000001").step, ""]
    print(json.dumps(said))
    return 0


# --- runs in odd surroundings ----------------------------------------------------------------


def with_little_memory(argv: Sequence[str]) -> int:
    """`netwright ARGV[1:]` in a process that may take ARGV[0] bytes more than it has."""
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + int(argv[0])
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    return main(argv[1:])


def on_a_faulty_disk(argv: Sequence[str]) -> int:
    """`netwright ARGV[2:]`, with operation ARGV[0] of its disk failing by ARGV[1].

    The operations that it came to stand in the last line, as a document.
    """
    disk = installed(at=int(argv[0]), fault=argv[1])
    status = main(argv[2:])
    print(json.dumps({"operations": disk.log}))
    return status


def with_a_leaping_clock(argv: Sequence[str]) -> int:
    """`netwright ARGV[1:]` while the clock on the wall leaps by ARGV[0] days at every look at it:
    `+3650`, `-3650`, or `both`, in turns. The monotonic clock, which no one can set, goes on."""
    import itertools
    import time

    days = itertools.cycle([3650, -3650] if argv[0] == "both" else [int(argv[0])])
    total = itertools.accumulate(86400 * each for each in days)
    true, true_ns, localtime, gmtime = time.time, time.time_ns, time.localtime, time.gmtime
    # Years after the 8000th no calendar knows.
    leaping = lambda: (true() + next(total)) % (8000 * 365 * 86400)  # noqa: E731
    time.time = leaping
    time.time_ns = lambda: int(leaping() * 1e9) + true_ns() % 1000
    time.localtime = lambda *given: localtime(*(given or (leaping(),)))
    time.gmtime = lambda *given: gmtime(*(given or (leaping(),)))
    return main(argv[1:])
