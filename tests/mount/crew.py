# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Processes that a test forks, and the memory that they share.

    with Crew() as crew:
        crew.fork(writer, 1)
        crew.fork(writer, 2)
        results = crew.join(30)

A child runs the function and ends; what it returns is its result, and what it
raises is raised again by join(). Leaving the block ends every child that still
runs. Children share nothing but what was made before the fork: numbers(), a
barrier(), open descriptors.
"""
import mmap
import multiprocessing
import os
import pickle
import selectors
import signal
import time
import traceback

from harness import Failure, check

LONG = os.environ.get("CUBBY_LONG") == "1"


def numbers(count):
    """Signed 64-bit numbers, all 0, that forked processes share."""
    return memoryview(mmap.mmap(-1, 8 * count)).cast("q")


barriers = []


def barrier(parties, seconds=60):
    """A child that fails breaks it, so that the others don't wait in vain."""
    barriers.append(multiprocessing.get_context("fork").Barrier(parties, timeout=seconds))
    return barriers[-1]


class Crew:
    def __init__(self):
        self.children = []      # (pid, the descriptor its result comes from)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for pid, fd in self.children:
            os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 2
        for pid, fd in self.children:
            os.close(fd)
            # one that waits in a daemon that hangs goes when the mount does
            while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < end:
                time.sleep(0.005)
        self.children = []

    def fork(self, function, *arguments):
        """Returns the child's pid."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                os.close(reader)
                try:
                    result = (True, function(*arguments))
                    status = 0
                except BaseException:
                    result = (False, traceback.format_exc())
                    for each in barriers:
                        each.abort()
                with os.fdopen(writer, "wb") as f:
                    pickle.dump(result, f)
            finally:
                os._exit(status)
        os.close(writer)
        self.children.append((pid, reader))
        return pid

    def look(self):
        """Raises if a child has failed, and returns how many still run."""
        running = 0
        for pid, fd in self.children:
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            running += end is None
            if end is not None and end.si_status:
                with os.fdopen(os.dup(fd), "rb") as f:
                    raise Failure("in a child: %s" % pickle.load(f)[1])
        return running

    def join(self, seconds=60.0):
        """The results in the order of the forks, when all have ended."""
        end = time.monotonic() + seconds
        bytes_of = {fd: bytearray() for _, fd in self.children}
        with selectors.DefaultSelector() as selector:
            for fd in bytes_of:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map():
                left = end - time.monotonic()
                check(left > 0, "%d of %d children are not done within %g s"
                      % (len(selector.get_map()), len(bytes_of), seconds))
                for key, _ in selector.select(left):
                    piece = os.read(key.fd, 1 << 20)
                    bytes_of[key.fd] += piece
                    if not piece:
                        selector.unregister(key.fd)
        results = []
        children, self.children = self.children, []
        for pid, fd in children:
            os.close(fd)
            status = os.waitpid(pid, 0)[1]
            if not bytes_of[fd]:
                raise Failure("a child ended with status %#x and no result" % status)
            results.append(pickle.loads(bytes_of[fd]))
        failures = [result for ok, result in results if not ok]
        failures.sort(key=lambda text: "BrokenBarrierError" in text)    # the cause first
        if failures:
            raise Failure("in a child: " + failures[0])
        return [result for ok, result in results]
