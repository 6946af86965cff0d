"""No damage to a checkpoint is taken for truth: it is named, and the one before is used."""

import json
import os
import random
import shutil

import pytest
import torch

from netwright.core.errors import CheckpointError
from netwright.train.checkpoints import Checkpoints, read_checkpoint
from netwright.train.weights import pack, read_weights


def test_there_is_no_newest_in_a_new_folder(saves):
    assert saves.newest() is None


def test_a_damaged_newest_is_named_and_moved_aside_and_the_one_before_is_used(run, saves, save):
    save(1)
    path = save(2)
    (path / "state.pt").write_bytes(b"short")
    assert saves.newest().step == 1
    ((name, reason),) = saves.damaged
    assert name == "step-000000002"
    assert reason.startswith("state.pt has 5 bytes, not ")
    assert (run / "ckpt/damaged/step-000000002/state.pt").read_bytes() == b"short"


def test_damaged_checkpoints_of_one_step_get_names_of_their_own(run, saves, save):
    for _ in range(3):
        (save(2) / "manifest.json").unlink()
        assert saves.newest() is None
    names = sorted(os.listdir(run / "ckpt" / "damaged"))
    assert names == ["step-000000002", "step-000000002-2", "step-000000002-3"]


def test_when_the_best_is_lost_the_next_evaluation_is_the_best_again(run, save):
    save(1, best=True)
    save(2)
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
def test_no_flipped_bit_is_accepted(saves, name):
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
def test_a_hostile_manifest_is_damage_and_no_crash(save, manifest):
    path = save(1)
    if not isinstance(manifest, bytes):
        manifest = (json.dumps(manifest, indent=2) + "\n").encode()
    (path / "manifest.json").write_bytes(manifest)
    with pytest.raises(CheckpointError, match="The checkpoint step-000000001 is damaged: manif"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "state.pt", "manifest.json"])
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "missing"])
def test_what_is_not_a_regular_file_is_damage(save, name, kind):
    path = save(1)
    shutil.move(path / name, path / "elsewhere")
    {
        "pipe": lambda: os.mkfifo(path / name),
        "link": lambda: (path / name).symlink_to(path / "elsewhere"),
        "folder": lambda: (path / name).mkdir(),
        "missing": lambda: None,
    }[kind]()
    with pytest.raises(CheckpointError, match="is damaged: "):
        read_checkpoint(path)


def test_a_state_that_would_execute_something_is_damage(save):
    import hashlib
    import io

    class Hostile:
        def __reduce__(self):
            return os.system, ("touch executed",)

    path = save(1)
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


def test_other_entries_in_the_folder_are_left_alone(run, save):
    for name in ("step-1", "step-x", "notes.txt", "step-0000000012.bak"):
        (run / "ckpt" / name).mkdir()
    save(1)
    assert Checkpoints(run / "ckpt").steps() == [1]
    assert len(os.listdir(run / "ckpt")) == 5
