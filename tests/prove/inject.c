/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile strings through the product's own writers, read back by readers that are not the
 * product's: libxml2, lines and fields of dnsmasq's files, libnftables without committing,
 * libfyaml, and an ISO 9660 reader below. See tests/prove/injection.
 *
 *     inject xml|dnsmasq|nft|seed|iso|names|terminal COUNT SEED
 *
 * prints "good<TAB>tried<TAB>taken", taken being those in which a hostile string was used that the
 * writer did not refuse, and before it, for a case that is not good, its number and how to repeat
 * it.
 *
 * What is compared, of XML and of dnsmasq: the text that is made with hostile strings is the text
 * that is made with harmless words in their places, but for exactly these words. So no string can
 * have become markup, a line, a field or an option, whatever the layout is.
 */
#include <ctype.h>
#include <jansson.h>
#include <libfyaml.h>
#include <libxml/parser.h>
#include <nftables/libnftables.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "cmd/sfctl/table.h"
#include "driver/libvirt/xml.h"
#include "driver/net/dnsmasq.h"
#include "driver/net/names.h"
#include "driver/seed/iso.h"
#include "driver/seed/text.h"

#define UUID_A "11111111-2222-4333-8444-555555555555"
#define WORDS  24 /* that a case can have in place of harmless ones */
#define BLOCK  2048

/* ---- random strings ---- */

static uint64_t seed_state;

/* splitmix64: the same strings from the same seed, everywhere. */
static uint64_t next(void)
{
	uint64_t z = seed_state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static size_t below(size_t n)
{
	return (size_t)(next() % n);
}

/* clang-format off */
static const char *const evil[] = {
	"'", "\"", "<", ">", "&", "]]>", "<!--", "-->", "\n", "\r", "\t", "\x1b[31m", ",", "#",
	";", "{", "}", "$(x)", "`x`", "|", "/", "../", "-", "--help", "\\", "%s%n", "&#10;",
	"&lt;", "\xff", "\xc0\x80", "\xe2\x80\xae", "\xc2\x9b", "\x01", "\x7f", "set:x", "tag:y",
	"[::]", "*", "=", " ", "\ndhcp-script=/x\n", "<disk type='file'/>",
	"</name><qemu:commandline/>", "!!python/x", "\n- a: b\n", "add table inet x",
	"\xed\xa0\x80", "\xf0\x9f\x98\x80", "\u00e9", "<![CDATA[",
};
/* clang-format on */

/* Half of them are nearly what a name may be, so that many get past the checks. */
static char *hostile(size_t max)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
	size_t n = 1 + below(12), tame = below(4);
	StrBuf b = STRBUF_INIT;
	char *text;

	for (size_t i = 0; i < n; i++)
		if (tame || below(2))
			strbuf_addc(&b, plain[below(tame == 1 ? 26 : sizeof(plain) - 1)]);
		else if (below(8))
			strbuf_adds(&b, evil[below(ARRAY_SIZE(evil))]);
		else
			strbuf_addc(&b, (char)(1 + below(255)));
	if (tame == 3)
		strbuf_adds(&b, evil[below(ARRAY_SIZE(evil))]);
	text = strbuf_take(&b);
	if (strlen(text) > max)
		text[max] = '\0';
	return text;
}

/* Words for a case: hostile ones, and harmless ones that occur nowhere else. */
typedef struct Words {
	char *hostile[WORDS], *plain[WORDS];
	size_t n;
	bool use_hostile;
} Words;

static void words_make(Words *w, size_t max)
{
	*w = (Words){ .n = WORDS };
	for (size_t i = 0; i < WORDS; i++) {
		w->plain[i] = xasprintf("w%c%cord", (char)('a' + i), (char)('z' - i));
		w->hostile[i] = below(3) ? xstrdup(w->plain[i]) : hostile(max);
	}
}

static void words_done(Words *w)
{
	for (size_t i = 0; i < w->n; i++) {
		free(w->hostile[i]);
		free(w->plain[i]);
	}
}

/* Whether this case has put a string to use that is not a harmless one. */
static bool case_is_hostile;

static const char *word(const Words *w, size_t i)
{
	if (w->use_hostile && !streq(w->hostile[i], w->plain[i]))
		case_is_hostile = true;
	return w->use_hostile ? w->hostile[i] : w->plain[i];
}

/* The text with each harmless word replaced by its hostile one. Caller frees. */
static char *replaced(const Words *w, const char *text)
{
	StrBuf b = STRBUF_INIT;

	while (*text) {
		size_t i;

		for (i = 0; i < w->n; i++)
			if (str_has_prefix(text, w->plain[i]))
				break;
		if (i < w->n) {
			strbuf_adds(&b, w->hostile[i]);
			text += strlen(w->plain[i]);
		} else {
			strbuf_addc(&b, *text++);
		}
	}
	return strbuf_take(&b);
}

/* ---- domain XML ---- */

static char *domain_text(const Words *w, unsigned shape)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *path = xasprintf("/%s", word(w, 4)),
			       *base = xasprintf("/%s", word(w, 5)),
			       *console = xasprintf("/%s", word(w, 6)),
			       *cd = xasprintf("/seed/%s", word(w, 7));
	DomainXmlEnv env = { .virt_type = "qemu", .relabel = shape & 1, .pretty = shape & 2 };
	DomainConfig c = { .name = word(w, 0),
			   .title = word(w, 1),
			   .machine = shape & 4 ? word(w, 2) : NULL,
			   .cpu_model = shape & 8 ? word(w, 3) : NULL,
			   .uuid = UUID_A,
			   .store_id = UUID_A,
			   .uid = UUID_A,
			   .request_id = word(w, 8),
			   .config_hash = word(w, 9),
			   .console_log = console,
			   .cpus = 1,
			   .memory = 1ULL << 30,
			   .n_disks = 2,
			   .n_nics = 1 };
	char *text = NULL;

	if (c.machine && strstr(w->hostile[2], "q35")) /* by chance; other devices belong to it */
		c.machine = NULL;
	c.disks[0] = (DomainDisk){ .name = word(w, 10),
				   .path = path,
				   .format = "qcow2",
				   .base_path = base,
				   .base_format = "raw",
				   .bus = "virtio" };
	c.disks[1] = (DomainDisk){
		.name = "cd", .path = cd, .format = "raw", .bus = "sata", .cdrom = true
	};
	c.nics[0] = (DomainNic){ .name = word(w, 11),
				 .tap = "sft00000001",
				 .mac = { { 0x52, 0x54, 0, 1, 2, 3 } },
				 .model = shape & 16 ? word(w, 12) : "virtio" };
	if (domain_config_validate(&c, &err) < 0)
		return NULL;
	return domain_xml_write(&c, &env, NULL, &text, &err) < 0 ? NULL : text;
}

static bool same_value(const Words *w, const xmlChar *plain, const xmlChar *got)
{
	_cleanup_(xfreep) char *want = replaced(w, plain ? (const char *)plain : "");

	return streq(want, got ? (const char *)got : "");
}

static bool same_attributes(const Words *w, const xmlNode *plain, const xmlNode *got)
{
	const xmlAttr *a = plain->properties, *b = got->properties;

	for (; a && b; a = a->next, b = b->next) {
		_cleanup_(xml_char_freep) xmlChar *x =
			xmlNodeListGetString(plain->doc, a->children, 1);
		_cleanup_(xml_char_freep) xmlChar *y =
			xmlNodeListGetString(got->doc, b->children, 1);

		if (!xmlStrEqual(a->name, b->name) || !same_value(w, x, y))
			return false;
	}
	return !a && !b;
}

/* Element for element, attribute for attribute, text for text. */
static bool same_tree(const Words *w, const xmlNode *plain, const xmlNode *got)
{
	for (; plain && got; plain = plain->next, got = got->next) {
		if (plain->type != got->type || !xmlStrEqual(plain->name, got->name))
			return false;
		if (plain->type == XML_ELEMENT_NODE &&
		    (!same_attributes(w, plain, got) ||
		     !same_tree(w, plain->children, got->children)))
			return false;
		if (plain->type == XML_TEXT_NODE && !same_value(w, plain->content, got->content))
			return false;
	}
	return !plain && !got;
}

static int check_xml(void)
{
	unsigned shape = (unsigned)below(32);
	xmlDoc *plain, *got;
	char *text, *model;
	Words w;
	int good = 2;

	words_make(&w, 48);
	model = domain_text(&w, shape);
	w.use_hostile = true;
	text = domain_text(&w, shape);
	if (text && model) {
		plain = xmlReadMemory(model, (int)strlen(model), "plain", NULL, XML_PARSE_NONET);
		got = xmlReadMemory(text, (int)strlen(text), "hostile", NULL,
				    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
		good = plain && got &&
		       same_tree(&w, xmlDocGetRootElement(plain), xmlDocGetRootElement(got));
		xmlFreeDoc(plain);
		xmlFreeDoc(got);
	}
	free(text);
	free(model);
	words_done(&w);
	return model ? good : 0;
}

/* ---- dnsmasq ---- */

static void random_address(IpAddress *a, const char *text, size_t host)
{
	ip_parse(text, a, NULL);
	a->bytes[a->family == AF_INET ? 3 : 15] = (uint8_t)host;
}

static void random_network(NetworkConfig *c, NetworkPort *p, const Words *w)
{
	*c = (NetworkConfig){ .store_id = UUID_A,
			      .uid = UUID_A,
			      .vni = 1 + (uint32_t)below(0xffffff),
			      .dhcp = true,
			      .dns = below(2),
			      .egress = (NetworkEgress)below(3),
			      .mtu = 1400,
			      .ports = p,
			      .n_ports = 1 };
	*p = (NetworkPort){ .id = 1 + (uint32_t)below(0xfffffffe),
			    .uid = UUID_A,
			    .n_addresses = 1 };
	memcpy(p->mac.bytes, "\x52\x54\x00", 3);
	p->mac.bytes[5] = (uint8_t)below(256);
	if (below(2)) {
		ip_prefix_parse("10.9.0.0/24", &c->prefix4, NULL);
		random_address(&c->gateway4, "10.9.0.1", 1);
		random_address(&p->addresses[0], "10.9.0.1", 2 + below(252));
	} else {
		ip_prefix_parse("fd00:9::/64", &c->prefix6, NULL);
		random_address(&c->gateway6, "fd00:9::1", 1);
		random_address(&p->addresses[0], "fd00:9::1", 2 + below(250));
	}
	snprintf(c->domain, sizeof(c->domain), "%s", word(w, 0));
	snprintf(p->hostname, sizeof(p->hostname), "%s", word(w, 1));
}

static void render(const NetworkConfig *c, const AddressList *up, StrBuf *out)
{
	DnsmasqConfig d = {
		.network = c, .mtu = 1400, .upstreams = up, .directory = "/run/x", .user = "nobody"
	};

	dnsmasq_render_conf(&d, out);
	dnsmasq_render_options(&d, out);
	dnsmasq_render_dhcp(&c->ports[0], out);
	dnsmasq_render_hosts(&c->ports[0], c->domain, out);
}

/* Only what is an option of dnsmasq at the begin of a line, and nothing that runs something. */
static bool lines_are_ours(const char *text)
{
	_cleanup_(strv_freep) char **lines = strv_split(text, '\n');

	strv_foreach (line, lines)
		if (strspn(*line,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:,"
			   "=/[]! ") != strlen(*line) ||
		    str_has_prefix(*line, "dhcp-script") || str_has_prefix(*line, "conf-") ||
		    str_has_prefix(*line, "addn-hosts") || str_has_prefix(*line, "dhcp-luascript"))
			return false;
	return true;
}

static int check_dnsmasq(void)
{
	_cleanup_(strbuf_done) StrBuf plain = STRBUF_INIT, got = STRBUF_INIT;
	_cleanup_(xfreep) char *want = NULL;
	AddressList up = { 0 };
	NetworkConfig c;
	NetworkPort p;
	IpAddress a;
	int good = 2;
	Words w;

	words_make(&w, 63);
	random_network(&c, &p, &w);
	ip_parse("9.9.9.9", &a, NULL);
	address_list_add(&up, &a);
	render(&c, &up, &plain);
	w.use_hostile = true;
	snprintf(c.domain, sizeof(c.domain), "%s", word(&w, 0));
	snprintf(p.hostname, sizeof(p.hostname), "%s", word(&w, 1));
	if (network_config_validate(&c, NULL) == 0) {
		render(&c, &up, &got);
		want = replaced(&w, strbuf_str(&plain));
		/* A reserved name is left out, which the text with the harmless one cannot know. */
		good = streq(p.hostname, "wpad") || streq(p.hostname, "isatap") ||
		       streq(p.hostname, "localhost") ||
		       (streq(want, strbuf_str(&got)) && lines_are_ours(strbuf_str(&got)));
	}
	address_list_done(&up);
	words_done(&w);
	return good;
}

/* ---- nft ---- */

/* What an id may consist of. */
static void keep_id(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (isalnum((unsigned char)*from) || *from == '-')
			*to++ = *from;
	*to = '\0';
}

/* All tables, with the hash of each left blank, for it is another one for another text. */
static void nft_text(NetworkConfig *c, const NetworkPort *p, const Words *w, StrBuf *out)
{
	char revisions[3][REVISION_MAX], *at;
	AddressList hosts = { 0 };
	NftElements elements = { 0 };
	PrefixList routed = { 0 };

	/* Without network_config_validate(), which would let nothing through but UUIDs. */
	snprintf(c->store_id, sizeof(c->store_id), "%s", word(w, 2));
	snprintf(c->uid, sizeof(c->uid), "%s", word(w, 3));
	nft_bridge_render(c->store_id, out, revisions[0]);
	nft_elements_for_port(&elements, p);
	for (size_t i = 0; i < elements.n; i++)
		nft_element_render(&elements.elements[i], false, out);
	nft_elements_done(&elements);
	nft_host_render(c->store_id, &hosts, &routed, out, revisions[1]);
	nft_router_render(c, &hosts, out, revisions[2]);
	for (size_t i = 0; i < ARRAY_SIZE(revisions); i++) {
		at = strstr(out->buf, revisions[i]);
		if (at)
			memset(at, '.', REVISION_MAX - 1);
	}
}

static int check_nft(void)
{
	static struct nft_ctx *nft;
	_cleanup_(strbuf_done) StrBuf plain = STRBUF_INIT, got = STRBUF_INIT;
	_cleanup_(xfreep) char *want = NULL;
	NetworkConfig c;
	NetworkPort p;
	int good;
	Words w;

	if (!nft) {
		nft = nft_ctx_new(NFT_CTX_DEFAULT);
		nft_ctx_buffer_error(nft);
		nft_ctx_buffer_output(nft);
		nft_ctx_set_dry_run(nft, true);
	}
	words_make(&w, UUID_MAX - 1);
	random_network(&c, &p, &w);
	nft_text(&c, &p, &w, &plain);
	w.use_hostile = true;
	nft_text(&c, &p, &w, &got);
	/* What is no part of an id is left out, and all else is as it is with harmless ones. */
	for (size_t i = 0; i < w.n; i++)
		keep_id(w.hostile[i]);
	want = replaced(&w, strbuf_str(&plain));
	/* nft takes a hundred times as long as all of this. */
	good = streq(want, strbuf_str(&got)) &&
	       (below(16) || nft_run_cmd_from_buffer(nft, strbuf_str(&got)) == 0);
	if (!good)
		fprintf(stderr, "%s\n", nft_ctx_get_error_buffer(nft));
	words_done(&w);
	return good;
}

/* ---- seeds ---- */

static bool scalar_is(struct fy_document *d, const char *path, const char *want)
{
	struct fy_node *n = fy_node_by_path(fy_document_root(d), path, FY_NT, FYNWF_DONT_FOLLOW);
	size_t len = 0;
	const char *text = n ? fy_node_get_scalar(n, &len) : NULL;

	return text && len == strlen(want) && memcmp(text, want, len) == 0;
}

static struct fy_document *read_yaml(const char *text, size_t len)
{
	struct fy_parse_cfg cfg = { .search_path = "", .flags = FYPCF_QUIET };

	return fy_document_build_from_string(&cfg, text, len);
}

typedef struct SeedCase {
	Words w;
	SeedConfig c;
	SeedNic nic;
	char *keys[2];
} SeedCase;

static void seed_make(SeedCase *s, const char *path, bool fixed_name)
{
	words_make(&s->w, 63);
	s->w.use_hostile = true;
	s->nic = (SeedNic){ .name = fixed_name || below(2) ? "eth0" : word(&s->w, 4),
			    .mac = { { 0x52, 0x54, 0, 1, 2, 3 } },
			    .dhcp4 = true,
			    .search = below(2) ? word(&s->w, 5) : NULL };
	s->keys[0] = below(2) ? xstrdup(word(&s->w, 3)) : NULL;
	s->keys[1] = NULL;
	s->c = (SeedConfig){ .path = path,
			     .instance_id = word(&s->w, 0),
			     .hostname = below(4) ? "web" : word(&s->w, 1),
			     .domain = below(4) ? NULL : word(&s->w, 2),
			     .user_data = word(&s->w, 6),
			     .user_data_len = strlen(s->w.hostile[6]),
			     .ssh_keys = s->keys[0] ? s->keys : NULL,
			     .nics = &s->nic,
			     .n_nics = 1 };
}

static void seed_done(SeedCase *s)
{
	free(s->keys[0]);
	words_done(&s->w);
}

static bool meta_is_right(const SeedConfig *c, const char *text, size_t len)
{
	_cleanup_(xfreep) char *host =
		c->domain ? xasprintf("%s.%s", c->hostname, c->domain) : xstrdup(c->hostname);
	struct fy_document *d = read_yaml(text, len);
	struct fy_node *root = d ? fy_document_root(d) : NULL;
	bool good = root && fy_node_mapping_item_count(root) == 3 &&
		    scalar_is(d, "/instance-id", c->instance_id) &&
		    scalar_is(d, "/local-hostname", host) &&
		    (!c->ssh_keys || scalar_is(d, "/public-keys/[0]", c->ssh_keys[0]));

	fy_document_destroy(d);
	return good;
}

static bool network_is_right(const SeedConfig *c, const char *text, size_t len)
{
	struct fy_document *d = read_yaml(text, len);
	struct fy_node *root = d ? fy_document_root(d) : NULL;
	struct fy_node *list =
		root ? fy_node_mapping_lookup_by_string(root, "ethernets", FY_NT) : NULL;
	struct fy_node_pair *pair = list ? fy_node_mapping_get_by_index(list, 0) : NULL;
	bool good = pair && fy_node_mapping_item_count(root) == 2 &&
		    fy_node_mapping_item_count(list) == 1;
	size_t n = 0;
	const char *name = good ? fy_node_get_scalar(fy_node_pair_key(pair), &n) : NULL;

	good = good && name && n == strlen(c->nics[0].name) &&
	       memcmp(name, c->nics[0].name, n) == 0;
	fy_document_destroy(d);
	return good;
}

static int check_seed(void)
{
	_cleanup_(strbuf_done) StrBuf meta = STRBUF_INIT, net = STRBUF_INIT, user = STRBUF_INIT;
	int good = 2;
	SeedCase s;

	seed_make(&s, "/x/seed.iso", false);
	if (seed_config_validate(&s.c, NULL) == 0) {
		seed_meta_data(&s.c, &meta);
		seed_network_config(&s.c, &net);
		seed_user_data(&s.c, &user);
		good = meta_is_right(&s.c, meta.buf, meta.len) &&
		       network_is_right(&s.c, net.buf, net.len) && user.len == s.c.user_data_len &&
		       memcmp(user.buf, s.c.user_data, user.len) == 0;
	}
	seed_done(&s);
	return good;
}

/* ---- the ISO image, by ECMA-119 and the NM entries of Rock Ridge ---- */

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static const uint8_t *rock_ridge_name(const uint8_t *record, size_t *ret)
{
	size_t at = 33 + record[32] + !(record[32] & 1), n = record[0];

	for (; at + 5 <= n && record[at + 2] >= 4; at += record[at + 2])
		if (record[at] == 'N' && record[at + 1] == 'M') {
			*ret = record[at + 2] - 5u;
			return record + at + 5;
		}
	return NULL;
}

/* The content of a file in the root folder; NULL if there is none, or more files than three. */
static const uint8_t *iso_file(const uint8_t *iso, size_t size, const char *name, size_t *ret)
{
	const uint8_t *root = iso + 16 * BLOCK + 156, *found = NULL, *d;
	size_t at, n, files = 0, end = (size_t)le32(root + 2) * BLOCK + le32(root + 10);

	if (size < 17 * BLOCK || memcmp(iso + 16 * BLOCK + 1, "CD001", 5) != 0 || end > size)
		return NULL;
	for (at = (size_t)le32(root + 2) * BLOCK; at < end && iso[at]; at += iso[at]) {
		d = iso + at;
		if (d[25] & 2)
			continue; /* "." and ".." */
		files++;
		d = rock_ridge_name(iso + at, &n);
		if (d && n == strlen(name) && memcmp(d, name, n) == 0) {
			found = iso + (size_t)le32(iso + at + 2) * BLOCK;
			*ret = le32(iso + at + 10);
		}
	}
	return files == 3 && found && found + *ret <= iso + size ? found : NULL;
}

static int check_iso(void)
{
	static SeedWriter *writer;
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *image = NULL;
	const char *path = "inject-seed.iso";
	_cleanup_(xfreep) char *here = realpath(".", NULL), *full = xasprintf("%s/%s", here, path);
	Context ctx = CONTEXT_BACKGROUND;
	const uint8_t *user, *meta;
	size_t size, user_len, meta_len;
	int good = 2;
	SeedCase s;

	if (!writer)
		writer = iso_seed_writer_new();
	seed_make(&s, full, true);
	if (writer->ops->ensure(writer, &ctx, &s.c, NULL, &err) == 0) {
		good = fs_read(full, 16u << 20, &image, &size, NULL) == 0;
		user = good ? iso_file((uint8_t *)image, size, "user-data", &user_len) : NULL;
		meta = good ? iso_file((uint8_t *)image, size, "meta-data", &meta_len) : NULL;
		good = user && meta && user_len == s.c.user_data_len &&
		       memcmp(user, s.c.user_data, user_len) == 0 &&
		       meta_is_right(&s.c, (const char *)meta, meta_len);
	}
	seed_done(&s);
	return good;
}

/* ---- names of links, and what reaches a terminal ---- */

/* Whatever the port and the network: a name of at most 15 bytes that leads back to its number. */
static int check_names(void)
{
	uint32_t id = (uint32_t)next() | 1, vni = 1 + (uint32_t)below(0xffffff);
	NetNames n = net_names(vni);
	char tap[16];

	case_is_hostile = true; /* any number is as good as any other */
	network_tap_name(id, tap);
	return strlen(tap) == 11 && name_port(tap) == id && name_vni(n.bridge) == vni &&
	       name_vni(n.netns) == vni && !name_port(n.bridge) && !name_vni(tap) &&
	       strlen(n.bridge) < 16 && strlen(n.router) < 16 && strlen(n.transit) < 16 &&
	       !streq(n.bridge, n.router) && !streq(n.router, n.transit);
}

static bool is_printable(const char *text)
{
	json_t *utf8;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0) ||
		    (*p == 0xe2 && p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae))
			return false;
	utf8 = json_string(text);
	json_decref(utf8);
	return utf8 != NULL;
}

/* Nothing of a guest's or client's moves the cursor: what log_escape() lets into logs, and
 * text_escape() of sfctl onto terminals, is printable. */
static int check_terminal(void)
{
	_cleanup_(xfreep) char *text = hostile(200), *shown = text_escape(text);
	char out[1024];

	log_escape(text, out, sizeof(out));
	case_is_hostile = !is_printable(text);
	return is_printable(out) && is_printable(shown);
}

/* ---- main ---- */

static const struct {
	const char *name;
	int (*check)(void); /* 1 good, 2 refused, 0 not good */
} checks[] = {
	{"xml",       check_xml     },
        { "dnsmasq",  check_dnsmasq },
        { "nft",      check_nft     },
	{ "seed",     check_seed    },
        { "iso",      check_iso     },
        { "names",    check_names   },
	{ "terminal", check_terminal},
};

int main(int argc, char **argv)
{
	unsigned long long count = argc == 4 ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t first = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	unsigned long long good = 0, taken = 0;
	size_t k = 0;

	while (k < ARRAY_SIZE(checks) && argc > 1 && !streq(checks[k].name, argv[1]))
		k++;
	if (!count || k == ARRAY_SIZE(checks)) {
		fprintf(stderr, "usage: inject KIND COUNT SEED\n");
		return 2;
	}
	/* Each case has a seed of its own, so that one can be repeated alone. */
	for (unsigned long long i = 0; i < count; i++) {
		int rc;

		seed_state = first + i;
		case_is_hostile = false;
		rc = checks[k].check();
		good += rc != 0;
		taken += rc == 1 && case_is_hostile;
		if (rc == 0)
			printf("FAILED %s: repeat: inject %s 1 %llu\n", argv[1], argv[1],
			       (unsigned long long)(first + i));
	}
	printf("%llu\t%llu\t%llu\n", good, count, taken);
	return 0;
}
