# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""flock(2), fcntl(2) record locks and open file description locks on one machine."""
import contextlib
import errno
import fcntl
import os
import platform
import select
import signal
import struct
import time

from support import Cases, Process, area, check, equal, fails, in_child, opened, write_file
from harness import deadline, main, wait_for

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


# The numbers of fcntl(2) and flock(2).
LOCK_CALLS = {"x86_64": (b"72", b"73"), "aarch64": (b"25", b"32")}.get(platform.machine())


def is_blocked(pid):
    """Whether the process sleeps in a call that locks."""
    with open("/proc/%d/syscall" % pid, "rb") as f:
        number = f.read().split()[0]
    with open("/proc/%d/stat" % pid, "rb") as f:
        state = f.read().rpartition(b")")[2].split()[0]
    return state in b"SD" and (number in LOCK_CALLS if LOCK_CALLS else number.isdigit())


class Waiter:
    """A process that opens `path` and calls lock(fd), which blocks, and after that
    then(fd). It ends with 0 when all that went well."""

    def __init__(self, path, lock, then=None):
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                signal.alarm(60)
                fd = os.open(path, os.O_RDWR)
                lock(fd)
                if then:
                    then(fd)
                code = 0
            finally:
                os._exit(code)

    def wait_until_blocked(self):
        wait_for(lambda: is_blocked(self.pid), 10, "a process that waits for a lock")
        return self

    def has_ended(self):
        """None, or its exit code."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.pid = 0
        return (os.waitstatus_to_exitcode(status),)

    def ends(self, wanted=0, seconds=10):
        (code,) = wait_for(self.has_ended, seconds, "the end of who waited for a lock")
        equal(code, wanted, "how it ended")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        return False


def flock_ex(fd):
    fcntl.flock(fd, EX)


def record_ex(fd):
    record(fd, fcntl.F_WRLCK, 0, 0, fcntl.F_SETLKW)


def ofd_ex(fd):
    record(fd, fcntl.F_WRLCK, 0, 0, F_OFD_SETLKW)


def flock_un(fd):
    fcntl.flock(fd, UN)


def record_un(fd):
    record(fd, fcntl.F_UNLCK)


def ofd_un(fd):
    record(fd, fcntl.F_UNLCK, 0, 0, F_OFD_SETLK)


# How to lock a whole file exclusively, and unlock it.
WAYS = (("flock", flock_ex, flock_un), ("record", record_ex, record_un), ("ofd", ofd_ex, ofd_un))


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


# ---------------------------------------------------------------- converting

def test_flock_upgrade_and_downgrade(m):
    p = new_file(m)
    with opened(p, os.O_RDWR) as a, opened(p, os.O_RDWR) as b:
        fcntl.flock(a, SH)
        fcntl.flock(a, EX | NB)
        fails(errno.EWOULDBLOCK, fcntl.flock, b, SH | NB)
        with Waiter(p, lambda fd: fcntl.flock(fd, SH)) as w:
            w.wait_until_blocked()
            fcntl.flock(a, SH)      # lets in who waits to read
            w.ends()
        fcntl.flock(b, SH | NB)
        # An upgrade that fails has lost what there was.
        fails(errno.EWOULDBLOCK, fcntl.flock, a, EX | NB)
        fcntl.flock(b, EX | NB)
        fcntl.flock(b, SH)
        fcntl.flock(a, SH | NB)
        # Two that upgrade are no deadlock: who waits has let go.
        with Waiter(p, lambda fd: (fcntl.flock(fd, SH), fcntl.flock(fd, EX))) as w:
            w.wait_until_blocked()
            fcntl.flock(a, UN)
            fcntl.flock(b, EX | NB)
            fcntl.flock(b, UN)
            w.ends()


def test_record_upgrade_and_downgrade(m):
    p = new_file(m)
    with opened(p, os.O_RDWR) as fd:
        record(fd, fcntl.F_RDLCK, 0, 100)
        record(fd, fcntl.F_WRLCK, 20, 10)
        equal((can_record(p, fcntl.F_RDLCK, 0, 20), can_record(p, fcntl.F_RDLCK, 25, 1),
               can_record(p, fcntl.F_RDLCK, 30, 70), can_record(p, fcntl.F_WRLCK, 0, 1)),
              (True, False, True, False), "others")
        # One that can't be upgraded stays what it is.
        with holder(lambda: record(os.open(p, os.O_RDWR), fcntl.F_RDLCK, 0, 10)):
            fails(BUSY, record, fd, fcntl.F_WRLCK, 5, 10)
            equal((can_record(p, fcntl.F_RDLCK, 12, 1), can_record(p, fcntl.F_WRLCK, 12, 1)),
                  (True, False), "others")
        with Waiter(p, lambda f: record(f, fcntl.F_RDLCK, 25, 1, fcntl.F_SETLKW)) as w:
            w.wait_until_blocked()
            record(fd, fcntl.F_RDLCK, 0, 100)
            w.ends()


# ---------------------------------------------------------------- dup, fork, close

def test_records_and_dups(m):
    p = new_file(m)
    a = os.open(p, os.O_RDWR)
    b = os.dup(a)
    record(a, fcntl.F_WRLCK, 0, 10)
    record(b, fcntl.F_WRLCK, 10, 10)
    in_child(os.close, a)
    equal(can_record(p, fcntl.F_WRLCK, 0, 1), False, "what a child closes")
    os.close(b)
    equal(can_record(p, fcntl.F_WRLCK, 0, 20), True, "closing a dup frees all")
    record(a, fcntl.F_WRLCK)
    os.close(a)
    equal(can_record(p, fcntl.F_WRLCK), True, "after the last close")


def test_a_reader_holds_records(m):
    """Through a descriptor that can't write, opened before or after the lock."""
    p = new_file(m)
    with opened(p, os.O_RDONLY) as fd:
        record(fd, fcntl.F_RDLCK)
        equal((can_record(p, fcntl.F_RDLCK), can_record(p, fcntl.F_WRLCK)), (True, False), "others")
    equal(can_record(p, fcntl.F_WRLCK), True, "after its close")
    with opened(p, os.O_RDWR) as fd:
        record(fd, fcntl.F_WRLCK)
        os.close(os.open(p, os.O_RDONLY))
        equal(can_record(p, fcntl.F_WRLCK), True, "after the close of another")


def test_ofd_locks_live_as_long_as_the_open_file(m):
    p = new_file(m)
    a = os.open(p, os.O_RDWR)
    record(a, fcntl.F_WRLCK, 0, 0, F_OFD_SETLK)
    b = os.dup(a)
    os.close(a)
    equal(can_record(p, fcntl.F_RDLCK), False, "held by the dup")
    with Process(lambda me: (me.say(b"started"), me.hear(b"end"))) as child:
        child.hear(b"started")
        os.close(b)
        equal(can_record(p, fcntl.F_RDLCK), False, "held by the child")
        child.say(b"end")
    equal(can_record(p, fcntl.F_WRLCK), True, "after the last close")


def test_ofd_meets_records(m):
    p = new_file(m)
    with opened(p, os.O_RDWR) as a, opened(p, os.O_RDWR) as b:
        record(a, fcntl.F_WRLCK, 0, 10, F_OFD_SETLK)
        fails(BUSY, record, b, fcntl.F_RDLCK, 5, 1)
        record(b, fcntl.F_WRLCK, 10, 10)
        fails(BUSY, record, a, fcntl.F_RDLCK, 10, 1, F_OFD_SETLK)


# ---------------------------------------------------------------- deadlock

@deadline(60)
def test_record_deadlock_of_three_on_two_files(m):
    paths = [new_file(m), m.path("g")]
    write_file(paths[1], b"x" * 10)
    places = [(0, 0), (1, 0), (0, 5)]       # of each process: file and offset

    def other(number):
        def run(me):
            with opened(paths[0], os.O_RDWR) as f, opened(paths[1], os.O_RDWR) as g:
                mine, next_one = places[number], places[(number + 1) % 3]
                record((f, g)[mine[0]], fcntl.F_WRLCK, mine[1], 1)
                me.say(b"locked")
                me.hear(b"go")
                try:
                    record((f, g)[next_one[0]], fcntl.F_WRLCK, next_one[1], 1, fcntl.F_SETLKW)
                    me.say(b"have both")
                except OSError as e:
                    me.say(b"deadlock" if e.errno == errno.EDEADLK else b"error")
        return run
    with Process(other(0)) as a, Process(other(1)) as b, Process(other(2)) as c:
        for one in (a, b, c):
            one.hear(b"locked")
        for one in (a, b):
            one.say(b"go")
            wait_for(lambda: is_blocked(one.pid), 10, "one that waits")
        c.say(b"go")
        c.hear(b"deadlock")
        b.hear(b"have both")
        a.hear(b"have both")


# ---------------------------------------------------------------- signals

class Rung(Exception):
    pass


def test_a_handler_that_raises_ends_the_wait(m):
    p = new_file(m)

    def ring(*_):
        raise Rung
    with Cases() as t:
        for name, lock, unlock in WAYS:
            def interrupted(fd):
                signal.signal(signal.SIGUSR1, ring)
                try:
                    lock(fd)
                except Rung:
                    return
                raise AssertionError("it was not interrupted")
            with t.case(name), opened(p, os.O_RDWR) as fd:
                lock(fd)
                with Waiter(p, interrupted, unlock) as w, Waiter(p, lock) as next_one:
                    w.wait_until_blocked()
                    next_one.wait_until_blocked()
                    os.kill(w.pid, signal.SIGUSR1)
                    w.ends()
                    equal(next_one.has_ended(), None, "the other who waits")
                    unlock(fd)
                    next_one.ends()


def test_a_handler_that_returns_does_not(m):
    p = new_file(m)
    with Cases() as t:
        for name, lock, unlock in WAYS:
            def patient(fd):
                signal.signal(signal.SIGUSR1, lambda *_: None)
                lock(fd)
            with t.case(name), opened(p, os.O_RDWR) as fd:
                lock(fd)
                with Waiter(p, patient) as w:
                    for _ in range(20):
                        w.wait_until_blocked()
                        os.kill(w.pid, signal.SIGUSR1)
                    w.wait_until_blocked()
                    unlock(fd)
                    w.ends()


def test_sigkill_of_one_that_waits(m):
    p = new_file(m)
    with Cases() as t:
        for name, lock, unlock in WAYS:
            with t.case(name), opened(p, os.O_RDWR) as fd:
                lock(fd)
                with Waiter(p, lock) as first, Waiter(p, lock) as second:
                    first.wait_until_blocked()
                    second.wait_until_blocked()
                    os.kill(first.pid, signal.SIGKILL)
                    first.ends(-signal.SIGKILL)
                    unlock(fd)
                    second.ends()
                lock(fd)        # nobody has it, least of all the dead


def test_one_that_waits_holds_nobody_up(m):
    p = new_file(m)
    q = p + "2"
    write_file(q, b"old")
    with opened(p, os.O_RDWR) as fd, contextlib.ExitStack() as waiters:
        for name, lock, unlock in WAYS[:2]:
            lock(fd)
            for _ in range(10):
                waiters.enter_context(Waiter(p, lock)).wait_until_blocked()
        write_file(q, b"new")
        with open(q, "rb") as f:
            equal(f.read(), b"new", "another file")
        with open(p, "rb") as f:
            equal(len(f.read()), 100, "the same file")
        equal(can_record(q, fcntl.F_WRLCK), True, "another file's lock")


# ---------------------------------------------------------------- many

def run_all(functions, seconds=60):
    """Each in a process of its own; all must end well."""
    pids = []
    try:
        for function in functions:
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    signal.alarm(seconds)
                    function()
                    code = 0
                finally:
                    os._exit(code)
            pids.append(pid)
        while pids:
            _, status = os.waitpid(pids[0], 0)
            pids.pop(0)
            equal(status, 0, "exit")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def test_nobody_starves(m):
    """Each of 16 gets the lock 50 times, however the others press."""
    p = new_file(m)
    with Cases() as t:
        for name, lock, unlock in WAYS:
            def press():
                with opened(p, os.O_RDWR) as fd:
                    for _ in range(50):
                        lock(fd)
                        unlock(fd)
            with t.case(name):
                run_all([press] * 16)


PROCESSES, ROUNDS = 8, 60


def count_with(m, lock, unlock, buffering=-1):
    """Read, add one, write, on one descriptor that is kept open over all rounds."""
    p = area(m) + "/n"
    write_file(p, b"0")

    def work():
        with open(p, "r+", buffering=buffering) as f:
            for _ in range(ROUNDS):
                lock(f.fileno())
                f.seek(0)
                n = int(f.read())
                f.seek(0)
                f.write("%d" % (n + 1))
                f.flush()
                unlock(f.fileno())
    run_all([work] * PROCESSES)
    with open(p) as f:
        equal(int(f.read()), PROCESSES * ROUNDS, "count")


def test_counting_under_flock(m):
    count_with(m, flock_ex, flock_un)


def test_counting_under_lockf(m):
    count_with(m, lambda fd: fcntl.lockf(fd, EX), lambda fd: fcntl.lockf(fd, UN))


def test_counting_under_ofd_locks(m):
    count_with(m, ofd_ex, ofd_un)


def test_counting_and_downgrading(m):
    """Who turns the lock into a shared one has published; who reads then sees it."""
    p = area(m) + "/n"
    write_file(p, b"%08d" % 0)

    def work():
        with opened(p, os.O_RDWR) as fd:
            for _ in range(ROUNDS):
                record(fd, fcntl.F_WRLCK, 0, 0, fcntl.F_SETLKW)
                n = int(os.pread(fd, 8, 0)) + 1
                os.pwrite(fd, b"%08d" % n, 0)
                record(fd, fcntl.F_RDLCK, 0, 0, fcntl.F_SETLKW)
                equal(int(os.pread(fd, 8, 0)), n, "still there")
                record(fd, fcntl.F_UNLCK)
    run_all([work] * 4)
    with open(p) as f:
        equal(int(f.read()), 4 * ROUNDS, "count")


def test_counting_in_records_of_one_file(m):
    """Locks on bytes: who writes one record undoes nobody's work on another."""
    p = area(m) + "/n"
    records = 4
    write_file(p, b"%08d" % 0 * records)

    def work(number):
        with opened(p, os.O_RDWR) as fd:
            for i in range(ROUNDS):
                at = 8 * ((number + i) % records)
                record(fd, fcntl.F_WRLCK, at, 8, fcntl.F_SETLKW)
                n = int(os.pread(fd, 8, at))
                os.pwrite(fd, b"%08d" % (n + 1), at)
                record(fd, fcntl.F_UNLCK, at, 8)
    run_all([lambda k=k: work(k) for k in range(PROCESSES)])
    with open(p, "rb") as f:
        value = f.read()
    equal(sum(int(value[8 * i:8 * i + 8]) for i in range(records)), PROCESSES * ROUNDS, "count")


def test_counting_in_a_new_file(m):
    """All of them may be the one who makes it; nobody's count is lost."""
    p = area(m) + "/n"
    with Cases() as t:
        for name, lock, unlock in WAYS:
            def work():
                with opened(p, os.O_RDWR | os.O_CREAT) as fd:
                    for _ in range(20):
                        lock(fd)
                        n = int(os.pread(fd, 20, 0) or b"0")
                        os.pwrite(fd, b"%d" % (n + 1), 0)
                        unlock(fd)
            with t.case(name):
                run_all([work] * PROCESSES)
                with open(p) as f:
                    equal(int(f.read()), 20 * PROCESSES, "count")
                os.unlink(p)


def test_a_close_publishes_before_it_unlocks(m):
    """Close instead of unlock, by close(2) and by exit(2)."""
    p = area(m) + "/n"
    with Cases() as t:
        for name, lock, unlock in WAYS:
            write_file(p, b"0")

            def work():
                for i in range(30):
                    fd = os.open(p, os.O_RDWR)
                    lock(fd)
                    n = int(os.pread(fd, 20, 0))
                    os.pwrite(fd, b"%d" % (n + 1), 0)
                    if i < 29:
                        os.close(fd)
            with t.case(name):
                run_all([work] * 4)
                with open(p) as f:
                    equal(int(f.read()), 120, "count")


def test_a_reader_goes_on_where_it_was(m):
    """It has read up to an offset, waits for the lock, and reads on: what is there now."""
    p = new_file(m)
    with Cases() as t:
        for name, lock, unlock in WAYS:
            write_file(p, b"old " * 2)
            with t.case(name), opened(p, os.O_RDWR) as fd, opened(p, os.O_RDWR) as reader:
                equal(os.read(reader, 4), b"old ", "the first half")
                lock(fd)
                os.pwrite(fd, b"new ", 4)
                unlock(fd)
                lock(reader)
                equal(os.read(reader, 4), b"new ", "the second half")
                unlock(reader)


if __name__ == "__main__":
    main(globals())
