# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Names of any bytes: made, listed, renamed, linked, removed as they are."""
import errno
import os
import random

from support import (
    KINDS, Cases, area, check, equal, exists, fails, in_child, inode, kind_of, make, nlink,
    opened, read_file, remove, write_file)
from harness import main

ODD = (
    b"...", b"....", b".x", b"..x", b"x.", b"-", b"--", b"-rf", b" ", b"  ", b" x", b"x ", b"\t",
    b"\n", b"a\nb", b"\r\n", b"\\", b"a\\b", b"\\n", b"\\x00", b"'", b'"', b"`", b"a'b\"c", b"$x",
    b"${x}", b"$(id)", b"*", b"?", b"[a]", b"{a,b}", b"~", b"~root", b"#", b"!", b";", b"|", b"&",
    b"<", b">", b"%", b"%s%n", b"%41", b"%2F", b"\x01", b"\x7f", b"\x1b[31m", b"\x80", b"\xff",
    b"\xfe\xff", b"\xc0\xaf", b"\xc3", b"\xc3\xa9", b"e\xcc\x81", b"\xed\xa0\x80",
    b"\xf0\x9f\x92\xa9",
    b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xef\xbf\xbd", b"name", b"NAME", b"Name", b"name ", b"null",
    b"true", b"0", b"00", b"1e5", b"-1", b"{}", b"[]", b'{"a":1}', b"a,b", b"a:b", b"a=b", b"a@b",
    b"CON", b"NUL", b"aux.txt", b"x:stream", b"x.lock", b".cubby", b".cubby.tmp", b"locks",
    b".nfs0001", b".fuse_hidden0001", b".wh.x", b"lost+found", b"user.cubby.ttl", b"con\xc5\x9b",
    b"\xff" * 255, b"\n" * 255, b"\xe2\x82\xac" * 85, b"." * 255, b" " * 255,
)


def test_every_byte(m):
    """One name for each byte but slash and NUL, alone and between others."""
    d = os.fsencode(area(m))
    wanted = set()
    with Cases() as t:
        for byte in range(1, 256):
            b = bytes([byte])
            for name in (b, b"x" + b + b"y", b"x" + b, b + b"y"):
                if b"/" in name or name == b".":
                    continue
                with t.case(name):
                    write_file(d + b"/" + name, name)
                    wanted.add(name)
        with t.case("listing"):
            equal(set(os.listdir(d)), wanted, "names")
            equal(len(os.listdir(d)), len(wanted), "count")
        for name in sorted(wanted):
            with t.case("read", name):
                equal(read_file(d + b"/" + name), name, "contents")
                os.unlink(d + b"/" + name)
                fails(errno.ENOENT, os.lstat, d + b"/" + name)


def test_odd_names_of_every_kind(m):
    d = os.fsencode(area(m))
    with Cases() as t:
        for i, name in enumerate(ODD):
            kind = KINDS[i % len(KINDS)]
            p = d + b"/" + name
            with t.case(kind, name[:30]):
                make(kind, p)
                equal(kind_of(p), kind, "kind")
        with t.case("listing"):
            equal(sorted(os.listdir(d)), sorted(ODD), "names")
        with t.case("listing elsewhere"):
            equal(sorted(in_child(os.listdir, d)), sorted(ODD), "names")
        for name in ODD:
            with t.case("remove", name[:30]):
                remove(d + b"/" + name)
        with t.case("all gone"):
            equal(os.listdir(d), [], "listing")


def test_odd_names_as_directories(m):
    d = os.fsencode(area(m))
    with Cases() as t:
        for name in ODD:
            with t.case(name[:30]):
                p = d + b"/" + name
                os.mkdir(p)
                write_file(p + b"/" + name, b"value of " + name)
                equal(os.listdir(p), [name], "listing")
                equal(read_file(p + b"/./" + name), b"value of " + name, "contents")
                os.rename(p + b"/" + name, d + b"/moved")
                os.rmdir(p)
                os.rename(d + b"/moved", p)
                equal(read_file(p), b"value of " + name, "contents")
                os.unlink(p)


def test_odd_names_through_rename_link_and_symlink(m):
    d = os.fsencode(area(m))
    with Cases() as t:
        for a, b in zip(ODD, ODD[1:] + ODD[:1]):
            with t.case(a[:20], b[:20]):
                write_file(d + b"/" + a, a)
                os.rename(d + b"/" + a, d + b"/" + b)
                equal(read_file(d + b"/" + b), a, "contents")
                os.link(d + b"/" + b, d + b"/" + a)
                equal((nlink(d + b"/" + a), inode(d + b"/" + a)), (2, inode(d + b"/" + b)), "link")
                os.unlink(d + b"/" + b)
                os.symlink(a, d + b"/" + b)
                equal((os.readlink(d + b"/" + b), read_file(d + b"/" + b)), (a, a), "symlink")
                equal(sorted(os.listdir(d)), sorted((a, b)), "listing")
                os.unlink(d + b"/" + a), os.unlink(d + b"/" + b)


def test_odd_names_with_attributes(m):
    """chmod, times and xattrs find the file that is meant."""
    d = os.fsencode(area(m))
    with Cases() as t:
        for i, name in enumerate(ODD):
            with t.case(name[:30]):
                p = d + b"/" + name
                write_file(p, b"")
                os.chmod(p, i + 0o400)
                os.utime(p, ns=(i, i + 1))
                os.setxattr(p, "user.i", b"%d" % i)
        for i, name in enumerate(ODD):
            with t.case("again", name[:30]):
                p = d + b"/" + name
                st = os.lstat(p)
                equal((st.st_mode & 0o7777, st.st_atime_ns, st.st_mtime_ns,
                       os.getxattr(p, "user.i")),
                      (i + 0o400, i, i + 1, b"%d" % i), "attributes")


def test_names_that_differ_in_little(m):
    """Case, composed and decomposed letters, blanks: all different names."""
    d = os.fsencode(area(m))
    names = [b"x", b"X", b"x ", b" x", b"x.", b".x", b"xx", b"\xc3\xa9", b"e\xcc\x81", b"\xe9",
             b"\xc5\xbf", b"s", b"\xe2\x84\xaa", b"k", b"K", b"i", b"I", b"\xc4\xb0", b"\xc4\xb1"]
    for n in names:
        write_file(d + b"/" + n, n, os.O_EXCL)
    equal(sorted(os.listdir(d)), sorted(names), "listing")
    for n in names:
        equal(read_file(d + b"/" + n), n, "contents")


def test_random_names(m):
    d = os.fsencode(area(m))
    rng = random.Random(3)
    names = set()
    while len(names) < 300:
        name = bytes(rng.randrange(1, 256) for _ in range(rng.choice((1, 2, 5, 40, 254, 255))))
        if b"/" not in name and name not in (b".", b".."):
            names.add(name)
    for n in sorted(names):
        write_file(d + b"/" + n, n[::-1])
    equal(set(os.listdir(d)), names, "listing")
    for n in names:
        equal(read_file(d + b"/" + n), n[::-1], "contents")


def test_slashes_and_dots_in_paths(m):
    d = area(m)
    os.makedirs(d + "/a/b")
    write_file(d + "/a/b/f", b"x")
    ino = inode(d + "/a/b/f")
    with Cases() as t:
        for path in ("a//b///f", "./a/./b/./f", "a/../a/b/f", "a/b/../../a/b/f", "a/b/.././b/f",
                     "////a/b/f", "a/b/../b/../b/f"):
            with t.case(path):
                equal(inode(d + "/" + path), ino, "inode")
    check(not exists(d + "/a/b/f/"), "a file is no directory")
    with opened(d + "/a/b", os.O_RDONLY) as fd:
        equal(os.stat("../../a/b/f", dir_fd=fd).st_ino, ino, "relative")
    m_root = os.path.dirname(d)
    equal(os.stat(d + "/..").st_ino, inode(m_root), "the parent is the mount's root")


def test_inode_numbers_are_ones_own(m):
    """No two files share a number; it stays while the file is there."""
    d = area(m)
    paths = []
    for i in range(200):
        paths.append(make(KINDS[i % len(KINDS)], d + "/%d" % i))
    numbers = [inode(p) for p in paths]
    equal(len(set(numbers)), 200, "different numbers")
    check(0 not in numbers, "a number is 0")
    check(inode(d) not in numbers, "the directory's")
    for i in range(0, 200, 7):
        if kind_of(paths[i]) == "file":
            write_file(paths[i], b"new value")
        os.rename(paths[i], paths[i] + "moved")
        os.rename(paths[i] + "moved", paths[i])
    equal([inode(p) for p in paths], numbers, "the same numbers later")
    equal(len({os.lstat(p).st_dev for p in paths + [d]}), 1, "one device")


if __name__ == "__main__":
    main(globals())
