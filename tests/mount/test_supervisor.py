#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What a client holds when the worker dies or is replaced, thing by thing; and when the
supervisor gives up."""
import contextlib
import errno
import fcntl
import json
import mmap
import os
import re
import resource
import select
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import inotify
from harness import (CUBBYFS, Failure, Mount, check, children, deadline, equal, is_mounted, main,
                     mount_only, options, raises, unmounted, wait_for)
from worker import kill_and_wait, kill_worker


def ways(test):
    """The same by kill -9 and by replacement."""
    def both(m):
        for turn, change in enumerate((kill_and_wait, replace)):
            top = m.path("turn%d" % turn)
            os.mkdir(top)
            os.chdir(top)
            try:
                test(m, lambda: change(m))
            finally:
                os.chdir("/")
    both.mount_only = True
    both.deadline = 120
    both.mount_options = getattr(test, "mount_options", ())
    return both


def replace(m):
    r = subprocess.run([CUBBYFS, "--replace", m.dir], capture_output=True, text=True, timeout=60)
    equal((r.returncode, r.stderr), (0, ""), "--replace")
    check("has taken over" in r.stdout, r.stdout)


@contextlib.contextmanager
def variable(name, value):
    """In the environment of what is started meanwhile."""
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


def read(name):
    with open(name, "rb") as f:
        return f.read()


def write(name, value):
    with open(name, "wb") as f:
        f.write(value)


def in_thread(call):
    """Begins a call that waits; join() tells its result, or raises what it raised."""
    result = {}

    def run():
        try:
            result["value"] = call()
        except BaseException as e:
            result["error"] = e
    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def join(seconds=20):
        thread.join(seconds)
        check(not thread.is_alive(), "the call has not returned after %g s" % seconds)
        if "error" in result:
            raise result["error"]
        return result["value"]
    return join


def waits_for(fd):
    """Whether a thread of ours is in a call on that descriptor (proc_pid_syscall(5))."""
    for task in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/syscall" % task) as f:
            words = f.read().split()
        if len(words) > 1 and int(words[1], 16) == fd:
            return True
    return False


# --- what is open ------------------------------------------------------------------

@ways
def test_staged_bytes(m, change):
    """Half of a value is written, and a TTL and an attribute set, before; the rest after."""
    write("k", b"old")
    fd = os.open("k", os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"first ")
    os.setxattr(fd, "user.note", b"n")
    os.setxattr(fd, "user.cubby.ttl", b"100")
    os.utime(fd, ns=(5, 7))
    change()
    equal(read("k"), b"old", "the value that others see")
    equal(os.fstat(fd).st_size, 6, "the size that the writer sees")
    os.write(fd, b"second")
    change()
    os.close(fd)
    equal(read("k"), b"first second", "the value")
    equal(os.getxattr("k", "user.note"), b"n", "the attribute")
    check(90 < float(os.getxattr("k", "user.cubby.ttl")) <= 100, "the TTL")
    equal(os.getxattr("k", "user.cubby.version"), b"2", "version: one change")


@ways
def test_a_large_stage(m, change):
    """Written here and there, cut, made longer."""
    model = bytearray(300000)
    fd = os.open("k", os.O_RDWR | os.O_CREAT)
    for i in range(40):
        piece = os.urandom(1 + 997 * i % 9000)
        at = i * 7919 % 290000
        os.pwrite(fd, piece, at)
        model[at:at + len(piece)] = piece
        if i == 20:
            os.ftruncate(fd, 200000)
            os.ftruncate(fd, 310000)
            model = model[:200000] + bytearray(110000)
            change()
    model = model[:max(len(model), 310000)]
    equal(os.pread(fd, 400000, 0), bytes(model), "what the writer reads")
    os.close(fd)
    equal(read("k"), bytes(model), "the value")


@ways
def test_truncated_only(m, change):
    write("k", b"old")
    fd = os.open("k", os.O_WRONLY | os.O_TRUNC)
    change()
    equal(read("k"), b"old", "before the close")
    os.close(fd)
    wait_for(lambda: read("k") == b"", 10, "the empty value")


@ways
def test_a_key_that_is_being_made(m, change):
    fd = os.open("new", os.O_WRONLY | os.O_CREAT, 0o640)
    os.fchmod(fd, 0o604)
    os.setxattr(fd, "user.a", b"1")
    ino = os.fstat(fd).st_ino
    child = subprocess.run(["ls", "-A", "."], capture_output=True, text=True)
    equal(child.stdout, "", "others' listing")
    change()
    child = subprocess.run(["ls", "-A", "."], capture_output=True, text=True)
    equal(child.stdout, "", "others' listing")
    os.write(fd, b"v")
    os.close(fd)
    equal(read("new"), b"v", "the value")
    st = os.stat("new")
    equal((st.st_mode & 0o777, st.st_ino), (0o604, ino), "mode and number")
    equal(os.getxattr("new", "user.a"), b"1", "the attribute")


@ways
def test_removed_and_open(m, change):
    """A key that has no name any more is read, written and measured by who has it open."""
    write("k", b"value")
    fd = os.open("k", os.O_RDWR)
    os.unlink("k")
    change()
    equal(os.pread(fd, 10, 0), b"value", "the value")
    equal(os.fstat(fd).st_nlink, 0, "links")
    os.pwrite(fd, b"VALUES", 0)
    os.fsync(fd)
    change()
    equal(os.pread(fd, 10, 0), b"VALUES", "the value")
    os.ftruncate(fd, 3)
    equal(os.pread(fd, 10, 0), b"VAL", "the value")
    os.close(fd)
    equal(os.listdir("."), [], "names")


@ways
def test_replaced_and_open(m, change):
    """The same where another key was renamed over it."""
    write("k", b"old" * 1000)
    write("other", b"new")
    reader = os.open("k", os.O_RDONLY)
    equal(os.read(reader, 10), (b"old" * 1000)[:10], "its beginning")
    os.rename("other", "k")
    change()
    equal(os.read(reader, 5000), (b"old" * 1000)[10:], "its rest")
    equal(read("k"), b"new", "the name's value")
    os.close(reader)


@ways
def test_one_pass_sees_one_value(m, change):
    old, new = os.urandom(500000), os.urandom(400000)
    write("k", old)
    fd = os.open("k", os.O_RDONLY)
    got = os.read(fd, 100000)
    write("k", new)
    change()
    write("k", b"newest")
    while True:
        piece = os.read(fd, 100000)
        if not piece:
            break
        got += piece
    equal(got, old, "what the pass has read")
    equal(os.pread(fd, 100, 0), b"newest", "a new pass")
    os.close(fd)


@ways
def test_following_what_is_appended(m, change):
    """As tail -f does: at the end, and more comes."""
    write("log", b"1\n")
    fd = os.open("log", os.O_RDONLY)
    got = os.read(fd, 100) + os.read(fd, 100)
    for i in range(2, 6):
        with open("log", "ab") as f:
            f.write(b"%d\n" % i)
        if i % 2:
            change()
        got += os.read(fd, 100)
    equal(got, b"1\n2\n3\n4\n5\n", "what was followed")
    os.close(fd)


@ways
def test_appending(m, change):
    fd = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for i in range(5):
        os.write(fd, b"%d\n" % i)
        if i % 2:
            change()
        equal(read("log"), b"".join(b"%d\n" % j for j in range(i + 1)), "lines")
    os.close(fd)


@ways
def test_a_mapping(m, change):
    write("k", b"." * 8192)
    fd = os.open("k", os.O_RDWR)
    with mmap.mmap(fd, 8192) as page:
        page[0:5] = b"first"
        page.flush()
        change()
        page[4096:4102] = b"second"
        page.flush()
        equal(page[0:5], b"first", "what the mapping shows")
    os.close(fd)
    equal(read("k"), b"first" + b"." * 4091 + b"second" + b"." * 4090, "the value")


@ways
def test_directories(m, change):
    """One that is open, one that is somebody's working directory."""
    for i in range(3000):
        os.mkdir("name%04d" % i)
    os.mkdir("work")
    names = []
    os.chdir("work")
    with os.scandir("..") as entries:
        for n, entry in enumerate(entries):
            names.append(entry.name)
            if n == 100:
                change()
    equal(len(names), len(set(names)), "names twice")
    equal(sorted(names), ["name%04d" % i for i in range(3000)] + ["work"], "names")
    write("k", b"v")
    os.chdir("..")
    equal(read("work/k"), b"v", "made in the working directory")
    fd = os.open("work", os.O_RDONLY | os.O_DIRECTORY)
    change()
    equal(os.listdir(fd), ["k"], "through a descriptor")
    equal(os.stat("k", dir_fd=fd).st_size, 1, "through a descriptor")
    os.close(fd)


def compact(m):
    """Sets a large key until what is replaced outweighs all that there is."""
    before = m.stats()["log"]["compactions"]

    def done():
        write(m.path("ballast"), b"." * (1 << 20))
        return m.stats()["log"]["compactions"] > before
    wait_for(done, 60, "a compaction")


@ways
@options("compact_min=64K")
def test_a_listing_over_a_compaction(m, change):
    """The next worker knows the names from a snapshot, which has them in an order of its own."""
    names = ["name%04d" % i for i in range(5000)]
    for name in names:
        os.mkdir(name)
    found = []
    with os.scandir(".") as entries:
        for n, entry in enumerate(entries):
            found.append(entry.name)
            if n % 1500 == 700:
                compact(m)
                change()
                os.mkdir("extra%d" % n)
    found = [name for name in found if not name.startswith("extra")]
    equal(len(found), len(set(found)), "names twice")
    equal(sorted(found), names, "names")


@ways
def test_control_files(m, change):
    stats = os.open(m.path(".cubby", "stats"), os.O_RDONLY)
    journal = os.open(m.path(".cubby", "journal"), os.O_RDONLY)
    begin = os.read(stats, 10)
    os.pread(journal, 100, 0)
    write("k", b"findme")
    change()
    json.loads((begin + os.read(stats, 1 << 20)).decode())
    text = b""
    while True:
        piece = os.pread(journal, 1 << 16, len(text))
        if not piece:
            break
        text += piece
    check(b"findme" in text, "the journal does not tell of the set")
    os.close(stats)
    os.close(journal)


# --- locks -------------------------------------------------------------------------

@ways
def test_advisory_locks(m, change):
    """Held, they stay held; who waits waits on, and gets them in the end."""
    write("k", b"x" * 100)
    held = os.open("k", os.O_RDWR)
    other = os.open("k", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    fcntl.lockf(held, fcntl.LOCK_EX, 50, 0)
    fcntl.lockf(held, fcntl.LOCK_UN, 10, 20)
    change()
    with raises(errno.EAGAIN, "flock"):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def try_range(start):
        code = ("import fcntl, os\nfd = os.open('k', os.O_RDWR)\ntry:\n"
                "    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, %d)\n"
                "    print('free')\nexcept OSError as e: print(e.errno)" % start)
        r = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        return r.stdout.strip()
    equal([try_range(at) for at in (0, 19, 20, 29, 30, 49, 50)],
          ["11", "11", "free", "free", "11", "11", "free"], "ranges")
    waiting = in_thread(lambda: fcntl.flock(other, fcntl.LOCK_EX))
    change()
    os.write(held, b"under the lock")
    fcntl.flock(held, fcntl.LOCK_UN)
    waiting()
    equal(os.pread(other, 14, 0), b"under the lock", "what was published")
    fcntl.flock(other, fcntl.LOCK_UN)
    os.close(held)
    os.close(other)
    equal(try_range(0), "free", "after the close")


@ways
def test_a_waiter_that_is_killed(m, change):
    write("k", b"")
    held = os.open("k", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    waiter = subprocess.Popen(["flock", "k", "true"])
    wait_for(lambda: m.stats()["lock_waiters"] == 1, 10, "a waiter")
    change()
    wait_for(lambda: m.stats()["lock_waiters"] == 1, 10, "a waiter once more")
    waiter.kill()
    equal(waiter.wait(20), -signal.SIGKILL, "the waiter's end")
    wait_for(lambda: m.stats()["lock_waiters"] == 0, 10, "none")
    os.close(held)


@ways
def test_lock_files(m, change):
    """A lock file has its token and holder, and ends when it is due."""
    os.mkdir("locks")
    os.setxattr("locks", "user.cubby.lock_ttl", b"1.5")
    os.mkdir("locks/a")
    begin = time.monotonic()
    token = os.getxattr("locks/a", "user.cubby.token")
    holder = os.getxattr("locks/a", "user.cubby.holder")
    change()
    equal(os.getxattr("locks/a", "user.cubby.token"), token, "the token")
    equal(os.getxattr("locks/a", "user.cubby.holder"), holder, "the holder")
    with raises(errno.EEXIST):
        os.mkdir("locks/a")
    wait_for(lambda: not os.path.exists("locks/a"), 10, "the end of the lock")
    check(1.4 < time.monotonic() - begin, "the lock has ended early")


@ways
def test_kept_alive(m, change):
    """A lock that is kept alive by its maker outlives its TTL, and ends after the maker."""
    os.mkdir("locks")
    os.setxattr("locks", "user.cubby.lock_ttl", b"0.5")
    os.setxattr("locks", "user.cubby.lock_keepalive", b"1")
    maker = subprocess.Popen(["sh", "-c", "set -C; : > locks/a && read x"], stdin=subprocess.PIPE)
    wait_for(lambda: os.path.exists("locks/a"), 10, "the lock")
    change()
    time.sleep(1.0)     # time is what is tested: it would have ended by now
    check(os.path.exists("locks/a"), "the lock has ended while its maker lives")
    maker.communicate(b"\n")
    wait_for(lambda: not os.path.exists("locks/a"), 10, "the end of the lock")


# --- watching -------------------------------------------------------------------------

class Stream:
    def __init__(self, m, **filter):
        self.fd = os.open(m.path(".cubby", "events"), os.O_RDWR | os.O_CLOEXEC)
        os.write(self.fd, json.dumps(filter).encode() + b"\n")
        self.rest = b""

    def lines(self, count, size=1 << 16):
        lines = []
        while len(lines) < count:
            check(select.select([self.fd], [], [], 20)[0], "nothing comes")
            *whole, self.rest = (self.rest + os.read(self.fd, size)).split(b"\n")
            lines += [json.loads(line) for line in whole]
        return lines

    def close(self):
        os.close(self.fd)


@ways
def test_event_streams(m, change):
    """Each event once, in order, whether it is read in pieces, waited for or polled for."""
    top = os.path.basename(os.getcwd())
    s = Stream(m, pattern=top + "/*")
    write("a", b"1")
    equal([e["new_value"] for e in s.lines(1)], ["1"], "values")
    write("a", b"2" * 5000)
    piece = os.read(s.fd, 100)      # a line in pieces, and a change in the middle of it
    write("b", b"3")
    change()
    s.rest = piece
    equal([e["new_value"] for e in s.lines(2, 77)], ["2" * 5000, "3"], "values")
    waiting = in_thread(lambda: os.read(s.fd, 4096))
    change()
    write("c", b"4")
    equal(json.loads(waiting())["new_value"], "4", "the value that was waited for")
    polling = in_thread(lambda: select.select([s.fd], [], [], 20)[0])
    change()
    write("d", b"5")
    equal(polling(), [s.fd], "poll")
    equal([e["new_value"] for e in s.lines(1)], ["5"], "values")
    # several lines of one revision, one read
    os.rename("a", "e")
    first = s.lines(1, 200)
    change()
    rest = s.lines(1) if len(first) < 2 else []
    equal([(e["event_type"], e["key"]) for e in first + rest],
          [("deleted", "a"), ("created", "e")], "the events of a rename")
    s.close()


@ways
def test_what_expired_meanwhile_is_told(m, change):
    """Keys that end while there is no worker, or as it dies: an IN_DELETE each, and one only."""
    count = 50
    with inotify.Inotify() as watch:
        watch.add(".", inotify.DELETE)
        for i in range(count):
            write("k%d" % i, b"v")
            os.setxattr("k%d" % i, "user.cubby.ttl", b"%f" % (0.2 + 0.02 * i))
        end = time.monotonic() + 20
        seen = []
        turns = 0
        while len(seen) < count and time.monotonic() < end:
            if turns < 3:
                change()
                turns += 1
            seen += [e.name for e in watch.read(0.1)]
        seen += [e.name for e in watch.read(0.2)]
    equal(sorted(seen), sorted(b"k%d" % i for i in range(count)), "ends that were told")


@ways
def test_watches_stay(m, change):
    write("k", b"1")
    with inotify.Inotify() as watch:
        watch.add("k", inotify.CLOSE_WRITE | inotify.MODIFY)
        for i in range(3):
            change()
            write("k", b"%d" % i)
            os.setxattr("k", "user.cubby.increment", b"1")
            wait_for(lambda: any(e.has(inotify.CLOSE_WRITE) for e in watch.read(0.2)), 10,
                     "an event")


# --- calls that wait for the disk ---------------------------------------------------------

@mount_only
@options("sync")
def test_synced_closes(m):
    for i in range(20):
        done = in_thread(lambda: write(m.path("k%d" % i), b"v"))
        kill_worker(m)
        done()
        equal(m.read("k%d" % i), b"v", "value")


# --- the supervisor --------------------------------------------------------------------

@mount_only
def test_deaths_one_after_the_other(m):
    """A worker that crashes again and again: after five times the mount is taken away."""
    m.write("k", "v")
    for i in range(5):
        pid = m.worker
        os.kill(pid, signal.SIGSEGV)
        wait_for(lambda: children(m.pid) != [pid] or m.process.poll() is not None, 10, "its end")
        if i < 4:
            equal(m.read("k"), b"v", "value after %d deaths" % (i + 1))
    equal(m.process.wait(20), 2, "the exit status")
    m.process = None
    check(not is_mounted(m.dir), "it is still mounted")
    log = m.read_log()
    check("was ended by signal 11" in log and "unmounting " + m.dir in log, log)
    m.start()
    equal(m.read("k"), b"v", "value in a new mount")


@mount_only
@unmounted
def test_killed_as_soon_as_it_is_mounted(scratch):
    """A worker whose mount has been seen is restarted like any other."""
    m = Mount(scratch, scratch.path("store"), scratch.path("mnt"), [])

    def kill():
        wait_for(lambda: is_mounted(m.dir), 20, "the mount", pause=0)
        os.kill(m.worker, signal.SIGSEGV)

    for i in range(10):
        killed = in_thread(kill)
        m.start()
        killed()
        m.write("k", "v")
        wait_for(lambda: m.read_log().count("starting another") == i + 1, 20, "another worker")
        m.unmount()


@mount_only
def test_a_store_that_is_lost_meanwhile(m):
    """No worker can open it: calls that wait fail in the end, and the mount is taken away."""
    m.write("k", "v")
    os.rename(m.store, m.store + ".away")
    with open(m.store, "w") as f:
        f.write("no store")
    kill_worker(m)
    with raises(errno.ENOTCONN, "a call that waited"):
        try:
            os.stat(m.path("k"))
        except OSError as e:
            if e.errno in (errno.ECONNABORTED, errno.ENOENT):
                raise OSError(errno.ENOTCONN, "") from e
            raise
        equal(os.path.exists(m.path("k")), False, "it is there")
    equal(m.process.wait(20), 2, "the exit status")
    m.process = None
    check(not is_mounted(m.dir), "it is still mounted")


@mount_only
@unmounted
def test_memory_stores_end_with_their_worker(scratch):
    m = scratch.mount(store="memory:")
    m.write("k", "v")
    kill_worker(m)
    equal(m.process.wait(20), 2, "the exit status")
    m.process = None
    check("the store with it" in m.read_log(), m.read_log())
    check(not is_mounted(m.dir), "it is still mounted")


@mount_only
def test_the_supervisor_is_killed(m):
    """Then the worker ends too, and the store is free for another daemon."""
    m.write("k", "v")
    worker = m.worker
    m.kill()
    wait_for(lambda: not os.path.exists("/proc/%d" % worker), 10, "the end of the worker")
    m.start()
    equal(m.read("k"), b"v", "value")


@mount_only
def test_the_end_between_two_workers(m):
    """SIGTERM and umount while there is no worker."""
    for way in "umount", "signal":
        m.write("k", way)
        kill_worker(m)
        if way == "umount":
            m.unmount()
        else:
            m.process.send_signal(signal.SIGTERM)
            equal(m.process.wait(20), 0, "the exit status")
            m.process = None
        check(not is_mounted(m.dir), "it is still mounted")
        m.start()
        equal(m.read("k").decode(), way, "value")


@mount_only
def test_nothing_piles_up(m):
    """Descriptors and memory of both processes, and the keep's, after many deaths."""
    m.write("k", "v" * 1000)
    held = [os.open(m.path("k"), os.O_RDONLY) for _ in range(10)]

    def used(pid):
        with open("/proc/%d/status" % pid) as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
        return len(os.listdir("/proc/%d/fd" % pid)), rss
    kill_and_wait(m)
    before = used(m.pid), used(m.worker)
    for i in range(30):
        kill_and_wait(m)
        m.write("k", "%d" % i * 1000)
    after = used(m.pid), used(m.worker)
    print("# descriptors and KiB: supervisor %r to %r, worker %r to %r"
          % (before[0], after[0], before[1], after[1]))
    for b, a in zip(before, after):
        check(a[0] <= b[0] and a[1] < b[1] + 2048, "from %r to %r" % (b, a))
    for fd in held:
        os.close(fd)


# --- replacement ----------------------------------------------------------------------------

@mount_only
@unmounted
def test_a_new_program(scratch):
    """After an upgrade: the file is another one. One that does not work changes nothing."""
    program = scratch.path("cubbyfs")
    directory = scratch.path("mnt")
    os.mkdir(directory)
    subprocess.run(["cp", CUBBYFS, program], check=True)
    with open(scratch.path("log"), "wb") as log:
        daemon = subprocess.Popen([program, scratch.path("store"), directory, "-f"],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(lambda: is_mounted(directory), 20, "the mount")
        write(directory + "/k", b"v")

        def install(content):
            temporary = program + ".new"
            if content is None:
                subprocess.run(["cp", CUBBYFS, temporary], check=True)
            else:
                with open(temporary, "w") as f:
                    f.write(content)
            os.chmod(temporary, 0o755)
            os.rename(temporary, program)

        def ask():
            return subprocess.run([CUBBYFS, "--replace", directory], capture_output=True,
                                  text=True, timeout=90)
        install(None)
        r = ask()
        equal((r.returncode, r.stderr), (0, ""), "--replace")
        worker = children(daemon.pid)[-1]
        equal(os.stat("/proc/%d/exe" % worker).st_ino, os.stat(program).st_ino, "its program")
        for broken in "#!/bin/false\n", "no program at all":
            install(broken)
            fd = os.open(directory + "/k", os.O_WRONLY | os.O_TRUNC)
            os.write(fd, b"kept")
            ask()
            os.close(fd)
            equal(read(directory + "/k"), b"kept", "value")
        os.unlink(program)
        ask()
        equal(read(directory + "/k"), b"kept", "value")
        log = read(scratch.path("log"))
        check(b"going on with the program that was there" in log, log)
    finally:
        subprocess.run(["umount", "-l", directory])
        daemon.wait(20)


def stopped_candidate(m):
    """A new worker that hangs before it has come to answer."""
    for _ in range(50):
        old = m.worker
        os.kill(m.pid, signal.SIGHUP)
        new = wait_for(lambda: [p for p in children(m.pid) if p != old], 10, "a candidate", pause=0)
        try:
            os.kill(new[-1], signal.SIGSTOP)
        except ProcessLookupError:
            continue
        # Answers what waits, or will not.
        look = in_thread(lambda: m.read("k"))
        try:
            look(0.5)
        except Failure:
            return new[-1], look
        os.kill(new[-1], signal.SIGCONT)
    raise Failure("each candidate has come to answer before it was stopped")


@mount_only
@unmounted
def test_a_new_program_that_hangs(scratch):
    """Calls go on with the old one; and the end does not wait for ever."""
    with variable("CUBBYFS_TEST_PATIENCE", "2"):
        m = scratch.mount()
    m.write("k", "v")
    pid, look = stopped_candidate(m)
    equal(look(), b"v", "value")
    check("does not answer" in m.read_log() and "program that was there" in m.read_log(), m.read_log())
    pid, look = stopped_candidate(m)
    m.process.terminate()
    equal(m.process.wait(20), 2, "the exit status")
    m.process = None
    try:
        look()
    except OSError as e:
        check(e.errno in (errno.ENOTCONN, errno.ECONNABORTED), e)
    else:
        raise Failure("a call that nobody answered has succeeded")
    check("the worker does not answer; unmounting" in m.read_log(), m.read_log())


@mount_only
@unmounted
def test_a_limit_of_file_sizes(scratch):
    """One of the shell that mounts is none of the keep's."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, before[1]))
    try:
        m = scratch.mount(options=["max_value=16M"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    value = os.urandom(10 << 20)
    for i in range(3):
        with open(m.path("k"), "wb") as f:
            f.write(value)
            f.flush()
            kill_and_wait(m)
        equal(m.read("k") == value, True, "the value that was staged")


@mount_only
def test_replace_says_what_is_wrong(m):
    for directory, words in (("/nonexistent", "not a cubbyfs mount"), ("/tmp", "not a cubbyfs mount")):
        r = subprocess.run([CUBBYFS, "--replace", directory], capture_output=True, text=True)
        equal(r.returncode, 2, "status")
        check(words in r.stderr and r.stderr.count("\n") == 1, r.stderr)
    # What a directory says of itself is not believed, nor what somebody else's mount does.
    victim = subprocess.Popen(["sleep", "60"], user=65534)
    try:
        fake = m.scratch.path("fake")
        os.makedirs(fake + "/.cubby")
        stats = dict(m.stats(), supervisor=victim.pid)
        write(fake + "/.cubby/stats", json.dumps(stats).encode())
        for mount in (False, True):
            if mount:
                subprocess.run(["mount", "--bind", fake, fake], check=True)
            r = subprocess.run([CUBBYFS, "--replace", fake], capture_output=True, text=True)
            equal(r.returncode, 2, "status")
            check("not a cubbyfs mount" in r.stderr, r.stderr)
        subprocess.run(["umount", fake], check=True)
        subprocess.run(["mount", "--bind", fake + "/.cubby/stats", m.path(".cubby/stats")], check=True)
        r = subprocess.run([CUBBYFS, "--replace", m.dir], capture_output=True, text=True)
        subprocess.run(["umount", m.path(".cubby/stats")], check=True)
        equal((r.returncode, "is said to hold" in r.stderr), (2, True), r.stderr)
        equal(victim.poll(), None, "the process that was named")
    finally:
        victim.kill()
        victim.wait()
    r = subprocess.run([CUBBYFS, "--replace"], capture_output=True, text=True)
    equal(r.returncode, 1, "status")
    check("DIR is needed" in r.stderr, r.stderr)


# --- kernels before 6.9 -----------------------------------------------------------------

@mount_only
@unmounted
def test_a_kernel_that_cannot_resend(scratch):
    """The restart happens; a call that was under way fails with EIO, and hangs not."""
    with variable("CUBBYFS_TEST_NO_RESEND", "1"):
        m = scratch.mount()
    m.write("k", "v")
    fd = os.open(m.path("k"), os.O_RDWR)
    os.write(fd, b"staged")
    lock = os.open(m.path("k"), os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    waiting = in_thread(lambda: fcntl.flock(fd, fcntl.LOCK_EX))
    events = os.open(m.path(".cubby", "events"), os.O_RDONLY)
    reading = in_thread(lambda: os.read(events, 100))
    wait_for(lambda: waits_for(events), 10, "a reader")
    # What is answered was asked after the read, so that has been noted.
    wait_for(lambda: m.stats()["lock_waiters"] == 1, 10, "a waiter")
    kill_and_wait(m)
    for call in waiting, reading:
        with raises(errno.EIO, "a call that was under way"):
            call()
    check("before Linux 6.9" in m.read_log(), m.read_log())
    os.close(fd)
    equal(m.read("k"), b"staged", "what was staged before")
    os.close(lock)
    os.close(events)


if __name__ == "__main__":
    main(globals())
