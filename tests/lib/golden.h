/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Golden files: what a test made, compared with a file that is kept. UPDATE_GOLDEN=1
 * (hack/update-golden) writes the files instead: read the difference before committing it. Paths
 * are relative to the top of the tree, where tests run.
 */
#pragma once

#include <stddef.h>

/* Fails the running test with the first line that differs. */
void golden_compare(const char *path, const char *text, size_t len);
