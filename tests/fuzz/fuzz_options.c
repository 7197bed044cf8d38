/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The -o of cubbyfs(8).
 *
 * Input: one -o argument a line. */
#include "base/clock.h"
#include "fs/options.h"
#include "fuzz.h"

#include <errno.h>

static bool same_string(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void same(const struct options *a, const struct options *b)
{
	CHECK(a->max_value == b->max_value && a->segment_size == b->segment_size);
	CHECK(a->max_keys == b->max_keys && a->max_bytes == b->max_bytes);
	CHECK(a->max_staged == b->max_staged && a->max_open == b->max_open);
	CHECK(a->max_locks == b->max_locks);
	CHECK(a->commit == b->commit && a->lock_ttl == b->lock_ttl && a->timeout == b->timeout);
	CHECK(a->compact_min == b->compact_min && a->log_level == b->log_level);
	CHECK(a->read_only == b->read_only && a->sync == b->sync && a->sloppy == b->sloppy);
	CHECK(a->dev == b->dev && a->suid == b->suid && a->exec == b->exec);
	CHECK(same_string(a->fsname, b->fsname) && same_string(a->subtype, b->subtype));
	CHECK(same_string(a->unknown, b->unknown) && a->n_security == b->n_security);
	for (unsigned i = 0; i < a->n_security; i++) {
		CHECK(same_string(a->security[i], b->security[i]));
	}
}

/* 0, or what the first bad one got. */
static int parse(struct options *o, struct bytes input)
{
	struct bytes line;
	char *error;
	int r = 0;

	options_init(o);
	while (r == 0 && take_line(&input, &line)) {
		char *text = string_of(line);

		r = options_parse(o, text, &error);
		CHECK(r == 0 || r == -EINVAL);
		CHECK((r == 0) == !error);
		free(error);
		free(text);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t century = INT64_C(100) * 366 * 86400 * NSEC_PER_SEC;
	struct options o, again;
	char *error;
	int r = parse(&o, bytes_of(data, size));

	if (r == 0) {
		CHECK(o.commit >= -1 && o.commit <= century + NSEC_PER_SEC);
		CHECK(o.lock_ttl >= 0 && o.lock_ttl <= century + NSEC_PER_SEC);
		CHECK(o.timeout >= 0 && o.timeout <= century + NSEC_PER_SEC);
		r = options_check(&o, &error);
		CHECK((r == 0) == (!o.unknown || o.sloppy) && (r == 0) == !error);
		free(error);
		CHECK(parse(&again, bytes_of(data, size)) == 0);
		same(&o, &again);
		options_finish(&again);
	}
	options_finish(&o);
	return 0;
}
