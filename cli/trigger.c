/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A command gets its event as a file in memory: one that does not read it, or
 * ends early, blocks nobody and raises no SIGPIPE. What the environment cannot
 * hold (a NUL, or more than the kernel takes for one string) is only there. */

#include "cli/trigger.h"

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/json.h"
#include "store/text.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Linux takes 128 KiB for one string, name and NUL included, and all together
 * must stay below a quarter of the stack's limit. */
#define VARIABLE_MAX (64 * 1024)

static const struct {
	const char *variable, *member;
} variables[] = {
	{"CUBBY_EVENT_TYPE", "event_type"},
	{"CUBBY_SCOPE", "scope"},
	{"CUBBY_KEY", "key"},
	{"CUBBY_REVISION", "revision"},
	{"CUBBY_OLD_VALUE", "old_value"},
	{"CUBBY_NEW_VALUE", "new_value"},
	{"CUBBY_AT", "at"},
	{"CUBBY_BY", "by"},
	{"CUBBY_ACTION", "action"},
	{"CUBBY_NAMESPACE", "namespace"},
};

static void on_child(int number)
{
	(void)number; /* it only has to interrupt */
}

int trigger_init(struct trigger *t, const char *command, size_t jobs)
{
	struct sigaction action = {.sa_handler = on_child};
	sigset_t child;

	*t = (struct trigger){.command = command, .n_jobs = jobs};
	t->jobs = calloc(jobs, sizeof(*t->jobs));
	if (!t->jobs) {
		return -ENOMEM;
	}
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigaction(SIGCHLD, &action, NULL);
	sigprocmask(SIG_BLOCK, &child, &t->signals);
	sigdelset(&t->signals, SIGCHLD);
	return 0;
}

void trigger_finish(struct trigger *t)
{
	for (size_t i = 0; i < t->n_jobs && t->jobs; i++) {
		free(t->jobs[i].what);
	}
	free(t->jobs);
	*t = (struct trigger){0};
}

/* --- in the child --------------------------------------------------------- */

static void *allocate(void *arg, size_t size)
{
	(void)arg;
	return malloc(size ? size : 1); /* the child has no time to leak */
}

static void set_variable(const char *name, struct json_object *value)
{
	struct bytes text = {0};
	char *string;

	unsetenv(name);
	if (!value) {
		return;
	}
	if (text_from_json(value, allocate, NULL, &text)) {
		text = bytes_of_string(json_object_get_string(value));
	}
	if (text.size > VARIABLE_MAX || (text.size && memchr(text.data, '\0', text.size))) {
		return;
	}
	string = strndup(text.size ? text.data : "", text.size);
	if (string) {
		setenv(name, string, 1);
	}
}

/* The path of an event's key: in front of it the mount's, if there is one. */
static char *path_of(struct json_object *event, const char *point)
{
	_cleanup_buffer_ struct buffer path = {0};
	struct bytes part;
	int rc = point ? buffer_append_string(&path, strcmp(point, "/") == 0 ? "" : point) : 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		struct json_object *member =
			json_object_object_get(event, i == 0 ? "scope" : "key");

		if (text_from_json(member, allocate, NULL, &part) || part.size == 0) {
			continue;
		}
		if (point || path.size) {
			rc = buffer_append_string(&path, "/");
		}
		if (rc == 0) {
			rc = buffer_append(&path, part.data, part.size);
		}
	}
	if (rc || buffer_append(&path, "", 1)) {
		return NULL;
	}
	return steal_pointer(&path.data);
}

static _Noreturn void run(
	const struct trigger *t, struct json_object *event, const char *point, int input)
{
	char *path = path_of(event, point);

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		set_variable(
			variables[i].variable, json_object_object_get(event, variables[i].member));
	}
	setenv("CUBBY_MOUNT", point, 1);
	unsetenv("CUBBY_PATH");
	if (path) {
		setenv("CUBBY_PATH", path, 1);
	}
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, &t->signals, NULL);
	if (dup2(input, STDIN_FILENO) == STDIN_FILENO) {
		execl("/bin/sh", "sh", "-c", t->command, (char *)NULL);
	}
	perror("cubby watch: sh");
	_exit(127);
}

/* --- in the parent --------------------------------------------------------- */

static int make_input(struct bytes text)
{
	_cleanup_fd_ int fd = memfd_create("cubby-event", MFD_CLOEXEC);
	_cleanup_buffer_ struct buffer line = {0};

	if (fd < 0) {
		return -errno;
	}
	if (buffer_append(&line, text.data, text.size) || buffer_append_string(&line, "\n")) {
		return -ENOMEM;
	}
	for (size_t done = 0; done < line.size;) {
		ssize_t count = write(fd, line.data + done, line.size - done);

		if (count < 0) {
			return -errno;
		}
		done += (size_t)count;
	}
	if (lseek(fd, 0, SEEK_SET) < 0) {
		return -errno;
	}
	return steal_fd(&fd);
}

static struct trigger_job *free_slot(struct trigger *t)
{
	struct trigger_job *job = t->jobs;

	while (job->pid) {
		job++;
	}
	return job;
}

int trigger_start(
	struct trigger *t, struct json_object *event, struct bytes text, const char *point)
{
	_cleanup_fd_ int input = make_input(text);
	_cleanup_free_ char *what = path_of(event, NULL);
	struct trigger_job *job = free_slot(t);
	pid_t pid;

	if (input < 0) {
		return input;
	}
	if (!what) {
		return -ENOMEM;
	}
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		return -errno;
	}
	if (pid == 0) {
		run(t, event, point, input);
	}
	*job = (struct trigger_job){.pid = pid, .what = steal_pointer(&what)};
	t->n_running++;
	return 0;
}

static void note_end(struct trigger *t, struct trigger_job *job, int status)
{
	if (WIFSIGNALED(status)) {
		t->failure = 128 + WTERMSIG(status);
		command_fail(0, job->what, "the command was killed by signal %d", WTERMSIG(status));
	} else if (WEXITSTATUS(status)) {
		t->failure = WEXITSTATUS(status);
		command_fail(0, job->what, "the command exited with %d", WEXITSTATUS(status));
	}
	free(job->what);
	*job = (struct trigger_job){0};
	t->n_running--;
}

void trigger_reap(struct trigger *t)
{
	for (size_t i = 0; i < t->n_jobs && t->n_running; i++) {
		int status;

		if (t->jobs[i].pid && waitpid(t->jobs[i].pid, &status, WNOHANG) > 0) {
			note_end(t, &t->jobs[i], status);
		}
	}
}

void trigger_wait(struct trigger *t)
{
	for (;;) {
		trigger_reap(t);
		if (!t->n_running) {
			return;
		}
		sigsuspend(&t->signals);
	}
}
