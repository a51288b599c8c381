/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication: identities, and who the kernel says is calling. See authn_proof.c for tokens and
 * certificates.
 *
 * On a Unix socket the kernel noted it at connect(2). Decided by user and group ids only; /proc is
 * never asked about a PID, which may be somebody else's by now. Names from the user database that
 * could be mistaken for ours ("system:...") are not believed. Any thread.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
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

/* The peer's groups, its primary one first; at most PEER_GROUPS_MAX. Caller frees. */
static gid_t *peer_groups(int fd, const struct ucred *cred, size_t *ret_n)
{
	socklen_t len = 0;
	gid_t *groups;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		len = 0;
	groups = xmalloc(len + sizeof(gid_t));
	groups[0] = cred->gid;
	if (len && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &len) < 0)
		len = 0;
	*ret_n = MIN(1 + len / sizeof(gid_t), (size_t)PEER_GROUPS_MAX);
	return groups;
}

static bool is_admin(const Server *s, const struct ucred *cred, const gid_t *groups, size_t n)
{
	if (cred->uid == 0 || cred->uid == s->uid)
		return true;
	for (size_t i = 0; i < n; i++)
		if (groups[i] == s->options.admin_gid && groups[i] != (gid_t)-1)
			return true;
	return false;
}

static char *user_name(uid_t uid)
{
	struct passwd pwd, *found = NULL;
	char text[2048];

	if (uid == 0)
		return xstrdup("root");
	if (getpwuid_r(uid, &pwd, text, sizeof(text), &found) == 0 && found && *found->pw_name &&
	    !str_has_prefix(found->pw_name, "system:") && !streq(found->pw_name, "root"))
		return xstrdup(found->pw_name);
	return xasprintf("uid:%u", uid);
}

/* No group of /etc/group has a colon in its name: "unix:gid:7" is nobody's. */
static char **group_names(const gid_t *groups, size_t n)
{
	char **names = NULL;

	for (size_t i = 0; i < n; i++) {
		_cleanup_(xfreep) char *name = NULL;
		struct group grp, *found = NULL;
		char text[4096];

		if (getgrgid_r(groups[i], &grp, text, sizeof(text), &found) == 0 && found)
			name = xasprintf("unix:%s", found->gr_name);
		else
			name = xasprintf("unix:gid:%u", groups[i]);
		if (!strv_contains(names, name))
			names = strv_append(names, name);
	}
	return names;
}

Identity *identity_from_socket(Server *s, int fd)
{
	static char masters[] = GROUP_MASTERS;
	char *const admin_groups[] = { masters, NULL };
	_cleanup_(xfreep) char *name = NULL;
	_cleanup_(xfreep) gid_t *gids = NULL;
	_cleanup_(strv_freep) char **groups = NULL;
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;
	Identity *who;
	bool admin;
	size_t n;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return identity_new(IDENTITY_ANONYMOUS, USER_ANONYMOUS, NULL, NULL);
	gids = peer_groups(fd, &cred, &n);
	admin = is_admin(s, &cred, gids, n);
	name = user_name(cred.uid);
	/* Those who may do everything are not looked up in a directory that may be far away. */
	if (!admin)
		groups = group_names(gids, n);
	who = identity_new(IDENTITY_UNIX, name, admin ? admin_groups : groups, NULL);
	who->uid = cred.uid;
	return who;
}
