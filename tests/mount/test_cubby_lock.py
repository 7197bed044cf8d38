# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""cubby lock and cubby unlock: taking, waiting, holding, losing, giving back.

Most commands here are small shell scripts that print what happens to them. A
TTL of 1 s is refreshed every third of a second.
"""
import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from harness import (CUBBY, Failure, check, deadline, equal, main, mount_only,  # noqa: E402
                     options, raises, wait_for)
from watcher import Watcher  # noqa: E402

USAGE, DATA, NO_INPUT, UNAVAILABLE, CANT_CREATE = 64, 65, 66, 69, 73
IO_ERROR, TEMP_FAIL, LOST, CONFIG = 74, 75, 76, 78
CANNOT_RUN, NOT_FOUND = 126, 127
USER = 65534


def run(*args, **more):
    return subprocess.run((CUBBY,) + args, capture_output=True, text=True, timeout=60, **more)


def cubby(*args, code=0, says=None, **more):
    """What it prints; the exit code must be `code`, and stderr must have `says`."""
    r = run(*args, **more)
    equal(r.returncode, code, "exit code of %.200r (%.300r)" % (args, r.stderr))
    if says is None:
        equal(r.stderr, "", "stderr of %.200r" % (args,))
    else:
        check(re.search(says, r.stderr), "%r is not in %.300r" % (says, r.stderr))
        check(r.stderr.startswith("cubby"), r.stderr)
    return r.stdout


def lock(*args, **more):
    """A `cubby lock` that is left running."""
    return Watcher([CUBBY, "lock", *args], **more)


def holding(*args, **more):
    """The same, in which a command runs that prints its pid first."""
    w = lock(*args, **more)
    try:
        w.command = int(w.expect(r"(?m)^pid (\d+)").group(1))
    except BaseException:
        w.stop()
        raise
    return w


SLEEP = ("--", "sh", "-c", "echo pid $$; exec sleep 60")


def shell(script):
    return ("--", "sh", "-c", "echo pid $$; " + script)


def alive(pid):
    """Whether it runs. What is only not yet reaped does not."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(*pids, seconds=10.0):
    wait_for(lambda: not any(alive(p) for p in pids), seconds, "the end of %r" % (pids,))


def is_free(m, name="locks/a"):
    return not os.path.lexists(m.path(name))


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(word) for word in f.read().split()]


# ------------------------------------------------------------------- arguments


@mount_only
def test_usage(m):
    path = m.path("locks", "a")
    for args in ((), ("--ttl", "5"), ("--ttl", "0", path), ("--ttl", "soon", path), ("--ttl",),
                 ("--ttl", "-1", path), ("--wait", "x", path), ("-w",), ("-E", "256", path),
                 ("-E", "-1", path), ("-E", "", path), ("-E", "x", path), ("--frob", path),
                 ("--kill-after", "x", path, "true"), ("--json", path),
                 ("--status", path, "true"), ("--status",), ("--wait", "9" * 30, path)):
        cubby("lock", *args, code=USAGE, says="Usage|Try")
    for args in ((), (path, path), ("--token", "x", path), ("--token", path), ("--token",),
                 ("--token", "", path), ("--token", "-1", path)):
        cubby("unlock", *args, code=USAGE, says="Usage|Try")
    check(is_free(m), "something was taken")


@mount_only
def test_options_before_and_after(m):
    path = m.path("locks", "a")
    show = 'printf "%s\\n" "$0 $*"; getfattr --absolute-names --only-values -n user.cubby.ttl '
    show += path
    for args in (("-t", "500", path, "sh", "-c", show, "-n", "--", "--wait"),
                 ("--ttl", "500", path, "--", "sh", "-c", show, "-n", "--", "--wait"),
                 (path, "--ttl", "500", "-w", "1", "--", "sh", "-c", show, "-n", "--", "--wait"),
                 (path, "-t500", "sh", "-c", show, "-n", "--", "--wait"),
                 ("-w", "1", path, "-t", "8m20s", "sh", "-c", show, "-n", "--", "--wait"),
                 ("-t", "500", "--", path, "--", "sh", "-c", show, "-n", "--", "--wait"),
                 ("-t", "500", "--", path, "sh", "-c", show, "-n", "--", "--wait")):
        words, left = cubby("lock", *args).splitlines()
        equal(words, "-n -- --wait", "arguments of %r" % (args,))
        check(490 < float(left) <= 500, "ttl: %s" % left)
    # after -- there are no options left
    cubby("lock", "--", path, "-n", code=NOT_FOUND, says="cubby: -n: ")
    cubby("lock", path, "--", "-n", code=NOT_FOUND, says="cubby: -n: ")
    check(is_free(m), "still held")


@mount_only
def test_where_no_locks_are(m):
    os.mkdir(m.path("ns"))
    cubby("lock", m.path("ns", "a"), "true", code=CONFIG, says="setfattr .*lock_ttl -v 30 %s'"
          % m.path("ns"))
    cubby("lock", m.path("x.lock"), "true", code=CONFIG, says="lock namespace")
    cubby("lock", m.path("locks") + "/", "-w", "5", code=CONFIG, says="lock namespace")
    m.write("ns/key", "v")
    cubby("lock", m.path("ns", "key"), code=CONFIG, says="lock namespace")
    equal(m.read("ns/key"), b"v")
    m.set("ns", "lock_ttl", 5)
    m.set("ns", "lock_suffix", ".lck")
    cubby("lock", m.path("ns", "a"), "true", code=CONFIG, says=r"end in \.lck")
    cubby("lock", m.path("ns", "a.lck"), "true")
    equal(sorted(os.listdir(m.path("ns"))), ["key"])
    equal(sorted(os.listdir(m.dir)), ["locks", "ns"])
    cubby("lock", m.path("nowhere", "a"), code=CANT_CREATE, says="no such namespace")
    cubby("lock", m.path("ns", "key", "a"), code=DATA, says="Not a directory")
    cubby("lock", m.path("locks", "x" * 256), code=DATA, says="too long")
    cubby("lock", m.path("locks", "a"), "-t", "3155760001", "true", code=DATA, says="ttl")
    check(is_free(m), "what could not be set stays")
    for path in ("/", "..", ".", ""):
        cubby("lock", path, code=DATA, says="no name")
    plain = m.scratch.path("plain")
    for command in (("lock", plain, "true"), ("lock", "--status", plain), ("unlock", plain)):
        cubby(*command, code=UNAVAILABLE, says="not on a cubbyfs mount")
    check(not os.path.exists(plain), "made elsewhere")


@mount_only
@options("lock_ttl=7")
def test_lock_ttl_of_the_mount(m):
    os.mkdir(m.path("ns"))
    cubby("lock", m.path("ns", "a"), "true", code=CONFIG, says="lock namespace")
    cubby("lock", m.path("ns", "a.lock"))
    check(6 < float(m.get("ns/a.lock", "ttl")) <= 7, "ttl")
    cubby("lock", m.path("ns", "a.lock"), "-n", code=TEMP_FAIL)
    cubby("unlock", m.path("ns", "a.lock"))


# -------------------------------------------------------------- the command


@mount_only
def test_the_command_sees(m):
    os.symlink("locks", m.path("alias"))
    script = 'echo "$CUBBY_LOCK_TOKEN"; echo "$CUBBY_LOCK_PATH"; cat "$CUBBY_LOCK_PATH"; echo $PPID'
    detour = "../../%s/locks//a/" % os.path.basename(m.dir)
    for path, cwd in ((m.path("locks", "a"), None), ("a", m.path("locks")), ("alias/a", m.dir),
                      ("./a", m.path("locks")), (detour, m.path("locks"))):
        token, told, value, parent = cubby("lock", path, "sh", "-c", script, cwd=cwd,
                                           env={**os.environ, "CUBBY_LOCK_TOKEN": "1",
                                                "CUBBY_LOCK_PATH": "x"}).splitlines()
        equal(told, m.path("locks", "a"))
        equal(value, parent, "the value")
    with holding(m.path("locks", "a"), *shell('echo "$CUBBY_LOCK_TOKEN"; exec sleep 60')) as w:
        token = w.expect(r"(?m)^(\d+)$").group(1)
        equal(m.get("locks/a", "token"), token)
        equal(json.loads(m.get("locks/a", "holder"))["pid"], w.pid)
        equal(os.stat(m.path("locks", "a")).st_mode & 0o7777, 0o644)
        check(25 < float(m.get("locks/a", "ttl")) <= 30, "ttl of the namespace")
        os.kill(w.pid, signal.SIGTERM)
        equal(w.wait(), 128 + signal.SIGTERM)
    check(is_free(m), "still held")


@mount_only
def test_exit_codes(m):
    path = m.path("locks", "a")
    for code in (0, 1, 75, 76, 255):
        cubby("lock", path, "sh", "-c", "exit %d" % code, code=code)
        check(is_free(m), "held after %d" % code)
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
        r = run("lock", path, "sh", "-c", "ulimit -c 0; kill -%d $$" % number)
        equal(r.returncode, 128 + number)
        check(is_free(m), "held after signal %d" % number)
    cubby("lock", path, "no-such-command", code=NOT_FOUND, says="no-such-command: No such file")
    cubby("lock", path, "/no/such/command", code=NOT_FOUND, says="No such file")
    cubby("lock", path, "/etc/passwd", code=CANNOT_RUN, says="Permission denied")
    cubby("lock", path, "/", code=CANNOT_RUN, says="Permission denied")
    check(is_free(m), "held after a command that cannot be run")


@mount_only
def test_what_the_command_inherits(m):
    """Its descriptors, signal mask and dispositions are as without cubby lock."""
    script = '''
import os, sys
print(sorted(os.listdir("/proc/self/fd")), sys.stdin.read())
with open("/proc/self/status") as f:
    print(*[line for line in f if line[:6] in ("SigBlk", "SigIgn", "SigCgt")])
'''
    command = (sys.executable, "-c", script)

    def odd_signals():
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGUSR1, signal.SIGALRM, signal.SIGTERM})
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    reader, writer = os.pipe()
    for more in ({}, {"preexec_fn": odd_signals, "pass_fds": (reader,)}):
        wanted = subprocess.run(command, input="in", capture_output=True, text=True, **more)
        got = run("lock", m.path("locks", "a"), *command, input="in", **more)
        equal((got.returncode, got.stderr), (0, ""))
        equal(got.stdout, wanted.stdout)
    os.close(reader)
    os.close(writer)


@mount_only
def test_pipes_end_with_the_command(m):
    """Nothing of cubby keeps them open, and what the command leaves behind is its own affair."""
    path = m.path("locks", "a")
    start = time.monotonic()
    out = cubby("lock", path, "sh", "-c", "sleep 40 >/dev/null 2>&1 </dev/null & echo $!")
    check(time.monotonic() - start < 20, "waited for the background")
    check(is_free(m), "still held")
    check(alive(int(out)), "the background was ended")
    os.kill(int(out), signal.SIGKILL)
    # without standard descriptors
    script = '"$0" lock -t 1 "$1" sleep 1.5 <&- >&- 2>&-; exit $?'
    r = subprocess.run(["sh", "-c", script, CUBBY, path])
    equal(r.returncode, 0, "without descriptors")
    check(is_free(m), "still held")


@mount_only
def test_nested(m):
    script = 'echo $CUBBY_LOCK_PATH; "$0" lock "$1/b" sh -c \'echo $CUBBY_LOCK_PATH\''
    out = cubby("lock", m.path("locks", "a"), "sh", "-c", script, CUBBY, m.path("locks"))
    equal(out.split(), [m.path("locks", "a"), m.path("locks", "b")])
    equal(os.listdir(m.path("locks")), [])


# ---------------------------------------------------------------- without one


@mount_only
def test_without_a_command(m):
    path = m.path("locks", "a")
    token = cubby("lock", "-t", "1", path)
    equal(token, m.get("locks/a", "token") + "\n")
    start = time.monotonic()
    wait_for(lambda: is_free(m), 10, "its expiry")
    check(time.monotonic() - start < 5, "expired late")
    later = cubby("lock", path)
    check(int(later) > int(token), "tokens grow")
    cubby("unlock", "--token", later.strip(), path)
    check(is_free(m), "still held")
    with open("/dev/full", "w") as full:
        r = subprocess.run([CUBBY, "lock", path], stdout=full, stderr=subprocess.PIPE)
    equal(r.returncode, IO_ERROR)
    check(is_free(m), "a token that nobody has been told")


# ------------------------------------------------------------------- waiting


@mount_only
def test_conflict(m):
    path = m.path("locks", "a")
    cubby("lock", path)
    for args in (("-n",), ("--nonblock",), ("-w", "0"), ("-n", "sh", "-c", "echo ran")):
        equal(cubby("lock", path, *args, code=TEMP_FAIL), "")
    for option in ("-w", "--wait"):
        start = time.monotonic()
        cubby("lock", option, "0.5", path, "false", code=TEMP_FAIL, says="still held")
        check(0.5 <= time.monotonic() - start < 10, "waited %g" % (time.monotonic() - start))
    for option in ("-E", "--conflict-exit-code"):
        cubby("lock", "-n", option, "0", path, "false", code=0)
        cubby("lock", option, "3", "-w", "0.1", path, code=3, says="still held")
    os.mkdir(m.path("locks", "d"))
    os.symlink("text", m.path("locks", "s"))
    os.mkfifo(m.path("locks", "f"))
    for name in "dsf":
        equal(cubby("lock", "-n", m.path("locks", name), code=TEMP_FAIL), "")
    # what is no lock can be waited for, but that is said
    m.write("locks/key", "v")
    cubby("lock", "-w", "0.1", m.path("locks", "key"), code=TEMP_FAIL, says="is no lock")


@mount_only
def test_waiting_costs_nothing(m):
    """No processor time, no requests worth counting, and it wakes at once."""
    path = m.path("locks", "a")
    cubby("lock", "-t", "100", path)
    with lock(path, "echo", "got it") as w:
        w.watching(m.path("locks"))
        before = cpu_seconds(w.pid)
        equal(w.quiet(2.5), "", "output while it waits")
        check(cpu_seconds(w.pid) - before <= 0.03, "it used %g s" % (cpu_seconds(w.pid) - before))
        cubby("unlock", path)
        start = time.monotonic()
        w.expect("got it", 4)       # below the interval of the safety net
        check(time.monotonic() - start < 2, "it woke late")
        equal(w.wait(), 0)


@mount_only
def test_what_wakes(m):
    path = m.path("locks", "a")

    def release():
        m.set("locks/a", "release", m.get("locks/a", "token"))

    def replace():
        m.write("other", "v")
        os.rename(path, m.path("locks", "b"))

    def directory():
        os.rmdir(path)

    def symlink():
        os.unlink(path)

    for how in (release, replace, directory, symlink, lambda: os.unlink(path),
                lambda: m.set("locks/a", "ttl", "0")):
        if how is directory:
            os.mkdir(path)
        elif how is symlink:
            os.symlink("text", path)
        else:
            cubby("lock", path)
        with lock(path, "echo", "got it") as w:
            w.watching(m.path("locks"))
            equal(w.quiet(0.1), "")
            how()
            w.expect("got it", 3)
            equal(w.wait(), 0)
        check(is_free(m), "still held")


@mount_only
def test_expiry_wakes(m):
    path = m.path("locks", "a")
    with lock(path, "true") as w:       # the program's own pages
        equal(w.wait(), 0)
    start = time.monotonic()
    cubby("lock", "-t", "1", path)
    with lock(path, "echo", "got it") as w:
        w.expect("got it", 10)
        took = time.monotonic() - start
        check(0.9 < took < 2, "after %g s" % took)


@mount_only
def test_waiting_in_a_busy_namespace(m):
    """Other names come and go; the directory moves; and then it is gone."""
    os.mkdir(m.path("ns"))
    m.set("ns", "lock_ttl", 60)
    cubby("lock", m.path("ns", "a"))
    with lock(m.path("ns", "a"), "echo", "got it") as w:
        w.watching(m.path("ns"))
        before = cpu_seconds(w.pid)
        for n in range(200):
            os.close(os.open(m.path("ns", "k%d" % n), os.O_CREAT | os.O_WRONLY | os.O_EXCL))
            os.unlink(m.path("ns", "k%d" % n))
        os.rename(m.path("ns"), m.path("moved"))
        equal(w.quiet(0.3), "")
        check(cpu_seconds(w.pid) - before < 0.3, "it woke for each")
        cubby("unlock", m.path("moved", "a"))
        w.expect("got it", 3)
        equal(w.wait(), 0)
    cubby("lock", m.path("moved", "a"))
    with lock(m.path("moved", "a"), "echo", "got it") as w:
        w.watching(m.path("moved"))
        os.kill(w.pid, signal.SIGSTOP)      # else it would be there in time to take it
        subprocess.run(["rm", "-r", m.path("moved")], check=True)
        os.kill(w.pid, signal.SIGCONT)
        equal(w.wait(), CANT_CREATE)
        w.expect_error("namespace is gone")


@mount_only
def test_a_waiter_that_is_killed(m):
    path = m.path("locks", "a")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
        cubby("lock", path)
        with lock(path, "echo", "ran") as w:
            w.watching(m.path("locks"))
            os.kill(w.pid, number)
            equal(w.wait(5), -number)
            equal(w.out, "")
        cubby("unlock", path)
        time.sleep(0.1)
        check(is_free(m), "taken by the dead")


@mount_only
def test_a_waiter_whose_mount_dies(m):
    path = m.path("locks", "a")
    cubby("lock", path)
    with lock(path, "echo", "ran") as w:
        w.watching(m.path("locks"))
        m.kill()
        equal(w.wait(20), IO_ERROR)
        w.expect_error("cubby: .*not connected")


@mount_only
def test_waiting_without_inotify(m):
    """Where the directory may not be read there can be no watch."""
    os.mkdir(m.path("ns"))
    m.set("ns", "lock_ttl", 60)
    os.chmod(m.path("ns"), 0o733)
    cubby("lock", m.path("ns", "a"))
    with lock(m.path("ns", "a"), "echo", "got it", user=USER, group=USER, extra_groups=()) as w:
        equal(w.quiet(0.7), "")
        cubby("unlock", m.path("ns", "a"))
        w.expect("got it", 5)
        equal(w.wait(), 0)


@mount_only
@deadline(300)
def test_eight_add_up(m):
    """A plain file, read and written under the lock, by 8 processes: no update is lost."""
    plain = m.scratch.path("number")
    with open(plain, "w") as f:
        f.write("0")
    script = 'read n <"$0"; echo $((n + 1)) >"$0"'
    loop = 'for i in $(seq 25); do "$0" lock "$1" sh -c \'%s\' "$2" || exit 1; done' % script
    workers = [subprocess.Popen(["sh", "-c", loop, CUBBY, m.path("locks", "n"), plain])
               for _ in range(8)]
    codes = [w.wait(240) for w in workers]
    equal(codes, [0] * 8, "exit codes")
    with open(plain) as f:
        equal(int(f.read()), 200)
    check(is_free(m, "locks/n"), "still held")


# -------------------------------------------------------------------- holding


@mount_only
def test_refreshed(m):
    """A command may take longer than the TTL; nobody else gets in."""
    with holding("-t", "1", m.path("locks", "a"), *shell("sleep 4; exit 5")) as w:
        token = m.get("locks/a", "token")
        with lock("-t", "1", m.path("locks", "a"), "echo", "second") as second:
            end = time.monotonic() + 3.5
            while time.monotonic() < end:
                equal(m.get("locks/a", "token"), token)
                check(0 < float(m.get("locks/a", "ttl")) <= 1, "ttl")
                equal(second.quiet(0.2), "")
            equal(w.wait(), 5)
            equal(w.err, "")
            second.expect("second", 3)
            equal(second.wait(), 0)


@mount_only
def test_its_processor_time(m):
    """The holder sleeps between its refreshes, and so does the process that makes them."""
    with holding("-t", "1", m.path("locks", "a"), *SLEEP) as w:
        pids = [w.pid] + [p for p in children(w.pid) if p != w.command]
        equal(len(pids), 2)
        before = sum(map(cpu_seconds, pids))
        time.sleep(2.5)
        check(sum(map(cpu_seconds, pids)) - before <= 0.05, "busy")
        os.kill(w.command, signal.SIGKILL)
        equal(w.wait(), 128 + signal.SIGKILL)


@mount_only
def test_a_ttl_that_is_changed(m):
    with holding("-t", "100", m.path("locks", "a"), *shell("sleep 2")) as w:
        m.set("locks/a", "ttl", 50)
        equal(w.wait(), 0)
    with holding("-t", "0.6", m.path("locks", "a"), *shell("sleep 2.5")) as w:
        m.set("locks/a", "ttl", 2)
        wait_for(lambda: float(m.get("locks/a", "ttl")) < 1.6, 5, "the time to pass")
        equal(w.wait(), 0)
        equal(w.err, "")


@mount_only
def test_in_a_namespace_that_keeps_alive(m):
    m.set("locks", "lock_ttl", 1)
    m.set("locks", "lock_keepalive", 1)
    with holding(m.path("locks", "a"), *shell("sleep 2.5")) as w:
        equal(cubby("lock", "-n", m.path("locks", "a"), code=TEMP_FAIL), "")
        equal(w.wait(), 0)
        equal(w.err, "")
    check(is_free(m), "still held")


@mount_only
def test_renames_above(m):
    """The lock is where its directory is; a chdir of the caller's means nothing."""
    os.makedirs(m.path("top", "ns"))
    m.set("top/ns", "lock_ttl", 1)
    with holding("a", *shell("cd /; sleep 2"), cwd=m.path("top", "ns")) as w:
        os.rename(m.path("top"), m.path("moved"))
        equal(w.wait(), 0)
        equal(w.err, "")
    equal(os.listdir(m.path("moved", "ns")), [])


@mount_only
def test_the_keeper_is_killed(m):
    """The process that refreshes is replaced."""
    with holding("-t", "1", m.path("locks", "a"), *shell("sleep 3; exit 4")) as w:
        for _ in range(2):
            keeper, = wait_for(lambda: [p for p in children(w.pid) if p != w.command and alive(p)],
                               5, "a keeper")
            os.kill(keeper, signal.SIGKILL)
            gone(keeper)
        equal(w.wait(), 4)
        equal(w.err, "")
    check(is_free(m), "still held")


@mount_only
def test_the_daemon_pauses(m):
    """For less than the TTL, which no command need know."""
    with holding("-t", "3", m.path("locks", "a"), *shell("sleep 4")) as w:
        time.sleep(0.5)
        os.kill(m.worker, signal.SIGSTOP)
        try:
            time.sleep(1.5)
        finally:
            os.kill(m.worker, signal.SIGCONT)
        equal(w.wait(), 0)
        equal(w.err, "")


# -------------------------------------------------------------------- signals


COUNT = """
import os, signal, sys, time
seen = []
for name in "TERM INT HUP QUIT USR1 USR2".split():
    def note(n, f, name=name):
        seen.append(name)
        os.write(1, b"got %s\\n" % name.encode())
    signal.signal(getattr(signal, "SIG" + name), note)
print("pid", os.getpid(), flush=True)
told = 0
end = time.monotonic() + 30
while time.monotonic() < end and "USR2" not in seen:
    time.sleep(0.02)
time.sleep(0.3)
print("seen", *seen, flush=True)
sys.exit(9)
"""


@mount_only
def test_signals_are_passed_on(m):
    with holding("-t", "1", m.path("locks", "a"), sys.executable, "-c", COUNT) as w:
        names = "TERM INT HUP QUIT USR1 USR2".split()
        for name in names:
            os.kill(w.pid, getattr(signal, "SIG" + name))
            w.expect("got " + name)
        equal(w.expect(r"(?m)^seen (.*)").group(1).split(), names)
        equal(w.wait(), 9)
        equal(w.err, "")
    check(is_free(m), "still held")
    with holding(m.path("locks", "a"), *SLEEP) as w:
        os.kill(w.pid, signal.SIGTERM)
        equal(w.wait(), 128 + signal.SIGTERM)
    check(is_free(m), "still held")


@mount_only
def test_signals_of_the_terminal(m):
    """^C reaches the command once, by itself, and cubby lock outlives it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(CUBBY, [CUBBY, "lock", m.path("locks", "a"), sys.executable, "-c", COUNT])
    text = b""

    def read_until(pattern):
        nonlocal text
        while not re.search(pattern, text):
            try:
                text += os.read(terminal, 4096)
            except OSError:
                raise Failure("%r did not come: %r" % (pattern, text)) from None
        return re.search(pattern, text)

    try:
        read_until(rb"pid (\d+)")
        os.write(terminal, b"\x03")
        read_until(rb"got INT")
        os.write(terminal, b"\x1c")
        read_until(rb"got QUIT")
        os.kill(pid, signal.SIGUSR2)
        seen = read_until(rb"seen ([A-Z0-9 ]*)\r")
        equal(seen.group(1).split(), [b"INT", b"QUIT", b"USR2"])
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 9)
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(terminal)
    check(is_free(m), "still held")


# ----------------------------------------------------------------------- lost


def take_away(m, how):
    if how == "rm":
        os.unlink(m.path("locks", "a"))
    elif how == "release":
        m.set("locks/a", "release", m.get("locks/a", "token"))
    elif how == "unlock":
        cubby("unlock", m.path("locks", "a"))
    else:       # by another at once, with a lock that has no attributes
        os.unlink(m.path("locks", "a"))
        os.symlink("mine", m.path("locks", "a"))


@mount_only
def test_lost(m):
    """The command is told by SIGTERM, and may take its time to end."""
    for how in ("rm", "release", "unlock", "symlink"):
        script = "trap 'echo told; sleep 0.3; echo done; exit 3' TERM; while :; do sleep 0.05; done"
        with holding("-t", "1", m.path("locks", "a"), *shell(script)) as w:
            take_away(m, how)
            start = time.monotonic()
            w.expect("told", 5)
            check(time.monotonic() - start < 1.5, "noticed late")
            equal(w.wait(), LOST)
            w.expect("done", 0)
            check(re.match(r"cubby: \S+/locks/a: the lock is lost: .*; ending the command\n",
                           w.err), w.err)
            gone(w.command, seconds=0)
    equal(os.readlink(m.path("locks", "a")), "mine", "the next holder's lock")


@mount_only
def test_lost_and_not_heeded(m):
    """SIGKILL after --kill-after, for whatever the command has started and wherever it went."""
    script = """
trap '' TERM
sh -c 'echo child $$; sleep 60; sleep 60' &
setsid sh -c 'sh -c "echo orphan \\$\\$; sleep 60; sleep 60" & exit' &
sleep 60
sleep 60
"""
    with holding("-t", "1", "--kill-after", "0.7", m.path("locks", "a"), *shell(script)) as w:
        child = int(w.expect(r"(?m)^child (\d+)").group(1))
        w.at = 0
        orphan = int(w.expect(r"(?m)^orphan (\d+)").group(1))
        everybody = [w.command, child, orphan]
        everybody += [p for parent in everybody for p in children(parent)]
        take_away(m, "rm")
        w.expect_error("is lost")
        start = time.monotonic()
        check(alive(w.command), "it ignores SIGTERM")
        equal(w.wait(), LOST)
        check(0.4 < time.monotonic() - start < 5, "ended after %g s" % (time.monotonic() - start))
        gone(*everybody, seconds=0)


@mount_only
def test_lost_and_stopped(m):
    """A command that is stopped is continued, so that it can obey."""
    with holding("-t", "1", "--kill-after", "30", m.path("locks", "a"), *SLEEP) as w:
        os.kill(w.command, signal.SIGSTOP)
        take_away(m, "rm")
        equal(w.wait(10), LOST)


@mount_only
def test_killed_at_once(m):
    with holding("-t", "1", "--kill-after", "0", m.path("locks", "a"),
                 *shell("trap '' TERM; sleep 60; sleep 60")) as w:
        take_away(m, "rm")
        equal(w.wait(5), LOST)


@mount_only
def test_lost_before_the_end(m):
    """The command is done, but the lock was not held all the time."""
    path = m.path("locks", "a")
    says = "the lock is lost"
    cubby("lock", path, "rm", path, code=LOST, says=says)
    cubby("lock", path, CUBBY, "unlock", path, code=LOST, says=says)
    take = 'rm "$2"; "$1" lock "$2"'
    token = cubby("lock", path, "sh", "-c", take, "sh", CUBBY, path, code=LOST, says=says)
    equal(token, m.get("locks/a", "token") + "\n", "the next holder's token")


@mount_only
def test_lost_with_nobody_to_tell(m):
    """Standard error is a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    p = subprocess.Popen([CUBBY, "lock", "-t", "1", m.path("locks", "a"), "sleep", "60"],
                         stderr=writer)
    os.close(writer)
    try:
        wait_for(lambda: len(children(p.pid)) == 2, 10, "the command")
        take_away(m, "rm")
        equal(p.wait(10), LOST)
    finally:
        p.kill()
        p.wait()


@mount_only
def test_lost_to_another_user(m):
    """Whose lock one may not even touch: that is no fault to be tried again."""
    user = {"user": USER, "group": USER, "extra_groups": ()}
    with holding("-t", "2", m.path("locks", "a"), *SLEEP, **user) as w:
        os.unlink(m.path("locks", "a"))
        token = cubby("lock", m.path("locks", "a"))
        start = time.monotonic()
        equal(w.wait(10), LOST)
        check(time.monotonic() - start < 1.7, "not before the TTL had passed")
        check("token" in w.err, w.err)
    equal(token, m.get("locks/a", "token") + "\n")
    cubby("unlock", "--token", "1", m.path("locks", "a"), code=TEMP_FAIL, says="not yours", **user)
    cubby("unlock", "--token", token.strip(), m.path("locks", "a"), code=77, says="denied", **user)
    equal(token, m.get("locks/a", "token") + "\n")


@mount_only
def test_a_holder_that_is_killed(m):
    """kill -9: the next gets the lock within TTL + 1 s, and the command is not left alone."""
    for _ in range(2):
        with holding("-t", "1", m.path("locks", "a"), *SLEEP) as w:
            others = children(w.pid)
            with lock("-t", "1", m.path("locks", "a"), "echo", "next") as second:
                second.watching(m.path("locks"))
                os.kill(w.pid, signal.SIGKILL)
                start = time.monotonic()
                second.expect("next", 5)
                took = time.monotonic() - start
                check(took < 2, "after %g s" % took)
                gone(*others, seconds=1)
                equal(second.wait(), 0)


@mount_only
def test_a_holder_that_is_stopped(m):
    """SIGSTOP past the TTL: the next holder is not disturbed by what comes then."""
    with holding("-t", "1", m.path("locks", "a"), *SLEEP) as w:
        os.kill(w.pid, signal.SIGSTOP)
        try:
            with holding("-t", "1", m.path("locks", "a"),
                         *shell("sleep 3; echo undisturbed")) as second:
                token = m.get("locks/a", "token")
                os.kill(w.pid, signal.SIGCONT)
                equal(w.wait(10), LOST)
                gone(w.command, seconds=0)
                equal(m.get("locks/a", "token"), token)
                second.expect("undisturbed")
                equal(second.wait(), 0)
        finally:
            if w.process.poll() is None:
                os.kill(w.pid, signal.SIGCONT)


@mount_only
def test_a_holder_that_is_stopped_while_the_command_ends(m):
    path = m.path("locks", "a")
    with holding("-t", "1", path, *shell("sleep 0.2")) as w:
        os.kill(w.pid, signal.SIGSTOP)
        try:
            token = cubby("lock", path).strip()
        finally:
            os.kill(w.pid, signal.SIGCONT)
        equal(w.wait(10), LOST)
        w.expect_error("is lost")
    equal(m.get("locks/a", "token"), token)


@mount_only
def test_the_daemon_hangs(m):
    """The clock alone says when the lock is lost; nobody waits for the daemon."""
    with holding("-t", "1", "--kill-after", "0.5", m.path("locks", "a"),
                 *shell("trap '' TERM; sleep 60; sleep 60")) as w:
        os.kill(m.worker, signal.SIGSTOP)
        start = time.monotonic()
        try:
            equal(w.wait(10), LOST)
            took = time.monotonic() - start
            check(0.6 + 0.5 < took < 4, "after %g s" % took)
            w.expect_error("refreshed in time")
            gone(w.command, seconds=0)
        finally:
            os.kill(m.worker, signal.SIGCONT)
    wait_for(lambda: is_free(m), 5, "the end of the lock")


@mount_only
def test_the_daemon_hangs_at_the_end(m):
    """What the command did was done under the lock: its status counts, until nobody can say."""
    go = m.scratch.path("go")
    script = "while ! [ -e %s ]; do sleep 0.05; done; exit 6" % go
    for ttl, code, says in (("20", 6, "not released .*expires by itself"), ("3", LOST, "is lost")):
        with holding("-t", ttl, m.path("locks", "ttl" + ttl), *shell(script)) as w:
            os.kill(m.worker, signal.SIGSTOP)
            try:
                open(go, "w").close()
                equal(w.wait(15), code)
                w.expect_error(says)
            finally:
                os.kill(m.worker, signal.SIGCONT)
        os.unlink(go)


@mount_only
def test_the_daemon_dies(m):
    with holding("-t", "1", m.path("locks", "a"), *SLEEP) as w:
        m.kill()
        start = time.monotonic()
        equal(w.wait(10), LOST)
        check(time.monotonic() - start < 3, "late")
        w.expect_error("not connected")
        gone(w.command, seconds=0)
    m.start()


# --------------------------------------------------------------------- status


@mount_only
def test_status(m):
    path = m.path("locks", "a")
    equal(cubby("lock", "--status", path, code=1), "free\n")
    equal(json.loads(cubby("lock", "--status", "--json", path, code=1)),
          {"path": path, "held": False, "type": None, "token": None, "holder": None, "ttl": None,
           "expires": None, "target": None})
    with holding("-t", "50", path, *SLEEP) as w:
        text = cubby("lock", path, "--status")
        wanted = r"held\ntoken +%s\nholder +cubby, pid %d, uid 0, on \S+\nttl +(49|50)\.\d+\n"
        check(re.fullmatch(wanted % (m.get("locks/a", "token"), w.pid), text), text)
        got = json.loads(cubby("lock", "--status", "--json", path))
        equal((got["path"], got["held"], got["type"]), (path, True, "key"))
        equal(got["token"], int(m.get("locks/a", "token")))
        equal(got["holder"], json.loads(m.get("locks/a", "holder")))
        check(45 < got["ttl"] <= 50 and got["expires"].endswith("Z"), got)
    os.mkdir(m.path("locks", "d"))
    for name in ("d", "d/"):
        text = cubby("lock", "--status", m.path("locks", name))
        check(re.fullmatch(r"held\ntoken +%s\nholder .*\nttl .*\n" % m.get("locks/d", "token"),
                           text), text)
    got = json.loads(cubby("lock", "--status", "--json", m.path("locks", "d")))
    equal((got["type"], got["token"]), ("namespace", int(m.get("locks/d", "token"))))


@mount_only
def test_status_of_what_has_no_token(m):
    os.symlink("who\nme", m.path("locks", "s"))
    equal(cubby("lock", "--status", m.path("locks", "s")), "held\nsymlink  who?me\n")
    got = json.loads(cubby("lock", "--status", "--json", m.path("locks", "s")))
    equal((got["held"], got["type"], got["target"], got["token"]),
          (True, "symlink", "who\nme", None))
    os.mkfifo(m.path("locks", "f"))
    equal(cubby("lock", "--status", m.path("locks", "f")), "held\ntype     fifo\n")
    m.write("locks/k", "v")
    text = cubby("lock", "--status", m.path("locks", "k"))
    check(re.fullmatch("held\nno lock .*\n", text), text)
    os.close(os.open(m.path("locks", "secret"), os.O_CREAT | os.O_EXCL, 0o600))
    user = {"user": USER, "group": USER, "extra_groups": ()}
    text = cubby("lock", "--status", m.path("locks", "secret"), **user)
    check(re.fullmatch("held\nunknown .*denied\n", text), text)
    cubby("lock", "--status", m.path("nowhere", "a"), code=CANT_CREATE, says="no such namespace")


# --------------------------------------------------------------------- unlock


@mount_only
def test_unlock(m):
    path = m.path("locks", "a")
    cubby("unlock", path, code=NO_INPUT, says="not held")
    cubby("unlock", "--token", "1", path, code=NO_INPUT, says="not held")
    cubby("unlock", m.path("nowhere", "a"), code=NO_INPUT, says="No such file")
    token = cubby("lock", path).strip()
    cubby("unlock", "--token", str(int(token) - 1), path, code=TEMP_FAIL, says="not yours any more")
    equal(m.get("locks/a", "token"), token)
    cubby("unlock", "--token", token, path)
    check(is_free(m), "still held")
    cubby("lock", path)
    cubby("unlock", path)
    check(is_free(m), "by force")
    os.mkdir(m.path("locks", "d"))
    m.write("locks/d/inside", "v")
    cubby("unlock", m.path("locks", "d") + "/")
    check(is_free(m, "locks/d"), "a lock directory")
    m.write("locks/k", "v")
    cubby("unlock", m.path("locks", "k"), code=NO_INPUT, says="no lock")
    os.symlink("k", m.path("locks", "s"))
    cubby("unlock", m.path("locks", "s"), code=DATA, says="rm")
    equal(m.read("locks/s"), b"v")


@mount_only
def test_unlock_by_environment(m):
    path = m.path("locks", "a")
    first = cubby("lock", path).strip()
    mine = {**os.environ, "CUBBY_LOCK_TOKEN": first, "CUBBY_LOCK_PATH": path}
    cubby("unlock", "a", cwd=m.path("locks"), env=mine)
    check(is_free(m), "still held")
    cubby("unlock", path, env=mine, code=NO_INPUT, says="not held")
    second = cubby("lock", path).strip()
    cubby("unlock", path, env=mine, code=TEMP_FAIL, says="not yours any more")
    equal(m.get("locks/a", "token"), second)
    cubby("unlock", path, "--token", second, env=mine)
    # of another name it says nothing
    cubby("lock", m.path("locks", "b"))
    cubby("unlock", m.path("locks", "b"), env=mine)
    check(is_free(m, "locks/b"), "by force")
    with raises(errno.ENOENT):
        os.lstat(path)


if __name__ == "__main__":
    main(globals())
