/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Reads a journal from beginning to end and makes nothing of it: what a mount cannot
 * go below. The mode says how much is done with each line: `read` finds its end,
 * `json` parses it with json-c, `record` checks and decodes it as the store does. */

#include "bench/workload.h"

#include "base/cleanup.h"
#include "store/record.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>

#define PIECE (1u << 20)

enum parse_mode { PARSE_READ, PARSE_JSON, PARSE_RECORD };

struct parser {
	enum parse_mode mode;
	struct json_tokener *tokener;
	struct record_decoder *decoder;
	size_t lines;
	uint64_t bytes;
};

static int parse_line(struct parser *p, struct bytes line)
{
	const struct transition *t;
	struct json_object *object;
	int r;

	p->lines++;
	if (p->mode == PARSE_JSON) {
		json_tokener_reset(p->tokener);
		object = json_tokener_parse_ex(p->tokener, line.data, (int)line.size);
		if (!object) {
			return -EBADMSG;
		}
		json_object_put(object);
	} else if (p->mode == PARSE_RECORD) {
		r = record_decode(p->decoder, line, &t);
		/* first and last lines are no transitions */
		return r < 0 ? r : r == RECORD_DAMAGED ? -EBADMSG : 0;
	}
	return 0;
}

/* What is after the last newline is kept for the next piece. */
static int parse_lines(struct parser *p, struct buffer *b)
{
	size_t at = 0;
	const char *newline;
	int r = 0;

	while (r == 0 && (newline = memchr(b->data + at, '\n', b->size - at))) {
		r = parse_line(p, bytes_of(b->data + at, (size_t)(newline - b->data) - at));
		at = (size_t)(newline - b->data) + 1;
	}
	memmove(b->data, b->data + at, b->size - at);
	b->size -= at;
	return r;
}

static int parse_file(struct parser *p, int directory, const char *name)
{
	_cleanup_fd_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	_cleanup_buffer_ struct buffer b = {0};
	ssize_t n = 1;
	int r = fd < 0 ? -errno : 0;

	while (r == 0 && n > 0) {
		r = buffer_reserve(&b, b.size + PIECE);
		if (r < 0) {
			break;
		}
		n = read(fd, b.data + b.size, PIECE);
		if (n < 0) {
			return -errno;
		}
		b.size += (size_t)n;
		p->bytes += (size_t)n;
		r = parse_lines(p, &b);
	}
	return r;
}

static bool is_journal(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (strcmp(dot, ".log") == 0 || strcmp(dot, ".snap") == 0);
}

static int parse_store(struct parser *p, const char *store)
{
	_cleanup_dir_ DIR *d = opendir(store);
	struct dirent *entry;
	int r = 0;

	if (!d) {
		return -errno;
	}
	while (r == 0 && (entry = readdir(d))) {
		if (is_journal(entry->d_name)) {
			r = parse_file(p, dirfd(d), entry->d_name);
		}
	}
	return r;
}

static int run_parse(const struct task *t, struct report *r)
{
	const char *mode = t->mode ? t->mode : "record";
	struct parser p = {.mode = strcmp(mode, "read") == 0   ? PARSE_READ
				   : strcmp(mode, "json") == 0 ? PARSE_JSON
							       : PARSE_RECORD};
	int64_t start;
	int rc;

	if (!t->store) {
		return -EINVAL;
	}
	rc = record_decoder_create(&p.decoder);
	p.tokener = json_tokener_new();
	if (rc == 0 && p.tokener) {
		start = now_ns();
		rc = parse_store(&p, t->store);
		r->wall = now_ns() - start;
	} else {
		rc = -ENOMEM;
	}
	record_decoder_destroy(p.decoder);
	if (p.tokener) {
		json_tokener_free(p.tokener);
	}
	r->calls = r->counted = p.lines;
	samples_add(&r->samples, r->wall);
	report_extra(r, "bytes", (double)p.bytes);
	return rc;
}

const struct workload workloads_parse[] = {
	{"parse", run_parse},
	{NULL, NULL},
};
