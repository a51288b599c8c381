/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cache.c (the port) and jobs.c (the thread) share. A Job is one source (URL and checksum) and
 * the way of its bytes into the cache; all Images that ask for the same source share it.
 *
 * Everything is under Cache.lock except what is marked as the thread's: a Job that runs is only
 * ever freed by the thread, so it may look at those without the lock.
 */
#pragma once

#include <pthread.h>

#include "base/strbuf.h"
#include "driver/image/cache.h"
#include "driver/image/index.h"
#include "json/json.h"

typedef enum JobStep {
	JOB_IDLE, /* `state` is the outcome of the last try */
	JOB_FETCH_QUEUED,
	JOB_FETCHING,
	JOB_CONVERT_QUEUED,
	JOB_CONVERTING,
} JobStep;

typedef struct Job {
	char name[SOURCE_NAME_MAX]; /* sha256 of the source; names its files */
	char *url, *checksum, *checksum_url;
	uint64_t max_size;
	char old_digest[IMAGE_DIGEST_MAX]; /* revalidating this content; "" = a first fetch */
	char etag[256], last_modified[64]; /* what that came with */
	JobStep step;
	ImageState state;
	unsigned failures;
	bool canceled; /* nobody wants it any more */
	usec_t rate_since;
	uint64_t rate_bytes;

	/* the thread's */
	pid_t pid;
	int pidfd, out_fd; /* -1 = none */
	StrBuf line;
	json_t *result;
	Error error;          /* the role's */
	bool expired, killed; /* by its deadline, because it was canceled */
	usec_t deadline;
	char checksum_got[CHECKSUM_TEXT_MAX], sha512_got[SHA_HEX_MAX];
} Job;

typedef struct Cache {
	ImageCache cache;
	ImageCacheOptions options;
	char *state_dir, *incoming, *program;
	int incoming_fd;

	pthread_mutex_t lock;
	pthread_cond_t gone; /* a canceled job was freed */
	Index index;
	Hashmap *jobs;  /* name -> Job */
	Hashmap *users; /* uid -> char *name of its job */
	ImageEventFn event;
	void *event_arg;

	pthread_t thread;
	int wake_fd;
	bool stop;
} Cache;

Job *image_job_new(const char *name);
Job *image_job_free(Job *j);
static inline bool job_is_running(const Job *j)
{
	return j->step != JOB_IDLE;
}

/* Removes a job's partial files. */
void job_remove_files(const Cache *c, const char *name);
/* What a job answers for content that is there. Locked. */
void job_state_ready(Job *j, const Content *content, const ContentSource *source);

/* How a role ended (outcome.c). job_publish() moves the converted file to its content address and
 * waits for the disk: without the lock. */
void job_failed(Cache *c, Job *j, Error *err);
void job_fetched(Cache *c, Job *j);
int job_publish(const Cache *c, const Job *j, Error *err);
void job_converted(Cache *c, Job *j);

void cache_wake(Cache *c);
void *cache_thread(void *arg);
