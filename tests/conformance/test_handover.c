/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A store with a keep is killed wherever it can be told from elsewhere: before and after
 * each publication, each append to the log, each answer; and some times once more after that.
 * Who comes next takes over the log and the keep, gets the request again that was not
 * answered, and goes on. Whatever clients are told then, in each answer to the end,
 * is what they are told if nobody is killed: they notice nothing. So are the notices:
 * each is told once.
 *
 * Each kill is a process of its own: the store that dies is left lying as it is, and the
 * one that comes after it opens the same memory and a copy of the disk. */
#include "harness.h"

#include "../unit/fault_disk.h"

#include "base/cleanup.h"
#include "base/keep.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define STEPS_MAX 400
#define KILLS_MAX 3
#define SLOTS 26
#define ALARM 60 /* seconds in which a life must end */

/* Of the places where it can be killed, every so many is tried. */
#if defined(__SANITIZE_THREAD__)
#define STRIDE 100 /* a process takes long to be made, and there is one thread */
#elif defined(__SANITIZE_ADDRESS__)
#define STRIDE 5
#else
#define STRIDE 1
#endif

enum kind {
	OPEN = 1, /* slot, path, flags */
	CREATE,   /* slot, path, flags */
	WRITE,    /* slot, text, offset, flags */
	READ,     /* slot, offset, size */
	RESIZE,   /* slot, size */
	ALLOCATE, /* slot, size */
	CHMOD,    /* slot or path, mode */
	TOUCH,    /* slot or path */
	FLUSH,
	FSYNC,
	RELEASE,
	STAT, /* slot or path */
	UNLINK,
	MKDIR,
	RMDIR,
	RENAME, /* path, text: where to; flags */
	LINK,   /* path, text */
	SYMLINK,
	SET,    /* slot or path, attribute, text, flags */
	REMOVE, /* slot or path, attribute */
	GET,    /* slot or path, attribute */
	LIST,
	FLOCK, /* slot, type */
	LOCK,  /* slot, type, owner, offset, size */
	ASK,   /* slot, kind of lock, offset, size: what is in the way of owner 99 */
	CLOSE_OWNER, /* slot, owner */
	TICK,  /* seconds */
};

struct step {
	enum kind kind;
	char slot;	  /* 'a' to 'z', or 0 */
	const char *path; /* names below the root */
	const char *text;
	const char *name; /* of an attribute */
	uint64_t offset, size;
	int flags;
	uint64_t owner;
	const struct store_caller *who; /* NULL: Alice */
};

/* --- what is done -------------------------------------------------------------- */

#define RW O_RDWR
#define WO O_WRONLY
#define CUBBY(name) "user.cubby." name
#define EX STORE_LOCK_EXCLUSIVE
#define SH STORE_LOCK_SHARED
#define UN STORE_UNLOCK

static const struct step files[] = {
	/* The very first request is applied, and not answered. */
	{MKDIR, .path = "d"},
	{MKDIR, .path = "d"},
	{MKDIR, .path = "d/e"},
	{RMDIR, .path = "d/e"},
	{MKDIR, .path = "d/e"},
	{SYMLINK, .path = "d/link", .text = "over/there"},
	/* Keys that are being made. */
	{CREATE, .slot = 'a', .path = "k", .flags = WO},
	{STAT, .path = "k"},
	{STAT, .path = "k", .who = &BOB},
	{WRITE, .slot = 'a', .text = "some bytes"},
	{WRITE, .slot = 'a', .text = "BYTES", .offset = 5},
	{WRITE, .slot = 'a', .text = "far", .offset = 20},
	{CHMOD, .slot = 'a', .size = 0600},
	{SET, .slot = 'a', .name = "user.mine", .text = "staged"},
	{SET, .slot = 'a', .name = CUBBY("action"), .text = "because"},
	{STAT, .slot = 'a'},
	{FLUSH, .slot = 'a'},
	{STAT, .path = "k"},
	{GET, .path = "k", .name = "user.mine"},
	{GET, .path = "k", .name = CUBBY("action")},
	{GET, .path = "k", .name = CUBBY("version")},
	{RELEASE, .slot = 'a'},
	/* O_EXCL; empty ones, at the release; two who make the same. */
	{CREATE, .slot = 'a', .path = "x", .flags = WO | O_EXCL},
	{CREATE, .slot = 'b', .path = "x", .flags = WO | O_EXCL},
	{WRITE, .slot = 'a', .text = "exclusively"},
	{RELEASE, .slot = 'a'},
	{GET, .path = "x", .name = CUBBY("version")},
	{CREATE, .slot = 'a', .path = "empty", .flags = WO},
	{STAT, .path = "empty", .who = &BOB},
	{FLUSH, .slot = 'a'},
	{RELEASE, .slot = 'a'},
	{STAT, .path = "empty", .who = &BOB},
	{CREATE, .slot = 'a', .path = "two", .flags = WO},
	{CREATE, .slot = 'b', .path = "two", .flags = RW},
	{WRITE, .slot = 'a', .text = "from a"},
	{WRITE, .slot = 'b', .text = "from b"},
	{READ, .slot = 'b', .size = 100},
	{FLUSH, .slot = 'a'},
	{STAT, .path = "two", .who = &BOB},
	{FLUSH, .slot = 'b'},
	{RELEASE, .slot = 'b'},
	{RELEASE, .slot = 'a'},
	{GET, .path = "two", .name = CUBBY("version")},
	/* One that is never made: its namespace goes. */
	{MKDIR, .path = "gone"},
	{CREATE, .slot = 'c', .path = "gone/k", .flags = WO},
	{WRITE, .slot = 'c', .text = "lost"},
	{RMDIR, .path = "gone"},
	/* Truncations. */
	{OPEN, .slot = 'a', .path = "k", .flags = RW | O_TRUNC},
	{STAT, .path = "k", .who = &BOB},
	{STAT, .slot = 'a'},
	{WRITE, .slot = 'a', .text = "anew, and longer"},
	{RESIZE, .slot = 'a', .size = 8},
	{RESIZE, .slot = 'a', .size = 12},
	{ALLOCATE, .slot = 'a', .size = 14},
	{READ, .slot = 'a', .size = 100},
	{FSYNC, .slot = 'a'},
	{READ, .slot = 'a', .size = 3},
	{READ, .slot = 'a', .size = 3, .offset = 3},
	{WRITE, .slot = 'a', .text = "!", .offset = 7},
	{FLUSH, .slot = 'a'},
	{READ, .slot = 'a', .size = 3, .offset = 6},
	{TOUCH, .slot = 'a'},
	{RELEASE, .slot = 'a'},
	{OPEN, .slot = 'a', .path = "k", .flags = WO | O_TRUNC},
	{RELEASE, .slot = 'a'},
	{GET, .path = "k", .name = CUBBY("version")},
	/* Appends: by themselves, to a stage, to a key that is being made. */
	{OPEN, .slot = 'a', .path = "k", .flags = WO | O_APPEND},
	{WRITE, .slot = 'a', .text = "one,", .flags = O_APPEND},
	{WRITE, .slot = 'a', .text = "two,", .flags = O_APPEND},
	{WRITE, .slot = 'a', .text = "staged,", .offset = 8},
	{WRITE, .slot = 'a', .text = "on top,", .flags = O_APPEND},
	{WRITE, .slot = 'a', .text = "three", .flags = O_APPEND},
	{RELEASE, .slot = 'a'},
	{CREATE, .slot = 'a', .path = "log", .flags = WO | O_APPEND},
	{WRITE, .slot = 'a', .text = "first ", .flags = O_APPEND},
	{OPEN, .slot = 'b', .path = "log", .flags = O_RDONLY, .who = &BOB},
	{READ, .slot = 'b', .size = 3},
	{WRITE, .slot = 'a', .text = "second ", .flags = O_APPEND},
	{READ, .slot = 'b', .size = 6, .offset = 3},
	{WRITE, .slot = 'a', .text = "third ", .flags = O_APPEND},
	{READ, .slot = 'b', .size = 100, .offset = 9},
	{WRITE, .slot = 'a', .text = "fourth ", .flags = O_APPEND},
	{READ, .slot = 'b', .size = 2, .offset = 19},
	{WRITE, .slot = 'a', .text = "fifth ", .flags = O_APPEND},
	{RESIZE, .path = "log", .size = 3, .who = &ALICE_OTHER},
	{READ, .slot = 'b', .size = 100, .offset = 21},
	{READ, .slot = 'b', .size = 100},
	{RELEASE, .slot = 'b'},
	{RELEASE, .slot = 'a'},
	{GET, .path = "log", .name = CUBBY("version")},
};

static const struct step names[] = {
	{CREATE, .slot = 'a', .path = "k", .flags = WO},
	{WRITE, .slot = 'a', .text = "the first value of k"},
	{RELEASE, .slot = 'a'},
	{CREATE, .slot = 'a', .path = "other", .flags = WO},
	{WRITE, .slot = 'a', .text = "the other"},
	{RELEASE, .slot = 'a'},
	/* Readers in the middle of what is replaced. */
	{OPEN, .slot = 'r', .path = "k", .flags = O_RDONLY, .who = &BOB},
	{OPEN, .slot = 'w', .path = "k", .flags = RW},
	{OPEN, .slot = 'e', .path = "k", .flags = O_RDONLY},
	{READ, .slot = 'r', .size = 4},
	{READ, .slot = 'w', .size = 4},
	{OPEN, .slot = 'a', .path = "k", .flags = WO | O_TRUNC, .who = &ALICE_OTHER},
	{WRITE, .slot = 'a', .text = "THE SECOND VALUE OF K", .who = &ALICE_OTHER},
	{FLUSH, .slot = 'a', .who = &ALICE_OTHER},
	{READ, .slot = 'r', .size = 4, .offset = 4},
	{READ, .slot = 'w', .size = 4, .offset = 4},
	{READ, .slot = 'e', .size = 4},
	{WRITE, .slot = 'a', .text = "the third value of K.", .who = &ALICE_OTHER},
	{FLUSH, .slot = 'a', .who = &ALICE_OTHER},
	{READ, .slot = 'r', .size = 4, .offset = 8},
	{READ, .slot = 'w', .size = 4, .offset = 8},
	{READ, .slot = 'w', .size = 4, .offset = 2},
	{READ, .slot = 'e', .size = 100, .offset = 4},
	{CHMOD, .path = "k", .size = 0640},
	{READ, .slot = 'r', .size = 3, .offset = 12},
	/* One who has read, written and committed goes on in what he has written. */
	{READ, .slot = 'w', .size = 5},
	{WRITE, .slot = 'w', .text = "mine", .offset = 5},
	{FLUSH, .slot = 'w'},
	{READ, .slot = 'w', .size = 5, .offset = 5},
	{WRITE, .slot = 'a', .text = "theirs", .who = &ALICE_OTHER},
	{WRITE, .slot = 'w', .text = "mine too", .offset = 12},
	{RELEASE, .slot = 'a', .who = &ALICE_OTHER},
	{STAT, .slot = 'w'},
	{FLUSH, .slot = 'w'},
	{GET, .path = "k", .name = CUBBY("version")},
	/* Names go while they are open. */
	{UNLINK, .path = "k"},
	{UNLINK, .path = "k"},
	{STAT, .slot = 'r'},
	{READ, .slot = 'r', .size = 100, .offset = 15},
	{READ, .slot = 'r', .size = 100},
	{WRITE, .slot = 'w', .text = "still written", .offset = 3},
	{FLUSH, .slot = 'w'},
	{WRITE, .slot = 'w', .text = "+", .flags = O_APPEND},
	{WRITE, .slot = 'w', .text = "++", .flags = O_APPEND},
	{SET, .slot = 'w', .name = "user.nameless", .text = "all the same"},
	{GET, .slot = 'w', .name = "user.nameless"},
	{CHMOD, .slot = 'w', .size = 0604},
	{STAT, .slot = 'w'},
	{READ, .slot = 'e', .size = 100},
	{OPEN, .slot = 'n', .path = "other", .flags = RW},
	{READ, .slot = 'n', .size = 2},
	{CREATE, .slot = 'a', .path = "k", .flags = WO},
	{WRITE, .slot = 'a', .text = "k once more"},
	{RENAME, .path = "other", .text = "k"},
	{RELEASE, .slot = 'a'},
	{RENAME, .path = "k", .text = "k2"},
	{RENAME, .path = "k", .text = "k2"},
	{OPEN, .slot = 'o', .path = "k2", .flags = O_RDONLY},
	{CREATE, .slot = 'a', .path = "k3", .flags = WO | O_EXCL},
	{WRITE, .slot = 'a', .text = "three"},
	{RENAME, .path = "k3", .text = "k2"},
	{FLUSH, .slot = 'a'},
	{READ, .slot = 'o', .size = 100},
	{READ, .slot = 'n', .size = 100, .offset = 2},
	{STAT, .slot = 'o'},
	{STAT, .slot = 'a'},
	{RENAME, .path = "k2", .text = "r", .flags = RENAME_NOREPLACE},
	{CREATE, .slot = 'b', .path = "s", .flags = WO | O_EXCL},
	{RENAME, .path = "r", .text = "s", .flags = RENAME_EXCHANGE},
	{STAT, .path = "r"},
	{LINK, .path = "s", .text = "s2"},
	{LINK, .path = "s", .text = "s2"},
	{UNLINK, .path = "s"},
	{STAT, .slot = 'a'},
	{UNLINK, .path = "s2"},
	{STAT, .slot = 'a'},
	{READ, .slot = 'a', .size = 10},
	{RELEASE, .slot = 'n'},
	{RELEASE, .slot = 'e'},
};

static const struct step attributes[] = {
	{CREATE, .slot = 'a', .path = "n", .flags = WO},
	{WRITE, .slot = 'a', .text = "41"},
	{RELEASE, .slot = 'a'},
	{OPEN, .slot = 'r', .path = "n", .flags = O_RDONLY},
	{READ, .slot = 'r', .size = 1},
	{SET, .path = "n", .name = CUBBY("increment"), .text = "1"},
	{SET, .slot = 'r', .name = CUBBY("increment"), .text = "5"},
	{READ, .slot = 'r', .size = 10, .offset = 1},
	{READ, .slot = 'r', .size = 10},
	{SET, .path = "n", .name = CUBBY("increment"), .text = "x"},
	{SET, .path = "n", .name = "user.a", .text = "one", .flags = XATTR_CREATE},
	{SET, .path = "n", .name = "user.a", .text = "two", .flags = XATTR_CREATE},
	{REMOVE, .path = "n", .name = "user.a"},
	{REMOVE, .path = "n", .name = "user.a"},
	{CREATE, .slot = 'a', .path = "j", .flags = WO},
	{WRITE, .slot = 'a', .text = "{\"n\":1,\"list\":[1]}"},
	{RELEASE, .slot = 'a'},
	{SET, .path = "j", .name = CUBBY("update"),
		.text = "[{\"type\":\"increment\",\"path\":\"n\",\"by\":2},"
			"{\"type\":\"append\",\"path\":\"list\",\"value\":\"x\"}]"},
	/* Only at this revision: through the handle, and staged. */
	{OPEN, .slot = 'w', .path = "j", .flags = RW},
	{WRITE, .slot = 'w', .text = "{\"n\":7}    "},
	{SET, .slot = 'w', .name = CUBBY("cas"), .text = "8"},
	{FLUSH, .slot = 'w'},
	{WRITE, .slot = 'w', .text = "{\"n\":8}"},
	{SET, .slot = 'w', .name = "user.b", .text = "with the value"},
	{SET, .slot = 'w', .name = CUBBY("ttl"), .text = "30"},
	{REMOVE, .slot = 'w', .name = "user.none"},
	{TOUCH, .slot = 'w'},
	{STAT, .slot = 'w'},
	{STAT, .path = "j", .who = &BOB},
	{FLUSH, .slot = 'w'},
	{GET, .path = "j", .name = "user.b"},
	{GET, .path = "j", .name = CUBBY("ttl")},
	{SET, .slot = 'w', .name = CUBBY("ttl"), .text = "7"},
	/* What is too long is refused, and then it fits. */
	{MKDIR, .path = "small"},
	{SET, .path = "small", .name = CUBBY("max_value"), .text = "10"},
	{CREATE, .slot = 's', .path = "small/k", .flags = WO},
	{WRITE, .slot = 's', .text = "much too long"},
	{WRITE, .slot = 's', .text = "short"},
	{FLUSH, .slot = 's'},
	{RESIZE, .slot = 's', .size = 4},
	{FLUSH, .slot = 's'},
	{STAT, .path = "small/k"},
	/* Expiry, with who has it open. */
	{MKDIR, .path = "t"},
	{SET, .path = "t", .name = CUBBY("default_ttl"), .text = "10"},
	{CREATE, .slot = 'a', .path = "t/one", .flags = WO},
	{WRITE, .slot = 'a', .text = "mortal"},
	{FLUSH, .slot = 'a'},
	{CREATE, .slot = 'b', .path = "t/two", .flags = WO | O_EXCL},
	{OPEN, .slot = 'c', .path = "t/one", .flags = O_RDONLY},
	{READ, .slot = 'c', .size = 2},
	{TICK, .size = 5},
	{TOUCH, .path = "t/two"},
	{TICK, .size = 6},
	{READ, .slot = 'c', .size = 10, .offset = 2},
	{READ, .slot = 'c', .size = 10},
	{STAT, .slot = 'c'},
	{WRITE, .slot = 'a', .text = "too late"},
	{FLUSH, .slot = 'a'},
	{LIST, .path = "t"},
	{TICK, .size = 30},
	{LIST, .path = "t"},
	{.kind = LIST},
	{CREATE, .slot = 'd', .path = "t/one", .flags = WO | O_EXCL},
	{WRITE, .slot = 'd', .text = "again"},
	{RELEASE, .slot = 'd'},
	/* A name that has expired and was not swept away yet is in the way. */
	{SET, .path = "n", .name = CUBBY("ttl"), .text = "2"},
	{TICK, .size = 1},
	{SET, .path = "t/one", .name = CUBBY("ttl"), .text = "0.5"},
	{CREATE, .slot = 'd', .path = "t/one", .flags = WO | O_EXCL},
	/* A whole namespace. */
	{MKDIR, .path = "t/sub"},
	{CREATE, .slot = 'e', .path = "t/sub/k", .flags = RW | O_EXCL},
	{WRITE, .slot = 'e', .text = "deep"},
	{FSYNC, .slot = 'e'},
	{LINK, .path = "t/sub/k", .text = "t/sub/k2"},
	{SET, .path = "t/sub", .name = CUBBY("ttl"), .text = "3"},
	{TICK, .size = 4},
	{READ, .slot = 'e', .size = 10},
	{STAT, .slot = 'e'},
	{LIST, .path = "t"},
};

static const struct step locks[] = {
	{MKDIR, .path = "locks"},
	{SET, .path = "locks", .name = CUBBY("lock_ttl"), .text = "5"},
	{CREATE, .slot = 'l', .path = "locks/a", .flags = WO | O_EXCL},
	{CREATE, .slot = 'm', .path = "locks/a", .flags = WO | O_EXCL, .who = &BOB},
	{GET, .path = "locks/a", .name = CUBBY("token")},
	{GET, .path = "locks/a", .name = CUBBY("holder")},
	{WRITE, .slot = 'l', .text = "held by me"},
	{TOUCH, .slot = 'l'},
	{TICK, .size = 4},
	{FLUSH, .slot = 'l'},
	{TICK, .size = 4},
	{STAT, .path = "locks/a"},
	{UNLINK, .path = "locks/a"},
	{CREATE, .slot = 'm', .path = "locks/a", .flags = WO | O_EXCL, .who = &BOB},
	{GET, .path = "locks/a", .name = CUBBY("token")},
	{STAT, .slot = 'l'},
	{TICK, .size = 9},
	{WRITE, .slot = 'm', .text = "lost it", .who = &BOB},
	{STAT, .slot = 'm', .who = &BOB},
	{LIST, .path = "locks"},
	/* Advisory ones. */
	{CREATE, .slot = 'a', .path = "k", .flags = RW},
	{WRITE, .slot = 'a', .text = "..................."},
	{FLUSH, .slot = 'a'},
	{OPEN, .slot = 'b', .path = "k", .flags = RW, .who = &ALICE_OTHER},
	{FLOCK, .slot = 'a', .flags = EX, .owner = 11},
	{FLOCK, .slot = 'b', .flags = SH, .owner = 12, .who = &ALICE_OTHER},
	{ASK, .slot = 'a', .flags = STORE_LOCK_FLOCK, .size = 1},
	{FLOCK, .slot = 'a', .flags = SH, .owner = 11},
	{FLOCK, .slot = 'b', .flags = SH, .owner = 12, .who = &ALICE_OTHER},
	{FLOCK, .slot = 'b', .flags = EX, .owner = 12, .who = &ALICE_OTHER},
	{LOCK, .slot = 'a', .flags = EX, .owner = 1, .offset = 0, .size = 10},
	{LOCK, .slot = 'b', .flags = EX, .owner = 2, .offset = 5, .size = 10, .who = &ALICE_OTHER},
	{LOCK, .slot = 'b', .flags = EX, .owner = 2, .offset = 10, .size = 9, .who = &ALICE_OTHER},
	{WRITE, .slot = 'a', .text = "AA"},
	{WRITE, .slot = 'b', .text = "BB", .offset = 12, .who = &ALICE_OTHER},
	{LOCK, .slot = 'a', .flags = UN, .owner = 1, .offset = 3, .size = 2},
	{ASK, .slot = 'a', .flags = STORE_LOCK_RECORD, .size = 3},
	{ASK, .slot = 'a', .flags = STORE_LOCK_RECORD, .offset = 3, .size = 2},
	{ASK, .slot = 'a', .flags = STORE_LOCK_RECORD, .offset = 4, .size = 2},
	{LOCK, .slot = 'a', .flags = SH, .owner = 1, .offset = 0, .size = 2},
	{LOCK, .slot = 'b', .flags = UN, .owner = 2, .offset = 0, .size = 0, .who = &ALICE_OTHER},
	{READ, .slot = 'a', .size = 100},
	{GET, .path = "k", .name = CUBBY("version")},
	/* Two handles of one process are published by one unlock. */
	{OPEN, .slot = 'c', .path = "k", .flags = RW},
	{LOCK, .slot = 'a', .flags = EX, .owner = 1, .offset = 0, .size = 0},
	{WRITE, .slot = 'a', .text = "aa"},
	{WRITE, .slot = 'c', .text = "cc", .offset = 5},
	{LOCK, .slot = 'a', .flags = UN, .owner = 1, .offset = 0, .size = 0},
	{GET, .path = "k", .name = CUBBY("version")},
	{READ, .slot = 'b', .size = 100, .who = &ALICE_OTHER},
	/* A lock is had while something was written before. */
	{WRITE, .slot = 'a', .text = "Z", .offset = 18},
	{WRITE, .slot = 'b', .text = "Y", .offset = 17, .who = &ALICE_OTHER},
	{FLUSH, .slot = 'b', .who = &ALICE_OTHER},
	{LOCK, .slot = 'a', .flags = EX, .owner = 1, .offset = 1, .size = 1},
	{READ, .slot = 'a', .size = 100},
	{LOCK, .slot = 'c', .flags = EX, .owner = 1, .offset = 7, .size = 1},
	{FLUSH, .slot = 'c'},
	{CLOSE_OWNER, .slot = 'c', .owner = 1},
	{ASK, .slot = 'a', .flags = STORE_LOCK_RECORD, .size = 100},
	{LOCK, .slot = 'c', .flags = SH, .owner = 1, .offset = 7, .size = 1},
	{RELEASE, .slot = 'c'},
	{ASK, .slot = 'a', .flags = STORE_LOCK_RECORD, .size = 100},
	{UNLINK, .path = "k"},
	{LOCK, .slot = 'a', .flags = SH, .owner = 1, .offset = 7, .size = 1},
	{FLOCK, .slot = 'a', .flags = UN, .owner = 11},
	{ASK, .slot = 'b', .flags = STORE_LOCK_FLOCK, .size = 1},
	{RELEASE, .slot = 'b', .who = &ALICE_OTHER},
	{ASK, .slot = 'a', .flags = STORE_LOCK_FLOCK, .size = 1},
	{ASK, .slot = 'a', .flags = STORE_LOCK_RECORD, .size = 100},
};

/* --- a life, and those that come after it ----------------------------------------- */

/* Where it can be killed. */
enum spot {
	PUBLICATION,
	BEFORE_APPEND,
	AFTER_APPEND,
	BEFORE_ANSWER,
	AFTER_ANSWER,
	SPOTS,
};

struct life {
	struct bench b;
	struct fault_disk *disk;
	int fd;
	struct keep *keep;
	uint64_t n_notices;
	const struct step *steps;
	size_t n_steps, at;
	bool sent;   /* the step at `at` */
	bool resent; /* to one who was killed */
	bool settled;
	/* What the clients know. */
	uint64_t handles[SLOTS], inos[SLOTS];
	uint64_t ino, parent, to_parent; /* of the request that is under way */
	struct buffer told;	  /* all answers */
	char answer[2000];
	bool answered;
	/* When it is killed: so many places on; 0: never. */
	unsigned kills[KILLS_MAX];
	unsigned n_kills;
	unsigned passed;     /* places, in this life */
	unsigned passes[SPOTS];
};

static struct life life;

static _Noreturn void end_of_child(int status);
static void run(void);
static void begin(void);

static void die(void)
{
	struct fault_disk *disk = fault_disk_copy(life.disk);

	/* Nothing of the old one is touched any more. */
	for (unsigned i = 0; i + 1 < KILLS_MAX; i++) {
		life.kills[i] = life.kills[i + 1];
	}
	life.kills[KILLS_MAX - 1] = 0;
	life.n_kills++;
	life.passed = 0;
	life.disk = disk;
	life.b.s = NULL;
	life.b.config.disk = fault_disk_of(disk);
	life.resent = !life.answered && life.sent;
	life.sent = life.resent;
	life.at += life.answered;
	life.answered = false;
	begin();
	run();
	end_of_child(0);
}

static void pass(enum spot spot)
{
	life.passes[spot]++;
	if (++life.passed == life.kills[0]) {
		die();
	}
}

static void on_publish(void *arg)
{
	(void)arg;
	pass(PUBLICATION);
}

/* --- a backend that it can die in --------------------------------------------------- */

static struct backend_ops backend_deadly;

struct appended {
	backend_done *done;
	void *arg;
};

static void on_append(void *arg, int status)
{
	struct appended a = *(struct appended *)arg;

	free(arg);
	pass(AFTER_APPEND);
	a.done(a.arg, status);
}

static void append(struct backend *b, const struct transition *t, backend_done *done, void *arg)
{
	struct appended *a = malloc(sizeof(*a));

	assert_non_null(a);
	*a = (struct appended){.done = done, .arg = arg};
	pass(BEFORE_APPEND);
	backend_journal.append(b, t, on_append, a);
}

/* --- notices ------------------------------------------------------------------------- */

static const char *const notice_kinds[] = {"modified", "written", "removed", "mortal"};

/* As fs/announcer.c does: what is to be told is in the keep until it is. */
static void take_notice(void *arg, const struct store_notice *n)
{
	_cleanup_free_ char *text = NULL;

	(void)arg;
	assert_true(asprintf(&text, "%s %.*s ino %" PRIu64 " below %" PRIu64 " mode %o size %jd %d\n",
			    notice_kinds[n->kind], (int)n->path.size, n->path.data, n->ino,
			    n->kind == STORE_NOTICE_REMOVED ? n->parent : 0, n->mode,
			    n->kind == STORE_NOTICE_REMOVED ? (intmax_t)n->stat->st_size : 0,
			    n->n_way > 0) > 0);
	keep_put(life.keep, KEEP_JOB, ++life.n_notices, bytes_of_string(text));
}

static unsigned room(void *arg)
{
	(void)arg;
	return 1000;
}

static const struct store_listener listener = {.notice = take_notice, .room = room};

static void count_notice(void *arg, uint64_t id, struct bytes bytes)
{
	uint64_t *n = arg;

	(void)bytes;
	*n = id > *n ? id : *n;
}

/* --- answers --------------------------------------------------------------------------- */

static const struct step *step(void)
{
	return &life.steps[life.at];
}

static uint64_t number(void)
{
	return life.at + 1;
}

static bool is_guarded(enum kind kind)
{
	return kind == UNLINK || kind == RMDIR || kind == RENAME || kind == MKDIR ||
	       kind == SYMLINK || kind == LINK || kind == SET || kind == REMOVE;
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	size_t size = strlen(life.answer);
	va_list args;

	va_start(args, format);
	vsnprintf(life.answer + size, sizeof(life.answer) - size, format, args);
	va_end(args);
}

static void say_bytes(struct bytes b)
{
	say(" '");
	for (size_t i = 0; i < b.size; i++) {
		say(b.data[i] >= ' ' && b.data[i] <= '~' ? "%c" : "\\%02x", (unsigned char)b.data[i]);
	}
	say("'");
}

static void say_stat(const struct stat *st)
{
	say(" ino %ju mode %o links %ju size %jd m %jd.%09ld c %jd.%09ld", (uintmax_t)st->st_ino,
		st->st_mode, (uintmax_t)st->st_nlink, (intmax_t)st->st_size,
		(intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec, (intmax_t)st->st_ctim.tv_sec,
		st->st_ctim.tv_nsec);
}

/* As fs/session.c's write_reply. */
static void give_answer(int rc)
{
	bool guarded = rc == 0 && is_guarded(step()->kind);
	const uint64_t always = 0;

	if (guarded) {
		keep_put(life.keep, KEEP_GUARD, number(), bytes_of(&always, sizeof(always)));
	}
	store_publish(life.b.s);
	pass(BEFORE_ANSWER);
	buffer_printf(&life.told, "%zu: %d%s\n", life.at, rc, life.answer);
	life.answered = true;
	pass(AFTER_ANSWER);
	if (guarded) {
		keep_drop(life.keep, KEEP_GUARD, number());
	}
}

static void answer(void *arg, int rc, const struct store_result *result)
{
	bool hands_out = step()->kind == CREATE || step()->kind == MKDIR ||
		step()->kind == SYMLINK || step()->kind == LINK;

	(void)arg;
	if (rc == 0 && step()->kind == CREATE) {
		life.handles[step()->slot - 'a'] = result->handle;
		life.inos[step()->slot - 'a'] = result->ino;
	}
	if (rc == 0 && (hands_out || step()->kind == CHMOD || step()->kind == TOUCH ||
			       step()->kind == RESIZE)) {
		say_stat(&result->stat);
	}
	if (rc == 0 && hands_out) {
		store_forget(life.b.s, result->ino, 1);
	}
	give_answer(rc);
}

/* --- requests -------------------------------------------------------------------------- */

/* Finds the namespace that a path's last name is in. */
static uint64_t walk(const char *path, const char **name)
{
	uint64_t ino = ROOT_INO;
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		char one[20] = {0};

		memcpy(one, path, (size_t)(slash - path));
		ino = bench_ino(&life.b, ino, one);
		path = slash + 1;
	}
	*name = path;
	return ino;
}

static uint64_t handle_of_step(void)
{
	return step()->slot ? life.handles[step()->slot - 'a'] : 0;
}

/* Whose numbers the kernel knows: they are looked up once. */
static void resolve(const char **name, const char **to_name)
{
	const struct step *t = step();
	uint64_t parent = t->path ? walk(t->path, name) : ROOT_INO;
	uint64_t to_parent = t->kind == RENAME || t->kind == LINK ? walk(t->text, to_name) : 0;

	if (life.resent) {
		return;
	}
	life.parent = parent;
	life.to_parent = to_parent;
	life.ino = t->slot && t->kind != OPEN && t->kind != CREATE ? life.inos[t->slot - 'a'] :
		t->path ? bench_ino(&life.b, life.parent, *name) : ROOT_INO;
}

static void lookup_answer(const char *name)
{
	int rc = bench_lookup(&life.b, life.parent, name);

	if (rc == 0) {
		say_stat(&life.b.st);
	}
	give_answer(rc);
}

/* As fs/ops_resent.c. */
static bool was_answered_by_state(const struct store_caller *caller, const char *name,
	const char *to_name)
{
	const struct step *t = step();
	struct store *s = life.b.s;
	uint64_t ino, handle;
	bool applied;
	int rc;

	if (!life.resent) {
		return false;
	}
	applied = store_has_applied(s, number());
	switch (t->kind) {
	case OPEN:
	case CREATE:
		if (store_find_opened(s, number(), &ino, &handle)) {
			assert_int_equal(bench_getattr(&life.b, ino), 0);
		} else if (t->kind == CREATE && applied) {
			rc = bench_lookup(&life.b, life.parent, name);
			assert_int_equal(rc, 0);
			ino = life.b.st.st_ino;
			rc = store_open_key(s, caller, ino, t->flags & ~(O_TRUNC | O_EXCL), &handle);
			assert_int_equal(rc, 0);
		} else {
			return false;
		}
		life.handles[t->slot - 'a'] = handle;
		life.inos[t->slot - 'a'] = ino;
		if (t->kind == CREATE) {
			say_stat(&life.b.st);
		}
		give_answer(0);
		return true;
	case MKDIR:
	case SYMLINK:
		if (applied) {
			lookup_answer(name);
		}
		return applied;
	case LINK:
		if (applied) {
			life.parent = life.to_parent;
			lookup_answer(to_name);
		}
		return applied;
	case CHMOD:
	case TOUCH:
	case RESIZE:
		if (applied) {
			rc = bench_getattr(&life.b, life.ino);
			if (rc == 0) {
				say_stat(&life.b.st);
			}
			give_answer(rc);
		}
		return applied;
	case UNLINK:
	case RMDIR:
	case RENAME:
	case SET:
	case REMOVE:
	case WRITE:
		if (applied) {
			give_answer(0);
		}
		return applied;
	default:
		return false;
	}
}

static bool list_name(void *arg, const struct store_name *name)
{
	(void)arg;
	say(" %.*s", (int)name->name.size, name->name.data);
	return true;
}

static void say_lock(void)
{
	const struct step *t = step();
	struct store_lock wanted = {
		.kind = (enum store_lock_kind)t->flags,
		.type = EX,
		.start = t->offset,
		.end = t->offset + t->size - 1,
		.owner = 99,
	}, found;

	if (wanted.kind == STORE_LOCK_FLOCK) {
		wanted.start = 0;
		wanted.end = UINT64_MAX;
	}
	store_getlk(life.b.s, life.ino, &wanted, &found);
	say(" %d", found.type);
	if (found.type != UN) {
		say(" %" PRIu64 " to %" PRIu64 " of %" PRIu64 " pid %d", found.start, found.end,
			found.owner, found.pid);
	}
	give_answer(0);
}

static void send_lock(const struct store_caller *caller, struct store_reply reply)
{
	const struct step *t = step();
	struct store_lock lock = {
		.kind = t->kind == FLOCK ? STORE_LOCK_FLOCK : STORE_LOCK_RECORD,
		.type = (enum store_lock_type)t->flags,
		.start = t->offset,
		.end = t->size ? t->offset + t->size - 1 : UINT64_MAX,
		.owner = t->owner,
		.pid = t->kind == LOCK ? caller->pid : 0,
		.handle = handle_of_step(),
	};

	assert_int_equal(store_setlk(life.b.s, caller, life.ino, &lock, false, reply), 0);
}

static void send(void)
{
	const struct step *t = step();
	struct store_caller caller = *life.b.who;
	const struct store_reply reply = {.done = answer};
	struct store *s = life.b.s;
	uint64_t handle = handle_of_step();
	const char *name = NULL, *to_name = NULL;
	struct bytes b;
	_cleanup_buffer_ struct buffer out = {0};
	struct stat attr = {0};
	int rc;

	caller.request = number();
	resolve(&name, &to_name);
	if (was_answered_by_state(&caller, name, to_name)) {
		return;
	}
	switch (t->kind) {
	case OPEN:
		rc = store_open_key(s, &caller, life.ino, t->flags, &handle);
		if (rc == 0) {
			life.handles[t->slot - 'a'] = handle;
			life.inos[t->slot - 'a'] = life.ino;
		}
		give_answer(rc);
		break;
	case CREATE:
		store_create(s, &caller, life.parent, name, 0644, t->flags, reply);
		break;
	case WRITE:
		store_write(s, &caller, handle, bytes_of_string(t->text), t->offset, t->flags, reply);
		break;
	case READ:
		rc = store_read(s, &caller, handle, t->offset, t->size, &b);
		if (rc == 0) {
			say_bytes(b);
		}
		give_answer(rc);
		break;
	case RESIZE:
		attr.st_size = (off_t)t->size;
		store_setattr(s, &caller, life.ino, handle, &attr, STORE_SET_SIZE, reply);
		break;
	case ALLOCATE:
		give_answer(store_allocate(s, &caller, handle, t->size));
		break;
	case CHMOD:
		attr.st_mode = (mode_t)t->size;
		store_setattr(s, &caller, life.ino, handle, &attr, STORE_SET_MODE, reply);
		break;
	case TOUCH:
		store_setattr(s, &caller, life.ino, handle, &attr,
			STORE_SET_MTIME_NOW | STORE_SET_ATIME_NOW, reply);
		break;
	case FLUSH:
		store_flush(s, &caller, handle, reply);
		break;
	case FSYNC:
		store_fsync(s, &caller, handle, reply);
		break;
	case RELEASE:
		store_release(s, handle);
		give_answer(0);
		break;
	case STAT:
		rc = life.ino ? bench_getattr(&life.b, life.ino) : STORE_NOT_FOUND;
		if (rc == 0) {
			say_stat(&life.b.st);
		}
		give_answer(rc);
		break;
	case UNLINK:
		store_unlink(s, &caller, life.parent, name, reply);
		break;
	case MKDIR:
		store_mknod(s, &caller, life.parent, name, S_IFDIR | 0755, 0, reply);
		break;
	case RMDIR:
		store_rmdir(s, &caller, life.parent, name, reply);
		break;
	case RENAME:
		store_rename(s, &caller, life.parent, name, life.to_parent, to_name,
			(unsigned)t->flags, reply);
		break;
	case LINK:
		store_link(s, &caller, life.ino, life.to_parent, to_name, reply);
		break;
	case SYMLINK:
		store_symlink(s, &caller, life.parent, name, t->text, reply);
		break;
	case SET:
		store_setxattr(s, &caller, life.ino, t->name, bytes_of_string(t->text), t->flags,
			reply);
		break;
	case REMOVE:
		store_removexattr(s, &caller, life.ino, t->name, reply);
		break;
	case GET:
		rc = store_getxattr(s, &caller, life.ino, t->name, &out);
		if (rc == 0) {
			say_bytes(buffer_bytes(&out));
		}
		give_answer(rc);
		break;
	case LIST:
		rc = store_readdir(s, &caller, life.ino, 0, list_name, NULL);
		give_answer(rc);
		break;
	case FLOCK:
	case LOCK:
		send_lock(&caller, reply);
		break;
	case ASK:
		say_lock();
		break;
	case CLOSE_OWNER:
		store_unlock_owner(s, &caller, life.ino, t->owner, reply);
		break;
	case TICK:
		break;
	}
}

/* As session.c's nothing_is_resent. */
static void settle(void)
{
	if (!life.settled) {
		life.settled = true;
		store_settle(life.b.s);
		store_publish(life.b.s);
		keep_settle(life.keep);
	}
}

/* One turn of the loop. */
static void turn(void)
{
	life.answered = false;
	life.answer[0] = 0;
	life.b.who = step()->who ? step()->who : &ALICE;
	if (!life.resent) {
		settle();
		bench_advance(&life.b, SECOND / 100);
		if (step()->kind == TICK) {
			bench_advance(&life.b, (int64_t)step()->size * SECOND);
		}
		life.sent = true;
	}
	if (step()->kind == TICK) {
		settle();
		while (store_tick(life.b.s) == 0) {
		}
		life.answered = true;
	} else {
		send();
		while (!life.answered) {
			struct pollfd p = {.fd = store_poll_fd(life.b.s), .events = POLLIN};

			poll(&p, 1, -1);
			store_dispatch(life.b.s);
		}
	}
	store_publish(life.b.s);
	life.at++;
	life.answered = life.sent = life.resent = false;
}

static void run(void)
{
	while (life.at < life.n_steps) {
		turn();
	}
	life.kills[0] = 0;
}

static void begin(void)
{
	assert_int_equal(keep_open(&life.keep, life.fd), 0);
	keep_on_publish(life.keep, on_publish, NULL);
	life.n_notices = 0;
	keep_each(life.keep, KEEP_JOB, count_notice, &life.n_notices);
	life.b.config.keep = life.keep;
	life.settled = false;
	bench_open(&life.b);
	store_listen(life.b.s, &listener);
}

static void init(const struct step *steps, size_t n)
{
	life = (struct life){.steps = steps, .n_steps = n};
	backend_deadly = backend_journal;
	backend_deadly.append = append;
	bench_init(&life.b, BENCH_MEMORY);
	life.b.kind = BENCH_JOURNAL;
	life.disk = fault_disk_create();
	life.b.config.disk = fault_disk_of(life.disk);
	life.b.config.location = "/store";
	life.b.config.backend = &backend_deadly;
	life.b.config.commit = 0;
	life.fd = keep_create_file();
	assert_true(life.fd >= 0);
}

static void say_notice(void *arg, uint64_t id, struct bytes bytes)
{
	char **texts = arg;

	assert_in_range(id, 1, STEPS_MAX - 1);
	texts[id] = strndup(bytes.data, bytes.size);
}

/* All that there is in the end; what clients were told is before it. */
static char *sum_up(void)
{
	char *texts[STEPS_MAX] = {NULL}, *dump;
	struct keep *k;

	dump = bench_dump(&life.b);
	buffer_append_string(&life.told, dump);
	free(dump);
	buffer_printf(&life.told, "handles %" PRIu64 " staged %" PRIu64 " locks %" PRIu64 "\n",
		bench_stat(&life.b, NULL, "open_handles"), bench_stat(&life.b, NULL, "staged_bytes"),
		bench_stat(&life.b, NULL, "advisory_locks"));
	store_publish(life.b.s);
	assert_int_equal(keep_open(&k, life.fd), 0);
	keep_each(k, KEEP_JOB, say_notice, texts);
	keep_close(k);
	for (size_t i = 0; i < STEPS_MAX; i++) {
		if (texts[i]) {
			buffer_append_string(&life.told, texts[i]);
			free(texts[i]);
		}
	}
	buffer_append(&life.told, "", 1);
	return life.told.data;
}

/* --- the sweep ------------------------------------------------------------------------------ */

/* What a child has to say, in memory that it shares. */
struct report {
	unsigned n_kills;
	char told[100000];
};

static struct report *report;

static _Noreturn void end_of_child(int status)
{
	char *told = sum_up();

	report->n_kills = life.n_kills;
	snprintf(report->told, sizeof(report->told), "%s", told);
	fflush(NULL);
	_exit(status);
}

/* Returns what was told, as in `report`. */
static void live(const struct step *steps, size_t n, const unsigned *kills)
{
	int status;
	pid_t child;

	report->told[0] = 0;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		alarm(ALARM);
		init(steps, n);
		memcpy(life.kills, kills, sizeof(life.kills));
		begin();
		run();
		end_of_child(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fail_msg("killed after %u, %u, %u: status %x", kills[0], kills[1], kills[2], status);
	}
}

static uint64_t tried, tried_again;
static unsigned only[KILLS_MAX];

static bool differs(const char *expected, const unsigned *kills)
{
	const char *a = expected, *b = report->told;

	if (strcmp(a, b) == 0) {
		return false;
	}
	print_error("killed after %u, %u, %u places:\n", kills[0], kills[1], kills[2]);
	for (unsigned n = 0; n < 5 && (*a || *b);) {
		size_t i = strcspn(a, "\n"), k = strcspn(b, "\n");

		if (i != k || memcmp(a, b, i) != 0) {
			print_error("  was: %.*s\n  is:  %.*s\n", (int)i, a, (int)k, b);
			n++;
		}
		a += i + (a[i] != 0);
		b += k + (b[k] != 0);
	}
	return true;
}

static void sweep(const struct step *steps, size_t n)
{
	_cleanup_free_ char *expected = NULL;
	unsigned kills[KILLS_MAX] = {0}, failed = 0;

	live(steps, n, kills);
	assert_int_equal(report->n_kills, 0);
	expected = strdup(report->told);
	assert_non_null(expected);
	if (getenv("CUBBY_SHOW")) {
		puts(expected);
	}
	if (only[0]) {
		live(steps, n, only);
		assert_false(differs(expected, only));
		return;
	}
	for (unsigned first = 1; failed < 8; first += STRIDE) {
		kills[0] = first;
		/* Sometimes the next ones do not live long either. */
		kills[1] = first % 3 == 0 ? 1 + first / 3 % 7 : 0;
		kills[2] = first % 9 == 0 ? 1 + first / 9 % 4 : 0;
		live(steps, n, kills);
		if (report->n_kills == 0) {
			break;
		}
		tried += report->n_kills;
		tried_again += report->n_kills - 1;
		failed += differs(expected, kills);
	}
	assert_int_equal(failed, 0);
}

#define SWEEP(name)                                                                                \
	static void name##_outlive_it(void **state)                                                \
	{                                                                                          \
		(void)state;                                                                       \
		sweep(name, sizeof(name) / sizeof((name)[0]));                                     \
	}

SWEEP(files)
SWEEP(names)
SWEEP(attributes)
SWEEP(locks)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_outlive_it),
		cmocka_unit_test(names_outlive_it),
		cmocka_unit_test(attributes_outlive_it),
		cmocka_unit_test(locks_outlive_it),
	};
	int rc;

	if (argc > 1) {
		cmocka_set_test_filter(argv[1]);
	}
	for (int i = 0; i < KILLS_MAX && i + 2 < argc; i++) {
		only[i] = (unsigned)strtoul(argv[i + 2], NULL, 10);
	}
	log_init("test_handover", LOG_WARNING);
	report = mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (report == MAP_FAILED) {
		return 1;
	}
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	printf("killed %" PRIu64 " times, %" PRIu64 " of them soon after another\n", tried,
		tried_again);
	return rc;
}
