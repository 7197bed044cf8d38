/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "cli/condition.h"

int condition_create(struct condition **out, const char *program)
{
	(void)program;
	*out = NULL;
	return CONDITION_NOT_BUILT_IN;
}

void condition_destroy(struct condition *c)
{
	(void)c;
}

bool condition_holds(struct condition *c, struct bytes event)
{
	(void)c;
	(void)event;
	return false;
}
