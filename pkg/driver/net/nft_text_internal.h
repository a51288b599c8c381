/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the renderers share among themselves. Pure.
 */
#pragma once

#include "base/sha.h"
#include "driver/net/nft_text.h"

#define REVISION_BLANK "----------------" /* hashed in this form, then replaced */

/* The set NAME4 or NAME6 of a list's addresses; an empty one is written without `elements`. */
void nft_add_addresses(StrBuf *out, const char *name, const AddressList *l, int family);
/* What of an id is a letter, a digit or a hyphen: nft has no way to quote what is in quotes, and
 * who renders does not depend on who validated. */
void nft_add_id(StrBuf *out, const char *id);
/* Writes the hash of the text over the blank revision that starts at revision_at. */
void nft_seal(StrBuf *text, size_t revision_at, char revision[static REVISION_MAX]);
