"""A page with the graph of a network and, beside it, an image on which a unit can be moved.

One file, nothing from elsewhere. Without its script it shows the unit in the middle.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from netwright.core import languages
from netwright.core.escaping import html_attribute, html_text, script_json
from netwright.core.languages import say
from netwright.records.arrays import Array
from netwright.records.inspection import InspectionRecord
from netwright.report.field_picture import (
    MARGIN,
    SIDE,
    Exact,
    Seen,
    image_size,
    outline,
    paper,
    seen,
)
from netwright.report.field_tables import Call, layer_tables
from netwright.report.layer_html import layer_html
from netwright.report.svg import point

_STYLE = """
body{margin:0;background:#fcfcfa;color:#1a1d21;font:15px/1.5 system-ui,-apple-system,"Segoe UI",
"Noto Sans","PingFang SC","Noto Sans CJK SC",sans-serif}
main{display:flex;gap:56px;padding:32px 40px;align-items:flex-start;flex-wrap:wrap}
aside{position:sticky;top:32px;width:400px}
h1{font-size:26px;margin:0 0 4px;letter-spacing:-.01em}p{margin:0 0 12px;color:#5b626b}
svg{display:block;overflow:visible}svg text{font-family:inherit}
select{font:inherit;padding:5px 8px;max-width:100%;margin:0 0 14px}
#image{touch-action:none;cursor:crosshair;overflow:hidden;margin-left:-36px}
#told{min-height:3.2em;color:#1a1d21}section{padding:0 40px 40px}
""".strip()

_SCRIPT = """
const facts=JSON.parse(document.getElementById('facts').textContent);
const choose=document.getElementById('layer'),image=document.getElementById('image');
const inside=document.getElementById('inside'),beyond=document.getElementById('beyond');
const told=document.getElementById('told');let at=[.5,.5];
function span(axis,row,column,length){if(axis.sight==='all')return [0,length-1];
const t=facts.tables[axis.table];
const at=t.line?t.line[row]*t.across+column:row*t.down+column*t.across;
return [t.first[at],t.first[at]+t.size[at%t.size.length]-1];}
function near(layer,h,w){let best=[0,0],least=Infinity;const [m,n]=layer.units;
const miss=(rows,length,share)=>rows[1]<rows[0]?Infinity:
Math.abs((rows[0]+rows[1]+1)/2-share*length);
const away=(axis,share,length,row,column,units,own)=>axis.sight==='all'?
Math.abs((own+.5)/units-.5):miss(span(axis,row,column,length),length,share);
const far=(row,column)=>away(layer.axes[0],at[0],h,row,column,m,row)+
away(layer.axes[1],at[1],w,row,column,n,column);
const visit=(row,column)=>{const d=far(row,column);if(d<least){least=d;best=[row,column];}};
if(layer.crossed){for(let r=0;r<m;r++)for(let c=0;c<n;c++)visit(r,c);return best;}
for(let r=0;r<m;r++)visit(r,layer.start[1]);const row=best[0];least=Infinity;
for(let c=0;c<n;c++)visit(row,c);return best;}
function box(element,top,left,bottom,right){const s=facts.scale;
element.setAttribute('x',left*s);element.setAttribute('y',top*s);
element.setAttribute('width',Math.max(1,(right-left)*s));
element.setAttribute('height',Math.max(1,(bottom-top)*s));}
function show(unit){const layer=facts.layers[choose.selectedIndex],[h,w]=facts.size;
const [row,column]=unit||near(layer,h,w);
const rows=span(layer.axes[0],row,column,h),columns=span(layer.axes[1],row,column,w);
box(beyond,rows[0],columns[0],rows[1]+1,columns[1]+1);
box(inside,Math.max(0,rows[0]),Math.max(0,columns[0]),Math.min(h,rows[1]+1),
Math.min(w,columns[1]+1));
told.textContent=facts.words.replace('{layer}',()=>layer.name).replace('{row}',row)
.replace('{column}',column).replace('{top}',rows[0]).replace('{bottom}',rows[1])
.replace('{left}',columns[0]).replace('{right}',columns[1]);}
function move(event){const r=image.getBoundingClientRect(),[h,w]=facts.size,m=facts.margin;
const inner=(place,length)=>Math.min(1,Math.max(0,(place-m)/(length*facts.scale)));
at=[inner(event.clientY-r.top,h),inner(event.clientX-r.left,w)];show();}
image.addEventListener('pointermove',move);image.addEventListener('pointerdown',move);
choose.addEventListener('change',()=>show());choose.hidden=false;show(facts.unit);
""".strip()


def field_page(
    record: InspectionRecord,
    *,
    graph: tuple[str, float, float],
    image: Array | None = None,
    layer: str | None = None,
    unit: tuple[int, int] | None = None,
    exact: Mapping[Call, Exact] | None = None,
) -> str:
    """The whole page. `graph` is the content of its drawing, its width and height; `layer` is
    chosen first, with the field of `unit` or of the middle one. `exact` are, by name and call of
    a layer, the rows and the columns that each of its units sees; a layer whose field varies is
    there only if it has them."""
    content, wide, high = graph
    title = record.model or record.kind
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    drawing = (
        f'<svg width="{point(wide)}" height="{point(high)}" viewBox="0 0 {point(wide)} '
        f'{point(high)}" role="img" aria-label="{html_attribute(title)}">{content}</svg>'
    )
    side = _side(record, image, layer, unit, exact or {})
    language = "zh-CN" if languages.current() == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html_text(title)} · Netwright</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<main><div>{drawing}</div>{side}</main>\n"
        f"<section>{layer_html(record)}</section>\n</body>\n</html>\n"
    )


def _side(
    record: InspectionRecord,
    image: Array | None,
    layer: str | None,
    unit: tuple[int, int] | None,
    exact: Mapping[Call, Exact],
) -> str:
    """The title, and the image with one unit's field, where there is an image."""
    head = f"<h1>{html_text(record.model or record.kind)}</h1>"
    size = image_size(record)
    shown, tables = layer_tables(record, exact)
    if size is None or not shown:
        return f"<aside>{head}</aside>"
    names = [each["name"] for each in shown]
    chosen = names.index(layer) if layer in names else len(names) - 1
    row = next(each for each in record.layers if each.name == names[chosen])
    first = seen(row, record, unit, exact.get((row.name, row.call)))
    assert first is not None, "layers without a field are not offered"
    scale = SIDE / max(size)
    options = "".join(
        f"<option{' selected' if k == chosen else ''}>{html_text(name)}</option>"
        for k, name in enumerate(names)
    )
    facts = {
        "size": list(size),
        "scale": scale,
        "margin": MARGIN,
        "layers": shown,
        "tables": tables,
        "unit": list(first.unit),
        "words": _words(),
    }
    return (
        f"<aside>{head}<p>{html_text(say('Move over the image: what a unit of the layer sees.'))}"
        f'</p><select id="layer" hidden aria-label="{html_attribute(say("layer"))}">{options}'
        f"</select>{_image(size, scale, image, first)}"
        f'<p id="told">{html_text(first.words)}</p></aside>'
        f'<script type="application/json" id="facts">{script_json(facts)}</script>'
        f"<script>{_SCRIPT}</script>"
    )


def _image(size: tuple[int, int], scale: float, image: Array | None, first: Seen) -> str:
    beyond, inside = _both(outline(first, size, scale))
    wide, high = size[1] * scale + 2 * MARGIN, size[0] * scale + 2 * MARGIN
    return (
        f'<svg id="image" width="{point(wide)}" height="{point(high)}" '
        f'viewBox="{-MARGIN:g} {-MARGIN:g} {point(wide)} {point(high)}" role="img">'
        f"{paper(size, scale, image)}{beyond}{inside}</svg>"
    )


def _both(parts: list[str]) -> tuple[str, str]:
    """The dashed part, drawn or not, and the filled one, each with the name the script uses."""
    dashed = parts[0] if len(parts) > 1 else (
        '<rect x="0" y="0" width="1" height="1" fill="none" stroke="#d55e00" '
        'stroke-dasharray="3 4"/>'
    )  # fmt: skip
    return (
        dashed.replace("<rect", '<rect id="beyond"', 1),
        parts[-1].replace("<rect", '<rect id="inside"', 1),
    )


def _words() -> str:
    """The sentence under the image, its places left open for the script."""
    places = ("layer", "row", "column", "top", "bottom", "left", "right")
    return say(
        "{layer}, unit ({row}, {column}): rows {top} to {bottom}, columns {left} to {right}",
        **{place: "{" + place + "}" for place in places},
    )
