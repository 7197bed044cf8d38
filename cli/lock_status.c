/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Linux lets files and directories have user.* attributes, and nothing else. Of a
 * lock that is a symlink or a fifo there is no token and no holder to be read: all that is known is
 * that it is held, what a symlink says, and when it was refreshed. */

#include "cli/lock_status.h"

#include "base/cleanup.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/json.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#define EXIT_FREE 1
/* Holders that come and go while they are read: then the last one's will do. */
#define MAX_TRIES 100

struct status {
	struct stat st;
	char token[KEY_ATTRIBUTE_SIZE]; /* empty, as those below: unknown, or none */
	char ttl[KEY_ATTRIBUTE_SIZE];
	char expires[KEY_ATTRIBUTE_SIZE];
	char holder[4096];
	char target[PATH_MAX]; /* of a symlink */
	int refusal;           /* why the token could not be read: a negative errno or 0 */
};

/* --- reading ------------------------------------------------------------------- */

static int look(const struct lease *l, struct status *s)
{
	ssize_t length;

	*s = (struct status){0};
	if (fstatat(l->directory, l->name, &s->st, AT_SYMLINK_NOFOLLOW) < 0) {
		return -errno;
	}
	if (S_ISLNK(s->st.st_mode)) {
		length = readlinkat(l->directory, l->name, s->target, sizeof(s->target) - 1);
		return length < 0 && errno == ENOENT ? -ENOENT : 0;
	}
	s->refusal = lease_attribute(l, "token", s->token);
	if (s->refusal == 0) {
		lease_attribute(l, "ttl", s->ttl);
		lease_attribute(l, "expires", s->expires);
		lease_long_attribute(l, "holder", s->holder, sizeof(s->holder));
	}
	return s->refusal == -ENOENT ? -ENOENT : 0;
}

static bool is_still(const struct lease *l, const struct status *s)
{
	char token[KEY_ATTRIBUTE_SIZE];
	struct stat st;

	if (*s->token && (lease_attribute(l, "token", token) || strcmp(token, s->token) != 0)) {
		return false;
	}
	return fstatat(l->directory, l->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == s->st.st_ino;
}

/* All that is read belongs to one holder. */
static int look_whole(const struct lease *l, struct status *s)
{
	for (int i = 0;; i++) {
		int rc = look(l, s);

		if (rc || i == MAX_TRIES || is_still(l, s)) {
			return rc;
		}
	}
}

/* --- printing -------------------------------------------------------------------- */

static void print_object(const struct lease *l, const struct status *s, bool held)
{
	struct json_object *object = json_object_new_object();
	struct json_object *holder = *s->holder ? json_tokener_parse(s->holder) : NULL;

	json_add_string(object, "path", l->path);
	json_object_object_add(object, "held", json_object_new_boolean(held));
	json_add_string(object, "type", held ? key_type_name(s->st.st_mode) : NULL);
	json_add_number(object, "token", s->token); /* empty: null */
	json_object_object_add(object, "holder", holder);
	json_add_number(object, "ttl", s->ttl);
	json_add_string(object, "expires", *s->expires ? s->expires : NULL);
	json_add_string(object, "target", *s->target ? s->target : NULL);
	json_print(object);
}

static const char *member(struct json_object *object, const char *name)
{
	struct json_object *value = json_object_object_get(object, name);

	return value ? json_object_get_string(value) : "?";
}

/* A process can have any name, a symlink any target. */
static void print_line(const char *name, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);

	if (copy) {
		printable_make(copy);
	}
	printf("%-8s %s\n", name, copy ? copy : "?");
}

static void print_holder(const struct status *s)
{
	struct json_object *holder = *s->holder ? json_tokener_parse(s->holder) : NULL;
	_cleanup_buffer_ struct buffer line = {0};

	if (json_object_is_type(holder, json_type_object) &&
		buffer_printf(&line, "%s, pid %s, uid %s, on %s", member(holder, "command"),
			member(holder, "pid"), member(holder, "uid"),
			member(holder, "host")) == 0) {
		print_line("holder", line.data);
	}
	json_object_put(holder);
}

static void print_text(const struct status *s, bool held)
{
	puts(held ? "held" : "free");
	if (!held) {
		return;
	}
	if (*s->token) {
		print_line("token", s->token);
		print_holder(s);
		print_line("ttl", *s->ttl ? s->ttl : "none");
	} else if (*s->target) {
		print_line("symlink", s->target);
	} else if (s->refusal == -ENODATA && (S_ISREG(s->st.st_mode) || S_ISDIR(s->st.st_mode))) {
		print_line("no lock", "it stays until it is removed");
	} else if (S_ISREG(s->st.st_mode) || S_ISDIR(s->st.st_mode)) {
		print_line("unknown", strerror(abs(s->refusal)));
	} else {
		print_line("type", key_type_name(s->st.st_mode));
	}
}

int lock_status_print(const struct lease *l, bool json)
{
	struct status s;
	int rc = look_whole(l, &s);
	bool held = rc == 0;

	if (rc && rc != -ENOENT) {
		return command_fail_errno(l->path, rc);
	}
	if (json) {
		print_object(l, &s, held);
	} else {
		print_text(&s, held);
	}
	return held ? 0 : EXIT_FREE;
}
