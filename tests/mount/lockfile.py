# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Locks, as the tests take them and look at them.

    for way, take in WAYS.items():
        take(m, m.path("locks", way))       # FileExistsError: it is held
    ends(path, *span(ttl, take, m, path))   # gone at its deadline, to the moment

Deadlines are checked exactly. Where one can be read, from `expires`; else from
the clock that does not stop (CLOCK_BOOTTIME) before and after the call that
started the TTL: what ends before the earliest deadline finds the lock, what
starts after the latest finds nothing.
"""
import ctypes
import datetime
import errno
import itertools
import os
import re
import stat
import subprocess
import time

from harness import check, raises
from inotify import DELETE

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


def span(ttl, act, *arguments):
    """The moments, by now(), between which a TTL ends that act() starts."""
    before = now()
    act(*arguments)
    return before + ttl, now() + ttl


def ends(path, earliest, latest):
    """It is there until a moment between the two, by now(), and is gone from then on."""
    while True:
        start = now()
        found = there(path)
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


def gone_as_said(m, name):
    """At the moment that it says itself."""
    wait_until(expires(m, name))
    gone(m, name)


def ttl_in(m, name, least, most, what="ttl"):
    left = float(m.get(name, "ttl"))
    check(least < left <= most, "%s: %f" % (what, left))


def stale(m, name, *tokens):
    """They neither refresh nor release what has the name."""
    for each in tokens:
        for attribute in ("refresh", "release"):
            with raises(errno.ESTALE, "%s of %s with token %s" % (attribute, name, each)):
                m.set(name, attribute, each)


def told_gone(i, watch, name):
    check(i.until(lambda e: e.watch == watch and e.has(DELETE) and e.name == name.encode()),
          "no IN_DELETE of " + name)


def remove(path):
    (os.rmdir if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink)(path)


# --- the ways to take one --------------------------------------------------------------------

def exclusive(path, flags=os.O_WRONLY):
    return os.open(path, os.O_CREAT | os.O_EXCL | flags, 0o644)


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


def source(m):
    """A key outside of the lock namespace."""
    path = m.path("source" + fresh())
    with open(path, "w") as f:
        f.write("from elsewhere")
    return path


def linked(temporary, path):
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def renamed(temporary, path):
    try:
        renameat2(temporary, path, RENAME_NOREPLACE)
    except OSError:
        remove(temporary)
        raise


def take_link(m, path):
    linked(source(m), path)


def take_link_beside(m, path):
    """liblockfile: a temporary name in the same directory, linked, and removed."""
    temporary = "%s.%s" % (path, fresh())
    take_written(m, temporary)
    linked(temporary, path)


def take_symlink(m, path):
    os.symlink("pid:%d" % os.getpid(), path)


def take_rename(m, path):
    renamed(source(m), path)


def take_renamed_directory(m, path):
    temporary = m.path("dir" + fresh())
    os.mkdir(temporary)
    renamed(temporary, path)


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
SPEAKING = [w for w in WAYS if w not in MUTE]


def namespace(m, name="l", ttl=None, **policy):
    os.mkdir(m.path(name))
    if ttl is not None:
        m.set(name, "lock_ttl", ttl)
    for attribute, value in policy.items():
        m.set(name, attribute, value)
    return name


def fill(m, name, what):
    """The contents of a lock directory, by number; the paths in it, from below."""
    made = ["%s/k%d" % (name, n) for n in range(what % 4)]
    for n in made:
        m.write(n, "old")
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


# --- the ways to refresh, to lose, to restart ------------------------------------------------

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


def expire_other_way(m, name):
    """By another process, so that the ttl is not staged with the caller's bytes."""
    subprocess.run(["setfattr", "-n", CUBBY + "ttl", "-v", "0", m.path(name)], check=True)
    check(not there(m.path(name)), name + " is there after ttl 0")


def restarts(m):
    """What ends the daemon; m.start() goes on."""
    return (("unmount", m.unmount), ("kill -9", m.kill))
