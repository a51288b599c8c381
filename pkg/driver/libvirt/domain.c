/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing domains. Every verb looks at the mark first and is a success when there is nothing left
 * to do. See domain.h.
 */
#include "driver/libvirt/domain.h"

#include <stdio.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "driver/libvirt/errors.h"

/* ---- define ---- */

static int define_over(virDomainPtr dom, const DomainMark *mark, const DomainConfig *c,
		       char **ret_xml, Error *err)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	virDomainGetUUIDString(dom, uuid);
	if (!streq(mark->uid, c->uid) || !streq(mark->store_id, c->store_id) ||
	    strcasecmp(uuid, c->uuid) != 0)
		return error_set(err, ERR_CONFLICT, "belongs to another object");
	*ret_xml = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
	return *ret_xml ? 0 : libvirt_error(err, "read definition");
}

int domain_define(Libvirt *lv, virConnectPtr conn, const DomainXmlEnv *env, const DomainConfig *c,
		  Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = NULL;
	_cleanup_(domain_freep) virDomainPtr defined = NULL;
	_cleanup_(xfreep) char *old = NULL;
	_cleanup_(xfreep) char *xml = NULL;
	DomainConfig config = *c;
	DomainMark mark = { 0 };
	int rc = domain_find_ours(lv, conn, c->name, &dom, &mark, err);

	if (rc == 0 && dom) {
		rc = define_over(dom, &mark, c, &old, err);
		/* A deed that was done stays done. */
		if (str_is_empty(c->request_id))
			config.request_id = mark.request_id;
	}
	if (rc == 0)
		rc = domain_xml_write(&config, env, old, &xml, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "define domain %s", c->name);
	defined = virDomainDefineXMLFlags(conn, xml, lv->validate ? VIR_DOMAIN_DEFINE_VALIDATE : 0);
	return defined ? 0 : libvirt_error(err, "define domain %s", c->name);
}

/* ---- power ---- */

static int set_mark(virDomainPtr dom, unsigned flags, const DomainMark *m, Error *err)
{
	_cleanup_(xfreep) char *xml = domain_mark_write(m);

	if (virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, xml, DOMAIN_METADATA_PREFIX,
				 DOMAIN_METADATA_NS, flags) < 0)
		return libvirt_error(err, "write metadata");
	return 0;
}

/* Into the persistent definition and what runs, each with the rest of its own mark. */
static int set_request(virDomainPtr dom, const char *request_id, Error *err)
{
	static const unsigned sides[] = { VIR_DOMAIN_AFFECT_CONFIG, VIR_DOMAIN_AFFECT_LIVE };
	bool has[] = { virDomainIsPersistent(dom) == 1, virDomainIsActive(dom) == 1 };
	DomainMark m;
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(sides); i++) {
		if (!has[i])
			continue;
		rc = domain_get_mark(dom, sides[i], &m, err);
		if (rc < 0)
			return rc;
		if (streq(m.request_id, request_id))
			continue;
		snprintf(m.request_id, sizeof(m.request_id), "%s", request_id);
		rc = set_mark(dom, sides[i], &m, err);
		/* It ended meanwhile: nothing runs that could carry the id. */
		if (rc < 0 && sides[i] == VIR_DOMAIN_AFFECT_LIVE && virDomainIsActive(dom) == 0)
			rc = error_ignore(err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int power_call(virDomainPtr dom, DomainPower action)
{
	switch (action) {
	case POWER_START:
		return virDomainCreate(dom);
	case POWER_SHUTDOWN:
		return virDomainShutdownFlags(dom, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
	case POWER_DESTROY:
		return virDomainDestroy(dom);
	case POWER_REBOOT:
		return virDomainReboot(dom, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN);
	case POWER_RESET:
		return virDomainReset(dom, 0);
	case POWER_SUSPEND:
		return virDomainSuspend(dom);
	default:
		return virDomainResume(dom);
	}
}

/* Is it already so? */
static bool power_is_done(DomainState state, DomainPower action)
{
	switch (action) {
	case POWER_START:
		return state != DOMAIN_SHUTOFF;
	case POWER_SHUTDOWN:
	case POWER_DESTROY:
		return state == DOMAIN_SHUTOFF;
	case POWER_SUSPEND:
		return state == DOMAIN_PAUSED;
	case POWER_RESUME:
		return state == DOMAIN_RUNNING;
	default:
		return false;
	}
}

static int power_do(Libvirt *lv, virDomainPtr dom, DomainPower action, Error *err)
{
	_cleanup_(error_done) Error first = ERROR_INIT;
	DomainReason reason;
	DomainState state;
	int rc;

	if (power_call(dom, action) == 0)
		return 0;
	rc = libvirt_error(&first, "%s", domain_power_to_string(action));
	/* Somebody else may have been faster; a test driver that cannot do ACPI never is. */
	if (rc == -ERR_CONFLICT && domain_get_state(lv, dom, &state, &reason, NULL) == 0 &&
	    power_is_done(state, action))
		return 0;
	return error_move(err, &first);
}

int domain_power(Libvirt *lv, virConnectPtr conn, const char *name, DomainPower action,
		 const char *request_id, Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = NULL;
	/* A reset that is repeated is another one: its id is written first. */
	bool first = action == POWER_RESET || action == POWER_REBOOT;
	DomainReason reason;
	DomainState state;
	int rc = domain_find_ours(lv, conn, name, &dom, NULL, err);

	if (rc == 0 && !dom) {
		if (action == POWER_SHUTDOWN || action == POWER_DESTROY)
			return 0;
		return error_set(err, ERR_NOT_FOUND, "domain %s does not exist", name);
	}
	if (rc == 0)
		rc = domain_get_state(lv, dom, &state, &reason, err);
	if (rc == 0 && state == DOMAIN_SHUTOFF && action != POWER_START &&
	    !power_is_done(state, action))
		rc = error_set(err, ERR_CONFLICT, "it does not run");
	if (rc == 0 && request_id && first)
		rc = set_request(dom, request_id, err);
	if (rc == 0 && !power_is_done(state, action))
		rc = power_do(lv, dom, action, err);
	if (rc == 0 && request_id && !first)
		rc = set_request(dom, request_id, err);
	return rc < 0 ? error_wrap_rc(err, rc, "domain %s", name) : 0;
}

/* ---- live changes ---- */

static int update_cpus(virDomainPtr dom, const DomainConfig *c, unsigned now, Error *err)
{
	int max;

	if (c->cpus == now)
		return 0;
	max = virDomainGetVcpusFlags(dom, VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_VCPU_MAXIMUM);
	if (max < 0)
		return libvirt_error(err, "read maximum of CPUs");
	if (c->cpus < now || c->cpus > (unsigned)max)
		return error_set(err, ERR_UNSUPPORTED, "%u CPUs instead of %u need a restart",
				 c->cpus, now);
	if (virDomainSetVcpusFlags(dom, c->cpus, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return libvirt_error(err, "add CPUs");
	return 0;
}

static int update_memory(virDomainPtr dom, const DomainConfig *c, const DomainLive *live,
			 Error *err)
{
	uint64_t now = live->mark.memory ? live->mark.memory : live->memory;

	if (c->memory == now)
		return 0;
	if (c->memory < now || c->memory > live->memory)
		return error_set(err, ERR_UNSUPPORTED, "that amount of memory needs a restart");
	if (virDomainSetMemoryFlags(dom, (c->memory + 1023) / 1024, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return libvirt_error(err, "add memory");
	return 0;
}

static int update_running(virDomainPtr dom, const DomainConfig *c, Error *err)
{
	_cleanup_(xfreep) char *xml = virDomainGetXMLDesc(dom, 0);
	DomainLive live;
	int rc;

	if (!xml)
		return libvirt_error(err, "read live XML");
	rc = domain_live_read(xml, &live, err);
	if (rc == 0)
		rc = update_cpus(dom, c, live.cpus, err);
	if (rc == 0)
		rc = update_memory(dom, c, &live, err);
	if (rc < 0)
		return rc;
	live.mark.generation = c->generation;
	live.mark.memory = c->memory;
	snprintf(live.mark.config_hash, sizeof(live.mark.config_hash), "%s",
		 c->config_hash ? c->config_hash : "");
	return set_mark(dom, VIR_DOMAIN_AFFECT_LIVE, &live.mark, err);
}

int domain_update_live(Libvirt *lv, virConnectPtr conn, const DomainConfig *c, Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = NULL;
	DomainMark mark;
	int rc = domain_find_ours(lv, conn, c->name, &dom, &mark, err);

	if (rc == 0 && dom && !streq(mark.uid, c->uid))
		rc = error_set(err, ERR_CONFLICT, "belongs to another object");
	else if (rc == 0 && (!dom || virDomainIsActive(dom) != 1))
		rc = error_set(err, ERR_CONFLICT, "it does not run");
	if (rc == 0)
		rc = update_running(dom, c, err);
	return rc < 0 ? error_wrap_rc(err, rc, "update domain %s", c->name) : 0;
}

/* ---- remove ---- */

/* QEMU's log and what virtlogd rotated away of it: libvirt leaves them behind. */
static void remove_logs(const Libvirt *lv, const char *name)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *path = NULL;

	if (!*lv->log_dir || strchr(name, '/'))
		return;
	path = xasprintf("%s/%s.log", lv->log_dir, name);
	if (fs_unlink(path, &err) < 0)
		log_debug("domain %s: %s", name, error_message(&err));
	for (unsigned i = 0; i < 10; i++) {
		_cleanup_(xfreep) char *old = xasprintf("%s.%u", path, i);

		fs_unlink(old, NULL);
	}
}

static int undefine(virDomainPtr dom, Error *err)
{
	unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
			 VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | VIR_DOMAIN_UNDEFINE_NVRAM;
	int code;

	if (virDomainUndefineFlags(dom, flags) == 0)
		return 0;
	code = libvirt_last_code();
	/* Drivers without firmware or snapshots take the plain call. */
	if ((code == VIR_ERR_INVALID_ARG || code == VIR_ERR_NO_SUPPORT ||
	     code == VIR_ERR_ARGUMENT_UNSUPPORTED) &&
	    virDomainUndefine(dom) == 0)
		return 0;
	return libvirt_last_code() == VIR_ERR_NO_DOMAIN ? 0 : libvirt_error(err, "undefine");
}

int domain_remove(Libvirt *lv, virConnectPtr conn, const char *name, Error *err)
{
	_cleanup_(domain_freep) virDomainPtr dom = NULL;
	int rc = domain_find_ours(lv, conn, name, &dom, NULL, err), persistent;

	if (rc < 0 || !dom)
		return rc < 0 ? error_wrap_rc(err, rc, "remove") : 0;
	persistent = virDomainIsPersistent(dom);
	if (persistent < 0 && libvirt_last_code() != VIR_ERR_NO_DOMAIN)
		return libvirt_error(err, "remove domain %s", name);
	/* Off first, and its logs before its definition: after a crash in between we come back. */
	if (virDomainIsActive(dom) == 1 && virDomainDestroy(dom) < 0 &&
	    libvirt_last_code() != VIR_ERR_NO_DOMAIN &&
	    libvirt_last_code() != VIR_ERR_OPERATION_INVALID)
		return libvirt_error(err, "remove domain %s: force off", name);
	remove_logs(lv, name);
	rc = persistent == 1 ? undefine(dom, err) : 0;
	return rc < 0 ? error_wrap_rc(err, rc, "remove domain %s", name) : 0;
}
