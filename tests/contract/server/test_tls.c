/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server over TLS: who is let in by which certificate or token, what becomes of those who are
 * not, and what hostile peers can do. curl(1) and openssl(1) are the other side, so that nothing of
 * ours agrees with itself.
 */
#include "fixture.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "base/spawn.h"
#include "pki/authority.h"

#define CREDENTIALS API_GROUP "/credentials"
#define WHOAMI      "/apis/authentication.k8s.io/v1/selfsubjectreviews"
#define DAY         (24 * USEC_PER_HOUR)

typedef struct World {
	Fixture *f;
	Clock *clock; /* of the CA */
	Authority *ca;
	Server *server;
	char port[8], pki[96];
} World;

static int setup(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	World *w = xnew0(World, 1);
	ServerOptions options;

	assert_int_equal(fixture_setup((void **)&w->f), 0);
	snprintf(w->pki, sizeof(w->pki), "%s/pki", w->f->dir);
	w->clock = fake_clock_new(USEC_PER_SEC, clock_wall(clock_system()));
	if (authority_open(&(AuthorityOptions){ .dir = w->pki, .clock = w->clock }, &w->ca, &err) <
	    0)
		fail_msg("%s", error_message(&err));
	options = (ServerOptions){ .store = w->f->store,
				   .kinds = w->f->kinds,
				   .authority = w->ca,
				   .admin_gid = (gid_t)-1 };
	assert_int_equal(server_new(&options, &w->server, &err), 0);
	if (server_listen(w->server, "tls:127.0.0.1:0", &err) < 0 ||
	    server_start(w->server, &err) < 0)
		fail_msg("%s", error_message(&err));
	snprintf(w->port, sizeof(w->port), "%s", strrchr(server_endpoint(w->server), ':') + 1);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	World *w = *state;

	server_stop(w->server, USEC_PER_SEC);
	server_free(w->server);
	authority_free(w->ca);
	fake_clock_free(w->clock);
	assert_int_equal(fixture_teardown((void **)&w->f), 0);
	free(w);
	return 0;
}

/* ---- doing ---- */

/* A shell line in the folder of the files; *ret_out is what it wrote. True = exit 0. */
static bool shell(World *w, const char *line, StrBuf *ret_out)
{
	_cleanup_(xfreep) char *script = xasprintf("cd %s && PORT=%s && %s", w->pki, w->port, line);
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	Context background = CONTEXT_BACKGROUND,
		ctx = context_with_timeout(&background, 30 * USEC_PER_SEC);

	return spawn_run(&ctx, argv, ret_out, NULL, NULL) == 0;
}

static void must(World *w, const char *line)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;

	if (!shell(w, line, &out))
		fail_msg("%s: %s", line, strbuf_str(&out));
}

/* Asks who it is, with more arguments for curl; the code, and the answer as JSON. */
static int whoami(World *w, const char *arguments, json_t **ret)
{
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	_cleanup_(xfreep) char *line =
		xasprintf("curl -s --max-time 20 --cacert ca.crt -w '\\n%%{http_code}' %s -X POST "
			  "-H 'Content-Type: application/json' -d '{}' "
			  "https://localhost:$PORT" WHOAMI,
			  arguments);
	const char *code;

	shell(w, line, &out);
	code = strrchr(strbuf_str(&out), '\n');
	assert_non_null(code);
	if (ret)
		*ret = json_loadb(strbuf_str(&out), (size_t)(code - strbuf_str(&out)), 0, NULL);
	return atoi(code + 1);
}

static void is_user(World *w, const char *arguments, const char *user, const char *group)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	const json_t *groups;

	assert_int_equal(whoami(w, arguments, &answer), 201);
	expect_text(answer, "status.userInfo.username", user);
	groups = json_at(answer, "status.userInfo.groups");
	assert_string_equal(json_string_value(json_array_get(groups, 0)), group);
}

static void is_refused(World *w, const char *arguments)
{
	_cleanup_(json_decrefp) json_t *answer = NULL;
	int code = whoami(w, arguments, &answer);

	if (code != 401)
		fail_msg("%s: %d", arguments, code);
	expect_text(answer, "kind", "Status");
	expect_text(answer, "message", "Unauthorized");
	expect_text(answer, "reason", "Unauthorized");
	assert_int_equal(json_integer_at(answer, "code", 0), 401);
}

static void store_credential(World *w, json_t *tree)
{
	_cleanup_(json_decrefp) json_t *owned = tree;
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(txn_freep) Txn *t = txn_new();
	Context ctx = CONTEXT_BACKGROUND;
	Key key = key_make(GR_CREDENTIAL, "", json_string_at(tree, "metadata.name"));

	txn_create(t, &key, tree, true);
	if (store_commit(w->f->store, &ctx, t, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
}

static json_t *credential(const char *name, const char *user, int64_t seconds)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:[s], s:I}}", "apiVersion",
			 "shakenfist.io/v1alpha1", "kind", "Credential", "metadata", "name", name,
			 "spec", "user", user, "groups", "ops", "expirationSeconds",
			 (json_int_t)seconds);
}

/* What the controller and sfctl do together: NAME.crt and NAME.key. */
static void give_certificate(World *w, const char *name, const char *user, int64_t seconds)
{
	_cleanup_(xfreep) char *key = pki_key_new(), *request = NULL,
			       *crt_file = xasprintf("%s/%s.crt", w->pki, name),
			       *key_file = xasprintf("%s/%s.key", w->pki, name);
	static char ops[] = "ops";
	char *const groups[] = { ops, NULL };
	_cleanup_(issued_done) Issued issued = { 0 };
	json_t *tree = credential(name, user, seconds);

	assert_int_equal(pki_request_new(key, user, NULL, &request, NULL), 0);
	/* The certificate itself lives longer: the object must decide. */
	assert_int_equal(authority_sign(w->ca, request, user, groups, 1,
					clock_wall(clock_system()) + DAY, &issued, NULL),
			 0);
	json_set_at(tree, "spec.request", json_string(request));
	json_set_at(tree, "status.serialNumber", json_string(issued.serial));
	store_credential(w, tree);
	assert_int_equal(fs_write_atomic(crt_file, issued.certificate, strlen(issued.certificate),
					 0600, false, NULL),
			 0);
	assert_int_equal(fs_write_atomic(key_file, key, strlen(key), 0600, false, NULL), 0);
}

/* A token's header for curl; caller frees. */
static char *give_token(World *w, const char *name, const char *user, int64_t seconds)
{
	_cleanup_(pki_secret_freep) char *token = bearer_new();
	json_t *tree = credential(name, user, seconds);
	char hash[BEARER_HASH_MAX];

	json_set_at(tree, "spec.tokenHash", json_string(bearer_hash(token, hash)));
	store_credential(w, tree);
	return xasprintf("-H 'Authorization: Bearer %s'", token);
}

static void take_back(World *w, const char *name)
{
	_cleanup_(xfreep) char *target = xasprintf(CREDENTIALS "/%s", name);

	call_done(w->f, 200, "DELETE", target, NULL, NULL);
}

/* A process of the shell in the background whose end can be waited for. */
typedef struct Job {
	pid_t pid;
	int pidfd;
} Job;

static Job job_start(World *w, const char *line)
{
	_cleanup_(xfreep) char *script =
		xasprintf("cd %s && PORT=%s && exec %s", w->pki, w->port, line);
	const char *const argv[] = { "/bin/sh", "-c", script, NULL };
	Job job;

	assert_int_equal(spawn_start(&(SpawnOptions){ .argv = argv }, &job.pid, &job.pidfd, NULL),
			 0);
	return job;
}

static bool job_ends(Job *job, int ms)
{
	struct pollfd p = { .fd = job->pidfd, .events = POLLIN };
	Context background = CONTEXT_BACKGROUND,
		ctx = context_with_timeout(&background, USEC_PER_SEC);
	bool ended = poll(&p, 1, ms) == 1;
	int status;

	if (!ended)
		kill(job->pid, SIGKILL);
	(void)spawn_wait(&ctx, job->pid, job->pidfd, &status, NULL);
	fd_close(job->pidfd);
	return ended;
}

/* ---- certificates ---- */

static void a_certificate_is_its_user(void **state)
{
	World *w = *state;

	give_certificate(w, "alice", "alice@example.com", 3600);
	is_user(w, "--cert alice.crt --key alice.key", "alice@example.com", "ops");
	is_refused(w, "");
	must(w, "curl -sf --cacert ca.crt https://localhost:$PORT/livez");
	must(w, "curl -sf --cacert ca.crt https://127.0.0.1:$PORT/version");
}

static void a_revoked_certificate_is_refused(void **state)
{
	World *w = *state;

	give_certificate(w, "alice", "alice", 3600);
	is_user(w, "--cert alice.crt --key alice.key", "alice", "ops");
	take_back(w, "alice");
	is_refused(w, "--cert alice.crt --key alice.key");
}

static void an_object_that_expired_ends_its_certificate(void **state)
{
	World *w = *state;
	json_t *tree;

	give_certificate(w, "alice", "alice", 3600);
	take_back(w, "alice");
	/* The same certificate, of an object that ended a minute ago. */
	tree = credential("alice", "alice", 3600);
	json_object_del(json_object_get(tree, "spec"), "expirationSeconds");
	json_set_at(tree, "spec.expirationTime", json_string("2020-01-01T00:00:00Z"));
	store_credential(w, tree);
	is_refused(w, "--cert alice.crt --key alice.key");
}

static void an_expired_certificate_is_refused(void **state)
{
	World *w = *state;

	give_certificate(w, "alice", "alice", 36000000);
	fake_clock_advance(w->clock, 2 * DAY);
	is_refused(w, "--cert alice.crt --key alice.key");
}

static void foreign_certificates_are_refused(void **state)
{
	World *w = *state;

	must(w, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
		"x.key -subj /O=system:masters/CN=root -days 2 -out x.crt 2>/dev/null");
	is_refused(w, "--cert x.crt --key x.key");
	is_refused(w, "--cert server.crt --key server.key");
	is_refused(w, "--cert ca.crt --key ca.key");
	/* Signed by our CA, but nobody asked for it: no Credential. */
	must(w, "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout y.key "
		"-subj /O=system:masters/CN=root -out y.csr 2>/dev/null && "
		"printf extendedKeyUsage=clientAuth >y.ext && "
		"openssl x509 -req -in y.csr -CA ca.crt -CAkey ca.key -set_serial 4711 -days 2 "
		"-extfile y.ext -out y.crt 2>/dev/null");
	is_refused(w, "--cert y.crt --key y.key");
}

/* Larger than a handshake may be: that connection ends, and others do not notice. */
static void a_huge_certificate_ends_its_connection(void **state)
{
	World *w = *state;

	give_certificate(w, "alice", "alice", 3600);
	must(w, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
		"x.key -subj /CN=x -days 2 -out x.crt -addext \"subjectAltName=$(seq -f "
		"DNS:host%g.example.com -s , 4000)\" 2>/dev/null");
	assert_int_equal(whoami(w, "--cert x.crt --key x.key", NULL), 0);
	is_user(w, "--cert alice.crt --key alice.key", "alice", "ops");
}

static void headers_of_proxies_say_nothing(void **state)
{
	World *w = *state;

	assert_int_equal(
		whoami(w, "-H 'Authorization: Bearer a' -H 'Authorization: Bearer b'", NULL), 400);
	is_refused(w, "-H 'X-Remote-User: root' -H 'X-Remote-Group: system:masters' "
		      "-H 'X-Forwarded-User: root' -H 'X-Forwarded-For: 127.0.0.1'");
}

/* ---- tokens ---- */

static void a_token_is_its_user(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *header = give_token(w, "ci", "ci", 3600), *lower = NULL;

	is_user(w, header, "ci", "ops");
	lower = xstrdup(header);
	memcpy(strstr(lower, "Bearer"), "bearer", strlen("bearer"));
	is_user(w, lower, "ci", "ops");
	take_back(w, "ci");
	is_refused(w, header);
}

static void a_token_decides_over_a_certificate(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *header = give_token(w, "ci", "ci", 3600),
			       *both = xasprintf("%s --cert alice.crt --key alice.key", header);

	give_certificate(w, "alice", "alice", 3600);
	is_user(w, both, "ci", "ops");
	is_refused(w, "-H 'Authorization: Bearer sfp_no' --cert alice.crt --key alice.key");
	is_user(w, "-H 'Authorization: Basic cm9vdDpyb290' --cert alice.crt --key alice.key",
		"alice", "ops");
}

static void wrong_tokens_are_refused(void **state)
{
	static const char *const bad[] = { "", "x", "sfp_", "sfp_\xff", "null" };
	World *w = *state;
	_cleanup_(xfreep) char *header = give_token(w, "ci", "ci", 3600), *cut = xstrdup(header),
			       *changed = xstrdup(header);
	_cleanup_(pki_secret_freep) char *unknown = bearer_new();
	_cleanup_(xfreep) char *other = xasprintf("-H 'Authorization: Bearer %s'", unknown);
	json_t *tree = credential("old", "old", 3600);
	char hash[BEARER_HASH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(xfreep) char *line = xasprintf("-H 'Authorization: Bearer %s'", bad[i]);

		is_refused(w, line);
	}
	memcpy(cut + strlen(cut) - 2, "'", 2);
	is_refused(w, cut);
	changed[strlen(changed) - 10] ^= 1;
	is_refused(w, changed);
	is_refused(w, other);
	json_object_del(json_object_get(tree, "spec"), "expirationSeconds");
	json_set_at(tree, "spec.expirationTime", json_string("2020-01-01T00:00:00Z"));
	json_set_at(tree, "spec.tokenHash", json_string(bearer_hash(unknown, hash)));
	store_credential(w, tree);
	is_refused(w, other);
	is_user(w, header, "ci", "ops");
}

/* On the socket of the host, too: who shows a token means to be its user. */
static void a_token_counts_on_every_transport(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *header = give_token(w, "ci", "ci", 3600);
	_cleanup_(xfreep) char *line = xasprintf(
		"curl -s --unix-socket %s %s -X POST -H 'Content-Type: application/json' -d '{}' "
		"http://x" WHOAMI " | grep '\"username\":\"ci\"'",
		w->f->path, header);
	_cleanup_(xfreep) char *wrong = xasprintf(
		"curl -s -o /dev/null -w '%%{http_code}' --unix-socket %s -H 'Authorization: "
		"Bearer x' http://x/api | grep 401",
		w->f->path);

	must(w, line);
	must(w, wrong);
}

static void two_with_one_hash_are_two(void **state)
{
	World *w = *state;
	_cleanup_(pki_secret_freep) char *token = bearer_new();
	_cleanup_(xfreep) char *header = xasprintf("-H 'Authorization: Bearer %s'", token);
	char hash[BEARER_HASH_MAX];

	for (int i = 0; i < 3; i++) {
		char name[16];
		json_t *tree;

		snprintf(name, sizeof(name), "ci%d", i);
		tree = credential(name, name, 3600);
		json_set_at(tree, "spec.tokenHash", json_string(bearer_hash(token, hash)));
		store_credential(w, tree);
	}
	take_back(w, "ci2");
	take_back(w, "ci0");
	is_user(w, header, "ci1", "ops");
	take_back(w, "ci1");
	is_refused(w, header);
}

static void an_answer_says_how_to_log_in(void **state)
{
	World *w = *state;

	must(w, "curl -si --cacert ca.crt https://localhost:$PORT/api | grep -i "
		"'^WWW-Authenticate: Bearer realm=\"sfd\".$'");
	must(w, "curl -si --cacert ca.crt -H 'Authorization: Bearer x' https://localhost:$PORT/api "
		"| grep -i '^WWW-Authenticate: Bearer realm=\"sfd\", error=\"invalid_token\"'");
}

/* ---- live connections ---- */

#define WATCH_LINE \
	"curl -sN --cacert ca.crt -o watch.out --max-time 60 %s " \
	"\"https://localhost:$PORT" API_GROUP "/credentials?watch=true\""

/* Somebody in system:masters, so that there is something to watch. */
static void watch_is_cut(World *w, const char *name, const char *arguments)
{
	_cleanup_(xfreep) char *line = xasprintf(WATCH_LINE, arguments);
	usec_t end = clock_now(clock_system()) + 10 * USEC_PER_SEC;
	Job job = job_start(w, line);

	while (!shell(w, "grep -q ADDED watch.out", NULL))
		assert_true(clock_now(clock_system()) < end);
	take_back(w, name);
	assert_true(job_ends(&job, 5000));
}

static void a_watch_ends_with_its_token(void **state)
{
	World *w = *state;
	_cleanup_(pki_secret_freep) char *token = bearer_new();
	_cleanup_(xfreep) char *header = xasprintf("-H 'Authorization: Bearer %s'", token);
	json_t *tree = credential("boss", "boss", 3600);
	char hash[BEARER_HASH_MAX];

	json_set_at(tree, "spec.groups", json_pack("[s]", "system:masters"));
	json_set_at(tree, "spec.tokenHash", json_string(bearer_hash(token, hash)));
	store_credential(w, tree);
	watch_is_cut(w, "boss", header);
}

static void a_watch_ends_when_its_token_expires(void **state)
{
	World *w = *state;
	_cleanup_(pki_secret_freep) char *token = bearer_new();
	_cleanup_(xfreep) char *header = xasprintf("-H 'Authorization: Bearer %s'", token);
	_cleanup_(xfreep) char *line = xasprintf(WATCH_LINE, header);
	json_t *tree = credential("boss", "boss", 3600);
	char hash[BEARER_HASH_MAX], soon[TIMESTAMP_MAX];
	Job job;

	json_object_del(json_object_get(tree, "spec"), "expirationSeconds");
	timestamp_format(clock_wall(clock_system()) + 3 * USEC_PER_SEC, soon);
	json_set_at(tree, "spec.expirationTime", json_string(soon));
	json_set_at(tree, "spec.groups", json_pack("[s]", "system:masters"));
	json_set_at(tree, "spec.tokenHash", json_string(bearer_hash(token, hash)));
	store_credential(w, tree);
	job = job_start(w, line);
	assert_true(job_ends(&job, 15000));
	must(w, "grep -q ADDED watch.out");
	is_refused(w, header);
}

/* ---- handshakes ---- */

static void half_handshakes_stop_nobody(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
	unsigned short port;
	World *w = *state;
	HttpClient *c[100];
	size_t closed = 0;

	port = (unsigned short)atoi(w->port);
	give_certificate(w, "alice", "alice", 3600);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = http_connect_tcp(port);
		http_send(c[i], hello, i % sizeof(hello));
	}
	is_user(w, "--cert alice.crt --key alice.key", "alice", "ops");
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		closed += http_is_closed(c[i], 14000);
		http_close(c[i]);
	}
	assert_int_equal(closed, ARRAY_SIZE(c));
}

static void what_is_no_tls_is_hung_up_on(void **state)
{
	World *w = *state;
	HttpClient *c = http_connect_tcp((unsigned short)atoi(w->port));

	http_sendf(c, "\x01\x02\x03 no protocol that we know");
	assert_true(http_is_closed(c, HTTP_DEADLINE_MS));
	http_close(c);
	must(w, "curl -s http://localhost:$PORT/livez | grep -q 'HTTP request to an HTTPS server'");
	must(w, "curl -sf --cacert ca.crt https://localhost:$PORT/livez");
}

static void old_protocols_and_renegotiation_are_off(void **state)
{
	World *w = *state;

	must(w, "! openssl s_client -connect localhost:$PORT -tls1_1 -cipher 'ALL:@SECLEVEL=0' "
		"</dev/null >/dev/null 2>&1");
	must(w,
	     "openssl s_client -connect localhost:$PORT -tls1_2 </dev/null 2>/dev/null | grep -q "
	     "'Cipher is ECDHE-ECDSA'");
	must(w,
	     "openssl s_client -connect localhost:$PORT -tls1_3 </dev/null 2>/dev/null | grep -q "
	     "'New, TLSv1.3'");
	/* R asks for another handshake; the connection does not survive it. */
	must(w,
	     "printf 'R\\nGET /livez HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' | timeout 10 "
	     "openssl s_client -connect localhost:$PORT -tls1_2 -quiet -CAfile ca.crt >out 2>&1; "
	     "! grep -q '^ok' out");
}

/* As systemd would pass it: on other addresses than loopback it is TLS, without being told. */
static void a_passed_socket_is_tls(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_(xfreep) char *line = NULL;
	World *w = *state;
	ServerOptions options = { .store = w->f->store,
				  .kinds = w->f->kinds,
				  .authority = w->ca,
				  .tls_name = "localhost",
				  .admin_gid = (gid_t)-1 };
	Server *s;

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_true(server_fd_needs_tls(fd));
	assert_int_equal(server_new(&options, &s, NULL), 0);
	assert_int_equal(server_listen_fd(s, fd, NULL), 0);
	assert_int_equal(server_start(s, NULL), 0);
	assert_true(str_has_prefix(server_endpoint(s), "https://localhost:"));
	line = xasprintf("curl -sf --cacert ca.crt %s/livez", server_endpoint(s));
	must(w, line);
	server_stop(s, 0);
	server_free(s);
}

/* In the numbers that an alert is made of. */
static void ends_and_attempts_are_counted(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *line = NULL, *header = give_token(w, "ci", "ci", 3600);
	_cleanup_(pki_secret_freep) char *token = bearer_new();
	json_t *tree = credential("boss", "boss", 3600);
	char hash[BEARER_HASH_MAX];

	json_set_at(tree, "spec.groups", json_pack("[s]", "system:masters"));
	json_set_at(tree, "spec.tokenHash", json_string(bearer_hash(token, hash)));
	store_credential(w, tree);
	is_user(w, header, "ci", "ops");
	is_refused(w, "-H 'Authorization: Bearer x'");
	line = xasprintf("curl -sf --cacert ca.crt -H 'Authorization: Bearer %s' "
			 "https://localhost:$PORT/metrics >metrics",
			 token);
	must(w, line);
	must(w, "grep -q '^sf_authentication_attempts_total{result=\"failure\"} 1$' metrics");
	must(w, "grep -q '^sf_authentication_attempts_total{result=\"success\"} 2$' metrics");
	for (int ca = 0; ca < 2; ca++) {
		_cleanup_(xfreep) char *grep = xasprintf(
			"grep -q '^sf_certificate_expiration_timestamp_seconds{certificate=\"%s\"} "
			"%llu$' metrics",
			ca ? "ca" : "server",
			(unsigned long long)((ca ? authority_ca_not_after(w->ca)
						 : authority_server_not_after(w->ca)) /
					     USEC_PER_SEC));

		must(w, grep);
	}
}

static void the_certificate_is_renewed_while_it_runs(void **state)
{
	_cleanup_(strbuf_done) StrBuf before = STRBUF_INIT, same = STRBUF_INIT, after = STRBUF_INIT;
	static const char line[] = "openssl s_client -connect localhost:$PORT </dev/null "
				   "2>/dev/null | openssl x509 -noout -serial -enddate";
	World *w = *state;

	assert_true(shell(w, line, &before));
	assert_true(shell(w, line, &same));
	assert_string_equal(strbuf_str(&before), strbuf_str(&same));
	fake_clock_advance(w->clock, 250 * DAY);
	assert_true(shell(w, line, &after));
	assert_string_not_equal(strbuf_str(&before), strbuf_str(&after));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_certificate_is_its_user),
		TEST(a_revoked_certificate_is_refused),
		TEST(an_object_that_expired_ends_its_certificate),
		TEST(an_expired_certificate_is_refused),
		TEST(foreign_certificates_are_refused),
		TEST(a_huge_certificate_ends_its_connection),
		TEST(headers_of_proxies_say_nothing),
		TEST(a_token_is_its_user),
		TEST(a_token_decides_over_a_certificate),
		TEST(wrong_tokens_are_refused),
		TEST(a_token_counts_on_every_transport),
		TEST(two_with_one_hash_are_two),
		TEST(an_answer_says_how_to_log_in),
		TEST(a_watch_ends_with_its_token),
		TEST(a_watch_ends_when_its_token_expires),
		TEST(half_handshakes_stop_nobody),
		TEST(what_is_no_tls_is_hung_up_on),
		TEST(old_protocols_and_renegotiation_are_off),
		TEST(a_passed_socket_is_tls),
		TEST(ends_and_attempts_are_counted),
		TEST(the_certificate_is_renewed_while_it_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
