/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that outlives a process: the fakes that stand for libvirt, the kernel and the disks live
 * in it, so that a process forked later finds the world as one that was killed has left it.
 *
 * It is shared between a parent and the children it forks without exec, at one address in all of
 * them. This program replaces malloc(): a thread that is inside (between enter and leave) takes
 * its memory from there, and nothing is ever given back. One lock goes with it; it is held while
 * somebody is inside, and whoever ends a process takes it first, so that nothing is ever cut in
 * half. The same malloc() can fail on purpose.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Once per process that is to be a parent. */
void survive_init(void);
void survive_enter(void);
void survive_leave(void);
/* What a function of a fake returns, called inside. */
#define INSIDE(call) \
	({ \
		__typeof__(call) _rc; \
		survive_enter(); \
		_rc = (call); \
		survive_leave(); \
		_rc; \
	})
/* Inside a callback out of a fake: memory is the process's own again. */
bool survive_suspend(void);
void survive_resume(bool was_inside);
/* Before this process or a child of it is killed; the next child's survive_begin() undoes it. */
void survive_hold(void);
/* The same for a thread that may be inside already. */
void survive_hold_once(void);
/* In a new child, or in the parent while there is none. */
void survive_begin(void);

/* A copy of everything, and back. The copy is the caller's to free. */
void *survive_save(size_t *ret_n);
void survive_restore(const void *copy, size_t n);

/* ---- failing allocations ---- */

/* What the first one that fails writes to standard error. */
#define ALLOCATION_FAILED "an allocation failed, as it was told to"
/* From now on the n-th allocation of this process fails, for_ever: all later ones too; 0 = none.
 * Counts begin anew. */
void allocations_fail(unsigned long n, bool for_ever);
unsigned long allocations_counted(void);
