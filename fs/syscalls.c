/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What is not listed gets ENOSYS, as from a kernel that does not have it: a libc that tries
 * a newer call first then falls back, and a daemon that has come upon something
 * that nobody thought of goes on serving. (To be killed would be no better: whoever has
 * taken the daemon over is stopped by either, and the clients are not.) clone3(2) is such
 * a call; what it is to do cannot be seen by a filter, and what clone(2) is to do can.
 *
 * The list is what the daemon, libfuse, json-c and the C libraries of Debian 12 and 13 call
 * once the store is about to be opened. A backend with a network will need sockets of
 * another kind. */
#include "fs/syscalls.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <termios.h>

/* clang-format off */
static const char *const allowed[] = {
	/* descriptors and their bytes */
	"close", "close_range", "dup", "dup2", "dup3", "fcntl", "fcntl64", "lseek", "_llseek",
	"pipe", "pipe2", "pread64", "preadv", "pwrite64", "pwritev", "read", "readv", "write",
	"writev",
	/* files: the store, /proc, the announcer's on the mount */
	"access", "chdir", "faccessat", "faccessat2", "fadvise64", "fallocate", "fchmod",
	"fdatasync", "flock", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync",
	"ftruncate", "ftruncate64", "getcwd", "getdents64", "lstat", "mkdirat", "mknodat",
	"newfstatat", "open", "openat", "openat2", "readlink", "readlinkat", "renameat",
	"renameat2", "stat", "statfs", "statfs64", "statx", "symlinkat", "umask", "unlinkat",
	"utimensat", "utimensat_time64",
	/* waiting */
	"clock_nanosleep", "clock_nanosleep_time64", "epoll_create1", "epoll_ctl",
	"epoll_pwait", "epoll_wait", "eventfd2", "futex", "futex_time64", "nanosleep", "poll",
	"ppoll", "ppoll_time64", "restart_syscall", "sched_yield", "signalfd4",
	"timerfd_create", "timerfd_settime", "timerfd_settime64", "wait4", "waitid",
	/* memory and threads */
	"brk", "exit", "exit_group", "madvise", "memfd_create", "mmap", "mmap2", "mprotect",
	"mremap", "munmap", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
	"rt_sigreturn", "sched_getaffinity", "set_robust_list", "setsid", "sigaltstack",
	/* who and when */
	"clock_getres", "clock_gettime", "clock_gettime64", "getegid", "geteuid", "getgid",
	"getpid", "getppid", "getrandom", "getrlimit", "gettid", "gettimeofday", "getuid",
	"pidfd_open", "sysinfo", "time", "ugetrlimit", "uname",
	/* the supervisor, syslog(3) */
	"connect", "recvmsg", "sendmsg", "sendto", "shutdown",
};

/* A call with one argument that has to be just this. */
struct narrow {
	const char *name;
	unsigned argument;
	scmp_datum_t mask, value;
};

#define ALL (~(scmp_datum_t)0)
#define INT UINT32_MAX

static const struct narrow narrowed[] = {
	/* threads, no processes, and no namespaces with them */
	{"clone", 0, CLONE_THREAD | CLONE_NEWNS | CLONE_NEWUSER, CLONE_THREAD},
	{"unshare", 0, ALL, CLONE_FILES}, /* the announcer's descriptors */
	{"socket", 0, INT, AF_UNIX},
	{"prlimit64", 2, ALL, 0}, /* to ask */
	{"prctl", 0, INT, PR_SET_NAME},
	{"ioctl", 1, INT, TCGETS}, /* isatty(3) */
	{"ioctl", 1, INT, TIOCGWINSZ},
	{"tgkill", 2, INT, 0}, /* whether there is such a thread */
	{"tgkill", 2, INT, SIGABRT}, /* abort(3) */
};
/* clang-format on */

/* A name that this architecture does not have is left out. */
static int allow(
	scmp_filter_ctx filter, const char *name, unsigned n, const struct scmp_arg_cmp *arguments)
{
	int number = seccomp_syscall_resolve_name(name);

	return number == __NR_SCMP_ERROR || number < 0
		       ? 0
		       : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, n, arguments);
}

static int fill(scmp_filter_ctx filter)
{
	int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	/* By another architecture's numbers only an intruder calls. */
	r = r ? r : seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	for (size_t i = 0; r == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		r = allow(filter, allowed[i], 0, NULL);
	}
	for (size_t i = 0; r == 0 && i < sizeof(narrowed) / sizeof(narrowed[0]); i++) {
		const struct narrow *n = &narrowed[i];
		struct scmp_arg_cmp argument = {n->argument, SCMP_CMP_MASKED_EQ, n->mask, n->value};

		r = allow(filter, n->name, 1, &argument);
	}
	return r;
}

int syscalls_limit(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (!filter) {
		return -ENOMEM;
	}
	r = fill(filter);
	if (r == 0) {
		r = seccomp_load(filter);
	}
	seccomp_release(filter);
	return r;
}
