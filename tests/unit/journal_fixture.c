/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "journal_fixture.h"

#include "store/journal/check.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

void fixture_state_finish(struct fixture_state *s)
{
	for (int i = 0; i < FIXTURE_KEYS; i++) {
		free(s->values[i]);
		s->values[i] = NULL;
	}
}

void fixture_state_copy(struct fixture_state *to, const struct fixture_state *from)
{
	fixture_state_finish(to);
	for (int i = 0; i < FIXTURE_KEYS; i++) {
		to->values[i] = from->values[i] ? strdup(from->values[i]) : NULL;
	}
}

bool fixture_state_equal(const struct fixture_state *a, const struct fixture_state *b)
{
	for (int i = 0; i < FIXTURE_KEYS; i++) {
		const char *x = a->values[i], *y = b->values[i];

		if (!x != !y || (x && strcmp(x, y) != 0)) {
			return false;
		}
	}
	return true;
}

void fixture_init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->disk = fault_disk_create();
	f->config = (struct backend_config){
		.disk = fault_disk_of(f->disk),
		.clock = &clock_system,
		.segment_size = 1 << 20,
	};
}

void fixture_finish(struct fixture *f)
{
	if (f->b) {
		fixture_close(f);
	}
	fixture_state_finish(&f->state);
	fault_disk_destroy(f->disk);
}

static int apply(void *arg, const struct transition *t)
{
	struct fixture *f = arg;
	const struct change *c = t->changes;

	f->replayed++;
	if (!(c->fields & HAS_HISTORY) && t->revision < 1024) {
		f->seen[t->revision] = true;
	}
	if (c->ino < INO_FIRST || c->ino >= INO_FIRST + FIXTURE_KEYS) {
		return -EPROTO;
	}
	if (f->values && (c->fields & (HAS_VALUE | HAS_HISTORY)) == HAS_VALUE &&
		(!f->values[t->revision] || strlen(f->values[t->revision]) != c->value.size ||
			memcmp(f->values[t->revision], c->value.data, c->value.size) != 0)) {
		return -EBADMSG;
	}
	free(f->state.values[c->ino - INO_FIRST]);
	f->state.values[c->ino - INO_FIRST] =
		c->type == CHANGE_REMOVE ? NULL : strndup(c->value.data, c->value.size);
	return 0;
}

int fixture_try_open(struct fixture *f, char **error)
{
	int r;

	fixture_state_finish(&f->state);
	memset(f->seen, 0, sizeof(f->seen));
	f->replayed = 0;
	*error = NULL;
	r = backend_journal.open(&f->b, FIXTURE_STORE, &f->config, error);
	if (r < 0) {
		f->b = NULL;
		return r;
	}
	r = f->b->ops->replay(f->b, apply, f, &f->next_ino, &f->last_at, &f->revision);
	if (r < 0) {
		fixture_close(f);
	}
	return r;
}

void fixture_open(struct fixture *f)
{
	char *error;
	int r = fixture_try_open(f, &error);

	if (r < 0) {
		print_error("open: %s: %s\n", strerror(-r), error ? error : "");
	}
	free(error);
	assert_int_equal(r, 0);
}

int fixture_close(struct fixture *f)
{
	int r = f->b->ops->close(f->b);

	f->b = NULL;
	return r;
}

void fixture_restart(struct fixture *f)
{
	if (f->b) {
		fixture_close(f);
	}
	fault_disk_restart(f->disk);
}

static void set_status(void *arg, int status)
{
	*(int *)arg = status;
}

static int append(struct fixture *f, struct change *c)
{
	struct transition t = {
		.revision = f->revision + 1,
		.at = clock_wall(&clock_system),
		.changes = c,
		.n_changes = 1,
	};
	int status = 1;

	f->b->ops->append(f->b, &t, set_status, &status);
	assert_int_not_equal(status, 1);
	f->revision += status == 0;
	return status;
}

static struct change change_of(enum change_type type, unsigned key, const char *value, char *path)
{
	struct change c = {
		.type = type,
		.ino = INO_FIRST + key,
		.place = {INO_ROOT, bytes_of(path, (size_t)sprintf(path, "key%u", key))},
	};

	if (value) {
		c.fields = HAS_VALUE | HAS_MODE;
		c.mode = S_IFREG | 0644;
		c.value = bytes_of_string(value);
	}
	return c;
}

int fixture_put(struct fixture *f, unsigned key, const char *value)
{
	char path[16];
	struct change c = change_of(CHANGE_PUT, key, value, path);
	int r = append(f, &c);

	if (r == 0) {
		free(f->state.values[key]);
		f->state.values[key] = strdup(value);
	}
	return r;
}

int fixture_remove(struct fixture *f, unsigned key)
{
	char path[16];
	struct change c = change_of(CHANGE_REMOVE, key, NULL, path);
	int r = append(f, &c);

	if (r == 0) {
		free(f->state.values[key]);
		f->state.values[key] = NULL;
	}
	return r;
}

static int wait_for(struct fixture *f, const int *status)
{
	struct pollfd p = {.fd = f->b->ops->poll_fd(f->b), .events = POLLIN};

	while (*status == 1) {
		assert_int_equal(poll(&p, 1, 10000), 1);
		f->b->ops->dispatch(f->b);
	}
	return *status;
}

int fixture_sync(struct fixture *f)
{
	int status = 1;

	f->b->ops->sync(f->b, set_status, &status);
	return wait_for(f, &status);
}

int fixture_compact(struct fixture *f, void (*meanwhile)(struct fixture *f))
{
	struct fixture_state state = {0};
	uint64_t revision = f->revision;
	int status = 1, r;

	r = f->b->ops->snapshot_begin(f->b, revision, f->next_ino);
	if (r != 0) {
		return r;
	}
	fixture_state_copy(&state, &f->state);
	for (unsigned i = 0; i < FIXTURE_KEYS && r == 0; i++) {
		char path[16];
		struct change c;
		struct transition t = {.revision = revision, .changes = &c, .n_changes = 1};

		if (!state.values[i]) {
			continue;
		}
		c = change_of(CHANGE_PUT, i, state.values[i], path);
		c.fields |= HAS_HISTORY;
		c.version = 1;
		r = f->b->ops->snapshot_put(f->b, &t, true);
		if (meanwhile) {
			meanwhile(f);
		}
	}
	fixture_state_finish(&state);
	if (r != 0) {
		f->b->ops->snapshot_abort(f->b);
	}
	f->b->ops->snapshot_end(f->b, set_status, &status);
	wait_for(f, &status);
	return r != 0 ? r : status;
}

struct backend_usage fixture_usage(struct fixture *f)
{
	struct backend_usage u;

	f->b->ops->usage(f->b, &u);
	return u;
}

static bool ends_in(const char *s, const char *suffix)
{
	size_t a = strlen(s), b = strlen(suffix);

	return a >= b && strcmp(s + a - b, suffix) == 0;
}

const char *fixture_file(struct fixture *f, const char *suffix, unsigned n)
{
	static char path[256];
	char **files;
	size_t count;

	path[0] = 0;
	files = fault_disk_files(f->disk, &count);
	for (size_t i = 0; i < count; i++) {
		if (ends_in(files[i], suffix) && n-- == 0) {
			snprintf(path, sizeof(path), "%s", files[i]);
		}
		free(files[i]);
	}
	free(files);
	return path[0] ? path : NULL;
}

unsigned fixture_count(struct fixture *f, const char *suffix)
{
	unsigned n = 0;

	while (fixture_file(f, suffix, n)) {
		n++;
	}
	return n;
}

static void take_problem(void *arg, const struct check_problem *p)
{
	char **what = arg;

	assert_non_null(p->file);
	assert_non_null(p->remedy);
	if (!*what) {
		*what = strdup(p->what);
	}
}

uint64_t fixture_check(struct fixture *f, char **what)
{
	char *first = NULL, *error = NULL;
	struct check_callbacks callbacks = {.problem = take_problem, .arg = &first};
	struct check_summary summary;
	int r = journal_check(fault_disk_of(f->disk), FIXTURE_STORE, &callbacks, &summary, &error);

	if (r < 0) {
		print_error("check: %s\n", error ? error : "");
	}
	free(error);
	assert_int_equal(r, 0);
	if (what) {
		*what = first;
	} else {
		free(first);
	}
	return summary.problems;
}
