/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces shared by the rule set texts: address lists, elements, the revision. See nft_text.h.
 */
#include "driver/net/nft_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "driver/net/names.h"
#include "driver/net/nft_text_internal.h"

const char *const nft_set_names[_NFT_SET_MAX] = { "mac", "dh", "in4", "in6", "nd" };
static const size_t set_bytes[_NFT_SET_MAX] = { 6, 6, 4, 16, 16 };

void address_list_add(AddressList *l, const IpAddress *a)
{
	GROW_ARRAY(l->addresses, l->n, l->cap);
	l->addresses[l->n++] = *a;
}

static int address_compare(const void *a, const void *b)
{
	return ip_compare(a, b);
}

void address_list_sort(AddressList *l)
{
	size_t n = 0;

	if (!l->n)
		return;
	qsort(l->addresses, l->n, sizeof(*l->addresses), address_compare);
	for (size_t i = 0; i < l->n; i++)
		if (!n || !ip_equal(&l->addresses[n - 1], &l->addresses[i]))
			l->addresses[n++] = l->addresses[i];
	l->n = n;
}

bool address_list_contains(const AddressList *l, const IpAddress *a)
{
	return l->n && bsearch(a, l->addresses, l->n, sizeof(*a), address_compare);
}

bool address_list_equal(const AddressList *a, const AddressList *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!ip_equal(&a->addresses[i], &b->addresses[i]))
			return false;
	return true;
}

void address_list_done(AddressList *l)
{
	free(l->addresses);
	*l = (AddressList){ 0 };
}

static int prefix_compare(const void *a, const void *b)
{
	const IpPrefix *x = a, *y = b;
	int d = ip_compare(&x->address, &y->address);

	return d ? d : (int)x->length - (int)y->length;
}

void prefix_list_sort(PrefixList *l)
{
	size_t n = 0;

	if (!l->n)
		return;
	qsort(l->prefixes, l->n, sizeof(*l->prefixes), prefix_compare);
	/* Overlapping intervals are refused by the kernel: the wider prefix stands for both. */
	for (size_t i = 0; i < l->n; i++)
		if (!n || !ip_prefix_overlaps(&l->prefixes[n - 1], &l->prefixes[i]))
			l->prefixes[n++] = l->prefixes[i];
	l->n = n;
}

void nft_add_addresses(StrBuf *out, const char *name, const AddressList *l, int family)
{
	char text[IP_TEXT_MAX];
	size_t n = 0;

	strbuf_addf(out, " set %s%c { type ipv%c_addr;", name, family == AF_INET ? '4' : '6',
		    family == AF_INET ? '4' : '6');
	for (size_t i = 0; i < l->n; i++)
		if (l->addresses[i].family == family)
			strbuf_addf(out, "%s %s", n++ ? "," : " elements = {",
				    ip_format(&l->addresses[i], text));
	strbuf_adds(out, n ? " }; }\n" : " }\n");
}

void nft_add_id(StrBuf *out, const char *id)
{
	for (; *id; id++)
		if ((*id >= '0' && *id <= '9') || (*id >= 'a' && *id <= 'z') ||
		    (*id >= 'A' && *id <= 'Z') || *id == '-')
			strbuf_addc(out, *id);
}

void nft_seal(StrBuf *text, size_t revision_at, char revision[static REVISION_MAX])
{
	char hex[SHA_HEX_MAX];

	sha_hex_of(SHA_256, text->buf, text->len, hex);
	snprintf(revision, REVISION_MAX, "%.16s", hex);
	memcpy(text->buf + revision_at, revision, REVISION_MAX - 1);
}

void nft_elements_add(NftElements *l, const char *link, NftSet set, const void *value, size_t n)
{
	NftElement *e;

	GROW_ARRAY(l->elements, l->n, l->cap);
	e = &l->elements[l->n++];
	*e = (NftElement){ .set = set };
	snprintf(e->link, sizeof(e->link), "%s", link);
	memcpy(e->value, value, MIN(n, set_bytes[set]));
}

void nft_elements_for_port(NftElements *l, const NetworkPort *p)
{
	IpAddress ll = mac_link_local(&p->mac);
	bool has6 = false;
	char tap[16];

	network_tap_name(p->id, tap);
	nft_elements_add(l, tap, NFT_SET_MAC, p->mac.bytes, 6);
	nft_elements_add(l, tap, NFT_SET_DH, p->mac.bytes, 6);
	for (size_t i = 0; i < p->n_addresses; i++) {
		const IpAddress *a = &p->addresses[i];

		if (a->family == AF_INET) {
			nft_elements_add(l, tap, NFT_SET_IN4, a->bytes, 4);
			continue;
		}
		has6 = true;
		nft_elements_add(l, tap, NFT_SET_IN6, a->bytes, 16);
		nft_elements_add(l, tap, NFT_SET_ND, a->bytes, 16);
	}
	if (has6) {
		nft_elements_add(l, tap, NFT_SET_IN6, ll.bytes, 16);
		nft_elements_add(l, tap, NFT_SET_ND, ll.bytes, 16);
	}
}

int nft_element_compare(const void *a, const void *b)
{
	const NftElement *x = a, *y = b;
	int d = strcmp(x->link, y->link);

	if (!d)
		d = (int)x->set - (int)y->set;
	return d ? d : memcmp(x->value, y->value, sizeof(x->value));
}

void nft_elements_sort(NftElements *l)
{
	if (l->n)
		qsort(l->elements, l->n, sizeof(*l->elements), nft_element_compare);
}

void nft_elements_done(NftElements *l)
{
	free(l->elements);
	*l = (NftElements){ 0 };
}

void nft_element_render(const NftElement *e, bool remove, StrBuf *out)
{
	MacAddress mac;
	IpAddress ip = { .family = e->set == NFT_SET_IN4 ? AF_INET : AF_INET6 };
	char text[IP_TEXT_MAX];

	memcpy(ip.bytes, e->value, sizeof(ip.bytes));
	memcpy(mac.bytes, e->value, sizeof(mac.bytes));
	switch (e->set) {
	case NFT_SET_MAC:
		mac_format(&mac, text);
		break;
	case NFT_SET_IN4:
	case NFT_SET_IN6:
		ip_format(&ip, text);
		break;
	default: /* keyed by raw bits */
		memcpy(text, "0x", 2);
		hex_encode(e->value, set_bytes[e->set], text + 2);
	}
	strbuf_addf(out, "%s element bridge " TABLE_NAME " %s { \"%s\" . %s }\n",
		    remove ? "delete" : "add", nft_set_names[e->set], e->link, text);
}
