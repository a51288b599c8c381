/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS sessions. See tls.h.
 */
#include "pki/tls.h"

#include "pki/internal.h"

#define HANDSHAKE_MAX \
	(64u * 1024) /* of one handshake message: a client's chain of certificates \
		      */

void tls_session_begin(void *session, Authority *a)
{
	gnutls_session_t s = session;

	/* The pointer of a session store, which we do not have, is free for ours; the one of the
	 * session itself is libmicrohttpd's. */
	gnutls_db_set_ptr(s, a);
	gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUEST);
	gnutls_handshake_set_max_packet_length(s, HANDSHAKE_MAX);
}

const void *tls_session_peer(void *session, size_t *ret_n)
{
	unsigned n = 0;
	const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);

	if (!list || n == 0)
		return NULL;
	*ret_n = list[0].size;
	return list[0].data;
}

const char *tls_session_version(void *session)
{
	return gnutls_protocol_get_name(gnutls_protocol_get_version(session));
}
