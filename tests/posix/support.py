# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What the POSIX cases share: other users, every kind of file, time stamps,
the system calls that os lacks, and tables of small cases.

The cases are written from POSIX.1-2017 and the Linux manual pages. Every one
must pass on ext4 and on tmpfs too (CUBBY_TEST_DIR, see harness.py), run by
root; where the standard allows several results, the one of Linux is meant.
They respect the contract's freedom: what one handle has written is looked at
through another only after close or fsync.
"""
import collections
import contextlib
import ctypes
import errno
import os
import pickle
import signal
import stat
import sys
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from harness import Failure, check, equal   # noqa: E402

# ---------------------------------------------------------------- tables


class Cases:
    """A table's cases: each runs whatever the others did, all failures are
    reported together, and a table that turned out empty is a failure too.

        with Cases() as t:
            for x in ...:
                with t.case("what", x):
                    check(...)
    """

    def __init__(self):
        self.count = 0
        self.failed = []

    def __enter__(self):
        return self

    @contextlib.contextmanager
    def case(self, *what):
        self.count += 1
        try:
            yield
        except Exception as e:
            if "deadline" in str(e):
                raise
            where = traceback.extract_tb(e.__traceback__)[1:2]
            line = where[0].lineno if where else 0
            self.failed.append("%s: %s: %s (line %d)" % (
                " ".join(str(w) for w in what), type(e).__name__, e, line))

    def __exit__(self, kind, value, trace):
        if kind is not None:
            return False
        print("# %d cases" % self.count)
        if self.failed:
            raise Failure("%d of %d cases failed:\n  %s" % (
                len(self.failed), self.count, "\n  ".join(self.failed[:60])))
        check(self.count > 0, "no case ran")
        return False


# ---------------------------------------------------------------- users

class User(collections.namedtuple("User", "name uid gid groups")):
    def become(self):
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)

    def __str__(self):
        return self.name


ALICE = User("alice", 60001, 60001, ())
BOB = User("bob", 60002, 60002, ())
CAROL = User("carol", 60003, 60001, ())             # alice's group is her own
DAVE = User("dave", 60004, 60004, (60001, 60005))   # alice's group is an extra one
EXTRA = 60005                                       # a group that only dave is in
ROOT = User("root", 0, 0, ())


def in_child(function, *args, before=None):
    """Runs function in a child; returns what it returned, or raises its OSError.
    The child's descriptors are closed, and their closing done, on return."""
    sys.stdout.flush()
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            try:
                if before:
                    before()
                reply = ("value", function(*args))
            except OSError as e:
                reply = ("errno", (e.errno, str(e)))
            except BaseException:
                reply = ("text", traceback.format_exc())
            with os.fdopen(w, "wb") as f:
                pickle.dump(reply, f)
        finally:
            os._exit(0)
    os.close(w)
    reaped = False
    try:
        with os.fdopen(r, "rb") as f:
            data = f.read()
        os.waitpid(pid, 0)
        reaped = True
    finally:
        if not reaped:
            os.kill(pid, signal.SIGKILL)
    check(data, "the child said nothing")
    kind, value = pickle.loads(data)
    if kind == "errno":
        raise OSError(*value)
    if kind == "text":
        raise Failure("in the child: " + value)
    return value


def as_user(user, function, *args):
    """function(*args) in a child that is this user and nobody else."""
    return in_child(function, *args, before=user.become)


class Process:
    """A child that runs function(self) beside the test; both sides speak through
    say() and hear() (one byte string each), which is also how they take turns."""

    def __init__(self, function):
        sys.stdout.flush()
        here, there = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                signal.alarm(60)
                os.close(here[1]), os.close(there[0])
                self.inp, self.out = here[0], there[1]
                function(self)
                code = 0
            except BaseException:
                sys.stderr.write(traceback.format_exc())
            finally:
                os._exit(code)
        os.close(here[0]), os.close(there[1])
        self.inp, self.out = there[0], here[1]

    def say(self, word=b"."):
        os.write(self.out, word)

    def hear(self, wanted=None):
        word = os.read(self.inp, 4096)
        if wanted is not None:
            equal(word, wanted, "what the other process said")
        return word

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        os.close(self.out)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.inp)
        if kind is None:
            equal(os.waitstatus_to_exitcode(status), 0, "the other process's exit code")
        return False


# ---------------------------------------------------------------- files

KINDS = ("file", "dir", "fifo", "char", "block", "socket", "symlink")
NOT_DIRS = tuple(k for k in KINDS if k != "dir")
FORMATS = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "fifo": stat.S_IFIFO,
           "char": stat.S_IFCHR, "block": stat.S_IFBLK, "socket": stat.S_IFSOCK,
           "symlink": stat.S_IFLNK}


def make(kind, path, mode=0o644, owner=None):
    """Makes a file of this kind; mode means nothing to a symlink."""
    if kind == "file":
        write_file(path, b"")
    elif kind == "dir":
        os.mkdir(path)
    elif kind == "symlink":
        os.symlink("nowhere", path)
    elif kind in ("char", "block"):
        os.mknod(path, FORMATS[kind] | 0o600, os.makedev(1, 3))
    else:
        os.mknod(path, FORMATS[kind] | 0o600)
    if kind != "symlink":
        os.chmod(path, mode)
    if owner is not None:
        os.lchown(path, owner.uid, owner.gid)
        if kind != "symlink":
            os.chmod(path, mode)
    return path


def remove(path):
    if stat.S_ISDIR(os.lstat(path).st_mode):
        os.rmdir(path)
    else:
        os.unlink(path)


def area(m, name="area", mode=0o755, owner=ROOT):
    """A directory of the test's own: the root has what the contract puts there."""
    return make("dir", m.path(name), mode, owner)


def write_file(path, data, flags=0, mode=0o644):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | flags, mode)
    try:
        if data:
            equal(os.write(fd, data), len(data), "bytes written")
    finally:
        os.close(fd)


def append_file(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def read_file(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while True:
            part = os.read(fd, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(fd)


def try_open(path, flags, mode=0o644):
    """Opens and closes."""
    os.close(os.open(path, flags, mode))


@contextlib.contextmanager
def opened(path, flags, mode=0o644, dir_fd=None):
    fd = os.open(path, flags, mode, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def exists(path):
    return os.path.lexists(path)


def kind_of(path):
    fmt = stat.S_IFMT(os.lstat(path).st_mode)
    return next(k for k, v in FORMATS.items() if v == fmt)


def mode_of(path):
    """The twelve mode bits of a path (not followed) or a descriptor."""
    st = os.fstat(path) if isinstance(path, int) else os.lstat(path)
    return stat.S_IMODE(st.st_mode)


def owner_of(path):
    st = os.fstat(path) if isinstance(path, int) else os.lstat(path)
    return st.st_uid, st.st_gid


def inode(path):
    return os.lstat(path).st_ino


def nlink(path):
    return (os.fstat(path) if isinstance(path, int) else os.lstat(path)).st_nlink


def fails(errno_wanted, function, *args, **keywords):
    """The call must fail with this errno (or one of these)."""
    wanted = errno_wanted if isinstance(errno_wanted, tuple) else (errno_wanted,)
    names = "/".join(errno.errorcode[w] for w in wanted)
    try:
        function(*args, **keywords)
    except OSError as e:
        if e.errno not in wanted:
            raise Failure("got %s, wanted %s" % (
                errno.errorcode.get(e.errno, e.errno), names)) from e
    else:
        raise Failure("succeeded, wanted %s" % names)


# ---------------------------------------------------------------- time stamps

def _stat(what):
    return os.fstat(what) if isinstance(what, int) else os.lstat(what)


def let_clock_move(m, *what):
    """Returns when a change made now gets a later stamp than these files have."""
    probe = m.path("clock")
    if not exists(probe):
        os.mknod(probe, stat.S_IFREG | 0o600)
    newest = max(_stat(w).st_ctime_ns for w in what)     # mtime is no later, unless set
    for _ in range(1000000):
        os.chmod(probe, 0o600)
        if os.lstat(probe).st_ctime_ns > newest:
            return
    raise Failure("the clock stands still")


@contextlib.contextmanager
def stamps(m, **groups):
    """The block must change exactly these time stamps:

        with stamps(m, cm=[directory], c=[file], same=[other]):

    c: ctime only, m: mtime only, cm: both, same: neither, c_: ctime and perhaps
    mtime. An item is a path (not followed), a descriptor, or a pair (name
    before, name after).
    """
    items = []
    for letters, paths in groups.items():
        for p in paths:
            old, new = p if isinstance(p, tuple) else (p, p)
            items.append((letters, old, new))
    let_clock_move(m, *[old for _, old, _ in items])
    before = [_stat(old) for _, old, _ in items]
    yield
    for (letters, _, new), was in zip(items, before):
        now = _stat(new)
        for letter, field in (("c", "st_ctime_ns"), ("m", "st_mtime_ns")):
            a, b = getattr(was, field), getattr(now, field)
            if letters != "same" and letter in letters:
                check(b > a, "%s of %s did not move on (%d, then %d)" % (field, new, a, b))
            elif letters != "c_":
                check(b == a, "%s of %s changed" % (field, new))


# ---------------------------------------------------------------- system calls

libc = ctypes.CDLL(None, use_errno=True)
libc.telldir.restype = ctypes.c_long
libc.opendir.restype = libc.fdopendir.restype = ctypes.c_void_p
libc.readdir64.restype = ctypes.c_void_p
for _f in (libc.getxattr, libc.lgetxattr, libc.fgetxattr, libc.listxattr,
           libc.llistxattr, libc.getdents64, libc.pwrite64):
    _f.restype = ctypes.c_ssize_t

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2


def checked(result):
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def renameat2(old, new, flags, old_dir=AT_FDCWD, new_dir=AT_FDCWD):
    checked(libc.renameat2(old_dir, os.fsencode(old), new_dir, os.fsencode(new), flags))


def linkat_follow(old, new):
    """linkat(2) with AT_SYMLINK_FOLLOW (os.link does not pass it on)."""
    checked(libc.linkat(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), 0x400))


def utimensat(path, atime, mtime, follow=True, dir_fd=AT_FDCWD):
    """atime and mtime: (seconds, nanoseconds). A path that is a descriptor: futimens."""
    times = (ctypes.c_long * 4)(*atime, *mtime)
    if isinstance(path, int):
        checked(libc.futimens(path, times))
    else:
        checked(libc.utimensat(dir_fd, os.fsencode(path), times,
                               0 if follow else AT_SYMLINK_NOFOLLOW))


def getxattr_into(path, name, size):
    """The raw call: returns (result, bytes in the buffer)."""
    buffer = ctypes.create_string_buffer(size) if size else None
    n = checked(libc.getxattr(os.fsencode(path), name, buffer, ctypes.c_size_t(size)))
    return n, buffer.raw[:n] if buffer else b""


def listxattr_into(path, size):
    buffer = ctypes.create_string_buffer(size) if size else None
    n = checked(libc.listxattr(os.fsencode(path), buffer, ctypes.c_size_t(size)))
    return n, buffer.raw[:n] if buffer else b""


Entry = collections.namedtuple("Entry", "ino offset type name")
DT = {"fifo": 1, "char": 2, "dir": 4, "block": 6, "file": 8, "symlink": 10, "socket": 12}


def getdents(fd, size=32768):
    """One getdents64(2): a list of Entry, empty at the end."""
    buffer = ctypes.create_string_buffer(size)
    n = checked(libc.getdents64(fd, buffer, ctypes.c_size_t(size)))
    entries, at, raw = [], 0, buffer.raw
    while at < n:
        length = int.from_bytes(raw[at + 16:at + 18], sys.byteorder)
        entries.append(Entry(int.from_bytes(raw[at:at + 8], sys.byteorder),
                             int.from_bytes(raw[at + 8:at + 16], sys.byteorder, signed=True),
                             raw[at + 18], raw[at + 19:at + length].split(b"\0")[0]))
        at += length
    return entries


def all_dents(fd, size=32768):
    entries = []
    while True:
        part = getdents(fd, size)
        if not part:
            return entries
        entries += part


class Directory:
    """opendir(3) and its family."""

    def __init__(self, path):
        self.stream = libc.opendir(os.fsencode(path))
        if not self.stream:
            checked(-1)
        self.stream = ctypes.c_void_p(self.stream)

    def read(self):
        """The next name, or None."""
        ctypes.set_errno(0)
        at = libc.readdir64(self.stream)
        if not at:
            if ctypes.get_errno():
                checked(-1)
            return None
        return ctypes.string_at(at + 19)

    def read_all(self):
        return list(iter(self.read, None))

    def tell(self):
        return libc.telldir(self.stream)

    def seek(self, position):
        libc.seekdir(self.stream, ctypes.c_long(position))

    def rewind(self):
        libc.rewinddir(self.stream)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        libc.closedir(self.stream)
