/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The cubbyfs authors */

/* Finding whole lines among damaged bytes.
 *
 * A newline ends a line, and its checksum says whether it is whole. When it is
 * not, the damage may be in the newline itself: then two lines stand as one,
 * and both would be lost for a byte that neither needs. So a bad piece is gone
 * through once more, without regard to newlines, for RECORD_START and
 * RECORD_END. Neither can occur within an intact line, as quotes in its text
 * are escaped; so the only candidate for each end is the nearest start before
 * it, and one pass with one checksum for each end finds all there is.
 *
 * What remains is damage. Neighbouring pieces of it are one stretch, and pieces
 * that look like the two halves of one line (the first has no end, the second
 * no start: a byte of it became a newline) count as one line.
 *
 * A medium that fails to read gives 0xff bytes for the blocks concerned, not
 * an error: one bad sector must not take the store away. */
#include "store/journal/scan.h"

#include "base/cleanup.h"
#include "store/record.h"

#include <errno.h>

#define CHUNK_SIZE (256 * 1024)
#define BLOCK_SIZE 4096

struct scanner {
	struct scan *scan;
	struct buffer buffer; /* from `base` on in the file */
	uint64_t base;
	/* The stretch of damage that may still grow. */
	bool open;
	bool ended; /* its last piece had the end of a line */
	struct scan_damage stretch;
};

static void flush_damage(struct scanner *x)
{
	if (x->open) {
		x->open = false;
		x->scan->damage(x->scan->arg, &x->stretch);
	}
}

static bool ends_line(struct bytes piece)
{
	return piece.size >= 2 && memcmp(piece.data + piece.size - 2, "\"}", 2) == 0;
}

/* The log ends here: all that follows is its torn end. */
static int cut_off(struct scanner *x, uint64_t offset)
{
	struct scan *s = x->scan;

	flush_damage(x);
	s->needs_newline = s->needs_newline && s->end == offset;
	s->end = offset;
	s->cut = true;
	return SCAN_CUT;
}

/* `size` counts the newline, if there is one; `piece` doesn't. 0, SCAN_CUT, or a
 * negative errno. */
static int add_damage(
	struct scanner *x, struct bytes piece, uint64_t offset, uint64_t size, bool torn)
{
	bool begins = piece.size > 0 && piece.data[0] == '{';
	int r;

	if (size == 0) {
		return 0;
	}
	if (torn || (x->open && x->stretch.offset + x->stretch.size != offset)) {
		flush_damage(x);
	}
	if (!x->open && x->scan->doubt) {
		r = x->scan->doubt(x->scan->arg);
		if (r != 0) {
			return r == SCAN_CUT ? cut_off(x, offset) : r;
		}
	}
	if (x->open) {
		x->stretch.size += size;
		x->stretch.lines += x->ended || begins;
	} else {
		x->open = true;
		x->stretch = (struct scan_damage){
			.offset = offset,
			.size = size,
			.line = x->scan->lines,
			.lines = 1,
			.torn = torn,
		};
	}
	x->ended = ends_line(piece);
	return 0;
}

/* 0: taken; SCAN_BAD; SCAN_CUT; or an error. */
static int offer(struct scanner *x, struct bytes line, uint64_t offset)
{
	int r = x->scan->line(x->scan->arg, line, offset, x->scan->lines);

	if (r == 0) {
		x->scan->end = offset + line.size;
		x->scan->needs_newline = true;
	}
	return r == SCAN_CUT ? cut_off(x, offset) : r;
}

static bool matches(struct bytes in, size_t at, const char *text)
{
	size_t size = strlen(text);

	return in.size - at >= size && memcmp(in.data + at, text, size) == 0;
}

/* Takes the whole lines that are in a bad piece; *rest is where the damage
 * after the last of them begins. */
static int salvage(struct scanner *x, struct bytes piece, uint64_t offset, size_t *rest)
{
	size_t start = SIZE_MAX;
	int r;

	*rest = 0;
	for (size_t at = 0; at < piece.size; at++) {
		struct bytes line;

		if (piece.data[at] == '{' && (matches(piece, at, RECORD_START) ||
						     matches(piece, at, RECORD_START_OBJECT))) {
			start = at;
		}
		if (piece.data[at] != ',' || start == SIZE_MAX ||
			piece.size - at < RECORD_END_SIZE || !matches(piece, at, RECORD_END)) {
			continue;
		}
		line = bytes_of(piece.data + start, at + RECORD_END_SIZE - start);
		if (line.size < piece.size && record_intact(line)) {
			/* The damage before it comes first. */
			r = add_damage(x, bytes_of(piece.data + *rest, start - *rest),
				offset + *rest, start - *rest, false);
			if (r != 0) {
				return r;
			}
			if (start > *rest) {
				flush_damage(x);
			}
			r = offer(x, line, offset + start);
			if (r < 0 || r == SCAN_CUT) {
				return r;
			}
			if (r == 0) {
				flush_damage(x);
				*rest = at + RECORD_END_SIZE;
			} else {
				*rest = start;
			}
			at += RECORD_END_SIZE - 1;
		}
		start = SIZE_MAX;
	}
	return 0;
}

static size_t without_nuls(struct bytes piece)
{
	size_t size = piece.size;

	while (size > 0 && piece.data[size - 1] == 0) {
		size--;
	}
	return size;
}

static int take_piece(struct scanner *x, struct bytes piece, uint64_t offset, bool terminated)
{
	struct scan *s = x->scan;
	bool tail = !terminated && s->last;
	size_t rest;
	int r;

	s->zeros = !terminated && piece.size > 0 && without_nuls(piece) == 0;
	if (tail || s->zeros) {
		piece.size = without_nuls(piece);
	}
	if (piece.size == 0 && !terminated) {
		return 0;
	}
	s->lines++;
	r = offer(x, piece, offset);
	if (r < 0 || r == SCAN_CUT) {
		return r;
	}
	if (r == 0) {
		flush_damage(x);
	} else {
		r = salvage(x, piece, offset, &rest);
		if (r != 0) {
			return r;
		}
		if (rest < piece.size || piece.size == 0) {
			r = add_damage(x, bytes_of(piece.data + rest, piece.size - rest),
				offset + rest, piece.size - rest + terminated, tail);
			if (r != 0) {
				return r;
			}
		} else {
			flush_damage(x); /* it ended in a whole line after all */
		}
	}
	if (terminated) {
		s->end = offset + piece.size + 1;
		s->needs_newline = false;
	}
	return 0;
}

/* Reads on at the end of the buffer. A count, 0 at the end of the file. */
static ssize_t fill(struct scanner *x)
{
	struct scan *s = x->scan;
	uint64_t offset = x->base + x->buffer.size;
	size_t wanted = CHUNK_SIZE;
	ssize_t n;
	int r;

	r = buffer_reserve(&x->buffer, x->buffer.size + CHUNK_SIZE);
	if (r < 0) {
		return r;
	}
	n = s->disk->ops->read(
		s->disk, s->fd, x->buffer.data + x->buffer.size, wanted, (off_t)offset);
	if (n == -EIO) {
		/* Block by block, to lose no more than needed. */
		wanted = BLOCK_SIZE - offset % BLOCK_SIZE;
		n = s->disk->ops->read(
			s->disk, s->fd, x->buffer.data + x->buffer.size, wanted, (off_t)offset);
	}
	if (n == -EIO && offset < s->size) {
		n = (ssize_t)(s->size - offset < wanted ? s->size - offset : wanted);
		memset(x->buffer.data + x->buffer.size, 0xff, (size_t)n);
		s->unreadable += (uint64_t)n;
	}
	if (n > 0) {
		x->buffer.size += (size_t)n;
	}
	return n;
}

static int scan_lines(struct scanner *x)
{
	struct scan *s = x->scan;
	size_t start = 0;   /* of the line under way, in the buffer */
	size_t scanned = 0; /* no newline from `start` to here */
	const char *newline;
	ssize_t n;
	int r;

	for (;;) {
		newline = scanned < x->buffer.size
				  ? memchr(x->buffer.data + scanned, '\n', x->buffer.size - scanned)
				  : NULL;
		if (newline || x->buffer.size - start > RECORD_MAX) {
			size_t end = newline ? (size_t)(newline - x->buffer.data) : x->buffer.size;

			r = take_piece(x, bytes_of(x->buffer.data + start, end - start),
				x->base + start, newline);
			if (r != 0) {
				return r;
			}
			start = end + !!newline;
			scanned = start;
			continue;
		}
		/* The rest of a line moves to the front before more is read. */
		if (start > 0) {
			memmove(x->buffer.data, x->buffer.data + start, x->buffer.size - start);
			x->buffer.size -= start;
			x->base += start;
			start = 0;
		}
		scanned = x->buffer.size;
		n = fill(x);
		if (n <= 0) {
			return (int)n;
		}
		if (s->progress) {
			s->progress(s->arg, x->base + x->buffer.size);
		}
		newline = memrchr(x->buffer.data + scanned, '\n', x->buffer.size - scanned);
		if (newline && s->ahead) {
			s->ahead(s->arg,
				bytes_of(x->buffer.data, (size_t)(newline + 1 - x->buffer.data)));
		}
	}
}

int scan_run(struct scan *s)
{
	struct scanner x = {.scan = s};
	off_t size = s->disk->ops->size(s->disk, s->fd);
	int r;

	if (size < 0) {
		return (int)size;
	}
	s->size = (uint64_t)size;
	s->end = 0;
	s->cut = false;
	s->needs_newline = false;
	s->lines = 0;
	s->unreadable = 0;
	r = scan_lines(&x);
	if (r == 0) {
		r = take_piece(&x, buffer_bytes(&x.buffer), x.base, false);
	}
	if (r == 0) {
		flush_damage(&x);
	} else if (r == SCAN_CUT) {
		s->damage(s->arg, &(struct scan_damage){
					  .offset = s->end,
					  .size = s->size > s->end ? s->size - s->end : 0,
					  .line = s->lines,
					  .lines = 1,
					  .torn = true,
				  });
		r = 0;
	}
	buffer_finish(&x.buffer);
	return r;
}
