/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The value (the process's number, as lockfiles have it) and the TTL are staged
 * after the exclusive open, which alone takes the lock: close commits them as
 * one change. The clock is read before the open, so what is thought to be the
 * lock's end is never later than its end.
 *
 * A plain file's attributes can be set by its owner only. So who has lost a lock
 * to another user does not get ESTALE but EACCES, and EPERM if a symlink has the
 * name now; what the name's token is then tells the loss from a fault. */

#include "cli/lease.h"

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/duration.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define LINK_FORMAT "/proc/self/fd/%d"

/* --- the name --------------------------------------------------------------- */

/* Cuts the last name off the path: the name, and what is before it. */
static int split(struct lease *l, const char *path)
{
	size_t length = strlen(path);
	char *slash;

	l->parent = strdup(path);
	if (!l->parent) {
		return -ENOMEM;
	}
	while (length > 0 && l->parent[length - 1] == '/') {
		l->parent[--length] = '\0';
	}
	slash = strrchr(l->parent, '/');
	l->name = strdup(slash ? slash + 1 : l->parent);
	if (!l->name) {
		return -ENOMEM;
	}
	if (!*l->name || strcmp(l->name, ".") == 0 || strcmp(l->name, "..") == 0) {
		return -EINVAL;
	}
	if (slash) {
		slash[slash == l->parent] = '\0';
		return 0;
	}
	/* the name is at least one byte long, and so is this */
	memcpy(l->parent, ".", 2);
	return 0;
}

static int make_links(struct lease *l)
{
	if (asprintf(&l->directory_link, LINK_FORMAT, l->directory) < 0) {
		l->directory_link = NULL;
		return -ENOMEM;
	}
	if (asprintf(&l->link, LINK_FORMAT "/%s", l->directory, l->name) < 0) {
		l->link = NULL;
		return -ENOMEM;
	}
	return 0;
}

int lease_open(struct lease *l, const char *path)
{
	int rc;

	*l = (struct lease){.path = path, .directory = -1};
	rc = split(l, path);
	if (rc) {
		return rc;
	}
	l->directory = open(l->parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (l->directory < 0) {
		return -errno;
	}
	rc = make_links(l);
	return rc ? rc : key_in_store(l->link);
}

void lease_finish(struct lease *l)
{
	if (l->directory >= 0) {
		close(steal_fd(&l->directory));
	}
	free(steal_pointer(&l->parent));
	free(steal_pointer(&l->name));
	free(steal_pointer(&l->link));
	free(steal_pointer(&l->directory_link));
}

int lease_long_attribute(const struct lease *l, const char *attribute, char *out, size_t size)
{
	char full[64];
	ssize_t length;

	snprintf(full, sizeof(full), "user.cubby.%s", attribute);
	length = lgetxattr(l->link, full, out, size - 1);
	out[length < 0 ? 0 : length] = '\0';
	return length < 0 ? -errno : 0;
}

int lease_attribute(const struct lease *l, const char *attribute, char out[KEY_ATTRIBUTE_SIZE])
{
	return lease_long_attribute(l, attribute, out, KEY_ATTRIBUTE_SIZE);
}

/* --- taking ------------------------------------------------------------------ */

/* Takes away what was made in a place that has no locks. False if it is not there any
 * more: then somebody has removed it, and it may have been a lock. */
static bool remove_made(const struct lease *l, int fd)
{
	struct stat made, there;

	if (fstat(fd, &made) < 0 ||
		fstatat(l->directory, l->name, &there, AT_SYMLINK_NOFOLLOW) < 0 ||
		made.st_ino != there.st_ino || made.st_dev != there.st_dev) {
		return false;
	}
	return unlinkat(l->directory, l->name, 0) == 0;
}

static int stage(int fd, const char *ttl)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (write(fd, text, (size_t)length) != length) {
		return errno ? -errno : -EIO;
	}
	return ttl ? key_set_attribute(fd, NULL, "ttl", bytes_of_string(ttl)) : 0;
}

/* What the lock has left, which is what it has from its last refresh on, or less. */
static int read_ttl(struct lease *l)
{
	char text[KEY_ATTRIBUTE_SIZE];
	int rc = lease_attribute(l, "ttl", text);

	if (rc == 0 && duration_parse(text, &l->ttl)) {
		rc = -EPROTO;
	}
	return rc;
}

/* ENODATA comes from a name that was removed after the kernel had looked it up, or
 * was made permanent. */
static int as_outcome(int rc)
{
	return rc == -ESTALE || rc == -ENOENT || rc == -ENODATA ? LEASE_LOST : rc;
}

/* Takes fd, in every case. */
static int commit(struct lease *l, int fd, const char *ttl)
{
	int rc;

	errno = 0;
	rc = stage(fd, ttl);
	if (rc) {
		/* removed first: what close commits then is nobody's */
		lease_release(l);
	}
	if (close(fd) < 0 && rc == 0) {
		rc = -errno;
	}
	if (rc == 0) {
		rc = read_ttl(l);
	}
	return as_outcome(rc);
}

int lease_take(struct lease *l, const char *ttl)
{
	int fd, rc;

	l->start = lease_now();
	fd = openat(l->directory, l->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0) {
		return errno == EEXIST ? LEASE_TAKEN : -errno;
	}
	rc = key_attribute(fd, NULL, "token", l->token);
	if (rc == 0) {
		return commit(l, fd, ttl);
	}
	if (!remove_made(l, fd) && (rc == -ENODATA || rc == -ENOTSUP)) {
		rc = -ENOENT;
	}
	close(fd);
	return rc == -ENODATA || rc == -ENOTSUP ? LEASE_NO_LOCK : as_outcome(rc);
}

/* --- holding ------------------------------------------------------------------ */

/* After a refusal: whether it was somebody else's lock that refused. */
static int judge_refusal(const struct lease *l, int rc)
{
	char token[KEY_ATTRIBUTE_SIZE];

	switch (lease_attribute(l, "token", token)) {
	case 0:
		return strcmp(token, l->token) == 0 ? rc : LEASE_LOST;
	case -ENODATA:
	case -ENOENT:
		return LEASE_LOST;
	default:
		return rc;
	}
}

/* Sets user.cubby.ATTRIBUTE to the token, which does what it says if the token holds. */
static int act(const struct lease *l, const char *attribute)
{
	int rc;

	rc = lsetxattr(l->link, attribute, l->token, strlen(l->token), 0) < 0 ? -errno : 0;
	if (rc == -EACCES || rc == -EPERM) {
		return judge_refusal(l, rc);
	}
	return as_outcome(rc);
}

int lease_refresh(struct lease *l)
{
	int64_t start = lease_now();
	int rc = act(l, "user.cubby.refresh");

	if (rc) {
		return rc;
	}
	l->start = start;
	/* somebody may have given it another one; if it can't be read, the next
	 * refresh will tell why */
	read_ttl(l);
	return 0;
}

int lease_release(struct lease *l)
{
	return act(l, "user.cubby.release");
}

bool lease_is_no_lock(const struct lease *l)
{
	char token[KEY_ATTRIBUTE_SIZE];
	struct stat before, after;

	return fstatat(l->directory, l->name, &before, AT_SYMLINK_NOFOLLOW) == 0 &&
	       (S_ISREG(before.st_mode) || S_ISDIR(before.st_mode)) &&
	       lease_attribute(l, "token", token) == -ENODATA &&
	       fstatat(l->directory, l->name, &after, AT_SYMLINK_NOFOLLOW) == 0 &&
	       before.st_ino == after.st_ino;
}

/* --- where there are locks ------------------------------------------------------ */

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

bool lease_may_be_lock(const struct lease *l)
{
	char ttl[KEY_ATTRIBUTE_SIZE], suffix[KEY_ATTRIBUTE_SIZE];
	bool is_namespace = key_attribute(-1, l->directory_link, "lock_ttl", ttl) == 0;

	if (key_attribute(-1, l->directory_link, "lock_suffix", suffix) == 0) {
		return ends_with(l->name, suffix);
	}
	/* -o lock_ttl is not to be seen here */
	return is_namespace || ends_with(l->name, ".lock");
}

int lease_explain_no_lock(const struct lease *l)
{
	char suffix[KEY_ATTRIBUTE_SIZE], ttl[KEY_ATTRIBUTE_SIZE];

	if (key_attribute(-1, l->directory_link, "lock_ttl", ttl) == 0 &&
		key_attribute(-1, l->directory_link, "lock_suffix", suffix) == 0 &&
		!ends_with(l->name, suffix)) {
		return command_fail(EX_CONFIG, l->path,
			"no lock: the names of this namespace's locks end in %s", suffix);
	}
	return command_fail(EX_CONFIG, l->path,
		"not in a lock namespace; 'setfattr -n user.cubby.lock_ttl -v 30 %s' makes it one",
		l->parent);
}
