#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Many processes on one key: no reader sees a value that nobody set, no append
is lost, and what a close has committed is what everybody reads.
(Promise 1; item 2 of the issue.)"""
import os
import random
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PLAIN, check, deadline, equal, main, options
from crew import LONG, Crew, barrier, numbers
import values

SECONDS = 30 if LONG else 6
STOP = 0


def write_in_pieces(fd, value, rng):
    """All of it, in a few write(2)s."""
    view = memoryview(value)
    while view:
        done = os.write(fd, view[:rng.randrange(1, len(view) + 1)])
        view = view[done:]


def write_backwards(fd, value, rng):
    """The second half before the first, then cut to its length."""
    half = len(value) // 2
    for start, end in ((half, len(value)), (0, half)):
        while start < end:
            start += os.pwrite(fd, value[start:end], start)
    os.ftruncate(fd, len(value))


def keep_writing(path, number, shared):
    rng = random.Random(number)
    sets = 0
    while not shared[STOP]:
        value = values.make(rng.getrandbits(63), values.any_size(rng))
        way = sets % 3
        flags = os.O_WRONLY | (os.O_TRUNC | os.O_CREAT if way < 2 else 0)
        fd = os.open(path, flags)
        if way == 0:
            equal(os.write(fd, value), len(value), "bytes written")
        elif way == 1:
            write_in_pieces(fd, value, rng)
        else:
            write_backwards(fd, value, rng)
        os.close(fd)
        sets += 1
    return sets


def read_all(fd, piece, at):
    """From offset 0 to the end; `at` reads by pread."""
    value = bytearray()
    while True:
        part = os.pread(fd, piece, len(value)) if at else os.read(fd, piece)
        if not part:
            return bytes(value)
        value += part


def keep_reading(path, number, shared):
    rng = random.Random(number)
    kept = os.open(path, os.O_RDONLY) if number % 2 else None
    seen = set()
    reads = 0
    while not shared[STOP]:
        piece = rng.choice((1 << 21, 1 << 17, 1 << 16, 10007))
        if kept is None:
            fd = os.open(path, os.O_RDONLY)
            value = read_all(fd, piece, False)
            os.close(fd)
        else:
            value = read_all(kept, piece, True)
        wrong = values.flaw(value)
        check(wrong is None, "read %d through a %s handle: %s"
              % (reads, "kept" if kept else "new", wrong))
        seen.add(hash(value))
        reads += 1
    return reads, len(seen)


@deadline(SECONDS + 90)
def test_writers_and_readers(m):
    path = m.path("k")
    m.write("k", values.make(0, 1 << 20))
    before = PLAIN or int(m.get("k", "version"))
    shared = numbers(1)
    with Crew() as crew:
        for number in range(8):
            crew.fork(keep_writing, path, number, shared)
        for number in range(8):
            crew.fork(keep_reading, path, number, shared)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            time.sleep(0.1)     # the time that the storm lasts
            crew.look()
        shared[STOP] = 1
        results = crew.join()
    sets = sum(results[:8])
    print("# %d sets, %d reads" % (sets, sum(r for r, _ in results[8:])))
    for reads, different in results[8:]:
        check(different >= 5, "a reader saw only %d different values in %d reads"
              % (different, reads))
    check(values.flaw(m.read("k")) is None, "the last value")
    if not PLAIN:
        equal(int(m.get("k", "version")) - before, sets, "revisions of the key")


def line(process, number):
    return "%02d %04d %s" % (process, number, "x" * ((process * 7 + number) % 40))


APPEND = r"""
x=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
i=0
while [ $i -lt $COUNT ]; do
    n=$(( (PROCESS * 7 + i) % 40 ))
    printf '%02d %04d %.'"$n"'s\n' "$PROCESS" "$i" "$x" >> "$KEY" || exit 1
    i=$((i + 1))
done
"""


@options("max_value=16M")
@deadline(180)
def test_append_by_shells(m):
    """16 shells, one open per line; the key is made by whoever comes first."""
    processes, count = 16, 1000
    running = []
    for process in range(processes):
        running.append(subprocess.Popen(
            ["dash" if process % 2 else "bash", "-c", APPEND],
            env=dict(os.environ, PROCESS=str(process), COUNT=str(count), KEY=m.path("k"))))
    for shell in running:
        equal(shell.wait(150), 0, "a shell's status")
    check_lines(m, processes, count)


@options("max_value=16M")
@deadline(120)
def test_append_by_kept_handles(m):
    """Each write(2) of an O_APPEND handle is a commit of its own."""
    processes, count = 8, 500

    def append(process):
        fd = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for number in range(count):
            text = line(process, number).encode() + b"\n"
            equal(os.write(fd, text), len(text), "bytes written")
        os.close(fd)

    with Crew() as crew:
        for process in range(processes):
            crew.fork(append, process)
        crew.join(100)
    check_lines(m, processes, count)


def check_lines(m, processes, count):
    text = m.read("k").decode()
    check(text.endswith("\n"), "the last line is cut")
    lines = text.splitlines()
    equal(len(lines), processes * count, "lines")
    for process in range(processes):
        mine = [l for l in lines if l.startswith("%02d " % process)]
        equal(mine, [line(process, n) for n in range(count)], "lines of %d" % process)
    if not PLAIN:
        equal(int(m.get("k", "version")), processes * count, "revisions of the key")


@deadline(120)
def test_close_is_seen_by_all(m):
    """64 processes close at once. Each says so in shared memory the moment its
    close has returned; from then on everybody must read the new value."""
    processes, rounds = 64, 20 if LONG else 4
    closed = numbers(processes)
    gate = barrier(processes)
    for number in range(processes):
        m.write("k%d" % number, values.make(number, 100))

    def value_of(number, turn):
        return values.make(number << 16 | turn, 100 + number * 37 + turn)

    def act(number):
        kept = [os.open(m.path("k%d" % n), os.O_RDONLY) for n in range(processes)]
        for turn in range(1, rounds + 1):
            fd = os.open(m.path("k%d" % number), os.O_WRONLY | os.O_TRUNC)
            os.write(fd, value_of(number, turn))
            gate.wait()
            os.close(fd)
            closed[number] = turn
            left = set(range(processes))
            while left:
                ready = [n for n in left if closed[n] == turn]
                for n in ready:
                    wanted = value_of(n, turn)
                    equal(m.read("k%d" % n), wanted, "key of %d read by %d" % (n, number))
                    equal(os.pread(kept[n], 1 << 16, 0), wanted,
                          "key of %d read by %d through a kept handle" % (n, number))
                    equal(os.stat(m.path("k%d" % n)).st_size, len(wanted), "its size")
                left.difference_update(ready)
                if not ready:
                    os.sched_yield()
            gate.wait()

    with Crew() as crew:
        for number in range(processes):
            crew.fork(act, number)
        crew.join(100)


@deadline(120)
def test_close_on_a_shared_key(m):
    """64 processes close the same key at once. What one reads after its own
    close is its own value or a later one, never one from before."""
    processes, rounds = 64, 50 if LONG else 10
    gate = barrier(processes)
    m.write("k", values.make(0, 100))
    before = PLAIN or int(m.get("k", "version"))

    def act(number):
        """Returns the (revision, seed) pairs that it saw, one list per round."""
        kept = os.open(m.path("k"), os.O_RDONLY)
        pairs = []
        for turn in range(1, rounds + 1):
            mine = number << 16 | turn
            fd = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
            os.write(fd, values.make(mine, 100 + number))
            gate.wait()
            os.close(fd)
            seen = []
            for _ in range(3):
                first = PLAIN or int(m.get("k", "revision"))
                for value in (m.read("k"), os.pread(kept, 1 << 16, 0)):
                    check(values.flaw(value) is None, "torn: %s" % values.flaw(value))
                    seed = values.seed_of(value)
                    # every value of an earlier round was there before my close
                    equal(seed & 0xffff, turn, "round of the value read after close")
                last = PLAIN or int(m.get("k", "revision"))
                check(last >= first, "the revision went back")
                if first == last and not PLAIN:
                    seen.append((first, seed >> 16))
            pairs.append(seen)
            gate.wait()
        return pairs

    with Crew() as crew:
        for number in range(processes):
            crew.fork(act, number)
        results = crew.join(100)
    if PLAIN:
        return
    for turn in range(rounds):
        author = {}             # of a revision
        for pairs in results:
            for revision, number in pairs[turn]:
                equal(author.setdefault(revision, number), number,
                      "author of revision %d" % revision)
        revision_of = {number: revision for revision, number in author.items()}
        equal(len(revision_of), len(author), "one revision per close")
        for number, pairs in enumerate(results):
            for revision, _ in pairs[turn]:
                check(revision >= revision_of.get(number, 0),
                      "after its close %d read a value older than its own" % number)
    equal(int(m.get("k", "version")) - before, processes * rounds, "revisions of the key")


if __name__ == "__main__":
    main(globals())
