/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Runs one workload on one side, once, and prints what it took as one JSON object.
 * bench/run.py starts it, many times, and makes a table of it. */

#include "bench/workload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_SAMPLES (1u << 20)

static const char usage[] =
	"usage: cubby-bench WORKLOAD SIDE WHERE [NAME=VALUE...]\n"
	"\n"
	"  WORKLOAD   get set stat create delete increment list fill sets mix wakeup\n"
	"             expiry expiries pause disk parse\n"
	"  SIDE       files renamed-files"
#ifdef HAVE_SQLITE
	" sqlite"
#endif
#ifdef HAVE_REDIS
	" redis"
#endif
	"\n"
	"  WHERE      a directory, a database file, SOCKET:DATABASE\n"
	"  durable=1  changes outlive a power cut  prefix=TEXT  of the keys\n"
	"  keys=N     that there are               stride=N     use every Nth\n"
	"  size=N     of values                    calls=N      at most\n"
	"  seconds=S  at most                      ttl=S        of what expires\n"
	"  writers=N  processes; of pause: compactions\n"
	"  cold=1     the kernel's names and attributes are dropped before each call\n"
	"  attributes=1  list asks for those too\n"
	"  mode=TEXT  disk: append preallocated rename; parse: read json record\n"
	"  store=DIR  where the journal is\n";

static const struct side *const sides[] = {
	&side_files,
	&side_renamed_files,
#ifdef HAVE_SQLITE
	&side_sqlite,
#endif
#ifdef HAVE_REDIS
	&side_redis,
#endif
};

static const struct workload *const workloads[] = {
	workloads_call,
	workloads_crowd,
	workloads_wake,
	workloads_pause,
	workloads_disk,
	workloads_parse,
};

void key_name(char out[KEY_NAME_SIZE], const char *prefix, size_t number)
{
	snprintf(out, KEY_NAME_SIZE, "%s-%08zu", prefix, number);
}

void task_key(const struct task *t, size_t call, char out[KEY_NAME_SIZE])
{
	size_t used = t->keys / t->stride;

	/* 7919 is prime, and no factor of the powers of ten that the numbers of keys are */
	key_name(out, t->prefix, call * 7919 % used * t->stride);
}

char *task_value(const struct task *t)
{
	char *value = malloc(t->size + 1);

	for (size_t i = 0; value && i < t->size; i++) {
		value[i] = (char)('a' + i % 26);
	}
	return value;
}

void task_stamp(char *value, size_t size, uint64_t number)
{
	for (size_t i = 0; i < size && i < 16; i++, number >>= 4) {
		value[i] = "0123456789abcdef"[number & 15];
	}
}

size_t task_warm_up(const struct task *t)
{
	return t->calls / 10 < 200 ? t->calls / 10 : 200;
}

void report_extra(struct report *r, const char *name, double value)
{
	if (r->n_extra < sizeof(r->extra) / sizeof(r->extra[0])) {
		r->extra[r->n_extra].name = name;
		r->extra[r->n_extra++].value = value;
	}
}

static const struct side *find_side(const char *name)
{
	for (size_t i = 0; i < sizeof(sides) / sizeof(sides[0]); i++) {
		if (strcmp(sides[i]->name, name) == 0) {
			return sides[i];
		}
	}
	return NULL;
}

static const struct workload *find_workload(const char *name)
{
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		for (const struct workload *w = workloads[i]; w->name; w++) {
			if (strcmp(w->name, name) == 0) {
				return w;
			}
		}
	}
	return NULL;
}

static int set_text(struct task *t, const char *name, const char *value)
{
	const char **field = strcmp(name, "prefix") == 0  ? &t->prefix
			     : strcmp(name, "mode") == 0  ? &t->mode
			     : strcmp(name, "store") == 0 ? &t->store
							  : NULL;

	if (!field) {
		return -ENOENT;
	}
	*field = value;
	return 0;
}

static int set_seconds(struct task *t, const char *name, const char *value)
{
	double *field = strcmp(name, "seconds") == 0 ? &t->seconds
			: strcmp(name, "ttl") == 0   ? &t->ttl
						     : NULL;
	char *end;

	if (!field) {
		return -ENOENT;
	}
	*field = strtod(value, &end);
	return *end || end == value || !(*field >= 0) ? -EINVAL : 0;
}

static int set_number(struct task *t, const char *name, const char *value)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(value, &end, 10);
	if (*end || end == value || *value == '-' || errno) {
		return -EINVAL;
	}
	if (strcmp(name, "keys") == 0) {
		t->keys = n;
	} else if (strcmp(name, "stride") == 0) {
		t->stride = n;
	} else if (strcmp(name, "size") == 0) {
		t->size = n;
	} else if (strcmp(name, "calls") == 0) {
		t->calls = n;
	} else if (strcmp(name, "writers") == 0) {
		t->writers = (unsigned)n;
	} else if (strcmp(name, "durable") == 0) {
		t->durability = n ? DURABILITY_DISK : DURABILITY_PROCESS;
	} else if (strcmp(name, "cold") == 0) {
		t->cold = n;
	} else if (strcmp(name, "attributes") == 0) {
		t->attributes = n;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int set_option(struct task *t, char *word)
{
	char *value = strchr(word, '=');
	int r;

	if (!value) {
		return -EINVAL;
	}
	*value++ = '\0';
	r = set_text(t, word, value);
	r = r == -ENOENT ? set_seconds(t, word, value) : r;
	return r == -ENOENT ? set_number(t, word, value) : r;
}

static void print_report(struct report *r)
{
	size_t kept = r->samples.count;
	struct summary s = samples_summary(&r->samples);

	printf("{\"calls\": %zu, \"counted\": %zu, \"samples\": %zu, \"wall\": %lld", r->calls,
		r->counted, kept, (long long)r->wall);
	if (r->counted > 0) {
		printf(", \"per_call\": %.1f", (double)r->wall / (double)r->counted);
	}
	if (kept > 0) {
		printf(", \"min\": %lld, \"median\": %lld, \"p99\": %lld, \"max\": %lld, "
		       "\"mean\": %.1f",
			(long long)s.min, (long long)s.median, (long long)s.p99, (long long)s.max,
			s.mean);
	}
	for (unsigned i = 0; i < r->n_extra; i++) {
		printf(", \"%s\": %.0f", r->extra[i].name, r->extra[i].value);
	}
	printf("}\n");
}

int main(int argc, char **argv)
{
	struct task t = {
		.prefix = "100",
		.keys = 1000,
		.stride = 1,
		.size = 100,
		.calls = 1000,
		.seconds = 1,
		.ttl = 0.05,
		.writers = 1,
	};
	const struct workload *w;
	struct report r = {0};
	int rc;

	if (argc < 4) {
		fputs(usage, stderr);
		return 2;
	}
	w = find_workload(argv[1]);
	t.side = find_side(argv[2]);
	t.where = argv[3];
	if (!w || !t.side) {
		fprintf(stderr, "cubby-bench: there is no %s '%s' here\n", w ? "side" : "workload",
			w ? argv[2] : argv[1]);
		return w ? 3 : 2;
	}
	for (int i = 4; i < argc; i++) {
		if (set_option(&t, argv[i]) < 0) {
			fprintf(stderr, "cubby-bench: '%s' makes no sense\n", argv[i]);
			return 2;
		}
	}
	if (t.keys == 0 || t.stride == 0 || t.stride > t.keys || t.calls == 0) {
		fputs("cubby-bench: there are no keys to call\n", stderr);
		return 2;
	}
	if (samples_init(&r.samples, MAX_SAMPLES) < 0) {
		fputs("cubby-bench: no memory\n", stderr);
		return 1;
	}
	rc = w->run(&t, &r);
	if (rc < 0) {
		fprintf(stderr, "cubby-bench: %s on %s: %s\n", w->name, t.where, strerror(-rc));
	} else {
		print_report(&r);
	}
	samples_finish(&r.samples);
	return rc == -EOPNOTSUPP ? 3 : rc < 0 ? 1 : 0;
}
