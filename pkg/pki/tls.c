/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS sessions. See tls.h.
 */
#include "pki/tls.h"

#include <errno.h>
#include <sys/socket.h>

#include "pki/internal.h"

#define RECORD_HEADER 5
#define HANDSHAKE_MAX \
	(64u * 1024) /* of one handshake message: a client's chain of certificates \
		      */

/*
 * Somebody speaks plain HTTP here: told so in it, as Go's servers do, before the handshake fails. A
 * record begins with five bytes that are read alone, and its type is never a letter.
 */
static ssize_t receive(gnutls_transport_ptr_t transport, void *data, size_t n)
{
	static const char answer[] = "HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n"
				     "Client sent an HTTP request to an HTTPS server.\n";
	int fd = (int)(intptr_t)transport;
	ssize_t got = recv(fd, data, n, 0);
	const unsigned char *first = data;
	char rest[1024];

	if (got != RECORD_HEADER || n != RECORD_HEADER || *first < 'A' || *first > 'Z')
		return got;
	(void)send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	/* What he sent is not left unread, or the reset that follows would take our answer along.
	 */
	for (int i = 0; i < 8 && recv(fd, rest, sizeof(rest), MSG_DONTWAIT) > 0; i++)
		;
	errno = ECONNRESET;
	return -1;
}

void tls_session_begin(void *session, Authority *a)
{
	gnutls_session_t s = session;

	/* The pointer of a session store, which we do not have, is free for ours; the one of the
	 * session itself is libmicrohttpd's. */
	gnutls_db_set_ptr(s, a);
	gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUEST);
	gnutls_handshake_set_max_packet_length(s, HANDSHAKE_MAX);
	gnutls_transport_set_pull_function(s, receive);
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
