#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""kill -9 of the daemon in a storm: what was acknowledged is there after the
remount, and nothing else. (Promise 2; item 4 of the issue.)

Each writer has a namespace of its own and writes every operation to a log
outside the mount, before it begins and when it has returned. The tree must then
be what the acknowledged operations make of the tree before, with or without the
one that was under way: nothing lost, nothing torn, nothing of it half there.
"""
import json
import os
import random
import stat
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import Failure, check, deadline, equal, main, mount_only, options, wait_for
from crew import LONG, Crew, numbers
import values

ROUNDS = 20 if LONG else 5
WRITERS = 4
KILLED = 0


# The model: path -> node. A node is shared by the hard links to it.
def file_node(value=b""):
    return {"type": "file", "value": value, "mark": None}


def below(tree, path):
    return [p for p in tree if p.startswith(path + "/")]


def apply(tree, op):
    """What the operation does to the model."""
    kind, path = op["op"], op["path"]
    if kind == "set":
        node = tree.setdefault(path, file_node())
        node["value"] = values.make(op["seed"], op["size"])
        node["mark"] = op.get("mark", node["mark"])
    elif kind == "append":
        tree[path]["value"] += values.make(op["seed"], op["size"])
    elif kind == "exclusive":
        tree[path] = file_node()
    elif kind == "truncate":
        tree[path]["value"] = tree[path]["value"][:op["size"]]
    elif kind == "mark":
        tree[path]["mark"] = op["mark"]
    elif kind == "mkdir":
        tree[path] = {"type": "directory"}
    elif kind == "symlink":
        tree[path] = {"type": "symlink", "target": op["target"]}
    elif kind == "link":
        tree[path] = tree[op["from"]]
    elif kind in ("unlink", "rmdir"):
        del tree[path]
    elif kind == "rename":
        if tree.get(path) is not tree[op["from"]]:
            for old in [op["from"], *below(tree, op["from"])]:
                tree[path + old[len(op["from"]):]] = tree.pop(old)
    else:
        raise Failure("operation %r" % kind)


def carry_out(top, op):
    """The same on the mount. Returns when the system has acknowledged it."""
    kind, path = op["op"], os.path.join(top, op["path"])
    if kind == "set":
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        value = values.make(op["seed"], op["size"])
        half = (len(value) + 1) // 2        # bytes are staged: the mark goes with them
        os.write(fd, value[:half])
        if op.get("mark"):
            os.setxattr(fd, "user.mark", op["mark"].encode())
        os.write(fd, value[half:])
        if op["fsync"]:
            os.fsync(fd)
            return lambda: os.close(fd)
        os.close(fd)
    elif kind == "append":
        fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(fd, values.make(op["seed"], op["size"]))
        return lambda: os.close(fd)
    elif kind == "exclusive":
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        return lambda: os.close(fd)
    elif kind == "truncate":
        os.truncate(path, op["size"])
    elif kind == "mark":
        os.setxattr(path, "user.mark", op["mark"].encode())
    elif kind == "mkdir":
        os.mkdir(path)
    elif kind == "symlink":
        os.symlink(op["target"], path)
    elif kind == "link":
        os.link(os.path.join(top, op["from"]), path)
    elif kind == "unlink":
        os.unlink(path)
    elif kind == "rmdir":
        os.rmdir(path)
    elif kind == "rename":
        os.rename(os.path.join(top, op["from"]), path)
    return None


def choose(tree, rng):
    """An operation that succeeds on this tree."""
    def of_type(kind):
        return [p for p in tree if tree[p]["type"] == kind]
    files, directories = of_type("file"), of_type("directory")

    def fresh():
        return os.path.join(rng.choice([""] + directories), "n%x" % rng.getrandbits(48))

    def content(limit):
        return {"seed": rng.getrandbits(63), "size": values.any_size(rng, limit)}
    if len(files) < 5 or rng.random() < 0.35:
        op = {"op": "set", "path": rng.choice(files) if len(files) > 15 else fresh(),
              "fsync": rng.random() < 0.1, **content(1 << 16)}
        if rng.random() < 0.2:
            op["mark"] = "%x" % rng.getrandbits(32)
        return op
    file = rng.choice(files)
    kind = rng.choice(("set", "append", "append", "exclusive", "truncate", "mark", "mkdir",
                       "symlink", "link", "unlink", "unlink", "unlink", "rename", "rename",
                       "rename over", "rmdir", "rename directory"))
    if kind == "set":
        return {"op": "set", "path": file, "fsync": False, **content(1 << 20)}
    if kind == "append" and len(tree[file]["value"]) < 200000:
        return {"op": "append", "path": file, **content(2000)}
    if kind in ("exclusive", "mkdir") and len(tree) < 60:
        return {"op": kind, "path": fresh()}
    if kind == "truncate":
        return {"op": kind, "path": file, "size": len(tree[file]["value"]) // 2}
    if kind == "mark":
        return {"op": kind, "path": file, "mark": "%x" % rng.getrandbits(32)}
    if kind == "symlink" and len(tree) < 60:
        return {"op": kind, "path": fresh(), "target": "t%x" % rng.getrandbits(32)}
    if kind == "link" and len(tree) < 60:
        return {"op": kind, "path": fresh(), "from": file}
    if kind == "rename":
        return {"op": kind, "path": fresh(), "from": file}
    if kind == "rename over":
        return {"op": "rename", "path": rng.choice(files), "from": file}
    empty = [d for d in directories if not below(tree, d)]
    if kind == "rmdir" and empty:
        return {"op": kind, "path": rng.choice(empty)}
    if kind == "rename directory" and directories:
        return {"op": "rename", "path": "n%x" % rng.getrandbits(48),
                "from": rng.choice(directories)}
    return {"op": "unlink", "path": rng.choice(files + of_type("symlink"))}


def survey(top):
    """The tree that is there, in the terms of the model, links told by a number."""
    found = {}
    todo = [""]
    while todo:
        directory = todo.pop()
        for name in os.listdir(os.path.join(top, directory)):
            path = os.path.join(directory, name)
            full = os.path.join(top, path)
            st = os.lstat(full)
            if stat.S_ISDIR(st.st_mode):
                todo.append(path)
                found[path] = {"type": "directory"}
            elif stat.S_ISLNK(st.st_mode):
                found[path] = {"type": "symlink", "target": os.readlink(full)}
            else:
                with open(full, "rb") as f:
                    node = file_node(f.read())
                if "user.mark" in os.listxattr(full):
                    node["mark"] = os.getxattr(full, "user.mark").decode()
                node["links"] = st.st_nlink
                found[path] = node
    return found


def with_links(tree):
    """The model in the same terms."""
    count = {}
    for node in tree.values():
        count[id(node)] = count.get(id(node), 0) + 1
    return {path: dict(node, links=count[id(node)]) if node["type"] == "file" else node
            for path, node in tree.items()}


def copy(tree):
    """Deep, with the sharing kept."""
    twin = {}
    return {path: twin.setdefault(id(node), dict(node)) for path, node in tree.items()}


def difference(found, wanted):
    lines = ["missing %s" % p for p in wanted.keys() - found.keys()]
    lines += ["extra %s" % p for p in found.keys() - wanted.keys()]
    for path in found.keys() & wanted.keys():
        for field in wanted[path]:
            if found[path].get(field) != wanted[path][field]:
                lines.append("%s of %s: got %.60r, wanted %.60r" % (
                    field, path, found[path].get(field), wanted[path][field]))
    return lines


def storm(m, number, turn, tree, shared, log_path):
    """A writer. Ends when the daemon is gone. Returns how often it was acknowledged."""
    rng = random.Random("%d of %d" % (number, turn))
    top = m.path("w%d" % number)
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    acknowledged = 0
    try:
        while True:
            op = choose(tree, rng)
            os.write(log, (json.dumps(op) + "\n").encode())
            finish = carry_out(top, op)
            os.write(log, b"ok\n")
            acknowledged += 1
            shared[1 + number] = acknowledged
            apply(tree, op)
            if finish:
                finish()
    except OSError as e:
        if not shared[KILLED]:
            raise Failure("%s before the kill: %s" % (json.dumps(op), e))
    return acknowledged


def replay(tree, log_path):
    """The trees that may be there: one, or one more with what was under way."""
    with open(log_path) as f:
        lines = f.read().splitlines()
    after = copy(tree)
    under_way = None
    for line in lines:
        if line == "ok":
            apply(after, under_way)
            under_way = None
        else:
            under_way = json.loads(line)
    candidates = [after]
    if under_way:
        candidates.append(copy(after))
        apply(candidates[1], under_way)
    return candidates, under_way


def check_tree(m, number, candidates, under_way):
    """Returns the tree that is there."""
    found = survey(m.path("w%d" % number))
    for tree in candidates:
        if found == with_links(tree):
            return tree
    lines = difference(found, with_links(candidates[0]))
    raise Failure("writer %d: %d differences from what was acknowledged (%s was under way): %s"
                  % (number, len(lines), json.dumps(under_way), "; ".join(sorted(lines)[:10])))


@mount_only
@deadline(ROUNDS * 20 + 60)
@options("max_value=4M")
def test_kill_in_a_storm(m):
    rng = random.Random(1)
    trees = [{} for _ in range(WRITERS)]
    for number in range(WRITERS):
        os.mkdir(m.path("w%d" % number))
    total = 0
    for turn in range(ROUNDS):
        shared = numbers(1 + WRITERS)
        logs = [m.scratch.path("log.%d" % number) for number in range(WRITERS)]
        with Crew() as crew:
            for number in range(WRITERS):
                crew.fork(storm, m, number, turn, copy(trees[number]), shared, logs[number])
            wanted = rng.randrange(100, 3000)
            start = time.monotonic()
            wait_for(lambda: crew.look() and (sum(shared[1:]) >= wanted or (
                sum(shared[1:]) > 50 and time.monotonic() > start + 3)), 20, "the storm")
            shared[KILLED] = 1
            m.kill()
            total += sum(crew.join(20))
        start = time.monotonic()
        m.start()
        print("# round %d: %d acknowledged in all, mounted again in %.3f s"
              % (turn, total, time.monotonic() - start))
        for number in range(WRITERS):
            trees[number] = check_tree(m, number, *replay(trees[number], logs[number]))
        if turn % 3 == 2:       # a second replay changes nothing
            m.remount()
            for number in range(WRITERS):
                check_tree(m, number, [trees[number]], None)
    check(total > 100 * ROUNDS, "only %d operations in all" % total)


@mount_only
@deadline(ROUNDS * 15 + 60)
def test_kill_with_many_on_one_key(m):
    """All write the same key. What is there after the kill is whole, and no write was
    acknowledged that began after that one had ended."""
    os.mkdir(m.path("d"))
    m.write("d/k", values.make(0, 100))

    def write(number, turn, shared, log_path):
        rng = random.Random("%d of %d" % (number, turn))
        with open(log_path, "w") as log:
            try:
                while True:
                    seed = rng.getrandbits(62) | 1
                    value = values.make(seed, rng.randrange(100, 100000))
                    start = time.monotonic_ns()
                    log.write("%d %d -\n" % (seed, start))
                    log.flush()
                    fd = os.open(m.path("d/k"), os.O_WRONLY | os.O_TRUNC)
                    os.write(fd, value)
                    os.close(fd)
                    log.write("%d %d %d\n" % (seed, start, time.monotonic_ns()))
                    log.flush()
                    shared[1 + number] += 1
            except OSError as e:
                if not shared[KILLED]:
                    raise Failure("before the kill: %s" % e)

    version = 1
    for turn in range(ROUNDS):
        shared = numbers(1 + WRITERS)
        logs = [m.scratch.path("log.%d" % number) for number in range(WRITERS)]
        with Crew() as crew:
            for number in range(WRITERS):
                crew.fork(write, number, turn, shared, logs[number])
            wanted = random.Random(turn).randrange(50, 1000)
            wait_for(lambda: crew.look() and sum(shared[1:]) >= wanted, 20, "the storm")
            shared[KILLED] = 1
            m.kill()
            crew.join(20)
        m.start()
        value = m.read("d/k")
        check(values.flaw(value) is None, "torn: %s" % values.flaw(value))
        times = {}
        for path in logs:
            with open(path) as f:
                for line in f:
                    seed, start, end = line.split()
                    times[int(seed)] = (int(start), None if end == "-" else int(end))
        seed = values.seed_of(value)
        acknowledged = [s for s, (_, end) in times.items() if end is not None]
        check(seed in times, "an old value, of before the storm: %d" % seed)
        end = times[seed][1]
        later = [s for s in acknowledged if end is not None and times[s][0] > end]
        equal(later, [], "writes acknowledged after the one that is there")
        now = int(m.get("d/k", "version"))
        check(version + len(acknowledged) <= now <= version + len(times),
              "version %d after %d, with %d acknowledged of %d"
              % (now, version, len(acknowledged), len(times)))
        version = now


@mount_only
@deadline(120)
def test_staged_bytes_die_with_the_daemon(m):
    """What no close and no fsync has committed is not there, and the old value is."""
    m.write("k", "old")
    kept = os.open(m.path("k"), os.O_WRONLY | os.O_TRUNC)
    os.write(kept, b"staged")
    new = os.open(m.path("new"), os.O_WRONLY | os.O_CREAT)
    os.write(new, b"staged")
    synced = os.open(m.path("synced"), os.O_WRONLY | os.O_CREAT)
    os.write(synced, b"synced")
    os.fsync(synced)
    os.write(synced, b" and more")
    appended = os.open(m.path("appended"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(appended, b"appended")
    exclusive = os.open(m.path("exclusive"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(exclusive, b"staged")
    m.kill()
    for fd in (kept, new, synced, appended, exclusive):
        try:
            os.close(fd)
        except OSError:
            pass
    m.start()
    equal(m.read("k"), b"old", "value")
    check(not os.path.lexists(m.path("new")), "a key whose making nobody finished")
    equal(m.read("synced"), b"synced", "value after fsync")
    equal(m.read("appended"), b"appended", "value after an append")
    equal(m.read("exclusive"), b"", "value of what was made exclusively")


@mount_only
@deadline(120)
def test_kill_right_after_close(m):
    """The close has returned and the next thing is the kill."""
    for turn in range(ROUNDS * 2):
        value = values.make(turn + 1, (1 << 20) - turn)
        m.write("k", value)
        revision = m.get("k", "revision")
        m.kill()
        m.start()
        equal(m.read("k"), value, "value")
        equal(m.get("k", "revision"), revision, "revision")
        os.rename(m.path("k"), m.path("k%d" % turn))
        m.kill()
        m.start()
        check(not os.path.lexists(m.path("k")), "the rename is lost")
        equal(m.read("k%d" % turn), value, "value")


if __name__ == "__main__":
    main(globals())
