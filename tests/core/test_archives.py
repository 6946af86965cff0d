"""Archives: what is unpacked, and every way a hostile one is refused without a trace."""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from netwright.core.archives import Limits, is_archive, unpack, unpacked
from netwright.core.errors import DataError, ExhaustedError


def tar(path: Path, *entries: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            archive.addfile(info, io.BytesIO(entry[1]))
    return path


def zipped(path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def packed(kind: str, folder: Path, *entries: tuple[str, bytes]) -> Path:
    if kind == "zip":
        return zipped(folder / "set.zip", *entries)
    return tar(folder / f"set.{kind}", *entries, mode="w:gz" if kind == "tar.gz" else "w")


KINDS = pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
FILES = (("a/one.png", b"1" * 1000), ("a/two.png", b""), ("./b/deep/er.txt", b"text"))


@KINDS
def test_files_come_out_under_their_names(kind: str, tmp_path: Path) -> None:
    archive = packed(kind, tmp_path, *FILES)
    assert is_archive(archive)
    assert unpack(archive, tmp_path / "out") == 3
    found = {str(p.relative_to(tmp_path / "out")): p.read_bytes()
             for p in (tmp_path / "out").rglob("*") if p.is_file()}  # fmt: skip
    assert found == {"a/one.png": b"1" * 1000, "a/two.png": b"", "b/deep/er.txt": b"text"}


@KINDS
def test_only_what_is_wanted_is_unpacked(kind: str, tmp_path: Path) -> None:
    archive = packed(kind, tmp_path, *FILES)
    assert unpack(archive, tmp_path / "out", wanted=lambda name: name.endswith("two.png")) == 1
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["two.png"]


def test_the_folder_itself_may_be_an_entry(tmp_path: Path) -> None:
    archive = tar(tmp_path / "x.tar", special(".", tarfile.DIRTYPE), ("./a", b"a"))
    assert unpack(archive, tmp_path / "out") == 1


def test_modes_and_owners_of_the_archive_are_ignored(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a")
    info.mode = 0o6777
    assert unpack(tar(tmp_path / "x.tar", info), tmp_path / "out") == 1
    mode = (tmp_path / "out" / "a").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR | stat.S_IWOTH)


BAD_NAMES = [
    ("/etc/passwd", "is an absolute path"),
    ("C:/windows", "is an absolute path"),
    ("../out.txt", "leaves the folder"),
    ("a/../../out.txt", "leaves the folder"),
    ("a\\..\\out.txt", "has a backslash"),
    ("a/\x1b[31m.txt", "control character"),
    (".", "has no name"),
    ("x" * 300, "too long or too deep"),
    ("a/" * 40 + "b", "too long or too deep"),
]


@KINDS
@pytest.mark.parametrize(("name", "message"), BAD_NAMES)
def test_a_name_that_is_a_trick_is_refused(
    kind: str, name: str, message: str, tmp_path: Path
) -> None:
    archive = packed(kind, tmp_path, ("good.txt", b"good"), (name, b"bad"))
    refused(archive, tmp_path, message)


@KINDS
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.txt", "a.txt"), "is there twice"),
        (("a.txt", "./a.txt"), "is there twice"),
        (("a.txt", "A.TXT"), 'differs from "a.txt" in its case only'),
        (("a/x", "A/y"), 'differs from "a" in its case only'),
        (("caf\u00e9", "cafe\u0301"), "in its case only"),
        (("a", "a/b"), "is a file and a folder"),
        (("a/b", "a"), "is a file and a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_is_there_once_in_any_spelling(
    kind: str, names: tuple[str, str], message: str, tmp_path: Path
) -> None:
    refused(packed(kind, tmp_path, *((name, b"x") for name in names)), tmp_path, message)


@pytest.mark.parametrize(
    "entry",
    [
        special("link", tarfile.SYMTYPE, "/etc/passwd"),
        special("link", tarfile.LNKTYPE, "../../secret"),
        special("fifo", tarfile.FIFOTYPE),
        special("disk", tarfile.BLKTYPE),
        special("tty", tarfile.CHRTYPE),
    ],
    ids=["symlink", "hard link", "fifo", "block device", "character device"],
)
def test_links_and_devices_in_a_tar_are_refused(entry: tarfile.TarInfo, tmp_path: Path) -> None:
    refused(tar(tmp_path / "x.tar", ("a", b"a"), entry), tmp_path, "is a link or a device")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    refused(zipped(tmp_path / "x.zip", (info, b"/etc/passwd")), tmp_path, "is a link or a device")


def test_a_file_below_a_link_is_refused_at_the_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    archive = tar(
        tmp_path / "x.tar", special("d", tarfile.SYMTYPE, str(outside)), ("d/owned", b"x")
    )
    refused(archive, tmp_path, "is a link or a device")
    assert list(outside.iterdir()) == []


def test_a_zip_that_is_encrypted_or_oddly_packed_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", ("a", b"abc"))
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(raw)
    refused(path, tmp_path, "is encrypted")
    with zipfile.ZipFile(tmp_path / "y.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", b"abc")
    refused(tmp_path / "y.zip", tmp_path, "is packed in an unusual way")


@KINDS
def test_totals_are_capped(kind: str, tmp_path: Path) -> None:
    archive = packed(kind, tmp_path, ("a", bytes(50_000)), ("b", bytes(50_000)))
    refused(archive, tmp_path, "more than 1 entries", limits=Limits(entries=1))
    refused(archive, tmp_path, "more than 60.0 kB come out", limits=Limits(size=60_000))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_refused_by_its_ratio(kind: str, tmp_path: Path) -> None:
    archive = packed(kind, tmp_path, ("a", bytes(3_000_000)))
    refused(archive, tmp_path, "come out of it", limits=Limits(harmless=100_000))


def test_what_nobody_wants_is_not_unpacked_without_end_either(tmp_path: Path) -> None:
    archive = packed("tar.gz", tmp_path, ("a", bytes(9_000_000)))
    with pytest.raises(DataError, match=r"come out of it"):
        unpack(archive, tmp_path / "out", wanted=lambda name: False, limits=Limits(harmless=1000))


def test_a_zip_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", ("a", b"a" * 5000))
    raw = path.read_bytes().replace(struct.pack("<I", 5000), struct.pack("<I", 50))
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"Cannot unpack|holds more than the 50 bytes"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def header(**changes: object) -> bytes:
    info = tarfile.TarInfo("a")
    vars_ = {"type": tarfile.REGTYPE, "size": 0} | changes
    for name, value in vars_.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(header(type=kind, size=8 << 30) + bytes(1024)))
    refused(path, tmp_path, "has a header of impossible size")


def test_a_size_below_zero_is_refused(tmp_path: Path) -> None:
    raw = bytearray(header())
    raw[124:136] = b"\xff" * 11 + b"\x00"  # base 256, negative
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    path = tmp_path / "x.tar"
    path.write_bytes(bytes(raw) + bytes(1024))
    refused(path, tmp_path, "has a header of impossible size")


@KINDS
def test_a_truncated_archive_is_refused_wherever_it_was_cut(kind: str, tmp_path: Path) -> None:
    archive = packed(kind, tmp_path, ("a", os.urandom(700)), ("b", os.urandom(700)))
    whole = archive.read_bytes()
    end = whole.rstrip(b"\0") if kind == "tar" else whole
    for length in (*range(0, len(end), 97), 512, len(end) - 1):
        archive.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"Cannot unpack|is refused"):
            unpack(archive, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_bytes_that_are_no_archive_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"PK\3\4 and no more", b"\x1f\x8b nonsense", bytes(100)):
        (tmp_path / "x.zip").write_bytes(content)
        refused(tmp_path / "x.zip", tmp_path, r"Cannot unpack")


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = packed("tar", tmp_path, ("a", bytes(5000)))
    monkeypatch.setattr("netwright.core.archives.free_bytes", lambda path: 1000)
    with pytest.raises(ExhaustedError, match=r"has no room: 5.00 kB needed"):
        unpack(archive, tmp_path / "out")


def test_an_archive_is_unpacked_into_the_cache_once_for_each_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETWRIGHT_HOME", str(tmp_path / "home"))
    archive = packed("zip", tmp_path, ("a", b"1"), ("b", b"2"))
    first = unpacked(archive)
    (first / "mark").touch()
    assert (unpacked(archive) / "mark").exists()
    assert [p.name for p in unpacked(archive, only="b").iterdir()] == ["b"]
    packed("zip", tmp_path, ("a", b"3"))
    assert (unpacked(archive) / "a").read_bytes() == b"3"


def refused(path: Path, folder: Path, message: str, limits: Limits | None = None) -> None:
    with pytest.raises(DataError, match=message) as error:
        unpack(path, folder / "out", limits=limits)
    assert error.value.exit_code == 3
    left = {p.name for p in folder.iterdir()} - {path.name}
    assert not {name for name in left if name.startswith((".out", "out."))} | (left & {"out"})
