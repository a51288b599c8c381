/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfd --check: a doctor. One line per finding: "ok", "warn" or "FAIL", what it is, and for the
 * latter two how to mend it. Changes nothing.
 */
#include "check.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/fs.h"
#include "base/memory.h"
#include "base/spawn.h"
#include "driver/libvirt/libvirt.h"
#include "pki/authority.h"

#define SPACE_WARN ((uint64_t)10 << 30)
#define SPACE_FAIL ((uint64_t)256 << 20) /* what the image cache never fills */

#define CA_WARN ((usec_t)180 * 24 * USEC_PER_HOUR)

typedef enum Verdict { CHECK_OK, CHECK_WARN, CHECK_FAIL } Verdict;

static int failures;

static void say(Verdict v, const char *what, const char *fmt, ...) _printf_(3, 4);
static void say(Verdict v, const char *what, const char *fmt, ...)
{
	static const char *const words[] = { "ok  ", "warn", "FAIL" };
	_cleanup_(xfreep) char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	printf("%s  %-22s %s\n", words[v], what, text);
	failures += v == CHECK_FAIL;
}

static void check_program(const char *path, const char *package, const char *why)
{
	if (access(path, X_OK) == 0)
		say(CHECK_OK, path, "found");
	else
		say(CHECK_FAIL, path, "missing (%s): apt install %s", why, package);
}

static void check_root(void)
{
	if (geteuid() == 0)
		say(CHECK_OK, "privileges", "running as root");
	else
		say(CHECK_WARN, "privileges",
		    "not root: some answers below may be wrong; run sudo sfd --check");
}

static void check_libvirt(const Options *o)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	Context background = CONTEXT_BACKGROUND,
		ctx = context_with_timeout(&background, 10 * USEC_PER_SEC);
	Hypervisor *h = NULL;
	HypervisorInfo info = { 0 };
	int rc = libvirt_hypervisor_new(
		&(LibvirtOptions){ .uri = o->libvirt_uri, .virt_type = o->virt_type }, &h, &err);

	if (rc == 0)
		rc = h->ops->info(h, &ctx, &info, &err);
	if (rc < 0)
		say(CHECK_FAIL, "libvirt",
		    "%s: %s. Is libvirtd running? apt install libvirt-daemon-system; systemctl "
		    "start libvirtd",
		    o->libvirt_uri, error_message(&err));
	else
		say(CHECK_OK, "libvirt", "%s, guests run by %s", info.version, info.virt_type);
	if (rc == 0 && streq(info.virt_type, "qemu"))
		say(CHECK_WARN, "acceleration",
		    "no usable KVM: guests are emulated and slow. Enable virtualization in the "
		    "firmware");
	if (h)
		h->ops->free(h);
}

static void check_space(const char *dir)
{
	struct statvfs vfs;
	uint64_t bytes;

	if (statvfs(dir, &vfs) < 0) {
		say(errno == ENOENT ? CHECK_OK : CHECK_FAIL, dir,
		    errno == ENOENT ? "will be made at the first start" : "cannot be looked at");
		return;
	}
	bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	if (bytes < SPACE_FAIL)
		say(CHECK_FAIL, dir, "%llu MiB free: no image is fetched below %llu MiB; make room",
		    (unsigned long long)(bytes >> 20), (unsigned long long)(SPACE_FAIL >> 20));
	else
		say(bytes < SPACE_WARN ? CHECK_WARN : CHECK_OK, dir, "%llu MiB free%s",
		    (unsigned long long)(bytes >> 20),
		    bytes < SPACE_WARN ? ": images and disks may not fit" : "");
}

static void check_group(const char *name)
{
	if (getgrnam(name))
		say(CHECK_OK, "group", "members of \"%s\" may use the API", name);
	else
		say(CHECK_WARN, "group",
		    "there is no group \"%s\": only root may use the API. systemd-sysusers, or "
		    "groupadd -r %s",
		    name, name);
}

/* br_netfilter sends bridged frames through the host's IP tables, where another firewall may drop
 * them. */
static void check_bridge_filter(void)
{
	_cleanup_(xfreep) char *text = NULL;

	if (fs_read("/proc/sys/net/bridge/bridge-nf-call-iptables", 16, &text, NULL, NULL) < 0 ||
	    text[0] == '0')
		say(CHECK_OK, "bridge filter", "bridged frames do not pass iptables");
	else
		say(CHECK_WARN, "bridge filter",
		    "net.bridge.bridge-nf-call-iptables is 1: another firewall may drop guests' "
		    "traffic; set it to 0");
}

static void check_forward_policy(void)
{
	static const char *const argv[] = { "/usr/sbin/nft", "-j", "list", "chains", NULL };
	_cleanup_(strbuf_done) StrBuf out = STRBUF_INIT;
	Context background = CONTEXT_BACKGROUND,
		ctx = context_with_timeout(&background, 10 * USEC_PER_SEC);
	const char *at;

	if (spawn_run(&ctx, argv, &out, NULL, NULL) < 0)
		return;
	at = strstr(strbuf_str(&out), "\"hook\": \"forward\"");
	for (; at; at = strstr(at + 1, "\"hook\": \"forward\"")) {
		const char *end = strchr(at, '}'), *drop = strstr(at, "\"policy\": \"drop\"");

		if (!drop || !end || drop > end)
			continue;
		say(CHECK_WARN, "egress",
		    "a forward chain of another firewall drops by default: guests reach nothing "
		    "outside until it accepts "
		    "interfaces sfu+ (with docker: iptables -I DOCKER-USER -i sfu+ -j ACCEPT, and "
		    "-o sfu+)");
		return;
	}
	say(CHECK_OK, "egress", "no forward chain drops by default");
}

static bool listens_by_tls(const Options *o)
{
	strv_foreach (address, o->listen)
		if (str_has_prefix(*address, "tls:"))
			return true;
	return false;
}

/* Whoever reads the key can make himself anybody. */
static bool key_is_private(const char *dir)
{
	_cleanup_(xfreep) char *path = xasprintf("%s/ca.key", dir);
	struct stat st;

	return stat(path, &st) < 0 || (st.st_uid == 0 && (st.st_mode & 077) == 0);
}

static void check_tls(const Options *o)
{
	_cleanup_(xfreep) char *dir = xasprintf("%s/pki", o->state_dir);
	_cleanup_(error_done) Error err = ERROR_INIT;
	usec_t now = clock_wall(clock_system()), ca = 0, server = 0;
	char a[TIMESTAMP_MAX], b[TIMESTAMP_MAX];
	int rc = authority_inspect(dir, now, &ca, &server, &err);

	if (rc == -ERR_NOT_FOUND && !fs_exists(dir))
		say(CHECK_OK, "TLS",
		    listens_by_tls(o) ? "the CA will be made at the first start"
				      : "no TLS listener: only this host reaches the API "
					"(--listen tls:ADDRESS:PORT opens it)");
	else if (rc == -ERR_FORBIDDEN && geteuid() != 0)
		say(CHECK_WARN, "TLS", "only root can tell: %s; run sudo sfd --check",
		    error_message(&err));
	else if (rc < 0)
		say(CHECK_FAIL, "TLS", "%s", error_message(&err));
	else if (!key_is_private(dir))
		say(CHECK_FAIL, "TLS",
		    "%s/ca.key is not root's alone: chown root: %s/ca.key; chmod 600 %s/ca.key; if "
		    "others have read it, make another CA: CERTIFICATES in sfd(8)",
		    dir, dir, dir);
	else if (ca < now + CA_WARN)
		say(CHECK_WARN, "TLS",
		    "the CA of %s ends at %s, and every kubeconfig with it: see CERTIFICATES in "
		    "sfd(8) about making another",
		    dir, timestamp_format(ca, a));
	else
		say(CHECK_OK, "TLS",
		    "certificates of %s: CA until %s, server until %s (renewed before that)", dir,
		    timestamp_format(ca, a), timestamp_format(server, b));
}

int check_host(const Options *o)
{
	failures = 0;
	check_root();
	check_program("/usr/bin/qemu-system-x86_64", "qemu-system-x86", "runs guests");
	check_program("/usr/bin/qemu-img", "qemu-utils", "makes disks");
	check_program("/usr/sbin/dnsmasq", "dnsmasq-base", "DHCP and DNS for guests");
	check_libvirt(o);
	check_space(o->state_dir);
	check_group(o->group);
	check_tls(o);
	check_bridge_filter();
	check_forward_policy();
	printf(failures ? "%d thing%s must be mended first\n" : "this host is ready\n", failures,
	       failures == 1 ? "" : "s");
	return failures ? 1 : 0;
}
