/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds that typed clients send as protobuf: names and numbers from the generated.proto files
 * of k8s.io/api and k8s.io/apimachinery. Data only. `true` marks what is a pointer in Go.
 */
#include "server/protobuf.h"

/* ---- meta/v1 ---- */

static const ProtoField owner_reference[] = {
	{1,	     "kind", PROTO_STRING },
	{ 3, "name", PROTO_STRING },
	{ 4,            "uid", PROTO_STRING },
	{ 5, "apiVersion", PROTO_STRING },
	{ 6,            "controller", PROTO_BOOL, true },
	{ 7, "blockOwnerDeletion", PROTO_BOOL, true },
	{ 0           },
};

static const ProtoField managed_fields_entry[] = {
	{1,	     "manager", PROTO_STRING },
        { 2, "operation", PROTO_STRING },
	{ 3,            "apiVersion", PROTO_STRING },
        { 4, "time", PROTO_TIME },
	{ 6,            "fieldsType", PROTO_STRING },
        { 7, "fieldsV1", PROTO_JSON, true },
	{ 8,            "subresource", PROTO_STRING },
        { 0  },
};

static const ProtoField object_meta[] = {
	{1,	     "name", PROTO_STRING },
	{ 2, "generateName", PROTO_STRING },
	{ 3,            "namespace", PROTO_STRING },
	{ 4, "selfLink", PROTO_STRING },
	{ 5,            "uid", PROTO_STRING },
	{ 6, "resourceVersion", PROTO_STRING },
	{ 7,            "generation", PROTO_INT },
	{ 8, "creationTimestamp", PROTO_TIME },
	{ 9,            "deletionTimestamp", PROTO_TIME },
	{ 10, "deletionGracePeriodSeconds", PROTO_INT, true },
	{ 11,            "labels", PROTO_MAP_STRING },
	{ 12, "annotations", PROTO_MAP_STRING },
	{ 13,            "ownerReferences", PROTO_MESSAGES, false, owner_reference },
	{ 14,    "finalizers", PROTO_STRINGS },
	{ 17,            "managedFields", PROTO_MESSAGES, false, managed_fields_entry },
	{ 0  },
};

#define METADATA \
	{ \
		1, "metadata", PROTO_MESSAGE, false, object_meta \
	}

static const ProtoField preconditions[] = {
	{1,	     "uid", PROTO_STRING, true },
	{ 2, "resourceVersion", PROTO_STRING, true },
	{ 0           },
};

static const ProtoField delete_options[] = {
	{1,		"gracePeriodSeconds", PROTO_INT, true },
	{ 2,       "preconditions", PROTO_MESSAGE, true, preconditions },
	{ 3,	       "orphanDependents", PROTO_BOOL, true },
	{ 4,"propagationPolicy", PROTO_STRING, true },
	{ 5,            "dryRun", PROTO_STRINGS },
	{ 0	      },
};

/* LabelSelectorRequirement and FieldSelectorRequirement */
static const ProtoField selector_requirement[] = {
	{1,	     "key", PROTO_STRING },
	{ 2, "operator", PROTO_STRING },
	{ 3,            "values", PROTO_STRINGS },
	{ 0},
};

static const ProtoField label_selector[] = {
	{1,		 "matchLabels", PROTO_MAP_STRING },
	{ 2, "matchExpressions", PROTO_MESSAGES, false, selector_requirement },
	{ 0	       },
};

/* ---- core/v1 ---- */

static const ProtoField namespace_spec[] = {
	{1,	      "finalizers", PROTO_STRINGS },
	{ 0},
};

static const ProtoField namespace_condition[] = {
	{1,	     "type", PROTO_STRING },
	{ 2, "status", PROTO_STRING },
	{ 4,            "lastTransitionTime", PROTO_TIME },
	{ 5, "reason", PROTO_STRING },
	{ 6,            "message", PROTO_STRING },
	{ 0  },
};

static const ProtoField namespace_status[] = {
	{1,	     "phase", PROTO_STRING },
	{ 2, "conditions", PROTO_MESSAGES, false, namespace_condition },
	{ 0           },
};

static const ProtoField namespace[] = {
	METADATA,
	{2,	       "spec", PROTO_MESSAGE, false, namespace_spec },
	{ 3,  "status", PROTO_MESSAGE, false, namespace_status },
	{ 0},
};

static const ProtoField config_map[] = {
	METADATA,
	{2,		 "data", PROTO_MAP_STRING },
	{ 3, "binaryData", PROTO_MAP_BYTES },
	{ 4,		"immutable", PROTO_BOOL, true },
	{ 0 },
};

static const ProtoField secret[] = {
	METADATA,
	{2,		"data", PROTO_MAP_BYTES },
	{ 3, "type", PROTO_STRING },
	{ 4,	       "stringData", PROTO_MAP_STRING },
	{ 5,    "immutable", PROTO_BOOL, true },
	{ 0	      },
};

static const ProtoField object_reference[] = {
	{1,	     "kind", PROTO_STRING },
        { 2, "namespace", PROTO_STRING },
	{ 3,            "name", PROTO_STRING },
        { 4, "uid", PROTO_STRING },
	{ 5,            "apiVersion", PROTO_STRING },
        { 6, "resourceVersion", PROTO_STRING },
	{ 7,            "fieldPath", PROTO_STRING },
        { 0},
};

static const ProtoField event_source[] = {
	{1,	     "component", PROTO_STRING },
	{ 2, "host", PROTO_STRING },
	{ 0           },
};

static const ProtoField event_series[] = {
	{1,          "count", PROTO_INT },
	{ 2, "lastObservedTime", PROTO_MICROTIME },
	{ 0        },
};

static const ProtoField event[] = {
	METADATA,
	{2,		 "involvedObject", PROTO_MESSAGE, false, object_reference },
	{ 3,    "reason", PROTO_STRING },
	{ 4, "message", PROTO_STRING },
	{ 5,		"source", PROTO_MESSAGE, false, event_source },
	{ 6,     "firstTimestamp", PROTO_TIME },
	{ 7,		"lastTimestamp", PROTO_TIME },
	{ 8,     "count", PROTO_INT },
	{ 9,		"type", PROTO_STRING },
	{ 10,    "eventTime", PROTO_MICROTIME },
	{ 11,     "series", PROTO_MESSAGE, true, event_series },
	{ 12,		"action", PROTO_STRING },
	{ 13,       "related", PROTO_MESSAGE, true, object_reference },
	{ 14,		"reportingComponent", PROTO_STRING },
	{ 15,       "reportingInstance", PROTO_STRING },
	{ 0	       },
};

/* ---- events.k8s.io/v1 ---- */

static const ProtoField events_event[] = {
	METADATA,
	{2,		"eventTime", PROTO_MICROTIME },
	{ 3, "series", PROTO_MESSAGE, true, event_series },
	{ 4,	       "reportingController", PROTO_STRING },
	{ 5,   "reportingInstance", PROTO_STRING },
	{ 6,    "action", PROTO_STRING },
	{ 7,	       "reason", PROTO_STRING },
	{ 8,    "regarding", PROTO_MESSAGE, false, object_reference },
	{ 9,	       "related", PROTO_MESSAGE, true, object_reference },
	{ 10,    "note", PROTO_STRING },
	{ 11,	       "type", PROTO_STRING },
	{ 12,    "deprecatedSource", PROTO_MESSAGE, false, event_source },
	{ 13,	       "deprecatedFirstTimestamp", PROTO_TIME },
	{ 14,    "deprecatedLastTimestamp", PROTO_TIME },
	{ 15,	       "deprecatedCount", PROTO_INT },
	{ 0  },
};

/* ---- core/v1, quotas ---- */

static const ProtoField scope_requirement[] = {
	{1,	     "scopeName", PROTO_STRING },
	{ 2, "operator", PROTO_STRING },
	{ 3,            "values", PROTO_STRINGS },
	{ 0},
};

static const ProtoField scope_selector[] = {
	{1,	       "matchExpressions", PROTO_MESSAGES, false, scope_requirement },
	{ 0},
};

static const ProtoField resource_quota_spec[] = {
	{1,		   "hard", PROTO_MAP_QUANTITY },
	{ 2, "scopes", PROTO_STRINGS },
	{ 3,		  "scopeSelector", PROTO_MESSAGE, true, scope_selector },
	{ 0     },
};

static const ProtoField resource_quota_status[] = {
	{1,		   "hard", PROTO_MAP_QUANTITY },
	{ 2, "used", PROTO_MAP_QUANTITY },
	{ 0		 },
};

static const ProtoField resource_quota[] = {
	METADATA,
	{2,		    "spec", PROTO_MESSAGE, false, resource_quota_spec },
	{ 3,       "status", PROTO_MESSAGE, false, resource_quota_status },
	{ 0},
};

/* ---- coordination.k8s.io/v1, autoscaling/v1 ---- */

static const ProtoField lease_spec[] = {
	{1,		       "holderIdentity", PROTO_STRING, true },
	{ 2,           "leaseDurationSeconds", PROTO_INT, true },
	{ 3,		      "acquireTime", PROTO_MICROTIME, true },
	{ 4,"renewTime", PROTO_MICROTIME, true },
	{ 5,		   "leaseTransitions", PROTO_INT, true },
	{ 6,		      "strategy", PROTO_STRING, true },
	{ 7,        "preferredHolder", PROTO_STRING, true },
	{ 0		     },
};

static const ProtoField lease[] = {
	METADATA,
	{2,	      "spec", PROTO_MESSAGE, false, lease_spec },
	{ 0},
};

static const ProtoField scale_spec[] = {
	{1,          "replicas", PROTO_INT, true },
	{ 0},
};

static const ProtoField scale_status[] = {
	{1,          "replicas", PROTO_INT },
	{ 2, "selector", PROTO_STRING },
	{ 0        },
};

static const ProtoField scale[] = {
	METADATA,
	{2,	      "spec", PROTO_MESSAGE, false, scale_spec },
	{ 3, "status", PROTO_MESSAGE, false, scale_status },
	{ 0   },
};

/* ---- rbac.authorization.k8s.io/v1 ---- */

static const ProtoField policy_rule[] = {
	{1,	      "verbs", PROTO_STRINGS },
        { 2, "apiGroups", PROTO_STRINGS },
	{ 3,	     "resources", PROTO_STRINGS },
        { 4, "resourceNames", PROTO_STRINGS },
	{ 5,	     "nonResourceURLs", PROTO_STRINGS },
        { 0},
};

static const ProtoField role[] = {
	METADATA,
	{2,	       "rules", PROTO_MESSAGES, false, policy_rule },
	{ 0},
};

static const ProtoField aggregation_rule[] = {
	{1,	       "clusterRoleSelectors", PROTO_MESSAGES, false, label_selector },
	{ 0},
};

static const ProtoField cluster_role[] = {
	METADATA,
	{2,	       "rules", PROTO_MESSAGES, false, policy_rule },
	{ 3, "aggregationRule", PROTO_MESSAGE, true, aggregation_rule },
	{ 0   },
};

static const ProtoField subject[] = {
	{1,	     "kind", PROTO_STRING },
	{ 2, "apiGroup", PROTO_STRING },
	{ 3,            "name", PROTO_STRING },
	{ 4, "namespace", PROTO_STRING },
	{ 0           },
};

static const ProtoField role_ref[] = {
	{1,	     "apiGroup", PROTO_STRING },
	{ 2, "kind", PROTO_STRING },
	{ 3,            "name", PROTO_STRING },
	{ 0},
};

static const ProtoField role_binding[] = {
	METADATA,
	{2,	       "subjects", PROTO_MESSAGES, false, subject },
	{ 3, "roleRef", PROTO_MESSAGE, false, role_ref },
	{ 0       },
};

/* ---- authorization.k8s.io/v1, authentication.k8s.io/v1 ---- */

static const ProtoField selector_attributes[] = {
	{1,	     "rawSelector", PROTO_STRING },
	{ 2, "requirements", PROTO_MESSAGES, false, selector_requirement },
	{ 0           },
};

static const ProtoField resource_attributes[] = {
	{1,	     "namespace", PROTO_STRING },
	{ 2, "verb", PROTO_STRING },
	{ 3,            "group", PROTO_STRING },
	{ 4, "version", PROTO_STRING },
	{ 5,            "resource", PROTO_STRING },
	{ 6, "subresource", PROTO_STRING },
	{ 7,            "name", PROTO_STRING },
	{ 8, "fieldSelector", PROTO_MESSAGE, true, selector_attributes },
	{ 9,            "labelSelector", PROTO_MESSAGE, true, selector_attributes },
	{ 0},
};

static const ProtoField non_resource_attributes[] = {
	{1,	     "path", PROTO_STRING },
	{ 2, "verb", PROTO_STRING },
	{ 0           },
};

static const ProtoField self_access_spec[] = {
	{1,		    "resourceAttributes", PROTO_MESSAGE, true, resource_attributes },
	{ 2,       "nonResourceAttributes", PROTO_MESSAGE, true, non_resource_attributes },
	{ 0},
};

static const ProtoField self_access_review[] = {
	METADATA,
	{2,	      "spec", PROTO_MESSAGE, false, self_access_spec },
	{ 0},
};

static const ProtoField access_spec[] = {
	{1,			"resourceAttributes", PROTO_MESSAGE, true, resource_attributes },
	{ 2,           "nonResourceAttributes", PROTO_MESSAGE, true, non_resource_attributes },
	{ 3,     "user", PROTO_STRING },
	{ 4,		       "groups", PROTO_STRINGS },
	{ 5,           "extra", PROTO_MAP_STRINGS },
	{ 6, "uid", PROTO_STRING },
	{ 0		      },
};

/* SubjectAccessReview and LocalSubjectAccessReview */
static const ProtoField access_review[] = {
	METADATA,
	{2,	      "spec", PROTO_MESSAGE, false, access_spec },
	{ 0},
};

static const ProtoField rules_spec[] = {
	{1,	     "namespace", PROTO_STRING },
	{ 0},
};

static const ProtoField rules_review[] = {
	METADATA,
	{2,	      "spec", PROTO_MESSAGE, false, rules_spec },
	{ 0},
};

static const ProtoField self_review[] = {
	METADATA,
	{ 0 },
};

/* ---- the kinds ---- */

static const struct {
	const char *api_version; /* NULL: every group has it */
	const char *kind;
	const ProtoField *fields;
} kinds[] = {
	{NULL,			    "DeleteOptions",            delete_options    },
	{ "v1",			   "Namespace",                namespace         },
	{ "v1",			   "ConfigMap",                config_map        },
	{ "v1",			   "Secret",                   secret            },
	{ "v1",			   "Event",                    event             },
	{ "events.k8s.io/v1",             "Event",                    events_event      },
	{ "v1",			   "ResourceQuota",            resource_quota    },
	{ "coordination.k8s.io/v1",       "Lease",                    lease             },
	{ "autoscaling/v1",               "Scale",                    scale             },
	{ "rbac.authorization.k8s.io/v1", "Role",                     role              },
	{ "rbac.authorization.k8s.io/v1", "ClusterRole",              cluster_role      },
	{ "rbac.authorization.k8s.io/v1", "RoleBinding",              role_binding      },
	{ "rbac.authorization.k8s.io/v1", "ClusterRoleBinding",       role_binding      },
	{ "authorization.k8s.io/v1",      "SelfSubjectAccessReview",  self_access_review},
	{ "authorization.k8s.io/v1",      "SelfSubjectRulesReview",   rules_review      },
	{ "authorization.k8s.io/v1",      "SubjectAccessReview",      access_review     },
	{ "authorization.k8s.io/v1",      "LocalSubjectAccessReview", access_review     },
	{ "authentication.k8s.io/v1",     "SelfSubjectReview",        self_review       },
};

const ProtoField *proto_kind(const char *api_version, const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (streq(kinds[i].kind, kind) &&
		    (!kinds[i].api_version || streq(kinds[i].api_version, api_version)))
			return kinds[i].fields;
	return NULL;
}
