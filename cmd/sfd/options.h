/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfd's options: defaults, then the configuration file, then the command line. The file has one
 * "option = value" a line, with the long options' names; '#' starts a comment. sfd(8) is the
 * manual. Used by main before any thread starts.
 */
#pragma once

#include "base/error.h"
#include "base/log.h"

typedef enum Role { ROLE_DAEMON, ROLE_NET, ROLE_FETCH, ROLE_CONVERT } Role;

typedef struct Options {
	Role role;
	char *config; /* NULL = DEFAULT_CONFIG, which may be absent */
	char *state_dir, *runtime_dir;
	char **listen;  /* strv of "unix:PATH", "tls:ADDR:PORT", "tcp:ADDR:PORT" */
	char **tls_san; /* further names of this host for the TLS listener's certificate */
	char *libvirt_uri, *virt_type;
	char *store; /* "sqlite", "memory" */
	char *controllers;
	char *node_name;
	char *group;       /* whose members are cluster-admin */
	char *net_socket;  /* NULL = <runtime-dir>/net.sock if something listens there, else our own
			      child */
	int net_socket_fd; /* --role=net: an inherited socket; -1 = none */
	bool image_allow_loopback, image_deny_private;
	char *image_cache_size, *image_cache_age; /* quantity; hours */
	char *image_max_size, *image_timeout;     /* quantity; seconds */
	LogLevel log_level;
	bool accept_store; /* a store that was put back is the right one now */
	bool check, version, help;
	bool file_is_wrong; /* what options_parse() did not like stands in the file */
} Options;

#define EXIT_USAGE  2
#define EXIT_CONFIG 78 /* EX_CONFIG: of no use to start again; the units do not */

#define DEFAULT_CONFIG "/etc/sfd/sfd.conf"

void options_init(Options *o);
void options_done(Options *o);
/* An error has a text that names the option or "file:line". */
int options_parse(Options *o, int argc, char **argv, Error *err);
void options_help(void);
