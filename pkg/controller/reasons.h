/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reasons: every event's one word and the catalog id of its text in systemd/sfd.catalog. One row
 * each; the catalog is checked against this table by hack/verify-catalog. Ids are made once with
 * `systemd-id128 new` and never change.
 *
 * X(CONSTANT, "Reason", "message id")
 */
#pragma once

#include "base/macro.h"

#define REASONS(X) \
	X(INSTANCE_CREATED, "Created", "46b5111b7b134080a1f5eadf7737d887") \
	X(INSTANCE_STARTED, "Started", "d0b78370f76540c8a0b517a8d6942866") \
	X(INSTANCE_STOPPING, "Stopping", "0bef910cebb24d2c8954cfe1bdbcdc8d") \
	X(INSTANCE_STOPPED, "Stopped", "cc27c4f36b0c44689874e96562b052e5") \
	X(INSTANCE_CRASHED, "Crashed", "beb3a6b6cdd24416bce49c2671b8d07f") \
	X(INSTANCE_SHUTDOWN, "GuestShutdown", "8681993d68a64f96ac2b063c25f04d8b") \
	X(INSTANCE_FORCED_OFF, "ForcedOff", "99cd040477e7401887641dc0c1ffb955") \
	X(INSTANCE_UNSEEN, "EndedUnseen", "252ea6a2f4f043ceb575d11d83917eba") \
	X(INSTANCE_BACKOFF, "BackOff", "466bbbeba192433490ac8378b0163098") \
	X(INSTANCE_PAUSED, "Paused", "b321e11655e34789b4ad878a14395eb6") \
	X(INSTANCE_RESUMED, "Resumed", "7cdddc07739a43c68eb2f8dcd5d94264") \
	X(INSTANCE_RESTARTED, "Restarted", "47aefd5cbb274b00bb28db9a94043776") \
	X(INSTANCE_UPDATED, "Updated", "6329154ce4a445cbab2eb02b1b9e08f8") \
	X(INSTANCE_DELETED, "Deleted", "4d46f0d11e4b410d88473866a7e5f071") \
	X(INSTANCE_WAITING, "Waiting", "5693bf49d575408193b0cfdbb05db6f2") \
	X(INSTANCE_FOREIGN, "ForeignDomain", "9319497316a64d5e980fe3420b258d0d") \
	X(INSTANCE_UNMANAGED, "Unmanaged", "2c41d3c23a904fb1b150fba5cb299d86") \
	X(INSTANCE_COLLECTED, "Collected", "99434d53758749ffb1e2c0bd42a2fdc6") \
	X(INSTANCE_ADDRESS, "AddressAssigned", "2debc3cee0fe4c44a65b7cfa0c8023bb") \
	X(INSTANCE_ADDRESS_TAKEN, "AddressInUse", "86bfea112cbf422499904502f142cf90") \
	X(INSTANCE_DETACHED, "InterfaceDetached", "cee7f061aef244b38d4eae7cc8676d4c") \
	X(IMAGE_FETCHING, "Fetching", "acdfb8b5ecb34ce4bbbfbc5d8d9317a2") \
	X(IMAGE_FETCHED, "Fetched", "fab4546ee69540e4a882ecf974033a61") \
	X(IMAGE_FAILED, "FetchFailed", "451ad7c27fe246b7aa74df4c70bdbc83") \
	X(IMAGE_SOURCE_GONE, "SourceUnavailable", "d6c2a9a9fe004b2cb5d75de1c2346ea5") \
	X(IMAGE_EVICTED, "Evicted", "2e057472abe242708a9411d278c86f29") \
	X(NETWORK_CREATED, "NetworkCreated", "b4b016eae1b04835886e8db7b680ebec") \
	X(NETWORK_REPAIRED, "Repaired", "bc8fc18a21a4445cb724c7ebf7249c0b") \
	X(NETWORK_BLOCKED, "EgressBlocked", "8420342c2bb34fcf802448308df29410") \
	X(NETWORK_DELETED, "NetworkDeleted", "4a68df84137941688f83bc7d00703472") \
	X(NAMESPACE_TERMINATING, "Terminating", "ae3c84c5f3e440e6916a312b11e2f671") \
	X(OWNER_ELSEWHERE, "OwnerRefInvalidNamespace", "286a82987c264a0a930b863a0d09d289") \
	X(NODE_READY, "NodeReady", "461b71f50a774f84afbfc8c0a6c92884") \
	X(NODE_NOT_READY, "NodeNotReady", "61a5e463ef4543bebd04bf787751c948") \
	X(CREDENTIAL_ISSUED, "Issued", "c14341e7df1c4d6498576c50d2fc3956") \
	X(CREDENTIAL_EXPIRED, "CredentialExpired", "3e746e3add2b4d84a7bb7aaf47f75db9") \
	X(RECONCILE_FAILED, "ReconcileFailed", "e982f3ec8d0947c2b55267c95969a399") \
	X(DELETE_BLOCKED, "DeleteBlocked", "6b503ea9d7fe4761826b9885b2c0ab43")

#define REASON_CONSTANT(constant, reason, id) \
	static const char REASON_##constant[] _unused_ = reason;
REASONS(REASON_CONSTANT)
#undef REASON_CONSTANT

/* The catalog id of a reason, NULL if it has none. */
const char *reason_message_id(const char *reason);
