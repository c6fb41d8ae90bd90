"""The style sheet and the script that go with everything shown in a notebook.

Each output carries both, because a notebook may show it alone. Text of a log never gets into them.
The ground and text colours are those of Jupyter's theme where there is one; its attributes, and
those of VS Code and Colab, go before the browser's preference. A notebook that is not trusted drops
style and script: then the tables are plain ones.
"""

from __future__ import annotations

from typing import Final

from runlore.shown.colours import DARK, LIGHT, Theme
from runlore.shown.elements import Html

_JUPYTERS: Final = {
    "ground": "--jp-layout-color0",
    "text": "--jp-content-font-color1",
    "rule": "--jp-border-color2",
}
_NAMED: Final = (
    *("ground", "surface", "rule", "text", "muted", "accent"),
    *("completed", "failed", "canceled", "waiting"),
)


def _variables(theme: Theme) -> str:
    colours = {name: getattr(theme, name) for name in _NAMED}
    lines = {f"line{number}": colour for number, colour in enumerate(theme.lines)}
    return "".join(
        f"--rl-{name}:{f'var({_JUPYTERS[name]},{colour})' if name in _JUPYTERS else colour};"
        for name, colour in {**colours, **lines}.items()
    )


_LINES: Final = "".join(
    f".runlore .rl-line{number}{{stroke:var(--rl-line{number})}}"
    f".runlore .rl-fill{number}{{fill:var(--rl-line{number})}}"
    for number in range(len(LIGHT.lines))
)
_STATUSES: Final = "".join(
    f".runlore .rl-{name}{{color:var(--rl-{name})}}"
    for name in ("accent", "completed", "failed", "canceled", "waiting")
)

STYLE: Final = (
    f".runlore{{{_variables(LIGHT)}}}"
    f"@media(prefers-color-scheme:dark){{.runlore{{{_variables(DARK)}}}}}"
    f"[data-jp-theme-light=true] .runlore,.vscode-light .runlore,[theme=light] .runlore"
    f"{{{_variables(LIGHT)}}}"
    f"[data-jp-theme-light=false] .runlore,.vscode-dark .runlore,"
    f".vscode-high-contrast .runlore,[theme=dark] .runlore{{{_variables(DARK)}}}"
    """
.runlore{color:var(--rl-text);background:var(--rl-ground);font:13px/20px var(--jp-ui-font-family,
system-ui,sans-serif);font-variant-numeric:tabular-nums;max-width:100%;overflow-x:auto}
.runlore .rl-card{border:1px solid var(--rl-rule);border-radius:6px;padding:12px 16px;
max-width:860px}
.runlore .rl-head{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:baseline}
.runlore .rl-head strong{font-size:15px;overflow-wrap:anywhere}
.runlore .rl-status{font-weight:600;white-space:nowrap}
.runlore .rl-muted{color:var(--rl-muted);overflow-wrap:anywhere}
.runlore .rl-problem{color:var(--rl-failed);white-space:pre-wrap;overflow-wrap:anywhere;
margin:4px 0}
.runlore .rl-parts{display:flex;flex-wrap:wrap;gap:8px 32px;margin:8px 0}
.runlore.runlore code{font:12px/18px var(--jp-code-font-family,ui-monospace,monospace);
background:none;padding:0;color:inherit;overflow-wrap:anywhere}
.runlore table.rl-table{border-collapse:collapse;margin:0;border:0;color:inherit;font-size:12px;
line-height:16px;table-layout:auto}
.runlore table.rl-table caption{text-align:left;color:var(--rl-muted);caption-side:top;
padding:2px 0;white-space:nowrap}
.runlore table.rl-table thead tr{border-bottom:1px solid var(--rl-rule)}
.runlore table.rl-table tbody tr:nth-child(n){background:none;
border-top:1px solid var(--rl-surface)}
.runlore table.rl-table tbody tr:nth-child(n):hover{background:var(--rl-surface);
color:var(--rl-text)}
.runlore table.rl-table th,.runlore table.rl-table td{text-align:left;vertical-align:top;
padding:4px 16px 4px 0;max-width:360px;overflow-wrap:anywhere;white-space:normal;border:0}
.runlore table.rl-table thead th{color:var(--rl-muted);font-weight:600;white-space:nowrap;
vertical-align:bottom}
.runlore table.rl-table tbody th{font-weight:400;color:var(--rl-muted)}
.runlore table.rl-table .rl-number{text-align:right;white-space:nowrap}
.runlore table.rl-table .rl-line{white-space:nowrap}
.runlore table.rl-table button{all:unset;cursor:pointer}
.runlore table.rl-table button:focus-visible{outline:2px solid var(--rl-accent);outline-offset:2px}
.runlore table.rl-table button::after{content:" ↕";opacity:.5}
.runlore table.rl-table [aria-sort=ascending] button::after{content:" ↑";opacity:1}
.runlore table.rl-table [aria-sort=descending] button::after{content:" ↓";opacity:1}
.runlore svg{display:block;max-width:100%;height:auto}
.runlore .rl-spark{width:120px;height:16px}
.runlore .rl-ink{fill:var(--rl-text)}.runlore .rl-faint{fill:var(--rl-muted)}
.runlore .rl-ground{fill:var(--rl-ground)}.runlore .rl-rule{stroke:var(--rl-rule)}
""" + _LINES + _STATUSES
)

SCRIPT: Final = """
for(const table of document.querySelectorAll("table.rl-sort:not([data-rl-on])")){
table.dataset.rlOn="";
const body=table.tBodies[0],heads=[...table.tHead.rows[0].cells];
heads.forEach((head,place)=>{
const button=document.createElement("button");
button.type="button";
button.append(...head.childNodes);
head.append(button);
const held=row=>{const cell=row.cells[place];return cell.dataset.v??cell.textContent};
button.addEventListener("click",()=>{
const up=head.getAttribute("aria-sort")==="ascending"?-1:1;
heads.forEach(other=>other.removeAttribute("aria-sort"));
head.setAttribute("aria-sort",up>0?"ascending":"descending");
const rows=[...body.rows];
rows.sort((a,b)=>{
const x=held(a),y=held(b);
if(x===""||y==="")return (x==="")-(y==="");
const n=Number(x),m=Number(y);
if(!isNaN(n)&&!isNaN(m))return up*(n-m);
if(isNaN(n)!==isNaN(m))return isNaN(n)-isNaN(m);
return up*x.localeCompare(y);
});
body.append(...rows);
});
});
}
"""
"""Makes the heads of tables buttons that sort; it looks at cells as texts only."""


def framed(content: Html, *, sortable: bool = False) -> str:
    """The content as the output of a notebook's cell, with the style, and the script if wanted."""
    script = f"<script>{SCRIPT}</script>" if sortable else ""
    return f'<div class="runlore"><style>{STYLE}</style>{content}{script}</div>'
