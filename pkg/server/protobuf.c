/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder. See protobuf.h. Pure; any thread; the tree is the caller's.
 *
 * Depth needs no bound of its own: a table never reaches itself, so the deepest one is the bound.
 */
#include "server/protobuf.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/memory.h"
#include "json/json.h"

#define SECONDS_MAX 253402300799ull /* the last one of the year 9999 */

typedef enum Wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 } Wire;

/* What is left of a message. */
typedef struct Span {
	const uint8_t *at, *end;
} Span;

typedef struct Decoder {
	size_t values; /* made so far */
	Error *err;
} Decoder;

/* One field as it lies in the message. */
typedef struct Item {
	uint64_t number;
	Wire wire;
	uint64_t value; /* of WIRE_VARINT */
	Span bytes;     /* of WIRE_BYTES */
} Item;

static int bad(Decoder *d, const char *field, const char *what)
{
	return error_set(d->err, ERR_INVALID, "%s: %s", field, what);
}

/* ---- the wire ---- */

static bool read_varint(Span *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && s->at < s->end; shift += 7) {
		uint8_t byte = *s->at++;

		if (shift == 63 && byte > 1)
			return false;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool skip(Span *s, uint64_t n)
{
	if (n > (uint64_t)(s->end - s->at))
		return false;
	s->at += n;
	return true;
}

/* 1 = an item, 0 = the end of the message, -1 = broken. Groups are of a time before ours. */
static int read_item(Span *s, Item *item)
{
	uint64_t tag, n;

	if (s->at == s->end)
		return 0;
	if (!read_varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX >> 3)
		return -1;
	*item = (Item){ .number = tag >> 3, .wire = (Wire)(tag & 7) };
	switch (item->wire) {
	case WIRE_VARINT:
		return read_varint(s, &item->value) ? 1 : -1;
	case WIRE_64:
		return skip(s, 8) ? 1 : -1;
	case WIRE_32:
		return skip(s, 4) ? 1 : -1;
	case WIRE_BYTES:
		if (!read_varint(s, &n))
			return -1;
		item->bytes.at = s->at;
		if (!skip(s, n))
			return -1;
		item->bytes.end = s->at;
		return 1;
	}
	return -1;
}

/* ---- values ---- */

static size_t span_len(const Span *s)
{
	return (size_t)(s->end - s->at);
}

/* Text becomes a C string sooner or later, so it holds no NUL; JSON wants UTF-8. */
static int make_string(Decoder *d, const char *field, const Span *s, json_t **ret)
{
	if (memchr(s->at, '\0', span_len(s)))
		return bad(d, field, "a string must not contain NUL");
	*ret = json_stringn((const char *)s->at, span_len(s));
	return *ret ? 0 : bad(d, field, "a string must be UTF-8");
}

static int make_bytes(const Span *s, json_t **ret)
{
	_cleanup_(xfreep) char *text = base64_encode(s->at, span_len(s));

	*ret = json_string(text);
	return 0;
}

static int make_time(Decoder *d, const ProtoField *f, Span s, json_t **ret)
{
	uint64_t seconds = 0, nanos = 0;
	char text[TIMESTAMP_MAX];
	Item item;
	int rc;

	while ((rc = read_item(&s, &item)) > 0) {
		if (item.wire == WIRE_VARINT && item.number == 1)
			seconds = item.value;
		else if (item.wire == WIRE_VARINT && item.number == 2)
			nanos = item.value;
	}
	if (rc < 0)
		return bad(d, f->name, "a broken time");
	if (seconds > SECONDS_MAX || nanos >= 1000000000)
		return bad(d, f->name, "the time is outside of 1970 to 9999");
	timestamp_format(seconds * USEC_PER_SEC, text);
	if (f->type == PROTO_MICROTIME)
		*ret = json_sprintf("%.19s.%06uZ", text, (unsigned)(nanos / 1000));
	else
		*ret = json_string(text);
	return 0;
}

/* The last field 1 of a message that is no more than a wrapper; empty if there is none. */
static int unwrap(Decoder *d, const char *field, Span s, Span *ret)
{
	Item item;
	int rc;

	*ret = (Span){ s.at, s.at };
	while ((rc = read_item(&s, &item)) > 0)
		if (item.wire == WIRE_BYTES && item.number == 1)
			*ret = item.bytes;
	return rc < 0 ? bad(d, field, "a broken message") : 0;
}

static int make_json(Decoder *d, const char *field, Span s, json_t **ret)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Span raw;

	if (unwrap(d, field, s, &raw) < 0)
		return -ERR_INVALID;
	if (raw.at == raw.end) {
		*ret = json_object();
		return 0;
	}
	if (json_decode((const char *)raw.at, span_len(&raw), ret, &err) < 0)
		return bad(d, field, error_message(&err));
	return 0;
}

/* ExtraValue{repeated string items = 1} */
static int make_strings(Decoder *d, const char *field, Span s, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *list = json_array();
	json_t *v;
	Item item;
	int rc;

	while ((rc = read_item(&s, &item)) > 0) {
		if (item.wire != WIRE_BYTES || item.number != 1)
			continue;
		if (++d->values > PROTO_VALUES_MAX)
			return bad(d, field, "too many values");
		if (make_string(d, field, &item.bytes, &v) < 0)
			return -ERR_INVALID;
		json_array_append_new(list, v);
	}
	if (rc < 0)
		return bad(d, field, "a broken message");
	*ret = TAKE_PTR(list);
	return 0;
}

/* ---- maps ---- */

static int make_map_value(Decoder *d, const ProtoField *f, Span s, json_t **ret)
{
	switch (f->type) {
	case PROTO_MAP_BYTES:
		return make_bytes(&s, ret);
	case PROTO_MAP_STRINGS:
		return make_strings(d, f->name, s, ret);
	case PROTO_MAP_QUANTITY:
		if (unwrap(d, f->name, s, &s) < 0)
			return -ERR_INVALID;
		return make_string(d, f->name, &s, ret);
	default:
		return make_string(d, f->name, &s, ret);
	}
}

/* An entry is a message {1: key, 2: value}. */
static int add_map_entry(Decoder *d, const ProtoField *f, Span s, json_t *to)
{
	json_t *map = json_object_get(to, f->name), *v;
	Span key = { s.at, s.at }, value = key;
	_cleanup_(xfreep) char *name = NULL;
	Item item;
	int rc;

	while ((rc = read_item(&s, &item)) > 0) {
		if (item.wire == WIRE_BYTES && item.number == 1)
			key = item.bytes;
		else if (item.wire == WIRE_BYTES && item.number == 2)
			value = item.bytes;
	}
	if (rc < 0)
		return bad(d, f->name, "a broken map entry");
	if (memchr(key.at, '\0', span_len(&key)))
		return bad(d, f->name, "a key must not contain NUL");
	if (make_map_value(d, f, value, &v) < 0)
		return -ERR_INVALID;
	if (!map) {
		map = json_object();
		json_object_set_new(to, f->name, map);
	}
	name = xstrndup((const char *)key.at, span_len(&key));
	if (json_object_set_new(map, name, v) < 0)
		return bad(d, f->name, "a key must be UTF-8");
	return 0;
}

/* ---- messages ---- */

static int decode_message(Decoder *d, const ProtoField *fields, Span s, json_t *to);

/* A message that comes in two parts is one message. */
static int add_message(Decoder *d, const ProtoField *f, Span s, json_t *to)
{
	json_t *message = json_object_get(to, f->name);

	if (message)
		return decode_message(d, f->message, s, message);
	message = json_object();
	json_object_set_new(to, f->name, message);
	if (decode_message(d, f->message, s, message) < 0)
		return -ERR_INVALID;
	if (json_object_size(message) == 0 && !f->pointer)
		json_object_del(to, f->name);
	return 0;
}

static void add_to_list(json_t *to, const char *name, json_t *v)
{
	json_t *list = json_object_get(to, name);

	if (!list) {
		list = json_array();
		json_object_set_new(to, name, list);
	}
	json_array_append_new(list, v);
}

static int add_bytes(Decoder *d, const ProtoField *f, Span s, json_t *to)
{
	bool empty = s.at == s.end;
	json_t *v = NULL;
	int rc = 0;

	switch (f->type) {
	case PROTO_MESSAGE:
		return add_message(d, f, s, to);
	case PROTO_MESSAGES:
		v = json_object();
		add_to_list(to, f->name, v);
		return decode_message(d, f->message, s, v);
	case PROTO_STRINGS:
		rc = make_string(d, f->name, &s, &v);
		if (rc == 0)
			add_to_list(to, f->name, v);
		return rc;
	case PROTO_MAP_STRING:
	case PROTO_MAP_BYTES:
	case PROTO_MAP_QUANTITY:
	case PROTO_MAP_STRINGS:
		return add_map_entry(d, f, s, to);
	case PROTO_STRING:
		if (!empty || f->pointer)
			rc = make_string(d, f->name, &s, &v);
		break;
	case PROTO_TIME:
	case PROTO_MICROTIME: /* an empty one is Go's zero time: none */
		if (!empty)
			rc = make_time(d, f, s, &v);
		break;
	case PROTO_JSON:
		rc = make_json(d, f->name, s, &v);
		break;
	case PROTO_BOOL:
	case PROTO_INT:
		return bad(d, f->name, "of another type than expected");
	}
	if (v)
		json_object_set_new(to, f->name, v);
	return rc;
}

static int add_number(Decoder *d, const ProtoField *f, uint64_t value, json_t *to)
{
	if (f->type != PROTO_BOOL && f->type != PROTO_INT)
		return bad(d, f->name, "of another type than expected");
	if (value == 0 && !f->pointer)
		return 0;
	json_object_set_new(to, f->name,
			    f->type == PROTO_BOOL ? json_boolean(value != 0)
						  : json_integer((json_int_t)value));
	return 0;
}

static int decode_message(Decoder *d, const ProtoField *fields, Span s, json_t *to)
{
	Item item;
	int rc;

	while ((rc = read_item(&s, &item)) > 0) {
		const ProtoField *f = fields;

		while (f->number && f->number != item.number)
			f++;
		if (!f->number)
			continue; /* newer than we are: skipped, as protobuf wants it */
		if (++d->values > PROTO_VALUES_MAX)
			return bad(d, f->name, "too many values");
		if (item.wire == WIRE_BYTES)
			rc = add_bytes(d, f, item.bytes, to);
		else if (item.wire == WIRE_VARINT)
			rc = add_number(d, f, item.value, to);
		else
			rc = bad(d, f->name, "of another type than expected");
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? error_set(d->err, ERR_INVALID, "the message is cut short or broken") : 0;
}

/* ---- the envelope ---- */

static const ProtoField type_meta[] = {
	{1,	     "apiVersion", PROTO_STRING },
	{ 2, "kind", PROTO_STRING },
	{ 0           },
};

/* Unknown{1: typeMeta, 2: raw, 3: contentEncoding, 4: contentType} */
static int decode_envelope(Decoder *d, Span s, json_t *to, Span *ret_raw)
{
	Item item;
	int rc;

	*ret_raw = (Span){ s.at, s.at };
	while ((rc = read_item(&s, &item)) > 0) {
		if (item.wire != WIRE_BYTES)
			return bad(d, "envelope", "of another type than expected");
		if (item.number == 1 && decode_message(d, type_meta, item.bytes, to) < 0)
			return -ERR_INVALID;
		if (item.number == 2)
			*ret_raw = item.bytes;
		if (item.number == 3 && item.bytes.at < item.bytes.end)
			return bad(d, "envelope", "contentEncoding is not supported");
	}
	return rc < 0 ? bad(d, "envelope", "the message is cut short or broken") : 0;
}

int proto_decode(const void *data, size_t len, json_t **ret, Error *err)
{
	static const uint8_t magic[4] = { 'k', '8', 's', 0 };
	_cleanup_(json_decrefp) json_t *tree = json_object();
	Span s = { data, (const uint8_t *)data + len }, raw;
	Decoder d = { .err = err };
	const char *api_version, *kind;
	const ProtoField *fields;

	if (len < sizeof(magic) || memcmp(data, magic, sizeof(magic)) != 0)
		return error_set(err, ERR_INVALID,
				 "provided data does not appear to be a protobuf message, expected "
				 "prefix [107 56 115 0]");
	s.at += sizeof(magic);
	if (decode_envelope(&d, s, tree, &raw) < 0)
		return -ERR_INVALID;
	api_version = json_string_at(tree, "apiVersion");
	kind = json_string_at(tree, "kind");
	if (str_is_empty(api_version) || str_is_empty(kind))
		return error_set(err, ERR_INVALID, "the body names no apiVersion and kind");
	fields = proto_kind(api_version, kind);
	if (!fields)
		return error_set(err, ERR_UNSUPPORTED,
				 "%.128s of %.128s is not taken as protobuf: send JSON", kind,
				 api_version);
	if (decode_message(&d, fields, raw, tree) < 0)
		return -ERR_INVALID;
	*ret = TAKE_PTR(tree);
	return 0;
}
