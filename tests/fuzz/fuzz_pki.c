/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever somebody sends as request, certificate, key, token or hash: PEM text, read as each of
 * them. What comes out as a name is one that may stand in a binding and in a log.
 */
#include "pki/pki.h"

#include "fuzz.h"

static void name_is_good(const char *name)
{
	FUZZ_REQUIRE(!name || pki_name_is_valid(name, strlen(name)));
}

static void as_request(const char *text)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *user = NULL;

	if (pki_request_check(text, &user, &err) == 0)
		name_is_good(user);
	else
		FUZZ_REQUIRE(!user && *error_message(&err));
}

static void as_certificate(const char *text)
{
	_cleanup_(error_done) Error err = ERROR_INIT, why = ERROR_INIT;
	PkiCertificate c = { 0 };

	if (pki_certificate_read(text, &c, &err) == 0) {
		name_is_good(c.user);
		strv_foreach (g, c.groups)
			name_is_good(*g);
		FUZZ_REQUIRE(strlen(c.serial) < PKI_SERIAL_MAX);
		pki_certificate_done(&c);
	} else {
		FUZZ_REQUIRE(*error_message(&err));
	}
	if (pki_server_explain(text, text, "localhost", 0, &why) < 0)
		FUZZ_REQUIRE(*error_message(&why));
	(void)pki_pair_check(text, text, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(xfreep) char *text = fuzz_text(data, size);
	char hash[BEARER_HASH_MAX];

	as_request(text);
	as_certificate(text);
	(void)pki_name_is_valid(text, size);
	FUZZ_REQUIRE(!bearer_is_wellformed(text) || strlen(text) == BEARER_LENGTH);
	FUZZ_REQUIRE(bearer_hash_is_wellformed(bearer_hash(text, hash)));
	FUZZ_REQUIRE(!bearer_hash_equal(hash, text) || streq(hash, text));
	return 0;
}
