/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/transition.h"

#include <sys/stat.h>

/* The root, or a number that is not the front end's; 0: none. */
static bool is_ino(uint64_t ino)
{
	return ino <= INO_ROOT || (ino >= INO_FIRST && ino <= INT64_MAX);
}

static bool is_time(int64_t at)
{
	return at >= 0 && at <= TIME_LIMIT;
}

static bool is_lease(int64_t expires, int64_t ttl)
{
	return expires >= 0 && expires <= TIME_LIMIT + DURATION_LIMIT && ttl >= 0 &&
	       ttl <= DURATION_LIMIT;
}

static bool is_mode(uint32_t mode)
{
	switch (mode & ~07777u) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		return true;
	default:
		return false;
	}
}

static bool is_possible(const struct transition *t, const struct change *c)
{
	if (c->ino == 0 || !is_ino(c->ino) || !is_ino(c->place.parent) || !is_ino(c->to.parent) ||
		((c->fields & HAS_MODE) && !is_mode(c->mode)) ||
		((c->fields & HAS_AGE) && (c->age < 0 || c->age > t->at)) ||
		((c->fields & HAS_HISTORY) && c->version > VERSION_LIMIT) ||
		((c->fields & HAS_HISTORY) && !(is_time(c->created) && c->changed >= 0 &&
						      c->changed <= transition_time(t))) ||
		((c->fields & HAS_EXPIRES) && !is_lease(c->expires, c->ttl))) {
		return false;
	}
	for (size_t i = 0; i < c->n_links; i++) {
		if (!is_ino(c->links[i].place.parent) ||
			!is_lease(c->links[i].expires, c->links[i].ttl)) {
			return false;
		}
	}
	return true;
}

bool transition_is_possible(const struct transition *t)
{
	if (t->revision > REVISION_LIMIT || !is_time(t->at) || !is_time(t->lease)) {
		return false;
	}
	for (size_t i = 0; i < t->n_changes; i++) {
		if (!is_possible(t, &t->changes[i])) {
			return false;
		}
	}
	return true;
}
