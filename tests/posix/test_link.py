# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""link(2), unlink(2), symlink(2) and readlink(2)."""
import ctypes
import errno
import os
import stat

from support import (
    ALICE, BOB, DAVE, KINDS, NOT_DIRS, ROOT, Cases, append_file, area, as_user, check, checked,
    equal, exists, fails, in_child, inode, kind_of, libc, linkat_follow, make, mode_of, nlink,
    opened, owner_of, read_file, remove, stamps, try_open, write_file)
from harness import main


def link(old, new):
    os.link(old, new, follow_symlinks=False)


# ---------------------------------------------------------------- link

def test_link_every_kind(m):
    d = area(m)
    os.mkdir(d + "/sub")
    with Cases() as t:
        for kind in NOT_DIRS:
            for where in ("/b", "/sub/b"):
                a, b = make(kind, d + "/a", 0o640, ALICE), d + where
                with t.case(kind, where):
                    with stamps(m, c=[a], cm=[os.path.dirname(b)]):
                        link(a, b)
                    fields = [[getattr(os.lstat(p), f) for f in (
                        "st_ino", "st_dev", "st_mode", "st_nlink", "st_uid", "st_gid", "st_size",
                        "st_rdev", "st_mtime_ns", "st_ctime_ns")] for p in (a, b)]
                    equal(fields[0], fields[1], "two names, one file")
                    equal(nlink(a), 2, "links")
                    with stamps(m, c=[b], cm=[d]):
                        os.unlink(a)
                    equal((nlink(b), kind_of(b)), (1, kind), "what is left")
                    os.unlink(b)


def test_link_shares_everything(m):
    d = area(m)
    a, b = d + "/a", d + "/b"
    write_file(a, b"value")
    os.link(a, b)
    with Cases() as t:
        with t.case("contents"):
            write_file(b, b"new")
            equal(read_file(a), b"new", "contents")
        with t.case("append"):
            append_file(a, b" more")
            equal(read_file(b), b"new more", "contents")
        with t.case("mode"), stamps(m, c=[a]):
            os.chmod(b, 0o4711)
            equal(mode_of(a), 0o4711, "mode")
        with t.case("owner"), stamps(m, c=[a]):
            os.chown(b, 3, 4)
            equal(owner_of(a), (3, 4), "owner")
        with t.case("times"):
            os.utime(b, ns=(5, 6))
            equal((os.stat(a).st_atime_ns, os.stat(a).st_mtime_ns), (5, 6), "times")
        with t.case("truncate"):
            os.truncate(b, 2)
            equal(read_file(a), b"ne", "contents")
        with t.case("xattr"):
            os.setxattr(b, "user.x", b"1")
            equal(os.getxattr(a, "user.x"), b"1", "xattr")
        with t.case("stat through a handle"), opened(a, os.O_RDONLY) as fd:
            os.link(a, d + "/c")
            equal(os.fstat(fd).st_nlink, 3, "links")


def test_link_exists(m):
    d = area(m)
    with Cases() as t:
        for old in NOT_DIRS:
            for new in KINDS:
                a, b = make(old, d + "/a"), make(new, d + "/b")
                ino = inode(b)
                with t.case(old, new):
                    with stamps(m, same=[a, b, d]):
                        fails(errno.EEXIST, link, a, b)
                        fails(errno.EEXIST, link, a, a)
                    equal((inode(b), nlink(a)), (ino, 1), "nothing happened")
                remove(a), remove(b)


def test_link_of_a_directory(m):
    d = area(m)
    os.mkdir(d + "/sub")
    fails(errno.EPERM, os.link, d + "/sub", d + "/x")
    fails(errno.EPERM, os.link, d + "/sub", d + "/sub/x")
    fails(errno.EEXIST, os.link, d + "/sub", d + "/sub/.")
    equal(nlink(d + "/sub"), 2, "links")


def test_link_and_symlinks(m):
    """link(2) links the symbolic link, linkat(AT_SYMLINK_FOLLOW) its target."""
    d = area(m)
    write_file(d + "/f", b"x")
    os.symlink("f", d + "/s")
    link(d + "/s", d + "/s2")
    equal((kind_of(d + "/s2"), nlink(d + "/s"), nlink(d + "/f")), ("symlink", 2, 1), "the link")
    linkat_follow(d + "/s", d + "/f2")
    equal((inode(d + "/f2"), nlink(d + "/f")), (inode(d + "/f"), 2), "the target")
    os.symlink("none", d + "/dangling")
    fails(errno.ENOENT, linkat_follow, d + "/dangling", d + "/x")
    fails(errno.EEXIST, os.link, d + "/f", d + "/dangling")


def test_link_permissions(m):
    d = area(m)
    a, b = make("dir", d + "/a", 0o755, ALICE), make("dir", d + "/b", 0o755, ALICE)
    with Cases() as t:
        for kind in NOT_DIRS:
            make(kind, a + "/x", 0o666, ALICE)
            for ma in range(8):
                for mb in range(8):
                    os.chmod(a, ma << 6), os.chmod(b, mb << 6)
                    with t.case(kind, ma, mb):
                        if ma & 1 and mb & 3 == 3:
                            as_user(ALICE, link, a + "/x", b + "/y")
                            os.unlink(b + "/y")
                        else:
                            fails(errno.EACCES, as_user, ALICE, link, a + "/x", b + "/y")
            os.unlink(a + "/x")


def test_link_many(m):
    d = area(m)
    write_file(d + "/0", b"x")
    for i in range(1, 500):
        os.link(d + "/%d" % (i - 1), d + "/%d" % i)
    equal(nlink(d + "/0"), 500, "links")
    equal({inode(d + "/%d" % i) for i in range(500)}, {inode(d + "/0")}, "inodes")
    for i in range(499):
        os.unlink(d + "/%d" % i)
    equal((nlink(d + "/499"), read_file(d + "/499")), (1, b"x"), "the last")


def test_link_of_an_open_file(m):
    """Also of one that is still being written: both names get what is closed."""
    d = area(m)
    with opened(d + "/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY) as fd:
        os.write(fd, b"one")
        os.link(d + "/f", d + "/g")
        os.write(fd, b" two")
        equal(os.fstat(fd).st_nlink, 2, "links")
        os.unlink(d + "/f")
    equal((read_file(d + "/g"), os.listdir(d)), (b"one two", ["g"]), "what is left")


def test_link_from_proc_of_an_unlinked_file(m):
    d = area(m)
    write_file(d + "/f", b"x")
    with opened(d + "/f", os.O_RDONLY) as fd:
        linkat_follow("/proc/self/fd/%d" % fd, d + "/g")
        equal(nlink(fd), 2, "links")
        os.unlink(d + "/f")
        os.unlink(d + "/g")
        fails(errno.ENOENT, linkat_follow, "/proc/self/fd/%d" % fd, d + "/h")
    equal(os.listdir(d), [], "listing")


def test_link_relative_and_slashes(m):
    d = area(m)
    os.mkdir(d + "/sub")
    write_file(d + "/f", b"x")
    with opened(d + "/sub", os.O_RDONLY) as dfd:
        os.link(d + "/f", "g", dst_dir_fd=dfd, follow_symlinks=False)
        os.link("g", d + "/h", src_dir_fd=dfd, follow_symlinks=False)
    equal((inode(d + "/sub/g"), inode(d + "/h"), nlink(d + "/f")),
          (inode(d + "/f"), inode(d + "/f"), 3), "links")
    fails(errno.ENOENT, os.link, d + "/f", d + "/new/")
    fails(errno.ENOTDIR, os.link, d + "/f/", d + "/new")
    fails((errno.EXDEV, errno.ENOENT), os.link, d + "/f", "/proc/x")


# ---------------------------------------------------------------- unlink

def test_unlink_every_kind(m):
    d = area(m)
    with Cases() as t:
        for kind in NOT_DIRS:
            with t.case(kind):
                make(kind, d + "/x")
                with stamps(m, cm=[d]):
                    os.unlink(d + "/x")
                fails(errno.ENOENT, os.lstat, d + "/x")
                fails(errno.ENOENT, os.unlink, d + "/x")
                equal(os.listdir(d), [], "listing")
                check(not in_child(exists, d + "/x"), "another process still sees it")
        with t.case("dir"):
            os.mkdir(d + "/sub")
            with stamps(m, same=[d, d + "/sub"]):
                fails(errno.EISDIR, os.unlink, d + "/sub")
                fails(errno.ENOTDIR, os.unlink, make("file", m.path("f")) + "/")


def test_unlinked_but_open(m):
    """The file lives on, complete, for who has it open."""
    d = area(m)
    f = d + "/f"
    write_file(f, b"value", mode=0o600)
    os.setxattr(f, "user.a", b"1")
    with opened(f, os.O_RDWR) as fd:
        ino = os.fstat(fd).st_ino
        with stamps(m, c=[fd], cm=[d]):
            os.unlink(f)
        with Cases() as t:
            with t.case("stat"):
                st = os.fstat(fd)
                equal((st.st_nlink, st.st_size, st.st_ino), (0, 5, ino), "stat")
            with t.case("read"):
                equal(os.pread(fd, 10, 0), b"value", "contents")
            with t.case("write"):
                os.pwrite(fd, b"V", 0)
                os.lseek(fd, 0, os.SEEK_END)
                os.write(fd, b" and more")
                equal(os.pread(fd, 20, 0), b"Value and more", "contents")
                os.fsync(fd)
            with t.case("truncate"):
                os.ftruncate(fd, 3)
                equal((os.fstat(fd).st_size, os.pread(fd, 20, 0)), (3, b"Val"), "size, contents")
            with t.case("chmod"), stamps(m, c=[fd]):
                os.fchmod(fd, 0o4710)
                equal(mode_of(fd), 0o4710, "mode")
            with t.case("chown"):
                os.fchown(fd, 21, 22)
                equal(owner_of(fd), (21, 22), "owner")
            with t.case("utime"):
                os.utime(fd, ns=(1, 2))
                equal(os.fstat(fd).st_mtime_ns, 2, "mtime")
            with t.case("xattr"):
                equal(os.getxattr(fd, "user.a"), b"1", "kept")
                os.setxattr(fd, "user.b", b"2")
                equal(os.getxattr(fd, "user.b"), b"2", "new")
            with t.case("no way back"):
                fails(errno.ENOENT, linkat_follow, "/proc/self/fd/%d" % fd, f)
            with t.case("its name is free"):
                write_file(f, b"another")
                check(inode(f) != ino, "the inode of the old file was used again")
                equal(os.pread(fd, 20, 0), b"Val", "contents")
    equal(read_file(f), b"another", "after close")


def test_unlinked_while_being_written(m):
    d = area(m)
    with Cases() as t:
        for flags in (os.O_EXCL, 0):
            with t.case("new", flags):
                with opened(d + "/f", os.O_CREAT | os.O_RDWR | flags) as fd:
                    os.write(fd, b"abc")
                    os.unlink(d + "/f")
                    os.write(fd, b"def")
                    equal(os.pread(fd, 10, 0), b"abcdef", "contents")
                    equal(os.fstat(fd).st_nlink, 0, "links")
                check(not exists(d + "/f"), "closing brought it back")
        with t.case("rewritten"):
            write_file(d + "/f", b"old")
            with opened(d + "/f", os.O_WRONLY | os.O_TRUNC) as fd:
                os.write(fd, b"new")
                os.unlink(d + "/f")
            check(not exists(d + "/f"), "closing brought it back")
        with t.case("rewritten, made again"):
            write_file(d + "/f", b"old")
            with opened(d + "/f", os.O_WRONLY | os.O_TRUNC) as fd:
                os.write(fd, b"new")
                os.unlink(d + "/f")
                write_file(d + "/f", b"second file")
            equal(read_file(d + "/f"), b"second file", "contents")
        with t.case("open in another process"):
            with opened(d + "/f", os.O_RDONLY) as fd:
                in_child(os.unlink, d + "/f")
                equal((os.read(fd, 20), os.fstat(fd).st_nlink), (b"second file", 0), "alive")
        with t.case("fsync of an unlinked file"):
            with opened(d + "/f", os.O_CREAT | os.O_WRONLY) as fd:
                os.write(fd, b"x")
                os.unlink(d + "/f")
                os.fsync(fd)
                os.fdatasync(fd)
            equal(os.listdir(d), [], "listing")


def test_unlink_permissions(m):
    """The directory's permission counts, the file's does not."""
    d = area(m, owner=ALICE)
    with Cases() as t:
        for bits in range(8):
            for user, shift in ((ALICE, 6), (DAVE, 3), (BOB, 0)):
                for kind in ("file", "fifo", "symlink"):
                    os.chmod(d, 0o700)
                    make(kind, d + "/x", 0, ROOT)
                    os.chmod(d, bits << shift)
                    with t.case(bits, user, kind):
                        if bits & 3 == 3:
                            as_user(user, os.unlink, d + "/x")
                        else:
                            fails(errno.EACCES, as_user, user, os.unlink, d + "/x")
                            os.unlink(d + "/x")


def test_unlink_in_sticky_directories(m):
    d = area(m)
    with Cases() as t:
        for dir_owner in (ALICE, BOB, ROOT):
            s = make("dir", d + "/s", 0o1777, dir_owner)
            for file_owner in (ALICE, BOB, ROOT):
                for kind in KINDS:
                    with t.case(kind, "of", file_owner, "in one of", dir_owner):
                        make(kind, s + "/x", 0o777, file_owner)
                        if ALICE in (dir_owner, file_owner):
                            as_user(ALICE, remove, s + "/x")
                        else:
                            with stamps(m, same=[s, s + "/x"]):
                                fails(errno.EPERM, as_user, ALICE, remove, s + "/x")
                            remove(s + "/x")
            os.rmdir(s)


def test_unlink_last_of_many_links_while_open(m):
    d = area(m)
    names = [d + "/%d" % i for i in range(5)]
    write_file(names[0], b"x")
    for n in names[1:]:
        os.link(names[0], n)
    with opened(names[2], os.O_RDONLY) as fd:
        for left, n in zip((4, 3, 2, 1, 0), names):
            with stamps(m, c=[fd]):
                os.unlink(n)
            equal(os.fstat(fd).st_nlink, left, "links")
        equal(os.read(fd, 10), b"x", "contents")


def test_make_and_remove_again(m):
    """A name used over and over never shows what it was before."""
    d = area(m)
    for i in range(40):
        kind = KINDS[i % len(KINDS)]
        make(kind, d + "/x")
        equal(kind_of(d + "/x"), kind, "kind")
        equal(nlink(d + "/x"), 2 if kind == "dir" else 1, "links")
        if kind == "file":
            equal(read_file(d + "/x"), b"", "contents")
            write_file(d + "/x", b"y" * i)
        remove(d + "/x")


# ---------------------------------------------------------------- symlink

def readlink_into(path, size):
    buffer = ctypes.create_string_buffer(size or 1)
    libc.readlink.restype = ctypes.c_ssize_t
    n = checked(libc.readlink(os.fsencode(path), buffer, ctypes.c_size_t(size)))
    return buffer.raw[:n]


def test_symlink_targets(m):
    d = os.fsencode(area(m))
    targets = [b"x", b".", b"..", b"/", b"//a//b/", b"none/../x", b" ", b"a\nb", b"\xff\xfe",
               bytes(range(1, 256)), b"x" * 255, b"x" * 256, b"a/" * 500, b"y" * 4095,
               b"/" + b"y/" * 2047, os.fsencode(d) + b"/here"]
    with Cases() as t:
        for i, target in enumerate(targets):
            with t.case(target[:20], len(target)):
                s = d + b"/s%d" % i
                with stamps(m, cm=[d]):
                    os.symlink(target, s)
                equal(os.readlink(s), target, "target")
                st = os.lstat(s)
                equal((st.st_size, st.st_nlink, stat.S_ISLNK(st.st_mode)), (len(target), 1, True),
                      "size, links, kind")
                equal(stat.S_IMODE(st.st_mode), 0o777, "mode")
        with t.case("4096 bytes"):
            fails(errno.ENAMETOOLONG, os.symlink, b"y" * 4096, d + b"/long")
        with t.case("empty"):
            fails(errno.ENOENT, os.symlink, b"", d + b"/empty")
        with t.case("nothing made"):
            equal(len(os.listdir(d)), len(targets), "entries")


def test_readlink(m):
    d = area(m)
    os.symlink("0123456789", d + "/s")
    with Cases() as t:
        for size in (1, 5, 10, 11, 100):
            with t.case(size):
                equal(readlink_into(d + "/s", size), b"0123456789"[:size], "cut, no NUL")
        with t.case("no buffer"):
            fails(errno.EINVAL, readlink_into, d + "/s", 0)
        for kind in KINDS:
            if kind != "symlink":
                with t.case(kind):
                    fails(errno.EINVAL, os.readlink, make(kind, d + "/" + kind))
        with t.case("absent"):
            fails(errno.ENOENT, os.readlink, d + "/absent")
        with t.case("relative to a descriptor"), opened(d, os.O_RDONLY) as fd:
            os.symlink("t", "rel", dir_fd=fd)
            equal(os.readlink("rel", dir_fd=fd), "t", "target")


def test_symlink_exists(m):
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            with t.case(kind):
                p = make(kind, d + "/" + kind)
                with stamps(m, same=[p, d]):
                    fails(errno.EEXIST, os.symlink, "x", p)
        with t.case("trailing slash"):
            fails(errno.ENOENT, os.symlink, "x", d + "/new/")
            fails(errno.EEXIST, os.symlink, "x", d + "/dir/")


def test_symlink_is_followed(m):
    d = area(m)
    os.makedirs(d + "/a/b")
    write_file(d + "/a/b/f", b"deep")
    os.symlink("a", d + "/s1")
    os.symlink("s1/b", d + "/s2")
    os.symlink(d + "/s2", d + "/a/s3")
    os.symlink("../s2/f", d + "/a/s4")
    os.symlink(".", d + "/self")
    with Cases() as t:
        for path in ("s1/b/f", "s2/f", "a/s3/f", "a/s4", "self/self/self/s1/s4", "s2/../b/f",
                     "a/s3/../../s2/f"):
            with t.case(path):
                equal(read_file(d + "/" + path), b"deep", "contents")
        with t.case("chmod"), stamps(m, c=[d + "/a/b/f"], same=[d + "/a/s4"]):
            os.chmod(d + "/a/s4", 0o600)
        with t.case("truncate"), stamps(m, cm=[d + "/a/b/f"], same=[d + "/a/s4"]):
            os.truncate(d + "/a/s4", 2)
        with t.case("unlink removes the link"):
            os.unlink(d + "/a/s4")
            equal(read_file(d + "/a/b/f"), b"de", "contents")
        with t.case("rmdir does not follow"):
            fails(errno.ENOTDIR, os.rmdir, d + "/s1")
            fails(errno.ENOTDIR, os.rmdir, d + "/s1/")
        with t.case("mkdir over a dangling link"):
            os.symlink("none", d + "/dangling")
            fails(errno.EEXIST, os.mkdir, d + "/dangling")


def test_symlink_loops(m):
    d = area(m)
    os.symlink("self", d + "/self")
    os.symlink("b", d + "/a")
    os.symlink("a", d + "/b")
    write_file(d + "/chain0", b"end")
    for i in range(1, 43):
        os.symlink("chain%d" % (i - 1), d + "/chain%d" % i)
    with Cases() as t:
        for name in ("self", "a", "b", "self/x", "a/x/y", "chain41", "chain42"):
            with t.case(name):
                fails(errno.ELOOP, os.stat, d + "/" + name)
                fails(errno.ELOOP, os.open, d + "/" + name, os.O_RDONLY)
                if "/" not in name:
                    check(os.lstat(d + "/" + name), "lstat")
        for i in (1, 20, 39, 40):
            with t.case("chain", i):
                equal(read_file(d + "/chain%d" % i), b"end", "contents")


def test_symlink_owner_and_permissions(m):
    d = area(m, mode=0o777)
    os.umask(0o777)
    os.symlink("x", d + "/s")
    os.umask(0o022)
    equal(mode_of(d + "/s"), 0o777, "the umask does not concern links")
    for user in (ALICE, DAVE):
        as_user(user, os.symlink, "t", d + "/of" + user.name)
        equal(owner_of(d + "/of" + user.name), (user.uid, user.gid), "owner")
    with stamps(m, c=[d + "/s"]):
        os.lchown(d + "/s", 9, 10)
    equal(owner_of(d + "/s"), (9, 10), "owner")
    os.chmod(d, 0o755)
    fails(errno.EACCES, as_user, ALICE, os.symlink, "t", d + "/no")
    os.chmod(d, 0o766)
    fails(errno.EACCES, as_user, ALICE, os.symlink, "t", d + "/no")
    fails(errno.EACCES, as_user, ALICE, os.readlink, d + "/s")
    make("file", d + "/secret", 0o600, ROOT)
    os.symlink("secret", d + "/tosecret")
    os.chmod(d, 0o755)
    fails(errno.EACCES, as_user, ALICE, try_open, d + "/tosecret", os.O_RDONLY)


if __name__ == "__main__":
    main(globals())
