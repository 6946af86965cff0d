import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from netwright.core.errors import CheckpointError, SettingError
from netwright.models.adapters.state_dicts import load_state_dict, read_state_dict


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_a_checkpoint_of_torch_and_a_safetensors_file_are_read_alike(tmp_path: Path) -> None:
    weights = network().state_dict()
    torch.save(weights, tmp_path / "a.pth")
    save_file(weights, tmp_path / "a.safetensors")
    first = read_state_dict(tmp_path / "a.pth")
    second = read_state_dict(tmp_path / "a.safetensors")
    assert sorted(first) == sorted(second) == sorted(weights)
    assert all(torch.equal(first[name], second[name]) for name in weights)


def test_wrappings_of_a_state_dict_are_taken_off(tmp_path: Path) -> None:
    wrapped = {"epoch": 3, "state_dict": {"module.0.weight": torch.ones(2)}}
    torch.save(wrapped, tmp_path / "a.pth")
    assert list(read_state_dict(tmp_path / "a.pth")) == ["0.weight"]


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ("trap-sprung",)


def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": torch.ones(2), "trap": Trap()}, "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth is not read: .* would run code"):
        read_state_dict("a.pth")
    assert not Path("trap-sprung").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    weights = network().state_dict()
    if name.endswith("pth"):
        torch.save(weights, tmp_path / name)
    else:
        save_file(weights, tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        read_state_dict(tmp_path / name)


def test_a_file_that_is_not_there_and_one_without_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no weights file"):
        read_state_dict(tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds no state dict"):
        read_state_dict(tmp_path / "list.pth")


def test_weights_of_another_network_say_what_fits_and_leave_the_model_alone() -> None:
    model = network()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    weights = {
        "0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(4), "1.weight": torch.zeros(3),
        "1.bias": torch.zeros(3), "1.running_mean": torch.zeros(3), "fc": torch.zeros(1),
    }  # fmt: skip
    with pytest.raises(SettingError) as caught:
        load_state_dict(model, weights, source="them.pth")
    assert str(caught.value).startswith(
        "The weights in them.pth are those of another network: 4 of 7 tensors fit, 1 are missing, "
        "1 have no place, 1 have another shape. First differences: -1.running_var, +fc, 0.bias "
        "4 != 3."
    )
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_weights_older_than_the_count_of_batches_load() -> None:
    model = network()
    weights = {name: each for name, each in model.state_dict().items() if "tracked" not in name}
    load_state_dict(model, weights, source="old.pth")
