/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby: the command-line tool. On a live mount it does nothing that plain
 * file I/O does not do too; cubby(1) says how for each command. */

#include "cli/command.h"

#include <stdio.h>
#include <string.h>

static const struct command *const commands[] = {
	&command_get,
	&command_set,
	&command_del,
	&command_ls,
	&command_ttl,
	&command_incr,
	&command_update,
	&command_cas,
	&command_lock,
	&command_unlock,
	&command_watch,
	&command_stats,
	&command_check,
	&command_compact,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	fputs("Usage: cubby COMMAND [ARGUMENTS]\n\n", out);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	}
	fputs("\n'cubby COMMAND --help' tells what a command takes; 'man cubby' tells all.\n", out);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i]->name, name) == 0) {
			return commands[i];
		}
	}
	return NULL;
}

static int run(int argc, char **argv)
{
	char title[32];
	const struct command *c;

	if (argc < 2) {
		print_help(stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		print_help(stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("cubby " CUBBY_VERSION);
		return 0;
	}
	c = find(argv[1]);
	if (!c) {
		fprintf(stderr, "cubby: there is no command '%s'; 'cubby --help' lists them\n",
			argv[1]);
		return EX_USAGE;
	}
	snprintf(title, sizeof(title), "cubby %s", c->name);
	argv[1] = title;
	return c->run(c, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int code = run(argc, argv);

	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("cubby: standard output");
		return code ? code : EX_IOERR;
	}
	return code;
}
