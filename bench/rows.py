# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What is measured: the rows of the table, and how one of them comes about.

A row is one workload on several sides. It is run in rounds, in each of them every side
once, in an order that turns from round to round: what else the machine does meets
all of them. A round of a side gives one figure; the row has their median."""
import json
import statistics
import subprocess
import time

from sides import SIZES, Failed, bytes_in, memory

FILES = ["cubbyfs", "floor", "floor-cached", "disk", "tmpfs", "bindfs"]
STORES = ["sqlite", "redis"]


class Row:
    """`figure`: what of a round counts, the median of its calls or the time per call
    (of several processes: the wall time through the calls of all of them)."""

    def __init__(self, name, group, title, workload, sides, figure="median", purpose="main",
                 **options):
        self.name = name
        self.group = group
        self.title = title
        self.workload = workload
        self.sides = sides
        self.figure = figure
        self.purpose = purpose
        self.options = options


def human(size):
    return {100: "100 B", 4096: "4 KiB", 1 << 20: "1 MiB"}[size]


def plan(lists):
    rows = []
    for size, count in SIZES.items():
        rows.append(Row("get-%d" % size, "get", "get of %s: open, read, close" % human(size),
                        "get", FILES + STORES, size=size, prefix=size, keys=count))
    rows.append(Row("stat", "stat", "stat of a key", "stat", FILES + STORES))
    plain = [side for side in FILES if not side.startswith("floor")]
    for count in lists:
        for cold in (0, 1):
            rows.append(Row(
                "ls-%d%s" % (count, "-cold" * cold), "ls",
                "ls of %d keys, %s" % (count, "cold" if cold else "warm"), "list",
                plain + ([] if cold else STORES), purpose="l%d" % count, keys=count,
                cold=cold, calls=5))
        if count > 10000:       # it is the same thing once more, for minutes
            continue
        rows.append(Row("ls-l-%d" % count, "ls", "ls -l of %d keys, warm" % count, "list",
                        plain, purpose="l%d" % count, keys=count, attributes=1, calls=5))
    rows += [
        Row("set", "set", "set of 100 B, not synced: open, write, close", "set", FILES + STORES),
        Row("set-fsync", "fsync", "set of 100 B, durable, 1 writer", "sets",
            ["cubbyfs", "cubbyfs-sync", "floor", "disk", "disk-renamed", "sqlite", "redis"],
            figure="per_call", durable=1),
        Row("set-fsync-16", "fsync", "set of 100 B, durable, 16 writers, per set", "sets",
            ["cubbyfs", "cubbyfs-sync", "floor", "disk", "disk-renamed", "sqlite", "redis"],
            figure="per_call", durable=1, writers=16),
        Row("create", "create", "create of a key of 100 B", "create", FILES + STORES),
        Row("delete", "create", "delete of a key", "delete", FILES + STORES),
        Row("increment", "increment", "increment of a key", "increment", FILES + STORES),
        Row("mix", "mix", "80 % get, 20 % set, 4 processes, per call", "mix", FILES + STORES,
            figure="per_call", writers=4),
        Row("wakeup", "wakeup", "set until a watcher has woken", "wakeup",
            ["cubbyfs", "disk", "tmpfs", "redis"], calls=50),
        Row("expiry", "expiry", "deadline until a watcher has woken", "expiry",
            ["cubbyfs", "redis"], calls=8, ttl=0.05),
    ]
    return rows


SHELL = [("shell-get", "shell get: cat, redis-cli get, ...", 0),
         ("shell-set", "shell set, durable but for plain files: echo >, redis-cli set, ...", 1)]
DISK = [("append", "append 256 B, fdatasync"),
        ("preallocated", "256 B into preallocated space, fdatasync"),
        ("rename", "256 B into a temporary file, fsync, rename")]
SLOPE = [("get", {}), ("set", {}), ("stat", {}), ("create", {}), ("delete", {}),
         ("expiries", None)]
GROUPS = ["get", "stat", "ls", "set", "fsync", "create", "increment", "mix", "shell", "wakeup",
          "expiry", "disk", "mount", "journal", "compaction", "slope"]


class Measured:
    """The rounds of one side of one row."""

    def __init__(self, key, label):
        self.key = key
        self.label = label
        self.rounds = []
        self.extra = {}

    def as_json(self):
        out = {"side": self.key, "label": self.label, "rounds": [r["figure"] for r in self.rounds]}
        out["median"] = statistics.median(out["rounds"])
        for name, pick in (("min", min), ("median", statistics.median),
                           ("p99", statistics.median), ("max", max)):
            values = [r[name] for r in self.rounds if name in r]
            if values:      # of single calls; the row's median is that of the rounds' figures
                out["p50" if name == "median" else name] = pick(values)
        if self.rounds and "calls" in self.rounds[0]:
            out["calls"] = sum(r["calls"] for r in self.rounds)
        out.update(self.extra)
        return out


class Trips:
    """How many requests the side's daemon answers within the block, those of the driver's
    start too; None if there is no daemon to ask."""

    def __init__(self, side):
        self.side = side
        self.count = None

    def __enter__(self):
        self.before = self.side.requests()
        return self

    def __exit__(self, *error):
        if self.before is not None and error[0] is None:
            self.count = self.side.requests() - self.before


class Runner:
    """Runs rows; `tell(text)` at each step. `rows` is what has been measured."""

    def __init__(self, bench, sides, size, tell):
        self.bench = bench
        self.sides = sides          # by key, those that have started
        self.size = size
        self.tell = tell
        self.rows = []
        self.failures = []

    def drive(self, workload, driver, where, **options):
        options.setdefault("seconds", self.size.seconds)
        options.setdefault("calls", 1000000)
        command = [self.bench.driver, workload, driver or "files", where]
        command += ["%s=%s" % item for item in options.items()]
        try:
            r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, timeout=600)
        except subprocess.TimeoutExpired as e:
            raise Failed("%s on %s: no end" % (workload, where)) from e
        if r.returncode == 3:
            return None
        if r.returncode != 0:
            raise Failed(r.stderr.strip())
        return json.loads(r.stdout)

    def add(self, name, group, title, measured, unit="ns"):
        self.rows.append({"name": name, "group": group, "title": title, "unit": unit,
                          "sides": [m.as_json() for m in measured if m.rounds]})

    def in_turn(self, keys, act, rounds=None):
        """act(key, round) for each key in each round, the first one another each time.
        A side that fails is left out from then on."""
        keys = list(keys)
        for turn in range(rounds or self.size.rounds):
            shift = turn % len(keys) if keys else 0
            for key in keys[shift:] + keys[:shift]:
                try:
                    act(key, turn)
                except Failed as e:
                    self.failures.append("%s: %s" % (key, e))
                    keys.remove(key)

    def side_keys(self, wanted):
        return [key for key in wanted if key in self.sides]

    # --- an ordinary row --------------------------------------------------------------

    def row(self, row):
        keys = self.side_keys(row.sides)
        measured = {key: Measured(key, self.sides[key].label) for key in keys}

        def act(key, turn):
            side = self.sides[key]
            self.tell("%s: %s" % (row.name, side.label))
            options = dict(row.options)
            if key == "cubbyfs-sync":   # its close does it
                options.pop("durable", None)
            with Trips(side) as trips:
                r = self.drive(row.workload, side.driver, side.where(row.purpose), **options)
            if r is None:
                return
            if trips.count is not None:
                measured[key].extra["round_trips"] = round(trips.count / r["calls"], 2)
            r["figure"] = r[row.figure]
            measured[key].rounds.append(r)
        self.in_turn(keys, act)
        self.add(row.name, row.group, row.title, measured.values())

    # --- groups of their own kind --------------------------------------------------------

    def shell(self):
        keys = [key for key, side in self.sides.items() if side.shell()]
        for name, title, which in SHELL:
            measured = {key: Measured(key, self.sides[key].label) for key in keys}

            def act(key, turn):
                side = self.sides[key]
                self.tell("%s: %s" % (name, side.label))
                side.before_shell()
                count = self.size.shell
                script = "i=0; while [ $i -lt %d ]; do %s%s || exit 1; i=$((i + 1)); done" % (
                    count, side.shell()[which],
                    "" if ">" in side.shell()[which] else " >/dev/null")
                start = time.perf_counter()
                self.bench.run(["sh", "-c", script], name)
                ns = (time.perf_counter() - start) * 1e9 / count
                measured[key].rounds.append({"figure": ns, "calls": count})
            self.in_turn(keys, act)
            self.add(name, "shell", title, measured.values())

    def disk(self):
        where = self.bench.directory("floors")
        measured = {mode: Measured(mode, title) for mode, title in DISK}

        def act(mode, turn):
            self.tell("disk: " + mode)
            r = self.drive("disk", None, where, mode=mode, size=256, calls=2000)
            r["figure"] = r["median"]
            measured[mode].rounds.append(r)
        self.in_turn(measured, act)
        self.add("disk", "disk", "what the disk costs", measured.values())

    def mount(self):
        times, space = [], []
        mnt = self.bench.directory("mounted")
        empty = self.bench.mount(self.bench.path("store-0"), mnt)
        base = memory(empty.pid)
        empty.unmount()
        for count in self.size.counts:
            self.tell("mount: a store of %d keys" % count)
            store = self.bench.store_of(count)
            names = [("mount", "mounted and answering"), ("record", "read, checked, decoded"),
                     ("json", "read, parsed by json-c"), ("read", "read, lines found")]
            measured = {name: Measured(name, label) for name, label in names}
            resident = Measured("%d" % count, "%d keys" % count)

            def act(name, turn):
                self.tell("mount of %d keys: %s" % (count, name))
                if name != "mount":
                    r = self.drive("parse", None, mnt, store=store, mode=name)
                    measured[name].rounds.append({"figure": r["wall"], "calls": 1})
                    return
                m = self.bench.mount(store, mnt)
                measured[name].rounds.append({"figure": m.seconds * 1e9, "calls": 1})
                with open(m.dir + "/100-00000001", "rb") as f:
                    if len(f.read()) != 100:
                        raise Failed("a key is not what it was")
                each = (memory(m.pid) - base) / count - 112
                resident.rounds.append({"figure": each})
                resident.extra["peak"] = (memory(m.pid, "VmHWM:") - base) / count - 112
                m.unmount()
            self.in_turn(measured, act, 3 if count < 1000000 else 2 if count < 10000000 else 1)
            for m in measured.values():
                m.extra["journal_bytes"] = bytes_in(store)
            times.append((count, measured))
            space.append(resident)
        for count, measured in times:
            self.add("mount-%d" % count, "mount", "mount of %d keys of 100 B" % count,
                     measured.values())
        self.add("memory", "mount", "resident bytes a key, beyond key and value", space, "bytes")

    def journal(self):
        measured = [Measured("cubbyfs", "cubbyfs")]
        m = self.bench.mount(self.bench.path("journal.store"), self.bench.directory("journal"))
        sides = [(measured[0], "files", m.dir, m.store)]
        if "redis" in self.sides:
            redis = self.sides["redis"]
            measured.append(Measured("redis", "Redis"))
            sides.append((measured[1], "redis", redis.where("main"),
                          redis.dir + "/appendonlydir"))
        for one, driver, where, files in sides:
            self.tell("journal: " + one.label)
            self.drive("set", driver, where, calls=20)
            before = bytes_in(files)
            r = self.drive("set", driver, where, calls=500, seconds=5)
            one.rounds.append({"figure": (bytes_in(files) - before) / r["calls"]})
        m.unmount()
        self.add("journal", "journal", "journal bytes per set of 100 B", measured, "bytes")

    def compaction(self):
        count, size, times = self.size.compaction
        store = self.bench.path("compaction.store")
        self.tell("compaction: a store of %d keys" % count)
        self.bench.fill_store(store, "", "100", count, size)
        m = self.bench.mount(store, self.bench.directory("compaction"))
        self.tell("compaction: until it has happened %s" % (
            "once" if times == 1 else "%d times" % times))
        r = self.drive("pause", "files", m.dir, store=store, keys=count, size=size,
                       writers=times, seconds=self.size.compaction_seconds)
        m.unmount()
        if r["compactions"] < 1:
            raise Failed("nothing was compacted in %g s" % self.size.compaction_seconds)
        pauses = [Measured("during", "longest while it runs"),
                  Measured("otherwise", "longest otherwise"), Measured("usual", "usual"),
                  Measured("machine", "the machine itself stands still")]
        for one, name in zip(pauses, ("longest_during", "longest_otherwise", "median",
                                      "longest_still")):
            one.rounds.append({"figure": r[name]})
        pauses[0].extra["compactions"] = r["compactions"]
        self.add("pause", "compaction", "pause of a writer during compaction", pauses)
        ratio = Measured("cubbyfs", "most on the disk")
        ratio.rounds.append({"figure": r["peak_bytes"] / r["snapshot_bytes"]})
        ratio.extra.update(peak_bytes=r["peak_bytes"], snapshot_bytes=r["snapshot_bytes"],
                           value_bytes=count * size)
        self.add("space", "compaction", "journal through live data (its snapshot)", [ratio],
                 "times")

    def slope(self):
        """The same number of keys of a small store and of a large one, both mounted."""
        small, large = self.size.slope
        mounts = {}
        for count in (small, large):
            self.tell("slope: a store of %d keys" % count)
            mounts[str(count)] = self.bench.mount(
                self.bench.store_of(count), self.bench.directory("slope-%d" % count))
        for workload, options in SLOPE:
            measured = {key: Measured(key, key + " keys") for key in mounts}

            def act(key, turn):
                self.tell("slope: %s among %s" % (workload, key))
                more = options
                if more is None:        # time enough to make them all
                    more = {"calls": self.size.burst, "ttl": 0.5 + 0.004 * self.size.burst}
                r = self.drive(workload, "files", mounts[key].dir, keys=int(key),
                               stride=int(key) // small, **more)
                r["figure"] = r["median"]
                measured[key].rounds.append(r)
            self.in_turn(mounts, act, self.size.slope_rounds)
            self.add("slope-" + workload, "slope", "%s among few keys and many" % workload,
                     measured.values())
        for m in mounts.values():
            m.unmount()
