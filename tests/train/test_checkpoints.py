"""What a checkpoint keeps, and which of them are kept."""

import json
import math
import os

import pytest
import torch
from torch import nn

from netwright.core import atomic
from netwright.train.checkpoints import Checkpoints, read_checkpoint
from netwright.train.weights import pack, unpack


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


def test_the_manifest_names_step_size_and_hash_of_each_file(save):
    manifest = json.loads((save(12) / "manifest.json").read_bytes())
    assert manifest["format"] == 1
    assert manifest["step"] == 12
    assert sorted(manifest["files"]) == ["state.pt", "weights.safetensors"]
    assert sorted(manifest["files"]["state.pt"]) == ["bytes", "sha256"]


def test_equal_weights_are_equal_bytes():
    weights = {name: torch.full((2,), float(len(name))) for name in ("a", "bb", "ccc")}
    files = {b"".join(pack(weights, ties={"d": "a"}, step=3, best=None)) for _ in range(8)}
    assert len(files) == 1
    assert list(unpack(files.pop())[0]) == ["a", "bb", "ccc", "d"]


def test_weights_are_plain_safetensors_for_everyone_else(save):
    from safetensors import safe_open

    with safe_open(save(12, best=True) / "weights.safetensors", "pt") as file:
        assert file.metadata()["format"] == "netwright/1"
        assert file.get_tensor("w").shape == (3, 2)


def test_the_manifest_is_written_last_and_all_is_forced_to_the_disk_in_order(save, monkeypatch):
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
    save(1)
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


def test_the_newest_three_and_the_best_are_kept(saves, save):
    for step in range(1, 8):
        save(step, best=step == 2)
    assert saves.steps() == [2, 5, 6, 7]


def test_each_kept_checkpoint_keeps_the_best_of_its_time(saves, save, best):
    for step in (1, 2, 3, 4, 5):
        save(step, best=step in (1, 5))
    assert saves.steps() == [1, 3, 4, 5]
    assert best() == 5
    saves.forget_after(4)
    assert best() == 1


def test_best_is_a_hard_link_to_the_weights_of_the_best(run, save):
    path = save(1, best=True)
    assert os.path.samefile(run / "best.safetensors", path / "weights.safetensors")


def test_best_is_a_copy_where_links_are_refused(run, save, best, monkeypatch):
    class Unlinked(atomic.Disk):
        def link(self, source, target):
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(atomic, "disk", Unlinked())
    path = save(1, best=True)
    save(2)
    assert best() == 1
    assert not os.path.samefile(run / "best.safetensors", path / "weights.safetensors")


def test_saving_a_step_again_replaces_it_and_the_best(saves, save, best):
    save(1, best=True, value=1)
    save(1, best=False, value=2)
    assert saves.newest().weights["w"][0, 0] == 2
    assert best() == 2


def test_a_kill_between_a_checkpoint_and_its_link_is_mended(run, save, best):
    save(1, best=True)
    old = (run / "best.safetensors").read_bytes()
    save(2, best=True)
    (run / "best.safetensors").unlink()
    (run / "best.safetensors").write_bytes(old)
    assert Checkpoints(run / "ckpt").newest().best == 2
    assert best() == 2


def test_going_back_looks_no_further_than_asked(saves, save):
    for step in (10, 20, 30):
        save(step)
    assert saves.newest(at_most=25).step == 20
    assert saves.newest(at_most=9) is None
    assert saves.steps() == [10, 20, 30]
