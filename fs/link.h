/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* What the supervisor and its worker say to one another, over a pair of sockets; and what the
 * worker finds open when it begins. */
#pragma once

/* Of the worker. */
#define LINK_FD 3
#define LINK_KEEP_FD 4

enum link_message {
	/* From the worker. */
	LINK_OPENED = 'o', /* the store is open: I want the mount */
	LINK_READY = 'r',  /* the mount answers */
	LINK_ENDED = 'e',  /* and with which status, a byte; the mount is not needed any more */
	/* From the supervisor. */
	LINK_MOUNTED = 'm', /* with /dev/fuse; then comes */
	LINK_VIEW = 'v',    /* a private view of the mount, or why there is none, an errno */
	LINK_FAILED = 'f',  /* there will be no mount; the reason has been logged */
	LINK_END = 't',	    /* the mount has been taken away */
	LINK_HAND_OVER = 'h',
	/* Either one is gone. */
	LINK_CLOSED = 0,
};

/* Sends a message with one byte more, and a descriptor unless that is -1. 0 or a negative errno. */
int link_send(int socket, enum link_message message, unsigned char byte, int fd);

/* Waits for one; *fd: -1 if none has come with it. *byte and *fd may be NULL. */
enum link_message link_receive(int socket, unsigned char *byte, int *fd);
