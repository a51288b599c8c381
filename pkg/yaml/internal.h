/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of pkg/yaml share. Private.
 */
#pragma once

#include "yaml/yaml.h"

/* Size, UTF-8, control characters, directives: errors with "name:line:column". */
int yaml_check_bytes(const char *text, size_t len, const char *name, Error *err);
/*
 * A scalar's value by the YAML 1.2 core schema: plain null, booleans, integers of 64 bits, floats;
 * everything else and everything quoted is a string. -ERR_INVALID for NUL characters and for
 * numbers that would lose digits.
 */
int yaml_scalar(const char *text, size_t len, bool plain, json_t **ret, Error *err);
/* How to mend what libfyaml complains about in these words; NULL if nothing can be said. */
const char *yaml_syntax_hint(const char *complaint);
/* True if a plain scalar of this text would not be read back as this string, by YAML 1.1 or 1.2
 * readers. */
bool yaml_needs_quotes(const char *text);
/* True if text has a character that cannot stand as it is in a line: newlines included. */
bool yaml_is_unprintable(const char *text);
