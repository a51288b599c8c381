/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain XML that others wrote: read it, and keep what is worth keeping of it in a new definition,
 * which must be readable again and carry our mark whatever the old one said.
 */
#include "driver/libvirt/xml.h"
#include "fuzz.h"

#define ID "11111111-2222-4333-8444-555555555555"

static void write_over(const char *old)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *text = NULL;
	DomainXmlEnv env = { .virt_type = "qemu", .relabel = true };
	DomainConfig c = { .name = "default.web-1",
			   .uuid = ID,
			   .store_id = ID,
			   .uid = ID,
			   .title = "default/web-1",
			   .generation = 3,
			   .request_id = "",
			   .config_hash = "abc",
			   .cpus = 2,
			   .memory = 1ULL << 30,
			   .console_log = "/var/lib/sfd/console.log",
			   .n_disks = 1,
			   .n_nics = 1 };
	DomainLive live = { 0 };

	c.disks[0] = (DomainDisk){
		.name = "root", .path = "/var/lib/a.qcow2", .format = "qcow2", .bus = "virtio"
	};
	c.nics[0] = (DomainNic){ .name = "eth0",
				 .tap = "sft00000001",
				 .mac = { { 0x52, 0x54, 0, 1, 2, 3 } } };
	if (domain_xml_write(&c, &env, old, &text, &err) < 0)
		return;
	FUZZ_REQUIRE(domain_live_read(text, &live, &err) == 0);
	FUZZ_REQUIRE(streq(live.mark.uid, ID) && live.mark.generation == 3);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(xfreep) char *text = fuzz_text(data, size), *written = NULL;
	DomainLive live = { 0 };
	DomainMark mark = { 0 }, again = { 0 };

	capabilities_has_dac(text);
	domain_live_read(text, &live, NULL);
	if (domain_mark_read(text, &mark, &err) == 0) {
		written = domain_mark_write(&mark);
		FUZZ_REQUIRE(domain_mark_read(written, &again, &err) == 0);
		FUZZ_REQUIRE(streq(mark.uid, again.uid) && mark.generation == again.generation &&
			     streq(mark.request_id, again.request_id));
	}
	write_over(text);
	return 0;
}
