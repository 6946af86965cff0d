"""What is compared at resume, and the words a difference is told in."""

import numpy as np
import pytest
import torch

from netwright.core.languages import speaking
from netwright.train import environment
from netwright.train.environment import differences, environment_line


def test_the_line_holds_what_decides_the_bits():
    line = environment_line(micro_batch=32, world_size=2, amp="bfloat16")
    assert list(line) == [
        "python", "torch", "numpy", "netwright", "code", "device", "processor", "cpu_capability",
        "threads", "world_size", "micro_batch", "deterministic", "amp", "channels_last", "compiled",
        "synced_norms", "sharded",
    ]  # fmt: skip
    assert line["torch"] == torch.__version__
    assert line["numpy"] == np.__version__
    assert line["threads"] == torch.get_num_threads()
    assert (line["micro_batch"], line["world_size"], line["amp"]) == (32, 2, "bfloat16")


def test_the_line_is_of_strings_numbers_and_truth_values_only():
    assert {type(value) for value in environment_line().values()} <= {str, int, bool}


def test_the_deterministic_flag_is_what_torch_is_set_to(monkeypatch):
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert environment_line()["deterministic"] is True
    assert environment_line(deterministic=False)["deterministic"] is False


def test_one_machine_twice_differs_in_nothing():
    assert differences(environment_line(), environment_line()) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("torch", "2.12.0", "2.13.0", "torch 2.12.0 -> 2.13.0"),
        ("threads", 2, 4, "CPU threads 2 -> 4"),
        ("deterministic", True, False, "deterministic algorithms on -> off"),
        ("amp", "off", "bfloat16", "mixed precision off -> bfloat16"),
        ("cpu_capability", "AVX2", "AVX512", "CPU instruction set AVX2 -> AVX512"),
        ("code", "0a", "0b", "code of Netwright 0a -> 0b"),
        ("new_key", None, 1, "new_key unknown -> 1"),
    ],
)
def test_a_difference_is_told_in_words(name, old, new, words):
    found = differences({name: old} if old is not None else {}, {name: new})
    assert [str(each) for each in found] == [words]


def test_a_fact_that_is_gone_is_a_difference():
    (found,) = differences({"threads": 2}, {})
    assert str(found) == "CPU threads 2 -> unknown"


def test_differences_are_told_in_the_language_of_the_user():
    (found,) = differences({"threads": 2}, {"threads": 4})
    with speaking("zh"):
        assert found.localized() == "CPU 线程数 2 → 4"


def test_a_changed_source_line_changes_the_code(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("not code")
    monkeypatch.setattr(environment, "files", lambda _: tmp_path)
    before = environment._own_code.__wrapped__()
    (tmp_path / "notes.txt").write_text("still not code")
    assert environment._own_code.__wrapped__() == before
    (tmp_path / "inner" / "a.py").write_text("x = 2\n")
    assert environment._own_code.__wrapped__() != before
