#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Locks that get other names and other holders: renames, hard links, what a
holder that has lost his lock still does to it (ESTALE), and git, which does all
of that. What the daemon's end and a compaction leave of them; and what streams
and statistics say.
"""
import contextlib
import errno
import json
import mmap
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (CUBBY as CUBBY_TOOL, Skip, check, equal, main, mount_only, options, raises,
                     wait_for)
from crew import Crew
from lockfile import (CUBBY, RENAME_EXCHANGE, RENAME_NOREPLACE, SLEW, SPEAKING, WAYS, by_token,
                      ends, exclusive, expire_other_way, expires, fill, gone, gone_as_said,
                      namespace, now, ordinary, remove, renameat2, restarts, setx, span, stale,
                      stays, take_directory, take_exclusive, take_mknod, take_symlink, take_written,
                      there, token, ttl_in, wait_until)
from test_events import Stream

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
                ttl_in(m, new, 0, 100)
                check(not there(m.path("locks/old")), "the old name")
                stale(m, new, first)
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
    check(expires(m, "locks/newer") < time.time() + 30, "expires")
    m.set("locks/newer", "ttl", "0.2")
    gone_as_said(m, "locks/newer")


@mount_only
def test_renamed_over_a_held_lock(m):
    """It replaces it, as rename(2) does, and is told from it by its token."""
    take_written(m, m.path("locks/held"))
    take_exclusive(m, m.path("locks/mine"))
    held, mine = token(m, "locks/held"), token(m, "locks/mine")
    os.rename(m.path("locks/mine"), m.path("locks/held"))
    third = token(m, "locks/held")
    check(third > max(held, mine), "token %d after %d and %d" % (third, held, mine))
    stale(m, "locks/held", held, mine)
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
    real = time.time()
    end = span(0.5, m.write, "data", "more precious")
    check(expires(m, "l/data") >= real + 0.5 - SLEW, "a write to data has not refreshed the lock")
    ends(m.path("l/data"), *end)
    gone(m, "l/data")
    ordinary(m, "data")
    equal((m.read("data"), os.stat(m.path("data")).st_nlink), (b"more precious", 1), "data")
    # touching it, too
    os.link(m.path("data"), m.path("l/data"))
    time.sleep(0.02)
    ends(m.path("l/data"), *span(0.5, os.utime, m.path("data")))
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
    gone_as_said(m, "l/data")
    # two locks on one file, taken one after the other: each its own deadline
    m.write("data", "v")
    m.set("l", "lock_ttl", "0.3")
    os.link(m.path("data"), m.path("l/one"))
    one = now()
    m.set("l", "lock_ttl", "0.9")
    two = span(0.9, os.link, m.path("data"), m.path("l/two"))
    wait_for(lambda: not there(m.path("l/one")), 5, "the end of the first")
    check(there(m.path("l/two")) or now() >= two[0], "the second went with the first")
    check(now() >= one + 0.2, "the first went early")
    ends(m.path("l/two"), *two)
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
    stale(m, "locks/k", first)
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
    for directory, _, names in os.walk(m.path("repo")):
        for name in names:
            ordinary(m, os.path.join(directory, name))
    stays(m, ["repo/.git/index", "repo/.git/HEAD", "repo/.git/config"], 2.1)
    r = git(m, "check", "3")
    equal(r.returncode, 0, "the repository after the TTL: " + r.stdout + r.stderr)
    end = span(1, take_exclusive, m, m.path("repo/.git/index.lock"))
    r = git(m, "commit")
    check(r.returncode != 0 and "index.lock" in r.stderr, "git under a held lock: " + r.stderr)
    ends(m.path("repo/.git/index.lock"), *end)
    r = git(m, "commit")
    equal(r.returncode, 0, "git, after the left lock's end: " + r.stderr)
    r = git(m, "check", "4")
    equal(r.returncode, 0, "the repository: " + r.stdout + r.stderr)


# --- the holder that lost it -----------------------------------------------------------------

@mount_only
def test_writes_late(m):
    """Its close says so, and nothing of it is seen: neither as a new key nor by the next holder."""
    path = m.path("locks/k")

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
                remove(path)


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

    def told(act, *arguments):
        try:
            act(*arguments)
            return "%s%r succeeded" % (act.__name__, arguments)
        except OSError as e:
            return errno.errorcode[e.errno]

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
        return mine, ([told(m.set, "l/k", "refresh", mine), told(m.set, "l/k", "release", mine)]
                      + ([] if fd is None else [told(os.close, fd)]))

    for kind in ("file", "directory", "link", "rename"):
        for refreshed in (False, True):
            pipe = os.pipe()
            before = now()
            with Crew() as crew:
                pid = crew.fork(hold, kind, pipe)
                os.read(pipe[0], 1)
                wait_for(lambda: os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT),
                         10, "its stop")
                if refreshed:
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
        kinds = [w for w in SPEAKING if w != "mknod"]       # which shall be one no more
        for way in WAYS:
            WAYS[way](m, m.path("l", way))
        fill(m, "l/directory", 3)
        m.set("l/link", "ttl", "500")
        m.write("data", "precious")
        os.link(m.path("data"), m.path("l/data"))
        os.removexattr(m.path("l/mknod"), CUBBY + "ttl")
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
        ttl_in(m, "l/link", 499, 500, "ttl after a refresh")
        os.utime(m.path("l/symlink"), follow_symlinks=False)
        by_token(m.path("l/written"))
        ttl_in(m, "l/written", 999, 1000, "ttl after a refresh")
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
    def sound():
        subprocess.run([CUBBY_TOOL, "check", m.store], check=True, stdout=subprocess.DEVNULL)
    for turn in range(4):
        os.mkdir(m.path("locks/d"))
        mine = token(m, "locks/d")
        for n in range(1500):
            take_mknod(m, m.path("locks/d/%d" % n))
        if turn % 2:
            m.set("locks/d", "release", mine)
        else:
            m.set("locks/d", "ttl", "0")
        time.sleep(0.002 * turn)
        m.kill()
        sound()
        m.start()
        gone(m, "locks/d")
        os.mkdir(m.path("locks/d"))
        equal(os.listdir(m.path("locks/d")), [], "the new one")
        os.rmdir(m.path("locks/d"))
    m.unmount()
    sound()
    m.start()


@mount_only
def test_deadline_over_a_restart(m):
    """The same moment as before, also for what has no attributes."""
    namespace(m, ttl="1.5")
    for what, stop in restarts(m):
        taken = {way: span(1.5, WAYS[way], m, m.path("l", way))
                 for way in ("symlink", "fifo", "directory", "written", "link")}
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
    m.set("l/link", "ttl", "500")
    attributes = ("token", "holder")
    seen = {w: [m.get("l/" + w, a) for a in attributes] for w in SPEAKING}
    ends_of = {w: expires(m, "l/" + w) for w in SPEAKING}
    m.remount(options=["compact_min=4K", "segment_size=64K"])
    # enough to be forgotten that it pays
    for _ in range(8):
        m.write("large", os.urandom(300000))
    os.unlink(m.path("large"))
    m.remount()
    for w in SPEAKING:
        equal([m.get("l/" + w, a) for a in attributes], seen[w], w + ", after a compaction")
        same_deadline(m, "l/" + w, ends_of[w])
    by_token(m.path("l/link"))
    ttl_in(m, "l/link", 499, 500, "ttl after a refresh")
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


if __name__ == "__main__":
    main(globals())
