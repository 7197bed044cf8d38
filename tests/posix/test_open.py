# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""open(2): what each flag does to each kind of file, and what creation makes."""
import errno
import fcntl
import os
import stat

from support import (
    ALICE, BOB, CAROL, DAVE, KINDS, Cases, Process, area, as_user, check, equal, exists, fails,
    in_child, inode, kind_of, linkat_follow, make, mode_of, nlink, opened, owner_of, read_file,
    remove, stamps, try_open, write_file)
from harness import main

O_PATH = os.O_PATH


def test_create_makes_an_empty_regular_file(m):
    d = area(m)
    f = d + "/f"
    try_open(f, os.O_CREAT | os.O_WRONLY, 0o644)
    st = os.lstat(f)
    check(stat.S_ISREG(st.st_mode), "a regular file")
    equal((st.st_size, st.st_nlink, st.st_uid, st.st_gid), (0, 1, 0, 0), "size, nlink, owner")
    equal(read_file(f), b"", "contents")
    equal(os.listdir(d), ["f"], "the directory")


def test_create_and_mode_bits(m):
    d = area(m)
    with Cases() as t:
        for flags, word in ((os.O_CREAT, "plain"), (os.O_CREAT | os.O_EXCL, "exclusive")):
            for mode in (0, 0o1, 0o20, 0o111, 0o151, 0o345, 0o400, 0o444, 0o600, 0o644, 0o755,
                         0o777, 0o1644, 0o2755, 0o4755, 0o7777):
                for umask in (0, 0o022, 0o027, 0o077, 0o345, 0o777):
                    with t.case(word, oct(mode), "umask", oct(umask)):
                        f = d + "/f"
                        os.umask(umask)
                        try:
                            try_open(f, flags | os.O_RDWR, mode)
                            equal(mode_of(f), mode & ~umask, "mode")
                        finally:
                            os.umask(0o022)
                        os.unlink(f)


def test_create_without_permission_bits_still_gives_a_usable_handle(m):
    d = area(m, mode=0o777)

    def user():
        with Cases() as t:
            for mode in (0, 0o111, 0o200, 0o400):
                for excl in (0, os.O_EXCL):
                    with t.case(oct(mode), excl):
                        with opened(d + "/f", os.O_RDWR | os.O_CREAT | excl, mode) as fd:
                            os.write(fd, b"abc")
                            equal(os.pread(fd, 10, 0), b"abc", "read back")
                        equal(mode_of(d + "/f"), mode, "mode")
                        equal(os.stat(d + "/f").st_size, 3, "size")
                        os.unlink(d + "/f")
    as_user(ALICE, user)


def test_create_owner_is_the_caller(m):
    d = area(m, mode=0o777)
    with Cases() as t:
        for user in (ALICE, BOB, DAVE):
            for excl in (0, os.O_EXCL):
                with t.case(user, excl):
                    as_user(user, try_open, d + "/f", os.O_CREAT | os.O_WRONLY | excl)
                    equal(owner_of(d + "/f"), (user.uid, user.gid), "owner")
                    os.unlink(d + "/f")


def test_create_existing_changes_nothing(m):
    d = area(m)
    f = d + "/f"
    write_file(f, b"old", mode=0o640)
    os.chown(f, 7, 8)
    with Cases() as t:
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            with t.case(flags):
                with stamps(m, same=[f, d]):
                    try_open(f, flags | os.O_CREAT, 0o777)
                equal((mode_of(f), owner_of(f)), (0o640, (7, 8)), "mode and owner")
                equal(read_file(f), b"old", "contents")


def test_create_updates_the_directory_times(m):
    d = area(m)
    with Cases() as t:
        for excl in (0, os.O_EXCL):
            with t.case("empty", excl), stamps(m, cm=[d]):
                try_open(d + "/f%d" % excl, os.O_CREAT | os.O_WRONLY | excl)
            with t.case("with contents", excl), stamps(m, cm=[d]):
                write_file(d + "/g%d" % excl, b"x", excl)


def test_created_file_has_stamps_of_now(m):
    d = area(m)
    with stamps(m, cm=[d]):
        write_file(d + "/f", b"x")
        before = os.stat(d + "/f")
    for name in ("st_ctime_ns", "st_mtime_ns", "st_atime_ns"):
        now = getattr(os.stat(d + "/f"), name)
        equal(now, getattr(before, name), name + " later on")
        check(abs(now - os.stat(d).st_mtime_ns) < 10 * 10**9, name + " is not now")


def test_excl_fails_on_whatever_exists(m):
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            p = make(kind, d + "/" + kind)
            for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
                with t.case(kind, flags):
                    fails(errno.EEXIST, os.open, p, flags | os.O_CREAT | os.O_EXCL)
        os.symlink("file", d + "/tofile")
        os.symlink("dir", d + "/todir")
        for name in ("tofile", "todir", "."):
            with t.case(name):
                fails(errno.EEXIST, os.open, d + "/" + name, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        with t.case("the dangling link made nothing"):
            check(not exists(d + "/nowhere"), "a file appeared")


def test_excl_one_of_many_wins(m):
    d = area(m)
    for turn in range(5):
        f = d + "/f%d" % turn

        def contend(p):
            p.hear(b"go")
            try:
                fd = os.open(f, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                p.say(b"0")
            else:
                os.write(fd, b"%d" % os.getpid())
                os.close(fd)
                p.say(b"%d" % os.getpid())
        racers = [Process(contend) for _ in range(6)]
        for p in racers:
            p.say(b"go")
        winners = [w for w in (p.hear() for p in racers) if w != b"0"]
        for p in racers:
            p.__exit__(None, None, None)
        equal(len(winners), 1, "winners")
        equal(read_file(f), winners[0], "contents")


def test_excl_is_seen_by_others_at_once(m):
    d = area(m)
    with opened(d + "/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY):
        equal(in_child(os.listdir, d), ["f"], "listing")
        check(in_child(os.path.exists, d + "/f"), "stat")
        fails(errno.EEXIST, in_child, try_open, d + "/f", os.O_CREAT | os.O_EXCL | os.O_RDWR)


def test_open_kinds_and_modes(m):
    d = area(m)
    for kind in KINDS:
        make(kind, d + "/" + kind)
    r, w, rw, nb = os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_NONBLOCK
    table = [
        ("file", r, 0), ("file", w, 0), ("file", rw, 0), ("file", rw | os.O_TRUNC, 0),
        ("file", r | os.O_DIRECTORY, errno.ENOTDIR), ("file", rw | os.O_NOFOLLOW, 0),
        ("file", w | os.O_APPEND | nb, 0), ("file", w | os.O_SYNC, 0), ("file", w | os.O_DSYNC, 0),
        ("dir", r, 0), ("dir", w, errno.EISDIR), ("dir", rw, errno.EISDIR),
        ("dir", r | os.O_CREAT, errno.EISDIR), ("dir", rw | os.O_CREAT, errno.EISDIR),
        ("dir", r | os.O_TRUNC, errno.EISDIR), ("dir", r | os.O_DIRECTORY, 0),
        ("dir", w | os.O_DIRECTORY, errno.EISDIR), ("dir", r | os.O_DIRECTORY | os.O_NOFOLLOW, 0),
        ("fifo", r | nb, 0), ("fifo", rw, 0), ("fifo", w | nb, errno.ENXIO),
        ("fifo", r | os.O_DIRECTORY, errno.ENOTDIR), ("fifo", w | nb | os.O_CREAT, errno.ENXIO),
        ("fifo", rw | os.O_TRUNC | nb, 0),
        ("socket", r, errno.ENXIO), ("socket", w, errno.ENXIO), ("socket", rw, errno.ENXIO),
        ("socket", rw | os.O_CREAT, errno.ENXIO),
        ("char", r | os.O_DIRECTORY, errno.ENOTDIR), ("block", r | os.O_DIRECTORY, errno.ENOTDIR),
        ("symlink", r, errno.ENOENT), ("symlink", r | os.O_NOFOLLOW, errno.ELOOP),
        ("symlink", w | os.O_NOFOLLOW, errno.ELOOP),
        ("symlink", w | os.O_NOFOLLOW | os.O_CREAT, errno.ELOOP),
        ("symlink", r | os.O_NOFOLLOW | os.O_DIRECTORY, errno.ENOTDIR),
        ("symlink", O_PATH | os.O_NOFOLLOW, 0),
        ("absent", r, errno.ENOENT), ("absent", w, errno.ENOENT), ("absent", rw, errno.ENOENT),
        ("absent", r | os.O_DIRECTORY, errno.ENOENT), ("absent", w | os.O_TRUNC, errno.ENOENT),
        ("absent", w | os.O_EXCL, errno.ENOENT), ("absent", w | os.O_APPEND, errno.ENOENT),
    ]
    with Cases() as t:
        for kind, flags, code in table:
            with t.case(kind, oct(flags)):
                if code:
                    fails(code, os.open, d + "/" + kind, flags)
                else:
                    try_open(d + "/" + kind, flags)
        for kind in KINDS:
            with t.case("O_PATH", kind):
                with opened(d + "/" + kind, O_PATH | os.O_NOFOLLOW) as fd:
                    equal(os.fstat(fd).st_ino, inode(d + "/" + kind), "inode")
                    fails(errno.EBADF, os.read, fd, 1)
            with t.case("still what it was", kind):
                equal(kind_of(d + "/" + kind), kind, "kind")
        with t.case("nothing made"):
            equal(sorted(os.listdir(d)), sorted(KINDS), "listing")


def test_create_through_symlinks(m):
    d = area(m)
    os.mkdir(d + "/sub")
    os.symlink("sub/made", d + "/link")
    os.symlink(d + "/sub/made2", d + "/absolute")
    os.symlink("link", d + "/twice")
    os.symlink("none/made", d + "/noparent")
    write_file(d + "/twice", b"by twice")
    equal(read_file(d + "/sub/made"), b"by twice", "target")
    equal(inode(d + "/sub/made"), os.stat(d + "/link").st_ino, "the link leads there")
    write_file(d + "/absolute", b"x")
    equal(read_file(d + "/sub/made2"), b"x", "absolute target")
    fails(errno.ENOENT, os.open, d + "/noparent", os.O_CREAT | os.O_WRONLY)
    fails(errno.ELOOP, os.open, d + "/link", os.O_NOFOLLOW)
    for name in ("link", "twice", "absolute"):
        equal(kind_of(d + "/" + name), "symlink", name)


def test_nofollow_concerns_the_last_component_only(m):
    d = area(m)
    os.mkdir(d + "/sub")
    write_file(d + "/sub/f", b"x")
    os.symlink("sub", d + "/link")
    try_open(d + "/link/f", os.O_RDONLY | os.O_NOFOLLOW)
    try_open(d + "/link/.", os.O_RDONLY | os.O_NOFOLLOW)
    fails(errno.ENOTDIR, os.open, d + "/link", os.O_NOFOLLOW | os.O_DIRECTORY)


def test_truncate_flag(m):
    d = area(m)
    f = d + "/f"
    with Cases() as t:
        for mode in (os.O_WRONLY, os.O_RDWR):
            for old in (b"", b"old value", b"x" * 70000):
                write_file(f, old)
                os.link(f, d + "/g")
                ino = inode(f)
                with t.case(mode, len(old)):
                    with stamps(m, cm=[f], same=[d]):
                        try_open(f, mode | os.O_TRUNC)
                    equal(os.stat(f).st_size, 0, "size")
                    equal(read_file(d + "/g"), b"", "through the other name")
                    equal((inode(f), nlink(f)), (ino, 2), "inode and links")
                os.unlink(d + "/g")


def test_truncate_flag_and_write(m):
    d = area(m)
    f = d + "/f"
    write_file(f, b"a long old value", mode=0o600)
    os.chown(f, 5, 6)
    ino = inode(f)
    with stamps(m, cm=[f], same=[d]):
        write_file(f, b"new")
    equal(read_file(f), b"new", "contents")
    equal((inode(f), mode_of(f), owner_of(f)), (ino, 0o600, (5, 6)), "what a rewrite keeps")
    with opened(f, os.O_RDWR | os.O_TRUNC) as fd:
        equal(os.read(fd, 10), b"", "the truncating handle reads nothing")
        equal(os.fstat(fd).st_size, 0, "its size")


def test_access_modes_are_kept_to(m):
    d = area(m)
    f = d + "/f"
    write_file(f, b"value")
    with opened(f, os.O_RDONLY) as fd:
        fails(errno.EBADF, os.write, fd, b"x")
        fails(errno.EBADF, os.pwrite, fd, b"x", 0)
        fails((errno.EINVAL, errno.EBADF), os.ftruncate, fd, 0)
    with opened(f, os.O_WRONLY) as fd:
        fails(errno.EBADF, os.read, fd, 1)
        fails(errno.EBADF, os.pread, fd, 1, 0)
    with opened(d, os.O_RDONLY) as fd:
        fails(errno.EISDIR, os.read, fd, 1)
        fails(errno.EBADF, os.write, fd, b"x")
        fails((errno.EINVAL, errno.EBADF), os.ftruncate, fd, 0)
    equal(read_file(f), b"value", "contents")


def test_status_flags_of_a_handle(m):
    d = area(m)
    f = d + "/f"
    with opened(f, os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        check(flags & os.O_APPEND, "O_APPEND")
        equal(flags & os.O_ACCMODE, os.O_RDWR, "access mode")
        check(not flags & (os.O_CREAT | os.O_TRUNC), "creation flags do not stay")


def test_append_can_be_switched(m):
    """fcntl(F_SETFL) turns O_APPEND off and on."""
    f = area(m) + "/f"
    write_file(f, b"0123456789")
    with opened(f, os.O_RDWR | os.O_APPEND) as fd:
        os.write(fd, b"A")
        os.lseek(fd, 2, os.SEEK_SET)
        fcntl.fcntl(fd, fcntl.F_SETFL, 0)
        os.write(fd, b"xx")
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, b"B")
    equal(read_file(f), b"01xx456789AB", "contents")


def test_cloexec_and_lowest_descriptor(m):
    f = area(m) + "/f"
    write_file(f, b"")
    fd = os.open(f, os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    again = os.open(f, os.O_RDONLY | os.O_CLOEXEC)
    equal(again, fd, "the lowest free descriptor")
    check(fcntl.fcntl(again, fcntl.F_GETFD) & fcntl.FD_CLOEXEC, "close on exec")
    os.close(again)


def test_permission_to_open(m):
    """The class that fits decides: owner before group before others."""
    d = area(m)
    f = d + "/f"
    write_file(f, b"x")
    os.chown(f, ALICE.uid, ALICE.gid)
    classes = ((ALICE, 6), (CAROL, 3), (DAVE, 3), (BOB, 0))
    wanted = [(os.O_RDONLY, 4), (os.O_WRONLY, 2), (os.O_RDWR, 6), (os.O_RDONLY | os.O_TRUNC, 6),
              (os.O_WRONLY | os.O_APPEND, 2), (os.O_WRONLY | os.O_TRUNC, 2),
              (os.O_WRONLY | os.O_CREAT, 2), (os.O_RDONLY | os.O_NOFOLLOW, 4)]
    modes = sorted({bits << shift for bits in range(8) for shift in (0, 3, 6)}
                   | {0o777 & ~(bits << shift) for bits in range(8) for shift in (0, 3, 6)})

    def attempt(mode, shift):
        bad = []
        for flags, need in wanted:
            try:
                try_open(f, flags)
                ok = True
            except PermissionError as e:
                equal(e.errno, errno.EACCES, "errno")
                ok = False
            if ok != ((mode >> shift) & need == need):
                bad.append((oct(flags), "opened" if ok else "refused"))
        return bad
    with Cases() as t:
        for mode in modes:
            os.chmod(f, mode)
            for user, shift in classes:
                with t.case(oct(mode), user):
                    equal(as_user(user, attempt, mode, shift), [], "wrong")


def test_permission_to_create(m):
    d = area(m, owner=ALICE)
    with Cases() as t:
        for bits in range(8):
            for user, shift in ((ALICE, 6), (DAVE, 3), (BOB, 0)):
                os.chmod(d, bits << shift)
                for excl in (0, os.O_EXCL):
                    with t.case(bits, user, excl):
                        call = (as_user, user, try_open, d + "/f",
                                os.O_CREAT | os.O_WRONLY | excl)
                        if bits & 3 == 3:
                            call[0](*call[1:])
                            equal(owner_of(d + "/f")[0], user.uid, "owner")
                            os.unlink(d + "/f")
                        else:
                            fails(errno.EACCES, *call)
                            check(not exists(d + "/f"), "made all the same")


def test_permission_is_checked_at_open_only(m):
    d = area(m)
    f = d + "/f"
    write_file(f, b"value")
    os.chown(f, ALICE.uid, ALICE.gid)

    def user():
        with opened(f, os.O_RDWR) as fd:
            os.chmod(f, 0)
            equal(os.pread(fd, 10, 0), b"value", "read")
            os.pwrite(fd, b"V", 0)
            os.ftruncate(fd, 3)
            fails(errno.EACCES, os.open, f, os.O_RDONLY)
    as_user(ALICE, user)
    equal(read_file(f), b"Val", "contents")


def test_create_denied_leaves_the_truncated_alone(m):
    """An open that is refused truncates nothing."""
    d = area(m)
    f = d + "/f"
    write_file(f, b"value", mode=0o444)
    with stamps(m, same=[f]):
        fails(errno.EACCES, as_user, ALICE, try_open, f, os.O_WRONLY | os.O_TRUNC)
        fails(errno.EACCES, as_user, ALICE, try_open, f, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        fails(errno.EEXIST, try_open, f, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_TRUNC)
    equal(read_file(f), b"value", "contents")


def test_noatime_flag_is_the_owners(m):
    d = area(m)
    f = d + "/f"
    write_file(f, b"x", mode=0o666)
    os.chown(f, ALICE.uid, ALICE.gid)
    as_user(ALICE, try_open, f, os.O_RDONLY | os.O_NOATIME)
    fails(errno.EPERM, as_user, BOB, try_open, f, os.O_RDONLY | os.O_NOATIME)


def test_open_relative_to_a_descriptor(m):
    d = area(m)
    os.mkdir(d + "/sub")
    with opened(d + "/sub", os.O_RDONLY | os.O_DIRECTORY) as dfd:
        with opened("f", os.O_CREAT | os.O_WRONLY, dir_fd=dfd) as fd:
            os.write(fd, b"1")
        equal(read_file(d + "/sub/f"), b"1", "made there")
        os.rename(d + "/sub", d + "/moved")
        with opened("g", os.O_CREAT | os.O_WRONLY, dir_fd=dfd) as fd:
            os.write(fd, b"2")
        equal(read_file(d + "/moved/g"), b"2", "made where the directory is now")
        with opened(".", os.O_RDONLY, dir_fd=dfd) as fd:
            equal(os.fstat(fd).st_ino, inode(d + "/moved"), "dot")
        with opened("..", os.O_RDONLY, dir_fd=dfd) as fd:
            equal(os.fstat(fd).st_ino, inode(d), "dot dot")
    with opened(d + "/moved/f", os.O_RDONLY) as fd:
        fails(errno.ENOTDIR, os.open, "x", os.O_RDONLY, dir_fd=fd)
    fails(errno.EBADF, os.open, "x", os.O_RDONLY, dir_fd=fd)


def test_tmpfile_is_whole_or_not_offered(m):
    d = area(m)
    try:
        fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError as e:
        check(e.errno in (errno.EOPNOTSUPP, errno.EISDIR), "got %s" % e)
        return
    with os.fdopen(fd, "w+b", buffering=0) as f:
        f.write(b"x")
        equal(os.fstat(fd).st_nlink, 0, "links")
        equal(os.listdir(d), [], "listing")
        linkat_follow("/proc/self/fd/%d" % fd, d + "/f")
        equal(os.fstat(fd).st_nlink, 1, "links after link")
    equal(read_file(d + "/f"), b"x", "contents")


def test_two_handles_have_their_own_positions(m):
    f = area(m) + "/f"
    write_file(f, b"0123456789")
    with opened(f, os.O_RDONLY) as a, opened(f, os.O_RDONLY) as b:
        c = os.dup(a)
        equal(os.read(a, 3), b"012", "a")
        equal(os.read(b, 2), b"01", "b")
        equal(os.read(c, 2), b"34", "a dup shares the position")
        os.close(a)
        equal(os.read(c, 2), b"56", "and outlives the original")
        os.dup2(c, a)
        os.close(c)
        equal(in_child(os.read, a, 1), b"7", "a child shares it too")
        equal(os.read(a, 1), b"8", "after the child read")


def test_dup_writes_are_one_handle(m):
    f = area(m) + "/f"
    with opened(f, os.O_CREAT | os.O_EXCL | os.O_WRONLY) as a:
        b = os.dup(a)
        os.write(a, b"one ")
        os.write(b, b"two ")
        os.close(b)
        os.write(a, b"three")
    equal(read_file(f), b"one two three", "contents")


def test_a_child_writes_through_an_inherited_handle(m):
    f = area(m) + "/f"
    with opened(f, os.O_CREAT | os.O_WRONLY) as fd:
        os.write(fd, b"parent ")
        in_child(os.write, fd, b"child ")
        os.write(fd, b"parent")
    equal(read_file(f), b"parent child parent", "contents")


def test_own_unclosed_key_can_be_statted(m):
    """The process that has it open sees the staged size, by handle and by name."""
    f = area(m) + "/f"
    with opened(f, os.O_CREAT | os.O_RDWR) as fd:
        for size in (0, 5, 4096, 100000):
            os.pwrite(fd, b"x" * size, 0)
            equal(os.fstat(fd).st_size, size, "fstat")
            equal(os.stat(f).st_size, size, "stat")
        equal(os.fstat(fd).st_ino, os.stat(f).st_ino, "one inode number")
    equal(os.stat(f).st_size, 100000, "after close")


def test_fsync_shows_it_to_others(m):
    f = area(m) + "/f"
    with opened(f, os.O_CREAT | os.O_WRONLY) as fd:
        os.write(fd, b"first")
        os.fsync(fd)
        equal(in_child(read_file, f), b"first", "after fsync")
        os.write(fd, b" second")
        os.fdatasync(fd)
        equal(in_child(read_file, f), b"first second", "after fdatasync")
    with opened(os.path.dirname(f), os.O_RDONLY) as fd:
        os.fsync(fd)


def test_trailing_slash(m):
    d = area(m)
    write_file(d + "/f", b"")
    os.mkdir(d + "/sub")
    os.symlink("sub", d + "/link")
    os.symlink("f", d + "/flink")
    with Cases() as t:
        for path, flags, code in (
                ("f/", os.O_RDONLY, errno.ENOTDIR), ("flink/", os.O_RDONLY, errno.ENOTDIR),
                ("sub/", os.O_RDONLY, 0), ("sub//", os.O_RDONLY, 0), ("link/", os.O_RDONLY, 0),
                ("link/", os.O_RDONLY | os.O_NOFOLLOW, 0), ("link/.", os.O_RDONLY, 0),
                ("new/", os.O_CREAT | os.O_WRONLY, errno.EISDIR),
                ("f/.", os.O_RDONLY, errno.ENOTDIR), ("new/", os.O_RDONLY, errno.ENOENT),
                ("sub/.", os.O_CREAT | os.O_RDONLY, errno.EISDIR),
                ("sub/..", os.O_RDONLY, 0), ("f/..", os.O_RDONLY, errno.ENOTDIR)):
            with t.case(path, oct(flags)):
                if code:
                    fails(code, os.open, d + "/" + path, flags)
                else:
                    try_open(d + "/" + path, flags)
    equal(sorted(os.listdir(d)), ["f", "flink", "link", "sub"], "listing")


def test_reopen_through_proc(m):
    """/proc/self/fd/N opens the same file again, whatever its name is now."""
    d = area(m)
    write_file(d + "/f", b"value")
    with opened(d + "/f", os.O_RDONLY) as fd:
        os.rename(d + "/f", d + "/g")
        equal(os.readlink("/proc/self/fd/%d" % fd), d + "/g", "the name now")
        with opened("/proc/self/fd/%d" % fd, os.O_RDWR) as again:
            equal(os.read(again, 10), b"value", "contents")
            os.pwrite(again, b"V", 0)
    equal(read_file(d + "/g"), b"Value", "contents")


def test_many_open_files(m):
    d = area(m)
    fds = []
    for i in range(300):
        fds.append(os.open(d + "/f%d" % i, os.O_CREAT | os.O_RDWR))
        os.write(fds[-1], b"%d" % i)
    for i, fd in enumerate(fds):
        equal(os.pread(fd, 10, 0), b"%d" % i, "own contents")
        os.close(fd)
    equal(len(os.listdir(d)), 300, "entries")
    for i in range(300):
        equal(read_file(d + "/f%d" % i), b"%d" % i, "contents")
        remove(d + "/f%d" % i)


if __name__ == "__main__":
    main(globals())
