/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address guard. See guard.h. Sources: IANA special-purpose address registries; RFC 6890, 6052,
 * 3056; the metadata addresses from the clouds' own documentation.
 */
#include "driver/image/guard.h"

#include <stdio.h>

#include "base/memory.h"

typedef enum RangeKind { RANGE_ALWAYS, RANGE_LOOPBACK, RANGE_PRIVATE } RangeKind;

static const struct {
	const char *prefix;
	RangeKind kind;
	const char *what;
} ranges[] = {
	{"0.0.0.0/8",           RANGE_ALWAYS,   "this host"                 },
	{ "127.0.0.0/8",        RANGE_LOOPBACK, "loopback"                  },
	{ "169.254.0.0/16",     RANGE_ALWAYS,   "link-local or metadata"    },
	{ "100.100.100.200/32", RANGE_ALWAYS,   "metadata"                  },
	{ "168.63.129.16/32",   RANGE_ALWAYS,   "metadata"                  },
	{ "192.0.0.0/24",       RANGE_ALWAYS,   "protocol assignments"      },
	{ "224.0.0.0/4",        RANGE_ALWAYS,   "multicast"                 },
	{ "240.0.0.0/4",        RANGE_ALWAYS,   "reserved or a transit link"},
	{ "10.0.0.0/8",         RANGE_PRIVATE,  "private"                   },
	{ "172.16.0.0/12",      RANGE_PRIVATE,  "private"                   },
	{ "192.168.0.0/16",     RANGE_PRIVATE,  "private"                   },
	{ "100.64.0.0/10",      RANGE_PRIVATE,  "shared address space"      },
	{ "198.18.0.0/15",      RANGE_PRIVATE,  "benchmarking"              },
	{ "::/128",             RANGE_ALWAYS,   "unspecified"               },
	{ "::1/128",            RANGE_LOOPBACK, "loopback"                  },
	{ "fe80::/10",          RANGE_ALWAYS,   "link-local"                },
	{ "fec0::/10",          RANGE_ALWAYS,   "site-local"                },
	{ "ff00::/8",           RANGE_ALWAYS,   "multicast"                 },
	{ "fd73:6664::/32",     RANGE_ALWAYS,   "a transit link"            },
	{ "fd00:ec2::254/128",  RANGE_ALWAYS,   "metadata"                  },
	{ "fc00::/7",           RANGE_PRIVATE,  "private"                   },
};

/* IPv6 prefixes that carry an IPv4 address, and where. */
static const struct {
	const char *prefix;
	size_t offset;
} embedded[] = {
	{"::/96",           12},
	{ "64:ff9b::/96",   12},
	{ "64:ff9b:1::/48", 12},
	{ "2002::/16",      2 },
};

static bool contains(const char *prefix, const IpAddress *a)
{
	IpPrefix p;

	return ip_prefix_parse(prefix, &p, NULL) == 0 && ip_prefix_contains(&p, a);
}

static int address_check(const Guard *g, const IpAddress *a, Error *err)
{
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		if (!contains(ranges[i].prefix, a))
			continue;
		if (ranges[i].kind == RANGE_LOOPBACK && g->allow_loopback)
			return 0;
		if (ranges[i].kind == RANGE_PRIVATE && !g->deny_private)
			continue;
		return error_set(err, ERR_FORBIDDEN, "address %s is refused: %s",
				 ip_format(a, text), ranges[i].what);
	}
	return 0;
}

static IpAddress ipv4_at(const uint8_t *p)
{
	IpAddress a = { .family = AF_INET };

	memcpy(a.bytes, p, 4);
	return a;
}

static int check_ipv6(const Guard *g, const IpAddress *a, Error *err)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	IpAddress inner;
	int rc = address_check(g, a, err);

	if (rc < 0)
		return rc;
	if (memcmp(a->bytes, mapped, sizeof(mapped)) == 0) {
		inner = ipv4_at(a->bytes + 12);
		return address_check(g, &inner, err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(embedded); i++) {
		/* ::1 has been judged as itself. */
		if (!contains(embedded[i].prefix, a) || contains("::1/128", a))
			continue;
		inner = ipv4_at(a->bytes + embedded[i].offset);
		return address_check(g, &inner, err);
	}
	return 0;
}

int guard_check(const Guard *g, const struct sockaddr *address, Error *err)
{
	IpAddress a = { 0 };

	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		a = ipv4_at((const uint8_t *)&in->sin_addr);
		return address_check(g, &a, err);
	}
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		a.family = AF_INET6;
		memcpy(a.bytes, &in6->sin6_addr, 16);
		return check_ipv6(g, &a, err);
	}
	return error_set(err, ERR_FORBIDDEN, "address family %d is refused", address->sa_family);
}
