#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""Promise 6 under load: a lock has at most one holder at any moment, and its token only
grows. 16 processes take a few names by every way of exclusive creation, refresh them,
oversleep, release them, and write down what they know; the log is judged afterwards.
(Done when, 3.)

What can be said from outside. A call takes effect at one moment between its beginning
and its return, and nobody but the daemon knows which. So, by one clock that does not
stop (CLOCK_BOOTTIME, the same for all processes and the daemon):

- a hold lasts for sure from the return of the call that took it until the TTL after the
  beginning of the last successful call that took or refreshed it, or the beginning of the
  release, whichever is earlier. (A call that took longer than the TTL has given a hold
  that is sure at no moment.)
- Two sure holds of a name never overlap. That is all that can be said of two holds without
  tokens; it may seem that no other acquisition may return within a sure hold, but one that was
  made before, and lost, may return then.
- Tokens say which came first. An acquisition with a greater token cannot have returned before
  the end of a sure hold with a smaller one. One that began after another had returned has the
  greater token. No two have the same.
- What refreshes or releases with its token within the sure hold must succeed; and must not
  after the hold's last possible end: the TTL after the return of the last call.
- A name that was taken or refreshed by nobody for longer than the TTL is free.

Symlinks have no attributes, so their holders know no token, and refresh and remove by name.
Who does that too late does it to the next holder, whatever the lock service (which is what
tokens are for). A refresh by name counts if it has returned within the sure hold; a removal that
has not is a stray one, and ends for the judge the hold that it may have hit.

CUBBY_LONG=1 for a minute of it; CUBBY_SEED=N to repeat the choices.
"""
import collections
import errno
import json
import os
import random
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import check, deadline, equal, main, mount_only
from crew import LONG, Crew
from inotify import DELETE, Inotify
from test_lockfile import CUBBY, RENAME_NOREPLACE, exclusive, fresh, now, renameat2

PROCESSES = 16
SECONDS = 60 if LONG else 9
TTL = 0.12
SEED = int(os.environ.get("CUBBY_SEED", time.time_ns() % 1000000))
# of a float of the clock, and of its reading in another process
ROUNDING = 1e-6
# left of a sure hold when something is removed by name
CARE = 0.03


# --- the judge -----------------------------------------------------------------------------

# One line of the log, JSON:
#   hold     name way pid token|null asked got sure      sure: the end of the sure hold
#   refused  name of from to sure                        to the holder, in his sure hold
#   late     name of from last                           succeeded after the last possible end
#   stray    name from to                                a removal that may have hit another's
#   keep     name from to                                a successful refresh, whoever's it was
#   held     name from to                                EEXIST


def faults_of_overlap(holds):
    """Two sure holds that have a moment in common. Empty ones have none."""
    last = None
    for h in sorted((h for h in holds if h["sure"] > h["got"]), key=lambda h: h["got"]):
        if last and h["got"] < last["sure"] - ROUNDING:
            yield "two hold %s: %s and %s" % (h["name"], last, h)
        if not last or h["sure"] > last["sure"]:
            last = h


def faults_of_tokens(holds):
    holds = sorted((h for h in holds if h["token"] is not None), key=lambda h: h["token"])
    before = None
    for a, b in zip(holds, holds[1:]):
        if a["token"] == b["token"]:
            yield "two with one token: %s and %s" % (a, b)
        if before is None or a["sure"] > before["sure"]:
            before = a
        if before["sure"] > b["got"] + ROUNDING:
            yield "held when it was taken with a greater token: %s and %s" % (before, b)
    # by time: who began after another had returned
    returned = sorted(holds, key=lambda h: h["got"])
    at, greatest = 0, None
    for h in sorted(holds, key=lambda h: h["asked"]):
        while returned[at]["got"] < h["asked"] - ROUNDING:
            if greatest is None or returned[at]["token"] > greatest["token"]:
                greatest = returned[at]
            at += 1
        if greatest and greatest["token"] >= h["token"]:
            yield "the token has not grown: %s and %s" % (greatest, h)


def faults_of_endurance(name, holds, keeps, held, ttl):
    """Held, though nobody can have held it."""
    # (what it may last from, and until) of all that may have begun a TTL
    spans = sorted([(h["asked"], h["got"] + ttl) for h in holds]
                   + [(k["from"], k["to"] + ttl) for k in keeps])
    at, until = 0, float("-inf")
    for e in sorted(held, key=lambda e: e["to"]):
        while at < len(spans) and spans[at][0] <= e["to"] + ROUNDING:
            until = max(until, spans[at][1])
            at += 1
        if until < e["from"] - ROUNDING:
            yield "%s is held, %.6f s after its last possible end: %s" % (
                name, e["from"] - until, e)


def judge(records, ttl):
    """What is wrong with a log."""
    faults = []
    by_name = collections.defaultdict(lambda: collections.defaultdict(list))
    for r in records:
        by_name[r["name"]][r["what"]].append(dict(r))
    for name, of in by_name.items():
        strays = of["stray"]
        for h in of["hold"]:
            for s in strays:
                if s["to"] >= h["asked"]:
                    h["sure"] = min(h["sure"], s["from"])
        faults += faults_of_overlap(of["hold"])
        faults += faults_of_tokens(of["hold"])
        faults += faults_of_endurance(name, of["hold"], of["keep"], of["held"], ttl)
        for r in of["refused"]:
            if not any(s["from"] <= r["to"] for s in strays):
                faults.append("refused while it is held: %s" % r)
        for r in of["late"]:
            # others may have kept it, by its name
            last = max([r["last"]] + [k["to"] + ttl for k in of["keep"] if k["from"] <= r["from"]])
            if r["from"] > last + ROUNDING:
                faults.append("granted after its last possible end: %s" % r)
    return faults


def hold(token, asked, got, sure, name="n", **more):
    return {"what": "hold", "name": name, "token": token, "asked": asked, "got": got, "sure": sure,
            **more}


def test_judge(_):
    """The judge finds what is wrong in a log, and lets pass what only looks wrong."""
    good = [hold(1, 0.0, 0.1, 1.0), hold(3, 1.0, 1.1, 2.0), hold(7, 1.2, 2.1, 2.2)]
    fine = {
        "nothing wrong": good,
        "other names": good + [hold(2, 0.0, 0.1, 2.0, "o")],
        "taken and lost, and returned within the next one's hold":
            [hold(1, 0.0, 1.5, 1.0), hold(2, 1.1, 1.2, 2.1)],
        "the same, without tokens": [hold(None, 0.0, 1.5, 1.0), hold(None, 1.1, 1.2, 2.1)],
        "two calls at once": [hold(2, 0.0, 1.0, 1.0), hold(1, 0.1, 0.2, 0.3)],
        "a stray removal": [hold(1, 0.0, 0.1, 1.0), hold(2, 0.3, 0.4, 1.0),
                            {"what": "stray", "name": "n", "from": 0.2, "to": 0.3}],
        "held as long as it may be": good + [
            {"what": "held", "name": "n", "from": 3.0, "to": 3.1},
            {"what": "keep", "name": "n", "from": 2.9, "to": 3.0},
            {"what": "held", "name": "n", "from": 3.99, "to": 3.995}],
        "kept by a stranger, who touched its name": good + [
            {"what": "keep", "name": "n", "from": 2.3, "to": 2.4},
            {"what": "late", "name": "n", "from": 3.3, "last": 2.5}],
    }
    for what, records in fine.items():
        equal(judge(records, 1.0), [], what)
    wrong = {
        "an overlap": good + [hold(2, 0.4, 0.5, 0.6)],
        "an overlap without tokens": good + [hold(None, 0.4, 0.5, 0.6)],
        "an overlap with a long one before": good + [hold(None, 1.5, 1.6, 1.7),
                                                     hold(None, 1.3, 1.4, 1.45)],
        "returned in a sure hold, with a greater token": [hold(1, 0.0, 0.1, 1.0),
                                                          hold(2, 0.0, 0.2, 0.1)],
        "a token twice": good + [hold(7, 2.3, 2.4, 2.5)],
        "a token that shrinks": good + [hold(6, 2.3, 2.4, 2.5)],
        "refused": good + [{"what": "refused", "name": "n", "from": 0.5, "to": 0.6, "sure": 1.0}],
        "late": good + [{"what": "late", "name": "n", "from": 2.5, "last": 2.4}],
        "never freed": good + [{"what": "held", "name": "n", "from": 3.2, "to": 3.3}],
    }
    for what, records in wrong.items():
        for order in (records, records[::-1], sorted(records, key=str)):
            check(judge(order, 1.0), "not found: " + what)


# --- the processes ----------------------------------------------------------------------------

def take_exclusive(m, path, temporary):
    os.close(exclusive(path))


def take_written(m, path, temporary):
    fd = exclusive(path)
    os.write(fd, b"%d\n" % os.getpid())
    try:
        os.close(fd)
    except OSError as e:        # it was slow, and has lost it already
        equal(e.errno, errno.ESTALE, "close")


def take_directory(m, path, temporary):
    os.mkdir(path)


def take_mknod(m, path, temporary):
    os.mknod(path, stat.S_IFREG | 0o600)


def take_link(m, path, temporary):
    os.link(temporary, path)


def take_symlink(m, path, temporary):
    os.symlink("%d" % os.getpid(), path)


def take_rename(m, path, temporary):
    renameat2(temporary, path, RENAME_NOREPLACE)


WAYS = {f.__name__[5:]: f for f in (take_exclusive, take_written, take_directory, take_mknod,
                                    take_link, take_symlink, take_rename)}


class Log:
    """Outside of the mount; one write(2), at the end of the file, for each line."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, what, **of):
        os.write(self.fd, json.dumps({"what": what, **of}).encode() + b"\n")


class Worker:
    def __init__(self, m, log, names, seed, counts):
        self.m, self.log, self.names, self.counts = m, log, names, counts
        self.random = random.Random(seed)
        self.source = m.path("source" + fresh())

    # what is known of the hold under way: name, way, token, asked, got; and
    # sure (its sure end, if nothing more is done) and last (its last possible one)

    def count(self, what):
        self.counts[what] += 1

    def run(self, until):
        with Inotify() as self.inotify:
            self.inotify.add(self.m.path("locks"), DELETE)
            while now() < until:
                self.name = self.random.choice(self.names)
                self.path = self.m.path("locks", self.name)
                if self.acquire(until):
                    try:
                        self.keep()
                    finally:
                        self.log.say("hold", name=self.name, way=self.way, pid=os.getpid(),
                                     token=self.token, asked=self.asked, got=self.got,
                                     sure=self.sure)
        return dict(self.counts)

    def acquire(self, until):
        """Tries until it has the name, or is at the end."""
        self.way = self.random.choice(list(WAYS))
        if self.way in ("link", "rename") and not os.path.exists(self.source):
            with open(self.source, "w") as f:
                f.write("source")
        while now() < until:
            self.asked = now()
            try:
                WAYS[self.way](self.m, self.path, self.source)
            except FileExistsError:
                self.count("refused")
                if self.random.random() < 0.3:
                    self.log.say("held", **{"name": self.name, "from": self.asked, "to": now()})
                self.wait()
                continue
            self.got = now()
            self.sure, self.last = self.asked + TTL, self.got + TTL
            self.ended = False
            if self.way == "link":      # one name is what is held
                os.unlink(self.source)
            self.count("acquired")
            self.count("by " + self.way)
            self.token = self.read_token()
            return True
        return False

    def wait(self):
        """For the end of the lock, as a program with inotify does; or for a moment."""
        if self.random.random() < 0.3:
            self.inotify.until(lambda e: e.name == self.name.encode(), 0.05)
        else:
            time.sleep(self.random.uniform(0.002, 0.015))

    def read_token(self):
        """By its name, so it is this one's only if it has been read within the sure hold."""
        if self.way == "symlink":
            return None
        try:
            token = int(os.getxattr(self.path, CUBBY + "token"))
        except OSError as e:
            # gone; or the next is a symlink, or has been removed in between
            check(e.errno in (errno.ENOENT, errno.ENODATA, errno.EPERM, errno.EOPNOTSUPP), str(e))
            token = None
        end = now()
        if end < self.sure - ROUNDING:
            if token is None:
                self.log.say("refused", **{"name": self.name, "from": self.got, "to": end,
                                           "sure": self.sure, "why": "no token"})
            return token
        self.count("too slow to know its token")
        return None

    def keep(self):
        r = self.random
        for _ in range(r.choice((0, 0, 0, 0, 0, 1, 1, 3))):
            if self.ended:
                return
            # mostly in time; sometimes at the last moment, sometimes too late
            time.sleep(TTL * r.choice((0.03, 0.1, 0.3, 0.5, 0.9, 1, 1.1)) * r.uniform(0.8, 1.05))
            self.refresh()
        if self.ended:
            return
        time.sleep(TTL * r.choice((0, 0, 0, 0, 0.03, 0.1, 0.5, 0.95, 1.2)) * r.uniform(0.8, 1.05))
        how = r.random()
        if how < 0.1:
            self.count("left to expire")
        elif how < 0.3 or self.token is None:
            self.remove()
        else:
            self.release()

    def by_token(self, attribute):
        """Returns the moments and whether it succeeded."""
        start = now()
        try:
            os.setxattr(self.path, CUBBY + attribute, b"%d" % self.token)
            done = True
        except OSError as e:
            # the next holder's is a symlink: the VFS says EPERM
            check(e.errno in (errno.ESTALE, errno.ENOENT, errno.EPERM), "%s: %s" % (attribute, e))
            done = False
        end = now()
        if done and start > self.last + ROUNDING:
            self.log.say("late", **{"name": self.name, "of": attribute, "from": start,
                                    "last": self.last, "token": self.token})
        if not done and end < self.sure - ROUNDING:
            self.log.say("refused", **{"name": self.name, "of": attribute, "from": start, "to": end,
                                       "sure": self.sure, "token": self.token})
        return start, end, done

    def refresh(self):
        if self.token is not None and self.random.random() < 0.7:
            start, end, done = self.by_token("refresh")
            self.count("refreshed" if done else "lost")
            if done:
                self.log.say("keep", **{"name": self.name, "from": start, "to": end})
                self.sure, self.last = start + TTL, end + TTL
            else:
                self.ended = True
            return
        # by name: it may be another's by now, and that is kept alive then
        start = now()
        try:
            os.utime(self.path, follow_symlinks=False)
        except FileNotFoundError:
            end = now()
            if end < self.sure - ROUNDING:
                self.log.say("refused", **{"name": self.name, "of": "utime", "from": start,
                                           "to": end, "sure": self.sure})
            self.count("lost")
            self.ended = True
            return
        end = now()
        self.log.say("keep", **{"name": self.name, "from": start, "to": end})
        self.last = max(self.last, end + TTL)
        if end < self.sure - ROUNDING:
            self.count("refreshed by name")
            self.sure = start + TTL
        else:
            self.count("refreshed something")

    def release(self):
        start, _, done = self.by_token("release")
        self.count("released" if done else "lost")
        if done:
            self.sure = min(self.sure, start)
        self.ended = True

    def remove(self):
        """By name, with care: if it is late it may remove another's."""
        start = now()
        self.ended = True
        if start > self.sure - CARE:
            self.count("left to expire")
            return
        try:
            (os.rmdir if self.way == "directory" else os.unlink)(self.path)
            removed = True
        except OSError as e:
            # gone, or another's by now, and of another kind
            check(e.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR), "removal: %s" % e)
            removed = False
        end = now()
        if end < self.sure - ROUNDING:
            self.count("removed")
            if not removed:
                self.log.say("refused", **{"name": self.name, "of": "removal", "from": start,
                                           "to": end, "sure": self.sure})
        elif removed:
            self.count("stray")
            self.log.say("stray", **{"name": self.name, "from": start, "to": end})
        self.sure = min(self.sure, start)


def read_log(path):
    with open(path) as f:
        return [json.loads(line) for line in f]


def doctored(records, r):
    """One more hold, in the middle of a sure one: with a token and without."""
    sure = [h for h in records if h["what"] == "hold" and h["sure"] > h["got"] + 0.02]
    check(len(sure) > 20, "%d sure holds are too few" % len(sure))
    for h in r.sample(sure, 20):
        third = (h["sure"] - h["got"]) / 3
        yield dict(h, pid=0, token=None, asked=h["got"] + third, got=h["got"] + third,
                   sure=h["sure"] - third)
        if h["token"] is not None:
            # a call that returned within it, without a sure hold of its own
            yield dict(h, pid=0, token=h["token"] + 0.5, asked=h["got"], got=h["got"] + third,
                       sure=h["got"])


@mount_only
@deadline(400)
def test_model(m):
    print("# CUBBY_SEED=%d, %d processes, %g s, TTL %g s" % (SEED, PROCESSES, SECONDS, TTL))
    m.set("locks", "lock_ttl", TTL)
    names = ["one", "two", "three"]
    path = m.scratch.path("acquisitions")
    log = Log(path)
    choices = random.Random(SEED)
    until = now() + SECONDS
    with Crew() as crew:
        for n in range(PROCESSES):
            # half of them work on one name only
            mine = names[:1] if n % 2 else names
            crew.fork(Worker(m, log, mine, choices.getrandbits(64), collections.Counter()).run,
                      until)
        counts = collections.Counter()
        for each in crew.join(SECONDS + 60):
            counts.update(each)
    records = read_log(path)
    of = collections.Counter(r["what"] for r in records)
    print("# %s" % ", ".join("%d %s" % (n, what) for what, n in sorted(counts.items())))
    print("# in the log: %s" % ", ".join("%d %s" % (n, what) for what, n in sorted(of.items())))
    equal(of["hold"], counts["acquired"], "lines for acquisitions")
    faults = judge(records, TTL)
    for text in faults[:20]:
        print("# " + text)
    equal(len(faults), 0, "faults")
    for way in WAYS:
        check(counts["by " + way] > 0, "nobody has taken it by " + way)
    for what in ("refreshed", "lost", "released", "removed"):
        check(counts[what] > SECONDS / 3, "too few have %s it: %d" % (what, counts[what]))
    check(counts["stray"] <= counts["acquired"] / 20,
          "%d stray removals: this machine is too slow to tell much" % counts["stray"])
    blind = 0
    for extra in doctored(records, choices):
        blind += not judge(records + [extra], TTL)
    # one may have lain in what a stray removal excuses
    check(blind <= counts["stray"], "%d of the overlaps that were added are not found" % blind)


if __name__ == "__main__":
    main(globals())
