/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl edit: one object in an editor. What was changed is sent as a merge patch; what the server
 * refuses comes back into the editor with its errors on top, so that no typing is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "sfctl.h"
#include "table.h"
#include "yaml/yaml.h"
#include "json/json.h"

extern char **environ;

static const char intro[] =
	"# Change what you like, save and leave the editor. Lines that start with # are ignored;\n"
	"# an empty file changes nothing.\n";

typedef struct Edit {
	Cli *cli;
	const Target *target;
	char *name; /* "instance.shakenfist.io/web-1" */
	char *file;
	json_t *original; /* as it was shown */
} Edit;

/* ---- the editor --------------------------------------------------------------------------- */

static const char *find_editor(void)
{
	static const char *const names[] = { "SFCTL_EDITOR", "VISUAL", "EDITOR" };
	const char *editor;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		editor = getenv(names[i]);
		if (!str_is_empty(editor))
			return editor;
	}
	return "vi";
}

/* $EDITOR may carry options ("code --wait"). It needs our terminal, group and environment. */
static int run_editor(const char *file, Error *err)
{
	const char *editor = find_editor();
	_cleanup_(strv_freep) char **words = strv_split(editor, ' ');
	_cleanup_(strv_freep) char **argv = NULL;
	int rc, status;
	pid_t pid;

	strv_foreach (w, words)
		if (**w)
			argv = strv_append(argv, *w);
	argv = strv_append(argv, file);
	rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (rc != 0)
		return error_set(err, ERR_CANCELED, "start the editor '%s' (set EDITOR): %s",
				 editor, strerror(rc));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_set_errno(err, errno, "wait for the editor");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(err, ERR_CANCELED, "the editor '%s' failed; nothing was changed",
				 editor);
	return 0;
}

static int make_file(char **ret, Error *err)
{
	const char *dir = getenv("TMPDIR");
	char *path = xasprintf("%s/sfctl-edit-XXXXXX.yaml", str_is_empty(dir) ? "/tmp" : dir);
	int fd = mkostemps(path, (int)strlen(".yaml"), O_CLOEXEC), rc;

	if (fd < 0) {
		rc = error_set_errno(err, errno, "make %s", path);
		free(path);
		return rc;
	}
	close(fd);
	*ret = path;
	return 0;
}

static int write_file(const Edit *e, const char *body, const char *errors, Error *err)
{
	_cleanup_(fd_closep) int fd = open(e->file, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_(strv_freep) char **lines = errors ? strv_split(errors, '\n') : NULL;
	_cleanup_(strbuf_done) StrBuf text = STRBUF_INIT;

	if (fd < 0)
		return error_set_errno(err, errno, "%s", e->file);
	strbuf_adds(&text, intro);
	if (lines)
		strbuf_adds(&text, "#\n# It was not accepted:\n");
	strv_foreach (l, lines) {
		_cleanup_(xfreep) char *safe = text_escape(*l);

		strbuf_addf(&text, "#   %s\n", safe);
	}
	strbuf_addf(&text, "#\n%s", body);
	return fs_write_all(fd, strbuf_str(&text), text.len, err);
}

/* The text without our comments on top. */
static const char *skip_comments(const char *text)
{
	while (*text == '#') {
		const char *end = strchr(text, '\n');

		text = end ? end + 1 : text + strlen(text);
	}
	return text;
}

/* ---- what came out of it ------------------------------------------------------------------ */

static bool same_identity(const json_t *a, const json_t *b)
{
	static const char *const paths[] = { "apiVersion", "kind", "metadata.name",
					     "metadata.namespace" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (!streq_ptr(json_string_at(a, paths[i]), json_string_at(b, paths[i])))
			return false;
	return true;
}

/* *ret_patch stays NULL if nothing was changed. */
static int read_changes(const Edit *e, const char *text, json_t **ret_patch, Error *err)
{
	_cleanup_(yaml_docs_freep) YamlDocs *docs = NULL;
	const json_t *tree;
	int rc;

	rc = yaml_parse(text, strlen(text), "your text", &docs, err);
	if (rc < 0)
		return rc;
	if (docs->n == 0)
		return 0;
	if (docs->n > 1)
		return error_set(err, ERR_INVALID, "one document, please: there are %zu", docs->n);
	tree = yaml_doc_tree(docs->docs[0]);
	if (!same_identity(tree, e->original))
		return error_set(err, ERR_INVALID,
				 "apiVersion, kind, name and namespace cannot be edited");
	*ret_patch = merge_diff(e->original, tree);
	return 0;
}

static int send_patch(const Edit *e, const json_t *patch, Error *err)
{
	_cleanup_(xfreep) char *base =
		resource_path(e->target->resource, e->target->namespace, e->target->name, NULL);
	_cleanup_(strbuf_done) StrBuf path = STRBUF_INIT;
	json_t *answer = NULL;
	int rc;

	strbuf_adds(&path, base);
	path_add_query(&path, "fieldManager", FIELD_MANAGER "-edit");
	path_add_query(&path, "fieldValidation", "Strict");
	rc = cli_call(e->cli,
		      &(ClientRequest){ .method = "PATCH",
					.path = strbuf_str(&path),
					.content_type = TYPE_MERGE_PATCH,
					.body = patch },
		      &answer, err);
	json_decref(answer);
	return rc;
}

/* What the server said, one line per cause. */
static char *error_lines(const Edit *e, const Error *err)
{
	const json_t *status = e->cli->client ? client_status(e->cli->client) : NULL, *cause;
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	size_t i;

	json_array_foreach (json_at(status, "details.causes"), i, cause) {
		const char *field = json_string_at(cause, "field");
		const char *message = json_string_at(cause, "message");

		strbuf_addf(&b, "%s%s%s%s", b.len ? "\n" : "", field ? field : "",
			    field ? ": " : "", message ? message : "");
	}
	if (!b.len)
		strbuf_adds(&b, error_message(err));
	return strbuf_take(&b);
}

/* 1 = done, 0 = edit again (text and *errors hold what), negative = give up. */
static int try_once(Edit *e, char **text, char **errors, Error *err)
{
	json_t *patch = NULL;
	int rc;

	free(*text);
	*text = NULL;
	rc = run_editor(e->file, err);
	if (rc == 0)
		rc = fs_read(e->file, YAML_BYTES_MAX, text, NULL, err);
	if (rc < 0)
		return rc;
	rc = read_changes(e, *text, &patch, err); /* whole: lines are counted as they are seen */
	if (rc == 0 && !patch) {
		fprintf(e->cli->out, "%s unchanged\n", e->name);
		return 1;
	}
	if (rc == 0)
		rc = send_patch(e, patch, err);
	json_decref(patch);
	if (rc == 0) {
		fprintf(e->cli->out, "%s edited\n", e->name);
		return 1;
	}
	if (rc != -ERR_INVALID && rc != -ERR_CONFLICT && rc != -ERR_UNSUPPORTED)
		return rc;
	free(*errors);
	*errors = error_lines(e, err);
	return 0;
}

/* *ret_kept: the file holds something that was typed and not stored. */
static int edit_loop(Edit *e, bool *ret_kept, Error *err)
{
	_cleanup_(strbuf_done) StrBuf body = STRBUF_INIT;
	_cleanup_(xfreep) char *text = NULL, *errors = NULL, *before = NULL;
	int rc;

	yaml_emit(e->original, &body);
	rc = write_file(e, strbuf_str(&body), NULL, err);
	while (rc == 0) {
		rc = try_once(e, &text, &errors, err);
		if (rc == 1)
			return 0;
		*ret_kept = text != NULL;
		/* Saved as it was refused: the person gives up, and the text is kept. */
		if (rc == 0 && streq_ptr(before, skip_comments(text)))
			return error_set(err, ERR_INVALID, "%s\nyour text is kept in %s", errors,
					 e->file);
		if (rc < 0)
			return text ? error_wrap_rc(err, rc, "your text is kept in %s", e->file)
				    : rc;
		free(before);
		before = xstrdup(skip_comments(text));
		error_done(err);
		rc = write_file(e, before, errors, err);
	}
	return rc;
}

static int edit_target(Cli *cli, const Target *t, Error *err)
{
	_cleanup_(xfreep) char *path = resource_path(t->resource, t->namespace, t->name, NULL);
	Edit e = { .cli = cli, .target = t };
	json_t *object = NULL;
	bool kept = false;
	int rc;

	rc = cli_get(cli, path, &object, err);
	if (rc < 0) {
		json_decref(object);
		return rc;
	}
	strip_managed_fields(object);
	json_object_del(object, "status"); /* the server's; a patch of it would be ignored */
	e.original = object;
	e.name = resource_object_name(t->resource, t->name);
	rc = make_file(&e.file, err);
	if (rc == 0)
		rc = edit_loop(&e, &kept, err);
	if (e.file && (rc == 0 || !kept))
		unlink(e.file);
	json_decref(object);
	free(e.name);
	free(e.file);
	return rc;
}

static int run(Cli *cli, const void *values _unused_, const Parsed *parsed, Error *err)
{
	Targets targets = { 0 };
	int rc;

	rc = targets_parse(cli, parsed->args, &targets, err);
	if (rc == 0 && (targets.n != 1 || !targets.items[0].name))
		rc = (int)cli_usage(cli, "edit: one KIND NAME, or KIND/NAME");
	if (rc == 0)
		rc = edit_target(cli, &targets.items[0], err);
	targets_done(&targets);
	return rc;
}

const Verb verb_edit = {
	.name = "edit",
	.synopsis = "KIND NAME | KIND/NAME",
	.summary = "change one object in your editor",
	.details = "Uses $SFCTL_EDITOR, $VISUAL or $EDITOR, else vi.\n",
	.completes = "kind name",
	.run = run,
};
