/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An object's head as it comes from a database: any bytes are either refused or give a head whose
 * every string can be read. The first two bytes say how much of the input is the head; the rest is
 * the text.
 */
#include "api/object.h"
#include "fuzz.h"

static size_t read_labels(const Label *labels, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += strlen(labels[i].key) + strlen(labels[i].value);
	return sum;
}

static size_t read_all(const Object *o)
{
	const ObjectHead *h = object_head(o);
	size_t sum = strlen(h->uid) + strlen(h->creation_timestamp) + strlen(h->cells) +
		     strlen(h->charge);

	if (h->deletion_timestamp)
		sum += strlen(h->deletion_timestamp);
	sum += read_labels(h->labels, h->n_labels);
	sum += read_labels(h->annotations_kept, h->n_annotations_kept);
	for (size_t i = 0; i < h->n_owners; i++)
		sum += strlen(h->owners[i].api_version) + strlen(h->owners[i].kind) +
		       strlen(h->owners[i].name) + strlen(h->owners[i].uid);
	for (const char *const *f = h->finalizers; *f; f++)
		sum += strlen(*f);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(object_unrefp) Object *o = NULL;
	_cleanup_(xfreep) void *head = NULL;
	Key key = key_make(GR_INSTANCE, "default", "web-1");
	size_t head_len, len;

	if (size < 2)
		return 0;
	head_len = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	head_len = MIN(head_len, size);
	if (object_new_from_parts(&key, 1, 2, data, head_len, (const char *)data + head_len,
				  size - head_len, &o, &err) < 0) {
		FUZZ_REQUIRE(*error_message(&err));
		return 0;
	}
	FUZZ_REQUIRE(read_all(o) <= head_len);
	FUZZ_REQUIRE(strlen(object_text(o, &len)) <= len && len == size - head_len);
	object_label(o, "app");
	object_head_encode(o, &head, &len);
	FUZZ_REQUIRE(len == head_len && memcmp(head, data, len) == 0);
	return 0;
}
