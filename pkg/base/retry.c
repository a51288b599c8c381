/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retry on conflict. See retry.h.
 */
#include "base/retry.h"

int retry_on_conflict(int (*attempt)(void *arg, Error *err), void *arg, Error *err)
{
	_cleanup_(error_done) Error last = ERROR_INIT;
	int rc;

	for (int i = 0; i < RETRY_ATTEMPTS; i++) {
		error_done(&last);
		rc = attempt(arg, &last);
		if (rc == RETRY_CONFLICT)
			continue;
		if (rc < 0)
			error_move(err, &last);
		return rc;
	}
	return error_set(err, ERR_CONFLICT, "somebody else changed it %d times in a row: %s",
			 RETRY_ATTEMPTS, error_message(&last));
}
