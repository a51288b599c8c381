/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Figures of instances, images and networks. They are read off the printer cells of each object's
 * head, which the store keeps beside it: nothing is decoded, also not for ten thousand of them.
 * HTTP threads.
 */
#include "api/quantity.h"
#include "base/hashmap.h"
#include "server/metrics.h"

/* The objects of one kind with their cells. */
typedef struct Rows {
	Kind *kind;
	ObjectList *list;
	json_t **cells; /* of each object; NULL = none */
} Rows;

static int rows_open(Server *s, const GroupResource *gr, Rows *ret)
{
	ListOptions o = { .gr = gr };

	*ret = (Rows){ .kind = kind_registry_find(s->options.kinds, gr) };
	if (!ret->kind || store_list(s->options.store, &o, &ret->list, NULL) < 0) {
		kind_unref(ret->kind);
		return -ERR_NOT_FOUND;
	}
	ret->cells = xnew0(json_t *, ret->list->n);
	for (size_t i = 0; i < ret->list->n; i++) {
		const char *cells = object_head(ret->list->items[i])->cells;

		if (!str_is_empty(cells))
			ret->cells[i] = json_load(cells, strlen(cells));
	}
	return 0;
}

static void rows_done(Rows *rows)
{
	for (size_t i = 0; rows->list && i < rows->list->n; i++)
		json_decref(rows->cells[i]);
	free(rows->cells);
	object_list_free(rows->list);
	kind_unref(rows->kind);
}

/* Where the cells have that column; the creation time has none. */
static size_t column_of(const Kind *k, const char *name)
{
	size_t at = 0;

	for (size_t i = 0; i < k->n_columns; i++) {
		const PrinterColumn *c = &k->columns[i];

		if (streq(c->name, name))
			return at;
		at += !(c->type == PRINTER_DATE &&
			streq(c->json_path, ".metadata.creationTimestamp"));
	}
	return SIZE_MAX;
}

static const json_t *cell_of(const Rows *rows, size_t row, size_t column)
{
	return json_array_get(rows->cells[row], column);
}

static MetricLabel namespace_of(const Rows *rows, size_t row)
{
	return (MetricLabel){ "namespace", object_key(rows->list->items[row])->namespace };
}

static MetricLabel name_of(const Rows *rows, size_t row)
{
	return (MetricLabel){ "name", object_key(rows->list->items[row])->name };
}

/* ---- families ---- */

typedef struct Count {
	const char *namespace, *value;
	size_t n;
} Count;

static int count_compare(const void *a, const void *b)
{
	const Count *x = a, *y = b;
	int c = strcmp(x->namespace, y->namespace);

	return c ? c : strcmp(x->value, y->value);
}

/* How many objects per namespace have each value of that column. */
static void write_counts(const Rows *rows, MetricWriter *w, const char *name, const char *column,
			 const char *label, const char *help)
{
	Count *counts = xnew0(Count, rows->list->n);
	size_t at = column_of(rows->kind, column), n = rows->list->n;

	for (size_t i = 0; i < n; i++) {
		const char *value = json_string_value(cell_of(rows, i, at));

		counts[i] = (Count){ namespace_of(rows, i).value,
				     str_is_empty(value) ? "Pending" : value, 1 };
	}
	if (n > 0)
		qsort(counts, n, sizeof(*counts), count_compare);
	metric_family(w, name, METRIC_GAUGE, help);
	for (size_t i = 0, j; i < n; i = j) {
		for (j = i; j < n && count_compare(&counts[i], &counts[j]) == 0; j++)
			;
		metric_value(
			w, name,
			(MetricLabel[]){
				{"namespace", counts[i].namespace},
                                { label,      counts[i].value    }
                },
			2, (double)(j - i));
	}
	free(counts);
}

/* A number, or a quantity; false = neither. */
static bool cell_number(const json_t *cell, double *ret)
{
	const char *text = json_string_value(cell);
	uint64_t n;

	if (json_is_number(cell))
		*ret = json_number_value(cell);
	else if (text && quantity_parse(text, &n, NULL) == 0)
		*ret = (double)n;
	else
		return false;
	return true;
}

/* The column's number of each object, times scale. */
static void write_numbers(const Rows *rows, MetricWriter *w, const char *name, const char *column,
			  double scale, const char *help)
{
	size_t at = column_of(rows->kind, column);
	double value;

	metric_family(w, name, METRIC_GAUGE, help);
	for (size_t i = 0; i < rows->list->n; i++)
		if (cell_number(cell_of(rows, i, at), &value))
			metric_value(w, name,
				     (MetricLabel[]){ namespace_of(rows, i), name_of(rows, i) }, 2,
				     value * scale);
}

/* ---- kinds ---- */

static void write_instance_info(const Rows *rows, MetricWriter *w)
{
	static const char *const columns[] = { "Status", "Node", "Image" };
	static const char *const labels[] = { "status", "node", "image" };
	size_t at[ARRAY_SIZE(columns)];

	for (size_t j = 0; j < ARRAY_SIZE(columns); j++)
		at[j] = column_of(rows->kind, columns[j]);
	metric_family(w, "sf_instance_info", METRIC_GAUGE, "What an Instance is; always 1.");
	for (size_t i = 0; i < rows->list->n; i++) {
		MetricLabel l[2 + ARRAY_SIZE(columns)] = { namespace_of(rows, i),
							   name_of(rows, i) };

		for (size_t j = 0; j < ARRAY_SIZE(columns); j++)
			l[2 + j] = (MetricLabel){ labels[j],
						  json_string_value(cell_of(rows, i, at[j])) };
		metric_value(w, "sf_instance_info", l, ARRAY_SIZE(l), 1);
	}
}

static void instance_metrics(Server *s, MetricWriter *w)
{
	Rows rows;
	size_t ready;

	if (rows_open(s, GR_INSTANCE, &rows) < 0)
		return;
	write_counts(&rows, w, "sf_instances", "Status", "status", "Instances by what they are.");
	write_instance_info(&rows, w);
	ready = column_of(rows.kind, "Ready");
	metric_family(w, "sf_instance_ready", METRIC_GAUGE,
		      "1 if the guest runs and its interfaces are attached.");
	for (size_t i = 0; i < rows.list->n; i++)
		metric_value(w, "sf_instance_ready",
			     (MetricLabel[]){ namespace_of(&rows, i), name_of(&rows, i) }, 2,
			     streq_ptr(json_string_value(cell_of(&rows, i, ready)), "True"));
	write_numbers(&rows, w, "sf_instance_cpus", "CPUs", 1, "Virtual CPUs of an Instance.");
	write_numbers(&rows, w, "sf_instance_memory_bytes", "Memory", 1, "Memory of an Instance.");
	write_numbers(&rows, w, "sf_instance_restarts", "Restarts", 1,
		      "How often an Instance was started again.");
	rows_done(&rows);
}

/* Equal content is in the cache once, however many Images name it. */
static double cached_bytes(const Rows *rows)
{
	size_t size = column_of(rows->kind, "Size"), digest = column_of(rows->kind, "Digest");
	Hashmap *seen = hashmap_new(NULL);
	double sum = 0, bytes;

	for (size_t i = 0; i < rows->list->n; i++) {
		const char *text = json_string_value(cell_of(rows, i, digest));

		if (str_is_empty(text) || hashmap_get(seen, text) ||
		    !cell_number(cell_of(rows, i, size), &bytes))
			continue;
		hashmap_put(seen, text, seen);
		sum += bytes;
	}
	hashmap_free(seen);
	return sum;
}

static void image_metrics(Server *s, MetricWriter *w)
{
	Rows rows;

	if (rows_open(s, GR_IMAGE, &rows) < 0)
		return;
	write_counts(&rows, w, "sf_images", "Status", "phase", "Images by phase.");
	write_numbers(&rows, w, "sf_image_size_bytes", "Size", 1, "Size of an Image in the cache.");
	write_numbers(&rows, w, "sf_image_fetch_progress_ratio", "Progress", 0.01,
		      "How much of a download is done, from 0 to 1.");
	metric_single(w, "sf_image_cache_bytes", METRIC_GAUGE,
		      "Size of what Images have in the cache, equal content counted once.",
		      cached_bytes(&rows));
	rows_done(&rows);
}

static void network_metrics(Server *s, MetricWriter *w)
{
	Rows rows;

	if (rows_open(s, GR_NETWORK, &rows) < 0)
		return;
	write_counts(&rows, w, "sf_networks", "Status", "phase", "Networks by phase.");
	write_numbers(&rows, w, "sf_network_ports", "Ports", 1, "Interfaces on a Network.");
	rows_done(&rows);
}

void object_metrics_write(Server *s, MetricWriter *w)
{
	instance_metrics(s, w);
	image_metrics(s, w);
	network_metrics(s, w);
}
