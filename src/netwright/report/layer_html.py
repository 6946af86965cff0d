"""The layers of a network as a foldable tree of HTML, for a notebook or a page: no script, and
nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from netwright.core.escaping import html_text
from netwright.core.languages import say
from netwright.records.inspection import InspectionRecord
from netwright.report.inspection_notes import notes
from netwright.report.layer_lines import Branch, tree
from netwright.report.layer_table import cost_lines, heading
from netwright.report.quantities import (
    amount,
    at_least,
    count,
    field_size,
    field_stride,
    memory,
    outputs,
)
from netwright.report.words import named

_MOST_ROWS = 4000

_STYLE = """
.nw-inspection{font:13px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans","PingFang SC",
"Noto Sans CJK SC",sans-serif;max-width:960px;overflow-x:auto;font-variant-numeric:tabular-nums}
.nw-inspection .row{display:grid;gap:12px;padding:2px 0;align-items:baseline;
grid-template-columns:minmax(200px,1fr) 112px 96px 76px 88px 64px 52px;min-width:780px}
.nw-inspection .row>*{text-align:right;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.nw-inspection .row>:first-child{text-align:left}
.nw-inspection .head,.nw-inspection .total{font-weight:600;
border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}
.nw-inspection .total{border-top:1px solid color-mix(in srgb,currentColor 25%,transparent);
border-bottom:0}
.nw-inspection details{border:0;margin:0;padding:0}
.nw-inspection summary{list-style:none;cursor:pointer}
.nw-inspection summary::-webkit-details-marker{display:none}
.nw-inspection summary>:first-child::before{content:"▸";display:inline-block;width:1.1em}
.nw-inspection details[open]>summary>:first-child::before{content:"▾"}
.nw-inspection .leaf>:first-child::before{content:"";display:inline-block;width:1.1em}
.nw-inspection small{opacity:.65;font-size:12px;margin-left:.5em}
.nw-inspection summary:hover,.nw-inspection .leaf:hover{
background:color-mix(in srgb,currentColor 7%,transparent)}
.nw-inspection p{margin:.3em 0;opacity:.8}
.nw-inspection b{font-weight:600}
""".strip()


def layer_html(record: InspectionRecord) -> str:
    """The tree, totals and remarks as one `<div>`; every name in it is escaped."""
    head = _cells(
        [
            say("layer"),
            say("output"),
            say("params"),
            say("MACs"),
            say("activations"),
            say("RF"),
            say("stride"),
        ]
    )
    room = [_MOST_ROWS]
    roots = tree(record)
    body = "".join(_branch(each, record, room, opened=True) for each in roots)
    written = memory(record.layers[0].activation_bytes) if record.layers else "-"
    total = _cells(
        [
            say("total"),
            outputs(record.outputs, record),
            count(record.params),
            at_least(amount(record.macs), record.unruled),
            written,
            "",
            "",
        ]
    )
    told = "".join(f"<p>{html_text(each)}</p>" for each in cost_lines(record))
    told += "".join(
        f"<p><b>{word}</b> {html_text(phrase.localized())}</p>" for word, phrase in notes(record)
    )
    if room[0] <= 0:
        told += f"<p>{html_text(say('Only the first {rows} rows are shown.', rows=_MOST_ROWS))}</p>"
    return (
        f'<div class="nw-inspection"><style>{_STYLE}</style>'
        f"<p><b>{html_text(heading(record))}</b></p>"
        f'<div class="row head">{head}</div>{body}<div class="row total">{total}</div>{told}</div>'
    )


def _branch(branch: Branch, record: InspectionRecord, room: list[int], *, opened: bool) -> str:
    if room[0] <= 0:
        return ""
    room[0] -= 1
    layer = branch.layer
    name = layer.name.rpartition(".")[2] or record.model or layer.kind
    again = f" #{layer.call + 1}" if layer.call else ""
    kind = "" if name == layer.kind else f"<small>{named(layer.kind, 28)}</small>"
    indent = f' style="padding-left:{1.1 * layer.depth:.1f}em"' if layer.depth else ""
    cells = f"<span{indent}>{named(name + again, 36)}{kind}</span>" + _cells(
        [
            outputs(layer.outputs, record),
            count(layer.params),
            at_least(amount(layer.macs), layer.unruled),
            memory(layer.activation_bytes),
            field_size(layer.fields, record),
            field_stride(layer.fields, record),
        ]
    )
    if not branch.parts:
        return f'<div class="row leaf">{cells}</div>'
    inner = "".join(_branch(each, record, room, opened=False) for each in branch.parts)
    state = " open" if opened else ""
    return f'<details{state}><summary class="row">{cells}</summary>{inner}</details>'


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"<span>{html_text(each)}</span>" for each in texts)
