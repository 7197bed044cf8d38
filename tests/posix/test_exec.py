# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Programs kept in the file system, and the usual tools at work on it."""
import errno
import os
import shutil
import subprocess
import sys

from support import (
    ALICE, BOB, Cases, area, as_user, check, equal, fails, inode, kind_of, make, mode_of, nlink,
    opened, owner_of, read_file, write_file)
from harness import Skip, main

SCRIPT = b"#!/bin/sh\necho \"script $1\"\n"


def run(*command, **keywords):
    r = subprocess.run(command, capture_output=True, timeout=60, **keywords)
    check(r.returncode == 0, "%s: %d: %s" % (command, r.returncode, r.stderr))
    return r.stdout


def program_area(m):
    d = area(m)
    if os.statvfs(d).f_flag & os.ST_NOEXEC:
        raise Skip("mounted noexec")
    return d


def test_script_and_binary(m):
    d = program_area(m)
    write_file(d + "/script", SCRIPT, mode=0o755)
    equal(run(d + "/script", "one"), b"script one\n", "the script")
    equal(run("/bin/sh", d + "/script", "two"), b"script two\n", "by the shell")
    shutil.copy("/bin/echo", d + "/echo")
    equal(run(d + "/echo", "binary"), b"binary\n", "the binary")
    os.link(d + "/echo", d + "/link")
    os.symlink("link", d + "/symlink")
    os.rename(d + "/echo", d + "/moved")
    for name in ("link", "symlink", "moved"):
        equal(run(d + "/" + name, name), name.encode() + b"\n", name)
    write_file(d + "/interpreted", b"#!" + os.fsencode(d) + b"/moved -n\n", mode=0o755)
    equal(run(d + "/interpreted"), os.fsencode(d) + b"/interpreted", "its interpreter is here too")


def test_a_new_version_of_a_program(m):
    d = program_area(m)
    for i in range(5):
        write_file(d + "/p", b"#!/bin/sh\necho %d\n" % i, mode=0o755)
        equal(run(d + "/p"), b"%d\n" % i, "version")
    for name in ("echo", "true", "echo"):
        shutil.copy("/bin/" + name, d + "/new")
        os.rename(d + "/new", d + "/binary")
        equal(run(d + "/binary", "x"), b"x\n" if name == "echo" else b"", name)


def test_permission_to_execute(m):
    d = program_area(m)
    write_file(d + "/p", SCRIPT)
    os.chown(d + "/p", ALICE.uid, ALICE.gid)

    def execute():
        return subprocess.run([d + "/p", "x"], capture_output=True, check=True).stdout
    with Cases() as t:
        for mode, user, ok in ((0o755, ALICE, True), (0o755, BOB, True), (0o655, ALICE, False),
                               (0o754, BOB, False), (0o700, BOB, False), (0o500, ALICE, True),
                               (0o644, None, False), (0o001, None, True)):
            os.chmod(d + "/p", mode)
            with t.case(oct(mode), user):
                call = (as_user, user, execute) if user else (execute,)
                if ok:
                    equal(call[0](*call[1:]), b"script x\n", "output")
                else:
                    fails(errno.EACCES, *call)
        with t.case("a directory"):
            fails(errno.EACCES, os.execv, d, ["x"])
        with t.case("a fifo"):
            fails(errno.EACCES, os.execv, make("fifo", d + "/fifo", 0o777), ["x"])
        with t.case("not a program"):
            write_file(d + "/empty", b"\x7fELF but not really", mode=0o755)
            fails(errno.ENOEXEC, os.execv, d + "/empty", ["x"])
        with t.case("interpreter missing"):
            write_file(d + "/orphan", b"#!" + os.fsencode(d) + b"/none\n", mode=0o755)
            fails(errno.ENOENT, os.execv, d + "/orphan", ["x"])


def test_program_removed_while_it_runs(m):
    d = program_area(m)
    shutil.copy("/bin/cat", d + "/cat")
    p = subprocess.Popen([d + "/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.unlink(d + "/cat")
    out, _ = p.communicate(b"still here", timeout=30)
    equal((out, p.returncode), (b"still here", 0), "output")


def test_python_module(m):
    """Imports find, compile and cache what is here."""
    d = program_area(m)
    write_file(d + "/here_only.py", b"answer = 42\n")
    for _ in range(2):
        equal(run(sys.executable, "-c", "import here_only; print(here_only.answer)",
                  env={"PYTHONPATH": d, "PATH": os.environ["PATH"]}), b"42\n", "module")


def test_shell_redirections(m):
    d = area(m)

    def sh(script):
        return run("/bin/sh", "-ec", script, cwd=d)
    with Cases() as t:
        for script, name, wanted in (
                ("echo v > k", "k", b"v\n"), ("{ echo 1; echo 2; } > k", "k", b"1\n2\n"),
                ("echo 3 >> k", "k", b"1\n2\n3\n"), (": > k", "k", b""), ("> new", "new", b""),
                ("cat > k <<E\nhere\nE", "k", b"here\n"), ("(echo a; (echo b; echo c)) > k", "k",
                                                           b"a\nb\nc\n"),
                ("echo x | tee k > k2", "k2", b"x\n"), ("cat k k2 > k3", "k3", b"x\nx\n"),
                ("exec 3> k; echo one >&3; echo two >&3", "k", b"one\ntwo\n"),
                ("exec 3<> k; read a <&3; echo $a-$a >&3", "k", b"one\none-one\n"),
                ("set -C; echo n > excl", "excl", b"n\n"),
                ("printf abc > k; printf X | dd of=k bs=1 seek=1 conv=notrunc 2>&1", "k", b"aXc"),
                ("sed -i s/X/Y/ k", "k", b"aYc"), ("truncate -s 2 k", "k", b"aY"),
                ("cp k copy", "copy", b"aY"), ("mv copy moved", "moved", b"aY"),
                ("touch t; test -f t", "t", b""), ("echo a > s; sort -o s s", "s", b"a\n")):
            with t.case(script):
                sh(script)
                equal(read_file(d + "/" + name), wanted, name)
        with t.case("noclobber"):
            r = subprocess.run(["/bin/sh", "-c", "set -C; echo m > excl"], cwd=d,
                               stderr=subprocess.DEVNULL)
            check(r.returncode != 0, "overwritten")
            equal(read_file(d + "/excl"), b"n\n", "excl")


def build_tree(top):
    """One of everything, with owners, modes, times and attributes."""
    os.makedirs(top + "/a/b c/d")
    for i in range(20):
        write_file(top + "/a/f%d" % i, b"%d" % i * i * 500)
    os.link(top + "/a/f1", top + "/a/b c/hard")
    os.symlink("../f2", top + "/a/b c/soft")
    os.symlink("nowhere", top + "/dangling")
    make("fifo", top + "/fifo", 0o620)
    make("char", top + "/char", 0o600)
    write_file(top + "/odd\nname\xff", b"odd")
    os.setxattr(top + "/a/f3", "user.note", b"kept")
    os.chown(top + "/a/f4", 5, 6)
    os.chmod(top + "/a/f5", 0o6711)
    os.chmod(top + "/a/b c", 0o1751)
    for path, dirs, files in os.walk(top, topdown=False):
        for i, name in enumerate(sorted(files + dirs)):
            os.utime(path + "/" + name, ns=(10**18 + i, 10**18 + i * 1001), follow_symlinks=False)


def describe(top):
    found = {}
    for path, dirs, files in os.walk(top):
        for name in dirs + files:
            p = path + "/" + name
            st = os.lstat(p)
            kind = kind_of(p)
            xattrs = {} if kind not in ("file", "dir") else {
                n: os.getxattr(p, n) for n in os.listxattr(p)
                if n.startswith("user.") and not n.startswith("user.cubby.")}
            found[os.path.relpath(p, top)] = (
                kind, oct(mode_of(p)), owner_of(p), 0 if kind == "dir" else nlink(p), st.st_rdev,
                st.st_mtime_ns, xattrs, read_file(p) if kind == "file" else None,
                os.readlink(p) if kind == "symlink" else None)
    return found


def test_tools_copy_a_tree(m):
    d = area(m)
    build_tree(d + "/tree")
    wanted = describe(d + "/tree")
    equal(len(wanted), 29, "entries")
    with Cases() as t:
        commands = {
            "cp": "cp -a tree cp",
            "tar": "mkdir tar && tar --xattrs --xattrs-include='user.*' -C tree -cf - . "
                   "| tar --xattrs --xattrs-include='user.*' -C tar -xpf -",
            "rsync": "rsync -aHXD --numeric-ids tree/ rsync",
            "mv": "cp -a tree mv1 && mv mv1 mv",
        }
        for tool, command in commands.items():
            if not shutil.which(tool):
                print("# no " + tool)
                continue
            with t.case(tool):
                run("/bin/sh", "-ec", command, cwd=d)
                got = describe(d + "/" + tool)
                for name in sorted(set(wanted) | set(got)):
                    a, b = wanted.get(name), got.get(name)
                    if tool == "tar" and a and b and a[0] not in ("file", "dir"):
                        a, b = a[:5], b[:5]
                    if tool == "tar" and a and b:       # its ordinary format has whole seconds
                        a = a[:5] + (a[5] // 10**9 if len(a) > 5 else 0,) + a[6:]
                        b = b[:5] + (b[5] // 10**9 if len(b) > 5 else 0,) + b[6:]
                    equal(b, a, repr(name))
                run("rm", "-r", d + "/" + tool)
                check(not os.path.exists(d + "/" + tool), "rm -r left something")
        with t.case("find and du"):
            out = run("find", d + "/tree", "-print0")
            equal(out.count(b"\0"), 30, "found")
            run("du", "-s", d + "/tree")
        with t.case("shutil"):
            os.unlink(d + "/tree/fifo"), os.unlink(d + "/tree/char")
            shutil.copytree(d + "/tree", d + "/py", symlinks=True)
            shutil.rmtree(d + "/py")
            shutil.rmtree(d + "/tree")
            equal(os.listdir(d), [], "left")


def test_git(m):
    if not shutil.which("git"):
        raise Skip("no git")
    d = area(m)
    env = dict(os.environ, HOME=d, GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="a",
               GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@b")

    def git(*words):
        return run("git", *words, cwd=d + "/repo", env=env)
    os.mkdir(d + "/repo")
    git("init", "-q")
    for i in range(3):
        write_file(d + "/repo/f", b"version %d\n" % i)
        os.makedirs(d + "/repo/sub/%d" % i)
        write_file(d + "/repo/sub/%d/g" % i, b"x" * 1000)
        git("add", "-A")
        git("commit", "-q", "-m", "version %d" % i)
    equal(git("status", "--porcelain"), b"", "status")
    git("checkout", "-q", "HEAD~2")
    equal((read_file(d + "/repo/f"), os.listdir(d + "/repo/sub")), (b"version 0\n", ["0"]), "old")
    git("gc", "-q")
    git("fsck", "--strict")
    run("git", "clone", "-q", d + "/repo", d + "/clone", env=env)
    equal(run("git", "log", "--oneline", cwd=d + "/clone", env=env).count(b"\n"), 1, "commits")


def test_sqlite_like_journaling(m):
    """A journal beside the file, both synced, the journal removed: over and over."""
    d = area(m)
    with opened(d + "/db", os.O_CREAT | os.O_RDWR) as fd:
        for i in range(20):
            with opened(d + "/db-journal", os.O_CREAT | os.O_EXCL | os.O_RDWR) as j:
                os.write(j, os.pread(fd, 4096, 0))
                os.fsync(j)
                os.pwrite(fd, b"page %04d" % i * 400, 0)
                os.pwrite(fd, b"end", 8192)
                os.fsync(fd)
            os.unlink(d + "/db-journal")
            equal(os.pread(fd, 9, 0), b"page %04d" % i, "read back")
    equal((os.listdir(d), os.stat(d + "/db").st_size), (["db"], 8195), "left")


def test_editors_save(m):
    """Three ways in which editors save a file."""
    d = area(m)
    f = d + "/f"
    write_file(f, b"one")
    ino = inode(f)
    os.rename(f, f + "~")                   # keep a backup, write anew
    write_file(f, b"two", os.O_EXCL, 0o600)
    os.fchmod(fd := os.open(f, os.O_RDONLY), 0o644)
    os.close(fd)
    equal((read_file(f), read_file(f + "~"), inode(f + "~")), (b"two", b"one", ino), "renamed away")
    shutil.copy2(f, f + "~")                # copy a backup, write in place
    ino = inode(f)
    write_file(f, b"three")
    equal((read_file(f), read_file(f + "~"), inode(f)), (b"three", b"two", ino), "in place")
    write_file(d + "/.f.swp", b"four", os.O_EXCL)       # a new file, renamed over
    os.rename(d + "/.f.swp", f)
    equal((read_file(f), sorted(os.listdir(d))), (b"four", ["f", "f~"]), "renamed over")


if __name__ == "__main__":
    main(globals())
