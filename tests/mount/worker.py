# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""The worker behind a mount: killed, and waited for."""
import os
import signal
import time

from harness import children, wait_for


def kill_worker(m, number=signal.SIGKILL):
    """Returns the pid that was killed."""
    pid = m.worker
    os.kill(pid, number)
    return pid


def kill_and_wait(m, number=signal.SIGKILL):
    """Returns when the next one answers."""
    old = kill_worker(m, number)
    wait_for(lambda: m.stats()["worker"] != old, 20, "another worker")


def kill_every(m, interval, seconds):
    """Kills the worker again and again, whether or not it answers already; but now and then
    one gets to that, on a machine that is ever so slow. How often it did."""
    end = time.monotonic() + seconds
    kills = 0
    last = None
    while time.monotonic() < end:
        time.sleep(interval)
        pids = children(m.pid)
        if not pids or pids[-1] == last:
            continue
        last = pids[-1]
        try:
            os.kill(last, signal.SIGKILL)
        except ProcessLookupError:
            continue
        kills += 1
        if kills % 5 == 0:
            m.stats()
    return kills
