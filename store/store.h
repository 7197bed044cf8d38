/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The state store: a tree of namespaces and keys, kept by a log.
 *
 * This is the whole public face; the front end and the command-line tool
 * include nothing else of store/. There is no FUSE in it.
 *
 * Threads. All calls for a store come from one thread at a time, but for store_sync; callbacks
 * are made on that thread, from within a call or from store_dispatch, and may
 * themselves call the store; the answer to such a call may come after it has
 * returned.
 *
 * Results. 0 is success. A positive enum store_outcome is an answer that a
 * caller must expect; a negative errno is a fault (-EIO, -ENOSPC, -ENOMEM,
 * -EROFS). Calls that change the state answer through a struct store_reply,
 * exactly once, within the call where the log completes at once and later
 * where it does not; what they are given (names, values) is copied if it is
 * needed for longer than the call.
 *
 * Identity. Nodes are named by their inode number, open keys by the number of
 * their handle: no pointer leaves the store.
 *
 * Staging. What is written through a handle is staged, and becomes the value
 * as one revision: when the process that opened the handle closes it
 * (store_flush), at store_fsync, or at the latest when the last descriptor
 * goes (store_release). A key made by store_create without O_EXCL, for
 * writing, does not exist for other processes until then. */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "store/backend.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct json_object;
struct keep;
struct store;
struct store_caller;

enum store_outcome {
	STORE_OK = 0,
	STORE_NOT_FOUND,      /* no such name, expired, or the node is gone */
	STORE_EXISTS,         /* the name is taken */
	STORE_NOT_EMPTY,      /* the namespace has keys */
	STORE_NOT_DIRECTORY,
	STORE_IS_DIRECTORY,
	STORE_NAME_TOO_LONG,
	STORE_INVALID,        /* a value that makes no sense here */
	STORE_OUT_OF_RANGE,   /* a number past 64 bits; a buffer too small */
	STORE_CONFLICT,       /* the revision has moved on */
	STORE_TOO_LARGE,      /* past max_value */
	STORE_TOO_MANY,       /* past max_keys */
	STORE_FULL,           /* past max_bytes, or max_staged */
	STORE_NO_ATTRIBUTE,   /* no such extended attribute */
	STORE_DENIED,         /* not allowed for anybody */
	STORE_UNSUPPORTED,
	STORE_BAD_HANDLE,     /* no such handle, or not open for that */
	STORE_TOO_MANY_LINKS,
	STORE_LOOP,
	STORE_STALE, /* the name has appeared meanwhile: look it up again (ESTALE) */
	STORE_LOST,  /* the lock is not the caller's any more */
	STORE_LOCKED,      /* somebody else's advisory lock is in the way */
	STORE_DEADLOCK,    /* waiting for it would never end */
	STORE_INTERRUPTED, /* the wait was taken back */
};

#define STORE_NAME_MAX 255
/* Of a path within the store. Each line of the log has one, so what is deep is dear. */
#define STORE_PATH_MAX 16384
#define STORE_LINK_MAX 65000
/* Of the extended attributes of one node, counted with 32 bytes for each: STORE_FULL past it. */
#define STORE_XATTRS_MAX (UINT64_C(128) << 10)
#define STORE_MAX_VALUE_DEFAULT (UINT64_C(1) << 20)
/* No value is larger, whatever the policy says. */
#define STORE_MAX_VALUE_LIMIT (UINT64_C(1) << 30)

/* --- changes that nobody's system call tells the kernel of ---------------- */

/* Most changes come by a system call, which raises the inotify events of that
 * change by itself. A notice is for the others, and for what comes too early:
 * the kernel raises IN_MODIFY at write(2), before the commit. */
enum store_notice_kind {
	/* The value has changed after the kernel's IN_MODIFY; its IN_CLOSE_WRITE
	 * is still to come. */
	STORE_NOTICE_MODIFIED,
	/* The value has changed, and no close will say so. */
	STORE_NOTICE_WRITTEN,
	/* A name has gone. */
	STORE_NOTICE_REMOVED,
	/* A name that was said to last has got a deadline, or has come to where all have one. */
	STORE_NOTICE_MORTAL,
};

struct store_notice {
	enum store_notice_kind kind;
	uint64_t ino;
	uint64_t parent;    /* STORE_NOTICE_REMOVED */
	struct bytes path;  /* within the mount; borrowed during the call */
	mode_t mode;
	const struct stat *stat; /* STORE_NOTICE_REMOVED: as it was; borrowed during the call */
	/* STORE_NOTICE_REMOVED where a namespace above goes too: the numbers of the namespaces
	 * of the path; other ones may have their names by now. Borrowed during the call; NULL:
	 * they are those that are there. */
	const uint64_t *way;
	size_t n_way;
};

struct store_listener {
	void (*notice)(void *arg, const struct store_notice *notice);
	/* How many more removals it can take; what has expired is swept away no
	 * faster (it is gone for readers all the same). */
	unsigned (*room)(void *arg);
	void *arg;
};

enum store_watch {
	STORE_ENDED,
	STORE_WATCHED,
	STORE_ALIVE, /* but nobody will tell of its end */
};

struct store_config {
	const char *location; /* STORE of design 1.1; borrowed during open */
	/* Seams; NULL for the system's. Borrowed until store_close. */
	const struct clock *clock;
	struct disk *disk;
	const struct backend_ops *backend; /* instead of what location names */
	/* The process (thread-group id) that a thread belongs to. NULL: the
	 * identity, for callers that are one thread. */
	pid_t (*process_of)(pid_t thread);
	/* How many descriptors a process (still) has that write to a key. NULL:
	 * every close is the last. Called with `arg`. */
	unsigned (*writers_of)(void *arg, pid_t process, uint64_t ino);
	/* Whether a process is in a group, by its supplementary groups too. NULL: no. */
	bool (*in_group)(pid_t process, gid_t gid);
	/* Says in one line of text who the caller is: the holder of a lock. NULL: in
	 * few words. 0 or -ENOMEM. Called with `arg`. */
	int (*holder)(void *arg, const struct store_caller *caller, struct buffer *out);
	/* Whether the process that `holder` has named still lives. If it is STORE_WATCHED
	 * its end is told with store_holder_ended, once, unless unwatch_holder is called
	 * first. NULL, both: no lock is kept alive. Called with `arg`. */
	enum store_watch (*watch_holder)(void *arg, struct bytes holder, uint64_t token);
	void (*unwatch_holder)(void *arg, uint64_t token);
	int64_t lock_ttl;      /* ns: names in ".lock" are locks in every namespace; 0: not */
	bool lock_keepalive;   /* where a namespace does not say */
	int64_t locks_ttl;     /* ns: of the lock namespace `locks` that a new store comes with;
				* 0: with none */
	uint64_t max_value;    /* bytes; 0: default */
	/* Of the whole store: names of all kinds, and bytes of values and attributes. A store
	 * that has more already only grows no further. 0: no limit. */
	uint64_t max_keys, max_bytes;
	/* Of each user but root: bytes staged (STORE_FULL past it), open handles (-EMFILE),
	 * advisory locks and requests that wait for one (-ENOLCK). 0: no limit. */
	uint64_t max_staged, max_open, max_locks;
	int64_t commit;        /* ns until a change is on the disk by itself; 0: only when asked */
	bool sync;             /* every commit answers when it is on the disk */
	bool lends_thread;     /* for syncs: see store_sync */
	bool read_only;        /* nothing is written, no lock is taken */
	uint64_t segment_size; /* 0: default */
	uint64_t compact_min;  /* bytes below which it never compacts by itself; 0: default (8 MiB) */
	int64_t lock_wait;     /* ns to wait for another holder that is ending */
	/* The root of a store that is made new. */
	uid_t uid;
	gid_t gid;
	mode_t mode; /* permission bits */
	/* Progress of the replay in bytes. May be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	/* Adds what the front end knows to store_stats. May be NULL. Called with `arg`. */
	void (*stats)(void *arg, struct json_object *o);
	/* What is open outlives the process in it, see below. NULL: it does not. Borrowed
	 * until store_close. */
	struct keep *keep;
	void *arg; /* of the callbacks */
};

/* Fills in the defaults. */
void store_config_init(struct store_config *config);

/* Opens or makes a store and replays its log. On failure a negative errno or
 * STORE_INVALID/STORE_UNSUPPORTED, and a sentence in *error (owned by the
 * caller). */
int store_open(struct store **out, const struct store_config *config, char **error);

/* Ends everything that is open, syncs, closes. NULL is fine. 0 or the errno
 * of a sync that failed. */
int store_close(struct store *s);

/* --- the loop ---------------------------------------------------------- */

/* A descriptor that is readable when store_dispatch has work, or -1. */
int store_poll_fd(struct store *s);

/* Calls completions that are due. */
void store_dispatch(struct store *s);

/* With config.lends_thread: whether somebody waits for the disk, and no thread is at it yet; and
 * doing it, which takes as long as the disk does. By one thread at a time, while another may call
 * anything but store_close; store_dispatch has completions then, which store_poll_fd does not tell.
 */
bool store_sync_due(struct store *s);
void store_sync(struct store *s);

/* Does what is due by the clock: expires keys, syncs, compacts a slice (for
 * a fifth of a millisecond). Returns ns until it wants to be called again,
 * 0 for at once, -1 for never. Calling it early is harmless. */
int64_t store_tick(struct store *s);

/* Has notices told from now on; one listener, NULL for none. Borrowed. */
void store_listen(struct store *s, const struct store_listener *listener);

/* Has told from now on when attributes that were said to last (store_getattr) are about to
 * change, if not by a call that has the kernel know. One function; NULL for none. It
 * must not call the store. */
void store_warn(struct store *s, void (*stale)(void *arg, uint64_t ino), void *arg);

/* The process that holds this lock, which was kept alive, has ended. */
void store_holder_ended(struct store *s, uint64_t token);

/* --- outliving the process ----------------------------------------------- */

/* With a keep, handles and their numbers, what is staged through them, keys that are being
 * made, nodes without a name that are open, advisory locks and notices that were not told yet
 * survive the end of the process as of the last store_publish: store_open finds them
 * there. To be called before each answer that tells a client of them, and when the loop
 * waits. Changes of the state itself need no keep: the log has them. */
void store_publish(struct store *s);

/* For requests that are sent once more since they were not answered. Whether the change
 * that such a request wanted has been made, so that it must not be made again. */
bool store_has_applied(const struct store *s, uint64_t request);
/* The key that such a request has opened. */
bool store_find_opened(struct store *s, uint64_t request, uint64_t *ino, uint64_t *handle);
/* None is sent once more from now on. */
void store_settle(struct store *s);

/* --- who asks ---------------------------------------------------------- */

struct store_caller {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* a thread's id; 0: unknown */
	/* A number of the request, so that it can be known again if it is sent once more to
	 * who comes after us; 0: it never is. */
	uint64_t request;
};

/* --- answers ----------------------------------------------------------- */

/* What a successful change tells. */
struct store_result {
	uint64_t ino;     /* the node that was made or changed */
	uint64_t handle;  /* store_create */
	size_t size;      /* store_write: bytes taken */
	struct stat stat; /* of `ino`, for calls that make or change a node */
	bool lasts;	  /* name and attributes, see store_lookup */
};

/* `result` is NULL unless rc is 0, and valid only during the call. */
typedef void store_reply_fn(void *arg, int rc, const struct store_result *result);

struct store_reply {
	store_reply_fn *done;
	void *arg;
};

/* --- nodes ------------------------------------------------------------- */

/* Finds `name` in namespace `parent`, fills in *st (st_ino is the number) and
 * counts one reference for the caller to give back with store_forget.
 * *lasts: whether name and attributes stay what they are until a call changes them, or the
 * store warns (store_warn); they don't if there is a deadline, or while something is staged. */
int store_lookup(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, struct stat *st, bool *lasts);

/* One more reference (a reply that hands out a node again). */
void store_remember(struct store *s, uint64_t ino);

/* Gives references back. An unlinked node lives as long as it has references
 * or handles. */
void store_forget(struct store *s, uint64_t ino, uint64_t count);

/* Attributes as the caller may see them: a process that has bytes staged sees
 * their size and time. STORE_NOT_FOUND for a node without a name and without
 * a handle. */
int store_getattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	struct stat *st, bool *lasts);

/* The attributes of a node that has no name that is alive (a namespace that has expired),
 * as if it had one. */
int store_stat_removed(struct store *s, uint64_t ino, struct stat *st);

/* The number of the node that has a name now, 0 if there is none. Counts no
 * reference. */
uint64_t store_number(struct store *s, uint64_t parent, const char *name);

/* Appends the path of one of a node's names. 0, STORE_NOT_FOUND or -ENOMEM. */
int store_path(struct store *s, uint64_t ino, struct buffer *out);

/* What store_setattr sets. */
#define STORE_SET_MODE (1u << 0)
#define STORE_SET_UID (1u << 1)
#define STORE_SET_GID (1u << 2)
#define STORE_SET_SIZE (1u << 3)
#define STORE_SET_ATIME (1u << 4)
#define STORE_SET_MTIME (1u << 5)
#define STORE_SET_ATIME_NOW (1u << 6)
#define STORE_SET_MTIME_NOW (1u << 7)

/* Sets the attributes in `which` from *attr; `handle` 0 or the one that
 * ftruncate(2) was called on. A size set through a handle, or by a process
 * with bytes staged, is staged. Permission is the caller's to check. */
void store_setattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t handle, const struct stat *attr, unsigned which, struct store_reply reply);

/* *target is borrowed until the next call. */
int store_readlink(struct store *s, uint64_t ino, struct bytes *target);

/* Makes a namespace (S_IFDIR), an empty key (S_IFREG), a fifo, a socket or a
 * device; counts a reference as store_lookup does. */
void store_mknod(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, mode_t mode, dev_t rdev, struct store_reply reply);
void store_symlink(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, const char *target, struct store_reply reply);
/* Counts a reference. */
void store_link(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t parent, const char *name, struct store_reply reply);
void store_unlink(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, struct store_reply reply);
void store_rmdir(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, struct store_reply reply);
/* `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE of renameat2(2). */
void store_rename(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, uint64_t to_parent, const char *to_name, unsigned flags,
	struct store_reply reply);

/* Calls fn for each name after `cookie` (0: from the start) in the order of their hashes (see
 * store/directory.h), until it returns false. Cookies stay good while names come and go, and
 * in any other store of the same names, as long as the key of base/hash.h is the same. */
struct store_name {
	struct bytes name;
	uint64_t ino;
	mode_t mode;
	uint64_t cookie;
};
typedef bool store_readdir_fn(void *arg, const struct store_name *name);
int store_readdir(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t cookie, store_readdir_fn *fn, void *arg);

/* The namespace above; the root's is itself. */
int store_parent(struct store *s, uint64_t ino, uint64_t *parent);

/* --- open keys ---------------------------------------------------------- */

/* Opens a key. `flags` as open(2)'s: access mode, O_TRUNC, O_APPEND, O_SYNC. */
int store_open_key(struct store *s, const struct store_caller *caller, uint64_t ino, int flags,
	uint64_t *handle);

/* Makes and opens a key, or (without O_EXCL) opens the one that is there.
 * Counts a reference. */
void store_create(struct store *s, const struct store_caller *caller, uint64_t parent,
	const char *name, mode_t mode, int flags, struct store_reply reply);

/* Reads from what is staged through the handle, or else from the value as of the
 * handle's last read at offset 0; a handle that may write keeps to it only while
 * it reads in sequence. The maker of a key that has never had a value reads
 * what he has staged through any of his handles. *out is borrowed until the next
 *  * call; shorter than `size` only at the end. STORE_STALE: the user has so many handles that
 * keep old values that this one had to let go of its own, and it is not at offset 0. */
int store_read(struct store *s, const struct store_caller *caller, uint64_t handle, uint64_t offset, size_t size, struct bytes *out);

/* Stages; with O_APPEND in `flags` (the descriptor's now) commits. Once a
 * write has failed with STORE_TOO_LARGE the handle commits nothing any more,
 * and every flush and fsync says so, until store_setattr sets a size that fits. */
void store_write(struct store *s, const struct store_caller *caller, uint64_t handle,
	struct bytes data, uint64_t offset, int flags, struct store_reply reply);

/* fallocate(2) with mode 0: the value is at least this long. */
int store_allocate(struct store *s, const struct store_caller *caller, uint64_t handle,
	uint64_t size);

/* close(2) of one of the descriptors: commits what is written, if the caller's
 * process is the one that opened the handle and has no other descriptor that
 * writes to the key. The answer is close's. */
void store_flush(struct store *s, const struct store_caller *caller, uint64_t handle,
	struct store_reply reply);

/* fsync(2): commits, and answers when all is on the disk. Handle 0: only the
 * latter. */
void store_fsync(struct store *s, const struct store_caller *caller, uint64_t handle,
	struct store_reply reply);

/* The last descriptor is gone: commits what is left. The handle is no more;
 * faults are logged, there is nobody to tell. */
void store_release(struct store *s, uint64_t handle);

/* --- advisory locks ------------------------------------------------------- */

/* flock(2)'s and fcntl(2)'s. They bind those who ask, nobody else; the two kinds
 * never meet. They are on numbers: the front end may lock what is no node of the
 * store. A lock is its owner's, another number: for flock(2) the open file, for
 * record locks a process or (F_OFD_SETLK) an open file; which, can't be told.
 *
 * What is staged under a lock is published with it: before an owner gives up a
 * lock (unlocks, or turns an exclusive one into a shared one) what was written
 * through the handle or by the caller's process on that node is committed. If that
 * fails, the lock goes all the same, and the handle's close says so. Where the
 * value has changed since the handle began to write, its changes go on top
 * of what is there: others may have written under locks on other bytes. With a
 * lock a handle also begins to read anew. */
enum store_lock_kind {
	STORE_LOCK_FLOCK,
	STORE_LOCK_RECORD,
};

enum store_lock_type {
	STORE_UNLOCK,
	STORE_LOCK_SHARED,
	STORE_LOCK_EXCLUSIVE,
};

struct store_lock {
	enum store_lock_kind kind;
	enum store_lock_type type;
	uint64_t start, end; /* bytes, both inclusive; flock: 0 and UINT64_MAX */
	uint64_t owner;
	pid_t pid;	 /* for store_getlk to tell */
	uid_t uid;	 /* whose limit it counts for; store_setlk sets it itself */
	uint64_t handle; /* through which; 0: none */
};

/* What would be in the way of *lock: the first, or one of type STORE_UNLOCK. */
void store_getlk(struct store *s, uint64_t ino, const struct store_lock *lock,
	struct store_lock *found);

/* Locks or unlocks. If somebody is in the way: STORE_LOCKED, or with `wait` the
 * answer comes when the lock is there; those who wait get it in their order.
 * STORE_DEADLOCK: a wait for a record lock that would close a circle. Returns a
 * ticket for store_cancel_lock if the answer is still to come, else 0. */
uint64_t store_setlk(struct store *s, const struct store_caller *caller, uint64_t ino,
	const struct store_lock *lock, bool wait, struct store_reply reply);

/* The request is answered with STORE_INTERRUPTED, if it still waits. */
void store_cancel_lock(struct store *s, uint64_t ticket);

/* A process closes one of its descriptors of the node, and with that gives up all
 * its record locks on it. Comes after store_flush. */
void store_unlock_owner(struct store *s, const struct store_caller *caller, uint64_t ino,
	uint64_t owner, struct store_reply reply);

/* Drops what was locked through a handle that is not the store's (store_release
 * does it for those). */
void store_drop_locks(struct store *s, uint64_t ino, uint64_t handle);

/* Whether anybody has record locks on the node: then every close matters. */
bool store_has_records(const struct store *s, uint64_t ino);

/* All who wait are answered, with -ENOTCONN: the front end is ending. */
void store_end_locks(struct store *s);

/* --- extended attributes ------------------------------------------------ */

/* Users' own, and the user.cubby.* of design 1.3. `flags`: XATTR_CREATE or
 * XATTR_REPLACE. An attribute set by a process that has bytes staged on the
 * key is staged with them. Permission is the caller's to check, except for what takes a
 * name away: a TTL and the release of a lock (-EACCES, STORE_DENIED). */
void store_setxattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	const char *name, struct bytes value, int flags, struct store_reply reply);
void store_removexattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	const char *name, struct store_reply reply);
/* Replaces the contents of *out. */
int store_getxattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	const char *name, struct buffer *out);
/* NUL-terminated names, one after the other, as listxattr(2) wants them. */
int store_listxattr(struct store *s, const struct store_caller *caller, uint64_t ino,
	struct buffer *out);

/* --- the whole ----------------------------------------------------------- */

int store_statfs(struct store *s, struct statvfs *out);

/* What .cubby/stats shows: one JSON object, indented, with a newline. */
int store_stats(struct store *s, struct buffer *out);

/* Compacts now; answers when the old log is gone. 0 or a negative errno. */
void store_compact(struct store *s, struct store_reply reply);

/* The log as text (.cubby/journal). STORE_UNSUPPORTED where there is none. */
struct store_log;
int store_log_open(struct store *s, struct store_log **out);
uint64_t store_log_size(struct store_log *log);
ssize_t store_log_read(struct store_log *log, void *data, size_t size, uint64_t offset);
void store_log_close(struct store_log *log);
