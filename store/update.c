/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/update.h"

#include "base/cleanup.h"
#include "store/json.h"
#include "store/store.h"
#include "store/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <math.h>

/* --- integers ---------------------------------------------------------------- */

static struct bytes without_space(struct bytes text)
{
	while (text.size > 0 && isspace((unsigned char)text.data[text.size - 1])) {
		text.size--;
	}
	while (text.size > 0 && isspace((unsigned char)text.data[0])) {
		text = bytes_of(text.data + 1, text.size - 1);
	}
	return text;
}

static int parse_integer(struct bytes text, int64_t *out)
{
	int64_t n = 0;
	bool negative;
	size_t i = 0;

	text = without_space(text);
	if (text.size == 0) {
		return STORE_INVALID;
	}
	negative = text.data[i] == '-';
	i += negative || text.data[i] == '+';
	if (i == text.size) {
		return STORE_INVALID;
	}
	for (; i < text.size; i++) {
		int digit = text.data[i] - '0';

		if (digit < 0 || digit > 9) {
			return STORE_INVALID;
		}
		if (__builtin_mul_overflow(n, INT64_C(10), &n) ||
			__builtin_sub_overflow(n, (int64_t)digit, &n)) {
			return STORE_OUT_OF_RANGE;
		}
	}
	if (!negative && n == INT64_MIN) {
		return STORE_OUT_OF_RANGE;
	}
	*out = negative ? n : -n;
	return 0;
}

static bool ends_in_newline(struct bytes b)
{
	return b.size > 0 && b.data[b.size - 1] == '\n';
}

int update_increment(struct bytes old, struct bytes by, struct buffer *out)
{
	int64_t n = 0, delta;
	int rc = without_space(old).size > 0 ? parse_integer(old, &n) : 0;

	rc = rc ? rc : parse_integer(by, &delta);
	if (rc) {
		return rc;
	}
	if (__builtin_add_overflow(n, delta, &n)) {
		return STORE_OUT_OF_RANGE;
	}
	return buffer_printf(out, "%" PRId64 "%s", n, ends_in_newline(old) ? "\n" : "");
}

/* --- JSON ----------------------------------------------------------------------- */

static void put_json(struct json_object **o)
{
	json_object_put(*o);
}

#define _cleanup_json_ __attribute__((cleanup(put_json)))

/* The whole text, and nothing after it. */
static int parse_json(struct bytes text, struct json_object **out)
{
	int rc;

	/* JSON_TOKENER_VALIDATE_UTF8 lets pass what is past U+10FFFF. */
	if (!text_is_utf8(text)) {
		return STORE_INVALID;
	}
	rc = json_parse(text, out);
	return rc == -EINVAL ? STORE_INVALID : rc;
}

/* The slot that a path leads to: the root, a field of an object, an item of an
 * array. `parent` is borrowed. */
struct slot {
	struct json_object **root; /* if parent is NULL */
	struct json_object *parent;
	const char *field;
	size_t index; /* if parent is an array */
};

static struct json_object *slot_get(const struct slot *s)
{
	if (!s->parent) {
		return *s->root;
	}
	if (json_object_is_type(s->parent, json_type_array)) {
		return json_object_array_get_idx(s->parent, s->index);
	}
	return json_object_object_get(s->parent, s->field);
}

/* Takes over the reference to `value`. */
static int slot_set(const struct slot *s, struct json_object *value)
{
	int rc;

	if (!s->parent) {
		json_object_put(*s->root);
		*s->root = value;
		return 0;
	}
	if (json_object_is_type(s->parent, json_type_array)) {
		rc = json_object_array_put_idx(s->parent, s->index, value);
	} else {
		rc = json_object_object_add(s->parent, s->field, value);
	}
	if (rc) {
		json_object_put(value);
		return -ENOMEM;
	}
	return 0;
}

static bool slot_exists(const struct slot *s)
{
	if (!s->parent) {
		return true;
	}
	if (json_object_is_type(s->parent, json_type_array)) {
		return s->index < json_object_array_length(s->parent);
	}
	return json_object_object_get_ex(s->parent, s->field, NULL);
}

/* One step from an object or array to what is in it. */
static int step(struct json_object *parent, struct json_object *name, struct slot *out)
{
	int64_t index;
	struct bytes text;

	*out = (struct slot){.parent = parent};
	if (json_object_is_type(parent, json_type_array)) {
		text = bytes_of_string(json_object_get_string(name));
		if (parse_integer(text, &index) || index < 0 ||
			(uint64_t)index >= json_object_array_length(parent)) {
			return STORE_INVALID;
		}
		out->index = (size_t)index;
		return 0;
	}
	if (!json_object_is_type(parent, json_type_object) ||
		!json_object_is_type(name, json_type_string)) {
		return STORE_INVALID;
	}
	out->field = json_object_get_string(name);
	return 0;
}

/* Follows a path. With `make`, objects that are missing on the way are made;
 * without, *found says whether there was a way. */
static int follow(struct json_object **root, struct json_object *path, bool make,
	struct slot *out, bool *found)
{
	size_t n = json_object_is_type(path, json_type_array) ? json_object_array_length(path) : 1;
	int rc;

	*out = (struct slot){.root = root};
	*found = true;
	if (!path || (json_object_is_type(path, json_type_array) && n == 0)) {
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct json_object *name = json_object_is_type(path, json_type_array) ?
			json_object_array_get_idx(path, i) : path;
		struct json_object *here = slot_get(out);

		if (!json_object_is_type(name, json_type_string) &&
			!json_object_is_type(name, json_type_int)) {
			return STORE_INVALID;
		}
		if (!here && make && (out->parent ? !slot_exists(out) : false)) {
			here = json_object_new_object();
			if (!here) {
				return -ENOMEM;
			}
			rc = slot_set(out, here);
			if (rc) {
				return rc;
			}
		} else if (!here && !make) {
			*found = false;
			return 0;
		}
		rc = step(here, name, out);
		if (rc) {
			return rc;
		}
	}
	*found = slot_exists(out);
	return 0;
}

static int copy(struct json_object *value, struct json_object **out)
{
	*out = NULL;
	if (value && json_object_deep_copy(value, out, NULL)) {
		return -ENOMEM;
	}
	return 0;
}

static int op_set(const struct slot *s, struct json_object *value)
{
	struct json_object *fresh;

	return copy(value, &fresh) ? -ENOMEM : slot_set(s, fresh);
}

/* RFC 7396, for the object `into`. */
static int merge(struct json_object *into, struct json_object *patch)
{
	json_object_object_foreach(patch, field, value)
	{
		struct json_object *old = json_object_object_get(into, field);
		struct slot s = {.parent = into, .field = field};
		int rc;

		if (!value) {
			json_object_object_del(into, field);
			continue;
		}
		if (!json_object_is_type(value, json_type_object)) {
			rc = op_set(&s, value);
		} else {
			if (!json_object_is_type(old, json_type_object)) {
				old = json_object_new_object();
				rc = old ? slot_set(&s, old) : -ENOMEM;
				if (rc) {
					return rc;
				}
			}
			rc = merge(old, value);
		}
		if (rc) {
			return rc;
		}
	}
	return 0;
}

static int op_merge(const struct slot *s, struct json_object *value)
{
	struct json_object *there = slot_get(s);
	int rc;

	if (!json_object_is_type(value, json_type_object) ||
		(slot_exists(s) && !json_object_is_type(there, json_type_object))) {
		return STORE_INVALID;
	}
	if (!there) {
		there = json_object_new_object();
		rc = there ? slot_set(s, there) : -ENOMEM;
		if (rc) {
			return rc;
		}
	}
	return merge(there, value);
}

static int op_append(const struct slot *s, struct json_object *value)
{
	struct json_object *there = slot_get(s), *fresh;
	int rc;

	if (slot_exists(s) && !json_object_is_type(there, json_type_array)) {
		return STORE_INVALID;
	}
	if (!there) {
		there = json_object_new_array();
		rc = there ? slot_set(s, there) : -ENOMEM;
		if (rc) {
			return rc;
		}
	}
	rc = copy(value, &fresh);
	if (rc == 0 && json_object_array_add(there, fresh)) {
		json_object_put(fresh);
		rc = -ENOMEM;
	}
	return rc;
}

/* Integers of json-c that int64_t holds. */
static bool integer_of(struct json_object *o, int64_t *out)
{
	if (!json_object_is_type(o, json_type_int) ||
		(json_object_get_int64(o) == INT64_MAX &&
			json_object_get_uint64(o) > (uint64_t)INT64_MAX)) {
		return false;
	}
	*out = json_object_get_int64(o);
	return true;
}

static int op_add(const struct slot *s, struct json_object *by, int sign)
{
	struct json_object *there = slot_get(s), *fresh;
	int64_t a = 0, b = 1;
	double sum;

	if ((slot_exists(s) && !json_object_is_type(there, json_type_int) &&
		    !json_object_is_type(there, json_type_double)) ||
		(by && !json_object_is_type(by, json_type_int) &&
			!json_object_is_type(by, json_type_double))) {
		return STORE_INVALID;
	}
	if ((!there || json_object_is_type(there, json_type_int)) &&
		(!by || json_object_is_type(by, json_type_int))) {
		if ((there && !integer_of(there, &a)) || (by && !integer_of(by, &b)) ||
			(sign < 0 ? __builtin_sub_overflow(a, b, &a) :
				    __builtin_add_overflow(a, b, &a))) {
			return STORE_OUT_OF_RANGE;
		}
		fresh = json_object_new_int64(a);
	} else {
		sum = (there ? json_object_get_double(there) : 0) +
			sign * (by ? json_object_get_double(by) : 1);
		if (!isfinite(sum)) {
			return STORE_OUT_OF_RANGE;
		}
		fresh = json_object_new_double(sum);
	}
	return fresh ? slot_set(s, fresh) : -ENOMEM;
}

static int op_remove(const struct slot *s)
{
	if (!s->parent) {
		return slot_set(s, NULL);
	}
	if (json_object_is_type(s->parent, json_type_array)) {
		return json_object_array_del_idx(s->parent, s->index, 1) ? STORE_INVALID : 0;
	}
	json_object_object_del(s->parent, s->field);
	return 0;
}

static int apply_one(struct json_object **root, struct json_object *op)
{
	struct json_object *type_object, *path = NULL, *value = NULL, *by = NULL;
	bool has_value, found;
	struct slot slot;
	const char *type;
	int rc;

	if (!json_object_is_type(op, json_type_object) ||
		!json_object_object_get_ex(op, "type", &type_object) ||
		!json_object_is_type(type_object, json_type_string)) {
		return STORE_INVALID;
	}
	type = json_object_get_string(type_object);
	/* A path that is there but null is none that names anything. */
	if (json_object_object_get_ex(op, "path", &path) && !path) {
		return STORE_INVALID;
	}
	has_value = json_object_object_get_ex(op, "value", &value);
	json_object_object_get_ex(op, "by", &by);
	rc = follow(root, path, strcmp(type, "remove") != 0, &slot, &found);
	if (rc) {
		return rc;
	}
	if (strcmp(type, "increment") == 0) {
		return op_add(&slot, by, 1);
	}
	if (strcmp(type, "decrement") == 0) {
		return op_add(&slot, by, -1);
	}
	if (strcmp(type, "remove") == 0) {
		return found ? op_remove(&slot) : 0;
	}
	if (!has_value) {
		return STORE_INVALID;
	}
	if (strcmp(type, "set") == 0) {
		return op_set(&slot, value);
	}
	if (strcmp(type, "merge") == 0) {
		return op_merge(&slot, value);
	}
	if (strcmp(type, "append") == 0) {
		return op_append(&slot, value);
	}
	return STORE_INVALID;
}

int update_apply(struct bytes old, struct bytes operations, struct buffer *out)
{
	_cleanup_json_ struct json_object *root = NULL, *ops = NULL;
	struct bytes text;
	int rc;

	if (old.size == 0) {
		root = json_object_new_object();
		rc = root ? 0 : -ENOMEM;
	} else {
		rc = parse_json(bytes_of(old.data, old.size - ends_in_newline(old)), &root);
	}
	rc = rc ? rc : parse_json(operations, &ops);
	if (rc) {
		return rc;
	}
	if (!json_object_is_type(ops, json_type_array)) {
		return STORE_INVALID;
	}
	for (size_t i = 0; i < json_object_array_length(ops); i++) {
		rc = apply_one(&root, json_object_array_get_idx(ops, i));
		if (rc) {
			return rc;
		}
	}
	rc = json_write(root, &text);
	rc = rc ? rc : buffer_append(out, text.data, text.size);
	return rc || !ends_in_newline(old) ? rc : buffer_append(out, "\n", 1);
}
