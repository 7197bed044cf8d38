/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Messages with a descriptor, between two processes (unix(7), SCM_RIGHTS). */
#pragma once

#include <stddef.h>

/* Sends `size` bytes, and the descriptor unless it is negative. 0 or a negative errno. */
int passing_send(int socket, const void *data, size_t size, int fd);

/* Receives just `size` bytes, and *fd, or -1 if there was none. 0 or a negative errno;
 * -EPIPE: the other end is closed, -EPROTO: that was something else. */
int passing_receive(int socket, void *data, size_t size, int *fd);
