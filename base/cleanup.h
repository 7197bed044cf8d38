/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Cleanup attributes: a resource is released when its variable goes out of
 * scope, on every path. `steal` hands it to somebody else. */
#pragma once

#include "base/bytes.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_fd(int *fd)
{
	if (*fd >= 0) {
		close(*fd);
	}
}

static inline void cleanup_file(FILE **f)
{
	if (*f) {
		fclose(*f);
	}
}

static inline void cleanup_dir(DIR **d)
{
	if (*d) {
		closedir(*d);
	}
}

static inline void cleanup_unlock(pthread_mutex_t **m)
{
	if (*m) {
		pthread_mutex_unlock(*m);
	}
}

#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))
#define _cleanup_fd_ __attribute__((cleanup(cleanup_fd)))
#define _cleanup_file_ __attribute__((cleanup(cleanup_file)))
#define _cleanup_dir_ __attribute__((cleanup(cleanup_dir)))
#define _cleanup_buffer_ __attribute__((cleanup(buffer_finish)))
#define _cleanup_unlock_ __attribute__((cleanup(cleanup_unlock)))

#define steal_pointer(p)                                                                           \
	({                                                                                         \
		__typeof__(*(p)) stolen_ = *(p);                                                   \
		*(p) = NULL;                                                                       \
		stolen_;                                                                           \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#define container_of(pointer, type, member)                                                        \
	((type *)((char *)(pointer) - offsetof(type, member)))
