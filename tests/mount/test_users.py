#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Several users on one mount: operations against modes, each allowed or refused as on
tmpfs, and with the same outcome. (Item 7 of the issue.)

A table is run twice, on the mount and on a tmpfs of the test's own, by every actor: the
owner, somebody whose own group is the file's, somebody for whom it is a further one, somebody
else, root. What is compared is the result or errno of the call, and what is there after
it: names, types, modes, owners, link counts, sizes. Operations that only cubbyfs has are held
against their plain equivalent, as tmpfs has answered that.

There is a child for each actor and side, which runs all of his rows: it makes what is
operated on as root, becomes the actor for the operation, and is root again (the saved
user id is kept). It is made anew only after something was changed; that what was refused changed
nothing is looked at in the end.
"""
import contextlib
import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "posix"))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from harness import check, deadline, equal, main, mount_only, options
from crew import Crew
from support import (
    ALICE, BOB, CAROL, DAVE, EXTRA, RENAME_EXCHANGE, RENAME_NOREPLACE, ROOT, UTIME_NOW,
    UTIME_OMIT, read_file, remove, renameat2, utimensat, write_file)

USERS = (ALICE, CAROL, DAVE, BOB)       # owner, in the group, in it by the way, other
TEAM = ALICE.gid
CUBBY = "user.cubby."
REFUSED = ("EACCES", "EPERM")


# ---------------------------------------------------------------- actors

def become(user):
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, 0)
    os.setresuid(user.uid, user.uid, 0)


def be_root_again():
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    os.setgroups(())


def outcome_of(actor, function):
    become(actor)
    try:
        result = function(actor)
        return "ok" if result is None else repr(result)
    except OSError as e:
        return errno.errorcode[e.errno]
    finally:
        be_root_again()


def state_of(*tops):
    """All that is there, as root sees it, by path."""
    state = {}
    for top in tops:
        st = os.lstat(top)
        is_directory = stat.S_ISDIR(st.st_mode)
        what = "/" if is_directory else ""
        if stat.S_ISLNK(st.st_mode):
            what = os.readlink(top)
        elif stat.S_ISREG(st.st_mode):
            what = st.st_size
        state[top] = (oct(st.st_mode), st.st_uid, st.st_gid, st.st_nlink, what)
        if is_directory:
            state.update(state_of(*(os.path.join(top, n) for n in os.listdir(top))))
    return state


def empty(directory):
    """Its own mode and owner are left."""
    with os.scandir(directory) as names:
        for name in names:
            if name.is_dir(follow_symlinks=False):
                shutil.rmtree(name.path)
            else:
                os.unlink(name.path)


# ---------------------------------------------------------------- tables

class Table:
    """Operations by name, in the order of their definition."""

    def __init__(self):
        self.operations = {}

    def add(self, name, function):
        check(name not in self.operations, "twice: " + name)
        self.operations[name] = function

    def __call__(self, name):
        def mark(function):
            self.add(name, function)
            return function
        return mark


def run(directory, actor, modes, table, build, tops):
    """Rows: {(mode, operation): (outcome, state or None)}"""
    os.makedirs(directory)
    os.chmod(directory, 0o755)
    os.chdir(directory)
    home = os.open(".", os.O_RDONLY)
    rows = {}
    for mode in modes:
        build(mode)
        fresh = state_of(*tops)
        regular = {p for p, s in fresh.items() if s[0].startswith("0o10")}
        for name, function in table.items():
            outcome = outcome_of(actor, function)
            os.fchdir(home)
            after = None
            if outcome not in errno.errorcode.values():
                after = state_of(*tops)
                changed = {p for p in after.keys() | fresh.keys()
                           if after.get(p) != fresh.get(p)}
                if name.startswith(CUBBY) and " get" not in name:
                    changed |= regular      # what it changes is not seen in the state
                if changed:
                    build(mode, changed)
                after = {p: after.get(p) for p in changed if after.get(p) != fresh.get(p)}
            rows[mode, name] = (outcome, after)
        equal(state_of(*tops), fresh, "%s, %o: what is there after all that was refused"
              % (actor, mode))
    return rows


@contextlib.contextmanager
def tmpfs(m):
    directory = m.scratch.path("tmpfs")
    os.mkdir(directory)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,mode=755", "users", directory],
                   check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def run_on_both(m, plain, modes_of, table, build, tops, own=None):
    """{actor: (rows of the mount, rows of tmpfs)}. `own`: operations that tmpfs has not,
    and `build` for them, if it is another."""
    os.umask(0o022)
    with Crew() as crew:
        for actor in USERS + (ROOT,):
            for directory, more in ((m.path("users"), own or {}), (plain, {})):
                crew.fork(run, os.path.join(directory, tops[0], str(actor)), actor,
                          modes_of(actor), {**table.operations, **more}, build, tops)
        results = crew.join(100)
    return {actor: results[2 * i:2 * i + 2] for i, actor in enumerate(USERS + (ROOT,))}


def compare(results, equivalents, differences=()):
    """`equivalents`: {own operation: plain one}; `differences`: {(actor, mode, operation): what
    else it may be}."""
    count, wrong, refused = 0, [], 0
    for actor, (here, there) in results.items():
        for (mode, name), got in here.items():
            count += 1
            refused += got[0] in REFUSED
            if name in equivalents:
                plain = there[mode, equivalents[name]][0]
                fine = got[0] == plain if plain in REFUSED else got[0] not in REFUSED
                wanted = "%s says %s" % (equivalents[name], plain)
            else:
                wanted = there[mode, name]
                fine = got == wanted or got == dict(differences).get((actor, mode, name))
            if not fine:
                wrong.append("%s, mode %o, %s: %s, wanted %s"
                             % (actor, mode, name, got, wanted))
    print("# %d rows, %d of them refused" % (count, refused))
    check(count > 0 and 0.1 < refused / count < 0.9, "a table in which little is refused, or all")
    check(not wrong, "%d of %d rows differ:\n  %s" % (len(wrong), count, "\n  ".join(wrong[:40])))


# ---------------------------------------------------------------- a file

FILE_MODES = (0o000, 0o400, 0o200, 0o100, 0o040, 0o020, 0o010, 0o004, 0o002, 0o001, 0o077, 0o707,
              0o644, 0o666, 0o4775, 0o2775, 0o6666)
files = Table()


def build_file(mode, changed=None):
    if not os.path.isdir("w"):
        os.mkdir("w")
        os.chmod("w", 0o777)
    empty("w")
    write_file("w/f", b"7")
    os.setxattr("w/f", "user.note", b"n")
    os.chown("w/f", ALICE.uid, TEAM)
    os.chmod("w/f", mode)


def using(flags, act=None):
    def function(actor):
        fd = os.open("w/f", flags, 0o666)
        try:
            return act(fd) if act else None
        finally:
            os.close(fd)
    return function


for _name, _flags in (
        ("r", os.O_RDONLY), ("w", os.O_WRONLY), ("rw", os.O_RDWR),
        ("append", os.O_WRONLY | os.O_APPEND), ("w trunc", os.O_WRONLY | os.O_TRUNC),
        ("r trunc", os.O_RDONLY | os.O_TRUNC), ("path", os.O_PATH),
        ("creat", os.O_WRONLY | os.O_CREAT), ("excl", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
        ("noatime", os.O_RDONLY | os.O_NOATIME), ("directory", os.O_RDONLY | os.O_DIRECTORY)):
    files.add("open " + _name, using(_flags))
files.add("read", using(os.O_RDONLY, lambda fd: os.read(fd, 10)))
files.add("write", using(os.O_WRONLY, lambda fd: os.write(fd, b"xyz")))
files.add("write through append", using(os.O_WRONLY | os.O_APPEND, lambda fd: os.write(fd, b"+")))
files.add("write through r", using(os.O_RDONLY, lambda fd: os.write(fd, b"xyz")))
files.add("read through w", using(os.O_WRONLY, lambda fd: os.read(fd, 10)))
files.add("ftruncate", using(os.O_WRONLY, lambda fd: os.ftruncate(fd, 3)))
files.add("fchmod", using(os.O_RDONLY, lambda fd: os.fchmod(fd, 0o640)))
files.add("fsync", using(os.O_WRONLY, os.fsync))
files.add("stat", lambda actor: (lambda st: (st.st_mode, st.st_uid, st.st_size))(os.stat("w/f")))
for _mode in (0o600, 0o4755, 0o2755, 0o1666):
    files.add("chmod %o" % _mode, lambda actor, mode=_mode: os.chmod("w/f", mode))
for _name, _uid, _gid in (("nobody", -1, -1), ("bob", BOB.uid, -1), ("alice", ALICE.uid, -1),
                          ("the team", -1, TEAM), ("an extra group", -1, EXTRA),
                          ("bob's group", -1, BOB.gid), ("alice and the team", ALICE.uid, TEAM)):
    files.add("chown to " + _name, lambda actor, u=_uid, g=_gid: os.chown("w/f", u, g))
files.add("chgrp to own", lambda actor: os.chown("w/f", -1, actor.gid))
files.add("utime now", lambda actor: os.utime("w/f"))
files.add("utime", lambda actor: os.utime("w/f", (5, 5)))
files.add("utime one", lambda actor: utimensat("w/f", (0, UTIME_OMIT), (0, UTIME_NOW)))
files.add("utime none", lambda actor: utimensat("w/f", (0, UTIME_OMIT), (0, UTIME_OMIT)))
files.add("truncate", lambda actor: os.truncate("w/f", 0))
files.add("truncate longer", lambda actor: os.truncate("w/f", 5))
for _name, _how in (("r", os.R_OK), ("w", os.W_OK), ("x", os.X_OK), ("f", os.F_OK)):
    files.add("access " + _name, lambda actor, how=_how: os.access("w/f", how))
    files.add("eaccess " + _name,
              lambda actor, how=_how: os.access("w/f", how, effective_ids=True))
files.add("exec", lambda actor: os.execv("w/f", ["f"]))         # ENOEXEC, if it may
files.add("setxattr", lambda actor: os.setxattr("w/f", "user.x", b"1"))
files.add("setxattr over", lambda actor: os.setxattr("w/f", "user.note", b"1"))
files.add("setxattr create",
          lambda actor: os.setxattr("w/f", "user.note", b"1", os.XATTR_CREATE))
files.add("getxattr", lambda actor: os.getxattr("w/f", "user.note"))
files.add("getxattr missing", lambda actor: os.getxattr("w/f", "user.none"))
files.add("listxattr", lambda actor: os.listxattr("w/f"))
files.add("removexattr", lambda actor: os.removexattr("w/f", "user.note"))
files.add("removexattr missing", lambda actor: os.removexattr("w/f", "user.none"))
files.add("setxattr trusted", lambda actor: os.setxattr("w/f", "trusted.x", b"1"))
files.add("getxattr trusted", lambda actor: os.getxattr("w/f", "trusted.none"))
for _name, _flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY), ("rw", os.O_RDWR)):
    for _kind, _type in (("shared", fcntl.LOCK_SH), ("exclusive", fcntl.LOCK_EX)):
        files.add("flock %s through %s" % (_kind, _name),
                  using(_flags, lambda fd, t=_type: fcntl.flock(fd, t | fcntl.LOCK_NB)))
        files.add("lockf %s through %s" % (_kind, _name),
                  using(_flags, lambda fd, t=_type: fcntl.lockf(fd, t | fcntl.LOCK_NB)))
files.add("link", lambda actor: os.link("w/f", "w/link"))       # protected_hardlinks
files.add("unlink", lambda actor: os.unlink("w/f"))
files.add("rename", lambda actor: os.rename("w/f", "w/g"))

own_of_files, plain_of_files = {}, {}


def own(name, plain, function, operations=own_of_files, equivalents=plain_of_files):
    operations[CUBBY + name] = function
    equivalents[CUBBY + name] = plain


for _name, _value in (("ttl", b"100"), ("ttl", b"0"), ("action", b"why"), ("increment", b"1"),
                      ("cas", b"1:8"), ("refresh", b"1"), ("release", b"1"),
                      ("update", b'[{"type":"set","value":1}]')):
    own("%s set %s" % (_name, _value.decode()), "setxattr",
        lambda actor, n=_name, v=_value: os.setxattr("w/f", CUBBY + n, v))
for _name in ("ttl", "expires", "created", "modified", "revision", "version", "action", "token",
              "holder", "default_ttl"):
    own(_name + " get", "getxattr", lambda actor, n=_name: os.getxattr("w/f", CUBBY + n) and None)
own("ttl remove", "removexattr missing", lambda actor: os.removexattr("w/f", CUBBY + "ttl"))
own("increment through w", "open w", using(
    os.O_WRONLY, lambda fd: os.setxattr(fd, CUBBY + "increment", b"1")))
own("ttl through append", "open append", using(
    os.O_WRONLY | os.O_APPEND, lambda fd: os.setxattr(fd, CUBBY + "ttl", b"100")))


# Such a truncation is committed when the last descriptor goes, and by then the process may
# be gone, or somebody else (as here: root again). Which further groups it was in is not known
# any more, so the set-gid bit goes, as for one who is not in the group.
DIFFERENCES = {
    (DAVE, 0o6666, name): ("ok", {"w/f": ("0o100666", ALICE.uid, TEAM, 1, 0)})
    for name in ("open w trunc", "open r trunc")
}


@mount_only
@deadline(150)
def test_files(m):
    os.mkdir(m.path("users"))
    with tmpfs(m) as plain:
        results = run_on_both(
            m, plain, lambda actor: FILE_MODES if actor is not ROOT else (0o000, 0o600, 0o6775),
            files, build_file, ("w",), own_of_files)
    compare(results, plain_of_files, DIFFERENCES)


# ---------------------------------------------------------------- a directory

DIRECTORY_MODES = (0o300, 0o500, 0o600, 0o030, 0o050, 0o003, 0o005, 0o077, 0o755, 0o777, 0o1777,
                   0o2775, 0o1757)
directories = Table()


CONTENTS = (("p/f", ALICE.uid, 0o666), ("p/b", BOB.uid, 0o666), ("o/g", 0, 0o666),
            ("p/d", ALICE.uid, 0o755), ("p/bd", BOB.uid, 0o777), ("o/gd", 0, 0o777))


def build_directory(mode, changed=None):
    """`changed`: what has to be made anew; else all of it."""
    for name in ("p", "o"):
        if not os.path.isdir(name):
            os.mkdir(name)
        if changed is None:
            empty(name)
    for path in sorted(changed or (), reverse=True):
        if path not in ("p", "o") and os.path.lexists(path):
            remove(path)
    for path, uid, its_mode in CONTENTS:
        if changed is None or path in changed:
            if path.endswith("d"):
                os.mkdir(path)
            else:
                write_file(path, b"7")
            os.chown(path, uid, TEAM)
            os.chmod(path, its_mode)
    if changed is None or "p/s" in changed:
        os.symlink("f", "p/s")
        os.lchown("p/s", ALICE.uid, TEAM)
    os.setxattr("p", "user.note", b"n")
    os.chown("p", ALICE.uid, TEAM)
    os.chmod("p", mode)
    os.chmod("o", 0o777)


def open_in(path, flags):
    os.close(os.open(path, flags, 0o666))


for _name, _function in (
        ("list", lambda: sorted(os.listdir("p"))),
        ("opendir", lambda: open_in("p", os.O_RDONLY | os.O_DIRECTORY)),
        ("open w", lambda: open_in("p", os.O_WRONLY)),
        ("stat", lambda: oct(os.stat("p").st_mode)),
        ("stat below", lambda: oct(os.stat("p/f").st_mode)),
        ("stat missing", lambda: os.stat("p/none")),
        ("readlink", lambda: os.readlink("p/s")),
        ("chdir", lambda: os.chdir("p")),
        ("statvfs", lambda: os.statvfs("p") and None),
        ("open below r", lambda: open_in("p/f", os.O_RDONLY)),
        ("open below w", lambda: open_in("p/f", os.O_WRONLY)),
        ("open through symlink", lambda: open_in("p/s", os.O_RDWR)),
        ("creat existing", lambda: open_in("p/b", os.O_WRONLY | os.O_CREAT)),
        ("creat", lambda: open_in("p/n", os.O_WRONLY | os.O_CREAT)),
        ("creat set-id", lambda: os.close(os.open("p/n", os.O_WRONLY | os.O_CREAT, 0o6777))),
        ("excl", lambda: open_in("p/n", os.O_RDWR | os.O_CREAT | os.O_EXCL)),
        ("excl existing", lambda: open_in("p/f", os.O_RDWR | os.O_CREAT | os.O_EXCL)),
        ("mkdir", lambda: os.mkdir("p/n")),
        ("mkdir set-id", lambda: os.mkdir("p/n", 0o7777)),
        ("mkdir existing", lambda: os.mkdir("p/d")),
        ("mknod file", lambda: os.mknod("p/n", stat.S_IFREG | 0o666)),
        ("mknod fifo", lambda: os.mknod("p/n", stat.S_IFIFO | 0o666)),
        ("mknod socket", lambda: os.mknod("p/n", stat.S_IFSOCK | 0o666)),
        ("mknod device", lambda: os.mknod("p/n", stat.S_IFCHR | 0o666, os.makedev(1, 3))),
        ("mknod existing", lambda: os.mknod("p/f", stat.S_IFREG | 0o666)),
        ("symlink", lambda: os.symlink("x", "p/n")),
        ("link in", lambda: os.link("o/g", "p/n")),
        ("link out", lambda: os.link("p/b", "o/n")),
        ("unlink", lambda: os.unlink("p/f")),
        ("unlink bob's", lambda: os.unlink("p/b")),
        ("unlink symlink", lambda: os.unlink("p/s")),
        ("unlink missing", lambda: os.unlink("p/none")),
        ("rmdir", lambda: os.rmdir("p/d")),
        ("rmdir bob's", lambda: os.rmdir("p/bd")),
        ("rename", lambda: os.rename("p/f", "p/n")),
        ("rename bob's", lambda: os.rename("p/b", "p/n")),
        ("rename missing", lambda: os.rename("p/none", "p/n")),
        ("rename out", lambda: os.rename("p/f", "o/n")),
        ("rename bob's out", lambda: os.rename("p/b", "o/n")),
        ("rename out over", lambda: os.rename("p/f", "o/g")),
        ("rename in", lambda: os.rename("o/g", "p/n")),
        ("rename in over", lambda: os.rename("o/g", "p/f")),
        ("rename in over bob's", lambda: os.rename("o/g", "p/b")),
        ("rename over bob's", lambda: os.rename("p/f", "p/b")),
        ("rename directory", lambda: os.rename("p/d", "p/n")),
        ("rename directory out", lambda: os.rename("p/d", "o/n")),
        ("rename bob's directory out", lambda: os.rename("p/bd", "o/n")),
        ("rename directory in", lambda: os.rename("o/gd", "p/n")),
        ("rename directory over", lambda: os.rename("p/d", "p/bd")),
        ("noreplace", lambda: renameat2("p/f", "p/n", RENAME_NOREPLACE)),
        ("noreplace existing", lambda: renameat2("p/f", "p/b", RENAME_NOREPLACE)),
        ("noreplace in", lambda: renameat2("o/g", "p/n", RENAME_NOREPLACE)),
        ("exchange", lambda: renameat2("p/f", "p/b", RENAME_EXCHANGE)),
        ("exchange with outside", lambda: renameat2("p/f", "o/g", RENAME_EXCHANGE)),
        ("exchange file and directory", lambda: renameat2("p/f", "o/gd", RENAME_EXCHANGE)),
        ("exchange directories", lambda: renameat2("p/d", "o/gd", RENAME_EXCHANGE)),
        ("chmod", lambda: os.chmod("p", 0o2750)),
        ("chown", lambda: os.chown("p", BOB.uid, -1)),
        ("chgrp", lambda: os.chown("p", -1, EXTRA)),
        ("chmod below", lambda: os.chmod("p/f", 0o600)),
        ("utime now", lambda: os.utime("p")),
        ("utime", lambda: os.utime("p", (5, 5))),
        ("utime below", lambda: os.utime("p/f")),
        ("truncate", lambda: os.truncate("p", 0)),
        ("truncate below", lambda: os.truncate("p/b", 0)),
        ("setxattr", lambda: os.setxattr("p", "user.x", b"1")),
        ("getxattr", lambda: os.getxattr("p", "user.note")),
        ("removexattr", lambda: os.removexattr("p", "user.note")),
        ("setxattr below", lambda: os.setxattr("p/f", "user.x", b"1")),
        ("getxattr below", lambda: os.getxattr("p/f", "user.none")),
        ("access", lambda: [os.access("p", how) for how in range(8)]),
        ("exec below", lambda: os.execv("p/f", ["f"]))):
    directories.add(_name, lambda actor, f=_function: f())

own_of_directories, plain_of_directories = {}, {}


def own_of_directory(name, plain, function):
    own(name, plain, lambda actor: function(), own_of_directories, plain_of_directories)


for _name, _value in (("default_ttl", b"100"), ("lock_ttl", b"100"), ("lock_suffix", b".x"),
                      ("lock_keepalive", b"1"), ("max_value", b"1000"), ("max_keys", b"1000"),
                      ("history", b"1")):
    own_of_directory(_name + " set", "setxattr",
                     lambda n=_name, v=_value: os.setxattr("p", CUBBY + n, v))
    own_of_directory(_name + " get", "getxattr",
                     lambda n=_name: os.getxattr("p", CUBBY + n) and None)
    own_of_directory(_name + " remove", "removexattr",
                     lambda n=_name: os.removexattr("p", CUBBY + n))
own_of_directory("revision get", "getxattr", lambda: os.getxattr("p", CUBBY + "revision") and None)
# What ends a name is a removal: of a file that all may write to.
own_of_directory("ttl set below", "unlink", lambda: os.setxattr("p/f", CUBBY + "ttl", b"100"))
own_of_directory("ttl set to 0 below", "unlink bob's",
                 lambda: os.setxattr("p/b", CUBBY + "ttl", b"0"))
own_of_directory("increment below", "setxattr below",
                 lambda: os.setxattr("p/b", CUBBY + "increment", b"1"))
own_of_directory("ttl get below", "getxattr below", lambda: os.getxattr("p/b", CUBBY + "ttl"))


@mount_only
@deadline(150)
def test_directories(m):
    os.mkdir(m.path("users"))
    with tmpfs(m) as plain:
        results = run_on_both(
            m, plain, lambda actor: DIRECTORY_MODES if actor is not ROOT else (0o000, 0o3777),
            directories, build_directory, ("p", "o"), own_of_directories)
    compare(results, plain_of_directories)


# ---------------------------------------------------------------- locks

LOCK_MODES = (0o1777, 0o777, 0o755, 0o775, 0o1775)
locks = Table()
own_of_locks, plain_of_locks = {}, {}


def build_locks(mode, changed=None):
    if not os.path.isdir("l"):
        os.mkdir("l")
        with contextlib.suppress(OSError):      # tmpfs: a plain directory
            os.setxattr("l", CUBBY + "lock_ttl", b"600")
    empty("l")
    os.chown("l", 0, TEAM)
    os.chmod("l", 0o777)
    for name, lock_mode in (("l/open", 0o666), ("l/lock", 0o644)):
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.chown(name, ALICE.uid, TEAM)
        os.chmod(name, lock_mode)
    os.chmod("l", mode)


def token_of(name):
    return os.getxattr(name, CUBBY + "token")


for _lock in ("l/open", "l/lock"):
    locks.add("take " + _lock, lambda actor, p=_lock: open_in(p, os.O_CREAT | os.O_EXCL))
    locks.add("touch " + _lock, lambda actor, p=_lock: os.utime(p))
    locks.add("write to " + _lock, lambda actor, p=_lock: open_in(p, os.O_WRONLY))
    locks.add("read " + _lock, lambda actor, p=_lock: read_file(p))
    locks.add("unlink " + _lock, lambda actor, p=_lock: os.unlink(p))
    locks.add("rename " + _lock, lambda actor, p=_lock: os.rename(p, "l/n"))
    locks.add("setxattr " + _lock, lambda actor, p=_lock: os.setxattr(p, "user.x", b"1"))
    for _name in ("token", "holder", "ttl", "expires"):
        own("%s get %s" % (_name, _lock), "read " + _lock,
            lambda actor, p=_lock, n=_name: os.getxattr(p, CUBBY + n) and None,
            own_of_locks, plain_of_locks)
    own("refresh " + _lock, "setxattr " + _lock,
        lambda actor, p=_lock: os.setxattr(p, CUBBY + "refresh", token_of(p)),
        own_of_locks, plain_of_locks)
    own("increment " + _lock, "write to " + _lock,
        lambda actor, p=_lock: os.setxattr(p, CUBBY + "increment", b"1"),
        own_of_locks, plain_of_locks)
# Who may not write to it is refused for that already.
for _name, _value in (("release", None), ("ttl", b"0"), ("ttl", b"900")):
    own("%s %s l/open" % (_name, _value), "unlink l/open",
        lambda actor, n=_name, v=_value: os.setxattr("l/open", CUBBY + n, v or token_of("l/open")),
        own_of_locks, plain_of_locks)
locks.add("take", lambda actor: open_in("l/n", os.O_CREAT | os.O_EXCL))
locks.add("take by mkdir", lambda actor: os.mkdir("l/n"))
locks.add("take by link", lambda actor: os.link("l/open", "l/n"))
locks.add("setxattr of all", lambda actor: os.setxattr("l", "user.x", b"1"))
own("lock_ttl", "setxattr of all", lambda actor: os.setxattr("l", CUBBY + "lock_ttl", b"700"),
    own_of_locks, plain_of_locks)


@mount_only
@deadline(150)
def test_locks(m):
    os.mkdir(m.path("users"))
    with tmpfs(m) as plain:
        results = run_on_both(m, plain, lambda actor: LOCK_MODES, locks, build_locks, ("l",),
                              own_of_locks)
    compare(results, plain_of_locks)
    # and a lock that may not be written to is not released by who may remove it otherwise
    for mode, name in ((0o777, "l/lock"), (0o1777, "l/lock")):
        for actor in (CAROL, DAVE, BOB):
            equal(results[actor][0][mode, CUBBY + "refresh " + name][0], "EACCES", "refresh")


# ---------------------------------------------------------------- .cubby

closed = Table()
# What tmpfs lets those do who may write to the directory above. Here the name is reserved
# (1.2), and nobody may take it away or put something in its place.
RESERVED = set()


def on_control(name, function, reserved=False):
    closed.add(name, lambda actor, f=function: f())
    if reserved:
        RESERVED.add(name)


for _name in (".cubby/stats", ".cubby/journal", ".cubby/events", ".cubby/none", ".cubby"):
    for _what, _flags in (("r", os.O_RDONLY), ("w", os.O_WRONLY), ("rw", os.O_RDWR),
                          ("append", os.O_WRONLY | os.O_APPEND), ("nonblock", os.O_NONBLOCK),
                          ("trunc", os.O_WRONLY | os.O_TRUNC), ("creat", os.O_RDWR | os.O_CREAT),
                          ("excl", os.O_RDWR | os.O_CREAT | os.O_EXCL),
                          ("directory", os.O_DIRECTORY)):
        on_control("open %s %s" % (_what, _name), lambda p=_name, f=_flags: open_in(p, f))
    for _what, _function in (
            ("list", os.listdir), ("stat", lambda p: oct(os.stat(p).st_mode)),
            ("chdir", os.chdir), ("readlink", os.readlink), ("exec", lambda p: os.execv(p, ["x"])),
            ("statvfs", lambda p: os.statvfs(p) and None),
            ("chmod", lambda p: os.chmod(p, 0o777)), ("chown", lambda p: os.chown(p, BOB.uid, -1)),
            ("chgrp", lambda p: os.chown(p, -1, TEAM)), ("utime now", os.utime),
            ("utime", lambda p: os.utime(p, (5, 5))), ("truncate", lambda p: os.truncate(p, 0)),
            ("access", lambda p: [os.access(p, how) for how in range(8)]),
            ("setxattr", lambda p: os.setxattr(p, "user.x", b"1")),
            ("setxattr ours", lambda p: os.setxattr(p, CUBBY + "ttl", b"0")),
            ("getxattr", lambda p: os.getxattr(p, "user.none")),
            ("getxattr ours", lambda p: os.getxattr(p, CUBBY + "revision")),
            ("getxattr trusted", lambda p: os.getxattr(p, "trusted.none")),
            ("removexattr", lambda p: os.removexattr(p, "user.none")),
            ("listxattr", os.listxattr), ("mkdir", os.mkdir),
            ("mkdir below", lambda p: os.mkdir(p + "/n")),
            ("mknod", lambda p: os.mknod(p, stat.S_IFREG | 0o666)),
            ("symlink", lambda p: os.symlink("x", p)), ("link to", lambda p: os.link("o/g", p)),
            ("link of", lambda p: os.link(p, "o/n"))):
        on_control("%s %s" % (_what, _name), lambda p=_name, f=_function: f(p))
    for _what, _function in (
            ("unlink", os.unlink), ("rmdir", os.rmdir),
            ("rename of", lambda p: os.rename(p, "o/n")),
            ("rename within of", lambda p: os.rename(p, "n")),
            ("rename to", lambda p: os.rename("o/g", p)),
            ("rename of directory to", lambda p: os.rename("o/gd", p)),
            ("noreplace", lambda p: renameat2("o/g", p, RENAME_NOREPLACE)),
            ("exchange", lambda p: renameat2("o/g", p, RENAME_EXCHANGE))):
        on_control("%s %s" % (_what, _name), lambda p=_name, f=_function: f(p),
                   reserved=_name == ".cubby" and _what in (
                       "rmdir", "rename within of", "rename of directory to"))


def try_control(directory, actor, leave_out=()):
    os.umask(0o022)
    os.chdir(directory)
    home = os.open(".", os.O_RDONLY)
    rows = {}
    for mode in (0o755, 0o777, 0o1777):
        os.chmod(".", mode)
        for name, function in closed.operations.items():
            if mode == 0o777 and name in leave_out:
                continue
            rows[mode, name] = outcome_of(actor, function)
            os.fchdir(home)
    os.chmod(".", 0o755)
    return rows


@mount_only
@options("allow_other")
def test_control_directory(m):
    """Closed for everybody but the mount's owner, whatever the root's mode is."""
    with tmpfs(m) as plain:
        os.mkdir(plain + "/.cubby", 0o700)
        for name, mode in (("stats", 0o400), ("journal", 0o400), ("events", 0o600)):
            write_file(plain + "/.cubby/" + name, b"", mode=mode)
        for directory in (plain, m.dir):
            for name in ("o", "o/gd"):
                os.mkdir(os.path.join(directory, name))
                os.chmod(os.path.join(directory, name), 0o777)
            write_file(directory + "/o/g", b"")
            os.chmod(directory + "/o/g", 0o666)
        wrong, count, opened = [], 0, 0
        for actor in USERS:
            with Crew() as crew:
                crew.fork(try_control, m.dir, actor)
                crew.fork(try_control, plain, actor, RESERVED)
                here, there = crew.join(60)
            for row, got in here.items():
                mode, name = row
                wanted = there.get(row, "EPERM")
                count += 1
                opened += got not in errno.errorcode.values()
                if got != wanted:
                    wrong.append("%s, root %o, %s: %s, wanted %s"
                                 % (actor, mode, name, got, wanted))
        print("# %d rows, %d of them allowed" % (count, opened))
        check(not wrong, "%d rows differ:\n  %s" % (len(wrong), "\n  ".join(wrong[:40])))
        check(0 < opened < count / 20, "%d of %d rows were allowed" % (opened, count))
    equal(sorted(os.listdir(m.path(".cubby"))), ["events", "journal", "stats"], "for root")


if __name__ == "__main__":
    main(globals())
