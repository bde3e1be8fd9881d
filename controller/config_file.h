/*
 * config_file: the values of one configuration file.            [controller]
 */
#ifndef CONTROLLER_CONFIG_FILE_H
#define CONTROLLER_CONFIG_FILE_H

#include "controller/config_table.h"
#include "controller/trust.h"

struct config_values {
    struct config_value **items; /* owned */
    size_t count;
};
void config_values_release(struct config_values *values);
/* Append value, which is owned by values from now on. */
void config_values_adopt(struct config_values *values, struct config_value *value);

struct config_file {
    const char *path;   /* absolute */
    const char *shown;  /* in sentences */
    const char *prefix; /* before each key: "", "targets.gpu1." */
    bool is_project;    /* values of scope USER need consent */
};

/*
 * Read file into values (which were empty). claim->path is set, and owned, where some of
 * them need consent. Returns 1, or 0 where there is no such file, or -1. Errors:
 * ERR_CONFIG ("errand.yaml:12: unknown key ..."), ERR_ACCESS, ERR_IO.
 */
int config_file_read(const struct config_file *file, struct config_values *values,
                     struct trust_claim *claim, struct error *err);

#endif
