/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both roles share: reading the request, answering in lines. One thread.
 */
#pragma once

#include "json/json.h"

#define ROLE_REQUEST_MAX (64u * 1024)
#define ROLE_LINE_MAX    (16u * 1024)

/* The request from standard input; the caller's reference. */
int role_request(json_t **ret, Error *err);
/* One line {"NAME": value}; steals value. */
void role_answer(const char *name, json_t *value);
/* Writes the error line; returns the exit status for main. */
int role_fail(const Error *err);
/* The code in an error line, ERR_INTERNAL if it is none of ours. */
ErrorCode role_error_code(const json_t *error);
