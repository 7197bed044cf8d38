#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""A namespace with a million keys: complete, and no dearer per key than a small
one. (Item 8 of the issue.) Without CUBBY_LONG=1 it has fewer."""
import os
import random
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PLAIN, check, deadline, equal, main
from crew import LONG, Crew, numbers
from usage import memory

KEYS = 1000000 if LONG else 50000
SMALL, BATCHES = 1000, 20
STOP, CHANGES = 0, 1


def make_keys(directory, first, last):
    """Empty ones, made exclusively: three requests each."""
    at = os.open(directory, os.O_RDONLY)
    for number in range(first, last):
        os.close(os.open("key-%07d" % number, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=at))
    os.close(at)


def list_count(directory):
    r = subprocess.run(["sh", "-c", "ls -f | wc -l"], cwd=directory, capture_output=True,
                       text=True, check=True)
    equal(r.stderr, "", "stderr of ls")
    return int(r.stdout) - 2        # . and ..


def seconds_of(act):
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def lookups(directory, names):
    """Seconds for each of the names once; the kernel knows none of them."""
    at = os.open(directory, os.O_RDONLY)
    stat = os.stat

    def act():
        for name in names:
            try:
                stat(name, dir_fd=at)
            except FileNotFoundError:
                pass
    seconds = seconds_of(act)
    os.close(at)
    return seconds


def lookup_ratio(big, small, names_in_big, names_in_small):
    """Batches in turn, so that what else goes on meets both: the medians' ratio."""
    times = ([], [])
    for batch in range(BATCHES):
        pair = [(0, big, names_in_big(batch)), (1, small(batch), names_in_small(batch))]
        for which, directory, names in pair if batch % 2 else reversed(pair):
            times[which].append(lookups(directory, names))
    return statistics.median(times[0]) / statistics.median(times[1])


@deadline(3600 if LONG else 400)
def test_many_keys(m):
    big = m.path("big")
    os.mkdir(big)
    for batch in range(BATCHES):
        os.mkdir(m.path("small%d" % batch))
        make_keys(m.path("small%d" % batch), 0, SMALL)
    before = PLAIN or memory(m)
    start = time.monotonic()
    with Crew() as crew:
        for part in range(2):
            crew.fork(make_keys, big, part * KEYS // 2, (part + 1) * KEYS // 2)
        crew.join(3000 if LONG else 300)
    seconds = time.monotonic() - start
    print("# %d keys made in %.1f s, %.1f us each" % (KEYS, seconds, 1e6 * seconds / KEYS))
    equal(list_count(big), KEYS, "ls -f | wc -l")
    if not PLAIN:
        print("# memory: %.1f MB, %.0f bytes per key"
              % (memory(m) / 1e6, (memory(m) - before) / KEYS))

    m.unmount()
    start = time.monotonic()
    m.start(600)
    os.stat(big)
    print("# mounted again in %.2f s" % (time.monotonic() - start))
    if not PLAIN:
        print("# memory, mounted again: %.1f MB, %.0f bytes per key"
              % (memory(m) / 1e6, memory(m) / (KEYS + BATCHES * SMALL)))

    # The kernel knows no name yet: each of these reaches the daemon.
    for ratio, what in repeated(m, big):
        print("# a lookup among %d costs %.3f times one among %d (%s)"
              % (KEYS, ratio, SMALL, what))

    seconds = [min(seconds_of(lambda: sum(1 for _ in os.scandir(d))) for _ in range(3))
               for d in (big, m.path("small0"))]
    ratio = (seconds[0] / KEYS) / (seconds[1] / SMALL)
    print("# listing: %.2f us per key among %d, %.2f times that among %d"
          % (1e6 * seconds[0] / KEYS, KEYS, ratio, SMALL))
    check(PLAIN or ratio < 2, "listing a key among %d costs %.2f times one among %d"
          % (KEYS, ratio, SMALL))
    equal(list_count(big), KEYS, "ls -f | wc -l, mounted again")
    if LONG:
        subprocess.run(["rm", "-r", big], check=True)
        m.remount()
        check(not os.path.exists(big), "rm -r left something")


def repeated(m, big):
    """(ratio, what) of keys that exist and of names that don't. A round that is off
    by more than a fifth is repeated, twice: the machine does other things too."""
    rng = random.Random(1)
    order = rng.sample(range(KEYS), min(KEYS, 3 * BATCHES * SMALL))
    for attempt in range(3):
        def in_big(batch):
            first = (attempt * BATCHES + batch) * SMALL
            return ["key-%07d" % n for n in order[first:first + SMALL]]

        def in_small(batch):
            return ["key-%07d" % n for n in rng.sample(range(SMALL), SMALL)]
        ratio = lookup_ratio(big, lambda b: m.path("small%d" % b), in_big, in_small)
        yield ratio, "keys"
        if ratio <= 1.2:
            break
        # the small ones are known to the kernel now; a new mount knows nothing
        m.remount()
    check(ratio <= 1.2, "a lookup among %d costs %.2f times one among %d" % (KEYS, ratio, SMALL))
    for attempt in range(3):
        def nothing(batch):
            return ["none-%d-%d-%d" % (rng.getrandbits(30), batch, n) for n in range(SMALL)]
        ratio = lookup_ratio(big, lambda b: m.path("small%d" % b), nothing, nothing)
        yield ratio, "names that are not there"
        if ratio <= 1.2:
            break
    check(ratio <= 1.2, "a failed lookup among %d costs %.2f times one among %d"
          % (KEYS, ratio, SMALL))


@deadline(240)
def test_listing_under_changes(m):
    """What is there all the time is listed once, whatever comes and goes beside it."""
    stable = 20000
    directory = m.path("d")
    os.mkdir(directory)
    at = os.open(directory, os.O_RDONLY)
    names = ["stable-%d" % n for n in range(stable)]
    for name in names:
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=at))
        if name.endswith("7"):
            os.close(os.open("old-" + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=at))
    shared = numbers(2)

    def change(number):
        rng = random.Random(number)
        mine = ["old-" + n for n in names if n.endswith("7") and hash_of(n) % 2 == number]
        while not shared[STOP]:
            if rng.random() < 0.5 or not mine:
                name = "new-%d-%x" % (number, rng.getrandbits(60))
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=at))
                mine.append(name)
            else:
                index = rng.randrange(len(mine))
                mine[index], mine[-1] = mine[-1], mine[index]
                name = mine.pop()
                if rng.random() < 0.3:
                    os.rename(name, "moved-" + name, src_dir_fd=at, dst_dir_fd=at)
                    mine.append("moved-" + name)
                    if len(name) > 150:
                        os.unlink(mine.pop(), dir_fd=at)
                else:
                    os.unlink(name, dir_fd=at)
            if number == 0:
                shared[CHANGES] += 1

    def hash_of(name):
        return int(name.split("-")[1]) // 10

    with Crew() as crew:
        for number in range(2):
            crew.fork(change, number)
        rounds = during = 0
        while rounds < 10 or (during < 1000 and rounds < 200):
            crew.look()
            start = shared[CHANGES]
            found = os.listdir(directory)
            during += shared[CHANGES] - start
            rounds += 1
            there = [n for n in found if n.startswith("stable-")]
            equal(len(there), len(set(there)), "stable keys listed twice: without, with")
            missing = set(names) - set(there)
            check(not missing, "%d stable keys not listed: %.100r" % (len(missing), missing))
        shared[STOP] = 1
        crew.join()
    print("# %d listings, %d changes by one of two during them" % (rounds, during))
    check(during > 100, "only %d changes during %d listings" % (during, rounds))


if __name__ == "__main__":
    main(globals())
