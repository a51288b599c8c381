/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at domains, by calls that libvirtd answers without asking QEMU. See domain.h.
 */
#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/libvirt/domain.h"
#include "driver/libvirt/errors.h"

int domain_get_mark(virDomainPtr dom, unsigned flags, DomainMark *ret, Error *err)
{
	_cleanup_(xfreep) char *xml =
		virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, DOMAIN_METADATA_NS, flags);

	if (xml)
		return domain_mark_read(xml, ret, err);
	if (libvirt_last_code() != VIR_ERR_NO_DOMAIN_METADATA)
		return libvirt_error(err, "read metadata");
	*ret = (DomainMark){ 0 };
	return 0;
}

bool domain_is_foreign(const Libvirt *lv, const DomainMark *mark)
{
	if (!*mark->store_id || !*mark->uid)
		return true;
	return lv->store_id && !streq(lv->store_id, mark->store_id);
}

int domain_find(virConnectPtr conn, const char *name, virDomainPtr *ret, DomainMark *mark,
		Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = virDomainLookupByName(conn, name);
	int rc;

	if (!dom && libvirt_last_code() != VIR_ERR_NO_DOMAIN)
		return libvirt_error(err, "look up domain %s", name);
	if (dom && mark) {
		rc = domain_get_mark(dom, VIR_DOMAIN_AFFECT_CURRENT, mark, err);
		if (rc == -ERR_NOT_FOUND) {
			/* It went between the two calls. */
			error_ignore(err);
			virDomainFree(TAKE_PTR(dom));
		} else if (rc < 0) {
			return error_wrap_rc(err, rc, "domain %s", name);
		}
	}
	*ret = TAKE_PTR(dom);
	return 0;
}

int domain_find_ours(Libvirt *lv, virConnectPtr conn, const char *name, virDomainPtr *ret,
		     DomainMark *mark, Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = NULL;
	DomainMark own;
	int rc = domain_find(conn, name, &dom, mark ? mark : &own, err);

	if (rc < 0)
		return rc;
	if (dom && domain_is_foreign(lv, mark ? mark : &own))
		return error_set(err, ERR_CONFLICT, "domain %s does not carry our mark", name);
	*ret = TAKE_PTR(dom);
	return 0;
}

static DomainReason paused_reason(int reason)
{
	switch (reason) {
	case VIR_DOMAIN_PAUSED_USER:
		return DOMAIN_REASON_USER;
	case VIR_DOMAIN_PAUSED_IOERROR:
		return DOMAIN_REASON_IO_ERROR;
	case VIR_DOMAIN_PAUSED_CRASHED:
		return DOMAIN_REASON_CRASHED;
	default:
		return DOMAIN_REASON_NONE;
	}
}

/*
 * libvirt says "crashed" of a guest that panicked and of a QEMU that died, and "shutdown" of a
 * guest that powered off and of a QEMU that somebody sent a signal: the events tell them apart, as
 * long as we listened.
 */
static DomainReason shutoff_reason(Libvirt *lv, virDomainPtr dom, int reason)
{
	DomainEnd end = libvirt_domain_end(lv, virDomainGetName(dom));

	switch (reason) {
	case VIR_DOMAIN_SHUTOFF_SHUTDOWN:
		return end == END_SIGNAL ? DOMAIN_REASON_HOST_SHUTDOWN : DOMAIN_REASON_SHUTDOWN;
	case VIR_DOMAIN_SHUTOFF_DESTROYED:
		return DOMAIN_REASON_DESTROYED;
	case VIR_DOMAIN_SHUTOFF_CRASHED:
		return end == END_PANIC ? DOMAIN_REASON_CRASHED : DOMAIN_REASON_FAILED;
	case VIR_DOMAIN_SHUTOFF_FAILED:
	case VIR_DOMAIN_SHUTOFF_DAEMON:
		return DOMAIN_REASON_FAILED;
	default:
		return DOMAIN_REASON_NONE;
	}
}

int domain_get_state(Libvirt *lv, virDomainPtr dom, DomainState *ret, DomainReason *ret_reason,
		     Error *err)
{
	int state, reason;

	if (virDomainGetState(dom, &state, &reason, 0) < 0)
		return libvirt_error(err, "state of domain %s", virDomainGetName(dom));
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
		*ret = DOMAIN_RUNNING;
		*ret_reason = DOMAIN_REASON_BOOTED;
		return 0;
	case VIR_DOMAIN_PAUSED:
		/* A start under way looks paused for a moment. */
		*ret = reason == VIR_DOMAIN_PAUSED_STARTING_UP ? DOMAIN_RUNNING : DOMAIN_PAUSED;
		*ret_reason = paused_reason(reason);
		return 0;
	case VIR_DOMAIN_PMSUSPENDED:
		*ret = DOMAIN_PAUSED;
		*ret_reason = DOMAIN_REASON_NONE;
		return 0;
	case VIR_DOMAIN_SHUTDOWN:
		*ret = DOMAIN_STOPPING;
		*ret_reason = DOMAIN_REASON_SHUTDOWN;
		return 0;
	case VIR_DOMAIN_SHUTOFF:
		*ret = DOMAIN_SHUTOFF;
		*ret_reason = shutoff_reason(lv, dom, reason);
		return 0;
	case VIR_DOMAIN_CRASHED:
		*ret = DOMAIN_SHUTOFF;
		*ret_reason = DOMAIN_REASON_CRASHED;
		return 0;
	default:
		/* Unknown is not off. */
		return error_set(err, ERR_UNAVAILABLE, "state of domain %s is unknown to libvirt",
				 virDomainGetName(dom));
	}
}

/* QEMU's process, from the file libvirt keeps of it; best effort. */
static pid_t domain_pid(const char *name)
{
	_cleanup_(xfreep) char *path = xasprintf("/run/libvirt/qemu/%s.pid", name);
	_cleanup_(xfreep) char *text = NULL;
	long pid;

	if (strchr(name, '/') || fs_read(path, 32, &text, NULL, NULL) < 0)
		return 0;
	pid = strtol(text, NULL, 10);
	return pid > 0 ? (pid_t)pid : 0;
}

static void fill_persistent(DomainInfo *info, const DomainMark *m)
{
	info->generation = m->generation;
	memcpy(info->request_id, m->request_id, sizeof(info->request_id));
	memcpy(info->config_hash, m->config_hash, sizeof(info->config_hash));
	memcpy(info->virt_type, m->virt_type, sizeof(info->virt_type));
}

/* The live XML keeps the mark as it was at start, so it says what the guest runs with. */
static int fill_live(virDomainPtr dom, DomainInfo *info, Error *err)
{
	_cleanup_(xfreep) char *xml = virDomainGetXMLDesc(dom, 0);
	DomainLive live;
	int rc;

	if (!xml)
		return libvirt_error(err, "read live XML");
	rc = domain_live_read(xml, &live, err);
	if (rc < 0)
		return rc;
	memcpy(info->live_hash, live.mark.config_hash, sizeof(info->live_hash));
	memcpy(info->virt_type, live.virt_type, sizeof(info->virt_type));
	info->started_generation = live.mark.generation;
	info->live_cpus = live.cpus;
	info->live_memory = live.mark.memory ? live.mark.memory : live.memory;
	/* A start that is still under way may not have opened them yet. */
	if (info->state != DOMAIN_RUNNING || info->reason == DOMAIN_REASON_BOOTED) {
		memcpy(info->live_taps, live.taps, sizeof(info->live_taps));
		info->n_live_taps = live.n_taps;
	}
	if (!info->persistent)
		memcpy(info->request_id, live.mark.request_id, sizeof(info->request_id));
	info->pid = domain_pid(virDomainGetName(dom));
	return 0;
}

static int inspect_known(Libvirt *lv, virDomainPtr dom, const DomainMark *mark, DomainInfo *info,
			 Error *err)
{
	DomainMark persistent;
	int rc = domain_get_state(lv, dom, &info->state, &info->reason, err), is;

	if (rc < 0)
		return rc;
	virDomainGetUUIDString(dom, info->uuid);
	info->foreign = domain_is_foreign(lv, mark);
	memcpy(info->store_id, mark->store_id, sizeof(info->store_id));
	memcpy(info->uid, mark->uid, sizeof(info->uid));
	if (info->state == DOMAIN_SHUTOFF) {
		info->persistent = true;
		fill_persistent(info, mark);
		return 0;
	}
	is = virDomainIsPersistent(dom);
	if (is < 0)
		return libvirt_error(err, "persistence of domain");
	info->persistent = is;
	if (info->foreign)
		return 0;
	if (is) {
		rc = domain_get_mark(dom, VIR_DOMAIN_AFFECT_CONFIG, &persistent, err);
		if (rc < 0)
			return rc;
		fill_persistent(info, &persistent);
	}
	rc = fill_live(dom, info, err);
	return rc;
}

int domain_inspect(Libvirt *lv, virConnectPtr conn, const char *name, DomainInfo *ret, Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = NULL;
	DomainInfo info = { 0 };
	DomainMark mark = { 0 };
	int rc = domain_find(conn, name, &dom, &mark, err);

	if (rc < 0)
		return rc;
	if (dom) {
		rc = inspect_known(lv, dom, &mark, &info, err);
		if (rc < 0 && rc != -ERR_NOT_FOUND)
			return error_wrap_rc(err, rc, "inspect %s", name);
		if (rc < 0) {
			error_ignore(err);
			info = (DomainInfo){ .state = DOMAIN_ABSENT };
		}
	}
	*ret = info;
	return 0;
}

static int entry_fill(Libvirt *lv, virDomainPtr dom, DomainEntry *e, Error *err)
{
	DomainReason reason;
	DomainMark mark;
	int rc = domain_get_state(lv, dom, &e->state, &reason, err);

	if (rc == 0)
		rc = domain_get_mark(dom, VIR_DOMAIN_AFFECT_CURRENT, &mark, err);
	if (rc < 0)
		return rc;
	snprintf(e->name, sizeof(e->name), "%s", virDomainGetName(dom));
	memcpy(e->store_id, mark.store_id, sizeof(e->store_id));
	memcpy(e->uid, mark.uid, sizeof(e->uid));
	return 0;
}

int domain_list(Libvirt *lv, virConnectPtr conn, DomainEntry **ret, size_t *ret_n, Error *err)
{
	_cleanup_(xfreep) DomainEntry *entries = NULL;
	virDomainPtr *doms = NULL;
	int rc = 0, n = virConnectListAllDomains(conn, &doms, 0);
	size_t found = 0;

	if (n < 0)
		return libvirt_error(err, "list domains");
	entries = xnew0(DomainEntry, (size_t)n + 1);
	for (int i = 0; i < n; i++) {
		if (rc == 0) {
			rc = entry_fill(lv, doms[i], &entries[found], err);
			/* Half a list is none, but one that went meanwhile is no failure. */
			if (rc == -ERR_NOT_FOUND)
				rc = error_ignore(err);
			else if (rc == 0)
				found++;
		}
		virDomainFree(doms[i]);
	}
	free(doms);
	if (rc < 0)
		return error_wrap_rc(err, rc, "list domains");
	*ret = TAKE_PTR(entries);
	*ret_n = found;
	return 0;
}
