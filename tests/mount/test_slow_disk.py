#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Who waits while the disk is slow: who asked for a sync, and nobody else. (slow_sync.c)"""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import BUILD, check, deadline, equal, main, unmounted, wait_for
from worker import kill_worker

LIBRARY = os.path.join(BUILD, "tests", "mount", "libslow_sync.so")


class Disk:
    """Slow while the gate is there."""

    def __init__(self, scratch):
        self.gate = scratch.path("gate")
        self.begun = scratch.path("begun")

    def close(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.begun)
        with open(self.gate, "w"):
            pass

    def open(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.gate)

    def wait(self):
        """Until a sync has begun that does not end."""
        wait_for(lambda: os.path.exists(self.begun), 20, "a sync")


@contextlib.contextmanager
def slow_mount(scratch, options=("commit=0",)):
    """By default there are no syncs but those that are asked for."""
    disk = Disk(scratch)
    variables = {"LD_PRELOAD": LIBRARY, "CUBBY_TEST_GATE": disk.gate,
                 "CUBBY_TEST_BEGUN": disk.begun}
    os.environ.update(variables)
    try:
        m = scratch.mount(options=options)
    finally:
        for name in variables:
            del os.environ[name]
    try:
        yield m, disk
    finally:
        disk.open()


class Writer(threading.Thread):
    """A durable set; `ended` is when it has returned."""

    def __init__(self, m, name, value):
        super().__init__(daemon=True)
        self.path, self.value, self.error, self.ended = m.path(name), value, None, False
        self.start()

    def run(self):
        try:
            with open(self.path, "w") as f:
                f.write(self.value)
                f.flush()
                os.fsync(f.fileno())
        except OSError as e:
            self.error = e
        self.ended = True

    def finish(self):
        self.join(20)
        check(not self.is_alive(), "the fsync has not returned")
        equal(self.error, None, "the fsync of " + self.path)


def use(m, number):
    """What others do meanwhile."""
    name = "other%d" % number
    m.write(name, "value")
    equal(m.read(name), b"value", "value")
    os.setxattr(m.path(name), "user.cubby.ttl", b"0.05")
    check(name in os.listdir(m.dir), "not listed")
    wait_for(lambda: not os.path.exists(m.path(name)), 10, "the end of its TTL")
    os.mkdir(m.path(name))
    os.rmdir(m.path(name))
    check(m.stats()["revision"] > 0, "stats")


@unmounted
def test_others_are_served(scratch):
    """Also one after the other, when it is known that there are others, and when not."""
    with slow_mount(scratch) as (m, disk):
        for round_ in range(3):
            disk.close()
            writer = Writer(m, "k", "v%d" % round_)
            disk.wait()
            use(m, round_)
            check(not writer.ended, "fsync returned before the disk did")
            disk.open()
            writer.finish()
            equal(m.read("k").decode(), "v%d" % round_, "value")
            for _ in range(50):     # on a quick disk again, alone
                Writer(m, "k", "quick").finish()


@unmounted
def test_several_wait(scratch):
    """Those who come while a sync is under way share the next one."""
    with slow_mount(scratch) as (m, disk):
        syncs = m.stats()["log"]["syncs"]
        disk.close()
        first = Writer(m, "first", "v")
        disk.wait()
        before = int(m.get("first", "revision"))
        rest = [Writer(m, "rest%d" % i, "v") for i in range(10)]
        wait_for(lambda: m.stats()["revision"] >= before + 10, 20, "the others' commits")
        check(not any(w.ended for w in [first] + rest), "fsync returned before the disk did")
        disk.open()
        for w in [first] + rest:
            w.finish()
        check(m.stats()["log"]["syncs"] <= syncs + 3, "syncs: %d" % m.stats()["log"]["syncs"])


@unmounted
def test_in_the_background(scratch):
    """Nobody waits for the sync that the store does by itself."""
    with slow_mount(scratch, ("commit=1",)) as (m, disk):
        disk.close()
        m.write("k", "v")
        disk.wait()
        use(m, 1)
        disk.open()
        wait_for(lambda: m.stats()["log"]["syncs"] > 0, 20, "the sync")


@unmounted
def test_killed_meanwhile(scratch):
    """The next worker answers, once all that it has read is on the disk."""
    with slow_mount(scratch) as (m, disk):
        disk.close()
        writer = Writer(m, "k", "v")
        disk.wait()
        old = kill_worker(m)
        os.unlink(disk.begun)
        disk.wait()
        check(not writer.ended, "fsync returned before the disk did")
        disk.open()
        writer.finish()
        check(m.worker != old, "the same worker")
        equal(m.read("k"), b"v", "value")


@deadline(60)
@unmounted
def test_the_end_meanwhile(scratch):
    """The mount goes at once, the daemon when the disk has answered; with SIGTERM too."""
    for way in "umount", "signal":
        with slow_mount(scratch) as (m, disk):
            disk.close()
            writer = Writer(m, "k", way)
            disk.wait()
            m.process.send_signal(signal.SIGTERM)
            if way == "umount":
                subprocess.run(["umount", "-l", m.dir], stderr=subprocess.DEVNULL)
            time.sleep(0.2)
            check(m.process.poll() is None, "it ended before the disk had answered")
            disk.open()
            equal(m.process.wait(20), 0, "the exit status")
            m.process = None
            writer.join(20)
            m.start()
            equal(m.read("k").decode(), way, "value")
            m.unmount()


if __name__ == "__main__":
    main(globals())
