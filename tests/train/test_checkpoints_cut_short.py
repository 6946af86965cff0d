"""What a killed process leaves of a checkpoint, and what a full disk or memory lets through."""

import os
import shutil
import time
from pathlib import Path

import pytest
import torch

from netwright.core import atomic
from netwright.core.errors import ExhaustedError
from netwright.train.checkpoints import Checkpoints
from netwright.train.weights import step_of


def test_a_half_written_checkpoint_is_removed_at_opening(run, save):
    save(1)
    half = run / "ckpt" / ".step-000000002.writing"
    shutil.copytree(run / "ckpt" / "step-000000001", half)
    Checkpoints(run / "ckpt")
    assert os.listdir(run / "ckpt") == ["step-000000001"]


def test_a_whole_checkpoint_that_lacks_its_name_gets_it_at_opening(run, save):
    path = save(7)
    path.rename(run / "ckpt" / ".step-000000007.writing")
    assert Checkpoints(run / "ckpt").newest().step == 7


def test_whatever_else_a_kill_or_a_stranger_left_is_removed_at_opening(run, saves):
    (run / "ckpt" / ".step-odd.writing").mkdir()
    (run / "ckpt" / ".step-000000001.removing").mkdir()
    (run / ".best.safetensors.writing").touch()
    Checkpoints(run / "ckpt")
    assert os.listdir(run / "ckpt") == []
    assert os.listdir(run) == ["ckpt"]


def test_a_disk_without_room_is_told_before_anything_is_written(saves, monkeypatch):
    class Small(atomic.Disk):
        def free(self, path):
            return 1000

    monkeypatch.setattr(atomic, "disk", Small())
    with pytest.raises(ExhaustedError, match="is full: 1320 bytes needed, 1000 free") as caught:
        saves.save(1, {"w": torch.zeros(100)}, {"m": [torch.zeros(200)]})
    assert caught.value.exit_code == 6
    assert os.listdir(saves.folder) == []


def test_a_failed_save_is_told_at_the_next_call_and_the_one_after_goes_well(
    saves, save, monkeypatch
):
    class Broken(atomic.Disk):
        def write(self, path, *parts):
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "disk", Broken())
        saves.save(1, {"w": torch.zeros(1)}, {})
        with pytest.raises(ExhaustedError, match=r"Cannot write .*: input/output error"):
            saves.wait()
    save(2)
    assert saves.steps() == [2]
    assert not list(saves.folder.glob(".*"))


def test_a_best_that_could_not_be_saved_is_not_the_best(saves, save, best, monkeypatch):
    class Broken(atomic.Disk):
        def write(self, path, *parts):
            raise OSError(5, "Input/output error")

    save(1, best=True)
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "disk", Broken())
        with pytest.raises(ExhaustedError):
            save(2, best=True)
    save(3)
    assert saves.newest().best == 1
    assert best() == 1


@pytest.mark.parametrize(
    "words", ["DefaultCPUAllocator: can't allocate memory", "CUDA out of memory", ""]
)
def test_no_memory_for_the_copy_is_told_as_such(saves, monkeypatch, words):
    def empty_like(*_, **__):
        raise RuntimeError(words) if words else MemoryError

    monkeypatch.setattr(torch, "empty_like", empty_like)
    with pytest.raises(ExhaustedError, match="No memory left to copy a checkpoint"):
        saves.save(1, {"w": torch.zeros(1)}, {})


def test_a_slow_disk_does_not_hold_up_the_loop_but_the_next_save_waits(saves, monkeypatch):
    order = []

    class Slow(atomic.Disk):
        def write(self, path, *parts):
            time.sleep(0.02)
            super().write(path, *parts)
            order.append("written")

    monkeypatch.setattr(atomic, "disk", Slow())
    saves.save(1, {"w": torch.zeros(1)}, {})
    order.append("returned")
    saves.save(2, {"w": torch.zeros(1)}, {})
    order.append("returned")
    saves.close()
    assert order == ["returned", *["written"] * 3, "returned", *["written"] * 3]


def test_the_step_of_a_file_that_is_no_weights_file_is_unknown(tmp_path):
    path: Path = tmp_path / "w"
    assert step_of(path) is None
    for data in (b"", b"\xff" * 100, b"\x02" + b"\0" * 7 + b"{}", b"\x02" + b"\0" * 7 + b"[]"):
        path.write_bytes(data)
        assert step_of(path) is None
