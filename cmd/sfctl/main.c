/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl: main. The verbs are in verbs.c, how a line becomes one of them in cli.c.
 */
#include <locale.h>
#include <signal.h>

#include "sfctl.h"

int main(int argc, char **argv)
{
	Cli cli;
	int code;

	/* Widths of text need a character set; whatever the language, it is UTF-8. */
	if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_DFL); /* `sfctl get | head` ends quietly */
	cli_init(&cli, stdout, stderr);
	code = cli_main(&cli, sfctl_verbs, argc, argv);
	cli_done(&cli);
	/* What a verb itself has flushed and could not write is lost as well. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_OK) {
		fputs("error: standard output could not be written\n", stderr);
		code = EXIT_FAILED;
	}
	return code;
}
