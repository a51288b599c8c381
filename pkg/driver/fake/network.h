/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A NetworkDriver that keeps its networks in memory and does nothing else: real state, the real
 * driver's refusals, and hooks by which a test plays the outside world (breaks things, lets guests
 * talk). Any thread.
 */
#pragma once

#include "driver/fake/fault.h"
#include "driver/network.h"

NetworkDriver *fake_network_new(void);

/* ---- what a test may ask ---- */

/* A copy of what is set up for uid; false if nothing is. The copy's `ports` is the caller's to
 * free. */
bool fake_network_get(NetworkDriver *d, const char *uid, NetworkConfig *ret);
bool fake_network_has_port(NetworkDriver *d, const char *uid, uint32_t port_id);
size_t fake_network_count(NetworkDriver *d);
unsigned fake_network_calls(NetworkDriver *d);   /* of any function */
unsigned fake_network_changes(NetworkDriver *d); /* things made, mended or removed, ever */

/* ---- what a test may do ---- */

/* Somebody deletes a piece: the next ensure mends it and says so; the subscriber hears `what`. */
void fake_network_break(NetworkDriver *d, const char *uid, const char *what);
/* Somebody deletes the tap of a guest that runs: as above, and the one that is made again is
 * nobody's until the guest starts anew, which the test plays with fake_network_hold_tap(). */
void fake_network_lose_tap(NetworkDriver *d, const char *uid, uint32_t port_id);
void fake_network_hold_tap(NetworkDriver *d, const char *uid, uint32_t port_id);
/* A guest used that address. The subscriber hears it, as with the real one. */
void fake_network_see(NetworkDriver *d, const char *uid, const IpAddress *address);
/* From now on every call fails with this code (ERR_NONE = works again, and uid=NULL is emitted). */
void fake_network_set_failure(NetworkDriver *d, ErrorCode code);
void fake_network_set_egress_blocked(NetworkDriver *d, bool blocked);
/* The guest's end of the oldest connection made by dial, -1 if there is none; caller closes. */
int fake_network_accept(NetworkDriver *d);

/* Owns inner, not fault. */
NetworkDriver *faulty_network_new(NetworkDriver *inner, Fault *fault);
