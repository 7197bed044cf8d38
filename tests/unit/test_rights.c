/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Giving up privileges, each time in a child: there is no way back. What a kernel, or a
 * container, may refuse is refused by a filter of the test's own. */
#include "base/log.h"
#include "fs/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#include <cmocka.h>

/* What a child says that its expectation was not met; the line. */
#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			dprintf(STDOUT_FILENO, "line %d: %s\n", __LINE__, #condition);             \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static void in_child(void (*run)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		run();
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A line of /proc/thread-self/status. */
static void field(const char *name, char *out, size_t size)
{
	char text[4096];
	int fd = open("/proc/thread-self/status", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	const char *at;

	EXPECT(n > 0);
	close(fd);
	text[n] = 0;
	at = strstr(text, name);
	EXPECT(at);
	at += strlen(name);
	at += strspn(at, ":\t");
	snprintf(out, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static uint64_t number(const char *name, int base)
{
	char text[64];

	field(name, text, sizeof(text));
	return strtoull(text, NULL, base);
}

static void expect_little(void)
{
	/* root's: CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_SYS_PTRACE, as far as it had them */
	const uint64_t kept = 1 << 1 | 1 << 3 | 1 << 19;

	EXPECT((number("\nCapPrm", 16) & ~kept) == 0);
	EXPECT(number("\nCapEff", 16) == number("\nCapPrm", 16));
	EXPECT(number("\nCapInh", 16) == 0);
	EXPECT(number("\nCapAmb", 16) == 0);
	EXPECT(number("\nNoNewPrivs", 10) == 1);
	if (geteuid() == 0) {
		EXPECT(number("\nCapBnd", 16) == 0);
	}
}

static void *in_thread(void *arg)
{
	expect_little();
	*(bool *)arg = true;
	return NULL;
}

static void drop(void)
{
	pthread_t thread;
	bool done = false;

	EXPECT(privileges_drop() == 0);
	expect_little();
	/* Threads can still be made, and have no more. */
	EXPECT(pthread_create(&thread, NULL, in_thread, &done) == 0);
	EXPECT(pthread_join(thread, NULL) == 0);
	EXPECT(done);
}

static void drops(void **state)
{
	(void)state;
	in_child(drop);
}

static void drop_as_user(void)
{
	if (geteuid() == 0) {
		EXPECT(setresgid(4242, 4242, 4242) == 0 && setresuid(4242, 4242, 4242) == 0);
	}
	EXPECT(privileges_drop() == 0);
	EXPECT(number("\nCapPrm", 16) == 0);
	EXPECT(number("\nNoNewPrivs", 10) == 1);
}

static void users_drop_too(void **state)
{
	(void)state;
	in_child(drop_as_user);
}

#ifdef HAVE_SECCOMP

static void refuse(int number, unsigned n, struct scmp_arg_cmp argument)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	EXPECT(filter);
	EXPECT(seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), number, n, argument) == 0);
	EXPECT(seccomp_load(filter) == 0);
	seccomp_release(filter);
}

static void limited(void)
{
	EXPECT(privileges_drop() == 0);
	EXPECT(number("\nSeccomp", 10) == 2);
	errno = 0;
	EXPECT(fork() == -1 && errno == ENOSYS);
	EXPECT(syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS);
	errno = 0;
	EXPECT(execl("/bin/true", "true", (char *)NULL) == -1 && errno == ENOSYS);
	errno = 0;
	EXPECT(syscall(SYS_ptrace, 0, 0, 0, 0) == -1 && errno == ENOSYS);
	EXPECT(getpid() == syscall(SYS_getpid));
}

static void system_calls_are_limited(void **state)
{
	(void)state;
	in_child(limited);
}

static void no_capset(void)
{
	refuse(SCMP_SYS(capset), 0, SCMP_A0(SCMP_CMP_EQ, 0));
	EXPECT(privileges_drop() == -EACCES);
}

static void no_capget(void)
{
	refuse(SCMP_SYS(capget), 0, SCMP_A0(SCMP_CMP_EQ, 0));
	EXPECT(privileges_drop() == -EACCES);
}

static void no_new_privileges(void)
{
	refuse(SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NO_NEW_PRIVS));
	EXPECT(privileges_drop() == -EACCES);
}

/* All or nothing, but for the filter. */
static void what_is_refused_is_said(void **state)
{
	(void)state;
	in_child(no_capget);
	in_child(no_capset);
	in_child(no_new_privileges);
}

static void no_seccomp(void)
{
	refuse(SCMP_SYS(seccomp), 0, SCMP_A0(SCMP_CMP_EQ, 0));
	EXPECT(privileges_drop() == 0);
	expect_little();
}

static void a_kernel_without_filters(void **state)
{
	(void)state;
	in_child(no_seccomp);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops),
		cmocka_unit_test(users_drop_too),
#ifdef HAVE_SECCOMP
		cmocka_unit_test(system_calls_are_limited),
		cmocka_unit_test(what_is_refused_is_said),
		cmocka_unit_test(a_kernel_without_filters),
#endif
	};

	log_init("test_privileges", LOG_EMERG);
	return cmocka_run_group_tests_name("privileges", tests, NULL, NULL);
}
