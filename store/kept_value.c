/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/kept_value.h"

#include "base/cleanup.h"
#include "base/keep.h"
#include "base/log.h"
#include "store/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is before the bytes in the keep. */
struct image {
	uint64_t ino, version;
};

int kept_values_init(struct kept_values *t, struct keep *keep)
{
	*t = (struct kept_values){.next_id = 1, .keep = keep};
	return table_init(&t->by_ino);
}

static void destroy(struct kept_values *t, struct kept_value *v)
{
	table_remove(&t->by_ino, &v->by_ino);
	value_unref(v->value);
	free(v);
}

void kept_values_settle(struct kept_values *t)
{
	for (size_t i = 0; i < t->by_ino.n_buckets; i++) {
		struct table_link *l = table_bucket(&t->by_ino, i), *next;

		for (; l; l = next) {
			struct kept_value *v = container_of(l, struct kept_value, by_ino);

			next = l->next;
			if (v->n_users == 0) {
				keep_drop(t->keep, KEEP_VALUE, v->id);
				destroy(t, v);
			}
		}
	}
}

void kept_values_finish(struct kept_values *t)
{
	table_finish(&t->by_ino);
}

static struct kept_value *add(struct kept_values *t, uint64_t id, const struct image *image,
	struct value *value)
{
	struct kept_value *v = value ? calloc(1, sizeof(*v)) : NULL;

	if (v) {
		v->id = id;
		v->ino = image->ino;
		v->version = image->version;
		v->value = value_ref(value);
		table_insert(&t->by_ino, &v->by_ino, hash_number(v->ino));
	}
	return v;
}

static struct kept_value *next_of(struct table_link *l, uint64_t ino)
{
	for (; l; l = table_next(l)) {
		struct kept_value *v = container_of(l, struct kept_value, by_ino);

		if (v->ino == ino) {
			return v;
		}
	}
	return NULL;
}

static struct kept_value *first_of(const struct kept_values *t, uint64_t ino)
{
	return next_of(table_first(&t->by_ino, hash_number(ino)), ino);
}

struct kept_value *kept_value_of(struct kept_values *t, const struct node *n)
{
	const struct image image = {n->ino, n->version};
	struct bytes bytes = value_bytes(node_value(n));
	struct kept_value *v = first_of(t, n->ino);

	while (v && v->value != node_value(n)) {
		v = next_of(table_next(&v->by_ino), n->ino);
	}
	if (v || bytes.size == 0) {
		return v;
	}
	v = add(t, t->next_id, &image, node_value(n));
	if (!v) {
		log_error("out of memory: what is read would not survive this process");
		return NULL;
	}
	t->next_id++;
	keep_put(t->keep, KEEP_VALUE, v->id, bytes_of(&image, sizeof(image)));
	keep_write(t->keep, KEEP_VALUE, v->id, sizeof(image), bytes);
	return v;
}

void kept_value_use(struct kept_values *t, struct kept_value **user, struct kept_value *v)
{
	struct kept_value *old = *user;

	if (v) {
		v->n_users++;
	}
	*user = v;
	if (old && --old->n_users == 0) {
		keep_drop(t->keep, KEEP_VALUE, old->id);
		destroy(t, old);
	}
}

/* --- taking over ---------------------------------------------------------------- */

struct restoration {
	struct kept_values *table;
	int rc;
};

static void restore(void *arg, uint64_t id, struct bytes b)
{
	struct restoration *r = arg;
	struct kept_values *t = r->table;
	struct value *value;
	struct image image;

	if (b.size <= sizeof(image)) {
		return;
	}
	memcpy(&image, b.data, sizeof(image));
	value = value_create(bytes_of(b.data + sizeof(image), b.size - sizeof(image)));
	if (!add(t, id, &image, value)) {
		r->rc = -ENOMEM;
	}
	value_unref(value);
	t->next_id = id >= t->next_id ? id + 1 : t->next_id;
}

int kept_values_restore(struct kept_values *t)
{
	struct restoration r = {.table = t};

	keep_each(t->keep, KEEP_VALUE, restore, &r);
	return r.rc;
}

struct kept_value *kept_value_find(struct kept_values *t, uint64_t id, uint64_t ino, uint64_t version)
{
	struct kept_value *found = NULL;

	for (struct kept_value *v = first_of(t, ino); v; v = next_of(table_next(&v->by_ino), ino)) {
		if (id ? v->id == id : v->version == version && (!found || v->id > found->id)) {
			found = v;
		}
	}
	return found;
}
