/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling a story. See story.h.
 */
#include "tests/crash/story.h"

#include <poll.h>
#include <sqlite3.h>

#include "base/fs.h"
#include "base/memory.h"
#include "reconcile/allocate.h"
#include "tests/crash/survive.h"
#include "yaml/yaml.h"

#define REST     35                  /* seconds until what waits for something has looked again */
#define PATIENCE (60 * USEC_PER_SEC) /* of ours, for real drivers */

/* ---- stories ---- */

json_t *stories_load(const char *path)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	_cleanup_(xfreep) char *text = NULL;
	size_t len;

	if (fs_read(path, YAML_BYTES_MAX, &text, &len, &err) < 0 ||
	    yaml_parse(text, len, path, &docs, &err) < 0 || docs->n != 1) {
		fprintf(stderr, "%s: %s\n", path, error_message(&err));
		abort();
	}
	return json_incref(yaml_doc_tree(docs->docs[0]));
}

const char *story_name(const json_t *story)
{
	return json_string_at(story, "name");
}

bool story_is_for(const json_t *story, bool real)
{
	const char *where = json_string_at(story, "real");

	return real ? where != NULL : !where || streq(where, "also");
}

/* ---- paths ---- */

static const struct {
	const char *resource, *group;
	bool cluster;
} resources[] = {
	{"instances",                  "/apis/shakenfist.io/v1alpha1",       false},
	{ "networks",                  "/apis/shakenfist.io/v1alpha1",       false},
	{ "images",		    "/apis/shakenfist.io/v1alpha1",       false},
	{ "nodes",		     "/apis/shakenfist.io/v1alpha1",       true },
	{ "credentials",               "/apis/shakenfist.io/v1alpha1",       true },
	{ "secrets",                   "/api/v1",                            false},
	{ "configmaps",                "/api/v1",                            false},
	{ "resourcequotas",            "/api/v1",                            false},
	{ "namespaces",                "/api/v1",                            true },
	{ "leases",		    "/apis/coordination.k8s.io/v1",       false},
	{ "roles",		     "/apis/rbac.authorization.k8s.io/v1", false},
	{ "rolebindings",              "/apis/rbac.authorization.k8s.io/v1", false},
	{ "clusterroles",              "/apis/rbac.authorization.k8s.io/v1", true },
	{ "clusterrolebindings",       "/apis/rbac.authorization.k8s.io/v1", true },
	{ "customresourcedefinitions", "/apis/apiextensions.k8s.io/v1",      true },
	{ "crops",		     "/apis/farm.example/v1",              false},
	{ "ponds",		     "/apis/farm.example/v1",              true },
};

/* The path of "team:instances/vm"; caller frees. */
static char *path_of(const char *about)
{
	const char *colon = strchr(about, ':'), *rest = colon ? colon + 1 : about;
	_cleanup_(xfreep) char *ns =
		colon ? xstrndup(about, (size_t)(colon - about)) : xstrdup("default");
	_cleanup_(xfreep) char *resource = xstrndup(rest, strcspn(rest, "/"));

	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		if (!streq(resources[i].resource, resource))
			continue;
		return resources[i].cluster
			       ? xasprintf("%s/%s", resources[i].group, rest)
			       : xasprintf("%s/namespaces/%s/%s", resources[i].group, ns, rest);
	}
	fprintf(stderr, "no resource %s\n", resource);
	abort();
}

/* The body's text; each "$NAME" is the uid of that ConfigMap. Caller frees. */
static char *body_of(Cloud *c, const json_t *body)
{
	_cleanup_(xfreep) char *text = body ? json_text(body) : NULL;
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	if (!text)
		return NULL;
	for (const char *p = text, *from; *p; p = from + strcspn(from, "\"")) {
		_cleanup_(xfreep) char *name = NULL, *path = NULL;
		_cleanup_(json_decrefp) json_t *o = NULL;

		from = strstr(p, "\"$");
		if (!from) {
			strbuf_adds(&b, p);
			break;
		}
		strbuf_add(&b, p, (size_t)(from - p) + 1);
		from += 2;
		name = xstrndup(from, strcspn(from, "\""));
		path = xasprintf("/api/v1/namespaces/default/configmaps/%s", name);
		if (cloud_call(c, "GET", path, NULL, &o) == 200)
			strbuf_adds(&b, json_string_at(o, "metadata.uid"));
		else
			strbuf_addf(&b, "$%s", name);
	}
	return strbuf_take(&b);
}

/* ---- one step ---- */

static void problem(Told *t, const char *fmt, ...) _printf_(2, 3);
static void problem(Told *t, const char *fmt, ...)
{
	_cleanup_(xfreep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	strbuf_addf(&t->problems, "%s\n", text);
}

/* True if the object at `path` has `value` at `field`; *ret_code is the answer's. */
static bool has_value(Cloud *c, const char *path, const char *field, const char *value,
		      int *ret_code)
{
	_cleanup_(json_decrefp) json_t *o = NULL;

	*ret_code = cloud_call(c, "GET", path, NULL, &o);
	return *ret_code == 200 && streq_ptr(json_string_at(o, field), value);
}

static bool is_over(const Told *t)
{
	return cloud_was_hit(t->cloud) || (t->together && cloud_lost_role(t->cloud));
}

/* Real drivers work in real time: looks until it is so, somebody dies, or patience ends. */
static bool wait_for(Told *t, const json_t *step)
{
	_cleanup_(xfreep) char *path = path_of(json_string_at(step, "wait"));
	usec_t until = clock_now(clock_system()) + PATIENCE;
	int code;

	while (clock_now(clock_system()) < until) {
		if (has_value(t->cloud, path, json_string_at(step, "path"),
			      json_string_at(step, "value"), &code))
			return true;
		if (is_over(t) || !cloud_settle(t->cloud, 1))
			return false;
		poll(NULL, 0, 5);
	}
	return false;
}

static int64_t revision_of(const json_t *o)
{
	const char *text = json_string_at(o, "metadata.resourceVersion");

	return text ? strtoll(text, NULL, 10) : 0;
}

static void remember(Told *t, size_t i, const char *method, const char *target, const json_t *body,
		     const json_t *answer)
{
	const char *name = json_string_at(body, "metadata.name");
	const char *uid = json_string_at(answer, "metadata.uid");

	if (streq(method, "POST") && name)
		snprintf(t->made[i].path, sizeof(t->made[i].path), "%s/%s", target, name);
	else if (!streq(method, "POST"))
		snprintf(t->made[i].path, sizeof(t->made[i].path), "%s", target);
	snprintf(t->made[i].uid, sizeof(t->made[i].uid), "%s", uid ? uid : "");
	t->made[i].generation = json_integer_at(answer, "metadata.generation", 0);
	t->made[i].revision = revision_of(answer);
}

/* What an answer to a request means that may have been carried out before, unheard. */
static bool is_done_already(const Told *t, const char *method, int code)
{
	return t->again && ((streq(method, "POST") && code == 409) ||
			    (streq(method, "DELETE") && (code == 404 || code == 409)) ||
			    (streq(method, "PATCH") && code == 404));
}

static bool send_request(Told *t, size_t i, const char *method, const char *about,
			 const json_t *step)
{
	_cleanup_(xfreep) char *target = path_of(about), *text = NULL;
	const json_t *body = json_object_get(step, "body");
	_cleanup_(json_decrefp) json_t *answer = NULL;
	int code;

	if (t->acknowledged[i])
		return true;
	text = body_of(t->cloud, body);
	if (text && strstr(text, "\"$"))
		return false; /* nobody could say who that is */
	t->repeats += t->again && t->sent[i] && str_has_suffix(about, "web/restart");
	code = cloud_call(t->cloud, method, target, text, &answer);
	t->sent[i] |= code != CLOUD_UNSENT;
	if (code <= 0)
		return false;
	if (code >= 200 && code < 300) {
		remember(t, i, method, target, body, answer);
	} else if (!is_done_already(t, method, code)) {
		/* A store that died under it answers too, and says that it does not know. */
		if (code != 503 && code != 500)
			problem(t, "%s %s: %d %s", method, about, code,
				json_string_at(answer, "message"));
		return code != 503 && code != 500;
	}
	t->acknowledged[i] = true;
	return true;
}

static bool tell_step(Told *t, size_t i, const json_t *step)
{
	static const struct {
		const char *verb, *method;
	} verbs[] = {
		{"post",    "POST"  },
                { "patch",  "PATCH" },
                { "delete", "DELETE"}
	};
	const json_t *n;

	for (size_t v = 0; v < ARRAY_SIZE(verbs); v++)
		if (json_string_at(step, verbs[v].verb))
			return send_request(t, i, verbs[v].method,
					    json_string_at(step, verbs[v].verb), step);
	t->sent[i] = true;
	if ((n = json_object_get(step, "settle")))
		return cloud_settle(t->cloud, (unsigned)json_integer_value(n));
	if ((n = json_object_get(step, "age")))
		return cloud_age(t->cloud, (unsigned)json_integer_value(n));
	return wait_for(t, step);
}

/* ---- the whole ---- */

static bool tell_steps(Told *t, const json_t *steps)
{
	json_t *step;
	size_t i;

	json_array_foreach (steps, i, step)
		if (!tell_step(t, i, step) || is_over(t))
			return false;
	return true;
}

bool told_tell(Told *t)
{
	if (!tell_steps(t, json_object_get(t->story, "steps")) || !cloud_settle(t->cloud, REST))
		return false;
	return !is_over(t);
}

/*
 * True if what step i has made or changed may be gone: a step that deletes it was sent, whatever
 * became of that; or it is passing, and something was deleted, or time let pass, at all.
 */
static bool may_be_gone(const Told *t, size_t i, bool passing)
{
	const json_t *steps = json_object_get(t->story, "steps");

	for (size_t j = 0; j < json_array_size(steps); j++) {
		const json_t *step = json_array_get(steps, j);
		const char *about = json_string_at(step, "delete");
		_cleanup_(xfreep) char *path = about ? path_of(about) : NULL;

		if (!t->sent[j])
			continue;
		if (passing ? about || json_object_get(step, "age")
			    : j > i && path && streq(path, t->made[i].path))
			return true;
	}
	return false;
}

static void verify_step(Told *t, size_t i, const json_t *step)
{
	_cleanup_(json_decrefp) json_t *o = NULL;
	int code = cloud_call(t->cloud, "GET", t->made[i].path, NULL, &o);
	bool same = code == 200 && streq_ptr(json_string_at(o, "metadata.uid"), t->made[i].uid);

	if (json_string_at(step, "delete")) {
		if (code == 200 && !json_string_at(o, "metadata.deletionTimestamp") &&
		    (!*t->made[i].uid || same))
			problem(t, "acknowledged deletion of %s is lost", t->made[i].path);
		return;
	}
	if (may_be_gone(t, i, json_bool_at(step, "passing", false)))
		return;
	if (!same)
		problem(t, "acknowledged write of %s is lost: %d", t->made[i].path, code);
	else if (json_integer_at(o, "metadata.generation", 0) < t->made[i].generation ||
		 revision_of(o) < t->made[i].revision)
		problem(t, "acknowledged change of %s is lost", t->made[i].path);
}

void told_verify(Told *t)
{
	json_t *step;
	size_t i;

	json_array_foreach (json_object_get(t->story, "steps"), i, step)
		if (t->acknowledged[i] && *t->made[i].path)
			verify_step(t, i, step);
	t->again = true;
}

static void check_expectations(Told *t)
{
	json_t *e;
	size_t i;

	json_array_foreach (json_object_get(t->story, "expect"), i, e) {
		_cleanup_(xfreep) char *path = path_of(json_string_at(e, "of"));
		const char *field = json_string_at(e, "path"), *value = json_string_at(e, "value");
		_cleanup_(json_decrefp) json_t *o = NULL;
		int code = cloud_call(t->cloud, "GET", path, NULL, &o);
		const char *got = field ? json_string_at(o, field) : NULL;

		if (field ? code != 200 || !streq_ptr(got, value) : code != 404)
			problem(t, "%s: %d, %s is %s, not %s", json_string_at(e, "of"), code,
				field ? field : "it", got ? got : "nothing",
				value ? value : "gone");
	}
}

void told_add_log(Told *t, const char *what)
{
	_cleanup_(xfreep) char *log = cloud_log(t->cloud);

	problem(t, "%s; its last words:\n%s", what, log);
}

/* A restart that was sent again, unheard before, may have been done twice; no other request starts.
 */
static void check_starts(Told *t)
{
	unsigned starts =
		INSIDE(fake_hypervisor_starts(cloud_fakes(t->cloud)->hypervisor, "default.web"));
	unsigned most = 1 + (unsigned)json_integer_at(t->story, "starts", 0) + t->repeats;

	if (starts > most)
		problem(t, "default.web was started %u times, not %u", starts, most);
}

/* False: it died. */
static bool look(Told *t)
{
	bool empty = json_bool_at(t->story, "empty", false);

	check_expectations(t);
	check_starts(t);
	return cloud_command(t->cloud, empty ? "check empty" : "check", &t->problems);
}

void told_check(Told *t)
{
	usec_t until = clock_now(clock_system()) + PATIENCE;
	size_t before = t->problems.len;
	bool alive = look(t);

	/* Fakes are at rest by now; what real ones do goes on by itself. */
	while (alive && cloud_is_real(t->cloud) && t->problems.len > before &&
	       clock_now(clock_system()) < until) {
		poll(NULL, 0, 5);
		strbuf_truncate(&t->problems, before);
		alive = cloud_settle(t->cloud, 1) && look(t);
	}
	if (!alive || !cloud_command(t->cloud, "again", &t->problems))
		told_add_log(t, "it died while it was looked at");
}

/* ---- beginnings ---- */

static void define_guest(Hypervisor *h, const char *store)
{
	DomainConfig c = { .name = "default.lost",
			   .uuid = LOST,
			   .store_id = store,
			   .uid = LOST,
			   .title = "default/lost",
			   .request_id = "",
			   .config_hash = "",
			   .cpus = 1,
			   .memory = 64u << 20 };

	if (h->ops->define(h, &CONTEXT_BACKGROUND, &c, NULL) < 0 ||
	    h->ops->power(h, &CONTEXT_BACKGROUND, c.name, POWER_START, NULL, NULL) < 0)
		abort();
}

static void orphan_network(const Fakes *f, const char *store)
{
	NetworkConfig config = { .vni = 77 };
	NetworkStatus st;

	snprintf(config.store_id, sizeof(config.store_id), "%s", store);
	snprintf(config.uid, sizeof(config.uid), "%s", LOST_NETWORK);
	ip_prefix_parse("10.99.0.0/24", &config.prefix4, NULL);
	ip_parse("10.99.0.1", &config.gateway4, NULL);
	if (f->network->ops->ensure(f->network, &CONTEXT_BACKGROUND, &config, &st, NULL) < 0)
		abort();
}

static void orphan_image(const Fakes *f)
{
	ImageRequest request = { .uid = LOST_IMAGE, .url = "http://127.0.0.1:8099/spare.qcow2" };
	ImageState st;

	if (f->images->ops->ensure(f->images, &CONTEXT_BACKGROUND, &request, &st, NULL) < 0)
		abort();
	image_state_done(&st);
}

/* A guest and disks with our mark and no object; a network of that sort, and an image; a guest that
 * does not hear. */
static void prepare_host(const Fakes *f, const char *what)
{
	const DomainConfig *ours;
	char path[4096];

	survive_enter();
	ours = fake_hypervisor_config(f->hypervisor, BYSTANDER, false);
	if (streq(what, "lost-guest")) {
		define_guest(f->hypervisor, ours->store_id);
		f->disks->ops->directory(f->disks, &CONTEXT_BACKGROUND, LOST, path, NULL);
	} else if (streq(what, "orphan-network")) {
		orphan_network(f, ours->store_id);
	} else if (streq(what, "orphan-image")) {
		orphan_image(f);
	} else if (streq(what, "deaf-guest")) {
		fake_hypervisor_set_guest(f->hypervisor, "default.web", FAKE_GUEST_IGNORES);
	} else {
		abort();
	}
	survive_leave();
}

/* The store as a sfd of the first schema has left it, with everything in it. */
static void prepare_store(const char *dir)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/store/store.db", dir);
	sqlite3 *db;

	if (sqlite3_open(path, &db) != SQLITE_OK ||
	    sqlite3_exec(db,
			 "BEGIN; ALTER TABLE log DROP COLUMN sum; ALTER TABLE meta DROP COLUMN sum;"
			 "PRAGMA user_version = 1; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
			 NULL, NULL, NULL) != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
		abort();
	}
	sqlite3_close(db);
}

/* The records of an instance that somebody tore out, and whose guest has gone since; and those of a
 * network that default.web had been on. */
static void prepare_records(const char *dir)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/store", dir);
	_cleanup_(object_unrefp) Object *network = NULL, *web = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;
	Key front = key_make(GR_NETWORK, "default", "front");
	Key key = key_make(GR_INSTANCE, "default", "web");
	StoreOptions options = { .clock = clock_system(), .kinds = kind_registry_new() };
	NicRequest q = { .instance_uid = LOST, .owner = "default/lost", .nic = "eth0" };
	_cleanup_(txn_freep) Txn *claims = txn_new();
	Backend *backend;
	NetworkPort port;
	uint32_t vni;
	Store *store;

	if (sqlite_backend_open(path, &backend, &err) < 0 ||
	    store_open(backend, &options, &store, &err) < 0 ||
	    store_get(store, &front, &network, &err) < 0 || store_get(store, &key, &web, &err) < 0)
		goto broken;
	q.network_uid = object_head(network)->uid;
	q.hostname = "lost";
	ip_prefix_parse("10.20.0.0/24", &q.prefix4, NULL);
	ip_parse("10.20.0.1", &q.gateway4, NULL);
	if (nic_allocate(store, options.clock, claims, &q, &port, &err) < 0)
		goto broken;
	q.network_uid = LOST_NETWORK;
	q.instance_uid = object_head(web)->uid;
	if (nic_allocate(store, options.clock, claims, &q, &port, &err) < 0 ||
	    vni_allocate(store, claims, LOST_NETWORK, &vni, &err) < 0 ||
	    store_commit(store, &CONTEXT_BACKGROUND, claims, NULL, &err) < 0)
		goto broken;
	store_free(store);
	kind_registry_free(options.kinds);
	return;
broken:
	fprintf(stderr, "%s: %s\n", path, error_message(&err));
	abort();
}

void told_begin(Told *t, Cloud *c, const json_t *stories, const json_t *story)
{
	const char *prepare = json_string_at(story, "prepare");

	*t = (Told){ .cloud = c, .stories = stories, .story = story };
	assert(json_array_size(json_object_get(story, "steps")) <= STEPS_MAX);
	cloud_restore(c, json_bool_at(story, "empty", false) ? 0 : 1);
	if (prepare && streq(prepare, "older-store"))
		prepare_store(cloud_dir(c));
	else if (prepare && streq(prepare, "orphan-records"))
		prepare_records(cloud_dir(c));
	else if (prepare)
		prepare_host(cloud_fakes(c), prepare);
}

void told_done(Told *t)
{
	cloud_kill(t->cloud);
	strbuf_done(&t->problems);
}

static void set_up_sources(const Fakes *f)
{
	static const char *const names[] = { "debian", "spare", "new" };

	survive_enter();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_(xfreep) char *url = xasprintf("http://127.0.0.1:8099/%s.qcow2", names[i]);

		fake_image_source_set(f->images, url, &(FakeSource){ .content = names[i] });
	}
	survive_leave();
}

bool story_prepare(Cloud *c, const json_t *stories, bool real)
{
	Told t = { .cloud = c, .stories = stories };
	bool good;

	set_up_sources(cloud_fakes(c));
	cloud_save(c, 0);
	good = cloud_start(c, NULL) &&
	       tell_steps(&t, json_object_get(stories, real ? "base-real" : "base")) &&
	       cloud_settle(c, REST);
	if (good)
		cloud_stop(c);
	if (!good || t.problems.len) {
		_cleanup_(xfreep) char *log = cloud_log(c);

		fprintf(stderr, "the base does not come to rest: %s%s\n", strbuf_str(&t.problems),
			log);
		return false;
	}
	survive_enter();
	fake_hypervisor_add_foreign(cloud_fakes(c)->hypervisor, FOREIGN, NULL, true);
	survive_leave();
	cloud_save(c, 1);
	strbuf_done(&t.problems);
	return true;
}
