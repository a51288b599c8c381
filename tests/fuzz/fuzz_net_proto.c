/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between sfd and the net role: as a value (JSON text) and as a stream of frames. A config
 * that decodes is valid and comes back from its own encoding.
 */
#include "driver/net/proto.h"
#include "fuzz.h"

static void config(const json_t *v)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(json_decrefp) json_t *encoded = NULL;
	NetworkPort *ports = NULL, *ports_again = NULL;
	NetworkConfig c, again;

	if (proto_config_decode(v, &c, &ports, &err) < 0) {
		FUZZ_REQUIRE(!ports && *error_message(&err));
		return;
	}
	FUZZ_REQUIRE(network_config_validate(&c, &err) == 0);
	encoded = proto_config_encode(&c);
	FUZZ_REQUIRE(proto_config_decode(encoded, &again, &ports_again, &err) == 0);
	FUZZ_REQUIRE(network_settings_equal(&c, &again) && c.n_ports == again.n_ports);
	for (size_t i = 0; i < c.n_ports; i++)
		FUZZ_REQUIRE(network_port_equal(&c.ports[i], &again.ports[i]));
	free(ports);
	free(ports_again);
}

static void value(const json_t *v)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	NetworkEntry *entries = NULL;
	NetworkStatus status;
	size_t n;

	config(v);
	proto_status_decode(v, &status, NULL);
	if (proto_entries_decode(v, &entries, &n, NULL) == 0)
		free(entries);
	FUZZ_REQUIRE(proto_error_decode(v, &err) < 0);
}

static void frames(const uint8_t *data, size_t size)
{
	ProtoReader r = PROTO_READER_INIT;
	json_t *v;
	int fd;

	strbuf_add(&r.buf, size ? (const char *)data : "", size);
	while (proto_next(&r, &v, &fd, NULL) == 1) {
		FUZZ_REQUIRE(fd == -1);
		value(v);
		json_decref(v);
	}
	proto_reader_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_decrefp) json_t *v = fuzz_json(data, size);

	if (v)
		value(v);
	frames(data, size);
	return 0;
}
