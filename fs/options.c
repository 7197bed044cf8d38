/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/options.h"

#include "base/clock.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define SECONDS_MAX (INT64_C(100) * 366 * 86400)

/* Everything that is for mount(8), umount(8), systemd or the kernel's mount
 * table, and means nothing here. FUSE keeps no access times, so the options
 * about them have no effect either, but for noatime, which findmnt shows. */
static const char *const ignored[] = {
	"defaults", "nofail", "fail", "_netdev", "auto", "noauto", "user", "nouser", "users",
	"nousers", "owner", "noowner", "group", "nogroup", "diratime", "nodiratime", "relatime",
	"norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime", "iversion",
	"noiversion", "mand", "nomand", "silent", "loud",
};

/* The same with a value, or with any ending. */
static const char *const ignored_prefixes[] = {
	"x-", "X-", "comment=", "user=", "helper=", "uhelper=",
};

static const struct {
	const char *name;
	int level;
} levels[] = {
	{"error", LOG_ERR},
	{"warning", LOG_WARNING},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
};

void options_init(struct options *o)
{
	*o = (struct options){.commit = -1, .log_level = LOG_INFO};
}

void options_finish(struct options *o)
{
	free(o->fsname);
	free(o->subtype);
	free(o->unknown);
	for (unsigned i = 0; i < o->n_security; i++) {
		free(o->security[i]);
	}
	free(o->security);
	options_init(o);
}

bool options_size(const char *text, uint64_t *out)
{
	uint64_t n = 0, unit = 1;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (uint64_t)(*p - '0'), &n)) {
			return false;
		}
	}
	if (p == text) {
		return false;
	}
	switch (*p) {
	case 'K':
	case 'k':
		unit = UINT64_C(1) << 10;
		p++;
		break;
	case 'M':
	case 'm':
		unit = UINT64_C(1) << 20;
		p++;
		break;
	case 'G':
	case 'g':
		unit = UINT64_C(1) << 30;
		p++;
		break;
	default:
		break;
	}
	if (*p || __builtin_mul_overflow(n, unit, &n)) {
		return false;
	}
	*out = n;
	return true;
}

bool options_seconds(const char *text, int64_t *out)
{
	int64_t seconds = 0, fraction = 0, place = NSEC_PER_SEC;
	bool digits = false, rest = false;
	const char *p = text;

	for (; *p >= '0' && *p <= '9'; p++) {
		digits = true;
		seconds = seconds * 10 + (*p - '0');
		if (seconds > SECONDS_MAX) {
			return false;
		}
	}
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++) {
			digits = true;
			place /= 10;
			fraction += place * (*p - '0');
			rest = rest || (place == 0 && *p != '0');
		}
	}
	if (!digits || *p) {
		return false;
	}
	*out = seconds * NSEC_PER_SEC + fraction + rest;
	return true;
}

/* Where the option that starts at p ends: at a comma or at the NUL. */
static const char *option_end(const char *p)
{
	bool quoted = false;

	for (; *p && (quoted || *p != ','); p++) {
		if (*p == '\\' && p[1]) {
			p++;
		} else if (*p == '"') {
			quoted = !quoted;
		}
	}
	return p;
}

/* In place: takes backslashes away, and quotes around the whole. */
static void unescape(char *value)
{
	char *from = value, *to = value;
	size_t size = strlen(value);

	if (size >= 2 && value[0] == '"' && value[size - 1] == '"') {
		value[size - 1] = 0;
		from++;
	}
	while (*from) {
		if (*from == '\\' && from[1]) {
			from++;
		}
		*to++ = *from++;
	}
	*to = 0;
}

static int __attribute__((format(printf, 2, 3))) complain(char **error, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(error, format, args);
	va_end(args);
	if (n < 0) {
		*error = NULL;
		return -ENOMEM;
	}
	return -EINVAL;
}

static int set_string(char **field, const char *value)
{
	char *copy = strdup(value);

	if (!copy) {
		return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

static int set_size(uint64_t *field, const char *name, const char *value, char **error)
{
	uint64_t n;

	if (!options_size(value, &n) || n == 0) {
		return complain(
			error, "option %s: '%s' is no size (as 65536, 64K, 1M)", name, value);
	}
	*field = n;
	return 0;
}

/* `none`, or as set_size. */
static int set_limit(uint64_t *field, const char *name, const char *value, char **error)
{
	uint64_t n;

	if (strcmp(value, "none") == 0) {
		*field = OPTIONS_NONE;
		return 0;
	}
	if (!options_size(value, &n) || n == 0 || n == OPTIONS_NONE) {
		return complain(error, "option %s: '%s' is no limit (as 65536, 64K, 1M, none)", name,
			value);
	}
	*field = n;
	return 0;
}

static int set_seconds(
	int64_t *field, bool may_be_zero, const char *name, const char *value, char **error)
{
	int64_t n;

	if (!options_seconds(value, &n) || (n == 0 && !may_be_zero)) {
		return complain(error, "option %s: '%s' is no number of seconds%s", name, value,
			may_be_zero ? "" : " above 0");
	}
	*field = n;
	return 0;
}

static int set_level(int *field, const char *value, char **error)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(value, levels[i].name) == 0) {
			*field = levels[i].level;
			return 0;
		}
	}
	return complain(
		error, "option log_level: '%s' is none of error, warning, info, debug", value);
}

/* A security label is for the kernel, which reads quotes by itself. */
static int add_security(struct options *o, const char *option)
{
	char **grown = realloc(o->security, (o->n_security + 1) * sizeof(*grown));

	if (!grown) {
		return -ENOMEM;
	}
	o->security = grown;
	grown[o->n_security] = strdup(option);
	if (!grown[o->n_security]) {
		return -ENOMEM;
	}
	o->n_security++;
	return 0;
}

static bool is_ignored(const char *option)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
		if (strcmp(option, ignored[i]) == 0) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(ignored_prefixes) / sizeof(ignored_prefixes[0]); i++) {
		if (strncmp(option, ignored_prefixes[i], strlen(ignored_prefixes[i])) == 0) {
			return true;
		}
	}
	return false;
}

/* 1: it is none of these. */
static int parse_word(struct options *o, const char *word)
{
	const struct {
		const char *name;
		bool *field;
		bool value;
	} flags[] = {
		{"ro", &o->read_only, true},
		{"rw", &o->read_only, false},
		{"sync", &o->sync, true},
		{"dirsync", &o->sync, true},
		{"async", &o->sync, false},
		{"lock_keepalive", &o->lock_keepalive, true},
		{"nosymfollow", &o->nosymfollow, true},
		{"symfollow", &o->nosymfollow, false},
		{"allow_other", &o->allow_other, true},
		{"allow_root", &o->allow_root, true},
		{"default_permissions", &o->default_permissions, true},
		{"auto_unmount", &o->auto_unmount, true},
		{"sloppy", &o->sloppy, true},
		{"debug", &o->debug, true},
	};
	const struct {
		const char *name;
		enum choice *field;
		enum choice value;
	} choices[] = {
		{"dev", &o->dev, YES},
		{"nodev", &o->dev, NO},
		{"suid", &o->suid, YES},
		{"nosuid", &o->suid, NO},
		{"exec", &o->exec, YES},
		{"noexec", &o->exec, NO},
		{"atime", &o->atime, YES},
		{"noatime", &o->atime, NO},
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(word, flags[i].name) == 0) {
			*flags[i].field = flags[i].value;
			return 0;
		}
	}
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		if (strcmp(word, choices[i].name) == 0) {
			*choices[i].field = choices[i].value;
			return 0;
		}
	}
	return 1;
}

/* 1: it is none of these. */
static int parse_value(struct options *o, const char *name, const char *value, char **error)
{
	const struct {
		const char *name;
		uint64_t *field;
	} limits[] = {
		{"max_keys", &o->max_keys},
		{"max_bytes", &o->max_bytes},
		{"max_staged", &o->max_staged},
		{"max_open", &o->max_open},
		{"max_locks", &o->max_locks},
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (strcmp(name, limits[i].name) == 0) {
			return set_limit(limits[i].field, name, value, error);
		}
	}
	if (strcmp(name, "max_value") == 0) {
		return set_size(&o->max_value, name, value, error);
	}
	if (strcmp(name, "segment_size") == 0) {
		return set_size(&o->segment_size, name, value, error);
	}
	if (strcmp(name, "compact_min") == 0) {
		return set_size(&o->compact_min, name, value, error);
	}
	if (strcmp(name, "commit") == 0) {
		return set_seconds(&o->commit, true, name, value, error);
	}
	if (strcmp(name, "lock_ttl") == 0) {
		return set_seconds(&o->lock_ttl, false, name, value, error);
	}
	if (strcmp(name, "timeout") == 0) {
		return set_seconds(&o->timeout, false, name, value, error);
	}
	if (strcmp(name, "log_level") == 0) {
		return set_level(&o->log_level, value, error);
	}
	if (strcmp(name, "fsname") == 0) {
		return set_string(&o->fsname, value);
	}
	if (strcmp(name, "subtype") == 0) {
		return set_string(&o->subtype, value);
	}
	return 1;
}

/* `option` is ours to change. */
static int parse_option(struct options *o, char *option, char **error)
{
	static const char *const labels[] = {
		"context=", "fscontext=", "defcontext=", "rootcontext="};
	char *value;
	int r;

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		if (strncmp(option, labels[i], strlen(labels[i])) == 0) {
			return add_security(o, option);
		}
	}
	if (strcmp(option, "remount") == 0) {
		return complain(error, "option remount: use mount -o remount");
	}
	r = parse_word(o, option);
	if (r == 1 && is_ignored(option)) {
		return 0;
	}
	value = strchr(option, '=');
	if (r == 1 && value) {
		*value++ = 0;
		unescape(value);
		r = parse_value(o, option, value, error);
	}
	if (r == 1) {
		return o->unknown ? 0 : set_string(&o->unknown, option);
	}
	return r;
}

int options_parse(struct options *o, const char *string, char **error)
{
	*error = NULL;
	for (const char *p = string;; p++) {
		const char *end = option_end(p);
		_cleanup_free_ char *option = strndup(p, (size_t)(end - p));
		int r;

		if (!option) {
			return -ENOMEM;
		}
		r = *option ? parse_option(o, option, error) : 0;
		if (r < 0) {
			return r;
		}
		p = end;
		if (!*p) {
			return 0;
		}
	}
}

int options_check(const struct options *o, char **error)
{
	*error = NULL;
	if (o->unknown && !o->sloppy) {
		return complain(error, "unknown option '%s'", o->unknown);
	}
	return 0;
}
