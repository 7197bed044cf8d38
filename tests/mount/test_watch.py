# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""cubby watch: what it prints and runs, and that it goes on when the mount comes back."""
import base64
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from crew import LONG, Crew  # noqa: E402
from harness import (CUBBY, Skip, check, deadline, equal, main, mount_only, options,  # noqa: E402
                     unmounted)
from watcher import Watcher  # noqa: E402

USAGE, UNAVAILABLE, IO_ERROR, NO_PERMISSION, TIMEOUT = 64, 69, 74, 77, 124
USER = 65534


def watch(*args, **more):
    return Watcher([CUBBY, "watch", *args], **more)


def since(m):
    """Events from now on, without a race against the start of the program."""
    return ["--since", str(m.stats()["revision"])]


def events(w):
    return [json.loads(line) for line in w.out.splitlines()]


def paths(w):
    return [(e["scope"] + "/" + e["key"]).lstrip("/") for e in events(w)]


def expect_paths(w, *wanted, seconds=20.0):
    """These, in this order, and nothing else so far."""
    w.until(lambda: len(w.out.splitlines()) >= len(wanted) and w.out.endswith("\n"), seconds,
            "%d events" % len(wanted))
    equal(paths(w), list(wanted), "events")


def run(*args, **more):
    return subprocess.run([CUBBY, "watch", *args], capture_output=True, text=True, timeout=60,
                          **more)


def need_jq(m):
    if "libjq" in run("--if", ".", "--timeout", "0", m.dir).stderr:
        raise Skip("built without libjq")


# --- what it prints ----------------------------------------


@mount_only
def test_events(m):
    with watch(*since(m), m.dir) as w:
        os.mkdir(m.path("ns"))
        m.write("ns/k", "one")
        m.write("ns/k", "two\n")
        m.set("ns/k", "action", "why")
        m.set("ns/k", "ttl", "0.2")
        w.expect('"expired"')
        m.write("bin", b"\xff\0")
        os.unlink(m.path("bin"))
        w.expect('"deleted"')
        got = events(w)
        for e in got:
            equal(e["message_type"], "state")
            equal(e["by"], 0)
            check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", e["at"]), e["at"])
        revisions = [e["revision"] for e in got]
        equal(revisions, sorted(set(revisions)), "revisions")
        brief = [(e["event_type"], e["scope"], e["key"], e.get("old_value"), e.get("new_value"))
                 for e in got]
        equal(brief[0][:3], ("created", "", "ns"))
        check(got[0].get("namespace") is True, "namespace")
        equal(brief[1], ("created", "ns", "k", None, "one"))
        equal(brief[2], ("updated", "ns", "k", "one", "two\n"))
        equal(brief[-3][:4], ("expired", "ns", "k", "two\n"))
        equal(brief[-2][:3], ("created", "", "bin"))
        equal(base64.b64decode(brief[-2][4]["base64"]), b"\xff\0")
        equal(brief[-1][:3], ("deleted", "", "bin"))
        equal(w.err, "", "complaints")


def fill(m):
    for name in ("config", "config/deep", "other"):
        os.makedirs(m.path(name), exist_ok=True)
    start = since(m)
    for name in ("top", "config/a", "config/b", "config/deep/c", "other/a", "config/a1", "x.y"):
        m.write(name, "v")
    m.write("last", "v")
    return start


def all_with(m, start, *args, wanted, **more):
    """The paths of what matches, of what fill() has written."""
    for seconds in ("0.25", "4"):      # a machine that is busy gets a second chance
        r = run(*start, "--timeout", seconds, *args, **more)
        check(r.returncode in (0, TIMEOUT), "exit code %d: %s" % (r.returncode, r.stderr))
        equal(r.stderr, "", "complaints")
        lines = [json.loads(line) for line in r.stdout.splitlines()]
        equal(r.returncode, 0 if lines else TIMEOUT, "exit code")
        got = " ".join((e["scope"] + "/" + e["key"]).lstrip("/") for e in lines)
        if got == wanted:
            break
    equal(got, wanted, "events of %r (%r)" % (args, more))


@mount_only
def test_patterns(m):
    start = fill(m)
    below = "config/a config/b config/deep/c config/a1"
    everything = "top config/a config/b config/deep/c other/a config/a1 x.y last"
    link = m.scratch.path("link")
    os.symlink(m.path("config"), link)
    for args, cwd, wanted in (
            ([m.dir], "/", everything),
            ([], m.dir, everything),
            (["."], m.dir, everything),
            ([m.path("*")], "/", "top x.y last"),
            (["*"], m.dir, "top x.y last"),
            ([m.path("config")], "/", below),
            ([m.path("config") + "/"], "/", below),
            (["config"], m.dir, below),
            ([], m.path("config"), below),
            ([".."], m.path("config"), everything),
            ([m.path("config", "*")], "/", "config/a config/b config/a1"),
            ([m.path("config", "a")], "/", "config/a"),
            (["./config//a?"], m.dir, "config/a1"),
            (["a*"], m.path("config"), "config/a config/a1"),
            (["deep/c"], m.path("config"), "config/deep/c"),
            (["../other/*"], m.path("config"), "other/a"),
            ([m.path("*", "a")], "/", "config/a other/a"),
            ([m.path("**", "a")], "/", "config/a other/a"),
            ([m.path("config.*")], "/", below),
            (["config.*"], m.dir, below),
            (["--dir", m.dir, "config/[bc]"], "/", "config/b"),
            (["--dir", m.path("config"), "a*"], "/", "config/a config/a1"),
            (["--dir", "config", "/a*"], m.dir, "config/a config/a1"),
            (["--dir", m.dir], "/", everything),
            ([link + "/a"], "/", "config/a"),
            ([link], "/", below),
            ([m.path("nothing", "*")], "/", ""),
            ([m.path("config", "A")], "/", "")):
        all_with(m, start, *args, cwd=cwd, wanted=wanted)


@mount_only
def test_names_that_look_like_patterns(m):
    for name in ("a*", "ab", "a[1]", "a1", "a\\"):
        os.mkdir(m.path(name))
    start = since(m)
    for name in ("a*", "ab", "a[1]", "a1", "a\\"):
        m.write(name + "/k", "v")
    m.write("k*", "v")
    m.write("kk", "v")
    all_with(m, start, cwd=m.path("a*"), wanted="a*/k")
    all_with(m, start, cwd=m.path("a[1]"), wanted="a[1]/k")
    all_with(m, start, cwd=m.path("a\\"), wanted="a\\/k")
    all_with(m, start, m.path("k\\*"), wanted="k*")
    all_with(m, start, m.path("a\\*", "k"), wanted="a*/k")
    all_with(m, start, m.path("a*", "k"), wanted="a*/k ab/k a[1]/k a1/k a\\/k")


@unmounted
@mount_only
def test_mount_at_a_strange_place(scratch):
    m = scratch.mount(directory=scratch.path("a [b]*\\c"))
    start = fill(m)
    all_with(m, start, m.path("config", "b*"), wanted="config/b")
    all_with(m, start, "b", cwd=m.path("config"), wanted="config/b")


@mount_only
def test_a_part_bound_elsewhere(m):
    start = fill(m)
    place = m.scratch.path("bound")
    os.mkdir(place)
    subprocess.run(["mount", "--bind", m.path("config"), place], check=True)
    all_with(m, start, place, wanted="config/a config/b config/deep/c config/a1")
    all_with(m, start, place + "/deep/*", wanted="config/deep/c")
    subprocess.run(["umount", place], check=True)


@mount_only
def test_where_there_is_no_mount(m):
    for args in ([m.scratch.path()], [m.scratch.path("nothing")], ["--dir", "/proc", "x"],
                 [m.store]):
        r = run(*args, "--timeout", "5")
        equal(r.returncode, UNAVAILABLE, "exit code of %r" % (args,))
        check(re.match(r"cubby: .*: not on a cubbyfs mount\n$", r.stderr), r.stderr)
    r = run("--timeout", "5", m.dir, user=USER, group=USER, extra_groups=())
    equal(r.returncode, NO_PERMISSION, "as another user")


# --- --since, --once, --timeout ----------------------------------------


@mount_only
def test_since(m):
    for i in range(20):
        m.write("k", "v%d" % i)
    r = run("--since", "0", "--timeout", "1", m.path("k"))
    got = [json.loads(line) for line in r.stdout.splitlines()]
    equal([e["new_value"] for e in got], ["v%d" % i for i in range(20)])
    for i in (0, 7, 18):
        r = run("--since", str(got[i]["revision"]), "--once", m.path("k"))
        equal(json.loads(r.stdout)["new_value"], "v%d" % (i + 1))
        equal((r.returncode, r.stderr), (0, ""))
    m.remount()
    r = run("--since", str(got[7]["revision"]), "--once", m.path("k"))
    equal(json.loads(r.stdout)["new_value"], "v8", "out of the log")
    with watch("--since", str(got[17]["revision"]), m.path("k")) as w:
        expect_paths(w, "k", "k")
        m.write("k", "more")
        expect_paths(w, "k", "k", "k")
        equal([e["new_value"] for e in events(w)], ["v18", "v19", "more"])


@mount_only
def test_since_the_future(m):
    m.write("k", "v")
    with watch("--since", "1000", m.dir) as w:
        w.expect_error(r"^cubby: .*: its last revision is \d+, not 1000: going on from there\n")
        w.expect('"lost"')
        m.write("k", "w")
        w.expect('"new_value":"w"')


@unmounted
@mount_only
def test_lost(scratch):
    """A store without a log cannot tell what was before the first stream."""
    m = scratch.mount(store="memory:")
    for i in range(5):
        m.write("k", "v%d" % i)
    last = m.stats()["revision"]
    with watch("--since", "1", m.dir) as w:
        w.expect_error(r"^cubby: .*: events are lost: revisions 2 to %d\n" % last)
        w.expect('"message_type":"lost"')
        m.write("k", "w")
        w.expect('"new_value":"w"')
        equal(events(w)[0], {"message_type": "lost", "from": 2, "first": last + 1})
        equal(len(w.err.splitlines()), 1, w.err)


@mount_only
def test_once(m):
    start = since(m)
    with watch(*start, "--once", m.path("k")) as w:
        m.write("other", "1")
        m.write("k", "1")
        m.write("k", "2")
        equal(w.wait(), 0, "exit code")
        equal([e["new_value"] for e in events(w)], ["1"])


@mount_only
def test_timeout(m):
    begin = time.monotonic()
    r = run("--timeout", "0.5", m.path("k"))
    check(0.4 < time.monotonic() - begin < 5, "it took %g s" % (time.monotonic() - begin))
    equal((r.returncode, r.stdout, r.stderr), (TIMEOUT, "", ""))
    equal(run("--once", "--timeout", "0", m.path("k")).returncode, TIMEOUT)
    with watch(*since(m), "--timeout", "1.5", m.path("k")) as w:
        m.write("k", "1")
        m.write("k", "2")
        equal(w.wait(), 0, "exit code when there were some")
        expect_paths(w, "k", "k")


# --- --if ----------------------------------------


@mount_only
def test_if(m):
    need_jq(m)
    start = since(m)
    for value in ('{"status": "active", "n": 1}\n', '{"status": "idle"}', "active", "7", "[1, 2]",
                  "", "{broken", "null", '"text"', "1 2"):
        m.write("k", value)
    m.write("b", b"\xff")
    for condition, wanted in (
            ('.new_value.status? == "active"', 1),
            ('.old_value.status? == "active"', 1),
            ('.new_value == "active"', 1),
            ('.new_value | type == "number"', 1),
            ('.new_value == [1, 2]', 1),
            ('.new_value == ""', 1),
            ('.new_value == "{broken"', 1),
            ('.new_value == "1 2"', 1),
            ('.new_value == "text"', 1),
            ('.new_value.base64? == "/w=="', 1),
            ('.event_type == "created"', 2),
            ('.key == "b"', 1),
            ('.revision > 0', 11),
            ("true", 11), ("false", 0), ("null", 0), ("0", 11), ("empty", 0), ('""', 11),
            ("false, true", 11), ("false, null", 0)):
        for seconds in ("0.25", "4"):
            r = run(*start, "--timeout", seconds, "--if", condition, m.dir)
            if len(r.stdout.splitlines()) == wanted:
                break
        equal((len(r.stdout.splitlines()), r.stderr), (wanted, ""), condition)


@mount_only
def test_if_fails(m):
    need_jq(m)
    start = since(m)
    for value in ("1", "2", '{"a": 1}', "4"):
        m.write("k", value)
    r = run(*start, "--timeout", "1", "--if", ".new_value.a == 1", m.dir)
    equal(len(r.stdout.splitlines()), 1, r.stdout)
    check(re.fullmatch(r"cubby watch: --if: Cannot index number .*\n", r.stderr), r.stderr)
    for program in (".a ==", "nothing_like_that", ")"):
        r = run("--if", program, "--timeout", "5", m.dir)
        equal((r.returncode, r.stdout), (USAGE, ""), program)
        check(r.stderr.startswith("cubby watch: --if: "), r.stderr)


# --- --exec ----------------------------------------


@mount_only
def test_exec(m):
    os.mkdir(m.path("ns"))
    with watch(*since(m), "--exec", "cat; env | grep ^CUBBY_ | sort; echo ---", m.path("ns", "*"),
               env=dict(os.environ, CUBBY_ACTION="stale", CUBBY_OLD_VALUE="stale")) as w:
        m.write("ns/k", "it's $HOME")
        w.expect("---")
        lines = w.out.splitlines()
        event = json.loads(lines[0])
        got = dict(line.split("=", 1) for line in lines[1:-1]
                   if not line.startswith(("CUBBY_BUILD", "CUBBY_LONG", "CUBBY_TEST")))
        equal(got, {"CUBBY_EVENT_TYPE": "created", "CUBBY_SCOPE": "ns", "CUBBY_KEY": "k",
                    "CUBBY_PATH": m.path("ns", "k"), "CUBBY_MOUNT": m.dir,
                    "CUBBY_NEW_VALUE": "it's $HOME", "CUBBY_REVISION": str(event["revision"]),
                    "CUBBY_BY": "0", "CUBBY_AT": event["at"]})
        m.write("ns/k", "")
        w.expect("---")
        check("CUBBY_OLD_VALUE=it's $HOME\n" in w.out, w.out)
        check("CUBBY_NEW_VALUE=\n" in w.out, w.out)
        fd = os.open(m.path("ns/k"), os.O_WRONLY | os.O_TRUNC)
        os.write(fd, b"v")
        os.setxattr(fd, "user.cubby.action", b"because")
        os.close(fd)
        w.expect("---")
        check("CUBBY_ACTION=because\n" in w.out, w.out)
        equal(w.err, "", "complaints")


@mount_only
def test_exec_values_that_no_variable_holds(m):
    with watch(*since(m), "--exec", 'wc -c; echo "${CUBBY_NEW_VALUE-none}"', m.dir) as w:
        m.write("k", b"a\0b")
        w.expect(r"(?m)^none$")
        m.write("k", "x" * 700000)
        size = int(w.expect(r"(?m)^(\d{6,})\nnone$").group(1))
        check(size > 700000, "the command got %d bytes" % size)
        m.write("k", b"\xfe\xff")
        w.quiet(0.5)
    check(b"\n\xfe\xff\n" in w.text[w.process.stdout], "bytes that are no UTF-8")


@mount_only
def test_exec_in_order(m):
    """One at a time: a command that takes long does not let the next one pass it."""
    with watch(*since(m), "--exec",
               'echo "start $CUBBY_NEW_VALUE"; sleep 0.0$((9 - CUBBY_NEW_VALUE));'
               ' echo "end $CUBBY_NEW_VALUE"', m.path("k")) as w:
        for i in range(10):
            m.write("k", str(i))
        w.expect("end 9")
        equal(w.out.split("\n")[:-1], ["%s %d" % (word, i) for i in range(10)
                                       for word in ("start", "end")])


@mount_only
def test_jobs(m):
    """As many at once as are allowed, and no more."""
    with watch(*since(m), "--jobs", "3", "--exec", 'echo "+"; sleep 0.3; echo "-"', m.dir) as w:
        for i in range(9):
            m.write("k%d" % i, "v")
        w.until(lambda: w.out.count("-") == 9, what="the end of all")
        running, most = 0, 0
        for word in w.out.split():
            running += 1 if word == "+" else -1
            most = max(most, running)
        equal(most, 3, "at once")
    with watch(*since(m), "--exec", 'echo "+"; sleep 0.1; echo "-"', m.dir) as w:
        for i in range(4):
            m.write("k%d" % i, "w")
        w.until(lambda: w.out.count("-") == 4, what="the end of all")
        equal(w.out.split(), ["+", "-"] * 4)


@mount_only
def test_exec_fails(m):
    with watch(*since(m), "--exec", '[ $CUBBY_NEW_VALUE != 1 ] || exit 3;'
               ' [ $CUBBY_NEW_VALUE != 2 ] || kill -9 $$; echo "ran $CUBBY_NEW_VALUE"',
               m.dir) as w:
        for i in range(4):
            m.write("k", str(i))
        w.expect("ran 3")
        equal(w.out, "ran 0\nran 3\n")
        equal(w.err, "cubby: k: the command exited with 3\n"
                     "cubby: k: the command was killed by signal 9\n")


@mount_only
def test_exec_once(m):
    for command, code in (("true", 0), ("exit 5", 5), ("kill -15 $$", 128 + 15),
                          ("sleep 0.3; echo done", 0)):
        with watch(*since(m), "--once", "--exec", command, m.dir) as w:
            m.write("k", "v")
            m.write("k", "w")
            equal(w.wait(), code, "exit code of %r" % command)
            equal(w.out, "done\n" if "done" in command else "")


@mount_only
def test_a_slow_command_loses_nothing(m):
    """More than the mount keeps for its readers: the rest comes from the log."""
    with watch(*since(m), "--exec",
               '[ "$CUBBY_KEY" != first ] || sleep 2; echo "$CUBBY_KEY"', m.dir) as w:
        m.write("first", "v")
        w.until(lambda: len(list(running_shells(w))) > 0, what="the first command")
        for i in range(60):
            m.write("k%d" % i, os.urandom(300000))
        m.write("last", "v")
        w.expect(r"(?m)^last$", seconds=60)
        equal(w.out.split(), ["first"] + ["k%d" % i for i in range(60)] + ["last"])
        equal(w.err, "", "complaints")


def running_shells(w):
    with open("/proc/%d/task/%d/children" % (w.pid, w.pid)) as f:
        return f.read().split()


# --- the mount goes and comes ----------------------------------------


def umount_lazily(m):
    """As an administrator does who is in a hurry; what the daemon does then is not waited for."""
    subprocess.run(["umount", "-l", m.dir], check=True)
    m.process.wait(30)
    m.process = None


def idle_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@mount_only
def test_resume(m):
    """Each change exactly once, also those that happen while nobody watches."""
    os.mkdir(m.path("ns"))
    wanted = []

    def change(value):
        m.write("ns/k", value)
        wanted.append(value)

    def caught_up():
        w.until(lambda: len(w.out.splitlines()) >= len(wanted), what="all events")
        equal([e["new_value"] for e in events(w)], wanted)

    with watch(m.path("ns", "*")) as w:
        w.streaming()
        change("before")
        for round_ in range(3):
            caught_up()
            if round_ == 1:
                m.kill()
            else:
                umount_lazily(m)
            w.expect_error(r"(?s)(: the mount is gone; waiting for it\n.*){%d}" % (round_ + 1))
            used = idle_seconds(w.pid)
            w.quiet(1.2)
            check(idle_seconds(w.pid) - used < 0.2, "it is busy while it waits")
            m.start()
            change("back %d" % round_)
            w.expect_error(r"(?s)(: the mount is back\n.*){%d}" % (round_ + 1))
            change("watched %d" % round_)
        caught_up()
        equal(w.err, ("cubby: %s: the mount is gone; waiting for it\n"
                      "cubby: %s: the mount is back\n" % (m.dir, m.dir)) * 3)


@mount_only
def test_resume_before_the_first_event(m):
    """It has seen nothing yet, but knows from when on."""
    with watch(m.path("k")) as w:
        w.streaming()
        m.write("other", "v")
        umount_lazily(m)
        w.expect_error("gone")
        m.start()
        m.write("k", "1")
        expect_paths(w, "k")


@mount_only
def test_resume_with_another_store(m):
    with watch(m.dir) as w:
        w.streaming()
        for i in range(30):
            m.write("k", str(i))
        w.expect('"29"')
        umount_lazily(m)
        w.expect_error("gone")
        m.store += ".other"
        m.start()
        w.expect_error("its last revision is")
        m.write("new", "v")
        w.expect('"new_value":"v"')


@mount_only
def test_timeout_while_the_mount_is_away(m):
    with watch("--timeout", "1.5", m.dir) as w:
        w.streaming()
        umount_lazily(m)
        equal(w.wait(), TIMEOUT)


# --- killed and resumed ----------------------------------------

WRITERS = 4
KILLS = 20
CHANGES = 50000 if LONG else 4000


def write_at_random(m, seed, count):
    """So many changes of all kinds, of keys that other writers change too."""
    rng = random.Random(seed)
    for i in range(count):
        name = m.path("ns%d" % rng.randrange(3), "k%d" % rng.randrange(40))
        kind = rng.random()
        try:
            if kind < 0.5:
                with open(name, "w") as f:
                    f.write("%d.%d %s" % (seed, i, "\u00e9\n" * rng.choice((0, 5, 5000))))
            elif kind < 0.6:
                with open(name, "ab") as f:
                    f.write(b"\xff+")
            elif kind < 0.75:
                os.unlink(name)
            elif kind < 0.85:
                os.rename(name, m.path("ns0", "k%d" % rng.randrange(40)))
            elif kind < 0.9:
                os.setxattr(name, "user.cubby.ttl", b"%.3f" % (rng.random() / 20))
            elif kind < 0.95:
                os.link(name, m.path("ns1", "l%d" % rng.randrange(5)))
            else:
                number = m.path("ns2", "n%d" % rng.randrange(3))
                os.close(os.open(number, os.O_WRONLY | os.O_CREAT))
                os.setxattr(number, "user.cubby.increment", b"7")
        except (FileNotFoundError, FileExistsError):
            pass


def value_of(event, name):
    value = event[name]
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else (
        None if value is None else value.encode())


@mount_only
@options("compact_min=4G")      # a compaction takes history away, which is told as lost
@deadline(900 if LONG else 120)
def test_killed_and_resumed(m):
    """Each revision once and in order; the old value is always the one that was told before."""
    for i in range(3):
        os.mkdir(m.path("ns%d" % i))
    position = before = m.stats()["revision"]
    out = m.scratch.path("out")
    told = []
    rng = random.Random(1)

    def follow(seconds, until=None):
        """Watches until it is killed; a line or a revision that has not come whole is dropped."""
        nonlocal position
        with open(out, "wb") as f:
            p = subprocess.Popen([CUBBY, "watch", "--since", str(position), m.dir], stdout=f)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.01)
                if until and os.path.getsize(out):
                    with open(out, "rb") as g:
                        g.seek(max(0, os.path.getsize(out) - 200))
                        if until in g.read():
                            break
            p.kill()
            p.wait()
        with open(out, "rb") as f:
            lines = [json.loads(x) for x in f.read().split(b"\n")[:-1]]
        while lines and lines[-1].get("more"):
            lines.pop()
        told.extend(lines)
        if lines:
            position = lines[-1]["revision"]

    with Crew() as crew:
        for seed in range(WRITERS):
            crew.fork(write_at_random, m, seed, CHANGES // WRITERS)
        for _ in range(KILLS):
            follow(rng.uniform(0.02, 0.12) * (10 if LONG else 1))
        crew.join(600)
    time.sleep(0.2)     # what has a TTL expires
    m.write("end", "v")
    last = int(m.get("end", "revision"))
    follow(120, b'"revision":%d,' % last)
    equal(position, last, "the last revision that was told")
    equal(sorted({e.get("revision") for e in told}), list(range(before + 1, last + 1)),
          "revisions")

    values, revision, more = {}, 0, False
    for e in told:
        equal(e["message_type"], "state", "%r" % e)
        check(e["revision"] == revision if more else e["revision"] > revision,
              "revision %d after %d" % (e["revision"], revision))
        revision, more = e["revision"], e.get("more", False)
        path = e["scope"] + "/" + e["key"]
        if e.get("namespace"):
            continue
        equal(value_of(e, "old_value"), values.get(path), "old value of %r" % e)
        check((path in values) == (e["event_type"] != "created"), "%r" % e)
        values[path] = value_of(e, "new_value")
        if e["event_type"] in ("deleted", "expired"):
            equal(values.pop(path), None, "new value of %r" % e)
    found = {}
    for name in ("ns0", "ns1", "ns2"):
        for key in os.listdir(m.path(name)):
            found[name + "/" + key] = m.read(name + "/" + key)
    found["/end"] = b"v"
    equal(sorted(found), sorted(values), "keys")
    for path, value in found.items():
        equal(values[path], value, "the last value of " + path)
    print("# %d events of %d revisions" % (len(told), len({e["revision"] for e in told})))


# --- as a Unix tool ----------------------------------------


@mount_only
def test_signals(m):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with watch(m.dir) as w:
            w.streaming()
            os.kill(w.pid, number)
            equal(w.wait(), -number)


@mount_only
def test_a_reader_that_has_gone(m):
    """cubby watch | head -1: ends when head does, not at the next event."""
    start = since(m)
    w = subprocess.Popen([CUBBY, "watch", *start, m.dir], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, restore_signals=True)
    m.write("k", "v")
    w.stdout.readline()
    w.stdout.close()
    equal(w.wait(10), -signal.SIGPIPE)
    equal(w.stderr.read(), b"")
    w.stderr.close()


@mount_only
def test_output_that_cannot_be_written(m):
    start = since(m)
    m.write("k", "v")
    with open("/dev/full", "wb") as full:
        r = subprocess.run([CUBBY, "watch", *start, m.dir], stdout=full, stderr=subprocess.PIPE,
                           timeout=30)
    equal(r.returncode, IO_ERROR, "exit code")
    check(b"No space" in r.stderr, r.stderr)


@mount_only
def test_an_ordinary_umount_is_refused(m):
    """As with any open file; nothing is disturbed by it."""
    with watch(*since(m), m.dir) as w:
        w.streaming()
        r = subprocess.run(["umount", m.dir], capture_output=True, text=True)
        check(r.returncode != 0 and "busy" in r.stderr, "umount: %r" % r.stderr)
        m.write("k", "v")
        expect_paths(w, "k")
        equal(w.err, "")
    m.unmount()


if __name__ == "__main__":
    main(globals())
