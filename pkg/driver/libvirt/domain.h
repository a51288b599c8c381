/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to one domain, on a helper thread. Private to this folder. All functions block in
 * libvirt.
 */
#pragma once

#include "driver/libvirt/connection.h"

static inline void domain_freep(virDomainPtr *d)
{
	if (*d)
		virDomainFree(*d);
}

/* *ret NULL if it does not exist; mark may be NULL. */
int domain_find(virConnectPtr conn, const char *name, virDomainPtr *ret, DomainMark *mark,
		Error *err);
/* Also refuses (-ERR_CONFLICT) what is not ours. */
int domain_find_ours(Libvirt *lv, virConnectPtr conn, const char *name, virDomainPtr *ret,
		     DomainMark *mark, Error *err);
bool domain_is_foreign(const Libvirt *lv, const DomainMark *mark);
/* Reads the mark as flags (VIR_DOMAIN_AFFECT_*) say; one without is no error. */
int domain_get_mark(virDomainPtr dom, unsigned flags, DomainMark *ret, Error *err);
/* State and reason; never DOMAIN_ABSENT. -ERR_NOT_FOUND when it is gone by now. */
int domain_get_state(Libvirt *lv, virDomainPtr dom, DomainState *ret, DomainReason *ret_reason,
		     Error *err);

/* The port's verbs. */
int domain_inspect(Libvirt *lv, virConnectPtr conn, const char *name, DomainInfo *ret, Error *err);
int domain_list(Libvirt *lv, virConnectPtr conn, DomainEntry **ret, size_t *ret_n, Error *err);
int domain_define(Libvirt *lv, virConnectPtr conn, const DomainXmlEnv *env, const DomainConfig *c,
		  Error *err);
int domain_power(Libvirt *lv, virConnectPtr conn, const char *name, DomainPower action,
		 const char *request_id, Error *err);
int domain_update_live(Libvirt *lv, virConnectPtr conn, const DomainConfig *c, Error *err);
int domain_remove(Libvirt *lv, virConnectPtr conn, const char *name, Error *err);
