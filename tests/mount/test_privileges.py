#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What the daemon may do (SECURITY.md): its capabilities, its system calls, its store; and
that with these everything still works for everybody.
"""
import contextlib
import errno
import json
import os
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from crew import Crew
from harness import (CUBBY, CUBBYFS, Skip, check, equal, is_mounted, main, mount_only, options,
                     unmounted, wait_for)
from injection import AVAILABLE, Intruder
from inotify import CLOSE_WRITE, CREATE, DELETE, DELETE_SELF, ISDIR, MODIFY, OPEN, Inotify
from test_fstab import enter_namespace, install

USER, OTHER = 4242, 65534
# CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SYS_PTRACE
KEPT = 1 << 1 | 1 << 3 | 1 << 19
NO_CAPABILITIES = {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "CapAmb": 0}


# --- processes ---------------------------------------------------------------------------------

def status_of(path):
    with open(path + "/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def capabilities(status):
    return {name: int(status[name], 16) for name in NO_CAPABILITIES}


def threads(pid):
    return ["/proc/%d/task/%s" % (pid, tid) for tid in os.listdir("/proc/%d/task" % pid)]


def children(pid):
    result = []
    for path in threads(pid):
        with open(path + "/children") as f:
            result += [int(word) for word in f.read().split()]
    return result


def name_of(pid):
    with open("/proc/%d/comm" % pid) as f:
        return f.read().strip()


def is_there(pid):
    return os.path.exists("/proc/%d" % pid)


def has_seccomp():
    r = subprocess.run(["ldd", CUBBYFS], capture_output=True, text=True)
    return "libseccomp" in r.stdout


def as_user(function, *arguments, uid=USER):
    """Runs it in a child that is that user; what it returns."""
    def act():
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        return function(*arguments)
    with Crew() as crew:
        crew.fork(act)
        return crew.join(60)[0]


def busy(m):
    """All threads that it has have been at work: syncs, a compaction, announcements."""
    fd = os.open(m.path("k"), os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"v")
    os.fsync(fd)
    os.close(fd)
    m.set("k", "ttl", "0.001")
    wait_for(lambda: not os.path.exists(m.path("k")), 10, "the expiry")


# --- the daemon's rights -------------------------------------------------------------------------

@mount_only
def test_every_thread(m):
    """Each has just the three capabilities, and the filter; the store is busy meanwhile."""
    busy(m)
    paths = threads(m.worker)
    check(len(paths) >= 3, "the loop, the syncer, the announcer: %r" % paths)
    for path in paths:
        status = status_of(path)
        equal(capabilities(status), dict(NO_CAPABILITIES, CapPrm=KEPT, CapEff=KEPT), path)
        equal(status["NoNewPrivs"], "1", "NoNewPrivs of " + path)
        if has_seccomp():
            equal(status["Seccomp"], "2", "Seccomp of " + path)
    equal(status_of("/proc/%d" % m.worker)["Uid"].split(), ["0"] * 4, "uid")


@mount_only
@options("compact_min=4K")
def test_threads_that_come_later(m):
    """A compaction's thread is caught while it is there."""
    seen = set()
    stop = time.monotonic() + 20
    big = os.urandom(30000)
    while m.stats()["log"]["compactions"] == 0 and time.monotonic() < stop:
        m.write("k", big)
        for path in threads(m.worker):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, KeyError):
                status = status_of(path)
                seen.add((status["CapPrm"], status["CapBnd"], status["NoNewPrivs"],
                          status["Seccomp"]))
    check(m.stats()["log"]["compactions"] > 0, "no compaction")
    equal(seen, {("%016x" % KEPT, "0" * 16, "1", "2" if has_seccomp() else "0")}, "threads")


@mount_only
def test_the_supervisor(m):
    """It keeps its rights, is one thread, and holds nothing of the mount but /dev/fuse."""
    links = [os.readlink("/proc/%d/fd/%s" % (m.pid, fd)) for fd in os.listdir("/proc/%d/fd" % m.pid)]
    equal([link for link in links if link.startswith((m.dir, m.store))], [], "what it holds open")
    equal(len(threads(m.pid)), 1, "threads")
    equal(status_of("/proc/%d" % m.pid)["NoNewPrivs"], "0", "NoNewPrivs")
    equal(children(m.pid), [m.worker], "children")


def start(scratch, *words, **how):
    store, directory = scratch.path("store"), scratch.path("mnt")
    os.makedirs(directory, exist_ok=True)
    return subprocess.run([CUBBYFS, store, directory, *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, **how)


@unmounted
def test_no_descriptors(scratch):
    """Where they do not suffice for a worker the daemon does not start, and says why."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))
    r = start(scratch, "-f", preexec_fn=few)
    equal(r.returncode, 2, "status: " + r.stderr)
    check("cannot start" in r.stderr, r.stderr)
    check(not os.path.exists(scratch.path("store")), "a store was made")


@unmounted
def test_standard_files_closed(scratch):
    """No socket of the daemon's gets the number of a standard file."""
    store, directory = scratch.path("store"), scratch.path("mnt")
    os.mkdir(directory)
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    r = subprocess.run(["sh", "-c", script, CUBBYFS, store, directory], timeout=60)
    equal(r.returncode, 0, "status")
    try:
        with open(directory + "/k", "w") as f:
            f.write("v")
        with open(directory + "/k") as f:
            equal(f.read(), "v", "value")
    finally:
        subprocess.run(["umount", directory], check=True)
    wait_for(lambda: not is_held(store), 20, "the end of the daemon")


def is_held(store):
    with open(store + "/lock") as f:
        return f.read() != ""


@unmounted
def test_a_users_daemon(scratch):
    """fusermount3 is set-user-ID: the supervisor runs it, the worker could not. The daemon has
    nothing, and its user unmounts either way; inotify events are told."""
    def act():
        install(enter_namespace())      # with a /dev/fuse that is anybody's
        top = scratch.path("u")
        for name in (top, top + "/mnt"):
            os.mkdir(name)
            os.chown(name, OTHER, OTHER)
        is_mounted(top)         # Python loads codecs late, from where this user may not look
        os.chdir("/")
        os.setgroups([])
        os.setresgid(OTHER, OTHER, OTHER)
        os.setresuid(OTHER, OTHER, OTHER)
        for way in ("fusermount3", "signal"):
            process = subprocess.Popen(["/sbin/cubbyfs", top + "/store", top + "/mnt", "-f"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
            wait_for(lambda: process.poll() is not None or is_mounted(top + "/mnt"), 20, "mount")
            check(process.poll() is None, process.poll() is not None and process.stderr.read())
            os.statvfs(top + "/mnt")
            with open(top + "/mnt/k", "w") as f:
                f.write("v")
            with Inotify() as i:
                i.add(top + "/mnt", DELETE)
                os.setxattr(top + "/mnt/k", "user.cubby.ttl", b"0.01")
                told = i.until(lambda e: e.name == b"k", 10)
            for path in threads(children(process.pid)[-1]):
                status = status_of(path)
                found = capabilities(status)
                equal((found["CapPrm"], found["CapEff"], found["CapInh"], found["CapAmb"]),
                      (0, 0, 0, 0), path)
                equal(status["NoNewPrivs"], "1", path)
                if has_seccomp():
                    equal(status["Seccomp"], "2", path)
            if way == "signal":
                process.send_signal(signal.SIGTERM)
            else:
                subprocess.run(["fusermount3", "-u", top + "/mnt"], check=True)
            equal(process.wait(20), 0, "status: %r" % process.stderr.read())
            process.stderr.close()
            check(not is_mounted(top + "/mnt"), "still mounted")
            check(told is not None, "no IN_DELETE")

    def child():
        tempfile.tempdir = scratch.top
        act()
    with Crew() as crew:
        crew.fork(child)
        crew.join(90)


# --- system calls --------------------------------------------------------------------------------

X86_64 = {"getpid": 39, "mount": 165, "execve": 59, "execveat": 322, "fork": 57, "clone": 56,
          "clone3": 435, "ptrace": 101, "unshare": 272, "socket": 41, "bpf": 321, "chown": 92,
          "init_module": 175, "open_tree": 428, "setuid": 105, "kill": 62, "prctl": 157,
          "seccomp": 317, "io_uring_setup": 425, "process_vm_readv": 310, "prlimit64": 302,
          "link": 86, "linkat": 265, "chmod": 90, "keyctl": 250, "capset": 126, "ioctl": 16}


@mount_only
def test_calls_that_are_refused(m):
    """Made by the daemon's own loop, as somebody would who has taken it over: refused, and the
    daemon goes on serving. The same calls are known to this kernel: the supervisor, which is
    not limited, gets another answer."""
    if not AVAILABLE:
        raise Skip("calls are made in another process on x86-64 only")
    if not has_seccomp():
        raise Skip("built without libseccomp")
    refused = [
        ("execve", 0), ("execveat", -1, 0), ("fork",), ("clone", int(signal.SIGCHLD)),
        ("clone3", 0, 0), ("mount", 0, 0, 0), ("open_tree", -1, 0, 1), ("unshare", 0x10000000),
        ("socket", socket.AF_INET, socket.SOCK_STREAM), ("socket", socket.AF_NETLINK, 3),
        ("ptrace", 16, 1), ("bpf", 99), ("init_module", 0), ("chown", 0), ("setuid", USER),
        ("kill", 1, 0), ("prctl", 8, 1), ("seccomp", 99), ("io_uring_setup", 0),
        ("process_vm_readv", 1), ("prlimit64", 0, 7, 8), ("link", 0, 0), ("linkat", -1, 0),
        ("chmod", 0, 0), ("keyctl", 99), ("capset", 0), ("ioctl", 0, 0x5412),
    ]
    worker = m.worker
    with Intruder(worker) as thread:
        equal(thread.call(X86_64["getpid"]), worker, "a call that is allowed")
        found = [(name, thread.call(X86_64[name], *arguments)) for name, *arguments in refused]
        fd = thread.call(X86_64["socket"], socket.AF_UNIX, socket.SOCK_DGRAM)
        check(fd >= 0, "a socket for syslog: %d" % fd)
    equal(found, [(name, -errno.ENOSYS) for name, *_ in refused], "answers")
    m.write("k", "v")
    equal(m.read("k"), b"v", "value after that")
    equal((children(m.pid), children(worker)), ([worker], []), "processes of the daemon")
    # the same arguments mean nothing anywhere, but the calls are there
    harmless = [call for call in refused
                if call[0] not in ("fork", "clone", "unshare", "setuid", "prctl", "socket")]
    with Intruder(m.pid) as thread:
        found = [(name, thread.call(X86_64[name], *arguments)) for name, *arguments in harmless]
    missing = [name for name, result in found if result == -errno.ENOSYS]
    check(len(missing) < 4, "calls that this kernel does not know: %r" % missing)
    m.unmount()


# --- what it takes those rights for -------------------------------------------------------------

def make_private(m, uid):
    """A namespace that only this user may enter, and keys in it that only he may touch."""
    def act():
        os.mkdir(m.path("of%d" % uid), 0o700)
        for name in ("expires", "counter", "watched"):
            fd = os.open(m.path("of%d/%s" % (uid, name)), os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, b"1")
            os.close(fd)
        os.mkdir(m.path("of%d/d" % uid), 0o000)
        os.chmod(m.path("of%d/watched" % uid), 0o000)
    return act


@mount_only
def test_events_of_other_users_keys(m):
    """The announcer acts on keys and in namespaces that root can enter only with
    CAP_DAC_OVERRIDE, and change only with CAP_FOWNER."""
    os.chmod(m.dir, 0o1777)
    for uid in (USER, OTHER, 0):
        as_user(make_private(m, uid), uid=uid)
        directory = m.path("of%d" % uid)

        def act():
            with Inotify() as i:
                watch = i.add(directory)
                node = i.add(directory + "/expires", DELETE_SELF)
                os.setxattr(directory + "/counter", "user.cubby.increment", b"41")
                told = i.until(lambda e: e.watch == watch and e.name == b"counter"
                               and e.has(CLOSE_WRITE), 10)
                check(told and any(e.has(MODIFY) for e in told), "increment: %r" % told)
                os.setxattr(directory + "/expires", "user.cubby.ttl", b"0.01")
                told = i.until(lambda e: e.watch == node and e.has(DELETE_SELF), 10)
                check(told and any(e.name == b"expires" and e.has(DELETE) for e in told),
                      "expiry: %r" % told)
                # of mode 0, the owner may still set its TTL
                os.chmod(directory + "/watched", 0o600)
                os.setxattr(directory + "/watched", "user.cubby.ttl", b"0.3")
                os.chmod(directory + "/watched", 0)
                told = i.until(lambda e: e.name == b"watched" and e.has(DELETE), 10)
                check(told, "expiry of a key of mode 0")
            return True
        check(as_user(act, uid=uid), "events of %d" % uid)
    equal(m.read("of%d/counter" % USER), b"42", "the counter")


@mount_only
def test_events_in_a_sticky_namespace(m):
    """Nobody but the owner may remove there; a lock directory goes with what is in it."""
    def act():
        os.mkdir(m.path("locks/d"))
        with open(m.path("locks/d/in"), "w") as f:
            f.write("v")
        with Inotify() as i:
            i.add(m.path("locks"), DELETE)
            os.setxattr(m.path("locks/d"), "user.cubby.ttl", b"0.05")
            return i.until(lambda e: e.name == b"d" and e.has(DELETE) and e.has(ISDIR), 10) is not None
    for uid in (USER, 0):
        check(as_user(act, uid=uid), "the lock of %d" % uid)


@mount_only
def test_names_that_are_made_anew(m):
    """The making is told once more after the removal that came late, whatever was made."""
    def act():
        os.mkdir(m.path("n"), 0o700)
        makes = {"file": lambda p: os.close(os.open(p, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)),
                 "directory": lambda p: os.mkdir(p, 0o700),
                 "link": lambda p: os.symlink("to", p), "fifo": lambda p: os.mkfifo(p, 0o600)}
        for kind, make in makes.items():
            path = m.path("n", kind)
            with Inotify() as i:
                with open(path, "w") as f:
                    f.write("v")
                i.add(m.path("n"), CREATE | DELETE)
                os.setxattr(path, "user.cubby.ttl", b"0.02")
                end = time.monotonic() + 10
                while True:     # at the very moment when it is gone
                    try:
                        make(path)
                        break
                    except FileExistsError:
                        check(time.monotonic() < end, "it does not expire")
                told = i.until(lambda e: e.name == kind.encode() and e.has(DELETE), 10)
                check(told is not None, "no IN_DELETE of the old %s" % kind)
                i.settle()
                told += i.read(0)
                check(told[-1].has(CREATE), "the last is the making of a %s: %s"
                      % (kind, [e.words() for e in told]))
        return True
    os.chmod(m.dir, 0o1777)
    check(as_user(act), "events")


SHELLS = (("bash", "-c"), ("dash", "-c"), ("busybox", "sh", "-c"))


@mount_only
def test_duplicated_descriptors(m):
    """One commit each: /proc/PID/fdinfo of another user's process takes CAP_SYS_PTRACE, and so
    does that of a process of root's, which has more capabilities than the daemon."""
    os.chmod(m.dir, 0o1777)

    def act(name):
        path = m.path(name)
        for number, shell in enumerate(SHELLS):
            before = os.path.exists(path) and os.getxattr(path, "user.cubby.version")
            subprocess.run([*shell, '{ echo a; echo b >/dev/null; echo c; } > "$0"', path],
                           check=True)
            with open(path) as f:
                equal(f.read(), "a\nc\n", "%s of %s" % (name, shell[0]))
            equal(int(os.getxattr(path, "user.cubby.version")), int(before or 0) + 1,
                  "version after %s" % shell[0])
            # another thread's close, and a dup that is closed first
            fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
            os.write(fd, b"half ")
            os.close(os.dup(fd))
            with open(path) as f:
                equal(f.read(), "a\nc\n", "the old value before the last close")
            os.write(fd, b"whole")
            os.close(fd)
            with open(path) as f:
                equal(f.read(), "half whole", "value")
        return True
    for uid in (USER, OTHER, 0):
        check(as_user(act, "k%d" % uid, uid=uid), "dups of %d" % uid)


@mount_only
@options("lock_keepalive")
def test_holders(m):
    """Who holds a lock, and when he ends: of ordinary users and of root."""
    for uid in (USER, 0):
        name = "locks/%d" % uid

        def act():
            m.path(name)
            fd = os.open(m.path(name), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.close(fd)
            holder = json.loads(m.get(name, "holder"))
            equal((holder["pid"], holder["uid"]), (os.getpid(), uid), "holder")
            with open("/proc/self/comm") as f:
                equal(holder["command"], f.read().strip(), "command")
            m.set(name, "ttl", "0.2")
            time.sleep(0.5)
            check(os.path.exists(m.path(name)), "it has not been kept alive")
            return True
        check(as_user(act, uid=uid), "holder %d" % uid)
        wait_for(lambda: not os.path.exists(m.path(name)), 5, "the end after the holder's")


@mount_only
def test_cubby_lock(m):
    def act():
        r = subprocess.run([CUBBY, "lock", m.path("locks/c"), "--ttl", "5", "--", "cat",
                            m.path("locks/c")], capture_output=True, text=True, timeout=30)
        equal((r.returncode, r.stderr), (0, ""), "cubby lock")
        return True
    for uid in (USER, 0):
        check(as_user(act, uid=uid), "cubby lock of %d" % uid)


@mount_only
def test_late_commits(m):
    """A child that keeps the descriptor; the value comes, with its events, when it closes it."""
    os.chmod(m.dir, 0o1777)

    def act():
        path = m.path("late")
        script = 'exec 3>&1 >"$0"; echo one; echo begun >&3; exec 3>&-; read x; echo two'
        child = subprocess.Popen(["sh", "-c", script, path], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        equal(child.stdout.readline(), b"begun\n", "the child")
        child.stdout.close()
        with Inotify() as i:
            i.add(m.dir, OPEN | MODIFY | CLOSE_WRITE)
            child.stdin.close()
            equal(child.wait(20), 0, "status")
            told = i.until(lambda e: e.name == b"late" and e.has(CLOSE_WRITE), 10)
            check(told is not None, "no IN_CLOSE_WRITE")
        with open(path) as f:
            equal(f.read(), "one\ntwo\n", "value")
        return True
    check(as_user(act), "late commits")


@mount_only
def test_groups(m):
    """The groups of a process, which are in its /proc/PID/status: who is not in a key's group
    loses its set-group-ID bit by a chmod, and who is does not."""
    os.chmod(m.dir, 0o1777)

    def act(groups):
        os.setgroups(groups)
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        os.chmod(m.path("k"), 0o2750)
        return stat.S_IMODE(os.stat(m.path("k")).st_mode)
    m.write("k", "v")
    os.chown(m.path("k"), USER, 777)
    for groups, wanted in (([777], 0o2750), ([778], 0o750)):
        with Crew() as crew:
            crew.fork(act, groups)
            equal(crew.join(30)[0], wanted, "mode set by a member of %r" % groups)


# --- the store --------------------------------------------------------------------------------------

def everything(store):
    yield store, os.lstat(store)
    for directory, names, files in os.walk(store):
        for name in names + files:
            yield os.path.join(directory, name), os.lstat(os.path.join(directory, name))


@unmounted
def test_modes_of_the_store(scratch):
    """Whatever the umask."""
    for number, umask in enumerate((0, 0o22, 0o777)):
        store = scratch.path("store%d" % number)
        os.umask(umask)
        try:
            os.makedirs(scratch.path("mnt"), mode=0o700, exist_ok=True)
            os.chmod(scratch.path("mnt"), 0o700)
            m = scratch.mount(store=store)
            m.write("k", "v")
            with open(m.path("k")) as f:
                os.fsync(f.fileno())
            m.unmount()
        finally:
            os.umask(0o022)
        seen = 0
        for path, st in everything(store):
            wanted = 0o700 if stat.S_ISDIR(st.st_mode) else 0o600
            equal(stat.S_IMODE(st.st_mode), wanted, path)
            equal((st.st_uid, st.st_gid), (0, 0), path)
            seen += 1
        check(seen >= 5, "files in the store: %d" % seen)
        scratch.mounts.remove(m)


@unmounted
def test_a_store_that_others_can_write_to(scratch):
    m = scratch.mount()
    m.write("k", "v")
    m.unmount()
    for mode in (0o770, 0o777, 0o1777):
        os.chmod(m.store, mode)
        r = start(scratch)
        equal((r.returncode, len(r.stderr.splitlines())), (2, 1), r.stderr)
        check("others than its owner can write to the store" in r.stderr, r.stderr)
        check(not is_mounted(m.dir), "mounted")
        r = subprocess.run([CUBBY, "check", m.store], capture_output=True, text=True)
        equal(r.returncode, 1, "cubby check: " + r.stdout)
        check("others than its owner can write" in r.stdout, r.stdout)
        r = subprocess.run([CUBBY, "compact", m.store], capture_output=True, text=True)
        check(r.returncode != 0 and "others than its owner" in r.stderr, "compact: " + r.stderr)
    os.chmod(m.store, 0o700)
    os.chown(m.store, USER, USER)
    r = start(scratch)
    equal((r.returncode, len(r.stderr.splitlines())), (2, 1), r.stderr)
    check("belongs to user %d" % USER in r.stderr, r.stderr)
    os.chown(m.store, 0, 0)
    m.start()
    equal(m.read("k"), b"v", "value")


@unmounted
def test_planted_links(scratch):
    """Each file of a store in turn is a link to somebody else's: that one is neither read nor
    written, and what is wrong is said."""
    precious = scratch.path("precious")

    def restore():
        with open(precious, "w") as f:
            f.write("precious\n")
        os.chmod(precious, 0o644)

    m = scratch.mount()
    m.write("k", "v")
    m.unmount()
    with open(m.store + "/synced"):
        pass
    names = sorted(os.listdir(m.store))
    check({"lock", "format", "synced"} < set(names) and len(names) == 4, "files: %r" % names)
    for name in names:
        restore()
        os.rename(os.path.join(m.store, name), scratch.path("kept"))
        os.symlink(precious, os.path.join(m.store, name))
        r = subprocess.run([CUBBY, "check", m.store], capture_output=True, text=True)
        if name != "lock":
            check(r.returncode != 0 and "symbolic link" in r.stdout + r.stderr,
                  "check of %s: %d %s%s" % (name, r.returncode, r.stdout, r.stderr))
        if name == "lock":
            r = start(scratch)
            equal((r.returncode, len(r.stderr.splitlines())), (2, 1), r.stderr)
            check("it is a symbolic link" in r.stderr and name in r.stderr, r.stderr)
            r = subprocess.run([CUBBY, "compact", m.store], capture_output=True, text=True)
            check(r.returncode != 0 and "symbolic link" in r.stderr, "compact: " + r.stderr)
        else:
            m.start()
            equal(os.path.exists(m.path("k")), name in ("synced", "format"), "k without " + name)
            check(m.stats()["damage"]["damaged_lines"] >= 1, "stats: %r" % m.stats())
            check(name == "format" or "it is a symbolic link" in m.read_log(), m.read_log())
            m.write("more", name)
            m.unmount()
        with open(precious) as f:
            equal(f.read(), "precious\n", "what %s led to" % name)
        equal(stat.S_IMODE(os.stat(precious).st_mode), 0o644, "its mode")
        if os.path.islink(os.path.join(m.store, name)):
            os.unlink(os.path.join(m.store, name))
        for left in os.listdir(m.store):
            if left == "damaged":
                shutil.rmtree(os.path.join(m.store, left))
            elif left not in names:
                os.unlink(os.path.join(m.store, left))
        os.rename(scratch.path("kept"), os.path.join(m.store, name))
    m.start()
    equal(m.read("k"), b"v", "value, at last")


@mount_only
def test_the_store_is_renamed(m):
    """It is held by descriptor: what is put in its place gets nothing."""
    m.write("k", "v")
    os.rename(m.store, m.store + ".moved")
    os.symlink(m.scratch.path("elsewhere"), m.store)
    os.mkdir(m.scratch.path("elsewhere"))
    m.write("k", "w")
    with open(m.path("k")) as f:
        os.fsync(f.fileno())
    m.unmount()
    equal(os.listdir(m.scratch.path("elsewhere")), [], "elsewhere")
    os.unlink(m.store)
    os.rename(m.store + ".moved", m.store)
    m.start()
    equal(m.read("k"), b"w", "value")


if __name__ == "__main__":
    main(globals())
