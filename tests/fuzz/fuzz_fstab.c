/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* The option string of an fstab line. What mount.cubbyfs passes on means the same to it
 * when it is sorted once more.
 *
 * Input: one list of options a line. */
#include "fuzz.h"
#include "mount-helper/options.h"

/* OPTIONS_BAD_QUOTE if one of them was. */
static int add(struct options *o, struct bytes input)
{
	struct bytes line;
	int r = 0;

	options_init(o);
	while (r == 0 && take_line(&input, &line)) {
		char *text = string_of(line);

		r = options_add(o, text);
		CHECK(r == 0 || r == OPTIONS_BAD_QUOTE);
		free(text);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct options o, again;
	int r = add(&o, bytes_of(data, size));
	char *joined = options_join(&o), *twice;

	CHECK(joined && !(o.set & o.clear));
	for (size_t i = 0; i < o.count; i++) {
		CHECK(o.pass[i][0] && options_has(&o, o.pass[i]));
		(void)options_is_kernel_flag(o.pass[i]);
	}
	/* With a bad quote the words before it stand, each by itself whole. */
	CHECK(add(&again, bytes_of_string(joined)) == 0 || r != 0);
	twice = options_join(&again);
	CHECK(twice && strcmp(joined, twice) == 0);
	CHECK(again.count == o.count);
	/* Only words that are dropped can add to the flags. */
	CHECK(!(again.set & ~(o.set | o.clear)));
	free(joined);
	free(twice);
	options_finish(&o);
	options_finish(&again);
	return 0;
}
