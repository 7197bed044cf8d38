/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* No FUSE notification raises inotify events: fuse_lowlevel_notify_delete makes
 * the kernel forget a name, but tells nobody who watches (tried on Linux 6.18).
 * System calls do. So the daemon makes the call itself, on its own mount:
 *
 * - an expired key is unlinked: IN_DELETE, IN_DELETE_SELF for its own watchers;
 * - a value changed otherwise than by writing is opened for writing, its mtime
 *   is set, and it is closed: IN_OPEN, IN_MODIFY, IN_CLOSE_WRITE;
 * - after an ordinary commit, its mtime is set: one more IN_MODIFY, for those
 *   who listen to nothing else and have read too early. utimensat(2) with only
 *   the one time is the only call that raises IN_MODIFY alone.
 *
 * The calls come back to us as requests, from this thread's id. The handlers
 * then answer what makes the kernel do its part: a lookup of the name that has
 * gone finds the node that it was of (the same inode number, so that the
 * kernel finds its inode and with it the watches), the unlink succeeds.
 *
 * Why it cannot deadlock. The loop never waits for the announcer: it queues jobs
 * and reads what the job under way is. The announcer waits in the kernel for
 * inode locks, held by callers who wait for the loop, which goes on. Nobody waits
 * for the announcer while he holds what it needs.
 *
 * It can be made to wait, though, by a caller who waits for something else while he
 * holds a lock: a write(2) out of a mapping of a file on a file system that hangs.
 * Then nothing is announced until that ends; the sweeping of expired keys goes on
 * without, and it is logged. The end of the daemon does not depend on it.
 *
 * Whose rights it has. The calls are made with the daemon's, which are root's as far as
 * files are concerned (privileges.h); so
 * the way to a name is gone with openat2(2), through no symlink and onto no other
 * mount, whatever is put in the place of a namespace meanwhile.
 *
 * Order. By the time a removal is told the name may have been made anew, and the
 * kernel have told that already. The unlink then tells of an end that watchers
 * take for the new key's, so the making is told once more after it.
 *
 * Renames. A job has the path of its time. If a namespace has been renamed since,
 * the way leads elsewhere, which the handler sees: it knows which name in
 * which namespace the job is about. The job is then tried again by the path that
 * is now.
 *
 * What the kernel remembers, it does not look up. The namespaces of the way are what they are, so
 * that does no harm. The name itself may be one that was made anew and looked up since, or
 * another's: a request that no lookup of it went before gets ESTALE, and the kernel then looks it
 * up; where it does not come to a request, see job.c.
 *
 * A name that gets a deadline is made to be looked up, once and then each time, by trying to
 * make it: mkdir(2) asks for the name whatever the kernel remembers, and fails.
 *
 * Lock directories. One that expires goes from below, name by name, and by the time
 * that is told another may have its name. So such a job knows the namespaces of its
 * path by number, and the lookups lead there. The kernel then takes the name for that
 * of the old directory, until somebody looks it up again; what is at work in the
 * new one does not notice.
 *
 * The mount is not kept busy. What the thread acts through is a clone of it
 * (open_tree(2) with OPEN_TREE_CLONE), which umount(2) does not see; but as long
 * as it is open, the file system lives. So the table of mounts is watched, and
 * when the mount has gone, and all that were bound from it, the clone is closed.
 *
 * The descriptors are not shared. If the daemon is killed while the thread waits
 * for an answer, the kernel ends that wait only when the last descriptor of
 * /dev/fuse is closed, which a thread that shares it, and cannot die, would
 * prevent for ever. So the thread has a table of its own (unshare(2) with
 * CLONE_FILES) with nothing in it but what it needs.
 *
 * The extra IN_MODIFY of a commit is in no hurry: IN_CLOSE_WRITE has been told, by the kernel. Each
 * costs several changes of threads, so they are held back for a little while and made together,
 * when the one who set the key has his answer (and most likely sets the next one).
 *
 * Overload. There is at most one job for a key whose value has changed, however
 * often. Removals are never merged; instead expired keys are swept away only as
 * fast as they are announced (store_listener.room). */
#include "fs/announcer.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/keep.h"
#include "base/log.h"
#include "base/mountinfo.h"
#include "base/table.h"
#include "fs/job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_REMOVALS 1024      /* that are swept away at their leisure */
#define MAX_JOBS (64 * MAX_REMOVALS) /* with those of names that are made anew at once */
#define STUCK (5 * NSEC_PER_SEC)
#define MAX_TRIES 100
#define HOLD (2 * NSEC_PER_MSEC)

struct announcer {
	struct store *store;
	struct keep *keep;
	struct store_listener listener;
	dev_t device;  /* of the mount; 0: unknown */
	int mounts;    /* /proc/self/mountinfo */
	int completed; /* eventfd */
	pthread_t thread;
	bool started;
	_Atomic pid_t tid;

	/* Shared with the thread. */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *queue, **tail;
	struct job *current;  /* the thread is at it */
	int64_t since;	      /* elapsed: since when */
	struct job *finished; /* for the loop to free, or try again */
	int root;	      /* the clone; the thread's from when it is `ready` */
	bool ready;	      /* it has a table of descriptors of its own */
	bool failed;	      /* or could not have one */
	bool held;	      /* what is queued waits until: */
	int64_t due;	      /* elapsed */
	bool gone;	      /* the mount has been unmounted */
	bool ending;

	/* The loop's. */
	struct table by_ino;   /* jobs that more changes can be merged into */
	struct table removals; /* those that remove */
	unsigned n_renewals;
	uint64_t next_job;
	struct job *doubtful; /* until announcer_settle */
	pid_t *former;	      /* threads of processes before us */
	size_t n_former;
	uint64_t n_lost; /* changes that were not announced */
};

/* --- the thread ------------------------------------------------------------ */

/* Leaves the thread with these two descriptors, of its own: without the standard
 * ones too, which may be pipes whose end somebody waits for. */
static int unshare_descriptors(int a, int b)
{
	unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

	if (unshare(CLONE_FILES) != 0) {
		return -errno;
	}
	if (low > 0) {
		close_range(0, low - 1, 0);
	}
	if (high > low + 1) {
		close_range(low + 1, high - 1, 0);
	}
	close_range(high + 1, UINT_MAX, 0);
	return 0;
}

/* Waits for a job, with the lock held. NULL: there will be none. */
static struct job *next_job(struct announcer *a)
{
	struct job *j;

	for (;;) {
		if (a->gone && a->root >= 0) {
			int root = a->root;

			/* The last hold on a mount: the kernel drops all that it has
			 * cached of it, which may be a million names. */
			a->root = -1;
			pthread_mutex_unlock(&a->lock);
			close(root);
			pthread_mutex_lock(&a->lock);
			continue;
		}
		if (a->ending) {
			return NULL;
		}
		if (a->queue && !a->held && !a->gone) {
			break;
		}
		pthread_cond_wait(&a->wake, &a->lock);
	}
	j = a->queue;
	a->queue = j->next;
	if (!a->queue) {
		a->tail = &a->queue;
	}
	j->state = UNDER_WAY;
	a->current = j;
	a->since = clock_elapsed(&clock_system);
	return j;
}

static void *run(void *arg)
{
	struct announcer *a = arg;
	struct job *j;

	atomic_store(&a->tid, (pid_t)syscall(SYS_gettid));
	pthread_mutex_lock(&a->lock);
	a->failed = unshare_descriptors(a->root, a->completed) != 0;
	a->ready = !a->failed;
	pthread_cond_broadcast(&a->wake);
	while (a->ready && (j = next_job(a))) {
		pthread_mutex_unlock(&a->lock);
		j->error = job_carry_out(j, a->root);
		pthread_mutex_lock(&a->lock);
		a->current = NULL;
		j->state = DONE;
		j->next = a->finished;
		a->finished = j;
		eventfd_write(a->completed, 1);
	}
	pthread_mutex_unlock(&a->lock);
	atomic_store(&a->tid, 0); /* somebody else's some day */
	return NULL;
}

/* --- jobs -------------------------------------------------------------------- */

static bool is_mergeable(const struct job *j)
{
	return j->kind == JOB_MODIFY || j->kind == JOB_WRITE;
}

/* A job is in the tables and the keep from here on, */
static void enter(struct announcer *a, struct job *j)
{
	if (is_mergeable(j)) {
		table_insert(&a->by_ino, &j->by_ino, hash_number(j->ino));
	} else if (j->kind == JOB_RENEW) {
		a->n_renewals++;
	} else if (j->kind == JOB_REMOVE) {
		table_insert(&a->removals, &j->by_ino, hash_number(j->ino));
	}
	job_keep(j, a->keep);
}

/* and from here on no more. */
static void leave(struct announcer *a, struct job *j)
{
	if (is_mergeable(j)) {
		table_remove(&a->by_ino, &j->by_ino);
	} else if (j->kind == JOB_RENEW) {
		a->n_renewals--;
	} else if (j->kind == JOB_REMOVE) {
		table_remove(&a->removals, &j->by_ino);
	}
	keep_drop(a->keep, KEEP_JOB, j->id);
	job_destroy(j);
}

static void push(struct announcer *a, struct job *j)
{
	pthread_mutex_lock(&a->lock);
	j->next = NULL;
	j->misled = j->looked_up = false;
	j->state = WAITING;
	if (j->kind != JOB_MODIFY) {
		a->held = false;
	} else if (!a->queue) {
		a->held = true;
		a->due = clock_elapsed(&clock_system) + HOLD;
	}
	*a->tail = j;
	a->tail = &j->next;
	if (!a->held) {
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
}

int64_t announcer_tick(struct announcer *a)
{
	int64_t wait = -1;

	pthread_mutex_lock(&a->lock);
	if (a->held) {
		wait = a->due - clock_elapsed(&clock_system);
	}
	if (a->held && wait <= 0) {
		a->held = false;
		wait = -1;
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
	return wait;
}

/* One more change of a key that a waiting job will tell of. What is under way may
 * have told already. */
static bool merge(struct announcer *a, enum job_kind kind, uint64_t ino)
{
	struct table_link *l = table_first(&a->by_ino, hash_number(ino));
	bool merged = false;

	pthread_mutex_lock(&a->lock);
	for (; l && !merged; l = table_next(l)) {
		struct job *j = container_of(l, struct job, by_ino);

		merged = j->ino == ino && j->state == WAITING;
		if (merged && kind == JOB_WRITE) {
			j->kind = JOB_WRITE; /* and that is not held back */
			a->held = false;
			pthread_cond_signal(&a->wake);
		}
	}
	pthread_mutex_unlock(&a->lock);
	return merged;
}

/* Said once, and then only counted. */
static void lose(struct announcer *a, const char *why)
{
	if (a->n_lost++ == 0) {
		log_warning("changes are not announced by inotify events: %s", why);
	}
}

static void add(struct announcer *a, enum job_kind kind, const struct store_notice *n)
{
	struct job *j;

	if ((kind == JOB_MODIFY || kind == JOB_WRITE) && merge(a, kind, n->ino)) {
		return;
	}
	if ((kind == JOB_REMOVE && a->removals.n_items >= MAX_JOBS) ||
		(kind == JOB_RENEW && a->n_renewals >= MAX_JOBS)) {
		lose(a, "a call on the mount does not return");
		return;
	}
	j = job_create(kind, n);
	if (!j) {
		log_error("out of memory: a change is not announced");
		return;
	}
	j->id = ++a->next_job;
	enter(a, j);
	push(a, j);
}

static void on_notice(void *arg, const struct store_notice *n)
{
	static const enum job_kind kinds[] = {
		[STORE_NOTICE_MODIFIED] = JOB_MODIFY,
		[STORE_NOTICE_WRITTEN] = JOB_WRITE,
		[STORE_NOTICE_REMOVED] = JOB_REMOVE,
		[STORE_NOTICE_MORTAL] = JOB_RENEW,
	};

	add(arg, kinds[n->kind], n);
}

/* Whether a job has been under way for so long that nobody can wait for it. */
static bool is_stuck(struct announcer *a)
{
	bool stuck;

	pthread_mutex_lock(&a->lock);
	stuck = a->current && clock_elapsed(&clock_system) - a->since > STUCK;
	pthread_mutex_unlock(&a->lock);
	return stuck;
}

static unsigned room(void *arg)
{
	struct announcer *a = arg;

	if (a->removals.n_items >= MAX_REMOVALS) {
		return is_stuck(a) ? 1 : 0; /* lost in the end, see add */
	}
	return MAX_REMOVALS - (unsigned)a->removals.n_items;
}

/* Tries a job again that was led astray: was seen on another way, or did not get there and the
 * way is another by now. Returns whether it does. */
static bool retry(struct announcer *a, struct job *j)
{
	_cleanup_buffer_ struct buffer path = {0};
	uint64_t ino = is_mergeable(j) ? j->ino : j->parent;
	int r;

	if (++j->tries == MAX_TRIES || j->way) {
		return false;
	}
	r = store_path(a->store, ino, &path);
	if (r == 0 && ino == j->parent) {
		r = path.size ? buffer_append(&path, "/", 1) : 0;
		r = r ? r : buffer_append_string(&path, j->name);
	}
	if (!j->misled && bytes_equal(buffer_bytes(&path), bytes_of_string(j->path))) {
		return false;
	}
	if (r || job_set_path(j, buffer_bytes(&path))) {
		return false; /* it has gone with what it was in */
	}
	j->answered = 0;
	job_keep(j, a->keep);
	push(a, j);
	return true;
}

void announcer_dispatch(struct announcer *a)
{
	struct job *done, *next;
	eventfd_t count;

	eventfd_read(a->completed, &count);
	pthread_mutex_lock(&a->lock);
	done = a->finished;
	a->finished = NULL;
	pthread_mutex_unlock(&a->lock);
	for (; done; done = next) {
		next = done->next;
		/* Another's answer came between the permission that we gave ourselves and its use. */
		done->misled |= done->error == EACCES && announcer_needs_permission();
		if ((done->misled || done->error == ENOENT) && retry(a, done)) {
			continue;
		}
		if (done->error == EROFS) {
			lose(a, "the file system is mounted read-only");
		}
		leave(a, done);
	}
}

/* --- for the request handlers --------------------------------------------------- */

bool announcer_works(const struct announcer *a)
{
	return a->started && !a->gone;
}

bool announcer_is(const struct announcer *a, pid_t thread)
{
	return a && thread != 0 && thread == atomic_load(&a->tid);
}

/* The job under way. It is the thread's, which is in the kernel and waits for us. */
static struct job *job_of(struct announcer *a)
{
	struct job *j;

	pthread_mutex_lock(&a->lock);
	j = a->current;
	pthread_mutex_unlock(&a->lock);
	return j;
}

bool announcer_stat(struct announcer *a, uint64_t ino, struct stat *st)
{
	struct table_link *l = table_first(&a->removals, hash_number(ino));

	for (; l; l = table_next(l)) {
		const struct job *j = container_of(l, struct job, by_ino);

		if (j->ino == ino) {
			*st = j->stat;
			return true;
		}
	}
	return store_stat_removed(a->store, ino, st) == 0;
}

static bool is_about(const struct job *j, uint64_t parent, const char *name)
{
	return j->parent == parent && strcmp(j->name, name) == 0;
}

enum announcer_answer announcer_lookup(struct announcer *a, uint64_t parent, const char *name,
	struct stat *st)
{
	struct job *j = job_of(a);
	uint64_t ino;

	if (!j) {
		return ANNOUNCER_ORDINARY;
	}
	ino = store_number(a->store, parent, name);
	if (j->way) {
		uint64_t next = job_next(j, parent, name);

		if (next && next != ino) {
			return announcer_stat(a, next, st) ? ANNOUNCER_NODE : ANNOUNCER_NOTHING;
		}
	}
	switch (j->kind) {
	case JOB_REMOVE:
		if (is_about(j, parent, name)) {
			j->misled = false;
			j->looked_up = true;
			*st = j->stat;
			return ANNOUNCER_NODE;
		}
		break;
	case JOB_MAKE:
		if (is_about(j, parent, name)) {
			j->misled = false;
			return ANNOUNCER_NOTHING;
		}
		break;
	case JOB_RENEW:
		if (is_about(j, parent, name)) {
			j->misled = false;
			return ANNOUNCER_ORDINARY;
		}
		break;
	case JOB_MODIFY:
	case JOB_WRITE:
		if (ino == j->ino) {
			j->misled = false;
			return ANNOUNCER_ORDINARY;
		}
		break;
	}
	/* A step on the way, through a namespace; else this is not the way. */
	if (ino) {
		bool lasts;
		const struct store_caller caller = {0};

		if (store_getattr(a->store, &caller, ino, st, &lasts) == 0 &&
			S_ISDIR(st->st_mode)) {
			/* It may be a step to one of its own name. */
			j->misled |= strcmp(j->name, name) == 0;
			return ANNOUNCER_ORDINARY;
		}
	}
	j->misled = true;
	return ANNOUNCER_NOTHING;
}

/* What was to be announced is, once this request is answered. */
static void note_answer(struct announcer *a, struct job *j, uint64_t request)
{
	j->answered = request;
	job_keep(j, a->keep);
}

int announcer_removed(struct announcer *a, uint64_t parent, const char *name, uint64_t request)
{
	struct job *j = job_of(a);
	uint64_t ino = store_number(a->store, parent, name);
	bool lasts;
	struct stat st;
	const struct store_caller caller = {0};

	if (!j || j->kind != JOB_REMOVE || !is_about(j, parent, name)) {
		if (j) {
			j->misled = true;
		}
		return ENOENT; /* a namespace that happens to have that name */
	}
	if (!j->looked_up) {
		return ESTALE;
	}
	if (ino && store_getattr(a->store, &caller, ino, &st, &lasts) == 0) {
		add(a, JOB_MAKE, &(struct store_notice){
			.ino = ino,
			.parent = parent,
			.mode = st.st_mode,
			.path = bytes_of_string(j->path),
		});
	}
	note_answer(a, j, request);
	return 0;
}

int announcer_touched(struct announcer *a, uint64_t ino)
{
	struct job *j = job_of(a);

	if (j && is_mergeable(j) && j->ino == ino) {
		return 0;
	}
	if (j) {
		j->misled = true;
	}
	return ESTALE;
}

int announcer_made(struct announcer *a, uint64_t parent, const char *name, uint64_t request,
	struct stat *st)
{
	const struct store_caller caller = {0};
	struct job *j = job_of(a);
	bool lasts;

	if (!j || j->kind != JOB_MAKE || !is_about(j, parent, name)) {
		return STORE_NOT_FOUND;
	}
	note_answer(a, j, request);
	return store_lookup(a->store, &caller, parent, name, st, &lasts);
}

bool announcer_needs_permission(void)
{
	return geteuid() != 0;
}

void announcer_permit(struct stat *st)
{
	/* What the kernel is told counts for everybody who asks at that moment. */
	if (!announcer_needs_permission()) {
		return;
	}
	st->st_mode |= S_ISDIR(st->st_mode) ? S_IRWXU : S_IWUSR;
}

/* --- taking over ------------------------------------------------------------------- */

struct restoration {
	struct announcer *a;
	struct job **jobs;
	size_t n_jobs, capacity;
	int rc;
};

static void restore_job(void *arg, uint64_t id, struct bytes b)
{
	struct restoration *r = arg;
	struct job *j;

	if (r->n_jobs == r->capacity) {
		size_t capacity = r->capacity ? 2 * r->capacity : 64;
		struct job **jobs = realloc(r->jobs, capacity * sizeof(struct job *));

		if (!jobs) {
			r->rc = -ENOMEM;
			return;
		}
		r->jobs = jobs;
		r->capacity = capacity;
	}
	j = job_restore(id, b);
	if (!j) {
		r->rc = -ENOMEM;
		return;
	}
	r->jobs[r->n_jobs++] = j;
	r->a->next_job = id > r->a->next_job ? id : r->a->next_job;
}

static int by_id(const void *a, const void *b)
{
	uint64_t x = (*(struct job *const *)a)->id, y = (*(struct job *const *)b)->id;

	return x < y ? -1 : x > y;
}

static void restore_former(void *arg, uint64_t thread, struct bytes b)
{
	struct restoration *r = arg;
	pid_t *former = realloc(r->a->former, (r->a->n_former + 1) * sizeof(*former));

	(void)b;
	if (!former) {
		r->rc = -ENOMEM;
		return;
	}
	r->a->former = former;
	former[r->a->n_former++] = (pid_t)thread;
}

static int restore(struct announcer *a)
{
	struct restoration r = {.a = a};

	keep_each(a->keep, KEEP_ANNOUNCER, restore_former, &r);
	keep_each(a->keep, KEEP_JOB, restore_job, &r);
	if (r.n_jobs > 0) {
		qsort(r.jobs, r.n_jobs, sizeof(r.jobs[0]), by_id);
	}
	for (size_t i = 0; i < r.n_jobs; i++) {
		struct job *j = r.jobs[i];

		enter(a, j);
		if (j->answered) {
			j->next = a->doubtful;
			a->doubtful = j;
		} else {
			push(a, j);
		}
	}
	free(r.jobs);
	return r.rc;
}

bool announcer_was(const struct announcer *a, pid_t thread)
{
	for (size_t i = 0; i < a->n_former; i++) {
		if (a->former[i] == thread) {
			return true;
		}
	}
	return false;
}

void announcer_resent(struct announcer *a, uint64_t request)
{
	for (struct job *j = a->doubtful; j; j = j->next) {
		if (j->answered == request) {
			j->answered = 0;
		}
	}
}

void announcer_settle(struct announcer *a)
{
	struct job *next;

	for (struct job *j = a->doubtful; j; j = next) {
		next = j->next;
		if (j->answered) {
			leave(a, j);
		} else {
			push(a, j);
		}
	}
	a->doubtful = NULL;
	for (size_t i = 0; i < a->n_former; i++) {
		keep_drop(a->keep, KEEP_ANNOUNCER, (uint64_t)a->former[i]);
	}
	a->n_former = 0;
}

/* --- beginning and end --------------------------------------------------------------- */

int announcer_create(struct announcer **out, struct store *store, struct keep *keep)
{
	struct announcer *a = calloc(1, sizeof(*a));

	if (!a) {
		return -ENOMEM;
	}
	a->store = store;
	a->keep = keep;
	a->listener = (struct store_listener){.notice = on_notice, .room = room, .arg = a};
	a->tail = &a->queue;
	a->root = a->mounts = -1;
	a->completed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	if (a->completed < 0 || table_init(&a->by_ino) || table_init(&a->removals) || restore(a)) {
		announcer_destroy(a);
		return -ENOMEM;
	}
	*out = a;
	return 0;
}

/* Starts the thread, which takes the clone over. 0 or an errno. */
static int start_thread(struct announcer *a)
{
	int root = a->root;
	int r = pthread_create(&a->thread, NULL, run, a);

	if (r) {
		return r;
	}
	pthread_mutex_lock(&a->lock);
	while (!a->ready && !a->failed) {
		pthread_cond_wait(&a->wake, &a->lock);
	}
	pthread_mutex_unlock(&a->lock);
	if (a->failed) {
		pthread_join(a->thread, NULL);
		return EPERM;
	}
	close(root); /* in our table; the thread has its own */
	a->started = true;
	keep_put(a->keep, KEEP_ANNOUNCER, (uint64_t)atomic_load(&a->tid), bytes_of("", 0));
	return 0;
}

void announcer_start(struct announcer *a, const char *dir, int view)
{
	struct mountinfo m;
	int r;

	if (mountinfo_find(&m, dir) == 0) {
		a->device = m.device;
	}
	mountinfo_finish(&m);
	a->root = view;
	a->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	r = a->root < 0 ? -a->root : a->mounts < 0 || a->device == 0 ? ENOENT : start_thread(a);
	if (r) {
		log_warning("%s: no inotify events for changes that no program here has made: "
			    "the daemon has no view of its own of the mount (%s)",
			dir, strerror(r));
		if (a->root >= 0) {
			close(a->root);
		}
		a->root = -1;
		return;
	}
	store_listen(a->store, &a->listener);
}

int announcer_mounts_fd(const struct announcer *a)
{
	return a->started ? a->mounts : -1;
}

int announcer_poll_fd(const struct announcer *a)
{
	return a->completed;
}

static void let_go(struct announcer *a)
{
	store_listen(a->store, NULL);
	pthread_mutex_lock(&a->lock);
	a->gone = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

bool announcer_look(struct announcer *a)
{
	struct mountinfo m;
	char byte;

	/* Reading is what re-arms the poll. */
	if (a->gone || (pread(a->mounts, &byte, 1, 0) < 0 && errno != EAGAIN)) {
		return a->gone;
	}
	if (mountinfo_of_device(&m, a->device) == MOUNTINFO_NONE) {
		let_go(a);
	}
	mountinfo_finish(&m);
	return a->gone;
}

void announcer_stop(struct announcer *a)
{
	if (!a || !a->started) {
		return;
	}
	let_go(a);
	pthread_mutex_lock(&a->lock);
	a->ending = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

static void destroy_jobs(struct job *j)
{
	struct job *next;

	for (; j; j = next) {
		next = j->next;
		job_destroy(j);
	}
}

void announcer_destroy(struct announcer *a)
{
	if (!a) {
		return;
	}
	if (a->started) {
		struct timespec deadline;

		clock_gettime(CLOCK_REALTIME, &deadline);
		deadline.tv_sec += 10;
		if (pthread_timedjoin_np(a->thread, NULL, &deadline) != 0) {
			return; /* stuck in the kernel; the end of the process is its end */
		}
	}
	destroy_jobs(a->queue);
	destroy_jobs(a->finished);
	destroy_jobs(a->doubtful);
	table_finish(&a->by_ino);
	table_finish(&a->removals);
	free(a->former);
	if (a->completed >= 0) {
		close(a->completed);
	}
	if (a->mounts >= 0) {
		close(a->mounts);
	}
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
