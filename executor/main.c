/* errand-executor: the worker. This file only finds the verb; each verb is a module. */
#include "common/fdio.h"
#include "common/mem.h"
#include "executor/attend.h"
#include "executor/contained.h"
#include "executor/serve.h"
#include "executor/spare.h"
#include "executor/supervise.h"
#include "executor/tidy.h"

#include <stdio.h>
#include <string.h>

#ifndef ERRAND_VERSION
#error "ERRAND_VERSION comes from the project's version"
#endif

struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the verb; returns the exit status */
    const char *help;
};

static int version_main(int argc, char **argv);
static int help_main(int argc, char **argv);

static const struct verb verbs[] = {
    {"serve", serve_main, "answer a controller on standard input and output"},
    {"supervise", supervise_main, "look after one run until it ends"},
    {"prepare", prepare_main, "a stage: find or build the environment"},
    {"launch", launch_main, "a stage: check the snapshot out and become the script"},
    {"contained", contained_main, "within a container: look after the script"},
    {"attend", attend_main, "a stage: look after a job in another engine"},
    {"finalize", finalize_main, "a stage: collect the outputs"},
    {"spare", spare_main, "write a snapshot aside for the next run"},
    {"tidy", tidy_main, "remove in the background what is at home or unused"},
    {"version", version_main, "print the version"},
    {"help", help_main, "print this list"},
};

static int version_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return printf("errand-executor %s\n", ERRAND_VERSION) < 0;
}

static int help_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("errand-executor: the worker of errand; the controller starts it.\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        printf("  %-12s %s\n", verbs[i].name, verbs[i].help);
    }
    return 0;
}

int main(int argc, char **argv)
{
    fdio_sanitize_std();
    const char *name = argc > 1 ? argv[1] : "help";
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0 ||
            (name[0] == '-' && name[1] == '-' && strcmp(verbs[i].name, name + 2) == 0)) {
            return verbs[i].run(argc > 1 ? argc - 1 : 0, argv + 1);
        }
    }
    fprintf(stderr,
            "errand-executor: there is no verb \"%s\"; see errand-executor help\n", name);
    return 2;
}
