/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS: what the server asks of a connection's session. Sessions are GnuTLS' (gnutls_session_t) as
 * libmicrohttpd hands them out, without a type here: its headers have none either.
 *
 * Threads: the one that runs the connection.
 */
#pragma once

#include "pki/authority.h"

/*
 * TLS 1.2 and 1.3, forward secrecy, authenticated ciphers. No tickets and no resumption: a
 * connection is authenticated by its own handshake or not at all.
 */
#define TLS_PRIORITIES \
	"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:-AES-128-CBC:-AES-256-CBC:" \
	"-CAMELLIA-128-CBC:-CAMELLIA-256-CBC:-SHA1:%SERVER_PRECEDENCE"

/* What libmicrohttpd wants for MHD_OPTION_HTTPS_CERT_CALLBACK2. */
typedef void (*TlsRetrieveFn)(void);
TlsRetrieveFn tls_retrieve_function(void);

/* Before the handshake: the server's certificate comes from `a`, the client is asked for one. */
void tls_session_begin(void *session, Authority *a);
/* The client's own certificate as it was sent, DER; NULL = it sent none. Borrowed. */
const void *tls_session_peer(void *session, size_t *ret_n);
/* "TLS1.3" and the like. */
const char *tls_session_version(void *session);
