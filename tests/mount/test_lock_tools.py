# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""The tools with which people lock, unmodified.

With each, eight processes increment a file and a key, and nothing is lost.
With each, a holder is killed with -9 and somebody waits: here he gets the lock
once its TTL has passed, on tmpfs he never does. (Items 1 and 2 of the issue.)
And who waits for longer than the TTL, since the lock is refreshed, goes on waiting.
And what only looks like a lock stays: trees with `*.lock` in them, copied in.

There are two kinds of tools. Most make a name exclusively and remove it; what a
killed holder leaves there is left until its TTL ends. The others lock an open
file (flock(2), fcntl(2)): the kernel lets go of that when its process ends, on
tmpfs too, so that for these both are shown to go on at once. Their lock file is
an ordinary file, made non-exclusively, and stays, by their design.

A tool is a script, run with the lock's path and what to do in its environment:
LOCK; ACTION, "count" or "hold"; TIMES, PLAIN, KEY, what to count and where.
"""
import concurrent.futures
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (BUILD, CUBBY, PLAIN, Skip, check, equal, main,  # noqa: E402
                     mount_only, wait_for)
from watcher import Watcher, processes_of  # noqa: E402

NODE_MODULES = os.path.join(BUILD, "npm", "node_modules")
SYSTEM_PYTHON = "/usr/bin/python3"      # Debian's, which has Debian's modules
PROCESSES = 8
LONG = os.environ.get("CUBBY_LONG") == "1"
TIMES = 200 if LONG else 25
SHELL_TIMES = 200 if LONG else 10       # where each time takes several programs
TTL = 2

# --- the tools ----------------------------------------

# What the shell's locks share: they define lock and unlock.
SHELL = r"""
if [ $ACTION = hold ]; then
    lock || exit 1
    echo held
    sleep 1000
    exit
fi
i=0
while [ $i -lt $TIMES ]; do
    lock || exit 1
    read n < "$PLAIN"
    read k < "$KEY"
    echo $((n + 1)) >| "$PLAIN"
    echo $((k + 1)) >| "$KEY"
    unlock || exit 1
    i=$((i + 1))
done
"""

# What the tools share that run a command under the lock: they define run.
RUN = r"""
if [ $ACTION = hold ]; then
    run sh -c 'echo held; sleep 1000'
    exit
fi
i=0
while [ $i -lt $TIMES ]; do
    run sh -c '
        read n < "$PLAIN"
        read k < "$KEY"
        echo $((n + 1)) > "$PLAIN"
        echo $((k + 1)) > "$KEY"' || exit 1
    i=$((i + 1))
done
"""

PYTHON = r"""
import os, sys, time
lock = os.environ["LOCK"]
kind = sys.argv[1]
if kind == "SoftFileLock":
    from filelock import SoftFileLock
    one = SoftFileLock(lock)
    acquire, release = (lambda: one.acquire(poll_interval=0.01)), one.release
elif kind == "FileLock":
    from filelock import FileLock
    one = FileLock(lock)
    acquire, release = (lambda: one.acquire(poll_interval=0.01)), one.release
elif kind == "InterProcessLock":
    from fasteners import InterProcessLock
    one = InterProcessLock(lock)
    acquire, release = one.acquire, one.release
elif kind == "InterProcessReaderWriterLock":
    from fasteners import InterProcessReaderWriterLock
    one = InterProcessReaderWriterLock(lock)
    acquire, release = one.acquire_write_lock, one.release_write_lock
elif kind == "mailbox":
    # It locks the mailbox with fcntl(2) and then with a name: makes one, links it, removes it.
    import mailbox
    box = mailbox.mbox(lock[:-len(".lock")])
    def acquire():
        while True:
            try:
                return box.lock()
            except mailbox.ExternalClashError:
                time.sleep(0.01)
    release = box.unlock
else:       # these add .lock themselves
    from lockfile import linklockfile, mkdirlockfile
    module = {"LinkLockFile": linklockfile, "MkdirLockFile": mkdirlockfile}[kind]
    one = getattr(module, kind)(lock[:-len(".lock")])
    acquire, release = one.acquire, one.release

def increment(path):
    with open(path) as f:
        n = int(f.read())
    with open(path, "w") as f:
        f.write("%d\n" % (n + 1))

if os.environ["ACTION"] == "hold":
    acquire()
    print("held", flush=True)
    time.sleep(1000)
for _ in range(int(os.environ["TIMES"])):
    acquire()
    increment(os.environ["PLAIN"])
    increment(os.environ["KEY"])
    release()
"""

# A lock is stale for it after 10 s without an update, unless told otherwise: told an hour, so
# that what ends the wait is not its own doing. It touches the lock meanwhile, each second at most.
NODE = r"""
const fs = require('fs');
const lockfile = require('proper-lockfile');
const env = process.env;
const options = {
    realpath: false, lockfilePath: env.LOCK, stale: 3600000, update: 1000,
    retries: { forever: true, factor: 1, minTimeout: 10, maxTimeout: 30, randomize: true },
};
function increment(path) {
    fs.writeFileSync(path, (parseInt(fs.readFileSync(path, 'utf8')) + 1) + '\n');
}
async function main() {
    if (env.ACTION === 'hold') {
        await lockfile.lock(env.LOCK, options);
        console.log('held');
        setInterval(() => {}, 1000000);
        return;
    }
    for (let i = 0; i < env.TIMES; i++) {
        const release = await lockfile.lock(env.LOCK, options);
        increment(env.PLAIN);
        increment(env.KEY);
        await release();
    }
}
main();
"""


class Tool:
    """times: how often each process counts. kernel: the kernel lets go of the lock of a killed
    process. leaves: what it leaves in the directory by design, in any; and killed. refreshes:
    while it holds. own: the file system's own tool, which knows no tmpfs."""

    def __init__(self, command, times=TIMES, needs=(), module=None, kernel=False, leaves="",
                 leaves_killed="", refreshes=False, own=False):
        self.command = command
        self.times = times
        self.needs = needs
        self.module = module
        self.kernel = kernel
        self.leaves = "k.lock" if kernel else leaves
        self.leaves_killed = leaves_killed or self.leaves
        self.refreshes = refreshes
        self.own = own

    def need(self):
        for each in self.needs:
            if not shutil.which(each):
                raise Skip("%s is not installed" % each)
        if self.module and subprocess.run([SYSTEM_PYTHON, "-c", "import " + self.module],
                                          capture_output=True).returncode:
            raise Skip("python3-%s is not installed" % self.module)
        if self.command[0] == "node" and not os.path.isdir(
                os.path.join(NODE_MODULES, "proper-lockfile")):
            raise Skip("proper-lockfile is not in %s: './dev test' puts it there where there is npm"
                       % NODE_MODULES)
        if self.own and PLAIN:
            raise Skip("not for a plain directory")
        if self.own and subprocess.run([CUBBY, "lock", "--help"],
                                       capture_output=True).returncode:
            raise Skip("there is no cubby lock")

    def start(self, lock, action, plain="", key=""):
        environment = dict(
            os.environ, LC_ALL="C", LOCK=lock, ACTION=action, PLAIN=plain, KEY=key,
            TIMES=str(self.times), NODE_PATH=NODE_MODULES, PYTHONDONTWRITEBYTECODE="1",
            PATH=os.path.dirname(CUBBY) + ":" + os.environ["PATH"])
        return Watcher(self.command, env=environment)


def shell(text, interpreter="dash", common=SHELL, **more):
    return Tool([interpreter, "-c", text + common], SHELL_TIMES, **more)


def python(kind, **more):
    return Tool([SYSTEM_PYTHON, "-c", PYTHON, kind], **more)


NOCLOBBER = """
set -o noclobber
lock() { until { echo $$ > "$LOCK"; } 2> /dev/null; do sleep 0.05; done; }
unlock() { rm "$LOCK"; }
"""

TOOLS = {
    "noclobber_bash": shell(NOCLOBBER, "bash", needs=["bash"]),
    "noclobber_dash": shell(NOCLOBBER, "dash", needs=["dash"]),
    "mkdir": shell("""
        lock() { until mkdir "$LOCK" 2> /dev/null; do sleep 0.05; done; }
        unlock() { rmdir "$LOCK"; }
        """),
    "symlink": shell("""
        lock() { until ln -s $$ "$LOCK" 2> /dev/null; do sleep 0.05; done; }
        unlock() { rm "$LOCK"; }
        """),
    # The temporary name is made by `>`, so it is no lock. One that was killed leaves it, on any
    # file system; so it lies beside the lock namespace here.
    "link": shell("""
        mine=${LOCK%/*/*}/own.$$
        echo $$ > "$mine"
        trap 'rm -f "$mine"' EXIT
        lock() { until ln "$mine" "$LOCK" 2> /dev/null; do sleep 0.05; done; }
        unlock() { rm "$LOCK"; }
        """),
    # A waiter looks once a second: it knows no less (0 would be no pause at all). It has no
    # staleness unless -l is given.
    "lockfile": shell("""
        lock() { lockfile -1 -r -1 "$LOCK"; }
        unlock() { rm -f "$LOCK"; }
        """, needs=["lockfile"]),
    # As above. Without -p a lock is stale after 5 minutes; with it, once its process has ended.
    "dotlockfile": shell("""
        lock() { dotlockfile -l -r -1 -i 1 "$LOCK"; }
        unlock() { dotlockfile -u "$LOCK"; }
        """, needs=["dotlockfile"]),
    "SoftFileLock": python("SoftFileLock", module="filelock"),  # 3.9: no staleness
    # Its own name beside the lock is made by open("wb"), so it is no lock: a killed one leaves
    # that, on any file system. MkdirLockFile's is in the lock directory, and goes with it.
    "LinkLockFile": python("LinkLockFile", module="lockfile",
                           leaves_killed=r"(?!.*\.lock$).*\.\d+-?\d+"),
    "MkdirLockFile": python("MkdirLockFile", module="lockfile"),
    "mailbox": python("mailbox", leaves="k"),
    "proper_lockfile": Tool(["node", "-e", NODE], needs=["node"], refreshes=True),
    "cubby_lock": shell('run() { cubby lock "$LOCK" -- "$@"; }', common=RUN, refreshes=True,
                        own=True),
    # and those on descriptors
    "flock": shell('run() { flock "$LOCK" "$@"; }', common=RUN, needs=["flock"], kernel=True),
    "flock_descriptor": shell("""
        lock() { exec 9> "$LOCK" && flock 9; }
        unlock() { exec 9>&-; }
        """, needs=["flock"], kernel=True),
    "lckdo": shell('run() { lckdo -w "$LOCK" "$@"; }', common=RUN, needs=["lckdo"],
                   kernel=True),
    "FileLock": python("FileLock", module="filelock", kernel=True),
    "InterProcessLock": python("InterProcessLock", module="fasteners", kernel=True),
    "InterProcessReaderWriterLock": python("InterProcessReaderWriterLock",
                                           module="fasteners", kernel=True),
}


def lock_namespace(m, ttl):
    """locks/ of a new store; a plain directory for the cases themselves to be tried on."""
    directory = m.path("locks")
    if PLAIN:
        os.mkdir(directory)
    else:
        m.set("locks", "lock_ttl", ttl)
    return directory


def left(directory, pattern):
    """What is in the directory that should not be."""
    return [n for n in os.listdir(directory) if not re.fullmatch(pattern, n)]


# --- nothing is lost ----------------------------------------


def count(m, tool):
    tool.need()
    locks = lock_namespace(m, 30)
    plain, key = m.scratch.path("counter"), m.path("counter")
    for path in (plain, key):
        with open(path, "w") as f:
            f.write("0\n")
    start = time.monotonic()
    workers = [tool.start(os.path.join(locks, "k.lock"), "count", plain, key)
               for _ in range(PROCESSES)]
    try:
        for w in workers:
            status = w.wait(100)
            equal((status, w.err), (0, ""), "status and stderr of a worker")
    finally:
        for w in workers:
            end(w)
    took = time.monotonic() - start
    print("# %d x %d in %.1f s" % (PROCESSES, tool.times, took))
    for path in (plain, key):
        with open(path) as f:
            equal(int(f.read()), PROCESSES * tool.times, "sum in " + path)
    equal(left(locks, tool.leaves), [], "left in the lock namespace")


def end(watcher):
    """kill -9 of all that it has started, wherever that put itself."""
    for pid in list(processes_of(watcher.pid)):
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    watcher.stop()


def case_of(tool):
    def case(m):
        count(m, tool)
    return case


for _name, _tool in TOOLS.items():
    globals()["test_count_" + _name] = case_of(_tool)


# --- the holder is killed ----------------------------------------


def take_over(tool, lock, patience, refreshed=0.0):
    """A holder, killed while another waits. When he got it, in seconds: after the holder was
    started, after it held, after it was killed; or None for never, that is, not in that time.
    refreshed: the waiter waits for so long before, and somebody touches the lock meanwhile."""
    watchers = []

    def hold():
        watchers.append(tool.start(lock, "hold"))
        return watchers[-1]
    try:
        started = time.monotonic()
        holder = hold()
        holder.expect("(?m)^held$")
        held = time.monotonic()
        # Some look once a second: not in step with the TTL, which is in whole seconds.
        holder.quiet(0.4)
        waiter = hold()
        equal(waiter.quiet(0.4), "", "two hold it")
        while time.monotonic() < held + refreshed:
            if not tool.refreshes:
                os.utime(lock, follow_symlinks=False)
            equal(waiter.quiet(0.2), "", "two hold it")
            check(waiter.open, "the waiter has given up: %s" % waiter.said())
        killed = time.monotonic()
        end(holder)
        while "\n" not in waiter.out and waiter.open:
            if time.monotonic() > killed + patience:
                return None
            waiter.read(0.05)
        got = time.monotonic()
        equal((waiter.out, waiter.err), ("held\n", ""),
              "what the waiter said, %.1f s after the kill" % (got - killed))
        return got - started, got - held, got - killed
    finally:
        for w in watchers:
            end(w)


def killed_here(tool, locks):
    """On the mount. Returns what is to be told."""
    lock = os.path.join(locks, "k.lock")
    times = take_over(tool, lock, TTL + 8)
    check(times, "the waiter never got it")
    told = "%.2f s after it was taken, %.2f s after the kill" % times[1:]
    if tool.kernel:
        check(times[2] < 1, told)
    else:
        check(times[0] >= TTL, "before its TTL had passed: " + told)
        # one that refreshes has a TTL that began later, but before the kill
        check(times[2 if tool.refreshes else 1] <= TTL + 1, told)
    nothing_left(tool, locks)
    return told


def refreshed_here(tool, locks):
    times = take_over(tool, os.path.join(locks, "k.lock"), TTL + 8, 2 * TTL)
    check(times, "the waiter never got it")
    told = "%.2f s after it was taken, %.2f s after the kill" % times[1:]
    check(times[2] <= TTL + 1, told)
    nothing_left(tool, locks)
    return told


def nothing_left(tool, locks):
    """Its holder and its waiter have been killed."""
    wait_for(lambda: not left(locks, tool.leaves_killed), TTL + 2,
             "nothing left in the lock namespace but %r" % tool.leaves_killed)


def killed_there(tool, directory):
    """On tmpfs."""
    lock = os.path.join(directory, "k.lock")
    if tool.own:
        with tool.start(lock, "hold") as w:
            w.wait()
            check("not on a cubbyfs mount" in w.err and not w.out, w.said())
        return "tmpfs: refuses to lock"
    times = take_over(tool, lock, 2 * (TTL + 1))
    if tool.kernel:
        check(times and times[2] < 1, "tmpfs: %r" % (times,))
        return "tmpfs: %.2f s after the kill" % times[2]
    equal(times, None, "tmpfs: the waiter got it")
    return "tmpfs: the waiter waited for %d s and would for ever" % (2 * (TTL + 1))


def at_once(m, names, there=None):
    """Several tools at once, since they mostly wait; each in a namespace of its own. There, in
    that directory, too."""
    failed, missing = [], []
    with concurrent.futures.ThreadPoolExecutor(2 * len(names)) as pool:
        runs = []
        for name in names:
            tool = TOOLS[name]
            try:
                tool.need()
            except Skip as e:
                missing.append(str(e))
                continue
            os.mkdir(m.path(name))
            m.set(name, "lock_ttl", TTL)
            if not there:
                runs.append((name, pool.submit(refreshed_here, tool, m.path(name))))
                continue
            runs.append((name, pool.submit(killed_here, tool, m.path(name))))
            os.mkdir(os.path.join(there, name))
            runs.append((name, pool.submit(killed_there, tool, os.path.join(there, name))))
        for name, run in runs:
            try:
                print("# %s: %s" % (name, run.result()))
            except Exception as e:
                failed.append("%s: %s" % (name, e))
    check(not failed, "; ".join(failed))
    if missing:
        raise Skip("; ".join(missing))


def killed(m, names):
    tmpfs = m.scratch.path("tmpfs")
    os.mkdir(tmpfs)
    subprocess.run(["mount", "-t", "tmpfs", "cubbytest", tmpfs], check=True)
    try:
        at_once(m, names, tmpfs)
    finally:
        subprocess.run(["umount", "-l", tmpfs], check=True)


@mount_only
def test_killed_in_the_shell(m):
    killed(m, ["noclobber_bash", "noclobber_dash", "mkdir", "symlink", "link", "lockfile",
               "dotlockfile", "cubby_lock"])


@mount_only
def test_killed_in_a_language(m):
    killed(m, ["SoftFileLock", "LinkLockFile", "MkdirLockFile", "mailbox", "proper_lockfile"])


@mount_only
def test_killed_with_a_locked_descriptor(m):
    killed(m, ["flock", "flock_descriptor", "lckdo", "FileLock", "InterProcessLock",
               "InterProcessReaderWriterLock"])


@mount_only
def test_refreshed_while_others_wait(m):
    """For more than a TTL. A waiter may have made a name of its own for all that time."""
    at_once(m, [name for name, tool in TOOLS.items() if not tool.kernel])


@mount_only
def test_every_tool_is_killed(m):
    with open(__file__) as f:
        source = f.read().split("# --- the holder is killed")[1]
    equal([name for name in TOOLS if '"%s"' % name not in source], [], "tools without a case")


# --- what is no lock ----------------------------------------


def make_tree(top):
    """What projects have of names in .lock, of each kind."""
    os.makedirs(os.path.join(top, "sub", "dir.lock", "deep.lock"))
    for name, text in (("Cargo.lock", "version = 3\n"),
                       ("yarn.lock", "# yarn lockfile v1\n" * 9000),
                       ("empty.lock", ""), (".lock", "dot\n"), ("k", "no lock\n"),
                       ("sub/poetry.lock", "[[package]]\n"), ("sub/dir.lock/inside", "1\n"),
                       ("sub/dir.lock/deep.lock/x.lock", "2\n")):
        with open(os.path.join(top, name), "w") as f:
            f.write(text)
    os.symlink("Cargo.lock", os.path.join(top, "link.lock"))
    os.link(os.path.join(top, "Cargo.lock"), os.path.join(top, "sub", "twin.lock"))


def contents(top):
    """Path by path, what is there."""
    found = {}
    for directory, names, files in os.walk(top):
        if ".git" in names:
            names.remove(".git")
        for name in names + files:
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, top)
            if os.path.islink(path):
                found[relative] = ("link", os.readlink(path))
            elif os.path.isdir(path):
                found[relative] = ("directory", "")
            else:
                with open(path) as f:
                    found[relative] = ("file", f.read())
    return found


def attributes_of_a_lock(top):
    """Those that anything in the tree has, .git too."""
    found = []
    for directory, names, files in os.walk(top):
        for path in [directory] + [os.path.join(directory, n) for n in names + files]:
            if os.path.islink(path):    # Linux has no user attributes there
                continue
            for name in ("ttl", "expires", "token", "holder"):
                try:
                    value = os.getxattr(path, "user.cubby." + name)
                    found.append((os.path.relpath(path, top), name, value))
                except OSError as e:
                    equal(e.errno, errno.ENODATA, "errno of %s of %s" % (name, path))
    return found


@mount_only
def test_copied_trees_stay(m):
    m.set("locks", "lock_ttl", 1)
    source = m.scratch.path("source")
    make_tree(source)
    wanted = contents(source)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", source]
    for words in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-q", "-m", "one"]):
        subprocess.run(git + words, check=True)

    def outside_in(*command, **more):
        subprocess.run(command, check=True, **more)

    os.mkdir(m.path("tar"))
    outside_in("cp", "-a", source, m.path("cp"))
    outside_in("sh", "-c", 'tar -cf - -C "$1" . | tar -xf - -C "$2"', "-", source, m.path("tar"))
    outside_in("rsync", "-aHX", source + "/", m.path("rsync"))
    outside_in("git", "clone", "-q", source, m.path("git"))
    outside_in("git", "clone", "-q", m.path("git"), m.path("git-again"))
    trees = ("cp", "tar", "rsync", "git", "git-again")

    # The TTL of locks runs meanwhile: what was made last in locks/ is gone.
    m.write("ordinary", "1")
    fd = os.open(m.path("locks", "one.lock"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.close(fd)
    wait_for(lambda: not os.path.exists(m.path("locks", "one.lock")), 3, "the end of a lock")
    time.sleep(0.5)     # what should not be swept could be swept late

    for tree in trees:
        # .git/index.lock and its like are locks of git's, which it renames or removes itself
        equal(contents(m.path(tree)), wanted, "what is in " + tree)
        equal(attributes_of_a_lock(m.path(tree)), [], "attributes of a lock in " + tree)
        subprocess.run(["git", "-C", m.path(tree), "status", "--porcelain"], check=True,
                       capture_output=True)
    for tree in ("git", "git-again"):
        subprocess.run(["git", "-C", m.path(tree), "fsck", "--strict"], check=True,
                       capture_output=True)
        r = subprocess.run(["git", "-C", m.path(tree), "status", "--porcelain"], check=True,
                           capture_output=True, text=True)
        equal(r.stdout, "", "git status in " + tree)


if __name__ == "__main__":
    main(globals())
