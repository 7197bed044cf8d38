#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""mount(8), fstab, and starting without them: how a store gets mounted and goes away again.

All of this runs in a mount namespace of its own, in which /sbin has the helper and the daemon as
an installation would put them there, and /etc/fstab is the test's: nothing of the machine's
is changed, and nothing is left when the process ends.
"""
import atexit
import ctypes
import errno
import os
import re
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import (CUBBYFS, MOUNT_CUBBYFS, PLAIN, Failure, Skip, check, deadline, equal,
                     is_mounted, main, raises, unmounted, wait_for)

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
libc = ctypes.CDLL(None, use_errno=True)

MIB = 1 << 20
USER = 65534        # nobody: fusermount3 wants a name for the uid
STRANGER = 65533
# What an fstab line may hold that is none of a file system's business.
OTHERS = ("defaults,nofail,_netdev,noatime,x-systemd.automount,"
          "x-systemd.requires=network.target,comment=x")


# --- the namespace ------------------------------------------------------------------------------

def mount2(source, target, fstype, flags=0, data=None):
    def encoded(s):
        return None if s is None else os.fsencode(s)
    if libc.mount(encoded(source), encoded(target), encoded(fstype), ctypes.c_ulong(flags),
                  encoded(data)) != 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e), target)


def enter_namespace():
    """Returns a directory (a tmpfs) that only this process and its children see."""
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        mount2("none", "/", None, MS_REC | MS_PRIVATE)
    except OSError:     # in a chroot / is no mount
        with open("/proc/self/mountinfo", "rb") as f:
            points = [line.split()[4].decode("unicode_escape") for line in f]
        for point in points:
            mount2("none", point, None, MS_PRIVATE)
    top = tempfile.mkdtemp(prefix="cubbyfstab.")
    atexit.register(lambda: (libc.umount2(os.fsencode(top), MNT_DETACH), os.rmdir(top)))
    mount2("tmpfs", top, "tmpfs", 0, "mode=755")
    return top


def install(top):
    """Puts the programs where `meson install` with prefix /usr would, over what is there."""
    programs = os.path.join(top, "programs")
    os.mkdir(programs)
    shutil.copy2(CUBBYFS, os.path.join(programs, "cubbyfs"))
    shutil.copy2(MOUNT_CUBBYFS, os.path.join(programs, "mount.cubbyfs"))
    os.symlink("mount.cubbyfs", os.path.join(programs, "mount.fuse.cubbyfs"))
    for name in ("cubbyfs", "mount.cubbyfs"):
        os.chmod(os.path.join(programs, name), 0o755)
    sbin = os.path.realpath("/sbin")
    work = os.path.join(top, "work")
    os.mkdir(work)
    try:
        mount2("overlay", sbin, "overlay", 0,
               "lowerdir=%s,upperdir=%s,workdir=%s" % (sbin, programs, work))
    except OSError:     # no overlay here: a directory of links does as well
        was = os.path.join(top, "sbin")
        os.mkdir(was)
        mount2(sbin, was, None, MS_BIND)
        for name in os.listdir(was):
            if not os.path.lexists(os.path.join(programs, name)):
                os.symlink(os.path.join(was, name), os.path.join(programs, name))
        mount2(programs, sbin, None, MS_BIND)
    # an ordinary user must be able to open the device, whatever the machine's own mode
    device = os.path.join(top, "fuse")
    os.mknod(device, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    os.chmod(device, 0o666)
    mount2(device, "/dev/fuse", None, MS_BIND)
    # fusermount3 -u asks for /etc/mtab, which a bare chroot has not
    if not os.path.lexists("/etc/mtab"):
        for name in ("etc", "etc.work"):
            os.mkdir(os.path.join(top, name))
        os.symlink("/proc/self/mounts", os.path.join(top, "etc", "mtab"))
        mount2("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir=%s/etc,workdir=%s/etc.work"
               % (top, top))
    # and libmount's notes go where they end with the namespace
    os.makedirs("/run/mount", exist_ok=True)
    mount2("tmpfs", "/run/mount", "tmpfs")


# --- helpers ------------------------------------------------------------------------------------

def run(*command, status=0, **how):
    """Runs a command that must end with this status, soon: a daemon that kept the output open
    would show here."""
    how.setdefault("timeout", 60)
    r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, errors="surrogateescape", **how)
    if r.returncode != status:
        raise Failure("%s: status %d, wanted %d: %s%s" % (
            " ".join(command), r.returncode, status, r.stdout, r.stderr))
    return r


def as_user(uid, *command, **how):
    return run("setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups",
               *command, cwd="/", **how)


def helper(*arguments, **how):
    return run("/sbin/mount.cubbyfs", *arguments, **how)


def one_line(r, *words):
    """The reason of a failure: one line that has these words."""
    lines = r.stderr.splitlines()
    equal(len(lines), 1, "lines on stderr: %r" % r.stderr)
    for word in words:
        check(re.search(word, lines[0]), "%r is not said in %r" % (word, lines[0]))


def field(text):
    return "".join("\\%03o" % ord(c) if c in " \t\n\\#" else c for c in text)


def write_fstab(s, *lines):
    name = s.path("fstab")
    with open(name, "w") as f:
        for store, directory, options in lines:
            f.write("%s %s cubbyfs %s 0 0\n" % (field(store), field(directory), options))
    return name


def use_fstab(s, *lines):
    """Makes it the system's, for this process and its children."""
    if not os.path.exists("/etc/fstab"):
        raise Failure("there is no /etc/fstab to lay one over")
    mount2(write_fstab(s, *lines), "/etc/fstab", None, MS_BIND)


def drop_fstab():
    subprocess.run(["umount", "/etc/fstab"], check=True)


def places(s):
    os.mkdir(s.path("mnt"))
    return s.path("store"), s.path("mnt")


def umount(directory):
    """As Mount.unmount: something may just have looked into it."""
    end = time.monotonic() + 20
    while True:
        r = subprocess.run(["umount", directory], capture_output=True, text=True)
        if r.returncode == 0:
            return
        if "busy" not in r.stderr or time.monotonic() > end:
            raise Failure("umount: " + r.stderr)
        time.sleep(0.02)


def words_of(directory, column="OPTIONS"):
    return run("findmnt", "-n", "-o", column, "-M", directory).stdout.strip().split(",")


def daemons(directory):
    pids = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if (os.path.basename(words[0]) in (b"cubbyfs", b"mount.cubbyfs")
                    and os.fsencode(directory) in words):
                pids.append(int(entry))
    return pids


def gone(directory):
    wait_for(lambda: not daemons(directory), 20, "the end of the daemon")


def put(path, value):
    with open(path, "w") as f:
        f.write(value)


def get(path):
    with open(path) as f:
        return f.read()


# --- mount and umount ---------------------------------------------------------------------------

@unmounted
def test_mount_by_type(s):
    store, directory = places(s)
    r = run("mount", "-t", "cubbyfs", store, directory)
    equal(r.stdout + r.stderr, "", "what a mount that works says")
    check(is_mounted(directory), "mounted when mount returns")
    put(directory + "/key", "value")
    equal(words_of(directory, "SOURCE"), [store], "source")
    equal(words_of(directory, "FSTYPE"), ["fuse.cubbyfs"], "type")
    umount(directory)
    check(not is_mounted(directory), "unmounted")
    equal(os.listdir(directory), [], "below the mount")
    gone(directory)
    run("mount", "-t", "cubbyfs", store, directory)
    equal(get(directory + "/key"), "value")


@unmounted
def test_mount_by_the_kernels_name_for_the_type(s):
    store, directory = places(s)
    run("mount", "-t", "fuse.cubbyfs", store, directory, "-o", "nofail,x-y")
    put(directory + "/key", "value")
    equal(words_of(directory, "FSTYPE"), ["fuse.cubbyfs"], "type")


@unmounted
def test_mounted_by_root_all_may_enter(s):
    store, directory = places(s)
    run("mount", "-t", "cubbyfs", store, directory)
    words = words_of(directory)
    for word in ("allow_other", "default_permissions", "nosuid", "nodev"):
        check(word in words, "%s is not in %s" % (word, words))
    put(directory + "/open", "all")
    put(directory + "/closed", "root")
    os.chmod(directory + "/closed", 0o600)
    equal(as_user(USER, "cat", directory + "/open").stdout, "all")
    as_user(USER, "cat", directory + "/closed", status=1)
    as_user(USER, "touch", directory + "/new", status=1)


@unmounted
def test_mount_a(s):
    store, directory = places(s)
    second_store, second = s.path("store2"), s.path("mnt2")
    os.mkdir(second)
    use_fstab(s, (store, directory, OTHERS + ",max_value=64M"),
              (second_store, second, "noauto,ro"))
    try:
        r = run("mount", "-a")
        equal(r.stdout + r.stderr, "", "what mount -a says")
        check(is_mounted(directory), "mounted")
        check(not is_mounted(second), "noauto was mounted")
        run("mount", "-a")      # nothing to do
        found = run("findmnt", "-n", "-r", "-o", "TARGET", "-t", "fuse.cubbyfs").stdout.split()
        equal(found.count(directory), 1, "times that it is in findmnt -t fuse.cubbyfs")
        check("noatime" in words_of(directory), "noatime")
        put(directory + "/large", "x" * (2 * MIB))
        run("mount", second)
        check("ro" in words_of(second), "ro")
        run("umount", "-a", "-t", "fuse.cubbyfs")
        check(not is_mounted(directory) and not is_mounted(second), "umount -a left one")
        run("mount", directory)
        equal(len(get(directory + "/large")), 2 * MIB)
        umount(directory)
    finally:
        drop_fstab()


@unmounted
def test_every_option_of_mount_is_taken(s):
    store, directory = places(s)
    for options in (
            "defaults", "auto,noauto", "nofail", "_netdev", "owner,group", "nouser,noowner,nogroup",
            "x-a,x-b=c,X-mount.mkdir", "comment=a b", "rw,suid,dev,exec,async,atime",
            "nosuid,nodev,noexec,sync,noatime,dirsync", "relatime", "norelatime", "strictatime",
            "nostrictatime", "lazytime", "nolazytime", "diratime", "nodiratime", "iversion",
            "noiversion", "mand", "nomand", "silent", "loud", "ro", "nosymfollow",
            "fsname=a", "subtype=cubbyfs", "allow_other,default_permissions"):
        # straight to the helper: mount(8) keeps some of these to itself
        helper(store, directory, "-o", options, "-t", "cubbyfs", "-n")
        os.listdir(directory)
        umount(directory)
    fstab = write_fstab(s, (store, directory, "user,users,noauto,ro,sync,noexec,nofail,x-a=b"))
    run("mount", "-T", fstab, directory)
    words = words_of(directory)
    for word in ("ro", "noexec"):
        check(word in words, "%s is not in %s" % (word, words))


@unmounted
def test_flags_take_effect(s):
    store, directory = places(s)
    # mount(8) keeps dev and suid to itself
    run("mount", "-t", "cubbyfs", store, directory, "-o", "allow_dev,allow_suid,noexec,noatime")
    words = words_of(directory, "VFS-OPTIONS")
    check("noexec" in words and "noatime" in words, "flags: %s" % words)
    check("nodev" not in words and "nosuid" not in words, "flags: %s" % words)
    put(directory + "/program", "#!/bin/sh\n")
    os.chmod(directory + "/program", 0o755)
    with raises(errno.EACCES, "a program on a noexec mount"):
        subprocess.run([directory + "/program"])
    os.mknod(directory + "/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    put(directory + "/null", "into the void")
    umount(directory)
    helper(store, directory, "-o", "dev,suid,nosymfollow")
    words = words_of(directory, "VFS-OPTIONS")
    check("nodev" not in words and "nosuid" not in words, "flags: %s" % words)
    check("nosymfollow" in words, "flags: %s" % words)
    os.symlink("null", directory + "/link")
    with raises(errno.ELOOP, "a link on a nosymfollow mount"):
        open(directory + "/link")
    umount(directory)
    run("mount", "-r", "-t", "cubbyfs", store, directory)
    with raises(errno.EROFS, "a write to a mount that is read-only"):
        put(directory + "/key", "value")
    equal(get(directory + "/program"), "#!/bin/sh\n")


@unmounted
def test_max_value_reaches_the_daemon(s):
    store, directory = places(s)
    run("mount", "-t", "cubbyfs", store, directory)
    with raises(errno.EFBIG, "2 MiB without max_value"):
        put(directory + "/key", "x" * (2 * MIB))
    umount(directory)
    fstab = write_fstab(s, (store, directory, OTHERS + ",max_value=64M"))
    run("mount", "-T", fstab, directory)
    put(directory + "/key", "x" * (2 * MIB))
    equal(os.stat(directory + "/key").st_size, 2 * MIB)


@unmounted
def test_odd_names(s):
    for number, name in enumerate(("a b", "a,b", "a\\b", "a#b", "\u00e9", "-o", "a:b", "x\\,y")):
        store = s.path(name + " store")
        directory = s.path(name)
        os.mkdir(directory)
        run("mount", "-T", write_fstab(s, (store, directory, "nofail")), directory)
        check(os.path.ismount(directory), "%r is not mounted" % name)
        put(directory + "/key", name)
        check(os.path.isdir(store), "the store is at %r" % store)
        umount(directory)
        run("mount", "-t", "cubbyfs", store, directory)
        equal(get(directory + "/key"), name)
        umount(directory)


@unmounted
def test_relative_paths(s):
    os.mkdir(s.path("mnt"))
    run("mount", "-t", "cubbyfs", "store", "mnt", cwd=s.top)
    put(s.path("mnt", "key"), "value")
    check(os.path.isdir(s.path("store")), "the store is where mount was called")
    umount(s.path("mnt"))
    helper("./store", "mnt", cwd=s.top)
    equal(get(s.path("mnt", "key")), "value")
    umount(s.path("mnt"))
    run(CUBBYFS, "store", "mnt", cwd=s.top)
    equal(get(s.path("mnt", "key")), "value")
    equal([os.readlink("/proc/%d/cwd" % pid) for pid in daemons("mnt")][-1:], ["/"],
          "the daemon's directory")


@unmounted
def test_memory_store(s):
    _, directory = places(s)
    run("mount", "-t", "cubbyfs", "memory:", directory)
    put(directory + "/key", "value")
    equal(words_of(directory, "SOURCE"), ["memory:"], "source")
    umount(directory)
    run("mount", "-t", "cubbyfs", "memory:", directory)
    equal(os.path.exists(directory + "/key"), False, "a key in a new memory store")


@unmounted
def test_no_environment_and_a_hostile_one(s):
    store, directory = places(s)
    run("/usr/bin/env", "-i", shutil.which("mount"), "-t", "cubbyfs", store, directory)
    put(directory + "/key", "value")
    umount(directory)
    for name in ("cubbyfs", "fusermount3", "sh"):
        put(s.path(name), "#!/bin/bash\n: > %s\nexit 1\n" % s.path("caught"))
        os.chmod(s.path(name), 0o755)
    run(shutil.which("mount"), "-t", "cubbyfs", store, directory, cwd=s.top,
        env={"PATH": s.top + ":.", "LD_LIBRARY_PATH": s.top, "CUBBYFS": s.path("cubbyfs")})
    equal(get(directory + "/key"), "value")
    check(not os.path.exists(s.path("caught")), "a program out of PATH was run")
    for pid in daemons(directory):
        with open("/proc/%d/environ" % pid, "rb") as f:
            check(b"LD_LIBRARY_PATH" not in f.read(), "the daemon's environment")


@unmounted
def test_nothing_of_the_caller_stays_open(s):
    store, directory = places(s)
    r, w = os.pipe()
    try:
        os.set_inheritable(w, True)
        run("mount", "-t", "cubbyfs", store, directory, close_fds=False)
        os.close(w)
        w = -1
        os.set_blocking(r, False)
        equal(os.read(r, 1), b"", "end of file on a pipe that only the daemon could hold")
    finally:
        os.close(r)
        if w >= 0:
            os.close(w)


@unmounted
def test_mount_right_after_umount(s):
    store, directory = places(s)
    for i in range(20):
        run("mount", "-t", "cubbyfs", store, directory)
        put(directory + "/key%d" % i, "value")
        umount(directory)
    run("mount", "-t", "cubbyfs", store, directory)
    equal(len(os.listdir(directory)), 20 + (1 if os.path.isdir(directory + "/locks") else 0))


@unmounted
def test_into_another_namespace(s):
    if not is_mounted("/"):
        raise Skip("in a chroot: the other namespace's paths are not ours")
    store, directory = places(s)
    other = subprocess.Popen(["unshare", "-m", "--propagation", "unchanged", "sleep", "600"])
    try:
        mine = os.readlink("/proc/self/ns/mnt")
        wait_for(lambda: os.readlink("/proc/%d/ns/mnt" % other.pid) != mine)
        run("mount", "-N", "/proc/%d/ns/mnt" % other.pid, "-t", "cubbyfs", store, directory)
        check(not is_mounted(directory), "mounted in the wrong namespace")
        found = run("nsenter", "-t", str(other.pid), "-m", "findmnt", "-n", "-o", "SOURCE",
                    "-M", directory).stdout.strip()
        equal(found, store, "source")
        run("nsenter", "-t", str(other.pid), "-m", "umount", directory)
    finally:
        other.kill()
        other.wait()


# --- the flags of the helper ---------------------------------------------------------------------

@unmounted
def test_fake_and_verbose(s):
    store, directory = places(s)
    for command in (("mount", "-f", "-v", "-t", "cubbyfs", store, directory, "-o", "sync,nofail"),
                    ("/sbin/mount.cubbyfs", store, directory, "-fv", "-o", "sync,nofail")):
        r = run(*command)
        check(re.search("cubbyfs " + re.escape(store) + " " + re.escape(directory)
                        + " -o (rw,)?sync\n", r.stdout), "the command is not in %r" % r.stdout)
        check(not is_mounted(directory), "a fake mount was made")
        check(not os.path.exists(store), "a fake mount made a store")
    r = run("mount", "-v", "-t", "cubbyfs", store, directory)
    check("cubbyfs " + store in r.stdout, "-v says %r" % r.stdout)
    check(is_mounted(directory), "mounted")


@unmounted
def test_sloppy(s):
    store, directory = places(s)
    r = helper(store, directory, "-o", "no_such_option=3", status=1)
    one_line(r, "no_such_option")
    check(not is_mounted(directory), "mounted all the same")
    helper("-s", store, directory, "-o", "no_such_option=3")
    put(directory + "/key", "value")


@unmounted
def test_wrong_usage(s):
    store, directory = places(s)
    for arguments in ((), (store,), (store, directory, "third"), (store, directory, "-Z"),
                      (store, directory, "-o"), (store, directory, "-o", 'context="a,b'),
                      (store, directory, "-o", "bind")):
        one_line(helper(*arguments, status=1), "^mount.cubbyfs: ")
        check(not is_mounted(directory), "mounted with %s" % (arguments,))
    check("usage" in helper("--help").stdout, "--help")


# --- failures -----------------------------------------------------------------------------------

@unmounted
def test_failures_give_a_status_and_a_reason(s):
    store, directory = places(s)
    put(s.path("file"), "not a store")
    cases = (
        (32, s.path("file"), directory, "", re.escape(s.path("file"))),
        (32, s.path("no", "such", "parent"), directory, "", "does not exist"),
        (32, store, s.path("nowhere"), "", re.escape(s.path("nowhere"))),
        (32, store, s.path("file"), "", re.escape(s.path("file"))),
        (32, "nosuch:thing", directory, "", "nosuch"),
        (1, store, directory, "no_such_option", "no_such_option"),
        (1, store, directory, "no_such_option=a\\,b", "no_such_option"),
        (1, store, directory, "max_value=much", "max_value"),
        (1, store, directory, "commit=-1", "commit"),
    )
    for status, which, where, options, reason in cases:
        r = helper(which, where, *(("-o", options) if options else ()), status=status)
        one_line(r, reason)
        check(not is_mounted(where), "%s: mounted all the same" % reason)
        words = ["-o", options] if options else []
        r = subprocess.run([CUBBYFS, which, where] + words, stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=60)
        check(r.returncode > 0, "cubbyfs itself started: " + reason)
        one_line(r, reason)
        gone(where)
        # mount(8) may find it out first, and says so in words of its own
        r = subprocess.run(["mount", "-t", "cubbyfs", which, where] + words,
                           capture_output=True, text=True, timeout=60)
        equal(r.returncode, status, "status of mount: " + r.stderr)
    # and after all that
    run("mount", "-t", "cubbyfs", store, directory)
    put(directory + "/key", "value")


@unmounted
def test_a_store_in_use_is_refused_with_its_holder(s):
    store, directory = places(s)
    second = s.path("mnt2")
    os.mkdir(second)
    run("mount", "-t", "cubbyfs", store, directory)
    put(directory + "/key", "value")
    r = helper(store, second, status=32)
    one_line(r, re.escape(store))
    named = {int(number) for number in re.findall(r"\d+", r.stderr)}
    holders = set(daemons(directory))
    check(named & holders, "%r names none of %s" % (r.stderr, holders))
    check(not is_mounted(second), "mounted twice")
    r = run("mount", "-t", "cubbyfs", store, second, status=32)
    equal(get(directory + "/key"), "value")
    umount(directory)
    run("mount", "-t", "cubbyfs", store, second)
    equal(get(second + "/key"), "value")


@unmounted
def test_a_device_that_is_not_fuse(s):
    store, directory = places(s)
    mount2("/dev/null", "/dev/fuse", None, MS_BIND)
    try:
        one_line(helper(store, directory, status=32))
        check(not is_mounted(directory), "mounted all the same")
    finally:
        subprocess.run(["umount", "/dev/fuse"], check=True)
    gone(directory)
    helper(store, directory)


# --- remount ------------------------------------------------------------------------------------

def read_only(directory):
    with raises(errno.EROFS, "a write while the mount is read-only"):
        put(directory + "/key", "new")
    equal(get(directory + "/key"), "value")


@unmounted
def test_remount_by_fstab(s):
    store, directory = places(s)
    fstab = write_fstab(s, (store, directory, OTHERS + ",noexec,max_value=64M"))
    run("mount", "-T", fstab, directory)
    before = set(words_of(directory))
    put(directory + "/key", "value")
    run("mount", "-T", fstab, "-o", "remount,ro", directory)
    read_only(directory)
    equal(set(words_of(directory)), before - {"rw"} | {"ro"}, "the options of the mount")
    run("mount", "-T", fstab, "-o", "remount,rw", directory)
    put(directory + "/key", "new")
    equal(get(directory + "/key"), "new")
    equal(set(words_of(directory)), before, "the options of the mount")


@unmounted
def test_remount_without_fstab(s):
    store, directory = places(s)
    run("mount", "-t", "cubbyfs", store, directory, "-o", "noatime,max_value=2M")
    before = set(words_of(directory))
    put(directory + "/key", "value")
    for how in ((directory,), ("-t", "cubbyfs", store, directory)):
        run("mount", "-o", "remount,ro", *how)
        read_only(directory)
        run("mount", "-o", "remount,rw,noexec", *how)
        equal(set(words_of(directory)), before | {"noexec"}, "the options of the mount")
        run("mount", "-o", "remount,exec", *how)
        equal(set(words_of(directory)), before, "the options of the mount")
        put(directory + "/key", "value")
    run("mount", "-o", "remount,suid,dev,relatime", directory)
    equal(set(words_of(directory)), before - {"nosuid", "nodev", "noatime"} | {"relatime"},
          "the options of the mount")
    run("mount", "-o", "remount,bind,ro", directory)
    read_only(directory)


@unmounted
def test_remount_cannot_change_the_rest(s):
    store, directory = places(s)
    run("mount", "-t", "cubbyfs", store, directory, "-o", "max_value=2M")
    for word in ("max_value=64M", "commit=7", "sync", "allow_root", "max_read=4096"):
        r = helper(store, directory, "-o", "remount,ro," + word, status=1)
        one_line(r, "^mount.cubbyfs: .*" + word)
        put(directory + "/key", word)       # it is not read-only now
    helper(store, directory, "-o", "remount,ro,max_value=2M,allow_other")
    check("ro" in words_of(directory), "ro")


@unmounted
def test_remount_failures(s):
    store, directory = places(s)
    one_line(helper(store, directory, "-o", "remount,ro", status=32), "^mount.cubbyfs: .*mounted")
    one_line(helper(store, s.path("nowhere"), "-o", "remount,ro", status=32),
             "^mount.cubbyfs: .*No such file")
    mount2("tmpfs", directory, "tmpfs")
    one_line(helper(store, directory, "-o", "remount,ro", status=32), "tmpfs, not cubbyfs")
    run("umount", directory)
    run("mount", "-t", "cubbyfs", store, directory)
    with open(directory + "/key", "w") as f:
        f.write("value")
        f.flush()
        one_line(helper(store, directory, "-o", "remount,ro", status=32), "busy")
        check("rw" in words_of(directory), "still rw")
    equal(get(directory + "/key"), "value")
    one_line(as_user(USER, "/sbin/mount.cubbyfs", store, directory, "-o", "remount,ro", status=1),
             "root")
    helper(store, directory, "-o", "remount,ro", "-f")
    check("rw" in words_of(directory), "a fake remount was made")


# --- the main job: fstab, ordinary tools, and nothing missing ------------------------------------

def differences(source, directory):
    return run("rsync", "-aXH", "--checksum", "-n", "-i", "--delete",
               source + "/", directory + "/", timeout=600).stdout


@unmounted
@deadline(900)
def test_fstab_cp_rsync_and_back(s):
    store, directory = places(s)
    source = "/usr/share/doc"
    copy = directory + "/doc"
    use_fstab(s, (store, directory, OTHERS + ",max_value=64M"))
    try:
        run("mount", "-a")
        start = time.monotonic()
        run("cp", "-a", source, directory + "/", timeout=600)
        count = int(run("sh", "-c", "find %s | wc -l" % copy).stdout)
        print("# %d files copied in %.1f s" % (count, time.monotonic() - start))
        check(count > 100, "only %d files in %s" % (count, source))
        equal(differences(source, copy), "", "differences after cp -a")
        umount(directory)
        equal(os.listdir(directory), [], "below the mount")
        run("mount", "-a")
        equal(differences(source, copy), "", "differences after unmount and mount")
        times = "find . -printf '%p %y %m %U %G %n %s %T@ %l\\n' | sort"
        # a directory's size is the file system's own affair
        times = times.replace("find .", "find . ! -type d") + "; " + times.replace(
            "find .", "find . -type d").replace(" %s", "")
        equal(run("bash", "-c", times, cwd=copy).stdout == run("bash", "-c", times, cwd=source).stdout,
              True, "times, modes, owners, links are the same")
    finally:
        drop_fstab()


# --- starting by hand, and without root ----------------------------------------------------------

@unmounted
def test_start_returns_once_it_answers(s):
    store, directory = places(s)
    for i in range(10):
        r = run(CUBBYFS, store, directory)
        equal(r.stdout + r.stderr, "", "what a start that works says")
        # no waiting here
        os.statvfs(directory)
        put(directory + "/key%d" % i, "value")
        for pid in daemons(directory):
            check(os.getsid(pid) != os.getsid(0), "the daemon left the session")
        umount(directory)
        gone(directory)


@unmounted
def test_foreground(s):
    store, directory = places(s)
    process = subprocess.Popen([CUBBYFS, store, directory, "-f"], stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: is_mounted(directory), 20, "mount")
        put(directory + "/key", "value")
        equal(process.poll(), None, "the foreground daemon's end")
        umount(directory)
        equal(process.wait(20), 0, "status after umount")
        process = subprocess.Popen([CUBBYFS, store, directory, "-f"], stdin=subprocess.DEVNULL)
        wait_for(lambda: is_mounted(directory) and os.path.exists(directory + "/key"))
        process.send_signal(signal.SIGTERM)     # systemctl stop
        equal(process.wait(20), 0, "status after SIGTERM")
        check(not is_mounted(directory), "SIGTERM left a dead mount")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def users_places(s):
    home = s.path("home")
    os.mkdir(home)
    os.mkdir(home + "/mnt")
    for path in (home, home + "/mnt"):
        os.chown(path, USER, USER)
    return home + "/store", home + "/mnt"


@unmounted
def test_a_user_mounts_and_unmounts(s):
    store, directory = users_places(s)
    as_user(USER, "/sbin/cubbyfs", store, directory)
    check(is_mounted(directory), "mounted")
    as_user(USER, "sh", "-c", "echo value > %s/key; mkdir %s/sub" % (directory, directory))
    equal(as_user(USER, "cat", directory + "/key").stdout, "value\n")
    equal(as_user(USER, "stat", "-c", "%u %U", directory + "/key").stdout.split()[0], str(USER))
    words = words_of(directory)
    for word in ("nosuid", "nodev", "user_id=%d" % USER):
        check(word in words, "%s is not in %s" % (word, words))
    check("allow_other" not in words, "others may enter a user's mount")
    for uid in (STRANGER, 0):
        for command in (("ls", directory), ("cat", directory + "/key"),
                        ("touch", directory + "/new")):
            r = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid),
                                "--clear-groups", *command], capture_output=True, text=True)
            check(r.returncode != 0 and "Permission denied" in r.stderr,
                  "uid %d: %s: %r" % (uid, command, r))
    as_user(STRANGER, "fusermount3", "-u", directory, status=1)
    check(is_mounted(directory), "a stranger unmounted it")
    as_user(USER, "fusermount3", "-u", directory)
    check(not is_mounted(directory), "unmounted")
    gone(directory)
    as_user(USER, "/sbin/cubbyfs", store, directory)
    equal(as_user(USER, "cat", directory + "/key").stdout, "value\n")
    as_user(USER, "fusermount3", "-u", directory)


@unmounted
def test_a_users_failed_start_says_why(s):
    store, directory = users_places(s)
    os.mkdir(s.path("roots"))
    for where, options in ((s.path("roots"), ()), (directory, ("-o", "allow_other"))):
        if options and os.path.exists("/etc/fuse.conf"):
            with open("/etc/fuse.conf") as f:
                if re.search("^user_allow_other", f.read(), re.M):
                    continue
        r = subprocess.run(["setpriv", "--reuid", str(USER), "--regid", str(USER),
                            "--clear-groups", "/sbin/cubbyfs", store, where, *options],
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        check(r.returncode > 0, "%s was mounted" % where)
        check(r.stderr.strip(), "no reason was given")
        check(not is_mounted(where), "mounted all the same")
        gone(where)
    as_user(USER, "/sbin/cubbyfs", store, directory)
    as_user(USER, "fusermount3", "-u", directory)


@unmounted
def test_an_fstab_line_for_users(s):
    store, directory = users_places(s)
    use_fstab(s, (store, directory, "user,noauto,nofail,x-y"))
    try:
        as_user(USER, "mount", directory)
        as_user(USER, "sh", "-c", "echo value > %s/key" % directory)
        words = words_of(directory)
        for word in ("noexec", "nosuid", "nodev", "user_id=%d" % USER):
            check(word in words, "%s is not in %s" % (word, words))
        as_user(USER, "fusermount3", "-u", directory)
        gone(directory)
    finally:
        drop_fstab()


# --- systemd's automount --------------------------------------------------------------------------

AUTOFS_IOC_READY = 0x9360
AUTOFS_MISSING_DIRECT = 5


def automounter(store, directory, log):
    """What systemd does for x-systemd.automount: a trigger lies on the directory; who touches
    it waits until mount(8), which runs in the automounter's process group, has mounted over it.
    Everything outside the group that walks through DIR meanwhile waits as well."""
    os.setpgid(0, 0)
    r, w = os.pipe()
    mount2("systemd-1", directory, "autofs", 0,
           "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct" % (w, os.getpgrp()))
    os.close(w)
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    libc.prctl(1, signal.SIGKILL)       # ends with the test
    while True:
        packet = os.read(r, 4096)
        if not packet:
            os._exit(0)
        _, kind, token = struct.unpack_from("iiI", packet)
        if kind != AUTOFS_MISSING_DIRECT:
            continue
        result = subprocess.run(["mount", "-t", "cubbyfs", store, directory, "-o", OTHERS],
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        libc.ioctl(root, AUTOFS_IOC_READY if result.returncode == 0 else AUTOFS_IOC_READY + 1,
                   ctypes.c_ulong(token))


@unmounted
def test_mount_over_an_automount(s):
    store, directory = places(s)
    with open("/proc/filesystems") as f:
        if not re.search(r"\bautofs$", f.read(), re.M):
            raise Skip("no autofs in this kernel")
    with open(s.path("log"), "w+") as log:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                automounter(store, directory, log)
            except BaseException as e:
                print(e, file=log, flush=True)
                os._exit(1)
        try:
            def trigger_is_there():
                check(os.waitpid(pid, os.WNOHANG)[0] == 0, "the automounter: " + get(log.name))
                return is_mounted(directory)
            wait_for(trigger_is_there, 10, "autofs")
            try:
                # killed if it hangs: the wait is killable
                run("sh", "-c", "echo value > %s/key && cat %s/key" % (directory, directory),
                    timeout=30)
            except subprocess.TimeoutExpired:
                raise Failure("waits for ever: " + get(log.name)) from None
            equal(get(directory + "/key"), "value\n")
            equal(words_of(directory, "FSTYPE")[-1].split()[-1], "fuse.cubbyfs", "type on top")
            run("mount", "-o", "remount,ro", "-t", "cubbyfs", store, directory)
            with raises(errno.EROFS, "a write while the mount is read-only"):
                put(directory + "/key", "new")
            umount(directory)
            gone(directory)
            # the trigger is still there and works again
            equal(run("cat", directory + "/key", timeout=30).stdout, "value\n")
            umount(directory)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            subprocess.run(["umount", "-l", directory], stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    if not PLAIN:
        install(enter_namespace())
    main(globals())
