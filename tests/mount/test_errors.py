#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Each condition of DESIGN.md 1.7 that can be made from outside: its errno, and
the old value standing. (Item 7 of the issue.)

EIO and the EROFS that follows it need a disk that fails: the unit tests of the
store do that through its disk. ESTALE belongs to locks.
"""
import ctypes
import errno
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (CUBBYFS, PLAIN, Skip, check, deadline, equal, is_mounted, main, mount_only,
                     options, raises, unmounted)

libc = ctypes.CDLL(None, use_errno=True)
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
AT_FDCWD = -100


def rename2(old, new, flags):
    if libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), old)


def set_whole(path, value, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    """open, write, close; the first that fails raises, and the handle is closed."""
    fd = os.open(path, flags)
    try:
        view = memoryview(value)
        while view:
            view = view[os.write(fd, view[:1 << 17]):]
    except BaseException:
        try:
            os.close(fd)
        except OSError:
            pass
        raise
    os.close(fd)


def state(m, name):
    """What must stand when something failed."""
    try:
        st = os.lstat(m.path(name))
    except FileNotFoundError:
        return None
    attributes = () if PLAIN else (m.get(name, "version"), m.get(name, "revision"))
    return m.read(name), st.st_size, st.st_mode, st.st_mtime_ns, attributes


def fails(m, name, code, act, what):
    """act() raises OSError(code), and the key is as it was: also after a remount,
    which the caller does once for all."""
    before = state(m, name)
    with raises(code, what):
        act()
    equal(state(m, name), before, "%s: the key" % what)


def test_no_such_key(m):
    path = m.path("nothing")
    m.write("k", "v")
    for what, act in (
            ("open", lambda: os.open(path, os.O_RDONLY)),
            ("open to write", lambda: os.open(path, os.O_WRONLY | os.O_TRUNC)),
            ("open to append", lambda: os.open(path, os.O_WRONLY | os.O_APPEND)),
            ("stat", lambda: os.stat(path)),
            ("truncate", lambda: os.truncate(path, 1)),
            ("unlink", lambda: os.unlink(path)),
            ("rmdir", lambda: os.rmdir(path)),
            ("chmod", lambda: os.chmod(path, 0o600)),
            ("chown", lambda: os.chown(path, 0, 0)),
            ("utime", lambda: os.utime(path)),
            ("rename", lambda: os.rename(path, m.path("x"))),
            ("rename over", lambda: os.rename(path, m.path("k"))),
            ("exchange", lambda: rename2(m.path("k"), path, RENAME_EXCHANGE)),
            ("link", lambda: os.link(path, m.path("x"))),
            ("getxattr", lambda: os.getxattr(path, "user.cubby.revision")),
            ("setxattr", lambda: os.setxattr(path, "user.cubby.ttl", b"1")),
            ("cas if absent", lambda: os.setxattr(path, "user.cubby.cas", b"0:x")),
            ("listdir", lambda: os.listdir(path)),
            ("empty name", lambda: os.stat("")),
            ("making below", lambda: os.mkdir(path + "/below")),
            ("writing below", lambda: set_whole(path + "/below", b"x"))):
        fails(m, "k", errno.ENOENT, act, what)
    equal(m.read("k"), b"v", "value")
    os.unlink(m.path("k"))
    fails(m, "k", errno.ENOENT, lambda: os.unlink(m.path("k")), "unlink twice")


def test_exists(m):
    m.write("k", "v")
    os.mkdir(m.path("d"))
    m.write("other", "o")
    for target in ("k", "d"):
        path = m.path(target)
        for what, act in (
                ("O_EXCL", lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
                ("O_EXCL and O_TRUNC", lambda: os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_TRUNC)),
                ("mkdir", lambda: os.mkdir(path)),
                ("mkfifo", lambda: os.mkfifo(path)),
                ("symlink", lambda: os.symlink("x", path)),
                ("link", lambda: os.link(m.path("other"), path)),
                ("rename, NOREPLACE", lambda: rename2(m.path("other"), path, RENAME_NOREPLACE))):
            fails(m, "k", errno.EEXIST, act, "%s of %s" % (what, target))
    equal(m.read("other"), b"o", "the other")


@mount_only
def test_exclusive_beats_staged(m):
    """A key that is being made does not exist: it can be made exclusively meanwhile."""
    slow = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT)
    os.write(slow, b"slow")
    # another process: to its maker it is there
    subprocess.run(["sh", "-c", 'set -C; printf exclusive > "$1"', "sh", m.path("k")], check=True)
    seen = subprocess.run(["cat", m.path("k")], check=True, capture_output=True)
    equal(seen.stdout, b"exclusive", "value")
    os.close(slow)      # the last close wins, whole
    equal(m.read("k"), b"slow", "value")


def test_name_too_long(m):
    m.write("k", "v")
    os.mkdir(m.path("d"))
    for name in ("x" * 255, "\u00fc" * 127 + "x", "\udcff" * 255):
        m.write(name, "long")
        os.mkdir(m.path("d", name))
        equal(m.read(name), b"long", "value of the longest name")
    m.remount()
    for name in ("x" * 255, "\u00fc" * 127 + "x", "\udcff" * 255):
        equal(m.read(name), b"long", "value of the longest name, mounted again")
        check(name in os.listdir(m.dir) and name in os.listdir(m.path("d")), "listing")
    for name in ("x" * 256, "\u00fc" * 128, "x" * 4000):
        path = m.path(name)
        for what, act in (
                ("open", lambda: os.open(path, os.O_RDONLY)),
                ("write", lambda: set_whole(path, b"x")),
                ("O_EXCL", lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
                ("stat", lambda: os.stat(path)),
                ("mkdir", lambda: os.mkdir(path)),
                ("mkfifo", lambda: os.mkfifo(path)),
                ("symlink", lambda: os.symlink("x", path)),
                ("link", lambda: os.link(m.path("k"), path)),
                ("rename", lambda: os.rename(m.path("k"), path)),
                ("rename from", lambda: os.rename(path, m.path("k"))),
                ("unlink", lambda: os.unlink(path)),
                ("below", lambda: os.stat(path + "/x"))):
            fails(m, "k", errno.ENAMETOOLONG, act, "%s of %d characters" % (what, len(name)))
    with raises(errno.ENAMETOOLONG, "a path over PATH_MAX"):
        os.stat(m.path(*["x" * 200] * 25))


def too_large(m, name, limit):
    """Every way to make the key larger than the limit."""
    path = m.path(name)

    def through_handle(act, flags=os.O_RDWR, before=b""):
        """The error comes at the call or at the close, and then nothing is committed."""
        fd = os.open(path, flags)
        try:
            if before:
                os.write(fd, before)
            act(fd)
        except BaseException:
            try:
                os.close(fd)
            except OSError:
                pass
            raise
        os.close(fd)

    over = b"x" * (limit + 1)
    cases = [
        ("write", lambda: set_whole(path, over)),
        ("write without O_TRUNC", lambda: set_whole(path, over, os.O_WRONLY)),
        ("write after staged bytes", lambda: through_handle(
            lambda fd: set_rest(fd, over[:limit + 1 - 5]), before=b"start",
            flags=os.O_WRONLY | os.O_TRUNC)),
        ("far more", lambda: set_whole(path, over * 3)),
        ("pwrite behind the limit", lambda: through_handle(lambda fd: os.pwrite(fd, b"x", limit))),
        ("pwrite far behind it", lambda: through_handle(lambda fd: os.pwrite(fd, b"x", 1 << 40))),
        ("truncate", lambda: os.truncate(path, limit + 1)),
        ("truncate to 1 TiB", lambda: os.truncate(path, 1 << 40)),
        ("ftruncate", lambda: through_handle(lambda fd: os.ftruncate(fd, limit + 1))),
    ]
    room = limit - len(m.read(name))
    if room < 4096:         # one write(2): each is a commit of its own
        cases.append(("append", lambda: set_whole(path, over[:room + 1],
                                                  os.O_WRONLY | os.O_APPEND)))
    if not PLAIN and limit < 60000:
        cases += [
            ("cas", lambda: os.setxattr(path, "user.cubby.cas",
                                        m.get(name, "revision").encode() + b":" + over)),
            ("cas through a handle", lambda: through_handle(
                lambda fd: os.setxattr(fd, "user.cubby.cas",
                                       m.get(name, "revision").encode() + b":" + over))),
        ]
    for what, act in cases:
        fails(m, name, errno.EFBIG, act, "%s, limit %d" % (what, limit))


def set_rest(fd, value):
    view = memoryview(value)
    while view:
        view = view[os.write(fd, view):]


def shell_fails(m, command, what):
    r = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=m.dir, capture_output=True,
                       text=True)
    check(r.returncode != 0, "%s: the shell saw no error" % what)
    check(os.strerror(errno.EFBIG) in r.stderr, "%s: it said %r" % (what, r.stderr))


@mount_only
def test_value_too_large(m):
    """The default, 1 MiB."""
    limit = 1 << 20
    m.write("k", "the old value")
    too_large(m, "k", limit)
    for command in ("head -c 1048577 /dev/zero > k", "cp big k", "cat big > k",
                    "dd if=/dev/zero of=k bs=1000 count=2000 status=none",
                    "truncate -s 1048577 k"):
        with open(m.scratch.path("big"), "wb") as f:
            f.write(b"x" * (limit + 300000))
        before = state(m, "k")
        shell_fails(m, command.replace("big", m.scratch.path("big")), command)
        equal(state(m, "k"), before, "the key after " + command)
    # of a new key there is nothing
    with raises(errno.EFBIG, "a new key"):
        set_whole(m.path("new"), b"x" * (limit + 1))
    check(not os.path.lexists(m.path("new")), "the key of a failed write is there")
    # up to the limit all is well
    m.write("k", b"x" * limit)
    equal(len(m.read("k")), limit, "length")
    too_large(m, "k", limit)
    m.write("k", b"x" * (limit - 10))
    set_whole(m.path("k"), b"0123456789", os.O_WRONLY | os.O_APPEND)
    equal(m.read("k"), b"x" * (limit - 10) + b"0123456789", "value")
    os.truncate(m.path("k"), 0)
    os.truncate(m.path("k"), limit)
    equal(m.read("k"), bytes(limit), "value")
    before = state(m, "k")
    m.remount()
    equal(state(m, "k"), before, "the key, mounted again")


@mount_only
@options("max_value=1000")
def test_value_too_large_by_option(m):
    m.write("k", "the old value")
    too_large(m, "k", 1000)
    m.write("json", '{"a": [], "n": 1}')
    fails(m, "json", errno.EFBIG, lambda: m.set("json", "update", json.dumps(
        [{"type": "increment", "path": "n", "by": 1},
         {"type": "append", "path": "a", "value": "x" * 1000}])), "update")
    m.write("k", b"x" * 1000)
    too_large(m, "k", 1000)
    m.set("k", "cas", m.get("k", "revision") + ":" + "y" * 1000)
    equal(m.read("k"), b"y" * 1000, "value")
    # a smaller limit leaves what is larger readable
    before = state(m, "k")
    m.remount(["max_value=100"])
    equal(state(m, "k"), before, "the key under a smaller limit")
    too_large(m, "json", 100)
    m.write("k", "small")
    equal(m.read("k"), b"small", "value")


@mount_only
def test_value_too_large_by_policy(m):
    os.makedirs(m.path("d/below"))
    m.write("d/k", "old")
    m.set("d", "max_value", 10)
    too_large(m, "d/k", 10)
    m.write("d/k", "0123456789")
    too_large(m, "d/k", 10)
    # directly in it, and nowhere else
    m.write("d/below/k", "x" * 11)
    m.write("k", "x" * 11)
    m.write("d/n", "9")
    m.set("d/n", "increment", 10**9)
    equal(m.read("d/n").strip(), b"1000000009", "value")
    m.remount()
    too_large(m, "d/k", 10)
    os.removexattr(m.path("d"), "user.cubby.max_value")
    m.write("d/k", "x" * 11)


@mount_only
def test_bad_attribute_values(m):
    """One of each; test_xattr.py and test_ttl.py have them all."""
    m.write("k", "text")
    for name, value in (("ttl", "soon"), ("ttl", "-1"), ("increment", "1"), ("increment", "one"),
                        ("cas", "nonsense"), ("update", "nonsense"), ("action", "x" * 257)):
        fails(m, "k", errno.EINVAL, lambda: m.set("k", name, value), "%s %.20r" % (name, value))
    m.write("k", str(2**63 - 1))
    fails(m, "k", errno.ERANGE, lambda: m.set("k", "increment", 1), "increment over the top")


@mount_only
def test_revision_moved_on(m):
    m.write("k", "old")
    revision = int(m.get("k", "revision"))
    m.write("k", "new")
    fails(m, "k", errno.EBUSY, lambda: m.set("k", "cas", "%d:lost" % revision), "cas")
    fails(m, "k", errno.EBUSY, lambda: m.set("k", "cas", "0:lost"), "cas if absent")


@mount_only
def test_too_many_keys(m):
    os.makedirs(m.path("d/below"))
    m.write("out", "o")
    m.set("d", "max_keys", 3)
    for n in range(3):
        m.write("d/k%d" % n, "v")
    listing = sorted(os.listdir(m.path("d")))
    path = m.path("d/more")
    for what, act in (
            ("write", lambda: set_whole(path, b"x")),
            ("append", lambda: set_whole(path, b"x", os.O_WRONLY | os.O_CREAT | os.O_APPEND)),
            ("O_EXCL", lambda: set_whole(path, b"", os.O_WRONLY | os.O_CREAT | os.O_EXCL)),
            ("link", lambda: os.link(m.path("out"), path)),
            ("link within", lambda: os.link(m.path("d/k0"), path)),
            ("rename", lambda: os.rename(m.path("out"), path))):
        with raises(errno.EDQUOT, what):
            act()
        equal(sorted(os.listdir(m.path("d"))), listing, "%s: the listing" % what)
        equal(m.read("out"), b"o", "%s: the key outside" % what)
    # `: > more` may find nobody to tell: what has no bytes commits after the close
    subprocess.run(": > '%s'" % path, shell=True, stderr=subprocess.DEVNULL)
    equal(sorted(os.listdir(m.path("d"))), listing, "an empty key: the listing")
    # what adds none is allowed
    m.write("d/k0", "w")
    os.rename(m.path("d/k0"), m.path("d/renamed"))
    os.rename(m.path("out"), m.path("d/k1"))
    m.write("d/below/k", "v")
    m.write("out", "v")
    m.remount()
    with raises(errno.EDQUOT, "write, mounted again"):
        set_whole(path, b"x")
    os.unlink(m.path("d/k2"))
    m.write("d/more", "v")
    with raises(errno.EDQUOT, "write"):
        m.write("d/again", "v")
    # two that are being made: there is room for one
    os.unlink(m.path("d/more"))
    one = os.open(m.path("d/one"), os.O_WRONLY | os.O_CREAT)
    os.write(one, b"1")
    failed = 0
    try:
        two = os.open(m.path("d/two"), os.O_WRONLY | os.O_CREAT)
        os.write(two, b"2")
        os.close(one)
        os.close(two)
    except OSError as e:
        equal(e.errno, errno.EDQUOT, "errno of the second")
        failed += 1
    equal(failed, 1, "failures of two")
    equal(len(os.listdir(m.path("d"))), 4, "entries: three keys and a namespace")
    os.removexattr(m.path("d"), "user.cubby.max_keys")
    m.write("d/many", "v")


@mount_only
@unmounted
@deadline(180)
def test_store_full(scratch):
    """The store is on a small tmpfs, which a file beside it fills."""
    small = scratch.path("small")
    os.mkdir(small)
    r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24M", "small", small],
                       capture_output=True, text=True)
    if r.returncode:
        raise Skip("no tmpfs to be had: " + r.stderr)
    filler = os.path.join(small, "filler")
    m = scratch.mount(store=os.path.join(small, "store"))
    try:
        rng = random.Random(1)
        there = {"k": b"the old value"}
        m.write("k", there["k"])
        os.mkdir(m.path("d"))
        for turn in range(3):
            space = os.statvfs(small)
            with open(filler, "wb") as f:
                f.write(bytes(space.f_bavail * space.f_frsize - (2 << 20)))
            failed = 0
            number = 0
            while failed < 5:
                name, value = "d/%d.%d" % (turn, number), rng.randbytes(1 << 16)
                number += 1
                check(number < 500, "the store does not get full")
                try:
                    set_whole(m.path(name), value)
                    there[name] = value
                except OSError as e:
                    equal(e.errno, errno.ENOSPC, "errno of a full store")
                    failed += 1
            fails(m, "k", errno.ENOSPC, lambda: set_whole(m.path("k"), rng.randbytes(1 << 20)),
                  "a set in a full store")
            fails(m, "k", errno.ENOSPC, lambda: set_whole(
                m.path("k"), rng.randbytes(1 << 20), os.O_WRONLY | os.O_APPEND), "an append")
            look(m, there)
            os.unlink(filler)
            for number in range(3):
                there["k"] = b"after it was full, %d.%d" % (turn, number)
                m.write("k", there["k"])
            m.write("d/after%d" % turn, b"x" * 1000)
            there["d/after%d" % turn] = b"x" * 1000
            look(m, there)
            if turn == 1:
                m.kill()
                m.start()
            else:
                m.remount()
            look(m, there)
            # make room, also in the journal
            for name in [n for n in there if n.startswith("d/%d." % turn)]:
                os.unlink(m.path(name))
                del there[name]
        m.unmount()
    finally:
        m.destroy()
        subprocess.run(["umount", "-l", small])


def look(m, there):
    for name, value in there.items():
        equal(m.read(name), value, "value of " + name)
    found = sorted(os.path.relpath(os.path.join(d, n), m.dir)
                   for d, _, names in os.walk(m.dir) for n in names)
    equal(found, sorted(there), "keys that are there")


@mount_only
def test_read_only(m):
    m.write("k", "v")
    os.mkdir(m.path("d"))
    m.remount(["ro"])
    for what, act in (
            ("write", lambda: os.open(m.path("k"), os.O_WRONLY)),
            ("make", lambda: os.open(m.path("new"), os.O_WRONLY | os.O_CREAT)),
            ("mkdir", lambda: os.mkdir(m.path("new"))),
            ("unlink", lambda: os.unlink(m.path("k"))),
            ("rmdir", lambda: os.rmdir(m.path("d"))),
            ("rename", lambda: os.rename(m.path("k"), m.path("new"))),
            ("truncate", lambda: os.truncate(m.path("k"), 0)),
            ("chmod", lambda: os.chmod(m.path("k"), 0o600)),
            ("setxattr", lambda: m.set("k", "ttl", 5))):
        fails(m, "k", errno.EROFS, act, what)
    m.remount([])
    m.write("k", "w")
    equal(m.read("k"), b"w", "value")


def daemon(*words):
    """Runs it in the background and in the foreground: (status, stderr) of each."""
    for more in ([], ["-f"]):
        r = subprocess.run([CUBBYFS, *words, *more], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=20)
        yield r.returncode, r.stderr


def refused(scratch, what, *words, mentions=""):
    directory = scratch.path("mnt")
    for status, stderr in daemon(*words):
        try:
            check(status > 0, "%s: status %d" % (what, status))
            equal(len(stderr.strip().splitlines()), 1, "%s: lines of %r" % (what, stderr))
            check(mentions in stderr, "%s: %r does not mention %s" % (what, stderr, mentions))
            check(not os.path.isdir(directory) or not is_mounted(directory),
                  "%s: it is mounted all the same" % what)
        finally:
            if os.path.isdir(directory) and is_mounted(directory):
                subprocess.run(["umount", "-l", directory])


@mount_only
@unmounted
def test_a_start_that_fails(scratch):
    store, directory = scratch.path("store"), scratch.path("mnt")
    refused(scratch, "no DIR", store, directory, mentions=directory)
    with open(directory, "w"):
        pass
    refused(scratch, "DIR is a file", store, directory, mentions=directory)
    os.unlink(directory)
    os.mkdir(directory)
    with open(scratch.path("file"), "w") as f:
        f.write("not a store\n")
    refused(scratch, "STORE is a file", scratch.path("file"), directory,
            mentions=scratch.path("file"))
    with open(scratch.path("file")) as f:
        equal(f.read(), "not a store\n", "the file")
    missing = scratch.path("missing/store")
    refused(scratch, "no directory for STORE", missing, directory,
            mentions=scratch.path("missing"))
    refused(scratch, "an unknown kind of store", "nonsense://host/x", directory)
    for option in ("max_value=much", "max_value=-1", "max_value=", "commit=x", "nonsense",
                   "nonsense=1"):
        refused(scratch, "-o " + option, store, directory, "-o", option)
    for words in ((), (store,), (store, directory, "extra"), (store, directory, "--nonsense")):
        for status, stderr in daemon(*words):
            check(status > 0 and stderr, "arguments %r: status %d, %r" % (words, status, stderr))
    check(not is_mounted(directory), "something is mounted")
    # and after all that it starts
    m = scratch.mount()
    m.write("k", "v")
    m.unmount()


def descendants(pid):
    """The process and all below it."""
    found = [pid]
    for each in found:
        with open("/proc/%d/task/%d/children" % (each, each)) as f:
            found += [int(word) for word in f.read().split()]
    return found


@mount_only
def test_second_daemon(m):
    """The store has one daemon; the other is told who it is."""
    m.write("k", "v")
    other = m.scratch.path("other")
    os.mkdir(other)
    for status, stderr in daemon(m.store, other):
        check(status > 0, "status %d" % status)
        equal(len(stderr.strip().splitlines()), 1, "lines of %r" % stderr)
        check(any(str(pid) in stderr for pid in descendants(m.pid)),
              "%r does not name %d" % (stderr, m.pid))
        check(not is_mounted(other), "it is mounted")
    m.write("k", "w")
    equal(m.read("k"), b"w", "value")
    # another name for the same store
    os.symlink(m.store, m.scratch.path("symlink"))
    for status, stderr in daemon(m.scratch.path("symlink"), other):
        check(status > 0, "through a symlink: status %d" % status)
    # a dead daemon holds nothing
    m.kill()
    m.start()
    equal(m.read("k"), b"w", "value")


@mount_only
@unmounted
def test_daemon_in_the_background(scratch):
    """It returns when the mount answers, keeps none of its caller's descriptors, and a
    umount is followed by a mount without a wait."""
    store, directory = scratch.path("store"), scratch.path("mnt")
    os.mkdir(directory)
    try:
        for turn in range(5):
            r = subprocess.run([CUBBYFS, store, directory], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=20)
            equal((r.returncode, r.stdout, r.stderr), (0, "", ""), "status, stdout, stderr")
            check(is_mounted(directory), "it has returned, and there is no mount")
            path = os.path.join(directory, "k%d" % turn)
            set_whole(path, b"v")
            for earlier in range(turn):
                with open(os.path.join(directory, "k%d" % earlier)) as f:
                    equal(f.read(), "v", "value")
            r = subprocess.run(["umount", directory], capture_output=True, text=True)
            equal((r.returncode, r.stderr), (0, ""), "umount")
    finally:
        if is_mounted(directory):
            subprocess.run(["umount", "-l", directory])


if __name__ == "__main__":
    main(globals())
