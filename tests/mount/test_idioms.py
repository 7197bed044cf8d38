#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""The ways in which people set a file, each beside a poller.

The poller opens and reads the key, looks at its size, at the listing and
through a handle that it keeps, without a pause. It must see the old value and
then the final one and nothing else, or, of a key that is new, no key and then
the final value. And each set is one revision. (Item 2 of the issue.)

An idiom that takes several steps calls $PAUSE between them, a program that
returns once the poller has looked three times more: no timing, no luck.
"""
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import PLAIN, Skip, check, equal, main, wait_for
from crew import Crew, numbers

POLLS, DONE = 0, 1
MOST = 100              # what a poller notes of each kind


class Bench:
    """A mount with the pause in it: the two fifos and the program."""

    def __init__(self, m):
        self.m = m
        self.ask, self.told, self.pause_path = (
            m.scratch.path(n) for n in ("ask", "told", "pause"))
        os.mkfifo(self.ask)
        os.mkfifo(self.told)
        with open(self.pause_path, "w") as f:
            f.write('#!/bin/sh\necho > "%s"\nread _ < "%s"\n' % (self.ask, self.told))
        os.chmod(self.pause_path, 0o755)
        home = m.scratch.path("home")
        os.mkdir(home)
        self.environment = dict(os.environ, PAUSE=self.pause_path, HOME=home,
                                TERM="dumb", LC_ALL="C")

    def pause(self):
        subprocess.run([self.pause_path], check=True)

    def shell(self, text, shell="bash", directory=None):
        """Runs it in the mount, with what it needs of names and pauses."""
        command = ["busybox", "sh"] if shell == "busybox" else [shell]
        r = subprocess.run(command + ["-c", text], env=self.environment,
                           cwd=directory or self.m.dir, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        equal((r.returncode, r.stderr), (0, ""), "status and stderr of %r" % text)


def look(m, name, kept):
    """All ways to look at a key once: (kind, what was seen)."""
    path = m.path(name)
    yield "listed", name in os.listdir(m.dir)
    try:
        yield "size", os.stat(path).st_size
    except FileNotFoundError:
        yield "size", None
    try:
        with open(path, "rb", buffering=0) as f:
            yield "value", f.read()
    except FileNotFoundError:
        yield "value", None
    if kept is not None:
        yield "kept", os.pread(kept, 1 << 20, 0)


def poll(bench, name, shared):
    """The poller. Returns per kind what it saw, without repetitions."""
    m = bench.m
    ask = os.open(bench.ask, os.O_RDWR | os.O_NONBLOCK)
    told = os.open(bench.told, os.O_RDWR)
    kept = os.open(m.path(name), os.O_RDONLY) if os.path.exists(m.path(name)) else None
    seen = {"listed": [], "size": [], "value": [], "kept": []}
    owed = 0                    # looks until the one who asked is told
    while True:
        done = shared[DONE]
        for kind, what in look(m, name, kept):
            if len(seen[kind]) < MOST and seen[kind][-1:] != [what]:
                seen[kind].append(what)
        shared[POLLS] += 1
        if owed:
            owed -= 1
            if not owed:
                os.write(told, b"\n")
        else:
            try:
                os.read(ask, 1)
                owed = 3
            except BlockingIOError:
                pass
        if done:
            return seen


def within(seen, allowed):
    """seen is allowed, in that order, with things left out."""
    rest = iter(allowed)
    return all(any(one == other for other in rest) for one in seen)


def expect(bench, old, final, action, between=(), revisions=1, name="k"):
    """Carries out the action beside a poller.

    old: None where the key is not to exist. between: what a local file system
    shows too, where the idiom itself goes through it. revisions: by how much
    `version` must grow, None where the idiom makes a file of its own."""
    m = bench.m
    path = m.path(name)
    if os.path.lexists(path):
        os.unlink(path)
    if old is not None:
        m.write(name, old)
    before = 0 if old is None or PLAIN else int(m.get(name, "version"))
    revision = 0 if old is None or PLAIN else int(m.get(name, "revision"))
    shared = numbers(2)

    def polls_more(count):
        wanted = shared[POLLS] + count
        wait_for(lambda: shared[POLLS] >= wanted or not crew.look(), 20, "the poller")

    with Crew() as crew:
        crew.fork(poll, bench, name, shared)
        polls_more(2)
        action()
        # the action has returned: the final value is what there is
        equal(m.read(name), final, "value right after")
        equal(os.stat(path).st_size, len(final), "size right after")
        polls_more(2)
        shared[DONE] = 1
        seen = crew.join()[0]
    steps = [old, *between, final]
    allowed = {
        "value": steps,
        "size": [None if s is None else len(s) for s in steps],
        "listed": [s is not None for s in steps],
    }
    for kind, sequence in allowed.items():
        check(within(seen[kind], sequence) and seen[kind][-1] == sequence[-1],
              "%s seen: %.300r, allowed: %.300r" % (kind, seen[kind], sequence))
    check(within(seen["kept"], steps), "seen through a kept handle: %.300r, allowed: %.300r"
          % (seen["kept"], steps))
    if not PLAIN:
        if revisions is not None:
            equal(int(m.get(name, "version")) - before, revisions, "revisions of one set")
        check(int(m.get(name, "revision")) > revision, "the revision did not grow")


OLD = b"the old value\n"


def both(bench, final, action, **more):
    """Over an existing key and making a new one."""
    for old in (OLD, None):
        try:
            expect(bench, old, final, action, **more)
        except Exception as e:
            e.args = ("%s: %s" % ("new key" if old is None else "existing key", e),)
            raise


# One command, nothing to stop it at: so several times.
def test_echo(m):
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        for turn in range(4):
            text = "%s %d" % (shell, turn)
            both(bench, text.encode() + b"\n", lambda: bench.shell("echo %s > k" % text, shell))


def test_external_echo(m):
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        both(bench, b"v\n", lambda: bench.shell("/bin/echo v > k", shell))


def test_group(m):
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        both(bench, b"a\nb\n", lambda: bench.shell(
            '{ /bin/echo a; "$PAUSE"; /bin/echo b; } > k', shell))
        both(bench, b"a\nb\n", lambda: bench.shell('{ echo a; "$PAUSE"; echo b; } > k', shell))


def test_group_with_a_redirected_builtin(m):
    """`echo warning >&2` inside the group: the shell itself moves k's descriptor
    away and back, and so closes a duplicate of it, in the process that opened it,
    with bytes staged. It still has k open, so that is not the close."""
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        both(bench, b"a\nb\n", lambda: bench.shell(
            '{ echo a; echo warning > /dev/null; "$PAUSE"; echo b; } > k', shell))


def test_subshell(m):
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        both(bench, b"a\nb\n", lambda: bench.shell('(echo a; "$PAUSE"; echo b) > k', shell))
        both(bench, b"a\nb\n", lambda: bench.shell(
            '(/bin/echo a; "$PAUSE"; /bin/echo b) > k', shell))


def test_loop(m):
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        both(bench, b"1\n2\n3\n", lambda: bench.shell(
            'for i in 1 2 3; do echo $i; "$PAUSE"; done > k', shell))


def test_tee(m):
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        tee = "busybox tee" if shell == "busybox" else "tee"
        both(bench, b"a\nb\n", lambda: bench.shell(
            '(/bin/echo a; "$PAUSE"; /bin/echo b) | %s k' % tee, shell))


def test_here_document(m):
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        both(bench, b"a\nb\n", lambda: bench.shell("cat > k <<E\na\nb\nE\n", shell))


def test_dd(m):
    bench = Bench(m)
    both(bench, b"\0" * 5000, lambda: bench.shell("dd if=/dev/zero of=k bs=100 count=50 2>&1"))


def test_python_with_open(m):
    bench = Bench(m)

    def act():
        with open(m.path("k"), "w") as f:
            f.write("a" * 20000)        # more than the buffer: several write(2)s
            f.flush()
            bench.pause()
            f.write("b")
    both(bench, b"a" * 20000 + b"b", act)


def test_python_update_in_place(m):
    """No O_TRUNC: the staged bytes begin with the old value."""
    bench = Bench(m)

    def act():
        with open(m.path("k"), "r+b") as f:
            f.write(b"THE")
            f.flush()
            bench.pause()
            f.seek(0, os.SEEK_END)
            f.write(b"more")
    expect(bench, OLD, b"THE" + OLD[3:] + b"more", act)


def test_subprocess_stdout(m):
    """A child inherits the descriptor, and its end commits nothing."""
    bench = Bench(m)

    def act(command):
        with open(m.path("k"), "w") as f:
            subprocess.run(command, stdout=f, check=True, env=bench.environment)
            bench.pause()
            subprocess.run(command, stdout=f, check=True, env=bench.environment)
    both(bench, b"a\na\n", lambda: act(["/bin/echo", "a"]))
    both(bench, b"a\nb\n" * 2, lambda: act(
        ["sh", "-c", 'echo a; "$PAUSE"; echo b']))


def test_fork_without_exec(m):
    """A forked child writes, closes and ends; then its parent closes."""
    bench = Bench(m)

    def act():
        fd = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, b"parent\n")
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                os.write(fd, b"child\n")
                os.close(fd)
                os._exit(0)
            equal(os.waitpid(pid, 0)[1], 0, "status of the child")
            bench.pause()
        os.close(fd)
    both(bench, b"parent\nchild\nchild\n", act)


def test_threads(m):
    """One thread opens, another writes, a third closes; the first is still there
    or is not."""
    bench = Bench(m)

    def act(opener_stays):
        state = {}
        leave = threading.Event()
        opened = threading.Event()

        def opener():
            state["fd"] = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(state["fd"], b"a\n")
            opened.set()
            if opener_stays:
                leave.wait(20)

        def in_thread(function):
            thread = threading.Thread(target=function)
            thread.start()
            thread.join(20)

        first = threading.Thread(target=opener)
        first.start()
        opened.wait(20)
        if not opener_stays:
            first.join(20)
        bench.pause()
        in_thread(lambda: os.write(state["fd"], b"b\n"))
        bench.pause()
        in_thread(lambda: os.close(state["fd"]))
        equal(m.read("k"), b"a\nb\n", "value right after the thread closed")
        leave.set()
        first.join(20)
    both(bench, b"a\nb\n", lambda: act(True))
    both(bench, b"a\nb\n", lambda: act(False))


def test_end_without_close(m):
    """The process that opened the handle ends, or is killed: that is a close."""
    bench = Bench(m)

    def act(how):
        pid = os.fork()
        if pid == 0:
            fd = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(fd, b"a\n")
            bench.pause()
            os.write(fd, b"b\n")
            if how is None:
                os._exit(0)
            os.kill(os.getpid(), how)
        os.waitpid(pid, 0)
    both(bench, b"a\nb\n", lambda: act(None))
    both(bench, b"a\nb\n", lambda: act(signal.SIGKILL))


def test_child_outlives_opener(m):
    """The opener's end commits what is there; the rest follows with the last
    descriptor, as a second revision."""
    bench = Bench(m)

    def act():
        path = m.path("k")
        middle, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.write(fd, b"a\n")
            if os.fork() == 0:
                os.close(writer)
                os.read(middle, 1)      # until the parent has seen the first
                os.write(fd, b"b\n")
                os._exit(0)
            os._exit(0)
        os.close(middle)
        os.waitpid(pid, 0)
        equal(m.read("k"), b"a\n", "value after the opener's end")
        bench.pause()
        os.close(writer)
        # nobody can be waited for here: the child is not ours any more
        wait_for(lambda: m.read("k") == b"a\nb\n", 10, "the rest")
    both(bench, b"a\nb\n", act, between=[b"a\n"], revisions=2)


def test_fsync_then_close(m):
    """fsync commits; a close with nothing more to commit adds no revision."""
    bench = Bench(m)

    def act():
        fd = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(fd, b"a\n")
        bench.pause()
        os.write(fd, b"b\n")
        os.fsync(fd)
        equal(m.read("k"), b"a\nb\n", "value after fsync")
        os.close(fd)
    both(bench, b"a\nb\n", act)


def test_colon(m):
    """`: > k`: there is never a byte to commit, yet a close commits the nothing."""
    bench = Bench(m)
    for shell in ("bash", "dash", "busybox"):
        for _ in range(3):
            both(bench, b"", lambda: bench.shell(": > k", shell))
    # what comes next must find it, each time
    bench.shell("""
        i=0
        while [ $i -lt 100 ]; do
            echo v > k
            [ "$(cat k)" = v ] || { echo "$i: not v" >&2; exit 1; }
            : > k
            [ -s k ] && { echo "$i: not empty" >&2; exit 1; }
            i=$((i + 1))
        done""")


def test_truncate(m):
    bench = Bench(m)
    both(bench, b"", lambda: bench.shell("truncate -s 0 k"))
    expect(bench, OLD, OLD[:3], lambda: bench.shell("truncate -s 3 k"))
    expect(bench, OLD, OLD + b"\0\0", lambda: bench.shell("truncate -s +2 k"))
    expect(bench, OLD, b"", lambda: os.truncate(m.path("k"), 0))
    expect(bench, OLD, OLD[:3], lambda: os.truncate(m.path("k"), 3))


def test_cp(m):
    """coreutils' cp makes a new file exclusively, so that one exists, empty, until
    it is written: on any file system, and two revisions here. busybox's doesn't."""
    bench = Bench(m)
    source = m.scratch.path("source")
    with open(source, "wb") as f:
        f.write(b"from outside " * 30000)
    final = b"from outside " * 30000
    expect(bench, OLD, final, lambda: bench.shell("cp %s k" % source))
    expect(bench, None, final, lambda: bench.shell("cp %s k" % source), between=[b""],
           revisions=2)
    both(bench, final, lambda: bench.shell("busybox cp %s k" % source))
    m.write("inside", b"x" * 70000)
    expect(bench, OLD, b"x" * 70000, lambda: bench.shell("cp inside k"))
    expect(bench, OLD, b"x" * 70000, lambda: bench.shell("cat inside > k"))


def test_mv(m):
    """The key is then another file: its version is that file's, and says nothing."""
    bench = Bench(m)

    def act(command):
        m.write("tmp", b"final")
        bench.shell(command)
    for command in ("mv tmp k", "mv -f tmp k", "busybox mv -f tmp k"):
        both(bench, b"final", lambda: act(command), revisions=None)
    os.mkdir(m.path("d"))
    both(bench, b"final", lambda: act("mv tmp d/ && mv d/tmp k"), revisions=None)


def test_atomic_write(m):
    """mkstemp, write, fsync, rename: what libraries do."""
    bench = Bench(m)

    def act():
        fd = os.open(m.path(".k.tmp"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, b"final")
        os.fchmod(fd, 0o644)
        os.fsync(fd)
        os.close(fd)
        os.rename(m.path(".k.tmp"), m.path("k"))
    both(bench, b"final", act, revisions=None)


def test_rename_before_close(m):
    """sed -i and others rename a file that is still open: what it holds is staged,
    and the name must not show less."""
    bench = Bench(m)

    def act():
        fd = os.open(m.path(".k.tmp"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, b"final")
        os.close(fd)
        fd = os.open(m.path(".k.tmp"), os.O_WRONLY | os.O_TRUNC)
        os.write(fd, b"later")
        os.rename(m.path(".k.tmp"), m.path("k"))
        bench.pause()
        os.close(fd)
    both(bench, b"later", act, between=[b"final"], revisions=None)


def test_sed(m):
    """A temporary file and a rename; with a suffix the old file is renamed away
    first, so that for a moment there is none, on any file system."""
    bench = Bench(m)
    text = OLD * 2000
    for command, steps in (("sed -i s/old/new/ k", []),
                           ("sed -i.bak s/old/new/ k", [None]),
                           ("busybox sed -i s/old/new/ k", [])):
        expect(bench, text, text.replace(b"old", b"new"), lambda: bench.shell(command),
               between=steps, revisions=None)
    equal(m.read("k.bak"), text, "the backup")


def test_vim(m):
    """backupcopy=yes writes over the key, =no renames it away first, so that for a
    moment there is none, on any file system. vim sets mode and ACL too, so that
    the version says nothing about the sets."""
    if not shutil.which("vim"):
        raise Skip("no vim")
    bench = Bench(m)
    command = ("vim -u NONE -N -i NONE -es -c 'set backupskip= %s' -c 'call setline(1, \"final\")'"
               " -c w -c 'call append(1, \"more\")' -c w -c q k")
    for setting, steps in (("nowritebackup", [b"final\n"]),
                           ("writebackup backupcopy=yes", [b"final\n"]),
                           ("writebackup backupcopy=no", [None, b"final\n", None])):
        expect(bench, OLD, b"final\nmore\n", lambda: bench.shell(command % setting),
               between=steps, revisions=None)
        expect(bench, None, b"final\nmore\n", lambda: bench.shell(command % setting),
               between=[b"final\n", *steps[2:]], revisions=None)
    equal([n for n in os.listdir(m.dir) if n not in ("k", "locks")], [],
          "what vim left")


def test_new_key_is_not_there(m):
    """Until its first close a key that is being made is no obstacle: not listed, not
    found, its namespace is empty."""
    bench = Bench(m)
    os.mkdir(m.path("d"))
    fd = os.open(m.path("d/k"), os.O_RDWR | os.O_CREAT, 0o640)
    os.write(fd, b"staged")
    equal(os.pread(fd, 100, 0), b"staged", "what the maker itself reads")
    equal(os.fstat(fd).st_size, 6, "the size it sees")
    if not PLAIN:
        equal(os.listdir(m.path("d")), [], "the listing")
        bench.shell("! [ -e d/k ] && ! ls d/k 2>/dev/null && ! cat d/k 2>/dev/null")
    os.close(fd)
    equal(m.read("d/k"), b"staged", "value")
    equal(stat.S_IMODE(os.stat(m.path("d/k")).st_mode), 0o640, "mode")


if __name__ == "__main__":
    main(globals())
