#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Locks: names made exclusively in a lock namespace. How they are taken, held,
refreshed and released, by whom, and under which policies; and that nothing else
ever gets a TTL. (DESIGN.md 1.5.) Their ends are in test_lock_expiry.py, what
becomes of one that was lost in test_lock_lost.py.
"""
import contextlib
import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (CUBBYFS, Failure, check, equal, is_mounted, main, mount_only, options, raises,
                     unmounted, wait_for)
from crew import Crew
from inotify import DELETE, Inotify
# (fresh: test_lock_model.py has it from here)
from lockfile import (CUBBY, MUTE, REFRESH, RENAME_NOREPLACE, REWRITE, SLEW, SPEAKING, USER, WAYS,
                      add_line, by_token, ends, exclusive, expires, fresh, gone, gone_as_said,
                      namespace, now, ordinary, renameat2, rewrite, setx, source, span, stale,
                      stays, take_directory, take_exclusive, take_symlink, take_written, there,
                      token, told_gone, ttl_in, wait_until, when)


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
            at = time.time()
            taken[way] = span(ttl, take, m, path)
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
    for held in SPEAKING:
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

def as_user(function):
    """Runs it in a child that is nobody."""
    def act():
        os.setgid(USER)
        os.setuid(USER)
        function()
    with Crew() as crew:
        crew.fork(act)
        crew.join()


@mount_only
def test_the_locks_of_a_new_store(m):
    st = os.stat(m.path("locks"))
    equal((stat.S_IMODE(st.st_mode), st.st_uid), (0o1777, os.getuid()), "mode and owner of locks/")
    equal(float(m.get("locks", "lock_ttl")), 30.0, "lock_ttl")
    take_directory(m, m.path("locks/k"))
    ttl_in(m, "locks/k", 29, 30)
    os.rmdir(m.path("locks/k"))

    def user():
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
    as_user(user)
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
        ttl_in(m, "d/k", 0, float(value), "ttl under lock_ttl " + value)
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
            ends_of[name] = span(0.7, take, m, m.path(name))
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
        ttl_in(m, name, 900, 1000, "ttl of " + name)
    # its own suffix, with the option's TTL
    namespace(m, "suffix", lock_suffix=".lck")
    take_exclusive(m, m.path("suffix/k.lock"))
    ordinary(m, "suffix/k.lock")
    take_exclusive(m, m.path("suffix/k.lck"))
    ttl_in(m, "suffix/k.lck", 0, 0.7)
    # both
    namespace(m, "both", ttl="1000", lock_suffix=".lck")
    take_exclusive(m, m.path("both/k.lock"))
    ordinary(m, "both/k.lock")
    take_exclusive(m, m.path("both/k.lck"))
    check(float(m.get("both/k.lck", "ttl")) > 900, "ttl")
    # and the locks/ of a new store is as it is without
    take_exclusive(m, m.path("locks/k"))
    ttl_in(m, "locks/k", 20, 30)
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


# --- refresh ---------------------------------------------------------------------------------

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
        first[way] = now()
        WAYS[way](m, m.path("l", way))
    for turn in range(3):
        for way, act in acts.items():
            time.sleep(max(0.0, first[way] + (turn + 1) * 0.6 * ttl - now()))
            check(now() <= first[way] + (turn + 1.4) * 0.6 * ttl,
                  "this machine is too slow for this test")
            last[way] = span(ttl, act, m.path("l", way))
    for way in acts:
        check(there(m.path("l", way)), way + " has gone with its first deadline")
    for way, (earliest, latest) in last.items():
        ends(m.path("l", way), earliest, latest)
    # touch(1) -h, which is what a script has for a symlink
    before = now()
    take_symlink(m, m.path("l/s"))
    wait_for(lambda: now() > before + 0.25, 5, "half of the TTL")
    ends(m.path("l/s"), *span(ttl, REFRESH["touch -h"], m.path("l/s")))


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
        ttl_in(m, name, 499, 500)
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
        gone_as_said(m, name)
        # the next has the namespace's again
        WAYS[kind](m, path)
        ttl_in(m, name, 29, 30, "ttl of the next")
        m.set(name, "ttl", "0")
        gone(m, name)
        # permanent
        WAYS[kind](m, path)
        m.set(name, "ttl", "0.3")
        mine = token(m, name)
        os.removexattr(path, CUBBY + "ttl")
        ordinary(m, name)
        stale(m, name, mine)
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
        ttl_in(m, name, 499, 500, "ttl of " + name)
    for attribute in ("token", "holder"):
        with raises(errno.ENODATA, attribute):
            m.get("l/key", attribute)
    ttl_in(m, "l/key", 99, 100, "ttl of an ordinary key")
    rewrite(m.path("l/lock"))
    ttl_in(m, "l/lock", 499, 500, "ttl of a rewritten lock")
    os.rename(m.path("l/lock"), m.path("plain"))
    ordinary(m, "plain")


# --- refresh and release with the token ------------------------------------------------------

@mount_only
def test_release(m):
    """It frees the name at once, with IN_DELETE, for the next."""
    with Inotify() as i:
        watch = i.add(m.path("locks"), DELETE)
        for way in SPEAKING:
            name = "locks/" + way
            WAYS[way](m, m.path(name))
            i.read(0)
            first = token(m, name)
            m.set(name, "release", first)
            gone(m, name)
            told_gone(i, watch, way)
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
        stale(m, name, mine + 1, mine - 1, 0, 2 ** 63 - 1, 2 ** 64 - 1)
        for attribute in ("refresh", "release"):
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
        stale(m, name, m.get(name, "revision"))
        for attribute in ("refresh", "release"):
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
    as_user(user)
    equal({n: m.get("locks/" + n, "expires") for n in "fd"}, seen, "expires")


@mount_only
def test_set_only_and_read_only(m):
    def refused(act, *arguments):
        with contextlib.suppress(OSError):
            act(*arguments)
            raise Failure("%s%r succeeds" % (act.__name__, arguments))
    take_exclusive(m, m.path("locks/k"))
    for attribute in ("refresh", "release"):
        refused(m.get, "locks/k", attribute)
    for attribute in ("token", "holder"):
        refused(m.set, "locks/k", attribute, "1")
        refused(os.removexattr, m.path("locks/k"), CUBBY + attribute)
    token(m, "locks/k")
    equal([a for a in os.listxattr(m.path("locks/k")) if a.startswith(CUBBY)], [], "listed")


if __name__ == "__main__":
    main(globals())
