/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two roles of this package: separate processes of the same binary that touch what strangers
 * made. cmd/sfd calls them for `sfd --role=fetch` and `sfd --role=convert`.
 *
 * Both read one JSON object on standard input, own the directory on descriptor 3 (incoming/), and
 * write JSON objects, one a line, on standard output: any number of {"progress": {"bytes",
 * "total"}}, then {"result": {...}} or {"error": {"code", "message"}}. The exit status is 0 after a
 * result. They confine themselves (confine.h) before the first byte from outside. The fields of
 * requests and results are written at fetch.c and convert.c.
 */
#pragma once

#define ROLE_DIRECTORY_FD 3

int fetch_role_main(int argc, char **argv);
int convert_role_main(int argc, char **argv);
