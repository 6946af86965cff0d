"""The letters of our drawings: SVG elements, escaped; text that is made to fit.

Colours are classes of the page's style sheet, so one drawing serves light, dark and print.
"""

from __future__ import annotations

import unicodedata

from netwright.core.escaping import html_attribute, html_text
from netwright.report.words import short


def drawing(width: float, height: float, content: str, *, title: str, about: str = "") -> str:
    """A whole `<svg>` of that size that scales with its place. `title` names it for a screen
    reader and `about` tells what it shows."""
    told = f"<desc>{html_text(about)}</desc>" if about else ""
    return (
        f'<svg viewBox="0 0 {point(width)} {point(height)}" role="img" '
        f'aria-label="{html_attribute(title)}">{told}{content}</svg>'
    )


def element(tag: str, **attributes: object) -> str:
    """`<tag .../>`; `_` in a name stands for `-`, a final `_` is dropped, numbers are rounded.

    >>> element("rect", x=1.234, class_="cell", fill_opacity=0.5)
    '<rect x="1.2" class="cell" fill-opacity="0.5"/>'
    """
    return f"<{tag}{_attributes(attributes)}/>"


def text(content: object, **attributes: object) -> str:
    return f"<text{_attributes(attributes)}>{html_text(content)}</text>"


def point(value: float) -> str:
    """A coordinate with one decimal, and none where it is whole."""
    rounded = round(value, 1)
    return str(int(rounded)) if rounded == int(rounded) else str(rounded)


def text_width(content: str, size: float = 11.5) -> float:
    """About how wide `content` is drawn in a sans-serif of that size.

    >>> text_width("0.98", 10) < text_width("0.98", 20) < text_width("训练损失", 20)
    True
    """
    return size * sum(_em(char) for char in content)


def fitted(content: object, width: float, size: float = 11.5) -> str:
    """`content` on one line, its middle left out until it is at most so wide."""
    limit = 60
    while limit > 3 and text_width(short(content, limit), size) > width:
        limit -= 1
    return short(content, limit)


def _em(char: str) -> float:
    if unicodedata.east_asian_width(char) in "WF":
        return 1.0
    if char in "ijlI.,:;'|!ftr()[] \u202f":
        return 0.34
    return 0.85 if char in "mwMW@%" else 0.72 if char.isupper() else 0.58


def _attributes(attributes: dict[str, object]) -> str:
    parts = []
    for name, value in attributes.items():
        written = point(value) if isinstance(value, float) and abs(value) >= 1 else value
        if isinstance(written, float):
            written = f"{written:.3g}"
        parts.append(f' {name.rstrip("_").replace("_", "-")}="{html_attribute(written)}"')
    return "".join(parts)
