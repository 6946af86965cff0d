"""What the reader of checkpoints answers; its own process is started in `test_reading.py`."""

import argparse
import io
import os
import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from netwright.models.weights import unpickling
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
    assert said["fault"] in {"code", "damaged", "pickle"}
    assert not tensors
    assert not (tmp_path / "sprung").exists()


def test_the_function_a_trap_calls_for_is_named(tmp_path: Path) -> None:
    assert answer(saved([Trap(tmp_path / "x")]))[0] == {"fault": "code", "reason": "posix.mkdir"}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_checkpoint_cut_short_is_damaged(share: float, legacy: bool) -> None:
    whole = saved({"a": torch.ones(100)}, legacy=legacy)
    said = _answered(whole[: int(len(whole) * share)])
    assert said["fault"] in {"damaged", "short"}
    assert said["fault"] == "short" or said["reason"]


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
    [([1, 2], "list"), ({}, "{}"), ({"epoch": 1, "b": torch.ones(1)}, "epoch")],
)
def test_a_checkpoint_without_a_state_dict_is_empty(content: Any, reason: str) -> None:
    assert answer(saved(content)) == ({"fault": "empty", "reason": reason}, {})


@pytest.mark.parametrize("key", ["net", "params", "model_ema", "generator"])
def test_the_only_state_dict_of_a_checkpoint_is_taken_whatever_it_is_called(key: str) -> None:
    said, tensors = answer(saved({"epoch": 3, key: {"module.a": torch.ones(2)}, "best": 0.9}))
    assert said == {"fault": "", "taken_off": [key, "module."]}
    assert list(tensors) == ["a"]


def test_of_two_state_dicts_none_is_guessed() -> None:
    both = {"student": {"a": torch.ones(1)}, "teacher": {"a": torch.zeros(1)}}
    said, tensors = answer(saved(both))
    assert said == {"fault": "several", "reason": "student, teacher"}
    assert not tensors
    named = answer(saved({**both, "state_dict": {"a": torch.ones(1)}}))[0]
    assert named == {"fault": "", "taken_off": ["state_dict"]}


def test_tensors_with_an_entry_of_tensors_between_them_are_no_state_dict() -> None:
    mixed = {"a": torch.ones(1), "more": {"b": torch.ones(1)}}
    assert answer(saved(mixed))[0] == {"fault": "empty", "reason": "more"}


def test_records_and_paths_beside_the_weights_do_no_harm() -> None:
    beside = {"hyper_parameters": argparse.Namespace(lr=0.1), "callbacks": {"at": Path("/x")}}
    said, tensors = answer(saved({"state_dict": {"a": torch.ones(1)}, **beside}))
    assert said["fault"] == ""
    assert list(tensors) == ["a"]
    trapped = argparse.Namespace(lr=Trap(Path("/nowhere/sprung")))
    said = answer(saved({"state_dict": {"a": torch.ones(1)}, "hyper_parameters": trapped}))[0]
    assert said == {"fault": "code", "reason": "posix.mkdir"}


@pytest.mark.filterwarnings("ignore:'torch.load' received a zip file that looks like")
def test_a_program_of_torchscript_is_not_called_damaged() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # what makes torch take it for one
        archive.writestr("net/constants.pkl", pickle.dumps(()))
        archive.writestr("net/data.pkl", pickle.dumps({}))
        archive.writestr("net/version", "3")
    assert answer(buffer.getvalue())[0] == {"fault": "script"}


def test_the_reader_may_take_seconds_by_the_size_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: dict[int, tuple[int, int]] = {}
    monkeypatch.setattr(resource, "setrlimit", lambda kind, most: limits.update({kind: most}))
    unpickling._limit(0)
    small = limits[resource.RLIMIT_CPU][0]
    unpickling._limit(2**30)
    assert 60 <= small < limits[resource.RLIMIT_CPU][0] - 100
    assert limits[resource.RLIMIT_FSIZE] == (0, 0)
    assert limits[resource.RLIMIT_AS][0] > 2**30
