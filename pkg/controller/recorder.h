/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recorder: what happened to an object, told twice from one call: an Event object in the store
 * (counted together per object and reason, limited by a token bucket, at most 1,000 per namespace,
 * 24 hours) and a journal entry with SF_KIND SF_NAMESPACE SF_NAME SF_UID SF_REASON and the reason's
 * catalog id. Any thread; recorder_event() does not block on the disk.
 */
#pragma once

#include "store/store.h"

typedef struct Recorder Recorder;

typedef enum EventType { EVENT_NORMAL, EVENT_WARNING } EventType;

Recorder *recorder_new(Store *store, Clock *clock, const char *component, const char *host);
Recorder *recorder_free(Recorder *r);
DEFINE_CLEANUP(Recorder *, recorder_free)

#define EVENTS_PER_NAMESPACE 1000
/* For whoever creates an Event in a namespace that is full: the one that was written longest ago
 * goes, in the same Txn. */
void events_make_room(Store *store, Txn *t, const char *namespace);

/* reason: one of reasons.h. Cluster-scoped objects get their events in namespace "default". */
void recorder_event(Recorder *r, const Object *about, EventType type, const char *reason,
		    const char *fmt, ...) _printf_(5, 6);
