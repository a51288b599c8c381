# SPDX-License-Identifier: Apache-2.0
#
# What hack/bench makes of the rows that the figures wrote: the raw numbers as one JSON document, the table with its
# verdicts, and docs/performance.md with its picture. Standard library only.
#
#     report.py json DIRECTORY FIGURE...     DIRECTORY/facts.json and DIRECTORY/FIGURE.rows, on standard output
#     report.py table RESULTS                the table; exit code 1 when a goal is missed
#     report.py save RESULTS FILE            table, facts and picture into FILE, between its markers
import json
import math
import os
import re
import sys

GOAL = re.compile(r"(value|ratio) (<=|>=) ([0-9.]+)$")
MARKS = "<!-- written by hack/bench --save: {} -->"


def results(directory, figures):
    out = {"facts": load(os.path.join(directory, "facts.json")), "figures": {}}
    for figure in figures:
        with open(os.path.join(directory, figure + ".rows"), encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        out["figures"][figure] = {
            "rows": [dict(line, holds=holds(line)) for line in lines if "name" in line],
            "points": [line for line in lines if "series" in line],
        }
    return out


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def holds(row):
    """Whether it meets its goal; None where it has none."""
    if "goal" not in row:
        return None
    what, sign, limit = GOAL.match(row["goal"]).groups()
    got = row["ours"]["median"] if what == "value" else row["ratio"]
    return got <= float(limit) if sign == "<=" else got >= float(limit)


# ---- the table -----------------------------------------------------------------------------------------------------


def number(value, unit=""):
    """Three digits that say something."""
    if value == 0 or value == int(value) and abs(value) < 1000:
        text = str(int(value))
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{2 - math.floor(math.log10(abs(value)))}f}" if abs(value) >= 0.01 else f"{value:.4f}"
    return f"{text} {unit}".rstrip()


def goal_text(row):
    if "goal" not in row:
        return ""
    what, sign, limit = GOAL.match(row["goal"]).groups()
    bound = "at most" if sign == "<=" else "at least"
    if what == "ratio":
        return f"{bound} {number(float(limit))} times"
    return f"{bound} {number(float(limit), row['unit'])}"


def cells(row):
    verdict = {None: "", True: "holds", False: "MISSED"}[row["holds"]]
    theirs = f"{number(row['theirs']['median'], row['unit'])}: {row['peer']}" if "peer" in row else ""
    ratio = f"{row['ratio']:.2f}" if "peer" in row else ""
    return [row["name"], number(row["ours"]["median"], row["unit"]), theirs, ratio, goal_text(row), verdict]


HEAD = ["figure", "ours", "beside it, in the same run", "ratio", "goal", "verdict"]


def table(res):
    """Rows of text; what is among the raw numbers only is left out."""
    return [cells(row) for figure in res["figures"].values() for row in figure["rows"] if not row.get("detail")]


def print_table(res):
    rows = [HEAD] + table(res)
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    for row in rows:
        print("  ".join(cell.rjust(w) if i in (1, 3) else cell.ljust(w)
                        for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    verdicts = [row[-1] for row in rows[1:]]
    print(f"{verdicts.count('holds')} hold, {verdicts.count('MISSED')} missed; {facts(res)}")
    return 1 if "MISSED" in verdicts else 0


def facts(res):
    f = res["facts"]
    return (f"{f['date']}, {f['commit']}, {f['cpus']} CPUs ({f['cpu']}), {f['memory'] / 2**30:.0f} GiB, "
            f"{f['system']}, Linux {f['kernel']}, libvirt {f['libvirt']}, QEMU {f['qemu']} without KVM, "
            f"etcd {f['etcd']}; the disk makes 4 KiB durable in {f['disk']['p50']} us (99 %: {f['disk']['p99']} us); "
            f"load before {f['load']}; {f['pairs']} pairs" + (" (--quick)" if f["quick"] else ""))


# ---- the picture ---------------------------------------------------------------------------------------------------

STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 13px }
  .soft { fill: #57606a }
  .axis { stroke: #8c959f; stroke-width: 1 }
  .grid { stroke: #8c959f; stroke-width: 1; opacity: .25 }
  .line { stroke: #0969da; stroke-width: 2; fill: none }
  .dot { fill: #0969da }
  .peer { stroke: #bf5600; stroke-width: 2; fill: none }
  .peerdot { fill: #bf5600 }
  .ratio { stroke: #57606a; stroke-dasharray: 3 4; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .soft { fill: #9198a1 }
    .line { stroke: #58a6ff } .dot { fill: #58a6ff }
    .peer { stroke: #f0883e } .peerdot { fill: #f0883e }
    .ratio { stroke: #9198a1 }
  }
"""
WIDE, HIGH, COLUMNS = 330, 210, 3
LEFT, TOP, RIGHT, BOTTOM = 52, 42, 22, 34


def panels(res):
    """Name of a panel -> (unit, what x counts, {series: [(x, y)]}). A series is "panel" or "panel | line"."""
    out = {}
    for figure in res["figures"].values():
        for p in figure["points"]:
            name, _, line = p["series"].partition(" | ")
            name, _, counts = name.partition(" / ")
            lines = out.setdefault(name, (p["unit"], counts or "objects", {}))[2]
            lines.setdefault(line, []).append((p["x"], p["y"]))
    return out


def decades(low, high):
    """The powers of ten around what is shown."""
    a, b = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return a, b if b > a else a + 1


def panel(x0, y0, name, unit, counts, lines):
    every = [p for points in lines.values() for p in points]
    shown = [p for p in every if p[0] > 0]
    xa, xb = decades(min(p[0] for p in shown), max(p[0] for p in shown))
    ya, yb = decades(min(p[1] for p in every), max(p[1] for p in every))

    def at(x, y):
        return (x0 + LEFT + (math.log10(x) - xa) / (xb - xa) * (WIDE - LEFT - RIGHT),
                y0 + HIGH - BOTTOM - (math.log10(y) - ya) / (yb - ya) * (HIGH - TOP - BOTTOM))

    def text(x, y, content, cls="soft", anchor="middle"):
        return f'<text x="{x:.1f}" y="{y:.1f}" class="{cls}" text-anchor="{anchor}">{content}</text>'

    out = [text(x0 + LEFT, y0 + 18, name, "title", "start"), text(x0 + LEFT, y0 + 34, unit, "soft", "start")]
    for d in range(ya, yb + 1):
        (left, y), (right, _) = at(10**xa, 10**d), at(10**xb, 10**d)
        out.append(f'<path class="{"axis" if d == ya else "grid"}" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
        out.append(text(left - 6, y + 4, f"{10**d:,g}" if d < 6 else f"10^{d}", "soft", "end"))
    for d in range(xa, xb + 1):
        x, y = at(10**d, 10**ya)
        out.append(text(x, y + 16, f"{10**d:,d}"))
    out.append(text(*[v + o for v, o in zip(at(10 ** ((xa + xb) / 2), 10**ya), (0, 30))], counts))
    for i, (line, points) in enumerate(lines.items()):
        dots = [at(x, y) for x, y in sorted(points) if x > 0]
        cls = ("line", "dot") if i == 0 else ("peer", "peerdot")
        out.append(f'<path class="{cls[0]}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in dots)}"/>')
        out += [f'<circle class="{cls[1]}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in dots]
        x, y = sorted(points)[-1]
        out.append(text(dots[-1][0] + 4, dots[-1][1] + (-9 if i == 0 else 18), f"{line} {number(y)}".strip(), "", "end"))
        for x, y in points:
            if x == 0:  # what none of them cost, as a line beneath
                (left, h), (right, _) = at(10**xa, y), at(10**xb, y)
                out.append(f'<path class="ratio" d="M{left:.1f} {h:.1f}H{right:.1f}"/>')
                out.append(text(left + 4, h + 14, "none: " + number(y), "soft", "start"))
    return out


def picture(res):
    all_panels = panels(res)
    height = math.ceil(len(all_panels) / COLUMNS) * HIGH + 12
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS * WIDE} {height}" role="img" '
           'aria-label="How cost grows with size; both axes are logarithmic">', f"<style>{STYLE}</style>"]
    for i, (name, (unit, counts, lines)) in enumerate(all_panels.items()):
        out += panel(i % COLUMNS * WIDE, i // COLUMNS * HIGH, name, unit, counts, lines)
    return "\n".join(out + ["</svg>", ""])


# ---- docs/performance.md -------------------------------------------------------------------------------------------


def save(res, path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    lines = ["", "Measured " + facts(res) + ".", ""]
    lines += ["| " + " | ".join(row) + " |" for row in [HEAD, ["---", "---:", "---", "---:", "---", "---"]] + table(res)]
    begin, end = MARKS.format("begin"), MARKS.format("end")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + begin + "\n".join(lines) + "\n\n" + end + after)
    with open(os.path.join(os.path.dirname(path), "performance.svg"), "w", encoding="utf-8") as f:
        f.write(picture(res))


def main(argv):
    if argv[0] == "json":
        json.dump(results(argv[1], argv[2:]), sys.stdout, indent=1)
        print()
        return 0
    if argv[0] == "table":
        return print_table(load(argv[1]))
    save(load(argv[1]), argv[2])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
