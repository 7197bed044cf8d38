/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The lines of .cubby/events as they come through a socket: cut anywhere, broken
 * anywhere, resumed. */

#include "base/cleanup.h"
#include "cli/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

/* Connects the stream; returns the other end, and what it was asked. */
static int connect_it(struct stream *s, const char *pattern, char *asked, size_t size)
{
	int fds[2];
	ssize_t count;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(stream_connect(s, fds[0], pattern), 0);
	count = read(fds[1], asked, size - 1);
	assert_true(count > 0);
	asked[count] = '\0';
	return fds[1];
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void line(int fd, int revision, const char *key, bool more)
{
	_cleanup_buffer_ struct buffer text = {0};

	assert_int_equal(buffer_printf(&text,
				 "{\"message_type\":\"state\",\"key\":\"%s\",\"revision\":%d%s}\n",
				 key, revision, more ? ",\"more\":true" : ""),
		0);
	assert_int_equal(write(fd, text.data, text.size), (ssize_t)text.size);
}

/* The keys of the lines that are there now, one after the other. */
static const char *keys(struct stream *s, char *out)
{
	struct stream_line l;
	int rc;

	*out = '\0';
	while (stream_fill(s) == 0) {
	}
	while ((rc = stream_next(s, &l)) == 0) {
		strcat(out,
			l.lost ? "!"
			       : json_object_get_string(json_object_object_get(l.object, "key")));
	}
	assert_int_equal(rc, STREAM_EMPTY);
	return out;
}

static void test_request(void **state)
{
	struct stream s;
	char asked[200];

	(void)state;
	stream_init(&s);
	close(connect_it(&s, NULL, asked, sizeof(asked)));
	assert_string_equal(asked, "{}\n");
	close(connect_it(&s, "a/\"*", asked, sizeof(asked)));
	assert_string_equal(asked, "{\"pattern\":\"a/\\\"*\"}\n");
	stream_seek(&s, 17);
	close(connect_it(&s, "k", asked, sizeof(asked)));
	assert_string_equal(asked, "{\"pattern\":\"k\",\"since\":17}\n");
	stream_finish(&s);
}

static void test_lines_cut_anywhere(void **state)
{
	static const char text[] = "{\"message_type\":\"state\",\"key\":\"a\",\"revision\":1}\n"
				   "{\"message_type\":\"state\",\"key\":\"b\",\"revision\":2}\n";

	(void)state;
	for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
		char got[8], all[20] = "", asked[200];
		struct stream s;
		int fd;

		stream_init(&s);
		fd = connect_it(&s, NULL, asked, sizeof(asked));
		assert_int_equal(write(fd, text, cut), (ssize_t)cut);
		strcat(all, keys(&s, got));
		say(fd, text + cut);
		strcat(all, keys(&s, got));
		assert_string_equal(all, "ab");
		close(fd);
		stream_finish(&s);
	}
}

/* Broken after each of the lines in turn, in the middle of the next one. */
static void test_resume(void **state)
{
	static const struct {
		int revision;
		const char *key;
		bool more;
	} lines[] = {{4, "a", false}, {5, "b", true}, {5, "c", true}, {5, "d", false},
		{7, "e", true}, {7, "f", false}, {8, "g", false}};
	const size_t n = sizeof(lines) / sizeof(lines[0]);

	(void)state;
	for (size_t first = 0; first <= n; first++) {
		for (size_t second = 0; second <= n; second++) {
			char got[20], all[60] = "", asked[200];
			struct stream s;

			stream_init(&s);
			stream_seek(&s, 3);
			for (int round = 0; round < 3; round++) {
				size_t end = round == 0 ? first : round == 1 ? second : n;
				uint64_t since;
				int fd;

				assert_true(stream_since(&s, &since));
				fd = connect_it(&s, NULL, asked, sizeof(asked));
				for (size_t i = 0; i < end; i++) {
					if ((uint64_t)lines[i].revision > since) {
						line(fd, lines[i].revision, lines[i].key,
							lines[i].more);
					}
				}
				say(fd, "{\"message_type\":\"st");
				strcat(all, keys(&s, got));
				stream_disconnect(&s);
				close(fd);
			}
			assert_string_equal(all, "abcdefg");
			stream_finish(&s);
		}
	}
}

static void test_hidden_last_line(void **state)
{
	char got[20], asked[200];
	struct stream s;
	int fd;

	(void)state;
	stream_init(&s);
	fd = connect_it(&s, "a*", asked, sizeof(asked));
	line(fd, 9, "a", true);
	assert_string_equal(keys(&s, got), "a");
	close(fd);
	fd = connect_it(&s, "a*", asked, sizeof(asked));
	assert_string_equal(asked, "{\"pattern\":\"a*\",\"since\":8}\n");
	line(fd, 9, "a", true);
	line(fd, 12, "b", false);
	assert_string_equal(keys(&s, got), "b");
	close(fd);
	stream_finish(&s);
}

/* A connection that fails, or gives nothing, changes nothing. */
static void test_connections_in_vain(void **state)
{
	char got[20], asked[200];
	struct stream s;
	int fd;

	(void)state;
	stream_init(&s);
	fd = connect_it(&s, NULL, asked, sizeof(asked));
	line(fd, 5, "a", true);
	line(fd, 5, "b", true);
	assert_string_equal(keys(&s, got), "ab");
	close(fd);
	for (int i = 0; i < 3; i++) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		assert_true(null >= 0);
		assert_true(stream_connect(&s, null, NULL) < 0);
		assert_int_equal(s.fd, -1);
	}
	fd = connect_it(&s, NULL, asked, sizeof(asked));
	assert_string_equal(asked, "{\"since\":4}\n");
	line(fd, 5, "a", true);
	assert_string_equal(keys(&s, got), "");
	close(fd);
	fd = connect_it(&s, NULL, asked, sizeof(asked));
	line(fd, 5, "a", true);
	line(fd, 5, "b", true);
	line(fd, 5, "c", false);
	assert_string_equal(keys(&s, got), "c");
	assert_int_equal(stream_fill(&s), STREAM_EMPTY);
	close(fd);
	assert_int_equal(stream_fill(&s), STREAM_ENDED);
	stream_finish(&s);
}

/* A loss changes nothing until it is taken. */
static void test_lost(void **state)
{
	char got[20], asked[200];
	struct stream_line l;
	struct stream s;
	int fd;

	(void)state;
	stream_init(&s);
	stream_seek(&s, 3);
	for (int i = 0; i < 2; i++) {
		fd = connect_it(&s, NULL, asked, sizeof(asked));
		assert_string_equal(asked, "{\"since\":3}\n");
		say(fd, "{\"message_type\":\"lost\",\"from\":4,\"first\":40}\n");
		assert_int_equal(stream_fill(&s), 0);
		assert_int_equal(stream_next(&s, &l), 0);
		assert_true(l.lost && l.from == 4 && l.first == 40);
		if (i == 1) {
			stream_seek(&s, l.first - 1);
			line(fd, 40, "a", false);
			assert_string_equal(keys(&s, got), "a");
		}
		close(fd);
	}
	fd = connect_it(&s, NULL, asked, sizeof(asked));
	assert_string_equal(asked, "{\"since\":40}\n");
	close(fd);
	stream_finish(&s);
}

static void test_no_stream(void **state)
{
	static const char *const bad[] = {"hello\n", "[]\n", "{}\n", "\n",
		"{\"message_type\":\"lost\"}\n", "{\"message_type\":\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct stream_line l;
		char asked[200];
		struct stream s;
		int fd;

		stream_init(&s);
		fd = connect_it(&s, NULL, asked, sizeof(asked));
		say(fd, bad[i]);
		assert_int_equal(stream_fill(&s), 0);
		assert_int_equal(stream_next(&s, &l), -EPROTO);
		close(fd);
		stream_finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_lines_cut_anywhere),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_hidden_last_line),
		cmocka_unit_test(test_connections_in_vain),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_no_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
