# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""utimensat(2) and which call moves which time stamp.

Whether reading moves atime is left open, as on a noatime mount; one that was
set stays as it was set."""
import errno
import os
import time

from support import (
    ALICE, BOB, DAVE, KINDS, UTIME_NOW, UTIME_OMIT, Cases, append_file, area, as_user, check, equal,
    fails, let_clock_move, make, opened, read_file, stamps, try_open, utimensat, write_file)
from harness import main

NOW, OMIT = (0, UTIME_NOW), (0, UTIME_OMIT)
SECOND = 10**9


def times(path):
    st = os.fstat(path) if isinstance(path, int) else os.lstat(path)
    return st.st_atime_ns, st.st_mtime_ns


def near_now(ns):
    check(abs(ns - time.time_ns()) < 10 * SECOND, "%d is not now" % ns)


def test_values(m):
    d = area(m)
    values = [0, 1, 999999999, SECOND, 1234567890 * SECOND + 123456789, 2**31 * SECOND - 1,
              2**31 * SECOND, 2**32 * SECOND - 1, 2**32 * SECOND + 5, 4102444800 * SECOND + 1,
              9214646400 * SECOND + 999999999, -1, -SECOND, -SECOND - 1, -2**31 * SECOND]
    with Cases() as t:
        for kind in KINDS:
            p = make(kind, d + "/" + kind)
            for i, a in enumerate(values):
                b = values[(i * 7 + 3) % len(values)]
                with t.case(kind, a, b), stamps(m, c_=[p], same=[d]):
                    os.utime(p, ns=(a, b), follow_symlinks=False)
                    equal(times(p), (a, b), "atime, mtime")
    near_now(os.stat(d + "/file").st_ctime_ns)


def test_now_and_omit(m):
    d = area(m)
    a, b = 1000 * SECOND + 1, 2000 * SECOND + 2
    with Cases() as t:
        for kind in KINDS:
            p = make(kind, d + "/" + kind)
            for first in (NOW, OMIT, (5, 6)):
                for second in (NOW, OMIT, (7, 8)):
                    with t.case(kind, first, second):
                        os.utime(p, ns=(a, b), follow_symlinks=False)
                        if first == second == OMIT:
                            with stamps(m, same=[p]):
                                utimensat(p, first, second, follow=False)
                        else:
                            with stamps(m, c_=[p]):
                                utimensat(p, first, second, follow=False)
                        for got, asked, old, fixed in zip(
                                times(p), (first, second), (a, b),
                                (5 * SECOND + 6, 7 * SECOND + 8)):
                            if asked == NOW:
                                near_now(got)
                            else:
                                equal(got, old if asked == OMIT else fixed, "stamp")


def test_null_means_now(m):
    d = area(m)
    for kind in KINDS:
        p = make(kind, d + "/" + kind)
        os.utime(p, ns=(0, 0), follow_symlinks=False)
        os.utime(p, follow_symlinks=False)
        for ns in times(p):
            near_now(ns)


def test_bad_nanoseconds(m):
    p = make("file", area(m) + "/f")
    with Cases() as t:
        for bad in (-1, SECOND, SECOND + 5, 2**31 - 1):
            for pair in (((0, bad), (0, 0)), ((0, 0), (0, bad)), (NOW, (0, bad)), ((0, bad), OMIT)):
                with t.case(*pair), stamps(m, same=[p]):
                    fails(errno.EINVAL, utimensat, p, *pair)


def test_symlink(m):
    d = area(m)
    write_file(d + "/f", b"")
    os.symlink("f", d + "/s")
    os.utime(d + "/f", ns=(1, 2))
    os.utime(d + "/s", ns=(3, 4), follow_symlinks=False)
    equal((times(d + "/f"), times(d + "/s")), ((1, 2), (3, 4)), "each its own")
    os.utime(d + "/s", ns=(5, 6))
    equal((times(d + "/f"), times(d + "/s")[1]), ((5, 6), 4), "followed")
    os.symlink("none", d + "/dangling")
    fails(errno.ENOENT, os.utime, d + "/dangling")
    os.utime(d + "/dangling", ns=(7, 8), follow_symlinks=False)
    equal(times(d + "/dangling"), (7, 8), "dangling")
    with opened(d, os.O_RDONLY) as fd:
        utimensat("s", (9, 10), (11, 12), follow=False, dir_fd=fd)
    equal(times(d + "/s"), (9 * SECOND + 10, 11 * SECOND + 12), "relative")


def test_handles(m):
    d = area(m)
    write_file(d + "/f", b"x")
    os.mkdir(d + "/sub")
    for name, flags in (("f", os.O_RDONLY), ("f", os.O_WRONLY), ("sub", os.O_RDONLY)):
        with opened(d + "/" + name, flags) as fd:
            os.utime(fd, ns=(11 * SECOND + 1, 12 * SECOND + 2))
            equal(times(fd), (11 * SECOND + 1, 12 * SECOND + 2), "through the handle")
            equal(times(d + "/" + name), (11 * SECOND + 1, 12 * SECOND + 2), "through the name")
            utimensat(fd, OMIT, NOW)
            equal(times(fd)[0], 11 * SECOND + 1, "atime")
            near_now(times(fd)[1])


def test_permissions(m):
    """Now: the owner or who may write. A time of one's choice: the owner."""
    d = area(m)
    one = (1, 1)
    with Cases() as t:
        for kind in ("file", "dir", "fifo"):
            p = make(kind, d + "/" + kind, 0o644, ALICE)
            for mode in (0o000, 0o444, 0o646, 0o662, 0o777):
                os.chmod(p, mode)
                for user, shift in ((ALICE, 6), (DAVE, 3), (BOB, 0)):
                    owner, writer = user is ALICE, mode >> shift & 2
                    for pair, code in (
                            ((NOW, NOW), 0 if owner or writer else errno.EACCES),
                            ((OMIT, OMIT), 0), ((one, one), 0 if owner else errno.EPERM),
                            ((NOW, OMIT), 0 if owner else errno.EPERM),
                            ((OMIT, NOW), 0 if owner else errno.EPERM),
                            ((one, NOW), 0 if owner else errno.EPERM),
                            ((NOW, one), 0 if owner else errno.EPERM),
                            ((one, OMIT), 0 if owner else errno.EPERM)):
                        with t.case(kind, oct(mode), user, *pair):
                            if code:
                                with stamps(m, same=[p]):
                                    fails(code, as_user, user, utimensat, p, *pair)
                            else:
                                as_user(user, utimensat, p, *pair)


def test_atime_stays_when_set(m):
    """Other changes leave atime alone."""
    d = area(m)
    p = d + "/f"
    write_file(p, b"value")
    a = 1500000000 * SECOND + 7
    with Cases() as t:
        for what, call in (
                ("chmod", lambda: os.chmod(p, 0o600)), ("chown", lambda: os.chown(p, 1, 1)),
                ("write", lambda: write_file(p, b"other")),
                ("append", lambda: append_file(p, b"other")),
                ("truncate", lambda: os.truncate(p, 3)),
                ("rename", lambda: (os.rename(p, d + "/g"), os.rename(d + "/g", p))),
                ("link", lambda: (os.link(p, d + "/g"), os.unlink(d + "/g"))),
                ("setxattr", lambda: os.setxattr(p, "user.x", b"1")),
                ("open", lambda: try_open(p, os.O_RDWR))):
            with t.case(what):
                utimensat(p, (a // SECOND, a % SECOND), OMIT)
                call()
                equal(times(p)[0], a, "atime")


def test_mtime_of_contents(m):
    """What changes contents moves ctime and mtime of the file alone."""
    d = area(m)
    p = d + "/f"
    write_file(p, b"value")

    def through(flags, *calls):
        def call():
            with opened(p, flags) as fd:
                for c in calls:
                    c(fd)
        return call
    changes = (
        ("write", through(os.O_WRONLY, lambda fd: os.write(fd, b"x"))),
        ("same bytes", lambda: write_file(p, b"x")),
        ("append", lambda: append_file(p, b"x")),
        ("pwrite", through(os.O_RDWR, lambda fd: os.pwrite(fd, b"x", 100))),
        ("truncate", lambda: os.truncate(p, 3)),
        ("grow", lambda: os.truncate(p, 300)),
        ("ftruncate", through(os.O_WRONLY, lambda fd: os.ftruncate(fd, 2))),
        ("O_TRUNC", lambda: try_open(p, os.O_WRONLY | os.O_TRUNC)),
        ("O_TRUNC of nothing", lambda: try_open(p, os.O_WRONLY | os.O_TRUNC)),
        ("write and fsync", through(os.O_WRONLY, lambda fd: os.write(fd, b"y"), os.fsync)),
    )
    keeps = (
        ("reading", lambda: read_file(p)),
        ("opening", lambda: try_open(p, os.O_RDWR)),
        ("writing nothing", through(os.O_WRONLY, lambda fd: os.write(fd, b""))),
        ("fsync", through(os.O_WRONLY, os.fsync)),
        ("stat", lambda: os.stat(p)),
        ("listing", lambda: os.listdir(d)),
    )
    with Cases() as t:
        for what, call in changes:
            with t.case(what), stamps(m, cm=[p], same=[d]):
                call()
        for what, call in keeps:
            with t.case(what), stamps(m, same=[p, d]):
                call()


def test_truncate_to_the_same_size(m):
    """truncate(2) moves the stamps even when the size stays; so does ftruncate."""
    p = area(m) + "/f"
    write_file(p, b"value")
    with stamps(m, cm=[p]):
        os.truncate(p, 5)
    with stamps(m, cm=[p]):
        with opened(p, os.O_RDWR) as fd:
            os.ftruncate(fd, 5)
    equal(read_file(p), b"value", "contents")


def test_time_set_before_close_is_what_stays(m):
    """As cp -p, tar and rsync do it: write, futimens, close."""
    d = area(m)
    p = d + "/f"
    want = (1111111111 * SECOND + 1, 1222222222 * SECOND + 2)
    with Cases() as t:
        for word, flags in (("new", os.O_CREAT), ("exclusive", os.O_CREAT | os.O_EXCL),
                            ("rewritten", os.O_TRUNC), ("changed", 0)):
            if flags & os.O_CREAT and os.path.exists(p):
                os.unlink(p)
            for how in ("handle", "name"):
                if flags & os.O_EXCL and how == "name":
                    os.unlink(p)
                with t.case(word, how):
                    with opened(p, os.O_WRONLY | flags) as fd:
                        os.write(fd, b"value")
                        os.utime(fd if how == "handle" else p, ns=want)
                        equal(times(fd), want, "before close")
                    equal(times(p), want, "after close")
                    equal(read_file(p), b"value", "contents")
                    equal(times(p)[1], want[1], "after reading")
        with t.case("a write after that moves it again"):
            with opened(p, os.O_WRONLY) as fd:
                os.write(fd, b"value")
                os.utime(fd, ns=want)
                os.write(fd, b"more")
            near_now(times(p)[1])
        with t.case("an fsync does not"):
            with opened(p, os.O_WRONLY) as fd:
                os.write(fd, b"value")
                os.utime(fd, ns=want)
                os.fsync(fd)
                equal(times(p), want, "after fsync")
            equal(times(p), want, "after close")


def test_directory_stamps(m):
    """Which changes below move a directory's stamps, and which do not."""
    d = area(m)
    os.mkdir(d + "/sub")
    write_file(d + "/sub/f", b"x")
    s = d + "/sub"
    with Cases() as t:
        for what, call in (
                ("write", lambda: write_file(s + "/f", b"y")),
                ("chmod", lambda: os.chmod(s + "/f", 0o600)),
                ("chown", lambda: os.chown(s + "/f", 1, 1)),
                ("utime", lambda: os.utime(s + "/f")),
                ("setxattr", lambda: os.setxattr(s + "/f", "user.x", b"1")),
                ("truncate", lambda: os.truncate(s + "/f", 0)),
                ("a failed creation", lambda: fails(errno.EEXIST, os.mkdir, s + "/f")),
                ("a failed removal", lambda: fails(errno.ENOENT, os.unlink, s + "/none"))):
            with t.case(what), stamps(m, same=[s, d]):
                call()
        for what, call in (
                ("create", lambda: write_file(s + "/g", b"")),
                ("link", lambda: os.link(s + "/g", s + "/h")),
                ("rename", lambda: os.rename(s + "/h", s + "/i")),
                ("rename over", lambda: os.rename(s + "/f", s + "/i")),
                ("unlink", lambda: os.unlink(s + "/i")),
                ("mkdir", lambda: os.mkdir(s + "/j")),
                ("rmdir", lambda: os.rmdir(s + "/j")),
                ("symlink", lambda: os.symlink("x", s + "/k")),
                ("mkfifo", lambda: os.mkfifo(s + "/l"))):
            with t.case(what), stamps(m, cm=[s], same=[d]):
                call()


def test_stamps_never_go_back(m):
    d = area(m)
    last = 0
    for i in range(100):
        write_file(d + "/f", b"%d" % i)
        now = os.stat(d + "/f").st_mtime_ns
        check(now >= last, "mtime went from %d to %d" % (last, now))
        last = now
    let_clock_move(m, d + "/f")
    write_file(d + "/g", b"")
    check(os.stat(d + "/g").st_mtime_ns > last, "a later file is not newer")


def test_close_changes_no_times(m):
    """What fstat shows after the last write or change is what stat shows after close:
    git takes the times of what it checks out from fstat."""
    d = area(m)
    wait = os.path.join(d, "clock")

    def tick():
        """The file system's clock has moved on."""
        before = time.time_ns()
        while time.time_ns() < before + 5000000:
            with open(wait, "wb"):
                pass

    def write(fd):
        os.write(fd, b"value")

    def write_and(then):
        def act(fd):
            write(fd)
            tick()
            then(fd)
        return act
    create = os.O_CREAT | os.O_WRONLY
    with Cases() as t:
        for number, (what, flags, act) in enumerate((
                ("exclusive", create | os.O_EXCL, write),
                ("new", create, write),
                ("new and empty", create, lambda fd: None),
                ("truncated", os.O_TRUNC | os.O_WRONLY, write),
                ("truncated only", os.O_TRUNC | os.O_WRONLY, lambda fd: None),
                ("written over", os.O_WRONLY, write),
                ("appended", os.O_APPEND | os.O_WRONLY, write),
                ("futimens", os.O_WRONLY, write_and(lambda fd: os.utime(fd, (5, 6)))),
                ("fchmod", os.O_WRONLY, write_and(lambda fd: os.fchmod(fd, 0o600))),
                ("ftruncate", os.O_WRONLY, write_and(lambda fd: os.ftruncate(fd, 2))))):
            p = "%s/%d" % (d, number)
            if not flags & os.O_CREAT:
                with open(p, "wb") as f:
                    f.write(b"old")
            with t.case(what):
                fd = os.open(p, flags, 0o644)
                tick()
                act(fd)
                tick()
                before = os.fstat(fd)
                tick()
                os.close(fd)
                after = os.stat(p)
                equal((after.st_mtime_ns, after.st_ctime_ns, after.st_size),
                      (before.st_mtime_ns, before.st_ctime_ns, before.st_size), what)


if __name__ == "__main__":
    main(globals())
