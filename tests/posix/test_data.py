# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Contents: read, write, seek, append, truncate, holes, mmap, copying; statvfs."""
import ctypes
import errno
import mmap
import os
import random
import socket

from support import (
    ALICE, BOB, KINDS, Cases, area, as_user, check, checked, equal, fails, in_child, libc, make,
    nlink, opened, read_file, stamps, write_file)
from harness import main, mount_only, options

SIZES = (0, 1, 2, 511, 512, 4095, 4096, 4097, 65535, 65536, 131072, 131073, 300000, 1 << 20)


def pattern(size, seed=1):
    return random.Random(seed).randbytes(size)


# ---------------------------------------------------------------- reading and writing

def test_sizes(m):
    d = area(m)
    with Cases() as t:
        for size in SIZES:
            with t.case(size):
                data = pattern(size)
                write_file(d + "/f", data)
                equal(os.stat(d + "/f").st_size, size, "size")
                check(read_file(d + "/f") == data, "contents")
                check(in_child(read_file, d + "/f") == data, "contents in another process")


def test_chunks(m):
    """Written and read in pieces of any size, the same bytes."""
    d = area(m)
    data = pattern(100003)
    with Cases() as t:
        for step in (97, 1000, 4096, 5000, 65536):
            with t.case(step):
                with opened(d + "/f", os.O_CREAT | os.O_TRUNC | os.O_WRONLY) as fd:
                    for at in range(0, len(data), step):
                        equal(os.write(fd, data[at:at + step]), len(data[at:at + step]), "written")
                got = b""
                with opened(d + "/f", os.O_RDONLY) as fd:
                    while part := os.read(fd, step):
                        got += part
                check(got == data, "contents")


def test_random_access_against_a_model(m):
    """Random reads, writes and truncations, compared with a bytearray."""
    f = area(m) + "/f"
    rng = random.Random(7)
    model = bytearray()
    fd = os.open(f, os.O_CREAT | os.O_RDWR)
    for step in range(1500):
        what = rng.randrange(10)
        at, size = rng.randrange(200000), rng.choice((1, 100, 4096, rng.randrange(30000)))
        if what < 4:
            data = rng.randbytes(size)
            if at > len(model):
                model.extend(bytes(at - len(model)))
            model[at:at + size] = data
            equal(os.pwrite(fd, data, at), size, "written")
        elif what < 7:
            check(os.pread(fd, size, at) == bytes(model[at:at + size]), "read in step %d" % step)
        elif what == 7:
            os.ftruncate(fd, at)
            del model[at:]
            model.extend(bytes(at - len(model)))
        elif what == 8:
            equal(os.fstat(fd).st_size, len(model), "size in step %d" % step)
        else:
            if rng.random() < 0.5:
                os.fsync(fd)
            else:
                os.close(fd)
                fd = os.open(f, os.O_RDWR)
    os.close(fd)
    check(read_file(f) == bytes(model), "contents in the end")


def test_pread_and_pwrite_leave_the_position(m):
    f = area(m) + "/f"
    with opened(f, os.O_CREAT | os.O_RDWR) as fd:
        os.write(fd, b"0123456789")
        os.pwrite(fd, b"AB", 2)
        equal(os.lseek(fd, 0, os.SEEK_CUR), 10, "position")
        os.lseek(fd, 4, os.SEEK_SET)
        equal(os.pread(fd, 3, 1), b"1AB", "pread")
        equal(os.read(fd, 2), b"45", "read")
        equal(os.pread(fd, 5, 10), b"", "at the end")
        equal(os.pread(fd, 5, 1000), b"", "past the end")
        fails(errno.EINVAL, os.pread, fd, 1, -1)
        fails(errno.EINVAL, os.pwrite, fd, b"x", -1)
    equal(read_file(f), b"01AB456789", "contents")


def test_vectors(m):
    f = area(m) + "/f"
    with opened(f, os.O_CREAT | os.O_RDWR) as fd:
        equal(os.writev(fd, [b"one ", b"", b"two ", b"three"]), 13, "writev")
        equal(os.pwritev(fd, [b"O", b"NE"], 0), 3, "pwritev")
        os.lseek(fd, 0, os.SEEK_SET)
        parts = [bytearray(2), bytearray(6), bytearray(100)]
        equal(os.readv(fd, parts), 13, "readv")
        equal(bytes(parts[0] + parts[1] + parts[2][:5]), b"ONE two three", "parts")
        parts = [bytearray(3), bytearray(3)]
        equal(os.preadv(fd, parts, 8), 5, "preadv")
        equal(os.writev(fd, [b"x"] * 1000), 1000, "many")
    equal(os.stat(f).st_size, 1013, "size")


def test_read_of_nothing(m):
    f = area(m) + "/f"
    write_file(f, b"value")
    with opened(f, os.O_RDWR) as fd:
        equal(os.read(fd, 0), b"", "no bytes wanted")
        equal(os.write(fd, b""), 0, "no bytes given")
        equal(os.lseek(fd, 0, os.SEEK_CUR), 0, "position")
        os.lseek(fd, 1000, os.SEEK_SET)
        equal(os.write(fd, b""), 0, "no bytes, past the end")
        equal(os.fstat(fd).st_size, 5, "size")


def test_seek(m):
    f = area(m) + "/f"
    write_file(f, b"0123456789")
    with opened(f, os.O_RDWR) as fd:
        with Cases() as t:
            for offset, whence, wanted in (
                    (3, os.SEEK_SET, 3), (4, os.SEEK_CUR, 7), (-2, os.SEEK_CUR, 5),
                    (0, os.SEEK_END, 10), (-10, os.SEEK_END, 0), (5, os.SEEK_END, 15),
                    (1 << 19, os.SEEK_SET, 1 << 19), (0, os.SEEK_SET, 0)):
                with t.case(offset, whence):
                    equal(os.lseek(fd, offset, whence), wanted, "position")
            for offset, whence in (
                    (-1, os.SEEK_SET), (-1, os.SEEK_CUR), (-11, os.SEEK_END), (0, 99)):
                with t.case(offset, whence):
                    fails(errno.EINVAL, os.lseek, fd, offset, whence)
                    equal(os.lseek(fd, 0, os.SEEK_CUR), 0, "position")
            with t.case("the end of what was just written"):
                os.pwrite(fd, b"x", 99)
                equal(os.lseek(fd, 0, os.SEEK_END), 100, "position")
                os.ftruncate(fd, 50)
                equal(os.lseek(fd, 0, os.SEEK_END), 50, "position")


def test_data_and_holes(m):
    """SEEK_DATA and SEEK_HOLE: a file without holes ends in one."""
    f = area(m) + "/f"
    write_file(f, b"x" * 10000)
    with opened(f, os.O_RDONLY) as fd:
        equal(os.lseek(fd, 0, os.SEEK_DATA), 0, "data")
        equal(os.lseek(fd, 5000, os.SEEK_DATA), 5000, "data in the middle")
        equal(os.lseek(fd, 0, os.SEEK_HOLE), 10000, "hole")
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            fails(errno.ENXIO, os.lseek, fd, 10000, whence)
            fails(errno.ENXIO, os.lseek, fd, 20000, whence)


def test_sparse(m):
    f = area(m) + "/f"
    with Cases() as t:
        for at in (1, 100, 4096, 50000, 1000000):
            with t.case(at):
                with opened(f, os.O_CREAT | os.O_TRUNC | os.O_RDWR) as fd:
                    os.lseek(fd, at, os.SEEK_SET)
                    equal(os.fstat(fd).st_size, 0, "a seek alone changes nothing")
                    os.write(fd, b"end")
                    check(os.pread(fd, at, 0) == bytes(at), "zeros before it, same handle")
                check(read_file(f) == bytes(at) + b"end", "contents")


# ---------------------------------------------------------------- append

def test_append(m):
    f = area(m) + "/f"
    write_file(f, b"start ")
    with opened(f, os.O_WRONLY | os.O_APPEND) as fd:
        os.write(fd, b"one ")
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, b"two ")
        equal(os.lseek(fd, 0, os.SEEK_CUR), 14, "position after an append")
        os.pwrite(fd, b"three ", 0)         # as Linux has it
        os.writev(fd, [b"fo", b"ur"])
    equal(read_file(f), b"start one two three four", "contents")


def test_append_of_two_handles(m):
    f = area(m) + "/f"
    with opened(f, os.O_CREAT | os.O_WRONLY | os.O_APPEND) as a, \
            opened(f, os.O_WRONLY | os.O_APPEND) as b:
        for i in range(10):
            os.write(a, b"a%d " % i)
            os.write(b, b"b%d " % i)
    equal(read_file(f), b"".join(b"a%d b%d " % (i, i) for i in range(10)), "contents")


def test_append_read_back(m):
    f = area(m) + "/f"
    write_file(f, b"start ")
    with opened(f, os.O_RDWR | os.O_APPEND) as fd:
        equal(os.read(fd, 3), b"sta", "reading starts in front")
        os.write(fd, b"more")
        equal(os.pread(fd, 100, 0), b"start more", "read back")
        os.ftruncate(fd, 2)
        os.write(fd, b"op")
        equal(os.pread(fd, 100, 0), b"stop", "append after ftruncate")
    equal(read_file(f), b"stop", "contents")


def test_append_with_truncation(m):
    f = area(m) + "/f"
    write_file(f, b"old")
    write_file(f, b"new", os.O_APPEND)
    equal(read_file(f), b"new", "O_APPEND and O_TRUNC")
    with opened(f, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as fd:
        os.write(fd, b" end")
    equal(read_file(f), b"new end", "O_APPEND and O_CREAT")


def test_append_from_many_processes(m):
    f = area(m) + "/f"
    write_file(f, b"")
    pids = []
    for who in range(6):
        pid = os.fork()
        if pid == 0:
            try:
                fd = os.open(f, os.O_WRONLY | os.O_APPEND)
                for i in range(50):
                    os.write(fd, b"%d-%d\n" % (who, i))
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        equal(os.waitpid(pid, 0)[1], 0, "exit")
    lines = read_file(f).split(b"\n")
    equal(len(lines), 301, "lines")
    for who in range(6):
        equal([x for x in lines if x.startswith(b"%d-" % who)],
              [b"%d-%d" % (who, i) for i in range(50)], "each one's, in order")


# ---------------------------------------------------------------- truncate

def truncators(f):
    def by_handle(size):
        with opened(f, os.O_RDWR) as fd:
            os.ftruncate(fd, size)
            equal(os.fstat(fd).st_size, size, "size through the handle")
    return (("truncate", lambda size: os.truncate(f, size)), ("ftruncate", by_handle))


def test_truncate_to_any_size(m):
    f = area(m) + "/f"
    data = pattern(20000)
    with Cases() as t:
        for word, call in truncators(f):
            for size in (0, 1, 4095, 4096, 4097, 19999, 20000, 20001, 24576, 70000, 1000000):
                with t.case(word, size):
                    write_file(f, data)
                    with stamps(m, cm=[f]):
                        call(size)
                    equal(os.stat(f).st_size, size, "size")
                    check(read_file(f) == (data + bytes(size))[:size], "contents")
                    check(in_child(read_file, f) == (data + bytes(size))[:size], "elsewhere")


def test_shrunk_then_grown_shows_zeros(m):
    f = area(m) + "/f"
    with Cases() as t:
        for word, call in truncators(f):
            with t.case(word):
                write_file(f, b"x" * 10000)
                call(10)
                call(10000)
                equal(read_file(f), b"x" * 10 + bytes(9990), "contents")
        with t.case("one handle"):
            write_file(f, b"x" * 10000)
            with opened(f, os.O_RDWR) as fd:
                os.ftruncate(fd, 10)
                os.ftruncate(fd, 100)
                os.pwrite(fd, b"y", 200)
                equal(os.pread(fd, 300, 0), b"x" * 10 + bytes(190) + b"y", "contents")
            equal(read_file(f), b"x" * 10 + bytes(190) + b"y", "contents after close")
        with t.case("written after shrinking, position past the end"):
            with opened(f, os.O_CREAT | os.O_TRUNC | os.O_RDWR) as fd:
                os.write(fd, b"0123456789")
                os.ftruncate(fd, 3)
                os.write(fd, b"AB")
            equal(read_file(f), b"012" + bytes(7) + b"AB", "contents")


def test_truncate_errors(m):
    d = area(m)
    for kind in KINDS:
        make(kind, d + "/" + kind)
    write_file(d + "/alices", b"value")
    os.chmod(d + "/alices", 0o444)
    os.chown(d + "/alices", ALICE.uid, ALICE.gid)
    with Cases() as t:
        for path, size, code in (
                ("file", -1, errno.EINVAL), ("dir", 0, errno.EISDIR), ("dir", -1, errno.EINVAL),
                ("fifo", 0, errno.EINVAL), ("socket", 0, errno.EINVAL), ("none", 0, errno.ENOENT),
                ("symlink", 0, errno.ENOENT), ("file/x", 0, errno.ENOTDIR)):
            with t.case(path, size):
                fails(code, os.truncate, d + "/" + path, size)
        for user in (ALICE, BOB):
            with t.case(user), stamps(m, same=[d + "/alices"]):
                fails(errno.EACCES, as_user, user, os.truncate, d + "/alices", 0)
        with t.case("ftruncate below zero"), opened(d + "/file", os.O_RDWR) as fd:
            fails(errno.EINVAL, os.ftruncate, fd, -1)
        with t.case("a closed handle"):
            fails(errno.EBADF, os.ftruncate, fd, 0)
        with t.case("a program that runs"):
            write_file(d + "/sleep", read_file("/bin/sleep"))
            os.chmod(d + "/sleep", 0o755)
            r, w = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.execv(d + "/sleep", ["sleep", "50"])     # closes the pipe
            os.close(w)
            os.read(r, 1)
            os.close(r)
            try:
                fails(errno.ETXTBSY, os.truncate, d + "/sleep", 0)
                fails(errno.ETXTBSY, os.open, d + "/sleep", os.O_WRONLY)
            finally:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
    equal(read_file(d + "/alices"), b"value", "contents")


def test_truncate_of_an_open_file(m):
    """A truncation by name and the handle's own view agree after fsync."""
    f = area(m) + "/f"
    write_file(f, b"0123456789")
    with opened(f, os.O_RDONLY) as fd:
        os.truncate(f, 4)
        equal(os.fstat(fd).st_size, 4, "size")
        equal(os.pread(fd, 100, 0), b"0123", "contents")
        os.truncate(f, 6)
        equal(os.pread(fd, 100, 0), b"0123\0\0", "contents, grown")


def test_reader_polls_at_offset_zero(m):
    """pread(fd, ..., 0) on a kept handle gives the value that was last closed."""
    f = area(m) + "/f"
    write_file(f, b"0")
    with opened(f, os.O_RDONLY) as fd:
        for i in range(30):
            value = b"%d" % i * (i + 1)
            in_child(write_file, f, value)
            equal(os.pread(fd, 1000, 0), value, "polled")
            equal(os.fstat(fd).st_size, len(value), "size")


# ---------------------------------------------------------------- allocation

def test_posix_fallocate(m):
    f = area(m) + "/f"
    write_file(f, b"value")
    with opened(f, os.O_RDWR) as fd:
        os.posix_fallocate(fd, 0, 3)
        equal(os.fstat(fd).st_size, 5, "not made shorter")
        os.posix_fallocate(fd, 2, 10000)
        equal(os.fstat(fd).st_size, 10002, "grown")
        equal(os.pread(fd, 20000, 0), b"value" + bytes(9997), "contents")
        fails(errno.EINVAL, os.posix_fallocate, fd, 0, 0)
    equal(read_file(f), b"value" + bytes(9997), "contents after close")


def test_fallocate_modes(m):
    """Each mode does what it says, or says EOPNOTSUPP and does nothing."""
    f = area(m) + "/f"
    data = pattern(16384)

    def fallocate(fd, mode, at, size):
        checked(libc.fallocate64(fd, mode, ctypes.c_int64(at), ctypes.c_int64(size)))
    keep, punch, collapse, zero, insert = 1, 2, 8, 16, 32
    with Cases() as t:
        for mode, wanted in (
                (0, data + bytes(4096)), (keep, data),
                (punch | keep, data[:4096] + bytes(8192) + data[12288:]),
                (zero, data[:4096] + bytes(8192) + data[12288:]),
                (zero | keep, data[:4096] + bytes(8192) + data[12288:]),
                (collapse, data[:4096] + data[12288:]),
                (insert, data[:4096] + bytes(8192) + data[4096:])):
            with t.case(mode):
                write_file(f, data)
                try:
                    with opened(f, os.O_RDWR) as fd:
                        if mode in (0, keep):
                            fallocate(fd, mode, 12288, 8192)
                        else:
                            fallocate(fd, mode, 4096, 8192)
                except OSError as e:
                    equal(e.errno, errno.EOPNOTSUPP, "errno")
                    wanted = data
                check(read_file(f) == wanted, "contents")


# ---------------------------------------------------------------- mmap and copying

def test_private_mapping(m):
    f = area(m) + "/f"
    with Cases() as t:
        for size in (1, 4095, 4096, 4097, 100000):
            with t.case(size):
                data = pattern(size, size)
                write_file(f, data)
                with opened(f, os.O_RDONLY) as fd:
                    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as p:
                        check(p[:] == data, "contents")
                    with mmap.mmap(fd, 0, mmap.MAP_PRIVATE,
                                   mmap.PROT_READ | mmap.PROT_WRITE) as p:
                        p[0:1] = b"X"
                        check(p[:] == b"X" + data[1:], "changed in the mapping")
                check(read_file(f) == data, "not in the file")


def test_private_mapping_of_a_new_value(m):
    """A file mapped anew shows what it holds now, not what a cache remembers."""
    f = area(m) + "/f"
    for i in range(20):
        data = pattern(5000 + i * 100, i)
        write_file(f, data)
        with opened(f, os.O_RDONLY) as fd, mmap.mmap(
                fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as p:
            check(p[:] == data, "contents in round %d" % i)


def test_mapping_outlives_the_handle_and_the_name(m):
    f = area(m) + "/f"
    data = pattern(50000)
    write_file(f, data)
    with opened(f, os.O_RDONLY) as fd:
        p = mmap.mmap(fd, 0, mmap.MAP_PRIVATE, mmap.PROT_READ)
    os.unlink(f)
    check(p[:] == data, "contents")
    p.close()


def test_shared_mapping_works_or_is_refused(m):
    f = area(m) + "/f"
    write_file(f, b"value" + bytes(4091))
    with opened(f, os.O_RDWR) as fd:
        try:
            p = mmap.mmap(fd, 0)
        except OSError as e:
            equal(e.errno, errno.ENODEV, "errno")
            return
        p[0:5] = b"VALUE"
        p.flush()
        p.close()
        os.fsync(fd)
    equal(read_file(f)[:5], b"VALUE", "contents")


def test_copying_calls(m):
    d = area(m)
    data = pattern(500000)
    write_file(d + "/from", data)
    with Cases() as t:
        for word in ("copy_file_range", "sendfile", "splice"):
            with t.case(word), opened(d + "/from", os.O_RDONLY) as a:
                with opened(d + "/to", os.O_CREAT | os.O_WRONLY | os.O_TRUNC) as b:
                    left = len(data)
                    r, w = os.pipe()
                    while left:
                        if word == "copy_file_range":
                            n = os.copy_file_range(a, b, left)
                        elif word == "sendfile":
                            n = os.sendfile(b, a, None, left)
                        else:
                            n = os.splice(a, w, min(left, 65536))
                            done = 0
                            while done < n:
                                done += os.splice(r, b, n - done)
                        check(n > 0, "nothing copied")
                        left -= n
                    os.close(r), os.close(w)
                check(read_file(d + "/to") == data, "contents")
        with t.case("to a socket"):
            one, two = socket.socketpair()
            with one, two, opened(d + "/from", os.O_RDONLY) as a:
                n = os.sendfile(one.fileno(), a, 1000, 5000)
                check(two.recv(5000) == data[1000:1000 + n], "contents")


def test_copy_file_range_within(m):
    d = area(m)
    write_file(d + "/f", b"0123456789")
    with opened(d + "/f", os.O_RDWR) as fd:
        equal(os.copy_file_range(fd, fd, 3, 0, 20), 3, "copied")
        equal(os.copy_file_range(fd, fd, 3, 23, 0), 0, "past the end")
        fails(errno.EINVAL, os.copy_file_range, fd, fd, 5, 0, 2)
    equal(read_file(d + "/f"), b"0123456789" + bytes(10) + b"012", "contents")


# ---------------------------------------------------------------- the rest

def test_blocks_and_size_in_stat(m):
    d = area(m)
    for size in (0, 1, 5000):
        write_file(d + "/f", b"x" * size)
        st = os.stat(d + "/f")
        equal(st.st_size, size, "size")
        check(st.st_blksize > 0, "block size")
        check((st.st_blocks > 0) == (size > 0), "%d blocks for %d bytes" % (st.st_blocks, size))


def test_two_writers_the_last_close_wins(m):
    """Whole values, one after the other."""
    f = area(m) + "/f"
    write_file(f, b"old")
    with opened(f, os.O_WRONLY | os.O_TRUNC) as a:
        os.write(a, b"first")
    with opened(f, os.O_WRONLY | os.O_TRUNC) as b:
        os.write(b, b"second")
    equal(read_file(f), b"second", "contents")


def test_rewrites_in_place(m):
    """A handle without O_TRUNC changes what it touches and keeps the rest."""
    f = area(m) + "/f"
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREAT):
        write_file(f, b"0123456789")
        with opened(f, flags) as fd:
            os.pwrite(fd, b"AB", 4)
            os.write(fd, b"x")
        equal(read_file(f), b"x123AB6789", "contents")


def test_close_of_what_was_not_written(m):
    f = area(m) + "/f"
    write_file(f, b"value")
    with opened(f, os.O_RDWR) as fd, stamps(m, same=[f]):
        in_child(os.fstat, fd)
        os.close(os.dup(fd))
    fails(errno.EBADF, os.close, fd)
    equal((read_file(f), nlink(f)), (b"value", 1), "contents, links")


def test_statvfs(m):
    d = area(m)
    write_file(d + "/f", b"")
    with opened(d + "/f", os.O_RDONLY) as fd:
        for what in (d, d + "/f", fd):
            s = os.statvfs(what)
            equal(s.f_namemax, 255, "longest name")
            check(s.f_bsize > 0 and s.f_frsize > 0, "block sizes")
            check(s.f_bavail <= s.f_bfree <= s.f_blocks, "blocks")
            check(s.f_ffree <= s.f_files, "files")
    equal(os.pathconf(d, "PC_NAME_MAX"), 255, "pathconf")


@mount_only
def test_too_large(m):
    """Past max_value: EFBIG, and the old value stays."""
    f = area(m) + "/f"
    limit = 1 << 20
    write_file(f, b"old")
    with Cases() as t:
        with t.case("truncate"):
            fails(errno.EFBIG, os.truncate, f, limit + 1)
        with t.case("pwrite past it"):
            fd = os.open(f, os.O_RDWR)
            os.pwrite(fd, b"this fits", 0)
            fails(errno.EFBIG, os.pwrite, fd, b"x", limit)
            fails(errno.EFBIG, os.ftruncate, fd, limit + 1)
            # What fitted is not kept either, and close says so.
            fails(errno.EFBIG, os.close, fd)
        with t.case("unchanged"):
            equal(read_file(f), b"old", "contents")
        with t.case("exactly the limit"):
            os.truncate(f, limit)
            equal(os.stat(f).st_size, limit, "size")
            with opened(f, os.O_WRONLY | os.O_APPEND) as fd:
                fails(errno.EFBIG, os.write, fd, b"x")
        with t.case("still"):
            equal(os.stat(f).st_size, limit, "size")


@mount_only
@options("max_value=16M")
def test_large_values_where_allowed(m):
    f = area(m) + "/f"
    data = pattern(12 << 20)
    with opened(f, os.O_CREAT | os.O_WRONLY) as fd:
        at = 0
        while at < len(data):
            at += os.write(fd, data[at:at + (1 << 20)])
    check(read_file(f) == data, "contents")


if __name__ == "__main__":
    main(globals())
