/* errand snapshot: what would be sent, and why.            [controller] */
#define _XOPEN_SOURCE 700 /* realpath */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/files.h"
#include "controller/command.h"
#include "controller/listing.h"
#include "controller/snapshot.h"

#define LINES_MAX 20

struct snapshot_args {
    const char *why;
    bool is_dry, is_json, want_force;
};

#define FIELD(name) offsetof(struct snapshot_args, name)

/* ---- --why ---- */

/* path as given here, from the project's folder; malloc'ed. A relative one begins at the
 * current folder. Symbolic links on the way are followed, the last component is not. */
static char *from_project(const char *project, const char *path, struct error *err)
{
    CLEANUP_FREE char *root = realpath(project, NULL);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    bool is_folder = name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    CLEANUP_FREE char *above = is_folder ? xstrdup(path[0] ? path : ".")
                               : slash   ? xstrndup(path, (size_t)(slash + 1 - path))
                                         : xstrdup(".");
    CLEANUP_FREE char *folder = realpath(above, NULL);
    size_t length;

    if (!root || !folder) {
        error_sys(err, "%s", root ? above : project);
        return NULL;
    }
    length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(folder, root, length) != 0 ||
        (folder[length] != '/' && folder[length] != '\0')) {
        error_set(err, ERR_NOT_FOUND, "%s is not in the project %s", path, root);
        return NULL;
    }
    return is_folder ? xstrdup(folder + length)
                     : xasprintf("%s/%s", folder + length, name);
}

static int run_why(struct command_context *context, const struct snapshot_args *args)
{
    struct error err = ERROR_INIT;
    CLEANUP_STRBUF struct strbuf why = STRBUF_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_JSON struct json *document = json_new_object();
    CLEANUP_FREE char *path =
        from_project(config_project(context->config), args->why, &err);
    bool is_in = false;

    if (!path || snapshot_why(context->home, context->config, path, &why, &is_in, &err)) {
        return command_fail(context, args->is_json, &err, 1);
    }
    if (args->is_json) {
        json_add_bytes(document, "path", path + strspn(path, "/"),
                       strlen(path + strspn(path, "/")));
        json_add_bool(document, "is_in", is_in);
        json_add_bytes(document, "why", why.data, why.length);
        return command_print_json(context, document);
    }
    terminal_make_safe(args->why, strlen(args->why), &text);
    strbuf_puts(&text, ": ");
    terminal_make_safe(why.data, why.length, &text);
    strbuf_putc(&text, '\n');
    return command_print(context, &text);
}

/* ---- the snapshot ---- */

static int visit(void *context, const char *path, const struct tree_entry *entry,
                 struct error *err)
{
    (void)err;
    listing_add(context, path, entry);
    return 0;
}

static int show_progress(void *context, const struct snapshot_reading *reading,
                         struct error *err)
{
    (void)err;
    terminal_progress(context, "reading the project", reading->read_bytes, 0);
    return 0;
}

static const char *kind_name(enum tree_kind kind)
{
    switch (kind) {
    case TREE_FILE:
        return "file";
    case TREE_EXECUTABLE:
        return "executable";
    case TREE_SYMLINK:
        return "symlink";
    case TREE_FOLDER:
        return "folder";
    }
    return "";
}

/* Files; and folders that have none, because nothing else would show them. */
static void add_files(struct json *files, const struct listing *listing)
{
    for (size_t i = 0; i < listing_count(listing); i++) {
        struct listing_entry entry;

        listing_at(listing, i, &entry);
        if (entry.files > 0 && entry.kind == TREE_FOLDER) {
            continue;
        }
        struct json *file = json_append(files, json_new_object());
        json_add_bytes(file, "path", entry.path, strlen(entry.path));
        json_add_string(file, "kind", kind_name(entry.kind));
        json_add_integer(file, "size_bytes", (int64_t)entry.size_bytes);
    }
}

static int print_json(struct command_context *context, const struct snapshot *snapshot,
                      const struct listing *listing)
{
    CLEANUP_JSON struct json *document = json_new_object();
    char root[OID_HEX_SIZE];

    oid_to_hex(&snapshot->root, root);
    json_add_string(document, "root", root);
    add_files(json_add(document, "files", json_new_array()), listing);
    json_add_integer(document, "size_bytes", (int64_t)snapshot->totals.size_bytes);
    struct json *left_out = json_add(document, "left_out", json_new_array());
    for (size_t i = 0; i < snapshot->left_out_count; i++) {
        const struct snapshot_left_out *entry = &snapshot->left_out[i];
        struct json *item = json_append(left_out, json_new_object());
        json_add_bytes(item, "path", entry->path, strlen(entry->path));
        json_add_bytes(item, "rule", entry->rule, strlen(entry->rule));
    }
    json_add_integer(document, "left_out_total", (int64_t)snapshot->left_out_total);
    struct json *problems = json_add(document, "problems", json_new_array());
    for (size_t i = 0; i < snapshot->problem_count; i++) {
        const struct snapshot_problem *problem = &snapshot->problems[i];
        struct json *item = json_append(problems, json_new_object());
        json_add_bytes(item, "path", problem->path, strlen(problem->path));
        json_add_bytes(item, "text", problem->text, strlen(problem->text));
        json_add_bool(item, "is_in", problem->is_in);
    }
    json_add_integer(document, "problem_total", (int64_t)snapshot->problem_total);
    return command_print_json(context, document);
}

/* "  PATH  TEXT": one line of a list. */
static void write_pair(const char *path, bool is_folder, const char *text,
                       struct strbuf *out)
{
    size_t start = out->length;

    strbuf_puts(out, "  ");
    terminal_make_safe(path, strlen(path), out);
    strbuf_puts(out, is_folder ? "/" : "");
    while (out->length < start + 28) {
        strbuf_putc(out, ' ');
    }
    strbuf_puts(out, "  ");
    terminal_make_safe(text, strlen(text), out);
    strbuf_putc(out, '\n');
}

static void write_more(size_t shown, size_t total, struct strbuf *out)
{
    if (total > shown) {
        strbuf_printf(out, "  and %zu more\n", total - shown);
    }
}

static void write_text(const struct snapshot *snapshot, const struct listing *listing,
                       const char *project, struct strbuf *out)
{
    size_t left_out =
        snapshot->left_out_count < LINES_MAX ? snapshot->left_out_count : LINES_MAX;
    char size[FILES_SIZE_TEXT];

    files_format_size(size, snapshot->totals.size_bytes);
    strbuf_printf(out, "%llu file%s, %s, in ", (unsigned long long)snapshot->totals.files,
                  snapshot->totals.files == 1 ? "" : "s", size);
    terminal_make_safe(project, strlen(project), out);
    strbuf_putc(out, '\n');
    listing_write(listing, LINES_MAX, out);
    strbuf_puts(out, left_out > 0 ? "left out:\n" : "");
    for (size_t i = 0; i < left_out; i++) {
        const struct snapshot_left_out *entry = &snapshot->left_out[i];
        write_pair(entry->path, entry->is_folder, entry->rule, out);
    }
    write_more(left_out, snapshot->left_out_total, out);
}

static void report_problems(struct command_context *context,
                            const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->problem_count; i++) {
        CLEANUP_STRBUF struct strbuf line = STRBUF_INIT;
        const struct snapshot_problem *problem = &snapshot->problems[i];

        terminal_make_safe(problem->path, strlen(problem->path), &line);
        strbuf_puts(&line, ": ");
        terminal_make_safe(problem->text, strlen(problem->text), &line);
        terminal_warn(context->terminal, "%s%s",
                      problem->is_in ? "" : "not taken: ", line.data);
    }
    if (snapshot->problem_total > snapshot->problem_count) {
        terminal_warn(context->terminal, "and %zu more problems",
                      snapshot->problem_total - snapshot->problem_count);
    }
}

static int print(struct command_context *context, const struct snapshot_args *args,
                 const struct snapshot *snapshot, const struct listing *listing)
{
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    char root[OID_HEX_SIZE];

    if (args->is_json) {
        return print_json(context, snapshot, listing);
    }
    report_problems(context, snapshot);
    if (args->is_dry) {
        write_text(snapshot, listing, config_project(context->config), &text);
    } else {
        oid_to_hex(&snapshot->root, root);
        strbuf_printf(&text, "%s\n", root);
    }
    return command_print(context, &text);
}

static int run(void *opaque, void *opaque_args, char *const *operands,
               size_t operand_count)
{
    struct command_context *context = opaque;
    const struct snapshot_args *args = opaque_args;
    struct error err = ERROR_INIT;
    CLEANUP(listing_cleanup) struct listing *listing = listing_new();
    CLEANUP(snapshot_release) struct snapshot snapshot = {.problem_count = 0};
    const struct snapshot_options options = {
        .want_force = args->want_force,
        .is_dry = args->is_dry,
        .visit = args->is_dry || args->is_json ? visit : NULL,
        .visit_context = listing,
        .progress = show_progress,
        .progress_context = context->terminal,
    };

    (void)operands, (void)operand_count;
    if (command_config(context, &err) == NULL) {
        return command_fail(context, args->is_json, &err, 1);
    }
    if (args->why != NULL) {
        return run_why(context, args);
    }
    if (command_store(context, &err) == NULL ||
        snapshot_make(context->home, context->config, context->store, &options, &snapshot,
                      &err) != 0) {
        terminal_progress_clear(context->terminal);
        return command_fail(context, args->is_json, &err, 1);
    }
    terminal_progress_clear(context->terminal);
    return print(context, args, &snapshot, listing);
}

static const struct cli_option options[] = {
    CLI_FLAG('n', "dry-run", "only list what would go, the biggest first", FIELD(is_dry)),
    CLI_STRING(0, "why", "PATH", "name the rule that takes PATH in or out", FIELD(why)),
    CLI_FLAG(0, "force", "also for / or your home folder", FIELD(want_force)),
    CLI_FLAG(0, "json", "one JSON document on stdout", FIELD(is_json)),
    CLI_END,
};

const struct cli_command cmd_snapshot = {
    .name = "snapshot",
    .usage = "[options]",
    .help = "what of the project would be sent, and why",
    .details =
        "Without --dry-run the snapshot is made and kept here; its root is printed.\n"
        "\n"
        "Left out is what git ignores (.gitignore files, .git/info/exclude, your\n"
        "core.excludesFile; never what git tracks), and what .errandignore files\n"
        "name, tracked or not, in the same syntax and above git's. A .amlignore in\n"
        "the project's folder stands in for all that git has. Also left out, unless\n"
        "a rule such as !outputs/ names them: .git, virtual and conda environments,\n"
        "__pycache__, .ipynb_checkpoints, and outputs/ and logs/ in the project's\n"
        "folder. snapshot.include in errand.yaml takes paths in whatever the rules\n"
        "say.",
    .options = options,
    .args_size_bytes = sizeof(struct snapshot_args),
    .run = run,
};
