#include "common/envspec.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

/* --- names ----------------------------------------------------------------------------
 */

static const char *const kind_names[] = {
#define ROW(symbol, name, meaning) [ENVSPEC_##symbol] = (name),
    ENVSPEC_KIND_TABLE(ROW)
#undef ROW
};

_Static_assert(ARRAY_SIZE(kind_names) == ENVSPEC_KIND_COUNT, "a name for every kind");

const char *envspec_kind_name(enum envspec_kind kind)
{
    return kind_names[kind];
}

static const char *const location_names[] = {
#define ROW(symbol, name) [ENVSPEC_LOCATION_##symbol] = (name),
    ENVSPEC_LOCATION_TABLE(ROW)
#undef ROW
};

_Static_assert(ARRAY_SIZE(location_names) == ENVSPEC_LOCATION_COUNT,
               "a name for every location");

const char *envspec_location_name(enum envspec_location location)
{
    return location_names[location];
}

bool envspec_builder_is_known(const char *name)
{
    static const char *const names[] = {"uv",    "pip",    "micromamba", "mamba",
                                        "conda", "podman", "docker"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* --- life -----------------------------------------------------------------------------
 */

void envspec_init(struct envspec *spec)
{
    *spec = (struct envspec){.kind = ENVSPEC_PACKAGES};
}

static void requirement_release(struct envspec_requirement *item)
{
    free(item->text);
    free(item->path);
    free(item->name);
    free(item->extras);
    free(item->marker);
}

static void requirements_release(struct envspec_requirements *list)
{
    for (size_t i = 0; i < list->count; i++) {
        requirement_release(&list->items[i]);
    }
    free(list->items);
}

void envspec_release(struct envspec *spec)
{
    free(spec->source);
    free(spec->python);
    free(spec->builder);
    free(spec->lock_project);
    free(spec->location);
    free(spec->image);
    requirements_release(&spec->requirements);
    requirements_release(&spec->constraints);
    requirements_release(&spec->find_links);
    for (size_t i = 0; i < spec->lock_file_count; i++) {
        free(spec->lock_files[i].path);
    }
    free(spec->lock_files);
    strvec_release(&spec->options);
    strvec_release(&spec->channels);
    strvec_release(&spec->conda);
    strvec_release(&spec->lock_groups);
    strvec_release(&spec->lock_extras);
    strvec_release(&spec->paths);
    envspec_init(spec);
}

static struct envspec_requirement *add_item(struct envspec_requirements *list)
{
    list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
    list->items[list->count] = (struct envspec_requirement){.text = NULL};
    return &list->items[list->count++];
}

void envspec_add_line(struct envspec_requirements *list, const char *text)
{
    add_item(list)->text = xstrdup(text);
}

struct envspec_requirement *envspec_add_local(struct envspec_requirements *list,
                                              const char *path, const char *extras,
                                              const char *marker)
{
    struct envspec_requirement *item = add_item(list);
    const char *slash = strrchr(path, '/');

    item->path = xstrdup(path);
    item->name = xstrdup(slash != NULL ? slash + 1 : path);
    item->extras = xstrdup(extras);
    item->marker = xstrdup(marker);
    return item;
}

void envspec_add_lock_file(struct envspec *spec, const char *path,
                           const struct oid *digest)
{
    spec->lock_files =
        xrealloc(spec->lock_files, spec->lock_file_count + 1, sizeof(*spec->lock_files));
    spec->lock_files[spec->lock_file_count++] =
        (struct envspec_file){.path = xstrdup(path), .digest = *digest};
}

/* --- order ----------------------------------------------------------------------------
 */

int envspec_compare(const struct envspec_requirement *a,
                    const struct envspec_requirement *b)
{
    int order;

    if (a->text != NULL || b->text != NULL) {
        if (a->text == NULL || b->text == NULL) {
            return a->text != NULL ? -1 : 1;
        }
        return strcmp(a->text, b->text);
    }
    order = strcmp(a->name, b->name);
    order = order != 0 ? order : oid_compare(&a->digest, &b->digest);
    order = order != 0 ? order : strcmp(a->extras, b->extras);
    order = order != 0 ? order : strcmp(a->marker, b->marker);
    order = order != 0 ? order : (int)a->is_folder - (int)b->is_folder;
    return order != 0 ? order : (int)a->is_editable - (int)b->is_editable;
}

static int compare_items(const void *left, const void *right)
{
    return envspec_compare(left, right);
}

static void normalize_items(struct envspec_requirements *list)
{
    size_t kept = 0;

    if (list->count < 2) {
        return;
    }
    qsort(list->items, list->count, sizeof(*list->items), compare_items);
    for (size_t i = 1; i < list->count; i++) {
        if (compare_items(&list->items[kept], &list->items[i]) == 0) {
            requirement_release(&list->items[i]);
        } else {
            list->items[++kept] = list->items[i];
        }
    }
    list->count = kept + 1;
}

static int compare_files(const void *left, const void *right)
{
    const struct envspec_file *a = left;
    const struct envspec_file *b = right;

    return strcmp(a->path, b->path);
}

static void normalize_files(struct envspec *spec)
{
    size_t kept = 0;

    if (spec->lock_file_count < 2) {
        return;
    }
    qsort(spec->lock_files, spec->lock_file_count, sizeof(*spec->lock_files),
          compare_files);
    for (size_t i = 1; i < spec->lock_file_count; i++) {
        if (strcmp(spec->lock_files[kept].path, spec->lock_files[i].path) == 0) {
            free(spec->lock_files[i].path);
        } else {
            spec->lock_files[++kept] = spec->lock_files[i];
        }
    }
    spec->lock_file_count = kept + 1;
}

void envspec_normalize(struct envspec *spec)
{
    normalize_items(&spec->requirements);
    normalize_items(&spec->constraints);
    normalize_items(&spec->find_links);
    strvec_sort_unique(&spec->conda);
    strvec_sort_unique(&spec->lock_groups);
    strvec_sort_unique(&spec->lock_extras);
    normalize_files(spec);
}
