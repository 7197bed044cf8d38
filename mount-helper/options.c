/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/*
 * A word is dropped only if it is known to be somebody else's: mount(8)'s, systemd's, or a promise
 * about access times, which a state store does not record. What is not known goes on to cubbyfs,
 * which knows its own options and libfuse's and refuses the rest by name. So a new option
 * of the daemon needs no change here, and a typing error is never swallowed.
 *
 * A word is passed exactly as it came, quotes and backslashes included: cubbyfs reads them by the
 * same rules.
 *
 * mount(8) never passes on a word that is the kernel's default, such as dev. cubbyfs's default is
 * nodev,nosuid, so an fstab line needs other words for the opposite: allow_dev and allow_suid.
 */
#include "mount-helper/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

enum fate { PASS, DROP };

static const struct word {
	const char *name;
	enum fate fate;
	unsigned long set;
	unsigned long clear;
} words[] = {
	{"ro", PASS, MS_RDONLY, 0},
	{"rw", PASS, 0, MS_RDONLY},
	{"nosuid", PASS, MS_NOSUID, 0},
	{"suid", PASS, 0, MS_NOSUID},
	{"nodev", PASS, MS_NODEV, 0},
	{"dev", PASS, 0, MS_NODEV},
	{"noexec", PASS, MS_NOEXEC, 0},
	{"exec", PASS, 0, MS_NOEXEC},
	{"nosymfollow", PASS, MS_NOSYMFOLLOW, 0},
	{"noatime", PASS, MS_NOATIME, MS_RELATIME | MS_STRICTATIME},
	{"atime", PASS, 0, MS_NOATIME},

	/* cubbyfs takes no notice of access times; on a remount the kernel still may */
	{"relatime", DROP, MS_RELATIME, MS_NOATIME | MS_STRICTATIME},
	{"norelatime", DROP, 0, MS_RELATIME},
	{"strictatime", DROP, MS_STRICTATIME, MS_NOATIME | MS_RELATIME},
	{"nostrictatime", DROP, 0, MS_STRICTATIME},
	{"nodiratime", DROP, MS_NODIRATIME, 0},
	{"diratime", DROP, 0, MS_NODIRATIME},
	{"symfollow", DROP, 0, MS_NOSYMFOLLOW},
	{"lazytime", DROP, 0, 0},
	{"nolazytime", DROP, 0, 0},
	{"iversion", DROP, 0, 0},
	{"noiversion", DROP, 0, 0},
	{"mand", DROP, 0, 0},
	{"nomand", DROP, 0, 0},
	{"silent", DROP, 0, 0},
	{"loud", DROP, 0, 0},

	/* mount(8)'s and fstab's */
	{"defaults", DROP, 0, 0},
	{"auto", DROP, 0, 0},
	{"noauto", DROP, 0, 0},
	{"nofail", DROP, 0, 0},
	{"_netdev", DROP, 0, 0},
	{"_rnetdev", DROP, 0, 0},
	{"user", DROP, 0, 0},
	{"nouser", DROP, 0, 0},
	{"users", DROP, 0, 0},
	{"nousers", DROP, 0, 0},
	{"owner", DROP, 0, 0},
	{"noowner", DROP, 0, 0},
	{"group", DROP, 0, 0},
	{"nogroup", DROP, 0, 0},
	{"loop", DROP, 0, 0},
};

static const struct {
	const char *name;
	const char *means;
} aliases[] = {
	{"allow_dev", "dev"},
	{"allow_suid", "suid"},
};

/* Dropped with whatever follows. */
static const char *const foreign[] = {
	"x-",
	"X-",
	"comment=",
	"uhelper=",
	"helper=",
	"user=",
	"loop=",
	"offset=",
	"sizelimit=",
};

static const struct word *find(const char *name)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(name, words[i].name) == 0) {
			return &words[i];
		}
	}
	return NULL;
}

static const char *meaning(const char *name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (strcmp(name, aliases[i].name) == 0) {
			return aliases[i].means;
		}
	}
	return name;
}

static bool is_foreign(const char *name)
{
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		if (strncmp(name, foreign[i], strlen(foreign[i])) == 0) {
			return true;
		}
	}
	return false;
}

void options_init(struct options *o)
{
	*o = (struct options){0};
}

void options_finish(struct options *o)
{
	for (size_t i = 0; i < o->count; i++) {
		free(o->pass[i]);
	}
	free(o->pass);
	options_init(o);
}

int options_pass(struct options *o, const char *word)
{
	char **grown = realloc(o->pass, (o->count + 1) * sizeof(*grown));

	if (!grown) {
		return -ENOMEM;
	}
	o->pass = grown;
	o->pass[o->count] = strdup(word);
	if (!o->pass[o->count]) {
		return -ENOMEM;
	}
	o->count++;
	return 0;
}

static int sort(struct options *o, const char *text)
{
	const char *name = meaning(text);
	const struct word *word = find(name);

	if (!*name || is_foreign(name)) {
		return 0;
	}
	if (strcmp(name, "remount") == 0) {
		o->remount = true;
		return 0;
	}
	if (strcmp(name, "bind") == 0) {
		o->bind = true;
		return 0;
	}
	if (!word) {
		return options_pass(o, name);
	}
	o->set = (o->set & ~word->clear) | word->set;
	o->clear = (o->clear & ~word->set) | word->clear;
	return word->fate == PASS ? options_pass(o, name) : 0;
}

int options_add(struct options *o, const char *list)
{
	char *name = malloc(strlen(list) + 2);
	size_t length = 0;
	bool quoted = false;
	int r = 0;

	if (!name) {
		return -ENOMEM;
	}
	for (const char *p = list; r == 0; p++) {
		if (!*p || (*p == ',' && !quoted)) {
			if (quoted) {
				r = OPTIONS_BAD_QUOTE;
				break;
			}
			name[length] = '\0';
			length = 0;
			r = sort(o, name);
			if (!*p) {
				break;
			}
			continue;
		}
		if (*p == '"') {
			quoted = !quoted;
		} else if (*p == '\\') {
			/* one at the very end would eat the comma that options_join adds */
			name[length++] = *p;
			p += p[1] != '\0';
		}
		name[length++] = *p;
	}
	free(name);
	return r;
}

bool options_is_kernel_flag(const char *word)
{
	const struct word *known = find(word);

	return known && (known->set | known->clear);
}

bool options_has(const struct options *o, const char *word)
{
	for (size_t i = 0; i < o->count; i++) {
		if (strcmp(o->pass[i], word) == 0) {
			return true;
		}
	}
	return false;
}

char *options_join(const struct options *o)
{
	size_t size = 1;
	char *list, *end;

	for (size_t i = 0; i < o->count; i++) {
		size += strlen(o->pass[i]) + 1;
	}
	list = malloc(size);
	if (!list) {
		return NULL;
	}
	end = list;
	for (size_t i = 0; i < o->count; i++) {
		if (i) {
			*end++ = ',';
		}
		end = stpcpy(end, o->pass[i]);
	}
	*end = '\0';
	return list;
}
