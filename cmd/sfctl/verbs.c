/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verb table, in the order of the help: the most used first. Apart from main.c, so that tests
 * can run whole command lines in process.
 */
#include "sfctl.h"

/* verb_complete is what the completion scripts call; it has no summary and is not listed. */
const Verb *const sfctl_verbs[] = {
	&verb_apply,      &verb_diff,         &verb_get,      &verb_describe, &verb_delete,
	&verb_wait,       &verb_explain,      &verb_events,   &verb_logs,     &verb_console,
	&verb_ssh,        &verb_port_forward, &verb_start,    &verb_stop,     &verb_restart,
	&verb_pause,      &verb_resume,       &verb_label,    &verb_annotate, &verb_edit,
	&verb_kubeconfig, &verb_certificates, &verb_gc,       &verb_auth,     &verb_api_resources,
	&verb_version,    &verb_completion,   &verb_complete, NULL,
};
