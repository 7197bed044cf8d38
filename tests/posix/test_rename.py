# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The cubbyfs authors
"""rename(2) and renameat2(2): every kind over every kind, and all that moves along."""
import errno
import os
import stat

from support import (
    ALICE, BOB, DAVE, KINDS, NOT_DIRS, RENAME_EXCHANGE, RENAME_NOREPLACE, ROOT, Cases, Process,
    all_dents, area,
    as_user, check, equal, exists, fails, in_child, inode, kind_of, make, mode_of, nlink, opened,
    owner_of, read_file, remove, renameat2, stamps, write_file)
from harness import main

FULL = "full dir"


def make_target(kind, path):
    if kind == FULL:
        make("dir", path)
        write_file(path + "/inside", b"")
    elif kind != "absent":
        make(kind, path)


def clear(*paths):
    for p in paths:
        if exists(p):
            if exists(p + "/inside"):
                os.unlink(p + "/inside")
            remove(p)


def expected(old, new):
    """What rename(2) of one kind over another gives: 0 or an errno."""
    if new == "absent":
        return 0
    if old == "dir":
        return {"dir": 0, FULL: errno.ENOTEMPTY}.get(new, errno.ENOTDIR)
    return errno.EISDIR if new in ("dir", FULL) else 0


def test_every_kind_over_every_kind(m):
    d = area(m)
    os.mkdir(d + "/one")
    os.mkdir(d + "/two")
    with Cases() as t:
        for a, b in ((d + "/one", d + "/one"), (d + "/one", d + "/two")):
            for old in KINDS:
                for new in KINDS + (FULL, "absent"):
                    src, dst, extra = a + "/old", b + "/new", d + "/extra"
                    with t.case(old, "over", new, "same" if a == b else "other"):
                        make(old, src)
                        make_target(new, dst)
                        was = os.lstat(src)
                        target = os.lstat(dst) if new != "absent" else None
                        if new in NOT_DIRS:
                            os.link(dst, extra, follow_symlinks=False)
                        code = expected(old, new)
                        if code:
                            with stamps(m, same=[src, dst, a, b]):
                                fails(code, os.rename, src, dst)
                            equal((inode(src), inode(dst)), (was.st_ino, target.st_ino), "inodes")
                        else:
                            with stamps(m, cm=[a, b]):
                                os.rename(src, dst)
                            check(not exists(src), "the old name is still there")
                            now = os.lstat(dst)
                            equal((now.st_ino, now.st_mode, now.st_uid, now.st_gid, now.st_rdev,
                                   now.st_mtime_ns, now.st_nlink),
                                  (was.st_ino, was.st_mode, was.st_uid, was.st_gid, was.st_rdev,
                                   was.st_mtime_ns, was.st_nlink), "what moved")
                            if new in NOT_DIRS:
                                equal((inode(extra), nlink(extra)), (target.st_ino, 1),
                                      "the replaced file's other name")
                        equal((nlink(d), nlink(a)),
                              (4, 2 + sum(kind_of(a + "/" + n) == "dir" for n in os.listdir(a))),
                              "links of the directories")
                    clear(src, dst, extra)


def test_ctime_of_what_is_renamed(m):
    d = area(m)
    os.mkdir(d + "/other")
    with Cases() as t:
        for kind in KINDS:
            with t.case(kind):
                make(kind, d + "/a")
                with stamps(m, c=[(d + "/a", d + "/b")], cm=[d]):
                    os.rename(d + "/a", d + "/b")
                if kind != "dir":
                    with stamps(m, c=[(d + "/b", d + "/other/c")], cm=[d, d + "/other"]):
                        os.rename(d + "/b", d + "/other/c")
                    os.rename(d + "/other/c", d + "/b")
                if kind != "dir":
                    make(kind, d + "/victim")
                    os.link(d + "/victim", d + "/victim2", follow_symlinks=False)
                    with stamps(m, c=[d + "/victim2"], cm=[d]):
                        os.rename(d + "/b", d + "/victim")
                    os.unlink(d + "/victim2")
                    os.rename(d + "/victim", d + "/b")
                remove(d + "/b")


def test_links_of_one_file(m):
    """Between two names of one file rename does nothing, successfully."""
    d = area(m)
    os.mkdir(d + "/sub")
    with Cases() as t:
        for kind in NOT_DIRS:
            make(kind, d + "/a")
            for other in (d + "/b", d + "/sub/b", d + "/a"):
                with t.case(kind, other):
                    if other != d + "/a":
                        os.link(d + "/a", other, follow_symlinks=False)
                    links = nlink(d + "/a")
                    with stamps(m, same=[d + "/a", d, d + "/sub"]):
                        os.rename(d + "/a", other)
                    equal((inode(d + "/a"), nlink(d + "/a")), (inode(other), links), "both stay")
                if other != d + "/a":
                    os.unlink(other)
            os.unlink(d + "/a")
        with t.case("directory to itself"):
            with stamps(m, same=[d + "/sub", d]):
                os.rename(d + "/sub", d + "/sub")


def test_links_follow_neither_side(m):
    """A symbolic link is renamed and replaced itself."""
    d = area(m)
    write_file(d + "/f", b"f")
    os.symlink("f", d + "/link")
    os.rename(d + "/link", d + "/moved")
    equal(os.readlink(d + "/moved"), "f", "the link moved")
    write_file(d + "/g", b"g")
    os.rename(d + "/g", d + "/moved")
    equal((kind_of(d + "/moved"), read_file(d + "/f")), ("file", b"f"), "the link was replaced")
    os.mkdir(d + "/sub")
    os.symlink("sub", d + "/dlink")
    write_file(d + "/h", b"h")
    os.rename(d + "/h", d + "/dlink/h")
    equal(read_file(d + "/sub/h"), b"h", "links on the way are followed")
    os.mkdir(d + "/dir")
    fails(errno.ENOTDIR, os.rename, d + "/dir", d + "/dlink")


def test_contents_xattrs_and_owner_move_along(m):
    d = area(m)
    os.mkdir(d + "/sub")
    write_file(d + "/f", b"value" * 1000, mode=0o4751)
    os.chown(d + "/f", 11, 12)
    os.chmod(d + "/f", 0o4751)
    os.setxattr(d + "/f", "user.a", b"b")
    write_file(d + "/sub/g", b"to be replaced")
    os.setxattr(d + "/sub/g", "user.old", b"old")
    os.rename(d + "/f", d + "/sub/g")
    g = d + "/sub/g"
    equal((read_file(g), mode_of(g), owner_of(g)), (b"value" * 1000, 0o4751, (11, 12)), "all")
    equal(os.getxattr(g, "user.a"), b"b", "xattr")
    fails(errno.ENODATA, os.getxattr, g, "user.old")


def test_directory_moves_with_all_below(m):
    d = area(m)
    os.makedirs(d + "/a/b/c")
    os.mkdir(d + "/x")
    write_file(d + "/a/b/c/f", b"deep")
    ino = inode(d + "/a/b/c/f")
    with opened(d + "/a/b", os.O_RDONLY) as fd:
        equal((nlink(d), nlink(d + "/a"), nlink(d + "/x")), (4, 3, 2), "links before")
        with stamps(m, cm=[d, d + "/x"], same=[(d + "/a/b", d + "/x/a/b")]):
            os.rename(d + "/a", d + "/x/a")
        equal((nlink(d), nlink(d + "/x/a"), nlink(d + "/x")), (3, 3, 3), "links after")
        equal(read_file(d + "/x/a/b/c/f"), b"deep", "contents")
        equal(inode(d + "/x/a/b/c/f"), ino, "inode")
        equal(os.stat(d + "/x/a/..").st_ino, inode(d + "/x"), "dot dot")
        equal(os.stat("../..", dir_fd=fd).st_ino, inode(d + "/x"), "dot dot from within")
        equal(os.stat("c/f", dir_fd=fd).st_ino, ino, "through a descriptor")
        equal(os.readlink("/proc/self/fd/%d" % fd), d + "/x/a/b", "the kernel's path")
    check(not exists(d + "/a"), "the old name")
    fails(errno.ENOENT, os.stat, d + "/a/b/c/f")
    os.mkdir(d + "/a")
    equal(os.listdir(d + "/a"), [], "a new directory under the old name is empty")


def test_dot_dot_in_the_listing_after_a_move(m):
    d = area(m)
    os.makedirs(d + "/one/moves")
    os.mkdir(d + "/two")
    os.rename(d + "/one/moves", d + "/two/moves")
    with opened(d + "/two/moves", os.O_RDONLY) as fd:
        dots = {e.name: e.ino for e in all_dents(fd)}
    equal(set(dots), {b".", b".."}, "names")
    equal(dots[b"."], inode(d + "/two/moves"), "dot")
    equal(dots[b".."], inode(d + "/two"), "dot dot")


def test_working_directory_moves_along(m):
    d = area(m)
    os.mkdir(d + "/here")
    os.mkdir(d + "/there")
    os.chdir(d + "/here")
    os.rename(d + "/here", d + "/there/now")
    equal(os.getcwd(), d + "/there/now", "getcwd")
    write_file("f", b"1")
    equal(read_file(d + "/there/now/f"), b"1", "a file made after the move")
    equal(os.stat("..").st_ino, inode(d + "/there"), "dot dot")


def test_replaced_directory(m):
    """An empty directory is replaced; who still has it open sees it gone."""
    d = area(m)
    os.mkdir(d + "/old")
    write_file(d + "/old/f", b"")
    os.mkdir(d + "/new")
    with opened(d + "/new", os.O_RDONLY) as fd:
        os.rename(d + "/old", d + "/new")
        equal(os.fstat(fd).st_nlink, 0, "links")
        equal(os.listdir(fd), [], "listing")
        fails(errno.ENOENT, os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        fails(errno.ENOENT, os.mkdir, "x", dir_fd=fd)
    equal(os.listdir(d + "/new"), ["f"], "the new one")
    equal(nlink(d), 3, "links of the parent")


def test_replaced_file_stays_open(m):
    d = area(m)
    write_file(d + "/old", b"old value")
    write_file(d + "/new", b"new value")
    with opened(d + "/old", os.O_RDWR) as fd:
        ino = os.fstat(fd).st_ino
        os.rename(d + "/new", d + "/old")
        st = os.fstat(fd)
        equal((st.st_nlink, st.st_ino, st.st_size), (0, ino, 9), "the replaced file")
        equal(os.pread(fd, 100, 0), b"old value", "its contents")
        os.pwrite(fd, b"OLD", 0)
        equal(os.pread(fd, 100, 0), b"OLD value", "written")
    equal(read_file(d + "/old"), b"new value", "the new file")


def test_an_open_file_is_renamed(m):
    """What is written before and after the rename goes to the new name."""
    d = area(m)
    write_file(d + "/victim", b"victim")
    for target in ("new", "victim"):
        with opened(d + "/f", os.O_CREAT | os.O_EXCL | os.O_RDWR) as fd:
            os.write(fd, b"before ")
            os.rename(d + "/f", d + "/" + target)
            os.write(fd, b"after")
            equal(os.pread(fd, 100, 0), b"before after", "through the handle")
            equal(os.fstat(fd).st_nlink, 1, "links")
        equal(read_file(d + "/" + target), b"before after", target)
        check(not exists(d + "/f"), "the old name came back")


def test_an_open_existing_file_is_renamed(m):
    d = area(m)
    os.mkdir(d + "/sub")
    write_file(d + "/f", b"old")
    with opened(d + "/f", os.O_WRONLY | os.O_TRUNC) as fd:
        os.write(fd, b"new value")
        os.rename(d + "/f", d + "/sub/g")
        write_file(d + "/f", b"another")
    equal(read_file(d + "/sub/g"), b"new value", "the renamed file")
    equal(read_file(d + "/f"), b"another", "the one that took its name")


def test_write_to_a_temporary_then_rename(m):
    """The usual way to replace a file, over and over; a reader never misses it."""
    d = area(m)
    write_file(d + "/f", b"%05d" % 0)

    def reader(me):
        last = 0
        while last < 200:
            now = int(read_file(d + "/f"))
            check(now >= last, "went back")
            last = now
    with Process(reader):
        for i in range(1, 201):
            write_file(d + "/tmp", b"%05d" % i)
            os.rename(d + "/tmp", d + "/f")
    equal(os.listdir(d), ["f"], "listing")


def test_into_own_subtree(m):
    d = area(m)
    os.makedirs(d + "/a/b/c")
    with Cases() as t:
        for target in ("a/x", "a/b/x", "a/b/c/x", "a/b", "a/b/c"):
            with t.case("a to", target), stamps(m, same=[d, d + "/a", d + "/a/b"]):
                fails(errno.EINVAL, os.rename, d + "/a", d + "/" + target)
        for source in ("a/b", "a/b/c"):
            with t.case(source, "over its ancestor"):
                fails(errno.ENOTEMPTY, os.rename, d + "/" + source, d + "/a")
    os.rename(d + "/a/b/c", d + "/a/b/cc")
    os.mkdir(d + "/ab")
    os.rename(d + "/a", d + "/ab/a")    # a prefix of the name is no ancestor
    equal(os.listdir(d), ["ab"], "listing")


def test_dots_and_slashes(m):
    d = area(m)
    os.mkdir(d + "/sub")
    os.mkdir(d + "/other")
    write_file(d + "/f", b"f")
    os.symlink("sub", d + "/link")
    busy = (errno.EBUSY, errno.EINVAL)
    with Cases() as t:
        for old, new, code in (
                ("sub/.", "x", busy), ("sub/..", "x", busy), ("other", "sub/.", busy),
                ("other", "sub/..", busy), (".", "x", busy), ("sub", ".", busy),
                ("f", "x/", errno.ENOTDIR), ("f/", "x", errno.ENOTDIR), ("f/", "x/", errno.ENOTDIR),
                ("link/", "x", errno.ENOTDIR), ("f", "sub/", errno.ENOTDIR),
                ("sub", "f/", errno.ENOTDIR), ("other/", "sub/", 0), ("sub/", "y/", 0),
                ("y", "z/", 0), ("z/", "sub", 0)):
            with t.case(old, new):
                if code:
                    fails(code, os.rename, d + "/" + old, d + "/" + new)
                else:
                    os.rename(d + "/" + old, d + "/" + new)
    equal(sorted(os.listdir(d)), ["f", "link", "sub"], "listing")


def test_parent_needs_write_permission(m):
    d = area(m, mode=0o755)
    a, b = make("dir", d + "/a", 0o755, ALICE), make("dir", d + "/b", 0o755, ALICE)
    with Cases() as t:
        for kind in KINDS:
            make(kind, a + "/x", 0o755, ALICE)
            for ma in range(0, 8):
                for mb in sorted({3, ma}):
                    os.chmod(a, ma << 6)
                    os.chmod(b, mb << 6)
                    with t.case(kind, ma, mb):
                        if ma & mb & 3 == 3:
                            as_user(ALICE, os.rename, a + "/x", b + "/y")
                            os.rename(b + "/y", a + "/x")
                        else:
                            fails(errno.EACCES, as_user, ALICE, os.rename, a + "/x", b + "/y")
            os.chmod(a, 0o700)
            remove(a + "/x")


def test_a_directory_needs_write_permission_to_change_parents(m):
    """Its '..' is rewritten; within one parent that is not so."""
    d = area(m, mode=0o777)
    os.mkdir(d + "/to", 0o777)
    os.chmod(d + "/to", 0o777)
    make("dir", d + "/x", 0o555, ALICE)
    as_user(ALICE, os.rename, d + "/x", d + "/y")
    fails(errno.EACCES, as_user, ALICE, os.rename, d + "/y", d + "/to/y")
    os.chmod(d + "/y", 0o200)
    as_user(ALICE, os.rename, d + "/y", d + "/to/y")
    equal(os.listdir(d + "/to"), ["y"], "listing")
    make("dir", d + "/z", 0o755, ROOT)
    fails(errno.EACCES, as_user, ALICE, os.rename, d + "/z", d + "/to/z")
    make("file", d + "/f", 0o000, ROOT)
    as_user(ALICE, os.rename, d + "/f", d + "/to/f")


def test_sticky_directories(m):
    """In a sticky directory: the file's owner, the directory's owner, root."""
    d = area(m, mode=0o777)
    with Cases() as t:
        for sticky_owner in (ALICE, BOB, ROOT):
            s = make("dir", d + "/s", 0o1777, sticky_owner)
            free = make("dir", d + "/free", 0o777, BOB)
            for file_owner in (ALICE, BOB):
                for kind in KINDS:
                    may = ALICE in (sticky_owner, file_owner)
                    with t.case(kind, "of", file_owner, "out of a sticky one of", sticky_owner):
                        make(kind, s + "/x", 0o777, file_owner)
                        if may:
                            as_user(ALICE, os.rename, s + "/x", s + "/y")
                            as_user(ALICE, os.rename, s + "/y", free + "/y")
                            remove(free + "/y")
                        else:
                            fails(errno.EPERM, as_user, ALICE, os.rename, s + "/x", s + "/y")
                            fails(errno.EPERM, as_user, ALICE, os.rename, s + "/x", free + "/y")
                            remove(s + "/x")
                    with t.case(kind, "over one of", file_owner, "in one of", sticky_owner):
                        make(kind, s + "/victim", 0o777, file_owner)
                        make(kind, free + "/x", 0o777, ALICE)
                        ino = inode(free + "/x")
                        if may:
                            as_user(ALICE, os.rename, free + "/x", s + "/victim")
                            equal(inode(s + "/victim"), ino, "replaced")
                        else:
                            fails(errno.EPERM, as_user, ALICE, os.rename,
                                  free + "/x", s + "/victim")
                            equal(inode(free + "/x"), ino, "still there")
                            remove(free + "/x")
                        remove(s + "/victim")
            os.rmdir(s)
            os.rmdir(free)


def test_noreplace(m):
    d = area(m)
    os.mkdir(d + "/sub")
    with Cases() as t:
        for old in KINDS:
            for new in KINDS + (FULL, "absent"):
                for where in ("", "/sub"):
                    src, dst = d + "/old", d + where + "/new"
                    with t.case(old, new, where):
                        make(old, src)
                        make_target(new, dst)
                        ino = inode(src)
                        if new == "absent":
                            with stamps(m, c=[(src, dst)]):
                                renameat2(src, dst, RENAME_NOREPLACE)
                            equal(inode(dst), ino, "moved")
                        else:
                            victim = inode(dst)
                            with stamps(m, same=[src, dst, d, d + "/sub"]):
                                fails(errno.EEXIST, renameat2, src, dst, RENAME_NOREPLACE)
                            equal((inode(src), inode(dst)), (ino, victim), "inodes")
                    clear(src, dst)
        with t.case("itself"):
            make("file", d + "/f")
            fails(errno.EEXIST, renameat2, d + "/f", d + "/f", RENAME_NOREPLACE)
        with t.case("another link of it"):
            os.link(d + "/f", d + "/g")
            fails(errno.EEXIST, renameat2, d + "/f", d + "/g", RENAME_NOREPLACE)


def test_exchange(m):
    d = area(m)
    os.mkdir(d + "/sub")
    with Cases() as t:
        for a in KINDS + (FULL,):
            for b in KINDS + (FULL,):
                for where in ("", "/sub"):
                    pa, pb = d + "/a", d + where + "/b"
                    with t.case(a, b, where):
                        make_target(a, pa)
                        make_target(b, pb)
                        ia, ib = os.lstat(pa), os.lstat(pb)
                        with stamps(m, c=[(pa, pb), (pb, pa)], cm=[d, d + (where or "/.")]):
                            renameat2(pa, pb, RENAME_EXCHANGE)
                        equal((inode(pa), inode(pb)), (ib.st_ino, ia.st_ino), "inodes")
                        equal((os.lstat(pa).st_mode, os.lstat(pb).st_mode),
                              (ib.st_mode, ia.st_mode), "modes")
                        dirs = [kind_of(p) == "dir" for p in (pa, pb)]
                        equal((nlink(d), nlink(d + "/sub")),
                              (3 + dirs[0] + (dirs[1] and not where),
                               2 + (dirs[1] and bool(where))),
                              "links of the directories")
                        for p, kind in ((pa, b), (pb, a)):
                            if kind == FULL:
                                equal(os.listdir(p), ["inside"], "listing")
                            if kind in (FULL, "dir"):
                                equal(os.stat(p + "/..").st_ino, inode(os.path.dirname(p)), "..")
                    clear(pa, pb)


def test_exchange_refused(m):
    d = area(m)
    os.makedirs(d + "/a/b")
    write_file(d + "/f", b"")
    with Cases() as t:
        for old, new, flags, code in (
                ("f", "none", RENAME_EXCHANGE, errno.ENOENT),
                ("none", "f", RENAME_EXCHANGE, errno.ENOENT),
                ("a", "a/b", RENAME_EXCHANGE, errno.EINVAL),
                ("a/b", "a", RENAME_EXCHANGE, (errno.EINVAL, errno.ENOTEMPTY)),
                ("f", "g", RENAME_EXCHANGE | RENAME_NOREPLACE, errno.EINVAL),
                ("f", "g", 1 << 10, errno.EINVAL),
                ("none", "g", RENAME_NOREPLACE, errno.ENOENT),
                ("a", "a/x", RENAME_NOREPLACE, errno.EINVAL)):
            with t.case(old, new, flags), stamps(m, same=[d, d + "/a", d + "/f"]):
                fails(code, renameat2, d + "/" + old, d + "/" + new, flags)
        with t.case("a file with itself"), stamps(m, c_=[d + "/f"]):
            os.link(d + "/f", d + "/g")
            renameat2(d + "/f", d + "/g", RENAME_EXCHANGE)
            equal(nlink(d + "/f"), 2, "links")


def test_exchange_permissions(m):
    d = area(m)
    s = make("dir", d + "/s", 0o1777, ROOT)
    make("file", s + "/alices", 0o666, ALICE)
    make("file", s + "/bobs", 0o666, BOB)
    make("file", s + "/alices2", 0o666, ALICE)
    fails(errno.EPERM, as_user, ALICE, renameat2, s + "/alices", s + "/bobs", RENAME_EXCHANGE)
    fails(errno.EPERM, as_user, ALICE, renameat2, s + "/bobs", s + "/alices", RENAME_EXCHANGE)
    ino = inode(s + "/alices")
    as_user(ALICE, renameat2, s + "/alices", s + "/alices2", RENAME_EXCHANGE)
    equal(inode(s + "/alices2"), ino, "exchanged")
    make("file", d + "/f", 0o666, ALICE)
    fails(errno.EACCES, as_user, ALICE, renameat2, d + "/f", s + "/alices", RENAME_EXCHANGE)
    fails(errno.EACCES, as_user, ALICE, renameat2, d + "/f", d + "/g", RENAME_NOREPLACE)


def test_exchange_contents_with_handles_open(m):
    d = area(m)
    write_file(d + "/a", b"was a")
    write_file(d + "/b", b"was b")
    with opened(d + "/a", os.O_RDWR) as fd:
        renameat2(d + "/a", d + "/b", RENAME_EXCHANGE)
        equal(os.pread(fd, 10, 0), b"was a", "through the handle")
        os.pwrite(fd, b"IS ", 0)
    equal((read_file(d + "/a"), read_file(d + "/b")), (b"was b", b"IS  a"), "contents")


def test_relative_to_descriptors(m):
    d = area(m)
    os.mkdir(d + "/a")
    os.mkdir(d + "/b")
    write_file(d + "/a/f", b"f")
    with opened(d + "/a", os.O_RDONLY) as a, opened(d + "/b", os.O_RDONLY) as b:
        os.rename("f", "g", src_dir_fd=a, dst_dir_fd=b)
        equal((os.listdir(a), os.listdir(b)), ([], ["g"]), "listings")
        os.rename("../b/g", "../a/f", src_dir_fd=a, dst_dir_fd=b)
        equal((os.listdir(a), os.listdir(b)), (["f"], []), "listings, back")
        os.rmdir(d + "/b")
        fails(errno.ENOENT, os.rename, "f", "g", src_dir_fd=a, dst_dir_fd=b)
    with opened(d + "/a/f", os.O_RDONLY) as fd:
        fails(errno.ENOTDIR, os.rename, "f", "g", src_dir_fd=fd)
        fails(errno.ENOTDIR, os.rename, d + "/a/f", "g", dst_dir_fd=fd)


def test_other_users_rename(m):
    """Others' files may be renamed where the directory allows it."""
    d = area(m, mode=0o777)
    with Cases() as t:
        for kind in NOT_DIRS:
            for owner in (ALICE, BOB, ROOT):
                with t.case(kind, owner):
                    make(kind, d + "/x", 0, owner)
                    as_user(DAVE, os.rename, d + "/x", d + "/y")
                    equal(owner_of(d + "/y"), (owner.uid, owner.gid), "owner")
                    os.unlink(d + "/y")


def test_case_and_similar_names(m):
    d = area(m)
    for old, new in (("name", "NAME"), ("NAME", "Name"), ("Name", "name "), ("name ", "nam"),
                     ("nam", "name.name.name"), ("name.name.name", "n")):
        write_file(d + "/" + old, b"1")
        os.rename(d + "/" + old, d + "/" + new)
        equal(os.listdir(d), [new], "listing")
    check(stat.S_ISREG(os.lstat(d + "/n").st_mode), "a file")
    equal(in_child(os.listdir, d), ["n"], "listing elsewhere")


def test_chain_of_renames(m):
    d = area(m)
    for i in range(50):
        write_file(d + "/%d" % i, b"%d" % i)
    for i in reversed(range(50)):
        os.rename(d + "/%d" % i, d + "/%d" % (i + 1))
    equal(sorted(os.listdir(d), key=int), [str(i) for i in range(1, 51)], "listing")
    for i in range(1, 51):
        equal(read_file(d + "/%d" % i), b"%d" % (i - 1), "contents")


if __name__ == "__main__":
    main(globals())
