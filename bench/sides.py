# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""The sides that are measured: how each is started, filled, and stopped.

All live in one private directory. A side that cannot be had says why (Absent), and is
left out. What is started here is stopped here, whatever happens (Bench.close)."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SIZES = {100: 1000, 4096: 1000, 1 << 20: 16}     # of values: how many keys


class Absent(Exception):
    pass


class Failed(Exception):
    pass


def is_mounted(directory):
    with open("/proc/self/mountinfo") as f:
        return any(line.split()[4] == directory for line in f)


def type_of(directory):
    """The type of the file system that a directory is on."""
    best = ("", "unknown")
    path = os.path.realpath(directory)
    with open("/proc/self/mountinfo") as f:
        for line in f:
            words = line.split()
            point = words[4]
            if (path + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
                best = (point, words[words.index("-") + 1])
    return best[1]


def wait_until(condition, what, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed("%s: not within %g s" % (what, seconds))
        time.sleep(0.005)


def family(pid):
    """A process and all that it has forked."""
    pids = [pid]
    for parent in pids:
        try:
            with open("/proc/%d/task/%d/children" % (parent, parent)) as f:
                pids += [int(word) for word in f.read().split()]
        except OSError:
            pass
    return pids


def written(pid):
    """How often the process and its offspring have called write(2): a daemon answers each
    request with one."""
    total = 0
    for one in family(pid):
        with open("/proc/%d/io" % one) as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("syscw:"))
    return total


def memory(pid, field="VmRSS:"):
    total = 0
    for one in family(pid):
        with open("/proc/%d/status" % one) as f:
            total += sum(int(line.split()[1]) << 10 for line in f if line.startswith(field))
    return total


def bytes_in(directory):
    return sum(entry.stat().st_size for entry in os.scandir(directory) if entry.is_file())


class Bench:
    """The directory, the programs, and what has been started."""

    def __init__(self, build, base):
        self.build = build
        self.top = tempfile.mkdtemp(prefix="cubbybench.", dir=base)
        self.driver = os.path.join(build, "bench", "cubby-bench")
        self.processes = []
        self.mounts = []
        self.stores = {}
        self.log = open(self.path("log"), "ab")

    def path(self, *names):
        return os.path.join(self.top, *names)

    def directory(self, *names):
        path = self.path(*names)
        os.makedirs(path, exist_ok=True)
        return path

    def program(self, *names):
        return os.path.join(self.build, *names)

    def spawn(self, command, **more):
        p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                             stderr=self.log, **more)
        self.processes.append(p)
        return p

    def stop(self, process, seconds=60):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.processes.remove(process)

    def run(self, command, what):
        r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
        if r.returncode != 0:
            raise Failed("%s: %s" % (what, r.stderr.strip() or r.returncode))
        return r.stdout

    def fill_store(self, store, directory, prefix, count, size):
        self.run([self.program("bench", "fill-store"), store, directory, prefix, str(count),
                  str(size)], "fill-store")

    def store_of(self, count):
        """A store of that many keys of 100 bytes, made once."""
        if count not in self.stores:
            store = self.path("store-%d" % count)
            self.fill_store(store, "", "100", count, 100)
            self.stores[count] = store
        return self.stores[count]

    def mount(self, store, directory, *options):
        m = Mount(self, store, directory, options)
        self.mounts.append(m)
        return m

    def read_log(self):
        self.log.flush()
        with open(self.path("log"), errors="replace") as f:
            return f.read()[-2000:]

    def close(self):
        for m in list(reversed(self.mounts)):
            m.unmount(lazily=True)
        for p in list(reversed(self.processes)):
            self.stop(p, 10)
        with open("/proc/self/mountinfo") as f:
            left = [line.split()[4] for line in f if line.split()[4].startswith(self.top + "/")]
        for point in reversed(left):
            subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL)
        self.log.close()
        shutil.rmtree(self.top, ignore_errors=True)


class Mount:
    """cubbyfs on a directory. `seconds`: from the start of the program until it has said
    that it answers (as it tells systemd) and a call has been answered."""

    def __init__(self, bench, store, directory, options=()):
        self.bench = bench
        self.dir = directory
        self.store = store
        os.makedirs(directory, exist_ok=True)
        command = [bench.program("fs", "cubbyfs"), store, directory, "-f"]
        if options:
            command += ["-o", ",".join(options)]
        name = bench.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(name)
            s.settimeout(0.5)
            start = time.perf_counter()
            self.process = bench.spawn(command, env=dict(os.environ, NOTIFY_SOCKET=name))
            try:
                self._await(s)
            finally:
                os.unlink(name)
            os.stat(directory)
            os.statvfs(directory)
            self.seconds = time.perf_counter() - start

    def _await(self, s):
        while True:
            try:
                if b"READY=1" in s.recv(4096):
                    return
            except socket.timeout:
                if self.process.poll() is not None:
                    raise Failed("cubbyfs has not started: " + self.bench.read_log())

    @property
    def pid(self):
        return self.process.pid

    def unmount(self, lazily=False):
        if is_mounted(self.dir):
            subprocess.run(["umount"] + ["-l"] * lazily + [self.dir], stderr=subprocess.DEVNULL)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass    # another mount namespace has a copy
        self.bench.stop(self.process)
        self.bench.mounts.remove(self)


class Side:
    """`driver`: what cubby-bench calls it; None: it only takes part in the shell's rows."""
    key = label = guarantee = driver = None
    directory = False   # it is one, seen through the kernel
    listed = True       # it takes part in the rows of ls

    def __init__(self, bench):
        self.bench = bench

    def start(self):
        pass

    def fill(self, groups, lists):
        """Makes the keys that these groups of rows need."""
        for size, count in SIZES.items():
            if size == 100 or "get" in groups:
                self.fill_one(self.where("main"), str(size), count, size)
        for count in lists:
            self.make("l%d" % count)
            self.fill_one(self.where("l%d" % count), "100", count, 100)

    def make(self, purpose):
        if self.directory:
            os.makedirs(self.where(purpose), exist_ok=True)

    def fill_one(self, where, prefix, count, size):
        self.bench.run([self.bench.driver, "fill", self.driver, where, "prefix=" + prefix,
                        "keys=%d" % count, "size=%d" % size], self.key)

    def where(self, purpose):
        raise NotImplementedError

    def stop(self):
        pass

    def pid(self):
        """Of the daemon whose answers are counted, or None."""
        return None

    def requests(self):
        """How many its daemon has answered so far; None if there is none that says."""
        return None if self.pid() is None else written(self.pid())

    def shell(self):
        """(get, set) as a script says it, in turn $i."""
        return None

    def before_shell(self):
        """Makes what shell() sets durable, where that is the connection's to say."""


class Directory(Side):
    driver = "files"
    directory = True
    top = None

    def where(self, purpose):
        return self.top if purpose == "main" else os.path.join(self.top, purpose)

    def shell(self):
        key = os.path.join(self.top, "100-00000007")
        return "cat %s" % key, "echo value-$i >%s" % key


class Cubbyfs(Directory):
    key = label = "cubbyfs"
    guarantee = "whole values; survives the daemon at once, a power cut after 1 s or fsync"
    options = ()

    def start(self):
        self.store = self.bench.path(self.key + ".store")
        self.top = self.bench.directory(self.key)
        self.mount = None

    def fill(self, groups, lists):
        for size, count in SIZES.items():
            if size == 100 or "get" in groups:
                self.bench.fill_store(self.store, "", str(size), count, size)
        for count in lists:
            self.bench.fill_store(self.store, "l%d" % count, "100", count, 100)
        self.mount = self.bench.mount(self.store, self.top, *self.options)

    def pid(self):
        return self.mount.pid

    def requests(self):
        with open(os.path.join(self.top, ".cubby", "stats")) as f:
            return json.load(f)["requests"]


class CubbyfsSync(Cubbyfs):
    key = "cubbyfs-sync"
    label = "cubbyfs -o sync"
    guarantee = "whole values; close returns when it survives a power cut"
    options = ("sync",)
    listed = False


class Floor(Directory):
    key = "floor"
    label = "FUSE floor"
    guarantee = "none: answers at once, keeps nothing; nothing cached"
    words = ()

    def start(self):
        self.top = self.bench.directory(self.key)
        self.process = self.bench.spawn(
            [self.bench.program("bench", "floor"), *self.words, self.top])
        wait_until(lambda: is_mounted(self.top) or self.process.poll() is not None, self.key)
        if self.process.poll() is not None:
            raise Absent("the floor has not started")

    def fill(self, groups, lists):
        pass

    def pid(self):
        return self.process.pid

    def shell(self):
        return None


class FloorCached(Floor):
    key = "floor-cached"
    label = "FUSE floor, names cached"
    guarantee = "none: answers at once, keeps nothing; names and attributes cached"
    words = ("-t", "3600")


class Disk(Directory):
    key = "disk"
    guarantee = "a reader may see half a value; a power cut may leave half of one"

    def start(self):
        self.top = self.bench.directory("disk")
        self.label = type_of(self.top)


class DiskRenamed(Disk):
    """Takes part only in rows of durable sets: what it costs ext4 to promise the same."""
    key = "disk-renamed"
    driver = "renamed-files"
    guarantee = "whole values (temporary file, fsync, rename)"
    listed = False

    def start(self):
        self.top = self.bench.directory("disk-renamed")
        self.label = type_of(self.top) + ", renamed"

    def shell(self):
        return None


class Tmpfs(Directory):
    key = label = "tmpfs"
    guarantee = "memory: nothing survives the machine"

    def start(self):
        self.top = self.bench.directory(self.key)
        r = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.top], stderr=subprocess.PIPE,
                           text=True)
        if r.returncode != 0:
            raise Absent("tmpfs cannot be mounted: " + r.stderr.strip())


class Bindfs(Directory):
    key = "bindfs"
    label = "bindfs on tmpfs"
    guarantee = "tmpfs' through FUSE (libfuse's high-level interface)"

    def start(self):
        if not shutil.which("bindfs"):
            raise Absent("bindfs is not installed")
        self.below = self.bench.directory("bindfs.tmpfs")
        self.top = self.bench.directory(self.key)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", self.below], check=True)
        self.process = self.bench.spawn(["bindfs", "-f", self.below, self.top])
        wait_until(lambda: is_mounted(self.top) or self.process.poll() is not None, self.key)
        if self.process.poll() is not None:
            raise Absent("bindfs has not started")

    def make(self, purpose):
        os.makedirs(os.path.join(self.below, purpose), exist_ok=True)

    def fill_one(self, where, prefix, count, size):
        super().fill_one(self.below + where[len(self.top):], prefix, count, size)


class Sqlite(Side):
    key = driver = "sqlite"
    label = "SQLite"
    guarantee = "WAL; synchronous=FULL where it is to be durable, else NORMAL"

    def start(self):
        r = subprocess.run([self.bench.driver, "get", "sqlite", ":memory:", "calls=0"],
                           stderr=subprocess.PIPE)
        if r.returncode == 3:
            raise Absent("built without libsqlite3")
        self.bench.directory("sqlite")

    def where(self, purpose):
        return self.bench.path("sqlite", purpose + ".db")

    def shell(self):
        if not shutil.which("sqlite3"):
            return None
        base = "sqlite3 %s " % self.where("main")
        return (base + "\"SELECT v FROM kv WHERE k = '100-00000007'\"",
                base + "\"PRAGMA synchronous = FULL; "
                "UPDATE kv SET v = 'value-$i' WHERE k = '100-00000007'\"")


class Redis(Side):
    key = driver = "redis"
    label = "Redis"
    guarantee = "appendfsync always where it is to be durable, else everysec"
    databases = {"main": 0, "l1000": 1, "l100000": 2}

    def start(self):
        r = subprocess.run([self.bench.driver, "get", "redis", "none", "calls=0"],
                           stderr=subprocess.PIPE)
        if r.returncode == 3:
            raise Absent("built without libhiredis")
        if not shutil.which("redis-server"):
            raise Absent("redis-server is not installed")
        self.dir = self.bench.directory("redis")
        self.socket = self.bench.path("redis", "socket")
        self.process = self.bench.spawn(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.dir,
             "--appendonly", "yes", "--appendfsync", "always", "--save", "",
             "--daemonize", "no", "--auto-aof-rewrite-percentage", "0"])
        wait_until(lambda: os.path.exists(self.socket) or self.process.poll() is not None,
                   self.key)
        if self.process.poll() is not None:
            raise Absent("redis-server has not started")

    def where(self, purpose):
        return "%s:%d" % (self.socket, self.databases[purpose])

    def before_shell(self):
        self.bench.run(["redis-cli", "-s", self.socket, "config", "set", "appendfsync",
                        "always"], "redis-cli")

    def shell(self):
        if not shutil.which("redis-cli"):
            return None
        base = "redis-cli -s %s " % self.socket
        return base + "get 100-00000007", base + "set 100-00000007 value-$i"


class Etcd(Side):
    key = label = "etcd"
    guarantee = "each put is synced to its log"

    def start(self):
        if not shutil.which("etcd") or not shutil.which("etcdctl"):
            raise Absent("etcd and etcdctl are not installed")
        ports = []
        with socket.socket() as a, socket.socket() as b:
            for s in (a, b):
                s.bind(("127.0.0.1", 0))
                ports.append(s.getsockname()[1])
        client, peer = ("http://127.0.0.1:%d" % port for port in ports)
        self.endpoint = client
        self.process = self.bench.spawn(
            ["etcd", "--data-dir", self.bench.path("etcd"), "--listen-client-urls", client,
             "--advertise-client-urls", client, "--listen-peer-urls", peer,
             "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer])
        wait_until(self._answers, self.key, 30)
        if self.process.poll() is not None:
            raise Absent("etcd has not started")

    def _answers(self):
        return self.process.poll() is not None or subprocess.run(
            ["sh", "-c", self.shell()[1]], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode == 0

    def fill(self, groups, lists):
        pass

    def shell(self):
        base = "ETCDCTL_API=3 etcdctl --endpoints=%s " % self.endpoint
        return base + "get 100-00000007", base + "put 100-00000007 value-$i"


ALL = [Cubbyfs, CubbyfsSync, Floor, FloorCached, Disk, DiskRenamed, Tmpfs, Bindfs, Sqlite,
       Redis, Etcd]
