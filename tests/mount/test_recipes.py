# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""docs/recipes.md: each recipe does what it says, with the tools themselves.

The commands are taken from the page; /state becomes the test's mount.
"""
import contextlib
import glob
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from harness import BUILD, CUBBY, ROOT, Skip, check, equal, main, mount_only  # noqa: E402
from inotify import (ATTRIB, CLOSE_WRITE, CREATE, DELETE, DELETE_SELF, MODIFY,  # noqa: E402
                     MOVE_SELF, MOVED_FROM, MOVED_TO, Inotify)
from watcher import Watcher  # noqa: E402

NODE_MODULES = os.path.join(BUILD, "npm", "node_modules")
SYSTEM_PYTHON = "/usr/bin/python3"      # Debian's, which has Debian's modules


def recipe(m, heading, number=0):
    """The code of a recipe, for this mount."""
    with open(os.path.join(ROOT, "docs", "recipes.md")) as f:
        sections = dict(re.findall(r"(?ms)^## (.*?)\n(.*?)(?=^## |\Z)", f.read()))
    check(heading in sections, "no recipe %r" % heading)
    return re.findall(r"(?ms)^```\w+\n(.*?)^```", sections[heading])[number].replace(
        "/state", m.dir)


def shell(m, heading, number=0, **more):
    environment = dict(os.environ, PATH=os.path.dirname(CUBBY) + ":" + os.environ["PATH"],
                       **more)
    return Watcher(["sh", "-c", recipe(m, heading, number)], env=environment)


def need(tool):
    if not shutil.which(tool):
        raise Skip("%s is not installed" % tool)


# --- inotifywait ----------------------------------------


@mount_only
def test_inotifywait(m):
    need("inotifywait")
    os.mkdir(m.path("jobs"))
    with shell(m, "inotifywait") as w:
        w.watching(m.path("jobs"))
        m.write("jobs/a", "one")
        w.expect(r"(?m)^a: CLOSE_WRITE")
        m.write("jobs/a", "two")
        w.expect(r"(?m)^a: CLOSE_WRITE")
        m.set("jobs/a", "ttl", "0.2")
        w.expect(r"(?m)^a: DELETE")
        subprocess.run([CUBBY, "incr", m.path("jobs/n")], check=True)
        w.expect(r"(?m)^n: CLOSE_WRITE")
        w.quiet(0.3)
        m.set("jobs/n", "increment", "41")
        w.expect(r"(?m)^n: CLOSE_WRITE")
        equal(m.read("jobs/n"), b"42")
        os.rename(m.path("jobs/n"), m.path("jobs/o"))
        w.expect(r"(?m)^n: MOVED_FROM")
        w.expect(r"(?m)^o: MOVED_TO")


# --- entr ----------------------------------------


@mount_only
def test_entr(m):
    need("entr")
    os.mkdir(m.path("app"))
    m.write("app/config", "zero\n")
    with shell(m, "entr") as w:
        w.watching(m.path("app", "config"))
        equal(w.quiet(0.5), "", "what entr -p runs at first")
        m.write("app/config", "one\n")
        w.expect(r"(?m)^one$")
        w.quiet(0.5)    # entr merges what comes close together
        subprocess.run([CUBBY, "set", m.path("app/config"), "two\n"], check=True)
        w.expect(r"(?m)^two$")
        w.quiet(0.5)
        m.write("app/config", "41")
        w.until(lambda: w.out.endswith("41"), what="the value without a newline")
        w.quiet(0.5)
        m.set("app/config", "increment", "1")   # no program here has it open
        w.until(lambda: w.out.endswith("42"), what="the incremented value")


# --- systemd ----------------------------------------
#
# systemd is not running here, so its path units are played: PathUnit asks the kernel for the same
# watches (src/core/path.c, path_spec_watch) and decides as it does (path_spec_fd_event,
# path_spec_check_good). What it waits for is that the service would be started.

SELF = DELETE_SELF | MOVE_SELF | ATTRIB
PARENT = MOVE_SELF | DELETE_SELF | ATTRIB | CREATE | MOVED_TO
MASKS = {
    "PathExists": SELF,
    "PathExistsGlob": SELF,
    "PathChanged": SELF | CLOSE_WRITE | CREATE | DELETE | MOVED_FROM | MOVED_TO,
    "PathModified": SELF | CLOSE_WRITE | CREATE | DELETE | MOVED_FROM | MOVED_TO | MODIFY,
    "DirectoryNotEmpty": SELF | CREATE | MOVED_TO,
}


class PathUnit:
    def __init__(self, text):
        (self.kind, self.path), = re.findall(r"(?m)^(Path\w+|DirectoryNotEmpty)=(.*)$", text)
        self.existed = False
        self.inotify = None
        self.is_good(True)
        self.watch()

    def watch(self):
        """Each part of the path closely until the next is there, then the path itself."""
        if self.inotify:
            os.close(self.inotify.fd)
        self.inotify, self.primary = Inotify(), None
        parts = self.path.strip("/").split("/")
        before = None
        for n in range(len(parts) + 1):
            path = "/" + "/".join(parts[:n])
            last = n == len(parts)
            try:
                watch = self.inotify.add(path, MASKS[self.kind] if last else PARENT)
            except OSError:
                break
            if before:
                self.inotify.add(before, MOVE_SELF)
            before = path
            if last:
                self.primary = watch

    def is_good(self, initial=False):
        if self.kind == "PathExistsGlob":
            return bool(glob.glob(self.path))
        if self.kind == "DirectoryNotEmpty":
            return os.path.isdir(self.path) and bool(os.listdir(self.path))
        exists = os.path.exists(self.path)
        changed, self.existed = exists != self.existed, exists
        return changed and (exists if self.kind == "PathExists" else not initial)

    def started(self, seconds=5.0):
        """Whether the service is started in that time; the unit then waits anew."""
        if self.kind in ("PathExists", "PathExistsGlob", "DirectoryNotEmpty") and self.is_good():
            return True
        while True:
            events = self.inotify.read(seconds)
            if not events:
                return False
            hit = self.kind in ("PathChanged", "PathModified") and any(
                e.watch == self.primary for e in events)
            self.watch()
            if hit or self.is_good():
                return True

    def calm(self):
        """What the change before has raised besides is over."""
        self.inotify.settle()
        self.watch()
        self.is_good()


@mount_only
def test_systemd_path_changed(m):
    unit = PathUnit(recipe(m, "A systemd path unit", 0))
    equal(unit.kind, "PathChanged")
    check(not unit.started(0.3), "started without a change")
    os.mkdir(m.path("app"))
    m.write("app/config", "1")
    check(unit.started(), "the key was made: not started")
    unit.calm()
    changes = {
        "a write": lambda: m.write("app/config", "2"),
        "an increment": lambda: m.set("app/config", "increment", "1"),
        "cas": lambda: m.set("app/config", "cas", m.get("app/config", "revision") + ":9"),
        "cubby set": lambda: subprocess.run([CUBBY, "set", m.path("app/config"), "4"],
                                            check=True),
        "a rename over": lambda: (m.write("app/new", "5"),
                                  os.rename(m.path("app/new"), m.path("app/config"))),
        "an expiry": lambda: m.set("app/config", "ttl", "0"),
        "being made again": lambda: m.write("app/config", "6"),
        "a removal": lambda: os.unlink(m.path("app/config")),
    }
    for what, change in changes.items():
        change()
        check(unit.started(), what + ": not started")
        unit.calm()
    check(not unit.started(0.3), "started without a change")


@mount_only
def test_systemd_path_changed_by_a_ttl_alone(m):
    """The TTL runs out while nobody does anything."""
    os.mkdir(m.path("app"))
    m.write("app/config", "1")
    m.set("app/config", "ttl", "0.7")
    unit = PathUnit(recipe(m, "A systemd path unit", 0))
    unit.calm()
    check(unit.started(), "it expired: not started")
    check(not os.path.exists(m.path("app/config")), "it is there")


@mount_only
def test_systemd_path_exists_glob(m):
    unit = PathUnit(recipe(m, "A systemd path unit", 1))
    equal(unit.kind, "PathExistsGlob")
    os.mkdir(m.path("jobs"))
    m.write("jobs/other", "1")
    check(not unit.started(0.5), "nothing matches yet")
    m.write("jobs/a.ready", "1")
    check(unit.started(), "the first job")
    check(unit.started(), "it is still there")
    m.set("jobs/a.ready", "ttl", "0")
    check(not unit.started(0.5), "there is none any more")
    os.rename(m.path("jobs/other"), m.path("jobs/b.ready"))
    check(unit.started(), "the second job")


# --- Node and Python ----------------------------------------


@contextlib.contextmanager
def script(m, heading, name, command, **environment):
    path = m.scratch.path(name)
    with open(path, "w") as f:
        f.write(recipe(m, heading))
    with Watcher(command + [path], env=dict(os.environ, **environment)) as w:
        yield w


@mount_only
def test_chokidar(m):
    need("node")
    if not os.path.isdir(os.path.join(NODE_MODULES, "chokidar")):
        raise Skip("chokidar is not in %s: './dev test' puts it there where there is npm"
                   % NODE_MODULES)
    os.mkdir(m.path("app"))
    m.write("app/k", "zero")
    with script(m, "Node: chokidar", "recipe.js", ["node"], NODE_PATH=NODE_MODULES) as w:
        w.watching(m.path("app", "k"))
        w.quiet(0.5)    # it scans first
        m.write("app/new", "one")
        w.expect(r"(?m)^add \S+/app/new ")
        m.write("app/k", "two")
        w.expect(r"(?m)^change \S+/app/k two$")
        w.quiet(0.3)
        m.write("app/k", "41")
        w.expect(r"(?m)^change \S+/app/k 41$")
        w.quiet(0.3)
        m.set("app/k", "increment", "1")
        w.expect(r"(?m)^change \S+/app/k 42$")
        w.quiet(0.3)
        m.set("app/new", "ttl", "0.2")
        w.expect(r"(?m)^unlink \S+/app/new")


@mount_only
def test_watchdog(m):
    if subprocess.run([SYSTEM_PYTHON, "-c", "import watchdog"], capture_output=True).returncode:
        raise Skip("python3-watchdog is not installed")
    os.mkdir(m.path("app"))
    with script(m, "Python: watchdog", "recipe.py", [SYSTEM_PYTHON]) as w:
        w.watching(m.path("app"))
        m.write("app/k", "one")
        w.expect(r"(?m)^set \S+/app/k one$")
        m.write("app/k", "41")
        w.expect(r"(?m)^set \S+/app/k 41$")
        m.set("app/k", "increment", "1")
        w.expect(r"(?m)^set \S+/app/k 42$")
        m.set("app/k", "ttl", "0.2")
        w.expect(r"(?m)^gone \S+/app/k$")


# --- cubby watch ----------------------------------------


def set_status(m, name, status):
    m.write(name, json.dumps({"status": status}))


def need_jq(m):
    if b"libjq" in subprocess.run([CUBBY, "watch", "--if", ".", "--timeout", "0", m.dir],
                                  capture_output=True).stderr:
        raise Skip("built without libjq")


@mount_only
def test_becomes_active(m):
    need_jq(m)
    os.mkdir(m.path("jobs"))
    set_status(m, "jobs/a", "waiting")
    with shell(m, "Only when a status becomes active") as w:
        w.streaming()
        for name, status in (("a", "waiting"), ("a", "active"), ("a", "active"), ("b", "new"),
                             ("a", "done"), ("b", "active"), ("a", "active"), ("c", "active")):
            set_status(m, "jobs/" + name, status)
        m.write("jobs/text", "active")      # no JSON object: neither matches nor fails
        set_status(m, "jobs/text", "active")
        m.write("elsewhere", '{"status": "active"}')
        m.set("jobs/b", "update", '[{"type": "set", "path": "status", "value": "new"}]')
        m.set("jobs/b", "update", '[{"type": "set", "path": "status", "value": "active"}]')
        os.unlink(m.path("jobs/a"))
        set_status(m, "jobs/last", "active")
        w.expect(r"(?m)^last is active since \d+$")
        equal(re.findall(r"(?m)^(\w+) is active", w.out), ["a", "b", "a", "c", "text", "b", "last"])
        equal(w.err, "", "complaints")


@mount_only
def test_wait_for_one(m):
    need_jq(m)
    os.mkdir(m.path("jobs"))
    m.write("jobs/backup", "1")
    with shell(m, "Wait for one event, in a script") as w:
        w.streaming()
        m.write("jobs/backup", "2")
        equal(w.quiet(0.3), "")
        m.set("jobs/backup", "ttl", "0.1")
        equal(w.wait(), 0, "exit code")
        equal(json.loads(w.out)["event_type"], "expired")


@mount_only
def test_plain_shell(m):
    os.mkdir(m.path("app"))
    with shell(m, "All changes, with nothing but a shell") as w:
        w.streaming()
        m.write("other", "1")
        m.write("app/mode", "fast")
        w.expect(r"(?m)^\{.*\}$")
        event = json.loads(w.out.splitlines()[0])
        equal((event["event_type"], event["scope"], event["key"], event["new_value"]),
              ("created", "app", "mode", "fast"))


@mount_only
def test_every_recipe_is_here(m):
    with open(os.path.join(ROOT, "docs", "recipes.md")) as f:
        headings = re.findall(r"(?m)^## (.*)$", f.read())
    with open(__file__) as f:
        source = f.read()
    for heading in headings:
        check('"%s"' % heading in source, "no test runs %r" % heading)


if __name__ == "__main__":
    main(globals())
