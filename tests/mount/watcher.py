# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""A program that watches, and what it prints.

    with Watcher(["inotifywait", ...], shell=False) as w:
        w.watching(path)        # its inotify watch is there
        w.expect(r"DELETE k")   # a line comes, in time
"""
import os
import re
import select
import signal
import subprocess
import time

from harness import Failure


class Watcher:
    def __init__(self, command, **more):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True, **more)
        self.text = {self.process.stdout: b"", self.process.stderr: b""}
        self.open = set(self.text)
        self.at = 0

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def stop(self, number=signal.SIGKILL):
        """Ends all that it has started; its return code."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass
        code = self.process.wait(10)
        for f in self.text:
            f.close()
        self.open = set()
        return code

    @property
    def pid(self):
        return self.process.pid

    @property
    def out(self):
        return self.text[self.process.stdout].decode(errors="replace")

    @property
    def err(self):
        return self.text[self.process.stderr].decode(errors="replace")

    def said(self):
        return "it said %.2000r, %.2000r" % (self.out, self.err)

    def read(self, seconds):
        """Takes in what comes, waiting for the first of it."""
        if not self.open:
            time.sleep(min(seconds, 0.05))
        for f in select.select(list(self.open), [], [], max(0, seconds))[0]:
            data = os.read(f.fileno(), 1 << 16)
            if data:
                self.text[f] += data
            else:
                self.open.discard(f)

    def quiet(self, seconds):
        """What is printed in that time, which should be nothing."""
        end = time.monotonic() + seconds
        before = self.at = len(self.out)
        while time.monotonic() < end:
            self.read(end - time.monotonic())
        return self.out[before:]

    def until(self, done, seconds=20.0, what="it"):
        end = time.monotonic() + seconds
        while True:
            value = done()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure("%s: not within %g s; %s" % (what, seconds, self.said()))
            self.read(0.05)

    def expect(self, pattern, seconds=20.0):
        """The match of the next line that has it; what is before has been seen then."""
        def found():
            m = re.compile(pattern).search(self.out, self.at)
            if m and "\n" in self.out[m.end():]:
                self.at = self.out.index("\n", m.end()) + 1
                return m
            return None
        return self.until(found, seconds, "output with %r" % pattern)

    def expect_error(self, pattern, seconds=20.0):
        return self.until(lambda: re.search(pattern, self.err), seconds, "error with %r" % pattern)

    def wait(self, seconds=20.0):
        """Its return code, and all that it prints until then."""
        end = time.monotonic() + seconds
        while self.open:
            if time.monotonic() > end:
                raise Failure("it has not ended within %g s; %s" % (seconds, self.said()))
            self.read(0.05)
        return self.process.wait(max(0.1, end - time.monotonic()))

    def watching(self, path, seconds=20.0):
        """Returns when one of its processes has an inotify watch on the path."""
        ino = b" ino:%x " % os.stat(path).st_ino
        self.until(lambda: any(ino in line for line in watches_of(self.pid)), seconds,
                   "a watch on " + path)

    def streaming(self, seconds=20.0):
        """Returns when one of its processes has read from .cubby/events."""
        self.until(lambda: any(f.endswith("/.cubby/events") for f in files_of(self.pid)), seconds,
                   "an open stream")
        self.quiet(0.3)     # it still has to ask


def processes_of(session):
    for pid in os.listdir("/proc"):
        try:
            if pid.isdigit() and os.getsid(int(pid)) == session:
                yield pid
        except OSError:     # it has just ended
            pass


def files_of(session, inotify=None):
    """The paths of what the processes of a session have open."""
    for pid in processes_of(session):
        try:
            for fd in os.listdir("/proc/%s/fd" % pid):
                path = os.readlink("/proc/%s/fd/%s" % (pid, fd))
                yield path
                if inotify is not None and path == "anon_inode:inotify":
                    with open("/proc/%s/fdinfo/%s" % (pid, fd), "rb") as f:
                        inotify += f.read().splitlines()
        except OSError:
            pass


def watches_of(session):
    """The fdinfo lines of the inotify watches of all processes of a session."""
    lines = []
    for _ in files_of(session, lines):
        pass
    return lines
