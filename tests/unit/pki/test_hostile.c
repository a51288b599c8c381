/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client certificates that our own CA signed, but with names that nobody should have: made from
 * inside, because no tool makes them. Whoever holds such a one is nobody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/memory.h"
#include "pki/authority_internal.h"

#define DAY (24 * USEC_PER_HOUR)

typedef struct Subject {
	const char *user;
	size_t n_user;
	const char *group;
	size_t n_group;
} Subject;

static Authority *ca_in(char *dir)
{
	Authority *a;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(authority_open(&(AuthorityOptions){ .dir = dir }, &a, NULL), 0);
	return a;
}

/* Checks a certificate with exactly that subject, signed by the CA. */
static int check(Authority *a, const Subject *s, PkiCertificate *ret, Error *err)
{
	_cleanup_(gnutls_x509_privkey_deinitp) gnutls_x509_privkey_t key = NULL;
	_cleanup_(gnutls_x509_crt_deinitp) gnutls_x509_crt_t crt = NULL;
	_cleanup_(pki_secret_freep) char *pem = pki_key_new();
	usec_t now = clock_wall(clock_system());
	gnutls_datum_t der = { 0 };
	int rc;

	assert_int_equal(key_load(pem, &key, NULL), 0);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
	assert_int_equal(gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0), 0);
	if (s->user)
		assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0,
							       s->user, (unsigned)s->n_user),
				 0);
	if (s->group)
		assert_int_equal(gnutls_x509_crt_set_dn_by_oid(crt,
							       GNUTLS_OID_X520_ORGANIZATION_NAME, 0,
							       s->group, (unsigned)s->n_group),
				 0);
	assert_int_equal(authority_seal(a, crt, now - DAY, now + DAY, NULL), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &der), 0);
	rc = authority_check_client(a, der.data, der.size, ret, err);
	datum_free(&der);
	return rc;
}

#define TEXT(s) s, sizeof(s) - 1

static void names_that_are_no_names(void **state _unused_)
{
	static const Subject bad[] = {
		{TEXT("root\0.example.com"), NULL, 0          },
		{ TEXT("\0"),                NULL, 0          },
		{ TEXT("root\n"),            NULL, 0          },
		{ TEXT(" root"),             NULL, 0          },
		{ TEXT("\xff\xfe"),          NULL, 0          },
		{ NULL,                      0,    TEXT("ops")},
	};
	char dir[] = "/tmp/pki-hostile-XXXXXX";
	Authority *a = ca_in(dir);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		PkiCertificate c = { 0 };

		assert_int_equal(check(a, &bad[i], &c, &err), -ERR_FORBIDDEN);
		assert_non_null(strstr(error_message(&err), "names no user"));
	}
	authority_free(a);
	assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

/* A group cut at its NUL would be another group. */
static void groups_that_are_no_groups(void **state _unused_)
{
	static const Subject hash = { TEXT("#0c0161"), TEXT("#x") };
	static const Subject subject = { TEXT("alice"), TEXT("system:masters\0x") };
	char dir[] = "/tmp/pki-hostile-XXXXXX";
	Authority *a = ca_in(dir);
	PkiCertificate c = { 0 };

	assert_int_equal(check(a, &subject, &c, NULL), 0);
	assert_string_equal(c.user, "alice");
	assert_null(c.groups);
	pki_certificate_done(&c);
	/* What looks like an encoding is a name like others. */
	assert_int_equal(check(a, &hash, &c, NULL), 0);
	assert_string_equal(c.user, "#0c0161");
	assert_string_equal(c.groups[0], "#x");
	pki_certificate_done(&c);
	authority_free(a);
	assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_no_names),
		cmocka_unit_test(groups_that_are_no_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
