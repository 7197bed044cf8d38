/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Lines of /proc/self/mountinfo. The kernel writes them, but whoever mounts has chosen the words.
 * What was read out of one, written as the kernel does, reads the same.
 *
 * Input: one line of it a line. */
#include "base/cleanup.h"
#include "base/mountinfo.h"
#include "fuzz.h"

#include <inttypes.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

static const char *const flag_names[] = {"ro", "nosuid", "nodev", "noexec", "noatime", "nodiratime",
	"relatime", "nosymfollow", "sync", "dirsync", "lazytime"};
static const unsigned long flags[] = {MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOATIME,
	MS_NODIRATIME, MS_RELATIME, 256, MS_SYNCHRONOUS, MS_DIRSYNC, 1 << 25};

static void put_field(struct buffer *out, const char *text)
{
	for (; *text; text++) {
		if (strchr(" \t\n\\#", *text)) {
			CHECK(buffer_printf(out, "\\%03o", (unsigned char)*text) == 0);
		} else {
			CHECK(buffer_append(out, text, 1) == 0);
		}
	}
	CHECK(buffer_append_string(out, " ") == 0);
}

static void put_flags(struct buffer *out, unsigned long set)
{
	CHECK(buffer_append_string(out, "rw") == 0);
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (set & flags[i]) {
			CHECK(buffer_printf(out, ",%s", flag_names[i]) == 0);
		}
	}
}

/* The kernel writes no field that is empty (\000 ends a string), nor one of `-` before the tail. */
static bool is_possible(const struct mountinfo *m)
{
	return strcmp(m->root, "-") != 0 && strcmp(m->point, "-") != 0 && *m->root && *m->point &&
	       *m->type && *m->source && *m->super_options;
}

static void check(const struct mountinfo *m)
{
	_cleanup_buffer_ struct buffer line = {0};
	struct mountinfo again;

	CHECK(buffer_printf(&line, "%d 1 %u:%u ", m->id, major(m->device), minor(m->device)) == 0);
	put_field(&line, m->root);
	put_field(&line, m->point);
	put_flags(&line, m->flags);
	CHECK(buffer_append_string(&line, " shared:7 - ") == 0);
	put_field(&line, m->type);
	put_field(&line, m->source);
	put_field(&line, m->super_options);
	CHECK(buffer_append(&line, "\n", 2) == 0);
	CHECK(mountinfo_parse(&again, line.data) == 0);
	CHECK(m->id == again.id && m->device == again.device);
	CHECK(m->flags == again.flags && m->super_flags == again.super_flags);
	CHECK(strcmp(m->root, again.root) == 0 && strcmp(m->point, again.point) == 0);
	CHECK(strcmp(m->type, again.type) == 0 && strcmp(m->source, again.source) == 0);
	CHECK(strcmp(m->super_options, again.super_options) == 0);
	mountinfo_finish(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes rest = bytes_of(data, size), line;
	struct mountinfo m;

	while (take_line(&rest, &line)) {
		_cleanup_free_ char *text = string_of(line);
		int r = mountinfo_parse(&m, text);

		CHECK(r == 0 || r == MOUNTINFO_NONE);
		if (r == 0) {
			CHECK(m.root && m.point && m.type && m.source && m.super_options);
			CHECK(!(m.flags & MS_STRICTATIME) !=
				!(m.flags & (MS_NOATIME | MS_RELATIME)));
			if (is_possible(&m)) {
				check(&m);
			}
		}
		mountinfo_finish(&m);
	}
	return 0;
}
