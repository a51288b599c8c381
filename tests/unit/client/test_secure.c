/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client over TLS: what it refuses to show, whom it refuses to believe, and that it says why.
 * openssl(1) is the server; certificates come from a CA on a fake clock, so that they can be old.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "client/client.h"
#include "pki/authority.h"

#define DAY (24 * USEC_PER_HOUR)

typedef struct World {
	char dir[64], server[64];
	Clock *clock;
	Authority *ca;
	pid_t pid;
	int pidfd;
} World;

static unsigned free_port(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

/* A CA whose certificates were made that many days ago. */
static World *world_new(unsigned days)
{
	World *w = xnew0(World, 1);

	memcpy(w->dir, "/tmp/client-tls-XXXXXX", sizeof("/tmp/client-tls-XXXXXX"));
	assert_non_null(mkdtemp(w->dir));
	w->clock = fake_clock_new(USEC_PER_SEC, clock_wall(clock_system()) - days * DAY);
	assert_int_equal(authority_open(&(AuthorityOptions){ .dir = w->dir, .clock = w->clock },
					&w->ca, NULL),
			 0);
	return w;
}

static bool is_up(unsigned port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_(fd_closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0;
}

/* Answers everything with a page of HTML. */
static void serve(World *w)
{
	unsigned port = free_port();
	_cleanup_(xfreep) char *line = xasprintf(
		"cd %s && exec openssl s_server -accept 127.0.0.1:%u -cert server.crt -key "
		"server.key -www -quiet",
		w->dir, port);
	const char *const argv[] = { "/bin/sh", "-c", line, NULL };
	usec_t end = clock_now(clock_system()) + 10 * USEC_PER_SEC;

	assert_int_equal(spawn_start(&(SpawnOptions){ .argv = argv }, &w->pid, &w->pidfd, NULL), 0);
	snprintf(w->server, sizeof(w->server), "https://127.0.0.1:%u", port);
	while (!is_up(port))
		assert_true(clock_now(clock_system()) < end);
}

static void world_free(World *w)
{
	Context ctx = CONTEXT_BACKGROUND;
	int status;

	if (w->pid) {
		kill(w->pid, SIGKILL);
		(void)spawn_wait(&ctx, w->pid, w->pidfd, &status, NULL);
		fd_close(w->pidfd);
	}
	authority_free(w->ca);
	fake_clock_free(w->clock);
	assert_int_equal(fs_remove_tree(w->dir, NULL), 0);
	free(w);
}

/* What a call says. */
static int ask(const ClientOptions *o, Error *err)
{
	_cleanup_(client_freep) Client *c = NULL;
	int rc = client_new_with(o, &c, err);

	return rc < 0 ? rc
		      : client_call(c, &(ClientRequest){ .method = "GET", .path = "/x" }, NULL,
				    err);
}

static void asking_says(const ClientOptions *o, int code, const char *says)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	int rc = ask(o, &err);

	if (rc != -code || !strstr(error_message(&err), says))
		fail_msg("%d: \"%s\" does not say \"%s\"", rc, error_message(&err), says);
}

static void a_server_is_believed_or_it_is_said_why(void **state _unused_)
{
	World *w = world_new(0), *other = world_new(0);
	const char *ca = authority_ca(w->ca);

	serve(w);
	/* It was reached, and believed: what it says is another matter. */
	asking_says(&(ClientOptions){ .server = w->server, .ca = ca }, ERR_INTERNAL, "not JSON");
	asking_says(&(ClientOptions){ .server = w->server, .ca = ca, .server_name = "localhost" },
		    ERR_INTERNAL, "not JSON");
	asking_says(&(ClientOptions){ .server = w->server, .insecure = true }, ERR_INTERNAL,
		    "not JSON");
	asking_says(&(ClientOptions){ .server = w->server, .ca = authority_ca(other->ca) },
		    ERR_UNAVAILABLE, "signed by a CA that is not trusted here: CN=sfd CA");
	asking_says(&(ClientOptions){ .server = w->server, .ca = authority_ca(other->ca) },
		    ERR_UNAVAILABLE,
		    "\nOn its host:  sudo sfctl certificates ca >ca.crt\n"
		    "Here:         sfctl --certificate-authority ca.crt …");
	asking_says(&(ClientOptions){ .server = w->server }, ERR_UNAVAILABLE,
		    "signed by a CA that is not trusted here");
	asking_says(&(ClientOptions){ .server = w->server, .ca = ca, .server_name = "example.com" },
		    ERR_UNAVAILABLE, "not for \"example.com\" but for localhost");
	world_free(w);
	world_free(other);
}

static void an_old_server_is_told_so(void **state _unused_)
{
	World *w = world_new(400);

	serve(w);
	asking_says(&(ClientOptions){ .server = w->server, .ca = authority_ca(w->ca) },
		    ERR_UNAVAILABLE, "its certificate expired at");
	world_free(w);
}

static void what_cannot_work_is_said_at_once(void **state _unused_)
{
	_cleanup_(pki_secret_freep) char *key = pki_key_new(), *wrong = pki_key_new();
	_cleanup_(issued_done) Issued issued = { 0 };
	_cleanup_(xfreep) char *request = NULL;
	static const char server[] = "https://127.0.0.1:1";
	World *w = world_new(2);

	assert_int_equal(pki_request_new(key, "alice", NULL, &request, NULL), 0);
	assert_int_equal(authority_sign(w->ca, request, "alice", NULL, 0,
					clock_wall(w->clock) + DAY, &issued, NULL),
			 0);
	asking_says(
		&(ClientOptions){ .server = server, .certificate = issued.certificate, .key = key },
		ERR_FORBIDDEN, "client certificate of \"CN=alice\" expired at");
	asking_says(&(ClientOptions){ .server = server,
				      .certificate = issued.certificate,
				      .key = wrong },
		    ERR_CONFLICT, "not for this key");
	asking_says(&(ClientOptions){ .server = server, .certificate = issued.certificate },
		    ERR_INVALID, "there is no key");
	asking_says(&(ClientOptions){ .server = server, .certificate = "x", .key = key },
		    ERR_INVALID, "client certificate");
	asking_says(&(ClientOptions){ .server = server, .token = "a\r\nX-Header: b" }, ERR_INVALID,
		    "a character that no token has");
	asking_says(&(ClientOptions){ .server = "http://192.0.2.1:80", .token = "a" }, ERR_INVALID,
		    "not sent to other hosts over plain HTTP");
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_server_is_believed_or_it_is_said_why),
		cmocka_unit_test(an_old_server_is_told_so),
		cmocka_unit_test(what_cannot_work_is_said_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
