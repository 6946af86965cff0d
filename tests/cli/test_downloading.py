"""A download as the person at the screen sees it: a bar, two lines in a log, words when it fails.

The server is on this machine; the set is an MNIST of a few images.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.cli.progress import Progress
from netwright.cli.screen import Call
from netwright.core import downloads
from netwright.core.downloads import Resource, fetch
from netwright.core.errors import InterruptedRunError
from netwright.core.events import BytesCame, Noted
from netwright.data.sources import mnist

TRAIN = ["train", "mnist", "mlp", "model.hidden=[4]", "steps=1", "batch=16", "--run-dir", "run"]


def _idx(values: np.ndarray) -> bytes:
    head = struct.pack(f">{values.ndim + 1}i", 0x800 + values.ndim, *values.shape)
    return gzip.compress(head + values.tobytes(), mtime=0)


def _files() -> dict[str, bytes]:
    draw = np.random.default_rng(0)
    found = {}
    for prefix, count in (("train", 200), ("t10k", 40)):
        images = draw.integers(0, 255, (count, 28, 28), dtype=np.uint8)
        found[f"{prefix}-images-idx3-ubyte.gz"] = _idx(images)
        found[f"{prefix}-labels-idx1-ubyte.gz"] = _idx((np.arange(count) % 10).astype(np.uint8))
    return found


FILES = _files()
FIRST = "train-images-idx3-ubyte.gz"


class Handler(BaseHTTPRequestHandler):
    fault = ""
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        part = self.headers.get("Range", "")
        self.asked.append((name, part))
        body, status, headers = FILES[name], 200, {}
        start = int(found[1]) if (found := re.match(r"bytes=(\d+)-", part)) else 0
        if start:
            status, headers = 206, {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        body = body[start:]
        length = len(body)
        if self.fault == "wrong":
            body = body[::-1]
        elif self.fault == "short":
            body, length = body[:-7], len(body) - 7
        elif self.fault == "half":
            body = body[: length // 2] if not start else b""
        elif self.fault == "gone":
            self.send_error(404)
            return
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _mnist(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`mnist` lies on the server of this test; nothing is waited for."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "NETWRIGHT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETWRIGHT_HOME", str(tmp_path / "home"))
    resources = tuple(
        Resource(
            name=name,
            addresses=(address + name,),
            size=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
        )
        for name, body in FILES.items()
    )
    monkeypatch.setattr(mnist, "RESOURCES", resources)
    monkeypatch.setitem(fetch.__kwdefaults__, "sleep", lambda seconds: None)
    monkeypatch.setattr(Handler, "fault", "")
    monkeypatch.setattr(Handler, "asked", [], raising=False)


def test_in_a_log_a_download_is_two_lines(netwright):
    answer = netwright(*TRAIN)
    assert answer.status == 0, answer.err
    joined = " ".join(answer.err.split())
    assert len(re.findall(r"NOTE Downloading http://\S+ ", joined)) == 4
    said = r"OK {name} is here: \d+(\.\d+)? kB in \d+\.\d s, checksum right\."
    assert re.search(said.format(name=re.escape(FIRST)), joined)
    assert "\r" not in answer.err


def test_what_is_in_the_cache_is_not_announced_again(netwright):
    assert netwright(*TRAIN).status == 0
    before = len(Handler.asked)
    assert "Downloading" not in netwright("evaluate", "run").err
    assert len(Handler.asked) == before


def test_an_evaluation_fetches_too_and_says_so(netwright, monkeypatch, tmp_path):
    assert netwright(*TRAIN).status == 0
    monkeypatch.setenv("NETWRIGHT_HOME", str(tmp_path / "other"))
    answer = netwright("evaluate", "run", "--json")
    assert answer.status == 0
    assert answer.err.count("Downloading http") == 4


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("wrong", "wrong checksum: sha256"),
        ("short", "bytes, not"),
        ("half", "it stopped after"),
        ("gone", "the server answers 404"),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_a_bad_server_sends_is_exit_3_with_words(
    netwright, monkeypatch, fault, words, language
):
    monkeypatch.setattr(Handler, "fault", fault)
    answer = netwright(*TRAIN, "--lang", language)
    assert answer.status == 3
    assert "Traceback" not in answer.err + answer.out
    assert FIRST in answer.err
    if language == "en":
        assert words in " ".join(answer.err.split())
    else:
        assert "Cannot download" not in answer.err
    assert not Path("run").exists()


def test_after_ctrl_c_the_part_is_kept_and_the_next_download_goes_on(netwright, monkeypatch):
    whole = downloads.transfer

    def interrupted(address, file, terms, progress):
        file.write(FILES[FIRST][:5000])
        file.flush()
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "transfer", interrupted)
    answer = netwright(*TRAIN)
    assert answer.status == 130
    said = " ".join(answer.err.split())
    assert f"Stopped by Ctrl-C; 5.00 kB of {FIRST} are kept in" in said
    assert "The next download goes on from there." in said
    assert "Traceback" not in said
    monkeypatch.setattr(downloads, "transfer", whole)
    assert netwright(*TRAIN).status == 0
    assert Handler.asked[0] == (FIRST, "bytes=5000-")


def test_without_a_checksum_the_next_download_begins_anew(tmp_path, monkeypatch, address):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "transfer", interrupted)
    with pytest.raises(InterruptedRunError, match="begins anew"):
        fetch(Resource(name="x", addresses=(address,)), folder=tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _drawn(events: list[tuple[float, object]], **call: bool) -> str:
    """What a terminal gets for events at these times."""
    screen, now = Terminal(), [0.0]
    progress = Progress(Call(**call), stream=screen, clock=lambda: now[0])
    for when, event in events:
        now[0] = when
        progress(event)
    progress.close()
    return screen.getvalue()


def test_a_terminal_shows_bar_bytes_rate_and_the_time_that_is_left(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    events = [
        (0.0, BytesCame(held=1_000_000, total=10_000_000)),
        (0.05, BytesCame(held=1_100_000, total=10_000_000)),  # too soon to draw again
        (2.0, BytesCame(held=5_000_000, total=10_000_000)),
        (3.0, Noted(word="OK", template="It is here.")),
    ]
    lines = _drawn(events).split("\r\x1b[K")
    assert lines[1] == "[##..................]  10 %  1.00 MB of 10.0 MB"
    assert lines[2] == ("[##########..........]  50 %  5.00 MB of 10.0 MB  2.00 MB/s  2 s left")
    assert lines[3].endswith("It is here.\n")


def test_a_narrow_terminal_keeps_the_bytes_and_quiet_shows_nothing(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    events = [(float(t), BytesCame(held=t * 1_000_000, total=9_000_000)) for t in range(1, 4)]
    assert "3.00 MB of 9.00 MB" in _drawn(events)
    assert "[" not in _drawn(events).replace("\x1b[K", "")
    assert _drawn(events, quiet=True) == ""


def test_a_download_of_unknown_size_has_no_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    events = [(0.0, BytesCame(held=1_000, total=None)), (1.0, BytesCame(held=3_000, total=None))]
    assert "3.00 kB  2.00 kB/s" in _drawn(events)


def test_each_file_has_a_rate_of_its_own(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    events = [
        (0.0, BytesCame(held=1_000, total=9_000)),
        (1.0, BytesCame(held=9_000, total=9_000)),
        (1.0, Noted(word="NOTE", template="Downloading the next.")),
        (2.0, BytesCame(held=50_000, total=90_000)),
        (3.0, BytesCame(held=60_000, total=90_000)),
    ]
    assert "10.0 kB/s  3 s left" in _drawn(events)
