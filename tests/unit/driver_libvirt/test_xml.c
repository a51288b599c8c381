/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain XML: golden definitions (written again with UPDATE_GOLDEN=1), hostile text that must come
 * back as it went in, and what a new definition keeps of the present one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/strbuf.h"
#include "driver/libvirt/errors.h"
#include "driver/libvirt/xml.h"

#define UUID "11111111-2222-4333-8444-555555555555"

static const DomainXmlEnv qemu = { .virt_type = "qemu", .relabel = true, .pretty = true };
static const DomainXmlEnv kvm = { .virt_type = "kvm", .relabel = true, .pretty = true };

static DomainConfig config(void)
{
	DomainConfig c = { .name = "default.web-1",
			   .uuid = UUID,
			   .store_id = "99999999-2222-4333-8444-555555555555",
			   .uid = UUID,
			   .title = "default/web-1",
			   .generation = 3,
			   .request_id = "",
			   .config_hash = "abc",
			   .cpus = 2,
			   .max_cpus = 4,
			   .memory = 1ULL << 30,
			   .max_memory = 2ULL << 30,
			   .console_log = "/var/lib/sfd/instances/" UUID "/console.log",
			   .n_disks = 2,
			   .n_nics = 1 };

	c.disks[0] = (DomainDisk){ .name = "root",
				   .path = "/var/lib/sfd/instances/" UUID "/root.qcow2",
				   .format = "qcow2",
				   .base_path = "/var/lib/sfd/images/0123.qcow2",
				   .base_format = "qcow2",
				   .bus = "virtio",
				   .boot_order = 1 };
	c.disks[1] = (DomainDisk){ .name = "cidata",
				   .path = "/var/lib/sfd/instances/" UUID "/seed.iso",
				   .format = "raw",
				   .bus = "virtio",
				   .read_only = true };
	c.nics[0] = (DomainNic){ .name = "eth0",
				 .tap = "sft00000001",
				 .mac = { { 0x52, 0x54, 0, 0xab, 0xcd, 0xef } },
				 .model = "virtio",
				 .mtu = 1450 };
	return c;
}

static char *must_write(const DomainConfig *c, const DomainXmlEnv *env, const char *old)
{
	char *xml = NULL;

	assert_int_equal(domain_xml_write(c, env, old, &xml, NULL), 0);
	return xml;
}

static void check_golden(const char *name, const DomainConfig *c, const DomainXmlEnv *env)
{
	_cleanup_(xfreep) char *path = xasprintf("tests/golden/domain/%s.xml", name);
	_cleanup_(xfreep) char *xml = must_write(c, env, NULL);
	_cleanup_(xfreep) char *text = xasprintf("%s\n", xml);
	_cleanup_(xfreep) char *expected = NULL;

	if (getenv("UPDATE_GOLDEN"))
		assert_int_equal(fs_write_atomic(path, text, strlen(text), 0644, false, NULL), 0);
	assert_int_equal(fs_read(path, 1 << 20, &expected, NULL, NULL), 0);
	assert_string_equal(text, expected);
}

static void test_golden(void **state _unused_)
{
	DomainConfig c = config();

	check_golden("virtio-qemu", &c, &qemu);
	c.firmware = FIRMWARE_UEFI;
	check_golden("uefi-kvm", &c, &kvm);
	c.firmware = FIRMWARE_UEFI_SECURE;
	c.cpu_model = "Skylake-Client";
	c.max_cpus = 0;
	c.max_memory = 0;
	check_golden("secure-boot", &c, &kvm);
	c = config();
	c.disks[0].bus = "scsi";
	c.disks[1].bus = "sata";
	c.disks[1].cdrom = true;
	c.disks[c.n_disks++] = (DomainDisk){
		.name = "stick", .path = "/d/stick.raw", .format = "raw", .bus = "usb"
	};
	c.console_log = NULL;
	check_golden("buses", &c, &qemu);
}

static void test_unsupported(void **state _unused_)
{
	DomainConfig c = config();
	char *xml = NULL;

	c.disks[0].bus = "nvme";
	assert_int_equal(domain_xml_write(&c, &qemu, NULL, &xml, NULL), -ERR_UNSUPPORTED);
	assert_null(xml);
	c = config();
	assert_int_equal(domain_xml_write(&c, &qemu, "<domain>", &xml, NULL), -ERR_INVALID);
	assert_null(xml);
}

static const char *const hostile[] = {
	"<a/>",
	"\"quoted\" and 'single'",
	"a & b &amp; &#10; &lt;",
	"]]>",
	"<!-- -- -->",
	"</title><devices><disk/></devices>",
	"$(reboot) `id` %s %n",
	"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	"<qemu:commandline><qemu:arg value='-x'/></qemu:commandline>",
	"<?xml version='1.0'?>",
	" leading and trailing ",
};

static size_t count_elements(const xmlNode *n)
{
	size_t count = 0;

	for (; n; n = n->next)
		count += (n->type == XML_ELEMENT_NODE) + count_elements(n->children);
	return count;
}

/* Whatever stands in any text: the same elements, and the text back byte by byte. */
static void test_hostile_text(void **state _unused_)
{
	DomainConfig plain = config();
	_cleanup_(xfreep) char *plain_xml = must_write(&plain, &qemu, NULL);
	_cleanup_(xml_doc_freep) xmlDoc *plain_doc = xml_parse(plain_xml, NULL);
	size_t elements = count_elements(xmlDocGetRootElement(plain_doc));

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		_cleanup_(xfreep) char *path = xasprintf("/%s", hostile[i]);
		_cleanup_(xfreep) char *xml = NULL;
		_cleanup_(xml_doc_freep) xmlDoc *doc = NULL;
		DomainConfig c = config();
		const xmlNode *root, *disk;
		DomainLive live;
		char text[512];

		c.title = c.config_hash = c.request_id = hostile[i];
		c.name = c.disks[0].name = hostile[i];
		c.disks[0].path = c.disks[0].base_path = c.console_log = path;
		xml = must_write(&c, &qemu, NULL);
		doc = xml_parse(xml, NULL);
		assert_non_null(doc);
		root = xmlDocGetRootElement(doc);
		assert_int_equal(count_elements(root), elements);
		assert_string_equal(xml_text(xml_child(root, "title"), text, sizeof(text)),
				    hostile[i]);
		assert_string_equal(xml_text(xml_child(root, "name"), text, sizeof(text)),
				    hostile[i]);
		disk = xml_child(xml_child(root, "devices"), "disk");
		assert_string_equal(xml_attr(xml_child(disk, "source"), "file", text, sizeof(text)),
				    path);
		assert_int_equal(domain_live_read(xml, &live, NULL), 0);
		snprintf(text, sizeof(text), "%.63s", hostile[i]);
		assert_string_equal(live.mark.request_id, text);
		assert_string_equal(live.mark.uid, UUID);
		assert_int_equal(live.cpus, 2);
		assert_int_equal(live.n_taps, 1);
		assert_string_equal(live.taps[0], c.nics[0].tap);
	}
}

static void test_mark_round_trip(void **state _unused_)
{
	DomainMark m = { .store_id = "s",
			 .uid = "u",
			 .generation = INT64_MAX,
			 .request_id = "<\"&>",
			 .config_hash = "h",
			 .memory = UINT64_MAX / 2,
			 .virt_type = "kvm" };
	_cleanup_(xfreep) char *xml = domain_mark_write(&m);
	DomainMark back;

	assert_int_equal(domain_mark_read(xml, &back, NULL), 0);
	assert_string_equal(back.store_id, m.store_id);
	assert_string_equal(back.uid, m.uid);
	assert_string_equal(back.request_id, m.request_id);
	assert_string_equal(back.config_hash, m.config_hash);
	assert_string_equal(back.virt_type, m.virt_type);
	assert_true(back.generation == m.generation && back.memory == m.memory);
	assert_int_equal(
		domain_mark_read("<instance store='s' generator='999' hash='h'/>", &back, NULL), 0);
	assert_string_equal(back.store_id, "s");
	assert_string_equal(back.config_hash, "");
	assert_int_equal(domain_mark_read("", &back, NULL), -ERR_INVALID);
	assert_int_equal(domain_mark_read("<a", &back, NULL), -ERR_INVALID);
}

/* More interfaces than we know of, and such without a tap. */
static void test_taps_of_strangers(void **state _unused_)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	DomainLive live;

	strbuf_adds(&b, "<domain type='qemu'><devices><interface type='user'/>"
			"<interface type='ethernet'><target dev=''/></interface>");
	for (int i = 0; i < 2 * DOMAIN_NICS_MAX; i++)
		strbuf_addf(&b, "<interface><target dev='sft0000%04x-and-more'/></interface>", i);
	strbuf_adds(&b, "</devices></domain>");
	assert_int_equal(domain_live_read(strbuf_str(&b), &live, NULL), 0);
	assert_int_equal(live.n_taps, DOMAIN_NICS_MAX);
	assert_string_equal(live.taps[0], "sft00000000-and");
}

/* Somebody else's metadata, entities and numbers out of range are nobody's mark. */
static void test_strange_domains(void **state _unused_)
{
	DomainLive live;

	assert_int_equal(domain_live_read("<domain type='kvm'><metadata><instance store='s' "
					  "uid='u'/></metadata></domain>",
					  &live, NULL),
			 0);
	assert_string_equal(live.mark.store_id, "");
	assert_int_equal(domain_live_read("<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
					  "<domain type='qemu'><vcpu>99999999999999999999</vcpu>"
					  "<memory>&e;</memory></domain>",
					  &live, NULL),
			 0);
	assert_int_equal(live.cpus, 0);
	assert_int_equal(live.memory, 0);
	assert_int_equal(live.n_taps, 0);
	assert_true(capabilities_has_dac("<capabilities><host><secmodel><model>apparmor</model>"
					 "</secmodel><secmodel><model>dac</model></secmodel></host>"
					 "</capabilities>"));
	assert_false(capabilities_has_dac("<capabilities><host/></capabilities>"));
}

static const char present[] =
	"<domain type='qemu'><os><type arch='x86_64' machine='pc-q35-6.1'>hvm</type></os>"
	"<cpu mode='custom'><model>qemu64</model><topology sockets='9'/></cpu><devices>"
	"<disk><target dev='vdb' bus='virtio'/><serial>root</serial>"
	"<address type='pci' bus='0x07'/></disk>"
	"<controller type='usb' index='0' model='none'/>"
	"<controller type='pci' index='0' model='pcie-root'/>"
	"<controller type='sata' index='0'/>"
	"<interface type='ethernet'><mac address='52:54:00:ab:cd:ef'/>"
	"<address type='pci' bus='0x03'/></interface>"
	"<memballoon><address type='pci' bus='0x05'/></memballoon></devices></domain>";

static void test_present_definition_is_kept(void **state _unused_)
{
	DomainConfig c = config();
	_cleanup_(xfreep) char *xml = must_write(&c, &qemu, present);
	_cleanup_(xml_doc_freep) xmlDoc *doc = xml_parse(xml, NULL);
	const xmlNode *root = xmlDocGetRootElement(doc), *devices = xml_child(root, "devices");
	const xmlNode *disk = xml_child(devices, "disk");
	size_t controllers = 0;
	char text[64];

#define ATTR(node, name) xml_attr((node), (name), text, sizeof(text))
	assert_string_equal(ATTR(xml_child(xml_child(root, "os"), "type"), "machine"),
			    "pc-q35-6.1");
	assert_string_equal(
		xml_text(xml_child(xml_child(root, "cpu"), "model"), text, sizeof(text)), "qemu64");
	assert_string_equal(ATTR(xml_child(xml_child(root, "cpu"), "topology"), "cores"), "4");
	assert_string_equal(ATTR(xml_child(disk, "target"), "dev"), "vdb");
	assert_string_equal(ATTR(xml_child(disk, "address"), "bus"), "0x07");
	/* vdb is taken: the second disk gets the next free name. */
	disk = xml_next(disk);
	assert_string_equal(ATTR(xml_child(disk, "target"), "dev"), "vda");
	assert_null(xml_child(disk, "address"));
	assert_string_equal(ATTR(xml_child(xml_child(devices, "interface"), "address"), "bus"),
			    "0x03");
	assert_string_equal(ATTR(xml_child(xml_child(devices, "memballoon"), "address"), "bus"),
			    "0x05");
	for (const xmlNode *n = xml_child(devices, "controller"); n; n = xml_next(n))
		controllers++;
	assert_int_equal(controllers, 3);
#undef ATTR
}

static void test_other_machine_keeps_nothing(void **state _unused_)
{
	DomainConfig c = config();
	_cleanup_(xfreep) char *fresh = NULL, *over = NULL;

	c.machine = "pc-q35-7.2";
	fresh = must_write(&c, &qemu, NULL);
	over = must_write(&c, &qemu, present);
	assert_string_equal(fresh, over);
}

static void test_error_codes(void **state _unused_)
{
	assert_int_equal(libvirt_error_code(VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU), ERR_NOT_FOUND);
	assert_int_equal(libvirt_error_code(VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU),
			 ERR_CONFLICT);
	assert_int_equal(libvirt_error_code(VIR_ERR_OPERATION_TIMEOUT, VIR_FROM_QEMU),
			 ERR_UNAVAILABLE);
	/* A missing socket is not a missing domain. */
	assert_int_equal(libvirt_error_code(VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC), ERR_UNAVAILABLE);
	assert_int_equal(libvirt_error_code(VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC), ERR_UNAVAILABLE);
	assert_int_equal(libvirt_error_code(VIR_ERR_INTERNAL_ERROR, VIR_FROM_QEMU), ERR_INTERNAL);
	assert_int_equal(libvirt_error_code(123456, 0), ERR_INTERNAL);
}

static void test_error_texts(void **state _unused_)
{
	static const char said[] = "qemu-system-x86_64: cannot set up guest memory";

	assert_string_equal(libvirt_error_text("internal error: qemu unexpectedly closed the "
					       "monitor: 2026-11-21T06:42:30.284726Z "
					       "qemu-system-x86_64: cannot set up guest memory"),
			    said);
	assert_string_equal(libvirt_error_text(said), said);
	assert_string_equal(libvirt_error_text("at 2026-11-21T06:42:30.284726Z "),
			    "at 2026-11-21T06:42:30.284726Z ");
	assert_string_equal(libvirt_error_text("cut 2026-11-21T06:42"), "cut 2026-11-21T06:42");
	assert_string_equal(libvirt_error_text(""), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_unsupported),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_mark_round_trip),
		cmocka_unit_test(test_taps_of_strangers),
		cmocka_unit_test(test_strange_domains),
		cmocka_unit_test(test_present_definition_is_kept),
		cmocka_unit_test(test_other_machine_keeps_nothing),
		cmocka_unit_test(test_error_codes),
		cmocka_unit_test(test_error_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
