/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Manifests: finding and reading files. See manifest.h; what is done with the documents is in
 * document.c.
 */
#include "manifest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "manifest_internal.h"
#include "table.h"

#define FOLDER_DEPTH_MAX 32
#define FILES_MAX        10000

/* A walk through folders: the chain of those that are open, to see a loop of links. */
typedef struct Walk {
	Cli *cli;
	Manifests *m;
	int code;
	size_t depth, n_files;
	struct {
		dev_t dev;
		ino_t ino;
	} chain[FOLDER_DEPTH_MAX];
} Walk;

void manifests_done(Manifests *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->items[i].prefix);
	free(m->items);
	for (size_t i = 0; i < m->n_files; i++)
		yaml_docs_free(m->files[i]);
	free(m->files);
	*m = (Manifests){ 0 };
}

static void walk_fail(Walk *w, int rc, Error *err)
{
	_cleanup_(strv_freep) char **lines = strv_split(error_message(err), '\n');

	strv_foreach (line, lines) {
		_cleanup_(xfreep) char *safe = text_escape(*line);

		fprintf(w->cli->err, "%s\n", safe);
	}
	/* A file is no object: that it is missing is not EXIT_NOT_FOUND. */
	exit_code_merge(&w->code, rc == -ERR_NOT_FOUND ? EXIT_FAILED : exit_code_from_error(rc));
	error_done(err);
}

static int read_text(int fd, const char *name, Manifests *m, Error *err)
{
	_cleanup_(xfreep) char *text = NULL;
	YamlDocs *docs = NULL;
	size_t len = 0;
	int rc;

	rc = fs_read_fd(fd, YAML_BYTES_MAX, &text, &len, err);
	if (rc == -ERR_EXHAUSTED)
		return error_set(err, ERR_INVALID, "%s: larger than %u MiB: split the file", name,
				 YAML_BYTES_MAX / (1024 * 1024));
	if (rc < 0)
		return error_wrap_rc(err, rc, "%s", name);
	rc = yaml_parse(text, len, name, &docs, err);
	if (rc < 0)
		return rc; /* the text names file, line and column */
	GROW_ARRAY(m->files, m->n_files, m->cap_files);
	m->files[m->n_files++] = docs;
	return 0;
}

static void read_file(Walk *w, const char *path, bool named)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	/* A FIFO that nobody writes to must not hang a folder; one that was named may be waited
	 * for. */
	_cleanup_(fd_closep) int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (named ? 0 : O_NONBLOCK));
	struct stat st;
	int rc;

	if (++w->n_files > FILES_MAX)
		rc = error_set(&err, ERR_INVALID, "%s: more than %d files", path, FILES_MAX);
	else if (fd < 0 || fstat(fd, &st) < 0)
		rc = error_set_errno(&err, errno, "%s", path);
	else if (!S_ISREG(st.st_mode) && !named)
		rc = error_set(&err, ERR_INVALID, "%s: not a regular file", path);
	else
		rc = read_text(fd, path, w->m, &err);
	if (rc < 0)
		walk_fail(w, rc, &err);
}

static int wanted(const struct dirent *e)
{
	/* ".x" is hidden, "#x#" and "x~" are Emacs', and "x.swp" has no ending of ours anyway. */
	return e->d_name[0] != '.' && e->d_name[0] != '#';
}

static bool has_ending(const char *name)
{
	return str_has_suffix(name, ".yaml") || str_has_suffix(name, ".yml") ||
	       str_has_suffix(name, ".json");
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_folder(Walk *w, const char *path, const struct stat *self)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	struct dirent **entries = NULL;
	int n;

	for (size_t i = 0; i < w->depth; i++)
		if (w->chain[i].dev == self->st_dev && w->chain[i].ino == self->st_ino)
			return; /* a link back to where we came from */
	n = w->depth < FOLDER_DEPTH_MAX ? scandir(path, &entries, wanted, by_bytes) : -1;
	if (n < 0) {
		walk_fail(w,
			  error_set_errno(&err, w->depth < FOLDER_DEPTH_MAX ? errno : ELOOP, "%s",
					  path),
			  &err);
		return;
	}
	w->chain[w->depth].dev = self->st_dev;
	w->chain[w->depth++].ino = self->st_ino;
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		_cleanup_(xfreep) char *child =
			streq(path, ".") ? xstrdup(name) : xasprintf("%s/%s", path, name);
		struct stat st;

		if (stat(child, &st) < 0) {
			if (has_ending(name))
				walk_fail(w, error_set_errno(&err, errno, "%s", child), &err);
		} else if (S_ISDIR(st.st_mode)) {
			read_folder(w, child, &st);
		} else if (has_ending(name)) {
			read_file(w, child, false);
		}
		free(entries[i]);
	}
	w->depth--;
	free(entries);
}

/* What was named on the command line. */
static int not_readable(const char *path, int os_errno, Error *err)
{
	if (os_errno != ENOENT)
		return error_set_errno(err, os_errno, "%s", path);
	return error_set(err, ERR_NOT_FOUND,
			 "%s: there is no such file or folder: name one that is there, or - for "
			 "standard input",
			 path);
}

static void read_path(Walk *w, const char *path)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	size_t len = strlen(path), before = w->n_files;
	_cleanup_(xfreep) char *trimmed = NULL;
	struct stat st;
	int rc;

	if (streq(path, "-")) {
		rc = read_text(STDIN_FILENO, "<stdin>", w->m, &err);
		if (rc < 0)
			walk_fail(w, rc, &err);
		return;
	}
	while (len > 1 && path[len - 1] == '/')
		len--;
	trimmed = xstrndup(path, len);
	if (str_has_prefix(path, "http://") || str_has_prefix(path, "https://")) {
		walk_fail(w,
			  error_set(&err, ERR_INVALID,
				    "%s: is a URL; fetch it first: curl -sSf URL | sfctl … -f -",
				    path),
			  &err);
	} else if (stat(trimmed, &st) < 0) {
		walk_fail(w, not_readable(path, errno, &err), &err);
	} else if (!S_ISDIR(st.st_mode)) {
		read_file(w, trimmed, true);
	} else {
		read_folder(w, trimmed, &st);
		if (w->n_files == before && w->code == EXIT_OK)
			walk_fail(w,
				  error_set(&err, ERR_NOT_FOUND,
					    "%s: no .yaml, .yml or .json file in it", path),
				  &err);
	}
}

int manifests_load(Cli *cli, char *const *paths, Manifests *ret)
{
	Walk w = { .cli = cli, .m = ret };

	*ret = (Manifests){ 0 };
	strv_foreach (p, paths)
		read_path(&w, *p);
	for (size_t i = 0; i < ret->n_files; i++)
		for (size_t j = 0; j < ret->files[i]->n; j++)
			exit_code_merge(&w.code, documents_add(cli, ret, ret->files[i]->docs[j]));
	return w.code;
}
