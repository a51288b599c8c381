/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relay: see relay.h. A direction is polled for reading only while its buffer is empty, and for
 * writing only while it is not, so neither side can be drowned by the other.
 */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RELAY_BUFFER 16384
#define WRITE_MAX    4096 /* a terminal that is ready for writing takes this much */

typedef struct Direction {
	int from, to;
	char buf[RELAY_BUFFER];
	size_t start, end;
	bool ended;  /* nothing more comes */
	bool closed; /* and that has been passed on */
} Direction;

static bool is_transient(int os_errno)
{
	return os_errno == EINTR || os_errno == EAGAIN;
}

static int pull(Direction *d, Error *err)
{
	ssize_t n = read(d->from, d->buf, sizeof(d->buf));

	if (n < 0 && is_transient(errno))
		return 0;
	if (n < 0 && errno != ECONNRESET && errno != EIO)
		return error_set_errno(err, errno, "read");
	d->start = 0;
	d->end = n > 0 ? (size_t)n : 0;
	d->ended = n <= 0;
	return 0;
}

static int push(Direction *d, Error *err)
{
	size_t left = d->end - d->start;
	ssize_t n = send(d->to, d->buf + d->start, left, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && errno == ENOTSOCK)
		n = write(d->to, d->buf + d->start, MIN(left, (size_t)WRITE_MAX));
	if (n < 0 && is_transient(errno))
		return 0;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		d->start = d->end; /* nobody reads it any more */
		d->ended = d->closed = true;
		return 0;
	}
	if (n < 0)
		return error_set_errno(err, errno, "write");
	d->start += (size_t)n;
	return 0;
}

static void pass_on_end(Direction *d)
{
	if (d->ended && !d->closed && d->start == d->end) {
		shutdown(d->to, SHUT_WR); /* of a terminal or pipe: fails, and may */
		d->closed = true;
	}
}

static int step(Direction *d, short readable, short writable, Error *err)
{
	int rc = 0;

	if (d->start < d->end && writable)
		rc = push(d, err);
	else if (d->start == d->end && !d->ended && readable)
		rc = pull(d, err);
	pass_on_end(d);
	return rc;
}

int relay_run(const RelayOptions *o, int sock, Error *err)
{
	Direction up = { .from = o->in_fd, .to = sock }, down = { .from = sock, .to = o->out_fd };
	Direction *const all[] = { &up, &down };
	struct pollfd p[4];
	bool fresh;
	char *hit;
	int rc = 0;

	while (!down.closed && rc == 0) {
		for (size_t i = 0; i < 2; i++) {
			bool full = all[i]->start < all[i]->end;

			p[2 * i] = (struct pollfd){ .fd = full || all[i]->ended ? -1 : all[i]->from,
						    .events = POLLIN };
			p[2 * i + 1] =
				(struct pollfd){ .fd = full ? all[i]->to : -1, .events = POLLOUT };
		}
		if (poll(p, 4, -1) < 0 && errno != EINTR)
			return error_set_errno(err, errno, "poll");
		fresh = up.start == up.end;
		rc = step(&up, p[0].revents, p[1].revents, err);
		if (rc == 0)
			rc = step(&down, p[2].revents, p[3].revents, err);
		hit = fresh && o->escape >= 0
			      ? memchr(up.buf + up.start, o->escape, up.end - up.start)
			      : NULL;
		if (rc == 0 && (hit || (up.closed && o->end_with_input)))
			return 1;
	}
	return rc;
}
