#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Locks: names made exclusively in a lock namespace. How they are taken, kept,
lost and given back, and that nothing else ever gets a TTL. (DESIGN.md 1.5.)

Deadlines are checked exactly. Where one can be read, from `expires`; else from
the clock that does not stop (CLOCK_BOOTTIME) before and after the call that
started the TTL: what ends before the earliest deadline finds the lock, what
starts after the latest finds nothing.
"""
import contextlib
import ctypes
import datetime
import errno
import itertools
import json
import mmap
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (CUBBY as CUBBY_TOOL, CUBBYFS, Failure, Skip, check, deadline, equal,
                     is_mounted, main, mount_only, options, raises, unmounted, wait_for)
from crew import Crew, barrier
from inotify import CREATE, DELETE, DELETE_SELF, Inotify
from test_events import Stream
from watcher import Watcher

CUBBY = "user.cubby."
USER = 65534
# expires has microseconds, a float of time() a quarter of one; and the real-time
# clock may be slewed against the other
ROUNDING = 2e-6
SLEW = 2e-3

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
number = itertools.count()


def fresh():
    """A part of a name that no other process uses."""
    return "%d-%d" % (os.getpid(), next(number))


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), new)


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def when(text):
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text),
          "no RFC 3339 time with microseconds: %r" % text)
    return datetime.datetime.fromisoformat(text).timestamp()


def expires(m, name):
    return when(m.get(name, "expires"))


def token(m, name):
    text = m.get(name, "token")
    check(re.fullmatch(r"[1-9]\d*", text), "token: %r" % text)
    return int(text)


def setx(path, attribute, value):
    os.setxattr(path, CUBBY + attribute, str(value).encode())


def there(path):
    try:
        os.lstat(path)
        return True
    except FileNotFoundError:
        return False


def wait_until(moment):
    """Of the real-time clock."""
    while True:
        left = moment - time.time()
        if left < 0:
            return
        time.sleep(max(0.0, left - 0.001))


def ends(path, earliest, latest, look=there):
    """It is there until a moment between the two, by now(), and is gone from then on."""
    while True:
        start = now()
        found = look(path)
        end = now()
        if not found:
            check(end > earliest - ROUNDING, "%s: gone %.6f s too early" % (path, earliest - end))
            return
        check(start < latest + ROUNDING, "%s: found %.6f s too late" % (path, start - latest))
        time.sleep(0.004)


def stays(m, names, seconds):
    """For two TTLs, say: nothing happens."""
    end = now() + seconds
    while now() < end:
        for name in names:
            check(there(m.path(name)), "%s has gone" % name)
        time.sleep(0.05)


def ordinary(m, name):
    """No lock, and nothing with a deadline."""
    for attribute in ("ttl", "expires", "token", "holder"):
        with raises(errno.ENODATA, "%s of %s" % (attribute, name)):
            m.get(name, attribute)


def ordinary_quietly(m, name):
    try:
        ordinary(m, name)
        return True
    except Failure:
        return False


def gone(m, name):
    """For everyone, whatever way he looks."""
    path = m.path(name)
    directory, base = os.path.split(path)
    for what, look in (("open", lambda: os.open(path, os.O_RDONLY)),
                       ("stat", lambda: os.stat(path)),
                       ("lstat", lambda: os.lstat(path)),
                       ("readlink", lambda: os.readlink(path)),
                       ("listing", lambda: os.listdir(path)),
                       ("getxattr", lambda: os.getxattr(path, "user.cubby.token")),
                       ("refresh", lambda: setx(path, "refresh", 1)),
                       ("release", lambda: setx(path, "release", 1)),
                       ("utime", lambda: os.utime(path, follow_symlinks=False)),
                       ("chmod", lambda: os.chmod(path, 0o644)),
                       ("rename", lambda: os.rename(path, path + ".x")),
                       ("link", lambda: os.link(path, path + ".x", follow_symlinks=False)),
                       ("unlink", lambda: os.unlink(path)),
                       ("rmdir", lambda: os.rmdir(path))):
        with raises(errno.ENOENT, "%s of an expired lock" % what):
            look()
    check(base not in os.listdir(directory), "an expired lock is listed")


# --- the ways to take one --------------------------------------------------------------------

def exclusive(path, flags=os.O_WRONLY, mode=0o644):
    return os.open(path, os.O_CREAT | os.O_EXCL | flags, mode)


def take_exclusive(m, path):
    os.close(exclusive(path))


def take_written(m, path):
    """The content comes with the close, as from `set -o noclobber; echo $$ > lock`."""
    fd = exclusive(path)
    os.write(fd, b"%d\n" % os.getpid())
    os.close(fd)


def take_shell(m, path):
    r = subprocess.run(["sh", "-c", 'set -C; echo $$ > "$1"', "sh", path], capture_output=True)
    if r.returncode:
        raise FileExistsError(errno.EEXIST, r.stderr.decode())


def take_directory(m, path):
    os.mkdir(path)


def take_mknod(m, path):
    os.mknod(path, stat.S_IFREG | 0o644)


def take_fifo(m, path):
    os.mknod(path, stat.S_IFIFO | 0o644)


def source(m, *names):
    """A key outside of the lock namespace."""
    path = m.path(*names, "source" + fresh())
    with open(path, "w") as f:
        f.write("from elsewhere")
    return path


def take_link(m, path):
    temporary = source(m)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def take_link_beside(m, path):
    """liblockfile: a temporary name in the same directory, linked, and removed."""
    temporary = "%s.%s" % (path, fresh())
    take_written(m, temporary)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def take_symlink(m, path):
    os.symlink("pid:%d" % os.getpid(), path)


def take_rename(m, path):
    temporary = source(m)
    try:
        renameat2(temporary, path, RENAME_NOREPLACE)
    except OSError:
        os.unlink(temporary)
        raise


def take_renamed_directory(m, path):
    temporary = m.path("dir" + fresh())
    os.mkdir(temporary)
    try:
        renameat2(temporary, path, RENAME_NOREPLACE)
    except OSError:
        os.rmdir(temporary)
        raise


WAYS = {
    "exclusive": take_exclusive,
    "written": take_written,
    "shell": take_shell,
    "directory": take_directory,
    "mknod": take_mknod,
    "fifo": take_fifo,
    "link": take_link,
    "link beside": take_link_beside,
    "symlink": take_symlink,
    "rename": take_rename,
    "renamed directory": take_renamed_directory,
}
# Linux's VFS has no user.* attributes on these.
MUTE = ("fifo", "symlink")


def namespace(m, name="l", ttl=None, **policy):
    os.mkdir(m.path(name))
    if ttl is not None:
        m.set(name, "lock_ttl", ttl)
    for attribute, value in policy.items():
        m.set(name, attribute, value)
    return name


@mount_only
def test_each_way(m):
    """Has a TTL and a token, says who holds it, is gone at its deadline and not before,
    can be taken anew at once, with a greater token."""
    ttl = 0.8
    namespace(m, ttl=ttl)
    taken, tokens = {}, {}
    last = 0
    for turn in range(2):
        for way, take in WAYS.items():
            path = m.path("l", way)
            before = now()
            at = time.time()
            take(m, path)
            after = now()
            taken[way] = before + ttl, after + ttl
            if way in MUTE:
                continue
            name = "l/" + way
            tokens[way] = token(m, name)
            check(tokens[way] > last, "%s: token %d after %d" % (way, tokens[way], last))
            last = tokens[way]
            left = float(m.get(name, "ttl"))
            check(0 < left <= ttl, "%s: ttl %f" % (way, left))
            check(at + ttl - SLEW <= expires(m, name) <= time.time() + ttl,
                  "%s: expires %s" % (way, m.get(name, "expires")))
            check(abs(when(m.get(name, "created")) - at) < 60, "created")
            holder = json.loads(m.get(name, "holder"))
            check("\n" not in m.get(name, "holder"), "a holder of more than one line")
            equal((holder["uid"], holder["host"]), (os.getuid(), os.uname().nodename), "holder")
            if way == "shell":
                equal((holder["pid"], holder["command"]), (int(m.read(name)), "sh"), "holder")
            else:
                with open("/proc/self/comm") as f:
                    equal((holder["pid"], holder["command"]), (os.getpid(), f.read().strip()),
                          "holder of " + way)
        equal(m.stats()["locks"], len(WAYS), "locks in stats")
        for way, (earliest, latest) in taken.items():
            ends(m.path("l", way), earliest, latest)
        for way in WAYS:
            gone(m, "l/" + way)
        equal(os.listdir(m.path("l")), [], "the listing")
        equal(m.stats()["locks"], 0, "locks in stats")


@mount_only
def test_token_is_the_revision(m):
    """Of the acquisition. What is written later does not change it."""
    for way in ("exclusive", "directory", "mknod", "link", "rename"):
        before = m.stats()["revision"]
        WAYS[way](m, m.path("locks", way))
        mine = token(m, "locks/" + way)
        check(before < mine <= m.stats()["revision"], "%s: token %d" % (way, mine))
        if way in ("exclusive", "directory", "mknod"):
            equal(int(m.get("locks/" + way, "revision")), mine, "revision of " + way)
    fd = exclusive(m.path("locks/k"))
    mine = token(m, "locks/k")      # known from the first moment
    equal(os.getxattr(fd, CUBBY + "token"), b"%d" % mine, "by the descriptor")
    os.write(fd, b"content")
    os.close(fd)
    equal((token(m, "locks/k"), m.read("locks/k")), (mine, b"content"), "after the close")
    m.write("locks/k", "rewritten")
    os.chmod(m.path("locks/k"), 0o600)
    os.utime(m.path("locks/k"))
    equal(token(m, "locks/k"), mine, "after changes")
    check(int(m.get("locks/k", "revision")) > mine, "revision")


@mount_only
def test_held(m):
    """EEXIST for whoever tries, whatever the way, and nothing about the lock changes."""
    for held, take in WAYS.items():
        take(m, m.path("locks", held))
    attributes = ("token", "holder", "expires", "revision")
    seen = {}
    for held in WAYS:
        if held not in MUTE:
            seen[held] = [m.get("locks/" + held, a) for a in attributes]
    for held in WAYS:
        for way, take in WAYS.items():
            if (way, held) == ("shell", "fifo"):
                continue        # noclobber is for files: the shell opens a fifo, and waits
            with raises(errno.EEXIST, "%s onto %s" % (way, held)):
                take(m, m.path("locks", held))
        with raises(errno.EEXIST, "a lock, renamed onto %s" % held):
            renameat2(m.path("locks/fifo" if held != "fifo" else "locks/symlink"),
                      m.path("locks", held), RENAME_NOREPLACE)
    for held in seen:
        equal([m.get("locks/" + held, a) for a in attributes], seen[held], "the lock by " + held)
    equal(sorted(os.listdir(m.path("locks"))), sorted(WAYS), "the listing")


@mount_only
def test_other_errors(m):
    """Whatever else is wrong with the attempt: what a local file system says."""
    os.mkdir(m.path("locks/d"))
    with raises(errno.ENAMETOOLONG, "too long"):
        exclusive(m.path("locks", "x" * 256))
    with raises(errno.ENOENT, "a directory that is not there"):
        exclusive(m.path("locks/none/k"))
    with raises(errno.ENOENT, "a link to nothing"):
        os.link(m.path("none"), m.path("locks/k"))
    with raises(errno.EPERM, "a link to a directory"):
        os.link(m.path("locks/d"), m.path("locks/k"))
    check(not there(m.path("locks/k")), "it has been made")


@mount_only
def test_what_takes_none(m):
    """Creation that is not exclusive, a plain rename; names elsewhere; what is in a lock
    directory."""
    namespace(m, ttl="0.3")
    subprocess.run(["sh", "-c", 'echo x > "$1/echo"; : > "$1/colon"; echo y >> "$1/append"',
                    "sh", m.path("l")], check=True)
    subprocess.run(["touch", m.path("l/touch")], check=True)
    os.rename(source(m), m.path("l/rename"))
    temporary = m.path("dir")
    os.mkdir(temporary)
    os.rename(temporary, m.path("l/renamed directory"))
    names = ["l/" + n for n in ("echo", "colon", "append", "touch", "rename", "renamed directory")]
    for name in names:
        ordinary(m, name)
        with raises(errno.EEXIST, "made exclusively where an ordinary key is"):
            exclusive(m.path(name))
    # policies are not inherited
    os.mkdir(m.path("l/sub"))
    os.removexattr(m.path("l/sub"), CUBBY + "ttl")
    os.mkdir(m.path("plain"))
    for directory in ("l/sub", "plain", ""):
        for way, take in WAYS.items():
            name = os.path.join(directory, "free-" + way)
            take(m, m.path(name))
            if way not in MUTE:
                ordinary(m, name)
            names.append(name)
    equal(m.stats()["locks"], 0, "locks in stats")
    stays(m, names, 0.7)
    # mv(1) tries RENAME_NOREPLACE first, so it takes the lock; onto a name that is there it
    # replaces, and what it has brought is an ordinary key
    subprocess.run(["mv", source(m), m.path("l/mv")], check=True)
    token(m, "l/mv")
    m.set("l", "lock_ttl", "30")
    take_exclusive(m, m.path("l/over"))
    os.rename(source(m), m.path("l/over"))
    ordinary(m, "l/over")
    equal(m.read("l/over"), b"from elsewhere", "value")


@mount_only
def test_copies_stay_whole(m):
    """cp, tar, rsync and git create exclusively too. Where nobody asked for locks, nothing
    gets a TTL, whatever it is called."""
    os.makedirs(m.scratch.path("tree/sub"))
    files = ("Cargo.lock", "yarn.lock", "sub/poetry.lock", "sub/a", ".lock")
    for name in files:
        with open(m.scratch.path("tree", name), "w") as f:
            f.write(name)
    os.symlink("yarn.lock", m.scratch.path("tree/link.lock"))
    os.mkdir(m.path("by"))
    subprocess.run(["bash", "-c", COPY, "bash", m.path("by")], check=True, cwd=m.scratch.top)
    for way in os.listdir(m.path("by")):
        for name in files:
            equal(m.read("by/%s/%s" % (way, name)), name.encode(), "value")
            ordinary(m, "by/%s/%s" % (way, name))
        equal(os.readlink(m.path("by", way, "link.lock")), "yarn.lock", "symlink")
        for directory, _, names in os.walk(m.path("by", way)):
            for name in names:
                if not os.path.islink(os.path.join(directory, name)):
                    ordinary(m, os.path.join(directory, name))
    equal(m.stats()["locks"], 0, "locks in stats")


# --- where -----------------------------------------------------------------------------------

@mount_only
def test_the_locks_of_a_new_store(m):
    st = os.stat(m.path("locks"))
    equal((stat.S_IMODE(st.st_mode), st.st_uid), (0o1777, os.getuid()), "mode and owner of locks/")
    equal(float(m.get("locks", "lock_ttl")), 30.0, "lock_ttl")
    take_directory(m, m.path("locks/k"))
    check(29 < float(m.get("locks/k", "ttl")) <= 30, "ttl")
    os.rmdir(m.path("locks/k"))

    def user():
        os.setgid(USER)
        os.setuid(USER)
        take_written(m, m.path("locks/theirs"))
        equal(json.loads(m.get("locks/theirs", "holder"))["uid"], USER, "uid of the holder")
        with raises(errno.EEXIST, "held"):
            take_directory(m, m.path("locks/theirs"))
        with raises(errno.EEXIST, "held"):
            take_directory(m, m.path("locks/root's"))
        for act in (os.unlink, lambda p: os.rename(p, p + ".x")):
            with raises(errno.EPERM, "another's lock in a sticky directory"):
                act(m.path("locks/root's"))
    take_exclusive(m, m.path("locks/root's"))
    with Crew() as crew:
        crew.fork(user)
        crew.join()
    # it is a namespace as any other: who removes it has it removed
    shutil.rmtree(m.path("locks"))
    m.remount()
    check(not there(m.path("locks")), "locks/ has come back")


@mount_only
def test_lock_ttl_values(m):
    os.mkdir(m.path("d"))
    for value in ("0", "0.0", "-1", "", " ", "soon", "nan", "inf", "1s", "1 2", "0x10",
                  str(101 * 366 * 86400), "9" * 400):
        with raises(errno.EINVAL, "lock_ttl %.40r" % value):
            m.set("d", "lock_ttl", value)
        with raises(errno.ENODATA, "lock_ttl after a refused one"):
            m.get("d", "lock_ttl")
    take_exclusive(m, m.path("d/before"))
    ordinary(m, "d/before")
    for value in ("1", "0.25", "3600", str(100 * 365 * 86400)):
        m.set("d", "lock_ttl", value)
        equal(float(m.get("d", "lock_ttl")), float(value), "lock_ttl")
        take_exclusive(m, m.path("d/k"))
        check(0 < float(m.get("d/k", "ttl")) <= float(value), "ttl under lock_ttl " + value)
        os.unlink(m.path("d/k"))
    ordinary(m, "d/before")
    # without the policy what is held keeps its deadline, and nothing new gets one
    m.set("d", "lock_ttl", "0.4")
    take_exclusive(m, m.path("d/k"))
    end = expires(m, "d/k")
    os.removexattr(m.path("d"), CUBBY + "lock_ttl")
    equal(expires(m, "d/k"), end, "the deadline")
    take_exclusive(m, m.path("d/after"))
    ordinary(m, "d/after")
    wait_until(end)
    gone(m, "d/k")


@mount_only
def test_suffix(m):
    namespace(m, ttl="0.4", lock_suffix=".lck")
    free, locks = [], []
    for way, take in WAYS.items():
        for suffix, names in ((".lck", locks), (".lock", free), ("", free), (".lckx", free)):
            take(m, m.path("l", way + suffix))
            names.append("l/" + way + suffix)
            if way not in MUTE and suffix != ".lck":
                ordinary(m, names[-1])
    for name in locks:
        wait_for(lambda: not there(m.path(name)), 5, "the end of " + name)
    stays(m, free, 0.5)
    os.removexattr(m.path("l"), CUBBY + "lock_suffix")
    take_exclusive(m, m.path("l/any"))
    token(m, "l/any")


@mount_only
@options("lock_ttl=0.7")
def test_mount_option(m):
    """Names that end in .lock, in every namespace; one with a policy of its own goes by that."""
    os.makedirs(m.path("a/b.d/c"))
    ends_of, free = {}, []
    for directory in ("", "a", "a/b.d/c"):
        for way, take in WAYS.items():
            name = os.path.join(directory, way + ".lock")
            before = now()
            take(m, m.path(name))
            ends_of[name] = before + 0.7, now() + 0.7
            if way not in MUTE:
                token(m, name)
            for other in ("-", ".lock-", ".Lock", "lock"):
                name = os.path.join(directory, way + other)
                take(m, m.path(name))
                free.append(name)
                if way not in MUTE:
                    ordinary(m, name)
        with open(m.path(directory, "plain.lock"), "w") as f:
            f.write("v")
        ordinary(m, os.path.join(directory, "plain.lock"))
        free.append(os.path.join(directory, "plain.lock"))
    for name, (earliest, latest) in ends_of.items():
        if latest > now():
            ends(m.path(name), earliest, latest)
        check(not there(m.path(name)), "%s is there after its deadline" % name)
    # its own TTL: every name, that TTL
    namespace(m, "own", ttl="1000")
    for name in ("own/k", "own/k.lock"):
        take_exclusive(m, m.path(name))
        check(900 < float(m.get(name, "ttl")) <= 1000, "ttl of " + name)
    # its own suffix, with the option's TTL
    namespace(m, "suffix", lock_suffix=".lck")
    take_exclusive(m, m.path("suffix/k.lock"))
    ordinary(m, "suffix/k.lock")
    take_exclusive(m, m.path("suffix/k.lck"))
    check(0 < float(m.get("suffix/k.lck", "ttl")) <= 0.7, "ttl")
    # both
    namespace(m, "both", ttl="1000", lock_suffix=".lck")
    take_exclusive(m, m.path("both/k.lock"))
    ordinary(m, "both/k.lock")
    take_exclusive(m, m.path("both/k.lck"))
    check(float(m.get("both/k.lck", "ttl")) > 900, "ttl")
    # and the locks/ of a new store is as it is without
    take_exclusive(m, m.path("locks/k"))
    check(20 < float(m.get("locks/k", "ttl")) <= 30, "ttl")
    stays(m, free, 0.8)
    # it is of the mount, not of the store
    m.remount(options=[])
    take_exclusive(m, m.path("a/later.lock"))
    ordinary(m, "a/later.lock")


@unmounted
def test_bad_mount_option(scratch):
    for value in ("0", "-1", "", "soon", "1s"):
        r = subprocess.run([CUBBYFS, scratch.path("store"), scratch.path("."), "-f", "-o",
                            "lock_ttl=" + value], capture_output=True, text=True, timeout=20)
        check(r.returncode != 0 and "lock_ttl" in r.stderr,
              "-o lock_ttl=%s: %d, %r" % (value, r.returncode, r.stderr))
        check(not is_mounted(scratch.top), "it is mounted")


# --- the deadline ----------------------------------------------------------------------------

@mount_only
def test_gone_for_whoever_knew_it(m):
    """Processes that have it cached: by path; with their cwd in a lock directory; with a
    descriptor of it; with a file in it open. They look without pause through the deadline."""
    def build():
        os.mkdir(m.path("locks/d"))
        os.mkdir(m.path("locks/d/sub"))
        m.write("locks/d/in", "value")
        m.write("locks/d/sub/x", "value")
        take_written(m, m.path("locks/f"))
        take_link(m, m.path("locks/l"))
    build()
    ready = barrier(4)

    def listed(name, place):
        if name not in os.listdir(place):
            raise FileNotFoundError(errno.ENOENT, "not listed")

    def read(path, **how):
        fd = os.open(path, os.O_RDONLY, **how)
        try:
            check(os.read(fd, 100), "no value")
        finally:
            os.close(fd)

    def watch(way):
        directory = os.open(m.path("locks/d"), os.O_RDONLY)
        above = os.open(m.path("locks"), os.O_RDONLY)
        kept = os.open(m.path("locks/f"), os.O_RDONLY)
        inside = os.open(m.path("locks/d/in"), os.O_RDWR)
        if way == 1:
            os.chdir(m.path("locks/d"))
        looks = {
            0: {
                "d": [lambda: os.stat(m.path("locks/d")), lambda: read(m.path("locks/d/in")),
                      lambda: os.stat(m.path("locks/d/sub/x")),
                      lambda: os.getxattr(m.path("locks/d"), CUBBY + "token"),
                      lambda: listed("d", m.path("locks")),
                      lambda: listed("in", m.path("locks/d"))],
                "f": [lambda: read(m.path("locks/f")), lambda: os.pread(kept, 10, 0),
                      lambda: listed("f", m.path("locks"))],
                "l": [lambda: read(m.path("locks/l")), lambda: os.stat(m.path("locks/l"))],
            },
            1: {
                "d": [lambda: os.stat("in"), lambda: read("in"), lambda: os.stat("sub/x"),
                      lambda: listed("in", "."), lambda: os.stat("../d"),
                      lambda: listed("x", "sub"), lambda: os.getxattr("in", CUBBY + "revision")],
            },
            2: {
                "d": [lambda: os.stat("in", dir_fd=directory), lambda: read("in", dir_fd=directory),
                      lambda: os.stat("sub/x", dir_fd=directory), lambda: listed("in", directory),
                      lambda: os.stat("d", dir_fd=above)],
                "f": [lambda: read("f", dir_fd=above)],
                "l": [lambda: os.stat("l", dir_fd=above), lambda: listed("l", above)],
            },
        }[way]
        for all_of in looks.values():
            for look in all_of:
                look()
        ready.wait()        # the parent sets the TTLs
        ready.wait()
        end_of = {n: expires(m, "locks/" + n) for n in looks}
        early, late = 0, 0
        while late < 10:
            late += time.time() > max(end_of.values())
            for name, all_of in looks.items():
                for n, look in enumerate(all_of):
                    start = time.time()
                    try:
                        look()
                        found = True
                    except FileNotFoundError:
                        found = False
                    end = time.time()
                    check(not found or start < end_of[name] + ROUNDING,
                          "way %d, %s, look %d: found %.6f s after the deadline"
                          % (way, name, n, start - end_of[name]))
                    check(found or end > end_of[name] - ROUNDING,
                          "way %d, %s, look %d: gone %.6f s before the deadline"
                          % (way, name, n, end_of[name] - end))
                    early += found
        # nothing can be made in what is gone
        target = m.path("source")
        for what, make in (
                ("open", lambda at: os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=at)),
                ("O_EXCL", lambda at: os.open("new", os.O_CREAT | os.O_EXCL, dir_fd=at)),
                ("mkdir", lambda at: os.mkdir("new", dir_fd=at)),
                ("mknod", lambda at: os.mknod("new", stat.S_IFREG | 0o600, dir_fd=at)),
                ("symlink", lambda at: os.symlink("x", "new", dir_fd=at)),
                ("link", lambda at: os.link(target, "new", dst_dir_fd=at)),
                ("rename", lambda at: os.rename(target, "new", dst_dir_fd=at))):
            with raises(errno.ENOENT, what + " in an expired directory"):
                make(directory)
        # what is written to a file that was in it goes nowhere
        with contextlib.suppress(OSError):
            os.write(inside, b"late")
        with contextlib.suppress(OSError):
            os.close(inside)
        ready.wait()        # the parent makes all of it anew
        ready.wait()
        if way > 0:
            # what they stand in is the old one still
            for look in looks["d"]:
                if way == 1 and look is looks["d"][4] or way == 2 and look is looks["d"][4]:
                    continue
                with raises(errno.ENOENT, "way %d, in the directory that was" % way):
                    look()
        else:
            for name in ("locks/d/in", "locks/d/sub/x"):
                equal(m.read(name), b"value", "value")
        return early

    m.write("source", "v")
    with Crew() as crew:
        for way in range(3):
            crew.fork(watch, way)
        ready.wait()
        for n, name in enumerate(("d", "f", "l")):
            m.set("locks/" + name, "ttl", "%.6f" % (0.6 + 0.05 * n))
        ready.wait()
        ready.wait()
        for name in ("d", "f", "l"):
            gone(m, "locks/" + name)
        build()
        ready.wait()
        early = crew.join(30)
    equal(m.read("locks/d/in"), b"value", "value")
    equal(sorted(os.listdir(m.path("locks/d"))), ["in", "sub"], "the listing")
    check(min(early) > 0, "nobody looked before the deadlines")
    print("# looks before the deadlines: %s" % early)


@mount_only
def test_taken_at_the_deadline(m):
    """Four wait for it without pause, each his own way: one gets it, from the deadline on
    and not before."""
    ways = [(w, t) for w, t in WAYS.items() if w != "shell"]    # which would wait in a fifo
    namespace(m, ttl="30")
    m.set("locks", "lock_ttl", "0.3")
    for turn in range(len(ways)):
        take_directory(m, m.path("l/k"))
        m.set("l/k", "ttl", "0.25")
        end = expires(m, "l/k")
        first = token(m, "l/k")

        def act(way, take):
            while True:
                try:
                    take(m, m.path("l/k"))
                    return time.time(), way
                except FileExistsError:
                    if time.time() > end + 0.05:
                        return None
        with Crew() as crew:
            for n in range(4):
                crew.fork(act, *ways[(turn + 3 * n) % len(ways)])
            got = crew.join(20)
        won = [g for g in got if g is not None]
        equal(len(won), 1, "winners")
        at, way = won[0]
        check(at >= end - ROUNDING, "%s: made %.6f s before the deadline" % (way, end - at))
        check(at < end + 1, "%s: made only %.6f s after the deadline" % (way, at - end))
        if way not in MUTE:
            check(token(m, "l/k") > first, "the token has not grown")
            check(float(m.get("l/k", "ttl")) > 20, "ttl")
        if "directory" in way:
            os.rmdir(m.path("l/k"))
        else:
            os.unlink(m.path("l/k"))


@mount_only
def test_waiters_wake(m):
    """IN_DELETE, soon: a waiter with inotify has each within a moment of its deadline."""
    ttl = 0.5
    namespace(m, ttl=ttl)

    def wait(way, take, ready):
        with Inotify() as i:
            i.add(m.path("l"), DELETE)
            ready.wait()
            ready.wait()
            with raises(errno.EEXIST, way):
                take(m, m.path("l", way))
            check(i.until(lambda e: e.has(DELETE) and e.name == way.encode(), 10),
                  way + ": no IN_DELETE")
            at = now()
            take(m, m.path("l", way))
            return at

    chosen = ("written", "directory", "mknod", "fifo", "link", "symlink", "rename")
    ready = barrier(len(chosen) + 1)
    with Crew() as crew:
        for way in chosen:
            crew.fork(wait, way, WAYS[way], ready)
        ready.wait()
        taken = {}
        for way in chosen:
            before = now()
            WAYS[way](m, m.path("l", way))
            taken[way] = before, now()
        ready.wait()
        woken = dict(zip(chosen, crew.join(30)))
    for way, (before, after) in taken.items():
        early, late = before + ttl - woken[way], woken[way] - after - ttl
        check(early <= 0, "%s: told %.6f s early" % (way, early))
        check(late < 1, "%s: told %.3f s late" % (way, late))
    print("# woken at most %.1f ms after the deadline"
          % max(1e3 * (woken[w] - taken[w][1] - ttl) for w in chosen))


@mount_only
def test_a_script_that_waits(m):
    """The classical one, with inotifywait."""
    m.set("locks", "lock_ttl", "0.5")
    before = now()
    take_exclusive(m, m.path("locks/job"))
    script = '''cd "$1"
        until (set -C; echo $$ > job) 2>/dev/null; do inotifywait -qq -t 3 -e delete .; done
        echo got it'''
    with Watcher(["bash", "-c", script, "bash", m.path("locks")]) as w:
        w.expect("got it", 10)
    took = now() - before
    check(0.5 <= took < 2.5, "it took %.3f s" % took)


def fill(m, name, what):
    """The contents of a lock directory, by number; the paths in it, from below."""
    made = []
    if what % 4 > 0:
        for n in range(what % 4):
            m.write("%s/k%d" % (name, n), "old")
            made.append("%s/k%d" % (name, n))
    if what % 4 > 1:
        os.symlink("old", m.path(name, "link"))
        made.append(name + "/link")
    if what % 4 > 2:
        os.makedirs(m.path(name, "sub/deep"))
        os.mkdir(m.path(name, "empty"))
        m.write(name + "/sub/deep/x", "old")
        m.write(name + "/sub/y", "old")
        os.mknod(m.path(name, "sub/fifo"), stat.S_IFIFO | 0o600)
        os.link(m.path(name, "k0"), m.path(name, "sub/k0 too"))
        made += [name + "/" + n for n in ("sub/deep/x", "sub/deep", "sub/y", "sub/fifo",
                                          "sub/k0 too", "sub", "empty")]
    return made


def told_removed(m, name, made, act):
    """act() makes a lock directory go: everything in it is told, from below."""
    directories = [n for n in [name] + made if stat.S_ISDIR(os.lstat(m.path(n)).st_mode)]
    with Inotify() as i:
        name_of = {i.add(m.path(os.path.dirname(name))): os.path.dirname(name)}
        for n in directories:
            name_of[i.add(m.path(n))] = n
        act()
        seen, ended = [], set()
        last = time.monotonic() + 10
        while time.monotonic() < last and not (name in seen and len(seen) > len(made)
                                               and len(ended) == len(directories)):
            for e in i.read(0.5):
                if e.has(DELETE):
                    seen.append(name_of[e.watch] + "/" + e.name.decode())
                if e.has(DELETE_SELF):
                    ended.add(name_of[e.watch])
        i.settle()
        seen += [name_of[e.watch] + "/" + e.name.decode() for e in i.read(0) if e.has(DELETE)]
    equal(sorted(seen), sorted(made + [name]), "told gone")
    equal(ended, set(directories), "IN_DELETE_SELF")
    for n in seen:
        for above in directories:
            if n.startswith(above + "/"):
                check(seen.index(n) < seen.index(above), "%s is told after %s" % (n, above))


@mount_only
def test_directory_with_contents(m):
    """All of it goes at once, and is told, from below: by expiry, and by release."""
    for what in range(4):
        for way in ("expiry", "release"):
            name = "locks/%s %d" % (way, what)
            os.mkdir(m.path(name))
            made = fill(m, name, what)
            # where the watchers are set before: a TTL long enough for that

            def expire():
                m.set(name, "ttl", "0.15")
                end = expires(m, name)
                wait_until(end)
                for n in made:
                    check(not there(m.path(n)), n + " is there")
                gone(m, name)

            def release():
                m.set(name, "release", token(m, name))
                for n in made:
                    check(not there(m.path(n)), n + " is there")
                gone(m, name)
            told_removed(m, name, made, expire if way == "expiry" else release)
            check(made == [] or m.stats()["locks"] == 0, "locks in stats")
    equal(os.listdir(m.path("locks")), [], "the listing")
    keys = m.stats()["keys"]
    os.mkdir(m.path("locks/big"))
    for n in range(3000):
        os.mknod(m.path("locks/big/%d" % n), stat.S_IFREG | 0o600)
    m.set("locks/big", "release", token(m, "locks/big"))
    gone(m, "locks/big")
    wait_for(lambda: m.stats()["keys"] == keys, 10, "nothing left of a large one")


@mount_only
def test_contents_linked_from_elsewhere(m):
    """What has another name outside keeps it."""
    os.mkdir(m.path("locks/d"))
    m.write("outside", "v")
    os.link(m.path("outside"), m.path("locks/d/k"))
    m.write("locks/d/made here", "w")
    os.link(m.path("locks/d/made here"), m.path("linked out"))
    m.set("locks/d", "release", token(m, "locks/d"))
    equal((m.read("outside"), m.read("linked out")), (b"v", b"w"), "values")
    equal((os.stat(m.path("outside")).st_nlink, os.stat(m.path("linked out")).st_nlink), (1, 1),
          "links")
    ordinary(m, "outside")


@mount_only
def test_namespace_in_a_lock(m):
    """A lock directory that is a lock namespace itself: what is in it ends with it, or before."""
    os.mkdir(m.path("locks/d"))
    m.set("locks/d", "lock_ttl", "0.2")
    m.set("locks/d", "ttl", "1")
    end = expires(m, "locks/d")
    take_directory(m, m.path("locks/d/short"))
    m.write("locks/d/short/in", "v")
    take_exclusive(m, m.path("locks/d/long"))
    m.set("locks/d/long", "ttl", "1000")
    before_end = expires(m, "locks/d/short")
    with Inotify() as i:
        outer, inner = i.add(m.path("locks")), i.add(m.path("locks/d"))
        wait_until(before_end)
        gone(m, "locks/d/short")
        if time.time() < end:
            check(i.until(lambda e: e.watch == inner and e.has(DELETE) and e.name == b"short"),
                  "no IN_DELETE of the inner lock")
        wait_until(end)
        gone(m, "locks/d")
        check(not there(m.path("locks/d/long")), "it has outlived what it is in")
        check(i.until(lambda e: e.watch == outer and e.has(DELETE) and e.name == b"d"),
              "no IN_DELETE of the outer lock")
    wait_for(lambda: m.stats()["locks"] == 0, 5, "no locks in stats")


@mount_only
def test_namespace_moved(m):
    """Deadlines, and what is told, go with a lock namespace to its new name."""
    os.makedirs(m.path("a/b"))
    namespace(m, "a/b/l", ttl="0.5")
    with Inotify() as i:
        watch = i.add(m.path("a/b/l"), DELETE)
        take_written(m, m.path("a/b/l/f"))
        take_directory(m, m.path("a/b/l/d"))
        m.write("a/b/l/d/in", "v")
        end = expires(m, "a/b/l/d")
        os.rename(m.path("a/b"), m.path("moved"))
        token(m, "moved/l/f")
        wait_until(end)
        names = [e.name for e in i.until(lambda e: e.watch == watch and e.name == b"d") or []]
        equal(sorted(names), [b"d", b"f"], "told gone")
    equal(os.listdir(m.path("moved/l")), [], "the listing")
    # and it can be removed from the deadline on, swept or not
    for n in range(20):
        take_directory(m, m.path("moved/l/d"))
        m.write("moved/l/d/in", "v")
        m.set("moved/l/d", "ttl", "0")
        os.rmdir(m.path("moved/l"))
        namespace(m, "moved/l", ttl="30")


@mount_only
def test_makers_in_a_directory_that_ends(m):
    """Who makes, writes and removes in it until the last moment gets ENOENT then, and leaves
    nothing behind."""
    keys = None

    def work(n):
        count = 0
        for turn in itertools.count():
            path = m.path("locks/d", "%d-%d" % (n, turn % 5))
            try:
                if turn % 4 == 0:
                    os.mkdir(path + "d")
                    os.rmdir(path + "d")
                elif turn % 4 == 1:
                    os.symlink("x", path + "s")
                    os.rename(path + "s", path + "t")
                else:
                    with open(path, "w") as f:
                        f.write("v")
                count += 1
            except OSError as e:
                if e.errno in (errno.ENOENT, errno.ESTALE):
                    check(not there(m.path("locks/d")) or count == 0, "ENOENT while it is there")
                    return count
                check(e.errno == errno.EEXIST, str(e))
        return None

    for turn in range(15):
        take_directory(m, m.path("locks/d"))
        with Crew() as crew:
            for n in range(3):
                crew.fork(work, n)
            m.set("locks/d", "ttl", "0.05")
            counts = crew.join(20)
        check(sum(counts) > 0, "nobody has made anything")
        wait_for(lambda: not os.listdir(m.path("locks")), 5, "an empty namespace")
        keys = m.stats()["keys"] if turn == 0 else keys
    wait_for(lambda: m.stats()["keys"] <= keys, 5, "no more keys than before")
    m.remount()
    equal(os.listdir(m.path("locks")), [], "the listing")
    take_directory(m, m.path("locks/d"))
    equal(os.listdir(m.path("locks/d")), [], "the new one")


@mount_only
def test_late_in_a_directory(m):
    """What is staged for a file in a lock directory that has ended appears nowhere."""
    for anew in (False, True):
        os.mkdir(m.path("locks/d"))
        m.write("locks/d/there", "old")
        fds = [os.open(m.path("locks/d/there"), os.O_WRONLY),
               exclusive(m.path("locks/d/exclusive")),
               os.open(m.path("locks/d/pending"), os.O_WRONLY | os.O_CREAT)]
        append = os.open(m.path("locks/d/there"), os.O_WRONLY | os.O_APPEND)
        for fd in fds:
            os.write(fd, b"late")
        expire_other_way(m, "locks/d")
        if anew:
            os.mkdir(m.path("locks/d"))
            m.write("locks/d/there", "new")
        with contextlib.suppress(OSError):
            os.write(append, b"late")
        for fd in fds + [append]:
            with contextlib.suppress(OSError):
                os.close(fd)
        if anew:
            equal(os.listdir(m.path("locks/d")), ["there"], "the new directory")
            equal(m.read("locks/d/there"), b"new", "value")
        else:
            gone(m, "locks/d")
            equal(os.listdir(m.path("locks")), [], "the listing")
    m.set("locks/d", "release", token(m, "locks/d"))


# --- made anew while the old one's end is still being told -----------------------------------

def until_told(i, name, seconds=5):
    """Reads until watchers of the directory have been told of the end of a name, and then
    know again that it is there."""
    end = time.monotonic() + seconds
    known, deleted = None, False
    while not (deleted and known):
        check(time.monotonic() < end,
              "%s: %s" % (name, "watchers think that it is gone" if deleted else "no IN_DELETE"))
        for e in i.read(0.2):
            if e.name == name.encode() and e.has(DELETE | CREATE):
                known = e.has(CREATE)
                deleted |= not known


def without(error, what):
    """A context: the error must not occur in it."""
    @contextlib.contextmanager
    def watch():
        try:
            yield
        except OSError as e:
            if e.errno == error:
                raise Failure("%s: %s" % (what, e)) from e
            raise
    return watch()


def taken_anew(take, m, path, end):
    """Tries until it is free, which must be at the deadline."""
    while True:
        try:
            take(m, path)
            return
        except FileExistsError:
            check(time.time() < end + 2, "it is still held, 2 s after its deadline")


@mount_only
@deadline(180)
def test_directory_made_anew(m):
    """200 times: a new lock directory of the same name, used at once, while what was in the old
    one is still being told. The contents have the same names."""
    def look(stop):
        n = 0
        while not os.path.exists(stop):
            for name in ("locks/d", "locks/d/sub", "locks/d/k0", "locks/d/sub/y"):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    os.stat(m.path(name))
                    n += 1
            with contextlib.suppress(FileNotFoundError):
                os.listdir(m.path("locks/d"))
            time.sleep(0.001)
        return n

    def known(directory, what):
        """All that is in the new one, in three ways."""
        for name in ("k0", "k1", "k2", "sub/deep/x", "sub/y"):
            for n in (name, m.path("locks/d", name)):
                with open(n) as f:
                    equal(f.read(), "new", name)
            os.stat(name, dir_fd=directory)
        for place in (".", m.path("locks/d"), directory):
            equal(sorted(os.listdir(place)), ["k0", "k1", "k2", "link", "sub"], what)
        equal(os.readlink("link"), "new", "symlink")

    def use(n, i):
        with without(errno.ENOENT, "in the living new directory, round %d" % n):
            os.chdir(m.path("locks/d"))
            equal(os.listdir("."), [], "what is in the new directory")
            for name in ("k0", "k1", "k2"):
                with open(name if n % 3 else m.path("locks/d", name), "w") as f:
                    f.write("new")
            os.symlink("new", "link")
            os.makedirs("sub/deep")
            for name in ("sub/deep/x", "sub/y"):
                with open(name, "w") as f:
                    f.write("new")
            directory = os.open(".", os.O_RDONLY)
            known(directory, "the listing, round %d" % n)
            if n % 2:
                until_told(i, "d")
                known(directory, "the listing after all is told, round %d" % n)
                check(float(m.get("locks/d", "ttl")) > 20, "ttl")
            os.close(directory)
            for name in ("k0", "k1", "k2", "link", "sub/deep/x", "sub/y"):
                os.unlink(name)
            os.rmdir("sub/deep")
            os.rmdir("sub")
            os.chdir("/")
            os.rmdir(m.path("locks/d"))

    stop = m.scratch.path("stop")
    with Crew() as crew, Inotify() as i:
        crew.fork(look, stop)
        i.add(m.path("locks"), DELETE | CREATE)
        for n in range(200):
            take_directory(m, m.path("locks/d"))
            old = token(m, "locks/d")
            fill(m, "locks/d", n)
            i.read(0)
            m.set("locks/d", "ttl", "0.015")
            taken_anew(take_directory, m, m.path("locks/d"), time.time())
            check(token(m, "locks/d") > old, "the token has not grown")
            use(n, i)
        with open(stop, "w"):
            pass
        print("# %d looks meanwhile" % crew.join(20)[0])
    equal(os.listdir(m.path("locks")), [], "the listing")


@mount_only
@deadline(180)
def test_other_kinds_made_anew(m):
    """200 times each: files, links, symlinks, taken anew at once, and of other kinds."""
    namespace(m)
    kinds = ("written", "link", "symlink", "directory", "rename", "fifo")

    def same(path, inode, n):
        st = os.lstat(path)
        equal(st.st_ino, inode, "inode number in round %d" % n)
        if stat.S_ISREG(st.st_mode):
            with open(path, "rb") as f:
                check(f.read(), "no value, round %d" % n)
        elif stat.S_ISLNK(st.st_mode):
            equal(os.readlink(path), "pid:%d" % os.getpid(), "target")
        elif stat.S_ISDIR(st.st_mode):
            equal(os.listdir(path), [], "contents")

    path = m.path("l/k")
    with Inotify() as i:
        i.add(m.path("l"), DELETE | CREATE)
        for kind in ("written", "link", "symlink"):
            for n in range(200):
                # a third becomes another kind
                new = kinds[n % len(kinds)] if n % 3 == 0 else kind
                m.set("l", "lock_ttl", "0.01")
                WAYS[kind](m, path)
                end = time.time() + 0.01
                m.set("l", "lock_ttl", "30")
                i.read(0)
                taken_anew(WAYS[new], m, path, end)
                with without(errno.ENOENT, "a living %s, round %d" % (new, n)):
                    inode = os.lstat(path).st_ino
                    same(path, inode, n)
                    if n % 2:
                        until_told(i, "k")
                        same(path, inode, n)
                    if new == "directory":
                        os.rmdir(path)
                    else:
                        os.unlink(path)
    equal(os.listdir(m.path("l")), [], "the listing")


@mount_only
def test_many_made_anew(m):
    """More than can be told at once end in one moment, and all of them are taken anew before they
    have been told: nobody is left out."""
    names = ["d%d" % n for n in range(200)] + ["f%d" % n for n in range(1000)]
    for name in names:
        if name[0] == "f":
            os.mknod(m.path("locks", name), stat.S_IFREG | 0o600)
            continue
        os.mkdir(m.path("locks", name))
        for n in range(3):
            os.mknod(m.path("locks", name, str(n)), stat.S_IFREG | 0o600)
    watched = names[:200]
    with Inotify() as i:
        name_of = {i.add(m.path("locks"), DELETE): ""}
        for name in watched:
            name_of[i.add(m.path("locks", name), DELETE)] = name + "/"
        end = time.time() + 1.5
        for name in names:
            m.set("locks/" + name, "ttl", "%.6f" % max(0.0, end - time.time()))
        wait_until(max(expires(m, "locks/" + names[-1]) if there(m.path("locks", names[-1])) else 0,
                       end + 0.005))
        for name in names:
            with without(errno.ENOENT, "in the living new " + name):
                if name[0] == "f":
                    os.mknod(m.path("locks", name), stat.S_IFREG | 0o600)
                else:
                    os.mkdir(m.path("locks", name))
                    os.mknod(m.path("locks", name, "0"), stat.S_IFREG | 0o600)
                    os.stat(m.path("locks", name, "0"))
        told = set()
        wanted = set(names) | {"%s/%d" % (name, n) for name in watched for n in range(3)}
        last = time.monotonic() + 20
        while not told >= wanted and time.monotonic() < last:
            events = i.read(2)
            if not events:
                break
            told |= {name_of[e.watch] + e.name.decode() for e in events if e.has(DELETE)}
    for name in names:
        equal(there(m.path("locks", name)), True, name + " made anew")
        if name[0] == "d":
            equal(os.listdir(m.path("locks", name)), ["0"], "contents of the new " + name)
    missing = sorted(wanted - told)
    equal(len(missing), 0, "ends that were never told, of %d: %.100r" % (len(wanted), missing))


# --- refresh ---------------------------------------------------------------------------------

def rewrite(path):
    with open(path, "w") as f:
        f.write("rewritten")


def add_line(path):
    subprocess.run(["sh", "-c", 'echo line >> "$1"', "sh", path], check=True)


def empty(path):
    subprocess.run(["sh", "-c", ': > "$1"', "sh", path], check=True)


def write_in_place(path):
    fd = os.open(path, os.O_WRONLY)
    os.pwrite(fd, b"in place", 0)
    os.close(fd)


def by_descriptor(path):
    fd = os.open(path, os.O_RDONLY)
    os.utime(fd)
    os.close(fd)


def by_token(path):
    setx(path, "refresh", os.getxattr(path, CUBBY + "token").decode())


def by_token_and_descriptor(path):
    fd = os.open(path, os.O_RDONLY)
    setx(fd, "refresh", os.getxattr(fd, CUBBY + "token").decode())
    os.close(fd)


REFRESH = {
    "touch": lambda p: subprocess.run(["touch", p], check=True),
    "touch -h": lambda p: subprocess.run(["touch", "-h", p], check=True),
    "touch -c": lambda p: subprocess.run(["touch", "-c", p], check=True),
    "touch -d": lambda p: subprocess.run(["touch", "-d", "2001-02-03", p], check=True),
    "utime": os.utime,
    "utime by descriptor": by_descriptor,
    # proper-lockfile: the times that it chose, rounded, to know its own lock by
    "explicit times": lambda p: os.utime(p, (1234567890, 1234567890)),
    "explicit nanoseconds": lambda p: os.utime(p, ns=(5, 999_999_999)),
    "token": by_token,
    "token by descriptor": by_token_and_descriptor,
}
REWRITE = {
    "rewriting": rewrite,
    "appending": add_line,
    "emptying": empty,
    "writing in place": write_in_place,
    "truncate": lambda p: os.truncate(p, 3),
}


@mount_only
def test_refresh(m):
    """Each way starts the TTL anew, on files, links and directories, and keeps the token."""
    ttl = 20
    namespace(m, ttl=ttl)
    for kind in ("written", "link", "rename", "mknod", "directory"):
        name = "l/" + kind
        path = m.path(name)
        WAYS[kind](m, path)
        mine, holder = m.get(name, "token"), m.get(name, "holder")
        for what, act in {**REFRESH, **({} if kind == "directory" else REWRITE)}.items():
            first = expires(m, name)
            time.sleep(0.002)
            before = time.time()
            act(path)
            after = time.time()
            if what == "emptying":      # committed by its release, after close has returned
                wait_for(lambda: expires(m, name) != first, 5, "a refresh by emptying")
                after = time.time()
            check(before + ttl - SLEW <= expires(m, name) <= after + ttl + SLEW,
                  "%s, by %s: it ends %.4f s after the refresh"
                  % (kind, what, expires(m, name) - before))
            equal((m.get(name, "token"), m.get(name, "holder")), (mine, holder),
                  "token and holder after a refresh by " + what)
    os.utime(m.path("l/directory"), (1234567890, 1234567891))
    st = os.stat(m.path("l/directory"))
    equal((st.st_atime, st.st_mtime), (1234567890, 1234567891), "the times that were set")
    with open(m.path("l/rename"), "a") as f:
        f.write("+")
    with open(m.path("l/rename")) as f:
        check(f.read().endswith("+"), "value")


@mount_only
def test_refreshed_lock_outlives_its_first_deadline(m):
    """And its end is exactly a TTL after the last refresh, for what has no attributes too."""
    ttl = 0.5
    namespace(m, ttl=ttl)
    touch = lambda p: os.utime(p, follow_symlinks=False)
    acts = {"symlink": touch, "fifo": touch, "directory": touch, "link": add_line,
            "written": by_token, "mknod": rewrite}
    first, last = {}, {}
    for way in acts:
        before = now()
        WAYS[way](m, m.path("l", way))
        first[way] = before, now()
    for turn in range(3):
        for way, act in acts.items():
            target = first[way][0] + (turn + 1) * 0.6 * ttl
            time.sleep(max(0.0, target - now()))
            before = now()
            if before > first[way][0] + (turn + 1.4) * 0.6 * ttl:
                raise Failure("this machine is too slow for this test")
            act(m.path("l", way))
            last[way] = before + ttl, now() + ttl
    for way in acts:
        check(there(m.path("l", way)), way + " has gone with its first deadline")
    for way, (earliest, latest) in last.items():
        ends(m.path("l", way), earliest, latest)
    # touch(1) -h, which is what a script has for a symlink
    before = now()
    take_symlink(m, m.path("l/s"))
    wait_for(lambda: now() > before + 0.25, 5, "half of the TTL")
    before = now()
    subprocess.run(["touch", "-h", m.path("l/s")], check=True)
    ends(m.path("l/s"), before + ttl, now() + ttl)


@mount_only
def test_what_does_not_refresh(m):
    """Looking at it, trying for it, its mode and attributes, opening it without a change."""
    for kind in ("written", "directory"):
        name = "locks/" + kind
        path = m.path(name)
        WAYS[kind](m, path)
        seen = m.get(name, "expires")
        os.stat(path)
        os.listdir(m.path("locks"))
        m.get(name, "token")
        os.chmod(path, 0o755)
        os.setxattr(path, "user.a", b"1")
        for way, take in WAYS.items():
            with raises(errno.EEXIST, way):
                take(m, path)
        if kind == "written":
            m.read(name)
            # filelock and fasteners open it so, for flock(2)
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT, os.O_RDWR | os.O_APPEND):
                os.close(os.open(path, flags))
        for wrong in (1, int(m.get(name, "token")) + 1):
            with raises(errno.ESTALE, "a wrong token"):
                m.set(name, "refresh", wrong)
        equal(m.get(name, "expires"), seen, "expires of " + kind)


@mount_only
def test_ttl_of_a_lock(m):
    """Another TTL, for this and all later refreshes; none; and one that is refused."""
    for kind in ("written", "directory"):
        name = "locks/" + kind
        path = m.path(name)
        WAYS[kind](m, path)
        mine = token(m, name)
        m.set(name, "ttl", "500")
        check(499 < float(m.get(name, "ttl")) <= 500, "ttl")
        for what, act in list(REFRESH.items()) + [("rewriting", rewrite)] * (kind == "written"):
            first = expires(m, name)
            time.sleep(0.002)
            act(path)
            check(499 < float(m.get(name, "ttl")) <= 500 and expires(m, name) > first,
                  "ttl after a refresh by " + what)
        seen = m.get(name, "expires")
        for value in ("-1", "soon", "", "nan", "9" * 30):
            with raises(errno.EINVAL, "ttl %r" % value):
                m.set(name, "ttl", value)
        equal((m.get(name, "expires"), token(m, name)), (seen, mine), "after a refused ttl")
        m.set(name, "ttl", "0.2")
        by_token(path)
        end = expires(m, name)
        wait_until(end)
        gone(m, name)
        # the next has the namespace's again
        WAYS[kind](m, path)
        check(29 < float(m.get(name, "ttl")) <= 30, "ttl of the next")
        m.set(name, "ttl", "0")
        gone(m, name)
        # permanent
        WAYS[kind](m, path)
        m.set(name, "ttl", "0.3")
        mine = token(m, name)
        os.removexattr(path, CUBBY + "ttl")
        ordinary(m, name)
        with raises(errno.ESTALE, "refresh of what is no lock any more"):
            m.set(name, "refresh", mine)
        with raises(errno.ESTALE, "release of what is no lock any more"):
            m.set(name, "release", mine)
        if kind == "written":
            rewrite(path)
        os.utime(path)
        ordinary(m, name)
        with raises(errno.EEXIST, "made exclusively where an ordinary key is"):
            WAYS[kind](m, path)
    stays(m, ["locks/written", "locks/directory"], 0.6)
    equal(m.stats()["locks"], 0, "locks in stats")


@mount_only
def test_max_keys(m):
    """A lock that has ended is in nobody's way, swept or not."""
    namespace(m, ttl="1000", max_keys="1")
    for way in ("written", "mknod", "link", "rename"):
        WAYS[way](m, m.path("l/a"))
        with raises(errno.EDQUOT, "a second lock"):
            WAYS[way](m, m.path("l/b"))
        m.set("l/a", "ttl", "0")
        WAYS[way](m, m.path("l/b"))
        m.set("l/b", "release", token(m, "l/b"))


@mount_only
def test_with_default_ttl(m):
    """Both policies: what is made exclusively is a lock, the rest has the default TTL."""
    namespace(m, ttl="500", default_ttl="100")
    take_written(m, m.path("l/lock"))
    take_directory(m, m.path("l/dir"))
    m.write("l/key", "v")
    for name in ("l/lock", "l/dir"):
        token(m, name)
        check(499 < float(m.get(name, "ttl")) <= 500, "ttl of " + name)
    for attribute in ("token", "holder"):
        with raises(errno.ENODATA, attribute):
            m.get("l/key", attribute)
    check(99 < float(m.get("l/key", "ttl")) <= 100, "ttl of an ordinary key")
    rewrite(m.path("l/lock"))
    check(499 < float(m.get("l/lock", "ttl")) <= 500, "ttl of a rewritten lock")
    os.rename(m.path("l/lock"), m.path("plain"))
    ordinary(m, "plain")


# --- refresh and release with the token ------------------------------------------------------

@mount_only
def test_release(m):
    """It frees the name at once, with IN_DELETE, for the next."""
    with Inotify() as i:
        watch = i.add(m.path("locks"), DELETE)
        for way in WAYS:
            if way in MUTE:
                continue
            name = "locks/" + way
            WAYS[way](m, m.path(name))
            i.read(0)
            first = token(m, name)
            m.set(name, "release", first)
            gone(m, name)
            check(i.until(lambda e: e.watch == watch and e.has(DELETE) and e.name == way.encode()),
                  "no IN_DELETE for a released %s" % way)
            WAYS[way](m, m.path(name))
            check(token(m, name) > first, "the token has not grown")
            with raises(errno.ESTALE, "release with the token of the last holder"):
                m.set(name, "release", first)
            # by the descriptor
            fd = os.open(m.path(name), os.O_RDONLY)
            setx(fd, "release", token(m, name))
            os.close(fd)
            gone(m, name)
    # and the old ways
    take_exclusive(m, m.path("locks/k"))
    os.unlink(m.path("locks/k"))
    gone(m, "locks/k")
    take_directory(m, m.path("locks/k"))
    os.rmdir(m.path("locks/k"))
    gone(m, "locks/k")
    take_directory(m, m.path("locks/k"))
    m.write("locks/k/in", "v")
    with raises(errno.ENOTEMPTY, "rmdir of a lock directory with contents"):
        os.rmdir(m.path("locks/k"))
    shutil.rmtree(m.path("locks/k"))


@mount_only
def test_tokens_that_do_not_fit(m):
    for kind in ("written", "directory"):
        name = "locks/" + kind
        WAYS[kind](m, m.path(name))
        mine = token(m, name)
        seen = [m.get(name, a) for a in ("expires", "revision", "token")]
        for attribute in ("refresh", "release"):
            for value in (mine + 1, mine - 1, 0, 2 ** 63 - 1, 2 ** 64 - 1):
                with raises(errno.ESTALE, "%s with token %s" % (attribute, value)):
                    m.set(name, attribute, value)
            for value in ("", "abc", "%dx" % mine, "1.5", "0x10", " ", "1 2", "\n"):
                with raises(errno.EINVAL, "%s with token %r" % (attribute, value)):
                    m.set(name, attribute, value)
            with raises(errno.ENOENT, attribute + " of a name that is not there"):
                m.set("locks/none", attribute, mine)
        equal([m.get(name, a) for a in ("expires", "revision", "token")], seen, "afterwards")
    m.write("plain", "v")
    m.write("locks/plain", "v")
    os.mkdir(m.path("dir"))
    for name in ("plain", "locks/plain", "dir", "locks"):
        for attribute in ("refresh", "release"):
            with raises(errno.ESTALE, "%s of %s" % (attribute, name)):
                m.set(name, attribute, m.get(name, "revision"))
            with raises(errno.EINVAL, "%s of %s" % (attribute, name)):
                m.set(name, attribute, "abc")
    equal(m.read("plain"), b"v", "value")


@mount_only
def test_another_user(m):
    """Who may not write to it may not refresh or release it, whatever he knows."""
    take_written(m, m.path("locks/f"))
    take_directory(m, m.path("locks/d"))
    tokens = {n: token(m, "locks/" + n) for n in "fd"}
    seen = {n: m.get("locks/" + n, "expires") for n in "fd"}

    def user():
        os.setgid(USER)
        os.setuid(USER)
        for n in "fd":
            equal(token(m, "locks/" + n), tokens[n], "token, as another sees it")
            for attribute, value in (("refresh", tokens[n]), ("release", tokens[n]), ("ttl", 1)):
                with raises(errno.EACCES, "%s by another user" % attribute):
                    m.set("locks/" + n, attribute, value)
            with raises(errno.EACCES, "removal of the ttl by another user"):
                os.removexattr(m.path("locks", n), CUBBY + "ttl")
            with raises(errno.EACCES, "utime by another user"):
                os.utime(m.path("locks", n))
            with raises(errno.EPERM, "utime with times by another user"):
                os.utime(m.path("locks", n), (1, 1))
    with Crew() as crew:
        crew.fork(user)
        crew.join()
    equal({n: m.get("locks/" + n, "expires") for n in "fd"}, seen, "expires")


@mount_only
def test_set_only_and_read_only(m):
    take_exclusive(m, m.path("locks/k"))
    for attribute in ("refresh", "release"):
        try:
            m.get("locks/k", attribute)
            check(False, "%s can be read" % attribute)
        except OSError:
            pass
    for attribute in ("token", "holder"):
        try:
            m.set("locks/k", attribute, "1")
            check(False, "%s can be set" % attribute)
        except OSError:
            pass
        try:
            os.removexattr(m.path("locks/k"), CUBBY + attribute)
            check(False, "%s can be removed" % attribute)
        except OSError:
            pass
    token(m, "locks/k")
    equal([a for a in os.listxattr(m.path("locks/k")) if a.startswith(CUBBY)], [], "listed")


# --- names -----------------------------------------------------------------------------------

@mount_only
def test_renamed_to_a_plain_name(m):
    """It becomes an ordinary key, with its value; a directory keeps what is in it."""
    namespace(m, ttl="0.3", lock_suffix=".lock")
    moves = (("l/a.lock", "a"), ("l/b.lock", "l/b"), ("l/c.lock", "over"),
             ("l/d.lock", "l/ordinary"))
    m.write("over", "old")
    m.write("l/ordinary", "old")
    for old, new in moves:
        take_written(m, m.path(old))
        mine = token(m, old)
        os.rename(m.path(old), m.path(new))
        ordinary(m, new)
        equal(m.read(new), b"%d\n" % os.getpid(), "value")
        check(not there(m.path(old)), "the old name")
        with raises(errno.ESTALE, "refresh of what is no lock any more"):
            m.set(new, "refresh", mine)
    os.mkdir(m.path("l/e.lock"))
    m.write("l/e.lock/in", "v")
    os.rename(m.path("l/e.lock"), m.path("e"))
    take_symlink(m, m.path("l/f.lock"))
    renameat2(m.path("l/f.lock"), m.path("f"), RENAME_NOREPLACE)
    names = [new for _, new in moves] + ["e", "e/in", "f"]
    ordinary(m, "e")
    stays(m, names, 0.7)
    # the lock name is free for the next from the moment of the rename
    for old, _ in moves:
        take_exclusive(m, m.path(old))
    # and when it is written after the rename, it is an ordinary key's value
    fd = exclusive(m.path("l/g.lock"))
    os.write(fd, b"later")
    os.rename(m.path("l/g.lock"), m.path("g"))
    stays(m, ["g"], 0.4)
    os.close(fd)
    equal(m.read("g"), b"later", "value")
    ordinary(m, "g")


@mount_only
def test_renamed_to_a_lock_name(m):
    """The renamer holds it under the new name, with a new token."""
    namespace(m, "other", ttl="100")
    for flags in (0, RENAME_NOREPLACE):
        for kind in ("written", "directory"):
            for new in ("locks/new", "other/new"):
                WAYS[kind](m, m.path("locks/old"))
                if kind == "directory":
                    m.write("locks/old/in", "v")
                first = token(m, "locks/old")
                renameat2(m.path("locks/old"), m.path(new), flags)
                second = token(m, new)
                check(second > first, "token %d after %d" % (second, first))
                equal(json.loads(m.get(new, "holder"))["pid"], os.getpid(), "holder")
                check(0 < float(m.get(new, "ttl")) <= 100, "ttl")
                check(not there(m.path("locks/old")), "the old name")
                for attribute in ("refresh", "release"):
                    with raises(errno.ESTALE, attribute + " with the old token"):
                        m.set(new, attribute, first)
                m.set(new, "refresh", second)
                m.set(new, "release", second)
                gone(m, new)
    # who renames is who holds
    take_exclusive(m, m.path("locks/old"))
    subprocess.run(["perl", "-e", "rename $ARGV[0], $ARGV[1] or die", m.path("locks/old"),
                    m.path("locks/new")], check=True)
    equal(json.loads(m.get("locks/new", "holder"))["command"], "perl", "command of the holder")
    # it expires under its new name
    m.set("locks", "lock_ttl", "0.3")
    take_exclusive(m, m.path("locks/old"))
    m.set("locks", "lock_ttl", "30")
    os.rename(m.path("locks/old"), m.path("locks/newer"))
    end = expires(m, "locks/newer")
    check(end < time.time() + 30, "expires")
    m.set("locks/newer", "ttl", "0.2")
    wait_until(expires(m, "locks/newer"))
    gone(m, "locks/newer")


@mount_only
def test_renamed_over_a_held_lock(m):
    """It replaces it, as rename(2) does, and is told from it by its token."""
    take_written(m, m.path("locks/held"))
    take_exclusive(m, m.path("locks/mine"))
    held, mine = token(m, "locks/held"), token(m, "locks/mine")
    os.rename(m.path("locks/mine"), m.path("locks/held"))
    third = token(m, "locks/held")
    check(third > max(held, mine), "token %d after %d and %d" % (third, held, mine))
    for old in (held, mine):
        for attribute in ("refresh", "release"):
            with raises(errno.ESTALE, attribute + " with the token of the one that was"):
                m.set("locks/held", attribute, old)
    equal((m.read("locks/held"), m.stats()["locks"]), (b"", 1), "value, locks in stats")


@mount_only
def test_exchanged(m):
    """Each is held under its new name, with a new token; an ordinary key stays one, and a lock
    becomes one where the name is plain."""
    take_written(m, m.path("locks/a"))
    take_directory(m, m.path("locks/b"))
    old = token(m, "locks/a"), token(m, "locks/b")
    renameat2(m.path("locks/a"), m.path("locks/b"), RENAME_EXCHANGE)
    check(os.path.isdir(m.path("locks/a")) and os.path.isfile(m.path("locks/b")), "kinds")
    for name in ("locks/a", "locks/b"):
        check(token(m, name) > max(old), "token of " + name)
        for each in old:
            with raises(errno.ESTALE, "release with a token of before"):
                m.set(name, "release", each)
    m.write("plain", "plain")
    renameat2(m.path("plain"), m.path("locks/b"), RENAME_EXCHANGE)
    ordinary(m, "plain")
    ordinary(m, "locks/b")
    equal((m.read("locks/b"), m.read("plain")), (b"plain", b"%d\n" % os.getpid()), "values")
    equal(m.stats()["locks"], 1, "locks in stats")


@mount_only
def test_exchanged_directories(m):
    """What is in them goes with them, and neither is a lock."""
    os.mkdir(m.path("locks/d"))
    m.write("locks/d/a", "1")
    os.mkdir(m.path("plain"))
    m.write("plain/b", "2")
    renameat2(m.path("locks/d"), m.path("plain"), RENAME_EXCHANGE)
    ordinary(m, "locks/d")
    ordinary(m, "plain")
    equal((m.read("plain/a"), m.read("locks/d/b")), (b"1", b"2"), "contents")


@mount_only
def test_renamed_to_another_link(m):
    """rename(2) between two names of one file does nothing; both locks stay, each releasable."""
    m.write("data", "v")
    os.link(m.path("data"), m.path("locks/a"))
    first = token(m, "locks/a")
    os.link(m.path("data"), m.path("locks/b"))
    second = token(m, "locks/b")
    os.rename(m.path("locks/a"), m.path("locks/b"))
    os.rename(m.path("data"), m.path("locks/a"))
    equal(sorted(os.listdir(m.path("locks"))), ["a", "b"], "the listing")
    m.set("locks/a", "release", first)
    equal(os.listdir(m.path("locks")), ["b"], "after the release of the first")
    m.set("locks/b", "release", second)
    equal((os.listdir(m.path("locks")), m.read("data")), ([], b"v"), "after both")
    ordinary(m, "data")


@mount_only
def test_hard_links(m):
    """The TTL is the name's: `ln data locks/data` endangers nothing."""
    namespace(m, ttl="0.5")
    m.write("data", "precious")
    os.link(m.path("data"), m.path("l/data"))
    token(m, "l/data")
    # a write by the other name is one to the locked file too
    time.sleep(0.02)
    before, real = now(), time.time()
    m.write("data", "more precious")
    after = now()
    check(expires(m, "l/data") >= real + 0.5 - SLEW, "a write to data has not refreshed the lock")
    ends(m.path("l/data"), before + 0.5, after + 0.5)
    gone(m, "l/data")
    ordinary(m, "data")
    equal((m.read("data"), os.stat(m.path("data")).st_nlink), (b"more precious", 1), "data")
    # touching it, too
    os.link(m.path("data"), m.path("l/data"))
    time.sleep(0.02)
    before = now()
    os.utime(m.path("data"))
    ends(m.path("l/data"), before + 0.5, now() + 0.5)
    # released, its other name stays
    os.link(m.path("data"), m.path("l/data"))
    m.set("l/data", "release", token(m, "l/data"))
    gone(m, "l/data")
    ordinary(m, "data")
    # unlinked, the lock stays
    os.link(m.path("data"), m.path("l/data"))
    mine = token(m, "l/data")
    os.unlink(m.path("data"))
    equal(token(m, "l/data"), mine, "token")
    end = expires(m, "l/data")
    wait_until(end)
    gone(m, "l/data")
    # two locks on one file, taken one after the other: each its own deadline
    m.write("data", "v")
    m.set("l", "lock_ttl", "0.3")
    os.link(m.path("data"), m.path("l/one"))
    one = now()
    m.set("l", "lock_ttl", "0.9")
    before = now()
    os.link(m.path("data"), m.path("l/two"))
    two = now()
    wait_for(lambda: not there(m.path("l/one")), 5, "the end of the first")
    if now() < before + 0.9:
        check(there(m.path("l/two")) or now() >= before + 0.9, "the second went with the first")
    check(now() >= one + 0.2, "the first went early")
    ends(m.path("l/two"), before + 0.9, two + 0.9)
    equal(m.read("data"), b"v", "data")
    ordinary(m, "data")


@mount_only
def test_unlinked_by_another(m):
    """rm of a held lock, as by the operator: it is free, and the old holder can do no harm."""
    fd = exclusive(m.path("locks/k"))
    os.write(fd, b"staged")
    first = token(m, "locks/k")
    os.unlink(m.path("locks/k"))
    gone(m, "locks/k")
    take_written(m, m.path("locks/k"))
    second = token(m, "locks/k")
    check(second > first, "the token has not grown")
    seen = m.get("locks/k", "expires")
    for attribute in ("refresh", "release"):
        with raises(errno.ESTALE, attribute + " with the token of the one that was"):
            m.set("locks/k", attribute, first)
    with contextlib.suppress(OSError):
        os.close(fd)
    equal((m.read("locks/k"), token(m, "locks/k"), m.get("locks/k", "expires")),
          (b"%d\n" % os.getpid(), second, seen), "the next holder's")


GIT = r'''
set -e
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e
export GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e
cd "$1"
case $2 in
make)
	git init -q -b main repo
	cd repo
	git config core.fsync none
	for n in 1 2 3; do
		echo $n >file$n
		git add -A
		git commit -qm $n
	done
	git branch other
	git tag -am tag v1
	git pack-refs --all
	git gc -q
	git config some.thing 1
	;;
check)
	cd repo
	git fsck --strict --no-progress
	test "$(git log --oneline | wc -l)" = "$3"
	test -z "$(git status --porcelain)"
	test "$(git config some.thing)" = 1
	git rev-parse other v1 HEAD >/dev/null
	;;
commit)
	cd repo
	echo more >>file1
	git commit -qam more
	;;
esac
'''

COPY = r'''
set -e
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1
cp -a tree "$1/cp"
mkdir "$1/tar"
tar -C tree -cf - . | tar -C "$1/tar" -xf -
if command -v rsync >/dev/null; then rsync -a tree/ "$1/rsync"; fi
cd tree
git init -q .
git add -A -f
git -c user.name=n -c user.email=e commit -qm m
cd ..
git clone -q tree "$1/git"
'''


def git(m, *arguments):
    return subprocess.run(["bash", "-c", GIT, "bash", m.dir, *arguments], capture_output=True,
                          text=True, cwd=m.scratch.top)


@mount_only
@options("lock_ttl=1")
def test_git(m):
    """index.lock, HEAD.lock, config.lock are renamed to what they protect: that stays. One that a
    killed git has left behind goes."""
    r = git(m, "make")
    equal((r.returncode, r.stderr), (0, ""), "git")
    locks = []
    for directory, _, names in os.walk(m.path("repo")):
        for name in names:
            path = os.path.join(directory, name)
            if not ordinary_quietly(m, path):
                locks.append(path)
    equal(locks, [], "what has a TTL in the repository")
    stays(m, ["repo/.git/index", "repo/.git/HEAD", "repo/.git/config"], 2.1)
    r = git(m, "check", "3")
    equal(r.returncode, 0, "the repository after the TTL: " + r.stdout + r.stderr)
    before = now()
    take_exclusive(m, m.path("repo/.git/index.lock"))
    after = now()
    r = git(m, "commit")
    check(r.returncode != 0 and "index.lock" in r.stderr, "git under a held lock: " + r.stderr)
    ends(m.path("repo/.git/index.lock"), before + 1, after + 1)
    r = git(m, "commit")
    equal(r.returncode, 0, "git, after the left lock's end: " + r.stderr)
    r = git(m, "check", "4")
    equal(r.returncode, 0, "the repository: " + r.stdout + r.stderr)


# --- the holder that lost it -----------------------------------------------------------------

def lost(m, name, ttl="0.1"):
    """Makes it expire."""
    m.set(name, "ttl", ttl)
    wait_until(expires(m, name))


@mount_only
def test_writes_late(m):
    """Its close says so, and nothing of it is seen: neither as a new key nor by the next holder."""
    path = m.path("locks/k")

    def staged(fd):
        os.write(fd, b"late")

    def begun(fd):
        pass

    for what, flags in (("maker", os.O_WRONLY), ("maker, reading too", os.O_RDWR),
                        ("by name", None)):
        for early in (True, False):     # staged before the end, or after it
            for next_holder in (None, take_written, take_directory, take_symlink):
                case = "%s, written %s, next %s" % (what, "early" if early else "late", next_holder)
                if flags is None:
                    take_exclusive(m, path)
                    fd = os.open(path, os.O_WRONLY)
                else:
                    fd = exclusive(path, flags)
                if early:
                    os.write(fd, b"late")
                expire_other_way(m, "locks/k")
                if next_holder:
                    next_holder(m, path)
                    seen = os.lstat(path)
                try:
                    if not early:
                        os.write(fd, b"late")
                except OSError as e:
                    equal(e.errno, errno.ESTALE, "write, " + case)
                with raises(errno.ESTALE, "close, " + case):
                    os.close(fd)
                if not next_holder:
                    gone(m, "locks/k")
                    equal(os.listdir(m.path("locks")), [], "the listing, " + case)
                    continue
                equal(os.lstat(path)[:9], seen[:9], "stat of the next holder's, " + case)
                if next_holder is take_written:
                    equal(m.read("locks/k"), b"%d\n" % os.getpid(), "the next holder's, " + case)
                    os.unlink(path)
                elif next_holder is take_directory:
                    os.rmdir(path)
                else:
                    os.unlink(path)


def expire_other_way(m, name):
    """By another process, so that the ttl is not staged with the caller's bytes."""
    subprocess.run(["setfattr", "-n", CUBBY + "ttl", "-v", "0", m.path(name)], check=True)
    check(not there(m.path(name)), name + " is there after ttl 0")


@mount_only
def test_loses_it_by_the_clock(m):
    """The same, with a TTL that runs out, and not one that is set to 0."""
    namespace(m, ttl="0.3")
    path = m.path("l/k")
    fd = exclusive(path)
    os.write(fd, b"late")
    wait_for(lambda: not there(path), 5, "its end")
    take_written(m, path)
    mine = token(m, "l/k")
    os.write(fd, b"r")
    with raises(errno.ESTALE, "close"):
        os.close(fd)
    equal((m.read("l/k"), token(m, "l/k")), (b"%d\n" % os.getpid(), mine), "the next holder's")


@mount_only
def test_takes_it_again_with_the_old_one_open(m):
    """The same process: its old descriptor is of the lock that it has lost."""
    old = exclusive(m.path("locks/k"))
    os.write(old, b"old")
    expire_other_way(m, "locks/k")
    new = exclusive(m.path("locks/k"))
    os.write(new, b"new")
    with raises(errno.ESTALE, "close of the old one"):
        os.close(old)
    os.close(new)
    equal(m.read("locks/k"), b"new", "value")


@mount_only
def test_late_calls(m):
    """Appending, fsync, truncation, attributes, by a descriptor of what was lost."""
    path = m.path("locks/k")
    for next_holder in (False, True):
        appender = exclusive(path, os.O_WRONLY | os.O_APPEND)
        os.write(appender, b"early")
        first = token(m, "locks/k")
        others = [os.open(path, os.O_RDWR) for _ in range(6)]
        syncer, cutter, refresher, releaser, timer, reader = others
        os.write(syncer, b"late")
        expire_other_way(m, "locks/k")
        if next_holder:
            take_written(m, path)
            seen = [m.get("locks/k", a) for a in ("token", "expires", "revision")]
        with raises(errno.ESTALE, "write with O_APPEND"):
            os.write(appender, b"late")
        with raises(errno.ESTALE, "fsync"):
            os.fsync(syncer)
        with raises(errno.ESTALE, "refresh by a descriptor"):
            setx(refresher, "refresh", first)
        with raises(errno.ESTALE, "release by a descriptor"):
            setx(releaser, "release", first)
        with raises(errno.ESTALE, "ftruncate, or close after it"):
            os.ftruncate(cutter, 1)
            cutter, fd = -1, cutter
            os.close(fd)
        try:
            os.utime(timer)
            check(False, "utime of a lost lock succeeds")
        except OSError as e:
            check(e.errno in (errno.ESTALE, errno.ENOENT), "utime: %s" % e)
        for fd in [appender] + others:
            with contextlib.suppress(OSError):
                os.close(fd)
        if next_holder:
            equal(m.read("locks/k"), b"%d\n" % os.getpid(), "the next holder's value")
            equal([m.get("locks/k", a) for a in ("token", "expires", "revision")], seen,
                  "the next holder's lock")
            os.unlink(path)
        else:
            gone(m, "locks/k")


def late_through(memory, fd):
    """In a child: what the lock was of may not be there to be mapped any more (SIGBUS)."""
    pid = os.fork()
    if pid == 0:
        try:
            memory[:] = b"later"
            memory.flush()
            os.fsync(fd)
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    check(status in (0, signal.SIGBUS), "the child's status is %#x" % status)


@mount_only
def test_late_mapping(m):
    """What is written through a shared mapping, of pages that were there before or not."""
    for early in (False, True):
        for next_holder in (False, True):
            fd = exclusive(m.path("locks/k"), os.O_RDWR)
            os.write(fd, b"early")
            os.fsync(fd)
            try:
                memory = mmap.mmap(fd, 5, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            except OSError as e:
                raise Skip("no shared mappings: %s" % e) from e
            with memory:
                if early:
                    memory[:] = b"EARLY"
                expire_other_way(m, "locks/k")
                if next_holder:
                    take_written(m, m.path("locks/k"))
                late_through(memory, fd)
                with contextlib.suppress(OSError):
                    os.close(fd)
            if next_holder:
                equal(m.read("locks/k"), b"%d\n" % os.getpid(), "the next holder's")
                os.unlink(m.path("locks/k"))
            else:
                gone(m, "locks/k")
            equal(os.listdir(m.path("locks")), [], "the listing")


@mount_only
def test_paused_past_its_end(m):
    """A holder that was stopped, and goes on when another has the lock: its refresh and release
    fail with ESTALE, and the next holder's is as it was. (Done when, 4.)"""
    ttl = 0.4
    namespace(m, ttl=ttl)

    def hold(kind, pipe):
        path = m.path("l/k")
        fd = None
        if kind == "file":
            fd = exclusive(path)
            os.write(fd, b"paused")
        else:
            WAYS[kind](m, path)
        mine = token(m, "l/k")
        os.write(pipe[1], b"x")
        os.kill(os.getpid(), signal.SIGSTOP)
        results = []
        for attribute in ("refresh", "release"):
            try:
                m.set("l/k", attribute, mine)
                results.append("%s succeeded" % attribute)
            except OSError as e:
                results.append(errno.errorcode[e.errno])
        if fd is not None:
            try:
                os.close(fd)
                results.append("close succeeded")
            except OSError as e:
                results.append(errno.errorcode[e.errno])
        return mine, results

    for kind in ("file", "directory", "link", "rename"):
        for refreshed in (False, True):
            pipe = os.pipe()
            before = now()
            with Crew() as crew:
                pid = crew.fork(hold, kind, pipe)
                os.read(pipe[0], 1)
                wait_for(lambda: os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT),
                         10, "its stop")
                if refreshed and there(m.path("l/k")):
                    with contextlib.suppress(FileNotFoundError):
                        os.utime(m.path("l/k"))
                wait_for(lambda: not there(m.path("l/k")), 5, "the end of the lock")
                check(now() >= before + ttl, "it went early")
                m.set("l", "lock_ttl", "30")
                take_written(m, m.path("l/k"))
                m.set("l", "lock_ttl", ttl)
                attributes = ("token", "holder", "expires", "revision", "version")
                seen = [m.get("l/k", a) for a in attributes]
                os.kill(pid, signal.SIGCONT)
                mine, results = crew.join(20)[0]
            for fd in pipe:
                os.close(fd)
            equal(results, ["ESTALE"] * len(results), "what the paused %s was told" % kind)
            check(int(seen[0]) > mine, "the token has not grown")
            equal([m.get("l/k", a) for a in attributes], seen, "the next holder's lock")
            equal(m.read("l/k"), b"%d\n" % os.getpid(), "and its value")
            os.unlink(m.path("l/k"))


# --- over the daemon's end -------------------------------------------------------------------

def restarts(m):
    def remount():
        m.unmount()

    def kill():
        m.kill()
    return (("unmount", remount), ("kill -9", kill))


def same_deadline(m, name, end):
    """It goes by one clock while the daemon runs, and by another over its end."""
    moved = expires(m, name) - end
    check(abs(moved) < SLEW, "%s: the deadline has moved by %.6f s" % (name, moved))


@mount_only
def test_restart(m):
    """Token, holder, TTL and deadline are kept; what ended meanwhile is gone, with its contents."""
    namespace(m, ttl="1000")
    for what, stop in restarts(m):
        attributes = ("token", "holder", "revision", "created")
        kinds = [w for w in WAYS if w not in MUTE]
        for way in WAYS:
            WAYS[way](m, m.path("l", way))
        fill(m, "l/directory", 3)
        m.set("l/link", "ttl", "500")
        m.write("data", "precious")
        os.link(m.path("data"), m.path("l/data"))
        os.removexattr(m.path("l/mknod"), CUBBY + "ttl")
        kinds.remove("mknod")
        seen = {w: [m.get("l/" + w, a) for a in attributes] for w in kinds}
        ends_of = {w: expires(m, "l/" + w) for w in kinds}
        os.mkdir(m.path("l/short"))
        fill(m, "l/short", 3)
        m.set("l/short", "ttl", "0.4")
        m.set("l/data", "ttl", "0.4")
        end = max(expires(m, "l/short"), expires(m, "l/data"))
        stop()
        wait_until(end)
        m.start()
        for name in ("l/short", "l/data"):
            gone(m, name)
        check(not there(m.path("l/short/sub/y")), "what was in it")
        equal(m.read("data"), b"precious", "the other name of a lock that ended")
        ordinary(m, "data")
        for w in kinds:
            equal([m.get("l/" + w, a) for a in attributes], seen[w], "%s, after %s" % (w, what))
            same_deadline(m, "l/" + w, ends_of[w])
        equal(sorted(os.listdir(m.path("l"))), sorted(WAYS), "the listing")
        ordinary(m, "l/mknod")
        equal(m.stats()["locks"], len(WAYS) - 1, "locks in stats")
        equal(m.read("l/directory/sub/y"), b"old", "what is in a lock directory")
        for way in WAYS:
            with raises(errno.EEXIST, way + " after " + what):
                WAYS[way](m, m.path("l", way))
        # refreshed by its own TTL, known still
        by_token(m.path("l/link"))
        check(499 < float(m.get("l/link", "ttl")) <= 500, "ttl after a refresh")
        os.utime(m.path("l/symlink"), follow_symlinks=False)
        by_token(m.path("l/written"))
        check(999 < float(m.get("l/written", "ttl")) <= 1000, "ttl after a refresh")
        # the token of an old one is refused, that of a new one greater than all
        os.mkdir(m.path("l/short"))
        check(token(m, "l/short") > max(int(s[0]) for s in seen.values()), "token of the next")
        for w in kinds:
            m.set("l/" + w, "release", seen[w][0])
            gone(m, "l/" + w)
        for w in ("fifo", "symlink", "mknod"):
            os.unlink(m.path("l", w))
        os.rmdir(m.path("l/short"))
        os.unlink(m.path("data"))


@mount_only
def test_killed_while_it_sweeps(m):
    """kill -9 in the midst of the removal of a large lock directory: after that it is gone, all of
    it, and the store is sound."""
    for turn in range(4):
        os.mkdir(m.path("locks/d"))
        mine = token(m, "locks/d")
        for n in range(1500):
            os.mknod(m.path("locks/d/%d" % n), stat.S_IFREG | 0o600)
        if turn % 2:
            m.set("locks/d", "release", mine)
        else:
            m.set("locks/d", "ttl", "0")
        time.sleep(0.002 * turn)
        m.kill()
        subprocess.run([CUBBY_TOOL, "check", m.store], check=True, stdout=subprocess.DEVNULL)
        m.start()
        gone(m, "locks/d")
        os.mkdir(m.path("locks/d"))
        equal(os.listdir(m.path("locks/d")), [], "the new one")
        os.rmdir(m.path("locks/d"))
    m.unmount()
    subprocess.run([CUBBY_TOOL, "check", m.store], check=True, stdout=subprocess.DEVNULL)
    m.start()


@mount_only
def test_deadline_over_a_restart(m):
    """The same moment as before, also for what has no attributes."""
    namespace(m, ttl="1.5")
    for what, stop in restarts(m):
        taken = {}
        for way in ("symlink", "fifo", "directory", "written", "link"):
            before = now()
            WAYS[way](m, m.path("l", way))
            taken[way] = before + 1.5, now() + 1.5
        stop()
        m.start()
        for way, (earliest, latest) in taken.items():
            # kept in the log by the real-time clock
            ends(m.path("l", way), earliest - SLEW, latest + SLEW)


@mount_only
def test_compaction_keeps_locks(m):
    """The state written anew, as an image, says all that the log said."""
    namespace(m, ttl="1000")
    for way in WAYS:
        WAYS[way](m, m.path("l", way))
    kinds = [w for w in WAYS if w not in MUTE]
    m.set("l/link", "ttl", "500")
    attributes = ("token", "holder")
    seen = {w: [m.get("l/" + w, a) for a in attributes] for w in kinds}
    ends_of = {w: expires(m, "l/" + w) for w in kinds}
    m.remount(options=["compact_min=4K", "segment_size=64K"])
    # enough to be forgotten that it pays
    for _ in range(8):
        m.write("large", os.urandom(300000))
    os.unlink(m.path("large"))
    m.remount()
    for w in kinds:
        equal([m.get("l/" + w, a) for a in attributes], seen[w], w + ", after a compaction")
        same_deadline(m, "l/" + w, ends_of[w])
    by_token(m.path("l/link"))
    check(499 < float(m.get("l/link", "ttl")) <= 500, "ttl after a refresh")
    equal(m.stats()["locks"], len(WAYS), "locks in stats")


# --- what is told ----------------------------------------------------------------------------

@mount_only
def test_events(m):
    def told(s, count):
        return [(e["event_type"], "/".join(filter(None, [e["scope"], e["key"]])))
                for e in s.get(count)]

    with Stream(m, pattern="locks/*") as s:
        fd = exclusive(m.path("locks/f"))
        equal(told(s, 1), [("created", "locks/f")])
        os.write(fd, b"v")
        os.close(fd)
        equal(told(s, 1), [("updated", "locks/f")])
        m.set("locks/f", "ttl", "0.1")
        wait_for(lambda: not there(m.path("locks/f")), 5, "its end")
        got = told(s, 1)
        got = got if got[-1][0] == "expired" else got + told(s, 1)
        equal(got[-1], ("expired", "locks/f"))
        os.mkdir(m.path("locks/d"))
        equal(told(s, 1), [("created", "locks/d")])
        os.symlink("to", m.path("locks/s"))
        equal(told(s, 1), [("created", "locks/s")])
        m.set("locks/d", "release", token(m, "locks/d"))
        equal(told(s, 1), [("deleted", "locks/d")])
        os.unlink(m.path("locks/s"))
        equal(told(s, 1), [("deleted", "locks/s")])
        take_exclusive(m, m.path("locks/e"))
        equal(told(s, 1), [("created", "locks/e")])
        os.rename(m.path("locks/e"), m.path("plain"))
        equal(told(s, 1), [("deleted", "locks/e")])
    # a directory with contents that is released has not expired
    os.mkdir(m.path("locks/d"))
    fill(m, "locks/d", 1)
    with Stream(m, pattern="locks/*") as s:
        m.set("locks/d", "release", token(m, "locks/d"))
        got = []
        while not got or got[-1][0] == "updated":
            got += told(s, 1)
        equal(got[-1], ("deleted", "locks/d"), "a released directory with contents")
    os.mkdir(m.path("locks/d"))
    made = fill(m, "locks/d", 3)
    with Stream(m, pattern="locks/**") as s:
        m.set("locks/d", "ttl", "0.1")
        wait_for(lambda: not there(m.path("locks/d")), 5, "its end")
        got = []
        while ("expired", "locks/d") not in got:
            got += told(s, 1)
    ended = [name for kind, name in got if kind in ("expired", "deleted")]
    equal(sorted(ended), sorted(made + ["locks/d"]), "told of a directory with contents")
    equal(ended[-1], "locks/d", "the last")


@mount_only
def test_stats(m):
    equal(m.stats()["locks"], 0, "at first")
    take_directory(m, m.path("locks/d"))
    take_symlink(m, m.path("locks/s"))
    m.write("data", "v")
    os.link(m.path("data"), m.path("locks/one"))
    os.link(m.path("data"), m.path("locks/two"))
    m.write("locks/plain", "v")
    equal(m.stats()["locks"], 4, "each name counts")
    os.unlink(m.path("locks/one"))
    os.rename(m.path("locks/two"), m.path("two"))
    equal(m.stats()["locks"], 2, "after an unlink and a rename")
    os.removexattr(m.path("locks/d"), CUBBY + "ttl")
    equal(m.stats()["locks"], 1, "after the removal of a ttl")
    os.rename(m.path("data"), m.path("locks/s"))
    equal(m.stats()["locks"], 0, "after a rename over a lock")


# --- keepalive -------------------------------------------------------------------------------

KEEP_TTL = 0.4
NOTICED = 0.5       # how long after a process's end the daemon may come to know of it


class Holder:
    """A process that takes a lock by a shell's builtin, and lives until it is ended."""

    def __init__(self, m, name, take='set -C; : > "$1"', then="read x"):
        self.process = subprocess.Popen(
            ["bash", "-c", take + " && echo taken && " + then, "bash", m.path(name)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        if self.process.stdout.readline() != b"taken\n":
            raise Failure("the holder has not got %s" % name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    @property
    def pid(self):
        return self.process.pid

    def end(self, number=signal.SIGKILL, reap=True):
        """Returns the moments before its end and after."""
        before = now()
        self.process.send_signal(number)
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        if reap:
            self.process.wait()
        return before, now()


def alive(m, name):
    """As a lock whose TTL has not begun reads."""
    equal(float(m.get(name, "ttl")), KEEP_TTL, "ttl while the holder lives")
    with raises(errno.ENODATA, "expires while the holder lives"):
        m.get(name, "expires")
    token(m, name)


def ends_after(m, name, before, after):
    ends(m.path(name), before + KEEP_TTL, after + KEEP_TTL + NOTICED)


def check_keepalive(m, directory):
    # it lives for 3 TTLs
    k = directory + "/k"
    with Holder(m, k) as h:
        alive(m, k)
        equal(json.loads(m.get(k, "holder"))["pid"], h.pid, "pid of the holder")
        stays(m, [k], 3 * KEEP_TTL)
        with raises(errno.EEXIST, "held"):
            exclusive(m.path(k))
        # refreshing does no harm
        by_token(m.path(k))
        os.utime(m.path(k))
        alive(m, k)
        stays(m, [k], 1.5 * KEEP_TTL)
        alive(m, k)
        ends_after(m, k, *h.end())
        gone(m, k)
    # one that ends well, and has not been waited for; refreshed when it is dead
    with Holder(m, k) as h:
        before, after = h.end(signal.SIGTERM, reap=False)
        wait_for(lambda: expires_at(m, k), 5, "a deadline, after the end of the holder")
        check(0 < float(m.get(k, "ttl")) <= KEEP_TTL, "ttl after the end of the holder")
        if now() < before + KEEP_TTL / 2:
            before = now()
            by_token(m.path(k))
            after = now()
        ends_after(m, k, before, after)
    # released by itself
    with Holder(m, k, then='rm "$1" && echo released && read x') as h:
        equal(h.process.stdout.readline(), b"released\n", "the holder's word")
        check(not there(m.path(k)), "it is there")
        # its end is of no concern to the next holder
        with Holder(m, k) as next_holder:
            h.end()
            stays(m, [k], 1.5 * KEEP_TTL)
            alive(m, k)
            ends_after(m, k, *next_holder.end())
    # exec(2): the same process
    with Holder(m, k, then='exec sleep 100') as h:
        stays(m, [k], 1.5 * KEEP_TTL)
        ends_after(m, k, *h.end())
    # a subshell is a process of its own
    before = now()
    with Holder(m, k, take='(set -C; : > "$1")'):
        ends_after(m, k, before, now())
    # mkdir(1) ends at once
    before = now()
    subprocess.run(["mkdir", m.path(k)], check=True)
    ends_after(m, k, before, now())


def expires_at(m, name):
    try:
        return expires(m, name)
    except OSError as e:
        check(e.errno in (errno.ENODATA, errno.ENOENT), str(e))
        return e.errno == errno.ENOENT


@mount_only
def test_keepalive(m):
    namespace(m, ttl=KEEP_TTL, lock_keepalive="1")
    check_keepalive(m, "l")
    # other namespaces are as they were
    namespace(m, "usual", ttl=KEEP_TTL)
    before = now()
    with Holder(m, "usual/k"):
        ends(m.path("usual/k"), before + KEEP_TTL, now() + KEEP_TTL)


@mount_only
@options("lock_keepalive", "lock_ttl=%g" % KEEP_TTL)
def test_keepalive_by_option(m):
    os.mkdir(m.path("d"))
    before = now()
    with Holder(m, "d/k.lock") as h:
        alive(m, "d/k.lock")
        stays(m, ["d/k.lock"], 2 * KEEP_TTL)
        ends_after(m, "d/k.lock", *h.end())
    m.set("locks", "lock_ttl", KEEP_TTL)
    with Holder(m, "locks/k") as h:
        stays(m, ["locks/k"], 2 * KEEP_TTL)
        ends_after(m, "locks/k", *h.end())
    check(now() > before, "time")


@mount_only
def test_keepalive_ways(m):
    """By every way; and a thread is no process: that it ends means nothing."""
    namespace(m, ttl=KEEP_TTL, lock_keepalive="1")
    ready = os.pipe(), os.pipe()
    ways = [w for w in WAYS if w != "shell"]

    def hold():
        for way in ways:
            WAYS[way](m, m.path("l", way))

        def take():
            take_written(m, m.path("l/thread"))
        t = threading.Thread(target=take)
        t.start()
        t.join()
        os.write(ready[0][1], b"x")
        os.read(ready[1][0], 1)

    with Crew() as crew:
        crew.fork(hold)
        os.read(ready[0][0], 1)
        stays(m, ["l/" + w for w in ways] + ["l/thread"], 2 * KEEP_TTL)
        for way in ways:
            if way not in MUTE:
                alive(m, "l/" + way)
        before = now()
        os.write(ready[1][1], b"x")
        crew.join(10)
        after = now()
        for way in ways + ["thread"]:
            ends_after(m, "l/" + way, before, after)
    for pipe in ready:
        for fd in pipe:
            os.close(fd)


@mount_only
def test_keepalive_of_others(m):
    """Who renames a lock is who is watched. Another TTL, and none; one that is no lock any more.
    And the daemon keeps no descriptor of what has gone."""
    namespace(m, ttl=KEEP_TTL, lock_keepalive="1")
    with Holder(m, "l/old") as first:
        before = now()
        with Holder(m, "l/renamed", take='mv "${1%/*}/old" "$1"') as second:
            ends_after(m, "l/renamed", before, now())     # mv(1) has ended
            second.end()
        first.end()
    with Holder(m, "l/k") as h:
        m.set("l/k", "ttl", "0.8")
        equal(float(m.get("l/k", "ttl")), 0.8, "ttl while the holder lives")
        stays(m, ["l/k"], 1.2)
        before, after = h.end()
        ends(m.path("l/k"), before + 0.8, after + 0.8 + NOTICED)
    with Holder(m, "l/k") as h:
        os.removexattr(m.path("l/k"), CUBBY + "ttl")
        ordinary(m, "l/k")
        h.end()
        stays(m, ["l/k"], 2 * KEEP_TTL)
    os.unlink(m.path("l/k"))
    with Holder(m, "l/k") as h:
        os.rename(m.path("l/k"), m.path("plain"))
        h.end()
        stays(m, ["plain"], 2 * KEEP_TTL)
        ordinary(m, "plain")
    open_before = len(os.listdir("/proc/%d/fd" % m.pid))
    for n in range(200):
        take_exclusive(m, m.path("l/k"))
        if n % 3:
            m.set("l/k", "release", token(m, "l/k"))
        else:
            os.unlink(m.path("l/k"))
    equal(len(os.listdir("/proc/%d/fd" % m.pid)), open_before, "the daemon's descriptors")
    for n in range(300):
        os.mkdir(m.path("l/%d" % n))
    stays(m, ["l/0", "l/299"], 2 * KEEP_TTL)
    shutil.rmtree(m.path("l"))
    equal(len(os.listdir("/proc/%d/fd" % m.pid)), open_before, "the daemon's descriptors")


@mount_only
def test_keepalive_over_a_restart(m):
    """While the holder lives it is kept; if he has ended meanwhile, the TTL begins."""
    namespace(m, ttl=KEEP_TTL, lock_keepalive="1")
    for what, stop in restarts(m):
        with Holder(m, "l/k") as h, Holder(m, "l/other") as other:
            seen = m.get("l/k", "token"), m.get("l/k", "holder")
            stop()
            other.end()
            time.sleep(1.2 * KEEP_TTL)
            before = now()
            m.start()
            after = now()
            ends_after(m, "l/other", before, after)
            stays(m, ["l/k"], 1.5 * KEEP_TTL)
            alive(m, "l/k")
            equal((m.get("l/k", "token"), m.get("l/k", "holder")), seen, "token and holder")
            ends_after(m, "l/k", *h.end())


if __name__ == "__main__":
    main(globals())
