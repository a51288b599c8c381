/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fake hypervisor's state machine and a test's hooks share. Private to them.
 */
#pragma once

#include <pthread.h>

#include "base/hashmap.h"
#include "driver/domain_config.h"
#include "driver/fake/hypervisor.h"

typedef struct FakeDomain {
	DomainState state; /* never ABSENT */
	DomainReason reason;
	bool foreign;
	char foreign_store[UUID_MAX];
	DomainConfig *persistent, *live; /* NULL = none; a foreign one has neither */
	bool persistent_foreign;         /* stands for the persistent config of a foreign one */
	char request_id[64];
	pid_t pid;
} FakeDomain;

/* As many domains may be late with their end, as in the real one. */
#define FAKE_LATE_MAX 4

typedef enum FakeLate {
	FAKE_LATE_NONE,
	FAKE_LATE_OFF,
	FAKE_LATE_REMOVE,
} FakeLate;

/* What a test told about a name; outlives the domain. */
typedef struct FakeScript {
	FakeGuest guest;
	bool guest_set;
	bool hung, hang_seen;
	bool slow_end;
	FakeLate late; /* what is under way */
	char *start_failure;
	unsigned starts;
} FakeScript;

typedef struct FakeHypervisor {
	Hypervisor hypervisor;
	pthread_mutex_t lock;
	Hashmap *domains; /* name -> FakeDomain */
	Hashmap *scripts; /* name -> FakeScript */
	FakeGuest guest;
	ErrorCode failure;
	bool mute;
	HypervisorInfo host;
	unsigned calls, changes, late;
	pid_t next_pid;
	DomainEventFn event;
	void *event_arg;
} FakeHypervisor;

static inline FakeHypervisor *fake_of(Hypervisor *h)
{
	return CONTAINER_OF(h, FakeHypervisor, hypervisor);
}

/* All under the lock, but fake_domain_emit(). */
FakeScript *fake_domain_script(FakeHypervisor *f, const char *name);
void fake_domain_ends(FakeHypervisor *f, const char *name, FakeDomain *d, DomainReason reason);
/* 1 = done, 0 = there was nothing to do. */
int fake_domain_power(FakeHypervisor *f, const char *name, FakeDomain *d, DomainPower action,
		      Error *err);
void fake_domain_emit(FakeHypervisor *f, const char *domain);

static inline bool fake_domain_is_on(const FakeDomain *d)
{
	return d->state != DOMAIN_SHUTOFF;
}
