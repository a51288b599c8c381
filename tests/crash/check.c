/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold when everything has come to rest, whatever died on the way: each object has what
 * it stands for and nothing else has, records and addresses belong to somebody, and no guest was
 * touched that nobody asked to touch. See cloud.h. Runs in the child, with nothing moving.
 */
#include "api/quantity.h"
#include "base/hashmap.h"
#include "base/memory.h"
#include "tests/crash/cloud.h"
#include "tests/crash/survive.h"
#include "tests/lib/world.h"

typedef struct Check {
	World *w;
	const Fakes *f;
	FILE *out;
	Hashmap *uids; /* of every Instance, Network and Image -> itself */
	size_t instances, networks, images;
	ssize_t nics; /* of instances, less those that are ports of a network */
} Check;

static void tell(const Check *c, const char *fmt, ...) _printf_(2, 3);
static void tell(const Check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(c->out, fmt, ap);
	va_end(ap);
	fputc('\n', c->out);
}

/* Calls fn with each object of a kind and its tree. */
static void each(Check *c, const GroupResource *gr,
		 void (*fn)(Check *c, const Object *o, const json_t *tree))
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;

	if (store_list(c->w->store, &(ListOptions){ .gr = gr }, &list, NULL) < 0) {
		tell(c, "%s cannot be listed", gr->resource);
		return;
	}
	for (size_t i = 0; i < list->n; i++) {
		_cleanup_(json_decrefp) json_t *tree = object_decode(list->items[i]);

		fn(c, list->items[i], tree);
	}
}

static void remember(Check *c, const Object *o, const json_t *tree)
{
	const ObjectHead *head = object_head(o);
	const Key *key = object_key(o);

	hashmap_put(c->uids, head->uid, c);
	if (object_is_deleting(o))
		tell(c, "%s %s/%s is still being deleted", key->gr->resource, key->namespace,
		     key->name);
	if (json_integer_at(tree, "status.observedGeneration", 0) != head->generation)
		tell(c, "%s %s/%s: generation %lld, observed %lld", key->gr->resource,
		     key->namespace, key->name, (long long)head->generation,
		     (long long)json_integer_at(tree, "status.observedGeneration", 0));
	c->instances += key->gr == GR_INSTANCE;
	c->networks += key->gr == GR_NETWORK;
	c->images += key->gr == GR_IMAGE;
}

/* ---- instances ---- */

static DomainState state_of(const char *word)
{
	if (streq(word, "Running"))
		return DOMAIN_RUNNING;
	if (streq(word, "Paused"))
		return DOMAIN_PAUSED;
	return streq(word, "Stopped") ? DOMAIN_SHUTOFF : DOMAIN_ABSENT;
}

static void check_domain(const Check *c, const Object *o, const json_t *tree)
{
	const char *word = json_string_at(tree, "status.printableStatus");
	char name[KEY_TEXT_MAX];
	const DomainConfig *config;
	uint64_t memory = 0;

	snprintf(name, sizeof(name), "%s.%s", object_key(o)->namespace, object_key(o)->name);
	config = INSIDE(fake_hypervisor_config(c->f->hypervisor, name, false));
	if (!config) {
		tell(c, "instance %s (%s) has no domain", name, word ? word : "no status");
		return;
	}
	if (!word || state_of(word) != INSIDE(fake_hypervisor_state(c->f->hypervisor, name)))
		tell(c, "instance %s says %s, its domain is %s", name, word ? word : "nothing",
		     domain_state_to_string(INSIDE(fake_hypervisor_state(c->f->hypervisor, name))));
	if (!streq(config->uid, object_head(o)->uid))
		tell(c, "domain %s is of uid %s, not %s", name, config->uid, object_head(o)->uid);
	quantity_parse(json_string_at(tree, "spec.memory"), &memory, NULL);
	if (config->cpus != json_integer_at(tree, "spec.cpus", 1) || config->memory != memory)
		tell(c, "domain %s has %u CPUs and %llu bytes, not what its spec says", name,
		     config->cpus, (unsigned long long)config->memory);
	if (config->n_nics != json_array_size(json_at(tree, "spec.interfaces")))
		tell(c, "domain %s has %zu interfaces", name, config->n_nics);
}

static void check_disks(const Check *c, const Object *o, const json_t *tree)
{
	DiskStore *d = c->w->disks;
	json_t *disk;
	size_t i;

	json_array_foreach (json_at(tree, "spec.disks"), i, disk) {
		const char *name = json_string_at(disk, "name");
		_cleanup_(xfreep) DiskInfo *info = xnew0(DiskInfo, 1);
		uint64_t size = 0;

		if (d->ops->inspect(d, &CONTEXT_BACKGROUND, object_head(o)->uid, name, info, NULL) <
		    0)
			tell(c, "instance %s has no disk %s", object_key(o)->name, name);
		else if (json_string_at(disk, "size") &&
			 quantity_parse(json_string_at(disk, "size"), &size, NULL) == 0 &&
			 info->virtual_size < size &&
			 streq_ptr(json_string_at(tree, "status.printableStatus"), "Stopped"))
			tell(c, "disk %s of instance %s has not grown", name, object_key(o)->name);
	}
}

static void check_instance(Check *c, const Object *o, const json_t *tree)
{
	json_t *nics = json_at(tree, "status.interfaces");

	check_domain(c, o, tree);
	check_disks(c, o, tree);
	c->nics += (ssize_t)json_array_size(nics);
	if (json_array_size(nics) != json_array_size(json_at(tree, "spec.interfaces")))
		tell(c, "instance %s has %zu interfaces in its status", object_key(o)->name,
		     json_array_size(nics));
}

static void check_strays(const Check *c)
{
	_cleanup_(xfreep) DomainEntry *domains = NULL;
	_cleanup_(xfreep) char(*uids)[UUID_MAX] = NULL;
	Hypervisor *h = c->w->hypervisor;
	DiskStore *d = c->w->disks;
	size_t n = 0, n_disks = 0;

	if (h->ops->list(h, &CONTEXT_BACKGROUND, &domains, &n, NULL) < 0 ||
	    d->ops->list(d, &CONTEXT_BACKGROUND, &uids, &n_disks, NULL) < 0)
		tell(c, "the drivers cannot be asked");
	for (size_t i = 0; i < n; i++)
		if (*domains[i].store_id && !streq(domains[i].uid, LOST) &&
		    !hashmap_contains(c->uids, domains[i].uid))
			tell(c, "domain %s has no instance", domains[i].name);
	for (size_t i = 0; i < n_disks; i++)
		if (!hashmap_contains(c->uids, uids[i]))
			tell(c, "disks %s have no instance", uids[i]);
}

/* ---- networks and images ---- */

static void check_network(Check *c, const Object *o, const json_t *tree)
{
	_cleanup_(xfreep) NetworkEntry *entries = NULL;
	NetworkDriver *d = c->w->network;
	const char *domain = json_string_at(tree, "spec.dns.domain");
	NetworkConfig config;
	size_t n = 0, i;

	if (!streq_ptr(json_string_at(tree, "status.phase"), "Ready"))
		tell(c, "network %s is %s", object_key(o)->name,
		     json_string_at(tree, "status.phase"));
	if (d->ops->list(d, &CONTEXT_BACKGROUND, store_id(c->w->store), &entries, &n, NULL) < 0)
		tell(c, "the networks cannot be listed");
	for (i = 0; i < n && !streq(entries[i].uid, object_head(o)->uid); i++)
		;
	if (i == n)
		tell(c, "network %s is not set up", object_key(o)->name);
	else if (entries[i].vni != json_integer_at(tree, "status.vni", 0))
		tell(c, "network %s has VNI %u", object_key(o)->name, entries[i].vni);
	if (streq(d->ops->name, "surviving") &&
	    INSIDE(fake_network_get(c->f->network, object_head(o)->uid, &config))) {
		if (domain && !streq(config.domain, domain))
			tell(c, "network %s has domain %s, not %s", object_key(o)->name,
			     config.domain, domain);
		if ((json_int_t)config.n_ports != json_integer_at(tree, "status.portsInUse", 0))
			tell(c, "network %s has %zu ports, its status says %lld",
			     object_key(o)->name, config.n_ports,
			     (long long)json_integer_at(tree, "status.portsInUse", 0));
		c->nics -= (ssize_t)config.n_ports;
		free((void *)config.ports);
	}
}

static void check_stray_networks(const Check *c)
{
	_cleanup_(xfreep) NetworkEntry *entries = NULL;
	NetworkDriver *d = c->w->network;
	size_t n = 0;

	if (d->ops->list(d, &CONTEXT_BACKGROUND, store_id(c->w->store), &entries, &n, NULL) < 0)
		tell(c, "the networks cannot be listed");
	for (size_t i = 0; i < n; i++)
		if (!hashmap_contains(c->uids, entries[i].uid))
			tell(c, "network %s has no object", entries[i].uid);
}

static void check_image(Check *c, const Object *o, const json_t *tree)
{
	char path[4096];
	const char *digest = json_string_at(tree, "status.digest");
	ImageCache *i = c->w->images;

	if (!streq_ptr(json_string_at(tree, "status.phase"), "Ready") || !digest)
		tell(c, "image %s is %s", object_key(o)->name,
		     json_string_at(tree, "status.phase"));
	else if (i->ops->path(i, &CONTEXT_BACKGROUND, digest, path, NULL) < 0)
		tell(c, "image %s is not in the cache", object_key(o)->name);
}

/* ---- records ---- */

static bool known(const Check *c, const char *text)
{
	char uid[UUID_MAX];

	snprintf(uid, sizeof(uid), "%.36s", text);
	return hashmap_contains(c->uids, uid);
}

/* Names and bodies: pkg/reconcile/allocate.h. */
static int check_record(void *arg, const Key *key, const json_t *body, int64_t rev _unused_)
{
	const char *instance = json_string_at(body, "instance"), *slash = strchr(key->name, '/');
	const char *network = json_string_at(body, "network");
	Check *c = arg;

	if (network && !known(c, network))
		tell(c, "record %s: no such network", key->name);
	if (instance && !known(c, instance))
		tell(c, "record %s: no such instance", key->name);
	if (slash && !str_has_prefix(key->name, "vni/") && !str_has_prefix(key->name, "port/") &&
	    !known(c, slash + 1))
		tell(c, "record %s: no such network", key->name);
	if (str_has_prefix(key->name, "nic/") && strlen(slash + 1) > 37 &&
	    !known(c, slash + 1 + 37))
		tell(c, "record %s: no such instance", key->name);
	return 0;
}

/* ---- everything ---- */

static void check_namespace_of(Check *c, const Object *o, const json_t *tree _unused_)
{
	Key key = key_make(GR_NAMESPACE, "", object_key(o)->namespace);

	if (!store_exists(c->w->store, &key))
		tell(c, "%s %s/%s has no namespace", object_key(o)->gr->resource,
		     object_key(o)->namespace, object_key(o)->name);
}

static void check_bystanders(const Check *c)
{
	Hypervisor *h = c->f->hypervisor;

	if (INSIDE(fake_hypervisor_state(h, BYSTANDER)) != DOMAIN_RUNNING ||
	    INSIDE(fake_hypervisor_starts(h, BYSTANDER)) != 1)
		tell(c, "the guest nobody asked about was touched: %s, started %u times",
		     domain_state_to_string(INSIDE(fake_hypervisor_state(h, BYSTANDER))),
		     INSIDE(fake_hypervisor_starts(h, BYSTANDER)));
	if (INSIDE(fake_hypervisor_state(h, FOREIGN)) != DOMAIN_RUNNING)
		tell(c, "a guest that is not ours was touched");
}

void check_all(World *w, const Fakes *f, bool empty, FILE *out)
{
	Check c = { .w = w, .f = f, .out = out, .uids = hashmap_new(NULL) };
	const GroupResource *const namespaced[] = { GR_INSTANCE, GR_NETWORK,   GR_IMAGE, GR_EVENT,
						    GR_SECRET,   GR_CONFIGMAP, GR_QUOTA };

	each(&c, GR_INSTANCE, remember);
	each(&c, GR_NETWORK, remember);
	each(&c, GR_IMAGE, remember);
	each(&c, GR_INSTANCE, check_instance);
	each(&c, GR_NETWORK, check_network);
	each(&c, GR_IMAGE, check_image);
	for (size_t i = 0; i < ARRAY_SIZE(namespaced); i++)
		each(&c, namespaced[i], check_namespace_of);
	check_strays(&c);
	check_stray_networks(&c);
	if (streq(w->network->ops->name, "surviving") && c.nics)
		tell(&c, "interfaces less ports of networks: %zd", c.nics);
	if (streq(w->images->ops->name, "surviving") &&
	    INSIDE(fake_image_jobs(f->images)) != c.images)
		tell(&c, "the cache works for %zu images, there are %zu",
		     INSIDE(fake_image_jobs(f->images)), c.images);
	if (store_record_list(w->store, GR_ALLOC, "", check_record, &c, NULL) < 0)
		tell(&c, "the records cannot be read");
	if (!empty)
		check_bystanders(&c);
	hashmap_free(c.uids);
}

/* The bodies, too: what is not observed by a revision must not change either. */
static int add_record(void *arg, const Key *key, const json_t *body, int64_t rev)
{
	_cleanup_(xfreep) char *text = json_text(body);

	strbuf_addf(arg, "record %s %lld %s\n", key->name, (long long)rev, text);
	return 0;
}

static void add_kind(StrBuf *b, Store *store, const GroupResource *gr)
{
	_cleanup_(object_list_freep) ObjectList *list = NULL;
	_cleanup_(error_done) Error err = ERROR_INIT;

	if (store_list(store, &(ListOptions){ .gr = gr }, &list, &err) < 0) {
		strbuf_addf(b, "%s: %s\n", gr->resource, error_message(&err));
		return;
	}
	for (size_t i = 0; i < list->n; i++)
		strbuf_addf(b, "%s %s/%s %lld\n", gr->resource,
			    object_key(list->items[i])->namespace, object_key(list->items[i])->name,
			    (long long)object_revision(list->items[i]));
}

/* Every kind that is served, those of users too, but Events: they tell that somebody looked. */
char *check_fingerprint(World *w, const Fakes *f)
{
	StrBuf b = STRBUF_INIT;
	size_t n;
	Kind **kinds = kind_registry_list(w->kinds, &n);

	for (size_t i = 0; i < n; i++) {
		if (kinds[i]->gr != GR_EVENT)
			add_kind(&b, w->store, kinds[i]->gr);
		kind_unref(kinds[i]);
	}
	free(kinds);
	store_record_list(w->store, GR_ALLOC, "", add_record, &b, NULL);
	strbuf_addf(&b, "changes %u\n", fakes_changes(f));
	return strbuf_take(&b);
}
