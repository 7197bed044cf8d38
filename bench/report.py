# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""A run's results as a table and as a plot."""
import html
import math

OURS = ("cubbyfs", "mount", "preallocated", "during")     # what the ratios go by


def amount(value, unit):
    if value is None:
        return ""
    if unit == "bytes":
        return "%.0f B" % value
    if unit == "times":
        return "%.2f" % value
    for name, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(value) >= size:
            scaled = value / size
            return "%.*f %s" % (0 if scaled >= 100 else 1 if scaled >= 10 else 2, scaled, name)
    return "%.0f ns" % value


def reference(row):
    for key in OURS:
        for side in row["sides"]:
            if side["side"] == key:
                return side
    return row["sides"][0] if row["sides"] else None


def table(result):
    lines = ["%-46s %10s %7s %10s %10s %10s %7s" % (
        "", "median", "ratio", "min", "p50", "p99", "trips")]
    for row in result["rows"]:
        lines += ["", row["title"]]
        base = reference(row)
        unit = row["unit"]
        for side in row["sides"]:
            ratio = side["median"] / base["median"] if base["median"] else float("nan")
            lines.append("  %-44s %10s %7s %10s %10s %10s %7s" % (
                side["label"][:44], amount(side["median"], unit), "%.2f" % ratio,
                amount(side.get("min"), unit), amount(side.get("p50"), unit),
                amount(side.get("p99"), unit),
                "%.2f" % side["round_trips"] if "round_trips" in side else ""))
        if not row["sides"]:
            lines.append("  no side has this")
    lines += ["", "Median: of the rounds' figures. Ratio: to cubbyfs (or the first of the row); "
              "above 1 takes longer.", "min, p50, p99: of single calls. "
              "Trips: round trips to the daemon per call.", "", "To reach"]
    for t in result["targets"]:
        value = "not measured" if t["value"] is None else "%.2f" % t["value"]
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[t["reached"]]
        limit = "%s %g" % (t["kind"], t["limit"]) if t["kind"] else ""
        lines.append("  %s. %-70s %12s  %-12s %s" % (
            t["number"], t["what"], value, limit, verdict))
    for text in result["left_out"]:
        lines.append("left out: " + text)
    for text in result["failures"]:
        lines.append("failed: " + text)
    return "\n".join(lines)


# --- the plot ---------------------------------------------------------------------------

WIDTH, LABELS, NUMBERS, BAR, GAP, TITLE, TOP = 960, 290, 90, 16, 4, 34, 64
COLOURS = {"cubbyfs": "#1b6ca8", "cubbyfs-sync": "#5b9bd0", "mount": "#1b6ca8"}
OTHER = "#b9bec5"


def svg(result):
    """Horizontal bars; each row of the table has a logarithmic scale of its own, of whole
    decades, with a line at each."""
    rows = [r for r in result["rows"] if r["sides"]
            and all(side["median"] > 0 for side in r["sides"])]
    height = TOP + sum(TITLE + len(r["sides"]) * (BAR + GAP) for r in rows) + 24
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
           'viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">'
           % (WIDTH, height, WIDTH, height),
           '<rect width="100%" height="100%" fill="#ffffff"/>',
           text(12, 24, "cubbyfs and what else there is", size=17, weight="bold"),
           text(12, 44, "%s; medians of %d rounds, all in turn; logarithmic, left is faster"
                % (result["date"], result["rounds"]), fill="#555555")]
    y = TOP
    for row in rows:
        out += plot_row(row, y)
        y += TITLE + len(row["sides"]) * (BAR + GAP)
    out.append("</svg>")
    return "\n".join(out) + "\n"


def plot_row(row, y):
    values = [side["median"] for side in row["sides"]]
    low = math.floor(math.log10(min(values) / 1.5))
    high = max(low + 1, math.ceil(math.log10(max(values))))
    room = WIDTH - LABELS - NUMBERS

    def across(value):
        return LABELS + room * (math.log10(value) - low) / (high - low)
    bottom = y + TITLE + len(values) * (BAR + GAP)
    out = [text(12, y + 20, row["title"], weight="bold")]
    for power in range(low, high + 1):
        x = across(10.0 ** power)
        out.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#e3e5e8"/>'
                   % (x, y + TITLE - 4, x, bottom - GAP))
        if power > low:
            out.append(text(x, y + TITLE - 6, amount(10.0 ** power, row["unit"]), size=9,
                            fill="#888888", anchor="middle"))
    for i, side in enumerate(row["sides"]):
        at = y + TITLE + i * (BAR + GAP)
        out.append(text(LABELS - 8, at + 12, side["label"], anchor="end"))
        out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
            LABELS, at, max(across(side["median"]) - LABELS, 1), BAR,
            COLOURS.get(side["side"], OTHER)))
        out.append(text(across(side["median"]) + 6, at + 12,
                        amount(side["median"], row["unit"])))
    return out


def text(x, y, words, size=12, weight="normal", fill="#222222", anchor="start"):
    return '<text x="%.1f" y="%d" font-size="%d" font-weight="%s" fill="%s" text-anchor="%s">%s' \
        '</text>' % (x, y, size, weight, fill, anchor, html.escape(words))
