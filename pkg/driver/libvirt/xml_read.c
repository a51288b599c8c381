/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading domain XML that libvirt gave us; parts of it were written by others. See xml.h.
 */
#include <libxml/parser.h>
#include <stdio.h>

#include "base/memory.h"
#include "driver/libvirt/xml.h"

/* More than libvirt itself sends. */
#define XML_MAX (8U << 20)

static void be_silent(void *ctx _unused_, xmlError *error _unused_)
{
}

xmlDoc *xml_parse(const char *text, Error *err)
{
	size_t len = strlen(text);
	xmlParserCtxt *parser;
	xmlDoc *doc;

	if (len > XML_MAX) {
		error_set(err, ERR_INVALID, "XML of %zu bytes", len);
		return NULL;
	}
	parser = xmlNewParserCtxt();
	assert(parser);
	parser->sax->serror = (xmlStructuredErrorFunc)be_silent;
	/* No entities, no DTD, no network. */
	doc = xmlCtxtReadMemory(parser, text, (int)len, NULL, "UTF-8",
				XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	xmlFreeParserCtxt(parser);
	if (!doc)
		error_set(err, ERR_INVALID, "not well-formed XML");
	return doc;
}

static bool is_element(const xmlNode *n, const char *name)
{
	return n->type == XML_ELEMENT_NODE && streq((const char *)n->name, name);
}

xmlNode *xml_child(const xmlNode *parent, const char *name)
{
	for (xmlNode *n = parent ? parent->children : NULL; n; n = n->next)
		if (is_element(n, name))
			return n;
	return NULL;
}

xmlNode *xml_next(const xmlNode *node)
{
	for (xmlNode *n = node->next; n; n = n->next)
		if (is_element(n, (const char *)node->name))
			return n;
	return NULL;
}

const char *xml_attr(const xmlNode *node, const char *name, char *buf, size_t size)
{
	_cleanup_(xml_char_freep) xmlChar *value =
		node ? xmlGetNoNsProp(node, (const xmlChar *)name) : NULL;

	snprintf(buf, size, "%s", value ? (const char *)value : "");
	return buf;
}

const char *xml_text(const xmlNode *node, char *buf, size_t size)
{
	_cleanup_(xml_char_freep) xmlChar *value = node ? xmlNodeGetContent(node) : NULL;

	snprintf(buf, size, "%s", value ? (const char *)value : "");
	return buf;
}

/* Decimal digits only; 0 for anything else: what we wrote ourselves is never that. */
static uint64_t to_number(const char *s)
{
	uint64_t v = 0;

	for (; *s; s++)
		if (*s < '0' || *s > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return 0;
	return v;
}

static uint64_t attr_number(const xmlNode *node, const char *name)
{
	char text[32];

	return to_number(xml_attr(node, name, text, sizeof(text)));
}

static void mark_from_node(const xmlNode *node, DomainMark *m)
{
	*m = (DomainMark){ 0 };
	if (!node)
		return;
	xml_attr(node, "store", m->store_id, sizeof(m->store_id));
	xml_attr(node, "uid", m->uid, sizeof(m->uid));
	xml_attr(node, "request", m->request_id, sizeof(m->request_id));
	xml_attr(node, "virt", m->virt_type, sizeof(m->virt_type));
	m->generation = (int64_t)MIN(attr_number(node, "generation"), (uint64_t)INT64_MAX);
	m->memory = attr_number(node, "memory");
	if (attr_number(node, "generator") == DOMAIN_XML_GENERATOR)
		xml_attr(node, "hash", m->config_hash, sizeof(m->config_hash));
}

int domain_mark_read(const char *xml, DomainMark *ret, Error *err)
{
	_cleanup_(xml_doc_freep) xmlDoc *doc = xml_parse(xml, err);

	if (!doc)
		return -ERR_INVALID;
	mark_from_node(xmlDocGetRootElement(doc), ret);
	return 0;
}

static const xmlNode *mark_node(const xmlNode *domain)
{
	xmlNode *n = xml_child(xml_child(domain, "metadata"), "instance");

	for (; n; n = xml_next(n))
		if (n->ns && streq((const char *)n->ns->href, DOMAIN_METADATA_NS))
			return n;
	return NULL;
}

static void taps_from_node(const xmlNode *devices, DomainLive *live)
{
	const xmlNode *n = xml_child(devices, "interface");

	for (; n && live->n_taps < ARRAY_SIZE(live->taps); n = xml_next(n)) {
		char *tap = live->taps[live->n_taps];

		xml_attr(xml_child(n, "target"), "dev", tap, sizeof(live->taps[0]));
		live->n_taps += *tap != '\0';
	}
}

int domain_live_read(const char *xml, DomainLive *ret, Error *err)
{
	_cleanup_(xml_doc_freep) xmlDoc *doc = xml_parse(xml, err);
	const xmlNode *domain, *vcpu;
	DomainLive live = { 0 };
	char text[32];

	if (!doc)
		return -ERR_INVALID;
	domain = xmlDocGetRootElement(doc);
	mark_from_node(mark_node(domain), &live.mark);
	xml_attr(domain, "type", live.virt_type, sizeof(live.virt_type));
	vcpu = xml_child(domain, "vcpu");
	live.cpus = (unsigned)attr_number(vcpu, "current");
	if (live.cpus == 0)
		live.cpus = (unsigned)to_number(xml_text(vcpu, text, sizeof(text)));
	/* libvirt always answers in KiB. */
	live.memory = to_number(xml_text(xml_child(domain, "memory"), text, sizeof(text))) * 1024;
	taps_from_node(xml_child(domain, "devices"), &live);
	*ret = live;
	return 0;
}

bool capabilities_has_dac(const char *xml)
{
	_cleanup_(xml_doc_freep) xmlDoc *doc = xml_parse(xml, NULL);
	xmlNode *n =
		doc ? xml_child(xml_child(xmlDocGetRootElement(doc), "host"), "secmodel") : NULL;
	char text[16];

	for (; n; n = xml_next(n))
		if (streq(xml_text(xml_child(n, "model"), text, sizeof(text)), "dac"))
			return true;
	return false;
}
