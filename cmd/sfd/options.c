/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfd's options from one table, for the command line and the configuration file alike. See
 * options.h.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/key.h"
#include "api/quantity.h"
#include "api/schema.h"
#include "base/fs.h"
#include "base/ip.h"
#include "base/memory.h"

#define CONFIG_MAX 65536

typedef enum OptionType {
	OPTION_STRING,
	OPTION_CHOICE, /* one of those that `value` names */
	OPTION_DIR,    /* an absolute path */
	OPTION_NAME,   /* of an object */
	OPTION_SIZE,
	OPTION_COUNT, /* of hours or seconds: more than none */
	OPTION_FLAG,
	OPTION_LIST,
	OPTION_SAN, /* a list of host names and addresses */
	OPTION_ROLE,
	OPTION_LEVEL,
	OPTION_FD
} OptionType;

typedef struct Option {
	const char *name;
	OptionType type;
	size_t offset;
	const char *value, *help; /* help NULL: not shown */
} Option;

/* A row: name, type, member of Options, word for its value, help. */
#define OPTION(name, type, member, value, help) \
	{ \
		name, OPTION_##type, offsetof(Options, member), value, help \
	}

static const Option table[] = {
	OPTION("config", STRING, config, "FILE", "configuration file (" DEFAULT_CONFIG ")"),
	OPTION("state-dir", DIR, state_dir, "DIR", "store, images and disks (/var/lib/sfd)"),
	OPTION("runtime-dir", DIR, runtime_dir, "DIR",
	       "sockets and what a boot forgets (/run/sfd)"),
	OPTION("listen", LIST, listen, "unix:PATH|tls:ADDR:PORT",
	       "where the API listens; repeatable"),
	OPTION("tls-san", SAN, tls_san, "NAME|ADDR",
	       "further name of this host in its certificate; repeatable"),
	OPTION("libvirt", STRING, libvirt_uri, "URI", "hypervisor (qemu:///system)"),
	OPTION("virt-type", CHOICE, virt_type, "auto|kvm|qemu", "virtualization type (auto)"),
	OPTION("store", CHOICE, store, "sqlite|memory", "where objects are kept (sqlite)"),
	OPTION("accept-store", FLAG, accept_store, NULL,
	       "a store that was put back is the right one now"),
	OPTION("controllers", STRING, controllers, "all|none|LIST", "which controllers run (all)"),
	OPTION("node-name", NAME, node_name, "NAME", "this machine's Node (the host name)"),
	OPTION("group", STRING, group, "GROUP", "whose members may do everything (sfd)"),
	OPTION("net-socket", STRING, net_socket, "PATH", "socket of the net role"),
	OPTION("net-socket-fd", FD, net_socket_fd, NULL, NULL),
	OPTION("image-allow-loopback", FLAG, image_allow_loopback, NULL,
	       "let images come from this host (tests)"),
	OPTION("image-deny-private", FLAG, image_deny_private, NULL,
	       "refuse images from private addresses"),
	OPTION("image-max-size", SIZE, image_max_size, "QUANTITY",
	       "largest download and largest disk of an image (64Gi)"),
	OPTION("image-timeout", COUNT, image_timeout, "SECONDS",
	       "how long a source may be silent or slow (30)"),
	OPTION("image-cache-size", SIZE, image_cache_size, "QUANTITY",
	       "limit of the image cache (none)"),
	OPTION("image-cache-age", COUNT, image_cache_age, "HOURS",
	       "unused images go after this (720)"),
	OPTION("role", ROLE, role, "daemon|net|fetch|convert", "which process this is (daemon)"),
	OPTION("log-level", LEVEL, log_level, "error|warning|notice|info|debug",
	       "what is logged (info)"),
	OPTION("check", FLAG, check, NULL, "say what this host lacks and how to mend it"),
	OPTION("version", FLAG, version, NULL, "print the version"),
	OPTION("help", FLAG, help, NULL, "print this help"),
};

static const char *const role_names[] = { [ROLE_DAEMON] = "daemon",
					  [ROLE_NET] = "net",
					  [ROLE_FETCH] = "fetch",
					  [ROLE_CONVERT] = "convert" };

void options_init(Options *o)
{
	*o = (Options){ .state_dir = xstrdup("/var/lib/sfd"),
			.runtime_dir = xstrdup("/run/sfd"),
			.libvirt_uri = xstrdup("qemu:///system"),
			.virt_type = xstrdup("auto"),
			.store = xstrdup("sqlite"),
			.controllers = xstrdup("all"),
			.group = xstrdup("sfd"),
			.net_socket_fd = -1,
			.log_level = LOG_LEVEL_INFO };
}

static bool is_text(const Option *opt)
{
	return opt->type <= OPTION_COUNT;
}

void options_done(Options *o)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		void *field = (char *)o + table[i].offset;

		if (is_text(&table[i]))
			free(*(char **)field);
		else if (table[i].type == OPTION_LIST || table[i].type == OPTION_SAN)
			strv_free(*(char ***)field);
	}
}

static const Option *option_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (streq(table[i].name, name))
			return &table[i];
	return NULL;
}

static int set_role(Role *ret, const char *value, Error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(role_names); i++)
		if (streq(role_names[i], value)) {
			*ret = (Role)i;
			return 0;
		}
	return error_set(err, ERR_INVALID,
			 "there is no role \"%s\": choose daemon, net, fetch or convert", value);
}

static int set_flag(bool *ret, const char *value, Error *err)
{
	if (!value || streq(value, "true") || streq(value, "yes") || streq(value, "false") ||
	    streq(value, "no")) {
		*ret = !value || streq(value, "true") || streq(value, "yes");
		return 0;
	}
	return error_set(err, ERR_INVALID, "\"%s\" is neither true nor false", value);
}

static int set_fd(int *ret, const char *value, Error *err)
{
	char *end;
	long fd = strtol(value, &end, 10);

	if (*end || end == value || fd < 0 || fd > 65535)
		return error_set(err, ERR_INVALID, "\"%s\" is not a descriptor", value);
	*ret = (int)fd;
	return 0;
}

static int check_choice(const char *choices, const char *value, Error *err)
{
	_cleanup_(strv_freep) char **words = strv_split(choices, '|');

	strv_foreach (word, words)
		if (streq(*word, value))
			return 0;
	return error_set(err, ERR_INVALID, "there is no \"%s\": choose %s", value, choices);
}

static int check_name(const char *value, Error *err)
{
	static const char ends[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t n = strlen(value);
	bool ok = n > 0 && n < KEY_NAME_MAX && strchr(ends, value[0]) && strchr(ends, value[n - 1]);

	for (size_t i = 0; ok && i < n; i++)
		ok = strchr(ends, value[i]) || value[i] == '-' || value[i] == '.';
	return ok ? 0
		  : error_set(err, ERR_INVALID,
			      "\"%s\" cannot be a name: use letters, digits, '-' and '.'", value);
}

static int check_count(const char *value, Error *err)
{
	size_t n = strspn(value, "0123456789");

	if (n > 0 && n <= 6 && !value[n])
		return 0;
	return error_set(err, ERR_INVALID, "\"%s\" is no number of hours or seconds", value);
}

/* The value alone: what only the machine can tell is found out at the start. */
static int check_text(const Option *opt, const char *value, Error *err)
{
	uint64_t bytes;

	switch (opt->type) {
	case OPTION_CHOICE:
		return check_choice(opt->value, value, err);
	case OPTION_DIR:
		return value[0] == '/'
			       ? 0
			       : error_set(err, ERR_INVALID, "\"%s\" is no absolute path", value);
	case OPTION_NAME:
		return check_name(value, err);
	case OPTION_SIZE:
		return quantity_parse(value, &bytes, err);
	case OPTION_COUNT:
		return check_count(value, err);
	default:
		return 0;
	}
}

static int set_text(char **ret, const Option *opt, const char *value, Error *err)
{
	int rc = check_text(opt, value, err);

	if (rc < 0)
		return rc;
	free(*ret);
	*ret = xstrdup(value);
	return 0;
}

static int option_set(Options *o, const Option *opt, const char *value, Error *err)
{
	void *field = (char *)o + opt->offset;
	IpAddress ip;
	int level;

	switch (opt->type) {
	case OPTION_STRING:
	case OPTION_CHOICE:
	case OPTION_DIR:
	case OPTION_NAME:
	case OPTION_SIZE:
	case OPTION_COUNT:
		return set_text(field, opt, value, err);
	case OPTION_SAN:
		if (ip_parse(value, &ip, NULL) < 0 && check_name(value, err) < 0)
			return -ERR_INVALID;
		*(char ***)field = strv_append(*(char ***)field, value);
		return 0;
	case OPTION_LIST:
		*(char ***)field = strv_append(*(char ***)field, value);
		return 0;
	case OPTION_FLAG:
		return set_flag(field, value, err);
	case OPTION_ROLE:
		return set_role(field, value, err);
	case OPTION_FD:
		return set_fd(field, value, err);
	case OPTION_LEVEL:
		level = log_level_from_string(value);
		if (level < 0)
			return error_set(err, ERR_INVALID,
					 "\"%s\" is no log level: choose error, warning, notice, "
					 "info or debug",
					 value);
		*(LogLevel *)field = (LogLevel)level;
		return 0;
	}
	return 0;
}

/* ---- the file ---- */

static char *trim(char *s)
{
	char *end;

	s += strspn(s, " \t\r");
	end = s + strlen(s);
	while (end > s && strchr(" \t\r", end[-1]))
		*--end = '\0';
	return s;
}

static bool may_stand_in_file(const Option *opt)
{
	return opt->type != OPTION_ROLE && opt->type != OPTION_FD && !streq(opt->name, "config");
}

static int no_such_option(const char *name, Error *err)
{
	const char *names[ARRAY_SIZE(table)], *meant;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (may_stand_in_file(&table[i]))
			names[n++] = table[i].name;
	meant = nearest(name, names, n);
	if (meant)
		return error_set(err, ERR_INVALID,
				 "there is no option \"%s\": did you mean \"%s\"?", name, meant);
	return error_set(err, ERR_INVALID, "there is no option \"%s\": see sfd --help", name);
}

static int config_line(Options *o, char *line, Error *err)
{
	char *value, *name;
	const Option *opt;
	int rc;

	line[strcspn(line, "#")] = '\0';
	value = strchr(line, '=');
	if (!*trim(line))
		return 0;
	if (!value)
		return error_set(err, ERR_INVALID, "expected \"option = value\"");
	*value++ = '\0';
	name = trim(line);
	opt = option_find(name);
	if (!opt || !may_stand_in_file(opt))
		return no_such_option(name, err);
	rc = option_set(o, opt, trim(value), err);
	return rc < 0 ? error_wrap_rc(err, rc, "%s", name) : 0;
}

static int config_read(Options *o, const char *path, bool must_exist, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	_cleanup_(strv_freep) char **lines = NULL;
	unsigned number = 0;
	int rc = fs_read(path, CONFIG_MAX, &text, NULL, err);

	if (rc == -ERR_NOT_FOUND && !must_exist)
		return error_ignore(err);
	if (rc < 0)
		return rc;
	lines = strv_split(text, '\n');
	strv_foreach (line, lines) {
		number++;
		rc = config_line(o, *line, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "%s:%u", path, number);
	}
	return 0;
}

/* ---- the command line ---- */

/* What is looked for before the file is read: which one, or that it does not matter. */
static bool comes_first(const Option *opt)
{
	return streq(opt->name, "config") || streq(opt->name, "help") ||
	       streq(opt->name, "version");
}

/* Walks argv: first for what comes first, then to `apply` the rest. */
static int command_line(Options *o, int argc, char **argv, bool apply, Error *err)
{
	struct option longs[ARRAY_SIZE(table) + 1] = { { 0 } };
	int c, index, rc;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		longs[i] = (struct option){ .name = table[i].name,
					    .has_arg = table[i].type == OPTION_FLAG
							       ? no_argument
							       : required_argument };
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "+:h", longs, &index)) != -1) {
		if (c == ':')
			return error_set(err, ERR_INVALID, "%s needs a value", argv[optind - 1]);
		if (c == 'h') {
			o->help = true;
			continue;
		}
		if (c != 0)
			return error_set(err, ERR_INVALID, "there is no option %s: see sfd --help",
					 argv[optind - 1]);
		if (apply != comes_first(&table[index])) {
			rc = option_set(o, &table[index], optarg, err);
			if (rc < 0)
				return error_wrap_rc(err, rc, "--%s", table[index].name);
		}
	}
	if (optind < argc)
		return error_set(err, ERR_INVALID, "unexpected argument \"%s\": see sfd --help",
				 argv[optind]);
	return 0;
}

int options_parse(Options *o, int argc, char **argv, Error *err)
{
	int rc = command_line(o, argc, argv, false, err);

	/* Who is told to see sfd --help sees it, whatever stands in the file. */
	if (rc == 0 && !o->help && !o->version) {
		rc = config_read(o, o->config ? o->config : DEFAULT_CONFIG, o->config != NULL, err);
		o->file_is_wrong = rc < 0;
	}
	return rc < 0 ? rc : command_line(o, argc, argv, true, err);
}

void options_help(void)
{
	char left[80];

	printf("sfd: keeps virtual machines, networks and images as their manifests say\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!table[i].help)
			continue;
		snprintf(left, sizeof(left), "--%s%s%s", table[i].name, table[i].value ? " " : "",
			 table[i].value ? table[i].value : "");
		printf("  %-44s %s\n", left, table[i].help);
	}
	printf("\nThe same names, as \"option = value\", may stand in the configuration file. See "
	       "sfd(8).\n");
}
