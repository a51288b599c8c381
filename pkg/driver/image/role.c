/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and answers of the roles. See role.h.
 */
#include "driver/image/role.h"

#include "base/fs.h"
#include "base/memory.h"

int role_request(json_t **ret, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	size_t len;
	int rc = fs_read_fd(STDIN_FILENO, ROLE_REQUEST_MAX, &text, &len, err);

	if (rc == 0)
		rc = json_decode(text, len, ret, err);
	return rc < 0 ? error_wrap_rc(err, rc, "request") : 0;
}

void role_answer(const char *name, json_t *value)
{
	json_t *line = json_object();
	_cleanup_(xfreep) char *text = NULL;
	size_t n;

	json_object_set_new(line, name, value);
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	assert(text);
	n = strlen(text);
	text[n] = '\n'; /* in place of the NUL: one write, one line */
	(void)fs_write_all(STDOUT_FILENO, text, n + 1, NULL);
}

int role_fail(const Error *err)
{
	json_t *message = json_string(error_message(err));

	/* What a server says need not be UTF-8. */
	if (!message)
		message = json_string("the error text is not UTF-8");
	role_answer("error", json_pack("{s:s, s:o}", "code", error_code_to_string((int)err->code),
				       "message", message));
	return 1;
}

ErrorCode role_error_code(const json_t *error)
{
	const char *name = json_string_at(error, "code");

	for (int c = 1; name && c < _ERR_MAX; c++)
		if (streq(name, error_code_to_string(c)))
			return (ErrorCode)c;
	return ERR_INTERNAL;
}
