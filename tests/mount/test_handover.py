#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""The worker is killed again and again, and clients at work notice nothing: no call fails,
what was acknowledged is there, nothing is there twice (DESIGN 1.8).

Each client is a process of its own that keeps a model of what it has done, and ends with
an error at the first call that fails or answer that is wrong."""
import fcntl
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from harness import check, deadline, equal, main, options
from worker import kill_every

LONG = bool(os.environ.get("CUBBY_LONG"))
SECONDS = 60 if LONG else 8
INTERVAL = 0.2


# --- the clients: each is called again and again, and at last checks ---------------------

class Setter:
    """Sets its own keys, whole, and reads them back at once."""

    def __init__(self, top):
        self.top = top
        self.values = {}
        os.mkdir(top)

    def step(self, random):
        name = os.path.join(self.top, "k%d" % random.randrange(20))
        value = b"%d " % random.getrandbits(60) * random.choice([1, 1, 10, 3000])
        with open(name, "wb") as f:
            f.write(value[:len(value) // 2])
            f.flush()
            f.write(value[len(value) // 2:])
            if random.random() < 0.1:
                f.flush()
                os.fsync(f.fileno())
        self.values[name] = value
        self.look(name)

    def look(self, name):
        with open(name, "rb") as f:
            equal(f.read(), self.values[name], name)

    def finish(self):
        for name in self.values:
            self.look(name)
        equal(sorted(os.listdir(self.top)),
              sorted(os.path.basename(n) for n in self.values), "names")


class Appender:
    """Adds lines to one key, through a descriptor that is kept and through new ones."""

    def __init__(self, top):
        self.name = top
        self.lines = 0
        self.fd = os.open(top, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def step(self, random):
        line = b"%d\n" % self.lines
        if random.random() < 0.5:
            equal(os.write(self.fd, line), len(line), "written")
        else:
            with open(self.name, "ab", buffering=0) as f:
                f.write(line)
        self.lines += 1
        if self.lines % 5000 == 0:
            self.finish()
            os.truncate(self.name, 0)
            self.lines = 0

    def finish(self):
        with open(self.name, "rb") as f:
            equal(f.read(), b"".join(b"%d\n" % i for i in range(self.lines)), "lines")


class Incrementer:
    """Adds to a number, by the attribute; another process adds to the same."""

    def __init__(self, name, count):
        self.name = name
        self.count = count
        self.sum = 0
        with open(name, "a"):
            pass

    def step(self, random):
        by = random.randrange(1, 10)
        os.setxattr(self.name, "user.cubby.increment", b"%d" % by)
        self.sum += by

    def finish(self):
        with open(self.count, "w") as f:
            f.write("%d" % self.sum)


class Maker:
    """Makes names exclusively, of each kind, and takes them away: each once."""

    def __init__(self, top):
        self.top = top
        self.names = {}
        os.mkdir(top)

    def step(self, random):
        name = os.path.join(self.top, "n%d" % random.randrange(30))
        if name in self.names:
            (os.rmdir if self.names.pop(name) == "dir" else os.unlink)(name)
            check(not os.path.lexists(name), "%s is still there" % name)
            return
        kind = random.choice(["key", "dir", "symlink", "fifo", "link"])
        if kind == "key":
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(fd, b"x")
            os.close(fd)
        elif kind == "dir":
            os.mkdir(name)
        elif kind == "symlink":
            os.symlink("target", name)
        elif kind == "fifo":
            os.mkfifo(name)
        else:
            source = name + ".source"
            with open(source, "w") as f:
                f.write("x")
            os.link(source, name)
            os.unlink(source)
        self.names[name] = kind
        check(os.path.lexists(name), "%s is not there" % name)

    def finish(self):
        equal(sorted(os.listdir(self.top)),
              sorted(os.path.basename(n) for n in self.names), "names")


class Renamer:
    """Moves two keys about, over others, and swaps them."""

    def __init__(self, top):
        self.top = top
        os.mkdir(top)
        self.where = {}
        for i in range(6):
            self.where["p%d" % i] = b"value %d" % i
            with open(os.path.join(top, "p%d" % i), "wb") as f:
                f.write(b"value %d" % i)

    def step(self, random):
        source = random.choice(sorted(self.where))
        target = "p%d" % random.randrange(12)
        if source == target:
            return
        os.rename(os.path.join(self.top, source), os.path.join(self.top, target))
        self.where[target] = self.where.pop(source)
        if len(self.where) < 4:
            value = b"new %d" % random.getrandbits(40)
            name = next("p%d" % i for i in range(12) if "p%d" % i not in self.where)
            temporary = os.path.join(self.top, "tmp")
            with open(temporary, "wb") as f:
                f.write(value)
            os.rename(temporary, os.path.join(self.top, name))
            self.where[name] = value

    def finish(self):
        found = {}
        for name in os.listdir(self.top):
            with open(os.path.join(self.top, name), "rb") as f:
                found[name] = f.read()
        equal(found, self.where, "names and values")


class Lister:
    """Lists a namespace that nobody changes, in several requests, and reads a large value in pieces."""

    def __init__(self, top):
        self.top = top
        os.mkdir(top)
        self.names = ["name-%04d" % i for i in range(2000)]
        for name in self.names:
            os.mkdir(os.path.join(top, name))
        self.large = bytes(random.getrandbits(8) for _ in range(1000)) * 700
        with open(top + ".large", "wb") as f:
            f.write(self.large)

    def step(self, random):
        equal(sorted(os.listdir(self.top)), self.names, "names")
        with open(self.top + ".large", "rb", buffering=0) as f:
            pieces = []
            while True:
                piece = f.read(50000)
                if not piece:
                    break
                pieces.append(piece)
        equal(b"".join(pieces), self.large, "the large value")

    def finish(self):
        pass


class Watcher:
    """Reads the events of a key that it sets itself: each once, in order. Those that a worker had
    not given yet when it died, and a compaction has taken away, are told to be lost."""

    def __init__(self, top, mount):
        self.name = top
        self.key = os.path.basename(top)
        self.events = open(os.path.join(mount, ".cubby", "events"), "r+b", buffering=0)
        self.events.write(b'{"pattern":"%s"}\n' % self.key.encode())
        self.sets = 0
        self.seen = 0
        self.rest = b""
        self.revision = 0
        self.skips = False

    def step(self, random):
        for _ in range(random.randrange(1, 4)):
            with open(self.name, "w") as f:
                f.write("%d" % self.sets)
            self.sets += 1
        if random.random() < 0.7:
            self.read()

    def read(self):
        while self.seen < self.sets:
            if select.select([self.events], [], [], 20)[0] == []:
                raise AssertionError("no event for 20 s")
            data = self.events.read(random.choice([100, 4096]))
            *lines, self.rest = (self.rest + data).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["message_type"] == "lost":
                    self.take_lost(event)
                    continue
                if self.skips:
                    self.seen = max(self.seen, int(event["new_value"]))
                    self.skips = False
                equal(event.get("new_value"), "%d" % self.seen, "the next event's value")
                check(event["revision"] > self.revision, "revisions go back: %r" % event)
                self.revision = event["revision"]
                self.seen += 1

    def take_lost(self, event):
        check(self.revision < event["first"] and event["from"] <= event["first"],
              "lost, but was told already: %r after %d" % (event, self.revision))
        print("# %r" % event)
        self.skips = True
        if int(os.getxattr(self.name, "user.cubby.revision")) < event["first"]:
            self.seen = self.sets

    def finish(self):
        self.read()


class Locker:
    """Reads, adds and writes under a lock; others do too."""

    def __init__(self, top, count, way):
        self.name = top
        self.count = count
        self.way = way
        self.done = 0
        fd = os.open(top, os.O_RDWR | os.O_CREAT, 0o644)
        os.close(fd)
        self.fd = os.open(top, os.O_RDWR)

    def step(self, random):
        self.way(self.fd, fcntl.LOCK_EX)
        old = int(os.pread(self.fd, 50, 0) or b"0")
        os.pwrite(self.fd, b"%d" % (old + 1), 0)
        self.way(self.fd, fcntl.LOCK_UN)
        self.done += 1
        time.sleep(0.001)

    def finish(self):
        with open(self.count, "w") as f:
            f.write("%d" % self.done)


class LockFile:
    """Takes an expiring lock made by mkdir, and adds to a plain file under it."""

    def __init__(self, top, plain):
        self.lock = top
        self.plain = plain

    def step(self, random):
        try:
            os.mkdir(self.lock)
        except FileExistsError:
            time.sleep(0.002)
            return
        with open(self.plain, "r+") as f:
            value, mine = int(f.read() or "0"), 1
            f.seek(0)
            f.write("%d" % (value + mine))
        os.rmdir(self.lock)

    def finish(self):
        pass


# --- running them ----------------------------------------------------------------------

def client(make, seconds, seed):
    """A process that does steps for so long; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.alarm(0)
        rng = random.Random(seed)
        random.seed(seed)
        c = make()
        end = time.monotonic() + seconds
        steps = 0
        while time.monotonic() < end:
            c.step(rng)
            steps += 1
        c.finish()
        print("# %s: %d steps" % (type(c).__name__, steps))
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


@deadline(60 + 4 * SECONDS)
@options("compact_min=2M")
def test_killed_every_200_ms(m):
    seed = random.randrange(1 << 30)
    print("# seed %d" % seed)
    plain = m.scratch.path("plain")
    with open(plain, "w") as f:
        f.write("0")
    counts = [m.scratch.path("count%d" % i) for i in range(6)]
    os.setxattr(m.path("locks"), "user.cubby.lock_ttl", b"60")
    makers = [
        lambda: Setter(m.path("set")),
        lambda: Appender(m.path("append")),
        lambda: Incrementer(m.path("number"), counts[0]),
        lambda: Incrementer(m.path("number"), counts[1]),
        lambda: Maker(m.path("make")),
        lambda: Renamer(m.path("rename")),
        lambda: Lister(m.path("list")),
        lambda: Watcher(m.path("watched"), m.dir),
        lambda: Locker(m.path("locked"), counts[2], fcntl.flock),
        lambda: Locker(m.path("locked"), counts[3], fcntl.flock),
        lambda: Locker(m.path("ranges"), counts[4], fcntl.lockf),
        lambda: Locker(m.path("ranges"), counts[5], fcntl.lockf),
        lambda: LockFile(m.path("locks", "one"), plain),
        lambda: LockFile(m.path("locks", "one"), plain),
    ]
    clients = [client(make, SECONDS, seed + i) for i, make in enumerate(makers)]
    kills = kill_every(m, INTERVAL, SECONDS)
    failed = [pid for pid in clients if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != 0]
    equal(failed, [], "clients that failed")
    check(kills >= SECONDS, "only %d kills" % kills)

    def number(path):
        with open(path) as f:
            return int(f.read() or "0")
    equal(number(m.path("number")), number(counts[0]) + number(counts[1]), "the sum")
    equal(number(m.path("locked")), number(counts[2]) + number(counts[3]), "the count under flock")
    equal(number(m.path("ranges")), number(counts[4]) + number(counts[5]), "the count under fcntl")
    equal(os.listdir(m.path("locks")), [], "locks")
    stats = m.stats()
    equal(sum(stats["damage"].values()) - stats["damage"]["torn_bytes"], 0, "damage")
    print("# %d kills, revision %d" % (kills, stats["revision"]))
    before = m.scratch.path("before")
    subprocess.run(["rsync", "-aX", "--exclude", "/locks", m.dir + "/", before + "/"], check=True)
    m.remount()
    left = subprocess.run(["rsync", "-aXn", "--checksum", "--itemize-changes", "--exclude", "/locks",
                           before + "/", m.dir + "/"], check=True, capture_output=True, text=True)
    equal(left.stdout, "", "differences after a remount")


if __name__ == "__main__":
    main(globals())
