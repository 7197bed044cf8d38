/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The -o string, STORE and DIR, and whose thread it is. */

#include "base/cleanup.h"
#include "base/clock.h"
#include "fs/location.h"
#include "fs/options.h"
#include "fs/process.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

/* Parses what must parse. */
static void parse(struct options *o, const char *string)
{
	char *error = NULL;

	options_init(o);
	assert_int_equal(options_parse(o, string, &error), 0);
	assert_null(error);
	assert_int_equal(options_check(o, &error), 0);
	assert_null(error);
}

/* What must not; the complaint names `what`. */
static void refuse(const char *string, const char *what)
{
	struct options o;
	char *error = NULL;
	int r;

	options_init(&o);
	r = options_parse(&o, string, &error);
	if (r == 0) {
		r = options_check(&o, &error);
	}
	assert_int_equal(r, -EINVAL);
	assert_non_null(error);
	assert_non_null(strstr(error, what));
	assert_null(strchr(error, '\n'));
	free(error);
	options_finish(&o);
}

static void test_nothing(void **state)
{
	static const char *const empty[] = {"", ",", ",,,"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct options o;

		parse(&o, empty[i]);
		assert_int_equal(o.commit, -1);
		assert_int_equal(o.max_value, 0);
		assert_int_equal(o.max_keys, 0);
		assert_int_equal(o.max_bytes, 0);
		assert_int_equal(o.max_staged, 0);
		assert_int_equal(o.max_open, 0);
		assert_int_equal(o.max_locks, 0);
		assert_int_equal(o.log_level, LOG_INFO);
		assert_int_equal(o.dev, UNSET);
		assert_false(o.sync);
		options_finish(&o);
	}
}

static void test_own(void **state)
{
	struct options o;

	(void)state;
	parse(&o, "max_value=16M,commit=0.25,lock_ttl=30,lock_keepalive,timeout=2.5,"
		  "segment_size=64k,compact_min=1,log_level=debug");
	assert_int_equal(o.max_value, 16 << 20);
	assert_int_equal(o.commit, NSEC_PER_SEC / 4);
	assert_int_equal(o.lock_ttl, 30 * NSEC_PER_SEC);
	assert_true(o.lock_keepalive);
	assert_int_equal(o.timeout, 5 * NSEC_PER_SEC / 2);
	assert_int_equal(o.segment_size, 65536);
	assert_int_equal(o.compact_min, 1);
	assert_int_equal(o.log_level, LOG_DEBUG);
	options_finish(&o);

	parse(&o, "max_keys=1000000,max_bytes=2g,max_staged=64K,max_open=none,max_locks=7,"
		  "max_locks=8");
	assert_int_equal(o.max_keys, 1000000);
	assert_int_equal(o.max_bytes, UINT64_C(2) << 30);
	assert_int_equal(o.max_staged, 65536);
	assert_true(o.max_open == OPTIONS_NONE);
	assert_int_equal(o.max_locks, 8);
	options_finish(&o);

	parse(&o, "commit=0");
	assert_int_equal(o.commit, 0);
	options_finish(&o);
}

static void test_own_refused(void **state)
{
	(void)state;
	refuse("max_value=", "max_value");
	refuse("max_value=0", "max_value");
	refuse("max_value=-1", "max_value");
	refuse("max_value=1T", "1T");
	refuse("max_value=1KB", "1KB");
	refuse("max_value=18446744073709551616", "max_value");
	refuse("max_value=99999999999G", "max_value");
	refuse("max_value=none", "max_value");
	refuse("max_keys=0", "max_keys");
	refuse("max_keys=", "max_keys");
	refuse("max_keys", "max_keys");
	refuse("max_keys=many", "'many'");
	refuse("max_bytes=-1", "max_bytes");
	refuse("max_bytes=nones", "nones");
	refuse("max_bytes=18446744073709551615", "max_bytes");
	refuse("max_staged=1.5M", "max_staged");
	refuse("max_open=0x10", "max_open");
	refuse("max_locks=NONE", "max_locks");
	refuse("commit=", "commit");
	refuse("commit=.", "commit");
	refuse("commit=-1", "commit");
	refuse("commit=1e3", "commit");
	refuse("commit=1s", "commit");
	refuse("commit=nan", "commit");
	refuse("commit=99999999999999999999", "commit");
	refuse("lock_ttl=0", "lock_ttl");
	refuse("timeout=0.0", "timeout");
	refuse("log_level=loud", "loud");
	refuse("max_value", "max_value");
}

static void test_of_the_mount(void **state)
{
	struct options o;

	(void)state;
	parse(&o, "ro,nodev,suid,noexec,noatime,nosymfollow,allow_other,auto_unmount,"
		  "default_permissions,fsname=a\\,b,subtype=x");
	assert_true(o.read_only);
	assert_int_equal(o.dev, NO);
	assert_int_equal(o.suid, YES);
	assert_int_equal(o.exec, NO);
	assert_int_equal(o.atime, NO);
	assert_true(o.nosymfollow);
	assert_true(o.allow_other);
	assert_true(o.auto_unmount);
	assert_true(o.default_permissions);
	assert_string_equal(o.fsname, "a,b");
	assert_string_equal(o.subtype, "x");
	options_finish(&o);

	/* what comes later wins */
	parse(&o, "ro,nodev,fsname=a,rw,dev,fsname=\"b,c\"");
	assert_false(o.read_only);
	assert_int_equal(o.dev, YES);
	assert_string_equal(o.fsname, "b,c");
	options_finish(&o);
}

/* These must not reach the kernel. */
static void test_sync(void **state)
{
	static const char *const on[] = {"sync", "dirsync", "async,sync"};
	struct options o;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		parse(&o, on[i]);
		assert_true(o.sync);
		assert_int_equal(o.n_security, 0);
		options_finish(&o);
	}
	parse(&o, "sync,async");
	assert_false(o.sync);
	options_finish(&o);
}

static void test_dropped(void **state)
{
	struct options o;

	(void)state;
	parse(&o, "defaults,nofail,_netdev,auto,noauto,user,users,owner,group,nouser,user=joe,"
		  "x-systemd.automount,x-systemd.requires=/a,x-anything=\"a,b\",X-mount.mkdir=0755,"
		  "comment=what\\, ever,relatime,norelatime,strictatime,lazytime,nolazytime,"
		  "diratime,nodiratime,iversion,mand,nomand,silent,loud,helper=cubbyfs,"
		  "uhelper=hal,async,symfollow,exec,atime");
	assert_null(o.unknown);
	options_finish(&o);
}

static void test_security(void **state)
{
	struct options o;

	(void)state;
	parse(&o, "context=\"system_u:object_r:tmp_t:s0:c127,c456\",ro,rootcontext=u:r:t");
	assert_int_equal(o.n_security, 2);
	assert_string_equal(o.security[0], "context=\"system_u:object_r:tmp_t:s0:c127,c456\"");
	assert_string_equal(o.security[1], "rootcontext=u:r:t");
	assert_true(o.read_only);
	options_finish(&o);
}

static void test_unknown(void **state)
{
	struct options o;

	(void)state;
	refuse("nonsense", "'nonsense'");
	refuse("ro,nonsense=1,other", "'nonsense'");
	refuse("max_values=1M", "'max_values'");
	refuse("Ro", "'Ro'");
	refuse("\"ro,rw\"", "ro,rw");
	refuse("remount,ro", "mount -o remount");
	refuse("ro\\", "ro");
	parse(&o, "nonsense,sloppy,other=1");
	options_finish(&o);
	parse(&o, "sloppy,nonsense");
	options_finish(&o);
}

static void test_several(void **state)
{
	struct options o;
	char *error = NULL;

	(void)state;
	options_init(&o);
	assert_int_equal(options_parse(&o, "nonsense", &error), 0);
	assert_int_equal(options_parse(&o, "ro", &error), 0);
	assert_int_equal(options_parse(&o, "sloppy", &error), 0);
	assert_int_equal(options_check(&o, &error), 0);
	assert_true(o.read_only);
	options_finish(&o);
	options_finish(&o);
}

static void test_numbers(void **state)
{
	uint64_t size;
	int64_t ns;

	(void)state;
	assert_true(options_size("18446744073709551615", &size));
	assert_true(size == UINT64_MAX);
	assert_true(options_size("2g", &size));
	assert_true(size == UINT64_C(2) << 30);
	assert_false(options_size("K", &size));
	assert_false(options_size(" 1", &size));
	assert_false(options_size("17179869184G", &size));
	assert_true(options_seconds("0.000000001", &ns));
	assert_int_equal(ns, 1);
	assert_true(options_seconds("0.0000000001", &ns)); /* not to become "never" */
	assert_int_equal(ns, 1);
	assert_true(options_seconds("0.00000000000", &ns));
	assert_int_equal(ns, 0);
	assert_true(options_seconds(".5", &ns));
	assert_int_equal(ns, NSEC_PER_SEC / 2);
	assert_true(options_seconds("7.", &ns));
	assert_int_equal(ns, 7 * NSEC_PER_SEC);
	assert_true(options_seconds("3153600000", &ns));
	assert_false(options_seconds("3163000000", &ns));
}

static void test_location(void **state)
{
	char dir[] = "/tmp/cubbytest.XXXXXX";
	_cleanup_free_ char *plain = NULL;
	_cleanup_free_ char *missing = NULL;
	_cleanup_free_ char *relative = NULL;
	_cleanup_free_ char *sqlite = NULL;
	_cleanup_free_ char *redis = NULL;
	_cleanup_free_ char *deep = NULL;
	char text[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	snprintf(text, sizeof(text), "%s//", dir);
	plain = location_of_mount(text);
	assert_string_equal(plain, dir);
	snprintf(text, sizeof(text), "%s/new", dir);
	missing = location_of_store("new");
	assert_string_equal(missing, text);
	relative = location_of_store("./memory:");
	snprintf(text, sizeof(text), "%s/memory:", dir);
	assert_string_equal(relative, text);
	sqlite = location_of_store("sqlite:db");
	snprintf(text, sizeof(text), "sqlite:%s/db", dir);
	assert_string_equal(sqlite, text);
	redis = location_of_store("redis://h:1/0");
	assert_string_equal(redis, "redis://h:1/0");
	deep = location_of_store("a/b/c");
	snprintf(text, sizeof(text), "%s/a/b/c", dir);
	assert_string_equal(deep, text);
	assert_int_equal(rmdir(dir), 0);

	assert_true(location_is_url("memory:"));
	assert_true(location_is_url("nats://h/b"));
	assert_false(location_is_url("/memory:"));
	assert_false(location_is_url("memory"));
	assert_false(location_is_url("a b:c"));
	assert_false(location_is_url(":"));

	assert_true(location_is_in("/a", "/a"));
	assert_true(location_is_in("/a/b", "/a"));
	assert_false(location_is_in("/ab", "/a"));
	assert_false(location_is_in("/", "/a"));
	assert_true(location_is_in("/a", "/"));
}

static void *tell_id(void *arg)
{
	pid_t *ids = arg;

	ids[0] = (pid_t)syscall(SYS_gettid);
	ids[1] = process_of_thread(ids[0]);
	return NULL;
}

static void test_process_of_thread(void **state)
{
	pthread_t thread;
	pid_t ids[2], child;
	int status;

	(void)state;
	assert_int_equal(process_of_thread(getpid()), getpid());
	assert_int_equal(pthread_create(&thread, NULL, tell_id, ids), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_not_equal(ids[0], getpid());
	assert_int_equal(ids[1], getpid());

	assert_int_equal(process_of_thread(0), 0);
	assert_int_equal(process_of_thread(1), 1); /* not ours to signal, or root's */
	child = fork();
	if (child == 0) {
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(process_of_thread(child), child);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(process_of_thread(child), child); /* gone: itself */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_own_refused),
		cmocka_unit_test(test_of_the_mount),
		cmocka_unit_test(test_sync),
		cmocka_unit_test(test_dropped),
		cmocka_unit_test(test_security),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_location),
		cmocka_unit_test(test_process_of_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
