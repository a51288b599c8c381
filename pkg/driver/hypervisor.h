/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port: a hypervisor, as little of it as the Instance reconciler needs.
 *
 * A domain is named by `name` (<namespace>.<instance>) and is ours only if `DomainInfo.store_id`
 * and `uid` are what we wrote at define; everything else is foreign and never touched. Absence is a
 * state (DOMAIN_ABSENT), not an error; "could not find out" is an error code (-ERR_UNAVAILABLE,
 * -ERR_TIMEOUT) and never looks like absence. Verbs are idempotent: starting a running domain,
 * stopping a stopped one, removing an absent one are successes. What takes longer than is waited
 * for goes on by itself, and its end is an event.
 *
 * Implementations: libvirt/ and fake/. Every function blocks at most until ctx's deadline and may
 * be called from any thread; at most one call per domain is outstanding inside an implementation.
 */
#pragma once

#include "base/context.h"
#include "base/ip.h"
#include "base/random.h"

typedef enum DomainState {
	DOMAIN_ABSENT,
	DOMAIN_SHUTOFF,
	DOMAIN_RUNNING,
	DOMAIN_PAUSED,
	DOMAIN_STOPPING, /* the guest was asked to shut down and has not yet */
	_DOMAIN_STATE_MAX,
} DomainState;

/* Why it is in that state, as far as the hypervisor knows. */
typedef enum DomainReason {
	DOMAIN_REASON_NONE, /* of a running one: its start is still under way */
	DOMAIN_REASON_BOOTED,
	DOMAIN_REASON_SHUTDOWN,  /* the guest (or ACPI) ended it in order */
	DOMAIN_REASON_DESTROYED, /* forced off by a caller */
	DOMAIN_REASON_CRASHED,   /* guest panic */
	DOMAIN_REASON_FAILED,    /* the hypervisor process died or could not start */
	DOMAIN_REASON_HOST_SHUTDOWN,
	DOMAIN_REASON_USER,     /* paused by a caller */
	DOMAIN_REASON_IO_ERROR, /* paused: disk full or broken */
	_DOMAIN_REASON_MAX,
} DomainReason;

const char *domain_state_to_string(DomainState s);
const char *domain_reason_to_string(DomainReason r);

#define DOMAIN_NAME_MAX  130
#define DOMAIN_DISKS_MAX 24
#define DOMAIN_NICS_MAX  16

/* What was observed. Fixed size, a value; nothing to free. */
typedef struct DomainInfo {
	DomainState state;
	DomainReason reason;
	bool persistent;
	bool foreign;            /* exists, but without our mark */
	char uuid[UUID_MAX];     /* libvirt's */
	char store_id[UUID_MAX]; /* from our metadata; "" without a mark, else maybe another's */
	char uid[UUID_MAX];
	int64_t generation;   /* the object's generation the persistent definition was made from */
	char request_id[64];  /* the last power request that was carried out (in metadata) */
	char config_hash[65]; /* of what `spec` determines, as given at define; "" = unknown
				 generator version */
	char live_hash[65];   /* the same for what actually runs; "" when not running */
	unsigned live_cpus;   /* 0 when not running */
	uint64_t live_memory; /* bytes */
	int64_t started_generation;          /* the generation of what runs now */
	char live_taps[DOMAIN_NICS_MAX][16]; /* those that what runs was started with */
	size_t n_live_taps; /* 0 also while a start is still under way: it may not hold them yet */
	pid_t pid;          /* 0 when unknown */
	char virt_type[16]; /* "kvm", "qemu" */
} DomainInfo;

typedef enum DomainFirmware { FIRMWARE_BIOS, FIRMWARE_UEFI, FIRMWARE_UEFI_SECURE } DomainFirmware;

typedef struct DomainDisk {
	const char *
		name; /* the spec's; becomes the serial (20 bytes at most are shown to the guest) */
	const char *path;      /* absolute */
	const char *format;    /* "qcow2" or "raw" */
	const char *base_path; /* of the shared, read-only backing file; NULL = none */
	const char *base_format;
	const char *bus; /* "virtio", "scsi", "sata", "nvme", "usb" */
	bool read_only;
	bool cdrom;
	unsigned boot_order; /* 0 = none */
} DomainDisk;

typedef struct DomainNic {
	const char *name; /* the spec's */
	char tap[16];     /* made by the network port beforehand */
	MacAddress mac;
	const char *model; /* "virtio", "e1000e", ... */
	unsigned mtu;      /* told to the guest; 0 = default */
} DomainNic;

/* What is wanted. Strings belong to the caller and are data: the adapter never pastes them into XML
 * text. */
typedef struct DomainConfig {
	const char *name;
	const char *uuid;
	const char *store_id, *uid;
	const char *title; /* shown by virsh: "namespace/name" */
	int64_t generation;
	const char *request_id;  /* may be "" */
	const char *config_hash; /* the caller's hash of what determines this config */
	unsigned cpus, max_cpus;
	uint64_t memory, max_memory; /* bytes */
	DomainFirmware firmware;
	const char *cpu_model;   /* NULL = the default of the virtualization type */
	const char *machine;     /* NULL = "q35", then what was read back at first define */
	const char *console_log; /* absolute path of the serial log, or NULL */
	DomainDisk disks[DOMAIN_DISKS_MAX];
	size_t n_disks;
	DomainNic nics[DOMAIN_NICS_MAX];
	size_t n_nics;
} DomainConfig;

/*
 * What every implementation refuses before it does anything: -ERR_INVALID with a text for people.
 * Text is UTF-8 without control characters, paths are absolute, formats are said, names, taps and
 * MACs are distinct, max_cpus and max_memory are 0 (no hotplug) or not below what is asked for.
 */
int domain_config_validate(const DomainConfig *config, Error *err);
int domain_name_validate(const char *name, Error *err);

typedef enum DomainPower {
	POWER_START,
	POWER_SHUTDOWN, /* ACPI or agent: asks, does not wait */
	POWER_DESTROY,  /* by force */
	POWER_REBOOT,   /* asks the guest */
	POWER_RESET,    /* by force */
	POWER_SUSPEND,
	POWER_RESUME,
	_POWER_MAX,
} DomainPower;

const char *domain_power_to_string(DomainPower p);

/* A list entry: enough to find what has no object any more. */
typedef struct DomainEntry {
	char name[256];
	char store_id[UUID_MAX], uid[UUID_MAX]; /* "" = foreign */
	DomainState state;
} DomainEntry;

typedef struct HypervisorInfo {
	unsigned cpus;
	uint64_t memory;    /* bytes, of the host */
	char virt_type[16]; /* what new domains get: "kvm" or "qemu" */
	char version[64];   /* "libvirt 9.0.0, QEMU 7.2.22" */
	bool connected;
} HypervisorInfo;

/*
 * Called from an implementation's own thread: only enqueue. name NULL = "anything may have changed"
 * (reconnected, or events were lost).
 */
typedef void (*DomainEventFn)(void *arg, const char *name);

typedef struct Hypervisor Hypervisor;

typedef struct HypervisorOps {
	const char *name;
	int (*inspect)(Hypervisor *self, Context *ctx, const char *domain, DomainInfo *ret,
		       Error *err);
	/* All domains, ours and foreign; caller frees *ret. */
	int (*list)(Hypervisor *self, Context *ctx, DomainEntry **ret, size_t *ret_n, Error *err);
	/* Creates or replaces the persistent definition; touches nothing that runs. */
	int (*define)(Hypervisor *self, Context *ctx, const DomainConfig *config, Error *err);
	/* request_id, if not NULL, is stored in the metadata together with the deed. POWER_DESTROY
	 * and remove: -ERR_UNAVAILABLE is also one that goes on, and an event comes at its end;
	 * -ERR_EXHAUSTED is also one that was not begun because too many others go on, and an event
	 * comes when there is room. Both are as well answers of a hypervisor that is busy, gone or
	 * out of memory, after which no event comes: who waits for one looks again besides. */
	int (*power)(Hypervisor *self, Context *ctx, const char *domain, DomainPower action,
		     const char *request_id, Error *err);
	/* Changes what can be changed live (vCPUs up to max, memory up to max) to what config says;
	 * -ERR_UNSUPPORTED: needs a restart. On success live_hash and started_generation are
	 * config's: call it only when nothing else differs. */
	int (*update_live)(Hypervisor *self, Context *ctx, const DomainConfig *config, Error *err);
	/* Removes the definition (destroying it first if it runs), its NVRAM, managed save and log.
	 */
	int (*remove)(Hypervisor *self, Context *ctx, const char *domain, Error *err);
	int (*info)(Hypervisor *self, Context *ctx, HypervisorInfo *ret, Error *err);
	/* One subscriber, who misses what came before; fn NULL = none from now on. An event that
	 * was on its way may still reach the one before after this has returned: what arg points
	 * to outlives the implementation. */
	void (*subscribe)(Hypervisor *self, DomainEventFn fn, void *arg);
	Hypervisor *(*free)(Hypervisor *self);
} HypervisorOps;

struct Hypervisor {
	const HypervisorOps *ops; /* first member of every implementation */
};
