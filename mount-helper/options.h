/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * The words of mount -o, sorted into what cubbyfs is to be told, what only
 * mount(8), systemd or fstab understand, and what a remount asks of the kernel.
 *
 * All strings are owned by the struct; nothing here reads or changes the system.
 */

enum {
	/* options_add: a double quote has no partner */
	OPTIONS_BAD_QUOTE = 1,
};

struct options {
	/* What goes on to cubbyfs, in the order given. */
	char **pass;
	size_t count;

	bool remount; /* "remount": change the mount that is there */
	bool bind;    /* "bind" beside it: this mount point only, not the file system */

	/* MS_* flags to turn on and off, for a remount; the last word about a flag
	 * wins, so a flag is never in both. */
	unsigned long set;
	unsigned long clear;
};

void options_init(struct options *o);
void options_finish(struct options *o);

/* Adds the words of a comma-separated list: any bytes but NUL. Commas between double quotes
 * and after a backslash do not separate. 0, OPTIONS_BAD_QUOTE or -ENOMEM; on either, the words
 * before stay added. */
int options_add(struct options *o, const char *list);

/* Adds one word to what cubbyfs is told, as it is. 0 or -ENOMEM. */
int options_pass(struct options *o, const char *word);

/* True if a word to be passed is a switch that the kernel itself can change on a remount. */
bool options_is_kernel_flag(const char *word);

bool options_has(const struct options *o, const char *word);

/* What is passed as one comma-separated list, "" for none; the caller frees it. NULL: no memory. */
char *options_join(const struct options *o);
