/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods: an Instance as tools that know pods want to see it: one container, "console", that is the
 * guest. Nothing is invented: what an Instance does not know, its Pod leaves out. Pure but for
 * reading the node's address. HTTP threads.
 */
#include "base/sha.h"
#include "server/console.h"
#include "server/render.h"

/* ---- phase ---- */

typedef enum Running { NOT_YET, RUNS, ENDED } Running;

static Running running_of(const json_t *instance)
{
	static const char *const up[] = { "Running", "Paused", "Stopping" };
	const char *word = json_string_at(instance, "status.printableStatus");

	for (size_t i = 0; word && i < ARRAY_SIZE(up); i++)
		if (streq(word, up[i]))
			return RUNS;
	if (word && streq(word, "Stopped") && json_at(instance, "status.lastTermination"))
		return ENDED;
	return NOT_YET;
}

static bool ended_well(const json_t *instance)
{
	static const char *const bad[] = { "GuestPanicked", "HypervisorProcessDied",
					   "StartFailed" };
	const char *reason = json_string_at(instance, "status.lastTermination.reason");

	for (size_t i = 0; reason && i < ARRAY_SIZE(bad); i++)
		if (streq(reason, bad[i]))
			return false;
	return true;
}

static const char *phase_of(const json_t *instance)
{
	switch (running_of(instance)) {
	case RUNS:
		return "Running";
	case ENDED:
		return ended_well(instance) ? "Succeeded" : "Failed";
	case NOT_YET:
		break;
	}
	/* It ran, and will again. */
	if (streq_ptr(json_string_at(instance, "status.printableStatus"), "CrashLoopBackOff"))
		return "Running";
	return "Pending";
}

static const json_t *condition_of(const json_t *instance, const char *type)
{
	const json_t *list = json_at(instance, "status.conditions"), *c;
	size_t i;

	json_array_foreach (list, i, c)
		if (streq_ptr(json_string_at(c, "type"), type))
			return c;
	return NULL;
}

static bool is_ready(const json_t *instance)
{
	return streq_ptr(json_string_at(condition_of(instance, "Ready"), "status"), "True");
}

/* Not a Halted one, which refuses it, nor a Once, whose one run is over. */
static bool start_would_start(const json_t *instance, const char *word)
{
	const char *strategy = json_string_at(instance, "spec.runStrategy");

	return streq_ptr(word, "Stopped") && !streq_ptr(strategy, "Halted") &&
	       !streq_ptr(strategy, "Once");
}

char *instance_why_off(const json_t *instance)
{
	const char *word = json_string_at(instance, "status.printableStatus");
	const char *message = json_string_at(condition_of(instance, "Ready"), "message");
	const char *name = json_string_at(instance, "metadata.name");
	const char *namespace = json_string_at(instance, "metadata.namespace");
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;

	/* An Unknown one may well run: who tries finds out. */
	if (running_of(instance) == RUNS || streq_ptr(word, "Unknown"))
		return NULL;
	strbuf_addf(&text, "instance %s is not running", name);
	if (word)
		strbuf_addf(&text, ": %s", word);
	if (word && !str_is_empty(message))
		strbuf_addf(&text, ": %s", message);
	if (start_would_start(instance, word)) {
		strbuf_adds(&text, "; start it: sfctl start ");
		if (!streq_ptr(namespace, "default"))
			strbuf_addf(&text, "-n %s ", namespace);
		strbuf_adds(&text, name);
	}
	return xstrdup(strbuf_str(&text));
}

/* ---- pieces ---- */

static void set_text(json_t *o, const char *name, const char *text)
{
	if (!str_is_empty(text))
		json_object_set_new(o, name, json_string(text));
}

/* A member of the instance, as it is, if it is there. */
static void set_member(json_t *o, const char *name, const json_t *v)
{
	if (v && !json_is_null(v))
		json_object_set(o, name, (json_t *)v);
}

/* The Instance's own uid is its owner's: a Pod needs another one, and always the same. */
static void pod_uid(const char *instance_uid, char uid[static UUID_MAX])
{
	_cleanup_(xfreep) char *text = xasprintf("pod of %s", instance_uid ? instance_uid : "");
	char hex[SHA_HEX_MAX];

	sha_hex_of(SHA_256, text, strlen(text), hex);
	hex[12] = '8'; /* RFC 9562: a UUID of the maker's own kind */
	hex[16] = 'a';
	snprintf(uid, UUID_MAX, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
		 hex + 20);
}

static json_t *metadata_of(const json_t *instance)
{
	static const char *const same[] = { "name",
					    "namespace",
					    "labels",
					    "creationTimestamp",
					    "deletionTimestamp",
					    "deletionGracePeriodSeconds",
					    "generation" };
	const json_t *from = json_object_get(instance, "metadata");
	json_t *metadata = json_object();
	char uid[UUID_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		set_member(metadata, same[i], json_object_get(from, same[i]));
	pod_uid(json_string_at(from, "uid"), uid);
	set_text(metadata, "uid", uid);
	json_object_set_new(
		metadata, "annotations",
		json_pack("{s:s}", "kubectl.kubernetes.io/default-container", CONSOLE_CONTAINER));
	json_object_set_new(metadata, "ownerReferences",
			    json_pack("[{s:O, s:O, s:O, s:O, s:b, s:b}]", "apiVersion",
				      json_object_get(instance, "apiVersion"), "kind",
				      json_object_get(instance, "kind"), "name",
				      json_object_get(from, "name"), "uid",
				      json_object_get(from, "uid"), "controller", 1,
				      "blockOwnerDeletion", 1));
	return metadata;
}

/* "10.20.0.10" from "10.20.0.10/24"; the first part in any case. */
static json_t *plain_address(const char *text)
{
	return json_stringn(text, strcspn(text, "/"));
}

static json_t *addresses_of(const json_t *instance)
{
	const json_t *interfaces = json_at(instance, "status.interfaces"), *interface, *address;
	json_t *ips = json_array();
	size_t i, j;

	json_array_foreach (interfaces, i, interface)
		json_array_foreach (json_object_get(interface, "addresses"), j, address)
			if (json_is_string(address))
				json_array_append_new(
					ips, json_pack("{s:o}", "ip",
						       plain_address(json_string_value(address))));
	return ips;
}

static json_t *image_of(const json_t *instance)
{
	const json_t *disks = json_at(instance, "spec.disks"), *disk;
	size_t i;

	json_array_foreach (disks, i, disk)
		if (json_string_at(disk, "image"))
			return json_incref(json_object_get(disk, "image"));
	return json_string("none");
}

static const char *restart_policy(const json_t *instance)
{
	const char *strategy = json_string_at(instance, "spec.runStrategy");

	if (streq_ptr(strategy, "Always"))
		return "Always";
	return streq_ptr(strategy, "RerunOnFailure") ? "OnFailure" : "Never";
}

static json_t *spec_of(Server *s, const json_t *instance)
{
	json_t *resources = json_object(), *spec;
	const json_t *cpus = json_at(instance, "spec.cpus");

	if (json_is_integer(cpus))
		json_object_set_new(resources, "cpu",
				    json_sprintf("%lld", (long long)json_integer_value(cpus)));
	set_member(resources, "memory", json_at(instance, "spec.memory"));
	spec = json_pack("{s:[{s:s, s:o, s:b, s:b, s:{s:O, s:o}, s:s}], s:s, s:s, s:s}",
			 "containers", "name", CONSOLE_CONTAINER, "image", image_of(instance),
			 "stdin", 1, "tty", 1, "resources", "limits", resources, "requests",
			 resources, "imagePullPolicy", "IfNotPresent", "restartPolicy",
			 restart_policy(instance), "dnsPolicy", "Default", "schedulerName",
			 "shakenfist");
	set_text(spec, "nodeName", console_node(s, instance));
	set_text(spec, "hostname", json_string_at(instance, "metadata.name"));
	set_member(spec, "terminationGracePeriodSeconds",
		   json_at(instance, "spec.terminationGracePeriodSeconds"));
	return spec;
}

/* ---- status ---- */

static json_t *terminated(const json_t *instance)
{
	bool well = ended_well(instance);
	json_t *t = json_pack("{s:i}", "exitCode", well ? 0 : 1);

	set_text(t, "reason", json_string_at(instance, "status.lastTermination.reason"));
	set_text(t, "message", json_string_at(instance, "status.lastTermination.message"));
	set_member(t, "finishedAt", json_at(instance, "status.lastTermination.time"));
	return t;
}

static json_t *container_state(const json_t *instance)
{
	const json_t *ready = condition_of(instance, "Ready");
	const char *word = json_string_at(instance, "status.printableStatus");
	json_t *state;

	switch (running_of(instance)) {
	case RUNS:
		state = json_object();
		set_member(state, "startedAt", json_at(instance, "status.startTime"));
		return json_pack("{s:o}", "running", state);
	case ENDED:
		return json_pack("{s:o}", "terminated", terminated(instance));
	case NOT_YET:
		break;
	}
	state = json_pack("{s:s}", "reason", word ? word : "Pending");
	set_text(state, "message", json_string_at(ready, "message"));
	return json_pack("{s:o}", "waiting", state);
}

static json_t *container_status(const json_t *instance)
{
	bool ended_before =
		json_at(instance, "status.lastTermination") && running_of(instance) != ENDED;
	const char *uid = json_string_at(instance, "metadata.uid");

	return json_pack("{s:s, s:b, s:b, s:I, s:o, s:s, s:o, s:o, s:o}", "name", CONSOLE_CONTAINER,
			 "ready", is_ready(instance), "started", running_of(instance) == RUNS,
			 "restartCount",
			 (json_int_t)json_integer_at(instance, "status.restarts", 0), "image",
			 image_of(instance), "imageID", "", "containerID",
			 json_sprintf("shakenfist://%s", uid ? uid : ""), "state",
			 container_state(instance), "lastState",
			 ended_before ? json_pack("{s:o}", "terminated", terminated(instance))
				      : json_object());
}

/* since: when there is nothing to be like. */
static json_t *condition(const char *type, bool is, const json_t *like, const json_t *since)
{
	json_t *c = json_pack("{s:s, s:s}", "type", type, "status", is ? "True" : "False");

	if (!is) {
		set_member(c, "reason", json_object_get(like, "reason"));
		set_member(c, "message", json_object_get(like, "message"));
	}
	since = like ? json_object_get(like, "lastTransitionTime") : since;
	set_member(c, "lastTransitionTime", since);
	return c;
}

static json_t *conditions_of(const json_t *instance)
{
	const json_t *ready = condition_of(instance, "Ready");
	const json_t *made = json_at(instance, "metadata.creationTimestamp");
	bool is = is_ready(instance);

	return json_pack("[o, o, o, o]", condition("PodScheduled", true, NULL, made),
			 condition("Initialized", true, NULL, made),
			 condition("ContainersReady", is, ready, made),
			 condition("Ready", is, ready, made));
}

/* The node's address, which it tells of itself; NULL if it does not. Caller frees. */
static char *node_address(Server *s, const char *node)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(json_decrefp) json_t *tree = NULL;
	const json_t *address;
	size_t i;
	Key key;

	if (str_is_empty(node) || strlen(node) >= KEY_NAME_MAX)
		return NULL;
	key = key_make(GR_NODE, "", node);
	if (store_get(s->options.store, &key, &o, NULL) < 0)
		return NULL;
	tree = object_decode(o);
	json_array_foreach (json_at(tree, "status.addresses"), i, address)
		if (streq_ptr(json_string_at(address, "type"), "InternalIP"))
			return xstrdup(json_string_at(address, "address"));
	return NULL;
}

static json_t *status_of(Server *s, const json_t *instance, const char *node)
{
	const char *phase = phase_of(instance);
	const char *word = json_string_at(instance, "status.printableStatus");
	_cleanup_(json_decrefp) json_t *ips = addresses_of(instance);
	_cleanup_(xfreep) char *host = node_address(s, node);
	json_t *status = json_pack("{s:s, s:o, s:[o], s:s}", "phase", phase, "conditions",
				   conditions_of(instance), "containerStatuses",
				   container_status(instance), "qosClass", "Guaranteed");

	if (word && !streq(word, phase))
		set_text(status, "reason", word);
	if (!is_ready(instance))
		set_text(status, "message",
			 json_string_at(condition_of(instance, "Ready"), "message"));
	if (json_array_size(ips)) {
		set_member(status, "podIP", json_object_get(json_array_get(ips, 0), "ip"));
		json_object_set(status, "podIPs", ips);
	}
	if (host) {
		set_text(status, "hostIP", host);
		json_object_set_new(status, "hostIPs", json_pack("[{s:s}]", "ip", host));
	}
	set_member(status, "startTime", json_at(instance, "status.startTime"));
	return status;
}

json_t *pod_from_instance(Server *s, const json_t *instance)
{
	json_t *spec = spec_of(s, instance);

	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "apiVersion", "v1", "kind", "Pod", "metadata",
			 metadata_of(instance), "spec", spec, "status",
			 status_of(s, instance, json_string_at(spec, "nodeName")));
}

/* ---- events ---- */

static SelectorTerm *term_of(Selector *s, const char *about, const char *member)
{
	_cleanup_(xfreep) char *key = xasprintf("%s.%s", about, member);

	for (size_t i = 0; i < s->n; i++)
		if (s->terms[i].op == SELECTOR_IN && streq(s->terms[i].key, key))
			return &s->terms[i];
	return NULL;
}

static void term_replace(SelectorTerm *t, const char *value)
{
	strv_free(t->values);
	t->values = strv_append(NULL, value);
}

static const char *term_value(const SelectorTerm *t)
{
	return t && t->values && *t->values ? *t->values : "";
}

/* The uid of the Instance that is shown as a Pod of that name and uid; caller frees, NULL = none.
 */
static char *uid_behind(Server *s, const char *namespace, const char *name, const char *uid)
{
	_cleanup_(object_unrefp) Object *o = NULL;
	char made[UUID_MAX];
	Key key;

	if (!*namespace || !*name || strlen(namespace) >= KEY_NAMESPACE_MAX ||
	    strlen(name) >= KEY_NAME_MAX)
		return NULL;
	key = key_make(GR_INSTANCE, namespace, name);
	if (store_get(s->options.store, &key, &o, NULL) < 0)
		return NULL;
	pod_uid(object_head(o)->uid, made);
	return streq(made, uid) ? xstrdup(object_head(o)->uid) : NULL;
}

void pod_events(Request *r, Selector *fields)
{
	static const char *const abouts[] = { "involvedObject", "regarding" };

	for (size_t i = 0; i < ARRAY_SIZE(abouts); i++) {
		SelectorTerm *kind = term_of(fields, abouts[i], "kind");
		SelectorTerm *uid = term_of(fields, abouts[i], "uid");
		SelectorTerm *version = term_of(fields, abouts[i], "apiVersion");
		const char *name = term_value(term_of(fields, abouts[i], "name"));
		const char *namespace = r->route.namespace;
		_cleanup_(xfreep) char *behind = NULL;

		if (!namespace)
		namespace = term_value(term_of(fields, abouts[i], "namespace"));
		/* kubectl describe names no kind, but the uid. */
		if (uid)
			behind = uid_behind(r->server, namespace, name, term_value(uid));
		if (uid ? !behind : !streq(term_value(kind), "Pod"))
			continue;
		if (uid)
			term_replace(uid, behind);
		if (kind)
			term_replace(kind, "Instance");
		if (version) { /* of what no object has, it takes them all */
			version->op = SELECTOR_NOT_IN;
			term_replace(version, "-");
		}
	}
}
