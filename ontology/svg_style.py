"""How the picture of a neighbourhood looks: its style sheet, for a light and a dark page, and its arrowheads."""

from __future__ import annotations

# The hollow triangle is that of generalisation in class diagrams.
ARROWS = {
    "isa": "M1 1 L11 6 L1 11 Z",
    "attribute": "M1 2 L11 6 L1 10 Z",
    "history": "M1 2 L11 6 L1 10",
    "map": "M1 2 L11 6 L1 10",
}

LIGHT = {
    "ground": "#ffffff", "ink": "#18202b", "muted": "#566173", "box": "#f3f6fa", "border": "#aab5c4",
    "focus": "#dfeafc", "isa": "#2358a8", "attribute": "#8a4300", "history": "#77389c", "map": "#1b6a5c",
    "frame": "#fbf6ee", "rim": "#dcc9a8", "value": "#e9f5ec", "retired": "#f4ecf8",
}  # fmt: skip
DARK = {
    "ground": "#12161d", "ink": "#e9edf3", "muted": "#a5b0c0", "box": "#1d2530", "border": "#4d5a6d",
    "focus": "#1d3459", "isa": "#8cb6f7", "attribute": "#f0b272", "history": "#d5a6f2", "map": "#77d1bf",
    "frame": "#1c1a17", "rim": "#5e5138", "value": "#16301f", "retired": "#2c1f35",
}  # fmt: skip


def _properties(colours: dict[str, str]) -> str:
    return "".join(f"--o-{name}:{colour};" for name, colour in colours.items())


CSS = f"""
.onto{{{_properties(LIGHT)}max-width:100%;height:auto;font-family:system-ui,"Segoe UI",Helvetica,Arial,sans-serif}}
@media (prefers-color-scheme:dark){{.onto{{{_properties(DARK)}}}}}
.onto .ground{{fill:var(--o-ground)}}
.onto text{{fill:var(--o-ink);font-size:12px;white-space:pre}}
.onto .title{{font-size:13px;font-weight:600}}
.onto .small,.onto .caption{{font-size:10px;fill:var(--o-muted)}}
.onto .said{{font-size:11px;fill:var(--o-muted)}}
.onto .name{{font-size:11px;text-anchor:middle}}
.onto .box,.onto .sample{{fill:var(--o-box);stroke:var(--o-border);stroke-width:1}}
.onto .focus{{fill:var(--o-focus);stroke:var(--o-isa);stroke-width:1.5}}
.onto .inner{{fill:none;stroke:var(--o-isa);stroke-width:1}}
.onto .value{{fill:var(--o-value);stroke:var(--o-map)}}
.onto .code{{fill:var(--o-ground);stroke:var(--o-map)}}
.onto .retired{{fill:var(--o-retired);stroke:var(--o-history);stroke-dasharray:4 3}}
.onto .unknown,.onto .more{{fill:var(--o-ground);stroke-dasharray:4 3}}
.onto .frame,.onto .sample.frame{{fill:var(--o-frame);stroke:var(--o-rim)}}
.onto .frame.other{{fill:none;stroke:var(--o-border)}}
.onto .label{{fill:var(--o-ground);stroke:none}}
.onto .framed.label{{fill:var(--o-frame)}}
.onto .edge{{fill:none;stroke-width:1.4}}
.onto .arrow path{{stroke-width:1.2}}
.onto .edge.isa{{stroke:var(--o-isa);stroke-width:1.6}}
.onto .arrow.isa path{{fill:var(--o-ground);stroke:var(--o-isa)}}
.onto .edge.attribute{{stroke:var(--o-attribute)}}
.onto .arrow.attribute path{{fill:var(--o-attribute);stroke:var(--o-attribute)}}
.onto .edge.history{{stroke:var(--o-history);stroke-dasharray:6 4}}
.onto .arrow.history path{{fill:none;stroke:var(--o-history)}}
.onto .edge.map{{stroke:var(--o-map);stroke-dasharray:2 3}}
.onto .arrow.map path{{fill:none;stroke:var(--o-map)}}
.onto .name.attribute{{fill:var(--o-attribute)}}
.onto .name.history{{fill:var(--o-history)}}
.onto .name.map{{fill:var(--o-map)}}
"""
