# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""cubby(1): every command and option, its output and its exit code."""
import base64
import errno
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from harness import (CUBBY, ROOT, Failure, check, equal, main, mount_only,  # noqa: E402
                     raises, unmounted, wait_for)

USAGE, DATA, NO_INPUT, UNAVAILABLE, CANT_CREATE = 64, 65, 66, 69, 73
IO_ERROR, TEMP_FAIL, NO_PERMISSION = 74, 75, 77
COMMANDS = ("get", "set", "del", "ls", "ttl", "incr", "update", "cas", "watch", "stats",
            "check", "compact", "lock", "unlock")
COMPLETION = os.path.join(ROOT, "completion", "cubby.bash")


def run(*args, stdin=b"", cwd=None, **more):
    if isinstance(stdin, str):
        stdin = stdin.encode()
    return subprocess.run((CUBBY,) + args, input=stdin, cwd=cwd, capture_output=True, **more)


def cubby(*args, code=0, **more):
    """Runs it and returns what it prints; its exit code must be `code`, and a
    failure must say why in a line that begins with the program's name."""
    r = run(*args, **more)
    if r.returncode != code:
        raise Failure("cubby %.200r: exit code %d, wanted %d; it said %.300r" % (
            args, r.returncode, code, r.stderr))
    if code > 1:
        check(r.stderr.startswith(b"cubby"), "no reason given: %r" % r.stderr)
    else:
        equal(r.stderr, b"", "stderr of %.200r" % (args,))
    return r.stdout


def says(pattern, *args, code, **more):
    r = run(*args, **more)
    equal(r.returncode, code, "exit code of %.200r (%.300r)" % (args, r.stderr))
    check(re.search(pattern, r.stderr), "%r is not in %.300r" % (pattern, r.stderr))


def lines_of_json(output):
    return [json.loads(line) for line in output.decode().splitlines()]


def one_json(output):
    objects = lines_of_json(output)
    equal(len(objects), 1, "objects")
    return objects[0]


# ------------------------------------------------------------ the program itself


@unmounted
def test_help(scratch):
    text = cubby("--help").decode()
    for command in COMMANDS:
        check(re.search(r"(?m)^  %s +\S" % command, text), "%s is not in --help" % command)
        for option in ("--help", "-h"):
            own = cubby(command, option).decode()
            check(own.startswith("Usage: cubby %s" % command), own)
    check(re.match(rb"cubby \S+\n$", cubby("--version")), "--version")


@unmounted
def test_help_names_every_option(scratch):
    """What the source takes is in the help, the man page and the completion."""
    with open(os.path.join(ROOT, "man", "cubby.1.scd")) as f:
        page = f.read()
    with open(COMPLETION) as f:
        completion = f.read()
    found = 0
    for name in os.listdir(os.path.join(ROOT, "cli")):
        if not name.endswith(".c"):
            continue
        with open(os.path.join(ROOT, "cli", name)) as f:
            source = f.read()
        for option in re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', source):
            found += 1
            check("--" + option in page, "--%s is not in cubby(1)" % option)
            check("--" + option in completion, "--%s is not completed" % option)
            check("--%s" % option in source, "--%s is not in the help" % option)
    check(found >= 15, "only %d options found" % found)


@unmounted
def test_wrong_usage(scratch):
    for args in ((), ("frobnicate",), ("get",), ("get", "--frob", "x"), ("set",), ("set", "k"),
                 ("set", "k", "v", "w"), ("set", "k", "v", "--file", "/dev/null"),
                 ("set", "k", "v", "--ttl"), ("set", "k", "v", "--ttl", "soon"),
                 ("set", "k", "v", "--ttl", "5x"), ("set", "k", "v", "--ttl", ""),
                 ("set", "k", "v", "--ttl", "."), ("set", "k", "v", "--ttl", "-1"),
                 ("set", "k", "v", "--ttl", "99999999999999999999"),
                 ("set", "k", "v", "--if-revision", "x"), ("set", "k", "v", "--if-revision", ""),
                 ("set", "k", "v", "--if-revision", "-1"),
                 ("set", "k", "v", "--if-revision", "99999999999999999999999"),
                 ("set", "k", "v", "--if-absent", "--if-revision", "3"),
                 ("del",), ("ls", "a", "b"), ("ls", "--json", "-l"), ("ls", "--json", "-0"),
                 ("ttl",), ("ttl", "k", "soon"), ("ttl", "k", "1", "2"),
                 ("ttl", "--remove", "k", "1"), ("ttl", "--remove", "--json", "k"),
                 ("incr",), ("incr", "k", "x"), ("incr", "k", "1.5"), ("incr", "k", ""),
                 ("incr", "k", "1", "2"), ("incr", "k", "-"), ("update", "k"), ("cas", "k", "1"),
                 ("cas", "k", "x", "v"), ("cas", "k", "1", "v", "w"), ("check",),
                 ("check", "a", "b"), ("compact",), ("stats", "a", "b"),
                 ("watch", "a", "b"), ("watch", "--since", "x"), ("watch", "--jobs", "2"),
                 ("watch", "--exec", "true", "--jobs", "0"), ("watch", "--timeout", "soon")):
        r = run(*args, cwd=scratch.top)
        equal(r.returncode, USAGE, "exit code of %r" % (args,))
        check(r.stderr and not r.stdout, "usage goes to stderr: %r" % (args,))


@mount_only
def test_output_that_cannot_be_written(m):
    m.write("k", "v")
    with open("/dev/full", "wb") as full:
        r = subprocess.run([CUBBY, "get", m.path("k")], stdout=full, stderr=subprocess.PIPE)
    equal(r.returncode, IO_ERROR, "exit code")
    check(b"No space" in r.stderr, r.stderr)


@mount_only
def test_elsewhere(m):
    """A path that is not on a cubbyfs mount is left alone."""
    path = m.scratch.path("plain")
    with open(path, "w") as f:
        f.write("old")
    for args in (("set", path, "new"), ("set", path + "2", "new"), ("set", path, "new", "--ttl", "1"),
                 ("del", path), ("ttl", path), ("ttl", path, "5"), ("incr", path),
                 ("incr", path + "2"), ("update", path, "[]"), ("cas", path, "1", "v"),
                 ("ls", "-l", m.scratch.path()), ("get", "--json", path),
                 ("stats", m.scratch.path())):
        says(b"not on a cubbyfs mount", *args, code=UNAVAILABLE)
    with open(path) as f:
        equal(f.read(), "old")
    check(not os.path.exists(path + "2"), "it made a file")
    equal([x for x in os.listxattr(path) if "cubby" in x], [], "attributes")
    os.symlink(path, m.path("way-out"))
    says(b"not on a cubbyfs mount", "set", m.path("way-out"), "new", code=UNAVAILABLE)
    cubby("del", m.path("way-out"))
    check(os.path.exists(path), "deleted what the link points at")


# ------------------------------------------------------------------------- get


@mount_only
def test_get(m):
    m.write("a", "one")
    m.write("b", "two\n")
    m.write("empty", "")
    equal(cubby("get", m.path("a")), b"one\n")
    equal(cubby("get", m.path("b")), b"two\n")
    equal(cubby("get", m.path("empty")), b"\n")
    equal(cubby("get", "-n", m.path("a")), b"one")
    equal(cubby("get", "--no-newline", m.path("empty")), b"")
    equal(cubby("get", m.path("a"), m.path("b")), b"one\ntwo\n")
    equal(cubby("get", "-n", "a", "b", cwd=m.dir), b"onetwo\n")
    everything = bytes(range(256)) * 4000
    m.write("binary", everything)
    equal(cubby("get", "-n", m.path("binary")), everything)


@mount_only
def test_get_fails(m):
    m.write("a", "one")
    os.mkdir(m.path("ns"))
    says(b"^cubby: .*nothing: No such file", "get", m.path("nothing"), code=NO_INPUT)
    cubby("get", m.path("nothing", "below"), code=NO_INPUT)
    cubby("get", m.path("ns"), code=DATA)
    cubby("get", m.path("a", "below"), code=DATA)
    cubby("get", m.path("x" * 256), code=DATA)
    r = run("get", m.path("nothing"), m.path("a"), m.path("ns"))
    equal(r.stdout, b"one\n", "the others are printed")
    equal(r.returncode, NO_INPUT, "the first failure")
    equal(len(r.stderr.splitlines()), 2, "lines of complaint")


@mount_only
def test_get_json(m):
    m.write("a", "one")
    m.write("a", 'tw"o\n\0\x7f\u00e9\U0001f600')
    got = one_json(cubby("get", "--json", m.path("a")))
    equal(set(got), {"path", "value", "revision", "version", "ttl", "expires", "created",
                     "modified", "action"}, "members")
    equal(got["path"], m.path("a"))
    equal(got["value"], 'tw"o\n\0\x7f\u00e9\U0001f600')
    equal(got["revision"], int(m.get("a", "revision")))
    equal(got["version"], 2)
    equal((got["ttl"], got["expires"], got["action"]), (None, None, None))
    for name in ("created", "modified"):
        check(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$", got[name]), got[name])
    cubby("set", m.path("a"), "three", "--ttl", "100", "--action", "be\u00e0use")
    got = one_json(cubby("get", "--json", m.path("a")))
    check(90 < got["ttl"] <= 100, got["ttl"])
    check(got["expires"] > got["modified"], got["expires"])
    equal(got["action"], "be\u00e0use")


@mount_only
def test_get_json_of_bytes(m):
    for value in (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\xe2\x82",
                  bytes(range(256)), b"\x80" * 2, b"\xe0\x9f\xbf", b"\xf8\x88\x80\x80\x80"):
        m.write("k", value)
        got = one_json(cubby("get", "--json", m.path("k")))
        equal(base64.b64decode(got["value"]["base64"], validate=True), value)
    for value in ("\u0080\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff", ""):
        m.write("k", value)
        equal(one_json(cubby("get", "--json", m.path("k")))["value"], value)
    name = m.path("").encode() + b"k\xff"
    with open(name, "w") as f:
        f.write("v")
    got = one_json(cubby("get", "--json", name))
    equal(base64.b64decode(got["path"]["base64"]), name)


@mount_only
def test_get_json_belongs_together(m):
    """Value and attributes of one change, while somebody changes the key."""
    writer = subprocess.Popen([sys.executable, "-c", """
import os, sys, time
n = 0
while True:
    n += 1
    time.sleep(0.002)
    fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, b"%d" % n)
    os.setxattr(fd, "user.cubby.action", b"%d" % n)
    os.close(fd)
""", m.path("k")])
    try:
        wait_for(lambda: os.path.exists(m.path("k")), what="the first value")
        seen = set()
        for _ in range(100):
            got = one_json(cubby("get", "--json", m.path("k")))
            equal(got["value"], got["action"], "the action of the value")
            equal(got["value"], str(got["version"]), "the version of the value")
            seen.add(got["value"])
        check(len(seen) > 20, "only %d values in 100 reads" % len(seen))
    finally:
        writer.kill()
        writer.wait()


# ------------------------------------------------------------------------- set


@mount_only
def test_set(m):
    cubby("set", m.path("k"), "one")
    equal(m.read("k"), b"one")
    equal(m.get("k", "version"), "1")
    cubby("set", m.path("k"), "-", stdin=b"two\n\0\xff")
    equal(m.read("k"), b"two\n\0\xff")
    source = m.scratch.path("source")
    everything = bytes(range(256)) * 4096       # the largest value by default
    with open(source, "wb") as f:
        f.write(everything)
    cubby("set", m.path("k"), "--file", source)
    equal(m.read("k"), everything)
    equal(m.get("k", "version"), "3", "one change each")
    cubby("set", m.path("k"), "-5")
    equal(m.read("k"), b"-5")
    cubby("set", "--", m.path("k"), "--dash")
    equal(m.read("k"), b"--dash")
    cubby("set", "k", "relative", cwd=m.dir)
    equal(m.read("k"), b"relative")


@mount_only
def test_set_empty(m):
    cubby("set", m.path("new"), "")
    equal(m.read("new"), b"")
    m.write("k", "one")
    before = int(m.get("k", "revision"))
    cubby("set", m.path("k"), "", "--ttl", "50", "--action", "clear")
    equal(m.read("k"), b"")
    check(40 < float(m.get("k", "ttl")) <= 50, m.get("k", "ttl"))
    equal(m.get("k", "action"), "clear")
    equal(m.get("k", "version"), "2")
    equal(int(m.get("k", "revision")), before + 1, "revision")
    cubby("set", m.path("k"), "-", stdin=b"", code=0)
    equal(m.read("k"), b"")
    cubby("set", m.path("k"), "", "--if-revision", m.get("k", "revision"))
    cubby("set", m.path("absent"), "", "--if-absent")
    equal(m.read("absent"), b"")


@mount_only
def test_set_ttl(m):
    for text, seconds in (("100", 100), ("100.5", 100.5), ("90s", 90), ("10m", 600), ("2h", 7200),
                          ("1d", 86400), ("1w", 604800), ("1h30m", 5400), (".5h", 1800),
                          ("1.5h", 5400), ("3153600000", 3153600000)):
        cubby("set", m.path("k"), text, "--ttl", text)
        left = float(m.get("k", "ttl"))
        check(seconds - 5 < left <= seconds, "--ttl %s is %g" % (text, left))
    cubby("set", m.path("k"), "plain")
    with raises(errno.ENODATA, "the ttl after a plain set"):
        m.get("k", "ttl")
    cubby("set", m.path("k"), "short", "--ttl", "0.4")
    equal(m.read("k"), b"short")
    time.sleep(0.5)
    check(not os.path.exists(m.path("k")), "it should have expired")
    cubby("set", m.path("k"), "none", "--ttl", "0")
    check(not os.path.exists(m.path("k")), "0 should expire at once")


@mount_only
def test_set_is_one_change(m):
    for value, more in (("v", ()), ("v", ("--ttl", "100")), ("v", ("--action", "a")),
                        ("v", ("--ttl", "100", "--action", "a")), ("", ("--ttl", "100")),
                        ("v" * 100000, ("--ttl", "100", "--action", "a"))):
        m.write("probe", "")
        before = int(m.get("probe", "revision"))
        cubby("set", m.path("k"), value, *more)
        equal(int(m.get("k", "revision")), before + 1, "revision after %r" % (more,))


@mount_only
def test_set_that_fails_changes_nothing(m):
    """No half of a set is committed: not the value without its TTL."""
    m.write("k", "old")
    revision = m.get("k", "revision")
    for args, code in ((("v", "--ttl", "3155760001"), DATA), (("v", "--ttl", "40000d"), DATA),
                       (("v", "--action", "x" * 257), DATA),
                       (("", "--ttl", "40000d"), DATA),
                       (("-",), DATA), (("--file", "/nonexistent"), NO_INPUT),
                       (("--file", m.dir), DATA)):
        cubby("set", m.path("k"), *args, stdin=b"x" * 1048577, code=code)
        equal(m.read("k"), b"old", "value after %.50r" % (args,))
        equal(m.get("k", "revision"), revision, "revision after %.50r" % (args,))
        name = m.path("new")
        cubby("set", name, *args, stdin=b"x" * 1048577, code=code)
        check(not os.path.exists(name), "made by %.50r" % (args,))
    cubby("set", m.path("k"), "x", "--action", "y" * 256)
    equal(m.get("k", "action"), "y" * 256)


@mount_only
def test_set_where_it_cannot(m):
    m.write("k", "v")
    os.mkdir(m.path("ns"))
    os.mkfifo(m.path("fifo"))
    says(b"namespace", "set", m.path("missing", "k"), "v", code=CANT_CREATE)
    cubby("set", m.path("missing", "deeper", "k"), "v", code=CANT_CREATE)
    cubby("set", m.path("ns"), "v", code=DATA)
    cubby("set", m.path("fifo"), "v", code=DATA)
    cubby("set", m.path("k", "below"), "v", code=DATA)
    cubby("set", m.path("x" * 256), "v", code=DATA)
    cubby("set", m.path("k", "below", "deeper"), "v", "-p", code=DATA)


@mount_only
def test_set_parents(m):
    cubby("set", "-p", m.path("a", "b", "c", "k"), "v")
    equal(m.read("a/b/c/k"), b"v")
    cubby("set", "--parents", "a/b/d/k", "w", cwd=m.dir)
    equal(m.read("a/b/d/k"), b"w")
    cubby("set", "-p", m.path("a", "b", "k"), "x")
    equal(m.read("a/b/k"), b"x")


@mount_only
def test_set_if_absent(m):
    cubby("set", m.path("k"), "one", "--if-absent")
    equal(m.read("k"), b"one")
    revision = m.get("k", "revision")
    says(b"there already", "set", m.path("k"), "two", "--if-absent", code=TEMP_FAIL)
    cubby("set", m.path("k"), "two", "--if-revision", "0", code=TEMP_FAIL)
    cubby("set", m.path("k"), "", "--if-absent", code=TEMP_FAIL)
    cubby("set", m.path("k"), "two", "--if-absent", "--ttl", "1", "--action", "a", code=TEMP_FAIL)
    equal(m.read("k"), b"one")
    equal(m.get("k", "revision"), revision)
    cubby("set", m.path("j"), "one", "--if-absent", "--ttl", "100", "--action", "first")
    check(90 < float(m.get("j", "ttl")) <= 100, "ttl")
    equal(m.get("j", "action"), "first")
    equal(m.get("j", "version"), "1")
    cubby("set", m.path("j"), "x", "--ttl", "0")
    cubby("set", m.path("j"), "again", "--if-absent")
    equal(m.read("j"), b"again", "after it had expired")
    cubby("set", m.path("missing", "k"), "v", "--if-absent", code=CANT_CREATE)


@mount_only
def test_set_if_revision(m):
    m.write("k", "one")
    revision = m.get("k", "revision")
    m.write("other", "x")
    cubby("set", m.path("k"), "two", "--if-revision", revision, "--ttl", "100", "--action", "a")
    equal(m.read("k"), b"two")
    check(90 < float(m.get("k", "ttl")) <= 100, "ttl")
    equal(m.get("k", "action"), "a")
    after = m.get("k", "revision")
    says(b"no longer %s" % revision.encode(), "set", m.path("k"), "three", "--if-revision",
         revision, code=TEMP_FAIL)
    says(b"no longer", "set", m.path("k"), "three", "--if-revision", str(int(after) + 1),
         "--ttl", "1", code=TEMP_FAIL)
    equal(m.read("k"), b"two")
    equal(m.get("k", "revision"), after)
    cubby("set", m.path("nothing"), "v", "--if-revision", "5", code=NO_INPUT)
    check(not os.path.exists(m.path("nothing")), "it made a key")
    large = b"L" * 1000000
    cubby("set", m.path("k"), "-", "--if-revision", after, stdin=large)
    equal(m.read("k"), large)


@mount_only
def test_set_for_other_users(m):
    m.write("k", "old")
    os.chmod(m.path("k"), 0o644)
    as_nobody = {"preexec_fn": lambda: (os.setgid(65534), os.setuid(65534))}
    shutil.copy(CUBBY, m.scratch.path("cubby"))     # the build may be out of nobody's reach
    for args in (("set", m.path("k"), "new"), ("set", m.path("mine"), "new"), ("incr", m.path("k")),
                 ("del", m.path("k")), ("ttl", m.path("k"), "5"), ("stats", m.dir)):
        r = subprocess.run((m.scratch.path("cubby"),) + args, capture_output=True, **as_nobody)
        equal(r.returncode, NO_PERMISSION, "exit code of %r: %r" % (args, r.stderr))
    equal(m.read("k"), b"old")
    os.chmod(m.path("k"), 0o622)        # to be written, not to be read
    r = subprocess.run((m.scratch.path("cubby"), "set", m.path("k"), "new"), capture_output=True,
                       **as_nobody)
    equal(r.returncode, 0, "set of what cannot be read: %r" % r.stderr)
    equal(m.read("k"), b"new")
    equal(stat.S_IMODE(os.stat(m.path("k")).st_mode), 0o622, "mode")


@mount_only
def test_read_only(m):
    m.write("k", "v")
    m.remount(["ro"])
    equal(cubby("get", m.path("k")), b"v\n")
    cubby("set", m.path("k"), "v", code=NO_PERMISSION)
    cubby("incr", m.path("k"), code=NO_PERMISSION)


@mount_only
def test_set_survives_signals(m):
    """A set that is interrupted has happened or has not: no half value."""
    whole = b"w" * 1048576
    cubby("set", m.path("k"), "-", stdin=whole)
    for delay in range(40):
        p = subprocess.Popen([CUBBY, "set", m.path("k"), "-"], stdin=subprocess.PIPE)
        p.stdin.write(whole)
        p.stdin.close()
        time.sleep(delay * 0.0002)
        p.send_signal(signal.SIGTERM)
        p.wait()
        equal(len(m.read("k")), len(whole), "size")


@mount_only
def test_race_for_absence(m):
    """8 processes race: one wins, and its value is the one that stands."""
    for turn in range(25):
        path = m.path("race%d" % turn)
        racers = [subprocess.Popen([CUBBY, "set", path, "racer %d" % n, "--if-absent"],
                                   stderr=subprocess.PIPE) for n in range(8)]
        codes = []
        for p in racers:
            p.communicate()
            codes.append(p.returncode)
        equal(sorted(codes), [0] + [TEMP_FAIL] * 7, "exit codes")
        equal(m.read("race%d" % turn), b"racer %d" % codes.index(0))
        equal(m.get("race%d" % turn, "version"), "1")


@mount_only
def test_race_for_a_revision(m):
    m.write("k", "start")
    for turn in range(25):
        revision = m.get("k", "revision")
        racers = [subprocess.Popen([CUBBY] + (
            ["set", m.path("k"), "racer %d" % n, "--if-revision", revision] if n % 2 else
            ["cas", m.path("k"), revision, "racer %d" % n]),
            stderr=subprocess.PIPE) for n in range(8)]
        codes = []
        for p in racers:
            p.communicate()
            codes.append(p.returncode)
        equal(sorted(codes), [0] + [TEMP_FAIL] * 7, "exit codes")
        equal(m.read("k"), b"racer %d" % codes.index(0))


# ------------------------------------------------------------------------- del


@mount_only
def test_del(m):
    for name in ("a", "b", "c"):
        m.write(name, "v")
    cubby("del", m.path("a"))
    cubby("del", m.path("b"), m.path("c"))
    equal({"a", "b", "c"} & set(os.listdir(m.dir)), set(), "left")
    cubby("del", m.path("a"), code=NO_INPUT)
    cubby("del", m.path("missing", "k"), code=NO_INPUT)
    m.write("a", "v")
    says(b"nothing", "del", m.path("nothing"), m.path("a"), code=NO_INPUT)
    check(not os.path.exists(m.path("a")), "the others are deleted")
    os.mkfifo(m.path("fifo"))
    os.symlink("nowhere", m.path("link"))
    cubby("del", m.path("fifo"), m.path("link"))


@mount_only
def test_del_namespaces(m):
    os.makedirs(m.path("ns", "inner", "deep"))
    for n in range(300):
        m.write("ns/inner/key %d" % n, "v")
    os.symlink(m.path("keep"), m.path("ns", "link"))
    os.mkdir(m.path("keep"))
    m.write("keep/me", "v")
    says(b"-r", "del", m.path("ns"), code=DATA)
    check(os.path.exists(m.path("ns")), "gone without -r")
    cubby("del", "-r", m.path("ns"))
    check(not os.path.exists(m.path("ns")), "still there")
    equal(m.read("keep/me"), b"v", "behind the link")
    cubby("del", "--recursive", m.path("keep") + "/")
    cubby("del", "-r", m.path("keep"), code=NO_INPUT)
    check(run("del", "-r", m.dir).returncode != 0, "deleted the root")


# -------------------------------------------------------------------------- ls


def fill(m):
    os.makedirs(m.path("top", "ns", "deep"))
    m.write("top/b", "12345")
    m.write("top/a", "")
    m.write("top/ns/x", "1")
    m.write("top/ns/deep/y", "22")
    os.symlink("a", m.path("top", "link"))
    m.set("top/b", "ttl", 500)


@mount_only
def test_ls(m):
    fill(m)
    top = m.path("top")
    equal(cubby("ls", top), b"a\nb\nlink\nns/\n")
    equal(cubby("ls", cwd=top), b"a\nb\nlink\nns/\n")
    equal(cubby("ls", "-0", top), b"a\0b\0link\0ns\0")
    equal(cubby("ls", "--null", "--recursive", top),
          b"a\0b\0link\0ns\0ns/deep\0ns/deep/y\0ns/x\0")
    equal(cubby("ls", "-R", top), b"a\nb\nlink\nns/\nns/deep/\nns/deep/y\nns/x\n")
    equal(cubby("ls", m.path("top", "b")), m.path("top", "b").encode() + b"\n", "of a key")
    equal(cubby("ls", m.path("top", "ns", "deep")), b"y\n")
    os.mkdir(m.path("empty"))
    equal(cubby("ls", m.path("empty")), b"")
    check(b".cubby" not in cubby("ls", "-R", m.dir), ".cubby is not listed")
    cubby("ls", m.path("nothing"), code=NO_INPUT)


@mount_only
def test_ls_long(m):
    fill(m)
    for option in ("-l", "--long"):
        rows = cubby("ls", option, m.path("top")).decode().splitlines()
        equal([r.split()[-1] for r in rows], ["a", "b", "link", "ns/"])
        b = rows[1].split()
        equal(b[0], m.get("top/b", "revision"))
        check(490 < float(b[1]) <= 500, b)
        equal(b[2], "5")
        check(re.match(r"\d{4}-\d\d-\d\d$", b[3]), b)
        equal(rows[0].split()[:3], [m.get("top/a", "revision"), "-", "0"])
        equal(rows[2].split()[:3], ["-", "-", "-"])
        equal(rows[3].split()[:3], [m.get("top/ns", "revision"), "-", "-"])
    equal(len(cubby("ls", "-lR", m.path("top")).splitlines()), 7)


@mount_only
def test_ls_json(m):
    fill(m)
    os.mkfifo(m.path("top", "fifo"))
    got = {x["name"]: x for x in lines_of_json(cubby("ls", "--json", "-R", m.path("top")))}
    equal(sorted(got), ["a", "b", "fifo", "link", "ns", "ns/deep", "ns/deep/y", "ns/x"])
    equal({x["type"] for x in got.values()}, {"key", "namespace", "symlink", "fifo"})
    b = got["b"]
    equal((b["type"], b["size"], b["version"]), ("key", 5, 1))
    equal(b["revision"], int(m.get("top/b", "revision")))
    check(490 < b["ttl"] <= 500, b)
    equal(got["a"]["ttl"], None)
    equal((got["ns"]["size"], got["ns"]["version"]), (None, None))
    equal(got["ns"]["revision"], int(m.get("top/ns", "revision")))
    equal((got["link"]["revision"], got["link"]["ttl"]), (None, None))
    with open(m.path("top").encode() + b"/\xff\n", "w") as f:
        f.write("v")
    names = [x["name"] for x in lines_of_json(cubby("ls", "--json", m.path("top")))]
    check({"base64": base64.b64encode(b"\xff\n").decode()} in names, names)


@mount_only
def test_ls_names(m):
    """Any bytes come through a pipe; a terminal gets nothing to obey."""
    names = [b"plain", b"sp ace", b"new\nline", b"\x1b[31mred", b"\xff\xfe", b"-dash", b".dot",
             "\u00e9".encode(), b"x" * 255]
    os.mkdir(m.path("n"))
    for name in names:
        with open(m.path("n").encode() + b"/" + name, "w") as f:
            f.write("v")
    equal(cubby("ls", "-0", m.path("n")).split(b"\0")[:-1], sorted(names))
    master, slave = os.openpty()
    subprocess.run([CUBBY, "ls", m.path("n")], stdout=slave, check=True)
    os.close(slave)
    shown = b""
    try:
        while True:
            part = os.read(master, 65536)
            if not part:
                break
            shown += part
    except OSError:
        pass
    os.close(master)
    check(b"\x1b" not in shown and b"?[31mred" in shown and b"new?line" in shown, shown)


@mount_only
def test_ls_many(m):
    os.mkdir(m.path("many"))
    for n in range(5000):
        os.close(os.open(m.path("many", "%05d" % n), os.O_CREAT | os.O_WRONLY))
    equal(cubby("ls", m.path("many")).split(), [b"%05d" % n for n in range(5000)])


@mount_only
def test_ls_while_keys_vanish(m):
    os.mkdir(m.path("ns"))
    churn = subprocess.Popen([sys.executable, "-c", """
import os, sys
while True:
    for n in range(50):
        open(sys.argv[1] + "/%d" % n, "w").close()
    for n in range(50):
        os.unlink(sys.argv[1] + "/%d" % n)
""", m.path("ns")])
    try:
        for _ in range(30):
            for args in (("ls",), ("ls", "-l"), ("ls", "--json"), ("ls", "-R")):
                cubby(*args, m.path("ns"))
    finally:
        churn.kill()
        churn.wait()


# ------------------------------------------------------------------------- ttl


@mount_only
def test_ttl(m):
    m.write("k", "v")
    equal(cubby("ttl", m.path("k")), b"none\n")
    equal(one_json(cubby("ttl", "--json", m.path("k"))),
          {"path": m.path("k"), "ttl": None, "expires": None})
    cubby("ttl", m.path("k"), "2h")
    left = float(cubby("ttl", m.path("k")))
    check(7190 < left <= 7200, left)
    got = one_json(cubby("ttl", "--json", m.path("k")))
    check(7190 < got["ttl"] <= 7200, got)
    equal(got["expires"], m.get("k", "expires"))
    equal(m.read("k"), b"v")
    cubby("ttl", "--remove", m.path("k"))
    equal(cubby("ttl", m.path("k")), b"none\n")
    cubby("ttl", "--remove", m.path("k"))
    cubby("ttl", m.path("k"), "3155760001", code=DATA)
    equal(cubby("ttl", m.path("k")), b"none\n")
    os.symlink("k", m.path("link"))
    cubby("ttl", m.path("link"), "100")
    check(float(cubby("ttl", m.path("link"))) > 90, "through a link")
    cubby("ttl", m.path("k"), "0")
    check(not os.path.exists(m.path("k")), "0 should expire it")
    os.mkdir(m.path("ns"))
    for args in ((), ("5",)):
        cubby("ttl", m.path("k"), *args, code=NO_INPUT)
        cubby("ttl", m.path("nothing", "k"), *args, code=NO_INPUT)
        cubby("ttl", m.path("ns"), *args, code=DATA)
    cubby("ttl", "--remove", m.path("k"), code=NO_INPUT)


# ------------------------------------------------------------------------ incr


@mount_only
def test_incr(m):
    path = m.path("n")
    equal(cubby("incr", path), b"")
    equal(m.read("n"), b"1", "made by the first")
    equal(cubby("incr", path, "41"), b"")
    equal(cubby("incr", "-p", path, "-2"), b"40\n")
    equal(cubby("incr", path, "--print", "+60"), b"100\n")
    equal(cubby("incr", "-p", path, "0"), b"100\n")
    m.write("empty", "")
    equal(cubby("incr", "-p", m.path("empty"), "5"), b"5\n")
    m.write("echo", "7\n")
    equal(cubby("incr", "-p", m.path("echo")), b"8\n", "after echo")
    m.write("largest", str(2 ** 63 - 1))
    says(b"64 bits", "incr", m.path("largest"), code=DATA)
    says(b"64 bits", "incr", m.path("largest"), "9" * 30, code=DATA)
    equal(m.read("largest"), str(2 ** 63 - 1).encode())
    m.write("smallest", str(-2 ** 63))
    cubby("incr", m.path("smallest"), "-1", code=DATA)
    m.write("text", "text")
    says(b"no integer", "incr", m.path("text"), code=DATA)
    equal(m.read("text"), b"text")
    os.mkdir(m.path("ns"))
    cubby("incr", m.path("ns"), code=DATA)
    cubby("incr", m.path("missing", "n"), code=CANT_CREATE)
    os.symlink("nowhere", m.path("dangling"))
    check(run("incr", m.path("dangling"), timeout=20).returncode != 0, "through a dangling link")


@mount_only
def test_incr_from_eight(m):
    """All of 8 x 50 additions arrive, the making of the key among them."""
    path = m.path("counter")
    script = 'for i in $(seq 50); do "$0" incr "$1" 3 || exit 1; done'
    workers = [subprocess.Popen(["sh", "-c", script, CUBBY, path]) for _ in range(8)]
    for w in workers:
        equal(w.wait(), 0, "exit code")
    equal(m.read("counter"), b"%d" % (8 * 50 * 3))


# ---------------------------------------------------------------------- update


@mount_only
def test_update(m):
    m.write("j", '{"mode":"slow","n":1,"list":[1],"deep":{"a":1},"old":0}')
    cubby("update", m.path("j"), json.dumps([
        {"type": "set", "path": "mode", "value": "fast"},
        {"type": "increment", "path": "n", "by": 4},
        {"type": "decrement", "path": ["deep", "a"], "by": 3},
        {"type": "append", "path": "list", "value": 2},
        {"type": "merge", "path": "deep", "value": {"b": [True, None]}},
        {"type": "remove", "path": "old"}]))
    equal(json.loads(m.read("j")), {"mode": "fast", "n": 5, "list": [1, 2],
                                    "deep": {"a": -2, "b": [True, None]}})
    equal(m.get("j", "version"), "2", "one change")
    cubby("update", m.path("j"), "-", stdin=' [{"type":"set","value":[]}]\n\n')
    equal(json.loads(m.read("j")), [])
    m.write("empty", "")
    cubby("update", m.path("empty"), '[{"type":"increment","path":["a","b"]}]')
    equal(json.loads(m.read("empty")), {"a": {"b": 1}})


@mount_only
def test_update_fails(m):
    m.write("j", '{"n":1}')
    revision = m.get("j", "revision")
    for update in ('[{"type":"increment","path":"n","by":1},{"type":"append","path":"n","value":1}]',
                   '[{"type":"frob","path":"n"}]', '[{"type":"set","path":"n"}]', "[1]"):
        cubby("update", m.path("j"), update, code=DATA)
    for update in ("", "{", "[", "[1,", '{"type":"set"}', "nonsense", "[] []", "[1,]", "5"):
        says(b"JSON", "update", m.path("j"), update, code=DATA)
    says(b"64 KiB", "update", m.path("j"), "-", stdin=b"[" + b" " * 70000 + b"]", code=DATA)
    equal(m.read("j"), b'{"n":1}')
    equal(m.get("j", "revision"), revision)
    m.write("text", "text")
    cubby("update", m.path("text"), '[{"type":"increment","path":"n","by":1}]', code=DATA)
    cubby("update", m.path("nothing"), "[]", code=NO_INPUT)
    cubby("update", m.path("missing", "j"), "[]", code=NO_INPUT)


# ------------------------------------------------------------------------- cas


@mount_only
def test_cas(m):
    m.write("k", "one")
    revision = m.get("k", "revision")
    cubby("cas", m.path("k"), revision, "two")
    equal(m.read("k"), b"two")
    says(b"no longer %s" % revision.encode(), "cas", m.path("k"), revision, "three", code=TEMP_FAIL)
    equal(m.read("k"), b"two")
    for value in ("--dash", "-5", "a:b", "", "\u00e9 "):
        cubby("cas", m.path("k"), m.get("k", "revision"), value)
        equal(m.read("k"), value.encode())
    says(b"set --if-revision", "cas", m.path("k"), m.get("k", "revision"), "x" * 66000, code=DATA)
    largest = "x" * (65536 - len(m.get("k", "revision")) - 1)
    cubby("cas", m.path("k"), m.get("k", "revision"), largest)
    equal(m.read("k"), largest.encode())
    cubby("cas", m.path("nothing"), "1", "v", code=NO_INPUT)


# ----------------------------------------------------------------------- stats


@mount_only
def test_stats(m):
    m.write("k", "v")
    os.makedirs(m.path("a", "b"))
    raw = cubby("stats", "--json", m.dir)
    check(isinstance(json.loads(raw), dict), raw)
    equal(set(json.loads(raw)), set(m.stats()), "members")
    for args, more in (((m.dir,), {}), ((m.path("a", "b"),), {}), ((m.path("k"),), {}), ((), {"cwd": m.dir}),
                       ((), {"cwd": m.path("a", "b")})):
        text = cubby("stats", *args, **more).decode()
        check(len(text.splitlines()) > 3, text)
        check(re.search(r"(?m)^\S+ +\S", text), text)
    cubby("stats", m.path("nothing"), code=NO_INPUT)
    cubby("stats", "/proc", code=UNAVAILABLE)


@mount_only
def test_stats_of_odd_mounts(m):
    """A mount point with a space and a newline in it; a part that is bound."""
    odd = m.scratch.mount(store=m.scratch.path("store2"),
                          directory=m.scratch.path("sp ace\nline\\"))
    os.makedirs(odd.path("a", "b"))
    json.loads(cubby("stats", "--json", odd.path("a")))
    bound = m.scratch.path("bound")
    os.mkdir(bound)
    subprocess.run(["mount", "--bind", odd.path("a"), bound], check=True)
    try:
        json.loads(cubby("stats", "--json", os.path.join(bound, "b")))
    finally:
        subprocess.run(["umount", bound], check=True)


# --------------------------------------------------------------- check, compact


def filled_store(scratch, keys=50):
    m = scratch.mount()
    for n in range(keys):
        m.write("key%d" % n, "value %d" % n)
    m.unmount()
    return m


def flip_a_bit(store, value=b"value 7"):
    """Damages the line of the journal that has this value; returns its file and number."""
    for name in sorted(os.listdir(store)):
        path = os.path.join(store, name)
        if not os.path.isfile(path):
            continue
        with open(path, "r+b") as f:
            data = f.read()
            at = data.find(b'"' + value + b'"')
            if at >= 0:
                f.seek(at + 1)
                f.write(bytes([data[at + 1] ^ 1]))
                return name, data[:at].count(b"\n") + 1
    raise Failure("no journal line has the value")


@mount_only
@unmounted
def test_check(scratch):
    m = filled_store(scratch)
    r = cubby("check", m.store)
    check(b" 0 problems" in r, r)
    equal(len(r.splitlines()), 1)
    got = one_json(cubby("check", "--json", m.store))
    equal((got["clean"], got["problems"], got["kept_aside"]), (True, [], 0))
    equal(got["store"], m.store)
    check(got["files"] >= 1 and got["lines"] >= 50 and got["bytes"] > 1000, got)
    check(got["last_revision"] >= 50, got)


@mount_only
@unmounted
def test_check_damaged(scratch):
    m = filled_store(scratch)
    name, line = flip_a_bit(m.store)
    before = {f: os.stat(os.path.join(m.store, f)).st_mtime_ns for f in os.listdir(m.store)}
    out = cubby("check", m.store, code=1).decode()
    check(re.search(r"(?m)^%s:%d: .+ \(offset \d+, \d+ bytes\); .+$" % (re.escape(name), line),
                    out), out)
    got = one_json(cubby("check", "--json", m.store, code=1))
    equal(got["clean"], False)
    check(len(got["problems"]) >= 1, got)
    for problem in got["problems"]:
        equal(set(problem), {"file", "line", "offset", "size", "what", "remedy"})
    first = [p for p in got["problems"] if (p["file"], p["line"]) == (name, line)][0]
    with open(os.path.join(m.store, name), "rb") as f:
        f.seek(first["offset"])
        check(b"alue 7" in f.read(first["size"]), "offset and size")
    equal({f: os.stat(os.path.join(m.store, f)).st_mtime_ns for f in os.listdir(m.store)}, before,
          "check changes nothing")
    # the mount keeps it aside, and that is still said after it
    m.start()
    check(not os.path.exists(m.path("key7")), "a damaged key")
    equal(m.read("key8"), b"value 8")
    m.unmount()
    cubby("check", m.store, code=1)


@mount_only
@unmounted
def test_check_of_a_mounted_store(scratch):
    m = scratch.mount()
    m.write("k", "v")
    writer = subprocess.Popen([sys.executable, "-c", """
import sys
while True:
    with open(sys.argv[1], "w") as f:
        f.write("x" * 20000)
""", m.path("busy")])
    try:
        for _ in range(30):
            got = one_json(cubby("check", "--json", m.store))
            equal(got["problems"], [])
    finally:
        writer.kill()
        writer.wait()


@unmounted
def test_check_of_no_store(scratch):
    os.mkdir(scratch.path("empty"))
    with open(scratch.path("file"), "w") as f:
        f.write("no store\n")
    os.mkdir(scratch.path("other"))
    with open(scratch.path("other", "file"), "w") as f:
        f.write("no store\n")
    for command in ("check", "compact"):
        cubby(command, scratch.path("nothing"), code=NO_INPUT)
        cubby(command, scratch.path("empty"), code=NO_INPUT)
        cubby(command, scratch.path("file"), code=DATA)
        cubby(command, "memory:", code=UNAVAILABLE)
        r = run(command, scratch.path("other"))
        check(r.returncode > 1, "%s of a directory of other things: %d, %r" % (
            command, r.returncode, r.stderr))
    equal(os.listdir(scratch.path("empty")), [], "made a store")
    equal(os.listdir(scratch.path("other")), ["file"], "made a store")
    check(not os.path.exists(scratch.path("nothing")), "made a store")


@mount_only
@unmounted
def test_compact(scratch):
    m = scratch.mount(options=("compact_min=1G",))
    for n in range(200):
        m.write("k", b"%d" % n * 2000)
    m.write("other", "stays")
    m.set("other", "ttl", 1000)
    os.setxattr(m.path("other"), "user.own", b"mine")
    revision = m.get("k", "revision")
    last = m.read("k")
    m.unmount()
    out = cubby("compact", m.store).decode()
    found = re.match(r".*: (\d+) bytes before, (\d+) after\n$", out)
    check(found, out)
    check(int(found[2]) * 10 < int(found[1]), out)
    cubby("check", m.store)
    got = one_json(cubby("compact", "--json", m.store))
    equal(got["store"], m.store)
    check(0 < got["after"] <= got["before"] + 1000, got)
    m.start()
    equal(m.read("k"), last)
    equal(m.get("k", "revision"), revision)
    equal(m.get("k", "version"), "200")
    equal(m.read("other"), b"stays")
    check(900 < float(m.get("other", "ttl")) <= 1000, "ttl")
    equal(os.getxattr(m.path("other"), "user.own"), b"mine")


@mount_only
@unmounted
def test_compact_damaged(scratch):
    """What is damaged is kept aside, said, and the rest stays."""
    m = filled_store(scratch)
    flip_a_bit(m.store)
    r = run("compact", m.store)
    equal(r.returncode, 0, "exit code (%r)" % r.stderr)
    check(r.stderr, "it must say that something was damaged")
    r = run("check", m.store)
    equal(r.returncode, 1, "check still tells: %r" % r.stdout)
    check(b"damaged" in r.stdout, r.stdout)
    m.start()
    equal(sorted(n for n in os.listdir(m.dir) if n.startswith("key")),
          sorted("key%d" % n for n in range(50) if n != 7))


@mount_only
@unmounted
def test_compact_of_a_held_store(scratch):
    m = scratch.mount()
    m.write("k", "v")
    says(rb"\b%d\b" % m.worker, "compact", m.store, code=TEMP_FAIL)
    equal(m.read("k"), b"v")


# ------------------------------------------------------------------ completion


def complete(*words, cwd):
    """What bash would offer for the last of these words."""
    script = """
. "$1"; shift
[ "$(complete -p cubby)" = "complete -F _cubby cubby" ] || exit 9
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_cubby
[ ${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""
    r = subprocess.run(["bash", "-c", script, "bash", COMPLETION, *words], cwd=cwd,
                       capture_output=True, text=True)
    equal((r.returncode, r.stderr), (0, ""), "bash")
    return r.stdout.splitlines()


@unmounted
def test_completion(scratch):
    subprocess.run(["bash", "-n", COMPLETION], check=True)
    os.mkdir(scratch.path("dir"))
    for name in ("key one", "key-two"):
        with open(scratch.path(name), "w") as f:
            f.write("v")
    here = {"cwd": scratch.top}
    equal(set(complete("cubby", "", **here)), set(COMMANDS) | {"--help", "--version"})
    equal(complete("cubby", "co", **here), ["compact"])
    equal(sorted(complete("cubby", "set", "--", **here)),
          sorted(["--ttl", "--action", "--if-absent", "--if-revision", "--file", "--parents", "--help"]))
    equal(complete("cubby", "set", "k", "--if-a", **here), ["--if-absent"])
    check("10m" in complete("cubby", "set", "--ttl", "", **here), "--ttl")
    equal(complete("cubby", "set", "--action", "", **here), [])
    equal(sorted(complete("cubby", "get", "key", **here)), ["key one", "key-two"])
    equal(complete("cubby", "check", "", **here), ["dir"])
    equal(complete("cubby", "frob", "", **here), [])
    for command in COMMANDS:
        check("--help" in complete("cubby", command, "--", **here), command)


if __name__ == "__main__":
    main(globals())
