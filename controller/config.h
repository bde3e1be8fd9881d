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

#include <stdbool.h>
#include <stdint.h>

struct config;

/*
 * Read all files. start_dir: where the search for errand.yaml begins. Errors: ERR_CONFIG,
 * ERR_UNTRUSTED (with what to do). may_ask: on a terminal, ask about untrusted values.
 */
struct config *config_load(const struct home *home, const char *start_dir, bool may_ask,
                           struct error *err);
void config_free(struct config *config);
DEFINE_CLEANUP_FREE(config)

/* The folder of errand.yaml, or start_dir where there is none: the project. Borrowed. */
const char *config_project(const struct config *config);
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
/* "errand.yaml:12", "default", "command line". Borrowed. */
const char *config_origin(const struct config *config, const char *key);
/* Set from the command line (beats all files). text as it would be in YAML. Errors:
 * ERR_USAGE. */
int config_set(struct config *config, const char *key, const char *text,
               struct error *err);

/* The names under "targets", sorted, "local" always among them. */
void config_targets(const struct config *config, struct strvec *out);

/* The commented errand.yaml of `errand init`; the reference for the README (Markdown). */
void config_write_example(struct strbuf *out);
void config_write_reference(struct strbuf *out);
/* `errand config show`: every value and where it comes from. */
void config_write_values(const struct config *config, struct strbuf *out);

#endif
