/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetch role: one download into incoming/NAME.part, its checksum on the way.
 *
 * Request: {"name", "url", "checksum"?, "checksumURL"?, "etag"?, "lastModified"? (of the cached
 * copy: ask whether it changed), "maxSize", "minFree" (bytes), "denyPrivate", "allowLoopback",
 * "connectSeconds", "lowSpeedBytes", "lowSpeedSeconds", "totalSeconds"}. Result: {"notModified":
 * true} or {"checksum": "sha256:hex", "sha512": hex or "", "bytes", "etag", "lastModified"}; the
 * file is then complete, synced and, where a checksum was given, right. After an error that another
 * try of the same bytes cannot mend nothing is left behind. One thread.
 */
#include <curl/curl.h>
#include <errno.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/memory.h"
#include "driver/image/confine.h"
#include "driver/image/part.h"
#include "driver/image/role.h"
#include "driver/image/roles.h"
#include "driver/image/transfer.h"

#define SUMS_MAX        (1024u * 1024)
#define ADDRESS_SPACE   ((uint64_t)1 << 30)
#define FILE_SIZE_SLACK (1024u * 1024)

/* Libraries, the resolver's configuration, certificates. Not /etc: we may be its owner, root. */
static const char *const read_paths[] = {
	"/usr",
	"/lib",
	"/lib64",
	"/etc/ld.so.cache",
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/host.conf",
	"/etc/nsswitch.conf",
	"/etc/gai.conf",
	"/etc/services",
	"/etc/protocols",
	"/etc/ssl/certs",
	"/etc/ca-certificates",
	"/etc/gnutls",
	"/etc/pkcs11",
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/dev/null",
	"/dev/urandom",
	NULL,
};

typedef struct Fetch {
	const json_t *request;
	const char *url;
	uint64_t max_size, min_free;
	TransferRequest transfer;
	Part part;
	bool restart;      /* the server cannot go on where we were */
	bool conditional;  /* asked whether the cached copy still holds */
	uint64_t expected; /* bytes of the whole, 0 = not told */
	usec_t told;       /* when progress was last written */
	uint64_t told_size;
} Fetch;

static int fetch_parse(const json_t *request, Fetch *f, Error *err)
{
	const char *name = json_string_at(request, "name");

	f->request = request;
	f->url = json_string_at(request, "url");
	if (!f->url || !name || strspn(name, "0123456789abcdef") != strlen(name) ||
	    strlen(name) < 16 || strlen(name) > 64)
		return error_set(err, ERR_INVALID, "request: name and url are needed");
	f->max_size = (uint64_t)json_integer_at(request, "maxSize", 0);
	f->min_free = (uint64_t)json_integer_at(request, "minFree", 0);
	f->transfer = (TransferRequest){
		.url = f->url,
		.guard = {.deny_private = json_bool_at(request, "denyPrivate", false),
                          .allow_loopback = json_bool_at(request, "allowLoopback", false)},
		.connect_seconds = (unsigned)json_integer_at(request, "connectSeconds", 30),
		.total_seconds = (unsigned)json_integer_at(request, "totalSeconds", 14400),
		.low_speed_bytes = (unsigned)json_integer_at(request, "lowSpeedBytes", 1024),
		.low_speed_seconds = (unsigned)json_integer_at(request, "lowSpeedSeconds", 30),
	};
	return 0;
}

/* ---- checksum file ---- */

static int sums_begin(_unused_ void *arg, const TransferResponse *r, Error *err)
{
	if (r->status != 200)
		return error_set(err, ERR_UNAVAILABLE, "HTTP %ld", r->status);
	return 0;
}

static int sums_body(void *arg, const void *p, size_t n, Error *err)
{
	StrBuf *b = arg;

	strbuf_add(b, p, n);
	if (b->overflow)
		return error_set(err, ERR_INVALID, "the checksum file is larger than %u bytes",
				 SUMS_MAX);
	return 0;
}

static int wanted_checksum(const Fetch *f, Checksum *ret, bool *ret_given, Error *err)
{
	const char *inline_sum = json_string_at(f->request, "checksum");
	const char *url = json_string_at(f->request, "checksumURL");
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT_MAX(SUMS_MAX);
	TransferRequest r = f->transfer;
	TransferSink sink = { .begin = sums_begin, .body = sums_body, .arg = &text };
	TransferResponse response;
	char name[256];
	int rc;

	*ret_given = inline_sum || url;
	if (inline_sum)
		return checksum_parse(inline_sum, ret, err);
	if (!url)
		return 0;
	r.url = url;
	rc = transfer_run(&r, &sink, &response, err);
	if (rc == 0)
		rc = checksum_find(strbuf_str(&text), text.len, url_file_name(f->url, name), ret,
				   err);
	return rc < 0 ? error_wrap_rc(err, rc, "checksum file") : 0;
}

/* ---- image ---- */

/* Coarse on purpose: a text that changes with every block is a new event each time. */
static unsigned long long mib(uint64_t bytes)
{
	return (bytes + (1u << 20) - 1) >> 20;
}

static int space_check(const Fetch *f, uint64_t needed, Error *err)
{
	struct statvfs s;
	uint64_t avail;

	if (fstatvfs(ROLE_DIRECTORY_FD, &s) < 0)
		return error_set_errno(err, errno, "statvfs");
	avail = (uint64_t)s.f_bavail * s.f_frsize;
	if (avail < f->min_free || needed > avail - f->min_free)
		return error_set(err, ERR_EXHAUSTED,
				 "no space in the image cache: %llu MiB needed, %llu MiB free, of "
				 "which %llu MiB must stay free",
				 mib(needed), mib(avail), mib(f->min_free));
	return 0;
}

static int too_large(const Fetch *f, Error *err)
{
	return error_set(err, ERR_EXHAUSTED, "the image is larger than %llu bytes",
			 (unsigned long long)f->max_size);
}

/* A part of the same file that begins where ours ends, or we start again. */
static int begin_partial(Fetch *f, const TransferResponse *r, Error *err)
{
	uint64_t total = r->range_total > 0 ? (uint64_t)r->range_total : 0;

	if (f->part.size == 0 || r->range_start != (int64_t)f->part.size ||
	    (*r->etag && !streq(r->etag, f->part.etag)) ||
	    (total && f->part.length && total != f->part.length)) {
		f->restart = true;
		return error_set(err, ERR_CONFLICT, "the server sent another part than asked for");
	}
	if (total && r->length >= 0 && f->part.size + (uint64_t)r->length != total)
		return error_set(err, ERR_INVALID,
				 "the server's Content-Range and Content-Length disagree");
	f->expected = total ? total : f->part.length;
	return 0;
}

static int fetch_begin(void *arg, const TransferResponse *r, Error *err)
{
	Fetch *f = arg;
	int rc;

	if (r->status == 304 && f->conditional)
		return 0;
	if (r->status == 304)
		return error_set(err, ERR_INVALID, "the server sent nothing but \"not modified\"");
	if (r->status == 416) {
		f->restart = true;
		return error_set(err, ERR_CONFLICT, "the server has no such part");
	}
	if (r->status == 206) {
		rc = begin_partial(f, r, err);
	} else {
		rc = part_reset(&f->part, err);
		f->expected = r->length > 0 ? (uint64_t)r->length : 0;
		memcpy(f->part.etag, r->etag, sizeof(r->etag));
		memcpy(f->part.last_modified, r->last_modified, sizeof(r->last_modified));
		f->part.length = f->expected;
	}
	if (rc == 0 && f->expected > f->max_size)
		rc = too_large(f, err);
	if (rc == 0)
		rc = space_check(f, f->expected - MIN(f->expected, f->part.size), err);
	return rc < 0 ? rc : FAIL_POINT_AROUND("fetch.begin", part_save(&f->part, err));
}

static int fetch_body(void *arg, const void *p, size_t n, Error *err)
{
	Fetch *f = arg;

	if (n > f->max_size || f->part.size > f->max_size - n)
		return too_large(f, err);
	return FAIL_POINT_AROUND("fetch.write", part_write(&f->part, p, n, err));
}

/* Also while a server stalls: what is here then is told, too. */
static void fetch_tick(void *arg)
{
	Fetch *f = arg;
	usec_t now = clock_now(clock_system());

	if (f->part.size == f->told_size || now - f->told < USEC_PER_SEC)
		return;
	f->told = now;
	f->told_size = f->part.size;
	role_answer("progress", json_pack("{s:I, s:I}", "bytes", (json_int_t)f->part.size, "total",
					  (json_int_t)f->expected));
}

static char **fetch_headers(Fetch *f)
{
	const char *etag = json_string_at(f->request, "etag");
	const char *modified = json_string_at(f->request, "lastModified");
	const char *validator = part_validator(&f->part);
	_cleanup_(xfreep) char *a = NULL, *b = NULL;
	char **headers = strv_append(NULL, "Accept: */*");

	if (validator) {
		a = xasprintf("Range: bytes=%llu-", (unsigned long long)f->part.size);
		b = xasprintf("If-Range: %s", validator);
	} else if (!str_is_empty(etag)) {
		a = xasprintf("If-None-Match: %s", etag);
	} else if (!str_is_empty(modified)) {
		a = xasprintf("If-Modified-Since: %s", modified);
	}
	f->conditional = a && !validator;
	if (a)
		headers = strv_append(headers, a);
	if (b)
		headers = strv_append(headers, b);
	return headers;
}

static int fetch_transfer(Fetch *f, TransferResponse *ret, Error *err)
{
	TransferSink sink = {
		.begin = fetch_begin, .body = fetch_body, .tick = fetch_tick, .arg = f
	};
	int rc;

	for (bool again = false;; again = true) {
		_cleanup_(strv_freep) char **headers = fetch_headers(f);

		f->transfer.headers = headers;
		f->restart = false;
		rc = transfer_run(&f->transfer, &sink, ret, err);
		f->transfer.headers = NULL;
		if (!f->restart || again)
			return rc;
		rc = part_reset(&f->part, err);
		if (rc < 0)
			return rc;
		error_done(err);
	}
}

static int fetch_verify(Fetch *f, const Checksum *wanted, bool given, Error *err)
{
	char got[SHA_HEX_MAX];

	int rc = given ? part_sum(&f->part, wanted->algorithm, got, err) : 0;

	if (rc < 0 || !given)
		return rc;
	if (!streq(got, wanted->hex))
		return error_set(err, ERR_INVALID, "checksum mismatch: wanted %s, got %s",
				 wanted->hex, got);
	return 0;
}

static int fetch_whole(Fetch *f, bool *ret_changed, Error *err)
{
	TransferResponse response = { 0 };
	int rc;

	*ret_changed = true;
	if (f->part.complete)
		return 0;
	rc = fetch_transfer(f, &response, err);
	if (rc < 0)
		return rc;
	if (response.status == 304) {
		*ret_changed = false;
		return 0;
	}
	if (f->part.size == 0)
		return error_set(err, ERR_INVALID, "the server sent nothing");
	if (f->expected && f->part.size != f->expected)
		return error_set(err, ERR_UNAVAILABLE, "cut off: %llu of %llu bytes",
				 (unsigned long long)f->part.size, (unsigned long long)f->expected);
	f->part.length = f->part.size;
	f->part.complete = true;
	return 0;
}

static int fetch_result(Fetch *f, Error *err)
{
	char hex[SHA_HEX_MAX], hex512[SHA_HEX_MAX] = "", sum[CHECKSUM_TEXT_MAX];
	int rc = part_sum(&f->part, SHA_256, hex, err);

	if (rc == 0 && f->part.wants_sha512)
		rc = part_sum(&f->part, SHA_512, hex512, err);
	if (rc < 0)
		return rc;
	snprintf(sum, sizeof(sum), "sha256:%s", hex);
	role_answer("result", json_pack("{s:s, s:s, s:I, s:s, s:s}", "checksum", sum, "sha512",
					hex512, "bytes", (json_int_t)f->part.size, "etag",
					f->part.etag, "lastModified", f->part.last_modified));
	return 0;
}

/* Keeps what a later try can go on with: only a cut-off or slow transfer. */
static bool worth_keeping(int rc)
{
	return rc == -ERR_UNAVAILABLE || rc == -ERR_TIMEOUT;
}

static int fetch(Fetch *f, Error *err)
{
	Checksum wanted;
	bool given, changed = true;
	int rc = wanted_checksum(f, &wanted, &given, err);

	if (rc < 0)
		return rc;
	rc = FAIL_POINT_AROUND("fetch.open", part_open(&f->part, ROLE_DIRECTORY_FD,
						       json_string_at(f->request, "name"),
						       given && wanted.algorithm == SHA_512, err));
	if (rc == 0)
		rc = fetch_whole(f, &changed, err);
	if (rc == 0 && changed)
		rc = FAIL_POINT_AROUND("fetch.verify", fetch_verify(f, &wanted, given, err));
	if (rc == 0 && changed)
		rc = FAIL_POINT_AROUND("fetch.save", part_save(&f->part, err));
	if (rc == 0 && changed)
		rc = fetch_result(f, err);
	if (rc == 0 && !changed)
		role_answer("result", json_pack("{s:b}", "notModified", 1));
	if ((rc < 0 && !worth_keeping(rc)) || !changed)
		part_remove(&f->part);
	FAIL_POINT("fetch.done");
	part_done(&f->part);
	return rc;
}

int fetch_role_main(_unused_ int argc, _unused_ char **argv)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Fetch f = { .part.fd = -1 };
	json_t *request = NULL;
	int rc;

	/* Before the files are gone: libraries initialize themselves from them. */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = role_request(&request, &err);
	if (rc == 0)
		rc = fetch_parse(request, &f, &err);
	if (rc == 0)
		rc = confine(&(Confine){ .read_paths = read_paths,
					 .directory_fd = ROLE_DIRECTORY_FD,
					 .network = true },
			     &err);
	/* A cap of the kernel's on what fetch_body() counts. */
	if (rc == 0)
		rc = confine_limits(&(ConfineLimits){ .memory = ADDRESS_SPACE,
						      .file_size = f.max_size + FILE_SIZE_SLACK },
				    &err);
	if (rc == 0)
		rc = fetch(&f, &err);
	json_decref(request);
	curl_global_cleanup();
	return rc < 0 ? role_fail(&err) : 0;
}
