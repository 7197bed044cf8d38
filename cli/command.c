/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "cli/command.h"

#include "base/cleanup.h"
#include "base/printable.h"
#include "cli/duration.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const struct command *c)
{
	printf("Usage: cubby %s %s\n%s\n\n", c->name, c->arguments, c->summary);
	printf("%s  -h, --help           this text\n", c->options ? c->options : "");
	if (c->notes) {
		printf("\n%s", c->notes);
	}
}

int command_option(const struct command *c, int argc, char **argv)
{
	int letter = getopt_long(argc, argv, c->letters, c->words, NULL);

	if (letter == 'h') {
		print_help(c);
		exit(fflush(stdout) == 0 ? 0 : EX_IOERR);
	}
	if (letter == '?') { /* getopt has said what */
		fprintf(stderr, "Try 'cubby %s --help'.\n", c->name);
		exit(EX_USAGE);
	}
	return letter;
}

char *command_take_negative(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		char *word = argv[i];

		if (strcmp(word, "--") == 0) {
			break;
		}
		if (word[0] == '-' && isdigit((unsigned char)word[1])) {
			memmove(&argv[i], &argv[i + 1], (size_t)(*argc - i) * sizeof(*argv));
			(*argc)--;
			return word;
		}
	}
	return NULL;
}

void command_misused(const struct command *c, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "cubby %s: ", c->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nUsage: cubby %s %s\n", c->name, c->arguments);
	exit(EX_USAGE);
}

void command_arguments(const struct command *c, int argc, int at_least, int at_most)
{
	int count = argc - optind;

	if (count < at_least) {
		command_misused(c, "something is missing");
	}
	if (count > at_most) {
		command_misused(c, "that is one argument too many");
	}
}

uint64_t command_revision(const struct command *c, const char *text)
{
	char *end;
	unsigned long long number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno) {
		command_misused(c, "'%s' is no revision", text);
	}
	return number;
}

void command_duration(const struct command *c, const char *text, char *out)
{
	int64_t duration = 0;
	int rc = duration_parse(text, &duration);

	if (rc) {
		command_misused(c, "'%s' is %s", text,
			rc == DURATION_TOO_LONG ? "too long a time" : "no duration");
	}
	duration_seconds(duration, out);
}

int command_fail(int code, const char *path, const char *format, ...)
{
	_cleanup_free_ char *shown = strdup(path);
	va_list args;

	if (shown) {
		printable_make(shown); /* anybody may have given it its name */
	}
	fflush(stdout);
	fprintf(stderr, "cubby: %s: ", shown ? shown : "?");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

int command_fail_errno(const char *path, int error)
{
	error = abs(error);
	switch (error) {
	case ENOTSUP:
		return command_fail(EX_UNAVAILABLE, path, "not on a cubbyfs mount");
	case EROFS:
		return command_fail(EX_NOPERM, path, "the store is read-only");
	case EFBIG:
		return command_fail(EX_DATAERR, path, "larger than max_value allows");
	default:
		return command_fail(command_exit_code(error), path, "%s", strerror(error));
	}
}

int command_exit_code(int error)
{
	switch (abs(error)) {
	case 0:
		return EX_OK;
	case ENOENT:
	case ENODATA:
		return EX_NOINPUT;
	case EEXIST:
		return EX_CANTCREAT;
	case EACCES:
	case EPERM:
	case EROFS:
		return EX_NOPERM;
	case EAGAIN:
	case EBUSY:
	case EINTR:
	case ENOTEMPTY:
	case ETIMEDOUT:
		return EX_TEMPFAIL;
	case E2BIG:
	case EFBIG:
	case EINVAL:
	case EISDIR:
	case ELOOP:
	case ENAMETOOLONG:
	case ENOTDIR:
	case ERANGE:
		return EX_DATAERR;
	case ENOTSUP:
		return EX_UNAVAILABLE;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return EX_OSERR;
	default:
		return EX_IOERR;
	}
}
