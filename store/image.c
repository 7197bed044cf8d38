/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Nodes as the transitions that would make them: what a snapshot consists of. */
#include "store/tree.h"

#include <errno.h>
#include <stdlib.h>

void node_image_finish(struct node_image *image)
{
	buffer_finish(&image->paths);
	free(image->links);
	free(image->xattrs);
	*image = (struct node_image){0};
}

static void image_lease(const struct tree *t, const struct entry *e, struct moment now,
	struct link *out)
{
	const struct deadline *d = expiry_get(&t->expiry, e);

	if (!d) {
		return;
	}
	out->ttl = d->ttl;
	/* Of what is kept alive, what it would be if that ended now. */
	out->expires = (d->at == DEADLINE_NEVER ? now.elapsed + d->ttl : d->at) - now.elapsed +
		now.lease;
	if (d->lock) {
		out->lock = (struct holding){
			.token = d->lock->token,
			.holder = lock_holder(d->lock),
			.keepalive = d->lock->keepalive,
		};
	}
}

static int image_names(const struct tree *t, const struct node *n, struct moment now,
	struct node_image *out)
{
	struct change *c = &out->change;
	size_t n_names = n->nlink;
	size_t *ends;
	int rc = 0;

	if (n_names == 0) {
		return 0; /* the root */
	}
	ends = malloc(n_names * sizeof(*ends));
	out->links = calloc(n_names, sizeof(*out->links));
	if (!ends || !out->links) {
		free(ends);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n->nlink && rc == 0; i++) {
		const struct entry *e = node_name(n, i);

		rc = tree_path(entry_parent(e), entry_name(e), &out->paths);
		out->links[i].place.parent = entry_parent(e)->ino;
		image_lease(t, e, now, &out->links[i]);
		ends[i] = out->paths.size;
	}
	for (size_t i = 0; i < n_names && rc == 0; i++) {
		size_t start = i ? ends[i - 1] : 0;

		out->links[i].place.path = bytes_of(out->paths.data + start, ends[i] - start);
	}
	free(ends);
	c->place = out->links[0].place;
	if (out->links[0].expires) {
		c->fields |= HAS_EXPIRES;
		c->expires = out->links[0].expires;
		c->ttl = out->links[0].ttl;
		c->lock = out->links[0].lock;
		c->fields |= c->lock.token ? HAS_LOCK : 0;
	}
	c->links = out->links + 1;
	c->n_links = n_names - 1;
	return rc;
}

int tree_image(const struct tree *t, const struct node *n, struct moment now,
	struct node_image *out)
{
	struct change *c = &out->change;
	size_t count = 0;
	int rc;

	*out = (struct node_image){0};
	c->type = CHANGE_PUT;
	c->fields = HAS_MODE | HAS_OWNER | HAS_MTIME | HAS_ATIME | HAS_HISTORY;
	c->ino = n->ino;
	c->mode = n->mode;
	c->uid = node_uid(n);
	c->gid = node_gid(n);
	c->mtime = n->mtime;
	c->atime = node_atime(n);
	c->version = n->version;
	c->created = n->created;
	c->changed = n->changed;
	if (node_has_value(n)) {
		c->fields |= HAS_VALUE;
		c->value = value_bytes(node_value(n));
	} else if (S_ISCHR(n->mode) || S_ISBLK(n->mode)) {
		c->fields |= HAS_RDEV;
		c->rdev = node_rdev(n);
	}
	if (node_extra(n) && node_extra(n)->action) {
		c->action = bytes_of_string(node_extra(n)->action);
	}
	for (const struct xattr *x = node_xattrs(n); x; x = x->next) {
		count++;
	}
	if (count > 0) {
		out->xattrs = calloc(count, sizeof(*out->xattrs));
		if (!out->xattrs) {
			return -ENOMEM;
		}
		for (const struct xattr *x = node_xattrs(n); x; x = x->next) {
			out->xattrs[c->n_xattrs++] = (struct xattr_change){
				.name = xattr_name(x), .value = xattr_value(x)};
		}
		c->xattrs = out->xattrs;
	}
	rc = image_names(t, n, now, out);
	if (rc) {
		node_image_finish(out);
	}
	return rc;
}
