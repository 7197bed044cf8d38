# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""mkdir(2), rmdir(2), reading directories, and what they hand down."""
import errno
import os
import stat

from support import (
    ALICE, BOB, DAVE, DT, EXTRA, KINDS, ROOT, Cases, Directory, all_dents, area, as_user, check,
    equal, exists, fails, getdents, in_child, inode, make, mode_of, nlink, opened, owner_of,
    read_file, remove, stamps, try_open, write_file)
from harness import main


def fill(d, names):
    """Empty files, the cheapest way."""
    fd = os.open(d, os.O_RDONLY)
    for name in names:
        os.mknod(name, stat.S_IFREG | 0o644, dir_fd=fd)
    os.close(fd)


# ---------------------------------------------------------------- mkdir

def test_mkdir(m):
    d = area(m)
    with stamps(m, cm=[d]):
        os.mkdir(d + "/sub")
    st = os.lstat(d + "/sub")
    check(stat.S_ISDIR(st.st_mode), "a directory")
    equal((st.st_nlink, st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (2, 0, 0, 0o755), "stat")
    equal(os.listdir(d + "/sub"), [], "listing")
    equal(os.stat(d + "/sub/.").st_ino, st.st_ino, "dot")
    equal(os.stat(d + "/sub/..").st_ino, inode(d), "dot dot")


def test_mkdir_mode_and_umask(m):
    d = area(m)
    with Cases() as t:
        for mode in (0, 0o111, 0o151, 0o345, 0o700, 0o755, 0o777, 0o1777):
            for umask in (0, 0o022, 0o077, 0o501, 0o777):
                with t.case(oct(mode), oct(umask)):
                    os.umask(umask)
                    os.mkdir(d + "/x", mode)
                    os.umask(0o022)
                    equal(mode_of(d + "/x"), mode & ~umask, "mode")
                    os.rmdir(d + "/x")


def test_mkdir_on_what_exists(m):
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            p = make(kind, d + "/" + kind)
            with t.case(kind), stamps(m, same=[d, p]):
                fails(errno.EEXIST, os.mkdir, p)
        for name in (".", "..", "dir/.", "dir/..", "dir/"):
            with t.case(name):
                fails(errno.EEXIST, os.mkdir, d + "/" + name)


def test_directory_link_count(m):
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            with t.case(kind):
                make(kind, d + "/x")
                equal(nlink(d), 3 if kind == "dir" else 2, "with one")
                remove(d + "/x")
                equal(nlink(d), 2, "without")
        with t.case("many"):
            for i in range(50):
                os.mkdir(d + "/%d" % i)
                equal(nlink(d), 3 + i, "links")
            with opened(d, os.O_RDONLY) as fd:
                equal(os.fstat(fd).st_nlink, 52, "links through a handle")
            for i in range(50):
                os.rmdir(d + "/%d" % i)
            equal(nlink(d), 2, "links")


def test_mkdir_owner(m):
    d = area(m, mode=0o777)
    for user in (ALICE, BOB, DAVE):
        as_user(user, os.mkdir, d + "/" + user.name)
        equal(owner_of(d + "/" + user.name), (user.uid, user.gid), "owner")


def test_mkdir_permissions(m):
    d = area(m, owner=ALICE)
    with Cases() as t:
        for bits in range(8):
            for user, shift in ((ALICE, 6), (DAVE, 3), (BOB, 0)):
                os.chmod(d, bits << shift)
                with t.case(bits, user):
                    if bits & 3 == 3:
                        as_user(user, os.mkdir, d + "/x")
                        os.chown(d + "/x", 0, 0)
                        as_user(user, os.rmdir, d + "/x")
                    else:
                        fails(errno.EACCES, as_user, user, os.mkdir, d + "/x")
                        os.mkdir(d + "/x")
                        fails(errno.EACCES, as_user, user, os.rmdir, d + "/x")
                        os.rmdir(d + "/x")


def test_deep_nesting(m):
    d = area(m)
    os.chdir(d)
    for _ in range(200):
        os.mkdir("0123456789" * 3)
        os.chdir("0123456789" * 3)
    write_file("f", b"deep")        # deeper than a path can say
    equal(read_file("f"), b"deep", "contents")
    fails((errno.ENAMETOOLONG, errno.ERANGE), os.stat, d + ("/" + "0123456789" * 3) * 200 + "/f")
    os.unlink("f")
    for _ in range(200):
        os.chdir("..")
        os.rmdir("0123456789" * 3)
    equal(os.getcwd(), d, "back again")


# ---------------------------------------------------------------- rmdir

def test_rmdir(m):
    d = area(m)
    os.mkdir(d + "/sub")
    with stamps(m, cm=[d]):
        os.rmdir(d + "/sub")
    fails(errno.ENOENT, os.stat, d + "/sub")
    fails(errno.ENOENT, os.rmdir, d + "/sub")
    os.mkdir(d + "/sub")
    os.rmdir(d + "/sub/")
    equal((os.listdir(d), nlink(d)), ([], 2), "what is left")


def test_rmdir_refused(m):
    d = area(m)
    with Cases() as t:
        for kind in KINDS:
            os.mkdir(d + "/sub")
            make(kind, d + "/sub/x")
            with t.case("with a", kind):
                with stamps(m, same=[d, d + "/sub"]):
                    fails((errno.ENOTEMPTY, errno.EEXIST), os.rmdir, d + "/sub")
                equal(os.listdir(d + "/sub"), ["x"], "listing")
            remove(d + "/sub/x")
            os.rmdir(d + "/sub")
            if kind != "dir":
                make(kind, d + "/x")
                with t.case("of a", kind), stamps(m, same=[d, d + "/x"]):
                    fails(errno.ENOTDIR, os.rmdir, d + "/x")
                os.unlink(d + "/x")
        os.makedirs(d + "/a/b")
        with t.case("dot"):
            fails((errno.EINVAL, errno.EBUSY), os.rmdir, d + "/a/b/.")
        with t.case("dot dot"):
            fails((errno.ENOTEMPTY, errno.EINVAL, errno.EBUSY), os.rmdir, d + "/a/b/..")
        with t.case("only a hidden file"):
            write_file(d + "/a/b/.hidden", b"")
            fails(errno.ENOTEMPTY, os.rmdir, d + "/a/b")
        with t.case("with a file that is being made"):
            os.mkdir(d + "/c")
            with opened(d + "/c/f", os.O_CREAT | os.O_EXCL | os.O_WRONLY):
                fails(errno.ENOTEMPTY, os.rmdir, d + "/c")
                os.unlink(d + "/c/f")
                os.rmdir(d + "/c")
            check(not exists(d + "/c"), "closing brought it back")


def test_removed_but_open(m):
    d = area(m)
    os.mkdir(d + "/sub")
    with opened(d + "/sub", os.O_RDONLY) as fd:
        with stamps(m, c_=[fd], cm=[d]):
            os.rmdir(d + "/sub")
        with Cases() as t:
            with t.case("stat"):
                equal(os.fstat(fd).st_nlink, 0, "links")
            with t.case("listing"):
                equal(os.listdir(fd), [], "listing")
            for what, call in (
                    ("open", lambda: os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)),
                    ("exclusive open", lambda: os.open("x", os.O_CREAT | os.O_EXCL, dir_fd=fd)),
                    ("mkdir", lambda: os.mkdir("x", dir_fd=fd)),
                    ("mkfifo", lambda: os.mkfifo("x", dir_fd=fd)),
                    ("symlink", lambda: os.symlink("t", "x", dir_fd=fd)),
                    ("stat of a name", lambda: os.stat("x", dir_fd=fd)),
                    ("rename", lambda: os.rename(make("file", d + "/r"), "x", dst_dir_fd=fd)),
                    ("link", lambda: os.link(make("file", d + "/l"), "x", dst_dir_fd=fd))):
                with t.case(what):
                    fails(errno.ENOENT, call)
            with t.case("chmod and chown"):
                os.fchmod(fd, 0o700)
                os.fchown(fd, 1, 2)
                equal((mode_of(fd), owner_of(fd)), (0o700, (1, 2)), "both")
            with t.case("a new one of that name"):
                os.mkdir(d + "/sub")
                write_file(d + "/sub/f", b"")
                equal(os.listdir(fd), [], "the old one's listing")
                check(os.fstat(fd).st_ino != inode(d + "/sub"), "one inode number for both")


def test_working_directory_removed(m):
    d = area(m)
    os.mkdir(d + "/sub")
    os.chdir(d + "/sub")
    os.rmdir(d + "/sub")
    fails(errno.ENOENT, os.getcwd)
    fails(errno.ENOENT, os.open, "f", os.O_CREAT | os.O_WRONLY)
    equal(os.listdir("."), [], "listing")
    equal(os.stat(".").st_nlink, 0, "links")


# ---------------------------------------------------------------- reading

def test_entries_and_types(m):
    d = area(m)
    for kind in KINDS:
        make(kind, d + "/" + kind)
    with opened(d, os.O_RDONLY) as fd:
        entries = all_dents(fd)
    equal(sorted(e.name.decode() for e in entries), sorted(KINDS + (".", "..")), "names")
    with Cases() as t:
        for e in entries:
            name = e.name.decode()
            with t.case(name):
                check(e.type in (0, DT.get(name, DT["dir"])), "d_type is %d" % e.type)
                equal(e.ino, inode(d + "/" + name), "inode number")
    found = {e.name: (e.is_dir(follow_symlinks=False), e.is_file(follow_symlinks=False),
                      e.is_symlink()) for e in os.scandir(d)}
    equal(found["file"] + found["dir"] + found["symlink"],
          (False, True, False, True, False, False, False, False, True), "scandir")


def test_entry_type_follows_a_change(m):
    d = area(m)
    for kind in KINDS:
        make(kind, d + "/x")
        with opened(d, os.O_RDONLY) as fd:
            e = next(e for e in all_dents(fd) if e.name == b"x")
        check(e.type in (0, DT[kind]), "d_type of %s is %d" % (kind, e.type))
        equal(e.ino, inode(d + "/x"), "inode number")
        remove(d + "/x")


def test_ten_thousand_entries(m):
    d = area(m)
    names = {b"entry-%05d" % i for i in range(10000)}
    fill(d, sorted(names))
    for size in (512, 4096, 32768, 1 << 20):
        with opened(d, os.O_RDONLY) as fd:
            found = [e.name for e in all_dents(fd, size)]
        equal(len(found), 10002, "entries with a buffer of %d" % size)
        equal(set(found), names | {b".", b".."}, "names")
    with Directory(d) as s:
        equal(len(s.read_all()), 10002, "readdir")
        s.rewind()
        equal(len(s.read_all()), 10002, "readdir again")
    with opened(d, os.O_RDONLY) as fd:
        for name in sorted(names)[::2]:
            os.unlink(name, dir_fd=fd)
    equal(len(os.listdir(d)), 5000, "after removing every other")


def test_small_buffer(m):
    d = area(m)
    write_file(d + "/" + "x" * 255, b"")
    with opened(d, os.O_RDONLY) as fd:
        equal(len(all_dents(fd, 300)), 3, "entries, one at a time")
        os.lseek(fd, 0, os.SEEK_SET)
        fails(errno.EINVAL, all_dents, fd, 40)


def test_tell_and_seek(m):
    d = area(m)
    fill(d, ["n%d" % i for i in range(300)])
    with Directory(d) as s:
        order, marks = [], []
        while True:
            mark = s.tell()
            name = s.read()
            if name is None:
                break
            marks.append(mark)
            order.append(name)
        equal(len(set(order)), 302, "names")
        end = s.tell()
        with Cases() as t:
            for i in list(range(0, 302, 7)) + [301, 0, 150, 3, 299]:
                with t.case("seek to", i):
                    s.seek(marks[i])
                    equal(s.read(), order[i], "the entry there")
                    if i < 301:
                        equal(s.read(), order[i + 1], "the next one")
            with t.case("rest"):
                s.seek(marks[100])
                equal(s.read_all(), order[100:], "the rest")
            with t.case("end"):
                s.seek(end)
                equal(s.read(), None, "nothing")
            with t.case("rewind"):
                s.rewind()
                equal(s.read_all(), order, "all, in the same order")


def test_offsets_of_getdents(m):
    """lseek on a directory to any d_off goes on after that entry."""
    d = area(m)
    fill(d, ["n%d" % i for i in range(100)])
    with opened(d, os.O_RDONLY) as fd:
        entries = all_dents(fd)
        with Cases() as t:
            for i in range(0, len(entries) - 1, 5):
                with t.case(i):
                    os.lseek(fd, entries[i].offset, os.SEEK_SET)
                    equal([e.name for e in all_dents(fd)], [e.name for e in entries[i + 1:]],
                          "the rest")
            with t.case("end"):
                os.lseek(fd, entries[-1].offset, os.SEEK_SET)
                equal(getdents(fd), [], "nothing")
            with t.case("reading past the end again"):
                equal(getdents(fd), [], "nothing")


def test_rewind_sees_what_changed(m):
    d = area(m)
    fill(d, ["a", "b"])
    with Directory(d) as s:
        equal(len(s.read_all()), 4, "entries")
        write_file(d + "/c", b"")
        os.unlink(d + "/a")
        s.rewind()
        equal(sorted(s.read_all()), [b".", b"..", b"b", b"c"], "entries")
        in_child(os.rename, d + "/b", d + "/bb")
        s.rewind()
        equal(sorted(s.read_all()), [b".", b"..", b"bb", b"c"], "entries")


def test_remove_while_reading(m):
    """Each entry is returned once, though what was read is removed meanwhile."""
    d = area(m)
    with Cases() as t:
        for size in (256, 2048, 32768):
            with t.case("buffer", size):
                names = {b"n%d" % i for i in range(1500)}
                fill(d, sorted(names))
                seen = []
                with opened(d, os.O_RDONLY) as fd:
                    while True:
                        part = [e.name for e in getdents(fd, size)]
                        if not part:
                            break
                        for name in part:
                            if name not in (b".", b".."):
                                seen.append(name)
                                os.unlink(name, dir_fd=fd)
                equal(len(seen), 1500, "entries")
                equal(set(seen), names, "names")
                equal(os.listdir(d), [], "what is left")


def test_other_entries_change_while_reading(m):
    """What stays is returned exactly once, whatever comes and goes beside it."""
    d = area(m)
    stay = {b"stay%d" % i for i in range(1000)}
    fill(d, sorted(stay) + [b"go%d" % i for i in range(1000)])
    seen, turn = [], 0
    with opened(d, os.O_RDONLY) as fd:
        while True:
            part = getdents(fd, 1024)
            if not part:
                break
            seen += [e.name for e in part]
            if turn < 500:
                os.unlink(b"go%d" % turn, dir_fd=fd)
                os.unlink(b"go%d" % (999 - turn), dir_fd=fd)
                if turn < 100:
                    os.mknod(b"new%d" % turn, stat.S_IFREG, dir_fd=fd)
            turn += 1
            check(turn < 5000, "the listing has no end")
    check(turn > 10, "the listing came in too few parts to test anything")
    equal(sorted(n for n in seen if n.startswith(b"stay")), sorted(stay), "what stays")
    equal(len(set(seen)), len(seen), "no name twice")


def test_listing_right_after_changes(m):
    d = area(m)
    with Cases() as t:
        for i in range(30):
            with t.case(i):
                write_file(d + "/f%d" % i, b"")
                equal(len(os.listdir(d)), 1, "made")
                os.rename(d + "/f%d" % i, d + "/g")
                equal(os.listdir(d), ["g"], "renamed")
                os.unlink(d + "/g")
                equal(os.listdir(d), [], "removed")


def test_list_and_search_permission(m):
    d = area(m)
    s = make("dir", d + "/s", 0o700)
    make("file", s + "/f", 0o666)
    os.mkdir(s + "/sub")
    os.chown(s, ALICE.uid, ALICE.gid)
    with Cases() as t:
        for bits in range(8):
            for user, shift in ((ALICE, 6), (DAVE, 3), (BOB, 0)):
                os.chmod(s, bits << shift)
                for what, need, call in (
                        ("list", 4, lambda: os.listdir(s)),
                        ("stat", 1, lambda: os.stat(s + "/f") and None),
                        ("open", 1, lambda: try_open(s + "/f", os.O_RDWR)),
                        ("open below", 1, lambda: os.listdir(s + "/sub")),
                        ("chdir", 1, lambda: os.chdir(s)),
                        ("stat itself", 0, lambda: os.stat(s) and None)):
                    with t.case(bits, user, what):
                        if bits & need == need:
                            as_user(user, call)
                        else:
                            fails(errno.EACCES, as_user, user, call)


# ---------------------------------------------------------------- handing down

def creators():
    return (("open", lambda p: write_file(p, b"x")),
            ("open exclusively", lambda p: write_file(p, b"x", os.O_EXCL)),
            ("mkfifo", os.mkfifo),
            ("mknod", lambda p: os.mknod(p, stat.S_IFREG | 0o644)),
            ("socket", lambda p: os.mknod(p, stat.S_IFSOCK | 0o644)),
            ("symlink", lambda p: os.symlink("x", p)),
            ("mkdir", os.mkdir))


def test_setgid_directory_hands_down_its_group(m):
    d = area(m)
    s = make("dir", d + "/s", 0o777)
    os.chown(s, 0, EXTRA)
    with Cases() as t:
        for setgid in (0, 0o2000):
            os.chmod(s, 0o777 | setgid)
            for user in (ROOT, ALICE, DAVE):
                for what, create in creators():
                    with t.case(what, user, oct(setgid)):
                        as_user(user, create, s + "/x")
                        equal(owner_of(s + "/x"),
                              (user.uid, EXTRA if setgid else user.gid), "owner")
                        if what == "mkdir":
                            equal(mode_of(s + "/x"), 0o755 | setgid, "mode")
                            as_user(user, os.mkdir, s + "/x/y")
                            equal((mode_of(s + "/x/y"), owner_of(s + "/x/y")[1]),
                                  (0o755 | setgid, EXTRA if setgid else user.gid), "one below")
                            os.rmdir(s + "/x/y")
                        remove(s + "/x")


def test_setgid_file_in_a_setgid_directory(m):
    """Who is not in the directory's group makes no set-group-ID program for it."""
    d = area(m)
    s = make("dir", d + "/s", 0o2777)
    os.chown(s, 0, EXTRA)
    os.chmod(s, 0o2777)

    def create(mode):
        os.umask(0)
        try_open(s + "/x", os.O_CREAT | os.O_WRONLY, mode)
    with Cases() as t:
        for user, mode, wanted in ((ALICE, 0o2775, 0o775), (DAVE, 0o2775, 0o2775),
                                   (ROOT, 0o2775, 0o2775), (ALICE, 0o4775, 0o4775)):
            with t.case(user, oct(mode)):
                as_user(user, create, mode)
                equal((oct(mode_of(s + "/x")), owner_of(s + "/x")[1]), (oct(wanted), EXTRA), "x")
                os.unlink(s + "/x")


def test_sticky_and_setuid_are_not_handed_down(m):
    d = area(m)
    make("dir", d + "/s", 0o5777)
    os.mkdir(d + "/s/x")
    write_file(d + "/s/f", b"")
    equal((mode_of(d + "/s/x"), mode_of(d + "/s/f")), (0o755, 0o644), "modes")


def test_umask_on_every_creation(m):
    d = area(m)
    with Cases() as t:
        for umask in (0, 0o022, 0o077, 0o137, 0o777):
            for what, create in (
                    ("open", lambda p: try_open(p, os.O_CREAT | os.O_WRONLY, 0o777)),
                    ("mkdir", lambda p: os.mkdir(p, 0o777)),
                    ("mkfifo", lambda p: os.mkfifo(p, 0o777)),
                    ("mknod", lambda p: os.mknod(p, stat.S_IFREG | 0o777)),
                    ("char", lambda p: os.mknod(p, stat.S_IFCHR | 0o777, os.makedev(1, 3)))):
                with t.case(what, oct(umask)):
                    os.umask(umask)
                    try:
                        create(d + "/x")
                    finally:
                        os.umask(0o022)
                    equal(mode_of(d + "/x"), 0o777 & ~umask, "mode")
                remove(d + "/x")


def test_directory_as_a_value(m):
    """What is for files alone is refused."""
    d = area(m)
    os.mkdir(d + "/sub")
    with stamps(m, same=[d + "/sub"]):
        fails(errno.EISDIR, os.truncate, d + "/sub", 0)
        fails(errno.EISDIR, write_file, d + "/sub", b"x")
        with opened(d + "/sub", os.O_RDONLY) as fd:
            fails(errno.EISDIR, os.read, fd, 10)
            fails(errno.EISDIR, os.pread, fd, 10, 0)
            fails(errno.EBADF, os.pwrite, fd, b"x", 0)


if __name__ == "__main__":
    main(globals())
