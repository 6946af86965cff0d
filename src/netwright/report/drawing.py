"""A drawing that stands on its own: in a file, in a notebook, in a page that is not ours.

It brings its colours, on paper of its own, so that it reads the same wherever it is put.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netwright.core.atomic import write_text
from netwright.core.escaping import html_attribute, html_text
from netwright.report.svg import element, point

# The colours of `netwright.report.style`, written out: few viewers of files know CSS variables.
_STYLE = """
.nw-drawing text{font:11.5px system-ui,"Noto Sans","PingFang SC","Noto Sans CJK SC",sans-serif;
fill:#1a1d21;font-variant-numeric:tabular-nums}
.nw-drawing .tick{fill:#5b626b}.nw-drawing text.label{font-weight:600}
.nw-drawing text.over{font-size:14px;font-weight:600}
.nw-drawing .read{paint-order:stroke;stroke:#fcfcfa;stroke-width:4}
.nw-drawing .middle{text-anchor:middle}.nw-drawing .end{text-anchor:end}
.nw-drawing .rule{stroke:#e4e4df;stroke-width:1}
.nw-drawing .pin{stroke:#5b626b;stroke-width:1;stroke-dasharray:1.5 3}
.nw-drawing .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.nw-drawing .line.train{stroke:#0068ab}.nw-drawing .line.val{stroke:#b84a00}
.nw-drawing .dot.train{fill:#0068ab;fill-opacity:.35}
.nw-drawing .dot.val{fill:#b84a00;fill-opacity:.35}.nw-drawing text.val{fill:#b84a00}
""".strip()


@dataclass(frozen=True)
class Drawing:
    """An SVG picture; a notebook shows it, `save` writes it to a file."""

    svg: str

    def save(self, path: str | Path) -> Path:
        """Write the picture to `path`, whole or not at all."""
        place = Path(path)
        write_text(place, self.svg + "\n")
        return place

    def __str__(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Drawing({len(self.svg):,} characters of SVG)"

    def _repr_svg_(self) -> str:
        return self.svg


def standalone(width: float, height: float, content: str, *, title: str, about: str) -> Drawing:
    """`content` as a picture of that size with a style and a paper of its own; `title` names it
    for a screen reader and `about` tells what it shows."""
    size = f"{point(width)} {point(height)}"
    paper = element("rect", width=width, height=height, fill="#fcfcfa")
    return Drawing(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="nw-drawing" viewBox="0 0 {size}" '
        f'width="{point(width)}" height="{point(height)}" role="img" '
        f'aria-label="{html_attribute(title)}"><desc>{html_text(about)}</desc>'
        f"<style>{_STYLE}</style>{paper}{content}</svg>"
    )
