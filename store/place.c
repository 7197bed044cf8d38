/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/place.h"

#include "store/store.h"

struct bytes place_name(const struct place *place)
{
	struct bytes path = place->path;
	const char *slash = path.size ? memrchr(path.data, '/', path.size) : NULL;

	if (!slash) {
		return path;
	}
	return bytes_of(slash + 1, path.size - (size_t)(slash + 1 - path.data));
}

struct bytes place_above(const struct place *place)
{
	struct bytes path = place->path;
	const char *slash = path.size ? memrchr(path.data, '/', path.size) : NULL;

	return bytes_of(path.data, slash ? (size_t)(slash - path.data) : 0);
}

bool place_name_is_possible(struct bytes name)
{
	return name.size > 0 && name.size <= STORE_NAME_MAX && !memchr(name.data, 0, name.size) &&
		!(name.size == 1 && name.data[0] == '.') &&
		!(name.size == 2 && name.data[0] == '.' && name.data[1] == '.');
}
