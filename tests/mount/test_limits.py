#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Limits of the store, of a namespace and of a user; and that one who has come to his
leaves the others alone.

What as_user is given runs in a process of its own that has become that user; what it
returns comes back through a pipe."""
import errno
import fcntl
import json
import os
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (check, deadline, equal, main, mount_only, options, raises,  # noqa: E402
                     wait_for)
from usage import keep, memory  # noqa: E402
from worker import kill_and_wait  # noqa: E402

ALICE, BOB = 61001, 61002
K = 1024


def start(uid, function):
    """Runs it as that user; finish() gives what it has returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return pid, reading
    code = 1
    try:
        os.close(reading)
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        signal.alarm(100)
        with os.fdopen(writing, "w") as out:
            json.dump(function(), out)
        code = 0
    except BaseException as e:      # noqa: B902 - it is told, and the child ends here
        print("# as user %d: %r" % (uid, e), flush=True)
    finally:
        os._exit(code)


def finish(child):
    pid, reading = child
    with os.fdopen(reading) as f:
        text = f.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    equal(status, 0, "status of the user's process")
    return json.loads(text)


def as_user(uid, function):
    return finish(start(uid, function))


def homes(m):
    for name, uid in (("alice", ALICE), ("bob", BOB)):
        os.mkdir(m.path(name))
        os.chown(m.path(name), uid, uid)


def name_of(act, *args):
    """What it fails with, or None."""
    try:
        act(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
    return None


def write(path, data, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    fd = os.open(path, flags, 0o644)
    try:
        os.write(fd, data)
    except OSError:
        name_of(os.close, fd)
        raise
    os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def works_on(directory, rounds=30):
    """What another user does all the time: every call must succeed."""
    for i in range(rounds):
        path = "%s/k%d" % (directory, i % 5)
        write(path, b"x" * (i * 100))
        equal(len(read(path)), i * 100, "length")
        write(path, b"more", os.O_WRONLY | os.O_APPEND)
        fd = os.open(directory + "/lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(fd, fcntl.LOCK_EX)
        fcntl.lockf(fd, fcntl.LOCK_EX, 1, i)
        os.close(fd)
        os.mkdir(directory + "/d")
        os.rename(path, directory + "/d/k")
        equal(os.listdir(directory + "/d"), ["k"], "names")
        os.unlink(directory + "/d/k")
        os.rmdir(directory + "/d")
    return True


def users(m):
    return m.stats()["limits"]["users"]


# --- the store ----------------------------------------------------------------------


@mount_only
@options("max_bytes=%d" % (400 * K), "max_value=300K")
def test_store_is_full(m):
    homes(m)
    path = m.path("k")
    before = os.statvfs(m.dir)
    equal(before.f_blocks * before.f_frsize, 400 * K, "size for df")
    write(path, b"a" * (200 * K))
    space = os.statvfs(m.dir)
    equal(space.f_blocks * space.f_frsize, 400 * K, "size for df")
    check(190 * K <= space.f_bavail * space.f_frsize <= 200 * K, "what is left for df")
    equal(name_of(write, m.path("n"), b"b" * (201 * K)), "ENOSPC")
    check(not os.path.exists(m.path("n")), "it is there")
    equal(read(path), b"a" * 200 * K, "the old value")
    write(m.path("n"), b"b" * (190 * K))
    with raises(errno.ENOSPC, "append"):
        write(m.path("n"), b"c" * 12 * K, os.O_WRONLY | os.O_APPEND)
    with raises(errno.ENOSPC, "truncate"):
        os.truncate(path, 300 * K)
    with raises(errno.ENOSPC, "setxattr"):
        os.setxattr(path, "user.a", b"x" * 12 * K)
    stats = m.stats()
    equal(stats["limits"]["max_bytes"], 400 * K, "max_bytes")
    equal(stats["limits"]["max_keys"] > 1000, True, "the default for max_keys")
    check(390 * K <= stats["bytes"] <= 400 * K, "bytes in the stats: %d" % stats["bytes"])
    check(stats["limits"]["refused"] >= 4, "refused")
    # what takes away, or changes, works
    os.truncate(path, 150 * K)
    write(path, b"d" * 150 * K)
    os.rename(path, m.path("n"))
    os.unlink(m.path("n"))
    check(os.statvfs(m.dir).f_bavail * space.f_frsize > 390 * K, "given back")
    write(path, b"a" * (300 * K))
    # a smaller limit leaves what is there
    m.remount(["max_bytes=10K", "max_value=300K"])
    equal(os.statvfs(m.dir).f_bavail, 0, "left")
    equal(read(path), b"a" * 300 * K, "the value")
    equal(name_of(write, m.path("n"), b"x"), "ENOSPC")
    write(path, b"e" * 300 * K)
    os.unlink(path)
    write(m.path("n"), b"x")
    m.remount(["max_bytes=none", "max_keys=none", "max_value=300K"])
    equal(m.stats()["limits"]["max_bytes"], None, "max_bytes=none")
    write(path, b"f" * 300 * K)


@mount_only
@options("max_keys=20")
def test_store_has_too_many_keys(m):
    # with `locks`
    space = os.statvfs(m.dir)
    equal((space.f_files, space.f_ffree), (21, 19), "names for df")
    os.mkdir(m.path("d"))
    for i in range(18):
        write(m.path("d/%d" % i), b"v")
    equal(os.statvfs(m.dir).f_ffree, 0, "names left")
    for what, act in (("write", lambda: write(m.path("n"), b"v")),
                      ("mkdir", lambda: os.mkdir(m.path("n"))),
                      ("symlink", lambda: os.symlink("t", m.path("n"))),
                      ("link", lambda: os.link(m.path("d/0"), m.path("n"))),
                      ("mkfifo", lambda: os.mkfifo(m.path("n"))),
                      ("lock", lambda: os.mkdir(m.path("locks/n")))):
        with raises(errno.EDQUOT, what):
            act()
    os.rename(m.path("d/0"), m.path("n"))
    write(m.path("n"), b"new")
    os.unlink(m.path("n"))
    # what has expired does not count
    m.set("d/1", "ttl", "0")
    os.mkdir(m.path("n"))
    write(m.path("n/k"), b"v")
    with raises(errno.EDQUOT, "write"):
        write(m.path("n/l"), b"v")


# --- a namespace -----------------------------------------------------------------------


@mount_only
def test_namespace_is_full(m):
    os.makedirs(m.path("d/below"))
    m.set("d", "max_bytes", 1000)
    write(m.path("d/a"), b"a" * 600)
    write(m.path("out"), b"o" * 500)
    for what, act in (("write", lambda: write(m.path("d/b"), b"b" * 401)),
                      ("rename", lambda: os.rename(m.path("out"), m.path("d/b"))),
                      ("increment", lambda: m.set("d/n", "increment", 1)),
                      ("symlink", lambda: os.symlink("t" * 401, m.path("d/b")))):
        if what == "increment":
            write(m.path("d/n"), b"9" * 3)
            write(m.path("d/fill"), b"x" * 397)
        with raises(errno.ENOSPC, what):
            act()
        if what == "increment":
            os.unlink(m.path("d/n"))
            os.unlink(m.path("d/fill"))
        equal(sorted(os.listdir(m.path("d"))), ["a", "below"], what)
    # a hard link counts where the first name is
    os.link(m.path("out"), m.path("d/link"))
    os.unlink(m.path("out"))
    with raises(errno.ENOSPC, "write"):
        write(m.path("d/a"), b"a" * 601)
    write(m.path("d/a"), b"a" * 500)
    write(m.path("d/below/k"), b"x" * 5000)
    m.remount()
    with raises(errno.ENOSPC, "write, mounted again"):
        write(m.path("d/a"), b"a" * 501)
    os.unlink(m.path("d/link"))
    write(m.path("d/a"), b"a" * 1000)
    os.removexattr(m.path("d"), "user.cubby.max_bytes")
    write(m.path("d/a"), b"a" * 1001)


# --- users -------------------------------------------------------------------------------


@mount_only
@options("max_staged=1M")
def test_staged_bytes(m):
    homes(m)

    def alice():
        home = m.path("alice")
        fds = [os.open("%s/%d" % (home, i), os.O_WRONLY | os.O_CREAT, 0o644) for i in range(5)]
        for fd in fds[:4]:
            os.write(fd, b"a" * 256 * K)
        told = [name_of(os.write, fds[4], b"x"), name_of(os.close, fds[4])]
        told.append(as_another(BOB))
        # what is committed is given back
        os.close(fds[0])
        write(home + "/again", b"b" * 256 * K)
        for fd in fds[1:4]:
            os.close(fd)
        return told, sorted(os.listdir(home))

    def as_another(uid):
        # (a child of root, since Alice cannot become Bob)
        os.write(ask[1], b"go\n")
        return os.read(answer[0], 10).decode()

    ask, answer = os.pipe(), os.pipe()
    child = start(ALICE, alice)
    equal(os.read(ask[0], 10), b"go\n", "Alice has come to her limit")
    check(m.stats()["staged_bytes"] == 1024 * K, "staged bytes")
    check(as_user(BOB, lambda: works_on(m.path("bob"))), "Bob")
    equal(as_user(BOB, lambda: name_of(write, m.path("bob/large"), b"b" * 900 * K)), None, "Bob")
    os.write(answer[1], b"worked")
    told, names = finish(child)
    equal(told, ["ENOSPC", "ENOSPC", "worked"], "Alice's write and close")
    equal(names, ["0", "1", "2", "3", "again"], "Alice's keys")
    equal((m.stats()["staged_bytes"], users(m)), (0, 0), "what is left")
    for fd in ask + answer:
        os.close(fd)
    # root has no such limit
    many = [os.open(m.path("r%d" % i), os.O_WRONLY | os.O_CREAT) for i in range(8)]
    for fd in many:
        os.write(fd, b"r" * 256 * K)
    for fd in many:
        os.close(fd)


@mount_only
@options("max_staged=1M")
def test_staged_bytes_of_who_dies(m):
    homes(m)

    def alice():
        fd = os.open(m.path("alice/k"), os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"a" * 1024 * K)
        signal.pause()

    pid, reading = start(ALICE, alice)
    wait_for(lambda: m.stats()["staged_bytes"] == 1024 * K, what="staged")
    equal(as_user(ALICE, lambda: name_of(write, m.path("alice/n"), b"x")), "ENOSPC", "another")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reading)
    wait_for(lambda: users(m) == 0, what="the account is closed")
    equal(as_user(ALICE, lambda: name_of(write, m.path("alice/n"), b"x")), None, "afterwards")


@mount_only
@options("max_open=50")
def test_open_files(m):
    homes(m)
    write(m.path("k"), b"v")
    go, done = os.pipe(), os.pipe()

    def alice():
        fds = [os.open(m.path("k"), os.O_RDONLY) for i in range(49)]
        fds.append(os.open(m.path("alice/made"), os.O_WRONLY | os.O_CREAT))
        told = [name_of(os.open, m.path("k"), os.O_RDONLY),
                name_of(os.open, m.path("alice/n"), os.O_WRONLY | os.O_CREAT),
                name_of(os.open, m.path("alice/n"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)]
        os.write(go[1], b"go")
        os.read(done[0], 4)
        # nothing else is held up
        os.mkdir(m.path("alice/d"))
        os.rmdir(m.path("alice/d"))
        os.listdir(m.path("alice"))
        os.write(fds[49], b"v")
        os.close(fds[49])
        with open(m.path("k"), "rb") as f:
            f.read()
        return told, os.listdir(m.path("alice"))

    child = start(ALICE, alice)
    equal(os.read(go[0], 2), b"go", "Alice has come to her limit")
    check(as_user(BOB, lambda: works_on(m.path("bob"))), "Bob")
    equal(users(m), 1, "users")
    os.write(done[1], b"done")
    told, names = finish(child)
    equal(told, ["EMFILE"] * 3, "Alice's opens")
    equal(names, ["made"], "Alice's keys")
    wait_for(lambda: users(m) == 0, what="the account is closed")
    for fd in go + done:
        os.close(fd)


@mount_only
@options("max_locks=20")
def test_locks(m):
    homes(m)
    write(m.path("k"), b"v")
    os.chmod(m.path("k"), 0o666)
    go, done = os.pipe(), os.pipe()

    def lock(fd, command, kind, at):
        fcntl.fcntl(fd, command, struct.pack("hhqqi", kind, os.SEEK_SET, at, 1, 0))

    def alice():
        fd = os.open(m.path("k"), os.O_RDWR)
        for i in range(20):
            lock(fd, fcntl.F_SETLK, fcntl.F_WRLCK, 2 * i)
        told = [name_of(lock, fd, fcntl.F_SETLK, fcntl.F_WRLCK, 100),
                name_of(lock, fd, fcntl.F_SETLKW, fcntl.F_WRLCK, 100),
                name_of(fcntl.flock, fd, fcntl.LOCK_EX)]
        os.write(go[1], b"go")
        os.read(done[0], 4)
        lock(fd, fcntl.F_SETLK, fcntl.F_UNLCK, 0)
        lock(fd, fcntl.F_SETLK, fcntl.F_WRLCK, 100)
        return told

    def bob():
        fd = os.open(m.path("k"), os.O_RDWR)
        for i in range(20):
            lock(fd, fcntl.F_SETLK, fcntl.F_WRLCK, 1000 + 2 * i)
        os.close(fd)
        return works_on(m.path("bob"))

    child = start(ALICE, alice)
    equal(os.read(go[0], 2), b"go", "Alice has come to her limit")
    check(as_user(BOB, bob), "Bob")
    os.write(done[1], b"done")
    equal(finish(child), ["ENOLCK"] * 3, "Alice's locks")
    wait_for(lambda: m.stats()["advisory_locks"] == 0, what="all locks gone")
    for fd in go + done:
        os.close(fd)


@mount_only
def test_replaced_values_are_kept_once(m):
    """However many are reading one, or have begun to change it."""
    size, count = 1 << 20, 200
    old = os.urandom(size)
    m.write("k", old)
    for which in "seen", "base":
        before = keep(m), memory(m)
        fds = [os.open(m.path("k"), os.O_RDWR if which == "base" else os.O_RDONLY)
               for _ in range(count)]
        for fd in fds:
            if which == "base":
                os.ftruncate(fd, 0)
            else:
                equal(os.pread(fd, 1, 0), old[:1], "the first byte")
        m.write("k", b"new")
        after = keep(m), memory(m)
        for what, a, b in zip(("keep", "memory"), before, after):
            check(b - a < 16 * size, "%s: %s grew from %d to %d bytes" % (which, what, a, b))
        kill_and_wait(m)
        if which == "seen":
            for fd in fds:
                equal(os.pread(fd, 1, size - 1), old[-1:], "the last byte, in another worker")
        for fd in fds:
            os.close(fd)
        m.write("k", old)


@mount_only
def test_attributes_have_an_end(m):
    """Nobody fills the memory with attributes of one key."""
    write(m.path("k"), b"v")
    with raises(errno.ENOSPC, "setxattr"):
        for i in range(200):
            os.setxattr(m.path("k"), "user.%d" % i, b"x" * K)
    there = os.listxattr(m.path("k"))
    check(100 <= len(there) <= 128, "%d attributes" % len(there))
    os.removexattr(m.path("k"), there[0])
    os.setxattr(m.path("k"), there[0], b"x" * K)


@mount_only
@deadline(180)
@options("max_bytes=40M", "max_keys=2000", "max_staged=2M", "max_open=200", "max_locks=100")
def test_one_who_takes_all(m):
    """Alice takes whatever she can get, from several processes, while Bob works in a namespace of his
    own, and is refused nothing. (What she has open without a name is no namespace's, but there is
    room for that.) The daemon's memory stays bounded."""
    homes(m)
    m.set("alice", "max_bytes", 3 * K * K)
    m.set("alice", "max_keys", 1000)

    def memory():
        with open("/proc/%d/status" % m.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))

    def alice(n):
        end = time.monotonic() + 6      # what she keeps open is gone with her
        told = {}
        kept = []
        i = 0
        while time.monotonic() < end:
            i += 1
            path = m.path("alice/%d-%d" % (n, i))

            def take():
                fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                kept.append(fd)
                os.write(fd, b"a" * 100 * K)
                fcntl.lockf(fd, fcntl.LOCK_EX, 1, i)
                if i % 3 == 0:
                    os.fsync(fd)
                if i % 7 == 0:
                    os.unlink(path)
            e = name_of(take)
            told[e or "ok"] = told.get(e or "ok", 0) + 1
            e = name_of(write, path + "s", b"a" * 10)
            told[e or "ok"] = told.get(e or "ok", 0) + 1
            if len(kept) > 300:
                for fd in kept[:250]:
                    name_of(os.close, fd)
                del kept[:250]
        return told

    check(as_user(BOB, lambda: works_on(m.path("bob"))), "Bob, alone")
    before = memory()
    crowd = [start(ALICE, lambda n=n: alice(n)) for n in range(3)]
    worked, longest, end = 0, 0.0, time.monotonic() + 5
    while time.monotonic() < end:
        begin = time.monotonic()
        check(as_user(BOB, lambda: works_on(m.path("bob"), 5)), "Bob, beside Alice")
        longest = max(longest, time.monotonic() - begin)
        worked += 1
    told = [finish(child) for child in crowd]
    grown = memory() - before
    print("# Alice: %s; Bob: %d times, %.2f s at most; the daemon grew by %d KiB"
          % (told, worked, longest, grown), flush=True)
    for one in told:
        check(set(one) <= {"ok", "ENOSPC", "EMFILE", "ENOLCK", "EDQUOT"}, "errors: %s" % one)
    check(any("ENOSPC" in one or "EMFILE" in one for one in told), "she has come to no limit")
    check(grown < 64 * K, "the daemon grew by %d KiB" % grown)
    stats = m.stats()
    check(stats["bytes"] <= 40 * K * K and stats["keys"] <= 2000, "past the limits")
    wait_for(lambda: users(m) == 0, what="all accounts closed")
    equal(m.stats()["staged_bytes"], 0, "staged bytes")


if __name__ == "__main__":
    main(globals())
