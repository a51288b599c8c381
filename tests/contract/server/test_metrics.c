/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics and health: the text is what Prometheus' parsers take, in both formats; requests are
 * counted under bounded labels; every metric that the dashboard and the alerts ask for is served.
 */
#include "tests/contract/server/fixture.h"

#include <ctype.h>
#include <poll.h>

#include "base/hashmap.h"
#include "controller/controller.h"
#include "pki/authority.h"

#define OPEN_METRICS "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n"

static Manager *manager;
static Authority *authority;

static int reconcile(void *self _unused_, Context *ctx _unused_, const Key *key _unused_,
		     Result *ret _unused_, Error *err)
{
	return error_set(err, ERR_INVALID, "never");
}

/* The fixture with controllers and certificates. */
static int setup(void **state)
{
	static const ControllerSpec spec = { .name = "secret", .reconcile = reconcile };
	_cleanup_(xfreep) char *address = NULL, *pki = NULL;
	ServerOptions options = { 0 };
	ControllerSpec of = spec;
	Fixture *f;

	assert_int_equal(fixture_setup(state), 0);
	f = *state;
	server_stop(f->server, USEC_PER_SEC);
	server_free(f->server);
	manager = manager_new(f->store, NULL);
	of.gr = GR_SECRET;
	manager_add(manager, &of, NULL);
	assert_int_equal(manager_start(manager, NULL), 0);
	pki = xasprintf("%s/pki", f->dir);
	assert_int_equal(authority_open(&(AuthorityOptions){ .dir = pki, .clock = clock_system() },
					&authority, NULL),
			 0);
	options = (ServerOptions){ .store = f->store,
				   .kinds = f->kinds,
				   .manager = manager,
				   .authority = authority,
				   .node_name = "node-1",
				   .admin_gid = (gid_t)-1 };
	assert_int_equal(server_new(&options, &f->server, NULL), 0);
	address = xasprintf("unix:%s", f->path);
	assert_int_equal(server_listen(f->server, address, NULL), 0);
	assert_int_equal(server_start(f->server, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;

	server_stop(f->server, USEC_PER_SEC);
	assert_int_equal(manager_stop(manager, 5 * USEC_PER_SEC, NULL), 0);
	manager = manager_free(manager);
	assert_int_equal(fixture_teardown(state), 0);
	authority = authority_free(authority);
	return 0;
}

static char *scrape(Fixture *f, const char *headers)
{
	HttpClient *c = http_connect(f->path);
	char *text;
	HttpAnswer a;

	http_request(c, "GET", "/metrics", headers, NULL);
	a = http_read_answer(c);
	assert_int_equal(a.code, 200);
	text = TAKE_PTR(a.body);
	http_answer_done(&a);
	http_close(c);
	return text;
}

/* ---- a parser ---- */

typedef struct Parser {
	Hashmap *families; /* by name, to their types */
	Hashmap *samples;  /* names of samples */
	char *family, *type;
	bool open_metrics;
	double bucket; /* of the histogram being read */
	size_t n;
} Parser;

static size_t name_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == ':')
		n++;
	return n;
}

/* {a="b",c="d"}: returns what follows. */
static const char *parse_labels(const char *p)
{
	assert_int_equal(*p++, '{');
	for (;;) {
		size_t n = name_length(p);

		assert_true(n > 0 && p[n] == '=' && p[n + 1] == '"');
		for (p += n + 2; *p != '"'; p++) {
			assert_true(*p && *p != '\n');
			if (*p == '\\') {
				p++;
				assert_true(*p == '"' || *p == '\\' || *p == 'n');
			}
		}
		p++;
		if (*p == '}')
			return p + 1;
		assert_int_equal(*p++, ',');
	}
}

static void begin_family(Parser *x, const char *line)
{
	size_t n = name_length(line + 7);
	_cleanup_(xfreep) char *name = xstrndup(line + 7, n);

	assert_int_equal(line[7 + n], ' ');
	if (str_has_prefix(line, "# HELP ")) {
		if (hashmap_get(x->families, name))
			fail_msg("%s comes twice", name);
		hashmap_put(x->families, name, x);
		free(x->family);
		x->family = TAKE_PTR(name);
		return;
	}
	assert_true(str_has_prefix(line, "# TYPE "));
	assert_string_equal(name, x->family);
	free(x->type);
	x->type = xstrdup(line + 8 + n);
}

/* The part behind the family's name. */
static void check_suffix(Parser *x, const char *name)
{
	const char *suffix = name + strlen(x->family);

	if (!str_has_prefix(name, x->family))
		fail_msg("%s in the family %s", name, x->family);
	if (streq(x->type, "histogram"))
		assert_true(streq(suffix, "_bucket") || streq(suffix, "_sum") ||
			    streq(suffix, "_count"));
	else if (x->open_metrics && streq(x->type, "counter"))
		assert_string_equal(suffix, "_total");
	else
		assert_string_equal(suffix, "");
}

static void take_sample(Parser *x, const char *line)
{
	size_t n = name_length(line);
	_cleanup_(xfreep) char *name = xstrndup(line, n);
	const char *p = line + n;
	double value;
	char *end;

	check_suffix(x, name);
	if (*p == '{')
		p = parse_labels(p);
	assert_int_equal(*p, ' ');
	value = strtod(p + 1, &end);
	assert_true(*end == '\0' && end > p + 1);
	/* Buckets rise, the last is the count. */
	if (str_has_suffix(name, "_bucket")) {
		assert_true(value >= x->bucket);
		x->bucket = value;
	} else if (str_has_suffix(name, "_count") && streq(x->type, "histogram")) {
		assert_true(value == x->bucket);
		x->bucket = 0;
	}
	if (!streq(x->type, "gauge"))
		assert_true(value >= 0);
	hashmap_put(x->samples, name, x);
	x->n++;
}

/* Fails where a line is none; the parser has the names then. */
static Parser parse(char *text, bool open_metrics)
{
	Parser x = { .families = hashmap_new(NULL),
		     .samples = hashmap_new(NULL),
		     .open_metrics = open_metrics };
	bool ended = false;
	char *save, *line;

	assert_int_equal(text[strlen(text) - 1], '\n');
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		assert_false(ended);
		if (streq(line, "# EOF"))
			ended = true;
		else if (*line == '#')
			begin_family(&x, line);
		else
			take_sample(&x, line);
	}
	assert_int_equal(ended, open_metrics);
	return x;
}

static void parser_done(Parser *x)
{
	hashmap_free(x->families);
	hashmap_free(x->samples);
	free(x->family);
	free(x->type);
}

/* ---- tests ---- */

static void make_some(Fixture *f)
{
	json_decref(make_secret(f, "a", NULL));
	call_done(f, 201, "POST", INSTANCES, NULL, INSTANCE_BODY("web", ""));
	call_done(f, 201, "POST", NETWORKS, NULL,
		  "{\"metadata\":{\"name\":\"n\"},\"spec\":{\"cidrs\":[\"10.0.0.0/24\"]}}");
	call_done(f, 201, "POST", API_GROUP "/namespaces/default/images", NULL,
		  "{\"metadata\":{\"name\":\"i\"},\"spec\":{\"source\":{\"url\":"
		  "\"https://example.org/i.qcow2\"}}}");
}

static void test_both_formats(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *text = NULL, *open = NULL;
	Parser x, y;

	make_some(f);
	text = scrape(f, "");
	open = scrape(f, OPEN_METRICS);
	x = parse(text, false);
	y = parse(open, true);
	assert_true(x.n > 100 && y.n >= x.n);
	parser_done(&x);
	parser_done(&y);
}

/* In the end: a request is counted when its answer is out, which may be after we have read it. */
static void expect_line(Fixture *f, const char *line)
{
	for (int i = 0; i < 500; i++) {
		_cleanup_(xfreep) char *text = scrape(f, "");

		if (strstr(text, line))
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("no line %s", line);
}

#define POSTED \
	"apiserver_request_total{verb=\"POST\",group=\"shakenfist.io\",version=\"v1alpha1\"," \
	"resource=\"instances\",subresource=\"\",scope=\"resource\",dry_run=\"\",code=\"201\"} " \
	"1\n"
#define DRY \
	"resource=\"secrets\",subresource=\"\",scope=\"resource\",dry_run=\"All\",code=\"201\"} " \
	"1\n"
#define LISTED \
	"apiserver_request_total{verb=\"LIST\",group=\"\",version=\"v1\",resource=\"secrets\"," \
	"subresource=\"\",scope=\"cluster\",dry_run=\"\",code=\"200\"} 1\n"
#define STATUS \
	"verb=\"APPLY\",group=\"shakenfist.io\",version=\"v1alpha1\",resource=\"instances\"," \
	"subresource=\"status\",scope=\"resource\""

static void test_requests_are_counted(void **state)
{
	Fixture *f = *state;
	HttpAnswer a;

	make_some(f);
	call_done(f, 201, "POST", SECRETS "?dryRun=All", NULL, "{\"metadata\":{\"name\":\"d\"}}");
	call_done(f, 200, "GET", "/api/v1/secrets", NULL, NULL);
	a = http_call(f->path, "PATCH", INSTANCES "/web/status?fieldManager=m",
		      "application/apply-patch+yaml", "{}");
	http_answer_done(&a);
	expect_line(f, POSTED);
	expect_line(f, DRY);
	expect_line(f, LISTED);
	expect_line(f, STATUS);
	expect_line(f, "sf_instances{namespace=\"default\",status=\"Pending\"} 1\n");
	expect_line(f, "sf_instance_memory_bytes{namespace=\"default\",name=\"web\"} 1073741824\n");
	expect_line(f, "apiserver_storage_objects{resource=\"instances.shakenfist.io\"} 1\n");
	expect_line(f, "apiserver_current_inflight_requests{request_kind=\"readOnly\"} 1\n");
	expect_line(f, "controller_runtime_max_concurrent_reconciles{controller=\"secret\"} 1\n");
	assert_int_equal(manager_wait_idle(manager, 5 * USEC_PER_SEC, NULL), 0);
	expect_line(
		f,
		"controller_runtime_reconcile_total{controller=\"secret\",result=\"error\"} 1\n");
}

/* What a client makes up is in no label. */
static void test_hostile_paths_add_nothing(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *before = NULL, *after = NULL;
	Parser x, y;

	call_done(f, 404, "GET", "/apis/evil0.io/v1/evils", NULL, NULL);
	call_done(f, 404, "GET", "/evil", NULL, NULL);
	call_done(f, 404, "GET", INSTANCES "/x/evil", NULL, NULL);
	/* All sorts of requests have been counted, this one's too. */
	expect_line(f, "verb=\"LIST\",group=\"\",version=\"\",resource=\"\",subresource=\"\","
		       "scope=\"\",dry_run=\"\",code=\"404\"} 1\n");
	expect_line(f, "verb=\"GET\",group=\"\",version=\"\",resource=\"\",subresource=\"\","
		       "scope=\"\",dry_run=\"\",code=\"404\"} 1\n");
	expect_line(f, "resource=\"instances\",subresource=\"\",scope=\"resource\",dry_run=\"\","
		       "code=\"404\"} 1\n");
	expect_line(f, "subresource=\"/metrics\",scope=\"\",dry_run=\"\",code=\"200\"} ");
	before = scrape(f, "");
	for (int i = 0; i < 50; i++) {
		_cleanup_(xfreep) char *group = xasprintf("/apis/evil%d.io/v1/evils", i);
		_cleanup_(xfreep) char *path = xasprintf("/evil%d", i);
		_cleanup_(xfreep) char *sub = xasprintf(INSTANCES "/x/evil%d", i);

		call_done(f, 404, "GET", group, NULL, NULL);
		call_done(f, 404, "GET", path, NULL, NULL);
		call_done(f, 404, "GET", sub, NULL, NULL);
	}
	after = scrape(f, "");
	assert_null(strstr(after, "evil"));
	x = parse(before, false);
	y = parse(after, false);
	assert_int_equal(x.n, y.n);
	parser_done(&x);
	parser_done(&y);
}

static void expect_health(Fixture *f, int code, const char *target, const char *body)
{
	HttpAnswer a = http_call(f->path, "GET", target, NULL, NULL);

	assert_int_equal(a.code, code);
	if (body)
		assert_string_equal(a.body, body);
	http_answer_done(&a);
}

static void test_health(void **state)
{
	Fixture *f = *state;

	expect_health(f, 200, "/livez", "ok");
	expect_health(f, 200, "/readyz/ping", "ok");
	expect_health(f, 200, "/livez/store", "ok");
	expect_health(f, 404, "/livez/nothing", NULL);
	expect_health(f, 200, "/readyz?verbose",
		      "[+]ping ok\n[+]store ok\n[+]workers ok\nreadyz check passed\n");
	expect_health(f, 200, "/healthz?verbose=true&exclude=store&exclude=x",
		      "[+]ping ok\n[+]store excluded: ok\n[+]workers ok\nwarn: some health checks "
		      "cannot be excluded: no matches for \"x\"\nhealthz check passed\n");
}

/* ---- what asks for metrics ---- */

static char *file_text(const char *name)
{
	char *text = NULL;

	assert_int_equal(fs_read(name, 1024 * 1024, &text, NULL, NULL), 0);
	return text;
}

/* True for what PromQL itself uses there. */
static bool is_word_of_language(const char *word)
{
	static const char *const words[] = { "by", "on", "unless", "and", "or", "bool" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (streq(word, words[i]))
			return true;
	return false;
}

/* Skips what follows "by" or "on": a list of labels. */
static const char *skip_list(const char *p)
{
	p += strspn(p, " ");
	return *p == '(' ? p + strcspn(p, ")") : p;
}

/* Each name of a metric in a query is one that is served. */
static size_t check_query(const Parser *served, const char *query)
{
	size_t found = 0;

	for (const char *p = query; *p;) {
		size_t n = name_length(p);
		_cleanup_(xfreep) char *word = xstrndup(p, n);

		if (*p == '{' || *p == '[') {
			p += strcspn(p, *p == '{' ? "}" : "]");
		} else if (n == 0 || isdigit((unsigned char)*p)) {
			p += n ? n : 1;
		} else if (is_word_of_language(word)) {
			p = skip_list(p + n);
		} else {
			p += n;
			if (*p == '(') /* a function */
				continue;
			if (p[strspn(p, " ")] == '(' || streq(word, "sum") || streq(word, "max") ||
			    streq(word, "min"))
				continue;
			if (!hashmap_get(served->samples, word))
				fail_msg("%s is not served, but asked for by %s", word, query);
			found++;
		}
	}
	if (found == 0)
		fail_msg("no metric in %s", query);
	return found;
}

static size_t check_panels(const Parser *served, const json_t *panels)
{
	const json_t *panel, *target;
	size_t i, j, n = 0;

	json_array_foreach (panels, i, panel)
		json_array_foreach (json_object_get(panel, "targets"), j, target)
			n += check_query(served, json_string_at(target, "expr"));
	return n;
}

static void test_dashboard_and_alerts(void **state)
{
	Fixture *f = *state;
	_cleanup_(xfreep) char *text = NULL,
			       *alerts = file_text("manifests/prometheus/alerts.yaml");
	_cleanup_(json_decrefp) json_t *dashboard =
		json_load_file("manifests/grafana/shakenfist.json", 0, NULL);
	_cleanup_(object_unrefp) Object *image = NULL;
	Key key = key_make(GR_IMAGE, "default", "i");
	const char *line;
	size_t n = 0;
	Parser served;

	make_some(f);
	/* Figures of an image that is there. */
	call_done(f, 200, "PATCH", API_GROUP "/namespaces/default/images/i/status",
		  "application/merge-patch+json",
		  "{\"status\":{\"phase\":\"Fetching\",\"fileSize\":5,\"digest\":\"sha256:"
		  "0000000000000000000000000000000000000000000000000000000000000000\","
		  "\"progress\":{\"percent\":50}}}");
	call_done(f, 200, "PATCH", NETWORKS "/n/status", "application/merge-patch+json",
		  "{\"status\":{\"portsInUse\":1}}");
	assert_int_equal(store_get(f->store, &key, &image, NULL), 0);
	{
		HttpClient *c = http_connect(f->path);
		HttpAnswer a;

		http_request(c, "GET", SECRETS "?watch=1", "", NULL);
		a = http_read_head(c);
		http_answer_done(&a);
		text = scrape(f, "");
		http_close(c);
	}
	served = parse(text, false);
	assert_non_null(dashboard);
	n = check_panels(&served, json_object_get(dashboard, "panels"));
	assert_true(n > 30);
	for (line = alerts; (line = strstr(line, "expr: ")); line++) {
		_cleanup_(xfreep) char *query = xstrndup(line + 6, strcspn(line + 6, "\n"));

		check_query(&served, query);
	}
	parser_done(&served);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_formats),
		TEST(test_requests_are_counted),
		TEST(test_hostile_paths_add_nothing),
		TEST(test_health),
		TEST(test_dashboard_and_alerts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
