"""The style of the report: light and dark, on a screen and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f5f7f9; --card: #ffffff; --ink: #22303c; --faint: #5b6775; --line: #e0e6eb;
  --accent: #1f6f8b; --train: #8a94a6; --wrong: #b83a22; --right: #1f6f8b; --cell-ink: #ffffff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f151b; --card: #172028; --ink: #e4eaf0; --faint: #9aa8b6; --line: #2a3641;
    --accent: #58b3d2; --train: #8492a3; --wrong: #f08a72; --right: #58b3d2; --cell-ink: #08131a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 1120px; margin: 0 auto; padding: 36px 24px 56px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 16.5px; margin: 0 0 12px; }
h1, h2, td, th, figcaption, dd { overflow-wrap: anywhere; }
p { margin: 0 0 10px; }
.note, .lead { color: var(--faint); }
.lead { font-size: 16px; margin-bottom: 22px; }
.below { margin: 10px 0 0; }
.figures { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); }
.figures > div, section {
  background: var(--card); border: 1px solid var(--line); border-radius: 12px;
}
.figures > div { padding: 14px 18px; }
.figures dt { color: var(--faint); font-size: 13.5px; }
.figures dd { margin: 0; font-size: 27px; font-weight: 650; letter-spacing: -0.015em; }
.figures dd + dd { font-size: 13px; font-weight: 400; color: var(--faint); letter-spacing: 0; }
.pair {
  display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(370px, 100%), 1fr));
}
.pair, section { margin-top: 16px; }
.pair > section, .column > section:first-child { margin-top: 0; }
.column { min-width: 0; }
section { padding: 18px 20px 16px; min-width: 0; }
.scroll { overflow-x: auto; }
:focus-visible { outline: 2.5px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
.chart { width: 100%; height: auto; display: block; }
.chart text { fill: var(--faint); font-size: 12px; }
.chart .end { text-anchor: end; } .chart .middle { text-anchor: middle; }
.grid { stroke: var(--line); }
.curve { fill: none; stroke-width: 2.4; stroke-linejoin: round; stroke-linecap: round; }
polyline.series-train { stroke: var(--train); } polyline.series-val { stroke: var(--accent); }
circle.series-train { fill: var(--train); } circle.series-val { fill: var(--accent); }
circle.ring { fill: var(--card); stroke: var(--accent); stroke-width: 3; }
.kept, .ideal { stroke: var(--faint); stroke-dasharray: 3 4; }
.point-before { fill: none; stroke: var(--train); stroke-width: 1.8; }
.point-after { fill: var(--accent); fill-opacity: 0.85; }
.interval { stroke: var(--accent); stroke-opacity: 0.55; stroke-width: 1.6; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 8px 0 0; padding: 0; }
.legend li { list-style: none; color: var(--faint); font-size: 13.5px; }
.legend i {
  display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 7px;
}
.key-train { background: var(--train); } .key-val { background: var(--accent); }
.key-before { border: 2px solid var(--train); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); font-size: 13.5px; padding-bottom: 8px; }
th { font-weight: 550; }
.matrix { margin: 0 auto 0 0; }
.matrix td {
  min-width: 46px; height: 46px; text-align: center; border: 3px solid var(--card);
  border-radius: 9px; font-size: 15px;
  background: color-mix(in srgb, var(--accent) calc(6% + 94% * var(--share)), var(--card));
}
.matrix.few tbody td { min-width: 92px; height: 92px; font-size: 23px; border-width: 4px; }
.matrix thead td { min-width: 0; width: auto; height: auto; border: 0; background: none; }
.matrix td.right { font-weight: 650; }
.matrix td.wrong { color: var(--wrong); font-weight: 600; }
.matrix td.deep { color: var(--cell-ink); }
.matrix th { font-size: 13.5px; padding: 3px 10px; text-align: center; }
.matrix tbody th { text-align: right; }
.classes { width: 100%; min-width: 580px; }
.classes td, .classes thead th { white-space: nowrap; }
.classes th, .classes td { padding: 6px 8px; border-bottom: 1px solid var(--line); }
.classes tbody th { min-width: 96px; }
.classes th { text-align: left; } .classes td { text-align: right; }
.classes thead th { font-size: 13.5px; color: var(--faint); font-weight: 400; }
.classes thead th:not(:first-child):not(.wide) { text-align: right; }
.classes .wide { width: 38%; }
.bar { position: relative; height: 12px; border-radius: 6px; background: var(--line); }
.bar i, .bar b { position: absolute; top: 0; height: 100%; border-radius: 6px; }
.bar i { left: 0; background: var(--accent); }
.bar b { top: 5px; height: 2px; border-radius: 0; background: var(--ink); opacity: 0.75; }
.looked {
  width: 17px; height: 17px; accent-color: var(--accent); margin: 0 5px 14px 0;
  vertical-align: -3px;
}
.looked, .looked + label { cursor: pointer; }
.gallery {
  display: grid; gap: 18px 14px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr));
}
figure { margin: 0; min-width: 0; }
.stack { position: relative; border-radius: 9px; overflow: hidden; aspect-ratio: 1; }
.stack img { width: 100%; height: 100%; object-fit: cover; display: block; }
.stack .map { position: absolute; inset: 0; opacity: 0; transition: opacity 0.18s; }
.looked:checked ~ .gallery .map, .stack:hover .map, .stack:focus-visible .map { opacity: 1; }
blockquote { margin: 0; padding: 10px 12px; border-left: 3px solid var(--line); font-size: 14px; }
figcaption { font-size: 13.5px; line-height: 1.4; margin-top: 7px; }
figcaption strong { display: block; } figcaption span { color: var(--faint); display: block; }
.name { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.is-wrong strong { color: var(--wrong); } .is-right strong { color: var(--right); }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; }
.facts dt { color: var(--faint); } .facts dd { margin: 0; }
footer { color: var(--faint); font-size: 13.5px; margin-top: 22px; }
@media (max-width: 560px) {
  main { padding: 22px 14px 40px; }
  .pair { grid-template-columns: minmax(0, 1fr); }
  .figures { grid-template-columns: 1fr 1fr; }
  .gallery { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .facts { grid-template-columns: 1fr; } .facts dd { margin-bottom: 6px; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media print {
  @page { margin: 13mm; }
  :root {
    color-scheme: light;
    --page: #ffffff; --card: #ffffff; --ink: #22303c; --faint: #5b6775; --line: #d9e0e6;
    --accent: #1f6f8b; --train: #8a94a6; --wrong: #b83a22; --right: #1f6f8b; --cell-ink: #ffffff;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 11.5px; }
  main { padding: 0; max-width: none; }
  section, figure, .figures > div { break-inside: avoid; }
  .pair { grid-template-columns: 1fr 1fr; }
  .figures { grid-template-columns: repeat(4, 1fr); } .figures dd { font-size: 21px; }
  .figures dd + dd, .figures dt, .legend li, figcaption { font-size: 10.5px; }
  .gallery { grid-template-columns: repeat(4, 1fr); }
  .gallery .stack { aspect-ratio: 2; display: flex; }
  .stack img { width: 50%; } .stack .map { position: static; opacity: 1; }
  .looked, .looked + label { display: none; }
}
"""
