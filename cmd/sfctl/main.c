/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl: the verb table. Everything else is in the file of the verb, or in cli.c.
 */
#include <locale.h>
#include <signal.h>

#include "sfctl.h"

/* In the order of the help. verb_complete is what the completion scripts call; it is not listed. */
static const Verb *const verbs[] = {
	&verb_apply,         &verb_diff,         &verb_get,        &verb_describe, &verb_delete,
	&verb_wait,          &verb_explain,      &verb_events,     &verb_logs,     &verb_console,
	&verb_ssh,           &verb_port_forward, &verb_start,      &verb_stop,     &verb_restart,
	&verb_pause,         &verb_resume,       &verb_label,      &verb_annotate, &verb_edit,
	&verb_api_resources, &verb_version,      &verb_completion, &verb_complete, NULL,
};

int main(int argc, char **argv)
{
	Cli cli;
	int code;

	/* Widths of text need a character set; whatever the language, it is UTF-8. */
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_DFL); /* `sfctl get | head` ends quietly */
	cli_init(&cli, stdout, stderr);
	code = cli_main(&cli, verbs, argc, argv);
	cli_done(&cli);
	if (fflush(stdout) != 0 && code == EXIT_OK) {
		perror("sfctl: write");
		code = EXIT_FAILED;
	}
	return code;
}
