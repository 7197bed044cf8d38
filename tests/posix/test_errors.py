# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Every call that takes a path, against every way in which a path can be wrong."""
import ctypes
import errno
import os
import stat

from support import (
    AT_FDCWD, KINDS, NOT_DIRS, RENAME_EXCHANGE, RENAME_NOREPLACE, Cases, area, checked, equal,
    exists, fails, libc, make, opened, remove, renameat2, stamps, try_open, write_file)
from harness import main

R, W, C, X = os.O_RDONLY, os.O_WRONLY, os.O_CREAT, os.O_EXCL


def existing(d):
    """Calls on a name that must exist: (what, call(path), follows the last link)."""
    return (
        ("stat", os.stat, True), ("lstat", os.lstat, False),
        ("open to read", lambda p: try_open(p, R), True),
        ("open to write", lambda p: try_open(p, W), True),
        ("open to truncate", lambda p: try_open(p, W | os.O_TRUNC), True),
        ("open a directory", lambda p: try_open(p, R | os.O_DIRECTORY), True),
        ("O_PATH", lambda p: try_open(p, os.O_PATH), True),
        ("chmod", lambda p: os.chmod(p, 0o600), True),
        ("chown", lambda p: os.chown(p, 0, 0), True),
        ("lchown", lambda p: os.lchown(p, 0, 0), False),
        ("utime", os.utime, True),
        ("utime of a link", lambda p: os.utime(p, follow_symlinks=False), False),
        ("truncate", lambda p: os.truncate(p, 0), True),
        ("access", lambda p: checked(libc.access(os.fsencode(p), 0)), True),
        ("unlink", os.unlink, False), ("rmdir", os.rmdir, False),
        ("readlink", os.readlink, False),
        ("link from", lambda p: os.link(p, d + "/made", follow_symlinks=False), False),
        ("rename from", lambda p: os.rename(p, d + "/made"), False),
        ("rename from, no replace", lambda p: renameat2(p, d + "/made", RENAME_NOREPLACE), False),
        ("exchange", lambda p: renameat2(p, d + "/file", RENAME_EXCHANGE), False),
        ("exchange with", lambda p: renameat2(d + "/file", p, RENAME_EXCHANGE), False),
        ("chdir", os.chdir, True), ("list", os.listdir, True), ("statvfs", os.statvfs, True),
        ("getxattr", lambda p: os.getxattr(p, "user.x"), True),
        ("setxattr", lambda p: os.setxattr(p, "user.x", b"1"), True),
        ("listxattr", os.listxattr, True),
        ("removexattr", lambda p: os.removexattr(p, "user.x"), True),
        ("lgetxattr", lambda p: os.getxattr(p, "user.x", follow_symlinks=False), False),
    )


def making(d):
    """Calls that make a name: (what, call(path))."""
    return (
        ("create", lambda p: try_open(p, W | C)),
        ("create exclusively", lambda p: try_open(p, W | C | X)),
        ("mkdir", os.mkdir), ("mkfifo", os.mkfifo),
        ("mknod file", lambda p: os.mknod(p, stat.S_IFREG | 0o644)),
        ("mknod char", lambda p: os.mknod(p, stat.S_IFCHR | 0o644, os.makedev(1, 3))),
        ("mknod socket", lambda p: os.mknod(p, stat.S_IFSOCK | 0o644)),
        ("symlink", lambda p: os.symlink("target", p)),
        ("link to", lambda p: os.link(d + "/file", p)),
        ("rename to", lambda p: os.rename(d + "/file", p)),
        ("rename a directory to", lambda p: os.rename(d + "/dir", p)),
        ("rename to, no replace", lambda p: renameat2(d + "/file", p, RENAME_NOREPLACE)),
    )


def all_calls(d):
    return tuple((w, c) for w, c, _ in existing(d)) + making(d)


def setting(m):
    d = area(m)
    for kind in KINDS:
        make(kind, d + "/" + kind)
    os.symlink("loop2", d + "/loop1")
    os.symlink("loop1", d + "/loop2")
    os.symlink("file", d + "/tofile")
    os.symlink("dir", d + "/todir")
    return d


def test_prefix_that_is_no_directory(m):
    d = setting(m)
    with Cases() as t:
        for prefix in ("file", "fifo", "char", "block", "socket", "tofile"):
            for what, call in all_calls(d):
                for tail in ("/x", "/x/y", "/..", "/.") if what in ("stat", "lstat") else ("/x",):
                    with t.case(what, prefix + tail):
                        fails(errno.ENOTDIR, call, d + "/" + prefix + tail)
        with t.case("nothing changed"):
            equal(sorted(os.listdir(d)),
                  sorted(KINDS + ("loop1", "loop2", "tofile", "todir")), "listing")


def test_prefix_that_is_absent(m):
    d = setting(m)
    with Cases() as t:
        for prefix in ("none", "dir/none", "symlink", "none/none", "none/.."):
            for what, call in all_calls(d):
                with t.case(what, prefix), stamps(m, same=[d, d + "/dir"]):
                    fails(errno.ENOENT, call, d + "/" + prefix + "/x")


def test_prefix_that_loops(m):
    d = setting(m)
    with Cases() as t:
        for what, call in all_calls(d):
            for prefix in ("loop1", "loop2"):
                with t.case(what, prefix):
                    fails(errno.ELOOP, call, d + "/" + prefix + "/x")


def test_last_component_that_loops(m):
    d = setting(m)
    with Cases() as t:
        for what, call, follows in existing(d):
            if follows:
                with t.case(what):
                    fails(errno.ELOOP, call, d + "/loop1")
        with t.case("create"):
            fails(errno.ELOOP, try_open, d + "/loop1", W | C)
        with t.case("create exclusively"):
            fails(errno.EEXIST, try_open, d + "/loop1", W | C | X)


def test_absent(m):
    d = setting(m)
    with Cases() as t:
        for what, call, follows in existing(d):
            for name in ("none", "dir/none") + (("symlink",) if follows else ()):
                with t.case(what, name), stamps(m, same=[d, d + "/dir"]):
                    fails(errno.ENOENT, call, d + "/" + name)


def test_empty_path(m):
    d = setting(m)
    os.chdir(d)
    with Cases() as t:
        for what, call in all_calls(d):
            with t.case(what):
                fails(errno.ENOENT, call, "")


def test_existing(m):
    d = setting(m)
    with Cases() as t:
        for what, call in making(d):
            if what in ("create", "rename to", "rename a directory to"):
                continue
            for kind in KINDS:
                p = d + "/" + kind
                with t.case(what, kind), stamps(m, same=[p, d]):
                    fails(errno.EEXIST, call, p)


def test_name_of_255_bytes(m):
    """The longest name is good for every call."""
    d = setting(m)
    with Cases() as t:
        for what, call in making(d):
            for length in (254, 255):
                p = d + "/" + "n" * length
                with t.case(what, length):
                    call(p)
                    equal(exists(p), True, "made")
                    equal("n" * length in os.listdir(d), True, "listed")
                    if "rename" in what:
                        os.rename(p, d + ("/dir" if "directory" in what else "/file"))
                    else:
                        remove(p)
        for what, call, _ in existing(d):
            if what in ("rmdir", "chdir", "list", "open a directory", "readlink", "removexattr"):
                continue
            p = d + "/" + "e" * 255
            with t.case(what):
                write_file(p, b"x")
                os.setxattr(p, "user.x", b"1")
                call(p)
            for left in (p, d + "/made"):
                if exists(left):
                    os.unlink(left)


def test_name_of_256_bytes(m):
    d = setting(m)
    with Cases() as t:
        for what, call in all_calls(d):
            for length in (256, 257, 1000):
                with t.case(what, length), stamps(m, same=[d]):
                    fails(errno.ENAMETOOLONG, call, d + "/" + "n" * length)
            with t.case(what, "on the way"):
                fails(errno.ENAMETOOLONG, call, d + "/" + "n" * 256 + "/x")


def test_long_paths(m):
    """4095 bytes are a path, 4096 are not."""
    d = setting(m)
    p = d + "/dir"
    for i in range(0, 3):
        p += "/" + str(i) * 200
        os.mkdir(p)
    base = p + "/"

    def of_length(n, name):
        pad = n - len(base) - len(name)
        return base + "./" * (pad // 2) + "/" * (pad % 2) + name
    with Cases() as t:
        for what, call in making(d):
            if what == "rename a directory to":
                continue        # the path leads through that directory
            with t.case(what, 4095):
                p = of_length(4095, "x")
                equal(len(p), 4095, "length")
                call(p)
                equal(os.listdir(base), ["x"], "made")
                if "rename" in what:
                    os.rename(base + "x", d + "/file")
                else:
                    remove(base + "x")
        for what, call in all_calls(d):
            for length in (4096, 4097, 10000):
                with t.case(what, length):
                    fails(errno.ENAMETOOLONG, call, of_length(length, "x"))


def test_bad_address(m):
    """A path that cannot be read is EFAULT; so is a buffer."""
    d = setting(m)
    bad = ctypes.c_void_p(1)
    calls = (
        ("open", lambda: libc.open(bad, R)), ("mkdir", lambda: libc.mkdir(bad, 0o755)),
        ("rmdir", lambda: libc.rmdir(bad)), ("unlink", lambda: libc.unlink(bad)),
        ("chmod", lambda: libc.chmod(bad, 0)), ("chown", lambda: libc.chown(bad, 0, 0)),
        ("truncate", lambda: libc.truncate(bad, ctypes.c_long(0))),
        ("rename", lambda: libc.rename(bad, os.fsencode(d + "/x"))),
        ("rename to", lambda: libc.rename(os.fsencode(d + "/file"), bad)),
        ("link to", lambda: libc.link(os.fsencode(d + "/file"), bad)),
        ("symlink", lambda: libc.symlink(bad, os.fsencode(d + "/x"))),
        ("mkfifo", lambda: libc.mkfifo(bad, 0o600)),
        ("utimensat", lambda: libc.utimensat(AT_FDCWD, os.fsencode(d + "/file"), bad, 0)),
    )
    with Cases() as t:
        for what, call in calls:
            with t.case(what), stamps(m, same=[d]):
                fails(errno.EFAULT, lambda: checked(call()))
        write_file(d + "/file", b"value")
        with opened(d + "/file", os.O_RDWR) as fd:
            for what, f in (("read", libc.read), ("write", libc.write)):
                with t.case(what):
                    fails(errno.EFAULT, lambda: checked(f(fd, bad, ctypes.c_size_t(5))))


def test_bad_descriptor(m):
    d = setting(m)
    with opened(d + "/file", R) as fd:
        pass
    with Cases() as t:
        for what, call in (
                ("fstat", lambda: os.fstat(fd)), ("fchmod", lambda: os.fchmod(fd, 0)),
                ("fchown", lambda: os.fchown(fd, 0, 0)), ("futimens", lambda: os.utime(fd)),
                ("fsync", lambda: os.fsync(fd)), ("ftruncate", lambda: os.ftruncate(fd, 0)),
                ("read", lambda: os.read(fd, 1)), ("write", lambda: os.write(fd, b"x")),
                ("lseek", lambda: os.lseek(fd, 0, 0)), ("dup", lambda: os.dup(fd)),
                ("fgetxattr", lambda: os.getxattr(fd, "user.x")),
                ("openat", lambda: os.open("x", R, dir_fd=fd)),
                ("mkdirat", lambda: os.mkdir("x", dir_fd=fd)),
                ("unlinkat", lambda: os.unlink("x", dir_fd=fd)),
                ("renameat", lambda: os.rename("x", "y", src_dir_fd=fd, dst_dir_fd=fd)),
                ("fstatat", lambda: os.stat("x", dir_fd=fd))):
            with t.case(what):
                fails(errno.EBADF, call)


def test_descriptor_that_is_no_directory(m):
    d = setting(m)
    with Cases() as t, opened(d + "/file", os.O_RDWR) as fd:
        for what, call in (
                ("openat", lambda: os.open("x", R, dir_fd=fd)),
                ("openat to create", lambda: os.open("x", W | C, dir_fd=fd)),
                ("mkdirat", lambda: os.mkdir("x", dir_fd=fd)),
                ("mkfifoat", lambda: os.mkfifo("x", dir_fd=fd)),
                ("mknodat", lambda: os.mknod("x", dir_fd=fd)),
                ("symlinkat", lambda: os.symlink("t", "x", dir_fd=fd)),
                ("readlinkat", lambda: os.readlink("x", dir_fd=fd)),
                ("unlinkat", lambda: os.unlink("x", dir_fd=fd)),
                ("rmdir at", lambda: os.rmdir("x", dir_fd=fd)),
                ("renameat", lambda: os.rename("x", "y", src_dir_fd=fd)),
                ("linkat", lambda: os.link("x", "y", src_dir_fd=fd)),
                ("fchmodat", lambda: os.chmod("x", 0, dir_fd=fd)),
                ("fchownat", lambda: os.chown("x", 0, 0, dir_fd=fd)),
                ("fstatat", lambda: os.stat("x", dir_fd=fd)),
                ("fchdir", lambda: os.fchdir(fd)), ("list", lambda: os.listdir(fd))):
            with t.case(what):
                fails(errno.ENOTDIR, call)


def test_trailing_slashes(m):
    """A name with a slash behind it is a directory or an error."""
    d = setting(m)
    with Cases() as t:
        for what, call, _ in existing(d):
            if what.startswith("exchange") or what == "rmdir":
                continue
            for kind in ("file", "fifo", "tofile"):
                with t.case(what, kind):
                    fails(errno.ENOTDIR, call, d + "/" + kind + "/")
        for what, call in making(d):
            if what == "mkdir" or what.startswith("rename a"):
                continue
            with t.case(what, "new"):
                fails({"create": errno.EISDIR, "create exclusively": errno.EISDIR,
                       "rename to": errno.ENOTDIR, "rename to, no replace": errno.ENOTDIR}.get(
                           what, errno.ENOENT), call, d + "/new/")
        for what in ("stat", "lstat"):
            with t.case(what, "todir"):
                equal(stat.S_ISDIR(getattr(os, what)(d + "/todir/").st_mode), True, "followed")
    equal([k for k in NOT_DIRS if not exists(d + "/" + k)], [], "lost")


def test_negative_then_made(m):
    """A name that was just found absent can be made, and then it is there."""
    d = area(m)
    with Cases() as t:
        for i, kind in enumerate(KINDS * 5):
            p = d + "/n%d" % i
            with t.case(kind):
                fails(errno.ENOENT, os.lstat, p)
                fails(errno.ENOENT, os.unlink, p)
                make(kind, p)
                os.lstat(p)
                remove(p)
                fails(errno.ENOENT, os.lstat, p)


if __name__ == "__main__":
    main(globals())
