"""What the reader of checkpoints answers; its own process is started in `test_reading.py`."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from netwright.models.weights.unpickling import answer


def saved(content: Any, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def test_the_old_form_of_a_checkpoint_is_read_too() -> None:
    half = {"a": torch.ones(2, dtype=torch.float16), "b": torch.ones(1, dtype=torch.bfloat16)}
    said, tensors = answer(saved(half, legacy=True))
    assert said == {"fault": "", "taken_off": []}
    assert [tensors[name].dtype for name in "ab"] == [torch.float16, torch.bfloat16]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_wrappings_of_a_state_dict_are_taken_off(key: str) -> None:
    said, tensors = answer(saved({"epoch": 3, key: {"module.0.weight": torch.ones(2)}}))
    assert list(tensors) == ["0.weight"]
    assert said["taken_off"] == [key, "module."]


def test_a_name_that_begins_with_module_by_chance_is_kept() -> None:
    _, tensors = answer(saved({"module.a": torch.ones(1), "b": torch.ones(1)}))
    assert list(tensors) == ["module.a", "b"]


def test_tied_and_transposed_weights_and_parameters_are_read_as_they_stand() -> None:
    base = torch.arange(6.0).view(2, 3)
    _, tensors = answer(saved({"a": base, "b": base, "c": base.T, "d": torch.nn.Parameter(base)}))
    assert torch.equal(tensors["b"], base)
    assert torch.equal(tensors["c"], base.T)
    assert not tensors["d"].requires_grad


class Trap:
    def __init__(self, place: Path) -> None:
        self.place = str(place)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.place,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_no_form_of_pickle_runs_code(form: str, protocol: int, tmp_path: Path) -> None:
    trap = {"weight": torch.ones(1), "trap": Trap(tmp_path / "sprung")}
    buffer = io.BytesIO()
    if form == "plain":
        buffer.write(pickle.dumps(trap["trap"], protocol=protocol))
    else:
        torch.save(
            trap,
            buffer,
            pickle_protocol=max(protocol, 2),
            _use_new_zipfile_serialization=form == "zip",
        )
    said, tensors = answer(buffer.getvalue())
    assert said["fault"] in {"code", "damaged"}
    assert not tensors
    assert not (tmp_path / "sprung").exists()


def test_the_function_a_trap_calls_for_is_named(tmp_path: Path) -> None:
    assert answer(saved([Trap(tmp_path / "x")]))[0] == {"fault": "code", "reason": "posix.mkdir"}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_damaged(share: float, legacy: bool) -> None:
    whole = saved({"a": torch.ones(100)}, legacy=legacy)
    said = _answered(whole[: int(len(whole) * share)])
    assert said["fault"] == "damaged"
    assert said["reason"]


def test_an_archive_that_is_no_checkpoint_is_damaged() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    assert _answered(buffer.getvalue())["fault"] == "damaged"


def _answered(data: bytes) -> dict[str, Any]:
    """As `main` does it: torch's own errors of memory and of archives are told apart there."""
    try:
        return answer(data)[0]
    except RuntimeError as error:
        return {"fault": "damaged", "reason": str(error)}


def test_a_tensor_that_claims_more_than_the_file_holds_is_a_lie() -> None:
    bomb = saved({"fc.weight": torch.zeros(1).as_strided((10**6, 10**6), (0, 0))})
    assert len(bomb) < 3000
    assert answer(bomb) == ({"fault": "lie", "reason": "fc.weight"}, {})


def test_many_views_of_one_small_storage_are_a_lie() -> None:
    base = torch.zeros(10**5)
    assert answer(saved({f"w{i}": base for i in range(500)}))[0]["fault"] == "lie"


def test_sparse_tensors_are_no_weights() -> None:
    sparse = torch.sparse_coo_tensor([[0]], [1.0], (10**9,), check_invariants=False)
    assert answer(saved({"a": sparse}))[0] == {"fault": "lie", "reason": "a"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [([1, 2], "list"), ({}, "dict"), ({"epoch": 1, "b": torch.ones(1)}, "epoch")],
)
def test_a_checkpoint_without_a_state_dict_is_empty(content: Any, reason: str) -> None:
    assert answer(saved(content)) == ({"fault": "empty", "reason": reason}, {})
