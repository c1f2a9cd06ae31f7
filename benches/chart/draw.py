"""Draws benches/comparison.svg from the lines that the comparison wrote. Python alone, nothing to install."""

import datetime
import json
import subprocess
import sys
from html import escape
from pathlib import Path

OURS = "tower-jwt-auth"
BAR, GAP, LABEL, PLOT, VALUE = 18, 7, 250, 400, 90
HEAD, PANEL_HEAD, PANEL_GAP, FOOT = 64, 26, 22, 34

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 }
.panel { font-size: 14px; font-weight: 600 }
.quiet { fill: #57606a; font-size: 12px }
.value { font-variant-numeric: tabular-nums }
.end { text-anchor: end }
.ours { fill: #0969da }
.limit { fill: #d0d7de }
.peer { fill: #8c959f }
.break { stroke: #ffffff; stroke-width: 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .quiet { fill: #8d96a0 }
  .ours { fill: #4493f8 }
  .limit { fill: #30363d }
  .peer { fill: #6e7681 }
  .break { stroke: #0d1117 }
}
"""


def machine():
    """The processor, how many, and the compiler."""
    cpus = Path("/proc/cpuinfo").read_text().split("\n\n")
    cpus = [dict(map(str.strip, line.split(":", 1)) for line in cpu.splitlines()) for cpu in cpus if cpu.strip()]
    name = cpus[0].get("model name", "unknown processor")
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return f"{name}, {len(cpus)} cores, rustc {rustc}"


def time(ns):
    return f"{ns:.0f} ns" if ns < 1000 else f"{ns / 1000:.1f} µs"


def panel(group, cases, top):
    """The bars of one algorithm, the shortest first. What is longer than twice the work by hand is cut off."""
    cases = sorted((case for case in cases if case["case"] != "no middleware"), key=lambda case: case["ns"])
    by_hand = next(case["ns"] for case in cases if case["case"].startswith("by hand"))
    longest = min(cases[-1]["ns"], 2 * by_hand)
    yield f'<text class="panel" x="0" y="{top + 15}">{escape(group)}</text>'
    top += PANEL_HEAD
    for case in cases:
        name, ns = case["case"], case["ns"]
        kind = "ours" if name.startswith(OURS) else "limit" if name.startswith("the limit") else "peer"
        width = max(1.5, PLOT * min(ns, longest) / longest)
        middle = top + BAR / 2
        yield f'<text class="end" x="{LABEL - 10}" y="{middle + 4.5}">{escape(name)}</text>'
        yield f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>'
        if ns > longest:
            at = LABEL + PLOT - 18
            yield f'<path class="break" d="M{at} {top + BAR + 2} l8 -{BAR + 4}"/>'
        yield f'<text class="value" x="{LABEL + width + 8:.1f}" y="{middle + 4.5}">{time(ns)}</text>'
        top += BAR + GAP


def draw(lines):
    groups = {}
    for line in lines:
        groups.setdefault(line["group"], []).append(line)
    body, top = [], HEAD
    for group, cases in groups.items():
        body.extend(panel(group, cases, top))
        bars = sum(case["case"] != "no middleware" for case in cases)
        top += PANEL_HEAD + bars * (BAR + GAP) + PANEL_GAP
    width, height = LABEL + PLOT + VALUE, top + FOOT - PANEL_GAP
    title = "Time per accepted request, around a service that does nothing"
    note = "One thread, median. The limit: one signature check, one decode, one typed parse; remembered: one lookup."
    date = datetime.date.today().isoformat()
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{title}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="0" y="20">{title}</text>',
        f'<text class="quiet" x="0" y="42">{note}</text>',
        *body,
        f'<text class="quiet" x="0" y="{height - 10}">{escape(machine())}, {date}. Shorter is better.</text>',
        "</svg>",
        "",
    ])


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(draw([json.loads(line) for line in source.read_text().splitlines()]))
