/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records: the entries that hang on links: addresses, routes, permanent neighbours, static FDB
 * entries. Wanted and observed ones are lists of one type, sorted and walked into a difference.
 */
#pragma once

#include "base/ip.h"
#include "driver/net/change.h"
#include "driver/net/netlink.h"

typedef enum RecordKind {
	RECORD_FDB,
	RECORD_ADDRESS,
	RECORD_NEIGHBOUR,
	RECORD_ROUTE, /* after what they need */
} RecordKind;

typedef struct Record {
	RecordKind kind;
	unsigned index;    /* of the link */
	IpAddress address; /* or destination */
	unsigned length;   /* of the prefix */
	MacAddress mac;    /* FDB: the key; neighbour: the value */
	IpAddress via;     /* route: gateway, family 0 = none */
	unsigned metric;   /* observed only; the kernel's default for IPv6 */
} Record;

typedef struct Records {
	Record *records;
	size_t n, cap;
} Records;

void records_add(Records *l, const Record *r);
void records_done(Records *l);

/* Addresses of the given links in nl's namespace. */
int records_list_addresses(Netlink *nl, const unsigned *indexes, size_t n, Records *to, Error *err);
/* Routes with our protocol out of the given links. */
int records_list_routes(Netlink *nl, const unsigned *indexes, size_t n, Records *to, Error *err);
/* Permanent neighbours on the given links. */
int records_list_neighbours(Netlink *nl, const unsigned *indexes, size_t n, Records *to,
			    Error *err);
/* Static entries of a bridge's ports. */
int records_list_fdb(Netlink *nl, unsigned bridge, Records *to, Error *err);

/* Makes `have` into `want`; both get sorted. `where` is for the text. */
int records_converge(Netlink *nl, Records *have, Records *want, const char *where, Change *c,
		     Error *err);
int record_set(Netlink *nl, const Record *r, bool remove, Error *err);
