/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relay: bytes both ways between a pair of descriptors and a socket, until one side ends. Any
 * thread; everything is the caller's and stays open.
 */
#pragma once

#include "base/error.h"

typedef struct RelayOptions {
	int in_fd, out_fd;   /* may be the same socket */
	int escape;          /* a byte of input that ends it; -1 = none */
	bool end_with_input; /* else the end of the input is passed on as a half-close */
} RelayOptions;

/*
 * What in_fd gives goes to sock, what sock gives to out_fd. Ends with sock, once all of it is
 * written (0), or by its options (1).
 */
int relay_run(const RelayOptions *options, int sock, Error *err);
