/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication: identities, and who the kernel says is calling. See authn_proof.c for tokens and
 * certificates.
 *
 * On a Unix socket the kernel noted it at connect(2). Decided by user and group ids only; /proc is
 * never asked about a PID, which may be somebody else's by now. See names.c for their names. Any
 * thread.
 */
#include <errno.h>
#include <sys/socket.h>

#include "server/internal.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define PEER_GROUPS_MAX 256 /* more than these of one peer give no right */

/* ---- Identity ---- */

Identity *identity_new(IdentitySource source, const char *name, char *const *groups,
		       const char *credential)
{
	const char *common =
		source == IDENTITY_ANONYMOUS ? GROUP_UNAUTHENTICATED : GROUP_AUTHENTICATED;
	Identity *i = xnew0(Identity, 1);

	i->refs = 1;
	i->source = source;
	i->uid = (uid_t)-1;
	i->name = xstrdup(name);
	i->groups = strv_copy(groups);
	if (!strv_contains(i->groups, common))
		i->groups = strv_append(i->groups, common);
	i->masters = strv_contains(i->groups, GROUP_MASTERS);
	i->credential = xstrdup(credential);
	return i;
}

Identity *identity_ref(Identity *i)
{
	if (i)
		atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
	return i;
}

Identity *identity_unref(Identity *i)
{
	if (!i || atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	free(i->credential);
	strv_free(i->groups);
	free(i->name);
	free(i);
	return NULL;
}

/* ---- Unix sockets ---- */

static bool is_admin(const Server *s, const PeerIds *ids)
{
	if (ids->uid == 0 || ids->uid == s->uid)
		return true;
	for (size_t i = 0; i < ids->n; i++)
		if (ids->gids[i] == s->options.admin_gid && ids->gids[i] != (gid_t)-1)
			return true;
	return false;
}

PeerIds *peer_ids_of(const Server *s, int fd)
{
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;
	PeerIds *ids;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return NULL;
	len = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		len = 0;
	ids = xmalloc(sizeof(*ids) + len + sizeof(gid_t));
	*ids = (PeerIds){ .uid = cred.uid };
	ids->gids[0] = cred.gid; /* the primary one first */
	if (len && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, ids->gids + 1, &len) < 0)
		len = 0;
	ids->n = MIN(1 + len / sizeof(gid_t), (size_t)PEER_GROUPS_MAX);
	ids->admin = is_admin(s, ids);
	return ids;
}

PeerIds *peer_ids_copy(const PeerIds *ids)
{
	size_t size = sizeof(*ids) + ids->n * sizeof(gid_t);

	return memcpy(xmalloc(size), ids, size);
}

Identity *identity_from_peer(const PeerIds *ids, const char *name, char *const *groups)
{
	static char masters[] = GROUP_MASTERS;
	char *const admin_groups[] = { masters, NULL };
	Identity *who = identity_new(IDENTITY_UNIX, name, ids->admin ? admin_groups : groups, NULL);

	who->uid = ids->uid;
	return who;
}
