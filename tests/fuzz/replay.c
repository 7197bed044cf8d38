/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The main of a target that no fuzzer drives: runs it on each file that is given, and
 * on each file of a directory; without arguments on what comes from stdin. So it is
 * also what AFL++ wants (afl-clang-fast, `afl-fuzz ... -- fuzz_NAME @@`). */
#include "base/cleanup.h"
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

static char current[4096] = "standard input";
static unsigned n_inputs;

static void say_which(int signal)
{
	static const char text[] = "\nthe input was ";
	ssize_t written = write(2, text, sizeof(text) - 1);

	written += write(2, current, strlen(current));
	written += write(2, "\n", 1);
	(void)written;
	(void)signal; /* as it was set up, the next one ends the process */
	raise(signal);
}

static void run_file(FILE *f)
{
	_cleanup_buffer_ struct buffer data = {0};
	char chunk[4096];
	size_t n;
	uint8_t *copy;

	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
		CHECK(buffer_append(&data, chunk, n) == 0);
	}
	CHECK(!ferror(f));
	/* of just that size, so that a sanitizer sees a read past the end */
	copy = malloc(data.size ? data.size : 1);
	CHECK(copy);
	if (data.size > 0) {
		memcpy(copy, data.data, data.size);
	}
	LLVMFuzzerTestOneInput(copy, data.size);
	free(copy);
	n_inputs++;
}

static void run_path(const char *path)
{
	_cleanup_file_ FILE *f = fopen(path, "re");

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	snprintf(current, sizeof(current), "%s", path);
	run_file(f);
}

static void run_directory(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);

	CHECK(n >= 0);
	for (int i = 0; i < n; i++) {
		char below[4096];

		if (entries[i]->d_name[0] != '.') {
			snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
			run_path(below);
		}
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	struct sigaction action = {.sa_handler = say_which, .sa_flags = (int)SA_RESETHAND};
	struct stat st;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], &action, NULL);
	}
	if (argc < 2) {
		run_file(stdin);
	}
	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
			run_directory(argv[i]);
		} else {
			run_path(argv[i]);
		}
	}
	printf("%u inputs\n", n_inputs);
	return n_inputs > 0 ? 0 : 1; /* an empty corpus tests nothing */
}
