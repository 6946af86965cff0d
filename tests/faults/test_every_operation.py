"""Every disk operation of a save fails once in every way; what is left is read independently.

The reader here shares no code with the writer: it knows the format from its description only.
"""

import hashlib
import json
import struct
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.faulty_disk import FAULTS, KILLED
from faults.fork_server import ForkServer
from faults.programs import RAN_THROUGH, SWALLOWED
from netwright.core.errors import ExhaustedError
from netwright.train.checkpoints import Checkpoints

_MOST = 60  # operations in one program; more means that it never runs through


def _trials(server: ForkServer, place: Path, program: str, fault: str) -> Iterator[Path]:
    """The folder each faulty run of `program` left behind, until one runs through."""
    for at in range(1, _MOST):
        folder = place / f"{fault}-{at}"
        folder.mkdir()
        child = server.start(
            [str(folder), str(at), fault],
            cwd=place,
            call=f"faults.programs:{program}",
            output=place / f"{fault}-{at}.txt",
        )
        status = child.wait()
        expected = (KILLED,) if fault in ("kill", "torn") else (ExhaustedError.exit_code, SWALLOWED)
        assert status in (RAN_THROUGH, *expected), f"{fault} at {at}: {status}\n{child.text()}"
        yield folder
        if status == RAN_THROUGH:
            assert at > 1
            return
    raise AssertionError(f"{program} never ran through")


def _found(folder: Path) -> tuple[int, float] | None:
    """(step, the value in every weight) of the newest checkpoint whose hashes are right."""
    for path in sorted((folder / "ckpt").glob("step-*"), reverse=True):
        try:
            manifest = json.loads((path / "manifest.json").read_bytes())
            for name, facts in manifest["files"].items():
                data = (path / name).read_bytes()
                assert len(data) == facts["bytes"]
                assert hashlib.sha256(data).hexdigest() == facts["sha256"]
        except (OSError, ValueError, KeyError, AssertionError):
            continue
        return manifest["step"], _value((path / "weights.safetensors").read_bytes())
    return None


def _value(data: bytes) -> float:
    """The one number that all weights of a file are."""
    (size,) = struct.unpack("<Q", data[:8])
    assert json.loads(data[8 : 8 + size])["__metadata__"]["format"] == "netwright/1"
    numbers = set(array("f", data[8 + size :]))
    assert len(numbers) == 1
    return numbers.pop()


def _best(folder: Path) -> float:
    return _value((folder / "best.safetensors").read_bytes())


def _reopened(folder: Path) -> tuple[int, float, int | None]:
    saves = Checkpoints(folder / "ckpt")
    newest = saves.newest()
    saves.close()
    assert newest is not None
    (value,) = {float(number) for weight in newest.weights.values() for number in weight.flatten()}
    assert newest.state["progress"]["step"] == newest.step
    assert newest.state["progress"]["version"] == value - 100 * newest.step
    assert not saves.damaged
    assert not list((folder / "ckpt").glob(".*"))
    return newest.step, value, newest.best


@pytest.mark.parametrize("fault", FAULTS)
def test_a_save_leaves_the_old_checkpoint_or_the_new_one(server, place, fault):
    seen = set()
    for folder in _trials(server, place, "save_next", fault):
        assert _found(folder) in [(10, 1000.0), (15, 1500.0)]
        assert _best(folder) in [500.0, 1500.0]
        if fault == "full":
            assert not list((folder / "ckpt").glob(".*"))
        step, _, best = _reopened(folder)
        assert (step, best, _best(folder)) in [(10, 5, 500.0), (15, 15, 1500.0)]
        seen.add(step)
    assert seen == {10, 15}


@pytest.mark.parametrize("fault", FAULTS)
def test_saving_a_step_again_leaves_one_of_the_two(server, place, fault):
    seen = set()
    for folder in _trials(server, place, "save_again", fault):
        assert _found(folder) is not None
        step, value, best = _reopened(folder)
        assert step == 10
        assert (value, best, _best(folder)) in [(1000.0, 5, 500.0), (1001.0, 10, 1001.0)]
        seen.add(value)
    assert seen == {1000.0, 1001.0}


@pytest.mark.parametrize("fault", FAULTS)
def test_mending_what_a_kill_left_can_itself_be_killed(server, place, fault):
    for folder in _trials(server, place, "mend", fault):
        saves = Checkpoints(folder / "ckpt")
        newest = saves.newest()
        saves.close()
        assert newest is not None
        assert (newest.step, newest.best, _best(folder)) == (15, 15, 1500.0)
        assert (folder / "ckpt" / "damaged" / "step-000000030" / "manifest.json").exists()


def test_a_save_in_place_is_noticed(server, place):
    left = [_found(folder) for folder in _trials(server, place, "save_in_place", "torn")]
    lost = [found for found in left if found not in [(10, 1000.0), (10, 1001.0)]]
    assert lost


@pytest.mark.parametrize("fault", FAULTS)
def test_run_json_is_the_old_or_the_new_and_no_line_of_metrics_is_lost(server, place, fault):
    _each(server, place, "log", fault, [[1, 2, 3], [1, 2, 3, 4]])


@pytest.mark.parametrize("fault", FAULTS)
def test_cutting_metrics_back_leaves_whole_lines(server, place, fault):
    _each(server, place, "cut", fault, [[1, 2, 3], [1, 2]])


def _each(
    server: ForkServer, place: Path, program: str, fault: str, allowed: list[list[int]]
) -> None:
    for folder in _trials(server, place, program, fault):
        info = json.loads((folder / "run.json").read_bytes())
        assert info["status"] in ("running", "done")
        assert info["seed"] == 1
        *lines, last = (folder / "metrics.jsonl").read_bytes().split(b"\n")
        assert [json.loads(line)["step"] for line in lines] in allowed
        assert fault in ("torn",) or last == b""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_was_never_quite_created_can_be_started_again(server, place, fault):
    again: Callable[[Path], int] = lambda folder: server.run(  # noqa: E731
        "faults.programs:start_again", [str(folder)], cwd=place
    ).wait()
    for folder in _trials(server, place, "create", fault):
        assert again(folder) == 0
