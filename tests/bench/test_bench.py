#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Whether ./dev bench measures what it says it does: the tiniest run, and what the programs
do when something is wrong. No time is judged."""
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from harness import BUILD, ROOT, check, deadline, equal, main, mount_only, unmounted, wait_for
sys.path.insert(0, os.path.join(ROOT, "bench"))
import report
import targets

DRIVER = os.path.join(BUILD, "bench", "cubby-bench")


def bench(scratch, *words, build=BUILD, **more):
    command = [sys.executable, "-B", os.path.join(ROOT, "bench", "run.py"), "--build", build,
               "--output", scratch.path("out"), "--directory", scratch.top, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            **more)


def finish(process, code=0):
    out, err = process.communicate(timeout=300)
    equal(process.returncode, code, "exit status (%s%s)" % (out[-600:], err[-600:]))
    return out, err


def results(scratch):
    with open(scratch.path("out", "bench.json")) as f:
        return json.load(f)


def nothing_left(scratch):
    with open("/proc/self/mountinfo") as f:
        equal([line for line in f if scratch.top in line], [], "mounts that are left")
    equal([name for name in os.listdir(scratch.top) if name.startswith("cubbybench.")], [],
          "directories that are left")


def check_side(row, side):
    what = "%s of %s" % (row["name"], side["side"])
    check(side["rounds"] and all(isinstance(n, (int, float)) for n in side["rounds"]),
          what + " has no rounds")
    check(min(side["rounds"]) <= side["median"] <= max(side["rounds"]), what + ": its median")
    if row["name"] != "memory" and side["side"] != "machine":   # which may not stand still at all
        check(side["median"] > 0, what + " took no time")
    if "p50" in side:
        check(0 < side["min"] <= side["p50"] <= side["p99"] <= side["max"],
              what + ": %r" % side)


@unmounted
@mount_only
@deadline(400)
def test_a_tiny_run(scratch):
    out, _ = finish(bench(scratch, "--tiny", "--sides", "cubbyfs,floor,disk"))
    r = results(scratch)
    equal((r["version"], r["size"], r["left_out"], r["failures"]), (1, "tiny", [], []), "run")
    equal([s["side"] for s in r["sides"]], ["cubbyfs", "floor", "disk"], "sides")
    rows = {row["name"]: row for row in r["rows"]}
    wanted = {"get-100", "get-4096", "get-1048576", "stat", "ls-100", "ls-100-cold",
              "ls-l-100", "set", "set-fsync", "set-fsync-16", "create", "delete", "increment",
              "mix", "wakeup", "expiry", "shell-get", "shell-set", "disk", "mount-1000",
              "memory", "journal", "pause", "space", "slope-get", "slope-set", "slope-stat",
              "slope-create", "slope-delete", "slope-expiries"}
    equal(set(rows), wanted, "rows")
    for row in r["rows"]:
        for side in row["sides"]:
            check_side(row, side)
            check(row["title"] in out and side["label"][:44] in out, "the table lacks a side")
    for name in ("get-100", "stat", "set", "create", "delete", "increment", "mix"):
        equal([s["side"] for s in rows[name]["sides"]], ["cubbyfs", "floor", "disk"], name)
    equal([s["side"] for s in rows["disk"]["sides"]], ["append", "preallocated", "rename"],
          "disk")
    equal(len(r["targets"]), len(targets.TARGETS), "targets")
    for t in r["targets"]:
        check((t["value"] is None) == ("missing" in t), "neither value nor reason: %r" % t)
    # What is no matter of time: the floor must be asked at least to look up, open, read
    # and release, and each set is a line of at least its value and checksum.
    floor = rows["get-100"]["sides"][1]
    check(4 <= floor["round_trips"] < 8, "round trips of the floor: %r" % floor)
    check(100 < rows["journal"]["sides"][0]["median"] < 1000, "journal bytes")
    check(rows["pause"]["sides"][0]["compactions"] == 1, "compactions")
    svg = xml.etree.ElementTree.parse(scratch.path("out", "bench.svg"))
    bars = svg.findall("{http://www.w3.org/2000/svg}rect")
    plotted = [row for row in r["rows"] if all(s["median"] > 0 for s in row["sides"])]
    equal(len(bars) - 1, sum(len(row["sides"]) for row in plotted), "bars")
    nothing_left(scratch)


@unmounted
@mount_only
def test_a_side_that_is_not_there_is_left_out(scratch):
    os.mkdir(scratch.path("bin"))
    for name in ("umount", "mount", "sh", "cat"):
        os.symlink(shutil.which(name), scratch.path("bin", name))
    build = scratch.path("build")
    os.makedirs(build + "/bench")
    os.symlink(BUILD + "/fs", build + "/fs")
    for name in ("cubby-bench", "fill-store"):
        os.symlink(BUILD + "/bench/" + name, build + "/bench/" + name)
    with open(build + "/bench/floor", "w") as f:
        f.write("#!/bin/sh\nexit 1\n")
    os.chmod(build + "/bench/floor", 0o755)
    out, _ = finish(bench(scratch, "--tiny", "--sides", "cubbyfs,floor,bindfs,etcd", "stat",
                          build=build, env=dict(os.environ, PATH=scratch.path("bin"))))
    r = results(scratch)
    equal([s["side"] for s in r["sides"]], ["cubbyfs"], "sides")
    equal(r["left_out"], ["floor: the floor has not started", "bindfs: bindfs is not installed",
                          "etcd: etcd and etcdctl are not installed"], "left out")
    for text in r["left_out"]:
        check("left out: " + text in out, "the table does not say: " + text)
    nothing_left(scratch)


@unmounted
@mount_only
def test_a_side_that_fails_is_said_and_the_rest_goes_on(scratch):
    build = scratch.path("build")
    os.makedirs(build + "/bench")
    os.symlink(BUILD + "/fs", build + "/fs")
    os.symlink(BUILD + "/bench/fill-store", build + "/bench/fill-store")
    with open(build + "/bench/cubby-bench", "w") as f:
        f.write('#!/bin/sh\ncase "$1 $3" in "stat "*/disk) echo broken >&2; exit 1 ;; esac\n'
                'exec %s "$@"\n' % DRIVER)
    os.chmod(build + "/bench/cubby-bench", 0o755)
    out, _ = finish(bench(scratch, "--tiny", "--sides", "cubbyfs,disk", "stat", "set",
                          build=build), 1)
    r = results(scratch)
    equal(r["failures"], ["disk: broken"], "failures")
    check("failed: disk: broken" in out, "the table does not say so")
    equal({row["name"]: [s["side"] for s in row["sides"]] for row in r["rows"]},
          {"stat": ["cubbyfs"], "set": ["cubbyfs", "disk"]}, "rows")
    nothing_left(scratch)


@unmounted
@mount_only
def test_ended_in_the_middle_it_leaves_nothing(scratch):
    p = bench(scratch, "--quick", "--sides", "cubbyfs,floor", "mix")

    def mounted():
        with open("/proc/self/mountinfo") as f:
            return sum(scratch.top in line for line in f) == 2
    wait_for(mounted, 60, "both mounts")
    p.send_signal(signal.SIGTERM)
    _, err = finish(p, 130)
    check("interrupted" in err, err)
    nothing_left(scratch)


@unmounted
def test_wrong_words(scratch):
    for words, said in ((["nonsense"], "no workload 'nonsense'"),
                        (["--sides", "dbm"], "no side 'dbm'"),
                        (["--quick", "--long"], "not allowed with")):
        _, err = finish(bench(scratch, *words), 2)
        check(said in err, err)


def drive(*words, code=0):
    r = subprocess.run([DRIVER, *words], capture_output=True, text=True, timeout=60)
    equal(r.returncode, code, "exit status of %r (%s)" % (words, r.stderr))
    return r


@unmounted
def test_the_driver_looks_at_what_it_gets(scratch):
    d = scratch.path("keys")
    os.mkdir(d)
    drive("fill", "files", d, "keys=10", "size=100")
    equal(len(os.listdir(d)), 10, "keys")
    r = json.loads(drive("get", "files", d, "keys=10", "calls=50").stdout)
    equal((r["calls"], r["counted"], r["samples"]), (55, 50, 50), "calls, with warming up")
    check(r["min"] <= r["median"] <= r["p99"] <= r["max"], r)
    drive("list", "files", d, "keys=10", "calls=3")
    # a value of another size, a key too many, a key too few
    for words in (["get", "files", d, "keys=10", "size=99"], ["list", "files", d, "keys=9"],
                  ["list", "files", d, "keys=11"], ["get", "files", d, "keys=11"],
                  ["stat", "files", scratch.path("nowhere")],
                  ["sets", "files", scratch.path("nowhere"), "writers=2"],
                  ["sets", "files", d, "writers=65"],
                  ["parse", "files", d, "store=" + scratch.path("nowhere")],
                  ["pause", "files", d, "store=" + scratch.path("nowhere")], ["pause", "files", d],
                  ["disk", "files", d, "mode=sideways"]):
        check("cubby-bench: " in drive(*words, code=1).stderr, "no reason")
    for words in ([], ["get", "files"], ["sing", "files", d], ["get", "files", d, "keys"],
                  ["get", "files", d, "keys=many"], ["get", "files", d, "keys=-1"],
                  ["get", "files", d, "keys=0"], ["get", "files", d, "stride=2000"],
                  ["get", "files", d, "seconds=-1"], ["get", "files", d, "colour=1"]):
        drive(*words, code=2)
    drive("get", "oracle", d, code=3)
    drive("stat", "renamed-files", d, code=3)
    drive("create", "renamed-files", d, code=3)
    drive("list", "renamed-files", d, code=3)
    drive("increment", "renamed-files", d, code=3)
    drive("wakeup", "renamed-files", d, code=3)
    drive("expiry", "renamed-files", d, code=3)
    drive("expiries", "renamed-files", d, code=3)


@unmounted
def test_the_driver_sets_what_it_says(scratch):
    d = scratch.path("keys")
    os.mkdir(d)
    drive("fill", "files", d, "keys=10", "size=10")
    for side in ("files", "renamed-files"):
        for durable in "01":
            drive("set", side, d, "keys=10", "size=33", "calls=20", "durable=" + durable)
            for name in os.listdir(d):
                with open(os.path.join(d, name), "rb") as f:
                    equal(len(f.read()), 33, name)
            drive("fill", side, d, "keys=10", "size=10")
    equal(len(os.listdir(d)), 10, "keys")
    # never the same value twice: a store may leave that out
    for words in (["set"], ["sets", "writers=1"], ["mix", "writers=1"]):
        seen = set()
        for _ in range(3):
            drive(words[0], "files", d, "keys=1", "calls=40", "size=33", *words[1:])
            with open(os.path.join(d, "100-00000000"), "rb") as f:
                seen.add(f.read())
        equal(len(seen), 3, "values of %r" % words)
    for workload in ("create", "delete"):
        drive(workload, "files", d, "calls=20")
    equal(len(os.listdir(d)), 10, "keys after create and delete")
    r = json.loads(drive("increment", "files", d, "calls=20").stdout)
    with open(os.path.join(d, "counter")) as f:
        equal(int(f.read()), r["calls"], "the counter")
    r = json.loads(drive("mix", "files", d, "keys=10", "size=33", "writers=4", "calls=10").stdout)
    equal((r["counted"], r["samples"]), (40, 40), "calls of four")
    for mode in ("append", "preallocated", "rename"):
        r = json.loads(drive("disk", "files", d, "mode=" + mode, "calls=4").stdout)
        equal(r["counted"], 4, mode)


@unmounted
@mount_only
def test_parsing_sees_every_line(scratch):
    store = scratch.path("store")
    subprocess.run([BUILD + "/bench/fill-store", store, "", "100", "50", "100"], check=True)
    with open(os.path.join(store, "%020d.log" % 1)) as f:
        lines = f.readlines()
    for mode in ("read", "json", "record"):
        r = json.loads(drive("parse", "files", store, "store=" + store, "mode=" + mode).stdout)
        equal((r["calls"], r["bytes"]), (len(lines), sum(len(line) for line in lines)), mode)
    m = scratch.mount(store)
    equal(len(m.read("100-00000049")), 100, "a key that was filled in")
    m.unmount()
    with open(os.path.join(store, "%020d.log" % 1), "a") as f:
        f.write('{"rev":1,\n')
    for mode in ("json", "record"):
        drive("parse", "files", store, "store=" + store, "mode=" + mode, code=1)
    for words in ([], [scratch.path("log"), "", "100", "1", "1"],
                  [store, "100-00000049", "100", "1", "1"]):
        r = subprocess.run([BUILD + "/bench/fill-store", *words], capture_output=True)
        check(r.returncode > 0 and r.stderr, "fill-store took %r" % words)


@unmounted
def test_the_other_sides(scratch):
    """SQLite and Redis, where they are built in: what one side sets, it gets."""
    places = {"sqlite": scratch.path("db")}
    server = None
    if shutil.which("redis-server"):
        places["redis"] = scratch.path("socket") + ":1"
        server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket",
                                   scratch.path("socket"), "--dir", scratch.top, "--appendonly",
                                   "yes"], stdout=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(scratch.path("socket")), 20, "redis")
    try:
        for side, where in places.items():
            r = subprocess.run([DRIVER, "fill", side, where, "keys=10"], capture_output=True)
            if r.returncode == 3:
                print("# %s is not built in" % side)
                continue
            equal(r.returncode, 0, "fill of %s: %r" % (side, r.stderr))
            for workload in ("get", "set", "stat", "create", "delete", "list", "sets", "mix",
                             "increment"):
                for durable in "01":
                    drive(workload, side, where, "keys=%d" % 10, "calls=10", "writers=2",
                          "durable=" + durable)
            if side == "sqlite":    # its log tells what was written, as long as it is open
                with contextlib.closing(sqlite3.connect(where)) as db:
                    db.execute("SELECT count(*) FROM kv").fetchone()
                    drive("set", side, where, "keys=10", "calls=20", "durable=1")
                    pages = os.path.getsize(where + "-wal") // 4096
                    check(pages >= 20, "20 sets have written %d pages" % pages)
            drive("get", side, where, "keys=11", code=1)
            drive("get", side, where, "keys=10", "size=99", code=1)
            drive("list", side, where, "keys=11", "attributes=1", code=3)
        if server:
            drive("wakeup", "redis", places["redis"], "calls=3")
            drive("expiry", "redis", places["redis"], "calls=2", "ttl=0.01")
        drive("get", "redis", scratch.path("no-socket"), code=1 if server else 3)
        drive("get", "sqlite", scratch.path("nowhere", "db"), code=1)
    finally:
        if server:
            server.terminate()
            server.wait()


def row(name, **medians):
    return {"name": name, "title": name, "unit": "ns", "group": name, "sides": [
        {"side": side, "label": side, "median": median, "p50": median, "rounds": [median]}
        for side, median in medians.items()]}


@unmounted
def test_verdicts(scratch):
    def verdict(what, *rows):
        return [(t["value"], t["reached"]) for t in targets.judge(list(rows))
                if t["what"].startswith(what)][0]
    floor = "get of 100 B, through the FUSE floor's"
    equal(verdict(floor, row("get-100", cubbyfs=130, floor=100)), (1.3, True), "at the limit")
    equal(verdict(floor, row("get-100", cubbyfs=131, floor=100)), (1.31, False), "past it")
    equal(verdict(floor, row("get-100", cubbyfs=131)), (None, None), "without the floor")
    equal(verdict("16 writers", row("set-fsync-16", cubbyfs=10, disk=80)), (8.0, True),
          "at least")
    equal(verdict("16 writers", row("set-fsync-16", cubbyfs=10, disk=79)), (7.9, False),
          "less than at least")
    equal(verdict("set with fsync, through", row("set-fsync", cubbyfs=130), row("set", floor=40),
                  row("disk", preallocated=60)), (1.3, True), "a sum")
    equal(verdict("shell loop: redis", row("shell-get", redis=30, **{"cubbyfs-sync": 10}),
                  row("shell-set", redis=10, **{"cubbyfs-sync": 10})), (2.0, True), "two rows")
    equal(verdict("get among", row("slope-get", **{"1000": 100, "1000000": 121})),
          (1.21, False), "a slope")
    equal(verdict("mount of 10^7", row("mount-1000000", mount=100),
                  row("mount-10000000", mount=1200)), (1.2, True), "per key")
    no_limit = [t for t in targets.judge([row("get-100", **{"cubbyfs": 2, "floor-cached": 1})])
                if t["limit"] is None][0]
    equal((no_limit["value"], no_limit["reached"]), (2.0, None), "no limit")


@unmounted
def test_amounts(scratch):
    for value, unit, wanted in ((999, "ns", "999 ns"), (1000, "ns", "1.00 µs"),
                                (12345, "ns", "12.3 µs"), (123456, "ns", "123 µs"),
                                (1.5e6, "ns", "1.50 ms"), (2e9, "ns", "2.00 s"),
                                (None, "ns", ""), (259.4, "bytes", "259 B"),
                                (2.345, "times", "2.35"), (-5, "ns", "-5 ns")):
        equal(report.amount(value, unit), wanted, repr(value))


if __name__ == "__main__":
    main(globals())
