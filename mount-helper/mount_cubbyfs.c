/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */
/*
 * mount.cubbyfs: what mount(8) runs for `mount -t cubbyfs` and for an fstab line.
 *
 * It sorts the options (options.c), starts cubbyfs, which returns once the mount answers, and
 * turns the outcome into mount(8)'s exit codes. What went wrong is said once, by whoever knows it:
 * cubbyfs's message goes to the same stderr.
 *
 * mount(8) may have been run by anybody and from anywhere, at boot with no environment at all. So
 * cubbyfs is never looked for in PATH, and gets an environment made here. And DIR is not looked at:
 * it may be an automount that waits for this very mount, and a look would wait too.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/standard_files.h"
#include "mount-helper/options.h"
#include "mount-helper/remount.h"
#include "mount-helper/status.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

/* The child's status if it did not become cubbyfs. */
#define EXEC_FAILED 126

#define SAFE_PATH "PATH=/usr/sbin:/usr/bin:/sbin:/bin"

struct request {
	char program[PATH_MAX + 32]; /* cubbyfs */
	int program_fd;              /* held over a change of namespace; or -1 */
	char *store;
	char *directory;
	const char *namespace; /* a mount namespace to enter, or NULL */
	bool fake;
	bool verbose;
	struct options options;
};

static const char usage[] =
	"usage: mount.cubbyfs STORE DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]\n";

static int try_program(struct request *request, const char *directory, const char *name)
{
	snprintf(request->program, sizeof(request->program), "%s%s", directory, name);
	if (access(request->program, X_OK) < 0) {
		return -errno;
	}
	request->program_fd = open(request->program, O_PATH | O_CLOEXEC);
	return request->program_fd < 0 ? -errno : 0;
}

/* Where cubbyfs is: beside this program, or where both were installed. 0 or a negative errno. */
static int find_program(struct request *request)
{
	char self[PATH_MAX];
	ssize_t length;
	char *slash;

	length = getauxval(AT_SECURE) ? -1 : readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (length > 0) {
		self[length] = '\0';
		slash = strrchr(self, '/');
		if (slash) {
			*slash = '\0';
		}
		if (try_program(request, self, "/cubbyfs") == 0 ||
			try_program(request, self, "/../bin/cubbyfs") == 0) {
			return 0;
		}
		slash = strrchr(self, '/');
		if (slash && strcmp(slash, "/mount-helper") == 0 && /* a build tree */
			try_program(request, self, "/../fs/cubbyfs") == 0) {
			return 0;
		}
	}
	return try_program(request, CUBBY_BINDIR, "/cubbyfs");
}

/* NULL: out of memory, or nowhere to start from. */
static char *absolute(const char *prefix, const char *path)
{
	_cleanup_free_ char *here = NULL;
	char *whole = NULL;

	if (*path == '/') {
		return asprintf(&whole, "%s%s", prefix, path) < 0 ? NULL : whole;
	}
	here = getcwd(NULL, 0);
	if (!here) {
		return NULL;
	}
	if (strcmp(here, "/") == 0) {
		here[0] = '\0';
	}
	return asprintf(&whole, "%s%s/%s", prefix, here, path) < 0 ? NULL : whole;
}

/* Absolute, so that no name of a store is taken for a switch; but a URL stays as it is, by the same
 * rule as in cubbyfs, which refuses the kinds that it does not know. */
static char *absolute_store(const char *store)
{
	size_t scheme = strspn(store, "abcdefghijklmnopqrstuvwxyz0123456789+");

	if (strncmp(store, "sqlite:", strlen("sqlite:")) == 0) {
		return absolute("sqlite:", store + strlen("sqlite:"));
	}
	if (scheme > 1 && store[scheme] == ':') {
		return strdup(store);
	}
	return absolute("", store);
}

/* Runs in the child; returns only if it fails. */
static void become_cubbyfs(const struct request *request, char *list)
{
	char *argv[] = {"cubbyfs", request->store, request->directory, "-o", list, NULL};
	/* What a message or a log needs, and nothing that a library could take orders from. */
	static const char *const kept[] = {"TERM", "LANG", "LC_ALL", "LC_MESSAGES", "TZ"};
	char *environment[2 + sizeof(kept) / sizeof(kept[0])] = {SAFE_PATH};
	size_t count = 1;

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		const char *value = getenv(kept[i]);

		if (value && asprintf(&environment[count], "%s=%s", kept[i], value) >= 0) {
			count++;
		}
	}
	environment[count] = NULL;
	if (!*list) {
		argv[3] = NULL;
	}
	/* The daemon lives long: no file of the caller's may live as long. */
	close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	execve(request->program, argv, environment);
	if (errno == ENOENT) { /* another namespace, without cubbyfs */
		fexecve(request->program_fd, argv, environment);
	}
	log_error("%s: %s", request->program, strerror(errno));
}

static enum status translate(int status)
{
	if (WIFSIGNALED(status)) {
		int number = WTERMSIG(status);

		if (number == SIGINT || number == SIGTERM || number == SIGHUP) {
			log_error("interrupted");
			return STATUS_INTERRUPTED;
		}
		log_error("cubbyfs was killed by signal %d (%s)", number, strsignal(number));
		return STATUS_MOUNT_FAILED;
	}
	switch (WEXITSTATUS(status)) {
	case 0:
		return STATUS_OK;
	case 1: /* it took the arguments for wrong */
		return STATUS_USAGE;
	case EXEC_FAILED:
		return STATUS_SYSTEM;
	default:
		return STATUS_MOUNT_FAILED;
	}
}

static enum status run(const struct request *request, char *list)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	int status;
	pid_t child;

	signal(SIGCHLD, SIG_DFL); /* ignored by the caller, it would hide the outcome */
	child = fork();
	if (child < 0) {
		log_error("fork: %s", strerror(errno));
		return STATUS_SYSTEM;
	}
	if (child == 0) {
		become_cubbyfs(request, list);
		_exit(EXEC_FAILED);
	}
	/* The terminal's ^C reaches the child as well; how that ended is what is told. */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR) {
			log_error("waitpid: %s", strerror(errno));
			return STATUS_SYSTEM;
		}
	}
	return translate(status);
}

static enum status enter_namespace(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0) {
		int error = errno;

		log_error("%s: %s", path, strerror(error));
		return error == EPERM || error == EACCES ? STATUS_USAGE : STATUS_SYSTEM;
	}
	return STATUS_OK;
}

static enum status start(struct request *request)
{
	_cleanup_free_ char *list = options_join(&request->options);

	if (!list) {
		log_error("out of memory");
		return STATUS_SYSTEM;
	}
	if (request->verbose) {
		printf("mount.cubbyfs: %s %s %s%s%s\n", request->program, request->store,
			request->directory, *list ? " -o " : "", list);
		fflush(stdout);
	}
	return request->fake ? STATUS_OK : run(request, list);
}

static enum status act(struct request *request)
{
	enum status status = STATUS_OK;
	int r;

	if (request->options.bind && !request->options.remount) {
		log_error("bind is for mount(8) itself: leave out -t cubbyfs");
		return STATUS_USAGE;
	}
	if (!request->options.remount) {
		r = find_program(request);
		if (r < 0) {
			log_error("%s: %s", request->program, strerror(-r));
			return STATUS_SYSTEM;
		}
	}
	if (request->namespace) {
		status = enter_namespace(request->namespace);
	}
	if (status != STATUS_OK) {
		return status;
	}
	if (!request->options.remount) {
		return start(request);
	}
	if (request->verbose) {
		printf("mount.cubbyfs: remount %s\n", request->directory);
		fflush(stdout);
	}
	return remount(request->directory, &request->options, request->fake);
}

static enum status bad_usage(const char *reason, const char *what)
{
	log_error("%s%s (mount.cubbyfs STORE DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS])",
		reason, what);
	return STATUS_USAGE;
}

static enum status add_options(struct options *o, const char *list)
{
	int r = options_add(o, list);

	if (r == OPTIONS_BAD_QUOTE) {
		return bad_usage("a quote is missing in -o ", list);
	}
	if (r < 0) {
		log_error("out of memory");
		return STATUS_SYSTEM;
	}
	return STATUS_OK;
}

static enum status parse(struct request *request, int argc, char **argv)
{
	enum status status = STATUS_OK;
	int option;

	opterr = 0;
	while (status == STATUS_OK && (option = getopt(argc, argv, ":sfnvrwN:t:o:")) != -1) {
		switch (option) {
		case 's':
			status = add_options(&request->options, "sloppy");
			break;
		case 'r':
			status = add_options(&request->options, "ro");
			break;
		case 'w':
			status = add_options(&request->options, "rw");
			break;
		case 'o':
			status = add_options(&request->options, optarg);
			break;
		case 'f':
			request->fake = true;
			break;
		case 'v':
			request->verbose = true;
			break;
		case 'N':
			request->namespace = optarg;
			break;
		case 'n': /* there is no mtab to leave alone */
		case 't': /* mount(8) knows which helper it called */
			break;
		case ':':
			return bad_usage(
				"an option without its value: -", (char[]){(char)optopt, 0});
		default:
			return bad_usage("no such option: -", (char[]){(char)optopt, 0});
		}
	}
	if (status != STATUS_OK) {
		return status;
	}
	if (argc - optind != 2) {
		return bad_usage("a store and a directory are needed", "");
	}
	request->store = absolute_store(argv[optind]);
	request->directory = absolute("", argv[optind + 1]);
	if (!request->store || !request->directory) {
		log_error("the current directory: %s", strerror(errno));
		return STATUS_SYSTEM;
	}
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	struct request request = {.program_fd = -1};
	enum status status;

	open_standard_files();
	log_init("mount.cubbyfs", LOG_INFO);
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return STATUS_OK;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("mount.cubbyfs " CUBBY_VERSION);
		return STATUS_OK;
	}
	options_init(&request.options);
	status = parse(&request, argc, argv);
	if (status == STATUS_OK) {
		status = act(&request);
	}
	options_finish(&request.options);
	if (request.program_fd >= 0) {
		close(request.program_fd);
	}
	free(request.store);
	free(request.directory);
	return (int)status;
}
