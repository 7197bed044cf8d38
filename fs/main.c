/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubbyfs(8): mounts a state store as a directory tree. */

#define FUSE_USE_VERSION 314

#include "base/cleanup.h"
#include "base/log.h"
#include "base/standard_files.h"
#include "fs/daemon.h"
#include "fs/location.h"
#include "fs/options.h"
#include "fs/replace.h"
#include "fs/supervisor.h"
#include "fs/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef CUBBYFS_VERSION
#define CUBBYFS_VERSION "unknown"
#endif

static const char usage[] =
	"usage: cubbyfs STORE DIR [-o OPTIONS] [-f] [-d]\n"
	"       cubbyfs --replace DIR\n"
	"\n"
	"Mounts the state store STORE on the directory DIR. STORE is a directory (made\n"
	"on first use) or a URL, as memory: for a store that is gone with the mount.\n"
	"Unmount with umount DIR, or as a user with fusermount3 -u DIR.\n"
	"\n"
	"  -f, --foreground   stay in the foreground\n"
	"  -d, --debug        show every request (implies -f)\n"
	"  --replace DIR      have this program take the mount on DIR over from the one\n"
	"                     that serves it, as after an upgrade; no client notices\n"
	"  -h, --help         show this\n"
	"  -V, --version      show the version\n"
	"  -o OPTION[,...]    mount options:\n"
	"    max_value=SIZE     largest value, as 64K or 1M (default 1M)\n"
	"    max_bytes=SIZE     values and attributes of the whole store, or none\n"
	"                       (default: half of the memory)\n"
	"    max_keys=N         names in the whole store, or none (default: one for\n"
	"                       each 2K of memory)\n"
	"    max_staged=SIZE    what a user may write and not close (default 64M, or\n"
	"                       four times max_value)\n"
	"    max_open=N         files that a user may have open (default 16K)\n"
	"    max_locks=N        flock(2) and fcntl(2) locks of a user (default 1K)\n"
	"    commit=SECONDS     a change is on the disk after so long (default 1);\n"
	"                       0: only after fsync(2)\n"
	"    sync               close(2) returns when the value is on the disk\n"
	"    ro                 the mount is read-only\n"
	"    lock_ttl=SECONDS   names in .lock that are made exclusively expire\n"
	"    lock_keepalive     locks expire so long after their maker has ended\n"
	"    timeout=SECONDS, segment_size=SIZE, compact_min=SIZE\n"
	"    log_level=LEVEL    error, warning, info (default) or debug\n"
	"    allow_other, allow_root, auto_unmount, dev, suid, noexec, nosymfollow,\n"
	"    fsname=, subtype=, context=, and all that fstab(5) knows\n"
	"    sloppy             ignore unknown options\n"
	"\n"
	"It returns when the mount answers. Exit status: 0 done; 1 wrong usage; 2 not\n"
	"started; 3 (with -f) a change may not have reached the disk at the end.\n";

/* --- the command line ---------------------------------------------------- */

struct arguments {
	const char *store, *dir;
	bool foreground, is_worker, replace;
	struct options options;
};

static int fail_usage(const char *reason)
{
	log_error("%s (cubbyfs --help shows how)", reason);
	return STATUS_USAGE;
}

static int parse_options(struct options *o, const char *string)
{
	_cleanup_free_ char *error = NULL;

	if (options_parse(o, string, &error) == 0) {
		return 0;
	}
	log_error("%s", error ? error : "out of memory");
	return STATUS_USAGE;
}

/* -1 to go on, or the status to exit with. */
static int parse(struct arguments *a, int argc, char **argv)
{
	static const struct option longs[] = {
		{"foreground", no_argument, NULL, 'f'},
		{"debug", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"replace", no_argument, NULL, 'R'},
		{"worker", no_argument, NULL, 'W'}, /* the supervisor's, for link.h */
		{"version", no_argument, NULL, 'V'},
		{NULL, 0, NULL, 0},
	};
	_cleanup_free_ char *error = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "o:fdhV", longs, NULL)) != -1) {
		switch (c) {
		case 'o':
			if (parse_options(&a->options, optarg) != 0) {
				return STATUS_USAGE;
			}
			break;
		case 'f':
			a->foreground = true;
			break;
		case 'd':
			a->options.debug = true;
			break;
		case 'R':
			a->replace = true;
			break;
		case 'W':
			a->is_worker = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return STATUS_OK;
		case 'V':
			printf("cubbyfs %s (libfuse %s)\n", CUBBYFS_VERSION, fuse_pkgversion());
			return STATUS_OK;
		default:
			return STATUS_USAGE;
		}
	}
	if (a->replace && argc - optind == 1) {
		a->dir = argv[optind];
		return -1;
	}
	if (argc - optind != 2 || a->replace || !*argv[optind] || !*argv[optind + 1]) {
		return fail_usage(a->replace ? "DIR is needed" : "STORE and DIR are needed");
	}
	a->store = argv[optind];
	a->dir = argv[optind + 1];
	if (options_check(&a->options, &error) < 0) {
		log_error("%s", error ? error : "out of memory");
		return STATUS_USAGE;
	}
	if (a->options.debug) {
		a->foreground = true;
		a->options.log_level = LOG_DEBUG;
	}
	return -1;
}

/* The same arguments for a worker, which is in another directory some day. NULL without memory. */
static char **worker_arguments(int argc, char **argv, char *store, char *dir)
{
	static char name[] = "cubbyfs", worker[] = "--worker";
	char **out = calloc((size_t)argc + 2, sizeof(*out));

	if (out) {
		out[0] = name;
		out[1] = worker;
		/* getopt has put those that are no options at the end. */
		memcpy(out + 2, argv + 1, ((size_t)argc - 1) * sizeof(*out));
		out[argc - 1] = store;
		out[argc] = dir;
	}
	return out;
}

static int start(const struct arguments *a, int argc, char **argv)
{
	_cleanup_free_ char *store = location_of_store(a->store);
	_cleanup_free_ char *dir = location_of_mount(a->dir);
	_cleanup_free_ char **worker_argv = worker_arguments(argc, argv, store, dir);
	struct daemon d;
	struct supervisor s;
	int r;

	if (!store || !dir || !worker_argv) {
		log_error("out of memory");
		return STATUS_NOT_STARTED;
	}
	if (!location_is_url(store) && location_is_in(store, dir)) {
		log_error("the store %s would be hidden under its own mount on %s", store, dir);
		return STATUS_USAGE;
	}
	r = daemon_init(&d, a->foreground);
	if (r < 0) {
		log_error("cannot fork: %s", strerror(-r));
		return STATUS_NOT_STARTED;
	}
	s = (struct supervisor){
		.daemon = &d,
		.options = &a->options,
		.store = store,
		.dir = dir,
		.worker_argv = worker_argv,
		.can_restart = strncmp(store, "memory:", strlen("memory:")) != 0,
	};
	return supervisor_run(&s);
}

static int be_worker(const struct arguments *a)
{
	const struct worker w = {
		.options = &a->options,
		.store = a->store,
		.dir = a->dir,
		.foreground = a->foreground,
	};

	return worker_run(&w);
}

int main(int argc, char **argv)
{
	struct arguments a = {.store = NULL};
	int status;

	open_standard_files();

	log_init("cubbyfs", LOG_INFO);
	options_init(&a.options);
	status = parse(&a, argc, argv);
	if (status < 0) {
		log_init("cubbyfs", a.options.log_level);
		status = a.is_worker ? be_worker(&a) :
			 a.replace   ? replace_worker(a.dir, CUBBYFS_VERSION) :
				       start(&a, argc, argv);
	}
	options_finish(&a.options);
	return status;
}
