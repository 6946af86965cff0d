"""Reading `.npz` files of unknown origin: nothing runs, nothing is allocated that is not there."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from netwright.core.errors import DataError
from netwright.records import arrays
from netwright.records.arrays import read_arrays


def test_arrays_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = {
        "confusion": np.arange(9).reshape(3, 3),
        "loss": np.float64(0.25),
        "turned": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "names": np.array(["a", "bcd"]),
        "none": np.zeros((0, 4), dtype=np.uint8),
    }
    np.savez_compressed(tmp_path / "val.npz", **written)
    read = read_arrays(tmp_path / "val.npz")
    assert read is not None
    assert set(read) == set(written)
    for name, array in written.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == np.asarray(array).dtype


def test_no_file_is_none(tmp_path: Path) -> None:
    assert read_arrays(tmp_path / "val.npz") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip file" * 50])
def test_what_is_no_archive_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "val.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"val\.npz is damaged"):
        read_arrays(tmp_path / "val.npz")


def test_a_flipped_byte_in_the_data_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "val.npz", a=np.zeros(1000))
    content = bytearray((tmp_path / "val.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "val.npz").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_arrays(tmp_path / "val.npz")


def test_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "val.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        read_arrays(tmp_path / "val.npz")


def test_a_shape_larger_than_its_data_allocates_nothing(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    with zipfile.ZipFile(tmp_path / "val.npz", "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(DataError, match="does not have 0 bytes"):
        read_arrays(tmp_path / "val.npz")


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "LARGEST_FILE", 10_000)
    np.savez_compressed(tmp_path / "val.npz", a=np.zeros(100_000))
    with pytest.raises(DataError, match="too large"):
        read_arrays(tmp_path / "val.npz")
