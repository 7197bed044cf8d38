#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Stores with every kind of damage: each either is refused with one line that
names the file and what to do, and is left as it is; or it is mounted, and what
can be read is there, the damage is counted, logged and kept aside, and a second
mount changes nothing more. cubby check names file and remedy, and following that
makes the store clean. (Promise 7.)

What must survive is told by a reader of our own, written after FORMAT.md: the
class Lines."""
import atexit
import base64
import errno
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (CUBBY, CUBBYFS, Scratch, check, deadline, equal,  # noqa: E402
                     is_mounted, main, mount_only, unmounted)

NOBODY = 65534


# ------------------------------------------------------------------ the store


def fill(m, first, last):
    for n in range(first, last):
        for name in ("a", "b/c", "d/e/f"):
            os.makedirs(m.path(name), exist_ok=True)
            m.write("%s/k%d" % (name, n), "%s %d %s" % (name, n, "x" * (n % 60)))


def build(store, scratch):
    """A snapshot, and several logs after it."""
    m = scratch.mount(store=store, directory=scratch.path("build"), options=["segment_size=4K"])
    fill(m, 0, 15)
    m.write("gone", "1")
    m.write("stays", "0")
    m.set("stays", "ttl", 5000)
    m.unmount()
    subprocess.run([CUBBY, "compact", store], check=True, stdout=subprocess.DEVNULL)
    m.start()
    fill(m, 10, 30)
    os.unlink(m.path("gone"))
    os.unlink(m.path("a/k3"))
    m.write("leased", "2")
    m.set("leased", "ttl", 4000)
    os.link(m.path("leased"), m.path("b/other"))
    os.symlink("leased", m.path("symlink"))
    fd = os.open(m.path("locks/held"), os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(fd, b"me\n")
    os.close(fd)
    m.set("locks/held", "ttl", 3000)
    fill(m, 40, 60)
    m.unmount()


_template = None


def template():
    """Made once, copied for each case."""
    global _template
    if _template is None:
        top = tempfile.mkdtemp(prefix="cubbytest.")
        atexit.register(shutil.rmtree, top, True)
        scratch = Scratch()
        try:
            build(os.path.join(top, "store"), scratch)
        finally:
            scratch.close()
        _template = os.path.join(top, "store")
    return _template


class Store:
    """One to be damaged."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.dir = scratch.path("store")
        shutil.copytree(template(), self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def logs(self):
        return sorted(n for n in os.listdir(self.dir) if n.endswith(".log"))

    def snapshot(self):
        return sorted(n for n in os.listdir(self.dir) if n.endswith(".snap"))[-1]

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)


def text_of(v):
    return base64.b64decode(v["base64"]) if isinstance(v, dict) else v.encode()


def whole(line):
    end = line.rfind(b',"crc":"')
    return (end >= 0 and len(line) == end + 18 and
            line[end + 8:] == b'%08x"}' % zlib.crc32(line[:end]))


def signed(object):
    """A line of ours with these fields."""
    line = json.dumps(object, separators=(",", ":")).encode()[:-1]
    return line + b',"crc":"%08x"}\n' % zlib.crc32(line)


class Lines:
    """What the readable lines of a store add up to: every key and its value."""

    def __init__(self, store, but=()):
        self.names, self.values, self.types = {}, {}, {}
        files = [n for n in os.listdir(store) if n not in but and
                 re.fullmatch(r"\d{20}\.(log|snap)", n) and
                 stat.S_ISREG(os.lstat(os.path.join(store, n)).st_mode)]
        snapshots = sorted(n for n in files if n.endswith(".snap"))[-1:]
        after = int(snapshots[0][:20]) if snapshots else 0
        transitions = []
        for name in files:
            if name in snapshots or name.endswith(".log"):
                with open(os.path.join(store, name), "rb") as f:
                    lines = [json.loads(l) for l in
                             (l.strip(b"\0\r") for l in f.read().split(b"\n")) if whole(l)]
                transitions += [(t["rev"] if name not in snapshots else 0, t) for t in lines
                                if "rev" in t and (name in snapshots or t["rev"] > after)]
        seen = set()
        for revision, t in sorted(transitions, key=lambda pair: pair[0]):
            if revision == 0 or revision not in seen:
                seen.add(revision)
                for change in t.get("changes", [t]):
                    self.apply(change)

    def apply(self, c):
        ino, path = c.get("ino", 0), text_of(c.get("path", ""))
        if c["op"] in ("remove", "expire"):
            self.names.pop(path, None)
            return
        if c["op"] in ("put", "link"):
            if path:
                self.names[path] = ino
            for link in c.get("links", ()):
                self.names[text_of(link["path"])] = ino
            if "mode" in c:
                self.types[ino] = int(c["mode"], 8) & 0o170000
            if "value" in c:
                self.values[ino] = text_of(c["value"])
            return
        raise AssertionError("an op that this model does not know: %r" % c)

    def keys(self):
        return {path: self.values.get(ino, b"") for path, ino in self.names.items()
                if self.types.get(ino, stat.S_IFREG) == stat.S_IFREG}


def served(m):
    found = {}
    top = os.fsencode(m.dir)
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as f:
                    found[os.path.relpath(path, top)] = f.read()
    return found


def contents(directory):
    """All that is in a store, but for the lock."""
    found = {}
    for top, directories, names in os.walk(directory):
        for name in directories + names:
            path = os.path.join(top, name)
            st = os.lstat(path)
            data = None
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    data = f.read()
            if os.path.relpath(path, directory) != "lock":
                found[os.path.relpath(path, directory)] = (stat.S_IFMT(st.st_mode), data)
    return found


def differences(a, b):
    return sorted(n for n in a.keys() | b.keys() if a.get(n) != b.get(n))


# ------------------------------------------------------------ what must happen


def run_check(store, code):
    r = subprocess.run([CUBBY, "check", "--json", store], capture_output=True, timeout=60)
    equal(r.returncode, code, "cubby check: %r %r" % (r.stdout[-1500:], r.stderr))
    return json.loads(r.stdout) if r.stdout else r.stderr.decode()


def refused(store, names, user=None, option=None, where=None):
    """cubbyfs says why in one line that has all these words, mounts nothing, and
    leaves the store as it is."""
    directory = store.scratch.path("mnt")
    os.makedirs(directory, exist_ok=True)
    before = contents(store.dir) if os.path.isdir(store.dir) else None
    command = [CUBBYFS, where or store.dir, directory] + (["-o", option] if option else [])
    r = subprocess.run(command, capture_output=True, text=True, timeout=20,
                       **({"user": user, "group": user, "extra_groups": []} if user else {}))
    check(r.returncode != 0, "it is mounted")
    check(not is_mounted(directory), "there is a mount")
    lines = r.stderr.splitlines()
    equal(len(lines), 1, "lines of %r" % r.stderr)
    for name in names:
        check(name in lines[0], "%r is not in %r" % (name, lines[0]))
    if before is not None:
        equal(differences(before, contents(store.dir)), [], "changed in the store")
    return lines[0]


def goes_on(store, problems, expected=None, damage=True, aside=True, repair=None):
    """Mounts; serves what must be there; says and keeps what is not."""
    expected = Lines(store.dir).keys() if expected is None else expected
    before = contents(store.dir)
    if problems:
        got = run_check(store.dir, 1)
        for name, line in problems:
            found = [p for p in got["problems"] if p["file"] == name and
                     (line is None or p["line"] == line)]
            check(found, "%s:%s is not among %r" % (name, line, got["problems"]))
        for p in got["problems"]:
            check(len(p["remedy"]) > 10 and len(p["what"]) > 5, p)
    else:
        run_check(store.dir, 0)
    equal(differences(before, contents(store.dir)), [], "check has changed")
    m = store.scratch.mount(store=store.dir)
    equal(differences(expected, served(m)), [], "keys that are not as they must be")
    counted = m.stats()["damage"]
    said = m.read_log()
    check((sum(counted.values()) > 0) == damage, "counted: %r" % counted)
    check(("cubbyfs: " in said and store.dir in said) or not damage, "nothing said: %r" % said)
    m.unmount()
    first = contents(store.dir)
    if aside:
        check([n for n in first if n.startswith("damaged/")], "nothing is kept aside")
    m.start()
    equal(differences(expected, served(m)), [], "keys at the second mount")
    again = m.stats()["damage"]
    for name in counted:
        check(again[name] <= counted[name], "more at the second mount: %r, %r" % (counted, again))
    m.unmount()
    equal(differences(first, contents(store.dir)), [], "changed by the second mount")
    # the remedies
    if repair:
        repair()
    subprocess.run([CUBBY, "compact", store.dir], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    shutil.rmtree(store.path("damaged"), ignore_errors=True)
    got = run_check(store.dir, 0)
    equal(got["problems"], [], "after compaction")
    m.start()
    equal(differences(expected, served(m)), [], "keys after compaction")
    equal(sum(m.stats()["damage"].values()), 0, "damage after compaction")
    m.write("new", "works")
    m.unmount()


def case(f):
    """A test that gets a Store."""
    def test(scratch):
        f(Store(scratch))
    return mount_only(unmounted(deadline(60)(test)))


@case
def test_undamaged(store):
    check(len(store.logs()) >= 4, "several logs: %r" % store.logs())
    check(len(Lines(store.dir).keys()) > 100, "keys")
    goes_on(store, [], damage=False, aside=False)


# ------------------------------------------------------------------ whole files


def missing_log(n):
    @case
    def test(store):
        logs = store.logs()
        os.unlink(store.path(logs[n]))
        # what is missing shows where the next file begins, or at the name it would have
        goes_on(store, [(logs[n + 1] if n != -1 else None, None)] if n != -1 else
                [(store_end(store), None)], aside=False)
    return test


def store_end(store):
    last = 0
    for name in store.logs():
        for line in store.read(name).split(b"\n"):
            if whole(line) and b'"rev"' in line:
                last = max(last, json.loads(line)["rev"])
    return "%020d.log" % (last + 1)


test_missing_first_log = missing_log(0)
test_missing_middle_log = missing_log(2)
test_missing_last_log = missing_log(-1)


@case
def test_missing_snapshot(store):
    os.unlink(store.path(store.snapshot()))
    goes_on(store, [(store.logs()[0], None)], aside=False)


@case
def test_swapped_logs(store):
    a, b = store.path(store.logs()[1]), store.path(store.logs()[2])
    os.rename(a, a + "x")
    os.rename(b, a)
    os.rename(a + "x", b)
    goes_on(store, [(store.logs()[1], 1), (store.logs()[2], 1)], aside=False)


@case
def test_duplicate_behind_the_end(store):
    number = int(store_end(store)[:20]) + 100
    shutil.copy(store.path(store.logs()[1]), store.path("%020d.log" % number))
    goes_on(store, [("%020d.log" % number, None)])


@case
def test_duplicate_between(store):
    logs = store.logs()
    number = "%020d.log" % (int(logs[2][:20]) + 1)
    shutil.copy(store.path(logs[1]), store.path(number))
    goes_on(store, [(number, None)])


def emptied_log(n):
    @case
    def test(store):
        name = store.logs()[n]
        store.write(name, b"")
        at = store_end(store) if n == -1 else store.logs()[n + 1]
        goes_on(store, [(at if n != -1 else name, None)], aside=False)
    return test


test_empty_first_log = emptied_log(0)
test_empty_middle_log = emptied_log(2)


@case
def test_empty_last_log(store):
    name = store.logs()[-1]
    expected = Lines(store.dir, but=(name,)).keys()
    store.write(name, b"")
    goes_on(store, [(store_end(store), None)], expected=expected, aside=False)


@case
def test_empty_snapshot(store):
    name = store.snapshot()
    store.write(name, b"")
    goes_on(store, [(name, 0)], aside=False)


def put_directory(path):
    os.mkdir(path)
    with open(os.path.join(path, "file"), "w") as f:
        f.write("somebody's\n")


def put_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(os.path.dirname(path))
        try:
            s.bind(os.path.basename(path))
        finally:
            os.chdir(here)


PLACES = {
    "directory": put_directory,
    "fifo": os.mkfifo,
    "socket": put_socket,
    "symlink": lambda path: os.symlink("/etc/passwd", path),
    "device": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)),
}


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def in_the_place(kind, which):
    @case
    def test(store):
        name = store.snapshot() if which == "snapshot" else store.logs()[which]
        os.unlink(store.path(name))
        PLACES[kind](store.path(name))
        goes_on(store, [(name, 0)], aside=False,
                repair=lambda: remove(store.path(name)))
    return test


for _kind in PLACES:
    for _which, _where in ((0, "first_log"), (2, "middle_log"), (-1, "last_log"),
                           ("snapshot", "snapshot")):
        if _kind in ("directory", "fifo") or _which in (-1, "snapshot"):
            globals()["test_%s_for_%s" % (_kind, _where)] = in_the_place(_kind, _which)


# -------------------------------------------------------------------- who may


@case
def test_not_readable(store):
    """As root everything is; so as somebody else, whose store it was."""
    name = store.logs()[2]
    for top, directories, names in os.walk(store.dir):
        for n in [top] + [os.path.join(top, x) for x in directories + names]:
            os.chown(n, NOBODY, NOBODY)
    os.chown(store.path(name), 0, 0)
    refused(store, [store.path(name), "chown"], user=NOBODY)
    os.chown(store.path(name), NOBODY, NOBODY)
    os.chmod(store.path(name), 0)
    refused(store, [store.path(name), "ermission"], user=NOBODY)
    r = subprocess.run([CUBBY, "check", store.dir], capture_output=True, text=True, user=NOBODY,
                       group=NOBODY, extra_groups=[])
    equal(r.returncode, 77, r.stderr)
    check(store.path(name) in r.stderr and len(r.stderr.splitlines()) == 1, r.stderr)
    os.chmod(store.path(name), 0o600)
    refused(store, [store.dir, "chown"])        # root would believe what another can change
    for top, directories, names in os.walk(store.dir):
        for n in [top] + [os.path.join(top, x) for x in directories + names]:
            os.chown(n, 0, 0)
    goes_on(store, [], damage=False, aside=False)


@case
def test_of_another_owner(store):
    refused(store, [store.dir, "owner"], user=NOBODY)
    os.chmod(store.dir, 0o755)          # may be listed, but not used
    refused(store, [store.path("lock"), "owner"], user=NOBODY)


@case
def test_not_searchable(store):
    os.chown(store.dir, NOBODY, NOBODY)
    os.chmod(store.dir, 0o600)
    refused(store, [store.dir, "ermission"], user=NOBODY)
    os.chmod(store.scratch.top, 0o700)
    refused(store, [store.dir, "ermission"], user=NOBODY)
    os.chmod(store.scratch.top, 0o755)


# ------------------------------------------------------------------- versions


def with_version(data, version):
    """A first line of that version, with a right checksum."""
    first, rest = data.split(b"\n", 1)
    header = json.loads(first)
    del header["crc"]
    header["version"] = version
    return signed(header) + rest


def other_version(name_of, version):
    @case
    def test(store):
        name = name_of(store)
        store.write(name, with_version(store.read(name), version))
        words = [store.dir if name == "format" else store.path(name), "version", "newer"]
        refused(store, words)
        said = run_check(store.dir, 65)
        for word in words:
            check(word in said, said)
        equal(len(said.splitlines()), 1, said)
    return test


test_newer_format = other_version(lambda s: "format", 2)
test_newer_log = other_version(lambda s: s.logs()[2], 2)
test_newer_snapshot = other_version(lambda s: s.snapshot(), 7)
test_far_newer_last_log = other_version(lambda s: s.logs()[-1], 1 << 40)


def damaged_line(name_of, spoil, number, aside=True):
    """spoil(data) of a file; the problem is at that line."""
    @case
    def test(store):
        name = name_of(store)
        store.write(name, spoil(store.read(name)))
        goes_on(store, [(name, number)], aside=aside)
    return test


def flipped(at):
    def spoil(data):
        i = at if at >= 0 else len(data) + at
        return data[:i] + bytes([data[i] ^ 4]) + data[i + 1:]
    return spoil


def line_start(data, number):
    at = 0
    for _ in range(number - 1):
        at = data.index(b"\n", at) + 1
    return at


def replaced(number, new):
    """A line, by other bytes."""
    def spoil(data):
        at = line_start(data, number)
        end = data.index(b"\n", at) + 1
        line = data[at:end]
        return data[:at] + (new(line) if callable(new) else new) + data[end:]
    return spoil


def first_log(s):
    return s.logs()[0]


def middle_log(s):
    return s.logs()[2]


def last_log(s):
    return s.logs()[-1]


def snapshot(s):
    return s.snapshot()


test_garbage_header = damaged_line(middle_log, replaced(1, b"\x7fELF garbage\n"), 1)
test_header_without_its_end = damaged_line(middle_log, replaced(1, lambda l: l[:20] + b"\n"), 1)
test_header_flipped = damaged_line(middle_log, flipped(25), 1)
test_version_flipped = damaged_line(
    middle_log, replaced(1, lambda l: l.replace(b'"version":1', b'"version":3')), 1)
test_format_flipped = damaged_line(lambda s: "format", flipped(25), 1, aside=False)
test_format_empty = damaged_line(lambda s: "format", lambda d: b"", None, aside=False)
test_line_flipped = damaged_line(middle_log, flipped(1200), None)
test_line_of_nuls = damaged_line(middle_log, replaced(4, lambda l: b"\0" * len(l)), 4)
test_hole = damaged_line(first_log, lambda d: d[:1024] + b"\0" * 1024 + d[2048:], None)
test_huge_line = damaged_line(middle_log, replaced(5, b"x" * (9 << 20) + b"\n"), 5)
test_foreign_lines = damaged_line(
    last_log, replaced(3, lambda l: b'{"hello":"world"}\n' + l), 3)
test_unknown_line = damaged_line(
    middle_log, replaced(3, lambda l: l + signed({"cubbyfs": "cake", "version": 1})), 4)
test_unknown_op = damaged_line(
    middle_log, replaced(3, signed({"rev": 1, "at": 1, "op": "cake"})), 3)
test_snapshot_flipped = damaged_line(snapshot, flipped(2000), None)
test_snapshot_header_flipped = damaged_line(snapshot, flipped(20), 1)
test_snapshot_end_flipped = damaged_line(snapshot, flipped(-20), None)
test_snapshot_cut_in_a_line = damaged_line(snapshot, lambda d: d[:len(d) // 2], None)
test_snapshot_cut_at_a_line = damaged_line(
    snapshot, lambda d: d[:d.rindex(b"\n", 0, len(d) // 2) + 1], 0, aside=False)
test_snapshot_without_its_end = damaged_line(
    snapshot, lambda d: d[:d.rindex(b"\n", 0, -1) + 1], 0, aside=False)


@case
def test_crlf(store):
    """An editor that means well."""
    name = middle_log(store)
    expected = Lines(store.dir).keys()
    store.write(name, store.read(name).replace(b"\n", b"\r\n"))
    goes_on(store, [(name, None)], expected=expected)


# ------------------------------------------------------------------ other files


@case
def test_log_of_another_store(store):
    """Its revisions are not these: what is there twice is not taken."""
    other = store.scratch.path("other")
    m = store.scratch.mount(store=other, directory=store.scratch.path("mnt2"))
    for n in range(10):
        m.write("alien%d" % n, "from elsewhere")
    m.unmount()
    name = "%020d.log" % 1
    expected = Lines(store.dir).keys()
    shutil.copy(os.path.join(other, name), store.path(name))
    goes_on(store, [], expected=expected, damage=False, aside=False)


@case
def test_foreign_files(store):
    store.write("README", b"do not touch\n")
    store.write("123.log", b"no number of ours\n")
    os.mkdir(store.path("backup"))
    goes_on(store, [], damage=False, aside=False)
    check(os.path.exists(store.path("README")) and os.path.exists(store.path("backup")),
          "it was removed")


@case
def test_leftovers(store):
    """Of what was under way when the power went."""
    store.write("%020d.snap.tmp" % (int(store.logs()[-1][:20]) - 1), b"half a snapshot")
    store.write("format.tmp", b'{"cubby')
    goes_on(store, [], damage=False, aside=False)
    check(not [n for n in os.listdir(store.dir) if n.endswith(".snap.tmp")], "still there")


@case
def test_lock_garbage(store):
    store.write("lock", b"\xff" * 5000)
    store.write("synced", b"\0" * 100)
    goes_on(store, [], damage=False, aside=False)


def no_file_for(name, kind):
    @case
    def test(store):
        remove(store.path(name))
        PLACES[kind](store.path(name))
        if name == "lock":
            refused(store, [store.path(name), "move it away" if kind != "symlink" else "link"])
            remove(store.path(name))
            goes_on(store, [], damage=False, aside=False)
        elif name == "format":
            goes_on(store, [("format", 0)], aside=False,
                    repair=None if kind != "directory" else lambda: remove(store.path(name)))
        else:
            goes_on(store, [("synced", 0)], aside=False,
                    repair=lambda: remove(store.path(name)))
    return test


for _name in ("lock", "format", "synced"):
    for _kind in ("directory", "fifo", "symlink"):
        globals()["test_%s_for_%s" % (_kind, _name)] = no_file_for(_name, _kind)


@case
def test_damaged_is_a_file(store):
    """What would have to be kept aside has no place to go."""
    store.write("damaged", b"a file\n")
    refused(store, [store.path("damaged"), "move it away"])
    run_check(store.dir, 1)
    os.unlink(store.path("damaged"))
    os.symlink("/tmp", store.path("damaged"))
    refused(store, [store.path("damaged"), "move it away"])
    os.unlink(store.path("damaged"))
    goes_on(store, [], damage=False, aside=False)


# ---------------------------------------------------------------- the directory


@case
def test_no_directory(store):
    top = store.scratch.path
    with open(top("file"), "w") as f:
        f.write("x")
    os.mkfifo(top("fifo"))
    os.symlink(top("nowhere"), top("dangling"))
    os.mkdir(top("other"))
    with open(top("other", "letter"), "w") as f:
        f.write("Dear ")
    for name in ("file", "fifo"):
        refused(store, [top(name), "give a directory"], where=top(name))
    refused(store, [top("dangling")], where=top("dangling"))
    check(not os.path.lexists(top("nowhere")), "it was made")
    refused(store, [top("other"), "empty directory"], where=top("other"))
    equal(os.listdir(top("other")), ["letter"])
    refused(store, [top("none", "at", "all")], where=top("none", "at", "all"))


@case
def test_read_only_directory(store):
    """On a read-only file system: refused, but for -o ro."""
    expected = Lines(store.dir).keys()
    subprocess.run(["mount", "--bind", store.dir, store.dir], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", store.dir], check=True)
    try:
        refused(store, [store.dir, "read-only", "-o ro"])
        m = store.scratch.mount(store=store.dir, options=["ro"])
        equal(differences(expected, served(m)), [], "keys")
        m.unmount()
    finally:
        subprocess.run(["umount", store.dir], check=True)


@case
def test_full_disk(store):
    """At the opening of one that is there: it is read, and can be emptied. A new one cannot be."""
    small = store.scratch.path("small")
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small], check=True)
    try:
        there = os.path.join(small, "store")
        shutil.copytree(store.dir, there)
        fd = os.open(os.path.join(small, "ballast"), os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(fd, b"x" * 4096)
        except OSError as e:
            equal(e.errno, errno.ENOSPC, "the disk is full")
        finally:
            os.close(fd)
        m = store.scratch.mount(store=there, directory=store.scratch.path("mnt2"))
        equal(differences(Lines(store.dir).keys(), served(m)), [], "keys")
        m.unmount()
        refused(store, [os.path.join(small, "new"), "o space"], where=os.path.join(small, "new"))
    finally:
        subprocess.run(["umount", small], check=True)


if __name__ == "__main__":
    main(globals())
