/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of a client of the net role. Nothing of it has been checked by anybody before.
 */
#pragma once

#include <jansson.h>

#include "driver/net/network.h"

typedef struct RequestReply {
	json_t *result; /* the caller's; may be set on failure too */
	int fd;         /* the caller's; -1 = none */
} RequestReply;

int request_serve(Networks *n, json_t *request, RequestReply *reply, Error *err);
