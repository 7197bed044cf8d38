/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Mounting is done by another process (mounter.h); libfuse gets the descriptor of
 * /dev/fuse that comes of it by the name /dev/fd/N, and then thinks of unmounting as
 * somebody else's matter.
 *
 * The mount point may be an autofs trigger that waits for this very mount
 * (systemd's x-systemd.automount). The process group that systemd gave us is
 * what lets us pass it, so nothing may call setsid before the mount is there,
 * and no path ends in a slash.
 *
 * The handshake. libfuse 3.14 knows capabilities that it never tells the kernel
 * (FUSE_PARALLEL_DIROPS), and does not know later ones
 * (FUSE_DIRECT_IO_ALLOW_MMAP: without it nobody can mmap(2) a key as shared,
 * since all our files are direct). All messages pass through two functions
 * here, which note what the INIT request offers and add to the reply. */

#include "fs/session.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "fs/mounter.h"
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (UINT64_C(1) << 36)
#endif
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

#define WANTED_FLAGS ((uint64_t)FUSE_PARALLEL_DIROPS | (uint64_t)FUSE_DIRECT_IO_ALLOW_MMAP)

struct session {
	struct fuse_session *fuse;
	struct frontend *fe;
	struct mounter *mounter;
	bool attached; /* mounted, and not detached by us */
	char *dir;
	unsigned long flags; /* of the mount; 0 unless libfuse can't set them all */
	uint64_t init;    /* unique number of the INIT request */
	uint64_t offered; /* its flags */
	bool ready;
};

/* --- the handshake ----------------------------------------------------- */

/* Whether it is an INIT request with the 32-bit field at `offset`. */
static bool has_init_field(const struct fuse_in_header *header, ssize_t n, size_t offset)
{
	return n >= (ssize_t)(sizeof(*header) + offset + sizeof(uint32_t)) &&
		header->opcode == FUSE_INIT;
}

static ssize_t read_request(int fd, void *data, size_t size, void *arg)
{
	struct session *s = ((struct frontend *)arg)->session;
	ssize_t n = read(fd, data, size);
	const struct fuse_in_header *header = data;
	const struct fuse_init_in *in = (const void *)(header + 1);

	if (s->init == 0 && has_init_field(header, n, offsetof(struct fuse_init_in, flags))) {
		s->init = header->unique;
		s->offered = in->flags;
		if ((in->flags & FUSE_INIT_EXT) &&
			has_init_field(header, n, offsetof(struct fuse_init_in, flags2))) {
			s->offered |= (uint64_t)in->flags2 << 32;
		}
	}
	return n;
}

static ssize_t write_reply(int fd, struct iovec *iov, int count, void *arg)
{
	struct session *s = ((struct frontend *)arg)->session;
	const struct fuse_out_header *header = iov[0].iov_base;
	struct iovec changed[2];
	struct fuse_init_out out;
	uint64_t wanted = WANTED_FLAGS & s->offered;

	if (s->ready || header->unique != s->init) {
		return writev(fd, iov, count);
	}
	if (header->error || count != 2 || iov[1].iov_len != sizeof(out)) {
		return writev(fd, iov, count);
	}
	memcpy(&out, iov[1].iov_base, sizeof(out));
	out.flags |= (uint32_t)wanted;
	if (s->offered & FUSE_INIT_EXT) {
		out.flags |= FUSE_INIT_EXT;
		out.flags2 |= (uint32_t)(wanted >> 32);
	}
	changed[0] = iov[0];
	changed[1] = (struct iovec){.iov_base = &out, .iov_len = sizeof(out)};
	s->ready = true;
	return writev(fd, changed, 2);
}

static const struct fuse_custom_io handshake = {
	.writev = write_reply,
	.read = read_request,
};

/* --- options ----------------------------------------------------------- */

/* One option for libfuse, with its commas and backslashes escaped. */
static int add_option(struct fuse_args *args, const char *name, const char *value)
{
	_cleanup_free_ char *text = malloc(3 + 2 * (strlen(name) + strlen(value)));
	char *p;

	if (!text) {
		return -ENOMEM;
	}
	p = stpcpy(text, "-o");
	for (const char *part = name; part; part = part == name ? value : NULL) {
		for (const char *c = part; *c; c++) {
			if (*c == ',' || *c == '\\') {
				*p++ = '\\';
			}
			*p++ = *c;
		}
	}
	*p = 0;
	return fuse_opt_add_arg(args, text) < 0 ? -ENOMEM : 0;
}

static int add_choice(
	struct fuse_args *args, enum choice choice, const char *yes, const char *no)
{
	return choice == UNSET ? 0 : add_option(args, choice == YES ? yes : no, "");
}

/* What a mount by root gets on top: all may enter, and owner and mode bits
 * decide (DESIGN 1.1). */
static int add_options(struct fuse_args *args, const struct options *o, const char *store)
{
	bool root = geteuid() == 0;
	int r = fuse_opt_add_arg(args, "cubbyfs") < 0 ? -ENOMEM : 0;

	r = r ? r : add_option(args, "fsname=", o->fsname ? o->fsname : store);
	r = r ? r : add_option(args, "subtype=", o->subtype ? o->subtype : "cubbyfs");
	r = r ? r : add_option(args, "default_permissions", "");
	if (!r && o->allow_root) {
		r = add_option(args, "allow_root", "");
	} else if (!r && (o->allow_other || root)) {
		r = add_option(args, "allow_other", "");
	}
	if (o->auto_unmount) {
		r = r ? r : add_option(args, "auto_unmount", "");
	}
	r = r ? r : add_option(args, o->read_only ? "ro" : "rw", "");
	r = r ? r : add_choice(args, o->dev == UNSET && root ? NO : o->dev, "dev", "nodev");
	r = r ? r : add_choice(args, o->suid == UNSET && root ? NO : o->suid, "suid", "nosuid");
	r = r ? r : add_choice(args, o->exec, "exec", "noexec");
	r = r ? r : add_choice(args, o->atime, "atime", "noatime");
	for (unsigned i = 0; i < o->n_security; i++) {
		r = r ? r : add_option(args, o->security[i], "");
	}
	if (!r && o->debug) {
		r = add_option(args, "debug", "");
	}
	return r;
}

/* libfuse does not know nosymfollow: all flags are set once more, with it. */
static unsigned long mount_flags(const struct options *o)
{
	return MS_NOSYMFOLLOW | (o->read_only ? MS_RDONLY : 0) | (o->dev == YES ? 0 : MS_NODEV) |
		(o->suid == YES ? 0 : MS_NOSUID) | (o->exec == NO ? MS_NOEXEC : 0) |
		(o->atime == NO ? MS_NOATIME : 0);
}

static void __attribute__((format(printf, 2, 0)))
log_of_libfuse(enum fuse_log_level level, const char *format, va_list args)
{
	char text[1024];
	size_t size;

	if (vsnprintf(text, sizeof(text), format, args) < 0) {
		return;
	}
	for (size = strlen(text); size > 0 && text[size - 1] == '\n'; size--) {
		text[size - 1] = 0;
	}
	log_message((int)level, "%s", text);
}

int session_create(struct session **out, const struct options *o, const char *store,
	const char *dir, struct frontend *fe)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct session *s = calloc(1, sizeof(*s));
	int r = s ? add_options(&args, o, store) : -ENOMEM;

	if (s) {
		s->fe = fe;
	}
	if (r == 0) {
		fuse_set_log_func(log_of_libfuse);
		s->flags = o->nosymfollow ? mount_flags(o) : 0;
		s->dir = strdup(dir);
		s->fuse = s->dir ? fuse_session_new(&args, &ops_table, sizeof(ops_table), fe) : NULL;
		r = s->fuse ? 0 : s->dir ? -EINVAL : -ENOMEM;
	}
	if (r == -ENOMEM) {
		log_error("out of memory");
	}
	fuse_opt_free_args(&args);
	if (r == 0) {
		r = mounter_create(&s->mounter, s->fuse, dir, s->flags);
		if (r < 0) {
			log_error("cannot start the process that mounts: %s", strerror(-r));
		}
	}
	if (r < 0) {
		session_destroy(s);
		return r;
	}
	fe->session = s;
	*out = s;
	return 0;
}

/* --- the mount --------------------------------------------------------- */

static int check_directory(const char *dir)
{
	struct stat st;
	int r;

	if (stat(dir, &st) == 0) {
		if (S_ISDIR(st.st_mode)) {
			return 0;
		}
		log_error("%s is not a directory", dir);
		return -ENOTDIR;
	}
	if (errno == ENOTCONN) {
		log_error("%s is a mount whose daemon has died; take it away with: %s '%s'", dir,
			geteuid() == 0 ? "umount -l" : "fusermount3 -uz", dir);
		return -ENOTCONN;
	}
	r = -errno;
	log_error("cannot mount on %s: %m", dir);
	return r;
}

int session_mount(struct session *s)
{
	char reason[512], name[32];
	int fd, r = check_directory(s->dir);

	if (r < 0) {
		return r;
	}
	if (s->flags && geteuid() != 0) {
		log_error("option nosymfollow: only root can mount so");
		return -EPERM;
	}
	fd = mounter_mount(s->mounter, reason, sizeof(reason));
	if (fd < 0) {
		log_error("cannot mount on %s: %s", s->dir,
			*reason ? reason : "libfuse says no more");
		return fd;
	}
	s->attached = true;
	if (*reason) {
		log_warning("%s", reason);
	}
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	if (fuse_session_mount(s->fuse, name) < 0) {
		close(fd);
		return -EINVAL; /* libfuse has said why */
	}
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		r = -errno;
		log_error("/dev/fuse: %m");
		return r;
	}
	r = fuse_session_custom_io(s->fuse, &handshake, fd);
	if (r < 0) {
		log_error("libfuse: %s", strerror(-r));
	}
	return r;
}

int session_clone(struct session *s)
{
	return mounter_clone(s->mounter);
}

void session_detach(struct session *s)
{
	if (s->attached) {
		s->attached = false;
		mounter_detach(s->mounter);
	}
}

/* The mount has gone if polling /dev/fuse gives an error. Its place may be somebody else's
 * by now. */
static bool is_gone(const struct session *s)
{
	struct pollfd p = {.fd = fuse_session_fd(s->fuse)};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

void session_destroy(struct session *s)
{
	if (!s) {
		return;
	}
	if (s->attached && !is_gone(s)) {
		session_detach(s);
	}
	if (s->fuse) {
		fuse_session_destroy(s->fuse); /* closes the connection */
	}
	mounter_destroy(s->mounter);
	free(s->dir);
	s->fe->session = NULL;
	free(s);
}

struct fuse_session *session_fuse(struct session *s)
{
	return s->fuse;
}

bool session_ready(const struct session *s)
{
	return s->ready;
}
