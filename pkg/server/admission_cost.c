/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a write costs whoever runs, said before or as it happens: a change that waits for the
 * guest's restart is answered with a Warning, which kubectl prints, in a dry run (`kubectl diff`)
 * as in the write itself. HTTP threads.
 */
#include "api/change.h"
#include "server/internal.h"
#include "server/reply.h"
#include "server/write.h"

#define WARNINGS_MAX 20

void admission_tell_costs(Request *r, const json_t *old_tree, const json_t *tree)
{
	FieldChanges changes;
	ChangeObserved seen;
	size_t told = 0;

	change_observe(old_tree, &seen);
	seen.accepted = true; /* else this would not be asked */
	changes_find(r->kind, old_tree, tree, &seen, &changes);
	for (size_t i = 0; i < changes.n && told < WARNINGS_MAX; i++) {
		_cleanup_(xfreep) char *text = change_sentence(&changes.items[i]);

		if (changes.items[i].cost < COST_RESTART)
			continue;
		reply_warning(r, text);
		told++;
	}
	changes_done(&changes);
}
