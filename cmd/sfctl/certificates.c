/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sfctl certificates: who has a certificate or token for this sfd, until when, and an end to it.
 */
#include "api/condition.h"
#include "credential.h"
#include "table.h"
#include "json/json.h"

typedef struct CertificatesOptions {
	const char *output;
	int64_t ttl;
	bool revoke;
} CertificatesOptions;

static const Option options[] = {
	OPTION('o', "output", STRING, CertificatesOptions, output, "FORMAT",
	       "of list: yaml, json, name or jsonpath=TEMPLATE; of renew: the file to write"),
	OPTION(0, "ttl", DURATION, CertificatesOptions, ttl, "DURATION",
	       "of renew: how long the new one is valid; else as long as the old one"),
	OPTION(0, "revoke", FLAG, CertificatesOptions, revoke, NULL,
	       "of renew: revoke the old one when the new one is written"),
	OPTIONS_END
};

/* ---- list ---- */

static char *groups_text(const json_t *object)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const json_t *group;
	size_t i;

	json_array_foreach (json_at(object, "spec.groups"), i, group)
		strbuf_addf(&b, "%s%s", i ? "," : "", json_string_value(group));
	return xstrdup(b.len ? strbuf_str(&b) : "<none>");
}

static const char *kind_of(const json_t *object)
{
	return json_string_at(object, "spec.tokenHash") ? "Token" : "Certificate";
}

/* Why it is of no use, or until when it is. */
static const char *expires_text(const json_t *object)
{
	const json_t *status = json_object_get(object, "status");
	const char *at = json_string_at(status, "expirationTime");
	const json_t *issued = condition_find(status, "Issued");

	if (condition_is_true(status, "Expired"))
		return "Expired";
	if (issued && !condition_is_true(status, "Issued"))
		return json_string_at(issued, "reason");
	return at ? at : "<pending>";
}

static int list(Cli *cli, const CertificatesOptions *o, Error *err)
{
	static const char *const columns[] = {
		"Name", "User", "Groups", "Kind", "Expires", "Serial"
	};
	_cleanup_(table_freep) Table *table = table_new();
	_cleanup_(json_decrefp) json_t *all = NULL;
	const json_t *object;
	const char *template, *serial;
	OutputFormat format;
	size_t i;
	int rc = output_parse(o->output, &format, &template, err);

	if (rc == 0)
		rc = cli_list(cli, CREDENTIALS, NULL, &all, err);
	if (rc < 0)
		return rc;
	if (format != OUTPUT_TABLE && format != OUTPUT_WIDE && format != OUTPUT_NAME)
		return output_tree(cli, format, template, all, err);
	for (i = 0; i < ARRAY_SIZE(columns); i++)
		table_column(table, columns[i]);
	json_array_foreach (json_object_get(all, "items"), i, object) {
		_cleanup_(xfreep) char *groups = groups_text(object);

		if (format == OUTPUT_NAME) {
			fprintf(cli->out, "credential.shakenfist.io/%s\n",
				json_string_at(object, "metadata.name"));
			continue;
		}
		serial = json_string_at(object, "status.serialNumber");
		table_cell(table, json_string_at(object, "metadata.name"));
		table_cell(table, json_string_at(object, "spec.user"));
		table_cell(table, groups);
		table_cell(table, kind_of(object));
		table_cell(table, expires_text(object));
		table_cell(table, serial ? serial : "<none>");
		table_end_row(table);
	}
	if (format != OUTPUT_NAME && table_rows(table))
		table_print(table, cli->out, true, cli->color, "");
	else if (format != OUTPUT_NAME)
		fputs("No credentials found.\n", cli->err);
	return EXIT_OK;
}

/* ---- the others ---- */

static int print_ca(Cli *cli, Error *err)
{
	_cleanup_(xfreep) char *server = NULL, *ca = NULL;
	int rc = cluster_info(cli, &server, &ca, err);

	if (rc == 0)
		fputs(ca, cli->out);
	return rc;
}

static char *path_of(const char *name)
{
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;

	strbuf_adds(&b, CREDENTIALS "/");
	url_encode(&b, name);
	return strbuf_take(&b);
}

/* As "list -o name" prints them, too. */
static const char *bare_name(const char *name)
{
	static const char *const prefixes[] = { "credential.shakenfist.io/", "credential/" };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (str_has_prefix(name, prefixes[i]))
			return name + strlen(prefixes[i]);
	return name;
}

static int revoke_one(Cli *cli, const char *name, Error *err)
{
	_cleanup_(xfreep) char *path = path_of(name), *safe = text_escape(name);
	int rc = name_check(name, err);

	if (rc == 0)
		rc = cli_call(cli, &(ClientRequest){ .method = "DELETE", .path = path }, NULL, err);
	if (rc == 0)
		fprintf(cli->err, "credential %s revoked\n", safe);
	return rc;
}

static int revoke_all(Cli *cli, char *const *names, Error *err)
{
	int code = EXIT_OK;

	strv_foreach (name, names) {
		int rc = revoke_one(cli, bare_name(*name), err);

		if (rc < 0)
			exit_code_merge(&code, (int)cli_report(cli, rc, err));
	}
	return code;
}

/* As long as the one before was meant to be valid. */
static int64_t life_of(const json_t *object)
{
	int64_t seconds = json_integer_at(object, "spec.expirationSeconds", 0);
	const char *from = json_string_at(object, "metadata.creationTimestamp");
	const char *to = json_string_at(object, "status.expirationTime");
	usec_t a, b;

	if (seconds > 0)
		return seconds * (int64_t)USEC_PER_SEC;
	if (from && to && timestamp_parse(from, &a) == 0 && timestamp_parse(to, &b) == 0 && b > a)
		return (int64_t)(b - a);
	return (int64_t)(365 * 24 * USEC_PER_HOUR);
}

static int renew(Cli *cli, const CertificatesOptions *o, const char *name, Error *err)
{
	_cleanup_(xfreep) char *path = path_of(name);
	_cleanup_(json_decrefp) json_t *old = NULL;
	_cleanup_(strv_freep) char **groups = NULL;
	CredentialWish wish = { .output = o->output, .namespace = cli->global.namespace };
	const json_t *group;
	size_t i;
	int rc = name_check(name, err);

	if (rc == 0)
		rc = cli_get(cli, path, &old, err);
	if (rc < 0)
		return rc;
	json_array_foreach (json_at(old, "spec.groups"), i, group)
		groups = strv_append(groups, json_string_value(group));
	wish.user = json_string_at(old, "spec.user");
	wish.groups = groups;
	wish.token = json_string_at(old, "spec.tokenHash") != NULL;
	wish.ttl = o->ttl > 0 ? o->ttl : life_of(old);
	rc = credential_write(cli, &wish, NULL, err);
	return rc < 0 || !o->revoke ? rc : revoke_one(cli, name, err);
}

static int run(Cli *cli, const void *values, const Parsed *parsed, Error *err)
{
	const CertificatesOptions *o = values;
	const char *what = parsed->args[0] ? parsed->args[0] : "list";
	size_t n = strv_len(parsed->args);

	if (streq(what, "list") && n <= 1)
		return list(cli, o, err);
	if (streq(what, "ca") && n == 1)
		return print_ca(cli, err);
	if (streq(what, "revoke") && n > 1)
		return revoke_all(cli, parsed->args + 1, err);
	if (streq(what, "renew") && n == 2)
		return renew(cli, o, bare_name(parsed->args[1]), err);
	return (int)cli_usage(cli, "certificates: say list, ca, renew NAME or revoke NAME...");
}

const Verb verb_certificates = {
	.name = "certificates",
	.synopsis = "[list | ca | renew NAME | revoke NAME...]",
	.summary = "list and revoke client certificates and tokens",
	.details = "  sfctl certificates                     who has one, and until when\n"
		   "  sfctl certificates ca > sfd-ca.crt     the CA that signs them\n"
		   "  sfctl certificates renew alice-x7k2p   a new kubeconfig for the same user\n"
		   "  sfctl certificates revoke alice-x7k2p  at once; its connections are cut\n",
	.options = options,
	.options_size = sizeof(CertificatesOptions),
	.completes = "certificates",
	.run = run,
};
