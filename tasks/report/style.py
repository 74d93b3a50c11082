"""The look of the report: light and dark, from a phone's width to a wide screen; no script, no font to download."""

STYLE = """
:root {
  --paper: #fbfbf9; --panel: #ffffff; --ink: #1c2024; --soft: #60666d; --line: #e3e4df; --wash: #f2f2ee;
  --accent: #2f5fd0; --second: #c2691c; --good: #17784a; --bad: #b3332b; --good-wash: #e4f3ea; --bad-wash: #fae8e6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --panel: #1d2024; --ink: #e8e9ea; --soft: #9aa1a9; --line: #31353b; --wash: #24282d;
    --accent: #86a8ff; --second: #f0a35e; --good: #6fd3a0; --bad: #ff958c; --good-wash: #1c3228; --bad-wash: #3a2321;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main, header, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; }
h1 { font-size: clamp(1.8rem, 4vw, 2.6rem); line-height: 1.15; letter-spacing: -0.02em; margin: 0.2rem 0 0.8rem; }
h2 { font-size: 1.45rem; letter-spacing: -0.01em; margin: 3.5rem 0 0.3rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 0.5rem; }
p { margin: 0.4rem 0 1rem; }
a { color: var(--accent); }
code, pre { font: 0.85em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 0; padding: 0.9rem; overflow-x: auto; background: var(--wash); border-radius: 8px; }
.eyebrow { color: var(--soft); font-size: 0.9rem; margin: 0; }
.lead { color: var(--soft); max-width: 50rem; }
header .lead { font-size: 1.1rem; }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1.2rem; padding: 0.7rem 0; border-top: 1px solid var(--line);
  border-bottom: 1px solid var(--line); font-size: 0.92rem; }
nav a { text-decoration: none; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.8rem; margin: 1.6rem 0; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 0.9rem 1.1rem; }
.card b { display: block; font-size: 1.7rem; line-height: 1.25; font-weight: 650; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 0.88rem; }
.scroll { overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: 12px;
  margin: 0.8rem 0 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.5rem 0.6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 550; font-size: 0.84rem; background: var(--wash); }
th:first-child { text-align: left; font-weight: 550; }
.words td, .words thead th { text-align: left; white-space: normal; }
.words tbody th { white-space: normal; }
.best { font-weight: 700; color: var(--accent); }
.good { color: var(--good); } .bad { color: var(--bad); } .soft { color: var(--soft); }
.badge { display: inline-block; padding: 0.05rem 0.55rem; border-radius: 99px; font-size: 0.8rem; font-weight: 550;
  background: var(--wash); color: var(--soft); vertical-align: middle; }
.badge.good { background: var(--good-wash); color: var(--good); }
.badge.bad { background: var(--bad-wash); color: var(--bad); }
.object { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.1rem;
  margin: 1rem 0; }
.object h3 { margin: 0 0 0.7rem; }
.row { display: grid; grid-template-columns: 9.5rem minmax(0, 8fr) minmax(0, 3fr); gap: 0.8rem; align-items: center;
  padding: 0.45rem 0; border-top: 1px solid var(--line); }
.row p { margin: 0; line-height: 1.35; font-size: 0.92rem; }
.row small { color: var(--soft); display: block; }
.row .none { color: var(--soft); font-size: 0.82rem; }
img { display: block; max-width: 100%; height: auto; }
.row img { width: 100%; border-radius: 6px; background: #fff; }
.row.given img { width: auto; max-height: 6.2rem; }
.sheets { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 0.9rem; }
figure { margin: 0; }
figure img { width: 100%; border-radius: 8px; border: 1px solid var(--line); background: #fff; }
figcaption { color: var(--soft); font-size: 0.84rem; padding-top: 0.25rem; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem; }
.chart { background: var(--panel); border: 1px solid var(--line); border-radius: 12px; padding: 0.8rem 0.9rem 0.5rem; }
.chart h3 { margin: 0 0 0.2rem; font-size: 0.95rem; }
svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; }
.bars { overflow-x: auto; } .bars svg { min-width: 34rem; }
svg text { fill: var(--soft); }
svg .name { fill: var(--ink); }
svg .grid { stroke: var(--line); fill: none; }
svg .line0 { stroke: var(--accent); fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .line1 { stroke: var(--second); fill: none; stroke-width: 1.8; stroke-linejoin: round; }
svg .bar0 { fill: var(--accent); } svg .bar1 { fill: var(--second); } svg .bar2 { fill: var(--soft); }
svg .floor { stroke: var(--ink); stroke-width: 1.6; } svg .floor.dashed { stroke-dasharray: 2.5 2; }
.key { font-size: 0.84rem; color: var(--soft); margin: 0.2rem 0 0; }
.key i { display: inline-block; width: 0.75rem; height: 0.75rem; border-radius: 3px; vertical-align: -1px;
  margin: 0 0.3rem 0 0.8rem; }
.key i:first-child { margin-left: 0; }
.key .c0 { background: var(--accent); } .key .c1 { background: var(--second); } .key .c2 { background: var(--soft); }
details { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; margin: 0.5rem 0;
  padding: 0.55rem 0.9rem; }
details > :not(summary) { margin-top: 0.6rem; }
summary { cursor: pointer; font-size: 0.94rem; }
footer { color: var(--soft); font-size: 0.86rem; padding-top: 2.5rem; padding-bottom: 3rem; }
@media (max-width: 46rem) {
  .row { grid-template-columns: 1fr; gap: 0.35rem; }
  .row .meshes img { max-width: 20rem; }
  header { padding-top: 1.6rem; }
}
"""
