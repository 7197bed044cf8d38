# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""What a mount uses: memory and descriptors of the daemon, files of its store."""
import os


def processes(m):
    """The daemon and what it has forked."""
    pids = [m.pid]
    for pid in pids:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            pids += [int(word) for word in f.read().split()]
    return pids


def memory(m):
    """Resident bytes."""
    total = 0
    for pid in processes(m):
        with open("/proc/%d/status" % pid) as f:
            total += sum(int(line.split()[1]) << 10 for line in f if line.startswith("VmRSS:"))
    return total


def descriptors(m):
    return sum(len(os.listdir("/proc/%d/fd" % pid)) for pid in processes(m))


def keep(m):
    """Bytes of memory that what outlives the worker takes."""
    return 512 * os.stat("/proc/%d/fd/4" % m.worker).st_blocks


def disk(store):
    """(bytes on the disk, segments, snapshots) of a journal; what goes meanwhile is gone."""
    size = logs = snapshots = 0
    for name in os.listdir(store):
        try:
            size += 512 * os.stat(os.path.join(store, name)).st_blocks
        except FileNotFoundError:
            continue
        logs += name.endswith(".log")
        snapshots += name.endswith((".snap", ".tmp"))
    return size, logs, snapshots
