#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""inotify: every change raises the events that the same change by a local program would.

CUBBY_LONG=1 for the numbers that the promises are made with.
"""
import contextlib
import datetime
import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from crew import LONG, Crew, numbers
from harness import (CUBBY, Failure, Mount, Skip, check, deadline, equal, is_mounted, main, mount_only,
                     unmounted, wait_for)
from inotify import (ATTRIB, CHANGES, CLOSE_WRITE, CREATE, DELETE, DELETE_SELF, IGNORED, ISDIR,
                     LIBUV, MODIFY, MOVED_FROM, MOVED_TO, OPEN, OVERFLOW, Inotify)
from test_fstab import daemons, enter_namespace, install

TMPFS = "/dev/shm"
USER = 65534


def comment(text):
    print("# " + text)
    sys.stdout.flush()


def shell(directory, script):
    subprocess.run(["bash", "-c", script], cwd=directory, check=True)


def setx(path, name, value):
    os.setxattr(path, "user.cubby." + name, str(value).encode())


def getx(path, name):
    return os.getxattr(path, "user.cubby." + name).decode()


def make(path, value="v", ttl=None, mode=0o644):
    """One commit: the value and its TTL."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(fd, value.encode())
        if ttl is not None:
            setx(fd, "ttl", "%.6f" % ttl)
    finally:
        os.close(fd)


def attribute_or_none(path, name):
    try:
        return getx(path, name)
    except OSError as e:
        return errno.errorcode[e.errno]


def get(path):
    with open(path) as f:
        return f.read()


# --- the table ----------------------------------------------------------------------------------
#
# Events in one queue, of a watch on the directory (names start with a slash) and of one on k
# itself, if it was there before. Words are separated by blanks; equal neighbours are
# merged by the kernel. The columns are: the change, what was there before, what tmpfs prints,
# and what cubbyfs prints ("": the same).

# an event on k: told to the directory, then to k
def both(*words):
    return " ".join("/k:%s k:%s" % (w, w) for w in words)


def only(*words):
    return " ".join("/k:" + w for w in words)


# After a commit: watchers that know only IN_MODIFY have read too early (DESIGN 1.4).
LATE = " + "        # one more IN_MODIFY, before IN_CLOSE_WRITE or after it
# What the daemon does in the place of a program: opens it, changes it, closes it.
WRITTEN = both("OPEN", "MODIFY", "CLOSE_WRITE")
WRITTEN_NEW = only("OPEN", "MODIFY", "CLOSE_WRITE")
UNLINKED = "k:ATTRIB k:DELETE_SELF k:IGNORED /k:DELETE"


def sh(script):
    return lambda d: shell(d, script)


def attribute(name, value):
    def act(d):
        setx(d + "/k", name, value.replace("REVISION", getx(d + "/k", "revision"))
             if "REVISION" in value else value)
    return act


def cli(*words):
    def act(d):
        subprocess.run([CUBBY, words[0], *[getx(d + "/k", "revision") if w == "REVISION" else w
                                           for w in words[1:]]],
                       cwd=d, check=True, stdout=subprocess.DEVNULL)
    return act


def synced(d):
    with open(d + "/k", "w") as f:
        f.write("v")
        f.flush()
        os.fsync(f.fileno())


def with_default_ttl(d):
    setx(d, "default_ttl", "0.3")
    shell(d, "echo v > k; sleep 0.4")


def with_ttl(seconds):
    def act(d):
        setx(d + "/k", "ttl", seconds)
        time.sleep(seconds + 0.1)
    return act


ONE = "echo 1 > k"
W3 = both("OPEN", "MODIFY", "MODIFY", "CLOSE_WRITE")        # O_TRUNC is an IN_MODIFY too
W2 = both("OPEN", "MODIFY", "CLOSE_WRITE")
NEW = only("CREATE", "OPEN", "MODIFY", "CLOSE_WRITE")

# The same change on both. "" in the last column: exactly what tmpfs prints.
SAME = [
    ("echo v > k",              ONE, sh("echo v > k"), W3, LATE),
    ("echo v > k, new",         "",  sh("echo v > k"), NEW, LATE),
    ("noclobber",               "",  sh("set -C; echo v > k"), NEW, LATE),
    # each write(2) to an O_APPEND handle is a commit, and done when IN_MODIFY comes
    ("echo v >> k",             ONE, sh("echo v >> k"), W2, ""),
    ("echo v >> k, new",        "",  sh("echo v >> k"), NEW, ""),
    # no close has bytes to commit: it commits at RELEASE, after IN_CLOSE_WRITE, so the daemon
    # tells all of it again
    (": > k",                   ONE, sh(": > k"), W2, WRITTEN),
    (": > k, new",              "",  sh(": > k"), only("CREATE", "OPEN", "CLOSE_WRITE"),
     WRITTEN_NEW),
    ("touch k, new",            "",  sh("touch k"), only("CREATE", "OPEN", "ATTRIB", "CLOSE_WRITE"),
     WRITTEN_NEW),
    ("{ echo; echo; } > k",     ONE, sh("{ echo 1; echo 2; } > k"),
     both("OPEN", "MODIFY", "MODIFY", "MODIFY", "CLOSE_WRITE"), LATE),
    ("fsync, close",            ONE, synced, W3, LATE),
    ("rename over",             ONE, sh("echo v > .t; sleep 0.1; mv .t k"),
     "/.t:CREATE /.t:OPEN /.t:MODIFY /.t:CLOSE_WRITE /.t:MOVED_FROM /k:MOVED_TO"
     " k:ATTRIB k:DELETE_SELF k:IGNORED", "/.t+"),
    ("mv",                      ONE, sh("mv k l"), "/k:MOVED_FROM /l:MOVED_TO k:MOVE_SELF", ""),
    ("rm",                      ONE, sh("rm k"), UNLINKED, ""),
    ("ln",                      ONE, sh("ln k l"), "k:ATTRIB /l:CREATE", ""),
    ("ln -s",                   "",  sh("ln -s x k"), "/k:CREATE", ""),
    ("mkfifo",                  "",  sh("mkfifo k"), "/k:CREATE", ""),
    ("mkdir",                   "",  sh("mkdir k"), "/k:CREATE|ISDIR", ""),
    ("rmdir",                   "mkdir k", sh("rmdir k"),
     "k:DELETE_SELF k:IGNORED /k:DELETE|ISDIR", ""),
    ("touch",                   ONE, sh("touch k"), both("OPEN", "ATTRIB", "CLOSE_WRITE"), ""),
    ("chmod",                   ONE, sh("chmod 600 k"), both("ATTRIB"), ""),
    ("truncate(2)",             ONE, lambda d: os.truncate(d + "/k", 10), both("MODIFY"), ""),
    # truncate(1) does it through a descriptor: staged until close
    ("truncate -s 10",          ONE, sh("truncate -s 10 k"), W2, LATE),
    ("truncate -s 0",           ONE, sh("truncate -s 0 k"), W2, LATE),
    ("setfattr user.x",         ONE, lambda d: os.setxattr(d + "/k", "user.x", b"1"),
     both("ATTRIB"), ""),
]

# A change that tmpfs has no call for, and what stands for it there. What is printed here: that,
# with what the call's own system call raises.
EQUAL = [
    # the plain write without its O_TRUNC; and setxattr(2)'s own IN_ATTRIB, which the kernel raises
    # when it has the answer: that may be after the daemon has begun to tell
    ("xattr increment",         ONE, attribute("increment", "1"), sh("echo 2 1<> k >&1"), W2,
     "~ " + both("ATTRIB") + " " + WRITTEN),
    ("xattr update",            "echo {} > k",
     attribute("update", '[{"type":"set","path":"a","value":1}]'), sh("echo 2 1<> k >&1"), W2,
     "~ " + both("ATTRIB") + " " + WRITTEN),
    ("xattr cas",               ONE, attribute("cas", "REVISION:2"), sh("echo 2 1<> k >&1"), W2,
     "~ " + both("ATTRIB") + " " + WRITTEN),
    ("cubby incr",              ONE, cli("incr", "k"), sh("echo 2 1<> k >&1"), W2,
     "~ " + both("ATTRIB") + " " + WRITTEN),
    ("cubby set",               ONE, cli("set", "k", "v"), sh("echo v > k"), W3, W3 + LATE),
    ("cubby set, new",          "",  cli("set", "k", "v"), sh("echo v > k"), NEW, NEW + LATE),
    ("cubby set --ttl",         ONE, cli("set", "--ttl", "100", "k", "v"), sh("echo v > k"), W3,
     both("OPEN", "MODIFY", "MODIFY", "ATTRIB", "CLOSE_WRITE") + LATE),
    # the condition is a setxattr(2), and that commits: told by the daemon. The handle is still
    # open then, so its own IN_CLOSE_WRITE comes somewhere among these.
    ("cubby set --if-absent",   "",  cli("set", "--if-absent", "k", "v"), sh("echo v > k"), NEW,
     only("CREATE", "OPEN", "MODIFY") + " ~ " + only("ATTRIB", "CLOSE_WRITE") + " " + WRITTEN_NEW),
    ("cubby set --if-revision", ONE, cli("set", "--if-revision", "REVISION", "k", "v"),
     sh("echo v > k"), W3, both("OPEN", "MODIFY", "MODIFY") + " ~ "
     + both("ATTRIB", "CLOSE_WRITE") + " " + WRITTEN),
    ("cubby del",               ONE, cli("del", "k"), sh("rm k"), UNLINKED, UNLINKED),
    ("xattr ttl",               ONE, attribute("ttl", "100"), lambda d: None, "", both("ATTRIB")),
    # setxattr(2)'s IN_ATTRIB, which the kernel merges with the one of the link count
    ("TTL runs out",            ONE, with_ttl(0.1), sh("rm k"), UNLINKED, "/k:ATTRIB " + UNLINKED),
    ("TTL 0",                   ONE, with_ttl(0), sh("rm k"), UNLINKED, "~ /k:ATTRIB " + UNLINKED),
    # IN_ATTRIB on the directory itself, of its own xattr
    ("default_ttl runs out",    ONE, with_default_ttl, sh("echo v > k; rm k"), W3 + " " + UNLINKED,
     ".:ATTRIB|ISDIR " + W3 + LATE + UNLINKED),
]


def events_of(directory, before, act):
    """What the change raises, as one string."""
    if before:
        with Inotify() as i:
            i.add(directory)
            shell(directory, before)
            i.settle(0.2)       # with the IN_MODIFY after the commit
    with Inotify() as i:
        root = i.add(directory)
        key = i.add(directory + "/k") if before else None
        act(directory)
        i.settle(0.2)
        words = []
        for e in i.read(0.0):
            at = "k" if e.watch == key else "/" + e.name.decode() if e.name else "."
            words.append("%s:%s" % (at, e.words()))
    return words


def merged(words):
    """Per watch, since one's events come between the other's; neighbours that are equal as one,
    since whether the kernel merges them depends on that too."""
    lists = {}
    for w in words:
        watch = lists.setdefault("k" if w.startswith("k:") else "/", [])
        if not watch or watch[-1] != w:
            watch.append(w)
    return lists


def variants(text):
    """Lists that a row of the table allows."""
    if "~" in text:     # in any order, but each there
        head, tail = text.split("~")
        return lambda got: (got[:len(head.split())] == head.split()
                            and sorted(set(got)) == sorted(set((head + tail).split())))
    if "+" not in text:
        return lambda got: got == text.split()
    words = text.split()
    at = next(n for n, w in enumerate(words) if w.endswith("+"))
    name = words[at][:-1]
    head, tail = words[:at], words[at + 1:]
    extra = [name + ":MODIFY"] if name else ["/k:MODIFY"] + (
        ["k:MODIFY"] if any(w.startswith("k:") for w in head) else [])
    allowed = []
    for where in range(len(head) + 1):
        if where == 0 or not any(":MODIFY" in w for w in head[where:]):
            allowed.append(merged(head[:where] + extra + head[where:] + tail))
    return lambda got: merged(got) in allowed


def examine(title, got, wanted, bad):
    if not variants(wanted)(got):
        bad.append("%s:\n    got    %s\n    wanted %s" % (title, " ".join(got), wanted))


@mount_only
def test_table(m):
    bad = []
    plain = tempfile.mkdtemp(dir=TMPFS)
    number = 0

    def fresh(top):
        nonlocal number
        number += 1
        os.mkdir("%s/%d" % (top, number))
        return "%s/%d" % (top, number)

    try:
        for title, before, act, tmpfs, more in SAME:
            examine("tmpfs, " + title, events_of(fresh(plain), before, act), tmpfs, bad)
            if more == "/.t+":
                wanted = tmpfs.replace("/.t:CLOSE_WRITE", "/.t:CLOSE_WRITE /.t+")
            else:
                wanted = tmpfs + " " + more
            examine(title, events_of(fresh(m.dir), before, act), wanted, bad)
        for title, before, act, on_tmpfs, tmpfs, wanted in EQUAL:
            examine("tmpfs, " + title, events_of(fresh(plain), before, on_tmpfs), tmpfs, bad)
            examine(title, events_of(fresh(m.dir), before, act), wanted, bad)
    finally:
        shutil.rmtree(plain)
    check(not bad, "\n" + "\n".join(bad))


@mount_only
@unmounted
def test_the_first_calls_of_a_mount(scratch):
    """What is done by attribute before the daemon has said that it answers is announced."""
    m = scratch.mount()
    for n in range(20):
        m.write("k", "v")
        m.unmount()
        starting = threading.Thread(target=m.start)
        starting.start()
        wait_for(lambda: is_mounted(m.dir), 20, "the mount", pause=0)
        with Inotify() as i:
            i.add(m.dir, DELETE)
            m.set("k", "ttl", "0.0001")
            check(i.until(lambda e: e.has(DELETE) and e.name == b"k"), "no IN_DELETE")
        starting.join()


# --- the value is there when the event is -------------------------------------------------------

SETS = 10000 if LONG else 1000

# Two processes that make changes when told: one a shell, one not.
SHELL = 'while read -r line; do eval "$line"; done'
PYTHON = "import os, sys\nfor line in sys.stdin: exec(line)"


class Writers:
    def __init__(self, directory):
        self.directory = directory
        self.shell = self.start("bash", "-c", SHELL)
        self.python = self.start(sys.executable, "-c", PYTHON)

    def start(self, *command):
        return subprocess.Popen(command, cwd=self.directory, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for p in (self.shell, self.python):
            p.stdin.close()
            p.stdout.close()
            if p.wait(30) != 0:
                raise Failure("a writer ended with %d" % p.returncode)

    def sh(self, line):
        self.shell.stdin.write(line + "\n")

    def py(self, line):
        self.python.stdin.write(line + "\n")

    def wait(self):
        """Until they have done what they were told."""
        self.sh("echo")
        self.py("print(flush=True)")
        self.shell.stdout.readline()
        self.python.stdout.readline()


def change(w, how, n, before):
    """Returns what the value will be."""
    if how == "echo":
        w.sh("echo %d > k" % n)
        return "%d\n" % n
    if how == "append":
        w.sh("echo %d >> k" % n)
        return before + "%d\n" % n
    if how == "empty":
        w.sh(": > k")
        return ""
    if how == "open":
        w.py("with open('k', 'w') as f: f.write('%d')" % n)
        return "%d" % n
    if how == "rename":
        w.sh("echo %d > .t; mv .t k" % n)
        return "%d\n" % n
    if how == "increment":
        w.py("os.setxattr('k', 'user.cubby.increment', b'1')")
        newline = "\n" if before.endswith("\n") else ""
        return "%d" % (int(before or 0) + 1) + newline
    raise Failure(how)


# How many IN_CLOSE_WRITE: for `: > k` the close's own, which nothing can hold back until RELEASE
# commits, and then the daemon's.
CLOSES = {"echo": 1, "append": 1, "empty": 2, "open": 1, "increment": 1}


@mount_only
@deadline(600)
def test_close_write_means_readable(m):
    """In every round the reader is woken by the event, and reads at once."""
    key = m.path("k")
    make(key, "0")
    time.sleep(0.1)
    ways = ["echo", "open", "increment", "empty", "increment", "rename"]
    early = 0
    with Inotify() as i, Writers(m.dir) as w:
        i.add(m.dir, OPEN | CLOSE_WRITE | MOVED_TO)     # without OPEN equal ones would be merged
        value = "0"
        for n in range(SETS):
            how = ways[n % len(ways)]
            wanted = change(w, how, n, value)
            got, seen = None, 0
            mask = MOVED_TO if how == "rename" else CLOSE_WRITE
            while seen < CLOSES.get(how, 1):
                events = i.read(20)
                check(events, "round %d: no event for %s" % (n, how))
                count = sum(e.name == b"k" and e.has(mask) for e in events)
                if count:
                    seen += count
                    got = get(key)
                    if got != wanted and how == "empty" and seen == 1:
                        early += 1
                    else:
                        equal(got, wanted, "round %d, %s, at its event" % (n, how))
            value = wanted
    comment("%d sets; `: > k` was not yet readable at close's own IN_CLOSE_WRITE in %d of %d"
            % (SETS, early, SETS // len(ways)))


@mount_only
@deadline(600)
def test_watch_survives(m):
    """A watch on a key and one on its directory, over all sets of a run that nobody waits for."""
    make(m.path("k"), "first")
    time.sleep(0.1)
    with Inotify() as i:
        mask = CHANGES & ~OPEN      # which the reading would raise too
        root, key = i.add(m.dir, mask), i.add(m.path("k"), mask)
        count = {root: 0, key: 0}
        last = {}
        writer = subprocess.Popen(
            ["bash", "-c", "for ((n = 1; n <= %d; n++)); do echo $n > k; done" % SETS],
            cwd=m.dir)
        ended = None
        while True:
            events = i.read(0.5)
            for e in events:
                check(not e.has(DELETE | DELETE_SELF | IGNORED | OVERFLOW),
                      "event " + e.words())
                count[e.watch] += e.has(CLOSE_WRITE)
            for watch in {e.watch for e in events if e.has(MODIFY | CLOSE_WRITE)}:
                last[watch] = get(m.path("k"))
            if not events and ended is not None:
                break
            if ended is None:
                ended = writer.poll()
        equal(ended, 0, "the writer")
        equal(last, {root: "%d\n" % SETS, key: "%d\n" % SETS}, "the value at each last event")
        equal(count, {root: SETS, key: SETS}, "IN_CLOSE_WRITE")
        # and it is alive
        make(m.path("k"), "again")
        check(i.until(lambda e: e.watch == key and e.has(CLOSE_WRITE)), "no event afterwards")


class Follower(threading.Thread):
    """Reads the file upon each event, as a program does that knows only libuv's events."""

    def __init__(self, directory, name):
        super().__init__(daemon=True)
        self.inotify = Inotify()
        self.inotify.add(directory, LIBUV)
        self.path = os.path.join(directory, name)
        self.value = None
        self.ending = False
        self.reads = 0
        self.start()

    def run(self):
        while not self.ending:
            for e in self.inotify.read(0.2):
                if e.name != os.fsencode(os.path.basename(self.path)):
                    continue
                try:
                    self.value = get(self.path)
                    self.reads += 1
                except FileNotFoundError:
                    self.value = None

    def end(self):
        self.ending = True
        self.join()
        os.close(self.inotify.fd)


@mount_only
@deadline(600)
def test_libuv_ends_with_the_last_value(m):
    make(m.path("k"), "0")
    time.sleep(0.1)
    rng = random.Random(1)
    rounds = SETS // 10
    f = Follower(m.dir, "k")
    slowest = 0
    try:
        with Writers(m.dir) as w:
            value = "0"
            for n in range(rounds):
                # by one process, so that what is last is known
                ways = rng.choice((["echo", "append", "empty", "rename"], ["open", "increment"]))
                for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
                    how = rng.choice(ways)
                    if how == "increment" and not value.strip().isdigit():
                        how = ways[0]
                    value = change(w, how, n, value)
                w.wait()
                start = time.monotonic()
                try:
                    wait_for(lambda: f.value == value, 10)
                except Failure:
                    raise Failure("round %d, last %s: the watcher has %.40r, the file %.40r, "
                                  "wanted %.40r" % (n, how, f.value, get(m.path("k")), value))
                slowest = max(slowest, time.monotonic() - start)
    finally:
        f.end()
    comment("%d rounds, %d reads, the slowest round %.0f ms" % (rounds, f.reads, slowest * 1e3))


# --- expiry -------------------------------------------------------------------------------------

def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def clock(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@mount_only
def test_deadline_to_event(m):
    count = 2000 if LONG else 400
    due, late = {}, []
    with Inotify() as i:
        i.add(m.dir, DELETE)
        for n in range(count):
            path = m.path("k%d" % n)
            make(path, "v", (6 if LONG else 0.5) + n * 0.005)  # when all are made
            due[b"k%d" % n] = clock(getx(path, "expires"))
        while due:
            events = i.read(20)
            now = time.time()
            check(events, "%d keys never expired" % len(due))
            for e in events:
                late.append((now - due.pop(e.name)) * 1e3)
    comment("deadline to IN_DELETE, %d keys: median %.2f ms, p99 %.2f ms, max %.2f ms, min %.3f ms"
            % (count, percentile(late, 0.5), percentile(late, 0.99), max(late), min(late)))
    check(min(late) > -0.01, "an event %f ms before its deadline" % -min(late))
    check(percentile(late, 0.5) < 50, "median")
    check(percentile(late, 0.99) < 1000, "p99")


class Model:
    """What a watcher believes is there."""

    def __init__(self, inotify, watch):
        self.inotify, self.watch = inotify, watch
        self.names = {}
        self.events = 0
        self.again = 0

    def take(self, seconds):
        events = self.inotify.read(seconds)
        for e in events:
            check(not e.has(OVERFLOW), "the queue ran over")
            if e.watch != self.watch:
                continue
            self.events += 1
            if e.has(CREATE | MOVED_TO):
                self.again += e.name in self.names
                self.names[e.name] = e.has(ISDIR)
            elif e.has(DELETE | MOVED_FROM):
                self.names.pop(e.name, None)
        return bool(events)


@mount_only
def test_another_in_its_place_is_not_told_of(m):
    """Two namespaces change places over and over, each with a key of the same name that the kernel
    remembers; one of the keys changes, otherwise than by writing. Nothing is told of the other."""
    for name in ("a", "b"):
        os.mkdir(m.path(name))
        make(m.path(name, "k"), "1")
    changed, other = (os.open(m.path(name, "k"), os.O_RDONLY) for name in ("a", "b"))
    with Inotify() as i, Crew() as crew:
        watch = i.add(m.path("a/k"), MODIFY | CLOSE_WRITE)
        bystander = i.add(m.path("b/k"), MODIFY | CLOSE_WRITE)
        i.settle()
        i.read(0)
        stop = numbers(1)

        def exchange():
            count = 0
            while not stop[0]:
                os.rename(m.path("a"), m.path("c"))
                os.rename(m.path("b"), m.path("a"))
                os.rename(m.path("c"), m.path("b"))
                for name in ("a", "b"):
                    os.stat(m.path(name, "k"))
                count += 1
            return count
        crew.fork(exchange)
        for n in range(1000):
            os.setxattr(changed, "user.cubby.increment", b"1")
        stop[0] = 1
        check(crew.join(30)[0] > 10, "they change places")
        os.setxattr(changed, "user.cubby.increment", b"1")
        seen = []
        end = time.monotonic() + 10
        while not any(e.watch == watch and e.has(CLOSE_WRITE) for e in seen[-1:]):
            check(time.monotonic() < end, "the last change is not told")
            seen += i.read(0.2)
        i.settle()
        seen += i.read(0)
    equal([e.words() for e in seen if e.watch == bystander], [], "of the other")
    check(sum(e.watch == watch for e in seen) > 1, "events of what has changed")
    equal(os.pread(other, 10, 0), b"1", "the other")
    os.close(changed)
    os.close(other)


def make_anew(directory, seed, seconds, count):
    """Takes keys as soon as they can be had, in the ways that a program would."""
    rng = random.Random(seed)
    end = time.monotonic() + seconds
    made = 0
    while time.monotonic() < end:
        path = os.path.join(directory, "k%d" % rng.randrange(count))
        how = rng.randrange(6)
        try:
            if how == 0:
                os.mkdir(path)
                if rng.randrange(2):
                    os.rmdir(path)
            elif how == 1:
                os.symlink("x", path)
            elif how == 2:
                os.unlink(path)
                continue
            elif how == 3:
                os.rename(os.path.join(directory, "k%d" % rng.randrange(count)), path)
                continue
            elif how == 4:
                os.rmdir(path)
                continue
            else:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                try:
                    os.write(fd, b"v")
                    setx(fd, "ttl", "%.4f" % (rng.random() * 0.02))
                finally:
                    os.close(fd)
            made += 1
        except OSError as e:
            if e.errno not in (errno.EEXIST, errno.ENOENT, errno.EISDIR, errno.ENOTDIR,
                               errno.ENOTEMPTY):
                raise
    return made


@mount_only
@deadline(600)
def test_made_anew(m):
    """Keys that are made again in the moment in which they expire, also as something else."""
    rounds = 20 if LONG else 4
    total = again = made = 0
    for n in range(rounds):
        d = m.path("d%d" % n)
        os.mkdir(d)
        with Inotify() as i, Crew() as crew:
            model = Model(i, i.add(d))
            for c in range(3):
                crew.fork(make_anew, d, 3 * n + c, 1.0, 6)
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                model.take(0.05)
            made += sum(crew.join(30))
            time.sleep(0.05)        # the last TTLs
            while model.take(0.3):
                pass
            there = {e.name: e.is_dir(follow_symlinks=False) for e in os.scandir(os.fsencode(d))}
            equal(model.names, there, "round %d, %d events: what the watcher believes"
                  % (n, model.events))
            total += model.events
            again += model.again
    comment("%d made, %d events, %d of them told that a name is made which the watcher had"
            % (made, total, again))


@mount_only
def test_namespace_renamed_meanwhile(m):
    """The way to a key changes between its expiry and the announcement, over and over; in its old
    place there is another of the same name, or a namespace of that name."""
    count = 600
    os.mkdir(m.path("a"))
    for name in ("a", "b"):
        os.makedirs(m.path("other", name))
        make(m.path("other", name, "k1"))
        for n in range(2, count, 2):
            os.mkdir(m.path("other", name, "k%d" % n))
    due = time.monotonic() + 1
    for n in range(count):      # in bunches, so that there is a queue
        make(m.path("a", "k%d" % n), "v", max(0, due + n // 100 * 0.03 - time.monotonic()))
    with Inotify() as i, Crew() as crew:
        watch = i.add(m.path("a"))
        bystander = i.add(m.path("other"))

        stop = numbers(1)

        def rename():
            while not stop[0]:
                os.rename(m.path("a"), m.path("other", "c"))
                os.rename(m.path("other", "a"), m.path("a"))
                os.rename(m.path("a"), m.path("other", "a"))
                os.rename(m.path("other", "c"), m.path("a"))
        others = [i.add(m.path("other", name)) for name in ("a", "b")]
        crew.fork(rename)
        seen = {}
        while len(seen) < count:
            events = i.read(0.1)
            check(time.monotonic() < due + 15, "%d events are missing" % (count - len(seen)))
            for e in events:
                check(not e.has(OVERFLOW), "overflow")
                if e.watch == watch and e.has(DELETE):
                    seen[e.name] = seen.get(e.name, 0) + 1
                check(not (e.watch in others and e.has(DELETE)), "told of the wrong namespace")
        stop[0] = 1
        crew.join(60)
        i.settle()
        for e in i.read(0):
            check(not (e.watch != bystander and e.has(DELETE)), "one more: " + e.words())
    equal([n for n, c in seen.items() if c != 1], [], "told more than once")
    equal(len(os.listdir(m.path("other", "a"))), count // 2)


def deletes(i, names, watch, seconds=10):
    """Waits until the names, no others, are told gone, each once."""
    wanted, seen = set(names), []
    end = time.monotonic() + seconds
    while set(seen) < wanted:
        events = i.read(end - time.monotonic())
        check(events, "never told gone: %.200r" % sorted(wanted - set(seen)))
        seen += [e.name for e in events if e.watch == watch and e.has(DELETE)]
    i.settle()
    seen += [e.name for e in i.read(0) if e.watch == watch and e.has(DELETE)]
    equal(sorted(seen), sorted(wanted), "told gone")


@mount_only
def test_odd_names(m):
    names = [b"\n", b"\xff\xfe", b" ", b"\\n", b"-r", b"x" * 255, b"\x01", b"...", b"*", b"%s%n",
             b".cubby", "\u00e4".encode(), b"a\tb", b".k", b"\xc3"]
    os.mkdir(m.path("d"))
    top = os.fsencode(m.path("d"))
    with Inotify() as i:
        watch = i.add(m.path("d"), DELETE)
        for name in names:
            make(os.path.join(top, name), "v", 0.3)
        deletes(i, names, watch)


@mount_only
def test_deep(m):
    """Deeper than a path can be long."""
    part = "n" * 200
    os.chdir(m.dir)
    for _ in range(40):
        os.mkdir(part)
        os.chdir(part)
    with Inotify() as i:
        watch = i.add(".", DELETE | CLOSE_WRITE)
        make("k", "v", 0.3)
        make("counter", "1")
        deletes(i, [b"k"], watch)
        setx("counter", "increment", "1")
        check(i.until(lambda e: e.has(CLOSE_WRITE) and e.name == b"counter", 5),
              "no event for the increment")
    os.chdir("/")


@mount_only
def test_hard_links(m):
    """Each name of a key that expires is told gone, in its own directory."""
    os.mkdir(m.path("a"))
    os.mkdir(m.path("b"))
    make(m.path("a", "k"))
    os.link(m.path("a", "k"), m.path("a", "l"))
    os.link(m.path("a", "k"), m.path("b", "m"))
    time.sleep(0.05)
    with Inotify() as i:
        a, b, k = i.add(m.path("a")), i.add(m.path("b")), i.add(m.path("b", "m"))
        setx(m.path("a", "k"), "ttl", "0.1")
        time.sleep(0.4)
        i.settle()
        words = ["%s %s" % (e.name.decode() if e.watch != k else "self", e.words())
                 for e in i.read(0)]
    for wanted in ("k DELETE", "l DELETE", "m DELETE", "self DELETE_SELF"):
        equal(words.count(wanted), 1, "%s in %r" % (wanted, words))
    equal(os.listdir(m.path("a")) + os.listdir(m.path("b")), [])


@mount_only
def test_open_while_it_expires(m):
    """As unlink of an open file: gone from the directory at once, its own end is its last close."""
    make(m.path("k"), "value", 0.3)
    with Inotify() as i, open(m.path("k")) as f:
        root, key = i.add(m.dir), i.add(m.path("k"))
        events = i.until(lambda e: e.watch == root and e.has(DELETE))
        check(events, "no IN_DELETE")
        i.settle()
        events += i.read(0)
        check(any(e.watch == key and e.has(ATTRIB) for e in events), "no IN_ATTRIB")
        check(not any(e.has(DELETE_SELF) for e in events), "IN_DELETE_SELF while it is open")
        check(not os.path.exists(m.path("k")), "it is there")
        f.close()
        check(i.until(lambda e: e.watch == key and e.has(DELETE_SELF)), "no IN_DELETE_SELF")


@mount_only
def test_directory_removed_right_after(m):
    """The namespace goes before the daemon has come to tell what expired in it."""
    for n in range(200 if LONG else 40):
        d = m.path("d%d" % n)
        os.mkdir(d)
        for k in range(20):
            make(os.path.join(d, "k%d" % k), "v", 0.05)
        with Inotify() as i:
            root, inner = i.add(m.dir, DELETE), i.add(d, DELETE | DELETE_SELF)
            end = time.monotonic() + 10
            while True:
                try:
                    os.rmdir(d)
                    break
                except OSError as e:
                    check(e.errno == errno.ENOTEMPTY and time.monotonic() < end, str(e))
            check(i.until(lambda e: e.watch == root and e.has(DELETE) and e.name == b"d%d" % n),
                  "the namespace's own end")
            if n % 2:       # and another of its name
                os.mkdir(d)
                make(os.path.join(d, "k0"))
                i.settle(0.03)
                equal([e.name for e in i.read(0) if e.watch == root], [],
                      "told gone, but made anew")
                equal(os.listdir(d), ["k0"])
                shutil.rmtree(d)
    equal(os.listdir(m.dir), ["locks"] if os.path.exists(m.path("locks")) else [])


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


@contextlib.contextmanager
def long_queue(count):
    """What is told faster than Python reads must not run over: a watcher's queue ends at
    16,384 events by default, on any file system."""
    knob = "/proc/sys/fs/inotify/max_queued_events"
    with open(knob) as f:
        usual = f.read()
    if int(usual) < 2 * count and LONG:
        with open(knob, "w") as f:
            f.write(str(2 * count))
    try:
        yield
    finally:
        with open(knob, "w") as f:
            f.write(usual)


@mount_only
@deadline(900)
def test_burst(m):
    """All at once: each told once, nobody held up."""
    count = 100000 if LONG else 20000
    os.mkdir(m.path("d"))
    worst = numbers(2)
    stop = numbers(1)
    seen = {}
    at = []

    def client():
        n = 0
        while not stop[0]:
            t = time.monotonic_ns()
            os.stat(m.path("c"))
            worst[0] = max(worst[0], time.monotonic_ns() - t)
            t = time.monotonic_ns()
            with open(m.path("c"), "w") as f:
                f.write("%d" % n)
            worst[1] = max(worst[1], time.monotonic_ns() - t)
            n += 1
            time.sleep(0.002)
        return n

    def take(i, seconds):
        for e in i.read(seconds):
            check(not e.has(OVERFLOW), "overflow")
            seen[e.name] = seen.get(e.name, 0) + 1
            at.append(time.monotonic())

    make(m.path("c"), "v")
    with long_queue(count), Inotify() as i, Crew() as crew:
        i.add(m.path("d"), DELETE)
        start = due = time.monotonic()
        for n in range(count):
            if n % 200 == 0:    # one moment for all, if this machine is as fast as it began
                now = time.monotonic()
                due = max(due, now + (now - start) / (n + 1) * (count - n) * 1.2 + 1)
                take(i, 0)
            make(m.path("d", "k%d" % n), "v", due - time.monotonic())
        ready = time.monotonic()
        before = len(seen)
        crew.fork(client)
        full = peak = memory(m.worker)
        while len(seen) < count and time.monotonic() < due + (120 if LONG else 20):
            take(i, 0.3)
            peak = max(peak, memory(m.worker))
        last = at[-1]
        i.settle()
        take(i, 0)
        stop[0] = 1
        calls = crew.join(30)[0]
    equal(len(seen), count, "keys told gone")
    equal([n for n, c in seen.items() if c > 1][:5], [], "told more than once")
    comment("%d keys made in %.1f s; %d told gone within %.2f s; a client's %d rounds meanwhile: "
            "at worst stat %.1f ms, open-write-close %.1f ms"
            % (count, ready - start, count - before, last - max(at[before], ready), calls,
               worst[0] / 1e6, worst[1] / 1e6))
    comment("VmRSS %d KiB before, %d at most, %d after" % (full, peak, memory(m.worker)))
    check(max(worst) < 2e9, "a client waited for more than 2 s")
    check(peak < full * 1.5 + 16384, "memory")


# --- umount, and the end of the daemon ----------------------------------------------------------

def umount_once(directory):
    """At the first try: nobody but the daemon can be in the way."""
    r = subprocess.run(["umount", directory], capture_output=True, text=True)
    if r.returncode != 0:
        raise Failure("umount at the first try: " + r.stderr.strip())


class Ends:
    """Daemons that are to end by themselves, with status 0."""

    def __init__(self):
        self.processes = []

    def take(self, m):
        self.processes.append(m.process)
        m.process = None

    def wait(self):
        for p in self.processes:
            equal(p.wait(30), 0, "status of the daemon")


def another(m):
    """The same mount once more, without waiting for its last daemon's end."""
    new = Mount(m.scratch, m.store, m.dir, m.options)
    new.start()
    return new


def disturb(directory, seed, stop):
    """Keeps the announcer busy. Returns the deadlines of what it made (from, to) and how often it
    incremented."""
    rng = random.Random(seed)
    due, increments, n = {}, 0, 0
    while not stop[0]:
        name = "e%d.%d" % (os.getpid(), n)
        path = os.path.join(directory, name)
        ttl = rng.random() * 0.15
        before = time.time()
        make(path, "v", ttl)
        due[name] = before + ttl, time.time() + ttl
        n += 1
        setx(os.path.join(directory, "counter%d" % seed), "increment", "1")
        increments += 1
        if rng.randrange(8) == 0:
            with open(os.path.join(directory, "empty"), "w"):
                pass
    return due, increments


@unmounted
@mount_only
@deadline(900)
def test_umount_at_any_moment(s):
    """And mounted again at once: nothing is lost, nothing is told that has not happened."""
    rounds = 100 if LONG else 20
    rng = random.Random(7)
    m = s.mount()
    ends = Ends()
    counts = [0, 0]
    for c in range(2):
        make(m.path("counter%d" % c), "0")
    for n in range(20):
        make(m.path("permanent%d" % n), "%d" % n)
    told = 0
    slowest = 0
    due = {}
    for n in range(rounds):
        stop = numbers(1)
        with Inotify() as i:
            watch = i.add(m.dir, DELETE | CREATE | MOVED_FROM | MOVED_TO)
            with Crew() as crew:
                for c in range(2):
                    crew.fork(disturb, m.dir, c, stop)
                time.sleep(rng.random() * 0.3)
                stop[0] = 1
                results = crew.join(30)
            time.sleep(rng.random() * rng.choice((0, 0, 0.15)))
            start = time.time()
            umount_once(m.dir)
            end = time.time()
            slowest = max(slowest, end - start)
            ends.take(m)
            m = another(m)
            for expiring, _ in results:
                due.update(expiring)
            gone = []
            for e in i.read(0):
                name = e.name.decode()
                if e.watch == watch and e.has(DELETE | MOVED_FROM):
                    gone.append(name)
                    check(name in due, "round %d: %r is told gone" % (n, name))
                    check(due[name][0] < end, "round %d: %r is told gone too early" % (n, name))
            equal(len(gone), len(set(gone)), "round %d: told gone once" % n)
            told += len(gone)
        before = time.time()
        there = set(os.listdir(m.dir))
        after = time.time()
        for k, (earliest, t) in due.items():
            if k in there:
                if t <= before - 0.05:
                    raise Failure("round %d: %s is still there, %.3f s late; ttl %s"
                                  % (n, k, before - t, attribute_or_none(m.path(k), "ttl")))
            else:
                check(earliest < after, "round %d: %s has gone" % (n, k))
        for c in range(2):
            counts[c] += results[c][1]
            equal(get(m.path("counter%d" % c)), "%d" % counts[c], "round %d: the counter" % n)
        for k in range(20):
            equal(get(m.path("permanent%d" % k)), "%d" % k)
    ends.wait()
    comment("%d umounts, the slowest %.0f ms; of %d expiries %d were told before"
            % (rounds, slowest * 1e3, len(due), told))


@unmounted
@mount_only
def test_lazy_umount_in_use(s):
    """What goes on using it can, and the daemon ends with the last of them."""
    for n in range(20 if LONG else 5):
        m = s.mount(s.path("store%d" % n))
        stop = numbers(1)
        for c in range(2):
            make(m.path("counter%d" % c), "0")
        with Crew() as crew:
            root = os.open(m.dir, os.O_PATH)
            for c in range(2):
                crew.fork(disturb, "/proc/%d/fd/%d" % (os.getpid(), root), c, stop)
            time.sleep(0.1)
            subprocess.run(["umount", "-l", m.dir], check=True)
            time.sleep(0.1)
            check(m.process.poll() is None, "the daemon has ended while it is in use")
            stop[0] = 1
            crew.join(30)
            check(m.process.poll() is None, "the daemon has ended while its root is open")
            os.close(root)
        equal(m.process.wait(20), 0, "status of the daemon")
        m.process = None


@unmounted
@mount_only
@deadline(600)
def test_killed_while_it_announces(s):
    rng = random.Random(3)
    m = s.mount()
    for c in range(2):
        make(m.path("counter%d" % c), "0")
    for n in range(20):
        stop = numbers(1)

        def load(seed):
            try:
                disturb(m.dir, 2 * n + seed, stop)
            except OSError as e:
                if e.errno not in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT):
                    raise
        for c in range(2):
            make(m.path("counter%d" % (2 * n + c)), "0")
        with Crew() as crew:
            for c in range(2):
                crew.fork(load, c)
            time.sleep(rng.random() * 0.2)
            pid = m.pid
            os.kill(pid, signal.SIGKILL)
            try:
                m.process.wait(10)      # all its threads have ended then
            except subprocess.TimeoutExpired:
                with open("/proc/%d/status" % pid) as f:
                    raise Failure("round %d: the killed daemon is there: %s" % (n, f.read()[:200]))
            m.process = None
            stop[0] = 1
            crew.join(30)
        subprocess.run(["umount", "-l", m.dir], check=True)
        m = another(m)
        make(m.path("k"), "%d" % n)
        with Inotify() as i:
            i.add(m.dir, DELETE)
            make(m.path("e"), "v", 0.02)
            check(i.until(lambda e: e.name == b"e"), "round %d: no event afterwards" % n)


@unmounted
@mount_only
@deadline(600)
def test_emptied_then_unmounted(s):
    """`: > k` commits at RELEASE, which nobody waits for; umount must."""
    m = s.mount()
    ends = Ends()
    stop = numbers(1)

    def burn():
        while not stop[0]:
            pass
    rounds = 50
    with Crew() as crew:
        for _ in range(2):
            crew.fork(burn)
        for n in range(rounds):
            make(m.path("k"), "full")
            for k in range(20):
                make(m.path("e%d" % k), "v", 0.001 * k)
            script = "for i in {1..30}; do : > n%d.$i; done; : > k; umount '%s'" % (n, m.dir)
            r = subprocess.run(["bash", "-c", "cd '%s' && %s" % (m.dir, script.replace(
                "umount", "cd / && umount"))], capture_output=True, text=True)
            equal((r.returncode, r.stderr), (0, ""), "round %d" % n)
            ends.take(m)
            m = another(m)
            equal(get(m.path("k")), "", "round %d: the value" % n)
            equal(len([k for k in os.listdir(m.dir) if k.startswith("n%d." % n)]), 30,
                  "round %d: new keys" % n)
        stop[0] = 1
        crew.join(10)
    ends.wait()


# --- who mounts, and where ----------------------------------------------------------------------

def expiries_are_told(top):
    """As whoever may use it. What the owner himself has forbidden to himself included, although
    others have the kernel ask for modes all the time."""
    def path(*names):
        return os.path.join(top, *names)

    def look():
        while not stop[0]:
            for name in ("d500", "d0", "n"):
                os.stat(path(name))
                os.access(path(name, "none"), os.F_OK)
    stop = numbers(1)
    for name in ("d500", "d0", "n"):
        os.mkdir(path(name))
    with Inotify() as i:
        watches = {i.add(path(*name), CREATE | DELETE | CLOSE_WRITE): name
                   for name in ((), ("d500",), ("d0",), ("n",))}
        wanted = set()
        for where in ((), ("d500",), ("d0",), ("n",)):
            for mode in (0o600, 0o400, 0):
                name = "m%o" % mode
                make(path(*where, name), "v", 0.4)
                os.chmod(path(*where, name), mode)
                wanted.add((where, name))
        make(path("n", "counter"), "1")
        os.chmod(path("d500"), 0o500)
        os.chmod(path("d0"), 0)
        i.settle(0.05, 0.2)
        i.read(0)
        setx(path("n", "counter"), "increment", "1")
        check(i.until(lambda e: watches[e.watch] == ("n",) and e.name == b"counter"
                      and e.has(CLOSE_WRITE)), "no event for the increment")
        with Crew() as crew:
            crew.fork(look)
            end = time.monotonic() + 10
            while wanted:
                events = i.read(end - time.monotonic())
                check(events, "never told gone: %r" % wanted)
                for e in events:
                    if e.has(DELETE):
                        wanted.remove((watches[e.watch], e.name.decode()))
            stop[0] = 1
            crew.join(10)
    os.chmod(path("d0"), 0o700)
    os.chmod(path("d500"), 0o700)


def in_namespace(s, function, *arguments):
    """Runs it in a child with a mount namespace of its own."""
    def child():
        tempfile.tempdir = s.top
        return function(enter_namespace(), *arguments)
    with Crew() as crew:
        crew.fork(child)
        return crew.join(90)[0]


def user_mount(top):
    install(top)
    os.mkdir(top + "/u")
    os.mkdir(top + "/u/mnt")
    for name in ("/u", "/u/mnt"):
        os.chown(top + name, USER, USER)
    if subprocess.run(["setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups",
                       "unshare", "-Urm", "true"], stderr=subprocess.DEVNULL).returncode:
        return "this system gives users no namespaces"
    directory = top + "/u/mnt"
    os.chdir("/")
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    for _ in range(3):
        subprocess.run(["/sbin/cubbyfs", top + "/u/store", directory], check=True, timeout=60)
        expiries_are_told(directory)
        make(directory + "/late", "v", 0.001)
        setx(directory + "/n/counter", "increment", "1")
        r = subprocess.run(["fusermount3", "-u", directory], capture_output=True, text=True)
        equal((r.returncode, r.stderr), (0, ""), "fusermount3 -u at the first try")
        wait_for(lambda: not daemons(directory), 20, "the end of the daemon")
        subprocess.run(["/sbin/cubbyfs", top + "/u/store", directory], check=True, timeout=60)
        shutil.rmtree(directory + "/n")
        os.rmdir(directory + "/d0")
        os.rmdir(directory + "/d500")
        subprocess.run(["fusermount3", "-u", directory], check=True)
        wait_for(lambda: not daemons(directory), 20, "the end of the daemon")
    return None


@unmounted
@mount_only
def test_users_own_mount(s):
    why = in_namespace(s, user_mount)
    if why:
        raise Skip(why)


def told_gone(i, m, name):
    make(m.path(name), "v", 0.1)
    i.settle(0.3)
    return any(e.name == os.fsencode(name) and e.has(DELETE) for e in i.read(0))


@unmounted
@mount_only
def test_bound_and_moved(s):
    """As long as any mount of it is there, changes are told; the last one ends the daemon."""
    m = s.mount()
    bound, moved = s.path("bound"), s.path("moved")
    with Inotify() as i:
        i.add(m.dir, DELETE)
        os.mkdir(bound)
        os.mkdir(moved)
        subprocess.run(["mount", "--bind", m.dir, bound], check=True)
        subprocess.run(["umount", m.dir], check=True)
        first, m.dir = m.dir, bound
        check(told_gone(i, m, "k"), "not told when it was seen by a bind mount alone")
        r = subprocess.run(["mount", "--move", bound, moved], stderr=subprocess.DEVNULL)
        if r.returncode == 0:       # not where mounts are shared
            m.dir = moved
            check(told_gone(i, m, "k"), "not told when it had been moved")
        umount_once(m.dir)
    equal(m.process.wait(20), 0, "status of the daemon")
    m.process, m.dir = None, first


@unmounted
@mount_only
def test_remounted(s):
    """The kernel refuses to unlink on a file system that is read-only, to the daemon too: what
    expires meanwhile is gone for readers, but told to nobody. A mount that alone is
    read-only (remount,bind,ro) does not concern it."""
    m = s.mount()
    make(m.path("c"), "1")

    def remount(words):
        def done():     # busy while the daemon has something open for writing
            return subprocess.run(["mount", "-i", "-o", "remount," + words, m.dir],
                                  capture_output=True).returncode == 0
        wait_for(done, 5, "remount," + words)
    with Inotify() as i:
        i.add(m.dir, DELETE)
        for words, told in (("bind,ro", True), ("ro", False), ("nosuid", True), ("noatime", True)):
            make(m.path("k"), "v", 0.2)
            remount(words)
            i.settle(0.4)
            names = [e.name for e in i.read(0)]
            if told:
                equal(names, [b"k"], "told gone, remounted " + words)
            check(not os.path.exists(m.path("k")), "it is there, remounted " + words)
            remount("rw")
            remount("bind,rw")
            i.settle(0.1)
            i.read(0)
            check(told_gone(i, m, "l"), "not told after " + words)
    m.unmount()


def namespace_mount(top, s):
    m = s.mount(top + "/store", top + "/mnt")
    expiries_are_told(m.dir)
    umount_once(m.dir)
    equal(m.process.wait(20), 0, "status of the daemon")
    m.process = None


@unmounted
@mount_only
def test_in_a_mount_namespace(s):
    in_namespace(s, namespace_mount, s)


@mount_only
def test_symlink_in_the_way(m):
    """An ordinary user puts a symlink where his namespace was, while announcements for it
    wait: nothing is removed, made or touched where it leads, with the daemon's rights."""
    count = 400
    os.chmod(m.dir, 0o1777)
    target = m.scratch.path("of-root")
    os.mkdir(target, 0o700)
    names = ["k%03d" % n for n in range(count)]
    for name in names[::2]:
        with open(os.path.join(target, name), "w") as f:
            f.write("precious")
    before = {n: os.stat(os.path.join(target, n)).st_mtime_ns for n in os.listdir(target)}

    def attack():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os.mkdir(m.path("d"))
        for name in names:
            m.write("d/" + name, "1")
        end = time.time() + 1.5
        for name in names:
            m.set("d/" + name, "ttl", "%.3f" % max(end - time.time(), 0.001))
        wait_for(lambda: not os.path.exists(m.path("d", names[0])), 20, "the expiry")
        for name in names[1::2]:        # made anew: told once more
            try:
                m.write("d/" + name, "2")
                m.set("d/" + name, "increment", "1")
            except OSError:
                pass
        os.rename(m.path("d"), m.path("d2"))
        os.symlink(target, m.path("d"))
    child = os.fork()
    if child == 0:
        try:
            attack()
            os._exit(0)
        finally:
            os._exit(1)
    check(os.waitpid(child, 0)[1] == 0, "the attack itself failed")
    m.unmount()         # what waits has been told, or never will be
    after = {n: os.stat(os.path.join(target, n)).st_mtime_ns for n in os.listdir(target)}
    equal(after, before, "what is in root's directory")


if __name__ == "__main__":
    main(globals())
