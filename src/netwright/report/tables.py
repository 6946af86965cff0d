"""Tables and folds: rows of finished cells, numbers on the right, long ones folded."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.escaping import html_text


def table(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, kinds: str, foot: Sequence[str] = ()
) -> str:
    """An HTML table. `head` is plain text; cells of `rows` and `foot` are finished HTML.

    `kinds` has a letter for each column: `t` text, `n` number, `b` bar.

    >>> table(["class", "images"], [["cat", "3"]], kinds="tn").count("<td")
    2
    """
    names = {"t": "", "n": ' class="num"', "b": ' class="barred"'}
    marks = [names[kind] for kind in kinds]
    top = "".join(
        f'<th scope="col"{mark}>{html_text(each)}</th>'
        for each, mark in zip(head, marks, strict=True)
    )
    body = "".join(_row(row, marks) for row in rows)
    bottom = f"<tfoot>{_row(foot, marks)}</tfoot>" if foot else ""
    return (
        f'<div class="scroll"><table><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody>{bottom}</table></div>"
    )


def fold(summary: str, content: str, *, opened: bool = False) -> str:
    """`content` behind a line of plain text that opens it."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{html_text(summary)}</summary>{content}</details>"


def note(text: str) -> str:
    """A remark under a picture or table; plain text."""
    return f'<p class="note">{html_text(text)}</p>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Names with values as a description list; names are plain text, values finished HTML."""
    rows = "".join(
        f"<div><dt>{html_text(name)}</dt><dd>{value}</dd></div>" for name, value in pairs
    )
    return f'<dl class="facts">{rows}</dl>'


def _row(cells: Sequence[str], marks: Sequence[str]) -> str:
    return (
        "<tr>"
        + "".join(f"<td{mark}>{cell}</td>" for cell, mark in zip(cells, marks, strict=True))
        + "</tr>"
    )
