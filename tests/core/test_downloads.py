"""Downloads, against a server on this machine that misbehaves in every way we know."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from netwright.core.cache import cache_home
from netwright.core.downloads import Resource, fetch
from netwright.core.errors import DataError, ExhaustedError
from netwright.core.events import Noted

BODY = bytes(range(256)) * 4000  # about 1 MB
SHA = hashlib.sha256(BODY).hexdigest()
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers the n-th request with the n-th of `answers`, and with the last one ever after."""

    answers: list[Answer]
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:  # the name the library calls
        self.asked.append((self.path, self.headers.get("Range", "")))
        self.answers[min(len(self.asked), len(self.answers)) - 1](self)

    def log_message(self, *args: Any) -> None:
        pass

    def send(
        self, status: int, body: bytes = b"", *, length: int | None = None, **headers: str
    ) -> None:
        self.send_response(status)
        if length != -1:
            self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Server:
    def __init__(self) -> None:
        class Own(Handler):
            answers: list[Answer] = []  # noqa: RUF012
            asked: list[tuple[str, str]] = []  # noqa: RUF012

        self.handler = Own
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Own)
        self.address = f"http://127.0.0.1:{self.http.server_port}/file"

    def answers(self, *answers: Answer) -> None:
        self.handler.answers[:] = answers
        self.handler.asked.clear()

    @property
    def ranges(self) -> list[str]:
        return [asked for _, asked in self.handler.asked]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "NETWRIGHT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    running.answers(whole)
    return running


def whole(handler: Handler) -> None:
    """A good server: the whole, or the part that was asked for."""
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if found is None:
        return handler.send(200, BODY)
    start = int(found[1])
    if start >= len(BODY):
        return handler.send(416, Content_Range=f"bytes */{len(BODY)}")
    content_range = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    return handler.send(206, BODY[start:], Content_Range=content_range)


def half(handler: Handler) -> None:
    """Stops half-way through what it announced."""
    found = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    start = int(found[1]) if found else 0
    end = start + (len(BODY) - start) // 2
    content_range = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    handler.send(
        206 if found else 200, BODY[start:end], length=len(BODY) - start,
        **({"Content_Range": content_range} if found else {}),
    )  # fmt: skip
    handler.close_connection = True


def ignoring(handler: Handler) -> None:
    handler.send(200, BODY)


def status(code: int) -> Answer:
    return lambda handler: handler.send(code, b"sorry")


def redirect(target: str) -> Answer:
    return lambda handler: handler.send(302, Location=target)


def fetched(server: Server, folder: Path, **changes: Any) -> Path:
    options: dict[str, Any] = {"sleep": lambda seconds: None, "silence": 5.0}
    options |= {k: changes.pop(k) for k in list(changes) if k not in ("sha256", "size", "name",
                                                                      "addresses")}  # fmt: skip
    facts = {"name": "set.gz", "addresses": (server.address,), "size": len(BODY), "sha256": SHA}
    return fetch(Resource(**(facts | changes)), folder=folder, **options)


def notes(folder: Path, server: Server, **changes: Any) -> list[str]:
    heard: list[Noted] = []
    fetched(server, folder, announce=heard.append, **changes)
    return [f"{note.word} {note.template.format(**note.values)}" for note in heard]


def test_a_file_is_fetched_and_nothing_else_is_left(server: Server, tmp_path: Path) -> None:
    assert fetched(server, tmp_path / "cache").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["set.gz"]


def test_address_and_size_are_announced_before(server: Server, tmp_path: Path) -> None:
    heard: list[str] = []
    server.answers(lambda handler: (heard.append("asked"), whole(handler))[1])
    fetched(server, tmp_path, announce=lambda note: heard.append(note.template.format(**note.values)))  # fmt: skip # noqa: E501
    assert heard[:2] == [f"Downloading {server.address} (1.02 MB).", "asked"]


def test_what_is_in_the_cache_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    fetched(server, tmp_path)
    assert notes(tmp_path, server) == []
    assert len(server.ranges) == 1


def test_progress_is_told_to_the_last_byte(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    fetched(server, tmp_path, progress=lambda held, total: seen.append((held, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_connection_that_breaks_off_is_taken_up_where_it_was(
    server: Server, tmp_path: Path
) -> None:
    server.answers(half, half, whole)
    pauses: list[float] = []
    assert fetched(server, tmp_path, sleep=pauses.append).read_bytes() == BODY
    assert server.ranges == ["", f"bytes={len(BODY) // 2}-", f"bytes={len(BODY) * 3 // 4}-"]
    assert pauses == [1.0, 1.0]  # each got further than the one before


def test_a_server_that_gets_no_further_is_given_up_after_growing_pauses(
    server: Server, tmp_path: Path
) -> None:
    server.answers(status(503))
    pauses: list[float] = []
    with pytest.raises(DataError, match=r"the server answers 503") as error:
        fetched(server, tmp_path, sleep=pauses.append)
    assert pauses == [1.0, 2.0, 4.0][: len(pauses)]
    assert len(server.ranges) == 4
    assert error.value.exit_code == 3


def test_a_server_that_always_stops_at_the_same_byte_is_given_up(
    server: Server, tmp_path: Path
) -> None:
    def stuck(handler: Handler) -> None:
        handler.send(200, BODY[:1000], length=len(BODY))
        handler.close_connection = True

    server.answers(stuck)
    with pytest.raises(DataError, match=r"it stopped after 1000 of 1024000 bytes"):
        fetched(server, tmp_path)
    assert not (tmp_path / "set.gz").exists()


def test_the_next_process_goes_on_where_this_one_stopped(server: Server, tmp_path: Path) -> None:
    server.answers(half, status(404))
    with pytest.raises(DataError, match=r"the server answers 404"):
        fetched(server, tmp_path)
    server.answers(whole)
    assert fetched(server, tmp_path).read_bytes() == BODY
    assert server.ranges == [f"bytes={len(BODY) // 2}-"]


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.answers(half, ignoring)
    assert fetched(server, tmp_path).read_bytes() == BODY


def test_another_part_than_was_asked_for_is_not_used(server: Server, tmp_path: Path) -> None:
    wrong = f"bytes 5-{len(BODY) - 1}/{len(BODY)}"
    server.answers(half, lambda handler: handler.send(206, BODY[5:], Content_Range=wrong))
    with pytest.raises(DataError, match=r"another part than was asked for"):
        fetched(server, tmp_path)


def test_a_range_that_cannot_be_had_begins_anew(server: Server, tmp_path: Path) -> None:
    server.answers(half, status(416), whole)
    assert fetched(server, tmp_path).read_bytes() == BODY
    assert server.ranges[-1] == ""


def test_halves_of_two_versions_are_noticed_and_fetched_whole(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / ".set.gz.part").write_bytes(b"of another version")
    assert fetched(server, tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=18-", ""]
    assert [path.name for path in tmp_path.iterdir()] == ["set.gz"]


def test_a_wrong_checksum_is_set_aside_and_never_used(server: Server, tmp_path: Path) -> None:
    server.answers(lambda handler: handler.send(200, BODY[::-1]))
    with pytest.raises(DataError, match=r"wrong checksum: sha256 .* expected") as error:
        fetched(server, tmp_path)
    assert not (tmp_path / "set.gz").exists()
    aside = next(tmp_path.glob("set.gz.wrong-*"))
    assert aside.read_bytes() == BODY[::-1]
    assert str(aside) in str(error.value)
    assert "compare it with the one published" in str(error.value)
    assert "Try again later" not in str(error.value)  # it would bring the same


def test_a_file_of_the_cache_that_was_damaged_is_fetched_again(
    server: Server, tmp_path: Path
) -> None:
    fetched(server, tmp_path).write_bytes(BODY[::-1])
    assert fetched(server, tmp_path).read_bytes() == BODY
    assert len(list(tmp_path.glob("set.gz.wrong-*"))) == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda handler: handler.send(200, BODY[:-1]),
        lambda handler: handler.send(200, BODY + b"!"),
        lambda handler: handler.send(200, BODY + b"!", length=-1),
    ],
    ids=["shorter", "longer", "longer, unannounced"],
)
def test_a_file_of_another_size_is_refused(answer: Answer, server: Server, tmp_path: Path) -> None:
    server.answers(answer)
    with pytest.raises(DataError, match=r"it has 10\d+ bytes, not 1024000"):
        fetched(server, tmp_path)


def test_without_a_length_a_short_file_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.answers(lambda handler: handler.send(200, BODY[:5000], length=-1), whole)
    assert fetched(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("length", [None, -1], ids=["announced", "unannounced"])
def test_more_than_the_limit_is_refused(length: int | None, server: Server, tmp_path: Path) -> None:
    server.answers(lambda handler: handler.send(200, BODY, length=length))
    with pytest.raises(DataError, match=r"larger than the 100 kB allowed"):
        fetched(server, tmp_path, size=None, limit=100_000)


def test_a_redirect_is_followed(server: Server, tmp_path: Path) -> None:
    server.answers(redirect("/elsewhere"), whole)
    assert fetched(server, tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("target", ["/file", "file:///etc/passwd", "gopher://x/"])
def test_redirects_in_a_circle_or_out_of_the_web_are_refused(
    target: str, server: Server, tmp_path: Path
) -> None:
    server.answers(redirect(target))
    with pytest.raises(DataError, match=r"redirects without end, or to no address of the web"):
        fetched(server, tmp_path)
    assert len(server.ranges) < 8


def test_a_redirect_to_ftp_is_refused(server: Server, tmp_path: Path) -> None:
    server.answers(redirect("ftp://127.0.0.1/file"))
    with pytest.raises(DataError, match=r"redirects to an address that is less safe"):
        fetched(server, tmp_path)


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_not_asked_for_twice(code: int, server: Server, tmp_path: Path) -> None:
    server.answers(status(code))
    with pytest.raises(DataError, match=rf"the server answers {code}"):
        fetched(server, tmp_path)
    assert len(server.ranges) == 1


def test_the_next_address_is_asked_when_the_first_fails(server: Server, tmp_path: Path) -> None:
    server.answers(status(404), whole)
    second = server.address.replace("/file", "/mirror")
    path = fetched(server, tmp_path, addresses=(server.address, second))
    assert path.read_bytes() == BODY


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    server: Server, tmp_path: Path
) -> None:
    over = threading.Event()

    def silent(handler: Handler) -> None:
        handler.send(200, BODY[:100], length=len(BODY))
        over.wait(10)

    server.answers(silent)
    try:
        with pytest.raises(DataError, match=r"no answer in time"):
            fetched(server, tmp_path, silence=0.05, tries=2)
    finally:
        over.set()


def test_nobody_there_is_a_data_error(tmp_path: Path) -> None:
    resource = Resource(name="set.gz", addresses=("http://127.0.0.1:9/x",))
    with pytest.raises(DataError, match=r"Cannot download set.gz: http://127.0.0.1:9/x: .*refused"):
        fetch(resource, folder=tmp_path, sleep=lambda seconds: None)


@pytest.mark.parametrize("address", ["file:///etc/hostname", "nonsense", "http://[bad/"])
def test_only_addresses_of_the_web_are_fetched(address: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Cannot download"):
        fetch(Resource(name="x", addresses=(address,)), folder=tmp_path, sleep=lambda seconds: None)


def test_without_a_checksum_only_the_size_is_checked_and_that_is_said(
    server: Server, tmp_path: Path
) -> None:
    assert notes(tmp_path, server, sha256=None)[1:2] == [
        "WARN set.gz: no checksum is published; only its size was checked."
    ]
    assert notes(tmp_path, server, sha256=None, size=None, name="other")[1:2] == [
        "WARN other: neither checksum nor size is published; nothing was checked."
    ]


def test_without_a_checksum_halves_are_never_joined(server: Server, tmp_path: Path) -> None:
    server.answers(half, whole)
    assert fetched(server, tmp_path, sha256=None).read_bytes() == BODY
    assert server.ranges == ["", ""]


def test_offline_nothing_is_asked(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETWRIGHT_OFFLINE", "1")
    with pytest.raises(DataError, match=r"NETWRIGHT_OFFLINE=1 forbids to download it"):
        fetched(server, tmp_path / "cache")
    assert server.ranges == []
    assert not (tmp_path / "cache").exists()


def test_offline_the_cache_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched(server, tmp_path)
    monkeypatch.setenv("NETWRIGHT_OFFLINE", "1")
    assert fetched(server, tmp_path).read_bytes() == BODY


def test_two_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    paths: list[Path] = []
    threads = [
        threading.Thread(target=lambda: paths.append(fetched(server, tmp_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() for path in paths] == [BODY] * 4
    assert len(server.ranges) == 1


def test_a_disk_without_room_is_said_before_anything_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwright.core.cache.free_bytes", lambda path: 1000)
    with pytest.raises(ExhaustedError, match=r"has no room: 1.02 MB needed, 1.00 kB free"):
        fetched(server, tmp_path)


def test_a_cache_that_cannot_be_written_is_said(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExhaustedError, match=r"Cannot write .*\n.*NETWRIGHT_HOME"):
        fetched(server, tmp_path / "file" / "cache")


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETWRIGHT_HOME", "/somewhere")
    assert cache_home() == Path("/somewhere")
    monkeypatch.delenv("NETWRIGHT_HOME")
    assert cache_home() == Path.home() / ".cache" / "netwright"
