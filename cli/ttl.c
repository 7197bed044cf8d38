/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* cubby ttl: how long a key has to live. */

#include "cli/command.h"

#include "cli/duration.h"
#include "cli/json.h"
#include "cli/key.h"

#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>

static int show(const char *path, bool json)
{
	char ttl[KEY_ATTRIBUTE_SIZE], expires[KEY_ATTRIBUTE_SIZE];
	struct json_object *object;
	int rc = key_attribute(-1, path, "ttl", ttl);

	if (rc && rc != -ENODATA) {
		return command_fail_errno(path, rc);
	}
	if (!json) {
		puts(rc ? "none" : ttl);
		return 0;
	}
	object = json_object_new_object();
	json_add_bytes(object, "path", bytes_of_string(path));
	json_add_number(object, "ttl", rc ? NULL : ttl);
	rc = rc ? rc : key_attribute(-1, path, "expires", expires);
	json_add_string(object, "expires", rc ? NULL : expires);
	json_print(object);
	return 0;
}

static int set(const char *path, const char *seconds)
{
	int rc = key_set_attribute(-1, path, "ttl", bytes_of_string(seconds));

	if (rc == -EINVAL) {
		return command_fail(EX_DATAERR, path, "not a valid ttl");
	}
	return rc ? command_fail_errno(path, rc) : 0;
}

static int make_permanent(const char *path)
{
	/* what has none is what was asked for */
	if (removexattr(path, "user.cubby.ttl") < 0 && errno != ENODATA) {
		return command_fail_errno(path, errno);
	}
	return 0;
}

static int run(const struct command *c, int argc, char **argv)
{
	bool json = false, permanent = false;
	char seconds[DURATION_TEXT_SIZE] = "";
	const char *path;
	int letter, rc;

	while ((letter = command_option(c, argc, argv)) != -1) {
		if (letter == 'j') {
			json = true;
		} else {
			permanent = true;
		}
	}
	command_arguments(c, argc, 1, json || permanent ? 1 : 2);
	if (json && permanent) {
		command_misused(c, "--json shows, --remove changes");
	}
	path = argv[optind];
	if (optind + 1 < argc) {
		command_duration(c, argv[optind + 1], seconds);
	}
	rc = key_writable(path);
	if (rc) {
		return command_fail_errno(path, rc);
	}
	if (permanent) {
		return make_permanent(path);
	}
	return *seconds ? set(path, seconds) : show(path, json);
}

static const struct option words[] = {
	{"remove", no_argument, NULL, 'r'},
	{"json", no_argument, NULL, 'j'},
	COMMAND_WORDS_END,
};

const struct command command_ttl = {
	.name = "ttl",
	.arguments = "[--json] PATH | PATH DURATION | --remove PATH",
	.summary = "print a key's seconds left, start them anew, or make it permanent",
	.options = "      --remove         the key is permanent from now on\n"
		   "      --json           seconds left and time of expiry\n",
	.notes = "DURATION is seconds, or 10m, 2h, 1d, 1h30m; 0 expires it at once.\n",
	.letters = "h",
	.words = words,
	.run = run,
};
