/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on a connection of the API, through the whole server: HTTP, routes, decoding, admission,
 * store. What comes back is answers of HTTP or nothing, no status is a 500 of ours, and the server
 * goes on answering. One server for all inputs, over a store in memory that admission bounds; the
 * input ends with the end of the connection's writing side.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "driver/fake/console.h"
#include "driver/fake/network.h"
#include "fuzz.h"
#include "server/server.h"

#define ANSWER_MAX 65536
#define PATIENCE   60000 /* ms; as long as the server may think about one input */

static char path[108];
static Server *server;

static void stop_server(void)
{
	server_stop(server, 0);
	unlink(path);
}

static void start_server(void)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *address = NULL;
	KindRegistry *kinds = kind_registry_new();
	ServerOptions options = { .kinds = kinds,
				  .console = fake_console_new(),
				  .network = fake_network_new(),
				  .node_name = "node-1",
				  .admin_gid = (gid_t)-1 };

	snprintf(path, sizeof(path), "/tmp/fuzz-http-%d.sock", (int)getpid());
	address = xasprintf("unix:%s", path);
	FUZZ_REQUIRE(store_open(memory_backend_new(), &(StoreOptions){ .kinds = kinds },
				&options.store, &err) == 0);
	FUZZ_REQUIRE(server_new(&options, &server, &err) == 0);
	FUZZ_REQUIRE(server_listen(server, address, &err) == 0);
	FUZZ_REQUIRE(server_start(server, &err) == 0);
	atexit(stop_server);
}

static int dial(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, path, sizeof(a.sun_path));
	FUZZ_REQUIRE(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

/* The fuzzer's own alarm interrupts system calls. */
static bool can_read(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int rc;

	do
		rc = poll(&p, 1, PATIENCE);
	while (rc < 0 && errno == EINTR);
	return rc == 1;
}

/* Sends it all and reads what comes until the server closes, or, for a watch, is quiet. */
static size_t converse(const uint8_t *data, size_t size, char *answer)
{
	int fd = dial();
	size_t sent = 0, got = 0;
	ssize_t n;

	while (sent < size) {
		n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break; /* it has heard enough */
		sent += (size_t)n;
	}
	shutdown(fd, SHUT_WR);
	for (;;) {
		FUZZ_REQUIRE(can_read(fd));
		n = recv(fd, answer + got, got < ANSWER_MAX - 1 ? ANSWER_MAX - 1 - got : 0, 0);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	close(fd);
	answer[got] = '\0';
	return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char answer[ANSWER_MAX];
	static const char health[] = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	size_t got;

	if (!server)
		start_server();
	got = converse(data, size, answer);
	FUZZ_REQUIRE(!got || str_has_prefix(answer, "HTTP/1."));
	FUZZ_REQUIRE(!str_has_prefix(answer, "HTTP/1.1 500"));
	got = converse((const uint8_t *)health, strlen(health), answer);
	FUZZ_REQUIRE(str_has_prefix(answer, "HTTP/1.1 200"));
	return 0;
}
