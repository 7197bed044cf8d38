#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""A day's load in minutes: ten million sets on a thousand keys, with TTLs, removals,
renames, appends, attributes and locks among them (load.c), through all the compactions that
takes. Memory, descriptors and disk stay bounded, and every key is what its last set made it.
(Item 6 of the issue.) Without CUBBY_LONG=1 there are fewer sets: as many as seven seconds allow.

Disk: a compaction begins when the log is 1.4 times the live data and more than compact_min.
Until it is done the old log, the new one and the snapshot are there together, so at every
moment there may be 2.5 times the live data and a segment besides, which here is larger than
compact_min.
"""
import errno
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, CUBBY, check, deadline, equal, main, mount_only, options
from crew import LONG
from usage import descriptors, disk, memory

LOAD = os.environ.get("CUBBY_LOAD", os.path.join(BUILD, "tests", "mount", "load"))
KEYS, THREADS = 1000, 2
MB = 1 << 20
if LONG:
    SETS, SECONDS, COMPACT_MIN, SEGMENT = 10000000, 86400, 8 * MB, 16 * MB
else:
    SETS, SECONDS, COMPACT_MIN, SEGMENT = 100000, 7, MB // 2, 4 * MB


def contents(m):
    """Of keys that stay."""
    values = {}
    for name in os.listdir(m.path("load")):
        try:
            m.get("load/" + name, "ttl")
        except OSError as e:
            if e.errno == errno.ENODATA:
                values[name] = m.read("load/" + name)
    return values


class Course:
    """What was measured, as time went on."""

    def __init__(self, m):
        self.m = m
        self.samples = []       # (sets, memory, descriptors, disk, logs, snapshots, live,
        self.due = 0            # compactions)
        print("#  sets        memory KB  fds  disk KB  logs  snapshots  live KB  compactions")

    def take(self, sets):
        stats = self.m.stats()
        self.samples.append((sets, memory(self.m), descriptors(self.m)) + disk(self.m.store)
                            + (stats["live_bytes"], stats["log"]["compactions"]))
        if sets >= self.due:
            self.due = sets + SETS // 20
            self.show()

    def show(self):
        sets, ram, fds, size, logs, snapshots, live, compactions = self.samples[-1]
        print("#  %-10d  %9d  %3d  %7d  %4d  %9d  %7d  %11d" % (
            sets, ram >> 10, fds, size >> 10, logs, snapshots, live >> 10, compactions))
        sys.stdout.flush()

    def column(self, number, since=0):
        return [s[number] for s in self.samples if s[0] >= since]


@mount_only
@deadline(24 * 3600 if LONG else 400)
@options("compact_min=%d" % COMPACT_MIN, "segment_size=%d" % SEGMENT)
def test_a_day(m):
    os.mkdir(m.path("load"))
    course = Course(m)
    start = time.monotonic()
    looked = sets = 0
    p = subprocess.Popen([LOAD, m.path("load"), str(KEYS), str(SETS), str(THREADS),
                          str(SECONDS), "1"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in p.stdout:
            word = line.split()[0]
            now = time.monotonic()
            if line.strip() != word:
                print("# besides: %s" % line.strip())
                continue
            sets = int(word)
            if now - looked >= (1 if LONG else 0.05):
                looked = now
                course.take(sets)
        error = p.stderr.read()
        equal((p.wait(), error), (0, ""), "the load's end")
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
        p.stderr.close()
    seconds = time.monotonic() - start
    course.take(sets)
    course.show()
    print("# %d sets in %.1f s, %.1f us each" % (sets, seconds, 1e6 * seconds / sets))
    check(sets == SETS or not LONG, "not more than %d sets" % sets)
    look_at(course)

    before = contents(m)
    m.unmount()
    subprocess.run([CUBBY, "check", m.store], check=True, stdout=subprocess.DEVNULL)
    m.start()
    equal(contents(m), before, "what is there after a remount")


def look_at(course):
    sets, compactions = course.samples[-1][0], course.samples[-1][7]
    check(compactions >= 2, "no more than %d compactions" % compactions)
    warm = sets // 10 if LONG else sets // 3
    early = max(s[1] for s in course.samples if s[0] <= warm)
    late = max(course.column(1, warm))
    print("# memory: %.1f MB at most in the first %d sets, %.1f MB after"
          % (early / MB, warm, late / MB))
    check(late <= 1.1 * early + 2 * MB, "memory has grown from %d to %d bytes" % (early, late))
    fds = course.column(2)
    print("# descriptors: %d to %d" % (min(fds), max(fds)))
    check(max(fds) <= min(fds) + 16, "descriptors: %d to %d" % (min(fds), max(fds)))
    live, sizes = max(course.column(6)), course.column(3)
    bound = 2.5 * live + SEGMENT
    print("# disk: %.1f MB at most, %.1f MB at the end; live data %.2f MB at most"
          % (max(sizes) / MB, sizes[-1] / MB, live / MB))
    check(max(sizes) <= bound, "disk: %d bytes, for %d of live data" % (max(sizes), live))
    print("# segments: %d at most, snapshots %d" % (max(course.column(4)), max(course.column(5))))
    check(max(course.column(4)) <= 4 and max(course.column(5)) <= 2, "files pile up")


if __name__ == "__main__":
    main(globals())
