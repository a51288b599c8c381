/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs whole command lines of sfctl in process, against a scripted server or none.
 */
#pragma once

#include "cmd/sfctl/sfctl.h"
#include "tests/lib/http_fake.h"

#define NS        "/apis/shakenfist.io/v1alpha1/namespaces/default"
#define INSTANCES NS "/instances"
#define STATUS(http, reason, message) \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"reason\":\"" reason \
	"\",\"message\":\"" message "\",\"code\":" #http "}"

typedef struct Run {
	int code;
	char *out, *err, *log; /* log: of the server, NULL without one */
} Run;

/* Runs "sfctl LINE", words apart by single spaces. f NULL: where no server is. */
Run sfctl(HttpFake *f, const char *line);
void run_done(Run *r);
/* Fails the test if anything is different. */
void run_expect(const Run *r, int code, const char *out, const char *err);
/* The texts are compared as on a UTF-8 terminal, and nothing of the caller's environment counts. */
void run_prepare(void);
