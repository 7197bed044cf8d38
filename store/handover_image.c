/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/handover_image.h"

int image_put_bytes(struct buffer *out, struct bytes b)
{
	uint32_t size = (uint32_t)b.size;
	int rc = buffer_append(out, &size, sizeof(size));

	return rc ? rc : buffer_append(out, b.data, b.size);
}

bool image_get(struct bytes *in, void *out, size_t size)
{
	if (in->size < size) {
		return false;
	}
	memcpy(out, in->data, size);
	*in = bytes_of(in->data + size, in->size - size);
	return true;
}

bool image_get_bytes(struct bytes *in, struct bytes *out)
{
	uint32_t size;

	if (!image_get(in, &size, sizeof(size)) || in->size < size) {
		return false;
	}
	*out = bytes_of(in->data, size);
	*in = bytes_of(in->data + size, in->size - size);
	return true;
}

int image_put_xattrs(struct buffer *out, const struct xattr *list)
{
	uint32_t n = 0;
	int rc;

	for (const struct xattr *x = list; x; x = x->next) {
		n++;
	}
	rc = buffer_append(out, &n, sizeof(n));
	for (const struct xattr *x = list; x && rc == 0; x = x->next) {
		rc = image_put_bytes(out, xattr_name(x));
		rc = rc ? rc : image_put_bytes(out, xattr_value(x));
	}
	return rc;
}

bool image_get_xattrs(struct bytes *in, struct xattr **list)
{
	uint32_t n;

	if (!image_get(in, &n, sizeof(n))) {
		return false;
	}
	while (n-- > 0) {
		struct bytes name, value;

		if (!image_get_bytes(in, &name) || !image_get_bytes(in, &value)) {
			return false;
		}
		*list = xattr_create(name, value);
		if (!*list) {
			return false;
		}
		list = &(*list)->next;
	}
	return true;
}

size_t image_xattrs_size(const struct xattr *list)
{
	size_t size = 0;

	for (const struct xattr *x = list; x; x = x->next) {
		size += xattr_size(xattr_name(x), xattr_value(x));
	}
	return size;
}

int image_put_text(struct buffer *out, const char *text)
{
	return image_put_bytes(out, text ? bytes_of(text, strlen(text) + 1) : bytes_of(NULL, 0));
}

bool image_get_text(struct bytes *in, char **out)
{
	struct bytes b;

	if (!image_get_bytes(in, &b)) {
		return false;
	}
	*out = b.size ? strndup(b.data, b.size) : NULL;
	return b.size == 0 || *out;
}
