#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""The attributes of DESIGN.md 1.3: who may be read, set and removed, what they
say, what they refuse, and that each is one atomic change. TTLs are in
test_ttl.py, those of locks in the lock tests. (Item 3 of the issue.)"""
import contextlib
import datetime
import errno
import json
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Failure, Skip, check, equal, main, mount_only, raises, wait_for
from crew import Crew, barrier

CUBBY = "user.cubby."
READ_ONLY = ("expires", "created", "modified", "revision", "version")
WRITE_ONLY = ("increment", "update", "cas")
POLICY = {"default_ttl": "60", "lock_ttl": "30", "lock_suffix": ".lock", "lock_keepalive": "1",
          "history": "10", "max_value": "4096", "max_keys": "100"}
# what the contract leaves open: which of the words for "no" it is
REFUSED = (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.ENODATA)


@contextlib.contextmanager
def refused(what):
    try:
        yield
    except OSError as e:
        check(e.errno in REFUSED, "%s: got %s" % (what, e))
    else:
        raise Failure(what + ": succeeded")


def fset(fd, name, value):
    os.setxattr(fd, CUBBY + name, value if isinstance(value, bytes) else str(value).encode())


def when(text):
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text),
          "no RFC 3339 time with microseconds: %r" % text)
    return datetime.datetime.fromisoformat(text).timestamp()


@contextlib.contextmanager
def unchanged(m, name, value):
    """What fails in the block leaves the value and both counters as they are."""
    before = m.get(name, "version"), m.get(name, "revision")
    yield
    equal(m.read(name), value, "the old value")
    equal((m.get(name, "version"), m.get(name, "revision")), before, "version and revision")


@mount_only
def test_access(m):
    m.write("k", "1")
    os.mkdir(m.path("d"))
    for name in READ_ONLY:
        for value in (b"", b"1", b"2030-01-01T00:00:00.000000Z"):
            with refused("set %s" % name):
                m.set("k", name, value.decode())
        with refused("remove %s" % name):
            os.removexattr(m.path("k"), CUBBY + name)
    for name in WRITE_ONLY:
        with raises(errno.ENODATA, "get %s" % name):
            m.get("k", name)
        with refused("remove %s" % name):
            os.removexattr(m.path("k"), CUBBY + name)
    for name in ("ttl", "expires", "action"):
        with raises(errno.ENODATA, "get %s of a plain key" % name):
            m.get("k", name)
    for name in ("nonsense", "", "TTL", "ttl ", "revision.x"):
        with refused("set an unknown name, %r" % name):
            m.set("k", name, "1")
        with refused("get an unknown name, %r" % name):
            m.get("k", name)
        with refused("remove an unknown name, %r" % name):
            os.removexattr(m.path("k"), CUBBY + name)
    for name in ("ttl", "increment", "update", "cas", "action"):
        with refused("set %s of a namespace" % name):
            m.set("d", name, "1")
        with refused("get %s of a namespace" % name):
            m.get("d", name)
    for name in POLICY:
        with refused("set %s of a key" % name):
            m.set("k", name, POLICY[name])
        with refused("get %s of a key" % name):
            m.get("k", name)
    equal(m.read("k"), b"1", "value after all that")
    equal(m.get("k", "version"), "1", "version after all that")


@mount_only
def test_listing(m):
    """A listing names what can be copied to another file: cp -a, rsync -X and tar
    take each name they are given, get it and set it on the copy."""
    m.write("k", "1")
    os.mkdir(m.path("d"))
    os.setxattr(m.path("k"), "user.color", b"red")
    os.setxattr(m.path("d"), "user.color", b"blue")
    equal(sorted(os.listxattr(m.path("k"))), ["user.color"], "names of a key")
    equal(sorted(os.listxattr(m.path("d"))), ["user.color"], "names of a namespace")
    for path in (m.path("k"), m.path("d")):
        for name in os.listxattr(path):
            os.getxattr(path, name)
    # what is listed in whatever state must be gettable
    m.set("k", "ttl", 60)
    m.set("k", "action", "why")
    for name, value in POLICY.items():
        m.set("d", name, value)
    for path in (m.path("k"), m.path("d")):
        for name in os.listxattr(path):
            os.getxattr(path, name)


def test_user_attributes(m):
    m.write("k", "1")
    path = m.path("k")
    try:
        os.setxattr(path, "user.a", b"1")
    except OSError as e:
        raise Skip("no user xattrs here: %s" % e)
    os.setxattr(path, "user.bytes", bytes(range(256)))
    os.setxattr(path, "user.empty", b"")
    equal(os.getxattr(path, "user.bytes"), bytes(range(256)), "bytes")
    equal(os.getxattr(path, "user.empty"), b"", "nothing")
    with raises(errno.EEXIST, "XATTR_CREATE of one that is there"):
        os.setxattr(path, "user.a", b"2", os.XATTR_CREATE)
    with raises(errno.ENODATA, "XATTR_REPLACE of one that is not"):
        os.setxattr(path, "user.b", b"2", os.XATTR_REPLACE)
    os.setxattr(path, "user.a", b"3", os.XATTR_REPLACE)
    equal(os.getxattr(path, "user.a"), b"3", "replaced")
    with raises(errno.ENODATA, "get one that is not there"):
        os.getxattr(path, "user.b")
    with raises(errno.ENODATA, "remove one that is not there"):
        os.removexattr(path, "user.b")
    name = "user." + "n" * 250
    os.setxattr(path, name, b"x" * 2000)
    equal(sorted(os.listxattr(path)), sorted(["user.a", "user.bytes", "user.empty", name]),
          "names")
    m.write("k", "2")
    os.rename(path, m.path("moved"))
    os.link(m.path("moved"), m.path("linked"))
    m.remount()
    for path in (m.path("moved"), m.path("linked")):
        equal(sorted(os.listxattr(path)), sorted(["user.a", "user.bytes", "user.empty", name]),
              "names after rewrite, rename, link and remount")
        equal(os.getxattr(path, name), b"x" * 2000, "the long one")
    for n in os.listxattr(path):
        os.removexattr(path, n)
    m.remount()
    equal(os.listxattr(path), [], "names after removal")


@mount_only
def test_created_and_modified(m):
    before = time.time()
    m.write("k", "1")
    created = when(m.get("k", "created"))
    check(before - 0.1 <= created <= time.time() + 0.1, "created: %f, now %f" % (created, before))
    check(abs(when(m.get("k", "modified")) - created) < 1, "modified of a new key")
    first = m.get("k", "modified")
    wait_for(lambda: time.time() > when(first) + 0.01)
    m.write("k", "2")
    equal(when(m.get("k", "created")), created, "created, after a second set")
    check(when(m.get("k", "modified")) > when(first), "modified did not move")
    modified = m.get("k", "modified")
    m.remount()
    equal(when(m.get("k", "created")), created, "created, after a remount")
    equal(m.get("k", "modified"), modified, "modified, after a remount")


@mount_only
def test_revision_and_version(m):
    """The store's number grows with every change, a key's only with its own."""
    os.mkdir(m.path("d"))
    m.write("k", "1")
    m.write("other", "1")
    path = m.path("k")
    equal(m.get("k", "version"), "1", "version of a new key")
    latest = max(int(m.get("k", "revision")), int(m.get("other", "revision")))
    check(int(m.get("other", "revision")) > int(m.get("k", "revision")), "order of two keys")

    def newer(what, name="k"):
        nonlocal latest
        now = m.get(name, "revision")
        check(re.fullmatch("[0-9]+", now), "revision: %r" % now)
        check(int(now) > latest, "%s: revision %s is not newer than %d" % (what, now, latest))
        latest = int(now)

    for what, act in (
            ("write", lambda: m.write("k", "2")),
            ("the same value again", lambda: m.write("k", "2")),
            ("truncate", lambda: os.truncate(path, 0)),
            ("chmod", lambda: os.chmod(path, 0o600)),
            ("utimens", lambda: os.utime(path, (1, 1))),
            ("user xattr", lambda: os.setxattr(path, "user.a", b"1")),
            ("remove user xattr", lambda: os.removexattr(path, "user.a")),
            ("cas", lambda: m.set("k", "cas", "%s:5" % m.get("k", "revision"))),
            ("increment", lambda: m.set("k", "increment", 1)),
            ("ttl", lambda: m.set("k", "ttl", 60)),
            ("remove ttl", lambda: os.removexattr(path, CUBBY + "ttl"))):
        act()
        newer(what)
    m.write("other", "2")
    newer("another key", "other")
    os.chmod(m.path("d"), 0o700)
    newer("chmod of a namespace", "d")
    m.set("d", "max_keys", 7)
    newer("policy", "d")
    version = m.get("k", "version")
    m.read("k")
    os.stat(path)
    m.write("other", "3")
    equal(m.get("k", "version"), version, "version after others' changes and reads")
    m.write("k", "4")
    equal(int(m.get("k", "version")), int(version) + 1, "version after one set")
    seen = m.get("k", "revision"), m.get("k", "version"), m.get("other", "revision")
    m.remount()
    equal((m.get("k", "revision"), m.get("k", "version"), m.get("other", "revision")), seen,
          "revisions and version after a remount")
    m.write("k", "5")
    newer("the first change after a remount")
    os.unlink(path)
    m.write("k", "1")
    newer("made anew")
    equal(m.get("k", "version"), "1", "version of a key made anew")
    # the number is the store's, also when what had the highest is gone
    m.write("last", "1")
    latest = int(m.get("last", "revision"))
    os.unlink(m.path("last"))
    m.remount()
    m.write("k", "2")
    newer("after the newest key was removed, and a remount")


@mount_only
def test_action(m):
    m.write("k", "1")
    m.set("k", "action", "deploy of \u00fcber-app")
    equal(m.get("k", "action"), "deploy of \u00fcber-app", "action")
    m.set("k", "action", "x" * 256)
    equal(m.get("k", "action"), "x" * 256, "the longest action")
    with unchanged(m, "k", b"1"):
        with raises(errno.EINVAL, "an action of 257 bytes"):
            m.set("k", "action", "x" * 257)
    equal(m.get("k", "action"), "x" * 256, "action after a refused one")


@mount_only
def test_increment(m):
    m.write("k", "10\n")
    m.set("k", "increment", 5)
    equal(int(m.read("k")), 15, "10 + 5")
    m.set("k", "increment", -20)
    equal(int(m.read("k")), -5, "15 - 20")
    version = int(m.get("k", "version"))
    m.set("k", "increment", 0)
    equal(int(m.get("k", "version")), version + 1, "version after + 0")
    for value in ("", "abc", "1.5", "0x10", "1 2", "--1", "1e3"):
        with unchanged(m, "k", m.read("k")):
            with raises(errno.EINVAL, "increment by %r" % value):
                m.set("k", "increment", value)
    for value in ("abc", "1.5", "12 monkeys", "{}", "\0"):
        m.write("k", value)
        with unchanged(m, "k", value.encode()):
            with raises(errno.EINVAL, "increment of %r" % value):
                m.set("k", "increment", 1)
    for value, by in ((2**63 - 1, 1), (-2**63, -1), (2**62, 2**62)):
        m.write("k", str(value))
        with unchanged(m, "k", str(value).encode()):
            with raises(errno.ERANGE, "%d + %d" % (value, by)):
                m.set("k", "increment", by)
    m.write("k", str(-2**63))
    m.set("k", "increment", 2**63 - 1)
    equal(int(m.read("k")), -1, "from one end to the other")
    m.write("k", str(2**64))
    with unchanged(m, "k", str(2**64).encode()):
        try:
            m.set("k", "increment", 1)
            raise Failure("increment of 2^64 succeeded")
        except OSError as e:
            check(e.errno in (errno.ERANGE, errno.EINVAL), "increment of 2^64: %s" % e)


@mount_only
def test_increment_by_many(m):
    processes, each = 8, 1250
    m.write("k", "0")

    def act():
        for _ in range(each):
            m.set("k", "increment", 1)
    with Crew() as crew:
        for _ in range(processes):
            crew.fork(act)
        crew.join(100)
    equal(int(m.read("k")), processes * each, "the counter")
    equal(int(m.get("k", "version")), processes * each + 1, "its version")
    m.remount()
    equal(int(m.read("k")), processes * each, "the counter, mounted again")


@mount_only
def test_cas(m):
    m.write("k", "old")
    for value in (b"new", b"", b"with:colons:", bytes(range(256)), b"l" * 60000):
        fset(m.path("k"), "cas", m.get("k", "revision").encode() + b":" + value)
        equal(m.read("k"), value, "value after cas")
    equal(m.get("k", "version"), "6", "version after five cas")
    m.write("k", "old")
    stale = m.get("k", "revision")
    m.write("k", "newer")
    for revision in (stale, 0, 1, int(m.get("k", "revision")) + 1, 2**62):
        with unchanged(m, "k", b"newer"):
            with raises(errno.EBUSY, "cas at revision %s" % revision):
                m.set("k", "cas", "%s:lost" % revision)
    now = m.get("k", "revision")
    for text in ("", ":", ":lost", "x:lost", "-1:lost", now + " :lost", " " + now + ":lost",
                 "0x%x:lost" % int(now), now + ".0:lost", "9" * 40 + ":lost"):
        with unchanged(m, "k", b"newer"):
            with raises(errno.EINVAL, "cas %r" % text):
                m.set("k", "cas", text)
    # any change is a change, not only one of the value
    os.chmod(m.path("k"), 0o600)
    with raises(errno.EBUSY, "cas at the revision before a chmod"):
        m.set("k", "cas", now + ":lost")
    equal(m.read("k"), b"newer", "value")


@mount_only
def test_cas_loses_nothing(m):
    """8 processes add 1 to a number 250 times each, by reading and cas."""
    processes, each = 8, 250
    m.write("k", "0")

    def act(through_handle):
        lost = 0
        for _ in range(each):
            while True:
                revision = m.get("k", "revision")
                value = str(int(m.read("k")) + 1)
                try:
                    if through_handle:
                        fd = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
                        try:
                            os.write(fd, value.encode())
                            fset(fd, "cas", revision)
                        finally:
                            close_quietly(fd)
                    else:
                        m.set("k", "cas", revision + ":" + value)
                    break
                except OSError as e:
                    check(e.errno == errno.EBUSY, "cas: %s" % e)
                    lost += 1
        return lost
    with Crew() as crew:
        for number in range(processes):
            crew.fork(act, number % 2)
        lost = crew.join(100)
    equal(int(m.read("k")), processes * each, "the number")
    equal(int(m.get("k", "version")), processes * each + 1, "its version")
    print("# %d sets, %d lost races" % (processes * each, sum(lost)))
    check(sum(lost) > 0, "there was no race")


def close_quietly(fd):
    """After EBUSY the close may say so once more, or not."""
    try:
        os.close(fd)
    except OSError as e:
        check(e.errno == errno.EBUSY, "cas: %s" % e)


# cas through a handle, an extension: "REVISION" alone commits the staged bytes if
# the revision stands; 0 is the revision of a key that does not exist.
@mount_only
def test_cas_of_staged_bytes(m):
    m.write("k", "old")
    fd = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"new")
    fset(fd, "cas", m.get("k", "revision"))
    equal(m.read("k"), b"new", "value before close")
    os.close(fd)
    equal(m.get("k", "version"), "2", "version: one change, and none by close")
    # nothing staged but the truncation
    fd = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
    fset(fd, "cas", m.get("k", "revision"))
    os.close(fd)
    equal((m.read("k"), m.get("k", "version")), (b"", "3"), "value and version")
    # it moved on
    m.write("k", "mine")
    revision = m.get("k", "revision")
    fd = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"lost")
    m.write("k", "theirs")
    with unchanged(m, "k", b"theirs"):
        with raises(errno.EBUSY, "cas of staged bytes at an old revision"):
            fset(fd, "cas", revision)
        equal(m.read("k"), b"theirs", "value before close")
        close_quietly(fd)
    # the whole form works through a handle too
    with open(m.path("k"), "r+b") as f:
        fset(f.fileno(), "cas", m.get("k", "revision") + ":whole")
    equal(m.read("k"), b"whole", "value")


@mount_only
def test_cas_makes_a_key(m):
    def make(name, text, staged=b""):
        fd = os.open(m.path(name), os.O_WRONLY | os.O_CREAT)
        try:
            if staged:
                os.write(fd, staged)
            fset(fd, "cas", text)
        finally:
            close_quietly(fd)
    make("a", "0:first")
    equal((m.read("a"), m.get("a", "version")), (b"first", "1"), "value and version")
    make("b", "0", b"staged")
    equal((m.read("b"), m.get("b", "version")), (b"staged", "1"), "value and version")
    for name, value in (("a", b"first"), ("b", b"staged")):
        with unchanged(m, name, value):
            with raises(errno.EBUSY, "set if absent, of one that exists"):
                make(name, "0:second")
            with raises(errno.EBUSY, "set staged bytes if absent, of one that exists"):
                make(name, "0", b"second")
    with raises(errno.EBUSY, "cas at revision 7 of a key that does not exist"):
        make("c", "7:x")
    check(not os.path.lexists(m.path("c")), "a failed cas made the key")
    with raises(errno.EBUSY, "the same of staged bytes"):
        make("c", "7", b"x")
    check(not os.path.lexists(m.path("c")), "a failed cas of staged bytes made the key")
    # made by another between open and cas
    fd = os.open(m.path("d"), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"lost")
    m.write("d", "theirs")
    with unchanged(m, "d", b"theirs"):
        with raises(errno.EBUSY, "set if absent, too late"):
            fset(fd, "cas", "0")
        close_quietly(fd)
    # removed: it is absent again
    os.unlink(m.path("a"))
    make("a", "0:again")
    equal((m.read("a"), m.get("a", "version")), (b"again", "1"), "value and version")


@mount_only
def test_set_if_absent_race(m):
    """8 processes, one name after the other: each has one winner."""
    processes, rounds = 8, 60
    gate = barrier(processes)

    def act(number):
        won = []
        for turn in range(rounds):
            gate.wait()
            fd = os.open(m.path("k%d" % turn), os.O_WRONLY | os.O_CREAT)
            try:
                if turn % 2:
                    os.write(fd, b"%d" % number)
                    fset(fd, "cas", "0")
                else:
                    fset(fd, "cas", "0:%d" % number)
                won.append(turn)
            except OSError as e:
                check(e.errno == errno.EBUSY, "cas: %s" % e)
            close_quietly(fd)
        return won
    with Crew() as crew:
        for number in range(processes):
            crew.fork(act, number)
        won = crew.join(100)
    for turn in range(rounds):
        winners = [n for n in range(processes) if turn in won[n]]
        equal(len(winners), 1, "winners of round %d" % turn)
        equal(int(m.read("k%d" % turn)), winners[0], "whose value it is")
        equal(m.get("k%d" % turn, "version"), "1", "version")


@mount_only
def test_staged_with_attributes(m):
    """What is set through a handle that has staged bytes commits with them."""
    m.write("k", "old")
    revision = int(m.get("k", "revision"))
    fd = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"new")
    fset(fd, "ttl", "60")
    fset(fd, "action", "deploy")
    os.setxattr(fd, "user.color", b"red")
    equal(m.read("k"), b"old", "value before close")
    equal(int(m.get("k", "revision")), revision, "revision before close")
    for name in ("ttl", "action"):
        with raises(errno.ENODATA, "%s before close" % name):
            m.get("k", name)
    os.close(fd)
    equal(m.read("k"), b"new", "value")
    check(55 < float(m.get("k", "ttl")) <= 60, "ttl")
    equal(m.get("k", "action"), "deploy", "action")
    equal(os.getxattr(m.path("k"), "user.color"), b"red", "user.color")
    equal(m.get("k", "version"), "2", "version: one change")
    # on a key that is being made
    fd = os.open(m.path("n"), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"new")
    fset(fd, "ttl", "60")
    os.setxattr(fd, "user.color", b"red")
    check(subprocess.run(["test", "-e", m.path("n")]).returncode == 1,
          "another process sees the key before close")
    os.close(fd)
    equal((m.read("n"), m.get("n", "version")), (b"new", "1"), "value and version")
    check(55 < float(m.get("n", "ttl")) <= 60, "ttl")
    equal(os.getxattr(m.path("n"), "user.color"), b"red", "user.color")
    # a bad one is refused at once, and the bytes stay staged
    fd = os.open(m.path("n"), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"newer")
    with raises(errno.EINVAL, "a bad ttl through a handle"):
        fset(fd, "ttl", "soon")
    os.close(fd)
    equal((m.read("n"), m.get("n", "version")), (b"newer", "2"), "value and version")


def update(m, name, *operations):
    m.set(name, "update", json.dumps(operations))


@mount_only
def test_update(m):
    start = {"n": 5, "s": "text", "l": [1, 2], "o": {"x": 1, "deep": {"y": 10, "l": ["a"]}},
             "a.b": 0, "": 7}

    def case(*operations, wanted, value=start):
        m.write("k", json.dumps(value))
        version = int(m.get("k", "version"))
        update(m, "k", *operations)
        equal(json.loads(m.read("k")), wanted, "after %s" % json.dumps(operations))
        equal(int(m.get("k", "version")), version + 1, "version: one change")

    def changed(**fields):
        return {**start, **fields}

    def op(kind, path=None, **more):
        return {"type": kind, **({} if path is None else {"path": path}), **more}

    # set
    for value in (1, 1.5, "x", None, True, [1, [2]], {"a": {}}, "\u00fc\u2603\0", 2**53, -1):
        case(op("set", "n", value=value), wanted=changed(n=value))
        case(op("set", "new", value=value), wanted=changed(new=value))
        case(op("set", ["n"], value=value), wanted=changed(n=value))
        case(op("set", ["o", "deep", "y"], value=value),
             wanted=changed(o={"x": 1, "deep": {"y": value, "l": ["a"]}}))
        case(op("set", value=value), wanted=value)
    # a name is a name, with a dot in it too, or empty
    case(op("set", "a.b", value=1), wanted=changed(**{"a.b": 1}))
    case(op("set", "o.x", value=1), wanted=changed(**{"o.x": 1}))
    case(op("increment", "", by=1), wanted=changed(**{"": 8}))
    # merge
    case(op("merge", value={"n": 6, "new": 1}), wanted=changed(n=6, new=1))
    case(op("merge", "o", value={"x": 2, "z": 3}),
         wanted=changed(o={"x": 2, "z": 3, "deep": start["o"]["deep"]}))
    case(op("merge", ["o", "deep"], value={"z": 3}),
         wanted=changed(o={"x": 1, "deep": {"y": 10, "l": ["a"], "z": 3}}))
    # append
    case(op("append", "l", value=3), wanted=changed(l=[1, 2, 3]))
    case(op("append", "l", value={"a": 1}), wanted=changed(l=[1, 2, {"a": 1}]))
    case(op("append", ["o", "deep", "l"], value="b"),
         wanted=changed(o={"x": 1, "deep": {"y": 10, "l": ["a", "b"]}}))
    case(op("append", value=3), value=[1, 2], wanted=[1, 2, 3])
    # increment, decrement
    case(op("increment", "n", by=3), wanted=changed(n=8))
    case(op("increment", "n", by=-3), wanted=changed(n=2))
    case(op("decrement", "n", by=3), wanted=changed(n=2))
    case(op("increment", ["o", "deep", "y"], by=1),
         wanted=changed(o={"x": 1, "deep": {"y": 11, "l": ["a"]}}))
    case(op("increment", by=2), value=40, wanted=42)
    case(op("increment", by=1), value=2**53, wanted=2**53 + 1)
    # remove
    case(op("remove", "n"), wanted={k: v for k, v in start.items() if k != "n"})
    case(op("remove", ["o", "deep"]), wanted=changed(o={"x": 1}))
    # several, each on what the one before left
    case(op("set", "n", value=1), op("increment", "n", by=1), op("append", "l", value=3),
         op("remove", "s"), op("set", "o", value={}), op("set", ["o", "q"], value=0),
         wanted={**{k: v for k, v in start.items() if k != "s"},
                 "n": 2, "l": [1, 2, 3], "o": {"q": 0}})


@mount_only
def test_update_all_or_none(m):
    value = b'{"n": 5, "s": "text", "l": [1], "big": 9223372036854775807}'
    m.write("k", value)
    good = {"type": "set", "path": "n", "value": 6}
    bad = ({"type": "increment", "path": "s", "by": 1}, {"type": "append", "path": "n", "value": 1},
           {"type": "merge", "path": "n", "value": {"a": 1}}, {"type": "merge", "path": "l"},
           {"type": "merge", "value": 5}, {"type": "increment", "path": "n", "by": "1"},
           {"type": "set", "path": "n"}, {"type": "nonsense", "path": "n"}, {"path": "n"},
           {"type": 5}, {}, 5, "set", None, [], {"type": "set", "path": 5, "value": 1},
           {"type": "set", "path": ["n", 5], "value": 1},
           {"type": "set", "path": ["s", "x"], "value": 1},
           {"type": "increment", "path": "big", "by": 1})
    for operation in bad:
        for operations in ([operation], [good, operation], [operation, good]):
            with unchanged(m, "k", value):
                try:
                    update(m, "k", *operations)
                    raise Failure("update %s succeeded" % json.dumps(operations))
                except OSError as e:
                    wanted = (errno.EINVAL, errno.ERANGE) if "big" in str(operation) else (
                        errno.EINVAL,)
                    check(e.errno in wanted, "update %s: %s" % (json.dumps(operations), e))
    for text in ("", "{}", "5", "null", "[", '[{"type":"set","path":"n","value":1}',
                 '[{"type":"set","path":"n","value":1}] x', "nonsense", json.dumps(good),
                 "\xff", '[{"type":"set","path":"n","value":1},]', "[" * 5000 + "]" * 5000):
        with unchanged(m, "k", value):
            with raises(errno.EINVAL, "update %.80r" % text):
                m.set("k", "update", text)
    for text in (b"not json", b"\n", b"{", b'{"a": 1} and more', b"\xff"):
        m.write("k", text)
        with unchanged(m, "k", text):
            with raises(errno.EINVAL, "update of a value that is no JSON: %r" % text):
                update(m, "k", {"type": "set", "path": "n", "value": 1})


@mount_only
def test_update_by_many(m):
    processes, each = 8, 200
    m.write("k", '{"count": 0, "list": []}')

    def act(number):
        for turn in range(each):
            update(m, "k", {"type": "increment", "path": "count", "by": 1},
                   {"type": "append", "path": "list", "value": [number, turn]})
    with Crew() as crew:
        for number in range(processes):
            crew.fork(act, number)
        # every value on the way is whole, and the two parts fit each other
        seen = 0
        while seen < processes * each:
            crew.look()
            value = json.loads(m.read("k"))
            equal(len(value["list"]), value["count"], "length of the list")
            check(value["count"] >= seen, "the count went back")
            seen = value["count"]
        crew.join(100)
    equal(sorted(value["list"]), [[n, t] for n in range(processes) for t in range(each)], "list")
    equal(int(m.get("k", "version")), processes * each + 1, "version")


@mount_only
def test_policy(m):
    os.mkdir(m.path("d"))
    os.mkdir(m.path("d/below"))
    for name, value in POLICY.items():
        with raises(errno.ENODATA, "get %s that is not set" % name):
            m.get("d", name)
        with raises(errno.ENODATA, "remove %s that is not set" % name):
            os.removexattr(m.path("d"), CUBBY + name)
        m.set("d", name, value)
        equal(m.get("d", name), value, name)
        with raises(errno.ENODATA, "%s of the namespace below" % name):
            m.get("d/below", name)
    m.remount()
    for name, value in POLICY.items():
        equal(m.get("d", name), value, name + ", mounted again")
        os.removexattr(m.path("d"), CUBBY + name)
        with raises(errno.ENODATA, "get %s that was removed" % name):
            m.get("d", name)
    m.remount()
    for name in POLICY:
        with raises(errno.ENODATA, "get %s that was removed, mounted again" % name):
            m.get("d", name)
    m.set("d", "max_keys", 5)
    m.set("d", "default_ttl", 5)
    m.set("d", "max_value", 5)
    for name in ("default_ttl", "max_value", "max_keys", "lock_ttl", "history"):
        for value in ("", "many", "-1", "1 2", "nan"):
            with raises(errno.EINVAL, "%s %r" % (name, value)):
                m.set("d", name, value)
    for value in ("inf", "4000000000"):
        with raises(errno.EINVAL, "default_ttl %r" % value):
            m.set("d", "default_ttl", value)
    for name in ("default_ttl", "max_value", "max_keys"):
        equal(float(m.get("d", name)), 5.0, "%s after refused ones" % name)


@mount_only
def test_permissions(m):
    """Who may not write the file may not set its attributes; who may not read it may
    not get them."""
    if os.getuid() != 0:
        raise Skip("needs root, to be somebody else")
    os.chmod(m.dir, 0o755)
    m.write("k", "1")
    os.chmod(m.path("k"), 0o644)
    m.write("secret", "1")
    os.chmod(m.path("secret"), 0o600)

    def act():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        int(m.get("k", "revision"))
        for name, value in (("ttl", "5"), ("increment", "1"), ("cas", "1:x"), ("action", "x"),
                            ("update", "[]")):
            with raises(errno.EACCES, "set %s as nobody" % name):
                m.set("k", name, value)
        with raises(errno.EACCES, "get as nobody"):
            m.get("secret", "revision")
        with raises(errno.EACCES, "set a policy as nobody"):
            m.set(".", "max_keys", "1")
    with Crew() as crew:
        crew.fork(act)
        crew.join(20)
    equal(m.read("k"), b"1", "value")


@mount_only
def test_from_the_shell(m):
    """getfattr and setfattr: what a script would use."""
    m.write("k", "1")
    setfattr = ["setfattr", "-n"]
    try:
        subprocess.run(setfattr + ["user.cubby.increment", "-v", "41", m.path("k")], check=True)
    except FileNotFoundError:
        raise Skip("no setfattr")
    r = subprocess.run(["getfattr", "--only-values", "-n", "user.cubby.version", m.path("k")],
                       capture_output=True, text=True)
    equal((r.returncode, r.stdout), (0, "2"), "getfattr")
    equal(int(m.read("k")), 42, "value")


if __name__ == "__main__":
    main(globals())
