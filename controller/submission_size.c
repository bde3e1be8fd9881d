/* What a person wants to know before much is sent, and of what stays here. */
#include "controller/submission.h"

#include "common/files.h"
#include "controller/listing.h"

#include <stdlib.h>
#include <string.h>

#define NAMED_MAX 3
#define LEFT_OUT_LARGE_BYTES UINT64_C(100000000)

/* ---- what goes ---- */

static bool is_above(const struct tree_totals *totals, const struct config *config)
{
    uint64_t files = (uint64_t)config_integer(config, "snapshot.warn_files");
    uint64_t size_bytes = config_size(config, "snapshot.warn_size");
    return (files > 0 && totals->files > files) ||
           (size_bytes > 0 && totals->size_bytes > size_bytes);
}

bool submission_is_large(const struct submission *s, const struct config *config)
{
    return is_above(&s->snapshot.totals, config);
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
    if (history_last_root(context->history, target->name, store, &base, err) != 0) {
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

int submission_confirm_size(const struct submission *s, struct command_context *context,
                            const struct target *target, const char *store, bool want_yes,
                            struct error *err)
{
    CLEANUP(listing_cleanup) struct listing *listing = listing_new();
    CLEANUP_STRBUF struct strbuf biggest = STRBUF_INIT;
    struct tree_totals totals;
    char size[FILES_SIZE_TEXT];
    if (list_new(s, context, target, store, listing, err) != 0) {
        return -1;
    }
    listing_totals(listing, &totals);
    if (!is_above(&totals, context->config)) {
        return 0;
    }
    files_format_size(size, totals.size_bytes);
    listing_name_biggest(listing, NAMED_MAX, &biggest);
    bool may_ask = !want_yes && terminal_can_ask(context->terminal);
    terminal_warn(context->terminal, "%s %llu file%s, %s, to %s: %s",
                  may_ask ? "about to send" : "sending", (unsigned long long)totals.files,
                  totals.files == 1 ? "" : "s", size, target->name, biggest.data);
    return may_ask ? ask(context, err) : 0;
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
