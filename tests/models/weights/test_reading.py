"""Weights files of others, honest and hostile: what is read, and what is refused in which words."""

import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from netwright.core.errors import CheckpointError, ExhaustedError, SettingError
from netwright.models.weights.reading import read_weights_file


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_a_checkpoint_of_torch_and_a_safetensors_file_are_read_alike(tmp_path: Path) -> None:
    weights = network().state_dict()
    torch.save(weights, tmp_path / "a.pth")
    save_file(weights, tmp_path / "a.safetensors", metadata={"source": "here"})
    first = read_weights_file(tmp_path / "a.pth")
    second = read_weights_file(tmp_path / "a.safetensors")
    assert sorted(first.tensors) == sorted(second.tensors) == sorted(weights)
    assert all(torch.equal(first.tensors[name], second.tensors[name]) for name in weights)
    assert second.metadata == {"source": "here"}
    for file in (first, second):
        assert file.sha256 == hashlib.sha256(file.path.read_bytes()).hexdigest()


def test_a_header_of_any_length_is_told_from_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for spaces in range(300):  # some header has 0x80, a pickle's mark, as its first byte
        save_file({"a": torch.ones(1)}, path, metadata={"x": "y" * spaces})
        if path.read_bytes()[:1] == b"\x80":
            break
    else:
        pytest.fail("no such header was made")
    assert list(read_weights_file(path).tensors) == ["a"]


class Trap:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path: Path) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "a.pth"
    torch.save({"weight": torch.ones(2), "trap": Trap(f"touch {sprung}")}, path)
    with pytest.raises(SettingError, match=r"a\.pth is not read: it calls for posix\.system"):
        read_weights_file(path)
    assert not sprung.exists()
    assert Trap(f"touch {sprung}").__reduce__()[0](f"touch {sprung}") == 0
    assert sprung.exists(), "the trap would have left this"


@pytest.mark.parametrize(
    ("name", "share"),
    [("a.pth", 0.5), ("a.safetensors", 0.02), ("a.safetensors", 0.5), ("a.safetensors", 0.99)],
)
def test_a_file_cut_short_is_refused(name: str, share: float, tmp_path: Path) -> None:
    weights = network().state_dict()
    if name.endswith("pth"):
        torch.save(weights, tmp_path / name)
    else:
        save_file(weights, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match="damaged"):
        read_weights_file(tmp_path / name)


def test_the_child_may_not_take_the_memory_a_packed_file_asks_for(tmp_path: Path) -> None:
    storage = torch.zeros(1)
    torch.save({"a": storage}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = next(name for name in members if name.endswith("data/0"))
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            if name != data:
                archive.writestr(name, content)
        with archive.open(data, "w") as member:
            for _ in range(300):
                member.write(bytes(2**20))
    with pytest.raises(CheckpointError, match=r"far more memory|damaged"):
        read_weights_file(tmp_path / "packed.pth")


def test_a_header_that_claims_a_billion_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 10**9) + b"{}")
    with pytest.raises(CheckpointError, match="damaged"):
        read_weights_file(tmp_path / "a.safetensors")


def test_a_header_that_claims_a_huge_tensor_is_refused(tmp_path: Path) -> None:
    claim = {"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}
    header = json.dumps(claim).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(CheckpointError, match="damaged"):
        read_weights_file(tmp_path / "a.safetensors")


def test_a_file_larger_than_the_memory_is_not_begun(tmp_path: Path) -> None:
    with (tmp_path / "a.safetensors").open("wb") as file:
        file.truncate(2**43)  # sparse: no byte of it is on the disk
    with pytest.raises(ExhaustedError, match="more than the"):
        read_weights_file(tmp_path / "a.safetensors")


def test_a_missing_file_names_those_beside_it(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "resnet18.safetensors")
    with pytest.raises(SettingError, match=r"no weights file .*\nNearest: .*/resnet18\.safete"):
        read_weights_file(tmp_path / "resnet8.safetensors")


def test_the_name_of_published_weights_is_offered_for_one_like_it(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"no weights file .*\nNearest: imagenet1k-v1\."):
        read_weights_file(tmp_path / "imagenet1k-v2")


def test_a_folder_and_a_text_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    with pytest.raises(SettingError, match="is a folder, neither a run nor a weights file"):
        read_weights_file(tmp_path)
    with pytest.raises(SettingError, match=r"labels\.txt is no weights file"):
        read_weights_file(tmp_path / "labels.txt")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is empty: it has 0 bytes\.\nDownload"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", r"git lfs pull"),
        (b"\n<!DOCTYPE html><html>404</html>", r"is a web page, and not a file of weights"),
    ],
)
def test_what_lies_in_the_place_of_weights_is_named(
    content: bytes, words: str, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=words):
        read_weights_file(path)


def test_a_pipe_and_a_link_to_itself_are_not_offered_as_their_own_neighbour(
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    (tmp_path / "loop.pth").symlink_to("loop.pth")
    for name in ("pipe.pth", "loop.pth"):
        with pytest.raises(SettingError, match=r"is no plain file, but a pipe, a device") as told:
            read_weights_file(tmp_path / name)
        assert "Nearest" not in str(told.value)


def test_a_pickle_of_another_kind_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": [1.0, 2.0]}, protocol=4))
    with pytest.raises(SettingError, match=r"a\.pkl is not read: it is a pickle, but none that"):
        read_weights_file(tmp_path / "a.pkl")


def test_a_reader_that_takes_too_much_of_the_processor_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    end = "import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"
    ended = subprocess.run([sys.executable, "-c", end], capture_output=True, check=False)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(CheckpointError, match="far more time than a file of its size") as told:
        read_weights_file(tmp_path / "a.pth")
    assert "damaged" not in str(told.value)
