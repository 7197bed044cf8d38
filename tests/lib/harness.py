# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What every test on a real mount shares.

A test file defines functions named test_* that take one argument, a Mount
(mounted on a fresh store in a directory of its own), and ends with

    if __name__ == "__main__":
        main(globals())

Options for one test's mount: the decorator @options("max_value=16M", ...).
A test that mounts by itself takes a Scratch (@unmounted) instead.

main() runs each in turn, under a deadline (@deadline(seconds), default 120),
prints TAP, unmounts whatever the test left and removes its directory; it never
stops at the first failure. `file.py NAME...` runs only the named tests.

With CUBBY_TEST_DIR=/some/dir the tests run in a plain directory there instead
of a mount: how the POSIX cases are themselves checked against ext4 and tmpfs.
Tests marked @mount_only are then skipped, and say so.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("CUBBY_BUILD", os.path.join(ROOT, "build"))
CUBBYFS = os.environ.get("CUBBYFS", os.path.join(BUILD, "fs", "cubbyfs"))
CUBBY = os.environ.get("CUBBY", os.path.join(BUILD, "cli", "cubby"))
MOUNT_CUBBYFS = os.environ.get(
    "MOUNT_CUBBYFS", os.path.join(BUILD, "mount-helper", "mount.cubbyfs"))
PLAIN = os.environ.get("CUBBY_TEST_DIR")


class Failure(AssertionError):
    pass


class Skip(Exception):
    pass


def check(condition, message):
    """Like assert, but never compiled out."""
    if not condition:
        raise Failure(message)


def equal(got, wanted, what="value"):
    if got != wanted:
        raise Failure("%s: got %.300r, wanted %.300r" % (what, got, wanted))


@contextlib.contextmanager
def raises(errno_wanted, what=""):
    """The block must raise OSError with this errno."""
    try:
        yield
    except OSError as e:
        if e.errno != errno_wanted:
            raise Failure("%s: got %s, wanted %s" % (
                what, os.strerror(e.errno), os.strerror(errno_wanted))) from e
    else:
        raise Failure("%s: succeeded, wanted %s" % (what, os.strerror(errno_wanted)))


def wait_for(condition, seconds=10.0, what="condition", pause=0.005):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("%s: not within %g s" % (what, seconds))
        time.sleep(pause)


def is_mounted(directory):
    directory = os.path.realpath(directory)
    with open("/proc/self/mountinfo", "rb") as f:
        for line in f:
            point = line.split()[4].decode("unicode_escape", "surrogateescape")
            if point == directory:
                return True
    return False


def children(pid):
    """Those of a process that are alive."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        pids = [int(child) for child in f.read().split()]
    alive = []
    for child in pids:
        try:
            with open("/proc/%d/stat" % child) as f:
                state = f.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            alive.append(child)
    return alive


class Scratch:
    """A test's own directory, with the stores and mounts made in it."""

    def __init__(self):
        base = PLAIN or os.environ.get("TMPDIR", "/tmp")
        self.top = tempfile.mkdtemp(prefix="cubbytest.", dir=base)
        os.chmod(self.top, 0o755)
        self.mounts = []

    def path(self, *names):
        return os.path.join(self.top, *names)

    def mount(self, store=None, directory=None, options=()):
        m = Mount(self, store or self.path("store"),
                  directory or self.path("mnt"), options)
        m.start()
        return m

    def close(self):
        for m in reversed(self.mounts):
            m.destroy()
        with open("/proc/self/mountinfo") as f:
            left = [line.split()[4] for line in f if line.split()[4].startswith(self.top + "/")]
        for point in reversed(left):
            subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.top, ignore_errors=True)


class Mount:
    """A running daemon and its mount. `dir` is where it is seen."""

    def __init__(self, scratch, store, directory, options=()):
        self.scratch = scratch
        self.store = store
        self.dir = directory
        self.options = list(options)
        self.log = scratch.path("log")
        self.process = None
        scratch.mounts.append(self)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start(self, seconds=60.0):
        os.makedirs(self.dir, exist_ok=True)
        if PLAIN:
            return
        command = [CUBBYFS, self.store, self.dir, "-f"]
        if self.options:
            command += ["-o", ",".join(self.options)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)

        def answers():
            if self.process.poll() is not None:
                raise Failure("the daemon ended with %d: %s"
                              % (self.process.returncode, self.read_log()))
            if not is_mounted(self.dir):
                return False
            os.statvfs(self.dir)
            return True
        wait_for(answers, seconds, "mount")

    def read_log(self):
        with open(self.log, errors="replace") as f:
            return f.read()[-3000:]

    @property
    def pid(self):
        """The supervisor's, which holds the mount."""
        return self.process.pid

    @property
    def worker(self):
        """The pid of the process that answers."""
        return wait_for(lambda: children(self.pid), 10, "a worker")[-1]

    def unmount(self, seconds=30.0):
        """An ordinary umount; returns when the daemon has ended, which must be with 0."""
        if PLAIN:
            return
        end = time.monotonic() + seconds
        while True:     # something may just have looked into it: EBUSY passes
            r = subprocess.run(["umount", self.dir], capture_output=True, text=True)
            if r.returncode == 0:
                break
            if "busy" not in r.stderr or time.monotonic() > end:
                raise Failure("umount: " + r.stderr)
            time.sleep(0.02)
        code = self.process.wait(seconds)
        self.process = None
        if code != 0:
            raise Failure("the daemon ended with %d: %s" % (code, self.read_log()))

    def remount(self, options=None):
        """Unmount, mount again: what the store kept is what is there."""
        self.unmount()
        if options is not None:
            self.options = list(options)
        self.start()

    def kill(self):
        """kill -9, and the dead mount taken away."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        subprocess.run(["umount", "-l", self.dir], check=True)

    def destroy(self):
        if self.process is not None:
            subprocess.run(["umount", "-l", self.dir], stderr=subprocess.DEVNULL)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    # plain file I/O, the way a program would
    def write(self, name, value):
        with open(self.path(name), "wb") as f:
            f.write(value if isinstance(value, bytes) else value.encode())

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def get(self, name, attribute):
        return os.getxattr(self.path(name), "user.cubby." + attribute).decode()

    def set(self, name, attribute, value):
        os.setxattr(self.path(name), "user.cubby." + attribute, str(value).encode())

    def stats(self):
        import json
        with open(self.path(".cubby", "stats")) as f:
            return json.load(f)


def options(*words):
    def mark(f):
        f.mount_options = words
        return f
    return mark


def deadline(seconds):
    def mark(f):
        f.deadline = seconds
        return f
    return mark


def unmounted(f):
    f.unmounted = True
    return f


def mount_only(f):
    f.mount_only = True
    return f


def _expired(signum, frame):
    raise Failure("the test's deadline has passed")


def _run(test):
    """Returns (ok, comment)."""
    if PLAIN and getattr(test, "mount_only", False):
        return True, "# SKIP not for a plain directory"
    scratch = Scratch()
    signal.signal(signal.SIGALRM, _expired)
    signal.alarm(getattr(test, "deadline", 120))
    cwd = os.getcwd()
    umask = os.umask(0o022)
    try:
        if getattr(test, "unmounted", False):
            test(scratch)
        else:
            test(scratch.mount(options=getattr(test, "mount_options", ())))
        return True, ""
    except Skip as e:
        return True, "# SKIP %s" % e
    except Exception:
        text = traceback.format_exc()
        for m in scratch.mounts:
            if os.path.exists(m.log):
                text += "\ndaemon said: " + m.read_log()
        for line in text.splitlines():
            print("# " + line)
        return False, ""
    finally:
        signal.alarm(0)
        os.chdir(cwd)
        os.umask(umask)
        try:
            scratch.close()
        except Exception as e:      # a clean-up that fails must not hide the result
            print("# clean-up: %s" % e)


def main(names):
    tests = [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]
    if len(sys.argv) > 1:
        tests = [(n, f) for n, f in tests if n in sys.argv[1:]]
    # Who started us may have them ignored (nohup(1), `&` of a script), and so would our children.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT
                      else signal.SIG_DFL)
    print("1..%d" % len(tests))
    failed = 0
    for number, (name, test) in enumerate(tests, 1):
        start = time.monotonic()
        ok, comment = _run(test)
        failed += not ok
        print("%s %d - %s %s" % ("ok" if ok else "not ok", number, name, comment))
        print("# %s took %.2f s" % (name, time.monotonic() - start))
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
