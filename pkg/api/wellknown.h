/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What metadata says by names of ours that more than one part of the program reads or writes. What
 * is here is seen and kept by clients: it never changes.
 */
#pragma once

/* Of instances, networks and images: the reconcilers take it off when what was made for them has
 * gone. */
#define FINALIZER_TEARDOWN "shakenfist.io/teardown"
/* The last power request, as the subresource wrote it and the status answers it: JSON. */
#define ANNOTATION_POWER "shakenfist.io/power-request"
/* Of the node: what a person asks to be collected, {"id": "...", "uids": ["...", ...]}. */
#define ANNOTATION_COLLECT "shakenfist.io/collect-request"
