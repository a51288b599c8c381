/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Console of which a test is the guest's side. Logs are real files in a temporary directory of
 * its own, so that following and rotation can be tried. Any thread.
 */
#pragma once

#include "driver/console.h"
#include "driver/fake/fault.h"

Console *fake_console_new(void);

/* The guest prints: to all that are attached to `domain`, and to the log of `instance_uid` (either
 * may be NULL). */
void fake_console_print(Console *c, const char *domain, const char *instance_uid, const char *text);
/* What was typed into that domain's console and not read yet: at most size - 1 bytes, NUL-ended;
 * returns their number without waiting. */
size_t fake_console_typed(Console *c, const char *domain, char *buf, size_t size);
size_t fake_console_attached(Console *c, const char *domain);
/* The guest ends: everybody attached reads end of file. */
void fake_console_end(Console *c, const char *domain);
/* The log reached its size limit: it is moved away, the next print begins a new file. */
void fake_console_rotate(Console *c, const char *instance_uid);
/* The instance is deleted, and its log with it. */
void fake_console_remove(Console *c, const char *instance_uid);
/* From now on every call fails with this code; ERR_NONE = works again. */
void fake_console_set_failure(Console *c, ErrorCode code);

/* Owns inner, not fault. */
Console *faulty_console_new(Console *inner, Fault *fault);
