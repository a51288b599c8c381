/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table as a whole. See host.h.
 *
 * That a table is still what we loaded is seen from two things: nothing at all changed in its
 * namespace since we last looked (the generation), or else the kernel prints it as it did right
 * after we loaded it (the fingerprint, kept in a file for our successor).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/net/host.h"

static void table_recall(NftTable *t)
{
	_cleanup_(xfreep) char *text = NULL;

	if (t->revision[0] || fs_read(t->file, 4096, &text, NULL, NULL) < 0)
		return;
	if (sscanf(text, "%16[0-9a-f] %128[0-9a-f]", t->revision, t->fingerprint) != 2)
		t->revision[0] = '\0';
}

static int table_load(NftTable *t, int netns_fd, const char *text, const char *revision, Error *err)
{
	char line[REVISION_MAX + SHA_HEX_MAX + 2];
	int rc = nft_run(netns_fd, text, err);

	if (rc == 0)
		rc = nft_fingerprint(netns_fd, t->table, t->elements, t->fingerprint, err);
	if (rc < 0)
		return rc;
	snprintf(t->revision, sizeof(t->revision), "%s", revision);
	snprintf(line, sizeof(line), "%s %s\n", t->revision, t->fingerprint);
	return fs_write_atomic(t->file, line, strlen(line), 0644, false, err);
}

int nft_table_converge(NftTable *t, int netns_fd, Netlink *nfnl, const char *text,
		       const char *revision, const char *where, bool *ret_loaded, Change *c,
		       Error *err)
{
	_cleanup_(error_done) Error e = ERROR_INIT;
	char fingerprint[SHA_HEX_MAX];
	uint32_t generation = 0;
	int rc = nft_generation(nfnl, &generation, err);

	if (rc < 0)
		return rc;
	if (t->verified && t->generation == generation && streq(t->revision, revision))
		return 0;
	t->verified = false;
	table_recall(t);
	rc = nft_fingerprint(netns_fd, t->table, t->elements, fingerprint, &e);
	if (rc < 0 && rc != -ERR_NOT_FOUND)
		return error_move(err, &e);
	if (rc < 0 || !streq(t->revision, revision) || !streq(fingerprint, t->fingerprint)) {
		if (!change_add(c, "loaded nft table", where, NULL))
			return 0;
		rc = table_load(t, netns_fd, text, revision, err);
		if (rc == 0)
			rc = nft_generation(nfnl, &generation, err);
		if (rc < 0)
			return error_wrap_rc(err, rc, "load nft table %s", where);
		if (ret_loaded)
			*ret_loaded = true;
	}
	t->generation = generation;
	t->verified = true;
	return 0;
}

void nft_table_done(NftTable *t)
{
	free(t->file);
	t->file = NULL;
}
