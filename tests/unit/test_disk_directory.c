/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A store's directory, on a real disk: whose it is, what others may do to it, and what
 * somebody may have put into it. */
#include "base/cleanup.h"
#include "base/log.h"
#include "journal_fixture.h"
#include "store/disk_directory.h"
#include "store/journal/check.h"
#include "store/journal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cmocka.h>

#define PRECIOUS "precious\n"

/* A directory of the test's own, with a store in it, and a file that nobody is to touch. */
struct scene {
	char base[64], store[96], precious[96];
	struct fixture f;
};

static const char *in(struct scene *p, const char *name)
{
	static char path[4][192];
	static unsigned n;

	n = (n + 1) % 4;
	snprintf(path[n], sizeof(path[n]), "%s/%s", p->store, name);
	return path[n];
}

static const char *beside(struct scene *p, const char *name)
{
	static char path[4][192];
	static unsigned n;

	n = (n + 1) % 4;
	snprintf(path[n], sizeof(path[n]), "%s/%s", p->base, name);
	return path[n];
}

static void write_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static int set_up(void **state)
{
	struct scene *p = calloc(1, sizeof(*p));
	const char *tmp = getenv("TMPDIR");

	snprintf(p->base, sizeof(p->base), "%s/cubbytest.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(p->base));
	snprintf(p->store, sizeof(p->store), "%s/store", p->base);
	snprintf(p->precious, sizeof(p->precious), "%s/precious", p->base);
	write_file(p->precious, PRECIOUS);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *p = *state;
	_cleanup_free_ char *command = NULL;

	if (p->f.b) {
		fixture_close(&p->f);
	}
	fixture_state_finish(&p->f.state);
	assert_true(asprintf(&command, "rm -rf '%s'", p->base) > 0);
	assert_int_equal(system(command), 0);
	free(p);
	return 0;
}

static int count(void *arg, const struct transition *t)
{
	(void)t;
	++*(unsigned *)arg;
	return 0;
}

static int try_open(struct scene *p, bool read_only, char **error)
{
	struct backend_config config = {
		.clock = &clock_system, .segment_size = 1 << 20, .read_only = read_only};
	int r;

	*error = NULL;
	r = backend_journal.open(&p->f.b, p->store, &config, error);
	if (r < 0) {
		p->f.b = NULL;
		return r;
	}
	p->f.replayed = 0;
	r = p->f.b->ops->replay(
		p->f.b, count, &p->f.replayed, &p->f.next_ino, &p->f.last_at, &p->f.revision);
	if (r < 0) {
		fixture_close(&p->f);
	}
	return r;
}

static void open_store(struct scene *p)
{
	char *error;
	int r = try_open(p, false, &error);

	if (r < 0) {
		print_error("%s: %s\n", strerror(-r), error ? error : "");
	}
	free(error);
	assert_int_equal(r, 0);
}

static void refused(struct scene *p, int wanted, const char *with)
{
	char *error;

	assert_int_equal(try_open(p, false, &error), wanted);
	assert_non_null(error);
	if (!strstr(error, with)) {
		print_error("%s\n", error);
	}
	assert_non_null(strstr(error, with));
	assert_null(strchr(error, '\n'));
	free(error);
}

/* A store of four changes, closed: revisions 1 and 2 in a snapshot, 3 and 4 in a log. */
static void make_store(struct scene *p)
{
	open_store(p);
	assert_int_equal(fixture_put(&p->f, 0, "a"), 0);
	assert_int_equal(fixture_put(&p->f, 1, "b"), 0);
	assert_int_equal(fixture_compact(&p->f, NULL), 0);
	assert_int_equal(fixture_put(&p->f, 2, "c"), 0);
	assert_int_equal(fixture_put(&p->f, 3, "d"), 0);
	assert_int_equal(fixture_close(&p->f), 0);
}

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void untouched(struct scene *p)
{
	_cleanup_fd_ int fd = open(p->precious, O_RDONLY);
	char text[64] = "";

	assert_int_equal(read(fd, text, sizeof(text) - 1), strlen(PRECIOUS));
	assert_string_equal(text, PRECIOUS);
	assert_int_equal(mode_of(p->precious), 0644);
}

struct found {
	uint64_t problems;
	char text[4096];
};

static void take_problem(void *arg, const struct check_problem *problem)
{
	struct found *f = arg;
	size_t n = strlen(f->text);

	snprintf(f->text + n, sizeof(f->text) - n, "%s: %s; %s\n", problem->file, problem->what,
		problem->remedy);
}

static void check(struct scene *p, struct found *out)
{
	struct check_callbacks callbacks = {.problem = take_problem, .arg = out};
	struct check_summary summary;
	char *error;

	*out = (struct found){0};
	assert_int_equal(journal_check(NULL, p->store, &callbacks, &summary, &error), 0);
	out->problems = summary.problems;
}

static void checked(struct scene *p, const char *with)
{
	struct found found;

	check(p, &found);
	if (!strstr(found.text, with)) {
		print_error("%s is not in: %s\n", with, found.text);
	}
	assert_non_null(strstr(found.text, with));
}

static void clean(struct scene *p)
{
	struct found found;

	check(p, &found);
	assert_string_equal(found.text, "");
	assert_int_equal(found.problems, 0);
}

#define LOG "00000000000000000003.log"
#define SNAPSHOT "00000000000000000002.snap"

/* ---- modes and owners ---- */

static void modes(void **state)
{
	static const mode_t umasks[] = {0, 022, 0177, 0377, 0777};
	struct scene *p = *state;

	for (size_t i = 0; i < sizeof(umasks) / sizeof(umasks[0]); i++) {
		static const char *const names[] = {"lock", "format", "synced", LOG, SNAPSHOT};
		mode_t before;
		_cleanup_free_ char *other = NULL;

		/* Only root can open what it may not read: a umask takes owners' bits too. */
		if (geteuid() != 0 && (umasks[i] & 0700)) {
			continue;
		}
		before = umask(umasks[i]);
		make_store(p);
		umask(before);
		assert_int_equal(mode_of(p->store), 0700);
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			assert_int_equal(mode_of(in(p, names[k])), 0600);
		}
		clean(p);
		assert_true(asprintf(&other, "%s.%zu", p->store, i) > 0);
		assert_int_equal(rename(p->store, other), 0);
	}
}

/* What is kept aside has the value of a key in it. */
static void modes_of_damage(void **state)
{
	struct scene *p = *state;
	mode_t before;
	_cleanup_fd_ int fd = -1;

	make_store(p);
	fd = open(in(p, LOG), O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "half a line", 11), 11);
	before = umask(0);
	open_store(p);
	umask(before);
	assert_int_equal(p->f.replayed, 4);
	assert_int_equal(mode_of(in(p, "damaged")), 0700);
	{
		_cleanup_dir_ DIR *d = opendir(in(p, "damaged"));
		struct dirent *entry;
		unsigned n = 0;
		struct stat st;

		while ((entry = readdir(d))) {
			if (entry->d_name[0] != '.') {
				assert_int_equal(fstatat(dirfd(d), entry->d_name, &st, 0), 0);
				assert_int_equal(st.st_mode & 07777, 0600);
				n++;
			}
		}
		assert_int_equal(n, 1);
	}
}

/* An empty directory becomes a store, and is shut; somebody's copy of the small files,
 * too open, is put right when they are written. */
static void made_ours(void **state)
{
	struct scene *p = *state;

	assert_int_equal(mkdir(p->store, 0700), 0);
	assert_int_equal(chmod(p->store, 0777), 0);
	make_store(p);
	assert_int_equal(mode_of(p->store), 0700);
	assert_int_equal(chmod(in(p, "lock"), 0666), 0);
	open_store(p);
	assert_int_equal(mode_of(in(p, "lock")), 0600);
}

static void writable_by_others(void **state)
{
	static const mode_t bad[] = {0777, 0770, 0702, 01777};
	struct scene *p = *state;
	char *error;

	make_store(p);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(chmod(p->store, bad[i]), 0);
		refused(p, -EPERM, "others than its owner can write to the store");
		checked(p, ".: others than its owner can write to the directory");
		/* Nothing was changed, and reading changes nothing. */
		assert_int_equal(mode_of(p->store), bad[i]);
		assert_int_equal(try_open(p, true, &error), 0);
		assert_int_equal(p->f.replayed, 4);
		assert_int_equal(fixture_close(&p->f), 0);
	}
	/* Others may look in, as for a backup. */
	assert_int_equal(chmod(p->store, 0755), 0);
	open_store(p);
	assert_int_equal(p->f.replayed, 4);
	assert_int_equal(fixture_close(&p->f), 0);
	clean(p);
}

static void somebody_elses(void **state)
{
	struct scene *p = *state;
	char *error;

	if (geteuid() != 0) {
		skip(); /* only root can give a directory away */
	}
	make_store(p);
	assert_int_equal(chown(p->store, 12345, 0), 0);
	refused(p, -EPERM, "belongs to user 12345");
	assert_int_equal(try_open(p, true, &error), 0);
	assert_int_equal(fixture_close(&p->f), 0);
	/* An empty one, too. */
	assert_int_equal(rename(p->store, beside(p, "old")), 0);
	assert_int_equal(mkdir(p->store, 0755), 0);
	assert_int_equal(chown(p->store, 12345, 0), 0);
	refused(p, -EPERM, "belongs to user 12345");
	assert_int_equal(mode_of(p->store), 0755);
}

/* ---- what was put into it ---- */

/* `name` leads to the precious file. */
static void plant(struct scene *p, const char *name)
{
	unlink(in(p, name));
	assert_int_equal(symlink(p->precious, in(p, name)), 0);
}

static bool is_link(struct scene *p, const char *name)
{
	struct stat st;

	return lstat(in(p, name), &st) == 0 && S_ISLNK(st.st_mode);
}

static void the_store_is_a_link(void **state)
{
	struct scene *p = *state;

	make_store(p);
	assert_int_equal(rename(p->store, beside(p, "real")), 0);
	assert_int_equal(symlink("real", p->store), 0);
	refused(p, -ELOOP, "is a symbolic link");
	/* One before the last name is as good as any path. */
	assert_int_equal(unlink(p->store), 0);
	assert_int_equal(symlink(".", beside(p, "way")), 0);
	snprintf(p->store, sizeof(p->store), "%s/way/real", p->base);
	open_store(p);
	assert_int_equal(p->f.replayed, 4);
}

static void links_to_small_files(void **state)
{
	struct scene *p = *state;

	make_store(p);
	plant(p, "lock");
	refused(p, -ELOOP, "/lock: it is a symbolic link");
	unlink(in(p, "lock"));

	assert_int_equal(rename(in(p, "format"), beside(p, "format")), 0);
	plant(p, "format");
	checked(p, "format: it is a symbolic link");
	plant(p, "format.tmp"); /* what is in format's place is replaced, by way of this */
	open_store(p);
	assert_int_equal(fixture_usage(&p->f).damaged_lines, 1);
	assert_int_equal(fixture_close(&p->f), 0);
	assert_int_equal(mode_of(in(p, "format")), 0600);
	assert_false(is_link(p, "format"));

	plant(p, "synced");
	checked(p, "synced: it is a symbolic link");
	open_store(p);
	assert_int_equal(p->f.replayed, 4);
	assert_int_equal(fixture_usage(&p->f).damaged_lines, 1);
	assert_int_equal(fixture_put(&p->f, 4, "e"), 0);
	assert_int_equal(fixture_sync(&p->f), 0);
	assert_int_equal(fixture_close(&p->f), 0);
	assert_true(is_link(p, "synced"));
	untouched(p);
}

/* A log or a snapshot that is a link: damage, and what it had is missing. */
static void links_to_segments(void **state)
{
	struct scene *p = *state;

	make_store(p);
	assert_int_equal(rename(in(p, LOG), beside(p, "log")), 0);
	plant(p, LOG);
	checked(p, LOG ": it is a symbolic link");
	open_store(p);
	assert_int_equal(p->f.replayed, 2);
	assert_true(fixture_usage(&p->f).damaged_lines >= 1);
	assert_int_equal(fixture_put(&p->f, 4, "e"), 0);
	assert_int_equal(fixture_sync(&p->f), 0);
	{
		struct backend_log *log;

		/* Readers of the log get what there is. */
		assert_int_equal(p->f.b->ops->log_open(p->f.b, &log), 0);
		p->f.b->ops->log_close(log);
	}
	/* A compaction is the remedy: it does without. */
	assert_int_equal(fixture_compact(&p->f, NULL), 0);
	assert_int_equal(fixture_close(&p->f), 0);
	assert_false(is_link(p, LOG));
	clean(p);
	untouched(p);
}

static void links_to_snapshots(void **state)
{
	struct scene *p = *state;

	make_store(p);
	assert_int_equal(unlink(in(p, SNAPSHOT)), 0);
	plant(p, SNAPSHOT);
	checked(p, SNAPSHOT ": it is a symbolic link");
	open_store(p);
	assert_int_equal(p->f.replayed, 2);
	assert_true(fixture_usage(&p->f).damaged_lines >= 1);
	assert_int_equal(fixture_close(&p->f), 0);
	untouched(p);
}

/* What is in the way of a file that is about to be made gives way to it. */
static void links_in_the_way(void **state)
{
	struct scene *p = *state;

	make_store(p);
	open_store(p);
	plant(p, "00000000000000000005.log");
	plant(p, "00000000000000000004.snap.tmp");
	plant(p, "00000000000000000004.snap");
	assert_int_equal(fixture_compact(&p->f, NULL), 0);
	assert_int_equal(fixture_put(&p->f, 4, "e"), 0);
	assert_int_equal(fixture_close(&p->f), 0);
	assert_false(is_link(p, "00000000000000000005.log"));
	assert_false(is_link(p, "00000000000000000004.snap"));
	untouched(p);
	clean(p);
	/* One of a compaction that never was is removed. */
	plant(p, "00000000000000000009.snap.tmp");
	open_store(p);
	assert_int_equal(fixture_close(&p->f), 0);
	assert_false(is_link(p, "00000000000000000009.snap.tmp"));
	untouched(p);
}

/* damaged/ leads to a directory outside. */
static void link_to_damage(void **state)
{
	struct scene *p = *state;
	const char *outside = beside(p, "outside");
	_cleanup_fd_ int fd = -1;

	make_store(p);
	assert_int_equal(mkdir(outside, 0700), 0);
	assert_int_equal(symlink("../outside", in(p, "damaged")), 0);
	fd = open(in(p, LOG), O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "half a line", 11), 11);
	refused(p, -ENOTDIR, "damaged: it is no directory");
	assert_int_equal(rmdir(beside(p, "outside")), 0); /* it is empty */
}

/* A fifo would be waited at for ever. */
static void other_kinds(void **state)
{
	struct scene *p = *state;

	make_store(p);
	unlink(in(p, LOG));
	assert_int_equal(mkfifo(in(p, LOG), 0600), 0);
	checked(p, LOG ": it is a fifo");
	open_store(p);
	assert_int_equal(p->f.replayed, 2);
	assert_true(fixture_usage(&p->f).damaged_lines >= 1);
	assert_int_equal(fixture_close(&p->f), 0);

	unlink(in(p, LOG));
	assert_int_equal(mkdir(in(p, LOG), 0700), 0);
	checked(p, LOG ": it is a directory");
	open_store(p);
	assert_int_equal(p->f.replayed, 2);
	assert_true(fixture_usage(&p->f).damaged_lines >= 1);
	assert_int_equal(fixture_close(&p->f), 0);

	unlink(in(p, "lock"));
	assert_int_equal(mkfifo(in(p, "lock"), 0600), 0);
	refused(p, -ENXIO, "/lock: it is a fifo");
}

/* A directory does not give way: an EIO that stays. */
static void directory_in_the_way(void **state)
{
	struct scene *p = *state;

	make_store(p);
	unlink(in(p, LOG));
	unlink(in(p, "synced"));
	open_store(p);
	assert_int_equal(p->f.revision, 2);
	assert_int_equal(mkdir(in(p, LOG), 0700), 0);
	assert_int_equal(fixture_put(&p->f, 4, "e"), -EIO);
	assert_int_equal(rmdir(in(p, LOG)), 0);
	assert_int_equal(fixture_put(&p->f, 4, "e"), -EROFS);
}

/* ---- held by descriptor ---- */

static void moved_away(void **state)
{
	struct scene *p = *state;
	struct stat st;
	char *error;

	make_store(p);
	open_store(p);
	assert_int_equal(rename(p->store, beside(p, "moved")), 0);
	assert_int_equal(mkdir(p->store, 0700), 0);
	assert_int_equal(fixture_put(&p->f, 4, "e"), 0);
	assert_int_equal(fixture_sync(&p->f), 0);
	assert_int_equal(fixture_compact(&p->f, NULL), 0);
	assert_int_equal(fixture_put(&p->f, 5, "f"), 0);
	assert_int_equal(fixture_close(&p->f), 0);
	assert_int_equal(rmdir(p->store), 0); /* nothing was put there */
	assert_int_equal(lstat(beside(p, "moved/00000000000000000005.snap"), &st), 0);
	snprintf(p->store, sizeof(p->store), "%s/moved", p->base);
	assert_int_equal(try_open(p, false, &error), 0);
	assert_int_equal(p->f.revision, 6);
}

static int count_names(void *arg, const char *name)
{
	(void)name;
	++*(unsigned *)arg;
	return 0;
}

/* The paths that it takes, and those that it does not. */
static void paths(void **state)
{
	struct scene *p = *state;
	struct disk_directory *held;
	struct disk *d;
	unsigned n = 0;
	int fd;

	assert_int_equal(disk_directory_open(&held, p->store, false), -ENOENT);
	assert_int_equal(disk_directory_open(&held, p->precious, true), -ENOTDIR);
	assert_int_equal(disk_directory_open(&held, in(p, "no/store"), true), -ENOENT);
	assert_int_equal(disk_directory_open(&held, p->store, true), 0);
	d = disk_directory_disk(held);
	fd = d->ops->open(d, in(p, "a"), O_RDWR | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	d->ops->close(d, fd);
	assert_int_equal(d->ops->mkdir(d, in(p, "sub"), 0700), 0);
	assert_int_equal(d->ops->mkdir(d, in(p, "sub"), 0700), 0);
	assert_int_equal(d->ops->mkdir(d, in(p, "a"), 0700), -ENOTDIR);
	assert_int_equal(d->ops->rename(d, in(p, "a"), in(p, "sub/b")), 0);
	assert_int_equal(d->ops->open(d, in(p, "a"), O_RDONLY, 0), -ENOENT);
	assert_int_equal(d->ops->open(d, in(p, "sub"), O_RDONLY, 0), -EISDIR);
	assert_int_equal(d->ops->open(d, p->store, O_RDONLY, 0), -EISDIR);
	assert_int_equal(d->ops->sync_directory(d, p->store), 0);
	assert_int_equal(d->ops->sync_directory(d, in(p, "sub")), 0);
	assert_int_equal(d->ops->sync_directory(d, p->base), 0);
	assert_int_equal(d->ops->list(d, p->store, count_names, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(d->ops->unlink(d, in(p, "sub/b")), 0);

	assert_int_equal(d->ops->open(d, p->precious, O_RDONLY, 0), -EXDEV);
	assert_int_equal(d->ops->open(d, in(p, "sub/x/y"), O_RDONLY, 0), -EXDEV);
	assert_int_equal(d->ops->open(d, "store", O_RDONLY, 0), -EXDEV);
	assert_int_equal(d->ops->unlink(d, p->precious), -EXDEV);
	assert_int_equal(d->ops->rename(d, p->precious, in(p, "x")), -EXDEV);
	assert_int_equal(d->ops->mkdir(d, in(p, "sub/x"), 0700), -EXDEV);
	assert_int_equal(d->ops->sync_directory(d, "/"), -EXDEV);
	assert_int_equal(d->ops->list(d, p->base, count_names, &n), 0); /* the one above */
	assert_int_equal(d->ops->list(d, "/usr", count_names, &n), -EXDEV);
	{
		/* Its name goes on after the directory's, and is another. */
		char other[128];

		snprintf(other, sizeof(other), "%s2/a", p->store);
		assert_int_equal(d->ops->open(d, other, O_RDONLY, 0), -EXDEV);
	}
	untouched(p);
	disk_directory_close(held);
	disk_directory_close(NULL);
}

/* Of the root, too; nothing is written there. */
static void the_root(void **state)
{
	struct disk_directory *held;
	struct disk *d;
	unsigned n = 0;

	(void)state;
	assert_int_equal(disk_directory_open(&held, "/", false), 0);
	d = disk_directory_disk(held);
	assert_int_equal(d->ops->list(d, "/", count_names, &n), 0);
	assert_true(n > 0);
	assert_int_equal(d->ops->open(d, "/usr", O_RDONLY, 0), -EISDIR);
	disk_directory_close(held);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(modes),
		CASE(modes_of_damage),
		CASE(made_ours),
		CASE(writable_by_others),
		CASE(somebody_elses),
		CASE(the_store_is_a_link),
		CASE(links_to_small_files),
		CASE(links_to_segments),
		CASE(links_to_snapshots),
		CASE(links_in_the_way),
		CASE(link_to_damage),
		CASE(other_kinds),
		CASE(directory_in_the_way),
		CASE(moved_away),
		CASE(paths),
		CASE(the_root),
	};

	log_init("test_disk_directory", LOG_EMERG);
	return cmocka_run_group_tests_name("disk_directory", tests, NULL, NULL);
}
