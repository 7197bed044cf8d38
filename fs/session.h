/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A worker's connection to the kernel: a libfuse session on a /dev/fuse that is mounted
 * already, by the supervisor. If there was a worker before, the connection is
 * taken over as that has left it. */
#pragma once

#include "fs/options.h"

#include <stdbool.h>
#include <stdint.h>

struct frontend;
struct fuse_session;
struct session;

/* Makes the session on the descriptor, which is its own from here on, success or not;
 * `fe` is what its operations work on. 0 or a negative errno; the reason has been
 * logged. */
int session_create(struct session **out, const struct options *o, int fd, struct frontend *fe);

/* Closes the connection. NULL is fine. */
void session_destroy(struct session *s);

/* For the loop. Borrowed. */
struct fuse_session *session_fuse(struct session *s);

/* Answers the next request. How many that were (0 or 1), or a negative errno: -EAGAIN if
 * there is none now, -ENODEV if the mount is no more. */
int session_serve(struct session *s);

/* Whether the kernel's INIT has been answered: calls get through now. */
bool session_ready(const struct session *s);

/* The request that is being answered, as a number that it still has when it is sent once
 * more to another worker; 0: none. */
uint64_t session_request(const struct session *s);

/* Whether it was sent to another worker before us, which has not answered it. */
bool session_is_resent(const struct session *s);

/* How many this worker has got so far; 0 for NULL. */
uint64_t session_count(const struct session *s);

/* The kernel asks anew for the attributes of a node, and takes up no older answer. */
void session_forget_attributes(struct session *s, uint64_t ino);

/* Which file the request being answered wants a notice for, if it is a poll(2). */
uint64_t session_poll_handle(const struct session *s);

/* Wakes who polls the file that a worker before us was asked that of. */
void session_wake_poll(struct session *s, uint64_t poll_handle);
