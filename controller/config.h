/*
 * config: what the user configured, from one table of known keys (config_keys.def).
 * [controller]
 *
 * Values come, the first that says something, from the command line, errand.yaml (from
 * the current folder upwards), targets.d/ and config.yaml of the user,
 * /etc/errand/config.yaml, the defaults. A project's file is not trusted in keys of scope
 * USER before the user agreed (trust.h). Files are read with libyaml's events under caps
 * (256 KiB, depth 16, no aliases, tags or merges); a file with an unknown key, a wrong
 * type, a tab, or a duplicate key is refused with file, line, what is wrong and the
 * nearest key.
 */
#ifndef CONTROLLER_CONFIG_H
#define CONTROLLER_CONFIG_H

#include "common/strbuf.h"
#include "common/strvec.h"
#include "controller/home.h"
#include "controller/terminal.h"

#include <stdbool.h>
#include <stdint.h>

struct config;
struct config_value;
struct json;
struct trust_claim;

struct config_options {
    const char *start_dir;     /* where the search for errand.yaml begins; NULL: here */
    struct terminal *terminal; /* to show values and ask whether to trust them; NULL, or
                                  nobody there: they are an error */
    bool want_untrusted; /* take them unasked, for `config show` and `trust` alone */
};

/* Read all files. Errors: ERR_CONFIG, ERR_UNTRUSTED (with what to do), ERR_IO ... */
struct config *config_load(const struct home *home, const struct config_options *options,
                           struct error *err);
void config_free(struct config *config);
DEFINE_CLEANUP_FREE(config)

/* The folder of errand.yaml, or start_dir where there is none: the project. Borrowed. */
const char *config_project(const struct config *config);
/* Sentences of what was passed over ("/tmp/errand.yaml: ..."). Borrowed. */
const struct strvec *config_notes(const struct config *config);
/* The path of errand.yaml, or NULL. Borrowed. */
const char *config_project_file(const struct config *config);

/* Values by key path ("targets.gpu1.port"). The key must be in the table (assert).
 * Strings are borrowed from config. */
bool config_has(const struct config *config, const char *key);
const char *config_string(const struct config *config,
                          const char *key); /* NULL where there is none */
int64_t config_integer(const struct config *config,
                       const char *key); /* INTEGER, DURATION in ms; 0: none */
uint64_t config_size(const struct config *config, const char *key);
const struct strvec *config_list(const struct config *config, const char *key);
/* "K=V" items, merged over all files: an outer file adds what an inner one does not have.
 */
const struct strvec *config_map(const struct config *config, const char *key);
/* "errand.yaml:12", "default", "--keep". Borrowed. */
const char *config_origin(const struct config *config, const char *key);
/* Set from the command line (beats all files). text as it would be in YAML; option, such
 * as "--keep", is where it comes from, in sentences too. Errors: ERR_USAGE. */
int config_set(struct config *config, const char *key, const char *text,
               const char *option, struct error *err);

/* What the files that were read say that needs consent (trust.h), agreed to or not.
 * Borrowed. */
struct trust_claim *config_claims(struct config *config, size_t *out_count);

/* Visit every value that counts (config_table.h): of the command line, the files, the
 * defaults; those of targets have the defaults of their rows once, under NAME. */
typedef void config_visitor(void *context, const struct config_value *value);
void config_visit(const struct config *config, config_visitor *visit, void *context);

/* The names under "targets", sorted, "local" always among them. */
void config_targets(const struct config *config, struct strvec *out);

/* ROW(symbol, name, file): the commented files that are written from the table. */
#define CONFIG_EXAMPLE_TABLE(ROW)                                                        \
    ROW(PROJECT, "project", "errand.yaml")                                               \
    ROW(USER, "user", "config.yaml")                                                     \
    ROW(TARGET, "target", "targets.d/gpu1.yaml")

enum config_example {
#define ROW(symbol, name, file) CONFIG_EXAMPLE_##symbol,
    CONFIG_EXAMPLE_TABLE(ROW)
#undef ROW
        CONFIG_EXAMPLE_COUNT
};

/*
 * Append a commented file with every key that belongs into it. Comments begin with "# ";
 * a key that is commented out begins with "#" and no blank, or "#" and two, so that a
 * program can bring them all to life.
 */
void config_write_example(enum config_example which, struct strbuf *out);
/* Append the reference of all keys (Markdown). */
void config_write_reference(struct strbuf *out);
/* Append every value and where it comes from, for people, or as
 * {"project","project_file","values":[{"key","value","origin"}]}. */
void config_write_values(const struct config *config, struct strbuf *out);
struct json *config_to_json(const struct config *config);

#endif
