/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seed as an ISO 9660 image, built in memory by libisofs. See iso.h.
 */
#include "driver/seed/iso.h"

#include <pthread.h>

/* Its burn_source is declared by libburn, which is not needed otherwise. */
#define LIBISOFS_WITHOUT_LIBBURN
#include <libisofs/libisofs.h>

#include "base/fs.h"
#include "base/memory.h"
#include "driver/seed/text.h"

#define VOLUME_ID "cidata"
/* 1980-01-01, the oldest date every file system knows: bytes depend on content alone. */
#define EPOCH     315532800
#define EPOCH_UID "1980010100000000"
#define BLOCK     2048
#define IMAGE_MAX (8U << 20)

typedef struct IsoSeedWriter {
	SeedWriter writer;
} IsoSeedWriter;

/* libisofs keeps state of its own in static variables. */
static pthread_mutex_t iso_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t iso_once = PTHREAD_ONCE_INIT;
static int iso_ready;

static void iso_start(void)
{
	iso_ready = iso_init();
	if (iso_ready >= 0)
		iso_set_msgs_severities("NEVER", "NEVER", "");
}

static int iso_failed(int rc, const char *what, Error *err)
{
	return error_set(err, ERR_INTERNAL, "%s: %s", what, iso_error_to_msg(rc));
}

static int add_file(IsoImage *image, const char *name, const StrBuf *content, Error *err)
{
	unsigned char *copy = xmemdup(strbuf_str(content), content->len);
	IsoStream *stream;
	IsoFile *file;
	int rc = iso_memory_stream_new(copy, content->len, &stream);

	if (rc < 0) {
		free(copy);
		return iso_failed(rc, name, err);
	}
	rc = iso_tree_add_new_file(iso_image_get_root(image), name, stream, &file);
	if (rc < 0) {
		iso_stream_unref(stream);
		return iso_failed(rc, name, err);
	}
	return 0;
}

static int add_files(IsoImage *image, const SeedConfig *c, Error *err)
{
	static const struct {
		const char *name;
		void (*write)(const SeedConfig *c, StrBuf *out);
	} files[] = {
		{"meta-data",       seed_meta_data     },
		{ "network-config", seed_network_config},
		{ "user-data",      seed_user_data     },
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(files); i++) {
		_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

		files[i].write(c, &b);
		rc = add_file(image, files[i].name, &b, err);
	}
	return rc;
}

static void set_options(IsoWriteOpts *o)
{
	iso_write_opts_set_iso_level(o, 3);
	/* The label as it is, in lower case. */
	iso_write_opts_set_relaxed_vol_atts(o, 1);
	iso_write_opts_set_rockridge(o, 1);
	iso_write_opts_set_joliet(o, 1);
	iso_write_opts_set_replace_timestamps(o, 2);
	iso_write_opts_set_default_timestamp(o, EPOCH);
	iso_write_opts_set_dir_rec_mtime(o, 7);
	iso_write_opts_set_always_gmt(o, 1);
	iso_write_opts_set_pvd_times(o, EPOCH, EPOCH, 0, EPOCH, (char *)EPOCH_UID);
	iso_write_opts_set_replace_mode(o, 2, 2, 2, 2);
	iso_write_opts_set_default_dir_mode(o, 0755);
	iso_write_opts_set_default_file_mode(o, 0644);
	iso_write_opts_set_default_uid(o, 0);
	iso_write_opts_set_default_gid(o, 0);
}

static int drain(struct burn_source *source, StrBuf *out, Error *err)
{
	unsigned char block[BLOCK];
	int n;

	while ((n = source->read_xt(source, block, sizeof(block))) > 0)
		strbuf_add(out, block, (size_t)n);
	if (n < 0 || out->overflow)
		return error_set(err, ERR_INTERNAL, "image is cut off at %zu bytes", out->len);
	return 0;
}

static int write_image(IsoImage *image, StrBuf *out, Error *err)
{
	struct burn_source *source;
	IsoWriteOpts *options;
	int rc = iso_write_opts_new(&options, 0);

	if (rc < 0)
		return iso_failed(rc, "options", err);
	set_options(options);
	rc = iso_image_create_burn_source(image, options, &source);
	iso_write_opts_free(options);
	if (rc < 0)
		return iso_failed(rc, "image", err);
	rc = drain(source, out, err);
	/* Also at the end of the image: it waits for the thread that made it. */
	source->cancel(source);
	source->free_data(source);
	free(source);
	return rc;
}

/* The whole image; the lock is held. */
static int build(const SeedConfig *c, StrBuf *out, Error *err)
{
	IsoImage *image;
	int rc;

	pthread_once(&iso_once, iso_start);
	if (iso_ready < 0)
		return iso_failed(iso_ready, "libisofs", err);
	rc = iso_image_new(VOLUME_ID, &image);
	if (rc < 0)
		return iso_failed(rc, "image", err);
	iso_image_set_volset_id(image, VOLUME_ID);
	rc = add_files(image, c, err);
	if (rc == 0)
		rc = write_image(image, out, err);
	iso_image_unref(image);
	return rc;
}

static bool is_there(const char *path, const StrBuf *image)
{
	_cleanup_(xfreep) char *old = NULL;
	size_t len;

	return fs_read(path, IMAGE_MAX, &old, &len, NULL) == 0 && len == image->len &&
	       memcmp(old, image->buf, len) == 0;
}

/* What a process that died has left beside it; one worker at a time writes for an instance. */
static void drop_temporary(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_(xfreep) char *directory =
		slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");

	fs_drop_temporary(directory);
}

static int iso_ensure(SeedWriter *self _unused_, Context *ctx, const SeedConfig *config,
		      bool *ret_changed, Error *err)
{
	_cleanup_(strbuf_done) StrBuf image = STRBUF_INIT_MAX(IMAGE_MAX);
	bool changed;
	int rc = context_check(ctx, err);

	if (rc < 0 || (rc = seed_config_validate(config, err)) < 0)
		return rc;
	pthread_mutex_lock(&iso_lock);
	rc = build(config, &image, err);
	pthread_mutex_unlock(&iso_lock);
	if (rc < 0)
		return error_wrap_rc(err, rc, "seed");
	changed = !is_there(config->path, &image);
	/* Not synced: what a power cut spoils differs, and is written again before the next start.
	 */
	if (changed)
		drop_temporary(config->path);
	if (changed)
		rc = fs_write_atomic(config->path, image.buf, image.len, 0600, false, err);
	if (rc < 0)
		return error_wrap_rc(err, rc, "seed");
	if (ret_changed)
		*ret_changed = changed;
	return 0;
}

static SeedWriter *iso_free(SeedWriter *self)
{
	free(self ? CONTAINER_OF(self, IsoSeedWriter, writer) : NULL);
	return NULL;
}

static const SeedWriterOps iso_ops = {
	.name = "iso",
	.ensure = iso_ensure,
	.free = iso_free,
};

SeedWriter *iso_seed_writer_new(void)
{
	IsoSeedWriter *w = xnew0(IsoSeedWriter, 1);

	w->writer.ops = &iso_ops;
	return &w->writer;
}
