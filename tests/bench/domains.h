/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guests for figures about guests: by sfctl, by hand over libvirt (the floor), by virt-install.
 *
 * The floor starts the domain that sfd made of the same manifest, with other names, from a disk
 * that it creates by qemu-img; its tap and seed are made before its time starts. One Bench for a
 * process; libvirt's events come on a thread of their own, all functions may be called from any.
 */
#pragma once

#include "bench.h"

typedef struct DomainBench {
	const char *sfctl, *directory; /* on sfd's file system */
	char *manifest;                /* an Instance whose name is written NAME */
	char *xml, *image;             /* of the floor, with marks in it; the cached image */
} DomainBench;

void domain_bench_init(DomainBench *b, const char *sfctl, const char *manifest,
		       const char *directory);
void domain_bench_done(DomainBench *b);
/* Reads the domain of the Instance of that name, which runs. */
void domain_bench_learn(DomainBench *b, const char *name);

/* Makes floor `i` a place, a seed and a tap "benchtap<i>", which are kept; once each. */
void floor_prepare(const DomainBench *b, unsigned i);
/* qemu-img create, define, start. */
void floor_start(const DomainBench *b, unsigned i);
char *floor_name(unsigned i);
char *floor_console(const DomainBench *b, unsigned i);
void floor_remove(const DomainBench *b, unsigned i);

/* Applies these Instances; ends when sfctl does. */
void instances_apply(const DomainBench *b, const char *const *names, size_t n);
/* Until they are gone. */
void instances_delete(const DomainBench *b, const char *const *names, size_t n);
/* Where the guest of that Instance, which has a domain, writes its console. */
char *instance_console(const char *name);

/* virt-install --import beside what floor_prepare() made; ends when it does. Its interface is on
 * the bridge benchbr0. */
void virt_install_start(const DomainBench *b, unsigned i);
char *virt_install_name(unsigned i);
void virt_install_remove(const DomainBench *b, unsigned i);

/* Forgets who has started. */
void domains_forget(void);
/* When that domain started, as libvirt told; waits for it. */
usec_t domain_wait_started(const char *name);
/* The same for the last of them. */
usec_t domains_wait_started(char *const *names, size_t n);
