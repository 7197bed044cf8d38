# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""flock(2), fcntl(2) record locks and open file description locks on one machine."""
import contextlib
import errno
import fcntl
import os
import select
import signal
import struct

from support import Cases, Process, area, equal, fails, in_child, opened, write_file
from harness import deadline, main

EX, SH, UN, NB = fcntl.LOCK_EX, fcntl.LOCK_SH, fcntl.LOCK_UN, fcntl.LOCK_NB
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38
FLOCK = "hhqqi4x"
BUSY = (errno.EAGAIN, errno.EACCES)


def record(fd, kind, start=0, length=0, command=fcntl.F_SETLK, whence=os.SEEK_SET):
    """One fcntl lock call; returns (type, whence, start, length, pid)."""
    arg = struct.pack(FLOCK, kind, whence, start, length, 0)
    return struct.unpack(FLOCK, fcntl.fcntl(fd, command, arg))


def new_file(m):
    p = area(m) + "/f"
    write_file(p, b"x" * 100)
    return p


@contextlib.contextmanager
def holder(lock):
    """A process that calls lock() and then stays until it is killed, when the block ends."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            lock()
            os.write(w, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(w)
    try:
        equal(os.read(r, 1), b"x", "the holder has it")
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(r)


def can_flock(path, how):
    """Whether a new handle in another process could lock it now."""
    def attempt():
        with opened(path, os.O_RDWR) as fd:
            try:
                fcntl.flock(fd, how | NB)
                return True
            except BlockingIOError:
                return False
    return in_child(attempt)


def can_record(path, kind, start=0, length=0):
    def attempt():
        with opened(path, os.O_RDWR) as fd:
            try:
                record(fd, kind, start, length)
                return True
            except OSError as e:
                if e.errno not in BUSY:
                    raise
                return False
    return in_child(attempt)


# ---------------------------------------------------------------- flock

def test_flock_shared_and_exclusive(m):
    p = new_file(m)
    with Cases() as t, opened(p, os.O_RDONLY) as fd:
        for mine, shared, exclusive in ((UN, True, True), (SH, True, False), (EX, False, False),
                                        (SH, True, False), (UN, True, True)):
            with t.case(mine):
                fcntl.flock(fd, mine)
                equal((can_flock(p, SH), can_flock(p, EX)), (shared, exclusive), "others")


def test_flock_belongs_to_the_open_file(m):
    """A dup and a child share it; another open in the same process does not."""
    p = new_file(m)
    fd = os.open(p, os.O_RDWR)
    fcntl.flock(fd, EX)
    with opened(p, os.O_RDWR) as other:
        fails(errno.EWOULDBLOCK, fcntl.flock, other, EX | NB)
        fails(errno.EWOULDBLOCK, fcntl.flock, other, SH | NB)
    equal(can_flock(p, SH), False, "closing another handle frees nothing")
    in_child(fcntl.flock, fd, EX | NB)
    copy = os.dup(fd)
    os.close(fd)
    equal(can_flock(p, SH), False, "held by the dup")
    in_child(fcntl.flock, copy, UN)
    equal(can_flock(p, EX), True, "freed by the child")
    fcntl.flock(copy, EX)
    os.close(copy)
    equal(can_flock(p, EX), True, "freed by the last close")


def test_flock_waits(m):
    p = new_file(m)

    def waiter(me):
        with opened(p, os.O_RDWR) as fd:
            me.say(b"ready")
            fcntl.flock(fd, EX)
            me.say(b"got it")
            me.hear(b"let go")
        me.say(b"done")
    with opened(p, os.O_RDWR) as fd:
        fcntl.flock(fd, EX)
        with Process(waiter) as w:
            w.hear(b"ready")
            equal(select.select([w.inp], [], [], 0.05)[0], [], "it does not get it yet")
            fcntl.flock(fd, UN)
            w.hear(b"got it")
            fails(errno.EWOULDBLOCK, fcntl.flock, fd, SH | NB)
            w.say(b"let go")
            w.hear(b"done")
            fcntl.flock(fd, EX | NB)


def test_flock_of_a_killed_process(m):
    p = new_file(m)
    with holder(lambda: fcntl.flock(os.open(p, os.O_RDWR), EX)):
        equal(can_flock(p, SH), False, "held")
    equal(can_flock(p, EX), True, "free")


def test_flock_wait_is_interrupted(m):
    p = new_file(m)

    def waiter(me):
        class Alarm(Exception):
            pass

        def ring(*_):
            raise Alarm
        signal.signal(signal.SIGALRM, ring)
        with opened(p, os.O_RDWR) as fd:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                fcntl.flock(fd, EX)
            except Alarm:
                me.say(b"interrupted")
    with opened(p, os.O_RDWR) as fd:
        fcntl.flock(fd, EX)
        with Process(waiter) as w:
            w.hear(b"interrupted")
        equal(can_flock(p, SH), False, "still held")


def test_flock_on_other_things(m):
    d = area(m)
    with opened(d, os.O_RDONLY) as fd:
        fcntl.flock(fd, EX)

        def attempt():
            with opened(d, os.O_RDONLY) as again:
                fcntl.flock(again, SH | NB)
        fails(errno.EWOULDBLOCK, in_child, attempt)
        fails(errno.EINVAL, fcntl.flock, fd, 0)
    in_child(attempt)
    fails(errno.EBADF, fcntl.flock, fd, EX)


def test_flock_survives_changes_to_the_file(m):
    """The lock is the file's, whatever its name and contents become."""
    p = new_file(m)
    with opened(p, os.O_RDWR) as fd:
        fcntl.flock(fd, EX)
        os.pwrite(fd, b"new", 0)
        os.fsync(fd)
        in_child(write_file, p, b"another value")
        os.rename(p, p + "2")
        equal(can_flock(p + "2", SH), False, "under the new name")
        write_file(p, b"")
        equal(can_flock(p, EX), True, "another file under the old name")


def test_flock_counts_a_shared_number(m):
    """Read, add one, write: under the lock no increment is lost."""
    p = area(m) + "/count"
    write_file(p, b"0")
    lock = p + ".l"
    write_file(lock, b"")
    pids = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for _ in range(25):
                    with opened(lock, os.O_RDWR) as fd:
                        fcntl.flock(fd, EX)
                        with open(p, "rb") as f:
                            n = int(f.read())
                        write_file(p, b"%d" % (n + 1))
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    for pid in pids:
        equal(os.waitpid(pid, 0)[1], 0, "exit")
    with open(p, "rb") as f:
        equal(f.read(), b"100", "count")


# ---------------------------------------------------------------- fcntl

def test_records_conflict_where_they_overlap(m):
    p = new_file(m)
    read, write, none = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
    with Cases() as t, opened(p, os.O_RDWR) as fd:
        for mine in (read, write):
            record(fd, none)
            record(fd, mine, 10, 10)
            for start, length, overlaps in ((0, 10, False), (0, 11, True), (19, 1, True),
                                            (20, 5, False), (12, 2, True), (0, 0, True),
                                            (20, 0, False), (5, 30, True)):
                for theirs in (read, write):
                    with t.case(mine, start, length, theirs):
                        equal(can_record(p, theirs, start, length),
                              not overlaps or mine == theirs == read, "could lock")
        with t.case("split by an unlock in the middle"):
            record(fd, none, 14, 2)
            equal([can_record(p, write, i, 1) for i in (9, 10, 13, 14, 15, 16, 19, 20)],
                  [True, False, False, True, True, False, False, True], "free bytes")
        with t.case("joined and turned into a shared one"):
            record(fd, read, 0, 100)
            equal((can_record(p, read), can_record(p, write, 50, 1)), (True, False), "others")
        with t.case("to the end"):
            record(fd, none)
            record(fd, write, 50, 0)
            equal((can_record(p, write, 0, 50), can_record(p, write, 1 << 40, 1)),
                  (True, False), "others")
        with t.case("a negative length"):
            record(fd, none)
            record(fd, write, 50, -10)
            equal([can_record(p, write, i, 1) for i in (39, 40, 49, 50)],
                  [True, False, False, True], "free bytes")
        with t.case("from the end of the file"):
            record(fd, none)
            record(fd, write, -10, 5, whence=os.SEEK_END)
            equal([can_record(p, write, i, 1) for i in (89, 90, 94, 95)],
                  [True, False, False, True], "free bytes")
        with t.case("before the start"):
            fails(errno.EINVAL, record, fd, write, -1, 5)


def test_record_query(m):
    p = new_file(m)
    parent = os.getpid()

    def query(kind, start, length):
        with opened(p, os.O_RDWR) as fd:
            return record(fd, kind, start, length, fcntl.F_GETLK)
    with opened(p, os.O_RDWR) as fd:
        record(fd, fcntl.F_WRLCK, 10, 10)
        equal(in_child(query, fcntl.F_RDLCK, 0, 0), (fcntl.F_WRLCK, os.SEEK_SET, 10, 10, parent),
              "who holds it")
        equal(in_child(query, fcntl.F_WRLCK, 30, 5)[0], fcntl.F_UNLCK, "nobody there")
        equal(record(fd, fcntl.F_WRLCK, 0, 0, fcntl.F_GETLK)[0], fcntl.F_UNLCK,
              "not in one's own way")
        record(fd, fcntl.F_RDLCK, 10, 10)
        equal(in_child(query, fcntl.F_RDLCK, 0, 0)[0], fcntl.F_UNLCK, "readers agree")


def test_records_belong_to_the_process(m):
    p = new_file(m)
    with opened(p, os.O_RDWR) as a:
        record(a, fcntl.F_WRLCK)
        with opened(p, os.O_RDWR) as b:
            record(b, fcntl.F_WRLCK)        # its own: no conflict
            fails(BUSY, in_child, record, a, fcntl.F_WRLCK)     # a child does not inherit it
        equal(can_record(p, fcntl.F_WRLCK), True, "closing any handle of the file frees them")


def test_record_modes(m):
    p = new_file(m)
    with opened(p, os.O_RDONLY) as fd:
        record(fd, fcntl.F_RDLCK)
        fails(errno.EBADF, record, fd, fcntl.F_WRLCK)
    with opened(p, os.O_WRONLY) as fd:
        record(fd, fcntl.F_WRLCK)
        fails(errno.EBADF, record, fd, fcntl.F_RDLCK)
        fails(errno.EINVAL, record, fd, 77)


def test_record_waits(m):
    p = new_file(m)

    def waiter(me):
        with opened(p, os.O_RDWR) as fd:
            me.say(b"ready")
            record(fd, fcntl.F_WRLCK, 15, 1, fcntl.F_SETLKW)
            me.say(b"got it")
    with opened(p, os.O_RDWR) as fd:
        record(fd, fcntl.F_WRLCK, 10, 10)
        with Process(waiter) as w:
            w.hear(b"ready")
            equal(select.select([w.inp], [], [], 0.05)[0], [], "it does not get it yet")
            record(fd, fcntl.F_UNLCK, 10, 5)
            equal(select.select([w.inp], [], [], 0.02)[0], [], "not its part")
            record(fd, fcntl.F_UNLCK, 15, 5)
            w.hear(b"got it")
        record(fd, fcntl.F_WRLCK)


def test_record_of_a_killed_process(m):
    p = new_file(m)
    with holder(lambda: record(os.open(p, os.O_RDWR), fcntl.F_WRLCK)):
        equal(can_record(p, fcntl.F_RDLCK), False, "held")
    equal(can_record(p, fcntl.F_WRLCK), True, "free")


@deadline(30)
def test_record_deadlock(m):
    p = new_file(m)

    def other(me):
        with opened(p, os.O_RDWR) as fd:
            record(fd, fcntl.F_WRLCK, 1, 1)
            me.say(b"have 1")
            me.hear(b"go")
            try:
                record(fd, fcntl.F_WRLCK, 0, 1, fcntl.F_SETLKW)
                me.say(b"locked")
            except OSError as e:
                me.say(b"deadlock" if e.errno == errno.EDEADLK else b"error")
    with opened(p, os.O_RDWR) as fd:
        record(fd, fcntl.F_WRLCK, 0, 1)
        with Process(other) as w:
            w.hear(b"have 1")
            w.say(b"go")
            try:
                record(fd, fcntl.F_WRLCK, 1, 1, fcntl.F_SETLKW)
                mine = b"locked"
            except OSError as e:
                mine = b"deadlock" if e.errno == errno.EDEADLK else b"error"
                record(fd, fcntl.F_UNLCK, 0, 1)
            equal(sorted((mine, w.hear())), [b"deadlock", b"locked"], "one of the two is told")


def test_open_file_description_locks(m):
    p = new_file(m)
    with opened(p, os.O_RDWR) as a, opened(p, os.O_RDWR) as b:
        record(a, fcntl.F_WRLCK, 0, 10, F_OFD_SETLK)
        fails(BUSY, record, b, fcntl.F_WRLCK, 5, 1, F_OFD_SETLK)
        record(b, fcntl.F_WRLCK, 10, 1, F_OFD_SETLK)
        equal(record(b, fcntl.F_WRLCK, 0, 10, F_OFD_GETLK)[::4], (fcntl.F_WRLCK, -1), "query")
        in_child(record, a, fcntl.F_WRLCK, 0, 10, F_OFD_SETLK)      # a child shares it
        os.close(os.open(p, os.O_RDONLY))
        equal(can_record(p, fcntl.F_RDLCK, 0, 5), False, "another close frees nothing")
        record(a, fcntl.F_UNLCK, 0, 0, F_OFD_SETLK)
        record(b, fcntl.F_WRLCK, 5, 1, F_OFD_SETLK)


def test_flock_and_records_do_not_meet(m):
    p = new_file(m)
    with opened(p, os.O_RDWR) as fd:
        fcntl.flock(fd, EX)
        equal(can_record(p, fcntl.F_WRLCK), True, "a record lock under a flock")
        record(fd, fcntl.F_WRLCK)
        fcntl.flock(fd, UN)
        equal(can_flock(p, EX), True, "a flock under a record lock")


if __name__ == "__main__":
    main(globals())
