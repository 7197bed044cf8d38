# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What the kernel remembers of names and attributes is never another than what the daemon would
answer, and it is remembered: a stat of a known key asks nobody.

stat(2) is what is remembered, if it is; statx(2) with AT_STATX_FORCE_SYNC asks the daemon."""
import contextlib
import ctypes
import errno
import mmap
import os
import random
import re
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from crew import Crew, numbers
from harness import Failure, check, deadline, equal, main, mount_only, options, raises, wait_for
from worker import kill_and_wait, kill_worker

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_STATX_FORCE_SYNC, AT_SYMLINK_NOFOLLOW = -100, 0x2000, 0x100
STATX_BASIC_STATS = 0x7ff
# of struct statx: nlink, uid, gid, mode, ino, size, blocks; ctime, mtime
LAYOUT = struct.Struct("=16x I I I H 2x Q Q Q 8x 16x 16x q I 4x q I 4x")


def asked(path):
    """(mode, nlink, uid, gid, size, blocks, mtime, ctime) as the daemon has it; None: gone."""
    buffer = ctypes.create_string_buffer(256)
    if LIBC.statx(AT_FDCWD, os.fsencode(path), AT_STATX_FORCE_SYNC | AT_SYMLINK_NOFOLLOW,
                  STATX_BASIC_STATS, buffer) != 0:
        error = ctypes.get_errno()
        if error in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise OSError(error, os.strerror(error), path)
    nlink, uid, gid, mode, ino, size, blocks, cs, cn, ms, mn = LAYOUT.unpack_from(buffer)
    return (mode, nlink, uid, gid, ino, size, blocks, ms * 10**9 + mn, cs * 10**9 + cn)


def remembered(path):
    try:
        st = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_ino, st.st_size, st.st_blocks,
            st.st_mtime_ns, st.st_ctime_ns)


def agree(*paths):
    for path in paths:
        equal(remembered(path), asked(path), path)


def requests(m):
    """Of this process, by name. (Releases are nobody's.)"""
    with open(m.log, errors="replace") as f:
        return re.findall(r"unique: \d+, opcode: (\w+) .*, pid: %d\n" % os.getpid(), f.read())


@contextlib.contextmanager
def asks(m, *names):
    """It makes these, in this order."""
    before = len(requests(m))
    yield
    equal(requests(m)[before:], list(names), "requests")


def settled(m, path):
    """Until it is remembered: the announcements of what was done are through."""
    def is_remembered():
        before = len(requests(m))
        os.stat(path)
        return len(requests(m)) == before
    wait_for(is_remembered, 5, "a stat that asks nobody")


def make(path, value="v"):
    with open(path, "w") as f:
        f.write(value)


@mount_only
@options("debug")
def test_who_is_asked(m):
    os.mkdir(m.path("d"))
    key = m.path("d", "k")
    make(key)
    settled(m, key)
    with asks(m):
        for _ in range(100):
            os.stat(key)
            os.access(key, os.R_OK)
    with asks(m, "OPEN", "READ"):
        fd = os.open(key, os.O_RDONLY)
        os.read(fd, 100)
        os.close(fd)
    with asks(m, "GETATTR"):
        os.stat(key)        # the time of access
        os.stat(key)
    with asks(m, "LOOKUP", "LOOKUP"):
        check(not os.path.exists(m.path("d/none")), "a name that is not there")
        check(not os.path.exists(m.path("d/none")), "a name that is not there")
    make(key, "other")
    settled(m, key)
    with asks(m):
        equal(os.stat(key).st_size, 5)
    os.setxattr(key, "user.cubby.ttl", b"1000")

    def is_forgotten():
        before = len(requests(m))
        os.stat(key)
        return requests(m)[before:] == ["LOOKUP", "GETATTR"]
    wait_for(is_forgotten, 5, "a key that ends by itself, and is not remembered")


def bind(source, target):
    subprocess.run(["mount", "--bind", source, target], check=True)


@mount_only
def test_after_each_change(m):
    """Whatever changes, and by whichever way: it is remembered before, and right after."""
    os.mkdir(m.path("d"))
    key, link, top = m.path("d/k"), m.path("d/l"), m.path("d")
    make(key, "1")
    os.link(key, link)
    fd = os.open(key, os.O_RDWR)

    def through(flags, what):
        handle = os.open(key, flags)
        what(handle)
        os.close(handle)

    def map_and_write():
        with mmap.mmap(fd, 0) as mapping:
            mapping[0:1] = b"7"
            mapping.flush()

    changes = {
        "set": lambda: make(key, "value"),
        "empty": lambda: through(os.O_WRONLY | os.O_TRUNC, lambda handle: None),
        "append": lambda: through(os.O_WRONLY | os.O_APPEND, lambda handle: os.write(handle, b"more")),
        "write at": lambda: through(os.O_WRONLY, lambda handle: os.pwrite(handle, b"x", 100)),
        "kept": lambda: (os.pwrite(fd, b"y", 7), os.fsync(fd)),
        "truncate": lambda: os.truncate(key, 1),
        "ftruncate": lambda: (os.ftruncate(fd, 3), os.fsync(fd)),
        "fallocate": lambda: (os.posix_fallocate(fd, 0, 50), os.fsync(fd)),
        "number": lambda: make(key, "1"),
        "increment": lambda: os.setxattr(key, "user.cubby.increment", b"1000"),
        "update": lambda: os.setxattr(key, "user.cubby.update", b'[{"type":"set","value":12345678}]'),
        "cas": lambda: os.setxattr(key, "user.cubby.cas",
                                   os.getxattr(key, "user.cubby.revision") + b":swapped"),
        "map": map_and_write,
        "chmod": lambda: os.chmod(key, 0o600),
        "set-uid": lambda: os.chmod(key, 0o4755),
        "chown": lambda: os.chown(key, 1000, 1000),
        "touch": lambda: os.utime(key, ns=(1, 2)),
        "xattr": lambda: os.setxattr(key, "user.x", b"y"),
        "link": lambda: os.link(key, m.path("d/third")),
        "unlink": lambda: os.unlink(m.path("d/third")),
        "rename": lambda: os.rename(link, m.path("d/m")),
        "back": lambda: os.rename(m.path("d/m"), link),
        "make": lambda: make(m.path("d/new")),
        "over": lambda: os.rename(m.path("d/new"), link),
        "mkdir": lambda: os.mkdir(m.path("d/n")),
        "move a namespace": lambda: os.rename(m.path("d/n"), m.path("n")),
        "and back": lambda: os.rename(m.path("n"), m.path("d/n")),
        "rmdir": lambda: os.rmdir(m.path("d/n")),
        "policy": lambda: os.setxattr(top, "user.cubby.max_keys", b"100"),
        "exclusively": lambda: os.close(os.open(m.path("d/x"), os.O_CREAT | os.O_EXCL)),
        "ttl": lambda: os.setxattr(key, "user.cubby.ttl", b"100"),
        "forever": lambda: os.removexattr(key, "user.cubby.ttl"),
        "end": lambda: os.setxattr(m.path("d/x"), "user.cubby.ttl", b"0"),
    }
    paths = (m.dir, top, key, link, m.path("d/m"), m.path("d/n"), m.path("n"), m.path("d/x"))
    for name, change in changes.items():
        for turn in range(2):       # the second time all is remembered
            try:
                agree(*paths)
            except Failure as e:
                raise Failure("before %s: %s" % (name, e)) from e
        change()
        try:
            agree(*paths)
            equal(os.fstat(fd).st_ino, os.stat(key).st_ino)
        except Failure as e:
            raise Failure("after %s: %s" % (name, e)) from e
    os.close(fd)


@mount_only
def test_a_name_that_gets_a_deadline(m):
    """From its deadline on it is gone, though everything of it was remembered."""
    os.mkdir(m.path("d"))
    os.mkdir(m.path("d/n"))
    for i in range(20):
        key = m.path("d/k%d" % i)
        make(key)
        agree(key)
        os.setxattr(key, "user.cubby.ttl", b"0.1")
        end = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 100_000_000
        os.stat(key)
        while time.clock_gettime_ns(time.CLOCK_BOOTTIME) < end:
            pass
        for look in (os.stat, os.listdir, lambda p: os.open(p, os.O_RDONLY),
                     lambda p: os.access(p, os.F_OK) or os.stat(p), os.readlink, os.unlink):
            with raises(errno.ENOENT, "%d" % i):
                look(key)


@mount_only
def test_what_is_moved_to_where_all_ends(m):
    """A namespace that is remembered, with all that is in it, becomes a lock and expires."""
    os.mkdir(m.path("d"))
    make(m.path("d/k"))
    os.setxattr(m.path("locks"), "user.cubby.lock_ttl", b"0.3")
    inside = os.open(m.path("d"), os.O_PATH)
    agree(m.path("d/k"))
    r = LIBC.renameat2(AT_FDCWD, os.fsencode(m.path("d")), AT_FDCWD,
                       os.fsencode(m.path("locks/d")), 1)
    equal(r, 0, "renameat2")
    end = time.monotonic() + 0.3
    os.stat("k", dir_fd=inside)
    while time.monotonic() < end:
        pass
    with raises(errno.ENOENT):
        os.stat("k", dir_fd=inside)
    with raises(errno.ENOENT):
        os.stat(m.path("locks/d/k"))
    os.close(inside)


@mount_only
def test_a_lock_that_is_released_at_once(m):
    """A key that is remembered becomes a lock by a rename, and is released before its name has been
    looked up anew."""
    for i in range(500):
        key, lock = m.path("k%d" % i), m.path("locks/l%d" % i)
        make(key)
        agree(key)
        equal(LIBC.renameat2(AT_FDCWD, os.fsencode(key), AT_FDCWD, os.fsencode(lock), 1), 0,
              "renameat2")
        os.setxattr(lock, "user.cubby.release", os.getxattr(lock, "user.cubby.token"))
        for look in (os.stat, lambda p: os.close(os.open(p, os.O_RDONLY))):
            with raises(errno.ENOENT, "lock %d" % i):
                look(lock)


@mount_only
def test_a_mount_on_a_key_stays(m):
    """What is remembered no more is asked for, and not dropped together with what is mounted on
    it."""
    make(m.path("k"))
    make(m.path("other"), "what is mounted")
    bind(m.path("other"), m.path("k"))
    try:
        fd = os.open(m.dir, os.O_RDONLY)
        for i in range(3):
            os.setxattr(m.path("other"), "user.cubby.ttl", b"100")
            os.removexattr(m.path("other"), "user.cubby.ttl")
            make(m.path("j%d" % i))
            with open(m.path("k")) as f:
                equal(f.read(), "what is mounted")
        os.close(fd)
    finally:
        subprocess.run(["umount", m.path("k")], check=True)


NAMES = ("a", "b", "c", "n", "x.lock")
PLACES = ("", "d", "d/n", "locks")


def anything(m, seed, stop):
    """All that users may do, at random, on the same few names as others."""
    rng = random.Random(seed)
    path = lambda: m.path(rng.choice(PLACES), rng.choice(NAMES))
    count = 0
    while not stop[0]:
        count += 1
        key = path()
        try:
            match rng.randrange(16):
                case 0 | 1:
                    make(key, "v" * rng.randrange(50))
                case 2:
                    with open(key, "a") as f:
                        f.write("more")
                case 3:
                    os.unlink(key)
                case 4:
                    os.mkdir(key)
                case 5:
                    os.rmdir(key)
                case 6:
                    os.rename(key, path())
                case 7:
                    LIBC.renameat2(AT_FDCWD, os.fsencode(key), AT_FDCWD, os.fsencode(path()),
                                   rng.choice((1, 2)))
                case 8:
                    os.link(key, path())
                case 9:
                    os.chmod(key, rng.choice((0o700, 0o755, 0o4755)))
                case 10:
                    os.setxattr(key, "user.cubby.ttl", b"%f" % rng.uniform(0, 0.3))
                case 11:
                    os.removexattr(key, "user.cubby.ttl")
                case 12:
                    os.setxattr(key, "user.cubby.increment", b"1")
                case 13:
                    os.close(os.open(key, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                case 14:
                    os.truncate(key, rng.randrange(20))
                case 15:
                    list(os.scandir(os.path.dirname(key)))
        except OSError as e:
            if e.errno == errno.EIO:
                raise
        for _ in range(3):
            remembered(path())
    return count


def quiet(m):
    """Nothing has a deadline any more, so that nothing changes by itself."""
    for top, directories, files in os.walk(m.dir):
        if ".cubby" in directories:
            directories.remove(".cubby")
        for name in files + directories:
            with contextlib.suppress(OSError):
                os.removexattr(os.path.join(top, name), "user.cubby.ttl")


def all_agree(m):
    """(Asking makes it remembered, so there is one try only.)"""
    for place in PLACES:
        agree(*[m.path(place, name) for name in NAMES], m.path(place))
        if os.path.isdir(m.path(place)):
            equal({name for name in NAMES if remembered(m.path(place, name))},
                  set(os.listdir(m.path(place))) & set(NAMES), "names in " + place)


@mount_only
@deadline(180)
def test_many_at_once(m):
    """Processes that do anything, workers that are killed in between; whenever all are quiet, what
    is remembered is what there is."""
    for directory in ("d", "d/n"):
        os.mkdir(m.path(directory))
    count = 0
    for turn in range(6):
        stop = numbers(1)
        with Crew() as crew:
            for i in range(3):
                crew.fork(anything, m, turn * 10 + i, stop)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                time.sleep(0.2)
                if turn % 3 == 2:
                    kill_worker(m)
            stop[0] = 1
            count += sum(crew.join(30))
        wait_for(lambda: m.stats(), 20, "stats")
        quiet(m)
        all_agree(m)
    check(count > 500, "%d rounds" % count)


@mount_only
def test_after_a_new_worker(m):
    os.mkdir(m.path("d"))
    make(m.path("d/k"), "1")
    agree(m.path("d/k"))
    for i in range(3):
        kill_and_wait(m)
        agree(m.dir, m.path("d"), m.path("d/k"))
        os.setxattr(m.path("d/k"), "user.cubby.increment", b"100")
        agree(m.dir, m.path("d"), m.path("d/k"))
        make(m.path("d/k"), "1")
        agree(m.dir, m.path("d"), m.path("d/k"))


if __name__ == "__main__":
    main(globals())
