/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relay: bytes both ways between a pair of descriptors and a socket, until one side ends. Any
 * thread; everything is the caller's and stays open.
 */
#pragma once

#include "base/error.h"

/*
 * What in_fd gives goes to sock, what sock gives to out_fd. in_fd and out_fd may be the same
 * socket. escape: a byte of input that ends it (1 is returned), -1 = none. The end of the input is
 * passed on as a half-close; the end of sock, once all of it is written, ends the relay (0).
 */
int relay_run(int in_fd, int out_fd, int sock, int escape, Error *err);
