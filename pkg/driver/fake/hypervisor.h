/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Hypervisor that keeps its domains in memory: a real state machine with the real one's refusals,
 * and hooks by which a test plays the guests, the administrator with virsh, and the host. Events
 * are delivered in the thread that caused them, after all locks are dropped. Any thread.
 *
 * Like libvirt it keeps a persistent and a live configuration per domain; define changes the first,
 * start copies it to the second. A domain that is asked to shut down stays Running until its guest
 * obeys, which by default it does at once.
 */
#pragma once

#include "driver/fake/fault.h"
#include "driver/hypervisor.h"

Hypervisor *fake_hypervisor_new(void);

/* ---- what a test may ask ---- */

size_t fake_hypervisor_count(Hypervisor *h); /* domains, foreign ones included */
/* State without counting a call; DOMAIN_ABSENT if there is none. */
DomainState fake_hypervisor_state(Hypervisor *h, const char *domain);
/*
 * The persistent (or live) configuration; NULL if there is none. Belongs to the fake and stays
 * valid until the domain is defined again, ends (live) or is removed.
 */
const DomainConfig *fake_hypervisor_config(Hypervisor *h, const char *domain, bool live);
unsigned fake_hypervisor_starts(Hypervisor *h, const char *domain); /* ever, also if removed */
unsigned fake_hypervisor_calls(Hypervisor *h);                      /* of any function */
unsigned fake_hypervisor_changes(Hypervisor *h); /* calls that changed something */

/* ---- what a test may do ---- */

typedef enum FakeGuest {
	FAKE_GUEST_OBEYS,   /* a shutdown request ends it at once */
	FAKE_GUEST_SLOW,    /* is Stopping until fake_hypervisor_end() */
	FAKE_GUEST_IGNORES, /* stays Running */
} FakeGuest;

/* How guests react to a shutdown request; domain NULL = all that are not set by name. */
void fake_hypervisor_set_guest(Hypervisor *h, const char *domain, FakeGuest behaviour);
/* The guest ends by itself: SHUTDOWN, CRASHED, or its process dies: FAILED. It must be on. */
void fake_hypervisor_end(Hypervisor *h, const char *domain, DomainReason reason);
/* The guest stops because its disk is full or broken; resume lets it go on. It must be running. */
void fake_hypervisor_io_error(Hypervisor *h, const char *domain);
/* Somebody else acts, as with virsh: no mark is checked, no call is counted. */
void fake_hypervisor_virsh(Hypervisor *h, const char *domain, DomainPower action);
/* Somebody undefines it: a running one goes on as a transient domain and is gone at its end. */
void fake_hypervisor_undefine(Hypervisor *h, const char *domain);
/* A domain without a mark (store_id NULL), or with that of another store. */
void fake_hypervisor_add_foreign(Hypervisor *h, const char *domain, const char *store_id,
				 bool running);
/* All guests die with the host; definitions stay; the subscriber hears NULL. */
void fake_hypervisor_host_crash(Hypervisor *h);
/* Calls that need that guest's QEMU time out until it is unset: all but inspect, list and force
 * off. The first one after a hang is -ERR_TIMEOUT, later ones are -ERR_UNAVAILABLE. */
void fake_hypervisor_set_hung(Hypervisor *h, const char *domain, bool hung);
/* Forcing that domain off and removing it take longer than anybody waits, until it is unset: then
 * what was asked for is done. As in the real one only so many are under way at a time. */
void fake_hypervisor_set_slow_end(Hypervisor *h, const char *domain, bool slow);
/* What is under way for that domain ends with an error that nobody hears: all is as before. */
void fake_hypervisor_give_up(Hypervisor *h, const char *domain);
/* Starts of that domain fail (shut off, FAILED) with this text; NULL = work again. */
void fake_hypervisor_set_start_failure(Hypervisor *h, const char *domain, const char *text);
/* From now on every call fails with this code (ERR_NONE = works again, and NULL is emitted). */
void fake_hypervisor_set_failure(Hypervisor *h, ErrorCode code);
/* Events are lost while set. */
void fake_hypervisor_set_mute(Hypervisor *h, bool mute);
/* What info() says; the default is 8 CPUs, 16 GiB, "qemu". */
void fake_hypervisor_set_host(Hypervisor *h, unsigned cpus, uint64_t memory, const char *virt_type);

/* Owns inner, not fault. */
Hypervisor *faulty_hypervisor_new(Hypervisor *inner, Fault *fault);
