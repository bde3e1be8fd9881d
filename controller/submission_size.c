/* What a person wants to know before much is sent, and of what stays here. */
#include "controller/submission.h"

#include "common/files.h"
#include "controller/listing.h"

#include <stdlib.h>
#include <string.h>

#define NAMED_MAX 3
#define LEFT_OUT_LARGE_BYTES UINT64_C(100000000)
/* Once this part of what is large has to be read, a look at all sizes costs little beside
 * it. */
#define LOOK_SHARE 16

/* ---- what goes ---- */

/* More than that part of what is large. */
static bool is_above(const struct tree_totals *totals, uint64_t share,
                     const struct config *config)
{
    uint64_t files = (uint64_t)config_integer(config, "snapshot.warn_files");
    uint64_t size_bytes = config_size(config, "snapshot.warn_size");
    return (files > 0 && totals->files > files / share) ||
           (size_bytes > 0 && totals->size_bytes > size_bytes / share);
}

bool submission_is_large(const struct submission *s, const struct config *config)
{
    return !s->is_size_told && is_above(&s->snapshot.totals, 1, config);
}

static int add_new(void *context, const char *path, const struct tree_entry *entry,
                   struct error *err)
{
    (void)err;
    listing_add(context, path, entry);
    return 0;
}

/* What the node does not have yet, as far as is known. */
static int list_new(const struct submission *s, struct command_context *context,
                    const struct target *target, const char *store, struct listing *out,
                    struct error *err)
{
    struct oid base;
    if (history_base_root(context->history, target->name, store,
                          config_project(context->config), &base, err) != 0) {
        return -1;
    }
    bool has_base = !oid_is_zero(&base) && store_use_root(context->store, &base);
    return snapshot_visit_new(context->store, &s->snapshot.root, has_base ? &base : NULL,
                              add_new, out, err);
}

static int ask(struct command_context *context, struct error *err)
{
    bool wants = false;
    terminal_show(context->terminal,
                  "errand: .gitignore and .errandignore leave out what a run does not "
                  "need; errand snapshot --dry-run shows all");
    if (terminal_ask_yes_no(context->terminal, "Send it?", false, NULL, NULL, &wants,
                            err) != 0) {
        return -1;
    }
    return wants ? 0 : error_set(err, ERR_CANCELED, "nothing was sent");
}

/* Where the listed is large, say so and ask. how_much: "" or "up to ". */
static int confirm(struct submission *s, struct command_context *context,
                   const struct target *target, const struct submission_request *request,
                   const struct listing *listing, const char *how_much, struct error *err)
{
    CLEANUP_STRBUF struct strbuf biggest = STRBUF_INIT;
    struct tree_totals totals;
    char size[FILES_SIZE_TEXT];
    listing_totals(listing, &totals);
    if (!is_above(&totals, 1, context->config)) {
        return 0;
    }
    bool may_ask = !request->want_yes && terminal_can_ask(context->terminal);
    if (may_ask && request->before_question != NULL &&
        request->before_question(request->before_question_context, err) != 0) {
        return -1;
    }
    files_format_size(size, totals.size_bytes);
    listing_name_biggest(listing, NAMED_MAX, &biggest);
    terminal_warn(context->terminal, "%s %s%llu file%s, %s, to %s: %s",
                  may_ask ? "about to send" : "sending", how_much,
                  (unsigned long long)totals.files, totals.files == 1 ? "" : "s", size,
                  target->name, biggest.data);
    s->is_size_told = true;
    return may_ask ? ask(context, err) : 0;
}

int submission_look_ahead(struct submission *s, struct command_context *context,
                          const struct target *target,
                          const struct submission_request *request,
                          const struct snapshot_reading *reading, struct error *err)
{
    const struct tree_totals met = {.files = reading->met_files,
                                    .size_bytes = reading->met_bytes};
    if (s->has_looked_ahead || !is_above(&met, LOOK_SHARE, context->config)) {
        return 0;
    }
    s->has_looked_ahead = true;
    CLEANUP(listing_cleanup) struct listing *listing = listing_new();
    CLEANUP(snapshot_release) struct snapshot glance = {.problem_count = 0};
    const struct snapshot_options options = {.want_force = request->want_force,
                                             .is_glance = true,
                                             .visit = add_new,
                                             .visit_context = listing};
    if (snapshot_make(context->home, context->config, context->store, &options, &glance,
                      err) != 0) {
        return -1;
    }
    /* The node may have some of it, from another project or another errand. */
    return confirm(s, context, target, request, listing, "up to ", err);
}

int submission_confirm_size(struct submission *s, struct command_context *context,
                            const struct target *target, const char *store,
                            const struct submission_request *request, struct error *err)
{
    CLEANUP(listing_cleanup) struct listing *listing = listing_new();
    if (list_new(s, context, target, store, listing, err) != 0) {
        return -1;
    }
    return confirm(s, context, target, request, listing, "", err);
}

/* ---- what stays ---- */

static int compare_sizes(const void *a, const void *b)
{
    const struct snapshot_left_out *const *x = a, *const *y = b;
    return ((*x)->size_bytes < (*y)->size_bytes) - ((*x)->size_bytes > (*y)->size_bytes);
}

/* "data/ (4.1 GB) by .gitignore:3: data/". */
static void describe(const struct snapshot_left_out *entry, struct strbuf *out)
{
    char size[FILES_SIZE_TEXT];
    files_format_size(size, entry->size_bytes);
    terminal_make_safe(entry->path, strlen(entry->path), out);
    strbuf_printf(out, "%s (%s%s) by ", entry->is_folder ? "/" : "",
                  entry->is_size_all ? "" : "more than ", size);
    terminal_make_safe(entry->rule, strlen(entry->rule), out);
}

void submission_say_left_out(const struct submission *s, struct command_context *context)
{
    const struct snapshot *snapshot = &s->snapshot;
    CLEANUP_FREE const struct snapshot_left_out **large =
        xcalloc(snapshot->left_out_count + 1, sizeof(*large));
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    size_t count = 0;
    for (size_t i = 0; i < snapshot->left_out_count; i++) {
        if (snapshot->left_out[i].size_bytes >= LEFT_OUT_LARGE_BYTES) {
            large[count++] = &snapshot->left_out[i];
        }
    }
    if (count == 0) {
        return;
    }
    qsort(large, count, sizeof(const struct snapshot_left_out *), compare_sizes);
    for (size_t i = 0; i < count && i < NAMED_MAX; i++) {
        strbuf_puts(&text, i > 0 ? "; " : "");
        describe(large[i], &text);
    }
    if (count > NAMED_MAX) {
        strbuf_printf(&text, "; and %zu more", count - NAMED_MAX);
    }
    terminal_note(context->terminal, "left out: %s", text.data);
}

void submission_say_problems(const struct submission *s, struct command_context *context)
{
    const struct snapshot *snapshot = &s->snapshot;
    for (size_t i = 0; i < snapshot->problem_count && i < 10; i++) {
        terminal_warn(context->terminal, "not in the snapshot: %s: %s",
                      snapshot->problems[i].path, snapshot->problems[i].text);
    }
    if (snapshot->problem_total > 10) {
        terminal_warn(context->terminal, "and %zu more files",
                      snapshot->problem_total - 10);
    }
}
