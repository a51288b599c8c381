/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of text on its way into somebody else's format. Pure; any thread.
 */
#pragma once

#include "base/macro.h"

/*
 * Valid UTF-8 (shortest form, no surrogates) without control characters (C0, DEL, C1) and without
 * the code points XML 1.0 has no way to write.
 */
bool text_is_printable(const char *s);
