/*
 * mkrun: what serve does with a run, for tests of the supervisors without a connection.
 *
 *     mkrun ingest ROOT PROJECT        a folder becomes a root in the store; prints it
 *     mkrun accept ROOT < spec.json    accepts the run; prints 1 (made) or 0 (was there)
 *     mkrun start ROOT ID [< secrets]  supervise_start; the supervisors are this program
 *     mkrun adopt ROOT                 supervise_adopt_all
 *     mkrun cancel ROOT ID GRACE_MS    rundir_request
 *     mkrun read ROOT ID DIGEST        prints a content object of the collected outputs
 *     mkrun remove ROOT ID             rundir_remove
 *
 * It has the verbs of the stages too, because supervisors execute their own program.
 */
#include "common/fdio.h"
#include "common/files.h"
#include "common/ingest.h"
#include "common/json.h"
#include "common/store.h"
#include "executor/outputs.h"
#include "executor/rundir.h"
#include "executor/supervise.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int complain(void *context, const char *path, enum ingest_problem problem,
                    const struct error *err, struct error *stop_err)
{
    (void)context;
    (void)problem;
    (void)err;
    return error_set(stop_err, ERR_IO, "%s cannot be taken", path);
}

static struct store *open_store(const struct noderoot *root, struct error *err)
{
    CLEANUP_FREE char *path = files_join(root->path, "store");
    return store_open(path, err);
}

static int do_ingest(struct noderoot *root, char **args, struct error *err)
{
    CLEANUP(store_cleanup) struct store *store = open_store(root, err);
    CLEANUP_FD int fd = files_open_dir(AT_FDCWD, args[0], err);
    struct ingest_hooks hooks = {
        .context = store, .put = ingest_put, .problem = complain};
    struct oid oid;
    struct tree_totals totals;
    char hex[OID_HEX_SIZE];
    if (store == NULL || fd < 0 || ingest_folder(fd, &hooks, &oid, &totals, err) < 0 ||
        store_add_root(store, &oid, NULL, err) < 0) {
        return -1;
    }
    oid_to_hex(&oid, hex);
    printf("%s\n", hex);
    return 0;
}

static int read_stdin(struct strbuf *text, struct error *err)
{
    strbuf_init(text, RUNSPEC_SIZE_MAX);
    return fdio_read_all(0, "standard input", text, err);
}

static int do_accept(struct noderoot *root, char **args, struct error *err)
{
    (void)args;
    CLEANUP(store_cleanup) struct store *store = open_store(root, err);
    char digest[OID_HEX_SIZE];
    struct strbuf text;
    struct runspec spec;
    runspec_init(&spec);
    int result = -1;
    if (store != NULL && read_stdin(&text, err) == 0 &&
        noderoot_executor_digest(digest, err) == 0 &&
        runspec_decode(text.data, text.length, &spec, err) == 0) {
        result = rundir_accept(root, &spec, text.data, text.length, store_id(store),
                               digest, err);
        printf("%d\n", result);
    }
    strbuf_release(&text);
    runspec_release(&spec);
    return result < 0 ? -1 : 0;
}

static int do_start(struct noderoot *root, char **args, struct error *err)
{
    struct strbuf text;
    if (read_stdin(&text, err) < 0) {
        return -1;
    }
    CLEANUP_JSON struct json *secrets =
        text.length > 0 ? json_parse(text.data, text.length, NULL) : NULL;
    strbuf_release(&text);
    return supervise_start(root, args[0], secrets, err);
}

static int do_adopt(struct noderoot *root, char **args, struct error *err)
{
    (void)args;
    return supervise_adopt_all(root, err);
}

static int do_cancel(struct noderoot *root, char **args, struct error *err)
{
    CLEANUP_FD int fd = rundir_open(root, args[0], err);
    return fd < 0 ? -1
                  : rundir_request(fd, "cancel", "no longer wanted", "tester",
                                   strtoll(args[1], NULL, 10), err);
}

static int do_read(struct noderoot *root, char **args, struct error *err)
{
    CLEANUP_FD int fd = rundir_open(root, args[0], err);
    CLEANUP(outputs_reader_cleanup)
    struct outputs_reader *reader = fd < 0 ? NULL : outputs_open(fd, err);
    struct oid oid;
    if (reader == NULL || oid_from_hex(args[1], &oid, err) < 0) {
        return -1;
    }
    struct object_source source = outputs_source(reader);
    struct strbuf body;
    strbuf_init(&body, OBJECT_SIZE_MAX);
    int result = source.get(source.context, OBJECT_CONTENT, &oid, &body, err);
    if (result == 0) {
        result = fdio_write_full(1, body.data, body.length);
    }
    strbuf_release(&body);
    return result;
}

static int do_remove(struct noderoot *root, char **args, struct error *err)
{
    return rundir_remove(root, args[0], err);
}

static const struct {
    const char *name;
    int argument_count;
    int (*run)(struct noderoot *root, char **args, struct error *err);
} verbs[] = {
    {"ingest", 1, do_ingest}, {"accept", 0, do_accept}, {"start", 1, do_start},
    {"adopt", 0, do_adopt},   {"cancel", 2, do_cancel}, {"read", 2, do_read},
    {"remove", 1, do_remove},
};

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} stages[] = {
    {"supervise", supervise_main},
    {"prepare", prepare_main},
    {"launch", launch_main},
    {"finalize", finalize_main},
};

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(stages); i++) {
        if (strcmp(stages[i].name, argv[1]) == 0) {
            return stages[i].run(argc - 1, argv + 1);
        }
    }
    for (size_t i = 0; argc > 2 && i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verbs[i].name, argv[1]) == 0 && argc == 3 + verbs[i].argument_count) {
            CLEANUP(noderoot_cleanup)
            struct noderoot *root = noderoot_open(argv[2], &err);
            if (root != NULL && verbs[i].run(root, argv + 3, &err) == 0) {
                return 0;
            }
            fprintf(stderr, "%s: %s\n", error_code_name(err.code), err.text);
            return 1;
        }
    }
    fprintf(stderr, "mkrun: see the head of mkrun.c\n");
    return 2;
}
