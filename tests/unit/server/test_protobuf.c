/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protobuf bodies: what kubectl 1.35 and helm 4 really send, what client-go makes of the other
 * kinds, and what is refused, in words. Hexadecimal, so that it can be compared with a capture.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/strbuf.h"
#include "server/protobuf.h"
#include "json/json.h"

typedef struct Good {
	const char *name, *hex, *json;
} Good;

typedef struct Bad {
	const char *name, *hex, *message;
} Bad;

/* clang-format off */
static const Good good[] = {
	{ "kubectl create namespace",
	  "6b3873000a0f0a02763112094e616d657370616365121a0a120a02743212001a0022002a"
	  "0032003800420012001a020a001a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"t2"
	  "\"}}" },
	{ "kubectl create configmap",
	  "6b3873000a0f0a0276311209436f6e6669674d617012240a130a03636d3112001a002200"
	  "2a0032003800420012060a016112016212050a016512001a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"cm"
	  "1\"},\"data\":{\"a\":\"b\",\"e\":\"\"}}" },
	{ "kubectl create secret docker-registry",
	  "6b3873000a0c0a0276311206536563726574129e010a120a02733312001a0022002a0032"
	  "003800420012680a112e646f636b6572636f6e6669676a736f6e12537b22617574687322"
	  "3a7b22722e6578616d706c65223a7b22757365726e616d65223a2275222c227061737377"
	  "6f7264223a2270222c22656d61696c223a22654078222c2261757468223a226454707722"
	  "7d7d7d1a1e6b756265726e657465732e696f2f646f636b6572636f6e6669676a736f6e1a"
	  "002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"s3\"},"
	  "\"data\":{\".dockerconfigjson\":\"eyJhdXRocyI6eyJyLmV4YW1wbGUiOns"
	  "idXNlcm5hbWUiOiJ1IiwicGFzc3dvcmQiOiJwIiwiZW1haWwiOiJlQHgiLCJ"
	  "hdXRoIjoiZFRwdyJ9fX0=\"},\"type\":\"kubernetes.io/dockerconfigjs"
	  "on\"}" },
	{ "kubectl create role",
	  "6b3873000a240a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f7631"
	  "1204526f6c65125d0a120a02723112001a0022002a00320038004200121b0a036765740a"
	  "046c69737412001a07736563726574732203666f6f122a0a036765740a046c697374120d"
	  "7368616b656e666973742e696f1a09696e7374616e6365732203666f6f1a002200",
	  "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"Role\",\""
	  "metadata\":{\"name\":\"r1\"},\"rules\":[{\"verbs\":[\"get\",\"list\"],\"ap"
	  "iGroups\":[\"\"],\"resources\":[\"secrets\"],\"resourceNames\":[\"foo\""
	  "]},{\"verbs\":[\"get\",\"list\"],\"apiGroups\":[\"shakenfist.io\"],\"re"
	  "sources\":[\"instances\"],\"resourceNames\":[\"foo\"]}]}" },
	{ "kubectl create clusterrole --aggregation-rule",
	  "6b3873000a2b0a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f7631"
	  "120b436c7573746572526f6c6512210a130a0363723212001a0022002a00320038004200"
	  "1a0a0a080a060a01611201621a002200",
	  "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"Cluster"
	  "Role\",\"metadata\":{\"name\":\"cr2\"},\"aggregationRule\":{\"clusterR"
	  "oleSelectors\":[{\"matchLabels\":{\"a\":\"b\"}}]}}" },
	{ "kubectl create rolebinding",
	  "6b3873000a2b0a1c726261632e617574686f72697a6174696f6e2e6b38732e696f2f7631"
	  "120b526f6c6542696e64696e67128f010a130a0372623112001a0022002a003200380042"
	  "0012270a04557365721219726261632e617574686f72697a6174696f6e2e6b38732e696f"
	  "1a027531220012280a0547726f75701219726261632e617574686f72697a6174696f6e2e"
	  "6b38732e696f1a02673122001a250a19726261632e617574686f72697a6174696f6e2e6b"
	  "38732e696f1204526f6c651a0272311a002200",
	  "{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBin"
	  "ding\",\"metadata\":{\"name\":\"rb1\"},\"subjects\":[{\"kind\":\"User\",\""
	  "apiGroup\":\"rbac.authorization.k8s.io\",\"name\":\"u1\"},{\"kind\":\""
	  "Group\",\"apiGroup\":\"rbac.authorization.k8s.io\",\"name\":\"g1\"}],"
	  "\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"Ro"
	  "le\",\"name\":\"r1\"}}" },
	{ "kubectl create quota",
	  "6b3873000a130a027631120d5265736f7572636551756f7461124e0a120a02713112001a"
	  "0022002a0032003800420012360a0a0a0363707512030a01310a0f0a066d656d6f727912"
	  "050a033147690a0b0a04706f647312030a0132120a426573744566666f72741a001a0022"
	  "00",
	  "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\""
	  ":\"q1\"},\"spec\":{\"hard\":{\"cpu\":\"1\",\"memory\":\"1Gi\",\"pods\":\"2\"},"
	  "\"scopes\":[\"BestEffort\"]}}" },
	{ "kubectl auth can-i",
	  "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c"
	  "665375626a656374416363657373526576696577123c0a100a0012001a0022002a003200"
	  "38004200121e0a1c0a0764656661756c7412036765741a0022002a04706f647332003a00"
	  "1a08080012001a0020001a002200",
	  "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectA"
	  "ccessReview\",\"spec\":{\"resourceAttributes\":{\"namespace\":\"defa"
	  "ult\",\"verb\":\"get\",\"resource\":\"pods\"}}}" },
	{ "kubectl auth can-i PATH",
	  "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c"
	  "665375626a656374416363657373526576696577122f0a100a0012001a0022002a003200"
	  "380042001211120f0a082f6d65747269637312036765741a08080012001a0020001a0022"
	  "00",
	  "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectA"
	  "ccessReview\",\"spec\":{\"nonResourceAttributes\":{\"path\":\"/metri"
	  "cs\",\"verb\":\"get\"}}}" },
	{ "kubectl auth can-i --list",
	  "6b3873000a310a17617574686f72697a6174696f6e2e6b38732e696f2f7631121653656c"
	  "665375626a65637452756c657352657669657712230a100a0012001a0022002a00320038"
	  "00420012090a0764656661756c741a04180022001a002200",
	  "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"SelfSubjectR"
	  "ulesReview\",\"spec\":{\"namespace\":\"default\"}}" },
	{ "kubectl auth whoami",
	  "6b3873000a2d0a1861757468656e7469636174696f6e2e6b38732e696f2f763112115365"
	  "6c665375626a656374526576696577121a0a100a0012001a0022002a0032003800420012"
	  "060a040a0012001a002200",
	  "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"SelfSubject"
	  "Review\"}" },
	{ "helm uninstall",
	  "6b3873000a130a027631120d44656c6574654f7074696f6e7312001a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\"}" },
	{ "lease",
	  "6b3873000a1f0a16636f6f7264696e6174696f6e2e6b38732e696f2f763112054c656173"
	  "6512440a1b0a046c6f636b12001a0764656661756c7422002a0032003800420012250a04"
	  "6d655f31100f1a0b0880e2cfaa06108094ef3a220c088ae2cfaa0610ff93ebdc0328001a"
	  "002200",
	  "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metad"
	  "ata\":{\"name\":\"lock\",\"namespace\":\"default\"},\"spec\":{\"holderId"
	  "entity\":\"me_1\",\"leaseDurationSeconds\":15,\"acquireTime\":\"2023"
	  "-11-14T22:13:20.123456Z\",\"renewTime\":\"2023-11-14T22:13:30.99"
	  "9999Z\",\"leaseTransitions\":0}}" },
	{ "event",
	  "6b3873000a0b0a02763112054576656e7412b1010a1b0a04782e313712001a0764656661"
	  "756c7422002a00320038004200123a0a08496e7374616e6365120764656661756c741a03"
	  "7765622203752d312a167368616b656e666973742e696f2f7631616c706861313201373a"
	  "001a0653796e636564220b616c6c2069732077656c6c2a060a026f70120032080880e2cf"
	  "aa0610003a080881e2cfaa06100040024a064e6f726d616c52005a0d080312090882e2cf"
	  "aa06108827620072026f707a046f702d311a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"x.17\","
	  "\"namespace\":\"default\"},\"involvedObject\":{\"kind\":\"Instance\",\""
	  "namespace\":\"default\",\"name\":\"web\",\"uid\":\"u-1\",\"apiVersion\":\""
	  "shakenfist.io/v1alpha1\",\"resourceVersion\":\"7\"},\"reason\":\"Syn"
	  "ced\",\"message\":\"all is well\",\"source\":{\"component\":\"op\"},\"fi"
	  "rstTimestamp\":\"2023-11-14T22:13:20Z\",\"lastTimestamp\":\"2023-1"
	  "1-14T22:13:21Z\",\"count\":2,\"type\":\"Normal\",\"series\":{\"count\":"
	  "3,\"lastObservedTime\":\"2023-11-14T22:13:22.000005Z\"},\"reporti"
	  "ngComponent\":\"op\",\"reportingInstance\":\"op-1\"}" },
	{ "delete-options",
	  "6b3873000a130a027631120d44656c6574654f7074696f6e731222080012090a03752d31"
	  "120234321800220a466f726567726f756e642a03416c6c30011a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"gracePeriodSecond"
	  "s\":0,\"preconditions\":{\"uid\":\"u-1\",\"resourceVersion\":\"42\"},\"o"
	  "rphanDependents\":false,\"propagationPolicy\":\"Foreground\",\"dry"
	  "Run\":[\"All\"]}" },
	{ "full-meta",
	  "6b3873000a0f0a0276311209436f6e6669674d617012d6010aca010a017812001a076465"
	  "6661756c7422002a00320038004200380342080880e2cfaa0610004a0808e4e2cfaa0610"
	  "0050005a060a01611201625a030a016562060a016e1201766a300a08496e7374616e6365"
	  "1a037765622203752d312a167368616b656e666973742e696f2f7631616c706861313001"
	  "380072036f6e65720374776f8a01460a026f7012065570646174651a02763122080880e2"
	  "cfaa06100032084669656c647356313a1e0a1c7b22663a64617461223a7b222e223a7b7d"
	  "2c22663a61223a7b7d7d7d420012050a0161120020001a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"x\""
	  ",\"namespace\":\"default\",\"generation\":3,\"creationTimestamp\":\"2"
	  "023-11-14T22:13:20Z\",\"deletionTimestamp\":\"2023-11-14T22:15:0"
	  "0Z\",\"deletionGracePeriodSeconds\":0,\"labels\":{\"a\":\"b\",\"e\":\"\"}"
	  ",\"annotations\":{\"n\":\"v\"},\"ownerReferences\":[{\"kind\":\"Instanc"
	  "e\",\"name\":\"web\",\"uid\":\"u-1\",\"apiVersion\":\"shakenfist.io/v1al"
	  "pha1\",\"controller\":true,\"blockOwnerDeletion\":false}],\"finali"
	  "zers\":[\"one\",\"two\"],\"managedFields\":[{\"manager\":\"op\",\"operat"
	  "ion\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"2023-11-14T22:13:20Z"
	  "\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":{\"f:data\":{\".\":{},\"f:a\""
	  ":{}}}}]},\"data\":{\"a\":\"\"},\"immutable\":false}" },
	{ "quota",
	  "6b3873000a130a027631120d5265736f7572636551756f7461125f0a180a017112001a07"
	  "64656661756c7422002a0032003800420012410a0e0a0363707512070a05313530306d0a"
	  "060a046e6f6e65120a426573744566666f72741a1b0a190a0d5072696f72697479436c61"
	  "73731202496e1a04686967681a001a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"ResourceQuota\",\"metadata\":{\"name\""
	  ":\"q\",\"namespace\":\"default\"},\"spec\":{\"hard\":{\"cpu\":\"1500m\",\"n"
	  "one\":\"\"},\"scopes\":[\"BestEffort\"],\"scopeSelector\":{\"matchExpr"
	  "essions\":[{\"scopeName\":\"PriorityClass\",\"operator\":\"In\",\"valu"
	  "es\":[\"high\"]}]}}}" },
	{ "local-review",
	  "6b3873000a330a17617574686f72697a6174696f6e2e6b38732e696f2f763112184c6f63"
	  "616c5375626a65637441636365737352657669657712770a180a017812001a0764656661"
	  "756c7422002a0032003800420012570a350a0764656661756c7412036765741a002a0773"
	  "656372657473421a0a0012160a0d6d657461646174612e6e616d651202496e1a01611a04"
	  "6a616e652204646576732a100a0673636f70657312060a01610a016232001a0208001a00"
	  "2200",
	  "{\"apiVersion\":\"authorization.k8s.io/v1\",\"kind\":\"LocalSubject"
	  "AccessReview\",\"metadata\":{\"name\":\"x\",\"namespace\":\"default\"},"
	  "\"spec\":{\"resourceAttributes\":{\"namespace\":\"default\",\"verb\":\""
	  "get\",\"resource\":\"secrets\",\"fieldSelector\":{\"requirements\":[{"
	  "\"key\":\"metadata.name\",\"operator\":\"In\",\"values\":[\"a\"]}]}},\"us"
	  "er\":\"jane\",\"groups\":[\"devs\"],\"extra\":{\"scopes\":[\"a\",\"b\"]}}}" },
	{ "scale",
	  "6b3873000a170a0e6175746f7363616c696e672f763112055363616c6512270a180a0178"
	  "12001a0764656661756c7422002a00320038004200120208001a0708021203613d621a00"
	  "2200",
	  "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"Scale\",\"metadata\":{\"n"
	  "ame\":\"x\",\"namespace\":\"default\"},\"spec\":{\"replicas\":0},\"statu"
	  "s\":{\"replicas\":2,\"selector\":\"a=b\"}}" },
	{ "unknown-fields",
	  "6b3873000a0f0a02763112094e616d657370616365124798060791063132333435363738"
	  "8d0631323334820601780a1c0a017812001a0764656661756c7422002a00320038004200"
	  "fa050179120c0a0a6b756265726e657465731a020a001a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"x\""
	  ",\"namespace\":\"default\"},\"spec\":{\"finalizers\":[\"kubernetes\"]}"
	  "}" },
	{ "negative",
	  "6b3873000a0b0a02763112054576656e7412250a180a017812001a0764656661756c7422"
	  "002a0032003800420040ffffffffffffffffff011a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"x\",\"na"
	  "mespace\":\"default\"},\"count\":-1}" },
	{ "split-message",
	  "6b3873000a0f0a02763112094e616d657370616365120f0a030a01610a085a060a016b12"
	  "01761a002200",
	  "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"a\""
	  ",\"labels\":{\"k\":\"v\"}}}" },
};

static const Bad bad[] = {
	{ "no magic", "7b226b696e64223a224e616d657370616365227d",
	  "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]" },
	{ "magic only", "6b387300",
	  "the body names no apiVersion and kind" },
	{ "cut envelope", "6b3873000a1f0a16636f6f7264696e6174696f6e",
	  "envelope: the message is cut short or broken" },
	{ "cut in raw", "6b3873000a0f0a02763112094e616d65737061636512060a050a0361621a002200",
	  "the message is cut short or broken" },
	{ "length past end", "6b3873000a0f0a02763112094e616d657370616365120b0affffffffffffffffff011a002200",
	  "the message is cut short or broken" },
	{ "varint too long", "6b3873000a0f0a02763112094e616d657370616365120c08ffffffffffffffffffff011a002200",
	  "the message is cut short or broken" },
	{ "varint overflow", "6b3873000a0f0a02763112094e616d657370616365120b08ffffffffffffffffff021a002200",
	  "the message is cut short or broken" },
	{ "group", "6b3873000a0f0a02763112094e616d65737061636512020b0c1a002200",
	  "the message is cut short or broken" },
	{ "field zero", "6b3873000a0f0a02763112094e616d657370616365120202001a002200",
	  "the message is cut short or broken" },
	{ "nul in name", "6b3873000a0f0a02763112094e616d65737061636512070a050a036100621a002200",
	  "name: a string must not contain NUL" },
	{ "bad utf8", "6b3873000a0f0a02763112094e616d65737061636512050a030a01ff1a002200",
	  "name: a string must be UTF-8" },
	{ "nul in key", "6b3873000a0f0a02763112094e616d657370616365120c0a0a5a080a036100621201761a002200",
	  "labels: a key must not contain NUL" },
	{ "bad utf8 key", "6b3873000a0f0a02763112094e616d657370616365120a0a085a060a01c31201761a002200",
	  "labels: a key must be UTF-8" },
	{ "number for string", "6b3873000a0f0a02763112094e616d65737061636512040a0208051a002200",
	  "name: of another type than expected" },
	{ "string for number", "6b3873000a0b0a02763112054576656e7412034201351a002200",
	  "count: of another type than expected" },
	{ "fixed for string", "6b3873000a0f0a02763112094e616d657370616365120b0a090931323334353637381a002200",
	  "name: of another type than expected" },
	{ "time too late", "6b3873000a0f0a02763112094e616d657370616365120d0a0b4209088083d1ffaf0710001a002200",
	  "creationTimestamp: the time is outside of 1970 to 9999" },
	{ "time negative", "6b3873000a0f0a02763112094e616d65737061636512110a0f420d08ffffffffffffffffff0110001a002200",
	  "creationTimestamp: the time is outside of 1970 to 9999" },
	{ "bad fields", "6b3873000a0f0a02763112094e616d657370616365120d0a0b8a01083a060a047b2261221a002200",
	  "fieldsV1: JSON, line 1, column 4: ':' expected near end of file" },
	{ "content encoding", "6b3873000a0f0a02763112094e616d65737061636512001a04677a6970",
	  "envelope: contentEncoding is not supported" },
	{ "no kind", "6b3873000a040a0276311200",
	  "the body names no apiVersion and kind" },
	{ "number for typemeta", "6b3873000804",
	  "envelope: of another type than expected" },
};
/* clang-format on */

/* Exactly as long as the body, so that reading past its end is seen. */
static uint8_t *unhex(const char *hex, size_t *ret_len)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = xmalloc(n ? n : 1);

	for (size_t i = 0; i < n; i++) {
		char digits[3] = { hex[2 * i], hex[2 * i + 1], '\0' };

		p[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	*ret_len = n;
	return p;
}

static int decode_hex(const char *hex, json_t **ret, Error *err)
{
	size_t len;
	_cleanup_(xfreep) uint8_t *p = unhex(hex, &len);

	return proto_decode(p, len, ret, err);
}

static void test_good(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		_cleanup_(json_decrefp) json_t *tree = NULL;
		_cleanup_(xfreep) char *text = NULL;

		if (decode_hex(good[i].hex, &tree, &err) < 0)
			fail_msg("%s: %s", good[i].name, error_message(&err));
		text = json_text(tree);
		if (!streq(text, good[i].json))
			fail_msg("%s: %s, expected %s", good[i].name, text, good[i].json);
	}
}

static void test_bad(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(error_done) Error err = ERROR_INIT;
		json_t *tree = NULL;

		assert_int_equal(decode_hex(bad[i].hex, &tree, &err), -ERR_INVALID);
		assert_null(tree);
		if (!streq(error_message(&err), bad[i].message))
			fail_msg("%s: %s", bad[i].name, error_message(&err));
	}
}

/* Every beginning of a body is refused or accepted, and nothing behind it is read. */
static void test_cut_anywhere(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		size_t len;
		_cleanup_(xfreep) uint8_t *p = unhex(good[i].hex, &len);

		for (size_t n = 0; n < len; n++) {
			_cleanup_(xfreep) uint8_t *part = xmalloc(n ? n : 1);
			_cleanup_(json_decrefp) json_t *tree = NULL;

			memcpy(part, p, n);
			(void)proto_decode(part, n, &tree, NULL);
		}
	}
}

static void test_kind_without_table(void **state _unused_)
{
	_cleanup_(error_done) Error err = ERROR_INIT;
	json_t *tree = NULL;

	/* Unknown{{"v1", "Pod"}, ""} */
	assert_int_equal(decode_hex("6b3873000a090a0276311203506f641200", &tree, &err),
			 -ERR_UNSUPPORTED);
	assert_non_null(strstr(error_message(&err), "Pod of v1"));
	/* A known kind of a group that it is not in. */
	assert_null(proto_kind("apps/v1", "Secret"));
	assert_non_null(proto_kind("apps/v1", "DeleteOptions"));
}

/* Two bytes each make an object each: bounded before memory is. */
static void test_too_many_values(void **state _unused_)
{
	static const char role[] = "k8s\0\x0a\x24\x0a\x1crbac.authorization.k8s.io/v1\x12\x04Role";
	_cleanup_(error_done) Error err = ERROR_INIT;
	_cleanup_(strbuf_done) StrBuf b = STRBUF_INIT;
	const size_t n = PROTO_VALUES_MAX + 1, raw = 2 * n;
	json_t *tree = NULL;

	strbuf_add(&b, role, sizeof(role) - 1);
	strbuf_addc(&b, 0x12); /* raw */
	strbuf_addc(&b, (char)(0x80 | (raw & 0x7f)));
	strbuf_addc(&b, (char)(0x80 | (raw >> 7 & 0x7f)));
	strbuf_addc(&b, (char)(raw >> 14));
	for (size_t i = 0; i < n; i++)
		strbuf_add(&b, "\x12", 2); /* an empty rule */
	assert_int_equal(proto_decode(b.buf, b.len, &tree, &err), -ERR_INVALID);
	assert_string_equal(error_message(&err), "rules: too many values");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_kind_without_table),
		cmocka_unit_test(test_too_many_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
