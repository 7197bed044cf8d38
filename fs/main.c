/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubbyfs(8): mounts a state store as a directory tree. */

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/progress.h"
#include "fs/announcer.h"
#include "fs/control.h"
#include "fs/daemon.h"
#include "fs/descriptors.h"
#include "fs/events.h"
#include "fs/holder.h"
#include "fs/location.h"
#include "fs/loop.h"
#include "fs/mapping.h"
#include "fs/ops.h"
#include "fs/options.h"
#include "fs/privileges.h"
#include "fs/process.h"
#include "fs/session.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef CUBBYFS_VERSION
#define CUBBYFS_VERSION "unknown"
#endif

enum status {
	STATUS_OK = 0,
	STATUS_USAGE = 1,
	STATUS_NOT_STARTED = 2,
	STATUS_NOT_CLOSED = 3,
};

static const char usage[] =
	"usage: cubbyfs STORE DIR [-o OPTIONS] [-f] [-d]\n"
	"\n"
	"Mounts the state store STORE on the directory DIR. STORE is a directory (made\n"
	"on first use) or a URL, as memory: for a store that is gone with the mount.\n"
	"Unmount with umount DIR, or as a user with fusermount3 -u DIR.\n"
	"\n"
	"  -f, --foreground   stay in the foreground\n"
	"  -d, --debug        show every request (implies -f)\n"
	"  -h, --help         show this\n"
	"  -V, --version      show the version\n"
	"  -o OPTION[,...]    mount options:\n"
	"    max_value=SIZE     largest value, as 64K or 1M (default 1M)\n"
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

/* --- the run ------------------------------------------------------------- */

/* What the callbacks of the store and of the loop work with. */
struct run {
	struct daemon *daemon;
	struct announcer *announcer;
	struct holders *holders;
	struct session *session;
	const char *dir;
	dev_t device; /* of the mount, once it answers */
	struct progress progress;
};

/* The signals that end us are blocked while the log is replayed, since threads
 * are made then; but somebody who waits for a long replay can end it. */
static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct run *run = arg;

	progress_update(&run->progress, done, total);
	if (loop_signal_is_pending()) {
		progress_finish(&run->progress);
		log_error("ended by a signal");
		_exit(STATUS_NOT_STARTED);
	}
}

static unsigned writers_of(void *arg, pid_t process, uint64_t ino)
{
	const struct run *run = arg;

	return descriptors_that_write(process, ino, run->device);
}

static int describe_holder(void *arg, const struct store_caller *caller, struct buffer *out)
{
	const struct run *run = arg;

	return holders_describe(run->holders, caller, out);
}

static enum store_watch watch_holder(void *arg, struct bytes holder, uint64_t token)
{
	const struct run *run = arg;

	return holders_watch(run->holders, holder, token);
}

static void unwatch_holder(void *arg, uint64_t token)
{
	const struct run *run = arg;

	holders_unwatch(run->holders, token);
}

/* A mount that is read-only may be mounted read-write later, so the store is
 * opened for writing if that can be. */
static int open_writable(struct store **out, struct store_config *config, bool read_only,
	char **error)
{
	int r = store_open(out, config, error);

	if (read_only && (r == -EROFS || r == -EACCES)) {
		free(*error);
		config->read_only = true;
		r = store_open(out, config, error);
	}
	return r;
}

static int open_store(struct store **out, const struct options *o, const char *location,
	struct run *run)
{
	struct store_config config;
	_cleanup_free_ char *error = NULL;
	int r;

	store_config_init(&config);
	config.location = location;
	config.process_of = process_of_thread;
	config.sync = o->sync;
	config.writers_of = writers_of;
	config.in_group = process_in_group;
	config.holder = describe_holder;
	config.watch_holder = watch_holder;
	config.unwatch_holder = unwatch_holder;
	config.lock_ttl = o->lock_ttl;
	config.lock_keepalive = o->lock_keepalive;
	config.uid = getuid();
	config.gid = getgid();
	config.mode = 0755;
	config.progress = on_progress;
	config.arg = run;
	config.max_value = o->max_value ? o->max_value : config.max_value;
	config.segment_size = o->segment_size ? o->segment_size : config.segment_size;
	config.compact_min = o->compact_min ? o->compact_min : config.compact_min;
	config.commit = o->commit >= 0 ? o->commit : config.commit;
	progress_init(&run->progress, "replaying");
	r = open_writable(out, &config, o->read_only, &error);
	progress_finish(&run->progress);
	if (r == 0) {
		return 0;
	}
	if (error) {
		log_error("%s", error);
	} else {
		log_error("cannot open the store %s: %s", location,
			r < 0 ? strerror(-r) : "no such kind");
	}
	return r < 0 ? r : -EINVAL;
}

static void on_ready(void *arg)
{
	struct run *run = arg;
	struct mountinfo m;

	if (mountinfo_find(&m, run->dir) == 0) {
		run->device = m.device;
	}
	mountinfo_finish(&m);
	announcer_start(run->announcer, run->dir, session_clone(run->session));
	daemon_ready(run->daemon);
}

static int serve(struct run *run, struct frontend *fe)
{
	struct loop loop = {
		.session = run->session,
		.store = fe->store,
		.announcer = fe->announcer,
		.events = fe->events,
		.holders = run->holders,
		.ready = on_ready,
		.arg = run,
	};
	int r = session_mount(run->session);

	return r < 0 ? r : loop_run(&loop);
}

static int run(struct daemon *d, const struct options *o, const char *location, const char *dir)
{
	struct run state = {.daemon = d, .dir = dir};
	struct frontend fe = {.store = NULL};
	int status = STATUS_NOT_STARTED;
	int r;

	loop_block_signals();
	/* From here on there are no more rights than it takes to serve the mount: before
	 * anything is read that others wrote, and before there is any thread. */
	if (session_create(&state.session, o, location, dir, &fe) < 0) {
		return status;
	}
	if (privileges_drop() < 0) {
		session_destroy(state.session);
		return status;
	}
	r = holders_create(&state.holders);
	if (r < 0) {
		log_error("%s", strerror(-r));
		session_destroy(state.session);
		return status;
	}
	if (open_store(&fe.store, o, location, &state) < 0) {
		session_destroy(state.session);
		holders_destroy(state.holders);
		return status;
	}
	holders_set_store(state.holders, fe.store);
	r = control_create(&fe.control, fe.store);
	r = r ? r : events_create(&fe.events, fe.store);
	r = r ? r : mapping_create(&fe.mapping, fe.store);
	r = r ? r : announcer_create(&fe.announcer, fe.store);
	state.announcer = fe.announcer;
	if (r < 0) {
		log_error("%s", strerror(-r));
	} else if (serve(&state, &fe) == 0) {
		status = STATUS_OK;
	}
	session_destroy(state.session);
	announcer_stop(fe.announcer);
	mapping_destroy(fe.mapping);
	events_destroy(fe.events);
	control_destroy(fe.control);
	r = store_close(fe.store);
	if (r) {
		log_error("the last changes may not be on the disk: %s",
			strerror(r < 0 ? -r : EIO));
		status = STATUS_NOT_CLOSED;
	}
	/* It may be long, and the next mount of the store need not wait for it. */
	announcer_destroy(fe.announcer);
	holders_destroy(state.holders);
	return status;
}

/* --- the command line ---------------------------------------------------- */

struct arguments {
	const char *store, *dir;
	bool foreground;
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
	if (argc - optind != 2 || !*argv[optind] || !*argv[optind + 1]) {
		return fail_usage("STORE and DIR are needed");
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

static int start(const struct arguments *a)
{
	_cleanup_free_ char *store = location_of_store(a->store);
	_cleanup_free_ char *dir = location_of_mount(a->dir);
	struct daemon d;
	int r;

	if (!store || !dir) {
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
	return run(&d, &a->options, store, dir);
}

/* The standard descriptors are what their names say, or at least nothing else: a socket
 * that got such a number would be written to. */
static void open_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0) {
		close(fd);
	}
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
		status = start(&a);
	}
	options_finish(&a.options);
	return status;
}
