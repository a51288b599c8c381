/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The net role's protocol: what goes round comes round, and nothing that could become a line of nft
 * or dnsmasq gets through, whoever sends it.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "driver/net/proto.h"
#include "json/json.h"

#define STORE "22222222-2222-4222-8222-222222222222"
#define UID   "33333333-3333-4333-8333-333333333333"

static NetworkPort ports[2];

static NetworkConfig config(void)
{
	NetworkConfig c = { .store_id = STORE,
			    .uid = UID,
			    .vni = 7,
			    .dhcp = true,
			    .dns = true,
			    .domain = "lab.internal",
			    .egress = EGRESS_NAT,
			    .mtu = 1450,
			    .ports = ports,
			    .n_ports = 2 };

	ip_prefix_parse("10.20.0.0/24", &c.prefix4, NULL);
	ip_parse("10.20.0.1", &c.gateway4, NULL);
	ip_prefix_parse("fd00:20::/64", &c.prefix6, NULL);
	ip_parse("fd00:20::1", &c.gateway6, NULL);
	ip_parse("192.0.2.53", &c.upstreams[c.n_upstreams++], NULL);
	for (unsigned i = 0; i < 2; i++) {
		ports[i] = (NetworkPort){
			.id = 1 + i, .uid = UID, .n_addresses = 2, .multi_queue = i
		};
		snprintf(ports[i].hostname, sizeof(ports[i].hostname), "web-%u", i);
		mac_parse(i ? "52:54:00:00:00:01" : "52:54:00:00:00:02", &ports[i].mac, NULL);
		ip_parse(i ? "10.20.0.10" : "10.20.0.11", &ports[i].addresses[0], NULL);
		ip_parse(i ? "fd00:20::10" : "fd00:20::11", &ports[i].addresses[1], NULL);
	}
	return c;
}

static int decode(json_t *v, Error *err)
{
	NetworkPort *p = NULL;
	NetworkConfig c;
	int rc = proto_config_decode(v, &c, &p, err);

	free(p);
	return rc;
}

static void test_round(void **state)
{
	NetworkConfig c = config(), back;
	NetworkStatus s = { .ready = true,
			    .changes = 3,
			    .message = "x",
			    .mtu = 1450,
			    .bridge = "sfb7",
			    .netns = "sf-7",
			    .dnsmasq_pid = 77 },
		      t;
	NetworkEntry e = { .vni = 7, .store_id = STORE, .uid = UID }, *entries;
	NetworkPort *p = NULL;
	Error err = ERROR_INIT, other = ERROR_INIT;
	json_t *v = proto_config_encode(&c);
	size_t n;

	(void)state;
	assert_int_equal(proto_config_decode(v, &back, &p, &err), 0);
	assert_true(network_settings_equal(&c, &back));
	for (size_t i = 0; i < 2; i++)
		assert_true(network_port_equal(&c.ports[i], &p[i]));
	free(p);
	json_decref(v);
	v = proto_status_encode(&s);
	assert_int_equal(proto_status_decode(v, &t, &err), 0);
	assert_memory_equal(&s, &t, sizeof(s));
	json_decref(v);
	v = proto_entries_encode(&e, 1);
	assert_int_equal(proto_entries_decode(v, &entries, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(entries[0].uid, UID);
	free(entries);
	json_decref(v);
	error_set(&err, ERR_CONFLICT, "no");
	v = proto_error_encode(&err, -ERR_CONFLICT);
	assert_int_equal(proto_error_decode(v, &other), -ERR_CONFLICT);
	assert_string_equal(error_message(&other), "no");
	json_decref(v);
	error_done(&err);
	error_done(&other);
}

/* One member of the whole is replaced by something hostile. */
static void test_hostile(void **state)
{
	static const struct {
		const char *path, *value; /* JSON */
	} cases[] = {
		{"domain",     "\"lab\\nserver=6.6.6.6\""                  },
		{ "domain",    "\"lab,10.0.0.0/8\""                        },
		{ "domain",    "\"\""				      },
		{ "domain",    "\"Lab\""                                   },
		{ "domain",    "\"a..b\""                                  },
		{ "domain",    "\"lab\\u0000x\""                           },
		{ "domain",    "7"					 },
		{ "store",     "\"x\""				     },
		{ "uid",       "\"../../etc/passwd/aaaa-aaaa-aaaaaaaaaaa\""},
		{ "vni",       "0"					 },
		{ "vni",       "16777216"                                  },
		{ "vni",       "-1"					},
		{ "vni",       "1.5"				       },
		{ "mtu",       "100"				       },
		{ "mtu",       "70000"				     },
		{ "egress",    "3"					 },
		{ "prefix4",   "\"10.20.0.0/30\""                          },
		{ "prefix4",   "\"10.20.0.1/24\""                          },
		{ "prefix4",   "\"10.20.0.0/24; drop\""                    },
		{ "prefix4",   "\"fd00::/64\""                             },
		{ "gateway4",  "\"10.20.0.0\""                             },
		{ "gateway4",  "\"10.20.0.255\""                           },
		{ "gateway4",  "\"10.21.0.1\""                             },
		{ "gateway4",  "null"				      },
		{ "upstreams", "[\"1.2.3.4\\nuser=root\"]"                 },
		{ "upstreams", "[null]"                                    },
		{ "upstreams", "[1,2,3,4,5,6,7,8,9]"                       },
		{ "ports",     "{}"					},
		{ "ports",     "[{}]"				      },
		{ "extra",     "1"					 },
		{ "dhcp",      "\"yes\""                                   },
	};
	static const struct {
		const char *path, *value;
	} port_cases[] = {
		{"hostname",    "\"a,ignore\""                                },
		{ "hostname",   "\"a\\nb\""                                   },
		{ "hostname",   "\"-a\""                                      },
		{ "hostname",   "\"\""					},
		{ "hostname",   "\"a.b\""                                     },
		{ "mac",        "\"ff:ff:ff:ff:ff:ff\""                       },
		{ "mac",        "\"02:73:66:00:00:07\""                       },
		{ "mac",        "\"02:73:67:00:00:01\""                       },
		{ "mac",        "\"52:54:00:00:00:01\""                       }, /* the other port's */
		{ "id",         "0"					   },
		{ "id",         "2"					   }, /* the other port's */
		{ "id",         "4294967296"                                  },
		{ "uid",        "\"no\""				      },
		{ "addresses",  "[\"10.20.0.1\"]"                             },
		{ "addresses",  "[\"10.20.0.10\"]"                            }, /* the other port's */
		{ "addresses",  "[\"10.20.1.10\"]"                            },
		{ "addresses",  "[\"10.20.0.0\"]"                             },
		{ "addresses",  "[\"fd00:20::\"]"                             },
		{ "addresses",  "[\"10.20.0.20\",\"10.20.0.21\",\"10.20.0.22\",\"10.20.0.23\","
			       "\"10.20.0.24\"]"},
		{ "multiQueue", "1"					   },
	};
	NetworkConfig c = config();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases) + ARRAY_SIZE(port_cases); i++) {
		bool port = i >= ARRAY_SIZE(cases);
		const char *path = port ? port_cases[i - ARRAY_SIZE(cases)].path : cases[i].path;
		const char *value = port ? port_cases[i - ARRAY_SIZE(cases)].value : cases[i].value;
		_cleanup_(error_done) Error err = ERROR_INIT;
		json_t *v = proto_config_encode(&c), *at = v;

		if (port)
			at = json_array_get(json_object_get(v, "ports"), 0);
		json_object_set_new(at, path,
				    json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
		print_message("%s = %s\n", path, value);
		assert_true(decode(v, &err) < 0);
		assert_non_null(err.message);
		json_decref(v);
	}
}

static void test_frames(void **state)
{
	Context ctx = CONTEXT_BACKGROUND;
	ProtoReader r = PROTO_READER_INIT;
	Error err = ERROR_INIT;
	uint32_t head;
	int s[2], fd, pair[2];
	json_t *v;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(proto_read(&r, s[1], &err), 0);
	/* A frame without and one with a descriptor, read as they come. */
	v = json_pack("{s:i, s:b}", "id", 1, "fd", 0);
	assert_int_equal(proto_send(s[0], v, -1, &ctx, &err), 0);
	json_decref(v);
	v = json_pack("{s:i, s:b}", "id", 2, "fd", 1);
	assert_int_equal(proto_send(s[0], v, pair[0], &ctx, &err), 0);
	json_decref(v);
	while (proto_read(&r, s[1], &err) > 0)
		;
	assert_int_equal(proto_next(&r, &v, &fd, &err), 1);
	assert_int_equal(json_integer_value(json_object_get(v, "id")), 1);
	assert_int_equal(fd, -1);
	json_decref(v);
	assert_int_equal(proto_next(&r, &v, &fd, &err), 1);
	assert_int_equal(json_integer_value(json_object_get(v, "id")), 2);
	assert_true(fd >= 0);
	close(fd);
	json_decref(v);
	assert_int_equal(proto_next(&r, &v, &fd, &err), 0);
	/* Too long; no JSON; the end. */
	head = htonl(PROTO_FRAME_MAX + 1);
	assert_int_equal(write(s[0], &head, 4), 4);
	assert_int_equal(proto_read(&r, s[1], &err), 1);
	assert_int_equal(proto_next(&r, &v, &fd, &err), -ERR_INVALID);
	proto_reader_done(&r);
	r = PROTO_READER_INIT;
	head = htonl(2);
	assert_int_equal(write(s[0], &head, 4), 4);
	assert_int_equal(write(s[0], "x{", 2), 2);
	while (proto_read(&r, s[1], &err) > 0)
		;
	assert_true(proto_next(&r, &v, &fd, &err) < 0);
	close(s[0]);
	assert_int_equal(proto_read(&r, s[1], &err), -ERR_UNAVAILABLE);
	proto_reader_done(&r);
	error_done(&err);
	close(s[1]);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
