# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Extended attributes. The file system's own, user.cubby.*, are not looked at here."""
import ctypes
import errno
import os

from support import (
    ALICE, BOB, KINDS, Cases, area, as_user, check, checked, equal, fails, getxattr_into, in_child,
    libc, listxattr_into, make, opened, read_file, stamps, write_file)
from harness import main

CREATE, REPLACE = os.XATTR_CREATE, os.XATTR_REPLACE


def names(path, follow=True):
    """The user's own attributes (names as bytes)."""
    where = {} if isinstance(path, int) else {"follow_symlinks": follow}
    found = [os.fsencode(n) for n in os.listxattr(path, **where)]
    equal(len(found), len(set(found)), "each listed once")
    return sorted(n for n in found
                  if n.startswith(b"user.") and not n.startswith(b"user.cubby."))


def both(m):
    d = area(m)
    return make("file", d + "/f"), make("dir", d + "/sub")


def test_set_get_list_remove(m):
    with Cases() as t:
        for p in both(m):
            for i, value in enumerate(
                    (b"", b"x", b"value", bytes(range(256)), b"\0" * 10, b"v" * 1000)):
                n = "user.a%d" % i
                with t.case(p[-3:], i):
                    with stamps(m, c=[p]):
                        os.setxattr(p, n, value)
                    equal(os.getxattr(p, n), value, "value")
                    equal(in_child(os.getxattr, p, n), value, "value elsewhere")
                    check(n.encode() in names(p), "not listed")
                    with stamps(m, c=[p]):
                        os.setxattr(p, n, value + b"2")
                    equal(os.getxattr(p, n), value + b"2", "changed")
                    with stamps(m, c=[p]):
                        os.removexattr(p, n)
                    fails(errno.ENODATA, os.getxattr, p, n)
                    fails(errno.ENODATA, os.removexattr, p, n)
                    equal(names(p), [], "listing")


def test_create_and_replace(m):
    with Cases() as t:
        for p in both(m):
            with t.case("replace what is not there"), stamps(m, same=[p]):
                fails(errno.ENODATA, os.setxattr, p, "user.x", b"1", REPLACE)
                equal(names(p), [], "names")
            with t.case("create"):
                os.setxattr(p, "user.x", b"1", CREATE)
                equal(os.getxattr(p, "user.x"), b"1", "value")
            with t.case("create what is there"), stamps(m, same=[p]):
                fails(errno.EEXIST, os.setxattr, p, "user.x", b"2", CREATE)
                equal(os.getxattr(p, "user.x"), b"1", "value")
            with t.case("replace"):
                os.setxattr(p, "user.x", b"3", REPLACE)
                equal(os.getxattr(p, "user.x"), b"3", "value")
            with t.case("an empty value is a value"):
                os.setxattr(p, "user.e", b"", CREATE)
                fails(errno.EEXIST, os.setxattr, p, "user.e", b"", CREATE)
                equal((os.getxattr(p, "user.e"), names(p)), (b"", [b"user.e", b"user.x"]), "both")
                os.removexattr(p, "user.e")
            with t.case("flags that do not exist"):
                fails(errno.EINVAL, os.setxattr, p, "user.x", b"4", 4)
                equal(os.getxattr(p, "user.x"), b"3", "value")


def test_buffers(m):
    with Cases() as t:
        for p in both(m):
            os.setxattr(p, "user.x", b"0123456789")
            with t.case("size wanted"):
                equal(getxattr_into(p, b"user.x", 0)[0], 10, "length")
            for size in (10, 11, 1000):
                with t.case("buffer", size):
                    equal(getxattr_into(p, b"user.x", size), (10, b"0123456789"), "value")
            for size in (1, 9):
                with t.case("short buffer", size):
                    fails(errno.ERANGE, getxattr_into, p, b"user.x", size)
            with t.case("list"):
                n = listxattr_into(p, 0)[0]
                check(n >= len(b"user.x\0"), "length")
                got, raw = listxattr_into(p, n)
                equal((got, raw[-1:]), (n, b"\0"), "the whole list")
                check(b"user.x" in raw.split(b"\0"), "listed")
                fails(errno.ERANGE, listxattr_into, p, n - 1)
                fails(errno.ERANGE, listxattr_into, p, 1)
            with t.case("an empty value"):
                os.setxattr(p, "user.e", b"")
                equal(getxattr_into(p, b"user.e", 0)[0], 0, "length")
                equal(getxattr_into(p, b"user.e", 5), (0, b""), "value")


def test_names_of_attributes(m):
    d = area(m)
    p = make("file", d + "/f")
    good = [b"user.x", b"user..", b"user. ", b"user.a.b.c", b"user.\n", b"user.\xff\xfe", b"user.=",
            b"user.\"", b"user.\\", b"user.%s", b"user.\xc3\xa9", b"user.user.x", b"user.X",
            b"user." + b"n" * 250, b"user." + bytes(range(1, 256))[:100]]
    with Cases() as t:
        for i, n in enumerate(good):
            with t.case(n[:30]):
                os.setxattr(p, n, b"%d" % i)
        with t.case("listing"):
            equal(names(p), sorted(good), "names")
        for i, n in enumerate(good):
            with t.case("get", n[:30]):
                equal(os.getxattr(p, n), b"%d" % i, "value")
                os.removexattr(p, n)
        for n, code in ((b"", errno.ERANGE), (b"user." + b"n" * 251, errno.ERANGE),
                        (b"user.", errno.EINVAL), (b"nonsense", errno.EOPNOTSUPP),
                        (b"unknown.x", errno.EOPNOTSUPP), (b"userx", errno.EOPNOTSUPP)):
            with t.case("refused", n[:30]):
                fails(code, os.setxattr, p, n, b"x")
                fails(code, os.getxattr, p, n)
        with t.case("nothing left"):
            equal(names(p), [], "names")


def test_too_large(m):
    p = make("file", area(m) + "/f")
    fails(errno.E2BIG, os.setxattr, p, "user.x", b"x" * 65537)
    equal(names(p), [], "names")


def test_many(m):
    with Cases() as t:
        for p in both(m):
            with t.case(p[-3:]):
                wanted = {b"user.n%02d" % i: b"value %d" % i for i in range(50)}
                for n, v in wanted.items():
                    os.setxattr(p, n, v)
                equal(names(p), sorted(wanted), "names")
                for n, v in wanted.items():
                    equal(os.getxattr(p, n), v, "value")
                for n in list(wanted)[::2]:
                    os.removexattr(p, n)
                equal(names(p), sorted(list(wanted)[1::2]), "names left")


def test_handles(m):
    with Cases() as t:
        for p in both(m):
            with t.case(p[-3:]), opened(p, os.O_RDONLY) as fd:
                os.setxattr(fd, "user.x", b"1")
                equal((os.getxattr(p, "user.x"), os.getxattr(fd, "user.x")), (b"1", b"1"), "value")
                equal(names(fd), [b"user.x"], "names")
                fails(errno.EEXIST, os.setxattr, fd, "user.x", b"2", CREATE)
                os.removexattr(fd, "user.x")
                fails(errno.ENODATA, os.getxattr, p, "user.x")
                fails(errno.ENODATA, os.removexattr, fd, "user.x")


def test_through_a_handle_that_writes(m):
    """fsetxattr before close: value and attribute are there together after it."""
    d = area(m)
    with Cases() as t:
        for flags in (os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_TRUNC, 0):
            p = d + "/f%d" % (flags & os.O_EXCL)
            if flags & os.O_CREAT and os.path.exists(p):
                os.unlink(p)
            with t.case(oct(flags)):
                with opened(p, os.O_WRONLY | flags) as fd:
                    os.write(fd, b"value")
                    os.setxattr(fd, "user.x", b"%d" % flags)
                    equal(os.getxattr(fd, "user.x"), b"%d" % flags, "before close")
                equal((os.getxattr(p, "user.x"), read_file(p)), (b"%d" % flags, b"value"), "after")


def test_kept_across_other_changes(m):
    d = area(m)
    p = d + "/f"
    write_file(p, b"value")
    os.setxattr(p, "user.x", b"1")
    with Cases() as t:
        for what, call in (
                ("rewrite", lambda: write_file(p, b"new")),
                ("chmod", lambda: os.chmod(p, 0o600)), ("chown", lambda: os.chown(p, 3, 4)),
                ("truncate", lambda: os.truncate(p, 1)), ("utime", lambda: os.utime(p)),
                ("rename", lambda: (os.rename(p, d + "/g"), os.rename(d + "/g", p))),
                ("link", lambda: (os.link(p, d + "/g"), os.unlink(p), os.rename(d + "/g", p))),
                ("another attribute", lambda: os.setxattr(p, "user.y", b"2"))):
            with t.case(what):
                call()
                equal(os.getxattr(p, "user.x"), b"1", "value")
        with t.case("they do not change contents"), stamps(m, c=[p]):
            value = read_file(p)
            os.setxattr(p, "user.x", b"2")
            equal(read_file(p), value, "contents")
        with t.case("gone with the file"):
            os.unlink(p)
            write_file(p, b"")
            equal(names(p), [], "names")
        with t.case("not the directory's heirloom"):
            os.setxattr(d, "user.x", b"1")
            os.mkdir(d + "/sub")
            equal(names(d + "/sub"), [], "names")


def test_user_attributes_are_for_files_and_directories(m):
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            if kind in ("file", "dir"):
                continue
            p = make(kind, d + "/" + kind)
            with t.case(kind), stamps(m, same=[p]):
                fails(errno.EPERM, os.setxattr, p, "user.x", b"1", 0, follow_symlinks=False)
                fails(errno.ENODATA, os.getxattr, p, "user.x", follow_symlinks=False)
                fails(errno.EPERM, os.removexattr, p, "user.x", follow_symlinks=False)
                equal(names(p, follow=False), [], "names")
        with t.case("through a link"):
            write_file(d + "/f", b"")
            os.symlink("f", d + "/s")
            os.setxattr(d + "/s", "user.x", b"1")
            equal(os.getxattr(d + "/f", "user.x"), b"1", "value")
            equal(names(d + "/s"), [b"user.x"], "names")


def test_permissions(m):
    d = area(m)
    with Cases() as t:
        for kind in ("file", "dir"):
            p = make(kind, d + "/" + kind, 0o600, ALICE)
            os.setxattr(p, "user.x", b"1")
            for mode, user, read, write in (
                    (0o600, ALICE, True, True), (0o400, ALICE, True, False),
                    (0o200, ALICE, False, True), (0o600, BOB, False, False),
                    (0o604, BOB, True, False), (0o602, BOB, False, True), (0o606, BOB, True, True)):
                os.chmod(p, mode)
                with t.case(kind, oct(mode), user):
                    for ok, call in ((read, (os.getxattr, p, "user.x")),
                                     (write, (os.setxattr, p, "user.x", b"2"))):
                        if ok:
                            as_user(user, *call)
                        else:
                            fails(errno.EACCES, as_user, user, *call)
        with t.case("in a sticky directory"):
            s = make("dir", d + "/sticky", 0o1777, ALICE)
            fails(errno.EPERM, as_user, BOB, os.setxattr, s, "user.x", b"1")
            as_user(ALICE, os.setxattr, s, "user.x", b"1")


def test_other_name_spaces(m):
    """trusted.* and security.* are kept, or refused outright."""
    d = area(m)
    p = make("file", d + "/f")
    with Cases() as t:
        for n in ("trusted.x", "security.x"):
            with t.case(n):
                try:
                    os.setxattr(p, n, b"1")
                except OSError as e:
                    equal(e.errno, errno.EOPNOTSUPP, "errno")
                else:
                    equal(os.getxattr(p, n), b"1", "value")
                    check(n in os.listxattr(p), "not listed")
                    os.removexattr(p, n)
                    fails(errno.ENODATA, os.getxattr, p, n)
                os.chmod(p, 0o777)
                fails((errno.EPERM, errno.EOPNOTSUPP), as_user, BOB, os.setxattr, p, n, b"1")


def test_bad_handle_and_address(m):
    p = make("file", area(m) + "/f")
    os.setxattr(p, "user.x", b"1")
    path = os.fsencode(p)
    bad, five = ctypes.c_void_p(1), ctypes.c_size_t(5)
    with Cases() as t:
        for what, call in (
                ("set", lambda: libc.setxattr(path, b"user.x", bad, five, 0)),
                ("get", lambda: libc.getxattr(path, b"user.x", bad, five)),
                ("name", lambda: libc.setxattr(path, bad, b"12345", five, 0))):
            with t.case(what):
                fails(errno.EFAULT, lambda: checked(call()))
    equal(os.getxattr(p, "user.x"), b"1", "value")


if __name__ == "__main__":
    main(globals())
