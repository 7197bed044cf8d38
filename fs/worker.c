/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/worker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/keep.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/progress.h"
#include "fs/announcer.h"
#include "fs/control.h"
#include "fs/daemon.h"
#include "fs/descriptors.h"
#include "fs/events.h"
#include "fs/holder.h"
#include "fs/link.h"
#include "fs/loop.h"
#include "fs/mapping.h"
#include "fs/ops.h"
#include "fs/privileges.h"
#include "fs/process.h"
#include "fs/session.h"
#include "store/json.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef CUBBYFS_VERSION
#define CUBBYFS_VERSION "unknown"
#endif

/* Memory for each name that may be. One takes about a quarter of it. */
#define NAME_SHARE 2048
/* Of one user. */
#define MAX_STAGED (UINT64_C(64) << 20)
#define MAX_OPEN 16384
#define MAX_LOCKS 1024

/* How long the last worker may take to let go of the store: its threads may be in a sync. */
#define RESTART_WAIT (30 * NSEC_PER_SEC)

/* What the callbacks of the store and of the loop work with. */
struct run {
	const struct worker *worker;
	struct frontend *fe;
	struct announcer *announcer;
	struct holders *holders;
	int view; /* of the mount, private; or why there is none, a negative errno */
	bool is_successor; /* of a worker that was killed */
	dev_t device; /* of the mount, once it answers */
	struct progress progress;
};

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
	struct run *run = arg;

	progress_update(&run->progress, done, total);
}

static void add_stats(void *arg, struct json_object *o)
{
	const struct run *run = arg;

	json_add(o, "version", json_object_new_string(CUBBYFS_VERSION));
	json_add(o, "supervisor", json_object_new_int64(getppid()));
	json_add(o, "worker", json_object_new_int64(getpid()));
	json_add(o, "requests", json_object_new_int64((int64_t)session_count(run->fe->session)));
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

/* 0 if there is no limit. */
static uint64_t limit(uint64_t given, uint64_t otherwise)
{
	return given == OPTIONS_NONE ? 0 : given ? given : otherwise;
}

/* What is kept is in memory: as tmpfs does, it leaves half of that to others. */
static void set_limits(struct store_config *config, const struct options *o)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t value = 4 * config->max_value;

	config->max_bytes = limit(o->max_bytes, memory / 2);
	config->max_keys = limit(o->max_keys, memory / NAME_SHARE);
	config->max_staged = limit(o->max_staged, value > MAX_STAGED ? value : MAX_STAGED);
	config->max_open = limit(o->max_open, MAX_OPEN);
	config->max_locks = limit(o->max_locks, MAX_LOCKS);
}

static int open_store(struct store **out, const struct options *o, const char *location,
	struct run *run)
{
	struct store_config config;
	_cleanup_free_ char *error = NULL;
	struct bytes init;
	int r;

	store_config_init(&config);
	config.location = location;
	config.process_of = process_of_thread;
	config.sync = o->sync;
	config.lends_thread = true;
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
	set_limits(&config, o);
	config.segment_size = o->segment_size ? o->segment_size : config.segment_size;
	config.compact_min = o->compact_min ? o->compact_min : config.compact_min;
	config.commit = o->commit >= 0 ? o->commit : config.commit;
	config.stats = add_stats;
	config.keep = run->fe->keep;
	if (keep_find(run->fe->keep, KEEP_INIT, 0, &init)) {
		config.lock_wait = RESTART_WAIT;
		run->is_successor = true;
	}
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

	if (mountinfo_find(&m, run->worker->dir) == 0) {
		run->device = m.device;
	}
	mountinfo_finish(&m);
	announcer_start(run->announcer, run->worker->dir, run->view);
	link_send(LINK_FD, LINK_READY, 0, -1);
	if (!run->worker->foreground && !run->is_successor) {
		daemon_detach();
	}
}

static enum loop_command on_command(void *arg)
{
	(void)arg;
	switch (link_receive(LINK_FD, NULL, NULL)) {
	case LINK_END:
		return LOOP_END;
	case LINK_HAND_OVER:
	case LINK_CLOSED: /* the supervisor is no more, and we are about to be killed */
		return LOOP_HAND_OVER;
	default:
		return LOOP_GO_ON;
	}
}

/* Asks for the mount, and serves until it has ended. 0 or -1; it has been logged. */
static int serve(struct run *run)
{
	struct frontend *fe = run->fe;
	struct loop loop = {
		.store = fe->store,
		.announcer = fe->announcer,
		.events = fe->events,
		.holders = run->holders,
		.ready = on_ready,
		.command_fd = LINK_FD,
		.command = on_command,
		.arg = run,
	};
	enum link_message answer;
	unsigned char byte = 0;
	int fd = -1;

	link_send(LINK_FD, LINK_OPENED, 0, -1);
	do {
		answer = link_receive(LINK_FD, NULL, &fd);
	} while (answer != LINK_MOUNTED && answer != LINK_FAILED && answer != LINK_CLOSED);
	if (answer != LINK_MOUNTED) {
		return -1;
	}
	while ((answer = link_receive(LINK_FD, &byte, &run->view)) != LINK_VIEW) {
		if (answer == LINK_CLOSED) {
			return -1;
		}
	}
	if (run->view < 0) {
		/* Without a reason it was sent, and there was no room for a descriptor. */
		run->view = byte ? -(int)byte : -EMFILE;
	}
	if (session_create(&loop.session, run->worker->options, fd, fe) < 0) {
		return -1;
	}
	if (loop_run(&loop) == LOOP_HANDED_OVER) {
		/* As if we were killed: all is where the next one looks for it. */
		_exit(0);
	}
	session_destroy(loop.session);
	return 0;
}

static int run(const struct worker *w, struct frontend *fe)
{
	struct run state = {.worker = w, .fe = fe};
	int status = STATUS_NOT_STARTED;
	int r = holders_create(&state.holders);

	if (r < 0) {
		log_error("%s", strerror(-r));
		return status;
	}
	if (open_store(&fe->store, w->options, w->store, &state) < 0) {
		holders_destroy(state.holders);
		return status;
	}
	holders_set_store(state.holders, fe->store);
	r = control_create(&fe->control, fe->store, fe->keep);
	r = r ? r : events_create(&fe->events, fe->store, fe->keep);
	r = r ? r : mapping_create(&fe->mapping, fe->store, fe->keep);
	r = r ? r : announcer_create(&fe->announcer, fe->store, fe->keep);
	state.announcer = fe->announcer;
	if (r < 0) {
		log_error("%s", strerror(-r));
	} else if (serve(&state) == 0) {
		status = STATUS_OK;
	}
	announcer_stop(fe->announcer);
	mapping_destroy(fe->mapping);
	events_destroy(fe->events);
	control_destroy(fe->control);
	r = store_close(fe->store);
	if (r) {
		log_error("the last changes may not be on the disk: %s",
			strerror(r < 0 ? -r : EIO));
		status = STATUS_NOT_CLOSED;
	}
	/* It may be long, and the next mount of the store need not wait for it. */
	announcer_destroy(fe->announcer);
	holders_destroy(state.holders);
	return status;
}

/* The key of all hashes, which listings that are under way go by: the first worker's. */
static int take_hash_key(struct keep *keep)
{
	unsigned char fresh[HASH_KEY_SIZE];
	struct bytes key;

	if (!keep_find(keep, KEEP_HASH_KEY, 0, &key) || key.size != sizeof(fresh)) {
		if (getentropy(fresh, sizeof(fresh)) < 0) {
			return -errno;
		}
		key = bytes_of(fresh, sizeof(fresh));
		keep_put(keep, KEEP_HASH_KEY, 0, key);
	}
	hash_set_key((const unsigned char *)key.data);
	return 0;
}

int worker_run(const struct worker *w)
{
	struct frontend fe = {.store = NULL};
	int status = STATUS_NOT_STARTED;
	struct bytes init;
	int r;

	/* They are the supervisor's, which tells us; systemd and terminals send them to all. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* an errno is enough */
	fcntl(LINK_FD, F_SETFD, FD_CLOEXEC);
	fcntl(LINK_KEEP_FD, F_SETFD, FD_CLOEXEC);
	prctl(PR_SET_NAME, "cubbyfs"); /* the name of a program by descriptor is a number */
	/* From here on there are no more rights than it takes to serve: before anything is
	 * read that others wrote, and before there is any thread. */
	r = privileges_drop();
	if (r < 0) {
		link_send(LINK_FD, LINK_ENDED, STATUS_NOT_STARTED, -1);
		return STATUS_NOT_STARTED;
	}
	r = keep_open(&fe.keep, LINK_KEEP_FD);
	r = r || keep_is_broken(fe.keep) ? r : take_hash_key(fe.keep);
	if (r == 0 && !w->foreground && keep_find(fe.keep, KEEP_INIT, 0, &init)) {
		daemon_detach(); /* the terminal is gone already */
	}
	if (r == -EPROTO) {
		log_error("this program cannot take over from the one that is running: unmount, "
			  "and mount anew");
	} else if (r < 0) {
		log_error("%s", strerror(-r));
	} else if (keep_is_broken(fe.keep)) {
		log_error("what the last worker knew of open files is lost; cannot take over");
	} else {
		status = run(w, &fe);
		keep_close(fe.keep);
	}
	link_send(LINK_FD, LINK_ENDED, (unsigned char)status, -1);
	return status;
}
