#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""A mount filled by ordinary tools, unmounted, mounted again: nothing missing.
(Item 1 of the issue; the fstab line is in test_fstab.py.)"""
import os
import shutil
import socket
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Failure, check, deadline, equal, main, options
import values

DOC = "/usr/share/doc"


def run(*command, where=None, env=None):
    """Its output; a failure says what it printed."""
    r = subprocess.run(command, cwd=where, env=env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = r.stdout.decode(errors="replace")
    if r.returncode:
        raise Failure("%s: status %d: %s" % (" ".join(map(str, command)), r.returncode,
                                             output[-2000:]))
    return output


def xattrs(path):
    return {name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
            if name.startswith("user.")}


def survey(top, contents=True):
    """path -> all that a copy must keep; and which names are one file."""
    top = os.fsencode(top)
    found, links = {}, {}
    todo = [b""]
    while todo:
        directory = todo.pop()
        names = os.listdir(os.path.join(top, directory))
        for name in [b"."] + names if not directory else names:
            relative = os.path.join(directory, name)
            path = os.path.join(top, relative)
            st = os.lstat(path)
            entry = {"mode": oct(st.st_mode), "owner": (st.st_uid, st.st_gid),
                     "mtime": st.st_mtime_ns, "xattrs": xattrs(path)}
            if stat.S_ISDIR(st.st_mode):
                if name != b".":
                    todo.append(relative)
            else:
                entry["links"] = st.st_nlink
                if st.st_nlink > 1:
                    links.setdefault((st.st_dev, st.st_ino), set()).add(relative)
            if stat.S_ISREG(st.st_mode):
                entry["size"] = st.st_size
                if contents:
                    with open(path, "rb") as f:
                        entry["value"] = f.read()
                    equal(len(entry["value"]), st.st_size, "bytes read of %r" % path)
            elif stat.S_ISLNK(st.st_mode):
                entry["target"] = os.readlink(path)
            elif stat.S_ISBLK(st.st_mode) or stat.S_ISCHR(st.st_mode):
                entry["device"] = st.st_rdev
            found[relative] = entry
    return found, sorted(sorted(group) for group in links.values())


def same(one, other, what):
    """Compares two surveys, saying which entry differs in what."""
    (ours, our_links), (theirs, their_links) = one, other
    equal(sorted(theirs.keys() - ours.keys()), [], "%s: extra" % what)
    equal(sorted(ours.keys() - theirs.keys()), [], "%s: missing" % what)
    for path, entry in ours.items():
        if entry != theirs[path]:
            for field in entry:
                equal(theirs[path].get(field), entry[field], "%s: %s of %r"
                      % (what, field, path))
    equal(their_links, our_links, "%s: hard links" % what)


def rsync_finds_nothing(source, copy, checksum=True):
    command = ["rsync", "-aHX", "-n", "-i", "--delete"] + ["--checksum"] * checksum
    equal(run(*command, source + "/", copy + "/"), "", "what rsync would change")


@options("max_value=64M")
@deadline(400)
def test_usr_share_doc(m):
    count = sum(len(d) + len(f) for _, d, f in os.walk(DOC))
    check(count > 1000, "%s has only %d entries here" % (DOC, count))
    run("cp", "-a", DOC, m.dir)
    before = survey(DOC, False)
    same(before, survey(m.path("doc"), False), "copied")
    rsync_finds_nothing(DOC, m.path("doc"))
    m.remount()
    same(before, survey(m.path("doc"), False), "mounted again")
    rsync_finds_nothing(DOC, m.path("doc"))
    equal(int(run("sh", "-c", "find %s | wc -l" % m.path("doc"))), count + 1, "entries")
    run("rm", "-r", m.path("doc"))
    equal([n for n in os.listdir(m.dir) if n != "locks"], [], "what rm -r left")


def strange_tree(top, sockets=True):
    """All that a tree may hold, in one."""
    os.mkdir(top)

    def put(name, value=b"", mode=0o644):
        path = os.path.join(os.fsencode(top), name)
        with open(path, "wb") as f:
            f.write(value)
        os.chmod(path, mode)
        return path

    for size in (0, *values.EDGES, 3 << 20):
        put(b"size-%d" % size, values.make(size, size) if size else b"")
    for mode in (0o000, 0o400, 0o777, 0o4755, 0o2755, 0o6711, 0o1644):
        put(b"mode-%o" % mode, b"x", mode)
    for name in (b"n" * 255, b"new\nline", b"\xff\xfe\x80", b" ", b"...", b"-rf", b"%s%n",
                 b"\\x41", b'"quoted"', b"\x01\x7f", "snow\u2603".encode(), b"a:b", b"*?[x]"):
        put(name, b"value of " + name)
    if os.getuid() == 0:
        for uid, gid in ((1, 1), (65534, 65534), (4000000000, 7)):
            os.chown(put(b"owner-%d" % uid, b"x"), uid, gid)
    for ns in (0, 1, 999999999, -1, -86400 * 10**9, 1700000000123456789, 4102444800 * 10**9):
        os.utime(put(b"time%d" % ns, b"x"), ns=(ns, ns))
    path = put(b"xattrs", b"x")
    os.setxattr(path, "user.text", b"some text")
    os.setxattr(path, "user.empty", b"")
    os.setxattr(path, "user.bytes", bytes(range(256)))
    os.setxattr(path, "user.large", b"l" * 2000)
    os.mkdir(os.path.join(top, "directory"), 0o750)
    os.setxattr(os.path.join(top, "directory"), "user.of-a-directory", b"1")
    put(b"directory/in it", b"x")
    os.makedirs(os.path.join(top, *("deep%d" % n for n in range(60))))
    os.mkdir(os.path.join(top, "sticky"))
    os.chmod(os.path.join(top, "sticky"), 0o1777)
    os.mkdir(os.path.join(top, "setgid"))
    os.chmod(os.path.join(top, "setgid"), 0o2775)
    os.mkdir(os.path.join(top, "empty"))
    linked = put(b"link-a", b"linked")
    os.link(linked, os.path.join(top, "link-b"))
    os.link(linked, os.path.join(top, "directory", "link-c"))
    os.symlink("size-1", os.path.join(top, "symlink"))
    os.symlink("/nowhere/" + "x" * 4000, os.path.join(top, "dangling"))
    os.symlink(b"\xff\n", os.path.join(os.fsencode(top), b"symlink-bytes"))
    os.mkfifo(os.path.join(top, "fifo"), 0o600)
    if sockets:
        here = os.getcwd()
        os.chdir(top)           # a socket's path is short
        with socket.socket(socket.AF_UNIX) as s:
            s.bind("socket")
        os.chdir(here)
    if os.getuid() == 0:
        os.mknod(os.path.join(top, "char"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(os.path.join(top, "block"), stat.S_IFBLK | 0o600, os.makedev(259, 70000))
    # all but regular files: of these rsync compares whole seconds only
    for where, directories, names in os.walk(os.fsencode(top), topdown=False):
        for name in [*directories, *names, b"."]:
            path = os.path.join(where, name)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                os.utime(path, ns=(10**18, 10**18), follow_symlinks=False)


@options("max_value=64M")
def test_strange_tree(m):
    source = m.scratch.path("source")
    strange_tree(source)
    before = survey(source)
    run("cp", "-a", source, m.path("copy"))
    same(before, survey(m.path("copy")), "cp -a")
    run("rsync", "-aHX", "--devices", "--specials", source + "/", m.path("synced/"))
    same(before, survey(m.path("synced")), "rsync")
    rsync_finds_nothing(source, m.path("copy"))
    m.remount()
    same(before, survey(m.path("copy")), "cp -a, mounted again")
    same(before, survey(m.path("synced")), "rsync, mounted again")
    # inside the mount, and out of it again
    run("cp", "-a", m.path("copy"), m.path("second"))
    same(before, survey(m.path("second")), "cp -a within the mount")
    run("mv", m.path("second"), m.path("moved"))
    same(before, survey(m.path("moved")), "mv within the mount")
    run("mv", m.path("moved"), m.scratch.path("out"))
    same(before, survey(m.scratch.path("out")), "mv out of the mount")
    run("mv", m.scratch.path("out"), m.path("in"))
    same(before, survey(m.path("in")), "mv into the mount")
    m.remount()
    same(before, survey(m.path("in")), "mv into the mount, mounted again")
    run("rm", "-rf", *(m.path(n) for n in ("copy", "synced", "in")))
    equal([n for n in os.listdir(m.dir) if n != "locks"], [], "what rm -r left")


@options("max_value=64M")
def test_tar(m):
    source, archive = m.scratch.path("source"), m.scratch.path("archive")
    strange_tree(source, sockets=False)     # tar takes none
    before = survey(source)
    tar = ("tar", "--xattrs", "--xattrs-include=user.*", "--numeric-owner", "--format=posix")
    run(*tar, "-C", source, "-cf", archive, ".")
    os.mkdir(m.path("one"))
    run(*tar, "-C", m.path("one"), "-xpf", archive)
    same(before, survey(m.path("one")), "unpacked in the mount")
    m.remount()
    run(*tar, "-C", m.path("one"), "-cf", m.path("archive"), ".")
    out = m.scratch.path("out")
    os.mkdir(out)
    run(*tar, "-C", out, "-xpf", m.path("archive"))
    same(before, survey(out), "packed in the mount, unpacked outside")
    run(*tar, "-C", m.path("one"), "-df", archive)


GIT = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", HOME="/nonexistent",
           GIT_AUTHOR_NAME="A", GIT_AUTHOR_EMAIL="a@example.org", GIT_COMMITTER_NAME="C",
           GIT_COMMITTER_EMAIL="c@example.org", GIT_TERMINAL_PROMPT="0", LC_ALL="C")


def git(where, *words):
    return run("git", *words, where=where, env=GIT)


def make_repo(top):
    os.mkdir(top)
    git(top, "init", "-q", "-b", "main", ".")
    for commit in range(5):
        for number in range(60):
            directory = os.path.join(top, "d%d" % (number % 7), "e%d" % commit)
            os.makedirs(directory, exist_ok=True)
            with open(os.path.join(directory, "f%d" % number), "wb") as f:
                f.write(values.make(commit * 100 + number, 200 * (number + 1)))
        if not commit:
            os.symlink("d0", os.path.join(top, "symlink"))
            with open(os.path.join(top, "program"), "w") as f:
                f.write("#!/bin/sh\n")
            os.chmod(os.path.join(top, "program"), 0o755)
        git(top, "add", "-A")
        git(top, "commit", "-q", "-m", "commit %d" % commit)
    git(top, "tag", "-a", "-m", "a tag", "v1")


def clean(top):
    """fsck and status have nothing to say."""
    output = git(top, "fsck", "--full", "--strict", "--no-progress")
    equal([l for l in output.splitlines() if not l.startswith("dangling")], [], "git fsck")
    equal(git(top, "status", "--porcelain", "--ignored"), "", "git status")


@options("max_value=64M")
def test_git_clone(m):
    source = m.scratch.path("source")
    make_repo(source)
    head = git(source, "rev-parse", "HEAD")
    for name, words in (("linked", [source]), ("packed", ["file://" + source]),
                        ("bare", ["--bare", source])):
        git(m.dir, "clone", "-q", *words, name)
    git(m.dir, "clone", "-q", "linked", "within")
    for again in False, True:
        if again:
            m.remount()
        for name in ("linked", "packed", "within"):
            clean(m.path(name))
            equal(git(m.path(name), "rev-parse", "HEAD"), head, "HEAD of " + name)
        git(m.path("bare"), "fsck", "--full", "--strict")
    equal(sorted(n for n in os.listdir(m.path("linked")) if n != ".git"),
          sorted(n for n in os.listdir(source) if n != ".git"), "the checkout")


@options("max_value=64M")
def test_git_work(m):
    top = m.path("repo")
    make_repo(top)
    clean(top)
    git(top, "checkout", "-q", "-b", "side", "HEAD~3")
    with open(os.path.join(top, "side"), "w") as f:
        f.write("side\n")
    git(top, "add", "side")
    git(top, "commit", "-q", "-m", "side")
    git(top, "checkout", "-q", "main")
    check(not os.path.exists(os.path.join(top, "side")), "checkout left a file")
    git(top, "merge", "-q", "-m", "merge", "side")
    git(top, "mv", "program", "renamed")
    git(top, "commit", "-q", "-m", "rename")
    git(top, "rm", "-q", "-r", "d3")
    git(top, "stash", "-q")
    clean(top)
    git(top, "stash", "pop", "-q", "--index")
    git(top, "commit", "-q", "-m", "removed")
    git(top, "rebase", "-q", "--force-rebase", "HEAD~2")
    git(top, "worktree", "add", "-q", "../tree", "v1")
    git(top, "worktree", "remove", "../tree")
    clean(top)
    git(top, "gc", "-q", "--prune=now")
    clean(top)
    git(top, "repack", "-q", "-a", "-d", "-f")
    m.remount()
    clean(top)
    git(top, "reset", "-q", "--hard", "v1")
    git(top, "clean", "-q", "-d", "-f", "-x")
    clean(top)
    shutil.rmtree(top)


if __name__ == "__main__":
    main(globals())
