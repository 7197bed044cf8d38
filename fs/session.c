/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The handshake. libfuse 3.14 knows capabilities that it never tells the kernel
 * (FUSE_PARALLEL_DIROPS), and does not know later ones
 * (FUSE_DIRECT_IO_ALLOW_MMAP: without it nobody can mmap(2) a key as shared,
 * since all our files are direct). All messages pass through two functions
 * here, which note what the INIT request offers and add to the reply.
 *
 * Taking over. The first worker puts the INIT request into the keep. Each later one gives it
 * to its libfuse, swallows the reply, and tells the kernel (FUSE_NOTIFY_RESEND, Linux
 * 6.9) to send once more what was read and not answered: that comes first then, with the
 * highest bit of its number set. Where the kernel can't do that, each request is put
 * into the keep until it is answered, and who takes over answers those with EIO.
 *
 * Every answer is published (store_publish) before it is written: what it tells of is there
 * for whoever comes next. A change that must not be made twice stays guarded
 * (store/handover.c) until its answer is out; so does an answer that would not be the same
 * a second time.
 *
 * A worker that is killed may leave its announcer's thread behind, waiting for an answer
 * that only we can give. It gets an error: what it was about to announce is
 * announced anew. */

#include "fs/session.h"

#include "base/cleanup.h"
#include "base/keep.h"
#include "base/log.h"
#include "fs/announcer.h"
#include "fs/events.h"
#include "fs/fuse_log.h"
#include "fs/ops.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)
#endif
#ifndef FUSE_HAS_RESEND
#define FUSE_HAS_RESEND (UINT64_C(1) << 39)
#endif
#ifndef FUSE_UNIQUE_RESEND
#define FUSE_UNIQUE_RESEND (UINT64_C(1) << 63)
#endif
#define NOTIFY_RESEND 7

#define WANTED_FLAGS ((uint64_t)FUSE_PARALLEL_DIROPS | (uint64_t)FUSE_DIRECT_IO_ALLOW_MMAP)

struct session {
	struct fuse_session *fuse;
	struct frontend *fe;
	struct fuse_buf request;
	int fd;
	uint64_t init;	  /* number of the INIT request */
	uint64_t offered; /* its flags */
	bool ready;
	bool taken_over;  /* from another worker */
	bool can_resend;  /* the kernel; else requests are put into the keep */
	bool settled;	  /* none is sent once more from now on */
	/* The request that is being answered. */
	uint64_t unique, poll_handle;
	uint64_t n_requests;
	uint32_t opcode;
};

/* --- messages ---------------------------------------------------------------- */

/* Whether it is an INIT request with the 32-bit field at `offset`. */
static bool has_init_field(const struct fuse_in_header *header, ssize_t n, size_t offset)
{
	return n >= (ssize_t)(sizeof(*header) + offset + sizeof(uint32_t)) &&
		header->opcode == FUSE_INIT;
}

static void note_init(struct session *s, const struct fuse_in_header *header, ssize_t n)
{
	const struct fuse_init_in *in = (const void *)(header + 1);

	if (s->init != 0 || !has_init_field(header, n, offsetof(struct fuse_init_in, flags))) {
		return;
	}
	s->init = header->unique;
	s->offered = in->flags;
	if ((in->flags & FUSE_INIT_EXT) &&
		has_init_field(header, n, offsetof(struct fuse_init_in, flags2))) {
		s->offered |= (uint64_t)in->flags2 << 32;
	}
	/* The variable is for the tests: to be an older kernel. */
	s->can_resend = (s->offered & FUSE_HAS_RESEND) && !getenv("CUBBYFS_TEST_NO_RESEND");
	if (!s->taken_over) {
		keep_put(s->fe->keep, KEEP_INIT, 0, bytes_of(header, (size_t)n));
	}
}

/* Whether the kernel waits for an answer. */
static bool is_answered(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

static ssize_t read_request(int fd, void *data, size_t size, void *arg)
{
	struct session *s = ((struct frontend *)arg)->session;
	ssize_t n = read(fd, data, size);
	const struct fuse_in_header *header = data;
	const struct fuse_poll_in *poll = (const void *)(header + 1);

	if (n < (ssize_t)sizeof(*header)) {
		return n;
	}
	note_init(s, header, n);
	s->n_requests++;
	s->unique = header->unique;
	s->opcode = header->opcode;
	s->poll_handle = header->opcode == FUSE_POLL &&
			n >= (ssize_t)(sizeof(*header) + sizeof(*poll)) ? poll->kh : 0;
	if (!s->can_resend && s->ready && is_answered(s->opcode)) {
		keep_put(s->fe->keep, KEEP_REQUEST, s->unique, bytes_of("", 0));
		keep_publish(s->fe->keep);
	}
	return n;
}

/* Whether the answer, which says no more than an errno, might be another one if the
 * request was carried out once more. (Where the store has something to write, it has a guard of
 * its own.) */
static bool is_kept(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_UNLINK:
	case FUSE_RMDIR:
	case FUSE_RENAME:
	case FUSE_RENAME2:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
	case FUSE_FLUSH:
	case FUSE_FSYNC:
	case FUSE_SETLK:
	case FUSE_SETLKW:
		return true;
	default:
		return false;
	}
}

static ssize_t write_init_reply(struct session *s, int fd, struct iovec *iov, int count)
{
	struct iovec changed[2];
	struct fuse_init_out out;
	uint64_t wanted = WANTED_FLAGS & s->offered;

	s->ready = true;
	if (s->taken_over) {
		return (ssize_t)(iov[0].iov_len + (count > 1 ? iov[1].iov_len : 0));
	}
	memcpy(&out, iov[1].iov_base, sizeof(out));
	out.flags |= (uint32_t)wanted;
	if (s->offered & FUSE_INIT_EXT) {
		out.flags |= FUSE_INIT_EXT;
		out.flags2 |= (uint32_t)(wanted >> 32);
	}
	changed[0] = iov[0];
	changed[1] = (struct iovec){.iov_base = &out, .iov_len = sizeof(out)};
	keep_publish(s->fe->keep);
	return writev(fd, changed, 2);
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *arg)
{
	struct session *s = ((struct frontend *)arg)->session;
	struct keep *keep = s->fe->keep;
	const struct fuse_out_header *header = iov[0].iov_base;
	uint64_t number = header->unique & ~FUSE_UNIQUE_RESEND;
	bool kept;
	ssize_t n;

	if (!s->ready && header->unique == s->init && !header->error && count == 2 &&
		iov[1].iov_len == sizeof(struct fuse_init_out)) {
		return write_init_reply(s, fd, iov, count);
	}
	kept = header->unique == s->unique && count == 1 && is_kept(s->opcode);
	if (kept) {
		keep_put(keep, KEEP_ANSWER, number, bytes_of(&header->error, sizeof(header->error)));
	}
	store_publish(s->fe->store);
	n = writev(fd, iov, count);
	if (kept) {
		keep_drop(keep, KEEP_ANSWER, number);
	}
	if (!s->can_resend && header->unique) {
		keep_drop(keep, KEEP_REQUEST, header->unique);
	}
	return n;
}

static const struct fuse_custom_io custom_io = {
	.writev = write_reply,
	.read = read_request,
};

/* --- taking over ----------------------------------------------------------------- */

static void reply_error(struct session *s, uint64_t unique, int error)
{
	struct fuse_out_header header = {
		.len = sizeof(header), .error = error, .unique = unique};

	if (write(s->fd, &header, sizeof(header)) < 0) {
		log_debug("a call cannot be answered: %m");
	}
}

/* A request that was under way, and cannot be sent once more. */
static void fail(void *arg, uint64_t unique, struct bytes b)
{
	struct session *s = arg;

	(void)b;
	reply_error(s, unique, -EIO);
	keep_drop(s->fe->keep, KEEP_REQUEST, unique);
}

static void drop_answer(void *arg, uint64_t request, struct bytes b)
{
	(void)b;
	keep_drop(arg, KEEP_ANSWER, request);
}

/* 0 or a negative errno. */
static int ask_to_resend(struct session *s)
{
	struct fuse_out_header header = {.len = sizeof(header), .error = NOTIFY_RESEND};

	return write(s->fd, &header, sizeof(header)) < 0 ? -errno : 0;
}

static void take_over(struct session *s, struct bytes init)
{
	struct fuse_buf buf = {.mem = (void *)(uintptr_t)init.data, .size = init.size};
	int r;

	s->taken_over = true;
	note_init(s, (const void *)init.data, (ssize_t)init.size);
	fuse_session_process_buf(s->fuse, &buf);
	r = s->can_resend ? ask_to_resend(s) : -EOPNOTSUPP;
	if (r < 0) {
		s->can_resend = false;
		s->settled = true;
		log_warning("this kernel cannot send requests once more (before Linux 6.9): calls "
			    "that were under way fail");
		keep_each(s->fe->keep, KEEP_REQUEST, fail, s);
	}
	events_wake(s->fe->events, s);
}

static int nothing_is_resent(struct session *s)
{
	s->settled = true;
	store_settle(s->fe->store);
	announcer_settle(s->fe->announcer);
	keep_each(s->fe->keep, KEEP_ANSWER, drop_answer, s->fe->keep);
	store_publish(s->fe->store);
	keep_settle(s->fe->keep);
	return 0;
}

bool session_is_resent(const struct session *s)
{
	return s->unique & FUSE_UNIQUE_RESEND;
}

uint64_t session_request(const struct session *s)
{
	return s->unique & ~FUSE_UNIQUE_RESEND;
}

uint64_t session_count(const struct session *s)
{
	return s ? s->n_requests : 0;
}

uint64_t session_poll_handle(const struct session *s)
{
	return s->poll_handle;
}

/* The attributes alone (a negative offset). No lock of an inode or a page is taken for that, so the
 * loop may wait for it: nobody who waits for the loop is in the way. */
void session_forget_attributes(struct session *s, uint64_t ino)
{
	struct fuse_notify_inval_inode_out out = {.ino = ino, .off = -1};
	struct fuse_out_header header = {
		.len = sizeof(header) + sizeof(out), .error = FUSE_NOTIFY_INVAL_INODE};
	struct iovec iov[2] = {{&header, sizeof(header)}, {&out, sizeof(out)}};

	if (writev(s->fd, iov, 2) < 0 && errno != ENOENT) {
		log_debug("the kernel cannot be told that attributes change: %m");
	}
}

static void on_stale(void *arg, uint64_t ino)
{
	session_forget_attributes(arg, ino);
}

void session_wake_poll(struct session *s, uint64_t poll_handle)
{
	struct fuse_notify_poll_wakeup_out out = {.kh = poll_handle};
	struct fuse_out_header header = {
		.len = sizeof(header) + sizeof(out), .error = FUSE_NOTIFY_POLL};
	struct iovec iov[2] = {{&header, sizeof(header)}, {&out, sizeof(out)}};

	if (writev(s->fd, iov, 2) < 0) {
		log_debug("who polls cannot be woken: %m");
	}
}

/* --- serving ---------------------------------------------------------------------- */

/* A request that another worker has got before us. Whether that is all it takes. */
static bool answer_once_more(struct session *s)
{
	const struct fuse_in_header *header = s->request.mem;
	struct bytes answer;
	int32_t error = -EIO;

	if (announcer_was(s->fe->announcer, (pid_t)header->pid)) {
		announcer_resent(s->fe->announcer, session_request(s));
	} else if (keep_find(s->fe->keep, KEEP_ANSWER, session_request(s), &answer)) {
		memcpy(&error, answer.data, sizeof(error));
	} else {
		return false;
	}
	reply_error(s, s->unique, error);
	return true;
}

int session_serve(struct session *s)
{
	int size = fuse_session_receive_buf(s->fuse, &s->request);

	if (size == -EINTR) {
		return 0;
	}
	if (!s->settled && s->ready && (size == -EAGAIN || (size > 0 && !session_is_resent(s) &&
								  is_answered(s->opcode)))) {
		nothing_is_resent(s);
	}
	if (size <= 0) {
		return size == 0 ? -ENODEV : size;
	}
	if (!session_is_resent(s) || !answer_once_more(s)) {
		fuse_session_process_buf(s->fuse, &s->request);
	}
	s->unique = 0;
	return 1;
}

struct fuse_session *session_fuse(struct session *s)
{
	return s->fuse;
}

bool session_ready(const struct session *s)
{
	return s->ready;
}

/* --- beginning and end --------------------------------------------------------------- */

static int add_options(struct fuse_args *args, const struct options *o)
{
	int r = fuse_opt_add_arg(args, "cubbyfs");

	if (r == 0 && o->allow_root) {
		r = fuse_opt_add_arg(args, "-oallow_root");
	}
	if (r == 0 && o->debug) {
		r = fuse_opt_add_arg(args, "-odebug");
	}
	return r < 0 ? -ENOMEM : 0;
}

int session_create(struct session **out, const struct options *o, int fd, struct frontend *fe)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct session *s = calloc(1, sizeof(*s));
	int r = s ? add_options(&args, o) : -ENOMEM;
	struct bytes init;

	if (r == 0) {
		fuse_log_init();
		s->fe = fe;
		s->fd = fd;
		s->fuse = fuse_session_new(&args, &ops_table, sizeof(ops_table), fe);
		r = s->fuse ? fuse_session_custom_io(s->fuse, &custom_io, fd) : -EINVAL;
	}
	fuse_opt_free_args(&args);
	if (r < 0) {
		log_error("libfuse: %s", strerror(-r));
		close(fd);
		if (s && s->fuse) {
			fuse_session_destroy(s->fuse);
		}
		free(s);
		return r;
	}
	fe->session = s;
	store_warn(fe->store, on_stale, s);
	*out = s;
	if (keep_find(fe->keep, KEEP_INIT, 0, &init)) {
		take_over(s, init);
	} else {
		/* A worker may have been killed that had read it, and not answered. */
		(void)ask_to_resend(s);
		s->settled = true;
		keep_settle(fe->keep);
	}
	return 0;
}

void session_destroy(struct session *s)
{
	if (!s) {
		return;
	}
	store_warn(s->fe->store, NULL, NULL);
	fuse_session_destroy(s->fuse); /* with the descriptor */
	free(s->request.mem);
	s->fe->session = NULL;
	free(s);
}
