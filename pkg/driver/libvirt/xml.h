/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain XML: written and read, by libxml2's tree calls only, so that no text of anybody's becomes
 * markup. Format: libvirt.org/formatdomain.html. Pure; any thread.
 */
#pragma once

#include <libxml/tree.h>

#include "driver/hypervisor.h"

#define DOMAIN_METADATA_NS     "https://shakenfist.io/domain/1"
#define DOMAIN_METADATA_PREFIX "sf"
/* Goes up when the same DomainConfig would give another XML: then config hashes of older
 * definitions are reported as unknown. */
#define DOMAIN_XML_GENERATOR 1

/* Our mark, and what we want to find again; one element in <metadata>. */
typedef struct DomainMark {
	char store_id[UUID_MAX], uid[UUID_MAX]; /* "" = no mark */
	int64_t generation;
	char request_id[64];
	char config_hash[65]; /* "" also when the generator was another */
	uint64_t memory;      /* bytes, as asked for */
	char virt_type[16];
} DomainMark;

typedef struct DomainXmlEnv {
	const char *virt_type; /* of <domain type=> */
	bool relabel;          /* libvirt changes owners of images: shared files are kept out */
	bool pretty;
} DomainXmlEnv;

/*
 * The definition of c as text (caller frees). old, if not NULL, is the present inactive XML, of
 * which machine type, CPU, controllers, device names and addresses are kept. -ERR_UNSUPPORTED: a
 * bus or firmware libvirt does not offer; -ERR_INVALID: old does not parse.
 */
int domain_xml_write(const DomainConfig *c, const DomainXmlEnv *env, const char *old, char **ret,
		     Error *err);

/* The metadata element alone; caller frees. */
char *domain_mark_write(const DomainMark *m);
/* From the metadata element, or ... */
int domain_mark_read(const char *xml, DomainMark *ret, Error *err);

/* What is read of a running domain's XML. */
typedef struct DomainLive {
	DomainMark mark;
	unsigned cpus;
	uint64_t memory; /* bytes, all of it */
	char virt_type[16];
	char taps[DOMAIN_NICS_MAX][16];
	size_t n_taps;
} DomainLive;

/* ... out of a whole domain's XML. A missing mark is no error. */
int domain_live_read(const char *xml, DomainLive *ret, Error *err);
/* <secmodel><model>dac</model> in the host's capabilities. */
bool capabilities_has_dac(const char *xml);

/* ---- shared by the files of this folder ---- */

xmlDoc *xml_parse(const char *text, Error *err);
static inline void xml_doc_freep(xmlDoc **d)
{
	if (*d)
		xmlFreeDoc(*d);
}
static inline void xml_char_freep(xmlChar **s)
{
	if (*s)
		xmlFree(*s);
}
/* First child element of that name; NULL if parent is NULL or has none. */
xmlNode *xml_child(const xmlNode *parent, const char *name);
/* Next sibling element of the same name. */
xmlNode *xml_next(const xmlNode *node);
/* Attribute's value, "" if absent, cut to the buffer. */
const char *xml_attr(const xmlNode *node, const char *name, char *buf, size_t size);
const char *xml_text(const xmlNode *node, char *buf, size_t size);
/* Takes machine, cpu, controllers, names and addresses of `old` over into `domain`. */
void xml_carry(xmlNode *domain, const xmlNode *old, const DomainConfig *c);
void mark_to_node(const DomainMark *m, xmlNode *node);
