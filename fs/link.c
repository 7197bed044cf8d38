/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "fs/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int link_send(int socket, enum link_message message, unsigned char byte, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	unsigned char bytes[2] = {(unsigned char)message, byte};
	struct iovec data = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (fd >= 0) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&m);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

enum link_message link_receive(int socket, unsigned char *byte, int *fd)
{
	char control[CMSG_SPACE(sizeof(int))];
	unsigned char bytes[2] = {LINK_CLOSED};
	struct iovec data = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	int received = -1;
	ssize_t n;

	do {
		n = recvmsg(socket, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		return LINK_CLOSED;
	}
	header = CMSG_FIRSTHDR(&m);
	if (header && header->cmsg_type == SCM_RIGHTS) {
		memcpy(&received, CMSG_DATA(header), sizeof(received));
	}
	if (byte) {
		*byte = bytes[1];
	}
	if (fd) {
		*fd = received;
	} else if (received >= 0) {
		close(received);
	}
	return bytes[0];
}
