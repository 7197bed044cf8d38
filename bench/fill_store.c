/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Makes many keys in a store that is not mounted: the same journal that a mount writes,
 * in a fraction of the time. */

#include "base/cleanup.h"
#include "base/progress.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define ROOT 1

struct answer {
	int rc;
	bool given;
	uint64_t ino, handle;
};

static void take(void *arg, int rc, const struct store_result *result)
{
	struct answer *a = arg;

	a->rc = rc;
	a->given = true;
	if (result) {
		a->ino = result->ino;
		a->handle = result->handle;
	}
}

static struct store_reply reply_to(struct answer *a)
{
	*a = (struct answer){0};
	return (struct store_reply){.done = take, .arg = a};
}

/* The journal answers at once. */
static bool good(const struct answer *a, const char *what)
{
	if (!a->given || a->rc != 0) {
		fprintf(stderr, "fill-store: %s: %s\n", what,
			!a->given   ? "no answer"
			: a->rc < 0 ? strerror(-a->rc)
				    : "refused");
		return false;
	}
	return true;
}

static const struct store_caller caller;

static bool make_key(struct store *s, uint64_t parent, const char *name, struct bytes value)
{
	struct answer a;
	uint64_t ino, handle;

	store_create(s, &caller, parent, name, S_IFREG | 0644, O_WRONLY | O_EXCL, reply_to(&a));
	if (!good(&a, name)) {
		return false;
	}
	ino = a.ino;
	handle = a.handle;
	store_write(s, &caller, handle, value, 0, 0, reply_to(&a));
	if (!good(&a, name)) {
		return false;
	}
	store_flush(s, &caller, handle, reply_to(&a));
	store_release(s, handle);
	store_forget(s, ino, 1);
	return good(&a, name);
}

static bool fill(struct store *s, const char *directory, const char *prefix,
	unsigned long long count, struct bytes value)
{
	struct progress progress;
	uint64_t parent = ROOT;
	struct answer a;
	char name[64];
	bool ok = true;

	if (*directory) {
		store_mknod(s, &caller, ROOT, directory, S_IFDIR | 0755, 0, reply_to(&a));
		if (!good(&a, directory)) {
			return false;
		}
		parent = a.ino;
	}
	progress_init(&progress, "filling the store");
	for (unsigned long long i = 0; i < count && ok; i++) {
		snprintf(name, sizeof(name), "%s-%08llu", prefix, i);
		ok = make_key(s, parent, name, value);
		if (i % 256 == 0) {
			store_tick(s);
			progress_update(&progress, i, count);
		}
	}
	progress_finish(&progress);
	return ok;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *error = NULL, *value = NULL;
	struct store_config config;
	unsigned long long count, size;
	struct store *s;
	bool ok;
	int r;

	if (argc != 6) {
		fputs("usage: fill-store STORE DIRECTORY PREFIX COUNT SIZE\n"
		      "DIRECTORY is made in the root; empty: the root itself.\n",
			stderr);
		return 2;
	}
	count = strtoull(argv[4], NULL, 10);
	size = strtoull(argv[5], NULL, 10);
	value = malloc(size + 1);
	if (!value) {
		return 1;
	}
	for (unsigned long long i = 0; i < size; i++) {
		value[i] = (char)('a' + i % 26);
	}
	store_config_init(&config);
	config.location = argv[1];
	config.max_value = STORE_MAX_VALUE_LIMIT;
	r = store_open(&s, &config, &error);
	if (r != 0) {
		fprintf(stderr, "fill-store: %s: %s\n", argv[1], error ? error : strerror(-r));
		return 1;
	}
	ok = fill(s, argv[2], argv[3], count, bytes_of(value, size));
	r = store_close(s);
	return ok && r == 0 ? 0 : 1;
}
