"""What a checkpoint keeps, how it is found again, and that no damage to it is taken for truth."""

import json
import math
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from netwright.core import atomic
from netwright.core.errors import CheckpointError, ExhaustedError
from netwright.train.checkpoints import Checkpoints, read_checkpoint
from netwright.train.weights import pack, read_weights, step_of, unpack


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def saves(run):
    opened = Checkpoints(run / "ckpt")
    yield opened
    opened.close()


def _save(saves, step, *, best=False, value=None):
    weights = {"w": torch.full((3, 2), float(step if value is None else value))}
    path = saves.save(step, weights, {"progress": {"step": step}}, best=best)
    saves.wait()
    return path


def _best(run):
    return read_weights(run / "best.safetensors")["w"][0, 0].item()


# --- what is kept ----------------------------------------------------------------------------


def test_weights_and_state_come_back_bit_for_bit(saves):
    weights = {
        "half": torch.randn(3, 4).to(torch.bfloat16),
        "count": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "nan": torch.tensor([math.nan, math.inf, -0.0]),
        "mask": torch.tensor([True, False]),
    }
    state = {
        "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "groups": [{"lr": 0.1}]},
        "scaler": None,
        "words": ["a", True, -1, 1e-300],
    }
    saves.save(1, weights, state)
    found = saves.newest()
    for name, tensor in weights.items():
        assert found.weights[name].dtype == tensor.dtype
        assert torch.equal(found.weights[name].nan_to_num(9), tensor.nan_to_num(9))
    assert found.state == state


def test_a_copy_is_taken_before_save_returns(saves):
    weights, momentum = {"w": torch.zeros(4)}, torch.zeros(4)
    saves.save(1, weights, {"momentum": momentum})
    weights["w"].fill_(1)
    momentum.fill_(1)
    found = saves.newest()
    assert found.weights["w"].sum() == found.state["momentum"].sum() == 0


def test_memory_kept_for_copies_mixes_nothing_up_between_saves(saves):
    saves.save(1, {"w": torch.ones(4)}, {1: torch.ones(2), "1": torch.zeros(2)})
    saves.wait()
    saves.save(2, {"w": torch.ones(2, 2).half()}, {1: torch.ones(2) * 3, "1": torch.ones(2) * 4})
    found = saves.newest()
    assert found.weights["w"].shape == (2, 2)
    assert (found.state[1].sum(), found.state["1"].sum()) == (6, 8)
    assert read_checkpoint(saves.folder / "step-000000001").state["1"].sum() == 0


def test_tensors_that_are_not_contiguous_are_kept(saves):
    grid = torch.arange(6.0).reshape(2, 3)
    saves.save(1, {"turned": grid.t(), "wide": grid[:1].expand(4, 3)}, {"every": grid[:, ::2]})
    found = saves.newest()
    assert torch.equal(found.weights["turned"], grid.t())
    assert torch.equal(found.weights["wide"], grid[:1].expand(4, 3))
    assert torch.equal(found.state["every"], grid[:, ::2])


def test_a_state_keeps_its_memory_layout(saves):
    tensor = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    saves.save(1, {"w": tensor}, {"average": tensor})
    assert saves.newest().state["average"].stride() == tensor.stride()


def test_tied_weights_are_stored_once_and_share_a_tensor_again(saves):
    model = nn.Sequential(nn.Linear(30, 30, bias=False), nn.Linear(30, 30, bias=False))
    model[1].weight = model[0].weight
    path = saves.save(1, dict(model.state_dict()), {})
    found = saves.newest().weights
    assert found["0.weight"] is found["1.weight"]
    assert torch.equal(found["0.weight"], model[0].weight)
    assert (path / "weights.safetensors").stat().st_size < 2 * 30 * 30 * 4


def test_views_of_one_memory_are_stored_apart(saves):
    memory = torch.arange(10.0)
    saves.save(1, {"a": memory[:5], "b": memory[3:]}, {})
    found = saves.newest().weights
    assert torch.equal(found["a"], memory[:5])
    assert torch.equal(found["b"], memory[3:])


def test_a_state_of_other_types_is_our_own_mistake(saves):
    with pytest.raises(AssertionError, match=r"state\['when'\] is a set"):
        saves.save(1, {}, {"when": {1, 2}})


def test_the_manifest_names_step_size_and_hash_of_each_file(saves):
    manifest = json.loads((_save(saves, 12) / "manifest.json").read_bytes())
    assert manifest["format"] == 1
    assert manifest["step"] == 12
    assert sorted(manifest["files"]) == ["state.pt", "weights.safetensors"]
    assert sorted(manifest["files"]["state.pt"]) == ["bytes", "sha256"]


def test_equal_weights_are_equal_bytes():
    weights = {name: torch.full((2,), float(len(name))) for name in ("a", "bb", "ccc")}
    files = {b"".join(pack(weights, ties={"d": "a"}, step=3, best=None)) for _ in range(8)}
    assert len(files) == 1
    assert list(unpack(files.pop())[0]) == ["a", "bb", "ccc", "d"]


def test_weights_are_plain_safetensors_for_everyone_else(saves):
    from safetensors import safe_open

    with safe_open(_save(saves, 12, best=True) / "weights.safetensors", "pt") as file:
        assert file.metadata()["format"] == "netwright/1"
        assert file.get_tensor("w").shape == (3, 2)


def test_the_manifest_is_written_last_and_all_is_forced_to_the_disk_in_order(saves, monkeypatch):
    done = []

    class Watched(atomic.Disk):
        def write(self, path, *parts):
            done.append(f"write {path.name}")
            super().write(path, *parts)

        def sync(self, path):
            done.append(f"sync {path.name}")
            super().sync(path)

        def rename(self, source, target):
            done.append(f"rename {target.name}")
            super().rename(source, target)

    monkeypatch.setattr(atomic, "disk", Watched())
    _save(saves, 1)
    assert done == [
        "write weights.safetensors",
        "sync weights.safetensors",
        "write state.pt",
        "sync state.pt",
        "write manifest.json",
        "sync manifest.json",
        "sync .step-000000001.writing",
        "rename step-000000001",
        "sync ckpt",
    ]


# --- which are kept --------------------------------------------------------------------------


def test_the_newest_three_and_the_best_are_kept(saves):
    for step in range(1, 8):
        _save(saves, step, best=step == 2)
    assert saves.steps() == [2, 5, 6, 7]


def test_each_kept_checkpoint_keeps_the_best_of_its_time(run, saves):
    for step in (1, 2, 3, 4, 5):
        _save(saves, step, best=step in (1, 5))
    assert saves.steps() == [1, 3, 4, 5]
    assert _best(run) == 5
    saves.forget_after(4)
    assert _best(run) == 1


def test_best_is_a_hard_link_to_the_weights_of_the_best(run, saves):
    path = _save(saves, 1, best=True)
    assert os.path.samefile(run / "best.safetensors", path / "weights.safetensors")


def test_best_is_a_copy_where_links_are_refused(run, saves, monkeypatch):
    class Unlinked(atomic.Disk):
        def link(self, source, target):
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(atomic, "disk", Unlinked())
    path = _save(saves, 1, best=True)
    _save(saves, 2)
    assert _best(run) == 1
    assert not os.path.samefile(run / "best.safetensors", path / "weights.safetensors")


def test_saving_a_step_again_replaces_it_and_the_best(run, saves):
    _save(saves, 1, best=True, value=1)
    _save(saves, 1, best=False, value=2)
    assert saves.newest().weights["w"][0, 0] == 2
    assert _best(run) == 2


def test_a_kill_between_a_checkpoint_and_its_link_is_mended(run, saves):
    _save(saves, 1, best=True)
    old = (run / "best.safetensors").read_bytes()
    _save(saves, 2, best=True)
    (run / "best.safetensors").unlink()
    (run / "best.safetensors").write_bytes(old)
    assert Checkpoints(run / "ckpt").newest().best == 2
    assert _best(run) == 2


def test_going_back_looks_no_further_than_asked(saves):
    for step in (10, 20, 30):
        _save(saves, step)
    assert saves.newest(at_most=25).step == 20
    assert saves.newest(at_most=9) is None
    assert saves.steps() == [10, 20, 30]


# --- damage ----------------------------------------------------------------------------------


def test_there_is_no_newest_in_a_new_folder(saves):
    assert saves.newest() is None


def test_a_damaged_newest_is_named_and_moved_aside_and_the_one_before_is_used(run, saves):
    _save(saves, 1)
    path = _save(saves, 2)
    (path / "state.pt").write_bytes(b"short")
    assert saves.newest().step == 1
    ((name, reason),) = saves.damaged
    assert name == "step-000000002"
    assert reason.startswith("state.pt has 5 bytes, not ")
    assert (run / "ckpt/damaged/step-000000002/state.pt").read_bytes() == b"short"


def test_damaged_checkpoints_of_one_step_get_names_of_their_own(run, saves):
    for _ in range(3):
        (_save(saves, 2) / "manifest.json").unlink()
        assert saves.newest() is None
    names = sorted(os.listdir(run / "ckpt" / "damaged"))
    assert names == ["step-000000002", "step-000000002-2", "step-000000002-3"]


def test_when_the_best_is_lost_the_next_evaluation_is_the_best_again(run, saves):
    _save(saves, 1, best=True)
    _save(saves, 2)
    with open(run / "best.safetensors", "r+b") as file:  # and so in the folder it is linked to
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    found = Checkpoints(run / "ckpt").newest()
    assert (found.step, found.best) == (2, None)
    assert not (run / "best.safetensors").exists()
    assert (run / "ckpt/damaged/best.safetensors").exists()


def _flip(path, bit):
    data = bytearray(path.read_bytes())
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.pt", "manifest.json"])
def test_no_flipped_bit_is_accepted(run, saves, name):
    saves.save(1, {"w": torch.randn(16, 16)}, {"m": torch.randn(16, 16)})
    saves.wait()
    path = saves.folder / "step-000000001"
    good = (path / name).read_bytes()
    draw = random.Random(0)
    for bit in draw.sample(range(8 * len(good)), 250):
        _flip(path / name, bit)
        with pytest.raises(CheckpointError):
            read_checkpoint(path)
        (path / name).write_bytes(good)
    assert read_checkpoint(path).step == 1


def test_no_flipped_bit_in_the_best_weights_is_accepted(tmp_path):
    path = tmp_path / "best.safetensors"
    good = b"".join(pack({"w": torch.randn(8, 8)}, ties={"v": "w"}, step=4, best=4))
    for bit in random.Random(0).sample(range(8 * len(good)), 400):
        data = bytearray(good)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="cannot be used"):
            read_weights(path)


@pytest.mark.parametrize("size", [0, 7, 8, 200, -1])
def test_cut_weights_are_refused(tmp_path, size):
    path = tmp_path / "best.safetensors"
    good = b"".join(pack({"w": torch.randn(8, 8)}, ties={}, step=4, best=4))
    path.write_bytes(good[:size])
    with pytest.raises(CheckpointError, match="not weights of netwright/1"):
        read_weights(path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"best.safetensors cannot be used: no such file"):
        read_weights(tmp_path / "best.safetensors")


_SIZED = {"bytes": 1, "sha256": "0" * 64}
_HOSTILE = {
    "nothing": b"",
    "not JSON": b"\x80\x04]",
    "a list": b"[]\n",
    "deep": b"[" * 100_000,
    "no keys": {},
    "another format": {"format": 2, "step": 1, "files": {}},
    "a huge step": {"format": 1, "step": 10**400, "files": {}},
    "a step in words": {"format": 1, "step": "1", "files": {}},
    "another step": {
        "format": 1, "step": 2, "files": {"weights.safetensors": _SIZED, "state.pt": _SIZED},
    },
    "no files": {"format": 1, "step": 1, "files": {}},
    "files in a list": {"format": 1, "step": 1, "files": ["weights.safetensors", "state.pt"]},
    "a path that leaves": {
        "format": 1, "step": 1,
        "files": {"weights.safetensors": _SIZED, "state.pt": _SIZED, "../../x": _SIZED},
    },
    "an absolute path": {
        "format": 1, "step": 1,
        "files": {"weights.safetensors": _SIZED, "state.pt": _SIZED, "/etc/passwd": _SIZED},
    },
    "a huge size": {
        "format": 1, "step": 1,
        "files": {"weights.safetensors": {"bytes": 2**70, "sha256": "0" * 64}, "state.pt": _SIZED},
    },
    "a size below nothing": {
        "format": 1, "step": 1,
        "files": {"weights.safetensors": {"bytes": -1, "sha256": "0" * 64}, "state.pt": _SIZED},
    },
    "a true size": {
        "format": 1, "step": 1,
        "files": {"weights.safetensors": {"bytes": True, "sha256": "0" * 64}, "state.pt": _SIZED},
    },
    "a short hash": {
        "format": 1, "step": 1,
        "files": {"weights.safetensors": {"bytes": 1, "sha256": "0"}, "state.pt": _SIZED},
    },
    "megabytes": b" " * 2**21,
}  # fmt: skip


@pytest.mark.parametrize("manifest", _HOSTILE.values(), ids=_HOSTILE)
def test_a_hostile_manifest_is_damage_and_no_crash(saves, manifest):
    path = _save(saves, 1)
    if not isinstance(manifest, bytes):
        manifest = (json.dumps(manifest, indent=2) + "\n").encode()
    (path / "manifest.json").write_bytes(manifest)
    with pytest.raises(CheckpointError, match="The checkpoint step-000000001 is damaged: manif"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.pt", "manifest.json"])
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "missing"])
def test_what_is_not_a_regular_file_is_damage(saves, name, kind):
    path = _save(saves, 1)
    shutil.move(path / name, path / "elsewhere")
    {
        "pipe": lambda: os.mkfifo(path / name),
        "link": lambda: (path / name).symlink_to(path / "elsewhere"),
        "folder": lambda: (path / name).mkdir(),
        "missing": lambda: None,
    }[kind]()
    with pytest.raises(CheckpointError, match="is damaged: "):
        read_checkpoint(path)


def test_a_state_that_would_execute_something_is_damage(saves):
    import hashlib
    import io

    class Hostile:
        def __reduce__(self):
            return os.system, ("touch executed",)

    path = _save(saves, 1)
    buffer = io.BytesIO()
    torch.save({"progress": Hostile()}, buffer)
    (path / "state.pt").write_bytes(buffer.getvalue())
    manifest = json.loads((path / "manifest.json").read_bytes())
    manifest["files"]["state.pt"] = {
        "bytes": len(buffer.getvalue()),
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
    }
    (path / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    with pytest.raises(CheckpointError, match=r"state.pt: UnpicklingError"):
        read_checkpoint(path)


def test_other_entries_in_the_folder_are_left_alone(run, saves):
    for name in ("step-1", "step-x", "notes.txt", "step-0000000012.bak"):
        (run / "ckpt" / name).mkdir()
    _save(saves, 1)
    assert Checkpoints(run / "ckpt").steps() == [1]
    assert len(os.listdir(run / "ckpt")) == 5


# --- what a killed process leaves ------------------------------------------------------------


def test_a_half_written_checkpoint_is_removed_at_opening(run, saves):
    _save(saves, 1)
    half = run / "ckpt" / ".step-000000002.writing"
    shutil.copytree(run / "ckpt" / "step-000000001", half)
    Checkpoints(run / "ckpt")
    assert os.listdir(run / "ckpt") == ["step-000000001"]


def test_a_whole_checkpoint_that_lacks_its_name_gets_it_at_opening(run, saves):
    path = _save(saves, 7)
    path.rename(run / "ckpt" / ".step-000000007.writing")
    assert Checkpoints(run / "ckpt").newest().step == 7


def test_whatever_else_a_kill_or_a_stranger_left_is_removed_at_opening(run, saves):
    (run / "ckpt" / ".step-odd.writing").mkdir()
    (run / "ckpt" / ".step-000000001.removing").mkdir()
    (run / ".best.safetensors.writing").touch()
    Checkpoints(run / "ckpt")
    assert os.listdir(run / "ckpt") == []
    assert os.listdir(run) == ["ckpt"]


# --- a disk or a memory that is full ---------------------------------------------------------


def test_a_disk_without_room_is_told_before_anything_is_written(saves, monkeypatch):
    class Small(atomic.Disk):
        def free(self, path):
            return 1000

    monkeypatch.setattr(atomic, "disk", Small())
    with pytest.raises(ExhaustedError, match="is full: 1320 bytes needed, 1000 free") as caught:
        saves.save(1, {"w": torch.zeros(100)}, {"m": [torch.zeros(200)]})
    assert caught.value.exit_code == 6
    assert os.listdir(saves.folder) == []


def test_a_failed_save_is_told_at_the_next_call_and_the_one_after_goes_well(saves, monkeypatch):
    class Broken(atomic.Disk):
        def write(self, path, *parts):
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "disk", Broken())
        saves.save(1, {"w": torch.zeros(1)}, {})
        with pytest.raises(ExhaustedError, match=r"Cannot write .*: input/output error"):
            saves.wait()
    _save(saves, 2)
    assert saves.steps() == [2]
    assert not list(saves.folder.glob(".*"))


def test_a_best_that_could_not_be_saved_is_not_the_best(run, saves, monkeypatch):
    class Broken(atomic.Disk):
        def write(self, path, *parts):
            raise OSError(5, "Input/output error")

    _save(saves, 1, best=True)
    with monkeypatch.context() as patch:
        patch.setattr(atomic, "disk", Broken())
        with pytest.raises(ExhaustedError):
            _save(saves, 2, best=True)
    _save(saves, 3)
    assert saves.newest().best == 1
    assert _best(run) == 1


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
