# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""chown(2) and its permissions; groups; what a search permission is worth."""
import errno
import os

from support import (
    ALICE, BOB, CAROL, DAVE, EXTRA, KINDS, ROOT, Cases, User, area, as_user, equal, fails,
    in_child, libc, make, mode_of, opened, owner_of, read_file, remove, stamps, try_open,
    write_file)
from harness import main


def test_every_kind(m):
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            p = make(kind, d + "/" + kind)
            for uid, gid in ((1, 2), (60001, 60002), (65534, 65534), (2**31, 2**31 + 1),
                             (2**32 - 2, 2**32 - 3), (0, 0)):
                with t.case(kind, uid, gid), stamps(m, c=[p], same=[d]):
                    os.lchown(p, uid, gid)
                    equal(owner_of(p), (uid, gid), "owner")


def test_one_of_the_two(m):
    """-1 leaves that one as it is."""
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            p = make(kind, d + "/" + kind)
            os.lchown(p, 10, 20)
            with t.case(kind, "owner"), stamps(m, c=[p]):
                os.lchown(p, 11, -1)
                equal(owner_of(p), (11, 20), "owner")
            with t.case(kind, "group"), stamps(m, c=[p]):
                os.lchown(p, -1, 21)
                equal(owner_of(p), (11, 21), "owner")
            with t.case(kind, "neither"):
                os.lchown(p, -1, -1)
                equal(owner_of(p), (11, 21), "owner")


def test_links_and_handles(m):
    d = area(m)
    write_file(d + "/f", b"x")
    os.symlink("f", d + "/s")
    os.mkdir(d + "/sub")
    with Cases() as t:
        with t.case("chown follows"), stamps(m, c=[d + "/f"], same=[d + "/s"]):
            os.chown(d + "/s", 1, 2)
            equal(owner_of(d + "/f"), (1, 2), "owner")
        with t.case("lchown does not"), stamps(m, c=[d + "/s"], same=[d + "/f"]):
            os.lchown(d + "/s", 3, 4)
            equal((owner_of(d + "/f"), owner_of(d + "/s")), ((1, 2), (3, 4)), "owners")
        for name in ("f", "sub"):
            with t.case("fchown", name), opened(d + "/" + name, os.O_RDONLY) as fd:
                with stamps(m, c=[fd]):
                    os.fchown(fd, 5, 6)
                equal((owner_of(fd), owner_of(d + "/" + name)), ((5, 6), (5, 6)), "owners")
        with t.case("relative"), opened(d, os.O_RDONLY) as fd:
            os.chown("s", 7, 8, dir_fd=fd, follow_symlinks=False)
            equal(owner_of(d + "/s"), (7, 8), "owner")
        with t.case("dangling"):
            os.symlink("none", d + "/dangling")
            fails(errno.ENOENT, os.chown, d + "/dangling", 1, 1)
            os.lchown(d + "/dangling", 1, 1)


def test_who_may(m):
    """The owner gives his file to a group that he is in, and that is all."""
    d = area(m)
    own = (
        (DAVE, -1, DAVE.gid, True), (DAVE, -1, EXTRA, True), (DAVE, -1, ALICE.gid, True),
        (DAVE, DAVE.uid, EXTRA, True), (DAVE, DAVE.uid, -1, True), (DAVE, -1, -1, True),
        (DAVE, -1, BOB.gid, False), (DAVE, -1, 0, False), (DAVE, BOB.uid, -1, False),
        (DAVE, 0, -1, False), (DAVE, BOB.uid, EXTRA, False), (DAVE, ALICE.uid, ALICE.gid, False),
    )
    others = tuple((u, uid, gid, False) for u in (ALICE, BOB)
                   for uid, gid in ((u.uid, u.gid), (-1, u.gid), (u.uid, -1), (DAVE.uid, DAVE.gid)))
    with Cases() as t:
        for kind in KINDS:
            for user, uid, gid, ok in own + others:
                with t.case(kind, user, uid, gid):
                    p = make(kind, d + "/x", 0o777, DAVE)
                    if ok:
                        as_user(user, os.lchown, p, uid, gid)
                        equal(owner_of(p), (DAVE.uid, DAVE.gid if gid == -1 else gid), "owner")
                    else:
                        with stamps(m, same=[p]):
                            fails(errno.EPERM, as_user, user, os.lchown, p, uid, gid)
                        equal(owner_of(p), (DAVE.uid, DAVE.gid), "owner")
                remove(p)


def test_a_group_that_is_not_ones_own_may_stay(m):
    """Naming the group the file already has is no change of group."""
    d = area(m)
    write_file(d + "/f", b"")
    os.chown(d + "/f", ALICE.uid, BOB.gid)
    as_user(ALICE, os.chown, d + "/f", ALICE.uid, BOB.gid)
    as_user(ALICE, os.chown, d + "/f", -1, ALICE.gid)
    fails(errno.EPERM, as_user, ALICE, os.chown, d + "/f", -1, BOB.gid)
    equal(owner_of(d + "/f"), (ALICE.uid, ALICE.gid), "owner")


def test_the_new_owner_has_the_rights(m):
    d = area(m)
    write_file(d + "/f", b"x", mode=0o600)
    fails(errno.EACCES, as_user, ALICE, read_file, d + "/f")
    os.chown(d + "/f", ALICE.uid, -1)
    equal(as_user(ALICE, read_file, d + "/f"), b"x", "read by the new owner")
    os.chown(d + "/f", BOB.uid, -1)
    fails(errno.EACCES, as_user, ALICE, read_file, d + "/f")
    os.chmod(d + "/f", 0o060)
    os.chown(d + "/f", 0, EXTRA)
    equal(as_user(DAVE, read_file, d + "/f"), b"x", "read through an extra group")
    as_user(DAVE, write_file, d + "/f", b"y")
    fails(errno.EACCES, as_user, ALICE, read_file, d + "/f")


def test_many_groups(m):
    """The last of 200 extra groups counts like the first."""
    d = area(m)
    write_file(d + "/f", b"x")
    os.chmod(d + "/f", 0o070)
    user = User("many", 60010, 60010, tuple(range(61000, 61200)))
    with Cases() as t:
        for gid in (61000, 61031, 61032, 61100, 61199):
            with t.case(gid):
                os.chown(d + "/f", 0, gid)
                os.chmod(d + "/f", 0o070)
                equal(as_user(user, read_file, d + "/f"), b"x", "read")
        with t.case("none of them"):
            os.chown(d + "/f", 0, 61200)
            fails(errno.EACCES, as_user, user, read_file, d + "/f")


def test_effective_ids_count(m):
    """The effective user opens, the real one answers access(2)."""
    d = area(m, mode=0o777)
    write_file(d + "/f", b"x", mode=0o600)

    def both():
        os.setgroups([])
        os.setresgid(ALICE.gid, BOB.gid, 0)
        os.setresuid(ALICE.uid, BOB.uid, 0)
        write_file(d + "/bobs", b"")
        equal(os.access(d + "/bobs", os.W_OK), False, "access asks for alice")
        try_open(d + "/bobs", os.O_RDWR)
        fails(errno.EACCES, os.open, d + "/f", os.O_RDONLY)
        os.seteuid(0)
        try_open(d + "/f", os.O_RDWR)
    in_child(both)
    equal(owner_of(d + "/bobs"), (BOB.uid, BOB.gid), "owner")


def test_file_system_ids_count(m):
    """setfsuid(2) alone: what a server does on behalf of a user."""
    d = area(m, mode=0o777)

    def call():
        libc.setfsgid(CAROL.gid)
        libc.setfsuid(CAROL.uid)
        write_file(d + "/f", b"x", mode=0o600)
        os.mkdir(d + "/sub")
    in_child(call)
    equal(owner_of(d + "/f"), (CAROL.uid, CAROL.gid), "owner of the file")
    equal(owner_of(d + "/sub"), (CAROL.uid, CAROL.gid), "owner of the directory")


def test_every_call_needs_search_permission(m):
    """A directory on the way that may not be entered hides all below."""
    d = area(m)
    s = make("dir", d + "/s", 0o777, ALICE)
    for kind in KINDS:
        make(kind, s + "/" + kind, 0o777, ALICE)
    make("file", d + "/f", 0o777, ALICE)
    os.chmod(d, 0o777)
    calls = (
        ("stat", lambda: os.lstat(s + "/file") and None),
        ("open", lambda: try_open(s + "/file", os.O_RDONLY)),
        ("create", lambda: try_open(s + "/new", os.O_CREAT | os.O_WRONLY)),
        ("mkdir", lambda: os.mkdir(s + "/new")),
        ("mkfifo", lambda: os.mkfifo(s + "/new")),
        ("symlink", lambda: os.symlink("x", s + "/new")),
        ("link to", lambda: os.link(d + "/f", s + "/new")),
        ("link from", lambda: os.link(s + "/file", d + "/new")),
        ("rename to", lambda: os.rename(d + "/f", s + "/new")),
        ("rename from", lambda: os.rename(s + "/file", d + "/new")),
        ("unlink", lambda: os.unlink(s + "/file")),
        ("rmdir", lambda: os.rmdir(s + "/dir")),
        ("readlink", lambda: os.readlink(s + "/symlink") and None),
        ("chmod", lambda: os.chmod(s + "/file", 0o777)),
        ("chown", lambda: os.chown(s + "/file", -1, -1)),
        ("utime", lambda: os.utime(s + "/file")),
        ("truncate", lambda: os.truncate(s + "/file", 0)),
        ("statvfs", lambda: os.statvfs(s + "/file") and None),
        ("getxattr", lambda: os.getxattr(s + "/file", "user.x")),
        ("setxattr", lambda: os.setxattr(s + "/file", "user.x", b"1")),
        ("listxattr", lambda: os.listxattr(s + "/file") and None),
        ("chdir", lambda: os.chdir(s + "/dir")),
        ("list", lambda: os.listdir(s + "/dir") and None),
        ("access", lambda: fails_access(s + "/file")),
    )
    with Cases() as t:
        os.chmod(s, 0o666)
        for what, call in calls:
            for user in (ALICE, BOB):
                with t.case(what, user):
                    fails(errno.EACCES, as_user, user, call)
        with t.case("root is not held up"):
            os.chmod(s, 0)
            for what, call in calls:
                if what in ("stat", "open", "chmod", "utime", "list", "listxattr"):
                    call()
    equal(mode_of(s), 0, "mode")


def fails_access(path):
    if not os.access(path, os.F_OK):
        raise PermissionError(errno.EACCES, "as access(2) says")


def test_root_is_not_bound_by_bits(m):
    d = area(m)
    s = make("dir", d + "/s", 0, ALICE)
    write_file(s + "/f", b"x", mode=0)
    equal(read_file(s + "/f"), b"x", "read")
    os.rename(s + "/f", s + "/g")
    write_file(s + "/g", b"y")
    equal(os.listdir(s), ["g"], "listing")
    os.chown(s + "/g", ALICE.uid, ALICE.gid)
    os.chmod(s + "/g", 0o4000)
    os.unlink(s + "/g")
    os.rmdir(s)


def test_sticky_directory_owner_and_others(m):
    """A sticky directory is open to all for making, to owners for removing."""
    s = make("dir", area(m) + "/tmp", 0o1777, ROOT)
    for user in (ALICE, BOB):
        as_user(user, write_file, s + "/" + user.name, b"mine")
    fails(errno.EPERM, as_user, ALICE, os.unlink, s + "/bob")
    fails(errno.EACCES, as_user, ALICE, write_file, s + "/bob", b"")
    equal(as_user(ALICE, read_file, s + "/bob"), b"mine", "read")
    as_user(ALICE, os.unlink, s + "/alice")
    equal(os.listdir(s), ["bob"], "listing")
    os.chown(s, ALICE.uid, -1)
    as_user(ALICE, os.unlink, s + "/bob")


if __name__ == "__main__":
    main(globals())
