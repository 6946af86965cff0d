"""Every disk operation of a whole run fails once in every way: nothing that it writes is torn.

Not only checkpoints: also settings, metrics, findings, evidence, samples, the report. After each
fault the files that are there are read by a reader that shares no code with their writer; then
the same command is given again, and the run must come to the end of one that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from faults.faulty_disk import FAULTS, KILLED
from faults.fork_server import Child, ForkServer
from faults.runs import assert_same

FEW = 4
"""Operations of each fault that are tried where not every one is."""

_COMMON = ["epochs=2", "run.checkpoint_every=20", "seed=7"]
# A plain run; and one whose numbers are not finite in its second epoch, which leaves a bundle.
COMMANDS = {
    "done": ["train", "digits", "mlp", "model.hidden=[8]", *_COMMON],
    "diverged": ["train", "digits", "PLACE/network.py:factory", *_COMMON],
}
ENDS = {"done": 0, "diverged": 5}
NETWORK = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(64, num_classes)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.steps += 1
        return self.head(x.flatten(1)) / (self.steps <= 25)

def factory(num_classes):
    return Network(num_classes)
"""


def _command(place: Path, kind: str, run: Path) -> list[str]:
    words = [word.replace("PLACE", str(place)) for word in COMMANDS[kind]]
    return [*words, "--run-dir", str(run), "--resume", "auto"]


class Course:
    """One kind of run, as it is when nothing fails."""

    def __init__(self, server: ForkServer, place: Path, kind: str) -> None:
        self.server, self.place, self.kind = server, place, kind
        (place / "network.py").write_text(NETWORK)
        self.whole = place / "whole"
        for run in (place / "first", self.whole):  # the first writes to the user's cache too
            child = self.faulty(0, "io", run)
            assert child.wait() == ENDS[kind], child.text()
        self.operations = json.loads(child.text().splitlines()[-1])["operations"]

    def faulty(self, at: int, fault: str, run: Path) -> Child:
        return self.server.start(
            [str(at), fault, *_command(self.place, self.kind, run)],
            cwd=self.place,
            call="faults.programs:on_a_faulty_disk",
            output=self.place / f"{run.name}.txt",
        )

    def again(self, run: Path) -> Child:
        return self.server.start(_command(self.place, self.kind, run), cwd=self.place)


def test_all_that_a_run_writes_goes_through_the_disk_that_can_fail(server, place):
    """The operating system is asked, not our own list: each file came to its name there."""
    for kind in COMMANDS:
        (place / kind).mkdir()
        course = Course(server, place / kind, kind)
        counted = {path for _, path in course.operations}
        for path in course.whole.rglob("*"):
            if path.name == ".lock" or "__pycache__" in path.parts:
                continue
            beside = {each for each in counted if Path(each).parent == path.parent}
            named = any(f".{path.name}." in each or each == str(path) for each in beside)
            # A checkpoint is written beside its place, as a hidden folder that is renamed.
            folder = (str(path.parent), str(path.parent.with_name(f".{path.parent.name}.")))
            above = any(each.startswith(folder) for each in counted)
            assert named or above, path


@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_some_operations_of_a_run_fail_and_nothing_is_lost(server, place, fault, kind):
    course = Course(server, place, kind)
    draw = random.Random(f"{fault} {kind}")
    for at in sorted(draw.sample(range(1, len(course.operations) + 1), FEW)):
        _fail(course, at, fault)


@pytest.mark.long
@pytest.mark.parametrize("kind", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_operation_of_a_run_fails_and_nothing_is_lost(server, place, fault, kind):
    course = Course(server, place, kind)
    print(f"{kind}, {fault}: {len(course.operations)} operations")
    for at in range(1, len(course.operations) + 1):
        _fail(course, at, fault)


def _fail(course: Course, at: int, fault: str) -> None:
    what = f"{fault} at {at}: {course.operations[at - 1]}"
    run = course.place / f"{fault}-{at}"
    child = course.faulty(at, fault, run)
    status = child.wait()
    if fault in ("kill", "torn"):
        assert status == KILLED, f"{what}\n{child.text()}"
    else:
        # What a run can do without, a log line or the link `latest`, ends none.
        assert status in (6, ENDS[course.kind]), f"{what}\n{child.text()}"
    assert "Traceback" not in child.text(), f"{what}\n{child.text()}"
    for path in _torn(run):
        raise AssertionError(f"{what} left a torn {path}")
    child = course.again(run)
    assert child.wait() == ENDS[course.kind], f"{what}\n{child.text()}"
    assert child.orphans() == []
    _assert_like(course, run, what)


def _assert_like(course: Course, run: Path, what: str) -> None:
    """Nothing is missing, nothing left over, and the numbers are those of the whole run."""
    for path in _torn(run):
        raise AssertionError(f"{what}, and after going on a torn {path}")
    assert _names(run) == _names(course.whole), what
    if course.kind == "done":
        assert_same(run, course.whole, steps=40)
        return
    bundles = [
        next((each / "evidence").glob("nonfinite-*.json")).read_text()
        for each in (run, course.whole)
    ]
    assert bundles[0] == bundles[1], what


def _names(run: Path) -> set[str]:
    return {
        str(path.relative_to(run))
        for path in run.rglob("*")
        if "__pycache__" not in path.parts and path.name not in ("latest", "log.txt")
    }


def _torn(run: Path) -> Iterator[Path]:
    """Files under their own names that cannot be read to the end."""
    for path in sorted(run.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(run).parts)
        if hidden or path.is_symlink() or not path.is_file() or "__pycache__" in path.parts:
            continue
        try:
            _read(path)
        except (ValueError, OSError, KeyError, zipfile.BadZipFile, yaml.YAMLError):
            yield path


def _read(path: Path) -> None:
    data = path.read_bytes()
    if path.suffix == ".json":
        json.loads(data)
    elif path.suffix == ".jsonl":
        # A torn last line is ignored by every reader, and cut by the next writer.
        for line in data.split(b"\n")[:-1]:
            json.loads(line)
    elif path.suffix == ".yaml":
        assert yaml.safe_load(data)["seed"] == 7
    elif path.suffix == ".npz":
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ValueError
    elif path.suffix == ".html":
        if not data.rstrip().endswith(b"</html>"):
            raise ValueError
    elif path.name == "best.safetensors":
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        ends = [each["data_offsets"][1] for name, each in header.items() if name[0] != "_"]
        if len(data) != 8 + size + max(ends):
            raise ValueError
    elif not data and os.path.basename(path) not in ("findings.jsonl", "log.txt"):
        raise ValueError
