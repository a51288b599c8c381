/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port: the NoCloud seed of a guest (cloud-init's data source): an ISO 9660 image labelled "cidata"
 * with user-data, meta-data and network-config (version 2). Format: cloud-init documentation,
 * "NoCloud" and "Networking config version 2". The file may hold secrets: mode 0600, written whole
 * or not at all.
 *
 * Implementations: seed/ (libisofs) and fake/. Blocks on the disk; any thread.
 */
#pragma once

#include "base/context.h"
#include "base/ip.h"

typedef struct SeedNic {
	const char *name; /* interface name in the guest */
	MacAddress mac;
	bool dhcp4, dhcp6;
	IpAddress addresses[4]; /* static ones, where DHCP is off */
	unsigned prefix_lengths[4];
	size_t n_addresses;
	IpAddress gateway4, gateway6; /* family 0 = none */
	IpAddress name_servers[4];
	size_t n_name_servers;
	const char *search; /* domain or NULL */
	unsigned mtu;
} SeedNic;

typedef struct SeedConfig {
	const char *path;        /* absolute; ends in .iso */
	const char *instance_id; /* change = "a new machine" for cloud-init */
	const char *hostname;
	const char *domain;    /* NULL = none */
	const char *user_data; /* NULL = a minimal #cloud-config */
	size_t user_data_len;
	char *const *ssh_keys; /* strv, may be NULL */
	const SeedNic *nics;
	size_t n_nics;
} SeedConfig;

/* Larger than what any cloud takes (64 KiB at most), small enough to hold in memory. */
#define SEED_USER_DATA_MAX (1U << 20)

/*
 * What every implementation refuses: -ERR_INVALID with a text for people. Host name and domains are
 * RFC 1123 labels in lower case, keys single lines; user data may be any bytes.
 */
int seed_config_validate(const SeedConfig *config, Error *err);

typedef struct SeedWriter SeedWriter;

typedef struct SeedWriterOps {
	const char *name;
	/* Writes the file unless the one there has the same content; *ret_changed may be NULL. */
	int (*ensure)(SeedWriter *self, Context *ctx, const SeedConfig *config, bool *ret_changed,
		      Error *err);
	SeedWriter *(*free)(SeedWriter *self);
} SeedWriterOps;

struct SeedWriter {
	const SeedWriterOps *ops;
};
