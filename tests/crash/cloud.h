/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cloud that dies: store in SQLite, API server and every controller in a child process, on a
 * fake clock; the drivers' side survives it (ports.h). Its parent, one thread, talks to the API
 * like any client, tells it when to look and when time passes, kills it or lets it be killed, and
 * starts the next one on what is left.
 */
#pragma once

#include <sys/types.h>

#include "tests/crash/ports.h"
#include "json/json.h"

typedef struct Cloud Cloud;

typedef struct CloudOptions {
	bool real_images;  /* the image cache and disks of driver/image, not the fakes */
	bool real_network; /* the net role; in a sandbox */
	const char *sfd;   /* what the roles are */
} CloudOptions;

/* With a directory of its own; nothing runs. */
Cloud *cloud_new(const CloudOptions *options);
Cloud *cloud_free(Cloud *c); /* kills what runs */
const Fakes *cloud_fakes(const Cloud *c);
const char *cloud_dir(const Cloud *c);
bool cloud_is_real(const Cloud *c); /* any driver is, and takes real time */

/* Starts the next process. spec: what its fail points do from its first step on (failpoint.h), or
 * NULL. True once it answers and has looked at everything once; false if it died before. */
bool cloud_start(Cloud *c, const char *spec);
/* What its fail points do from now on. */
bool cloud_arm(Cloud *c, const char *spec);
bool cloud_is_alive(const Cloud *c);
/* True if the last process once gave no answer for a minute, and had to be killed or left alone. */
bool cloud_is_stuck(const Cloud *c);
/* Ends it in order; by force, at once, between two calls of drivers. */
void cloud_stop(Cloud *c);
void cloud_kill(Cloud *c);

/* Until nothing moves; then `seconds` of its clock, one after the other. False: it died. */
bool cloud_settle(Cloud *c, unsigned seconds);
/* Much time at once. */
bool cloud_age(Cloud *c, unsigned seconds);
/* Runs a command of the child (check.c, "gc", "migrate"). False: it died. What it has to say is
 * added to *out, a line each; nothing said is good. */
bool cloud_command(Cloud *c, const char *command, StrBuf *out);

#define CLOUD_KILLED  "fail point killed " /* what failpoint.c says to standard error */
#define CLOUD_LOG_MAX ((size_t)8 << 20)
#define CLOUD_UNSENT  (-1) /* nobody was there to hear it */
/* One request: the answer's code, 0 if it was sent and there was none. *ret (may be NULL) is the
 * caller's. */
int cloud_call(Cloud *c, const char *method, const char *target, const char *body, json_t **ret);

/* What it has written to standard error since the last start; the caller's. */
char *cloud_log(const Cloud *c);
/* True if that says that the process came to its end at a fail point; that a role of it did. No
 * role that is started after that has a fail point. */
bool cloud_was_hit(const Cloud *c);
bool cloud_lost_role(const Cloud *c);
/* True if that says that an allocation failed (survive.h). */
bool cloud_lacked_memory(const Cloud *c);
/* The signal that ended the last process; 0 = none, or it runs. */
int cloud_signal(const Cloud *c);

/* All there is, under a number, and back to it; nothing may run. A real network is none then, as
 * after a start of the host. */
#define CLOUD_SAVES 2
void cloud_save(Cloud *c, unsigned i);
void cloud_restore(Cloud *c, unsigned i);

/* ---- of the child ---- */

struct World;
/* Compares every object with the drivers and the records; tells each thing that is missing, extra
 * or wrong. empty: the store began empty, and there are no bystanders. */
#define BYSTANDER    "default.still" /* an instance that no story has to do with */
#define FOREIGN      "foreign.guest" /* somebody else's, running */
#define LOST         "11111111-1111-4111-8111-111111111111" /* a guest of ours without an object */
#define LOST_NETWORK "22222222-2222-4222-8222-222222222222"
#define LOST_IMAGE   "33333333-3333-4333-8333-333333333333"
void check_all(struct World *w, const Fakes *f, bool empty, FILE *out);
/* Everything in the store and the fakes that must be the same after a second pass. */
char *check_fingerprint(struct World *w, const Fakes *f);
