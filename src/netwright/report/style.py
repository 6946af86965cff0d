"""The style sheet of the page: one column of calm type; light, dark, narrow and print.

Blue is right, training or neutral; orange is wrong or validation: the pair of Okabe & Ito (2008)
that every kind of colour vision tells apart, darkened until text in it reads on the paper.
"""

STYLE = """
:root{color-scheme:light dark;--paper:#fcfcfa;--card:#fff;--ink:#1a1d21;--soft:#5b626b;
--rule:#e4e4df;--faint:#f1f1ed;--blue:#0068ab;--orange:#b84a00;--grey:#6b7280;--stop:#a8201a;
--right:#0072b2;--wrong:#d55e00;--over:#fff;
--mono:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{--paper:#15171a;--card:#1c1f23;--ink:#e8e9ea;
--soft:#a0a7b0;--rule:#31353b;--faint:#23272c;--blue:#63b3ee;--orange:#f2994e;--grey:#9aa3ad;
--stop:#ff8a80;--right:#4aa3e0;--wrong:#f08a3c;--over:#0e1114}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.55;font-size:16px;
font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",Arial,sans-serif}
body:lang(zh){font-family:system-ui,-apple-system,"Segoe UI",Roboto,"PingFang SC",
"Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC","Source Han Sans SC",sans-serif;
line-height:1.7}
main{max-width:1120px;margin:0 auto;padding:56px 40px 40px;display:grid;column-gap:56px;
grid-template-columns:repeat(2,minmax(0,1fr))}
main>*{grid-column:1/-1;min-width:0}
main>.half{grid-column:auto}
p{margin:0 0 .6em;text-wrap:pretty;overflow-wrap:anywhere}
h1{font-size:38px;line-height:1.15;letter-spacing:-.02em;font-weight:680;margin:0 0 20px;
overflow-wrap:anywhere}
h1>span:not([title]){color:var(--soft);font-weight:400}
h2{font-size:22px;line-height:1.3;letter-spacing:-.01em;font-weight:650;margin:0 0 6px}
h3{font-size:14px;font-weight:600;margin:20px 0 6px}
section{padding:44px 0 0}
section>.lead{color:var(--soft);font-size:15px;max-width:68ch;margin:0 0 18px}
.over{font-size:13px;font-weight:600;letter-spacing:.06em;color:var(--soft);margin:0 0 10px}
.over span{font-weight:400;letter-spacing:0;margin-left:.5em}
.mast{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:32px 72px;align-items:end}
.mast p{max-width:64ch}
.mast .lead{font-size:20px;line-height:1.45}
.mast p:last-child{margin-bottom:0}
.score{min-width:220px;text-align:right}
.score p{margin:0;font-size:15px}
.score .big{font-size:72px;font-weight:680;line-height:1;letter-spacing:-.035em;margin:0 0 8px;
font-variant-numeric:tabular-nums;white-space:nowrap}
.score .under{color:var(--soft);font-size:14px}
.score b{font-weight:600;color:var(--ink)}
.state{border-left:4px solid var(--orange);background:var(--faint);padding:10px 14px;
border-radius:0 6px 6px 0;margin:0 0 18px}
.state b{color:var(--orange);letter-spacing:.04em;margin-right:.4em}
.state.stop{border-color:var(--stop)}.state.stop b{color:var(--stop)}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(112px,1fr));gap:18px 20px;
align-items:end;margin:0 0 22px;padding:0}
section.verdict .facts{border-top:1px solid var(--rule);border-bottom:1px solid var(--rule);
padding:18px 0;margin:36px 0 0}
dt{font-size:13px;color:var(--soft)}
dd{margin:0;font-size:16px;font-weight:560;font-variant-numeric:tabular-nums;
overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:6px 18px;padding:18px 0 0;font-size:14px}
a{color:var(--blue);text-decoration:none}a:hover{text-decoration:underline}
a:focus-visible,summary:focus-visible{outline:2px solid var(--blue);outline-offset:3px}
.notes{list-style:none;margin:0 0 12px;padding:0}
.notes li{display:grid;grid-template-columns:60px 1fr;align-items:baseline;padding:8px 0;
font-size:15px;border-bottom:1px solid var(--rule)}
.notes span{overflow-wrap:anywhere}
.word{font-size:13px;letter-spacing:.04em;color:var(--soft)}
.word.warn{color:var(--orange)}.word.stop{color:var(--stop)}.word.ok{color:var(--blue)}
.note{font-size:14px;color:var(--soft);margin:12px 0 0;max-width:80ch}
figure{margin:0}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--ink);font-variant-numeric:tabular-nums}
svg text:not([font-size]){font-size:11.5px}
svg .tick{fill:var(--soft)}svg .label{font-weight:600}
svg .middle{text-anchor:middle}svg .end{text-anchor:end}
svg .rule{stroke:var(--rule);stroke-width:1}
svg .pin{stroke:var(--soft);stroke-width:1;stroke-dasharray:1.5 3}
svg .mark{stroke:var(--stop);stroke-width:2}
svg .ring{fill:var(--paper);stroke-width:2}svg .ring.val{stroke:var(--orange)}
svg .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
svg .line.train,svg .line.other{stroke:var(--blue)}svg .line.val{stroke:var(--orange)}
svg .dot.train,svg .dot.other,svg text.train{fill:var(--blue)}
svg .dot.val,svg text.val{fill:var(--orange)}svg text.other{fill:var(--blue)}
svg .right{fill:var(--right)}svg .wrong{fill:var(--wrong)}svg .empty{fill:var(--faint)}
svg .other{fill:var(--grey)}svg .line.other{fill:none}
svg .gaps{fill:none;stroke:var(--paper);stroke-width:1.5;pointer-events:none}
svg .on{fill:var(--ink)}svg .mid{fill:#0e1114}svg .over{fill:var(--over);font-weight:600}
svg .band{fill-opacity:.16;stroke:none}svg .band.train,svg .band.other{fill:var(--blue)}
svg .band.val{fill:var(--orange)}
svg .seed{fill-opacity:.72;stroke:var(--paper);stroke-width:1}
svg .seed.other{fill:var(--blue)}svg .seed.val{fill:var(--orange)}
svg .median{stroke-width:2}svg .median.other{stroke:var(--blue)}
svg .median.val{stroke:var(--orange)}
td small{color:var(--soft);margin-left:.4em}
.charts figcaption::first-letter{text-transform:uppercase}
svg .marked{stroke:var(--stop);stroke-width:1.5;stroke-dasharray:4 3}
svg .framed{fill:none;stroke:var(--stop);stroke-width:1.2}
.found{list-style:none;margin:0;padding:0}
.found>li{display:grid;grid-template-columns:60px minmax(0,1fr);padding:16px 0;
border-bottom:1px solid var(--rule);break-inside:avoid}
.found h3{margin:0 0 4px}.found h3 code{font-size:15px;font-weight:600}
.found h3 small{font-weight:400;color:var(--soft);font-size:13px;margin-left:.6em}
.found .what{font-size:17px;margin:0 0 8px}
.found .numbers{margin:0 0 8px;padding:0 0 0 1.1em;font-size:14px;color:var(--soft)}
.found .cure{margin:8px 0 6px}.found .cure b{color:var(--blue);font-weight:600;margin-right:.4em}
.found details{margin:6px 0 0}.found summary{font-size:14px}.found details p{font-size:14px}
.maps{display:grid;gap:28px}
.charts+.scroll,.charts+details{margin-top:24px}
.middling{max-width:620px}
.charts{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:32px 48px}
figcaption{font-size:15px;font-weight:600;margin:0 0 6px}
figcaption small{font-weight:400;color:var(--soft);font-size:13px;margin-left:.3em}
.scroll{overflow-x:auto}
#data .scroll{max-width:720px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:500;color:var(--soft);font-size:13px;vertical-align:bottom;
white-space:nowrap}
th,td{padding:6px 18px 6px 0;border-bottom:1px solid var(--rule)}
td:first-child{overflow-wrap:break-word;white-space:nowrap}
th:last-child,td:last-child{padding-right:0}
.num{text-align:right;white-space:nowrap}
.barred{width:100%;min-width:56px}
tfoot td{font-weight:600;border-bottom:0}
.bar{height:8px;width:100%;border-radius:2px;overflow:hidden;background:var(--faint)}
code,pre{font-family:var(--mono);font-size:13px}
pre{background:var(--faint);border-radius:6px;padding:12px 16px;margin:0;overflow-x:auto;
line-height:1.6}
pre.wrap{white-space:pre-wrap;overflow-wrap:anywhere}
pre i{color:var(--soft);font-style:normal}
details{margin:16px 0 0}
summary{cursor:pointer;font-size:15px;color:var(--blue);padding:4px 0}
details>:not(summary){margin-top:12px}
img{display:block;border-radius:4px;max-width:100%;height:auto;background:var(--faint)}
.pixels{image-rendering:pixelated;image-rendering:crisp-edges;image-rendering:pixelated}
img.pixels{border-radius:2px}
.said{color:var(--orange)}
.pairs{list-style:none;margin:0;padding:0;display:grid;column-gap:56px;
grid-template-columns:repeat(2,minmax(0,1fr))}
.pairs li{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:0 20px;align-items:center;
padding:14px 0;border-bottom:1px solid var(--rule)}
.pair{margin:0 0 6px;font-size:17px;display:flex;gap:.5em;flex-wrap:wrap}
.pair b{font-weight:620;overflow-wrap:anywhere}.pair>span{color:var(--soft)}
.often{grid-column:1;font-size:14px;color:var(--soft)}
.often .bar{max-width:220px;margin:0 0 4px}
.strip{display:flex;gap:8px;grid-column:2;grid-row:1/3}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:22px 16px}
.gallery.small{grid-template-columns:repeat(auto-fill,minmax(72px,1fr));gap:14px 10px}
.gallery figcaption{font-size:14px;line-height:1.35;margin:7px 0 0;font-weight:600;
overflow-wrap:anywhere}
.gallery figcaption>*{display:block;margin:0}
.gallery figcaption small{font-size:13px;margin:0}
.gallery figcaption b{font-weight:600}
.gallery i{font-style:normal;color:var(--soft);font-weight:400}
.gallery figcaption span span{display:inline}
.gallery.small figcaption{font-weight:400;color:var(--soft);font-size:13px;margin-top:4px}
.gallery.small figcaption>span{display:inline}
.change{padding:18px 0 20px;border-bottom:1px solid var(--rule);break-inside:avoid}
.change:first-child{padding-top:4px}.change:last-child{border-bottom:0}
.change h3{margin:0 0 12px;font-weight:400;color:var(--soft);display:flex;flex-wrap:wrap;
gap:2px 14px;align-items:baseline}
.change h3 code{color:var(--ink);font-weight:600;font-size:14px}
.strips{display:grid;gap:14px 32px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr))}
.strips.three{grid-template-columns:repeat(auto-fill,minmax(min(100%,300px),1fr))}
.change .strip{align-items:center;flex-wrap:wrap;gap:6px}
.change i{font-style:normal;color:var(--soft);padding:0 4px}
.change figcaption{font-size:13px;font-weight:400;color:var(--soft);margin:6px 0 0}
.pairs-list{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:2px 40px;
margin:0}
.pairs-list div{display:grid;grid-template-columns:112px 1fr;padding:3px 0;font-size:14px}
.pairs-list dt{font-size:14px;overflow-wrap:anywhere}
.pairs-list dd{font-size:14px;font-weight:400}
.tiles{display:flex;flex-wrap:wrap;gap:5px}
.tiles.maps{display:grid;grid-template-columns:repeat(8,minmax(0,84px))}
.tiles.maps img{width:100%}
.looked{display:grid;grid-template-columns:104px minmax(0,1fr);gap:8px 32px;margin:10px 0 28px}
.looked figcaption{font-size:14px;margin:7px 0 0}.looked figcaption>*{display:block;margin:0}
.looked i{font-style:normal;color:var(--soft);font-weight:400}
.layers{display:grid;gap:14px}.layers p{font-size:14px;margin:0 0 4px}
.layers small{color:var(--soft);font-size:13px;margin-left:.4em}
footer{margin:56px 0 0;padding:16px 0 0;border-top:1px solid var(--rule);font-size:13px;
color:var(--soft);overflow-wrap:anywhere}
@media (max-width:860px){main{padding:36px 24px 32px}main>.half{grid-column:1/-1}
.mast{grid-template-columns:1fr}.score{text-align:left}.pairs{grid-template-columns:1fr}}
@media (max-width:640px){main{padding:28px 16px 24px}.charts{grid-template-columns:1fr}
h1{font-size:30px}.mast .lead{font-size:18px}.score .big{font-size:60px}
section{padding-top:36px}.facts{grid-template-columns:repeat(auto-fit,minmax(96px,1fr))}
.gallery{grid-template-columns:repeat(auto-fill,minmax(92px,1fr))}
.barred{min-width:32px}th,td{padding-right:10px}
td:first-child{white-space:normal}
svg text:not([font-size]){font-size:12.5px}.pairs li{grid-template-columns:1fr}
.strip{grid-column:1;grid-row:auto;margin-top:10px}.looked{grid-template-columns:1fr}
.looked figure{display:flex;gap:14px;align-items:center}
.tiles.maps{grid-template-columns:repeat(4,minmax(0,1fr))}}
@page{size:A4;margin:15mm 14mm}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--soft:#4a4f57;--rule:#d5d5d0;
--faint:#f3f3f0;--blue:#0068ab;--orange:#b84a00;--grey:#6b7280;--stop:#a8201a;--right:#0072b2;
--wrong:#d55e00;--over:#fff;color-scheme:light}
body{font-size:10.5pt}main{padding:0;max-width:none;column-gap:28px}nav{display:none}
main>.half{grid-column:auto}.mast{grid-template-columns:minmax(0,1fr) auto;gap:24px 36px}
.score{text-align:right;min-width:0}.score .big{font-size:52px}h1{font-size:28px}
.mast .lead{font-size:13pt}section{padding-top:26px}footer{display:none}
.facts{grid-template-columns:repeat(auto-fit,minmax(78px,1fr));gap:12px 14px}
.gallery{grid-template-columns:repeat(auto-fill,minmax(90px,1fr));gap:14px 10px}
.charts{grid-template-columns:repeat(2,minmax(0,1fr));gap:18px 28px}
.pairs{grid-template-columns:repeat(2,minmax(0,1fr));column-gap:28px}
h2,h3,summary,section>.lead,tbody tr:last-child{break-after:avoid}
figure,tr,section>.lead,.pairs li,.notes li,.facts div,.state{break-inside:avoid}
.verdict{break-inside:avoid}thead{display:table-header-group}tfoot{display:table-row-group}
details::details-content{content-visibility:visible;height:auto;opacity:1}
summary{list-style:none;color:var(--ink);font-weight:600}
summary::-webkit-details-marker{display:none}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid var(--rule)}
.scroll{overflow:visible}th,td{padding:3px 10px 3px 0;font-size:9pt}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
""".strip()
