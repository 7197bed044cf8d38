# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""chmod(2), the set-id bits and what clears them, access(2)."""
import errno
import itertools
import os

from support import (
    ALICE, BOB, CAROL, DAVE, EXTRA, KINDS, ROOT, Cases, area, as_user, equal, fails, make, mode_of,
    opened, read_file, stamps, try_open, write_file)
from harness import main

NOT_LINKS = tuple(k for k in KINDS if k != "symlink")


def test_every_bit_on_every_kind(m):
    d = area(m)
    with Cases() as t:
        for kind in NOT_LINKS:
            p = make(kind, d + "/" + kind)
            for mode in [1 << i for i in range(12)] + [0, 0o7777, 0o777, 0o7000, 0o6755, 0o1644]:
                with t.case(kind, oct(mode)):
                    os.chmod(p, mode)
                    equal(oct(mode_of(p)), oct(mode), "mode")


def test_all_modes_of_a_file(m):
    d = area(m)
    write_file(d + "/f", b"x")
    with Cases() as t:
        for mode in range(0, 0o10000, 7):
            with t.case(oct(mode)):
                os.chmod(d + "/f", mode)
                equal(oct(mode_of(d + "/f")), oct(mode), "mode")
    equal(read_file(d + "/f"), b"x", "contents")


def test_times_after_chmod(m):
    d = area(m)
    with Cases() as t:
        for kind in NOT_LINKS:
            p = make(kind, d + "/" + kind)
            with t.case(kind), stamps(m, c=[p], same=[d]):
                os.chmod(p, 0o700)
            with t.case(kind, "same mode again"), stamps(m, c=[p]):
                os.chmod(p, 0o700)


def test_fchmod_and_links(m):
    d = area(m)
    write_file(d + "/f", b"x")
    os.mkdir(d + "/sub")
    os.symlink("f", d + "/s")
    for name, flags in (("f", os.O_RDONLY), ("f", os.O_WRONLY), ("sub", os.O_RDONLY)):
        with opened(d + "/" + name, flags) as fd, stamps(m, c=[fd]):
            os.fchmod(fd, 0o1750 + flags)
            equal(mode_of(fd), 0o1750 + flags, "mode through the handle")
            equal(mode_of(d + "/" + name), 0o1750 + flags, "mode through the name")
    os.chmod(d + "/s", 0o604)
    equal((mode_of(d + "/f"), mode_of(d + "/s")), (0o604, 0o777), "through a link")
    with opened(d, os.O_RDONLY) as fd:
        os.chmod("f", 0o611, dir_fd=fd)
    equal(mode_of(d + "/f"), 0o611, "relative")
    os.symlink("none", d + "/dangling")
    fails(errno.ENOENT, os.chmod, d + "/dangling", 0o600)


def test_only_the_owner_and_root(m):
    d = area(m)
    with Cases() as t:
        for kind in NOT_LINKS:
            p = make(kind, d + "/" + kind, 0o777, ALICE)
            for user in (BOB, CAROL, DAVE):
                with t.case(kind, user), stamps(m, same=[p]):
                    fails(errno.EPERM, as_user, user, os.chmod, p, 0o700)
            with t.case(kind, "owner"):
                as_user(ALICE, os.chmod, p, 0)
                as_user(ALICE, os.chmod, p, 0o604)
                equal(mode_of(p), 0o604, "mode")
    write_file(d + "/f", b"")
    os.chmod(d + "/f", 0o666)

    def through_a_handle():
        with opened(d + "/f", os.O_RDWR) as fd:
            os.fchmod(fd, 0o777)
    fails(errno.EPERM, as_user, ALICE, through_a_handle)
    os.chmod(d, 0o644)
    fails(errno.EACCES, as_user, ALICE, os.chmod, d + "/file", 0o600)


def test_setgid_needs_membership(m):
    """chmod by an owner who is not in the file's group clears S_ISGID."""
    d = area(m)
    with Cases() as t:
        for kind in NOT_LINKS:
            for group, user, kept in ((ALICE.gid, ALICE, True), (EXTRA, ALICE, False),
                                      (BOB.gid, ALICE, False), (0, ALICE, False),
                                      (EXTRA, DAVE, True), (ALICE.gid, DAVE, True),
                                      (BOB.gid, DAVE, False), (BOB.gid, ROOT, True)):
                for mode in (0o2755, 0o2644, 0o6711, 0o7777):
                    with t.case(kind, group, user, oct(mode)):
                        p = make(kind, d + "/x", 0o600)
                        os.chown(p, user.uid, group)
                        as_user(user, os.chmod, p, mode)
                        equal(oct(mode_of(p)), oct(mode if kept else mode & ~0o2000), "mode")
                    (os.rmdir if kind == "dir" else os.unlink)(p)


def test_sticky_by_users(m):
    """On Linux anybody may set the sticky bit on his own."""
    d = area(m)
    for kind in ("file", "dir", "fifo"):
        p = make(kind, d + "/" + kind, 0o600, ALICE)
        as_user(ALICE, os.chmod, p, 0o1644)
        equal(mode_of(p), 0o1644, kind)


def change_contents():
    """(what, how, on) — everything that changes a file's contents."""
    def through(flags, action):
        def call(p):
            with opened(p, flags) as fd:
                action(fd)
        return call
    return (
        ("write", through(os.O_WRONLY, lambda fd: os.write(fd, b"x"))),
        ("append", through(os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"x"))),
        ("pwrite", through(os.O_RDWR, lambda fd: os.pwrite(fd, b"x", 2))),
        ("writev", through(os.O_RDWR, lambda fd: os.writev(fd, [b"x", b"y"]))),
        ("truncate", lambda p: os.truncate(p, 1)),
        ("grow", lambda p: os.truncate(p, 100)),
        ("ftruncate", through(os.O_RDWR, lambda fd: os.ftruncate(fd, 1))),
        ("open", lambda p: try_open(p, os.O_WRONLY | os.O_TRUNC)),
        ("rewrite", lambda p: write_file(p, b"new")),
    )


def test_changing_contents_clears_set_id(m):
    """S_ISUID goes, S_ISGID where the group may execute; root's changes keep both."""
    d = area(m)
    with Cases() as t:
        for what, change in change_contents():
            for mode, wanted in ((0o4777, 0o777), (0o2777, 0o777), (0o6777, 0o777),
                                 (0o4666, 0o666), (0o7777, 0o1777)):
                for user in (ALICE, BOB, ROOT):
                    with t.case(what, oct(mode), user):
                        p = d + "/f"
                        write_file(p, b"value")
                        os.chown(p, ALICE.uid, ALICE.gid)
                        os.chmod(p, mode)
                        as_user(user, change, p)
                        equal(oct(mode_of(p)), oct(mode if user is ROOT else wanted), "mode")
                        os.unlink(p)


def test_what_does_not_clear_set_id(m):
    d = area(m)
    p = d + "/f"
    write_file(p, b"value")
    os.chown(p, ALICE.uid, ALICE.gid)
    os.chmod(p, 0o6777)
    with Cases() as t:
        for what, call in (
                ("reading", lambda: read_file(p)),
                ("opening to write", lambda: try_open(p, os.O_RDWR)),
                ("utime", lambda: os.utime(p)),
                ("rename", lambda: os.rename(p, p)),
                ("writing nothing", lambda: write_nothing(p))):
            with t.case(what):
                as_user(ALICE, call)
                equal(oct(mode_of(p)), "0o6777", "mode")


def write_nothing(p):
    with opened(p, os.O_WRONLY) as fd:
        os.write(fd, b"")


def test_chown_clears_set_id(m):
    """Of a file that can be executed, whoever does it; a directory keeps them."""
    d = area(m)
    with Cases() as t:
        for user, uid, gid in ((ROOT, 5, 6), (ROOT, 5, -1), (ROOT, -1, 6), (DAVE, -1, EXTRA),
                               (DAVE, DAVE.uid, ALICE.gid), (DAVE, DAVE.uid, DAVE.gid)):
            for mode, wanted in ((0o4755, 0o755), (0o2755, 0o755), (0o6755, 0o755),
                                 (0o7777, 0o1777), (0o4644, 0o644), (0o755, 0o755)):
                with t.case("file", user, uid, gid, oct(mode)):
                    p = make("file", d + "/x", mode, DAVE)
                    as_user(user, os.chown, p, uid, gid)
                    equal(oct(mode_of(p)), oct(wanted), "mode")
                os.unlink(p)
            with t.case("dir", user, uid, gid):
                p = make("dir", d + "/x", 0o7755, DAVE)
                as_user(user, os.chown, p, uid, gid)
                equal(oct(mode_of(p)), oct(0o7755), "mode")
            os.rmdir(p)


def test_access(m):
    """access(2) for each class of users, each mode and each question."""
    d = area(m)
    p = d + "/f"
    write_file(p, b"")
    os.chown(p, ALICE.uid, ALICE.gid)

    def wrong(shift, mode):
        bits = mode >> shift
        return [need for need in range(8) if os.access(p, need) != (bits & need == need)]
    with Cases() as t:
        for mode, (user, shift) in itertools.product(
                [a << 6 | b << 3 | c for a, b, c in itertools.permutations((7, 5, 2, 0), 3)]
                + [0o444, 0o111, 0o222, 0o640],
                ((ALICE, 6), (CAROL, 3), (DAVE, 3), (BOB, 0))):
            os.chmod(p, mode)
            with t.case(oct(mode), user):
                equal(as_user(user, wrong, shift, mode), [], "wrong answers")
        for mode in (0, 0o644, 0o001, 0o010, 0o100):
            os.chmod(p, mode)
            with t.case("root", oct(mode)):
                equal([os.access(p, n) for n in (0, 4, 2, 1)],
                      [True, True, True, bool(mode & 0o111)], "access")
        with t.case("root and a directory"):
            os.mkdir(d + "/sub", 0)
            equal(os.access(d + "/sub", 7), True, "access")


def test_mode_survives_a_rewrite(m):
    """What root writes keeps mode and owner, whichever way it is written."""
    d = area(m)
    with Cases() as t:
        for what, change in change_contents():
            with t.case(what):
                write_file(d + "/f", b"value")
                os.chown(d + "/f", 3, 4)
                os.chmod(d + "/f", 0o1604)
                change(d + "/f")
                st = os.stat(d + "/f")
                equal((oct(mode_of(d + "/f")), st.st_uid, st.st_gid), (oct(0o1604), 3, 4), "kept")
                os.unlink(d + "/f")


def test_changes_through_a_handle_that_has_written(m):
    """As cp -p does: write, fchown, fchmod, close."""
    d = area(m)
    with Cases() as t:
        for flags in (os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_TRUNC):
            with t.case(oct(flags)):
                with opened(d + "/f", os.O_WRONLY | flags) as fd:
                    os.write(fd, b"value")
                    os.fchown(fd, 5, 6)
                    os.fchmod(fd, 0o4751)
                    equal(oct(mode_of(fd)), oct(0o4751), "mode through the handle")
                st = os.stat(d + "/f")
                equal((oct(mode_of(d + "/f")), st.st_uid, st.st_gid, st.st_size),
                      (oct(0o4751), 5, 6, 5), "after close")
                equal(read_file(d + "/f"), b"value", "contents")
            if flags & os.O_CREAT and not flags & os.O_EXCL:
                os.unlink(d + "/f")


if __name__ == "__main__":
    main(globals())
