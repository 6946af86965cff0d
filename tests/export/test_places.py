"""A file is there whole or not at all, and what was there before is left alone."""

import errno
import os

import pytest

from netwright.core import atomic
from netwright.core.errors import ExhaustedError, SettingError
from netwright.export.places import refuse_place, staged


def write(path, text="new", *, overwrite=False, also=()):
    with staged(path, overwrite=overwrite) as place:
        place.write_text(text)
        for name in also:
            place.with_name(name).write_text(text)


def test_every_file_of_the_block_comes_to_its_place(tmp_path):
    write(tmp_path / "a.onnx", also=["a.onnx.data"])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.onnx", "a.onnx.data"]


def test_a_block_that_fails_leaves_nothing_and_the_old_file(tmp_path):
    (tmp_path / "a.onnx").write_text("old")
    with pytest.raises(TypeError):  # the second file fails
        write(tmp_path / "a.onnx", overwrite=True, also=[3])
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_text() == "old"


def test_a_file_is_replaced_only_when_that_was_said(tmp_path):
    (tmp_path / "a.onnx").write_text("old")
    with pytest.raises(SettingError, match=r"is there already.\nSay --yes"):
        refuse_place(tmp_path / "a.onnx", overwrite=False)
    with pytest.raises(SettingError, match="is there already"):
        write(tmp_path / "a.onnx")  # it came while the network was exported
    assert (tmp_path / "a.onnx").read_text() == "old"
    write(tmp_path / "a.onnx", overwrite=True)
    assert (tmp_path / "a.onnx").read_text() == "new"


def test_a_place_for_no_file_is_refused_at_once(tmp_path):
    with pytest.raises(SettingError, match=r"is a folder[\s\S]*model.onnx"):
        refuse_place(tmp_path, overwrite=True)
    with pytest.raises(SettingError, match=r"there is no folder [\s\S]*mkdir -p"):
        refuse_place(tmp_path / "none" / "a.onnx", overwrite=True)
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(SettingError, match="no regular file"):
        refuse_place(tmp_path / "pipe.onnx", overwrite=True)


@pytest.mark.parametrize("operation", ["make_folder", "sync", "rename"])
@pytest.mark.parametrize(
    ("code", "message"),
    [(errno.ENOSPC, "is full: more bytes needed"), (errno.EROFS, "Cannot write .*read-only")],
)
def test_a_disk_that_refuses_is_told_and_nothing_is_left(
    tmp_path, monkeypatch, operation, code, message
):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    (tmp_path / "a.onnx").write_text("old")
    monkeypatch.setattr(atomic.disk, operation, refuse)
    with pytest.raises(ExhaustedError, match=message):
        write(tmp_path / "a.onnx", overwrite=True)
    assert [each.name for each in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_text() == "old"
