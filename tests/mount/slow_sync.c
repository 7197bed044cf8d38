/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* A slow disk, by LD_PRELOAD: fdatasync(2) tells that it has begun, in the file
 * CUBBY_TEST_BEGUN, and does not return while the file CUBBY_TEST_GATE is there. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd)
{
	const char *gate = getenv("CUBBY_TEST_GATE"), *begun = getenv("CUBBY_TEST_BEGUN");
	const struct timespec pause = {.tv_nsec = 5000000};
	int file;

	while (gate && begun && access(gate, F_OK) == 0) {
		file = open(begun, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (file >= 0) {
			close(file);
		}
		nanosleep(&pause, NULL);
	}
	return (int)syscall(SYS_fdatasync, fd);
}
