/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

#include "base/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

#define DRAW_AFTER NSEC_PER_SEC
#define DRAW_EVERY (100 * NSEC_PER_MSEC)
#define BAR_WIDTH 30

void progress_init(struct progress *p, const char *what)
{
	*p = (struct progress){
		.what = what,
		.started = clock_elapsed(&clock_system),
		.terminal = isatty(STDERR_FILENO),
	};
}

static void draw(struct progress *p, uint64_t done, uint64_t total)
{
	char bar[BAR_WIDTH + 1];
	unsigned percent, filled;

	if (total == 0) {
		fprintf(stderr, "\r\033[K%s: %llu", p->what, (unsigned long long)done);
	} else {
		if (done > total) {
			done = total;
		}
		percent = (unsigned)((double)done * 100 / (double)total);
		filled = percent * BAR_WIDTH / 100;
		for (unsigned i = 0; i < BAR_WIDTH; i++) {
			bar[i] = i < filled ? '#' : '.';
		}
		bar[BAR_WIDTH] = 0;
		fprintf(stderr, "\r\033[K%s [%s] %3u%%", p->what, bar, percent);
	}
	fflush(stderr);
	p->visible = true;
}

void progress_update(struct progress *p, uint64_t done, uint64_t total)
{
	int64_t now;

	if (!p->terminal) {
		return;
	}
	now = clock_elapsed(&clock_system);
	if (now - p->started < DRAW_AFTER || now - p->drawn < DRAW_EVERY) {
		return;
	}
	p->drawn = now;
	draw(p, done, total);
}

void progress_finish(struct progress *p)
{
	if (p->visible) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
		p->visible = false;
	}
}
