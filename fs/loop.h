/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The one loop: requests, the store's completions, its clock, and the supervisor. */
#pragma once

#include <stdbool.h>

struct announcer;
struct events;
struct holders;
struct session;
struct store;

enum loop_command {
	LOOP_GO_ON,
	LOOP_END,      /* the mount has been taken away */
	LOOP_HAND_OVER, /* to another worker */
};

struct loop {
	struct session *session; /* mounted; borrowed */
	struct store *store;     /* borrowed */
	struct announcer *announcer; /* borrowed */
	struct events *events;   /* borrowed */
	struct holders *holders; /* borrowed */
	/* Called once, when the mount answers. May be NULL. */
	void (*ready)(void *arg);
	/* Readable when the supervisor has something to say, which is asked for then. */
	int command_fd;
	enum loop_command (*command)(void *arg);
	void *arg;
};

enum loop_result {
	LOOP_ENDED,	  /* the mount has */
	LOOP_HANDED_OVER, /* at the supervisor's word; nothing that waits has been answered */
};

/* Runs until the mount is gone, or the supervisor says that it is to end: then event
 * streams end, and who still has files open gets a moment to close them. */
enum loop_result loop_run(const struct loop *l);
