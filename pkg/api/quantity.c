/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes quantities. See quantity.h. All in integers: a quantity is digits, an optional
 * fraction, and a suffix that is a factor num/den; what the fraction leaves is rounded up.
 */
#include "api/quantity.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/macro.h"

#define FRACTION_DIGITS 9
#define EXPONENT_MAX    18

typedef unsigned __int128 wide;

static const struct {
	const char *suffix;
	uint64_t num, den;
} suffixes[] = {
	{"",    1,		   1         },
	{ "n",  1,		   1000000000},
	{ "u",  1,		   1000000   },
	{ "m",  1,		   1000      },
	{ "k",  1000,                1         },
	{ "M",  1000000,             1         },
	{ "G",  1000000000,          1         },
	{ "T",  1000000000000,       1         },
	{ "P",  1000000000000000,    1         },
	{ "E",  1000000000000000000, 1         },
	{ "Ki", 1ULL << 10,          1         },
	{ "Mi", 1ULL << 20,          1         },
	{ "Gi", 1ULL << 30,          1         },
	{ "Ti", 1ULL << 40,          1         },
	{ "Pi", 1ULL << 50,          1         },
	{ "Ei", 1ULL << 60,          1         },
};

static int quantity_bad(const char *s, const char *why, Error *err)
{
	return error_set(err, ERR_INVALID,
			 "\"%.60s\" is not a quantity%s: write it like 512Mi, 1.5Gi or 20G", s,
			 why);
}

/* "e3", "E-2": a power of ten; true if s is one. */
static bool exponent_parse(const char *s, uint64_t *ret_num, uint64_t *ret_den)
{
	uint64_t power = 1;
	bool negative;
	long n;
	char *end;

	if ((*s != 'e' && *s != 'E') ||
	    (!isdigit((unsigned char)s[1]) && s[1] != '-' && s[1] != '+'))
		return false;
	n = strtol(s + 1, &end, 10);
	negative = n < 0;
	if (*end || !isdigit((unsigned char)end[-1]) || labs(n) > EXPONENT_MAX)
		return false;
	for (n = labs(n); n > 0; n--)
		power *= 10;
	*ret_num = negative ? 1 : power;
	*ret_den = negative ? power : 1;
	return true;
}

static bool suffix_parse(const char *s, uint64_t *ret_num, uint64_t *ret_den)
{
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (streq(suffixes[i].suffix, s)) {
			*ret_num = suffixes[i].num;
			*ret_den = suffixes[i].den;
			return true;
		}
	return exponent_parse(s, ret_num, ret_den);
}

/* Digits as value / 10^scale; digits past FRACTION_DIGITS only decide the rounding. Returns what
 * follows, or NULL. */
static const char *mantissa_parse(const char *s, wide *ret, uint64_t *ret_scale, bool *ret_rest)
{
	unsigned digits = 0, fraction = 0;

	*ret = 0;
	*ret_scale = 1;
	*ret_rest = false;
	for (; isdigit((unsigned char)*s); s++, digits++) {
		*ret = *ret * 10 + (unsigned)(*s - '0');
		if (*ret > UINT64_MAX)
			return NULL;
	}
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++, digits++) {
			if (fraction++ < FRACTION_DIGITS) {
				*ret = *ret * 10 + (unsigned)(*s - '0');
				*ret_scale *= 10;
			} else {
				*ret_rest |= *s != '0';
			}
		}
	return digits ? s : NULL;
}

static int parse(const char *s, bool up, uint64_t *ret, Error *err)
{
	uint64_t num, den, scale;
	wide value, divisor;
	const char *suffix;
	bool rest;

	if (*s == '-')
		return quantity_bad(s, " (it is negative)", err);
	suffix = mantissa_parse(*s == '+' ? s + 1 : s, &value, &scale, &rest);
	if (!suffix || !suffix_parse(suffix, &num, &den))
		return quantity_bad(s, "", err);
	/* value < 2^64 * 10^9 < 2^94; times 2^60 could overflow 128 bits, so the size is checked
	 * before. */
	if (value / scale > UINT64_MAX / num)
		return quantity_bad(s, " (it is too large)", err);
	divisor = (wide)scale * den;
	value = value * num + (up && rest ? 1 : 0);
	value = (value + (up ? divisor - 1 : 0)) / divisor;
	if (value > INT64_MAX)
		return quantity_bad(s, " (it is too large)", err);
	*ret = (uint64_t)value;
	return 0;
}

int quantity_parse(const char *s, uint64_t *ret, Error *err)
{
	return parse(s, true, ret, err);
}

int quantity_parse_floor(const char *s, uint64_t *ret, Error *err)
{
	return parse(s, false, ret, err);
}

int quantity_parse_json(const json_t *v, uint64_t *ret, Error *err)
{
	if (json_is_string(v))
		return quantity_parse(json_string_value(v), ret, err);
	if (!json_is_integer(v))
		return error_set(err, ERR_INVALID,
				 "not a quantity: write it like 512Mi, 1.5Gi or 20G");
	if (json_integer_value(v) < 0)
		return error_set(err, ERR_INVALID, "%lld is negative",
				 (long long)json_integer_value(v));
	*ret = (uint64_t)json_integer_value(v);
	return 0;
}

static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };

const char *quantity_format(uint64_t bytes, char buf[static QUANTITY_TEXT_MAX])
{
	size_t unit = 0;

	while (bytes && bytes % 1024 == 0 && unit + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, QUANTITY_TEXT_MAX, "%llu%s", (unsigned long long)bytes, units[unit]);
	return buf;
}

const char *quantity_round(uint64_t bytes, char buf[static QUANTITY_TEXT_MAX])
{
	uint64_t size = 1, tenths;
	size_t unit = 0;

	while (unit + 1 < ARRAY_SIZE(units) && bytes / size >= 1024) {
		size *= 1024;
		unit++;
	}
	tenths = bytes / size * 10 + (bytes % size * 10 + size - 1) / size;
	if (tenths >= 10240 && unit + 1 < ARRAY_SIZE(units)) { /* only by rounding */
		tenths = 10;
		unit++;
	}
	if (tenths % 10)
		snprintf(buf, QUANTITY_TEXT_MAX, "%llu.%llu%s", (unsigned long long)(tenths / 10),
			 (unsigned long long)(tenths % 10), units[unit]);
	else
		snprintf(buf, QUANTITY_TEXT_MAX, "%llu%s", (unsigned long long)(tenths / 10),
			 units[unit]);
	return buf;
}
