"""One attempt to bring what an address holds into a file, going on where the file ends.

HTTP range requests (RFC 9110, section 14): a server that does not know them sends everything
from the start, and so is one answered that sends another part than was asked for.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, TypeAlias

from netwright.core.cache import amount, need_room, writing
from netwright.core.languages import Phrase

Progress: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes there will be, None where nobody knows."""

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_PASSING = {408, 425, 429, 500, 502, 503, 504}  # a later attempt may be answered otherwise


class TransferError(Exception):
    """An attempt that failed: why, and whether another one may do better."""

    def __init__(self, reason: Phrase | str, *, again: bool) -> None:
        super().__init__(str(reason))
        self.reason = reason
        self.again = again


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is accepted: the exact size, if it is known, and the largest; seconds of silence."""

    size: int | None
    limit: int
    silence: float


def transfer(address: str, file: IO[bytes], terms: Terms, progress: Progress | None) -> None:
    """Bring `file` from its present length to the whole of what `address` holds.

    Raises `TransferError`; what has come by then stays in the file for the next attempt.
    Raises `ExhaustedError` when the disk has no room.
    """
    start = file.seek(0, 2)
    if terms.size is not None and start > terms.size:
        start = _restart(file)
    if start == terms.size:
        return
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "netwright"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        with _opener().open(request, timeout=terms.silence) as response:
            if start != _begins(response, start):
                start = _restart(file)
            total = _announced(response, start, terms)
            need_room(Path(file.name), (total or start) - start)
            _copy(response, file, start, total, terms, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the server has less than the file holds, or just that
            _restart(file)
            raise TransferError(_status(error), again=True) from error
        raise TransferError(_status(error), again=error.code in _PASSING) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TransferError(_said(error), again=not isinstance(error, ValueError)) from error


def _copy(
    response: Any,
    file: IO[bytes],
    start: int,
    total: int | None,
    terms: Terms,
    progress: Progress | None,
) -> None:
    held = start
    while chunk := response.read(_CHUNK):
        held += len(chunk)
        if held > (terms.limit if total is None else total):
            _refuse_size(held, terms)
        with writing(Path(file.name), needed=total):
            file.write(chunk)
            file.flush()
        if progress is not None:
            progress(held, total)
    if held < (total or 0):
        raise TransferError(
            Phrase("it stopped after {held} of {total} bytes", held=held, total=total), again=True
        )


def _begins(response: Any, asked: int) -> int:
    """Where the answer begins; a part that is not the one asked for cannot be used."""
    if response.status != 206:
        return 0
    found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if found is None or int(found[1]) != asked:
        raise TransferError(Phrase("it sent another part than was asked for"), again=False)
    return asked


def _announced(response: Any, start: int, terms: Terms) -> int | None:
    """The size of the whole as the server announces it, checked against the terms."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdigit() else None
    if total is not None and (total > terms.limit or terms.size not in (None, total)):
        _refuse_size(total, terms)
    return total if total is not None else terms.size


def _refuse_size(found: int, terms: Terms) -> NoReturn:
    if terms.size is not None:
        raise TransferError(
            Phrase("it has {found} bytes, not {size}", found=found, size=terms.size), again=False
        )
    raise TransferError(
        Phrase("it is larger than the {limit} allowed", limit=amount(terms.limit)), again=False
    )


def _restart(file: IO[bytes]) -> int:
    file.seek(0)
    file.truncate()
    return 0


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, none from a secure address to an open one."""

    max_redirections = 6
    max_repeats = 2

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        allowed = ("https:",) if req.full_url.startswith("https:") else ("https:", "http:")
        if not newurl.startswith(allowed):
            raise TransferError(Phrase("it redirects to an address that is less safe"), again=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Only http and https: the usual opener would follow an address to a local file, or ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _status(error: urllib.error.HTTPError) -> Phrase:
    if 300 <= error.code < 400:
        return Phrase("it redirects without end, or to no address of the web")
    return Phrase(
        "the server answers {code} ({text})", code=error.code, text=error.reason or "no reason"
    )


def _said(error: BaseException) -> Phrase | str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return Phrase("no answer in time")
    if isinstance(inner, http.client.IncompleteRead | http.client.RemoteDisconnected):
        return Phrase("the connection broke off")
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(inner) or type(inner).__name__
