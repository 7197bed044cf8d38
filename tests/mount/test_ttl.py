#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Keys that expire. A key's deadline is read from `expires`, so that what is
checked is exact: what starts after it finds nothing, what ends before it finds
the key. Waiting for a deadline is the one use of sleep here. (Promise 5; item 6.)

A clock that is set back must not revive a key: that needs a clock of its own,
and is tested in the unit tests of the store.
"""
import contextlib
import datetime
import errno
import os
import random
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import check, deadline, equal, main, mount_only, raises, wait_for
from crew import Crew, barrier

TTL = "user.cubby.ttl"
ROUNDING = 2e-6         # expires has microseconds, a float of time() a quarter of one
CENTURY = 100 * 365 * 86400


def when(text):
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text),
          "no RFC 3339 time with microseconds: %r" % text)
    return datetime.datetime.fromisoformat(text).timestamp()


def expires(m, name):
    return when(m.get(name, "expires"))


def wait_until(moment):
    """Returns after it, and not long after."""
    while True:
        left = moment - time.time()
        if left < 0:
            return
        time.sleep(max(0.0, left - 0.001))


def gone(m, name):
    """For everyone, whatever way he looks."""
    path = m.path(name)
    directory, base = os.path.split(path)
    for what, look in (("open", lambda: os.open(path, os.O_RDONLY)),
                       ("stat", lambda: os.stat(path)),
                       ("access", lambda: os.stat(path) and os.access(path, os.F_OK)),
                       ("getxattr", lambda: os.getxattr(path, "user.cubby.revision")),
                       ("truncate", lambda: os.truncate(path, 0)),
                       ("chmod", lambda: os.chmod(path, 0o644)),
                       ("rename", lambda: os.rename(path, path + ".x")),
                       ("link", lambda: os.link(path, path + ".x")),
                       ("unlink", lambda: os.unlink(path))):
        with raises(errno.ENOENT, "%s of an expired key" % what):
            look()
    check(not os.access(path, os.F_OK), "access finds an expired key")
    check(base not in os.listdir(directory), "an expired key is listed")


def permanent(m, name):
    for attribute in ("ttl", "expires"):
        with raises(errno.ENODATA, "%s of a permanent key" % attribute):
            m.get(name, attribute)


@mount_only
def test_until_the_deadline_and_not_after(m):
    """30 keys, each way to read, in processes that know the keys from before: one that
    keeps descriptors and works by dirfd, one with its cwd in the namespace, one by path."""
    count = 30
    os.mkdir(m.path("d"))
    names = ["k%02d" % n for n in range(count)]
    for name in names:
        m.write("d/" + name, "value")
    ready = barrier(4)

    def watch(way):
        directory = os.open(m.path("d"), os.O_RDONLY)
        os.chdir(m.path("d"))
        kept = {n: os.open(n, os.O_RDONLY) for n in names}

        def listed(name, place):
            if name not in os.listdir(place):
                raise FileNotFoundError(errno.ENOENT, "not listed")

        def read(path, **how):
            fd = os.open(path, os.O_RDONLY, **how)
            try:
                equal(os.read(fd, 100), b"value", "value")
            finally:
                os.close(fd)

        looks = {
            0: [lambda n: os.stat(n, dir_fd=directory), lambda n: read(n, dir_fd=directory),
                lambda n: equal(os.pread(kept[n], 100, 0), b"value"),
                lambda n: listed(n, directory)],
            1: [lambda n: os.stat(n), read, lambda n: listed(n, "."),
                lambda n: os.getxattr(n, TTL)],
            2: [lambda n: os.stat(m.path("d", n)), lambda n: read(m.path("d", n)),
                lambda n: os.getxattr(m.path("d", n), "user.cubby.expires")],
        }[way]
        for name in names:
            for look in looks:
                if way == 0 or look is not looks[-1]:
                    look(name)
        ready.wait()        # the parent sets the TTLs
        ready.wait()
        end_of = {n: expires(m, "d/" + n) for n in names}
        late = {n: 0 for n in names}
        early = 0
        while min(late.values()) < 5:
            for name in names:
                for number, look in enumerate(looks):
                    start = time.time()
                    try:
                        look(name)
                        found = True
                    except FileNotFoundError:
                        found = False
                    end = time.time()
                    check(not found or start < end_of[name] + ROUNDING,
                          "way %d, look %d: found %.6f s after the deadline"
                          % (way, number, start - end_of[name]))
                    check(found or end > end_of[name] - ROUNDING,
                          "way %d, look %d: gone %.6f s before the deadline"
                          % (way, number, end_of[name] - end))
                    early += found
                late[name] += time.time() > end_of[name]
        return early

    with Crew() as crew:
        for way in range(3):
            crew.fork(watch, way)
        ready.wait()
        for n, name in enumerate(names):
            m.set("d/" + name, "ttl", "%.6f" % (1.5 + 0.02 * n))
        ready.wait()
        early = crew.join(60)
    check(min(early) > 0, "nobody looked before the deadlines")
    print("# looks before the deadline: %s" % early)
    equal(os.listdir(m.path("d")), [], "the listing")
    os.rmdir(m.path("d"))


@mount_only
def test_exact(m):
    """1.5 s are 1.5 s from when the attribute was set."""
    m.write("k", "v")
    before = time.time()
    m.set("k", "ttl", "1.5")
    after = time.time()
    end = expires(m, "k")
    check(before + 1.5 - 0.001 <= end <= after + 1.5 + 0.001,
          "the deadline is %.6f s from the set" % (end - before))
    first = float(m.get("k", "ttl"))
    check(0 < first <= 1.5, "ttl: %f" % first)
    check(abs(time.time() + first - end) < 0.2, "ttl and expires do not fit each other")
    wait_for(lambda: float(m.get("k", "ttl")) < first, 1, "a ttl that gets less")
    fd = os.open(m.path("k"), os.O_RDONLY)
    os.stat(m.path("k"))
    wait_until(end)
    with raises(errno.ENOENT, "read at offset 0 of a kept handle"):
        os.pread(fd, 10, 0)
    gone(m, "k")
    os.close(fd)


@mount_only
@deadline(180)
def test_many_at_one_instant(m):
    """10,000 keys, half made with their TTL and half given it later. One process lists,
    another opens, all of it known to the kernel before."""
    count = 10000
    os.mkdir(m.path("d"))
    names = ["k%05d" % n for n in range(count)]
    start = time.time()
    for name in names[count // 2:]:
        m.write("d/" + name, "value")
    # the time the first half took is what the second half gets, many times over
    moment = time.time() + max(6.0, 10 * (time.time() - start))
    for name in names[:count // 2]:
        fd = os.open(m.path("d", name), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"value")
        os.setxattr(fd, TTL, b"%.6f" % (moment - time.time()))
        os.close(fd)
    for name in names[count // 2:]:
        m.set("d/" + name, "ttl", "%.6f" % (moment - time.time()))
    ends = [expires(m, "d/" + name) for name in names]
    check(time.time() < min(ends), "too slow: the keys expire before they are all made")
    equal(len(os.listdir(m.path("d"))), count, "keys listed before")
    last = max(ends)
    print("# the deadlines are within %.3f s" % (last - min(ends)))

    def lists():
        wait_until(last)
        found = os.listdir(m.path("d"))
        equal(found, [], "listed after the deadline")
        return time.time() - last

    def opens():
        order = random.Random(1).sample(names, count)
        directory = os.open(m.path("d"), os.O_RDONLY)
        wait_until(last)
        for name in order:
            try:
                fd = os.open(name, os.O_RDONLY, dir_fd=directory)
            except FileNotFoundError:
                continue
            check(False, "%s reads %r %.6f s after the deadline"
                  % (name, os.read(fd, 100), time.time() - last))
        return time.time() - last

    with Crew() as crew:
        crew.fork(lists)
        crew.fork(opens)
        print("# listed, opened: %.3f s, %.3f s after the deadline" % tuple(crew.join(90)))
    os.rmdir(m.path("d"))


@mount_only
def test_made_exclusively_at_the_deadline(m):
    """O_EXCL succeeds from the deadline on, and never before; one of four wins."""
    for turn in range(5):
        m.write("k", "old")
        m.set("k", "ttl", "0.3")
        end = expires(m, "k")

        def act():
            while True:
                try:
                    fd = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                except FileExistsError:
                    if time.time() > end + 5:
                        return None
                    if os.path.exists(m.path("won")):
                        return None
                    continue
                now = time.time()
                os.close(os.open(m.path("won"), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
                os.close(fd)
                return now
        with Crew() as crew:
            for _ in range(4):
                crew.fork(act)
            won = [t for t in crew.join(20) if t is not None]
        equal(len(won), 1, "winners")
        check(won[0] >= end, "made %.6f s before the deadline" % (end - won[0]))
        check(won[0] < end + 1, "made only %.6f s after the deadline" % (won[0] - end))
        permanent(m, "k")
        equal((m.read("k"), m.get("k", "version")), (b"", "1"), "value and version")
        os.unlink(m.path("won"))
        os.unlink(m.path("k"))


@mount_only
def test_zero_expires_at_once(m):
    for ttl in ("0", "0.0", "0.000"):
        m.write("k", "v")
        os.stat(m.path("k"))
        fd = os.open(m.path("k"), os.O_RDONLY)
        m.set("k", "ttl", ttl)
        with raises(errno.ENOENT, "read at offset 0 of a kept handle"):
            os.pread(fd, 10, 0)
        gone(m, "k")
        os.close(fd)
    m.write("k", "new")
    permanent(m, "k")
    equal((m.read("k"), m.get("k", "version")), (b"new", "1"), "a key made anew")
    m.remount()
    equal(m.read("k"), b"new", "value, mounted again")


@mount_only
def test_bad_values(m):
    m.write("k", "v")
    m.set("k", "ttl", "1000")
    seen = m.get("k", "expires"), m.get("k", "version"), m.get("k", "revision")
    for value in ("", " ", "soon", "-1", "-0.5", "nan", "inf", "-inf", "1s", "1 2", "1.2.3", ".",
                  "0x10", "1,5", "5\0", str(101 * 366 * 86400), "9" * 30, "9" * 400):
        with raises(errno.EINVAL, "ttl %.40r" % value):
            m.set("k", "ttl", value)
        equal((m.get("k", "expires"), m.get("k", "version"), m.get("k", "revision")), seen,
              "expires, version and revision after a refused ttl")
    for value in ("1", "1.5", "0.999999", str(CENTURY)):
        m.write("k", "v")
        before = time.time()
        m.set("k", "ttl", value)
        if float(value) > 2:
            check(abs(expires(m, "k") - before - float(value)) < 1, "expires after ttl %s" % value)
    equal(m.read("k"), b"v", "value")


@mount_only
def test_remove_makes_permanent(m):
    m.write("k", "v")
    m.set("k", "ttl", "0.4")
    end = expires(m, "k")
    os.removexattr(m.path("k"), TTL)
    permanent(m, "k")
    with raises(errno.ENODATA, "remove what is not there"):
        os.removexattr(m.path("k"), TTL)
    wait_until(end + 0.05)
    equal(m.read("k"), b"v", "value after what was the deadline")
    m.remount()
    equal(m.read("k"), b"v", "value, mounted again")
    permanent(m, "k")


@mount_only
def test_write_cancels(m):
    ways = {
        "w": lambda p: subprocess.run(["sh", "-c", "echo new > '%s'" % p], check=True),
        "a": lambda p: subprocess.run(["sh", "-c", "echo new >> '%s'" % p], check=True),
        "t": lambda p: os.truncate(p, 0),
        "c": lambda p: subprocess.run(["sh", "-c", ": > '%s'" % p], check=True),
    }
    for name in ways:
        m.write(name, "v")
        m.set(name, "ttl", "1")
    end = max(expires(m, name) for name in ways)
    for name, act in ways.items():
        act(m.path(name))
        permanent(m, name)
    wait_until(end + 0.05)
    for name in ways:
        os.stat(m.path(name))
    equal(m.read("w"), b"new\n", "value")
    equal(m.read("a"), b"vnew\n", "value")


@mount_only
def test_what_does_not_touch_it(m):
    """Reads, modes, names and attributes leave the deadline alone; so does opening
    for writing and closing without a change."""
    m.write("k", "v")
    m.set("k", "ttl", "1000")
    end = m.get("k", "expires")
    path = m.path("k")
    m.read("k")
    os.chmod(path, 0o600)
    os.setxattr(path, "user.a", b"1")
    os.close(os.open(path, os.O_WRONLY))
    os.close(os.open(path, os.O_RDWR | os.O_APPEND))
    m.set("k", "action", "why")
    equal(m.get("k", "expires"), end, "expires")
    os.rename(path, m.path("moved"))
    equal(m.get("moved", "expires"), end, "expires after a rename")
    m.write("over", "permanent")
    os.rename(m.path("moved"), m.path("over"))
    equal(m.get("over", "expires"), end, "expires after a rename over a permanent key")
    m.write("plain", "v")
    os.rename(m.path("plain"), m.path("over"))
    permanent(m, "over")


@mount_only
def test_touch_starts_it_anew(m):
    ways = {
        "touch": lambda p: subprocess.run(["touch", p], check=True),
        "busybox": lambda p: subprocess.run(["busybox", "touch", p], check=True),
        "utime": lambda p: os.utime(p),
    }
    for name, touch in ways.items():
        m.write(name, "v")
        m.set(name, "ttl", "1.2")
        first = expires(m, name)
        wait_until(first - 0.6)
        version = m.get(name, "version")
        before = time.time()
        touch(m.path(name))
        after = time.time()
        second = expires(m, name)
        check(before + 1.2 - 0.001 <= second <= after + 1.2 + 0.001,
              "%s: it ends %.3f s after the touch" % (name, second - before))
        check(int(m.get(name, "version")) <= int(version) + 1, "a touch is one change at most")
        equal(m.read(name), b"v", "value")
        wait_until(first + 0.05)
        equal(m.read(name), b"v", "value after the first deadline")
        wait_until(second)
        gone(m, name)
    m.write("plain", "v")
    subprocess.run(["touch", m.path("plain")], check=True)
    permanent(m, "plain")


@mount_only
def test_default_ttl(m):
    os.makedirs(m.path("d/below"))
    m.write("d/before", "v")
    m.set("d", "default_ttl", "1.5")
    permanent(m, "d/before")
    before = time.time()
    m.write("d/k", "v")
    os.close(os.open(m.path("d/exclusive"), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    m.write("d/own", "v")
    m.set("d/own", "ttl", "1000")
    m.write("d/below/k", "v")
    m.write("outside", "v")
    after = time.time()
    for name in ("d/k", "d/exclusive"):
        check(before + 1.499 <= expires(m, name) <= after + 1.501, "the deadline of %s" % name)
    check(expires(m, "d/own") > after + 900, "a key's own ttl")
    permanent(m, "d/below/k")
    permanent(m, "outside")
    # a write starts it anew
    first = expires(m, "d/k")
    wait_for(lambda: float(m.get("d/k", "ttl")) < 1.4, 5, "time to pass")
    m.write("d/k", "w")
    check(expires(m, "d/k") > first + 0.05, "a write did not start the ttl anew")
    m.write("d/before", "w")
    check(before < expires(m, "d/before") <= time.time() + 1.501, "written again under the policy")
    # removing it from a key holds against the policy
    m.write("d/kept", "v")
    os.removexattr(m.path("d/kept"), TTL)
    permanent(m, "d/kept")
    end = max(expires(m, n) for n in ("d/k", "d/exclusive", "d/before"))
    # without the policy, what has a ttl keeps it and what is made has none
    os.removexattr(m.path("d"), "user.cubby.default_ttl")
    m.write("d/after", "v")
    permanent(m, "d/after")
    wait_until(end)
    equal(sorted(os.listdir(m.path("d"))), ["after", "below", "kept", "own"], "what is left")


@mount_only
def test_over_a_remount(m):
    os.mkdir(m.path("d"))
    m.set("d", "default_ttl", "1000")
    m.write("d/by policy", "v")
    m.write("long", "v")
    m.write("short", "v")
    m.write("kept", "v")
    m.set("long", "ttl", "3")
    m.set("short", "ttl", "0.3")
    m.set("kept", "ttl", "0.3")
    os.removexattr(m.path("kept"), TTL)
    seen = {n: m.get(n, "expires") for n in ("long", "d/by policy")}
    end = expires(m, "short")
    revision = m.get("long", "revision")
    m.unmount()
    wait_until(end)
    m.start()
    gone(m, "short")
    equal({n: m.get(n, "expires") for n in seen}, seen, "the deadlines")
    check(float(m.get("long", "ttl")) <= 3 - 0.3, "the time unmounted counts too")
    check(int(m.get("long", "revision")) == int(revision), "revision of an untouched key")
    equal(m.read("kept"), b"v", "what was made permanent")
    m.write("d/made later", "v")
    check(float(m.get("d/made later", "ttl")) > 900, "the policy, mounted again")
    os.stat(m.path("long"))
    wait_until(when(seen["long"]))
    gone(m, "long")
    m.remount()
    for name in ("short", "long"):
        gone(m, name)
    # and after a kill
    m.write("k", "v")
    m.set("k", "ttl", "1")
    m.write("gone", "v")
    m.set("gone", "ttl", "0.1")
    end, of_k = expires(m, "gone"), m.get("k", "expires")
    m.kill()
    wait_until(end)
    m.start()
    gone(m, "gone")
    equal(m.get("k", "expires"), of_k, "the deadline after a kill")
    wait_until(when(of_k))
    gone(m, "k")
    equal(sorted(n for n in os.listdir(m.dir) if n != "locks"), ["d", "kept"], "what is left")


@mount_only
def test_namespace_of_expired_keys_is_empty(m):
    os.mkdir(m.path("d"))
    for n in range(10):
        m.write("d/%d" % n, "v")
        m.set("d/%d" % n, "ttl", "0.2")
    with raises(errno.ENOTEMPTY, "rmdir before"):
        os.rmdir(m.path("d"))
    wait_until(max(expires(m, "d/%d" % n) for n in range(10)))
    os.rmdir(m.path("d"))


@mount_only
def test_set_while_it_expires(m):
    """`echo v > k` succeeds whenever the deadline of the old value passes: between lookup and
    open, open and write, write and close. So does the TTL that is set with it."""
    path, end, rounds, anew = m.path("k"), time.monotonic() + 2, 0, 0
    while time.monotonic() < end or rounds < 500:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.write(fd, b"v")
        os.setxattr(fd, TTL, b"0.0005")
        os.close(fd)
        rounds += 1
        with contextlib.suppress(FileNotFoundError):
            anew += m.get("k", "version") == "1"
    print("# %d sets, at least %d of them made the key anew" % (rounds, anew))
    check(anew > 10, "the key hardly ever expired")


if __name__ == "__main__":
    main(globals())
