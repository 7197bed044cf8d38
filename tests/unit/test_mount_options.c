/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */
/* What mount(8) and fstab may pass, what cubbyfs gets of it, and what a remount makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mountinfo.h"
#include "mount-helper/options.h"
#include "mount-helper/remount.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

static void passes(const char *list, const char *wanted)
{
	struct options o;
	char *joined;

	options_init(&o);
	assert_int_equal(options_add(&o, list), 0);
	joined = options_join(&o);
	assert_non_null(joined);
	assert_string_equal(joined, wanted);
	free(joined);
	options_finish(&o);
}

static void test_nothing(void **state)
{
	(void)state;
	passes("", "");
	passes(",", "");
	passes(",,ro,,", "ro");
}

static void test_words_of_others_are_dropped(void **state)
{
	(void)state;
	passes("defaults", "");
	passes("defaults,auto,noauto,nofail,_netdev,_rnetdev,user,nouser,users,nousers,owner,"
	       "noowner,"
	       "group,nogroup,loop",
		"");
	passes("x-systemd.automount,x-systemd.requires=network.target,x-,X-mount.mkdir=0755", "");
	passes("comment=x,comment=,uhelper=cubbyfs,helper=cubbyfs,user=joe,loop=/dev/"
	       "loop0,offset=4,"
	       "sizelimit=9",
		"");
	passes("relatime,norelatime,strictatime,nostrictatime,lazytime,nolazytime,diratime,"
	       "nodiratime,"
	       "iversion,noiversion,mand,nomand,silent,loud,symfollow",
		"");
}

static void test_flags_pass(void **state)
{
	const char *all =
		"ro,rw,suid,nosuid,dev,nodev,exec,noexec,async,sync,atime,noatime,dirsync,"
		"nosymfollow";

	(void)state;
	passes(all, all);
}

static void test_options_of_libfuse_and_cubbyfs_pass(void **state)
{
	const char *libfuse = "fsname=a,subtype=b,allow_other,allow_root,default_permissions,"
			      "auto_unmount,max_read=65536,fscontext=c,defcontext=d,rootcontext=e";

	(void)state;
	passes(libfuse, libfuse);
	passes("max_value=64M,commit=5,lock_ttl=30", "max_value=64M,commit=5,lock_ttl=30");
	passes("max_keys=1M,nofail,max_bytes=none,max_staged=1M,max_open=9,max_locks=9",
		"max_keys=1M,max_bytes=none,max_staged=1M,max_open=9,max_locks=9");
}

static void test_unknown_words_pass_for_cubbyfs_to_refuse(void **state)
{
	(void)state;
	passes("no_such_thing,RO,user2,x,xx-y,nofail2,usersx",
		"no_such_thing,RO,user2,x,xx-y,nofail2,"
		"usersx");
	passes("remounted,binding", "remounted,binding");
}

static void test_words_that_mount_lets_through(void **state)
{
	(void)state;
	passes("rw,allow_dev,allow_suid", "rw,dev,suid");
}

static void test_an_fstab_line(void **state)
{
	(void)state;
	passes("defaults,nofail,_netdev,noatime,x-systemd.automount,"
	       "x-systemd.requires=network.target,comment=x,max_value=64M",
		"noatime,max_value=64M");
}

static void test_quotes_keep_commas(void **state)
{
	(void)state;
	passes("ro,context=\"a,b\",rw", "ro,context=\"a,b\",rw");
	passes("context=\"s0:c127,c456\",nofail", "context=\"s0:c127,c456\"");
	passes("context=\"a\\,b\"", "context=\"a\\,b\"");
	passes("x-note=\"a,ro,b\",sync", "sync");
	passes("a=\"\",b", "a=\"\",b");
}

static void test_backslash_keeps_commas(void **state)
{
	(void)state;
	passes("fsname=a\\,b,ro", "fsname=a\\,b,ro");
	passes("x-y=a\\,ro,rw", "rw");
	passes("fsname=a\\\\,ro", "fsname=a\\\\,ro");
	passes("fsname=\\\"a,ro", "fsname=\\\"a,ro");
}

static void test_a_backslash_at_the_end_eats_no_separator(void **state)
{
	struct options o;
	char *joined;

	(void)state;
	options_init(&o);
	assert_int_equal(options_add(&o, "fsname=a\\"), 0);
	assert_int_equal(options_add(&o, "ro"), 0);
	joined = options_join(&o);
	assert_string_equal(joined, "fsname=a\\\\,ro");
	free(joined);
	options_finish(&o);
}

static void test_a_quote_without_its_partner(void **state)
{
	struct options o;

	(void)state;
	options_init(&o);
	assert_int_equal(options_add(&o, "ro,context=\"a,b"), OPTIONS_BAD_QUOTE);
	assert_true(options_has(&o, "ro"));
	assert_int_equal(options_add(&o, "\""), OPTIONS_BAD_QUOTE);
	options_finish(&o);
}

static void test_lists_add_up(void **state)
{
	struct options o;
	char *joined;

	(void)state;
	options_init(&o);
	assert_int_equal(options_add(&o, "ro,nofail"), 0);
	assert_int_equal(options_add(&o, "sync"), 0);
	joined = options_join(&o);
	assert_string_equal(joined, "ro,sync");
	free(joined);
	assert_true(options_has(&o, "sync"));
	assert_false(options_has(&o, "syn"));
	assert_false(options_has(&o, "nofail"));
	options_finish(&o);
}

static void test_odd_bytes_pass(void **state)
{
	(void)state;
	passes("\xff\xfe=\x01\n,ro", "\xff\xfe=\x01\n,ro");
}

static void test_last_word_about_a_flag_wins(void **state)
{
	struct options o;

	(void)state;
	options_init(&o);
	assert_int_equal(options_add(&o, "remount,ro,nosuid,rw,noatime,relatime"), 0);
	assert_true(o.remount);
	assert_false(o.bind);
	assert_int_equal(o.set, MS_NOSUID | MS_RELATIME);
	assert_int_equal(o.clear, MS_RDONLY | MS_NOATIME | MS_STRICTATIME);
	assert_int_equal(options_add(&o, "bind,ro"), 0);
	assert_true(o.bind);
	assert_true(o.set & MS_RDONLY);
	assert_false(o.clear & MS_RDONLY);
	options_finish(&o);
}

#define LINE                                                                                       \
	"100 27 0:44 / /srv/a\\040b rw,nosuid,nodev,relatime shared:5 master:2 - fuse.cubbyfs "    \
	"/var/lib/st\\054ore rw,sync,user_id=0,group_id=0,default_permissions,allow_other\n"

static void test_mountinfo_line(void **state)
{
	struct mountinfo m;

	(void)state;
	assert_int_equal(mountinfo_parse(&m, LINE), 0);
	assert_int_equal(m.id, 100);
	assert_string_equal(m.point, "/srv/a b");
	assert_string_equal(m.type, "fuse.cubbyfs");
	assert_string_equal(m.source, "/var/lib/st,ore");
	assert_int_equal(m.flags, MS_NOSUID | MS_NODEV | MS_RELATIME);
	assert_int_equal(m.super_flags, MS_SYNCHRONOUS);
	mountinfo_finish(&m);
}

static void test_mountinfo_line_without_tags(void **state)
{
	struct mountinfo m;

	(void)state;
	assert_int_equal(mountinfo_parse(&m, "1 2 0:3 / / ro,nosymfollow - tmpfs none ro"), 0);
	assert_int_equal(m.flags, MS_RDONLY | MS_NOSYMFOLLOW | MS_STRICTATIME);
	assert_int_equal(m.super_flags, MS_RDONLY);
	mountinfo_finish(&m);
}

static void test_mountinfo_not_a_line(void **state)
{
	static const char *const bad[] = {"", "\n", " - ", "1 - a b c", "1 2 0:3 / - a b c",
		"1 2 0:3 / /p - a b c", "1 2 0:3 / /p rw - a b", "1 2 0:3 / /p rw a b c",
		"x 2 0:3 / /p rw - a b c"};
	struct mountinfo m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(mountinfo_parse(&m, bad[i]), MOUNTINFO_NONE);
		mountinfo_finish(&m);
	}
}

/* The flags for mount(2) when a mount with these words gets a remount with those. */
static unsigned long plan(const char *mount_words, const char *super_words, const char *list)
{
	char line[512];
	struct mountinfo now;
	struct options want;
	unsigned long flags;

	snprintf(line, sizeof(line), "1 2 0:3 / /p %s - fuse.cubbyfs s %s", mount_words,
		super_words);
	assert_int_equal(mountinfo_parse(&now, line), 0);
	options_init(&want);
	assert_int_equal(options_add(&want, list), 0);
	flags = remount_flags(&now, &want);
	options_finish(&want);
	mountinfo_finish(&now);
	return flags;
}

/* What mount(8) adds when there is no fstab line: all that the mount table says. */
#define TABLE ",user_id=0,group_id=0,allow_other"

static void test_remount_keeps_what_cubbyfs_set_by_itself(void **state)
{
	(void)state;
	assert_int_equal(plan("rw,nosuid,nodev,relatime", "rw,sync", "remount,ro"),
		MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_RELATIME | MS_SYNCHRONOUS);
	assert_int_equal(plan("ro,nosuid,nodev,noatime", "ro", "remount,rw"),
		MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOATIME);
	assert_int_equal(plan("rw", "rw", "remount,ro"), MS_REMOUNT | MS_RDONLY | MS_STRICTATIME);
	assert_int_equal(plan("rw,nosuid,nodev", "rw", "remount,rw,allow_dev"),
		MS_REMOUNT | MS_BIND | MS_NOSUID | MS_STRICTATIME);
}

/* mount(8) says exec by not saying noexec */
static void test_remount_turns_off_what_is_not_listed(void **state)
{
	(void)state;
	assert_int_equal(plan("rw,noexec,nosymfollow,relatime", "rw", "rw,remount"),
		MS_REMOUNT | MS_BIND | MS_RELATIME);
	assert_int_equal(plan("rw,noexec,relatime", "rw", "ro,noexec,remount"),
		MS_REMOUNT | MS_RDONLY | MS_NOEXEC | MS_RELATIME);
	assert_int_equal(
		plan("rw,nosuid,nodev,noexec,noatime", "rw", "rw,nosuid,noatime,remount" TABLE),
		MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NOATIME);
	assert_int_equal(plan("rw,nosuid,noatime", "rw", "rw,nosuid,remount" TABLE),
		MS_REMOUNT | MS_BIND | MS_NOSUID | MS_RELATIME);
	assert_int_equal(plan("rw,nosuid", "rw", "ro,nosuid,remount" TABLE),
		MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_STRICTATIME);
}

static void test_remount_leaves_the_file_system_alone_if_it_can(void **state)
{
	(void)state;
	assert_int_equal(plan("rw,relatime", "rw", "rw,remount,noexec"),
		MS_REMOUNT | MS_BIND | MS_NOEXEC | MS_RELATIME);
	assert_int_equal(plan("ro,noexec,relatime", "rw", "remount,exec"),
		MS_REMOUNT | MS_BIND | MS_RDONLY | MS_RELATIME);
	assert_int_equal(plan("rw,relatime", "rw", "remount,bind,ro"),
		MS_REMOUNT | MS_BIND | MS_RDONLY | MS_RELATIME);
	/* the mount point was read-only, the file system was not */
	assert_int_equal(
		plan("ro,relatime", "rw", "remount,rw"), MS_REMOUNT | MS_BIND | MS_RELATIME);
}

static void test_remount_changes_the_access_times(void **state)
{
	(void)state;
	assert_int_equal(
		plan("rw,relatime", "rw", "remount,noatime"), MS_REMOUNT | MS_BIND | MS_NOATIME);
	assert_int_equal(plan("rw,noatime", "rw", "remount,strictatime"),
		MS_REMOUNT | MS_BIND | MS_STRICTATIME);
	assert_int_equal(plan("rw,noatime,nodiratime", "rw", "remount,relatime,diratime"),
		MS_REMOUNT | MS_BIND | MS_RELATIME);
}

/* "" if a remount with these words is taken by a daemon that was started with those. */
static void refuses(const char *started_words, const char *list, const char *wanted)
{
	struct mountinfo now;
	struct options started, want;
	const char *word = "";

	assert_int_equal(mountinfo_parse(&now, "1 2 0:3 / /p rw,nosuid - fuse.cubbyfs /s "
					       "rw,user_id=0,group_id=0,allow_other"),
		0);
	options_init(&started);
	options_init(&want);
	assert_int_equal(options_add(&started, started_words), 0);
	assert_int_equal(options_add(&want, list), 0);
	assert_int_equal(remount_refuses(&now, &started, &want, &word), *wanted != '\0');
	assert_string_equal(word, wanted);
	options_finish(&want);
	options_finish(&started);
	mountinfo_finish(&now);
}

static void test_remount_refuses_what_it_cannot_change(void **state)
{
	(void)state;
	refuses("", "remount,ro,nosuid,noatime,nofail,x-y,relatime", "");
	refuses("", "remount,rw,user_id=0,group_id=0,allow_other", "");
	refuses("", "remount,allow", "allow");
	refuses("", "remount,user_id=1", "user_id=1");
	refuses("max_value=64M,noatime", "noatime,max_value=64M,remount,ro", "");
	refuses("max_value=64M", "max_value=6M,remount,ro", "max_value=6M");
	refuses("", "max_value=64M,remount,ro", "max_value=64M");
	refuses("", "remount,sync", "sync");
	refuses("sync", "remount,sync", "");
	refuses("sync", "remount,async", "async");
	refuses("", "remount,async,fsname=/s,subtype=cubbyfs", "");
	refuses("", "remount,fsname=/t", "fsname=/t");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_words_of_others_are_dropped),
		cmocka_unit_test(test_flags_pass),
		cmocka_unit_test(test_options_of_libfuse_and_cubbyfs_pass),
		cmocka_unit_test(test_unknown_words_pass_for_cubbyfs_to_refuse),
		cmocka_unit_test(test_words_that_mount_lets_through),
		cmocka_unit_test(test_an_fstab_line),
		cmocka_unit_test(test_quotes_keep_commas),
		cmocka_unit_test(test_backslash_keeps_commas),
		cmocka_unit_test(test_a_backslash_at_the_end_eats_no_separator),
		cmocka_unit_test(test_a_quote_without_its_partner),
		cmocka_unit_test(test_lists_add_up),
		cmocka_unit_test(test_odd_bytes_pass),
		cmocka_unit_test(test_last_word_about_a_flag_wins),
		cmocka_unit_test(test_mountinfo_line),
		cmocka_unit_test(test_mountinfo_line_without_tags),
		cmocka_unit_test(test_mountinfo_not_a_line),
		cmocka_unit_test(test_remount_keeps_what_cubbyfs_set_by_itself),
		cmocka_unit_test(test_remount_turns_off_what_is_not_listed),
		cmocka_unit_test(test_remount_leaves_the_file_system_alone_if_it_can),
		cmocka_unit_test(test_remount_changes_the_access_times),
		cmocka_unit_test(test_remount_refuses_what_it_cannot_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
