/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The whole tree is collected before the first of it gets a signal: the children of one
 * that ends are elsewhere in it. What has been made in between is for the next
 * call, which is why SIGKILL is sent until nobody is left. */

#include "cli/offspring.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>

/* A tree that grows while it is walked must not be walked for ever. */
#define MAX_PROCESSES 65536

struct pids {
	pid_t *all;
	size_t n, capacity;
};

static bool contains(const struct pids *p, pid_t pid)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->all[i] == pid) {
			return true;
		}
	}
	return false;
}

static void add(struct pids *p, pid_t pid)
{
	if (p->n == p->capacity) {
		size_t grown = p->capacity ? 2 * p->capacity : 64;
		pid_t *all = grown > MAX_PROCESSES ? NULL : realloc(p->all, grown * sizeof(*all));

		if (!all) {
			return;
		}
		p->all = all;
		p->capacity = grown;
	}
	p->all[p->n++] = pid;
}

/* A process's children are listed by the thread that made them. */
static void add_children(struct pids *p, pid_t parent, pid_t except)
{
	char path[64];
	_cleanup_dir_ DIR *threads = NULL;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)parent);
	threads = opendir(path);
	while (threads && (entry = readdir(threads))) {
		_cleanup_file_ FILE *file = NULL;
		int pid;

		if (!isdigit((unsigned char)entry->d_name[0])) {
			continue;
		}
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children", (int)parent,
			entry->d_name);
		file = fopen(path, "re");
		while (file && fscanf(file, "%d", &pid) == 1) {
			if (pid != except && !contains(p, pid)) {
				add(p, pid);
			}
		}
	}
}

int offspring_signal(pid_t first, pid_t except, int signal)
{
	struct pids p = {0};
	int count;

	if (first > 0) {
		add(&p, first);
	}
	add_children(&p, getpid(), except);
	for (size_t i = 0; i < p.n; i++) {
		add_children(&p, p.all[i], except);
	}
	for (size_t i = 0; i < p.n; i++) {
		if (signal) {
			kill(p.all[i], signal);
			kill(p.all[i], SIGCONT);
		}
	}
	count = (int)p.n;
	free(p.all);
	return count;
}

void offspring_adopt(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}
