"""The change of a script as `git apply` takes it, byte for byte."""

from __future__ import annotations

import difflib


def difference(name: str, before: bytes, after: bytes) -> bytes:
    r"""The change as a patch in the folder of `name`, applied there with `git apply`. Lines end at
    a line feed and nowhere else.

    >>> print(difference("a.py", b"x\n", b"y").decode().replace("\t", ""))
    --- a/a.py
    +++ b/a.py
    @@ -1 +1 @@
    -x
    +y
    \ No newline at end of file
    <BLANKLINE>
    """
    old, new = _lines(before), _lines(after)
    told = name.encode("utf-8", "surrogateescape")
    end = b"\t" if b" " in told else b""  # a tab ends a name with a space in it, as git writes it
    found = difflib.diff_bytes(
        difflib.unified_diff, old, new, b"a/" + told + end, b"b/" + told + end
    )
    text = b""
    for each in found:
        text += each if each.endswith(b"\n") else each + b"\n\\ No newline at end of file\n"
    return text


def changed_lines(patch: bytes) -> int:
    """How many lines a patch adds."""
    return sum(each.startswith(b"+") for each in patch.split(b"\n")[2:])


def _lines(data: bytes) -> list[bytes]:
    parts = data.split(b"\n")
    return [each + b"\n" for each in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
