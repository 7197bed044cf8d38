# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What the ratios of a run are to be. Each is computed from rows of the same run; where
one of its rows is missing it has not been measured."""


class Missing(Exception):
    pass


class Results:
    def __init__(self, rows):
        self.rows = {row["name"]: {s["side"]: s for s in row["sides"]} for row in rows}

    def side(self, row, side):
        try:
            return self.rows[row][side]
        except KeyError:
            raise Missing("%s of %s" % (row, side)) from None

    def __call__(self, row, side="cubbyfs", field="median"):
        value = self.side(row, side).get(field)
        if value is None:
            raise Missing("%s of %s" % (field, row))
        return value


def shell_sum(of, side):
    return of("shell-get", side) + of("shell-set", side)


def growth(of, name):
    by_count = sorted(of.rows.get(name, ()), key=int)
    if len(by_count) != 2:
        raise Missing(name)
    return of(name, by_count[1]) / of(name, by_count[0])


def per_key_growth(of):
    return (of("mount-10000000", "mount") / 10) / of("mount-1000000", "mount")


MS, S = 1e6, 1e9

# number, what, at most (True) or at least (False) or neither, the limit, the value
TARGETS = [
    ("1", "get of 100 B, through the FUSE floor's", True, 1.3,
     lambda of: of("get-100") / of("get-100", "floor")),
    ("1", "get of 100 B, through the floor's with names cached (no limit)", None, None,
     lambda of: of("get-100") / of("get-100", "floor-cached")),
    ("1", "round trips of a stat of a known key", True, 0.05,
     lambda of: of("stat", field="round_trips")),
    ("2", "set of 100 B, not synced, through ext4's", True, 1.0,
     lambda of: of("set") / of("set", "disk")),
    ("2", "set with fsync, through the floor's set + one preallocated fdatasync", True, 1.3,
     lambda of: of("set-fsync", field="p50") /
     (of("set", "floor") + of("disk", "preallocated"))),
    ("2", "set with fsync: throughput, through ext4's (truncate, write, fsync)", False, 2.0,
     lambda of: of("set-fsync", "disk") / of("set-fsync")),
    ("2", "the same, through ext4's whole values (write, fsync, rename)", False, 2.0,
     lambda of: of("set-fsync", "disk-renamed") / of("set-fsync")),
    ("2", "the same, through SQLite's", False, 2.0,
     lambda of: of("set-fsync", "sqlite") / of("set-fsync")),
    ("2", "16 writers: throughput, through ext4's", False, 8.0,
     lambda of: of("set-fsync-16", "disk") / of("set-fsync-16")),
    ("2", "the same, through ext4's whole values", False, 8.0,
     lambda of: of("set-fsync-16", "disk-renamed") / of("set-fsync-16")),
    ("2", "the FUSE floor's (no disk at all), through ext4's (no limit)", None, None,
     lambda of: of("set-fsync-16", "disk") / of("set-fsync-16", "floor")),
    ("2", "ours, through the FUSE floor's (no limit)", None, None,
     lambda of: of("set-fsync-16", "floor") / of("set-fsync-16")),
    ("2", "the same, through SQLite's", False, 3.0,
     lambda of: of("set-fsync-16", "sqlite") / of("set-fsync-16")),
    ("3", "shell loop: redis-cli's time through ours (-o sync)", False, 2.0,
     lambda of: shell_sum(of, "redis") / shell_sum(of, "cubbyfs-sync")),
    ("3", "shell loop: redis-cli's time through ours", False, 2.0,
     lambda of: shell_sum(of, "redis") / shell_sum(of, "cubbyfs")),
    ("3", "shell loop: etcdctl's time through ours (-o sync)", False, 10.0,
     lambda of: shell_sum(of, "etcd") / shell_sum(of, "cubbyfs-sync")),
    ("4", "seconds until 10^6 keys are mounted", True, 1.5,
     lambda of: of("mount-1000000", "mount") / S),
    ("4", "the same, through reading, checking and decoding the same bytes", True, 1.3,
     lambda of: of("mount-1000000", "mount") / of("mount-1000000", "record")),
    ("4", "the same, through reading and parsing them with json-c (no limit)", None, None,
     lambda of: of("mount-1000000", "mount") / of("mount-1000000", "json")),
    ("4", "resident bytes a key of 10^6, beyond key and value", True, 120,
     lambda of: of("memory", "1000000")),
    ("4", "mount of 10^7 keys, per key, through that of 10^6", True, 1.2, per_key_growth),
    ("5", "longest pause of a writer during compaction, ms", True, 20,
     lambda of: of("pause", "during") / MS),
    ("5", "journal on the disk through live data, at most", True, 2.5, lambda of: of("space")),
] + [
    ("6", "%s among many keys through among few" % name, True, 1.2,
     lambda of, row="slope-" + name: growth(of, row))
    for name in ("get", "set", "stat", "create", "delete", "expiries")
]


def judge(rows):
    """[{number, what, limit, value, reached}], reached None if it was not measured or has
    no limit."""
    of = Results(rows)
    out = []
    for number, what, at_most, limit, value_of in TARGETS:
        entry = {"number": number, "what": what, "limit": limit,
                 "kind": {True: "at most", False: "at least", None: None}[at_most],
                 "value": None, "reached": None}
        try:
            value = value_of(of)
            entry["value"] = value
            if at_most is not None:
                entry["reached"] = value <= limit if at_most else value >= limit
        except (Missing, ZeroDivisionError) as e:
            entry["missing"] = str(e)
        out.append(entry)
    return out
