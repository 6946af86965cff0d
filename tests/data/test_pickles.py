"""Pickles: plain data comes out, and nothing a pickle asks for is ever called."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.data.pickles import PickleError, read_pickle


def short(text: bytes) -> bytes:
    """SHORT_BINSTRING, the text of Python 2."""
    return b"U" + bytes([len(text)]) + text


def python2_batch(pixels: np.ndarray, labels: list[int], key: bytes = b"labels") -> bytes:
    """A batch as Python 2 and its NumPy wrote CIFAR, protocol 2, opcode by opcode."""
    count, width = pixels.shape
    raw = pixels.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85"
        + short(b"b") + b"\x87R(K\x01M" + struct.pack("<H", count) + b"M" + struct.pack("<H", width)
        + b"\x86cnumpy\ndtype\n" + short(b"u1") + b"K\x00K\x01\x87R(K\x03" + short(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", len(raw)) + raw
        + b"tb"
    )  # fmt: skip
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (
        b"\x80\x02}q\x01(" + short(b"batch_label") + short(b"training batch 1 of 5")
        + short(key) + numbers + short(b"data") + array
        + short(b"filenames") + b"](" + short(b"a.png") * len(labels) + b"eu."
    )  # fmt: skip


def test_a_batch_of_python_2_is_read() -> None:
    pixels = np.arange(300 * 12, dtype=np.uint8).reshape(300, 12)
    held = read_pickle(python2_batch(pixels, [3] * 300))
    assert np.array_equal(held["data"], pixels)
    assert held["data"].dtype == np.uint8
    assert held["labels"] == [3] * 300
    assert held["batch_label"] == "training batch 1 of 5"
    assert pickle.loads(python2_batch(pixels, [3] * 300), encoding="latin-1").keys() == held.keys()


@pytest.mark.parametrize("protocol", [3, 4])
def test_a_batch_of_python_3_is_read(protocol: int) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(5, 12)
    held = read_pickle(pickle.dumps({b"data": pixels, b"labels": [1, 2, 300, -1]}, protocol))
    assert np.array_equal(held[b"data"], pixels)
    assert held[b"labels"] == [1, 2, 300, -1]


class Evil:
    """What its pickle asks for leaves a file behind if it is ever called."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.asked = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.asked


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_calls_something_is_refused_and_nothing_is_called(
    protocol: int, tmp_path: Path
) -> None:
    mark = tmp_path / "called"
    for evil in (
        Evil(os.system, f"touch {mark}"),
        Evil(eval, f"open({str(mark)!r}, 'w')"),
        Evil(os.mkdir, str(mark)),
        Evil(getattr, Path, "touch"),
    ):
        with pytest.raises(PickleError, match=r"it asks for|damaged"):
            read_pickle(pickle.dumps({"data": evil, "labels": [1]}, protocol))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "os.system"),
        (b"\x80\x02cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar"),
        (b"\x80\x02cnumpy\nload\n.", "numpy.load"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93.", "builtins.exec"),
        (b"\x80\x02(cos\nsystem\no.", "os.system"),
        (b"(S'true'\nios\nsystem\n.", "the operation STRING"),
        (b"\x80\x02\x82\x01.", "the operation EXT1"),
        (b"\x80\x02Pabc\n.", "the operation PERSID"),
        (b"\x80\x02}\x81.", "the operation NEWOBJ"),
    ],
)
def test_what_is_asked_for_is_named(content: bytes, name: str) -> None:
    with pytest.raises(PickleError, match=name):
        read_pickle(content)


@pytest.mark.parametrize("kind", [object, np.float64, np.int64, "S4"])
def test_arrays_of_anything_but_bytes_are_refused(kind: Any) -> None:
    with pytest.raises(PickleError, match=r"not one of plain bytes|damaged|asks for"):
        read_pickle(pickle.dumps({"data": np.zeros((2, 2), kind)}, 4))


def test_an_array_that_is_larger_than_its_bytes_is_refused() -> None:
    good = python2_batch(np.zeros((4, 8), np.uint8), [0] * 4)
    with pytest.raises(PickleError, match=r"not one of plain bytes"):
        read_pickle(good.replace(b"M\x04\x00M\x08\x00", b"M\xff\xffM\xff\xff"))


@pytest.mark.parametrize(
    "content",
    [b"", b".", b"\x80\x02", b"\x80\x02}.x"[:3], b"\x80\x02R.", b"\x80\x02b.", b"\x80\x02h\x07.",
     b"\x80\x02e.", b"\x80\x02(K\x01u.", b"\x80\x02}K\x01a.", b"\x80\x02T\xff\xff\xff\x7fabc.",
     b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7fabc."],
)  # fmt: skip
def test_nonsense_is_damaged_not_an_accident(content: bytes) -> None:
    with pytest.raises(PickleError, match=r"damaged"):
        read_pickle(content)


def test_a_key_that_is_deeper_than_the_stack_of_python_is_refused() -> None:
    deep = b"\x80\x02})" + b"\x85" * 50_000 + b"K\x01s."
    with pytest.raises(PickleError, match=r"damaged"):
        read_pickle(deep)


def test_a_list_that_holds_itself_does_no_harm() -> None:
    assert isinstance(read_pickle(b"\x80\x02]q\x00h\x00a."), list)


def test_a_thousand_flipped_bytes_never_do_anything_but_read_or_refuse() -> None:
    whole = python2_batch(np.zeros((4, 8), np.uint8), [0, 1, 2, 3])
    draw = random.Random(0)
    for _ in range(1000):
        content = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        with contextlib.suppress(PickleError):
            read_pickle(bytes(content))
