"""The graph of a network, drawn: data flow from top to bottom, a box for each step."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.inspection import InspectionRecord
from netwright.report.graph_layout import laid_out
from netwright.report.graph_nodes import Node, graph
from netwright.report.quantities import amount, field_size, sample
from netwright.report.svg import element, fitted, point, text, text_width

BOX = (256.0, 42.0)

# Blue multiplies, orange joins: the pair of Okabe & Ito (2008) that all eyes tell apart.
_PAPER = {"product": "#e8f1f8", "join": "#fbeee2", "input": "#f1f1ed", "other": "#ffffff"}
_RULE = {"product": "#7fb3d5", "join": "#dd9a63", "input": "#b9bab4", "other": "#c9cac4"}
_MARK = "#b84a00"

# Styles, not attributes: the style sheet a drawing is put into would win over these.
_BOLD = "font-size:11.5px;font-weight:600;fill:#1a1d21"
_FINE = "font-size:10px;fill:#5b626b"
_ENDS = ";text-anchor:end"


def graph_picture(
    record: InspectionRecord, *, marked: str | None = None
) -> tuple[str, float, float]:
    """The content of an SVG, its width and height; the box of the layer `marked` is outlined."""
    found = graph(record)
    layout = laid_out(len(found.nodes), found.edges, box=BOX)
    parts = [_edge(route) for route in layout.routes]
    for node, centre in zip(found.nodes, layout.centres, strict=True):
        parts.append(_box(node, centre, record, marked=_holds(node, marked)))
    return "".join(parts), layout.width, layout.height


def about_graph(record: InspectionRecord) -> str:
    """What the picture shows, in words."""
    found = graph(record)
    return say(
        "The graph of {model}: {boxes} boxes from the input at the top to the output at the "
        "bottom. Blue boxes multiply and add, orange ones join branches.",
        model=record.model or record.kind,
        boxes=len(found.nodes),
    )


def _holds(node: Node, marked: str | None) -> bool:
    if marked is None:
        return False
    return marked in node.layers or node.title == marked


def _box(node: Node, centre: tuple[float, float], record: InspectionRecord, *, marked: bool) -> str:
    width, height = BOX
    left, top = centre[0] - width / 2, centre[1] - height / 2
    kinds = " · ".join(node.kinds)
    size = sample(node.output, record) if node.role != "input" else "x".join(map(str, node.output))
    title = node.title or (kinds if node.role != "input" else "")
    second = kinds if node.title else ""
    cost = amount(node.macs) if node.macs else ""
    field = field_size(node.fields, record) if node.fields else ""
    right = size if not field or field == "-" else f"{size}  RF {field}"
    parts = [
        element(
            "rect",
            x=left,
            y=top,
            width=width,
            height=height,
            rx=5,
            fill=_PAPER[node.role],
            stroke=_MARK if marked else _RULE[node.role],
            stroke_width=3 if marked else 1,
        )
    ]
    if cost:
        parts.append(text(cost, x=left + width - 8, y=top + 17, style=_FINE + _ENDS))
    room = width - 24 - text_width(cost, 10)
    parts.append(text(fitted(title, room, 12), x=left + 8, y=top + 17, style=_BOLD))
    parts.append(text(right, x=left + width - 8, y=top + 33, style=_FINE + _ENDS))
    room = width - 26 - text_width(right, 10)
    if second and room > 24:
        parts.append(text(_kinds(node, room), x=left + 8, y=top + 33, style=_FINE))
    told = f"{title}: {kinds}, {size}" if kinds else title
    return f"<g><title>{html_text(told)}</title>{''.join(parts)}</g>"


def _kinds(node: Node, room: float) -> str:
    """As many of the operations as there is room for, the first in any case."""
    shown = list(node.kinds)
    while len(shown) > 1 and text_width(" · ".join(shown), 10) > room:
        shown.pop()
    more = " · …" if len(shown) < len(node.kinds) else ""
    return fitted(" · ".join(shown) + more, room, 10)


def _edge(route: Sequence[tuple[float, float]]) -> str:
    """Straight down past the boxes of a rank, a curve from one rank to the next."""
    half = BOX[1] / 2
    x, y = route[0]
    path = [f"M{point(x)} {point(y)}"]
    last = len(route) - 1
    for k in range(1, len(route)):
        to_x, middle = route[k]
        enter = middle if k == last else middle - half
        between = (y + enter) / 2
        if abs(to_x - x) < 0.5:
            path.append(f"L{point(to_x)} {point(enter)}")
        else:
            path.append(
                f"C{point(x)} {point(between)} {point(to_x)} {point(between)} "
                f"{point(to_x)} {point(enter)}"
            )
        if k != last:
            path.append(f"L{point(to_x)} {point(middle + half)}")
            y = middle + half
        x = to_x
    tip_x, tip_y = route[-1]
    head = f"M{point(tip_x - 3.5)} {point(tip_y - 6)}L{point(tip_x)} {point(tip_y)}"
    head += f"L{point(tip_x + 3.5)} {point(tip_y - 6)}"
    return element("path", d="".join(path) + head, fill="none", stroke="#8a9098", stroke_width=1.3)
