/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confine. See confine.h.
 *
 * Order matters: leaving the network needs a capability, Landlock and seccomp need no_new_privs.
 * Landlock's structures grow with the kernel; ours are written out here so that rights newer than
 * the build host's headers are used where the kernel has them. Source: Linux,
 * Documentation/userspace-api/landlock.rst.
 */
#include "driver/image/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/memory.h"

typedef struct Ruleset {
	uint64_t fs, net, scoped;
} Ruleset;

#define FS_EXECUTE   (1ULL << 0)
#define FS_WRITE     (1ULL << 1)
#define FS_READ      (1ULL << 2)
#define FS_READ_DIR  (1ULL << 3)
#define FS_ABI1      ((1ULL << 13) - 1)
#define FS_REFER     (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE  (1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEV (1ULL << 15) /* ABI 5 */
#define NET_BIND     (1ULL << 0)  /* ABI 4 */
#define NET_CONNECT  (1ULL << 1)
#define SCOPE_ALL    3ULL /* ABI 6: abstract Unix sockets, signals */

#define DESCRIPTORS_MAX 128

static Ruleset ruleset_for(const Confine *c, long abi)
{
	Ruleset r = { .fs = FS_ABI1 };

	if (abi >= 2)
		r.fs |= FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	if (abi >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (abi >= 4)
		r.net = NET_BIND | (c->network ? 0 : NET_CONNECT);
	if (abi >= 6)
		r.scoped = SCOPE_ALL;
	return r;
}

static size_t ruleset_size(long abi)
{
	return abi >= 6 ? sizeof(Ruleset) : abi >= 4 ? 2 * sizeof(uint64_t) : sizeof(uint64_t);
}

static int landlock_allow(int ruleset, int fd, uint64_t access, Error *err)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };

	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) < 0)
		return error_set_errno(err, errno, "landlock rule");
	return 0;
}

static int landlock_allow_read(int ruleset, const Ruleset *r, const char *path, uint64_t access,
			       Error *err)
{
	_cleanup_(fd_closep) int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return error_set_errno(err, errno, "stat %s", path);
	if (S_ISDIR(st.st_mode))
		access |= FS_READ_DIR;
	else if (S_ISCHR(st.st_mode))
		access |= FS_WRITE | (r->fs & FS_IOCTL_DEV);
	return landlock_allow(ruleset, fd, access, err);
}

/* The program that loads our libraries, as our own file names it: the kernel starts it with the
 * program. */
static int find_loader(struct dl_phdr_info *info, _unused_ size_t size, void *ret)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP)
			*(const char **)ret =
				(const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
	return 1; /* the first one is the program itself */
}

static int landlock_allow_program(int ruleset, const Ruleset *r, const char *program, Error *err)
{
	const char *loader = NULL;
	int rc = landlock_allow_read(ruleset, r, program, FS_READ | FS_EXECUTE, err);

	dl_iterate_phdr(find_loader, &loader);
	if (rc == 0 && loader)
		rc = landlock_allow_read(ruleset, r, loader, FS_READ | FS_EXECUTE, err);
	return rc;
}

static int confine_files(const Confine *c, Error *err)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	_cleanup_(fd_closep) int ruleset = -1;
	Ruleset r = ruleset_for(c, abi);
	int rc;

	if (abi < 1)
		return 0;
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &r, ruleset_size(abi), 0U);
	if (ruleset < 0)
		return error_set_errno(err, errno, "landlock");
	rc = landlock_allow(ruleset, c->directory_fd, r.fs & ~FS_EXECUTE, err);
	for (const char *const *p = c->read_paths; rc == 0 && *p; p++)
		rc = landlock_allow_read(ruleset, &r, *p, FS_READ, err);
	if (rc == 0 && c->program)
		rc = landlock_allow_program(ruleset, &r, c->program, err);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0U) < 0)
		rc = error_set_errno(err, errno, "landlock");
	return rc;
}

/*
 * What no downloader or converter calls: ways to other processes, namespaces, mounts, the kernel
 * itself. A list of what is refused rather than allowed, because libc, GnuTLS, the resolver's
 * modules and qemu-img change what they call between releases.
 */
static const char *const refused_calls[] = {
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"pidfd_getfd",
	"kcmp",
	"mount",
	"umount2",
	"pivot_root",
	"chroot",
	"move_mount",
	"open_tree",
	"fsopen",
	"fsmount",
	"fsconfig",
	"fspick",
	"mount_setattr",
	"unshare",
	"setns",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"keyctl",
	"add_key",
	"request_key",
	"open_by_handle_at",
	"name_to_handle_at",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	"swapon",
	"swapoff",
	"acct",
	"quotactl",
	"settimeofday",
	"clock_settime",
	"clock_adjtime",
	"adjtimex",
	"sethostname",
	"setdomainname",
	"syslog",
	"iopl",
	"ioperm",
	"modify_ldt",
	"personality",
	"mknod",
	"mknodat",
	"fanotify_init",
	"vhangup",
	"memfd_create", /* a file to execute that Landlock does not see */
	"memfd_secret",
	"execveat",
	/* Whom it may signal is Landlock's only since Linux 6.12; spawn's own pidfd stays usable.
	 */
	"kill",
	"tkill",
	"rt_sigqueueinfo",
	"rt_tgsigqueueinfo",
	"pidfd_open",
	/* We are root without its privileges, but still the owner of its files: Landlock knows
	 * nothing of these, and of truncate only since Linux 6.2. */
	"chmod",
	"fchmod",
	"fchmodat",
	"fchmodat2",
	"chown",
	"fchown",
	"lchown",
	"fchownat",
	"setxattr",
	"lsetxattr",
	"fsetxattr",
	"removexattr",
	"lremovexattr",
	"fremovexattr",
	"utime",
	"utimes",
	"futimesat",
	"utimensat",
	"truncate",
	NULL,
};

static const char *const refused_execute[] = { "execve", "fork", "vfork", NULL };
static const char *const refused_services[] = { "bind", "listen", "accept", "accept4", NULL };
static const char *const refused_network[] = { "socket", "socketpair", "connect", "bind",
					       "listen", "accept",     "accept4", NULL };

static int refuse(scmp_filter_ctx filter, const char *const *names)
{
	for (; *names; names++) {
		int nr = seccomp_syscall_resolve_name(*names);

		/* A call this architecture lacks needs no rule. */
		if (nr != __NR_SCMP_ERROR &&
		    seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), nr, 0) < 0 && nr >= 0)
			return -1;
	}
	return 0;
}

static int refuse_if(scmp_filter_ctx filter, int nr, int errnum, struct scmp_arg_cmp what)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)errnum), nr, 1, what);
}

/* New namespaces give capabilities in them; without a program there is only use for threads. */
static int refuse_clones(scmp_filter_ctx filter, bool threads_only)
{
	static const uint64_t namespaces[] = { CLONE_NEWUSER,  CLONE_NEWNS,  CLONE_NEWPID,
					       CLONE_NEWNET,   CLONE_NEWIPC, CLONE_NEWUTS,
					       CLONE_NEWCGROUP };
	int nr = SCMP_SYS(clone);
	/* Its flags are in memory, where a filter cannot look. The C library then uses clone. */
	int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(namespaces); i++)
		rc = refuse_if(filter, nr, EPERM,
			       SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	if (rc == 0 && threads_only)
		rc = refuse_if(filter, nr, EPERM, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	return rc;
}

/* Only the internet: a Unix socket leads to services that take us for root, libvirt's for one. */
static int refuse_families(scmp_filter_ctx filter)
{
	int nr = SCMP_SYS(socket), rc = 0;

	for (unsigned family = 0; rc == 0 && family < AF_INET6; family++)
		if (family != AF_INET)
			rc = refuse_if(filter, nr, EAFNOSUPPORT, SCMP_A0(SCMP_CMP_EQ, family));
	if (rc == 0)
		rc = refuse_if(filter, nr, EAFNOSUPPORT, SCMP_A0(SCMP_CMP_GT, AF_INET6));
	return rc;
}

/* What depends on an argument: signals to others than ourselves, input to a terminal. */
static int refuse_arguments(scmp_filter_ctx filter)
{
	int rc = refuse_if(filter, SCMP_SYS(tgkill), EPERM,
			   SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));

	if (rc == 0)
		rc = refuse_if(filter, SCMP_SYS(ioctl), EPERM,
			       SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCSTI));
	if (rc == 0)
		rc = refuse_if(filter, SCMP_SYS(ioctl), EPERM,
			       SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, TIOCLINUX));
	return rc;
}

static int confine_calls(const Confine *c, Error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc = 0;

	if (!filter || refuse(filter, refused_calls) < 0 ||
	    refuse_clones(filter, !c->program) < 0 || refuse_arguments(filter) < 0 ||
	    (!c->program && refuse(filter, refused_execute) < 0) ||
	    (c->network && (refuse_families(filter) < 0 || refuse(filter, refused_services) < 0)) ||
	    (!c->network && refuse(filter, refused_network) < 0) || seccomp_load(filter) < 0)
		rc = error_set(err, ERR_INTERNAL, "cannot load the system call filter");
	if (filter)
		seccomp_release(filter);
	return rc;
}

#define FILTER_LOAD(field)        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define FILTER_CALL(number, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, skip)
#define FILTER_REFUSE             BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

const struct sock_fprog *confine_program_filter(void)
{
	/* Loaded on top of ours, which kills whoever uses the numbers of another architecture. */
	static struct sock_filter steps[] = {
		FILTER_LOAD(nr),
#ifdef SYS_fork
		FILTER_CALL(SYS_fork, 1),
		FILTER_REFUSE,
		FILTER_CALL(SYS_vfork, 1),
		FILTER_REFUSE,
#endif
		FILTER_CALL(SYS_clone, 3),
		FILTER_LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
		FILTER_REFUSE,
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	static const struct sock_fprog program = { ARRAY_SIZE(steps), steps };

	return &program;
}

static int limit(int resource, uint64_t value, Error *err)
{
	struct rlimit r = { value, value };

	if (setrlimit(resource, &r) < 0)
		return error_set_errno(err, errno, "setrlimit");
	return 0;
}

int confine_limits(const ConfineLimits *l, Error *err)
{
	int rc = limit(RLIMIT_CORE, 0, err);

	if (rc == 0)
		rc = limit(RLIMIT_NOFILE, DESCRIPTORS_MAX, err);
	if (rc == 0)
		rc = limit(RLIMIT_FSIZE, l->file_size, err);
	if (rc == 0 && l->cpu_seconds)
		rc = limit(RLIMIT_CPU, l->cpu_seconds, err);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	/* A sanitizer's shadow alone is larger than any sensible limit. */
	if (rc == 0)
		rc = limit(RLIMIT_AS, l->memory, err);
#endif
	return rc;
}

#if defined(__SANITIZE_ADDRESS__)
/* The sanitizer's hook: looking for leaks takes ptrace, which a confined process must not have. */
int __lsan_is_turned_off(void) __attribute__((visibility("default")));

static bool confined;

int __lsan_is_turned_off(void)
{
	return confined;
}
#endif

int confine(const Confine *c, Error *err)
{
	bool may_bound;
	int rc;

#if defined(__SANITIZE_ADDRESS__)
	confined = true;
#endif

	/* Best effort: without the right to, seccomp still refuses every socket. */
	if (!c->network)
		(void)unshare(CLONE_NEWNET | CLONE_NEWIPC);
	/* Without CAP_SETPCAP, as in a unit with NoNewPrivileges, the bounding set stays; nothing
	 * can be gained from it, and libcap-ng complains to syslog when it is tried. */
	capng_get_caps_process();
	may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	capng_clear(CAPNG_SELECT_BOTH);
	if (may_bound && capng_apply(CAPNG_SELECT_BOUNDS) < 0)
		return error_set(err, ERR_FORBIDDEN, "cannot drop the bounding set");
	if (capng_apply(CAPNG_SELECT_CAPS) < 0)
		return error_set(err, ERR_FORBIDDEN, "cannot drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return error_set_errno(err, errno, "no_new_privs");
	/* spawn_start() asked for it, but an exec that gains capabilities, as root's does from a
	 * parent that has dropped some, makes the kernel forget. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return error_set_errno(err, errno, "death signal");
	rc = confine_files(c, err);
	return rc < 0 ? rc : confine_calls(c, err);
}
