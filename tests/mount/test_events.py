#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""`.cubby/events`: what a stream tells, how it is filtered and resumed, how it is
waited for, and that it never loses or repeats an event without saying so."""
import base64
import errno
import json
import os
import random
import re
import select
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import check, deadline, equal, main, mount_only, options, raises, unmounted, wait_for
from crew import LONG, Crew


class Stream:
    """A stream that is read without waiting, but for get()."""

    def __init__(self, m, first=None, **filter):
        self.fd = os.open(m.path(".cubby/events"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.rest = bytearray()
        if filter or first is not None:
            os.write(self.fd, first if first is not None else json.dumps(filter).encode() + b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def read(self, size=1 << 16):
        """What is there, b"" if there is nothing yet; None at the end."""
        try:
            return os.read(self.fd, size) or None
        except BlockingIOError:
            return b""

    def take(self, piece):
        self.rest += piece
        if b"\n" not in piece:
            return []
        lines = self.rest.split(b"\n")
        self.rest = bytearray(lines.pop())
        return [json.loads(line) for line in lines]

    def get(self, count, seconds=20):
        """At least so many messages."""
        end = time.monotonic() + seconds
        got = []
        while len(got) < count:
            left = end - time.monotonic()
            check(left > 0, "%d messages, wanted %d: %r" % (len(got), count, got))
            select.select([self.fd], [], [], left)
            piece = self.read()
            check(piece is not None, "the stream has ended")
            got += self.take(piece)
        return got

    def exactly(self, count):
        """So many, and no more."""
        got = self.get(count) if count else []
        time.sleep(0.05)
        got += self.take(self.read())
        equal(len(got), count, "messages %r" % got)
        return got


def path_of(e):
    return "/".join(filter(None, [e["scope"], e["key"]]))


def short(e):
    if e["message_type"] == "lost":
        return ("lost", e["from"], e["first"])
    return (e["event_type"], path_of(e), e["old_value"], e["new_value"])


def value_of(text):
    """The bytes."""
    if text is None:
        return None
    return base64.b64decode(text["base64"]) if isinstance(text, dict) else text.encode()


def revision(m):
    return m.stats()["revision"]


# --- what is told ---------------------------------------------------------------

@mount_only
def test_each_event(m):
    with Stream(m) as s:
        before = time.time()
        m.write("a", "1")
        e, = s.exactly(1)
        at = e.pop("at")
        check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", at), at)
        equal(e, {"message_type": "state", "event_type": "created", "scope": "", "key": "a",
                  "old_value": None, "new_value": "1", "revision": int(m.get("a", "revision")),
                  "by": os.getuid()})
        check(abs(time.time() - before) < 10, "time")
        m.write("a", "2")
        equal([short(e) for e in s.exactly(1)], [("updated", "a", "1", "2")])
        m.set("a", "increment", 5)
        equal([short(e) for e in s.exactly(1)], [("updated", "a", "2", "7")])
        os.setxattr(m.path("a"), "user.cubby.action", b"because")
        e, = s.exactly(1)
        equal(e["action"], "because")
        os.chmod(m.path("a"), 0o600)
        equal([short(e) for e in s.exactly(1)], [("updated", "a", "7", "7")])
        os.unlink(m.path("a"))
        equal([short(e) for e in s.exactly(1)], [("deleted", "a", "7", None)])
        os.mkdir(m.path("n"))
        e, = s.exactly(1)
        equal(short(e) + (e["namespace"],), ("created", "n", None, None, True))
        os.symlink("to", m.path("n/l"))
        e, = s.exactly(1)
        equal(short(e) + (e["scope"], e["key"]), ("created", "n/l", None, "to", "n", "l"))
        fd = os.open(m.path("n/x"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        equal([short(e) for e in s.exactly(1)], [("created", "n/x", None, "")])
        os.write(fd, b"later")
        equal(s.exactly(0), [])
        os.close(fd)
        equal([short(e) for e in s.exactly(1)], [("updated", "n/x", "", "later")])
        with open(m.path("n/x"), "ab", buffering=0) as f:
            f.write(b"!")
            f.write(b"?")
        equal([short(e) for e in s.exactly(2)],
              [("updated", "n/x", "later", "later!"), ("updated", "n/x", "later!", "later!?")])


@mount_only
def test_by(m):
    os.chmod(m.dir, 0o777)
    with Stream(m) as s:
        subprocess.run(["setpriv", "--reuid=1234", "--clear-groups", "touch", m.path("k")], check=True)
        equal(s.get(1)[0]["by"], 1234)


@mount_only
def test_rename_is_two(m):
    m.write("a", "1")
    m.write("b", "2")
    os.makedirs(m.path("d/e"))
    m.write("d/e/k", "3")
    with Stream(m) as s, Stream(m, pattern="a") as from_only, Stream(m, pattern="b") as to_only:
        os.rename(m.path("a"), m.path("c"))
        one, two = s.exactly(2)
        equal([short(one), short(two)], [("deleted", "a", "1", None), ("created", "c", None, "1")])
        equal(one["revision"], two["revision"])
        equal([one.get("more"), two.get("more")], [True, None])
        os.rename(m.path("c"), m.path("b"))
        equal([short(e) for e in s.exactly(2)],
              [("deleted", "c", "1", None), ("updated", "b", "2", "1")])
        # To the one who gets only a part, that is all of it.
        for each in from_only, to_only:
            e, = each.exactly(1)
            check("more" not in e, e)
        os.rename(m.path("d"), m.path("f"))
        got = s.exactly(6)
        equal([short(e)[:2] for e in got],
              [("deleted", "d/e/k"), ("deleted", "d/e"), ("deleted", "d"),
               ("created", "f"), ("created", "f/e"), ("created", "f/e/k")])
        equal([e.get("more") for e in got], [True] * 5 + [None])
    with Stream(m, pattern="[abc]", since=0) as s:      # the same from the log
        equal([(e["revision"], "more" in e) for e in s.exactly(6)][2:],
              [(one["revision"], True), (one["revision"], False),
               (one["revision"] + 1, True), (one["revision"] + 1, False)])


@mount_only
def test_hard_links(m):
    m.write("a", "1")
    os.link(m.path("a"), m.path("b"))
    with Stream(m) as s:
        m.write("b", "2")
        one, two = s.exactly(2)
        equal([short(one), short(two)], [("updated", "a", "1", "2"), ("updated", "b", "1", "2")])
        check(one["more"] and "more" not in two, "more")


@mount_only
def test_expired(m):
    with Stream(m) as s:
        m.write("k", "v")
        m.set("k", "ttl", 0.1)
        m.write("l", "v")
        m.set("l", "ttl", 0)
        got = s.exactly(6)
        equal(sorted(short(e) for e in got if e["event_type"] == "expired"),
              [("expired", "k", "v", None), ("expired", "l", "v", None)])


@mount_only
def test_any_bytes(m):
    name = b"n\xff\n\x01"
    value = bytes(range(256))
    with Stream(m) as s:
        for v in value, "käse\0\"\\\n".encode(), b"":
            with open(m.path("").encode() + name, "wb") as f:
                f.write(v)
        got = s.exactly(3)
        equal([value_of(e["new_value"]) for e in got], [value, "käse\0\"\\\n".encode(), b""])
        equal([value_of(e["old_value"]) for e in got], [None, value, "käse\0\"\\\n".encode()])
        equal({value_of(e["key"]) for e in got}, {name})
        check(isinstance(got[1]["new_value"], str), "text stays text")


@mount_only
@options("max_value=16M")
def test_larger_than_the_buffer(m):
    value = os.urandom(9 << 20)
    with Stream(m) as s:
        m.write("k", value)
        e, = s.get(1)
        equal(value_of(e["new_value"]) == value, True)
        m.write("k", "s")
        e, = s.get(1)
        equal(value_of(e["old_value"]) == value, True)


# --- filters --------------------------------------------------------------------

@mount_only
def test_patterns(m):
    os.makedirs(m.path("config/db"))
    os.makedirs(m.path("x"))
    names = ["config/a", "config/db/b", "config.txt", "x/y", "z"]
    wanted = {
        "config/*": ["config/a"],
        "/config/*": ["config/a"],
        "config.*": ["config/a", "config/db/b", "config.txt"],
        "config/**": ["config/a", "config/db/b"],
        "**/b": ["config/db/b"],
        "[xz]*": ["z"],
        "?/y": ["x/y"],
        "**": names,
        "none": [],
    }
    streams = {p: Stream(m, pattern=p) for p in wanted}
    nothing = Stream(m, first=b"{}")
    for n in names:
        m.write(n, n)
    for p, s in streams.items():
        equal([path_of(e) for e in s.exactly(len(wanted[p]))], wanted[p], p)
        os.close(s.fd)
    equal(len(nothing.exactly(len(names))), len(names))
    os.close(nothing.fd)


@mount_only
def test_bad_filter(m):
    with Stream(m) as s:
        for line in (b"x\n", b"\n", b"[]\n", b'"a"\n', b'{"pattern":1}\n', b'{"since":-1}\n',
                     b'{"since":"1"}\n', b'{"since":1.5}\n', b'{"pattern":""}\n', b'{"other":1}\n',
                     b'{"pattern":"a"}\n{"pattern":"b"}\n', b'{"pattern":"a"', b'{"pattern":"a\\u0000"}\n',
                     b'{"since":9223372036854775807}\n', b'{"since":18446744073709551615}\n',
                     json.dumps({"pattern": "a" * 5000}).encode(), b'{"pattern":"a"} x\n'):
            with raises(errno.EINVAL, repr(line)):
                os.write(s.fd, line)
        m.write("a", "1")
        equal(len(s.exactly(1)), 1)         # as it was
        with raises(errno.EBUSY):
            os.write(s.fd, b'{"pattern":"b"}\n')
        m.write("a", "2")
        equal(len(s.exactly(1)), 1)
    with Stream(m, pattern="a", since=0) as s:      # the last one counts
        os.write(s.fd, b'{"pattern":"b"}')
        m.write("a", "3")
        m.write("b", "3")
        equal([short(e) for e in s.exactly(1)], [("created", "b", None, "3")])
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY)
    with raises(errno.EBADF):
        os.write(fd, b"{}")
    with raises(errno.ESPIPE):
        os.lseek(fd, 0, os.SEEK_SET)
    with raises(errno.ESPIPE):
        os.pread(fd, 1, 0)
    os.close(fd)


@mount_only
def test_the_file(m):
    st = os.stat(m.path(".cubby/events"))
    equal((oct(st.st_mode), st.st_uid, st.st_size), ("0o100600", os.getuid(), 0))
    check("events" in os.listdir(m.path(".cubby")), "not listed")
    subprocess.run("echo '{}' > %s" % m.path(".cubby/events"), shell=True, check=True)
    for f in (lambda p: os.unlink(p), lambda p: os.chmod(p, 0o666), lambda p: os.truncate(p, 0)):
        with raises(errno.EPERM):
            f(m.path(".cubby/events"))
    r = subprocess.run(["setpriv", "--reuid=1234", "--clear-groups", "cat", m.path(".cubby/events")],
                       capture_output=True)
    check(r.returncode, "others may read it")


@mount_only
def test_too_many(m):
    streams = []
    with raises(errno.EMFILE):
        for i in range(300):
            streams.append(os.open(m.path(".cubby/events"), os.O_RDONLY))
    equal(len(streams), 256)
    for fd in streams:
        os.close(fd)
    wait_for(lambda: subprocess.run(["test", "-e", m.path("x")]).returncode == 1, 5)
    with Stream(m) as s:
        m.write("a", "1")
        equal(len(s.get(1)), 1)


@mount_only
def test_too_many_from_the_log(m):
    for c in "xyz":             # more than what is read ahead of who does not read
        m.write("k", c * 400000)
    m.remount()                 # so that nothing of it is in the ring
    streams = [os.open(m.path(".cubby/events"), os.O_RDWR) for i in range(17)]
    for fd in streams[:16]:
        os.write(fd, b'{"since":0,"pattern":"k"}\n')
    with raises(errno.ENOBUFS, "the 17th"):
        os.write(streams[16], b'{"since":0}\n')
    # as it was: it has what comes from now on
    m.write("n", "v")
    check(b'"key":"n"' in os.read(streams[16], 65536), "the refused one")
    for fd in streams[:2]:
        os.close(fd)

    def another():
        fd = os.open(m.path(".cubby/events"), os.O_RDWR)
        try:
            os.write(fd, b'{"since":0}\n')
            return True
        except OSError as e:
            equal(e.errno, errno.ENOBUFS)
            return False
        finally:
            os.close(fd)
    wait_for(another, 20, "room for another")
    for fd in streams[2:]:
        os.close(fd)


# --- resuming -------------------------------------------------------------------

def past(m, since, count, **more):
    with Stream(m, since=since, **more) as s:
        return s.exactly(count)


@mount_only
def test_since(m):
    start = revision(m)
    with Stream(m) as s:
        for i in range(20):
            m.write("k%d" % (i % 3), str(i))
        live = s.exactly(20)
    for since in list(range(start, start + 21)) + [0]:
        begin = max(since, start) - start
        equal(past(m, since, 20 - begin), live[begin:], "since %d" % since)
    equal(past(m, 0, 7, pattern="k1"), [e for e in live if e["key"] == "k1"])
    m.remount()             # no buffer any more
    for since in (0, start, start + 7, start + 19, start + 20):
        begin = max(since, start) - start
        equal(past(m, since, 20 - begin), live[begin:], "since %d" % since)
    with Stream(m, since=start + 18) as s:
        m.write("new", "1")
        equal([short(e) for e in s.exactly(3)][1:], [short(live[19]), ("created", "new", None, "1")])
    now = revision(m)
    equal([short(e) for e in past(m, now + 10, 1)], [("lost", now + 11, now + 1)])


@mount_only
@options("compact_min=64K", "segment_size=64K")
def test_since_compacted(m):
    m.write("k", "0")
    first = revision(m)
    with Stream(m) as along:
        def busy():
            for i in range(100):
                m.write("k", "x" * 1000 + str(i))
            along.take(along.read(1 << 20))
            return m.stats()["log"]["compactions"] > 1
        wait_for(busy, 60, "compaction")
    m.remount([])       # and no compaction any more
    with Stream(m, since=first) as s:
        lost = s.get(1)
        equal(lost[0]["message_type"], "lost")
        equal(lost[0]["from"], first + 1)
        available = lost[0]["first"]
        check(first + 1 < available <= revision(m) + 1, lost[0])
        m.write("k", "last")
        got = lost[1:]
        while not got or got[-1]["new_value"] != "last":
            got += s.get(1)
    equal([e["revision"] for e in got], list(range(available, revision(m) + 1)))
    for a, b in zip(got, got[1:]):
        equal(a["new_value"], b["old_value"])
    # What is left is there without a loss.
    equal(past(m, available - 1, len(got)), got)


@mount_only
@unmounted
def test_memory_has_no_past(scratch):
    m = scratch.mount(store="memory:")
    m.write("a", "1")
    now = revision(m)
    with Stream(m, since=0) as s:
        m.write("a", "2")
        equal([short(e) for e in s.exactly(2)], [("lost", 1, now + 1), ("updated", "a", "1", "2")])
        equal([short(e) for e in past(m, now, 1)], [("updated", "a", "1", "2")])


@mount_only
def test_hand_over(m):
    """From the log to the live events, while changes go on."""
    for i in range(3000):
        m.write("k%d" % (i % 7), str(i))
    def write():
        for i in range(3000):
            m.write("k%d" % (i % 7), "x%d" % i)
    m.remount()
    start = revision(m)
    with Crew() as crew:
        crew.fork(write)
        streams = [Stream(m, since=since) for since in (0, start - 100, start)]
        got = [[] for _ in streams]
        while crew.look() or any(e[-1]["new_value"] != "x2999" for e in got):
            for s, events in zip(streams, got):
                select.select([s.fd], [], [], 0.01)
                events += s.take(s.read())
        crew.join()
    for s, events, since in zip(streams, got, (1, start - 100, start)):
        equal([e["revision"] for e in events], list(range(since + 1, start + 3001)))
        os.close(s.fd)


# --- waiting --------------------------------------------------------------------

@mount_only
def test_blocking(m):
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY)
    with Crew() as crew:
        crew.fork(os.read, fd, 1 << 16)
        time.sleep(0.2)
        check(crew.look() == 1, "did not wait")
        start = time.monotonic()
        m.write("a", "1")
        line, = crew.join()
        check(time.monotonic() - start < 2, "late")
        equal(short(json.loads(line)), ("created", "a", None, "1"))
    os.close(fd)


@mount_only
def test_interrupted(m):
    class Interrupt(Exception):
        pass

    def handler(*_):
        raise Interrupt
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY)
    old = signal.signal(signal.SIGUSR1, handler)
    with Crew() as crew:
        me = os.getpid()

        def shoot():
            time.sleep(0.2)
            os.kill(me, signal.SIGUSR1)
        for i in range(5):
            crew.fork(shoot)
            try:
                os.read(fd, 100)
                check(False, "read something")
            except Interrupt:
                pass
            crew.join()
        m.write("a", "1")       # it has lost nothing
        equal(short(json.loads(os.read(fd, 4096))), ("created", "a", None, "1"))
        # A reader that is killed leaves nothing behind.
        pid = crew.fork(os.read, fd, 100)
        time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT), 5, "its end")
    signal.signal(signal.SIGUSR1, old)
    m.write("a", "2")
    equal(short(json.loads(os.read(fd, 4096))), ("updated", "a", "1", "2"))
    os.close(fd)


@mount_only
def test_nonblocking(m):
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY | os.O_NONBLOCK)
    with raises(errno.EAGAIN):
        os.read(fd, 100)
    m.write("a", "1")
    check(os.read(fd, 4096), "nothing")
    with raises(errno.EAGAIN):
        os.read(fd, 100)
    os.close(fd)


@mount_only
def test_poll(m):
    fd = os.open(m.path(".cubby/events"), os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, b'{"pattern":"b"}\n')
    p, e = select.poll(), select.epoll()
    p.register(fd, select.POLLIN)
    e.register(fd, select.EPOLLIN)
    equal(p.poll(0), [])
    equal(e.poll(0), [])
    equal(select.select([fd], [], [], 0)[0], [])
    with Crew() as crew:
        def later():
            time.sleep(0.2)
            m.write("a", "1")       # not for us
            time.sleep(0.2)
            m.write("b", "1")
        for wait in (lambda: p.poll(5000), lambda: e.poll(5), lambda: select.select([fd], [], [], 5)[0]):
            crew.fork(later)
            start = time.monotonic()
            check(wait(), "nothing came")
            took = time.monotonic() - start
            check(0.3 < took < 3, "after %g s" % took)
            equal(select.select([fd], [], [], 0)[0], [fd])
            check(os.read(fd, 4096), "nothing")
            equal(p.poll(0), [])
            equal(e.poll(0), [])
            crew.join()
    # From the log, too.
    with Stream(m, since=0) as s:
        equal(select.select([s.fd], [], [], 5)[0], [s.fd])
    with open(m.path("a")) as f:        # a key is always ready
        equal(select.select([f], [], [], 0)[0], [f])
    e.close()
    os.close(fd)


@mount_only
def test_small_reads(m):
    """A line in pieces, and whole lines where they fit."""
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY | os.O_NONBLOCK)
    for i in range(10):
        m.write("k", "v%d" % i)
    text = b""
    for i in range(10000):
        try:
            piece = os.read(fd, 7)
        except BlockingIOError:
            break
        check(0 < len(piece) <= 7, "piece")
        text += piece
    lines = [json.loads(line) for line in text.decode().splitlines()]
    equal([e["new_value"] for e in lines], ["v%d" % i for i in range(10)])
    for i in range(10):
        m.write("k", "w%d" % i)
    for i in range(3):
        piece = os.read(fd, 500)
        check(piece.endswith(b"\n"), "a part of a line")
    os.close(fd)


@mount_only
def test_large_reads(m):
    """A read(2) of many pages returns what there is, and does not wait for more."""
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY)
    total = 0
    for i in range(40):
        m.write("k", os.urandom(75000))
    for size in (1 << 20, 131072, 65536, 8 << 20, 4096, 16 << 20):
        piece = os.read(fd, size)
        check(piece, "the end")
        total += len(piece)
    check(total > 1 << 20, total)
    os.close(fd)


@mount_only
def test_two_streams(m):
    with Stream(m) as a:
        m.write("k", "1")
        with Stream(m) as b:
            m.write("k", "2")
            equal([e["new_value"] for e in a.exactly(2)], ["1", "2"])
            equal([e["new_value"] for e in b.exactly(1)], ["2"])
            m.write("k", "3")
            equal(a.exactly(1), b.exactly(1))


@mount_only
def test_tools(m):
    run = dict(shell=True, cwd=m.dir, stdout=subprocess.PIPE, timeout=30)
    with Crew() as crew:
        def later():
            time.sleep(0.3)
            m.write("a", "1")
            m.write("a", "2")
        crew.fork(later)
        out = subprocess.run("head -1 .cubby/events", **run).stdout
        equal(short(json.loads(out)), ("created", "a", None, "1"))
        crew.join()
        crew.fork(later)
        r = subprocess.run("timeout 1 cat .cubby/events", **run)
        equal(r.returncode, 124)
        equal([json.loads(line)["new_value"] for line in r.stdout.splitlines()], ["1", "2"])
        crew.join()
        # A shell reads a pipe, or what is like one, without reading ahead.
        out = subprocess.run(["bash", "-c", """exec 3<>.cubby/events
            echo '{"since":0,"pattern":"a"}' >&3
            while read -r line; do
                echo "$line"
                case $line in *'"new_value":"2"'*) exit;; esac
            done <&3"""], **{**run, "shell": False}).stdout
        equal([json.loads(line)["new_value"] for line in out.splitlines()], ["1", "2"])


# --- too slow -------------------------------------------------------------------

def check_gapless(got):
    """Every revision once, in order; what is not there is said to be lost."""
    after = None
    lost = 0
    for e in got:
        if e["message_type"] == "lost":
            check(after is None or e["from"] == after, "lost from %d, had all up to %s" % (e["from"], after))
            check(e["first"] > e["from"], e)
            after = e["first"]
            lost += 1
        else:
            check(after is None or e["revision"] == after, "revision %d, wanted %s" % (e["revision"], after))
            after = e["revision"] + 1
    return lost, after


@mount_only
def test_slow_reader(m):
    with Stream(m) as slow, Stream(m) as fast:
        start = revision(m)
        got = []
        fast_got = []
        m.write("k", "first")
        got += slow.get(1)
        for i in range(40):
            m.write("k", b"%d" % i + b"x" * 500000)
            fast_got += fast.take(fast.read(1 << 20) + fast.read(1 << 20))
        m.write("k", "last")
        while fast_got[-1]["new_value"] != "last":
            fast_got += fast.get(1)
        equal(check_gapless(fast_got), (0, start + 43))
        while got[-1].get("new_value") != "last":
            got += slow.get(1)
        equal(check_gapless(got), (1, start + 43))
        # In the middle of a line: that is read to its end first.
        for i in range(2):
            m.write("k", "A" * 100000)
        part = slow.read(1000)
        for i in range(40):
            m.write("k", b"%d" % i + b"x" * 500000)
        got = slow.take(part)
        m.write("k", "last")
        while not got or got[-1].get("new_value") != "last":
            got += slow.get(1)
        equal(got[0]["new_value"], "A" * 100000)
        equal(check_gapless(got)[0], 1)


@mount_only
def test_large_namespace_moves(m):
    """One revision of many events."""
    os.mkdir(m.path("d"))
    for i in range(2000):
        m.write("d/%d" % i, "v")
    with Stream(m) as s:
        os.rename(m.path("d"), m.path("e"))
        got = s.get(4002)
        equal(len(got), 4002)
        equal([e.get("more") for e in got], [True] * 4001 + [None])
        equal(len({e["revision"] for e in got}), 1)


# --- the end --------------------------------------------------------------------

@mount_only
def test_end_of_the_daemon(m):
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY)
    with Crew() as crew:
        crew.fork(os.read, fd, 100)
        crew.fork(select.select, [fd], [], [], 30)
        time.sleep(0.2)
        os.close(fd)
        start = time.monotonic()
        m.process.send_signal(signal.SIGTERM)
        line, polled = crew.join(10)
        equal(line, b"")
        check(polled[0], "poll was not woken")
        equal(m.process.wait(10), 0)
        check(time.monotonic() - start < 5, "the daemon's end took long")
        m.process = None


@mount_only
def test_umount(m):
    for i in range(10):
        with Stream(m) as s:
            m.write("a", str(i))
            s.get(1)
        m.remount()


@mount_only
def test_lazy_umount(m):
    """Who waits is told, so that the store is free for the next mount."""
    fd = os.open(m.path(".cubby/events"), os.O_RDONLY)
    with Crew() as crew:
        crew.fork(os.read, fd, 100)
        os.close(fd)
        time.sleep(0.1)
        subprocess.run(["umount", "-l", m.dir], check=True)
        equal(crew.join(10), [b""])
        equal(m.process.wait(10), 0)
        m.process = None
    m.start()
    with Stream(m) as s:
        m.write("a", "1")
        s.get(1)


# --- a crowd --------------------------------------------------------------------

def follow(m, out):
    """Appends events to a file, from after the last revision that it has whole; as a
    program does that may be killed at any moment."""
    with open(out, "r+b") as f:
        lines = f.read().split(b"\n")[:-1]
        while lines and b',"more":true}' in lines[-1][-20:]:
            lines.pop()
        f.truncate(sum(len(line) + 1 for line in lines))
        f.seek(0, os.SEEK_END)
        since = json.loads(lines[-1])["revision"] if lines else 0
        fd = os.open(m.path(".cubby/events"), os.O_RDWR)
        os.write(fd, json.dumps({"since": since}).encode() + b"\n")
        while True:
            piece = os.read(fd, 1 << 16)
            f.write(piece)
            f.flush()


def change(m, seed, count):
    """Random changes, each of which is one revision or fails."""
    r = random.Random(seed)
    for i in range(count):
        a, b = (m.path("n%d" % r.randrange(2), "k%d" % r.randrange(30)) for _ in "ab")
        try:
            what = r.randrange(10)
            if what < 5:
                with open(a, "w") as f:
                    f.write("%d.%d" % (seed, i))
            elif what < 6:
                with open(a, "a") as f:
                    f.write("+%d" % i)
            elif what < 8:
                os.unlink(a)
            elif what < 9:
                os.rename(a, b)
            else:
                os.setxattr(a, "user.cubby.ttl", b"%g" % r.choice([0, 0.05]))
        except OSError as e:
            check(e.errno in (errno.ENOENT, errno.EEXIST, errno.ESTALE), "change: %s" % e)


def merged(events):
    """An append that also cancels a TTL is one event, however many lines it has."""
    out = []
    for what, path, old, new in events:
        if out and out[-1][1] == path and what == "updated":
            what, _, old, _ = out.pop()
        out.append((what, path, old, new))
    return out


def journal(m):
    """For each revision what its events must be, as the journal tells it."""
    names, values = {}, {}      # path: ino; ino: value

    def put(text):
        return text if text is None else value_of(text)
    with open(m.path(".cubby/journal")) as f:
        for line in f:
            t = json.loads(line)
            events = []
            for c in t.get("changes", [t]):
                path, ino, op = c.get("path", ""), c["ino"], c["op"]
                if ino == 1:
                    continue
                old = values.get(ino)
                if op in ("put", "append"):
                    if stat.S_ISDIR(int(c.get("mode", "0"), 8)):
                        events.append(("created", path, None, None))
                        continue
                    if op == "append":
                        values[ino] = (old or b"") + put(c["value"])
                    elif "value" in c or ino not in values:
                        values[ino] = put(c.get("value", ""))
                    if names.get(path) == ino:
                        events.append(("updated", path, old, values[ino]))
                    else:
                        events.append(("created", path, None, values[ino]))
                        names[path] = ino
                elif op in ("remove", "expire"):
                    equal(names.pop(path), ino)
                    events.append(("deleted" if op == "remove" else "expired", path, values.pop(ino), None))
                elif op == "rename":
                    equal(names.pop(path), ino)
                    events.append(("deleted", path, values[ino], None))
                    there = names.get(c["to"])
                    if there is None:
                        events.append(("created", c["to"], None, values[ino]))
                    else:
                        events.append(("updated", c["to"], values.pop(there), values[ino]))
                    names[c["to"]] = ino
                else:
                    check(False, "unexpected %s" % line)
            if events:
                yield t["rev"], merged(events)


@mount_only
@deadline(600)
@options("compact_min=1G")
def test_crowd_kill_and_resume(m):
    count = (50000 if LONG else 5000) // 4
    out = m.scratch.path("out")
    open(out, "w").close()
    os.mkdir(m.path("n0"))
    os.mkdir(m.path("n1"))
    r = random.Random(1)
    kills = 0
    with Crew() as crew:
        for seed in range(4):
            crew.fork(change, m, seed, count)
        while kills < 20 or crew.look():
            pid = os.fork()
            if pid == 0:
                try:
                    signal.alarm(0)
                    follow(m, out)
                finally:
                    os._exit(1)
            time.sleep(r.random() * (0.5 if LONG else 0.1))
            os.kill(pid, signal.SIGKILL)
            equal(os.waitpid(pid, 0)[1], signal.SIGKILL, "the reader's end")
            kills += 1
        crew.join()
    wait_for(lambda: m.stats()["keys_with_ttl"] == 0, 10, "expiry")
    last = revision(m)
    pid = os.fork()
    if pid == 0:
        try:
            follow(m, out)
        finally:
            os._exit(1)
    try:
        wait_for(lambda: b'"revision":%d,' % last in subprocess.run(
            ["tail", "-n", "1", out], capture_output=True).stdout, 60, "the last revision")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    told = {}
    order = []
    with open(out) as f:
        for line in f:
            e = json.loads(line)
            check(e["message_type"] == "state", line)
            if e["revision"] not in told:
                order.append(e["revision"])
            told.setdefault(e["revision"], []).append(
                (e["event_type"], path_of(e), value_of(e["old_value"]), value_of(e["new_value"])))
    equal(order, list(range(2, last + 1)), "revisions")
    wanted = dict(journal(m))
    for rev in order:
        equal(sorted(told[rev], key=repr), sorted(wanted[rev], key=repr), "revision %d" % rev)
    print("# %d revisions, killed %d times" % (last, kills))


if __name__ == "__main__":
    main(globals())
