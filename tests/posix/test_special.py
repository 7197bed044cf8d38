# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Fifos, sockets and device nodes: made, used, kept as what they are."""
import errno
import os
import select
import socket
import stat

from support import (
    ALICE, BOB, Cases, Process, area, as_user, check, equal, fails, in_child, inode, kind_of, make,
    mode_of, nlink, opened, owner_of, stamps)
from harness import main


# ---------------------------------------------------------------- making

def test_mknod_types_modes_and_numbers(m):
    d = area(m)
    numbers = [(0, 0), (1, 3), (1, 5), (7, 255), (8, 256), (255, 255), (259, 70000),
               (4095, 1048575)]
    with Cases() as t:
        for fmt, word in ((stat.S_IFCHR, "char"), (stat.S_IFBLK, "block")):
            for major, minor in numbers:
                with t.case(word, major, minor):
                    with stamps(m, cm=[d]):
                        os.mknod(d + "/x", fmt | 0o640, os.makedev(major, minor))
                    st = os.lstat(d + "/x")
                    equal((os.major(st.st_rdev), os.minor(st.st_rdev)), (major, minor), "number")
                    equal((kind_of(d + "/x"), mode_of(d + "/x"), st.st_size, st.st_nlink),
                          (word, 0o640, 0, 1), "kind, mode, size, links")
                    os.rename(d + "/x", d + "/y")
                    os.link(d + "/y", d + "/z")
                    equal(os.lstat(d + "/z").st_rdev, st.st_rdev, "after rename and link")
                    os.unlink(d + "/y"), os.unlink(d + "/z")
        for fmt, word in ((stat.S_IFREG, "file"), (0, "file"), (stat.S_IFIFO, "fifo"),
                          (stat.S_IFSOCK, "socket")):
            for mode in (0, 0o151, 0o644, 0o777, 0o4711, 0o2755, 0o1666):
                with t.case(word, oct(mode)):
                    os.umask(0)
                    try:
                        os.mknod(d + "/x", fmt | mode)
                    finally:
                        os.umask(0o022)
                    equal((kind_of(d + "/x"), oct(mode_of(d + "/x"))), (word, oct(mode)),
                          "kind, mode")
                    equal(os.lstat(d + "/x").st_rdev, 0, "number")
                    os.unlink(d + "/x")
        with t.case("a directory is not made by mknod"):
            fails((errno.EPERM, errno.EINVAL), os.mknod, d + "/x", stat.S_IFDIR | 0o755)
        with t.case("a link is not made by mknod"):
            fails(errno.EINVAL, os.mknod, d + "/x", stat.S_IFLNK | 0o755)


def test_mknod_by_users(m):
    d = area(m, mode=0o777)
    with Cases() as t:
        for kind, ok in (("fifo", True), ("socket", True), ("char", False), ("block", False)):
            with t.case(kind):
                if ok:
                    as_user(ALICE, make, kind, d + "/x")
                    equal(owner_of(d + "/x"), (ALICE.uid, ALICE.gid), "owner")
                    os.unlink(d + "/x")
                else:
                    fails(errno.EPERM, as_user, ALICE, make, kind, d + "/x")
                    equal(os.listdir(d), [], "listing")
        with t.case("file"):
            as_user(ALICE, os.mknod, d + "/x", stat.S_IFREG | 0o600)
            equal((owner_of(d + "/x"), mode_of(d + "/x")), ((ALICE.uid, ALICE.gid), 0o600), "x")


def test_a_node_has_no_contents(m):
    d = area(m)
    with Cases() as t:
        for kind, code in (("fifo", errno.EINVAL), ("char", errno.EINVAL), ("block", errno.EINVAL),
                           ("socket", errno.EINVAL)):
            with t.case(kind):
                make(kind, d + "/x")
                fails(code, os.truncate, d + "/x", 0)
                equal(os.lstat(d + "/x").st_size, 0, "size")
                os.unlink(d + "/x")


def test_attributes_of_nodes(m):
    """chmod, chown and utime work on a node and leave it what it is."""
    d = area(m)
    with Cases() as t:
        for kind in ("fifo", "char", "block", "socket"):
            with t.case(kind):
                p = make(kind, d + "/x")
                was = os.lstat(p)
                os.chown(p, 3, 4)
                os.chmod(p, 0o1604)
                os.utime(p, ns=(10**18 + 1, 10**18 + 2))
                now = os.lstat(p)
                equal((now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode), now.st_atime_ns,
                       now.st_mtime_ns), (3, 4, 0o1604, 10**18 + 1, 10**18 + 2), "attributes")
                equal((stat.S_IFMT(now.st_mode), now.st_rdev, now.st_ino),
                      (stat.S_IFMT(was.st_mode), was.st_rdev, was.st_ino), "identity")
                os.unlink(p)


# ---------------------------------------------------------------- fifos

def test_fifo_between_two_processes(m):
    p = area(m) + "/fifo"
    os.mkfifo(p)
    data = os.urandom(300000)

    def writer(me):
        fd = os.open(p, os.O_WRONLY)        # waits for the reader
        at = 0
        while at < len(data):
            at += os.write(fd, data[at:])
        os.close(fd)
    with Process(writer):
        with opened(p, os.O_RDONLY) as fd:  # waits for the writer
            got = b""
            while True:
                part = os.read(fd, 65536)
                if not part:
                    break
                got += part
    check(got == data, "the data arrived changed, %d bytes" % len(got))
    equal(os.stat(p).st_size, 0, "nothing is kept")


def test_fifo_both_ways(m):
    d = area(m)
    os.mkfifo(d + "/to")
    os.mkfifo(d + "/from")

    def echo(me):
        with open(d + "/to", "rb", 0) as a, open(d + "/from", "wb", 0) as b:
            while True:
                word = a.read(100)
                if not word:
                    break
                b.write(word.upper())
    with Process(echo):
        with open(d + "/to", "wb", 0) as a, open(d + "/from", "rb", 0) as b:
            for word in (b"one", b"two", b"three"):
                a.write(word)
                equal(b.read(100), word.upper(), "echo")


def test_fifo_without_a_partner(m):
    p = area(m) + "/fifo"
    os.mkfifo(p)
    fails(errno.ENXIO, os.open, p, os.O_WRONLY | os.O_NONBLOCK)
    with opened(p, os.O_RDONLY | os.O_NONBLOCK) as r:
        equal(os.read(r, 10), b"", "no writer: end of file")
        with opened(p, os.O_WRONLY | os.O_NONBLOCK) as w:
            fails(errno.EAGAIN, os.read, r, 10)
            equal(select.select([r], [], [], 0)[0], [], "not readable")
            os.write(w, b"abc")
            equal(select.select([r], [], [], 0)[0], [r], "readable")
            equal(os.read(r, 10), b"abc", "data")
            fails(errno.ESPIPE, os.lseek, r, 0, os.SEEK_SET)
            fails(errno.ESPIPE, os.pread, r, 1, 0)
        equal(os.read(r, 10), b"", "the writer has left")
    with opened(p, os.O_RDWR | os.O_NONBLOCK) as w:
        r = os.open(p, os.O_RDONLY)
        os.write(w, b"x")
        equal(os.read(r, 1), b"x", "data")
        os.close(r)
    r = os.open(p, os.O_RDONLY | os.O_NONBLOCK)
    w = os.open(p, os.O_WRONLY)
    os.close(r)
    fails(errno.EPIPE, os.write, w, b"x")       # Python ignores SIGPIPE
    os.close(w)


def test_fifo_that_was_renamed_or_removed(m):
    """The open fifo is the same one whatever its names are."""
    d = area(m)
    os.mkfifo(d + "/fifo")
    with opened(d + "/fifo", os.O_RDWR) as r:
        os.rename(d + "/fifo", d + "/moved")
        with opened(d + "/moved", os.O_WRONLY | os.O_NONBLOCK) as w:
            os.write(w, b"1")
        os.link(d + "/moved", d + "/link")
        with opened(d + "/link", os.O_WRONLY | os.O_NONBLOCK) as w:
            os.write(w, b"2")
        os.unlink(d + "/moved"), os.unlink(d + "/link")
        os.write(r, b"3")
        equal(os.read(r, 10), b"123", "data")
        equal(nlink(r), 0, "links")
        os.mkfifo(d + "/fifo")
        fails(errno.ENXIO, os.open, d + "/fifo", os.O_WRONLY | os.O_NONBLOCK)


def test_fifo_permissions(m):
    p = make("fifo", area(m) + "/fifo", 0o640, ALICE)
    flags = os.O_NONBLOCK
    as_user(ALICE, os.open, p, os.O_RDWR | flags)
    fails(errno.EACCES, as_user, BOB, os.open, p, os.O_RDONLY | flags)
    os.chmod(p, 0o444)
    as_user(BOB, os.open, p, os.O_RDONLY | flags)
    fails(errno.EACCES, as_user, BOB, os.open, p, os.O_WRONLY | flags)


# ---------------------------------------------------------------- sockets

def bound(kind, directory, name):
    """Binds relative to the directory: sun_path holds 108 bytes only."""
    s = socket.socket(socket.AF_UNIX, kind)
    here = os.getcwd()
    os.chdir(directory)
    try:
        s.bind(name)
    finally:
        os.chdir(here)
    return s


def test_socket_is_made_and_used(m):
    d = area(m)
    os.umask(0o027)
    with bound(socket.SOCK_STREAM, d, "s") as server:
        os.umask(0o022)
        equal((kind_of(d + "/s"), mode_of(d + "/s"), nlink(d + "/s")), ("socket", 0o750, 1), "node")
        with socket.socket(socket.AF_UNIX) as again:
            os.chdir(d)
            fails(errno.EADDRINUSE, again.bind, "s")
        fails(errno.ENXIO, os.open, d + "/s", os.O_RDWR)
        server.listen(1)

        def client(me):
            with socket.socket(socket.AF_UNIX) as c:
                os.chdir(d)
                c.connect("s")
                c.sendall(b"hello")
                equal(c.recv(10), b"HELLO", "answer")
        with Process(client):
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(10).upper())
        os.rename(d + "/s", d + "/moved")
        with socket.socket(socket.AF_UNIX) as c:
            c.connect("moved")
        os.unlink(d + "/moved")
        with socket.socket(socket.AF_UNIX) as c:
            fails(errno.ENOENT, c.connect, "moved")


def test_socket_of_a_server_that_is_gone(m):
    d = area(m)
    bound(socket.SOCK_STREAM, d, "s").close()
    ino = inode(d + "/s")
    os.chdir(d)
    with socket.socket(socket.AF_UNIX) as c:
        fails(errno.ECONNREFUSED, c.connect, "s")
    equal(inode(d + "/s"), ino, "the node stays")
    os.unlink("s")


def test_socket_datagrams(m):
    d = area(m)
    with bound(socket.SOCK_DGRAM, d, "a") as a, bound(socket.SOCK_DGRAM, d, "b") as b:
        os.chdir(d)
        a.sendto(b"ping", "b")
        word, sender = b.recvfrom(10)
        equal((word, sender), (b"ping", "a"), "datagram")


def test_socket_permission_to_connect(m):
    d = area(m)
    with bound(socket.SOCK_STREAM, d, "s") as server:
        server.listen(5)
        os.chdir(d)

        def connect():
            with socket.socket(socket.AF_UNIX) as c:
                c.connect("s")
        os.chmod(d + "/s", 0o755)
        fails(errno.EACCES, as_user, ALICE, connect)
        os.chmod(d + "/s", 0o777)
        as_user(ALICE, connect)
        os.chmod(d, 0o666)
        fails(errno.EACCES, as_user, ALICE, connect)
        os.chmod(d, 0o755)
        fails(errno.EACCES, as_user, ALICE, bound, socket.SOCK_STREAM, d, "t")


def test_socket_name_is_taken(m):
    d = area(m)
    with Cases() as t:
        for kind in ("file", "dir", "fifo", "symlink", "socket"):
            with t.case(kind):
                make(kind, d + "/" + kind)
                fails(errno.EADDRINUSE, in_child, bound, socket.SOCK_STREAM, d, kind)


if __name__ == "__main__":
    main(globals())
