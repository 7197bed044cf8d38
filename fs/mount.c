/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* libfuse opens /dev/fuse and calls mount(2), or fusermount3 for a user; what
 * goes wrong there it (or fusermount3) prints to stderr in lines of its own. While it
 * does, stderr is a file in memory, and the last line of it becomes the reason in
 * the one line that we print. Of libfuse's session nothing else is used here: the
 * requests are a worker's business (session.c).
 *
 * The mount point may be an autofs trigger that waits for this very mount
 * (systemd's x-systemd.automount). The process group that systemd gave us is
 * what lets us pass it, so nothing may call setsid before the mount is there,
 * and no path ends in a slash. */

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif

#include "fs/mount.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "fs/fuse_log.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

extern char **environ;

struct mount {
	struct fuse_session *fuse;
	char *dir;	     /* until it is detached; owned */
	unsigned long flags; /* 0 unless libfuse can't set them all */
	pid_t unmounter;     /* fusermount3 under way, or 0 */
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
	return r;
}

/* libfuse does not know nosymfollow: all flags are set once more, with it. */
static unsigned long mount_flags(const struct options *o)
{
	return MS_NOSYMFOLLOW | (o->read_only ? MS_RDONLY : 0) | (o->dev == YES ? 0 : MS_NODEV) |
		(o->suid == YES ? 0 : MS_NOSUID) | (o->exec == NO ? MS_NOEXEC : 0) |
		(o->atime == NO ? MS_NOATIME : 0);
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

/* The last line in a file, as libfuse and fusermount3 write them, without the
 * names that they put before it. */
static void last_line(int fd, char *out, size_t size)
{
	static const char *const names[] = {"cubbyfs: ", "fuse: ", "fusermount3: "};
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *line;

	text[n > 0 ? n : 0] = 0;
	for (n = (ssize_t)strlen(text); n > 0 && text[n - 1] == '\n'; n--) {
		text[n - 1] = 0;
	}
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(line, names[i], strlen(names[i])) == 0) {
			line += strlen(names[i]);
		}
	}
	snprintf(out, size, "%s", line);
}

static int mount_quietly(struct mount *m, const char *dir, char *reason, size_t size)
{
	_cleanup_fd_ int words = memfd_create("cubbyfs-mount", MFD_CLOEXEC);
	_cleanup_fd_ int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	int r;

	if (words < 0 || saved < 0 || dup2(words, STDERR_FILENO) < 0) {
		snprintf(reason, size, "%s", strerror(errno));
		return -errno;
	}
	r = fuse_session_mount(m->fuse, dir);
	dup2(saved, STDERR_FILENO);
	last_line(words, reason, size);
	return r < 0 ? -EIO : 0;
}

/* Mounts, but for what undoes it. */
static int make(struct mount *m, const char *dir)
{
	char reason[512];
	int fd, r = check_directory(dir);

	if (r < 0) {
		return r;
	}
	if (m->flags && geteuid() != 0) {
		log_error("option nosymfollow: only root can mount so");
		return -EPERM;
	}
	m->dir = strdup(dir);
	if (!m->dir) {
		return -ENOMEM;
	}
	r = mount_quietly(m, dir, reason, sizeof(reason));
	if (r < 0) {
		log_error("cannot mount on %s: %s", dir, *reason ? reason : "libfuse says no more");
		free(steal_pointer(&m->dir));
		return r;
	}
	if (*reason) {
		log_warning("%s", reason);
	}
	fd = mount_fd(m);
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0) {
		r = -errno;
		log_error("/dev/fuse: %m");
		return r;
	}
	if (m->flags && mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | m->flags, NULL) < 0) {
		r = -errno;
		log_error("option nosymfollow: %m");
		return r;
	}
	return 0;
}

int mount_create(struct mount **out, const struct options *o, const char *store, const char *dir)
{
	static const struct fuse_lowlevel_ops none;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct mount *m = calloc(1, sizeof(*m));
	int r = m ? add_options(&args, o, store) : -ENOMEM;

	if (r < 0) {
		log_error("out of memory");
	} else {
		fuse_log_init();
		m->flags = o->nosymfollow ? mount_flags(o) : 0;
		m->fuse = fuse_session_new(&args, &none, sizeof(none), NULL);
		r = m->fuse ? make(m, dir) : -EINVAL;
	}
	fuse_opt_free_args(&args);
	if (r < 0) {
		mount_destroy(m);
		return r;
	}
	*out = m;
	return 0;
}

int mount_fd(const struct mount *m)
{
	return fuse_session_fd(m->fuse);
}

/* Whether the connection still is; else the path may be somebody else's mount by now. */
static bool is_alive(const struct mount *m)
{
	struct pollfd p = {.fd = mount_fd(m), .events = 0};

	return poll(&p, 1, 0) == 0 || !(p.revents & POLLERR);
}

void mount_detach(struct mount *m)
{
	char *const args[] = {"fusermount3", "-u", "-q", "-z", "--", m->dir, NULL};

	if (!m->dir) {
		return;
	}
	if (!is_alive(m)) {
		free(steal_pointer(&m->dir));
		return;
	}
	if (geteuid() == 0) {
		if (umount2(m->dir, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL) {
			log_warning("cannot unmount %s: %m", m->dir);
		}
	} else if (posix_spawnp(&m->unmounter, args[0], NULL, NULL, args, environ) != 0) {
		m->unmounter = 0;
	}
	free(steal_pointer(&m->dir));
}

/* libfuse frees its memory only by unmounting, and by path. So the connection is closed, and
 * the memory left to the end of the process, which is near. */
void mount_destroy(struct mount *m)
{
	if (!m) {
		return;
	}
	if (m->dir) {
		mount_detach(m);
	}
	if (m->fuse && mount_fd(m) >= 0) {
		close(mount_fd(m));
	}
	if (m->unmounter > 0) {
		waitpid(m->unmounter, NULL, 0);
	}
	free(m);
}
