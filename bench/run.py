#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Measures cubbyfs against what people would use instead, all in turn in one run. `./dev
bench` builds what this needs and calls it; see README.md for what is measured how."""
import argparse
import json
import os
import platform
import shutil
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import report
import rows
import sides
import targets


class Size:
    """How much of everything."""
    rounds = 7
    seconds = 0.4               # of one round of one side
    lists = [1000, 100000]      # keys of the directories that are listed
    shell = 200                 # turns of the shell's loop
    counts = [1000, 100000, 1000000]    # keys of the stores that are mounted
    slope = (1000, 1000000)     # few and many
    slope_rounds = 7
    burst = 1000                # keys that expire at once
    compaction = (100000, 1024, 3)      # keys, bytes of a value, compactions
    compaction_seconds = 300    # at most


class Long(Size):
    rounds = 11
    seconds = 1.0
    shell = 500
    counts = Size.counts + [10000000]
    slope_rounds = 11
    compaction = (1000000, 200, 3)
    compaction_seconds = 1800


class Quick(Size):
    rounds = 3
    seconds = 0.05
    shell = 10
    counts = [1000, 100000]
    slope = (1000, 100000)
    slope_rounds = 3
    burst = 200
    compaction = (6000, 2048, 1)
    compaction_seconds = 20


class Tiny(Quick):
    rounds = slope_rounds = 1
    seconds = 0.005
    lists = [100]
    shell = 2
    counts = [1000]
    slope = (100, 1000)
    burst = 20
    compaction = (3000, 4096, 1)
    compaction_seconds = 60


SIZES = {"full": Size, "long": Long, "quick": Quick, "tiny": Tiny}


class Teller:
    """A progress bar on a terminal: how many of the steps, and which one."""

    def __init__(self, total):
        self.total = max(total, 1)
        self.done = 0
        self.terminal = sys.stderr.isatty()

    def __call__(self, text):
        self.done += 1
        if self.terminal:
            share = min(self.done / self.total, 1)
            width = max(20, shutil.get_terminal_size().columns - 60)
            bar = "#" * int(share * width)
            sys.stderr.write("\r\033[K%3d %% [%-*s] %.48s" % (100 * share, width, bar, text))
            sys.stderr.flush()

    def finish(self):
        if self.terminal:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def parse():
    p = argparse.ArgumentParser(prog="bench", description=__doc__)
    how = p.add_mutually_exclusive_group()
    for name, text in (("tiny", "only to see whether it runs"),
                       ("quick", "in under two minutes"),
                       ("long", "10^7 keys, more rounds: hours")):
        how.add_argument("--" + name, dest="size", action="store_const", const=name, help=text)
    p.add_argument("--build", required=True, help="the build's directory")
    p.add_argument("--output", required=True, help="directory for bench.json, .svg, .txt")
    p.add_argument("--directory", default=os.environ.get("CUBBY_BENCH_DIR", "/var/tmp"),
                   help="where stores and databases are made: the disk that is measured")
    p.add_argument("--sides", help="only these, by commas: "
                   + ",".join(side.key for side in sides.ALL))
    p.add_argument("workloads", nargs="*", metavar="WORKLOAD",
                   help="all if none is named: " + " ".join(rows.GROUPS))
    p.set_defaults(size="full")
    o = p.parse_args()
    for name in o.workloads:
        if name not in rows.GROUPS:
            p.error("there is no workload '%s': %s" % (name, " ".join(rows.GROUPS)))
    known = [side.key for side in sides.ALL]
    o.sides = o.sides.split(",") if o.sides else known
    for name in o.sides:
        if name not in known:
            p.error("there is no side '%s': %s" % (name, " ".join(known)))
    if os.getuid() != 0:
        p.error("only root can mount all of them")
    return o


def start_sides(bench, wanted, groups, size, tell, left_out):
    started = {}
    for make in sides.ALL:
        if make.key not in wanted:
            continue
        side = make(bench)
        tell("starting %s" % make.key)
        try:
            side.start()
            side.fill(groups, size.lists if "ls" in groups and side.listed else [])
            started[make.key] = side
        except (sides.Absent, sides.Failed) as e:
            left_out.append("%s: %s" % (make.key, e))
    return started


def measure(runner, groups, planned):
    for row in planned:
        runner.row(row)
    for group in ("shell", "disk", "mount", "journal", "compaction", "slope"):
        if group in groups and (group in ("shell", "disk") or "cubbyfs" in runner.sides):
            try:
                getattr(runner, group)()
            except sides.Failed as e:
                runner.failures.append("%s: %s" % (group, e))


def steps(planned, wanted, groups, size):
    """About how often tell() will be called."""
    total = len(wanted) + sum(size.rounds * sum(s in wanted for s in row.sides)
                              for row in planned)
    total += "shell" in groups and 2 * size.rounds * min(len(wanted), 8)
    total += "disk" in groups and 3 * size.rounds
    total += "mount" in groups and 13 * len(size.counts)
    total += "slope" in groups and 12 * size.slope_rounds
    return total + 4


def machine(directory):
    with open("/proc/cpuinfo") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return {"kernel": platform.release(), "architecture": platform.machine(),
            "cpus": os.cpu_count(), "cpu": models[0] if models else "",
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "disk": sides.type_of(directory)}


def write(result, output):
    os.makedirs(output, exist_ok=True)
    text = report.table(result)
    for name, content in (("bench.json", json.dumps(result, indent=1) + "\n"),
                          ("bench.svg", report.svg(result)), ("bench.txt", text + "\n")):
        with open(os.path.join(output, name), "w") as f:
            f.write(content)
    print(text)
    print("\nwritten: %s" % ", ".join(os.path.join(output, "bench." + kind)
                                      for kind in ("json", "svg", "txt")))


def interrupted(signum, frame):
    raise KeyboardInterrupt


def main():
    o = parse()
    size = SIZES[o.size]
    groups = o.workloads or rows.GROUPS
    planned = [row for row in rows.plan(size.lists) if row.group in groups]
    tell = Teller(steps(planned, o.sides, groups, size))
    left_out = []
    signal.signal(signal.SIGTERM, interrupted)
    start = time.monotonic()
    date = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    load = os.getloadavg()[0]
    bench = sides.Bench(o.build, o.directory)
    try:
        started = start_sides(bench, o.sides, groups, size, tell, left_out)
        runner = rows.Runner(bench, started, size, tell)
        measure(runner, groups, planned)
    except KeyboardInterrupt:
        tell.finish()
        print("bench: interrupted", file=sys.stderr)
        return 130
    finally:
        tell.finish()
        bench.close()
    write({"version": 1, "date": date, "size": o.size, "rounds": size.rounds,
           "seconds": round(time.monotonic() - start, 1), "machine": machine(o.directory),
           "load_before": load,
           "sides": [{"side": key, "label": side.label, "guarantee": side.guarantee}
                     for key, side in started.items()],
           "rows": runner.rows, "targets": targets.judge(runner.rows), "left_out": left_out,
           "failures": runner.failures}, o.output)
    return 1 if runner.failures else 0


if __name__ == "__main__":
    sys.exit(main())
