#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Advisory locks, as far as only a mount of ours has it: what stats say, the order in
which waiters get their turn, what is published and told, and that nothing is left of
clients that were interrupted or killed. (What any file system does:
tests/posix/test_locks.py.)"""
import errno
import fcntl
import os
import random
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import check, deadline, equal, main, options, raises, wait_for
from crew import Crew
from inotify import CLOSE_WRITE, MODIFY, Inotify

EX, SH, UN, NB = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN, fcntl.LOCK_NB
F_OFD_SETLK, F_OFD_SETLKW = 37, 38


def record(fd, kind, command=fcntl.F_SETLKW):
    fcntl.fcntl(fd, command, struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0))


WAYS = {
    "flock": (lambda fd: fcntl.flock(fd, EX), lambda fd: fcntl.flock(fd, UN)),
    "record": (lambda fd: record(fd, fcntl.F_WRLCK), lambda fd: record(fd, fcntl.F_UNLCK)),
    "ofd": (lambda fd: record(fd, fcntl.F_WRLCK, F_OFD_SETLKW),
            lambda fd: record(fd, fcntl.F_UNLCK, F_OFD_SETLK)),
}


def counts(m):
    s = m.stats()
    return s["advisory_locks"], s["lock_waiters"]


def waiting(m, count):
    wait_for(lambda: counts(m)[1] == count, 20, "%d that wait" % count)


def nothing_left(m, handles=0):
    """No lock, no waiter, and no handle but those of the test and the one of stats."""
    def left():
        s = m.stats()
        return (s["advisory_locks"], s["lock_waiters"], s["open_handles"]) == (0, 0, handles)
    wait_for(left, 20, "nothing is left")


def test_stats_count_locks_and_waiters(m):
    m.write("k", "x")
    with open(m.path("k"), "r+") as f, open(m.path("k"), "r+") as g:
        equal(counts(m), (0, 0))
        fcntl.flock(f, SH)
        fcntl.flock(g, SH)
        equal(counts(m), (2, 0))
        fcntl.lockf(f, EX | NB, 10, 0)
        fcntl.lockf(f, EX | NB, 10, 20)
        equal(counts(m), (4, 0))
        fcntl.lockf(f, EX | NB, 10, 10)
        equal(counts(m), (3, 0), "joined")
        fcntl.lockf(f, UN, 1, 15)
        equal(counts(m), (4, 0), "split")
        with Crew() as crew:
            with open(m.path("k"), "r+") as mine:
                crew.fork(fcntl.flock, mine.fileno(), EX)
                waiting(m, 1)
                fcntl.flock(f, UN)
                fcntl.flock(g, UN)
                crew.join()
    nothing_left(m)


@deadline(120)
def test_waiters_come_in_their_order(m):
    m.write("k", "x")

    def wait(way, number, out):
        lock, unlock = WAYS[way]
        with open(m.path("k"), "r+") as f:
            lock(f.fileno())
            os.write(out, bytes([number]))
            unlock(f.fileno())
    for way, (lock, unlock) in WAYS.items():
        r, w = os.pipe()
        with open(m.path("k"), "r+") as f, Crew() as crew:
            lock(f.fileno())
            for number in range(30):
                crew.fork(wait, way, number, w)
                waiting(m, number + 1)
            unlock(f.fileno())
            crew.join()
        equal(os.read(r, 100), bytes(range(30)), way)
        os.close(r)
        os.close(w)
    nothing_left(m)


class Rung(Exception):
    pass


def ring(*_):
    raise Rung


def test_nothing_is_left_of_the_interrupted(m):
    """Signals at any moment: before the request, in the wait, as it is answered."""
    m.write("k", "x")

    def harassed(way, seed):
        rng = random.Random(seed)
        lock, unlock = WAYS[way]
        interrupted = 0
        signal.signal(signal.SIGALRM, ring)
        with open(m.path("k"), "r+") as f:
            for _ in range(150):
                try:
                    signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 2e-3))
                    lock(f.fileno())
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Rung:
                    interrupted += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
                unlock(f.fileno())
        return interrupted
    for way in WAYS:
        with Crew() as crew:
            for seed in range(8):
                crew.fork(harassed, way, seed)
            results = crew.join()
        check(sum(results) > 20, "%s: interrupted only %r times" % (way, results))
        nothing_left(m)
        with open(m.path("k"), "r+") as f:
            WAYS[way][0](f.fileno())
    m.unmount()


def test_nothing_is_left_of_the_killed(m):
    """Some hold the lock, some wait; all are killed, in no order."""
    m.write("k", "x")

    def stay(way):
        with open(m.path("k"), "r+") as f:
            WAYS[way][0](f.fileno())
            signal.pause()
    for way in WAYS:
        for turn in range(3):
            pids = []
            try:
                for _ in range(12):
                    pid = os.fork()
                    if pid == 0:
                        try:
                            stay(way)
                        finally:
                            os._exit(1)
                    pids.append(pid)
                waiting(m, 11)
                random.Random(turn).shuffle(pids)
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                    wait_for(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG
                                               | os.WNOWAIT), 5, "the death of a process")
            finally:
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            nothing_left(m)
    m.unmount()


def test_unlocking_is_told(m):
    """Who watches gets IN_MODIFY when the value can be read, IN_CLOSE_WRITE at the close."""
    m.write("k", "0")
    revision = int(m.get("k", "revision"))
    with Inotify() as i, open(m.path("k"), "r+") as f:
        i.add(m.path("k"), MODIFY | CLOSE_WRITE)
        fcntl.flock(f, EX)
        f.write("1")
        f.flush()
        equal(m.read("k"), b"0")
        i.settle()
        if i.queued():
            i.read()
        fcntl.flock(f, UN)
        equal(m.read("k"), b"1")
        check(any(e.has(MODIFY) for e in i.read()), "no IN_MODIFY")
        equal(int(m.get("k", "revision")), revision + 1)
        fcntl.flock(f, EX)
        fcntl.flock(f, UN)
        f.close()
        check(i.until(lambda e: e.has(CLOSE_WRITE)), "no IN_CLOSE_WRITE")
    equal(int(m.get("k", "revision")), revision + 1, "nothing more was committed")


def test_what_cannot_be_published(m):
    """The lock goes all the same, and close says that the value is lost."""
    os.mkdir(m.path("small"))
    m.write("small/k", "old")
    fd = os.open(m.path("small/k"), os.O_RDWR)
    fcntl.flock(fd, EX)
    os.pwrite(fd, b"too long", 0)
    m.set("small", "max_value", 4)
    fcntl.flock(fd, UN)
    with open(m.path("small/k"), "rb") as f:
        fcntl.flock(f, EX | NB)
        equal(f.read(), b"old")
    with raises(errno.EFBIG, "close"):
        os.close(fd)
    nothing_left(m)


def test_a_truncation_alone_is_not_published(m):
    """As with `exec 9>k; flock 9; …; flock -u 9`: what was not written to waits for the close."""
    m.write("k", "old")
    fd = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
    fcntl.flock(fd, EX)
    fcntl.flock(fd, UN)
    equal(m.read("k"), b"old")
    os.close(fd)
    equal(m.read("k"), b"")


def test_another_close_publishes(m):
    """Record locks go with any close of the process, and what was written goes out first."""
    m.write("k", "old")
    fd = os.open(m.path("k"), os.O_RDWR)
    fcntl.lockf(fd, EX)
    os.pwrite(fd, b"new", 0)
    equal(counts(m)[0], 1)
    os.close(os.open(m.path("k"), os.O_RDONLY))
    equal((counts(m)[0], m.read("k")), (0, b"new"))
    os.close(fd)
    nothing_left(m)


def test_a_reader_that_needs_no_flush(m):
    """Its close is not sent; what was locked through it goes with its release."""
    m.write("k", "x")
    with open(m.path("k")) as f:
        record(f.fileno(), fcntl.F_RDLCK)
        equal(counts(m), (1, 0))
    nothing_left(m)


def test_control_files_can_be_locked(m):
    for name in ("stats", "journal", "events"):
        path = m.path(".cubby", name)
        with open(path, "rb", buffering=0) as f, open(path, "rb", buffering=0) as g:
            fcntl.flock(f, EX)
            with raises(errno.EWOULDBLOCK, name):
                fcntl.flock(g, SH | NB)
            record(f.fileno(), fcntl.F_RDLCK, fcntl.F_SETLK)
        wait_for(lambda: counts(m) == (0, 0), 10, name)


@options("sync")
def test_with_sync(m):
    """The commit takes its time; unlock waits for it."""
    m.write("k", "0")

    def work(way):
        lock, unlock = WAYS[way]
        with open(m.path("k"), "r+") as f:
            for _ in range(10):
                lock(f.fileno())
                n = int(os.pread(f.fileno(), 20, 0))
                os.pwrite(f.fileno(), b"%d" % (n + 1), 0)
                unlock(f.fileno())
    for way in WAYS:
        with Crew() as crew:
            for _ in range(4):
                crew.fork(work, way)
            crew.join()
    equal(m.read("k"), b"120")


def test_read_only(m):
    m.write("k", "x")
    m.remount(["ro"])
    with open(m.path("k")) as f, open(m.path("k")) as g:
        fcntl.flock(f, EX)
        with raises(errno.EWOULDBLOCK):
            fcntl.flock(g, EX | NB)
        record(f.fileno(), fcntl.F_RDLCK)
    nothing_left(m)


def test_the_tool_flock(m):
    """util-linux's, also with the number of a shell's descriptor."""
    m.write("n", "0\n")
    m.write("o", "0\n")
    m.write("lock", "")
    script = """
        add() { read n < $1; echo $((n + 1)) > $1; }
        for i in 1 2 3 4 5 6 7 8 9 10; do
            flock lock sh -c 'read n < n; echo $((n + 1)) > n'
            ( flock 9; add o ) 9> lock2
            ( flock 8; flock 9; add o; flock -u 9; add n ) 8< lock 9> lock2
        done"""
    shells = [subprocess.Popen(["sh", "-ec", script], cwd=m.dir) for _ in range(4)]
    for shell in shells:
        equal(shell.wait(60), 0, "sh")
    equal((m.read("n"), m.read("o")), (b"80\n", b"80\n"))
    nothing_left(m)


def test_sigterm_while_somebody_waits(m):
    """It neither keeps the daemon from ending nor stays behind."""
    m.write("k", "x")

    def wait():
        fd = os.open(m.path("k"), os.O_RDWR)
        try:
            fcntl.flock(fd, EX)
        except OSError as e:
            return e.errno
        return 0
    with Crew() as crew:
        f = open(m.path("k"), "r+")
        fcntl.flock(f, EX)
        crew.fork(wait)
        waiting(m, 1)
        m.process.terminate()
        equal(m.process.wait(20), 0, "the daemon's exit code")
        m.process = None
        (e,) = crew.join(20)
        check(e in (errno.ENOTCONN, errno.ECONNABORTED), "errno %d" % e)
        try:
            f.close()
        except OSError:
            pass


if __name__ == "__main__":
    main(globals())
