/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A command of cubby(1): what it is called, what it takes, what it says when
 * something is wrong. Each command describes itself in one struct command;
 * main.c has the table.
 *
 * Exit codes are those of sysexits.h; command_exit_code says which errno is
 * which. All strings in a struct command live for good. */
#pragma once

#include <getopt.h>
#include <stdint.h>
#include <sysexits.h>

struct command {
	const char *name;
	const char *arguments; /* what follows the name in the usage line */
	const char *summary;   /* one line */
	const char *options;   /* lines of the help; NULL: only --help */
	const char *notes;     /* lines after them, or NULL */
	const char *letters;   /* getopt's; with "h" */
	const struct option *words;
	/* argv[0] is "cubby NAME". Returns the exit code. */
	int (*run)(const struct command *c, int argc, char **argv);
};

/* The last two entries of every command's `words`. */
#define COMMAND_WORDS_END                                                                          \
	{"help", no_argument, NULL, 'h'},                                                          \
	{                                                                                          \
		NULL, 0, NULL, 0                                                                   \
	}

extern const struct command command_cas;
extern const struct command command_check;
extern const struct command command_compact;
extern const struct command command_del;
extern const struct command command_get;
extern const struct command command_incr;
extern const struct command command_lock;
extern const struct command command_ls;
extern const struct command command_set;
extern const struct command command_stats;
extern const struct command command_ttl;
extern const struct command command_unlock;
extern const struct command command_update;
extern const struct command command_watch;

/* The next option, or -1 after the last. --help and what is unknown end the
 * program here. */
int command_option(const struct command *c, int argc, char **argv);

/* Takes the first argument that is a negative number out of argv, so that
 * getopt does not take it for an option. NULL if there is none. */
char *command_take_negative(int *argc, char **argv);

/* Ends the program with EX_USAGE and one line. */
_Noreturn void command_misused(const struct command *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Ends the program unless the count of arguments left is in the range. */
void command_arguments(const struct command *c, int argc, int at_least, int at_most);

/* A number, or the end of the program. */
uint64_t command_revision(const struct command *c, const char *text);

/* A duration as decimal seconds, as user.cubby.ttl takes them, or the end of
 * the program. `out` holds DURATION_TEXT_SIZE bytes. */
void command_duration(const struct command *c, const char *text, char *out);

/* Prints "cubby: PATH: REASON" and returns `code`. */
int command_fail(int code, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for an errno (of either sign); returns its exit code. */
int command_fail_errno(const char *path, int error);

int command_exit_code(int error);
