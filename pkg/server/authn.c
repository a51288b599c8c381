/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authentication on a Unix socket: who connected, as the kernel noted it at connect(2).
 *
 * Decided by user and group ids only; /proc is never asked about a PID, which may be somebody
 * else's by now. Any thread.
 */
#include <errno.h>
#include <pwd.h>
#include <sys/socket.h>

#include "server/internal.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

static bool peer_in_group(int fd, const struct ucred *cred, gid_t wanted)
{
	_cleanup_(xfreep) gid_t *groups = NULL;
	socklen_t len = 0;

	if (wanted == (gid_t)-1)
		return false;
	if (cred->gid == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE)
		return false;
	groups = xmalloc(len);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

static void user_name(uid_t uid, char *buf, size_t size)
{
	struct passwd pwd, *found = NULL;
	char text[2048];

	if (uid != 0 && getpwuid_r(uid, &pwd, text, sizeof(text), &found) == 0 && found)
		snprintf(buf, size, "%s", found->pw_name);
	else
		snprintf(buf, size, uid == 0 ? "root" : "uid:%u", uid);
}

void identity_from_socket(Server *s, int fd, Identity *ret)
{
	Identity who = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(struct ucred);
	struct ucred cred;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		snprintf(who.name, sizeof(who.name), "unknown");
		snprintf(who.reason, sizeof(who.reason), "the kernel does not say who you are");
		*ret = who;
		return;
	}
	who.uid = cred.uid;
	user_name(cred.uid, who.name, sizeof(who.name));
	who.admin = cred.uid == 0 || cred.uid == s->uid ||
		    peer_in_group(fd, &cred, s->options.admin_gid);
	if (!who.admin && s->admin_group)
		snprintf(who.reason, sizeof(who.reason),
			 "user %.64s is not in group %.32s: run \"sudo usermod -aG %.32s %.64s\" "
			 "and log in again, or use sudo",
			 who.name, s->admin_group, s->admin_group, who.name);
	else if (!who.admin)
		snprintf(who.reason, sizeof(who.reason),
			 "user %.64s may not use this socket: use sudo", who.name);
	*ret = who;
}
