/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reasons: from an event's word to its catalog id. See reasons.h. Pure.
 */
#include "controller/reasons.h"

const char *reason_message_id(const char *reason)
{
	static const struct {
		const char *reason, *id;
	} table[] = {
#define ROW(constant, word, message_id) { word, message_id },
		REASONS(ROW)
#undef ROW
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (streq(table[i].reason, reason))
			return table[i].id;
	return NULL;
}
