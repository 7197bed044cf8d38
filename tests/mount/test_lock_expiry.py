#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""The ends of locks: at the deadline and for everyone at once, a lock directory
with all that is in it; who waits for one is woken and takes it; and a name that
is made anew while the old one's end is still being told is the new one's.
"""
import contextlib
import errno
import itertools
import os
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Failure, check, deadline, equal, main, mount_only, raises, wait_for
from crew import Crew, barrier
from inotify import CREATE, DELETE, DELETE_SELF, Inotify
from lockfiles import (CUBBY, MUTE, ROUNDING, WAYS, exclusive, expire_other_way, expires, fill, gone,
                      namespace, now, ordinary, remove, span, take_directory, take_exclusive,
                      take_link, take_mknod, take_written, there, token, told_gone, wait_until)
from watcher import Watcher


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
                if look is looks["d"][4]:
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
        remove(m.path("l/k"))


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
        taken = {way: span(ttl, WAYS[way], m, m.path("l", way)) for way in chosen}
        ready.wait()
        woken = dict(zip(chosen, crew.join(30)))
    for way, (earliest, latest) in taken.items():
        early, late = earliest - woken[way], woken[way] - latest
        check(early <= 0, "%s: told %.6f s early" % (way, early))
        check(late < 1, "%s: told %.3f s late" % (way, late))
    print("# woken at most %.1f ms after the deadline"
          % max(1e3 * (woken[w] - taken[w][1]) for w in chosen))


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


# --- lock directories ------------------------------------------------------------------------

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

            def end():
                if way == "expiry":
                    m.set(name, "ttl", "0.15")
                    wait_until(expires(m, name))
                else:
                    m.set(name, "release", token(m, name))
                for n in made:
                    check(not there(m.path(n)), n + " is there")
                gone(m, name)
            told_removed(m, name, made, end)
            check(made == [] or m.stats()["locks"] == 0, "locks in stats")
    equal(os.listdir(m.path("locks")), [], "the listing")
    keys = m.stats()["keys"]
    os.mkdir(m.path("locks/big"))
    for n in range(3000):
        take_mknod(m, m.path("locks/big/%d" % n))
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
            told_gone(i, inner, "short")
        wait_until(end)
        gone(m, "locks/d")
        check(not there(m.path("locks/d/long")), "it has outlived what it is in")
        told_gone(i, outer, "d")
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
    keys, made = None, 0

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
            made += sum(crew.join(20))
        wait_for(lambda: not os.listdir(m.path("locks")), 5, "an empty namespace")
        keys = m.stats()["keys"] if turn == 0 else keys
    check(made > 0, "nobody has made anything")
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
                i.read(0)
                try:
                    WAYS[kind](m, path)
                except OSError as e:    # on a busy machine it may end while it is written
                    equal(e.errno, errno.ESTALE, "the taking, round %d" % n)
                end = time.time() + 0.01
                m.set("l", "lock_ttl", "30")
                taken_anew(WAYS[new], m, path, end)
                with without(errno.ENOENT, "a living %s, round %d" % (new, n)):
                    inode = os.lstat(path).st_ino
                    same(path, inode, n)
                    if n % 2:
                        until_told(i, "k")
                        same(path, inode, n)
                    remove(path)
    equal(os.listdir(m.path("l")), [], "the listing")


@mount_only
def test_many_made_anew(m):
    """More than can be told at once end in one moment, and all of them are taken anew before they
    have been told: nobody is left out."""
    names = ["d%d" % n for n in range(200)] + ["f%d" % n for n in range(1000)]
    for name in names:
        if name[0] == "f":
            take_mknod(m, m.path("locks", name))
            continue
        os.mkdir(m.path("locks", name))
        for n in range(3):
            take_mknod(m, m.path("locks", name, str(n)))
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
                    take_mknod(m, m.path("locks", name))
                else:
                    os.mkdir(m.path("locks", name))
                    take_mknod(m, m.path("locks", name, "0"))
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


if __name__ == "__main__":
    main(globals())
