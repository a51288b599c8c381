/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl console: this terminal as the guest's serial console. Ctrl-] ends it. Without a terminal,
 * standard input goes to the guest and what it prints comes out.
 */
#include <errno.h>
#include <signal.h>
#include <termios.h>

#include "relay.h"
#include "sfctl.h"

#define ESCAPE_BYTE 0x1d /* Ctrl-] */

/* For the signal handler: the terminal must be usable again however we end. */
static struct termios saved;
static volatile sig_atomic_t saved_valid;

static void restore_terminal(void)
{
	if (saved_valid)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	saved_valid = 0;
}

static void on_signal(int number)
{
	restore_terminal();
	signal(number, SIG_DFL);
	raise(number);
}

static int make_raw(Error *err)
{
	static const int numbers[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT };
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved) < 0)
		return error_set_errno(err, errno, "read the terminal's settings");
	raw = saved;
	cfmakeraw(&raw);
	saved_valid = 1;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		signal(numbers[i], on_signal);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return error_set_errno(err, errno, "set the terminal");
	return 0;
}

static int run(Cli *cli, const void *values _unused_, const Parsed *parsed, Error *err)
{
	_cleanup_(xfreep) char *name = NULL, *path = NULL;
	_cleanup_(fd_closep) int fd = -1;
	Context ctx = CONTEXT_BACKGROUND;
	bool terminal = isatty(STDIN_FILENO);
	const Resource *r;
	Client *client;
	int rc;

	if (!parsed->args[0])
		return (int)cli_usage(cli, "console: which instance?");
	if (parsed->args[1])
		return (int)cli_usage(cli, "console: '%s' is one word too many: one instance",
				      parsed->args[1]);
	rc = cli_instance(cli, parsed->args[0], &r, &name, err);
	if (rc == 0)
		rc = cli_client(cli, &client, err);
	if (rc < 0)
		return rc;
	path = resource_path(r, cli->namespace, name, "console");
	rc = client_upgrade(client, &ctx, path, "sfd-stream", &fd, err);
	if (rc < 0)
		return rc;
	if (terminal) {
		fprintf(cli->err, "Console of %s. Enter wakes it up, Ctrl-] ends it.\n", name);
		rc = make_raw(err);
	}
	fflush(cli->out);
	if (rc == 0)
		rc = relay_run(&(RelayOptions){ .in_fd = STDIN_FILENO,
						.out_fd = STDOUT_FILENO,
						.escape = terminal ? ESCAPE_BYTE : -1,
						.end_with_input = true },
			       fd, err);
	restore_terminal();
	if (terminal && rc >= 0)
		fprintf(cli->err,
			rc == 1 ? "\nThe guest goes on.\n" : "\nThe guest's console has ended.\n");
	return MIN(rc, 0);
}

const Verb verb_console = {
	.name = "console",
	.synopsis = "INSTANCE",
	.summary = "use an instance's serial console",
	.details = "Ctrl-] ends it; the guest goes on.\n",
	.options_size = 0,
	.completes = "instance",
	.run = run,
};
