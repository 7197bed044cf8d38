#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Keepalive: as long as the process that took a lock lives, its TTL does not
begin. (DESIGN.md 1.5.)
"""
import contextlib
import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (Failure, check, equal, main, mount_only, options, raises, unmounted,
                     wait_for)
from crew import Crew
from lockfiles import (CUBBY, MUTE, WAYS, by_token, ends, exclusive, expires, gone, namespace, now,
                      ordinary, restarts, stays, take_exclusive, take_written, there, token, ttl_in)

with open("/proc/sys/kernel/random/boot_id") as boot:
    BOOT = boot.read().strip()
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


def expires_at(m, name):
    try:
        return expires(m, name)
    except OSError as e:
        check(e.errno in (errno.ENODATA, errno.ENOENT), str(e))
        return e.errno == errno.ENOENT


@mount_only
def test_keepalive(m):
    namespace(m, ttl=KEEP_TTL, lock_keepalive="1")
    k = "l/k"
    # it lives for 3 TTLs
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
        ttl_in(m, k, 0, KEEP_TTL, "ttl after the end of the holder")
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
        t = threading.Thread(target=take_written, args=(m, m.path("l/thread")))
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
    open_before = len(os.listdir("/proc/%d/fd" % m.worker))
    for n in range(200):
        take_exclusive(m, m.path("l/k"))
        if n % 3:
            m.set("l/k", "release", token(m, "l/k"))
        else:
            os.unlink(m.path("l/k"))
    equal(len(os.listdir("/proc/%d/fd" % m.worker)), open_before, "the daemon's descriptors")
    for n in range(300):
        os.mkdir(m.path("l/%d" % n))
    stays(m, ["l/0", "l/299"], 2 * KEEP_TTL)
    shutil.rmtree(m.path("l"))
    equal(len(os.listdir("/proc/%d/fd" % m.worker)), open_before, "the daemon's descriptors")


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


def start_with_few_descriptors(s, count):
    """A mount whose daemon may have so many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        return s.mount()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@unmounted
@mount_only
def test_more_holders_than_descriptors(s):
    """Who holds many locks, or is many, neither takes the daemon's descriptors away nor
    loses his locks, nor do others."""
    m = start_with_few_descriptors(s, 256)
    namespace(m, ttl=KEEP_TTL, lock_keepalive=1)
    names = ["l/%d" % n for n in range(60)]
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(Holder(m, name)) for name in names]
        for n in range(300):
            take_exclusive(m, m.path("l/mine%d" % n))
        used = len(os.listdir("/proc/%d/fd" % m.worker))
        check(used < 100, "the daemon has %d descriptors open" % used)
        stays(m, names + ["l/mine0", "l/mine299"], 3 * KEEP_TTL)
        with open(m.path("k"), "w") as f:
            f.write("v")
            f.flush()
            os.fsync(f.fileno())
        for h in holders:
            h.process.kill()
            h.process.wait()
        end = now()
        for name in names:      # those that are only looked after: up to a second late
            ends(m.path(name), end + KEEP_TTL - NOTICED, end + KEEP_TTL + 1 + 2 * NOTICED)
    check(there(m.path("l/mine0")), "ours went with theirs")


@mount_only
def test_ended_by_hand(m):
    """A TTL of 0, and a release, end what is kept alive, also a directory with contents."""
    namespace(m, ttl=30, lock_keepalive=1)
    for how in ("ttl", "release"):
        os.mkdir(m.path("l/d"))
        take_written(m, m.path("l/d/k"))
        take_written(m, m.path("l/f"))
        for name in ("l/d", "l/f"):
            m.set(name, how, 0 if how == "ttl" else m.get(name, "token"))
            gone(m, name)
            os.mkdir(m.path(name))
            os.rmdir(m.path(name))


def sealed(line):
    text = json.dumps(line, separators=(",", ":"))[:-1].encode()
    return text + b',"crc":"%08x"}\n' % zlib.crc32(text)


@unmounted
@mount_only
def test_a_journal_that_says_odd_things(s):
    """Lines that are whole, and of which nothing but their writer can have made sense."""
    m = s.mount()
    m.unmount()
    log = os.path.join(m.store, "00000000000000000001.log")
    with open(log, "rb") as f:
        first = f.read()
    at, most = 2_000_000_000_000_000_000, 2**63 - 1
    leases = [dict(expires=at, ttl=1), dict(expires=0, ttl=5), dict(expires=-most, ttl=-5),
              dict(expires=most, ttl=most), dict(expires=most // 8 * 7, ttl=1), dict()]
    holders = ["h", "", "[" * 900, "x" * 100000, "\0", "{}",
               '{"pid":-1,"boot":null,"started":{}}',
               json.dumps({"pid": 2**40, "uid": -1, "boot": BOOT, "started": 1}),
               json.dumps({"pid": 1, "uid": 0, "boot": BOOT, "started": 0})]
    for lease in leases:
        for holder in holders:
            for more in ({}, {"keepalive": True}, {"keepalive": True, "token": 2**64 - 1}):
                line = dict({"rev": 2, "at": at, "op": "put", "ino": 30, "in": 1, "path": "k",
                             "mode": "100644", "value": "v",
                             "lock": dict({"holder": holder}, **more)}, **lease)
                with open(log, "wb") as f:
                    f.write(first + sealed(line))
                with open(m.log, "ab") as f:
                    f.write(b"%r\n" % line if len(holder) < 1000 else b"long\n")
                m.start()
                os.listdir(m.dir)
                with open(m.path("other"), "w") as f:
                    f.write("v")
                if there(m.path("k")):
                    m.set("k", "ttl", 0)
                check(not there(m.path("k")), "%r: still there" % line)
                m.unmount()


if __name__ == "__main__":
    main(globals())
