# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""inotify(7), from the C library.

    with Inotify() as i:
        directory = i.add(m.dir)
        ...
        for event in i.read(1.0):
            event.watch == directory, event.has(DELETE), event.name

Names are bytes. read() returns what the queue has, after waiting until it has
something; settle() waits until nothing more comes, without reading, so that
the kernel merges equal events the same way each time.
"""
import array
import collections
import ctypes
import fcntl
import os
import select
import struct
import termios
import time

ACCESS, MODIFY, ATTRIB, CLOSE_WRITE = 0x1, 0x2, 0x4, 0x8
CLOSE_NOWRITE, OPEN, MOVED_FROM, MOVED_TO = 0x10, 0x20, 0x40, 0x80
CREATE, DELETE, DELETE_SELF, MOVE_SELF = 0x100, 0x200, 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED, ISDIR = 0x2000, 0x4000, 0x8000, 0x40000000

# All that a change can raise: no ACCESS, no CLOSE_NOWRITE.
CHANGES = (MODIFY | ATTRIB | CLOSE_WRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE
           | DELETE_SELF | MOVE_SELF)
# What libuv asks for (src/unix/linux.c, uv_fs_event_start).
LIBUV = (ATTRIB | CREATE | MODIFY | DELETE | DELETE_SELF | MOVE_SELF | MOVED_FROM | MOVED_TO)

NAMES = [(value, name) for name, value in list(globals().items())
         if isinstance(value, int) and name.isupper() and name not in ("CHANGES", "LIBUV")]

libc = ctypes.CDLL(None, use_errno=True)
HEADER = struct.Struct("iIII")


class Event(collections.namedtuple("Event", "watch mask cookie name")):
    def has(self, mask):
        return bool(self.mask & mask)

    def words(self):
        return "|".join(name for value, name in NAMES if self.mask & value)


def checked(result, what):
    if result < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e), what)
    return result


class Inotify:
    def __init__(self):
        self.fd = checked(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        os.close(self.fd)

    def fileno(self):
        return self.fd

    def add(self, path, mask=CHANGES):
        return checked(libc.inotify_add_watch(self.fd, os.fsencode(path), mask), path)

    def queued(self):
        """Bytes that wait to be read."""
        size = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, size)
        return size[0]

    def settle(self, quiet=0.15, seconds=10.0):
        """Waits until the queue has not grown for `quiet` seconds."""
        end = time.monotonic() + seconds
        before, since = self.queued(), time.monotonic()
        while time.monotonic() - since < quiet and time.monotonic() < end:
            time.sleep(0.01)
            if self.queued() != before:
                before, since = self.queued(), time.monotonic()

    def read(self, seconds=10.0):
        """What is there, waiting for the first; [] if nothing comes in time."""
        if not select.select([self.fd], [], [], max(0, seconds))[0]:
            return []
        try:
            data = os.read(self.fd, 1 << 20)
        except BlockingIOError:
            return []
        events, at = [], 0
        while at < len(data):
            watch, mask, cookie, length = HEADER.unpack_from(data, at)
            at += HEADER.size
            events.append(Event(watch, mask, cookie, data[at:at + length].rstrip(b"\0")))
            at += length
        return events

    def until(self, wanted, seconds=10.0):
        """Reads until wanted(event) is true of one; returns all, or None if it did not come."""
        end = time.monotonic() + seconds
        events = []
        while time.monotonic() < end:
            new = self.read(end - time.monotonic())
            events += new
            if any(wanted(e) for e in new):
                return events
        return None
