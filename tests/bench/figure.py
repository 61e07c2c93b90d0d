"""The figure of README.md: how long each peer takes by our time, a bar for each case and engine.

    python tests/bench/figure.py      reads target/bench/results.json, writes tests/bench/speed.svg

tests/bench/run draws it after it has measured the cases.
"""

import json
from pathlib import Path

import report
from workers import PEERS

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "target" / "bench" / "results.json"
FIGURE = HERE / "speed.svg"

SHOWN = {
    "1x16": "one text, 16 tokens",
    "1x128": "one text, 128 tokens",
    "32x32": "32 texts of 32 tokens",
    "32x128": "32 texts of 128 tokens",
    "8x512": "8 texts of 512 tokens",
    "ragged": "256 texts of 5 to 120 tokens",
}
COLOURS = ["#c44e52", "#dd8452", "#8172b3"]
LEFT, WIDTH, BAR, GAP = 210, 330, 11, 14
LARGEST = 2.5


def bar(row, ratio, colour, name):
    """One engine's bar; a longer one than the figure is cut and keeps its number."""
    length = min(ratio, LARGEST) / LARGEST * WIDTH
    return (
        f'<rect x="{LEFT}" y="{row}" width="{length:.0f}" height="{BAR - 2}" fill="{colour}"/>'
        f'<text x="{LEFT + length + 5:.0f}" y="{row + BAR - 3}" font-size="10">'
        f"{ratio:.2f} {name}</text>"
    )


def draw(cases, processor):
    """`{case: rounds}` → the SVG's text."""
    parts, row = [], 44
    for case, words in SHOWN.items():
        if case not in cases:
            continue
        middle = row + len(PEERS) * BAR / 2 + 3
        parts.append(f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{words}</text>')
        for colour, name in zip(COLOURS, PEERS, strict=True):
            ratio = report.spread(report.ratios(cases[case], name))["median"]
            parts.append(bar(row, ratio, colour, name))
            row += BAR
        row += GAP
    ours = LEFT + WIDTH / LARGEST
    parts.append(
        f'<line x1="{ours:.0f}" y1="36" x2="{ours:.0f}" y2="{row - GAP + 4}" stroke="#4c72b0" '
        'stroke-width="2"/>'
        f'<text x="{ours:.0f}" y="30" text-anchor="middle" fill="#4c72b0">bert-embed = 1</text>'
    )
    title = f"Time of each engine by that of bert-embed: BERT base, f32, {processor}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="680" height="{row}" '
        'font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="white"/><text x="10" y="15">{title}</text>'
        + "".join(parts)
        + "</svg>\n"
    )


def write():
    """Draws the figures of the last run."""
    results = json.loads(RESULTS.read_text())
    FIGURE.write_text(draw(results["cases"], results["processor"]))


if __name__ == "__main__":
    write()
