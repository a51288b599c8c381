/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfd: one binary, several roles. main() reads the options and becomes one of them: the daemon
 * (service.c), the net role, or one of the two short-lived image roles. Exit codes: 0 done, 1
 * failed, 2 wrong usage, 78 (EX_CONFIG) the configuration or the store cannot be used.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "check.h"
#include "daemon/daemon.h"
#include "driver/image/roles.h"
#include "options.h"
#include "privileges.h"
#include "service.h"

static int run_role(const Options *o, int argc, char **argv)
{
	switch (o->role) {
	case ROLE_NET:
		return net_service_run(o);
	case ROLE_FETCH:
		return fetch_role_main(argc, argv);
	case ROLE_CONVERT:
		return convert_role_main(argc, argv);
	default:
		return service_run(o);
	}
}

int main(int argc, char **argv)
{
	_cleanup_(options_done) Options o;
	_cleanup_(error_done) Error err = ERROR_INIT;

	options_init(&o);
	if (options_parse(&o, argc, argv, &err) < 0) {
		fprintf(stderr, "sfd: %s\n", error_message(&err));
		return o.file_is_wrong ? EXIT_CONFIG : EXIT_USAGE;
	}
	if (o.help) {
		options_help();
		return 0;
	}
	if (o.version) {
		printf("sfd %s\n", SF_VERSION);
		return 0;
	}
	log_set_level(o.log_level);
	/* Every file gets the mode it is made with, whatever the habits of who starts us: QEMU's
	 * user must get through the directories of disks. */
	umask(0022);
	signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of its write, not our end */
	if (o.check)
		return check_host(&o);
	privileges_no_core();
	if (journal_available())
		log_set_sink(journal_sink, NULL);
	return run_role(&o, argc, argv);
}
