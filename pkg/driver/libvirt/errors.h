/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvirt's errors as ours. Any thread.
 */
#pragma once

#include <libvirt/virterror.h>

#include "base/error.h"

/* From this thread's last libvirt error; "text: libvirt's text". Returns the negative code. */
int libvirt_error(Error *err, const char *fmt, ...) _printf_(2, 3);
/* The code alone; code and domain as libvirt gives them. */
ErrorCode libvirt_error_code(int code, int domain);
/*
 * QEMU's own words where a message of libvirt's quotes them after QEMU's time, else all of it. The
 * time would make each try an error of its own, and the words before it change with how far QEMU
 * came.
 */
const char *libvirt_error_text(const char *message);
/* libvirt's code of this thread's last error, VIR_ERR_OK if none. */
int libvirt_last_code(void);
/* Once per process: libvirt prints nothing by itself. */
void libvirt_errors_silence(void);
