/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections as somebody else: the kernel notes who connects, so only that moment needs another
 * user. Needs root.
 */
#pragma once

#include <grp.h>
#include <sys/syscall.h>

#include "tests/contract/server/fixture.h"

/* Nobody has these ids, so the server calls them "uid:N" and "unix:gid:N". */
#define USER_BASE 4200000000u

/* Only this thread becomes somebody else: the raw system call, not libc's, which changes all. */
static inline HttpClient *connect_as(const char *path, uid_t uid)
{
	gid_t groups[64];
	int n = getgroups(ARRAY_SIZE(groups), groups);
	HttpClient *c;

	assert_true(n >= 0);
	assert_int_equal(syscall(SYS_setgroups, 0, NULL), 0);
	assert_int_equal(syscall(SYS_setresgid, -1, uid, -1), 0);
	assert_int_equal(syscall(SYS_setresuid, -1, uid, -1), 0);
	c = http_connect(path);
	assert_int_equal(syscall(SYS_setresuid, -1, 0, -1), 0);
	assert_int_equal(syscall(SYS_setresgid, -1, 0, -1), 0);
	assert_int_equal(syscall(SYS_setgroups, n, groups), 0);
	return c;
}

/* One request as that user on a connection of its own. */
static inline HttpAnswer call_as(Fixture *f, uid_t uid, const char *method, const char *target,
				 const char *type, const char *body)
{
	_cleanup_(xfreep) char *headers =
		body ? xasprintf("Content-Type: %s\r\n", type ? type : "application/json") : NULL;
	HttpClient *c = connect_as(f->path, uid);
	HttpAnswer a;

	http_request(c, method, target, headers ? headers : "", body);
	a = http_read_answer(c);
	http_close(c);
	return a;
}

/* The same; expects the code, gives the body as JSON (the caller's). */
static inline json_t *expect_as(Fixture *f, uid_t uid, int expect, const char *method,
				const char *target, const char *type, const char *body)
{
	HttpAnswer a = call_as(f, uid, method, target, type, body);
	json_t *json = json_incref(a.json);

	if (a.code != expect)
		fail_msg("%s %s: %d, expected %d: %s", method, target, a.code, expect, a.body);
	http_answer_done(&a);
	return json;
}

/* A (Cluster)RoleBinding; namespace NULL = everywhere. subject is "User:name" or "Group:name". */
static inline void bind_role(Fixture *f, const char *namespace, const char *name,
			     const char *role_kind, const char *role, const char *subject)
{
	_cleanup_(xfreep) char *kind = xstrndup(subject, strcspn(subject, ":"));
	_cleanup_(xfreep) char *body = xasprintf(
		"{\"metadata\":{\"name\":\"%s\"},\"roleRef\":{\"kind\":\"%s\",\"name\":\"%s\"},"
		"\"subjects\":[{\"kind\":\"%s\",\"name\":\"%s\"}]}",
		name, role_kind, role, kind, subject + strlen(kind) + 1);
	_cleanup_(xfreep) char *path =
		namespace ? xasprintf("/apis/rbac.authorization.k8s.io/v1/namespaces/%s/"
				      "rolebindings",
				      namespace)
			  : xstrdup("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings");

	call_done(f, 201, "POST", path, NULL, body);
}
