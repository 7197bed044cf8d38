/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "store/policy.h"

#include "store/store.h"

#include <errno.h>
#include <stdlib.h>

struct policy *policy_create(void)
{
	struct policy *p = calloc(1, sizeof(*p));

	if (p) {
		p->default_ttl = -1;
		p->lock_ttl = -1;
		p->lock_keepalive = -1;
		p->max_value = UINT64_MAX;
		p->max_keys = UINT64_MAX;
		p->max_bytes = UINT64_MAX;
	}
	return p;
}

void policy_destroy(struct policy *p)
{
	if (p) {
		free(p->lock_suffix);
		free(p);
	}
}

static struct bytes without_newline(struct bytes text)
{
	if (text.size > 0 && text.data[text.size - 1] == '\n') {
		text.size--;
	}
	return text;
}

bool parse_unsigned(struct bytes text, uint64_t *out)
{
	uint64_t n = 0;

	text = without_newline(text);
	if (text.size == 0) {
		return false;
	}
	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10) {
			return false;
		}
		n = n * 10 + digit;
	}
	*out = n;
	return true;
}

bool parse_duration(struct bytes text, int64_t *ns)
{
	struct bytes whole, fraction = {0};
	uint64_t seconds = 0;
	int64_t n, scale = NSEC_PER_SEC / 10;
	const char *dot;

	text = without_newline(text);
	dot = text.size ? memchr(text.data, '.', text.size) : NULL;
	whole = text;
	if (dot) {
		whole.size = (size_t)(dot - text.data);
		fraction = bytes_of(dot + 1, text.size - whole.size - 1);
	}
	if (whole.size + fraction.size == 0 ||
		(whole.size > 0 &&
			(!parse_unsigned(whole, &seconds) || whole.data[whole.size - 1] == '\n'))) {
		return false;
	}
	if (seconds > (uint64_t)(TTL_MAX / NSEC_PER_SEC)) {
		return false;
	}
	n = (int64_t)seconds * NSEC_PER_SEC;
	for (size_t i = 0; i < fraction.size; i++, scale /= 10) {
		unsigned digit = (unsigned)(unsigned char)fraction.data[i] - '0';

		if (digit > 9) {
			return false;
		}
		n += (int64_t)digit * scale; /* past the ninth digit the scale is 0 */
	}
	if (n > TTL_MAX) {
		return false;
	}
	*ns = n;
	return true;
}

static int set_duration(int64_t *slot, struct bytes text)
{
	int64_t ns;

	if (!parse_duration(text, &ns)) {
		return -EINVAL;
	}
	*slot = ns;
	return 0;
}

static int set_number(uint64_t *slot, struct bytes text, uint64_t limit)
{
	uint64_t n;

	if (!parse_unsigned(text, &n) || n > limit) {
		return -EINVAL;
	}
	*slot = n;
	return 0;
}

static int set_default_ttl(struct policy *p, struct bytes text)
{
	return set_duration(&p->default_ttl, text);
}

static int set_lock_ttl(struct policy *p, struct bytes text)
{
	int64_t ttl;

	/* 0 would be a lock that nobody ever holds. */
	if (!parse_duration(text, &ttl) || ttl == 0) {
		return -EINVAL;
	}
	p->lock_ttl = ttl;
	return 0;
}

static int set_lock_suffix(struct policy *p, struct bytes text)
{
	char *copy;

	text = without_newline(text);
	if (text.size == 0 || text.size > STORE_NAME_MAX || memchr(text.data, '/', text.size) ||
		memchr(text.data, 0, text.size)) {
		return -EINVAL;
	}
	copy = strndup(text.data, text.size);
	if (!copy) {
		return -ENOMEM;
	}
	free(p->lock_suffix);
	p->lock_suffix = copy;
	return 0;
}

static int set_lock_keepalive(struct policy *p, struct bytes text)
{
	text = without_newline(text);
	if (text.size != 1 || (text.data[0] != '0' && text.data[0] != '1')) {
		return -EINVAL;
	}
	p->lock_keepalive = text.data[0] == '1';
	return 0;
}

static int set_history(struct policy *p, struct bytes text)
{
	return set_number(&p->history, text, UINT64_MAX - 1);
}

static int set_max_value(struct policy *p, struct bytes text)
{
	return set_number(&p->max_value, text, STORE_MAX_VALUE_LIMIT);
}

static int set_max_keys(struct policy *p, struct bytes text)
{
	return set_number(&p->max_keys, text, UINT64_MAX - 1);
}

static int set_max_bytes(struct policy *p, struct bytes text)
{
	return set_number(&p->max_bytes, text, UINT64_MAX - 1);
}

static const struct {
	const char *name;
	int (*set)(struct policy *p, struct bytes text);
} rules[] = {
	{"default_ttl", set_default_ttl},
	{"lock_ttl", set_lock_ttl},
	{"lock_suffix", set_lock_suffix},
	{"lock_keepalive", set_lock_keepalive},
	{"history", set_history},
	{"max_value", set_max_value},
	{"max_keys", set_max_keys},
	{"max_bytes", set_max_bytes},
};

static int find_rule(struct bytes attribute)
{
	struct bytes prefix = bytes_of_string(XATTR_CUBBY);

	if (attribute.size <= prefix.size || memcmp(attribute.data, prefix.data, prefix.size) != 0) {
		return -1;
	}
	attribute = bytes_of(attribute.data + prefix.size, attribute.size - prefix.size);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (bytes_equal(attribute, bytes_of_string(rules[i].name))) {
			return (int)i;
		}
	}
	return -1;
}

bool policy_knows(struct bytes attribute)
{
	return find_rule(attribute) >= 0;
}

int policy_set(struct policy *p, struct bytes attribute, struct bytes text)
{
	struct policy scratch = {0};
	int rule = find_rule(attribute);
	int rc;

	if (rule < 0) {
		return -EINVAL;
	}
	rc = rules[rule].set(p ? p : &scratch, text);
	free(scratch.lock_suffix);
	return rc;
}
