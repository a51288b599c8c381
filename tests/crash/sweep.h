/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Call sweeps: one whole life of a cloud, in a process of its own for each call that fails in it.
 * Prints "ok|BAD KIND N" a line each, and what was wrong below. Returns the number of BAD ones.
 */
#pragma once

/*
 * kind: "driver-before", "driver-after", "driver-for-ever", "store-before", "store-after",
 * "store-for-ever": every n with n % of == part; or "lists", "events": every way they can be wrong.
 */
int sweep(const char *kind, unsigned part, unsigned of);
/* The n-th allocation fails, once and for ever, for every step-th n, while these files of YAML are
 * read and a domain's XML is written. */
int sweep_texts(char *const *files, unsigned step);
