"""The confusion matrix as a picture: what is right in one colour, mistakes in another.

Few classes show their counts, more only their colour; a matrix of many classes is one small
picture in which a cell may stand for several classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.report.axes import counting_ticks
from netwright.report.pictures import data_uri
from netwright.report.svg import drawing, element, fitted, point, text, text_width
from netwright.report.words import short

_WIDTH = 520.0
_SIZE = 11.5

# Up to here each class has its name, and up to there its counts are written into the cells.
MOST_NAMED = 40
MOST_COUNTED = 16

# Up to here a cell says what it is when the pointer rests on it.
_MOST_TOLD = 20

# Sides of the picture of a large matrix, in cells.
_MOST_CELLS = 250


def confusion_matrix(confusion: Array, names: Sequence[str], *, title: str, about: str) -> str:
    """SVG of (C, C) counts, rows true and columns predicted, with C names."""
    if len(confusion) > MOST_NAMED:
        return _picture(confusion, title=title, about=about)
    return _cells(confusion, names, title=title, about=about)


def strengths(confusion: Array) -> Array:
    """How strongly each cell is coloured, 0 to 1.

    A cell is its share of the row. The root lets a mistake in a hundred still be seen.
    """
    rows = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    share: Array = np.sqrt(confusion / rows)
    return share


def _cells(confusion: Array, names: Sequence[str], *, title: str, about: str) -> str:
    num_classes = len(confusion)
    longest = max(text_width(short(name), _SIZE) for name in names)
    left = 32 + min(longest, 130.0)
    cell = (_WIDTH - left - 2) / num_classes
    cell = min(cell, 96.0)
    upright = longest > cell - 4
    top = 30 + (min(longest, 96.0) if upright else _SIZE)
    width, height = left + cell * num_classes + 2, top + cell * num_classes + 2
    label = min(_SIZE, max(6.0, cell * 0.8))
    parts = [_axis_names(left, top, cell * num_classes)]
    for i, name in enumerate(names):
        middle = top + (i + 0.5) * cell
        said = fitted(name, left - 31, label)
        parts.append(text(said, x=left - 7, y=middle + 4, class_="tick end", font_size=label))
        x = left + (i + 0.5) * cell
        if upright:
            said = fitted(name, top - 32, label)
            turn = f"rotate(-90 {x + 4:.1f} {top - 7:.1f})"
            parts.append(
                text(said, x=x + 4, y=top - 7, class_="tick", transform=turn, font_size=label)
            )
        else:
            parts.append(text(name, x=x, y=top - 8, class_="tick middle", font_size=label))
    side = cell * num_classes
    parts.append(element("rect", x=left, y=top, width=side, height=side, class_="empty"))
    strength = strengths(confusion)
    for row in range(num_classes):
        for column in range(num_classes):
            value = int(confusion[row, column])
            x, y = left + column * cell, top + row * cell
            if not value:
                continue
            kind = "right" if row == column else "wrong"
            shade = float(0.1 + 0.9 * strength[row, column])
            inside = element(
                "rect", x=x, y=y, width=cell, height=cell, class_=kind, fill_opacity=shade
            )
            if num_classes <= MOST_COUNTED:
                inside += _value(value, x + cell / 2, y + cell / 2, cell, _tone(kind, shade))
            if num_classes <= _MOST_TOLD:
                inside = f"<g>{_tip(names, row, column, confusion)}{inside}</g>"
            parts.append(inside)
    parts.append(_gaps(left, top, cell, num_classes))
    return drawing(width, height, "".join(parts), title=title, about=about)


def _gaps(left: float, top: float, cell: float, num_classes: int) -> str:
    """Lines between the cells in the colour of the paper: one path, however many cells."""
    far_x, far_y = left + cell * num_classes, top + cell * num_classes
    path = ""
    for i in range(1, num_classes):
        x, y = left + i * cell, top + i * cell
        path += f"M{point(x)} {point(top)}V{point(far_y)}M{point(left)} {point(y)}H{point(far_x)}"
    return element("path", d=path, class_="gaps")


def _tone(kind: str, shade: float) -> str:
    """The colour of a number that reads on its cell, in light and dark."""
    if shade < 0.55:
        return "on"
    return "over" if kind == "right" and shade > 0.87 else "mid"


def _axis_names(left: float, top: float, side: float) -> str:
    return text(say("predicted class"), x=left + side / 2, y=12, class_="label middle") + text(
        say("true class"),
        x=9,
        y=top + side / 2,
        class_="label middle",
        transform=f"rotate(-90 9 {top + side / 2:.1f})",
    )


def _value(value: int, x: float, y: float, cell: float, tone: str) -> str:
    written = f"{value:,}"
    size = min(13.0, 0.86 * cell / max(0.62 * len(written), 1.2))
    return text(written, x=x, y=y + size * 0.36, class_=f"middle {tone}", font_size=size)


def _tip(names: Sequence[str], row: int, column: int, confusion: Array) -> str:
    """What a cell says when the pointer rests on it."""
    told = say(
        "{true} read as {pred}: {value} of {total}",
        true=short(names[row], 24),
        pred=short(names[column], 24),
        value=f"{int(confusion[row, column]):,}",
        total=f"{int(confusion[row].sum()):,}",
    )
    return f"<title>{html_text(told)}</title>"


def _picture(confusion: Array, *, title: str, about: str) -> str:
    num_classes = len(confusion)
    together = -(-num_classes // _MOST_CELLS)
    grouped = _grouped(confusion, together)
    left, top = 52.0, 40.0
    side = _WIDTH - left - 4
    parts = [
        _axis_names(left, top, side),
        element("rect", x=left, y=top, width=side, height=side, class_="empty"),
        element(
            "image",
            href=data_uri(_colours(grouped)),
            x=left,
            y=top,
            width=side,
            height=side,
            class_="pixels",
            preserveAspectRatio="none",
        ),
    ]
    for tick in counting_ticks(0, num_classes - 1):
        place = (tick + 0.5) / (len(grouped) * together) * side
        parts.append(text(tick, x=left - 7, y=top + place + 4, class_="tick end"))
        parts.append(text(tick, x=left + place, y=top - 7, class_="tick middle"))
    return drawing(_WIDTH, top + side + 4, "".join(parts), title=title, about=about)


def _grouped(confusion: Array, together: int) -> Array:
    """Sums over squares of so many classes; what lacks to a whole square is empty.

    >>> _grouped(np.eye(3, dtype=np.int64), 2)
    array([[2, 0],
           [0, 1]])
    """
    lacking = -len(confusion) % together
    padded = np.pad(confusion, ((0, lacking), (0, lacking)))
    cells = len(padded) // together
    summed: Array = padded.reshape(cells, together, cells, together).sum(axis=(1, 3))
    return summed


# The two colours of the style sheet in the middle between light and dark: this picture is one
# for both.
_RIGHT, _WRONG = (0x2A, 0x86, 0xC8), (0xE0, 0x6A, 0x12)


def _colours(confusion: Array) -> Array:
    """(C, C, 4) uint8: the colour says right or wrong, the opacity how often."""
    image = np.zeros((*confusion.shape, 4), dtype=np.uint8)
    image[:, :, :3] = _WRONG
    diagonal = np.arange(len(confusion))
    image[diagonal, diagonal, :3] = _RIGHT
    shown = np.where(confusion > 0, 0.35 + 0.65 * strengths(confusion), 0.0)
    image[:, :, 3] = np.rint(255 * shown).astype(np.uint8)
    # A colour under no opacity is still bytes in the file.
    image[image[:, :, 3] == 0] = 0
    return image
