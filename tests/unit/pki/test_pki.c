/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki: names, tokens, requests; the CA with its files; the server's certificate and its renewal;
 * which client certificates are good. Hostile ones are made with openssl(1), which knows how to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "base/strbuf.h"
#include "pki/authority.h"

/* Now, in whole seconds, as certificates tell time; openssl(1) knows no other. */
static usec_t start;

typedef struct World {
	char dir[64], pki[80];
	Clock *clock;
	Authority *ca;
} World;

static int open_ca(World *w, char *const *names, Error *err)
{
	return authority_open(
		&(AuthorityOptions){
			.dir = w->pki, .clock = w->clock, .name = "node-1", .names = names },
		&w->ca, err);
}

static int setup(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	World *w = xnew0(World, 1);

	memcpy(w->dir, "/tmp/pki-test-XXXXXX", sizeof("/tmp/pki-test-XXXXXX"));
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->pki, sizeof(w->pki), "%s/pki", w->dir);
	start = clock_wall(clock_system()) / USEC_PER_SEC * USEC_PER_SEC;
	w->clock = fake_clock_new(USEC_PER_SEC, start);
	if (open_ca(w, NULL, &err) < 0)
		fail_msg("%s", error_message(&err));
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	World *w = *state;

	authority_free(w->ca);
	fake_clock_free(w->clock);
	assert_int_equal(fs_remove_tree(w->dir, NULL), 0);
	free(w);
	return 0;
}

static void reopen(World *w, char *const *names)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	w->ca = authority_free(w->ca);
	if (open_ca(w, names, &err) < 0)
		fail_msg("%s", error_message(&err));
}

/* It cannot be opened, and the error says this. */
static void reopen_fails(World *w, const char *what)
{
	_cleanup_(error_done) Error err = ERROR_INIT;

	w->ca = authority_free(w->ca);
	assert_true(open_ca(w, NULL, &err) < 0);
	if (!strstr(error_message(&err), what) || !strstr(error_message(&err), w->pki))
		fail_msg("\"%s\" does not say \"%s\"", error_message(&err), what);
}

static char *read_file(const World *w, const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", w->pki, name);
	char *text;

	assert_int_equal(fs_read(path, PKI_PEM_MAX, &text, NULL, NULL), 0);
	return text;
}

static void write_file(const World *w, const char *name, const char *text)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", w->pki, name);

	assert_int_equal(fs_write_atomic(path, text, strlen(text), 0600, false, NULL), 0);
}

static void remove_file(const World *w, const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/%s", w->pki, name);

	assert_int_equal(unlink(path), 0);
}

/* The bytes of a PEM text. */
static char *der_of(const char *pem, size_t *ret_n)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const char *from = strchr(pem, '\n'), *to = strstr(pem, "-----END");
	char *der;

	assert_true(from && to);
	for (; from < to; from++)
		if (*from != '\n')
			strbuf_addc(&b, *from);
	assert_int_equal(base64_decode(strbuf_str(&b), &der, ret_n, NULL), 0);
	return der;
}

static int check_pem(World *w, const char *pem, PkiCertificate *ret, Error *err)
{
	size_t n;
	_cleanup_(xfreep) char *der = der_of(pem, &n);

	return authority_check_client(w->ca, der, n, ret, err);
}

static PkiCertificate accepted(World *w, const char *pem)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	PkiCertificate c;

	if (check_pem(w, pem, &c, &err) < 0)
		fail_msg("%s", error_message(&err));
	return c;
}

static void refused(World *w, const char *pem, const char *why)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	PkiCertificate c = { 0 };

	assert_int_equal(check_pem(w, pem, &c, &err), -ERR_FORBIDDEN);
	if (!strstr(error_message(&err), why))
		fail_msg("\"%s\" does not say \"%s\"", error_message(&err), why);
}

static Issued issue(World *w, const char *user, char *const *groups, usec_t life)
{
	_cleanup_(pki_secret_freep) char *key = pki_key_new();
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *request = NULL;
	Issued issued;

	assert_int_equal(pki_request_new(key, user, groups, &request, NULL), 0);
	if (authority_sign(w->ca, request, user, groups, strv_len(groups),
			   clock_wall(w->clock) + life, &issued, &err) < 0)
		fail_msg("%s", error_message(&err));
	assert_int_equal(pki_pair_check(issued.certificate, key, NULL), 0);
	return issued;
}

/* A shell line in the folder of the files. */
static void shell(World *w, const char *script)
{
	_cleanup_(xfreep) char *line = xasprintf("cd %s && %s", w->pki, script);
	const char *const argv[] = { "/bin/sh", "-ec", line, NULL };
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	Context ctx = CONTEXT_BACKGROUND;

	if (spawn_run(&ctx, argv, &out, NULL, &err) < 0)
		fail_msg("%s: %s", script, error_message(&err));
}

/* ---- names and tokens ---- */

static void names_are_text(void **state _unused_)
{
	static const char *const good[] = { "alice",           "alice@example.com", "system:node:x",
					    "O'Neill",         "J\xc3\xbcrgen",     "a b",
					    "\xf0\x9f\x90\xa7" };
	static const char *const bad[] = { "",     " a",       "a ",       "a\n",          "\x7f",
					   "\xc3", "\xc0\xaf", "\xc2\x80", "\xed\xa0\x80", "a\tb" };
	char longest[PKI_NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(pki_name_is_valid(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(pki_name_is_valid(bad[i], strlen(bad[i])));
	assert_false(pki_name_is_valid("ali\0ce", 6));
	memset(longest, 'x', sizeof(longest));
	assert_true(pki_name_is_valid(longest, PKI_NAME_MAX));
	assert_false(pki_name_is_valid(longest, PKI_NAME_MAX + 1));
}

static void tokens_carry_a_checksum(void **state _unused_)
{
	_cleanup_(pki_secret_freep) char *token = bearer_new(), *other = bearer_new();
	char hash[BEARER_HASH_MAX], again[BEARER_HASH_MAX];

	assert_int_equal(strlen(token), BEARER_LENGTH);
	assert_true(bearer_is_wellformed(token));
	assert_string_not_equal(token, other);
	assert_true(bearer_hash_is_wellformed(bearer_hash(token, hash)));
	assert_true(bearer_hash_equal(hash, bearer_hash(token, again)));
	assert_false(bearer_hash_equal(hash, bearer_hash(other, again)));
	assert_false(bearer_hash_equal(hash, "sha256:"));
	for (size_t i = 0; i < BEARER_LENGTH; i++) {
		char kept = token[i];

		token[i] = kept == 'a' ? 'b' : 'a';
		assert_false(bearer_is_wellformed(token));
		token[i] = '\0';
		assert_false(bearer_is_wellformed(token));
		token[i] = kept;
	}
	assert_false(bearer_is_wellformed("sfp_"));
	assert_false(bearer_hash_is_wellformed("sha256:ABCD"));
}

/* ---- requests ---- */

static void requests_are_checked(void **state _unused_)
{
	_cleanup_(strv_freep) char **groups = strv_split("ops,dev", ',');
	_cleanup_(pki_secret_freep) char *key = pki_key_new();
	_cleanup_(xfreep) char *request = NULL, *user = NULL, *nobody = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	char *p;

	assert_int_equal(pki_request_new(key, "alice", groups, &request, &err), 0);
	assert_int_equal(pki_request_check(request, &user, &err), 0);
	assert_string_equal(user, "alice");
	assert_int_equal(pki_request_check("", &nobody, &err), -ERR_INVALID);
	assert_int_equal(pki_request_check("hello", &nobody, &err), -ERR_INVALID);
	assert_int_equal(pki_request_check(key, &nobody, &err), -ERR_INVALID);
	/* One changed character of the signature. */
	p = strstr(request, "-----END") - 40;
	while (*p == '\n')
		p--;
	*p = *p == 'A' ? 'B' : 'A';
	assert_int_equal(pki_request_check(request, &nobody, &err), -ERR_INVALID);
	assert_null(nobody);
}

static void weak_keys_are_refused(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *request = NULL, *user = NULL;
	World *w = *state;

	shell(w, "openssl req -new -newkey rsa:1024 -nodes -keyout x.key -subj /CN=alice "
		 "-out x.csr");
	request = read_file(w, "x.csr");
	assert_int_equal(pki_request_check(request, &user, &err), -ERR_INVALID);
	assert_non_null(strstr(error_message(&err), "2048"));
}

static void a_request_has_one_name(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *request = NULL, *user = NULL;
	World *w = *state;

	shell(w, "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
		 "x.key -subj /CN=alice/CN=root -out x.csr");
	request = read_file(w, "x.csr");
	assert_int_equal(pki_request_check(request, &user, &err), -ERR_INVALID);
	assert_non_null(strstr(error_message(&err), "more than one"));
}

/* ---- the CA ---- */

static void files_are_private(void **state)
{
	static const char *const files[] = { "ca.crt", "ca.key", "server.crt", "server.key" };
	World *w = *state;
	struct stat st;

	assert_int_equal(stat(w->pki, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(xfreep) char *path = xasprintf("%s/%s", w->pki, files[i]);

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void the_ca_stays(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *before = xstrdup(authority_ca(w->ca)), *server = NULL,
			       *after = NULL;

	server = read_file(w, "server.crt");
	reopen(w, NULL);
	assert_string_equal(authority_ca(w->ca), before);
	after = read_file(w, "server.crt");
	assert_string_equal(server, after);
}

static void broken_files_are_named(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *ca = read_file(w, "ca.crt"), *ca_key = read_file(w, "ca.key"),
			       *key = read_file(w, "server.key"), *crt = read_file(w, "server.crt");
	_cleanup_(pki_secret_freep) char *other = pki_key_new();

	write_file(w, "ca.crt", "nonsense");
	reopen_fails(w, "/ca.crt is broken");
	write_file(w, "ca.crt", crt);
	reopen_fails(w, "no CA's certificate");
	write_file(w, "ca.crt", ca);
	write_file(w, "ca.key", "");
	reopen_fails(w, "/ca.key is broken");
	write_file(w, "ca.key", other);
	reopen_fails(w, "/ca.key is not the key of ca.crt");
	remove_file(w, "ca.key");
	reopen_fails(w, "ca.key is missing");
	write_file(w, "ca.key", ca_key);
	write_file(w, "server.key", other);
	reopen_fails(w, "/server.key is not the key of server.crt: remove both");
	write_file(w, "server.key", "x");
	reopen_fails(w, "/server.key is broken: remove it");
	write_file(w, "server.key", key);
	write_file(w, "server.crt", "x");
	reopen_fails(w, "/server.crt is broken: remove it");
	/* And the mends work. */
	remove_file(w, "server.crt");
	reopen(w, NULL);
	remove_file(w, "server.key");
	reopen(w, NULL);
	remove_file(w, "ca.crt"); /* a start that broke off after the key */
	reopen(w, NULL);
	assert_string_not_equal(authority_ca(w->ca), ca);
}

static void an_expired_ca_is_an_error(void **state)
{
	World *w = *state;

	fake_clock_advance(w->clock, 3651 * PKI_DAY);
	reopen_fails(w, "expired at");
}

/* ---- the server's certificate ---- */

static PkiCertificate serving(const World *w)
{
	_cleanup_(xfreep) char *pem = read_file(w, "server.crt");
	PkiCertificate c;

	assert_int_equal(pki_certificate_read(pem, &c, NULL), 0);
	return c;
}

static void the_server_has_all_names(void **state)
{
	_cleanup_(strv_freep) char **names =
		strv_split("sfd.example.com,192.0.2.7,2001:db8::7", ',');
	static const char *const want[] = { "localhost",       "127.0.0.1", "::1",        "node-1",
					    "sfd.example.com", "192.0.2.7", "2001:db8::7" };
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *pem = NULL;
	char host[256] = "";
	World *w = *state;
	PkiCertificate c;

	reopen(w, names);
	c = serving(w);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (!strv_contains(c.names, want[i]))
			fail_msg("%s is missing", want[i]);
	assert_int_equal(gethostname(host, sizeof(host) - 1), 0);
	assert_true(strv_contains(c.names, host));
	assert_true(c.for_server && !c.for_client && !c.is_ca);
	pki_certificate_done(&c);
	pem = read_file(w, "server.crt");
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		if (pki_server_explain(pem, authority_ca(w->ca), want[i], start, &err) < 0)
			fail_msg("%s: %s", want[i], error_message(&err));
}

static void the_server_is_renewed_in_time(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *first = read_file(w, "server.crt"), *same = NULL, *second = NULL,
			       *key = read_file(w, "server.key"), *key_after = NULL;
	usec_t end = authority_server_not_after(w->ca);

	fake_clock_advance(w->clock, 240 * PKI_DAY);
	assert_int_equal(authority_refresh(w->ca, NULL, NULL), 0);
	same = read_file(w, "server.crt");
	assert_string_equal(first, same);
	fake_clock_advance(w->clock, 5 * PKI_DAY);
	assert_int_equal(authority_refresh(w->ca, NULL, NULL), 1);
	assert_int_equal(authority_refresh(w->ca, NULL, NULL), 0);
	assert_true(authority_server_not_after(w->ca) > end + 200 * PKI_DAY);
	second = read_file(w, "server.crt");
	assert_string_not_equal(first, second);
	key_after = read_file(w, "server.key");
	assert_string_equal(key, key_after);
	/* One that slept over the end is renewed at the start. */
	fake_clock_advance(w->clock, 400 * PKI_DAY);
	reopen(w, NULL);
	assert_true(authority_server_not_after(w->ca) > clock_wall(w->clock) + 300 * PKI_DAY);
}

static void a_new_address_is_taken_in(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	World *w = *state;
	PkiCertificate c;
	IpAddress ip;

	assert_int_equal(ip_parse("198.51.100.9", &ip, NULL), 0);
	assert_int_equal(authority_refresh(w->ca, &ip, &err), 1);
	c = serving(w);
	assert_true(strv_contains(c.names, "198.51.100.9"));
	pki_certificate_done(&c);
	/* Not more often than once a minute, whoever connects to what. */
	assert_int_equal(ip_parse("198.51.100.10", &ip, NULL), 0);
	assert_int_equal(authority_refresh(w->ca, &ip, &err), 0);
	fake_clock_advance(w->clock, USEC_PER_MIN);
	assert_int_equal(authority_refresh(w->ca, &ip, &err), 1);
	c = serving(w);
	assert_true(strv_contains(c.names, "198.51.100.9"));
	assert_true(strv_contains(c.names, "198.51.100.10"));
	pki_certificate_done(&c);
	fake_clock_advance(w->clock, USEC_PER_MIN);
	assert_int_equal(ip_parse("127.0.0.77", &ip, NULL), 0);
	assert_int_equal(authority_refresh(w->ca, &ip, &err), 0);
}

static void a_renewal_that_fails_keeps_the_old_one(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	World *w = *state;
	usec_t end = authority_server_not_after(w->ca);

	remove_file(w, "server.key");
	fake_clock_advance(w->clock, 250 * PKI_DAY);
	assert_true(authority_refresh(w->ca, NULL, &err) < 0);
	assert_non_null(strstr(error_message(&err), "server.key"));
	assert_true(authority_server_not_after(w->ca) == end);
}

static void another_ca_makes_another_server(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *before = read_file(w, "server.crt"), *after = NULL;

	remove_file(w, "ca.crt");
	remove_file(w, "ca.key");
	reopen(w, NULL);
	after = read_file(w, "server.crt");
	assert_string_not_equal(before, after);
}

static void a_client_is_told_what_is_wrong(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *pem = read_file(w, "server.crt"),
			       *ca = xstrdup(authority_ca(w->ca));
	static const struct {
		const char *host, *says;
		usec_t later;
		bool other_ca;
	} cases[] = {
		{"example.org", "not for \"example.org\" but for localhost, 127.0.0.1", 0,             false},
		{ "localhost",  "expired at",                                           400 * PKI_DAY, false},
		{ "localhost",  "CA that is not trusted here: CN=sfd CA node-1",        0,             true },
	};

	remove_file(w, "ca.crt");
	remove_file(w, "ca.key");
	reopen(w, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;

		assert_int_equal(pki_server_explain(pem,
						    cases[i].other_ca ? authority_ca(w->ca) : ca,
						    cases[i].host, start + cases[i].later, &err),
				 cases[i].other_ca ? -ERR_NOT_FOUND : -ERR_FORBIDDEN);
		if (!strstr(error_message(&err), cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", error_message(&err), cases[i].says);
	}
}

/* ---- clients ---- */

static void a_client_is_who_was_signed(void **state)
{
	_cleanup_(strv_freep) char **groups = strv_split("ops,system:masters", ',');
	_cleanup_(issued_done) Issued issued = { 0 };
	World *w = *state;
	PkiCertificate c;

	issued = issue(w, "J\xc3\xbcrgen@example.com", groups, 30 * PKI_DAY);
	c = accepted(w, issued.certificate);
	assert_string_equal(c.user, "J\xc3\xbcrgen@example.com");
	assert_int_equal(strv_len(c.groups), 2);
	assert_string_equal(c.groups[0], "ops");
	assert_string_equal(c.groups[1], "system:masters");
	assert_string_equal(c.serial, issued.serial);
	assert_int_equal(strlen(c.serial), 32);
	assert_true(c.not_after == start + 30 * PKI_DAY && issued.not_after == c.not_after);
	assert_true(c.not_before < start);
	pki_certificate_done(&c);
	fake_clock_advance(w->clock, 31 * PKI_DAY);
	refused(w, issued.certificate, "expired");
}

static void the_subject_is_ours_not_the_requests(void **state)
{
	_cleanup_(xfreep) char *request = NULL;
	_cleanup_(issued_done) Issued issued = { 0 };
	World *w = *state;
	PkiCertificate c;

	shell(w, "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "
		 "x.key -subj /O=system:masters/OU=x/CN=root -addext basicConstraints=CA:TRUE "
		 "-out x.csr");
	request = read_file(w, "x.csr");
	assert_int_equal(
		authority_sign(w->ca, request, "bob", NULL, 0, start + PKI_DAY, &issued, NULL), 0);
	c = accepted(w, issued.certificate);
	assert_string_equal(c.subject, "CN=bob");
	assert_null(c.groups);
	assert_false(c.is_ca);
	pki_certificate_done(&c);
}

static void nothing_outlives_the_ca(void **state)
{
	_cleanup_(issued_done) Issued issued = { 0 };
	World *w = *state;

	issued = issue(w, "alice", NULL, 36500 * PKI_DAY);
	assert_true(issued.not_after == authority_ca_not_after(w->ca));
}

static void other_certificates_are_refused(void **state)
{
	World *w = *state;
	_cleanup_(xfreep) char *server = read_file(w, "server.crt"), *ca = read_file(w, "ca.crt");
	_cleanup_(issued_done) Issued issued = issue(w, "alice", NULL, PKI_DAY);
	PkiCertificate c;

	refused(w, server, "not for clients");
	refused(w, ca, "not for clients");
	assert_int_equal(authority_check_client(w->ca, "x", 1, &c, NULL), -ERR_FORBIDDEN);
	assert_int_equal(authority_check_client(w->ca, "", 0, &c, NULL), -ERR_FORBIDDEN);
	remove_file(w, "ca.crt");
	remove_file(w, "ca.key");
	reopen(w, NULL);
	refused(w, issued.certificate, "not signed by this server's CA");
}

/* Signed with the CA's own key by somebody who got hold of it, or by a mistake. */
static void hostile_names_are_refused(void **state)
{
	static const struct {
		const char *subject, *why;
	} cases[] = {
		{"/",                  "names no user"},
		{ "/O=ops",            "names no user"},
		{ "/CN=alice/CN=root", "names no user"},
		{ "/CN=",              "names no user"},
	};
	World *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(xfreep) char *pem = NULL,
				       *line = xasprintf(
					       "openssl req -new -newkey ec -pkeyopt "
					       "ec_paramgen_curve:P-256 -nodes "
					       "-keyout x.key -subj '%s' -out x.csr && printf "
					       "'extendedKeyUsage=clientAuth' >x.ext && "
					       "openssl x509 -req -in x.csr -CA ca.crt -CAkey "
					       "ca.key -set_serial 77 "
					       "-extfile x.ext -days 3650 -out x.crt",
					       cases[i].subject);

		shell(w, line);
		pem = read_file(w, "x.crt");
		fake_clock_advance(w->clock, USEC_PER_HOUR);
		refused(w, pem, cases[i].why);
	}
}

static void the_doctor_reads_only(void **state)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *none = NULL;
	World *w = *state;
	usec_t ca, server;

	none = xasprintf("%s/none", w->dir);
	assert_int_equal(authority_inspect(none, start, &ca, &server, &err), -ERR_NOT_FOUND);
	assert_false(fs_exists(none));
	assert_int_equal(authority_inspect(w->pki, start, &ca, &server, &err), 0);
	assert_true(ca == authority_ca_not_after(w->ca));
	assert_true(server == authority_server_not_after(w->ca));
	write_file(w, "ca.key", "x");
	assert_int_equal(authority_inspect(w->pki, start, &ca, &server, &err), -ERR_INVALID);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_text),
		cmocka_unit_test(tokens_carry_a_checksum),
		cmocka_unit_test(requests_are_checked),
		TEST(weak_keys_are_refused),
		TEST(a_request_has_one_name),
		TEST(files_are_private),
		TEST(the_ca_stays),
		TEST(broken_files_are_named),
		TEST(an_expired_ca_is_an_error),
		TEST(the_server_has_all_names),
		TEST(the_server_is_renewed_in_time),
		TEST(a_new_address_is_taken_in),
		TEST(a_renewal_that_fails_keeps_the_old_one),
		TEST(another_ca_makes_another_server),
		TEST(a_client_is_told_what_is_wrong),
		TEST(a_client_is_who_was_signed),
		TEST(the_subject_is_ours_not_the_requests),
		TEST(nothing_outlives_the_ca),
		TEST(other_certificates_are_refused),
		TEST(hostile_names_are_refused),
		TEST(the_doctor_reads_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
