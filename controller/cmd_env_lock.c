/* errand env lock, errand env export: what was installed, to be installed again.
 * [controller] */
#include "common/clock.h"
#include "common/files.h"
#include "controller/environment_lines.h"
#include "controller/environment_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "requirements.lock"
#define DEFINITION_NAME "environment.yaml"
#define MARK "# Written by errand env "
#define FILE_MODE 0644
#define MARK_MAX ((size_t)64 << 20)

struct env_lock_args {
    const char *target, *output;
    bool is_forced;
};

#define FIELD(name) offsetof(struct env_lock_args, name)

/* ---- the texts ---- */

/* Comments, so that who finds the file knows what it is and how it is used. */
static void put_head(struct strbuf *out, const struct environment_source *source,
                     const char *verb)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(time, clock_utc_ms());
    strbuf_printf(out, MARK "%s on %.10s: what %s has.\n", verb, time, source->label);
    if (source->facts.python[0] != '\0') {
        strbuf_printf(out, "# Python %s%s%s\n", source->facts.python,
                      source->facts.builder[0] != '\0' ? ", by " : "",
                      source->facts.builder);
    }
}

/* Where the packages come from; without passwords, as the definition has it. */
static void put_options(struct strbuf *out, const struct environment_source *source)
{
    const struct json *options = json_get(source->definition, "options");
    for (const struct json *option = options == NULL ? NULL : json_first(options);
         option != NULL; option = json_next(option)) {
        const char *text = json_string(option);
        if (text != NULL && strcmp(text, "--require-hashes") != 0) {
            strbuf_printf(out, "%s\n", text);
        }
    }
}

/* "3.11" of "3.11.7": what the lock was made for. */
static void put_python(struct strbuf *out, const char *version)
{
    size_t length = strcspn(version, ".");
    length += version[length] == '.' ? 1 + strcspn(version + length + 1, ".") : 0;
    if (length > 0) {
        strbuf_printf(out, "python: \"%.*s\"\n", (int)length, version);
    }
}

/* A file of ours may be written anew; another one is the person's. */
static int check_ours(const char *path, bool is_forced, struct error *err)
{
    struct error why = ERROR_INIT;
    struct strbuf text CLEANUP_STRBUF = STRBUF_INIT;
    strbuf_init(&text, MARK_MAX);
    if (is_forced) {
        return 0;
    }
    if (files_read(AT_FDCWD, path, &text, &why) != 0) {
        return why.code == ERR_NOT_FOUND ? 0 : error_set(err, why.code, "%s", why.text);
    }
    if (strncmp(text.data, MARK, strlen(MARK)) == 0) {
        return 0;
    }
    error_set(err, ERR_EXISTS, "%s is there already, and errand did not write it", path);
    return error_hint(err, "--force writes it anew; --output FILE writes another one");
}

static int write_text(const char *path, const struct strbuf *text, struct error *err)
{
    return files_write_atomic(AT_FDCWD, path, text->data, text->length, FILE_MODE, err);
}

static int read_source(struct environment_source *out, struct command_context *context,
                       const char *name, const char *target, struct error *err)
{
    if (command_config(context, err) == NULL ||
        environment_source_read(out, context, name, target, err) != 0) {
        return -1;
    }
    if (out->lock != NULL) {
        return 0;
    }
    error_set(err, ERR_NOT_FOUND,
              "what is installed in the environment of %s is not "
              "known here",
              out->label);
    return error_hint(err, "errand follow brings it home; an interpreter or virtual "
                           "environment that was there before has no lock");
}

/* ---- lock ---- */

static int write_lock(struct command_context *context, const struct env_lock_args *args,
                      const struct environment_source *source, struct error *err)
{
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    CLEANUP_STRBUF struct strbuf text = STRBUF_INIT;
    CLEANUP_FREE char *inside = files_join(config_project(context->config), LOCK_NAME);
    const char *path = args->output != NULL ? args->output : inside;
    put_head(&text, source, "lock");
    put_options(&text, source);
    strbuf_puts(&text, source->lock);
    if (check_ours(path, args->is_forced, err) != 0 ||
        write_text(path, &text, err) != 0) {
        return -1;
    }
    environment_lock_lines(source->lock, &lines);
    terminal_note(context->terminal, "wrote %s: %zu package%s, as %s has them", path,
                  lines.count, lines.count == 1 ? "" : "s", source->label);
    if (args->output == NULL) {
        terminal_note(context->terminal,
                      "to have the same ones again: environment: {requirements: %s}",
                      LOCK_NAME);
    }
    return 0;
}

static int lock_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque;
    const struct env_lock_args *args = opaque_args;
    struct error err = ERROR_INIT;
    struct environment_source source CLEANUP_ENVIRONMENT_SOURCE = {.label = NULL};
    if (read_source(&source, context, operand_count > 0 ? operands[0] : "@", args->target,
                    &err) != 0 ||
        write_lock(context, args, &source, &err) != 0) {
        return command_fail(context, false, &err, 1);
    }
    return 0;
}

static const struct cli_option lock_options[] = {
    CLI_STRING('t', "target", "TARGET", "look there for what is no run", FIELD(target)),
    CLI_STRING('o', "output", "FILE", "write this file", FIELD(output)),
    CLI_FLAG(0, "force", "also over a file that errand did not write", FIELD(is_forced)),
    CLI_END,
};

const struct cli_command cmd_env_lock = {
    .name = "env lock",
    .usage = "[ENVIRONMENT] [options]",
    .help = "write what is installed, with hashes, into the project",
    .details =
        "ENVIRONMENT is a run (the last one where none is named), the beginning of an "
        "identity, or what it was made from. The file is " LOCK_NAME
        " at the top of the project: pip and uv read it, and so does errand.",
    .options = lock_options,
    .args_size_bytes = sizeof(struct env_lock_args),
    .max_operands = 1,
    .run = lock_verb,
};

/* ---- export ---- */

static int make_folder(const char *path, struct error *err)
{
    return mkdir(path, 0777) == 0 || errno == EEXIST
               ? 0
               : error_sys(err, "make the folder %s", path);
}

/* verb: for the comments; folder gets two files of these names. */
static int export_to(const struct env_lock_args *args,
                     const struct environment_source *source, const char *verb,
                     const char *folder, const char *lock_name,
                     const char *definition_name, struct error *err)
{
    CLEANUP_STRBUF struct strbuf lock = STRBUF_INIT, definition = STRBUF_INIT;
    CLEANUP_FREE char *lock_path = files_join(folder, lock_name);
    CLEANUP_FREE char *definition_path = files_join(folder, definition_name);
    CLEANUP_STRVEC struct strvec lines = STRVEC_INIT;
    environment_lines(source->definition, &lines);
    put_head(&lock, source, verb);
    put_options(&lock, source);
    strbuf_puts(&lock, source->lock);
    put_head(&definition, source, verb);
    for (size_t i = 0; i < lines.count; i++) {
        strbuf_puts(&definition, "#   ");
        terminal_make_safe(lines.items[i], strlen(lines.items[i]), &definition);
        strbuf_putc(&definition, '\n');
    }
    strbuf_printf(&definition, "requirements: %s\n", lock_name);
    put_python(&definition, source->facts.python);
    return make_folder(folder, err) != 0 ||
                   check_ours(lock_path, args->is_forced, err) != 0 ||
                   check_ours(definition_path, args->is_forced, err) != 0 ||
                   write_text(lock_path, &lock, err) != 0
               ? -1
               : write_text(definition_path, &definition, err);
}

static int export_verb(void *opaque, void *opaque_args, char *const *operands,
                       size_t operand_count)
{
    struct command_context *context = opaque;
    const struct env_lock_args *args = opaque_args;
    struct error err = ERROR_INIT;
    struct environment_source source CLEANUP_ENVIRONMENT_SOURCE = {.label = NULL};
    (void)operand_count;
    if (read_source(&source, context, operands[0], args->target, &err) != 0 ||
        export_to(args, &source, "export", operands[1], LOCK_NAME, DEFINITION_NAME,
                  &err) != 0) {
        return command_fail(context, false, &err, 1);
    }
    terminal_note(context->terminal,
                  "wrote %s/" DEFINITION_NAME " and %s/" LOCK_NAME
                  "; in environments/ of a project they are one of its own",
                  operands[1], operands[1]);
    return 0;
}

static const struct cli_option export_options[] = {
    CLI_STRING('t', "target", "TARGET", "look there for what is no run", FIELD(target)),
    CLI_FLAG(0, "force", "also over files that errand did not write", FIELD(is_forced)),
    CLI_END,
};

const struct cli_command cmd_env_export = {
    .name = "env export",
    .usage = "ENVIRONMENT DIR [options]",
    .help = "write what is installed to a folder, for use elsewhere",
    .details = "ENVIRONMENT is a run, the beginning of an identity, or what it was made "
               "from. DIR "
               "gets " DEFINITION_NAME ", which errand reads, and " LOCK_NAME
               ", which pip and uv read as well.",
    .options = export_options,
    .args_size_bytes = sizeof(struct env_lock_args),
    .min_operands = 2,
    .max_operands = 2,
    .run = export_verb,
};

/* ---- save ---- */

/* A name as it stands behind --environment. */
static int check_name(const char *name, struct error *err)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    return name[0] != '\0' && name[0] != '.' && name[0] != '-' &&
                   strspn(name, allowed) == strlen(name)
               ? 0
               : error_set(err, ERR_USAGE,
                           "\"%.80s\" is no name: it has letters, digits, - _ and .",
                           name);
}

static int save_as(struct command_context *context, const struct env_lock_args *args,
                   const char *name, const struct environment_source *source,
                   struct error *err)
{
    CLEANUP_FREE char *folder =
        files_join(config_project(context->config), "environments");
    CLEANUP_FREE char *lock_name = xasprintf("%s.lock", name);
    CLEANUP_FREE char *definition_name = xasprintf("%s.yaml", name);
    if (export_to(args, source, "save", folder, lock_name, definition_name, err) != 0) {
        return -1;
    }
    terminal_note(context->terminal,
                  "saved as environments/%s; use it with: errand run --environment %s",
                  definition_name, name);
    return 0;
}

static int save_verb(void *opaque, void *opaque_args, char *const *operands,
                     size_t operand_count)
{
    struct command_context *context = opaque;
    const struct env_lock_args *args = opaque_args;
    struct error err = ERROR_INIT;
    struct environment_source source CLEANUP_ENVIRONMENT_SOURCE = {.label = NULL};
    if (check_name(operands[0], &err) != 0) {
        return command_fail_usage(context, &cmd_env_save, false, &err);
    }
    if (read_source(&source, context, operand_count > 1 ? operands[1] : "@", args->target,
                    &err) != 0 ||
        save_as(context, args, operands[0], &source, &err) != 0) {
        return command_fail(context, false, &err, 1);
    }
    return 0;
}

const struct cli_command cmd_env_save = {
    .name = "env save",
    .usage = "NAME [ENVIRONMENT] [options]",
    .help = "keep what is installed in the project, under a name",
    .details =
        "ENVIRONMENT is a run (the last one where none is named), the beginning of an "
        "identity, or what it was made from. errand run --environment NAME has the "
        "same packages again.",
    .options = export_options,
    .args_size_bytes = sizeof(struct env_lock_args),
    .min_operands = 1,
    .max_operands = 2,
    .run = save_verb,
};
